"""The levels of GLORYS."""

from __future__ import annotations

import numpy as np

from data.vertical import ZCoordinate
from data.zlevel.levels import GLORYS_DEPTHS, interface_depths

#: Depths of the 50 levels of GLORYS, m.
GLORYS = np.array(GLORYS_DEPTHS)


def levels(moves=False):
    """The 50 levels of GLORYS."""
    return ZCoordinate(-GLORYS[::-1], -interface_depths(GLORYS)[::-1], moves)
