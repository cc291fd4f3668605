"""Maps of SSH made worse as those of altimeters are: noise, smoothing in time, an error of the mean that never changes.

And charts of the sea floor, which are wrong where no ship has sounded.

The sizes are round figures of the kind that errors of gridded altimetry and mean dynamic topographies are given; they are fitted
to no product.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from learning.velocity.maps import Maps


@dataclass(frozen=True)
class Altimetry:
    """What is done to the maps of SSH.

    Attributes
    ----------
    noise, noise_km : float
        Standard deviation (m) and length (km, of a Gaussian) of errors that are new in every map.
    days : float
        Standard deviation of the Gaussian in time that every map is smoothed with.
    smooth_km : float
        Standard deviation of the Gaussian in space.
    mean, mean_km : float
        Standard deviation (m) and length (km) of an error that is the same in all maps: the mean flow is only estimated.
    chart, chart_km : float
        Standard deviation (m) and length (km) of the error of the depth of the sea floor.
    """

    noise: float = 0.0
    noise_km: float = 50.0
    days: float = 0.0
    smooth_km: float = 0.0
    mean: float = 0.0
    mean_km: float = 100.0
    chart: float = 0.0
    chart_km: float = 30.0


#: Rows of the table.
DEGRADED = {
    "noise of 2 cm": Altimetry(noise=0.02),
    "smoothed by 7 days": Altimetry(days=7.0),
    "mean wrong by 3 cm": Altimetry(mean=0.03),
    "all three, 40 km": Altimetry(noise=0.02, days=7.0, mean=0.03, smooth_km=40.0),
    "sea floor wrong by 50 m": Altimetry(chart=50.0),
}


def degraded(maps: Maps, altimetry: Altimetry, every_days: float, periodic: bool, seed: int = 0) -> Maps:
    """Maps (``every_days`` apart) whose SSH and sea floor are what ``altimetry`` leaves of them."""
    rng = np.random.default_rng([seed, 16])
    ssh = maps.values["ssh"].astype(np.float64)
    mode = "wrap" if periodic else "nearest"
    if altimetry.days:
        ssh = gaussian_filter1d(ssh, altimetry.days / every_days, axis=0, mode="nearest")
    if altimetry.smooth_km:
        sigma = altimetry.smooth_km / maps.spacing_km
        ssh = gaussian_filter(ssh, (0, sigma, sigma), mode=mode)
    ssh = ssh + _errors(rng, ssh.shape, altimetry.noise, altimetry.noise_km / maps.spacing_km, mode)
    ssh = ssh + _errors(rng, (1, *ssh.shape[1:]), altimetry.mean, altimetry.mean_km / maps.spacing_km, mode)
    worse = {"ssh": ssh.astype(np.float32)}
    if altimetry.chart:
        floor = maps.values["bathymetry"]
        error = _errors(rng, (1, *floor.shape[1:]), altimetry.chart, altimetry.chart_km / maps.spacing_km, mode)
        worse["bathymetry"] = (floor + error).astype(np.float32)
    return dataclasses.replace(maps, values={**maps.values, **worse})


def _errors(rng: np.random.Generator, shape: tuple[int, ...], size: float, points: float, mode: str) -> np.ndarray:
    """Gaussian errors of standard deviation ``size`` and length ``points``, independent from map to map."""
    if size == 0:
        return np.zeros(shape)
    rough = gaussian_filter(rng.standard_normal(shape), (0, points, points), mode=mode)
    return size * rough / rough.std(axis=(-2, -1), keepdims=True)
