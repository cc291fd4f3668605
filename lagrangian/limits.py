"""Estimates a run's cost from its options before anything is made; a run that no machine could finish is refused."""

from __future__ import annotations

from data.errors import OptionError
from data.machine import need_memory
from lagrangian.design import Design
from lagrangian.experiments import PlacedDesign
from lagrangian.integration import Integration

#: Most particle-steps of a run: about a thousand times those of 25 years with all the paper's speeds.
MOST_STEPS = 1e14
#: Bytes of one particle in flight beside its crossings and path (position, clock, identity and copies of them).
PARTICLE_BYTES = 200
#: Values of one crossing of a level, 8 bytes each.
CROSSING_VALUES = 4


def check_lattice(design: Design) -> None:
    """Refuse more trap positions and particles of one release than memory holds, before they are placed.

    Raises
    ------
    OptionError
        Names the options and the memory.
    """
    positions = 1 if design.positions == "domain" else design.positions
    need_memory(
        positions**2 * design.particles * 10 * 8.0,
        f"{positions} x {positions} --positions of {design.particles} --particles",
        "give fewer of them",
    )


def particle_steps(design: PlacedDesign, integration: Integration) -> float:
    """Steps of ``--dt`` of all particles on their way in still water from the trap to the last level."""
    each = sum(1440 * design.design.ascent_days(w) / integration.dt_minutes for w in design.speeds)
    return float(design.n_experiments) * design.n_particles * each


def flying_bytes(design: PlacedDesign) -> float:
    """Memory, bytes, of the particles that are in flight at once in one sweep over the record."""
    total = 0.0
    plain_design = design.design
    for w in design.speeds:
        periods = min(design.n_periods, (plain_design.collection + plain_design.ascent_days(w)) / plain_design.every + 1)
        path = 12 * plain_design.observations_per_path(w) if plain_design.trajectories else 0
        row = PARTICLE_BYTES + 8 * CROSSING_VALUES * len(design.levels) + path
        total += periods * design.n_positions * design.n_particles * row
    return total


def check_run(design: PlacedDesign, integration: Integration, *, shared: bool = False) -> None:
    """Refuse a run of more steps than would ever end, or (unless workers share it) of more particles in flight than memory holds.

    Raises
    ------
    OptionError
        Names the number and the options that it comes from.
    """
    steps = particle_steps(design, integration)
    if steps > MOST_STEPS:
        raise OptionError(
            f"{design.n_experiments} experiments of {design.n_particles} particles with --dt {integration.dt_minutes:g} minutes "
            f"are about {steps:.1g} particle-steps, more than {MOST_STEPS:g}; give fewer --positions, --particles or periods, "
            "or a longer --dt"
        )
    if not shared:
        need_memory(
            flying_bytes(design),
            f"{design.n_positions} trap positions of {design.n_particles} particles a period",
            "give fewer --positions, --particles or releases, a longer --every, or more time between --trajectories",
        )
