"""Peak memory against the length of the record: the same run on a record 1, 2, 4 and 8 times as long.

    python -m tests.benchmarks.memory

The sample's 49 snapshots are repeated, forward and backward in turn, under new dates; each length runs in a process of its own.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np

from data.croco import CrocoOcean, open_croco
from data.ocean import Snapshot
from lagrangian.campaign import Campaign, Cohort
from lagrangian.config import RunConfig
from lagrangian.experiments import design_experiments

SAMPLE = Path(__file__).resolve().parent.parent / "data" / "croco_sample" / "croco_his.nc"


class Repeated:
    """An ocean whose record is read there and back, over and over."""

    def __init__(self, ocean: CrocoOcean, times: int):
        self.grid, self.s_coordinate = ocean.grid, ocean.s_coordinate
        self.variables, self.description = ocean.variables, ocean.description
        n = len(ocean.times)
        there_and_back = np.concatenate([np.arange(n), np.arange(n - 2, 0, -1)])
        self.order = np.resize(there_and_back, times * n)
        self.times = ocean.times[0] + np.arange(self.order.size) * (ocean.times[1] - ocean.times[0])
        self.ocean = ocean

    def snapshot(self, index, variables=()):
        one = self.ocean.snapshot(int(self.order[index]), variables)
        return Snapshot(self.times[index], one.u, one.v, one.zeta, one.w, one.omega, one.temp)


def measure(times: int) -> None:
    """Run once in this process and print what it took."""
    ocean = Repeated(open_croco(str(SAMPLE)), times)
    config = RunConfig(site="-21.25,44.9", w=(300.0,), positions=3, ocean=("repeated",))
    design = design_experiments(config, ocean)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    cohorts = [Cohort(period, 300.0) for period in range(design.n_periods)]
    campaign = Campaign(ocean, design, config, cohorts=cohorts, on_result=lambda result: None)
    steps = campaign.run()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{len(ocean.times):5d} snapshots, {design.n_experiments:4d} experiments, {steps / 1e6:6.1f} M steps: "
        f"peak {peak:.0f} MiB, {peak - before:.0f} of them the sweep's; {campaign.table.status.size} rows of particles"
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(int(sys.argv[1]))
    else:
        for length in (1, 2, 4, 8):
            subprocess.run([sys.executable, "-m", "tests.benchmarks.memory", str(length)], check=True)
