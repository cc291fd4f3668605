"""Geostrophic velocity: closed forms on the sphere, and the velocities that DUACS gives with its own maps."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from data.errors import InputError, OptionError
from data.geostrophy import EARTH_ROTATION, GRAVITY, STENCILS, compare_geostrophy, derivative, geostrophic_velocity
from data.satellite import around, open_ssh
from data.sphere import EARTH_RADIUS_KM

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED = REPOSITORY.parent / "shared" / "data" / "ssh"
SAMPLE = REPOSITORY / "tests" / "data" / "satellite_sample" / "ssh_pap_so.nc"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the real altimetry (shared/data/ssh) is not here")


def sea(height, lon, lat):
    """A map (time, lat, lon) of height(lon, lat) in m."""
    x, y = np.meshgrid(lon, lat)
    return xr.DataArray(height(x, y)[None], {"time": [0], "lat": lat, "lon": lon}, ("time", "lat", "lon"))


@pytest.mark.parametrize("stencil", STENCILS)
def test_solid_rotation_about_the_pole_has_its_closed_form(stencil):
    # h = c sin(lat)^2 / 2 gives u = -(g/f) c sin cos / R = -g c cos(lat) / (2 Omega R)
    lon, lat = np.arange(0.125, 360, 0.25), np.arange(20, 60, 0.25)
    u, v = geostrophic_velocity(sea(lambda x, y: 2.0 * np.sin(np.deg2rad(y)) ** 2, lon, lat), stencil=stencil)
    expected = -GRAVITY * 4.0 * np.cos(np.deg2rad(lat)) / (2 * EARTH_ROTATION * 1000 * EARTH_RADIUS_KM)
    inner = slice(1, -1) if stencil == 3 else slice(4, -4)
    np.testing.assert_allclose(u[0, inner, 7], expected[inner], rtol=2e-5)
    np.testing.assert_allclose(v[0], 0.0, atol=1e-12)


def test_a_wave_along_a_parallel_is_continuous_across_the_seam():
    lon, lat = np.arange(0.125, 360, 0.25), np.array([-40.0, -39.75, -39.5])
    u, v = geostrophic_velocity(sea(lambda x, y: 0.1 * np.sin(np.deg2rad(8 * x)), lon, lat))
    f = 2 * EARTH_ROTATION * np.sin(np.deg2rad(-40.0))
    expected = GRAVITY / f * 0.8 * np.cos(np.deg2rad(8 * lon)) / (1000 * EARTH_RADIUS_KM * np.cos(np.deg2rad(40)))
    np.testing.assert_allclose(v[0, 0], expected, atol=1e-6 * np.abs(expected).max())
    np.testing.assert_allclose(u[0, 1], 0.0, atol=1e-12)


def test_an_anticyclone_turns_clockwise_in_the_north_and_the_other_way_in_the_south():
    lon, lat = np.arange(-5, 5.01, 0.25), np.arange(-5, 5.01, 0.25)
    for center, sign in ((45.0, 1), (-45.0, -1)):
        bump = sea(lambda x, y, center=center: 0.3 * np.exp(-(x**2 + (y - center) ** 2)), lon, lat + center)
        u, v = geostrophic_velocity(bump)
        assert sign * u.sel(lat=center + 0.5, lon=0).item() > 0
        assert sign * v.sel(lat=center, lon=0.5).item() < 0


def test_nothing_is_given_near_the_equator_nor_beside_land_where_no_stencil_fits():
    lon, lat = np.arange(0, 10, 0.25), np.arange(-8, 8.01, 0.25)
    field = sea(lambda x, y: 0.01 * x + 0.01 * y, lon, lat)
    field[0, :, 20] = np.nan
    u, v = geostrophic_velocity(field)
    near = np.abs(lat) < 5
    assert np.isnan(u[0, near]).all() and np.isnan(v[0, near]).all()
    assert np.isnan(v[0, 2, 19:22]).all() and np.isfinite(v[0, 2, [18, 22]]).all()
    assert np.isfinite(u[0, 2, 19]) and np.isnan(u[0, 2, 20])
    # narrower stencils beside land stay exact for a straight slope
    np.testing.assert_allclose(v[0, 2, 1:19], v[0, 2, 10], rtol=1e-9)


def test_wider_stencils_converge_faster():
    x = np.arange(0, 2 * np.pi, 2 * np.pi / 12)
    errors = [np.abs(derivative(np.sin(x), -1, n, periodic=True) / (x[1] - x[0]) - np.cos(x)).max() for n in sorted(STENCILS)]
    assert all(later < earlier / 3 for earlier, later in pairwise(errors))


def test_lazy_maps_stay_lazy():
    field = sea(lambda x, y: 0.01 * x, np.arange(0, 10, 0.5), np.arange(40, 50, 0.5))
    lazy, _ = geostrophic_velocity(field.chunk(time=1, lat=7))
    assert lazy.chunks is not None and lazy.dims == ("time", "lat", "lon")
    xr.testing.assert_allclose(lazy.compute(), geostrophic_velocity(field)[0])


def test_the_maps_of_pap_so_agree_with_their_own_velocities():
    result = compare_geostrophy(open_ssh(SAMPLE))
    for component in "uv":
        assert result[component]["correlation"] > 0.998
        assert result[component]["rms_difference"] < 0.006
        assert result[component]["n"] > 3000


@needs_shared
def test_the_global_map_agrees_with_its_own_velocities_and_nine_points_fit_best_in_the_open_sea():
    dataset = open_ssh(next(SHARED.glob("nrt_global*.nc"))).load()
    result = compare_geostrophy(dataset)
    for component in "uv":
        assert result[component]["correlation"] > 0.994
        assert result[component]["rms_difference"] < 0.015
    box = around(dataset, (-16.5, 49.0), 400.0)
    fits = [compare_geostrophy(box, stencil=n)["u"]["rms_difference"] for n in sorted(STENCILS)]
    assert fits == sorted(fits, reverse=True) and fits[-1] < 0.006


def test_bad_input_is_one_line():
    field = sea(lambda x, y: 0 * x, np.arange(0, 5, 0.5), np.array([40.0, 40.5, 42.0, 43.0]))
    with pytest.raises(InputError, match="lat: not evenly spaced"):
        geostrophic_velocity(field)
    with pytest.raises(OptionError, match="4 points"):
        geostrophic_velocity(field, stencil=4)
    with pytest.raises(InputError, match="no ugos and no vgos"):
        compare_geostrophy(xr.Dataset({"ssh": field}))
