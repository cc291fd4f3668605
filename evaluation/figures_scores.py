"""Figures of scores: against sinking speed (paper Fig. 4), against resolution (Fig. 3), and of calibration."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from evaluation.canvas import new_figure

#: Okabe-Ito colours and a marker for each model, told apart in grey as well.
STYLES = {
    "box100": ("#999999", "s"), "box200": ("#555555", "D"), "climatology": ("#E69F00", "^"),
    "sst-ssh": ("#0072B2", "o"), "5v-1l": ("#009E73", "v"), "5v-4l": ("#D55E00", "P"),
}  # fmt: skip
QUANTITIES = (("bl_mean", "BL (0 best)", 1.0), ("valid_percent", "valid (BL < 0.3), %", 1.0), ("f_mean", "overlap F, %", 100.0))
#: The authors' published fit of F on BL (method.md section 4).
AUTHORS_FIT = (0.915, -1.885, 1.022)


def style_of(model: str) -> dict:
    """Colour and marker of a model."""
    colour, marker = STYLES.get(model, ("black", "x"))
    return {"color": colour, "marker": marker}


def figure_4(metrics: list[dict], split: str, scores: dict[float, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """BL, valid % and F of every model against sinking speed, 95 % intervals as bars; F against BL beside the authors' fit.

    metrics: entries of metrics.json; scores: for each speed (bl, f) of single predictions, (n,) each, smoothed target.
    """
    table = pd.DataFrame(metrics).query("target == 'smoothed' and split == @split")
    figure = new_figure(11, 7.4)
    axes = figure.subplots(2, 2).ravel()
    models = [name for name in STYLES if name in set(table["model"])]
    speeds = sorted(table["w"].unique())
    for axis, (name, label, scale) in zip(axes[:3], QUANTITIES, strict=True):
        for number, model in enumerate(models):
            one = table[table["model"] == model].sort_values("w")
            values, low, high = (scale * one[column].to_numpy(dtype=float) for column in (name, f"{name}_low", f"{name}_high"))
            bars = np.nan_to_num(np.abs(np.stack([values - low, high - values])))
            place = np.array([speeds.index(w) for w in one["w"]]) + 0.06 * (number - (len(models) - 1) / 2)
            axis.errorbar(place, values, yerr=bars, capsize=3, linewidth=1.2, markersize=6, label=model, **style_of(model))
        axis.set_xticks(range(len(speeds)), [f"{w:g}" for w in speeds])
        axis.set_xlim(-0.5, len(speeds) - 0.5)
        axis.set_xlabel("sinking speed, m d⁻¹")
        axis.set_ylabel(label)
        axis.grid(alpha=0.3)
    axes[1].set_ylim(bottom=0)
    axes[0].legend(fontsize=8)
    _f_against_bl(axes[3], scores)
    n = ", ".join(f"{w:g} m/d: {int(table[table['w'] == w]['n'].max())}" for w in speeds)
    figure.suptitle(f"Scores on smoothed PDFs at the export level, {split} experiments (n at {n})", fontsize=11)
    return figure


def _f_against_bl(axis, scores) -> None:
    for w, (bl, f) in sorted(scores.items()):
        axis.plot(bl, 100 * f, ".", markersize=2, alpha=0.4, rasterized=True, label=f"computed, {w:g} m d⁻¹")
    x = np.linspace(0, 1, 100)
    axis.plot(x, 100 * np.polynomial.polynomial.polyval(x, AUTHORS_FIT), "k--", linewidth=1.2, label="authors' fit")
    axis.axvline(0.3, color="0.6", linewidth=0.8)
    axis.set(xlabel="BL", ylabel="overlap F, %", xlim=(0, 1), ylim=(0, 100))
    axis.legend(fontsize=8, markerscale=4)
    axis.grid(alpha=0.3)


def figure_3(table: pd.DataFrame, w: float, training_km: dict[str, float]) -> Figure:
    """Valid % against the effective resolution of SSH and of SST, network fixed (:func:`resolution_scores`)."""
    figure = new_figure(6.4, 4.2)
    axis = figure.subplots()
    for variable, label, colour, marker in (
        ("ssh", "SSH (SST fixed)", "#0072B2", "o"),
        ("temp", "SST (SSH fixed)", "#D55E00", "s"),
    ):
        one = table[table["variable"] == variable].sort_values("resolution_km")
        axis.plot(one["resolution_km"], one["valid_percent"], color=colour, marker=marker, label=label)
        if variable in training_km:
            axis.axvline(training_km[variable], color=colour, linestyle=":", linewidth=1)
    axis.set(xlabel="effective resolution, km (dotted: that of the training)", ylabel="valid (BL < 0.3), %", ylim=(0, None))
    axis.set_title(f"Test inputs degraded, networks fixed, w = {w:g} m d⁻¹, n = {int(table['n'].iloc[0])}", fontsize=10)
    axis.legend()
    axis.grid(alpha=0.3)
    return figure


def figure_calibration(shares, held: dict[str, np.ndarray], spread: dict[str, tuple[np.ndarray, np.ndarray]], w: float) -> Figure:
    """Left: share of the true particles within contours said to hold a share. Right: BL against the ensemble's spread."""
    figure = new_figure(9.5, 4.3)
    left, right = figure.subplots(1, 2)
    left.plot([0, 100], [0, 100], color="0.6", linewidth=1)
    for model, values in held.items():
        left.plot(100 * np.asarray(shares), 100 * values, label=model, **style_of(model))
    left.set(
        xlabel="share of the prediction within the contour, %", ylabel="true particles within it, %", xlim=(0, 100), ylim=(0, 100)
    )
    left.legend(fontsize=8)
    left.grid(alpha=0.3)
    for model, (x, bl) in spread.items():
        known = np.isfinite(x) & np.isfinite(bl)
        colour = style_of(model)["color"]
        rank = (
            np.corrcoef(np.argsort(np.argsort(x[known])), np.argsort(np.argsort(bl[known])))[0, 1] if known.sum() > 2 else np.nan
        )
        right.plot(x[known], bl[known], ".", color=colour, markersize=2.5, alpha=0.5, rasterized=True,
                   label=f"{model}, rank correlation {rank:.2f}")  # fmt: skip
    right.axhline(0.3, color="0.6", linewidth=0.8)
    right.set(xlabel="ensemble spread (BL of members to their median)", ylabel="BL of the prediction")
    right.legend(fontsize=8, markerscale=4)
    right.grid(alpha=0.3)
    figure.suptitle(f"w = {w:g} m d⁻¹", fontsize=11)
    return figure
