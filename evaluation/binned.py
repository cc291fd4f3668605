"""Means of a quantity by bins of two others: one binning for every conditional-score figure (paper Figs. 5 and 6)."""

from __future__ import annotations

import numpy as np
from scipy.stats import binned_statistic_2d

#: Bins of fewer samples are left blank (method.md section 4).
MINIMUM = 4


def binned_mean(x, y, values, x_edges, y_edges, *, minimum: int = MINIMUM) -> tuple[np.ndarray, np.ndarray]:
    """Mean of ``values`` (n,) by bins of ``x`` (n,) and ``y`` (n,).

    Bins hold their lower edge, the last one its upper edge as well. A sample with NaN in any of the three, or beyond the edges,
    is left out.

    Parameters
    ----------
    x_edges, y_edges : (nx + 1,), (ny + 1,)
        Increasing edges of the bins.
    minimum : int, keyword-only
        Samples that a bin needs; the mean of one with fewer is NaN.

    Returns
    -------
    (mean, count)
        (ny, nx) float64, and (ny, nx) int of the samples in each bin, whatever ``minimum``.
    """
    x, y, values = _known(x, y, values)
    edges = [np.asarray(x_edges, np.float64), np.asarray(y_edges, np.float64)]
    # scipy refuses to bin nothing
    if x.size == 0:
        shape = edges[1].size - 1, edges[0].size - 1
        return np.full(shape, np.nan), np.zeros(shape, int)
    count, total = (binned_statistic_2d(x, y, values, kind, edges).statistic.T for kind in ("count", "sum"))
    return np.where(count >= max(minimum, 1), total / np.maximum(count, 1), np.nan), count.astype(int)


def spanning_edges(
    values, bins: int = 12, *, tail: float = 1.0, symmetric: bool = False, lower: float | None = None
) -> np.ndarray:
    """(bins + 1,) even edges that span ``values`` but for ``tail`` per cent at either end.

    symmetric: about 0. lower: the first edge, where it is known beforehand (0 of what cannot be negative).
    """
    (values,) = _known(values)
    if values.size == 0:
        return np.linspace(-1.0 if symmetric else 0.0, 1.0, bins + 1)
    low, high = np.percentile(values, (tail, 100 - tail))
    if symmetric:
        high = max(abs(low), abs(high))
        low = -high
    elif lower is not None:
        low = lower
    if not high > low:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, bins + 1)


def _known(*samples) -> list[np.ndarray]:
    """The samples (n,) as float64, without those of which any is not finite."""
    arrays = [np.asarray(sample, np.float64).ravel() for sample in samples]
    if len({array.size for array in arrays}) > 1:
        raise ValueError(f"samples of different lengths: {', '.join(str(array.size) for array in arrays)}")
    finite = np.all([np.isfinite(array) for array in arrays], axis=0)
    return [array[finite] for array in arrays]
