"""A small made-up run with predictions of real, barely trained networks, and all that a report can be made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from data.command import write_json
from data.sphere import lon_lat
from evaluation.dynamics import VARIABLES
from evaluation.options import DEPTHS
from lagrangian.maps import draw_catchment
from learning.folders import run_record

DAY = np.timedelta64(86400, "s")


def complete(run: Path) -> Path:
    """Add to a made-up run of 80 and 300 m/d what the networks do not need."""
    with xr.open_zarr(run / "fields.zarr", consolidated=False) as fields:
        attrs = dict(fields.attrs)
        x, y = np.meshgrid(fields["x"].values, fields["y"].values)
    lon, lat = lon_lat(x, y, -16.5, 49.0)
    units = {"lon": {"units": "degrees_east"}, "lat": {"units": "degrees_north"}, "h": {"units": "m"}}
    more = {"h": 4500.0 + 0.5 * x, "lon": lon, "lat": lat}
    maps = xr.Dataset({name: (("y", "x"), values, units[name]) for name, values in more.items()}, attrs=attrs)
    maps.to_zarr(run / "fields.zarr", mode="a", consolidated=False)
    for w in (80.0, 300.0):
        folder = run / f"w{int(w):03d}"
        write_particles(folder, w)
        draw_catchment(folder, folder / "catchment.png")
    write_dynamics(run)
    record = run_record(run)
    ends = {"w080": {"0": 1790, "1": 10}, "w300": {"0": 1800}}
    command = "run.py --years 3 --w 80 300 --positions 1"
    write_json(run / "run.json", {**record, "command_line": command, "result": {"particles": ends}})
    return run


def write_particles(folder: Path, w: float, particles: int = 20) -> None:
    """particles.zarr beside a pdf.zarr: clouds that widen upward."""
    random = np.random.default_rng(int(w))
    with xr.open_zarr(folder / "pdf.zarr", consolidated=False) as store:
        names = ("collection_start", "collection_end", "period", "position", "trap_dx", "trap_dy")
        coordinates = {name: ("experiment", store[name].values) for name in names}
        levels = store["level"].values
        attrs = {**store.attrs, "sinking_speed_m_per_day": w}
    end = coordinates["collection_end"][1].astype("datetime64[ns]")
    shape = end.size, particles, levels.size
    lon, lat = lon_lat(coordinates["trap_dx"][1], coordinates["trap_dy"][1], -16.5, 49.0)
    release = end[:, None] - (np.arange(particles) * DAY / 2).astype("timedelta64[ns]")
    time = release[:, :, None] - ((3000.0 - levels) / w * 86400).astype("timedelta64[s]").astype("timedelta64[ns]")
    x, y = (random.normal(0, 20 + (3000.0 - levels) / 40, shape).astype(np.float32) for _ in range(2))
    dims = ("experiment", "particle", "level")
    east, north = {"units": "degrees_east"}, {"units": "degrees_north"}
    xr.Dataset(
        {
            "x": (dims, x), "y": (dims, y), "lon": (dims, x, east), "lat": (dims, y, north), "time": (dims, time),
            "status": (dims[:2], np.zeros(shape[:2], np.int8)), "release_time": (dims[:2], release),
            "release_lon": (dims[:2], np.repeat(lon[:, None], particles, 1)),
            "release_lat": (dims[:2], np.repeat(lat[:, None], particles, 1)),
            "trap_lon": ("experiment", lon, east), "trap_lat": ("experiment", lat, north), **coordinates,
        },
        coords={"level": levels}, attrs=attrs,
    ).to_zarr(folder / "particles.zarr", mode="w", consolidated=False)  # fmt: skip
    # the traps' places and the speed as a run's pdf.zarr has them, for the map
    places = {"trap_lon": ("experiment", lon, east), "trap_lat": ("experiment", lat, north)}
    xr.Dataset(places, attrs=attrs).to_zarr(folder / "pdf.zarr", mode="a", consolidated=False)


def write_dynamics(run: Path) -> None:
    """dynamics.zarr of a run: energy and vorticity that change with time."""
    with xr.open_zarr(run / "w080" / "pdf.zarr", consolidated=False) as store:
        start, end = store["collection_start"].values.min(), store["collection_end"].values.max()
        positions = int(store["position"].max()) + 1
    time = np.arange(start - 60 * DAY, end + DAY, 5 * DAY)
    random = np.random.default_rng(8)
    shape = time.size, positions, len(DEPTHS)
    data = {name: (("time", "position", "depth"), random.gamma(2.0, 0.01, shape).astype(np.float32)) for name in VARIABLES}
    data["ke"] = (data["ke"][0], 2000 * data["ke"][1])
    identity = {"run": run_record(run)["identity"], "depths": list(DEPTHS), "box_km": 80.0}
    xr.Dataset(data, coords={"time": time, "depth": list(DEPTHS)}, attrs={"box_km": 80.0, "identity": identity}).to_zarr(
        run / "dynamics.zarr", mode="w", consolidated=False
    )
