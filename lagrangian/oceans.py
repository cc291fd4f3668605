"""From the option ``--ocean`` to an ocean."""

from __future__ import annotations

from data.errors import OptionError
from data.ocean import Ocean
from data.progress import Progress
from lagrangian.config import RunConfig


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
    from data.croco import open_croco

    ocean = open_croco(
        list(config.ocean),
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
    return ocean
