"""CROCO and ROMS files of periodic domains: two columns (rows) of rho points at each end are the same water.

A run that is periodic along xi writes rho points 0 ... L + 1 of which point 0 is the image of L, and L + 1 that of 1. The last
one is left out: what remains is a periodic :class:`~data.grid.HorizontalGrid`, whose last point is the image of its first.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from data.croco.reader import CrocoOcean
from data.errors import InputError
from data.grid import HorizontalGrid
from data.ocean import Ocean, Snapshot

AXES = ("xi", "eta")
#: Share of a cell, or of a degree, within which two positions are the same.
SAME = 1e-3
GRID_FIELDS = ("h", "pm", "pn", "x_rho", "y_rho", "mask_rho", "angle", "coriolis")
#: Static fields that images share.
STATIC = ("h", "pm", "pn", "mask_rho")


class PeriodicOcean:
    """An ocean of files whose ends overlap, as a periodic one; everything else is that of the ocean inside.

    Parameters
    ----------
    inside : CrocoOcean
        As the files have it, its ends closed.
    along : (bool, bool)
        Whether it is periodic along xi, along eta.
    """

    def __init__(self, inside: CrocoOcean, along: tuple[bool, bool]):
        self._inside, self._along = inside, along
        self.times, self.vertical, self.variables = inside.times, inside.vertical, inside.variables
        self.description = inside.description
        grid = inside.grid
        fields = {name: self._cut(getattr(grid, name)) for name in GRID_FIELDS}
        self.grid = HorizontalGrid(**fields, spherical=grid.spherical, periodic=along, center=grid.center, stagger=grid.stagger)

    def __len__(self) -> int:
        return len(self.times)

    def snapshot(self, index: int, variables: Collection[str] = ()) -> Snapshot:
        """One snapshot, the repeated ends left out; see :class:`data.ocean.Ocean`."""
        return self._of(self._inside.snapshot(index, variables))

    def sample(self, index: int, variables: Collection[str] = ()) -> Snapshot:
        """As :meth:`snapshot`, apart from a sweep through the record."""
        return self._of(self._inside.sample(index, variables))

    def record(self, index: int) -> tuple[str, int]:
        """File and number of a record."""
        return self._inside.record(index)

    def close(self) -> None:
        """Close the files; they open again when a snapshot is asked for."""
        self._inside.close()

    def _of(self, snapshot: Snapshot) -> Snapshot:
        w, omega, temp = (None if field is None else self._cut(field) for field in (snapshot.w, snapshot.omega, snapshot.temp))
        return Snapshot(snapshot.time, self._cut(snapshot.u), self._cut(snapshot.v), self._cut(snapshot.zeta), w, omega, temp)

    def _cut(self, field: np.ndarray) -> np.ndarray:
        """A field at rho, u or v points without its last column and row, where those repeat the first."""
        along_xi, along_eta = self._along
        rows, columns = slice(None, -1 if along_eta else None), slice(None, -1 if along_xi else None)
        return np.ascontiguousarray(field[..., rows, columns])


def as_periodic(ocean: CrocoOcean, wanted: str = "auto") -> Ocean:
    """The ocean, periodic where its files are.

    Parameters
    ----------
    ocean : CrocoOcean
        Its ends closed.
    wanted : "auto", "no", "xi", "eta" or "both"
        auto: where the ends of two records and of the grid are equal; a name: there, or an InputError.

    Raises
    ------
    InputError
        The ends are not equal where they are wanted to be, or positions do not repeat.
    """
    if wanted == "no":
        return ocean
    axes_asked = {"auto": (), "both": AXES}.get(wanted, (wanted,))
    along = []
    for number, axis in enumerate(AXES):
        equal = _ends_are_equal(ocean, number)
        lacking = "" if equal else "the first two and the last two rows of points across it are not the same water"
        if equal and not _positions_repeat(ocean.grid, number):
            lacking = "its ends are equal, but positions neither lie in metres along it nor go round the Earth"
        if lacking and axis in axes_asked:
            raise InputError(f"{ocean.record(0)[0]}: not periodic along {axis}: {lacking}; leave --periodic out")
        if equal and lacking and wanted == "auto":
            ocean.description["assumptions"].append(f"along {axis} {lacking}: read as closed there")
        along.append(not lacking)
    if wanted != "auto":
        along = [axis in axes_asked for axis in AXES]
    if not any(along):
        return ocean
    names = " and ".join(axis for axis, overlaps in zip(AXES, along, strict=True) if overlaps)
    note = f"the ends of the domain overlap: read as periodic along {names} (--periodic no closes it)"
    ocean.description["assumptions"].append(note)
    ocean.description["periodic"] = names
    return PeriodicOcean(ocean, (along[0], along[1]))


def _ends_are_equal(ocean: CrocoOcean, axis: int) -> bool:
    """Whether points 0 and 1 along an axis (0: xi, 1: eta) hold what the last but one and the last hold."""
    grid = ocean.grid
    turned = lambda field: field if axis == 0 else np.swapaxes(field, -1, -2)
    rho = [turned(getattr(grid, name)) for name in STATIC]
    if rho[0].shape[-1] < 6 or not all(np.array_equal(field[:, :2], field[:, -2:]) for field in rho):
        return False
    for index in sorted({0, len(ocean.times) // 2}):
        snapshot = ocean.sample(index)
        # along the axis: velocities along it stand between rho points, those across it on their columns
        between, across = (snapshot.u, snapshot.v) if axis == 0 else (snapshot.v, snapshot.u)
        between, across, zeta = turned(between), turned(across), turned(snapshot.zeta)
        if not np.array_equal(between[..., 0], between[..., -1]):
            return False
        if not all(np.array_equal(field[..., :2], field[..., -2:]) for field in (across, zeta)):
            return False
        if all(np.ptp(field, axis=-1).max() == 0 for field in (between, across, zeta)):
            return False  # the same everywhere along the axis: equal ends tell nothing
    return True


def _positions_repeat(grid: HorizontalGrid, axis: int) -> bool:
    """Whether the last but one point along an axis lies one period from the first: straight in metres, or round the Earth."""
    x, y = (field if axis == 0 else field.T for field in (grid.x_rho, grid.y_rho))
    if grid.spherical:
        around = np.abs(np.mod(x[:, -2] - x[:, 0] + 180, 360) - 180)
        return axis == 0 and bool((around < SAME).all() and (np.abs(y[:, -2] - y[:, 0]) < SAME).all())
    along, beside = (x, y) if axis == 0 else (y, x)
    cell = np.abs(along[:, -2] - along[:, 0]).min() / (along.shape[1] - 2)
    straight = np.abs(beside - beside[:, :1]).max() < SAME * cell
    return bool(straight and cell > 0 and np.ptp(along[:, -2] - along[:, 0]) < SAME * cell)
