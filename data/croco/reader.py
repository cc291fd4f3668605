"""CROCO and ROMS history and average files, read as users have them.

Opening reads metadata, static fields and times; :meth:`CrocoOcean.snapshot` reads one record. What files
leave open is settled by a rule, and the rule stands in ``description["assumptions"]``; what cannot be settled
is an :class:`~data.errors.InputError` of one line that names file and variable.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from data.balance import look
from data.command import one_line
from data.croco.chain import chained, check_doubles
from data.croco.chunk_cache import OPEN_FILES, fit_chunk_cache
from data.croco.decode import FILL_LIMIT, decode_record
from data.croco.files import File, check_one_kind, optional_variables, scan, scan_grid_file
from data.croco.grid import read_grid
from data.croco.levels import read_s_coordinate
from data.croco.repeated import Repeated
from data.croco.shifts import check_positions
from data.croco.statics import Statics
from data.croco.times import merge_times, parse_origin, tell_of_steps
from data.croco.units import convert
from data.errors import InputError
from data.file_ocean import FileOcean
from data.grid import HorizontalGrid
from data.handles import Handles
from data.netcdf import expand
from data.ocean import Snapshot
from data.ocean_names import IDEALISED
from data.record_times import check_gaps
from data.sizes import beyond, first_impossible, possible
from data.vertical import SCoordinate


def open_croco(
    paths: str | Path | Sequence[str | Path],
    *,
    grid: str | Path | None = None,
    time_origin: np.datetime64 | str = "2000-01-01",
    spherical: bool | None = None,
    allow_gaps: bool = False,
    chain_files: bool = False,
    vtransform: int | None = None,
) -> CrocoOcean:
    """Open CROCO or ROMS history or average files as one ocean.

    Parameters
    ----------
    paths : path, glob pattern, or sequence of them
        The files, in any order.
    grid : path, optional
        Grid file, for what the history files lack of h, pm, pn, positions, angle, mask_rho, f. Same shape.
    time_origin : datetime64 or ISO date
        Date of second 0 where the files give none.
    spherical : bool, optional
        Whether to use longitude and latitude (True) or x and y in metres (False); default: as the files say.
    allow_gaps : bool
        Take a record with holes, and say so: velocities are then interpolated in time across them.
    chain_files : bool
        Put files whose clocks begin anew one after another, in the order given (those of a pattern by their numbers).
    vtransform : 1 or 2, optional
        The vertical transform, where the files do not name it or name a wrong one.

    Raises
    ------
    InputError
        If a file is missing, unreadable, not a domain, or lacks something that cannot be computed; if the record has holes.
    OptionError
        If ``time_origin`` is not a date.
    """
    origin = parse_origin(time_origin)
    handles = Handles(OPEN_FILES, fit_chunk_cache)
    notes: list[str] = []
    try:
        repeated = Repeated()
        files = [scan(handles, path, origin, notes, repeated) for path in expand(paths)]
        check_one_kind(files)
        if chain_files:
            files = chained(handles, files, origin, notes)
        # in order of time; those without records last, as they may still hold the grid
        files.sort(key=lambda file: (file.times.size == 0, file.times[0] if file.times.size else 0))
        if not files[0].times.size:
            raise InputError(f"{files[0].path}: no records; the file is empty or was never finished")
        notes.extend(f"{file.path}: no records in this file" for file in files if not file.times.size)
        first = files[0]
        sources = [*files, *([scan_grid_file(handles, grid, first, notes, repeated)] if grid is not None else [])]
        horizontal = read_grid(Statics(handles, sources), first, spherical, notes)
        vertical = read_s_coordinate(Statics(handles, sources), first, horizontal, notes, vtransform)
        with handles.open(first.path, "positions") as dataset:
            check_positions(first.path, dataset, first.record_dimension, horizontal)
        times, records, doubles = merge_times(files, notes)
        check_doubles(handles, doubles)
        tell_of_steps(times, notes)
        check_gaps(times, [file.path for file, _ in records], allow_gaps, notes)
        variables = optional_variables(files, notes)
    except InputError as error:
        handles.close()
        raise InputError(one_line(error)) from error
    twin = {"ocean_seed", "ocean_version"} <= files[0].attributes  # as data.twin writes them
    description = {
        "kind": "croco",
        **({"title": f"{IDEALISED}, files of data.twin"} if twin else {}),
        "files": [file.path for file in files],
        "grid_file": None if grid is None else str(grid),
        "assumptions": list(dict.fromkeys(notes)),
        "vtransform": vertical.vtransform,
        "records": int(times.size),
        "first": str(np.datetime_as_string(times[0], unit="s")),
        "last": str(np.datetime_as_string(times[-1], unit="s")),
    }
    has_mask = any("mask_rho" in source.names for source in sources)
    return CrocoOcean(horizontal, vertical, times, variables, description, records, handles, has_mask)


class CrocoOcean(FileOcean):
    """CROCO or ROMS files as an :class:`~data.ocean.Ocean`; made by :func:`open_croco`.

    Attributes
    ----------
    grid, vertical, times, variables, description
        As :class:`~data.ocean.Ocean` says.
    """

    def __init__(self, grid, vertical, times, variables, description, records, handles, has_mask):
        super().__init__(handles)
        self.grid: HorizontalGrid = grid
        self.vertical: SCoordinate = vertical
        self.times: np.ndarray = times
        self.variables: frozenset[str] = variables
        self.description: dict = description
        self._records: list[tuple[File, int]] = records
        sea = grid.mask_rho
        self._land = {
            "rho": np.flatnonzero(~sea),
            "u": np.flatnonzero(~(sea[:, :-1] & sea[:, 1:])),
            "v": np.flatnonzero(~(sea[:-1] & sea[1:])),
        }
        self._has_mask = has_mask

    def record(self, index: int) -> tuple[str, int]:
        """The file that holds snapshot ``index``, and the number of the record in that file, from 0."""
        file, record = self._records[self._checked(index)]
        return file.path, record

    def snapshot(self, index: int, variables: Collection[str] = ()) -> Snapshot:
        """Read one snapshot with the optional variables named. Thread-safe.

        Raises
        ------
        InputError
            If the record cannot be read, holds NaN or fill values in the sea, or lacks a variable asked for.
        IndexError
            If there is no such snapshot.
        """
        self._check_offered(self._checked(index), variables)
        return self.sample(index, variables)

    def sample(self, index: int, variables: Collection[str] = ()) -> Snapshot:
        """As :meth:`snapshot`, for a look at the values apart from a sweep through the record."""
        index = self._checked(index)
        file, record = self._records[index]
        names = ("u", "v", "zeta", *dict.fromkeys(variables))
        fields = {}
        with self._handles.open(file.path, f"record {record}") as dataset:
            for name in names:
                fields[name] = self._read(dataset, file, record, name)
        for name in names:
            fields[name] = self._at_sea(fields[name], file, record, name)
        for name in ("u", "v"):
            self._check_still(index, name, fields[name])
        return Snapshot(time=self.times[index], **fields)

    def look(self) -> None:
        """Check in a few records that the flow conserves mass; notes are added to ``description["assumptions"]``.

        Raises
        ------
        InputError
            If the flow misses the balance by far.
        """
        notes = look(self)
        self.description["assumptions"] = list(dict.fromkeys([*self.description["assumptions"], *notes]))

    def __repr__(self) -> str:
        eta, xi = self.grid.shape
        return self._described(f"{self.vertical.n} levels, {eta} x {xi} rho points")

    def _read(self, dataset, file, record, name):
        """One record, float32 and C-contiguous, missing values as NaN or beyond the fill limit."""
        try:
            values = decode_record(dataset.variables[name], record if file.record_dimension else Ellipsis)
            return convert(values, file.conversions.get(name))
        except (RuntimeError, OSError, IndexError, KeyError, ValueError, TypeError) as error:
            raise InputError(
                f"{file.path}: variable {name} of record {record} cannot be read ({one_line(error)}); the "
                "file is damaged or still being written: copy it again, or leave it out"
            ) from error

    def _velocity(self, index, name):
        file, record = self._records[index]
        with self._handles.open(file.path, f"record {record}") as dataset:
            values = self._read(dataset, file, record, name)
        return self._at_sea(values, file, record, name)

    def _at_sea(self, field, file, record, name):
        """The field with 0 on land; InputError if a value in the sea is missing or impossible."""
        place = name if name in ("u", "v") else "rho"
        land = self._land[place]
        flat = field.reshape(-1, field.shape[-2] * field.shape[-1])
        if land.size:
            flat[:, land] = 0
        if possible(name, flat):
            return field
        missing = ~(np.abs(flat) < FILL_LIMIT)
        level, point = np.argwhere(missing)[0] if missing.any() else first_impossible(name, flat)
        eta, xi = np.unravel_index(point, field.shape[-2:])
        where = f"level {level}, " if field.ndim == 3 else ""
        if not missing.any():
            raise InputError(
                f"{file.path}: {name} is {flat[level, point]:.6g} in record {record} (counted from 0), {where}at (eta, xi) = "
                f"({eta}, {xi}) of the {place} points; {beyond(name, name)}"
            )
        mend = (
            "mend the record, or mark the point as land in mask_rho"
            if self._has_mask
            else "the files have no mask_rho: if this is land, give a grid file that has mask_rho with --grid"
        )
        raise InputError(
            f"{file.path}: {name} is NaN or a fill value inside the sea, in record {record} (counted from "
            f"0), {where}at (eta, xi) = ({eta}, {xi}) of the {place} points; {mend}"
        )
