"""Means of fields over square boxes about the traps."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from data.bilinear import corners
from data.grid import HorizontalGrid


class BoxMeans:
    """Means over square boxes of fields at rho points; places are found once, fields follow (:meth:`taken`).

    A box is tiled by square cells half as wide as the grid's own or narrower; its mean is that of the bilinear values at their
    middles. Each corner counts by its weight: what is missing (land, below the sea floor, outside the domain) is left out.
    A periodic domain has no edge.

    Parameters
    ----------
    grid : HorizontalGrid
    x, y : (position,)
        Middles of the boxes, as :meth:`HorizontalGrid.position` gives positions.
    box_km : float
        Full width.

    Attributes
    ----------
    rows : (eta,) bool
        Those that hold the rho points which the boxes need.
    """

    def __init__(self, grid: HorizontalGrid, x: np.ndarray, y: np.ndarray, box_km: float):
        self.grid = grid
        n = 2 * int(np.ceil(box_km / grid.spacing_km - 1e-9))
        axis = ((np.arange(n) + 0.5) / n - 0.5) * box_km
        east, north = (offset.ravel() for offset in np.meshgrid(axis, axis))
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        weights = _corner_weights(grid, *grid.locate(*grid.offset(x[:, None], y[:, None], east, north)))
        self._points = np.unique(weights.indices)
        self._weights = weights[:, self._points]
        self._whole = self._weights @ np.ones(self._points.size)
        self.rows = np.zeros(grid.shape[0], bool)
        self.rows[self._points // grid.shape[1]] = True

    def taken(self, field: np.ndarray) -> np.ndarray:
        """(..., point) float64: the values of a field (..., eta, xi) at the rho points that the boxes need."""
        return np.asarray(field, np.float64).reshape(*np.shape(field)[:-2], -1)[..., self._points]

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """(..., point) of :meth:`taken`, NaN where missing -> (position, ...) float64, NaN where a box holds nothing."""
        flat = values.reshape(-1, self._points.size).T
        finite = np.isfinite(flat)
        whole = finite.all()
        total = self._weights @ (flat if whole else np.where(finite, flat, 0.0))
        with np.errstate(invalid="ignore"):
            mean = total / (self._whole[:, None] if whole else self._weights @ finite.astype(np.float64))
        return mean.reshape(-1, *values.shape[:-1])


def _corner_weights(grid: HorizontalGrid, xi: np.ndarray, eta: np.ndarray) -> csr_array:
    """(position, rho points) sums of the bilinear weights of index coordinates (position, point); NaN ones count nothing."""
    ny, nx = grid.shape
    px, py = grid.period
    row, point = np.nonzero(np.isfinite(xi) & np.isfinite(eta))
    x, y = xi[row, point], eta[row, point]
    x, y = np.mod(x, px) if px else x, np.mod(y, py) if py else y
    corner_list = list(corners(x, y, grid.shape))
    weights = np.concatenate([weight for *_, weight in corner_list])
    columns = np.concatenate([j * nx + i for j, i, _ in corner_list])
    matrix = csr_array((weights, (np.tile(row, 4), columns)), shape=(xi.shape[0], ny * nx))
    matrix.eliminate_zeros()
    return matrix


def trap_boxes(grid: HorizontalGrid, trap_offset_km: np.ndarray, site: tuple[float, float], box_km: float) -> BoxMeans:
    """The boxes about traps (position, 2) km east and north of a site (x, y as the grid gives positions)."""
    east, north = np.asarray(trap_offset_km, np.float64).T
    x, y = grid.offset(*site, east, north)
    return BoxMeans(grid, x, y, box_km)
