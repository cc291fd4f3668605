"""How many CROCO files stay open at a time, and how much of each the netCDF library keeps in memory."""

from __future__ import annotations

import numpy as np

from data.ocean import OPTIONAL_VARIABLES

#: Files kept open at a time: a sweep in time needs two at a file border.
OPEN_FILES = 3

#: Largest chunk cache granted to one variable, bytes. See :func:`fit_chunk_cache`.
CHUNK_CACHE_LIMIT = 128 * 2**20


def fit_chunk_cache(dataset):
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
