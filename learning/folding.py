"""Squares of cells folded into channels on a processor, in one pass, which takes half of the time of PyTorch's copies."""

from __future__ import annotations

import numpy as np

from data.compiled import njit


@njit(nogil=True)
def fold(maps, offset, side, out):
    """Put ``maps - offset`` into channels that lie last: of the cell (y, x) of a square into ``side * (side * c + y) + x``.

    Parameters
    ----------
    maps : (n, c, y, x) float32
    offset : (n, c) float32
        Taken away from each map.
    side : int
        Cells along a square. Those that the last squares have beyond a map are left as they are.
    out : (n, b, a, channel) float32
        b x a squares cover a map; of the channels, those after the folded ones are left as they are.
    """
    n, channels, ny, nx = maps.shape
    step, whole = np.uintp(out.shape[3]), np.uintp(side)
    across, rest = np.uintp(nx // side), np.uintp(nx % side)
    for sample in range(n):
        for channel in range(channels):
            taken = offset[sample, channel]
            for j in range(ny):
                row, target = maps[sample, channel, j], out[sample, j // side].reshape(-1)
                place = np.uintp(side * (side * channel + j % side))
                for i in range(across):
                    for k in range(whole):
                        target[place + i * step + k] = row[i * whole + k] - taken
                for k in range(rest):
                    target[place + across * step + k] = row[across * whole + k] - taken
