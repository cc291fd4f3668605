"""netCDF files: patterns expanded, files opened with one-line errors, files written under another name first, and the lock."""

from __future__ import annotations

import glob
import math
import re
import struct
import threading
import warnings
from pathlib import Path

import netCDF4
import numpy as np
import xarray as xr

from data.command import one_line
from data.errors import InputError, cannot_write
from data.files import written_aside

#: The netCDF and HDF5 libraries are not thread-safe, not even between files: one lock for the whole process.
NETCDF_LOCK = threading.Lock()
#: How instants are written: CF has no 64-bit integers.
TIME_ENCODING = {"units": "seconds since 1970-01-01", "calendar": "proleptic_gregorian", "dtype": "float64", "_FillValue": None}
#: Attributes that values are decoded by, and how many numbers they hold.
DECODING = {"scale_factor": 1, "add_offset": 1, "valid_min": 1, "valid_max": 1, "valid_range": 2}
#: Bytes of a value of each type in the netCDF classic formats.
CLASSIC_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 8, 7: 1, 8: 2, 9: 4, 10: 8, 11: 8}


def expand(paths) -> list[str]:
    """Paths, with each pattern replaced by the files that match it; each file once."""
    items = [paths] if isinstance(paths, (str, Path)) else list(paths)
    paths_found = []
    for item in items:
        path = Path(item).expanduser()
        # a name with brackets may be a file as well as a pattern
        if path.exists():
            paths_found.append(str(path))
        elif any(sign in str(item) for sign in "*?["):
            # numbers by their value: his.2.nc comes before his.10.nc
            matches = sorted(glob.glob(str(path), recursive=True), key=_by_numbers)
            if not matches:
                raise InputError(f"{item}: no file matches this pattern")
            paths_found.extend(matches)
        else:
            raise InputError(f"{item}: no such file")
    if not paths_found:
        raise InputError("no file is given; name at least one")
    once: dict[Path, str] = {}
    for name in paths_found:
        if Path(name).is_dir():
            raise InputError(f"{name}: is a folder; give its files, for instance '{name}/*.nc'")
        once.setdefault(Path(name).resolve(), name)
    return list(once.values())


def _by_numbers(name: str) -> tuple:
    """A key that sorts names with numbers in them by the numbers' values."""
    pieces = re.split(r"(\d+)", name)
    return [*(int(piece) if k % 2 else piece for k, piece in enumerate(pieces))], name


def open_dataset(path: str) -> netCDF4.Dataset:
    """Open a netCDF file for reading; InputError if the file is of another kind, damaged, or shorter than its header says."""
    try:
        dataset = netCDF4.Dataset(path)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (OSError, RuntimeError) as error:
        # -51 is netCDF's "unknown file format"; HDF5 reports a wrong length as one of its own errors
        if getattr(error, "errno", None) == -51:
            raise InputError(f"{path}: not a netCDF file") from error
        raise InputError(
            f"{path}: cannot be opened ({one_line(error)}); the file is truncated, damaged or still being "
            "written: copy it again, or leave it out"
        ) from error
    # of the classic formats, the library would silently read zeros beyond the end of a truncated file
    if dataset.data_model.startswith("NETCDF3") and Path(path).stat().st_size < _classic_length(path):
        dataset.close()
        raise InputError(
            f"{path}: shorter than its header says; the file is truncated or still being written: copy it again, or leave it out"
        )
    try:
        _check_packing(path, dataset)
    except InputError:
        dataset.close()
        raise
    return dataset


def load_dataset(path) -> xr.Dataset:
    """A whole file in memory, as xarray decodes it; InputError where it cannot be read."""
    open_dataset(str(path)).close()
    try:
        with xr.open_dataset(path, engine="netcdf4") as file:
            return file.load()
    except (OSError, RuntimeError, ValueError, TypeError, KeyError, OverflowError) as error:
        raise InputError(f"{path}: cannot be read ({one_line(error)}); make it anew") from None


def _check_packing(path: str, dataset: netCDF4.Dataset) -> None:
    """InputError where attributes that values are decoded by are no numbers: the library would ignore them."""
    for name, variable in dataset.variables.items():
        attributes = variable.ncattrs()
        for attribute, size in DECODING.items():
            if attribute not in attributes:
                continue
            value = np.asarray(variable.getncattr(attribute))
            right = value.dtype.kind in "fiu" and value.size == size
            if right and size == 1 and not attribute.startswith("valid"):
                right = bool(np.isfinite(value).all()) and not (attribute == "scale_factor" and (value == 0).all())
            if not right:
                raise InputError(
                    f"{path}: {name} cannot be decoded: attribute {attribute} of variable {name} is "
                    f"{one_line(Exception(value.tolist()))}, where a finite number is needed; correct {attribute} (ncatted -a "
                    f"{attribute},{name},...), or get the file anew"
                )


def write_dataset(path: Path, dataset: xr.Dataset) -> None:
    """Write a CF file under another name and rename it, so that the file is complete or absent.

    Instants are written as seconds since 1970 in double precision, missing values of data as netCDF's own fill value (coordinates
    have none), and maps (..., y, x) compressed, one a chunk.

    Raises
    ------
    StoreError
        In one line where it cannot be written.
    """
    encoding: dict[str, dict] = {}
    for name, variable in dataset.variables.items():
        name = str(name)
        if variable.dtype.kind == "M":
            encoding[name] = dict(TIME_ENCODING)
        elif variable.dtype.kind == "f" and name not in dataset.coords:
            encoding[name] = {"_FillValue": variable.dtype.type(netCDF4.default_fillvals[f"f{variable.dtype.itemsize}"])}
            if variable.ndim > 2:
                maps = {"zlib": True, "complevel": 4, "shuffle": True}
                encoding[name] |= maps | {"chunksizes": (*(1,) * (variable.ndim - 2), *variable.shape[-2:])}
        else:
            encoding[name] = {"_FillValue": None}
    path = Path(path)
    try:
        with written_aside(path) as aside, warnings.catch_warnings():
            # bounds have the units of their coordinate, which xarray warns of and CF wants
            warnings.simplefilter("ignore")
            dataset.to_netcdf(aside, encoding=encoding, engine="netcdf4", format="NETCDF4")
    except (OSError, RuntimeError) as error:  # the netCDF library tells of a full disk by the latter
        raise cannot_write(path, error if isinstance(error, OSError) else OSError(str(error))) from None


def _classic_length(path) -> int:
    """Bytes that a netCDF classic, 64-bit offset or 64-bit data file must have, from its header.

    The layout is that of the netCDF classic format specification; padding at the very end is not counted.
    """
    with open(path, "rb") as stream:
        version = stream.read(4)[3]
        count, offset = (">q" if version == 5 else ">i"), (">i" if version == 1 else ">q")

        def number(code=count):
            return struct.unpack(code, stream.read(struct.calcsize(code)))[0]

        def skip(size):
            stream.seek(size + -size % 4, 1)

        def items():
            """Number of entries in a list of dimensions, attributes or variables."""
            number(">i")
            return number()

        def skip_attributes():
            for _ in range(items()):
                skip(number())
                size = CLASSIC_SIZES[number(">i")]
                skip(number() * size)

        records = number()
        lengths = []
        for _ in range(items()):
            skip(number())
            lengths.append(number())
        skip_attributes()
        ends: list[int] = []
        record_ends: list[int] = []
        record_sizes: list[int] = []
        for _ in range(items()):
            skip(number())
            shape = [lengths[number()] for _ in range(number())]
            skip_attributes()
            size = CLASSIC_SIZES[number(">i")]
            number()
            begin = number(offset)
            # a length of 0 marks the record dimension
            in_record = bool(shape) and shape[0] == 0
            size *= math.prod(shape[1:] if in_record else shape)
            (record_ends if in_record else ends).append(begin + size)
            if in_record:
                record_sizes.append(size)
    if records > 0 and record_sizes:
        # records are padded, unless there is a single variable in them
        step = sum(size + -size % 4 for size in record_sizes) if len(record_sizes) > 1 else record_sizes[0]
        ends.append(max(record_ends) + (records - 1) * step)
    return max(ends, default=0)
