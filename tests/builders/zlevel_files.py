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
            variable[:] = np.ma.array(np.nan_to_num(values * factor), mask=~np.isfinite(values))
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


def write_nemo(
    folder, lon, lat, depth, times, fields, *, names=("vozocrtx", "vomecrty", "sossheig", "votemper"), mesh=None, prefix=""
):
    """NEMO's files of U, V and T points; fields u, v, temp (time, depth, y, x) and zeta (time, y, x), 0 on land.

    mesh: of tmask (depth, y, x), e1t, e2t (y, x), gdepw_1d (depth,), e3t_0 (depth, y, x): a mesh_mask with a leading axis.
    """
    paths = []
    u, v, zeta, temp = names
    points = (("U", "depthu", {u: "u"}), ("V", "depthv", {v: "v"}), ("T", "deptht", {zeta: "zeta", temp: "temp"}))
    for point, levels, quantities in points:
        path = folder / f"{prefix}grid_{point}.nc"
        with netCDF4.Dataset(path, "w") as dataset:
            for name, size in (("time_counter", len(times)), (levels, len(depth)), ("y", lon.shape[0]), ("x", lon.shape[1])):
                dataset.createDimension(name, size)
            for name, values in (("nav_lon", lon), ("nav_lat", lat)):
                dataset.createVariable(name, "f4", ("y", "x"))[:] = values
            variable = dataset.createVariable(levels, "f4", (levels,))
            variable.units = "m"
            variable[:] = depth
            clock = dataset.createVariable("time_counter", "f8", ("time_counter",))
            clock.units = "seconds since 1900-01-01 00:00:00"
            clock[:] = netCDF4.date2num(np.asarray(times).astype("datetime64[s]").astype(object), clock.units)
            for name, quantity in quantities.items():
                values = fields[quantity]
                dimensions = ("time_counter", levels, "y", "x") if values.ndim == 4 else ("time_counter", "y", "x")
                dataset.createVariable(name, "f4", dimensions, fill_value=1e20)[:] = values
        paths.append(str(path))
    if mesh is None:
        return paths, None
    path = folder / f"{prefix}mesh_mask.nc"
    with netCDF4.Dataset(path, "w") as dataset:
        for name, size in (("t", 1), ("z", len(depth)), ("y", lon.shape[0]), ("x", lon.shape[1])):
            dataset.createDimension(name, size)
        for name, values in {"glamt": lon, "gphit": lat, **mesh}.items():
            dimensions = {1: ("t", "z"), 2: ("t", "y", "x"), 3: ("t", "z", "y", "x")}[np.ndim(values)]
            dataset.createVariable(name, "f8", dimensions)[:] = np.asarray(values)[None]
    return paths, str(path)
