"""A command's options as a commented TOML file that ``--config`` reads back."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from typing import Any

from data.command import json_ready, parse
from data.commands import word_of
from data.help_page import said_of
from data.option_rows import option_rows

#: Columns of the comments.
WIDTH = 100


def config_text(kind: type, argv: Sequence[str] = ()) -> str:
    """The TOML table of a command: options in ``argv`` with their values, the others commented out with their defaults.

    Raises
    ------
    OptionError
        ``argv`` is not of this command.
    """
    word = word_of(kind)
    rows = option_rows(kind)
    # a required argument is written as its first choice, commented out
    needed = next((row for row in rows if row.positional and row.default is None), None)
    stands_in = needed is not None and not set(argv) & set(needed.choices)
    config: Any = parse(kind, [needed.choices[0], *argv] if needed is not None and stands_in else argv, prog=f"catchment {word}")
    lines = [f"# Options of catchment {word}; {word}.toml: catchment {word} --config {word}.toml",
             "# Tables of several commands may stand in one file. A line without # before it counts.", f"[{word}]"]  # fmt: skip
    group = None
    for row in rows:
        if row.group != group:
            group = row.group
            lines += ["", f"# -- {group} --"]
        choices = f" [{' | '.join(row.choices)}]" if row.choices else ""
        lines += ["", *(f"# {line}" for line in textwrap.wrap(said_of(row) + choices, WIDTH))]
        value = getattr(config, row.name)
        is_given = value is not row.default and (value != row.default or type(value) is not type(row.default))
        is_given = is_given and not (stands_in and row is needed)
        text = toml_value(value)
        if text is None:
            lines.append(f"# {row.name} = ...")
        else:
            lines.append(f"{'' if is_given else '# '}{row.name} = {text}")
    return "\n".join(lines) + "\n"


def toml_value(value: Any) -> str | None:
    """A value as TOML writes it; None for None, which TOML lacks."""
    value = json_ready(value)
    if value is None:
        return None
    if isinstance(value, list):
        return "[" + ", ".join(str(toml_value(item)) for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        # JSON's escapes are TOML's, but for the delete character and halves of surrogate pairs
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(float(value)) if isinstance(value, float) else repr(value)
