"""Square roots of smoothed and of raw PDFs, from the bins that hold particles: what losses and constants of least BL compare.

Particles lie in few of the 10 000 bins of a PDF. Each of these bins is smoothed by adding the smoothing of a single one around
it, which takes half of the time of cosine transforms of the whole (docs/measurements.md, "What the commands cost").
"""

from __future__ import annotations

import functools

import numpy as np

from data.compiled import njit
from lagrangian.binning import smooth_pdf

#: Cells around a bin into which the smoothing spreads what the bin holds: 3e-8 of it go further, less than float32 can tell.
REACH = 18
#: Columns of :func:`around_one`: those within reach, and zeros up to whole vectors of the processor.
COLUMNS = 40


@functools.cache
def around_one() -> np.ndarray:
    """(37, 40) float32 smoothing of a bin that holds 1, the bin at [18, 18]; the last three columns are zeros."""
    side = 2 * REACH + 1
    one = np.zeros((3 * side, 3 * side))
    one[side + REACH, side + REACH] = 1.0
    out = np.zeros((side, COLUMNS), np.float32)
    out[:, :side] = smooth_pdf(one)[side : 2 * side, side : 2 * side]
    return out


def put_amplitudes(out: np.ndarray, first: np.ndarray, bins: np.ndarray, share: np.ndarray, smoothed: float, raw: float) -> None:
    """Put ``smoothed * sqrt(smooth_pdf(pdf)) + raw * sqrt(pdf)`` of PDFs into ``out``.

    Parameters
    ----------
    out : (n, level, y, x) float32
    first : (n, level + 1) int64
        Where the bins of each level begin in ``bins``, and where those of the last end.
    bins : (m,) uint16
        Numbers of the bins that hold particles, x fastest, ascending in each level; none comes twice.
    share : (m,) float32
        What each of them holds.
    smoothed, raw : float
        Weights of both roots.
    """
    _put(out, first, bins, share, around_one(), np.float32(smoothed), np.float32(raw))


@njit(nogil=True, fastmath={"contract", "nsz"})
def _put(out, first, bins, share, around, smoothed, raw):
    """:func:`put_amplitudes`; ``around`` is :func:`around_one`. What is spread beyond an edge is reflected there."""
    ny, nx = out.shape[2:]
    n_rows, n_columns = np.uintp(around.shape[0]), np.uintp(around.shape[1])
    wide = np.empty((ny + 2 * REACH, nx - 1 + around.shape[1]), np.float32)
    length = np.uintp(wide.shape[1])
    flat, weights = wide.reshape(-1), around.reshape(-1)
    for row in range(out.shape[0]):
        for level in range(out.shape[1]):
            amplitudes = out[row, level]
            begin, end = first[row, level], first[row, level + 1]
            if begin == end:
                amplitudes[:] = 0.0
                continue
            low, high = bins[begin] // nx, bins[end - 1] // nx  # bins ascend: rows that hold some
            left, right = nx, 0
            wide[low : high + around.shape[0]] = 0.0
            for k in range(begin, end):
                x = bins[k] % nx
                left, right = min(left, x), max(right, x)
                corner = np.uintp(bins[k] // nx) * length + np.uintp(x)
                for j in range(n_rows):
                    # of a number that the compiler does not know, and without slices: unrolled, it has no vectors
                    for i in range(n_columns):
                        flat[corner + j * length + i] += share[k] * weights[j * n_columns + i]
            for j in range(low, REACH):
                _add_line(wide, REACH + _reflected(j - REACH, ny), j)
            for j in range(ny + REACH, high + around.shape[0]):
                _add_line(wide, REACH + _reflected(j - REACH, ny), j)
            top, bottom = max(low - REACH, 0), min(high + REACH + 1, ny)
            amplitudes[:top] = 0.0
            amplitudes[bottom:] = 0.0
            for j in range(top, bottom):
                line = wide[REACH + j]
                for i in range(left, REACH):
                    line[REACH + _reflected(i - REACH, nx)] += line[i]
                for i in range(nx + REACH, right + around.shape[0]):
                    line[REACH + _reflected(i - REACH, nx)] += line[i]
                inside = line[REACH : REACH + nx]
                for i in range(nx):
                    amplitudes[j, i] = smoothed * np.sqrt(inside[i])
            for k in range(begin, end):
                amplitudes[bins[k] // nx, bins[k] % nx] += raw * np.sqrt(share[k])


@njit(nogil=True)
def _add_line(wide, to, beyond):
    """Add one line to another, number ``to``."""
    for i in range(wide.shape[1]):
        wide[to, i] += wide[beyond, i]


@njit(nogil=True)
def _reflected(number, n):
    """Number of the cell, of n, that a cell beyond an edge falls on where both edges are mirrors."""
    number %= 2 * n
    return number if number < n else 2 * n - 1 - number
