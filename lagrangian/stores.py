"""Result stores of a run: particles.zarr, pdf.zarr, trajectories.zarr. Created by one function, opened by one function.

A store is filled under the name ``NAME.partial``, one collection period (one chunk of every array) at a time; ``periods_done``
beside it holds a file for each period that is in. When all are, it is renamed. A killed run so leaves either a whole store or
one that the next run completes.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr
import zarr
from zarr.codecs import BloscCodec

from data.command import one_line
from data.errors import StoreError
from data.ocean import Ocean
from lagrangian.binning import BINS, bin_centres
from lagrangian.config import RunConfig
from lagrangian.experiments import Design

NO_TIME = np.iinfo(np.int64).min
EPOCH = np.datetime64("1970-01-01T00:00:00", "s")
TIME_ATTRS = {"units": "seconds since 1970-01-01", "calendar": "proleptic_gregorian", "dtype": "int64"}

#: Variables that each store must have, checked on opening.
SCHEMA = {
    "particles": ("x", "y", "lon", "lat", "time", "status", "level", "collection_start", "collection_end", "position",
                  "trap_lon", "trap_lat", "release_time", "release_lon", "release_lat"),
    "pdf": ("counts", "reached", "x", "y", "level", "collection_start", "collection_end", "position", "trap_lon", "trap_lat"),
    "trajectories": ("lon", "lat", "z", "time"),
}  # fmt: skip
STATUS_MEANINGS = {
    0: "reached the last level",
    1: "left the domain",
    2: "reached land or the sea floor",
    3: "record ended first",
}


def add_array(group, name, shape, chunks, dtype, dims, attrs=None, data=None, fill=None):
    """Add an array to a zarr group as all stores of the toolkit have it; ``data`` is written where given."""
    # deterministic bytes: blosc with one fixed setting
    codec = BloscCodec(cname="zstd", clevel=5, shuffle="shuffle")
    array = group.create_array(
        name,
        shape=shape,
        chunks=chunks,
        dtype=dtype,
        dimension_names=dims,
        compressors=codec,
        fill_value=fill,
        attributes=attrs or {},
    )
    if data is not None:
        array[...] = data


def _seconds(times) -> np.ndarray:
    return (np.asarray(times).astype("datetime64[s]") - EPOCH).astype(np.int64)


def position_attrs(ocean: Ocean, axis: str) -> dict:
    """Attributes of a lon or lat variable: degrees, or metres on a Cartesian grid."""
    if ocean.grid.degrees:
        return {
            "units": f"degrees_{'east' if axis == 'x' else 'north'}",
            "standard_name": "longitude" if axis == "x" else "latitude",
        }
    return {"units": "m", "long_name": f"Cartesian {axis} coordinate of the ocean's grid"}


def _create_group(path: Path, title: str, config: RunConfig, w: float):
    group = zarr.create_group(store=str(path), zarr_format=3, overwrite=True)
    group.attrs.update(
        {
            "title": title,
            "Conventions": "CF-1.8",
            "sinking_speed_m_per_day": w,
            "trap_depth_m": config.trap_depth,
            "site": config.site,
        }
    )
    return group


def _experiment_coordinates(group, design: Design, ocean: Ocean) -> None:
    n_e, n_p = design.n_experiments, design.n_positions
    every = (n_e,)
    dims = ("experiment",)
    start = np.repeat(design.starts, n_p)
    seconds = {"units": TIME_ATTRS["units"], "calendar": TIME_ATTRS["calendar"]}
    add_array(group, "collection_start", every, every, "int64", dims, attrs=seconds, data=_seconds(start))
    add_array(group, "collection_end", every, every, "int64", dims, attrs=seconds, data=_seconds(start + design.collection))
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


def _level_coordinate(group, config: RunConfig) -> None:
    levels = np.array(config.ordered_levels)
    attrs = {"units": "m", "positive": "down", "standard_name": "depth"}
    add_array(group, "level", levels.shape, levels.shape, "float64", ("level",), attrs=attrs, data=levels)


def create_particles(path: Path, config: RunConfig, design: Design, ocean: Ocean, w: float) -> None:
    """Lay out an empty particles store: dims (experiment, particle, level), one period a chunk."""
    group = _create_group(path, "Where sinking particles caught by a sediment trap crossed each level", config, w)
    shape = (design.n_experiments, design.n_particles, len(config.levels))
    chunks = (design.n_positions, *shape[1:])
    dims = ("experiment", "particle", "level")
    coordinates = "lon lat time"
    for name, way in (("x", "east"), ("y", "north")):
        attrs = {
            "units": "km",
            "long_name": f"displacement {way} of the particle's own release point",
            "coordinates": coordinates,
        }
        add_array(group, name, shape, chunks, "float32", dims, attrs=attrs, fill=np.nan)
    for name, axis in (("lon", "x"), ("lat", "y")):
        add_array(group, name, shape, chunks, "float64" if not ocean.grid.degrees else "float32", dims,
               attrs=position_attrs(ocean, axis), fill=np.nan)  # fmt: skip
    time_attrs = {"units": TIME_ATTRS["units"], "calendar": TIME_ATTRS["calendar"], "_FillValue": NO_TIME,
                  "long_name": "time of the crossing"}  # fmt: skip
    add_array(group, "time", shape, chunks, "int64", dims, attrs=time_attrs, fill=NO_TIME)
    flags = {
        "flag_values": list(STATUS_MEANINGS),
        "flag_meanings": " ".join(text.replace(" ", "_") for text in STATUS_MEANINGS.values()),
    }
    add_array(group, "status", shape[:2], chunks[:2], "int8", dims[:2], attrs=flags, fill=-1)
    release_attrs = {"units": TIME_ATTRS["units"], "calendar": TIME_ATTRS["calendar"]}
    add_array(group, "release_time", shape[:2], chunks[:2], "int64", dims[:2], attrs=release_attrs, fill=0)
    for name, axis in (("release_lon", "x"), ("release_lat", "y")):
        add_array(group, name, shape[:2], chunks[:2], "float64", dims[:2], attrs=position_attrs(ocean, axis), fill=np.nan)
    _level_coordinate(group, config)
    _experiment_coordinates(group, design, ocean)


def create_pdf(path: Path, config: RunConfig, design: Design, ocean: Ocean, w: float) -> None:
    """Lay out an empty PDF store: counts (experiment, level, y, x), reached (experiment, level), one period a chunk."""
    group = _create_group(path, "Catchment of a sediment trap: particles per bin; pdf = counts / reached", config, w)
    shape = (design.n_experiments, len(config.levels), BINS, BINS)
    dims = ("experiment", "level", "y", "x")
    dtype = "uint16" if design.n_particles < 65536 else "uint32"
    chunks = (design.n_positions, *shape[1:])
    add_array(
        group, "counts", shape, chunks, dtype, dims, attrs={"long_name": "particles that crossed the level in the bin"}, fill=0
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
    _level_coordinate(group, config)
    _experiment_coordinates(group, design, ocean)


def create_trajectories(path: Path, config: RunConfig, design: Design, ocean: Ocean, w: float, n_obs: int) -> None:
    """Lay out an empty trajectory store as Parcels writes them: dims (trajectory, obs); lon, lat, z, time."""
    group = _create_group(path, "Paths of sinking particles, backward in time from the trap", config, w)
    n = design.n_experiments * design.n_particles
    rows = design.n_positions * design.n_particles
    shape, chunks, dims = (n, n_obs), (rows, n_obs), ("trajectory", "obs")
    for name, axis in (("lon", "x"), ("lat", "y")):
        add_array(group, name, shape, chunks, "float64" if not ocean.grid.degrees else "float32", dims,
               attrs=position_attrs(ocean, axis), fill=np.nan)  # fmt: skip
    add_array(group, "z", shape, chunks, "float32", dims,
              attrs={"units": "m", "positive": "up", "long_name": "height"}, fill=np.nan)  # fmt: skip
    attrs = {"units": TIME_ATTRS["units"], "calendar": TIME_ATTRS["calendar"], "_FillValue": NO_TIME, "axis": "T"}
    add_array(group, "time", shape, chunks, "int64", dims, attrs=attrs, fill=NO_TIME)
    attrs = {"cf_role": "trajectory_id", "long_name": "experiment * particles of an experiment + particle"}
    add_array(group, "trajectory", (n,), (rows,), "int64", dims[:1], attrs=attrs, data=np.arange(n))
    add_array(group, "obs", (n_obs,), (n_obs,), "int32", dims[1:], data=np.arange(n_obs))


def damaged_parts(path: Path, rows: int, n: int) -> list[int]:
    """Numbers of the parts of a store, of ``n`` of ``rows`` rows each, in which a chunk of some array cannot be read.

    A part whose ``status`` was never written counts too.

    Raises
    ------
    StoreError
        What is damaged is no such part, but the metadata or a coordinate.
    """
    mend = "remove it and give the same command again"
    damaged = set()
    try:
        arrays = list(zarr.open_group(str(path), mode="r", use_consolidated=False).arrays())
    except Exception as error:
        raise StoreError(f"{path} is damaged ({one_line(error)}); {mend}") from error
    for name, array in arrays:
        parts = n if array.chunks[0] == rows and array.shape[0] == n * rows else 0
        for part in set(range(parts)) - damaged:
            try:
                values = array[part * rows : (part + 1) * rows]
            except Exception:  # each codec fails in its own way
                damaged.add(part)
                continue
            if name == "status" and (values < 0).any():
                damaged.add(part)
        if not parts:
            try:
                _ = array[...]
            except Exception as error:
                raise StoreError(f"{path}: {name} is damaged ({one_line(error)}); {mend}") from error
    return sorted(damaged)


def finish(partial: Path, final: Path | None = None) -> None:
    """Give a complete store its name (default: that of ``partial`` without its last suffix)."""
    for stray in partial.rglob("*.partial"):  # half-written chunks of killed processes
        stray.unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        zarr.consolidate_metadata(str(partial))
    final = final or partial.with_suffix("")
    if final.exists():
        shutil.rmtree(final)
    partial.rename(final)


def partial_path(folder: Path, name: str) -> Path:
    """Where the store ``name`` (such as ``pdf.zarr``) stands until it is complete."""
    return folder / f"{name}.partial"


def open_store(path: Path, kind: str, *, chunks: dict | None = None) -> xr.Dataset:
    """Open a finished store (kind: particles, pdf or trajectories) lazily, its variables checked.

    ``chunks`` as in :func:`xarray.open_zarr`: None reads what is indexed, ``{}`` gives dask arrays of the store's chunks.

    Raises
    ------
    StoreError
        The store is absent, unfinished, damaged, or of another kind.
    """
    path = Path(path)
    if not path.exists():
        unfinished = path.with_name(path.name + ".partial").exists()
        hint = "its run was not finished: give the same command again" if unfinished else "run python -m lagrangian.run first"
        raise StoreError(f"{path} does not exist; {hint}")
    return open_checked(path, kind, SCHEMA[kind], chunks=chunks)


def open_checked(path: Path, kind: str, variables: Sequence[str], *, chunks: dict | None = None) -> xr.Dataset:
    """Open a zarr store that is there, lazily; StoreError in one line where it is damaged or lacks a variable."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = xr.open_zarr(path, consolidated=None, chunks=chunks)
    except Exception as error:
        raise StoreError(f"{path} cannot be opened as zarr: {str(error).splitlines()[0]}") from error
    missing = [name for name in variables if name not in dataset.variables]
    if missing:
        raise StoreError(f"{path} is not a complete {kind} store: {', '.join(missing)} missing")
    return dataset


def open_pdf(path: Path) -> xr.Dataset:
    """:func:`open_store` for ``pdf.zarr``, with ``pdf`` = counts / reached (dask; NaN where none reached the level)."""
    dataset = open_store(path, "pdf", chunks={})
    reached = dataset["reached"].where(dataset["reached"] > 0)
    return dataset.assign(pdf=dataset["counts"] / reached)
