"""The twin ocean as files of a simulation: CROCO's, NEMO's, and on longitudes, latitudes and depths as GLORYS comes.

One ocean in three families: whatever reads them must find the same catchments. CROCO- and NEMO-like files hold the velocities of
the twin's own C-grid; the GLORYS-like ones are interpolated to an A-grid of 1/12 degree and turned to east and north, by cubic
polynomials through four points along each axis.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import netCDF4
import numpy as np
from scipy import sparse

from data.ocean_names import twin_title
from data.spherical_defaults import rotation
from data.twin.defaults import SPACING
from data.twin.ocean import DEPTH, TwinOcean
from data.twin.record import VERSION
from data.zlevel.levels import GLORYS_DEPTHS, interface_depths

#: Points per degree of the GLORYS-like files, and the fill value on their dry points.
PARTS, FILL = 12, 9.96921e36
LEVELS = np.array(GLORYS_DEPTHS)
WORDS = {
    "uo": ("eastward_sea_water_velocity", "m s-1"),
    "vo": ("northward_sea_water_velocity", "m s-1"),
    "thetao": ("sea_water_potential_temperature", "degrees_C"),
    "zos": ("sea_surface_height_above_geoid", "m"),
}


def marks(ocean: TwinOcean) -> dict[str, int]:
    """Attributes that tell a twin ocean from others."""
    return {"ocean_seed": ocean.record.seed, "ocean_version": VERSION}


def rho_points(ocean: TwinOcean) -> tuple[np.ndarray, np.ndarray]:
    """Longitude and latitude (eta, xi) of the twin's rho points, degrees."""
    ny, nx = ocean.grid.shape
    return ocean.grid.position(*np.meshgrid(np.arange(nx), np.arange(ny)))


def _begun(file: netCDF4.Dataset, ocean: TwinOcean) -> None:
    file.title = f"{twin_title(ocean.record.seed).capitalize()} (quasi-geostrophic)"
    file.setncatts(marks(ocean))


def write_croco(path: Path, ocean: TwinOcean, days: range) -> None:
    """A history file of some days on the twin's own C-grid and s-levels."""
    grid, s = ocean.grid, ocean.vertical
    ny, nx = grid.shape
    lon, lat = grid.position(*np.meshgrid(np.arange(nx), np.arange(ny)))
    with netCDF4.Dataset(path, "w") as file:
        file.title = f"{twin_title(ocean.record.seed).capitalize()} (quasi-geostrophic)"
        file.VertCoordType = "NEW"
        file.setncatts(marks(ocean))
        for name, size in (("time", None), ("s_rho", s.n), ("s_w", s.n + 1), ("eta_rho", ny), ("xi_rho", nx), ("eta_v", ny - 1),
                           ("xi_u", nx - 1)):  # fmt: skip
            file.createDimension(name, size)

        def put(name, dims, values, dtype="f8", **attributes):
            variable = file.createVariable(name, dtype, dims)
            variable.setncatts(attributes)
            variable[...] = values

        rho = ("eta_rho", "xi_rho")
        put("spherical", (), np.array("T", "S1"), "S1")
        put("Vtransform", (), 2.0)
        put("hc", (), s.hc, units="meter")
        for name, dims, values in (("sc_r", "s_rho", s.s_rho), ("Cs_r", "s_rho", s.cs_rho), ("sc_w", "s_w", s.s_w),
                                   ("Cs_w", "s_w", s.cs_w)):  # fmt: skip
            put(name, (dims,), values)
        put("h", rho, grid.h, units="meter")
        put("f", rho, grid.coriolis, units="second-1")
        put("pm", rho, grid.pm, units="meter-1")
        put("pn", rho, grid.pn, units="meter-1")
        put("angle", rho, rotation(lon, lat, True), units="radians")
        put("mask_rho", rho, grid.mask_rho.astype("f8"))
        put("lon_rho", rho, lon, units="degree_east")
        put("lat_rho", rho, lat, units="degree_north")
        time = file.createVariable("time", "f8", ("time",))
        time.units = "seconds since 2000-01-01"
        stored = {}
        places: dict[str, tuple[tuple[str, ...], str]] = {
            "zeta": (rho, "meter"),
            "u": (("s_rho", "eta_rho", "xi_u"), "meter second-1"),
            "v": (("s_rho", "eta_v", "xi_rho"), "meter second-1"),
            "temp": (("s_rho", *rho), "Celsius"),
        }
        for name, (points, units) in places.items():
            sizes = [len(file.dimensions[d]) for d in points]
            stored[name] = file.createVariable(
                name, "f4", ("time", *points), zlib=True, complevel=1, shuffle=True, chunksizes=(1, *sizes)
            )
            stored[name].units = units
        for record, day in enumerate(days):
            snapshot = ocean.snapshot(day, {"temp"})
            time[record] = (ocean.times[day] - np.datetime64("2000-01-01")) / np.timedelta64(1, "s")
            for name, variable in stored.items():
                variable[record] = getattr(snapshot, name)


# -- longitudes, latitudes, depths ---------------------------------------------------------------------------------------
class LonLat:
    """The A-grid of the GLORYS-like files, and values of a twin there.

    Attributes
    ----------
    lon, lat : (x,), (y,) float64
        Degrees, multiples of 1/12, within the domain's widest rows.
    angle : (y, x) float64
        Angle from east to the twin's x axis there, radians.
    """

    def __init__(self, ocean: TwinOcean):
        self.ocean = ocean
        lon, lat = rho_points(ocean)
        middle = lon.shape[0] // 2
        inside = lambda low, high: np.arange(np.ceil(low * PARTS), np.floor(high * PARTS) + 1) / PARTS
        self.lon, self.lat = inside(lon[middle, 0], lon[middle, -1]), inside(lat[0, middle], lat[-1, middle])
        x, y = np.meshgrid(self.lon, self.lat)
        self.angle = _angle(ocean, x, y)
        column, row = ocean.grid.locate(x, y)
        n = ocean.grid.shape[1] - 1
        # one period: the last point is the image of the first; u and v points half a cell on
        self._at = {"rho": _cubic(row, column, n), "u": _cubic(row, column - 0.5, n), "v": _cubic(row - 0.5, column, n)}

    def values(self, field: np.ndarray, points: str) -> np.ndarray:
        """A field (..., n, n) of one period at points "rho", "u" or "v" as (..., y, x)."""
        flat = np.ascontiguousarray(field.reshape(-1, field.shape[-1] * field.shape[-2]).T)
        return (self._at[points] @ flat).T.reshape(*field.shape[:-2], self.lat.size, self.lon.size)

    def day(self, index: int) -> dict[str, np.ndarray]:
        """The variables of a day (depth, y, x), zos (y, x); dry below the sea floor."""
        snapshot = self.ocean.at_depths(index, LEVELS)
        assert snapshot.temp is not None
        n = snapshot.zeta.shape[1] - 1
        u, v = self.values(snapshot.u[:, :n, :n], "u"), self.values(snapshot.v[:, :n, :n], "v")
        cosine, sine = np.cos(self.angle), np.sin(self.angle)
        out = {"uo": u * cosine - v * sine, "vo": u * sine + v * cosine, "thetao": self.values(snapshot.temp[:, :n, :n], "rho")}
        for field in out.values():
            field[LEVELS > DEPTH] = FILL
        return {**out, "zos": self.values(snapshot.zeta[:n, :n], "rho")}

    def write(self, path: Path, stem: str, days: range) -> None:
        """A file of some days, or without ``stem`` the static file."""
        with netCDF4.Dataset(path, "w") as file:
            _begun(file, self.ocean)
            axes = {"depth": (LEVELS, "m"), "latitude": (self.lat, "degrees_north"), "longitude": (self.lon, "degrees_east")}
            for name, (values, unit) in axes.items():
                file.createDimension(name, len(values))
                variable = file.createVariable(name, "f4", (name,))
                variable.units, variable.standard_name = unit, name
                variable[:] = values
            file["depth"].positive = "down"
            if not stem:
                floor = file.createVariable("deptho", "f4", ("latitude", "longitude"), fill_value=FILL)
                floor.units, floor.standard_name = "m", "sea_floor_depth_below_geoid"
                floor[:] = DEPTH
                return
            file.comment = "instantaneous fields at 00:00"
            _clock(file, "time", self.ocean.times[list(days)], "hours since 1950-01-01")
            stored = {}
            for name, (standard_name, unit) in WORDS.items():
                dimensions = ("time", *(() if name == "zos" else ("depth",)), "latitude", "longitude")
                stored[name] = _stored(file, name, dimensions, FILL)
                stored[name].standard_name, stored[name].units = standard_name, unit
            for record, day in enumerate(days):
                for name, field in self.day(day).items():
                    stored[name][record] = field


def _angle(ocean: TwinOcean, lon: np.ndarray, lat: np.ndarray, step: float = 1e-3) -> np.ndarray:
    """Angle from east to the twin's x axis at positions, radians: the plane's frame is turned against the local east."""
    column, row = ocean.grid.locate(lon, lat)
    before, after = (ocean.grid.position(column + way * step, row) for way in (-1, 1))
    return np.arctan2(after[1] - before[1], (after[0] - before[0]) * np.cos(np.deg2rad(lat)))


def _cubic(row: np.ndarray, column: np.ndarray, n: int) -> sparse.csr_array:
    """(points, n * n) weights of Lagrange's cubic polynomial through four points along each axis of a periodic (n, n) field."""

    def along(place):
        first = np.floor(place).astype(int)
        t = (place - first).ravel()
        outer, inner = t * (t - 1) / 6, (t + 1) * (t - 2) / 2
        weights = (-outer * (t - 2), inner * (t - 1), -inner * t, outer * (t + 1))
        return [(np.mod(first.ravel() + k - 1, n), weight) for k, weight in enumerate(weights)]

    points = np.arange(row.size)
    parts = [(points, j * n + i, a * b) for j, a in along(row) for i, b in along(column)]
    rows, columns, weights = (np.concatenate(part) for part in zip(*parts, strict=True))
    return sparse.csr_array((weights.astype(np.float32), (rows, columns)), shape=(row.size, n * n))


def _stored(file, name, dimensions, fill=None):
    sizes = [1 if k == 0 else len(file.dimensions[name]) for k, name in enumerate(dimensions)]
    return file.createVariable(name, "f4", dimensions, zlib=True, complevel=1, shuffle=True, chunksizes=sizes, fill_value=fill)


def _clock(file, name: str, times: np.ndarray, units: str) -> None:
    file.createDimension(name, None)
    clock = file.createVariable(name, "f8", (name,))
    clock.units, clock.calendar, clock.standard_name = units, "gregorian", "time"
    clock[:] = netCDF4.date2num(times.astype("datetime64[s]").astype(object), units)


# -- NEMO ----------------------------------------------------------------------------------------------------------------
NEMO_POINTS = {
    "twin_grid_T": ("deptht", {"thetao": "temp", "zos": "zeta"}),
    "twin_grid_U": ("depthu", {"uo": "u"}),
    "twin_grid_V": ("depthv", {"vo": "v"}),
}


class Nemo:
    """NEMO-like files of the twin's own C-grid on 50 levels, the lowest cell cut at the sea floor; 0 on land."""

    def __init__(self, ocean: TwinOcean):
        self.ocean = ocean
        self.lon, self.lat = rho_points(ocean)
        self.interfaces = interface_depths(LEVELS)
        self.thickness = np.clip(DEPTH - self.interfaces[:-1], 0.0, np.diff(self.interfaces))

    def write(self, path: Path, stem: str, days: range) -> None:
        """A file of U, V or T points, or without ``stem`` the mesh_mask."""
        ny, nx = self.lon.shape
        with netCDF4.Dataset(path, "w") as file:
            _begun(file, self.ocean)
            if not stem:
                self._mesh(file)
                return
            levels, quantities = NEMO_POINTS[stem]
            for name, size in ((levels, LEVELS.size), ("y", ny), ("x", nx)):
                file.createDimension(name, size)
            for name, values in (("nav_lon", self.lon), ("nav_lat", self.lat)):
                file.createVariable(name, "f4", ("y", "x"))[:] = values
            depth = file.createVariable(levels, "f4", (levels,))
            depth.units, depth.positive = "m", "down"
            depth[:] = LEVELS
            file.comment = "instantaneous fields"
            _clock(file, "time_counter", self.ocean.times[list(days)], "seconds since 1900-01-01 00:00:00")
            stored = {}
            for name in quantities:
                dimensions = ("time_counter", *(() if name == "zos" else (levels,)), "y", "x")
                stored[name] = _stored(file, name, dimensions)
                stored[name].units = WORDS[name][1]
            for record, day in enumerate(days):
                snapshot = self.ocean.at_depths(day, LEVELS, "thetao" in quantities)
                for name, quantity in quantities.items():
                    field = getattr(snapshot, quantity)
                    # faces beyond the last column and row are walls
                    beyond = [(0, 0)] * (field.ndim - 2) + [(0, ny - field.shape[-2]), (0, nx - field.shape[-1])]
                    field = np.pad(field, beyond)
                    if field.ndim == 3:
                        field[self.thickness == 0] = 0.0
                    stored[name][record] = field

    def _mesh(self, file) -> None:
        shape = self.lon.shape
        for name, size in (("t", 1), ("z", LEVELS.size), ("y", shape[0]), ("x", shape[1])):
            file.createDimension(name, size)
        level = lambda values: np.broadcast_to(values[:, None, None], (LEVELS.size, *shape))
        side = np.full(shape, SPACING)
        lengths = dict.fromkeys(("e1t", "e2t", "e1u", "e2u", "e1v", "e2v"), side)
        fields = {
            "glamt": self.lon, "gphit": self.lat, **lengths, "gdept_1d": LEVELS, "gdepw_1d": self.interfaces[:-1],
            "e3t_1d": np.diff(self.interfaces), "tmask": level((self.thickness > 0).astype("f8")),
            **{name: level(self.thickness) for name in ("e3t_0", "e3u_0", "e3v_0")},
        }  # fmt: skip
        for name, values in fields.items():
            dimensions = {1: ("t", "z"), 2: ("t", "y", "x"), 3: ("t", "z", "y", "x")}[values.ndim]
            file.createVariable(name, "f8", dimensions, zlib=True, complevel=1)[:] = values[None]


@dataclass(frozen=True)
class Family:
    """A family of files that the twin is written as: stems of the record files, static file, pattern, and writers."""

    stems: tuple[str, ...]
    static: str
    pattern: str
    writer: Callable[[TwinOcean], Callable]


FAMILIES = {
    "croco": Family(("croco_his",), "", "croco_his.*.nc", lambda ocean: lambda path, stem, days: write_croco(path, ocean, days)),
    "lonlat": Family(("twin_lonlat",), "twin_static.nc", "twin_lonlat.*.nc", lambda ocean: LonLat(ocean).write),
    "nemo": Family(tuple(NEMO_POINTS), "twin_mesh_mask.nc", "twin_grid_?.*.nc", lambda ocean: Nemo(ocean).write),
}
