"""Maps on a regular longitude-latitude grid: the piece around a site, and the way to the trap frame."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import xarray as xr

from data.errors import InputError
from data.frame import Frame, Regridder
from data.sphere import EARTH_RADIUS_KM, lon_lat

Method = Literal["bicubic", "linear"]
#: Cells kept around what the frame covers, so that the cubic spline does not feel the edge of the cut.
MARGIN_CELLS = 8
#: Points along each side of a square where its longitudes and latitudes are taken.
SIDE_POINTS = 201
#: Maps that are read at a time: a file is opened once for all that it holds of them, and open no longer than they take to read.
MAPS_READ = 64


@dataclass(frozen=True, eq=False)
class LonLatGrid:
    """A regular grid as :class:`~data.frame.Regridder` wants it: cell (i, j) of a map (lat, lon) is index coordinate (i, j).

    Attributes
    ----------
    lon : (lon,) float64
        Degrees, ascending, spanning less than 360; may pass 180 or 360.
    lat : (lat,) float64
        Degrees, ascending.
    """

    lon: np.ndarray
    lat: np.ndarray

    periodic = (False, False)
    period = (0, 0)

    @property
    def spacing_km(self) -> float:
        """Median length of a cell's sides, km."""
        dy = np.abs(np.diff(self.lat))
        dx = np.median(np.abs(np.diff(self.lon))) * np.cos(np.deg2rad(self.lat))
        return float(np.deg2rad(np.median(np.concatenate([dx, dy]))) * EARTH_RADIUS_KM)

    @cached_property
    def mask_rho(self) -> np.ndarray:
        """(lat, lon) True: missing points are NaN in the fields themselves."""
        return np.ones((self.lat.size, self.lon.size), bool)

    def offset(self, lon, lat, east_km, north_km):
        """The position (east, north) km from (lon, lat), degrees."""
        return lon_lat(east_km, north_km, lon, lat)

    def locate(self, lon, lat):
        """Index coordinates (xi, eta) of positions in degrees; NaN outside the outermost grid points."""
        lon, lat = np.asarray(lon, np.float64), np.asarray(lat, np.float64)
        first = self.lon[0] - 1e-9
        xi = np.interp(first + np.mod(lon - first, 360.0), self.lon, np.arange(self.lon.size), right=np.nan)
        eta = np.interp(lat, self.lat, np.arange(self.lat.size), left=np.nan, right=np.nan)
        outside = np.isnan(xi) | np.isnan(eta)
        return np.where(outside, np.nan, xi), np.where(outside, np.nan, eta)


class LonLatRegridder:
    """Interpolates maps (lat, lon) to the points of a frame; positions are found once for all maps.

    Samples are those of :class:`~data.frame.Regridder`: bicubic where all around is known, else bilinear over what is known, so
    that nothing reaches more than half a cell into land or cloud. Where the product is finer than the frame, a cell is the mean
    of its known samples.

    Parameters
    ----------
    lon, lat : (lon,), (lat,)
        Degrees, each in ascending or descending order, in any convention; lon may jump at the date line.
    frame : Frame
    method : "bicubic" or "linear"

    Raises
    ------
    InputError
        If the grid has fewer than 4 points along a side, or a coordinate repeats.
    OptionError
        If ``method`` is neither.
    """

    def __init__(self, lon, lat, frame: Frame, method: Method = "bicubic"):
        lon, lat = np.asarray(lon, np.float64), np.asarray(lat, np.float64)
        near = unwrapped(lon, frame.center[0])
        self._order = as_slice(np.argsort(lat)), as_slice(np.argsort(near))
        grid = LonLatGrid(np.sort(near), np.sort(lat))
        if min(grid.lon.size, grid.lat.size) < 4:
            raise InputError(f"map of {lat.size} x {lon.size} points (lat, lon): at least 4 x 4 are needed; give a larger region")
        if not ((np.diff(grid.lon) > 0).all() and (np.diff(grid.lat) > 0).all()):
            raise InputError("map: a longitude or latitude occurs twice; give a regular grid with each point once")
        self.grid, self.frame = grid, frame
        self._regrid = Regridder(grid, frame, method=method, partial=True)

    def __call__(self, field) -> np.ndarray:
        """(lat, lon) with NaN where missing -> (y, x) float32, NaN where missing or outside the map."""
        rows, columns = self._order
        return self._regrid(np.asarray(field)[rows][:, columns])


def on_frame(
    variable: xr.DataArray, frame: Frame, *, method: Method = "bicubic", progress: Callable[[int, int], None] | None = None
) -> xr.DataArray:
    """A variable (time, lat, lon) on a frame: (time, y, x) float32 with coordinates time, x, y (km), lon, lat (y, x).

    Reads :data:`MAPS_READ` times at a time, and only the piece around the frame. NaN where missing or outside the map.
    ``progress`` is called with (maps done, maps in all).

    Raises
    ------
    InputError
        If the map does not reach the frame at all, or a file cannot be read.
    OptionError
        If ``method`` is neither "bicubic" nor "linear".
    """
    half_width = max(np.abs(frame.x).max(), np.abs(frame.y).max())
    box = _Box.of(frame.center, half_width)
    piece = _cut(variable.transpose("time", "lat", "lon"), box)
    axes = (np.asarray(piece[name].values, np.float64).tobytes() for name in ("lon", "lat"))
    regrid, lon, lat = _placed(*axes, frame, method, threading.get_ident())
    out = np.empty((piece.sizes["time"], *frame.shape), np.float32)
    n = out.shape[0]
    for first in range(0, n, MAPS_READ):
        for index, values in enumerate(piece.isel(time=slice(first, first + MAPS_READ)).values, first):
            out[index] = regrid(values)
            if progress is not None:
                progress(index + 1, n)
    kilometre = {"units": "km"}
    return xr.DataArray(
        out,
        dims=("time", "y", "x"),
        coords={
            "time": piece["time"].values,
            "y": ("y", frame.y, {**kilometre, "long_name": "north of the frame's centre"}),
            "x": ("x", frame.x, {**kilometre, "long_name": "east of the frame's centre"}),
            "lon": (("y", "x"), lon, {"units": "degrees_east", "standard_name": "longitude"}),
            "lat": (("y", "x"), lat, {"units": "degrees_north", "standard_name": "latitude"}),
        },
        name=variable.name,
        attrs=dict(variable.attrs),
    )


@functools.lru_cache(maxsize=8)
def _placed(lon: bytes, lat: bytes, frame: Frame, method: Method, thread: int) -> tuple[LonLatRegridder, np.ndarray, np.ndarray]:
    """The regridder from points (lon, lat: float64) to a frame, and the frame's positions: a product's maps come one by one.

    Each thread has its own: a regridder keeps what it finds of one map for the next.
    """
    regrid = LonLatRegridder(np.frombuffer(lon), np.frombuffer(lat), frame, method)
    positions = frame.positions(regrid.grid)
    for position in positions:
        position.setflags(write=False)
    return regrid, *positions


def square_bounds(center: tuple[float, float], half_width_km: float) -> tuple[float, float, float, float]:
    """West, east, south and north end, degrees, of a square frame about (lon, lat) that holds no pole.

    Longitudes lie within 180 degrees of the centre's, so that they may pass -180 or 180.
    """
    side = np.linspace(-half_width_km, half_width_km, SIDE_POINTS)
    edge = np.full(SIDE_POINTS, half_width_km)
    lon, lat = lon_lat(np.concatenate([side, side, -edge, edge]), np.concatenate([-edge, edge, side, side]), *center)
    return float(lon.min()), float(lon.max()), float(lat.min()), float(lat.max())


def around(dataset: xr.Dataset, center: tuple[float, float], half_width_km: float) -> xr.Dataset:
    """The piece (time, lat, lon) of a dataset that covers a square frame, with a margin where there is one.

    Longitudes of the result ascend without a jump, within 180 degrees of the centre's: across the date line they pass 180. Lazy.

    Parameters
    ----------
    center : (lon, lat)
        Degrees.
    half_width_km : float
        Half the side of the square, km east and north of the centre (:class:`~data.frame.Frame`).

    Raises
    ------
    InputError
        If the maps do not reach over the whole frame.
    """
    box = _Box.of(center, half_width_km)
    lon, lat = np.sort(unwrapped(dataset["lon"].values, center[0])), dataset["lat"].values
    tolerance = 1e-6
    inside = lon.size > 1 and lat.size > 1
    inside = inside and lon[0] <= box.west + tolerance and lon[-1] >= box.east - tolerance
    inside = inside and lat.min() <= box.south + tolerance and lat.max() >= box.north - tolerance
    # a regional file with its hole around the site has both ends beyond the box, but nothing between
    inside = inside and np.diff(lon[_range(lon, box.west, box.east, 0)]).max() < max(4 * np.median(np.diff(lon)), 0.5)
    if not inside:
        have = _region(dataset["lon"].values, lat)
        steps = (max(np.median(np.abs(np.diff(axis))) if axis.size > 1 else 0.25, 1e-3) for axis in (lon, lat))
        wide = box.with_margin(*steps)
        files = dataset.attrs.get("files", [])
        where = f"{files[0]}: " if len(files) == 1 else f"{files[0]} and {len(files) - 1} more: " if files else ""
        raise InputError(
            f"{where}the maps reach over {have}, and not over all of the {2 * half_width_km:g} km around {_place(*center)}; "
            f"give files for at least {wide}"
        )
    return _cut(dataset, box)


@dataclass(frozen=True)
class _Box:
    """Degrees that hold a frame; longitudes within 180 of ``center``'s."""

    center: float
    west: float
    east: float
    south: float
    north: float

    @classmethod
    def of(cls, center, half_width_km):
        lon0, lat0 = float(center[0]), float(center[1])
        reach = np.rad2deg(np.sqrt(2) * half_width_km / EARTH_RADIUS_KM)
        if not abs(lat0) <= 90 or not np.isfinite(lon0) or not half_width_km > 0:
            raise InputError(
                f"frame of {half_width_km:g} km around {lon0:g}, {lat0:g}: give LON,LAT in degrees and a positive width"
            )
        if abs(lat0) + reach >= 90:
            raise InputError(
                f"frame of {half_width_km:g} km around {_place(lon0, lat0)}: holds a pole; give a site farther from it"
            )
        return cls(lon0, *square_bounds((lon0, lat0), half_width_km))

    def with_margin(self, step_lon, step_lat) -> str:
        """The region to ask for, a few cells wider, in words."""
        ends = (self.west - 2 * step_lon, self.east + 2 * step_lon, self.south - 2 * step_lat, self.north + 2 * step_lat)
        west, east, south, north = (
            (np.floor if low else np.ceil)(10 * end) / 10 for end, low in zip(ends, (True, False, True, False))
        )
        return _words(west, east, south, north)


def _cut(data, box):
    """The part of a Dataset or DataArray over a box and a margin, with longitudes near the box's centre."""
    lon, lat = data["lon"].values.astype(np.float64), data["lat"].values.astype(np.float64)
    near = unwrapped(lon, box.center)
    order = np.argsort(near, kind="stable")
    columns = order[_range(near[order], box.west, box.east)]
    rows = np.argsort(lat, kind="stable")
    rows = rows[_range(lat[rows], box.south, box.north)]
    apart = near.max() < box.west or near.min() > box.east or lat.max() < box.south or lat.min() > box.north
    if apart or min(columns.size, rows.size) < 4:
        raise InputError(
            f"the maps reach over {_region(lon, lat)}, and not over the frame, which needs "
            f"{box.with_margin(0.1, 0.1)}; give files for that region"
        )
    cut = data.isel(lat=as_slice(rows), lon=as_slice(columns))
    return cut.assign_coords(lon=("lon", near[columns], data["lon"].attrs))


def as_slice(index: np.ndarray) -> np.ndarray | slice:
    """Numbers one after another as a slice, which copies nothing."""
    return slice(int(index[0]), int(index[-1]) + 1) if (np.diff(index) == 1).all() else index


def _range(axis, low, high, margin=MARGIN_CELLS):
    """Slice of an ascending axis that covers low..high and a margin, in cells."""
    first = np.searchsorted(axis, low, "right") - 1 - margin
    last = np.searchsorted(axis, high, "left") + 1 + margin
    return slice(max(first, 0), max(last, 0))


def unwrapped(lon, center) -> np.ndarray:
    """Longitudes moved by whole turns to within 180 degrees of ``center``; those already there keep their exact value."""
    lon = np.asarray(lon, np.float64)
    return lon - 360.0 * np.round((lon - center) / 360.0)


def _region(lon, lat):
    lon, lat = np.asarray(lon, np.float64), np.asarray(lat, np.float64)
    return _words(lon.min(), lon.max(), lat.min(), lat.max())


def _words(west, east, south, north):
    return f"longitudes {west:g} to {east:g}, latitudes {south:g} to {north:g}"


def _place(lon, lat):
    return f"{abs(lat):g}{'N' if lat >= 0 else 'S'} {abs(lon):g}{'E' if lon >= 0 else 'W'}"
