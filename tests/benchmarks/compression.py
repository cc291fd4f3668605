"""How small and how fast each setting of the compressor makes the chunks of a run's stores.

    python -m tests.benchmarks.compression --run RUN [--rounds N]

RUN is a run with predictions. One chunk of an array of each kind (predicted PDFs, counts, places of particles) is compressed and
decompressed by each setting, in turns; times are the least of N rounds, on one thread, of CPU time.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import zarr
from numcodecs import blosc

#: Level of zstd, and what is shuffled before; the last is what :func:`data.chunks.add_array` has.
SETTINGS = ((5, "bytes"), (3, "bytes"), (1, "bytes"), (5, "bits"), (1, "bits"), (3, "bits"))
ARRAYS = ("predictions/*.zarr/pdf", "pdf.zarr/counts", "particles.zarr/x", "particles.zarr/lon")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, required=True, help="a run with predictions")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    blosc.set_nthreads(1)
    for pattern in ARRAYS:
        path = min(options.run.glob(f"w*/{pattern}"), default=None)
        if path is None:
            print(f"{pattern}: none in {options.run}")
            continue
        array = zarr.open_array(str(path), mode="r")
        chunk = np.ascontiguousarray(array[: array.chunks[0]])
        print(f"{path.relative_to(options.run)}: a chunk {chunk.shape} {chunk.dtype}, {chunk.nbytes / 2**20:.1f} MiB")
        measure(chunk, options.rounds)


def measure(chunk: np.ndarray, rounds: int) -> None:
    """Print a row for each setting."""
    least = {setting: [np.inf, np.inf] for setting in SETTINGS}
    size = {}
    for _ in range(rounds):
        for setting in SETTINGS:
            level, kind = setting
            shuffle = blosc.BITSHUFFLE if kind == "bits" else blosc.SHUFFLE
            started = time.process_time()
            packed = blosc.compress(chunk, b"zstd", level, shuffle)
            between = time.process_time()
            blosc.decompress(packed)
            spent = between - started, time.process_time() - between
            size[setting] = len(packed)
            least[setting] = [min(pair) for pair in zip(least[setting], spent, strict=True)]
    for (level, kind), (packing, unpacking) in least.items():
        share = size[level, kind] / chunk.nbytes
        print(f"  level {level}, {kind:5s}: {share:7.4f} of its size, {1e3 * packing:6.1f} ms, back {1e3 * unpacking:5.1f} ms")


if __name__ == "__main__":
    main()
