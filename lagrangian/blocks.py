"""Blocks: the periods of a run in pieces that workers do independently, each a sweep of its own.

A block is consecutive collection periods. It fills their chunks of the stores and nobody else's; what lies in them does not
depend on the cut. The price of a cut is reading: the particles of a block's first period rise for (trap - last level) / w days
before it, through snapshots that the block before reads too. Blocks are therefore made as short as gives each worker about
:data:`BLOCKS_PER_WORKER` of them, so that no worker waits long for the last, but no shorter than keeps what is read twice
below :data:`READ_TWICE` of the whole; and never so long that a worker has none.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data import workers as cluster
from data.command import json_ready
from data.errors import InputError
from data.fingerprint import fingerprint, fingerprint_of_json
from data.lock import Claim
from data.ocean import Ocean, Snapshot
from data.oceans import OceanSource
from data.times import seconds
from lagrangian import checkpoint
from lagrangian.campaign import Campaign
from lagrangian.checkpoint import SweepState
from lagrangian.cohorts import Cohort, CohortResult
from lagrangian.config import SECONDS_PER_DAY
from lagrangian.design import Design
from lagrangian.effort import Effort
from lagrangian.experiments import PlacedDesign
from lagrangian.fields import FieldsPlan
from lagrangian.integration import Integration
from lagrangian.oceans import open_for
from lagrangian.results import SpeedResults, Writer

BLOCKS_PER_WORKER, READ_TWICE = 10, 0.5
#: Least number of seconds between two reports in which a worker tells how far its block has come.
REPORT_SECONDS = 0.5


@dataclass(frozen=True)
class Block:
    """A piece of a run.

    Attributes
    ----------
    name : str
        Of its checkpoint.
    cohorts : tuple of Cohort
    fields : tuple of (int, int)
        Snapshots to put into fields.zarr: their number in the record and in the store.
    windows : int
        Windows between snapshots that it will take, about.
    """

    name: str
    cohorts: tuple[Cohort, ...]
    fields: tuple[tuple[int, int], ...]
    windows: int


def digest(identity: dict) -> str:
    """A run's identity (what must be equal for a folder to be gone on with) in a short word."""
    return fingerprint_of_json(json_ready(identity))


def periods_per_block(design: Design, n_periods: int, workers: int, length: int | None = None) -> int:
    """Length of a block, in periods: ``length``, where it is given; see above. ``workers`` is 0 where the work is done here."""
    if length is not None:
        return length
    if workers < 1:
        return max(1, n_periods)
    overlap = (design.ascent_days(min(design.speeds)) + design.collection) / design.every
    wanted = max(math.ceil(n_periods / (BLOCKS_PER_WORKER * workers)), math.ceil(overlap / READ_TWICE))
    return max(1, min(wanted, math.ceil(n_periods / workers)))


def plan_blocks(
    missing: list[Cohort],
    fields: dict[int, int],
    states: dict[str, SweepState],
    design: PlacedDesign,
    ocean: Ocean,
    workers: int = 0,
    length: int | None = None,
) -> list[Block]:
    """Cut what is missing of a run into blocks, latest first; those that go on from a checkpoint before all others.

    Parameters
    ----------
    missing : list of Cohort
        What the stores lack.
    fields : dict of int to int
        Snapshots that fields.zarr lacks: number in the record -> number in the store.
    states : dict
        Checkpoints by name; each belongs to a block of its own.
    workers : int
        0: the work is done here; everything without a checkpoint is one block, unless ``length`` says otherwise.
    length : int, optional
        Periods of a block (``--block``).
    """
    left = set(missing)
    size = periods_per_block(design.design, len({cohort.period for cohort in missing}), workers, length)
    groups: list[tuple[str, list[Cohort], SweepState | None]] = []
    for name, state in states.items():
        flying = left & set(state.flying)
        # what the same sweep has not begun yet may go with those in flight, as long as the block does not grow
        rest = sorted((left & set(state.cohorts)) - flying, key=lambda cohort: -cohort.period)
        periods = sorted({cohort.period for cohort in rest}, reverse=True)[: max(0, size - len({c.period for c in flying}))]
        ours = flying | {cohort for cohort in rest if cohort.period in periods}
        if flying:
            groups.append((name, _ordered(ours), state))
            left -= ours
    periods = sorted({cohort.period for cohort in left}, reverse=True)
    for start in range(0, len(periods), size):
        chosen = set(periods[start : start + size])
        cohorts = _ordered(cohort for cohort in left if cohort.period in chosen)
        groups.append((_name(cohorts), cohorts, None))
    spans = [_span(cohorts, state, design, ocean) for _, cohorts, state in groups]
    if not spans and fields:  # only fields are missing
        numbers = sorted(fields, reverse=True)
        parts = [part.tolist() for part in np.array_split(numbers, min(len(numbers), max(1, workers))) if part.size]
        return [Block(f"fields-{part[0]}", (), tuple((i, fields[i]) for i in part), part[0] - part[-1]) for part in parts]
    shares: list[list[int]] = [[] for _ in groups]
    for index in sorted(fields):
        # the first block that reads this snapshot anyway, else the nearest
        distance = [max(first - index, index - last, 0) for first, last in spans]
        shares[int(np.argmin(distance))].append(index)
    blocks = []
    for (name, cohorts, _), (first, last), share in zip(groups, spans, shares, strict=True):
        windows = max([last, *share]) - min([first, *share])
        blocks.append(Block(name, tuple(cohorts), tuple((index, fields[index]) for index in share), windows))
    return blocks


def _ordered(cohorts) -> list[Cohort]:
    return sorted(cohorts, key=lambda cohort: (-cohort.period, cohort.w))


def _name(cohorts: list[Cohort]) -> str:
    return f"{cohorts[-1].period:05d}-{cohorts[0].period:05d}-{fingerprint(repr(cohorts).encode())[:8]}"


def _span(cohorts, state: SweepState | None, design: PlacedDesign, ocean: Ocean) -> tuple[int, int]:
    """Numbers of the first and last snapshot that a block reads, about."""
    starts = seconds(design.starts)
    first = min(starts[cohort.period] - SECONDS_PER_DAY * design.design.ascent_days(cohort.w) for cohort in cohorts)
    last = max(starts[cohort.period] for cohort in cohorts) + design.release_delay[-1] / np.timedelta64(1, "s")
    times = seconds(ocean.times)
    low = max(0, int(np.searchsorted(times, first, side="right")) - 1)
    high = min(times.size - 1, int(np.searchsorted(times, last, side="left")))
    return low, high if state is None else max(low, state.index)


def run_block(
    block: Block,
    design: PlacedDesign,
    integration: Integration,
    ocean: Ocean,
    speeds: dict[float, SpeedResults],
    fields: FieldsPlan,
    identity: str,
    progress: Callable[[int, Effort], None],
    check: Callable[[], None] = lambda: None,
    ending: Callable[[], bool] = lambda: False,
    *,
    out: Path,
    checkpoint_minutes: float = 5.0,
) -> Effort:
    """Do what is still missing of a block, from its checkpoint where there is one. Returns what it took.

    Parameters
    ----------
    speeds : dict of w to SpeedResults
    identity : str
        :func:`digest` of the run's identity.
    progress : callable
        Called with (windows done, effort so far).
    check : callable
        Called in each window and before fields or checkpoints are written; may raise, to end the block.
    ending : callable
        Asked in each window whether to keep what is in flight and end (:class:`~lagrangian.campaign.Terminated`).
    out : Path
        The run's folder.
    checkpoint_minutes : float
        Minutes of work after which the particles in flight are kept.
    """
    path = out / checkpoint.FOLDER / f"{block.name}.npz"
    cohorts = [cohort for cohort in block.cohorts if cohort.period not in speeds[cohort.w].done]
    field_times = {index: number for index, number in block.fields if index in fields.todo}
    began, effort = time.process_time(), Effort()
    if cohorts or field_times:
        with Writer() as writer:

            def on_result(result: CohortResult) -> None:
                writer.submit(speeds[result.cohort.w].write, result)

            def on_fields(number: int, snapshot: Snapshot) -> None:
                check()
                fields.write(number, snapshot)

            def on_checkpoint(state: SweepState) -> None:
                writer.settle()  # what is not in the state must be in the stores
                check()
                checkpoint.save(path, identity, state)

            def on_window(done: int, total: int, made: int) -> None:
                check()
                progress(min(done, block.windows), spent())

            def spent() -> Effort:
                table = campaign.table
                return Effort(table.steps, table.particle_seconds / SECONDS_PER_DAY, time.process_time() - began)

            campaign = Campaign(
                ocean,
                design,
                integration,
                cohorts=cohorts,
                on_result=on_result,
                field_times=field_times,
                on_fields=on_fields,
                progress=on_window,
                resume=checkpoint.load(path, identity),
                on_checkpoint=on_checkpoint,
                checkpoint_every=60 * checkpoint_minutes,
                ending=ending,
            )
            campaign.run()
        effort = spent()
    check()
    checkpoint.remove(path)
    progress(block.windows, effort)
    return effort


# -- in a worker -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class WorkerTask:
    """What the workers of a run share: paths that hold in any folder, and their share of the machine's threads.

    Attributes
    ----------
    source : OceanSource
    integration : Integration
    out : Path
        The run's folder.
    checkpoint_minutes : float
    fields_spacing : float or None
        Of fields.zarr, km.
    """

    source: OceanSource
    integration: Integration
    out: Path
    checkpoint_minutes: float = 5.0
    fields_spacing: float | None = None


def for_workers(task: WorkerTask, ocean: Ocean) -> WorkerTask:
    """The task with absolute paths, and with the files that the ocean was opened from in place of patterns."""
    source = task.source
    if source.of_files:
        files = tuple(str(Path(name).resolve()) for name in ocean.description["files"])
        source = dataclasses.replace(source, files=files, grid=source.grid and str(Path(source.grid).resolve()))
    return dataclasses.replace(task, source=source, out=task.out.resolve())


@functools.lru_cache(maxsize=1)
def _ocean_of(word: str, source: OceanSource, design: Design, vertical_velocity: str) -> Ocean:
    """Of a worker that does many blocks for the command that ``word`` names (files may change between commands)."""
    return open_for(source, design, vertical_velocity=vertical_velocity, look=False)


def record_of(ocean: Ocean) -> list:
    """What tells one record from another: first and last instant and number of snapshots."""
    return [str(ocean.times[0]), str(ocean.times[-1]), len(ocean.times)]


def work(block: Block, task: WorkerTask, design: PlacedDesign, identity: str, record: list, claim: Claim) -> Effort:
    """Do a block in a worker; a task of :func:`data.workers.run_tasks`. Returns what it took.

    Raises
    ------
    CommandGone
        The command that ``claim`` is of has ended: whoever holds the folder now must not find our work in it.
    """
    claim.wait()
    ocean = _ocean_of(claim.token, task.source, design.design, task.integration.vertical_velocity)
    if record_of(ocean) != record:
        raise InputError(f"a worker sees another record than this command: {record_of(ocean)}, not {record}")
    options = {"create": False, "check": claim.check}
    speeds = {w: SpeedResults.of(task.out, design, ocean, w, **options) for w in {c.w for c in block.cohorts}}
    fields = FieldsPlan(task.out, ocean, design, spacing_km=task.fields_spacing)
    told = 0.0

    def progress(done: int, effort: Effort) -> None:
        nonlocal told
        if time.monotonic() - told > REPORT_SECONDS or done == block.windows:
            told = time.monotonic()
            cluster.report([block.name, done, list(effort)])

    return run_block(
        block, design, task.integration, ocean, speeds, fields, identity, progress, claim.check,
        out=task.out, checkpoint_minutes=task.checkpoint_minutes,
    )  # fmt: skip
