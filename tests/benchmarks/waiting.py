"""What waiting costs: a training step of the quick network in two threads that wait busily, that sleep, and in one thread.

    python -m tests.benchmarks.waiting [--steps 5] [--rounds 3]

Every case is a process of its own, in turns; the least of the rounds. On a machine that does nothing else busy threads save the
time that waking takes; where other programs use the cores they spend most of theirs on waiting. Commands let threads sleep
(:mod:`data.start`). The weights after the last step are the same with equal numbers of threads.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time

#: Threads and OMP_WAIT_POLICY; None leaves it to the library.
CASES = {"2 threads, library's own": (2, None), "2 threads, asleep": (2, "PASSIVE"), "1 thread": (1, "PASSIVE")}


def serve(threads: int, steps: int) -> None:
    """CPU seconds and seconds of a step, and a fingerprint of the weights, as JSON."""
    import torch

    from data.fingerprint import fingerprint
    from learning.config import PRESETS
    from learning.inputs import InputSpec
    from learning.network import CatchmentNetwork, pdf_head

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    preset, spec = PRESETS["quick"], InputSpec.of("sst-ssh")
    network = CatchmentNetwork(preset.architecture, spec, 3, 8)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-4)
    inputs = torch.randn(preset.batch, spec.n_channels, *network.size)
    for step in range(steps + 1):
        if step == 1:  # the first finds room
            began = time.process_time(), time.perf_counter()
        optimiser.zero_grad()
        pdf_head(network(inputs)).square().sum().backward()
        optimiser.step()
    spent = [(now - then) / steps for now, then in zip((time.process_time(), time.perf_counter()), began, strict=True)]
    weights = b"".join(parameter.detach().numpy().tobytes() for parameter in network.parameters())
    print(json.dumps([*spent, fingerprint(weights)]))


def main() -> int:
    """Print the table. Returns 1 where equal numbers of threads give unequal weights."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.steps)
        return 0
    found: dict[str, list] = {name: [] for name in CASES}
    for _ in range(options.rounds):
        for name, (threads, policy) in CASES.items():
            environment = {key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "GOMP_"))}
            environment |= {"OMP_WAIT_POLICY": policy} if policy else {}
            words = [sys.executable, "-m", "tests.benchmarks.waiting", "--serve", str(threads), "--steps", str(options.steps)]
            found[name].append(json.loads(subprocess.run(words, env=environment, capture_output=True, check=True).stdout))
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print("case | CPU s a step | s by the clock | weights")
    for name, rows in found.items():
        print(f"{name} | {min(row[0] for row in rows):.2f} | {min(row[1] for row in rows):.2f} | {rows[0][2]}")
    weights = {(CASES[name][0], row[2]) for name, rows in found.items() for row in rows}
    return int(len(weights) != len({threads for threads, _ in CASES.values()}))


if __name__ == "__main__":
    sys.exit(main())
