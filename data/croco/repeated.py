"""Grid and curves that each file repeats: all must tell of one grid."""

from __future__ import annotations

import contextlib

import numpy as np

from data.croco.decode import kind_of
from data.croco.statics import static_values
from data.errors import InputError

#: Horizontal fields that are compared, and by how much they may differ: absolute, and as a share of the value.
FIELDS = {
    "h": (1.0, 5e-3), "pm": (0.0, 1e-2), "pn": (0.0, 1e-2), "angle": (2e-2, 0.0), "mask_rho": (0.5, 0.0),
    **{f"{name}_{point}": None for point in ("rho", "u", "v") for name in ("lon", "lat", "x", "y")},
}  # fmt: skip
#: Positions may differ by this share of a cell.
POSITIONS = 0.05
#: Parameters of the vertical coordinate, as variables or global attributes.
CURVES = ("hc", "Tcline", "theta_s", "theta_b", "Vtransform", "Vstretching", "Cs_r", "Cs_w")
#: Index coordinates: files cut at other columns or rows tell by them.
INDICES = ("xi_rho", "eta_rho", "xi_u", "eta_v")
#: Values that are compared of each field at most: opening hundreds of files stays cheap.
MOST_VALUES = 8_192


class Repeated:
    """Keeps the static fields, curves and indices of the first file, and compares those of each later file with them."""

    def __init__(self):
        self._known: dict[str, tuple[str, np.ndarray]] = {}

    def compare(self, path: str, dataset, record_dimension=None, *, notes: list[str] | None = None) -> None:
        """Compare one file with those before it.

        Parameters
        ----------
        path : str
        dataset : netCDF4.Dataset
        record_dimension : str, optional
        notes : list of str, optional
            For a grid file, whose depths a model may have smoothed: differences of h, mask and curves are noted there.

        Raises
        ------
        InputError
            If the file is of another grid.
        """
        for name in FIELDS:
            variable = dataset.variables.get(name)
            if variable is None or kind_of(variable) not in "fiu":
                continue
            if name == "mask_rho" and record_dimension in variable.dimensions:  # wetting and drying
                continue
            rows = max(1, -(-variable.size // MOST_VALUES)) if variable.ndim == 2 else 1
            value = static_values(path, variable, record_dimension, slice(None, None, rows))
            if value is not None:
                self._look(path, name, np.nan_to_num(value) if name == "mask_rho" else value, self._off_field, notes)
        attributes = set(dataset.ncattrs())
        for name in (*CURVES, *INDICES):
            values = []
            variable = dataset.variables.get(name)
            if variable is not None and kind_of(variable) in "fiu":
                values.append(static_values(path, variable, record_dimension))
            if name in attributes and name in CURVES:  # CROCO writes both
                with contextlib.suppress(TypeError, ValueError):
                    values.append(np.asarray(dataset.getncattr(name), dtype=np.float64))
            for value in values:
                if value is not None and np.isfinite(value).all():
                    self._look(path, name, np.ravel(value), self._off_curve, notes)

    def _look(self, path, name, value, off, notes):
        first, reference = self._known.setdefault(name, (path, value))
        if reference.shape != value.shape:
            return
        difference = off(name, reference, value)
        if difference is None:
            return
        if notes is not None and name not in INDICES and FIELDS.get(name, ()) is not None:
            notes.append(f"{name} of the grid file differs from that of {first} by up to {difference}: the records' own is used")
            return
        if first == path:
            raise InputError(
                f"{path}: variable and global attribute {name} differ by up to {difference}; take out the wrong one"
            )
        raise InputError(
            f"{path}: {name} differs from that of {first} by up to {difference}: files of two grids, cuts or simulations cannot "
            "be one record; give those of one"
        )

    def _off_field(self, name, first, value):
        """The largest difference in words; None if the difference is negligible."""
        difference = np.abs(value - first)
        if name.startswith("lon_"):
            difference = np.abs((value - first + 180) % 360 - 180)
        if FIELDS[name] is None:
            steps = [np.nanmedian(np.abs(np.diff(first, axis=axis))) for axis in range(first.ndim) if first.shape[axis] > 1]
            allowed = POSITIONS * max((step for step in steps if np.isfinite(step)), default=0.0) + 1e-5
        else:
            allowed = FIELDS[name][0] + FIELDS[name][1] * np.abs(first)
        mask = self._known.get("mask_rho")
        sea = mask[1] > 0.5 if mask is not None and mask[1].shape == first.shape and name != "mask_rho" else True
        wrong = (difference > allowed) & sea
        return f"{difference[wrong].max():.4g}" if wrong.any() else None

    def _off_curve(self, name, first, value):
        difference = np.abs(value - first)
        wrong = difference > 1e-4 * np.maximum(1.0, np.abs(first))
        return f"{difference[wrong].max():.4g}" if wrong.any() else None
