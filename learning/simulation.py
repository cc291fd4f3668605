"""Predictions of all experiments of a run: w080/predictions/<inputs>.zarr, filled chunk by chunk, here or by workers."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
import zarr

from data import workers as cluster
from data.chunks import add_array
from data.command import provenance, write_json
from data.errors import StoreError
from data.fingerprint import fingerprint_of_file
from data.lock import Claim, FolderLock
from data.progress import Progress
from data.resumable import ResumableStore
from data.times import SECONDS_ATTRS, whole_seconds
from lagrangian.binning import bin_centres
from lagrangian.config import speed_folder
from learning.ensemble import Ensemble, torch_device
from learning.folders import CLIMATOLOGY, run_identity
from learning.samples import RunSamples
from learning.split import PARTS as PARTS
from learning.weights import load_tensors

#: Experiments in a chunk of the store.
CHUNK = 36
#: Variables that are filled chunk by chunk.
FILLED = ("pdf", "spread")
#: Bits of the mantissa that a stored PDF keeps: a relative error of 1e-4, and half of the disk.
KEPT_BITS = 12


def predict_run(config, folder: Path, client=None) -> Path:
    """Write w080/predictions/<inputs>.zarr of a run, a chunk of experiments at a time; an unfinished store is gone on with.

    With a Dask ``client``, the client's workers fill the chunks.

    Raises
    ------
    StoreError
        The run has no PDFs at the networks' speed, or the store cannot be written.
    """
    ensemble = Ensemble.load(folder)
    w = float(ensemble.card["w"])
    samples = RunSamples.open(config.run, (w,), ensemble.spec)
    if not np.array_equal(samples.levels, ensemble.card["levels"]):
        raise StoreError(
            f"{folder} predicts the levels {ensemble.card['levels']} m, but {config.run} holds {samples.levels.tolist()} m"
        )
    for note in samples.fields.notes:
        print(f"note: {note}", flush=True)
    final = config.run / speed_folder(w) / "predictions" / f"{ensemble.spec.name}.zarr"
    identity = {"networks": [fingerprint_of_file(path) for path in sorted(folder.glob("member-*[0-9].safetensors"))],
                "run": run_identity(config.run)}  # fmt: skip
    final.parent.mkdir(parents=True, exist_ok=True)
    n = len(samples)
    with FolderLock(final.parent, ensemble.spec.name) as lock:
        lay_out = partial(_lay_out, samples=samples, ensemble=ensemble, folder=folder)
        store = _store(final, n, lay_out=lay_out, identity=identity)
        if store.whole:
            print(f"{final} is there already", flush=True)
            return final
        if store.renewed:
            print(f"{final} is of other networks and is made anew", flush=True)
        if store.damaged:
            print(f"note: {final}: {len(store.damaged)} chunks are damaged or missing and are made again", flush=True)
        with Progress(f"predicting {ensemble.spec.name} at {w:g} m/d", "experiment") as bar:
            done = len(store.done)
            for _ in _chunks_done(client, store.missing(), config, folder, final, lock.claim):
                done += 1
                bar.update(min(done * CHUNK, n), n)
        if not store.close():
            raise StoreError(f"{store.where}: {len(store.missing())} of its chunks are not in; give the same command again")
    write_json(final.with_suffix(".json"), {**provenance(config), "identity": identity})
    print(f"{final}", flush=True)
    return final


def _store(path: Path, experiments: int, **options) -> ResumableStore:
    """The store of predictions of a number of experiments; a worker joins a store laid out before, without ``lay_out``."""
    return ResumableStore(path, FILLED, -(-experiments // CHUNK), renew=True, parts="chunks", **options)


def _chunks_done(client, chunks: list[int], config, folder: Path, store: Path, claim: Claim) -> Iterator[int]:
    """Yield the number of each chunk once this process, or a worker of ``client``, has filled the chunk."""
    shared = (config.run.resolve(), folder.resolve(), store.resolve(), config.device)
    if client is None:
        for chunk in chunks:
            yield predict_chunk(chunk, *shared, 0, claim)
        return
    threads = config.threads_each(config.threads)
    for chunk, _ in cluster.run_tasks(client, predict_chunk, chunks, (*shared, threads, claim)):
        yield chunk


def predict_chunk(chunk: int, run: Path, folder: Path, store: Path, device: str, threads: int, claim: Claim) -> int:
    """Fill a chunk of experiments in an unfinished store; a task of :func:`data.workers.run_tasks`. Returns its number.

    ``store`` is the store's name once the store is whole; ``threads`` is PyTorch's number of threads (0: PyTorch's choice).

    Raises
    ------
    CommandGone
        The command that made ``claim`` has ended.
    StoreError
        The store cannot be written.
    """
    if threads:
        torch.set_num_threads(threads)
    claim.wait()
    ensemble, samples = _opened(claim.token, run, folder, device)
    rows = np.arange(chunk * CHUNK, min((chunk + 1) * CHUNK, len(samples)))
    pdf = np.full((rows.size, samples.levels.size, *samples.pdfs[0].n_bins), np.nan, np.float32)
    spread = np.full(pdf.shape[:2], np.nan, np.float32)
    use = (samples.instants[rows] >= 0).all(axis=1)
    if use.any():
        pdf[use], spread[use] = ensemble.predict(samples.inputs(rows[use], ensemble.normalisation))
    claim.check()
    _store(store, len(samples)).put(chunk, pdf=shortened(pdf), spread=spread)
    return chunk


@functools.lru_cache(maxsize=1)
def _opened(token: str, run: Path, folder: Path, device: str) -> tuple[Ensemble, RunSamples]:
    """The networks and samples of a worker, opened once for all chunks of the command that ``token`` names."""
    ensemble = Ensemble.load(folder).to(torch_device(device))
    return ensemble, RunSamples.open(run, (float(ensemble.card["w"]),), ensemble.spec)


def parts_of(samples: RunSamples, card: dict) -> np.ndarray:
    """(experiment,) number in :data:`PARTS`: the part of the split that each experiment was in when the networks learnt."""
    if card.get("run") != run_identity(samples.run):
        return np.full(len(samples), PARTS.index("unseen"), np.int8)
    part = np.full(len(samples), PARTS.index("between"), np.int8)
    for name, (first, last) in card["split"].items():
        part[(samples.start >= np.datetime64(first)) & (samples.end <= np.datetime64(last))] = PARTS.index(name)
    return part


def shortened(values: np.ndarray, bits: int = KEPT_BITS) -> np.ndarray:
    """float32 rounded to ``bits`` bits of mantissa, so that they compress."""
    whole = np.ascontiguousarray(values, np.float32).view(np.uint32)
    drop = 23 - bits
    rounded = (whole + np.uint32(1 << (drop - 1))) & np.uint32(0xFFFFFFFF << drop & 0xFFFFFFFF)
    return np.where(np.isfinite(values), rounded.view(np.float32), values)


def _lay_out(path: Path, *, samples: RunSamples, ensemble: Ensemble, folder: Path) -> None:
    n, levels, bins = len(samples), samples.levels, samples.pdfs[0].n_bins
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
    for name, kept, title in (
        ("climatology", "pdf", "smoothed mean PDF of the networks' training experiments"),
        ("climatology_root", "root", "constant PDF of least expected Bhattacharyya loss over the networks' training experiments"),
    ):
        if kept in constant:
            array(name, shape[1:], shape[1:], "float32", ("level", "y", "x"), {"long_name": title}, constant[kept].numpy())
    array("level", levels.shape, levels.shape, "float64", ("level",), {"units": "m", "positive": "down"}, levels)
    for name, axis in (("y", 0), ("x", 1)):
        array(name, (bins[axis],), (bins[axis],), "float64", (name,), {"units": "km"}, bin_centres())
    for name, values in (("collection_start", samples.start), ("collection_end", samples.end)):
        array(name, (n,), (n,), "int64", ("experiment",), SECONDS_ATTRS, whole_seconds(values))
    meanings = {"flag_values": list(range(len(PARTS))), "flag_meanings": " ".join(PARTS),
                "long_name": "what the experiment was to the networks"}  # fmt: skip
    array("part", (n,), (n,), "int8", ("experiment",), meanings, parts_of(samples, ensemble.card))
