"""The unit of each variable of CROCO, and the conversion of a file's own unit."""

from __future__ import annotations

import numpy as np

from data.errors import InputError
from data.units import UnitError, conversion

#: CROCO's own units, which hold where a file says nothing.
UNITS = {
    "u": "m s-1", "v": "m s-1", "zeta": "m", "w": "m s-1", "omega": "m s-1", "temp": "degC",
    "h": "m", "hc": "m", "Tcline": "m", "x_rho": "m", "y_rho": "m", "x": "m", "y": "m",
    "x_u": "m", "y_u": "m", "x_v": "m", "y_v": "m",
    "pm": "m-1", "pn": "m-1", "f": "s-1", "angle": "radian",
    **{name: "degree" for name in ("lon_rho", "lat_rho", "nav_lon_rho", "nav_lat_rho", "lon", "lat", "longitude", "latitude",
                                   "lon_u", "lat_u", "lon_v", "lat_v")},
}  # fmt: skip
#: Variables that another source tells as well (positions): where their unit cannot be read, the values decide.
CHECKED_OTHERWISE = {"pm", "pn", "f", "angle", "x", "y", *(name for name, unit in UNITS.items() if unit == "degree")}


def conversion_of(path: str, variable, name: str) -> tuple[float, float] | None:
    """(factor, offset) from the file's own unit to CROCO's; None where nothing is to be converted.

    Raises
    ------
    InputError
        If the attribute ``units`` is no unit, or one of another kind.
    """
    own_unit = UNITS.get(name)
    text = str(getattr(variable, "units", ""))
    if own_unit is None:
        return None
    try:
        return conversion(text, own_unit)
    except UnitError as error:
        if name in CHECKED_OTHERWISE:
            return None
        raise InputError(
            f"{path}: the unit of {name}, {error}; mend the attribute 'units' of {name} (CROCO's own is {own_unit!r}), "
            "or take it out if the values are in that"
        ) from error


def convert(values: np.ndarray, rule: tuple[float, float] | None) -> np.ndarray:
    """Values in CROCO's unit, in their own type; ``rule`` as :func:`conversion_of` gives it."""
    if rule is None:
        return values
    return (values * rule[0] + rule[1]).astype(values.dtype)
