"""Metrics, rotation and Coriolis parameters computed from positions of rho points, for grid files that lack them.

All from the tangent vectors of the grid lines, by second-order differences in the local frame of each point,
so that the date line, rotated grids and the convergence of meridians need no special care.
"""

from __future__ import annotations

import numpy as np

from data.sphere import east_north

OMEGA_EARTH = 7.292115e-5  #: rotation rate of the Earth, rad/s (WGS 84)


def offsets(x0, y0, x, y, spherical: bool) -> tuple[np.ndarray, np.ndarray]:
    """(east, north) in metres from (x0, y0) to (x, y), in the local frame of the former; units as in :func:`tangents`."""
    if spherical:
        east, north = east_north(x, y, x0, y0)
        return 1000 * east, 1000 * north
    return x - x0, y - y0


def tangents(x: np.ndarray, y: np.ndarray, spherical: bool) -> tuple[np.ndarray, np.ndarray]:
    """Displacement per grid step along xi and along eta, as (east, north) in metres.

    Parameters
    ----------
    x, y : (eta, xi)
        Longitude and latitude in degrees where ``spherical``, else metres.
    spherical : bool
        Which of the two.

    Returns
    -------
    along_xi, along_eta : (2, eta, xi)
        East and north component, m. At least three points along each axis are needed.
    """
    along_xi = _tangent_along_last_axis(x, y, spherical)
    along_eta = _tangent_along_last_axis(np.swapaxes(x, 0, 1), np.swapaxes(y, 0, 1), spherical)
    return along_xi, np.swapaxes(along_eta, 1, 2)


def metrics(x: np.ndarray, y: np.ndarray, spherical: bool) -> tuple[np.ndarray, np.ndarray]:
    """(pm, pn), 1/m: the inverse lengths of the tangents. As :func:`tangents`; inf where points coincide."""
    along_xi, along_eta = tangents(x, y, spherical)
    with np.errstate(divide="ignore"):
        return 1 / np.hypot(*along_xi), 1 / np.hypot(*along_eta)


def rotation(x: np.ndarray, y: np.ndarray, spherical: bool) -> np.ndarray:
    """Angle from east to the xi axis, radians, counter-clockwise. Shapes as in :func:`tangents`."""
    east, north = tangents(x, y, spherical)[0]
    return np.arctan2(north, east)


def coriolis(latitude: np.ndarray) -> np.ndarray:
    """f = 2 Omega sin(latitude), 1/s. Latitude in degrees, any shape."""
    return 2 * OMEGA_EARTH * np.sin(np.deg2rad(latitude))


def _tangent_along_last_axis(x, y, spherical):
    """(2, ...) metres per step: centred differences inside, one-sided ones of the same order at both ends."""

    def seen_from(here, there):
        """(2, ...) metres east and north from the points ``here`` to ``there``, indices of the last axis."""
        return np.stack(offsets(x[..., here], y[..., here], x[..., there], y[..., there], spherical))

    inside, before, after = slice(1, -1), slice(None, -2), slice(2, None)
    out = np.empty((2, *x.shape))
    out[..., inside] = (seen_from(inside, after) - seen_from(inside, before)) / 2
    out[..., 0] = 2 * seen_from(0, 1) - seen_from(0, 2) / 2
    out[..., -1] = seen_from(-1, -3) / 2 - 2 * seen_from(-1, -2)
    return out
