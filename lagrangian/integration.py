"""How particles are followed: time step, vertical velocity, diffusivity, kernel, threads, seed."""

from __future__ import annotations

import dataclasses
import typing
from dataclasses import dataclass
from typing import Annotated, Literal

from data.bounds import MAX_SEED, bounds, check_bounds
from data.errors import InputError, OptionError, need
from data.ocean import Ocean, preferences_of

#: Longest time step where the ocean names none, minutes (tests/benchmarks/convergence.py).
DT_MINUTES = 120.0

# what the fields of an integration, and the options of the command, may be
Minutes = Annotated[float | None, *bounds(least=0.01, most=1e5, unit="minutes")]
Diffusivities = Annotated[tuple[float, ...], *bounds(least=0, most=1e6, unit="m2/s, m")]
Threads = Annotated[int, *bounds(least=0, most=4096)]
Seed = Annotated[int, *bounds(least=0, most=MAX_SEED)]
VerticalVelocity = Literal["continuity", "file", "none"]
Kernel = Literal["compiled", "parcels"]


@dataclass(frozen=True)
class Integration:
    """The numerics of a run. The ocean decides values left open here (:func:`data.ocean.preferences_of`): see :meth:`resolved`.

    Attributes
    ----------
    dt : float, optional
        Longest time step, minutes.
    vertical_velocity : {"continuity", "file", "none"}
        omega from u, v, zeta by continuity; the ocean's own w or omega; or none.
    diffusivity : tuple of float
        Horizontal diffusivity of unresolved motion, m2/s: one value, or pairs of a depth (m) and the value from there down.
    kernel : {"compiled", "parcels"}
        The toolkit's compiled kernel, or Parcels' own interpolation.
    threads : int
        Of the compiled kernel; 0: one for each core.
    seed : int
        Of the random walk.

    >>> Integration(dt=60.0, diffusivity=(0.0, 70.0, 1000.0, 10.0)).profile
    ((0.0, 1000.0), (70.0, 10.0))
    """

    dt: Minutes = None
    vertical_velocity: VerticalVelocity = "continuity"
    diffusivity: Diffusivities = ()
    kernel: Kernel = "compiled"
    threads: Threads = 0
    seed: Seed = 0

    @property
    def dt_minutes(self) -> float:
        """The longest time step, minutes; the general default where none is given."""
        return DT_MINUTES if self.dt is None else self.dt

    @property
    def profile(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Depths (m) and the diffusivities (m2/s) from there down; both empty where there is none."""
        values = tuple(float(value) for value in self.diffusivity)
        return ((0.0,) if len(values) == 1 else values[::2], values if len(values) == 1 else values[1::2])

    def validate(self) -> None:
        """Check every value.

        Raises
        ------
        OptionError
            Names the option of the command, its value and its bounds.
        """
        check_bounds(self)
        for name, kinds in (("vertical_velocity", VerticalVelocity), ("kernel", Kernel)):
            choices, value = typing.get_args(kinds), getattr(self, name)
            need(value in choices, f"--{name.replace('_', '-')} {value!r}: must be one of {', '.join(choices)}")
        if len(self.diffusivity) > 1:
            need(len(self.diffusivity) % 2 == 0, "--diffusivity takes one value in m2/s, or pairs DEPTH KAPPA")
            depths = self.diffusivity[::2]
            need(depths[0] == 0 and sorted(set(depths)) == list(depths), "--diffusivity: depths must increase from 0 m")

    def resolved(self, ocean: Ocean) -> Integration:
        """The numerics with open values set by the ocean's preferences."""
        preferences = preferences_of(ocean)
        changes: dict = {}
        if not self.diffusivity and preferences.diffusivity:
            changes["diffusivity"] = (preferences.diffusivity,)
        if self.dt is None:
            changes["dt"] = DT_MINUTES if preferences.dt_minutes is None else preferences.dt_minutes
        if self.vertical_velocity == "continuity" and preferences.no_continuity:
            changes["vertical_velocity"] = "none"
        return dataclasses.replace(self, **changes)

    def check(self, ocean: Ocean) -> None:
        """Refuse what this ocean does not allow.

        Raises
        ------
        InputError
            Its own vertical velocity is asked for, and there is none.
        OptionError
            Parcels' kernel with a periodic domain or a random walk.
        """
        if self.vertical_velocity == "file" and not {"w", "omega"} & set(ocean.variables):
            raise InputError("--vertical-velocity file: the ocean holds neither w nor omega; use continuity")
        if self.kernel == "parcels" and any(ocean.grid.periodic):
            raise OptionError("--kernel parcels does not know periodic domains; use --kernel compiled")
        if self.kernel == "parcels" and any(self.diffusivity):
            raise OptionError("--kernel parcels has no random walk; leave --diffusivity out")
