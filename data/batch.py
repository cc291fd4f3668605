"""Scripts for batch systems: one job that gives a command, with the time and memory that it was found to need."""

from __future__ import annotations

import math
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.option_rows import arguments_of

#: Factors from the estimates of time (which is of an idle machine) and of memory to what the script asks for.
TIME_MARGIN, MEMORY_MARGIN = 2.0, 1.3
#: Options that a job does not pass on: they belong to the look before it.
LEFT_OUT = ("check", "script", "cluster", "cluster_options", "scheduler")


@dataclass(frozen=True)
class Needs:
    """Hours on ``cores`` cores, and memory in bytes (None: unknown)."""

    hours: float
    memory: float | None
    cores: int


def batch_script(system: str, config: Any, word: str, needs: Needs) -> str:
    """A script for ``slurm`` or ``pbs`` that gives ``catchment WORD`` with the options of ``config``, in this folder.

    A job that the system ends is told two minutes before; it keeps its particles, and the same script goes on from there.
    """
    minutes = math.ceil(60 * TIME_MARGIN * needs.hours) + 10
    clock = f"{minutes // 60:02d}:{minutes % 60:02d}:00"
    gigabytes = None if needs.memory is None else math.ceil(MEMORY_MARGIN * needs.memory / 2**30)
    if system == "slurm":
        head = [
            f"#SBATCH --job-name=catchment-{word}",
            "#SBATCH --nodes=1",
            "#SBATCH --ntasks=1",
            f"#SBATCH --cpus-per-task={needs.cores}",
            *([] if gigabytes is None else [f"#SBATCH --mem={gigabytes}G"]),
            f"#SBATCH --time={clock}",
            f"#SBATCH --output=catchment-{word}-%j.log",
            "#SBATCH --signal=B:TERM@120",
        ]
    else:
        memory = "" if gigabytes is None else f":mem={gigabytes}gb"
        head = [
            f"#PBS -N catchment-{word}",
            f"#PBS -l select=1:ncpus={needs.cores}{memory}",
            f"#PBS -l walltime={clock}",
            "#PBS -j oe",
        ]
    command = shlex.join([*program(), word, *arguments_of(config, without=LEFT_OUT)])
    return "\n".join(
        ["#!/bin/bash", *head, "", "# the same script, submitted again, goes on where it was ended", "set -eu",
         f"cd {shlex.quote(str(Path.cwd()))}", f"exec {command}", ""]
    )  # fmt: skip


def program() -> list[str]:
    """How ``catchment`` is called from a folder that may be any."""
    script = Path(sys.executable).with_name("catchment")
    if script.exists():
        return [str(script)]
    return [sys.executable, "-P", "-c", "from catchment_toolkit import main; raise SystemExit(main())"]
