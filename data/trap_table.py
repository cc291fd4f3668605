"""The rows of a flux record as its file holds them: text files of several kinds, and the sheets of a workbook."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from data.errors import InputError, OptionError

#: The header is one of this many first rows.
HEADER_ROWS = 60


@dataclass(frozen=True)
class Row:
    """Cells of one row, and its number as the reader of the file sees it: line of a text file, row of a sheet, from 1."""

    number: int
    cells: list


@dataclass(frozen=True)
class Table:
    """The rows of a text file (``name`` empty) or of one sheet of a workbook."""

    name: str
    rows: list[Row]

    @property
    def filled(self) -> bool:
        """Whether any cell holds something."""
        return any(text(cell) for row in self.rows for cell in row.cells)


def text(cell) -> str:
    """A cell as text; empty for what a sheet holds as missing."""
    return "" if cell is None or (not isinstance(cell, str) and pd.isna(cell)) else str(cell).strip()


def tables(path: Path, sheet: str | None = None) -> list[Table]:
    """The rows of a text file, or of each sheet of a workbook, or of the one ``sheet``.

    A text file, of name "", comes once for each separator that it may have, the likeliest first.

    Raises
    ------
    InputError, OptionError
        The file cannot be read; it has no such sheet, or is no workbook.
    """
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give the file of the flux record")
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    if content[:4] in (b"PK\x03\x04", b"\xd0\xcf\x11\xe0"):
        sheets = _sheets(path)
        if sheet is None:
            return sheets
        matching = [candidate for candidate in sheets if candidate.name.strip().lower() == sheet.strip().lower()]
        if not matching:
            raise OptionError(f"--sheet {sheet!r}: {path} has the sheets {', '.join(repr(item.name) for item in sheets)}")
        return matching
    if sheet is not None:
        raise OptionError(f"--sheet {sheet!r}: {path} is a text file and has no sheets; leave --sheet out")
    return _readings(path, content)


def _readings(path: Path, content: bytes) -> list[Table]:
    """A text file as a table, once for each separator that it may have, the likeliest first."""
    try:
        whole = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        whole = content.decode("latin-1")
    if "\0" in whole:
        raise InputError(f"{path}: not a text file; give the flux record as CSV or .xlsx")
    passed = 0
    if whole.lstrip().startswith("/*"):
        described, end, whole = whole.partition("*/")
        if not end:
            raise InputError(f"{path}: its description begins with /* and does not end with */; copy the file again")
        passed = described.count("\n")
    # lines of comment in front, as JGOFS and BCO-DMO have them
    while (line := whole.partition("\n")[0]).startswith(("#", "//")) and "\n" in whole:
        passed, whole = passed + 1, whole[len(line) + 1 :]
    first = whole.splitlines()[:HEADER_ROWS] or [""]
    # the most frequent separator counts, unless only another separator makes a header of flux records
    counts = {sign: sorted(line.count(sign) for line in first)[-1] for sign in ",;\t"}
    separators = sorted((sign for sign in counts if counts[sign]), key=lambda sign: counts[sign], reverse=True)
    blanks = [Row(passed + number, line.split()) for number, line in enumerate(whole.splitlines(), 1)]
    return [*(Table("", _lines(path, whole, passed, sign)) for sign in separators), Table("", blanks)]


def _lines(path: Path, whole: str, passed: int, separator: str) -> list[Row]:
    reader, rows, number = csv.reader(io.StringIO(whole, newline=""), delimiter=separator), [], passed + 1
    try:
        for cells in reader:
            # a semicolon or a tab goes with a decimal comma
            rows.append(Row(number, cells if separator == "," else [_point(cell) for cell in cells]))
            number = passed + reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"{path}, row {number}: not a line of a CSV file ({error})") from None
    return rows


def _sheets(path: Path) -> list[Table]:
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
    return [
        Table(str(name), [Row(number, list(cells)) for number, cells in enumerate(sheet.itertuples(index=False), 1)])
        for name, sheet in sheets.items()
    ]


def _point(cell: str) -> str:
    return re.sub(r"^(\s*[-+]?\d+),(\d+\s*)$", r"\1.\2", cell)
