"""Inputs of the networks: the three input sets of the paper, their sampling in time, and their effective resolution."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.interpolate import make_interp_spline
from scipy.ndimage import gaussian_filter

from data.frame import fill_nearest
from learning.input_sets import INPUT_SETS as INPUT_SETS
from learning.input_sets import LAGS_DAYS as LAGS_DAYS
from learning.input_sets import SSH_RESOLUTION_KM as SSH_RESOLUTION_KM
from learning.input_sets import SST_RESOLUTION_KM as SST_RESOLUTION_KM
from learning.input_sets import InputName as InputName
from learning.input_sets import Method as Method


@dataclass(frozen=True)
class InputSpec:
    """The inputs of a network; written into its weights, and needed to cut the same ones again.

    Attributes
    ----------
    name : str
        One of :data:`INPUT_SETS`.
    lags_days : tuple of int
        Samples, days before the end of the collection period, in the order of the channels.
    resolution_km : dict
        Effective resolution by variable; those not named are used as they are.
    method : str
        How a field is brought to its resolution, see :func:`to_resolution`.
    """

    name: str
    lags_days: tuple[int, ...] = LAGS_DAYS
    resolution_km: dict[str, float] = field(default_factory=dict)
    method: Method = "spline"

    @classmethod
    def of(
        cls,
        name: str,
        ssh_km: float = SSH_RESOLUTION_KM,
        sst_km: float = SST_RESOLUTION_KM,
        *,
        lags_days: tuple[int, ...] = LAGS_DAYS,
        method: Method = "spline",
    ) -> InputSpec:
        """The set ``name``; the resolutions (km) apply to ``sst-ssh`` alone, as in the paper."""
        resolution = {"ssh": float(ssh_km), "temp": float(sst_km)} if name == "sst-ssh" else {}
        return cls(name, tuple(lags_days), resolution, method)

    @property
    def variables(self) -> tuple[tuple[str, float | None], ...]:
        """(variable, depth) of each field of one instant."""
        return INPUT_SETS[self.name]

    @property
    def n_channels(self) -> int:
        """Channels of a sample, the particle source left out: instants x variables, instants slowest."""
        return len(self.lags_days) * len(self.variables)


def to_resolution(field: np.ndarray, spacing_km: float, resolution_km: float, method: Method = "spline") -> np.ndarray:
    """Fields (..., y, x) of a lattice of ``spacing_km`` as an instrument of ``resolution_km`` would show them.

    ``spline``: samples about ``resolution_km`` apart (the nearest spacing that divides the lattice's width, its edges included)
    and the bicubic interpolating spline through them, as the paper under-samples and interpolates. ``gaussian``: a Gaussian
    whose full width at half maximum is ``resolution_km``. Missing values (NaN) are filled from the nearest known ones for
    the purpose and stay missing. A resolution at or below the spacing changes nothing. Returns float32.
    """
    field = np.asarray(field, np.float32)
    if resolution_km <= spacing_km:
        return field
    missing = ~np.isfinite(field)
    if missing.any():
        field = fill_missing(field)
    if method == "gaussian":
        sigma = resolution_km / spacing_km / np.sqrt(8 * np.log(2))
        out = gaussian_filter(field, [0] * (field.ndim - 2) + [sigma, sigma], mode="nearest")
    else:
        rows, columns = (_resampling(n, spacing_km, resolution_km) for n in field.shape[-2:])
        out = rows @ field @ columns.T
    return np.where(missing, np.nan, out).astype(np.float32)


def _resampling(n: int, spacing_km: float, resolution_km: float) -> np.ndarray:
    """(n, n) float32 matrix: a cubic spline's samples at the coarse points, and the spline through those at the fine ones."""
    fine = np.arange(n) * spacing_km
    coarse = np.linspace(0, fine[-1], max(4, round(fine[-1] / resolution_km) + 1))
    down = make_interp_spline(fine, np.eye(n), k=3)(coarse)
    up = make_interp_spline(coarse, np.eye(coarse.size), k=3)(fine)
    return (up @ down).astype(np.float32)


def fill_missing(field: np.ndarray) -> np.ndarray:
    """Each NaN of maps (..., y, x) replaced by the nearest known value of its map; 0 where a map has none."""
    out = np.array(field)
    for index in np.ndindex(out.shape[:-2]):
        missing = ~np.isfinite(out[index])
        if missing.any():
            out[index] = fill_nearest(out[index], missing)
    return out


@dataclass(frozen=True, eq=False)
class Normalisation:
    """Mean and standard deviation of each (variable, depth), from training data alone.

    Attributes
    ----------
    mean, std : (variable,) float32
    anomaly_std : (variable,) float32, or None where not known
        Standard deviation about each map's own mean, which a network that centres its inputs sees.
    """

    mean: np.ndarray
    std: np.ndarray
    anomaly_std: np.ndarray | None = None

    @classmethod
    def of(cls, fields: np.ndarray) -> Normalisation:
        """The normalisation of fields (time, variable, y, x); NaN are left out. A constant field gets std 1."""
        mean = np.asarray(np.nanmean(fields, axis=(0, 2, 3), dtype=np.float64))
        std = np.nanstd(fields, axis=(0, 2, 3), dtype=np.float64)
        within = np.nanmean([np.nanvar(maps, axis=(1, 2), dtype=np.float64) for maps in fields], axis=0) ** 0.5
        std, within = (np.asarray(np.where(deviation > 0, deviation, 1.0), np.float32) for deviation in (std, within))
        return cls(mean.astype(np.float32), std, within)

    def __call__(self, windows: np.ndarray) -> np.ndarray:
        """(..., variable, y, x) normalised; missing values become 0, the mean."""
        return np.nan_to_num((windows - self.mean[:, None, None]) / self.std[:, None, None], copy=False)
