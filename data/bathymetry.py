"""The depth of the sea floor from a file of it: GEBCO, ETOPO, or the static file of an ocean reanalysis."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from data.command import one_line
from data.errors import InputError
from data.frame import Frame
from data.lonlat import LonLatRegridder, around
from data.map_file import AXIS_NAMES
from data.netcdf import open_dataset
from data.sizes import DEEPEST
from data.units import depth_factor

#: Variables in lower case: heights of the Earth's surface, positive up (GEBCO, ETOPO), and depths of the sea floor.
HEIGHTS = ("elevation", "z", "topo", "altitude", "height", "relief", "rose", "bedrock", "band1")
DEPTHS = ("deptho", "bathymetry", "bathy", "bathy_metry", "bottom_depth", "depth_ocean", "sea_floor_depth", "h", "depth")
#: Names of the axes in lower case, and their units where they are named otherwise.
AXES = {"lat": (*AXIS_NAMES["lat"], "y"), "lon": (*AXIS_NAMES["lon"], "x")}
AXIS_UNITS = {"lat": "degrees_north", "lon": "degrees_east"}


def bathymetry_on(path: str | Path, frame: Frame) -> np.ndarray:
    """(y, x) float32 depth of the sea floor on a frame, m, positive down; NaN on land. A cell is the mean over the sea in it.

    Only the piece around the frame is read: a file may hold the whole Earth.

    Parameters
    ----------
    path
        GEBCO or ETOPO (heights, positive up), or ``deptho`` of a reanalysis (depths), on one latitude per row and one longitude
        per column.

    Raises
    ------
    InputError
        The file is missing or damaged, holds no such variable, no regular grid or no sea, or does not reach over the frame.
    """
    open_dataset(str(path)).close()  # tells of a missing or damaged file
    try:
        with xr.open_dataset(path, engine="netcdf4", decode_times=False) as file:
            variable = _variable(file, path)
            half = max(np.abs(frame.x).max(), np.abs(frame.y).max())
            chart = variable.to_dataset(name="bathymetry").assign_attrs(files=[str(path)])
            piece = around(chart, frame.center, half)["bathymetry"].load()
    except (OSError, RuntimeError) as error:
        raise InputError(f"{path}: cannot be read ({one_line(error)}); copy it again") from error
    factor = depth_factor(path, str(variable.name), str(variable.attrs.get("units", "")))
    depth = piece * (-factor if _is_height(variable) else factor)
    depth = depth.where(depth > 0)
    if not depth.notnull().any():
        raise InputError(f"{path}: {variable.name} knows no sea there: all of it lies on land, or it has the other sign")
    if float(depth.max()) > DEEPEST:
        raise InputError(f"{path}: {variable.name} reaches {float(depth.max()):.0f} m, deeper than any sea; give metres")
    # not on_frame, which keeps the way to a frame for the next map: of a chart there is no next one, and its way is long
    return LonLatRegridder(depth["lon"].values, depth["lat"].values, frame)(depth.values)


def _variable(file: xr.Dataset, path) -> xr.DataArray:
    """The variable of heights or depths, with dimensions lat and lon."""
    named = {str(name).lower(): name for name in file.data_vars if file[name].ndim >= 2}
    found = next((named[name] for name in (*HEIGHTS, *DEPTHS) if name in named), None)
    if found is None:
        raise InputError(
            f"{path}: no depth of the sea floor (elevation, z, deptho, ...); the file holds {', '.join(map(str, file.variables))}"
        )
    variable = file[found]
    variable = variable.isel({dimension: 0 for dimension in variable.dims[:-2] if variable.sizes[dimension] == 1})
    axes = {dimension: _axis(file, dimension) for dimension in variable.dims}
    if sorted(str(axis and axis[0]) for axis in axes.values()) != ["lat", "lon"]:
        raise InputError(
            f"{path}: {found} has dimensions {variable.dims}; give depths on one latitude per row and one longitude per column"
        )
    variable = variable.drop_vars(list(variable.coords)).rename({dimension: axis[0] for dimension, axis in axes.items() if axis})
    return variable.assign_coords(dict(axis for axis in axes.values() if axis)).transpose("lat", "lon")


def _axis(file: xr.Dataset, dimension) -> tuple[str, np.ndarray] | None:
    """("lat" or "lon", degrees) of a dimension; None if no axis lies along it."""
    for name, variable in file.variables.items():
        if variable.dims != (dimension,):
            continue
        for axis, names in AXES.items():
            if str(variable.attrs.get("units", "")).lower() == AXIS_UNITS[axis] or str(name).lower() in names:
                return axis, np.asarray(variable.values, np.float64)
    return None


def _is_height(variable: xr.DataArray) -> bool:
    """Whether values are heights, positive up: as the attribute ``positive`` says, else as the name does."""
    positive = str(variable.attrs.get("positive", "")).lower()
    return positive == "up" if positive in ("up", "down") else str(variable.name).lower() in HEIGHTS
