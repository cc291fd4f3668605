"""``python -m tests.benchmarks.scores``: BL, F, entropy and mass centre of 10 000 experiments, vectorised and in a plain loop.

Both score the same made-up PDFs, in turn in the same run; the loop is timed on a part and its results are checked against the
vectorised ones. An argument sets the number of experiments.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from evaluation.scores import bhattacharyya_loss, entropy, mass_centre_distance, overlap
from lagrangian.binning import bin_centres

BLOCK = 256
LOOPED = 3


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


if __name__ == "__main__":
    main(*(int(one) for one in sys.argv[1:]))
