"""The predictions in a run folder, and their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import xarray as xr

from data.chunks import open_checked
from data.command import one_line
from data.errors import CatchmentError, InputError
from data.registry import SCORES
from evaluation.experiments import (
    BASELINES,
    BATCH,
    TARGETS,
    baselines,
    batches,
    best_informed,
    climatologies,
    in_order,
    level_index,
    score_experiments,
    true_pdfs,
)
from evaluation.intervals import block_bootstrap, block_of
from evaluation.scores import (
    earth_movers_distance,
    entropy,
    hellinger_distance,
    is_valid,
    jensen_shannon_distance,
    mass_centre_distance,
)
from lagrangian.binning import smooth_pdf
from lagrangian.config import speed_folder
from lagrangian.pdf import export_level
from lagrangian.stores import open_store
from learning.folders import run_identity
from learning.split import PARTS

#: Parts of a run that have scores of their own, the most telling first; ``all`` if no network has split the run.
SPLITS = ("test", "validation", "train", "all")
#: A predicted PDF whose sum is further from 1 is none (they are kept to 12 bits of mantissa).
SUM_TOLERANCE = 0.01
#: Shares of a predicted PDF whose contours are tested against the true particles.
SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)


#: Scores of every model on a sample of experiments, by their names in metrics.json.
DISTANCES = {"emd_km": earth_movers_distance, "hellinger": hellinger_distance, "jensen_shannon": jensen_shannon_distance}


@dataclass(eq=False)
class SpeedRun:
    """A run's simulated and predicted PDFs at one sinking speed.

    Attributes
    ----------
    run : Path
    w : float
        m/d.
    store : Dataset
        pdf.zarr.
    level : int
        Index of the export level.
    predictions : dict of name to Dataset
        Opened w080/predictions/*.zarr, in the order of :data:`evaluation.experiments.MODELS`.
    notes : list of str
        What a reader of the scores must know.
    wrong_sums : dict of name to set of int
        Experiments whose prediction does not sum to 1, so far as it was read (:meth:`predicted`); they are not scored.
    """

    run: Path
    w: float
    store: xr.Dataset
    level: int
    predictions: dict[str, xr.Dataset]
    notes: list[str] = field(default_factory=list)
    wrong_sums: dict[str, set[int]] = field(default_factory=dict)

    @classmethod
    def open(cls, run: Path, w: float, level: float | None = None) -> SpeedRun:
        """Open what there is; ``level``, m, is scored (default: the export level, :func:`lagrangian.pdf.export_level`).

        Raises
        ------
        StoreError, InputError
            No PDFs, no such level, or predictions of another run, of other experiments or of other levels.
        """
        folder = Path(run) / speed_folder(w)
        store = open_store(folder / "pdf.zarr", "pdf")
        if store.sizes["experiment"] == 0:
            raise InputError(f"{folder / 'pdf.zarr'} holds no experiment")
        if int(store["reached"].sum()) == 0:
            raise InputError(f"{folder / 'pdf.zarr'}: no particle reached any level (see how they ended in {run}/run.json)")
        try:
            index = level_index(store, export_level(store["level"].values) if level is None else level)
        except ValueError as error:
            raise InputError(f"{folder / 'pdf.zarr'}: {error} (choose one with --level)") from None
        predictions = {}
        for name in in_order(path.stem for path in folder.glob("predictions/*.zarr")):
            path = folder / "predictions" / f"{name}.zarr"
            opened = open_predictions(path)
            wrong = _mismatch(opened, store, Path(run))
            if wrong:
                raise InputError(
                    f"{path} does not belong to {folder / 'pdf.zarr'} ({wrong}): remove it, or make it anew with "
                    f"python -m learning.predict --run {run}"
                )
            predictions[name] = opened
        return cls(Path(run), float(w), store, index, predictions)

    @property
    def export_m(self) -> float:
        """Depth of the level that is scored, m."""
        return float(self.store["level"][self.level])

    @property
    def split(self) -> np.ndarray:
        """(experiment,) name in :data:`SPLITS`, '' for those in a gap or not of the same part for all models."""
        n = self.store.sizes["experiment"]
        if not self.predictions:
            return np.full(n, "all")
        names = np.array([{"unseen": "test", "between": ""}.get(name, name) for name in PARTS])
        first, *further = (names[predictions["part"].values] for predictions in self.predictions.values())
        # what one model has learnt from is no test of another
        for parts in further:
            first = np.where(first == parts, first, "")
        return first

    def baseline_maps(self) -> dict[str, np.ndarray]:
        """The boxes, and the climatologies: of the networks' training experiments, or else of this run's own."""
        maps = baselines(self.store["x"].values, self.store["y"].values)
        constant = next((predictions for predictions in self.predictions.values() if "climatology" in predictions), None)
        if constant is None:
            maps |= climatologies(self.store, self.level)
            self.notes.append(
                "each climatology is made of the very experiments that it is scored on: its scores flatter it"
            )
            return maps
        maps["climatology"] = constant["climatology"][self.level].values
        train = self.split == "train"
        if "climatology_root" in constant:
            maps["climatology-root"] = constant["climatology_root"][self.level].values
        elif train.any():  # predictions of earlier versions
            maps["climatology-root"] = climatologies(self.store, self.level, train)["climatology-root"]
        else:
            self.notes.append(
                "climatology-root is left out: an earlier version made the predictions, and the training experiments are not in "
                f"this run; python -m learning.fit, then python -m learning.predict --run {self.run}, would add it"
            )
        return maps

    @cached_property
    def maps(self) -> dict:
        """All models as :func:`evaluation.experiments.score_experiments` takes them."""
        maps: dict = dict(self.baseline_maps())
        for name, predictions in self.predictions.items():
            maps[name] = partial(self.predicted, name)
            if "pdf_root" in predictions:
                maps[f"{name}-root"] = partial(self.predicted, name, variable="pdf_root")
        return maps

    def predicted(self, name: str, rows: slice, variable: str = "pdf") -> np.ndarray:
        """(n, y, x) float32 predictions of a model at the export level; NaN where there is none or its sum is not 1."""
        pdf = self.predictions[name][variable][rows, self.level].values
        wrong = np.abs(pdf.sum(axis=(1, 2), dtype=np.float64) - 1) > SUM_TOLERANCE
        if wrong.any():
            self.wrong_sums.setdefault(name, set()).update((rows.start + np.flatnonzero(wrong)).tolist())
            pdf = np.where(wrong[:, None, None], np.nan, pdf)
        return pdf

    def shapes(
        self, found: xr.Dataset, chosen: np.ndarray, names: Sequence[str]
    ) -> tuple[xr.Dataset, dict[str, xr.Dataset]]:
        """``mass_centre_distance`` (km) and ``entropy`` of true and of predicted PDFs of the chosen experiments (numbers).

        found: scores of the smoothed target (:meth:`score`); names: of networks.
        """
        x, y = self.store["x"].values, self.store["y"].values

        def dataset(distance, values):
            return xr.Dataset({"mass_centre_distance": ("experiment", distance), "entropy": ("experiment", values)})

        scored = found.isel(experiment=chosen)
        true = dataset(np.hypot(scored["mass_centre_x"].values, scored["mass_centre_y"].values), scored["entropy"].values)
        predicted = {}
        for name in names:
            parts = []
            for rows in batches(self.store.sizes["experiment"], BATCH):
                inside = chosen[(chosen >= rows.start) & (chosen < rows.stop)] - rows.start
                if inside.size:
                    pdf = self.predicted(name, rows)[inside].astype(np.float64)
                    parts.append(np.stack([mass_centre_distance(pdf, x, y), entropy(pdf)]))
            predicted[name] = dataset(*np.concatenate(parts, axis=1))
        return true, predicted

    def score(self) -> xr.Dataset:
        """:func:`evaluation.experiments.score_experiments` of all models, with ``split`` and, of networks, ``spread``."""
        scored = score_experiments(self.store, self.level, self.maps)
        for name, wrong in self.wrong_sums.items():
            self.notes.append(
                f"{len(wrong)} of {self.store.sizes['experiment']} predictions of {name} do not sum to 1 and are not scored: "
                f"make them anew with python -m learning.predict --run {self.run}"
            )
        scored["split"] = ("experiment", self.split)
        for name, predictions in self.predictions.items():
            scored[f"spread_{name}"] = ("experiment", predictions["spread"][:, self.level].values)
        return scored

    def pairs(self, experiment: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Smoothed true PDF (1, y, x) of an experiment (by its number), and every model's prediction (1, y, x) of this PDF."""
        rows = slice(int(experiment), int(experiment) + 1)
        truth = smooth_pdf(true_pdfs(self.store, self.level, rows))
        return truth, {name: guess(rows) if callable(guess) else guess[None] for name, guess in self.maps.items()}

    def distances(self, chosen: np.ndarray, names: Sequence[str] = tuple(DISTANCES)) -> dict[str, dict[str, np.ndarray]]:
        """The named distances of :data:`DISTANCES`, (n,) each, of every model for the chosen experiments (numbers)."""
        x, y = self.store["x"].values, self.store["y"].values
        out = {model: {name: np.empty(len(chosen)) for name in names} for model in self.maps}
        for rows in batches(self.store.sizes["experiment"], BATCH):
            place = np.flatnonzero((chosen >= rows.start) & (chosen < rows.stop))
            if place.size == 0:
                continue
            inside = chosen[place] - rows.start
            truth = smooth_pdf(true_pdfs(self.store, self.level, rows)[inside])
            for model, prediction in self.maps.items():
                guess = prediction(rows)[inside] if callable(prediction) else np.broadcast_to(prediction, truth.shape)
                for name in names:
                    options = {"x": x, "y": y} if name == "emd_km" else {}
                    score = DISTANCES.get(name) or partial(registered_score, name)
                    out[model][name][place] = score(truth, guess, **options)
        return out

    def shape_at(self, level: float) -> tuple[np.ndarray, np.ndarray]:
        """(experiment,) entropy and mass-centre distance (km) of the true smoothed PDFs at another level, m.

        Raises
        ------
        InputError
            The store has no such level.
        """
        try:
            scored = score_experiments(self.store, level_index(self.store, level), {}, ("smoothed",)).sel(target="smoothed")
        except ValueError as error:
            raise InputError(f"{self.run}: {error}, and Figure 5 is of {level:g} m (python -m lagrangian.run --levels)") from None
        return scored["entropy"].values, np.hypot(scored["mass_centre_x"].values, scored["mass_centre_y"].values)

    def calibration(self, name: str, split: str) -> np.ndarray:
        """(experiment, share) part of the true particles within the contours said to hold :data:`SHARES` of the prediction.

        NaN for experiments of other splits, without particles at the level or without a prediction.
        """
        reported = self.split == split
        inside = np.full((reported.size, len(SHARES)), np.nan)
        for rows in batches(self.store.sizes["experiment"], BATCH):
            used = reported[rows]
            if not used.any():
                continue
            truth = true_pdfs(self.store, self.level, rows)[used].reshape(int(used.sum()), -1)
            guess = self.predicted(name, rows)[used].reshape(truth.shape)
            finite = np.isfinite(truth).all(axis=1) & np.isfinite(guess).all(axis=1)
            inside[rows.start + np.flatnonzero(used)[finite]] = share_within(guess[finite], truth[finite])
        return inside


def share_within(guess: np.ndarray, truth: np.ndarray, shares=SHARES) -> np.ndarray:
    """(n, share) part of ``truth`` (n, cell) within the densest cells that hold each share of ``guess`` (n, cell).

    The cell at which a share is reached counts by the part of it that is needed.
    """
    order = np.argsort(-guess, axis=1, kind="stable")
    mass_held = np.cumsum(np.take_along_axis(guess, order, axis=1), axis=1, dtype=np.float64)
    true_held = np.cumsum(np.take_along_axis(truth, order, axis=1), axis=1, dtype=np.float64)
    out = np.empty((guess.shape[0], len(shares)))
    for row in range(guess.shape[0]):
        out[row] = np.interp(np.multiply(shares, mass_held[row, -1]), np.append(0, mass_held[row]), np.append(0, true_held[row]))
    return out


def _mismatch(predictions: xr.Dataset, store: xr.Dataset, run: Path) -> str | None:
    """Why predictions are not of a run's experiments at a speed; None where they are."""
    n, of = store.sizes["experiment"], predictions.sizes["experiment"]
    if of != n:
        return f"{of} experiments instead of {n}"
    if not np.array_equal(predictions["level"], store["level"]):
        return f"levels {', '.join(f'{level:g}' for level in predictions['level'].values)} m"
    made_of = predictions.attrs.get("identity", {}).get("run")
    if made_of is not None and made_of != run_identity(run):
        return "it was made of another run"
    return None


def open_predictions(path: Path) -> xr.Dataset:
    """Open a store of predictions; StoreError if the store is damaged."""
    return open_checked(path, "predictions", ("pdf", "spread", "part"))


@dataclass(eq=False)
class Scored:
    """The scores at a sinking speed, and the split that the report shows.

    Attributes
    ----------
    speed : SpeedRun
    found : Dataset
        :meth:`SpeedRun.score`.
    entries : list of dict
        :func:`metrics`.
    split : str
        The first of :data:`SPLITS` that has scores.
    """

    speed: SpeedRun
    found: xr.Dataset
    entries: list[dict]
    split: str

    @classmethod
    def of(cls, speed: SpeedRun, seed: int = 0) -> Scored:
        """Score a speed; ``seed`` is that of the intervals.

        Raises
        ------
        InputError
            No experiment has particles at the export level.
        """
        scored = speed.score()
        entries = metrics(scored, speed.w, seed)
        if not entries:
            raise InputError(
                f"{speed.run}: no experiment at {speed.w:g} m/d has particles at {speed.export_m:g} m; "
                "there is nothing to score (run.json says how they ended; --level chooses another level)"
            )
        split = next(name for name in SPLITS if any(entry["split"] == name for entry in entries))
        return cls(speed, scored, entries, split)

    @property
    def w(self) -> float:
        """m/d."""
        return self.speed.w

    @property
    def chosen(self) -> np.ndarray:
        """(experiment,) bool: those of the reported split."""
        return (self.found["split"] == self.split).values

    def of_model(self, name: str, model: str) -> np.ndarray:
        """(experiment,) ``bl`` or ``f`` of a model on smoothed PDFs, NaN beyond the reported split."""
        return np.where(self.chosen, self.found[name].sel(model=model, target="smoothed").values, np.nan)

    def of_target(self, target: str) -> list[dict]:
        """The entries of the reported split."""
        return [entry for entry in self.entries if entry["split"] == self.split and entry["target"] == target]

    @property
    def reported(self) -> list[dict]:
        """The entries of the reported split, smoothed PDFs."""
        return self.of_target("smoothed")

    @property
    def models(self) -> list[str]:
        """Models with scores in the reported split, in the order of :data:`evaluation.experiments.MODELS`."""
        return [entry["model"] for entry in self.reported]

    @property
    def best(self) -> str:
        """The best informed of :attr:`models`."""
        return best_informed(self.models)


def metrics(scores: xr.Dataset, w: float, seed: int = 0) -> list[dict]:
    """The entries of metrics.json of one speed: every model, target and split, with 95 % intervals.

    Networks have ``bl_less_climatology`` and ``bl_less_baseline`` as well, the means over experiments of how much smaller or
    larger their BL is than that of the climatology and than that of the best of the baselines (``baseline``, by mean BL), with
    the intervals of these differences.
    """
    entries = []
    start = scores["collection_start"].values
    for split in SPLITS:
        reported = (scores["split"] == split).values
        if not reported.any():
            continue
        block = block_of(start[reported])
        best = {target: _best_baseline(scores["bl"].sel(target=target)[reported]) for target in TARGETS}
        for model in scores["model"].values.tolist():
            for target in TARGETS:
                scored = scores.sel(target=target)
                bl, f = (scored[name].sel(model=model).values[reported] for name in ("bl", "f"))
                values = {"bl_mean": bl, "f_mean": f, "valid_percent": 100 * is_valid(bl)}
                if not np.isfinite(bl).any():
                    continue
                compared = {"climatology": "climatology", "baseline": best[target]} if model not in BASELINES else {}
                for name, rival in compared.items():
                    if rival in scored["model"].values:
                        values[f"bl_less_{name}"] = bl - scored["bl"].sel(model=rival).values[reported]
                entry = {"w": w, "model": model, "target": target, "split": split, "n": int(np.isfinite(bl).sum()),
                         "blocks": int(np.unique(block[np.isfinite(bl)]).size)}  # fmt: skip
                if "bl_less_baseline" in values:
                    entry["baseline"] = best[target]
                entries.append(entry | means_with_intervals(values, block, seed))
    return entries


def _best_baseline(bl: xr.DataArray) -> str | None:
    """The baseline of the least mean BL (experiment, model); None where none is scored."""
    means = {name: float(bl.sel(model=name).mean()) for name in BASELINES if name in bl["model"].values}
    means = {name: value for name, value in means.items() if np.isfinite(value)}
    return min(means, key=lambda name: means[name]) if means else None


def means_with_intervals(values: Mapping[str, np.ndarray], block: np.ndarray, seed: int) -> dict:
    """``name``, ``name_low``, ``name_high`` of the mean of each of some quantities (experiment,), as metrics.json has them."""
    out: dict[str, float] = {}
    for name, quantity in values.items():
        middle = quantity[np.isfinite(quantity)].mean() if np.isfinite(quantity).any() else np.nan
        out |= with_interval(name, middle, *(float(end) for end in block_bootstrap(quantity, block, seed=seed)))
    return out


def with_interval(name: str, middle: float, low: float, high: float) -> dict:
    """Entries ``name``, ``name_low``, ``name_high`` of metrics.json: None for an unknown number."""
    numbers = {name: middle, f"{name}_low": low, f"{name}_high": high}
    return {key: float(value) if np.isfinite(value) else None for key, value in numbers.items()}


def registered_score(name: str, truth: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """(n,) a score that a package or script registered (:mod:`data.registry`), of PDFs (n, y, x).

    Raises
    ------
    CatchmentError
        It cannot be imported, fails, or gives something else than a number for each pair.
    """
    score = SCORES.get(name)
    try:
        values = np.asarray(score(truth, guess), np.float64)
    except Exception as error:  # whatever the function of another author raises
        raise CatchmentError(f"score {name!r} fails: {type(error).__name__}: {one_line(error)}") from error
    if values.shape != truth.shape[:1]:
        n = truth.shape[0]
        raise CatchmentError(f"score {name!r} gives shape {values.shape} for {n} pairs of PDFs: one number each is needed")
    return values


def add_registered(scored: Scored, *, limit: int, seed: int = 0) -> list[str]:
    """Add ``NAME_mean`` of each registered score, as :func:`add_distances` does; a line for each that cannot be computed."""
    drawn = _drawn(scored, limit, seed)
    block = block_of(scored.found["collection_start"].values[drawn])
    lines = []
    for name in SCORES.names():
        try:
            distances = scored.speed.distances(drawn, [name])
        except CatchmentError as error:
            lines.append(f"{error}; it is left out")
            continue
        for entry in scored.entries:
            if (entry["target"], entry["split"]) == ("smoothed", scored.split) and entry["model"] in distances:
                entry |= means_with_intervals({f"{name}_mean": distances[entry["model"]][name]}, block, seed)
    return lines


def _drawn(scored: Scored, limit: int, seed: int) -> np.ndarray:
    """Numbers of at most ``limit`` of the reported experiments that hold particles, drawn with ``seed``."""
    candidates = np.flatnonzero(scored.chosen & np.isfinite(scored.found["entropy"].sel(target="smoothed").values))
    if candidates.size <= limit:
        return candidates
    return np.sort(np.random.default_rng(seed).choice(candidates, limit, replace=False))


def add_distances(scored: Scored, *, limit: int, seed: int = 0) -> str | None:
    """Add :data:`DISTANCES` (smoothed PDFs) to the entries of the reported split.

    ``emd_km_mean``, ``hellinger_mean``, ``jensen_shannon_mean`` with their intervals, and ``distances_n``, the experiments they
    are means of: at most ``limit``, drawn with ``seed``, the same for every model. Returns why the earth mover's distance is
    left out; None where it is not.
    """
    drawn = _drawn(scored, limit, seed)
    block = block_of(scored.found["collection_start"].values[drawn])
    why = None
    try:
        distances = scored.speed.distances(drawn)
    except CatchmentError as error:
        distances, why = scored.speed.distances(drawn, [name for name in DISTANCES if name != "emd_km"]), str(error)
    for entry in scored.entries:
        values = distances.get(entry["model"], {})
        if (entry["target"], entry["split"]) != ("smoothed", scored.split) or not values:
            continue
        entry["distances_n"] = int(np.isfinite(values["hellinger"]).sum())
        entry |= means_with_intervals({f"{name}_mean": quantity for name, quantity in values.items()}, block, seed)
    return why
