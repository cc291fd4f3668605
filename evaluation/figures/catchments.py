"""Figures of the experiments themselves (paper Figs. 1 and 2) and of what the networks are given and give (Figs. A1 and A2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib import colormaps
from matplotlib.colors import BoundaryNorm, ListedColormap, PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from data.errors import InputError
from data.frame import WINDOW_POINTS, WINDOW_SPACING_KM
from evaluation import scores
from evaluation.figures.canvas import LINES, name_ocean, new_figure
from lagrangian.binning import BIN_KM
from lagrangian.chart import (
    BOX_COLOUR,
    HALO,
    TRAP_STYLE,
    depth_contours,
    edges,
    legend_lines,
    light_blues,
    map_axes,
    mass_contours,
    on_earth,
    trap_marks,
    view_km,
)
from lagrangian.config import speed_folder
from lagrangian.fields import open_fields
from lagrangian.pdf import EXPORT_M
from lagrangian.stores import open_store

FLAT_SEA = "#c4d2de"
#: Axis labels of the networks' input variables.
INPUT_LABELS = {
    "temp": "temperature, °C", "sst": "SST, °C", "ssh": "SSH, m", "u": "eastward velocity, m s⁻¹",
    "v": "northward velocity, m s⁻¹", "vorticity_over_f": "ζ/f (dimensionless)",
}  # fmt: skip
#: Quantiles of the pooled values between which histograms are drawn.
SHOWN = (0.001, 0.999)
#: A standard deviation of this times the values, and less, is what rounding of single precision leaves of values that are equal.
ROUNDING = 1e-6


def deep_to_light(cut: float = 0.9) -> ListedColormap:
    """Viridis without its palest end, which is lost on white paper."""
    return ListedColormap(colormaps["viridis"](np.linspace(0, cut, 256)))


def open_experiment(run: Path, w: float, experiment: int) -> xr.Dataset:
    """Read an experiment of particles.zarr: x, y (km), time (particle, level), release_time (particle); deepest level first.

    Raises
    ------
    StoreError, InputError
        No particles of this speed, or no such experiment.
    """
    path = Path(run) / speed_folder(w) / "particles.zarr"
    store = open_store(path, "particles")
    n = store.sizes["experiment"]
    if not 0 <= experiment < n:
        raise InputError(f"{path} has no experiment {experiment}: it holds {n}, counted from 0")
    return store.isel(experiment=experiment).sortby("level", ascending=False).load()


def describe(one: xr.Dataset) -> str:
    """Sinking speed and collection period of an experiment in words."""
    start, end = (str(one[name].values)[:10] for name in ("collection_start", "collection_end"))
    return f"w = {one.attrs['sinking_speed_m_per_day']:g} m d⁻¹, collected {start} to {end}"


def figure_1(run: Path, w: float, experiment: int) -> Figure:
    """Where the traps stand, and where the particles of one experiment crossed the levels (paper Fig. 1).

    Left: sea floor (``h`` of fields.zarr, m), coast, all trap positions, the experiment's own and its input window. Right:
    displacement of the particles from their release points, km, at all levels, m.

    Raises
    ------
    StoreError, InputError
        The stores are not there, or there is no such experiment.
    """
    experiment_data = open_experiment(run, w, experiment)
    every = open_store(Path(run) / speed_folder(w) / "particles.zarr", "particles")
    traps = np.unique(np.stack([every["trap_dx"].values, every["trap_dy"].values], axis=1), axis=0)
    fields = open_fields(Path(run) / "fields.zarr")
    figure = new_figure(10.4, 5.3)
    spec = figure.add_gridspec(1, 2, width_ratios=(1, 1))
    chart = _site_axes(figure, spec[0], fields)
    _sea_floor(figure, chart, fields)
    _mark_traps(chart, traps, float(experiment_data["trap_dx"]), float(experiment_data["trap_dy"]))
    _cloud(figure, figure.add_subplot(spec[1], projection="3d"), experiment_data)
    figure.suptitle(f"Experiment {experiment}: {describe(experiment_data)}", fontsize=11)
    name_ocean(figure, experiment_data.attrs.get("source"))
    return figure


def _site_axes(figure: Figure, place, fields: xr.Dataset):
    """A map about the site, as large as the fields are."""
    half = tuple(0.5 * (np.ptp(fields[name].values) + fields.attrs["frame_spacing_km"]) for name in ("x", "y"))
    earth = on_earth(fields["lon"], fields.attrs.get("source"))
    return map_axes(figure, (place,), fields.attrs["frame_center"], half, about="site", earth=earth)


def _sea_floor(figure: Figure, axes, fields: xr.Dataset) -> None:
    """Draw the depth of the sea floor in colours over its range, with contours; a flat floor in one colour, with a label."""
    depth = fields["h"].values
    finite = depth[np.isfinite(depth)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if high - low < 1.0:
        axes.set_facecolor(FLAT_SEA)
        axes.set_title(f"flat sea floor, {low:.0f} m" if finite.size else "no sea floor known", fontsize=9)
        return
    x, y = (1e3 * fields[name].values for name in ("x", "y"))
    mesh = axes.pcolormesh(x, y, depth, cmap="cividis_r", vmin=low, vmax=high, rasterized=True, zorder=1)
    levels = [level for level in MaxNLocator(6).tick_values(low, high) if low < level < high]
    depth_contours(axes, fields, levels, colors="white", linewidths=0.5, alpha=0.8)
    bar = figure.colorbar(mesh, ax=axes, label="depth of the sea floor, m (white: contours at the ticks)", shrink=0.8, aspect=30,
                          location="bottom", ticks=levels)  # fmt: skip
    bar.ax.tick_params(labelsize=8)


def _mark_traps(axes, traps: np.ndarray, dx: float, dy: float) -> None:
    """All traps (n, 2), the one at (dx, dy) and the window of its inputs; km east and north of the site."""
    width = 1e3 * WINDOW_POINTS * WINDOW_SPACING_KM
    corner = 1e3 * dx - width / 2, 1e3 * dy - width / 2
    axes.add_patch(Rectangle(corner, width, width, fill=False, edgecolor="white", linestyle="--", linewidth=1.2, zorder=5,
                             path_effects=[withStroke(linewidth=2.4, foreground="0.2")],
                             label=f"input window, {width / 1e3:g} km"))  # fmt: skip
    axes.plot(*(1e3 * traps.T), linestyle="none", marker="o", markersize=4, color="white", markeredgecolor="black",
              markeredgewidth=0.6, zorder=6, label=f"trap positions ({len(traps)})")  # fmt: skip
    axes.plot(1e3 * dx, 1e3 * dy, **{**TRAP_STYLE, "color": BOX_COLOUR}, label="this experiment")
    axes.legend(loc="lower left", fontsize=8, facecolor="0.75", framealpha=0.9).set_zorder(10)


def _cloud(figure: Figure, axes, one: xr.Dataset) -> None:
    """Crossings (particle, level) above the trap, one colour a level."""
    levels, trap = one["level"].values, float(one.attrs["trap_depth_m"])
    order = np.argsort(levels)
    norm = BoundaryNorm(np.arange(levels.size + 1) - 0.5, levels.size)
    colours = ListedColormap(deep_to_light()(np.linspace(1, 0, levels.size)))
    for rank, level in enumerate(order):
        x, y = (one[name].values[:, level] for name in ("x", "y"))
        inside = np.isfinite(x) & np.isfinite(y)
        dots = axes.scatter(x[inside], y[inside], np.full(inside.sum(), levels[level]), c=np.full(inside.sum(), rank),
                            cmap=colours, norm=norm, s=3, linewidths=0, depthshade=False, rasterized=True)  # fmt: skip
    axes.scatter([0], [0], [trap], marker="*", s=130, color=BOX_COLOUR, edgecolor="black", linewidth=0.8, depthshade=False)
    axes.text(0, 0, trap, f"  trap, {trap:g} m", fontsize=8, path_effects=[HALO])
    half = reach_km(one)
    axes.set(xlim=(-half, half), ylim=(-half, half), zlim=(1.02 * trap, 0))
    axes.set_xlabel("km east of release", fontsize=8)
    axes.set_ylabel("km north of release", fontsize=8)
    axes.set_zlabel("depth, m", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.view_init(elev=18, azim=-60)
    axes.set_box_aspect((1, 1, 0.95), zoom=1.0)
    bar = figure.colorbar(dots, ax=axes, label="level of the crossing, m", shrink=0.75, pad=0.08,
                          ticks=np.arange(levels.size))  # fmt: skip
    bar.ax.set_yticklabels([f"{level:g}" for level in levels[order]])
    bar.ax.minorticks_off()
    bar.ax.invert_yaxis()


def reach_km(one: xr.Dataset) -> float:
    """Half width, km, of the square about the release point that holds all crossings with room to spare: a multiple of 20."""
    farthest = np.nanmax(np.abs([one["x"].values, one["y"].values]), initial=1.0)
    return float(20 * np.ceil(1.03 * farthest / 20))


def figure_2(
    x_km: np.ndarray, y_km: np.ndarray, truth: np.ndarray, predictions: Mapping[str, np.ndarray], titles: Sequence[str]
) -> Figure:
    """Catchments of some experiments, a row each: the truth and every prediction, with BL and F (paper Fig. 2).

    Parameters
    ----------
    x_km, y_km : (x,), (y,)
        Centres of the bins, km east and north of the trap.
    truth : (n, y, x)
        PDFs as they are to be drawn and scored: smoothed (:func:`lagrangian.binning.smooth_pdf`) where that is wanted.
    predictions : mapping of name to (n, y, x)
        Predicted PDFs, used as they are.
    titles : sequence of n str
        What each experiment is called.

    Raises
    ------
    ValueError
        Shapes that do not fit together.
    """
    truth = np.asarray(truth, np.float64)
    columns = {"truth": truth, **{name: np.asarray(maps, np.float64) for name, maps in predictions.items()}}
    shape = (len(titles), len(y_km), len(x_km))
    wrong = [name for name, maps in columns.items() if maps.shape != shape]
    if wrong or not titles:
        raise ValueError(f"PDFs must be (n, y, x) = {shape} with n titles; not so: {', '.join(wrong) or 'no title'}")
    least = 0.6 * max(scores.BOXES_KM.values()) + 2 * BIN_KM
    means = (np.nan_to_num(maps).sum(axis=0) for maps in columns.values())
    half = view_km(np.asarray(x_km), np.asarray(y_km), means, BIN_KM, share=0.99, least=least, margin=2 * BIN_KM)
    top = max(100 * float(np.nanmax(maps, initial=0.0)) for maps in columns.values()) or 1.0
    norm = PowerNorm(0.5, vmin=0, vmax=top)
    figure = new_figure(1.4 + 2.5 * len(columns), 1.2 + 2.45 * len(titles))
    axes = figure.subplots(len(titles), len(columns), squeeze=False, sharex=True, sharey=True)
    for row, title in enumerate(titles):
        for column, (name, pdfs) in enumerate(columns.items()):
            axis = axes[row, column]
            mesh = _draw_pdf(axis, x_km, y_km, 100 * pdfs[row], norm, "no prediction" if column else "no particle")
            if column:
                _print_scores(axis, truth[row], pdfs[row])
            if row == 0:
                axis.set_title(name, fontsize=10)
        axes[row, 0].set_ylabel(f"{title}\nkm north of the trap", fontsize=9)
    for axis in axes[-1]:
        axis.set_xlabel("km east of the trap", fontsize=9)
    axes[0, 0].set(xlim=(-half, half), ylim=(-half, half))
    figure.colorbar(mesh, ax=axes, label=f"% of the particles per {BIN_KM:g} km cell", aspect=30, pad=0.02)
    figure.legend(handles=legend_lines(), loc="outside lower center", ncols=6, fontsize=8, frameon=False)
    return figure


def _draw_pdf(axis, x, y, percent: np.ndarray, norm, nothing: str):
    """Draw a PDF (y, x) in per cent with its contours, the boxes and the trap; or the text ``nothing`` for an empty PDF."""
    # an image, since each rasterised artist of a PDF file is drawn on a canvas as large as the whole figure
    sides = (*edges(np.asarray(x), BIN_KM, 1)[[0, -1]], *edges(np.asarray(y), BIN_KM, 1)[[0, -1]])
    mesh = axis.imshow(np.ma.masked_invalid(percent), extent=sides, origin="lower", interpolation="nearest", norm=norm,
                       cmap=light_blues(), zorder=1)  # fmt: skip
    if np.isfinite(percent).all() and percent.sum() > 0:
        mass_contours(axis, x, y, percent, unit=1)
    else:
        axis.text(0.5, 0.75, nothing, transform=axis.transAxes, ha="center", fontsize=8)
    trap_marks(axis, unit=1)
    axis.set_aspect("equal")
    axis.tick_params(labelsize=8)
    return mesh


def _print_scores(axis, truth: np.ndarray, prediction: np.ndarray) -> None:
    bl, f = scores.bhattacharyya_loss(truth, prediction), scores.overlap(truth, prediction)
    words = f"BL {round(float(bl), 2) + 0.0:.2f}\nF {100 * f:.0f} %" if np.isfinite(bl) else "not scored"
    axis.text(0.04, 0.96, words, transform=axis.transAxes, va="top", fontsize=8, zorder=10, path_effects=[HALO])


def figure_a1(sets: Mapping[str, Mapping[str, np.ndarray]], *, axis_labels: Mapping[str, str] | None = None) -> Figure:
    """Distributions of the networks' input variables in two or more sets of data (paper Fig. A1), a panel a variable.

    Parameters
    ----------
    sets : mapping of name to mapping of variable to (values,)
        Such as ``{"training": {...}, "satellite": {...}}``, the one compared with first. NaN are left out; a variable of the
        first set that another lacks is drawn without it.
    axis_labels : mapping of variable to str, optional, keyword-only
        Names with units (default: :data:`INPUT_LABELS`, else the variable's own name).

    Raises
    ------
    ValueError
        No set, or no variable in the first.
    """
    if not sets:
        raise ValueError("no set of data to draw")
    axis_labels = {**INPUT_LABELS, **(axis_labels or {})}
    panels = {
        axis_labels.get(name, name): {label: quantities[name] for label, quantities in sets.items() if name in quantities}
        for name in next(iter(sets.values()))
    }
    return _distributions(panels)


def figure_a2(true: xr.Dataset, predicted: Mapping[str, xr.Dataset], *, level: float = EXPORT_M) -> Figure:
    """Distributions of distance of the mass centre and of entropy, of true and of predicted PDFs (paper Fig. A2).

    Parameters
    ----------
    true : Dataset
        ``mass_centre_distance`` (km) and ``entropy`` (nats), each (experiment,), of the PDFs at ``level``.
    predicted : mapping of name to Dataset
        Of the same variables; other experiments, and another number of them, will do.
    level : float
        m, for the labels.
    """
    sets = {"true": true, **predicted}
    labels = {"mass_centre_distance": f"mass centre at {level:g} m from the trap, km", "entropy": f"entropy at {level:g} m, nats"}
    panels = {label: {key: quantities[name].values for key, quantities in sets.items()} for name, label in labels.items()}
    return _distributions(panels, bins=30)


def _distributions(panels: Mapping[str, Mapping[str, np.ndarray]], bins: int = 50) -> Figure:
    """A panel a quantity (by its label), a line a set of values; means and standard deviations in the legends."""
    if not panels:
        raise ValueError("no variable to draw")
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = new_figure(max(4.4, 3.9 * columns), 3.4 * rows)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, (label, sets) in zip(axes, panels.items(), strict=False):
        finite = {name: np.asarray(values, np.float64)[np.isfinite(values)].ravel() for name, values in sets.items()}
        edges = _shared_edges(list(finite.values()), bins)
        for number, (name, values) in enumerate(finite.items()):
            colour, style = LINES[number % len(LINES)]
            axis.stairs(density(values, edges), edges, color=colour, linestyle=style, linewidth=1.5, label=_moments(name, values))
        axis.set(xlabel=label, xlim=edges[[0, -1]])
        axis.set_ylim(0, (axis.get_ylim()[1] or 1.0) * (1.08 + 0.11 * len(finite)))
        axis.legend(fontsize=7.5, loc="upper center", frameon=False)
        axis.grid(alpha=0.3)
    for axis in axes[: len(panels) : columns]:
        axis.set_ylabel("probability density, 1 / unit of the axis", fontsize=9)
    for axis in axes[len(panels) :]:
        axis.remove()
    return figure


def _shared_edges(sets: list[np.ndarray], bins: int) -> np.ndarray:
    """Edges (bins + 1,) that hold nearly all values of every set."""
    ends = np.array([np.quantile(values, SHOWN) for values in sets if values.size])
    low, high = (ends[:, 0].min(), ends[:, 1].max()) if ends.size else (0.0, 1.0)
    if high <= low:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, bins + 1)


def density(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Probability density in each bin, 1 over the unit of ``values``: those beyond the edges count in the whole."""
    counts, _ = np.histogram(values, edges)
    return counts / (max(values.size, 1) * np.diff(edges))


def _moments(name: str, values: np.ndarray) -> str:
    if not values.size:
        return f"{name}: no value"
    std = values.std()
    if std <= ROUNDING * np.abs(values).max():
        std = 0.0
    places = int(np.clip(1 - np.floor(np.log10(std)), 0, 9)) if std > 0 else 3
    return f"{name}: mean {round(float(values.mean()), places) + 0.0:.{places}f}, std {std:.{places}f}"
