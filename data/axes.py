"""The order of a variable's axes, as the names of its dimensions tell it: time, depth, y, x."""

from __future__ import annotations

import re
from collections.abc import Sequence

from data.errors import InputError

#: Names of the dimensions of each axis, in the order that the axes must have: CROCO, ROMS, NEMO, POP, MITgcm, MOM6, CF.
AXES = {
    "time": re.compile(r"t|time.*|.*_time|record", re.I),
    "depth": re.compile(r"s|s_.*|depth.*|lev.*|olevel|z.*|k|k_.*", re.I),
    "y": re.compile(r"eta.*|y.*|n?lat.*|j|j_.*|nj", re.I),
    "x": re.compile(r"xi.*|x.*|n?lon.*|i|i_.*|ni", re.I),
}


def axis_of(dimension: str) -> str:
    """The axis (a key of :data:`AXES`) that the name of a dimension tells; empty if the name tells none."""
    return next((axis for axis, names in AXES.items() if names.fullmatch(dimension)), "")


def check_order(path: str, name: str, dimensions: Sequence[str], axes: Sequence[str] | None = None) -> None:
    """Refuse a variable whose axes are in another order than time, depth, y, x.

    Parameters
    ----------
    path, name : str
        File and variable, for the error line.
    dimensions : sequence of str
        The variable's dimensions, in the order of the file.
    axes : sequence of str, optional
        The axis of each dimension (default: :func:`axis_of` of the dimension's name). Nothing is refused if an axis is unknown
        or stands twice.

    Raises
    ------
    InputError
        The line names the order found and the order needed.
    """
    axes = [axis_of(dimension) for dimension in dimensions] if axes is None else axes
    if "" in axes or len(set(axes)) < len(axes):
        return
    order = list(AXES)
    needed = [dimension for _, dimension in sorted(zip(axes, dimensions, strict=True), key=lambda pair: order.index(pair[0]))]
    if needed != list(dimensions):
        raise InputError(
            f"{path}: the axes of {name} are in the order ({', '.join(dimensions)}), and ({', '.join(needed)}) is needed; turn "
            f"them, with ncpdq -a {','.join(needed)} for example"
        )
