"""From crossings to catchment PDFs: the histogram of method.md section 2 (100 x 100 bins of 8 km over +-400 km)."""

from __future__ import annotations

import numpy as np

BINS = 100
BIN_KM = 8.0
HALF_WIDTH_KM = BINS * BIN_KM / 2


def bin_centres() -> np.ndarray:
    """(100,) centres of the bins along one axis, km from the release point."""
    return -HALF_WIDTH_KM + BIN_KM * (np.arange(BINS) + 0.5)


def count_crossings(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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
    experiment, _, level = np.nonzero(inside)
    flat = ((experiment * n_levels + level) * BINS + j[inside].astype(np.int64)) * BINS + i[inside].astype(np.int64)
    counts = np.bincount(flat, minlength=n_experiments * n_levels * BINS * BINS)
    shape = (n_experiments, n_levels, BINS, BINS)
    return counts.reshape(shape).astype(np.uint32), valid.sum(axis=1).astype(np.uint32)
