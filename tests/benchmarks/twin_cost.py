"""What the twin ocean costs: CPU milliseconds of a day of its flow, and of a map of chlorophyll that is stirred for a day.

    python -m tests.benchmarks.twin_cost [--before TREE] [--rounds 5]

``--before``: the checkout of another version, measured in turns with the present one; what it computes must be the same bytes,
the signs of zeros apart. Each figure is the least of the rounds, every round a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parents[2]
#: Prints ms of each part and a digest of what was computed; the first of each is not counted.
CODE = """
import hashlib, json, time
import numpy as np
from data.machine import keep_freed_memory
from data.twin.chlorophyll import advect
from data.twin.record import Record, initial_state
keep_freed_memory()
record = Record()
state = initial_state(record.model, 0)

def day():
    for _ in range(record.steps_per_day):
        record.model.step(state)

n = record.model.parameters.n
u, v = record.model.velocity(record.model.streamfunction(state.q))
field = np.random.default_rng(0).random((n, n))

def stir():
    global field
    field = advect(field, u[0], v[0], 86400.0, record.model.parameters.length / n)

spent = {}
for name, part, count in (("a day of the flow", day, 10), ("a map stirred for a day", stir, 20)):
    part()
    began = time.process_time()
    for _ in range(count):
        part()
    spent[name] = 1e3 * (time.process_time() - began) / count
print(json.dumps([spent, hashlib.sha256((state.q + 0.0).tobytes() + field.tobytes()).hexdigest()]))
"""


def measured(tree: Path) -> tuple[dict[str, float], str]:
    """CPU milliseconds of each part in a version, and the digest."""
    done = subprocess.run(
        [sys.executable, "-c", CODE], cwd=tree, env={**os.environ, "PYTHONPATH": str(tree)}, check=True, capture_output=True
    )
    spent, digest = json.loads(done.stdout)
    return spent, digest


def main() -> int:
    """Print the table; 1 where the versions' bytes differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", type=Path, help="checkout of another version")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    trees = [HERE] if options.before is None else [options.before.resolve(), HERE]
    least: dict[Path, dict[str, float]] = {}
    digests = set()
    for tree in trees * options.rounds:
        spent, digest = measured(tree)
        digests.add(digest)
        known = least.setdefault(tree, spent)
        least[tree] = {name: min(known[name], value) for name, value in spent.items()}
    for name, now in least[HERE].items():
        before = least[trees[0]][name]
        print(f"{name:26s}{f'{before:8.1f} ms before,' if len(trees) > 1 else ''}{now:8.1f} ms now"
              f"{f', {now / before:.2f} of it' if len(trees) > 1 else ''}")  # fmt: skip
    if len(digests) > 1:
        print("the bytes of the versions differ")
    return int(len(digests) > 1)


if __name__ == "__main__":
    sys.exit(main())
