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
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.core.codec_pipeline import BatchedCodecPipeline
from zarr.registry import register_pipeline

from data.command import one_line, read_json
from data.errors import StoreError
from data.files import put_on_disk
from data.ocean import Ocean
from data.ocean_names import ocean_title, site_attribute, with_source
from data.progress import Progress
from data.times import SECONDS_ATTRS, whole_seconds
from lagrangian.binning import BINS, bin_centres
from lagrangian.config import RunConfig
from lagrangian.experiments import Design

#: Chunks that hold nothing but the fill value are written too: one that is not there is one that was lost.
EVERY_CHUNK = {"write_empty_chunks": True}
NO_TIME = np.iinfo(np.int64).min

#: Variables that each store must have, checked on opening.
SCHEMA = {
    "particles": ("x", "y", "lon", "lat", "time", "status", "level", "collection_start", "collection_end", "position",
                  "trap_lon", "trap_lat", "release_time", "release_lon", "release_lat"),
    "pdf": ("counts", "reached", "x", "y", "level", "collection_start", "collection_end", "position", "trap_lon", "trap_lat"),
    "trajectories": ("lon", "lat", "z", "time"),
}  # fmt: skip
#: Variables that each store is filled with, a chunk for each collection period; the others are laid out with it.
FILLED = {
    "particles": ("x", "y", "lon", "lat", "time", "status", "release_time", "release_lon", "release_lat"),
    "pdf": ("counts", "reached"),
    "trajectories": ("lon", "lat", "z", "time"),
}
#: What xarray takes for coordinates of an experiment, and of a particle (CF: each in the attribute of what is measured there).
_EXPERIMENT_COORDINATES = "collection_start collection_end period position trap_lon trap_lat trap_dx trap_dy"
_PARTICLE_COORDINATES = f"release_time release_lon release_lat {_EXPERIMENT_COORDINATES}"
STATUS_MEANINGS = {
    0: "reached the last level",
    1: "left the domain",
    2: "reached land or the sea floor",
    3: "record ended first",
}


def add_array(group, name, shape, chunks, dtype, dims, attrs=None, data=None, fill=None):
    """Add an array to a zarr group as all stores of the toolkit have it; ``data`` is written where given."""
    array = group.create_array(
        name,
        shape=shape,
        chunks=chunks,
        dtype=dtype,
        dimension_names=dims,
        # deterministic bytes: blosc with one fixed setting; and a checksum, which blosc has none of
        compressors=[BloscCodec(cname="zstd", clevel=5, shuffle="shuffle"), Crc32cCodec()],
        fill_value=fill,
        attributes=attrs or {},
        config=EVERY_CHUNK,
    )
    if data is not None:
        array[...] = data


def put_chunk(group, name: str, number: int, values) -> None:
    """Fill chunk ``number`` of the first dimension (of one chunk in all others) of an array; it is on disk when this returns.

    ``values`` (rows of the chunk, ...).
    """
    array = group[name].with_config(EVERY_CHUNK)
    rows = array.chunks[0]
    array[number * rows : (number + 1) * rows] = values
    put_on_disk(_chunk_path(array, number))


def _chunk_path(array, *place: int) -> Path:
    """File of the chunk at ``place`` (0 along the dimensions that it leaves out)."""
    place = (*place, *(0,) * (array.ndim - len(place)))
    return Path(array.store.root) / array.path / array.metadata.encode_chunk_key(place)


def position_attrs(ocean: Ocean, axis: str) -> dict:
    """Attributes of a lon or lat variable: degrees, or metres on a Cartesian grid."""
    if ocean.grid.degrees:
        return {
            "units": f"degrees_{'east' if axis == 'x' else 'north'}",
            "standard_name": "longitude" if axis == "x" else "latitude",
        }
    return {"units": "m", "long_name": f"Cartesian {axis} coordinate of the ocean's grid"}


def _create_group(path: Path, title: str, config: RunConfig, ocean: Ocean, w: float):
    source = ocean_title(ocean.description)
    group = zarr.create_group(store=str(path), zarr_format=3, overwrite=True)
    group.attrs.update(
        {
            "title": title,
            "Conventions": "CF-1.8",
            "sinking_speed_m_per_day": w,
            "trap_depth_m": config.trap_depth,
            "site": site_attribute(source, config.site),
            "source": source,
        }
    )
    return group


def _experiment_coordinates(group, design: Design, ocean: Ocean) -> None:
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


def _level_coordinate(group, config: RunConfig) -> None:
    levels = np.array(config.ordered_levels)
    attrs = {"units": "m", "positive": "down", "standard_name": "depth"}
    add_array(group, "level", levels.shape, levels.shape, "float64", ("level",), attrs=attrs, data=levels)


def create_particles(path: Path, config: RunConfig, design: Design, ocean: Ocean, w: float) -> None:
    """Lay out an empty particles store: dims (experiment, particle, level), one period a chunk."""
    group = _create_group(path, "Where sinking particles caught by a sediment trap crossed each level", config, ocean, w)
    shape = (design.n_experiments, design.n_particles, len(config.levels))
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
    _level_coordinate(group, config)
    _experiment_coordinates(group, design, ocean)


def create_pdf(path: Path, config: RunConfig, design: Design, ocean: Ocean, w: float) -> None:
    """Lay out an empty PDF store: counts (experiment, level, y, x), reached (experiment, level), one period a chunk."""
    group = _create_group(path, "Catchment of a sediment trap: particles per bin; pdf = counts / reached", config, ocean, w)
    shape = (design.n_experiments, len(config.levels), BINS, BINS)
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
    _level_coordinate(group, config)
    _experiment_coordinates(group, design, ocean)


def create_trajectories(path: Path, config: RunConfig, design: Design, ocean: Ocean, w: float, n_obs: int) -> None:
    """Lay out an empty trajectory store as Parcels writes them: dims (trajectory, obs); lon, lat, z, time."""
    group = _create_group(path, "Paths of sinking particles, backward in time from the trap", config, ocean, w)
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


class CheckedPipeline(BatchedCodecPipeline):
    """zarr's own way from chunks to arrays; a chunk that cannot be decoded is named, and who can make it again."""

    async def decode_batch(self, chunk_bytes_and_specs):
        """As in zarr; an error that is no OSError becomes :class:`_Undecodable`, which :meth:`read_batch` knows the place of."""
        try:
            return await super().decode_batch(chunk_bytes_and_specs)
        except (OSError, StoreError):
            raise
        except Exception as error:  # each codec fails in its own way
            raise _Undecodable(one_line(error)) from error

    async def read_batch(self, batch_info, out, drop_axes=()):
        """As in zarr.

        Raises
        ------
        StoreError
            A chunk is damaged.
        """
        batch_info = list(batch_info)
        try:
            await super().read_batch(batch_info, out, drop_axes)
        except _Undecodable as error:
            place = str(batch_info[0][0]).removeprefix("file://")
            raise StoreError(
                f"{place} is damaged ({error}); give the lagrangian.run or learning.predict that wrote the store again, and it "
                "makes it whole; a store of another command: remove it, and give that again"
            ) from error


class _Undecodable(StoreError):
    pass


register_pipeline(CheckedPipeline)
#: Setting of zarr under which what is opened is read so.
CHECKED = {"codec_pipeline.path": f"{CheckedPipeline.__module__}.{CheckedPipeline.__qualname__}"}


def damaged_parts(path: Path, filled: Sequence[str], n: int) -> list[int]:
    """Numbers of the parts of a store (chunks of the first dimension), of ``n``, that some array of ``filled`` has lost or holds
    damaged.

    Raises
    ------
    StoreError
        What is damaged is no such part, but the metadata or a coordinate.
    """
    mend = "remove it and give the same command again"
    damaged = set()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # notes of what is done may lie beside the arrays
            arrays = dict(zarr.open_group(str(path), mode="r", use_consolidated=False).arrays())
    except Exception as error:
        raise StoreError(f"{path} is damaged ({one_line(error)}); {mend}") from error
    parts = {name: array for name, array in arrays.items() if name in filled}
    for name in arrays.keys() - parts.keys():
        if not all(is_whole(arrays[name], *place) for place in np.ndindex(arrays[name].cdata_shape)):
            raise StoreError(f"{path}: {name} is damaged; {mend}")
    with Progress(f"checking {path.name}", "part") as bar:
        for number in range(n):
            if not all(is_whole(array, number) for array in parts.values()):
                damaged.add(number)
            bar.update(number + 1, n)
    return sorted(damaged)


def is_whole(array, *place: int) -> bool:
    """Whether a chunk is there and can be read."""
    # stores of earlier versions have neither checksums nor chunks that hold fill values alone
    if any(isinstance(codec, Crc32cCodec) for codec in array.metadata.codecs) and not _chunk_path(array, *place).exists():
        return False
    try:
        _ = array.blocks[place]
    except Exception:
        return False
    return True


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


def run_record(run: Path) -> dict:
    """run.json of a run, or {} where it is absent; StoreError where it is damaged."""
    path = Path(run) / "run.json"
    record = read_json(path) if path.exists() else {}
    if not isinstance(record, dict):
        raise StoreError(f"{path} is damaged: it holds no JSON object; give the run's command again, into another --out")
    return record


def open_checked(path: Path, kind: str, variables: Sequence[str], *, chunks: dict | None = None) -> xr.Dataset:
    """Open a zarr store that is there, lazily; StoreError in one line where it is damaged or lacks a variable."""
    try:
        with warnings.catch_warnings(), zarr.config.set(CHECKED):
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
