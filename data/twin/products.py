"""The twin ocean as satellites would show it: SSH, SST and chlorophyll in the layouts of DUACS, OSTIA and CMEMS ocean colour.

Maps are smoothed to the effective resolution of the products, carry noise, and chlorophyll is hidden by clouds. SSH has a zero of
its own, as satellites' has. Daily, one file a year, around the twin's centre; a file is complete or absent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import netCDF4
import numpy as np
from scipy import ndimage

from data.errors import cannot_write
from data.sphere import lon_lat
from data.twin.chlorophyll import Chlorophyll, _day_of_year, cells, season
from data.twin.defaults import F0, GRAVITY, SPACING
from data.twin.ocean import TwinOcean

HALF_WIDTH_KM = 480.0
#: Grid spacing, degrees, and effective resolution (full width at half maximum of a Gaussian, km).
SSH_STEP, SST_STEP, CHL_STEP = 0.25, 0.05, 1 / 24
SSH_KM, SST_KM = 80.0, 28.0
#: adt less the simulation's SSH, m; standard deviation (m) and scale (km) of its noise; noise of SST, K, and of ln chlorophyll.
SSH_ZERO, SSH_NOISE, SSH_NOISE_KM, SST_NOISE, CHL_NOISE = 0.4, 0.01, 50.0, 0.1, 0.15
#: Clouds: share covered in the mean and by which winter adds to it, persistence in days, size in km.
CLOUD, CLOUD_SEASON, CLOUD_DAYS, CLOUD_KM = 0.6, 0.1, 3.0, 80.0
KINDS = ("ssh", "sst", "chl")


@dataclass(frozen=True, eq=False)
class _Axes:
    """A regular longitude-latitude grid and where its points stand on the twin."""

    lon: np.ndarray
    lat: np.ndarray
    rows: np.ndarray
    columns: np.ndarray

    @classmethod
    def around(cls, ocean: TwinOcean, step: float) -> _Axes:
        side = np.linspace(-HALF_WIDTH_KM, HALF_WIDTH_KM, 41)
        edge = np.full(side.size, HALF_WIDTH_KM)
        lon, lat = lon_lat(
            np.concatenate([side, side, edge, -edge]), np.concatenate([edge, -edge, side, side]), *ocean.grid.center
        )
        axes = [
            (np.arange(np.floor(one.min() / step), np.ceil(one.max() / step)) + 0.5) * step for one in (lon, lat)
        ]  # fmt: skip
        rows, columns = cells(ocean, *np.meshgrid(*axes))
        return cls(*axes, rows, columns)

    def sample(self, field: np.ndarray, order: int) -> np.ndarray:
        """A periodic field (n, n) at the points: (lat, lon)."""
        return ndimage.map_coordinates(field, [self.rows, self.columns], order=order, mode="grid-wrap")


def write_products(
    ocean: TwinOcean, chlorophyll: Chlorophyll, out: Path, *, seed: int = 0, progress: Callable[[int, int], None] | None = None
) -> list[Path]:
    """Write ``ssh_YYYY.nc``, ``sst_YYYY.nc`` and ``chl_YYYY.nc`` under ``out``; files that are there are kept.

    Raises
    ------
    StoreError
        A file cannot be written.
    """
    out = Path(out)
    years = ocean.times.astype("datetime64[Y]")
    mean = np.mean([_ssh(ocean, day) for day in range(0, len(ocean.times), 10)], axis=0)
    jobs = [(kind, year) for kind in KINDS for year in np.unique(years)]
    paths, done = [], 0
    for kind, year in jobs:
        path = out / f"{kind}_{year}.nc"
        paths.append(path)
        days = np.flatnonzero(years == year)
        if not path.exists():
            aside = path.with_name(f".{path.name}.aside")
            try:
                out.mkdir(parents=True, exist_ok=True)
                with netCDF4.Dataset(aside, "w") as file:
                    tick = (
                        (lambda k, base=done: progress(base + k, len(ocean.times) * len(KINDS))) if progress else lambda k: None
                    )
                    if kind == "ssh":
                        _write_ssh(file, ocean, days, mean, seed, tick)
                    elif kind == "sst":
                        _write_sst(file, ocean, days, seed, tick)
                    else:
                        _write_chlorophyll(file, ocean, chlorophyll, days, seed, tick)
                aside.replace(path)
            except OSError as error:
                raise cannot_write(path, error) from None
        done += days.size
    return paths


def _ssh(ocean: TwinOcean, day: int) -> np.ndarray:
    """(n, n) sea surface height of one period, m."""
    return ocean.snapshot(int(day)).zeta[:-1, :-1].astype(np.float64)


def _smooth(field: np.ndarray, full_width_km: float) -> np.ndarray:
    sigma = full_width_km * 1000 / SPACING / np.sqrt(8 * np.log(2))
    return ndimage.gaussian_filter(field, sigma, mode="wrap")


def _noise(n: int, scale_km: float, seed: list[int]) -> np.ndarray:
    """(n, n) periodic Gaussian noise of unit variance and a scale."""
    noise = _smooth(np.random.default_rng(seed).standard_normal((n, n)), scale_km)
    return noise / noise.std()


def _layout(file, times, axes: _Axes, names, units: str, epoch: str, *, lon=None, descending=False):
    """Dimensions and coordinates; returns the latitudes' order."""
    lat_name, lon_name = names
    order = slice(None, None, -1) if descending else slice(None)
    file.createDimension("time", None)
    file.createDimension(lat_name, axes.lat.size)
    file.createDimension(lon_name, axes.lon.size)
    stamp = file.createVariable("time", "f8", ("time",))
    stamp.setncatts({"units": f"{units} since {epoch}", "calendar": "standard", "standard_name": "time"})
    unit = np.timedelta64(86400 if units == "days" else 1, "s")
    stamp[:] = (times.astype("datetime64[s]") - np.datetime64(epoch[:10], "s")) / unit
    for name, values, what in (
        (lat_name, axes.lat[order], "latitude"),
        (lon_name, axes.lon if lon is None else lon, "longitude"),
    ):
        variable = file.createVariable(name, "f4", (name,))
        variable.setncatts({"units": f"degrees_{'north' if what == 'latitude' else 'east'}", "standard_name": what})
        variable[:] = values
    return order


def _write_ssh(file, ocean, days, mean, seed, tick) -> None:
    axes = _Axes.around(ocean, SSH_STEP)
    file.setncatts({"title": "Twin ocean: sea surface height as DUACS L4 reprocessed", "Conventions": "CF-1.6"})
    _layout(file, ocean.times[days], axes, ("latitude", "longitude"), "days", "1950-01-01 00:00:00", lon=np.mod(axes.lon, 360.0))
    file.createVariable("crs", "i4", ()).setncatts({"grid_mapping_name": "latitude_longitude"})
    stored = {}
    for name, standard, unit in (
        ("adt", "sea_surface_height_above_geoid", "m"), ("sla", "sea_surface_height_above_sea_level", "m"),
        ("ugos", "surface_geostrophic_eastward_sea_water_velocity", "m/s"),
        ("vgos", "surface_geostrophic_northward_sea_water_velocity", "m/s"),
    ):  # fmt: skip
        stored[name] = file.createVariable(name, "i4", ("time", "latitude", "longitude"), zlib=True, fill_value=-2147483647)
        stored[name].setncatts({"standard_name": standard, "units": unit, "scale_factor": 1e-4, "grid_mapping": "crs"})
    smooth_mean = _smooth(mean, SSH_KM)
    n = mean.shape[0]
    for record, day in enumerate(days):
        height = _smooth(_ssh(ocean, day), SSH_KM) + SSH_NOISE * _noise(n, SSH_NOISE_KM, [seed, 11, int(day)])
        dy, dx = (
            (np.roll(height, -1, axis) - np.roll(height, 1, axis)) / (2 * SPACING) * GRAVITY / F0 for axis in (0, 1)
        )  # fmt: skip
        for name, field in (("adt", height + SSH_ZERO), ("sla", height - smooth_mean), ("ugos", -dy), ("vgos", dx)):
            stored[name][record] = axes.sample(field, 3)
        tick(record + 1)


def _write_sst(file, ocean, days, seed, tick) -> None:
    axes = _Axes.around(ocean, SST_STEP)
    file.setncatts({"title": "Twin ocean: sea surface temperature as OSTIA L4", "Conventions": "CF-1.4"})
    _layout(file, ocean.times[days], axes, ("lat", "lon"), "seconds", "1981-01-01 00:00:00")
    dims = ("time", "lat", "lon")
    sst = file.createVariable(
        "analysed_sst", "i2", dims, zlib=True, fill_value=-32768, chunksizes=(1, axes.lat.size, axes.lon.size)
    )
    sst.setncatts(
        {"units": "kelvin", "add_offset": 273.15, "scale_factor": 0.01, "standard_name": "sea_surface_foundation_temperature"}
    )
    mask = file.createVariable("mask", "i1", dims, zlib=True, fill_value=-128)
    mask.setncatts({"flag_meanings": "water land optional_lake_surface sea_ice optional_river_surface",
                    "flag_masks": np.array([1, 2, 4, 8, 16], np.int8)})  # fmt: skip
    y = ocean.grid.y_rho[:-1, :-1]
    gradient = ocean.record.model.parameters.tracer_gradient
    rows = axes.rows - (ocean.grid.shape[0] - 1) / 2
    for record, day in enumerate(days):
        top = ocean.snapshot(int(day), {"temp"}).temp[-1, :-1, :-1].astype(np.float64)
        # the mean gradient is not periodic: it is taken off before and put back after
        anomaly = _smooth(top - gradient * y, SST_KM) + SST_NOISE * _noise(y.shape[0], SST_KM, [seed, 12, int(day)])
        sst[record] = axes.sample(anomaly, 3) + gradient * rows * SPACING + 273.15
        mask[record] = np.ones(axes.rows.shape, np.int8)
        tick(record + 1)


def cloud_cover(n: int, days: np.ndarray, first: np.datetime64, seed: int):
    """Yield (n, n) bool, True under cloud, for consecutive days: a smooth random field above a threshold, persistent in time."""
    keep = np.exp(-1 / CLOUD_DAYS)
    field = _noise(n, CLOUD_KM, [seed, 13, int(days[0])])
    for day in days:
        share = CLOUD - CLOUD_SEASON * season(_day_of_year(first) + int(day))
        yield field > np.quantile(field, 1 - share)
        field = keep * field + np.sqrt(1 - keep**2) * _noise(n, CLOUD_KM, [seed, 13, int(day) + 1])


def _write_chlorophyll(file, ocean, chlorophyll, days, seed, tick) -> None:
    axes = _Axes.around(ocean, CHL_STEP)
    file.setncatts({"title": "Twin ocean: chlorophyll as CMEMS ocean colour L3", "Conventions": "CF-1.7"})
    order = _layout(file, ocean.times[days], axes, ("lat", "lon"), "days", "1900-01-01 00:00:00", descending=True)
    chl = file.createVariable("CHL", "f4", ("time", "lat", "lon"), zlib=True, fill_value=-999.0, least_significant_digit=4,
                              chunksizes=(1, axes.lat.size, axes.lon.size))  # fmt: skip
    chl.setncatts({"units": "milligram m-3", "standard_name": "mass_concentration_of_chlorophyll_a_in_sea_water"})
    n = chlorophyll.values.shape[1]
    clouds = cloud_cover(n, days, ocean.times[0], seed)
    for record, (day, cloud) in enumerate(zip(days, clouds, strict=True)):
        random = np.random.default_rng([seed, 14, int(day)])
        field = axes.sample(chlorophyll.values[day].astype(np.float64), 1)
        field = field * np.exp(CHL_NOISE * random.standard_normal(field.shape))
        hidden = ndimage.map_coordinates(cloud.astype(np.float64), [axes.rows, axes.columns], order=0, mode="grid-wrap") > 0.5
        chl[record] = np.ma.masked_where(hidden, field)[order]
        tick(record + 1)
