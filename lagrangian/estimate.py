"""Estimates the cost of a run from a trial: first windows are swept, stores of a period are written, and all is removed.

Nothing is assumed of the machine: the time of a window and of a step come from the run's own kernel on the run's own files,
memory from the process that does so, disk from stores of made-up particles, written as a run writes them and counted. CPU time is
the sum of what this process spent on what a run does once (imports, files opened, the kernel loaded; not compiled, which is done
once for all runs), of windows and steps, and of the stores: laid out, written, looked through and drawn.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.chunks import damaged_parts
from data.compiled import compiling
from data.machine import bytes_read, peak_memory
from data.ocean import Ocean
from data.times import seconds
from lagrangian.advection import REACHED
from lagrangian.blocks import plan_blocks
from lagrangian.campaign import Campaign, Terminated
from lagrangian.cohorts import Cohort, CohortResult
from lagrangian.experiments import PlacedDesign
from lagrangian.fields import FieldsPlan
from lagrangian.integration import Integration
from lagrangian.limits import CROSSING_VALUES, PARTICLE_BYTES
from lagrangian.results import SpeedResults, cohort_values

#: Windows that are swept, at most; the first, in which the kernel is compiled or loaded, do not count.
WINDOWS, WARM = 60, 2
#: Seconds of CPU time, compiling left out, and by the clock after which no more windows are swept than :data:`FEWEST`.
CPU_SECONDS, CLOCK_SECONDS, FEWEST = 20.0, 60.0, 3
#: Size of run.json, bytes, about.
RECORD_BYTES = 8_000
#: How far particles come from along an axis at 80 m/d, km, rms at the shallowest level: what those of a trap position share,
#: those of one release there, and what each has for itself (the twin ocean's, three years).
SPREAD_KM = (90.0, 33.0, 83.0)
#: Standard deviation of the time of a crossing over the time of the rise, where the first windows do not show it.
WOBBLE = 1e-2


@dataclass(frozen=True)
class Cost:
    """The estimated cost of a run.

    Attributes
    ----------
    windows : int
        Windows between snapshots that are gone through, those that several blocks read counted each time.
    steps : float
        Steps of the integrator, all particles together.
    cpu_seconds : float
        CPU time, all threads and processes together.
    wall_seconds : float
        On so many cores, whoever else works there left out.
    memory : float or None
        Most memory of one process, bytes; None where the system does not tell.
    disk : float
        Of all results, bytes.
    read : float or None
        Bytes read from files; None where the system does not tell.
    measured : int
        Windows that this was measured on.
    """

    windows: int
    steps: float
    cpu_seconds: float
    wall_seconds: float
    memory: float | None
    disk: float
    read: float | None
    measured: int


def cost_of(
    ocean: Ocean,
    design: PlacedDesign,
    integration: Integration,
    missing: list[Cohort],
    *,
    fields_spacing: float | None = None,
    block: int | None = None,
    workers: int = 0,
    cores: int = 1,
) -> Cost:
    """Measure a little of a run and reckon up the rest.

    Parameters
    ----------
    missing : list of Cohort
        What is still to be done.
    fields_spacing, block
        As of the run.
    workers : int
        Processes that share it; 0: none but this.
    cores : int
        That all of them have together.
    """
    sample = _sample(ocean, design, integration, missing)
    with tempfile.TemporaryDirectory(prefix="catchment-check-") as folder:
        disk, fields, writing = _stores(Path(folder), ocean, design, missing, fields_spacing, sample)
    blocks = plan_blocks(missing, dict(fields), {}, design, ocean, workers, block)
    windows = sum(piece.windows for piece in blocks)
    steps = sum(_steps(design, integration, cohort.w) for cohort in missing)
    # each worker is a process that begins as this one did
    cpu = (1 + workers) * sample.beginning + windows * sample.cpu_window + steps * sample.cpu_step + writing
    wall = max(cpu / max(1, cores), windows * sample.read_seconds / max(1, workers))
    memory = peak_memory()
    if memory is not None:
        rows = _rows_in_flight(design, missing) - sample.rows
        row_bytes = PARTICLE_BYTES + 8 * CROSSING_VALUES * len(design.levels) + _path_bytes(design)
        memory += max(0.0, rows) * row_bytes
    read = None if sample.read_bytes is None else windows * sample.read_bytes
    return Cost(windows, steps, cpu, wall, memory, disk, read, sample.windows)


@dataclass(frozen=True)
class _Sample:
    """Costs of a window: CPU time (also of a step), seconds and bytes of reading a snapshot. ``rows``: of the table at the end.

    ``beginning``: CPU time of all that came before the windows that count, what these windows cost and compiling left out.
    ``finished``: a cohort by speed, of those that the windows let finish. ``wobble``: see :data:`WOBBLE`.
    """

    beginning: float
    cpu_window: float
    cpu_step: float
    read_seconds: float
    read_bytes: float | None
    windows: int
    rows: int
    finished: dict[float, CohortResult]
    wobble: float


def _steps(design: PlacedDesign, integration: Integration, w: float) -> float:
    """Steps of the particles of one cohort in still water."""
    minutes = 1440 * (design.trap_depth - design.levels[-1]) / w
    return design.n_positions * design.n_particles * minutes / integration.dt_minutes


def _rows_in_flight(design: PlacedDesign, missing: list[Cohort]) -> float:
    """Rows of the table of particles when most cohorts are in flight."""
    plain_design, total = design.design, 0.0
    for w in {cohort.w for cohort in missing}:
        periods = sum(cohort.w == w for cohort in missing)
        days = plain_design.collection + (design.trap_depth - design.levels[-1]) / w
        total += min(periods, math.ceil(days / plain_design.every)) * design.n_positions * design.n_particles
    return total


def _path_bytes(design: PlacedDesign) -> float:
    plain_design = design.design
    return 12.0 * max(plain_design.observations_per_path(w) for w in design.speeds) if plain_design.trajectories else 0.0


def _sample(ocean: Ocean, design: PlacedDesign, integration: Integration, missing: list[Cohort]) -> _Sample:
    """Sweep the first windows of the run, and drop the results."""
    marks: list[tuple[float, int]] = []
    reading: list[float] = []
    finished: dict[float, CohortResult] = {}
    began, cpu_began = time.monotonic(), time.process_time()

    def on_window(done: int, total: int, steps: int) -> None:
        marks.append((time.process_time(), steps))

    def on_result(result: CohortResult) -> None:
        finished.setdefault(result.cohort.w, result)

    def enough() -> bool:
        used = time.process_time() - cpu_began - compiled.seconds
        late = used > CPU_SECONDS or time.monotonic() - began > CLOCK_SECONDS
        return len(marks) > WARM + (FEWEST if late else WINDOWS)

    campaign = _Watched(
        ocean, design, integration, cohorts=missing, on_result=on_result, progress=on_window, ending=enough,
    )  # fmt: skip
    campaign.reading = reading
    before = bytes_read()
    with compiling() as compiled, contextlib.suppress(Terminated):
        campaign.run()
    after = bytes_read()
    warm = marks[WARM:] if len(marks) > WARM + 1 else marks
    cpu, steps = (np.diff(np.array([mark[k] for mark in warm], np.float64)) for k in (0, 1))
    cpu_window, cpu_step = _line(steps, cpu)
    beginning = time.process_time() - compiled.seconds
    if warm:
        told, made = warm[0]
        beginning = told - compiled.seconds - (len(marks) - len(warm) + 1) * cpu_window - made * cpu_step
    read_bytes = None if before is None or after is None else (after - before) / max(1, len(reading))
    seconds_each = float(np.median(reading)) if reading else 0.0
    whole = {w: result for w, result in finished.items() if (result.status == REACHED).mean() > 0.5}
    rows = campaign.table.status.size
    wobble = _wobble(campaign, whole, design)
    return _Sample(max(0.0, beginning), cpu_window, cpu_step, seconds_each, read_bytes, cpu.size, rows, whole, wobble)


def _wobble(campaign: Campaign, finished: dict[float, CohortResult], design: PlacedDesign) -> float:
    """How uneven the times of crossings are, over the time of the rise: of finished cohorts, or at the first level of others."""
    spreads = []
    for w, result in finished.items():
        rise = 86400.0 * (design.trap_depth - design.levels[-1]) / w
        times = result.crossings[:, -1, 2].reshape(design.n_positions, design.n_releases, -1)
        crossed = times[np.isfinite(times).all(axis=2)]
        if len(crossed):
            spreads.append(float(crossed.std(axis=1).mean()) / rise)
    for flight in campaign.flying:
        rise = 86400.0 * (design.trap_depth - design.levels[0]) / flight.cohort.w
        rows = slice(flight.block * campaign.rows_per_cohort, (flight.block + 1) * campaign.rows_per_cohort)
        times = campaign.table.crossings[rows, 0, 2].reshape(design.n_positions, design.n_releases, -1)
        crossed = times[np.isfinite(times).all(axis=2)]
        if len(crossed):
            spreads.append(float(crossed.std(axis=1).mean()) / rise)
    return float(np.mean(spreads)) if spreads else WOBBLE


class _Watched(Campaign):
    """A sweep that notes how long each snapshot takes to read."""

    reading: list[float]

    def _prepare(self, index: int):
        began = time.monotonic()
        prepared = super()._prepare(index)
        self.reading.append(time.monotonic() - began)
        return prepared


def _line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Constant and slope, neither below 0, of a line through measured points."""
    from scipy.optimize import nnls

    if x.size == 0:
        return 0.0, 0.0
    scale = max(float(x.max()), 1.0)
    (constant, slope), _ = nnls(np.stack([np.ones(x.size), x / scale], axis=1), y)
    return float(constant), float(slope) / scale


def _stores(
    folder: Path, ocean: Ocean, design: PlacedDesign, missing: list[Cohort], spacing: float | None, sample: _Sample
) -> tuple[float, dict[int, int], float]:
    """Bytes of all results; the snapshots that fields.zarr keeps; CPU seconds that all stores and the maps of them take."""
    single = dataclasses.replace(design, starts=design.starts[-1:])
    whole, part = folder / "whole", folder / "part"
    disk, todo, cpu = _fields(whole, part, ocean, design, single, spacing)
    disk += RECORD_BYTES
    for w in sorted({cohort.w for cohort in missing}):
        n = sum(cohort.w == w for cohort in missing)
        with _Spent() as laying_out:
            laid_out = SpeedResults.of(whole, design, ocean, w)
        results = SpeedResults.of(part, single, ocean, w)
        empty = size_of(results.folder)
        if w in sample.finished:
            made_up = dataclasses.replace(sample.finished[w], cohort=Cohort(0, w))
        else:
            made_up = _made_up(single, ocean, Cohort(0, w), sample.wobble)
        cohort_values(made_up, single, ocean.grid, results.stores)  # compiles
        with _Spent() as writing:
            results.write(made_up)
        filled = size_of(results.folder)
        with _Spent() as closing:
            results.close()
            results.summary()
        with _Spent() as looking:  # through the chunks of a period, as closing does besides what it does once
            for store in results.stores.values():
                damaged_parts(store.where, store.filled, 1)
        with _Spent() as drawing:
            from lagrangian.maps import draw_catchment  # once, as in a run

            draw_catchment(results.folder, results.folder / "catchment.png")
        cpu += laying_out.cpu + n * writing.cpu + closing.cpu + (n - 1) * looking.cpu + drawing.cpu
        disk += size_of(laid_out.folder) + n * (filled - empty) + size_of(results.folder) - filled
    return disk, todo, cpu


class _Spent:
    """A context manager: ``cpu`` is the CPU time, s, that the process spent within, compiling left out."""

    cpu = 0.0

    def __enter__(self) -> _Spent:
        self._stack = contextlib.ExitStack()
        self._compiled = self._stack.enter_context(compiling())
        self._began = time.process_time()
        return self

    def __exit__(self, *error) -> None:
        self.cpu = time.process_time() - self._began - self._compiled.seconds
        self._stack.close()


def _fields(
    whole: Path, part: Path, ocean: Ocean, design: PlacedDesign, single: PlacedDesign, spacing: float | None
) -> tuple[float, dict[int, int], float]:
    """Of fields.zarr: bytes, the snapshots that it keeps, CPU seconds; a store of a period is made, and stays."""
    with _Spent() as laying_out:
        todo = FieldsPlan(whole, ocean, design, spacing_km=spacing, check=True).todo
    fields = FieldsPlan(part, ocean, single, spacing_km=spacing, check=True)
    empty = size_of(part)
    took = []
    for index, number in fields.todo.items():
        with _Spent() as plain:
            ocean.snapshot(index)
        with _Spent() as more:  # than a sweep reads anyway
            fields.write(number, ocean.snapshot(index, {"temp"} & set(ocean.variables)))
        took.append(more.cpu - plain.cpu)
    filled = size_of(part)
    with _Spent() as closing:
        fields.close()
    kept = max(1, len(took))
    # the first makes the weights of regridding, once
    writing = took[0] + float(np.mean(took[1:] or took)) * (len(todo) - 1) if took else 0.0
    disk = size_of(whole) + size_of(part) - filled + (filled - empty) / kept * len(todo)
    return disk, todo, laying_out.cpu + max(0.0, writing) + closing.cpu * max(1.0, len(todo) / kept)


def _made_up(design: PlacedDesign, ocean: Ocean, cohort: Cohort, wobble: float) -> CohortResult:
    """A cohort whose particles come from about as far as real ones: numbers as varied take as much room."""
    rng = np.random.default_rng(0)
    rows, levels = design.n_positions * design.n_particles, np.array(design.levels)
    risen = (design.trap_depth - levels) / (design.trap_depth - levels[-1])
    far = np.sqrt(80.0 / cohort.w) / ocean.grid.spacing_km * risen[:, None]
    shape = (design.n_positions, design.n_releases, design.n_members, levels.size, 2)
    displaced = np.zeros(shape)
    for scale, first in zip(SPREAD_KM, (1, 2, 3), strict=True):
        together = rng.standard_normal((*shape[:first], *(1,) * (4 - first), 2))
        displaced += scale * far * (together if first < 3 else rng.standard_normal(shape))
    moved = displaced.reshape(rows, levels.size, 2)
    crossings = np.empty((rows, levels.size, 3))
    member = np.tile(np.arange(design.n_members), design.n_releases)
    for k, start in enumerate((design.release_xi, design.release_eta)):
        size = ocean.grid.shape[1 - k]
        place = start[:, member].reshape(rows)[:, None] + moved[..., k]
        crossings[..., k] = place if ocean.grid.periodic[k] else np.clip(place, 0, size - 1)
    delay = np.repeat(design.release_delay / np.timedelta64(1, "s"), design.n_members)
    release = seconds(design.starts)[cohort.period] + np.tile(delay, design.n_positions)
    rise = 86400.0 * (design.trap_depth - levels) / cohort.w
    crossings[..., 2] = release[:, None] - rise * (1 + wobble * rng.standard_normal((rows, levels.size)))
    status = np.full(rows, REACHED, np.int8)
    path = None
    if design.trajectories:
        n_obs = design.design.observations_per_path(cohort.w)
        steps = rng.standard_normal((rows, n_obs, 3)).cumsum(axis=1) * SPREAD_KM[-1] * far[-1] / np.sqrt(n_obs)
        path = (crossings[:, :1] + steps).astype(np.float32)
        path[..., 2] = -np.linspace(design.trap_depth, 2 * levels[-1] - design.trap_depth, n_obs)
        path[:, n_obs // 2 :] = np.nan
    return CohortResult(cohort, crossings, status, path)


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
