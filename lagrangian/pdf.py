"""Properties of catchment PDFs: the export level, boxes, contours of a share of the particles, and means over experiments."""

from __future__ import annotations

import numpy as np
import xarray as xr

#: Depth at which the method exports particles, m (method.md section 2: the last of its levels).
EXPORT_M = 200.0
#: The boxes that the paper compares with by their names in metrics.json: full widths in km, 12 x 12 and 24 x 24 cells.
BOXES_KM = {"box100": 96.0, "box200": 192.0}
#: Shares of the particles that contours hold.
SHARES = (0.25, 0.5, 0.75)


def export_number(levels) -> int:
    """Number of the export level among ``levels`` (m, positive down): that of 200 m, or else of the shallowest.

    Every command asks here: fit (which epoch is best), predict and its satellite files, report, maps, correlation.
    """
    levels = np.asarray(levels, np.float64)
    numbers = np.flatnonzero(np.isclose(levels, EXPORT_M))
    return int(numbers[0]) if numbers.size else int(np.argmin(levels))


def export_level(levels) -> float:
    """Depth of the export level, m: see :func:`export_number`.

    >>> export_level([1000, 200, 100]), export_level([1000, 400])
    (200.0, 400.0)
    """
    return float(np.asarray(levels, np.float64)[export_number(levels)])


def mass_levels(pdf: np.ndarray, shares=SHARES) -> list[float]:
    """Densities whose contours hold the given shares of the sum of ``pdf`` (y, x): densest cells first.

    >>> mass_levels(np.array([[0.5, 0.3], [0.2, 0.0]]), (0.5, 0.8))
    [0.5, 0.3]
    """
    ordered = np.sort(pdf.ravel())[::-1]
    total = np.cumsum(ordered)
    if total[-1] <= 0:
        return []
    return [float(ordered[min(np.searchsorted(total, share * total[-1]), ordered.size - 1)]) for share in shares]


def in_box(width_km: float, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(y, x) bool: bins whose centres (x,), (y,), km, lie in a square of full width ``width_km`` about the origin."""
    return (np.abs(y)[:, None] < width_km / 2) & (np.abs(x)[None, :] < width_km / 2)


def share_in_box(pdf: np.ndarray, x: np.ndarray, y: np.ndarray, width_km: float):
    """Share (...) of PDFs (..., y, x) in a square of full width ``width_km`` about the origin; x, y bin centres in km."""
    return pdf[..., in_box(width_km, x, y)].sum(axis=-1)


def half_width_km(pdf: np.ndarray, x: np.ndarray, y: np.ndarray, share: float) -> float:
    """Half width, km, of the square about the origin whose bins hold ``share`` of a PDF (y, x); 0 of a PDF without mass.

    A bin with its centre (x,), (y,), km, on the square's edge is within the square.
    """
    distance = np.maximum(np.abs(x)[None, :], np.abs(y)[:, None]).ravel()
    order = np.argsort(distance, kind="stable")
    total = np.cumsum(np.nan_to_num(pdf).ravel()[order])
    return float(distance[order][np.searchsorted(total, share * total[-1])]) if total[-1] > 0 else 0.0


class MeanPdf:
    """Mean of PDFs that are given a batch at a time; memory holds two sums, whatever the number of experiments.

    Each experiment counts alike, or by its weight; a PDF that holds NaN (no particle reached the level) is left out.
    """

    def __init__(self) -> None:
        self.total: np.ndarray | float = 0.0
        self.weight: np.ndarray | float = 0.0

    def add(self, pdfs: np.ndarray, weights: np.ndarray | None = None) -> None:
        """Add PDFs (n, ..., y, x) with weights (n, ...), 1 by default."""
        pdfs = np.asarray(pdfs)
        complete = np.isfinite(pdfs).all(axis=(-2, -1))
        if weights is None and complete.all():
            self.total = self.total + pdfs.sum(axis=0, dtype=np.float64)
            self.weight = self.weight + np.full(pdfs.shape[1:-2], float(len(pdfs)))
            return
        weights = np.where(complete, 1.0 if weights is None else weights, 0.0)
        self.total = self.total + (weights[..., None, None] * np.where(complete[..., None, None], pdfs, 0.0)).sum(axis=0)
        self.weight = self.weight + weights.sum(axis=0)

    def value(self) -> np.ndarray:
        """(..., y, x) float64: the mean; zeros where no PDF was known."""
        weight = np.asarray(self.weight, np.float64)[..., None, None]
        return self.total / np.where(weight > 0, weight, 1.0)


def constant_of_least_bl(mean_root: np.ndarray) -> np.ndarray:
    """The PDF (..., y, x) whose mean BL over experiments is the least of all constant PDFs.

    ``mean_root`` is the mean of sqrt(P) over the experiments. The expected coefficient of a constant PDF q is
    sum(mean_root sqrt(q)); by Cauchy and Schwarz no q of sum 1 exceeds that of q = mean_root^2 / sum(mean_root^2)
    (method.md section 7: ``climatology-root``).
    """
    square = np.asarray(mean_root, np.float64) ** 2
    total = square.sum(axis=(-2, -1), keepdims=True)
    return square / np.where(total > 0, total, 1.0)


def summarise(store: xr.Dataset, particles: xr.Dataset, level: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean catchment and mass centres at one level, a chunk of experiments at a time so that memory stays bounded.

    Parameters
    ----------
    store, particles : Dataset
        pdf.zarr and particles.zarr of one run.
    level : int
        Index of the level.

    Returns
    -------
    mean : (y, x) float64
        Mean of the PDFs of the experiments that reached the level, each counting alike; zeros where none did.
    centre : (experiment, 2) float64
        Mean displacement of all particles at the level, those beyond the bins included, km east and north; NaN where none.
    """
    n = store.sizes["experiment"]
    mean = MeanPdf()
    centre = np.full((n, 2), np.nan)
    reached = store["reached"][:, level].values.astype(np.float64)
    step = (store["counts"].encoding.get("chunks") or (64,))[0]
    for first in range(0, n, step):
        rows = slice(first, first + step)
        used = reached[rows] > 0
        if not used.any():
            continue
        mean.add(store["counts"][rows, level].values[used] / reached[rows][used][:, None, None])
        for axis, name in enumerate(("x", "y")):
            centre[first + np.flatnonzero(used), axis] = np.nanmean(
                particles[name][rows, :, level].values[used].astype(np.float64), axis=1
            )
    empty = np.zeros((store.sizes["y"], store.sizes["x"]))
    return empty + mean.value(), centre
