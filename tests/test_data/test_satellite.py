"""The readers of satellite maps: every layout, every trap, the line for what is beyond help; and maps on a frame."""

from __future__ import annotations

from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray as xr

from data import lonlat, map_file
from data.errors import InputError, OptionError
from data.frame import Frame
from data.map_file import MapFile
from data.satellite import LonLatRegridder, around, on_frame, open_chlorophyll, open_ssh, open_sst, time_notes
from data.sphere import lon_lat

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED = REPOSITORY.parent / "shared" / "data"
SAMPLES = REPOSITORY / "tests" / "data" / "satellite_sample"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the real satellite files (shared/data) are not here")
PAP = (-16.5, 49.0)


def slope(lon, lat):
    """A field linear in degrees, (lat, lon), without a jump anywhere near the date line or Greenwich."""
    return 0.01 * lat[:, None] + 0.02 * np.sin(np.deg2rad(lon))[None, :]


@pytest.fixture
def write(tmp_path):
    """Function that writes a small file of maps: write(name, lon, lat, values or {variable: values}, ...)."""

    def make(
        name="maps.nc",
        lon=None,
        lat=None,
        *,
        variable="adt",
        units="m",
        days=(0,),
        names=("time", "latitude", "longitude"),
        time_units="days since 2000-01-01",
        values=None,
        more=None,
        dtype="f4",
        attrs=None,
        time=True,
        encode=None,
    ):
        lon = np.arange(-22.0, -11, 0.25) if lon is None else np.asarray(lon, float)
        lat = np.arange(45.0, 53, 0.25) if lat is None else np.asarray(lat, float)
        values = np.stack([slope(lon, lat) + day for day in days]) if values is None else values
        fields = {variable: values, **(more or {})}
        with netCDF4.Dataset(tmp_path / name, "w") as new:
            for axis, size in zip(names, (len(days), lat.size, lon.size)):
                new.createDimension(axis, size)
            if time:
                new.createVariable(names[0], "f4", (names[0],))[:] = days
                new[names[0]].units = time_units
            new.createVariable(names[1], "f4", (names[1],))[:] = lat
            new.createVariable(names[2], "f4", (names[2],))[:] = lon
            for key, field in fields.items():
                made = new.createVariable(
                    key, dtype if key == variable else field.dtype, names, fill_value=(encode or {}).get("fill")
                )
                if units is not None:
                    made.units = units if key == variable else "1"
                if key == variable:
                    made.setncatts({k: v for k, v in (encode or {}).items() if k != "fill"})
                made[:] = np.ma.masked_invalid(field) if np.issubdtype(field.dtype, np.floating) else field
            new.setncatts(attrs or {})
        return str(tmp_path / name)

    return make


def line(call, *args, error=InputError, **options):
    """The one line with which a call is refused."""
    with pytest.raises(error) as caught:
        call(*args, **options)
    text = str(caught.value)
    assert "\n" not in text and len(text) > 30
    return text


# -- real files ------------------------------------------------------------------------------------------------------
@needs_shared
@pytest.mark.parametrize(
    ("opener", "pattern", "name", "low", "high", "times"),
    [
        (open_ssh, "ssh/nrt_global*.nc", "ssh", -3, 3, 1),
        (open_ssh, "ssh/dt_blacksea*.nc", "ssh", -1, 1, 1),
        (open_sst, "sst/*.nc", "sst", 15, 32, 1),
        (open_chlorophyll, "chlorophyll/*.nc", "chlorophyll", 0.01, 100, 120),
    ],
)
def test_every_real_file_is_read(opener, pattern, name, low, high, times):
    dataset = opener(str(SHARED / pattern))
    assert dataset[name].dims == ("time", "lat", "lon")
    assert dataset["time"].dtype == np.dtype("datetime64[ns]") and dataset.sizes["time"] == times
    for axis in ("time", "lat", "lon"):
        assert dataset.indexes[axis].is_monotonic_increasing and dataset.indexes[axis].is_unique
    values = dataset[name].values
    assert np.isnan(values).any()
    assert low < np.nanmin(values) < np.nanmax(values) < high
    assert dataset.attrs["time_gaps"] == []


@needs_shared
def test_values_and_places_are_those_of_the_global_file():
    path = next((SHARED / "ssh").glob("nrt_global*.nc"))
    dataset = open_ssh(path)
    assert dataset["ssh"].attrs["source_variable"] == "adt" and {"ugos", "vgos"} <= set(dataset)
    with netCDF4.Dataset(path) as raw:
        j, i = 555, int((343.625 - 0.125) / 0.25)
        expected = float(raw["adt"][0, j, i])
    got = dataset["ssh"].sel(lat=raw_latitude(j), lon=343.625 - 360).item()
    assert got == pytest.approx(expected, abs=1e-6)


def raw_latitude(j):
    return -89.875 + 0.25 * j


@needs_shared
def test_the_share_of_missing_chlorophyll_is_that_of_the_file():
    values = open_chlorophyll(str(SHARED / "chlorophyll" / "*.nc"))["chlorophyll"]
    assert float(values.isnull().mean()) == pytest.approx(0.59, abs=0.01)


def test_the_samples_are_read_and_regridded():
    ssh = around(open_ssh(SAMPLES / "ssh_pap_so.nc"), PAP, 400.0)
    frame = Frame.around(PAP, 400.0, 8.0)
    field = on_frame(ssh["ssh"], frame, method="bicubic")
    assert field.dims == ("time", "y", "x") and field.dtype == np.float32 and field.shape == (1, 100, 100)
    assert np.isfinite(field.values).all() and field.attrs["units"] == "m"
    assert float(field["lon"].values.mean()) == pytest.approx(PAP[0], abs=0.1)
    # the frame shows what the map shows at the nearest point, within the slope of a cell
    nearest = ssh["ssh"][0].sel(lat=field["lat"], lon=field["lon"], method="nearest").values
    assert np.abs(field.values[0] - nearest).max() < 0.1
    assert np.corrcoef(field.values.ravel(), nearest.ravel())[0, 1] > 0.98


def test_the_black_sea_on_a_frame_is_missing_over_land_and_nowhere_else():
    sst = open_sst(SAMPLES / "sst_black_sea.nc")["sst"]
    center = (float(sst["lon"].mean()), float(sst["lat"].mean()))
    field = on_frame(sst, Frame.around(center, 100.0, 8.0), method="bicubic")
    nearest = sst[0].load().sel(lat=field["lat"], lon=field["lon"], method="nearest").values
    land = np.isnan(field.values[0])
    assert land.any() and not land.all()
    # a cell of 8 km holds 2 x 2 samples: it can be known where its middle is not, next to the coast only
    assert (land != np.isnan(nearest)).mean() < 0.1
    assert np.nanmin(sst.values) - 0.1 < np.nanmin(field) and np.nanmax(field) < np.nanmax(sst.values) + 0.1


# -- layouts ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("names", [("time", "latitude", "longitude"), ("time", "lat", "lon")])
@pytest.mark.parametrize("turn", [0, 360])
def test_longitudes_of_either_convention_and_either_name_are_the_same(write, names, turn):
    dataset = open_ssh(write(lon=np.arange(-22.0, -11, 0.25) + turn, names=names))
    np.testing.assert_array_equal(dataset["lon"], np.arange(-22.0, -11, 0.25))
    np.testing.assert_allclose(dataset["ssh"][0], slope(dataset["lon"].values, dataset["lat"].values), atol=1e-6)


def test_a_region_across_greenwich_is_whole_from_0_360_files(write):
    lon = np.concatenate([np.arange(0.125, 5, 0.25), np.arange(355.125, 360, 0.25)])
    dataset = open_ssh(write(lon=lon))
    assert dataset["lon"].values[[0, -1]].tolist() == [-4.875, 4.875]
    np.testing.assert_allclose(dataset["ssh"][0], slope(dataset["lon"].values, dataset["lat"].values), atol=1e-6)


def test_longitudes_that_lead_back_within_the_map_are_refused(write):
    lon = np.arange(-22.0, -11, 0.25)
    lon[3] = 100.0
    with pytest.raises(InputError, match="longitudes are not in order"):
        open_ssh(write(lon=lon))


def test_descending_latitudes_equal_ascending_ones(write):
    up = np.arange(45.0, 53, 0.25)
    first, second = open_ssh(write("up.nc", lat=up)), open_ssh(write("down.nc", lat=up[::-1]))
    xr.testing.assert_allclose(first.load(), second.load())


def test_only_sla_is_told_and_adt_is_preferred(write):
    assert open_ssh(write(variable="sla"))["ssh"].attrs["source_variable"] == "sla"
    both = write(variable="adt", more={"sla": np.zeros((1, 32, 44), "f4")})
    assert open_ssh(both)["ssh"].attrs["source_variable"] == "adt"


def test_hours_since_1950_in_single_precision_are_exact_days(write):
    hours = np.array([604_200.0, 604_224.0, 604_248.0])
    times = open_ssh(write(days=hours, time_units="hours since 1950-01-01"))["time"].values
    assert set(np.diff(times)) == {np.timedelta64(1, "D")}
    assert times[0] == np.datetime64("1950-01-01") + np.timedelta64(604_200, "h")


def test_a_file_without_time_is_dated_by_its_coverage(write):
    path = write(
        variable="chlor_a",
        units="mg m^-3",
        time=False,
        values=np.ones((1, 32, 44)),
        attrs={"time_coverage_start": "2016-07-06T12:00:00Z", "time_coverage_end": "2016-07-07T12:00:00Z"},
    )
    assert open_chlorophyll(path)["time"].values == [np.datetime64("2016-07-07")]


@pytest.mark.parametrize(
    ("units", "value"),
    [("kelvin", 285.15), ("Kelvins", 285.15), ("K", 285.15), ("degC", 12.0), ("degree_Celsius", 12.0), ("Celsius", 12.0)],
)
def test_temperature_is_in_degrees_celsius(write, units, value):
    assert float(
        open_sst(write(variable="SST", units=units, values=np.full((1, 32, 44), value)))["sst"][0, 0, 0]
    ) == pytest.approx(12.0, abs=1e-4)


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")
def test_packed_kelvin_is_exact_to_the_step_of_packing(write):
    celsius = np.linspace(-1.8, 30, 32 * 44).round(2).reshape(1, 32, 44)
    celsius[0, 3, 4] = np.nan
    path = write(
        variable="analysed_sst",
        units="kelvin",
        dtype="i2",
        values=celsius + 273.15,
        encode={
            "fill": np.int16(-32768),
            "scale_factor": np.float32(0.01),
            "add_offset": np.float32(273.15),
            "valid_min": np.int16(-300),
        },
    )
    got = open_sst(path)["sst"].values
    np.testing.assert_allclose(got, celsius, atol=2e-4)
    assert np.isnan(got[0, 3, 4]) and np.isnan(got).sum() == 1


@pytest.mark.parametrize(
    ("attribute", "flags", "meanings"),
    [
        ("flag_masks", [1, 2, 4, 8], "water land optional_lake_surface sea_ice"),
        ("flag_values", [1, 2, 3, 4], "sea land lake ice"),
    ],
)
def test_land_and_ice_are_hidden_by_the_mask(write, attribute, flags, meanings):
    mask = np.ones((1, 32, 44), "i1")
    mask[0, 0, 0] = flags[1]
    mask[0, 0, 1] = flags[3] + (1 if attribute == "flag_masks" else 0)
    path = write(variable="analysed_sst", units="kelvin", values=np.full((1, 32, 44), 280.0), more={"mask": mask})
    with netCDF4.Dataset(path, "a") as file:
        file["mask"].setncatts({attribute: np.array(flags, "i1"), "flag_meanings": meanings})
    got = open_sst(path)["sst"].values
    assert np.isnan(got[0, 0, :2]).all() and np.isfinite(got).sum() == got.size - 2


def test_poor_quality_is_hidden(write):
    quality = np.full((1, 32, 44), 5, "i1")
    quality[0, 1, 1] = 3
    path = write(variable="sst", units="K", values=np.full((1, 32, 44), 280.0), more={"quality_level": quality})
    got = open_sst(path)["sst"].values
    assert np.isnan(got[0, 1, 1]) and np.isnan(got).sum() == 1


@pytest.mark.parametrize(
    ("units", "factor"), [("milligram m-3", 1), ("mg m-3", 1), ("mg/m3", 1), ("mg m^-3", 1), ("kg m-3", 1e6)]
)
def test_chlorophyll_is_in_mg_m3_and_undeclared_fill_is_missing(write, units, factor):
    values = np.full((1, 32, 44), 0.5 / factor)
    values[0, 0, 0] = -999
    got = open_chlorophyll(write(variable="CHL", units=units, values=values))["chlorophyll"].values
    assert np.isnan(got[0, 0, 0]) and got[0, 0, 1] == pytest.approx(0.5)


def test_globcolour_s_own_name_of_chlorophyll_is_known(write):
    path = write(variable="CHL1_mean", units="mg/m3", values=np.full((1, 32, 44), 0.5))
    assert open_chlorophyll(path)["chlorophyll"].attrs["source_variable"] == "CHL1_mean"


@pytest.mark.parametrize(("units", "value", "told"), [("kelvin", 12.0, "12"), ("degC", 285.15, "285.1")])
def test_temperatures_of_another_unit_than_they_say_are_refused(write, units, value, told):
    dataset = open_sst(write(variable="sst", units=units, values=np.full((1, 32, 44), value)))
    text = line(dataset["sst"].load)
    assert "maps.nc" in text and f"about {told}" in text and units in text
    # a map of nothing but an undeclared fill value is missing, not mistaken
    empty = open_sst(write("empty.nc", variable="sst", units=units, values=np.full((1, 32, 44), -999.0)))
    assert np.isnan(empty["sst"].values).all()


@pytest.mark.parametrize(
    "bounds", [{"valid_min": np.float32(0.1), "valid_max": np.float32(2.0)}, {"valid_range": np.array([0.1, 2.0], "f4")}]
)
def test_values_beyond_the_declared_range_are_missing(write, bounds):
    values = np.full((1, 32, 44), 0.5)
    values[0, 0, :3] = 0.05, 3.0, 2.0
    got = open_chlorophyll(write(variable="CHL", units="mg m-3", values=values, encode=bounds))["chlorophyll"].values
    assert np.isnan(got[0, 0, :2]).all() and np.isnan(got).sum() == 2


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")
@pytest.mark.parametrize(
    "bounds",
    [
        {"valid_min": np.int16(0), "valid_max": np.int16(2000)},
        {"valid_range": np.array([0, 2000], "i2")},
        {"valid_min": np.float32(273.15), "valid_max": np.float32(293.15)},
    ],
)
def test_the_range_of_packed_values_is_in_either_unit(write, bounds):
    celsius = np.full((1, 32, 44), 15.0)
    celsius[0, 0, :2] = -1.0, 25.0
    packing = {"fill": np.int16(-32768), "scale_factor": np.float32(0.01), "add_offset": np.float32(273.15)}
    path = write(variable="analysed_sst", units="kelvin", dtype="i2", values=celsius + 273.15,
                 encode=packing | bounds)  # fmt: skip
    got = open_sst(path)["sst"].values
    assert np.isnan(got[0, 0, :2]).all() and np.isnan(got).sum() == 2
    one = {name: bound for name, bound in bounds.items() if name == "valid_min"}
    path = write("one.nc", variable="analysed_sst", units="kelvin", dtype="i2", values=celsius + 273.15, encode=packing | one)
    assert np.isnan(open_sst(path)["sst"].values).sum() == len(one)


def test_time_is_unpacked_and_its_missing_value_refused(write):
    path = write(days=(0, 2, 4))
    with netCDF4.Dataset(path, "a") as file:
        file["time"].setncatts({"scale_factor": 0.5, "add_offset": 10.0})
    found = open_ssh(path)["time"].values
    assert found.astype("datetime64[D]").tolist() == (np.datetime64("2000-01-11") + np.arange(3)).tolist()
    path = write("missing.nc", days=(0, 2, -999))
    with netCDF4.Dataset(path, "a") as file:
        file["time"].missing_value = np.float32(-999)
    assert "missing values" in line(open_ssh, path)


@pytest.mark.parametrize("day", [-1e5, 1e5, 2e5, 1e8])
def test_a_time_beyond_all_dates_is_refused_and_does_not_wrap(write, day):
    text = line(open_ssh, write(days=(day,)))
    assert "days since 2000-01-01" in text and "maps.nc: time" in text


def test_a_time_that_is_all_cloud_is_kept(write):
    values = np.full((3, 32, 44), 0.5)
    values[1] = np.nan
    path = write(variable="CHL", units="mg m-3", values=values, days=(0, 1, 2), encode={"fill": np.float32(-999)})
    dataset = around(open_chlorophyll(path), PAP, 200.0)
    assert dataset.sizes["time"] == 3 and dataset.attrs["time_gaps"] == []
    field = on_frame(dataset["chlorophyll"], Frame.around(PAP, 200.0, 8.0), method="linear")
    assert np.isnan(field[1]).all() and np.isfinite(field[0]).all()


# -- many files ------------------------------------------------------------------------------------------------------
def test_files_in_any_order_give_times_in_order_and_gaps_in_words(write, tmp_path):
    paths = [write(f"ssh_{day}.nc", days=(day,)) for day in (9, 0, 2, 1, 3)]
    dataset = open_ssh(paths)
    assert (np.diff(dataset["time"].values) > np.timedelta64(0)).all()
    np.testing.assert_allclose(dataset["ssh"][:, 0, 0] - dataset["ssh"][0, 0, 0], [0, 1, 2, 3, 9], atol=1e-5)
    (gap,) = dataset.attrs["time_gaps"]
    assert "2000-01-04" in gap and "2000-01-10" in gap and "5 missing" in gap
    xr.testing.assert_equal(open_ssh(str(tmp_path / "ssh_*.nc")).load(), dataset.load())


def test_maps_that_are_not_daily_and_many_gaps_are_told(write):
    daily = np.array([day for day in range(40) if day % 8 != 5])
    notes = time_notes(open_ssh(write(days=tuple(daily))), "SSH")
    assert len(notes) == 4 and notes[0].startswith("SSH: no maps between 2000-01-05") and notes[-1] == "SSH: 2 more such gaps"
    (note,) = time_notes(open_ssh(write("monthly.nc", days=(0, 31, 59, 90))), "SSH")
    assert note == "SSH: one map every 31 days, where the method asks for daily ones"
    assert time_notes(open_ssh(write("one.nc")), "SSH") == []


def test_looking_into_many_files_tells_how_far_it_is(write, monkeypatch):
    import data.satellite as module

    told = []
    monkeypatch.setattr(module.Progress, "update", lambda self, done, total, note="": told.append((self.title, done, total)))
    open_ssh([write(f"{day}.nc", days=(day,)) for day in range(3)])
    assert told == [("looking into the files of sea surface height", done, 3) for done in (1, 2, 3)]


@pytest.mark.parametrize("flip", [False, True])
def test_reprocessed_wins_over_near_real_time_else_the_later_file(write, flip):
    one = np.ones((1, 32, 44))
    late, near = write("dt_global.nc", values=one), write("nrt_global.nc", values=2 * one)
    assert float(open_ssh([near, late][:: -1 if flip else 1])["ssh"][0, 0, 0]) == 1
    a, b = write("a.nc", values=3 * one), write("b.nc", values=4 * one)
    assert float(open_ssh([a, b][:: -1 if flip else 1])["ssh"][0, 0, 0]) == (3 if flip else 4)


def test_the_title_tells_where_the_name_does_not(write):
    one = np.ones((1, 32, 44))
    late = write("a.nc", values=one, attrs={"title": "DT merged all satellites Global Ocean"})
    near = write("b.nc", values=2 * one, attrs={"title": "NRT merged all satellites Global Ocean"})
    assert float(open_ssh([late, near])["ssh"][0, 0, 0]) == 1


def test_opening_reads_no_values_and_indexing_reads_no_more_than_asked(write, monkeypatch):
    path = write(days=(0, 1, 2))
    asked = []
    read = MapFile.read

    def spy(self, names, records, rows, columns):
        asked.append((list(records), len(rows), len(columns)))
        return read(self, names, records, rows, columns)

    monkeypatch.setattr(MapFile, "read", spy)
    piece = around(open_ssh(path), PAP, 100.0)
    assert asked == []
    piece["ssh"].isel(time=1).load()
    assert asked == [([1], piece.sizes["lat"], piece.sizes["lon"])]
    assert piece.sizes["lat"] < 32
    asked.clear()
    on_frame(piece["ssh"], Frame.around(PAP, 100.0, 8.0), method="bicubic")
    assert [records for records, _, _ in asked] == [[0, 1, 2]]  # the file is opened once for all
    asked.clear()
    monkeypatch.setattr(lonlat, "MAPS_READ", 2)
    on_frame(piece["ssh"], Frame.around(PAP, 100.0, 8.0), progress=lambda done, of: asked.append((done, of)))
    assert [one[0] for one in asked] == [[0, 1], 1, 2, [2], 3]  # no more are held than are read at a time


@pytest.mark.parametrize("order", [("time", "depth", "lat", "lon"), ("lat", "time", "lon"), ("lon", "lat", "time")])
def test_records_that_follow_each_other_are_read_together_and_are_those_asked_for(tmp_path, monkeypatch, order):
    """In whatever order the file has its dimensions, with records left out, and rows and columns turned round."""
    values = np.random.default_rng(8).random((7, 5, 6)).astype("f4")
    with netCDF4.Dataset(tmp_path / "maps.nc", "w") as new:
        for axis, size in (("time", 7), ("lat", 5), ("lon", 6), ("depth", 1)):
            new.createDimension(axis, size)
        for name, axis in (("time", np.arange(7.0)), ("lat", np.arange(50.0, 45, -1)), ("lon", np.arange(-20.0, -14))):
            new.createVariable(name, "f8", (name,))[:] = axis
        new["time"].units = "days since 2000-01-01"
        held = new.createVariable("chl", "f4", order)
        held.units = "mg m-3"
        maps = xr.DataArray(values, dims=("time", "lat", "lon"))
        held[:] = maps.transpose(*(name for name in order if name != "depth")).values.reshape(held.shape)
    monkeypatch.setattr("data.map_file.AT_ONCE", 3)
    assert [places.tolist() for places in map_file._together([0, 1, 2, 3, 6, 7, 5])] == [[0, 1, 2], [3], [4, 5], [6]]
    maps, expected = open_chlorophyll(str(tmp_path / "maps.nc"))["chlorophyll"], values[:, ::-1]
    np.testing.assert_array_equal(maps.values, expected)
    np.testing.assert_array_equal(maps[[0, 1, 4, 5, 6], 1:4, [0, 1, 5]].values, expected[[0, 1, 4, 5, 6], 1:4][:, :, [0, 1, 5]])
    np.testing.assert_array_equal(maps[[5, 2]].values, expected[[5, 2]])


# -- what is beyond help ---------------------------------------------------------------------------------------------
def test_bad_input_is_one_line(write, tmp_path):
    assert "analysed_sst" in line(open_ssh, write("sst.nc", variable="analysed_sst", units="K"))
    assert "furlong" in line(open_ssh, write("u.nc", units="furlong"))
    assert "no units" in line(open_ssh, write("n.nc", units=None))
    assert "matches" in line(open_ssh, str(tmp_path / "nothing*.nc"))
    assert "no such file" in line(open_ssh, tmp_path / "nothing.nc")
    assert "no file" in line(open_sst, [])
    assert "folder" in line(open_ssh, tmp_path)
    (tmp_path / "text.nc").write_text("hello")
    assert "not a netCDF" in line(open_ssh, tmp_path / "text.nc")
    assert "no time" in line(open_ssh, write("t.nc", time=False))
    assert "'days'" in line(open_ssh, write("d.nc", time_units="days"))
    assert "one grid" in line(open_ssh, [write("a.nc"), write("b.nc", lat=np.arange(45.0, 53, 0.125))])
    assert "all hold" in line(open_ssh, [write("a.nc"), write("c.nc", variable="sla", days=(1,))])
    whole = Path(write("whole.nc")).read_bytes()
    (tmp_path / "cut.nc").write_bytes(whole[: len(whole) // 2])
    assert "cut.nc" in line(open_ssh, tmp_path / "cut.nc")


def test_a_swath_is_refused(tmp_path):
    xr.Dataset(
        {"adt": (("time", "y", "x"), np.zeros((1, 5, 5)), {"units": "m"})},
        {"lat": (("y", "x"), np.zeros((5, 5))), "lon": (("y", "x"), np.zeros((5, 5)))},
    ).to_netcdf(tmp_path / "swath.nc")
    assert "regular grid" in line(open_ssh, tmp_path / "swath.nc")


def test_a_region_that_misses_the_frame_says_what_to_give_and_that_suffices(write):
    text = line(around, open_ssh(write()), PAP, 490.0)
    assert "-22 to -11.25" in text and "give files for at least" in text
    west, east, south, north = (float(word.strip(",")) for word in np.array(text.split("at least ")[1].split())[[1, 3, 5, 7]])
    wide = write("wide.nc", lon=np.arange(west + 0.2, east, 0.25), lat=np.arange(south + 0.2, north, 0.25))
    assert np.isfinite(on_frame(around(open_ssh(wide), PAP, 490.0)["ssh"], Frame.around(PAP, 490.0, 8.0))).all()
    assert "pole" in line(around, open_ssh(write()), (0.0, 88.0), 490.0)
    assert "not over the frame" in line(on_frame, open_ssh(write())["ssh"], Frame.around((100.0, 0.0), 100.0, 8.0))


# -- regridding ------------------------------------------------------------------------------------------------------
LON, LAT = np.arange(-22.0, -11, 0.25), np.arange(45.0, 53, 0.25)
FRAME = Frame.around(PAP, 200.0, 8.0)
METHODS = pytest.mark.parametrize("method", ["linear", "bicubic"])


def places(frame):
    east, north = np.meshgrid(frame.x, frame.y)
    return lon_lat(east, north, *frame.center)


@METHODS
def test_a_slope_in_degrees_is_exact(method):
    lon, lat = places(FRAME)
    got = LonLatRegridder(LON, LAT, FRAME, method)(3 * LON[None, :] - 2 * LAT[:, None])
    np.testing.assert_allclose(got, 3 * lon - 2 * lat, rtol=1e-6)


def test_each_method_is_exact_for_its_own_polynomials():
    lon, lat = places(FRAME)

    def field(x, y, power):
        return ((x - PAP[0]) ** power) * ((y - PAP[1]) ** power)

    bilinear = LonLatRegridder(LON, LAT, FRAME, "linear")(field(LON[None, :], LAT[:, None], 1))
    np.testing.assert_allclose(bilinear, field(lon, lat, 1), atol=1e-5)
    cubic = LonLatRegridder(LON, LAT, FRAME, "bicubic")(field(LON[None, :], LAT[:, None], 3))
    np.testing.assert_allclose(cubic, field(lon, lat, 3), atol=5e-3 * np.abs(field(lon, lat, 3)).max())
    parabola = LonLatRegridder(LON, LAT, FRAME, "linear")(np.broadcast_to((LON - PAP[0]) ** 2, (LAT.size, LON.size)))
    assert np.abs(parabola - (lon - PAP[0]) ** 2).max() == pytest.approx(0.25**2 / 4, rel=0.05)


@METHODS
def test_where_the_product_is_finer_cells_are_means_and_a_slope_stays_exact(method):
    lon, lat = np.arange(-21, -12, 0.05), np.arange(46, 52, 0.04)
    regrid = LonLatRegridder(lon, lat, FRAME, method)
    place_lon, _ = places(FRAME)
    got = regrid(np.broadcast_to(lon, (lat.size, lon.size)))
    np.testing.assert_allclose(got, place_lon, atol=1e-4)
    # noise of the fine cells is averaged
    noise = np.random.default_rng(0).normal(size=(lat.size, lon.size))
    assert np.nanstd(regrid(noise)) < 0.75


@METHODS
@pytest.mark.parametrize("step", [0.25, 0.05])
def test_land_does_not_smear_nor_ring(method, step):
    lon, lat = np.arange(-22.0, -11, step), np.arange(46.0, 52, step)
    coast = PAP[0] + 0.3
    field = np.where(lon[None, :] < coast, 10.0, np.nan) + 0 * lat[:, None]
    got = LonLatRegridder(lon, lat, FRAME, method)(field)
    place_lon, _ = places(FRAME)
    known = np.isfinite(got)
    np.testing.assert_allclose(got[known], 10.0, rtol=1e-6)
    # half a cell of the product, or half a cell of the frame where that is larger
    reach = max(step / 2, 4.0 / 111.2 / np.cos(np.deg2rad(52)) + step / 2) if step < 0.1 else step / 2
    last = lon[lon < coast].max()
    assert place_lon[known].max() <= last + reach + 1e-6
    assert known[place_lon < last].all()


@METHODS
def test_the_antimeridian_is_no_seam(method):
    lat = np.arange(-5.0, 5, 0.25)
    base = np.arange(-180, 180, 0.25) + 0.125
    rng = np.random.default_rng(1)
    field = rng.normal(size=(lat.size, base.size))
    shifted = np.roll(field, base.size // 2, axis=1)  # what stood at 0 now stands at 180
    here = LonLatRegridder(base, lat, Frame.around((0.0, 0.0), 200.0, 8.0), method)(field)
    for center in (180.0, -180.0):
        there = LonLatRegridder(base, lat, Frame.around((center, 0.0), 200.0, 8.0), method)(shifted)
        np.testing.assert_allclose(there, here, atol=1e-5)


@METHODS
def test_a_cut_across_the_antimeridian_equals_the_same_field_elsewhere(write, method):
    lat, base = np.arange(-6.0, 6, 0.5), np.arange(-180, 180, 0.5)
    field = np.random.default_rng(1).normal(size=(1, lat.size, base.size))
    here = open_ssh(write("a.nc", lon=base, lat=lat, values=field))
    there = open_ssh(write("b.nc", lon=base + 180, lat=lat, values=field))
    results = []
    for dataset, center in ((here, (0.0, 0.0)), (there, (180.0, 0.0)), (there, (-180.0, 0.0))):
        piece = around(dataset, center, 200.0)
        assert (np.diff(piece["lon"]) > 0).all() and np.ptp(piece["lon"].values) < 20
        results.append(on_frame(piece["ssh"], Frame.around(center, 200.0, 8.0), method=method).values)
    np.testing.assert_allclose(results[1], results[0], atol=1e-5)
    np.testing.assert_allclose(results[2], results[0], atol=1e-5)


def test_maps_that_come_one_by_one_find_their_places_once(monkeypatch):
    values = np.random.default_rng(1).normal(size=(3, LAT.size, LON.size)).astype(np.float32)
    maps = xr.DataArray(values, dims=("time", "lat", "lon"), coords={"time": np.arange(3), "lat": LAT, "lon": LON}, name="map")
    frame, made = Frame.around(PAP, 200.0, 8.0), []
    together = on_frame(maps, Frame.around(PAP, 200.0, 8.0))
    monkeypatch.setattr(lonlat, "LonLatRegridder", lambda *given: made.append(given) or LonLatRegridder(*given))
    for time in range(3):
        xr.testing.assert_identical(on_frame(maps.isel(time=[time]), frame), together.isel(time=[time]))
    assert len(made) == 1
    on_frame(maps, frame, method="linear")
    on_frame(maps.isel(lon=slice(None, None, 2)), frame)
    assert len(made) == 3  # another method, other points


def test_impossible_regridding_is_one_line():
    assert "'nearest'" in line(LonLatRegridder, LON, LAT, FRAME, "nearest", error=OptionError)
    assert "at least 4 x 4" in line(LonLatRegridder, LON[:3], LAT, FRAME)
    assert "twice" in line(LonLatRegridder, np.append(LON, LON[0]), LAT, FRAME)


@pytest.mark.parametrize("attribute", ["scale_factor", "add_offset", "valid_min", "valid_range"])
def test_text_where_an_attribute_must_be_a_number_is_one_line(write, attribute):
    path = write()
    with netCDF4.Dataset(path, "a") as file:
        file["adt"].setncattr(attribute, "a lot")
    with pytest.raises(InputError, match=rf"adt cannot be decoded.*correct {attribute}"):
        open_ssh(path)["ssh"].values  # noqa: B018
    if attribute in ("scale_factor", "add_offset"):
        with netCDF4.Dataset(path, "a") as file:
            file["time"].setncattr(attribute, "a lot")
        with pytest.raises(InputError, match=rf"time cannot be decoded.*correct {attribute}"):
            open_ssh(path)


def test_times_that_are_no_binary_fractions_are_whole_seconds(write):
    path = write()
    with netCDF4.Dataset(path, "a") as file:
        file.renameVariable("time", "other")
        time = file.createVariable("time", "f8", ("time",))
        time.units = "days since 1950-01-01"
        time[:] = 18262 + 1 / 3 - 4e-9  # as tools round it
    assert open_ssh(path)["time"].values[0] == np.datetime64("2000-01-01T08:00:00")


def test_a_cut_gives_the_values_of_the_whole_map():
    """The cubic spline feels all points: what is kept around the frame makes the rest negligible."""
    lon, lat = np.arange(-60.0, 30, 0.5), np.arange(10.0, 80, 0.5)
    values = np.random.default_rng(0).normal(size=(1, lat.size, lon.size)).astype("f4")
    frame = Frame.around(PAP, 400.0, 16.0)
    coords = {"time": [np.datetime64("2000-01-01", "ns")], "lat": lat, "lon": lon}
    maps = xr.DataArray(values, coords, ("time", "lat", "lon"))
    np.testing.assert_allclose(on_frame(maps, frame).values[0], LonLatRegridder(lon, lat, frame)(values[0]), atol=1e-4)
