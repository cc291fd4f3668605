"""``learning.predict --method velocity`` for a run: w080/predictions/velocity-<inputs>.zarr, some periods at a time."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import zarr

from data.chunks import add_array
from data.command import json_ready, provenance, write_json
from data.errors import InputError, OptionError, StoreError
from data.lock import FolderLock
from data.ocean_names import ocean_title
from data.progress import Progress
from data.resumable import ResumableStore
from data.times import SECONDS_ATTRS, whole_seconds
from lagrangian.binning import BINS, bin_centres
from lagrangian.design import Design, speed_folder
from lagrangian.stores import ocean_of
from learning.folders import found_speeds, run_identity
from learning.simulation import PARTS, shortened
from learning.velocity.ensemble import predict_catchments
from learning.velocity.fit import prepare
from learning.velocity.maps import Maps
from learning.velocity.members import check_depths
from learning.velocity.model import VelocityModel
from learning.velocity.runs import Experiments, RunOptions, run_options, training_means

#: Periods of one sweep: their members' displacements are held at once.
PERIODS = 6
FILLED = ("pdf", "pdf_root", "spread", "reached")
#: Parts of a run that are predicted: what was learnt from is no test.
PREDICTED = ("validation", "test", "between", "unseen")


@dataclass(frozen=True, eq=False)
class Plan:
    """What is to be predicted.

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
    """

    options: RunOptions
    out: Path
    starts: np.ndarray
    part: np.ndarray
    n_positions: int

    @property
    def design(self) -> Design:
        """What is predicted."""
        return self.options.design


def predict_velocity(config, folder: Path) -> list[Path]:
    """Predict the experiments of a run that networks did not learn from; goes on with unfinished stores.

    ``config`` is a :class:`learning.predict.PredictConfig`. Returns the stores, one a speed.

    Raises
    ------
    StoreError, OptionError, InputError
        Residuals missing, depths or levels that the networks do not know, maps too far apart, a lattice of another spacing.
    """
    model = VelocityModel.load(folder)
    if config.distributed:
        print("note: workers share the networks of binned PDFs; particles in predicted velocities are followed here", flush=True)
    run = Path(config.run)
    plan = make_plan(config, model)
    check_depths(model.depths, plan.design.trap_depth, plan.design.levels)
    velocities = prepare(run)
    model.check_lattice(velocities.lattice)
    maps = Maps.of(model.spec, velocities.times, velocities.surface, velocities.lattice.frame.spacing_km)
    name = Path(folder).name
    identity = {"networks": model.checksum, "amplitude": model.residuals.amplitude, "run": run_identity(run),
                "members": config.members, "seed": config.seed}  # fmt: skip
    out = plan.out
    out.mkdir(parents=True, exist_ok=True)
    with FolderLock(out, name):
        stores = {w: PredictionStore(out, name, w, plan, identity, model, run) for w in plan.design.speeds}
        todo = {w: store.missing() for w, store in stores.items()}
        periods = sorted(set().union(*todo.values()))
        with Progress(f"predicting {name}", "period") as bar:
            for first in range(0, len(periods), PERIODS):
                chosen = np.array(periods[first : first + PERIODS])
                speeds = tuple(w for w in plan.design.speeds if set(chosen.tolist()) & set(todo[w]))
                design = dataclasses.replace(plan.design, speeds=speeds)
                sizes = {"members": config.members, "seed": config.seed, "integration": plan.options.integration}
                for one in predict_catchments(model, maps, velocities.lattice, design, plan.starts[chosen], **sizes):
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
    known = run_options(run)
    experiments = Experiments.open(run)
    changes = {
        name: value
        for name, value in (("trap_depth", config.trap_depth), ("levels", config.levels), ("collection", config.collection))
        if value not in (None, ())
    }
    if changes and config.out is None:
        words = ", ".join(f"--{name.replace('_', '-')}" for name in changes)
        raise OptionError(f"{words}: such catchments are not those of {run}; give --out, another folder for them")
    options = known.changed(**changes, speeds=tuple(config.w) or found_speeds(run))
    options.design.validate()
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
    return Plan(options, Path(config.out or run), starts, part, experiments.start.size // numbers.size)


class PredictionStore:
    """Predictions at one speed, a chunk for each period.

    Raises
    ------
    StoreError
        It cannot be written.
    """

    def __init__(self, out: Path, name: str, w: float, plan: Plan, identity: dict, model: VelocityModel, run: Path):
        self.final = out / speed_folder(w) / "predictions" / f"{name}.zarr"
        self.plan = plan
        identity = json_ready({**identity, "options": self._options(plan.options)})
        lay_out = partial(self._lay_out, w=w, name=name, model=model, run=run, members=identity["members"])
        self.store = ResumableStore(
            self.final, FILLED, plan.starts.size, lay_out=lay_out, identity=identity, renew=True, parts="periods"
        )
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
        """Periods that are to be predicted and are not in; those that are not to be predicted are put in as unknown."""
        wanted = np.isin(self.plan.part, [PARTS.index(name) for name in PREDICTED])
        shape = self.plan.n_positions, len(self.plan.design.levels)
        unknown = {name: np.full((*shape, BINS, BINS) if "pdf" in name else shape, np.nan, np.float32) for name in FILLED}
        for number in self.store.missing():
            if not wanted[number]:
                self.store.put(number, **unknown)
        return self.store.missing()

    def put(self, period: int, found) -> None:
        """Put the catchments of a period in."""
        self.store.put(
            period, pdf=shortened(found.mean), pdf_root=shortened(found.root), spread=found.spread, reached=found.reached
        )

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
        end = start + np.timedelta64(round(86400 * design.collection), "s")
        for one, values in (("collection_start", start), ("collection_end", end)):
            array(one, (n,), (n,), "int64", ("experiment",), SECONDS_ATTRS, whole_seconds(values))
        meanings = {"flag_values": list(range(len(PARTS))), "flag_meanings": " ".join(PARTS),
                    "long_name": "what the experiment was to the networks"}  # fmt: skip
        array("part", (n,), (n,), "int8", ("experiment",), meanings, np.repeat(plan.part, plan.n_positions))

    def _climatologies(self, w: float, levels: np.ndarray, model: VelocityModel, run: Path) -> dict[str, np.ndarray]:
        """Mean PDF and root of the training experiments, where this is the run they belong to, at a speed and levels it holds."""
        if model.card["run"] != run_identity(run) or not (run / speed_folder(w) / "pdf.zarr").exists():
            return {}
        known = Experiments.open(run)
        if not np.array_equal(known.levels, levels) or self.plan.out != run:
            return {}
        first, last = (np.datetime64(one) for one in model.card["split"]["train"])
        train = np.flatnonzero(known.usable & (known.start >= first) & (known.end <= last))
        return dict(zip(("climatology", "climatology_root"), training_means(run, w, train), strict=True))


def found_models(run: Path) -> list[Path]:
    """Folders of velocity networks of a run."""
    return sorted({path.parent for path in Path(run).glob("models/velocity-*/member-*[0-9].safetensors")})
