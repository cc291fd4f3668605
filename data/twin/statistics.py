"""``python -m data.twin.statistics``: the twin's flow against that of the NE Atlantic (method.md section 1), and a picture."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from data.command import run_command
from data.progress import Progress
from data.twin.defaults import BETA, F0, GRAVITY, SPACING
from data.twin.ocean import SST_MEAN, TwinOcean, open_twin, vertical_weights

#: KE at PAP-SO in the paper's simulation, cm2/s2, by depth in m (method.md section 1).
PAPER_KE: dict[float, float] = {0: 290, 250: 240, 500: 230, 750: 150, 1000: 85, 1250: 55, 1500: 42, 2000: 35, 2500: 28, 3000: 22}
#: std(zeta/f) there.
PAPER_VORTICITY: dict[float, float] = {0: 0.21, 300: 0.12, 1000: 0.05, 3000: 0.04}
LAGS_DAYS = (10, 30, 50)


@dataclass(frozen=True)
class StatisticsConfig:
    """Print the twin's statistics beside the paper's, and draw one day of it."""

    years: float = 1.0
    """Length of the record, years of 365 days."""
    seed: int = 0
    """Number (seed) of the ocean."""
    every: int = 5
    """Days between the samples."""
    out: Path = field(default_factory=lambda: Path("runs/twin.png"))
    """Picture to draw."""


def flow_at(ocean: TwinOcean, psi: np.ndarray, depth: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(u, v, zeta/f) of the whole flow at a depth, spectrally, each (y, x)."""
    model = ocean.record.model
    p = model.parameters
    weights = vertical_weights(np.array([depth]))[0]
    at = model.transform(np.tensordot(weights, psi.astype(np.float64), axes=1))
    u, v = model.velocity(at)
    return u + weights @ p.mean_u, v + weights @ p.mean_v, model.physical(-model.k2 * at) / F0


def statistics(ocean: TwinOcean, every: int = 5) -> dict:
    """Speeds (m/s) and vorticity by depth, SSH std (m), SSH autocorrelation by lag, correlation of velocity from 0 to 3000 m."""
    days = range(0, len(ocean.times), every)
    squares: dict[float, list] = {depth: [] for depth in PAPER_KE}
    vorticity: dict[float, list] = {depth: [] for depth in PAPER_VORTICITY}
    heights, product = [], []
    for day in days:
        psi, _ = ocean.record.day(day)
        heights.append(F0 / GRAVITY * np.tensordot(vertical_weights(np.zeros(1))[0], psi, axes=1))
        for depth in PAPER_KE:
            u, v, _ = flow_at(ocean, psi, depth)
            squares[depth].append(np.mean(u**2 + v**2))
        for depth in PAPER_VORTICITY:
            vorticity[depth].append(np.std(flow_at(ocean, psi, depth)[2]))
        top, deep = flow_at(ocean, psi, 0.0), flow_at(ocean, psi, 3000.0)
        anomaly = [field - field.mean() for field in (*top[:2], *deep[:2])]
        product.append([np.mean(anomaly[0] * anomaly[2] + anomaly[1] * anomaly[3]), np.mean(anomaly[0] ** 2 + anomaly[1] ** 2),
                        np.mean(anomaly[2] ** 2 + anomaly[3] ** 2)])  # fmt: skip
    ssh = np.array(heights)
    anomaly = ssh - ssh.mean(axis=(1, 2), keepdims=True)
    correlation = {}
    for lag in LAGS_DAYS:
        k = lag // every
        correlation[lag] = float(np.mean(anomaly[k:] * anomaly[:-k]) / np.mean(anomaly**2)) if 0 < k < len(anomaly) else np.nan
    both_speeds, top, deep = np.mean(product, axis=0)
    return {
        "speed": {depth: float(np.sqrt(np.mean(values))) for depth, values in squares.items()},
        "vorticity": {depth: float(np.mean(values)) for depth, values in vorticity.items()},
        "ssh_std": float(anomaly.std()),
        "ssh_autocorrelation": correlation,
        "velocity_correlation_0_3000": float(both_speeds / np.sqrt(top * deep)),
    }


def draw(ocean: TwinOcean, day: int, picture: Path) -> None:
    """SSH, surface temperature and zeta/f at 0, 1000 and 3000 m of one day."""
    psi, tracer = ocean.record.day(day)
    p = ocean.record.model.parameters
    n = p.n
    axis = (np.arange(n) + 0.5 - n / 2) * SPACING / 1e3
    ssh = 100 * F0 / GRAVITY * np.tensordot(vertical_weights(np.zeros(1))[0], psi, axes=1)
    sst = SST_MEAN + tracer + p.tracer_gradient * 1e3 * axis[:, None]
    panels = [("SSH, cm", ssh, "RdBu_r", np.abs(ssh).max()), ("surface temperature without season, °C", sst, "inferno", None)]
    for depth, limit in ((0, 0.3), (1000, 0.12), (3000, 0.12)):
        panels.append((f"ζ/f at {depth} m", flow_at(ocean, psi, depth)[2], "PuOr_r", limit))
    with matplotlib.rc_context({"font.size": 8}):
        figure = Figure(figsize=(11, 6.8), layout="constrained")
        FigureCanvasAgg(figure)
        for number, (title, values, colours, limit) in enumerate(panels):
            axes = figure.add_subplot(2, 3, number + 1, aspect="equal")
            limits = {} if limit is None else {"vmin": -limit, "vmax": limit}
            mesh = axes.pcolormesh(axis, axis, values, cmap=colours, rasterized=True, **limits)
            figure.colorbar(mesh, ax=axes, shrink=0.85)
            axes.set_title(title)
            axes.set_xlabel("km east of PAP-SO")
            axes.set_ylabel("km north")
        figure.suptitle(f"Twin ocean, seed {ocean.record.seed}, {str(ocean.times[day])[:10]} (β = {BETA:g} m⁻¹ s⁻¹)")
        picture.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(picture, dpi=130)


def main(config: StatisticsConfig) -> int:
    """Print and draw."""
    with Progress("computing the twin ocean", "day") as bar:
        ocean = open_twin(config.years, config.seed, progress=bar.update)
    results = statistics(ocean, config.every)
    print("depth, m   rms speed, cm/s: twin  paper  ratio")
    for depth, ke in PAPER_KE.items():
        paper = np.sqrt(2 * ke)
        print(f"{depth:8d} {100 * results['speed'][depth]:20.1f} {paper:6.1f} {100 * results['speed'][depth] / paper:6.2f}")
    print("depth, m   std zeta/f: twin  paper")
    for depth, paper in PAPER_VORTICITY.items():
        print(f"{depth:8d} {results['vorticity'][depth]:16.3f} {paper:6.2f}")
    print(f"SSH std {100 * results['ssh_std']:.1f} cm; autocorrelation " + ", ".join(
        f"{value:.2f} at {lag} d" for lag, value in results["ssh_autocorrelation"].items()))  # fmt: skip
    print(f"correlation of velocity at 0 and 3000 m: {results['velocity_correlation_0_3000']:.2f}")
    draw(ocean, len(ocean.times) // 2, config.out)
    print(f"picture: {config.out}")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(StatisticsConfig, main, prog="data.twin.statistics"))
