"""Land for maps, shipped with the package: no network is ever asked."""

from __future__ import annotations

from pathlib import Path

import cartopy
from cartopy.feature import NaturalEarthFeature

FOLDER = Path(__file__).resolve().parent / "coast"


def land_feature(**style) -> NaturalEarthFeature:
    """Natural Earth land (1:50 million) for ``GeoAxes.add_feature``, read from the package's own files."""
    cartopy.config["pre_existing_data_dir"] = str(FOLDER)
    style = {"facecolor": "0.85", "edgecolor": "0.35", "linewidth": 0.5, **style}
    return NaturalEarthFeature("physical", "land", "50m", **style)
