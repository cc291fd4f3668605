"""``python -m learning.fit``: train an ensemble of networks on the binned PDFs of a run."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from data.command import json_ready, provenance, read_json, run_command, write_file, write_json
from data.errors import OptionError, StoreError
from data.lock import FolderLock
from lagrangian import cluster
from lagrangian.config import speed_folder
from learning.config import PRESETS, FitConfig, Preset
from learning.inputs import InputSpec, Normalisation
from learning.samples import RunSamples
from learning.split import DAY, Split, gap_days, split_by_time
from learning.training import Task, mean_pdfs, train_member, write_history
from learning.weights import load_tensors, network_card, save_network, save_tensors

#: The level whose validation BL chooses the epoch, m.
CHOOSING_LEVEL = 200.0
#: Options that do not change the weights.
NOT_IDENTITY = (
    "run", "member", "device", "threads", "tensorboard", "test_run", "members", "inputs", "w",
    "workers", "scheduler", "cluster", "cluster_options",
)  # fmt: skip
EPOCH_BOUNDS = (3, 40)
#: Beside the members: the mean PDF of the training experiments, which predictions are compared with.
CLIMATOLOGY = "climatology.safetensors"


def main(config: FitConfig) -> int:
    """Train; see contract.md for what is written."""
    config.validate()
    preset = effective_preset(config)
    torch.set_num_threads(config.threads or len(os.sched_getaffinity(0)))
    _check_device(config.device)
    speeds = config.w or found_speeds(config.run)
    for w in speeds:
        if not (config.run / speed_folder(w)).exists():
            raise OptionError(
                f"--w {w:g}: {config.run} holds no PDFs at that speed; run python -m lagrangian.run --w {w:g} --out {config.run}"
            )
    if config.preset == "quick":
        _say(
            f"preset quick: a {preset.architecture.kind} network of {preset.architecture.width} channels and {preset.members} "
            "members, for a small machine; the paper's recipe is --preset paper"
        )
    groups = [tuple(speeds)] if preset.joint else [(w,) for w in speeds]
    with contextlib.ExitStack() as locks:
        for inputs in config.inputs:
            for group in groups:
                for member in _members(config, preset):
                    folder = models_folder(config.run, group[0], inputs)
                    folder.mkdir(parents=True, exist_ok=True)
                    locks.enter_context(FolderLock(folder, f"member-{member:02d}"))
        if config.distributed:
            _fit_with_workers(config, preset, [(inputs, group) for inputs in config.inputs for group in groups])
        else:
            for inputs in config.inputs:
                for group in groups:
                    _fit(config, preset, inputs, group)
    return 0


def effective_preset(config: FitConfig) -> Preset:
    """The preset with the options that override it."""
    preset = PRESETS[config.preset]
    changes = {name: getattr(config, name) for name in ("members", "epochs", "batch", "lr", "resample")}
    changes = {name: value for name, value in changes.items() if value is not None}
    if config.width is not None:
        changes["architecture"] = dataclasses.replace(preset.architecture, width=config.width)
    return dataclasses.replace(preset, **changes)


def found_speeds(run: Path) -> tuple[float, ...]:
    """Sinking speeds whose PDFs are in a run.

    Raises
    ------
    StoreError
        There are none.
    """
    speeds = sorted(float(path.parent.name[1:]) for path in Path(run).glob("w*/pdf.zarr"))
    if not speeds:
        raise StoreError(f"{run} holds no finished PDFs (w*/pdf.zarr); run python -m lagrangian.run --out {run} first")
    return tuple(speeds)


def run_identity(run: Path) -> str:
    """A hash of what a run's ocean and experiments are, the same wherever its folder lies."""
    path = Path(run) / "run.json"
    identity = read_json(path).get("identity", {}) if path.exists() else {}
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def models_folder(run: Path, w: float, inputs: str) -> Path:
    """Where the networks of a speed and an input set are kept."""
    return Path(run) / speed_folder(w) / "models" / inputs


def member_path(folder: Path, member: int) -> Path:
    """Weights of a member, numbered from 1."""
    return folder / f"member-{member:02d}.safetensors"


def _members(config: FitConfig, preset: Preset) -> list[int]:
    return [config.member] if config.member else list(range(1, preset.members + 1))


def _fit(config: FitConfig, preset: Preset, inputs: str, speeds: tuple[float, ...]) -> None:
    """Train the members of one input set at some speeds (together)."""
    started = time.monotonic()
    plan = _plan(config, preset, inputs, speeds)
    plan.announce()
    for member in _members(config, preset):
        plan.train(member, _say)
    plan.conclude()
    _say(f"{inputs}: {time.monotonic() - started:.0f} s")


def _fit_with_workers(config: FitConfig, preset: Preset, sets: list[tuple[str, tuple[float, ...]]]) -> None:
    """The same, each member a task of a Dask worker."""
    plans = [_plan(config, preset, *one) for one in sets]
    for plan in plans:
        plan.announce()
    tasks = [(*one, member) for one in sets for member in _members(config, preset)]
    run, threads = config.run.resolve(), config.threads_each(config.threads)
    theirs = dataclasses.replace(config, run=run, threads=threads, test_run=config.test_run and config.test_run.resolve())
    with config.client(_say) as client:
        _say(f"{len(tasks)} members for {cluster.n_workers(client)} workers")
        for _ in cluster.run_tasks(client, train_task, tasks, (theirs, preset), on_report=_say):
            pass
    for plan in plans:
        plan.conclude()


def train_task(task: tuple[str, tuple[float, ...], int], config: FitConfig, preset: Preset) -> None:
    """Train one member in a worker; a task of :func:`lagrangian.cluster.run_tasks`."""
    inputs, speeds, member = task
    if config.threads:
        torch.set_num_threads(config.threads)
    _check_device(config.device)
    _plan_of(config, preset, inputs, speeds).train(member, cluster.report)


@dataclass(eq=False)
class FitPlan:
    """What the members of one input set have in common.

    Attributes
    ----------
    config, preset : FitConfig, Preset
        The preset with ``epochs`` decided.
    samples : RunSamples
    split : Split
    normalisation : Normalisation
    climatology : (speed, level, y, x) float32
        Smoothed mean PDF of the training experiments.
    record : dict
        Of fit.json.
    """

    config: FitConfig
    preset: Preset
    samples: RunSamples
    split: Split
    normalisation: Normalisation
    climatology: torch.Tensor
    record: dict

    @property
    def folders(self) -> list[Path]:
        """Of the models, one a speed."""
        return [models_folder(self.config.run, w, self.samples.fields.spec.name) for w in self.samples.speeds]

    def announce(self) -> None:
        """Say what will be trained, and claim the folders."""
        counts = ", ".join(f"{getattr(self.split, name).size} {name}" for name in ("train", "validation", "test"))
        _say(
            f"{self.samples.fields.spec.name} at {', '.join(f'{w:g}' for w in self.samples.speeds)} m/d: {counts} experiments, "
            f"{self.record['gap_days']:g} days left out between; {self.preset.epochs} epochs a member"
        )
        for w, folder, mean in zip(self.samples.speeds, self.folders, self.climatology, strict=True):
            _claim(folder, self.record)
            save_tensors(folder / CLIMATOLOGY, {"pdf": mean}, {"levels": self.samples.levels.tolist(), "w": w})

    def train(self, member: int, say: Callable[[str], None]) -> None:
        """Train a member, or go on with it; nothing where it is there already."""
        if all(member_path(folder, member).exists() for folder in self.folders):
            say(f"member {member} is there already")
            return
        config, samples = self.config, self.samples
        state = self.folders[0] / f"member-{member:02d}.state.safetensors"
        level = np.flatnonzero(np.isclose(samples.levels, CHOOSING_LEVEL))
        level = int(level[0]) if level.size else samples.levels.size - 1
        task = Task(samples, self.split.train, self.split.validation, self.normalisation, self.preset, config.seed, member, state,
                    level, self.climatology)  # fmt: skip
        tensorboard = self.folders[0] / "tensorboard" if config.tensorboard else None
        networks = train_member(task, device=config.device, precision=config.precision, tensorboard=tensorboard, say=say)
        rows = load_tensors(state)[1]["rows"]
        for w, folder, network in zip(samples.speeds, self.folders, networks, strict=True):
            best = min((row for row in rows if row["w"] == w), key=lambda row: row["bl_200"])
            card = network_card(
                network, self.normalisation, levels=samples.levels.tolist(), w=w, member=member, seed=config.seed,
                site=str(samples.attributes.get("site", "")), trap_depth_m=samples.attributes.get("trap_depth_m"),
                collection_days=float((samples.end - samples.start)[0] / DAY),
                window={"points": 100, "spacing_km": 8.0}, split=self.record["split"], run=self.record["run_identity"],
                best_epoch=best["epoch"], validation={k: best[k] for k in ("bl_200", "f_200", "valid_percent_200")},
            )  # fmt: skip
            write_history(folder / f"history-{member:02d}.csv", rows, w)
            save_network(member_path(folder, member), network, card)
        state.unlink(missing_ok=True)

    def conclude(self) -> None:
        """Gather the histories; say what is there and what comes next."""
        for w, folder in zip(self.samples.speeds, self.folders, strict=True):
            _gather_history(folder)
            done = sorted(folder.glob("member-*[0-9].safetensors"))
            _say(f"{len(done)} of {self.preset.members} members in {folder}")
            if len(done) == self.preset.members:
                run = self.config.test_run or self.config.run
                _say(f"next: python -m learning.predict --models {folder} --run {run}  (w = {w:g} m/d)")


def _plan(config: FitConfig, preset: Preset, inputs: str, speeds: tuple[float, ...]) -> FitPlan:
    """Open the run and split it.

    Raises
    ------
    OptionError, StoreError
        The run cannot be learnt from.
    """
    spec = InputSpec.of(
        inputs, config.ssh_resolution, config.sst_resolution, lags_days=config.lags, method=config.resolution_method
    )
    samples = RunSamples.open(config.run, speeds, spec)
    gap = gap_days(config.lags, samples.start, samples.end)
    split = split_by_time(samples.start, samples.end, samples.usable, gap, test=config.test_run is None)
    if config.test_run is not None and run_identity(config.test_run) == run_identity(config.run):
        raise OptionError(f"--test-run {config.test_run} is the same simulation as --run; it would be tested on what it learnt")
    if config.experiments is not None and config.experiments < split.train.size:
        drawn = np.random.default_rng([config.seed, 2]).choice(split.train, config.experiments, replace=False)
        split = dataclasses.replace(split, train=np.sort(drawn))
    if preset.epochs is None:
        epochs = int(np.clip(round(preset.visits / split.train.size), *EPOCH_BOUNDS))
        preset = dataclasses.replace(preset, epochs=epochs)
    normalisation = samples.normalisation(split.train)
    record = _record(config, preset, samples, split, normalisation, gap)
    return FitPlan(config, preset, samples, split, normalisation, mean_pdfs(samples, split.train), record)


#: In a worker, which trains several members of one set.
_plan_of = functools.lru_cache(maxsize=1)(_plan)


def _record(config, preset, samples: RunSamples, split: Split, normalisation: Normalisation, gap: float) -> dict:
    options = {name: value for name, value in json_ready(config).items() if name not in NOT_IDENTITY}
    identity = {"options": options, "preset": json_ready(preset), "speeds": list(samples.speeds)}
    identity["preset"].pop("members")
    return {
        **provenance(config),
        "identity": identity,
        "inputs": json_ready(samples.fields.spec),
        "normalisation": {"mean": normalisation.mean.tolist(), "std": normalisation.std.tolist()},
        "split": split.dates(samples.start, samples.end),
        "gap_days": gap,
        "n": {name: int(getattr(split, name).size) for name in ("train", "validation", "test")},
        "test_run": None if config.test_run is None else str(config.test_run),
        "run_identity": run_identity(config.run),
        "threads": torch.get_num_threads(),
    }


def _claim(folder: Path, record: dict) -> None:
    """Make a folder of models ours, or find that it is.

    Raises
    ------
    StoreError
        It holds members of another configuration.
    """
    path = folder / "fit.json"
    if path.exists() and any(folder.glob("member-*.safetensors")):
        known = read_json(path)
        old, new = known.get("identity", {}), json_ready(record["identity"])
        if old != new or known.get("run_identity") != record["run_identity"] or known.get("split") != record["split"]:
            changed = [name for name in new if old.get(name) != new[name]] or ["the run's experiments"]
            raise StoreError(
                f"{folder} holds members trained otherwise ({', '.join(changed)} differ); remove it, or give the same options"
            )
    write_json(path, record)


def _gather_history(folder: Path) -> None:
    """history.csv from those of the members."""
    lines: list[str] = []
    for path in sorted(folder.glob("history-*.csv")):
        head, *rows = path.read_text().splitlines()
        lines = [*(lines or [head]), *rows]
    write_file(folder / "history.csv", ("\n".join(lines) + "\n").encode())


def _check_device(device: str) -> None:
    if device == "gpu" and not torch.cuda.is_available():
        raise OptionError("--device gpu: PyTorch sees no GPU here; use --device auto")


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(run_command(FitConfig, main, prog="learning.fit"))
