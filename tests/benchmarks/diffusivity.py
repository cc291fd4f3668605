"""Which diffusivity the twin's particles need: catchments with and without a random walk.

    python -m tests.benchmarks.diffusivity [--kappa 0 35 70 140] [--w 80] [--start 2000-03-01] [--end 2000-06-01]

An ocean of 8 km has no submesoscale, so that its clouds of particles are filaments thinner than a bin of the PDF. The random walk
should fill the bins that the method's smoothing fills, and not widen the catchment: printed are BL between the raw and the
smoothed PDF of the same experiment, their entropies, and what must not change, the mass centre and the score of the 192 km box.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import tempfile
from pathlib import Path

import numpy as np

from evaluation.experiments import baselines, level_index, score_experiments, true_pdfs
from evaluation.scores import bhattacharyya_loss
from lagrangian.binning import smooth_pdf
from lagrangian.config import RunConfig, speed_folder
from lagrangian.run import main as run_main
from lagrangian.stores import open_store


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kappa", type=float, nargs="+", default=[0.0, 35.0, 70.0, 140.0])
    parser.add_argument("--w", type=float, default=80.0)
    parser.add_argument("--start", default="2000-03-01")
    parser.add_argument("--end", default="2000-06-01")
    options = parser.parse_args()
    print("kappa, m2/s | BL raw-smoothed | entropy raw, smoothed | mass centre, km | F of the 192 km box, %")
    for kappa in options.kappa:
        with tempfile.TemporaryDirectory() as folder:
            config = RunConfig(
                w=(options.w,), diffusivity=(kappa,), start=options.start, end=options.end, positions=3, spacing=72.0,
                out=Path(folder),
            )  # fmt: skip
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                run_main(config)
            store = open_store(Path(folder) / speed_folder(options.w) / "pdf.zarr", "pdf")
            level = level_index(store, 200.0)
            raw = true_pdfs(store, level, slice(None))
            box = {"box200": baselines(store["x"].values, store["y"].values)["box200"]}
            found = score_experiments(store, level, box)
            smoothed = found.sel(target="smoothed")
            centre = np.nanmedian(np.hypot(smoothed["mass_centre_x"], smoothed["mass_centre_y"]))
            entropies = [float(found["entropy"].sel(target=target).median()) for target in ("raw", "smoothed")]
            print(
                f"{kappa:11g} | {np.nanmean(bhattacharyya_loss(raw, smooth_pdf(raw))):15.3f} | "
                f"{entropies[0]:11.2f} {entropies[1]:9.2f} | {centre:15.0f} | {100 * float(smoothed['f'].mean()):10.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
