"""Figures of the satellite application: predicted catchments over chlorophyll, flux and chlorophyll in time, R² by lag."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib import colormaps
from matplotlib.collections import PolyCollection
from matplotlib.colors import LogNorm, PowerNorm
from matplotlib.dates import date2num
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from data.frame import Frame
from data.ocean_names import is_idealised
from evaluation.figures.canvas import name_ocean, new_figure
from lagrangian.chart import edges, legend_lines, light_blues, map_axes, mass_contours, trap_marks, view_km
from lagrangian.pdf import BOXES_KM

#: Colour (Okabe-Ito), line style and marker of each catchment, told apart in grey as well.
STYLES = {"catchment": ("#0072B2", "-", "o"), "box100": ("#D55E00", "--", "s"), "box200": ("#009E73", ":", "D")}
FLUX_LABELS = {"dry_weight": "dry weight", "poc": "POC", "pic": "PIC", "tpn": "TPN"}
CLOUD = "0.82"
#: Colours of land and of missing values on grey maps, which no grey of the map resembles.
LAND_ON_GREY, UNKNOWN_ON_GREY = "#d9bf8c", "#f3e7cb"
EXAMPLES = 4
#: Style of a panel's title: where its place is not given, matplotlib seeks it among all ticks whenever the figure is laid out.
TITLE: dict[str, Any] = {"fontsize": 9, "y": 1.0}
#: A line is broken where nothing was collected for longer than this, days.
BREAK_DAYS = 60


def example_cups(chlorophyll: np.ndarray, most: int = EXAMPLES) -> np.ndarray:
    """(n,) numbers of up to four cups with chlorophyll (cup,), spread evenly over the record."""
    finite = np.flatnonzero(np.isfinite(chlorophyll))
    return finite[np.unique(np.linspace(0, finite.size - 1, min(most, finite.size)).round().astype(int))]


def figure_7(
    frame: Frame,
    chlorophyll: np.ndarray,
    pdfs: np.ndarray,
    titles: Sequence[str],
    average: Mapping[float, np.ndarray],
    *,
    lag: float,
    speed: float,
    ocean: str = "",
) -> Figure:
    """Catchments of some cups over the chlorophyll of their windows, and the mean catchment of every speed (paper Fig. 7).

    Parameters
    ----------
    frame : Frame
    chlorophyll, pdfs : (n, y, x)
        As many cups as there are speeds make two full rows. Mean chlorophyll, mg m-3, NaN under cloud; predicted PDFs.
    titles : sequence of n str
        When each cup collected.
    average : mapping of speed (m/d) to (y, x)
        Mean predicted PDFs.
    lag, speed : float
        Days and m/d, of the cups shown.
    ocean : str
        Name of an idealised ocean, which has no coast; empty for the sea itself.
    """
    columns = max(3, len(titles), len(average))
    figure = new_figure(1.2 + 2.75 * columns, 6.9)
    rows = figure.subfigures(2, 1, squeeze=False, height_ratios=(1.05, 1))[:, 0]
    coast = not is_idealised(ocean)
    name_ocean(figure, ocean)
    spacing = frame.spacing_km
    least, pdfs_shown = 0.7 * max(BOXES_KM.values()) + spacing, [*pdfs, *average.values()]
    half = view_km(frame.x, frame.y, pdfs_shown, spacing, share=0.98, least=least, margin=spacing)
    cell_edges = edges(frame.x, spacing), edges(frame.y, spacing)
    finite = chlorophyll[np.isfinite(chlorophyll) & (chlorophyll > 0)]
    low, high = np.percentile(finite, (1, 99)) if finite.size else (0.1, 1.0)
    norm = LogNorm(low, max(high, 1.5 * low))
    colours = colormaps["viridis"].with_extremes(bad=CLOUD)
    axes, cells = [], [row.add_gridspec(1, 2 * columns) for row in rows]
    for number, title in enumerate(titles):
        place = _in_row(cells[0], columns, len(titles), number)
        axis = map_axes(rows[0], place, frame.center, half, size=7, sides=_sides(number), coast=coast)
        field = np.ma.masked_invalid(chlorophyll[number])
        mesh = axis.pcolormesh(*cell_edges, field, norm=norm, cmap=colours, rasterized=True, zorder=1)
        mass_contours(axis, frame.x, frame.y, pdfs[number], colour="white")
        trap_marks(axis)
        axis.set_title(title, **TITLE)
        axes.append(axis)
    bar = rows[0].colorbar(mesh, ax=axes, label="chlorophyll, mg m⁻³", aspect=22, pad=0.015, extend="both")
    bar.ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    bar.ax.yaxis.set_minor_formatter(NullFormatter())
    rows[0].suptitle(
        f"Catchments predicted at {speed:g} m d⁻¹ for cups of these dates, over chlorophyll {lag:g} days before", fontsize=10
    )
    axes, top = [], max(100 * float(mean_pdf.max()) for mean_pdf in average.values())
    for number, (w, pdf) in enumerate(sorted(average.items())):
        place = _in_row(cells[1], columns, len(average), number)
        axis = map_axes(rows[1], place, frame.center, half, size=7, sides=_sides(number), coast=coast)
        mesh = axis.pcolormesh(
            *cell_edges, 100 * pdf, norm=PowerNorm(0.5, vmin=0, vmax=top), cmap=light_blues(), rasterized=True, zorder=1
        )
        mass_contours(axis, frame.x, frame.y, pdf)
        trap_marks(axis)
        axis.set_title(f"{w:g} m d⁻¹", **TITLE)
        axes.append(axis)
    cell = f"{frame.spacing_km:g} km cell"
    rows[1].colorbar(mesh, ax=axes, label=f"% of the particles per {cell}", aspect=22, pad=0.015)
    rows[1].suptitle("Mean predicted catchments", fontsize=10)
    rows[1].legend(handles=_map_legend(), loc="outside lower center", ncols=7, fontsize=8, frameon=False)
    return figure


def _sides(number: int) -> tuple[str, ...]:
    """Where a panel is labelled: the first of a row has latitudes too."""
    return ("left", "bottom") if number == 0 else ("bottom",)


def _in_row(cells, columns: int, used: int, number: int) -> tuple:
    """Place of panel ``number`` of ``used`` about the middle of a row of half columns, as wide as those of a full row."""
    first = columns - used + 2 * number
    return (cells[0, first : first + 2],)


def _map_legend() -> list:
    return [*legend_lines(), Patch(color=CLOUD, label="no data, land")]


def figure_8(series: xr.Dataset, lags: Mapping[str, float]) -> Figure:
    """Flux, and chlorophyll in catchment and boxes so many days before, by time; a panel a flux (paper Fig. 8).

    Parameters
    ----------
    series : Dataset
        Of correlation_series.nc: ``chlorophyll`` (lag, catchment, cup) mg m-3, fluxes (cup) mg m-2 d-1, ``open``, ``close``.
    lags : mapping of variable to days
        The lag that each flux is shown with.
    """
    figure = new_figure(10.5, 1.0 + 2.4 * len(lags))
    axes = figure.subplots(len(lags), 1, squeeze=False, sharex=True)[:, 0]
    opening, closing = series["open"].values, series["close"].values
    middle = opening + (closing - opening) / 2
    breaks = np.flatnonzero(opening[1:] - closing[:-1] > np.timedelta64(BREAK_DAYS, "D")) + 1
    for axis, (variable, lag) in zip(axes, lags.items(), strict=True):
        flux = series[variable].values
        axis.xaxis_date()
        axis.add_collection(
            PolyCollection(list(_bars(opening, closing, flux)), facecolor="0.8", edgecolor="0.65", linewidth=0.3, zorder=1)
        )
        axis.set_ylabel(f"{FLUX_LABELS.get(variable, variable)} flux,\nmg m⁻² d⁻¹ (bars)", fontsize=9)
        axis.set_ylim(0, 1.05 * max(np.nanmax(flux, initial=0.0), 1e-9))
        right = axis.twinx()
        for name, (colour, style, _) in STYLES.items():
            line = series["chlorophyll"].sel(lag=lag, catchment=name).values
            right.plot(np.insert(middle, breaks, middle[breaks - 1]), np.insert(line, breaks, np.nan), color=colour,
                       linestyle=style, linewidth=1.3 if name == "catchment" else 1.0, label=_name(name))  # fmt: skip
        right.set_ylabel("chlorophyll, mg m⁻³\n(lines)", fontsize=9)
        right.set_ylim(0, None)
        axis.set_title(f"{FLUX_LABELS.get(variable, variable)}: chlorophyll {lag:g} days before", **TITLE, loc="left")
        axis.grid(axis="x", alpha=0.3)
        for each_axis in (axis, right):
            each_axis.tick_params(labelsize=8)
    axes[-1].set_xlabel("date of collection; lines at the middles of the cups", fontsize=9)
    handles, labels = right.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=9, frameon=False)
    return figure


def _bars(opening: np.ndarray, closing: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """(bar, 4, 2) corners, in days of matplotlib: drawn as one collection, which is faster than ``bar`` with a patch for each."""
    left, right = date2num(opening), date2num(closing)
    zero = np.zeros(heights.size)
    x, y = np.stack([left, right, right, left], axis=1), np.stack([zero, zero, heights, heights], axis=1)
    return np.stack([x, y], axis=-1)[np.isfinite(heights)]


def _name(catchment: str) -> str:
    return "predicted catchment" if catchment == "catchment" else f"{BOXES_KM[catchment]:g} km box"


def figure_9(table: pd.DataFrame) -> Figure:
    """R² of flux and chlorophyll against lag, a row a flux, a column a period (paper Fig. 9); dotted: the sinking speed changes.

    table: of correlation.csv (:func:`evaluation.cross_correlation.score_table`).
    """
    variables, periods = (list(dict.fromkeys(table[name])) for name in ("variable", "period"))
    figure = new_figure(1.0 + 4.6 * len(periods), 0.9 + 2.3 * len(variables))
    axes = figure.subplots(len(variables), len(periods), squeeze=False, sharex=True, sharey="row")
    for row, variable in enumerate(variables):
        for column, period in enumerate(periods):
            axis = axes[row, column]
            of_period = table[(table["variable"] == variable) & (table["period"] == period)]
            ours = of_period[of_period["catchment"] == "catchment"].sort_values("lag")
            axis.fill_between(ours["lag"], ours["random_p10"], ours["random_p90"], color="0.85", linewidth=0, zorder=1,
                              label="catchments of random dates, 10–90 %")  # fmt: skip
            for name, (colour, style, marker) in STYLES.items():
                line = of_period[of_period["catchment"] == name].sort_values("lag")
                axis.plot(line["lag"], line["r2"], color=colour, linestyle=style, marker=marker, markersize=3, linewidth=1.4,
                          label=_name(name), zorder=3 if name == "catchment" else 2)  # fmt: skip
            counts = ours["n"].min(), ours["n"].max()
            words = f"{counts[0]}" if counts[0] == counts[1] else f"{counts[0]}–{counts[1]}"
            axis.set_title(f"{FLUX_LABELS.get(variable, variable)}, {_period(period)}, {words} cups", **TITLE)
            axis.margins(x=0.01)
            axis.grid(alpha=0.3)
            axis.tick_params(labelsize=8)
            if column == 0:
                axis.set_ylabel("R²", fontsize=9)
            if row == len(variables) - 1:
                axis.set_xlabel("lag of the flux behind chlorophyll, days", fontsize=9)
            _speeds(axis, ours, label=row == 0)
        # after all of the row is drawn: its panels share the axis
        axes[row, 0].set_ylim(0, 1.05 * max(axes[row, 0].get_ylim()[1], 1e-3))
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=min(len(labels), 2 * len(periods)), fontsize=8, frameon=False
    )
    return figure


def _speeds(axis, ours: pd.DataFrame, *, label: bool) -> None:
    """Lines where the sinking speed of the predictions changes with the lag, and the speeds above."""
    lags, speeds = ours["lag"].to_numpy(), ours["sinking_speed"].to_numpy()
    changes = np.flatnonzero(np.diff(speeds)) + 1
    for change in changes:
        axis.axvline((lags[change - 1] + lags[change]) / 2, color="0.45", linewidth=0.7, linestyle=(0, (2, 2)), zorder=1)
    if label:
        for part in np.split(np.arange(lags.size), changes):
            words = f"{speeds[part[0]]:g}" + (" m d⁻¹" if part[-1] == lags.size - 1 else "")
            axis.text(lags[part].mean(), 0.98, words, transform=axis.get_xaxis_transform(), ha="center", va="top", fontsize=7)


def _period(name: str) -> str:
    return "all years" if name == "all" else name
