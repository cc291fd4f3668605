"""``python -m evaluation.correlation``: flux in the trap against chlorophyll in its predicted catchment, by lag (Appendix C)."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from data.command import provenance, run_command, write_file, write_json
from data.errors import InputError
from data.files import make_folder
from data.lock import FolderLock
from data.netcdf import write_dataset
from data.progress import Progress
from data.satellite import open_chlorophyll, time_notes
from data.times import timedelta_days
from data.trap_flux import chosen_columns, outweighed, read_flux
from data.trap_sites import DEPTH_TOLERANCE
from evaluation.catchments import idealised_ocean, read_catchments
from evaluation.chlorophyll import daily_maps
from evaluation.cross_correlation import (
    CLOUDED,
    ENOUGH_CUPS,
    MARGIN_DAYS,
    PAPER_ASCENT_M,
    SPEED_OF_LAG,
    LaggedChlorophyll,
    Predictions,
    best_of_random,
    best_rows,
    lag_grid,
    lagged_chlorophyll,
    nearest_speed,
    r_squared,
    score_table,
    sinking_speed,
    with_best_gains,
)
from evaluation.cups import choose_cups, choose_variables, day
from evaluation.figures.canvas import name_ocean, png, save_png
from evaluation.figures.flux import EXAMPLES, example_cups, figure_7, figure_8, figure_9
from evaluation.intervals import ENOUGH_BLOCKS
from evaluation.options import CorrelationConfig
from evaluation.scores import BOXES_KM, box_pdf

#: Columns of the table of best lags on the terminal.
BEST = ["variable", "period", "catchment", "lag", "r2", "r2_low", "r2_high", "random_p90", "random_best_p90", "n", "n_effective",
        "gain", "gain_low", "gain_high"]  # fmt: skip


def main(config: CorrelationConfig) -> int:
    """Write correlation.csv, correlation.png, correlation.json, correlation_series.nc and figures/ of a folder."""
    config.validate()
    assert config.flux is not None
    lags = lag_grid(*config.lags)
    catchments = read_catchments(config.predictions, exclude=config.exclude_flags)
    depth = catchments.trap_depth if config.flux_depth is None else config.flux_depth
    flux = read_flux(
        config.flux, depth=depth, drop=config.drop_bad, columns=chosen_columns(config.flux_columns),
        sheet=config.sheet, site=config.site, near=catchments.frame.center,
        dates=None if config.flux_dates == "auto" else config.flux_dates,
    )  # fmt: skip
    cups, periods, notes = choose_cups(flux, config)
    variables, absent = choose_variables(cups, config)
    notes = [*catchments.notes, *depth_notes(depth, catchments.trap_depth), *notes, *absent]
    notes += speed_notes(lags, catchments.predictions, catchments.ascent)
    maps_file = open_chlorophyll(config.chlorophyll)
    notes += time_notes(maps_file, "chlorophyll")
    opening, closing = (cups[name].to_numpy().astype("datetime64[s]") for name in ("open", "close"))
    check_times(config, lags, opening, closing, catchments.predictions, maps_file["time"].values)
    make_folder(config.out)
    with FolderLock(config.out, "correlation"):
        maps = daily_maps(maps_file, catchments.frame, flux, lags, config.out)
        boxes = {name: box_pdf(width, catchments.frame.x, catchments.frame.y).ravel() for name, width in BOXES_KM.items()}
        with Progress("correlating", "lag") as bar:
            lagged = lagged_chlorophyll(
                opening, closing, lags, maps, catchments.predictions, boxes,
                draws=config.draws, seed=config.seed, strict=config.strict, ascent=catchments.ascent,
                progress=bar.update,
            )  # fmt: skip
        check_found(lagged, config)
        fluxes = {name: cups[name].to_numpy(np.float64) for name in variables}
        table = score_table(lagged, fluxes, opening, periods, block_days=config.block_days, seed=config.seed)
        if not np.isfinite(table["r2"]).any():
            raise InputError(
                f"no cup left: at no lag do {ENOUGH_CUPS} cups of {config.flux} have a flux and chlorophyll; give a longer "
                "record, or predictions and chlorophyll of the same years"
            )
        problems = flux.attrs.get("problems", [])
        notes += [*cloud_notes(lagged), *nearest_notes(lagged), *block_notes(table, config.block_days)]
        of_rows = sum(line.startswith("row ") for line in problems)
        if of_rows:
            notes.append(f"{config.flux}: {of_rows} remarks on rows, one by one in correlation.json; by kind:")
        notes += [f"{config.flux}: {line}" for line in flux.attrs["remarks"]]
        notes += heavy_pic_notes(cups, lagged, config.flux)
        best = with_best_gains(
            best_rows(table), lagged, fluxes, opening, periods, block_days=config.block_days, seed=config.seed
        )  # fmt: skip
        best = best.merge(best_of_random(lagged, fluxes, periods), on=["variable", "period"])[BEST]
        series = series_of(cups, variables, lagged)
        _write_results(config, table, series, best, notes, problems, periods)
        _draw(config, table, series, catchments, maps, opening, closing, best)
    for note in notes:
        print(f"note: {note}", flush=True)
    print(best.to_string(index=False, float_format=lambda value: f"{value:.3g}"))
    print("gain: best R² of the catchment less best R² of the box, each at its own lag, over the cups that both have there")
    print(f"correlation: {config.out / 'correlation.csv'}, {config.out / 'correlation.png'}", flush=True)
    return 0


def depth_notes(of_cups: float, of_catchments: float) -> list[str]:
    """A line where the cups are chosen at another depth (m) than that of the predictions' trap."""
    if abs(of_cups - of_catchments) <= DEPTH_TOLERANCE:
        return []
    return [
        f"cups of a trap at {of_cups:g} m (--flux-depth) are compared with catchments of one at {of_catchments:g} m; predict "
        "for the depth of the cups"
    ]


def speed_notes(lags: np.ndarray, predictions: dict[float, Predictions], ascent: float = PAPER_ASCENT_M) -> list[str]:
    """Lines on speeds that are wanted (paper Appendix C) and not given, and on an ascent (m) that is not the paper's."""
    notes = []
    if abs(ascent - PAPER_ASCENT_M) > DEPTH_TOLERANCE:
        limits = ", ".join(f"{limit * ascent / PAPER_ASCENT_M:.3g}" for limit, _ in SPEED_OF_LAG)
        notes.append(
            f"particles rise by {ascent:g} m, not by the paper's {PAPER_ASCENT_M:g}: the lags at which the sinking speed "
            f"changes are {limits} days, in proportion"
        )
    for speed_wanted in sorted({sinking_speed(lag, ascent) for lag in lags}):
        if speed_wanted not in predictions:
            used = [lag for lag in lags if sinking_speed(lag, ascent) == speed_wanted]
            notes.append(
                f"no predictions at {speed_wanted:g} m/d, which lags of {used[0]:g} to {used[-1]:g} days want: those at "
                f"{nearest_speed(speed_wanted, predictions):g} m/d are used"
            )
    return notes


def check_times(config, lags, opening, closing, predictions: dict[float, Predictions], times: np.ndarray) -> None:
    """InputError where predictions or chlorophyll lie wholly outside the windows of the cups."""
    first, last = (timedelta_days(lag) for lag in (lags[0], lags[-1]))
    margin = timedelta_days(MARGIN_DAYS)
    begin, end = opening.min() - last, closing.max() - first
    cups = f"the cups of {config.flux} ({day(opening.min())} to {day(closing.max())}), {lags[0]:g} to {lags[-1]:g} days before"
    low, high = times.min(), times.max()
    if low > end + margin or high < begin - margin:
        raise InputError(
            f"--chlorophyll reaches from {day(low)} to {day(high)} and does not overlap with {cups}; give chlorophyll from "
            f"{day(begin - margin)} to {day(end + margin)}"
        )
    spans = [(span.times[0] - span.interval // 2, span.times[-1] + span.interval // 2) for span in predictions.values()]
    if all(low > end or high < begin for low, high in spans):
        low, high = min(low for low, _ in spans), max(high for _, high in spans)
        raise InputError(
            f"--predictions reach from {day(low)} to {day(high)} and do not overlap with {cups}; predict from {day(begin)} to "
            f"{day(end)} (learning.predict --start --end)"
        )


def check_found(found: LaggedChlorophyll, config: CorrelationConfig) -> None:
    """InputError where no cup has chlorophyll in its catchment at any lag."""
    if np.isfinite(found.series["catchment"]).any():
        return
    if found.clouded.any():
        raise InputError(
            f"no cup left: at every lag more than {100 * CLOUDED:g} % of the catchments is without chlorophyll in --chlorophyll "
            "(cloud, land or days without maps); give more days, or a gap-filled (L4) product"
        )
    raise InputError("no cup left: no prediction falls into the window of any cup at any lag; predict for the years of --flux")


# -- what is told and written ----------------------------------------------------------------------------------------
def cloud_notes(found: LaggedChlorophyll) -> list[str]:
    """A line on cups that cloud takes away, and one on cups without predictions."""
    clouded, cups = found.clouded.sum(axis=1), found.clouded.shape[1]
    absent = (np.isnan(found.series["catchment"]) & ~found.clouded).sum(axis=1)
    notes = []
    for count, why in (
        (clouded, f"more than {100 * CLOUDED:g} % of the catchment without chlorophyll"),
        (absent, "no prediction in their window"),
    ):
        if count.any():
            notes.append(f"of {cups} cups, {count.min()} to {count.max()} are dropped, by lag: {why}")
    return notes


def nearest_notes(found: LaggedChlorophyll) -> list[str]:
    """A line on cups into whose window no prediction falls."""
    if found.nearest is None or not found.nearest.any():
        return []
    counts, cups = found.nearest.sum(axis=1), found.nearest.shape[1]
    return [
        f"of {cups} cups, {counts.min()} to {counts.max()} have, by lag, no prediction in their interval: the nearest one stands "
        "in (--strict leaves them out)"
    ]


def heavy_pic_notes(cups: pd.DataFrame, found: LaggedChlorophyll, flux: Path | None) -> list[str]:
    """A line on what cups whose PIC as CaCO3 outweighs their dry weight do to the best R² of either."""
    heavy = outweighed(cups).to_numpy()
    if not heavy.any():
        return []
    words = []
    for name in ("dry_weight", "pic"):
        values = cups[name].to_numpy(np.float64)
        pair = [r_squared(values, found.series["catchment"]), r_squared(values[~heavy], found.series["catchment"][:, ~heavy])]
        if all(np.isfinite(values_of).any() for values_of in pair):
            words.append(f"{name} {np.nanmax(pair[0]):.2f} with them, {np.nanmax(pair[1]):.2f} without")
    if not words:
        return []
    return [f"{flux}: {int(heavy.sum())} cups of the period have PIC x 8.33 > dry weight; best R² of {'; of '.join(words)}"]


def block_notes(table: pd.DataFrame, days: float) -> list[str]:
    """A line for each period in which the cups of some R² lie in too few blocks for its interval."""
    notes = []
    for period, rows in table[np.isfinite(table["r2"])].groupby("period", sort=False):
        few, most = int(rows["blocks"].min()), int(rows["blocks"].max())
        if few < ENOUGH_BLOCKS:
            counted = f"{few} block{'s' * (few != 1)}" if few == most else f"{few} to {most} blocks"
            notes.append(
                f"period {period!r}: cups with flux and chlorophyll lie in {counted} of {days:g} days; intervals of R² "
                f"need {ENOUGH_BLOCKS} or more to be trusted, and two to be given"
            )
    return notes


def series_of(cups: pd.DataFrame, variables: list[str], found: LaggedChlorophyll) -> xr.Dataset:
    """The content of correlation_series.nc: chlorophyll (lag, catchment, cup), mg m-3, and fluxes (cup), mg m-2 d-1."""
    names = list(found.series)
    values = np.stack([found.series[name] for name in names], axis=1)
    coords = {
        "lag": ("lag", found.lags, {"units": "days", "long_name": "chlorophyll before flux"}),
        "catchment": ("catchment", names, {"long_name": "region that chlorophyll is averaged over"}),
        "cup": ("cup", cups.index.to_numpy().astype(np.int32), {"long_name": "number of the cup in the flux record"}),
        **{name: ("cup", cups[name].to_numpy().astype("datetime64[ns]"), {"standard_name": "time", "long_name": f"cup's {name}"})
           for name in ("open", "close")},
    }  # fmt: skip
    concentration = {"units": "mg m-3", "long_name": "chlorophyll",
                     "standard_name": "mass_concentration_of_chlorophyll_a_in_sea_water"}  # fmt: skip
    data = {
        "chlorophyll": (("lag", "catchment", "cup"), values, concentration),
        "sinking_speed": ("lag", found.speeds, {"units": "m d-1", "long_name": "sinking speed of the predictions used"}),
    }
    for name in variables:
        title = f"{name.replace('_', ' ')} flux"
        data[name] = ("cup", cups[name].to_numpy(np.float64), {"units": "mg m-2 d-1", "long_name": title})
    attrs = {
        "Conventions": "CF-1.8", "title": "Flux and chlorophyll in catchments and boxes, by lag",
        "history": f"evaluation.correlation, {np.datetime64('now')} UTC",
    }  # fmt: skip
    return xr.Dataset(data, coords, attrs)


def _write_results(config, table, series, best, notes, problems, periods) -> None:
    write_file(config.out / "correlation.csv", table.to_csv(index=False, float_format="%.9g").encode())
    write_dataset(config.out / "correlation_series.nc", series)
    record = {
        **provenance(config),
        "best": [{key: None if isinstance(value, float) and np.isnan(value) else value for key, value in row.items()}
                 for row in best.to_dict("records")],
        "cups": {name: int(cups_of_period.sum()) for name, cups_of_period in periods.items()},
        "notes": notes,
        "flux_problems": problems,
    }  # fmt: skip
    write_json(config.out / "correlation.json", record)


def _draw(config, table, series, catchments, maps, opening, closing, best) -> None:
    """Figures 7, 8 and 9 of a folder, and correlation.png, which is Figure 9."""
    ours = best[(best["catchment"] == "catchment") & (best["period"] == "all")]
    lags = {row.variable: float(row.lag) for row in ours.itertuples()}
    ocean = idealised_ocean(config.predictions)
    if lags:
        lag = next(iter(lags.values()))
        speed = float(series["sinking_speed"].sel(lag=lag))
        most = max(EXAMPLES, len(catchments.predictions))
        cups_shown = example_cups(series.sel(lag=lag, catchment="catchment")["chlorophyll"].values, most)
        shift, margin = (timedelta_days(days) for days in (lag, MARGIN_DAYS))
        means = maps.mean(opening[cups_shown] - shift - margin, closing[cups_shown] - shift + margin)
        predicted = catchments.predictions[speed]
        begin, length = predicted.runs(opening[cups_shown] - shift, closing[cups_shown] - shift, strict=config.strict)
        pdfs = np.stack([predicted.pdf[a : a + n].mean(axis=0) for a, n in zip(begin, length, strict=True)])
        titles = [f"{day(opening[cup])} to {day(closing[cup])}" for cup in cups_shown]
        average = {w: item.pdf.mean(axis=0, dtype=np.float64) for w, item in catchments.predictions.items()}
        maps_shape = catchments.frame.shape
        figure = figure_7(
            catchments.frame, means.reshape(-1, *maps_shape), pdfs.reshape(-1, *maps_shape), titles,
            {w: pdf.reshape(maps_shape) for w, pdf in average.items()}, lag=lag, speed=speed, ocean=ocean,
        )  # fmt: skip
        save_png(config.out / "figures" / "figure_7.png", figure)
        figure = figure_8(series, lags)
        name_ocean(figure, ocean)
        save_png(config.out / "figures" / "figure_8.png", figure)
    figure = figure_9(table)
    name_ocean(figure, ocean)
    picture = png(figure)
    for path in (config.out / "figures" / "figure_9.png", config.out / "correlation.png"):
        write_file(path, picture)


if __name__ == "__main__":
    sys.exit(run_command(CorrelationConfig, main, prog="evaluation.correlation"))
