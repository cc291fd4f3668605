"""A sweep of a few particles through a small ocean in closed form."""

from __future__ import annotations

import numpy as np

from lagrangian.config import RunConfig
from tests.builders.analytic import SHALLOW_TO_DEEP, AnalyticOcean, eddies, plane

SMALL = RunConfig(
    site="0,0",
    w=(300.0, 200.0),
    levels=(2000.0, 1000.0, 200.0),
    particles=4,
    positions=2,
    release_every=48.0,
    every=5.0,
    collection=5.0,
)


def analytic_ocean(days=30, dx=8e3, width=416e3, speed=0.15, s=SHALLOW_TO_DEEP, **grid):
    n = round(width / dx) + 1
    u, v = eddies(width=70e3, speed=speed)
    times = np.datetime64("2001-01-01", "ns") + np.arange(2 * days + 1) * np.timedelta64(12, "h")
    return AnalyticOcean(plane(n, n, dx=dx, h=4500.0, **grid), s, times, u, v, description={"kind": "analytic"})
