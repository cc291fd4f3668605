"""Facts beside the PDFs in a catchment file of learnt velocities: mass on land, inputs unlike the training data, flags."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from data.ocean_names import is_idealised
from learning.land import land_notes, mass_on_land, without_land
from learning.velocity.maps import Maps
from learning.velocity.model import VelocityModel

#: Inputs farther than this from 0, in training standard deviations, are far, and a date with more than this share of them is
#: flagged; bits of ``flag``, as :data:`learning.catchment_file.FLAGS`.
OUTSIDE_STD, OUTSIDE_SHARE = 3.0, 0.05
OUTSIDE, NO_SST, UNKNOWN = 1, 4, 8


def outside_share(model: VelocityModel, maps: Maps, instants: np.ndarray) -> np.ndarray:
    """(instant,) float32 share of the networks' inputs about each instant that lies far outside the training data."""
    scale = model.card["map_scale"]
    return np.array(
        [(np.abs(maps.stack(maps.instants(instant), scale)) > OUTSIDE_STD).mean() for instant in instants], np.float32
    )  # fmt: skip


def flags(outside: np.ndarray, *, has_sst: bool, all_known: bool) -> np.ndarray:
    """(time,) int8 bits of ``flag``."""
    always = (0 if has_sst else NO_SST) | (0 if all_known else UNKNOWN)
    return (np.where(outside > OUTSIDE_SHARE, OUTSIDE, 0) | always).astype(np.int8)


def with_land(dataset: xr.Dataset, maps_source: str, *, remove: bool, names: Sequence[str] = ("pdf", "pdf_root")) -> xr.Dataset:
    """A catchment file with ``land`` (y, x) and ``mass_on_land`` (time) of ``pdf``.

    With ``remove`` the PDFs ``names`` are without what lies there, and sum to 1 again; one that lies on land alone becomes NaN.
    Maps of an idealised ocean have no land, wherever they claim to lie.
    """
    from data.coastline import on_land  # slow to import

    idealised = is_idealised(maps_source)
    lon, lat = dataset["lon"].values, dataset["lat"].values
    land = np.zeros(lon.shape, bool) if idealised else on_land(lon, lat)
    mass = mass_on_land(dataset["pdf"].values, land)
    out = dataset.copy()
    if remove and land.any():
        for name in names:
            out[name] = dataset[name].dims, without_land(dataset[name].values, land)
            out[name].attrs = dataset[name].attrs
    comment = "taken away, and the rest brought to sum 1" if remove else "part of pdf"
    attributes = {"units": "1", "long_name": "share of the probability that was predicted on land", "comment": comment}
    out["mass_on_land"] = "time", mass, attributes
    mask = {"units": "1", "standard_name": "land_binary_mask", "coordinates": "lon lat"}
    if "grid_mapping" in dataset["pdf"].attrs:
        mask["grid_mapping"] = dataset["pdf"].attrs["grid_mapping"]
    out["land"] = ("y", "x"), land.astype(np.int8), mask
    return out


def notes_of(dataset: xr.Dataset, w: float, *, removed: bool) -> list[str]:
    """Lines for the user on mass on land and on dates whose inputs are unlike the training data."""
    mass = dataset["mass_on_land"].values
    lines = land_notes(mass, w, removed)
    flagged = int(((dataset["flag"].values & OUTSIDE) > 0).sum())
    if flagged:
        lines.append(
            f"{flagged} of {mass.size} predictions at {w:g} m/d have inputs outside the training range (evaluation.correlation "
            "--exclude-flags outside leaves them out)"
        )
    return lines
