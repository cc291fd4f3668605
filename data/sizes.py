"""Bounds of the values that any sea has: what lies beyond is a fill value that no attribute declares, or in another unit."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

#: The deepest sea floor of the Earth lies at 10 935 m.
DEEPEST = 12_000.0


class Size(NamedTuple):
    """Words, unit and bounds of a quantity."""

    title: str
    unit: str
    least: float
    largest: float


#: The fastest tidal races run at 10 m/s, the highest surge is below 50 m.
SIZES = {
    "u": Size("velocity", "m s-1", -20.0, 20.0),
    "v": Size("velocity", "m s-1", -20.0, 20.0),
    "zeta": Size("height of the free surface", "m", -50.0, 50.0),
    "w": Size("vertical velocity", "m s-1", -20.0, 20.0),
    "omega": Size("vertical velocity", "m s-1", -20.0, 20.0),
    "temp": Size("temperature", "degC", -10.0, 60.0),
}


def possible(quantity: str, field: np.ndarray) -> bool:
    """Whether all values of a quantity, in its own unit, lie within its bounds; False where one is NaN."""
    size = SIZES[quantity]
    # NaN fails both comparisons
    return bool(field.min() >= size.least and field.max() <= size.largest)


def first_impossible(quantity: str, field: np.ndarray) -> tuple[int, ...]:
    """Index of the first value beyond the bounds of a quantity."""
    size = SIZES[quantity]
    return tuple(int(k) for k in np.argwhere((field < size.least) | (field > size.largest))[0])


def beyond(quantity: str, name: str) -> str:
    """What a value of the variable ``name`` beyond the bounds of its quantity means, and what mends it."""
    size = SIZES[quantity]
    return (
        f"no sea has a {size.title} beyond {size.least:g} to {size.largest:g} {size.unit}: it is a fill value that no attribute "
        f"declares, or {name} is in another unit: set its attribute 'units' or '_FillValue', or mend the record"
    )
