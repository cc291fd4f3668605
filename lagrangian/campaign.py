"""One backward sweep over the record that serves every period, trap position and sinking speed.

Snapshots are read once each, latest first; a thread reads and prepares the next while the particles move through the present
window. Particles of one period and speed form a cohort; a cohort is written, and forgotten, as soon as its last particle has
ended, so that memory follows the number of particles in flight and not the length of the record. A particle's path depends
on the snapshots and its own release alone, never on which others fly with it, to the last bit: cohorts can be redone singly, in
blocks, or from a checkpoint. (So a snapshot's slot in the window is that of its number, even or odd: weights of the two slots
are not rounded alike.)
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from data.command import one_line
from data.errors import CatchmentError, InputError
from data.ocean import Ocean, Snapshot
from data.times import seconds
from lagrangian.advection import ACTIVE, RECORD_ENDED
from lagrangian.checkpoint import PARTICLE_VARIABLES, SweepState
from lagrangian.cohorts import Cohort, CohortResult
from lagrangian.experiments import PlacedDesign
from lagrangian.integration import Integration
from lagrangian.kernels import (
    CrossingTable,
    FindCrossings,
    FlyingParticles,
    ParcelsSinkingRK4,
    SinkingAdvectionRK4,
    bathymetry_fieldset,
    clock_of,
    index_fieldset,
    particle_set,
)
from lagrangian.velocity import omega_by_continuity
from lagrangian.window import Diffusivity, PreparedSnapshot, Window


class Terminated(Exception):
    """A sweep was asked to end (:attr:`Campaign.ending`), and has handed its state over."""


class _InFlight:
    """A cohort whose particles hold a block of rows in the table."""

    def __init__(self, cohort: Cohort, block: int):
        self.cohort, self.block = cohort, block


class Campaign:
    """The sweep.

    Parameters
    ----------
    ocean, design, integration
        What, where, how.
    cohorts : list of Cohort
        Which to run (all of a run, or those that a killed one left).
    on_result : callable
        Called with each :class:`CohortResult` in the sweep's own thread, latest period first.
    field_times : dict of int to int, optional
        Snapshot index -> index for ``on_fields``.
    on_fields : callable, optional
        Called with (index, snapshot) in the reading thread, for each snapshot in ``field_times``.
    progress : callable, optional
        Called with (windows done, windows in all, particle-steps done) after each window.
    resume : SweepState, optional
        Where an earlier sweep of these cohorts had come: its cohorts in flight go on from there, the others begin anew.
    on_checkpoint : callable, optional
        Called between two windows with the :class:`SweepState`, every ``checkpoint_every`` seconds, and when a snapshot
        cannot be read. Results handed over before must then be made safe first.
    ending : callable, optional
        Asked after each window whether to hand the state over and end there.
    """

    def __init__(
        self,
        ocean: Ocean,
        design: PlacedDesign,
        integration: Integration,
        *,
        cohorts: list[Cohort],
        on_result: Callable[[CohortResult], None],
        field_times: dict[int, int] | None = None,
        on_fields: Callable | None = None,
        progress: Callable[[int, int, int], None] | None = None,
        resume: SweepState | None = None,
        on_checkpoint: Callable[[SweepState], None] | None = None,
        checkpoint_every: float = 300.0,
        ending: Callable[[], bool] = lambda: False,
    ):
        self.ocean, self.design, self.integration = ocean, design, integration
        self.cohorts = list(cohorts)
        self.on_result, self.on_fields = on_result, on_fields
        self.field_times = dict(field_times or {})
        self.progress = progress or (lambda done, total, steps: None)
        self.on_checkpoint, self.checkpoint_every, self.ending = on_checkpoint, checkpoint_every, ending
        self.resume = resume if resume is not None and set(resume.flying) & set(self.cohorts) else None
        self.times = seconds(ocean.times)
        self.levels = np.array(design.levels)
        self.dt = integration.dt_minutes
        self.rows_per_cohort = design.n_positions * design.n_particles
        self.table = CrossingTable(self.levels.size)
        self.free_blocks: list[int] = []
        self.flying: list[_InFlight] = []
        self.pset: FlyingParticles | None = None
        self.needs_temp = on_fields is not None and "temp" in ocean.variables
        self._compiled = integration.kernel == "compiled"
        self._setup_paths()
        self._setup_kernel()

    # -- set-up ------------------------------------------------------------------------------------------------------
    def _setup_kernel(self) -> None:
        grid = self.ocean.grid
        if self._compiled:
            self.window = Window(
                grid,
                self.ocean.vertical,
                dt=60 * self.dt,
                levels=self.levels,
                diffusivity=diffusivity_of(self.integration),
                threads=self.integration.threads,
            )
            self.fieldset = bathymetry_fieldset(grid.h)
            self.fieldset.add_context("window", self.window)
            self.fieldset.add_context("table", self.table)
        else:
            from lagrangian.agrid import AGrid

            self.agrid = AGrid(grid, self.ocean.vertical, float(self.design.trap_depth))
            self.fieldset = None

    def _setup_paths(self) -> None:
        self.path_every = 3600.0 * (self.design.trajectories or 0.0)
        self.n_obs = 0
        if self.path_every:
            self.n_obs = max((self.design.design.observations_per_path(cohort.w) for cohort in self.cohorts), default=2)
            self.paths = np.empty((0, self.n_obs, 3), np.float32)

    # -- the sweep ---------------------------------------------------------------------------------------------------
    def run(self) -> int:
        """Sweep the record. Returns the number of particle-steps made.

        Raises
        ------
        InputError
            A snapshot cannot be read; the state before it has been handed to ``on_checkpoint``.
        Terminated
            As ``ending`` had it; likewise.
        """
        pending = sorted(self._releases(), key=lambda item: item[0])  # popped from the end: latest first
        waiting = Counter(cohort for _, cohort, _ in pending)
        last = self._index_after(pending[-1][0]) if pending else 0
        last = max(last, max(self.field_times, default=0), self.resume.index if self.resume else 0)
        field_first = min(self.field_times, default=len(self.times))
        saved = time.monotonic()
        with ThreadPoolExecutor(1) as reader:
            later: PreparedSnapshot | None = None
            ahead: Future = reader.submit(self._prepare, last)
            for index in range(last, -1, -1):
                try:
                    snapshot = ahead.result()
                except CatchmentError:
                    if later is not None:
                        self._checkpoint(index + 1)
                    raise
                if index > 0:
                    ahead = reader.submit(self._prepare, index - 1)
                if later is not None:
                    self._load(snapshot, later, index)
                    if self.resume is not None and self.resume.index == index + 1:
                        state, self.resume = self.resume, None
                        self._restore(state)
                    while pending and pending[-1][0] > snapshot.time:
                        instant, cohort, release = pending.pop()
                        self._release(cohort, release, instant - snapshot.time)
                        waiting[cohort] -= 1
                    self._advance(snapshot.time, later.time)
                    self._collect(lambda cohort: waiting[cohort] == 0)
                    self.progress(last - index, last, self.table.steps)
                    ending = self.ending()
                    if index > 0 and (ending or time.monotonic() - saved >= self.checkpoint_every):
                        self._checkpoint(index)
                        saved = time.monotonic()
                    if ending:
                        ahead.cancel()
                        raise Terminated
                later = snapshot
                if not pending and not self.flying and self.resume is None and field_first >= index:
                    if index > 0:
                        ahead.cancel()
                    break
        # what the record did not let finish, and releases at or before its first instant
        for cohort in self.cohorts:
            if waiting[cohort] > 0 and not any(flight.cohort == cohort for flight in self.flying):
                self._start_cohort(cohort)
        self._collect(lambda cohort: True, record_ended=True)
        return self.table.steps

    def _releases(self) -> list[tuple[float, Cohort, int]]:
        start = seconds(self.design.starts)
        delay = self.design.release_delay / np.timedelta64(1, "s")
        releases = [
            (float(start[cohort.period] + delay[release]), cohort, release)
            for cohort in self.cohorts
            for release in range(self.design.n_releases)
        ]
        state = self.resume
        if state is not None:
            flying = set(state.flying)
            releases = [one for one in releases if one[1] not in flying or one[0] <= state.time]
        for instant, _, _ in releases:
            if instant > self.times[-1]:
                raise InputError("a release lies after the last snapshot of the record")
        return releases

    def _index_after(self, time: float) -> int:
        """Index of the first snapshot at or after ``time``."""
        return int(np.searchsorted(self.times, time, side="left"))

    def _prepare(self, index: int) -> PreparedSnapshot:
        """Read one snapshot and decide its vertical velocity. Runs in the reading thread.

        Raises
        ------
        InputError
            It cannot be read, or no longer.
        """
        still = self.integration.vertical_velocity == "none"
        from_file = self.integration.vertical_velocity == "file"
        wanted = set()
        if from_file:
            wanted.add("w" if "w" in self.ocean.variables else "omega")
        is_field = index in self.field_times
        if is_field and self.needs_temp:
            wanted.add("temp")
        snapshot = read_snapshot(self.ocean, index, wanted)
        if is_field and self.on_fields is not None:
            self.on_fields(self.field_times[index], snapshot)
        if from_file:
            vertical = snapshot.w if snapshot.w is not None else snapshot.omega
            is_omega = snapshot.w is None
        elif still:
            vertical, is_omega = np.zeros((self.ocean.vertical.n + 1, *self.ocean.grid.shape), np.float32), False
        else:
            vertical, is_omega = omega_by_continuity(
                snapshot.u, snapshot.v, snapshot.zeta, self.ocean.grid, self.ocean.vertical
            ), True  # fmt: skip
        assert vertical is not None  # the snapshot was read with what was wanted
        return PreparedSnapshot(self.times[index], snapshot.u, snapshot.v, snapshot.zeta, vertical, is_omega)

    def _load(self, earlier: PreparedSnapshot, later: PreparedSnapshot, index: int) -> None:
        """Make the window from snapshot ``index`` to the next."""
        self.table.window_start = earlier.time
        if self._compiled:
            if self.window.is_empty:
                self.window.load(later, (index + 1) % 2)
            self.window.load(earlier, index % 2)
            return
        fields = self.agrid.fields(earlier, later)
        self.fieldset = index_fieldset(fields, self.agrid.depth, np.array([0.0, later.time - earlier.time]))
        self.fieldset.add_context("table", self.table)
        self.fieldset.add_context("level_heights", -self.levels)
        self.fieldset.add_context("shape", self.ocean.grid.shape)
        self.fieldset.add_context("face_offset", self.ocean.grid.face_offset)
        self.fieldset.add_context("sea", self.ocean.grid.mask_rho)
        self.fieldset.add_context("depth", self.ocean.grid.h)
        if self.pset is not None:
            self.pset.fieldset = self.fieldset

    # -- particles ---------------------------------------------------------------------------------------------------
    def _start_cohort(self, cohort: Cohort) -> _InFlight:
        if not self.free_blocks:
            block = self.table.status.size // self.rows_per_cohort
            self.table.grow(self.rows_per_cohort)
            if self.n_obs:
                extra = np.full((self.rows_per_cohort, self.n_obs, 3), np.nan, np.float32)
                self.paths = np.concatenate([self.paths, extra])
            self.free_blocks.append(block)
        flight = _InFlight(cohort, self.free_blocks.pop())
        self.flying.append(flight)
        return flight

    def _release(self, cohort: Cohort, release: int, clock: float) -> None:
        """Add the particles of one release at all positions; ``clock`` s after the window's earlier snapshot."""
        design = self.design
        flight = next((flight for flight in self.flying if flight.cohort == cohort), None) or self._start_cohort(cohort)
        position, member = np.divmod(np.arange(design.n_positions * design.n_members), design.n_members)
        particle = release * design.n_members + member
        row = flight.block * self.rows_per_cohort + position * design.n_particles + particle
        instant = int(round(self.table.window_start + clock))
        # identity of a particle: when, where, which, how fast; integer arithmetic wraps, which is as good
        with np.errstate(over="ignore"):
            uid = (np.int64(instant) * np.int64(2**24) + position * 4096 + member) * np.int64(1_000_003)
            uid = uid + np.int64(round(1000 * cohort.w))
        xi, eta = design.release_xi[position, member], design.release_eta[position, member]
        z = np.full(xi.shape, -self.design.trap_depth)
        speed = np.full(xi.shape, cohort.w / 86400.0)
        if self.n_obs:
            self.paths[row, 0] = np.stack([xi, eta, z], axis=-1)
        if self.pset is None:
            self.pset = particle_set(self.fieldset, xi, eta, z, np.full(xi.shape, clock), speed, row, uid)
        else:
            self.pset.release(xi.size, x=xi, y=eta, z=z, t=clock_of(clock), sinking_speed=speed, row=row, uid=uid)

    def _add(self, particles) -> None:
        if self.pset is None or len(self.pset) == 0:
            self.pset = particles
        else:
            self.pset.add(particles)

    # -- checkpoints -------------------------------------------------------------------------------------------------
    def _checkpoint(self, index: int) -> None:
        """Hand over the state at snapshot ``index``, where all particles now stand."""
        if self.on_checkpoint is None or self.resume is not None or not self.flying or self.pset is None:
            return  # a state that is still to be gone on with is safe where it came from
        size = self.rows_per_cohort
        rows = np.concatenate([np.arange(flight.block * size, (flight.block + 1) * size) for flight in self.flying])
        packed = np.full(self.table.status.size, -1)
        packed[rows] = np.arange(rows.size)
        particles = {name: self.pset._data[name].copy() for name in PARTICLE_VARIABLES}
        particles["row"] = packed[particles["row"]]
        self.on_checkpoint(
            SweepState(
                index,
                float(self.times[index]),
                self.cohorts,
                [flight.cohort for flight in self.flying],
                particles,
                self.table.crossings[rows],
                self.table.status[rows],
                self.paths[rows] if self.n_obs else None,
            )
        )

    def _restore(self, state: SweepState) -> None:
        """Put the particles of a state into flight."""
        size = self.rows_per_cohort
        place = np.full(state.status.size, -1)
        for number, cohort in enumerate(state.flying):
            if cohort not in self.cohorts:
                continue
            flight = self._start_cohort(cohort)
            old, new = (slice(block * size, (block + 1) * size) for block in (number, flight.block))
            place[old] = np.arange(new.start, new.stop)
            self.table.crossings[new], self.table.status[new] = state.crossings[old], state.status[old]
            if self.n_obs and state.paths is not None:
                kept = min(self.n_obs, state.paths.shape[1])
                self.paths[new, :kept] = state.paths[old, :kept]
        ours = place[state.particles["row"]] >= 0
        values = {name: array[ours] for name, array in state.particles.items()}
        values["row"] = place[values["row"]]
        self._add(
            particle_set(self.fieldset, values["x"], values["y"], values["z"], np.zeros(values["row"].size),
                         values["sinking_speed"], values["row"], values["uid"], values["status"], values["next_level"])
        )  # fmt: skip

    def _advance(self, start: float, end: float) -> None:
        """Move all particles back from ``end`` (or their release) to ``start``, s since 1970."""
        if self.pset is None or len(self.pset) == 0:
            return
        # those that were here before stand at the end of the window, whose start was zero of the last window
        clocks = self.pset._data["t"]
        clocks[np.abs(clocks) < 1e-3] = end - start
        for stop in self._stops(start, end):
            if len(self.pset) == 0:
                break
            latest = float(self.pset._data["t"].max())
            if latest <= stop:
                continue
            if self._compiled:
                self.pset.fly(SinkingAdvectionRK4, start - end, stop)
            else:
                self.pset.execute(
                    [ParcelsSinkingRK4, FindCrossings],
                    dt=np.timedelta64(-round(60e9 * self.dt), "ns"),
                    runtime=latest - stop,
                    verbose_progress=False,
                )
            if self.n_obs and len(self.pset):
                self._record(self.pset, start + stop)

    def _stops(self, start: float, end: float) -> list[float]:
        """Clock readings at which the particles halt on the way to ``start``: instants of path output, then the start."""
        if not self.n_obs:
            return [0.0]
        first = math.floor((end - 1e-6) / self.path_every) * self.path_every
        stops = []
        while first > start + 1e-6:
            stops.append(first - start)
            first -= self.path_every
        return [*stops, 0.0]

    def _record(self, pset: FlyingParticles, now: float) -> None:
        """Keep the positions of all particles if ``now`` is an instant of path output."""
        if abs(now / self.path_every - round(now / self.path_every)) > 1e-6:
            return
        data = pset._data
        there = np.abs(data["t"] + self.table.window_start - now) < 1e-3
        row = data["row"][there]
        release = self._release_time(row)
        obs = np.rint(np.ceil(release / self.path_every - 1e-9) - now / self.path_every).astype(int)
        # a release on an instant of output is itself observation 0
        good = (obs > 0) & (obs < self.n_obs)
        values = np.stack([data["x"][there], data["y"][there], data["z"][there]], axis=-1)
        self.paths[row[good], obs[good]] = values[good]

    def _release_time(self, row: np.ndarray) -> np.ndarray:
        start = np.zeros(self.table.status.size // self.rows_per_cohort)
        for flight in self.flying:
            start[flight.block] = seconds(self.design.starts[flight.cohort.period])
        block, within = np.divmod(row, self.rows_per_cohort)
        release = within % self.design.n_particles // self.design.n_members
        return start[block] + (self.design.release_delay / np.timedelta64(1, "s"))[release]

    def _collect(self, all_released: Callable[[Cohort], bool], record_ended: bool = False) -> None:
        """Hand over and forget the cohorts whose particles have all ended."""
        for flight in list(self.flying):
            rows = slice(flight.block * self.rows_per_cohort, (flight.block + 1) * self.rows_per_cohort)
            status = self.table.status[rows]
            if not all_released(flight.cohort) or (not record_ended and (status == ACTIVE).any()):
                continue
            result = CohortResult(
                flight.cohort,
                self.table.crossings[rows].copy(),
                np.where(status == ACTIVE, RECORD_ENDED, status).astype(np.int8),
                self.paths[rows].copy() if self.n_obs else None,
            )
            self.table.crossings[rows] = np.nan
            self.table.status[rows] = ACTIVE
            if self.n_obs:
                self.paths[rows] = np.nan
            self.free_blocks.append(flight.block)
            self.flying.remove(flight)
            self.on_result(result)


def read_snapshot(ocean: Ocean, index: int, wanted=frozenset()) -> Snapshot:
    """One snapshot; InputError where it cannot be read, or no longer."""
    try:
        return ocean.snapshot(index, wanted)
    except (OSError, EOFError, ValueError) as error:
        when = str(ocean.times[index])[:16].replace("T", " ")
        raise InputError(
            f"the snapshot of {when} cannot be read ({one_line(error)}); put its file back and give the same command again"
        ) from error


def diffusivity_of(integration: Integration) -> Diffusivity:
    """The list of depths and values as the kernel takes it."""
    return Diffusivity(*integration.profile, integration.seed) if integration.diffusivity else Diffusivity(seed=integration.seed)
