"""Chlorophyll on the trap's frame: chlorophyll_on_frame.zarr, regridded once, as running sums over days."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
import zarr

from data.chunks import add_array, checked_setting
from data.errors import InputError
from data.frame import Frame
from data.progress import Progress
from data.resumable import ResumableStore
from data.satellite import around, on_frame
from data.times import timedelta_days
from evaluation.cross_correlation import MARGIN_DAYS, DailyMaps
from evaluation.cups import day
from evaluation.options import PAPER_LAGS

#: Maps in a chunk of the store; as many are regridded at a time.
CHUNK = 64


def daily_maps(dataset: xr.Dataset, frame: Frame, flux: pd.DataFrame, lags: np.ndarray, out: Path) -> DailyMaps:
    """Chlorophyll on the cells of the predictions, as running sums; maps are regridded once, into OUT/chlorophyll_on_frame.zarr.

    All days that any cup of the record may want are regridded, whichever period is asked for. A killed command goes on where it
    was; a store of other files, frame or days is made anew.

    Raises
    ------
    InputError, StoreError
        The maps do not cover the frame, a file cannot be read; the store cannot be written.
    """
    half_width = float(max(np.abs(frame.x).max(), np.abs(frame.y).max()))
    first, last = wanted_span(flux, lags)
    days, length = dataset["first_day"].values.astype("datetime64[D]"), dataset["days"].values
    needed = np.flatnonzero((days + (length - 1) * np.timedelta64(1, "D") >= first) & (days <= last))
    if not needed.size:
        raise InputError(f"--chlorophyll has no map from {day(first)} to {day(last)}; give chlorophyll of the years of --flux")
    variable = around(dataset, frame.center, half_width)["chlorophyll"].isel(time=needed)
    times = variable["time"].values
    files = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in map(_resolved, dataset.attrs["files"])]
    identity = {
        "files": [list(file) for file in files], "center": list(frame.center), "x": frame.x.tolist(), "y": frame.y.tolist(),
        "method": "linear", "times": [str(times[0]), str(times[-1]), int(times.size)],
    }  # fmt: skip
    final = out / "chlorophyll_on_frame.zarr"
    _regrid(variable, frame, final, identity)
    with zarr.config.set(checked_setting(final, "chlorophyll")):
        stored = zarr.open_group(str(final), mode="r")["chlorophyll"]
    return DailyMaps.of(days[needed], _batches(stored), frame.x.size * frame.y.size, length[needed])


def wanted_span(flux: pd.DataFrame, lags: np.ndarray) -> tuple[np.datetime64, np.datetime64]:
    """First and last instant of the chlorophyll that cups want at any of ``lags`` (days, ascending), and at those of the
    paper, which other lags then find regridded."""
    first = flux["open"].min().to_datetime64() - timedelta_days(max(lags[-1], PAPER_LAGS[1]) + MARGIN_DAYS)
    last = flux["close"].max().to_datetime64() - timedelta_days(min(lags[0], PAPER_LAGS[0]) - MARGIN_DAYS)
    return first, last


def _resolved(path: str) -> Path:
    return Path(path).resolve()


def _batches(stored) -> Iterator[np.ndarray]:
    for first in range(0, stored.shape[0], CHUNK):
        batch = stored[first : first + CHUNK]
        yield batch.reshape(len(batch), -1)


def _regrid(variable: xr.DataArray, frame: Frame, final: Path, identity: dict) -> None:
    """Regrid the maps (time, latitude, longitude) that the store lacks onto the frame."""
    n = variable.sizes["time"]

    def lay_out(path: Path) -> None:
        group = zarr.create_group(store=str(path), zarr_format=3)
        attrs = {"units": "mg m-3", "long_name": "chlorophyll"}
        add_array(group, "chlorophyll", (n, *frame.shape), (CHUNK, *frame.shape), "float32", ("time", "y", "x"), attrs)

    store = ResumableStore(
        final, ("chlorophyll",), -(-n // CHUNK), lay_out=lay_out, identity=identity, renew=True, parts="chunks of maps"
    )
    if store.damaged:
        print(f"note: {store.told(store.damaged)} and are made again", flush=True)
    if store.whole:
        return
    with Progress("regridding chlorophyll", "map") as bar:
        for number in store.missing():
            part = slice(number * CHUNK, min((number + 1) * CHUNK, n))
            store.put(number, chlorophyll=on_frame(variable.isel(time=part), frame, method="linear").values)
            bar.update(part.stop, n)
    store.close()
