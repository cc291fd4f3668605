"""``python -m learning.fit``: train an ensemble of networks on the binned PDFs of a run."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import time

import torch

from data import workers as cluster
from data.command import run_command
from data.cores import cores
from data.errors import OptionError, need
from data.lock import FolderLock
from data.machine import keep_freed_memory
from lagrangian.config import speed_folder
from learning.config import PRESETS, FitConfig, Preset
from learning.ensemble import check_device
from learning.folders import found_speeds, models_folder
from learning.input_sets import DEFAULT_INPUTS, INPUT_SETS
from learning.limits import check_training
from learning.plan import make_plan, train_task

#: Memory of a step that is kept for the next step: that of a training in the largest batches, about.
KEPT_BYTES = 512 * 2**20
#: What training imports and this module does not.
TASK_MODULES = ("learning.averaged_training",)


def main(config: FitConfig) -> int:
    """Train; see contract.md for what is written."""
    config.validate()
    torch.set_num_threads(config.threads or cores())
    check_device(config.device)
    keep_freed_memory(KEPT_BYTES)
    if not config.method or "unet" in config.method:
        fit_unet(config)
    if not config.method or "velocity" in config.method:
        from learning.velocity.fit import fit_velocities

        fit_velocities(config, _say)
    return 0


def fit_unet(config: FitConfig) -> None:
    """Train the networks of binned PDFs; of the input sets, those that such networks take."""
    usable = tuple(name for name in config.inputs or (DEFAULT_INPUTS,) if name in INPUT_SETS)
    if not usable:
        need("unet" not in config.method, f"--method unet takes --inputs {', '.join(INPUT_SETS)}, not {', '.join(config.inputs)}")
        return
    config = dataclasses.replace(config, inputs=usable)
    preset = effective_preset(config)
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
    sets: list[tuple[str, tuple[float, ...]]] = [(inputs, group) for inputs in config.inputs for group in groups]
    tasks = []
    with contextlib.ExitStack() as locks:
        for inputs, group in sets:
            folder = models_folder(config.run, group[0], inputs)
            folder.mkdir(parents=True, exist_ok=True)
            for member in _members(config, preset):
                lock = locks.enter_context(FolderLock(folder, f"member-{member:02d}"))
                tasks.append((inputs, group, member, lock.claim))
        if config.distributed:
            with config.client(_say, config.run, TASK_MODULES) as client:
                _fit_with_workers(client, config, preset, sets, tasks)
        else:
            for input_set in sets:
                _fit(config, preset, *input_set)


def effective_preset(config: FitConfig) -> Preset:
    """The preset with the options that override it."""
    preset = PRESETS[config.preset]
    changes = {name: getattr(config, name) for name in ("members", "epochs", "batch", "lr", "resample")}
    changes = {name: value for name, value in changes.items() if value is not None}
    architecture = preset.architecture
    if config.architecture not in (None, architecture.kind):
        architecture = dataclasses.replace(architecture, kind=config.architecture)
        # only the residual network has maps of several speeds that come apart
        changes["joint"] = preset.joint and architecture.kind == "residual"
    if config.width is not None:
        architecture = dataclasses.replace(architecture, width=config.width)
    return dataclasses.replace(preset, **changes, architecture=architecture)


def _members(config: FitConfig, preset: Preset) -> list[int]:
    return [config.member] if config.member else list(range(1, preset.members + 1))


def _fit(config: FitConfig, preset: Preset, inputs: str, speeds: tuple[float, ...]) -> None:
    """Train the members of one input set at some speeds (together)."""
    started = time.monotonic()
    plan = make_plan(config, preset, inputs, speeds)
    check_training(plan)
    plan.announce(_say)
    for member in _members(config, preset):
        plan.train(member, _say)
    plan.conclude(_say)
    _say(f"{inputs}: {time.monotonic() - started:.0f} s")


def _fit_with_workers(client, config: FitConfig, preset: Preset, sets: list[tuple[str, tuple[float, ...]]], tasks: list) -> None:
    """Train as :func:`_fit` does, each member a task of a Dask worker."""
    plans = [make_plan(config, preset, *input_set) for input_set in sets]
    for plan in plans:
        check_training(plan)
        plan.announce(_say)
    run, threads = config.run.resolve(), config.threads_each(config.threads)
    theirs = dataclasses.replace(config, run=run, threads=threads, test_run=config.test_run and config.test_run.resolve())
    _say(f"{len(tasks)} members for {cluster.n_workers(client)} workers")
    for _ in cluster.run_tasks(client, train_task, tasks, (theirs, preset, cluster.command_token()), on_report=_say):
        pass
    for plan in plans:
        plan.conclude(_say)


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(run_command(FitConfig, main, prog="learning.fit"))
