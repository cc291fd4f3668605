"""The trap frame, regridding, windows, and fields.zarr."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lagrangian.fields
from data.errors import StoreError
from data.frame import Frame, Regridder, cut_window, window_offsets
from data.ocean import Snapshot
from data.vertical import SCoordinate
from lagrangian.config import LAGS_DAYS, RunConfig
from lagrangian.experiments import design_experiments
from lagrangian.fields import (
    FieldsPlan,
    FieldsWriter,
    at_depths,
    horizontal_velocity,
    open_fields,
    run_frame,
    snapshot_fields,
)
from tests.builders.analytic import SHALLOW_TO_DEEP, AnalyticOcean, eddies, plane, sphere, zero
from tests.builders.glorys import levels

RNG = np.random.default_rng(11)


def smooth(x, y):
    """A field of km, smooth over 150 km."""
    return np.sin(x / 60.0) * np.cos(y / 75.0) + 0.002 * x


def ocean_of(grid, u, v, n=3):
    times = np.datetime64("2001-01-01", "ns") + np.arange(n) * np.timedelta64(10, "D")
    return AnalyticOcean(grid, SHALLOW_TO_DEEP, times, u, v, description={})


def test_regridding_recovers_a_smooth_field_at_third_order_or_better():
    frame = Frame.around((0.0, 0.0), 200.0, 8.0)
    error = []
    for dx in (16e3, 8e3):
        n = int(520e3 / dx) + 1
        grid = plane(n, n, dx=dx, origin=(3e3, -2e3), angle=0.4)
        got = Regridder(grid, frame)(smooth(grid.x_rho / 1e3, grid.y_rho / 1e3))
        east, north = np.meshgrid(frame.x, frame.y)
        inside = np.hypot(east, north) < 180
        error.append(np.abs(got - smooth(east, north))[inside].max())
    print(f"largest error {error}")
    assert error[1] < 2e-4 and error[0] / error[1] > 7


def test_a_finer_grid_is_averaged_over_the_cells_of_the_frame():
    """Points of a 2 km grid that stand in the middles of quarter cells: the regridded value is the mean of 4 x 4."""
    grid = plane(200, 200, dx=2e3)  # points at odd kilometres
    field = RNG.normal(size=grid.shape)
    frame = Frame.around((0.0, 0.0), 80.0, 8.0)
    got = Regridder(grid, frame)(field)
    first = (200 - 8 * 10) // 2
    direct = field[first : first + 80, first : first + 80].reshape(20, 4, 20, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(got, direct, atol=1e-5)


@pytest.mark.parametrize("method", ["bicubic", "linear"])
def test_a_cell_with_a_missing_sample_is_missing_or_the_mean_of_the_others(method):
    grid = plane(200, 200, dx=2e3)
    field = RNG.normal(size=grid.shape)
    frame = Frame.around((0.0, 0.0), 80.0, 8.0)
    first = (200 - 8 * 10) // 2
    field[first + 41, first + 22] = np.nan  # of cell (10, 5)
    whole, partial = (Regridder(grid, frame, method=method, partial=given)(field) for given in (False, True))
    assert np.argwhere(np.isnan(whole)).tolist() == [[10, 5]]
    assert partial[10, 5] == pytest.approx(np.nanmean(field[first + 40 : first + 44, first + 20 : first + 24]), abs=1e-5)
    others = np.isfinite(whole)
    np.testing.assert_array_equal(partial[others], whole[others])


def test_missing_values_stay_missing_and_do_not_smear():
    mask = np.ones((60, 60), bool)
    mask[:, 45:] = False
    grid = plane(60, 60, mask=mask)
    frame = Frame.around((0.0, 0.0), 300.0, 8.0)
    got = Regridder(grid, frame)(np.where(mask, 1.0, 99.0))
    east = frame.x[None, :] + 0 * frame.y[:, None]
    assert np.isnan(got[:, frame.x > 8 * 15.6]).all()  # land
    assert np.isnan(got[np.abs(frame.y) > 240]).all()  # beyond the domain
    known = np.isfinite(got)
    np.testing.assert_allclose(got[known], 1.0, atol=1e-6)
    assert known[(np.abs(frame.y) < 220)[:, None] & (east < 110) & (east > -220)].all()


def test_a_periodic_domain_has_no_edge():
    grid = plane(49, 49, dx=8e3, periodic=(True, True))
    wave = lambda x, y: np.sin(2 * np.pi * x / 384.0) * np.cos(4 * np.pi * y / 384.0)
    frame = Frame.around((150e3, -170e3), 200.0, 8.0)
    got = Regridder(grid, frame)(wave(grid.x_rho / 1e3, grid.y_rho / 1e3))
    np.testing.assert_allclose(got, wave(150 + frame.x[None, :], -170 + frame.y[:, None]), atol=3e-4)


def test_windows_at_multiples_of_the_spacing_are_plain_means():
    frame = Frame.around((0.0, 0.0), 490.0, 2.0)
    field = RNG.normal(size=(2, *frame.shape)).astype(np.float32)
    for dx, dy in ((-90.0, 18.0), (0.0, 0.0), (54.0, 90.0)):
        window = cut_window(field, frame, dx, dy)
        i, j = (int(np.searchsorted(axis, offset - 400)) for axis, offset in ((frame.x, dx), (frame.y, dy)))
        direct = field[:, j : j + 400, i : i + 400].reshape(2, 100, 4, 100, 4).mean(axis=(2, 4))
        np.testing.assert_allclose(window, direct, atol=1e-6)


def test_windows_anywhere_equal_a_direct_regridding():
    grid = plane(160, 160, dx=8e3)
    field = smooth(grid.x_rho / 1e3, grid.y_rho / 1e3)
    frame = Frame.around((0.0, 0.0), 500.0, 8.0)
    stored = Regridder(grid, frame)(field)
    for dx, dy in RNG.uniform(-90, 90, (5, 2)):
        direct = smooth(window_offsets()[None, :] + dx, window_offsets()[:, None] + dy)
        np.testing.assert_allclose(cut_window(stored, frame, dx, dy), direct, atol=1e-3)


def test_a_window_is_missing_where_the_frame_or_a_value_is():
    frame = Frame.around((0.0, 0.0), 400.0, 8.0)
    field = np.ones(frame.shape, np.float32)
    field[50, 50] = np.nan
    window = cut_window(field, frame, 16.0, 0.0)
    assert np.isnan(window[:, -2:]).all() and np.isnan(window[50, 48])
    assert np.isfinite(window).sum() == 98 * 100 - 1


def test_the_frame_of_a_run_holds_every_window():
    for dx, spacing in ((9e3, 8.0), (4e3, 4.0), (2e3, 2.0)):
        frame = run_frame(plane(dx=dx), (0.0, 0.0), 90.0)
        assert frame.spacing_km == spacing
        assert np.isfinite(cut_window(np.ones(frame.shape), frame, 90.0, -90.0)).all()


def test_solid_body_rotation_has_its_vorticity_on_any_grid():
    turn = 3e-6
    for grid, tolerance in ((plane(30, 30, angle=0.5), 1e-6), (sphere(40, 40, angle=0.3), 3e-3)):
        if grid.spherical:
            ny, nx = grid.shape
            xi, eta = np.meshgrid(np.arange(nx) - (nx - 1) / 2, np.arange(ny) - (ny - 1) / 2)
            along, across = 8e3 * xi, 8e3 * eta
        else:
            cosine, sine = np.cos(grid.angle), np.sin(grid.angle)
            along, across = cosine * grid.x_rho + sine * grid.y_rho, cosine * grid.y_rho - sine * grid.x_rho
        ones = np.ones((SHALLOW_TO_DEEP.n, 1, 1))
        ocean = ocean_of(grid, None, None)
        snapshot = type("S", (), {})()
        snapshot.u = (-turn * 0.5 * (across[:, 1:] + across[:, :-1]) * ones).astype(np.float32)
        snapshot.v = (turn * 0.5 * (along[1:] + along[:-1]) * ones).astype(np.float32)
        snapshot.zeta = np.zeros(grid.shape, np.float32)
        east, north, vorticity = horizontal_velocity(ocean, snapshot, (0.0, 1000.0))
        inside = (slice(None), slice(1, -1), slice(1, -1))
        np.testing.assert_allclose((vorticity * grid.coriolis)[inside], 2 * turn, rtol=tolerance + 1e-5)
        if not grid.spherical:  # velocities come out eastward and northward, whatever the grid's angle
            np.testing.assert_allclose(east[inside], np.broadcast_to(-turn * grid.y_rho, east.shape)[inside], atol=1e-7)
            np.testing.assert_allclose(north[inside], np.broadcast_to(turn * grid.x_rho, north.shape)[inside], atol=1e-7)


@pytest.mark.parametrize("rows", [slice(0, 1), slice(3, 6), slice(19, 20), slice(None)])
@pytest.mark.parametrize("stagger", ["A", "C"])
@pytest.mark.parametrize("periodic", [False, True])
def test_rows_alone_are_those_of_the_whole_domain(rows, stagger, periodic):
    """Of a periodic domain the first row needs the faces at the other end."""
    mask = np.ones((20, 24), bool)
    mask[4, 7:9] = False
    grid = plane(h=lambda x, y: 1500.0 + 0.01 * x, mask=mask, periodic=(periodic, periodic), angle=0.2, stagger=stagger)
    ocean = ocean_of(grid, *eddies())
    shapes = grid.shape_u, grid.shape_v, grid.shape
    arrays = (RNG.normal(size=shape).astype(np.float32) for shape in ((20, *shapes[0]), (20, *shapes[1]), shapes[2]))
    snapshot = Snapshot(ocean.times[0], *arrays)
    wanted = np.zeros(20, bool)
    wanted[rows] = True
    whole = horizontal_velocity(ocean, snapshot, (0.0, 400.0, 1490.0))
    some = horizontal_velocity(ocean, snapshot, (0.0, 400.0, 1490.0), wanted)
    for everywhere, here in zip(whole, some, strict=True):
        np.testing.assert_array_equal(here[:, wanted], everywhere[:, wanted])
    assert np.isfinite(whole[0][0, 5]).sum() >= 22


def test_velocity_and_vorticity_of_a_periodic_row_are_means_of_the_faces_and_corners_beside():
    """Worked in numpy from the definitions, on a grid of cells of several sizes; the last point is the image of the first."""
    grid = plane(periodic=(True, True))
    grid = dataclasses.replace(grid, pm=RNG.uniform(1e-4, 2e-4, grid.shape), pn=RNG.uniform(1e-4, 2e-4, grid.shape))
    u, v = (RNG.normal(size=shape).astype(np.float32) for shape in (grid.shape_u, grid.shape_v))
    snapshot = Snapshot(None, *(np.stack([field] * SHALLOW_TO_DEEP.n) for field in (u, v)), np.zeros(grid.shape, np.float32))
    east, north, vorticity = (field[0] for field in horizontal_velocity(ocean_of(grid, None, None), snapshot, (100.0,)))
    u, v = u.astype(float), v.astype(float)
    np.testing.assert_allclose(east[:, 0], 0.5 * (u[:, 0] + u[:, -1]), rtol=1e-12)
    np.testing.assert_allclose(north[-1], 0.5 * (v[0] + v[-1]), rtol=1e-12)
    along = u * 2 / (grid.pm[:, 1:] + grid.pm[:, :-1])
    across = v * 2 / (grid.pn[1:] + grid.pn[:-1])
    corner = lambda inverse: 0.25 * (inverse[1:, 1:] + inverse[1:, :-1] + inverse[:-1, 1:] + inverse[:-1, :-1])
    curl = corner(grid.pm) * corner(grid.pn) * (np.diff(across, axis=1) - np.diff(along, axis=0))
    curl = np.pad(curl, 1, mode="wrap")
    expected = 0.25 * (curl[1:, 1:] + curl[1:, :-1] + curl[:-1, 1:] + curl[:-1, :-1])
    np.testing.assert_allclose(vorticity * grid.coriolis, expected, rtol=1e-9, atol=1e-15)


def test_fields_below_the_sea_floor_are_missing():
    grid = plane(20, 20, h=lambda x, y: np.where(x > 0, 4000.0, 1200.0))
    ocean = ocean_of(grid, *eddies())
    fields = snapshot_fields(ocean, ocean.snapshot(0))
    assert np.isnan(fields["u"][2, :, :8]).all() and np.isfinite(fields["u"][2, 1:-1, 12:-1]).all()
    assert "temp" not in fields


def test_temperature_below_the_sea_floor_is_missing_on_levels_that_pass_through_it():
    grid = plane(8, 8, h=lambda x, y: np.where(x > 0, 4000.0, 1200.0))
    ocean = dataclasses.replace(ocean_of(grid, zero, zero), vertical=levels())
    still = ocean.snapshot(0)
    warm = np.full((50, *grid.shape), 7.0, np.float32)
    found = snapshot_fields(ocean, dataclasses.replace(still, temp=warm), (0.0, 1000.0, 1500.0))["temp"]
    deep = np.broadcast_to(grid.h > 2000, grid.shape)
    assert (found[:2] == 7.0).all() and (found[2][deep] == 7.0).all() and np.isnan(found[2][~deep]).all()


def test_depth_0_is_the_uppermost_layer_even_under_a_raised_sea():
    s = SCoordinate.from_stretching(40, 6.0, 2.0, 10.0)
    z = s.z_rho(np.full((1, 1), 25.0), np.full((1, 1), 1.5))
    assert z[-1, 0, 0] > 0
    layer = np.arange(40.0)[:, None, None]
    got = at_depths(layer, z, (0.0, 10.0, 24.99, 40.0))[:, 0, 0]
    assert got[0] == 39 and got[1] == pytest.approx(np.interp(-10.0, z[:, 0, 0], layer[:, 0, 0]))
    assert np.isnan(got[2:]).all()


def test_a_store_cut_short_goes_on_to_the_same_bytes(tmp_path):
    ocean = ocean_of(plane(70, 70), *eddies())
    frame = run_frame(ocean.grid, (0.0, 0.0), 0.0)

    def fill(path, parts):
        for part in parts:
            writer = FieldsWriter(path, ocean, frame, ocean.times, site="here")
            for number in part:
                assert not writer.written[number]
                writer.write(number, snapshot_fields(ocean, ocean.snapshot(number)))
            writer.close()
        return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}

    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    assert fill(tmp_path / "a" / "fields.zarr", [[2, 1, 0]]) == fill(tmp_path / "b" / "fields.zarr", [[2], [1], [0]])
    dataset = open_fields(tmp_path / "a" / "fields.zarr")
    assert dataset["ssh"].dims == ("time", "y", "x")
    np.testing.assert_array_equal(dataset["time"].values.astype("datetime64[s]"), ocean.times.astype("datetime64[s]"))


def test_what_is_no_fields_store_is_refused(tmp_path):
    with pytest.raises(StoreError, match="does not exist"):
        open_fields(tmp_path / "fields.zarr")
    (tmp_path / "fields.zarr").mkdir()
    with pytest.raises(StoreError):
        open_fields(tmp_path / "fields.zarr")


# -- which snapshots -----------------------------------------------------------------------------------------------------------
@given(
    apart=st.lists(st.integers(1, 200), min_size=1, max_size=30),
    wanted=st.integers(-300, 7000),
)
def test_the_snapshot_for_an_instant_is_the_nearest_and_no_farther_than_one_interval(apart, wanted):
    """Hours; in a hole of the record, or beyond its ends, there is none."""
    hours = np.concatenate([[0], np.cumsum(apart)])
    times = np.datetime64("2001-01-01T00", "s") + hours * np.timedelta64(3600, "s")
    index = FieldsPlan._nearest(times, times[0] + np.timedelta64(3600 * wanted, "s"))
    distance = [abs(hour - wanted) for hour in hours.tolist()]
    if min(distance) > np.median(apart):
        assert index is None
    else:
        assert distance[index] == min(distance)


@pytest.mark.parametrize("every", [10.0, 7.0, 3.5])
def test_a_run_keeps_the_fields_of_the_lags_before_each_end_and_the_record_s_own_values_of_them(every, tmp_path, monkeypatch):
    """The sea stands one centimetre higher at each snapshot: the number of a field can be read from it."""
    monkeypatch.setattr(lagrangian.fields, "HALF_WINDOW_KM", 60.0)
    times = np.datetime64("2001-01-01", "ns") + np.arange(160) * np.timedelta64(12, "h")
    rising = lambda x, y, t: 0.01 * np.round(t / 43200.0) + 0 * x
    ocean = AnalyticOcean(plane(20, 20), SHALLOW_TO_DEEP, times, *eddies(), zeta=rising, description={})
    config = RunConfig(ocean=("analytic",), site="0,0", w=(300.0,), positions=1, every=every, out=tmp_path)
    design = design_experiments(config.design, ocean)
    plan = FieldsPlan(tmp_path, ocean, design, check=True)
    first, last = times[0].astype("datetime64[s]"), times[-1].astype("datetime64[s]")
    ends = (start + design.collection for start in design.starts)
    wanted = {end - np.timedelta64(lag * 86400, "s") for end in ends for lag in LAGS_DAYS}
    half = np.timedelta64(43200, "s")
    expected = {round(float((min(max(one, first), last) - first) / half)) for one in wanted if first - half <= one <= last + half}
    assert sorted(plan.todo) == sorted(expected) and list(plan.todo.values()) == list(range(len(expected)))
    for index, number in plan.todo.items():
        plan.write(number, ocean.snapshot(index))
    plan.close()
    fields = open_fields(tmp_path / "fields.zarr")
    numbers = (fields["time"].values.astype("datetime64[s]") - first) / half
    inner = fields["ssh"].sel(x=slice(-40, 40), y=slice(-40, 40)).mean(("x", "y")).values
    np.testing.assert_allclose(inner, 0.01 * numbers, atol=1e-4)
