"""``python -m learning.fit``: train an ensemble of networks on the binned PDFs of a run."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch

from data.command import json_ready, provenance, read_json, run_command, write_file, write_json
from data.errors import OptionError, StoreError
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
NOT_IDENTITY = ("run", "member", "device", "threads", "tensorboard", "test_run", "members", "inputs", "w")
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


def _fit(config: FitConfig, preset: Preset, inputs: str, speeds: tuple[float, ...]) -> None:
    """Train the members of one input set at some speeds (together)."""
    spec = InputSpec.of(
        inputs, config.ssh_resolution, config.sst_resolution, lags_days=config.lags, method=config.resolution_method
    )
    folders = [models_folder(config.run, w, inputs) for w in speeds]
    members = [config.member] if config.member else list(range(1, preset.members + 1))
    started = time.monotonic()
    samples = RunSamples.open(config.run, speeds, spec)
    level = np.flatnonzero(np.isclose(samples.levels, CHOOSING_LEVEL))
    level = int(level[0]) if level.size else samples.levels.size - 1
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
    counts = ", ".join(f"{getattr(split, name).size} {name}" for name in ("train", "validation", "test"))
    _say(
        f"{inputs} at {', '.join(f'{w:g}' for w in speeds)} m/d: {counts} experiments, {gap:g} days left out between; "
        f"{preset.epochs} epochs a member"
    )
    record = _record(config, preset, samples, split, normalisation, gap)
    climatology = mean_pdfs(samples, split.train)
    for w, folder, mean in zip(speeds, folders, climatology, strict=True):
        _claim(folder, record)
        save_tensors(folder / CLIMATOLOGY, {"pdf": mean}, {"levels": samples.levels.tolist(), "w": w})
    for member in members:
        if all(member_path(folder, member).exists() for folder in folders):
            _say(f"member {member} is there already")
            continue
        state = folders[0] / f"member-{member:02d}.state.safetensors"
        task = Task(samples, split.train, split.validation, normalisation, preset, config.seed, member, state, level, climatology)
        tensorboard = folders[0] / "tensorboard" if config.tensorboard else None
        networks = train_member(task, device=config.device, precision=config.precision, tensorboard=tensorboard, say=_say)
        rows = load_tensors(state)[1]["rows"]
        for w, folder, network in zip(speeds, folders, networks, strict=True):
            best = min((row for row in rows if row["w"] == w), key=lambda row: row["bl_200"])
            card = network_card(
                network, normalisation, levels=samples.levels.tolist(), w=w, member=member, seed=config.seed,
                site=str(samples.attributes.get("site", "")), trap_depth_m=samples.attributes.get("trap_depth_m"),
                collection_days=float((samples.end - samples.start)[0] / DAY),
                window={"points": 100, "spacing_km": 8.0}, split=record["split"], run=record["run_identity"],
                best_epoch=best["epoch"], validation={k: best[k] for k in ("bl_200", "f_200", "valid_percent_200")},
            )  # fmt: skip
            write_history(folder / f"history-{member:02d}.csv", rows, w)
            save_network(member_path(folder, member), network, card)
        state.unlink(missing_ok=True)
    for w, folder in zip(speeds, folders, strict=True):
        _gather_history(folder)
        done = sorted(folder.glob("member-*[0-9].safetensors"))
        _say(f"{len(done)} of {preset.members} members in {folder}")
        if len(done) == preset.members:
            _say(f"next: python -m learning.predict --models {folder} --run {config.test_run or config.run}  (w = {w:g} m/d)")
    _say(f"{inputs}: {time.monotonic() - started:.0f} s")


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
