"""``python -m evaluation.animation``: a film of one experiment, its particles backward in time from the trap to where they
crossed the last level."""

from __future__ import annotations

import sys

from data.command import run_command
from evaluation.figures.film import animate_experiment
from evaluation.options import AnimationConfig
from lagrangian.config import speed_folder
from learning.folders import found_speeds


def main(config: AnimationConfig) -> int:
    """Write the film."""
    w = found_speeds(config.run)[0] if config.w is None else config.w
    out = config.out or config.run / speed_folder(w) / f"film-{config.experiment:04d}.gif"
    animate_experiment(config.run, w, config.experiment, out, config.fps, config.frames)
    print(f"film: {out}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(run_command(AnimationConfig, main, prog="evaluation.animation"))
