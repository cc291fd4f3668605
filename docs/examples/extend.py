"""An ocean, a site, a score and a network of one's own, run small: python docs/examples/extend.py FOLDER"""

import shlex
import sys

import numpy as np
from torch import nn

from data.command import run_command
from data.grid import HorizontalGrid
from data.ocean import Snapshot
from data.registry import register_network, register_ocean, register_score, register_site
from data.sites import Site
from data.vertical import SCoordinate
from evaluation.report import ReportConfig
from evaluation.report import main as report
from lagrangian.config import RunConfig
from lagrangian.run import main as backtrack
from learning.config import FitConfig
from learning.fit import main as fit
from learning.predict import PredictConfig
from learning.predict import main as predict

x, y = np.meshgrid(*2 * [np.arange(61) * 16e3])  # m; periodic: the last row and column repeat the first
one = np.ones_like(x)
flat = HorizontalGrid(4500 * one, one / 16e3, one / 16e3, x - 480e3, y - 480e3, one > 0, 0 * one, 1e-4 * one,
                      spherical=False, periodic=(True, True), center=(-20.0, 45.0), stagger="A")  # fmt: skip


class Gyres:
    """Eddies of 240 km that drift eastward by SPEED km a day, weaker with depth, in geostrophic balance."""
    grid, vertical, variables = flat, SCoordinate.from_stretching(10, 5.0, 2.0, 250.0), frozenset({"temp"})
    times = np.datetime64("2001-01-01", "ns") + np.arange(400) * np.timedelta64(24, "h")

    def __init__(self, speed):
        self.speed, self.description = float(speed), {"kind": "gyres"}

    def snapshot(self, index, variables=()):
        a, b, k = 2 * np.pi * (x - 1e3 * self.speed * index) / 480e3, 2 * np.pi * y / 480e3, 2 * np.pi / 480e3
        profile = 0.2 * np.exp(self.vertical.z_rho(flat.h, 0 * x) / 1500)
        u, v, zeta = profile * np.sin(a) * np.sin(b), profile * np.cos(a) * np.cos(b), 0.2e-4 / 9.81 / k * np.sin(a) * np.cos(b)
        u, v, zeta, temp = (np.ascontiguousarray(value, np.float32) for value in (u, v, zeta, 4 + 40 * profile + zeta))
        return Snapshot(self.times[index], u, v, zeta, temp=temp)


register_ocean("gyres")(Gyres)
register_site(Site("gyre-trap", -20.0, 45.0, "a trap between gyres"))
register_score("hit_rate")(lambda p, q: (p * (q > 1e-4)).sum(axis=(1, 2)))
register_network("thin")(lambda n_channels, n_maps, architecture: nn.Conv2d(n_channels, n_maps, 9, padding=4))

if __name__ == "__main__":
    run = ["--run", sys.argv[1]]
    trap = "--ocean gyres:6 --site gyre-trap --w 300 --every 10 --collection 10 --positions 1 --particles 9"
    codes = [run_command(RunConfig, backtrack, prog="run", argv=[*shlex.split(trap), "--out", sys.argv[1]])]
    network = [*run, *shlex.split("--method unet --architecture thin --epochs 2 --members 1")]
    codes += [run_command(FitConfig, fit, prog="fit", argv=network)]
    codes += [run_command(PredictConfig, predict, prog="predict", argv=[*run, "--method", "unet"])]
    codes += [run_command(ReportConfig, report, prog="report", argv=[*run, "--resolution-experiments", "0"])]
    sys.exit(max(codes))
