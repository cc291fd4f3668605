"""``python -m evaluation.diagnostics``: how fast and how curved the deep flow around each trap was (paper Figs. 5, 6 and B1).

One pass over the ocean's snapshots gives kinetic energy and relative vorticity over f averaged over a box around every trap,
by time and depth (``dynamics.zarr``); :func:`deep_dynamics` averages them over depth and over the time that the particles of
each experiment took to sink (method.md section 4).
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr
import zarr
from scipy.sparse import csr_array

from data.chunks import add_array, arrays_of, open_checked
from data.command import provenance, run_command, write_json
from data.errors import InputError, StoreError
from data.grid import HorizontalGrid
from data.lock import FolderLock
from data.ocean import Ocean
from data.ocean_names import ocean_title
from data.progress import Progress
from data.resumable import ResumableStore, identity_of
from data.times import SECONDS_ATTRS, whole_seconds
from evaluation.experiments import EXPERIMENT_COORDINATES
from evaluation.options import BOX_KM, DEPTHS, DiagnosticsConfig
from lagrangian.config import speed_folder
from lagrangian.fields import horizontal_velocity
from lagrangian.oceans import open_for
from lagrangian.record import recorded_design, recorded_integration, recorded_source
from lagrangian.stores import open_store
from learning.folders import found_speeds, run_record

#: The depth range, m, of the deep dynamics (method.md section 4).
DEPTH_RANGE = (1000.0, 3000.0)
#: Level whose crossing ends the way of a particle through the deep sea, m.
CROSSING_LEVEL = 1000.0
#: What dynamics.zarr holds: units and meaning.
VARIABLES = {
    "ke": ("cm2 s-2", "horizontal kinetic energy per mass, mean over the box"),
    "vorticity_over_f": ("1", "relative vorticity over the Coriolis parameter, mean over the box"),
    "vorticity_over_f_abs": ("1", "magnitude of relative vorticity over the Coriolis parameter, mean over the box"),
    "vorticity_over_f_square": ("1", "square of relative vorticity over the Coriolis parameter, mean over the box"),
}
#: Those that :func:`deep_dynamics` gives.
DEEP_VARIABLES = ("ke", "vorticity_over_f", "vorticity_over_f_abs")
#: Snapshots that are written at once: one chunk of the store.
BLOCK = 32
STORE = "dynamics.zarr"


def main(config: DiagnosticsConfig) -> int:
    """Write dynamics.zarr where it is absent, and print its profiles."""
    config.validate()
    with FolderLock(config.run, "diagnostics") if config.run.is_dir() else contextlib.nullcontext():
        path = run_dynamics(config.run, depths=config.depths, box_km=config.box)
    found = profiles(open_dynamics(config.run))
    print("depth, m   KE, cm2 s-2   std zeta/f")
    for depth, ke, spread in zip(found["depth"].values, found["ke"].values, found["vorticity_std"].values, strict=True):
        print(f"{depth:8.0f} {ke:13.1f} {spread:12.3f}")
    print(f"deep dynamics: {path}", flush=True)
    return 0


class BoxMeans:
    """Means over square boxes of fields at rho points; places are found once, fields follow.

    A box is tiled by square cells half as wide as the grid's own or narrower; its mean is that of the bilinear values at their
    middles. Each corner counts by its weight: what is missing (land, below the sea floor, outside the domain) is left out.
    A periodic domain has no edge.

    Parameters
    ----------
    grid : HorizontalGrid
    x, y : (position,)
        Middles of the boxes, as :meth:`HorizontalGrid.position` gives positions.
    box_km : float
        Full width.
    """

    def __init__(self, grid: HorizontalGrid, x: np.ndarray, y: np.ndarray, box_km: float):
        self.grid = grid
        n = 2 * int(np.ceil(box_km / grid.spacing_km - 1e-9))
        axis = ((np.arange(n) + 0.5) / n - 0.5) * box_km
        east, north = (offset.ravel() for offset in np.meshgrid(axis, axis))
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        self._weights = _corner_weights(grid, *grid.locate(*grid.offset(x[:, None], y[:, None], east, north)))

    def __call__(self, field: np.ndarray) -> np.ndarray:
        """(..., eta, xi) with NaN where missing -> (position, ...) float64, NaN where a box holds nothing."""
        flat = np.asarray(field, np.float64).reshape(-1, self.grid.mask_rho.size).T
        known = np.isfinite(flat)
        total = self._weights @ np.where(known, flat, 0.0)
        with np.errstate(invalid="ignore"):
            mean = total / (self._weights @ known.astype(np.float64))
        return mean.reshape(-1, *np.shape(field)[:-2])


def _corner_weights(grid: HorizontalGrid, xi: np.ndarray, eta: np.ndarray) -> csr_array:
    """(position, rho points) sums of the bilinear weights of index coordinates (position, point); NaN ones count nothing."""
    ny, nx = grid.shape
    px, py = grid.period
    row, point = np.nonzero(np.isfinite(xi) & np.isfinite(eta))
    x, y = xi[row, point], eta[row, point]
    x, y = np.mod(x, px) if px else x, np.mod(y, py) if py else y
    i, j = (np.clip(np.floor(at).astype(int), 0, n - 2) for at, n in ((x, nx), (y, ny)))
    fx, fy = x - i, y - j
    corners = [(fy if dj else 1 - fy, fx if di else 1 - fx, (j + dj) * nx + i + di) for dj in (0, 1) for di in (0, 1)]
    weights = np.concatenate([wy * wx for wy, wx, _ in corners])
    columns = np.concatenate([column for *_, column in corners])
    made = csr_array((weights, (np.tile(row, 4), columns)), shape=(xi.shape[0], ny * nx))
    made.eliminate_zeros()
    return made


def trap_boxes(grid: HorizontalGrid, trap_offset_km: np.ndarray, site: tuple[float, float], box_km: float) -> BoxMeans:
    """The boxes about traps (position, 2) km east and north of a site (x, y as the grid gives positions)."""
    east, north = np.asarray(trap_offset_km, np.float64).T
    return BoxMeans(grid, *grid.offset(*site, east, north), box_km)


def dynamics_at_traps(
    ocean: Ocean, trap_offset_km: np.ndarray, depths: Sequence[float] = DEPTHS, box_km: float = BOX_KM, *,
    site: tuple[float, float], progress: Callable[[int, int], None] | None = None,
) -> xr.Dataset:  # fmt: skip
    """Box means about every trap at every snapshot and depth.

    Squares and magnitudes are those of values at rho points, where velocities are means of two faces and vorticities of four
    corners: motion of a few cells' length is damped, that of vorticity most.

    Parameters
    ----------
    ocean : Ocean
    trap_offset_km : (position, 2)
        km east, north of the site.
    depths : (depth,)
        m, positive down.
    box_km : float
        Full width of the boxes.
    site : (x, y), keyword-only
        Longitude and latitude in degrees (metres on a Cartesian grid).
    progress : callable, optional
        Called with (snapshots done, snapshots in all).

    Returns
    -------
    Dataset
        :data:`VARIABLES` (time, position, depth) float32; NaN where a box holds no water.
    """
    boxes = trap_boxes(ocean.grid, trap_offset_km, site, box_km)
    n = len(ocean.times)
    rows = []
    for index in range(n):
        rows.append(snapshot_means(ocean, index, boxes, depths))
        if progress is not None:
            progress(index + 1, n)
    dims = ("time", "position", "depth")
    data = {name: (dims, np.stack([row[name] for row in rows]), _attributes(name)) for name in VARIABLES}
    return xr.Dataset(data, coords={"time": ocean.times, "depth": ("depth", np.array(depths, float), {"units": "m"})})


def snapshot_means(ocean: Ocean, index: int, boxes: BoxMeans, depths: Sequence[float]) -> dict[str, np.ndarray]:
    """:data:`VARIABLES` of one snapshot, each (position, depth) float32."""
    east, north, vorticity = horizontal_velocity(ocean, ocean.snapshot(index), depths)
    fields = {
        "ke": 0.5e4 * (east**2 + north**2),
        "vorticity_over_f": vorticity,
        "vorticity_over_f_abs": np.abs(vorticity),
        "vorticity_over_f_square": vorticity**2,
    }
    return {name: boxes(field).astype(np.float32) for name, field in fields.items()}


# -- the store -----------------------------------------------------------------------------------------------------------


def run_dynamics(
    run: Path, *, depths: Sequence[float] = DEPTHS, box_km: float = BOX_KM, ocean: Ocean | None = None
) -> Path:  # fmt: skip
    """Write RUN/dynamics.zarr where it is absent or of other depths, box or experiments; goes on with an unfinished one.

    ocean: the run's ocean, where it is open already (default: as run.json says).

    Raises
    ------
    StoreError
        The run is not finished, or the store cannot be written.
    """
    run = Path(run)
    record = read_run(run)
    final = run / STORE
    identity = {"run": record.get("identity", {}), "depths": [float(depth) for depth in depths], "box_km": float(box_km)}
    design = recorded_design(record)
    offset = trap_offsets(run)
    opened = functools.cache(lambda: _ocean_of(record) if ocean is None else ocean)  # not where the store is whole
    n = _snapshots(final, identity, opened)
    store = ResumableStore(
        final, tuple(VARIABLES), -(-n // BLOCK), lay_out=lambda path: _lay_out(path, opened(), offset, identity),
        identity=identity, renew=True, parts="blocks of snapshots",
    )  # fmt: skip
    if store.whole:
        return final
    if store.renewed:
        print(f"{final} is of other options and is made anew", flush=True)
    if store.damaged:
        print(f"note: {store.told(store.damaged)} and are made again", flush=True)
    site = design.place
    _fill(store, opened(), trap_boxes(opened().grid, offset, (site.x, site.y), box_km), depths)
    store.close()
    write_json(final.with_suffix(".json"), provenance(DiagnosticsConfig(run, tuple(identity["depths"]), float(box_km))))
    return final


def _snapshots(path: Path, identity: dict, opened: Callable[[], Ocean]) -> int:
    """Number of snapshots of the run: as a store of this identity has it, else as the ocean has."""
    if identity_of(path) == identity:
        with contextlib.suppress(Exception):  # where its metadata are damaged
            return arrays_of(path)["time"].size
    return len(opened().times)


def open_dynamics(run: Path) -> xr.Dataset:
    """Open RUN/dynamics.zarr; StoreError in one line where it is absent, damaged, or of another run."""
    path = Path(run) / STORE
    mend = f"run python -m evaluation.diagnostics --run {run}"
    if not path.exists():
        raise StoreError(f"{path} does not exist; {mend}")
    found = open_checked(path, "dynamics", (*VARIABLES, "time", "depth"))
    if found.attrs.get("identity", {}).get("run") != run_record(run).get("identity", {}):
        raise StoreError(f"{path} was made of another run than {run}; {mend}")
    return found


def read_run(run: Path) -> dict:
    """run.json; StoreError where it is absent or is not that of a lagrangian.run."""
    path, record = Path(run) / "run.json", run_record(run)
    if not path.exists():
        mend = "give the same lagrangian.run again: it is made anew" if record else "run python -m lagrangian.run first"
        raise StoreError(f"{path} does not exist; {mend}")
    if "configuration" not in record:
        raise StoreError(f"{path} holds no configuration; run python -m lagrangian.run again")
    return record


def _ocean_of(record: dict) -> Ocean:
    numerics = recorded_integration(record)
    return open_for(recorded_source(record), recorded_design(record), vertical_velocity=numerics.vertical_velocity)


def trap_offsets(run: Path) -> np.ndarray:
    """(position, 2) km east and north of the site of a run's traps; they are the same at every speed."""
    store = open_store(Path(run) / speed_folder(found_speeds(run)[0]) / "pdf.zarr", "pdf")
    _, first = np.unique(store["position"].values, return_index=True)
    return np.stack([store[name].values[first] for name in ("trap_dx", "trap_dy")], axis=1)


def _attributes(name: str) -> dict:
    units, title = VARIABLES[name]
    return {"units": units, "long_name": title}


def _lay_out(path: Path, ocean: Ocean, offset: np.ndarray, identity: dict) -> None:
    """An empty store: (time, position, depth), :data:`BLOCK` times a chunk."""
    group = zarr.create_group(store=str(path), zarr_format=3)
    title = "Kinetic energy and vorticity in boxes around the traps"
    group.attrs.update({"title": title, "Conventions": "CF-1.8", "box_km": identity["box_km"],
                        "source": ocean_title(ocean.description)})  # fmt: skip
    array = partial(add_array, group)

    depths = np.array(identity["depths"])
    shape = (len(ocean.times), offset.shape[0], depths.size)
    chunks = (min(BLOCK, shape[0]), *shape[1:])
    for name in VARIABLES:
        array(name, shape, chunks, "float32", ("time", "position", "depth"), _attributes(name), fill=np.nan)
    stamps = whole_seconds(ocean.times)
    array("time", stamps.shape, stamps.shape, "int64", ("time",), {**SECONDS_ATTRS, "standard_name": "time"}, stamps)
    array("depth", depths.shape, depths.shape, "float64", ("depth",), {"units": "m", "positive": "down"}, depths)
    for name, way, column in (("trap_dx", "east", 0), ("trap_dy", "north", 1)):
        attrs = {"units": "km", "long_name": f"distance of the trap {way} of the site"}
        array(name, shape[1:2], shape[1:2], "float64", ("position",), attrs, offset[:, column])


def _fill(store: ResumableStore, ocean: Ocean, boxes: BoxMeans, depths: Sequence[float]) -> None:
    """Put in the snapshots that are not in yet, a chunk at a time."""
    n = len(ocean.times)
    with Progress("deep dynamics", "snapshot") as bar:
        for number in store.missing():
            rows = []
            for index in range(number * BLOCK, min((number + 1) * BLOCK, n)):
                rows.append(snapshot_means(ocean, index, boxes, depths))
                bar.update(index + 1, n)
            store.put(number, **{name: np.stack([row[name] for row in rows]) for name in VARIABLES})


# -- averages ------------------------------------------------------------------------------------------------------------


def depth_weights(depths: np.ndarray, low: float, high: float) -> np.ndarray:
    """(depth,) weights, m, of the trapezoid rule from ``low`` to ``high`` (m) of what is linear between depths.

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
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(known, values, 0.0) @ weights / (known @ weights)


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
    stamps, first, last = (np.asarray(one).astype("datetime64[ns]") for one in (times, first, last))
    interval = np.median(np.diff(stamps).astype(np.int64)) if stamps.size > 1 else 0
    for row in np.flatnonzero(~np.isnat(first) & ~np.isnat(last)):
        chosen = values[(stamps >= first[row]) & (stamps <= last[row]), position[row]]
        if chosen.size == 0:
            away = np.abs(stamps - (first[row] + (last[row] - first[row]) / 2)).astype(np.int64)
            nearest = np.argmin(away)
            if away[nearest] > interval:
                continue
            chosen = values[[nearest], position[row]]
        known = np.isfinite(chosen)
        if known.any():
            out[row] = chosen[known].mean(dtype=np.float64)
    return out


def mean_crossing_time(particles: xr.Dataset, level: float = CROSSING_LEVEL) -> np.ndarray:
    """(experiment,) datetime64[ns] mean time at which the particles of each experiment crossed ``level`` (m); NaT where none.

    Raises
    ------
    InputError
        The run kept no crossings of that level.
    """
    levels = particles["level"].values
    found = np.flatnonzero(np.isclose(levels, level))
    if found.size == 0:
        raise InputError(
            f"no crossings of {level:g} m were kept, only of {', '.join(f'{one:g}' for one in levels)} m: the deep dynamics need "
            f"a run with {level:g} m among its --levels"
        )
    n = particles.sizes["experiment"]
    # a chunk of the store at a time
    size = particles["time"].encoding.get("chunks", (BLOCK,))[0]
    out = np.full(n, np.datetime64("NaT"), "datetime64[ns]")
    for begin in range(0, n, size):
        time = particles["time"][begin : begin + size, :, int(found[0])].values.astype("datetime64[ns]")
        known = ~np.isnat(time)
        some = known.any(axis=1)
        # about the earliest, so that sums of nanoseconds stay small
        origin = np.where(known, time, np.datetime64("2262-01-01", "ns")).min(axis=1)
        since = np.where(known, (time - origin[:, None]).astype(np.int64), 0)
        mean = origin + (since.sum(axis=1, dtype=np.float64) / np.maximum(known.sum(axis=1), 1)).astype("timedelta64[ns]")
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
        data[name] = ("experiment", time_means(mean, dynamics["time"].values, position, start, end), _attributes(name))
    data["crossing_start"] = ("experiment", start, {"long_name": f"mean time of the crossing of {CROSSING_LEVEL:g} m"})
    coordinates = {name: ("experiment", particles[name].values) for name in EXPERIMENT_COORDINATES if name in particles}
    made = xr.Dataset(data, coords={"experiment": np.arange(position.size), **coordinates})
    return made.assign_attrs(box_km=dynamics.attrs["box_km"], depth_range_m=list(depth_range), sinking_speed_m_per_day=w)


def profiles(dynamics: xr.Dataset) -> xr.Dataset:
    """``ke`` (cm2 s-2), mean over times and positions, and ``vorticity_std`` of zeta/f, by depth (paper Fig. B1)."""
    ke, mean, square = (
        dynamics[name].astype(np.float64).mean(("time", "position"))
        for name in ("ke", "vorticity_over_f", "vorticity_over_f_square")
    )
    spread = np.sqrt((square - mean**2).clip(min=0.0))
    return xr.Dataset({"ke": ke.assign_attrs(units="cm2 s-2"), "vorticity_std": spread.assign_attrs(units="1")})


if __name__ == "__main__":
    sys.exit(run_command(DiagnosticsConfig, main, prog="evaluation.diagnostics"))
