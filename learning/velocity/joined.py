"""Several simulations to learn velocities from: their records one after the other, far apart in time.

Networks over-fit one record sooner than they lack steps; more simulated years help more than more steps. Days of
the further records are learnt from; validation, residuals and test stay with the first.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data.errors import InputError
from learning.velocity.maps import MapSpec
from learning.velocity.targets import Velocities

#: Time between the beginnings of two records, so that no map of one record is used for a day of another.
APART = np.timedelta64(1000 * 365 * 86400, "s")
DAY_SECONDS = 86400


def joined(velocities: Velocities, further: Sequence[tuple[Path, Velocities]], spec: MapSpec) -> tuple[Velocities, np.ndarray]:
    """All records as one, and the numbers of instants of the further records that have all their maps.

    Parameters
    ----------
    velocities : Velocities
        Of the run itself; its instants keep their numbers.
    further : (run, Velocities) each
    spec : MapSpec
        Tells how many days of maps an instant needs on either side.

    Raises
    ------
    InputError
        A further run has other depths, points or variables, or is too short.
    """
    if not further:
        return velocities, np.zeros(0, int)
    numbers, first = [], velocities.times.size
    times = [velocities.times]
    days = (*spec.ssh_days, *spec.other_days)
    before, after = (np.timedelta64(DAY_SECONDS * int(span), "s") for span in (-min(0, *days), max(0, *days)))
    for place, (run, later) in enumerate(further, 1):
        _check(run, velocities, later)
        usable = (later.times - before >= later.times[0]) & (later.times + after <= later.times[-1])
        if not usable.any():
            raise InputError(f"{run}: its record is shorter than the maps around one instant; give a longer one, or leave it out")
        numbers.append(first + np.flatnonzero(usable))
        first += later.times.size
        times.append(later.times + place * APART)
    parts = [velocities, *(part_further for _, part_further in further)]
    names = [name for name in velocities.surface if all(name in part.surface for part in parts)]
    attributes = dict(velocities.attributes)
    attributes["identity"] = {"first": velocities.attributes.get("identity"),
                              "further": [part.attributes.get("identity") for part in parts[1:]]}  # fmt: skip
    record = dataclasses.replace(
        velocities, times=np.concatenate(times), psi=np.concatenate([part.psi for part in parts]),
        flow=np.concatenate([part.flow for part in parts]), rotational=np.concatenate([part.rotational for part in parts]),
        surface={name: np.concatenate([part.surface[name] for part in parts]) for name in names}, attributes=attributes,
    )  # fmt: skip
    return record, np.concatenate(numbers)


def _check(run: Path, velocities: Velocities, other: Velocities) -> None:
    """InputError if a network of one record cannot learn from the other record."""
    mine, its = velocities.lattice, other.lattice
    if not np.array_equal(velocities.depths, other.depths):
        raise InputError(
            f"{run} has velocities at {', '.join(f'{depth:g}' for depth in other.depths)} m, not at "
            f"{', '.join(f'{depth:g}' for depth in velocities.depths)} m; give runs of the same --trap-depth and --levels"
        )
    if (mine.shape, mine.periodic, mine.frame.spacing_km) != (its.shape, its.periodic, its.frame.spacing_km):
        raise InputError(
            f"{run} has {its.shape[0]} x {its.shape[1]} points {its.frame.spacing_km:g} km apart, not {mine.shape[0]} x "
            f"{mine.shape[1]}, {mine.frame.spacing_km:g} km apart; give runs around sites of the same extent"
        )
