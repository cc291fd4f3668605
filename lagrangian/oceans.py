"""The ocean of a run: opened about its traps, checked against their depth."""

from __future__ import annotations

import numpy as np

from data.errors import InputError
from data.ocean import Ocean
from data.oceans import OceanSource
from data.vertical import ZCoordinate
from lagrangian.design import Design
from lagrangian.experiments import PlacedDesign

#: Half width of the part of larger files that a run uses about its traps, km: networks' fields need 400, paths seldom leave 700.
REACH_KM = 700.0


def open_for(source: OceanSource, design: Design, *, vertical_velocity: str = "continuity", look: bool = True) -> Ocean:
    """The ocean of a design; ``look`` at the flow in a few of its records (workers leave that to their command).

    Raises
    ------
    OptionError, InputError
        As :meth:`data.oceans.OceanSource.open`; or the levels of the files end above the trap.
    """

    def about() -> tuple[tuple[float, float], float]:
        extent = 0.0 if design.positions == "domain" else 0.75 * design.spacing * design.positions
        return (design.place.x, design.place.y), REACH_KM + extent

    def look_closer(ocean: Ocean) -> list[str]:
        from lagrangian.file_velocity import look_at_vertical_velocity

        return look_at_vertical_velocity(ocean)

    ocean = source.open(look=look, about=about, look_closer=look_closer if vertical_velocity == "file" else None)
    record = getattr(ocean, "record", None)
    on_levels = isinstance(ocean.vertical, ZCoordinate)
    if record is not None and on_levels and design.trap_depth > (deepest := -float(ocean.vertical.a_w[0])):
        raise InputError(
            f"{record(0)[0]}: the levels end {deepest:.0f} m deep, above the trap (--trap-depth {design.trap_depth:g} m); "
            "files that reach down to the trap are needed"
        )
    return ocean


def notes_on_traps(ocean: Ocean, design: PlacedDesign) -> list[str]:
    """Notes on the water around the traps: whether the model's levels end above a trap."""
    if not isinstance(ocean.vertical, ZCoordinate):
        return []
    h = ocean.grid.sample(ocean.grid.h, *ocean.grid.locate(design.trap[:, 0], design.trap[:, 1]))
    above_floor = ocean.vertical.rho[:, None] > -h[None, :]
    lowest = -ocean.vertical.rho[np.argmax(above_floor, axis=0)]
    below = design.trap_depth > lowest
    if not below.any():
        return []
    return [
        f"{np.count_nonzero(below)} of {below.size} traps lie below the model's last level there ({lowest[below].min():.0f} m): "
        "velocities between are those of that level"
    ]
