"""Where the networks of a run lie, and which run it is."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path

from data.errors import StoreError
from lagrangian.config import speed_folder
from lagrangian.stores import run_record as run_record

#: Beside the members: the constant PDFs (mean, and of least expected BL) of the training experiments, which predictions are
#: compared with.
CLIMATOLOGY = "climatology.safetensors"


def found_speeds(run: Path) -> tuple[float, ...]:
    """Sinking speeds whose PDFs are in a run; folders of other names (``w300-old``) are none of its own.

    Raises
    ------
    StoreError
        There are none.
    """
    speeds = []
    for path in Path(run).glob("w*/pdf.zarr"):
        with contextlib.suppress(ValueError, OverflowError):
            w = float(path.parent.name[1:])
            if speed_folder(w) == path.parent.name:
                speeds.append(w)
    if not speeds:
        raise StoreError(f"{run} holds no finished PDFs (w*/pdf.zarr); run python -m lagrangian.run --out {run} first")
    return tuple(sorted(speeds))


def run_identity(run: Path) -> str:
    """A hash of what a run's ocean and experiments are, the same wherever its folder lies."""
    return hashlib.sha256(json.dumps(run_record(run).get("identity", {}), sort_keys=True).encode()).hexdigest()[:16]


def models_folder(run: Path, w: float, inputs: str) -> Path:
    """Where the networks of a speed and an input set are kept."""
    return Path(run) / speed_folder(w) / "models" / inputs


def member_path(folder: Path, member: int) -> Path:
    """Weights of a member, numbered from 1."""
    return folder / f"member-{member:02d}.safetensors"
