"""Catchments from satellite maps: SSH and SST on the trap's window, the networks' prediction, one CF file a sinking speed.

The simulation's SSH has its own zero, so that the mean of the satellite's over the window and all maps of the files is replaced
by the mean of the training data (paper section 4): one constant, whichever dates are predicted. Temperature is taken as it is.
Maps come at their own effective resolution, which is what the training fields were brought to, and are not smoothed again.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from data.command import provenance, write_json
from data.errors import InputError, OptionError, cannot_write
from data.frame import WINDOW_POINTS, WINDOW_SPACING_KM, Frame
from data.lock import FolderLock
from data.netcdf import write_dataset
from data.progress import Progress
from data.satellite import around, on_frame, open_ssh, open_sst, time_notes
from data.sites import Site, parse_site
from data.sphere import EARTH_RADIUS_KM, lon_lat
from data.times import parse_date
from lagrangian import cluster
from lagrangian.binning import bin_centres
from lagrangian.config import speed_folder
from learning.ensemble import Ensemble, torch_device
from learning.inputs import InputSpec

HALF_WINDOW_KM = WINDOW_POINTS * WINDOW_SPACING_KM / 2
DAY = np.timedelta64(86400, "s")
#: A map further than this from the instant asked for does not count as it, days.
TOLERANCE_DAYS = 1.0
#: With --persist, the furthest that counts: the days that the inputs of a prediction span in the paper.
PERSIST_DAYS = 50.0
#: The mean SSH is that of at most so many maps, evenly spread over the files.
MEAN_MAPS = 200
#: Maps of less than this, days, give a mean of a season rather than of the years.
YEAR = 350.0
#: Least share of the window that a map must know; the rest (land, ice) is given the training mean.
LEAST_KNOWN = 0.5
#: Inputs this many training standard deviations from the training mean lie outside what was learnt from; a prediction with more
#: than this share of them is flagged (a normal distribution has 0.27 %).
OUTSIDE_STD, OUTSIDE_SHARE = 3.0, 0.05
#: Bits of the variable ``flag``.
FLAGS = {
    1: "inputs_outside_the_training_range",
    2: "map_of_another_date_used",
    4: "no_sst_given_training_mean_used",
    8: "part_of_the_window_unknown",
}
#: Release and depth of the paper, for cards that do not tell (method.md section 2).
COLLECTION_DAYS, TRAP_DEPTH_M = 10.0, 3000.0
BATCH = 32
PROJECTION = "azimuthal_equidistant"


@dataclass(frozen=True, eq=False)
class SatelliteWindows:
    """Maps on the 100 x 100 window of a trap, and which of them each prediction uses.

    Attributes
    ----------
    site : Site
    times : (map,) datetime64[s]
        Instants of the maps.
    values : (map, variable, y, x) float32
        SSH in m (its zero still the satellite's), temperature in degrees Celsius; NaN where unknown. Variables as in the
        networks' :class:`~learning.inputs.InputSpec`; a variable not given is NaN everywhere.
    ends : (prediction,) datetime64[s]
        Ends of the collection periods.
    instants : (prediction, lag) int
        Number of the map of each lag.
    distant : (prediction,) bool
        Whether a map of another date was used.
    ssh_mean, ssh_mean_of, ssh_source
        Mean SSH over the window, m, which :func:`adjusted` takes off; what it is the mean of, in words; the files' own variable.
    missing : tuple of str
        Variables not given.
    notes : tuple of str
        Lines for the user: gaps, dates left out.
    """

    site: Site
    times: np.ndarray
    values: np.ndarray
    ends: np.ndarray
    instants: np.ndarray
    distant: np.ndarray
    ssh_mean: float
    ssh_mean_of: str
    ssh_source: str
    missing: tuple[str, ...]
    notes: tuple[str, ...]


def satellite_windows(
    ssh: tuple[str, ...],
    sst: tuple[str, ...],
    spec: InputSpec,
    site: str,
    *,
    start: str | None = None,
    end: str | None = None,
    every: float = 10.0,
    persist: bool = False,
    ssh_mean: float | None = None,
) -> SatelliteWindows:
    """Read and regrid what predictions from satellite maps need, each map once.

    Parameters
    ----------
    ssh, sst : files or globs
        DUACS-like and GHRSST-like maps; ``sst`` may be empty: the training mean stands for it.
    spec : InputSpec
        Of the networks; only SSH and surface temperature can be given by satellites.
    site : str
        Of the trap, as ``--site``.
    start, end : ISO dates, optional
        First and last end of a collection period (default: all that the maps allow).
    every : float
        Days between predictions.
    persist : bool
        Use the nearest map in time where that of a lag is missing, up to :data:`PERSIST_DAYS` away.
    ssh_mean : float, optional
        Mean SSH over the window, m (default: of all maps in the files, or of :data:`MEAN_MAPS` of them, evenly spread).

    Raises
    ------
    OptionError
        The networks take other inputs, or an option is impossible.
    InputError
        A file cannot be used, the maps miss the trap's window, or no prediction can be made of them.
    """
    others = [name for name, _ in spec.variables if name not in ("ssh", "temp")]
    if others:
        raise OptionError(
            f"networks of {spec.name} take {', '.join(sorted(set(others)))} as well, which no satellite sees; use sst-ssh"
        )
    if not every > 0:
        raise OptionError(f"--every {every:g}: must be greater than 0 days")
    place = parse_site(site)
    frame = Frame.around((place.x, place.y), HALF_WINDOW_KM, WINDOW_SPACING_KM)
    heights = around(open_ssh(ssh), frame.center, HALF_WINDOW_KM)
    sources, notes = {"ssh": heights["ssh"]}, time_notes(heights, "SSH")
    if sst:
        temperatures = around(open_sst(sst), frame.center, HALF_WINDOW_KM)
        sources["temp"] = temperatures["sst"]
        notes += time_notes(temperatures, "SST")
    source = str(heights["ssh"].attrs["source_variable"])
    if source == "sla":
        notes.append("SSH is sla, without mean dynamic topography: standing currents are missing from it; adt is wanted")
    stamps = {name: one["time"].values.astype("datetime64[s]") for name, one in sources.items()}
    _check_common(stamps)
    ends = _ends(stamps, spec, start, end, every, persist)
    wanted = ends[:, None] - np.round(np.array(spec.lags_days) * 86400).astype("timedelta64[s]")
    near = {name: _nearest(one, wanted) for name, one in stamps.items()}
    distance = {name: abs(stamps[name][near[name]] - wanted) for name in near}
    furthest = np.max([one.max(axis=1) for one in distance.values()], axis=0)
    limit = PERSIST_DAYS if persist else TOLERANCE_DAYS
    far = furthest > limit * DAY
    other = "" if persist else f" (--persist takes the nearest within {PERSIST_DAYS:g} days)"
    if far.all():
        raise InputError(
            f"no date between {ends[0]} and {ends[-1]} has maps {', '.join(f'{lag:g}' for lag in spec.lags_days)} days before "
            f"it, or within {limit:g} days of that: SSH is of {_span(stamps['ssh'])}"
            + (f", SST of {_span(stamps['temp'])}" if sst else "")
            + f"; give more files, or other dates{other}"
        )
    if far.any():
        notes.append(f"{int(far.sum())} of {far.size} dates left out: no map within {limit:g} days of a lag{other}")
    ends, wanted, furthest = ends[~far], wanted[~far], furthest[~far]
    distant = furthest > TOLERANCE_DAYS * DAY
    if distant.any():
        notes.append(
            f"{int(distant.sum())} of {distant.size} dates use maps of other dates, up to {furthest.max() / DAY:.3g} days away; "
            "they are flagged"
        )
    instants_asked, instants = np.unique(wanted, return_inverse=True)
    values = np.full((instants_asked.size, len(spec.variables), *frame.shape), np.nan, np.float32)
    for channel, (name, _) in enumerate(spec.variables):
        if name not in sources:
            continue
        index = _nearest(stamps[name], instants_asked)
        used, back = np.unique(index, return_inverse=True)
        maps = np.empty((used.size, *frame.shape), np.float32)
        with Progress(f"regridding {name}", "map") as bar:
            for number, one in enumerate(used):
                maps[number] = on_frame(sources[name][[one]], frame, method="bicubic").values[0]
                bar.update(number + 1, used.size)
        known = np.isfinite(maps).mean(axis=(1, 2))
        if (known < LEAST_KNOWN).any():
            worst = int(np.argmin(known))
            raise InputError(
                f"{name} map of {stamps[name][used[worst]]}: only {100 * known[worst]:.0f} % of the 800 km around {place.name} "
                "is known; give gap-free (L4) maps, or a site farther from land"
            )
        values[:, channel] = maps[back]
    missing = tuple(name for name, _ in spec.variables if name not in sources)
    mean_of = "--ssh-mean"
    if ssh_mean is None:
        ssh_mean, mean_of = _mean_height(heights["ssh"], frame)
        if (days := (stamps["ssh"][-1] - stamps["ssh"][0]) / DAY) < YEAR:
            notes.append(
                f"SSH: its mean, {ssh_mean:.3f} m, is of maps of {days:.0f} days, so that the season is taken off with it; "
                "give maps of whole years, or --ssh-mean"
            )
    return SatelliteWindows(
        place, instants_asked, values, ends, instants.reshape(wanted.shape), distant, float(ssh_mean), mean_of, source, missing,
        tuple(notes),
    )  # fmt: skip


def _mean_height(variable: xr.DataArray, frame: Frame) -> tuple[float, str]:
    """Mean SSH (m) over the window and the maps, at most :data:`MEAN_MAPS` of them, and what it is of."""
    n = variable.sizes["time"]
    chosen = np.unique(np.linspace(0, n - 1, min(n, MEAN_MAPS)).round().astype(int))
    total, known = 0.0, 0
    with Progress("mean SSH", "map") as bar:
        for done, one in enumerate(chosen, 1):
            values = on_frame(variable[[one]], frame, method="bicubic").values
            total += np.nansum(values, dtype=np.float64)
            known += int(np.isfinite(values).sum())
            bar.update(done, chosen.size)
    first, last = variable["time"].values[[0, -1]]
    return total / max(known, 1), f"{chosen.size} of the {n} maps from {first:.10} to {last:.10}"


def _span(times: np.ndarray) -> str:
    return f"{times[0]:.10} to {times[-1]:.10}"


def _check_common(stamps: dict[str, np.ndarray]) -> None:
    if len(stamps) == 2 and (stamps["ssh"][0] > stamps["temp"][-1] or stamps["temp"][0] > stamps["ssh"][-1]):
        spans = {name: f"{times[0]} to {times[-1]}" for name, times in stamps.items()}
        raise InputError(f"SSH ({spans['ssh']}) and SST ({spans['temp']}) do not overlap in time; give files of the same dates")


def _ends(stamps, spec: InputSpec, start, end, every: float, persist: bool) -> np.ndarray:
    """Ends of collection periods: from ``start`` by ``every`` days to ``end``; by default all within the maps."""
    first, last = max(times[0] for times in stamps.values()), min(times[-1] for times in stamps.values())
    lead = np.timedelta64(0 if persist else round(86400 * max(spec.lags_days)), "s")
    limits = []
    for option, text, default in (("--start", start, first + lead), ("--end", end, last)):
        limits.append(default if text is None else parse_date(text, option))
    low, high = limits
    if high < low:
        if start is None and end is None:
            raise InputError(
                f"the maps ({first} to {last}) do not span the {max(spec.lags_days):g} days of the networks' inputs; give more "
                "files, or --persist to use the nearest map in time"
            )
        raise OptionError(f"--end {high} is before the first possible date, {low}")
    return low + np.round(np.arange(int((high - low) / (every * DAY) + 1e-9) + 1) * every * 86400).astype("timedelta64[s]")


def _nearest(times: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Number of the one of ``times`` (ascending) nearest to each instant."""
    after = np.clip(np.searchsorted(times, wanted), 0, times.size - 1)
    before = np.maximum(after - 1, 0)
    return np.where(abs(times[after] - wanted) < abs(times[before] - wanted), after, before)


def adjusted(windows: SatelliteWindows, spec: InputSpec, training_mean: np.ndarray) -> np.ndarray:
    """Values (map, variable, y, x) as the networks know them: SSH with the training mean; what is not given is that mean."""
    out = windows.values.copy()
    for channel, (name, _) in enumerate(spec.variables):
        if name in windows.missing:
            out[:, channel] = training_mean[channel]
        elif name == "ssh":
            out[:, channel] += np.float32(training_mean[channel] - windows.ssh_mean)
    return out


def predict_windows(ensemble: Ensemble, windows: SatelliteWindows, predict_batches: Callable | None = None) -> xr.Dataset:
    """The catchment at the shallowest level for each end of a collection period, as the CF file holds it.

    ``predict_batches`` does what :meth:`~learning.ensemble.Ensemble.predict_fields` does, elsewhere: it takes pairs
    (maps, instants) and yields (number in the list, (pdf, spread)) in any order; the fields are ``maps[instants]``.

    Returns
    -------
    Dataset
        ``pdf`` (time, y, x) sums to 1; ``spread`` (time); ``outside`` (time), the share of the inputs beyond
        :data:`OUTSIDE_STD` training standard deviations; ``flag`` (time), bits of :data:`FLAGS`; ``time`` = mean arrival of the
        particles at that level (middle of the collection period less the ascent in still water).
    """
    spec, card = ensemble.spec, ensemble.card
    levels = np.asarray(card["levels"], float)
    export = int(np.argmin(levels))
    values = adjusted(windows, spec, ensemble.normalisation.mean)
    given = [channel for channel, (name, _) in enumerate(spec.variables) if name not in windows.missing]
    scale = ensemble.normalisation.std[:, None, None]
    with np.errstate(invalid="ignore"):
        far = np.abs(values - ensemble.normalisation.mean[:, None, None]) > OUTSIDE_STD * scale
    outside = far[:, given].mean(axis=(1, 2, 3))[windows.instants].mean(axis=1)
    unknown = ~np.isfinite(values[:, given]).all(axis=(1, 2, 3))[windows.instants].all(axis=1)
    n = windows.ends.size
    pdf = np.empty((n, *(bin_centres().size,) * 2), np.float32)
    spread = np.empty(n, np.float32)
    with Progress(f"predicting at {card['w']:g} m/d", "date") as bar:
        batches = [slice(first, min(first + BATCH, n)) for first in range(0, n, BATCH)]
        fields = (_cut(values, windows.instants[rows]) for rows in batches)
        done = 0
        for number, (some, deviation) in (predict_batches or _predict_here(ensemble))(fields):
            rows = batches[number]
            pdf[rows], spread[rows] = some[:, export], deviation[:, export]
            done += some.shape[0]
            bar.update(done, n)
    flag = (
        1 * (outside > OUTSIDE_SHARE) + 2 * windows.distant + 4 * (np.full(n, "temp" in windows.missing)) + 8 * unknown
    ).astype(np.int8)
    notes = list(windows.notes)
    if windows.missing:
        notes.append("no SST was given: the networks' training mean stands for it")
    dataset = catchment_dataset(
        windows.site, float(card["w"]), windows.ends, pdf,
        trap_depth=float(card.get("trap_depth_m") or TRAP_DEPTH_M), level=levels[export],
        collection_days=float(card.get("collection_days") or COLLECTION_DAYS), spread=spread, outside=outside, flag=flag,
        source=f"{len(ensemble.networks)} networks, inputs {spec.name}, satellite maps", comment="; ".join(notes) or "none",
    )  # fmt: skip
    return dataset.assign_attrs(
        ssh_source_variable=windows.ssh_source, ssh_mean_removed=windows.ssh_mean, ssh_mean_of=windows.ssh_mean_of
    )


def _cut(values: np.ndarray, instants: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Only the maps that ``instants`` name, and their numbers among these."""
    used, numbers = np.unique(instants, return_inverse=True)
    return values[used], numbers.reshape(instants.shape)


def _predict_here(ensemble: Ensemble) -> Callable:
    return lambda fields: ((i, ensemble.predict_fields(maps[instants])) for i, (maps, instants) in enumerate(fields))


def _predict_by_workers(client, folder: Path, device: str, threads: int) -> Callable:
    def predict(fields):
        tasks = [(number, *one) for number, one in enumerate(fields)]
        shared = (folder, device, threads, cluster.command_word())
        for task, result in cluster.run_tasks(client, predict_batch, tasks, shared):
            yield task[0], result

    return predict


def predict_batch(
    task: tuple[int, np.ndarray, np.ndarray], folder: Path, device: str, threads: int, word: str
) -> tuple[np.ndarray, ...]:
    """Predict from fields in a worker; a task of :func:`lagrangian.cluster.run_tasks`."""
    if threads:
        torch.set_num_threads(threads)
    return _loaded(word, folder, device).predict_fields(task[1][task[2]])


@functools.lru_cache(maxsize=1)
def _loaded(word: str, folder: Path, device: str) -> Ensemble:
    return Ensemble.load(folder).to(torch_device(device))


def arrival(ends: np.ndarray, w: float, trap_depth: float, level: float, collection_days: float) -> np.ndarray:
    """Mean time at which the particles of collection periods stood at ``level`` (m), sinking at ``w`` (m/d) in still water."""
    back = collection_days / 2 + (trap_depth - level) / w
    return ends - np.timedelta64(round(back * 86400), "s")


def _places(site: Site) -> dict:
    """Coordinates x, y (km from the trap) and lon, lat (degrees) of the cells of the window."""
    axis = bin_centres()
    lon, lat = lon_lat(*np.meshgrid(axis, axis), site.x, site.y)
    return {
        "y": ("y", axis, {"units": "km", "standard_name": "projection_y_coordinate", "axis": "Y",
              "long_name": "distance north of the trap"}),
        "x": ("x", axis, {"units": "km", "standard_name": "projection_x_coordinate", "axis": "X",
              "long_name": "distance east of the trap"}),
        "lon": (("y", "x"), lon, {"units": "degrees_east", "standard_name": "longitude"}),
        "lat": (("y", "x"), lat, {"units": "degrees_north", "standard_name": "latitude"}),
    }  # fmt: skip


def _projection(site: Site) -> tuple:
    """The variable that a CF grid mapping names, of x and y about the trap."""
    return (), np.int32(0), {
        "grid_mapping_name": PROJECTION, "longitude_of_projection_origin": site.x, "latitude_of_projection_origin": site.y,
        "false_easting": 0.0, "false_northing": 0.0, "earth_radius": 1000 * EARTH_RADIUS_KM,
    }  # fmt: skip


def catchment_dataset(
    site: Site,
    w: float,
    ends: np.ndarray,
    pdf: np.ndarray,
    *,
    trap_depth: float = TRAP_DEPTH_M,
    level: float = 200.0,
    collection_days: float = COLLECTION_DAYS,
    spread: np.ndarray | None = None,
    outside: np.ndarray | None = None,
    flag: np.ndarray | None = None,
    source: str = "",
    comment: str = "none",
) -> xr.Dataset:
    """Catchments (time, y, x) of collection periods that end at ``ends``, as the CF file of the contract holds them."""
    n = ends.size
    spread, outside = (np.zeros(n, np.float32) if one is None else one for one in (spread, outside))
    flag = np.zeros(n, np.int8) if flag is None else flag
    time = arrival(ends, w, trap_depth, level, collection_days)
    half = np.timedelta64(round(collection_days * 43200), "s")
    maps = ("time", "y", "x")
    flags = {
        "long_name": "what to know of a prediction", "flag_masks": np.array(list(FLAGS), np.int8),
        "flag_meanings": " ".join(FLAGS.values()),
    }  # fmt: skip
    return xr.Dataset(
        {
            "pdf": (maps, pdf, {"units": "1", "grid_mapping": PROJECTION, "coordinates": "lon lat depth",
                    "long_name": "probability that a particle caught by the trap came from the cell at the export depth"}),
            "spread": ("time", spread, {"units": "1", "long_name":
                       "mean Bhattacharyya loss of the ensemble's members against their median"}),
            "outside": ("time", outside.astype(np.float32), {"units": "1", "long_name":
                        f"share of the inputs more than {OUTSIDE_STD:g} standard deviations from the mean of the training data"}),
            "flag": ("time", flag, flags),
            "window_end": ("time", ends.astype("datetime64[ns]"),
                           {"long_name": "end of the collection period, and date of the latest maps"}),
            "time_bnds": (("time", "bnds"), np.stack([time - half, time + half], axis=1).astype("datetime64[ns]")),
            PROJECTION: _projection(site),
        },
        coords={
            "time": ("time", time.astype("datetime64[ns]"), {"standard_name": "time", "axis": "T", "bounds": "time_bnds",
                     "long_name": "mean arrival of the particles at the export depth"}),
            **_places(site),
            "depth": ((), float(level), {"units": "m", "positive": "down", "standard_name": "depth",
                      "long_name": "export depth"}),
        },
        attrs={
            "title": "Predicted catchments of a sediment trap", "Conventions": "CF-1.8",
            "source": source,
            "references": "Picard et al. (2025), Biogeosciences, section 4",
            "sinking_speed_m_per_day": float(w), "trap_longitude": site.x, "trap_latitude": site.y,
            "trap_depth_m": trap_depth, "site": site.name, "comment": comment,
            "history": f"learning.predict, {np.datetime64('now')} UTC",
        },
    )  # fmt: skip


def predict_satellite(config, folders, client=None) -> None:
    """Write ``catchment_w080.nc`` for each folder of models, and ``satellite_inputs.nc``, the regridded maps, beside them."""
    out = config.out or config.run
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(out, error) from None
    with FolderLock(out, "predict"):
        _predict_folders(config, folders, out, client)


def _predict_folders(config, folders, out: Path, client) -> None:
    speeds: dict[float, Path] = {}
    for folder in folders:
        w = float(Ensemble.load(folder).card["w"])
        if w in speeds:
            raise OptionError(f"--models {speeds[w]}, {folder}: both are of {w:g} m/d and would write one file; give one a speed")
        speeds[w] = folder
    windows, spec = None, None
    for folder in folders:
        ensemble = Ensemble.load(folder).to(torch_device(config.device))
        w = float(ensemble.card["w"])
        if windows is None or ensemble.spec != spec:
            spec = ensemble.spec
            site = config.site or ensemble.card.get("site") or "pap-so"
            windows = satellite_windows(
                config.ssh, config.sst, spec, site,
                start=config.start, end=config.end, every=config.every, persist=config.persist, ssh_mean=config.ssh_mean,
            )  # fmt: skip
            for note in windows.notes:
                print(f"note: {note}", flush=True)
            if windows.missing:
                print("note: no --sst: the networks' training mean stands for it", flush=True)
            write_inputs(out / "satellite_inputs.nc", windows, spec)
        path = out / f"catchment_{speed_folder(w)}.nc"
        elsewhere = None
        if client is not None:
            elsewhere = _predict_by_workers(client, folder.resolve(), config.device, config.threads_each(config.threads))
        dataset = predict_windows(ensemble, windows, elsewhere)
        flagged = int(((dataset["flag"].values & 1) > 0).sum())
        if flagged:
            print(
                f"note: {flagged} of {windows.ends.size} predictions at {w:g} m/d have inputs outside the training range",
                flush=True,
            )
        dataset.attrs["networks"] = " ".join(
            hashlib.sha256(one.read_bytes()).hexdigest()[:16] for one in sorted(folder.glob("member-*[0-9].safetensors"))
        )
        write_dataset(path, dataset)
        write_json(path.with_suffix(".json"), {**provenance(config), "models": str(folder)})
        first, last = (str(time)[:10] for time in dataset["time"].values[[0, -1]])
        print(f"{path}: {windows.ends.size} predictions, arriving {first} to {last}", flush=True)


def write_inputs(path: Path, windows: SatelliteWindows, spec: InputSpec) -> None:
    """The regridded maps (time, y, x), for Figure A1 and for a look."""
    above = "geoid" if windows.ssh_source == "adt" else "mean_sea_level"
    named = {
        "ssh": {"units": "m", "standard_name": f"sea_surface_height_above_{above}", "long_name": "sea surface height"},
        "temp": {"units": "degree_Celsius", "standard_name": "sea_surface_temperature", "long_name": "sea surface temperature"},
    }
    on_map = {"grid_mapping": PROJECTION, "coordinates": "lon lat"}
    given = {channel: name for channel, (name, _) in enumerate(spec.variables) if name not in windows.missing}
    dataset = xr.Dataset(
        {name: (("time", "y", "x"), windows.values[:, channel], named[name] | on_map) for channel, name in given.items()}
        | {PROJECTION: _projection(windows.site)},
        coords={"time": ("time", windows.times.astype("datetime64[ns]"), {"standard_name": "time", "axis": "T"}),
                **_places(windows.site)},
        attrs={"title": "Satellite maps on the window of a trap", "Conventions": "CF-1.8",
               "trap_longitude": windows.site.x, "trap_latitude": windows.site.y,
               "history": f"learning.predict, {np.datetime64('now')} UTC"},
    )  # fmt: skip
    write_dataset(path, dataset)
