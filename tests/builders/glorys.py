"""The levels of GLORYS."""

from __future__ import annotations

import numpy as np

from data.vertical import ZCoordinate
from data.zlevel.levels import interface_depths

#: Depths of the 50 levels of GLORYS, m.
GLORYS = np.array(
    [0.494, 1.5414, 2.6457, 3.8195, 5.0782, 6.4406, 7.9296, 9.573, 11.405, 13.4671, 15.8101, 18.4956, 21.5988, 25.2114, 29.4447,
     34.4342, 40.3441, 47.3737, 55.7643, 65.8073, 77.8539, 92.3261, 109.7293, 130.666, 155.8507, 186.1256, 222.4752, 266.0403,
     318.1274, 380.213, 453.9377, 541.0889, 643.5668, 763.3331, 902.3393, 1062.4399, 1245.291, 1452.251, 1684.2841, 1941.8929,
     2225.0779, 2533.3359, 2865.7029, 3220.8201, 3597.032, 3992.4839, 4405.2241, 4833.291, 5274.7842, 5727.917]
)  # fmt: skip


def levels(moves=False):
    """The 50 levels of GLORYS."""
    return ZCoordinate(-GLORYS[::-1], -interface_depths(GLORYS)[::-1], moves)
