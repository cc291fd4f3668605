"""``python -m lagrangian.run``: backtrack sinking particles and bin where they cross each level."""

from __future__ import annotations

import dataclasses
import sys
import time
from pathlib import Path

from data.command import json_ready, provenance, read_json, run_command, write_json
from data.errors import InputError, OptionError, StoreError
from data.lock import FolderLock
from data.ocean import Ocean
from data.progress import Progress
from lagrangian import checkpoint, cluster
from lagrangian.blocks import Block, digest, for_workers, plan_blocks, record_of, run_block, work
from lagrangian.config import DT_MINUTES, RunConfig, speed_folder
from lagrangian.experiments import Design, design_experiments
from lagrangian.fields import FieldsPlan
from lagrangian.oceans import open_ocean
from lagrangian.results import SpeedResults, is_done
from lagrangian.stores import STATUS_MEANINGS

#: Options that do not change what the stores hold.
NOT_IDENTITY = (
    "w", "out", "threads", "start", "end", "workers", "scheduler", "cluster", "cluster_options", "block", "checkpoint",
)  # fmt: skip


def main(config: RunConfig) -> int:
    """Run the experiments that ``config`` describes; see contract.md for what is written."""
    config.validate()
    ocean = open_ocean(config)
    config = _with_defaults_of(ocean, config)
    design, config = _design(config, ocean)
    _check_options(config, ocean)
    _make_folder(config.out)
    with FolderLock(config.out):
        return _run(config, ocean, design)


def _run(config: RunConfig, ocean: Ocean, design: Design) -> int:
    """What :func:`main` does once the folder is its own."""
    identity = _identity(config, ocean, design)
    _claim_folder(config.out, identity)
    # before any store: what lies in the folder from now on belongs to this configuration
    record = {**provenance(config), "ocean": ocean.description, "identity": identity}
    write_json(config.out / "run.json", record)
    speeds = {w: SpeedResults.of(config.out, config, design, ocean, w) for w in config.w}
    fields = FieldsPlan(config, ocean, design, check=True)
    first, last = (str(time)[:16].replace("T", " ") for time in ocean.times[[0, -1]])
    _say(f"{ocean.description.get('kind', 'ocean')}: {len(ocean.times)} snapshots, {first} to {last}")
    for assumption in ocean.description.get("assumptions", ()):
        _say(f"note: {assumption}")
    _say(
        f"{design.n_experiments} experiments ({design.n_periods} periods x {design.n_positions} positions) of "
        f"{design.n_particles} particles at {', '.join(f'{w:g}' for w in config.w)} m/d"
    )
    started = time.perf_counter()
    steps = _sweep(config, ocean, design, speeds, fields, digest(identity))
    fields.close()
    for results in speeds.values():
        results.close()
    elapsed = time.perf_counter() - started
    summaries = [results.summary() for results in speeds.values()]
    record["result"] = {
        "seconds": round(elapsed, 2),
        "particle_steps": steps,
        "particles": {speed_folder(s.w): {STATUS_MEANINGS.get(k, str(k)): n for k, n in s.by_status.items()} for s in summaries},
    }
    write_json(config.out / "run.json", record)
    for s in summaries:
        parts = ", ".join(f"{100 * n / s.released:.1f} % {STATUS_MEANINGS[k]}" for k, n in sorted(s.by_status.items()) if n)
        _say(f"{s.w:g} m/d: {s.released} particles: {parts}")
    if steps:
        _say(f"{steps / 1e6:.1f} million particle-steps in {elapsed:.1f} s: {steps / elapsed / 1e6:.2f} million/s")
    from lagrangian.maps import draw_catchment

    for w in config.w:
        picture = config.out / speed_folder(w) / "catchment.png"
        draw_catchment(config.out / speed_folder(w), picture)
        _say(f"map: {picture}")
    return 0


def _sweep(
    config: RunConfig, ocean: Ocean, design: Design, speeds: dict[float, SpeedResults], fields: FieldsPlan, identity: str
) -> int:
    """Fill the stores, here or by workers. Returns the number of particle-steps made."""
    missing = [cohort for results in speeds.values() for cohort in results.missing()]
    states = {}
    for path in checkpoint.found(config.out):
        state = checkpoint.load(path, identity)
        if state is None:
            _say(f"note: {path} is damaged or of another version; its particles begin anew")
            checkpoint.remove(path)
        elif all(is_done(config.out, cohort) for cohort in state.flying):  # killed before it could be removed
            checkpoint.remove(path)
        else:
            states[path.stem] = state
    if not missing and not fields.todo:
        return 0
    _say(f"{len(missing)} of {design.n_periods * len(config.w)} periods to do")
    arguments = (missing, fields.todo, states, config, design, ocean)
    if not config.distributed:
        return _work_here(config, ocean, design, speeds, fields, identity, plan_blocks(*arguments, 1))
    with config.client(_say) as client:
        workers = cluster.n_workers(client) if config.scheduler else config.workers
        blocks = plan_blocks(*arguments, workers)
        _say(f"{len(blocks)} blocks for {workers} workers")
        steps = 0
        shared = (for_workers(config, ocean), design, identity, record_of(ocean))
        with BlockProgress(blocks) as bar:
            for block, made in cluster.run_tasks(client, work, blocks, shared, on_report=lambda report: bar.report(*report)):
                bar.report(block.name, block.windows, made)
                steps += made
    return steps


def _work_here(config, ocean, design, speeds, fields, identity, blocks: list[Block]) -> int:
    steps = 0
    with BlockProgress(blocks) as bar:
        for block in blocks:

            def progress(done: int, made: int, name: str = block.name) -> None:
                bar.report(name, done, made)

            steps += run_block(block, config, design, ocean, speeds, fields, identity, progress)
    return steps


class BlockProgress:
    """One bar over all blocks, whoever works on them; a context manager."""

    def __init__(self, blocks: list[Block]):
        self.total = max(1, sum(block.windows for block in blocks))
        self.done = {block.name: 0 for block in blocks}
        self.steps = {block.name: 0 for block in blocks}
        self._bar = Progress("backtracking", "window")

    def __enter__(self) -> BlockProgress:
        self._started = time.perf_counter()
        self._bar.__enter__()
        return self

    def __exit__(self, *error) -> None:
        self._bar.__exit__(*error)

    def report(self, name: str, done: int, steps: int) -> None:
        """Block ``name`` has come to window ``done`` with ``steps`` particle-steps (less than before where it is done again)."""
        self.done[name], self.steps[name] = done, steps
        rate = sum(self.steps.values()) / max(time.perf_counter() - self._started, 1e-9)
        self._bar.update(sum(self.done.values()), self.total, f"{rate / 1e6:.2f} M particle-steps/s")


def _with_defaults_of(ocean: Ocean, config: RunConfig) -> RunConfig:
    """The options that were left to the ocean."""
    changes: dict = {}
    if not config.diffusivity and hasattr(ocean, "diffusivity"):
        changes["diffusivity"] = (ocean.diffusivity,)
    if config.dt is None:
        changes["dt"] = getattr(ocean, "dt_minutes", DT_MINUTES)
    if config.positions == "domain":
        grid = ocean.grid
        if not all(grid.periodic):
            raise OptionError("--positions domain needs an ocean that is periodic in both directions; give a number")
        width = min(grid.period) * grid.spacing_km
        changes["positions"] = max(1, round(width / config.spacing))
        changes["spacing"] = width / changes["positions"]
    return dataclasses.replace(config, **changes)


def _check_options(config: RunConfig, ocean: Ocean) -> None:
    if config.vertical_velocity == "file" and not {"w", "omega"} & set(ocean.variables):
        raise InputError("--vertical-velocity file: the ocean holds neither w nor omega; use continuity")
    if config.kernel == "parcels" and any(ocean.grid.periodic):
        raise OptionError("--kernel parcels does not know periodic domains; use --kernel compiled")
    if config.kernel == "parcels" and any(config.diffusivity):
        raise OptionError("--kernel parcels has no random walk; leave --diffusivity out")


def _design(config: RunConfig, ocean: Ocean) -> tuple[Design, RunConfig]:
    """The design; a folder that already holds other speeds lends its periods where the command names none."""
    path = config.out / "run.json"
    if path.exists() and config.start is None and config.end is None:
        known = read_json(path).get("identity", {})
        starts = known.get("starts")
        if starts and known.get("options") == _options(config, ocean):
            config = dataclasses.replace(config, start=starts[0], end=starts[-1])
    return design_experiments(config, ocean), config


def _options(config: RunConfig, ocean: Ocean) -> dict:
    options = {name: value for name, value in json_ready(config).items() if name not in NOT_IDENTITY}
    if config.ocean != ("twin",):
        options["ocean"] = sorted(Path(name).name for name in ocean.description.get("files", ()))
        options["grid"] = config.grid and Path(config.grid).name
    return options


def _identity(config: RunConfig, ocean: Ocean, design: Design) -> dict:
    """What must be equal for a folder to be gone on with."""
    return {
        "options": _options(config, ocean),
        "starts": [str(start) for start in design.starts],
        "record": record_of(ocean),
    }


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"--out {out} cannot be made: {error.strerror or error}") from None


def _claim_folder(out: Path, identity: dict) -> None:
    """Find ``out`` to be ours, or nobody's.

    Raises
    ------
    StoreError
        It holds results of another configuration.
    """
    path = out / "run.json"
    if not path.exists():
        return
    known = read_json(path).get("identity", {})
    if known == identity:
        return
    old, new = known.get("options", {}), identity["options"]
    changed = [
        f"{name.replace('_', '-')} was {old.get(name)}, now {new.get(name)}" for name in new if old.get(name) != new.get(name)
    ]
    if not changed and known.get("record") != identity["record"]:
        changed = [f"the record was {known.get('record')}, now {identity['record']}"]
    if not changed:
        changed = ["the collection periods differ (--start, --end or a slower --w)"]
    raise StoreError(f"--out {out} holds results of another configuration ({'; '.join(changed)}); choose another --out")


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(run_command(RunConfig, main, prog="lagrangian.run"))
