"""What a catchment file of learnt velocities tells beside its PDFs: mass on land, inputs unlike the training data, flags."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from data.ocean_names import is_idealised
from learning.velocity.maps import Maps
from learning.velocity.model import VelocityModel

#: Inputs farther than this from 0, in training standard deviations, are far, and a date with more than this share of them is
#: flagged; bits of ``flag``, as :data:`learning.catchment_file.FLAGS`.
OUTSIDE_STD, OUTSIDE_SHARE = 3.0, 0.05
OUTSIDE, NO_SST, UNKNOWN = 1, 4, 8
#: Share of a catchment on land that is not worth a line.
LEAST_ON_LAND = 1e-3


def outside_share(model: VelocityModel, maps: Maps, instants: np.ndarray) -> np.ndarray:
    """(instant,) float32 share of what the networks see about each instant that is far from what they learnt from."""
    scale = model.card["map_scale"]
    return np.array(
        [(np.abs(maps.stack(maps.instants(one), scale)) > OUTSIDE_STD).mean() for one in instants], np.float32
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
    mass = dataset["pdf"].values[:, land].sum(axis=1, dtype=np.float64).astype(np.float32)
    out = dataset.copy()
    if remove and land.any():
        for name in names:
            pdf = np.where(land, 0, dataset[name].values)
            left = pdf.sum(axis=(1, 2), keepdims=True, dtype=np.float64)
            out[name] = dataset[name].dims, np.where(left > 1e-6, pdf / np.maximum(left, 1e-6), np.nan).astype(np.float32)
            out[name].attrs = dataset[name].attrs
    kept = "taken away, and the rest brought to sum 1" if remove else "part of pdf"
    told = {"units": "1", "long_name": "share of the probability that was predicted on land", "comment": kept}
    out["mass_on_land"] = "time", mass, told
    mask = {"units": "1", "standard_name": "land_binary_mask", "coordinates": "lon lat"}
    if "grid_mapping" in dataset["pdf"].attrs:
        mask["grid_mapping"] = dataset["pdf"].attrs["grid_mapping"]
    out["land"] = ("y", "x"), land.astype(np.int8), mask
    return out


def notes_of(dataset: xr.Dataset, w: float, *, removed: bool) -> list[str]:
    """Lines for the user on mass on land and on dates whose inputs are unlike the training data."""
    lines = []
    mass = dataset["mass_on_land"].values
    if mass.max(initial=0.0) > LEAST_ON_LAND:
        fate = "taken away, the rest brought to sum 1" if removed else "--no-land-mass takes it away"
        lines.append(
            f"at {w:g} m/d {100 * mass.mean():.2g} % of the predicted mass lies on land (at most {100 * mass.max():.2g} %; "
            f"mass_on_land of the file): {fate}"
        )
    flagged = int(((dataset["flag"].values & OUTSIDE) > 0).sum())
    if flagged:
        lines.append(
            f"{flagged} of {mass.size} predictions at {w:g} m/d have inputs outside the training range (evaluation.correlation "
            "--exclude-flags outside leaves them out)"
        )
    return lines
