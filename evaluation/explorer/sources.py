"""Layers of the explorer from a run of lagrangian.run or from catchment files of learning.predict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import xarray as xr

from data.errors import InputError
from data.frame import Frame
from data.netcdf import expand
from data.ocean_names import IDEALISED, is_idealised
from data.progress import Progress
from evaluation import scores
from evaluation.catchments import FLAG_BITS, read_catchments
from evaluation.experiments import BATCH, batches, true_pdfs
from evaluation.explorer.layers import Layer
from evaluation.results import SpeedRun
from lagrangian.binning import smooth_pdf
from learning.folders import found_speeds
from learning.split import PARTS

#: Names in the page of the simulated catchments, and of the best constant PDF of the training experiments.
TRUTH, CONSTANT = "simulation", "best constant PDF"


@dataclass(eq=False)
class Source:
    """The content of a page.

    Attributes
    ----------
    layers : list of Layer
    frame : Frame
        km around the trap; its centre is in degrees, or NaN where the ocean has no place on Earth.
    ocean, site : str
        Their names.
    trap_depth : float
        m.
    dated : str
        The meaning of the maps' dates.
    idealised : bool
    notes : list of str
    """

    layers: list[Layer]
    frame: Frame
    ocean: str
    site: str
    trap_depth: float
    dated: str
    idealised: bool
    notes: list[str] = field(default_factory=list)


def from_run(run: Path, position: int | None = None, levels: Sequence[float] = ()) -> Source:
    """Simulated and predicted catchments of one trap position of a run, at every speed and level.

    ``position``: number of the trap position (default: the one nearest to the site). ``levels``: m (default: all).

    Raises
    ------
    StoreError, InputError
        The run holds no PDFs, or no such position or level.
    """
    layers: list[Layer] = []
    notes: list[str] = []
    speeds = found_speeds(run)
    first = None
    with Progress("reading catchments", "speed") as bar:
        for number, w in enumerate(speeds):
            speed_run = SpeedRun.open(run, w)
            store = speed_run.store
            rows, place = experiments_at(store, position)
            level_numbers = chosen_levels(store, levels)
            layers += _layers_of(speed_run, rows, level_numbers)
            bar.update(number + 1, len(speeds))
            if first is None:
                first = store, place, rows
            if np.unique(store["position"].values).size > 1 and number == 0:
                notes.append(
                    f"the run has {np.unique(store['position'].values).size} trap positions; this page shows number {place} "
                    "(--position chooses another)"
                )
            if speed_run.predictions and (speed_run.split[rows] == "train").any():
                notes.append(f"{w:g} m/d: predictions of days that the networks were trained on flatter them; each is marked")
    assert first is not None
    store, _, rows = first
    source = str(store.attrs.get("source", ""))
    degrees = store["trap_lon"].attrs.get("units", "degrees_east") != "m"
    centre = tuple(float(store[name].values[rows[0]]) for name in ("trap_lon", "trap_lat"))
    x, y = store["x"].values, store["y"].values
    frame = Frame(centre if degrees else (np.nan, np.nan), float(x[1] - x[0]), x, y)  # type: ignore[arg-type]
    return Source(layers, frame, source or "an ocean without a name", str(store.attrs.get("site", "")),
                  float(store.attrs.get("trap_depth_m", np.nan)), "first day of the collection period",
                  is_idealised(source), list(dict.fromkeys(notes)))  # fmt: skip


def experiments_at(store: xr.Dataset, position: int | None) -> tuple[np.ndarray, int]:
    """Experiments (their numbers, by date) of a trap position and its number; by default of the one nearest to the site.

    Raises
    ------
    InputError
        There is no such position.
    """
    positions = store["position"].values
    if position is None:
        distance = np.hypot(store["trap_dx"].values, store["trap_dy"].values)
        position = int(positions[np.argmin(np.round(distance, 6))])
    rows = np.flatnonzero(positions == position)
    if not rows.size:
        raise InputError(f"--position {position}: the run has the positions {positions.min()} to {positions.max()}")
    return rows[np.argsort(store["collection_start"].values[rows], kind="stable")], int(position)


def chosen_levels(store: xr.Dataset, levels: Sequence[float]) -> list[int]:
    """Numbers of the levels (m) that are asked for, all by default, the shallowest first.

    Raises
    ------
    InputError
        The run has no such level.
    """
    depths = store["level"].values.astype(np.float64)
    for level in levels:
        if not np.isclose(depths, level).any():
            raise InputError(f"--levels {level:g}: the run keeps {', '.join(f'{depth:g}' for depth in sorted(depths))} m")
    order = np.argsort(depths, kind="stable")
    return [int(k) for k in order if not levels or np.isclose(depths[k], levels).any()]


def _layers_of(one: SpeedRun, rows: np.ndarray, levels: list[int]) -> list[Layer]:
    """Layers of one speed: the simulation's, each model's, and the best constant PDF of the training experiments."""
    store, x, y = one.store, one.store["x"].values, one.store["y"].values
    dates = store["collection_start"].values[rows]
    layers = []
    counts_of_rows = store[["counts", "reached"]].isel(experiment=rows).load()
    # a chunk holds all levels: it is read once for all
    models = {name: made[["pdf", "spread", "part"]].isel(experiment=rows).load() for name, made in one.predictions.items()}
    for level in levels:
        depth = float(store["level"][level])
        counted = true_pdfs(counts_of_rows, level, slice(0, rows.size))
        truth = smooth_pdf(counted)
        layer = Layer.of(TRUTH, one.w, depth, dates, [truth], x, y)
        layer.facts["within"] = counted.sum(axis=(1, 2))
        layers.append(layer)
        for name, predictions in models.items():
            guess = predictions["pdf"][:, level].values
            layer = Layer.of(name, one.w, depth, dates, [guess], x, y)
            layer.facts["bl"] = scores.bhattacharyya_loss(truth, guess)
            layer.facts["f"] = scores.overlap(truth, guess)
            layer.facts["spread"] = predictions["spread"][:, level].values.astype(np.float64)
            layer.facts["part"] = predictions["part"].values.astype(np.float64)
            layers.append(layer)
        with_constant = next((predictions for predictions in one.predictions.values() if "climatology_root" in predictions), None)
        if with_constant is not None:
            constant = with_constant["climatology_root"][level].values[None]
            layers.append(Layer.of(CONSTANT, one.w, depth, np.array(["NaT"], "datetime64[s]"), [constant], x, y))
    return layers


def from_files(patterns: Sequence[str]) -> Source:
    """Predicted catchments of files catchment_w*.nc; files of one folder are a model, called as the folder is.

    ``patterns``: files, quoted globs, or folders that hold such files, themselves or in their own folders.

    Raises
    ------
    InputError
        A folder or pattern holds none, a file is not one, or two models are of different traps or lattices.
    """
    groups = by_folder(patterns)
    layers: list[Layer] = []
    notes: list[str] = []
    first = None
    names = _names(list(groups))
    for folder, paths in groups.items():
        catchments = read_catchments(paths)
        # read_catchments tells of flags by an option that this command has not; each map says its own here
        notes += [note for note in catchments.notes if " are flagged " not in note]
        if first is None:
            first = catchments.frame, paths
        elif catchments.frame.center != first[0].center or catchments.frame.shape != first[0].shape:
            raise InputError(f"{paths[0]}: its trap or lattice differs from that of {first[1][0]}; give files of one trap")
        with xr.open_dataset(paths[0]) as file:
            if of := file.attrs.get("source"):
                notes.append(f"{names[folder]}: {of}")
        facts_of_speed = {speed: facts for speed, facts in map(_told, paths)}
        for speed, predictions in catchments.predictions.items():
            shape = (len(predictions.pdf), *catchments.frame.shape)
            pdfs = (predictions.pdf[part].reshape(-1, *shape[1:]) for part in batches(len(predictions.pdf), BATCH))
            times, facts, depth = facts_of_speed[speed]
            layer = Layer.of(names[folder], speed, depth, predictions.times, pdfs, catchments.frame.x, catchments.frame.y)
            places = [int(np.flatnonzero(times == time)[0]) for time in predictions.times]
            layer.facts |= {name: values[places] for name, values in facts.items()}
            layers.append(layer)
    flags = np.concatenate([layer.facts.get("flag", np.zeros(layer.dates.size)) for layer in layers])
    if flags.any():
        notes.append(f"{int((flags > 0).sum())} of {flags.size} predictions are flagged; each map says why beside “to mind”")
    assert first is not None
    frame, paths = first
    with xr.open_dataset(paths[0]) as file:
        idealised = is_idealised(file.attrs.get("maps_source"))
        ocean = IDEALISED if idealised else "the sea as satellites saw it"
        site, depth = str(file.attrs.get("site", "")), float(file.attrs.get("trap_depth_m", np.nan))
    return Source(layers, frame, ocean, site, depth, "mean arrival of the particles at the export depth", idealised, notes)


def by_folder(patterns: Sequence[str]) -> dict[Path, list[str]]:
    """Catchment files by their folders, folders in the order in which they are given."""
    paths: list[str] = []
    for pattern in patterns:
        folder = Path(pattern).expanduser()
        if folder.is_dir():
            inside = sorted(folder.glob("catchment_w*.nc")) or sorted(folder.glob("*/catchment_w*.nc"))
            if not inside:
                raise InputError(f"--predictions {pattern}: holds no catchment_w*.nc, which learning.predict --ssh --sst writes")
            paths += map(str, inside)
        else:
            paths.append(pattern)
    groups: dict[Path, list[str]] = {}
    for path in expand(paths):
        groups.setdefault(Path(path).resolve().parent, []).append(path)
    return groups


def _names(folders: list[Path]) -> dict[Path, str]:
    """Each folder's own name, with as many parent folders as make the name unique."""
    names = {}
    for folder in folders:
        parts = 1
        while parts < len(folder.parts) and sum(path.parts[-parts:] == folder.parts[-parts:] for path in folders) > 1:
            parts += 1
        names[folder] = "/".join(folder.parts[-parts:])
    return names


def _told(path: str) -> tuple[float, tuple[np.ndarray, dict[str, np.ndarray], float]]:
    """Speed of a catchment file, its times, facts about each prediction, and the depth of its maps (m)."""
    with xr.open_dataset(path) as file:
        times = file["time"].values.astype("datetime64[s]")
        facts = {}
        for name in ("spread", "flag"):
            if name in file.variables and file[name].dims == ("time",):
                facts[name] = file[name].values.astype(np.float64)
        depth = float(file["depth"]) if "depth" in file.variables and file["depth"].ndim == 0 else 200.0
        return float(np.asarray(file.attrs["sinking_speed_m_per_day"]).item()), (times, facts, depth)


def flag_names() -> Iterator[tuple[int, str]]:
    """Bits of ``flag``, and the meaning of each bit in words."""
    words = {"outside": "maps unlike those that the networks learnt from", "date": "a map of another date stood in",
            "sst": "no SST was given", "unknown": "part of the window is unknown"}  # fmt: skip
    for name, bit in FLAG_BITS.items():
        yield bit, words[name]


def part_names() -> list[str]:
    """A sentence on experiments of each part of the networks' record, in the order of :data:`learning.split.PARTS`."""
    words = {"train": "training day: the networks have seen it", "validation": "validation day",
            "test": "test day: the networks have not seen it", "between": "day between two parts of the record",
            "unseen": "of a run that the networks have not seen"}  # fmt: skip
    return [words[name] for name in PARTS]
