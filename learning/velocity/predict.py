"""``learning.predict --method velocity`` for a run: w080/predictions/velocity-<inputs>.zarr, some periods at a time."""

from __future__ import annotations

import dataclasses
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import zarr

from data.command import json_ready, provenance, write_json
from data.errors import InputError, OptionError, StoreError, cannot_write
from data.lock import FolderLock
from data.progress import Progress
from data.times import SECONDS_ATTRS, whole_seconds
from lagrangian.binning import BINS, bin_centres
from lagrangian.config import RunConfig, speed_folder
from lagrangian.stores import add_array, damaged_parts, finish, partial_path, put_chunk
from learning.folders import found_speeds, run_identity
from learning.simulation import PARTS, shortened
from learning.velocity.ensemble import predict_catchments
from learning.velocity.fit import prepare
from learning.velocity.maps import Maps
from learning.velocity.members import check_depths
from learning.velocity.model import VelocityModel
from learning.velocity.runs import Experiments, run_config, training_means

#: Periods of one sweep: their members' displacements are held at once.
PERIODS = 12
FILLED = ("pdf", "pdf_root", "spread", "reached")
#: Parts of a run that are predicted: what was learnt from is no test.
PREDICTED = ("validation", "test", "between", "unseen")


@dataclass(frozen=True, eq=False)
class Plan:
    """What is to be predicted.

    Attributes
    ----------
    config : RunConfig
        The experiments' options; ``out`` is where the predictions go.
    starts : (period,) datetime64[s]
    part : (period,) int8
        Number in :data:`learning.simulation.PARTS`.
    n_positions : int
    """

    config: RunConfig
    starts: np.ndarray
    part: np.ndarray
    n_positions: int


def predict_velocity(config, folder: Path) -> list[Path]:
    """Predict the experiments of a run that networks did not learn from; goes on with unfinished stores.

    ``config`` is a :class:`learning.predict.PredictConfig`. Returns the stores, one a speed.

    Raises
    ------
    StoreError, OptionError, InputError
        Residuals missing, depths or levels that the networks do not know, maps too far apart, a lattice of another spacing.
    """
    model = VelocityModel.load(folder)
    run = Path(config.run)
    plan = make_plan(config, model)
    check_depths(model.depths, plan.config.trap_depth, plan.config.levels)
    velocities = prepare(run)
    model.check_lattice(velocities.lattice)
    maps = Maps.of(model.spec, velocities.times, velocities.surface, velocities.lattice.frame.spacing_km)
    name = Path(folder).name
    identity = {"networks": model.checksum, "amplitude": model.residuals.amplitude, "run": run_identity(run),
                "members": config.members, "seed": config.seed}  # fmt: skip
    out = plan.config.out
    out.mkdir(parents=True, exist_ok=True)
    with FolderLock(out, name):
        stores = {w: PredictionStore(out, name, w, plan, identity, model, run) for w in plan.config.w}
        todo = {w: store.missing() for w, store in stores.items()}
        periods = sorted(set().union(*todo.values()))
        with Progress(f"predicting {name}", "period") as bar:
            for first in range(0, len(periods), PERIODS):
                chosen = np.array(periods[first : first + PERIODS])
                speeds = tuple(w for w in plan.config.w if set(chosen.tolist()) & set(todo[w]))
                options = dataclasses.replace(plan.config, w=speeds)
                sizes = {"members": config.members, "seed": config.seed}
                for one in predict_catchments(model, maps, velocities.lattice, options, plan.starts[chosen], **sizes):
                    stores[one.w].put(int(chosen[one.period]), one)
                bar.update(min(first + PERIODS, len(periods)), len(periods))
        for store in stores.values():
            store.close()
            write_json(store.final.with_suffix(".json"), {**provenance(config), "identity": identity})
            print(f"{store.final}", flush=True)
    return [store.final for store in stores.values()]


def make_plan(config, model: VelocityModel) -> Plan:
    """Which experiments, at which speeds, depths and collection."""
    run = Path(config.run)
    known = run_config(run)
    experiments = Experiments.open(run)
    changes = {
        name: value
        for name, value in (("trap_depth", config.trap_depth), ("levels", config.levels), ("collection", config.collection))
        if value not in (None, ())
    }
    if changes and config.out is None:
        words = ", ".join(f"--{name.replace('_', '-')}" for name in changes)
        raise OptionError(f"{words}: such catchments are not those of {run}; give --out, another folder for them")
    options = dataclasses.replace(known, **changes, w=tuple(config.w) or found_speeds(run), out=Path(config.out or run))
    options.validate()
    numbers = np.unique(experiments.period)
    firsts = [np.flatnonzero(experiments.period == number)[0] for number in numbers]
    starts, ends = experiments.start[firsts], experiments.end[firsts]
    part = np.full(starts.size, PARTS.index("unseen"), np.int8)
    if model.card["run"] == run_identity(run):
        part[:] = PARTS.index("between")
        for name, (first, last) in model.card["split"].items():
            part[(starts >= np.datetime64(first)) & (ends <= np.datetime64(last))] = PARTS.index(name)
    wanted = np.isin(part, [PARTS.index(name) for name in PREDICTED])
    if not wanted.any():
        raise InputError(f"{run}: the networks learnt from all of its experiments; predict another run (--run) with --models")
    return Plan(options, starts, part, experiments.start.size // numbers.size)


class PredictionStore:
    """Predictions at one speed, a chunk for each period.

    Raises
    ------
    StoreError
        It cannot be written.
    """

    def __init__(self, out: Path, name: str, w: float, plan: Plan, identity: dict, model: VelocityModel, run: Path):
        self.final = out / speed_folder(w) / "predictions" / f"{name}.zarr"
        self.path = partial_path(self.final.parent, self.final.name)
        self.plan, self.identity = plan, json_ready({**identity, "options": self._options(plan.config)})
        self.n = plan.starts.size
        try:
            self.final.parent.mkdir(parents=True, exist_ok=True)
            if self.final.exists():
                if _identity_of(self.final) == self.identity and not damaged_parts(self.final, FILLED, self.n):
                    self.path = self.final
                    print(f"{self.final} is there already", flush=True)
                    return
                print(f"note: {self.final} is damaged or of other networks and is made anew", flush=True)
            if _identity_of(self.path) != self.identity:
                self._create(w, name, model, run)
        except OSError as error:
            raise cannot_write(self.path, error) from None

    @staticmethod
    def _options(config: RunConfig) -> dict:
        names = ("trap_depth", "levels", "collection", "release_every", "positions", "spacing", "site", "diffusivity")
        return {name: getattr(config, name) for name in names}

    def missing(self) -> list[int]:
        """Periods that are to be predicted and are not in."""
        if self.path == self.final:
            return []
        written = zarr.open_group(str(self.path), mode="r", use_consolidated=False)["written"][...].astype(bool)
        wanted = np.isin(self.plan.part, [PARTS.index(name) for name in PREDICTED])
        group = zarr.open_group(str(self.path), mode="r+", use_consolidated=False)
        for number in np.flatnonzero(~wanted & ~written):
            self._put_nothing(group, int(number))
        return np.flatnonzero(wanted & ~written).tolist()

    def _put_nothing(self, group, number: int) -> None:
        n, levels = self.plan.n_positions, len(self.plan.config.levels)
        for name in ("pdf", "pdf_root"):
            put_chunk(group, name, number, np.full((n, levels, BINS, BINS), np.nan, np.float32))
        for name in ("spread", "reached"):
            put_chunk(group, name, number, np.full((n, levels), np.nan, np.float32))
        put_chunk(group, "written", number, np.ones(1, np.uint8))

    def put(self, period: int, found) -> None:
        """Put the catchments of a period in."""
        group = zarr.open_group(str(self.path), mode="r+", use_consolidated=False)
        try:
            put_chunk(group, "pdf", period, shortened(found.mean))
            put_chunk(group, "pdf_root", period, shortened(found.root))
            put_chunk(group, "spread", period, found.spread)
            put_chunk(group, "reached", period, found.reached)
            put_chunk(group, "written", period, np.ones(1, np.uint8))
        except OSError as error:
            raise cannot_write(self.path, error) from None

    def close(self) -> None:
        """Check the store and give it its name."""
        if self.path == self.final:
            return
        damaged = damaged_parts(self.path, (*FILLED, "written"), self.n)
        if damaged:
            group = zarr.open_group(str(self.path), mode="r+", use_consolidated=False)
            for number in damaged:
                put_chunk(group, "written", number, np.zeros(1, np.uint8))
            raise StoreError(f"{self.path}: {len(damaged)} periods are damaged or missing; the same command makes them again")
        try:
            finish(self.path)
        except OSError as error:
            raise cannot_write(self.path, error) from None

    def _create(self, w: float, name: str, model: VelocityModel, run: Path) -> None:
        if self.path.exists():
            shutil.rmtree(self.path)
        plan, config = self.plan, self.plan.config
        group = zarr.create_group(store=str(self.path), zarr_format=3)
        group.attrs.update({
            "title": "Predicted catchments of a sediment trap: particles in predicted velocities", "Conventions": "CF-1.8",
            "inputs": name, "sinking_speed_m_per_day": w, "trap_depth_m": config.trap_depth,
            "members": self.identity["members"], "identity": self.identity,
        })  # fmt: skip
        array = partial(add_array, group)
        levels = np.array(config.design.ordered_levels)
        n, n_levels = self.n * plan.n_positions, levels.size
        chunk = (plan.n_positions, n_levels, BINS, BINS)
        long_names = {
            "pdf": "mean of the members' smoothed PDFs",
            "pdf_root": "(mean square root of the members' smoothed PDFs)^2",
        }
        for one, title in long_names.items():
            array(one, (n, *chunk[1:]), chunk, "float32", ("experiment", "level", "y", "x"), {"long_name": title}, fill=np.nan)
        array("spread", (n, n_levels), chunk[:2], "float32", ("experiment", "level"),
              {"long_name": "mean Bhattacharyya loss of the members against their mean"}, fill=np.nan)  # fmt: skip
        array("reached", (n, n_levels), chunk[:2], "float32", ("experiment", "level"),
              {"long_name": "share of the members' particles that reached the level within +-400 km"}, fill=np.nan)  # fmt: skip
        for one, values in self._climatologies(w, levels, model, run).items():
            array(one, values.shape, values.shape, "float32", ("level", "y", "x"), {"long_name": f"{one} of the training PDFs"},
                  values.astype(np.float32))  # fmt: skip
        array("level", levels.shape, levels.shape, "float64", ("level",), {"units": "m", "positive": "down"}, levels)
        for one in ("y", "x"):
            array(one, (BINS,), (BINS,), "float64", (one,), {"units": "km"}, bin_centres())
        start = np.repeat(plan.starts, plan.n_positions)
        end = start + np.timedelta64(round(86400 * config.collection), "s")
        for one, values in (("collection_start", start), ("collection_end", end)):
            array(one, (n,), (n,), "int64", ("experiment",), SECONDS_ATTRS, whole_seconds(values))
        meanings = {"flag_values": list(range(len(PARTS))), "flag_meanings": " ".join(PARTS),
                    "long_name": "what the experiment was to the networks"}  # fmt: skip
        array("part", (n,), (n,), "int8", ("experiment",), meanings, np.repeat(plan.part, plan.n_positions))
        array("written", (self.n,), (1,), "uint8", ("period",), {"long_name": "1 where the period is in"}, fill=0)

    def _climatologies(self, w: float, levels: np.ndarray, model: VelocityModel, run: Path) -> dict[str, np.ndarray]:
        """Mean PDF and root of the training experiments, where this is the run they belong to, at a speed and levels it holds."""
        if model.card["run"] != run_identity(run) or not (run / speed_folder(w) / "pdf.zarr").exists():
            return {}
        known = Experiments.open(run)
        if not np.array_equal(known.levels, levels) or self.plan.config.out != run:
            return {}
        first, last = (np.datetime64(one) for one in model.card["split"]["train"])
        train = np.flatnonzero(known.usable & (known.start >= first) & (known.end <= last))
        return dict(zip(("climatology", "climatology_root"), training_means(run, w, train), strict=True))


def _identity_of(store: Path) -> dict | None:
    """What a store is of; None where it cannot be told."""
    try:
        return zarr.open_group(str(store), mode="r").attrs.get("identity")
    except Exception:  # what is damaged is made anew
        return None


def found_models(run: Path) -> list[Path]:
    """Folders of velocity networks of a run."""
    return sorted({path.parent for path in Path(run).glob("models/velocity-*/member-*[0-9].safetensors")})
