"""Checkpoints of a sweep: the particles in flight between two windows, written aside and renamed, checked when read.

A checkpoint is a plain npz file, ``OUT/checkpoints/NAME.npz``. What is in the stores is not in it: it holds the cohorts that
had begun and not ended at one snapshot. Every member of an npz carries a checksum, so that a damaged file is known as such.
"""

from __future__ import annotations

import contextlib
import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from data.errors import cannot_write
from data.files import written_aside
from lagrangian.cohorts import Cohort

#: Folder of the checkpoints in a run folder.
FOLDER = "checkpoints"
#: Changes whenever the content of the file does.
VERSION = 1
#: Columns of the table of particles that a checkpoint keeps; a particle's clock is the snapshot's time.
PARTICLE_VARIABLES = ("x", "y", "z", "sinking_speed", "status", "next_level", "row", "uid")


@dataclass(frozen=True, eq=False)
class SweepState:
    """A sweep that has come down to one snapshot.

    Attributes
    ----------
    index : int
        Number of the snapshot; all particles stand at its time.
    time : float
        That time, s since 1970.
    cohorts : list of Cohort
        All that the sweep was given.
    flying : list of Cohort
        Those begun and not ended. Number k of them holds rows k * R to (k + 1) * R of the arrays below, R rows a cohort.
    particles : dict of (particle,) arrays
        :data:`PARTICLE_VARIABLES` of the particles that move.
    crossings : (row, level, 3) float64, status : (row,) int32
        Of the table of crossings.
    paths : (row, obs, 3) float32 or None
        Positions recorded so far, where paths are.
    """

    index: int
    time: float
    cohorts: list[Cohort]
    flying: list[Cohort]
    particles: dict[str, np.ndarray] = field(repr=False)
    crossings: np.ndarray = field(repr=False)
    status: np.ndarray = field(repr=False)
    paths: np.ndarray | None = field(repr=False, default=None)


def save(path: Path, identity: str, state: SweepState) -> None:
    """Write a state so that the file is whole or not there.

    Parameters
    ----------
    identity : str
        Digest of the configuration that the state belongs to.

    Raises
    ------
    StoreError
        The disk is full or cannot be written; the checkpoint before stays.
    """
    meta = {
        "version": VERSION,
        "identity": identity,
        "index": state.index,
        "time": state.time,
        "cohorts": [[cohort.period, cohort.w] for cohort in state.cohorts],
        "flying": [[cohort.period, cohort.w] for cohort in state.flying],
    }
    arrays: dict[str, Any] = {f"particle_{name}": state.particles[name] for name in PARTICLE_VARIABLES}
    arrays |= {"crossings": state.crossings, "status": state.status}
    if state.paths is not None:
        arrays["paths"] = state.paths
    try:
        with written_aside(path) as aside, aside.open("wb") as file:
            np.savez(file, meta=np.frombuffer(json.dumps(meta).encode(), np.uint8), **arrays)
    except OSError as error:
        raise cannot_write(path, error) from None


def load(path: Path, identity: str) -> SweepState | None:
    """Read a state; None where the file is absent, damaged, or of another configuration or version."""
    try:
        with zipfile.ZipFile(path) as whole:  # a header that asks for less than there is would never come to the checksum
            if whole.testzip() is not None:
                return None
        with np.load(path, allow_pickle=False) as file:
            meta = json.loads(file["meta"].tobytes())
            if meta["version"] != VERSION or meta["identity"] != identity:
                return None
            cohorts, flying = ([Cohort(int(p), float(w)) for p, w in meta[name]] for name in ("cohorts", "flying"))
            particles = {name: file[f"particle_{name}"] for name in PARTICLE_VARIABLES}
            paths = file["paths"] if "paths" in file.files else None
            return SweepState(
                int(meta["index"]), float(meta["time"]), cohorts, flying, particles, file["crossings"], file["status"], paths
            )
    except Exception:  # what a damaged byte makes of a zip file or of an array's header has no common kind of error
        return None


def found(out: Path) -> list[Path]:
    """The checkpoints in a run folder, in order of name."""
    return sorted((out / FOLDER).glob("*.npz"))


def clear_strays(out: Path) -> None:
    """Remove what killed processes left half-written, and the folder where nothing else is in it."""
    folder = out / FOLDER
    for path in folder.glob("*.aside"):
        path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()


def remove(path: Path) -> None:
    """Remove a checkpoint that is no longer needed, and the folder with the last of them."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
        path.parent.rmdir()
