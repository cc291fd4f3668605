"""``python -m evaluation.diagnostics``: energy and vorticity of the deep flow around each trap (paper Figs. 5, 6 and B1).

One pass over the ocean's snapshots gives kinetic energy and relative vorticity over f averaged over a box around every trap,
by time and depth (:mod:`evaluation.dynamics`); :func:`evaluation.deep.deep_dynamics` averages them over depth and over the time
that the particles of each experiment took to sink (method.md section 4).
"""

from __future__ import annotations

import contextlib
import sys

from data.command import run_command
from data.lock import FolderLock
from evaluation.deep import profiles
from evaluation.dynamics import open_dynamics, run_dynamics
from evaluation.options import DiagnosticsConfig


def main(config: DiagnosticsConfig) -> int:
    """Write dynamics.zarr if it is absent, and print the profiles in it."""
    config.validate()
    with FolderLock(config.run, "diagnostics") if config.run.is_dir() else contextlib.nullcontext():
        path = run_dynamics(config.run, depths=config.depths, box_km=config.box)
    means = profiles(open_dynamics(config.run))
    print("depth, m   KE, cm2 s-2   std zeta/f")
    for depth, ke, spread in zip(means["depth"].values, means["ke"].values, means["vorticity_std"].values, strict=True):
        print(f"{depth:8.0f} {ke:13.1f} {spread:12.3f}")
    print(f"deep dynamics: {path}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(run_command(DiagnosticsConfig, main, prog="evaluation.diagnostics"))
