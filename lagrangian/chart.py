"""The parts of every map of a trap: axes in true metres, land, the trap's star, boxes, contours of mass, the sea floor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import cartopy.crs as ccrs
import numpy as np
import xarray as xr
from matplotlib import colormaps
from matplotlib.colors import ListedColormap
from matplotlib.contour import QuadContourSet
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from data.coastline import SHORE, SHORE_WIDTH, land_feature, shore_in, shows_cuts
from data.ocean_names import is_idealised
from data.sphere import EARTH_RADIUS_KM
from lagrangian.globe_lines import draw_globe_lines
from lagrangian.pdf import BOXES_KM, SHARES, half_width_km, mass_levels

TRAP_STYLE: dict[str, Any] = dict(
    marker="*", color="white", markersize=11, markeredgecolor="black", markeredgewidth=0.9, linestyle="none", zorder=9
)
BOX_COLOUR = "#D55E00"
#: Lines of the boxes, by their names.
BOX_STYLES: dict[str, Literal["-", "--"]] = {"box100": "-", "box200": "--"}
#: Widths of the contours that hold :data:`lagrangian.pdf.SHARES`: the contour of the densest bins is the thickest.
CONTOUR_WIDTHS = (1.5, 1.0, 0.6)
HALO = withStroke(linewidth=2, foreground="white")
#: Land on maps in colour.
LAND = "0.85"


def light_blues() -> ListedColormap:
    """White to a middle blue-green, light enough for lines to be seen on it."""
    return ListedColormap(colormaps["YlGnBu"](np.linspace(0, 0.75, 256)))


def on_earth(position: xr.DataArray, source: str | None) -> bool:
    """Whether positions have a place on Earth: they are degrees, and not of an idealised ocean."""
    return str(position.attrs.get("units", "")).startswith("degrees") and not is_idealised(source)


def map_axes(
    figure, place: Sequence, center: tuple[float, float], half_km: float | tuple[float, float], *, about: str = "trap",
    earth: bool = True, coast: bool = True, land: str = LAND, size: float = 8, sides: Sequence[str] = ("left", "bottom"),
):  # fmt: skip
    """Axes in true metres east and north of a point, with land and the lines of the globe.

    Parameters
    ----------
    figure
        A figure or part of one.
    place
        Left, bottom, width and height within the figure; or what ``add_subplot`` takes, such as rows, columns and number.
    center : (lon, lat)
        Degrees.
    half_km : float or (x, y)
        Half width and half height.
    about : str
        What the point is called on axes without a globe.
    earth : bool
        False for an ocean without a place on Earth (:func:`on_earth`): plain axes with kilometres.
    coast : bool
        False for an idealised ocean on a globe, which has no coast.
    land : str
        Colour of the land.
    size : float
        Of the labels, points.
    sides : sequence of str
        Where latitudes and longitudes (kilometres) are labelled: "left", "bottom", both; or none, without lines of the globe.
    """
    kind: dict = {"aspect": "equal"}
    if earth:
        globe = ccrs.Globe(semimajor_axis=1e3 * EARTH_RADIUS_KM, semiminor_axis=1e3 * EARTH_RADIUS_KM)
        kind = {"projection": ccrs.AzimuthalEquidistant(*center, globe=globe)}
    axes = figure.add_axes(place, **kind) if isinstance(place, list) else figure.add_subplot(*place, **kind)
    half_x, half_y = half_km if isinstance(half_km, tuple) else (half_km, half_km)
    axes.set_xlim(-1e3 * half_x, 1e3 * half_x)
    axes.set_ylim(-1e3 * half_y, 1e3 * half_y)
    if earth:
        if sides:
            draw_globe_lines(axes, size, sides)
        if coast:
            if shows_cuts(axes):
                axes.add_feature(land_feature(zorder=3, facecolor=land, edgecolor=land))
                axes.plot(*shore_in(axes).T, color=SHORE, linewidth=SHORE_WIDTH, zorder=3)
            else:
                axes.add_feature(land_feature(zorder=3, facecolor=land))
    else:
        _kilometres(axes, about, sides)
    return axes


def _kilometres(axes, about: str, sides: Sequence[str]) -> None:
    for side, axis, way in (("bottom", axes.xaxis, "east"), ("left", axes.yaxis, "north")):
        axis.set_major_formatter(lambda value, _: f"{value / 1e3:g}")
        if side in sides:
            axis.set_label_text(f"km {way} of the {about}")
        else:
            axes.tick_params(**{f"label{side}": False})


def edges(axis: np.ndarray, spacing: float, unit: float = 1e3) -> np.ndarray:
    """(n + 1,) edges of cells about ``axis`` (n,), km, in ``unit`` a kilometre: metres by default."""
    return unit * np.append(axis - spacing / 2, axis[-1] + spacing / 2)


def view_km(
    x: np.ndarray, y: np.ndarray, pdfs: Iterable[np.ndarray], spacing: float, *, share: float, least: float, margin: float
) -> float:
    """Half width, km, of maps that hold ``share`` of every PDF (y, x) and ``margin`` km more; ``least`` km at least, the
    cells (centres (x,), (y,), km) at most."""
    reaches = [half_width_km(pdf, x, y, share) for pdf in pdfs]
    half = max([least, *(reach + margin for reach in reaches if reach)])
    return float(min(half, max(np.abs(x).max(), np.abs(y).max()) + spacing / 2))


def mass_contours(
    axes, x: np.ndarray, y: np.ndarray, pdf: np.ndarray, *, shares: Sequence[float] = SHARES, colour: str = "0.15",
    widths=CONTOUR_WIDTHS, style="-", unit: float = 1e3, label: bool = False,
) -> QuadContourSet | None:  # fmt: skip
    """Contours that hold ``shares`` of a PDF (y, x) at (x,), (y,) km; of shares that a single cell holds, only the largest.

    ``unit``: of the axes, a kilometre; ``label``: whether the shares stand beside the lines. A white line gets a dark edge.
    """
    if not len(shares):
        return None
    if len(shares) != len(widths):
        widths = np.linspace(max(widths), min(widths), len(shares))
    of_level = dict(zip(mass_levels(np.asarray(pdf, np.float64), shares), zip(shares, widths, strict=True), strict=False))
    levels = sorted(of_level)
    if not levels:
        return None
    lines = axes.contour(
        unit * x, unit * y, pdf, levels=levels, colors=colour, linewidths=[of_level[level][1] for level in levels],
        linestyles=[style], zorder=5,
    )  # fmt: skip
    if colour == "white":
        lines.set_path_effects([withStroke(linewidth=2.4, foreground="0.15")])
    if label:
        axes.clabel(lines, fmt={level: f"{100 * of_level[level][0]:g} %" for level in levels}, fontsize=6.5, inline=True)
    return lines


def trap_marks(axes, colour: str = BOX_COLOUR, *, unit: float = 1e3, size: float = 8, boxes: bool = True) -> None:
    """The boxes about a trap, and its star of ``size`` points; ``unit`` of the axes, a kilometre."""
    halo = [withStroke(linewidth=2.6, foreground="0.15")] if colour == "white" else None
    for name, style in BOX_STYLES.items() if boxes else ():
        width = unit * BOXES_KM[name]
        axes.add_patch(
            Rectangle((-width / 2, -width / 2), width, width, fill=False, edgecolor=colour, linestyle=style, linewidth=1.1,
                      zorder=6, path_effects=halo)
        )  # fmt: skip
    axes.plot(0, 0, **{**TRAP_STYLE, "markersize": size})


def legend_lines() -> list[Line2D]:
    """What :func:`mass_contours` and :func:`trap_marks` draw, for a legend."""
    contours = [
        Line2D([], [], color="0.15", linewidth=width, label=f"holds {100 * share:g} %")
        for share, width in zip(SHARES, CONTOUR_WIDTHS, strict=True)
    ]
    boxes = [
        Line2D([], [], color=BOX_COLOUR, linestyle=style, linewidth=1.1, label=f"{BOXES_KM[name]:g} km box")
        for name, style in BOX_STYLES.items()
    ]
    return [*contours, *boxes, Line2D([], [], label="trap", **{**TRAP_STYLE, "markersize": 8})]


def depth_contours(axes, fields: xr.Dataset, levels: Sequence[float], **style) -> QuadContourSet | None:
    """Contours of the sea floor of ``fields`` (m) at those ``levels`` that it has."""
    depth = fields["h"].values
    finite = depth[np.isfinite(depth)]
    drawn = [level for level in levels if finite.size and finite.min() < level < finite.max()]
    if not drawn:
        return None
    return axes.contour(1e3 * fields["x"].values, 1e3 * fields["y"].values, depth, levels=drawn, zorder=2, **style)
