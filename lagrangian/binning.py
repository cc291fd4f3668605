"""Catchment PDFs as histograms of crossings (method.md section 2: 100 x 100 bins of 8 km over +-400 km)."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from data.frame import HALF_WINDOW_KM, WINDOW_POINTS, WINDOW_SPACING_KM

if TYPE_CHECKING:
    from data.shapes import Counts, Displacements, Pdfs, Reached

#: The bins of a PDF are the cells of the window that the networks' inputs are cut on.
BINS, BIN_KM, HALF_WIDTH_KM = WINDOW_POINTS, WINDOW_SPACING_KM, HALF_WINDOW_KM
#: A predicted PDF is valid if its Bhattacharyya loss is smaller (paper section 2.3).
VALID_BL = 0.3
#: Smoothing of a PDF: explicit steps of the heat equation and their size in cells (method.md section 2).
SMOOTHING_STEPS, SMOOTHING_RATE = 50, 0.1
#: Standard deviation of the Gaussian that these steps amount to, km.
SMOOTHING_KM = BIN_KM * (2 * SMOOTHING_STEPS * SMOOTHING_RATE) ** 0.5


def bin_centres() -> np.ndarray:
    """(100,) centres of the bins along one axis, km from the release point."""
    return -HALF_WIDTH_KM + BIN_KM * (np.arange(BINS) + 0.5)


def count_crossings(x: Displacements, y: Displacements) -> tuple[Counts, Reached]:
    """Histogram of displacements, one for each experiment and level.

    Parameters
    ----------
    x, y : (experiment, particle, level) float
        Displacement from the release point, km east and north; NaN where the level was not reached.

    Returns
    -------
    counts : (experiment, level, y, x) uint32
        Particles in each bin; a bin holds its lower edge, not its upper.
    reached : (experiment, level) uint32
        Particles that reached the level, those outside the box included. pdf = counts / reached.
    """
    n_experiments, _, n_levels = x.shape
    valid = np.isfinite(x) & np.isfinite(y)
    i = np.floor((np.where(valid, x, 1e9) + HALF_WIDTH_KM) / BIN_KM)
    j = np.floor((np.where(valid, y, 1e9) + HALF_WIDTH_KM) / BIN_KM)
    inside = (i >= 0) & (i < BINS) & (j >= 0) & (j < BINS)
    # number of the bin among all bins of all experiments and levels; those outside go into one more, behind them
    shape = (n_experiments, n_levels, BINS, BINS)
    n_bins = math.prod(shape)
    first = BINS * BINS * np.arange(n_experiments * n_levels).reshape(n_experiments, 1, n_levels)
    within = np.where(inside, BINS * j + i, 0).astype(np.int64)
    counts = np.bincount(np.where(inside, first + within, n_bins).ravel(), minlength=n_bins + 1)[:n_bins]
    return counts.reshape(shape).astype(np.uint32), valid.sum(axis=1).astype(np.uint32)


@lru_cache(maxsize=8)
def smoothing_operators(ny: int, nx: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cosine transforms along y and x, and the factor by which the smoothing multiplies each mode.

    The explicit steps with reflecting edges are diagonal in the orthonormal cosine transform of type II, where one step
    multiplies mode (k, l) by 1 + rate (2 cos(pi k / ny) - 2 + 2 cos(pi l / nx) - 2).

    Returns
    -------
    (ny, ny), (nx, nx), (ny, nx) float64
        smoothed = ty.T @ (factor * (ty @ pdf @ tx.T)) @ tx
    """
    transforms, eigenvalues = [], []
    for n in (ny, nx):
        k = np.arange(n)
        transform = np.sqrt(2 / n) * np.cos(np.pi * k[:, None] * (k + 0.5) / n)
        transform[0] /= np.sqrt(2)
        transforms.append(transform)
        eigenvalues.append(2 * np.cos(np.pi * k / n) - 2)
    factor = (1 + SMOOTHING_RATE * (eigenvalues[0][:, None] + eigenvalues[1])) ** SMOOTHING_STEPS
    return transforms[0], transforms[1], factor


def smooth_pdf(pdf: Pdfs) -> Pdfs:
    """PDFs (..., y, x) after the 50 heat-equation steps of the method (a Gaussian of 3.16 cells), reflecting edges.

    The sum of each is kept, to rounding. NaN in a PDF makes all of it NaN. float32 stays float32, others become float64.

    >>> one = np.zeros((100, 100))
    >>> one[50, 50] = 1.0
    >>> wide = smooth_pdf(one)
    >>> round(float(wide.sum()), 9), bool(wide.max() < 0.02)
    (1.0, True)
    """
    pdf = np.asarray(pdf)
    kind = np.float32 if pdf.dtype == np.float32 else np.float64
    ty, tx, factor = (array.astype(kind) for array in smoothing_operators(*pdf.shape[-2:]))
    return np.maximum(ty.T @ (factor * (ty @ pdf.astype(kind) @ tx.T)) @ tx, 0)
