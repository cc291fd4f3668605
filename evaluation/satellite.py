"""``python -m evaluation.satellite``: catchments of satellite maps, over the maps and beside the simulation (paper section 4)."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib import colormaps
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from data.command import one_line, read_json, run_command, write_json
from data.errors import InputError, OptionError, StoreError
from data.frame import HALF_WINDOW_KM
from data.netcdf import load_dataset
from data.ocean_names import IDEALISED, is_idealised, ocean_title
from data.times import nearest, parse_date, timedelta_days
from evaluation.catchments import read_catchments
from evaluation.figures.canvas import name_ocean, new_figure, save_png
from evaluation.figures.catchments import figure_a1, figure_a2
from evaluation.figures.flux import LAND_ON_GREY, UNKNOWN_ON_GREY
from evaluation.inputs import input_values
from evaluation.options import SatelliteConfig
from evaluation.scores import BOXES_KM, entropy, mass_centre_distance
from lagrangian.binning import smooth_pdf
from lagrangian.chart import map_axes, mass_contours, trap_marks
from lagrangian.config import speed_folder
from lagrangian.pdf import SHARES, export_number
from lagrangian.stores import ocean_of, open_pdf
from learning.catchment_file import FLAGS
from learning.inputs import SSH_RESOLUTION_KM, SST_RESOLUTION_KM

COLOURS = ("#000000", "#D55E00", "#0072B2", "#009E73", "#CC79A7")
#: Characters of a title that go on an inch.
TITLE_CHARACTERS = 11
STYLES = ("-", "--", ":", "-.", (0, (1, 2)))


def main(config: SatelliteConfig) -> int:
    """Write satellite_map.png and satellite.json; with a run, figure_a1.png and figure_a2_w080.png, one a speed, too."""
    folder = config.predictions
    paths = sorted(folder.glob("catchment_w*.nc"))
    inputs = folder / "satellite_inputs.nc"
    if not paths or not inputs.exists():
        raise StoreError(
            f"{folder} holds no catchment_w*.nc with satellite_inputs.nc; run python -m learning.predict --ssh --sst first"
        )
    out = config.out or folder / "figures"
    maps = _load_inputs(inputs)
    catchments = {float(catchment.attrs["sinking_speed_m_per_day"]): catchment for catchment in (_load(path) for path in paths)}
    save_png(out / "satellite_map.png", figure_map(maps, catchments, config.date))
    if config.run is not None:
        simulation = ocean_title(ocean_of(config.run))
        for name, figure in comparison(config.run, maps, catchments).items():
            name_ocean(figure, simulation and f"simulation: {simulation}")
            save_png(out / f"{name}.png", figure)
    write_json(out / "satellite.json", {"figures": sorted(str(path) for path in out.glob("*.png")), "predictions": paths})
    print(f"figures: {', '.join(str(path) for path in sorted(out.glob('*.png')))}", flush=True)
    return 0


def _load_inputs(path: Path) -> xr.Dataset:
    """The content of satellite_inputs.nc; StoreError if the file is damaged or another kind of file."""
    mend = "remove it and run python -m learning.predict --ssh --sst again"
    try:
        with xr.open_dataset(path) as file:
            maps = file.load()
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise StoreError(f"{path} is damaged ({one_line(error)}); {mend}") from None
    missing = [name for name in ("time", "y", "x", "ssh") if name not in maps.variables]
    if missing or maps["ssh"].dims != ("time", "y", "x") or maps["time"].dtype.kind != "M" or not maps.sizes["time"]:
        raise StoreError(f"{path} is not what learning.predict writes (it lacks {', '.join(missing) or 'maps by date'}); {mend}")
    return maps


def _load(path: Path) -> xr.Dataset:
    read_catchments([str(path)])  # an InputError in one line refuses files of other kinds
    return load_dataset(path)


def figure_map(maps: xr.Dataset, catchments: dict[float, xr.Dataset], date: str | None = None) -> Figure:
    """Contours that hold 25, 50 and 75 % of the catchments of one date over each map (SSH, and temperature where given).

    Parameters
    ----------
    maps : Dataset
        ``ssh`` (m), ``temp`` (degrees C) (time, y, x), as satellite_inputs.nc holds them.
    catchments : mapping of speed (m/d) to Dataset
        As catchment_w080.nc holds them.
    date : ISO date, optional
        End of the collection period (default: the last).

    Raises
    ------
    OptionError
        There is no prediction within a day of ``date``.
    """
    first = next(iter(catchments.values()))
    ends = first["window_end"].values
    number = ends.size - 1
    if date is not None:
        day = parse_date(date, "--date")
        number = int(nearest(ends, day))
        if abs(ends[number] - day) > np.timedelta64(1, "D"):
            raise OptionError(
                f"--date {date}: predictions are of {ends[0]:.10} to {ends[-1]:.10}, the nearest of {ends[number]:.10}"
            )
    end = ends[number]
    maps_of_date = maps.sel(time=end, method="nearest")
    panels = [name for name in ("ssh", "temp") if name in maps]
    figure = new_figure(1.0 + 5.2 * len(panels), 5.6)
    labels = {"ssh": "sea surface height, m", "temp": "sea surface temperature, °C"}
    # light greys, on which every colour of the lines is seen
    greys = ListedColormap(colormaps["Greys"](np.linspace(0.0, 0.5, 256))).with_extremes(bad=UNKNOWN_ON_GREY)
    place = float(first.attrs["trap_longitude"]), float(first.attrs["trap_latitude"])
    handles: dict = {}
    flag = 0
    coast = not is_idealised(first.attrs.get("maps_source"))
    for position, name in enumerate(panels):
        axes = map_axes(figure, (1, len(panels), position + 1), place, HALF_WINDOW_KM, size=9, land=LAND_ON_GREY, coast=coast)
        field = np.ma.masked_invalid(maps_of_date[name].values)
        mesh = axes.pcolormesh(
            1e3 * maps["x"].values, 1e3 * maps["y"].values, field, cmap=greys, shading="nearest", rasterized=True
        )
        figure.colorbar(mesh, ax=axes, label=labels[name], shrink=0.82)
        for (w, catchment), colour, style in zip(sorted(catchments.items()), COLOURS, STYLES):
            same = int(nearest(catchment["window_end"].values, end))
            pdf = catchment["pdf"].values[same]
            flag |= int(catchment["flag"].values[same])
            x, y = (catchment[name].values for name in ("x", "y"))
            mass_contours(axes, x, y, pdf, colour=colour, widths=(1.8,) * len(SHARES), style=style)
            handles[f"{w:g} m d⁻¹"] = axes.plot([], [], color=colour, linestyle=style)[0]
        trap_marks(axes, "white")
    shares, widths = (
        ", ".join(f"{number:g}" for number in numbers) for numbers in (sorted(100 * share for share in SHARES), BOXES_KM.values())
    )
    title = [
        f"Predicted catchments of particles caught until {end:.10}",
        f"contours hold {shares} %; white: boxes of {widths} km",
    ]
    notes = [name.replace("_", " ").replace("sst given", "SST given,") for bit, name in FLAGS.items() if flag & bit]
    if notes:
        title.append(f"flagged: {', '.join(notes)}")
    if left_out := [f"{w:g}" for w in sorted(catchments)[len(COLOURS) :]]:
        title.append(f"not drawn: {', '.join(left_out)} m d⁻¹")
    width = round(TITLE_CHARACTERS * figure.get_figwidth())
    figure.suptitle("\n".join(line for part in title for line in textwrap.wrap(part, width)), fontsize=10)
    name_ocean(figure, "" if coast else IDEALISED)
    if any(np.isnan(maps_of_date[name].values).any() for name in panels):
        handles |= {**({"land": Patch(color=LAND_ON_GREY)} if coast else {}), "no data": Patch(color=UNKNOWN_ON_GREY)}
    columns = min(len(handles), 4 * len(panels))
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=columns, frameon=False)
    return figure


def comparison(run: Path, maps: xr.Dataset, catchments: dict[float, xr.Dataset]) -> dict[str, Figure]:
    """Figures A1 (inputs) and A2 (mass centre and entropy, one a speed that the run holds) by name.

    SSH is compared about its mean, since the networks get it so; the simulation's maps are at the resolution that its networks
    learnt from (of the satellite's maps where it has none).
    """
    label, span = training_span(run)
    learnt = (_fit_record(run) or {}).get("inputs", {})
    resolution = learnt.get("resolution_km", {"ssh": SSH_RESOLUTION_KM, "temp": SST_RESOLUTION_KM})
    training = input_values(run, *span, resolution, learnt.get("method", "spline"))
    names = [name for name in ("ssh", "temp") if name in maps and name in training]
    if not names:
        raise InputError(
            f"{run}: fields.zarr holds none of {', '.join(map(str, maps.data_vars))}; give the run that the networks were "
            "trained on"
        )
    seen: dict[str, np.ndarray] = {name: maps[name].values.ravel() for name in names}
    trained: dict[str, np.ndarray] = {name: training[name] for name in names}
    if "ssh" in names:
        seen["ssh"], trained["ssh"] = (fields["ssh"] - np.nanmean(fields["ssh"]) for fields in (seen, trained))
    labels = {"ssh": "SSH less its mean, m", "temp": "surface temperature, °C"}
    figures = {"figure_a1": figure_a1({label: trained, "satellite": seen}, axis_labels=labels)}
    for w, catchment in sorted(catchments.items()):
        path = run / speed_folder(w) / "pdf.zarr"
        if not path.exists():
            continue
        store = open_pdf(path)
        level = export_number(store["level"].values)
        sampled = np.unique(np.linspace(0, store.sizes["experiment"] - 1, 1000).round().astype(int))
        true = smooth_pdf(store["pdf"][sampled, level].values.astype(np.float32))
        shapes = _shape(true), {"predicted from satellite": _shape(catchment["pdf"].values)}
        figures[f"figure_a2_{speed_folder(w)}"] = figure_a2(*shapes, level=float(store["level"][level]))
    return figures


def training_span(run: Path) -> tuple[str, tuple[np.datetime64, np.datetime64]]:
    """What a run's inputs are called, and the first and last instant of them: of the training part of its sst-ssh networks, or of
    the whole record where it has none."""
    if record := _fit_record(run):
        first, last = np.array(record["split"]["train"], "datetime64[s]")
        return "training", (first - timedelta_days(max(record["inputs"]["lags_days"])), last)
    return "whole record of the run", (np.datetime64("1700-01-01", "s"), np.datetime64("2200-01-01", "s"))


def _fit_record(run: Path) -> dict | None:
    """The first fit.json of a run's sst-ssh networks; None where it has none."""
    paths = sorted(Path(run).glob("w*/models/sst-ssh/fit.json"))
    return read_json(paths[0]) if paths else None


def _shape(pdf: np.ndarray) -> xr.Dataset:
    """Mass-centre distance (km) and entropy (nats) of PDFs (n, y, x)."""
    return xr.Dataset({
        "mass_centre_distance": ("experiment", np.asarray(mass_centre_distance(pdf))),
        "entropy": ("experiment", np.asarray(entropy(pdf))),
    })  # fmt: skip


if __name__ == "__main__":
    sys.exit(run_command(SatelliteConfig, main, prog="evaluation.satellite"))
