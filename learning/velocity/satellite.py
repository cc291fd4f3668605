"""``learning.predict --method velocity --ssh …``: catchments of dates of satellite maps, one CF file a sinking speed.

SSH and SST are put on a lattice about the trap, a map every few days; velocities are predicted there, and particles followed in
them to the edges of the lattice, 448 km from the trap. Maps come at their own resolution and are sampled as the training maps
were.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from data.bathymetry import bathymetry_on
from data.command import provenance, write_json
from data.errors import InputError, OptionError, need
from data.files import make_folder
from data.frame import Frame
from data.lock import FolderLock
from data.netcdf import write_dataset
from data.ocean_names import is_idealised, ocean_title, site_attribute
from data.progress import Progress
from data.satellite import around, on_frame, open_ssh, open_sst, time_notes
from data.sites import Site, parse_site
from data.times import DAY, nearest, parse_date, timedelta_days
from lagrangian.design import Design, speed_folder
from lagrangian.pdf import export_level, export_number
from lagrangian.stores import ocean_of
from learning.catchment_file import catchment_dataset
from learning.folders import found_speeds
from learning.inputs import fill_missing
from learning.latitudes import Latitudes
from learning.map_checks import LEAST_KNOWN, TITLES, known_shares, look_at_maps, sla_notes
from learning.ready import introduction
from learning.satellite_inputs import source_of, write_maps
from learning.velocity.catchment import OUTSIDE, flags, notes_of, outside_share, with_land
from learning.velocity.ensemble import EVERY_DAYS, predict_catchments
from learning.velocity.lattice import Lattice
from learning.velocity.maps import Maps
from learning.velocity.members import check_depths, instants_needed
from learning.velocity.model import VelocityModel
from learning.velocity.residuals import EXPECTED
from learning.velocity.runs import learnt_at, run_options

#: Half width of the lattice about the trap, km: whole cells of three resolutions, within the 500 km that data.download fetches.
HALF_KM = 448.0
#: Largest distance of a map from the day of the series that the map is used for, days.
TOLERANCE_DAYS = 2.5
#: Dates of one sweep.
DATES = 60


def predict_velocity_satellite(config, folder: Path, out: Path) -> list[Path]:
    """Write ``catchment_w080.nc`` of each speed under ``out``.

    ``config`` is a :class:`learning.predict.PredictConfig`; speeds, depths and collection are those of its run unless given.

    Raises
    ------
    OptionError, InputError, StoreError
        Inputs that no satellite sees, files that cannot be used, no date whose maps suffice.
    """
    model = VelocityModel.load(folder)
    unseen = [name for name in model.spec.variables if name not in ("ssh", "temp", "bathymetry")]
    if unseen:
        raise OptionError(f"networks of {folder.name} take {', '.join(unseen)} as well, which no satellite sees; use sst-ssh")
    need(
        ("bathymetry" in model.spec.variables) == (config.bathymetry is not None),
        f"networks of {folder.name} take the depth of the sea floor: give --bathymetry (GEBCO, ETOPO or deptho)"
        if config.bathymetry is None
        else f"--bathymetry: networks of {folder.name} take no depth of the sea floor; leave it out",
    )
    site = run_options(config.run).design.place if config.site is None else parse_site(config.site)
    options, standing = design_at(config, site, model.depths[-1])
    integration = dataclasses.replace(run_options(config.run).integration, threads=config.threads)
    check_depths(model.depths, options.trap_depth, options.levels)
    lattice = Lattice(_frame(site, model.card["spacing_km"]), False)
    latitudes = Latitudes.between(learnt_at(folder, config.run), site)
    seen = read_series(config.ssh, config.sst, lattice)
    notes = [*standing, *latitudes.notes(floor=config.bathymetry is not None), *seen.notes]
    if "temp" not in seen.maps:
        notes.append("no SST was given: the networks see no anomaly of it")
    # from here to the catchments all maps are as the networks know them
    temp = seen.maps.get("temp", np.zeros_like(seen.maps["ssh"]))
    series = {"ssh": latitudes.turned(np.float32(latitudes.factor) * seen.maps["ssh"]), "temp": latitudes.turned(temp)}
    if config.bathymetry is not None:
        # hills stretch columns of water by f / depth: where f is smaller, so is what they do to the same currents
        floor = latitudes.turned(fill_missing(bathymetry_on(config.bathymetry, lattice.frame))) / np.float32(latitudes.factor)
        series["bathymetry"] = np.broadcast_to(floor, series["ssh"].shape)
    sea, maps_source = latitudes.turned(seen.sea), seen.source
    source = _source(model, folder.name, config.run, maps_source)
    maps = Maps.of(model.spec, seen.times, {name: series[name] for name in model.spec.variables}, lattice.frame.spacing_km)
    ends, left_out = possible_ends(maps, options, config.start, config.end, config.every)
    notes += [f"{left_out} dates left out: maps are too far apart"] if left_out else []
    starts = ends - timedelta_days(options.collection)
    outside = outside_share(model, maps, ends)
    flag = flags(outside, has_sst=bool(config.sst), all_known=bool(sea.all()))
    for line in [*introduction(folder, (flag & OUTSIDE) > 0), *(f"note: {note}" for note in notes)]:
        print(line, flush=True)
    make_folder(out)
    by_speed: dict[float, list] = {w: [] for w in options.speeds}
    export = np.array([export_number(options.ordered_levels)])
    with FolderLock(out, "predict-velocity"), Progress("following particles", "date") as bar:
        write_maps(out / "satellite_inputs.nc", site, seen.times, seen.maps, seen.ssh_variable, seen.source, lattice.frame.x)
        for first in range(0, ends.size, DATES):
            begins = starts[first : first + DATES]
            sizes = {"members": config.members, "seed": config.seed, "levels": export, "sea": sea, "integration": integration}
            for catchments in predict_catchments(model, maps, lattice, options, begins, **sizes):
                mean, root = latitudes.turned(catchments.mean), latitudes.turned(catchments.root)
                by_speed[catchments.w].append(dataclasses.replace(catchments, mean=mean, root=root))
            bar.update(min(first + DATES, ends.size), ends.size)
        written = []
        for w, parts in by_speed.items():
            path = out / f"catchment_{speed_folder(w)}.nc"
            dataset = _dataset(parts, site, w, ends, options, flag, outside, source, model)
            dataset = with_land(dataset, maps_source, remove=config.no_land_mass)
            dataset = dataset.assign_attrs(maps_source=maps_source, site=site_attribute(maps_source, site.name))
            lines = notes_of(dataset, w, removed=config.no_land_mass)
            for line in lines:
                print(f"note: {line}", flush=True)
            write_dataset(path, dataset.assign_attrs(comment="; ".join([*notes, *lines]) or "none"))
            write_json(path.with_suffix(".json"), {**provenance(config), "models": str(folder)})
            print(f"{path}: {ends.size} predictions", flush=True)
            written.append(path)
    return written


def design_at(config, site: Site, deepest: float) -> tuple[Design, list[str]]:
    """The design of the predictions, and notes: at another site than the run's, the trap has that site's depth."""
    run_design = run_options(config.run).design
    names = ("trap_depth", "levels", "collection")
    changes = {name: getattr(config, name) for name in names if getattr(config, name) not in (None, ())}
    notes = []
    elsewhere = (site.x, site.y) != (run_design.place.x, run_design.place.y)
    if elsewhere and "trap_depth" not in changes:
        if site.trap_depths:
            depth = Design.standing(site)[0]
            if depth > deepest:
                raise OptionError(
                    f"--site {config.site}: its trap stands at {depth:g} m, the networks know velocities down to {deepest:g} m; "
                    f"learn from a run with a trap as deep, or give --trap-depth {deepest:g} for one that hangs higher"
                )
            changes["trap_depth"] = depth
            changes.setdefault("levels", tuple(level for level in run_design.levels if level < depth) or run_design.levels)
        depth = changes.get("trap_depth", run_design.trap_depth)
        reason = f", as that of {site.name}" if site.trap_depths else ", as in the run that the networks learnt from"
        notes.append(f"the trap stands at {depth:g} m{reason} (--trap-depth chooses another)")
    speeds = tuple(config.w) or found_speeds(config.run)
    place = run_design.site if config.site is None else config.site
    design = dataclasses.replace(run_design, **changes, speeds=speeds, site=place, positions=1)
    design.validate()
    return design, notes


def _frame(site: Site, spacing_km: float) -> Frame:
    return Frame.around((site.x, site.y), HALF_KM, spacing_km)


@dataclass(frozen=True, eq=False)
class MapSeries:
    """Satellite maps on a lattice.

    Attributes
    ----------
    times : (time,) datetime64[s]
    maps : dict of (time, y, x) float32
        ``ssh`` (m), and ``temp`` (degrees Celsius) where files of it were given; NaN where unknown.
    sea : (y, x) bool
        Where SSH is usually known.
    ssh_variable : str
        The files' own: "adt" or "sla".
    source : str
        What the maps are of.
    notes : list of str
        Lines for the user.
    """

    times: np.ndarray
    maps: dict[str, np.ndarray]
    sea: np.ndarray
    ssh_variable: str
    source: str
    notes: list[str]


def read_series(ssh, sst, lattice: Lattice) -> MapSeries:
    """Maps every :data:`EVERY_DAYS`; days without a map of each given variable within :data:`TOLERANCE_DAYS` are left out.

    Raises
    ------
    InputError
        A file cannot be used, or too little of the lattice is known.
    """
    frame = lattice.frame
    heights = around(open_ssh(ssh), frame.center, HALF_KM)
    sources, ssh_variable = {"ssh": heights["ssh"]}, str(heights["ssh"].attrs["source_variable"])
    notes = [*time_notes(heights, "SSH"), *sla_notes(ssh_variable)]
    if sst:
        dataset = around(open_sst(sst), frame.center, HALF_KM)
        sources["temp"] = dataset["sst"]
        notes += time_notes(dataset, "SST")
    stamps = {name: dataset["time"].values.astype("datetime64[s]") for name, dataset in sources.items()}
    first, last = max(instants[0] for instants in stamps.values()), min(instants[-1] for instants in stamps.values())
    if first > last:
        raise InputError("SSH and SST do not overlap in time; give files of the same dates")
    days = first + timedelta_days(EVERY_DAYS) * np.arange(int((last - first) / DAY / EVERY_DAYS + 1e-9) + 1)
    near = {name: nearest(instants, days) for name, instants in stamps.items()}
    good = np.all([np.abs(stamps[name][near[name]] - days) <= TOLERANCE_DAYS * DAY for name in stamps], axis=0)
    out: dict[str, np.ndarray] = {}
    for name, source in sources.items():
        used, back = np.unique(near[name][good], return_inverse=True)
        with Progress(f"regridding {name}", "map") as bar:
            maps = on_frame(source[used], frame, progress=bar.update).values
        notes += look_at_maps(name, stamps[name][used], maps)
        out[name] = maps[back]
    usual = np.isfinite(out["ssh"]).mean(axis=0) > 0.5
    if usual.mean() < LEAST_KNOWN:
        raise InputError(
            f"SSH: only {100 * usual.mean():.0f} % of the {2 * HALF_KM:.0f} km around the trap is known; give gap-free (L4) "
            "maps, or a site farther from land"
        )
    enough, more = _enough_known(days[good], out, usual)
    maps_of_days = {name: values[enough] for name, values in out.items()}
    return MapSeries(days[good][enough], maps_of_days, usual, ssh_variable, source_of(heights), notes + more)


def _enough_known(times: np.ndarray, series: dict[str, np.ndarray], sea: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """(time,) bool: days on which all variables are known on half of the sea (y, x) or more; and notes on what is filled.

    Raises
    ------
    InputError
        No day is left.
    """
    shares = {name: known_shares(np.where(sea, values, np.nan)) / sea.mean() for name, values in series.items()}
    enough = np.all([share >= LEAST_KNOWN for share in shares.values()], axis=0)
    notes = []
    for name, share in shares.items():
        if (lost := share < LEAST_KNOWN).any():
            first = times[lost][0]
            notes.append(
                f"{TITLES[name]}: {np.count_nonzero(lost)} of {lost.size} maps know less than half of the sea around the trap "
                f"(first {first:.10}); the maps before and after stand for them"
            )
        if enough.any() and (unknown := 1 - float(share[enough].mean())) > 0:
            notes.append(
                f"{TITLES[name]}: {100 * unknown:.2g} % of the sea around the trap is unknown: nearest values replace it"
            )
    if not enough.any():
        raise InputError(f"no day has maps that know half of the sea around the trap; {'; '.join(notes)}")
    return enough, notes


def possible_ends(maps: Maps, options: Design, start, end, every: float) -> tuple[np.ndarray, int]:
    """Ends of collection periods whose particles see maps throughout their way, and how many dates were left out.

    Raises
    ------
    InputError
        There are none.
    OptionError
        A date or step is impossible.
    """
    if not every > 0:
        raise OptionError(f"--every {every:g}: must be greater than 0 days")
    lead = maps.times[-1] - instants_needed(maps.times[-1:] - _span(options), options, EVERY_DAYS)[0]
    limits = []
    for option, text, default in (("--start", start, maps.times[0] + lead), ("--end", end, maps.times[-1])):
        limits.append(default if text is None else parse_date(text, option))
    first, last = limits
    ends = first + np.round(np.arange(max(0, int((last - first) / DAY / every + 1e-9) + 1)) * every * 86400).astype(
        "timedelta64[s]"
    )
    possible = np.array([_is_possible(maps, end, options) for end in ends], bool)
    if not possible.any():
        raise InputError(
            f"no date has maps throughout the {lead / DAY:.0f} days of its particles' way: the maps are of {maps.times[0]:.10} "
            f"to {maps.times[-1]:.10}; give more files, other dates, or faster --w"
        )
    return ends[possible], int((~possible).sum())


def _span(options: Design) -> np.timedelta64:
    return timedelta_days(options.collection)


def _is_possible(maps: Maps, end: np.datetime64, options: Design) -> bool:
    try:
        for instant in instants_needed(np.array([end]) - _span(options), options, EVERY_DAYS):
            maps.instants(instant)
    except InputError:
        return False
    return True


def _source(model: VelocityModel, name: str, run: Path, maps_source: str) -> str:
    """The attribute ``source`` of a catchment file: which networks, of which ocean, and which maps they were given."""
    learnt = ocean_title(ocean_of(run))
    taught = f" that learnt from {'the ' if is_idealised(learnt) else ''}{learnt}" if learnt else ""
    n = len(model.networks)
    return f"particles in velocities of {n} network{'s' if n > 1 else ''}{taught}, {name}; maps: {maps_source}"


def _dataset(parts, site, w, ends, options, flag, outside, source, model) -> xr.Dataset:
    pdf, root = (np.concatenate([getattr(part, kind)[:, 0] for part in parts]) for kind in ("mean", "root"))
    spread, reached = (np.concatenate([getattr(part, kind)[:, 0] for part in parts]) for kind in ("spread", "reached"))
    dataset = catchment_dataset(
        site, w, ends, pdf, trap_depth=options.trap_depth, level=export_level(options.levels), collection_days=options.collection,
        spread=spread, outside=outside, flag=flag,
        source=source,
    )  # fmt: skip
    attrs = {**dataset["pdf"].attrs, "long_name": "(mean square root of the members' PDFs)^2, made to sum 1: least expected BL"}
    dataset["spread"].attrs["long_name"] = "mean Bhattacharyya loss of the members against their mean"
    dataset["expected_bl"] = ("time", model.known_residuals.expected_bl(spread), {"units": "1", "long_name": EXPECTED})
    dataset["pdf_root"] = (("time", "y", "x"), root, attrs)
    meaning = "share of the particles that came to the export depth within the box; others left it or the maps, or met land"
    dataset["reached"] = ("time", reached, {"units": "1", "long_name": meaning})
    return dataset.assign_attrs(networks=model.checksum, method="velocity")
