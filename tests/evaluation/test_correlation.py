"""Flux against chlorophyll by lag: the arrays against plain loops, planted lags, and the command on made-up files."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from data.command import run_command
from data.frame import Frame
from data.netcdf import write_dataset
from data.sphere import lon_lat
from data.trap_flux import read_flux
from evaluation import cross_correlation as cc
from evaluation.chlorophyll import wanted_span
from evaluation.correlation import CorrelationConfig, main
from evaluation.cross_correlation import DailyMaps, Predictions
from evaluation.figures.canvas import name_ocean
from evaluation.figures.flux import example_cups, figure_8, figure_9
from evaluation.intervals import draw_blocks
from evaluation.scores import BOXES_KM, box_pdf
from lagrangian.binning import bin_centres

TRAP = (-16.5, 49.0)
DAY = np.timedelta64(1, "D")
CELLS, SPACING = 12, 32.0
AXIS = (np.arange(CELLS) - (CELLS - 1) / 2) * SPACING
BOXES = {name: box_pdf(width, AXIS, AXIS).ravel() for name, width in BOXES_KM.items()}


def dates(first: str, days) -> np.ndarray:
    return np.datetime64(first, "s") + (np.asarray(days, float) * 86400).astype("timedelta64[s]")


def blob(x0: float, y0: float, width: float = 50.0) -> np.ndarray:
    """(y, x) PDF, a Gaussian about (x0, y0) km."""
    pdf = np.exp(-((AXIS[None, :] - x0) ** 2 + (AXIS[:, None] - y0) ** 2) / (2 * width**2))
    return pdf / pdf.sum()


def wandering(times: np.ndarray, seed: int) -> np.ndarray:
    """(time, y, x) PDFs whose centres jump about."""
    rng = np.random.default_rng(seed)
    return np.stack([blob(*rng.uniform(-120, 120, 2)) for _ in times]).astype(np.float32)


def patchy(times: np.ndarray, seed: int) -> np.ndarray:
    """(time, y, x) chlorophyll that changes over 15 days and 100 km."""
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(np.random.default_rng(seed).standard_normal((len(times), CELLS, CELLS)), (6, 1.5, 1.5), mode="wrap")
    return (0.3 * np.exp(1.5 * noise / noise.std())).astype(np.float32)


# -- speeds and lags -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("lag", "speed"),
    [
        (0, 300),
        (11.9, 300),
        (12, 200),
        (17.9, 200),
        (18, 150),
        (24.9, 150),
        (25, 100),
        (33.9, 100),
        (34, 80),
        (110, 80),
        (-9, 300),
    ],
)
def test_sinking_speed_of_a_lag(lag, speed):
    assert cc.sinking_speed(lag) == speed


def test_lags_are_in_proportion_to_the_ascent():
    """A trap at 1000 m, 800 m below the export depth: 80 m/d is its lag of ten days, as it is that of 35 days at 3000 m."""
    assert [cc.sinking_speed(lag, 800.0) for lag in (3.4, 3.5, 5.2, 7.2, 10)] == [300, 200, 150, 100, 80]
    assert cc.sinking_speed(10) == cc.sinking_speed(10, 2800.0) == 300


def test_nearest_speed_and_the_slower_of_two():
    assert cc.nearest_speed(300, [80, 200]) == 200
    assert cc.nearest_speed(150, [200, 100]) == 100


def test_lag_grid_holds_its_ends():
    assert cc.lag_grid(0, 110, 3).tolist() == list(range(0, 109, 3))
    for last in (0.7, 1.0):  # 0.7 / 0.1 is less than 7
        np.testing.assert_allclose(cc.lag_grid(0, last, 0.1)[-1], last)
    assert cc.lag_grid(5, 5, 3).tolist() == [5]


# -- windows ---------------------------------------------------------------------------------------------------------
def test_daily_maps_window_is_inclusive_at_both_ends_and_gaps_are_ignored():
    values = np.array([[1.0, np.nan], [2.0, np.nan], [4.0, 5.0], [8.0, np.nan]])
    for hour in (0.0, 0.5, 0.99):  # whatever the hour that daily maps are dated at
        maps = DailyMaps.of(dates("2001-01-01", np.arange(4) + hour), [values[:3], values[3:]], 2)
        mean = maps.mean(dates("2001-01-01", [1, 0, 3, 1.1]), dates("2001-01-01", [2, 1, 9, 1.9]))
        np.testing.assert_allclose(mean, [[3.0, 5.0], [1.5, np.nan], [8.0, np.nan], [np.nan, np.nan]])


def test_a_composite_counts_for_each_of_its_days_in_the_window():
    rng = np.random.default_rng(0)
    starts, length = np.array([0, 8, 16, 30]), np.array([8, 8, 5, 8])
    maps = np.where(rng.random((4, 30)) < 0.3, np.nan, rng.random((4, 30)))
    origin = np.datetime64("2001-01-01")
    found = cc.DailyMaps.of(origin + starts.astype("m8[D]"), [maps[:3], maps[3:]], 30, length)
    daily = np.full((40, 30), np.nan)
    for start, days, values in zip(starts, length, maps, strict=True):
        daily[start : start + days] = values
    first = rng.integers(0, 30, 50)
    last = first + rng.integers(0, 12, 50)
    days_of = [daily[a : b + 1] for a, b in zip(first, last, strict=True)]
    counts = np.array([np.isfinite(days).sum(axis=0) for days in days_of])
    expected = np.where(counts > 0, [np.nansum(days, axis=0) for days in days_of] / np.maximum(counts, 1), np.nan)
    windows = (origin + days.astype("m8[D]") for days in (first, last))
    np.testing.assert_allclose(found.mean(*(days.astype("M8[s]") for days in windows)), expected, rtol=1e-9)


def test_chlorophyll_is_wanted_from_the_longest_lag_before_the_first_cup_to_the_last_cups_margin():
    opening, closing = pd.to_datetime(["2009-05-01", "2010-05-01"]), pd.to_datetime(["2009-05-11", "2010-05-21"])
    flux = pd.DataFrame({"open": opening, "close": closing})
    for lags, first, last in (((0, 30), "2009-01-06", "2010-05-26"), ((-10, 150), "2008-11-27", "2010-06-05")):
        assert wanted_span(flux, np.array(lags)) == (np.datetime64(first), np.datetime64(last))


def test_daily_maps_want_as_many_maps_as_times():
    with pytest.raises(ValueError, match="3 maps for 4 times"):
        DailyMaps.of(dates("2001-01-01", range(4)), [np.zeros((3, 2))], 2)


def test_predictions_in_a_window_its_ends_included_else_the_nearest():
    one = Predictions(80.0, dates("2001-01-01", [0, 10, 20, 30]), np.zeros((4, 1)))
    first = dates("2001-01-01", [10, 10.1, 11, 13, -5, -5.5, 33, 36])
    last = dates("2001-01-01", [20, 30, 14, 17, -1, -5.2, 34, 37])
    begin, length = one.runs(first, last)
    # 20 excluded on neither side; 11..14 is nearer to 10; 13..17 is as near to 10 as to 20; -5.2 and 36 are too far
    assert list(zip(begin[:5], length[:5])) == [(1, 2), (2, 2), (1, 1), (1, 1), (0, 1)]
    assert length[5:].tolist() == [0, 1, 0]
    assert begin[6] == 3


def test_one_prediction_has_no_interval():
    one = Predictions(80.0, dates("2001-01-01", [0]), np.zeros((1, 1)))
    assert one.runs(dates("2001-01-01", [0, 1]), dates("2001-01-01", [1, 2]))[1].tolist() == [1, 0]


def test_cup_is_dropped_where_more_than_99_percent_of_its_catchment_is_clouded():
    pdf = np.zeros((1, 200))
    pdf[0, :3] = 0.980, 0.0099, 0.0101
    for cell, kept in ((1, False), (2, True)):
        chlorophyll = np.full((1, 200), np.nan)
        chlorophyll[0, cell] = 7.0
        chlorophyll[0, 50:] = 1.0  # data elsewhere does not help
        found = cc.WeightedSums.of(chlorophyll, pdf).chlorophyll(np.zeros(1, int), np.ones(1, int))
        np.testing.assert_allclose(found, [7.0 if kept else np.nan])


@pytest.mark.parametrize("cloud", ["none", "the same cells of every cup", "other cells of each cup"])
def test_sums_are_those_over_the_cells_that_each_cup_sees(cloud):
    """Without clouds, or with land alone, one row of what is seen stands for all cups."""
    rng = np.random.default_rng(5)
    chlorophyll, pdfs = rng.uniform(0.1, 3.0, (4, 30)), [rng.dirichlet(np.ones(30), n) for n in (6, 1)]
    if cloud != "none":
        chlorophyll[:, :9] = np.nan
    if cloud.startswith("other"):
        chlorophyll[2, 9:20] = np.nan
    for pdf, found in zip(pdfs, cc.WeightedSums.each(chlorophyll, pdfs), strict=True):
        for cup, values in enumerate(chlorophyll):
            clear = np.isfinite(values)
            for begin, length in ((0, 1), (0, len(pdf)), (len(pdf) - 1, 1)):
                mean = pdf[begin : begin + length].mean(axis=0)
                expected = (mean[clear] * values[clear]).sum() / mean[clear].sum()
                assert found.chlorophyll(np.full(4, begin), np.full(4, length))[cup] == pytest.approx(expected, rel=1e-12)


# -- the whole against plain loops -----------------------------------------------------------------------------------
def slow_catchment_chlorophyll(lag, opening, closing, days, chlorophyll, times, pdfs):
    """Appendix C, word by word, one cup: chlorophyll (day, cell), pdfs (time, cell)."""
    first, last = opening - lag * DAY, closing - lag * DAY
    inside = [k for k, time in enumerate(times) if first <= time <= last]
    if not inside:
        away = [max((first - time) / DAY, (time - last) / DAY) for time in times]
        k = int(np.argmin(away))
        if away[k] > np.median(np.diff(times) / DAY) / 2:
            return np.nan, 0
        inside = [k]
    p = np.mean([pdfs[k].astype(float) for k in inside], axis=0)
    return slow_weighted(first, last, days, chlorophyll, p), len(inside)


def slow_weighted(first, last, days, chlorophyll, p):
    used = [k for k, day in enumerate(days) if first - 5 * DAY <= day <= last + 5 * DAY]
    top = bottom = 0.0
    for cell in range(p.size):
        values = [chlorophyll[k, cell] for k in used if np.isfinite(chlorophyll[k, cell])]
        if values:
            top += p[cell] * np.mean(values, dtype=float)
            bottom += p[cell]
    return top / bottom if bottom >= 0.01 * p.sum() else np.nan


@pytest.fixture(scope="module")
def case():
    """Half a year of cups of 4 to 30 days, cloudy chlorophyll, two speeds, one of which begins late."""
    rng = np.random.default_rng(3)
    days = dates("2001-01-01", np.arange(260))
    chlorophyll = patchy(days, 1).reshape(260, -1)
    chlorophyll[rng.random(chlorophyll.shape) < 0.9] = np.nan
    chlorophyll[100:150, :-40] = np.nan  # weeks under cloud, but for the north
    edges = dates("2001-03-15", np.cumsum(rng.choice([0, 4, 7, 14, 30], 14)))
    opening, closing = edges[:-1][np.diff(edges) > 0 * DAY], edges[1:][np.diff(edges) > 0 * DAY]
    predictions = {
        80.0: Predictions(80.0, dates("2000-12-20", 10.0 * np.arange(26)), wandering(range(26), 4).reshape(26, -1)),
        300.0: Predictions(300.0, dates("2001-05-02", 10.0 * np.arange(12)), wandering(range(12), 5).reshape(12, -1)),
    }
    return days, chlorophyll, opening, closing, predictions


def test_lagged_chlorophyll_equals_plain_loops(case):
    days, chlorophyll, opening, closing, predictions = case
    maps = DailyMaps.of(days, [chlorophyll[:100], chlorophyll[100:]], chlorophyll.shape[1])
    lags = [0.0, 9.0, 12.0, 30.0, 45.0]
    found = cc.lagged_chlorophyll(opening, closing, lags, maps, predictions, BOXES, draws=5, seed=2)
    assert found.speeds.tolist() == [300.0, 300.0, 300.0 if abs(300 - 200) < abs(80 - 200) else 80.0, 80.0, 80.0]
    uniform = np.random.default_rng(2).random((5, opening.size))
    missing = 0
    for number, lag in enumerate(lags):
        used = predictions[found.speeds[number]]
        for cup in range(opening.size):
            whole_days = np.timedelta64(int(lag), "D") / DAY
            slow, length = slow_catchment_chlorophyll(
                int(whole_days), opening[cup], closing[cup], days, chlorophyll, used.times, used.pdf
            )
            np.testing.assert_allclose(found.series["catchment"][number, cup], slow, rtol=1e-6)
            assert found.clouded[number, cup] == (length > 0 and np.isnan(slow))
            missing += length == 0
            first, last = opening[cup] - int(lag) * DAY, closing[cup] - int(lag) * DAY
            for name, box in BOXES.items():
                slow = slow_weighted(first, last, days, chlorophyll, box)
                np.testing.assert_allclose(found.series[name][number, cup], slow, rtol=1e-6)
            for draw in range(5):
                start = int(uniform[draw, cup] * (len(used.times) - length + 1))
                p = used.pdf[start : start + length].astype(float)
                slow = slow_weighted(first, last, days, chlorophyll, p.mean(axis=0)) if length else np.nan
                np.testing.assert_allclose(found.random[draw, number, cup], slow, rtol=1e-6)
    assert 0 < missing < 2 * opening.size  # some cups have none, so that the branch was walked
    assert found.clouded.any() or np.isfinite(found.series["catchment"]).all()


def test_random_envelope_is_that_of_the_seed_whatever_the_other_lags(case):
    days, chlorophyll, opening, closing, predictions = case
    maps = DailyMaps.of(days, [chlorophyll], chlorophyll.shape[1])

    def draw(lags, seed):
        return cc.lagged_chlorophyll(opening, closing, lags, maps, predictions, BOXES, draws=20, seed=seed).random

    many = draw([30.0, 45.0], 0)
    np.testing.assert_array_equal(many, draw([30.0, 45.0], 0))
    np.testing.assert_array_equal(many[:, 1:], draw([45.0], 0))
    assert not np.array_equal(many, draw([30.0, 45.0], 1), equal_nan=True)


# -- scores ----------------------------------------------------------------------------------------------------------
def test_r_squared_is_that_of_a_straight_line():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 40))
    y = y + 0.7 * x
    slope, intercept = np.polyfit(x, y, 1)
    line = 1 - ((y - slope * x - intercept) ** 2).sum() / ((y - y.mean()) ** 2).sum()
    gaps = np.where(np.arange(44) < 40, np.resize(x, 44), np.nan)
    np.testing.assert_allclose(cc.r_squared(np.resize(y, 44), gaps), line)
    np.testing.assert_allclose(cc.r_squared(y, np.stack([x, 5 - 3 * x, 0.1 * y])), [line, line, 1.0])
    assert np.isnan(cc.r_squared(y[:2], x[:2]))
    assert np.isnan(cc.r_squared(y, np.full(40, 0.1)))


def test_effective_number_of_correlated_pairs():
    rng = np.random.default_rng(1)
    white = rng.standard_normal((2, 4000))
    red = np.zeros((2, 4000))
    for k in range(1, 4000):
        red[:, k] = 0.8 * red[:, k - 1] + white[:, k]
    # 4000 (1 - 0.64) / (1 + 0.64)
    np.testing.assert_allclose(cc.effective_number(*red), 878, rtol=0.1)
    assert cc.effective_number(*white) > 3900
    assert cc.effective_number(red[0], white[0]) <= 4000
    gap = red.copy()
    gap[0, ::2] = np.nan
    np.testing.assert_allclose(cc.effective_number(*gap), 2000 * (1 - 0.64**2) / (1 + 0.64**2), rtol=0.1)
    assert np.isnan(cc.effective_number(red[0, :2], red[1, :2]))


def test_p_value_is_that_of_pearsons_test():
    from scipy.stats import pearsonr

    x, y = np.random.default_rng(4).standard_normal((2, 30))
    test = pearsonr(x, y)
    np.testing.assert_allclose(cc.p_value(test.statistic**2, 30), test.pvalue, rtol=1e-9)
    assert np.isnan(cc.p_value(0.5, 2.0))


def test_block_bootstrap_tells_a_better_series_and_not_one_as_good():
    rng = np.random.default_rng(5)
    opening = dates("2001-01-01", 10.0 * np.arange(365))
    flux, noise, other = rng.standard_normal((3, 365))
    bootstrap = cc.BlockBootstrap(opening)
    good, bad = flux + noise, flux + 3 * other
    assert bootstrap.blocks(flux, good) == 10
    gain, low, high = bootstrap.difference(flux, good, bad)
    np.testing.assert_allclose(gain, cc.r_squared(flux, good) - cc.r_squared(flux, bad))
    assert 0 < low < gain < high
    gain, low, high = bootstrap.difference(flux, flux + other, good)
    assert low < 0 < high
    half = np.where(np.arange(365) < 180, good, np.nan)
    gain, *_ = bootstrap.difference(flux, half, bad)
    np.testing.assert_allclose(gain, cc.r_squared(flux[:180], good[:180]) - cc.r_squared(flux[:180], bad[:180]))
    assert np.isnan(cc.BlockBootstrap(opening[:5]).r_squared(flux[:5], good[:5])).all()


def test_blocks_are_those_that_hold_cups_with_both():
    rng = np.random.default_rng(6)
    opening = dates("2001-01-01", 14.0 * np.arange(100))
    flux, chlorophyll = rng.standard_normal((2, 100))
    chlorophyll += flux
    bootstrap = cc.BlockBootstrap(opening)
    for cups, blocks in ((26, 1), (40, 2), (60, 3)):
        some = np.where(np.arange(100) < cups, chlorophyll, np.nan)
        assert bootstrap.blocks(flux, some) == blocks
        # what lies beyond the cups with chlorophyll is no sample
        alone = cc.BlockBootstrap(opening[:cups]).r_squared(flux[:cups], chlorophyll[:cups])
        np.testing.assert_array_equal(bootstrap.r_squared(flux, some), alone)
        low, high = alone
        assert (np.isnan(low) and np.isnan(high)) if blocks == 1 else high - low > 0.01


def test_the_interval_is_that_of_blocks_drawn_one_by_one():
    """60 cups in three blocks, of which each draw takes three again."""
    rng = np.random.default_rng(11)
    opening = dates("2001-01-01", 14.0 * np.arange(100))
    flux, chlorophyll = rng.standard_normal((2, 100))
    chlorophyll[60:] = np.nan
    block = (14.0 * np.arange(100) // cc.BLOCK_DAYS).astype(int)
    found = []
    for often in draw_blocks(3, 200, 4):
        cups = np.concatenate([np.flatnonzero(block[:60] == b) for b in range(3) for _ in range(often[b])])
        found.append(cc.r_squared(flux[cups], chlorophyll[cups]))
    bootstrap = cc.BlockBootstrap(opening, draws=200, seed=4)
    np.testing.assert_allclose(bootstrap.r_squared(flux, chlorophyll), np.quantile(found, [0.025, 0.975]))


def test_the_best_lag_is_one_of_many_cups():
    rows = [(0, 0.3, 40), (30, 0.5, 21), (60, 0.4, 20), (90, 0.9, 3), (120, np.nan, 0)]
    table = pd.DataFrame(
        [{"lag": lag, "variable": name, "period": "all", "catchment": "catchment", "r2": r2, "n": n}
         for name in ("poc", "pic") for lag, r2, n in rows if name == "poc" or np.isnan(r2)]
    )  # fmt: skip
    best = cc.best_rows(table)
    assert best[["variable", "lag", "r2"]].values.tolist() == [["poc", 30, 0.5]]
    assert cc.enough_cups(np.array([[40, 21, 20, 19, 0], [3, 2, 1, 0, 0]])).tolist() == [
        [True, True, True, False, False],
        [True, True, False, False, False],
    ]


def test_what_chance_finds_is_of_lags_of_many_cups_too():
    """Three cups at the last lag, where any series fits."""
    rng = np.random.default_rng(7)
    random = rng.standard_normal((50, 3, 40))
    random[:, 2, 3:] = np.nan
    found = cc.LaggedChlorophyll(np.arange(3.0), np.full(3, 80.0), {}, random, np.zeros((3, 40), bool))
    flux, everything = rng.standard_normal(40), np.ones(40, bool)
    (top,) = cc.best_of_random(found, {"poc": flux}, {"all": everything})["random_best_p90"]
    want = np.percentile(cc.r_squared(flux, random[:, :2]).max(axis=1), 90)
    np.testing.assert_allclose(top, want)
    assert top < 0.3


def test_random_envelope_holds_four_fifths_of_held_out_draws(case):
    from scipy.stats import betabinom

    days, chlorophyll, opening, closing, predictions = case
    maps = DailyMaps.of(days, [chlorophyll], chlorophyll.shape[1])
    flux, draws = np.random.default_rng(9).standard_normal(opening.size), 400
    kept, held_out = (
        cc.lagged_chlorophyll(opening, closing, [45.0], maps, predictions, BOXES, draws=draws, seed=seed) for seed in (0, 1)
    )
    table = cc.score_table(kept, {"poc": flux}, opening, {"all": np.ones(opening.size, bool)})
    low, high = table[["random_p10", "random_p90"]].iloc[0]
    r2 = cc.r_squared(flux, held_out.random[:, 0])
    # the share between two order statistics of 400 draws is distributed as Beta(320, 81)
    least, most = betabinom(draws, 320, 81).interval(0.999)
    assert least <= ((r2 >= low) & (r2 <= high)).sum() <= most


def test_example_cups_are_spread_and_known():
    series = np.array([np.nan, 1, 2, np.nan, 3, 4, 5, 6, np.nan])
    # the first, the last, and those a third and two thirds of the way between, of cups 1, 2, 4, 5, 6, 7
    assert example_cups(series).tolist() == [1, 4, 5, 7]
    assert example_cups(series, 2).tolist() == [1, 7]
    assert example_cups(series[:2]).tolist() == [1]


# -- the command -----------------------------------------------------------------------------------------------------
def write_catchments(path, speed, times, pdfs, *, trap=TRAP, axis=AXIS, drop=(), depth=None):
    """A file as learning.predict writes it."""
    lon, lat = lon_lat(*np.meshgrid(axis, axis), *trap)
    dataset = xr.Dataset(
        {"pdf": (("time", "y", "x"), pdfs.astype(np.float32)), "spread": ("time", np.zeros(len(times), np.float32)),
         "lon": (("y", "x"), lon), "lat": (("y", "x"), lat)},
        {"time": times.astype("datetime64[ns]"), "x": axis, "y": axis},
        {"Conventions": "CF-1.8", "sinking_speed_m_per_day": float(speed), "trap_longitude": trap[0], "trap_latitude": trap[1]},
    )  # fmt: skip
    dataset.attrs = {key: value for key, value in dataset.attrs.items() if key not in drop}
    if depth is not None:
        dataset.attrs["trap_depth_m"] = depth
    dataset.to_netcdf(path)
    return path


def write_chlorophyll(path, times, function, *, name="CHL", reach=4.5):
    """Daily maps as CMEMS has them, on a grid of 0.25 degrees; function(east, north) (km) gives (time, lat, lon)."""
    from data.sphere import east_north

    lat, lon = np.arange(49 - reach, 49 + reach + 0.1, 0.25), np.arange(-16.5 - 1.6 * reach, -16.5 + 1.6 * reach + 0.1, 0.25)
    values = function(*east_north(*np.meshgrid(lon, lat), *TRAP)).astype(np.float32)
    dataset = xr.Dataset(
        {name: (("time", "latitude", "longitude"), values, {"units": "milligram m-3"})},
        {"time": times.astype("datetime64[ns]"), "latitude": lat, "longitude": lon},
    )
    dataset.to_netcdf(path)
    return path


@pytest.fixture(scope="module")
def made_up(tmp_path_factory):
    """Three years whose dry weight is chlorophyll in the catchment 30 days before; POC is noise; no PIC.

    Chlorophyll is waves that travel, so that it differs from place to place and from week to week; a day in five is cloudy.
    """
    folder = tmp_path_factory.mktemp("correlation")
    rng = np.random.default_rng(8)
    days = dates("2010-01-01", np.arange(3 * 365))
    waves = [(rng.uniform(0.01, 0.03, 2) * rng.choice([-1, 1], 2), rng.uniform(0.08, 0.2), rng.uniform(0, 6)) for _ in range(6)]

    t = np.arange(3 * 365)

    def chlorophyll(east, north):
        total = sum(np.sin(k[0] * east + k[1] * north + f * t[:, None, None] + phase) for k, f, phase in waves)
        return 0.3 * np.exp(0.4 * total)

    def cloudy(east, north):
        values = chlorophyll(east, north)
        values[rng.random(len(values)) < 0.2] = np.nan
        return values

    files = {"chlorophyll": write_chlorophyll(folder / "chl.nc", days, cloudy)}
    times = dates("2010-01-03", 10.0 * np.arange(108))
    pdfs = wandering(times, 9)
    for speed in (80, 100):
        shifted = pdfs if speed == 100 else wandering(times, 10)
        files[f"w{speed}"] = write_catchments(folder / f"catchment_w{speed:03d}.nc", speed, times, shifted)
    opening = dates("2010-05-01", 14.0 * np.arange(66))
    closing = opening + 14 * DAY
    exact = chlorophyll(*np.meshgrid(AXIS, AXIS)).reshape(len(days), -1)
    maps = DailyMaps.of(days, [exact], CELLS**2)
    truth = cc.lagged_chlorophyll(
        opening, closing, [30.0], maps, {100.0: Predictions(100.0, times, pdfs.reshape(108, -1))}, {}, draws=1
    ).series["catchment"][0]
    frame = pd.DataFrame({"open": opening, "close": closing, "dry_weight": 200 * truth + rng.normal(0, 5, 66),
                          "poc": rng.uniform(1, 5, 66), "pic": np.nan})  # fmt: skip
    files["flux"] = folder / "flux.csv"
    frame.to_csv(files["flux"], index=False, date_format="%Y-%m-%d")
    return files


def run(files, out, *options, predictions=None):
    """Exit code of the command."""
    predictions = [files["w80"], files["w100"]] if predictions is None else predictions
    argv = ["--chlorophyll", files["chlorophyll"], "--flux", files["flux"], "--out", out, "--draws", "20"]
    argv += ["--predictions", *predictions] if predictions else []
    return run_command(CorrelationConfig, main, prog="evaluation.correlation", argv=[str(one) for one in [*argv, *options]])


def run_regridded(done, files, out, *options, predictions=None):
    """:func:`run` where the chlorophyll, that of ``done``, is regridded already."""
    shutil.copytree(done / "chlorophyll_on_frame.zarr", out / "chlorophyll_on_frame.zarr", dirs_exist_ok=True)
    return run(files, out, *options, predictions=predictions)


@pytest.fixture(autouse=True)
def coarse(coarse_pictures):
    """Only the pictures of ``done`` are looked at, which are drawn before."""


@pytest.fixture(scope="module")
def done(made_up, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    assert run(made_up, out, "--lags", "0", "60", "3", "--exclude-years", "2011") == 0
    return out


def test_planted_lag_is_found_and_beats_boxes_and_random_catchments(done):
    table = pd.read_csv(done / "correlation.csv")
    columns = ["lag", "variable", "period", "catchment", "r2", "random_p10", "random_p90", "n"]
    assert table.columns.tolist()[: len(columns)] == columns
    one = table[(table["variable"] == "dry_weight") & (table["period"] == "all")]
    ours = one[one["catchment"] == "catchment"].set_index("lag")
    assert ours["r2"].idxmax() == 30
    best = ours.loc[30]
    assert best["r2"] > 0.8
    assert best["r2"] > best["random_p90"] + 0.2
    assert best["sinking_speed"] == 100
    for box in BOXES_KM:
        row = one[(one["catchment"] == box) & (one["lag"] == 30)].iloc[0]
        assert row["gain"] > 0.2
        assert row["gain_low"] < row["gain"] < row["gain_high"]
    noise = table[(table["variable"] == "poc") & (table["catchment"] == "catchment") & (table["period"] == "all")]
    assert noise["r2"].max() < 0.2


def test_cups_are_those_of_the_depth_that_the_catchments_are_of(made_up, done, tmp_path, capsys):
    """A record of two traps of one mooring, of which the upper one is the record of the other tests."""
    upper = pd.read_csv(made_up["flux"]).assign(depth=1000)
    lower = upper.assign(depth=3000, dry_weight=np.random.default_rng(3).uniform(1, 100, 66))
    pd.concat([upper, lower]).to_csv(tmp_path / "flux.csv", index=False)
    with xr.open_dataset(made_up["w100"]) as file:
        for depth in (1000.0, 3000.0):
            file.assign_attrs(trap_depth_m=depth).to_netcdf(tmp_path / f"at_{depth:.0f}.nc")
    files = {**made_up, "flux": tmp_path / "flux.csv"}

    def best(name, *options):
        out = tmp_path / name / "".join(options)
        assert run_regridded(done, files, out, "--lags", "30", "30", "1", *options, predictions=[tmp_path / f"{name}.nc"]) == 0
        table = pd.read_csv(out / "correlation.csv").query("variable == 'dry_weight' and catchment == 'catchment'")
        return float(table["r2"].iloc[0]), capsys.readouterr().out

    fit, told = best("at_1000")
    assert fit > 0.8 and "--flux-depth" not in told
    assert "rise by 800 m, not by the paper's 2800" in told and "3.43, 5.14, 7.14, 9.71 days, in proportion" in told
    assert best("at_3000")[0] < 0.3
    fit, told = best("at_3000", "--flux-depth", "1000")
    assert fit > 0.8 and "cups of a trap at 1000 m (--flux-depth) are compared with catchments of one at 3000 m" in told
    both = [tmp_path / "at_1000.nc", write_catchments(tmp_path / "w200.nc", 200, *two_maps(), depth=3000.0)]
    assert run(files, tmp_path / "both", predictions=both) == 2
    assert "its trap stands at 3000 m, its catchments at 200 m, that of" in capsys.readouterr().err


def two_maps():
    """Two instants and a PDF at each."""
    times = dates("2010-01-03", [0.0, 10.0])
    return times, wandering(times, 1)


def test_excluded_years_make_a_second_period(done):
    table = pd.read_csv(done / "correlation.csv").query("catchment == 'box100' and variable == 'poc' and lag == 30")
    assert table["period"].tolist() == ["all", "without 2011"]
    # cups of 14 days from 2010-05-01: by their middles, 26 of 66 lie in 2011
    middles = dates("2010-05-08", 14.0 * np.arange(66)).astype("datetime64[Y]")
    excluded = int((middles == np.datetime64("2011")).sum())
    assert table["n"].tolist() == [66, 66 - excluded]


def test_results_are_complete(done):
    record = json.loads((done / "correlation.json").read_text())
    assert {"configuration", "command_line", "versions", "best", "notes"} <= set(record)
    assert any("no predictions at 300 m/d" in note and "100 m/d are used" in note for note in record["notes"])
    best = {(row["variable"], row["catchment"]): row for row in record["best"] if row["period"] == "all"}
    assert best["dry_weight", "catchment"]["lag"] == 30
    assert best["dry_weight", "catchment"]["r2"] > best["dry_weight", "catchment"]["random_best_p90"]
    assert all(row["random_best_p90"] >= row["random_p90"] for row in record["best"])
    assert any("too few values of pic" in note for note in record["notes"])
    for name in ("correlation.png", "figures/figure_7.png", "figures/figure_8.png", "figures/figure_9.png"):
        assert (done / name).read_bytes()[:4] == b"\x89PNG"
    with xr.open_dataset(done / "correlation_series.nc") as series:
        assert dict(series["chlorophyll"].sizes) == {"lag": 21, "catchment": 3, "cup": 66}
    assert not list(done.glob("*.partial")) and not list(done.glob("*.aside"))


def test_the_series_pass_a_cf_checker(done):
    checker = Path(sys.executable).parent / "compliance-checker"
    if not checker.exists():
        pytest.skip("compliance-checker is not installed")
    command = [checker, "--test=cf:1.8", str(done / "correlation_series.nc")]
    told = subprocess.run(command, capture_output=True, text=True, timeout=300).stdout
    assert "All tests passed" in told, told[-3000:]


def test_gaps_of_chlorophyll_and_too_few_blocks_are_told(made_up, tmp_path, capsys):
    """Chlorophyll of the first months, and of the days beyond a hole of 300."""
    days = np.r_[0:400, 700:900]
    chl = write_chlorophyll(
        tmp_path / "hole.nc", dates("2010-01-01", days), lambda e, n: np.random.default_rng(1).random((days.size, *e.shape))
    )
    assert run({**made_up, "chlorophyll": chl}, tmp_path, "--lags", "30", "30", "1") == 0
    told = capsys.readouterr().out
    assert "note: chlorophyll: no maps between 2011-02-04 and 2011-12-02: about 300 missing, one every 1 days elsewhere" in told
    assert "note: period 'all': cups with flux and chlorophyll lie in 3 blocks of 365.25 days" in told
    assert "note: period 'without 2011" in told


def test_chlorophyll_that_is_not_daily_is_told(made_up, tmp_path, capsys):
    times = dates("2010-01-15", 30 * np.arange(36))
    months = write_chlorophyll(tmp_path / "monthly.nc", times, lambda e, n: np.random.default_rng(1).random((36, *e.shape)))
    assert run({**made_up, "chlorophyll": months}, tmp_path, "--lags", "30", "30", "1") == 0
    assert "note: chlorophyll: one map every 30 days, where the method asks for daily ones" in capsys.readouterr().out


def test_a_lost_chunk_of_regridded_chlorophyll_is_no_zero_and_made_again_alone(made_up, done, tmp_path, monkeypatch, capsys):
    import evaluation.chlorophyll as command

    store = shutil.copytree(done / "chlorophyll_on_frame.zarr", tmp_path / "chlorophyll_on_frame.zarr")
    chunks = sorted(store.glob("chlorophyll/c/*/0/0"))
    content = chunks[3].read_bytes()
    chunks[3].unlink()
    real, made = command.on_frame, []

    def on_frame(maps, *rest, **options):
        made.append(maps.sizes["time"])
        return real(maps, *rest, **options)

    monkeypatch.setattr(command, "on_frame", on_frame)
    assert run(made_up, tmp_path, "--lags", "0", "60", "3", "--exclude-years", "2011") == 0
    assert made == [command.CHUNK] and chunks[3].read_bytes() == content
    assert f"1 of {len(chunks)} chunks of maps are damaged or missing and are made again" in capsys.readouterr().out
    assert (tmp_path / "correlation.csv").read_bytes() == (done / "correlation.csv").read_bytes()


def test_second_run_regrids_nothing_and_gives_the_same(made_up, done, tmp_path, monkeypatch):
    import evaluation.chlorophyll as command

    shutil.copytree(done / "chlorophyll_on_frame.zarr", tmp_path / "chlorophyll_on_frame.zarr")
    monkeypatch.setattr(command, "on_frame", None)
    assert run(made_up, tmp_path, "--lags", "0", "60", "3", "--exclude-years", "2011") == 0
    assert (tmp_path / "correlation.csv").read_bytes() == (done / "correlation.csv").read_bytes()


def test_killed_regridding_goes_on(made_up, done, tmp_path, monkeypatch):
    import evaluation.chlorophyll as command

    real, calls = command.on_frame, []

    def killed(*args, **kwargs):
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(command, "on_frame", killed)
    options = ("--lags", "0", "60", "3", "--exclude-years", "2011")
    assert run(made_up, tmp_path, *options) == 130
    assert not (tmp_path / "correlation.csv").exists()
    assert run(made_up, tmp_path, *options) == 0
    # two blocks were done: the second command begins with the third, the one that was cut off
    begun = [call[0]["time"].values[0] for call in calls]
    assert begun[3] == begun[2] and len(set(begun)) == len(begun) - 1
    assert (tmp_path / "correlation.csv").read_bytes() == (done / "correlation.csv").read_bytes()


def test_another_chlorophyll_file_is_regridded_anew(made_up, done, tmp_path):
    shutil.copytree(done / "chlorophyll_on_frame.zarr", tmp_path / "chlorophyll_on_frame.zarr")
    times = dates("2010-01-01", np.arange(3 * 365))
    other = write_chlorophyll(
        tmp_path / "other.nc", times, lambda east, north: np.random.default_rng(0).uniform(0.1, 1, (len(times), *east.shape))
    )
    assert run({**made_up, "chlorophyll": other}, tmp_path, "--lags", "30", "30", "3") == 0
    table = pd.read_csv(tmp_path / "correlation.csv").query("catchment == 'catchment' and variable == 'dry_weight'")
    assert table["r2"].max() < 0.3


REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "trap" / "torresvaldes2014_PAPbox.csv"


@pytest.mark.skipif(not REAL.is_file(), reason="the real trap record (shared/data/trap) is not here")
def test_the_real_record_of_the_trap_runs_and_plots(tmp_path, capsys):
    """Its cups of 2001 to 2003, with predictions and chlorophyll of those years that are made up."""
    days = dates("2000-09-01", np.arange(1220))
    field = patchy(days, 3)
    index = np.linspace(0, CELLS - 1, 37)[:, None].astype(int), np.linspace(0, CELLS - 1, 58)[None, :].astype(int)
    chl = write_chlorophyll(tmp_path / "chl.nc", days, lambda east, north: np.resize(field[:, *index], (1220, *east.shape)))
    times = dates("2000-09-05", 10.0 * np.arange(122))
    speeds = (80, 100, 150, 200, 300)
    paths = [write_catchments(tmp_path / f"catchment_w{w:03d}.nc", w, times, wandering(times, w)) for w in speeds]
    options = ("--start", "2001-01-01", "--end", "2003-12-31", "--exclude-years", "2002")
    assert run({"chlorophyll": chl, "flux": REAL}, tmp_path / "out", *options, predictions=paths) == 0
    told = capsys.readouterr().out
    assert "not used: 'bSiO2_mg_m2_d', 'CaCO3_mg_m2_d', 'lithogenic_mg_m2_d'" in told and "remarks on rows" in told
    table = pd.read_csv(tmp_path / "out" / "correlation.csv")
    assert set(table["period"]) == {"all", "without 2002"} and np.isfinite(table["r2"]).all()
    record = read_flux(REAL)
    middle = record["open"] + (record["close"] - record["open"]) / 2
    record = record[(middle >= "2001-01-01") & (middle < "2004-01-01")]
    for name in ("dry_weight", "poc", "pic", "tpn"):
        assert set(table[(table["variable"] == name) & (table["period"] == "all")]["n"]) == {record[name].notna().sum()}
    assert {path.name for path in (tmp_path / "out" / "figures").iterdir()} == {f"figure_{number}.png" for number in (7, 8, 9)}


def test_period_defaults_to_the_papers_years_where_the_record_covers_them(tmp_path):
    from evaluation.cups import choose_cups

    opening = dates("2005-01-05", 30.0 * np.arange(200))
    flux = pd.DataFrame({"open": opening, "close": opening + 30 * DAY, "poc": 1.0})
    cups, periods, notes = choose_cups(flux, CorrelationConfig(flux=tmp_path))
    middle = cups["open"] + (cups["close"] - cups["open"]) / 2
    assert (middle.dt.year.min(), middle.dt.year.max()) == (2009, 2019)
    assert list(periods) == ["all", "without 2011, 2013"] and not notes
    kept = middle[periods["without 2011, 2013"]].dt.year
    assert set(kept) == set(range(2009, 2020)) - {2011, 2013}
    short = flux[:90]
    cups, periods, notes = choose_cups(short, CorrelationConfig(flux=tmp_path))
    assert len(cups) == 90 and "all of it is taken" in notes[0]
    cups, *_ = choose_cups(flux, CorrelationConfig(flux=tmp_path, start="2008-01-01", end="2008-12-31"))
    assert set((cups["open"] + pd.Timedelta(days=15)).dt.year) == {2008}


def test_frame_of_the_method_is_that_of_the_bins():
    frame = Frame.around(TRAP, 400.0, 8.0)
    np.testing.assert_allclose(frame.x, bin_centres())
    np.testing.assert_allclose(frame.y, bin_centres())


def test_figure_9_labels_every_axis(done):
    figure = figure_9(pd.read_csv(done / "correlation.csv"))
    labels = {axis.get_xlabel() for axis in figure.axes} | {axis.get_ylabel() for axis in figure.axes}
    assert {"R²", "lag of the flux behind chlorophyll, days"} <= labels


@pytest.mark.parametrize("variables", [("dry_weight",), ("dry_weight", "poc", "pic")])
def test_the_name_of_an_ocean_stands_apart_from_the_rest_of_figure_8(variables):
    """It stood in the legend's place."""
    opening = np.datetime64("2010-01-01", "ns") + np.arange(30) * np.timedelta64(10, "D")
    rng = np.random.default_rng(3)
    series = xr.Dataset(
        {"chlorophyll": (("lag", "catchment", "cup"), rng.random((1, 3, 30))), "open": ("cup", opening),
         "close": ("cup", opening + np.timedelta64(10, "D")), **{one: ("cup", rng.random(30)) for one in variables}},
        {"lag": [30.0], "catchment": ["catchment", *BOXES_KM]},
    )  # fmt: skip
    figure = figure_8(series, dict.fromkeys(variables, 30.0))
    name_ocean(figure, "idealised twin ocean")
    figure.canvas.draw()
    name, (legend,) = figure._suptitle.get_window_extent(), figure.legends
    rest = [legend.get_window_extent(), *(axis.get_tightbbox() for axis in figure.axes)]
    assert not any(name.overlaps(one) for one in rest) and not any(rest[0].overlaps(one) for one in rest[1:])


def refused(capsys, code, *words):
    """Exit code 2, and one line that holds the words."""
    lines = capsys.readouterr().err.strip().splitlines()
    error = "\n".join(line for line in lines if not line.startswith("regridding chlorophyll: "))
    assert code == 2, error
    assert len(error.splitlines()) == 1 and "Traceback" not in error, error
    for word in words:
        assert word in error, error


def test_nothing_given_is_refused(capsys):
    code = run_command(CorrelationConfig, main, prog="evaluation.correlation", argv=[])
    refused(capsys, code, "--predictions is missing")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--lags", "0", "10", "0"), ("--lags", "step must be positive")),
        (("--lags", "10", "0", "1"), ("--lags", "last lag")),
        (("--draws", "0"), ("--draws",)),
        (("--variables", "silica"), ("--variables silica", "dry_weight")),
        (("--variables", "pic"), ("no cup left", "0 values of pic")),
        (("--start", "soon"), ("--start", "YYYY-MM-DD")),
        (("--start", "2017-01-01"), ("no cup left", "2010-05-01", "--start")),
    ],
)
def test_options_that_leave_nothing_are_refused(made_up, tmp_path, capsys, options, words):
    refused(capsys, run(made_up, tmp_path / "out", *options), *words)


def test_chlorophyll_of_other_years_is_refused(made_up, tmp_path, capsys):
    chl = write_chlorophyll(tmp_path / "old.nc", dates("1998-01-01", range(20)), lambda e, n: np.ones((20, *e.shape)))
    refused(
        capsys, run({**made_up, "chlorophyll": chl}, tmp_path), "--chlorophyll reaches from 1998-01-01 to 1998-01-20", "overlap"
    )


def test_predictions_of_other_years_are_refused(made_up, tmp_path, capsys):
    times = dates("1998-01-01", 10.0 * np.arange(5))
    path = write_catchments(tmp_path / "catchment_w080.nc", 80, times, wandering(times, 1))
    refused(
        capsys, run(made_up, tmp_path, predictions=[path]), "--predictions reach from 1997-12-27", "overlap", "learning.predict"
    )


def test_clouds_everywhere_are_refused(made_up, tmp_path, capsys):
    times = dates("2010-01-01", np.arange(3 * 365))
    chl = write_chlorophyll(tmp_path / "cloud.nc", times, lambda e, n: np.full((len(times), *e.shape), np.nan))
    refused(capsys, run({**made_up, "chlorophyll": chl}, tmp_path), "no cup left", "99 %", "L4")


def test_file_of_another_variable_is_refused(made_up, tmp_path, capsys):
    times = dates("2011-01-01", range(5))
    sst = write_chlorophyll(tmp_path / "sst.nc", times, lambda e, n: np.ones((5, *e.shape)), name="analysed_sst")
    refused(capsys, run({**made_up, "chlorophyll": sst}, tmp_path), "sst.nc", "no chlorophyll")


def test_maps_that_do_not_cover_the_frame_are_refused(made_up, tmp_path, capsys):
    times = dates("2010-01-01", np.arange(400))
    small = write_chlorophyll(tmp_path / "small.nc", times, lambda e, n: np.ones((400, *e.shape)), reach=1.0)
    refused(capsys, run({**made_up, "chlorophyll": small}, tmp_path), "small.nc", "reach over")


def test_catchments_of_two_traps_are_refused(made_up, tmp_path, capsys):
    times = dates("2010-01-03", 10.0 * np.arange(3))
    other = write_catchments(tmp_path / "bats.nc", 200, times, wandering(times, 1), trap=(-64.167, 31.667))
    refused(capsys, run(made_up, tmp_path, predictions=[made_up["w80"], other]), "bats.nc", "-64.167", "one trap")


def test_catchments_on_two_lattices_or_of_one_speed_twice_are_refused(made_up, tmp_path, capsys):
    times = dates("2010-01-03", 10.0 * np.arange(3))
    other = write_catchments(tmp_path / "fine.nc", 200, times, wandering(times, 1), axis=AXIS / 2)
    refused(capsys, run(made_up, tmp_path, predictions=[made_up["w80"], other]), "fine.nc", "lattice")
    other = write_catchments(tmp_path / "again.nc", 80, times, wandering(times, 1))
    refused(capsys, run(made_up, tmp_path, predictions=[made_up["w80"], other]), "again.nc", "80 m/d", "one file a speed")


def test_file_that_is_no_catchment_file_is_refused(made_up, tmp_path, capsys):
    refused(capsys, run(made_up, tmp_path, predictions=[made_up["chlorophyll"]]), "chl.nc", "not a catchment file", "pdf")
    times = dates("2010-01-03", 10.0 * np.arange(3))
    bare = write_catchments(tmp_path / "bare.nc", 80, times, wandering(times, 1), drop=("trap_latitude",))
    refused(capsys, run(made_up, tmp_path, predictions=[bare]), "bare.nc", "trap_latitude")
    refused(capsys, run(made_up, tmp_path, predictions=[made_up["flux"]]), "flux.csv", "catchment file")
    refused(capsys, run(made_up, tmp_path, predictions=[tmp_path / "none_w*.nc"]), "none_w*.nc", "no file")


def test_incomplete_predictions_are_left_out_and_said_so(made_up, tmp_path, capsys):
    times = dates("2010-01-03", 10.0 * np.arange(108))
    pdfs = wandering(times, 9)
    pdfs[3, 0, 0], pdfs[7] = np.nan, 0.0
    path = write_catchments(tmp_path / "catchment_w100.nc", 100, times, pdfs)
    assert run(made_up, tmp_path, "--lags", "30", "30", "1", predictions=[path]) == 0
    assert "2 of 108 predictions are incomplete" in capsys.readouterr().out
    pdfs[:] = np.nan
    path = write_catchments(tmp_path / "catchment_w101.nc", 100, times, pdfs)
    refused(capsys, run(made_up, tmp_path, predictions=[path]), "none of its 108 predictions")


def test_files_of_learning_predict_are_catchment_files(tmp_path):
    from data.sites import SITES
    from evaluation.catchments import read_catchments

    satellite = pytest.importorskip("learning.satellite")
    axis = bin_centres()
    pdf = np.exp(-(axis[None, None, :] ** 2 + axis[None, :, None] ** 2) / 1e4).repeat(3, axis=0)
    pdf = (pdf / pdf.sum(axis=(1, 2), keepdims=True)).astype(np.float32)
    pdf[1] = np.nan
    ends = dates("2010-01-10", [0.0, 10.0, 20.0])
    path = tmp_path / "catchment_w080.nc"
    write_dataset(path, satellite.catchment_dataset(SITES["pap-so"], 80.0, ends, pdf))
    found = read_catchments([str(path)])
    assert found.frame.center == TRAP and found.frame.spacing_km == 8.0
    one = found.predictions[80.0]
    # half of the collection period and (3000 - 200) / 80 days before its end; the incomplete one left out
    np.testing.assert_array_equal(one.times, ends[[0, 2]] - 40 * DAY)
    np.testing.assert_allclose(one.pdf[0].reshape(100, 100), pdf[0])
    assert "1 of 3 predictions" in found.notes[0]


# -- composites of chlorophyll ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("stamp", [0.0, 15.0])
@pytest.mark.parametrize("bounds", [False, True])
def test_monthly_composites_give_the_planted_lag_wherever_they_are_dated(stamp, bounds):
    """Flux is chlorophyll 42 days before; of its monthly means the best lag must be 42 days, to the step of lags."""
    from data.composites import map_days

    rng = np.random.default_rng(11)
    day = np.arange(10 * 365)
    waves = [(rng.uniform(90, 400), rng.uniform(0, 6), rng.uniform(0.5, 1)) for _ in range(12)]
    series = sum(size * np.sin(2 * np.pi * day / period + phase) for period, phase, size in waves)
    begin = np.arange(np.datetime64("2001-01"), np.datetime64("2010-06"), 1)
    months = np.stack([begin, begin + 1], axis=1).astype("datetime64[D]")
    start = np.datetime64("2001-01-01")
    numbers = ((months - start) / DAY).astype(int)
    means = np.array([series[a:b].mean() for a, b in numbers])[:, None]
    times = months[:, 0].astype("datetime64[ns]") + np.timedelta64(round(stamp * 24), "h")
    first, length, _ = map_days(times, months.astype("datetime64[ns]") if bounds else None, None)
    maps = DailyMaps.of(first, [means], 1, length)
    opening = dates("2001-06-01", 14.0 * np.arange(220))
    flux = np.array([series[i - 42 : i - 28].mean() for i in ((opening - start) / DAY).astype(int)])
    one = {80.0: Predictions(80.0, dates("2001-01-01", 10.0 * np.arange(350)), np.ones((350, 1)))}
    lags = cc.lag_grid(0, 110, 3)
    found = cc.lagged_chlorophyll(opening, opening + 14 * DAY, lags, maps, one, {}, draws=1).series["catchment"]
    assert abs(lags[int(np.nanargmax(cc.r_squared(flux, found)))] - 42) <= 3
    # as maps of their own day the months stamped at their beginning come half an interval late
    alone = DailyMaps.of(times, [means], 1)
    late = cc.lagged_chlorophyll(opening, opening + 14 * DAY, lags, alone, one, {}, draws=1).series["catchment"]
    if stamp == 0:
        assert lags[int(np.nanargmax(cc.r_squared(flux, late)))] >= 51


# -- what is said of cups, predictions and the best lags --------------------------------------------------------------
def test_the_gain_of_the_best_rows_is_best_over_best_on_common_cups():
    """A catchment that explains all at its lag gains over a box that explains less at another one."""
    rng = np.random.default_rng(3)
    n = 60
    opening = dates("2003-01-01", 20.0 * np.arange(n))
    flux = rng.normal(size=n)
    noise = rng.normal(size=(2, n))
    series = {"catchment": np.stack([noise[0], flux, noise[1]]), "box100": np.stack([flux + 0.3 * noise[1], noise[0], noise[1]])}
    series["catchment"][1, :5] = np.nan  # cups that only the box has
    series["box100"][0, -4:] = np.nan
    random, clouded = rng.normal(size=(5, 3, n)), np.zeros((3, n), bool)
    found = cc.LaggedChlorophyll(np.array([0.0, 3.0, 6.0]), np.full(3, 80.0), series, random, clouded)
    fluxes, periods = {"poc": flux}, {"all": np.ones(n, bool)}
    table = cc.score_table(found, fluxes, opening, periods)
    best = cc.with_best_gains(cc.best_rows(table), found, fluxes, opening, periods).set_index("catchment")
    assert best.loc["catchment", "lag"] == 3 and best.loc["box100", "lag"] == 0
    both = slice(5, n - 4)
    expected = 1.0 - np.corrcoef(flux[both], series["box100"][0, both])[0, 1] ** 2
    assert best.loc["box100", "gain"] == pytest.approx(expected, abs=1e-12) and expected > 0
    assert np.isnan(best.loc["catchment", "gain"])
    # at the box's own lag the catchment is noise: that gain would be negative
    assert table[(table["catchment"] == "box100") & (table["lag"] == 0)]["gain"].iloc[0] < 0


def test_strict_leaves_out_cups_without_a_prediction_in_their_interval(made_up, done, tmp_path, capsys):
    short = tmp_path / "short.csv"
    # cups of 4 days, where a prediction comes every 10
    opening = dates("2010-06-01", 7.0 * np.arange(100))
    record = pd.DataFrame({"open": opening, "close": opening + 4 * DAY, "poc": np.random.default_rng(1).random(100)})
    record.to_csv(short, index=False)
    counts = {}
    for strict in (False, True):
        out = tmp_path / str(strict)
        options = ("--lags", "30", "42", "3", *(["--strict"] if strict else []))
        assert run_regridded(done, {**made_up, "flux": short}, out, *options) == 0
        told = capsys.readouterr().out
        assert ("no prediction in their interval: the nearest one stands in" in " ".join(told.split())) == (not strict)
        table = pd.read_csv(out / "correlation.csv").query("catchment == 'catchment' and period == 'all'").set_index("lag")
        counts[strict] = table["n"]
    times = dates("2010-01-03", 10.0 * np.arange(108))
    for lag in (30, 33, 36):
        first, last = opening - lag * DAY, opening + 4 * DAY - lag * DAY
        inside = ((times[None] >= first[:, None]) & (times[None] <= last[:, None])).any(axis=1).sum()
        assert counts[True][lag] == inside < counts[False][lag]


def test_flagged_predictions_are_told_and_left_out_if_asked(made_up, tmp_path, capsys):
    path = tmp_path / "catchment_w080.nc"
    with xr.open_dataset(made_up["w80"]) as file:
        flag = np.zeros(file.sizes["time"], np.int8)
        flag[:10] = 1
        flag[5:20] |= 8
        file.load().assign(flag=("time", flag)).to_netcdf(path)
    from evaluation.catchments import read_catchments

    found = read_catchments([str(path)])
    assert len(found.predictions[80.0].times) == 108
    assert "10 of 108 predictions are flagged as of inputs outside the training range: used" in found.notes[0]
    assert "15 of 108" in found.notes[1] and "--exclude-flags unknown" in found.notes[1]
    assert len(read_catchments([str(path)], exclude=("outside",)).predictions[80.0].times) == 98
    assert len(read_catchments([str(path)], exclude=("outside", "unknown")).predictions[80.0].times) == 88
    assert run(made_up, tmp_path / "out", "--lags", "30", "30", "1", "--exclude-flags", "outside", predictions=[path]) == 0
    assert "left out" in capsys.readouterr().out
    with xr.open_dataset(path) as file:
        file.load().assign(flag=("time", np.ones(108, np.int8))).to_netcdf(tmp_path / "all.nc")
    assert run(made_up, tmp_path, "--exclude-flags", "outside", predictions=[tmp_path / "all.nc"]) == 2
    assert "all its predictions are flagged outside" in capsys.readouterr().err


def test_what_heavy_pic_does_to_the_best_r2_is_told_and_remarks_are_counted_by_kind(made_up, done, tmp_path, capsys):
    record = pd.read_csv(made_up["flux"])
    record["pic"] = 0.05 * record["dry_weight"]
    record.loc[::8, "pic"] = 3.0 * record["dry_weight"]
    record.loc[3:7, "poc"] = -0.5 - np.arange(5)
    record.to_csv(tmp_path / "flux.csv", index=False)
    options = ("--lags", "24", "36", "3", "--exclude-years", "2011")
    assert run_regridded(done, {**made_up, "flux": tmp_path / "flux.csv"}, tmp_path / "out", *options) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "14 remarks on rows, one by one in correlation.json; by kind" in told
    assert "5 fluxes are negative (rows 5, 6, 7, 8, 9); kept" in told
    assert "9 cups have PIC that as CaCO3 (x 8.33) outweighs their dry weight (rows 2, 10, 18, 26, 34, 42, 50, 58, 66)" in told
    assert "9 cups of the period have PIC x 8.33 > dry weight; best R² of dry_weight" in told
    without = float(told.split("of pic ")[1].split(" with them, ")[1].split(" ")[0])
    with_them = float(told.split("of pic ")[1].split(" ")[0])
    assert without > 0.8 > with_them
    assert len(json.loads((tmp_path / "out" / "correlation.json").read_text())["flux_problems"]) >= 14


def test_the_record_of_the_predictions_site_is_taken_of_several(made_up, done, tmp_path, capsys):
    record = pd.read_csv(made_up["flux"])
    other = record.assign(dry_weight=1.0, poc=np.arange(66.0), latitude=31.7, longitude=-64.2)
    pd.concat([other, record.assign(latitude=49.0, longitude=-16.4)]).to_csv(tmp_path / "flux.csv", index=False)
    files = {**made_up, "flux": tmp_path / "flux.csv"}
    assert run_regridded(done, files, tmp_path / "out", "--lags", "30", "30", "1") == 0
    assert "of 2 sites that at the predictions' trap is taken" in capsys.readouterr().out
    table = pd.read_csv(tmp_path / "out" / "correlation.csv").query("catchment == 'catchment' and variable == 'dry_weight'")
    assert table["r2"].iloc[0] > 0.8
    assert run_regridded(done, files, tmp_path / "named", "--lags", "30", "30", "1", "--site", "bats") == 0
    table = pd.read_csv(tmp_path / "named" / "correlation.csv").query("catchment == 'catchment' and variable == 'dry_weight'")
    assert not (table["r2"] > 0.8).any()


def test_options_of_the_flux_record_reach_its_reader(made_up, tmp_path, capsys):
    record = pd.read_csv(made_up["flux"]).rename(columns={"open": "t0", "close": "t1", "dry_weight": "A"})
    record.to_csv(tmp_path / "flux.csv", index=False)
    files = {**made_up, "flux": tmp_path / "flux.csv"}
    assert run(files, tmp_path / "out", "--lags", "30", "30", "1") == 2
    assert "--flux-columns open=HEADER" in capsys.readouterr().err
    named = ("--flux-columns", "open=t0", "close=t1", "dry_weight=A")
    assert run(files, tmp_path / "out", "--lags", "30", "30", "1", *named) == 0
    table = pd.read_csv(tmp_path / "out" / "correlation.csv").query("catchment == 'catchment' and variable == 'dry_weight'")
    assert table["r2"].iloc[0] > 0.8
    assert run(files, tmp_path / "out", "--sheet", "x", *named) == 2
    assert "is a text file" in capsys.readouterr().err


def test_the_first_and_the_last_day_of_a_period_belong_to_it(tmp_path):
    """A cup belongs to the day of its middle."""
    from evaluation.cups import choose_cups

    middle = pd.to_datetime(["2009-12-31T23:00", "2010-01-01T00:00", "2010-01-15T00:00", "2010-01-15T23:00", "2010-01-16T00:00"])
    flux = pd.DataFrame({"open": middle - pd.Timedelta("3D"), "close": middle + pd.Timedelta("3D"), "poc": np.arange(5.0)})
    config = CorrelationConfig(flux=tmp_path, start="2010-01-01", end="2010-01-15")
    assert choose_cups(flux, config)[0]["poc"].tolist() == [1.0, 2.0, 3.0]
