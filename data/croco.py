"""CROCO and ROMS history and average files, read as users have them.

Opening reads metadata, static fields and times; :meth:`CrocoOcean.snapshot` reads one record. What files
leave open is settled by a rule, and the rule stands in ``description["assumptions"]``; what cannot be settled
is an :class:`~data.errors.InputError` of one line that names file and variable.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import cftime
import netCDF4
import numpy as np

from data.command import one_line
from data.errors import InputError, OptionError
from data.grid import HorizontalGrid
from data.netcdf import NETCDF_LOCK, expand, open_dataset
from data.ocean import OPTIONAL_VARIABLES, Snapshot
from data.ocean_names import IDEALISED
from data.spherical_defaults import coriolis, metrics, rotation
from data.vertical import SCoordinate

#: Nothing in the sea is as large in CROCO's units: larger numbers are fill values that no attribute declares.
FILL_LIMIT = 1e10

#: Files kept open at a time: a sweep in time needs two at a file border.
OPEN_FILES = 3

#: Largest chunk cache granted to one variable, bytes. See :func:`_fit_chunk_cache`.
CHUNK_CACHE_LIMIT = 128 * 2**20

#: Step to which instants are rounded, so that times written in days and in seconds agree.
TIME_STEP = "ms"

#: What 64 bits of nanoseconds can hold, in whole years.
FIRST_YEAR, END_YEAR = np.datetime64("1678"), np.datetime64("2262")

#: Attributes of a variable whose meaning is left to the netCDF library.
DECODED_BY_LIBRARY = {"scale_factor", "add_offset", "valid_range", "valid_min", "valid_max"}


TIME_NAMES = ("time", "ocean_time", "scrum_time", "time_counter")
POSITION_NAMES = {
    True: (("lon_rho", "lat_rho"), ("nav_lon_rho", "nav_lat_rho"), ("lon", "lat"), ("longitude", "latitude")),
    False: (("x_rho", "y_rho"), ("x", "y")),
}
#: Milliseconds in the units of time that stand without a date.
UNDATED_UNITS = {
    **dict.fromkeys(("", "1", "none", "s", "sec", "secs", "second", "seconds"), 1_000.0),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), 60_000.0),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3_600_000.0),
    **dict.fromkeys(("d", "day", "days"), 86_400_000.0),
}
#: An interval between records that is longer than this many usual ones is a hole.
GAP = 1.5
STANDARD_CALENDARS = ("standard", "gregorian", "proleptic_gregorian")


def open_croco(
    paths: str | Path | Sequence[str | Path],
    *,
    grid: str | Path | None = None,
    time_origin: np.datetime64 | str = "2000-01-01",
    spherical: bool | None = None,
    allow_gaps: bool = False,
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

    Raises
    ------
    InputError
        If a file is missing, unreadable, not a domain, or lacks something that cannot be computed; if the record has holes.
    OptionError
        If ``time_origin`` is not a date.
    """
    origin = _parse_origin(time_origin)
    handles = _Handles()
    notes: list[str] = []
    try:
        files = [_scan(handles, path, origin, notes) for path in expand(paths)]
        _check_one_kind(files)
        # in order of time; those without records last, as they may still hold the grid
        files.sort(key=lambda file: (file.times.size == 0, file.times[0] if file.times.size else 0))
        if not files[0].times.size:
            raise InputError(f"{files[0].path}: no records; the file is empty or was never finished")
        notes.extend(f"{file.path}: no records in this file" for file in files if not file.times.size)
        first = files[0]
        sources = [*files, *([_scan_grid_file(handles, grid, first)] if grid is not None else [])]
        horizontal = _read_grid(_Statics(handles, sources), first, spherical, notes)
        vertical = _read_s_coordinate(_Statics(handles, sources), first, horizontal, notes)
        times, records = _merge_times(files, notes)
        _check_gaps(times, records, allow_gaps, notes)
        variables = _optional_variables(files, notes)
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


class CrocoOcean:
    """CROCO or ROMS files as an :class:`~data.ocean.Ocean`; made by :func:`open_croco`.

    Attributes
    ----------
    grid, vertical, times, variables, description
        As :class:`~data.ocean.Ocean` says.

    Snapshots may be asked for from several threads. The object can be pickled; it opens its files anew.
    """

    def __init__(self, grid, vertical, times, variables, description, records, handles, has_mask):
        self.grid: HorizontalGrid = grid
        self.vertical: SCoordinate = vertical
        self.times: np.ndarray = times
        self.variables: frozenset[str] = variables
        self.description: dict = description
        self._records: list[tuple[_File, int]] = records
        self._handles: _Handles = handles
        sea = grid.mask_rho
        self._land = {
            "rho": np.flatnonzero(~sea),
            "u": np.flatnonzero(~(sea[:, :-1] & sea[:, 1:])),
            "v": np.flatnonzero(~(sea[:-1] & sea[1:])),
        }
        self._has_mask = has_mask

    def __len__(self) -> int:
        """Number of snapshots."""
        return len(self._records)

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
        index = self._checked(index)
        file, record = self._records[index]
        for name in variables:
            if name not in OPTIONAL_VARIABLES:
                raise ValueError(f"{name!r} is not one of the optional variables {OPTIONAL_VARIABLES}")
            if name not in self.variables:
                offered = ", ".join(sorted(self.variables)) or "none"
                raise InputError(f"{file.path}: the files hold no usable variable {name} (optional ones found: {offered})")
        names = ("u", "v", "zeta", *dict.fromkeys(variables))
        fields = {}
        with self._handles.open(file.path, f"record {record}") as dataset:
            for name in names:
                fields[name] = self._read(dataset, file, record, name)
        for name in names:
            fields[name] = self._at_sea(fields[name], file, record, name)
        return Snapshot(time=self.times[index], **fields)

    def close(self) -> None:
        """Close the files; they open again when a snapshot is asked for."""
        self._handles.close()

    def __repr__(self) -> str:
        eta, xi = self.grid.shape
        return (
            f"CrocoOcean({len(self)} records {self.description['first']} to {self.description['last']}, "
            f"{self.vertical.n} levels, {eta} x {xi} rho points)"
        )

    def _checked(self, index):
        if not -len(self) <= index < len(self):
            raise IndexError(f"snapshot {index} of {len(self)}")
        return int(index) % len(self)

    def _read(self, dataset, file, record, name):
        """One record, float32 and C-contiguous, missing values as NaN or beyond the fill limit."""
        try:
            return _decode_record(dataset.variables[name], record if file.record_dimension else Ellipsis)
        except (RuntimeError, OSError, IndexError, KeyError, ValueError) as error:
            raise InputError(
                f"{file.path}: variable {name} of record {record} cannot be read ({one_line(error)}); the "
                "file is damaged or still being written: copy it again, or leave it out"
            ) from error

    def _at_sea(self, field, file, record, name):
        """The field with 0 on land; an InputError where a value is missing in the sea."""
        place = name if name in ("u", "v") else "rho"
        land = self._land[place]
        flat = field.reshape(-1, field.shape[-2] * field.shape[-1])
        if land.size:
            flat[:, land] = 0
        # NaN fails both comparisons
        if flat.min() > -FILL_LIMIT and flat.max() < FILL_LIMIT:
            return field
        level, point = np.argwhere(~(np.abs(flat) < FILL_LIMIT))[0]
        eta, xi = np.unravel_index(point, field.shape[-2:])
        where = f"level {level}, " if field.ndim == 3 else ""
        mend = (
            "mend the record, or mark the point as land in mask_rho"
            if self._has_mask
            else "the files have no mask_rho: if this is land, give a grid file that has mask_rho with --grid"
        )
        raise InputError(
            f"{file.path}: {name} is NaN or a fill value inside the sea, in record {record} (counted from "
            f"0), {where}at (eta, xi) = ({eta}, {xi}) of the {place} points; {mend}"
        )


# -- files ---------------------------------------------------------------------------------------------------


class _Handles:
    """A few files kept open, the least recently used closed first. All access goes through :meth:`open`."""

    def __init__(self, limit: int = OPEN_FILES):
        self._limit = limit
        self._open: OrderedDict[str, netCDF4.Dataset] = OrderedDict()

    @contextmanager
    def open(self, path: str, what: str = "") -> Iterator[netCDF4.Dataset]:
        """The open file, with the process-wide lock held. Not to be nested."""
        with NETCDF_LOCK:
            if path not in self._open:
                self._open[path] = open_dataset(path)
                _fit_chunk_cache(self._open[path])
                while len(self._open) > self._limit:
                    self._open.popitem(last=False)[1].close()
            self._open.move_to_end(path)
            try:
                yield self._open[path]
            except (RuntimeError, OSError, IndexError) as error:
                raise InputError(
                    f"{path}: {what or 'the file'} cannot be read ({one_line(error)}); it is damaged or "
                    "still being written: copy it again, or leave it out"
                ) from error

    def close(self) -> None:
        with NETCDF_LOCK:
            while self._open:
                self._open.popitem()[1].close()

    def __reduce__(self):
        return _Handles, (self._limit,)


@dataclass(frozen=True)
class _File:
    """What one file holds, as read when it is opened.

    Attributes
    ----------
    path : str
    names, attributes : frozenset of str
        Its variables and global attributes.
    record_dimension : str or None
        Dimension of time; None where the file holds one record without it.
    shape : (int, int, int)
        Layers, eta, xi of its rho points; layers 0 in a grid file.
    times : (n,) datetime64[ns]
        Strictly increasing.
    dated : bool
        Whether the file itself gives dates.
    content : str
        ``history``, ``average``, ``restart`` or empty where the file does not say.
    optional : frozenset of str
        Which optional variables it holds in a usable form.
    """

    path: str
    names: frozenset[str]
    attributes: frozenset[str]
    record_dimension: str | None
    shape: tuple[int, int, int]
    times: np.ndarray
    dated: bool = False
    content: str = ""
    optional: frozenset[str] = frozenset()


def _fit_chunk_cache(dataset):
    """Cache chunks that span several records, so that each record does not unpack them again, and no others.

    The library would keep up to 64 MiB of each variable, of which a sweep through time never asks again.
    """
    if not dataset.data_model.startswith("NETCDF4"):
        return
    for name in ("u", "v", "zeta", *OPTIONAL_VARIABLES):
        variable = dataset.variables.get(name)
        chunks = variable.chunking() if variable is not None else None
        if not isinstance(chunks, list):
            continue
        count = int(np.prod([-(-size // chunk) for size, chunk in zip(variable.shape[1:], chunks[1:], strict=True)]))
        slab = count * int(np.prod(chunks)) * variable.dtype.itemsize
        if chunks[0] == 1:
            variable.set_var_chunk_cache(size=0)
        elif slab <= CHUNK_CACHE_LIMIT:
            # many more slots than chunks: two that fall on one slot would drive each other out
            variable.set_var_chunk_cache(size=slab, nelems=max(1009, 101 * count))


def _scan(handles, path, origin, notes) -> _File:
    """Read what :class:`_File` holds and check that the file has records of a domain."""
    with handles.open(path, "its header") as dataset:
        held = dataset.variables
        for name in ("u", "v", "zeta"):
            if name not in held:
                grid_hint = " (a grid file goes to --grid)" if "h" in held and "u" not in held else ""
                raise InputError(
                    f"{path}: no variable {name}; CROCO history or average files with u, v and zeta are needed{grid_hint}"
                )
        u, zeta = held["u"], held["zeta"]
        dimension = _record_dimension(dataset)
        lead = 1 if dimension else 0
        if u.ndim != lead + 3 or zeta.ndim != lead + 2:
            raise InputError(
                f"{path}: u has dimensions {u.dimensions}, zeta {zeta.dimensions}; (time, s_rho, eta, xi) "
                "and (time, eta, xi) are needed: a section or a single level is not a domain"
            )
        shape = (u.shape[lead], *zeta.shape[lead:])
        if min(shape[1:]) < 4:
            raise InputError(
                f"{path}: grid of {shape[1:]} rho points; a domain of at least 4 x 4 points is needed, this "
                "is a section or a single column"
            )
        n, ny, nx = shape
        for name, expected in (("u", (n, ny, nx - 1)), ("v", (n, ny - 1, nx)), ("zeta", (ny, nx))):
            if held[name].dimensions[:lead] != u.dimensions[:lead]:
                raise InputError(f"{path}: {name} does not share the time dimension {dimension} of u")
            if held[name].shape[lead:] != expected:
                raise InputError(
                    f"{path}: {name} has shape {held[name].shape[lead:]}, its points on the staggered grid "
                    f"of zeta {(ny, nx)} would have {expected}; velocities put on rho points, or cropped "
                    "otherwise than zeta, cannot be used"
                )
        times, dated = _read_times(path, dataset, dimension, origin, notes)
        text = str(getattr(dataset, "type", "")).lower()
        content = next((kind for kind in ("average", "restart", "history") if kind[:6] in text), "")
        optional = {name for name in OPTIONAL_VARIABLES if _usable(held, name, shape, lead, notes)}
        attributes = frozenset(dataset.ncattrs())
        return _File(path, frozenset(held), attributes, dimension, shape, times, dated, content, frozenset(optional))


def _usable(held, name, shape, lead, notes):
    """Whether an optional variable has the shape and unit that :class:`~data.ocean.Snapshot` promises."""
    if name not in held:
        return False
    n, ny, nx = shape
    layers = {"w": (n, n + 1), "omega": (n + 1,), "temp": (n,)}[name]
    found = held[name].shape[lead:]
    if found not in [(levels, ny, nx) for levels in layers]:
        notes.append(f"{name} is not used: its shape {found} does not fit {n} layers of {(ny, nx)} rho points")
        return False
    unit = str(getattr(held[name], "units", "")).replace(" ", "")
    if unit.startswith(("m3", "m^3", "meter3", "metre3")):
        notes.append(f"{name} is not used: it is a volume flux ({held[name].units})")
        return False
    return True


def _record_dimension(dataset):
    """Name of the time dimension, None for one record stored without it."""
    u, zeta = dataset.variables["u"], dataset.variables["zeta"]
    # a section without its thin dimension has three as well, but shares the first one with zeta
    alone = u.ndim == 3 and zeta.ndim == 2 and u.dimensions[0] != zeta.dimensions[0]
    return None if alone or not u.ndim else u.dimensions[0]


def _check_one_kind(files):
    """Refuse files that are not pieces of one record."""
    first = files[0]
    for file in files[1:]:
        if file.shape != first.shape:
            raise InputError(
                f"{file.path}: {file.shape[0]} layers of {file.shape[1:]} rho points, but {first.path} has "
                f"{first.shape[0]} of {first.shape[1:]}; all files must share one grid"
            )
        if file.content and first.content and file.content != first.content:
            raise InputError(
                f"{file.path} is a {file.content} file, {first.path} a {first.content} file; give files of one kind only"
            )
    with_records = [file for file in files if file.times.size]
    undated = [file for file in with_records if not file.dated]
    if undated and len(undated) < len(with_records):
        dated = next(file for file in with_records if file.dated)
        raise InputError(
            f"{undated[0].path}: times have no date, while those of {dated.path} have; write the same units in all files"
        )


def _optional_variables(files, notes):
    with_records = [file for file in files if file.times.size]
    common = frozenset.intersection(*(file.optional for file in with_records))
    for name in OPTIONAL_VARIABLES:
        lacking = [file.path for file in with_records if name not in file.optional]
        if lacking and len(lacking) < len(with_records):
            notes.append(f"{name} is not used: {lacking[0]} lacks it")
    return common


def _kind(variable):
    """numpy's letter for the type of a variable; O for strings of any length."""
    return getattr(variable.dtype, "kind", "O")


def _decode_record(variable, record):
    """One record as float32, C-contiguous. Missing values come as NaN or as their own huge number."""
    attributes = set(variable.ncattrs())
    if _kind(variable) != "f" or attributes & DECODED_BY_LIBRARY:
        variable.set_auto_maskandscale(True)
        value = np.ma.asarray(variable[record])
        return np.ascontiguousarray(np.ma.filled(value.astype(np.float32), np.nan))
    # plain floats: the library's masked arrays would double the time
    variable.set_auto_maskandscale(False)
    with np.errstate(over="ignore"):
        value = np.ascontiguousarray(variable[record], dtype=np.float32)
    for name in attributes & {"_FillValue", "missing_value"}:
        fills = np.ravel(variable.getncattr(name))
        for fill in fills if fills.dtype.kind in "fiu" else ():
            # larger ones are recognised anyway; 0, which some tools declare, is also water at rest
            if 0 < abs(fill) < FILL_LIMIT:
                value[value == np.float32(fill)] = np.nan
    return value


# -- time ----------------------------------------------------------------------------------------------------


def _parse_origin(time_origin):
    try:
        origin = np.datetime64(time_origin).astype(f"datetime64[{TIME_STEP}]")
        if FIRST_YEAR <= origin < END_YEAR:
            return origin
    except ValueError:
        pass
    raise OptionError(f"--time-origin {time_origin}: not a date of the years 1678 to 2261; write it as 2000-01-01")


def _read_times(path, dataset, dimension, origin, notes):
    """(times (n,) datetime64[ns], whether the file gives dates). Strictly increasing, or an InputError."""
    fitting = (dimension,) if dimension else ()
    candidates = [
        name
        for name in dict.fromkeys((*TIME_NAMES, dimension))
        if name in dataset.variables
        and (dataset.variables[name].dimensions == fitting or (not dimension and dataset.variables[name].size == 1))
    ]
    if not candidates:
        raise InputError(f"{path}: no time variable along dimension {dimension!r}; one of {', '.join(TIME_NAMES)} is needed")
    dated = [name for name in candidates if "since" in str(getattr(dataset.variables[name], "units", ""))]
    name = (dated or candidates)[0]
    variable = dataset.variables[name]
    variable.set_auto_maskandscale(True)
    if _kind(variable) not in "fiu":
        raise InputError(f"{path}: variable {name} holds no numbers, the times cannot be read")
    values = np.ma.filled(np.ma.asarray(np.ma.ravel(variable[...])).astype(np.float64), np.nan)
    bad = np.flatnonzero(~(np.abs(values) < 1e18))
    if bad.size:
        raise InputError(
            f"{path}: variable {name} is NaN or a fill value in record {bad[0]} (counted from 0), the time "
            "cannot be read; was the file finished?"
        )
    units = str(getattr(variable, "units", "")).strip()
    calendar = str(getattr(variable, "calendar", "standard"))
    times, is_dated = _decode_times(f"{path}: variable {name}", values, units, calendar, origin, notes)
    stuck = np.flatnonzero(np.diff(times) <= np.timedelta64(0))
    if stuck.size:
        k = stuck[0]
        raise InputError(
            f"{path}: variable {name} does not increase from record {k} ({values[k]:.16g}) to {k + 1} "
            f"({values[k + 1]:.16g}), counted from 0; sort the records or take out the doubled one"
        )
    return times, is_dated


def _decode_times(what, values, units, calendar, origin, notes):
    """(times (n,) datetime64[ns], whether dated) of numbers with their unit."""
    since = re.fullmatch(r"([A-Za-z]+)\s+since\s+(.+)", units)
    if not since or not re.search(r"\d", since[2]):
        step = UNDATED_UNITS.get((since[1] if since else units).lower())
        if step is None:
            raise InputError(f"{what} has units {units!r}, which cannot be read; 'seconds since 2000-01-01' is the form")
        unit = units or "no unit, taken as second"
        notes.append(f"times have no date ({unit}): counted from {np.datetime_as_string(origin, unit='auto')}")
        return _after(what, origin, values * step), False
    # ROMS has its own spelling of the proleptic calendar
    calendar = {"gregorian_proleptic": "proleptic_gregorian"}.get(calendar.lower(), calendar.lower())
    if calendar not in STANDARD_CALENDARS:
        raise InputError(f"{what} has calendar {calendar!r}; only the standard calendar can be read: convert the dates")
    try:
        dates = cftime.num2date(values, units, calendar=calendar, only_use_cftime_datetimes=True)
        year_zero = {"has_year_zero": dates[0].has_year_zero} if dates.size else {}
        passed = cftime.date2num(dates, "microseconds since 1970-01-01", calendar=calendar, **year_zero)
    except (ValueError, OverflowError, TypeError) as error:
        raise InputError(f"{what} has units {units!r}, which cannot be read ({one_line(error)})") from error
    years = [date.year for date in dates]
    step = UNDATED_UNITS.get(since[1].lower())
    # a clock that starts in year 1 is how ROMS says that a run has no date
    if years and max(years) < 1000 and re.match(r"0*1-", since[2]) and step is not None:
        notes.append(f"times are given from year 1, which is no date: counted from {np.datetime_as_string(origin, unit='auto')}")
        return _after(what, origin, values * step), False
    return _after(what, np.datetime64(0, TIME_STEP), np.asarray(passed, dtype=np.float64) / 1000), True


def _after(what, origin, milliseconds):
    """(n,) datetime64[ns]: the origin plus milliseconds (n,), rounded."""
    if np.abs(milliseconds).max(initial=0) < 1e17:
        steps = np.round(milliseconds).astype(np.int64).astype(f"timedelta64[{TIME_STEP}]")
        times = origin + steps
        if not times.size or FIRST_YEAR <= times.min() <= times.max() < END_YEAR:
            return times.astype("datetime64[ns]")
    raise InputError(f"{what} holds times beyond the years 1678 to 2261; was the file finished?")


def _merge_times(files, notes):
    """(times (n,), [(file, record)]) over all files, sorted; of equal instants the later file's."""
    times = np.concatenate([file.times for file in files])
    owners = [(file, record) for file in files for record in range(file.times.size)]
    # files stand in order of their first instant: the stable sort leaves the later file's record last
    order = np.argsort(times, kind="stable")
    times = times[order]
    keep = np.append(times[1:] != times[:-1], True)
    dropped = int(np.count_nonzero(~keep))
    if dropped:
        instant = np.datetime_as_string(times[~keep][0], unit="s")
        notes.append(
            f"{dropped} instant(s) stand in two files (first {instant}): the record of the file that begins later is used"
        )
    times = np.ascontiguousarray(times[keep])
    times.setflags(write=False)
    return times, [owners[k] for k in order[keep]]


def _check_gaps(times, records, allowed, notes) -> None:
    """Find holes in the record: intervals longer than GAP times the usual one. InputError unless ``allowed``, else a note."""
    steps = np.diff(times) / np.timedelta64(1, "D")
    if steps.size < 2:
        return
    usual = float(np.median(steps))
    holes = np.flatnonzero(steps > GAP * usual)
    if not holes.size:
        return
    longest = holes[np.argmax(steps[holes])]
    before, after = (np.datetime_as_string(times[k], unit="m") for k in (longest, longest + 1))
    others = f", and {holes.size - 1} more such holes" if holes.size > 1 else ""
    what = f"no record between {before} and {after} ({steps[longest]:.3g} days, where {usual:.3g} days are usual{others})"
    if not allowed:
        files = " and ".join(dict.fromkeys(records[k][0].path for k in (longest, longest + 1)))
        raise InputError(f"{files}: {what}; add the missing files, or --allow-gaps to interpolate in time across")
    notes.append(f"{what}: velocities are interpolated in time across")


# -- static values -------------------------------------------------------------------------------------------


class _Statics:
    """Looks up static variables and attributes in the files in their order, the grid file last.

    All files of a run repeat the same statics: the first two that hold a name are tried, and the last, which
    is the grid file where that holds it.
    """

    def __init__(self, handles: _Handles, sources: list[_File]):
        self._handles = handles
        self._sources = sources

    def _holders(self, name, kind):
        holders = [source for source in self._sources if name in getattr(source, kind)]
        return holders if len(holders) < 3 else [*holders[:2], holders[-1]]

    def variable(self, name: str) -> Iterator[tuple[str, np.ndarray]]:
        """(path, value) of each file that holds it: float64, NaN where missing, without time."""
        for source in self._holders(name, "names"):
            with self._handles.open(source.path, f"variable {name}") as dataset:
                variable = dataset.variables[name]
                if _kind(variable) not in "fiu":
                    continue
                variable.set_auto_maskandscale(True)
                # tools that join files repeat static fields along time
                repeated = source.record_dimension and variable.dimensions[:1] == (source.record_dimension,)
                if repeated and not variable.shape[0]:
                    continue
                value = np.ma.asarray(variable[0 if repeated else Ellipsis])
            value = np.ma.filled(value.astype(np.float64), np.nan)
            yield source.path, np.where(np.abs(value) < FILL_LIMIT, value, np.nan)

    def text(self, name: str, attribute: str | None = None) -> str:
        """The first text found in a character variable, or an attribute of a variable; else empty."""
        for source in self._holders(name, "names"):
            with self._handles.open(source.path, f"variable {name}") as dataset:
                variable = dataset.variables[name]
                if attribute is not None:
                    value = getattr(variable, attribute, "")
                else:
                    variable.set_auto_maskandscale(False)
                    value = b"".join(np.ravel(variable[...]).astype("S1")) if _kind(variable) in "SO" else ""
            value = value.decode("latin-1") if isinstance(value, bytes) else str(value)
            if value.strip("\0 "):
                return value.strip("\0 ")
        return ""

    def attribute(self, name: str) -> Iterator[tuple[str, object]]:
        """(path, value) of each file with this global attribute."""
        for source in self._holders(name, "attributes"):
            with self._handles.open(source.path, f"attribute {name}") as dataset:
                value = dataset.getncattr(name)
            yield source.path, value

    def numbers(self, *names: str) -> Iterator[np.ndarray]:
        """Finite values of the variables named, then of the global attributes, raveled to float64."""
        found = [self.variable(name) for name in names] + [self.attribute(name) for name in names]
        for _, value in chain.from_iterable(found):
            try:
                value = np.ravel(np.asarray(value, dtype=np.float64))
            except (TypeError, ValueError):
                continue
            if value.size and np.isfinite(value).all():
                yield value

    def number(self, *names: str) -> float | None:
        """The first single number among :meth:`numbers`, None where there is none."""
        return next((float(value[0]) for value in self.numbers(*names) if value.size == 1), None)


def _scan_grid_file(handles, grid, first) -> _File:
    """The grid file as a last source of static variables; its shape must be that of the records."""
    path = str(Path(grid).expanduser())
    with handles.open(path, "its header") as dataset:
        if "h" not in dataset.variables:
            raise InputError(f"{path}: no variable h; a CROCO grid file is needed with --grid")
        shape = dataset.variables["h"].shape[-2:]
        if shape != first.shape[1:]:
            raise InputError(
                f"{path}: grid of {shape} rho points, but the records of {first.path} have "
                f"{first.shape[1:]}; cut the grid file to the same points"
            )
        return _File(
            path,
            frozenset(dataset.variables),
            frozenset(dataset.ncattrs()),
            None,
            (0, *shape),
            np.empty(0, "datetime64[ns]"),
        )


# -- horizontal grid -----------------------------------------------------------------------------------------


def _read_grid(statics, first, spherical, notes) -> HorizontalGrid:
    """The horizontal grid from what the files hold, the rest computed."""
    shape = first.shape[1:]
    mask = _field(statics, "mask_rho", shape)
    if mask is None:
        notes.append("no mask_rho in the files: every point is taken as sea")
        sea = np.ones(shape, dtype=bool)
    else:
        sea = mask > 0.5
    if not sea.any():
        raise InputError(f"{first.path}: mask_rho marks every point as land")

    h = _field(statics, "h", shape, sea)
    if h is None:
        raise InputError(_lacking(statics, "h", shape, first, "the depth of the sea floor"))
    spherical, x, y = _positions(statics, shape, first, spherical, notes)

    pm, pn = _field(statics, "pm", shape, sea), _field(statics, "pn", shape, sea)
    from_positions = metrics(x, y, spherical)
    if not all(np.isfinite(value[sea]).all() for value in from_positions):
        raise InputError(f"{first.path}: neighbouring rho points stand at the same position; give a grid file with --grid")
    if pm is None or pn is None:
        pm, pn = from_positions
        notes.append("no pm, pn in the files: computed from the distances between rho points")
    for name, value, expected in (("pm", pm, from_positions[0]), ("pn", pn, from_positions[1])):
        ratio = np.median(value[sea] / expected[sea])
        if not 2 / 3 < ratio < 3 / 2:
            raise InputError(
                f"{first.path}: cells of {name} are {1 / ratio:.3g} times as long as the distances between "
                "rho points; has the grid been thinned out, or are positions not in the unit they should be "
                "in?"
            )

    angle = _field(statics, "angle", shape, sea)
    if angle is not None and statics.text("angle", "units").lower().startswith("deg"):
        angle = np.deg2rad(angle)
    if angle is not None and np.abs(angle[sea]).max() > 2 * np.pi + 0.01:
        notes.append("angle in the files exceeds 2 pi radians: computed from positions instead")
        angle = None
    elif angle is None:
        notes.append("no angle in the files: computed from positions")
    if angle is None:
        angle = rotation(x, y, spherical)

    f = _field(statics, "f", shape, sea)
    if f is None and spherical:
        f = coriolis(y)
        notes.append("no f in the files: computed from latitude")
    elif f is None:
        f = np.zeros(shape)
        notes.append("no f in the files, and no latitude: taken as 0")

    # land is never entered, but its values take part in averages that are then masked: keep them finite
    land_values = {
        "h": h[sea].min(),
        "pm": np.median(pm[sea]),
        "pn": np.median(pn[sea]),
        "angle": 0.0,
        "f": 0.0,
    }
    filled = {
        name: np.where(sea | np.isfinite(value), value, land_values[name])
        for name, value in (("h", h), ("pm", pm), ("pn", pn), ("angle", angle), ("f", f))
    }
    f = filled.pop("f")
    try:
        return HorizontalGrid(**filled, x_rho=x, y_rho=y, mask_rho=sea, coriolis=f, spherical=spherical)
    except InputError as error:
        raise InputError(f"{first.path}: {error}") from error


def _field(statics, name, shape, sea=None):
    """The first static field of the right shape without a gap in the sea; None where there is none."""
    for _, value in statics.variable(name):
        if value.ndim == 3 and value.shape[0] == 1:
            value = value[0]
        if value.shape == shape and (np.isfinite(value).any() if sea is None else np.isfinite(value[sea]).all()):
            return value
    return None


def _lacking(statics, name, shape, first, meaning):
    """The line for a variable that no file holds in a usable form."""
    for path, value in statics.variable(name):
        if value.shape != shape:
            return f"{path}: {name} ({meaning}) has shape {value.shape}, the records {shape}; give a grid file"
        return f"{path}: {name} ({meaning}) has missing values in the sea; give a complete grid file with --grid"
    return f"{first.path}: no variable {name} ({meaning}) in the files; give the CROCO grid file with --grid"


def _positions(statics, shape, first, spherical, notes):
    """(spherical, x (eta, xi), y (eta, xi)) of rho points."""
    flag = _spherical_flag(statics)
    if spherical is None:
        order = (True, False) if flag is None or flag else (False, True)
    else:
        order = (bool(spherical),)
    for degrees in order:
        for x_name, y_name in POSITION_NAMES[degrees]:
            x = _coordinate(statics, x_name, shape, axis=1)
            y = _coordinate(statics, y_name, shape, axis=0)
            if x is None or y is None:
                continue
            if degrees and np.abs(y).max() > 90:
                raise InputError(f"{first.path}: {y_name} exceeds 90, it is no latitude in degrees")
            if not degrees and statics.text(x_name, "units").lower() in (
                "km",
                "kilometer",
                "kilometre",
                "kilometers",
            ):
                x, y = 1000 * x, 1000 * y
            if flag is not None and degrees != flag and spherical is None:
                notes.append(
                    f"the variable spherical says {'degrees' if flag else 'metres'}, but only {x_name} and "
                    f"{y_name} are in the files: used"
                )
            return degrees, x, y
    wanted = " or ".join(f"{POSITION_NAMES[degrees][0][0]} and {POSITION_NAMES[degrees][0][1]}" for degrees in order)
    raise InputError(
        f"{first.path}: no positions of rho points ({wanted}) that are complete and fit {shape} points; give "
        "the CROCO grid file with --grid"
    )


def _spherical_flag(statics):
    """What the variable ``spherical`` says, None where it is absent or blank."""
    text = statics.text("spherical")[:1].upper()
    if text:
        return {"T": True, "1": True, "F": False, "0": False}.get(text)
    number = statics.number("spherical")
    return None if number is None else number != 0


def _coordinate(statics, name, shape, axis):
    """A position (eta, xi), spread if given along its own axis. Complete, on land too; else None."""
    for _, value in statics.variable(name):
        if value.ndim == 3 and value.shape[0] == 1:
            value = value[0]
        if value.ndim == 1 and value.size == shape[axis]:
            value = np.broadcast_to(value if axis == 1 else value[:, None], shape)
        if value.shape == shape and np.isfinite(value).all():
            return np.array(value)
    return None


# -- vertical coordinate -------------------------------------------------------------------------------------


def _read_s_coordinate(statics, first, grid, notes) -> SCoordinate:
    """The vertical coordinate from variables, global attributes, or the parameters of its stretching."""
    n = first.shape[0]
    vtransform = _vtransform(statics, notes)
    hc = _critical_depth(statics, vtransform, grid, notes)
    if hc is None:
        raise InputError(
            f"{first.path}: no hc or Tcline, as variable or global attribute; the vertical coordinate cannot "
            "be built: give a file that has it, or a grid file with it"
        )
    curves = {
        "s_rho": _levels(statics, ("sc_r", "s_rho"), n),
        "cs_rho": _levels(statics, ("Cs_r", "Cs_rho"), n),
        "s_w": _levels(statics, ("sc_w", "s_w"), n + 1),
        "cs_w": _levels(statics, ("Cs_w",), n + 1),
    }
    # all models of the family space s evenly
    evenly = {"s_rho": (np.arange(-n, 0) + 0.5) / n, "s_w": np.arange(-n, 1) / n}
    given = {name: value for name, value in curves.items() if value is not None}
    if "cs_rho" not in given or "cs_w" not in given:
        computed = _stretching_curves(statics, first, n, hc, vtransform, notes)
        for name, value in given.items():
            if np.abs(value - computed[name]).max() > 1e-3:
                raise InputError(
                    f"{first.path}: the level curves given do not agree with those of theta_s and theta_b, "
                    "and Cs_r or Cs_w is missing; give a file that has both"
                )
        curves = {**computed, **given}
    elif len(given) < 4:
        notes.append("no s levels in the files: spaced evenly")
        curves = {**evenly, **given}
    for name in ("s_w", "cs_w"):
        ends = curves[name][[0, -1]]
        if np.abs(ends - [-1, 0]).max() > 1e-3:
            raise InputError(
                f"{first.path}: the interfaces run from {ends[0]:.4g} to {ends[1]:.4g} in {name} instead of "
                "-1 to 0; files cut in the vertical cannot be used"
            )
        # float32 files miss the ends by rounding; sea floor and surface must be met exactly
        curves[name] = np.concatenate([[-1.0], curves[name][1:-1], [0.0]])
    try:
        made = SCoordinate(**curves, hc=hc, vtransform=vtransform)
    except InputError as error:
        raise InputError(f"{first.path}: {error}") from error
    # in both transforms the sign of a layer's thickness is linear in h: its extremes tell for all columns
    for h in (grid.h[grid.mask_rho].min(), grid.h[grid.mask_rho].max()):
        if made.layer_thickness(h, 0.0).min() <= 0:
            raise InputError(
                f"{first.path}: layers fold where the sea is {h:.5g} m deep (Vtransform {vtransform}, hc "
                f"{hc:g} m); the s-coordinate parameters are not those of the run"
            )
    return made


def _levels(statics, names, size):
    """The first values of that size that lie between -1 and 0: ``s_rho`` may as well be an index, 1 to n."""
    for value in statics.numbers(*names):
        if value.size == size and value.min() >= -1.0001 and value.max() <= 0.0001 and value.min() < 0:
            return np.clip(value, -1.0, 0.0)
    return None


def _vtransform(statics, notes):
    """1 or 2, from the variable, the attributes of the levels, CROCO's VertCoordType or its CPP options."""
    number = statics.number("Vtransform")
    if number is not None and number > 0:
        return round(number)
    for name in ("sc_r", "s_rho", "s_w"):
        told = statics.text(name, "Vtransform")
        if told in ("1", "2"):
            return int(told)
    for name in ("s_rho", "s_w"):
        standard_name = statics.text(name, "standard_name")
        if "ocean_s_coordinate_g" in standard_name:
            return 2 if "ocean_s_coordinate_g2" in standard_name else 1
    for _, kind in statics.attribute("VertCoordType"):
        # SM09 is the same transform in another branch of the family
        return 2 if str(kind).strip().upper() in ("NEW", "SM09") else 1
    for name in ("CPP-options", "CPP_options"):
        for _, options in statics.attribute(name):
            if "NEW_S_COORD" in str(options).split():
                return 2
    notes.append("the files do not name their vertical transform: taken as the old one (Vtransform 1)")
    return 1


def _critical_depth(statics, vtransform, grid, notes):
    hc = statics.number("hc")
    if hc is not None:
        return hc
    tcline = statics.number("Tcline")
    if tcline is None or vtransform == 2:
        return tcline
    # the old transform limits hc by the shallowest point of the whole model domain
    shallowest = float(grid.h[grid.mask_rho].min())
    notes.append(f"no hc in the files: the smaller of Tcline ({tcline:g} m) and the least depth ({shallowest:g} m)")
    return min(tcline, shallowest)


def _stretching_curves(statics, first, n, hc, vtransform, notes):
    """The curves of ROMS' Vstretching 1 (Song & Haidvogel) or 4 (CROCO's NEW_S_COORD)."""
    theta_s, theta_b = statics.number("theta_s"), statics.number("theta_b")
    if theta_s is None or theta_b is None:
        raise InputError(
            f"{first.path}: no s-coordinate parameters for {n} layers: neither Cs_r and Cs_w nor theta_s and "
            "theta_b, as variables or global attributes; give a file that has them, or a grid file with them"
        )
    for value in statics.numbers("Cs_r", "sc_r"):
        if value.size not in (1, n):
            raise InputError(
                f"{first.path}: u has {n} layers, but the s-coordinate is given for {value.size}; files cut "
                "in the vertical cannot be used"
            )
    told = statics.number("Vstretching")
    vstretching = {1: 1, 2: 4}.get(vtransform, 4) if told is None else round(told)
    if vstretching not in (1, 4):
        raise InputError(
            f"{first.path}: Vstretching {vstretching} cannot be computed here, and Cs_r and Cs_w are "
            "missing; give a file that has them"
        )
    notes.append(
        f"no stretching curves in the files: computed from theta_s = {theta_s:g}, theta_b = {theta_b:g} "
        f"(Vstretching {vstretching})"
    )
    if vstretching == 1 and theta_s == 0:
        s_rho, s_w = (np.arange(-n, 0) + 0.5) / n, np.arange(-n, 1) / n
        return {"s_rho": s_rho, "cs_rho": s_rho, "s_w": s_w, "cs_w": s_w}
    try:
        # the transform goes with the stretching here; the file's own is applied by the caller
        made = SCoordinate.from_stretching(n, theta_s, theta_b, hc, 1 if vstretching == 1 else 2)
    except InputError as error:
        raise InputError(f"{first.path}: {error}") from error
    return {name: getattr(made, name) for name in ("s_rho", "cs_rho", "s_w", "cs_w")}
