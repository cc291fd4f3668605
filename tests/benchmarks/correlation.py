"""Time and memory of the cross-correlation at the size of the paper's application: python -m tests.benchmarks.correlation

Twenty years of daily chlorophyll on 10^4 cells, 815 predictions at each of five speeds, 400 cups, 37 lags, 100 draws; made up.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
import xarray as xr

from data.frame import Frame
from data.satellite import on_frame
from evaluation.cross_correlation import DailyMaps, Predictions, lag_grid, lagged_chlorophyll, score_table
from evaluation.scores import BOXES_KM, box_pdf
from lagrangian.config import SINKING_SPEEDS

CELLS = 10_000
FIRST = np.datetime64("2000-01-01", "s")


def instants(days) -> np.ndarray:
    """Dates so many days after the first."""
    return FIRST + np.round(np.asarray(days) * 86400).astype("timedelta64[s]")


def main() -> None:
    """Print seconds and the peak of memory after each part."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=int, default=7000)
    parser.add_argument("--cups", type=int, default=400)
    parser.add_argument("--maps", type=int, default=40, help="maps of 4 km that are regridded")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    began = time.perf_counter()

    def told(what: str) -> None:
        nonlocal began
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"{what}: {time.perf_counter() - began:.2f} s, peak {peak:.2f} GiB", flush=True)
        began = time.perf_counter()

    regridded(options.maps, rng)
    told(f"regridding {options.maps} maps of 4 km")
    maps = DailyMaps.of(instants(np.arange(options.days)), blocks(options.days, rng), CELLS)
    told(f"running sums of {options.days} days, made up")
    times = instants(10.0 * np.arange(815))
    predictions = {w: Predictions(w, times, rng.random((815, CELLS), np.float32)) for w in SINKING_SPEEDS}
    told("predictions, made up")
    edges = 400 + np.linspace(0, options.days - 400, options.cups + 1)
    boxes = {name: box_pdf(width).ravel() for name, width in BOXES_KM.items()}
    found = lagged_chlorophyll(instants(edges[:-1]), instants(edges[1:]), lag_grid(0, 110, 3), maps, predictions, boxes)
    told(f"chlorophyll of {options.cups} cups at {found.lags.size} lags, {len(found.random)} draws")
    fluxes = {name: rng.random(options.cups) for name in ("dry_weight", "poc", "pic", "tpn")}
    chosen = np.ones(options.cups, bool)
    periods = {"all": chosen, "without": rng.random(options.cups) < 0.8}
    table = score_table(found, fluxes, instants(edges[:-1]), periods)
    told(f"{len(table)} rows of scores")


def blocks(days: int, rng):
    """Chlorophyll (64, cell) at a time, 60 % under cloud."""
    for first in range(0, days, 64):
        values = rng.random((min(64, days - first), CELLS), np.float32)
        values[rng.random(values.shape, np.float32) < 0.6] = np.nan
        yield values


def regridded(n: int, rng) -> None:
    """Put maps of the 4 km product onto the trap frame."""
    lat, lon = np.arange(44.5, 53.6, 1 / 24), np.arange(-23.5, -9.4, 1 / 24)
    values = rng.random((n, lat.size, lon.size), np.float32)
    values[rng.random(values.shape) < 0.6] = np.nan
    dataset = xr.DataArray(values, {"time": instants(np.arange(n)), "lat": lat, "lon": lon}, ("time", "lat", "lon"))
    on_frame(dataset, Frame.around((-16.5, 49.0), 400.0, 8.0), method="linear")


if __name__ == "__main__":
    main()
