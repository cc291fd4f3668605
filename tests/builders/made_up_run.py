"""A small run that a network could learn from, written without running one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from data.command import write_json
from lagrangian.binning import BINS, bin_centres

LEVELS = np.array([1000.0, 200.0])
DEPTHS = np.array([0.0, 750.0, 1500.0, 2250.0])
PARTICLES = 400


def write_run(folder: Path, *, periods=30, side=2, spacing_km=8.0, speeds=(80.0, 300.0), seed=0, temp=True, empty=False) -> Path:
    """Stores of a made-up run: a random ocean whose PDFs are Gaussians that follow the SSH around each trap."""
    rng = np.random.default_rng(seed)
    half = 400.0 + 36.0 * (side - 1) / 2 + 8.0
    n = int(np.ceil(half / spacing_km))
    axis = (np.arange(-n, n) + 0.5) * spacing_km
    start = np.datetime64("2001-02-01", "s") + np.arange(periods) * np.timedelta64(10 * 86400, "s")
    end = start + np.timedelta64(10 * 86400, "s")
    times = np.unique(np.concatenate([end - np.timedelta64(86400 * lag, "s") for lag in (0, 10, 20, 30, 40)]))
    x, y = np.meshgrid(axis, axis)
    phase = rng.uniform(0, 2 * np.pi, (times.size, 3))
    ssh = sum(np.cos(k * x / 90.0 + 0.7 * y / 90.0 * k + phase[:, j, None, None]) for j, k in enumerate((0.5, 1.0, 1.7))) * 0.1
    layered = np.repeat(ssh[:, None], DEPTHS.size, axis=1)
    fields = xr.Dataset(
        {
            "ssh": (("time", "y", "x"), ssh.astype(np.float32)),
            "u": (("time", "depth", "y", "x"), (0.5 * layered).astype(np.float32)),
            "v": (("time", "depth", "y", "x"), (-0.3 * layered).astype(np.float32)),
            "vorticity_over_f": (("time", "depth", "y", "x"), (-0.2 * layered).astype(np.float32)),
        },
        coords={"time": times, "depth": DEPTHS, "x": axis, "y": axis},
        attrs={"frame_center": [-16.5, 49.0], "frame_spacing_km": spacing_km},
    )
    if temp:
        fields["temp"] = (("time", "depth", "y", "x"), (14.0 + layered).astype(np.float32))
    folder.mkdir(parents=True, exist_ok=True)
    fields.to_zarr(folder / "fields.zarr", mode="w", consolidated=False)
    offset = (np.arange(side) - (side - 1) / 2) * 36.0
    dy, dx = (axis_of_traps.ravel() for axis_of_traps in np.meshgrid(offset, offset, indexing="ij"))
    experiments = periods * side * side
    for w in speeds:
        counts = np.zeros((experiments, LEVELS.size, BINS, BINS), np.uint16)
        for experiment in range(experiments):
            period, position = divmod(experiment, side * side)
            row, column = (np.abs(axis - trap[position]).argmin() for trap in (dy, dx))
            height = ssh[np.searchsorted(times, end[period]), row, column]
            for level in range(LEVELS.size):
                width, shift = (30.0 + 20.0 * level) * 80.0 / w**0.5 / 9.0, 300.0 * height
                place = rng.normal((shift, -shift), width, (PARTICLES, 2))
                bins = np.clip(np.floor((place + 400.0) / 8.0).astype(int), 0, BINS - 1)
                np.add.at(counts[experiment, level], (bins[:, 1], bins[:, 0]), 1)
        if empty:
            counts[:] = 0
        repeat = np.repeat(np.arange(periods), side * side)
        pdf = xr.Dataset(
            {
                "counts": (("experiment", "level", "y", "x"), counts),
                "reached": (("experiment", "level"), counts.sum(axis=(2, 3)).astype(np.uint32)),
                "collection_start": ("experiment", start[repeat]),
                "collection_end": ("experiment", end[repeat]),
                "period": ("experiment", repeat.astype(np.int32)),
                "position": ("experiment", np.tile(np.arange(side * side), periods).astype(np.int32)),
                **{name: ("experiment", np.tile(values, periods)) for name, values in
                   (("trap_dx", dx), ("trap_dy", dy), ("trap_lon", dx), ("trap_lat", dy))},
            },
            coords={"level": LEVELS, "x": bin_centres(), "y": bin_centres()},
            attrs={"trap_depth_m": 3000.0, "site": "pap-so"},
        )  # fmt: skip
        pdf.to_zarr(folder / f"w{int(w):03d}" / "pdf.zarr", mode="w", consolidated=False)
    write_json(folder / "run.json", {"identity": {"made_up": seed, "periods": periods}})
    return folder
