"""Meridians and parallels of a map in true metres, with their labels at its left and bottom edges.

Cartopy's own gridliner asks shapely where its lines and labels lie, anew whenever a figure is laid out or drawn, and leaves out
lines near the date line and the poles. On axes with straight edges a line's points, and where it crosses an edge, are a few sums.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cartopy.crs as ccrs
import numpy as np
from cartopy.mpl.ticker import LatitudeFormatter, LatitudeLocator, LongitudeFormatter, LongitudeLocator
from matplotlib.collections import LineCollection

#: Points of a line.
POINTS = 181
#: Width of a letter and height of a line of labels, in sizes of their letters.
LETTER, LINE = 0.65, 1.5
#: Meridians and parallels at most, about.
MOST = 8


def draw_globe_lines(axes, size: float, sides: Sequence[str]) -> None:
    """Draw them on GeoAxes whose limits are set.

    Parameters
    ----------
    axes : cartopy.mpl.geoaxes.GeoAxes
        Of an azimuthal projection whose centre is within the limits.
    size : float
        Of the labels, points.
    sides : sequence of str
        Where labels stand: "left" (parallels), "bottom" (meridians).
    """
    plate = ccrs.PlateCarree(globe=axes.projection.globe)
    longitudes, latitudes = _extent(axes, plate)
    axes.apply_aspect()  # else a narrow map would have the width of its whole place
    box = axes.get_position()
    width, height = (
        72 * part / axes.figure.dpi for part in (axes.figure.bbox.width * box.width, axes.figure.bbox.height * box.height)
    )
    about_pole = longitudes[1] - longitudes[0] > 180
    meridians = _ticks(LongitudeLocator, longitudes, MOST if about_pole else width / (6 * LETTER * size))
    parallels = _ticks(LatitudeLocator, latitudes, height / (LINE * size))
    parallels = parallels[np.abs(parallels) < 90]  # a pole is a point
    along_meridian, along_parallel = _beyond(latitudes, -90.0, 90.0), _beyond(longitudes)
    for side, values, formatter in (("bottom", meridians, LongitudeFormatter()), ("left", parallels, LatitudeFormatter())):
        lines = [
            _points(axes, plate, np.full(POINTS, one), along_meridian)
            if side == "bottom"
            else _points(axes, plate, along_parallel, np.full(POINTS, one))
            for one in values
        ]
        axes.add_collection(LineCollection(lines, linewidths=0.4, colors="0.3", alpha=0.5, zorder=4), autolim=False)
        if side in sides:
            formatter.set_locs(values)
            found = _crossings(axes, side, zip(map(formatter, values), lines, strict=True))
            least = {"bottom": LETTER / width, "left": LINE / height}[side] * size
            _label(axes.xaxis if side == "bottom" else axes.yaxis, found, least, size)


def _extent(axes, plate) -> tuple[tuple[float, float], tuple[float, float]]:
    """Degrees that the axes reach to: (west, east), which may lie beyond 180, and (south, north)."""
    limits = axes.get_xlim(), axes.get_ylim()
    x, y = (np.linspace(low, high, POINTS) for low, high in limits)
    edges = [(x, np.full(POINTS, one)) for one in limits[1]] + [(np.full(POINTS, one), y) for one in limits[0]]
    lon, lat, _ = plate.transform_points(axes.projection, *np.concatenate(edges, axis=1)).T
    center = plate.transform_point(0.0, 0.0, axes.projection)[0]
    lon = center + (lon - center + 180) % 360 - 180
    extent = (float(lon.min()), float(lon.max())), (float(lat.min()), float(lat.max()))
    for pole in (-90.0, 90.0):  # a pole within the edges has every meridian about it
        at = axes.projection.transform_point(0.0, pole, plate)
        if all(low <= value <= high for value, (low, high) in zip(at, limits, strict=True)):
            extent = (center - 180, center + 180), (min(pole, extent[1][0]), max(pole, extent[1][1]))
    return extent


def _ticks(locator, limits: tuple[float, float], room: float) -> np.ndarray:
    """Round degrees between the limits, about as many as there is room for."""
    values = np.asarray(locator(nbins=int(np.clip(room, 2, MOST))).tick_values(*limits))
    return values[(values >= limits[0]) & (values <= limits[1])]


def _points(axes, plate, lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """(point, 2) of a line in the axes' metres."""
    return axes.projection.transform_points(plate, lon, lat)[:, :2]


def _beyond(limits: tuple[float, float], least: float = -np.inf, most: float = np.inf) -> np.ndarray:
    """(POINTS,) degrees of a line that reaches a little beyond the limits, so that it crosses the edges of the map."""
    margin = 0.02 * (limits[1] - limits[0])
    return np.linspace(max(limits[0] - margin, least), min(limits[1] + margin, most), POINTS)


def _crossings(axes, side: str, lines: Iterable[tuple[str, np.ndarray]]) -> list[tuple[float, float, str]]:
    """Where lines cross an edge: part of its length, metres, name; in order."""
    across, along = (1, 0) if side == "bottom" else (0, 1)
    limits = axes.get_xlim(), axes.get_ylim()
    edge, (low, high) = limits[across][0], limits[along]
    found = []
    for name, points in lines:
        beyond = points[:, across] - edge
        for i in np.flatnonzero((beyond[:-1] < 0) != (beyond[1:] < 0)):
            share = beyond[i] / (beyond[i] - beyond[i + 1])
            at = float(points[i, along] + share * (points[i + 1, along] - points[i, along]))
            if low <= at <= high:
                found.append(((at - low) / (high - low), at, name))
    return sorted(found)


def _label(axis, found: list[tuple[float, float, str]], least: float, size: float) -> None:
    """Put names to an axis where the one before leaves room; ``least``: of a letter or a line, in parts of the axis."""
    kept: list[tuple[float, float, str]] = []
    for one in found:
        room = least * (len(one[2]) + len(kept[-1][2]) + 1) / 2 if kept and axis.axis_name == "x" else least
        if not kept or one[0] - kept[-1][0] >= room:
            kept.append(one)
    axis.set_visible(True)
    axis.set_ticks([at for _, at, _ in kept], labels=[name for *_, name in kept])
    axis.set_tick_params(labelsize=size, length=2, width=0.5)
