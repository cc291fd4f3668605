"""Options of a command as rows: what help, completion and a printed configuration tell of each, taken from its dataclass."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import textwrap
import types
import typing
from collections.abc import Collection
from pathlib import Path
from typing import Any

import tyro

from data.bounds import Bounds

#: Title of options that a dataclass puts into no group.
OTHER = "Options"


@dataclasses.dataclass(frozen=True)
class OptionRow:
    """One option of a command, for its help, completion and TOML table.

    Attributes
    ----------
    name : str
        Of the dataclass's field.
    flag : str
        As it is given: ``--trap-depth``; a positional argument's own name.
    kind : type
        Of one value: str, int, float, bool or Path.
    many : bool
        Whether it takes several values.
    choices : tuple of str
        All values that it can have; empty where there are others.
    default : object
        None where the default has no words of its own.
    about : str
        Its docstring, on one line.
    bounds : str
        In words.
    group : str
        Title of its group.
    positional : bool
    """

    name: str
    flag: str
    kind: type
    many: bool
    choices: tuple[str, ...]
    default: Any
    about: str
    bounds: str
    group: str
    positional: bool

    @property
    def flags(self) -> tuple[str, ...]:
        """All flags of the option on a command line; a switch has a second flag that takes it back."""
        if self.positional:
            return ()
        return (self.flag, f"--no-{self.flag[2:]}") if self.kind is bool else (self.flag,)

    @property
    def value(self) -> str:
        """The placeholder after the flag in ``--help``; empty for a switch."""
        if self.kind is bool:
            return ""
        if self.choices:
            word = "{" + ",".join(self.choices) + "}"
        else:
            word = {int: "N", float: "X", Path: "PATH"}.get(self.kind, "TEXT")
        return f"{word} ..." if self.many else word


def option_rows(kind: type) -> list[OptionRow]:
    """Options of a dataclass, in the order of its ``GROUPS`` (title -> names of fields), those in none of them last."""
    hints = typing.get_type_hints(kind, include_extras=True)
    about = _docstrings(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    groups: dict[str, tuple[str, ...]] = getattr(kind, "GROUPS", {})
    grouped = [(title, name) for title, names in groups.items() for name in names]
    grouped += [(OTHER, name) for name in fields if name not in {shown_name for _, shown_name in grouped}]
    return [_row(fields[name], hints[name], about.get(name, ""), title) for title, name in grouped]


def arguments_of(config: Any, *, without: Collection[str] = ()) -> list[str]:
    """The arguments that give a command these options; defaults and the fields ``without`` are left out."""
    words = []
    for row in option_rows(type(config)):
        value = getattr(config, row.name)
        if row.name in without or value is None or (value == row.default and type(value) is type(row.default)):
            continue
        if row.kind is bool:
            words.append(row.flags[0] if value else row.flags[1])
        elif row.positional:
            words.insert(0, str(value))
        else:
            many = [_word(item) for item in value] if isinstance(value, (tuple, list)) else [_word(value)]
            # a value that begins with a dash must not look like an option
            words += [f"{row.flag}={many[0]}"] if len(many) == 1 and many[0].startswith("-") else [row.flag, *many]
    return words


def _word(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(float(value))
    return str(value)


def command_words(kind: type) -> dict[str, str]:
    """Field by flag without its dashes, for those whose flag is called otherwise than the field."""
    return {row.flag[2:].replace("-", "_"): row.name for row in option_rows(kind) if not row.positional}


def _row(field: dataclasses.Field, hint: Any, about: str, group: str) -> OptionRow:
    marks = getattr(hint, "__metadata__", ())
    named = next((mark.name for mark in marks if getattr(mark, "name", None) and not isinstance(mark, Bounds)), None)
    limits = next((str(mark) for mark in marks if isinstance(mark, Bounds)), "")
    positional = tyro.conf.Positional in marks
    kind, many, choices = _values(hint)
    default: Any = field.default
    if field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    if default is dataclasses.MISSING or default is tyro.MISSING:
        default = None
    word = (named or field.name).replace("_", "-")
    return OptionRow(
        name=field.name, flag=word if positional else f"--{word}", kind=kind, many=many, choices=choices, default=default,
        about=about, bounds=limits, group=group, positional=positional,
    )  # fmt: skip


def _values(hint: Any) -> tuple[type, bool, tuple[str, ...]]:
    """Type of one value, whether there may be several, and all that it can be."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return _values(arguments[0])
    if origin is typing.Literal:
        return type(arguments[0]), False, tuple(map(str, arguments))
    if origin is tuple:
        kind, _, choices = _values(arguments[0])
        return kind, True, choices
    if origin in (typing.Union, types.UnionType):
        readings = [_values(argument) for argument in arguments if argument is not type(None)]
        kind, many, choices = readings[0]
        return kind, many, choices if len(readings) == 1 else ()
    return hint if isinstance(hint, type) else str, False, ()


def _docstrings(kind: type) -> dict[str, str]:
    """The string below each field of a dataclass and of its base classes, on one line, by field."""
    strings: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if not dataclasses.is_dataclass(base):
            continue
        try:
            body = typing.cast(ast.ClassDef, ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]).body
        except (OSError, TypeError, SyntaxError):  # a class without a source, such as one made in an interpreter
            continue
        for field, below in itertools.pairwise(body):
            if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr)):
                continue
            if isinstance(below.value, ast.Constant) and isinstance(below.value.value, str):
                strings[field.target.id] = " ".join(below.value.value.split())
    return strings
