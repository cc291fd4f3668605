"""Bilinear interpolation in index coordinates: the cell that holds a point, its four corners and their weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np


def cell_of(x: np.ndarray, y: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(column, row) of the corner before each point and the point's place (fx, fy) in the cell, of a lattice of (y, x) points.

    Points beyond the lattice belong to the cell at its edge; there fx, fy are below 0 or above 1. NaN is not allowed.
    """
    ny, nx = shape
    i = np.clip(np.floor(x).astype(np.int64), 0, nx - 2)
    j = np.clip(np.floor(y).astype(np.int64), 0, ny - 2)
    return i, j, x - i, y - j


def bilinear(field: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Values of a field (y, x) at index coordinates; NaN coordinates give NaN."""
    return bilinear_each((field,), x, y)[0]


def bilinear_each(fields: Sequence[np.ndarray], x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    """:func:`bilinear` of several fields of one lattice; the cells and the places in them are found once."""
    finite = np.isfinite(x) & np.isfinite(y)
    shape = fields[0].shape
    i, j, fx, fy = cell_of(np.where(finite, x, 0.0), np.where(finite, y, 0.0), shape)
    corner = j * shape[1] + i
    gx, gy = 1 - fx, 1 - fy
    values = []
    for field in fields:
        flat = np.ascontiguousarray(field).reshape(-1)
        v00, v01, v10, v11 = (flat.take(corner + step) for step in (0, 1, shape[1], shape[1] + 1))
        value = gy * (gx * v00 + fx * v01) + fy * (gx * v10 + fx * v11)
        values.append(np.where(finite, value, np.nan))
    return values


def corners(x: np.ndarray, y: np.ndarray, shape: tuple[int, int]) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(row, column, weight) of each of the four corners of the cells that hold the points, for means that leave some out."""
    i, j, fx, fy = cell_of(x, y, shape)
    for dj, wy in ((0, 1 - fy), (1, fy)):
        for di, wx in ((0, 1 - fx), (1, fx)):
            yield j + dj, i + di, wx * wy
