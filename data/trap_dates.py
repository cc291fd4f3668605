"""Dates as people write them in tables: ISO, day or month first, months by name, and times of day in cells of their own."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable

import pandas as pd

from data.trap_table import text

#: Orders of day and month, by the words that headers and options use.
ORDERS = ("dd/mm/yyyy", "mm/dd/yyyy")
_TIME = r"(?P<time>[ T]\s*\d.*)?"
NUMBERS = re.compile(rf"(?P<a>\d{{1,2}})(?P<sign>[/.-])(?P<b>\d{{1,2}})(?P=sign)(?P<year>\d{{4}}|\d{{2}}){_TIME}")
YEAR_FIRST = re.compile(rf"(?P<year>\d{{4}})(?P<sign>[/.-])(?P<month>\d{{1,2}})(?P=sign)(?P<day>\d{{1,2}}){_TIME}")
COMPACT = re.compile(r"(?P<year>(19|20)\d\d)(?P<month>\d\d)(?P<day>\d\d)")
NAMED_MONTH = re.compile(rf"(?P<day>\d{{1,2}})[-/. ](?P<month>[A-Za-z]{{3}})[a-z]*[-/. ](?P<year>\d{{4}}|\d{{2}}){_TIME}")
MONTH_IN_FRONT = re.compile(rf"(?P<month>[A-Za-z]{{3}})[a-z]*\.? (?P<day>\d{{1,2}}),? (?P<year>\d{{4}}){_TIME}")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
CLOCK = re.compile(r"(?P<hours>\d{1,2}):(?P<minutes>\d\d)(?::(?P<seconds>\d\d)(?:\.0*)?)?\s*(?P<half>[AaPp][Mm])?")
#: Years of two digits from this one on are of the last century.
LAST_CENTURY = 70


def date_like(cell) -> bool:
    """Whether a cell is a date in any of the forms."""
    return any(parse_date(cell, order) is not None for order in ORDERS)


def undecided(cell) -> bool:
    """Whether a cell is a date of numbers that leaves the order of day and month open."""
    return not isinstance(cell, dt.date) and bool(NUMBERS.fullmatch(text(cell)))


def parse_date(cell, order: str) -> dt.datetime | None:
    """An instant (UTC, without zone) of 1900 to 2099; None if the cell holds no such date; ``order``: one of :data:`ORDERS`."""
    if isinstance(cell, dt.date) and not pd.isna(cell):
        value = pd.Timestamp(cell).to_pydatetime()
    else:
        written = text(cell)
        match = next(filter(None, (pattern.fullmatch(written) for pattern in (NAMED_MONTH, MONTH_IN_FRONT))), None)
        if match:
            if match["month"].lower() not in MONTHS:
                return None
            year, month, day = match["year"], str(MONTHS.index(match["month"].lower()) + 1), match["day"]
        elif match := NUMBERS.fullmatch(written):
            day, month = (match["a"], match["b"]) if order == ORDERS[0] else (match["b"], match["a"])
            year = match["year"]
            if len(year) == 2 and match["sign"] == "-":
                return None
        elif match := YEAR_FIRST.fullmatch(written) or COMPACT.fullmatch(written):
            year, month, day = match["year"], match["month"], match["day"]
        elif re.match(r"\d{4}-\d\d-\d\d", written):
            year = None
        else:
            return None
        if match is not None and year is not None:
            years = int(year) + (0 if len(year) == 4 else 1900 if int(year) >= LAST_CENTURY else 2000)
            time = (match.groupdict().get("time") or "").strip().removeprefix("T").strip()
            clock = CLOCK.fullmatch(time)
            written = f"{years:04d}-{int(month):02d}-{int(day):02d}" + (f"T{time}" if time and not clock else "")
        else:
            clock = None
        try:
            value = dt.datetime.fromisoformat(written)
            if clock:
                value += _of_clock(clock)
        except ValueError:
            return None
    if value.tzinfo is not None:
        value = value.astimezone(dt.UTC).replace(tzinfo=None)
    return value if 1900 <= value.year < 2100 else None


def _of_clock(found: re.Match) -> dt.timedelta:
    """A time of day as clocks show it, of 24 or of twice 12 hours, since midnight; ValueError for what no clock shows."""
    hours, minutes, seconds = int(found["hours"]), int(found["minutes"]), int(found["seconds"] or 0)
    if half := (found["half"] or "").lower():
        if not 1 <= hours <= 12:
            raise ValueError(found[0])
        hours = hours % 12 + (12 if half == "pm" else 0)
    value = dt.timedelta(hours=hours, minutes=minutes, seconds=seconds)
    if minutes > 59 or seconds > 59 or value > dt.timedelta(days=1):
        raise ValueError(found[0])
    return value


def parse_time(cell) -> dt.timedelta | None:
    """A time of day (12:00, 1200, 12, or a sheet's own) since midnight; an empty cell is midnight, an unreadable one None."""
    if isinstance(cell, dt.datetime):
        cell = cell.time()
    if isinstance(cell, dt.time):
        return dt.timedelta(hours=cell.hour, minutes=cell.minute, seconds=cell.second)
    written = text(cell).rstrip("hHzZ ")
    if not written:
        return dt.timedelta(0)
    if match := CLOCK.fullmatch(written):
        try:
            return _of_clock(match)
        except ValueError:
            return None
    if re.fullmatch(r"0?\.\d+", written):  # a sheet's share of a day
        return dt.timedelta(seconds=round(86400 * float(written)))
    elif match := re.fullmatch(r"(\d{1,2})(\d\d)?(?:\.0*)?", written):
        value = dt.timedelta(hours=int(match[1]), minutes=int(match[2] or 0))
        return value if int(match[2] or 0) < 60 and value <= dt.timedelta(days=1) else None
    return None


def time_like(cell) -> bool:
    """Whether a cell is a time of day and no date."""
    return isinstance(cell, dt.time) or bool(
        CLOCK.fullmatch(text(cell).rstrip("hHzZ")) or re.fullmatch(r"\d{3,4}[hHzZ]?", text(cell))
    )


def fitting_orders(pairs: Iterable[tuple], longest_days: float) -> tuple[list[str], list[str]]:
    """Which orders of day and month make dates of all cells of (opening, closing); and which of these make possible cups too.

    A possible cup closes after it opens, and within ``longest_days``.
    """
    pairs = [pair for pair in pairs if any(map(text, pair))]
    dates, cups = [], []
    for order in ORDERS:
        read = [tuple(parse_date(cell, order) for cell in pair) for pair in pairs]
        if all(value is not None for pair, cells in zip(read, pairs, strict=True) for value, cell in zip(pair, cells, strict=True)
               if text(cell)):  # fmt: skip
            dates.append(order)
            whole = [(pair[0], pair[1]) for pair in read if len(pair) == 2]
            lengths = [close - open_ for open_, close in whole if open_ is not None and close is not None]
            if all(dt.timedelta(0) < length <= dt.timedelta(days=longest_days) for length in lengths):
                cups.append(order)
    return dates, cups
