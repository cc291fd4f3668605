"""The members' oceans from a model and maps: the prediction is made once, each member's residuals are added on demand."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from data.times import DAY
from lagrangian.design import Design
from lagrangian.integration import Integration
from learning.velocity.lattice import Lattice
from learning.velocity.maps import Maps
from learning.velocity.members import Catchments, check_depths, ensemble_catchments, instants_needed, member_design
from learning.velocity.model import VelocityModel
from learning.velocity.ocean import DT_MINUTES, PredictedOcean, predicted_ocean
from learning.velocity.residuals import Residuals

#: Days between the instants at which velocities are predicted; the kernel is linear between them.
EVERY_DAYS = 5.0
#: Particles of one release of a member, and hours between releases.
PARTICLES, RELEASE_HOURS = 4, 12.0
#: Days beyond the record for which the flow of the record's first or last day replaces the unknown flow.
BEYOND_DAYS = 10
EPOCH = np.datetime64("2000-01-01", "s")


def member_ocean(
    prediction: PredictedOcean, size: Sequence[np.ndarray], residuals: Residuals | None, seed: tuple[int, ...]
) -> PredictedOcean:
    """The ocean of a member: the predicted one, and at each of its instants a residual of ``size`` (:meth:`Residuals.size`).

    Without ``residuals`` the prediction itself.
    """
    if residuals is None:
        return prediction
    residual = residuals.member(seed, prediction.lattice)
    days = (prediction.times.astype("datetime64[s]") - EPOCH).astype(np.float64) / 86400

    def psi(number: int) -> np.ndarray:
        return prediction.psi(number) + size[number] * residual(float(days[number]))

    return dataclasses.replace(prediction, psi=psi)


def within(times: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Instants, those up to :data:`BEYOND_DAYS` before the first map or after the last one being moved to it.

    The first period of a record has its slowest particles at its very beginning; the instants before that bracket it.
    """
    moved = np.clip(times, known[0], known[-1])
    return np.where(np.abs(moved - times) <= BEYOND_DAYS * DAY, moved, times)


def predict_catchments(
    model: VelocityModel, maps: Maps, lattice: Lattice, design: Design, starts: np.ndarray, *, members: int = 48,
    integration: Integration | None = None, seed: int = 0, particles: int = PARTICLES, release_hours: float = RELEASE_HOURS,
    levels: np.ndarray | None = None,
    sea: np.ndarray | None = None, predicted: Callable[[np.ndarray], np.ndarray] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[Catchments]:  # fmt: skip
    """Catchments of collection periods at all speeds of a design.

    Parameters
    ----------
    design : Design
        Site, positions, speeds, depths, collection, releases of the experiments.
    starts : (period,) datetime64
    members : int
        0: the prediction alone, without residuals.
    integration : Integration, optional
        Diffusivity and threads; the time step and the seeds are the members' own.
    levels : (n,) int, optional
        Numbers among ``design.ordered_levels`` that are wanted (default: all).
    predicted : callable, optional
        Instants -> streamfunctions, in place of the networks'.

    Raises
    ------
    OptionError
        A trap or level beyond the depths that the networks know.
    InputError
        Maps too far apart.
    """
    check_depths(model.depths, design.trap_depth, design.levels)
    integration = integration or Integration()
    times = instants_needed(starts, design, EVERY_DAYS)
    psi = predicted(times) if predicted is not None else model.predict(maps, within(times, maps.times), lattice)
    residuals = model.residuals if members else None
    size = [residuals.size(field, lattice) for field in psi] if residuals is not None else []
    kappa = integration.diffusivity[0] if len(integration.diffusivity) == 1 else 0.0
    prediction = predicted_ocean(lattice, model.depths, times, lambda k: psi[k], model.flow, diffusivity=kappa, sea=sea)
    oceans, integrations = [], []
    for number in range(max(1, members)):
        oceans.append(partial(member_ocean, prediction, size, residuals, (seed, number)))
        integrations.append(
            Integration(dt=DT_MINUTES, diffusivity=integration.diffusivity, threads=integration.threads,
                        seed=1_000_003 * seed + number)
        )  # fmt: skip
    member = member_design(design, particles=particles, release_every=release_hours)
    yield from ensemble_catchments(oceans, member, integrations, starts, levels, progress)
