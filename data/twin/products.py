"""The twin ocean as satellites would show it: SSH, SST and chlorophyll in the layouts of DUACS, OSTIA and CMEMS ocean colour.

And its sea floor in the layout of GEBCO.

Maps are smoothed to the effective resolution of the products and carry noise; chlorophyll is hidden by clouds. SSH has a zero of
its own, as satellites' has. Daily, one file a year, on the twin's plane laid upon the Earth by the frame of :mod:`data.sphere`
about its centre. The twin repeats itself beyond 512 km, which only the corners of the maps reach.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import netCDF4
import numpy as np
from scipy import fft, ndimage, special

from data.errors import StoreError, cannot_write
from data.files import written_aside
from data.lonlat import square_bounds
from data.ocean_names import IDEALISED
from data.sphere import east_north
from data.twin.chlorophyll import Chlorophyll, cells, day_of_year, season
from data.twin.defaults import F0, GRAVITY, SPACING
from data.twin.ocean import TwinOcean

#: The maps hold at least the square of this half width about the centre.
HALF_WIDTH_KM = 480.0
#: Grid spacing, degrees, and effective resolution (half of the shortest wave, km).
SSH_STEP, SST_STEP, CHL_STEP, FLOOR_STEP = 0.25, 0.05, 1 / 24, 1 / 16
SSH_KM, SST_KM = 80.0, 28.0
#: adt less the simulation's SSH, m; standard deviation (m) and scale (km) of its noise; noise of SST, K, and of ln chlorophyll.
SSH_ZERO, SSH_NOISE, SSH_NOISE_KM, SST_NOISE, CHL_NOISE = 0.4, 0.01, 50.0, 0.1, 0.15
#: Share of days under cloud: mean, what winter adds to it, its greatest day of the year.
CLOUD, CLOUD_SEASON, CLOUDIEST_DAY = 0.6, 0.1, 15.0
#: Sizes (km) of clouds and of the weather that groups them; days in which they are renewed; their way east, km a day.
CLOUD_KM, CLOUD_DAYS, CLOUD_DRIFT_KM = (100.0, 400.0), 5.0, 10.0
#: Changes whenever the same ocean and seed would give other files.
VERSION = 1
KINDS = ("ssh", "sst", "chl")
_SOURCE = f"{IDEALISED} (quasi-geostrophic simulation)"


def write_products(
    ocean: TwinOcean,
    chlorophyll: Chlorophyll,
    out: Path,
    *,
    seed: int = 0,
    cloud: bool = True,
    truth: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write ``ssh_YYYY.nc``, ``sst_YYYY.nc``, ``chl_YYYY.nc`` and ``bathymetry.nc``; files of the same options that are there are
    kept.

    Parameters
    ----------
    ocean : TwinOcean
    chlorophyll : Chlorophyll
        Of the same ocean.
    out : Path
        Folder; made where it is not there. A file in it is complete or absent.
    seed : int
        Of noise and clouds.
    cloud : bool
        Whether clouds hide chlorophyll.
    truth : bool
        Whether chl_YYYY.nc also holds ``chl_truth``: without noise and cloud.
    progress : callable, optional
        Called with (maps done, maps in all).

    Returns
    -------
    list of Path
        All files, by kind and year, and bathymetry.nc last.

    Raises
    ------
    StoreError
        A file cannot be written, or one that is there is of another ocean or other options.
    """
    out = Path(out)
    years = ocean.times.astype("datetime64[Y]")
    total = len(ocean.times) * len(KINDS)
    common = {"ocean_seed": ocean.record.seed, "ocean_days": len(ocean.times), "seed": seed, "version": VERSION}
    writers = {
        "ssh": (_Ssh(ocean, seed), common),
        "sst": (_Sst(ocean, seed), common),
        "chl": (_Chl(chlorophyll, seed, cloud, truth), common | {"cloud": int(cloud), "truth": int(truth)}),
    }
    paths, days_written = [], 0
    for kind, (write, settings) in writers.items():
        for year in np.unique(years):
            days = np.flatnonzero(years == year)
            path = out / f"{kind}_{year}.nc"
            if path.exists():
                _check(path, settings)
            else:
                _save(path, settings, lambda file, write=write, days=days, before=days_written: write(
                    file, days, lambda k: progress and progress(before + k, total)))  # fmt: skip
            paths.append(path)
            days_written += days.size
    path, settings = out / "bathymetry.nc", {"ocean_seed": ocean.record.seed, "version": VERSION}
    if path.exists():
        _check(path, settings)
    else:
        _save(path, settings, partial(_bathymetry, ocean))
    return [*paths, path]


def _bathymetry(ocean: TwinOcean, file) -> None:
    """Heights of the sea floor as GEBCO lays them out: ``elevation`` (lat, lon), m, positive up."""
    axes = _Axes.around(ocean, FLOOR_STEP)
    file.setncatts({"title": "Twin ocean: sea floor as GEBCO", "Conventions": "CF-1.8", "source": _SOURCE})
    for name, values, standard, way in (("lat", axes.lat, "latitude", "north"), ("lon", axes.lon, "longitude", "east")):
        file.createDimension(name, values.size)
        axis = file.createVariable(name, "f8", (name,))
        axis.setncatts({"units": f"degrees_{way}", "standard_name": standard})
        axis[:] = values
    height = file.createVariable("elevation", "f4", ("lat", "lon"), zlib=True)
    height.setncatts({"units": "m", "standard_name": "height_above_mean_sea_level", "positive": "up"})
    height[:] = axes.sample(-ocean.sea_floor[:-1, :-1], 3)




def _save(path: Path, settings: dict, write) -> None:
    try:
        with written_aside(path) as aside, netCDF4.Dataset(aside, "w") as file:
            file.setncatts({f"twin_{name}": np.int32(value) for name, value in settings.items()})
            write(file)
    except (OSError, RuntimeError) as error:  # the netCDF library tells of a full disk by the latter
        raise cannot_write(path, error if isinstance(error, OSError) else OSError(str(error))) from None


def _check(path: Path, settings: dict) -> None:
    """Refuse a file that these settings would not give."""
    try:
        with netCDF4.Dataset(path) as file:
            stored = {name: int(getattr(file, f"twin_{name}", -1)) for name in settings}
    except (OSError, RuntimeError) as error:
        raise StoreError(f"{path} cannot be read ({getattr(error, 'strerror', None) or error}); remove it") from None
    wrong = [f"{name} {stored[name]} instead of {value}" for name, value in settings.items() if stored[name] != value]
    if wrong:
        raise StoreError(f"{path} was written with {', '.join(wrong)}; choose another --out, or remove it")


# -- fields on the twin's plane --------------------------------------------------------------------------------------
def smooth(field: np.ndarray, full_width_km: float) -> np.ndarray:
    """A periodic field (n, n) convolved with a Gaussian of a full width at half maximum."""
    sigma = full_width_km * 1000 / np.sqrt(8 * np.log(2))
    ky, kx = (2 * np.pi * line for line in (fft.fftfreq(field.shape[0], SPACING), fft.rfftfreq(field.shape[1], SPACING)))
    weight = np.exp(-0.5 * sigma**2 * (ky[:, None] ** 2 + kx[None, :] ** 2))
    return fft.irfft2(fft.rfft2(field) * weight, s=field.shape)


def resolved(field: np.ndarray, resolution_km: float) -> np.ndarray:
    """A periodic field (n, n) at an effective resolution: waves longer than twice that are kept, shorter ones are taken out.

    A Butterworth filter of order 4. A Gaussian of that width would take a third off waves of 250 km, which maps sampled every
    80 km hold whole: the networks, trained on such, would then be given eddies too weak.
    """
    ky, kx = (k * 2000 * resolution_km for k in (fft.fftfreq(field.shape[0], SPACING), fft.rfftfreq(field.shape[1], SPACING)))
    weight = 1 / (1 + (ky[:, None] ** 2 + kx[None, :] ** 2) ** 4)
    return fft.irfft2(fft.rfft2(field) * weight, s=field.shape)


def noise(n: int, scale_km: float, seed: list[int]) -> np.ndarray:
    """(n, n) periodic Gaussian noise of expected variance 1: white noise smoothed to ``scale_km``."""
    return smooth(np.random.default_rng(seed).standard_normal((n, n)), scale_km) / _deviation(n, scale_km)


@cache
def _deviation(n: int, scale_km: float) -> float:
    """Of white noise of variance 1 that is smoothed."""
    unit = np.zeros((n, n))
    unit[0, 0] = 1.0
    return np.sqrt(np.sum(smooth(unit, scale_km) ** 2))


def cloudiness(n: int, seed: int) -> Iterator[np.ndarray]:
    """Yield, day after day from the record's first, a field (n, n) of Gaussian distribution (mean 0, variance 1): cloud is
    where it is greatest. It drifts east and is renewed little by little."""
    keep = np.exp(-1 / CLOUD_DAYS)

    def fresh(day):
        return sum(noise(n, scale, [seed, 13, day, k]) for k, scale in enumerate(CLOUD_KM)) / np.sqrt(len(CLOUD_KM))

    shift = np.exp(-2j * np.pi * fft.rfftfreq(n, SPACING) * CLOUD_DRIFT_KM * 1000)
    field, day = fresh(0), 0
    while True:
        yield field
        day += 1
        moved = fft.irfft(fft.rfft(field, axis=1) * shift, n=n, axis=1)
        field = keep * moved + np.sqrt(1 - keep**2) * fresh(day)


def cloud_threshold(day_of_year: float) -> float:
    """The value of :func:`cloudiness` above which there is cloud."""
    return float(special.ndtri(1 - CLOUD - CLOUD_SEASON * season(day_of_year, CLOUDIEST_DAY)))


# -- the grid and the layout -----------------------------------------------------------------------------------------
@dataclass(frozen=True, eq=False)
class _Axes:
    """A regular longitude-latitude grid, and where its points stand on the twin.

    Attributes
    ----------
    lon, lat : (lon,), (lat,)
        Degrees.
    rows, columns : (lat, lon)
        Of one period, not wrapped.
    turn : (lat, lon)
        Angle from the twin's x axis to the east, radians, counter-clockwise: 0 at the centre, some degrees beside it.
    """

    lon: np.ndarray
    lat: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    turn: np.ndarray

    @classmethod
    def around(cls, ocean: TwinOcean, step: float) -> _Axes:
        west, east, south, north = square_bounds(ocean.center, HALF_WIDTH_KM)
        lon, lat = ((np.arange(np.floor(low / step), np.ceil(high / step)) + 0.5) * step
                    for low, high in ((west, east), (south, north)))  # fmt: skip
        x, y = np.meshgrid(lon, lat)
        small = 1e-3
        east, north = (b - a for a, b in zip(*(east_north(x + d, y, *ocean.center) for d in (-small, small)), strict=True))
        return cls(lon, lat, *cells(ocean, x, y), np.arctan2(north, east))

    def sample(self, field: np.ndarray, order: int) -> np.ndarray:
        """A periodic field (n, n) at the points, by splines of an order: (lat, lon)."""
        return ndimage.map_coordinates(field, [self.rows, self.columns], order=order, mode="grid-wrap")


def _layout(file, title: str, times, lat: tuple[str, np.ndarray], lon: tuple[str, np.ndarray], since: str) -> None:
    """Title, dimensions and coordinates; ``since``: "days since ..." or "seconds since ..."."""
    file.setncatts({"title": title, "Conventions": "CF-1.8", "source": _SOURCE})
    file.createDimension("time", None)
    stamp = file.createVariable("time", "f8", ("time",))
    stamp.setncatts({"units": since, "calendar": "standard", "standard_name": "time", "axis": "T"})
    unit, _, epoch = since.split(" ", 2)
    stamp[:] = (times - np.datetime64(epoch)) / np.timedelta64(1, "D" if unit == "days" else "s")
    for (name, values), standard, way, axis in ((lat, "latitude", "north", "Y"), (lon, "longitude", "east", "X")):
        file.createDimension(name, values.size)
        variable = file.createVariable(name, "f4", (name,))
        variable.setncatts({"units": f"degrees_{way}", "standard_name": standard, "axis": axis})
        variable[:] = values


def _variable(file, name, dtype, dims, fill, **attributes):
    """A compressed variable (time, lat, lon), one map a chunk."""
    sizes = tuple(file.dimensions[dim].size for dim in dims[1:])
    variable = file.createVariable(name, dtype, dims, zlib=True, shuffle=True, fill_value=fill, chunksizes=(1, *sizes))
    variable.setncatts(attributes)
    return variable


# -- the products ----------------------------------------------------------------------------------------------------
class _Ssh:
    """DUACS L4, reprocessed. ugos and vgos come of the noisy adt with the twin's own constant f; its mean flow, which has no
    SSH in a periodic ocean, is not in them. sla is adt less the record's mean of adt without noise."""

    def __init__(self, ocean: TwinOcean, seed: int):
        self.ocean, self.seed = ocean, seed

    def _height(self, day: int) -> np.ndarray:
        """(n, n) of one period, m, smoothed."""
        return resolved(self.ocean.surface(int(day)).zeta[:-1, :-1].astype(np.float64), SSH_KM)

    def __call__(self, file, days, tick) -> None:
        axes = _Axes.around(self.ocean, SSH_STEP)
        dims = ("time", "latitude", "longitude")
        _layout(file, "Twin ocean: sea surface height as DUACS L4", self.ocean.times[days], ("latitude", axes.lat),
                ("longitude", np.mod(axes.lon, 360.0)), "days since 1950-01-01")  # fmt: skip
        crs = file.createVariable("crs", "i4", ())
        crs.setncatts({"grid_mapping_name": "latitude_longitude", "semi_major_axis": 6371315.0, "inverse_flattening": 0.0})
        stored = {
            name: _variable(
                file, name, "i4", dims, -2147483647, standard_name=standard, units=unit, scale_factor=1e-4, grid_mapping="crs"
            )
            for name, standard, unit in (
                ("adt", "sea_surface_height_above_geoid", "m"),
                ("sla", "sea_surface_height_above_sea_level", "m"),
                ("ugos", "surface_geostrophic_eastward_sea_water_velocity", "m/s"),
                ("vgos", "surface_geostrophic_northward_sea_water_velocity", "m/s"),
            )
        }
        every = range(0, len(self.ocean.times), 10)
        mean = sum(self._height(day) for day in every) / len(every)
        cos, sin = np.cos(axes.turn), np.sin(axes.turn)
        for record, day in enumerate(days):
            height = self._height(day)
            height += SSH_NOISE * noise(height.shape[0], SSH_NOISE_KM, [self.seed, 11, int(day)])
            dy, dx = ((np.roll(height, -1, axis) - np.roll(height, 1, axis)) / (2 * SPACING) for axis in (0, 1))
            u, v = (axes.sample(GRAVITY / F0 * slope, 3) for slope in (-dy, dx))
            stored["adt"][record] = axes.sample(height, 3) + SSH_ZERO
            stored["sla"][record] = axes.sample(height - mean, 3)
            stored["ugos"][record] = u * cos + v * sin
            stored["vgos"][record] = v * cos - u * sin
            tick(record + 1)


class _Sst:
    """OSTIA L4. analysis_error is the noise alone; mask says water everywhere."""

    def __init__(self, ocean: TwinOcean, seed: int):
        self.ocean, self.seed = ocean, seed

    def __call__(self, file, days, tick) -> None:
        ocean = self.ocean
        axes = _Axes.around(ocean, SST_STEP)
        dims = ("time", "lat", "lon")
        _layout(file, "Twin ocean: sea surface temperature as OSTIA L4", ocean.times[days], ("lat", axes.lat), ("lon", axes.lon),
                "seconds since 1981-01-01")  # fmt: skip
        sst = _variable(file, "analysed_sst", "i2", dims, -32768, units="kelvin", add_offset=273.15, scale_factor=0.01,
                        standard_name="sea_surface_foundation_temperature")  # fmt: skip
        error = _variable(file, "analysis_error", "i2", dims, -32768, units="kelvin", add_offset=0.0, scale_factor=0.01)
        mask = _variable(file, "mask", "i1", dims, -128, flag_masks=np.array([1, 2, 4, 8, 16], np.int8),
                         flag_meanings="water land optional_lake_surface sea_ice optional_river_surface")  # fmt: skip
        n = ocean.grid.shape[0] - 1
        gradient = ocean.record.model.parameters.tracer_gradient
        y = ocean.grid.y_rho[:-1, :-1]
        at_points = gradient * (axes.rows - n / 2) * SPACING
        for record, day in enumerate(days):
            temp = ocean.surface(int(day), {"temp"}).temp
            assert temp is not None
            top = temp[-1, :-1, :-1].astype(np.float64)
            # the mean gradient is not periodic: smoothing is of the field without the gradient
            anomaly = resolved(top - gradient * y, SST_KM) + SST_NOISE * noise(n, SST_KM, [self.seed, 12, int(day)])
            sst[record] = axes.sample(anomaly, 3) + at_points + 273.15
            error[record] = np.full(axes.rows.shape, SST_NOISE)
            mask[record] = np.ones(axes.rows.shape, np.int8)
            tick(record + 1)


class _Chl:
    """CMEMS ocean colour, 4 km: times 1 + lognormal noise of each pixel, latitudes from north to south, -999 under cloud."""

    def __init__(self, chlorophyll: Chlorophyll, seed: int, cloud: bool, truth: bool):
        self.chlorophyll, self.seed, self.cloud, self.truth = chlorophyll, seed, cloud, truth

    def __call__(self, file, days, tick) -> None:
        ocean, values = self.chlorophyll.ocean, self.chlorophyll.values
        axes = _Axes.around(ocean, CHL_STEP)
        dims = ("time", "lat", "lon")
        _layout(file, "Twin ocean: chlorophyll as CMEMS ocean colour", ocean.times[days], ("lat", axes.lat[::-1]),
                ("lon", axes.lon), "days since 1900-01-01")  # fmt: skip
        unit = {"units": "milligram m-3", "standard_name": "mass_concentration_of_chlorophyll_a_in_sea_water"}
        chl = _variable(file, "CHL", "f4", dims, -999.0, **unit)
        true = (
            _variable(file, "chl_truth", "f4", dims, -999.0, **unit, long_name="CHL without noise and cloud")
            if self.truth
            else None
        )
        weather = cloudiness(values.shape[1], self.seed)
        for _ in range(days[0] if self.cloud else 0):
            next(weather)
        for record, day in enumerate(days):
            field = axes.sample(values[day].astype(np.float64), 1)
            if true is not None:
                true[record] = _rounded(field)[::-1]
            field *= np.exp(CHL_NOISE * np.random.default_rng([self.seed, 14, int(day)]).standard_normal(field.shape))
            hidden = np.zeros(field.shape, bool)
            if self.cloud:
                hidden = axes.sample(next(weather), 1) > cloud_threshold(day_of_year(ocean.times[day]))
            chl[record] = np.ma.masked_where(hidden, _rounded(field))[::-1]
            tick(record + 1)


def _rounded(values: np.ndarray) -> np.ndarray:
    """float32 to about 1e-3 of each value, which compresses to half."""
    bits = np.asarray(values, np.float32).view(np.uint32)
    return ((bits + np.uint32(1 << 12)) & np.uint32(0xFFFFE000)).view(np.float32)
