"""The map of a run: the mean catchment, and a few single experiments beside it."""

from __future__ import annotations

from pathlib import Path

import cartopy.crs as ccrs
import matplotlib
import numpy as np
from cartopy.mpl.ticker import LatitudeFormatter, LongitudeFormatter
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap, PowerNorm
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from data.coastline import land_feature
from data.errors import StoreError
from data.ocean_names import is_idealised
from data.sphere import EARTH_RADIUS_KM
from lagrangian.binning import BIN_KM, HALF_WIDTH_KM, SMOOTHING_KM, smooth_pdf
from lagrangian.fields import open_fields
from lagrangian.pdf import BOXES_KM, export_number, mass_levels, share_in_box, summarise
from lagrangian.stores import STATUS_MEANINGS, open_pdf, open_store

#: With fewer particles at the level than this the picture warns: it shows single particles rather than a catchment.
FEW = 100
#: With a larger share of particles that left the domain than this it says that the catchment is cut off.
CUT = 0.1

TRAP_STYLE = dict(
    marker="*", color="white", markersize=11, markeredgecolor="black", markeredgewidth=0.9, linestyle="none", zorder=9
)
BOX_STYLE = dict(color="black", linewidth=1.0, zorder=6)
HALO = withStroke(linewidth=2, foreground="white")


def draw_catchment(folder: Path, picture: Path) -> None:
    """Draw the run of one sinking speed (a folder with particles.zarr and pdf.zarr) at its export level.

    Raises
    ------
    StoreError
        The stores are not there, or the picture cannot be written.
    """
    with matplotlib.rc_context({"font.size": 8, "axes.titlesize": 8, "font.family": "DejaVu Sans"}):
        figure = _figure(Path(folder))
        FigureCanvasAgg(figure)
        aside = picture.with_name("." + picture.name)
        try:
            figure.savefig(aside, format="png", dpi=200)
            aside.replace(picture)
        except OSError as error:
            if aside.is_file():
                aside.unlink()
            raise StoreError(f"cannot write {picture}: {error.strerror or error}") from None


def _figure(folder: Path) -> Figure:
    store = open_pdf(folder / "pdf.zarr")
    particles = open_store(folder / "particles.zarr", "particles")
    export = export_number(store["level"].values)
    depth = float(store["level"][export])
    reached = store["reached"][:, export].values.astype(float)
    x, y = store["x"].values, store["y"].values
    released = store.sizes["experiment"] * particles.sizes["particle"]
    figure = Figure(figsize=(10.2, 6.6))
    w = store.attrs["sinking_speed_m_per_day"]
    trap = f"a trap at {store.attrs['trap_depth_m']:g} m"
    title = f"Catchment at {depth:g} m of {trap}, {_name(store)}, sinking speed {w:g} m d⁻¹"
    figure.text(0.035, 0.968, title, fontsize=11, fontweight="bold")
    ended = _ended(particles)
    lost = "".join(f"; {100 * share:.1f} % {words}" for words, share in ended.items())
    if reached.sum() == 0:
        figure.text(0.035, 0.9, f"None of {released} particles reached {depth:g} m{lost}.")
        return figure
    mean, centre = summarise(store, particles, export)
    if mean.sum() == 0:
        words = f"All of the {reached.sum():.0f} particles that reached {depth:g} m did so beyond ±{HALF_WIDTH_KM:g} km."
        figure.text(0.035, 0.9, words)
        return figure
    distance = np.hypot(centre[:, 0], centre[:, 1])
    percent = 100 * smooth_pdf(mean)
    view = _view(percent, x, y)
    axes_kind = _Axes.of(particles)
    chosen = _choose(distance)

    main = axes_kind.add(figure, [0.05, 0.06, 0.535, 0.81], *_site(store), view, labels=True)
    mesh = main.pcolormesh(*_edges(x, y), percent, norm=PowerNorm(0.5, vmin=0, vmax=percent.max()), cmap=_colours(), zorder=1,
                           rasterized=True)  # fmt: skip
    _contours(main, x, y, percent, label=True)
    _frame_marks(main)
    for width in BOXES_KM.values():
        main.text(500 * width, -500 * width - 1e3 * view * 0.01, f"{width:g} km", ha="right", va="top", fontsize=6.5, zorder=8,
                  path_effects=[HALO])  # fmt: skip
    axes_kind.scenery(main)
    _sea_floor(main, folder)
    _scale_bar(main, view, left=_heavier_on_the_right(percent, x, y, view))
    bar_axes = figure.add_axes([0.6, 0.06, 0.011, 0.81])
    bar = figure.colorbar(mesh, cax=bar_axes)
    bar.set_label(f"% of the particles per {BIN_KM:g} km cell", fontsize=7.5)
    bar_axes.tick_params(labelsize=7)

    height = 0.27
    numbers = [experiment for experiment, _ in chosen]
    delay = (particles["release_time"][numbers] - particles["collection_start"][numbers]).values / np.timedelta64(1, "D")
    for number, (experiment, name) in enumerate(chosen):
        box = [0.685, 0.87 - number * height - 0.25, 0.25 * 6.6 / 10.2, 0.25]
        panel = axes_kind.add(figure, box, *_site(store, experiment), view, labels=False)
        one = 100 * smooth_pdf(store["pdf"][experiment, export].values)
        _contours(panel, x, y, one, label=False)
        cloud_x = particles["x"][experiment, :, export].values
        cloud_y = particles["y"][experiment, :, export].values
        dots = panel.scatter(1e3 * cloud_x, 1e3 * cloud_y, c=delay[number], s=2.5, cmap="viridis", linewidths=0, zorder=5,
                             vmin=0, vmax=delay.max())  # fmt: skip
        _frame_marks(panel)
        panel.plot(*(1e3 * centre[experiment]), marker="+", color="crimson", markersize=9, markeredgewidth=1.8, zorder=10)
        axes_kind.scenery(panel)
        start, end = (str(store[n].values[experiment])[:10] for n in ("collection_start", "collection_end"))
        words = f"{name}\n\n{start} to\n{end}\n\nmass centre at\n{distance[experiment]:.0f} km"
        figure.text(0.86, box[1] + box[3] - 0.005, words, fontsize=7, va="top")
    if chosen:
        bar_axes = figure.add_axes([0.862, 0.09, 0.1, 0.013])
        bar = figure.colorbar(dots, cax=bar_axes, orientation="horizontal")
        bar.set_label("day of release", fontsize=7)
        bar_axes.tick_params(labelsize=6.5)

    shares = ", ".join(f"{100 * share_in_box(mean, x, y, width):.0f} % in the {width:g} km box" for width in BOXES_KM.values())
    outside = max(1 - mean.sum(), 0.0)
    used, made = int((reached > 0).sum()), store.sizes["experiment"]
    number = f"{made} experiment{'s' * (made > 1)}" + (f" ({used} with particles at the level)" if used < made else "")
    few = ""
    if reached.sum() < FEW:
        few = f" Few particles ({reached.sum():.0f}): the map shows these, not a catchment."
    remark = few
    if not few and ended.get(STATUS_MEANINGS[1], 0.0) > CUT:
        remark = " The catchment is cut off where they left the domain."
    source = str(store.attrs.get("source", ""))
    ocean = f"Ocean: {source}. " if source and not is_idealised(source) else ""
    text = (
        f"{ocean}{number} of {particles.sizes['particle']} particles; {100 * reached.sum() / released:.1f} % of {released} "
        f"reached {depth:g} m{lost}.{remark}\n"
        f"Mass centre of an experiment: median {np.nanmedian(distance):.0f} km from the trap. Mean catchment (every experiment "
        f"counts alike): {shares}, {100 * outside:.1f} % beyond ±{HALF_WIDTH_KM:g} km.\n"
        "Left: mean of the experiments, each seen from its own trap (star), smoothed by "
        f"{SMOOTHING_KM:.0f} km; lines hold 25, 50 and 75 %. Right: crossings of single experiments, + mass centre."
    )
    figure.text(0.035, 0.955, text, fontsize=7, va="top", linespacing=1.4)
    return figure


def _ended(particles) -> dict[str, float]:
    """Share of the released particles by the way in which they ended, of those that did not reach the last level."""
    status = particles["status"].values
    shares = {words: float((status == number).mean()) for number, words in STATUS_MEANINGS.items() if number}
    return {words: share for words, share in shares.items() if share}


def _colours() -> ListedColormap:
    """White to a middle blue-green, light enough for lines to be seen on it."""
    return ListedColormap(matplotlib.colormaps["YlGnBu"](np.linspace(0, 0.75, 256)))


def _choose(distance: np.ndarray) -> list[tuple[int, str]]:
    """Experiments at the 10th, 50th and 90th percentile of the mass-centre distance, with their names."""
    order = np.argsort(distance)
    order = order[np.isfinite(distance[order])]
    if order.size == 0:
        return []
    if order.size == 1:
        return [(int(order[0]), "The one experiment")]
    names = {0.1: "10th percentile of\nmass-centre distance", 0.5: "median", 0.9: "90th percentile"}
    chosen = {}
    for quantile, name in names.items():
        chosen.setdefault(int(order[round(quantile * (order.size - 1))]), name)
    return list(chosen.items())


def _view(mean: np.ndarray, x: np.ndarray, y: np.ndarray) -> float:
    """Half width of the maps, km: about 97 % of the mean catchment, between 120 and 400 km."""
    reach = np.maximum(np.abs(x)[None, :], np.abs(y)[:, None]).ravel()
    order = np.argsort(reach)
    total = np.cumsum(mean.ravel()[order])
    half = reach[order][np.searchsorted(total, 0.97 * total[-1])] + 2 * BIN_KM
    return float(np.clip(half, 120.0, HALF_WIDTH_KM))


def _site(store, experiment: int | None = None) -> tuple[float, float]:
    """Position that a map is centred on: one experiment's trap, or the middle of all traps."""
    lon, lat = store["trap_lon"].values, store["trap_lat"].values
    return (float(lon.mean()), float(lat.mean())) if experiment is None else (float(lon[experiment]), float(lat[experiment]))


def _name(store) -> str:
    """The site's name; its position where it was given as one; an idealised ocean's own name, for it has no place on Earth."""
    if is_idealised(store.attrs.get("source")):
        return str(store.attrs["source"])
    site = str(store.attrs["site"])
    if not site[:1].isdigit() and not site.startswith("-"):
        return site.upper()
    x, y = _site(store)
    if not str(store["trap_lon"].attrs.get("units", "")).startswith("degrees"):
        return f"x = {x / 1e3:.0f} km, y = {y / 1e3:.0f} km"
    return f"{abs(y):.2f}°{'N' if y >= 0 else 'S'} {abs(x):.2f}°{'E' if x >= 0 else 'W'}"


def _sea_floor(axes, folder: Path) -> None:
    """Depth contours of the ocean itself, from the run's fields.zarr where it is there."""
    path = folder.parent / "fields.zarr"
    if not path.exists():
        return
    fields = open_fields(path)
    depth = fields["h"].values
    low, high = np.nanmin(depth), np.nanmax(depth)
    levels = [level for level in (200, *range(500, 8000, 500)) if low < level < high]
    if not levels or not np.isfinite(low):
        return
    lines = axes.contour(1e3 * fields["x"].values, 1e3 * fields["y"].values, depth, levels=levels, colors="steelblue",
                         linewidths=0.4, zorder=2)  # fmt: skip
    axes.clabel(lines, fmt="%d m", fontsize=5.5, inline=True)


def _edges(x: np.ndarray, y: np.ndarray):
    return tuple(1e3 * np.append(axis - BIN_KM / 2, axis[-1] + BIN_KM / 2) for axis in (x, y))


def _heavier_on_the_right(percent: np.ndarray, x: np.ndarray, y: np.ndarray, view: float) -> bool:
    """Whether the lower right corner of the view holds more than the lower left one: the scale bar keeps out of the way."""
    low = percent[(y > -view) & (y < -view / 2)]
    return bool(low[:, (x > 0) & (x < view)].sum() > low[:, (x < 0) & (x > -view)].sum())


def _contours(axes, x, y, percent, *, label: bool) -> None:
    levels = mass_levels(percent)
    if not levels or len(set(levels)) < len(levels):
        return
    lines = axes.contour(1e3 * x, 1e3 * y, percent, levels=levels[::-1], colors="0.25", linewidths=(0.6, 0.9, 1.2), zorder=4)
    if label:
        names = dict(zip(lines.levels, ("75 %", "50 %", "25 %"), strict=True))
        axes.clabel(lines, fmt=names, fontsize=6.5, inline=True)


def _frame_marks(axes) -> None:
    axes.plot(0, 0, **TRAP_STYLE)
    for width, style in zip(BOXES_KM.values(), ("-", "--"), strict=True):
        half = 500 * width
        axes.plot([-half, half, half, -half, -half], [-half, -half, half, half, -half], linestyle=style, **BOX_STYLE)


def _scale_bar(axes, view: float, *, left: bool) -> None:
    length, y0 = 1e5, -1e3 * view * 0.93
    x0 = -1e3 * view * 0.92 if left else 1e3 * view * 0.92 - length
    axes.plot([x0, x0 + length], [y0, y0], color="black", linewidth=2.5, solid_capstyle="butt", zorder=10)
    axes.text(x0 + length / 2, y0 + 1e3 * view * 0.02, "100 km", ha="center", va="bottom", fontsize=7, zorder=10,
              path_effects=[HALO])  # fmt: skip


class _Axes:
    """Maps in true kilometres about a point; plain axes where the ocean has no place on Earth."""

    @staticmethod
    def of(particles) -> _Axes:
        on_earth = str(particles["lon"].attrs.get("units", "")).startswith("degrees")
        return _GeoAxes() if on_earth and not is_idealised(particles.attrs.get("source")) else _Axes()

    def add(self, figure, box, x0, y0, view, *, labels):
        axes = figure.add_axes(box, aspect="equal")
        axes.set_xlim(-1e3 * view, 1e3 * view)
        axes.set_ylim(-1e3 * view, 1e3 * view)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1e3:g}")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value / 1e3:g}")
        if labels:
            axes.set_xlabel("km east of the trap")
            axes.set_ylabel("km north of the trap")
        else:
            axes.tick_params(labelleft=False, labelbottom=False)
        return axes

    def scenery(self, axes) -> None:
        """Nothing to see beside the catchment."""


class _GeoAxes(_Axes):
    def add(self, figure, box, x0, y0, view, *, labels):
        globe = ccrs.Globe(semimajor_axis=1e3 * EARTH_RADIUS_KM, semiminor_axis=1e3 * EARTH_RADIUS_KM)
        projection = ccrs.AzimuthalEquidistant(x0, y0, globe=globe)
        axes = figure.add_axes(box, projection=projection)
        axes.set_xlim(-1e3 * view, 1e3 * view)
        axes.set_ylim(-1e3 * view, 1e3 * view)
        if labels:
            lines = axes.gridlines(draw_labels=["left", "bottom"], linewidth=0.4, color="0.5", zorder=3, x_inline=False,
                                   y_inline=False)  # fmt: skip
            lines.xformatter, lines.yformatter = LongitudeFormatter(), LatitudeFormatter()
            lines.rotate_labels = False
            lines.xlabel_style = lines.ylabel_style = {"size": 7}
        return axes

    def scenery(self, axes) -> None:
        axes.add_feature(land_feature(zorder=7))
