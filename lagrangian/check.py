"""``--check``: open a run's inputs, tell what they hold and what the run will cost, and write nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from data.batch import Needs, batch_script
from data.cores import cores
from data.errors import OptionError
from data.machine import GB, free_disk, in_words, memory_bytes
from data.ocean import Ocean
from data.times import gaps
from lagrangian.cohorts import Cohort
from lagrangian.config import RunConfig
from lagrangian.estimate import Cost, cost_of
from lagrangian.experiments import PlacedDesign
from lagrangian.oceans import notes_on_traps
from lagrangian.results import is_done

#: Gaps that are named one by one.
NAMED_GAPS = 5


def check(config: RunConfig, ocean: Ocean, design: PlacedDesign) -> int:
    """Print what a run of ``config``, whose ocean and traps are known, will find and cost; with ``--script`` print a script too.

    Returns
    -------
    int
        0; OptionError where the run would be refused for gaps of the record or for what the machine lacks.
    """
    out = sys.stderr if config.script else sys.stdout

    def say(name: str, text: str) -> None:
        print(f"{name:<11}{text}", file=out, flush=True)

    holes = gaps(ocean.times)
    say("ocean", _ocean_in_words(ocean))
    say("gaps", _gaps_in_words(ocean.times, holes))
    say("grid", _grid_in_words(ocean))
    for note in (*ocean.description.get("assumptions", ()), *notes_on_traps(ocean, design)):
        say("note", note)
    say("traps", _traps_in_words(ocean, design))
    starts = design.starts.astype("datetime64[D]")
    say("periods", f"{design.n_periods}, from {starts[0]} to {starts[-1]}")
    missing = [Cohort(period, w) for w in design.speeds for period in range(design.n_periods)]
    missing = [cohort for cohort in missing if not is_done(config.out, design, cohort)]
    total = design.n_periods * len(design.speeds)
    if len(missing) < total:
        say("done", f"{total - len(missing)} of {total} periods, all speeds counted, are in {config.out} already")
    speeds = ", ".join(f"{w:g}" for w in design.speeds)
    say("particles", f"{design.n_experiments} experiments of {design.n_particles} at {speeds} m/d")
    if not missing:
        say("work", f"none: {config.out} is finished")
        return 0
    integration = config.integration
    own_cores = _cores_of(config)
    cost = cost_of(
        ocean, design, integration, missing, fields_spacing=config.fields_spacing, block=config.block,
        workers=config.workers if config.distributed else 0, cores=own_cores,
    )  # fmt: skip
    say("steps", f"{cost.steps / 1e6:.3g} million of at most {integration.dt_minutes:g} minutes")
    say("time", _time_in_words(cost, config, own_cores))
    free, memory = free_disk(config.out), memory_bytes()
    say("memory", "unknown on this system" if cost.memory is None else
        f"{in_words(cost.memory)}{' a process' if config.distributed else ''} (this machine: {in_words(memory)})")  # fmt: skip
    say("disk", f"{in_words(cost.disk)} in {config.out}" + ("" if free is None else f" ({in_words(free)} are free there)"))
    if cost.read is not None and ocean.description.get("files"):
        say("reads", f"{in_words(cost.read)} from files, {cost.windows} windows between snapshots")
    if config.script:
        needs = Needs(hours=cost.cpu_seconds / 3600 / own_cores, memory=cost.memory, cores=own_cores)
        print(batch_script(config.script, config, "run", needs), end="")
    if holes.size and not config.allow_gaps:
        named = _gaps_in_words(ocean.times, holes)
        raise OptionError(f"the run will be refused for gaps of the record ({named}); add the missing files, or --allow-gaps")
    if free is not None and cost.disk > free:
        raise OptionError(f"--out {config.out}: {cost.disk / GB:.3g} GB are needed there and {free / GB:.3g} GB are free")
    return 0


def _ocean_in_words(ocean: Ocean) -> str:
    times = ocean.times
    first, last = (str(time)[:16].replace("T", " ") for time in times[[0, -1]])
    every = ""
    if len(times) > 1:
        hours = float(np.median(np.diff(times).astype("timedelta64[s]").astype(np.int64))) / 3600
        every = f", every {hours:g} hours"
    files = ocean.description.get("files", ())
    size = sum(Path(name).stat().st_size for name in files if Path(name).exists())
    beside = f"; {len(files)} files of {in_words(size)}" if files else ""
    return f"{ocean.description.get('kind', 'ocean')}: {len(times)} snapshots, {first} to {last}{every}{beside}"


def _gaps_in_words(times: np.ndarray, holes: np.ndarray) -> str:
    if not holes.size:
        return "none"
    days = times.astype("datetime64[D]")
    named = ", ".join(f"{days[k]} to {days[k + 1]}" for k in holes[:NAMED_GAPS])
    more = f" and {holes.size - NAMED_GAPS} more" if holes.size > NAMED_GAPS else ""
    return f"{holes.size}: {named}{more}"


def _grid_in_words(ocean: Ocean) -> str:
    grid = ocean.grid
    ny, nx = grid.shape
    periodic = [name for name, wraps in zip(("xi", "eta"), grid.periodic, strict=True) if wraps]
    sea = 100 * float(np.mean(grid.mask_rho))
    words = [f"{nx} x {ny} points of {grid.spacing_km:.3g} km", f"{ocean.vertical.n} layers", f"{sea:.0f} % sea"]
    x, y = grid.x_rho, grid.y_rho
    if not grid.spherical:
        words.append(f"{(x.max() - x.min()) / 1000:.4g} x {(y.max() - y.min()) / 1000:.4g} km")
    else:
        words.append(f"{x.min():.2f} to {x.max():.2f} degrees east, {y.min():.2f} to {y.max():.2f} north")
    if periodic:
        words.append(f"periodic along {' and '.join(periodic)}")
    return ", ".join(words)


def _traps_in_words(ocean: Ocean, design: PlacedDesign) -> str:
    """Traps that are here lie within the domain and the sea: others were refused."""
    grid = ocean.grid
    floor = grid.sample(grid.h, *grid.locate(design.trap[:, 0], design.trap[:, 1]))
    edge = ""
    if not any(grid.periodic):
        xi, eta = grid.locate(design.trap[:, 0], design.trap[:, 1])
        ny, nx = grid.shape
        cells = np.minimum.reduce([xi, nx - 1 - xi, eta, ny - 1 - eta]).min()
        edge = f"; {cells * grid.spacing_km:.0f} km from the nearest edge at least"
    return (
        f"{design.n_positions} of {design.n_positions} inside, {design.trap_depth:g} m deep where the sea floor lies "
        f"{np.nanmin(floor):.0f} to {np.nanmax(floor):.0f} m deep{edge}"
    )


def _cores_of(config: RunConfig) -> int:
    """Cores that the run will use."""
    if config.cluster or config.scheduler:
        return max(1, config.workers) * max(1, config.threads or 1)
    threads = config.workers * config.threads_each(config.threads) if config.workers > 1 else config.threads or cores()
    return min(threads, cores())


def _time_in_words(cost: Cost, config: RunConfig, here: int) -> str:
    hours = cost.cpu_seconds / 3600
    where = f"{here} cores like these" if config.cluster or config.scheduler else f"{here} of the {cores()} cores of this machine"
    return (
        f"{_duration(cost.wall_seconds)} on {where}, {hours:.2g} CPU-hours (measured on {cost.measured} windows; compiling the "
        "kernel, a minute once, is not counted)"
    )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
