"""Data beside the maps of the explorer: the trap's flux record, and chlorophyll in the catchments and as maps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.errors import InputError
from data.frame import Frame
from data.progress import Progress
from data.satellite import around, on_frame, open_chlorophyll, time_notes
from data.times import timedelta_days
from data.trap_flux import COLUMNS, chosen_columns, read_flux
from evaluation.cross_correlation import MARGIN_DAYS, DailyMaps, mean_of_sums
from evaluation.explorer.layers import COARSE, STEPS, UNKNOWN, Layer, square
from evaluation.options import ExplorerConfig
from lagrangian.design import TRAP_DEPTH

#: Days from one chlorophyll map of the page to the next; each map is a mean over as many days.
EVERY_DAYS = 10
#: Maps in a batch.
BATCH = 64


@dataclass(eq=False)
class Chlorophyll:
    """Chlorophyll maps of a page.

    Attributes
    ----------
    days : (n,) datetime64[D]
        First day of each map.
    maps : (n, y, x) uint8
        log10 from ``low`` to ``high`` in STEPS steps; UNKNOWN under cloud and on land.
    low, high : float
        mg m-3.
    """

    days: np.ndarray
    maps: np.ndarray
    low: float
    high: float


def flux_record(
    path: Path, config: ExplorerConfig, near: tuple[float, float], trap_depth: float
) -> tuple[dict, list[str]]:
    """Opening and closing days (since 1970) of the cups, their fluxes (mg m-2 d-1) by name, and notes.

    Raises
    ------
    InputError
        The record cannot be read or holds no flux.
    """
    depth = config.flux_depth if config.flux_depth is not None else trap_depth if np.isfinite(trap_depth) else TRAP_DEPTH
    flux = read_flux(path, depth=depth, drop=config.drop_bad, columns=chosen_columns(config.flux_columns),
                     near=near if np.isfinite(near).all() else None)  # fmt: skip
    values = {name: listed(flux[name]) for name in COLUMNS if name in flux and flux[name].notna().any()}
    if not values:
        raise InputError(f"{path} holds no flux ({', '.join(COLUMNS)}); name its columns with --flux-columns")
    record = {"open": since_1970(flux["open"]), "close": since_1970(flux["close"]), "values": values}
    return record, [f"{path}: {line}" for line in flux.attrs.get("remarks", ())]


def since_1970(times) -> list[float | None]:
    """Days since 1970 of datetimes (n,), to the hundredth; None for NaT."""
    seconds = np.asarray(times, "datetime64[s]")
    return [None if np.isnat(second) else round(second.astype(np.int64) / 86400, 2) for second in seconds]


def listed(values) -> list[float | None]:
    """Numbers rounded to four digits, None for NaN, as JSON holds them."""
    return [float(f"{value:.4g}") if np.isfinite(value) else None for value in np.asarray(values, np.float64)]


def add_chlorophyll(files: Sequence[str], layers: list[Layer], frame: Frame) -> tuple[Chlorophyll, list[str]]:
    """Give each layer's maps the mean chlorophyll in their catchment (fact ``chlorophyll``), and make the maps of the page.

    The mean is over the days of a map's date and five more on either side, weighed by the catchment over the cells with data
    (paper, Appendix C, at a lag of 0).

    Raises
    ------
    InputError
        The ocean has no place on Earth in degrees, or the files hold no map of these years.
    """
    if not np.isfinite(frame.center).all():
        raise InputError("--chlorophyll: the ocean of this run is in metres, without longitude and latitude; leave it out")
    dataset = open_chlorophyll(list(files))
    dates = np.concatenate([layer.dates for layer in layers])
    dates = dates[~np.isnat(dates)].astype("datetime64[s]")
    margin = timedelta_days(MARGIN_DAYS)
    days, length = dataset["first_day"].values.astype("datetime64[D]"), dataset["days"].values
    ends = days + (length - 1) * np.timedelta64(1, "D")
    near_dates = np.flatnonzero((ends >= dates.min() - margin) & (days <= dates.max() + margin))
    if not near_dates.size:
        raise InputError(f"--chlorophyll has no map from {str(dates.min())[:10]} to {str(dates.max())[:10]}; give those years")
    half_width = float(max(np.abs(frame.x).max(), np.abs(frame.y).max()))
    variable = around(dataset, frame.center, half_width)["chlorophyll"].isel(time=near_dates)
    small = coarse_frame(frame)

    def regridded() -> Iterator[np.ndarray]:
        with Progress("regridding chlorophyll", "map") as bar:
            for first in range(0, near_dates.size, BATCH):
                batch = on_frame(variable.isel(time=slice(first, first + BATCH)), small, method="linear").values
                bar.update(first + len(batch), near_dates.size)
                yield batch.reshape(len(batch), -1)

    maps = DailyMaps.of(days[near_dates], regridded(), small.x.size * small.y.size, length[near_dates])
    for layer in layers:
        if layer.dates.size > 1 or not np.isnat(layer.dates).any():
            layer.facts["chlorophyll"] = _within(layer, maps, margin)
    return _page_maps(maps, days[near_dates], small.shape), time_notes(dataset, "chlorophyll")


def coarse_frame(frame: Frame) -> Frame:
    """The frame of a page's maps: cells of COARSE bins, as :func:`evaluation.explorer.layers.coarse` makes them."""
    if frame.x.size % COARSE or frame.y.size % COARSE:
        return frame
    x, y = (axis.reshape(-1, COARSE).mean(axis=1) for axis in (frame.x, frame.y))
    return Frame(frame.center, frame.spacing_km * COARSE, x, y)


def _within(layer: Layer, maps: DailyMaps, margin: np.timedelta64) -> np.ndarray:
    """(n,) chlorophyll in the catchments of a layer, mg m-3; NaN where more than 99 % of a catchment is under cloud."""
    chlorophyll = np.full(layer.dates.size, np.nan)
    for first in range(0, layer.dates.size, BATCH):
        rows = slice(first, first + BATCH)
        dates = layer.dates[rows].astype("datetime64[s]")
        mean = maps.mean(dates - margin, dates + margin)
        weight = square(layer.of_dates(rows)).reshape(len(mean), -1)
        clear = np.where(np.isfinite(mean), weight, 0.0)
        sums = (np.nan_to_num(mean) * clear).sum(axis=1), clear.sum(axis=1), weight.sum(axis=1)
        chlorophyll[rows] = mean_of_sums(*sums)
    return chlorophyll


def _page_maps(maps: DailyMaps, days: np.ndarray, shape: tuple[int, int]) -> Chlorophyll:
    """Chlorophyll maps of the page, each the mean of EVERY_DAYS days."""
    step = np.timedelta64(EVERY_DAYS, "D")
    first = np.arange(days[0], days[-1] + np.timedelta64(1, "D"), step)
    mean = maps.mean(first.astype("datetime64[s]"), (first + step - np.timedelta64(1, "D")).astype("datetime64[s]"))
    with np.errstate(invalid="ignore", divide="ignore"):
        tenth = np.where(mean > 0, np.log10(mean), np.nan)
    finite = tenth[np.isfinite(tenth)]
    low, high = np.percentile(finite, (1, 99)) if finite.size else (-1.0, 0.0)
    high = max(high, low + 0.1)
    steps = np.clip(np.rint(STEPS * (np.nan_to_num(tenth, nan=low) - low) / (high - low)), 0, STEPS)
    steps = np.where(np.isfinite(tenth), steps, UNKNOWN).astype(np.uint8)
    return Chlorophyll(first, steps.reshape(-1, *shape), float(10**low), float(10**high))
