"""Predictions as a function: networks and fields in memory in, a labelled dataset out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from data.errors import InputError
from data.frame import WINDOW_SPACING_KM
from lagrangian.binning import bin_centres
from learning.ensemble import Ensemble


def predict_catchments(
    networks: Ensemble | Path | str, fields: np.ndarray | xr.Dataset | xr.DataArray
) -> xr.Dataset:
    """Catchments of surface fields; ``learning.predict`` as a function.

    Parameters
    ----------
    networks : Ensemble or path
        A loaded ensemble, or the folder of its members, such as ``runs/demo/w080/models/sst-ssh``.
    fields : array, Dataset or DataArray
        (sample, lag, variable, y, x), lags and variables in the order of ``networks.spec``, 100 x 100 points of 8 km about the
        trap, in m, degrees Celsius, m/s and 1, NaN where unknown. Or a Dataset of the variables by name (``ssh``, ``temp``,
        ``u``, ``v``, ``vorticity_over_f``) with dims (sample, lag, y, x), those of several depths (sample, lag, depth, y, x);
        ``lag`` in days; coordinates ``y`` and ``x``, where there are any, in km, in either order. The dimension of the samples
        may have any name, or be absent. Or a DataArray of such variables along a dimension ``variable`` that names them.

    Returns
    -------
    Dataset
        ``pdf`` (sample, level, y, x), each of sum 1, and ``spread`` (sample, level); coordinates ``level`` (m), ``y``, ``x`` (km)
        and those of the samples.

    Raises
    ------
    InputError
        A variable, lag or depth is missing, points are not 8 km apart, or values cannot be what the networks take them for.
    StoreError
        The folder holds no members that belong together.
    """
    ensemble = networks if isinstance(networks, Ensemble) else Ensemble.load(Path(networks))
    dim: str = "sample"
    coords: dict = {}
    if isinstance(fields, xr.DataArray):
        fields = _by_variable(ensemble, fields)
    if isinstance(fields, xr.Dataset):
        dim, coords, fields = _stacked(ensemble, fields)
    pdf, spread = ensemble.predict_fields(fields)
    levels = np.asarray(ensemble.card["levels"], np.float64)
    dataset = xr.Dataset(
        {
            "pdf": ((dim, "level", "y", "x"), pdf, {"units": "1", "long_name": "probability that a particle came from the bin"}),
            "spread": ((dim, "level"), spread,
                       {"units": "1", "long_name": "mean Bhattacharyya loss of the members against their median"}),
        },
        coords={
            "level": ("level", levels, {"units": "m", "positive": "down", "standard_name": "depth"}),
            **{name: (name, bin_centres(), {"units": "km"}) for name in ("y", "x")},
            **coords,
        },
        attrs={"sinking_speed_m_per_day": float(ensemble.card["w"]), "inputs": ensemble.spec.name,
               "members": len(ensemble.networks)},
    )  # fmt: skip
    return dataset


def _by_variable(ensemble: Ensemble, fields: xr.DataArray) -> xr.Dataset:
    """The variables of an array that names them; InputError for one that does not: its axes could be in any order."""
    if "variable" not in fields.dims or "variable" not in fields.coords:
        names = ", ".join(dict.fromkeys(name for name, _ in ensemble.spec.variables))
        raise InputError(
            f"a DataArray of fields needs a dimension variable that names {names}; or give its values, an array (sample, lag, "
            "variable, y, x)"
        )
    return fields.to_dataset("variable")


def _ascending(variable: xr.DataArray, name: str) -> xr.DataArray:
    """A variable with y from south to north and x from west to east, as its coordinates tell them; as it is without coordinates.

    Raises
    ------
    InputError
        Its points are not as far apart as those that the networks learnt from.
    """
    for axis in ("y", "x"):
        if axis not in variable.coords:
            continue
        variable = variable.sortby(axis)
        steps = np.diff(variable[axis].values.astype(np.float64))
        if not np.allclose(steps, WINDOW_SPACING_KM, rtol=1e-3, atol=0.0):
            raise InputError(
                f"{name}: points along {axis} are {np.median(steps):g} apart; the networks take points {WINDOW_SPACING_KM:g} km "
                f"apart, {axis} in km"
            )
    return variable


def _stacked(ensemble: Ensemble, fields: xr.Dataset) -> tuple[str, dict, np.ndarray]:
    """The dimension of the samples, its coordinates, and the variables in the order of the networks."""
    spec = ensemble.spec
    own_dims = {"lag", "depth", "y", "x"}
    dims = sorted({str(dim) for name, _ in spec.variables if name in fields for dim in fields[name].dims} - own_dims)
    if len(dims) > 1:
        raise InputError(f"the fields have the dimensions {', '.join(dims)} beside lag, depth, y and x; one counts samples")
    dim = dims[0] if dims else "sample"
    maps = []
    for name, depth in spec.variables:
        if name not in fields:
            names = ", ".join(dict.fromkeys(variable_name for variable_name, _ in spec.variables))
            raise InputError(f"the fields lack {name}; networks of {spec.name} take {names}")
        variable = fields[name] if dims else fields[name].expand_dims(dim)
        if "lag" not in variable.coords or not set(spec.lags_days) <= set(variable["lag"].values.tolist()):
            raise InputError(f"{name}: the coordinate lag must hold {', '.join(map(str, spec.lags_days))} days")
        variable = variable.sel(lag=list(spec.lags_days))
        if "depth" in variable.dims:
            level = depth or 0.0
            if not np.isclose(variable["depth"].values, level).any():
                raise InputError(f"{name}: the coordinate depth must hold {level:g} m")
            variable = variable.sel(depth=level, method="nearest")
        if dim not in variable.dims:
            raise InputError(f"{name} has no dimension {dim}, which counts the samples of other variables")
        maps.append(_ascending(variable, name).transpose(dim, "lag", "y", "x").values)
    coords = {name: coordinate for name, coordinate in fields.coords.items() if coordinate.dims == (dim,)}
    return dim, coords, np.stack(maps, axis=2)
