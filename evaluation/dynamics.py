"""dynamics.zarr: kinetic energy and relative vorticity over f, averaged over a box around every trap, by time and depth."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr
import zarr

from data.chunks import add_array, arrays_of, open_checked
from data.command import provenance, write_json
from data.errors import StoreError
from data.ocean import Ocean
from data.ocean_names import ocean_title
from data.progress import Progress
from data.resumable import ResumableStore, identity_of
from data.times import SECONDS_ATTRS, whole_seconds
from evaluation.boxes import BoxMeans, trap_boxes
from evaluation.options import BOX_KM, DEPTHS, DiagnosticsConfig
from lagrangian.config import speed_folder
from lagrangian.fields import horizontal_velocity
from lagrangian.oceans import open_for
from lagrangian.record import recorded_design, recorded_integration, recorded_source
from lagrangian.stores import open_store
from learning.folders import found_speeds, run_record

#: Variables of dynamics.zarr: units and meaning.
VARIABLES = {
    "ke": ("cm2 s-2", "horizontal kinetic energy per mass, mean over the box"),
    "vorticity_over_f": ("1", "relative vorticity over the Coriolis parameter, mean over the box"),
    "vorticity_over_f_abs": ("1", "magnitude of relative vorticity over the Coriolis parameter, mean over the box"),
    "vorticity_over_f_square": ("1", "square of relative vorticity over the Coriolis parameter, mean over the box"),
}
#: Snapshots in a chunk of the store.
CHUNK = 32
STORE = "dynamics.zarr"


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
    data = {name: (dims, np.stack([row[name] for row in rows]), attributes(name)) for name in VARIABLES}
    return xr.Dataset(data, coords={"time": ocean.times, "depth": ("depth", np.array(depths, float), {"units": "m"})})


def snapshot_means(ocean: Ocean, index: int, boxes: BoxMeans, depths: Sequence[float]) -> dict[str, np.ndarray]:
    """:data:`VARIABLES` of one snapshot, each (position, depth) float32."""
    east, north, vorticity = map(boxes.taken, horizontal_velocity(ocean, ocean.snapshot(index), depths, boxes.rows))
    fields = {
        "ke": 0.5e4 * (east**2 + north**2),
        "vorticity_over_f": vorticity,
        "vorticity_over_f_abs": np.abs(vorticity),
        "vorticity_over_f_square": vorticity**2,
    }
    return {name: boxes(field).astype(np.float32) for name, field in fields.items()}


def run_dynamics(
    run: Path, *, depths: Sequence[float] = DEPTHS, box_km: float = BOX_KM, ocean: Ocean | None = None
) -> Path:  # fmt: skip
    """Write RUN/dynamics.zarr if the store is absent, unfinished, or of other depths, another box or other experiments.

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
        final, tuple(VARIABLES), -(-n // CHUNK), lay_out=lambda path: _lay_out(path, opened(), offset, identity),
        identity=identity, renew=True, parts="chunks of snapshots",
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
    """Open RUN/dynamics.zarr; StoreError if the store is absent, damaged, or of another run."""
    path = Path(run) / STORE
    mend = f"run python -m evaluation.diagnostics --run {run}"
    if not path.exists():
        raise StoreError(f"{path} does not exist; {mend}")
    dynamics = open_checked(path, "dynamics", (*VARIABLES, "time", "depth"))
    if dynamics.attrs.get("identity", {}).get("run") != run_record(run).get("identity", {}):
        raise StoreError(f"{path} was made of another run than {run}; {mend}")
    return dynamics


def read_run(run: Path) -> dict:
    """The content of run.json; StoreError if the file is absent or not written by lagrangian.run."""
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


def attributes(name: str) -> dict:
    units, title = VARIABLES[name]
    return {"units": units, "long_name": title}


def _lay_out(path: Path, ocean: Ocean, offset: np.ndarray, identity: dict) -> None:
    """Make an empty store of arrays (time, position, depth); a chunk holds :data:`CHUNK` times."""
    group = zarr.create_group(store=str(path), zarr_format=3)
    title = "Kinetic energy and vorticity in boxes around the traps"
    group.attrs.update({"title": title, "Conventions": "CF-1.8", "box_km": identity["box_km"],
                        "source": ocean_title(ocean.description)})  # fmt: skip
    array = partial(add_array, group)

    depths = np.array(identity["depths"])
    shape = (len(ocean.times), offset.shape[0], depths.size)
    chunks = (min(CHUNK, shape[0]), *shape[1:])
    for name in VARIABLES:
        array(name, shape, chunks, "float32", ("time", "position", "depth"), attributes(name), fill=np.nan)
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
            for index in range(number * CHUNK, min((number + 1) * CHUNK, n)):
                rows.append(snapshot_means(ocean, index, boxes, depths))
                bar.update(index + 1, n)
            store.put(number, **{name: np.stack([row[name] for row in rows]) for name in VARIABLES})
