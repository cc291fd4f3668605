"""SSH and SST on the trap's window: which maps each prediction uses, and the mean that the simulation's SSH has instead.

The simulation's SSH has its own zero, so that the mean of the satellite's over the window and all maps of the files is replaced
by the mean of the training data (paper section 4): one constant, whichever dates are predicted. Temperature is taken as it is.
Maps come at their own effective resolution, which is what the training fields were brought to, and are not smoothed again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from data.errors import InputError, OptionError
from data.frame import HALF_WINDOW_KM, WINDOW_SPACING_KM, Frame
from data.netcdf import write_dataset
from data.progress import Progress
from data.satellite import around, on_frame, open_ssh, open_sst, time_notes
from data.sites import Site, parse_site
from data.terminal import clean
from data.times import DAY, nearest, parse_date, timedelta_days
from learning.catchment_file import PROJECTION, places, projection
from learning.inputs import InputSpec
from learning.map_checks import LEAST_KNOWN, known_shares, look_at_maps, sla_notes
from learning.network import CENTRED

#: A map further than this from the instant asked for does not count as it, days.
TOLERANCE_DAYS = 1.0
#: Largest distance in time of a map with --persist, days: the span of a prediction's inputs in the paper.
PERSIST_DAYS = 50.0
#: The mean SSH is that of at most so many maps, evenly spread over the files.
MEAN_MAPS = 200
#: Maps of less than this, days, give a mean of a season rather than of the years.
YEAR = 350.0


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
        DUACS-like and GHRSST-like maps; ``sst`` may be empty: the training mean replaces it.
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
        Whether the networks take each window's own mean off (:func:`learning.satellite.centring`): then the mean SSH does not
        matter to them.

    Raises
    ------
    OptionError
        The networks take other inputs, or an option is impossible.
    InputError
        A file cannot be used, the maps miss the trap's window, or no prediction can be made of them.
    """
    unseen = [name for name, _ in spec.variables if name not in ("ssh", "temp")]
    if unseen:
        raise OptionError(
            f"networks of {spec.name} take {', '.join(sorted(set(unseen)))} as well, which no satellite sees; use sst-ssh"
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
    notes += sla_notes(source)
    stamps = {name: dataset["time"].values.astype("datetime64[s]") for name, dataset in sources.items()}
    _check_common(stamps)
    ends = _ends(stamps, spec, start, end, every, persist)
    target = ends[:, None] - np.round(np.array(spec.lags_days) * 86400).astype("timedelta64[s]")
    near = {name: nearest(instants, target) for name, instants in stamps.items()}
    distance = {name: abs(stamps[name][near[name]] - target) for name in near}
    furthest = np.max([distances.max(axis=1) for distances in distance.values()], axis=0)
    limit = PERSIST_DAYS if persist else TOLERANCE_DAYS
    far = furthest > limit * DAY
    advice = "" if persist else f" (--persist takes the nearest within {PERSIST_DAYS:g} days)"
    if far.all():
        raise InputError(
            f"no date between {ends[0]} and {ends[-1]} has maps {', '.join(f'{lag:g}' for lag in spec.lags_days)} days before "
            f"it, or within {limit:g} days of that: SSH is of {_span(stamps['ssh'])}"
            + (f", SST of {_span(stamps['temp'])}" if sst else "")
            + f"; give more files, or other dates{advice}"
        )
    if far.any():
        notes.append(f"{int(far.sum())} of {far.size} dates left out: no map within {limit:g} days of a lag{advice}")
    ends, target, furthest = ends[~far], target[~far], furthest[~far]
    distant = furthest > TOLERANCE_DAYS * DAY
    if distant.any():
        notes.append(
            f"{int(distant.sum())} of {distant.size} dates use maps of other dates, up to {furthest.max() / DAY:.3g} days away; "
            "they are flagged"
        )
    instants_asked, instants = np.unique(target, return_inverse=True)
    values = np.full((instants_asked.size, len(spec.variables), *frame.shape), np.nan, np.float32)
    for channel, (name, _) in enumerate(spec.variables):
        if name not in sources:
            continue
        index = nearest(stamps[name], instants_asked)
        used, back = np.unique(index, return_inverse=True)
        with Progress(f"regridding {name}", "map") as bar:
            maps = on_frame(sources[name][used], frame, progress=bar.update).values
        clear = known_shares(maps)
        if (clear < LEAST_KNOWN).any():
            worst = int(np.argmin(clear))
            raise InputError(
                f"{name} map of {stamps[name][used[worst]]}: only {100 * clear[worst]:.0f} % of the {2 * HALF_WINDOW_KM:g} km "
                f"around {place.name} is known; give gap-free (L4) maps, or a site farther from land"
            )
        notes += look_at_maps(name, stamps[name][used], maps)
        values[:, channel] = maps[back]
    missing = tuple(name for name, _ in spec.variables if name not in sources)
    mean_of = "--ssh-mean"
    if ssh_mean is None:
        ssh_mean, mean_of = _mean_height(heights["ssh"], frame)
        if (days := (stamps["ssh"][-1] - stamps["ssh"][0]) / DAY) < YEAR:
            consequence = (
                "which does not matter to these networks: they take each window's own mean off"
                if centred
                else "so that the season is taken off with it; give maps of whole years, or --ssh-mean"
            )
            notes.append(f"SSH: its mean, {ssh_mean:.3f} m, is of maps of {days:.0f} days, {consequence}")
    elif centred:
        notes.append("SSH: --ssh-mean changes nothing for these networks: they take each window's own mean off")
    unknown = 1 - np.isfinite(values[:, [name not in missing for name, _ in spec.variables]]).mean(axis=(0, 2, 3))
    for name, share in zip((name for name, _ in spec.variables if name not in missing), unknown, strict=True):
        if share > 0:
            filled = "the mean of the rest of the window" if centred and name in CENTRED else "the training mean"
            notes.append(f"{100 * share:.2g} % of the window has no {name} (land, ice): {filled} replaces it")
    return SatelliteWindows(
        place, instants_asked, values, ends, instants.reshape(target.shape), distant, float(ssh_mean), mean_of, source, missing,
        tuple(notes), source_of(heights),
    )  # fmt: skip


def source_of(maps: xr.Dataset) -> str:
    """The attribute ``source`` of the first of the files that maps come from; a sentence of the toolkit where there is none."""
    with xr.open_dataset(maps.attrs["files"][0], decode_times=False) as file:
        return clean(" ".join(str(file.attrs.get("source", "")).split())) or "satellite maps"


def _mean_height(variable: xr.DataArray, frame: Frame) -> tuple[float, str]:
    """Mean SSH (m) over the input window and at most :data:`MEAN_MAPS` maps, and a description of the mean."""
    n = variable.sizes["time"]
    sample = np.unique(np.linspace(0, n - 1, min(n, MEAN_MAPS)).round().astype(int))
    with Progress("mean SSH", "map") as bar:
        maps = on_frame(variable[sample], frame, progress=bar.update).values
    total, count = sum(np.nansum(values, dtype=np.float64) for values in maps), int(np.isfinite(maps).sum())
    first, last = variable["time"].values[[0, -1]]
    return total / max(count, 1), f"{sample.size} of the {n} maps from {first:.10} to {last:.10}"


def _span(times: np.ndarray) -> str:
    return f"{times[0]:.10} to {times[-1]:.10}"


def _check_common(stamps: dict[str, np.ndarray]) -> None:
    if len(stamps) == 2 and (stamps["ssh"][0] > stamps["temp"][-1] or stamps["temp"][0] > stamps["ssh"][-1]):
        spans = {name: f"{times[0]} to {times[-1]}" for name, times in stamps.items()}
        raise InputError(f"SSH ({spans['ssh']}) and SST ({spans['temp']}) do not overlap in time; give files of the same dates")


def _ends(stamps, spec: InputSpec, start, end, every: float, persist: bool) -> np.ndarray:
    """Ends of collection periods: from ``start`` by ``every`` days to ``end``; by default all within the maps."""
    first, last = max(times[0] for times in stamps.values()), min(times[-1] for times in stamps.values())
    lead = timedelta_days(0 if persist else max(spec.lags_days))
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


def adjusted(windows: SatelliteWindows, spec: InputSpec, training_mean: np.ndarray, factor: float = 1.0) -> np.ndarray:
    """Values (map, variable, y, x) on the networks' scale: SSH with the training mean; an absent variable is its training mean.

    ``factor``: multiplies SSH about its mean (:class:`learning.latitudes.Latitudes`).
    """
    out = windows.values.copy()
    for channel, (name, _) in enumerate(spec.variables):
        if name in windows.missing:
            out[:, channel] = training_mean[channel]
        elif name == "ssh":
            if factor == 1.0:
                out[:, channel] += np.float32(training_mean[channel] - windows.ssh_mean)
            else:
                out[:, channel] = training_mean[channel] + factor * (out[:, channel] - np.float32(windows.ssh_mean))
    return out


def filled(values: np.ndarray, spec: InputSpec) -> np.ndarray:
    """Values (map, variable, y, x) for a centring network: unknown cells of centred variables get the mean of their map.

    A network that takes off a window's mean would otherwise see the training mean less that of the window there: a front along
    every coast, which no ocean has. A map without any value is left as it is.
    """
    out = values.copy()
    for channel, (name, _) in enumerate(spec.variables):
        if name not in CENTRED:
            continue
        maps = out[:, channel]
        finite = np.isfinite(maps)
        count = finite.sum(axis=(1, 2))
        mean = np.where(finite, maps, 0).sum(axis=(1, 2), dtype=np.float64) / np.maximum(count, 1)
        fill = np.where(count > 0, mean, np.nan).astype(np.float32)
        out[:, channel] = np.where(finite, maps, fill[:, None, None])
    return out


def write_inputs(path: Path, windows: SatelliteWindows, spec: InputSpec) -> None:
    """The regridded maps (time, y, x) that networks of binned PDFs are given, for Figure A1 and for a look."""
    given = {channel: name for channel, (name, _) in enumerate(spec.variables) if name not in windows.missing}
    maps = {name: windows.values[:, channel] for channel, name in given.items()}
    write_maps(path, windows.site, windows.times, maps, windows.ssh_source, windows.maps_source)


def write_maps(
    path: Path, site: Site, times: np.ndarray, maps: dict[str, np.ndarray], ssh_source: str, source: str,
    axis: np.ndarray | None = None,
) -> None:  # fmt: skip
    """Write satellite_inputs.nc: ``maps`` (time, y, x), ``ssh`` (m) and ``temp`` (degrees Celsius), about a trap.

    ``ssh_source``: the files' variable, "adt" or "sla"; ``source``: what the maps are of; ``axis``: x and y of the points, km
    (default: the cells of the window).
    """
    above = "geoid" if ssh_source == "adt" else "mean_sea_level"
    named = {
        "ssh": {"units": "m", "standard_name": f"sea_surface_height_above_{above}", "long_name": "sea surface height"},
        "temp": {"units": "degree_Celsius", "standard_name": "sea_surface_temperature", "long_name": "sea surface temperature"},
    }
    on_map = {"grid_mapping": PROJECTION, "coordinates": "lon lat"}
    dataset = xr.Dataset(
        {name: (("time", "y", "x"), values, named[name] | on_map) for name, values in maps.items()}
        | {PROJECTION: projection(site)},
        coords={"time": ("time", times.astype("datetime64[ns]"), {"standard_name": "time", "axis": "T"}), **places(site, axis)},
        attrs={"title": "Satellite maps on the window of a trap", "Conventions": "CF-1.8", "source": source,
               "trap_longitude": site.x, "trap_latitude": site.y, "history": f"learning.predict, {np.datetime64('now')} UTC"},
    )  # fmt: skip
    write_dataset(path, dataset)
