"""``--help``: a command's options in groups, with examples, each default told once."""

from __future__ import annotations

import inspect
import shutil
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from data.option_rows import OptionRow, option_rows

#: Width of the widest page, and the column in which an option's description begins.
WIDEST, COLUMN = 100, 28
#: Options that every command has, and their descriptions.
COMMON = (
    ("--config FILE.toml", "Take options from a TOML file, of this command alone or with a table for each ([run], [fit], ...), "
                      "or the run.json or fit.json of earlier results. What is given beside it counts more."),
    ("--quiet", "Print errors alone."),
    ("--log-file FILE", "Also write all that is said to the end of FILE, with the time of each line."),
    ("--debug", "Show tracebacks."),
    ("-h, --help", "Show this help and exit."),
)  # fmt: skip
#: Flags of :data:`COMMON`, and whether a value follows.
COMMON_FLAGS = {"--config": True, "--quiet": False, "--log-file": True, "--debug": False, "--help": False}


def help_page(kind: type, prog: str, width: int | None = None) -> str:
    """The text of ``PROG --help``; ``kind`` is the dataclass of options, with ``EXAMPLES`` where it has some."""
    width = width or min(WIDEST, shutil.get_terminal_size((WIDEST, 24)).columns)
    rows = option_rows(kind)
    positional = [row for row in rows if row.positional]
    usage = " ".join(["usage:", prog, "[-h]", *(row.value for row in positional), "[OPTIONS]"])
    about = inspect.cleandoc(kind.__doc__ or "")
    lines = [usage]
    for part in about.split("\n\n"):
        lines += ["", textwrap.fill(" ".join(part.split()), width)]
    examples: Iterable[str] = getattr(kind, "EXAMPLES", ())
    if examples:
        lines += ["", "Examples:", *(f"  {example}" for example in examples)]
    title = None
    for row in sorted(rows, key=lambda row: not row.positional):
        heading = "What" if row.positional else row.group
        if heading != title:
            title = heading
            lines += ["", f"{title}:"]
        words = f"{row.flag} {row.value}".strip() if not row.positional else row.value
        lines += entry(words, said_of(row), width)
    lines += ["", "Every command:"]
    for words, text in COMMON:
        lines += entry(words, text, width)
    return "\n".join(lines) + "\n"


def entry(words: str, text: str, width: int) -> list[str]:
    """The lines of one option or command with its description."""
    body = textwrap.wrap(text, max(20, width - COLUMN)) or [""]
    head = f"  {words}"
    lines = [f"{head:<{COLUMN}}{body[0]}"] if len(head) < COLUMN else [head, " " * COLUMN + body[0]]
    return [*lines, *(" " * COLUMN + line for line in body[1:])]


def said_of(row: OptionRow) -> str:
    """An option's description, its default if the description names none, and its bounds."""
    notes = []
    default = in_words(row.default)
    if default and "default" not in row.about:
        notes.append(f"default: {default}")
    if row.bounds:
        notes.append(row.bounds)
    return row.about + (f" ({'; '.join(notes)})" if notes else "")


def in_words(default: Any) -> str:
    """A default as it would be given; empty for none, for no values, and for a switch that is off."""
    if default is None or default is False or default == ():
        return ""
    if default is True:
        return "on"
    if isinstance(default, (tuple, list)):
        return " ".join(map(in_words, default))
    if isinstance(default, float):
        return f"{default:g}"
    return default.as_posix() if isinstance(default, Path) else str(default)
