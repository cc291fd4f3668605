"""Chunks of zarr stores: a chunk is written whole with a checksum, is on disk before it counts, and is missed if lost."""

from __future__ import annotations

import math
import os
import sys
import uuid
import warnings
from collections.abc import Sequence
from pathlib import Path

import google_crc32c
import numpy as np
import xarray as xr
import zarr
from numcodecs import blosc
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec
from zarr.core.codec_pipeline import BatchedCodecPipeline
from zarr.registry import register_pipeline
from zarr.storage import LocalStore

from data.command import one_line
from data.errors import StoreError
from data.files import put_on_disk, renamed

#: Chunks that hold nothing but the fill value are written too, so that a chunk absent from the disk is known to be lost.
EVERY_CHUNK = {"write_empty_chunks": True}
#: Compressor, level and shuffle of all chunks.
PACKING = b"zstd", 3, blosc.BITSHUFFLE
#: Attribute of a store of which every chunk is written.
EVERY_CHUNK_ATTRIBUTE = "every_chunk_is_written"
#: Kinds of store of which earlier versions left out the chunks of arrays that held nothing but fill values.
SPARSE_BEFORE = ("dynamics", "chlorophyll")
#: The command that makes a store, by the name of the store or of its folder.
MAKERS = {
    "particles.zarr": "lagrangian.run",
    "pdf.zarr": "lagrangian.run",
    "trajectories.zarr": "lagrangian.run",
    "fields.zarr": "lagrangian.run",
    "velocities.zarr": "learning.fit",
    "predictions": "learning.predict",
    "dynamics.zarr": "evaluation.diagnostics",
    "chlorophyll_on_frame.zarr": "evaluation.correlation",
}


def mend_of(path: Path) -> str:
    """The end of an error line that tells how a damaged store is made whole; ``path`` of the store or of a file in it."""
    path = Path(path)
    for part in (path, *path.parents):
        if part.suffix == ".zarr":
            maker = MAKERS.get(part.name) or MAKERS.get(part.parent.name)
            return f"give the {maker} that wrote it again, and it is made whole" if maker else "make the store again"
    return "make the store again"


def add_array(group, name, shape, chunks, dtype, dims, attrs=None, data=None, fill=None):
    """Add an array to a zarr group as all stores of the toolkit have it; ``data`` is written where given."""
    array = group.create_array(
        name,
        shape=shape,
        chunks=chunks,
        dtype=dtype,
        dimension_names=dims,
        # deterministic bytes: blosc with one fixed setting; and a checksum, which blosc has none of. Level 5 of shuffled bytes
        # would make PDFs 4 % smaller and take four times as long
        compressors=[BloscCodec(cname=PACKING[0].decode(), clevel=PACKING[1], shuffle="bitshuffle"), Crc32cCodec()],
        fill_value=fill,
        attributes=attrs or {},
        config=EVERY_CHUNK,
    )
    if data is not None and not (np.shape(data) == array.shape and _put_plain(array, 0, data, durable=False)):
        array[...] = data


def put_chunk(array, number: int, values) -> None:
    """Fill chunk ``number`` of the first dimension (of one chunk in all others) of an array; on return the chunk is on disk.

    ``values`` (rows of the chunk, ...).
    """
    if _put_plain(array, number, values, durable=True):
        return
    array = array.with_config(EVERY_CHUNK)
    rows = array.chunks[0]
    array[number * rows : (number + 1) * rows] = values
    put_on_disk(_chunk_path(array, number))


def _put_plain(array, number: int, values, *, durable: bool) -> bool:
    """Write a chunk that is one file, with the bytes that zarr writes; False, and nothing done, where zarr has to.

    zarr's threads take longer than a small chunk. ``durable``: whether the chunk is on disk before it has its name.
    """
    if np.shape(values) != array.chunks or not array.ndim or not _is_one_file(array, 1) or not _is_plain(array):
        return False
    # what is hidden by a mask, or lies beyond the end of the array, zarr refuses
    if isinstance(values, np.ma.MaskedArray) or not 0 <= number * array.chunks[0] <= array.shape[0] - array.chunks[0]:
        return False
    # in the order of this machine's memory, whichever the array has in Python
    packed = blosc.compress(np.ascontiguousarray(values, array.dtype.newbyteorder("=")), *PACKING)
    path = _chunk_path(array, number)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")  # as zarr names it
    with renamed(aside, path, durable=durable):
        aside.write_bytes(packed + google_crc32c.value(packed).to_bytes(4, "little"))
    return True


def _chunk_path(array, *place: int) -> Path:
    """File of the chunk at ``place`` (0 along the dimensions that it leaves out)."""
    place = (*place, *(0,) * (array.ndim - len(place)))
    return Path(array.store.root) / array.path / array.metadata.encode_chunk_key(place)


def has_chunk(array, *place: int) -> bool:
    """Whether the file of a chunk is there; nothing is read."""
    return _chunk_path(array, *place).exists()


def is_whole(array, *place: int) -> bool:
    """Whether a chunk is there and can be read."""
    # stores of earlier versions have neither checksums nor chunks that hold fill values alone
    if has_checksums(array) and not has_chunk(array, *place):
        return False
    try:
        if _is_one_file(array, len(place)):
            # as zarr reads it, without zarr's threads: they take longer than a small chunk
            content = _chunk_path(array, *place).read_bytes()
            packed = content[:-4]
            right = content[-4:] == google_crc32c.value(packed).to_bytes(4, "little")
            return right and len(blosc.decompress(packed)) == math.prod(array.chunks) * array.dtype.itemsize
        _ = array.blocks[place]
    except Exception:
        return False
    return True


def _is_one_file(array, dimensions: int) -> bool:
    """Whether a chunk, given by its place in the first so many dimensions, is one file as :func:`add_array` has it."""
    kinds = [type(codec) for codec in array.metadata.codecs]
    return kinds == [BytesCodec, BloscCodec, Crc32cCodec] and math.prod(array.cdata_shape[dimensions:]) == 1


def _is_plain(array) -> bool:
    """Whether chunks are files and hold the memory of this machine, packed as :func:`add_array` has it."""
    if not isinstance(array.store, LocalStore) or array.read_only or array.dtype.kind not in "biufc":
        return False
    order, packing, _ = (codec.to_dict().get("configuration", {}) for codec in array.metadata.codecs)
    name, level, _ = PACKING
    ours = {"cname": name.decode(), "clevel": level, "shuffle": "bitshuffle", "typesize": array.dtype.itemsize, "blocksize": 0}
    return packing == ours and (array.dtype.itemsize == 1 or order.get("endian") == sys.byteorder)


def has_checksums(array) -> bool:
    """Whether the chunks of an array carry checksums, as :func:`add_array` has it."""
    return any(isinstance(codec, Crc32cCodec) for codec in array.metadata.codecs)


def arrays_of(path: Path, *, consolidated: bool = False) -> dict:
    """The arrays of a store by name; whatever zarr raises where it cannot be opened."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the folder of marks may lie beside the arrays
        group = zarr.open_group(str(path), mode="r", use_consolidated=None if consolidated else False)
        if consolidated:
            return dict(group.arrays())
        # zarr would take the folder of marks for an array as well, and tell of that on the terminal when the process ends
        return {file.parent.name: group[file.parent.name] for file in sorted(Path(path).glob("*/zarr.json"))}


def _whole_layout(path: Path, filled: Sequence[str]) -> dict | None:
    """The arrays of a store; None where its metadata, or some array that is none of ``filled``, cannot be read."""
    try:
        arrays, named = arrays_of(path), set(arrays_of(path, consolidated=True))
    except Exception:
        return None
    if (named | set(filled)) - arrays.keys():
        return None
    return arrays if all(array_is_whole(array) for name, array in arrays.items() if name not in filled) else None


def array_is_whole(array) -> bool:
    """Whether every chunk of an array is there and can be read."""
    return all(is_whole(array, *place) for place in np.ndindex(array.cdata_shape))


class LayoutError(StoreError):
    """The metadata or a coordinate of a store is damaged."""


def damaged_parts(path: Path, filled: Sequence[str], n: int, progress=lambda done, total: None) -> list[int]:
    """Numbers of the parts of a store (chunks of the first dimension), of ``n``, that some array of ``filled`` has lost or holds
    damaged; ``progress`` is called with the number of parts looked through and ``n``.

    Raises
    ------
    LayoutError
        What is damaged is no such part, but the metadata or a coordinate.
    """
    arrays = _whole_layout(path, filled)
    if arrays is None:
        raise LayoutError(f"{path} is damaged{_what(path, filled)}; remove it and give the same command again")
    damaged = []
    for number in range(n):
        if not all(is_whole(arrays[name], number) for name in filled):
            damaged.append(number)
        progress(number + 1, n)
    return damaged


def _what(path: Path, filled: Sequence[str]) -> str:
    """The damaged part of a store's layout, in brackets, for an error line."""
    try:
        arrays, named = arrays_of(path), set(arrays_of(path, consolidated=True))
    except Exception as error:
        return f" ({one_line(error)})"
    bad = {name for name, array in arrays.items() if name not in filled and not array_is_whole(array)}
    return f" ({', '.join(sorted(bad | ((named | set(filled)) - arrays.keys())))})"


# -- reading ---------------------------------------------------------------------------------------------------------


class CheckedPipeline(BatchedCodecPipeline):
    """zarr's codec pipeline, whose errors name a lost or damaged chunk and the command that makes the chunk again."""

    _lost_is_damaged = True

    async def decode_batch(self, chunk_bytes_and_specs):
        """As in zarr; an error that is no OSError becomes :class:`_Undecodable`, whose place :meth:`read_batch` knows."""
        chunk_bytes_and_specs = list(chunk_bytes_and_specs)
        checksums = any(isinstance(codec, Crc32cCodec) for codec in self.bytes_bytes_codecs)
        if self._lost_is_damaged and checksums and any(content is None for content, _ in chunk_bytes_and_specs):
            raise _Undecodable("is missing")
        try:
            return await super().decode_batch(chunk_bytes_and_specs)
        except (OSError, StoreError):
            raise
        except Exception as error:  # each codec fails in its own way
            raise _Undecodable(f"is damaged ({one_line(error)})") from error

    async def read_batch(self, batch_info, out, drop_axes=()):
        """As in zarr.

        Raises
        ------
        StoreError
            A chunk is damaged or missing.
        """
        batch_info = list(batch_info)
        try:
            await super().read_batch(batch_info, out, drop_axes)
        except _Undecodable as error:
            place = str(batch_info[0][0]).removeprefix("file://")
            raise StoreError(f"{place} {error}; {mend_of(Path(place))}") from error


class SparsePipeline(CheckedPipeline):
    """The pipeline for stores of earlier versions, in which an absent chunk may stand for fill values."""

    _lost_is_damaged = False


class _Undecodable(StoreError):
    pass


register_pipeline(CheckedPipeline)
register_pipeline(SparsePipeline)


def _setting(pipeline: type) -> dict:
    return {"codec_pipeline.path": f"{pipeline.__module__}.{pipeline.__qualname__}"}


def lost_chunk(path: Path, kind: str = "") -> Path | None:
    """File of a chunk that a finished store has lost; None where all are there. Looks at names, reads no chunk.

    Stores without checksums are of earlier versions, which left out chunks of fill values: nothing can be told of them. The kinds
    of :data:`SPARSE_BEFORE` have checksums, and lacked arrays of fill values alone until :data:`EVERY_CHUNK_ATTRIBUTE` came.
    """
    sparse = is_sparse(path, kind)
    for array in arrays_of(path, consolidated=True).values():
        if not has_checksums(array):
            continue
        root = Path(array.store.root) / array.path
        files = {os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names if name != "zarr.json"}
        if sparse and not files:
            continue
        for place in np.ndindex(array.cdata_shape):
            chunk = os.path.join(root, array.metadata.encode_chunk_key(place))
            if chunk not in files:
                return Path(chunk)
    return None


def is_sparse(path: Path, kind: str) -> bool:
    """Whether an array of which a store holds no chunk at all may be one of fill values."""
    attributes = zarr.open_group(str(path), mode="r").attrs
    return kind in SPARSE_BEFORE and not attributes.get(EVERY_CHUNK_ATTRIBUTE, False)


def checked_setting(path: Path, kind: str) -> dict:
    """Setting of zarr (:func:`zarr.config.set`) under which a finished store is to be opened so that its chunks are checked.

    Raises
    ------
    StoreError
        A chunk is missing.
    """
    lost = lost_chunk(path, kind)
    if lost is not None:
        raise StoreError(f"{lost} is missing; {mend_of(lost)}")
    return _setting(SparsePipeline if is_sparse(path, kind) else CheckedPipeline)


def open_checked(path: Path, kind: str, variables: Sequence[str], *, chunks: dict | None = None) -> xr.Dataset:
    """Open an existing zarr store lazily; every chunk must exist on opening, and is checked when it is read.

    Raises
    ------
    StoreError
        The store is damaged, lacks a variable or a chunk; also later, when a chunk is read that is damaged or was lost since.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with zarr.config.set(checked_setting(path, kind)):
                dataset = xr.open_zarr(path, consolidated=None, chunks=chunks)
    except StoreError:
        raise
    except Exception as error:
        raise StoreError(f"{path} cannot be opened as zarr: {one_line(error)}; {mend_of(Path(path))}") from error
    missing = [name for name in variables if name not in dataset.variables]
    if missing:
        raise StoreError(f"{path} is not a complete {kind} store: {', '.join(missing)} missing; {mend_of(Path(path))}")
    return dataset
