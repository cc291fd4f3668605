"""Land for maps, shipped with the package: no network is ever asked."""

from __future__ import annotations

import functools
from pathlib import Path

import cartopy.crs
import numpy as np
import shapely
from cartopy.feature import NaturalEarthFeature

FOLDER = Path(__file__).resolve().parent / "coast"
#: Colour and width of the coast.
SHORE, SHORE_WIDTH = "0.35", 0.5
#: Length, degrees, of pieces of the coast that are drawn straight: edges of polygons are straight in longitude and latitude.
STEP = 0.25
#: Degrees from 180, or from a pole, within which a corner of a polygon lies on it.
ON_CUT = 1e-3


def on_land(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """Whether positions (degrees, any shape) lie on Natural Earth's land (1:50 million): bool."""
    lon, lat = np.mod(np.asarray(lon, np.float64) + 180, 360) - 180, np.asarray(lat, np.float64)
    inside = np.zeros(lon.shape, bool)
    extent = shapely.box(lon.min(), lat.min(), lon.max(), lat.max())
    for part in land_feature().geometries():
        if part.intersects(extent):
            shapely.prepare(part)
            inside |= shapely.contains_xy(part, lon, lat)
    return inside


def land_feature(**style) -> NaturalEarthFeature:
    """Natural Earth land (1:50 million) for ``GeoAxes.add_feature``, read from the package's own files.

    Its polygons are cut at 180 degrees, and Antarctica's goes round the edge of the plane of longitudes and latitudes. Where a
    map shows these cuts (:func:`shows_cuts`), edges of the polygons follow them, and :func:`shore_in` alone is coast.
    """
    cartopy.config["pre_existing_data_dir"] = str(FOLDER)
    style = {"facecolor": "0.85", "edgecolor": SHORE, "linewidth": SHORE_WIDTH, **style}
    return NaturalEarthFeature("physical", "land", "50m", **style)


def shore_in(axes) -> np.ndarray:
    """(n, 2) points of the coast of :func:`land_feature` in axes of a projection and around them, NaN where the line breaks off.

    It has no line where polygons are cut.
    """
    at = _shore()
    points = axes.projection.transform_points(cartopy.crs.PlateCarree(), *at.T)[:, :2]
    middle, half = np.array([(np.mean(ends), np.ptp(ends) / 2) for ends in (axes.get_xlim(), axes.get_ylim())]).T
    points[~(np.abs(points - middle) < 1.5 * half).all(axis=1)] = np.nan
    gap = np.isnan(points[:, 0])
    return points[~(gap & np.append(True, gap[:-1]))]


def shows_cuts(axes) -> bool:
    """Whether axes of a projection show a part of the meridian at 180 degrees, poles and all."""
    lat = np.linspace(-90, 90, 1801)
    x, y, _ = axes.projection.transform_points(cartopy.crs.PlateCarree(), np.full(lat.size, 180.0), lat).T
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    return bool(((x >= left) & (x <= right) & (y >= bottom) & (y <= top)).any())


@functools.cache
def _shore() -> np.ndarray:
    """(n, 2) degrees of the boundaries of all land; NaN between them, and in place of what runs along 180 degrees or a pole."""
    lines = []
    for ring in shapely.get_rings(list(land_feature().geometries())):
        at = shapely.get_coordinates(shapely.segmentize(ring, STEP))
        edge = (np.abs(np.abs(at[:, 0]) - 180) < ON_CUT) | (np.abs(at[:, 1]) > 90 - ON_CUT)
        lines += [np.insert(at, np.flatnonzero(edge[:-1] & edge[1:]) + 1, np.nan, axis=0), np.full((1, 2), np.nan)]
    return np.concatenate(lines)
