"""The map of a run: the mean catchment, and a few single experiments beside it."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from data.errors import cannot_write
from data.files import written_aside
from data.ocean_names import is_idealised
from lagrangian.binning import BIN_KM, HALF_WIDTH_KM, SMOOTHING_KM, smooth_pdf
from lagrangian.chart import HALO, depth_contours, edges, light_blues, map_axes, mass_contours, on_earth, trap_marks, view_km
from lagrangian.fields import open_fields
from lagrangian.pdf import BOXES_KM, export_number, share_in_box, summarise
from lagrangian.stores import STATUS_MEANINGS, open_pdf, open_store

#: A picture of fewer particles at the level than this carries a warning: it shows single particles, not a catchment.
FEW = 100
#: If a larger share of particles than this left the domain, the picture says that the catchment is cut off.
CUT = 0.1

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
        try:
            with written_aside(picture, make_folder=False) as aside:
                figure.savefig(aside, format="png", dpi=200)
        except OSError as error:
            raise cannot_write(picture, error) from None


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
    view = view_km(x, y, [percent], BIN_KM, share=0.97, least=120.0, margin=2 * BIN_KM)
    earth = on_earth(particles["lon"], particles.attrs.get("source"))
    experiment_numbers = _choose(distance)

    main = map_axes(figure, [0.05, 0.06, 0.535, 0.81], _site(store), view, earth=earth, size=7)
    mesh = main.pcolormesh(edges(x, BIN_KM), edges(y, BIN_KM), percent, norm=PowerNorm(0.5, vmin=0, vmax=percent.max()),
                           cmap=light_blues(), zorder=1, rasterized=True)  # fmt: skip
    mass_contours(main, x, y, percent, label=True)
    trap_marks(main, "black", size=11)
    for width in BOXES_KM.values():
        main.text(500 * width, -500 * width - 1e3 * view * 0.01, f"{width:g} km", ha="right", va="top", fontsize=6.5, zorder=8,
                  path_effects=[HALO])  # fmt: skip
    _sea_floor(main, folder)
    _scale_bar(main, view, left=_heavier_on_the_right(percent, x, y, view))
    bar_axes = figure.add_axes((0.6, 0.06, 0.011, 0.81))
    bar = figure.colorbar(mesh, cax=bar_axes)
    bar.set_label(f"% of the particles per {BIN_KM:g} km cell", fontsize=7.5)
    bar_axes.tick_params(labelsize=7)

    height = 0.27
    numbers = [experiment for experiment, _ in experiment_numbers]
    delay = (particles["release_time"][numbers] - particles["collection_start"][numbers]).values / np.timedelta64(1, "D")
    for number, (experiment, name) in enumerate(experiment_numbers):
        box = [0.685, 0.87 - number * height - 0.25, 0.25 * 6.6 / 10.2, 0.25]
        panel = map_axes(figure, box, _site(store, experiment), view, earth=earth, sides=())
        single = 100 * smooth_pdf(store["pdf"][experiment, export].values)
        mass_contours(panel, x, y, single)
        cloud_x = particles["x"][experiment, :, export].values
        cloud_y = particles["y"][experiment, :, export].values
        dots = panel.scatter(1e3 * cloud_x, 1e3 * cloud_y, c=delay[number], s=2.5, cmap="viridis", linewidths=0, zorder=5,
                             vmin=0, vmax=delay.max())  # fmt: skip
        trap_marks(panel, "black", size=11)
        panel.plot(*(1e3 * centre[experiment]), marker="+", color="crimson", markersize=9, markeredgewidth=1.8, zorder=10)
        start, end = (str(store[n].values[experiment])[:10] for n in ("collection_start", "collection_end"))
        words = f"{name}\n\n{start} to\n{end}\n\nmass centre at\n{distance[experiment]:.0f} km"
        figure.text(0.86, box[1] + box[3] - 0.005, words, fontsize=7, va="top")
    if experiment_numbers:
        bar_axes = figure.add_axes((0.862, 0.09, 0.1, 0.013))
        bar = figure.colorbar(dots, cax=bar_axes, orientation="horizontal")
        bar.set_label("day of release", fontsize=7)
        bar_axes.tick_params(labelsize=6.5)

    shares = ", ".join(f"{100 * share_in_box(mean, x, y, width):.0f} % in the {width:g} km box" for width in BOXES_KM.values())
    outside = max(1 - mean.sum(), 0.0)
    used, total = int((reached > 0).sum()), store.sizes["experiment"]
    counted = f"{total} experiment{'s' * (total > 1)}" + (f" ({used} with particles at the level)" if used < total else "")
    few = ""
    if reached.sum() < FEW:
        few = f" Few particles ({reached.sum():.0f}): the map shows these, not a catchment."
    remark = few
    if not few and ended.get(STATUS_MEANINGS[1], 0.0) > CUT:
        remark = " The catchment is cut off where they left the domain."
    source = str(store.attrs.get("source", ""))
    ocean = f"Ocean: {source}. " if source and not is_idealised(source) else ""
    text = (
        f"{ocean}{counted} of {particles.sizes['particle']} particles; {100 * reached.sum() / released:.1f} % of {released} "
        f"reached {depth:g} m{lost}.{remark}\n"
        f"Mass centre of an experiment: median {np.nanmedian(distance):.0f} km from the trap. Mean catchment (every experiment "
        f"counts alike): {shares}, {100 * outside:.1f} % beyond ±{HALF_WIDTH_KM:g} km.\n"
        "Left: mean of the experiments, each seen from its own trap (star), smoothed by "
        f"{SMOOTHING_KM:.0f} km; lines hold 25, 50 and 75 %. Right: crossings of single experiments, + mass centre."
    )
    figure.text(0.035, 0.955, text, fontsize=7, va="top", linespacing=1.4)
    return figure


def _ended(particles) -> dict[str, float]:
    """Shares of the released particles that did not reach the last level, by status, in words."""
    status = particles["status"].values
    shares = {words: float((status == number).mean()) for number, words in STATUS_MEANINGS.items() if number}
    return {words: share for words, share in shares.items() if share}


def _choose(distance: np.ndarray) -> list[tuple[int, str]]:
    """Experiments at the 10th, 50th and 90th percentile of the mass-centre distance, with their names."""
    order = np.argsort(distance)
    order = order[np.isfinite(distance[order])]
    if order.size == 0:
        return []
    if order.size == 1:
        return [(int(order[0]), "The one experiment")]
    names = {0.1: "10th percentile of\nmass-centre distance", 0.5: "median", 0.9: "90th percentile"}
    values: dict[int, str] = {}
    for quantile, name in names.items():
        values.setdefault(int(order[round(quantile * (order.size - 1))]), name)
    return list(values.items())


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
    """Draw contours of the ocean's own depth from the run's fields.zarr, if the store exists."""
    path = folder.parent / "fields.zarr"
    if not path.exists():
        return
    levels = (200, *range(500, 8000, 500))
    lines = depth_contours(axes, open_fields(path), levels, colors="steelblue", linewidths=0.4)
    if lines is not None:
        axes.clabel(lines, fmt="%d m", fontsize=5.5, inline=True)


def _heavier_on_the_right(percent: np.ndarray, x: np.ndarray, y: np.ndarray, view: float) -> bool:
    """Whether the lower right corner of the view holds more than the lower left one: the scale bar keeps out of the way."""
    low = percent[(y > -view) & (y < -view / 2)]
    return bool(low[:, (x > 0) & (x < view)].sum() > low[:, (x < 0) & (x > -view)].sum())


def _scale_bar(axes, view: float, *, left: bool) -> None:
    length, y0 = 1e5, -1e3 * view * 0.93
    x0 = -1e3 * view * 0.92 if left else 1e3 * view * 0.92 - length
    axes.plot([x0, x0 + length], [y0, y0], color="black", linewidth=2.5, solid_capstyle="butt", zorder=10)
    axes.text(x0 + length / 2, y0 + 1e3 * view * 0.02, "100 km", ha="center", va="bottom", fontsize=7, zorder=10,
              path_effects=[HALO])  # fmt: skip
