"""How alike two catchment PDFs are, and what one is like (method.md section 4; paper sections 2.3 and 3).

Every score has one signature: ``score(p, q, *, reduce_dims=None, preserve_dims=None, weights=None)`` of two PDFs, or
``score(p, *, ...)`` of one.

p, q : (..., y, x) float
    Probability by bin, as numpy arrays, or as DataArrays with dimensions ``y`` and ``x`` in any place; other dimensions are
    broadcast, arrays' by place and DataArrays' by name. A dask array stays lazy. y and x are always reduced.
reduce_dims, preserve_dims : str, int, a sequence of them, or "all"; keyword-only
    Dimensions over which the scores are then averaged, or those that are kept, all others being averaged; not both. Names for
    DataArrays, axis numbers of the scores (y and x gone) for arrays. By default nothing is averaged.
weights : array or DataArray, keyword-only
    Of the average, 0 or greater, broadcast to the scores; refused where nothing is averaged.

NaN
    anywhere in a PDF makes its score NaN. An average leaves NaN scores out, with their weight; of none at all it is NaN.
Mass outside the box
    A PDF sums to 1 minus the part of its particles that left the +-400 km box. Nothing is re-normalised, so that mass outside
    counts as not predicted: BL of a PDF with itself is 1 - its sum. Exceptions, said where they are: the mass centre and the
    earth mover's distance, which are of the particles within the box.
Errors
    ValueError: both of reduce_dims and preserve_dims, a dimension that the scores do not have, weights that are negative,
    NaN or without anything to average.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import wraps
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from scipy.special import entr, rel_entr

from data.errors import CatchmentError
from lagrangian.binning import BIN_KM, VALID_BL, bin_centres
from lagrangian.pdf import BOXES_KM as BOXES_KM
from lagrangian.pdf import in_box

if TYPE_CHECKING:
    from data.shapes import Pdfs, Scores

#: Cells that PDFs are summed over before mass is moved between them, km: 20 x 20 cells, and 10 ms a pair.
MOVED_CELL_KM = 40.0
Dims = str | int | Sequence[Hashable] | None


def average(values, *, reduce_dims: Dims = None, preserve_dims: Dims = None, weights=None):
    """Scores averaged over some of their dimensions, as the module's docstring says."""
    if reduce_dims is not None and preserve_dims is not None:
        raise ValueError("give reduce_dims or preserve_dims, not both")
    labelled = isinstance(values, xr.DataArray)
    dims = tuple(values.dims) if labelled else tuple(range(np.ndim(values)))
    if preserve_dims is None:
        over = _named(reduce_dims, dims)
    else:
        preserved = _named(preserve_dims, dims)
        over = tuple(dim for dim in dims if dim not in preserved)
    if weights is not None:
        if not over:
            raise ValueError("weights are of an average: give reduce_dims or preserve_dims as well")
        plain = np.asarray(weights)
        if not (plain >= 0).all():
            raise ValueError("weights must be 0 or greater, and not NaN")
    if not over:
        return values
    if labelled:
        if weights is not None and not isinstance(weights, xr.DataArray):
            weights = xr.DataArray(np.broadcast_to(plain, values.shape), dims=values.dims)
        return values.mean(over) if weights is None else values.weighted(weights).mean(over)
    values = np.asarray(values, np.float64)
    weights = np.broadcast_to(1.0 if weights is None else plain, values.shape)
    finite = np.isfinite(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(finite, weights * values, 0.0).sum(axis=over) / np.where(finite, weights, 0.0).sum(axis=over)


def _named(wanted: Dims, dims: tuple) -> tuple:
    """``wanted`` as some of ``dims``; ValueError for an unknown dimension."""
    if isinstance(wanted, str) and wanted == "all":
        return dims
    wanted = () if wanted is None else (wanted,) if isinstance(wanted, str | int) else tuple(wanted)
    places = tuple(dim + len(dims) if isinstance(dim, int) and dim < 0 else dim for dim in wanted)
    unknown = [dim for dim in places if dim not in dims]
    if unknown:
        raise ValueError(f"no dimension {', '.join(map(str, unknown))} in scores of {', '.join(map(str, dims)) or 'none'}")
    return places


def _by_map(maps: int, outputs: int = 1) -> Callable:
    """Give a function of ``maps`` arrays (..., y, x) the signature of the module's docstring; options are passed on."""

    def decorate(function):
        @wraps(function)
        def wrapped(*given, reduce_dims: Dims = None, preserve_dims: Dims = None, weights=None, **options):
            if len(given) != maps:
                raise TypeError(
                    f"{function.__name__} takes {maps} PDF{'s' * (maps > 1)}, {len(given)} given; the rest by keyword"
                )
            if any(isinstance(array, xr.DataArray) for array in given):
                score = xr.apply_ufunc(
                    lambda *arrays: function(*arrays, **options),
                    *given,
                    input_core_dims=[["y", "x"]] * maps,
                    output_core_dims=[[]] * outputs,
                    dask="parallelized",
                    output_dtypes=[np.float64] * outputs,
                )
            else:
                score = function(*(np.asarray(array) for array in given), **options)
            how = {"reduce_dims": reduce_dims, "preserve_dims": preserve_dims, "weights": weights}
            return average(score, **how) if outputs == 1 else tuple(average(part, **how) for part in score)

        return wrapped

    return decorate


@_by_map(2)
def bhattacharyya_coefficient(p: Pdfs, q: Pdfs) -> Scores:
    """BC = sum sqrt(p q): 1 for equal PDFs, 0 for disjoint ones (Bhattacharyya 1943)."""
    return np.sqrt(p * q).sum(axis=(-2, -1), dtype=np.float64)


@_by_map(2)
def bhattacharyya_loss(p: Pdfs, q: Pdfs) -> Scores:
    """BL = 1 - BC (method.md section 3): 0 for equal PDFs, 1 for disjoint ones.

    >>> round(float(bhattacharyya_loss(box_pdf(96.0), box_pdf(192.0))), 12)
    0.5
    """
    return 1.0 - bhattacharyya_coefficient(p, q)


@_by_map(2)
def overlap(p: Pdfs, q: Pdfs) -> Scores:
    """F = sum min(p, q): the share of the true particles that the prediction holds, 0 to 1.

    >>> float(overlap(box_pdf(96.0), box_pdf(192.0)))
    0.25
    """
    return np.minimum(p, q).sum(axis=(-2, -1), dtype=np.float64)


@_by_map(2)
def valid(p: Pdfs, q: Pdfs) -> Scores:
    """1 where BL < 0.3, 0 elsewhere (paper section 2.3); averaged, the share of valid predictions."""
    return is_valid(bhattacharyya_loss(p, q))


@_by_map(2)
def hellinger_distance(p: Pdfs, q: Pdfs) -> Scores:
    """sqrt(sum (sqrt p - sqrt q)^2 / 2), 0 to 1; equals sqrt(BL) where both sum to 1."""
    return np.sqrt(((np.sqrt(p) - np.sqrt(q)) ** 2).sum(axis=(-2, -1), dtype=np.float64) / 2)


@_by_map(2)
def jensen_shannon_distance(p: Pdfs, q: Pdfs) -> Scores:
    """Square root of the Jensen-Shannon divergence (natural logarithm), 0 to sqrt(ln 2); scipy normalises, this does not."""
    mean = 0.5 * (p.astype(np.float64) + q)  # in single precision half of the least number is 0, and its divergence infinite
    terms = rel_entr(p, mean) + rel_entr(q, mean)
    return np.sqrt(np.maximum(0.5 * terms.sum(axis=(-2, -1), dtype=np.float64), 0.0))


@_by_map(1)
def entropy(p: Pdfs) -> Scores:
    """-sum p ln p, nats: ln(number of cells) of a uniform PDF over them."""
    return entr(p).sum(axis=(-2, -1), dtype=np.float64)


@_by_map(1, outputs=2)
def _mass_centre(p, *, x, y):
    total = p.sum(axis=(-2, -1), dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (p.sum(axis=-2, dtype=np.float64) @ x) / total, (p.sum(axis=-1, dtype=np.float64) @ y) / total


def mass_centre(p, x=None, y=None, *, reduce_dims: Dims = None, preserve_dims: Dims = None, weights=None):
    """Mean displacement (east, north) in km of the particles within the box; NaN for an empty PDF.

    x, y: bin centres in km (default: the coordinates of a DataArray, else :func:`lagrangian.binning.bin_centres`). An average is
    that of mass centres, each PDF counting alike.
    """
    x, y = _centres(p, x, y)
    return _mass_centre(p, x=x, y=y, reduce_dims=reduce_dims, preserve_dims=preserve_dims, weights=weights)


def mass_centre_distance(p, x=None, y=None, *, reduce_dims: Dims = None, preserve_dims: Dims = None, weights=None):
    """Distance of the mass centre of the particles within the box from the trap, km; NaN for an empty PDF."""
    distance = np.hypot(*mass_centre(p, x, y))
    return average(distance, reduce_dims=reduce_dims, preserve_dims=preserve_dims, weights=weights)


def _centres(p, x, y) -> list[np.ndarray]:
    """Bin centres (x,), (y,), km: as given, or a DataArray's own, or the method's."""
    centres = []
    for name, axis in (("x", x), ("y", y)):
        if axis is None and isinstance(p, xr.DataArray) and name in p.coords:
            axis = p[name].values
        centres.append(bin_centres() if axis is None else np.asarray(axis, np.float64))
    return centres


def earth_movers_distance(
    p, q, x=None, y=None, *, cell_km: float | None = MOVED_CELL_KM, reduce_dims: Dims = None, preserve_dims: Dims = None,
    weights=None,
):  # fmt: skip
    """Mean distance, km, that mass must be moved to turn p into q by the shortest ways (Wasserstein's of order 1; POT's emd2).

    Both are normalised over the box first: how far mass outside lies is not known, so that outside is left out, not missed. NaN
    for an empty PDF.

    PDFs are summed over square cells of ``cell_km`` first, mass being put in their middles; None: the bins as they are. A
    cell of n bins of width b moves no mass by more than (n - 1) b / sqrt 2, so the distance is wrong by at most twice that
    (45 km for 40 km cells, if all mass of p lay in one corner and all of q in another; less than 0.1 km for catchments). One pair
    takes 10 ms at 40 km, a second or more at 16 km: pairs are solved one after another.

    Parameters
    ----------
    x, y : (x,), (y,), optional
        Even bin centres, km, in either order; as for :func:`mass_centre`.
    cell_km : float or None, keyword-only
        A multiple of the bins' width by which the number of bins can be divided.

    Raises
    ------
    ValueError
        Such cells do not tile the bins; see the module's docstring for others.
    CatchmentError
        POT is not installed.
    """
    x, y = _centres(p if isinstance(p, xr.DataArray) else q, x, y)
    return _moved(p, q, x=x, y=y, cell_km=cell_km, reduce_dims=reduce_dims, preserve_dims=preserve_dims, weights=weights)


@_by_map(2)
def _moved(p, q, *, x, y, cell_km):
    emd2, dist = _transport()
    rows, columns = (_bins_a_cell(axis, cell_km) for axis in (y, x))
    middles = [axis.reshape(-1, n).mean(axis=1) for axis, n in ((y, rows), (x, columns))]
    place = np.stack([centre_grid.ravel() for centre_grid in np.meshgrid(*middles, indexing="ij")], axis=1)
    cost = dist(place, place, metric="euclidean")
    p, q = np.broadcast_arrays(*(_coarse(pdf, rows, columns) for pdf in (p, q)))
    out = np.full(p.shape[:-1], np.nan)
    for index in np.ndindex(out.shape):
        with np.errstate(invalid="ignore", divide="ignore"):
            change = p[index] / p[index].sum() - q[index] / q[index].sum()
        if not np.isfinite(change).all():
            continue
        # mass that both PDFs hold stays in place (the cost is a metric): only the difference is moved
        source, sink = np.flatnonzero(change > 0), np.flatnonzero(change < 0)
        moved = change[source].sum()
        out[index] = 0.0
        if moved > 1e-12:
            part = -change[sink]
            ground = np.ascontiguousarray(cost[np.ix_(source, sink)])
            out[index] = moved * emd2(change[source] / moved, part / part.sum(), ground, numItermax=1_000_000)
    return out


#: The error line if the extra of earth mover's distances is not installed.
LACKING = "earth mover's distances need POT, which is not installed: pip install POT, or 'catchment-toolkit[distances]'"


def _transport() -> tuple[Callable, Callable]:
    """Import POT's solver and costs; the import is slow, and only earth mover's distances need POT."""
    try:
        from ot import dist, emd2
    except ImportError:
        raise CatchmentError(LACKING) from None
    return emd2, dist


def _bins_a_cell(centres: np.ndarray, cell_km: float | None) -> int:
    """How many bins a cell of ``cell_km`` holds along an axis."""
    if cell_km is None or centres.size == 1:
        return 1
    width = abs(float(centres[1] - centres[0]))
    n = round(cell_km / width)
    if n < 1 or abs(n * width - cell_km) > 1e-6 * cell_km or centres.size % n:
        raise ValueError(f"cells of {cell_km:g} km do not tile {centres.size} bins of {width:g} km")
    return n


def _coarse(p: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """(..., cell) float64 sums of PDFs (..., y, x) over blocks of rows x columns."""
    *leading, ny, nx = p.shape
    blocks = p.astype(np.float64).reshape(*leading, ny // rows, rows, nx // columns, columns)
    return blocks.sum(axis=(-3, -1)).reshape(*leading, -1)


def is_valid(bl):
    """Whether a BL is below 0.3, as 1.0 or 0.0; NaN stays NaN. Arrays or DataArrays of any shape."""
    below = bl < VALID_BL
    if isinstance(bl, xr.DataArray):
        return below.where(bl.notnull())
    return np.where(np.isnan(bl), np.nan, below)


def valid_percent(bl) -> float:
    """Share of BL below 0.3, per cent, of the values that are not NaN."""
    return float(100 * np.nanmean(is_valid(np.asarray(bl))))


def box_pdf(width_km: float, x=None, y=None) -> np.ndarray:
    """(y, x) uniform probability over the bins within a square of full width ``width_km`` about the trap.

    Raises
    ------
    ValueError
        It holds no bin.
    """
    x = bin_centres() if x is None else np.asarray(x)
    y = bin_centres() if y is None else np.asarray(y)
    inside = in_box(width_km, x, y)
    if not inside.any():
        raise ValueError(f"a box of {width_km:g} km holds no bin of {BIN_KM:g} km")
    return inside / inside.sum()
