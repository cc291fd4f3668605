"""How alike two catchment PDFs are, and what one is like (method.md section 4; paper sections 2.3 and 3).

Every function takes PDFs as numpy arrays (..., y, x) or DataArrays with dimensions ``y`` and ``x`` (others are broadcast by
name) and reduces y and x. A PDF sums to 1 minus the part of its particles that left the +-400 km box: nothing is re-normalised,
so that mass outside the box counts as not predicted and BL of a PDF with itself is then 1 - its sum. NaN anywhere in a PDF
gives NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import numpy as np
import xarray as xr

from lagrangian.binning import BIN_KM, VALID_BL, bin_centres

#: Full widths of the paper's boxes, km (method.md section 4): 12 x 12 and 24 x 24 cells.
BOXES_KM = {"box100": 96.0, "box200": 192.0}


def _by_map(outputs: int = 1) -> Callable:
    """Let a function of arrays (..., y, x) take DataArrays as well, broadcast by the names of their other dimensions."""

    def decorate(function):
        @wraps(function)
        def wrapped(*maps, **options):
            if not any(isinstance(one, xr.DataArray) for one in maps):
                return function(*(np.asarray(one) for one in maps), **options)
            return xr.apply_ufunc(
                lambda *arrays: function(*arrays, **options),
                *maps,
                input_core_dims=[["y", "x"]] * len(maps),
                output_core_dims=[[]] * outputs,
                dask="parallelized",
                output_dtypes=[np.float64] * outputs,
            )

        return wrapped

    return decorate


@_by_map()
def bhattacharyya_coefficient(p, q):
    """BC = sum sqrt(p q): 1 for equal PDFs, 0 for disjoint ones."""
    return np.sqrt(p * q).sum(axis=(-2, -1), dtype=np.float64)


@_by_map()
def bhattacharyya_loss(p, q):
    """BL = 1 - BC (method.md section 3): 0 for equal PDFs, 1 for disjoint ones."""
    return 1.0 - bhattacharyya_coefficient(p, q)


@_by_map()
def overlap(p, q):
    """F = sum min(p, q): the share of the true particles that the prediction holds, 0 to 1."""
    return np.minimum(p, q).sum(axis=(-2, -1), dtype=np.float64)


@_by_map()
def hellinger_distance(p, q):
    """sqrt(sum (sqrt p - sqrt q)^2 / 2), 0 to 1; equals sqrt(BL) where both sum to 1."""
    return np.sqrt(((np.sqrt(p) - np.sqrt(q)) ** 2).sum(axis=(-2, -1), dtype=np.float64) / 2)


@_by_map()
def jensen_shannon_distance(p, q):
    """Square root of the Jensen-Shannon divergence (natural logarithm), 0 to sqrt(ln 2); scipy normalises, this does not."""
    mean = 0.5 * (p + q)
    terms = _xlogx_over(p, mean) + _xlogx_over(q, mean)
    return np.sqrt(np.maximum(0.5 * terms.sum(axis=(-2, -1), dtype=np.float64), 0.0))


def _xlogx_over(p, q):
    """p ln(p / q), 0 where p is 0, NaN where p is."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(p == 0, 0.0, p * np.log(p / q))


@_by_map()
def entropy(p):
    """-sum p ln p, nats: ln(number of cells) of a uniform PDF over them."""
    return -_xlogx_over(p, np.ones(())).sum(axis=(-2, -1), dtype=np.float64)


@_by_map(2)
def _mass_centre(p, *, x, y):
    total = p.sum(axis=(-2, -1), dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (p.sum(axis=-2, dtype=np.float64) @ x) / total, (p.sum(axis=-1, dtype=np.float64) @ y) / total


def mass_centre(p, x=None, y=None):
    """Mean displacement (east, north) in km of the particles within the box; NaN for an empty PDF.

    x, y: bin centres in km (default: those of :func:`lagrangian.binning.bin_centres`).
    """
    return _mass_centre(p, x=bin_centres() if x is None else np.asarray(x), y=bin_centres() if y is None else np.asarray(y))


def mass_centre_distance(p, x=None, y=None):
    """Distance of the mass centre from the trap, km."""
    east, north = mass_centre(p, x, y)
    return np.hypot(east, north)


def is_valid(bl):
    """Whether BL < 0.3, as 1.0 or 0.0; NaN stays NaN."""
    valid = bl < VALID_BL
    if isinstance(bl, xr.DataArray):
        return valid.where(bl.notnull())
    return np.where(np.isnan(bl), np.nan, valid)


def valid_percent(bl) -> float:
    """Share of BL below 0.3, per cent, of those that are not NaN."""
    return float(100 * np.nanmean(is_valid(np.asarray(bl))))


def box_pdf(width_km: float, x=None, y=None) -> np.ndarray:
    """(y, x) uniform probability over the bins within a square of full width ``width_km`` about the trap."""
    x = bin_centres() if x is None else np.asarray(x)
    y = bin_centres() if y is None else np.asarray(y)
    inside = (np.abs(y)[:, None] < width_km / 2) & (np.abs(x)[None, :] < width_km / 2)
    if not inside.any():
        raise ValueError(f"a box of {width_km:g} km holds no bin of {BIN_KM:g} km")
    return inside / inside.sum()
