"""Units of measurement as files write them, converted by UDUNITS (through cf-units, imported where a spelling asks for it)."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from data.errors import InputError

#: Spellings that mean the unit itself: most files need no library.
PLAIN = {
    "m s-1": {"m s-1", "m/s", "m s^-1", "m.s-1", "meter second-1", "metre second-1", "meters second-1", "meter/second",
              "ms-1", "ms^-1", "m s**-1", "mps"},
    "m": {"m", "meter", "metre", "meters", "metres"},
    "degC": {"degc", "deg c", "deg_c", "celsius", "celcius", "c", "°c", "degree celsius", "degrees celsius", "degree_celsius",
             "degrees_celsius", "degree c", "degrees c", "degree_c", "degrees_c", "centigrade", "degrees centigrade"},
    "s-1": {"s-1", "1/s", "second-1", "1/second"},
    "m-1": {"m-1", "1/m", "meter-1", "metre-1", "1/meter"},
    "radian": {"radian", "radians", "rad"},
    "degree": {"degree", "degrees", "deg", "degree_east", "degrees_east", "degree_north", "degrees_north", "degreee", "degreen"},
}  # fmt: skip
#: Words that UDUNITS does not know or takes for something else: to it, "degrees Celsius" is an angle times a temperature.
ALIASES = (
    (re.compile(r"^(?:deg(?:ree)?s?|°)[ _.]?f(?:ahrenheit)?$", re.IGNORECASE), "degF"),
    (re.compile(r"^(?:deg(?:ree)?s?|°)[ _.]?k(?:elvin)?$", re.IGNORECASE), "K"),
    (re.compile(r"^f(?:ahrenheit)?$", re.IGNORECASE), "degF"),
    (re.compile(r"^(?:deg|°)$", re.IGNORECASE), "degree"),
    (re.compile(r"^(c|m|k)ms\^?-1$"), r"\1m s-1"),
    (re.compile(r"^psu$", re.IGNORECASE), "1e-3"),
)


class UnitError(ValueError):
    """A unit that cannot be read, or is of another kind; the message says which."""


@lru_cache(maxsize=256)
def conversion(text: str, wanted: str) -> tuple[float, float] | None:
    """How values in the unit ``text`` become values in ``wanted``.

    Parameters
    ----------
    text : str
        A unit as a file's attribute has it; empty where it says nothing.
    wanted : str
        A key of :data:`PLAIN`.

    Returns
    -------
    (factor, offset) or None
        value * factor + offset; None where there is nothing to convert.

    Raises
    ------
    UnitError
        If the unit cannot be read, or measures something else.
    """
    text = " ".join(text.replace("\0", " ").split())
    if not text or text.lower() in PLAIN[wanted]:
        return None
    from cf_units import Unit

    spelt = text
    for pattern, replacement in ALIASES:
        spelt = pattern.sub(replacement, spelt)
    try:
        unit, target = Unit(spelt), Unit(wanted)
    except ValueError:
        raise UnitError(f"{text!r} is no unit that can be read") from None
    if unit.is_unknown() or unit.is_no_unit() or not unit.is_convertible(target):
        raise UnitError(f"{text!r} cannot be converted to {wanted!r}")
    offset = float(unit.convert(0.0, target))
    factor = float(unit.convert(1.0, target)) - offset
    if abs(factor - 1) < 1e-9 and abs(offset) < 1e-9:
        return None
    return factor, offset


def depth_factor(path: str | Path, name: str, unit: str) -> float:
    """Factor from the ``unit`` of a file's depth to metres; 1 where the unit is empty.

    Raises
    ------
    InputError
        The unit is none of a length.
    """
    try:
        factor, _ = conversion(unit, "m") or (1.0, 0.0)
    except UnitError as error:
        raise InputError(f"{path}: {name} is no depth in metres ({error})") from error
    return factor
