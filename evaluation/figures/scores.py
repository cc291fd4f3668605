"""Figures of scores: against sinking speed (paper Fig. 4), against resolution (Fig. 3), and of calibration."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from evaluation.experiments import in_order
from evaluation.figures.canvas import LINES, MARKERS, new_figure
from lagrangian.binning import VALID_BL

#: Okabe-Ito colours and a marker for each model, told apart in grey as well.
STYLES = {
    "box100": ("#999999", "s"), "box200": ("#555555", "D"), "climatology": ("#E69F00", "^"),
    "climatology-root": ("#CC79A7", "<"), "sst-ssh": ("#0072B2", "o"), "5v-1l": ("#009E73", "v"), "5v-4l": ("#D55E00", "P"),
    "velocity-sst-ssh": ("#56B4E9", ">"), "velocity-sst-ssh-bathymetry": ("#000000", "X"), "velocity-5v-1l": ("#8C510A", "p"),
}  # fmt: skip
VALID = f"valid (BL < {VALID_BL:g}), %"
QUANTITIES = (("bl_mean", "BL (0 best)", 1.0), ("valid_percent", VALID, 1.0), ("f_mean", "overlap F, %", 100.0))
#: The authors' published fit of F on BL (method.md section 4).
AUTHORS_FIT = (0.915, -1.885, 1.022)


def style_of(model: str) -> dict:
    """Colour and marker of a model; the root of a model's members has those of their mean."""
    name = model if model in STYLES else model.removesuffix("-root")
    colour, marker = STYLES.get(name, ("black", "x"))
    return {"color": colour, "marker": marker}


def line_of(model: str) -> dict:
    """The same of a line: the root of a model's members is broken, and its markers are empty."""
    is_root = model not in STYLES and model.removesuffix("-root") in STYLES
    return style_of(model) | ({"markerfacecolor": "white", "linestyle": "--"} if is_root else {})


def figure_4(
    metrics: list[dict], scores: Mapping[float, tuple[str, np.ndarray, np.ndarray]], *, level: str = ""
) -> Figure:
    """BL, valid % and F of every model against sinking speed, 95 % intervals as bars; F against BL beside the authors' fit.

    metrics: entries of metrics.json, of one split at each speed; scores: for each speed (model, bl, f) of that model's single
    predictions, (n,) each; smoothed target; level: that of the PDFs, in words (``200 m``).
    """
    table = pd.DataFrame(metrics).query("target == 'smoothed'")
    figure = new_figure(11, 7.4)
    axes = figure.subplots(2, 2).ravel()
    models = in_order(set(table["model"]))
    speeds = sorted(table["w"].unique())
    for axis, (name, label, scale) in zip(axes[:3], QUANTITIES, strict=True):
        for number, model in enumerate(models):
            of_model = table[table["model"] == model].sort_values("w")
            values, bars = _with_bars(of_model, name, scale)
            place = np.array([speeds.index(w) for w in of_model["w"]]) + 0.06 * (number - (len(models) - 1) / 2)
            axis.errorbar(place, values, yerr=bars, capsize=3, linewidth=1.2, markersize=6, label=model, **line_of(model))
        axis.set_xticks(range(len(speeds)), [f"{w:g}" for w in speeds])
        axis.set_xlim(-0.5, len(speeds) - 0.5)
        axis.set_xlabel("sinking speed, m d⁻¹")
        axis.set_ylabel(label)
        axis.grid(alpha=0.3)
    axes[1].set_ylim(bottom=0)
    axes[0].legend(fontsize=8)
    _f_against_bl(axes[3], scores)
    parts = {w: table[table["w"] == w] for w in speeds}
    n = ", ".join(f"{w:g} m/d: {int(rows['n'].max())} {'/'.join(rows['split'].unique())}" for w, rows in parts.items())
    at = f" at {level}" if level else " at the export level"
    figure.suptitle(f"Scores on smoothed PDFs{at} (experiments at {n})", fontsize=11)
    return figure


def _with_bars(table: pd.DataFrame, name: str, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Values (n,) of a column and the lengths (2, n) of their bars; none where no interval is known."""
    values, low, high = (scale * table[column].to_numpy(dtype=float) for column in (name, f"{name}_low", f"{name}_high"))
    return values, np.nan_to_num(np.maximum(np.stack([values - low, high - values]), 0.0))


def _f_against_bl(axis, scores: Mapping[float, tuple[str, np.ndarray, np.ndarray]]) -> None:
    for number, (w, (model, bl, f)) in enumerate(sorted(scores.items())):
        colour, _ = LINES[number % len(LINES)]
        finite = np.isfinite(bl)
        axis.plot(bl[finite], 100 * f[finite], MARKERS[number % len(MARKERS)], color=colour, label=f"{model}, {w:g} m d⁻¹",
                  **_dots(finite.sum()))  # fmt: skip
    x = np.linspace(0, 1, 100)
    axis.plot(x, 100 * np.polynomial.polynomial.polyval(x, AUTHORS_FIT), "k--", linewidth=1.2, label="authors' fit")
    axis.axvline(VALID_BL, color="0.6", linewidth=0.8)
    axis.set(xlabel="BL of single predictions", ylabel="overlap F, %", xlim=(0, 1), ylim=(0, 100))
    _legend(axis)
    axis.grid(alpha=0.3)


def _dots(n: int) -> dict:
    """Style of n dots: smaller and paler where there are many, seen where there are few."""
    return {
        "markersize": float(np.clip(40 / max(n, 1) ** 0.4, 2.5, 7.0)), "alpha": 0.75 if n < 1000 else 0.45, "linestyle": "none",
        "markeredgewidth": 0.0, "rasterized": n > 500,
    }  # fmt: skip


def _legend(axis) -> None:
    """A legend whose dots are seen however small those of the panel are."""
    for handle in axis.legend(fontsize=8).legend_handles:
        handle.set(alpha=1.0, markersize=6.0)


def figure_3(table: pd.DataFrame, w: float, training_km: Mapping[str, float], split: str = "test") -> Figure:
    """Valid % against the effective resolution of SSH and of SST, network fixed, 95 % intervals as bars.

    table: of :func:`evaluation.sensitivity.resolution_scores`.
    """
    figure = new_figure(6.4, 4.2)
    axis = figure.subplots()
    for variable, label, colour, marker, line in (
        ("ssh", "SSH (SST fixed)", "#0072B2", "o", "-"),
        ("temp", "SST (SSH fixed)", "#D55E00", "s", "--"),
    ):
        part = table[table["variable"] == variable].sort_values("resolution_km")
        values, bars = _with_bars(part, "valid_percent")
        axis.errorbar(part["resolution_km"], values, yerr=bars, capsize=3, color=colour, marker=marker, ls=line, label=label)
        if variable in training_km:
            axis.axvline(training_km[variable], color=colour, linestyle=":", linewidth=1)
    axis.set(xlabel="effective resolution, km (dotted: that of the training)", ylabel=VALID, ylim=(0, None))
    n = int(table["n"].iloc[0])
    axis.set_title(f"Inputs of {n} {split} experiments degraded, networks fixed, w = {w:g} m d⁻¹", fontsize=10)
    axis.legend()
    axis.grid(alpha=0.3)
    return figure


def figure_calibration(
    calibration: pd.DataFrame, spread: Mapping[str, tuple[np.ndarray, np.ndarray]], ranks: Mapping[str, str], w: float
) -> Figure:
    """Left: share of the true particles within contours said to hold a share. Right: BL against the ensemble's spread.

    Parameters
    ----------
    calibration : DataFrame
        ``model``, ``contour``, ``within``, ``within_low``, ``within_high``, all but the model in per cent; a line a model.
    spread : mapping of model to (spread, bl)
        (experiment,) each.
    ranks : mapping of model to str
        Their rank correlation and its interval in words.
    """
    figure = new_figure(9.5, 4.3)
    left, right = figure.subplots(1, 2)
    left.plot([0, 100], [0, 100], color="0.6", linewidth=1)
    for model, of_model in calibration.groupby("model", sort=False):
        values, bars = _with_bars(of_model, "within")
        left.errorbar(of_model["contour"], values, yerr=bars, capsize=3, label=model, **line_of(model))
    left.set(
        xlabel="share of the prediction within the contour, %", ylabel="true particles within it, %", xlim=(0, 100), ylim=(0, 100)
    )
    left.legend(fontsize=8)
    left.grid(alpha=0.3)
    for model, (x, bl) in spread.items():
        finite = np.isfinite(x) & np.isfinite(bl)
        label = f"{model}, rank correlation {ranks[model]}"
        right.plot(x[finite], bl[finite], **style_of(model), **_dots(finite.sum()), label=label)
    right.axhline(VALID_BL, color="0.6", linewidth=0.8)
    right.set(xlabel="ensemble spread (BL of members to their median)", ylabel="BL of the prediction")
    right.xaxis.set_major_locator(MaxNLocator(5))
    right.xaxis.set_major_formatter(lambda value, _: f"{value:.3g}")
    _legend(right)
    right.grid(alpha=0.3)
    figure.suptitle(f"w = {w:g} m d⁻¹", fontsize=11)
    return figure
