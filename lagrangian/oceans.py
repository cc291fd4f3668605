"""From the option ``--ocean`` to an ocean."""

from __future__ import annotations

import numpy as np

from data.balance import look as look_at_flow
from data.errors import InputError, OptionError
from data.ocean import Ocean
from data.progress import Progress
from data.registry import opened, registered_ocean
from data.sites import parse_site
from data.vertical import ZCoordinate
from lagrangian.config import RunConfig
from lagrangian.experiments import Design

#: What a run on files that reach farther uses of them about its traps, km: the networks' fields need 400, paths seldom leave 700.
REACH_KM = 700.0


def open_ocean(config: RunConfig, look: bool = True) -> Ocean:
    """The ocean that ``--ocean`` names; ``look`` at the flow in a few of its records (workers leave that to their command)."""
    if "twin" in config.ocean:
        if len(config.ocean) > 1:
            raise OptionError("--ocean takes either 'twin' or files, not both")
        if config.grid is not None:
            raise OptionError(f"--grid {config.grid} goes with files; the twin ocean has its own grid")
        from data.twin.ocean import open_twin

        with Progress("computing the twin ocean", "day") as bar:
            return open_twin(config.years, config.seed, progress=bar.update)
    registered = registered_ocean(config.ocean)
    if registered is not None:
        opener, argument = registered
        return opened(config.ocean[0], opener, argument)
    from data.zlevel.open import open_zlevel, recognise

    files = list(config.ocean)
    if (recognise(files) if config.model == "auto" else config.model) == "croco":
        from data.croco import open_croco
        from data.croco.periodic import as_periodic

        if config.time_label != "auto":
            raise OptionError("--time-label goes with files on z-levels; CROCO files are read as they are labelled")
        ocean = open_croco(
            files,
            grid=config.grid,
            time_origin=config.time_origin,
            allow_gaps=config.allow_gaps,
            chain_files=config.chain_files,
            vtransform=config.vtransform,
        )
        if look:
            ocean.look()
            if config.vertical_velocity == "file":
                from lagrangian.file_velocity import look_at_vertical_velocity

                ocean.description["assumptions"] += look_at_vertical_velocity(ocean)
        return as_periodic(ocean, config.periodic)
    if config.chain_files or config.vtransform is not None or config.periodic != "auto":
        option = "--chain-files" if config.chain_files else "--vtransform" if config.vtransform is not None else "--periodic"
        raise OptionError(f"{option} goes with CROCO and ROMS files, not with files on z-levels")
    site = parse_site(config.site)
    extent = 0.0 if config.positions == "domain" else 0.75 * config.spacing * config.positions
    ocean = open_zlevel(
        files,
        grid=config.grid,
        model=config.model,
        time_label=config.time_label,
        time_origin=config.time_origin,
        allow_gaps=config.allow_gaps,
        center=(site.x, site.y),
        half_width_km=REACH_KM + extent,
    )
    if look:
        ocean.description["assumptions"] += look_at_flow(ocean)
    deepest = -float(ocean.vertical.w[0])
    if config.trap_depth > deepest:
        raise InputError(
            f"{ocean.record(0)[0]}: the levels end {deepest:.0f} m deep, above the trap (--trap-depth {config.trap_depth:g} m); "
            "files that reach down to the trap are needed"
        )
    return ocean


def notes_on_traps(config: RunConfig, ocean: Ocean, design: Design) -> list[str]:
    """What a user should know of the water around the traps: whether the model's levels end above them."""
    if not isinstance(ocean.vertical, ZCoordinate):
        return []
    h = ocean.grid.sample(ocean.grid.h, *ocean.grid.locate(design.trap[:, 0], design.trap[:, 1]))
    above_floor = ocean.vertical.rho[:, None] > -h[None, :]
    lowest = -ocean.vertical.rho[np.argmax(above_floor, axis=0)]
    below = config.trap_depth > lowest
    if not below.any():
        return []
    return [
        f"{np.count_nonzero(below)} of {below.size} traps lie below the model's last level there ({lowest[below].min():.0f} m): "
        "velocities between are those of that level"
    ]
