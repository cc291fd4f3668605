"""Static variables and attributes, looked up in the files in their order."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from data.axes import check_order
from data.croco.decode import FILL_LIMIT, decoded, kind_of
from data.croco.units import conversion_of, convert
from data.handles import Handles

if TYPE_CHECKING:
    from data.croco.files import File

def static_values(path, variable, record_dimension=None, rows=None) -> np.ndarray | None:
    """A static variable: float64 in CROCO's unit, NaN where missing; None where it has no record yet.

    Tools that join files repeat static fields along time: the first one counts. ``rows``: a slice of the first of two dimensions.
    """
    repeated = record_dimension and variable.dimensions[:1] == (record_dimension,)
    if repeated and not variable.shape[0]:
        return None
    key: tuple = (0,) if repeated else ()
    if rows is not None and variable.ndim == len(key) + 2:
        key = (*key, rows)
    value = decoded(variable, key or Ellipsis).astype(np.float64)
    value = np.where(np.abs(value) < FILL_LIMIT, value, np.nan)
    return convert(value, conversion_of(path, variable, variable.name))


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
        """(path, value) of each file that holds it: float64 in CROCO's unit, NaN where missing, without time."""
        for source in self._holders(name, "names"):
            with self._handles.open(source.path, f"variable {name}") as dataset:
                variable = dataset.variables[name]
                if kind_of(variable) not in "fiu":
                    continue
                check_order(source.path, name, variable.dimensions)
                value = static_values(source.path, variable, source.record_dimension)
            if value is not None:
                yield source.path, value

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
        holders = [self.variable(name) for name in names] + [self.attribute(name) for name in names]
        for _, value in chain.from_iterable(holders):
            try:
                value = np.ravel(np.asarray(value, dtype=np.float64))
            except (TypeError, ValueError):
                continue
            if value.size and np.isfinite(value).all():
                yield value

    def number(self, *names: str) -> float | None:
        """The first single number among :meth:`numbers`, None where there is none."""
        return next((float(value[0]) for value in self.numbers(*names) if value.size == 1), None)
