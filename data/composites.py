"""The days that maps cover: a monthly or 8-day composite covers its whole interval, whatever date in it the file gives."""

from __future__ import annotations

import re

import numpy as np

DAY = np.timedelta64(1, "D")
#: Maps of no more than this, days, count for the calendar day of their date.
DAILY = 1.5
#: Attributes, in lower case, that tell how long maps are of.
ATTRIBUTES = ("time_coverage_resolution", "temporal_resolution", "time_coverage_duration", "period_duration_day", "product_type")
WORDS: dict[str, int | str] = {
    "daily": 1, "day": 1, "weekly": 7, "week": 7, "monthly": "month", "month": "month", "mon": "month", "8-day": 8, "8day": 8,
    "annual": 365, "yearly": 365,
}  # fmt: skip
ISO = re.compile(r"p(?P<n>\d+)(?P<unit>[dwmy])(t.*)?")


def resolution(attrs: dict) -> tuple[int | str, str] | None:
    """How long the maps of a file are of, by its attributes: days or "month", and the attribute; None where none tells."""
    texts = {str(name).lower(): str(value).strip() for name, value in attrs.items()}
    for name in ATTRIBUTES:
        words = texts.get(name, "").lower()
        if words in WORDS:
            return WORDS[words], f"{name} {texts[name]}"
        if match := ISO.fullmatch(words):
            n, unit = int(match["n"]), match["unit"]
            month = (unit == "m" and n == 1) or (unit == "d" and 28 <= n <= 31)
            days = n * {"d": 1, "w": 7, "m": 30, "y": 365}[unit]
            return ("month" if month else days), f"{name} {texts[name]}"
    return None


def map_days(
    times: np.ndarray, bounds: np.ndarray | None, told: tuple[int | str, str] | None
) -> tuple[np.ndarray, np.ndarray, str | None]:
    """First day and number of days that each map covers, and the reason in words if a map covers more than its own day.

    Bounds win; without, the attribute; without, the spacing. Months are calendar months, whatever day of theirs the date is.
    Other composites begin at their date, unless 8-day ones are dated at the middle of the periods that begin with a year.

    Parameters
    ----------
    times : (time,) datetime64, ascending
    bounds : (time, 2) datetime64 or None
        NaT where a map has none.
    told : of :func:`resolution`

    Returns
    -------
    first : (time,) datetime64[D]
    length : (time,) int
        Days, 1 or more. The intervals do not overlap, single days apart.
    """
    days = times.astype("datetime64[D]")
    single = days, np.ones(times.size, np.int64), None
    if bounds is not None and not np.isnat(bounds).any():
        ends = (bounds.astype("datetime64[s]") + np.timedelta64(12, "h")).astype("datetime64[D]")
        length = ((ends[:, 1] - ends[:, 0]) / DAY).astype(np.int64)
        if np.median((bounds[:, 1] - bounds[:, 0]) / DAY) <= DAILY or _overlap(ends[:, 0], length):
            return single
        return ends[:, 0], np.maximum(length, 1), "their bounds"
    if times.size < 2 and told is None:
        return single
    steps = np.diff(times) / DAY
    usual = float(np.median(steps)) if steps.size else np.inf
    kind, why = told or (round(usual), "the spacing of the maps")
    months = days.astype("datetime64[M]")
    if kind == "month" or (told is None and 27 <= usual <= 32):
        if np.unique(months).size == months.size:
            first = months.astype("datetime64[D]")
            return first, (((months + 1).astype("datetime64[D]") - first) / DAY).astype(np.int64), why
        kind = round(usual)
    # maps more often than they are long are running means: each counts for its day
    assert not isinstance(kind, str)  # "month" became days above
    if kind <= DAILY or usual < 0.75 * kind - 0.5:
        return single
    place = ((days - days.astype("datetime64[Y]").astype("datetime64[D]")) / DAY).astype(np.int64) % kind
    middle = kind == 8 and np.median(place) in (3, 4)
    first = days - (int(np.median(place)) if middle else 0) * DAY
    following = np.append(((first[1:] - first[:-1]) / DAY).astype(np.int64), kind)
    return first, np.clip(following, 1, kind), why


def _overlap(first: np.ndarray, length: np.ndarray) -> bool:
    return bool((first[1:] < (first + length * DAY)[:-1]).any())
