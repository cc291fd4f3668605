"""The deep dynamics of each experiment: means of dynamics.zarr over depth and over the particles' crossing time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from data.errors import InputError, StoreError
from data.times import nearest
from evaluation.dynamics import CHUNK, STORE, attributes, open_dynamics
from evaluation.experiments import EXPERIMENT_COORDINATES
from lagrangian.config import speed_folder
from lagrangian.stores import open_store

#: Depth range of the deep dynamics, m (method.md section 4).
DEPTH_RANGE = (1000.0, 3000.0)
#: Level whose crossing ends the way of a particle through the deep sea, m.
CROSSING_LEVEL = 1000.0
#: Quantities that :func:`deep_dynamics` gives.
DEEP_VARIABLES = ("ke", "vorticity_over_f", "vorticity_over_f_abs")


def depth_weights(depths: np.ndarray, low: float, high: float) -> np.ndarray:
    """(depth,) weights, m, of the trapezoid rule from ``low`` to ``high`` (m) for profiles that are linear between depths.

    Raises
    ------
    InputError
        The range is empty or reaches beyond the depths.
    """
    depths = np.asarray(depths, np.float64)
    if not depths[0] <= low < high <= depths[-1]:
        raise InputError(
            f"the depths of {STORE}, {depths[0]:g} to {depths[-1]:g} m, do not span {low:g} to {high:g} m: give "
            "evaluation.diagnostics other --depths, or evaluation.report another --depth-range"
        )
    points = np.concatenate([[low], depths[(depths > low) & (depths < high)], [high]])
    return np.trapezoid([np.interp(points, depths, unit) for unit in np.eye(depths.size)], points, axis=1)


def depth_mean(values: np.ndarray, depths: np.ndarray, low: float, high: float) -> np.ndarray:
    """Mean from ``low`` to ``high`` (m) of (..., depth), missing depths left out by their weight; NaN where all are missing."""
    weights = depth_weights(depths, low, high)
    finite = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(finite, values, 0.0) @ weights / (finite @ weights)


def time_means(values: np.ndarray, times: np.ndarray, position: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """(experiment,) means of the snapshots from ``first`` to ``last``, both within.

    Where none falls in between, the snapshot nearest the middle stands for them, if it is no further than one interval between
    snapshots (their median); NaN else.

    Parameters
    ----------
    values : (time, position)
    times : (time,) datetime64, increasing
    position : (experiment,) int
    first, last : (experiment,) datetime64
        NaT gives NaN.
    """
    out = np.full(position.size, np.nan)
    stamps, first, last = (np.asarray(instants).astype("datetime64[ns]") for instants in (times, first, last))
    interval = np.median(np.diff(stamps).astype(np.int64)) if stamps.size > 1 else 0
    for row in np.flatnonzero(~np.isnat(first) & ~np.isnat(last)):
        within = values[(stamps >= first[row]) & (stamps <= last[row]), position[row]]
        if within.size == 0:
            middle = first[row] + (last[row] - first[row]) / 2
            number = nearest(stamps, middle)
            if abs(stamps[number] - middle).astype(np.int64) > interval:
                continue
            within = values[[number], position[row]]
        finite = np.isfinite(within)
        if finite.any():
            out[row] = within[finite].mean(dtype=np.float64)
    return out


def mean_crossing_time(particles: xr.Dataset, level: float = CROSSING_LEVEL) -> np.ndarray:
    """(experiment,) datetime64[ns] mean time at which the particles of each experiment crossed ``level`` (m); NaT where none.

    Raises
    ------
    InputError
        The run kept no crossings of that level.
    """
    levels = particles["level"].values
    places = np.flatnonzero(np.isclose(levels, level))
    if places.size == 0:
        raise InputError(
            f"no crossings of {level:g} m were kept, only of {', '.join(f'{d:g}' for d in levels)} m: the deep dynamics need "
            f"a run with {level:g} m among its --levels"
        )
    n = particles.sizes["experiment"]
    # a chunk of the store at a time
    size = particles["time"].encoding.get("chunks", (CHUNK,))[0]
    out = np.full(n, np.datetime64("NaT"), "datetime64[ns]")
    for begin in range(0, n, size):
        time = particles["time"][begin : begin + size, :, int(places[0])].values.astype("datetime64[ns]")
        crossed = ~np.isnat(time)
        some = crossed.any(axis=1)
        # about the earliest, so that sums of nanoseconds stay small
        origin = np.where(crossed, time, np.datetime64("2262-01-01", "ns")).min(axis=1)
        since = np.where(crossed, (time - origin[:, None]).astype(np.int64), 0)
        mean = origin + (since.sum(axis=1, dtype=np.float64) / np.maximum(crossed.sum(axis=1), 1)).astype("timedelta64[ns]")
        out[begin : begin + size][some] = mean[some]
    return out


def deep_range(trap_depth: float) -> tuple[float, float]:
    """The method's depth range, m, as far down as the trap: the particles were never below it.

    Raises
    ------
    InputError
        The trap is not in the deep sea.
    """
    low, high = DEPTH_RANGE
    if trap_depth <= low:
        raise InputError(f"a trap at {trap_depth:g} m is not below {low:g} m, where the deep sea begins: give a --depth-range")
    return low, min(high, trap_depth)


def deep_dynamics(run: Path, w: float, depth_range: tuple[float, float] | None = None) -> xr.Dataset:
    """Kinetic energy and vorticity of the deep sea that the particles of each experiment sank through.

    Means over the box about the trap, over ``depth_range`` (m; default: :func:`deep_range`), and over the crossing time: from
    the mean time at which the particles crossed 1000 m to the end of the collection period (method.md section 4).

    Returns
    -------
    Dataset
        ``ke`` (cm2 s-2), ``vorticity_over_f``, ``vorticity_over_f_abs``, ``crossing_start`` (experiment), in the order of the
        run's stores; NaN, NaT where no particle reached 1000 m. Attribute ``depth_range_m``.

    Raises
    ------
    StoreError, InputError
        No dynamics.zarr of this run (:func:`run_dynamics`), no particles at that speed, depths or levels that the stores do not
        hold.
    """
    dynamics = open_dynamics(run)
    particles = open_store(Path(run) / speed_folder(w) / "particles.zarr", "particles")
    depth_range = depth_range or deep_range(float(particles.attrs["trap_depth_m"]))
    start, end = mean_crossing_time(particles), particles["collection_end"].values
    position = particles["position"].values.astype(int)
    if position.max(initial=-1) >= dynamics.sizes["position"]:
        raise StoreError(f"{Path(run) / STORE} is of other traps; run python -m evaluation.diagnostics --run {run}")
    data = {}
    for name in DEEP_VARIABLES:
        mean = depth_mean(dynamics[name].values.astype(np.float64), dynamics["depth"].values, *depth_range)
        data[name] = ("experiment", time_means(mean, dynamics["time"].values, position, start, end), attributes(name))
    data["crossing_start"] = ("experiment", start, {"long_name": f"mean time of the crossing of {CROSSING_LEVEL:g} m"})
    coordinates = {name: ("experiment", particles[name].values) for name in EXPERIMENT_COORDINATES if name in particles}
    deep = xr.Dataset(data, coords={"experiment": np.arange(position.size), **coordinates})
    return deep.assign_attrs(box_km=dynamics.attrs["box_km"], depth_range_m=list(depth_range), sinking_speed_m_per_day=w)


def profiles(dynamics: xr.Dataset) -> xr.Dataset:
    """``ke`` (cm2 s-2), mean over times and positions, and ``vorticity_std`` of zeta/f, by depth (paper Fig. B1)."""
    ke, mean, square = (
        dynamics[name].astype(np.float64).mean(("time", "position"))
        for name in ("ke", "vorticity_over_f", "vorticity_over_f_square")
    )
    spread: xr.DataArray = (square - mean**2).clip(min=0.0) ** 0.5
    return xr.Dataset({"ke": ke.assign_attrs(units="cm2 s-2"), "vorticity_std": spread.assign_attrs(units="1")})
