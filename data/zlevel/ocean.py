"""A z-level ocean behind the Ocean interface: records cut, on the kernel's points, continued to the floor."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial

import numpy as np

from data.errors import InputError
from data.file_ocean import FileOcean
from data.grid import HorizontalGrid
from data.handles import Handles
from data.ocean import OPTIONAL_VARIABLES, Preferences, Snapshot
from data.sizes import beyond, first_impossible, possible
from data.vertical import ZCoordinate
from data.zlevel.files import Cut
from data.zlevel.levels import continued_down
from data.zlevel.series import Series


def on_kernel_points(u: np.ndarray, v: np.ndarray, stagger: str) -> tuple[np.ndarray, np.ndarray]:
    """u and v (n, eta, xi) as a model stores them, on the points of the kernel's A- or C-grid (see :class:`Model`).

    Corners of a B-grid are averaged along the face that they bound, which is how such models compute fluxes.
    """
    if stagger == "right":
        return u[:, :, :-1], v[:, :-1]
    if stagger == "left":
        return u[:, :, 1:], v[:, 1:]
    if stagger == "corner":
        lower, before = np.concatenate([u[:, :1], u[:, :-1]], 1), np.concatenate([v[:, :, :1], v[:, :, :-1]], 2)
        return (0.5 * (u + lower))[:, :, :-1], (0.5 * (v + before))[:, :-1]
    return u, v


class ZLevelOcean(FileOcean):
    """z-level files as an :class:`~data.ocean.Ocean`; made by :func:`data.zlevel.open.open_zlevel`.

    Attributes
    ----------
    grid, vertical, times, variables, description, preferences
        As :class:`~data.ocean.Ocean` says.

    Parameters besides
    ------------------
    series : dict of Series
    cut : Cut
    levels : slice
        Turns the levels of the files so that the deepest comes first.
    stagger : str
        As the files have it.
    wet : dict of (n, eta, xi) bool
        Where u and v, on the points of the kernel, and quantities at rho points hold water; from the deepest level up.
    wall : int or None
        So many levels below the last wet one hold its value too (None: all; a wall of a C-grid is met below).
    to_faces : callable, optional
        u and v as the files have them to those on the points of the kernel (default: :func:`on_kernel_points`); can be pickled.
    """

    def __init__(
        self,
        grid: HorizontalGrid,
        vertical: ZCoordinate,
        times: np.ndarray,
        series: dict[str, Series],
        description: dict,
        preferences: Preferences,
        *,
        files: Handles,
        cut: Cut,
        levels: slice,
        stagger: str,
        wet: dict[str, np.ndarray],
        wall: int | None,
        to_faces: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]] | None = None,
    ):
        super().__init__(files)
        self.grid, self.vertical, self.times = grid, vertical, times
        self.variables = frozenset(set(series) & set(OPTIONAL_VARIABLES))
        self.description, self.preferences = description, preferences
        self._series, self._cut, self._levels = series, cut, levels
        self._stagger, self._wet, self._wall = stagger, wet, wall
        self._known_w: np.ndarray | None = None  # where the files hold w, found as w is first asked for
        self._to_faces = to_faces or partial(on_kernel_points, stagger=stagger)

    def record(self, index: int) -> tuple[str, int]:
        """The file that holds u of snapshot ``index``, and the number of the record in that file, from 0."""
        source, record = self._series["u"].owners[self._checked(index)]
        return source.path, record

    def snapshot(self, index: int, variables: Collection[str] = ()) -> Snapshot:
        """Read one snapshot with the optional variables named. Thread-safe.

        Raises
        ------
        InputError
            If the record cannot be read, holds NaN or fill values in the sea, or lacks a variable asked for.
        IndexError
            If there is no such snapshot.
        """
        index = self._checked(index)
        self._check_offered(index, variables)
        fields = self._velocities(index)
        for name, velocity in fields.items():
            self._check_still(index, name, velocity)
        if "zeta" in self._series:
            fields["zeta"] = self._checked_values("zeta", self._read("zeta", index), index, self.grid.mask_rho)
        else:
            fields["zeta"] = np.zeros(self.grid.shape, np.float32)
        for name in dict.fromkeys(variables):
            field = self._read(name, index)
            if name == "temp" and field.shape[0] == 1:
                fields[name] = self._at_top(field[0], index)
            else:
                fields[name] = self._upward(field, index) if name == "w" else self._in_sea(name, field, index)
        return Snapshot(time=self.times[index], **fields)

    def __repr__(self) -> str:
        eta, xi = self.grid.shape
        return self._described(f"{self.vertical.n} levels, {eta} x {xi} points, {self.grid.stagger}-grid")

    def _velocities(self, index) -> dict[str, np.ndarray]:
        """u and v on the points of the kernel."""
        u, v = self._to_faces(self._read("u", index), self._read("v", index))
        return {name: self._in_sea(name, np.ascontiguousarray(field), index) for name, field in (("u", u), ("v", v))}

    def _velocity(self, index, name):
        return self._velocities(index)[name]

    def _source_of(self, index, name):
        source, record = self._series[name].owners[index]
        return source.path, source.name, record

    def _read(self, name, index) -> np.ndarray:
        source, record = self._series[name].owners[index]
        return source.read(self._handles, record, self._cut, self._levels)

    def _in_sea(self, name, field, index) -> np.ndarray:
        """0 on land, each column's last wet value below it."""
        wet = self._wet.get(name, self._wet["rho"])
        field = self._checked_values(name, field, index, wet)
        continued_down(field, wet, self._wall)
        return field

    def _checked_values(self, name, field, index, wet) -> np.ndarray:
        """The field (..., eta, xi) with 0 out of the water; InputError where a value in the water is missing or impossible."""
        missing = np.isnan(field) & wet
        values = np.where(wet, field, np.float32(0))
        if not missing.any() and possible(name, values):
            return values
        *level, eta, xi = np.argwhere(missing)[0] if missing.any() else first_impossible(name, values)
        path, variable, record = self._source_of(index, name)
        depth = f"{-self.vertical.rho[level[0]]:.5g} m deep " if level else ""
        where = f"in record {record} (counted from 0), {depth}at (eta, xi) = ({eta}, {xi})"
        if missing.any():
            raise InputError(f"{path}: {variable} is NaN or a fill value inside the sea, {where}; mend the record")
        value = values[(*level, eta, xi)]
        raise InputError(f"{path}: {variable} is {value:.6g} {where}; {beyond(name, variable)}")

    def _at_top(self, temp, index) -> np.ndarray:
        """Temperature of files that hold the uppermost level alone; NaN at the levels below."""
        field = np.full((self.vertical.n, *self.grid.shape), np.nan, np.float32)
        field[-1] = self._checked_values("temp", temp, index, self.grid.mask_rho)
        return field

    def _upward(self, w, index) -> np.ndarray:
        """w at layer centres, or, where the files have it at the interfaces above centres, with that of the sea floor added."""
        if self._known_w is None:
            self._known_w = self._wet["rho"] & self._series["w"].known_in_first(self._handles, self._cut, self._levels)
        w = self._checked_values("w", w, index, self._known_w)
        if self._stagger == "centre":
            return w
        return np.concatenate([np.zeros((1, *w.shape[1:]), np.float32), w])
