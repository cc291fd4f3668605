"""What a run would cost, estimated from its options before anything is made, and refused where no machine would end it."""

from __future__ import annotations

from data.errors import OptionError
from data.machine import need_memory
from lagrangian.campaign import observations_per_path
from lagrangian.config import DT_MINUTES, RunConfig
from lagrangian.experiments import Design, ascent_days

#: Most particle-steps of a run: about a thousand times those of 25 years with all the paper's speeds.
MOST_STEPS = 1e14
#: Bytes of one particle in flight beside its crossings and path (position, clock, identity and copies of them).
PARTICLE_BYTES = 200
#: Values of one crossing of a level, 8 bytes each.
CROSSING_VALUES = 4


def check_lattice(config: RunConfig) -> None:
    """Refuse more trap positions and particles of one release than memory holds, before they are placed.

    Raises
    ------
    OptionError
        Names the options and the memory.
    """
    positions = 1 if config.positions == "domain" else config.positions
    need_memory(
        positions**2 * config.particles * 10 * 8.0,
        f"{positions} x {positions} --positions of {config.particles} --particles",
        "give fewer of them",
    )


def particle_steps(config: RunConfig, design: Design) -> float:
    """Steps of ``--dt`` of all particles on their way in still water from the trap to the last level."""
    minutes = config.dt or DT_MINUTES
    each = sum(1440 * ascent_days(config, w) / minutes for w in config.w)
    return float(design.n_experiments) * design.n_particles * each


def flying_bytes(config: RunConfig, design: Design) -> float:
    """Memory, bytes, of the particles that are in flight at once in one sweep over the record."""
    total = 0.0
    for w in config.w:
        periods = min(design.n_periods, (config.collection + ascent_days(config, w)) / config.every + 1)
        path = 12 * observations_per_path(config, w) if config.trajectories else 0
        row = PARTICLE_BYTES + 8 * CROSSING_VALUES * len(config.levels) + path
        total += periods * design.n_positions * design.n_particles * row
    return total


def check_run(config: RunConfig, design: Design) -> None:
    """Refuse a run of more steps than would ever end, or of more particles in flight than memory holds.

    Raises
    ------
    OptionError
        Names the number and the options that it comes from.
    """
    steps = particle_steps(config, design)
    if steps > MOST_STEPS:
        raise OptionError(
            f"{design.n_experiments} experiments of {design.n_particles} particles with --dt {config.dt or DT_MINUTES:g} minutes "
            f"are about {steps:.1g} particle-steps, more than {MOST_STEPS:g}; give fewer --positions, --particles or periods, "
            "or a longer --dt"
        )
    if not config.distributed:
        need_memory(
            flying_bytes(config, design),
            f"{design.n_positions} trap positions of {design.n_particles} particles a period",
            "give fewer --positions, --particles or releases, a longer --every, or more time between --trajectories",
        )
