"""Sediment-trap flux records: one row per cup, from CSV or a workbook, in the layouts in which such records come.

Layouts, told apart by the header (:mod:`data.trap_columns`): the toolkit's own CSV (``open``, ``close``, ``dry_weight``, ``poc``,
``pic``), BODC's names ("open date (dd/mm/yyyy)", "Particulate Organic Carbon Flux mg/m2/day"), PANGAEA's tables with their
description in front ("Date/Time (start)", "Flux tot [mg/m**2/day]"), JGOFS's and BCO-DMO's (dates in several columns, an opening
and a duration), and compilations with many columns, sites and depths derived from them ("startTime", "depth_m",
"POC_mg_m2_d_avg"). What cannot be guessed is named by the caller.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from data.command import write_file
from data.errors import InputError
from data.trap_columns import COLUMNS, FLUXES, UNIT, Column, Layout, chosen_columns, plain, recognise, unused
from data.trap_dates import ORDERS, fitting_orders, parse_date, parse_time, undecided
from data.trap_sites import DEPTH_TOLERANCE, at_depth, choose_site, select_depth
from data.trap_table import Row, tables, text

__all__ = [
    "CACO3_PER_PIC", "COLUMNS", "FLUXES", "UNIT", "chosen_columns", "cup_length_days", "outweighed", "read_flux", "select_depth",
    "write_flux",
]  # fmt: skip

#: Mass of CaCO3 per mass of its carbon, 100.09 / 12.011.
CACO3_PER_PIC = 8.33
#: A cup that collected for longer is remarked on, days: the paper's are of 7 to 42, and a day taken for a month gives months.
LONG_CUP_DAYS = 62.0
#: Cups that overlap by no more than this, days, are kept whatever is asked: records open at midnight and close at noon.
SHORT_OVERLAP_DAYS = 1.0
#: No flux is as large, mg m-2 d-1: a kilogram a day on a square metre.
LARGEST = 1e6
MISSING = {"", "nan", "na", "n/a", "null", "none", "-", "--", ".", "nd", "n.d."}
NINES = re.compile(r"-?9+(\.9+)?")
#: Characters of a header that a line holds.
LONGEST_LIST = 300
#: Rows that a line names.
ROWS_NAMED = 5
#: Nouns for the problems that remarks count, singular and plural.
KINDS = {
    "row": ("row cannot be read", "rows cannot be read"),
    "text": ("cell is no number", "cells are no numbers"),
    "negative": ("flux is negative", "fluxes are negative"),
    "outweighed": (
        "cup has PIC that as CaCO3 (x 8.33) outweighs its dry weight",
        "cups have PIC that as CaCO3 (x 8.33) outweighs their dry weight",
    ),
    "again": ("cup is given twice", "cups are given twice"),
    "short": ("cup overlaps another by a day or less", "cups overlap others by a day or less"),
    "overlap": ("cup overlaps another by more than a day", "cups overlap others by more than a day"),
    "gap": ("gap is longer than the median cup", "gaps are longer than the median cup"),
    "long": (f"cup is longer than {LONG_CUP_DAYS:g} days", f"cups are longer than {LONG_CUP_DAYS:g} days"),
}
#: The fate of rows and values with each problem: if bad rows and values are dropped, and if they are not.
FATES = {
    "row": ("left out", ""), "text": ("set to missing", ""),
    "negative": ("set to missing", "kept"),
    "outweighed": (
        "pic set to missing", "kept: one of the two is wrong in each, and both count in every R² (--drop-bad drops the pic)"
    ),
    "again": ("left out", "kept"), "short": ("kept", "kept"), "overlap": ("left out", "kept"), "gap": ("", ""), "long": ("", ""),
}  # fmt: skip


@dataclass
class _Findings:
    """The problems of the rows. Hard problems stop the reading unless bad rows are dropped."""

    drop: bool
    lines: list[tuple[int, str, str]] = field(default_factory=list)
    hard: list[tuple[int, str]] = field(default_factory=list)

    def add(self, row: int, kind: str, words: str, dropped: str = "", hard: bool = False) -> None:
        """One problem of a row, of a kind of :data:`KINDS`; ``dropped`` says what became of it where problems are dropped."""
        line = f"row {row}: {words}" + (f"; {dropped}" if self.drop and dropped else "")
        self.lines.append((row, line, kind))
        if hard:
            self.hard.append((row, line))

    def only(self, rows: set[int]) -> None:
        """Forget the problems of other rows."""
        self.lines = [item for item in self.lines if item[0] in rows]
        self.hard = [item for item in self.hard if item[0] in rows]

    def sorted_lines(self) -> list[str]:
        return [line for _, line, _ in sorted(self.lines, key=lambda item: item[0])]

    def by_kind(self) -> list[str]:
        """A line for each kind of problem: how many rows, their numbers, and their fate."""
        lines = []
        for kind, (single, plural) in KINDS.items():
            rows = sorted(row for row, _, kind_found in self.lines if kind_found == kind)
            if not rows:
                continue
            most = len(rows) if kind == "outweighed" else ROWS_NAMED
            fate = FATES[kind][0 if self.drop else 1]
            noun = single if len(rows) == 1 else plural
            lines.append(f"{len(rows)} {noun} ({_listed(rows, most)})" + (f"; {fate}" if fate else ""))
        return lines


def _listed(rows: list[int], most: int = ROWS_NAMED) -> str:
    """The first of some numbers of rows, and how many more there are, in words."""
    more = f" and {len(rows) - most} more" if len(rows) > most else ""
    return f"row{'s' * (len(rows) > 1)} {', '.join(map(str, rows[:most]))}{more}"


def read_flux(
    path: str | Path,
    *,
    depth: float | None = 3000.0,
    drop: bool = False,
    columns: Mapping[str, str] | None = None,
    sheet: str | None = None,
    site: str | None = None,
    near: tuple[float, float] | None = None,
    dates: str | None = None,
) -> pd.DataFrame:
    """Fluxes of a sediment trap, one row per cup, in order of opening.

    Parameters
    ----------
    path : path
        CSV (separated by commas, semicolons, tabs or blanks) or Excel workbook (.xlsx; needs openpyxl). A description between /*
        and */ in front, as PANGAEA has it, and lines of # are passed over. The header is the first row that tells when cups
        opened and closed: by dates, dates and times of day, years, months and days, or an opening (or a middle) and a duration in
        days; one or two header rows more, such as units, may follow. Units are read from the header: mg, g,
        ug, kg or (carbon and nitrogen) mmol, umol, mol, per m2, per day or year of 365.25 days; a header without one means
        mg m-2 d-1. Molar fluxes are multiplied by 12.011 (carbon) or 14.007 g/mol (nitrogen). Of replicates, the column of the
        mean is taken. Dates are ISO, dd-Mon-yyyy, dd/mm/yyyy or mm/dd/yyyy, whichever the header says or all rows fit.
    depth : float or None
        Trap depth, m, positive down: rows within 250 m of it are read (:func:`select_depth`). None reads all depths. Without
        effect where the file has no depth column. A height above the bottom is no depth.
    drop : bool
        Leave bad rows and values out instead of refusing or keeping them, see below.
    columns : mapping, optional
        Headers by quantity (:data:`data.trap_columns.KEYS`) where they cannot be guessed: ``{"poc": "C flux"}``.
    sheet : str, optional
        Name of the sheet of a workbook; needed where several hold records.
    site : str, optional
        Which trap of a table of several sites: a name in it, a name of the site table, or LON,LAT.
    near : (lon, lat), optional
        Where the trap is known to stand, degrees: of several sites the one within 100 km of it is taken.
    dates : "dd/mm/yyyy" or "mm/dd/yyyy", optional
        The order of day and month, needed where both fit all rows.

    Returns
    -------
    DataFrame indexed by ``cup`` (1, 2, ...)
        ``open``, ``close`` (datetime64[ns]), ``dry_weight``, ``poc``, ``pic``, ``tpn`` (float64, mg m-2 d-1, NaN where missing),
        and ``depth`` (m) where all depths are read from a file that names them. ``attrs``: ``file``, ``units``, ``problems``,
        one line each that names the row of the file, and ``remarks``, the same counted by kind.

        Hard problems are refused, or with ``drop`` left out: text where a number should stand (that value becomes NaN), a
        row with more cells than the header, a date that is missing or cannot be read, a cup that closes before it opens
        (those rows go). Soft problems are listed in ``attrs["problems"]`` and kept, or with ``drop`` left out: a negative
        flux (the value), PIC that as CaCO3 (x 8.33) outweighs the dry weight (the PIC), a cup given twice and a cup that
        overlaps an earlier one by more than a day (the later row). Overlaps of a day or less, gaps longer than the median cup,
        cups longer than 62 days and columns of fluxes that are not used are listed in either case. Fill values (-99, -999, ...,
        and what recurs exactly and cannot be a flux) become NaN.

    Raises
    ------
    InputError
        If the file cannot be read, has no dates or no flux, a unit is unknown, no row is at the depth, several sheets, sites or
        orders of the date are possible, or a row has a hard problem and ``drop`` is False.
    OptionError
        If there is no such sheet or site.
    """
    path = Path(path).expanduser()
    layout, notes = _layout(path, columns or {}, sheet)
    order, order_notes = _order(path, layout, dates)
    notes += order_notes
    findings = _Findings(drop)
    records = [_record(row, layout, order or ORDERS[0], findings) for row in layout.rows if any(map(text, row.cells))]
    names = ["row", "open", "close", *COLUMNS, "depth", "latitude", "longitude", "site"]
    frame = pd.DataFrame([record for record in records if record is not None], columns=names)
    numbers = dict.fromkeys((*COLUMNS, "depth", "latitude", "longitude"), np.float64)
    frame = frame.astype({"open": "datetime64[ns]", "close": "datetime64[ns]", "site": object} | numbers)
    frame["depth"] = frame["depth"].abs()
    of_depths = "depth" in layout.columns
    if len(frame):
        # problems of the rows of other traps are no matter here
        level = np.ones(len(frame), bool)
        if of_depths and depth is not None:
            level = select_depth(frame["depth"], depth, where=str(path))
        of_site, lines = choose_site(frame[level], site, near, str(path))
        notes += lines
        level[level] = of_site
        if of_depths and depth is not None:
            rows, lines = at_depth(frame[level], depth, str(path))
            notes += lines
            level[level] = rows
        unread = {row.number for row in layout.rows} - set(frame["row"])
        frame = frame[level].copy()
        findings.only(set(frame["row"]) | unread)
    if of_depths and depth is not None:
        frame["depth"] = np.nan  # one trap, whatever the exact depths
    if findings.hard and not drop:
        raise InputError(_refusal(path, findings.hard))
    frame, filled = _without_fills(frame, layout.columns, findings)
    frame = frame.sort_values(["depth", "open", "close", "row"], ignore_index=True)
    frame = _checked_values(frame[frame["open"].notna() & frame["close"].notna()].copy(), findings)
    frame = _checked_times(frame, findings, undeclared=order is None and _undecided(layout))
    if frame.empty:
        raise InputError(f"{path}: no cup with an opening and a closing date; " + (findings.sorted_lines() or ["no rows"])[0])
    units_named = [f"column {c.title!r} names no unit: taken as {UNIT}" for c in layout.columns.values() if c.factor is None]
    notes = units_named + unused(layout.titles, layout.columns) + notes + filled
    columns_kept = ["open", "close", *COLUMNS, *(["depth"] if depth is None and of_depths else [])]
    frame = frame[columns_kept]
    frame.index = pd.RangeIndex(1, len(frame) + 1, name="cup")
    frame.attrs = {
        "file": str(path), "units": UNIT, "problems": notes + findings.sorted_lines(), "remarks": notes + findings.by_kind(),
    }  # fmt: skip
    return frame


def write_flux(path: str | Path, frame: pd.DataFrame) -> None:
    """Write a frame as the toolkit's own CSV: ``open``, ``close`` (ISO), ``dry_weight``, ``poc``, ``pic`` (mg m-2 d-1).

    ``tpn`` follows where there is any. Missing values are empty. What is written reads back the same to the last bit.

    Raises
    ------
    InputError
        If a column is missing.
    StoreError
        If the file cannot be written.
    """
    for name in ("open", "close", *FLUXES):
        if name not in frame:
            raise InputError(f"no column {name!r} to write to {path}; a flux record needs open, close, {', '.join(FLUXES)}")
    names = [*FLUXES, *(["tpn"] if "tpn" in frame and frame["tpn"].notna().any() else [])]
    dates = frame[["open", "close"]].apply(pd.to_datetime)
    whole_days = bool((dates == dates.apply(lambda column: column.dt.normalize())).all(axis=None))
    lines = pd.concat([dates, frame[names].astype(np.float64)], axis=1).to_csv(
        index=False, date_format="%Y-%m-%d" if whole_days else "%Y-%m-%dT%H:%M:%S", lineterminator="\n"
    )
    write_file(Path(path), lines.encode())


def cup_length_days(frame: pd.DataFrame) -> pd.Series:
    """Days from opening to closing of each cup (float64)."""
    return (frame["close"] - frame["open"]) / pd.Timedelta(days=1)


def outweighed(frame: pd.DataFrame) -> pd.Series:
    """Whether each cup's PIC, as CaCO3 (x 8.33), outweighs its dry weight (bool): one of the two values is wrong."""
    return CACO3_PER_PIC * frame["pic"] > frame["dry_weight"]


# -- the table -------------------------------------------------------------------------------------------------------
def _layout(path: Path, chosen: Mapping[str, str], sheet: str | None) -> tuple[Layout, list[str]]:
    """The only table of a file that is a flux record, and notes on the other sheets."""
    sheets = tables(path, sheet)
    recognised = []
    for table in sheets:
        layout = recognise(path, table.rows, chosen)
        if layout is not None:
            recognised.append((table, layout))
            if not table.name:
                break
    if recognised and not recognised[0][0].name:  # one text file, read with several separators
        return recognised[0][1], list(recognised[0][1].notes)
    if len(recognised) > 1:
        listed = ", ".join(f"{table.name!r} ({len(layout.rows)} rows)" for table, layout in recognised)
        raise InputError(f"{path}: {len(recognised)} of its sheets hold flux records: {listed}; choose one with --sheet")
    if not recognised:
        first = next((row for table in sheets for row in table.rows if any(map(text, row.cells))), None)
        listed = ", ".join(filter(None, map(text, first.cells[:12]))) if first else "nothing"
        listed = " ".join(listed.split())[:LONGEST_LIST]
        headers = ", ".join(repr(title) for title in chosen.values())
        but = f" beside the headers asked for ({headers})" if headers else ""
        raise InputError(
            f"{path}: no columns of opening and closing dates (open, close, or BODC's names){but}; the first row holds {listed}"
            "; name the columns, such as --flux-columns open=HEADER close=HEADER"
        )
    table, layout = recognised[0]
    unread = [repr(sheet_unread.name) for sheet_unread in sheets if sheet_unread is not table and sheet_unread.filled]
    notes = list(layout.notes) + ([f"sheets not read: {', '.join(unread)}"] if unread else [])
    return layout, notes


def _order(path: Path, layout: Layout, dates: str | None) -> tuple[str | None, list[str]]:
    """The order of day and month, None where no date needs one or the rows fit none; and a line where it was found out."""
    columns = [layout.columns[name] for name in ("open", "close", "mid") if name in layout.columns]
    titles = " ".join(column.title for column in columns).lower().replace(" ", "")
    declared = dates or next((order for order in ORDERS if order[:5] in titles), None)
    if declared is not None:
        return declared, []
    pairs = [tuple(row.cells[c.index] if c.index < len(row.cells) else "" for c in columns) for row in layout.rows]
    pairs = [pair for pair in pairs if any(map(undecided, pair))]
    if not pairs:
        return None, []
    possible, likely = fitting_orders(pairs, LONG_CUP_DAYS)
    if len(possible) == 1:
        month_first = [f"dates are read as {possible[0]}: only so do all rows fit"]
        return (None, []) if possible[0] == ORDERS[0] else (possible[0], month_first)
    if len(possible) == 2 and len(columns) > 1 and len(likely) == 1:
        return likely[0], [f"dates are read as {likely[0]}: the other order makes cups of no possible length (--flux-dates)"]
    if possible:
        raise InputError(
            f"{path}: its dates ({text(pairs[0][0])}) fit dd/mm/yyyy as well as mm/dd/yyyy; say which: --flux-dates dd/mm/yyyy, "
            "or in the header"
        )
    return None, []


def _undecided(layout: Layout) -> bool:
    """Whether any opening is a date of numbers that leaves the order of day and month open."""
    column = layout.columns.get("open")
    return column is not None and any(undecided(row.cells[column.index]) for row in layout.rows if column.index < len(row.cells))


# -- the rows --------------------------------------------------------------------------------------------------------
def _record(row: Row, layout: Layout, order: str, findings: _Findings) -> list | None:
    """[row, open, close, fluxes..., depth, latitude, longitude, site]; a hard problem leaves NaT or NaN in its place, or None for
    the row."""
    width, columns = len(layout.titles), layout.columns
    if any(map(text, row.cells[width:])):
        problem = f"{len(row.cells)} cells where the header has {width}"
        findings.add(row.number, "row", f"{problem} (a decimal comma?)", "the row is left out", hard=True)
        return None
    cells = {kind: row.cells[c.index] if c.index < len(row.cells) else "" for kind, c in columns.items()}
    opening, closing, wrong = _dates(cells, columns, order)
    if not wrong and opening is not None and closing is not None and closing <= opening:
        wrong = [f"close {closing:%Y-%m-%d} is not after open {opening:%Y-%m-%d}"]
    for line in wrong:
        findings.add(row.number, "row", line, "the row is left out", hard=True)
    if wrong:
        opening = closing = None
    values = []
    for kind in (*COLUMNS, "depth"):
        value = _number(cells.get(kind, ""))
        if value is None:
            findings.add(row.number, "text", f"{kind} {text(cells[kind])!r} is not a number", "set to missing", hard=True)
            value = np.nan
        if kind == "depth" and (NINES.fullmatch(_digits(value)) and value < 0):
            value = np.nan
        factor = columns[kind].factor if kind in columns else 1.0
        values.append(value * (1.0 if factor is None else factor))
    places = [_degrees(cells.get(kind, ""), columns.get(kind)) for kind in ("latitude", "longitude")]
    return [row.number, opening, closing, *values, *places, " ".join(text(cells.get("site", "")).split())]


def _dates(cells: dict, columns: Mapping[str, Column], order: str) -> tuple[dt.datetime | None, dt.datetime | None, list[str]]:
    """Opening and closing of a cup, and the problems of both."""
    wrong: list[str] = []
    instants = {side: _instant(cells, side, order, wrong) for side in ("open", "close") if _tells(columns, side)}
    length = None
    if "duration" in columns and len(instants) < 2:
        length = _number(cells["duration"])
        if length is None or not 0 < length < 3660:
            wrong.append(f"duration {text(cells['duration'])!r} is not a number of days")
            length = None
        elif re.search(r"\b(h|hr|hrs|hours?)\b", plain(columns["duration"].title)):
            length /= 24
    if "mid" in columns and "open" not in instants:
        middle = _instant(cells, "mid", order, wrong)
        closing = instants.get("close")
        if middle is not None and closing is not None:
            instants["open"] = middle - (closing - middle)
        elif middle is not None and length is not None:
            half = dt.timedelta(days=length / 2)
            instants |= {"open": middle - half, "close": middle + half}
    elif length is not None and (opening := instants.get("open")) is not None:
        instants["close"] = opening + dt.timedelta(seconds=round(86400 * length))
    elif length is not None and (closing := instants.get("close")) is not None:
        instants["open"] = closing - dt.timedelta(seconds=round(86400 * length))
    if not wrong and (instants.get("open") is None or instants.get("close") is None):
        wrong.append("no opening and closing date")
    return instants.get("open"), instants.get("close"), wrong


def _tells(columns: Mapping[str, Column], side: str) -> bool:
    return side in columns or f"{side}_year" in columns


def _instant(cells: dict, side: str, order: str, wrong: list[str]) -> dt.datetime | None:
    """The instant that the columns of a side ("open", "close", "mid") tell; a line in ``wrong`` where they tell none."""
    if side in cells:
        written = text(cells[side])
        value = parse_date(cells[side], order)
    else:
        parts = {name: _number(cells.get(f"{side}_{name}", "")) for name in ("year", "month", "day", "yearday", "hour")}
        written = "-".join(text(cells.get(f"{side}_{name}", "")) for name in ("year", "month", "day"))
        value = _of_parts(parts)
    if value is None:
        wrong.append(f"{side} {written!r} is not a date (YYYY-MM-DD or {order})" if written.strip("-") else f"no {side} date")
        return None
    if f"{side}_time" in cells:
        time = parse_time(cells[f"{side}_time"])
        if time is None:
            wrong.append(f"{side} {text(cells[f'{side}_time'])!r} is not a time of day (HH:MM)")
            return None
        value += time
    return value


def _of_parts(parts: dict[str, float | None]) -> dt.datetime | None:
    """A date of year, month and day (or day of the year, from 1) and hour."""
    numbers = {name: value for name, value in parts.items() if value is not None}
    if len(numbers) < len(parts):
        return None
    try:
        year, hour = int(numbers["year"]), 0.0 if np.isnan(numbers["hour"]) else numbers["hour"]
        if not np.isnan(numbers["day"]):
            value = dt.datetime(year, int(numbers["month"]), int(numbers["day"]))
            hour += 24 * (numbers["day"] % 1)
        else:
            value = dt.datetime(year, 1, 1)
            hour += 24 * (numbers["yearday"] - 1)
        value += dt.timedelta(seconds=round(3600 * hour))
    except (ValueError, OverflowError):
        return None
    return value if 1900 <= year < 2100 else None


def _degrees(cell, column: Column | None) -> float:
    """A latitude or longitude, positive north and east; NaN where there is none."""
    match = re.fullmatch(r"\s*([-+]?\d+(?:\.\d*)?)\s*°?\s*([NSEWnsew])?\s*", text(cell))
    if column is None or not match:
        return np.nan
    west = {"w", "west", "south"} & set(re.findall(r"[a-z]+", plain(column.title)))
    sign = -1.0 if (match[2] or "").lower() in ("s", "w") or (west and not match[2]) else 1.0
    value = sign * float(match[1])
    return value if abs(value) <= 360 else np.nan


def _number(cell) -> float | None:
    """NaN where missing, None for text."""
    written = text(cell)
    if written.lower() in MISSING:
        return np.nan
    try:
        value = float(written)
    except ValueError:
        return None
    return value if np.isfinite(value) and "_" not in written else None


def _digits(value: float) -> str:
    return np.format_float_positional(value, trim="-") if np.isfinite(value) else ""


def _without_fills(frame: pd.DataFrame, columns: Mapping[str, Column], findings: _Findings) -> tuple[pd.DataFrame, list[str]]:
    """Fill values that no attribute declares set to missing, and a line a column and value.

    What is one: -99, -999, -99.9 and the like; -9 and other negative numbers that recur exactly; nines that recur and are ten
    times what the column holds else; what is larger than any flux.
    """
    used = [kind for kind in COLUMNS if kind in columns]
    factor = {kind: columns[kind].factor or 1.0 for kind in used}
    raw = {kind: (frame[kind] / factor[kind]).round(9) for kind in used}
    together = pd.concat(raw.values()) if raw else pd.Series(dtype=float)
    counts = together[together < 0].value_counts()
    lines = []
    for kind in used:
        values = raw[kind].to_numpy()
        for value in np.unique(values[~np.isnan(values)]):
            digits, times = _digits(value), int((values == value).sum())
            nines = bool(NINES.fullmatch(digits))
            if value < 0:
                recurs = int(counts.get(value, 0))
                fill = (nines and (digits.count("9") > 1 or recurs > 1) and value <= -9) or (value <= -1 and recurs > 2)
            else:
                usual = values[(values != value) & (values > 0)]
                fill = value * factor[kind] >= LARGEST
                fill = fill or (nines and value > 99 and times > 1 and len(usual) > 0 and value > 10 * usual.max())
            if not fill:
                continue
            rows = _listed(frame["row"][values == value].tolist())
            lines.append(f"{kind} {value:g} is taken for a fill value and set to missing: {rows}")
            frame.loc[values == value, kind] = np.nan
    return frame, lines


def _checked_values(frame: pd.DataFrame, findings: _Findings) -> pd.DataFrame:
    for name in COLUMNS:
        bad = frame[name] < 0
        for row, value in zip(frame["row"][bad], frame[name][bad]):
            findings.add(row, "negative", f"{name} {value:g} is negative", "set to missing")
        if findings.drop:
            frame.loc[bad, name] = np.nan
    bad = outweighed(frame)
    for row, pic, weight in zip(frame["row"][bad], frame["pic"][bad], frame["dry_weight"][bad]):
        words = f"pic {pic:.4g} as CaCO3 (x {CACO3_PER_PIC}) is {CACO3_PER_PIC * pic:.4g}, more than dry_weight {weight:.4g}"
        findings.add(row, "outweighed", words, "pic set to missing")
    if findings.drop:
        frame.loc[bad, "pic"] = np.nan
    return frame


def _checked_times(frame: pd.DataFrame, findings: _Findings, *, undeclared: bool) -> pd.DataFrame:
    """Cups that are long, twice or overlapping, and gaps, depth by depth where the frame has several.

    ``undeclared``: whether the header leaves the order of day and month open.
    """
    if frame.empty:
        return frame
    lengths = cup_length_days(frame)
    usual = lengths.median()
    for row, days in zip(frame["row"][lengths > LONG_CUP_DAYS], lengths[lengths > LONG_CUP_DAYS]):
        doubt = ": are the dates mm/dd? (name the order in the header)" if undeclared else ""
        findings.add(row, "long", f"cup of {days:g} days{doubt}")
    left_out = []
    # moorings are never at their nominal depth: depths that differ by less than the tolerance are one trap
    trap = (frame["depth"].diff() > DEPTH_TOLERANCE).cumsum()
    for _, cups in frame.groupby(trap.to_numpy()):
        last = None
        for cup in cups.sort_values(["open", "close", "row"]).itertuples():
            if last is not None and cup.open < last.close:
                same = (cup.open, cup.close) == (last.open, last.close)
                shared = min(cup.close, last.close) - cup.open
                days = shared / pd.Timedelta(days=1)
                short = days <= SHORT_OVERLAP_DAYS and 2 * shared < min(cup.close - cup.open, last.close - last.open)
                words = f"the cup of row {last.row} again" if same else f"overlaps the cup of row {last.row} by {days:g} days"
                if short:
                    findings.add(cup.row, "short", words)
                else:
                    findings.add(cup.row, "again" if same else "overlap", words, "the row is left out")
                    if findings.drop:
                        left_out.append(cup.Index)
                        continue
            elif last is not None and (cup.open - last.close) / pd.Timedelta(days=1) > usual:
                days = (cup.open - last.close) / pd.Timedelta(days=1)
                findings.add(cup.row, "gap", f"gap: {days:g} days without a cup since row {last.row}")
            if last is None or cup.close > last.close:
                last = cup
    return frame.drop(index=left_out)


def _refusal(path: Path, hard: list[tuple[int, str]]) -> str:
    (_, first), *further = sorted(hard, key=lambda item: item[0])
    more = f" (and {len(further)} more such problem{'s' if len(further) > 1 else ''})" if further else ""
    return f"{path}, {first}{more}; mend the file, or give --drop-bad to leave such rows and values out"
