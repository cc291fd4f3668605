"""``learning.fit --method velocity``: what to learn from, networks, residuals, and the size of the members' residuals."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from data.command import json_ready, provenance, read_json, write_json
from data.errors import InputError, StoreError, need
from data.lock import FolderLock
from data.times import timedelta_days
from lagrangian.config import speed_folder
from lagrangian.fields import HALF_WINDOW_KM
from lagrangian.oceans import open_for
from lagrangian.stores import open_store
from learning.config import FitConfig
from learning.ensemble import torch_device
from learning.folders import found_speeds, run_identity, run_record
from learning.input_sets import DEFAULT_INPUTS
from learning.split import DAY, Split
from learning.velocity.calibrate import AMPLITUDES, Choice, choose_amplitude, fit_expected, score_amplitude
from learning.velocity.joined import joined
from learning.velocity.lattice import SPACING_KM, Lattice
from learning.velocity.maps import VARIABLES, Maps, MapSpec, have_maps
from learning.velocity.model import (
    VelocityModel,
    load_velocity_network,
    network_path,
    save_velocity_network,
    velocity_folder,
)
from learning.velocity.network import VelocityArchitecture
from learning.velocity.residuals import NAME as RESIDUALS
from learning.velocity.residuals import Residuals
from learning.velocity.runs import Experiments, run_options
from learning.velocity.schedule import Schedule
from learning.velocity.targets import NAME as VELOCITIES
from learning.velocity.targets import Velocities, depths_between, write_velocities
from learning.velocity.training import VelocityTask, train_velocity, write_history

#: Networks of a model, steps of each.
PRESETS = {"quick": (1, Schedule(steps=400)), "paper": (4, Schedule(steps=800))}
#: Days before the first collection period of the validation part that count to it: its particles are under way then.
LEAD_DAYS = 10.0
#: Beyond the traps and the half width of a PDF, km of flow that particles near the edge still feel.
MARGIN_KM = 112.0
#: The set that is learnt as well where none is asked for and the sea floor has hills.
WITH_FLOOR = "sst-ssh-bathymetry"
#: A sea floor whose depth varies by less than this is flat, m.
FLAT_M = 1.0
#: Validation periods that the amplitude is fitted on, at most, and members: as many as predictions have.
CALIBRATION_PERIODS, CALIBRATION_MEMBERS = 6, 48


@dataclass(frozen=True, eq=False)
class Parts:
    """Numbers of the instants of velocities.zarr that are learnt from, and that are held out for validation and residuals."""

    train: np.ndarray
    validation: np.ndarray

    @classmethod
    def of(cls, times: np.ndarray, experiments: Experiments, split: Split, spec: MapSpec) -> Parts:
        """Instants up to the last training day whose later maps lie within the training part, and those of the validation part.

        Raises
        ------
        InputError
            One of them has fewer than two instants.
        """
        later = max(0, *spec.ssh_days, *spec.other_days)
        first, last = (experiments.start[split.train].min(), experiments.end[split.train].max())
        begin, end = (experiments.start[split.validation].min(), experiments.end[split.validation].max())
        lead = timedelta_days(max(LEAD_DAYS, -min(0, *spec.ssh_days) + LEAD_DAYS))
        train = np.flatnonzero((times >= first - lead) & (times <= last - later * DAY))
        validation = np.flatnonzero((times >= begin - timedelta_days(LEAD_DAYS)) & (times <= end))
        # the first instants of a record have no maps before them, which a causal set needs
        train, validation = (numbers[have_maps(times, times[numbers], spec)] for numbers in (train, validation))
        for name, numbers in (("training", train), ("validation", validation)):
            if numbers.size < 2:
                raise InputError(
                    f"the {name} part of the record holds {numbers.size} instants of velocities; give a longer record (--years)"
                )
        return cls(train, validation)


def prepare(run: Path, *, say: Callable[[str], None] = print, spacing_km: float = SPACING_KM) -> Velocities:
    """The velocities.zarr of a run; an absent store is made from the ocean that the run names.

    Raises
    ------
    StoreError, InputError, OptionError
        The run or its ocean cannot be opened.
    """
    if (Path(run) / VELOCITIES).exists():
        velocities = Velocities.open(run)
        if velocities.attributes.get("identity", {}).get("run") != {"run": run_identity(run)}:
            raise StoreError(f"{Path(run) / VELOCITIES} is of another run; remove it, and it is made anew")
        return velocities
    if not run_record(run).get("configuration"):
        lacking = f"{run} does not tell its ocean (run.json), whose velocities would be learnt"
        raise InputError(f"{lacking}; give a run that lagrangian.run made, or --method unet")
    options = run_options(run)
    design, site = options.design, options.design.place
    experiments = Experiments.open(run)
    ocean = open_for(options.source, design, vertical_velocity=options.integration.vertical_velocity)
    half = float(np.abs(experiments.offset).max()) + HALF_WINDOW_KM + MARGIN_KM
    depths = depths_between(float(min(design.levels)), float(design.trap_depth))
    identity = {"run": run_identity(run)}
    with FolderLock(Path(run), "velocities"):
        write_velocities(run, ocean, (site.x, site.y), half, depths, identity, spacing_km=spacing_km, say=say)
    return Velocities.open(run)


def fit_velocities(config: FitConfig, say: Callable[[str], None] = print) -> None:
    """Train the input sets that velocities can be learnt from.

    Where ``--method`` is left out, a run that does not tell its ocean (no configuration in run.json) is passed over, saying so.

    Raises
    ------
    OptionError
        ``--method velocity`` with none of those input sets.
    """
    usable: list[str] = [name for name in config.inputs or (DEFAULT_INPUTS,) if name in VARIABLES]
    required = "velocity" in config.method
    if not usable:
        need(not required, f"--method velocity takes --inputs {', '.join(VARIABLES)}, not {', '.join(config.inputs)}")
        return
    if not required and not run_record(config.run).get("configuration"):
        say(f"note: {config.run} does not tell its ocean (run.json): no velocities are learnt (--method unet leaves them out)")
        return
    if not required and config.member:  # jobs that train one network each would all train this one
        say("note: --member trains a network of binned PDFs; velocities are learnt by --method velocity")
        return
    if not config.inputs:
        if has_hills(prepare(Path(config.run), say=say)):
            usable.append(WITH_FLOOR)
        else:
            say(f"note: {WITH_FLOOR} is left out: the sea floor is flat, or {VELOCITIES} is of a version that kept none of it")
    for inputs in usable:
        fit_velocity(config, inputs, say)


def effective(config: FitConfig, kind: str = "residual") -> tuple[int, Schedule, VelocityArchitecture]:
    """Number of networks, their schedule and architecture: the preset's.

    --members, --epochs, --batch, --lr, --width override it with ``--method velocity`` alone; else they are the other networks'.
    """
    n, schedule = PRESETS[config.preset]
    if tuple(config.method) != ("velocity",):
        return n, schedule, VelocityArchitecture(kind)
    steps = None if config.epochs is None else config.epochs * schedule.epoch_steps
    changes: dict[str, Any] = {"lr": config.lr, "batch": config.batch, "steps": steps}
    schedule = dataclasses.replace(schedule, **{name: value for name, value in changes.items() if value is not None})
    return config.members or n, schedule, VelocityArchitecture(kind, **({} if config.width is None else {"width": config.width}))


def fit_velocity(config: FitConfig, inputs: str, say: Callable[[str], None] = print, *, kind: str = "residual") -> Path:
    """Train the networks of one input set, or go on with them; then residuals and their amplitude. Returns the folder.

    Raises
    ------
    InputError, StoreError
        The run cannot be learnt from; the folder holds networks trained otherwise.
    """
    run = Path(config.run)
    velocities_of_run = prepare(run, say=say)
    experiments = Experiments.open(run)
    split, gap = experiments.split(test=config.test_run is None)
    need_hills(velocities_of_run, inputs, run)
    spec = MapSpec.of(inputs, config.ssh_resolution, config.sst_resolution, causal=config.causal, method=config.resolution_method)
    parts = Parts.of(velocities_of_run.times, experiments, split, spec)
    need_distinct_runs(config)
    velocities, more = joined(velocities_of_run, [(path, prepare(path, say=say)) for path in config.more_runs], spec)
    parts = Parts(np.concatenate([parts.train, more]), parts.validation)
    flow = velocities.flow[parts.train].mean(axis=0, dtype=np.float64)
    psi = velocities.anomaly(flow)
    maps = Maps.of(spec, velocities.times, velocities.surface, velocities.lattice.frame.spacing_km)
    n, schedule, architecture = effective(config, kind)
    folder = velocity_folder(run, inputs, kind)
    folder.mkdir(parents=True, exist_ok=True)
    with FolderLock(folder, "velocity") as lock:
        identity = json_ready({"architecture": architecture, "schedule": schedule, "maps": spec.card, "seed": config.seed})
        record = {
            **provenance(config),
            "identity": identity,
            "run_identity": run_identity(run),
            "gap_days": gap,
            "split": split.dates(experiments.start, experiments.end),
            "depths": velocities.depths.tolist(),
            "instants": {"train": int(parts.train.size), "validation": int(parts.validation.size)},
            "rotational": velocities.rotational[parts.train].mean(axis=0).tolist(),
            "threads": torch.get_num_threads(),
            "more_runs": [run_identity(further_run) for further_run in config.more_runs],
            "more_seeds": [ocean["seed"] for ocean in map(_ocean, config.more_runs) if "seed" in ocean],
        }
        _claim(folder, record)
        say(
            f"velocity-{inputs}: {parts.train.size} instants to learn from, {parts.validation.size} held out; {n} network"
            f"{'s' if n > 1 else ''} of {schedule.epochs * schedule.epoch_steps} steps; depths "
            f"{', '.join(f'{depth:g}' for depth in velocities.depths)} m"
        )
        rows: list[dict] = []
        for member in [config.member] if config.member else range(1, n + 1):
            path = network_path(folder, member)
            if path.exists():
                _, card = load_velocity_network(path)
                rows += card.get("history", [])
                say(f"network {member} is there already")
                continue
            task = VelocityTask(velocities, maps, psi, parts.train, parts.validation, architecture, schedule, config.seed, member,
                                folder / f"member-{member:02d}.state.safetensors")  # fmt: skip
            network, history = train_velocity(task, device=_accelerator(config.device), say=say, check=lock.claim.check)
            rows += history
            save_velocity_network(path, network, {
                "maps": spec.card, "map_scale": task.map_scale, "scale": task.scale.tolist(), "flow": flow.tolist(),
                "depths": velocities.depths.tolist(), "spacing_km": velocities.lattice.frame.spacing_km,
                "points": list(velocities.lattice.shape), "run": run_identity(run), "split": record["split"], "member": member,
                "seed": config.seed, "history": history, "validation_loss": min(row["validation_loss"] for row in history),
            })  # fmt: skip
            task.state.unlink(missing_ok=True)
        write_history(folder / "history.csv", rows)
        if not config.member:
            _residuals(run, folder, velocities, maps, psi, parts, split, experiments, say)
    return folder


def has_hills(velocities: Velocities) -> bool:
    """Whether the store knows the depth of the sea floor, and that depth varies."""
    floor = velocities.surface.get("bathymetry")
    return floor is not None and bool(np.ptp(floor[0]) >= FLAT_M)


def need_hills(velocities: Velocities, inputs: str, run: Path) -> None:
    """InputError where a set takes the depth of the sea floor and the floor is flat: such a network would learn nothing of it."""
    if "bathymetry" in VARIABLES[inputs] and "bathymetry" in velocities.surface and not has_hills(velocities):
        raise InputError(f"the sea floor of {run} is flat: its depth tells a network nothing; use --inputs sst-ssh")


def need_distinct_runs(config: FitConfig) -> None:
    """OptionError where a further run is the run itself, or is named twice: its days would count twice."""
    words = [run_identity(run) for run in (config.run, *config.more_runs)]
    for place, run in enumerate(config.more_runs, 1):
        need(words[place] not in words[:place], f"--more-runs {run}: the same simulation is given already; leave it out")


def _ocean(run: Path) -> dict:
    """What run.json tells of the ocean of a run."""
    return run_record(run).get("ocean", {})


def _accelerator(device: str) -> str:
    return "gpu" if torch_device(device) == "cuda" else "cpu"


def _residuals(run, folder, velocities, maps, psi, parts, split, experiments, say) -> None:
    """Keep the residuals of the validation days, with the amplitude that validation experiments ask for."""
    model = VelocityModel.load(folder, residuals=False)
    if (folder / RESIDUALS).exists():
        Residuals.load(folder, model.checksum)
        say("residuals are there already")
        return
    lattice = velocities.lattice
    predicted = model.predict(maps, velocities.times[parts.validation], lattice)
    every = float(np.median(np.diff(velocities.times[parts.validation])) / DAY)
    model.residuals = Residuals.of(predicted, psi[parts.validation], lattice, every)
    choices = calibration(run, model, maps, lattice, split.validation, experiments)
    best, amplitudes = choose_amplitude(choices)
    model.residuals.amplitude, model.residuals.expected = best, fit_expected(choices, best)
    model.residuals.about = {"amplitudes": amplitudes, "validation_days": int(parts.validation.size)}
    for row in amplitudes:
        say("amplitude {amplitude:g}: validation BL of the mean {bl:.3f}, the 50 % contour holds {held:.0f} %".format(**row))
    say(f"members' residuals are multiplied by {best:g}")
    model.residuals.save(folder, model.checksum)


def calibration(
    run: Path, model: VelocityModel, maps: Maps, lattice: Lattice, experiments: np.ndarray, known: Experiments,
) -> list[Choice]:  # fmt: skip
    """BL and contours of some validation experiments at each amplitude, all speeds of the run."""
    speeds = found_speeds(run)
    options = run_options(run).changed(speeds=speeds)
    every = np.unique(known.start[experiments])
    starts = every[np.unique(np.linspace(0, every.size - 1, min(CALIBRATION_PERIODS, every.size)).round().astype(int))]
    stores = {w: open_store(run / speed_folder(w) / "pdf.zarr", "pdf") for w in speeds}
    return [
        score_amplitude(model, maps, lattice, options, starts, stores, known, amplitude, CALIBRATION_MEMBERS)
        for amplitude in AMPLITUDES
    ]


def _claim(folder: Path, record: dict) -> None:
    """Claim a folder of networks for this configuration; StoreError if the folder holds networks of another."""
    path = folder / "fit.json"
    if path.exists() and any(folder.glob("member-*.safetensors")):
        recorded = read_json(path)
        changed = [name for name, value in record["identity"].items() if recorded.get("identity", {}).get(name) != value]
        changed += [name for name in ("run_identity", "split", "depths") if recorded.get(name) != json_ready(record[name])]
        changed += ["more_runs"] if recorded.get("more_runs", []) != record["more_runs"] else []
        if changed:
            raise StoreError(
                f"{folder} holds networks trained otherwise ({', '.join(changed)} differ); remove it, or give the same options"
            )
    write_json(path, record)
