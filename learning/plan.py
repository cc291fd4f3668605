"""The plan that the members of an input set share, and the training of a member, here or in a worker.

Workers import this module; the command, :mod:`learning.fit`, they could not (it runs under another name).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from data import workers as cluster
from data.command import json_ready, provenance, read_json, write_file, write_json
from data.errors import OptionError, StoreError, need
from data.frame import WINDOW_POINTS, WINDOW_SPACING_KM
from data.lock import Claim
from lagrangian.pdf import export_number
from learning.config import FitConfig, Preset
from learning.ensemble import check_device
from learning.folders import CLIMATOLOGY, found_speeds, member_path, models_folder, run_identity
from learning.inputs import InputSpec, Normalisation
from learning.samples import RunSamples
from learning.split import DAY, Split, gap_days, split_by_time
from learning.training import Task, level_names, mean_pdfs, root_pdfs, train_member, write_history
from learning.weights import load_tensors, network_card, save_network, save_tensors

#: Options that do not change the weights.
NOT_IDENTITY = (
    "run", "member", "device", "threads", "tensorboard", "test_run", "members", "inputs", "w",
    "workers", "scheduler", "cluster", "cluster_options", "method", "causal", "architecture",
)  # fmt: skip
EPOCH_BOUNDS = (3, 40)


def train_task(task: tuple[str, tuple[float, ...], int, Claim], config: FitConfig, preset: Preset, token: str) -> None:
    """Train one member in a worker; a task of :func:`data.workers.run_tasks`.

    Raises
    ------
    CommandGone
        The command that the claim is of has ended: whoever holds the member now must not find our work in its place.
    """
    inputs, speeds, member, claim = task
    claim.wait()
    if config.threads:
        torch.set_num_threads(config.threads)
    check_device(config.device)
    _plan_of(token, config, preset, inputs, speeds).train(member, cluster.report, claim.check)


@dataclass(eq=False)
class FitPlan:
    """The plan that the members of an input set share.

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
        """Folders of the models, one for each speed."""
        return [models_folder(self.config.run, w, self.samples.fields.spec.name) for w in self.samples.speeds]

    def announce(self, say: Callable[[str], None]) -> None:
        """Say what will be trained, and claim the folders."""
        counts = ", ".join(f"{getattr(self.split, name).size} {name}" for name in ("train", "validation", "test"))
        say(
            f"{self.samples.fields.spec.name} at {', '.join(f'{w:g}' for w in self.samples.speeds)} m/d: {counts} experiments, "
            f"{self.record['gap_days']:g} days left out between; {self.preset.epochs} epochs a member"
        )
        for note in self.samples.fields.notes:
            say(f"note: {note}")
        constants = zip(self.climatology, root_pdfs(self.samples, self.split.train), strict=True)
        for w, folder, (mean, root) in zip(self.samples.speeds, self.folders, constants, strict=True):
            _claim(folder, self.record)
            save_tensors(folder / CLIMATOLOGY, {"pdf": mean, "root": root}, {"levels": self.samples.levels.tolist(), "w": w})

    def train(self, member: int, say: Callable[[str], None], check: Callable[[], None] = lambda: None) -> None:
        """Train a member, or go on with its training; a finished member is left alone.

        ``check`` is called at each step and before anything is written; it may raise, to end the training.
        """
        if all(member_path(folder, member).exists() for folder in self.folders):
            say(f"member {member} is there already")
            return
        config, samples = self.config, self.samples
        state = self.folders[0] / f"member-{member:02d}.state.safetensors"
        level = export_number(samples.levels)
        task = Task(samples, self.split.train, self.split.validation, self.normalisation, self.preset, config.seed, member, state,
                    level, self.climatology)  # fmt: skip
        tensorboard = self.folders[0] / "tensorboard" if config.tensorboard else None
        networks = train_member(
            task, device=config.device, precision=config.precision, tensorboard=tensorboard, say=say, check=check
        )
        check()
        rows = load_tensors(state)[1]["rows"]
        names = level_names(float(samples.levels[level]))
        for w, folder, network in zip(samples.speeds, self.folders, networks, strict=True):
            best = min((row for row in rows if row["w"] == w), key=lambda row: row[names["bl"]])
            card = network_card(
                network, self.normalisation, levels=samples.levels.tolist(), w=w, member=member, seed=config.seed,
                site=str(samples.attributes.get("site", "")), ocean=str(samples.attributes.get("source", "")),
                trap_depth_m=samples.attributes.get("trap_depth_m"),
                collection_days=float((samples.end - samples.start)[0] / DAY),
                window={"points": WINDOW_POINTS, "spacing_km": WINDOW_SPACING_KM},
                split=self.record["split"], run=self.record["run_identity"],
                best_epoch=best["epoch"], validation={name: best[name] for name in names.values()},
            )  # fmt: skip
            write_history(folder / f"history-{member:02d}.csv", rows, w, float(samples.levels[level]))
            save_network(member_path(folder, member), network, card)
        state.unlink(missing_ok=True)

    def conclude(self, say: Callable[[str], None]) -> None:
        """Gather the histories; tell which members exist and which command comes next."""
        for w, folder in zip(self.samples.speeds, self.folders, strict=True):
            _gather_history(folder)
            finished = sorted(folder.glob("member-*[0-9].safetensors"))
            say(f"{len(finished)} of {self.preset.members} members in {folder}")
            if len(finished) == self.preset.members:
                run = self.config.test_run or self.config.run
                say(f"next: python -m learning.predict --models {folder} --run {run}  (w = {w:g} m/d)")


def make_plan(config: FitConfig, preset: Preset, inputs: str, speeds: tuple[float, ...]) -> FitPlan:
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
    if config.test_run is not None:
        lacking = [f"{w:g}" for w in samples.speeds if w not in found_speeds(config.test_run)]
        need(not lacking, f"--test-run {config.test_run}: no finished PDFs at {', '.join(lacking)} m/d; run them, or give --w")
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


@functools.lru_cache(maxsize=1)
def _plan_of(token: str, *arguments) -> FitPlan:
    """The plan and the samples in a worker, made once for all members of the command that ``token`` names."""
    return make_plan(*arguments)


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
    """Claim a folder of models for this configuration; StoreError if the folder holds models of another.

    Raises
    ------
    StoreError
        It holds members of another configuration.
    """
    path = folder / "fit.json"
    if path.exists() and any(folder.glob("member-*.safetensors")):
        recorded = read_json(path)
        old, new = recorded.get("identity", {}), json_ready(record["identity"])
        if old != new or recorded.get("run_identity") != record["run_identity"] or recorded.get("split") != record["split"]:
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
