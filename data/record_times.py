"""Instants of the records of an ocean's files: numbers with units and calendars decoded, holes found."""

from __future__ import annotations

import re

import cftime
import numpy as np

from data.command import one_line
from data.errors import InputError
from data.times import gaps

#: Step to which instants are rounded, so that times written in days and in seconds agree.
TIME_STEP = "ms"
#: First and last whole year that 64 bits of nanoseconds can hold.
FIRST_YEAR, END_YEAR = np.datetime64("1678"), np.datetime64("2262")
STANDARD_CALENDARS = ("standard", "gregorian", "proleptic_gregorian")
#: Clocks that show no year as late as this give no dates: ROMS and NEMO begin runs without a date in year 1.
CLOCK_END = 1000
#: Milliseconds in the units of time that stand without a date.
UNDATED_UNITS = {
    **dict.fromkeys(("", "1", "none", "s", "sec", "secs", "second", "seconds"), 1_000.0),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), 60_000.0),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3_600_000.0),
    **dict.fromkeys(("d", "day", "days"), 86_400_000.0),
}


def decode_times(
    what: str, values: np.ndarray, units: str, calendar: str, origin: np.datetime64, notes: list[str]
) -> tuple[np.ndarray, bool]:
    """(instants (n,) datetime64[ns], whether the file gives dates) of numbers (n,) with their unit.

    Numbers without a date are counted from ``origin``, with a note.

    Raises
    ------
    InputError
        Missing numbers, other calendars than the standard one, units that cannot be read, years that 64 bits cannot hold.
    """
    units = units.strip()
    bad = np.flatnonzero(~(np.abs(values) < 1e18))
    if bad.size:
        raise InputError(
            f"{what} is NaN or a fill value in record {bad[0]} (counted from 0), the time cannot be read; was the file finished?"
        )
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
    other_calendar = InputError(f"{what} has calendar {calendar!r}; only the standard calendar can be read: convert the dates")
    try:
        dates = cftime.num2date(values, units, calendar=calendar, only_use_cftime_datetimes=True)
        if dates.size and max(date.year for date in dates) < CLOCK_END:
            # the clock of a run that has no date, whatever its calendar
            notes.append(
                f"times are given from year 1, which is no date: counted from {np.datetime_as_string(origin, unit='auto')}"
            )
            return _after(what, origin, _elapsed(dates, values, since)), False
        if calendar not in STANDARD_CALENDARS:
            raise other_calendar
        year_zero = {"has_year_zero": dates[0].has_year_zero} if dates.size else {}
        passed = cftime.date2num(dates, "microseconds since 1970-01-01", calendar=calendar, **year_zero)
    except (ValueError, OverflowError, TypeError) as error:
        if calendar not in STANDARD_CALENDARS:
            raise other_calendar from error
        raise InputError(f"{what} has units {units!r}, which cannot be read ({one_line(error)})") from error
    return _after(what, np.datetime64("1970-01-01", "ms"), np.asarray(passed, dtype=np.float64) / 1000), True


def _elapsed(dates: np.ndarray, values: np.ndarray, since: re.Match) -> np.ndarray:
    """Milliseconds (n,) that a clock without dates shows: ``values`` from its own start in year 1, else since year 1 began."""
    step = UNDATED_UNITS.get(since[1].lower())
    if step is not None and re.match(r"0*1-", since[2]):
        return values * step
    start = type(dates[0])(1, 1, 1)
    return np.array([1e3 * (date - start).total_seconds() for date in dates])


def _after(what, origin, milliseconds):
    """(n,) datetime64[ns]: the origin plus milliseconds (n,), rounded."""
    if np.abs(milliseconds).max(initial=0) < 1e17:
        steps = np.round(milliseconds).astype(np.int64).astype(f"timedelta64[{TIME_STEP}]")
        times = origin + steps
        if not times.size or FIRST_YEAR <= times.min() <= times.max() < END_YEAR:
            return times.astype("datetime64[ns]")
    raise InputError(f"{what} holds times beyond the years 1678 to 2261; was the file finished?")


def check_increasing(what: str, times: np.ndarray, values: np.ndarray) -> None:
    """InputError unless the instants (n,) of one file, decoded from its numbers (n,), increase."""
    stuck = np.flatnonzero(np.diff(times) <= np.timedelta64(0))
    if stuck.size:
        k = stuck[0]
        raise InputError(
            f"{what} does not increase from record {k} ({values[k]:.16g}) to {k + 1} "
            f"({values[k + 1]:.16g}), counted from 0; sort the records or take out the doubled one"
        )


def check_gaps(times: np.ndarray, paths: list[str], allowed: bool, notes: list[str]) -> None:
    """Find holes in the record: see :func:`data.times.gaps`. InputError unless ``allowed``, else a note."""
    holes = gaps(times)
    if not holes.size:
        return
    steps = np.diff(times) / np.timedelta64(1, "D")
    usual = float(np.median(steps))
    longest = holes[np.argmax(steps[holes])]
    before, after = (np.datetime_as_string(times[k], unit="m") for k in (longest, longest + 1))
    more = f", and {holes.size - 1} more such holes" if holes.size > 1 else ""
    gap = f"no record between {before} and {after} ({steps[longest]:.3g} days, where {usual:.3g} days are usual{more})"
    if not allowed:
        files = " and ".join(dict.fromkeys(paths[k] for k in (longest, longest + 1)))
        raise InputError(f"{files}: {gap}; add the missing files, or --allow-gaps to interpolate in time across")
    notes.append(f"{gap}: velocities are interpolated in time across")
