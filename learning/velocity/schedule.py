"""How a network of velocities is trained."""

from __future__ import annotations

import math
from dataclasses import dataclass

#: Share of the steps over which the rate rises.
RISE = 0.2


@dataclass(frozen=True)
class Schedule:
    """Steps and rates.

    Attributes
    ----------
    steps, batch, epoch_steps : int
        Steps in all, instants in each, and steps between two validations.
    lr, weight_decay : float
        Of AdamW; the rate rises over a fifth of the steps and falls to 0.
    average : float
        Decay of the running mean of the weights that is validated and kept.
    """

    steps: int = 400
    batch: int = 8
    epoch_steps: int = 25
    lr: float = 2e-3
    weight_decay: float = 1e-2
    average: float = 0.99

    @property
    def epochs(self) -> int:
        return max(1, math.ceil(self.steps / self.epoch_steps))


def learning_rate(schedule: Schedule, step: int) -> float:
    """Rate of a step: a cycle of two half cosines."""
    steps = schedule.epochs * schedule.epoch_steps
    rise = max(1.0, RISE * steps)
    if step < rise:
        return schedule.lr * (0.04 + 0.96 * 0.5 * (1 - math.cos(math.pi * step / rise)))
    return schedule.lr * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1.0, steps - rise)))
