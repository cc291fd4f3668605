"""Figures of scores against what the deep sea did (paper Figs. 5 and 6), and profiles of that sea (Fig. B1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from data.twin.statistics import PAPER_KE, PAPER_VORTICITY
from evaluation.binned import MINIMUM, binned_mean, spanning_edges
from evaluation.figures.canvas import new_figure
from evaluation.intervals import correlation
from lagrangian.binning import VALID_BL

COLUMNS = 3
BLANK = "0.9"
#: Okabe-Ito colours of the run and of the paper, told apart by marker and line as well.
OURS = {"color": "#0072B2", "marker": "o"}
PAPER = {"color": "#D55E00", "marker": "s", "linestyle": "--"}


def figure_5(
    entropy, mass_centre_km, bl: Mapping[str, np.ndarray], *, bins: int = 12, level: float = 1000.0, title: str = ""
) -> Figure:  # fmt: skip
    """BL by bins of entropy (nats) and distance of the mass centre (km) of the true PDF, one panel a model.

    entropy, mass_centre_km : (experiment,) of the PDF at ``level`` (m); bl : (experiment,) by name of the model.
    """
    x, y = np.asarray(entropy), np.asarray(mass_centre_km)
    edges = spanning_edges(x, bins), spanning_edges(y, bins, lower=0.0)
    labels = f"entropy of the PDF at {level:g} m, nats", f"mass centre at {level:g} m\nfrom the trap, km"
    return _panels(x, y, bl, edges, labels, {"mass centre": y, "entropy": x}, title)


def figure_6(
    vorticity, ke, bl: Mapping[str, np.ndarray], *, bins: int = 12, depths: tuple[float, float] = (1000.0, 3000.0),
    title: str = "",
) -> Figure:  # fmt: skip
    """BL by bins of zeta/f and kinetic energy (cm2 s-2), both averaged over ``depths`` (m), one panel a model.

    vorticity, ke : (experiment,) of :func:`evaluation.deep.deep_dynamics`; bl : (experiment,) by name of the model.
    """
    x, y = np.asarray(vorticity), np.asarray(ke)
    edges = spanning_edges(x, bins, symmetric=True), spanning_edges(y, bins, lower=0.0)
    span = f"{depths[0]:g}–{depths[1]:g} m"
    labels = f"ζ/f, {span}", f"kinetic energy, {span},\ncm² s⁻²"
    return _panels(x, y, bl, edges, labels, {"KE": y, "|ζ/f|": np.abs(x)}, title)


def figure_b1(
    profiles: xr.Dataset,
    paper_ke: Mapping[float, float] = PAPER_KE,
    paper_vorticity: Mapping[float, float] = PAPER_VORTICITY,
    *,
    title: str = "",
) -> Figure:
    """Kinetic energy (cm2 s-2) and standard deviation of zeta/f against depth (m, downward), beside the paper's.

    profiles : of :func:`evaluation.deep.profiles`; paper_ke, paper_vorticity : by depth.
    """
    figure = new_figure(7.6, 4.6)
    axes = figure.subplots(1, 2, sharey=True)
    for axis, name, paper, label in (
        (axes[0], "ke", paper_ke, "kinetic energy, cm² s⁻²"),
        (axes[1], "vorticity_std", paper_vorticity, "standard deviation of ζ/f"),
    ):
        axis.plot(
            profiles[name].values, profiles["depth"].values, linewidth=1.6, markersize=5, label="this run", clip_on=False, **OURS
        )
        axis.plot(list(paper.values()), list(paper), linewidth=1.4, markersize=5, label="paper (PAP-SO)", clip_on=False, **PAPER)
        axis.set_xlabel(label)
        axis.set_xlim(left=0)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("depth, m")
    axes[0].set_ylim(1.03 * max(float(profiles["depth"].max()), *paper_ke), 0)
    axes[0].legend(loc="lower right")
    if title:
        figure.suptitle(title, fontsize=11)
    return figure


def _panels(
    x, y, bl: Mapping[str, np.ndarray], edges: tuple[np.ndarray, np.ndarray], labels: tuple[str, str],
    related: Mapping[str, np.ndarray], title: str,
) -> Figure:  # fmt: skip
    """A panel a model of BL by bins of (x, y), one colour bar for all; correlations of BL with ``related`` above each."""
    if not bl:
        raise ValueError("no model to draw")
    binned = {name: binned_mean(x, y, values, *edges) for name, values in bl.items()}
    means = {name: mean for name, (mean, _) in binned.items()}
    columns = min(COLUMNS, len(bl))
    rows = -(-len(bl) // columns)
    figure = new_figure(max(6.0, 1.6 + 3.5 * columns), 0.9 + 3.4 * rows)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    limits = _limits(list(means.values()))
    for number, (axis, name) in enumerate(zip(axes, bl, strict=False)):
        axis.set_facecolor(BLANK)
        mesh = axis.pcolormesh(*edges, np.ma.masked_invalid(means[name]), cmap=colormaps["viridis"], **limits)
        _mark_valid(axis, edges, means[name])
        if not np.isfinite(means[name]).any():
            axis.text(0.5, 0.5, f"no bin has {MINIMUM} experiments", transform=axis.transAxes, ha="center", fontsize=9)
        axis.set_title(f"{name}\n{_correlations(bl[name], related)}", fontsize=9)
        axis.set(xlim=edges[0][[0, -1]], ylim=edges[1][[0, -1]])
        axis.xaxis.set_major_locator(MaxNLocator(5))
        if number + columns >= len(bl):
            axis.set_xlabel(labels[0])
            axis.tick_params(labelbottom=True)
        if number % columns == 0:
            axis.set_ylabel(labels[1])
    for axis in axes[len(bl) :]:
        axis.remove()
    bar = figure.colorbar(mesh, ax=list(axes[: len(bl)]), label="mean BL (0 best)")
    if limits["vmin"] < VALID_BL < limits["vmax"]:
        bar.ax.axhline(VALID_BL, color="white", linewidth=2)
    drawn = max(int(count.sum()) for _, count in binned.values())
    n = max(int(np.isfinite([x, y, values]).all(axis=0).sum()) for values in bl.values())
    tails = f" ({n - drawn} in the tails beyond the axes, but in r)" if drawn < n else ""
    note = f"{n} experiments{tails}\nbins of fewer than {MINIMUM} blank; dots: mean BL < {VALID_BL:g}"
    figure.suptitle(f"{title}\n{note}" if title else note, fontsize=10)
    return figure


def _limits(means: Sequence[np.ndarray]) -> dict[str, float]:
    """Colour limits that all panels share; 0 to 1 where no bin is filled."""
    finite = np.concatenate([mean[np.isfinite(mean)] for mean in means])
    if finite.size == 0:
        return {"vmin": 0.0, "vmax": 1.0}
    low, high = float(finite.min()), float(finite.max())
    return {"vmin": low, "vmax": high if high > low else low + 1e-3}


def _mark_valid(axis, edges: tuple[np.ndarray, np.ndarray], mean: np.ndarray) -> None:
    """A dot in every bin whose mean BL is that of a valid prediction."""
    row, column = np.nonzero(np.nan_to_num(mean, nan=1.0) < VALID_BL)
    x, y = (0.5 * (edge[1:] + edge[:-1]) for edge in edges)
    axis.plot(x[column], y[row], ".", color="white", markersize=3)


def _correlations(bl, related: Mapping[str, np.ndarray]) -> str:
    """Pearson's r of BL with each of some quantities, as a line of text."""
    return ", ".join(f"r(BL, {name}) = {_number(correlation(bl, values))}" for name, values in related.items())


def _number(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−") if np.isfinite(value) else "–"
