"""The predicted ocean: streamfunctions at some instants and depths behind the :class:`data.ocean.Ocean` interface.

Its levels are the depths of the streamfunctions, so that velocities are linear between them and constant beyond; its floor is
flat, below the deepest. Where the lattice is periodic, so is the ocean. The kernel, the stores and the binning need nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np

from data.errors import InputError
from data.grid import HorizontalGrid
from data.ocean import Preferences, Snapshot
from data.vertical import SCoordinate
from learning.velocity.lattice import Lattice

#: Points of the ocean along one spacing of the lattice.
FINER = 2
#: Depth of the floor over that of the deepest velocities.
FLOOR = 1.25
#: Longest time step of a particle, minutes.
DT_MINUTES = 1440.0


def depth_coordinate(depths: np.ndarray) -> SCoordinate:
    """Levels at ``depths`` (m, positive down, increasing) over a floor at :data:`FLOOR` times the deepest depth."""
    depths = np.asarray(depths, np.float64)
    if depths.size < 2 or np.any(np.diff(depths) <= 0) or depths[0] <= 0:
        raise InputError("a predicted ocean needs two depths or more, below the surface, increasing")
    floor = FLOOR * depths[-1]
    s = -depths[::-1] / floor
    between = np.concatenate([[-1.0], 0.5 * (s[1:] + s[:-1]), [0.0]])
    return SCoordinate(s, s, between, between, hc=0.0)


def ocean_grid(lattice: Lattice, floor: float, sea: np.ndarray | None = None, coriolis: float = 1e-4) -> HorizontalGrid:
    """The C-grid whose corners are the points of the lattice, :data:`FINER` times as dense.

    ``sea`` (y, x) bool on the lattice: a cell is sea where the nearest lattice point is.
    """
    spacing = lattice.spacing / FINER
    ny, nx = (FINER * n if lattice.periodic else FINER * (n - 1) + 1 for n in lattice.shape)
    first_x, first_y = 1000 * lattice.frame.x[0], 1000 * lattice.frame.y[0]
    if not lattice.degrees:
        first_x, first_y = first_x + lattice.frame.center[0], first_y + lattice.frame.center[1]
    # rho points between the corners; of a periodic domain the last is the image of the first
    n_x, n_y = (nx + 1, ny + 1) if lattice.periodic else (nx - 1, ny - 1)
    x, y = np.meshgrid(first_x + (np.arange(n_x) + 0.5) * spacing, first_y + (np.arange(n_y) + 0.5) * spacing)
    unity = np.ones(x.shape)
    mask = unity > 0
    if sea is not None and not sea.all():
        rows, columns = (np.rint((np.arange(n) + 0.5) / FINER).astype(int) for n in (n_y, n_x))
        mask = sea[rows % sea.shape[0]][:, columns % sea.shape[1]]
    return HorizontalGrid(
        h=floor * unity, pm=unity / spacing, pn=unity / spacing, x_rho=x, y_rho=y, mask_rho=mask, angle=0 * unity,
        coriolis=coriolis * unity, spherical=False, periodic=(lattice.periodic,) * 2,
        center=lattice.frame.center if lattice.degrees else None,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class PredictedOcean:
    """See :class:`data.ocean.Ocean`. Made by :func:`predicted_ocean`.

    Attributes
    ----------
    lattice : Lattice
    flow : (depth, 2) float
        Uniform flow that is added, m/s.
    psi : callable
        Number of an instant -> (depth, y, x) streamfunction on the lattice, m2/s.
    """

    lattice: Lattice
    flow: np.ndarray
    psi: Callable[[int], np.ndarray]
    grid: HorizontalGrid
    vertical: SCoordinate
    times: np.ndarray
    variables: frozenset[str]
    description: dict
    diffusivity: float = 0.0
    dt_minutes: float = DT_MINUTES

    @property
    def preferences(self) -> Preferences:
        """The longest step, and the diffusivity of what the velocities leave out."""
        return Preferences(self.dt_minutes, self.diffusivity)

    def snapshot(self, index: int, variables: Collection[str] = ()) -> Snapshot:
        """Velocities of an instant; the free surface is flat."""
        psi = self.lattice.finer(self.psi(index)[::-1], FINER)
        if self.lattice.periodic:
            psi = np.pad(psi, ((0, 0), (0, 2), (0, 2)), mode="wrap")
        spacing = np.float32(self.lattice.spacing / FINER)
        u = (psi[:, :-1, 1:-1] - psi[:, 1:, 1:-1]) / spacing + self.flow[::-1, 0, None, None].astype(np.float32)
        v = (psi[:, 1:-1, 1:] - psi[:, 1:-1, :-1]) / spacing + self.flow[::-1, 1, None, None].astype(np.float32)
        sea = self.grid.mask_rho
        if not sea.all():
            u, v = u * (sea[:, 1:] & sea[:, :-1]), v * (sea[1:] & sea[:-1])
        zeta = np.zeros(self.grid.shape, np.float32)
        return Snapshot(self.times[index], np.ascontiguousarray(u, np.float32), np.ascontiguousarray(v, np.float32), zeta)


def predicted_ocean(
    lattice: Lattice, depths: np.ndarray, times: np.ndarray, psi: Callable[[int], np.ndarray], flow: np.ndarray, *,
    diffusivity: float = 0.0, sea: np.ndarray | None = None, description: dict | None = None,
) -> PredictedOcean:  # fmt: skip
    """The ocean of streamfunctions.

    Parameters
    ----------
    depths : (depth,)
        m, positive down, increasing.
    times : (n,) datetime64
        Of the instants; velocities are linear between them.
    psi : callable
        See :class:`PredictedOcean`.
    flow : (depth, 2)
        m/s.
    diffusivity : float
        m2/s, of the motion that the velocities leave out.
    sea : (y, x) bool, optional
        Where there is sea (default: everywhere).
    """
    vertical = depth_coordinate(depths)
    grid = ocean_grid(lattice, FLOOR * float(depths[-1]), sea)
    about = {"kind": "predicted", "assumptions": ["velocities from a network; no vertical motion but the particles' own"]}
    return PredictedOcean(lattice, np.asarray(flow, np.float64), psi, grid, vertical, np.asarray(times).astype("datetime64[ns]"),
                          frozenset(), {**about, **(description or {})}, diffusivity)  # fmt: skip
