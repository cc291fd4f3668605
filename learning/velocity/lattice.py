"""The lattice of the learnt velocities: streamfunctions at its points, velocities between them, both ways.

psi (m2/s) stands at the points; u = -dpsi/dy stands half a spacing north of them, v = dpsi/dx half a spacing east. Differences
of psi are free of divergence to rounding, whatever psi is. A periodic lattice tiles its domain: after the last point comes the
first.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse
from scipy.interpolate import make_interp_spline
from scipy.sparse.linalg import splu

from data.errors import InputError
from data.frame import Frame
from data.grid import HorizontalGrid

#: Distance of the points, km; their number along an axis is a multiple of this (three resolutions of folded cells).
SPACING_KM, MULTIPLE = 16.0, 8
#: Weight of "no flow" where the sea's velocity is not known (land, below the floor, beyond the domain), and of psi itself.
WEIGHT_UNKNOWN, WEIGHT_PSI = 1e-3, 1e-9


@dataclass(frozen=True, eq=False)
class Lattice:
    """Points km east and north of a place, periodic in both directions or in none.

    Attributes
    ----------
    frame : Frame
        The points.
    periodic : bool
    degrees : bool
        Whether the frame's centre is a longitude and latitude (else metres of a Cartesian grid).
    """

    frame: Frame
    periodic: bool
    degrees: bool = True

    @classmethod
    def of(
        cls, grid: HorizontalGrid, center: tuple[float, float], half_width_km: float, spacing_km: float = SPACING_KM
    ) -> Lattice:
        """The lattice about ``center``: a doubly periodic domain as a whole, else what lies within ``half_width_km``.

        The spacing of a periodic lattice is the nearest to ``spacing_km`` that tiles the domain.

        Raises
        ------
        InputError
            The window is narrower than 8 points.
        """
        middle = (center[0], center[1])
        if all(grid.periodic) and not grid.spherical:
            lengths = (period * grid.spacing_km for period in grid.period)
            counts = [max(1, round(length / spacing_km / MULTIPLE)) * MULTIPLE for length in lengths]
            spacing = grid.period[0] * grid.spacing_km / counts[0]
            if abs(grid.period[1] * grid.spacing_km / counts[1] - spacing) < 1e-6 * spacing:
                return cls(Frame(middle, spacing, *(_axis(n, spacing) for n in counts)), True, grid.degrees)
        n = int(2 * half_width_km / spacing_km / MULTIPLE + 1e-9) * MULTIPLE
        if n < MULTIPLE:
            raise InputError(
                f"a window of {2 * half_width_km:g} km is too narrow for points {spacing_km:g} km apart; 8 are needed"
            )
        return cls(Frame(middle, float(spacing_km), _axis(n, spacing_km), _axis(n, spacing_km)), False, grid.degrees)

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx)"""
        return self.frame.shape

    @property
    def spacing(self) -> float:
        """m"""
        return 1000.0 * self.frame.spacing_km

    def shifted(self, east: float, north: float) -> Frame:
        """The frame of the points moved by parts of the spacing."""
        f = self.frame
        return Frame(f.center, f.spacing_km, f.x + east * f.spacing_km, f.y + north * f.spacing_km)

    def velocity(self, psi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(u, v) of psi (..., y, x), m/s; without the last row of u and column of v where not periodic."""
        if self.periodic:
            return -(np.roll(psi, -1, -2) - psi) / self.spacing, (np.roll(psi, -1, -1) - psi) / self.spacing
        return -np.diff(psi, axis=-2) / self.spacing, np.diff(psi, axis=-1) / self.spacing

    def tilt(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """(..., y, x) psi of uniform flow u, v (...), m/s."""
        x, y = np.meshgrid(1000 * self.frame.x, 1000 * self.frame.y)
        return np.asarray(v)[..., None, None] * x - np.asarray(u)[..., None, None] * y

    # -- from velocities to psi --------------------------------------------------------------------------------------
    def streamfunction(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """(y, x) float32 psi of zero mean whose velocities are nearest to u, v by least squares: their rotational part.

        u, v as :meth:`velocity` gives them, NaN where unknown: no flow is asked for there, weakly.
        """
        finite = np.concatenate([np.isfinite(u).ravel(), np.isfinite(v).ravel()])
        target = np.concatenate([-np.nan_to_num(u).ravel(), np.nan_to_num(v).ravel()]) * self.spacing
        weight = np.where(finite, 1.0, WEIGHT_UNKNOWN)
        psi = self._solver(weight.tobytes(), weight).solve(self._difference.T @ (weight * target)).reshape(self.shape)
        return (psi - psi.mean()).astype(np.float32)

    @cached_property
    def _solvers(self) -> dict:
        return {}

    def _solver(self, key: bytes, weight: np.ndarray):
        if key not in self._solvers:
            d = self._difference
            normal = d.T @ sparse.diags_array(weight) @ d + WEIGHT_PSI * sparse.eye_array(d.shape[1])
            self._solvers[key] = splu(normal.tocsc())
        return self._solvers[key]

    @cached_property
    def _difference(self):
        """Differences of psi along y, then along x, as one sparse matrix."""
        ny, nx = self.shape
        along_y, along_x = (_differences(n, self.periodic) for n in (ny, nx))
        return sparse.vstack([sparse.kron(along_y, sparse.eye_array(nx)), sparse.kron(sparse.eye_array(ny), along_x)]).tocsr()

    # -- finer points ------------------------------------------------------------------------------------------------
    def finer(self, psi: np.ndarray, times: int) -> np.ndarray:
        """psi (..., y, x) by cubic splines at points ``times`` as dense, the old ones among them.

        (..., times * ny, times * nx) on a periodic lattice, else (..., times * (ny - 1) + 1, times * (nx - 1) + 1). float32.
        """
        if times == 1:
            return np.asarray(psi, np.float32)
        rows, columns = self._raising(times)
        return rows @ np.asarray(psi, np.float32) @ columns.T

    def _raising(self, times: int) -> tuple[np.ndarray, np.ndarray]:
        key = ("finer", times)
        if key not in self._solvers:
            self._solvers[key] = tuple(_spline_matrix(n, times, self.periodic) for n in self.shape)
        return self._solvers[key]


def _axis(n: int, spacing: float) -> np.ndarray:
    return (np.arange(n) - (n - 1) / 2) * spacing


def _differences(n: int, periodic: bool):
    step = sparse.diags_array([-np.ones(n), np.ones(n - 1)], offsets=[0, 1]).tolil()
    if periodic:
        step[n - 1, 0] = 1.0
        return step.tocsr()
    return step.tocsr()[: n - 1]


def _spline_matrix(n: int, times: int, periodic: bool) -> np.ndarray:
    """(fine, n) float32 matrix of the cubic spline through n points, read at points ``times`` as dense."""
    if periodic:
        eye = np.eye(n)[np.arange(n + 1) % n]
        return make_interp_spline(np.arange(n + 1), eye, k=3, bc_type="periodic")(np.arange(times * n) / times).astype(np.float32)
    return make_interp_spline(np.arange(n), np.eye(n), k=3)(np.arange(times * (n - 1) + 1) / times).astype(np.float32)
