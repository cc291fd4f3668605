"""Catchments from satellite maps: SSH and SST on the trap's window, the networks' prediction, one CF file a sinking speed.

The simulation's SSH has its own zero, so that the mean of the satellite's over the window and all maps of the files is replaced
by the mean of the training data (paper section 4): one constant, whichever dates are predicted. Temperature is taken as it is.
Maps come at their own effective resolution, which is what the training fields were brought to, and are not smoothed again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from data.command import one_line, provenance, write_json
from data.errors import InputError, OptionError, cannot_write
from data.fingerprint import fingerprint_of_file
from data.frame import HALF_WINDOW_KM, WINDOW_SPACING_KM, Frame
from data.lock import FolderLock
from data.netcdf import write_dataset
from data.ocean_names import is_idealised, site_attribute
from data.progress import Progress
from data.satellite import around, on_frame, open_ssh, open_sst, time_notes
from data.sites import Site, parse_site
from data.sphere import EARTH_RADIUS_KM, east_north, lon_lat
from data.times import parse_date
from lagrangian import cluster
from lagrangian.binning import bin_centres
from lagrangian.config import speed_folder
from lagrangian.pdf import EXPORT_M, export_number
from learning.ensemble import Ensemble, torch_device
from learning.inputs import InputSpec
from learning.network import CENTRED

DAY = np.timedelta64(86400, "s")
#: A map further than this from the instant asked for does not count as it, days.
TOLERANCE_DAYS = 1.0
#: With --persist, the furthest that counts: the days that the inputs of a prediction span in the paper.
PERSIST_DAYS = 50.0
#: The mean SSH is that of at most so many maps, evenly spread over the files.
MEAN_MAPS = 200
#: Maps of less than this, days, give a mean of a season rather than of the years.
YEAR = 350.0
#: Least share of the window that a map must know; the rest (land, ice) is filled, see :func:`filled`.
LEAST_KNOWN = 0.5
#: Inputs, as networks see them, this many training standard deviations from the mean lie outside what was learnt from; a
#: prediction with more than this share of them is flagged (a normal distribution has 0.27 %).
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
#: Networks are told to be of another site where it is farther away than this, km.
SAME_SITE_KM = 100.0
#: Share of a catchment on land that is not worth a line.
LEAST_ON_LAND = 1e-3
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
    maps_source : str
        What the SSH files say they are of (their attribute ``source``).
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
    maps_source: str = "satellite maps"


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
    centred: bool = False,
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

    centred : bool
        Whether the networks take each window's own mean off (:func:`centring`), so that the mean SSH does not matter to them.

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
                f"{name} map of {stamps[name][used[worst]]}: only {100 * known[worst]:.0f} % of the {2 * HALF_WINDOW_KM:g} km "
                f"around {place.name} is known; give gap-free (L4) maps, or a site farther from land"
            )
        values[:, channel] = maps[back]
    missing = tuple(name for name, _ in spec.variables if name not in sources)
    mean_of = "--ssh-mean"
    if ssh_mean is None:
        ssh_mean, mean_of = _mean_height(heights["ssh"], frame)
        if (days := (stamps["ssh"][-1] - stamps["ssh"][0]) / DAY) < YEAR:
            what = (
                "which does not matter to these networks: they take each window's own mean off"
                if centred
                else "so that the season is taken off with it; give maps of whole years, or --ssh-mean"
            )
            notes.append(f"SSH: its mean, {ssh_mean:.3f} m, is of maps of {days:.0f} days, {what}")
    elif centred:
        notes.append("SSH: --ssh-mean changes nothing for these networks: they take each window's own mean off")
    unknown = 1 - np.isfinite(values[:, [name not in missing for name, _ in spec.variables]]).mean(axis=(0, 2, 3))
    for name, share in zip((name for name, _ in spec.variables if name not in missing), unknown, strict=True):
        if share > 0:
            filled = "the mean of the rest of the window" if centred and name in CENTRED else "the training mean"
            notes.append(f"{100 * share:.2g} % of the window has no {name} (land, ice): {filled} stands there")
    return SatelliteWindows(
        place, instants_asked, values, ends, instants.reshape(wanted.shape), distant, float(ssh_mean), mean_of, source, missing,
        tuple(notes), _source_of(heights),
    )  # fmt: skip


def _source_of(maps: xr.Dataset) -> str:
    """The attribute ``source`` of the first of the files that maps come from; a sentence of the toolkit where there is none."""
    with xr.open_dataset(maps.attrs["files"][0], decode_times=False) as file:
        return one_line(str(file.attrs.get("source", ""))) or "satellite maps"


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


def centring(ensemble: Ensemble) -> bool:
    """Whether the networks take each window's own mean of SSH and temperature off."""
    return ensemble.networks[0].architecture.kind == "residual"


def filled(values: np.ndarray, spec: InputSpec) -> np.ndarray:
    """Values (map, variable, y, x) as a centring network is to get them: unknown cells of what it centres get their map's mean.

    A network that takes off a window's mean would otherwise see the training mean less that of the window there: a front along
    every coast, which no ocean has. A map without any value is left as it is.
    """
    out = values.copy()
    for channel, (name, _) in enumerate(spec.variables):
        if name not in CENTRED:
            continue
        maps = out[:, channel]
        known = np.isfinite(maps)
        count = known.sum(axis=(1, 2))
        mean = np.where(known, maps, 0).sum(axis=(1, 2), dtype=np.float64) / np.maximum(count, 1)
        fill = np.where(count > 0, mean, np.nan).astype(np.float32)
        out[:, channel] = np.where(known, maps, fill[:, None, None])
    return out


def seen(ensemble: Ensemble, values: np.ndarray) -> np.ndarray:
    """Values (map, variable, y, x) in training standard deviations as the networks see them; NaN where unknown.

    Less the training mean, or of what networks centre less the map's own mean; then the standard deviation is that of the
    training data about their maps' means, where the networks' card tells it.
    """
    spec, normalisation = ensemble.spec, ensemble.normalisation
    out = values - normalisation.mean[:, None, None]
    std = normalisation.std.copy()
    for channel, (name, _) in enumerate(spec.variables):
        if centring(ensemble) and name in CENTRED:
            known = np.isfinite(out[:, channel])
            count = np.maximum(known.sum(axis=(1, 2)), 1)
            out[:, channel] -= (np.where(known, out[:, channel], 0).sum(axis=(1, 2)) / count)[:, None, None]
            if normalisation.anomaly_std is not None:
                std[channel] = normalisation.anomaly_std[channel]
    return out / std[:, None, None]


def predict_windows(
    ensemble: Ensemble, windows: SatelliteWindows, predict_batches: Callable | None = None, *, no_land_mass: bool = False
) -> xr.Dataset:
    """The catchment at the export level for each end of a collection period, as the CF file holds it.

    ``predict_batches`` does what :meth:`~learning.ensemble.Ensemble.predict_fields` does, elsewhere: it takes pairs
    (maps, instants) and yields (number in the list, (pdf, spread)) in any order; the fields are ``maps[instants]``.
    ``no_land_mass``: take away what lies on land, and bring the rest to sum 1.

    Returns
    -------
    Dataset
        ``pdf`` (time, y, x) sums to 1; ``mass_on_land`` (time), the share of it that was predicted on land; ``land`` (y, x);
        ``spread`` (time); ``outside`` (time), the share of the inputs, as the networks see them (:func:`seen`), beyond
        :data:`OUTSIDE_STD` training standard deviations; ``flag`` (time), bits of :data:`FLAGS`; ``time`` = mean arrival of the
        particles at that level (middle of the collection period less the ascent in still water).
    """
    spec, card = ensemble.spec, ensemble.card
    levels = np.asarray(card["levels"], float)
    export = export_number(levels)
    values = adjusted(windows, spec, ensemble.normalisation.mean)
    given = [channel for channel, (name, _) in enumerate(spec.variables) if name not in windows.missing]
    with np.errstate(invalid="ignore"):
        far = np.abs(seen(ensemble, values)) > OUTSIDE_STD
    known = np.isfinite(values[:, given]).sum(axis=(1, 2, 3))
    outside = (far[:, given].sum(axis=(1, 2, 3)) / np.maximum(known, 1))[windows.instants].mean(axis=1)
    unknown = ~np.isfinite(values[:, given]).all(axis=(1, 2, 3))[windows.instants].all(axis=1)
    if centring(ensemble):
        values = filled(values, spec)
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
    # an idealised ocean has no coast, wherever its maps claim to lie
    coast = not is_idealised(windows.maps_source)
    pdf, mass, land = _by_land(pdf, windows.site, no_land_mass, coast)
    dataset = catchment_dataset(
        windows.site, float(card["w"]), windows.ends, pdf,
        trap_depth=float(card.get("trap_depth_m") or TRAP_DEPTH_M), level=levels[export],
        collection_days=float(card.get("collection_days") or COLLECTION_DAYS), spread=spread, outside=outside, flag=flag,
        source=_source(ensemble, windows), comment="; ".join(notes) or "none",
    )  # fmt: skip
    kept = "taken away, and the rest brought to sum 1" if no_land_mass else "part of pdf"
    dataset["mass_on_land"] = "time", mass, {"units": "1", "long_name": "share of the probability that was predicted on land",
                                             "comment": kept}  # fmt: skip
    dataset["land"] = ("y", "x"), land.astype(np.int8), {"units": "1", "standard_name": "land_binary_mask",
                                                         "grid_mapping": PROJECTION, "coordinates": "lon lat"}  # fmt: skip
    return dataset.assign_attrs(
        maps_source=windows.maps_source, site=site_attribute(windows.maps_source, windows.site.name),
        ssh_source_variable=windows.ssh_source, ssh_mean_removed=windows.ssh_mean, ssh_mean_of=windows.ssh_mean_of
    )


def _source(ensemble: Ensemble, windows: SatelliteWindows) -> str:
    """The attribute ``source`` of a catchment file: which networks, of which ocean, and which maps they were given."""
    learnt = ensemble.card.get("ocean")
    taught = f" that learnt from the {learnt}" if is_idealised(learnt) else f" that learnt from {learnt}" if learnt else ""
    return f"{len(ensemble.networks)} networks{taught}, inputs {ensemble.spec.name}; maps: {windows.maps_source}"


def _by_land(pdf: np.ndarray, site: Site, remove: bool, coast: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """PDFs (time, y, x), the share of each on land (time,), and the land (y, x); with ``remove`` the PDFs without it.

    Without ``coast`` there is no land. A PDF that lies on land alone becomes NaN.
    """
    from data.coastline import on_land

    places = _places(site)
    land = on_land(places["lon"][1], places["lat"][1]) & coast
    mass = pdf[:, land].sum(axis=1, dtype=np.float64).astype(np.float32)
    if remove and land.any():
        pdf = np.where(land, 0, pdf)
        left = pdf.sum(axis=(1, 2), keepdims=True, dtype=np.float64)
        pdf = np.where(left > 1e-6, pdf / np.maximum(left, 1e-6), np.nan).astype(np.float32)
    return pdf, mass, land


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
    level: float = EXPORT_M,
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
                        f"share of the inputs, as the networks see them, more than {OUTSIDE_STD:g} standard deviations from the "
                        "mean of the training data"}),
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
    windows, spec, centred = None, None, None
    for folder in folders:
        ensemble = Ensemble.load(folder).to(torch_device(config.device))
        w = float(ensemble.card["w"])
        if windows is None or ensemble.spec != spec or centring(ensemble) != centred:
            spec, centred = ensemble.spec, centring(ensemble)
            site = ensemble.card.get("site") or "pap-so" if config.site is None else config.site
            windows = satellite_windows(
                config.ssh, config.sst, spec, site,
                start=config.start, end=config.end, every=config.every, persist=config.persist, ssh_mean=config.ssh_mean,
                centred=centred,
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
        dataset = predict_windows(ensemble, windows, elsewhere, no_land_mass=config.no_land_mass)
        told = [*_of_another_site(ensemble, windows.site), *_offset_notes(ensemble, windows)]
        for note in [*told, *_land_notes(dataset, w, config.no_land_mass)]:
            print(f"note: {note}", flush=True)
            dataset.attrs["comment"] = "; ".join(filter(None, (dataset.attrs["comment"].removesuffix("none"), note)))
        flagged = int(((dataset["flag"].values & 1) > 0).sum())
        if flagged:
            print(
                f"note: {flagged} of {windows.ends.size} predictions at {w:g} m/d have inputs outside the training range "
                "(evaluation.correlation --exclude-flags outside leaves them out)",
                flush=True,
            )
        dataset.attrs["networks"] = " ".join(
            fingerprint_of_file(one) for one in sorted(folder.glob("member-*[0-9].safetensors"))
        )
        write_dataset(path, dataset)
        write_json(path.with_suffix(".json"), {**provenance(config), "models": str(folder)})
        first, last = (str(time)[:10] for time in dataset["time"].values[[0, -1]])
        print(f"{path}: {windows.ends.size} predictions, arriving {first} to {last}", flush=True)


def _of_another_site(ensemble: Ensemble, site: Site) -> list[str]:
    """A line where the networks were trained elsewhere."""
    trained = ensemble.card.get("site")
    try:
        home = parse_site(str(trained))
    except OptionError:
        return []
    away = float(np.hypot(*east_north(site.x, site.y, home.x, home.y)))
    if not away > SAME_SITE_KM:
        return []
    return [
        f"the networks were trained at {home.name} ({home.x:g}, {home.y:g}), {away:.0f} km from {site.name}: what they learnt of "
        "its currents may not hold here"
    ]


def _offset_notes(ensemble: Ensemble, windows: SatelliteWindows) -> list[str]:
    """A line where temperature stands far from the training data's as a whole, which networks that centre it do not see."""
    notes = []
    for channel, (name, _) in enumerate(ensemble.spec.variables):
        if name == "temp" and name not in windows.missing and centring(ensemble):
            offset = float(np.nanmean(windows.values[:, channel], dtype=np.float64)) - ensemble.normalisation.mean[channel]
            if abs(offset) > OUTSIDE_STD * ensemble.normalisation.std[channel]:
                notes.append(
                    f"SST is {offset:+.1f} degrees C from that of the training data as a whole; the networks take each window's "
                    "own mean off, and give the same"
                )
    return notes


def _land_notes(dataset: xr.Dataset, w: float, removed: bool) -> list[str]:
    """A line on the probability that was predicted on land."""
    mass = dataset["mass_on_land"].values
    if not mass.max(initial=0.0) > LEAST_ON_LAND:
        return []
    fate = "taken away, the rest brought to sum 1" if removed else "--no-land-mass takes it away"
    return [
        f"at {w:g} m/d {100 * mass.mean():.2g} % of the predicted mass lies on land (at most {100 * mass.max():.2g} %; "
        f"mass_on_land of the file): {fate}"
    ]


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
        attrs={"title": "Satellite maps on the window of a trap", "Conventions": "CF-1.8", "source": windows.maps_source,
               "trap_longitude": windows.site.x, "trap_latitude": windows.site.y,
               "history": f"learning.predict, {np.datetime64('now')} UTC"},
    )  # fmt: skip
    write_dataset(path, dataset)
