"""Confidence intervals of means over experiments that are not independent: blocks of time are resampled, not experiments."""

from __future__ import annotations

import numpy as np

#: Length of a block, days: longer than SSH is correlated (method.md; 50 days) and than the ascent at 80 m/d (35 days).
BLOCK_DAYS = 60.0
DRAWS = 1000
LEVEL = 0.95


def block_of(start: np.ndarray, days: float = BLOCK_DAYS) -> np.ndarray:
    """(experiment,) number of the block of time that each collection period begins in."""
    start = np.asarray(start).astype("datetime64[s]")
    return ((start - start.min()) // np.timedelta64(round(days * 86400), "s")).astype(np.int64)


def block_bootstrap(
    values: np.ndarray, blocks: np.ndarray, *, draws: int = DRAWS, level: float = LEVEL, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Interval of the mean over experiments, from blocks drawn with replacement.

    Parameters
    ----------
    values : (experiment, ...) float
        NaN are left out.
    blocks : (experiment,) int
        Which block each experiment belongs to; all positions of a period belong to one.
    draws, level, seed
        Number of resamples, coverage, seed.

    Returns
    -------
    low, high : (...)
        Percentiles of the resampled means; NaN where there are fewer than two blocks.
    """
    values = np.asarray(values, np.float64)
    names, number = np.unique(blocks, return_inverse=True)
    if names.size < 2:
        return (np.full(values.shape[1:], np.nan),) * 2
    known = np.isfinite(values)
    flat = np.where(known, values, 0.0).reshape(values.shape[0], -1)
    sums, counts = (np.zeros((names.size, flat.shape[1])) for _ in range(2))
    np.add.at(sums, number, flat)
    np.add.at(counts, number, known.reshape(flat.shape))
    weights = np.random.default_rng(seed).multinomial(names.size, np.full(names.size, 1 / names.size), draws)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = (weights @ sums) / (weights @ counts)
    tail = (1 - level) / 2
    low, high = np.nanquantile(means, [tail, 1 - tail], axis=0)
    return low.reshape(values.shape[1:]), high.reshape(values.shape[1:])
