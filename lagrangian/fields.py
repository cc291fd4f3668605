"""fields.zarr: the regional snapshots that the networks' inputs are cut from, stored once for all experiments of a run."""

from __future__ import annotations

from functools import cached_property, partial
from pathlib import Path

import numpy as np
import xarray as xr
import zarr

from data.chunks import add_array, open_checked
from data.compiled import njit
from data.errors import StoreError
from data.frame import HALF_WINDOW_KM, Frame, Regridder
from data.grid import HorizontalGrid
from data.ocean import Ocean, Snapshot
from data.ocean_names import ocean_title, site_attribute, with_source
from data.resumable import OLDER_ARRAY, ResumableStore, partial_path
from data.times import SECONDS_ATTRS, nearest, whole_seconds
from lagrangian.config import LAGS_DAYS
from lagrangian.experiments import PlacedDesign
from lagrangian.stores import ocean_of

#: Depths of the network inputs, m (method.md section 3, 5v-4l).
FIELD_DEPTHS = (0.0, 750.0, 1500.0, 2250.0)
LAYERED = {
    "temp": ("degree_Celsius", "potential temperature"),
    "u": ("m s-1", "eastward velocity"),
    "v": ("m s-1", "northward velocity"),
    "vorticity_over_f": ("1", "relative vorticity over the Coriolis parameter"),
}


def run_frame(grid: HorizontalGrid, center: tuple[float, float], extent_km: float, spacing_km: float | None = None) -> Frame:
    """The lattice of a run's fields: all windows of +-400 km about traps up to ``extent_km`` from the centre fit in.

    The default spacing is 8 km where the ocean's own is 6 km or more, 4 km from 3 km, else 2 km: never coarser than the
    networks' 8 km cells, and 2 km is where the paper's 18 km offsets fall on the lattice, so that windows are plain means.
    """
    if spacing_km is None:
        spacing_km = 8.0 if grid.spacing_km >= 6 else 4.0 if grid.spacing_km >= 3 else 2.0
    return Frame.around(center, HALF_WINDOW_KM + extent_km, spacing_km)


@njit(nogil=True)
def _at_depths(field, z, aside, depths, rows, out):
    """Columns (s, j, i) to depths (m, positive down), linear, in the rows that are wanted; NaN below the lowest centre.

    Column (j, i) has heights that are means of ``z`` there and at (j + aside[0], i + aside[1]). The uppermost value above the
    uppermost centre, and at depth 0 even where a raised sea lifts that centre above z = 0.
    """
    n, ny, nx = field.shape
    down, right = aside
    # row by row: the columns of a row stay in the cache while all depths are found, each from where the one before was
    height = np.empty((n, nx))
    below = np.empty(nx, np.int64)
    for j in range(ny):
        if not rows[j]:
            continue
        for k in range(n):
            for i in range(nx):
                height[k, i] = 0.5 * (z[k, j, i] + z[k, j + down, i + right])
        below[:] = n - 2
        for m in range(depths.size):
            wanted = -depths[m]
            for i in range(nx):
                if depths[m] <= 0.0 or wanted >= height[n - 1, i]:
                    out[m, j, i] = field[n - 1, j, i]
                    continue
                if wanted < height[0, i]:
                    out[m, j, i] = np.nan
                    continue
                low = below[i]
                while low > 0 and height[low, i] > wanted:
                    low -= 1
                while low < n - 2 and height[low + 1, i] <= wanted:
                    low += 1
                below[i] = low
                f = (wanted - height[low, i]) / (height[low + 1, i] - height[low, i])
                out[m, j, i] = (1.0 - f) * field[low, j, i] + f * field[low + 1, j, i]


def at_depths(field: np.ndarray, z: np.ndarray, depths, *, aside: tuple[int, int] = (0, 0), rows=None) -> np.ndarray:
    """Linear interpolation of (s, eta, xi) at heights z (m) to depths: (depth, eta, xi) float64.

    ``aside``: (1, 0) for v points, (0, 1) for u points, whose heights are means of those of two rho points. ``rows``: (eta,)
    bool, those that are wanted (default: all); others are NaN.
    """
    depths = np.asarray(depths, dtype=np.float64)
    rows = np.ones(field.shape[1], bool) if rows is None else rows
    out = np.empty((depths.size, *field.shape[1:]))
    out[:, ~rows] = np.nan
    _at_depths(np.ascontiguousarray(field, np.float32 if field.dtype == np.float32 else np.float64), z, aside, depths, rows, out)
    return out


@njit(nogil=True)
def _beside(row, wrap, out):
    """Values (n - 1,) between n points, with one more at either end: that of the periodic image, or NaN."""
    n = row.size
    out[1 : n + 1] = row
    out[0], out[n + 1] = (row[n - 1], row[0]) if wrap else (np.nan, np.nan)


@njit(nogil=True)
def _to_centres(u, v, pm, pn, rotation, coriolis, sea, h, depths, periodic, staggered, rows, east, north, vorticity):
    """Velocities on faces (depth, j, i) to what :func:`horizontal_velocity` gives, in the rows that are wanted.

    Where u and v are not ``staggered``, ``east`` and ``north`` hold the velocities along xi and eta at rho points beforehand.
    """
    n, ny, nx = east.shape
    wrap_xi, wrap_eta = periodic
    cosine, sine = rotation
    curl = np.empty((ny - 1, nx - 1))
    between = np.empty(nx - 1)
    faces, corners = np.empty(nx + 1), np.empty(nx + 1)
    needed = np.zeros(ny - 1, np.bool_)
    for j in range(ny):
        if rows[j]:
            low, high = (j - 1, j) if 0 < j < ny - 1 else (0, ny - 2)
            needed[low] = needed[high] = True
    for m in range(n):
        for j in range(ny - 1):
            if not needed[j]:
                continue
            for i in range(nx - 1):
                area = 0.25 * (pm[j + 1, i + 1] + pm[j + 1, i] + pm[j, i + 1] + pm[j, i])
                area = area * 0.25 * (pn[j + 1, i + 1] + pn[j + 1, i] + pn[j, i + 1] + pn[j, i])
                v_wide = v[m, j, i + 1] * 2 / (pn[j + 1, i + 1] + pn[j, i + 1]) - v[m, j, i] * 2 / (pn[j + 1, i] + pn[j, i])
                u_wide = u[m, j + 1, i] * 2 / (pm[j + 1, i + 1] + pm[j + 1, i]) - u[m, j, i] * 2 / (pm[j, i + 1] + pm[j, i])
                curl[j, i] = area * (v_wide - u_wide)
        for j in range(ny):
            if not rows[j]:
                continue
            low, high = (j - 1, j) if 0 < j < ny - 1 else (0, ny - 2)
            inside = wrap_eta or 0 < j < ny - 1
            for i in range(nx - 1):
                between[i] = 0.5 * (curl[high, i] + curl[low, i]) if inside else np.nan
            _beside(between, wrap_xi, corners)
            if staggered:
                _beside(u[m, j], wrap_xi, faces)
                for i in range(nx):
                    east[m, j, i] = 0.5 * (faces[i + 1] + faces[i])
                    north[m, j, i] = 0.5 * (v[m, high, i] + v[m, low, i]) if inside else np.nan
            for i in range(nx):
                along, across, f = east[m, j, i], north[m, j, i], coriolis[j, i]
                spin = 0.5 * (corners[i + 1] + corners[i]) / f if f != 0 else np.nan
                missing = depths[m] > h[j, i] or not sea[j, i]
                east[m, j, i] = np.nan if missing else along * cosine[j, i] - across * sine[j, i]
                north[m, j, i] = np.nan if missing else along * sine[j, i] + across * cosine[j, i]
                vorticity[m, j, i] = np.nan if missing else spin


def horizontal_velocity(ocean: Ocean, snapshot: Snapshot, depths, rows=None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Eastward and northward velocity and vorticity over f at depths, at rho points.

    u and v are taken to the depth at their own points. Vorticity (v_xi - u_eta with metrics, at psi points) and velocities are
    means of the surrounding points; NaN on land, below the sea floor and at rho points on a non-periodic edge. ``rows``: (eta,)
    bool, those that are wanted (default: all); others hold anything.

    Returns
    -------
    (east, north, vorticity_over_f), each (depth, eta, xi) float64
    """
    grid, sea = ocean.grid, ocean.grid.mask_rho
    h, pm, pn = grid.land_filled
    depths = np.asarray(depths, dtype=np.float64)
    rows = np.ones(grid.shape[0], bool) if rows is None else rows
    beside = _with_neighbours(rows, grid.periodic[1])
    z = np.empty((ocean.vertical.n, *grid.shape))
    z[:, beside] = ocean.vertical.z_rho(h[beside], snapshot.zeta[beside])
    east, north, vorticity = (np.empty((depths.size, *grid.shape)) for _ in range(3))
    if grid.stagger == "A":
        east, north = (at_depths(field, z, depths, rows=beside) for field in (snapshot.u, snapshot.v))
        u, v = 0.5 * (east[:, :, 1:] + east[:, :, :-1]), 0.5 * (north[:, 1:] + north[:, :-1])
    else:
        u = at_depths(snapshot.u, z, depths, aside=(0, 1), rows=beside)
        v = at_depths(snapshot.v, z, depths, aside=(1, 0), rows=beside[:-1] & beside[1:])
    if not sea.all():
        u[:, ~(sea[:, 1:] & sea[:, :-1])] = 0.0
        v[:, ~(sea[1:] & sea[:-1])] = 0.0
    known = pm, pn, grid.rotation, grid.coriolis, sea, h, depths, grid.periodic, grid.stagger == "C"
    _to_centres(u, v, *known, rows, east, north, vorticity)
    return east, north, vorticity


def _with_neighbours(rows: np.ndarray, periodic: bool) -> np.ndarray:
    """(eta,) bool: rows and those beside them; of a periodic axis the first and the last row are images of each other."""
    out = rows.copy()
    out[1:] |= rows[:-1]
    out[:-1] |= rows[1:]
    if periodic and (rows[0] or rows[-1]):
        out[[0, 1, -2, -1]] = True
    return out


def _below_floor(h: np.ndarray, depths) -> np.ndarray:
    """(depth, eta, xi) bool: where depths lie below the sea floor, which the levels of a z-grid pass through."""
    return np.asarray(depths, dtype=np.float64)[:, None, None] > h


def snapshot_fields(ocean: Ocean, snapshot: Snapshot, depths=FIELD_DEPTHS) -> dict[str, np.ndarray]:
    """The five variables of the networks at rho points: temp (where the ocean has it), u, v, vorticity_over_f and ssh.

    (depth, eta, xi), ssh (eta, xi); NaN where missing.
    """
    grid = ocean.grid
    east, north, vorticity = horizontal_velocity(ocean, snapshot, depths)
    out = {"u": east, "v": north, "vorticity_over_f": vorticity}
    out["ssh"] = np.where(grid.mask_rho, snapshot.zeta, np.nan)
    if snapshot.temp is not None:
        h = grid.land_filled.h
        out["temp"] = at_depths(snapshot.temp, ocean.vertical.z_rho(h, snapshot.zeta), depths)
        out["temp"][:, ~grid.mask_rho] = np.nan
        out["temp"][_below_floor(h, depths)] = np.nan
    return out


class FieldsWriter:
    """Fills fields.zarr, a snapshot (a chunk of every variable) at a time; an unfinished store is gone on with.

    Parameters
    ----------
    path : Path
        The store's path once the store is whole.
    create : bool
        Whether to lay out an absent store (False in a worker).
    identity : dict, optional
        Identity of the run that the fields belong to.

    Attributes
    ----------
    store : ResumableStore
    """

    def __init__(
        self, path: Path, ocean: Ocean, frame: Frame, times: np.ndarray, *, site: str, depths=FIELD_DEPTHS,
        create: bool = True, identity: dict | None = None,
    ):  # fmt: skip
        self.path, self.ocean, self.frame, self.depths = Path(path), ocean, frame, tuple(depths)
        self.times, self.site = times, site
        layered = [name for name in LAYERED if name != "temp" or "temp" in ocean.variables]
        filled = ("ssh", *layered, OLDER_ARRAY)  # last the array that marks finished times in stores of earlier versions
        self.store = ResumableStore(
            self.path, filled, len(times), lay_out=self._lay_out if create else None, identity=identity, parts="snapshots"
        )

    @cached_property
    def _regrid(self) -> Regridder:
        return Regridder(self.ocean.grid, self.frame)

    @property
    def written(self) -> np.ndarray:
        """(time,) bool: whether the fields of each time are in the store."""
        return np.isin(np.arange(self.store.n_parts), list(self.store.done))

    def _lay_out(self, path: Path) -> None:
        group = zarr.create_group(store=str(path), zarr_format=3, overwrite=True)
        has_temp = "temp" in self.ocean.variables
        source = ocean_title(self.ocean.description)
        group.attrs.update(
            {
                "title": "Regional fields for the inputs of catchment networks",
                "Conventions": "CF-1.8",
                "site": site_attribute(source, self.site),
                "source": source,
                "frame_center": list(self.frame.center),
                "frame_spacing_km": self.frame.spacing_km,
                "temperature": "yes" if has_temp else "none: the ocean holds no temp",
            }
        )
        array = partial(add_array, group)

        n_t, n_d, (ny, nx) = len(self.times), len(self.depths), self.frame.shape
        for name, (units, title) in LAYERED.items():
            if name != "temp" or has_temp:
                array(name, (n_t, n_d, ny, nx), (1, n_d, ny, nx), "float32", ("time", "depth", "y", "x"),
                      {"units": units, "long_name": title, "coordinates": "lon lat"}, fill=np.nan)  # fmt: skip
        array("ssh", (n_t, ny, nx), (1, ny, nx), "float32", ("time", "y", "x"),
              {"units": "m", "long_name": "sea surface height", "coordinates": "lon lat"}, fill=np.nan)  # fmt: skip
        attrs = {**SECONDS_ATTRS, "standard_name": "time"}
        array("time", (n_t,), (n_t,), "int64", ("time",), attrs, data=whole_seconds(self.times))
        array("depth", (n_d,), (n_d,), "float64", ("depth",), {"units": "m", "positive": "down"}, data=np.array(self.depths))
        for name, values, way in (("x", self.frame.x, "east"), ("y", self.frame.y, "north")):
            attrs = {"units": "km", "long_name": f"distance {way} of the site"}
            array(name, values.shape, values.shape, "float64", (name,), attrs, data=values)
        x, y = self.frame.positions(self.ocean.grid)
        degrees = self.ocean.grid.degrees
        for name, values, units in (("lon", x, "degrees_east"), ("lat", y, "degrees_north")):
            array(name, (ny, nx), (ny, nx), "float64", ("y", "x"), {"units": units if degrees else "m"}, data=values)
        sea_floor = self._regrid(np.where(self.ocean.grid.mask_rho, self.ocean.grid.h, np.nan))
        array("h", (ny, nx), (ny, nx), "float32", ("y", "x"),
              {"units": "m", "positive": "down", "long_name": "depth of the ocean's sea floor"}, sea_floor, np.nan)  # fmt: skip
        array(OLDER_ARRAY, (n_t,), (1,), "uint8", ("time",), {"long_name": "1 where the time is in"}, fill=0)

    def write(self, number: int, fields: dict[str, np.ndarray]) -> None:
        """Regrid the fields of one snapshot (:func:`snapshot_fields`) and put them in as time ``number``."""
        values = {"ssh": self._regrid(fields["ssh"])[None], OLDER_ARRAY: np.ones(1, np.uint8)}
        for name in LAYERED:
            if name in self.store.filled:
                values[name] = np.stack([self._regrid(level) for level in fields[name]])[None]
        self.store.put(number, **values)

    def close(self) -> None:
        """Check the store and give it its name once all its times are in (whoever put them there).

        Raises
        ------
        StoreError
            A chunk is damaged or missing (its time counts as not written), or the disk cannot be written.
        """
        self.store.close()


class FieldsPlan:
    """The plan of fields.zarr: which snapshots it takes, and how they are written.

    ``todo`` maps snapshot index to index in the store, for those not yet in. With ``check``, a finished store is looked through
    and what is damaged of it is to be made again (not in a worker). ``identity`` of the run, where it is to be looked at.
    ``spacing_km`` of the store, where the ocean's own is not to decide.
    """

    def __init__(
        self,
        out: Path,
        ocean: Ocean,
        design: PlacedDesign,
        *,
        spacing_km: float | None = None,
        check: bool = False,
        identity: dict | None = None,
    ):
        self.ocean = ocean
        self.path = Path(out) / "fields.zarr"
        self.writer: FieldsWriter | None = None
        self.todo: dict[int, int] = {}
        if not check and (self.path.exists() or not partial_path(Path(out), self.path.name).exists()):
            return  # the store is whole, or not laid out: no worker gets any of its snapshots
        times = ocean.times.astype("datetime64[s]")
        wanted = {self._nearest(times, end - np.timedelta64(86400 * lag, "s"))
                  for end in design.starts + design.collection for lag in LAGS_DAYS}  # fmt: skip
        indices = sorted(index for index in wanted if index is not None)
        extent = float(np.abs(design.trap_offset_km).max())
        frame = run_frame(ocean.grid, (design.site.x, design.site.y), extent, spacing_km=spacing_km)
        self.writer = FieldsWriter(
            self.path, ocean, frame, ocean.times[indices], site=design.site.name, create=check, identity=identity
        )
        store = self.writer.store
        if store.damaged:
            print(f"note: {store.told(store.damaged)} and are made again", flush=True)
        missing = set(store.missing())
        self.todo = {index: number for number, index in enumerate(indices) if number in missing}

    @staticmethod
    def _nearest(times: np.ndarray, target: np.datetime64) -> int | None:
        """Index of the snapshot nearest ``target``; None where the record does not reach there."""
        if len(times) < 2:
            return 0
        interval = np.median(np.diff(times).astype(np.int64))
        index = int(nearest(times, target))
        return index if abs(int((times[index] - target).astype(np.int64))) <= interval else None

    def write(self, number: int, snapshot) -> None:
        """Put one snapshot in (called by the reading thread)."""
        assert self.writer is not None  # else no snapshot is to be written
        self.writer.write(number, snapshot_fields(self.ocean, snapshot))

    def close(self) -> None:
        """Check and name the store; StoreError if the store is damaged or lacks times."""
        if self.writer is not None and not self.writer.store.close():
            store = self.writer.store
            raise StoreError(f"{store.where}: {len(store.missing())} snapshots are missing; give the same command again")


def open_fields(path: Path) -> xr.Dataset:
    """Open a finished fields.zarr lazily; StoreError if the store is absent or lacks a variable."""
    path = Path(path)
    if not path.exists():
        raise StoreError(f"{path} does not exist; run python -m lagrangian.run first")
    dataset = open_checked(path, "fields", ("u", "v", "vorticity_over_f", "ssh", "time", "depth", "x", "y"))
    dataset.attrs = with_source(dataset.attrs, ocean_of(path.parent))
    return dataset
