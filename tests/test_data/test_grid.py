"""The horizontal grid: where positions lie, on every kind of grid that a model may have."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import InputError
from data.grid import HorizontalGrid
from data.sphere import EARTH_RADIUS_KM, east_north, lon_lat
from tests.builders.analytic import plane, regular_sphere, sphere

PAP = (-16.5, 49.0)


def on_circles(grid):
    """The same grid with longitudes from 0 to 360."""
    names = ("h", "pm", "pn", "y_rho", "mask_rho", "angle", "coriolis")
    return HorizontalGrid(x_rho=np.mod(grid.x_rho, 360), **{name: getattr(grid, name) for name in names})


def bent():
    """A curvilinear plane: rows fan out, columns curve."""
    flat = plane(30, 26)
    x, y = flat.x_rho / 1e5, flat.y_rho / 1e5
    names = ("h", "pm", "pn", "mask_rho", "angle", "coriolis")
    given_ = {name: getattr(flat, name) for name in names}
    return HorizontalGrid(x_rho=1e5 * (x + 0.2 * x * y), y_rho=1e5 * (y + 0.15 * x**2), **given_, spherical=False)


GRIDS = {
    "meridians and parallels": regular_sphere(),
    "high latitude": sphere(lat0=75.0, angle=0.4),
    "longitudes from 0 to 360 over Greenwich": on_circles(regular_sphere(lon0=0.03)),
    "over the date line": regular_sphere(lon0=179.97, lat0=-30.0),
    "over the date line, from -180 to 180, rotated": sphere(lon0=-179.98, lat0=10.0, angle=2.0),
    "southern, upside down": sphere(lon0=30.0, lat0=-40.0, angle=np.pi),
    "plane with a place, rotated": plane(center=PAP, angle=0.5),
    "curvilinear plane": bent(),
    "periodic along xi": plane(periodic=(True, False)),
    "periodic along eta": plane(periodic=(False, True)),
}
every_grid = pytest.mark.parametrize("name", GRIDS)


def same_place(grid, a, b):
    """Largest distance between positions, km."""
    if grid.degrees:
        return np.max(np.hypot(*east_north(*a, *b)))
    return np.max(np.hypot(a[0] - b[0], a[1] - b[1])) / 1e3


@every_grid
def test_locating_inverts_the_position_everywhere_and_at_the_nodes_and_corners(name):
    grid, rng = GRIDS[name], np.random.default_rng(2)
    ny, nx = grid.shape
    xi = np.concatenate([rng.uniform(0, nx - 1, 300), rng.integers(0, nx, 50), [0, nx - 1, 0, nx - 1]])
    eta = np.concatenate([rng.uniform(0, ny - 1, 300), rng.integers(0, ny, 50), [0, 0, ny - 1, ny - 1]])
    for axis, period in enumerate(grid.period):  # the last point of a periodic axis is the first
        if period:
            (xi, eta)[axis][:] = np.mod((xi, eta)[axis], period - 1e-3)
    found = grid.locate(*grid.position(xi, eta))
    np.testing.assert_allclose(found, (xi, eta), atol=1e-7)


@every_grid
def test_the_position_of_a_located_place_is_that_place(name):
    grid, rng = GRIDS[name], np.random.default_rng(3)
    ny, nx = grid.shape
    place = grid.offset(*grid.position(nx / 2, ny / 2), rng.uniform(-40, 40, 100), rng.uniform(-40, 40, 100))
    xi, eta = grid.locate(*place)
    assert np.isfinite(xi).all()
    assert same_place(grid, grid.position(xi, eta), place) < 1e-6


@every_grid
def test_places_just_within_have_indices_and_places_just_without_have_none(name):
    grid = GRIDS[name]
    ny, nx = grid.shape
    along = np.linspace(0.1, 0.9, 15)
    for step, expected in ((0.02, True), (-0.02, False)):
        edges = [(step, along * (ny - 1)), (nx - 1 - step, along * (ny - 1))] * (not grid.periodic[0])
        edges += [(along * (nx - 1), step), (along * (nx - 1), ny - 1 - step)] * (not grid.periodic[1])
        for xi, eta in edges:
            found = grid.locate(*grid.position(*np.broadcast_arrays(xi, eta)))
            assert (np.isfinite(found[0]) == expected).all() and (np.isfinite(found[1]) == expected).all()


@pytest.mark.parametrize(("lon", "lat"), [(163.5, -49.0), (-16.5, -49.0), (30.0, 49.0), (-16.5, 89.9)])
def test_places_far_away_have_none(lon, lat):
    for grid in (sphere(), plane(center=PAP), regular_sphere()):
        assert np.isnan(grid.locate(lon, lat)).all()


@settings(max_examples=60)
@given(st.floats(-180, 180), st.floats(-70, 70), st.floats(-np.pi, np.pi), st.floats(0, 11), st.floats(0, 9))
def test_locating_inverts_the_position_anywhere_on_earth(lon0, lat0, angle, xi, eta):
    grid = sphere(12, 10, 20e3, lon0=lon0, lat0=lat0, angle=angle)
    np.testing.assert_allclose(grid.locate(*grid.position(xi, eta)), (xi, eta), atol=1e-7)


def test_a_place_may_be_given_in_any_turn_of_longitude():
    for name in ("over the date line", "longitudes from 0 to 360 over Greenwich", "meridians and parallels"):
        grid = GRIDS[name]
        lon, lat = grid.position(20.3, 11.8)
        for turn in (-360, 0, 360):
            np.testing.assert_allclose(grid.locate(lon + turn, lat), (20.3, 11.8), atol=1e-8)


def test_positions_of_nothing_are_nothing():
    for name in GRIDS:
        lon, lat = GRIDS[name].position(np.array([3.0, np.nan]), np.array([np.nan, 3.0]))
        assert np.isnan(lon).all() and np.isnan(lat).all()


def test_rho_points_stand_at_whole_indices():
    for name in ("meridians and parallels", "over the date line", "curvilinear plane"):
        grid = GRIDS[name]
        x, y = grid.position(7, 4)
        assert np.mod(x - grid.x_rho[4, 7] + 180, 360) - 180 == pytest.approx(0, abs=1e-9)
        assert y == pytest.approx(grid.y_rho[4, 7])


def test_displacements_are_kilometres_east_and_north():
    flat, turned = plane(dx=8e3), plane(dx=8e3, angle=np.pi / 2)
    np.testing.assert_allclose(flat.displacement_km(12.5, 7.0, 10.0, 8.0), (20.0, -8.0), atol=1e-9)
    np.testing.assert_allclose(turned.displacement_km(12.5, 7.0, 10.0, 8.0), (8.0, 20.0), atol=1e-9)
    round_ = regular_sphere(step=0.1, lat0=60.0)
    i, j = 20.0, 14.5  # latitude 60 is half-way between rows
    degree = np.pi / 180 * EARTH_RADIUS_KM
    east, north = round_.displacement_km(i + 1, j, i, j)
    assert east == pytest.approx(0.1 * degree * 0.5, rel=1e-5) and abs(north) < 0.01
    assert round_.displacement_km(i, j + 1, i, j)[1] == pytest.approx(0.1 * degree, rel=1e-9)


@every_grid
def test_a_displacement_and_its_reverse_are_equally_long(name):
    grid, rng = GRIDS[name], np.random.default_rng(4)
    ny, nx = grid.shape
    a, b = (rng.uniform(0, [[nx - 1], [ny - 1]], (2, 100)) for _ in range(2))
    there, back = np.hypot(*grid.displacement_km(*a, *b)), np.hypot(*grid.displacement_km(*b, *a))
    np.testing.assert_allclose(there, back, rtol=1e-9)


def test_a_periodic_domain_is_continued_by_its_length():
    grid = plane(25, 13, dx=8e3, periodic=(True, True))
    assert grid.period == (24, 12)
    np.testing.assert_allclose(grid.displacement_km(3.5 + 24, 2.0, 3.5, 2.0), (192.0, 0.0), atol=1e-9)
    np.testing.assert_allclose(grid.displacement_km(3.5 - 48, 2.0 - 12, 3.5, 2.0), (-384.0, -96.0), atol=1e-9)
    # without a jump at the seam
    across = grid.displacement_km(np.array([23.9, 24.0, 24.1]), 2.0, 23.0, 2.0)[0]
    np.testing.assert_allclose(across, [7.2, 8.0, 8.8], atol=1e-9)
    field = np.arange(13.0)[:, None] + np.arange(25.0)
    np.testing.assert_allclose(grid.sample(field, 3.5 + 24, 2.0 - 24), grid.sample(field, 3.5, 2.0))
    assert plane().period == (0, 0)


def test_a_plane_with_a_place_is_its_local_frame():
    grid = plane(25, 21, dx=8e3, center=PAP)
    assert grid.degrees and not grid.spherical
    np.testing.assert_allclose(grid.position(12.0, 10.0), PAP, atol=1e-12)
    np.testing.assert_allclose(grid.position(15.0, 8.0), lon_lat(24.0, -16.0, *PAP), atol=1e-12)
    np.testing.assert_allclose(grid.locate(*lon_lat(24.0, -16.0, *PAP)), (15.0, 8.0), atol=1e-9)


def test_samples_of_a_linear_field_are_exact_and_held_at_the_edge():
    grid, rng = plane(), np.random.default_rng(5)
    j, i = np.indices(grid.shape)
    field = 3.0 + 0.5 * i - 0.25 * j
    xi, eta = rng.uniform(0, 23, 100), rng.uniform(0, 19, 100)
    np.testing.assert_allclose(grid.sample(field, xi, eta), 3.0 + 0.5 * xi - 0.25 * eta, atol=1e-12)
    np.testing.assert_allclose(grid.sample(field, [-1.0, 30.0], [5.0, 5.0]), field[5, [0, -1]])


def test_a_place_is_sea_where_its_nearest_rho_point_is():
    mask = np.ones((20, 24), bool)
    mask[5, 7] = False
    grid = plane(mask=mask)
    assert grid.in_sea([7.0, 7.4, 6.6, 7.6, 7.0], [5.0, 5.4, 4.6, 5.0, 5.6]).tolist() == [False, False, False, True, True]
    ring = plane(mask=mask, periodic=(True, True))
    assert ring.in_sea([7.0 + 23, 8.0 - 23], [5.0 - 19, 5.0]).tolist() == [False, True]


def test_spacing_is_that_of_the_sea():
    assert plane(dx=8e3).spacing_km == pytest.approx(8.0)
    assert sphere(dx=4e3).spacing_km == pytest.approx(4.0, rel=1e-3)


def test_land_may_lack_depth_and_metrics_but_not_a_place():
    mask = np.ones((20, 24), bool)
    mask[3, 4] = False
    grid = plane(mask=mask)
    names = ("h", "pm", "pn", "x_rho", "y_rho", "mask_rho", "angle", "coriolis")
    fields = {name: np.array(getattr(grid, name)) for name in names}
    for name in ("h", "pm", "pn"):
        changed = fields | {name: np.where(mask, fields[name], np.nan)}
        HorizontalGrid(**changed, spherical=False)
        for bad in (np.nan, 0.0, -5.0, np.inf):
            spoilt = changed | {name: np.where(np.arange(24) == 9, bad, changed[name])}
            with pytest.raises(InputError, match=f"^grid: {name}"):
                HorizontalGrid(**spoilt, spherical=False)
    with pytest.raises(InputError, match="coordinates"):
        HorizontalGrid(**fields | {"x_rho": np.where(mask, fields["x_rho"], np.nan)}, spherical=False)
