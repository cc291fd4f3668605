"""The sphere and the local frame against known distances and pyproj."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.sphere import EARTH_RADIUS_KM, east_north, lon_lat

DEGREE = np.pi / 180 * EARTH_RADIUS_KM
longitudes, latitudes, offsets = st.floats(-360, 360), st.floats(-85, 85), st.floats(-2000, 2000)


@given(longitudes, latitudes, offsets, offsets)
def test_there_and_back(lon0, lat0, east, north):
    np.testing.assert_allclose(east_north(*lon_lat(east, north, lon0, lat0), lon0, lat0), (east, north), atol=1e-6)


@given(longitudes, latitudes, longitudes, latitudes)
def test_distance_is_the_same_both_ways(lon, lat, lon0, lat0):
    there, back = np.hypot(*east_north(lon, lat, lon0, lat0)), np.hypot(*east_north(lon0, lat0, lon, lat))
    assert there == pytest.approx(back, abs=1e-4)
    assert there <= np.pi * EARTH_RADIUS_KM * (1 + 1e-12)


@pytest.fixture(scope="module")
def globe():
    """pyproj's geodesics on our sphere."""
    return pytest.importorskip("pyproj").Geod(a=1e3 * EARTH_RADIUS_KM, b=1e3 * EARTH_RADIUS_KM)


@given(lon0=longitudes, lat0=latitudes, turn=st.floats(-170, 170), lat=latitudes)
def test_distance_and_direction_are_those_of_the_great_circle(globe, lon0, lat0, turn, lat):
    azimuth, _, distance = globe.inv(lon0, lat0, lon0 + turn, lat)
    if distance > 1.9e7:
        return  # towards the antipode the direction is not defined
    east, north = east_north(lon0 + turn, lat, lon0, lat0)
    assert np.hypot(east, north) == pytest.approx(distance / 1e3, abs=1e-5)
    assert east == pytest.approx(distance / 1e3 * np.sin(np.deg2rad(azimuth)), abs=1e-4)
    assert north == pytest.approx(distance / 1e3 * np.cos(np.deg2rad(azimuth)), abs=1e-4)


def test_known_distances():
    assert pytest.approx(111.2, abs=0.01) == DEGREE
    np.testing.assert_allclose(east_north(10.0, 46.0, 10.0, 45.0), (0.0, DEGREE), atol=1e-9)
    np.testing.assert_allclose(east_north(11.0, 0.0, 10.0, 0.0), (DEGREE, 0.0), atol=1e-9)
    # the great circle to a point on one's own parallel sets out towards the pole
    east, north = east_north(30.0, 60.0, 0.0, 60.0)
    assert north > 0 and np.hypot(east, north) < 30 * DEGREE * np.cos(np.deg2rad(60))
    np.testing.assert_allclose(np.hypot(*east_north(123.0, 90.0, -16.5, 49.0)), 41 * DEGREE, rtol=1e-12)


def test_the_date_line_is_no_border():
    np.testing.assert_allclose(east_north(-179.5, 10.0, 179.5, 10.0), east_north(0.5, 10.0, -0.5, 10.0), atol=1e-9)
    np.testing.assert_allclose(east_north(343.5, 49.0, -16.5, 49.0), (0.0, 0.0), atol=1e-9)
    lon, _ = lon_lat(200.0, 0.0, 179.5, 10.0)
    assert np.mod(lon, 360) == pytest.approx(np.mod(lon_lat(200.0, 0.0, 0.0, 10.0)[0] + 179.5, 360))


def test_a_millimetre_keeps_its_length_and_nothing_stays_nothing():
    for lat0 in (0.0, 49.0, -75.0):
        np.testing.assert_allclose(east_north(*lon_lat(3e-6, -4e-6, -16.5, lat0), -16.5, lat0), (3e-6, -4e-6), rtol=1e-3)
        assert [float(value) for value in east_north(-16.5, lat0, -16.5, lat0)] == [0.0, 0.0]
        np.testing.assert_allclose(lon_lat(0.0, 0.0, -16.5, lat0), (-16.5, lat0), rtol=1e-14)


def test_shapes_broadcast():
    east, north = east_north(np.zeros((3, 1)), np.zeros(4), 1.0, np.ones((2, 1, 1)))
    assert np.shape(east) == np.shape(north) == (2, 3, 4)
    assert np.shape(lon_lat(np.zeros((3, 1)), np.zeros(4), 1.0, 2.0)[0]) == (3, 4)
