"""How much a sweep has done, and at what cost."""

from __future__ import annotations

from typing import NamedTuple


class Effort(NamedTuple):
    """Work of a sweep, or of several together (:meth:`plus`).

    Attributes
    ----------
    particle_steps : int
        Steps of the integrator, all particles together.
    particle_days : float
        Days of ocean time that particles were followed for, all together: what does not depend on the length of a step.
    cpu_seconds : float
        CPU time, all threads of the process together, files and stores included.
    """

    particle_steps: int = 0
    particle_days: float = 0.0
    cpu_seconds: float = 0.0

    def plus(self, other: Effort) -> Effort:
        """Both together."""
        return Effort(
            self.particle_steps + other.particle_steps,
            self.particle_days + other.particle_days,
            self.cpu_seconds + other.cpu_seconds,
        )

    @property
    def particle_days_per_cpu_second(self) -> float:
        """0 where no time was measured."""
        return self.particle_days / self.cpu_seconds if self.cpu_seconds > 0 else 0.0
