"""Folders of a run's networks, and the identity of the run."""

from __future__ import annotations

import contextlib
from pathlib import Path

from data.errors import StoreError
from data.fingerprint import fingerprint_of_json
from lagrangian.config import speed_folder
from lagrangian.record import run_record

#: Beside the members: the constant PDFs (mean, and of least expected BL) of the training experiments, which predictions are
#: compared with.
CLIMATOLOGY = "climatology.safetensors"
#: Files that a speed's folder holds only if its PDFs exist or existed, and the beginning of names of predictions that it may hold
#: without: those of learnt velocities are of any speed.
_WITH_PDFS, _OF_ANY_SPEED = ("particles.zarr", "trajectories.zarr", "predictions/*.zarr*"), "velocity-"


def found_speeds(run: Path) -> tuple[float, ...]:
    """Sinking speeds whose PDFs are in a run; folders of other names (``w300-old``) are none of its own.

    Raises
    ------
    StoreError
        There are none; or what was made of the PDFs of a speed is there, and they are not.
    """
    speeds = []
    for folder in Path(run).glob("w*"):
        with contextlib.suppress(ValueError, OverflowError):
            w = float(folder.name[1:])
            if speed_folder(w) != folder.name:
                continue
            if (folder / "pdf.zarr").exists():
                speeds.append(w)
                continue
            beside = [path for name in _WITH_PDFS for path in sorted(folder.glob(name))]
            if left := [path for path in beside if not path.name.startswith(_OF_ANY_SPEED)]:
                raise StoreError(
                    f"{folder / 'pdf.zarr'} does not exist, and {left[0]} does: give the same lagrangian.run again, and it is "
                    "made again"
                )
    if not speeds:
        raise StoreError(f"{run} holds no finished PDFs (w*/pdf.zarr); run python -m lagrangian.run --out {run} first")
    return tuple(sorted(speeds))


def run_identity(run: Path) -> str:
    """A hash of what a run's ocean and experiments are, the same wherever its folder lies."""
    return fingerprint_of_json(run_record(run).get("identity", {}))


def models_folder(run: Path, w: float, inputs: str) -> Path:
    """Where the networks of a speed and an input set are kept."""
    return Path(run) / speed_folder(w) / "models" / inputs


def member_path(folder: Path, member: int) -> Path:
    """Weights of a member, numbered from 1."""
    return folder / f"member-{member:02d}.safetensors"


def found_models(run: Path) -> list[Path]:
    """Folders of velocity networks of a run."""
    return sorted({path.parent for path in Path(run).glob("models/velocity-*/member-*[0-9].safetensors")})
