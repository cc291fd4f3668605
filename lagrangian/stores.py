"""Result stores of a run: particles.zarr, pdf.zarr, trajectories.zarr. Created by one function, opened by one function.

Each is a :class:`~data.resumable.ResumableStore` whose parts are collection periods.
"""

from __future__ import annotations

from pathlib import Path

import dask.array as da
import numpy as np
import xarray as xr
import zarr
from zarr.storage import MemoryStore

from data.chunks import add_array, open_checked
from data.errors import StoreError
from data.ocean import Ocean
from data.ocean_names import ocean_title, site_attribute, with_source
from data.resumable import partial_path
from data.sphere import lon_lat
from data.times import SECONDS_ATTRS, whole_seconds
from lagrangian.binning import BINS, bin_centres
from lagrangian.experiments import PlacedDesign
from lagrangian.record import run_record

NO_TIME = np.iinfo(np.int64).min
#: Experiments whose bins' positions are computed at once.
_BIN_POSITIONS = 64

#: Variables that each store must have, checked on opening.
SCHEMA = {
    "particles": ("x", "y", "lon", "lat", "time", "status", "level", "collection_start", "collection_end", "position",
                  "trap_lon", "trap_lat", "release_time", "release_lon", "release_lat"),
    "pdf": ("counts", "reached", "x", "y", "level", "collection_start", "collection_end", "position", "trap_lon", "trap_lat"),
    "trajectories": ("lon", "lat", "z", "time"),
}  # fmt: skip
#: Variables that each store is filled with, a chunk for each collection period; other variables are laid out with the store.
FILLED = {
    "particles": ("x", "y", "lon", "lat", "time", "status", "release_time", "release_lon", "release_lat"),
    "pdf": ("counts", "reached"),
    "trajectories": ("lon", "lat", "z", "time"),
}
#: Coordinates of an experiment and of a particle for xarray (CF: in the attribute ``coordinates`` of each variable).
_EXPERIMENT_COORDINATES = "collection_start collection_end period position trap_lon trap_lat trap_dx trap_dy"
_PARTICLE_COORDINATES = f"release_time release_lon release_lat {_EXPERIMENT_COORDINATES}"
STATUS_MEANINGS = {
    0: "reached the last level",
    1: "left the domain",
    2: "reached land or the sea floor",
    3: "record ended first",
}


def position_attrs(ocean: Ocean, axis: str) -> dict:
    """Attributes of a lon or lat variable: degrees, or metres on a Cartesian grid."""
    if ocean.grid.degrees:
        return {
            "units": f"degrees_{'east' if axis == 'x' else 'north'}",
            "standard_name": "longitude" if axis == "x" else "latitude",
        }
    return {"units": "m", "long_name": f"Cartesian {axis} coordinate of the ocean's grid"}


def _create_group(path: Path | MemoryStore, title: str, design: PlacedDesign, ocean: Ocean, w: float):
    source = ocean_title(ocean.description)
    group = zarr.create_group(store=path if isinstance(path, MemoryStore) else str(path), zarr_format=3, overwrite=True)
    group.attrs.update(
        {
            "title": title,
            "Conventions": "CF-1.8",
            "sinking_speed_m_per_day": w,
            "trap_depth_m": design.trap_depth,
            "site": site_attribute(source, design.design.site_text),
            "source": source,
        }
    )
    return group


def _experiment_coordinates(group, design: PlacedDesign, ocean: Ocean) -> None:
    n_e, n_p = design.n_experiments, design.n_positions
    every = (n_e,)
    dims = ("experiment",)
    start = np.repeat(design.starts, n_p)
    for name, times in (("collection_start", start), ("collection_end", start + design.collection)):
        add_array(group, name, every, every, "int64", dims, attrs=SECONDS_ATTRS, data=whole_seconds(times))
    add_array(group, "period", every, every, "int32", dims, attrs={"long_name": "number of the collection period"},
           data=np.repeat(np.arange(design.n_periods), n_p))  # fmt: skip
    add_array(group, "position", every, every, "int32", dims, attrs={"long_name": "number of the trap position"},
           data=np.tile(np.arange(n_p), design.n_periods))  # fmt: skip
    for name, axis, column in (("trap_lon", "x", 0), ("trap_lat", "y", 1)):
        add_array(group, name, every, every, "float64", dims, attrs=position_attrs(ocean, axis),
               data=np.tile(design.trap[:, column], design.n_periods))  # fmt: skip
    for name, way, column in (("trap_dx", "east", 0), ("trap_dy", "north", 1)):
        attrs = {"units": "km", "long_name": f"distance of the trap {way} of the site"}
        add_array(group, name, every, every, "float64", dims, attrs=attrs,
               data=np.tile(design.trap_offset_km[:, column], design.n_periods))  # fmt: skip


def _level_coordinate(group, design: PlacedDesign) -> None:
    levels = np.array(design.levels)
    attrs = {"units": "m", "positive": "down", "standard_name": "depth"}
    add_array(group, "level", levels.shape, levels.shape, "float64", ("level",), attrs=attrs, data=levels)


def create_particles(path: Path | MemoryStore, design: PlacedDesign, ocean: Ocean, w: float) -> None:
    """Lay out an empty particles store: dims (experiment, particle, level), one period a chunk."""
    group = _create_group(path, "Where sinking particles caught by a sediment trap crossed each level", design, ocean, w)
    shape = (design.n_experiments, design.n_particles, len(design.levels))
    chunks = (design.n_positions, *shape[1:])
    dims = ("experiment", "particle", "level")
    for name, way in (("x", "east"), ("y", "north")):
        attrs = {
            "units": "km",
            "long_name": f"displacement {way} of the particle's own release point",
            "coordinates": _PARTICLE_COORDINATES,
        }
        add_array(group, name, shape, chunks, "float32", dims, attrs=attrs, fill=np.nan)
    for name, axis in (("lon", "x"), ("lat", "y")):
        add_array(group, name, shape, chunks, "float64" if not ocean.grid.degrees else "float32", dims,
               attrs=position_attrs(ocean, axis), fill=np.nan)  # fmt: skip
    time_attrs = {**SECONDS_ATTRS, "_FillValue": NO_TIME, "long_name": "time of the crossing"}
    add_array(group, "time", shape, chunks, "int64", dims, attrs=time_attrs, fill=NO_TIME)
    flags = {
        "flag_values": list(STATUS_MEANINGS),
        "flag_meanings": " ".join(text.replace(" ", "_") for text in STATUS_MEANINGS.values()),
    }
    add_array(group, "status", shape[:2], chunks[:2], "int8", dims[:2], attrs=flags, fill=-1)
    add_array(group, "release_time", shape[:2], chunks[:2], "int64", dims[:2], attrs=SECONDS_ATTRS, fill=0)
    for name, axis in (("release_lon", "x"), ("release_lat", "y")):
        add_array(group, name, shape[:2], chunks[:2], "float64", dims[:2], attrs=position_attrs(ocean, axis), fill=np.nan)
    _level_coordinate(group, design)
    _experiment_coordinates(group, design, ocean)


def create_pdf(path: Path | MemoryStore, design: PlacedDesign, ocean: Ocean, w: float) -> None:
    """Lay out an empty PDF store: counts (experiment, level, y, x), reached (experiment, level), one period a chunk."""
    group = _create_group(path, "Catchment of a sediment trap: particles per bin; pdf = counts / reached", design, ocean, w)
    shape = (design.n_experiments, len(design.levels), BINS, BINS)
    dims = ("experiment", "level", "y", "x")
    dtype = "uint16" if design.n_particles < 65536 else "uint32"
    chunks = (design.n_positions, *shape[1:])
    add_array(
        group,
        "counts",
        shape,
        chunks,
        dtype,
        dims,
        attrs={"long_name": "particles that crossed the level in the bin", "coordinates": _EXPERIMENT_COORDINATES},
        fill=0,
    )
    add_array(
        group,
        "reached",
        shape[:2],
        chunks[:2],
        "uint32",
        dims[:2],
        attrs={"long_name": "particles that crossed the level"},
        fill=0,
    )
    for name, way in (("x", "east"), ("y", "north")):
        attrs = {"units": "km", "long_name": f"displacement {way} of the release point, centre of the bin"}
        add_array(group, name, (BINS,), (BINS,), "float64", (name,), attrs=attrs, data=bin_centres())
    _level_coordinate(group, design)
    _experiment_coordinates(group, design, ocean)


def create_trajectories(path: Path, design: PlacedDesign, ocean: Ocean, w: float, n_obs: int) -> None:
    """Lay out an empty trajectory store as Parcels writes them: dims (trajectory, obs); lon, lat, z, time."""
    group = _create_group(path, "Paths of sinking particles, backward in time from the trap", design, ocean, w)
    n = design.n_experiments * design.n_particles
    rows = design.n_positions * design.n_particles
    shape, chunks, dims = (n, n_obs), (rows, n_obs), ("trajectory", "obs")
    for name, axis in (("lon", "x"), ("lat", "y")):
        add_array(group, name, shape, chunks, "float64" if not ocean.grid.degrees else "float32", dims,
               attrs=position_attrs(ocean, axis), fill=np.nan)  # fmt: skip
    add_array(group, "z", shape, chunks, "float32", dims,
              attrs={"units": "m", "positive": "up", "long_name": "height"}, fill=np.nan)  # fmt: skip
    attrs = {**SECONDS_ATTRS, "_FillValue": NO_TIME, "axis": "T"}
    add_array(group, "time", shape, chunks, "int64", dims, attrs=attrs, fill=NO_TIME)
    attrs = {"cf_role": "trajectory_id", "long_name": "experiment * particles of an experiment + particle"}
    add_array(group, "trajectory", (n,), (rows,), "int64", dims[:1], attrs=attrs, data=np.arange(n))
    add_array(group, "obs", (n_obs,), (n_obs,), "int32", dims[1:], data=np.arange(n_obs))


def open_store(path: Path, kind: str, *, chunks: dict | None = None) -> xr.Dataset:
    """Open a finished store (kind: particles, pdf or trajectories) lazily, its variables checked.

    ``chunks`` as in :func:`xarray.open_zarr`: None reads what is indexed, ``{}`` gives dask arrays of the store's chunks.

    Raises
    ------
    StoreError
        The store is absent, unfinished, damaged, lacks a chunk, or is of another kind.
    """
    path = Path(path)
    if not path.exists():
        unfinished = partial_path(path.parent, path.name).exists()
        hint = "its run was not finished: give the same command again" if unfinished else "run python -m lagrangian.run first"
        raise StoreError(f"{path} does not exist; {hint}")
    dataset = open_checked(path, kind, SCHEMA[kind], chunks=chunks)
    dataset.attrs = with_source(dataset.attrs, ocean_of(path.parent.parent))
    return dataset


def ocean_of(run: Path) -> dict:
    """The ocean's description in a run.json; {} where that is absent or damaged, which is for others to refuse."""
    try:
        ocean = run_record(run)["ocean"]
    except (StoreError, KeyError, TypeError):
        return {}
    return ocean if isinstance(ocean, dict) else {}


def open_pdf(path: Path) -> xr.Dataset:
    """:func:`open_store` for ``pdf.zarr``, with ``pdf`` = counts / reached (dask; NaN where none reached the level).

    Coordinates of one dimension are in memory, so that experiments can be selected, dropped and grouped by them::

        found = open_pdf("runs/demo/w080/pdf.zarr")
        found.where(found["collection_start"] >= np.datetime64("2000-06-01"), drop=True)
        found["pdf"].groupby("collection_start.season").mean()
        found["pdf"].set_index(experiment="collection_start").sel(experiment=slice("2000-06", "2000-08"))

    ``lon`` and ``lat`` (experiment, y, x) are the positions of the bins about each experiment's trap
    (:func:`with_bin_positions`).
    """
    dataset = open_store(path, "pdf", chunks={})
    for name in dataset.coords:
        if dataset[name].ndim == 1:
            dataset[name].load()
    return with_bin_positions(with_pdf(dataset))


def with_pdf(dataset: xr.Dataset) -> xr.Dataset:
    """A PDF store with ``pdf`` = counts / reached; NaN where none reached the level."""
    reached = dataset["reached"].where(dataset["reached"] > 0)
    return dataset.assign(pdf=dataset["counts"] / reached)


def with_bin_positions(dataset: xr.Dataset) -> xr.Dataset:
    """A PDF store with the positions of its bins: ``lon`` and ``lat`` (experiment, y, x), degrees, or m on a Cartesian grid.

    The bins hold displacements from each particle's own release point; their positions are those about the trap, in the middle of
    the release points. They are dask arrays, computed where they are asked for.
    """
    units = dataset["trap_lon"].attrs.get("units", "degrees_east")
    lon0, lat0 = (
        da.from_array(dataset[name].values, chunks=_BIN_POSITIONS)[:, None, None] for name in ("trap_lon", "trap_lat")
    )
    east, north = dataset["x"].values[None, None, :], dataset["y"].values[None, :, None]
    if units == "m":
        lon, lat = lon0 + 1000 * east + 0 * north, lat0 + 1000 * north + 0 * east
    else:
        shape = (dataset.sizes["experiment"], dataset.sizes["y"], dataset.sizes["x"])
        chunks = (lon0.chunks[0], *((size,) for size in shape[1:]))
        lonlat = da.map_blocks(
            _positions, lon0, lat0, east, north, dtype=np.float64, chunks=((2,), *chunks), new_axis=0
        )  # fmt: skip
        lon, lat = lonlat[0], lonlat[1]
    dims = ("experiment", "y", "x")
    places = {
        name: (dims, values, dataset[f"trap_{name}"].attrs) for name, values in (("lon", lon), ("lat", lat))
    }
    return dataset.assign_coords(places)


def _positions(lon0: np.ndarray, lat0: np.ndarray, east: np.ndarray, north: np.ndarray) -> np.ndarray:
    """(2, experiment, y, x) degrees."""
    east, north = np.broadcast_arrays(east, north)
    return np.stack(lon_lat(east, north, lon0, lat0))
