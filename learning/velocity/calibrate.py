"""Fits the amplitude of the members' residuals on validation experiments, so that contours hold their nominal shares.

What is predicted is the smoothed PDF (25 km), so that it is the smoothed truth whose share within a contour is counted.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np

from lagrangian.binning import smooth_pdf
from lagrangian.pdf import export_number
from learning.velocity.ensemble import predict_catchments
from learning.velocity.runs import RunOptions

#: Multiples of the residuals that are tried.
AMPLITUDES = (0.8, 1.1, 1.4)
#: Share whose contour is asked to hold it.
SHARE = 0.5


@dataclass(frozen=True)
class Choice:
    """The scores at one amplitude of the residuals.

    Attributes
    ----------
    amplitude : float
    bl, held : dict of float to float
        By speed: mean BL of the mean of the members, and the share that its 50 % contour holds.
    pairs : (experiment, 2) float
        Spread and BL of each experiment, all speeds.
    """

    amplitude: float
    bl: dict[float, float]
    held: dict[float, float]
    pairs: np.ndarray = field(default_factory=lambda: np.empty((0, 2)), repr=False, compare=False)


def held_within(guess: np.ndarray, truth: np.ndarray, share: float = SHARE) -> np.ndarray:
    """(n,) part of ``truth`` (n, y, x) within the densest cells that hold ``share`` of ``guess`` (n, y, x)."""
    guess, truth = (maps_of.reshape(maps_of.shape[0], -1).astype(np.float64) for maps_of in (guess, truth))
    order = np.argsort(-guess, axis=1, kind="stable")
    inside, true = (np.cumsum(np.take_along_axis(values, order, axis=1), axis=1) for values in (guess, truth))
    return np.array([np.interp(share * a[-1], np.append(0, a), np.append(0, b)) for a, b in zip(inside, true, strict=True)])


def score_amplitude(model, maps, lattice, options: RunOptions, starts, stores, known, amplitude: float, members: int) -> Choice:
    """Score the mean of the members at the export level of the periods that begin at ``starts``."""
    tried = dataclasses.replace(model, residuals=dataclasses.replace(model.residuals, amplitude=amplitude))
    design, export = options.design, export_number(options.design.ordered_levels)
    bl: dict[float, list] = {w: [] for w in design.speeds}
    within_contour: dict[float, list] = {w: [] for w in design.speeds}
    pairs: list[np.ndarray] = []
    catchments = predict_catchments(tried, maps, lattice, design, starts, members=members, seed=1, levels=np.array([export]),
                               integration=options.integration)  # fmt: skip
    for catchment in catchments:
        rows = np.flatnonzero((known.start == starts[catchment.period]) & known.usable)
        counts = stores[catchment.w]["counts"][rows, export].values.astype(np.float64)
        truth = smooth_pdf(counts / stores[catchment.w]["reached"][rows, export].values[:, None, None])
        places = np.flatnonzero(known.start == starts[catchment.period]).searchsorted(rows)
        guess = catchment.mean[places, 0]
        bl[catchment.w].append(1 - np.sqrt(truth * guess).sum(axis=(-2, -1)))
        within_contour[catchment.w].append(held_within(guess, truth))
        pairs.append(np.stack([catchment.spread[places, 0], bl[catchment.w][-1]], axis=1))
    return Choice(amplitude, _means(bl), _means(within_contour), np.concatenate(pairs).astype(np.float64))


def _means(values: dict[float, list]) -> dict[float, float]:
    return {w: float(np.concatenate(parts).mean()) for w, parts in values.items()}


def choose_amplitude(choices: list[Choice]) -> tuple[float, list[dict]]:
    """The amplitude at which the contour holds its share best, mean over speeds, between the tried ones; and what each gave."""
    rows = [
        {
            "amplitude": choice.amplitude,
            "bl": float(np.mean(list(choice.bl.values()))),
            "held": 100 * float(np.mean(list(choice.held.values()))),
        }
        for choice in choices
    ]
    within_contour = np.array([row["held"] for row in rows])
    amplitude = np.array([row["amplitude"] for row in rows])
    order = np.argsort(within_contour)
    return float(np.interp(100 * SHARE, within_contour[order], amplitude[order])), rows


def fit_expected(choices: list[Choice], amplitude: float) -> tuple[float, float]:
    """(a, b) of a + b spread, the BL that a prediction of some spread has to expect: least squares over validation experiments.

    All speeds together, at the tried amplitude nearest to ``amplitude``. (mean BL, 0) where spread and BL have no relation, or a
    falling one: then spread tells nothing.
    """
    pairs = min(choices, key=lambda choice: abs(choice.amplitude - amplitude)).pairs
    spread, loss = pairs[np.isfinite(pairs).all(axis=1)].T
    if spread.size < 2 or not spread.std() > 0:
        return float(loss.mean()) if loss.size else float("nan"), 0.0
    slope = max(0.0, float(np.cov(spread, loss, bias=True)[0, 1] / spread.var()))
    return float(loss.mean() - slope * spread.mean()), slope
