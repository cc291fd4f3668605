"""A few netCDF files kept open at a time, and how much of each the library keeps in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

import netCDF4
import numpy as np

from data.command import one_line
from data.errors import InputError
from data.netcdf import NETCDF_LOCK, open_dataset
from data.ocean import OPTIONAL_VARIABLES

#: Files kept open at a time: a sweep in time needs two at a file border.
OPEN_FILES = 3

#: Largest chunk cache granted to one variable, bytes. See :func:`_fit_chunk_cache`.
CHUNK_CACHE_LIMIT = 128 * 2**20


class Handles:
    """A few files kept open, the least recently used closed first. All access goes through :meth:`open`."""

    def __init__(self, limit: int = OPEN_FILES):
        self._limit = limit
        self._open: OrderedDict[str, netCDF4.Dataset] = OrderedDict()

    @contextmanager
    def open(self, path: str, what: str = "") -> Iterator[netCDF4.Dataset]:
        """The open file, with the process-wide lock held. Not to be nested."""
        with NETCDF_LOCK:
            if path not in self._open:
                self._open[path] = open_dataset(path)
                _fit_chunk_cache(self._open[path])
                while len(self._open) > self._limit:
                    self._open.popitem(last=False)[1].close()
            self._open.move_to_end(path)
            try:
                yield self._open[path]
            except (RuntimeError, OSError, IndexError) as error:
                raise InputError(
                    f"{path}: {what or 'the file'} cannot be read ({one_line(error)}); it is damaged or "
                    "still being written: copy it again, or leave it out"
                ) from error

    def close(self) -> None:
        with NETCDF_LOCK:
            while self._open:
                self._open.popitem()[1].close()

    def __reduce__(self):
        return Handles, (self._limit,)


def _fit_chunk_cache(dataset):
    """Cache chunks that span several records, so that each record does not unpack them again, and no others.

    The library would keep up to 64 MiB of each variable, of which a sweep through time never asks again.
    """
    if not dataset.data_model.startswith("NETCDF4"):
        return
    for name in ("u", "v", "zeta", *OPTIONAL_VARIABLES):
        variable = dataset.variables.get(name)
        chunks = variable.chunking() if variable is not None else None
        if not isinstance(chunks, list):
            continue
        count = int(np.prod([-(-size // chunk) for size, chunk in zip(variable.shape[1:], chunks[1:], strict=True)]))
        slab = count * int(np.prod(chunks)) * variable.dtype.itemsize
        if chunks[0] == 1:
            variable.set_var_chunk_cache(size=0)
        elif slab <= CHUNK_CACHE_LIMIT:
            # many more slots than chunks: two that fall on one slot would drive each other out
            variable.set_var_chunk_cache(size=slab, nelems=max(1009, 101 * count))
