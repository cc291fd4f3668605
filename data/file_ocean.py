"""The base of oceans that are read from files: open files, numbered snapshots, and the variables that the files offer."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from data.errors import InputError
from data.handles import Handles
from data.ocean import OPTIONAL_VARIABLES

if TYPE_CHECKING:
    import numpy as np


class FileOcean:
    """Base of the oceans that are read from files (:class:`~data.ocean.Ocean`).

    Snapshots may be asked for from several threads. An ocean can be pickled; it opens its files anew.

    Attributes
    ----------
    times, variables, description
        As :class:`~data.ocean.Ocean` says.
    """

    times: np.ndarray
    variables: frozenset[str]
    description: dict

    def __init__(self, handles: Handles):
        self._handles = handles

    def __len__(self) -> int:
        """Number of snapshots."""
        return len(self.times)

    def record(self, index: int) -> tuple[str, int]:
        """The file that holds the velocity of snapshot ``index``, and the number of the record in that file, from 0."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the files; they open again when a snapshot is asked for."""
        self._handles.close()

    def _checked(self, index: int) -> int:
        """The number of a snapshot from 0; ``index`` may count from the end. IndexError if there is no such snapshot."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"snapshot {index} of {len(self)}")
        return int(index) % len(self)

    def _check_offered(self, index: int, variables: Collection[str]) -> None:
        """InputError if the files lack one of the optional ``variables``; ValueError if one is not optional."""
        for name in variables:
            if name not in OPTIONAL_VARIABLES:
                raise ValueError(f"{name!r} is not one of the optional variables {OPTIONAL_VARIABLES}")
            if name not in self.variables:
                offered = ", ".join(sorted(self.variables)) or "none"
                path = self.record(index)[0]
                raise InputError(f"{path}: the files hold no usable variable {name} (optional ones found: {offered})")

    def _velocity(self, index: int, name: str) -> np.ndarray:
        """One of u and v of snapshot ``index``, as the snapshot holds it."""
        raise NotImplementedError

    def _source_of(self, index: int, name: str) -> tuple[str, str, int]:
        """File, variable in the file, and number of the record in the file, from 0, of a quantity of snapshot ``index``."""
        path, record = self.record(index)
        return path, name, record

    def _check_still(self, index: int, name: str, velocity: np.ndarray) -> None:
        """InputError where a ``velocity`` (u or v, ``name``) is 0 everywhere in a snapshot, and not so in the one before it."""
        if index and not velocity.any() and self._velocity(index - 1, name).any():
            path, variable, record = self._source_of(index, name)
            raise InputError(
                f"{path}: {variable} is 0 everywhere in record {record} (counted from 0), and is not in the record before it: "
                "the record was never written, or filled in; mend it, or leave it out"
            )

    def _described(self, kind: str) -> str:
        """The ocean in words: its records, levels and ``kind`` of points."""
        first, last = self.description["first"], self.description["last"]
        return f"{type(self).__name__}({len(self)} records {first} to {last}, {kind})"
