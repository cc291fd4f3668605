"""``python -m lagrangian.run``: backtrack sinking particles and bin where they cross each level."""

from __future__ import annotations

import dataclasses
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from data.command import json_ready, provenance, read_json, run_command, write_json
from data.errors import InputError, OptionError, StoreError
from data.ocean import Ocean
from data.progress import Progress
from lagrangian.campaign import Campaign, CohortResult
from lagrangian.config import DT_MINUTES, RunConfig, speed_folder
from lagrangian.experiments import Design, design_experiments
from lagrangian.fields import FieldsWriter, run_frame, snapshot_fields
from lagrangian.results import SpeedResults
from lagrangian.stores import STATUS_MEANINGS

#: Fields are kept for these days before the end of each collection period (SPARO: five samples over 50 days).
FIELD_LAGS_DAYS = (0, 10, 20, 30, 40)
#: Options that do not change what the stores hold.
NOT_IDENTITY = ("w", "out", "threads", "start", "end")


def main(config: RunConfig) -> int:
    """Run the experiments that ``config`` describes; see contract.md for what is written."""
    config.validate()
    ocean = open_ocean(config)
    config = _with_defaults_of(ocean, config)
    design, config = _design(config, ocean)
    _check_options(config, ocean)
    identity = _identity(config, ocean, design)
    _claim_folder(config.out, identity)
    # before any store: what lies in the folder from now on belongs to this configuration
    record = {**provenance(config), "ocean": ocean.description, "identity": identity}
    write_json(config.out / "run.json", record)
    speeds = {w: SpeedResults.of(config.out, config, design, ocean, w) for w in config.w}
    cohorts = [cohort for results in speeds.values() for cohort in results.missing()]
    fields = FieldsPlan(config, ocean, design)
    first, last = (str(time)[:16].replace("T", " ") for time in ocean.times[[0, -1]])
    _say(f"{ocean.description.get('kind', 'ocean')}: {len(ocean.times)} snapshots, {first} to {last}")
    for assumption in ocean.description.get("assumptions", ()):
        _say(f"note: {assumption}")
    _say(
        f"{design.n_experiments} experiments ({design.n_periods} periods x {design.n_positions} positions) of "
        f"{design.n_particles} particles at {', '.join(f'{w:g}' for w in config.w)} m/d"
    )
    started = time.perf_counter()
    steps = 0
    if cohorts or fields.todo:
        _say(f"{len(cohorts)} of {design.n_periods * len(config.w)} periods to do")
        with Progress("backtracking", "window") as bar, Writer() as writer:

            def on_result(result: CohortResult) -> None:
                writer.submit(speeds[result.cohort.w].write, result)

            def on_progress(done: int, total: int, made: int) -> None:
                rate = made / max(time.perf_counter() - started, 1e-9)
                bar.update(done, total, f"{rate / 1e6:.2f} M particle-steps/s")

            campaign = Campaign(
                ocean, design, config, cohorts=cohorts, on_result=on_result, field_times=fields.todo,
                on_fields=fields.write, progress=on_progress,
            )  # fmt: skip
            steps = campaign.run()
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


def open_ocean(config: RunConfig) -> Ocean:
    """The ocean that ``--ocean`` names."""
    if "twin" in config.ocean:
        if len(config.ocean) > 1:
            raise OptionError("--ocean takes either 'twin' or files, not both")
        from data.twin.ocean import open_twin

        with Progress("computing the twin ocean", "day") as bar:
            return open_twin(config.years, config.seed, progress=bar.update)
    from data.croco import open_croco

    return open_croco(list(config.ocean), grid=config.grid, time_origin=config.time_origin)


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
        "record": [str(ocean.times[0]), str(ocean.times[-1]), len(ocean.times)],
    }


def _claim_folder(out: Path, identity: dict) -> None:
    """Make ``out`` ours, or find it to be ours already.

    Raises
    ------
    StoreError
        It holds results of another configuration, or cannot be made.
    """
    path = out / "run.json"
    if not path.exists():
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"--out {out} cannot be made: {error.strerror or error}") from None
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


class Writer:
    """Writes finished cohorts in a thread, in order, while particles move on; what goes wrong there is raised here.

    A context manager: leaving it waits for what is under way. At most ``ahead`` results wait, so that memory stays bounded.
    """

    def __init__(self, ahead: int = 2):
        self.ahead = ahead
        self._pool = ThreadPoolExecutor(1)
        self._pending: list[Future] = []

    def __enter__(self) -> Writer:
        return self

    def submit(self, function, *arguments) -> None:
        """Queue a call; waits when too many are queued."""
        self._settle(self.ahead - 1)
        self._pending.append(self._pool.submit(function, *arguments))

    def _settle(self, keep: int) -> None:
        while len(self._pending) > keep or (self._pending and self._pending[0].done()):
            self._pending.pop(0).result()

    def __exit__(self, kind, error, trace) -> None:
        try:
            if kind is None:
                self._settle(0)
        finally:
            self._pool.shutdown(cancel_futures=True)


class FieldsPlan:
    """Which snapshots go into fields.zarr, and their writing.

    ``todo`` maps snapshot index to index in the store, for those not yet in.
    """

    def __init__(self, config: RunConfig, ocean: Ocean, design: Design):
        self.ocean = ocean
        self.path = config.out / "fields.zarr"
        self.partial = config.out / "fields.zarr.partial"
        self.writer: FieldsWriter | None = None
        self.todo: dict[int, int] = {}
        if self.path.exists():
            return
        times = ocean.times.astype("datetime64[s]")
        indices = sorted({self._nearest(times, end - np.timedelta64(86400 * lag, "s"))
                          for end in design.starts + design.collection for lag in FIELD_LAGS_DAYS} - {None})  # fmt: skip
        extent = float(np.abs(design.trap_offset_km).max())
        frame = run_frame(ocean.grid, (design.site.x, design.site.y), extent, spacing_km=config.fields_spacing)
        self.writer = FieldsWriter(
            self.partial, ocean, frame, ocean.times[indices], site=design.site.name
        )  # fmt: skip
        written = self.writer.written
        self.todo = {index: number for number, index in enumerate(indices) if not written[number]}

    @staticmethod
    def _nearest(times: np.ndarray, target: np.datetime64) -> int | None:
        """Index of the snapshot nearest ``target``; None where the record does not reach there."""
        if len(times) < 2:
            return 0
        interval = np.median(np.diff(times).astype(np.int64))
        index = int(np.argmin(np.abs((times - target).astype(np.int64))))
        return index if abs(int((times[index] - target).astype(np.int64))) <= interval else None

    def write(self, number: int, snapshot) -> None:
        """Put one snapshot in (called by the reading thread)."""
        self.writer.write(number, snapshot_fields(self.ocean, snapshot))

    def close(self) -> None:
        """Name the store once all its times are in."""
        if self.writer is not None:
            self.writer.close(self.path)


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(run_command(RunConfig, main, prog="lagrangian.run"))
