"""The CROCO jet made into a GLORYS-like product (A-grid of 1/12 degree, 50 levels), and paths through both."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from data.croco import open_croco
from data.ocean import preferences_of
from data.sphere import east_north
from data.times import seconds
from evaluation.scores import bhattacharyya_loss
from lagrangian.binning import count_crossings, smooth_pdf
from lagrangian.fields import at_depths
from lagrangian.velocity import omega_by_continuity
from lagrangian.window import PreparedSnapshot, Window
from tests.builders.analytic import cloud, move
from tests.builders.zlevel_files import write_lonlat, write_static

JET = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "croco" / "jet"
#: The jet runs at more than twice the speed of the sea around the trap: velocities are brought to the paper's energy.
ENERGY = 0.43
CENTRE = (-20.3, 44.9)


def open_jet():
    """The CROCO jet."""
    return open_croco(str(JET / "croco_his.*.nc"), grid=str(JET / "croco_grd.nc"))


def _at_centres(field, axis):
    """Faces to rho points, the edges with the one face that they have."""
    first, last = np.take(field, [0], axis), np.take(field, [-1], axis)
    padded = np.concatenate([first, field, last], axis)
    n = padded.shape[axis]
    return 0.5 * (np.take(padded, range(n - 1), axis) + np.take(padded, range(1, n), axis))


class Product:
    """The points of a product of ``step`` degrees in the jet's domain, and its values there."""

    def __init__(self, ocean, depth, step=1 / 12):
        self.ocean, self.depth = ocean, np.asarray(depth)
        x, y = ocean.grid.x_rho, ocean.grid.y_rho
        parts = round(1 / step)
        self.lon = np.arange(np.ceil(x.min() * parts), np.floor(x.max() * parts) + 1) / parts
        self.lat = np.arange(np.ceil(y.min() * parts), np.floor(y.max() * parts) + 1) / parts
        self.at = ocean.grid.locate(*np.meshgrid(self.lon, self.lat))
        self.deptho = ocean.grid.sample(ocean.grid.h, *self.at)
        self.dry = self.depth[:, None, None] > self.deptho

    def values(self, index):
        """u, v, zeta of one snapshot, NaN below the sea floor."""
        snapshot, grid = self.ocean.snapshot(index), self.ocean.grid
        z = self.ocean.vertical.z_rho(grid.h, snapshot.zeta)
        out = {"zeta": grid.sample(snapshot.zeta, *self.at)}
        for name, axis in (("u", 2), ("v", 1)):
            field = _at_centres(getattr(snapshot, name), axis)
            # constant below the lowest centre
            layered = at_depths(np.concatenate([field[:1], field]), np.concatenate([z[:1] - 500.0, z]), self.depth)
            values = np.stack([grid.sample(level, *self.at) for level in np.nan_to_num(layered)])
            out[name] = np.where(self.dry, np.nan, values)
        return {name: (ENERGY * value).astype("f4") for name, value in out.items()}


def write_products(folder, indices, *, depth, daily=False, label_hour=12, packed=False, step=1 / 12, name="jet.nc", values=None):
    """(path of a product of the jet, path of its static file): 12-hourly instants, or daily means labelled at an hour.

    ``values``: those of the snapshots, where they are known (:meth:`Product.values`).
    """
    ocean = open_jet()
    product = Product(ocean, depth, step)
    days = values or [product.values(index) for index in indices]
    times = ocean.times[list(indices)]
    attributes = {"title": "Instantaneous fields"}
    if daily:  # of the instants at 0, 12 and 24 h
        starts = [k for k in range(0, len(indices) - 2) if times[k] == times[k].astype("datetime64[D]")]
        days = [{n: 0.25 * days[k][n] + 0.5 * days[k + 1][n] + 0.25 * days[k + 2][n] for n in days[k]} for k in starts]
        times = times[starts] + np.timedelta64(label_hour, "h")
        attributes = {"title": "daily mean fields", "source": "MERCATOR GLORYS12V1"}
    fields = {name: np.stack([record[name] for record in days]) for name in ("u", "v", "zeta")}
    path = write_lonlat(folder / name, product.lon, product.lat, depth, times, fields, packed=packed, attributes=attributes)
    return path, write_static(folder / f"static_{name}", product.lon, product.lat, product.deptho)


def prepared(ocean, index, vertical_velocity="continuity", energy=1.0):
    """A snapshot with its vertical velocity decided as a run would."""
    snapshot = ocean.snapshot(index)
    u, v, zeta = (np.float32(energy) * field for field in (snapshot.u, snapshot.v, snapshot.zeta))
    t = float(seconds(ocean.times[index]))
    if vertical_velocity == "none":
        return PreparedSnapshot(t, u, v, zeta, np.zeros((ocean.vertical.n + 1, *ocean.grid.shape), np.float32), False)
    return PreparedSnapshot(t, u, v, zeta, omega_by_continuity(u, v, zeta, ocean.grid, ocean.vertical))


def crossings(ocean, w, releases, *, level=200.0, side=16, spacing_km=8.0, energy=1.0, vertical_velocity=None, depth=3000.0):
    """Where particles from a square lattice about the centre cross a level, backward from each release: (release, p, 2) km.

    NaN where they do not.
    """
    if vertical_velocity is None:
        vertical_velocity = "none" if preferences_of(ocean).no_continuity else "continuity"
    offset = (np.arange(side) - (side - 1) / 2) * spacing_km
    east, north = (part.ravel() for part in np.meshgrid(offset, offset))
    xi, eta = ocean.grid.locate(*ocean.grid.offset(*CENTRE, east, north))
    times = seconds(ocean.times).astype(float)
    clouds = [cloud(xi, eta, -depth, w, time=float(seconds(release)), levels=1) for release in releases]
    last = int(np.searchsorted(times, max(cloud.time[0] for cloud in clouds)))
    window = Window(ocean.grid, ocean.vertical, dt=7200.0, levels=(level,))
    snapshot = lambda k: prepared(ocean, k, vertical_velocity, energy)
    window.load(snapshot(last), last % 2)
    for index in range(last - 1, -1, -1):
        window.load(snapshot(index), index % 2)
        for swarm in clouds:
            duration = np.minimum(times[index] - swarm.time, 0.0)
            if duration.any() and (swarm.status == -1).any():
                move(window, swarm, duration)
        if all((cloud.status != -1).all() for cloud in clouds):
            break
    out = []
    for swarm in clouds:
        x, y = ocean.grid.position(swarm.crossings[:, 0, 0], swarm.crossings[:, 0, 1])
        out.append(np.stack(east_north(x, y, *CENTRE), axis=-1))
    return np.array(out)


def median_distance(one, other) -> float:
    """Median distance, km, between the crossings of the same particles."""
    return float(np.nanmedian(np.hypot(*np.moveaxis(one - other, -1, 0))))


def distance_interval(one, other, draws: int = 500) -> tuple[float, float]:
    """95 % interval of the median distance, km, from whole releases drawn anew: particles of one release share their eddies."""
    away = np.hypot(*np.moveaxis(one - other, -1, 0))
    rng = np.random.default_rng(0)
    medians = [np.nanmedian(away[rng.integers(0, len(away), len(away))]) for _ in range(draws)]
    return tuple(float(value) for value in np.percentile(medians, (2.5, 97.5)))


def catchment_loss(one, other, side=16, spacing_km=8.0) -> float:
    """Mean over releases of the Bhattacharyya loss between smoothed catchments, displacements from where each particle began."""
    offset = (np.arange(side) - (side - 1) / 2) * spacing_km
    east, north = (part.ravel() for part in np.meshgrid(offset, offset))
    pdfs = []
    for crossed in (one, other):
        counts, reached = count_crossings((crossed[..., 0] - east)[..., None], (crossed[..., 1] - north)[..., None])
        pdfs.append(smooth_pdf(counts[:, 0] / reached[:, 0, None, None]))
    return float(np.mean(bhattacharyya_loss(*pdfs)))
