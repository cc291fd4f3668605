"""Values of a netCDF variable as numbers: fill values, scale and offset, valid range.

The netCDF library does the same, but takes a valid range for that of the packed integers whatever its type. That attributes are
numbers is known since the file was opened (:func:`data.netcdf.open_dataset`).
"""

from __future__ import annotations

import netCDF4
import numpy as np

from data.errors import InputError

#: Nothing in the sea is as large in CROCO's units: larger numbers are fill values that no attribute declares.
FILL_LIMIT = 1e10

#: Attributes that change values, or say which are missing.
DECODING = {"scale_factor", "add_offset", "valid_range", "valid_min", "valid_max"}


def kind_of(variable):
    """numpy's letter for the type of a variable; O for strings of any length."""
    return getattr(variable.dtype, "kind", "O")


def decoded(variable: netCDF4.Variable, key=Ellipsis) -> np.ndarray:
    """Values of a numeric variable as floats, NaN where missing.

    Parameters
    ----------
    variable : netCDF4.Variable
    key
        What follows the variable in brackets.

    Returns
    -------
    (...) float
        In the type of the file where it has floats without scale, else in that of the scale.
    """
    attributes = set(variable.ncattrs())
    variable.set_auto_maskandscale(False)
    raw = np.asarray(variable[key])
    if raw.dtype.kind == "i" and "_Unsigned" in attributes and str(variable.getncattr("_Unsigned")).lower() == "true":
        raw = raw.view(f"u{raw.dtype.itemsize}")
    packed = raw.dtype.kind in "iu"
    scale = variable.getncattr("scale_factor") if "scale_factor" in attributes else None
    offset = variable.getncattr("add_offset") if "add_offset" in attributes else None
    values = raw
    if scale is not None and scale != 1:
        values = values * scale
    if offset is not None and offset != 0:
        values = values + offset
    if values.dtype.kind != "f":
        values = values.astype(np.float64)
    missing = _fills(variable, raw, attributes)
    bounds = _bounds(variable, attributes)
    if bounds is not None:
        missing = missing | _beyond(raw, values, bounds, missing, packed)
    if missing.any():
        values = np.array(values)
        values[missing] = np.nan
    return values


def decode_record(variable: netCDF4.Variable, record) -> np.ndarray:
    """A record as float32, C-contiguous. Missing values are NaN, or huge numbers that no attribute declares."""
    attributes = set(variable.ncattrs())
    if kind_of(variable) not in "fiu":
        raise InputError(f"{variable.group().filepath()}: variable {variable.name} holds no numbers")
    if kind_of(variable) != "f" or attributes & DECODING:
        with np.errstate(over="ignore", invalid="ignore"):
            return np.ascontiguousarray(decoded(variable, record), dtype=np.float32)
    # plain floats: masks would double the time
    variable.set_auto_maskandscale(False)
    with np.errstate(over="ignore"):
        value = np.ascontiguousarray(variable[record], dtype=np.float32)
    for name in attributes & {"_FillValue", "missing_value"}:
        fills = np.ravel(variable.getncattr(name))
        for fill in fills if fills.dtype.kind in "fiu" else ():
            # larger ones are recognised anyway; 0, which some tools declare, is also water at rest
            if 0 < abs(fill) < FILL_LIMIT:
                value[value == np.float32(fill)] = np.nan
    return value


def _fills(variable, raw, attributes):
    """Where the raw values are a fill value (or NaN)."""
    missing = np.isnan(raw) if raw.dtype.kind == "f" else np.zeros(raw.shape, bool)
    fills = [variable.getncattr(name) for name in ("_FillValue", "missing_value") if name in attributes]
    if "_FillValue" not in attributes and raw.dtype.itemsize > 1:
        fills.append(netCDF4.default_fillvals.get(raw.dtype.str[1:], np.nan))
    for fill in fills:
        fill = np.ravel(fill)
        for number in fill if fill.dtype.kind in "fiu" else ():
            # 0, which some tools declare for floats, is also water at rest
            if raw.dtype.kind != "f" or number != 0:
                missing = missing | (raw == (raw.dtype.type(number) if raw.dtype.kind == "f" else number))
    return missing


def _bounds(variable, attributes):
    """(least, largest) of the valid range; None without one. A number that is not finite is no bound."""
    least, largest = np.ravel(variable.getncattr("valid_range")) if "valid_range" in attributes else (-np.inf, np.inf)
    for name in {"valid_min", "valid_max"} & attributes:
        bound = np.ravel(variable.getncattr(name))[0]
        if np.isfinite(bound):
            least, largest = (bound, largest) if name == "valid_min" else (least, bound)
    if not (np.isfinite(least) or np.isfinite(largest)):
        return None
    return least, largest


def _beyond(raw, values, bounds, missing, packed):
    """Where values lie outside of the valid range; a range of integers is that of the packed integers (CF 2.5.1)."""
    least, largest = bounds
    outside = (values < least) | (values > largest)
    if not packed or any(np.isfinite(bound) and np.asarray(bound).dtype.kind == "f" for bound in bounds):
        return outside
    as_stored = (raw < least) | (raw > largest)
    # a range that leaves nothing is not one of the stored integers
    return outside if (as_stored | missing).all() and not (outside | missing).all() else as_stored
