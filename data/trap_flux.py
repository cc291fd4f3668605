"""Sediment-trap flux records: one row per cup, from CSV or a workbook, in the layouts in which such records come.

Layouts, told apart by the header: the toolkit's own CSV (``open``, ``close``, ``dry_weight``, ``poc``, ``pic``), BODC's names
("open date (dd/mm/yyyy)", "Particulate Organic Carbon Flux mg/m2/day"), PANGAEA's tables with their description in front
("Date/Time (start)", "Flux tot [mg/m**2/day]"), and compilations with many columns and several depths derived from them
("startTime", "depth_m", "POC_mg_m2_d_avg").
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from data.command import write_file
from data.errors import InputError

#: The fluxes of the paper's section 4, mg m-2 d-1.
FLUXES = ("dry_weight", "poc", "pic")
#: All flux columns of a frame; total particulate nitrogen is not in every record.
COLUMNS = (*FLUXES, "tpn")
UNIT = "mg m-2 d-1"
#: g mol-1 of what is counted: carbon, carbon, nitrogen.
MOLAR_MASS = {"poc": 12.011, "pic": 12.011, "tpn": 14.007}
#: Mass of CaCO3 per mass of its carbon, 100.09 / 12.011.
CACO3_PER_PIC = 8.33
#: Rows whose depth is within so many metres of the wanted one belong to the trap: moorings are never at their nominal depth.
DEPTH_TOLERANCE = 250.0
#: The header stands in one of the first rows, and at most so many below go on with it.
HEADER_ROWS, MORE_HEADERS = 20, 2
#: A cup that collected for longer is remarked on, days: the paper's are of 7 to 42, and a day taken for a month gives months.
LONG_CUP_DAYS = 62.0

MASSES = {"kg": 1e6, "g": 1e3, "mg": 1.0, "ug": 1e-3}
MOLES = {"mol": 1e3, "mmol": 1.0, "umol": 1e-3}
DAYS = {"d": 1.0, "day": 1.0, "days": 1.0} | dict.fromkeys(("yr", "year", "years", "y", "a"), 365.25)
UNIT_PATTERN = re.compile(
    r"(?<![a-z0-9])(?P<mass>kg|g|mg|ug|mmol|umol|mol)(?:\s*(?:c|n))?[\s./*]*m\s*(?:\^|\*\*)?\s*\(?-?2\)?"
    r"[\s./*]*(?P<time>days?|d|years?|yr|y|a)(?![a-z])"
)
MISSING = {"", "nan", "na", "n/a", "null", "none"}
FILL = re.compile(r"-9{2,}(\.[09]+)?")
DATE_FORMATS = {
    "dd/mm/yyyy": re.compile(r"(?P<day>\d{1,2})/(?P<month>\d{1,2})/(?P<year>\d{4})(?P<time>[ T].*)?"),
    "mm/dd/yyyy": re.compile(r"(?P<month>\d{1,2})/(?P<day>\d{1,2})/(?P<year>\d{4})(?P<time>[ T].*)?"),
}
NAMED_MONTH = re.compile(r"(?P<day>\d{1,2})[-/ ](?P<month>[A-Za-z]{3})[a-z]*[-/ ](?P<year>\d{4})(?P<time>[ T].*)?")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
#: Words of columns that say something of a flux and are none.
NOT_A_FLUX = {"std", "sd", "stdev", "error", "err", "flag", "qc", "duration", "mid", "ratio"}
REPLICATE = re.compile(r"\brep\s?\d")


@dataclass(frozen=True)
class _Row:
    """Cells of one row, and its number as the reader of the file sees it: line of a text file, row of a sheet, from 1."""

    number: int
    cells: list


@dataclass(frozen=True)
class _Column:
    """Where a quantity stands: index of the column, its header, factor to mg m-2 d-1."""

    index: int
    title: str
    factor: float = 1.0


@dataclass
class _Findings:
    """What is wrong with the rows. Hard problems stop the reading unless they are dropped."""

    drop: bool
    lines: list[tuple[int, str]] = field(default_factory=list)
    hard: list[tuple[int, str]] = field(default_factory=list)

    def add(self, row: int, text: str, dropped: str = "", hard: bool = False) -> None:
        """One problem of a row; ``dropped`` says what became of it where problems are dropped."""
        line = f"row {row}: {text}" + (f"; {dropped}" if self.drop and dropped else "")
        self.lines.append((row, line))
        if hard:
            self.hard.append((row, line))

    def sorted_lines(self) -> list[str]:
        return [line for _, line in sorted(self.lines, key=lambda item: item[0])]


def read_flux(path: str | Path, *, depth: float | None = 3000.0, drop: bool = False) -> pd.DataFrame:
    """Fluxes of a sediment trap, one row per cup, in order of opening.

    Parameters
    ----------
    path : path
        CSV (separated by commas, semicolons or tabs) or Excel workbook (.xlsx; needs openpyxl). A description between /* and */
        in front, as PANGAEA has it, is passed over. The header is the first row that names an opening and a closing date; one
        or two header rows more, such as units, may follow. Units are read from the header: mg, g,
        ug, kg or (carbon and nitrogen) mmol, umol, mol, per m2, per day or year of 365.25 days; a header without one means
        mg m-2 d-1. Molar fluxes are multiplied by 12.011 (carbon) or 14.007 g/mol (nitrogen). Of replicates, the column of the
        mean is taken. Dates are ISO, dd-Mon-yyyy or dd/mm/yyyy (mm/dd/yyyy where the header says so).
    depth : float or None
        Trap depth, m, positive down: rows within 250 m of it are read (:func:`select_depth`). None reads all depths. Without
        effect where the file has no depth column.
    drop : bool
        Leave bad rows and values out instead of refusing or keeping them, see below.

    Returns
    -------
    DataFrame indexed by ``cup`` (1, 2, ...)
        ``open``, ``close`` (datetime64[ns]), ``dry_weight``, ``poc``, ``pic``, ``tpn`` (float64, mg m-2 d-1, NaN where missing),
        and ``depth`` (m) where all depths are read from a file that names them. ``attrs``: ``file``, ``units``, and ``problems``,
        one line each that names the row of the file.

        Hard problems are refused, or with ``drop`` left out: text where a number should stand (that value becomes NaN), a
        row with more cells than the header, a date that is missing or cannot be read, a cup that closes before it opens
        (those rows go). Soft problems are listed in ``attrs["problems"]`` and kept, or with ``drop`` left out: a negative
        flux (the value), PIC that as CaCO3 (x 8.33) outweighs the dry weight (the PIC), a cup given twice and a cup that
        overlaps an earlier one in time (the later row). Gaps longer than the median cup, cups longer than 62 days and columns of
        fluxes that are not used are listed in either case. Fill values (-99, -999, ...) become NaN.

    Raises
    ------
    InputError
        If the file cannot be read, has no dates or no flux, a unit is unknown, no row is at the depth, or a row has a hard
        problem and ``drop`` is False.
    """
    path = Path(path).expanduser()
    rows, header, columns, declared = _recognise(path)
    date_format = declared or "dd/mm/yyyy"
    findings = _Findings(drop)
    records = [_record(row, len(header), columns, date_format, findings) for row in rows if any(map(_text, row.cells))]
    frame = pd.DataFrame(
        [record for record in records if record is not None], columns=["row", "open", "close", *COLUMNS, "depth"]
    )
    frame = frame.astype({"open": "datetime64[ns]", "close": "datetime64[ns]"} | dict.fromkeys((*COLUMNS, "depth"), np.float64))
    frame["depth"] = frame["depth"].abs()
    if "depth" in columns and depth is not None:
        # problems of the other depths' rows are no matter here
        elsewhere = set(frame["row"][~select_depth(frame["depth"], depth, where=str(path))])
        frame = frame[~frame["row"].isin(elsewhere)].copy()
        findings.lines = [item for item in findings.lines if item[0] not in elsewhere]
        findings.hard = [item for item in findings.hard if item[0] not in elsewhere]
        frame["depth"] = np.nan  # one trap, whatever the exact depths
    if findings.hard and not drop:
        raise InputError(_refusal(path, findings.hard))
    frame = frame.sort_values(["depth", "open", "close", "row"], ignore_index=True)
    frame = _checked_values(frame[frame["open"].notna() & frame["close"].notna()].copy(), findings)
    frame = _checked_times(frame, findings, undeclared=declared is None)
    if frame.empty:
        raise InputError(f"{path}: no cup with an opening and a closing date; " + (findings.sorted_lines() or ["no rows"])[0])
    units_named = [f"column {c.title!r} names no unit: taken as {UNIT}" for c in columns.values() if c.factor is None]
    unused = _unused(header, columns)
    frame = frame.drop(columns=["row"] if depth is None and "depth" in columns else ["row", "depth"])
    frame.index = pd.RangeIndex(1, len(frame) + 1, name="cup")
    frame.attrs = {"file": str(path), "units": UNIT, "problems": units_named + unused + findings.sorted_lines()}
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
    text = pd.concat([dates, frame[names].astype(np.float64)], axis=1).to_csv(
        index=False, date_format="%Y-%m-%d" if whole_days else "%Y-%m-%dT%H:%M:%S", lineterminator="\n"
    )
    write_file(Path(path), text.encode())


def cup_length_days(frame: pd.DataFrame) -> pd.Series:
    """Days from opening to closing of each cup (float64)."""
    return (frame["close"] - frame["open"]) / pd.Timedelta(days=1)


def select_depth(
    depths: Iterable[float], wanted: float, *, tolerance: float = DEPTH_TOLERANCE, where: str = "the record"
) -> np.ndarray:
    """Which depths (m, positive down) are within ``tolerance`` of the wanted one: booleans of the same length.

    Raises
    ------
    InputError
        If none is; the line lists the depths that ``where`` holds.
    """
    depths = np.abs(np.asarray(list(depths), dtype=np.float64))
    near = np.abs(depths - wanted) <= tolerance
    if not near.any():
        found, counts = np.unique(depths[np.isfinite(depths)], return_counts=True)
        listed = ", ".join(f"{value:g} m ({count} rows)" for value, count in zip(found, counts)) or "no depth at all"
        raise InputError(f"{where}: no row within {tolerance:g} m of {wanted:g} m depth; it holds {listed}; choose one of these")
    return near


# -- the table -------------------------------------------------------------------------------------------------------
def _recognise(path: Path) -> tuple[list[_Row], list[str], dict[str, _Column], str | None]:
    """Data rows, titles of the columns, the columns in use by quantity, and the order of day and month if the header has it."""
    tables = _tables(path)
    for rows in tables:
        for index, row in enumerate(rows[:HEADER_ROWS]):
            titles = [_text(cell) for cell in row.cells]
            kinds = [_quantity(title) for title in titles]
            if "open" in kinds and "close" in kinds:
                rows = rows[index + 1 :]
                for _ in range(MORE_HEADERS):
                    if rows and _is_header(rows[0], kinds):
                        more = [_text(cell) for cell in rows[0].cells]
                        titles = [" ".join(filter(None, pair)) for pair in _zip_longest(titles, more)]
                        rows = rows[1:]
                columns = _columns(path, titles)
                dates = f"{columns['open'].title} {columns['close'].title}".lower().replace(" ", "")
                return rows, titles, columns, next((order for order in DATE_FORMATS if order[:5] in dates), None)
    first = next((row for rows in tables for row in rows if any(map(_text, row.cells))), None)
    held = ", ".join(filter(None, map(_text, first.cells[:12]))) if first else "nothing"
    raise InputError(
        f"{path}: no columns of opening and closing dates (open, close, or BODC's names); the first row holds {held}"
    )


def _tables(path: Path) -> list[list[_Row]]:
    """The rows of a text file, or of each sheet of a workbook."""
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give the file of the flux record")
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    if content[:4] in (b"PK\x03\x04", b"\xd0\xcf\x11\xe0"):
        return _sheets(path)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    if "\0" in text:
        raise InputError(f"{path}: not a text file; give the flux record as CSV or .xlsx")
    passed = 0
    if text.lstrip().startswith("/*"):
        described, end, text = text.partition("*/")
        if not end:
            raise InputError(f"{path}: its description begins with /* and does not end with */; copy the file again")
        passed = described.count("\n")
    # the separator is the one that the lines hold most of
    separator = max(",;\t", key=lambda sign: sorted(line.count(sign) for line in text.splitlines()[:HEADER_ROWS] or [""])[-1])
    reader, rows, number = csv.reader(io.StringIO(text, newline=""), delimiter=separator), [], passed + 1
    try:
        for cells in reader:
            # a semicolon goes with a decimal comma
            rows.append(_Row(number, [_point(cell) for cell in cells] if separator == ";" else cells))
            number = passed + reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"{path}, row {number}: not a line of a CSV file ({error})") from None
    return [rows]


def _sheets(path: Path) -> list[list[_Row]]:
    try:
        sheets = pd.read_excel(path, sheet_name=None, header=None, dtype=object)
    except ImportError as error:
        reader = "xlrd" if "xlrd" in str(error) else "openpyxl"
        install = "'catchment-toolkit[workbook]'" if reader == "openpyxl" else reader
        raise InputError(
            f"{path}: reading a workbook needs {reader}: pip install {install}, or export the sheet as CSV"
        ) from None
    except Exception as error:  # zip, XML and workbook errors of several libraries
        raise InputError(
            f"{path}: cannot be read as a workbook ({' '.join(str(error).split())}); export the sheet as CSV"
        ) from error
    return [[_Row(number, list(cells)) for number, cells in enumerate(s.itertuples(index=False), 1)] for s in sheets.values()]


def _text(cell) -> str:
    """A cell as text; empty for what a sheet holds as missing."""
    return "" if cell is None or (not isinstance(cell, str) and pd.isna(cell)) else str(cell).strip()


def _point(cell: str) -> str:
    return re.sub(r"^(\s*[-+]?\d+),(\d+\s*)$", r"\1.\2", cell)


def _zip_longest(first: list[str], second: list[str]):
    length = max(len(first), len(second))
    return zip(*([*side, *[""] * (length - len(side))] for side in (first, second)))


def _is_header(row: _Row, kinds: list[str | None]) -> bool:
    """Whether a row below the header goes on with it: it has text, and neither dates nor numbers where they should stand."""
    cells = [_text(cell) for cell, kind in zip(row.cells, kinds) if kind]
    return any(cells) and not any(re.search(r"\d{4}|^[-+.]?\d", cell) for cell in cells)


# -- the columns -----------------------------------------------------------------------------------------------------
def _plain(title: str) -> str:
    """A header in lower case, with ASCII signs, and with words parted by spaces."""
    return title.lower().translate(str.maketrans("²⁻¹−µμ·_", "2-1-uu. "))


def _quantity(title: str) -> str | None:
    """What a column holds, by its header; None for what the toolkit has no use for."""
    text = _plain(title)
    words = set(re.findall(r"[a-z0-9]+", text))
    if words & (NOT_A_FLUX | {"caco3"}) or REPLICATE.search(text):
        return None
    names = {
        "open": text.startswith(("open", "start")) or bool(words & {"open", "opened", "opening", "start"}),
        "close": text.startswith(("close", "end")) or bool(words & {"close", "closed", "closing", "end"}),
        "depth": text.startswith("depth") or "trap depth" in text,
        "poc": "poc" in words or "particulate organic carbon" in text,
        "pic": "pic" in words or "particulate inorganic carbon" in text,
        "tpn": bool(words & {"tpn", "pon"}) or bool(re.search("particulate (organic )?nitrogen", text)),
        "dry_weight": bool(re.search(r"dry (weight|mass)|(total|tot) mass|mass flux|^(flux tot|tmf)\b", text)),
    }
    return next((name for name, found in names.items() if found), None)


def _columns(path: Path, titles: list[str]) -> dict[str, _Column]:
    candidates: dict[str, list[int]] = {}
    for index, title in enumerate(titles):
        if kind := _quantity(title):
            candidates.setdefault(kind, []).append(index)
    columns = {}
    for kind, indices in candidates.items():
        # of replicates the mean, and of a share and a flux the flux
        for wanted in (r"\b(avg|mean|average)\b", UNIT_PATTERN):
            indices = [index for index in indices if re.search(wanted, _plain(titles[index]))] or indices
        if len(indices) > 1:
            listed = ", ".join(repr(titles[index]) for index in indices)
            raise InputError(f"{path}: several columns of {kind}: {listed}; keep one of them")
        title = titles[indices[0]]
        columns[kind] = _Column(indices[0], title, _factor(path, title, kind) if kind in COLUMNS else 1.0)
    if not set(FLUXES) & set(columns):
        raise InputError(
            f"{path}: no column of {', '.join(FLUXES)} (or BODC's names); it holds {', '.join(filter(None, titles))}"
        )
    return columns


def _unused(titles: list[str], columns: dict[str, _Column]) -> list[str]:
    """A line on columns with the unit of a flux that are not read, replicates and deviations apart; none where there are none."""
    used = {column.index for column in columns.values()}
    left = []
    for index, title in enumerate(titles):
        text = _plain(title)
        apart = set(re.findall(r"[a-z0-9]+", text)) & NOT_A_FLUX or REPLICATE.search(text)
        if index not in used and UNIT_PATTERN.search(text) and not apart:
            left.append(repr(title))
    return [f"not used: {', '.join(left)}"] if left else []


def _factor(path: Path, title: str, kind: str) -> float | None:
    """Factor from the unit that a header names to mg m-2 d-1; None where it names none."""
    text = _plain(title)
    understood = f"understood are {UNIT}, g m-2 yr-1 and, for carbon and nitrogen, mmol m-2 d-1"
    if not (found := UNIT_PATTERN.search(text)):
        if text.split() == kind.split("_"):
            return 1.0
        if re.search(r"[(\[/%]|-\d|(?<![a-z0-9])(kg|g|mg|ug|mmol|umol|mol)(?![a-z])", text):
            raise InputError(f"{path}, column {title!r}: its unit is not known; {understood}")
        return None
    mass, days = found["mass"], DAYS[found["time"]]
    if mass in MASSES:
        return MASSES[mass] / days
    if kind not in MOLAR_MASS:
        raise InputError(f"{path}, column {title!r}: {kind} cannot be in {mass}; {understood}")
    return MOLES[mass] * MOLAR_MASS[kind] / days


# -- the rows --------------------------------------------------------------------------------------------------------
def _record(row: _Row, width: int, columns: dict[str, _Column], date_format: str, findings: _Findings) -> list | None:
    """[row, open, close, fluxes..., depth]; a hard problem leaves NaT or NaN in its place, or None for the row."""
    if any(map(_text, row.cells[width:])):
        found = f"{len(row.cells)} cells where the header has {width}"
        findings.add(row.number, f"{found} (a decimal comma?)", "the row is left out", hard=True)
        return None
    cells = {kind: row.cells[c.index] if c.index < len(row.cells) else "" for kind, c in columns.items()}
    dates = [_date(cells[name], date_format) for name in ("open", "close")]
    if None in dates:
        for name, value in zip(("open", "close"), dates):
            if value is None:
                what = (
                    f"{name} {_text(cells[name])!r} is not a date (YYYY-MM-DD or {date_format})"
                    if _text(cells[name])
                    else f"no {name} date"
                )
                findings.add(row.number, what, "the row is left out", hard=True)
        dates = [None, None]
    elif dates[1] <= dates[0]:
        findings.add(
            row.number, f"close {dates[1]:%Y-%m-%d} is not after open {dates[0]:%Y-%m-%d}", "the row is left out", hard=True
        )
        dates = [None, None]
    values = []
    for kind in (*COLUMNS, "depth"):
        value = _number(cells.get(kind, ""))
        if value is None:
            findings.add(row.number, f"{kind} {_text(cells[kind])!r} is not a number", "set to missing", hard=True)
            value = np.nan
        elif kind in COLUMNS and FILL.fullmatch(_text(cells.get(kind, ""))):
            findings.lines.append((row.number, f"row {row.number}: {kind} {value:g} is taken for a fill value; set to missing"))
            value = np.nan
        factor = columns[kind].factor if kind in columns else 1.0
        values.append(value * (1.0 if factor is None else factor))
    return [row.number, *dates, *values]


def _date(cell, date_format: str) -> datetime | None:
    """An instant (UTC, without zone), or None for what is none."""
    if isinstance(cell, date) and not pd.isna(cell):
        value = pd.Timestamp(cell).to_pydatetime()
    else:
        text = _text(cell)
        if (found := NAMED_MONTH.fullmatch(text)) and found["month"].lower() in MONTHS:
            month = MONTHS.index(found["month"].lower()) + 1
            text = f"{found['year']}-{month:02d}-{int(found['day']):02d}{(found['time'] or '').rstrip()}"
        elif found := DATE_FORMATS[date_format].fullmatch(text):
            text = f"{found['year']}-{int(found['month']):02d}-{int(found['day']):02d}{(found['time'] or '').rstrip()}"
        elif not re.match(r"\d{4}-\d\d-\d\d", text):
            return None
        try:
            value = datetime.fromisoformat(text)
        except ValueError:
            return None
    if value.tzinfo is not None:
        value = value.astimezone(UTC).replace(tzinfo=None)
    return value if 1900 <= value.year < 2100 else None


def _number(cell) -> float | None:
    """NaN where missing, None for text."""
    text = _text(cell)
    if text.lower() in MISSING:
        return np.nan
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) and "_" not in text else None


def _checked_values(frame: pd.DataFrame, findings: _Findings) -> pd.DataFrame:
    for name in COLUMNS:
        bad = frame[name] < 0
        for row, value in zip(frame["row"][bad], frame[name][bad]):
            findings.add(row, f"{name} {value:g} is negative", "set to missing")
        if findings.drop:
            frame.loc[bad, name] = np.nan
    bad = CACO3_PER_PIC * frame["pic"] > frame["dry_weight"]
    for row, pic, weight in zip(frame["row"][bad], frame["pic"][bad], frame["dry_weight"][bad]):
        text = f"pic {pic:.4g} as CaCO3 (x {CACO3_PER_PIC}) is {CACO3_PER_PIC * pic:.4g}, more than dry_weight {weight:.4g}"
        findings.add(row, text, "pic set to missing")
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
        findings.add(row, f"cup of {days:g} days{doubt}")
    left_out = []
    # moorings are never at their nominal depth: depths that differ by less than the tolerance are one trap
    trap = (frame["depth"].diff() > DEPTH_TOLERANCE).cumsum()
    for _, cups in frame.groupby(trap.to_numpy()):
        last = None
        for cup in cups.sort_values(["open", "close", "row"]).itertuples():
            if last is not None and cup.open < last.close:
                same = (cup.open, cup.close) == (last.open, last.close)
                days = (min(cup.close, last.close) - cup.open) / pd.Timedelta(days=1)
                text = f"the cup of row {last.row} again" if same else f"overlaps the cup of row {last.row} by {days:g} days"
                findings.add(cup.row, text, "the row is left out")
                if findings.drop:
                    left_out.append(cup.Index)
                    continue
            elif last is not None and (cup.open - last.close) / pd.Timedelta(days=1) > usual:
                days = (cup.open - last.close) / pd.Timedelta(days=1)
                findings.add(cup.row, f"gap: {days:g} days without a cup since row {last.row}")
            if last is None or cup.close > last.close:
                last = cup
    return frame.drop(index=left_out)


def _refusal(path: Path, hard: list[tuple[int, str]]) -> str:
    (_, first), *others = sorted(hard, key=lambda item: item[0])
    more = f" (and {len(others)} more such problem{'s' if len(others) > 1 else ''})" if others else ""
    return f"{path}, {first}{more}; mend the file, or give --drop-bad to leave such rows and values out"
