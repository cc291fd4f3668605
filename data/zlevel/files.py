"""netCDF files of a z-level ocean: values decoded, records cut to a part of the grid while they are read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Nothing in the sea is as large: larger numbers are fill values that no attribute declares.
FILL_LIMIT = 1e10
#: Files kept open at a time: u, v, w, T of two months.
OPEN_FILES = 10


@dataclass(frozen=True)
class Cut:
    """The part of a file's horizontal grid that is used, and in which order.

    Attributes
    ----------
    rows : slice
        Rows of the file; a step of -1 turns a grid whose latitudes decrease.
    columns : tuple of slice
        Columns of the file, one part after the other: two where the part crosses the file's own edge, and a first column once
        more where the domain is periodic.
    """

    rows: slice
    columns: tuple[slice, ...]

    def of(self, variable, lead=()) -> np.ndarray:
        """Values (..., rows, columns) of a variable or array at the leading indices."""
        parts = [variable[(*lead, self.rows, part)] for part in self.columns]
        return parts[0] if len(parts) == 1 else np.ma.concatenate(parts, axis=-1)

    def of_static(self, field: np.ndarray) -> np.ndarray:
        """A static field (..., rows, columns) of the file's grid, cut; C-contiguous."""
        return np.ascontiguousarray(np.ma.getdata(self.of(field, (slice(None),) * (field.ndim - 2))))


def decoded(values) -> np.ndarray:
    """float32 with NaN where values are masked, not finite, or larger than anything in the sea."""
    with np.errstate(over="ignore"):
        out = np.ma.filled(np.ma.asarray(values).astype(np.float32), np.nan)
    out[~(np.abs(out) < FILL_LIMIT)] = np.nan
    return out


def numbers(variable) -> np.ndarray:
    """All values of a variable as float64, NaN where missing."""
    variable.set_auto_maskandscale(True)
    values = np.ma.filled(np.ma.asarray(variable[...]).astype(np.float64), np.nan)
    return np.where(np.abs(values) < 1e30, values, np.nan)


def text_of(holder, *names: str) -> str:
    """Attributes of a dataset or variable as text in lower case, joined; absent ones are left out."""
    return " ".join(str(holder.getncattr(name)) for name in holder.ncattrs() if not names or name in names).lower()
