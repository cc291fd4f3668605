"""Interfaces between layers from the depths that files give, and the sea floor of each column."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicSpline

from data.errors import InputError

#: Depth of the uppermost centre where files put it at the surface itself (HYCOM on depths), m.
SURFACE_CENTRE = 0.01
#: Depths of the 50 levels of the Copernicus global products (GLORYS12, GLO12), m.
GLORYS_DEPTHS = (
    0.494, 1.5414, 2.6457, 3.8195, 5.0782, 6.4406, 7.9296, 9.573, 11.405, 13.4671, 15.8101, 18.4956, 21.5988, 25.2114, 29.4447,
    34.4342, 40.3441, 47.3737, 55.7643, 65.8073, 77.8539, 92.3261, 109.7293, 130.666, 155.8507, 186.1256, 222.4752, 266.0403,
    318.1274, 380.213, 453.9377, 541.0889, 643.5668, 763.3331, 902.3393, 1062.4399, 1245.291, 1452.251, 1684.2841, 1941.8929,
    2225.0779, 2533.3359, 2865.7029, 3220.8201, 3597.032, 3992.4839, 4405.2241, 4833.291, 5274.7842, 5727.917,
)  # fmt: skip


def interface_depths(depth: np.ndarray) -> np.ndarray:
    """Depths of the n + 1 interfaces of layers whose n centres are known, m, positive down, increasing; the first is 0.

    Models space their levels by a smooth function of the index, whose values half-way between are the interfaces: a cubic spline
    finds them to millimetres. Standard depths (0, 2, 4, ..., 100, 150 m) are no smooth function: interfaces are then midpoints.
    """
    depth = np.asarray(depth, dtype=np.float64)
    n = depth.size
    middle = 0.5 * (depth[1:] + depth[:-1])
    floor = depth[-1] + 0.5 * (depth[-1] - depth[-2])
    midpoints = np.concatenate([[0.0], middle, [floor]])
    if depth[0] <= SURFACE_CENTRE or n < 5:
        return midpoints
    index = np.concatenate([[-0.5], np.arange(n)])
    interfaces = CubicSpline(index, np.concatenate([[0.0], depth]))(np.arange(n + 1) - 0.5)
    interfaces[0] = 0.0
    between = np.all(interfaces[:-1] < depth) and np.all(interfaces[1:] > depth)
    # on a smooth function spline and midpoint differ by an eighth of the second difference: little beside a layer
    smooth = between and np.all(np.abs(interfaces - midpoints)[1:-1] < 0.1 * np.diff(depth))
    return interfaces if smooth else midpoints


def checked_depths(path: str, name: str, depth: np.ndarray, positive: str = "") -> tuple[np.ndarray, bool]:
    """(depths of levels, m, positive down, increasing; whether the file counts them from the deepest up).

    Raises
    ------
    InputError
        Depths that are not finite, not in one order, or fewer than two.
    """
    depth = np.asarray(depth, dtype=np.float64).ravel()
    if depth.size < 2:
        raise InputError(f"{path}: {name} has {depth.size} level; velocities at two depths or more are needed, down to the trap")
    if not np.isfinite(depth).all():
        raise InputError(f"{path}: {name} holds values that are not finite")
    if positive.lower() == "up" or (depth <= 0).all():
        depth = -depth
    upward = bool(depth[0] > depth[-1])
    if upward:
        depth = depth[::-1]
    if (np.diff(depth) <= 0).any() or depth[0] < 0:
        raise InputError(f"{path}: {name} runs {depth[0]:g}, {depth[1]:g}, ..., {depth[-1]:g} m; depths in one order are needed")
    depth = depth.copy()
    depth[0] = max(depth[0], SURFACE_CENTRE)
    return depth, upward


def wet_depth(wet: np.ndarray, interfaces: np.ndarray) -> np.ndarray:
    """Depth (eta, xi) of the interface below the last wet level, m; 0 on land.

    wet: (n, eta, xi) bool and interfaces (n + 1,) m, both from the deepest level up (as :class:`~data.vertical.ZCoordinate`).
    """
    n = wet.shape[0]
    lowest = np.argmax(wet, axis=0)  # the first wet level from below
    depth = interfaces[np.minimum(lowest, n)]
    return np.where(wet.any(axis=0), depth, 0.0)


def continued_down(field: np.ndarray, wet: np.ndarray, levels: int | None = None) -> None:
    """Give the levels below the last wet one of each column its value, in place; ``levels``: no more than so many of them.

    field: (n, eta, xi) float32, wet: (n, eta, xi) bool, both from the deepest level up.
    """
    lowest = np.argmax(wet, axis=0)
    lowest[~wet.any(axis=0)] = 0
    least = 0 if levels is None else lowest - levels
    value = np.take_along_axis(field, lowest[None], axis=0)[0]
    for k in range(int(lowest.max(initial=0))):
        below = (k < lowest) & (k >= least)
        if below.any():
            field[k][below] = value[below]
