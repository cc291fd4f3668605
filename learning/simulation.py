"""Predictions of all experiments of a run: w080/predictions/<inputs>.zarr, filled block by block, here or by workers."""

from __future__ import annotations

import functools
import hashlib
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
import zarr

from data.command import provenance, read_json, write_json
from data.errors import StoreError, cannot_write
from data.lock import FolderLock
from data.progress import Progress
from lagrangian import cluster
from lagrangian.binning import bin_centres
from lagrangian.config import speed_folder
from lagrangian.stores import add_array, finish, partial_path
from learning.ensemble import Ensemble, torch_device
from learning.folders import CLIMATOLOGY, run_identity
from learning.samples import RunSamples
from learning.weights import load_tensors

#: Which part of the networks' training record an experiment belongs to; ``between``: in a gap; ``unseen``: of another run.
PARTS = ("train", "validation", "test", "between", "unseen")
BLOCK = 36
#: Bits of the mantissa that a stored PDF keeps: a relative error of 1e-4, and half of the disk.
KEPT_BITS = 12


def predict_run(config, folder: Path, client=None) -> Path:
    """Write w080/predictions/<inputs>.zarr of a run, a block of experiments at a time; goes on with an unfinished one.

    With a Dask ``client``, its workers do the blocks.

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
    final = config.run / speed_folder(w) / "predictions" / f"{ensemble.spec.name}.zarr"
    partial = partial_path(final.parent, final.name)
    identity = {"networks": [read_identity(path) for path in sorted(folder.glob("member-*[0-9].safetensors"))],
                "run": run_identity(config.run)}  # fmt: skip
    if final.exists():
        if zarr.open_group(str(final), mode="r").attrs.get("identity") == identity:
            print(f"{final} is there already", flush=True)
            return final
        print(f"{final} is of other networks and is made anew", flush=True)
    final.parent.mkdir(parents=True, exist_ok=True)
    with FolderLock(final.parent, ensemble.spec.name):
        try:
            done_path = partial / "done.json"
            if not done_path.exists() or zarr.open_group(str(partial), mode="r").attrs.get("identity") != identity:
                _create(partial, samples, ensemble, identity, folder)
                write_json(done_path, {"blocks": []})
            done = set(read_json(done_path).get("blocks", []))
            n = len(samples)
            blocks = [block for block in range(-(-n // BLOCK)) if block not in done]
            with Progress(f"predicting {ensemble.spec.name} at {w:g} m/d", "experiment") as bar:
                for block in _blocks_done(client, blocks, config, folder, partial):
                    done.add(block)
                    write_json(done_path, {"blocks": sorted(done)})
                    bar.update(min(len(done) * BLOCK, n), n)
            done_path.unlink()
            finish(partial)
        except OSError as error:
            raise cannot_write(partial, error) from None
    write_json(final.with_suffix(".json"), {**provenance(config), "identity": identity})
    print(f"{final}", flush=True)
    return final


def _blocks_done(client, blocks: list[int], config, folder: Path, store: Path) -> Iterator[int]:
    """Numbers of the blocks as they are done, here or by workers."""
    shared = (config.run.resolve(), folder.resolve(), store.resolve(), config.device)
    word = cluster.command_word()
    if client is None:
        for block in blocks:
            yield predict_block(block, *shared, 0, word)
        return
    threads = config.threads_each(config.threads)
    for block, _ in cluster.run_tasks(client, predict_block, blocks, (*shared, threads, word)):
        yield block


def predict_block(block: int, run: Path, folder: Path, store: Path, device: str, threads: int, word: str) -> int:
    """Fill a block of experiments in an unfinished store; a task of :func:`lagrangian.cluster.run_tasks`. Returns its number.

    ``threads`` of PyTorch (0: as they are); ``word``: see :func:`lagrangian.cluster.command_word`.
    """
    if threads:
        torch.set_num_threads(threads)
    ensemble, samples = _opened(word, run, folder, device)
    group = zarr.open_group(str(store), mode="r+", use_consolidated=False)
    rows = np.arange(block * BLOCK, min((block + 1) * BLOCK, len(samples)))
    pdf = np.full((rows.size, *group["pdf"].shape[1:]), np.nan, np.float32)
    spread = np.full(pdf.shape[:2], np.nan, np.float32)
    use = (samples.instants[rows] >= 0).all(axis=1)
    if use.any():
        pdf[use], spread[use] = ensemble.predict(samples.inputs(rows[use], ensemble.normalisation))
    group["pdf"][rows[0] : rows[-1] + 1] = shortened(pdf)
    group["spread"][rows[0] : rows[-1] + 1] = spread
    return block


@functools.lru_cache(maxsize=1)
def _opened(word: str, run: Path, folder: Path, device: str) -> tuple[Ensemble, RunSamples]:
    """Of a process that predicts many blocks for the command that ``word`` names."""
    ensemble = Ensemble.load(folder).to(torch_device(device))
    return ensemble, RunSamples.open(run, (float(ensemble.card["w"]),), ensemble.spec)


def read_identity(path: Path) -> str:
    """A hash of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def parts_of(samples: RunSamples, card: dict) -> np.ndarray:
    """(experiment,) number in :data:`PARTS`: what each experiment was to the networks of a card."""
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


def _create(path: Path, samples: RunSamples, ensemble: Ensemble, identity: dict, folder: Path) -> None:
    n, levels, bins = len(samples), samples.levels, samples.pdfs[0].n_bins
    if path.exists():
        shutil.rmtree(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    group = zarr.create_group(store=str(path), zarr_format=3)
    group.attrs.update({
        "title": "Predicted catchments of a sediment trap", "Conventions": "CF-1.8", "inputs": ensemble.spec.name,
        "sinking_speed_m_per_day": float(ensemble.card["w"]), "members": len(ensemble.networks), "identity": identity,
    })  # fmt: skip
    array = partial(add_array, group)

    shape = (n, levels.size, *bins)
    array("pdf", shape, (BLOCK, *shape[1:]), "float32", ("experiment", "level", "y", "x"),
          {"long_name": "predicted probability that a particle crossed the level in the bin"}, fill=np.nan)  # fmt: skip
    array("spread", shape[:2], (BLOCK, levels.size), "float32", ("experiment", "level"),
          {"long_name": "mean Bhattacharyya loss of the members against their median"}, fill=np.nan)  # fmt: skip
    climatology = folder / CLIMATOLOGY
    if climatology.exists():
        array("climatology", shape[1:], shape[1:], "float32", ("level", "y", "x"),
              {"long_name": "smoothed mean PDF of the networks' training experiments"},
              load_tensors(climatology)[0]["pdf"].numpy())  # fmt: skip
    array("level", levels.shape, levels.shape, "float64", ("level",), {"units": "m", "positive": "down"}, levels)
    for name, axis in (("y", 0), ("x", 1)):
        array(name, (bins[axis],), (bins[axis],), "float64", (name,), {"units": "km"}, bin_centres())
    seconds = {"units": "seconds since 1970-01-01", "calendar": "proleptic_gregorian"}
    for name, values in (("collection_start", samples.start), ("collection_end", samples.end)):
        array(name, (n,), (n,), "int64", ("experiment",), seconds, values.astype("datetime64[s]").astype(np.int64))
    meanings = {"flag_values": list(range(len(PARTS))), "flag_meanings": " ".join(PARTS),
                "long_name": "what the experiment was to the networks"}  # fmt: skip
    array("part", (n,), (n,), "int8", ("experiment",), meanings, parts_of(samples, ensemble.card))
