"""``python -m lagrangian.run``: backtrack sinking particles and bin where they cross each level."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data import workers as cluster
from data.command import json_ready, provenance, run_command, source_fingerprint, write_json
from data.errors import StoreError
from data.files import make_folder
from data.lock import Claim, FolderLock
from data.ocean import Ocean
from data.progress import Progress
from lagrangian import checkpoint
from lagrangian.blocks import Block, WorkerTask, digest, for_workers, plan_blocks, record_of, run_block, work
from lagrangian.campaign import Terminated
from lagrangian.config import RunConfig, speed_folder
from lagrangian.effort import Effort
from lagrangian.experiments import PlacedDesign, design_experiments, spread_over_domain
from lagrangian.fields import FieldsPlan
from lagrangian.identity import brought_forward, difference, values_of
from lagrangian.integration import Integration
from lagrangian.limits import check_lattice, check_run
from lagrangian.oceans import notes_on_traps, open_for
from lagrangian.record import run_record
from lagrangian.results import SpeedResults, is_done, store_names
from lagrangian.stores import STATUS_MEANINGS

#: Options that do not change what the stores hold.
NOT_IDENTITY = (
    "w", "out", "threads", "start", "end", "workers", "scheduler", "cluster", "cluster_options", "block", "checkpoint",
    "allow_gaps", "check", "script",
)  # fmt: skip
#: Options that came later: an identity holds them only where they are used, so that folders of earlier versions stay good.
SAID_WHEN_USED = ("chain_files", "vtransform", "model", "time_label", "periodic")


def main(config: RunConfig) -> int:
    """Run the experiments that ``config`` describes; see contract.md for what is written."""
    config = _with_depth_of_site(config)
    config.validate()
    # a look before the run lists all gaps of the record, which a run that does not allow them ends at
    source = dataclasses.replace(config.source, allow_gaps=True) if config.check else config.source
    ocean = open_for(source, config.design, vertical_velocity=config.vertical_velocity)
    try:
        if config.check:
            return check_run_of(config, ocean)
        write_run(config, ocean)
    finally:  # a file that stays open cannot be replaced by another under its name in this process
        getattr(ocean, "close", lambda: None)()
    return 0


def check_run_of(config: RunConfig, ocean: Ocean) -> int:
    """``--check``: what :func:`write_run` would find and cost. Returns the exit code; raises as :func:`write_run` would."""
    from lagrangian.check import check

    config, design = _placed(config, ocean)
    _claim_folder(config.out, _identity(config, ocean, design), _files(config, ocean))
    return check(config, ocean, design)


def _placed(config: RunConfig, ocean: Ocean) -> tuple[RunConfig, PlacedDesign]:
    """Complete the options by the ocean's preferences and place the design in the ocean; impossible options are refused."""
    config = _with_defaults_of(ocean, config)
    check_lattice(config.design)
    config = _with_known_periods(config, ocean)
    design = design_experiments(config.design, ocean)
    check_run(design, config.integration, shared=config.distributed)
    config.integration.check(ocean)
    return config, design


def write_run(config: RunConfig, ocean: Ocean) -> None:
    """Make, or go on with, the run folder of some options in an ocean that is open."""
    config, design = _placed(config, ocean)
    integration = config.integration
    job = Job(
        config.out, ocean, design, integration,
        fields_spacing=config.fields_spacing, block=config.block, checkpoint_minutes=config.checkpoint,
    )  # fmt: skip
    identity, files = _identity(config, ocean, design), _files(config, ocean)
    with claimed(job, identity, files) as (claim, sources), contextlib.ExitStack() as stack:
        # before any store is laid out: an error here leaves the folder as it was
        client = stack.enter_context(config.client(_say, config.out)) if config.distributed and not _finished(job) else None
        record = {**provenance(config), "ocean": ocean.description, "identity": identity, "files": files, "sources": sources}
        sharing = None
        if client is not None:
            workers = max(cluster.n_workers(client), config.workers) if config.scheduler else config.workers
            threaded = dataclasses.replace(integration, threads=config.threads_each(integration.threads))
            task = WorkerTask(config.source, threaded, config.out, config.checkpoint, config.fields_spacing)
            sharing = Sharing(client, workers, for_workers(task, ocean), claim)
        fill(job, record, sharing)


@dataclass(frozen=True, eq=False)
class Job:
    """A run to be written: what, where, how.

    Attributes
    ----------
    out : Path
        The run's folder.
    ocean, design, integration
        As they are after all defaults are known.
    fields_spacing : float, optional
        Of fields.zarr, km.
    block : int, optional
        Collection periods in one block.
    checkpoint_minutes : float
    """

    out: Path
    ocean: Ocean
    design: PlacedDesign
    integration: Integration
    fields_spacing: float | None = None
    block: int | None = None
    checkpoint_minutes: float = 5.0


@dataclass(frozen=True, eq=False)
class Sharing:
    """Workers that share a job: the Dask client, the number of workers, their options, and the folder's claim."""

    client: Any
    workers: int
    task: WorkerTask
    claim: Claim


@contextlib.contextmanager
def claimed(job: Job, identity: dict, files: dict) -> Iterator[tuple[Claim, list[str]]]:
    """Make and lock the run's folder, found to be ours or nobody's. Gives the lock's claim and the versions of the source that
    have written there.

    Raises
    ------
    StoreError
        It cannot be made, is in use, or holds results of another configuration.
    """
    make_folder(job.out)
    with FolderLock(job.out) as lock:
        yield lock.claim, _claim_folder(job.out, identity, files)


def _finished(job: Job) -> bool:
    stores = [job.out / speed_folder(w) / name for w in job.design.speeds for name in store_names(job.design)]
    return all(path.exists() for path in [*stores, job.out / "fields.zarr"])


def fill(job: Job, record: dict, sharing: Sharing | None = None) -> None:
    """Fill the stores of a folder that is claimed, from where they are, and draw the maps; ``record`` goes to run.json.

    Raises
    ------
    StoreError
        A store cannot be written, or is damaged.
    """
    out, ocean, design = job.out, job.ocean, job.design
    # before any store: what lies in the folder from now on belongs to this configuration
    write_json(out / "run.json", record)
    identity = json_ready(record["identity"])
    speeds = {w: SpeedResults.of(out, design, ocean, w, identity=identity) for w in design.speeds}
    fields = FieldsPlan(out, ocean, design, spacing_km=job.fields_spacing, check=True, identity=identity)
    first, last = (str(time)[:16].replace("T", " ") for time in ocean.times[[0, -1]])
    _say(f"{ocean.description.get('kind', 'ocean')}: {len(ocean.times)} snapshots, {first} to {last}")
    for assumption in (*ocean.description.get("assumptions", ()), *notes_on_traps(ocean, design)):
        _say(f"note: {assumption}")
    _say(
        f"{design.n_experiments} experiments ({design.n_periods} periods x {design.n_positions} positions) of "
        f"{design.n_particles} particles at {', '.join(f'{w:g}' for w in design.speeds)} m/d"
    )
    started = time.perf_counter()
    effort = _sweep(job, speeds, fields, digest(record["identity"]), sharing)
    checkpoint.clear_strays(out)
    fields.close()
    for results in speeds.values():
        results.close()
    elapsed = time.perf_counter() - started
    summaries = [results.summary() for results in speeds.values()]
    record["result"] = {
        "seconds": round(elapsed, 2),
        "particle_steps": effort.particle_steps,
        "particle_days": round(effort.particle_days, 2),
        "cpu_seconds": round(effort.cpu_seconds, 2),
        "particle_days_per_cpu_second": round(effort.particle_days_per_cpu_second, 1),
        "particles": {speed_folder(s.w): {STATUS_MEANINGS.get(k, str(k)): n for k, n in s.by_status.items()} for s in summaries},
    }
    write_json(out / "run.json", record)
    for s in summaries:
        parts = ", ".join(f"{100 * n / s.released:.1f} % {STATUS_MEANINGS[k]}" for k, n in sorted(s.by_status.items()) if n)
        _say(f"{s.w:g} m/d: {s.released} particles: {parts}")
    if effort.particle_steps:
        million = effort.particle_steps / 1e6
        _say(
            f"{million:.1f} million particle-steps in {elapsed:.1f} s: {million / elapsed:.2f} million/s; "
            f"{effort.particle_days / 1e6:.2f} million particle-days in {effort.cpu_seconds:.1f} s of CPU: {_rate_of(effort)}"
        )
    from lagrangian.maps import draw_catchment

    for w in design.speeds:
        picture = out / speed_folder(w) / "catchment.png"
        draw_catchment(out / speed_folder(w), picture)
        _say(f"map: {picture}")


def _sweep(
    job: Job, speeds: dict[float, SpeedResults], fields: FieldsPlan, identity: str, sharing: Sharing | None
) -> Effort:  # fmt: skip
    """Fill the stores, here or by workers. Returns the effort."""
    out, ocean, design = job.out, job.ocean, job.design
    missing = [cohort for results in speeds.values() for cohort in results.missing()]
    states = {}
    checkpoint.clear_strays(out)
    for path in checkpoint.found(out):
        state = checkpoint.load(path, identity)
        if state is None:
            _say(f"note: {path} is damaged or of another version; its particles begin anew")
            checkpoint.remove(path)
        elif all(is_done(out, design, cohort) for cohort in state.flying):  # killed before it could be removed
            checkpoint.remove(path)
        else:
            states[path.stem] = state
    if not missing and not fields.todo:
        return Effort()
    _say(f"{len(missing)} of {design.n_periods * len(design.speeds)} periods to do, all speeds counted")
    workers = 0 if sharing is None else sharing.workers
    blocks = plan_blocks(missing, fields.todo, states, design, ocean, workers, job.block)
    if sharing is None:
        return _work_here(job, speeds, fields, identity, blocks)
    _say(f"{len(blocks)} blocks for {workers} workers")
    total = Effort()
    shared = (sharing.task, design, identity, record_of(ocean), sharing.claim)
    with BlockProgress(blocks) as bar:
        finished = cluster.run_tasks(sharing.client, work, blocks, shared, on_report=lambda report: bar.report(*report))
        for block, block_effort in finished:
            bar.report(block.name, block.windows, block_effort)
            total = total.plus(block_effort)
    return total


def _work_here(job: Job, speeds, fields, identity, blocks: list[Block]) -> Effort:
    total = Effort()
    with _ending_on_sigterm() as ending, BlockProgress(blocks) as bar:
        for block in blocks:

            def progress(windows_done: int, effort: Effort, name: str = block.name) -> None:
                bar.report(name, windows_done, effort)

            effort_of_block = run_block(
                block, job.design, job.integration, job.ocean, speeds, fields, identity, progress,
                ending=ending, out=job.out, checkpoint_minutes=job.checkpoint_minutes,
            )  # fmt: skip
            total = total.plus(effort_of_block)
    return total


@contextlib.contextmanager
def _ending_on_sigterm() -> Iterator[Callable[[], bool]]:
    """Give an event that SIGTERM sets: batch systems send it some seconds before SIGKILL, and the sweep saves its particles."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    terminated = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: terminated.set())
    try:
        yield terminated.is_set
    except Terminated:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)
        if terminated.is_set():
            signal.raise_signal(signal.SIGTERM)


class BlockProgress:
    """A progress bar over all blocks, of this process or of workers; a context manager."""

    def __init__(self, blocks: list[Block]):
        self.total = max(1, sum(block.windows for block in blocks))
        self.done = {block.name: 0 for block in blocks}
        self.effort = {block.name: Effort() for block in blocks}
        self._bar = Progress("backtracking", "window")

    def __enter__(self) -> BlockProgress:
        self._started = time.perf_counter()
        self._bar.__enter__()
        return self

    def __exit__(self, *error) -> None:
        self._bar.__exit__(*error)

    def report(self, name: str, done: int, effort: Sequence[float]) -> None:
        """Block ``name`` has come to window ``done`` with so much ``effort`` (less than before where it is done again)."""
        self.done[name], self.effort[name] = done, Effort._make(effort)
        total = functools.reduce(Effort.plus, self.effort.values())
        rate = total.particle_steps / max(time.perf_counter() - self._started, 1e-9)
        self._bar.update(sum(self.done.values()), self.total, f"{rate / 1e6:.2f} M particle-steps/s, {_rate_of(total)}")


def _rate_of(effort: Effort) -> str:
    """Particle-days per CPU-second, a rate that does not depend on the length of a step, in words."""
    return f"{effort.particle_days_per_cpu_second / 1e6:.3f} M particle-days per CPU-second"


def _with_depth_of_site(config: RunConfig) -> RunConfig:
    """The options with the trap's depth; notes tell of a site's depth that is not 3000 m, and of levels left out."""
    full = config.at_site()
    left_out = ", ".join(f"{level:g}" for level in config.levels if level not in full.levels)
    lower = f"levels of {left_out} m lie at or below the trap and are left out" if left_out else ""
    if full.trap_depth != config.trap_depth:
        stands = f"note: the trap stands at {full.trap_depth:g} m, as that of {config.site} (--trap-depth chooses another)"
        _say(f"{stands}; {lower}" if lower else stands)
    elif lower:
        _say(f"note: {lower} (--levels chooses others)")
    return full


def _with_defaults_of(ocean: Ocean, config: RunConfig) -> RunConfig:
    """The options that were left to the ocean."""
    integration, design = config.integration.resolved(ocean), spread_over_domain(config.design, ocean)
    return dataclasses.replace(
        config, dt=integration.dt, diffusivity=integration.diffusivity, vertical_velocity=integration.vertical_velocity,
        positions=design.positions, spacing=design.spacing,
    )  # fmt: skip


def _with_known_periods(config: RunConfig, ocean: Ocean) -> RunConfig:
    """A folder that already holds other speeds lends its periods where the command names none."""
    if config.start is not None or config.end is not None:
        return config
    identity = run_record(config.out).get("identity", {})
    starts = identity.get("starts")
    if not starts or identity.get("options") != _options(config, ocean):
        return config
    if not set(map(speed_folder, config.w)) <= {path.name for path in config.out.glob("w*")}:
        _say(f"note: the {len(starts)} periods of {config.out}, {starts[0]} to {starts[-1]}, are taken again")
    return dataclasses.replace(config, start=starts[0], end=starts[-1])


def _options(config: RunConfig, ocean: Ocean) -> dict:
    options = {name: value for name, value in json_ready(config).items() if name not in NOT_IDENTITY}
    for name in SAID_WHEN_USED:
        if options[name] in (None, False, "auto"):
            del options[name]
    if config.ocean != ("twin",):
        options["ocean"] = sorted(Path(name).name for name in ocean.description.get("files", ()))
        options["grid"] = config.grid and Path(config.grid).name
    return options


def _identity(config: RunConfig, ocean: Ocean, design: PlacedDesign) -> dict:
    """The identity of a run; a folder is gone on with if the identities are equal."""
    return {
        "options": _options(config, ocean),
        "starts": [str(start) for start in design.starts],
        "record": record_of(ocean),
        "values": None if config.ocean == ("twin",) else values_of(ocean),
    }


def _files(config: RunConfig, ocean: Ocean) -> dict[str, list[int]]:
    """Size and date of the input files by name."""
    files = [Path(name) for name in (*ocean.description.get("files", ()), *([config.grid] if config.grid else []))]
    return {path.name: [(stat := path.stat()).st_size, int(stat.st_mtime)] for path in files}


def _claim_folder(out: Path, identity: dict, files: dict) -> list[str]:
    """Refuse the folder of another run. Returns the fingerprints of all sources that have written there, this one included.

    Raises
    ------
    StoreError
        It holds results of another configuration, or of other values in files of the same names; or nothing tells of which.
    """
    record = run_record(out)
    if not record:
        return [source_fingerprint()]
    written, earlier = brought_forward(record.get("identity", {}), identity, identity["record"][2])
    if not (out / "run.json").exists() and written == identity:
        _say(f"note: {out / 'run.json'} was gone; it is made anew from what the stores tell")
    if written == identity:
        if earlier:
            _say(f"note: {out} was begun by a version that looked at the values in mid-record only; they are the same")
        before = record.get("files", {})
        changed = [name for name, now in files.items() if name in before and now != before[name]]
        if changed:
            names = ", ".join(changed)
            _say(f"note: {names}: changed or copied since {out} was begun; the values that were looked at are the same")
        sources = record.get("sources", [])
        if sources and source_fingerprint() not in sources:
            _say(f"note: {out} was begun by another version of the program ({sources[-1]}, now {source_fingerprint()})")
        return [*(source for source in sources if source != source_fingerprint()), source_fingerprint()]
    old, new = written.get("options", {}), identity["options"]
    changed = [
        f"{name.replace('_', '-')} was {old.get(name)}, now {new.get(name)}" for name in new if old.get(name) != new.get(name)
    ]
    if not changed and written.get("record") != identity["record"]:
        changed = [f"the record was {written.get('record')}, now {identity['record']}"]
    if not changed and written.get("values") != identity["values"]:
        changed = [difference(written.get("values"), identity["values"])]
    if not changed:
        was, now = (f"{len(days)} from {days[0]} to {days[-1]}" for days in (written.get("starts") or ["?"], identity["starts"]))
        changed = [f"its collection periods were {was}, now {now} (--start, --end or a slower --w)"]
    raise StoreError(f"--out {out} holds results of another configuration ({'; '.join(changed)}); choose another --out")


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(run_command(RunConfig, main, prog="lagrangian.run"))
