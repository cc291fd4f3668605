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
from data.lock import Claim, FolderLock
from data.progress import Progress
from data.times import SECONDS_ATTRS, whole_seconds
from lagrangian import cluster
from lagrangian.binning import bin_centres
from lagrangian.config import speed_folder
from lagrangian.stores import add_array, damaged_parts, finish, partial_path, put_chunk
from learning.ensemble import Ensemble, torch_device
from learning.folders import CLIMATOLOGY, run_identity
from learning.samples import RunSamples
from learning.weights import load_tensors

#: Which part of the networks' training record an experiment belongs to; ``between``: in a gap; ``unseen``: of another run.
PARTS = ("train", "validation", "test", "between", "unseen")
BLOCK = 36
#: Variables that are filled block by block.
FILLED = ("pdf", "spread")
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
    for note in samples.fields.notes:
        print(f"note: {note}", flush=True)
    final = config.run / speed_folder(w) / "predictions" / f"{ensemble.spec.name}.zarr"
    partial = partial_path(final.parent, final.name)
    identity = {"networks": [read_identity(path) for path in sorted(folder.glob("member-*[0-9].safetensors"))],
                "run": run_identity(config.run)}  # fmt: skip
    final.parent.mkdir(parents=True, exist_ok=True)
    n = len(samples)
    n_blocks = -(-n // BLOCK)
    with FolderLock(final.parent, ensemble.spec.name) as lock:
        done_path = partial / "done.json"
        try:
            if final.exists():
                if _identity_of(final) == identity:
                    damaged = damaged_parts(final, FILLED, n_blocks)
                    if not damaged:
                        (final / done_path.name).unlink(missing_ok=True)
                        print(f"{final} is there already", flush=True)
                        return final
                    print(f"note: {final}: {len(damaged)} blocks are damaged or missing and are made again", flush=True)
                    shutil.rmtree(partial, ignore_errors=True)
                    write_json(final / done_path.name, {"blocks": sorted(set(range(n_blocks)) - set(damaged))})
                    final.rename(partial)
                else:
                    print(f"{final} is of other networks and is made anew", flush=True)
            if not done_path.exists() or _identity_of(partial) != identity:
                _create(partial, samples, ensemble, identity, folder)
                write_json(done_path, {"blocks": []})
        except OSError as error:
            raise cannot_write(partial, error) from None
        done = set(read_json(done_path).get("blocks", []))
        blocks = [block for block in range(n_blocks) if block not in done]
        with Progress(f"predicting {ensemble.spec.name} at {w:g} m/d", "experiment") as bar:
            for block in _blocks_done(client, blocks, config, folder, partial, lock.claim):
                done.add(block)
                write_json(done_path, {"blocks": sorted(done)})
                bar.update(min(len(done) * BLOCK, n), n)
        damaged = damaged_parts(partial, FILLED, n_blocks)
        if damaged:
            write_json(done_path, {"blocks": sorted(done - set(damaged))})
            raise StoreError(
                f"{partial}: {len(damaged)} of {n_blocks} blocks are damaged or missing; give the same command again and they "
                "are made again"
            )
        try:
            finish(partial)
            (final / done_path.name).unlink()
        except OSError as error:
            raise cannot_write(partial, error) from None
    write_json(final.with_suffix(".json"), {**provenance(config), "identity": identity})
    print(f"{final}", flush=True)
    return final


def _identity_of(store: Path) -> dict | None:
    """Which networks and run a store is of; None where it cannot be told."""
    try:
        return zarr.open_group(str(store), mode="r").attrs.get("identity")
    except Exception:  # what is damaged is made anew
        return None


def _blocks_done(client, blocks: list[int], config, folder: Path, store: Path, claim: Claim) -> Iterator[int]:
    """Numbers of the blocks as they are done, here or by workers."""
    shared = (config.run.resolve(), folder.resolve(), store.resolve(), config.device)
    if client is None:
        for block in blocks:
            yield predict_block(block, *shared, 0, claim)
        return
    threads = config.threads_each(config.threads)
    for block, _ in cluster.run_tasks(client, predict_block, blocks, (*shared, threads, claim)):
        yield block


def predict_block(block: int, run: Path, folder: Path, store: Path, device: str, threads: int, claim: Claim) -> int:
    """Fill a block of experiments in an unfinished store; a task of :func:`lagrangian.cluster.run_tasks`. Returns its number.

    ``threads`` of PyTorch (0: as they are).

    Raises
    ------
    CommandGone
        The command that ``claim`` is of has ended.
    StoreError
        The store cannot be written.
    """
    if threads:
        torch.set_num_threads(threads)
    claim.wait()
    ensemble, samples = _opened(claim.word, run, folder, device)
    group = zarr.open_group(str(store), mode="r+", use_consolidated=False)
    rows = np.arange(block * BLOCK, min((block + 1) * BLOCK, len(samples)))
    pdf = np.full((rows.size, *group["pdf"].shape[1:]), np.nan, np.float32)
    spread = np.full(pdf.shape[:2], np.nan, np.float32)
    use = (samples.instants[rows] >= 0).all(axis=1)
    if use.any():
        pdf[use], spread[use] = ensemble.predict(samples.inputs(rows[use], ensemble.normalisation))
    claim.check()
    try:
        put_chunk(group, "pdf", block, shortened(pdf))
        put_chunk(group, "spread", block, spread)
    except OSError as error:
        raise cannot_write(store, error) from None
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
        **({"source": samples.attributes["source"]} if "source" in samples.attributes else {}),
    })  # fmt: skip
    array = partial(add_array, group)

    shape = (n, levels.size, *bins)
    array("pdf", shape, (BLOCK, *shape[1:]), "float32", ("experiment", "level", "y", "x"),
          {"long_name": "predicted probability that a particle crossed the level in the bin"}, fill=np.nan)  # fmt: skip
    array("spread", shape[:2], (BLOCK, levels.size), "float32", ("experiment", "level"),
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
