"""Geostrophic velocity from maps of sea surface height on a regular lon-lat grid."""

from __future__ import annotations

import numpy as np
import xarray as xr

from data.errors import InputError, need
from data.sphere import EARTH_RADIUS_KM

GRAVITY = 9.81  # m/s2
EARTH_ROTATION = 7.292115e-5  # 1/s
#: Geostrophy fails near the equator; no velocity is given closer to it than this.
EQUATOR_BAND_DEG = 5.0
#: Weights at +1, +2, ... cells of the centred first derivative, by the number of points of the stencil (Fornberg 1988,
#: doi:10.1090/S0025-5718-1988-0935077-0). DUACS uses 9 points (Arbic et al. 2012, doi:10.1029/2011JC007367).
STENCILS = {
    3: (1 / 2,),
    5: (2 / 3, -1 / 12),
    7: (3 / 4, -3 / 20, 1 / 60),
    9: (4 / 5, -1 / 5, 4 / 105, -1 / 280),
}


def geostrophic_velocity(ssh: xr.DataArray, *, stencil: int = 9) -> tuple[xr.DataArray, xr.DataArray]:
    """Velocity u = -(g/f) dh/dy, v = (g/f) dh/dx of the height h on the sphere.

    Parameters
    ----------
    ssh : (..., lat, lon), m
        Height above the geoid (adt); from anomalies (sla), velocity anomalies. Coordinates lat and lon in degrees, ascending,
        evenly spaced. Where lon goes round the Earth, differences are taken across the seam.
    stencil : 9, 7, 5 or 3
        Points of the centred difference. Beside land, gaps and the edge of the map the widest narrower one that fits is taken.

    Returns
    -------
    u, v : (..., lat, lon), m/s
        East and north. NaN where a neighbour needed by the narrowest stencil is missing, and within 5 degrees of the equator.
        Lazy where ``ssh`` is.

    Raises
    ------
    InputError
        If lat or lon is not evenly spaced.
    OptionError
        If there is no such stencil.
    """
    need(stencil in STENCILS, f"stencil of {stencil} points: give one of {', '.join(map(str, STENCILS))}")
    lat, lon = ssh["lat"].values.astype(np.float64), ssh["lon"].values.astype(np.float64)
    spacing_lat, spacing_lon = _spacing(lat, "lat"), _spacing(lon, "lon")
    round_the_earth = abs(lon.size * spacing_lon - 360) < 0.01 * spacing_lon
    metre_per_degree = 1000 * EARTH_RADIUS_KM * np.pi / 180
    with np.errstate(divide="ignore"):
        g_over_f = GRAVITY / (2 * EARTH_ROTATION * np.sin(np.deg2rad(lat)))
    g_over_f = np.where(np.abs(lat) < EQUATOR_BAND_DEG, np.nan, g_over_f)[:, None]
    dy = metre_per_degree * spacing_lat
    dx = metre_per_degree * spacing_lon * np.cos(np.deg2rad(lat))[:, None]

    def velocity(height):
        height = np.asarray(height, np.float64)
        u = -g_over_f * derivative(height, -2, stencil) / dy
        v = g_over_f * derivative(height, -1, stencil, periodic=round_the_earth) / dx
        return u, v

    whole = ssh.chunk({"lat": -1, "lon": -1}) if ssh.chunks is not None else ssh
    u, v = xr.apply_ufunc(
        velocity,
        whole,
        input_core_dims=[["lat", "lon"]],
        output_core_dims=[["lat", "lon"], ["lat", "lon"]],
        dask="parallelized",
        output_dtypes=[np.float64, np.float64],
    )
    for field, name, towards in ((u, "u", "eastward"), (v, "v", "northward")):
        field.name = name
        field.attrs = {"units": "m s-1", "standard_name": f"surface_geostrophic_{towards}_sea_water_velocity"}
    return u.transpose(*ssh.dims), v.transpose(*ssh.dims)


def derivative(field: np.ndarray, axis: int, stencil: int = 9, *, periodic: bool = False) -> np.ndarray:
    """Centred first difference per cell along ``axis``, by the widest stencil up to ``stencil`` points whose points are known."""
    field = np.moveaxis(np.asarray(field, np.float64), axis, -1)
    n, reach = field.shape[-1], stencil // 2
    if periodic:
        padded = np.take(field, np.arange(-reach, n + reach), axis=-1, mode="wrap")
    else:
        padded = np.pad(field, [(0, 0)] * (field.ndim - 1) + [(reach, reach)], constant_values=np.nan)
    differences = [padded[..., reach + k : reach + k + n] - padded[..., reach - k : reach - k + n] for k in range(1, reach + 1)]
    out = np.full(field.shape, np.nan)
    for points in sorted(STENCILS):
        if points <= stencil:
            value = sum(weight * difference for weight, difference in zip(STENCILS[points], differences))
            # without the centre, an islet of one cell would be given a velocity
            both_known = np.isfinite(value) & np.isfinite(field)
            out = np.where(both_known, value, out)
    return np.moveaxis(out, -1, axis)


def compare_geostrophy(dataset: xr.Dataset, *, stencil: int = 9) -> dict:
    """How far velocities from ``ssh`` are from the product's own.

    dataset: (time, lat, lon) with ssh (m), ugos and vgos (m/s), as :func:`data.satellite.open_ssh` gives it. Returns, for "u"
    and "v", a dict of ``correlation`` (Pearson), ``rms_difference`` and ``rms`` (of the product, m/s), over the ``n`` values
    known to both, each value counted once.

    Raises
    ------
    InputError
        If a variable is missing, or the two share fewer than two values.
    """
    lacking = [name for name in ("ssh", "ugos", "vgos") if name not in dataset]
    if lacking:
        raise InputError(
            f"no {' and no '.join(lacking)} to compare geostrophic velocities with; give files that hold adt, ugos, vgos"
        )
    result = {}
    for name, velocity in zip("uv", geostrophic_velocity(dataset["ssh"], stencil=stencil)):
        mine, theirs = velocity.values, dataset[f"{name}gos"].values
        finite = np.isfinite(mine) & np.isfinite(theirs)
        if finite.sum() < 2:
            raise InputError(f"{name}gos: no value to compare with away from land and the equator; give a larger region")
        mine, theirs = mine[finite].astype(np.float64), theirs[finite].astype(np.float64)
        result[name] = {
            "correlation": float(np.corrcoef(mine, theirs)[0, 1]),
            "rms_difference": float(np.sqrt(np.mean((mine - theirs) ** 2))),
            "rms": float(np.sqrt(np.mean(theirs**2))),
            "n": int(finite.sum()),
        }
    return result


def _spacing(axis, name):
    """Degrees between the points of an even axis."""
    steps = np.diff(axis)
    if steps.size < 1 or not (steps > 0).all() or np.ptp(steps) > 0.02 * steps.mean():
        raise InputError(f"{name}: not evenly spaced and ascending; geostrophic velocities need a regular lon-lat grid")
    return (axis[-1] - axis[0]) / (axis.size - 1)
