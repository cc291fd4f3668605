"""How large the members' residuals must be for contours to hold what they say: fitted on validation experiments.

What is predicted is the smoothed PDF (25 km), so that it is the smoothed truth whose share within a contour is counted.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from lagrangian.binning import smooth_pdf
from learning.velocity.ensemble import predict_catchments
from learning.velocity.runs import RunOptions

#: Multiples of the residuals that are tried.
AMPLITUDES = (0.8, 1.1, 1.4)
#: Share whose contour is asked to hold it.
SHARE = 0.5


@dataclass(frozen=True)
class Choice:
    """What one amplitude gives: mean BL of the mean of the members, and the share that the 50 % contour holds, by speed."""

    amplitude: float
    bl: dict[float, float]
    held: dict[float, float]


def held_within(guess: np.ndarray, truth: np.ndarray, share: float = SHARE) -> np.ndarray:
    """(n,) part of ``truth`` (n, y, x) within the densest cells that hold ``share`` of ``guess`` (n, y, x)."""
    guess, truth = (one.reshape(one.shape[0], -1).astype(np.float64) for one in (guess, truth))
    order = np.argsort(-guess, axis=1, kind="stable")
    inside, true = (np.cumsum(np.take_along_axis(one, order, axis=1), axis=1) for one in (guess, truth))
    return np.array([np.interp(share * a[-1], np.append(0, a), np.append(0, b)) for a, b in zip(inside, true, strict=True)])


def score_amplitude(model, maps, lattice, options: RunOptions, starts, stores, known, amplitude: float, members: int) -> Choice:
    """Score the mean of the members at the last level (200 m) of the periods that begin at ``starts``."""
    tried = dataclasses.replace(model, residuals=dataclasses.replace(model.residuals, amplitude=amplitude))
    design, last = options.design, len(options.design.levels) - 1
    sizes = {"members": members, "seed": 1, "levels": np.array([last]), "integration": options.integration}
    bl: dict[float, list] = {w: [] for w in design.speeds}
    held: dict[float, list] = {w: [] for w in design.speeds}
    for one in predict_catchments(tried, maps, lattice, design, starts, **sizes):
        rows = np.flatnonzero((known.start == starts[one.period]) & known.usable)
        counts = stores[one.w]["counts"][rows, last].values.astype(np.float64)
        truth = smooth_pdf(counts / stores[one.w]["reached"][rows, last].values[:, None, None])
        guess = one.mean[np.flatnonzero(known.start == starts[one.period]).searchsorted(rows), 0]
        bl[one.w].append(1 - np.sqrt(truth * guess).sum(axis=(-2, -1)))
        held[one.w].append(held_within(guess, truth))
    return Choice(amplitude, *({w: float(np.concatenate(one).mean()) for w, one in values.items()} for values in (bl, held)))


def choose_amplitude(choices: list[Choice]) -> tuple[float, list[dict]]:
    """The amplitude at which the contour holds its share best, mean over speeds, between the tried ones; and what each gave."""
    told = [
        {
            "amplitude": one.amplitude,
            "bl": float(np.mean(list(one.bl.values()))),
            "held": 100 * float(np.mean(list(one.held.values()))),
        }
        for one in choices
    ]
    held = np.array([row["held"] for row in told])
    amplitude = np.array([row["amplitude"] for row in told])
    order = np.argsort(held)
    return float(np.interp(100 * SHARE, held[order], amplitude[order])), told
