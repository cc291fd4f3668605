"""``python -m evaluation.correlation``: flux in the trap against chlorophyll in its predicted catchment, by lag (Appendix C)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
import xarray as xr
import zarr

from data.bounds import MAX_SEED, bounds, need_distinct
from data.chunks import add_array, checked_setting
from data.command import one_line, provenance, run_command, write_file, write_json
from data.errors import InputError, StoreError, need
from data.frame import Frame
from data.lock import FolderLock
from data.netcdf import expand, write_dataset
from data.ocean_names import IDEALISED, is_idealised
from data.progress import Progress
from data.resumable import ResumableStore
from data.satellite import around, on_frame, open_chlorophyll, time_notes
from data.times import parse_date
from data.trap_flux import COLUMNS, chosen_columns, outweighed, read_flux
from evaluation.canvas import name_ocean
from evaluation.cross_correlation import (
    BLOCK_DAYS,
    CLOUDED,
    ENOUGH_CUPS,
    MARGIN_DAYS,
    DailyMaps,
    LaggedChlorophyll,
    Predictions,
    best_of_random,
    best_rows,
    in_seconds,
    lag_grid,
    lagged_chlorophyll,
    nearest_speed,
    r_squared,
    score_table,
    sinking_speed,
    with_best_gains,
)
from evaluation.figures_flux import EXAMPLES, example_cups, figure_7, figure_8, figure_9, png, save_png
from evaluation.intervals import ENOUGH_BLOCKS
from evaluation.scores import BOXES_KM, box_pdf

#: The paper's period (section 4), years, first and last.
PAPER_YEARS = (2009, 2019)
#: Maps regridded at a time, and in a chunk of their store.
BLOCK = 64
#: Traps farther apart than this, degrees, are two.
SAME_PLACE = 1e-3
#: Bits of a prediction's flag (``learning.satellite.FLAGS``) by the names of --exclude-flags, and what they say.
FLAG_BITS = {"outside": 1, "date": 2, "sst": 4, "unknown": 8}
FLAG_WORDS = {
    "outside": "as of inputs outside the training range", "date": "as of maps of another date", "sst": "as without SST",
    "unknown": "as of windows that are partly unknown",
}  # fmt: skip
#: What is told of the best lags.
BEST = ["variable", "period", "catchment", "lag", "r2", "r2_low", "r2_high", "random_p90", "random_best_p90", "n", "n_effective",
        "gain", "gain_low", "gain_high"]  # fmt: skip
ATTRIBUTES = ("sinking_speed_m_per_day", "trap_longitude", "trap_latitude")


@dataclass(frozen=True)
class CorrelationConfig:
    """Correlate the flux in a trap with chlorophyll in its predicted catchment and in boxes, by lag (paper Appendix C)."""

    predictions: tuple[str, ...] = ()
    """Catchment files of learning.predict, one a sinking speed: paths or quoted globs, such as catchment_w*.nc."""
    chlorophyll: tuple[str, ...] = ()
    """Files of daily chlorophyll, mg m-3 (ocean colour L3 or L4): paths or quoted globs."""
    flux: Path | None = None
    """Flux record of the trap, CSV or .xlsx: open, close, dry_weight, poc, pic, tpn (mg m-2 d-1), or BODC's names."""
    flux_depth: Annotated[float, *bounds(above=0, most=12000, unit="m, positive down")] = 3000.0
    """Depth of the trap, m, where the record holds several."""
    flux_columns: tuple[str, ...] = ()
    """Headers of columns of the flux record that are not recognised, such as open=Date poc="C flux": open, close, open_time,
    close_time, mid, duration (days), depth (m), latitude, longitude, site, dry_weight, poc, pic, tpn."""
    flux_dates: Literal["auto", "dd/mm/yyyy", "mm/dd/yyyy"] = "auto"
    """Order of day and month in the flux record (default: the one that its header names, or that alone fits all rows)."""
    sheet: str | None = None
    """Sheet of a workbook that holds the flux record, where several do."""
    site: str | None = None
    """Which trap of a flux record of several sites: a name in it, or LON,LAT in degrees (default: the one within 100 km of the
    predictions' trap)."""
    drop_bad: bool = False
    """Leave bad rows and values of the flux record out instead of refusing them; overlaps of a day or less are kept."""
    variables: tuple[str, ...] = ()
    """Fluxes: dry_weight, poc, pic, tpn (default: all that the record holds)."""
    lags: Annotated[tuple[float, float, float], *bounds(least=-3650, most=3650, unit="days")] = (0.0, 110.0, 3.0)
    """First lag, last lag and step, days: chlorophyll so long before the flux."""
    exclude_years: Annotated[tuple[int, ...], *bounds(least=1, most=9999)] = (2011, 2013)
    """Years left out of the second period; a cup belongs to the year of its middle."""
    start: str | None = None
    """First day of the period, by the cups' middles (default: 2009-01-01 where the record covers 2009 to 2019, else all)."""
    end: str | None = None
    """Last day of the period, by the cups' middles (default: 2019-12-31 where the record covers 2009 to 2019, else all)."""
    draws: Annotated[int, *bounds(least=1, most=10_000)] = 100
    """Series of catchments at random dates that the envelope is made of."""
    strict: bool = False
    """Leave a cup out where no prediction lies in its interval (default: the nearest one stands in, up to half the time between
    predictions away; how often is said)."""
    exclude_flags: tuple[Literal["outside", "date", "sst", "unknown"], ...] = ()
    """Leave flagged predictions out: outside (inputs beyond the training range), date (maps of another date), sst (no SST was
    given), unknown (part of the window unknown). By default they are used, and how many is said."""
    block_days: Annotated[float, *bounds(least=1, most=36500, unit="days")] = BLOCK_DAYS
    """Length of the blocks that intervals are made of, days."""
    seed: Annotated[int, *bounds(least=0, most=MAX_SEED)] = 0
    """Of the random dates and of the bootstrap."""
    out: Path = Path("runs/demo")
    """Folder of the results."""

    def validate(self) -> None:
        """OptionError for the first value that is impossible."""
        need(self.predictions, "--predictions is missing: give catchment files of learning.predict, such as catchment_w*.nc")
        need(self.chlorophyll, "--chlorophyll is missing: give files of daily chlorophyll (python -m data.download chlorophyll)")
        need(self.flux is not None, "--flux is missing: give the flux record of the trap, CSV or .xlsx")
        need(len(self.lags) == 3, f"--lags: {len(self.lags)} numbers; give the first lag, the last and the step, in days")
        first, last, step = self.lags
        need(np.isfinite(self.lags).all() and step > 0, f"--lags {first:g} {last:g} {step:g}: the step must be positive, in days")
        need(last >= first, f"--lags {first:g} {last:g} {step:g}: the last lag must not be less than the first")
        need((last - first) / step < 1000, f"--lags {first:g} {last:g} {step:g}: more than 1000 lags; take a longer step")
        need(self.draws >= 1, f"--draws {self.draws}: give 1 or more")
        need(self.seed >= 0, f"--seed {self.seed}: give 0 or more")
        need(self.block_days >= 1, f"--block-days {self.block_days:g}: give 1 day or more")
        need_distinct(self, "variables", "exclude_flags")
        unknown = [name for name in self.variables if name not in COLUMNS]
        need(not unknown, f"--variables {' '.join(unknown)}: not a flux; known are {', '.join(COLUMNS)}")


@dataclass(frozen=True, eq=False)
class Catchments:
    """Predictions by speed (m/d), cells flattened, and the frame (trap and km around it) that they are on."""

    frame: Frame
    predictions: dict[float, Predictions]
    notes: list[str]


def main(config: CorrelationConfig) -> int:
    """Write correlation.csv, correlation.png, correlation.json, correlation_series.nc and figures/ of a folder."""
    config.validate()
    lags = lag_grid(*config.lags)
    catchments = read_catchments(config.predictions, exclude=config.exclude_flags)
    flux = read_flux(
        config.flux, depth=config.flux_depth, drop=config.drop_bad, columns=chosen_columns(config.flux_columns),
        sheet=config.sheet, site=config.site, near=catchments.frame.center,
        dates=None if config.flux_dates == "auto" else config.flux_dates,
    )  # fmt: skip
    cups, periods, notes = choose_cups(flux, config)
    variables, absent = choose_variables(cups, config)
    notes = [*catchments.notes, *notes, *absent, *speed_notes(lags, catchments.predictions)]
    maps_file = open_chlorophyll(config.chlorophyll)
    notes += time_notes(maps_file, "chlorophyll")
    opening, closing = (cups[name].to_numpy().astype("datetime64[s]") for name in ("open", "close"))
    check_times(config, lags, opening, closing, catchments.predictions, maps_file["time"].values)
    try:
        config.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"--out {config.out} cannot be made: {error.strerror or error}") from None
    with FolderLock(config.out, "correlation"):
        maps = daily_maps(maps_file, catchments.frame, flux, lags, config.out)
        boxes = {name: box_pdf(width, catchments.frame.x, catchments.frame.y).ravel() for name, width in BOXES_KM.items()}
        with Progress("correlating", "lag") as bar:
            found = lagged_chlorophyll(
                opening, closing, lags, maps, catchments.predictions, boxes,
                draws=config.draws, seed=config.seed, strict=config.strict, progress=bar.update,
            )  # fmt: skip
        check_found(found, config)
        fluxes = {name: cups[name].to_numpy(np.float64) for name in variables}
        table = score_table(found, fluxes, opening, periods, block_days=config.block_days, seed=config.seed)
        if not np.isfinite(table["r2"]).any():
            raise InputError(
                f"no cup left: at no lag do {ENOUGH_CUPS} cups of {config.flux} have a flux and chlorophyll; give a longer "
                "record, or predictions and chlorophyll of the same years"
            )
        problems = flux.attrs.get("problems", [])
        notes += [*cloud_notes(found), *nearest_notes(found), *block_notes(table, config.block_days)]
        of_rows = sum(line.startswith("row ") for line in problems)
        if of_rows:
            notes.append(f"{config.flux}: {of_rows} remarks on rows, one by one in correlation.json; by kind:")
        notes += [f"{config.flux}: {line}" for line in flux.attrs["remarks"]]
        notes += heavy_pic_notes(cups, found, config.flux)
        best = with_best_gains(
            best_rows(table), found, fluxes, opening, periods, block_days=config.block_days, seed=config.seed
        )  # fmt: skip
        best = best.merge(best_of_random(found, fluxes, periods), on=["variable", "period"])[BEST]
        series = series_of(cups, variables, found)
        _write_results(config, table, series, best, notes, problems, periods)
        _draw(config, table, series, catchments, maps, opening, closing, best)
    for note in notes:
        print(f"note: {note}", flush=True)
    print(best.to_string(index=False, float_format=lambda value: f"{value:.3g}"))
    print("gain: best R² of the catchment less best R² of the box, each at its own lag, over the cups that both have there")
    print(f"correlation: {config.out / 'correlation.csv'}, {config.out / 'correlation.png'}", flush=True)
    return 0


# -- what is read ----------------------------------------------------------------------------------------------------
def read_catchments(patterns, exclude: tuple[str, ...] = ()) -> Catchments:
    """Catchment files (CF-1.8 netCDF: ``pdf`` (time, y, x), ``x``, ``y`` km, the attributes in ``ATTRIBUTES``).

    Predictions that are incomplete (NaN) or empty are left out, and said so; so are those with a flag that ``exclude`` names
    (of :data:`FLAG_BITS`). How many of the others are flagged is said.

    Raises
    ------
    InputError
        A file is not one, is of another trap or lattice than the first, of a speed that another has, or holds no prediction.
    """
    predictions, notes, first = {}, [], None
    sources: dict[float, str] = {}
    for path in expand(patterns):
        speed, trap, x, y, times, pdf, flag = _read_catchment(path)
        if speed in sources:
            raise InputError(f"{path}: sinks at {speed:g} m/d as {sources[speed]} does; give one file a speed")
        if first is None:
            first = path, trap, x, y
        elif np.abs(np.subtract(trap, first[1])).max() > SAME_PLACE:
            raise InputError(
                f"{path}: its trap is at {trap[0]:g}, {trap[1]:g}, that of {first[0]} at {first[1][0]:g}, {first[1][1]:g} (lon, "
                "lat); give files of one trap"
            )
        elif not all(a.shape == b.shape and np.allclose(a, b, atol=1e-3) for a, b in ((x, first[2]), (y, first[3]))):
            raise InputError(f"{path}: x and y differ from those of {first[0]}; give files of one lattice")
        flat = pdf.reshape(len(pdf), -1)
        good = np.isfinite(flat).all(axis=1) & ~np.isnat(times)
        good[good] = flat[good].sum(axis=1) > 0
        complete = good.copy()
        for name, bit in FLAG_BITS.items():
            flagged = complete & (flag & bit > 0)
            if flagged.any():
                fate = "left out" if name in exclude else f"used (--exclude-flags {name} leaves them out)"
                notes.append(f"{path}: {int(flagged.sum())} of {good.size} predictions are flagged {FLAG_WORDS[name]}: {fate}")
            if name in exclude:
                good &= ~flagged
        if complete.any() and not good.any():
            raise InputError(f"{path}: all its predictions are flagged {' or '.join(exclude)}; exclude fewer (--exclude-flags)")
        if not good.any():
            raise InputError(f"{path}: none of its {len(good)} predictions is complete; predict again with complete SSH and SST")
        if not complete.all():
            notes.append(f"{path}: {int((~complete).sum())} of {good.size} predictions are incomplete or empty, and left out")
        order = np.flatnonzero(good)[np.argsort(times[good], kind="stable")]
        predictions[speed] = Predictions(speed, times[order].astype("datetime64[s]"), flat[order])
        sources[speed] = path
    _, trap, x, y = first
    return Catchments(Frame(trap, float(x[1] - x[0]), x, y), dict(sorted(predictions.items())), notes)


def idealised_ocean(patterns) -> str:
    """What pictures call the ocean of catchment files that are of an idealised one; empty where they are of the sea."""
    with xr.open_dataset(expand(patterns)[0]) as file:
        return IDEALISED if is_idealised(file.attrs.get("maps_source")) else ""


def _read_catchment(path: str):
    """(speed, (lon, lat), x, y, times, pdf (time, y, x), flag (time,)) of one file."""
    try:
        with xr.open_dataset(path) as file:
            missing = [name for name in ("pdf", "x", "y", "time") if name not in file.variables]
            missing += [name for name in ATTRIBUTES if name not in file.attrs]
            if missing or set(file["pdf"].dims) != {"time", "y", "x"} or file["time"].dtype.kind != "M":
                what = f"it lacks {', '.join(missing)}" if missing else "pdf must be (time, y, x), with a time in days"
                raise InputError(f"{path}: not a catchment file ({what}); give what learning.predict --ssh --sst writes")
            speed, *trap = (float(np.asarray(file.attrs[name]).item()) for name in ATTRIBUTES)
            x, y = (file[name].values.astype(np.float64) for name in ("x", "y"))
            pdf = file["pdf"].transpose("time", "y", "x").values.astype(np.float32, copy=False)
            times = file["time"].values
            flag = np.zeros(times.size, np.int64)
            if "flag" in file and file["flag"].dims == ("time",):
                flag = np.nan_to_num(file["flag"].values).astype(np.int64)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"{path}: cannot be read as a catchment file ({one_line(error)}); give netCDF of learning.predict"
        ) from None
    steps = np.concatenate([np.diff(x), np.diff(y)])
    if not (len(pdf) and steps.size and np.allclose(steps, steps[0], rtol=1e-3) and steps[0] > 0):
        raise InputError(f"{path}: x and y must be an even lattice in km, ascending, and time not empty; predict again")
    if np.nanmin(pdf, initial=0.0) < 0 or not speed > 0:
        raise InputError(f"{path}: negative probabilities, or a sinking speed of {speed:g} m/d; predict again")
    return speed, tuple(trap), x, y, times, pdf, flag


def choose_cups(flux: pd.DataFrame, config: CorrelationConfig) -> tuple[pd.DataFrame, dict[str, np.ndarray], list[str]]:
    """Cups of the period, in order, which of them belong to each period by name, and what there is to say.

    Raises
    ------
    OptionError, InputError
        A date cannot be read; no cup is left.
    """
    flux = flux.sort_values(["open", "close"])
    middle = flux["open"] + (flux["close"] - flux["open"]) / 2
    years, notes = middle.dt.year.to_numpy(), []
    start, end = config.start, config.end
    if start is None and end is None:
        first, last = PAPER_YEARS
        held = {int(year) for year in years if first <= year <= last}
        if len(held) > (last - first + 1) / 2:
            start, end = f"{first}-01-01", f"{last}-12-31"
        else:
            notes.append(
                f"{config.flux} has cups in {len(held)} of the years {first} to {last}: all of it is taken (--start, --end)"
            )
    chosen = np.ones(len(flux), bool)
    if start is not None:
        chosen &= (middle >= _date("--start", start)).to_numpy()
    if end is not None:
        chosen &= (middle < _date("--end", end) + pd.Timedelta(days=1)).to_numpy()
    if not chosen.any():
        raise InputError(
            f"no cup left: {config.flux} holds cups from {_day(flux['open'].min())} to {_day(flux['close'].max())}, none in the "
            f"period {start or 'from the beginning'} to {end or 'the end'}; change --start, --end"
        )
    excluded = np.isin(years[chosen], config.exclude_years)
    periods = {"all": np.ones(int(chosen.sum()), bool)}
    if config.exclude_years:
        listed = ", ".join(map(str, sorted(set(config.exclude_years))))
        if not excluded.any():
            notes.append(f"no cup of the period lies in {listed}: nothing is excluded, one period is scored")
        elif excluded.all():
            notes.append(f"all cups of the period lie in {listed}: one period is scored")
        else:
            periods[f"without {listed}"] = ~excluded
    return flux[chosen], periods, notes


def _date(option: str, text: str) -> pd.Timestamp:
    return pd.Timestamp(parse_date(text, option).astype("datetime64[D]"))


def _day(time) -> str:
    return str(np.datetime64(time, "D"))


def choose_variables(cups: pd.DataFrame, config: CorrelationConfig) -> tuple[list[str], list[str]]:
    """Fluxes that can be correlated, and lines on those that cannot.

    Raises
    ------
    InputError
        One that was asked for, or every one, has fewer than 3 values in the period.
    """
    counts = {name: int(cups[name].notna().sum()) if name in cups else 0 for name in config.variables or COLUMNS}
    few = [name for name, count in counts.items() if count < ENOUGH_CUPS]
    if few and (config.variables or len(few) == len(counts)):
        raise InputError(
            f"no cup left: {config.flux} has {', '.join(f'{counts[name]} values of {name}' for name in few)} in the period, and "
            f"{ENOUGH_CUPS} are needed; widen --start and --end, or choose other --variables"
        )
    return [name for name in counts if name not in few], [f"{config.flux}: too few values of {name}: left out" for name in few]


def speed_notes(lags: np.ndarray, predictions: dict[float, Predictions]) -> list[str]:
    """Lines on speeds that are wanted (paper Appendix C) and not given."""
    notes = []
    for wanted in sorted({sinking_speed(lag) for lag in lags}):
        if wanted not in predictions:
            used = [lag for lag in lags if sinking_speed(lag) == wanted]
            notes.append(
                f"no predictions at {wanted:g} m/d, which lags of {used[0]:g} to {used[-1]:g} days want: those at "
                f"{nearest_speed(wanted, predictions):g} m/d are used"
            )
    return notes


def check_times(config, lags, opening, closing, predictions: dict[float, Predictions], times: np.ndarray) -> None:
    """InputError where predictions or chlorophyll lie wholly outside the windows of the cups."""
    first, last = (in_seconds(lag) for lag in (lags[0], lags[-1]))
    margin = in_seconds(MARGIN_DAYS)
    begin, end = opening.min() - last, closing.max() - first
    cups = f"the cups of {config.flux} ({_day(opening.min())} to {_day(closing.max())}), {lags[0]:g} to {lags[-1]:g} days before"
    low, high = times.min(), times.max()
    if low > end + margin or high < begin - margin:
        raise InputError(
            f"--chlorophyll reaches from {_day(low)} to {_day(high)} and does not overlap with {cups}; give chlorophyll from "
            f"{_day(begin - margin)} to {_day(end + margin)}"
        )
    spans = [(one.times[0] - one.interval // 2, one.times[-1] + one.interval // 2) for one in predictions.values()]
    if all(low > end or high < begin for low, high in spans):
        low, high = min(low for low, _ in spans), max(high for _, high in spans)
        raise InputError(
            f"--predictions reach from {_day(low)} to {_day(high)} and do not overlap with {cups}; predict from {_day(begin)} to "
            f"{_day(end)} (learning.predict --start --end)"
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


# -- chlorophyll on the trap frame -----------------------------------------------------------------------------------
def daily_maps(dataset: xr.Dataset, frame: Frame, flux: pd.DataFrame, lags: np.ndarray, out: Path) -> DailyMaps:
    """Chlorophyll on the cells of the predictions, as running sums; regridded once, into OUT/chlorophyll_on_frame.zarr.

    All days that any cup of the record may want are regridded, whichever period is asked for. A killed command goes on where it
    was; a store of other files, frame or days is made anew.

    Raises
    ------
    InputError, StoreError
        The maps do not cover the frame, a file cannot be read; the store cannot be written.
    """
    half_width = float(max(np.abs(frame.x).max(), np.abs(frame.y).max()))
    first = flux["open"].min().to_datetime64() - in_seconds(max(lags[-1], 110) + MARGIN_DAYS)
    last = flux["close"].max().to_datetime64() - in_seconds(min(lags[0], 0) - MARGIN_DAYS)
    days, length = dataset["first_day"].values.astype("datetime64[D]"), dataset["days"].values
    wanted = np.flatnonzero((days + (length - 1) * np.timedelta64(1, "D") >= first) & (days <= last))
    if not wanted.size:
        raise InputError(f"--chlorophyll has no map from {_day(first)} to {_day(last)}; give chlorophyll of the years of --flux")
    variable = around(dataset, frame.center, half_width)["chlorophyll"].isel(time=wanted)
    times = variable["time"].values
    files = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in map(_resolved, dataset.attrs["files"])]
    identity = {
        "files": [list(one) for one in files], "center": list(frame.center), "x": frame.x.tolist(), "y": frame.y.tolist(),
        "method": "linear", "times": [str(times[0]), str(times[-1]), int(times.size)],
    }  # fmt: skip
    final = out / "chlorophyll_on_frame.zarr"
    _regrid(variable, frame, final, identity)
    with zarr.config.set(checked_setting(final, "chlorophyll")):
        stored = zarr.open_group(str(final), mode="r")["chlorophyll"]
    return DailyMaps.of(days[wanted], _blocks(stored), frame.x.size * frame.y.size, length[wanted])


def _resolved(path: str) -> Path:
    return Path(path).resolve()


def _blocks(stored) -> Iterator[np.ndarray]:
    for first in range(0, stored.shape[0], BLOCK):
        block = stored[first : first + BLOCK]
        yield block.reshape(len(block), -1)


def _regrid(variable: xr.DataArray, frame: Frame, final: Path, identity: dict) -> None:
    """Fill the store with what it lacks of the maps (time, latitude, longitude) on the frame."""
    n = variable.sizes["time"]

    def lay_out(path: Path) -> None:
        group = zarr.create_group(store=str(path), zarr_format=3)
        attrs = {"units": "mg m-3", "long_name": "chlorophyll"}
        add_array(group, "chlorophyll", (n, *frame.shape), (BLOCK, *frame.shape), "float32", ("time", "y", "x"), attrs)

    options = {"lay_out": lay_out, "identity": identity, "renew": True, "parts": "blocks of maps"}
    store = ResumableStore(final, ("chlorophyll",), -(-n // BLOCK), **options)
    if store.damaged:
        print(f"note: {store.told(store.damaged)} and are made again", flush=True)
    if store.whole:
        return
    with Progress("regridding chlorophyll", "map") as bar:
        for number in store.missing():
            part = slice(number * BLOCK, min((number + 1) * BLOCK, n))
            store.put(number, chlorophyll=on_frame(variable.isel(time=part).load(), frame, method="linear").values)
            bar.update(part.stop, n)
    store.close()


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
        both = [r_squared(values, found.series["catchment"]), r_squared(values[~heavy], found.series["catchment"][:, ~heavy])]
        if all(np.isfinite(one).any() for one in both):
            words.append(f"{name} {np.nanmax(both[0]):.2f} with them, {np.nanmax(both[1]):.2f} without")
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
    """What correlation_series.nc holds: chlorophyll (lag, catchment, cup), mg m-3, and the fluxes (cup), mg m-2 d-1."""
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
        "cups": {name: int(chosen.sum()) for name, chosen in periods.items()},
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
        shown = example_cups(series.sel(lag=lag, catchment="catchment")["chlorophyll"].values, most)
        shift, margin = (in_seconds(days) for days in (lag, MARGIN_DAYS))
        means = maps.mean(opening[shown] - shift - margin, closing[shown] - shift + margin)
        one = catchments.predictions[speed]
        begin, length = one.runs(opening[shown] - shift, closing[shown] - shift, strict=config.strict)
        pdfs = np.stack([one.pdf[a : a + n].mean(axis=0) for a, n in zip(begin, length, strict=True)])
        titles = [f"{_day(opening[cup])} to {_day(closing[cup])}" for cup in shown]
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
