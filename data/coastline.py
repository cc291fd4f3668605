"""Land for maps, shipped with the package: no network is ever asked."""

from __future__ import annotations

from pathlib import Path

import cartopy
import numpy as np
import shapely
from cartopy.feature import NaturalEarthFeature

FOLDER = Path(__file__).resolve().parent / "coast"


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
    """Natural Earth land (1:50 million) for ``GeoAxes.add_feature``, read from the package's own files."""
    cartopy.config["pre_existing_data_dir"] = str(FOLDER)
    style = {"facecolor": "0.85", "edgecolor": "0.35", "linewidth": 0.5, **style}
    return NaturalEarthFeature("physical", "land", "50m", **style)
