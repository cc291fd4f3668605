"""One truth in three families: the twin as CROCO, NEMO and longitude-latitude-depth files, catchments side by side.

    python -m tests.benchmarks.families [DAYS [FAMILY ...]]

The whole command on the twin itself and on its files of each family, same releases, no diffusivity: median distance of the same
particles at 200 m from those of the twin (and of the CROCO files), median Bhattacharyya loss of the smoothed catchments, share
of particles that arrive, bytes of the files and seconds of processor.
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from data.sphere import east_north
from data.twin import __main__ as twin
from data.twin.families import FAMILIES
from evaluation.scores import bhattacharyya_loss
from lagrangian.binning import smooth_pdf
from lagrangian.config import RunConfig, speed_folder
from lagrangian.run import main as run
from lagrangian.stores import open_pdf, open_store

SPEEDS = (80.0, 150.0, 300.0)
LEVEL = 200.0


def run_on(family: str, folder: Path, out: Path, days: int, **options) -> tuple[float, str]:
    """The whole command on one family (``twin``: the ocean itself): seconds of processor, what it said."""
    files: dict = {"years": days / 365}
    if family != "twin":
        kind = FAMILIES[family]
        files = {"ocean": (str(folder / kind.pattern),), "grid": str(folder / kind.static) if kind.static else None}
    config = RunConfig(
        **{"w": SPEEDS, "positions": 2, "collection": 10.0, "every": 10.0, "release_every": 24.0, "dt": 120.0, "threads": 1,
           "diffusivity": (0.0,), "levels": (1000.0, LEVEL), **options}, **files, out=out,
    )  # fmt: skip
    said = io.StringIO()
    started = time.process_time()
    with contextlib.redirect_stdout(said):
        run(config)
    return time.process_time() - started, said.getvalue()


def crossings(out: Path, w: float) -> tuple[np.ndarray, np.ndarray]:
    """(longitude, latitude) (experiment, particle) at the level; NaN where not reached."""
    with open_store(out / speed_folder(w) / "particles.zarr", "particles") as store:
        one = store.sel(level=LEVEL)
        return one["lon"].values, one["lat"].values


def catchments(out: Path, w: float) -> np.ndarray:
    """Smoothed catchments (experiment, y, x) at the level."""
    with open_pdf(out / speed_folder(w) / "pdf.zarr") as store:
        one = store.sel(level=LEVEL)
        return smooth_pdf((one["counts"] / one["reached"]).values)


def compared(one: Path, other: Path, w: float) -> tuple[float, float]:
    """(median km between the same particles, median BL of the smoothed catchments)."""
    (lon, lat), (lon0, lat0) = crossings(one, w), crossings(other, w)
    away = np.hypot(*east_north(lon, lat, lon0, lat0))
    loss = bhattacharyya_loss(catchments(one, w), catchments(other, w))
    return float(np.nanmedian(away)), float(np.nanmedian(loss))


def main(days: int = 70, *families: str) -> None:
    """Write, run, compare, print. ``lonlat-w0`` is lonlat without vertical motion, which the twin has none of either."""
    families = ("twin", *(families or (*FAMILIES, "lonlat-w0")))
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for run_name in families:
            family, _, without = run_name.partition("-")
            started = time.process_time()
            with contextlib.redirect_stdout(io.StringIO()):
                if family != "twin":
                    twin.main(twin.TwinConfig(family=family, years=days / 365, out=folder / family))
            writing = time.process_time() - started
            more = {"vertical_velocity": "none"} if without else {}
            seconds, text = run_on(family, folder / family, folder / "runs" / run_name, days, **more)
            size = sum(path.stat().st_size for path in (folder / family).glob("*.nc")) if family != "twin" else 0
            experiments = next(line for line in text.splitlines() if "experiments" in line)
            arrived = [line.split(": ")[2].split(" reached")[0] for line in text.splitlines() if "particles: " in line]
            print(f"{run_name}: {size / 1e6:.0f} MB written in {writing:.0f} s, run {seconds:.0f} s of processor; {experiments}; "
                  f"arrived {', '.join(arrived)}", flush=True)  # fmt: skip
        head = "".join(f"{w:9.0f} m/d" + " " * 9 for w in SPEEDS)
        print(f"{'km between the same particles / BL':36s}{head}")
        pairs_of_runs = [(one, other) for other in ("twin", "croco") for one in families if one not in ("twin", other)]
        for one, other in [pair for pair in pairs_of_runs if pair[1] in families]:
            pairs = [compared(folder / "runs" / one, folder / "runs" / other, w) for w in SPEEDS]
            print(f"{one + ' against ' + other:36s}" + "".join(f"{km:10.2f} / {loss:.5f}  " for km, loss in pairs), flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]), *sys.argv[2:])
