"""The vertical coordinate, the horizontal grid and the sphere."""

from __future__ import annotations

from pathlib import Path

import netCDF4
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod

from data.errors import InputError, OptionError
from data.grid import HorizontalGrid
from data.sites import SITES, parse_site
from data.sphere import EARTH_RADIUS_KM, east_north, lon_lat
from data.vertical import SCoordinate
from tests.builders.analytic import plane, sphere

CROCO = Path(__file__).resolve().parents[3] / "shared" / "data" / "croco"
coordinates = st.builds(
    SCoordinate.from_stretching,
    n=st.integers(2, 60),
    theta_s=st.floats(1.0, 7.0),
    theta_b=st.floats(0.0, 1.0),
    hc=st.floats(1.0, 20.0),
    vtransform=st.sampled_from([1, 2]),
)


@given(coordinates, st.floats(50.0, 6000.0), st.floats(-2.0, 2.0))
def test_levels_run_from_the_floor_to_the_surface_and_layers_fill_the_column(s, h, zeta):
    z = s.z_w(np.array([h]), np.array([zeta]))[:, 0]
    assert z[0] == pytest.approx(-h, abs=1e-6) and z[-1] == pytest.approx(zeta, abs=1e-6)
    assert (np.diff(z) > 0).all()
    assert s.layer_thickness(np.array([h]), np.array([zeta])).sum() == pytest.approx(h + zeta)
    centres = s.z_rho(np.array([h]), np.array([zeta]))[:, 0]
    assert (centres > z[:-1]).all() and (centres < z[1:]).all()


@pytest.mark.skipif(not CROCO.exists(), reason=f"the CROCO files are not at {CROCO}")
def test_stretching_is_that_of_croco():
    made = SCoordinate.from_stretching(24, 6.0, 2.0, 250.0)
    with netCDF4.Dataset(CROCO / "jet" / "croco_his.00000.nc") as file:
        for name, ours in (("sc_r", made.s_rho), ("sc_w", made.s_w), ("Cs_r", made.cs_rho), ("Cs_w", made.cs_w)):
            np.testing.assert_allclose(ours, file[name][:], atol=2e-7)
    with netCDF4.Dataset(CROCO / "canyon" / "canyon_vtransform1_his.nc") as file:
        given_w = np.asarray(file.getncattr("Cs_w") if "Cs_w" in file.ncattrs() else file["Cs_w"][:])
        old = SCoordinate.from_stretching(
            given_w.size - 1, float(file.theta_s), float(file.theta_b), float(file.hc), vtransform=1
        )
        np.testing.assert_allclose(old.cs_w, given_w, atol=2e-6)


def test_impossible_vertical_coordinates_are_refused():
    good = SCoordinate.from_stretching(5, 5.0, 0.4, 10.0)
    parts = dict(s_rho=good.s_rho, cs_rho=good.cs_rho, s_w=good.s_w, cs_w=good.cs_w, hc=10.0)
    for change in (
        {"s_rho": good.s_rho[::-1]},
        {"cs_w": good.cs_w * 2},
        {"cs_w": good.cs_w[:-1]},
        {"hc": -1.0},
        {"vtransform": 3},
        {"cs_rho": good.cs_rho * np.nan},
    ):
        with pytest.raises(InputError):
            SCoordinate(**{**parts, **change})


GRIDS = {
    "sphere": sphere(),
    "rotated sphere": sphere(angle=0.7),
    "over the date line": sphere(lon0=179.8, lat0=-30.0),
    "plane": plane(),
    "rotated plane": plane(angle=1.0),
    "periodic plane with a place": plane(periodic=(True, True), center=(-16.5, 49.0)),
}


@pytest.mark.parametrize("name", GRIDS)
def test_locating_inverts_the_position(name):
    grid, rng = GRIDS[name], np.random.default_rng(1)
    ny, nx = grid.shape
    xi, eta = rng.uniform(0, nx - 1, 500), rng.uniform(0, ny - 1, 500)
    if any(grid.periodic):
        xi, eta = xi + 2 * (nx - 1), eta - (ny - 1)
    back = grid.locate(*grid.position(xi, eta))
    np.testing.assert_allclose(back[0], xi, atol=1e-8)
    np.testing.assert_allclose(back[1], eta, atol=1e-8)


def test_positions_outside_have_no_indices():
    grid = GRIDS["sphere"]
    assert np.isnan(grid.locate(100.0, -40.0)[0])
    assert np.isnan(grid.locate(-16.5, 60.0)[1])


@pytest.mark.parametrize("name", GRIDS)
def test_an_offset_is_seen_again_as_a_displacement(name):
    grid = GRIDS[name]
    ny, nx = grid.shape
    x0, y0 = grid.position(nx / 2, ny / 2)
    x, y = grid.offset(x0, y0, 21.0, -17.0)
    east, north = grid.displacement_km(*grid.locate(x, y), nx / 2, ny / 2)
    np.testing.assert_allclose([east, north], [21.0, -17.0], atol=5e-3)


def test_the_metrics_of_a_grid_fit_its_positions():
    grid = GRIDS["rotated sphere"]
    east, north = grid.displacement_km(30.5, 25.0, 29.5, 25.0)
    assert np.hypot(east, north) * 1e3 == pytest.approx(1 / grid.pm[25, 30], rel=1e-3)
    assert np.arctan2(north, east) == pytest.approx(grid.angle[25, 30], abs=2e-3)


def test_grids_that_are_none_are_refused():
    grid = GRIDS["plane"]
    parts = {name: getattr(grid, name) for name in ("h", "pm", "pn", "x_rho", "y_rho", "mask_rho", "angle", "coriolis")}
    for change in (
        {"h": grid.h[:, :-1]},
        {"mask_rho": grid.mask_rho & False},
        {"pm": grid.pm * 0},
        {name: value[:, :1] for name, value in parts.items()},
    ):
        with pytest.raises(InputError):
            HorizontalGrid(**{**parts, **change}, spherical=False)


@given(st.floats(-179, 179), st.floats(-80, 80), st.floats(-800, 800), st.floats(-800, 800))
def test_the_local_frame_keeps_distance_and_direction_and_comes_back(lon0, lat0, east, north):
    lon, lat = lon_lat(east, north, lon0, lat0)
    azimuth, _, distance = Geod(a=1e3 * EARTH_RADIUS_KM, b=1e3 * EARTH_RADIUS_KM).inv(lon0, lat0, lon, lat)
    assert distance / 1e3 == pytest.approx(np.hypot(east, north), abs=1e-6)
    again = east_north(lon, lat, lon0, lat0)
    np.testing.assert_allclose(again, (east, north), atol=1e-6)
    if np.hypot(east, north) > 1:
        np.testing.assert_allclose(np.sin(np.deg2rad(azimuth)) * distance / 1e3, east, atol=1e-5)


def test_sites_are_known_by_name_or_place():
    assert parse_site("PAP-SO") is SITES["pap-so"]
    assert (parse_site("-20.5,44").x, parse_site("-20.5,44").y) == (-20.5, 44.0)
    for text in ("here", "1,2,3", ""):
        with pytest.raises(OptionError):
            parse_site(text)
    assert all(-180 <= site.x <= 180 and -90 <= site.y <= 90 for site in SITES.values())
