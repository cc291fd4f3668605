"""Catchments of an ensemble of predicted oceans.

What is expensive is shared: maps are read and networks asked once, whatever the number of members; all periods and speeds go in
one sweep, and what does not differ between members is made once for it (:mod:`learning.velocity.sweep`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from data.errors import OptionError
from data.times import DAY, timedelta_days
from lagrangian.binning import BINS, count_crossings, smooth_pdf
from lagrangian.cohorts import Cohort
from lagrangian.design import Design
from lagrangian.experiments import PlacedDesign, design_experiments
from lagrangian.integration import Integration
from learning.velocity.ocean import PredictedOcean
from learning.velocity.sweep import displacements

#: Bins that smoothing reaches (five of its standard deviations), and steps in which the part that is smoothed grows.
MARGIN, STEP = 16, 20


@dataclass(frozen=True, eq=False)
class Catchments:
    """Catchments of a period at a speed.

    Attributes
    ----------
    period : int
    w : float
    mean : (position, level, y, x) float32
        Mean of the members' smoothed PDFs, made to sum 1.
    root : (position, level, y, x) float32
        (mean of the square roots of the members' smoothed PDFs)^2, made to sum 1: the PDF of least expected BL.
    spread : (position, level) float32
        Mean Bhattacharyya loss of the members against their mean.
    reached : (position, level) float32
        Share of the members' particles that reached the level within the box of the bins; the PDFs are of these.
    """

    period: int
    w: float
    mean: np.ndarray
    root: np.ndarray
    spread: np.ndarray
    reached: np.ndarray


def check_depths(depths: np.ndarray, trap_depth: float, levels: Sequence[float]) -> None:
    """OptionError where particles would leave the depths whose velocities are known."""
    if trap_depth > depths[-1] + 1e-6:
        raise OptionError(
            f"--trap-depth {trap_depth:g}: the networks know velocities down to {depths[-1]:g} m; learn from a deeper trap"
        )
    if min(levels) < depths[0] - 1e-6:
        raise OptionError(
            f"--levels {min(levels):g}: the networks know velocities from {depths[0]:g} m down; learn from a run with that level"
        )


def member_design(design: Design, *, particles: int, release_every: float) -> Design:
    """The design of a run as a member's sweep takes it: fewer particles, as widely spread."""
    width = (round(design.particles**0.5) - 1) * design.particle_spacing
    side = round(particles**0.5)
    spacing = width / side if side < round(design.particles**0.5) else design.particle_spacing
    return dataclasses.replace(
        design, trajectories=None, particles=particles, particle_spacing=max(spacing, 1e-3), release_every=release_every
    )


def placed_in(design: Design, ocean: PredictedOcean, starts: np.ndarray) -> PlacedDesign:
    """The design of a run in a predicted ocean, with periods that begin as given."""
    free = dataclasses.replace(design, start=str(ocean.times[0].astype("datetime64[s]")), end=None)
    return dataclasses.replace(design_experiments(free, ocean), starts=np.asarray(starts).astype("datetime64[s]"))


def instants_needed(starts: np.ndarray, design: Design, every: float) -> np.ndarray:
    """datetime64[s] instants, ``every`` days apart, that periods need velocities at: from the slowest ascent before the first to
    the end of the last."""
    lead = design.ascent_days(min(design.speeds)) + every
    starts = np.asarray(starts).astype("datetime64[s]")
    last = starts.max() + timedelta_days(design.collection)
    n = int(np.ceil((last - (starts.min() - timedelta_days(lead))) / DAY / every))
    return last - timedelta_days(every) * np.arange(n, -1, -1)


def ensemble_catchments(
    oceans: Sequence[Callable[[], PredictedOcean]], design: Design, integrations: Sequence[Integration], starts: np.ndarray,
    levels: np.ndarray | None = None, progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[Catchments]:  # fmt: skip
    """Catchments of periods at all speeds, from members.

    Parameters
    ----------
    oceans : sequence of callables
        Give each member's ocean, all of one grid.
    design : Design
        Of a member (:func:`member_design`).
    integrations : sequence of Integration
        Each member's, with its seed; threads of the first are shared among members.
    starts : (period,)
        Beginnings of the collection periods.
    levels : (n,) int, optional
        Numbers of the levels wanted among ``design.ordered_levels`` (default: all). No others are looked for.
    """
    if levels is not None:
        depths = design.ordered_levels
        design = dataclasses.replace(design, levels=tuple(depths[number] for number in np.sort(levels)))
    placed = placed_in(design, oceans[0](), starts)
    collected: dict[Cohort, list[np.ndarray]] = {}
    members = displacements(oceans, placed, integrations, integrations[0].threads)
    for number, member in enumerate(members):
        for cohort, place in member.items():
            collected.setdefault(cohort, []).append(place)
        progress(number + 1, len(oceans))
    for cohort in sorted(collected, key=lambda cohort_key: (cohort_key.period, cohort_key.w)):
        yield Catchments(cohort.period, cohort.w, *combine(collected.pop(cohort)))


def combine(members: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Mean, root, spread and reached (:class:`Catchments`) of members' displacements (position, particle, level, 2), km."""
    n_positions, n_particles, n_levels, _ = members[0].shape
    mean, root = np.full((2, n_positions, n_levels, BINS, BINS), np.nan, np.float32)
    spread, inside = np.full((2, n_positions, n_levels), np.nan, np.float32)
    for position in range(n_positions):
        together = np.stack([places[position] for places in members])  # (member, particle, level, 2)
        counts, _ = count_crossings(together[..., 0], together[..., 1])
        inside[position] = counts.sum(axis=(0, 2, 3)) / (len(members) * n_particles)
        for level in range(n_levels):
            total = counts[:, level].sum(axis=(1, 2))
            used = total > 0
            if not used.any():
                continue
            place = _around(counts[used, level].any(axis=0))
            part = (counts[used, level][:, *place] / total[used, None, None]).astype(np.float32)
            pdf = smooth_pdf(part)
            average = pdf.mean(axis=0)
            square = np.sqrt(pdf).mean(axis=0) ** 2
            mean[position, level], root[position, level] = 0.0, 0.0
            mean[position, level][place], root[position, level][place] = average / average.sum(), square / square.sum()
            spread[position, level] = np.maximum(1 - np.sqrt(pdf * average).sum(axis=(-2, -1)).mean(), 0)  # rounding goes below 0
    return mean, root, spread, inside


def _around(held: np.ndarray) -> tuple[slice, slice]:
    """The part of the bins (y, x) that smoothing spreads ``held`` over; a multiple of :data:`STEP` bins on a side."""

    def along(axis: int) -> slice:
        filled = np.flatnonzero(held.any(axis=axis))
        first, last = max(0, filled[0] - MARGIN), min(BINS, filled[-1] + 1 + MARGIN)
        size = min(BINS, -(-(last - first) // STEP) * STEP)
        first = min(first, BINS - size)
        return slice(first, first + size)

    return along(1), along(0)
