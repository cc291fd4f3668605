"""Checks of the sizes that a file declares: too large for the machine, never written, or a piece of a domain."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from data.errors import InputError
from data.machine import in_words, memory_bytes

#: Number of double-precision fields at rho points in memory for a grid: h, pm, pn, x, y, angle, f and intermediate fields.
GRID_FIELDS = 12
#: Number of single-precision values at each point of a layer in memory for two snapshots and the fields derived from them.
SNAPSHOT_FIELDS = 10
#: No compression of netCDF makes more of a byte on disk (deflate: 1032).
EXPANSION = 2000
#: Files that declare less than this are read without a thought, bytes.
SMALL = 100 * 10**6
#: Records of one file: an hourly record of a thousand years.
MOST_RECORDS = 10_000_000


def check_size(path: str, dataset, shape: tuple[int, int, int], records: int) -> None:
    """Refuse, before reading, a file that memory cannot hold or that was never written. ``shape``: layers, eta, xi.

    Raises
    ------
    InputError
        With an estimate of what the file declares against what there is.
    """
    n, ny, nx = shape
    if records > MOST_RECORDS:
        raise InputError(
            f"{path}: declares {records:.3g} records, more than the {MOST_RECORDS:g} that are read of one file; was it damaged?"
        )
    needed = ny * nx * (8 * GRID_FIELDS + 4 * SNAPSHOT_FIELDS * n)
    available = memory_bytes()
    if needed > available:
        raise InputError(
            f"{path}: {n} layers of {ny} x {nx} rho points take about {in_words(needed)} of memory, and this machine has "
            f"{in_words(available)}; cut the files to the region of the site"
        )
    declared = 0
    for name in ("u", "v", "zeta", "h"):
        variable = dataset.variables.get(name)
        if variable is not None and variable.dtype is not str:
            declared += math.prod(variable.shape) * np.dtype(variable.dtype).itemsize
    try:
        size = Path(path).stat().st_size
    except OSError:  # not a file of this machine
        return
    if declared > SMALL and declared > EXPANSION * size:
        raise InputError(
            f"{path}: declares {in_words(declared)} of u, v, zeta and h, but is a file of {in_words(size)}: its values were "
            "never written; copy or make it again"
        )


def check_whole(path: str, dataset) -> None:
    """Refuse one tile of a parallel run by the attribute that the model leaves in it."""
    if "partition" not in dataset.ncattrs():
        return
    numbers = np.ravel(dataset.getncattr("partition"))
    # CROCO and UCLA ROMS: number of the tile, number of tiles, first column, first row
    if numbers.dtype.kind in "iuf" and numbers.size >= 2 and numbers[1] > 1:
        raise InputError(
            f"{path}: is one tile (number {int(numbers[0])} of {int(numbers[1])}, counted from 0) of a parallel run; join the "
            "tiles first (ncjoin, partit's counterpart), or take out the attribute 'partition' if the file is whole"
        )


def check_all_layers(path: str, dataset, n: int) -> None:
    """Refuse a file whose interfaces are not those of its layers."""
    for name in ("s_w", "sc_w", "Cs_w", "s_rho", "sc_r", "Cs_r"):
        variable = dataset.variables.get(name)
        if variable is None or variable.ndim != 1:
            continue
        expected = n + 1 if name.endswith("_w") else n
        if variable.size not in (1, expected):
            raise InputError(
                f"{path}: u has {n} layers, but {name} {variable.size} values where {expected} are needed: layers have been cut "
                "away; files cut in the vertical cannot be used, give all layers"
            )
