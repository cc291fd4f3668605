"""Scores of every experiment of a run at one level, a batch of experiments at a time so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import xarray as xr

from data.errors import InputError
from evaluation import scores
from lagrangian.binning import smooth_pdf
from lagrangian.pdf import MeanPdf, constant_of_least_bl

#: Models without an input from the sea: the paper's boxes, and one PDF for all experiments (method.md section 7).
BASELINES = (*scores.BOXES_KM, "climatology", "climatology-root")
#: Networks by their number of input variables, fewest first. Figures and tables list networks of other names after these.
NETWORKS = ("sst-ssh", "5v-1l", "5v-4l")
MODELS = (*BASELINES, *NETWORKS)
#: Targets that predictions are scored against: the PDF as counted, and after the method's smoothing.
TARGETS = ("raw", "smoothed")
EXPERIMENT_COORDINATES = ("collection_start", "collection_end", "position", "period", "trap_dx", "trap_dy")

#: Experiments in a batch: two chunks of a store of the method's 36 positions; a larger batch outgrows the processor's cache.
BATCH = 72

#: A prediction: one map (y, x) for all experiments, or a function that gives the maps (n, y, x) of a slice of them.
Prediction = np.ndarray | Callable[[slice], np.ndarray]


def in_order(names) -> list[str]:
    """Names of models in the order of :data:`MODELS`, others after them by name."""
    return sorted(names, key=lambda name: (MODELS.index(name) if name in MODELS else len(MODELS), name))


def best_informed(names) -> str:
    """The last of :data:`MODELS` that is among ``names``; the last of them by name where none is."""
    ordered = in_order(names)
    return next((name for name in reversed(ordered) if name in MODELS), ordered[-1])


def level_index(store: xr.Dataset, level: float) -> int:
    """Index of ``level`` (m) in a store.

    Raises
    ------
    ValueError
        The store has no such level.
    """
    levels = store["level"].values
    matches = np.flatnonzero(np.isclose(levels, level))
    if matches.size == 0:
        raise ValueError(f"no level of {level:g} m; the store has {', '.join(f'{depth:g}' for depth in levels)} m")
    return int(matches[0])


def true_pdfs(store: xr.Dataset, level: int, rows: slice) -> np.ndarray:
    """(n, y, x) float64 PDFs of a slice of experiments as counted at level number ``level``; NaN where none reached it.

    Raises
    ------
    InputError
        More particles were counted than reached the level: such a PDF would sum to more than 1.
    """
    counts = store["counts"][rows, level].values.astype(np.float64)
    reached = store["reached"][rows, level].values.astype(np.float64)[:, None, None]
    wrong = np.flatnonzero(counts.sum(axis=(1, 2)) > reached[:, 0, 0])
    if wrong.size:
        raise InputError(
            f"pdf.zarr counts more particles than reached the level in experiment {rows.start + wrong[0]}"
            f"{f' and {wrong.size - 1} more' if wrong.size > 1 else ''}: it is damaged; remove it and give the same "
            "lagrangian.run again"
        )
    with np.errstate(invalid="ignore"):
        return counts / np.where(reached > 0, reached, np.nan)


def batches(n: int, size: int) -> list[slice]:
    """Slices of at most ``size`` that cover range(n)."""
    return [slice(first, min(first + size, n)) for first in range(0, n, size)]


def climatologies(store: xr.Dataset, level: int, chosen: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """The two constant baselines of some experiments (bool, default all), each counting alike: (y, x) each.

    ``climatology``, their smoothed mean PDF made to sum 1, as learning.fit keeps it, and ``climatology-root``, the constant
    PDF of least expected BL from their smoothed PDFs (:func:`lagrangian.pdf.constant_of_least_bl`). Experiments of which no
    particle reached the level are left out.
    """
    mean, root = MeanPdf(), MeanPdf()
    for rows in batches(store.sizes["experiment"], BATCH):
        pdf = true_pdfs(store, level, rows)
        if chosen is not None:
            pdf = pdf[chosen[rows]]
        if pdf.shape[0]:
            mean.add(pdf)
            root.add(np.sqrt(smooth_pdf(pdf)))
    smoothed = smooth_pdf(mean.value())
    return {"climatology": smoothed / (smoothed.sum() or 1.0), "climatology-root": constant_of_least_bl(root.value())}


def score_experiments(
    store: xr.Dataset, level: int, predictions: Mapping[str, Prediction], targets: Sequence[str] = TARGETS
) -> xr.Dataset:
    """BL and F of every prediction against every experiment, and what the true PDFs are like.

    Parameters
    ----------
    store : Dataset
        pdf.zarr (:func:`lagrangian.stores.open_store`).
    level : int
        Index of the level.
    predictions : mapping of name to map or function
        See :data:`Prediction`. Predictions are used as they are, for both targets.
    targets : sequence of str
        Those of :data:`TARGETS` that are wanted.

    Returns
    -------
    Dataset
        ``bl``, ``f`` (experiment, model, target); ``entropy``, ``mass_centre_x``, ``mass_centre_y`` (km) (experiment, target);
        NaN where no particle reached the level.
    """
    n = store.sizes["experiment"]
    names = list(predictions)
    bl = np.full((n, len(names), len(targets)), np.nan)
    f = bl.copy()
    shape = np.full((3, n, len(targets)), np.nan)
    x, y = store["x"].values, store["y"].values
    for rows in batches(n, BATCH):
        raw = true_pdfs(store, level, rows)
        guesses = [prediction(rows) if callable(prediction) else prediction for prediction in predictions.values()]
        for t, target in enumerate(smooth_pdf(raw) if name == "smoothed" else raw for name in targets):
            shape[0, rows, t] = scores.entropy(target)
            shape[1, rows, t], shape[2, rows, t] = scores.mass_centre(target, x, y)
            for m, guess in enumerate(guesses):
                bl[rows, m, t] = scores.bhattacharyya_loss(target, guess)
                f[rows, m, t] = scores.overlap(target, guess)
    coordinates = {name: ("experiment", store[name].values) for name in EXPERIMENT_COORDINATES if name in store}
    dims = ("experiment", "model", "target")
    return xr.Dataset(
        {
            "bl": (dims, bl),
            "f": (dims, f),
            "entropy": (dims[::2], shape[0]),
            "mass_centre_x": (dims[::2], shape[1], {"units": "km"}),
            "mass_centre_y": (dims[::2], shape[2], {"units": "km"}),
        },
        coords={"experiment": np.arange(n), "model": names, "target": list(targets), **coordinates},
    )


def baselines(x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """The paper's boxes as predictions."""
    return {name: scores.box_pdf(width, x, y) for name, width in scores.BOXES_KM.items()}
