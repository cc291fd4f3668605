"""``learning.predict --method velocity`` for a run: predictions/velocity-<inputs>.zarr, block by block, here or by workers."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import zarr

from data import workers as cluster
from data.chunks import add_array
from data.command import json_ready, provenance, write_json
from data.cores import cores
from data.errors import InputError, OptionError, StoreError
from data.lock import Claim, FolderLock
from data.ocean_names import ocean_title
from data.progress import Progress
from data.resumable import ResumableStore
from data.times import SECONDS_ATTRS, timedelta_days, whole_seconds
from lagrangian.binning import BINS, bin_centres
from lagrangian.design import Design, speed_folder
from lagrangian.stores import ocean_of
from learning.folders import found_speeds, run_identity
from learning.latitudes import Latitudes
from learning.simulation import PARTS, shortened
from learning.velocity.ensemble import EVERY_DAYS, predict_catchments, within
from learning.velocity.fit import prepare
from learning.velocity.maps import Maps, have_maps
from learning.velocity.members import Catchments, check_depths, instants_needed
from learning.velocity.model import VelocityModel
from learning.velocity.residuals import EXPECTED, Residuals
from learning.velocity.runs import Experiments, RunOptions, learnt_at, run_options, training_means
from learning.velocity.targets import Velocities

#: Periods of one sweep: their members' displacements are held at once.
PERIODS = 6
FILLED = ("pdf", "pdf_root", "spread", "expected_bl", "reached")
#: Parts of a run that are predicted: days of the training are no test.
PREDICTED = ("validation", "test", "between", "unseen")


@dataclass(frozen=True, eq=False)
class Plan:
    """The plan of a prediction.

    Attributes
    ----------
    design : Design
        Of the experiments.
    options : RunOptions
        Of the run, with that design.
    out : Path
        Where the predictions go.
    starts : (period,) datetime64[s]
    part : (period,) int8
        Number in :data:`learning.simulation.PARTS`.
    n_positions : int
    mapped : (period,) bool
        Whether there are maps of all days that the networks need for a period.
    """

    options: RunOptions
    out: Path
    starts: np.ndarray
    part: np.ndarray
    n_positions: int
    mapped: np.ndarray

    @property
    def design(self) -> Design:
        """The design of the predicted experiments."""
        return self.options.design

    @property
    def wanted(self) -> np.ndarray:
        """(period,) bool: whether a period is to be predicted."""
        return self.mapped & np.isin(self.part, [PARTS.index(name) for name in PREDICTED])

    @property
    def blocks(self) -> list[tuple[int, ...]]:
        """Numbers of the periods that are predicted in one sweep: the same whatever is there already."""
        numbers = np.flatnonzero(self.wanted).tolist()
        return [tuple(numbers[first : first + PERIODS]) for first in range(0, len(numbers), PERIODS)]

    def path(self, w: float, name: str) -> Path:
        """The store of the networks ``name`` at a speed."""
        return self.out / speed_folder(w) / "predictions" / f"{name}.zarr"


def predict_velocity(config, folder: Path, client=None) -> list[Path]:
    """Predict the experiments of a run that networks did not learn from; goes on with unfinished stores.

    ``config`` is a :class:`learning.predict.PredictConfig`. With a Dask ``client``, its workers do the blocks. Returns the
    stores, one a speed.

    Raises
    ------
    StoreError, OptionError, InputError
        Residuals missing, depths or levels that the networks do not know, maps too far apart, a lattice of another spacing.
    """
    model = VelocityModel.load(folder)
    run = Path(config.run)
    plan = make_plan(config, model)
    check_depths(model.depths, plan.design.trap_depth, plan.design.levels)
    model.check_lattice(prepare(run).lattice)
    if not plan.mapped.all():
        n_unmapped = np.count_nonzero(~plan.mapped)
        print(f"note: {n_unmapped} periods have no maps of all the days before them and are not predicted", flush=True)
    for note in Latitudes.between(learnt_at(folder, run), run_options(run).design.place).of_simulation():
        print(f"note: {note}", flush=True)
    name = Path(folder).name
    residuals = model.known_residuals
    identity = {"networks": model.checksum, "amplitude": residuals.amplitude, "expected": residuals.expected,
                "whole_exponent": residuals.whole_exponent, "run": run_identity(run),
                "members": config.members, "seed": config.seed}  # fmt: skip
    out = plan.out
    out.mkdir(parents=True, exist_ok=True)
    with FolderLock(out, name) as lock:
        stores = {w: PredictionStore(out, name, w, plan, identity, model, run) for w in plan.design.speeds}
        todo = {w: store.missing() for w, store in stores.items()}
        missing = set().union(*todo.values())
        blocks = [block for block in plan.blocks if missing & set(block)]
        n, n_done = sum(map(len, plan.blocks)), sum(map(len, plan.blocks)) - sum(map(len, blocks))
        with Progress(f"predicting {name}", "period") as bar:
            for block in _blocks_done(client, blocks, config, Path(folder), todo, lock.claim):
                n_done += len(block)
                bar.update(n_done, n)
        for store in stores.values():
            store.close()
            write_json(store.final.with_suffix(".json"), {**provenance(config), "identity": identity})
            print(f"{store.final}", flush=True)
    return [store.final for store in stores.values()]


def _blocks_done(client, blocks, config, folder: Path, todo: dict[float, list[int]], claim: Claim) -> Iterator[tuple[int, ...]]:
    """The blocks as they are done, here or by workers."""
    if client is None:
        for block in blocks:
            yield predict_block(block, config, folder, todo, config.threads, claim)
        return
    alike = dataclasses.replace(config, run=config.run.resolve(), out=config.out and config.out.resolve())
    shared = (alike, folder.resolve(), todo, config.threads_each(config.threads), claim)
    for block, _ in cluster.run_tasks(client, predict_block, blocks, shared):
        yield block


def predict_block(
    block: tuple[int, ...], config, folder: Path, todo: dict[float, list[int]], threads: int, claim: Claim
) -> tuple[int, ...]:
    """Fill a block of periods in the unfinished stores of all speeds; a task of :func:`data.workers.run_tasks`. Returns it.

    A block is always predicted whole, whichever of its periods (``todo``, by speed) are missing: the instants at which velocities
    are predicted hang on the periods of a sweep.

    Raises
    ------
    CommandGone
        The command that made ``claim`` has ended.
    StoreError
        A store cannot be written.
    """
    claim.wait()
    model, velocities, maps, plan = _opened(claim.token, config, folder)
    integration = dataclasses.replace(plan.options.integration, threads=threads)
    sizes = {"members": config.members, "seed": config.seed, "integration": integration}
    starts = plan.starts[list(block)]
    stores = {w: _store(plan.path(w, folder.name), plan.starts.size) for w, missing in todo.items() if set(missing) & set(block)}
    for catchments in predict_catchments(model, maps, velocities.lattice, plan.design, starts, **sizes):
        claim.check()
        if block[catchments.period] in todo[catchments.w]:
            put(stores[catchments.w], block[catchments.period], catchments, model.known_residuals)
    return block


@functools.lru_cache(maxsize=1)
def _opened(token: str, config, folder: Path) -> tuple[VelocityModel, Velocities, Maps, Plan]:
    """The model, velocities, maps and plan, opened once in a worker for all blocks of the command that ``token`` names."""
    torch.set_num_threads(config.threads_each(config.threads) or cores())
    model, velocities = VelocityModel.load(folder), prepare(Path(config.run))
    maps = Maps.of(model.spec, velocities.times, velocities.surface, velocities.lattice.frame.spacing_km)
    return model, velocities, maps, make_plan(config, model)


def _store(path: Path, periods: int, **options) -> ResumableStore:
    """The predictions at a speed, a part for each period; without ``lay_out``, as a worker joins them."""
    return ResumableStore(path, FILLED, periods, renew=True, parts="periods", **options)


def put(store: ResumableStore, period: int, found: Catchments, residuals: Residuals) -> None:
    """Put the catchments of a period in."""
    store.put(period, pdf=shortened(found.mean), pdf_root=shortened(found.root), spread=found.spread,
              expected_bl=residuals.expected_bl(found.spread), reached=found.reached)  # fmt: skip


def make_plan(config, model: VelocityModel) -> Plan:
    """The plan: which experiments are predicted, at which speeds, depths and collection."""
    run = Path(config.run)
    run_design = run_options(run)
    experiments = Experiments.open(run)
    changes = {
        name: value
        for name, value in (("trap_depth", config.trap_depth), ("levels", config.levels), ("collection", config.collection))
        if value not in (None, ())
    }
    if changes and config.out is None:
        words = ", ".join(f"--{name.replace('_', '-')}" for name in changes)
        raise OptionError(f"{words}: such catchments are not those of {run}; give --out, another folder for them")
    options = run_design.changed(**changes, speeds=tuple(config.w) or found_speeds(run))
    options.design.validate()
    numbers = np.unique(experiments.period)
    firsts = [np.flatnonzero(experiments.period == number)[0] for number in numbers]
    starts, ends = experiments.start[firsts], experiments.end[firsts]
    part = np.full(starts.size, PARTS.index("unseen"), np.int8)
    if model.card["run"] == run_identity(run):
        part[:] = PARTS.index("between")
        for name, (first, last) in model.card["split"].items():
            part[(starts >= np.datetime64(first)) & (ends <= np.datetime64(last))] = PARTS.index(name)
    mapped = np.ones(starts.size, bool)
    if model.spec.causal:  # the first periods of a record have too few maps before them
        times = prepare(run).times
        for period in range(starts.size):
            needed = within(instants_needed(starts[period : period + 1], options.design, EVERY_DAYS), times)
            mapped[period] = have_maps(times, needed, model.spec).all()
    plan = Plan(options, Path(config.out or run), starts, part, experiments.start.size // numbers.size, mapped)
    if not plan.wanted.any():
        raise InputError(f"{run}: the networks learnt from all of its experiments; predict another run (--run) with --models")
    return plan


class PredictionStore:
    """Predictions at one speed, a chunk for each period.

    Raises
    ------
    StoreError
        It cannot be written.
    """

    def __init__(self, out: Path, name: str, w: float, plan: Plan, identity: dict, model: VelocityModel, run: Path):
        self.final = plan.path(w, name)
        self.plan = plan
        identity = json_ready({**identity, "options": self._options(plan.options)})
        lay_out = partial(self._lay_out, w=w, name=name, model=model, run=run, members=identity["members"])
        self.store = _store(self.final, plan.starts.size, lay_out=lay_out, identity=identity)
        if self.store.whole:
            print(f"{self.final} is there already", flush=True)
        elif self.store.renewed:
            print(f"{self.final} is of other networks or options and is made anew", flush=True)
        elif self.store.damaged:
            print(f"note: {self.store.told(self.store.damaged)} and are made again", flush=True)

    @staticmethod
    def _options(options: RunOptions) -> dict:
        names = ("trap_depth", "levels", "collection", "release_every", "positions", "spacing", "site")
        return {**{name: getattr(options.design, name) for name in names}, "diffusivity": options.integration.diffusivity}

    def missing(self) -> list[int]:
        """Wanted periods that the store lacks; periods that are not wanted are stored as unknown."""
        periods = self.plan.wanted
        shape = self.plan.n_positions, len(self.plan.design.levels)
        unknown = {name: np.full((*shape, BINS, BINS) if "pdf" in name else shape, np.nan, np.float32) for name in FILLED}
        for number in self.store.missing():
            if not periods[number]:
                self.store.put(number, **unknown)
        return self.store.missing()

    def close(self) -> None:
        """Check the store and give it its name."""
        if not self.store.close():
            raise StoreError(f"{self.store.where}: {len(self.store.missing())} periods are not in; give the same command again")

    def _lay_out(self, path: Path, *, w: float, name: str, model: VelocityModel, run: Path, members: int) -> None:
        plan, design = self.plan, self.plan.design
        group = zarr.create_group(store=str(path), zarr_format=3)
        group.attrs.update({
            "title": "Predicted catchments of a sediment trap: particles in predicted velocities", "Conventions": "CF-1.8",
            "inputs": name, "sinking_speed_m_per_day": w, "trap_depth_m": design.trap_depth,
            "members": members, **({"source": source} if (source := ocean_title(ocean_of(run))) else {}),
        })  # fmt: skip
        array = partial(add_array, group)
        levels = np.array(design.ordered_levels)
        n, n_levels = plan.starts.size * plan.n_positions, levels.size
        chunk = (plan.n_positions, n_levels, BINS, BINS)
        long_names = {
            "pdf": "mean of the members' smoothed PDFs",
            "pdf_root": "(mean square root of the members' smoothed PDFs)^2",
        }
        for key, title in long_names.items():
            array(key, (n, *chunk[1:]), chunk, "float32", ("experiment", "level", "y", "x"), {"long_name": title}, fill=np.nan)
        array("spread", (n, n_levels), chunk[:2], "float32", ("experiment", "level"),
              {"long_name": "mean Bhattacharyya loss of the members against their mean"}, fill=np.nan)  # fmt: skip
        array("expected_bl", (n, n_levels), chunk[:2], "float32", ("experiment", "level"), {"long_name": EXPECTED}, fill=np.nan)
        array("reached", (n, n_levels), chunk[:2], "float32", ("experiment", "level"),
              {"long_name": "share of the members' particles that reached the level within +-400 km"}, fill=np.nan)  # fmt: skip
        for key, values in self._climatologies(w, levels, model, run).items():
            array(key, values.shape, values.shape, "float32", ("level", "y", "x"), {"long_name": f"{key} of the training PDFs"},
                  values.astype(np.float32))  # fmt: skip
        array("level", levels.shape, levels.shape, "float64", ("level",), {"units": "m", "positive": "down"}, levels)
        for key in ("y", "x"):
            array(key, (BINS,), (BINS,), "float64", (key,), {"units": "km"}, bin_centres())
        start = np.repeat(plan.starts, plan.n_positions)
        end = start + timedelta_days(design.collection)
        for key, values in (("collection_start", start), ("collection_end", end)):
            array(key, (n,), (n,), "int64", ("experiment",), SECONDS_ATTRS, whole_seconds(values))
        meanings = {"flag_values": list(range(len(PARTS))), "flag_meanings": " ".join(PARTS),
                    "long_name": "what the experiment was to the networks"}  # fmt: skip
        array("part", (n,), (n,), "int8", ("experiment",), meanings, np.repeat(plan.part, plan.n_positions))

    def _climatologies(self, w: float, levels: np.ndarray, model: VelocityModel, run: Path) -> dict[str, np.ndarray]:
        """Mean PDF and root of the training experiments, where this is the run they belong to, at a speed and levels it holds."""
        if model.card["run"] != run_identity(run) or not (run / speed_folder(w) / "pdf.zarr").exists():
            return {}
        experiments = Experiments.open(run)
        if not np.array_equal(experiments.levels, levels) or self.plan.out != run:
            return {}
        first, last = (np.datetime64(day) for day in model.card["split"]["train"])
        train = np.flatnonzero(experiments.usable & (experiments.start >= first) & (experiments.end <= last))
        return dict(zip(("climatology", "climatology_root"), training_means(run, w, train), strict=True))
