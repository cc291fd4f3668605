"""What a run folder holds that can be scored, and its scores."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import xarray as xr

from data.command import read_json
from data.errors import InputError
from evaluation.experiments import BLOCK, TARGETS, baselines, blocks, climatology, level_index, score_experiments, true_pdfs
from evaluation.intervals import block_bootstrap, block_of
from evaluation.scores import earth_movers_distance, entropy, is_valid, mass_centre_distance
from lagrangian.binning import smooth_pdf
from lagrangian.config import speed_folder
from lagrangian.stores import open_checked, open_store
from learning.folders import run_identity
from learning.simulation import PARTS

#: Parts of a run that scores are given for; ``all`` where no network tells them apart.
SPLITS = ("test", "validation", "train", "all")
#: A predicted PDF whose sum is further from 1 is none (they are kept to 12 bits of mantissa).
SUM_TOLERANCE = 0.01
#: Shares of a predicted PDF whose contours are tested against the true particles.
SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)


@dataclass(eq=False)
class SpeedRun:
    """One sinking speed of a run.

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
        Opened w080/predictions/*.zarr.
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
    def open(cls, run: Path, w: float, level: float = 200.0) -> SpeedRun:
        """Open what there is.

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
            index = level_index(store, level)
        except ValueError as error:
            raise InputError(f"{folder / 'pdf.zarr'}: {error}") from None
        predictions = {}
        for path in sorted(folder.glob("predictions/*.zarr")):
            one = open_predictions(path)
            wrong = _mismatch(one, store, Path(run))
            if wrong:
                raise InputError(
                    f"{path} does not belong to {folder / 'pdf.zarr'} ({wrong}): remove it, or make it anew with "
                    f"python -m learning.predict --run {run}"
                )
            predictions[path.stem] = one
        return cls(Path(run), float(w), store, index, predictions)

    @property
    def split(self) -> np.ndarray:
        """(experiment,) name in :data:`SPLITS`, '' for those in a gap or not of the same part for all models."""
        n = self.store.sizes["experiment"]
        if not self.predictions:
            return np.full(n, "all")
        names = np.array([{"unseen": "test", "between": ""}.get(name, name) for name in PARTS])
        first, *others = (names[one["part"].values] for one in self.predictions.values())
        # what one model has learnt from is no test of another
        for other in others:
            first = np.where(first == other, first, "")
        return first

    def baseline_maps(self) -> dict[str, np.ndarray]:
        """The boxes, and the climatology: of the networks' training experiments, or else of this run's own."""
        maps = baselines(self.store["x"].values, self.store["y"].values)
        for one in self.predictions.values():
            if "climatology" in one:
                maps["climatology"] = one["climatology"][self.level].values
                return maps
        maps["climatology"] = climatology(self.store, self.level)
        self.notes.append("the climatology is the mean of the very experiments that it is scored on: its scores flatter it")
        return maps

    @cached_property
    def maps(self) -> dict:
        """All models as :func:`evaluation.experiments.score_experiments` takes them."""
        maps: dict = dict(self.baseline_maps())
        for name in self.predictions:
            maps[name] = partial(self.predicted, name)
        return maps

    def predicted(self, name: str, rows: slice) -> np.ndarray:
        """(n, y, x) float32 predictions of a model at the export level; NaN where there is none or its sum is not 1."""
        pdf = self.predictions[name]["pdf"][rows, self.level].values
        wrong = np.abs(pdf.sum(axis=(1, 2), dtype=np.float64) - 1) > SUM_TOLERANCE
        if wrong.any():
            self.wrong_sums.setdefault(name, set()).update((rows.start + np.flatnonzero(wrong)).tolist())
            pdf = np.where(wrong[:, None, None], np.nan, pdf)
        return pdf

    def shapes(self, found: xr.Dataset, chosen: np.ndarray) -> tuple[xr.Dataset, dict[str, xr.Dataset]]:
        """``mass_centre_distance`` (km) and ``entropy`` of true and of predicted PDFs of the chosen experiments (numbers).

        found: scores of the smoothed target (:meth:`score`).
        """
        x, y = self.store["x"].values, self.store["y"].values

        def dataset(distance, values):
            return xr.Dataset({"mass_centre_distance": ("experiment", distance), "entropy": ("experiment", values)})

        one = found.isel(experiment=chosen)
        true = dataset(np.hypot(one["mass_centre_x"].values, one["mass_centre_y"].values), one["entropy"].values)
        predicted = {}
        for name in self.predictions:
            parts = []
            for rows in blocks(self.store.sizes["experiment"], BLOCK):
                inside = chosen[(chosen >= rows.start) & (chosen < rows.stop)] - rows.start
                if inside.size:
                    pdf = self.predicted(name, rows)[inside].astype(np.float64)
                    parts.append(np.stack([mass_centre_distance(pdf, x, y), entropy(pdf)]))
            predicted[name] = dataset(*np.concatenate(parts, axis=1))
        return true, predicted

    def score(self) -> xr.Dataset:
        """:func:`evaluation.experiments.score_experiments` of all models, with ``split`` and, of networks, ``spread``."""
        found = score_experiments(self.store, self.level, self.maps)
        for name, wrong in self.wrong_sums.items():
            self.notes.append(
                f"{len(wrong)} of {self.store.sizes['experiment']} predictions of {name} do not sum to 1 and are not scored: "
                f"make them anew with python -m learning.predict --run {self.run}"
            )
        found["split"] = ("experiment", self.split)
        for name, one in self.predictions.items():
            found[f"spread_{name}"] = ("experiment", one["spread"][:, self.level].values)
        return found

    def earth_movers(self, chosen: np.ndarray) -> dict[str, np.ndarray]:
        """Earth mover's distance, km, (n,) of every model's prediction from the true smoothed PDF, of experiments (numbers)."""
        x, y = self.store["x"].values, self.store["y"].values
        found = {name: np.empty(len(chosen)) for name in self.maps}
        for place, experiment in enumerate(chosen):
            rows = slice(int(experiment), int(experiment) + 1)
            truth = smooth_pdf(true_pdfs(self.store, self.level, rows))
            for name, one in self.maps.items():
                found[name][place] = earth_movers_distance(truth, one(rows) if callable(one) else one, x, y)[0]
        return found

    def shape_at(self, level: float) -> tuple[np.ndarray, np.ndarray]:
        """(experiment,) entropy and mass-centre distance (km) of the true smoothed PDFs at another level, m.

        Raises
        ------
        InputError
            The store has no such level.
        """
        try:
            found = score_experiments(self.store, level_index(self.store, level), {}).sel(target="smoothed")
        except ValueError as error:
            raise InputError(f"{self.run}: {error}; the figure needs it") from None
        return found["entropy"].values, np.hypot(found["mass_centre_x"], found["mass_centre_y"]).values

    def calibration(self, name: str, split: str) -> np.ndarray:
        """(share,) mean share of the true particles within the contours said to hold :data:`SHARES` of the prediction."""
        chosen = self.split == split
        inside = np.zeros(len(SHARES))
        n = 0
        for rows in blocks(self.store.sizes["experiment"], BLOCK):
            used = chosen[rows]
            if not used.any():
                continue
            truth = true_pdfs(self.store, self.level, rows)[used].reshape(int(used.sum()), -1)
            guess = self.predicted(name, rows)[used].reshape(truth.shape)
            known = np.isfinite(truth).all(axis=1) & np.isfinite(guess).all(axis=1)
            inside += share_within(guess[known], truth[known]).sum(axis=0)
            n += int(known.sum())
        return inside / max(n, 1)


def share_within(guess: np.ndarray, truth: np.ndarray, shares=SHARES) -> np.ndarray:
    """(n, share) part of ``truth`` (n, cell) within the densest cells that hold each share of ``guess`` (n, cell).

    The cell at which a share is reached counts by the part of it that is needed.
    """
    order = np.argsort(-guess, axis=1, kind="stable")
    held = np.cumsum(np.take_along_axis(guess, order, axis=1), axis=1, dtype=np.float64)
    true_held = np.cumsum(np.take_along_axis(truth, order, axis=1), axis=1, dtype=np.float64)
    out = np.empty((guess.shape[0], len(shares)))
    for row in range(guess.shape[0]):
        out[row] = np.interp(np.multiply(shares, held[row, -1]), np.append(0, held[row]), np.append(0, true_held[row]))
    return out


def _mismatch(predictions: xr.Dataset, store: xr.Dataset, run: Path) -> str | None:
    """Why predictions are not of a run's experiments at a speed; None where they are."""
    n, of = store.sizes["experiment"], predictions.sizes["experiment"]
    if of != n:
        return f"{of} experiments instead of {n}"
    if not np.array_equal(predictions["level"], store["level"]):
        return f"levels {', '.join(f'{one:g}' for one in predictions['level'].values)} m"
    made_of = predictions.attrs.get("identity", {}).get("run")
    if made_of is not None and made_of != run_identity(run):
        return "it was made of another run"
    return None


def open_predictions(path: Path) -> xr.Dataset:
    """Open a predictions store; StoreError in one line where it is damaged."""
    return open_checked(path, "predictions", ("pdf", "spread", "part"))


def metrics(scores: xr.Dataset, w: float) -> list[dict]:
    """The entries of metrics.json of one speed: every model, target and split, with 95 % intervals."""
    entries = []
    start = scores["collection_start"].values
    for split in SPLITS:
        chosen = (scores["split"] == split).values
        if not chosen.any():
            continue
        block = block_of(start[chosen])
        for model in scores["model"].values.tolist():
            for target in TARGETS:
                one = scores.sel(model=model, target=target)
                bl, f = one["bl"].values[chosen], one["f"].values[chosen]
                values = np.stack([bl, f, 100 * is_valid(bl)], axis=1)
                if not np.isfinite(values).any():
                    continue
                mean = np.nanmean(values, axis=0)
                low, high = block_bootstrap(values, block)
                entry = {"w": w, "model": model, "target": target, "split": split, "n": int(np.isfinite(bl).sum()),
                         "blocks": int(np.unique(block[np.isfinite(bl)]).size)}  # fmt: skip
                for number, name in enumerate(("bl_mean", "f_mean", "valid_percent")):
                    entry |= with_interval(name, mean[number], low[number], high[number])
                entries.append(entry)
    return entries


def with_interval(name: str, middle: float, low: float, high: float) -> dict:
    """``name``, ``name_low``, ``name_high`` as metrics.json has them: None for what is not known."""
    numbers = {name: middle, f"{name}_low": low, f"{name}_high": high}
    return {key: float(value) if np.isfinite(value) else None for key, value in numbers.items()}


def add_earth_movers(
    entries: list[dict], speed: SpeedRun, scores: xr.Dataset, split: str, *, limit: int = 200, seed: int = 0
) -> None:
    """Add the earth mover's distance (km, smoothed PDFs) to the entries of a speed and split.

    ``emd_km_mean`` with its interval, and ``emd_n``, the experiments it is the mean of: at most ``limit``, drawn with ``seed``,
    the same for every model.

    Raises
    ------
    CatchmentError
        POT is not installed.
    """
    candidates = np.flatnonzero((scores["split"] == split).values & np.isfinite(scores["entropy"].sel(target="smoothed").values))
    chosen = candidates
    if candidates.size > limit:
        chosen = np.sort(np.random.default_rng(seed).choice(candidates, limit, replace=False))
    block = block_of(scores["collection_start"].values[chosen]) if chosen.size else chosen
    for model, values in speed.earth_movers(chosen).items():
        known = np.isfinite(values)
        if not known.any():
            continue
        low, high = block_bootstrap(values, block)
        for entry in entries:
            if (entry["w"], entry["model"], entry["target"], entry["split"]) == (speed.w, model, "smoothed", split):
                entry |= {"emd_n": int(known.sum()), **with_interval("emd_km_mean", values[known].mean(), low, high)}


def run_record(run: Path) -> dict:
    """run.json of a run, or {} where it is absent."""
    path = Path(run) / "run.json"
    return read_json(path) if path.exists() else {}
