"""Bounds of options, written once beside each: they are checked wherever the option comes from, and shown in ``--help``."""

from __future__ import annotations

import dataclasses
import math
import numbers
import typing
from collections.abc import Mapping
from typing import Any, Literal

import tyro

from data.errors import OptionError, need

#: Seeds of every command: what a signed integer of 64 bits holds.
MAX_SEED = 2**63 - 1


@dataclasses.dataclass(frozen=True)
class Bounds:
    """The values that an option may have; for a list, each of its items.

    Attributes
    ----------
    least, most : number, optional
        The option may be equal to these.
    above, below : number, optional
        It may not be equal to these.
    unit : str
        Unit and, where it says more, sense (``m, positive down``).
    """

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None
    unit: str = ""

    def __str__(self) -> str:
        words = [
            f"{text} {_number(value)}"
            for text, value in (("at least", self.least), ("greater than", self.above), ("at most", self.most),
                                ("less than", self.below))
            if value is not None
        ]  # fmt: skip
        return (" and ".join(words) + (f" {self.unit}" if self.unit else "")).strip()

    def holds(self, value: float) -> bool:
        """Whether a finite value lies within."""
        return (
            (self.least is None or value >= self.least)
            and (self.most is None or value <= self.most)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )


def bounds(**limits: Any) -> tuple[Bounds, Any]:
    """:class:`Bounds` and what shows them in ``--help``: ``dt: Annotated[float, *bounds(above=0, unit="minutes")] = 5.0``."""
    limits_of_option = Bounds(**limits)
    return limits_of_option, tyro.conf.arg(help_behavior_hint=lambda default: f"(default: {default}; {limits_of_option})")


def check_bounds(config: Any, options: Mapping[str, str] | None = None) -> None:
    """Check every number among the options of a dataclass: finite, within 64 bits, within its :class:`Bounds`.

    ``options`` names the command's option for the fields that are called otherwise.

    Raises
    ------
    OptionError
        Names the option, its value, its bounds and their unit; also where something else stands in the place of a number.
    """
    hints = typing.get_type_hints(type(config), include_extras=True)
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        notes = getattr(hints[field.name], "__metadata__", ())
        limits = next((note for note in notes if isinstance(note, Bounds)), None)
        option = f"--{(options or {}).get(field.name, field.name).replace('_', '-')}"
        several = isinstance(value, (tuple, list))
        if limits is not None and not several and typing.get_origin(typing.get_args(hints[field.name])[0]) is tuple:
            raise OptionError(f"{option} {value!r}: must be several numbers, a tuple, {limits}")
        for item in value if several else [value]:
            if is_number(item):
                _check(f"{option} {_number(item)}", item, limits or Bounds())
            elif limits is not None and item is not None and not _takes_words(hints[field.name]):
                raise OptionError(f"{option} {item!r}: must be a number, {limits}")


def is_number(value) -> bool:
    """Whether a value is a number of Python or numpy: no truth value, text or time."""
    kind = getattr(getattr(value, "dtype", None), "kind", "f")  # a time difference of numpy is an integer to Python
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and kind in "iuf"


def _takes_words(hint) -> bool:
    """Whether an option takes words beside numbers (``int | Literal["domain"]``), which its owner checks."""
    return any(typing.get_origin(part) is Literal for kind in typing.get_args(hint) for part in typing.get_args(kind))


def need_distinct(config: Any, *names: str) -> None:
    """OptionError for an option of several values that names one of them twice."""
    for name in names:
        values = list(getattr(config, name))
        for twice in (value for number, value in enumerate(values) if value in values[:number]):
            text = _number(twice) if isinstance(twice, (int, float)) else twice
            raise OptionError(f"--{name.replace('_', '-')} {text}: is given twice; give it once")


def _check(option: str, value: float, limits: Bounds) -> None:
    text = f", {limits}" if str(limits) else ""
    need(math.isfinite(value), f"{option}: must be a finite number{text}")
    small = abs(value) < 2**63 or not isinstance(value, numbers.Integral)
    need(small, f"{option}: must be a whole number of at most 64 bits{text}")
    above_zero = " (greater than 0)" if limits.least and value <= 0 < limits.least else ""
    need(limits.holds(value), f"{option}: must be {limits}{above_zero}")


def _number(value: float) -> str:
    if isinstance(value, numbers.Integral):
        return str(value) if abs(value) < 10**30 else f"of {value.bit_length()} bits"
    return f"{value:g}"
