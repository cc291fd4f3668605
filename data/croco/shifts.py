"""Whether u, v and rho points stand where they belong: half a cell apart, by their indices and by their positions."""

from __future__ import annotations

import numpy as np

from data.croco.decode import decoded, kind_of
from data.croco.statics import static_values
from data.errors import InputError
from data.grid import HorizontalGrid
from data.spherical_defaults import offsets

#: Positions may be off their place by this share of a cell (tools average them differently).
ALLOWED = 0.25
MEND = (
    "the variables were cut at different columns or rows: cut the file anew, each with the same first column and row, u one "
    "column and v one row shorter than zeta"
)


def check_indices(path: str, dataset) -> None:
    """Compare the index coordinates of u and v (``xi_u``, ``eta_v``) with those of zeta, where the file has them.

    CROCO counts u half a step behind rho; other tools count both from 0 or from 1.

    Raises
    ------
    InputError
        If u or v begins in another column or row than zeta.
    """
    zeta = dataset.variables["zeta"]
    for name in ("u", "v"):
        field = dataset.variables[name]
        for axis, letter in ((-1, "xi"), (-2, "eta")):
            dim, at_rho = field.dimensions[axis], zeta.dimensions[axis]
            if dim == at_rho:
                continue
            staggered = (name, letter) in (("u", "xi"), ("v", "eta"))
            first, step = _first_and_step(dataset, dim)
            first_rho, step_rho = _first_and_step(dataset, at_rho)
            if not step or not step_rho:
                continue
            offset = (first - first_rho) / step_rho
            whole = abs(offset - round(offset)) < 0.1
            allowed = ((0.5,) if not whole else (0.0, 1.0)) if staggered else (0.0,)
            if abs(step / step_rho - 1) > 0.01 or min(abs(offset - shift) for shift in allowed) > 0.1:
                raise InputError(
                    f"{path}: {dim} of {name} begins at {first:g} in steps of {step:g}, {at_rho} of zeta at {first_rho:g} in "
                    f"steps of {step_rho:g}: {name} is not on the points between those of zeta; {MEND}"
                )


def _first_and_step(dataset, name):
    """First value and step of an index coordinate; step 0 if the variable is no index or its steps are uneven."""
    variable = dataset.variables.get(name)
    if variable is None or variable.dimensions != (name,) or kind_of(variable) not in "fiu" or variable.size < 2:
        return 0.0, 0.0
    value = decoded(variable).astype(np.float64)
    steps = np.diff(value)
    step = float(np.median(steps))
    even = np.isfinite(value).all() and np.abs(steps - step).max() <= 1e-3 * abs(step)
    return float(value[0]), step if even else 0.0


def check_positions(path: str, dataset, record_dimension, grid: HorizontalGrid) -> None:
    """Compare positions of u and v points (``lon_u``, ...), where the file has them, with those between its rho points.

    Raises
    ------
    InputError
        If half of them are off by more than a quarter of a cell.
    """
    names = ("lon", "lat") if grid.spherical else ("x", "y")
    x, y, sea = grid.x_rho, grid.y_rho, grid.mask_rho
    for point, here, there in (("u", np.s_[:, :-1], np.s_[:, 1:]), ("v", np.s_[:-1], np.s_[1:])):
        seen_positions = []
        for name in names:
            variable = dataset.variables.get(f"{name}_{point}")
            if variable is None or kind_of(variable) not in "fiu":
                break
            value = static_values(path, variable, record_dimension)
            if value is None or value.shape != x[here].shape:
                break
            seen_positions.append(value)
        if len(seen_positions) < 2:
            continue
        # seen from the rho points on both sides; the middle is half way
        before = np.stack(offsets(x[here], y[here], seen_positions[0], seen_positions[1], grid.spherical))
        after = np.stack(offsets(x[there], y[there], seen_positions[0], seen_positions[1], grid.spherical))
        step = np.stack(offsets(x[here], y[here], x[there], y[there], grid.spherical))
        usable = np.isfinite(before).all(axis=0) & sea[here] & sea[there]
        if not usable.any():
            continue
        along = ((before + after) / 2 * step).sum(axis=0) / (step**2).sum(axis=0)
        across = ((before + after) / 2 * np.stack([-step[1], step[0]])).sum(axis=0) / (step**2).sum(axis=0)
        off = float(np.median(along[usable])), float(np.median(across[usable]))
        if max(map(abs, off)) > ALLOWED:
            raise InputError(
                f"{path}: {names[0]}_{point} and {names[1]}_{point} lie {off[0]:.2g} cells along and {off[1]:.2g} across from "
                f"the middle between the rho points that {point} stands between; {MEND}"
            )
