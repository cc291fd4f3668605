"""Files of daily satellite maps in closed form."""

from __future__ import annotations

import numpy as np
import xarray as xr

DAYS = 61


def maps(path, name, units, value, *, days=range(DAYS), lon=None, hole=None, lat=None):
    """A file of daily maps whose values are value(day, lon, lat)."""
    lon = np.arange(-25.0, -8, 0.5) if lon is None else lon
    lat = np.arange(43.0, 55, 0.5) if lat is None else lat
    east, north = np.meshgrid(lon, lat)
    values = np.stack([value(day, east, north) for day in days]).astype("f4")
    if hole is not None:
        values[:, hole(east, north)] = np.nan
    times = np.datetime64("2010-01-01", "ns") + np.array(days) * np.timedelta64(86400 * 10**9, "ns")
    xr.Dataset(
        {name: (("time", "latitude", "longitude"), values, {"units": units})},
        coords={"time": times, "latitude": lat, "longitude": lon},
    ).to_netcdf(path)
    return str(path)


def height(day, lon, lat):
    return 0.5 + 0.1 * np.sin(lon) * np.cos(lat) + 0.001 * day


def temperature(day, lon, lat):
    return 14.0 + 0.2 * (lat - 49) + 273.15
