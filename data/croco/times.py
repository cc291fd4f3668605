"""The instants of the records: units and calendars, files put in order, holes."""

from __future__ import annotations

import re

import cftime
import numpy as np

from data.command import one_line
from data.croco.statics import kind_of
from data.errors import InputError, OptionError

#: Step to which instants are rounded, so that times written in days and in seconds agree.
TIME_STEP = "ms"

#: What 64 bits of nanoseconds can hold, in whole years.
FIRST_YEAR, END_YEAR = np.datetime64("1678"), np.datetime64("2262")
TIME_NAMES = ("time", "ocean_time", "scrum_time", "time_counter")
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


def parse_origin(time_origin):
    try:
        origin = np.datetime64(time_origin).astype(f"datetime64[{TIME_STEP}]")
        if FIRST_YEAR <= origin < END_YEAR:
            return origin
    except ValueError:
        pass
    raise OptionError(f"--time-origin {time_origin}: not a date of the years 1678 to 2261; write it as 2000-01-01")


def read_times(path, dataset, dimension, origin, notes):
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
    if kind_of(variable) not in "fiu":
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


def merge_times(files, notes):
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


def check_gaps(times, records, allowed, notes) -> None:
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
