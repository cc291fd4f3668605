"""The instants of the records: units and calendars, files put in order, holes."""

from __future__ import annotations

import re

import cftime
import numpy as np

from data.command import one_line
from data.croco.decode import decoded, kind_of
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
#: Attributes in which programs write the date of second 0 when ``units`` does not have it.
ORIGIN_ATTRIBUTES = ("origin", "time_origin", "origin_date", "reference_date", "reference_time", "base_date")
NUMERIC_DATE = re.compile(r"(?<!\d)(\d{4})[-/](\d{1,4})[-/](\d{1,4})(?:[T ]+(\d{1,2}:\d{2}(?::\d{2})?))?")
WRITTEN_DATE = re.compile(r"(?<!\d)(\d{1,2})[- ]([A-Za-z]{3,})[- ](\d{4})(?:[T ]+(\d{1,2}:\d{2}(?::\d{2})?))?")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
#: Records further apart than this, in days, are told: eddies and tides move much in between.
FAR_APART = 1.01
#: Records closer together than this, in seconds, are told: times may be in another unit.
CLOSE_TOGETHER = 60.0
#: An interval between records that is longer than this many usual ones is a hole.
GAP = 1.5
STANDARD_CALENDARS = ("standard", "gregorian", "proleptic_gregorian")


def parse_origin(time_origin):
    """The date of second 0, in milliseconds; OptionError where it is none."""
    try:
        if isinstance(time_origin, str) and not time_origin[:1].isdigit():  # NaT, now and today are dates to numpy
            raise ValueError(time_origin)
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
    if kind_of(variable) not in "fiu":
        raise InputError(f"{path}: variable {name} holds no numbers, the times cannot be read")
    values = np.ravel(decoded(variable)).astype(np.float64)
    bad = np.flatnonzero(~(np.abs(values) < 1e18))
    if bad.size:
        raise InputError(
            f"{path}: variable {name} is NaN or a fill value in record {bad[0]} (counted from 0), the time "
            "cannot be read; was the file finished?"
        )
    units = str(getattr(variable, "units", "")).strip()
    since = None if dated else _date_elsewhere(variable)
    if since is not None and units.lower() in UNDATED_UNITS:
        word = {1_000.0: "seconds", 60_000.0: "minutes", 3_600_000.0: "hours", 86_400_000.0: "days"}[UNDATED_UNITS[units.lower()]]
        units = f"{word} since {since[0]}"
        notes.append(f"times are counted from {since[0]}, which stands in the attribute {since[1]} of {name}")
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


def _date_elsewhere(variable):
    """(ISO date, attribute) of second 0 where another attribute than ``units`` tells it; None where none does."""
    for name in ("long_name", *ORIGIN_ATTRIBUTES):
        value = getattr(variable, name, None)
        if value is None:
            continue
        if not isinstance(value, str):  # year, month, day
            numbers = np.ravel(value)
            if numbers.size < 3 or numbers.dtype.kind not in "iuf":
                continue
            value = "-".join(f"{int(number):04d}" for number in numbers[:3])
        if name == "long_name":
            value = value.partition("since")[2]
        found = NUMERIC_DATE.search(value)
        if found:
            year, month, day, clock = found.groups()
        else:
            found = WRITTEN_DATE.search(value)
            if not found or found[2][:3].lower() not in MONTHS:
                continue
            day, month, year, clock = found[1], MONTHS.index(found[2][:3].lower()) + 1, found[3], found[4]
        try:
            date = np.datetime64(f"{int(year):04d}-{int(month):02d}-{int(day):02d}")
        except ValueError:
            continue
        if FIRST_YEAR <= date < END_YEAR:
            return f"{date}{' ' + clock if clock else ''}", name
    return None


def _after(what, origin, milliseconds):
    """(n,) datetime64[ns]: the origin plus milliseconds (n,), rounded."""
    if np.abs(milliseconds).max(initial=0) < 1e17:
        steps = np.round(milliseconds).astype(np.int64).astype(f"timedelta64[{TIME_STEP}]")
        times = origin + steps
        if not times.size or FIRST_YEAR <= times.min() <= times.max() < END_YEAR:
            return times.astype("datetime64[ns]")
    raise InputError(f"{what} holds times beyond the years 1678 to 2261; was the file finished?")


def merge_times(files, notes):
    """(times (n,), [(file, record)], doubles) of all files, sorted; of equal instants the later file's.

    doubles: [((file, record), (file, record))], the owners of instants that two files hold, the one that is used last.
    """
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
    doubles = [(owners[order[k]], owners[order[k + 1]]) for k in np.flatnonzero(~keep)]
    return times, [owners[k] for k in order[keep]], doubles


def check_gaps(times, records, allowed, notes) -> None:
    """Find holes in the record: intervals longer than GAP times the usual one. InputError unless ``allowed``, else a note."""
    steps = np.diff(times) / np.timedelta64(1, "D")
    if not steps.size:
        return
    usual = float(np.median(steps))
    if usual > FAR_APART:
        notes.append(
            f"records are {usual:.3g} days apart: velocities are interpolated in time between them, and what turns or moves on "
            f"in less than about {2 * usual:.3g} days (tides, inertial motion, young eddies) is lost, so that paths and "
            "catchments differ from those of a record with daily or finer steps"
        )
    if usual * 86_400 < CLOSE_TOGETHER:
        notes.append(f"records are {usual * 86_400:.3g} seconds apart: are times in another unit than the files say?")
    if steps.size < 2:
        return
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
