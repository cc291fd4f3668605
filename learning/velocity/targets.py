"""velocities.zarr: what a network of velocities learns from, of any kind of ocean, written once beside the stores of a run.

Every few days: the rotational flow at some depths that a particle crosses, as a streamfunction on a lattice of 16 km, its mean
over the lattice, and the surface that a satellite sees or nearly sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import zarr

from data.chunks import add_array, open_checked
from data.errors import InputError, StoreError
from data.frame import Frame, Regridder
from data.ocean import Ocean, sea_floor_of
from data.ocean_names import ocean_title
from data.progress import Progress
from data.resumable import ResumableStore
from data.times import SECONDS_ATTRS, nearest, whole_seconds
from lagrangian.campaign import read_snapshot
from lagrangian.fields import horizontal_velocity, snapshot_fields
from learning.inputs import fill_missing
from learning.velocity.lattice import Lattice

NAME = "velocities.zarr"
#: Days between the instants that are kept, and depths of the velocities.
EVERY_DAYS, N_DEPTHS = 5.0, 6
#: Maps of the surface, (time, y, x).
SURFACE = ("ssh", "temp", "u", "v", "vorticity_over_f")
#: Arrays that every store fills; and temp, where the ocean has it.
FILLED = ("psi", "flow", "rotational", *(name for name in SURFACE if name != "temp"))


def depths_between(shallow: float, deep: float, n: int = N_DEPTHS) -> np.ndarray:
    """(n,) depths from ``shallow`` to ``deep``, m, denser above: as the power 1.5 of even steps, to 10 m."""
    inner = shallow + (deep - shallow) * np.linspace(0, 1, n) ** 1.5
    inner[1:-1] = np.round(inner[1:-1], -1)
    return inner


def metres(depths: np.ndarray) -> np.ndarray:
    """(depth,) metres of the ascent that each depth represents: weights of the trapezoid rule."""
    steps = np.diff(depths)
    return 0.5 * (np.append(steps, 0) + np.insert(steps, 0, 0))


@dataclass(eq=False)
class Velocities:
    """An opened velocities.zarr, in memory.

    Attributes
    ----------
    lattice : Lattice
    depths : (depth,) float64
        m, positive down.
    times : (time,) datetime64[s]
    psi : (time, depth, y, x) float32
        Streamfunction of the flow without its mean over the lattice, m2/s.
    flow : (time, depth, 2) float32
        That mean, eastward and northward, m/s.
    surface : dict of (time, y, x) float32
        Of :data:`SURFACE`, those that the ocean has; NaN where missing. And ``bathymetry``, m, the same at all times, of stores
        that hold it.
    rotational : (time, depth) float32
        Share of the kinetic energy about the mean that psi holds.
    attributes : dict
    """

    lattice: Lattice
    depths: np.ndarray
    times: np.ndarray
    psi: np.ndarray
    flow: np.ndarray
    surface: dict[str, np.ndarray]
    rotational: np.ndarray
    attributes: dict

    @classmethod
    def open(cls, run: Path) -> Velocities:
        """Read the store of a run.

        Raises
        ------
        StoreError
            There is none, or it is damaged.
        """
        path = Path(run) / NAME
        if not path.exists():
            raise StoreError(f"{path} does not exist; run python -m learning.fit --run {run} --method velocity first")
        store = open_checked(path, "velocities", ("psi", "flow", "ssh", "depth", "time", "x", "y"))
        frame = Frame(
            tuple(store.attrs["frame_center"]), float(store.attrs["frame_spacing_km"]), store["x"].values, store["y"].values
        )
        surface = {name: store[name].values for name in SURFACE if name in store}
        if "bathymetry" in store:
            surface["bathymetry"] = np.broadcast_to(fill_missing(store["bathymetry"].values), surface["ssh"].shape)
        lattice, times = (
            Lattice(frame, bool(store.attrs["periodic"]), bool(store.attrs["degrees"])),
            store["time"].values.astype("datetime64[s]"),
        )
        return cls(lattice, store["depth"].values, times,
                   store["psi"].values, store["flow"].values, surface, store["rotational"].values, dict(store.attrs))  # fmt: skip

    def anomaly(self, mean: np.ndarray) -> np.ndarray:
        """(time, depth, y, x) psi of the flow less ``mean`` (depth, 2), m/s; a periodic lattice holds no uniform flow."""
        if self.lattice.periodic:
            return self.psi
        anomaly = self.flow - mean
        return self.psi + self.lattice.tilt(anomaly[..., 0], anomaly[..., 1]).astype(np.float32)


def write_velocities(
    run: Path, ocean: Ocean, center: tuple[float, float], half_width_km: float, depths: Sequence[float] | np.ndarray,
    identity: dict, *, every: float = EVERY_DAYS, spacing_km: float | None = None, say=print,
) -> Path:  # fmt: skip
    """Write velocities.zarr of an ocean, an instant at a time; an unfinished store is gone on with, a finished one is left.

    Parameters
    ----------
    center
        Position of the lattice's middle as the ocean's grid gives positions.
    half_width_km
        Of the window, where the ocean is not periodic.
    depths
        m, positive down, increasing.
    identity : dict
        Of the run; with the options here it tells whether an unfinished store can be gone on with.

    Raises
    ------
    InputError
        The sea is nowhere as deep as the deepest of ``depths``; a snapshot cannot be read.
    StoreError
        The store there is of something else, damaged, or cannot be written.
    """
    lattice = Lattice.of(ocean.grid, center, half_width_km, **({} if spacing_km is None else {"spacing_km": spacing_km}))
    levels = np.asarray(depths, np.float64)
    indices = _indices(ocean.times, every)
    made_of = {"run": identity, "depths": levels.tolist(), "every_days": every, "spacing_km": lattice.frame.spacing_km,
               "points": list(lattice.shape)}  # fmt: skip
    final = Path(run) / NAME
    floor = Regridder(ocean.grid, lattice.frame, partial=True)(sea_floor_of(ocean))
    store = ResumableStore(
        final, (*FILLED, "temp") if "temp" in ocean.variables else FILLED, indices.size, identity=made_of, parts="instants",
        lay_out=partial(_lay_out, lattice=lattice, ocean=ocean, depths=levels, times=ocean.times[indices], floor=floor),
    )  # fmt: skip
    if store.whole:
        return final
    if store.damaged:
        say(f"note: {store.told(store.damaged)} and are made again")
    reader = _Reader(ocean, lattice, levels)
    with Progress("velocities to learn from", "instant") as bar:
        for number in store.missing():
            store.put(number, **{name: values[None] for name, values in reader(int(indices[number])).items()})
            bar.update(len(store.done), indices.size)
    if not store.close():
        raise StoreError(f"{final} could not be closed; give the same command again")
    size = sum(path.stat().st_size for path in final.rglob("*") if path.is_file())
    say(f"{final}: {indices.size} instants, {every:g} days apart, at {levels.size} depths; {size / 2**20:.0f} MiB")
    return final


def _indices(times: np.ndarray, every: float) -> np.ndarray:
    """Snapshots nearest to every so many days from the first."""
    days = (times - times[0]) / np.timedelta64(86400 * 10**9, "ns")
    regular = np.arange(0, days[-1] + 1e-6, every)
    return np.unique(nearest(days, regular, later=True))


class _Reader:
    """Computes the store's variables from a snapshot."""

    def __init__(self, ocean: Ocean, lattice: Lattice, depths: np.ndarray):
        self.ocean, self.lattice, self.depths = ocean, lattice, depths
        self.here = Regridder(ocean.grid, lattice.frame, partial=True)
        self.north = Regridder(ocean.grid, lattice.shifted(0.0, 0.5), partial=True)
        self.east = Regridder(ocean.grid, lattice.shifted(0.5, 0.0), partial=True)

    def __call__(self, index: int) -> dict[str, np.ndarray]:
        ocean, lattice = self.ocean, self.lattice
        snapshot = read_snapshot(ocean, index, {"temp"} & set(ocean.variables))
        east, north, _ = horizontal_velocity(ocean, snapshot, self.depths)
        rows, columns = (None, None) if lattice.periodic else (-1, -1)
        u = np.stack([self.north(level)[:rows] for level in east])
        v = np.stack([self.east(level)[:, :columns] for level in north])
        for depth, layer in zip(self.depths, u, strict=True):
            if not np.isfinite(layer).any():
                raise InputError(
                    f"the ocean knows no velocity at {depth:g} m around the traps; choose a shallower --trap-depth for the run"
                )
        flow = np.stack([np.nanmean(u, axis=(1, 2)), np.nanmean(v, axis=(1, 2))], axis=1)
        anomalies = (u - flow[:, 0, None, None], v - flow[:, 1, None, None])
        psi = np.stack([lattice.streamfunction(*pair) for pair in zip(*anomalies, strict=True)])
        represented = lattice.velocity(psi)
        left = sum(np.nansum((a - b) ** 2, axis=(1, 2)) for a, b in zip(anomalies, represented, strict=True))
        energy = sum(np.nansum(a**2, axis=(1, 2)) for a in anomalies)
        out = {"psi": psi, "flow": flow, "rotational": 1 - left / np.maximum(energy, 1e-30)}
        fields = snapshot_fields(ocean, snapshot, (0.0,))
        for name in SURFACE:
            if name in fields:
                out[name] = self.here(fields[name] if name == "ssh" else fields[name][0])
        return {name: np.asarray(values, np.float32) for name, values in out.items()}


def _lay_out(
    path: Path, *, lattice: Lattice, ocean: Ocean, depths: np.ndarray, times: np.ndarray, floor: np.ndarray | None
) -> None:  # fmt: skip
    """An empty store: one instant a chunk. ``floor``: (y, x) depth of the sea floor, m."""
    group = zarr.create_group(store=str(path), zarr_format=3)
    group.attrs.update({
        "title": "Velocities below the surface and what is seen of them above, for networks to learn from",
        "Conventions": "CF-1.8", "frame_center": list(lattice.frame.center), "frame_spacing_km": lattice.frame.spacing_km,
        "periodic": lattice.periodic, "degrees": lattice.degrees, "source": ocean_title(ocean.description),
    })  # fmt: skip
    array = partial(add_array, group)
    n_t, n_d, (ny, nx) = len(times), depths.size, lattice.shape
    array("psi", (n_t, n_d, ny, nx), (1, n_d, ny, nx), "float32", ("time", "depth", "y", "x"),
          {"units": "m2 s-1", "long_name": "streamfunction of the flow about its mean"}, fill=np.nan)  # fmt: skip
    array("flow", (n_t, n_d, 2), (1, n_d, 2), "float32", ("time", "depth", "component"),
          {"units": "m s-1", "long_name": "mean over the lattice of eastward and northward velocity"}, fill=np.nan)  # fmt: skip
    array("rotational", (n_t, n_d), (1, n_d), "float32", ("time", "depth"),
          {"units": "1", "long_name": "share of the kinetic energy that psi holds"}, fill=np.nan)  # fmt: skip
    units = {"ssh": "m", "temp": "degree_Celsius", "u": "m s-1", "v": "m s-1", "vorticity_over_f": "1"}
    for name in SURFACE:
        if name != "temp" or "temp" in ocean.variables:
            attrs = {"units": units[name], "long_name": f"{name} at the surface"}
            array(name, (n_t, ny, nx), (1, ny, nx), "float32", ("time", "y", "x"), attrs, fill=np.nan)
    if floor is not None:
        array("bathymetry", (ny, nx), (ny, nx), "float32", ("y", "x"),
              {"units": "m", "positive": "down", "long_name": "depth of the sea floor"}, floor)  # fmt: skip
    array("time", (n_t,), (n_t,), "int64", ("time",), {**SECONDS_ATTRS, "standard_name": "time"}, whole_seconds(times))
    array("depth", (n_d,), (n_d,), "float64", ("depth",), {"units": "m", "positive": "down"}, depths)
    for name, values, way in (("x", lattice.frame.x, "east"), ("y", lattice.frame.y, "north")):
        array(name, values.shape, values.shape, "float64", (name,), {"units": "km", "long_name": f"distance {way}"}, values)
