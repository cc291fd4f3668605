"""Instants of the records of z-level files: what their label means, and which records of which files make one series.

A mean belongs to the middle of the time that it covers. Bounds tell it; without them, daily means that carry 00:00 of their day
(as the Copernicus Marine toolbox writes them) are moved by 12 hours. What was moved is said.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.errors import InputError
from data.record_times import check_increasing, decode_times
from data.zlevel.files import numbers, text_of
from data.zlevel.names import TIMES

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
    candidates = [
        name
        for name in dict.fromkeys((*TIMES, dimension, *dataset.variables))
        if name in dataset.variables and _is_time(dataset.variables[name], dimension)
    ]
    if not candidates:
        raise InputError(f"{path}: no variable with the times of the records along {dimension!r} (units '... since ...')")
    name = candidates[0]
    variable = dataset.variables[name]
    label, values = f"{path}: variable {name}", numbers(variable).ravel()
    calendar = str(getattr(variable, "calendar", "standard"))
    labels, _ = decode_times(label, values, str(variable.units), calendar, origin, notes)
    check_increasing(label, labels, values)
    bounds = dataset.variables.get(str(getattr(variable, "bounds", "")))
    middles = None
    if bounds is not None and bounds.shape == (labels.size, 2):
        units = str((bounds if "since" in str(getattr(bounds, "units", "")) else variable).units)
        label = f"{path}: variable {bounds.name}"
        begin, end = (decode_times(label, column, units, calendar, origin, [])[0] for column in numbers(bounds).T)
        if (end < begin).any():
            raise InputError(f"{label}: an interval ends before it begins; --time-label start, middle or end passes over bounds")
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


def instants(labels: np.ndarray, middles: list, kinds: set[str], label: str, notes: list[str]) -> np.ndarray:
    """(n,) datetime64[ns]: the instants of records from their labels (n,), increasing, and the middles of their bounds.

    middles: (n) datetime64 or None each; kinds: what their files say of them; label: the option --time-label.
    """
    spacing = np.median(np.diff(labels)) if labels.size > 1 else DAY
    if label != "auto":
        shift = {"start": spacing // 2, "middle": np.timedelta64(0, "ns"), "end": -(spacing // 2)}[label]
        return labels + shift
    if all(middle is not None for middle in middles):
        stamps = np.array(middles, dtype="datetime64[ns]")
        moved = stamps - labels
        if moved.any():
            hours = float(np.median(moved) / np.timedelta64(1, "h"))
            notes.append(f"times are the middles of the time bounds ({hours:+g} h from the labels)")
        return stamps
    if _daily_at_midnight(labels) and "instant" not in kinds and kinds & {"mean", "daily source"}:
        notes.append("daily means labelled 00:00 of their day: moved by 12 h to noon (--time-label says otherwise)")
        return labels + HALF_DAY
    if _daily_at_midnight(labels) and not kinds - {""}:
        notes.append(
            "daily records at 00:00 that do not say whether they are means: taken as instants; --time-label start moves "
            "them to noon"
        )
    elif "mean" in kinds and not _daily_at_midnight(labels - HALF_DAY):
        hours = float(spacing / np.timedelta64(1, "h"))
        notes.append(
            f"means of {hours:g} h without time bounds: each label is taken as the middle of its interval (--time-label start or "
            "end says otherwise)"
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
