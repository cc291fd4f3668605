"""Writers of small z-level files for tests: GLORYS-like longitude-latitude-depth files in all the forms that users have."""

from __future__ import annotations

import netCDF4
import numpy as np

NAMES = {"u": "uo", "v": "vo", "zeta": "zos", "temp": "thetao", "w": "wo"}
STANDARD = {
    "u": ("eastward_sea_water_velocity", "m s-1"),
    "v": ("northward_sea_water_velocity", "m s-1"),
    "zeta": ("sea_surface_height_above_geoid", "m"),
    "temp": ("sea_water_potential_temperature", "degrees_C"),
    "w": ("upward_sea_water_velocity", "m s-1"),
}
#: Scale and offset of the packed files of GLORYS.
PACKING = {"u": (6.1037e-4, 0.0), "v": (6.1037e-4, 0.0), "zeta": (3.0519e-4, 0.0), "temp": (7.3244e-4, 21.0), "w": (1e-6, 0.0)}
DAY = np.timedelta64(86400, "s")


def write_lonlat(
    path, lon, lat, depth, times, fields, *, packed=False, bounds=None, attributes=None, units="hours since 1950-01-01",
    descending=(), names=None, scale=None, axes=("longitude", "latitude"), dtype="f4",
):  # fmt: skip
    """A longitude-latitude-depth file.

    fields: of u, v, zeta, temp, w: (time, depth, lat, lon) or (time, lat, lon), NaN on land, depth increasing; descending: of
    "latitude", "depth", those that are written from the largest down; bounds: (time, 2) datetime64.
    """
    names = names or NAMES
    attributes = {"source": "MERCATOR GLORYS12V1"} if attributes is None else attributes
    with netCDF4.Dataset(path, "w") as dataset:
        dataset.setncatts(attributes)
        for name, values in (("time", times), ("depth", depth), (axes[1], lat), (axes[0], lon)):
            dataset.createDimension(name, len(values))
        clock = dataset.createVariable("time", "f8", ("time",))
        clock.units, clock.standard_name, clock.calendar = units, "time", "gregorian"
        clock[:] = netCDF4.date2num(np.asarray(times).astype("datetime64[s]").astype(object), units)
        if bounds is not None:
            dataset.createDimension("bnds", 2)
            clock.bounds = "time_bnds"
            dataset.createVariable("time_bnds", "f8", ("time", "bnds"))[:] = netCDF4.date2num(
                np.asarray(bounds).astype("datetime64[s]").astype(object), units
            )
        turn = {name: slice(None, None, -1) if name in descending else slice(None) for name in ("depth", "latitude")}
        for name, values, unit, dimension in (
            ("depth", np.asarray(depth)[turn["depth"]], "m", "depth"),
            ("latitude", np.asarray(lat)[turn["latitude"]], "degrees_north", axes[1]),
            ("longitude", lon, "degrees_east", axes[0]),
        ):
            variable = dataset.createVariable(dimension, dtype, (dimension,))
            variable.units, variable.standard_name = unit, name
            variable[:] = values
        for name, values in fields.items():
            values = np.asarray(values)
            layered = values.ndim == 4
            dimensions = ("time", "depth", axes[1], axes[0]) if layered else ("time", axes[1], axes[0])
            values = values[:, turn["depth"], turn["latitude"]] if layered else values[:, turn["latitude"]]
            if packed:
                step, offset = PACKING[name]
                variable = dataset.createVariable(names[name], "i2", dimensions, fill_value=-32767)
                variable.scale_factor, variable.add_offset = step, offset
            else:
                variable = dataset.createVariable(names[name], "f4", dimensions, fill_value=9.96921e36)
            variable.standard_name, variable.units = STANDARD[name]
            factor = 1.0
            if scale and name in scale:
                variable.units, factor = scale[name]
            variable[:] = np.ma.masked_invalid(values * factor)
    return str(path)


def write_static(path, lon, lat, deptho, depth=None, levels=None, mask=None):
    """A static file: deptho (lat, lon), deptho_lev, and a mask (depth, lat, lon)."""
    with netCDF4.Dataset(path, "w") as dataset:
        for name, values, unit in (("latitude", lat, "degrees_north"), ("longitude", lon, "degrees_east")):
            dataset.createDimension(name, len(values))
            variable = dataset.createVariable(name, "f4", (name,))
            variable.units, variable.standard_name = unit, name
            variable[:] = values
        if deptho is not None:
            variable = dataset.createVariable("deptho", "f4", ("latitude", "longitude"), fill_value=9.96921e36)
            variable.units, variable.standard_name = "m", "sea_floor_depth_below_geoid"
            variable[:] = np.ma.masked_less_equal(deptho, 0)
        if levels is not None:
            dataset.createVariable("deptho_lev", "i2", ("latitude", "longitude"))[:] = levels
        if mask is not None:
            dataset.createDimension("depth", len(depth))
            variable = dataset.createVariable("depth", "f4", ("depth",))
            variable.units, variable.standard_name = "m", "depth"
            variable[:] = depth
            dataset.createVariable("mask", "i1", ("depth", "latitude", "longitude"))[:] = mask
    return str(path)


def days(first, n, hour=0):
    """n days at an hour from a date."""
    return np.datetime64(first, "s") + np.arange(n) * DAY + np.timedelta64(3600 * hour, "s")
