"""``python -m tests.benchmarks.scores``: BL, F, entropy and mass centre of 10 000 experiments, vectorised and in a plain loop.

Both score the same made-up PDFs, in turn in the same run; the loop is timed on a part and its results are checked against the
vectorised ones. Then the whole scoring of a run, as the report does it: PDFs and predictions are read from stores of 36 positions
and 8 levels, smoothed, and scored by four models against raw and smoothed PDFs with intervals; timed on a part (the files then
are in the system's cache). An argument sets the number of experiments.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import zarr
from threadpoolctl import threadpool_limits

from evaluation.results import Scored, SpeedRun
from evaluation.scores import bhattacharyya_loss, entropy, mass_centre_distance, overlap
from lagrangian.binning import bin_centres
from lagrangian.stores import add_array
from learning.simulation import PARTS, shortened

BLOCK = 256
LOOPED = 3
STORED = 720


def pdfs(n: int, seed: int) -> np.ndarray:
    """(n, 100, 100) float32 Gaussians about random places, of random widths."""
    random = np.random.default_rng(seed)
    x = bin_centres()
    east, north = random.normal(0, 80, (2, n, 1))
    width = random.uniform(30, 100, (n, 1))
    one, other = (np.exp(-0.5 * ((x - place) / width) ** 2) for place in (north, east))
    maps = one[:, :, None] * other[:, None, :]
    return (maps / maps.sum(axis=(1, 2), keepdims=True)).astype(np.float32)


def vectorised(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """(n, 4): BL, F, entropy and distance of the mass centre."""
    return np.stack(
        [bhattacharyya_loss(true, predicted), overlap(true, predicted), entropy(predicted), mass_centre_distance(predicted)], 1
    )


def looped(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """The same by definition, cell by cell."""
    x = bin_centres().tolist()
    out = []
    for p, q in zip(true.astype(float).tolist(), predicted.astype(float).tolist(), strict=True):
        bc = f = s = east = north = total = 0.0
        for j, (row, other) in enumerate(zip(p, q, strict=True)):
            for i, (a, b) in enumerate(zip(row, other, strict=True)):
                bc += (a * b) ** 0.5
                f += min(a, b)
                if b > 0:
                    s -= b * np.log(b)
                east, north, total = east + b * x[i], north + b * x[j], total + b
        out.append((1 - bc, f, s, np.hypot(east / total, north / total)))
    return np.array(out)


def stores(run: Path) -> Path:
    """pdf.zarr and predictions of :data:`STORED` experiments of 720 particles, laid out as the toolkit does it."""
    random = np.random.default_rng(2)
    levels, rows = np.array([2500.0, 2000, 1500, 1000, 800, 600, 400, 200]), np.arange(STORED)
    true, predicted = pdfs(STORED, 3), pdfs(STORED, 4)
    counts = random.multinomial(720, (true / true.sum(axis=(1, 2), keepdims=True, dtype=float)).reshape(STORED, -1))
    counts = np.repeat(counts.reshape(STORED, 1, 100, 100), levels.size, axis=1).astype(np.uint16)
    day = np.timedelta64(86400, "s")
    start = np.datetime64("2001-01-01", "s") + rows // 36 * 10 * day
    times = {"collection_start": start, "collection_end": start + 10 * day}
    shape = (STORED, levels.size)

    def group_of(path: Path, arrays: dict, attrs: dict):
        group = zarr.create_group(store=str(path), zarr_format=3)
        group.attrs.update(attrs)
        for name, (dims, values) in arrays.items():
            chunks = (36, *values.shape[1:]) if dims[0] == "experiment" else values.shape
            add_array(group, name, values.shape, chunks, str(values.dtype), dims, {}, values)
        for name, values in times.items():
            attrs = {"units": "seconds since 1970-01-01", "calendar": "proleptic_gregorian"}
            add_array(group, name, values.shape, values.shape, "int64", ("experiment",), attrs, values.astype(np.int64))

    map_of = ("experiment", "level", "y", "x")
    axes = {"level": (("level",), levels), "x": (("x",), bin_centres()), "y": (("y",), bin_centres())}
    places = {name: (("experiment",), rows % 36 * 1.0) for name in ("position", "trap_lon", "trap_lat")}
    reached = (map_of[:2], np.full(shape, 720, np.uint32))
    group_of(run / "w080" / "pdf.zarr", {"counts": (map_of, counts), "reached": reached, **axes, **places}, {})
    guess = shortened(np.repeat(predicted[:, None], levels.size, axis=1))
    part = (map_of[:1], np.where(rows < STORED / 2, PARTS.index("train"), PARTS.index("test")).astype(np.int8))
    made = {"pdf": (map_of, guess), "spread": (map_of[:2], np.zeros(shape, np.float32)), "part": part, **axes,
            **dict.fromkeys(("climatology", "climatology_root"), (map_of[1:], guess[:STORED // 2].mean(axis=0)))}  # fmt: skip
    group_of(run / "w080" / "predictions" / "sst-ssh.zarr", made, {"identity": {}})
    return run


def main(n: int = 10_000) -> None:
    """Time both and print the ratio."""
    true, predicted = pdfs(BLOCK, 0), pdfs(BLOCK, 1)
    started = time.perf_counter()
    for first in range(0, n, BLOCK):
        fast = vectorised(true[: n - first], predicted[: n - first])
    quick = (time.perf_counter() - started) / n
    fast = vectorised(true[:LOOPED], predicted[:LOOPED])
    started = time.perf_counter()
    slow = looped(true[:LOOPED], predicted[:LOOPED])
    plain = (time.perf_counter() - started) / LOOPED
    np.testing.assert_allclose(fast, slow, rtol=2e-4, atol=1e-5)
    print(f"{n} experiments: vectorised {quick * n:.1f} s; plain loop {plain * n:.0f} s, from {LOOPED} of them")
    print(f"ratio {plain / quick:.0f}")
    with tempfile.TemporaryDirectory() as folder:
        run = stores(Path(folder))
        started, busy = time.perf_counter(), time.process_time()
        # as the command has it
        with threadpool_limits(1, user_api="blas"):
            Scored.of(SpeedRun.open(run, 80.0))
        taken, busy = (n / STORED * one for one in (time.perf_counter() - started, time.process_time() - busy))
    print(f"the whole scoring of {n} experiments from stores: {taken:.1f} s, {busy:.1f} s of a processor, from {STORED} of them")


if __name__ == "__main__":
    main(*(int(one) for one in sys.argv[1:]))
