"""Static variables and attributes, looked up in the files in their order."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from data.croco.handles import Handles

if TYPE_CHECKING:
    from data.croco.files import File

#: Nothing in the sea is as large in CROCO's units: larger numbers are fill values that no attribute declares.
FILL_LIMIT = 1e10


def kind_of(variable):
    """numpy's letter for the type of a variable; O for strings of any length."""
    return getattr(variable.dtype, "kind", "O")


class Statics:
    """Looks up static variables and attributes in the files in their order, the grid file last.

    All files of a run repeat the same statics: the first two that hold a name are tried, and the last, which
    is the grid file where that holds it.
    """

    def __init__(self, handles: Handles, sources: list[File]):
        self._handles = handles
        self._sources = sources

    def _holders(self, name, kind):
        holders = [source for source in self._sources if name in getattr(source, kind)]
        return holders if len(holders) < 3 else [*holders[:2], holders[-1]]

    def variable(self, name: str) -> Iterator[tuple[str, np.ndarray]]:
        """(path, value) of each file that holds it: float64, NaN where missing, without time."""
        for source in self._holders(name, "names"):
            with self._handles.open(source.path, f"variable {name}") as dataset:
                variable = dataset.variables[name]
                if kind_of(variable) not in "fiu":
                    continue
                variable.set_auto_maskandscale(True)
                # tools that join files repeat static fields along time
                repeated = source.record_dimension and variable.dimensions[:1] == (source.record_dimension,)
                if repeated and not variable.shape[0]:
                    continue
                value = np.ma.asarray(variable[0 if repeated else Ellipsis])
            value = np.ma.filled(value.astype(np.float64), np.nan)
            yield source.path, np.where(np.abs(value) < FILL_LIMIT, value, np.nan)

    def text(self, name: str, attribute: str | None = None) -> str:
        """The first text found in a character variable, or an attribute of a variable; else empty."""
        for source in self._holders(name, "names"):
            with self._handles.open(source.path, f"variable {name}") as dataset:
                variable = dataset.variables[name]
                if attribute is not None:
                    value = getattr(variable, attribute, "")
                else:
                    variable.set_auto_maskandscale(False)
                    value = b"".join(np.ravel(variable[...]).astype("S1")) if kind_of(variable) in "SO" else ""
            value = value.decode("latin-1") if isinstance(value, bytes) else str(value)
            if value.strip("\0 "):
                return value.strip("\0 ")
        return ""

    def attribute(self, name: str) -> Iterator[tuple[str, object]]:
        """(path, value) of each file with this global attribute."""
        for source in self._holders(name, "attributes"):
            with self._handles.open(source.path, f"attribute {name}") as dataset:
                value = dataset.getncattr(name)
            yield source.path, value

    def numbers(self, *names: str) -> Iterator[np.ndarray]:
        """Finite values of the variables named, then of the global attributes, raveled to float64."""
        found = [self.variable(name) for name in names] + [self.attribute(name) for name in names]
        for _, value in chain.from_iterable(found):
            try:
                value = np.ravel(np.asarray(value, dtype=np.float64))
            except (TypeError, ValueError):
                continue
            if value.size and np.isfinite(value).all():
                yield value

    def number(self, *names: str) -> float | None:
        """The first single number among :meth:`numbers`, None where there is none."""
        return next((float(value[0]) for value in self.numbers(*names) if value.size == 1), None)
