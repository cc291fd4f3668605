"""Catchments from satellite maps: the networks' predictions, with flags and notes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from data import workers as cluster
from data.command import provenance, write_json
from data.errors import OptionError
from data.files import make_folder
from data.fingerprint import fingerprint_of_file
from data.lock import FolderLock
from data.netcdf import write_dataset
from data.ocean_names import is_idealised, site_attribute
from data.progress import Progress
from data.sites import Site
from data.sphere import east_north
from lagrangian.binning import bin_centres
from lagrangian.config import speed_folder
from lagrangian.pdf import export_number
from learning.catchment_file import (
    COLLECTION_DAYS,
    OUTSIDE_SHARE,
    OUTSIDE_STD,
    PROJECTION,
    TRAP_DEPTH_M,
    catchment_dataset,
    places,
)
from learning.ensemble import Ensemble, of_one_body, torch_device
from learning.land import land_notes, mass_on_land, without_land
from learning.latitudes import Latitudes, home_of
from learning.network import CENTRED
from learning.satellite_inputs import SatelliteWindows, adjusted, filled, satellite_windows, write_inputs

#: A note tells that the networks were trained elsewhere if their site is farther away than this, km.
SAME_SITE_KM = 100.0
BATCH = 32


def centring(ensemble: Ensemble) -> bool:
    """Whether the networks take each window's own mean of SSH and temperature off."""
    return ensemble.networks[0].architecture.kind == "residual"


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
            finite = np.isfinite(out[:, channel])
            count = np.maximum(finite.sum(axis=(1, 2)), 1)
            out[:, channel] -= (np.where(finite, out[:, channel], 0).sum(axis=(1, 2)) / count)[:, None, None]
            if normalisation.anomaly_std is not None:
                std[channel] = normalisation.anomaly_std[channel]
    return out / std[:, None, None]


def predict_windows(ensemble: Ensemble, windows: SatelliteWindows, *, no_land_mass: bool = False) -> xr.Dataset:
    """The catchment at the export level for each end of a collection period, as the CF file holds it.

    ``no_land_mass``: take away what lies on land, and bring the rest to sum 1.

    Returns
    -------
    Dataset
        ``pdf`` (time, y, x) sums to 1; ``mass_on_land`` (time), the share of it that was predicted on land; ``land`` (y, x);
        ``spread`` (time); ``outside`` (time), the share of the inputs, as the networks see them (:func:`seen`), beyond
        :data:`OUTSIDE_STD` training standard deviations; ``flag`` (time), bits of :data:`FLAGS`; ``time`` = mean arrival of the
        particles at that level (middle of the collection period less the ascent in still water).
    """
    return predict_together([ensemble], windows, no_land_mass=no_land_mass)[0]


def predict_together(
    ensembles: Sequence[Ensemble], windows: SatelliteWindows, predict_batches: Callable | None = None, *,
    no_land_mass: bool = False,
) -> list[xr.Dataset]:  # fmt: skip
    """:func:`predict_windows` of ensembles of several speeds that share their bodies and their inputs.

    ``predict_batches`` does what :func:`predict_export` does, elsewhere: it takes pairs (maps, instants) and yields (number in
    the list, (pdf, spread) of each ensemble) in any order; the fields are ``maps[instants]``.
    """
    first = ensembles[0]
    spec = first.spec
    latitudes = Latitudes.between(home_of(first.card), windows.site)
    values = latitudes.turned(adjusted(windows, spec, first.normalisation.mean, latitudes.factor))
    channels = [channel for channel, (name, _) in enumerate(spec.variables) if name not in windows.missing]
    with np.errstate(invalid="ignore"):
        far = np.abs(seen(first, values)) > OUTSIDE_STD
    count_known = np.isfinite(values[:, channels]).sum(axis=(1, 2, 3))
    outside = (far[:, channels].sum(axis=(1, 2, 3)) / np.maximum(count_known, 1))[windows.instants].mean(axis=1)
    unknown = ~np.isfinite(values[:, channels]).all(axis=(1, 2, 3))[windows.instants].all(axis=1)
    if centring(first):
        values = filled(values, spec)
    n = windows.ends.size
    pdf = np.empty((len(ensembles), n, *(bin_centres().size,) * 2), np.float32)
    spread = np.empty((len(ensembles), n), np.float32)
    speeds = ", ".join(f"{ensemble.card['w']:g}" for ensemble in ensembles)
    with Progress(f"predicting at {speeds} m/d", "date") as bar:
        batches = [slice(begin, min(begin + BATCH, n)) for begin in range(0, n, BATCH)]
        fields = (_cut(values, windows.instants[rows]) for rows in batches)
        dates_done = 0
        for number, results in (predict_batches or _predict_here(ensembles))(fields):
            rows = batches[number]
            for k, (some, deviation) in enumerate(results):
                pdf[k, rows], spread[k, rows] = latitudes.turned(some), deviation
            dates_done += rows.stop - rows.start
            bar.update(dates_done, n)
    flag = (
        1 * (outside > OUTSIDE_SHARE) + 2 * windows.distant + 4 * (np.full(n, "temp" in windows.missing)) + 8 * unknown
    ).astype(np.int8)
    notes = list(windows.notes)
    if windows.missing:
        notes.append("no SST was given: the networks' training mean replaces it")
    comment = "; ".join(notes) or "none"
    return [
        _dataset(ensemble, windows, some, deviation, outside, flag, comment, no_land_mass)
        for ensemble, some, deviation in zip(ensembles, pdf, spread, strict=True)
    ]


def _dataset(ensemble: Ensemble, windows: SatelliteWindows, pdf, spread, outside, flag, comment, no_land_mass) -> xr.Dataset:
    """What :func:`predict_windows` returns, of PDFs (time, y, x)."""
    card = ensemble.card
    # an idealised ocean has no coast, wherever its maps claim to lie
    land = land_of(windows.site) & (not is_idealised(windows.maps_source))
    mass = mass_on_land(pdf, land)
    dataset = catchment_dataset(
        windows.site, float(card["w"]), windows.ends, without_land(pdf, land) if no_land_mass and land.any() else pdf,
        trap_depth=float(card.get("trap_depth_m") or TRAP_DEPTH_M), level=card["levels"][_export(ensemble)],
        collection_days=float(card.get("collection_days") or COLLECTION_DAYS), spread=spread, outside=outside, flag=flag,
        source=_source(ensemble, windows), comment=comment,
    )  # fmt: skip
    about_mass = "taken away, and the rest brought to sum 1" if no_land_mass else "part of pdf"
    dataset["mass_on_land"] = "time", mass, {"units": "1", "long_name": "share of the probability that was predicted on land",
                                             "comment": about_mass}  # fmt: skip
    dataset["land"] = ("y", "x"), land.astype(np.int8), {"units": "1", "standard_name": "land_binary_mask",
                                                         "grid_mapping": PROJECTION, "coordinates": "lon lat"}  # fmt: skip
    return dataset.assign_attrs(
        maps_source=windows.maps_source,
        site=site_attribute(windows.maps_source, windows.site.name),
        ssh_source_variable=windows.ssh_source,
        ssh_mean_removed=windows.ssh_mean,
        ssh_mean_of=windows.ssh_mean_of,
    )


def _source(ensemble: Ensemble, windows: SatelliteWindows) -> str:
    """The attribute ``source`` of a catchment file: which networks, of which ocean, and which maps they were given."""
    learnt = ensemble.card.get("ocean")
    taught = f" that learnt from the {learnt}" if is_idealised(learnt) else f" that learnt from {learnt}" if learnt else ""
    return f"{len(ensemble.networks)} networks{taught}, inputs {ensemble.spec.name}; maps: {windows.maps_source}"


@functools.lru_cache(maxsize=1)
def land_of(site: Site) -> np.ndarray:
    """(y, x) bool: bins of a site's window whose middles lie on land."""
    from data.coastline import on_land

    where = places(site)
    return on_land(where["lon"][1], where["lat"][1])


def _cut(values: np.ndarray, instants: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Only the maps that ``instants`` name, and their numbers among these."""
    used, numbers = np.unique(instants, return_inverse=True)
    return values[used], numbers.reshape(instants.shape)


def _export(ensemble: Ensemble) -> int:
    """Number of the export level."""
    return export_number(np.asarray(ensemble.card["levels"], float))


def predict_export(ensembles: Sequence[Ensemble], fields: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """PDFs (n, y, x) and spread (n,) at the export level of ensembles of one body, from fields (n, lag, variable, y, x)."""
    inputs = ensembles[0].normalised(fields)
    features = ensembles[0].features(inputs) if len(ensembles) > 1 else None
    predicted = (ensemble.predict(inputs, _export(ensemble), features) for ensemble in ensembles)
    return [(pdf[:, 0], spread[:, 0]) for pdf, spread in predicted]


def _predict_here(ensembles: Sequence[Ensemble]) -> Callable:
    return lambda fields: ((i, predict_export(ensembles, maps[instants])) for i, (maps, instants) in enumerate(fields))


def _predict_by_workers(client, folders: tuple[Path, ...], device: str, threads: int) -> Callable:
    def predict(fields):
        tasks = [(number, *pair) for number, pair in enumerate(fields)]
        shared = (folders, device, threads, cluster.command_token())
        for task, result in cluster.run_tasks(client, predict_batch, tasks, shared):
            yield task[0], result

    return predict


def predict_batch(
    task: tuple[int, np.ndarray, np.ndarray], folders: tuple[Path, ...], device: str, threads: int, token: str
) -> list[tuple[np.ndarray, np.ndarray]]:
    """:func:`predict_export` in a worker; a task of :func:`data.workers.run_tasks`."""
    if threads:
        torch.set_num_threads(threads)
    return predict_export(_loaded(token, folders, device), task[1][task[2]])


@functools.lru_cache(maxsize=1)
def _loaded(token: str, folders: tuple[Path, ...], device: str) -> list[Ensemble]:
    return [Ensemble.load(folder).to(torch_device(device)) for folder in folders]


def predict_satellite(config, folders, client=None) -> None:
    """Write ``catchment_w080.nc`` for each folder of models, and ``satellite_inputs.nc``, the regridded maps, beside them."""
    out = config.out or config.run
    make_folder(out)
    with FolderLock(out, "predict"):
        _predict_folders(config, folders, out, client)


def _predict_folders(config, folders, out: Path, client) -> None:
    speeds: dict[float, Path] = {}
    ensembles = [Ensemble.load(folder) for folder in folders]
    for folder, ensemble in zip(folders, ensembles, strict=True):
        w = float(ensemble.card["w"])
        if w in speeds:
            raise OptionError(f"--models {speeds[w]}, {folder}: both are of {w:g} m/d and would write one file; give one a speed")
        speeds[w] = folder
    windows, spec, centred = None, None, None
    for group in of_one_body(ensembles):
        together = [ensembles[k].to(torch_device(config.device)) for k in group]
        first = together[0]
        if windows is None or first.spec != spec or centring(first) != centred:
            spec, centred = first.spec, centring(first)
            site = first.card.get("site") or "pap-so" if config.site is None else config.site
            windows = satellite_windows(
                config.ssh, config.sst, spec, site,
                start=config.start, end=config.end, every=config.every, persist=config.persist, ssh_mean=config.ssh_mean,
                centred=centred,
            )  # fmt: skip
            for note in windows.notes:
                print(f"note: {note}", flush=True)
            if windows.missing:
                print("note: no --sst: the networks' training mean replaces it", flush=True)
            write_inputs(out / "satellite_inputs.nc", windows, spec)
        elsewhere = None
        if client is not None:
            places_of_networks = tuple(folders[k].resolve() for k in group)
            elsewhere = _predict_by_workers(client, places_of_networks, config.device, config.threads_each(config.threads))
        datasets = predict_together(together, windows, elsewhere, no_land_mass=config.no_land_mass)
        for k, ensemble, dataset in zip(group, together, datasets, strict=True):
            _write(config, folders[k], out, ensemble, windows, dataset)


def _write(config, folder: Path, out: Path, ensemble: Ensemble, windows: SatelliteWindows, dataset: xr.Dataset) -> None:
    """Tell the notes on a speed's predictions, and write them."""
    w = float(ensemble.card["w"])
    path = out / f"catchment_{speed_folder(w)}.nc"
    latitudes = Latitudes.between(home_of(ensemble.card), windows.site)
    notes = [*latitudes.notes(), *notes_elsewhere(ensemble, windows.site), *_offset_notes(ensemble, windows)]
    for note in [*notes, *land_notes(dataset["mass_on_land"].values, w, config.no_land_mass)]:
        print(f"note: {note}", flush=True)
        dataset.attrs["comment"] = "; ".join(filter(None, (dataset.attrs["comment"].removesuffix("none"), note)))
    flagged = int(((dataset["flag"].values & 1) > 0).sum())
    if flagged:
        print(
            f"note: {flagged} of {windows.ends.size} predictions at {w:g} m/d have inputs outside the training range "
            "(evaluation.correlation --exclude-flags outside leaves them out)",
            flush=True,
        )
    members = sorted(folder.glob("member-*[0-9].safetensors"))
    dataset.attrs["networks"] = " ".join(map(fingerprint_of_file, members))
    write_dataset(path, dataset)
    write_json(path.with_suffix(".json"), {**provenance(config), "models": str(folder)})
    first, last = (str(time)[:10] for time in dataset["time"].values[[0, -1]])
    print(f"{path}: {windows.ends.size} predictions, arriving {first} to {last}", flush=True)


def notes_elsewhere(ensemble: Ensemble, site: Site) -> list[str]:
    """Lines where the networks were trained elsewhere, or for a trap at another depth."""
    home = home_of(ensemble.card)
    if home is None:
        return []
    away = float(np.hypot(*east_north(site.x, site.y, home.x, home.y)))
    if not away > SAME_SITE_KM:
        return []
    lines = [
        f"the networks were trained at {home.name} ({home.x:g}, {home.y:g}), {away:.0f} km from {site.name}: what they learnt of "
        "its currents may not hold here"
    ]
    depth = float(ensemble.card.get("trap_depth_m") or TRAP_DEPTH_M)
    if site.trap_depths and depth not in site.trap_depths:
        lines.append(
            f"the catchments are those of a trap at {depth:g} m, as the networks learnt it; that of {site.name} stands at "
            f"{site.trap_depths[0]:g} m"
        )
    return lines


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
