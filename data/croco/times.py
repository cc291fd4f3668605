"""The instants of the records: where their unit and their date stand, files put in order."""

from __future__ import annotations

import re

import numpy as np

from data.croco.decode import decoded, kind_of
from data.errors import InputError, OptionError
from data.record_times import END_YEAR, FIRST_YEAR, TIME_STEP, UNDATED_UNITS, check_increasing, decode_times

TIME_NAMES = ("time", "ocean_time", "scrum_time", "time_counter")
#: Attributes in which programs write the date of second 0 when ``units`` does not have it.
ORIGIN_ATTRIBUTES = ("origin", "time_origin", "origin_date", "reference_date", "reference_time", "base_date")
NUMERIC_DATE = re.compile(r"(?<!\d)(\d{4})[-/](\d{1,4})[-/](\d{1,4})(?:[T ]+(\d{1,2}:\d{2}(?::\d{2})?))?")
WRITTEN_DATE = re.compile(r"(?<!\d)(\d{1,2})[- ]([A-Za-z]{3,})[- ](\d{4})(?:[T ]+(\d{1,2}:\d{2}(?::\d{2})?))?")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
#: A note tells of records further apart than this, days: eddies and tides move much in between.
FAR_APART = 1.01
#: A note tells of records closer together than this, seconds: times may be in another unit.
CLOSE_TOGETHER = 60.0


def parse_origin(time_origin):
    """The date of second 0, in milliseconds; OptionError if the text is no date."""
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
    units = str(getattr(variable, "units", "")).strip()
    since = None if dated else _date_elsewhere(variable)
    if since is not None and units.lower() in UNDATED_UNITS:
        word = {1_000.0: "seconds", 60_000.0: "minutes", 3_600_000.0: "hours", 86_400_000.0: "days"}[UNDATED_UNITS[units.lower()]]
        units = f"{word} since {since[0]}"
        notes.append(f"times are counted from {since[0]}, which stands in the attribute {since[1]} of {name}")
    calendar = str(getattr(variable, "calendar", "standard"))
    times, is_dated = decode_times(f"{path}: variable {name}", values, units, calendar, origin, notes)
    check_increasing(f"{path}: variable {name}", times, values)
    return times, is_dated


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
        match = NUMERIC_DATE.search(value)
        if match:
            year, month, day, clock = match.groups()
        else:
            match = WRITTEN_DATE.search(value)
            if not match or match[2][:3].lower() not in MONTHS:
                continue
            day, month, year, clock = match[1], MONTHS.index(match[2][:3].lower()) + 1, match[3], match[4]
        try:
            date = np.datetime64(f"{int(year):04d}-{int(month):02d}-{int(day):02d}")
        except ValueError:
            continue
        if FIRST_YEAR <= date < END_YEAR:
            return f"{date}{' ' + clock if clock else ''}", name
    return None


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


def tell_of_steps(times, notes) -> None:
    """Notes where records stand so far apart that motion is lost between them, or so close that their unit may be another."""
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
