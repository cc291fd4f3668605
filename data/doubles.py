"""Instants that two files hold: whether the records say the same."""

from __future__ import annotations

import numpy as np

#: Instants of a pair of files that are compared at most.
COMPARED = 3
#: Values differ when half of their points are off by more than this share of their usual size.
DIFFERENT = 1e-2


def compared(count: int) -> np.ndarray:
    """Which of ``count`` instants are compared: the first, the last and one between."""
    return np.unique(np.linspace(0, count - 1, COMPARED).astype(int))


def differ(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two records of a quantity, in m or m/s, differ by more than rounding; fill values tell nothing."""
    finite = np.isfinite(one) & np.isfinite(other) & (np.abs(one) < 1e3) & (np.abs(other) < 1e3)
    if not finite.any():
        return False
    return bool(np.median(np.abs(one - other)[finite]) > DIFFERENT * np.std(one[finite]))
