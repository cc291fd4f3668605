"""Confidence intervals of means over experiments that are not independent: blocks of time are resampled, not experiments."""

from __future__ import annotations

import numpy as np

from data.times import timedelta_days

#: Length of a block, days: longer than SSH is correlated (method.md; 50 days) and than the ascent at 80 m/d (35 days).
BLOCK_DAYS = 60.0
DRAWS = 1000
LEVEL = 0.95
#: Fewer blocks than this give intervals that are too narrow: they then cover the truth less often than they say.
ENOUGH_BLOCKS = 5


def block_of(start: np.ndarray, days: float = BLOCK_DAYS) -> np.ndarray:
    """(experiment,) number of the block of time that each collection period begins in."""
    start = np.asarray(start).astype("datetime64[s]")
    return ((start - start.min()) // timedelta_days(days)).astype(np.int64)


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
        Percentiles of the resampled means; NaN where fewer than two blocks hold values that are finite: a block without them
        is not drawn.
    """
    values = np.asarray(values, np.float64)
    names, number = np.unique(blocks, return_inverse=True)
    finite = np.isfinite(values)
    flat = np.where(finite, values, 0.0).reshape(values.shape[0], -1)
    sums, counts = (np.zeros((names.size, flat.shape[1])) for _ in range(2))
    np.add.at(sums, number, flat)
    np.add.at(counts, number, finite.reshape(flat.shape))
    ends = np.full((2, flat.shape[1]), np.nan)
    tail = (1 - level) / 2
    # quantities that are known in the same blocks are drawn together
    patterns, pattern_of = np.unique(counts > 0, axis=1, return_inverse=True)
    for place, filled in enumerate(patterns.T):
        if filled.sum() < 2:
            continue
        columns = np.flatnonzero(pattern_of.ravel() == place)
        weights = draw_blocks(int(filled.sum()), draws, seed)
        means = (weights @ sums[np.ix_(filled, columns)]) / (weights @ counts[np.ix_(filled, columns)])
        ends[:, columns] = np.quantile(means, [tail, 1 - tail], axis=0)
    low, high = ends
    return low.reshape(values.shape[1:]), high.reshape(values.shape[1:])


def correlation(x, y) -> float:
    """Pearson's correlation of two quantities (n,), pairs with NaN left out; NaN for fewer than 3 or where one is constant."""
    return block_bootstrap_correlation(x, y, np.zeros(np.size(x)))[0]


def block_bootstrap_correlation(
    x: np.ndarray, y: np.ndarray, blocks: np.ndarray, *, ranks: bool = False, draws: int = DRAWS, level: float = LEVEL,
    seed: int = 0,
) -> tuple[float, float, float, int]:  # fmt: skip
    """Correlation of two quantities over experiments, and its interval from blocks drawn with replacement.

    Parameters
    ----------
    x, y : (experiment,) float
        Pairs of which one is not finite are left out.
    blocks : (experiment,) int
        As for :func:`block_bootstrap`.
    ranks : bool, keyword-only
        Spearman's correlation, that of the ranks among all experiments (kept in the resamples), instead of Pearson's.

    Returns
    -------
    correlation, low, high, n
        n pairs; NaN for fewer than 3 of them or where one does not vary; low and high NaN for fewer than two blocks.
    """
    x, y = (np.asarray(sample, np.float64) for sample in (x, y))
    finite = np.isfinite(x) & np.isfinite(y)
    x, y, n = x[finite], y[finite], int(finite.sum())
    if n < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return (float("nan"),) * 3 + (n,)
    if ranks:
        from scipy.stats import rankdata  # its import takes as long as all others of the correlation's numbers

        x, y = rankdata(x), rankdata(y)
    x, y = ((sample - sample.mean()) / sample.std() for sample in (x, y))
    names, number = np.unique(np.asarray(blocks)[finite], return_inverse=True)
    sums = np.stack([np.bincount(number, summand, names.size) for summand in (np.ones(n), x, y, x * x, y * y, x * y)])
    middle = float(correlation_of_sums(sums.sum(axis=1)))
    if names.size < 2:
        return middle, float("nan"), float("nan"), n
    tail = (1 - level) / 2
    drawn = correlation_of_sums(sums @ draw_blocks(names.size, draws, seed).T)
    drawn = drawn[np.abs(drawn) < 1 + 1e-9]  # not those of draws in which one does not vary
    if drawn.size == 0:
        return middle, float("nan"), float("nan"), n
    low, high = np.quantile(np.clip(drawn, -1, 1), [tail, 1 - tail])
    return middle, float(low), float(high), n


def correlation_of_sums(sums: np.ndarray) -> np.ndarray:
    """Pearson's, of sums (6, ...) of 1, x, y, x^2, y^2, x y."""
    n, x, y, xx, yy, xy = sums
    with np.errstate(invalid="ignore", divide="ignore"):
        return (xy - x * y / n) / np.sqrt((xx - x * x / n) * (yy - y * y / n))


def draw_blocks(n: int, draws: int, seed: int) -> np.ndarray:
    """(draw, block) how often each of n blocks is drawn when n are, with replacement."""
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), draws)
