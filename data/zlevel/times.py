"""Instants of the records of z-level files: what their label means, and which records of which files make one series.

A mean belongs to the middle of the time that it covers. Bounds tell it; without them, daily means that carry 00:00 of their day
(as the Copernicus Marine toolbox writes them) are moved by 12 hours. What was moved is said.
"""

from __future__ import annotations

from dataclasses import dataclass

import cftime
import numpy as np

from data.command import one_line
from data.errors import InputError
from data.zlevel.files import numbers, text_of
from data.zlevel.names import TIMES

STANDARD_CALENDARS = ("standard", "gregorian", "proleptic_gregorian")
#: What 64 bits of nanoseconds can hold, in whole years.
FIRST_YEAR, END_YEAR = 1678, 2262
#: An interval between records that is longer than this many usual ones is a hole.
GAP = 1.5
#: Instants farther apart than this do not resolve the tide.
TIDE_HOURS = 3.0
DAY = np.timedelta64(86400 * 10**9, "ns")
HALF_DAY = np.timedelta64(43200 * 10**9, "ns")
#: Words in attributes that tell means and instants apart, and sources whose daily fields are means.
MEANS = ("daily mean", "daily-mean", "p1d-m", "p1m-m", "time: mean", "monthly mean", "daily average")
INSTANTS = ("instantaneous", "time: point", "pt6h-i", "pt3h-i", "pt1h-i")
DAILY_SOURCES = ("mercator", "glo12", "glorys")


@dataclass(frozen=True)
class FileTimes:
    """Times of one file.

    Attributes
    ----------
    labels : (n,) datetime64[ns]
        As the time variable has them.
    middles : (n,) datetime64[ns] or None
        Middles of the bounds where the file has bounds.
    kind : str
        "mean", "instant" or empty where the file does not say.
    """

    labels: np.ndarray
    middles: np.ndarray | None
    kind: str


def read_times(path: str, dataset, dimension: str | None, origin: np.datetime64, cell_methods: str, notes: list) -> FileTimes:
    """Times along a dimension (None: one record without it).

    Raises
    ------
    InputError
        No time variable, times that are missing, do not increase, or cannot be read.
    """
    found = [
        name
        for name in dict.fromkeys((*TIMES, dimension, *dataset.variables))
        if name in dataset.variables and _is_time(dataset.variables[name], dimension)
    ]
    if not found:
        raise InputError(f"{path}: no variable with the times of the records along {dimension!r} (units '... since ...')")
    name = found[0]
    variable = dataset.variables[name]
    labels = _decoded(f"{path}: variable {name}", variable, numbers(variable).ravel(), variable, origin, notes)
    stuck = np.flatnonzero(np.diff(labels) <= np.timedelta64(0))
    if stuck.size:
        raise InputError(f"{path}: variable {name} does not increase from record {stuck[0]} to {stuck[0] + 1}, counted from 0")
    bounds = dataset.variables.get(str(getattr(variable, "bounds", "")))
    middles = None
    if bounds is not None and bounds.shape == (labels.size, 2):
        units = bounds if "since" in str(getattr(bounds, "units", "")) else variable
        what = f"{path}: variable {bounds.name}"
        begin, end = (_decoded(what, variable, column, units, origin, notes) for column in numbers(bounds).T)
        if (end < begin).any():
            raise InputError(f"{what}: an interval ends before it begins; --time-label start, middle or end passes over bounds")
        if (end > begin).all():
            middles = begin + (end - begin) // 2
    text = f"{text_of(dataset)} {cell_methods.lower()}"
    mean_field = "mean" in text_of(dataset, "field_type", "FROM_ORIGINAL_FILE__field_type")
    if mean_field or any(word in text for word in MEANS):
        kind = "mean"
    elif any(word in text for word in INSTANTS):
        kind = "instant"
    else:
        kind = "daily source" if any(word in text for word in DAILY_SOURCES) else ""
    return FileTimes(labels, middles, kind)


def _is_time(variable, dimension) -> bool:
    fits = variable.dimensions == ((dimension,) if dimension else ()) or (dimension is None and variable.size == 1)
    return fits and "since" in str(getattr(variable, "units", "")) and getattr(variable.dtype, "kind", "O") in "fiu"


def _decoded(what, variable, values, units_of, origin, notes) -> np.ndarray:
    """Numbers with their unit and calendar as datetime64[ns]."""
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise InputError(
            f"{what} is NaN or a fill value in record {bad[0]} (counted from 0), the time cannot be read; was the file finished?"
        )
    units, calendar = str(units_of.units), str(getattr(variable, "calendar", "standard")).lower()
    try:
        dates = cftime.num2date(values, units, calendar=calendar, only_use_cftime_datetimes=True)
        years = [date.year for date in np.ravel(dates)]
        if years and max(years) < 1000:  # the clock of a run that has no date
            start = type(np.ravel(dates)[0])(1, 1, 1)
            passed = [(date - start).total_seconds() for date in np.ravel(dates)]
            notes.append(f"times are given from year 1, which is no date: counted from {np.datetime_as_string(origin, unit='D')}")
            return origin.astype("datetime64[ns]") + np.round(np.array(passed) * 1e3).astype("timedelta64[ms]")
        if calendar not in STANDARD_CALENDARS:
            raise InputError(f"{what} has calendar {calendar!r}; only the standard calendar can be read: convert the dates")
        passed = cftime.date2num(dates, "microseconds since 1970-01-01", calendar=calendar)
    except (ValueError, OverflowError, TypeError) as error:
        raise InputError(f"{what} has units {units!r}, which cannot be read ({one_line(error)})") from error
    if years and (min(years) < FIRST_YEAR or max(years) >= END_YEAR):
        raise InputError(f"{what} holds times beyond the years {FIRST_YEAR} to {END_YEAR - 1}; was the file finished?")
    return (np.datetime64(0, "ms") + np.round(np.asarray(passed) / 1e3).astype("timedelta64[ms]")).astype("datetime64[ns]")


def instants(labels: np.ndarray, middles: list, kinds: set[str], label: str, notes: list[str]) -> np.ndarray:
    """(n,) datetime64[ns]: the instants of records from their labels (n,), increasing, and the middles of their bounds.

    middles: (n) datetime64 or None each; kinds: what their files say of them; label: the option --time-label.
    """
    spacing = np.median(np.diff(labels)) if labels.size > 1 else DAY
    if label != "auto":
        shift = {"start": spacing // 2, "middle": np.timedelta64(0, "ns"), "end": -(spacing // 2)}[label]
        return labels + shift
    if all(middle is not None for middle in middles):
        made = np.array(middles, dtype="datetime64[ns]")
        moved = made - labels
        if moved.any():
            hours = float(np.median(moved) / np.timedelta64(1, "h"))
            notes.append(f"times are the middles of the time bounds ({hours:+g} h from the labels)")
        return made
    if _daily_at_midnight(labels) and "instant" not in kinds and kinds & {"mean", "daily source"}:
        notes.append("daily means labelled 00:00 of their day: moved by 12 h to noon (--time-label says otherwise)")
        return labels + HALF_DAY
    if _daily_at_midnight(labels) and not kinds - {""}:
        notes.append(
            "daily records at 00:00 that do not say whether they are means: taken as instants; --time-label start moves "
            "them to noon"
        )
    return labels


def _daily_at_midnight(labels: np.ndarray) -> bool:
    at_midnight = (labels == labels.astype("datetime64[D]")).all()
    return bool(at_midnight and (labels.size < 2 or np.median(np.diff(labels)) == DAY))


def tell_of_tides(times: np.ndarray, kinds: set[str], notes: list[str]) -> None:
    """A note where records are instants so far apart that tides between them show as slow motion."""
    if times.size < 2 or kinds & {"mean", "daily source"}:
        return
    hours = float(np.median(np.diff(times)) / np.timedelta64(1, "h"))
    if hours > TIDE_HOURS and ("instant" in kinds or hours < 24):
        notes.append(
            f"records are instants {hours:g} h apart: where the model has tides, these are not resolved and show as slower motion"
        )


def check_gaps(times: np.ndarray, paths: list[str], allowed: bool, notes: list[str]) -> None:
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
        files = " and ".join(dict.fromkeys(paths[k] for k in (longest, longest + 1)))
        raise InputError(f"{files}: {what}; add the missing files, or --allow-gaps to interpolate in time across")
    notes.append(f"{what}: velocities are interpolated in time across")
