"""Cohorts: the unit in which particles are released, followed, written and noted as done."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Cohort:
    """The particles of all positions in one period at one sinking speed (m/d)."""

    period: int
    w: float


@dataclass(frozen=True, eq=False)
class CohortResult:
    """The result of a finished cohort; arrays as (position * particle,) or (position * particle, level, 3).

    crossings hold xi, eta and s since 1970; path, where recorded, (position * particle, obs, 3) xi, eta, z.
    """

    cohort: Cohort
    crossings: np.ndarray
    status: np.ndarray
    path: np.ndarray | None
