"""The CF file of predicted catchments: catchment_w080.nc, one a sinking speed."""

from __future__ import annotations

import numpy as np
import xarray as xr

from data.sites import Site
from data.sphere import EARTH_RADIUS_KM, lon_lat
from data.times import timedelta_days
from lagrangian.binning import bin_centres
from lagrangian.design import TRAP_DEPTH as TRAP_DEPTH_M
from lagrangian.pdf import EXPORT_M

#: Inputs, as networks see them, this many training standard deviations from the mean lie outside what was learnt from; a
#: prediction with more than this share of them is flagged (a normal distribution has 0.27 %).
OUTSIDE_STD, OUTSIDE_SHARE = 3.0, 0.05
#: Bits of the variable ``flag``.
FLAGS = {
    1: "inputs_outside_the_training_range",
    2: "map_of_another_date_used",
    4: "no_sst_given_training_mean_used",
    8: "part_of_the_window_unknown",
}
#: Release and depth of the paper, for cards that do not tell (method.md section 2).
COLLECTION_DAYS = 10.0
PROJECTION = "azimuthal_equidistant"


def arrival(ends: np.ndarray, w: float, trap_depth: float, level: float, collection_days: float) -> np.ndarray:
    """Mean time at which the particles of collection periods stood at ``level`` (m), sinking at ``w`` (m/d) in still water."""
    back = collection_days / 2 + (trap_depth - level) / w
    return ends - timedelta_days(back)


def places(site: Site, axis: np.ndarray | None = None) -> dict:
    """Coordinates x, y (km from the trap) and lon, lat (degrees) of the points ``axis`` by ``axis``, km; default: the cells of
    the window."""
    axis = bin_centres() if axis is None else axis
    east, north = np.meshgrid(axis, axis)
    lon, lat = lon_lat(east, north, site.x, site.y)
    return {
        "y": ("y", axis, {"units": "km", "standard_name": "projection_y_coordinate", "axis": "Y",
              "long_name": "distance north of the trap"}),
        "x": ("x", axis, {"units": "km", "standard_name": "projection_x_coordinate", "axis": "X",
              "long_name": "distance east of the trap"}),
        "lon": (("y", "x"), lon, {"units": "degrees_east", "standard_name": "longitude"}),
        "lat": (("y", "x"), lat, {"units": "degrees_north", "standard_name": "latitude"}),
    }  # fmt: skip


def projection(site: Site) -> tuple:
    """The variable that a CF grid mapping names, of x and y about the trap."""
    return (), np.int32(0), {
        "grid_mapping_name": PROJECTION, "longitude_of_projection_origin": site.x, "latitude_of_projection_origin": site.y,
        "false_easting": 0.0, "false_northing": 0.0, "earth_radius": 1000 * EARTH_RADIUS_KM,
    }  # fmt: skip


def catchment_dataset(
    site: Site,
    w: float,
    ends: np.ndarray,
    pdf: np.ndarray,
    *,
    trap_depth: float = TRAP_DEPTH_M,
    level: float = EXPORT_M,
    collection_days: float = COLLECTION_DAYS,
    spread: np.ndarray | None = None,
    outside: np.ndarray | None = None,
    flag: np.ndarray | None = None,
    source: str = "",
    comment: str = "none",
) -> xr.Dataset:
    """Catchments (time, y, x) of collection periods that end at ``ends``, as the CF file of the contract holds them."""
    n = ends.size
    spread, outside = (np.zeros(n, np.float32) if values is None else values for values in (spread, outside))
    flag = np.zeros(n, np.int8) if flag is None else flag
    time = arrival(ends, w, trap_depth, level, collection_days)
    half = np.timedelta64(round(collection_days * 43200), "s")
    maps = ("time", "y", "x")
    flags = {
        "long_name": "what to know of a prediction", "flag_masks": np.array(list(FLAGS), np.int8),
        "flag_meanings": " ".join(FLAGS.values()),
    }  # fmt: skip
    return xr.Dataset(
        {
            "pdf": (maps, pdf, {"units": "1", "grid_mapping": PROJECTION, "coordinates": "lon lat depth",
                    "long_name": "probability that a particle caught by the trap came from the cell at the export depth"}),
            "spread": ("time", spread, {"units": "1", "long_name":
                       "mean Bhattacharyya loss of the ensemble's members against their median"}),
            "outside": ("time", outside.astype(np.float32), {"units": "1", "long_name":
                        f"share of the inputs, as the networks see them, more than {OUTSIDE_STD:g} standard deviations from the "
                        "mean of the training data"}),
            "flag": ("time", flag, flags),
            "window_end": ("time", ends.astype("datetime64[ns]"),
                           {"long_name": "end of the collection period, and date of the latest maps"}),
            "time_bnds": (("time", "bnds"), np.stack([time - half, time + half], axis=1).astype("datetime64[ns]")),
            PROJECTION: projection(site),
        },
        coords={
            "time": ("time", time.astype("datetime64[ns]"), {"standard_name": "time", "axis": "T", "bounds": "time_bnds",
                     "long_name": "mean arrival of the particles at the export depth"}),
            **places(site),
            "depth": ((), float(level), {"units": "m", "positive": "down", "standard_name": "depth",
                      "long_name": "export depth"}),
        },
        attrs={
            "title": "Predicted catchments of a sediment trap", "Conventions": "CF-1.8",
            "source": source,
            "references": "Picard et al. (2025), Biogeosciences, section 4",
            "sinking_speed_m_per_day": float(w), "trap_longitude": site.x, "trap_latitude": site.y,
            "trap_depth_m": trap_depth, "site": site.name, "comment": comment,
            "history": f"learning.predict, {np.datetime64('now')} UTC",
        },
    )  # fmt: skip
