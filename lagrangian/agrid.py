"""Velocities on an A-grid at fixed depths, for the comparison run ``--kernel parcels``.

u, v and the true vertical velocity are put on rho points and interpolated to depths that do not move; Parcels then interpolates
them linearly by itself. The two kernels so share the model's numbers and nothing else: neither staggering, nor s-coordinates,
nor the free surface.
"""

from __future__ import annotations

import numpy as np

from data.compiled import njit
from data.grid import HorizontalGrid
from data.vertical import VerticalCoordinate
from lagrangian.velocity import vertical_velocity_from_omega
from lagrangian.window import PreparedSnapshot

#: Spacing of the fixed depths, m.
DEPTH_STEP = 25.0


@njit(nogil=True)
def _to_depths(field, z, height, out):
    """Columns (s, eta, xi) at heights z (s, eta, xi) to fixed heights (decreasing), linear; constant beyond the ends."""
    n, ny, nx = field.shape
    for j in range(ny):
        for i in range(nx):
            k = n - 2
            for m in range(height.size):
                while k > 0 and height[m] < z[k, j, i]:
                    k -= 1
                thickness = z[k + 1, j, i] - z[k, j, i]
                f = (height[m] - z[k, j, i]) / thickness if thickness > 0.0 else 0.0  # both below the sea floor
                f = min(max(f, 0.0), 1.0)
                out[m, j, i] = (1.0 - f) * field[k, j, i] + f * field[k + 1, j, i]


class AGrid:
    """The fixed depths of a comparison run, and the way to them.

    Parameters
    ----------
    grid, vertical
        The ocean's geometry; not periodic.
    deepest : float
        Depth down to which velocities are needed, m; the levels reach one step farther.
    """

    def __init__(self, grid: HorizontalGrid, vertical: VerticalCoordinate, deepest: float, step: float = DEPTH_STEP):
        self.grid, self.vertical = grid, vertical
        self.depth = np.arange(0.0, deepest + 2.5 * step, step)
        self._last: tuple[PreparedSnapshot, dict[str, np.ndarray]] | None = None

    def fields(self, earlier: PreparedSnapshot, later: PreparedSnapshot) -> dict[str, np.ndarray]:
        """U, V in cells/s and W in m/s positive up, each (2, depth, eta, xi) float32, at the two instants."""
        if self._last is None or self._last[0] is not later:  # the earlier snapshot of a window is the later one of the next
            self._last = later, self._at_depths(later)
        pair = [self._at_depths(earlier), self._last[1]]
        self._last = earlier, pair[0]
        return {name: np.stack([fields[name] for fields in pair]) for name in ("U", "V", "W")}

    def _at_depths(self, snapshot: PreparedSnapshot) -> dict[str, np.ndarray]:
        grid, s = self.grid, self.vertical
        h = grid.land_filled.h
        z = s.z_rho(h, snapshot.zeta)
        z_vertical = z
        if snapshot.is_omega:
            w = vertical_velocity_from_omega(snapshot.u, snapshot.v, snapshot.zeta, snapshot.vertical_velocity, grid, s)
        else:
            w = snapshot.vertical_velocity
            if w.shape[0] == s.n + 1:
                z_vertical = s.z_w(h, snapshot.zeta)
        u, v = snapshot.u, snapshot.v
        if grid.stagger == "C":
            u, v = _between_faces(u, axis=2), _between_faces(v, axis=1)
        u, v = u * grid.pm.astype(np.float32), v * grid.pn.astype(np.float32)
        out = {}
        for name, field, heights in (("U", u, z), ("V", v, z), ("W", w, z_vertical)):
            out[name] = np.empty((self.depth.size, *grid.shape), np.float32)
            _to_depths(np.where(grid.mask_rho, field, 0.0), heights, -self.depth, out[name])
        return out


def _between_faces(field: np.ndarray, axis: int) -> np.ndarray:
    """Mean of the two faces of each rho point; at the edges the one face there is."""
    first = np.take(field, [0], axis=axis)
    last = np.take(field, [-1], axis=axis)
    padded = np.concatenate([first, field, last], axis=axis)
    n = padded.shape[axis]
    return 0.5 * (np.take(padded, range(n - 1), axis=axis) + np.take(padded, range(1, n), axis=axis))
