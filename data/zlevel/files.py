"""netCDF files of a z-level ocean: a few kept open, values decoded, records cut to a part of the grid while they are read."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import netCDF4
import numpy as np

from data.command import one_line
from data.errors import InputError
from data.netcdf import NETCDF_LOCK, open_dataset

#: Nothing in the sea is as large: larger numbers are fill values that no attribute declares.
FILL_LIMIT = 1e10
#: Files kept open at a time: u, v, w, T of two months.
OPEN_FILES = 10


class Files:
    """A few files kept open, the least recently used closed first. All access goes through :meth:`open`."""

    def __init__(self, limit: int = OPEN_FILES):
        self._limit = limit
        self._open: OrderedDict[str, netCDF4.Dataset] = OrderedDict()

    @contextmanager
    def open(self, path: str, what: str = "its header") -> Iterator[netCDF4.Dataset]:
        """The open file, with the process-wide lock held. Not to be nested."""
        with NETCDF_LOCK:
            if path not in self._open:
                self._open[path] = open_dataset(path)
                while len(self._open) > self._limit:
                    self._open.popitem(last=False)[1].close()
            self._open.move_to_end(path)
            try:
                yield self._open[path]
            except (RuntimeError, OSError, IndexError) as error:
                raise InputError(
                    f"{path}: {what} cannot be read ({one_line(error)}); the file is damaged or still being written: copy it "
                    "again, or leave it out"
                ) from error

    def close(self) -> None:
        """Close all files; they open again when they are asked for."""
        with NETCDF_LOCK:
            while self._open:
                self._open.popitem()[1].close()

    def __reduce__(self):
        return Files, (self._limit,)


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
