"""A catchment as a map in kilometres about the trap, for notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from data.errors import InputError, need
from lagrangian.binning import BIN_KM, smooth_pdf
from lagrangian.chart import mass_contours, trap_marks, view_km
from lagrangian.pdf import BOXES_KM, SHARES

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_catchment(
    pdf: np.ndarray | xr.DataArray | xr.Dataset,
    axes: Axes | None = None,
    *,
    smooth: bool = False,
    shares: Sequence[float] = SHARES,
    boxes: bool = True,
    reach_km: float | None = None,
) -> Axes:
    """Draw a catchment PDF: per cent of the particles a bin, contours that hold given shares, the boxes, the trap.

    Parameters
    ----------
    pdf : (y, x) array, DataArray, or Dataset with ``pdf``
        Bins of coordinates ``x``, ``y`` in km (without coordinates: the bins of the method). Dimensions of length 1 are dropped.
    axes : matplotlib Axes, optional
        Default: new ones.
    smooth : bool
        Smooth as the method does (:func:`lagrangian.smooth_pdf`); raw counts of one experiment are spotty.
    shares : sequence of float
        Shares of the particles that the contours hold, 0 to 1; none: no contours.
    boxes : bool
        Draw the boxes of 96 and 192 km.
    reach_km : float, optional
        Half the width of the map (default: what holds 99.5 % of the particles).

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        More than one map, or one that holds no particle.
    OptionError
        A share that is none, a width of 0 or less.

    >>> from evaluation.scores import box_pdf
    >>> from matplotlib.figure import Figure
    >>> axes = plot_catchment(box_pdf(96.0), Figure().add_subplot(), reach_km=200)
    >>> axes.get_xlim()[1], axes.get_ylabel()
    (np.float64(200.0), 'km north of the trap')
    """
    need(reach_km is None or reach_km > 0, f"reach_km {reach_km}: must be greater than 0 km")
    outside = [share for share in shares if not 0 < share <= 1]
    need(not outside, f"shares {', '.join(map(str, outside))}: must lie between 0 and 1")
    values, x, y, title = _one_map(pdf)
    if smooth:
        values = smooth_pdf(values)
    if not np.isfinite(values).all() or values.sum() <= 0:
        raise InputError("the PDF holds no particle: none reached the level within the bins")
    if axes is None:
        import matplotlib.pyplot as plt

        _, axes = plt.subplots(figsize=(5.2, 4.4), layout="constrained")
    mesh = axes.pcolormesh(x, y, 100 * values / values.sum(), cmap="YlGnBu", shading="nearest", rasterized=True)
    axes.figure.colorbar(mesh, ax=axes, label="% of the particles a bin")
    mass_contours(axes, x, y, values, shares=shares, unit=1)
    trap_marks(axes, unit=1, size=11, boxes=boxes)
    reach = reach_km
    if reach is None:
        whole = values / values.sum()
        least = 0.55 * max(BOXES_KM.values())
        reach = view_km(x, y, [whole], float(np.diff(x).mean()), share=0.995, least=least, margin=0.0)
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), xlabel="km east of the trap", ylabel="km north of the trap", title=title)
    axes.set_aspect("equal")
    return axes


def _one_map(pdf) -> tuple[np.ndarray, np.ndarray, np.ndarray, str]:
    """(y, x) float64, the bins' centres, and what the coordinates tell of depth and speed."""
    if isinstance(pdf, xr.Dataset):
        if "pdf" not in pdf:
            raise InputError(f"the dataset holds no pdf, only {', '.join(map(str, pdf.data_vars))}")
        pdf = pdf["pdf"].assign_attrs(pdf.attrs)
    if not isinstance(pdf, xr.DataArray):
        values = np.asarray(pdf, np.float64).squeeze()
        if values.ndim != 2:
            raise InputError(f"a catchment is one map (y, x), not an array of shape {np.shape(pdf)}")
        y, x = map(_bins, values.shape)
        return values, x, y, ""
    flat = pdf.squeeze()
    if set(flat.dims) != {"x", "y"}:
        extra = [str(dim) for dim in flat.dims if dim not in ("x", "y")]
        raise InputError(
            f"the PDF has the dimensions {', '.join(map(str, flat.dims))}: choose one map or average over {', '.join(extra)}, "
            'such as pdf.sel(level=200).mean("experiment")'
        )
    flat = flat.transpose("y", "x")
    words = []
    if "level" in flat.coords:
        words.append(f"{float(flat['level']):g} m")
    speed = flat.coords.get("sinking_speed", flat.attrs.get("sinking_speed_m_per_day"))
    if speed is not None:
        words.append(f"{float(speed):g} m d⁻¹")
    y, x = (flat[name].values if name in flat.coords else _bins(flat.sizes[name]) for name in ("y", "x"))
    return np.asarray(flat.values, np.float64), x, y, ", ".join(words)


def _bins(n: int) -> np.ndarray:
    """(n,) centres, km, of so many of the method's bins about the trap."""
    return (np.arange(n) - (n - 1) / 2) * BIN_KM

