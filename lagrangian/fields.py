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
def _at_depths(field, z, depths, out):
    """Columns (s, j, i) at heights z to depths (m, positive down), linear; NaN below the lowest centre.

    The uppermost value above the uppermost centre, and at depth 0 even where a raised sea lifts that centre above z = 0.
    """
    n, ny, nx = field.shape
    # row by row: the columns of a row stay in the cache while all depths are found, each from where the one before was
    below = np.empty(nx, np.int64)
    for j in range(ny):
        below[:] = n - 2
        for m in range(depths.size):
            height = -depths[m]
            for i in range(nx):
                if depths[m] <= 0.0 or height >= z[n - 1, j, i]:
                    out[m, j, i] = field[n - 1, j, i]
                    continue
                if height < z[0, j, i]:
                    out[m, j, i] = np.nan
                    continue
                low = below[i]
                while low > 0 and z[low, j, i] > height:
                    low -= 1
                while low < n - 2 and z[low + 1, j, i] <= height:
                    low += 1
                below[i] = low
                f = (height - z[low, j, i]) / (z[low + 1, j, i] - z[low, j, i])
                out[m, j, i] = (1.0 - f) * field[low, j, i] + f * field[low + 1, j, i]


def at_depths(field: np.ndarray, z: np.ndarray, depths) -> np.ndarray:
    """Linear interpolation of (s, eta, xi) at heights z (same shape, m) to depths: (depth, eta, xi) float64."""
    depths = np.asarray(depths, dtype=np.float64)
    out = np.empty((depths.size, *field.shape[1:]))
    _at_depths(np.asarray(field, np.float64), z, depths, out)
    return out


def horizontal_velocity(ocean: Ocean, snapshot: Snapshot, depths) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Eastward and northward velocity and vorticity over f at depths, at rho points.

    u and v are taken to the depth at their own points. Vorticity (v_xi - u_eta with metrics, at psi points) and velocities are
    means of the surrounding points; NaN on land, below the sea floor and at rho points on a non-periodic edge.

    Returns
    -------
    (east, north, vorticity_over_f), each (depth, eta, xi) float64
    """
    grid, s = ocean.grid, ocean.vertical
    sea = grid.mask_rho
    h, pm, pn = grid.land_filled
    z = s.z_rho(h, snapshot.zeta)
    on_a_grid = grid.stagger == "A"
    if on_a_grid:
        u_rho, v_rho = (at_depths(field, z, depths) for field in (snapshot.u, snapshot.v))
        u, v = 0.5 * (u_rho[:, :, 1:] + u_rho[:, :, :-1]), 0.5 * (v_rho[:, 1:] + v_rho[:, :-1])
    else:
        u = at_depths(snapshot.u, 0.5 * (z[:, :, 1:] + z[:, :, :-1]), depths)
        v = at_depths(snapshot.v, 0.5 * (z[:, 1:] + z[:, :-1]), depths)
    u[:, ~(sea[:, 1:] & sea[:, :-1])] = 0.0
    v[:, ~(sea[1:] & sea[:-1])] = 0.0
    u_wide = u * 2 / (pm[:, 1:] + pm[:, :-1])
    v_wide = v * 2 / (pn[1:] + pn[:-1])
    area = 0.25 * (pm[1:, 1:] + pm[1:, :-1] + pm[:-1, 1:] + pm[:-1, :-1])
    area = area * 0.25 * (pn[1:, 1:] + pn[1:, :-1] + pn[:-1, 1:] + pn[:-1, :-1])
    vorticity = area * (np.diff(v_wide, axis=2) - np.diff(u_wide, axis=1))
    wrap_xi, wrap_eta = grid.periodic
    if not on_a_grid:
        u_rho = _faces_to_centres(u, 2, wrap_xi)
        v_rho = _faces_to_centres(v, 1, wrap_eta)
    vorticity = _faces_to_centres(_faces_to_centres(vorticity, 1, wrap_eta), 2, wrap_xi)
    cosine, sine = np.cos(grid.angle), np.sin(grid.angle)
    east, north = u_rho * cosine - v_rho * sine, u_rho * sine + v_rho * cosine
    with np.errstate(divide="ignore", invalid="ignore"):
        vorticity = np.where(grid.coriolis != 0, vorticity / grid.coriolis, np.nan)
    missing = _below_floor(h, depths) | ~sea
    for field in (east, north, vorticity) if missing.any() else ():
        field[missing] = np.nan
    return east, north, vorticity


def _below_floor(h: np.ndarray, depths) -> np.ndarray:
    """(depth, eta, xi) bool: where depths lie below the sea floor, which the levels of a z-grid pass through."""
    return np.asarray(depths, dtype=np.float64)[:, None, None] > h


def _faces_to_centres(field: np.ndarray, axis: int, wrap: bool) -> np.ndarray:
    """Mean of two neighbours, n - 1 to n points; the ends are NaN, or wrapped where the last point is the image of the first."""
    field = np.moveaxis(field, axis, -1)
    centres = np.empty((*field.shape[:-1], field.shape[-1] + 1), field.dtype)
    centres[..., 1:-1] = 0.5 * (field[..., 1:] + field[..., :-1])
    centres[..., [0, -1]] = 0.5 * (field[..., :1] + field[..., -1:]) if wrap else np.nan
    return np.moveaxis(centres, -1, axis)


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
        indices = sorted({self._nearest(times, end - np.timedelta64(86400 * lag, "s"))
                          for end in design.starts + design.collection for lag in LAGS_DAYS} - {None})  # fmt: skip
        extent = float(np.abs(design.trap_offset_km).max())
        frame = run_frame(ocean.grid, (design.site.x, design.site.y), extent, spacing_km=spacing_km)
        options = {"site": design.site.name, "create": check, "identity": identity}
        self.writer = FieldsWriter(self.path, ocean, frame, ocean.times[indices], **options)
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
