"""The front door: CPU seconds of every ``--help``, and what ``--check`` foretells beside what the run then takes.

    python -m tests.benchmarks.door help
    python -m tests.benchmarks.door check [OPTIONS of lagrangian.run]

Without options the check is of a year of the twin ocean at 80 and 300 m/d. Each command is a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from data.batch import program
from data.commands import words
from lagrangian.estimate import size_of

#: In a process of its own: a run, then its CPU time and most memory.
MEASURED = """
import sys, time
from data.command import run_command
from data.machine import peak_memory
from lagrangian.config import RunConfig
from lagrangian.run import main
code = run_command(RunConfig, main, prog="lagrangian.run", argv=[*sys.argv[1:], "--quiet"])
print(time.process_time(), peak_memory())
sys.exit(code)
"""
#: In a process of its own: the cost that a check finds, as JSON.
FORETOLD = """
import dataclasses, json, sys
from data.command import run_command
from lagrangian import check
from lagrangian.config import RunConfig
from lagrangian.run import main
real = check.cost_of
def cost_of(*arguments, **options):
    found = real(*arguments, **options)
    print(json.dumps(dataclasses.asdict(found)))
    return found
check.cost_of = cost_of
sys.exit(run_command(RunConfig, main, prog="lagrangian.run", argv=[*sys.argv[1:], "--check"]))
"""


def helps() -> None:
    """CPU seconds of ``--help`` of ``catchment`` and all its commands."""
    for word in ["", *words()]:
        command = [*program(), *([word] if word else []), "--help"]
        code = (
            "import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)\n"
            "used = resource.getrusage(resource.RUSAGE_CHILDREN); print(used.ru_utime + used.ru_stime)"
        )
        least = min(
            float(subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, check=True).stdout)
            for _ in range(3)
        )
        print(f"{least:6.2f} s  catchment {word} --help")


def check(options: list[str]) -> None:
    """What was foretold, what was taken, and their ratio."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        arguments = [*(options or ["--w", "80", "300"]), "--out", str(out)]
        told = subprocess.run([sys.executable, "-c", FORETOLD, *arguments], stdout=subprocess.PIPE, text=True, check=True).stdout
        cost = json.loads(next(line for line in told.splitlines() if line.startswith("{")))
        done = subprocess.run([sys.executable, "-c", MEASURED, *arguments], capture_output=True, text=True, check=True).stdout
        cpu, memory = (float(one) for one in done.split()[-2:])
        result = json.loads((out / "run.json").read_text())["result"]
        rows = {
            "steps, million": (cost["steps"] / 1e6, result["particle_steps"] / 1e6),
            "CPU, s": (cost["cpu_seconds"], cpu),
            "memory, MB": (cost["memory"] / 1e6, memory / 1e6),
            "disk, MB": (cost["disk"] / 1e6, size_of(out) / 1e6),
        }
    print(f"{'':<16}{'foretold':>10}{'taken':>10}{'ratio':>8}")
    for name, (one, two) in rows.items():
        print(f"{name:<16}{one:10.4g}{two:10.4g}{one / two:8.2f}")


def main(argv: list[str]) -> int:
    """``help``, or ``check`` with options of a run."""
    if argv[:1] == ["help"]:
        helps()
    elif argv[:1] == ["check"]:
        check(argv[1:])
    else:
        print(__doc__)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
