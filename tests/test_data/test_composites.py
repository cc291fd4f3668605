"""The days that maps stand for, and which of two maps of a day is taken."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from data.composites import map_days, resolution
from data.satellite import open_chlorophyll, open_sst, time_notes
from evaluation.cross_correlation import DailyMaps

LAT, LON = np.arange(47.0, 51.01, 0.25), np.arange(-20.0, -12.99, 0.25)
MONTHS = pd.date_range("2010-01-01", "2012-12-01", freq="MS")


def days(*texts):
    return np.array(texts, "datetime64[ns]")


@pytest.mark.parametrize(
    ("attrs", "found"),
    [
        ({"time_coverage_resolution": "P1M"}, "month"), ({"time_coverage_resolution": "P8D"}, 8),
        ({"temporal_resolution": "daily"}, 1),
        ({"Time_Coverage_Resolution": "p1d"}, 1), ({"period_duration_day": "P30D"}, "month"),
        ({"product_type": "month"}, "month"),
        ({"temporal_resolution": "8-day"}, 8), ({"time_coverage_resolution": "P1W"}, 7),
    ],
)  # fmt: skip
def test_attributes_tell_how_long_maps_are_of(attrs, found):
    assert resolution(attrs)[0] == found
    assert resolution({"title": "monthly"}) is None and resolution({"time_coverage_resolution": "PT1H"}) is None


@pytest.mark.parametrize("place", ["begin", "middle", "end"])
@pytest.mark.parametrize("told", [("month", "attribute"), None])
def test_months_are_whole_months_wherever_their_date_is(place, told):
    first = pd.date_range("2011-11-01", periods=5, freq="MS")
    times = {"begin": first, "middle": first + pd.Timedelta("15D"), "end": first + pd.offsets.MonthEnd(1)}[place]
    begin, length, why = map_days(times.to_numpy(), None, told)
    np.testing.assert_array_equal(begin, first.to_numpy().astype("datetime64[D]"))
    assert length.tolist() == [30, 31, 31, 29, 31] and why in ("attribute", "the spacing of the maps")


@pytest.mark.parametrize("shift", [0, 4])
def test_eight_days_begin_with_the_year_and_end_with_it(shift):
    years = (np.datetime64(year, "D") for year in ("2010-01-01", "2011-01-01"))
    first = np.concatenate([np.arange(year, year + 365, 8) for year in years])
    begin, length, _ = map_days((first + shift).astype("datetime64[ns]"), None, (8, "P8D"))
    np.testing.assert_array_equal(begin, first)
    assert set(length[:45]) == {8} and length[45] == 5


def test_bounds_win_and_daily_maps_are_of_their_day():
    times = days("2010-01-16T12", "2010-02-15")
    bounds = np.array([["2010-01-01", "2010-01-31T23:59:59"], ["2010-02-01", "2010-03-01"]], "datetime64[ns]")
    begin, length, why = map_days(times, bounds, ("month", "x"))
    assert begin.astype(str).tolist() == ["2010-01-01", "2010-02-01"] and length.tolist() == [31, 28] and why == "their bounds"
    daily = days("2010-01-01T12", "2010-01-02T12", "2010-01-03T12")
    half = np.timedelta64(12, "h")
    for given in (None, np.stack([daily - half, daily + half], 1), np.stack([daily, daily + 2 * half], 1)):
        begin, length, why = map_days(daily, given, None)
        assert begin.astype(str).tolist() == ["2010-01-01", "2010-01-02", "2010-01-03"] and set(length) == {1} and why is None


def test_days_apart_of_daily_maps_and_running_means_count_for_their_day():
    assert set(map_days(days("2010-01-01", "2010-01-11", "2010-01-21"), None, (1, "P1D"))[1]) == {1}
    assert set(map_days(np.arange(9).astype("datetime64[D]"), None, (8, "P8D"))[1]) == {1}
    assert map_days(days("2010-01-01"), None, None)[1].tolist() == [1]
    every = {step: np.datetime64("2010-01-01") + step * np.arange(9) for step in (5, 6)}
    assert set(map_days(every[5], None, (8, "P8D"))[1]) == {1}  # three days of each lie in the next: a running mean
    assert map_days(every[6], None, (8, "P8D"))[1].tolist() == [6] * 8 + [8]


def test_a_composite_counts_for_its_days_as_so_many_daily_maps_would():
    rng = np.random.default_rng(2)
    length = np.array([31, 28, 31, 5, 1, 8])
    first = np.datetime64("2010-01-01") + np.array([0, 31, 59, 95, 100, 101])  # a gap between
    values = np.where(rng.random((6, 4)) < 0.3, np.nan, rng.random((6, 4)))
    maps = DailyMaps.of(first, [values[:2], values[2:]], 4, length)
    each = np.concatenate([np.arange(n) + day for n, day in zip(length, first, strict=True)])
    daily = DailyMaps.of(each, [np.repeat(values, length, axis=0)], 4)
    begin = np.datetime64("2009-12-20T00:00", "s") + (rng.integers(0, 130 * 24, 300) * 3600).astype("timedelta64[s]")
    end = begin + (rng.integers(0, 60 * 24, 300) * 3600).astype("timedelta64[s]")
    np.testing.assert_allclose(maps.mean(begin, end), daily.mean(begin, end), rtol=1e-9)


# -- files -----------------------------------------------------------------------------------------------------------
def monthly(path, value, *, bounds=False, shift="0D", attrs=None):
    values = np.asarray(value)[:, None, None] * np.ones((1, LAT.size, LON.size))
    units = {"units": "milligram m-3"}
    dataset = xr.Dataset(
        {"CHL": (("time", "lat", "lon"), values.astype("f4"), units)},
        {"time": MONTHS + pd.Timedelta(shift), "lat": ("lat", LAT[::-1]), "lon": ("lon", LON)}, attrs or {},
    )  # fmt: skip
    if bounds:
        dataset = dataset.assign_coords(time_bnds=(("time", "nv"), np.stack([MONTHS, MONTHS + pd.offsets.MonthBegin(1)], 1)))
        dataset.time.attrs["bounds"] = "time_bnds"
        dataset["time_bnds"].encoding["units"] = "days since 1900-01-01"
    dataset["time"].encoding["units"] = "days since 1950-01-01"
    dataset.to_netcdf(path)
    return path


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"attrs": {"time_coverage_resolution": "P1M"}}, "time_coverage_resolution P1M"),
        ({"bounds": True, "attrs": {"time_coverage_resolution": "P1D"}}, "their bounds"),
        ({"bounds": True, "shift": "14D"}, "their bounds"),
        ({}, "the spacing of the maps"),
    ],
)
def test_monthly_files_stand_for_their_months_and_it_is_said(tmp_path, options, words):
    found = open_chlorophyll(monthly(tmp_path / "chl.nc", np.linspace(0.2, 1.5, 36), **options))
    np.testing.assert_array_equal(found["first_day"].values, MONTHS.to_numpy())
    np.testing.assert_array_equal(found["days"].values, MONTHS.days_in_month)
    assert f"chlorophyll: composites of 28 to 31 days, by {words}: each stands for its whole interval" in time_notes(
        found, "chlorophyll"
    )


def test_files_of_one_month_each_tell_it_by_their_coverage(tmp_path):
    for month in MONTHS[:3]:
        attrs = {"time_coverage_start": f"{month:%Y-%m-%dT%H:%M:%SZ}",
                 "time_coverage_end": f"{month + pd.offsets.MonthBegin(1) - pd.Timedelta('1s'):%Y-%m-%dT%H:%M:%SZ}"}  # fmt: skip
        xr.Dataset({"CHL": (("time", "lat", "lon"), np.ones((1, LAT.size, LON.size), "f4"), {"units": "mg m-3"})},
                   {"time": [month], "lat": LAT, "lon": LON}, attrs).to_netcdf(tmp_path / f"{month:%m}.nc")  # fmt: skip
    found = open_chlorophyll(str(tmp_path / "*.nc"))
    assert found["days"].values.tolist() == [31, 28, 31]


def oisst(path, value, hour=12, attrs=None):
    values = np.full((1, 1, LAT.size, LON.size), value, "f4")
    xr.Dataset(
        {"sst": (("time", "zlev", "lat", "lon"), values, {"units": "Celsius"})},
        {"time": [np.datetime64(f"2021-01-03T{hour:02d}:00", "ns")], "zlev": [0.0], "lat": LAT, "lon": ("lon", np.mod(LON, 360))},
        attrs or {},
    ).to_netcdf(path)
    return path


@pytest.mark.parametrize("hour", [12, 0])
@pytest.mark.parametrize("turned", [False, True])
def test_of_the_final_and_the_preliminary_map_of_a_day_the_final_one(tmp_path, hour, turned):
    paths = [oisst(tmp_path / "oisst-avhrr-v02r01.20210103.nc", 13.0),
             oisst(tmp_path / "oisst-avhrr-v02r01.20210103_preliminary.nc", 13.4, hour)]  # fmt: skip
    found = open_sst(paths[::-1] if turned else paths)
    np.testing.assert_allclose(found["sst"].values, 13.0)
    (line,) = time_notes(found, "SST")
    assert line == "SST: 1 dates have final and near-real-time or preliminary maps: the final ones are taken"


@pytest.mark.parametrize("hour", [12, 0])
def test_of_a_reprocessed_and_a_near_real_time_map_the_reprocessed_one(tmp_path, hour):
    paths = [oisst(tmp_path / "rep_sst.nc", 13.0, hour), oisst(tmp_path / "nrt_sst.nc", 13.4)]
    found = open_sst(paths)
    np.testing.assert_allclose(found["sst"].values, 13.0)
    assert "1 dates have reprocessed or final and near-real-time" in time_notes(found, "SST")[0]


def test_two_maps_of_one_instant_that_nothing_tells_apart_are_told(tmp_path):
    paths = [oisst(tmp_path / "a.nc", 13.0), oisst(tmp_path / "b.nc", 13.4)]
    found = open_sst(paths)
    np.testing.assert_allclose(found["sst"].values, 13.4)
    assert "nothing tells which is final" in time_notes(found, "SST")[0]
    # of two hours of a day both are kept
    assert open_sst([oisst(tmp_path / "a.nc", 13.0, 0), tmp_path / "b.nc"]).sizes["time"] == 2
