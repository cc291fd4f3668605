"""The training loss and its gradients on a processor: each map of logits is made, compared and left within the cache.

What :func:`learning.loss.training_loss` says, for logits that are raised along y from a coarse grid. PyTorch goes through memory
once for each operation; here a map goes through once for all of them.
"""

from __future__ import annotations

import numpy as np

from data.compiled import njit

#: Coarse rows that a row of the full grid is made of, at most: those of cubic interpolation.
TAPS = 4
#: For :func:`exp`: ln 2 as a sum, whose first part has few digits, and the polynomial of a remainder within ln 2 / 2.
LOG2_E, LN2_HIGH, LN2_LOW = np.float32(1.44269504), np.float32(0.693359375), np.float32(-2.12194440e-4)
TERMS = tuple(np.float32(1 / n) for n in (5040, 720, 120, 24, 6, 2))
#: Arguments below give what this gives: some 1e-38, the smallest number that processors handle at full speed.
LEAST = np.float32(-87.0)


def taps(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First column, and the weights from there on, of the rows of a matrix of interpolation.

    Parameters
    ----------
    matrix : (y, b) float32
        b of :data:`TAPS` or more; in each row no two numbers but 0 are farther apart than :data:`TAPS` columns.

    Returns
    -------
    (y,) int64, (y, TAPS) float32

    Raises
    ------
    ValueError
        A row spans more columns.
    """
    first = np.minimum((matrix != 0).argmax(axis=1), matrix.shape[1] - TAPS)
    weights = np.take_along_axis(matrix, first[:, None] + np.arange(TAPS), axis=1)
    if np.count_nonzero(weights) != np.count_nonzero(matrix):
        raise ValueError(f"a row of the matrix spans more than {TAPS} columns")
    return first, np.ascontiguousarray(weights)


@njit(nogil=True, fastmath={"contract", "nsz"})
def exp(x):
    """e^x of a float32 of 0 or less, within 3e-7 of it; by arithmetic that goes into vectors. Not a number stays so.

    e^x = 2^n e^r with r within ln 2 / 2 of 0 (Cody and Waite 1980).
    """
    x = LEAST if x < LEAST else x
    n = np.floor(x * LOG2_E + np.float32(0.5))
    r = (x - n * LN2_HIGH) - n * LN2_LOW
    a, b, c, d, e, f = TERMS
    series = (((((a * r + b) * r + c) * r + d) * r + e) * r + f) * r * r + r + np.float32(1.0)
    return series * np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)


@njit(nogil=True, fastmath={"contract", "nsz", "reassoc"})
def compiled_losses(maps, prior, amplitude, first, weights, share, of_maps, of_prior):
    """Losses (n, m) of PDFs whose logits are maps, raised along y, and a prior; their gradients are added to zeros.

    Parameters
    ----------
    maps : (n, m, b, x) float32
    prior : (m, y, x) float32
    amplitude : (n, m, y, x) float32
        See :func:`learning.loss.target_amplitude`.
    first, weights : (y,) int64, (y, TAPS) float32
        See :func:`taps`.
    share : float32
        Of the gradients of each loss.
    of_maps : (n, m, b, x) float32
    of_prior : (m, y, x) float32
    """
    n, m, _, nx = maps.shape
    ny = len(first)
    out = np.empty((n, m), np.float32)
    columns = np.uintp(nx)
    h, top = np.empty(ny * nx, np.float32), np.empty(nx, np.float32)
    for number in range(m):
        base, of_base = prior[number].reshape(-1), of_prior[number].reshape(-1)
        for sample in range(n):
            coarse, of_coarse = maps[sample, number].reshape(-1), of_maps[sample, number].reshape(-1)
            target = amplitude[sample, number].reshape(-1)
            top[:] = -np.inf
            for j in range(ny):
                row, zero = np.uintp(j) * columns, np.uintp(first[j]) * columns
                one, two, three = zero + columns, zero + columns + columns, zero + columns + columns + columns
                for x in range(columns):
                    raised = weights[j, 0] * coarse[zero + x] + weights[j, 1] * coarse[one + x]
                    raised += weights[j, 2] * coarse[two + x] + weights[j, 3] * coarse[three + x]
                    logit = base[row + x] + raised
                    h[row + x] = logit
                    top[x] = logit if logit > top[x] else top[x]
            highest = top.max()
            # sqrt(q) = h / sqrt(sum h^2)
            overlap, total = 0.0, 0.0
            for j in range(ny):
                row, of_row, square = np.uintp(j) * columns, np.float32(0.0), np.float32(0.0)
                for x in range(columns):
                    value = exp(np.float32(0.5) * (h[row + x] - highest))
                    h[row + x] = value
                    of_row += target[row + x] * value
                    square += value * value
                overlap += of_row
                total += square
            length = np.sqrt(total)
            out[sample, number] = 1.0 - overlap / length
            # d/dlogits = h (h sum(a h) / sum h^2 - a) / (2 sqrt(sum h^2))
            ratio, scale = np.float32(overlap / total), np.float32(0.5 * share / length)
            for j in range(ny):
                row, zero = np.uintp(j) * columns, np.uintp(first[j]) * columns
                one, two, three = zero + columns, zero + columns + columns, zero + columns + columns + columns
                for x in range(columns):
                    value = h[row + x]
                    slope = scale * value * (ratio * value - target[row + x])
                    of_base[row + x] += slope
                    of_coarse[zero + x] += weights[j, 0] * slope
                    of_coarse[one + x] += weights[j, 1] * slope
                    of_coarse[two + x] += weights[j, 2] * slope
                    of_coarse[three + x] += weights[j, 3] * slope
    return out
