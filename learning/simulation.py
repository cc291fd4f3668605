"""Predictions of all experiments of a run: w080/predictions/<inputs>.zarr, a chunk at a time, by this process or workers."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
import zarr

from data import workers as cluster
from data.chunks import add_array
from data.command import provenance, write_json
from data.compiled import njit
from data.errors import CatchmentError, StoreError
from data.fingerprint import fingerprint_of_file
from data.lock import Claim, FolderLock
from data.progress import Progress
from data.resumable import ResumableStore
from data.times import SECONDS_ATTRS, whole_seconds
from lagrangian.binning import bin_centres
from lagrangian.config import speed_folder
from learning.ensemble import Ensemble, of_one_body, torch_device
from learning.folders import CLIMATOLOGY, run_identity
from learning.latitudes import Latitudes, home_of
from learning.samples import RunSamples
from learning.split import PARTS as PARTS
from learning.weights import load_tensors

#: Experiments in a chunk of the store.
CHUNK = 36
#: Variables that are filled chunk by chunk.
FILLED = ("pdf", "spread")
#: Bits of the mantissa that a stored PDF keeps: a relative error of 1e-4, and half of the disk.
KEPT_BITS = 12
#: Ensembles of one body, and the run that they predict.
Opened = tuple[list[Ensemble], RunSamples]


def predict_run(config, folders: Sequence[Path], client=None) -> list[Path]:
    """Write w080/predictions/<inputs>.zarr of a run for each folder of networks; unfinished stores are gone on with.

    Experiments are predicted a chunk at a time; networks of several speeds that share their body
    (:meth:`learning.ensemble.Ensemble.has_body_of`) predict a chunk together. With a Dask ``client``, the client's workers fill
    the chunks. Returns the stores.

    Raises
    ------
    StoreError
        The run has no PDFs at the networks' speed, or a store cannot be written.
    """
    ensembles = [Ensemble.load(folder) for folder in folders]
    stores: list[Path] = []
    for group in of_one_body(ensembles):
        for numbers, samples in _opened_together(config.run, [ensembles[k] for k in group]):
            members = [group[k] for k in numbers]
            stores += _predict(config, [folders[k] for k in members], [ensembles[k] for k in members], samples, client)
    return stores


def _speed(ensemble: Ensemble) -> float:
    return float(ensemble.card["w"])


def _opened_together(run: Path, ensembles: list[Ensemble]) -> Iterator[tuple[list[int], RunSamples]]:
    """Numbers of ensembles of one body and their run, opened once for all; for each alone where it cannot be opened for all."""
    spec = ensembles[0].spec
    together = None
    if len(ensembles) > 1:
        with contextlib.suppress(CatchmentError):
            together = RunSamples.open(run, tuple(map(_speed, ensembles)), spec)
    if together is not None:
        yield list(range(len(ensembles))), together
        return
    for k, ensemble in enumerate(ensembles):
        yield [k], RunSamples.open(run, (_speed(ensemble),), spec)


def _predict(config, folders: list[Path], ensembles: list[Ensemble], samples: RunSamples, client) -> list[Path]:
    """Predict with ensembles of one body, each of another speed, whose experiments are the same."""
    for folder, ensemble in zip(folders, ensembles, strict=True):
        if not np.array_equal(samples.levels, ensemble.card["levels"]):
            raise StoreError(
                f"{folder} predicts the levels {ensemble.card['levels']} m, but {config.run} holds {samples.levels.tolist()} m"
            )
    home, site = (home_of(card) for card in (ensembles[0].card, samples.attributes))
    elsewhere = Latitudes.between(home, site).of_simulation() if site is not None else []
    for note in [*samples.fields.notes, *elsewhere]:
        print(f"note: {note}", flush=True)
    name, n = ensembles[0].spec.name, len(samples)
    finals = [config.run / speed_folder(_speed(ensemble)) / "predictions" / f"{name}.zarr" for ensemble in ensembles]
    with contextlib.ExitStack() as stack:
        stores, claims = {}, []
        for k, (folder, ensemble, final) in enumerate(zip(folders, ensembles, finals, strict=True)):
            identity = {"networks": [fingerprint_of_file(path) for path in sorted(folder.glob("member-*[0-9].safetensors"))],
                        "run": run_identity(config.run)}  # fmt: skip
            final.parent.mkdir(parents=True, exist_ok=True)
            claims.append(stack.enter_context(FolderLock(final.parent, name)).claim)
            lay_out = partial(_lay_out, samples=samples, ensemble=ensemble, folder=folder)
            store = _store(final, n, lay_out=lay_out, identity=identity)
            if store.whole:
                print(f"{final} is there already", flush=True)
                continue
            if store.renewed:
                print(f"{final} is of other networks and is made anew", flush=True)
            if store.damaged:
                print(f"note: {final}: {len(store.damaged)} chunks are damaged or missing and are made again", flush=True)
            stores[k] = store, identity
        if not stores:
            return finals
        missing = sorted(set().union(*(store.missing() for store, _ in stores.values())))
        speeds = ", ".join(f"{_speed(ensembles[k]):g}" for k in stores)
        with Progress(f"predicting {name} at {speeds} m/d", "experiment") as bar:
            filled = -(-n // CHUNK) - len(missing)
            arguments = config, [folders[k] for k in stores], [finals[k] for k in stores]
            opened = [ensembles[k] for k in stores], samples
            for _ in _chunks_done(client, missing, *arguments, opened, claims[0]):
                filled += 1
                bar.update(min(filled * CHUNK, n), n)
        for k, (store, identity) in stores.items():
            if not store.close():
                raise StoreError(f"{store.where}: {len(store.missing())} of its chunks are not in; give the same command again")
            write_json(finals[k].with_suffix(".json"), {**provenance(config), "identity": identity})
            print(f"{finals[k]}", flush=True)
    return finals


def _store(path: Path, experiments: int, **options) -> ResumableStore:
    """The predictions of a number of experiments, in chunks; without ``lay_out``, as a worker joins them."""
    return ResumableStore(path, FILLED, -(-experiments // CHUNK), renew=True, parts="chunks", **options)


def _chunks_done(
    client, chunks: list[int], config, folders: list[Path], stores: list[Path], opened: Opened, claim: Claim
) -> Iterator[int]:
    """Yield the number of each chunk once this process, or a worker of ``client``, has filled the chunk."""
    places, to = (tuple(path.resolve() for path in paths) for paths in (folders, stores))
    shared = (config.run.resolve(), places, to, config.device)
    if client is None:
        for ensemble in opened[0]:
            ensemble.to(torch_device(config.device))
        for chunk in chunks:
            yield predict_chunk(chunk, *shared, 0, claim, opened)
        return
    threads = config.threads_each(config.threads)
    for chunk, _ in cluster.run_tasks(client, predict_chunk, chunks, (*shared, threads, claim)):
        yield chunk


def predict_chunk(
    chunk: int, run: Path, folders: tuple[Path, ...], stores: tuple[Path, ...], device: str, threads: int, claim: Claim,
    opened: Opened | None = None,
) -> int:  # fmt: skip
    """Fill a chunk of experiments in unfinished stores that lack it, and return its number; a task of
    :func:`data.workers.run_tasks`.

    ``folders`` are of networks of one body, ``stores`` what each fills, by the name that it has once it is whole; ``threads`` of
    PyTorch (0: PyTorch's choice); ``opened``: the networks and the run, where they are open already.

    Raises
    ------
    CommandGone
        The command that made ``claim`` has ended.
    StoreError
        A store cannot be written.
    """
    if threads:
        torch.set_num_threads(threads)
    claim.wait()
    ensembles, samples = opened or _opened(claim.token, run, folders, device)
    rows = np.arange(chunk * CHUNK, min((chunk + 1) * CHUNK, len(samples)))
    use = (samples.instants[rows] >= 0).all(axis=1)
    inputs = samples.inputs(rows[use], ensembles[0].normalisation)
    features = ensembles[0].features(inputs) if len(ensembles) > 1 and use.any() else None
    for ensemble, path in zip(ensembles, stores, strict=True):
        store = _store(path, len(samples))
        if chunk in store.done:
            continue
        pdf = np.full((rows.size, samples.levels.size, *samples.n_bins), np.nan, np.float32)
        spread = np.full(pdf.shape[:2], np.nan, np.float32)
        if use.any():
            pdf[use], spread[use] = ensemble.predict(inputs, features=features)
        claim.check()
        store.put(chunk, pdf=shortened(pdf), spread=spread)
    return chunk


@functools.lru_cache(maxsize=1)
def _opened(token: str, run: Path, folders: tuple[Path, ...], device: str) -> Opened:
    """The networks and samples of a worker, opened once for all chunks of the command that ``token`` names."""
    ensembles = [Ensemble.load(folder).to(torch_device(device)) for folder in folders]
    return ensembles, RunSamples.open(run, tuple(map(_speed, ensembles)), ensembles[0].spec)


def parts_of(samples: RunSamples, card: dict) -> np.ndarray:
    """(experiment,) number in :data:`PARTS`: the part of the split that each experiment was in when the networks learnt."""
    if card.get("run") != run_identity(samples.run):
        return np.full(len(samples), PARTS.index("unseen"), np.int8)
    part = np.full(len(samples), PARTS.index("between"), np.int8)
    for name, (first, last) in card["split"].items():
        part[(samples.start >= np.datetime64(first)) & (samples.end <= np.datetime64(last))] = PARTS.index(name)
    return part


def shortened(values: np.ndarray, bits: int = KEPT_BITS) -> np.ndarray:
    """float32 rounded to ``bits`` bits of mantissa, so that they compress; what is not finite stays as it is."""
    whole = np.array(values, np.float32, order="C", ndmin=1)
    _shorten(whole.view(np.uint32).reshape(-1), np.uint32(23 - bits))
    return whole.reshape(np.shape(values))


@njit(nogil=True)
def _shorten(words, drop):
    """Round the last ``drop`` bits away of float32 given as their words (n,) uint32, in place."""
    half, kept, exponent = np.uint32(1 << (drop - 1)), np.uint32(~((1 << drop) - 1) & 0xFFFFFFFF), np.uint32(0x7F800000)
    for i in range(words.size):
        word = words[i]
        rounded = np.uint32(np.uint32(word + half) & kept)
        words[i] = word if word & exponent == exponent else rounded


def _lay_out(path: Path, *, samples: RunSamples, ensemble: Ensemble, folder: Path) -> None:
    n, levels, bins = len(samples), samples.levels, samples.n_bins
    group = zarr.create_group(store=str(path), zarr_format=3)
    group.attrs.update({
        "title": "Predicted catchments of a sediment trap", "Conventions": "CF-1.8", "inputs": ensemble.spec.name,
        "sinking_speed_m_per_day": float(ensemble.card["w"]), "members": len(ensemble.networks),
        **({"source": samples.attributes["source"]} if "source" in samples.attributes else {}),
    })  # fmt: skip
    array = partial(add_array, group)

    shape = (n, levels.size, *bins)
    array("pdf", shape, (CHUNK, *shape[1:]), "float32", ("experiment", "level", "y", "x"),
          {"long_name": "predicted probability that a particle crossed the level in the bin"}, fill=np.nan)  # fmt: skip
    array("spread", shape[:2], (CHUNK, levels.size), "float32", ("experiment", "level"),
          {"long_name": "mean Bhattacharyya loss of the members against their median"}, fill=np.nan)  # fmt: skip
    constant = load_tensors(folder / CLIMATOLOGY)[0] if (folder / CLIMATOLOGY).exists() else {}
    for name, key, title in (
        ("climatology", "pdf", "smoothed mean PDF of the networks' training experiments"),
        ("climatology_root", "root", "constant PDF of least expected Bhattacharyya loss over the networks' training experiments"),
    ):
        if key in constant:
            array(name, shape[1:], shape[1:], "float32", ("level", "y", "x"), {"long_name": title}, constant[key].numpy())
    array("level", levels.shape, levels.shape, "float64", ("level",), {"units": "m", "positive": "down"}, levels)
    for name, axis in (("y", 0), ("x", 1)):
        array(name, (bins[axis],), (bins[axis],), "float64", (name,), {"units": "km"}, bin_centres())
    for name, values in (("collection_start", samples.start), ("collection_end", samples.end)):
        array(name, (n,), (n,), "int64", ("experiment",), SECONDS_ATTRS, whole_seconds(values))
    meanings = {"flag_values": list(range(len(PARTS))), "flag_meanings": " ".join(PARTS),
                "long_name": "what the experiment was to the networks"}  # fmt: skip
    array("part", (n,), (n,), "int8", ("experiment",), meanings, parts_of(samples, ensemble.card))
