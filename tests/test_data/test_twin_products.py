"""Chlorophyll on the twin, and the twin as satellites would show it."""

from __future__ import annotations

import dataclasses
import itertools
import shutil

import netCDF4
import numpy as np
import pytest
import xarray as xr

import data.twin.record
from data.errors import OptionError, StoreError
from data.satellite import open_chlorophyll, open_ssh, open_sst
from data.sphere import lon_lat
from data.twin import __main__ as command
from data.twin import products
from data.twin.chlorophyll import (
    BACKGROUND,
    BLOOMS,
    MERIDIONAL_LOG,
    PEAK_DAY,
    SEASON_LOG,
    SEASONALITY,
    Chlorophyll,
    advect,
    background,
    blooms_of,
    cells,
    daily,
    day_of_year,
    surface_velocity,
)
from data.twin.defaults import F0, GRAVITY, SPACING
from data.twin.ocean import open_twin

DAYS = 6


@pytest.fixture(scope="module")
def ocean(tmp_path_factory):
    """Six days about new year, so that there are files of two years, on a record that takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data.twin.record, "SEGMENT_DAYS", 3)
        patch.setattr(data.twin.record, "SEPARATION_DAYS", 1)
        one = open_twin((DAYS - 1) / 365, folder=tmp_path_factory.mktemp("cache"))
        assert len(one.times) == DAYS
        yield dataclasses.replace(one, times=one.times - np.timedelta64(2, "D"))


@pytest.fixture(scope="module")
def chlorophyll(ocean):
    return Chlorophyll.of(ocean, 3)


@pytest.fixture(scope="module")
def folder(ocean, chlorophyll, tmp_path_factory):
    out = tmp_path_factory.mktemp("products")
    products.write_products(ocean, chlorophyll, out, seed=3, truth=True)
    return out


def read(folder, kind):
    files = [xr.load_dataset(path) for path in sorted(folder.glob(f"{kind}_*.nc"))]
    return xr.concat(files, "time", data_vars="minimal", coords="minimal", compat="override")


def at(ocean, field, dataset):
    """A periodic field (n, n) at the points of a file, linearly: (lat, lon)."""
    lat, lon = (dataset[name].values.astype(float) for name in sorted(set(dataset.dims) - {"time"}))
    rows, columns = cells(ocean, *np.meshgrid(lon, lat))
    n = field.shape[0]
    j, i = np.floor(rows).astype(int), np.floor(columns).astype(int)
    dy, dx = rows - j, columns - i
    return sum(
        (dy if a else 1 - dy) * (dx if b else 1 - dx) * field[(j + a) % n, (i + b) % n] for a in (0, 1) for b in (0, 1)
    )  # fmt: skip


def blob(n, spacing, x, y, radius):
    """A Gaussian on a periodic square; m."""
    axis = np.arange(n) * spacing
    length = n * spacing
    dx, dy = (np.mod(axis - place + length / 2, length) - length / 2 for place in (x, y))
    return np.exp(-((dx / radius) ** 2))[None, :] * np.exp(-((dy / radius) ** 2))[:, None]


# -- advection -------------------------------------------------------------------------------------------------------
def test_stirring_keeps_the_total_and_the_sign_and_what_is_uniform(ocean):
    u, v = surface_velocity(ocean, 0)
    field = np.where(blob(128, SPACING, 3e5, 6e5, 5e4) > 0.5, 1.0, 0.0)  # with an edge as sharp as can be
    stirred = advect(field, u, v, 20 * 86400)
    assert np.abs(stirred - field).max() > 0.5
    assert stirred.sum() == pytest.approx(field.sum(), rel=1e-12)
    assert stirred.min() >= 0 and stirred.max() <= 1 + 1e-9
    np.testing.assert_allclose(advect(np.full((128, 128), 0.3), u, v, 20 * 86400), 0.3, rtol=1e-10)


@pytest.mark.parametrize("shape", [(9, 14), (2, 3), (1, 4)])
def test_stirring_equals_the_scheme_cell_by_cell_to_the_last_bit(shape):
    random = np.random.default_rng(shape)
    field = random.random(shape).round(1)  # equal neighbours among them
    u, v = random.normal(0, 0.4, (2, *shape))

    def face(behind, here, ahead):
        up, down = here - behind, ahead - here
        if up * down <= 0:
            return here
        return here + np.copysign(0.5 * min(2 * abs(down), (abs(up) + 2 * abs(down)) / 3, 2 * abs(up)), down)

    def along(flow, line):
        """What crosses the faces behind the cells of a periodic line."""
        n = len(line)
        at = [[line[(k + by) % n] for by in (-1, 0, 1, 2)] for k in range(n)]
        return np.array([s * (face(a, b, c) if s > 0 else face(d, c, b)) for s, (a, b, c, d) in zip(flow, at, strict=True)])

    def stage(c):
        east = np.array([along(*lines) for lines in zip(u * scale, c, strict=True)])
        north = np.array([along(*lines) for lines in zip((v * scale).T, c.T, strict=True)]).T
        return c - (east - np.roll(east, 1, axis=1)) - (north - np.roll(north, 1, axis=0))

    leaving = np.maximum(u, 0) - np.minimum(np.roll(u, 1, 1), 0) + np.maximum(v, 0) - np.minimum(np.roll(v, 1, 0), 0)
    seconds = SPACING / leaving.max()  # two steps of the greatest length
    steps = int(np.ceil(leaving.max() * seconds / SPACING / 0.5))
    scale, expected = seconds / steps / SPACING, field
    for _ in range(steps):
        middle = 0.75 * expected + 0.25 * stage(stage(expected))
        expected = (expected + 2 * stage(middle)) / 3
    given = field.copy()
    np.testing.assert_array_equal(advect(given, u, v, seconds), expected)
    np.testing.assert_array_equal(given, field)


def test_in_still_water_nothing_is_stirred():
    field, still = np.random.default_rng(3).random((6, 9)), np.zeros((6, 9))
    np.testing.assert_allclose(advect(field, still, still, 86400), field, rtol=1e-15)


@pytest.mark.parametrize("flow", [(0.5, 0.0), (0.0, 0.5), (-0.4, 0.3), (0.3, -0.4)])
def test_a_blob_in_a_uniform_flow_arrives_where_it_should(flow):
    n, days = 64, 10
    field = blob(n, SPACING, 2.2e5, 2.6e5, 5e4)
    u, v = (np.full((n, n), speed) for speed in flow)
    moved = advect(field, u, v, days * 86400)
    expected = blob(n, SPACING, 2.2e5 + flow[0] * days * 86400, 2.6e5 + flow[1] * days * 86400, 5e4)
    assert np.abs(moved - expected).max() < 0.15  # the limiter takes some of the peak
    assert np.abs(field - expected).max() > 0.9
    waves = np.fft.fft2(moved)[[0, 1], [1, 0]] / np.fft.fft2(field)[[0, 1], [1, 0]]  # the longest in x and in y
    turned = np.exp(-2j * np.pi * np.array(flow) * days * 86400 / (n * SPACING))
    np.testing.assert_allclose(np.angle(waves / turned), 0, atol=4e-3)  # of 2 pi for 512 km: 0.3 km
    np.testing.assert_allclose(np.abs(waves), 1, atol=0.01)


def test_its_error_falls_with_resolution():
    length, speed, seconds = 512e3, 0.5, 5 * 86400
    errors = []
    for n in (32, 64, 128):
        spacing = length / n
        field = blob(n, spacing, 2.2e5, 2.6e5, 5e4)
        moved = advect(field, np.full((n, n), speed), np.full((n, n), 0.5 * speed), seconds, spacing)
        errors.append(np.abs(moved - blob(n, spacing, 2.2e5 + speed * seconds, 2.6e5 + 0.5 * speed * seconds, 5e4)).mean())
    assert errors[0] > 4 * errors[1] and errors[1] > 4 * errors[2]


def test_surface_velocity_is_that_of_the_ocean(ocean):
    one = ocean.snapshot(2)
    u, v = surface_velocity(ocean, 2)
    np.testing.assert_allclose(u, one.u[-1, :-1], atol=1e-6)
    np.testing.assert_allclose(v, one.v[-1, :, :-1], atol=1e-6)


# -- chlorophyll -----------------------------------------------------------------------------------------------------
def test_blooms_follow_the_season_and_a_longer_record_begins_with_the_same():
    blooms = blooms_of(10 * 365, 0.0, 128, 5)
    assert blooms[:100] == blooms_of(1000, 0.0, 128, 5)[:100]
    assert blooms_of(1000, 0.0, 128, 6)[:100] != blooms[:100]
    assert len(blooms) == pytest.approx(10 * 365 * BLOOMS, rel=0.1)
    day = np.array([bloom.day % 365.25 for bloom in blooms])
    spring = np.abs(day - PEAK_DAY) < 45
    autumn = np.abs(day - PEAK_DAY - 182) < 45
    share = 2 * np.sqrt(2) / np.pi * SEASONALITY  # in the best three months, more than the mean; in the worst, less
    assert spring.sum() / autumn.sum() == pytest.approx((1 + share) / (1 - share), rel=0.2)
    one = blooms[0]
    rate = one.rate(128)
    assert rate.max() == pytest.approx(one.strength / 10, rel=0.02)
    assert rate.sum() == pytest.approx(one.strength / 10 * np.pi * one.radius**2, rel=0.01)


def test_the_background_stays_within_its_bounds():
    values = np.array([background(day, 128) for day in range(365)])
    swing = SEASON_LOG + MERIDIONAL_LOG
    np.testing.assert_allclose([values.min(), values.max()], BACKGROUND * np.exp([-swing, swing]), rtol=1e-3)
    assert values.min() >= 0.1 and values.max() <= 0.6
    np.testing.assert_allclose(np.log(values[:, 32] / values[:, 96]), 2 * MERIDIONAL_LOG)
    assert abs(int(values.mean(axis=(1, 2)).argmax()) - PEAK_DAY) <= 1


def test_the_total_changes_by_what_blooms_and_fading_give(ocean, monkeypatch):
    """Without fading and with one bloom, the total grows by the bloom's rate alone."""
    one = blooms_of(100, 0.0, 128, 1)[0]
    monkeypatch.setattr("data.twin.chlorophyll.FADE_DAYS", np.inf)
    monkeypatch.setattr("data.twin.chlorophyll.blooms_of", lambda *_: [dataclasses.replace(one, day=0)])
    totals = np.array([values.astype(float).sum() for _, values in daily(ocean, DAYS, 0)])
    np.testing.assert_allclose(np.diff(totals), one.rate(128).sum(), rtol=1e-4)


def test_chlorophyll_fades_to_the_background(ocean, monkeypatch):
    monkeypatch.setattr("data.twin.chlorophyll.blooms_of", lambda *_: [])
    monkeypatch.setattr("data.twin.chlorophyll.background", lambda day, n: np.full((n, 1), 0.2 if day >= 363 else 0.4))
    days = [values for _, values in daily(dataclasses.replace(ocean, times=ocean.times - np.timedelta64(1, "D")), DAYS, 0)]
    np.testing.assert_allclose(days[0], 0.4)  # 29 December is day 362
    np.testing.assert_allclose(days[2], 0.2 + 0.2 * np.exp(-1 / 20), rtol=1e-5)


def test_the_same_seed_gives_the_same_chlorophyll_and_it_is_positive(ocean, chlorophyll):
    assert chlorophyll.values.shape == (DAYS, 128, 128) and chlorophyll.values.dtype == np.float32
    assert chlorophyll.values.min() > 0.08
    np.testing.assert_array_equal(Chlorophyll.of(ocean, 3).values, chlorophyll.values)
    for day, values in itertools.islice(daily(ocean, 4, 3), 4):
        np.testing.assert_array_equal(values, chlorophyll.values[day])
    other = Chlorophyll.of(ocean, 4).values[-1]
    assert np.abs(other - chlorophyll.values[-1]).max() > 0.05
    with pytest.raises(OptionError):
        next(daily(ocean, DAYS + 1))


def test_samples_at_the_nodes_are_the_field_and_linear_between(ocean, chlorophyll):
    rows, columns = np.array([0, 40, 64, 127]), np.array([3, 100, 64, 127])
    km = SPACING / 1000
    lon, lat = lon_lat((columns - 64) * km, (rows - 64) * km, *ocean.grid.center)
    for day in range(DAYS):
        found = chlorophyll.sample(lon, lat, ocean.times[day])
        np.testing.assert_allclose(found, chlorophyll.values[day, rows, columns], rtol=1e-6)
    between = chlorophyll.sample(lon, lat, ocean.times[1] + np.timedelta64(6, "h"))
    expected = 0.75 * chlorophyll.values[1, rows, columns] + 0.25 * chlorophyll.values[2, rows, columns]
    np.testing.assert_allclose(between, expected, rtol=1e-6)
    lon, lat = lon_lat((128 + 5.5 - 64) * km, (7 - 64) * km, *ocean.grid.center)  # one period further
    assert chlorophyll.sample(lon, lat, ocean.times[2]) == pytest.approx(chlorophyll.values[2, 7, 5:7].mean(), rel=1e-6)
    outside = [ocean.times[0] - np.timedelta64(1, "h"), ocean.times[-1] + np.timedelta64(1, "h"), np.datetime64("NaT")]
    assert np.isnan(chlorophyll.sample(lon, lat, np.array(outside))).all()


# -- products --------------------------------------------------------------------------------------------------------
def test_an_effective_resolution_keeps_longer_waves_and_takes_out_shorter_ones():
    n = 128
    for index, low, high in ((4, 0.95, 1.0), (12, 0.0, 0.05)):  # 256 and 85 km, about twice 80 km
        wave = np.cos(2 * np.pi * index * np.arange(n) / n)[None, :] * np.ones((n, 1))
        for field in (wave, wave.T):
            kept = products.resolved(field, 80.0)
            assert low <= kept.max() <= high
    assert products.resolved(np.full((n, n), 2.0), 80.0) == pytest.approx(2.0)


def test_files_have_the_layouts_of_the_real_ones(ocean, folder):
    yearly = {f"{kind}_{year}.nc" for kind in products.KINDS for year in (1999, 2000)}
    assert {path.name for path in folder.iterdir()} == {*yearly, "bathymetry.nc"}
    ssh, sst, chl = (read(folder, kind) for kind in products.KINDS)
    assert {"adt", "sla", "ugos", "vgos", "crs"} <= set(ssh.data_vars) and ssh["adt"].dims == ("time", "latitude", "longitude")
    assert {"analysed_sst", "analysis_error", "mask"} <= set(sst.data_vars)
    for one in (sst["analysed_sst"], chl["CHL"]):
        assert one.dims == ("time", "lat", "lon")
    for name in ("adt", "sla", "ugos", "vgos"):
        assert ssh[name].encoding["dtype"] == np.int32 and ssh[name].encoding["scale_factor"] == 1e-4
    assert sst["analysed_sst"].encoding["dtype"] == np.int16 and sst["analysed_sst"].encoding["add_offset"] == 273.15
    assert chl["CHL"].encoding["_FillValue"] == -999
    with xr.open_dataset(folder / "bathymetry.nc") as floor:
        assert floor["elevation"].dims == ("lat", "lon") and floor["elevation"].attrs["units"] == "m"
        assert -6000 < floor["elevation"].min() < floor["elevation"].max() < -3000
    for one, lat, lon, step in (
        (ssh, "latitude", "longitude", 0.25), (sst, "lat", "lon", 0.05), (chl, "lat", "lon", -1 / 24)
    ):  # fmt: skip
        np.testing.assert_array_equal(one["time"], ocean.times)
        np.testing.assert_allclose(np.diff(one[lat]), step, atol=1e-5)
        np.testing.assert_allclose(np.diff(one[lon]), abs(step), atol=4e-5)
        side = np.linspace(-480, 480, 21)
        for x, y in ((side, 480), (side, -480), (480, side), (-480, side)):
            east, north = lon_lat(x, y, *ocean.grid.center)
            east = east % 360 if one is ssh else east
            assert (abs(step) * 0.51 + one[lon].max().item() > east).all() and (
                one[lon].min().item() - 0.51 * abs(step) < east
            ).all()
            assert (abs(step) * 0.51 + one[lat].max().item() > north).all() and (
                one[lat].min().item() - 0.51 * abs(step) < north
            ).all()
    assert (ssh["longitude"] > 180).all()


def test_the_toolkit_opens_them(ocean, folder):
    for opener, kind, name in ((open_ssh, "ssh", "ssh"), (open_sst, "sst", "sst"), (open_chlorophyll, "chl", "chlorophyll")):
        opened = opener(str(folder / f"{kind}_*.nc"))
        np.testing.assert_array_equal(opened["time"], ocean.times)
        assert opened.attrs["time_gaps"] == []
        values = opened[name].isel(time=0).values
        assert np.isfinite(values).all() == (kind != "chl")


def test_adt_is_the_twins_height_smoothed_with_another_zero_and_a_centimetre_of_noise(ocean, folder):
    ssh = read(folder, "ssh")
    zeta = [ocean.snapshot(day).zeta[:-1, :-1].astype(float) for day in range(DAYS)]
    true = np.array([at(ocean, field, ssh) for field in zeta])
    smoothed = np.array([at(ocean, products.resolved(field, products.SSH_KM), ssh) for field in zeta])
    adt = ssh["adt"].values
    assert adt.mean() - true.mean() == pytest.approx(0.4, abs=0.005)
    anomaly, expected = adt - adt.mean(), true - true.mean()
    assert np.corrcoef(anomaly.ravel(), expected.ravel())[0, 1] > 0.95
    assert 0.01 < np.std(anomaly - expected) < 0.05
    rest = adt - smoothed
    assert rest.std() == pytest.approx(0.01, rel=0.15)
    along = rest - rest.mean()
    lagged = {lag: np.mean(along[..., lag:] * along[..., :-lag]) / along.var() for lag in (1, 6)}
    assert lagged[1] > 0.7 and lagged[6] < 0.2  # 18 and 110 km
    sla = ssh["sla"].values
    assert np.ptp((adt - sla).std(axis=0)) < 1e-4 and np.abs((adt - sla - 0.4).mean()) < 0.02


def test_velocities_are_those_of_adt_towards_the_east_and_north(ocean, folder):
    ssh = read(folder, "ssh")
    lat = ssh["latitude"].values.astype(float)
    metre = 6371315.0 * np.deg2rad(0.25)
    dy = np.gradient(ssh["adt"].values, axis=1) / metre
    dx = np.gradient(ssh["adt"].values, axis=2) / (metre * np.cos(np.deg2rad(lat))[:, None])
    inner = (slice(None), slice(1, -1), slice(1, -1))
    for name, mine in (("ugos", -GRAVITY / F0 * dy), ("vgos", GRAVITY / F0 * dx)):
        theirs = ssh[name].values
        assert np.corrcoef(mine[inner].ravel(), theirs[inner].ravel())[0, 1] > 0.99
        assert theirs.std() == pytest.approx(mine[inner].std(), rel=0.12)
    # at the sides, where the twin's axes are turned by some degrees, the mean direction is right
    west = (slice(None), slice(1, -1), slice(1, 8))
    mine, theirs = (1j * GRAVITY / F0 * (dx + 1j * dy))[west], (ssh["ugos"].values + 1j * ssh["vgos"].values)[west]
    assert np.rad2deg(np.angle(np.sum(theirs * np.conj(mine)))) == pytest.approx(0, abs=1.0)


def test_sst_is_the_twins_smoothed_with_a_tenth_of_a_kelvin_of_noise(ocean, folder):
    sst = read(folder, "sst")
    y = ocean.grid.y_rho[:-1, :-1]
    gradient = ocean.record.model.parameters.tracer_gradient
    lon, lat = np.meshgrid(sst["lon"].values.astype(float), sst["lat"].values.astype(float))
    north = (cells(ocean, lon, lat)[0] - 64) * SPACING
    for day in range(DAYS):
        top = ocean.snapshot(day, {"temp"}).temp[-1, :-1, :-1].astype(float)
        found = sst["analysed_sst"].values[day]
        rms = []
        for field in (top - gradient * y, products.resolved(top - gradient * y, products.SST_KM)):
            rms.append(np.sqrt(np.mean((found - (at(ocean, field, sst) + gradient * north + 273.15)) ** 2)))
        assert 0.1 < rms[0] < 0.22  # what lies below 28 km, and noise
        assert rms[1] == pytest.approx(0.1, abs=0.01)  # noise alone
    assert (sst["mask"] == 1).all()
    assert sst["analysis_error"].mean() == pytest.approx(0.1, abs=0.005)


def test_chlorophyll_is_the_tracer_times_noise_under_clouds(ocean, chlorophyll, folder):
    chl = read(folder, "chl")
    assert (np.diff(chl["lat"]) < 0).all()
    lon, lat = np.meshgrid(chl["lon"].values.astype(float), chl["lat"].values.astype(float))
    for day in (0, DAYS - 1):
        true = chlorophyll.sample(lon, lat, ocean.times[day])
        np.testing.assert_allclose(chl["chl_truth"].values[day], true, rtol=2e-3)
        seen = chl["CHL"].values[day]
        ratio = np.log(seen / true)[np.isfinite(seen)]
        assert ratio.std() == pytest.approx(0.15, rel=0.03) and abs(ratio.mean()) < 0.01
    seen = chl["CHL"].values
    assert np.nanmin(seen) > 0
    hidden = np.isnan(seen)
    assert 0.2 < hidden.mean() < 0.98
    for day, field in zip(range(DAYS), products.cloudiness(128, 3), strict=False):  # one sequence, also over new year
        expected = at(ocean, field, chl) > products.cloud_threshold(day_of_year(ocean.times[day]))
        assert np.mean(hidden[day] == expected) > 0.999
    # clouds are larger than pixels, and stay from one day to the next
    assert np.mean(hidden[:, :, 1:] == hidden[:, :, :-1]) > 0.97
    for day in range(DAYS - 1):
        assert np.corrcoef(hidden[day].ravel(), hidden[day + 1].ravel())[0, 1] > 0.25


def test_clouds_cover_sixty_percent_more_in_winter_and_last_some_days():
    days = 4 * 365
    cloud = np.array([
        (field > products.cloud_threshold(day % 365.25))[::4, ::4]
        for day, field in zip(range(days), products.cloudiness(64, 0), strict=False)
    ])  # fmt: skip
    assert cloud.mean() == pytest.approx(0.6, abs=0.04)
    of_year = np.arange(days) % 365.25
    winter, summer = (cloud[np.abs(np.mod(of_year - day + 182, 365.25) - 182) < 45].mean() for day in (15, 197))
    assert 0.1 < winter - summer < 0.3
    anomaly = cloud - cloud.mean(axis=0)
    lagged = [np.mean(anomaly[lag:] * anomaly[:-lag]) / anomaly.var() for lag in (1, 2, 4, 12)]
    assert lagged[1] > np.exp(-1) > lagged[2] and lagged[3] < 0.1


def test_without_clouds_everything_is_seen_and_the_truth_is_left_out(ocean, chlorophyll, tmp_path):
    products.write_products(ocean, chlorophyll, tmp_path, seed=3, cloud=False)
    chl = read(tmp_path, "chl")
    assert np.isfinite(chl["CHL"]).all() and "chl_truth" not in chl


def test_the_same_seed_gives_the_same_files_and_another_seed_others(ocean, chlorophyll, folder, tmp_path):
    for seed, same in ((3, True), (4, False)):
        out = tmp_path / str(seed)
        products.write_products(ocean, chlorophyll, out, seed=seed, truth=True)
        for kind, name in (("ssh", "adt"), ("sst", "analysed_sst"), ("chl", "CHL")):
            one, two = (read(where, kind)[name].values for where in (folder, out))
            assert np.array_equal(one, two, equal_nan=True) == same


def test_work_cut_short_goes_on_to_the_same_data(ocean, chlorophyll, folder, tmp_path):
    calls = []

    def die(done, total):
        calls.append(done)
        assert total == 3 * DAYS
        if done == 2 * DAYS + 4:  # in the second year of chlorophyll
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        products.write_products(ocean, chlorophyll, tmp_path, seed=3, truth=True, progress=die)
    assert calls == list(range(1, 2 * DAYS + 5))
    assert not (tmp_path / "chl_2000.nc").exists()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.nc")}
    paths = products.write_products(ocean, chlorophyll, tmp_path, seed=3, truth=True)
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert sorted(paths) == sorted(path for path in tmp_path.iterdir())
    for kind in products.KINDS:
        xr.testing.assert_identical(read(tmp_path, kind), read(folder, kind))


def test_files_of_another_ocean_or_damaged_ones_are_refused(ocean, chlorophyll, folder, tmp_path):
    with pytest.raises(StoreError, match=r"ssh_1999.nc was written with seed 3 instead of 5; choose another --out"):
        products.write_products(ocean, chlorophyll, folder, seed=5, truth=True)
    with pytest.raises(StoreError, match=r"chl_1999.nc was written with truth 1 instead of 0"):
        products.write_products(ocean, chlorophyll, folder, seed=3)
    other = shutil.copytree(folder, tmp_path / "other")
    with netCDF4.Dataset(other / "bathymetry.nc", "a") as file:
        file.twin_ocean_seed = np.int32(9)
    with pytest.raises(StoreError, match=r"bathymetry.nc was written with ocean_seed 9 instead of"):
        products.write_products(ocean, chlorophyll, other, seed=3, truth=True)
    (tmp_path / "ssh_1999.nc").write_text("not netcdf")
    with pytest.raises(StoreError, match=r"ssh_1999.nc cannot be read"):
        products.write_products(ocean, chlorophyll, tmp_path, seed=3)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write"):
        products.write_products(ocean, chlorophyll, tmp_path / "file", seed=3)


def test_the_command_writes_products_instead_of_history_files(ocean, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "open_twin", lambda *_, **__: ocean)
    assert command.main(command.TwinConfig(seed=3, products=True, truth=True, out=tmp_path)) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*(path.name for path in folder.iterdir()), "twin.json"])
    assert "7 files" in capsys.readouterr().out
    xr.testing.assert_identical(read(tmp_path, "chl"), read(folder, "chl"))
