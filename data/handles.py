"""A few netCDF files kept open at a time; an error in reading a file becomes one line."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import netCDF4

from data.command import one_line
from data.errors import InputError
from data.netcdf import NETCDF_LOCK, open_dataset


class Handles:
    """A few files kept open, the least recently used closed first. All access goes through :meth:`open`.

    Parameters
    ----------
    limit : int
        Files kept open at a time.
    prepare : callable (netCDF4.Dataset) -> None, optional
        What is done with a file once it is open; a function of a module, so that the handles can be pickled.
    """

    def __init__(self, limit: int, prepare: Callable[[netCDF4.Dataset], None] | None = None):
        self._limit, self._prepare = limit, prepare
        self._open: OrderedDict[str, netCDF4.Dataset] = OrderedDict()

    @contextmanager
    def open(self, path: str, what: str = "its header") -> Iterator[netCDF4.Dataset]:
        """The open file, with the process-wide lock held. Not to be nested."""
        with NETCDF_LOCK:
            if path not in self._open:
                self._open[path] = open_dataset(path)
                if self._prepare is not None:
                    self._prepare(self._open[path])
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
        return Handles, (self._limit, self._prepare)
