"""Which time step: catchments against those of a quarter of the step, on the jet files or the twin.

    python -m tests.benchmarks.convergence [--ocean jet|twin] [--jet DIR] [--w 100 300] [--positions 2]

For each step it runs ``lagrangian.run`` and compares, at 200 m, with the run at a quarter of the step: median and 95th percentile
of the distance between the same particle's crossings, and BL between the PDFs of the same experiment, raw (its noise: a particle
that changes its 8 km bin) and smoothed. The default of ``--dt`` is the longest step whose mean raw BL is below 0.005.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import tempfile
from pathlib import Path

import numpy as np

from evaluation.scores import bhattacharyya_loss
from lagrangian.binning import smooth_pdf
from lagrangian.config import RunConfig, speed_folder
from lagrangian.run import main as run_main
from lagrangian.stores import open_pdf, open_store

ROOT = Path(__file__).resolve().parent.parent.parent
STEPS_MINUTES = (240.0, 120.0, 60.0, 30.0)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ocean", choices=("jet", "twin"), default="jet")
    parser.add_argument("--steps", type=float, nargs="+", default=STEPS_MINUTES)
    parser.add_argument("--jet", type=Path, default=ROOT.parent / "shared" / "data" / "croco" / "jet")
    parser.add_argument("--w", type=float, nargs="+", default=[100.0, 300.0])
    parser.add_argument("--positions", type=int, default=2)
    options = parser.parse_args()
    if options.ocean == "twin":
        where = {"diffusivity": (0.0,), "spacing": 144.0}  # no random walk: its numbers are drawn anew at every step
    else:
        files = tuple(str(path) for path in sorted(options.jet.glob("croco_his.*.nc")))
        where = {"ocean": files, "grid": str(options.jet / "croco_grd.nc"), "site": "-20.3,44.9"}
    with tempfile.TemporaryDirectory() as folder:

        def run(dt: float) -> Path:
            out = Path(folder) / f"{dt:g}"
            if not out.exists():
                config = RunConfig(w=tuple(options.w), positions=options.positions, dt=dt, out=out, **where)
                with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                    run_main(config)
            return out

        print("    w   dt | distance, m: median    95 % | BL raw: mean   largest | BL smoothed: mean  largest | particles")
        for w in options.w:
            for dt in options.steps:
                one, two = (run(step) / speed_folder(w) for step in (dt, dt / 4))
                a, b = (open_store(path / "particles.zarr", "particles") for path in (one, two))
                gap = 1e3 * np.hypot(a["x"] - b["x"], a["y"] - b["y"])[..., -1].values
                p, q = (np.nan_to_num(open_pdf(path / "pdf.zarr")["pdf"][:, -1].values) for path in (one, two))
                used = (p.sum(axis=(1, 2)) > 0) & (q.sum(axis=(1, 2)) > 0)
                raw = bhattacharyya_loss(p[used], q[used])
                smooth = bhattacharyya_loss(*(smooth_pdf(f[used]) for f in (p, q)))
                print(
                    f"{w:5g} {dt:4g} | {np.nanmedian(gap):20.2f} {np.nanpercentile(gap, 95):7.1f} | "
                    f"{raw.mean():12.5f} {raw.max():9.5f} | {smooth.mean():17.6f} {smooth.max():8.6f} | "
                    f"{int(np.isfinite(gap).sum())}"
                )


if __name__ == "__main__":
    main()
