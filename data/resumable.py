"""Stores that are filled part by part and are whole or can be gone on with: one owner of "this store is whole".

A store is filled under the name ``NAME.partial``. A part is one chunk of the first dimension of every array that is filled; a
file of its number in the folder ``parts_done`` within, made when the part is on disk, is its mark. When all parts are marked and
none is found damaged, the store takes its name. A killed command so leaves a whole store, or one that the next goes on with, and
no store depends on what lies beside it. Several processes may put parts in at once.
"""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import zarr

from data.chunks import (
    EVERY_CHUNK_ATTRIBUTE,
    LayoutError,
    array_is_whole,
    arrays_of,
    damaged_parts,
    has_chunk,
    is_whole,
    put_chunk,
)
from data.command import one_line
from data.errors import StoreError, cannot_write
from data.files import written_aside
from data.progress import Progress

#: Folder, within a store, of empty files: one for each part that is in.
MARKS = "parts_done"
#: Attribute that holds what a store was made of.
IDENTITY = "identity"
#: Where earlier versions noted finished parts: beside the stores of a speed, within other stores, in an array of fields.zarr.
OLDER_MARKS, OLDER_NOTES, OLDER_ARRAY = "periods_done", "done.json", "written"


def partial_path(folder: Path, name: str) -> Path:
    """The path of the store ``name`` (such as ``pdf.zarr``) while the store is incomplete."""
    return Path(folder) / f"{name}.partial"


def identity_of(path: Path) -> dict | None:
    """The identity that a store holds; None if the store is absent, damaged or without an identity."""
    try:
        identity = zarr.open_group(str(path), mode="r", use_consolidated=False).attrs.get(IDENTITY)
        return cast("dict | None", identity)
    except Exception:  # zarr raises in many ways
        return None


def holds(path: Path, number: int) -> bool:
    """Whether part ``number`` of an unfinished store is marked as finished."""
    path = Path(path)
    return path.exists() or (partial_path(path.parent, path.name) / MARKS / f"{number:05d}").exists()


def differences(old, new, name: str = "") -> list[str]:
    """The differences of two identities, each as "NAME was OLD, now NEW"."""
    if isinstance(old, dict) and isinstance(new, dict):
        names = sorted(old.keys() | new.keys())
        return [line for name_of in names for line in differences(old.get(name_of), new.get(name_of), name_of.replace("_", "-"))]
    return [] if old == new else [f"{name or 'it'} was {_short(old)}, now {_short(new)}"]


def _short(value) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:56]} ..."


class ResumableStore:
    """A store that is whole, or that is filled part by part.

    Parameters
    ----------
    path : Path
        The store's name once the store is whole, such as ``OUT/w080/pdf.zarr``.
    filled : sequence of str
        Arrays that are filled part by part; other arrays are laid out with the store.
    n_parts : int
        Number of parts: chunks of the first dimension of each of them.
    lay_out : callable, optional
        Makes an empty store (a zarr group with its arrays) at a path, the same bytes each time. Without it the store must
        exist, as when a worker joins.
    identity : dict, optional
        Facts (as JSON holds them) that must equal those kept in an unfinished store for the store to be gone on with.
    renew : bool
        Make a store of another identity anew (its name goes over when the new one is whole) instead of refusing it.
    parts : str
        The parts' name, in the plural, for error lines.

    Attributes
    ----------
    done : set of int
        Numbers of the parts that the store holds.
    damaged : list of int
        Numbers of the parts that were lost or damaged when the store was opened; these parts are missing now.
    renewed : bool
        Whether a finished store of another identity exists, which this store will replace.

    Raises
    ------
    StoreError
        The store has another identity, damaged metadata, or is absent and not to be laid out; or the disk
        cannot be written.
    """

    def __init__(
        self,
        path: Path,
        filled: Sequence[str],
        n_parts: int,
        *,
        lay_out: Callable[[Path], object] | None = None,
        identity: dict | None = None,
        renew: bool = False,
        parts: str = "parts",
    ):
        self.path, self.filled, self.n_parts = Path(path), tuple(filled), n_parts
        self.partial = partial_path(self.path.parent, self.path.name)
        self.identity, self.renew, self.parts = identity, renew, parts
        self._lay_out_at: Any = lay_out
        self._aside = self.partial.with_name(f"{self.partial.name}.new")
        self._old = self.path.with_name(f"{self.path.name}.old")
        self._arrays: Any = None
        self.done: set[int] = set()
        self.damaged: list[int] = []
        self.renewed = False
        try:
            if lay_out is None:
                self._join()
            else:
                self._open()
        except OSError as error:
            raise cannot_write(self.path, error) from None

    # -- what is there -----------------------------------------------------------------------------------------------

    @property
    def where(self) -> Path:
        """The path of the store as it is now, finished or unfinished."""
        return self.partial if self.partial.exists() and (self.renewed or not self.path.exists()) else self.path

    @property
    def whole(self) -> bool:
        """Whether the store is finished and has its name."""
        return self.where == self.path

    def missing(self) -> list[int]:
        """Numbers of the parts that the store lacks, in order."""
        return [number for number in range(self.n_parts) if number not in self.done]

    def _all(self) -> set[int]:
        return set(range(self.n_parts))

    def _join(self) -> None:
        if not self.path.exists() and not (self.partial / MARKS).exists():
            raise StoreError(
                f"{self.path.parent} does not hold the stores that are to be filled ({self.partial.name}); is it the same folder "
                "on all machines?"
            )
        self.renewed = self.renew and self.path.exists() and self.partial.exists()
        if self.path.exists() and not self.renewed:
            self.done = self._all()
        else:
            self._go_on()

    def _open(self) -> None:
        for stray in (self._aside, self._old):
            if stray.exists():
                shutil.rmtree(stray)
        if self.path.exists():
            if self._is_ours(self.path):
                if self._found_whole():
                    return
                self._go_on()
                return
            self.renewed = True
        if self.partial.exists() and self._has_marks() and self._is_ours(self.partial):
            self._go_on()
        else:
            self._lay_out()

    def _is_ours(self, path: Path) -> bool:
        """Whether a store has this identity. A store without one counts as having it, unless stores are renewed.

        Raises
        ------
        StoreError
            The store has another identity, and is not to be made anew.
        """
        if self.identity is None:
            return True
        stored = identity_of(path)
        if stored == self.identity or (stored is None and not self.renew):
            return True
        if self.renew:
            return False
        changed = "; ".join(differences(stored, self.identity))
        raise StoreError(f"{path} was made with other options ({changed}); choose another folder, or remove it")

    def _go_on(self) -> None:
        self.done = self._marks()
        try:
            group = zarr.open_group(str(self.partial), mode="r+", use_consolidated=False)
            found = arrays_of(self.partial)
            arrays = [found[name] for name in self.filled]
            if self._lay_out_at and self.identity is not None and IDENTITY not in group.attrs:  # of an earlier version
                group.attrs[IDENTITY] = self.identity
        except OSError:
            raise
        except Exception as error:
            raise StoreError(
                f"{self.partial} is damaged ({one_line(error)}); remove it and give the same command again"
            ) from error
        if self._lay_out_at:  # damaged chunks are found at the end, lost chunks can be seen now
            lost = [number for number in sorted(self.done) if not all(has_chunk(array, number) for array in arrays)]
            self.damaged = sorted({*self.damaged, *lost})
            self.forget(lost)

    # -- marks -------------------------------------------------------------------------------------------------------

    def _marks(self) -> set[int]:
        return {int(mark.name) for mark in (self.partial / MARKS).glob("[0-9]*")} & self._all()

    def _write_marks(self, path: Path, numbers: Iterable[int]) -> None:
        """Make the marks of a store anew; a kill leaves all of the marks or none."""
        new = path / f"{MARKS}.new"
        for old in (new, path / MARKS):
            if old.exists():
                shutil.rmtree(old)
        new.mkdir()
        for number in numbers:
            (new / f"{number:05d}").touch()
        new.rename(path / MARKS)

    def _has_marks(self) -> bool:
        """Whether an unfinished store marks its finished parts; notes of an earlier version are turned into marks."""
        if not (self.partial / MARKS).exists():
            older = _older_marks(self.partial, self.filled)
            if older is None:
                return False
            self._write_marks(self.partial, older & self._all())
            (self.partial / OLDER_NOTES).unlink(missing_ok=True)
        return True

    # -- laying out --------------------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        self._lay_out_aside()
        if self.partial.exists():
            shutil.rmtree(self.partial)
        self._aside.rename(self.partial)  # the folder of marks comes with the store: a store with this name is laid out
        self._go_on()

    def _lay_out_aside(self) -> None:
        if self._aside.exists():
            shutil.rmtree(self._aside)
        self._aside.parent.mkdir(parents=True, exist_ok=True)
        self._lay_out_at(self._aside)
        attributes: dict[str, Any] = {EVERY_CHUNK_ATTRIBUTE: True}
        if self.identity is not None:
            attributes[IDENTITY] = self.identity
        zarr.open_group(str(self._aside), mode="r+", use_consolidated=False).attrs.update(attributes)
        (self._aside / MARKS).mkdir()

    def _found_whole(self) -> bool:
        """Check a finished store; if parts are damaged, make it an unfinished store that holds the other parts."""
        reopened = (self.path / MARKS).exists()  # killed between its name and the end of its marks, or while it was mended
        (self.path / OLDER_NOTES).unlink(missing_ok=True)
        try:
            damaged = self._damaged(self.path)
        except LayoutError:
            reopened = True
            self._write_marks(self.path, ())
            self._mend_layout(self.path)
            damaged = self._damaged(self.path)
        if not damaged and not reopened:
            self.done = self._all()
            if self.partial.exists() and not self.renew:
                shutil.rmtree(self.partial)
            return True
        self.damaged = damaged
        self._write_marks(self.path, self._all() - set(damaged))  # before the store loses its name
        if self.partial.exists():
            shutil.rmtree(self.partial)
        self.path.rename(self.partial)
        return False

    def _mend_layout(self, path: Path) -> None:
        """Replace damaged metadata and coordinates of a store by those of a new layout."""
        self._lay_out_aside()
        try:
            zarr.open_group(str(path), mode="r", use_consolidated=False)
            files = []
        except Exception:
            files = [self._aside / "zarr.json"]
        for name in arrays_of(self._aside):
            if not self._array_is_usable(path / name):
                files += [file_inside for file_inside in (self._aside / name).rglob("*") if file_inside.is_file()]
        for file in files:
            with written_aside(path / file.relative_to(self._aside)) as aside:
                shutil.copyfile(file, aside)
        shutil.rmtree(self._aside)
        if files:
            names = sorted({file.relative_to(self._aside).parts[0] for file in files})
            problem = "metadata or coordinates are damaged or missing and are made again"
            print(f"note: {path}: {', '.join(names)}: {problem}", flush=True)

    def _array_is_usable(self, path: Path) -> bool:
        try:
            array = zarr.open_array(str(path), mode="r")
            return path.name in self.filled or array_is_whole(array)
        except Exception:
            return False

    # -- filling -----------------------------------------------------------------------------------------------------

    def fill(self, number: int, **values: np.ndarray) -> None:
        """Write part ``number``, a chunk of each array that is filled; on disk when this returns, and not marked yet.

        Raises
        ------
        StoreError
            The disk is full or cannot be written; what was marked before stays valid.
        """
        try:
            if self._arrays is None:  # kept open: to open an array costs more than to write a small chunk
                group = zarr.open_group(str(self.partial), mode="r+", use_consolidated=False)
                self._arrays = {name: group[name] for name in self.filled}
            for name, array in self._arrays.items():
                put_chunk(array, number, values[name].astype(array.dtype, copy=False))
        except OSError as error:
            raise cannot_write(self.path, error) from None

    def mark(self, number: int) -> None:
        """Mark part ``number`` as finished."""
        try:
            (self.partial / MARKS / f"{number:05d}").touch()
        except OSError as error:
            raise cannot_write(self.path, error) from None
        self.done.add(number)

    def put(self, number: int, **values: np.ndarray) -> None:
        """:meth:`fill` and :meth:`mark`."""
        self.fill(number, **values)
        self.mark(number)

    # -- the end -----------------------------------------------------------------------------------------------------

    def close(self) -> bool:
        """Check the store and name it, once every part is in (whoever put it there). Returns whether it has its name.

        Raises
        ------
        StoreError
            A chunk is damaged or missing: its part counts as not in. Or the disk cannot be written.
        """
        if self.whole:
            return True
        self.done = self._marks()
        if len(self.done) < self.n_parts:
            return False
        try:
            try:
                damaged = self._damaged(self.partial)
            except LayoutError:
                if not self._lay_out_at:
                    raise
                self._mend_layout(self.partial)
                damaged = self._damaged(self.partial)
            if damaged:
                self.forget(damaged)
                raise StoreError(f"{self.told(damaged)}; give the same command again and they are made again")
            self._finish()
        except OSError as error:
            raise cannot_write(self.path, error) from None
        return True

    def told(self, damaged: Sequence[int]) -> str:
        """The beginning of a line which tells that some parts are damaged or missing."""
        return f"{self.where}: {len(damaged)} of {self.n_parts} {self.parts} are damaged or missing"

    def forget(self, numbers: Iterable[int]) -> None:
        """Count parts as missing."""
        for number in numbers:
            (self.partial / MARKS / f"{number:05d}").unlink(missing_ok=True)
            self.done.discard(number)

    def _damaged(self, path: Path) -> list[int]:
        with Progress(f"checking {path.name}", "part") as bar:
            return damaged_parts(path, self.filled, self.n_parts, bar.update)

    def _finish(self) -> None:
        for pattern in ("*.partial", "*.aside"):  # half-written chunks and files of killed processes
            for stray in self.partial.rglob(pattern):
                stray.unlink()
        (self.partial / OLDER_NOTES).unlink(missing_ok=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            zarr.consolidate_metadata(str(self.partial))
        if self.path.exists():
            self.path.rename(self._old)
        self.partial.rename(self.path)
        self.renewed = False
        shutil.rmtree(self.path / MARKS)
        if self._old.exists():
            shutil.rmtree(self._old)


def _older_marks(partial: Path, filled: Sequence[str]) -> set[int] | None:
    """Parts of an unfinished store that an earlier version noted as finished; None if there is no note."""
    notes = partial / OLDER_NOTES
    try:
        if notes.exists():
            noted = json.loads(notes.read_text())
            if "blocks" in noted:
                return set(noted["blocks"])
            rows = int(noted["snapshots"] if "snapshots" in noted else noted["maps"])
            return set(range(-(-rows // arrays_of(partial)[filled[0]].chunks[0])))
        if OLDER_ARRAY in filled:
            array = arrays_of(partial)[OLDER_ARRAY]
            return {number for number in range(array.size) if is_whole(array, number) and bool(array[number])}
        beside = partial.parent / OLDER_MARKS
        return {int(mark.name) for mark in beside.glob("[0-9]*")} if beside.exists() else None
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None
