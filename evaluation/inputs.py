"""Values of the networks' input variables over parts of a record, to compare training inputs with inputs of predictions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from evaluation.results import SpeedRun
from lagrangian.fields import open_fields
from learning.inputs import INPUT_SETS, LAGS_DAYS, Method, to_resolution
from learning.samples import DAY

#: The surface variables (paper Fig. A1).
SURFACE = INPUT_SETS["5v-1l"]
#: Instants that are read of each part of a record, evenly spread, since maps of neighbouring instants hardly differ.
INSTANTS = 40


def input_values(
    run: Path, first: np.datetime64, last: np.datetime64, resolution_km: Mapping[str, float] | None = None,
    method: Method = "spline",
) -> dict[str, np.ndarray]:  # fmt: skip
    """Values of the surface variables of a run's fields.zarr from ``first`` to ``last``.

    Parameters
    ----------
    resolution_km : mapping of variable to km, optional
        Effective resolution that a variable is brought to first, by ``method`` (:func:`learning.inputs.to_resolution`).

    Returns
    -------
    dict of variable to (values,) float32
        At most :data:`INSTANTS` maps of each; NaN where missing. Variables that the store lacks are left out.

    Raises
    ------
    StoreError
        The run has no fields.
    """
    fields = open_fields(Path(run) / "fields.zarr")
    time = fields["time"].values
    within = np.flatnonzero((time >= first) & (time <= last))
    if within.size > INSTANTS:
        within = within[np.unique(np.linspace(0, within.size - 1, INSTANTS).round().astype(int))]
    surface = int(np.argmin(np.abs(fields["depth"].values)))
    values = {}
    for name, depth in SURFACE:
        if name not in fields or within.size == 0:
            continue
        variable = fields[name] if depth is None else fields[name][:, surface]
        maps = variable[within].values
        if resolution_km and name in resolution_km:
            maps = to_resolution(maps, float(fields.attrs["frame_spacing_km"]), resolution_km[name], method)
        values[name] = maps.ravel()
    return values


def parts_of_record(speed: SpeedRun, split: str, lags_days=LAGS_DAYS) -> dict[str, tuple[np.datetime64, np.datetime64]]:
    """First and last instant of the inputs of the training experiments and of those of ``split``; {} where either has none."""
    end = speed.store["collection_end"].values
    parts = {}
    for label, name in (("training", "train"), (split, split)):
        experiments = speed.split == name
        if not experiments.any():
            return {}
        parts[f"{label} part of the record"] = (end[experiments].min() - max(lags_days) * DAY, end[experiments].max())
    return parts
