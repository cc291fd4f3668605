"""Recognises columns of a flux record by their headers: dates, durations, places, depths, and fluxes with their units."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from data.errors import InputError, OptionError
from data.trap_dates import date_like, time_like
from data.trap_table import HEADER_ROWS, Row, text

#: The fluxes of the paper's section 4, mg m-2 d-1.
FLUXES = ("dry_weight", "poc", "pic")
#: All flux columns of a frame; total particulate nitrogen is not in every record.
COLUMNS = (*FLUXES, "tpn")
UNIT = "mg m-2 d-1"
#: Molar masses, g mol-1: carbon, carbon, nitrogen.
MOLAR_MASS = {"poc": 12.011, "pic": 12.011, "tpn": 14.007}
MASSES = {"kg": 1e6, "g": 1e3, "mg": 1.0, "ug": 1e-3}
MOLES = {"mol": 1e3, "mmol": 1.0, "umol": 1e-3}
DAYS = {"d": 1.0, "day": 1.0, "days": 1.0} | dict.fromkeys(("yr", "year", "years", "y", "a"), 365.25)
UNIT_PATTERN = re.compile(
    r"(?<![a-z0-9])(?P<mass>kg|g|mg|ug|mmol|umol|mol)(?:\s*(?:c|n))?[\s./*]*m\s*(?:\^|\*\*)?\s*\(?-?2\)?"
    r"[\s./*]*(?P<time>days?|d|years?|yr|y|a)(?![a-z])"
)
#: Words of columns that say something of a flux and are none.
NOT_A_FLUX = {"std", "sd", "stdev", "error", "err", "flag", "qc", "duration", "mid", "ratio", "uncertainty", "dissolved"}
REPLICATE = re.compile(r"\brep\s?\d")
#: Largest number of rows below the header that continue the header.
MORE_HEADERS = 2

OPEN, CLOSE = {"open", "opened", "opening", "start", "begin", "beginning"}, {"close", "closed", "closing", "end", "stop"}
#: Words for opening and closing that headers use of moorings as well as of cups; columns with the words above are preferred.
DEPLOYED = {"deployed", "deploy", "deployment"}
RETRIEVED = {"retrieved", "retrieve", "retrieval", "recovered", "recover", "recovery"}
PARTS = {
    "year": {"year", "yr", "yyyy"}, "month": {"month", "mon", "mm"}, "day": {"day", "dd", "day of month"}, "hour": {"hour", "hh"},
    "yearday": {"day of year", "doy", "julian day", "yearday", "yrday", "jday", "year day"},
}  # fmt: skip
ABOVE_BOTTOM = re.compile(r"\babove\b|\bbottom\b|\bsea ?(floor|bed)\b|\bmab\b|sounding|bathymetr|elevation|^water depth|altitude")
CARBON_OF = {"poc": r"(org|organic)", "pic": r"(inorg|inorganic)"}
#: Keys that --flux-columns takes.
KEYS = ("open", "close", "open_time", "close_time", "mid", "duration", "depth", "latitude", "longitude", "site", *COLUMNS)


@dataclass(frozen=True)
class Column:
    """Where a quantity stands: index of the column, its header, factor to mg m-2 d-1 (None where no unit is named)."""

    index: int
    title: str
    factor: float | None = 1.0


@dataclass(frozen=True)
class Layout:
    """A table whose header is understood: data rows, titles, columns by quantity, and lines on how they are taken."""

    rows: list[Row]
    titles: list[str]
    columns: dict[str, Column]
    notes: list[str]


def plain(title: str) -> str:
    """A header in lower case, with ASCII signs, and with words parted by spaces."""
    return title.lower().translate(str.maketrans("²⁻¹−µμ·_", "2-1-uu. "))


def quantity(title: str) -> str | None:
    """The quantity of a column, by its header; None for a column that the toolkit does not use.

    A key of :data:`KEYS`, a part of a date (``open_year``), ``date`` for one that does not tell what it is of, or ``deployed``
    and ``retrieved``.
    """
    words_of = plain(title)
    words = set(re.findall(r"[a-z0-9]+", words_of))
    if when := _of_time(words_of, words):
        return when
    if words & (NOT_A_FLUX | {"caco3", "carbonate"}) or REPLICATE.search(words_of):
        return None
    carbon = {
        kind: bool(re.search(rf"\b(c|carbon)[ .-]?{of}\b|\b{of}[ .-]?(c|carbon)\b|particulate {of} carbon", words_of))
        for kind, of in CARBON_OF.items()
    }
    weight = r"\b(dw|dwt)\b|dry (weight|mass|wt)|(total|tot) mass|mass flux|flux mass|flux (total|tot)\b|^(tmf|tpf|mass)\b"
    weight += r"|bulk flux|(total|tot) (particle |particulate |sediment |dry )?flux"
    elements = {"carbon", "nitrogen", "silica", "silicate", "opal", "lithogenic", "phosphorus", "c", "n", "p", "si"}
    names = {
        "depth": (words_of.startswith("depth") or "trap depth" in words_of) and not ABOVE_BOTTOM.search(words_of),
        "latitude": bool(words & {"latitude", "lat"}),
        "longitude": bool(words & {"longitude", "lon", "long"}),
        "site": bool(re.fullmatch(r"(event|site|station|mooring|location|trap)( (name|id|label|code))?", words_of.strip())),
        "poc": bool(words & {"poc", "toc"}) or carbon["poc"],
        "pic": "pic" in words or carbon["pic"],
        "tpn": bool(words & {"tpn", "pon"}) or bool(re.search("(particulate|total) (organic |particulate )?nitrogen", words_of)),
        "dry_weight": bool(re.search(weight, words_of)) and not words & elements,
    }
    return next((name for name, holds in names.items() if holds), None)


def _of_time(words_of: str, words: set[str]) -> str | None:
    if UNIT_PATTERN.search(words_of) or words & {"flag", "qc", "comment", "depth"}:
        return None
    if words & {"duration", "durations"} or re.fullmatch(
        r"((collection|sampling|cup|trap|collecting) )?(period|interval|length|time)? ?[(\[]?(n ?)?(days|d|hours|h|hrs)[)\]]?",
        words_of.strip(),
    ):
        return "duration"
    if words & {"mid", "middle", "midpoint", "middate"}:
        return "mid"
    opens = bool(words & OPEN) or words_of.startswith(("open", "start", "begin"))
    closes = bool(words & CLOSE) or words_of.startswith(("close", "end", "stop"))
    side = "open" if opens else "close" if closes else ""
    parts = re.findall(r"[a-z0-9]+", words_of)
    named = " ".join(word for word in parts if word not in OPEN | CLOSE | {"date", "utc", "gmt", "trap", "cup", "local"})
    for part, spellings in PARTS.items():
        if named in spellings:
            return f"{side or 'open'}_{part}"
    if side:
        return side
    if words & RETRIEVED:
        return "retrieved"
    if words & DEPLOYED:
        return "deployed"
    return "date" if re.match(r"(sampling |collection )?(iso )?date ?/?(time)?\b|datetime", words_of) else None


def dated(kinds) -> bool:
    """Whether columns of these kinds tell when cups opened and closed."""
    kinds = set(kinds)
    began = kinds & {"open", "deployed", "date", "mid"} or {"open_year", "open_month", "open_day"} <= kinds
    began = began or {"open_year", "open_yearday"} <= kinds
    ended = kinds & {"close", "retrieved", "duration"} or {"close_year", "close_month", "close_day"} <= kinds
    ended = ended or {"close_year", "close_yearday"} <= kinds
    return bool(began and ended)


def chosen_columns(texts) -> dict[str, str]:
    """``--flux-columns`` (texts such as ``poc=C ORG``) as a mapping of quantity to header.

    Raises
    ------
    OptionError
        One is not of that form, names an unknown quantity, or names one twice.
    """
    chosen: dict[str, str] = {}
    for text_given in texts:
        key, sign, title = (part.strip() for part in text_given.partition("="))
        key = key.lower()
        if not sign or not title or key not in KEYS:
            raise OptionError(f"--flux-columns {text_given!r}: give QUANTITY=HEADER, with a quantity of {', '.join(KEYS)}")
        if key in chosen:
            raise OptionError(f"--flux-columns: {key} is given twice; give it once")
        chosen[key] = title
    return chosen


def recognise(path: Path, rows: list[Row], chosen: Mapping[str, str]) -> Layout | None:
    """The layout of a table, or None if no row is a header; ``chosen``: headers by quantity that win over guesses.

    Raises
    ------
    InputError
        A header is there, and its columns cannot be used.
    """
    headers = {_same(title) for title in chosen.values()}
    for index, row in enumerate(rows):
        if index >= HEADER_ROWS:
            break
        titles = [" ".join(text(cell).split()) for cell in row.cells]  # headers of sheets hold line breaks
        kinds = [quantity(title) for title in titles]
        present = {_same(title) for title in titles}
        if headers and not headers <= present:
            continue
        named = {kind for kind in kinds if kind} | set(chosen)
        if sum(map(bool, titles)) < 2 or not dated(named):
            continue
        of_rows = rows[index + 1 :]
        kinds = [next((key for key, title in chosen.items() if _same(title) == _same(header)), kind)
                 for header, kind in zip(titles, kinds, strict=True)]  # fmt: skip
        indices = {key: [i for i, header in enumerate(titles) if _same(header) == _same(title)] for key, title in chosen.items()}
        for _ in range(MORE_HEADERS):
            if of_rows and _goes_on(of_rows[0], kinds):
                more = [" ".join(text(cell).split()) for cell in of_rows[0].cells]
                length = max(len(titles), len(more))
                padded = ([*side, *[""] * (length - len(side))] for side in (titles, more))
                titles = [" ".join(filter(None, pair)) for pair in zip(*padded, strict=True)]
                of_rows = of_rows[1:]
        columns, notes = _columns(path, titles, of_rows, indices)
        return Layout(of_rows, titles, columns, notes)
    return None


def _same(title: str) -> str:
    return " ".join(title.lower().split())


def _goes_on(row: Row, kinds: list[str | None]) -> bool:
    """Whether a row below the header goes on with it: it has text, and neither dates nor numbers where they should stand."""
    pairs = [(cell, kind) for cell, kind in zip(row.cells, kinds) if kind and text(cell)]
    if not pairs:
        return False
    whens = {"open", "close", "deployed", "retrieved", "date", "mid"}
    return not any(
        date_like(cell) or time_like(cell) if kind in whens else re.match(r"[-+.]?\d", text(cell)) for cell, kind in pairs
    )


def _columns(path: Path, titles: list[str], rows: list[Row], indices: Mapping[str, list[int]]):
    """Columns by quantity, and lines on how they are taken."""
    candidates: dict[str, list[int]] = {key: list(places) for key, places in indices.items()}
    used = {index for found in candidates.values() for index in found}
    notes = []
    for index, title in enumerate(titles):
        kind = quantity(title)
        if kind and kind not in indices and index not in used:
            candidates.setdefault(kind, []).append(index)
        if kind is None and ABOVE_BOTTOM.search(plain(title)) and re.search(r"depth|height|metre|meter|\bm\b", plain(title)):
            notes.append(f"column {title!r} is not taken for the trap's depth")
    _tell_dates_apart(titles, rows, candidates, notes)
    columns = {}
    for kind, indices_of in candidates.items():
        # of replicates the mean, and of a share and a flux the flux
        for pattern in (r"\b(avg|mean|average)\b", UNIT_PATTERN):
            indices_of = [index for index in indices_of if re.search(pattern, plain(titles[index]))] or indices_of
        if len(indices_of) > 1 and kind == "site":
            indices_of = indices_of[:1]
        if len(indices_of) > 1:
            listed = ", ".join(repr(titles[index]) for index in indices_of)
            key = kind if kind in KEYS else "open"
            raise InputError(
                f"{path}: several columns of {kind}: {listed}; keep one of them, or name it (--flux-columns {key}=HEADER)"
            )
        title = titles[indices_of[0]]
        columns[kind] = Column(indices_of[0], title, _factor(path, title, kind) if kind in COLUMNS else 1.0)
    if not set(FLUXES) & set(columns):
        raise InputError(
            f"{path}: no column of {', '.join(FLUXES)} (or BODC's names); it holds {', '.join(filter(None, titles))}; name them, "
            "such as --flux-columns poc=HEADER"
        )
    return columns, notes


def _tell_dates_apart(titles, rows: list[Row], candidates: dict[str, list[int]], notes: list[str]) -> None:
    """Sort candidate columns: times of day from dates, events of moorings from those of cups, and dates without an event."""
    sample = [row.cells for row in rows[:50]]
    for kind in ("open", "close"):
        places = candidates.get(kind, [])
        times = [index for index in places if _of_day(titles[index], [cells[index] for cells in sample if index < len(cells)])]
        if times and len(times) < len(places):
            candidates[kind] = [index for index in places if index not in times]
            candidates.setdefault(f"{kind}_time", times)
    for kind, event in (("open", "deployed"), ("close", "retrieved")):
        if event in candidates:
            candidates.setdefault(kind, candidates[event])
            del candidates[event]
    if "date" in candidates:
        split = any(key.startswith("open_") and key != "open_time" for key in candidates)
        if "open" not in candidates and "mid" not in candidates and not split:
            candidates["open"] = candidates["date"]
            if "close" not in candidates:
                notes.append(
                    f"column {titles[candidates['date'][0]]!r} is taken for the opening; where it is the middle of the cup, say "
                    "--flux-columns mid=HEADER"
                )
        del candidates["date"]
    if "open_year" in candidates and not {"open", "close", "close_year"} & set(candidates) and "duration" in candidates:
        notes.append("year, month and day are taken for the opening; the cup closes its duration later")


def _of_day(title: str, cells: list) -> bool:
    """Whether a column of openings or closings holds times of day: most cells are; where all are empty, the title says so."""
    cells = [cell for cell in cells if text(cell)]
    if cells:
        return 2 * sum(map(time_like, cells)) > len(cells)
    return "time" in plain(title) and "date" not in plain(title)


def unused(titles: list[str], columns: dict[str, Column]) -> list[str]:
    """A line on columns of fluxes, by their unit or name, that are not read, replicates and deviations apart; none where there
    are none."""
    used = {column.index for column in columns.values()}
    left = []
    for index, title in enumerate(titles):
        words = plain(title)
        named = set(re.findall(r"[a-z0-9]+", words))
        apart = named & NOT_A_FLUX or REPLICATE.search(words)
        if index not in used and (UNIT_PATTERN.search(words) or named & {"flux", "fluxes"}) and not apart:
            left.append(repr(title))
    return [f"not used: {', '.join(left)}"] if left else []


def _factor(path: Path, title: str, kind: str) -> float | None:
    """Factor from the unit that a header names to mg m-2 d-1; None where it names none."""
    words = re.sub(r"[(\[](avg|mean|average|dry|total)[)\]]", "", plain(title))
    understood = f"understood are {UNIT}, g m-2 yr-1 and, for carbon and nitrogen, mmol m-2 d-1"
    if not (unit := UNIT_PATTERN.search(words)):
        if words.split() == kind.split("_"):
            return 1.0
        if re.search(r"[(\[/%]|-\d|(?<![a-z0-9])(kg|g|mg|ug|mmol|umol|mol)(?![a-z])", words):
            raise InputError(f"{path}, column {title!r}: its unit is not known; {understood}")
        return None
    mass, days = unit["mass"], DAYS[unit["time"]]
    if mass in MASSES:
        return MASSES[mass] / days
    if kind not in MOLAR_MASS:
        raise InputError(f"{path}, column {title!r}: {kind} cannot be in {mass}; {understood}")
    return MOLES[mass] * MOLAR_MASS[kind] / days
