"""Whether the positions that each file holds are those of one grid, and of the points that its velocities stand on."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from data.croco.shifts import ALLOWED
from data.errors import InputError
from data.spherical_defaults import offsets
from data.zlevel.files import numbers

#: Positions of a row that are compared at most: thousands of files stay light.
MOST_POSITIONS = 64
MEND = "files of two grids or cuts cannot be one ocean: cut all to the same rows and columns of the model's grid"


class Places:
    """One row of the positions of every file, collected while files are opened, and compared with the grid afterwards.

    Parameters
    ----------
    longitude, latitude : tuple of str
        Names of positions on the grid's rows and columns.
    may_lie : dict
        By quantity, where its file's positions may lie beside the T points: shares of a cell along xi and eta.
    """

    def __init__(
        self, longitude: tuple[str, ...], latitude: tuple[str, ...], may_lie: Mapping[str, tuple[tuple[float, float], ...]]
    ):
        self._names = (longitude, latitude)
        self._may_lie = may_lie
        self._rows: dict[str, tuple[str, str, np.ndarray, np.ndarray]] = {}

    def add(self, dataset, source, quantity: str) -> None:
        """Keep the middle row of the positions of a file, where the file has positions on the points of ``source``."""
        if source.path in self._rows:
            return
        row = source.shape[-2] // 2
        pair, names_found = [], []
        for names in self._names:
            name = next((name for name in names if name in dataset.variables), None)
            if name is None or dataset.variables[name].dimensions[-2:] != source.dimensions[-2:]:
                return
            values = dataset.variables[name][(*(0,) * (dataset.variables[name].ndim - 2), row)]
            pair.append(np.ma.filled(np.ma.asarray(values, np.float64), np.nan)[_looked_at(values.size)])
            names_found.append(name)
        self._rows[source.path] = (quantity, " and ".join(names_found), *pair)

    def check(self, lon: np.ndarray, lat: np.ndarray) -> None:
        """Compare with the positions of T points (eta, xi), degrees.

        Raises
        ------
        InputError
            Half of a file's positions lie elsewhere.
        """
        row, columns = lon.shape[0] // 2, _looked_at(lon.shape[1])
        here = (lon[row, columns], lat[row, columns])
        along = np.stack(offsets(*here, lon[row, columns + 1], lat[row, columns + 1], True))
        across = np.stack(offsets(*here, lon[row + 1, columns], lat[row + 1, columns], True))
        area = along[0] * across[1] - along[1] * across[0]
        for path, (quantity, name, x, y) in self._rows.items():
            away = np.stack(offsets(*here, x, y, True))
            with np.errstate(divide="ignore", invalid="ignore"):
                xi = (away[0] * across[1] - away[1] * across[0]) / area
                eta = (along[0] * away[1] - along[1] * away[0]) / area
            known = np.isfinite(xi) & np.isfinite(eta) & ~((x == 0) & (y == 0))
            if not known.any():
                continue
            off = float(np.median(xi[known])), float(np.median(eta[known]))
            places = self._may_lie.get(quantity, ((0.0, 0.0),))
            if min(max(abs(off[0] - a), abs(off[1] - b)) for a, b in places) > ALLOWED:
                raise InputError(
                    f"{path}: {name} lie {off[0]:.3g} cells along xi and {off[1]:.3g} along eta from the T "
                    f"points of the grid; {MEND}"
                )


def _looked_at(columns: int) -> np.ndarray:
    """Columns whose positions are compared; each has one after it."""
    return np.unique(np.linspace(0, columns - 2, MOST_POSITIONS).astype(int))


def check_axes(u, v, dataset_of, stagger: str) -> None:
    """Compare the coordinates of u's columns with those of v's, and of v's rows with those of u's, where files have them.

    Parameters
    ----------
    u, v : Source
    dataset_of : callable
        Opens the file of a source, as a context.
    stagger : str
        "left" or "right": on which side of a T cell its face stands, see :class:`~data.zlevel.names.Model`.

    Raises
    ------
    InputError
        A velocity stands on other faces than those.
    """
    side = {"left": -0.5, "right": 0.5}[stagger]
    for velocity, other, axis, letter in ((u, v, -1, "xi"), (v, u, -2, "eta")):
        name, reference = velocity.dimensions[axis], other.dimensions[axis]
        if name == reference:
            continue
        faces, cells = _axis(velocity, name, dataset_of), _axis(other, reference, dataset_of)
        if faces is None or cells is None:
            continue
        step = float(np.median(np.diff(cells)))
        off = (faces[0] - cells[0]) / step if step else np.nan
        counted = np.array_equal(faces, np.round(faces)) and np.array_equal(cells, np.round(cells))
        if np.isfinite(off) and abs(off - (0.0 if counted else side)) > ALLOWED:
            raise InputError(
                f"{velocity.path}: {name} of {velocity.name} begins {off:.3g} cells along {letter} from {reference} of "
                f"{other.name}, where {side:g} is right; {MEND}"
            )


def _axis(source, dimension, dataset_of) -> np.ndarray | None:
    """(n,) values of the coordinate of a dimension; None where there is none."""
    with dataset_of(source) as dataset:
        variable = dataset.variables.get(dimension)
        if variable is None or variable.dimensions != (dimension,) or getattr(variable.dtype, "kind", "O") not in "fiu":
            return None
        values = numbers(variable)
    return values if values.size > 1 and np.isfinite(values).all() else None
