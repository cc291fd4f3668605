"""Distances and the local frame on a spherical Earth: kilometres east and north of a point.

The frame is the azimuthal equidistant projection: a displacement keeps its true length and its true direction as seen
from the centre (Snyder 1987, USGS Professional Paper 1395, section 25). Angles in degrees, distances in km.
"""

from __future__ import annotations

import numpy as np

EARTH_RADIUS_KM = 6371.315  # CROCO's Eradius


def east_north(lon, lat, lon0, lat0):
    """Position of (lon, lat) in the frame centred on (lon0, lat0): km east, km north. Shapes broadcast."""
    lam = np.deg2rad(np.asarray(lon, dtype=np.float64) - lon0)
    phi, phi0 = np.deg2rad(np.asarray(lat, dtype=np.float64)), np.deg2rad(lat0)
    # half-angle forms keep full accuracy for small displacements
    east = np.cos(phi) * np.sin(lam)
    north = np.sin(phi - phi0) + 2 * np.sin(phi0) * np.cos(phi) * np.sin(lam / 2) ** 2
    sine = np.hypot(east, north)
    cosine = np.sin(phi0) * np.sin(phi) + np.cos(phi0) * np.cos(phi) * np.cos(lam)
    angle = np.arctan2(sine, cosine)
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = EARTH_RADIUS_KM * np.where(sine > 0, angle / sine, 1.0)
    return scale * east, scale * north


def lon_lat(east, north, lon0, lat0):
    """Inverse of :func:`east_north`: degrees of the point that lies (east, north) km from (lon0, lat0)."""
    east, north = np.asarray(east, dtype=np.float64), np.asarray(north, dtype=np.float64)
    rho = np.hypot(east, north)
    c = rho / EARTH_RADIUS_KM
    phi0 = np.deg2rad(lat0)
    sinc_over_rho = np.where(rho > 0, np.sin(c) / np.where(rho > 0, rho, 1.0), 1 / EARTH_RADIUS_KM)
    phi = np.arcsin(np.clip(np.cos(c) * np.sin(phi0) + north * sinc_over_rho * np.cos(phi0), -1, 1))
    lam = np.arctan2(east * sinc_over_rho, np.cos(phi0) * np.cos(c) - north * sinc_over_rho * np.sin(phi0))
    return lon0 + np.rad2deg(lam), np.rad2deg(phi)
