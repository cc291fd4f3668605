"""Builders of analytic oceans and particles for tests: velocities evaluated at their own staggered points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.grid import HorizontalGrid
from data.ocean import Snapshot
from data.sphere import EARTH_RADIUS_KM, lon_lat
from data.vertical import SCoordinate
from lagrangian.advection import ACTIVE
from lagrangian.velocity import omega_by_continuity
from lagrangian.window import PreparedSnapshot, Window

SHALLOW_TO_DEEP = SCoordinate.from_stretching(20, 6.0, 2.0, 250.0)
OLD_TRANSFORM = SCoordinate.from_stretching(20, 5.0, 0.4, 50.0, vtransform=1)


def plane(
    nx=24,
    ny=20,
    dx=8e3,
    dy=None,
    h=4000.0,
    *,
    mask=None,
    periodic=(False, False),
    center=None,
    angle=0.0,
    origin=(0.0, 0.0),
    stagger="C",
):
    """A Cartesian grid, x = dx * xi turned by ``angle`` (radians) about ``origin`` (m); h a number or function of (x, y)."""
    dy = dx if dy is None else dy
    xi, eta = np.meshgrid(np.arange(nx, dtype=float), np.arange(ny, dtype=float))
    along, across = (xi - (nx - 1) / 2) * dx, (eta - (ny - 1) / 2) * dy
    x = origin[0] + np.cos(angle) * along - np.sin(angle) * across
    y = origin[1] + np.sin(angle) * along + np.cos(angle) * across
    unity = np.ones((ny, nx))
    depth = h(x, y) if callable(h) else h * unity
    sea = unity > 0 if mask is None else mask
    return HorizontalGrid(depth, unity / dx, unity / dy, x, y, sea, unity * angle, unity * 1.1e-4, spherical=False,
                          periodic=periodic, center=center, stagger=stagger)  # fmt: skip


def sphere(nx=60, ny=50, dx=8e3, h=4000.0, lon0=-16.5, lat0=49.0, angle=0.0):
    """A spherical grid of nearly square cells around (lon0, lat0), turned by ``angle``; metrics from the map itself."""
    xi, eta = np.meshgrid(np.arange(nx, dtype=float), np.arange(ny, dtype=float))
    along, across = (xi - (nx - 1) / 2) * dx / 1e3, (eta - (ny - 1) / 2) * dx / 1e3

    def place(a, b):
        return lon_lat(np.cos(angle) * a - np.sin(angle) * b, np.sin(angle) * a + np.cos(angle) * b, lon0, lat0)

    lon, lat = place(along, across)
    step = 1e-3

    def length(da, db):
        (lon_a, lat_a), (lon_b, lat_b) = place(along - da, across - db), place(along + da, across + db)
        east = np.deg2rad(lon_b - lon_a) * np.cos(np.deg2rad(lat))
        north = np.deg2rad(lat_b - lat_a)
        return east, north

    east, north = length(step, 0)
    pm = 2 * step / (1e3 * EARTH_RADIUS_KM * np.hypot(east, north)) / (dx / 1e3)
    turn = np.arctan2(north, east)
    east, north = length(0, step)
    pn = 2 * step / (1e3 * EARTH_RADIUS_KM * np.hypot(east, north)) / (dx / 1e3)
    unity = np.ones((ny, nx))
    return HorizontalGrid(h * unity, pm, pn, lon, lat, unity > 0, turn, unity * 1.1e-4)


def regular_sphere(nx=40, ny=30, step=0.1, h=4000.0, lon0=-16.5, lat0=49.0):
    """A spherical grid of meridians and parallels every ``step`` degrees around (lon0, lat0), metrics in closed form."""
    lon, lat = np.meshgrid(lon0 + step * (np.arange(nx) - (nx - 1) / 2), lat0 + step * (np.arange(ny) - (ny - 1) / 2))
    pn = np.full((ny, nx), 1 / (1e3 * EARTH_RADIUS_KM * np.deg2rad(step)))
    unity = np.ones((ny, nx))
    return HorizontalGrid(h * unity, pn / np.cos(np.deg2rad(lat)), pn, lon, lat, unity > 0, 0 * unity, unity * 1.1e-4)


def evaluate(grid, s, u, v, w=None, zeta=None, t=0.0, w_points="s_w"):
    """u, v, w as functions of (x, y, z, t) in m (native x, y of the grid) at their points -> PreparedSnapshot.

    u and v are along the grid's own axes. Without ``w``, omega by continuity.
    """
    free = np.zeros(grid.shape) if zeta is None else zeta(grid.x_rho, grid.y_rho, t) * np.ones(grid.shape)

    def mid(field, axis):
        if grid.stagger == "A":
            return field
        return 0.5 * (np.take(field, range(1, field.shape[axis]), axis) + np.take(field, range(field.shape[axis] - 1), axis))

    z = s.z_rho(grid.h, free)
    shape = z.shape
    uu = np.broadcast_to(u(mid(grid.x_rho, 1), mid(grid.y_rho, 1), mid(z, 2), t), (shape[0], *grid.shape_u))
    vv = np.broadcast_to(v(mid(grid.x_rho, 0), mid(grid.y_rho, 0), mid(z, 1), t), (shape[0], *grid.shape_v))
    uu, vv, free = (np.ascontiguousarray(field, dtype=np.float32) for field in (uu, vv, free))
    if w is None:
        return PreparedSnapshot(t, uu, vv, free, omega_by_continuity(uu, vv, free, grid, s))
    heights = s.z_w(grid.h, free) if w_points == "s_w" else z
    ww = np.ascontiguousarray(np.broadcast_to(w(grid.x_rho, grid.y_rho, heights, t), heights.shape), dtype=np.float32)
    return PreparedSnapshot(t, uu, vv, free, ww, is_omega=False)


def zero(x, y, z, t):
    """Nothing moves."""
    return 0.0 * z


def still_omega(grid, s, u, v, zeta=None, t=0.0):
    """As :func:`evaluate`, with omega = 0."""
    fields = evaluate(grid, s, u, v, w=zero, zeta=zeta, t=t)
    return PreparedSnapshot(t, fields.u, fields.v, fields.zeta, np.zeros((s.n + 1, *grid.shape), np.float32))


def along_layers(grid, s, psi, zeta, t=0.0):
    """A flow without divergence in any layer of a Cartesian grid, omega by continuity.

    psi(x, y, t), m2/s, is the stream function of the flow over a floor of 4000 m; each layer carries the same share of the
    transport everywhere, however deep the sea. zeta(x, y, t) in m.
    """
    ny, nx = grid.shape
    corners = grid.native_position(*np.meshgrid(np.arange(nx + 1) - 0.5, np.arange(ny + 1) - 0.5))
    share = s.layer_thickness(np.array(4000.0), np.array(0.0))[:, None, None]
    transport = psi(*corners, t) * share
    free = (zeta(grid.x_rho, grid.y_rho, t) * np.ones(grid.shape)).astype(np.float32)
    thickness = s.layer_thickness(grid.h, free.astype(float))
    u = -np.diff(transport, axis=1)[:, :, 1:-1] * grid.pn[0, 0] / (0.5 * (thickness[:, :, 1:] + thickness[:, :, :-1]))
    v = np.diff(transport, axis=2)[:, 1:-1] * grid.pm[0, 0] / (0.5 * (thickness[:, 1:] + thickness[:, :-1]))
    u, v = u.astype(np.float32), v.astype(np.float32)
    return PreparedSnapshot(t, u, v, free, omega_by_continuity(u, v, free, grid, s))


@dataclass
class Cloud:
    """Particles as plain arrays; made by :func:`cloud`, moved by :func:`move`."""

    xi: np.ndarray
    eta: np.ndarray
    z: np.ndarray
    time: np.ndarray
    sinking_speed: np.ndarray
    status: np.ndarray
    next_level: np.ndarray
    row: np.ndarray
    uid: np.ndarray
    crossings: np.ndarray

    def take(self, index):
        """A copy of some of the particles, with rows of their own."""
        parts = [getattr(self, name)[index].copy() for name in list(self.__dataclass_fields__)]
        parts[7] = np.arange(len(index))
        return Cloud(*parts)


def cloud(xi, eta, z, w=0.0, time=0.0, levels=0) -> Cloud:
    """Particles at index coordinates and heights, sinking at w m/d."""
    xi, eta, z, w, time = (np.array(a, dtype=float) for a in np.broadcast_arrays(xi, eta, z, w, time))
    n = xi.size
    flat = [a.reshape(n) for a in (xi, eta, z, time, w / 86400.0)]
    return Cloud(*flat, np.full(n, ACTIVE, np.int32), np.zeros(n, np.int32), np.arange(n), np.arange(n) + 7,
                 np.full((n, levels, 3), np.nan))  # fmt: skip


def move(window: Window, particles: Cloud, duration) -> int:
    """Move by a signed duration, s, in place; clocks follow. Returns steps."""
    duration = np.broadcast_to(np.asarray(duration, float), particles.xi.shape).copy()
    p = particles
    steps = window.advance(p.xi, p.eta, p.z, p.time, duration, p.sinking_speed, p.status, p.next_level, p.row, p.uid, p.crossings)
    p.time = p.time + duration
    return steps


def sweep(grid, s, prepare, particles: Cloud, *, t_from: float, t_to: float, every: float, dt: float, **options) -> Window:
    """Move particles over many windows as a campaign does, each from its own clock; ``prepare(t)`` gives the snapshot at t."""
    window = Window(grid, s, dt=dt, **options)
    sign = 1.0 if t_to > t_from else -1.0
    t = t_from
    window.load(prepare(t))
    while sign * (t_to - t) > 1e-6:
        window.load(prepare(t + sign * every))
        t += sign * every
        move(window, particles, sign * np.maximum(sign * (t - particles.time), 0.0))
    return window


@dataclass(frozen=True)
class AnalyticOcean:
    """Functions of (x, y, z, t) behind the Ocean interface; t in s from the first snapshot."""

    grid: HorizontalGrid
    vertical: SCoordinate
    times: np.ndarray
    u: object
    v: object
    zeta: object = None
    variables: frozenset = frozenset()
    description: dict = None

    def snapshot(self, index, variables=()):
        """Evaluate one snapshot."""
        t = float((self.times[index] - self.times[0]) / np.timedelta64(1, "s"))
        fields = evaluate(self.grid, self.vertical, self.u, self.v, w=zero, zeta=self.zeta, t=t)
        return Snapshot(self.times[index], fields.u, fields.v, fields.zeta)


def eddies(width=70e3, speed=0.3, decay=1500.0, drift=0.03, centre=(0.0, 0.0)):
    """(u, v) of a moving checkerboard of eddies of the given width (m), divergence-free, weaker with depth; along x and y."""
    k = np.pi / width

    def amplitude(z):
        return speed * np.exp(z / decay)

    def phase(x, t):
        return k * (x - centre[0] - drift * t)

    def u(x, y, z, t):
        a, b = phase(x, t), k * (y - centre[1])
        return amplitude(z) * (-np.sin(a) * np.cos(b) + 0.3 * np.cos(0.5 * b + 0.2))

    def v(x, y, z, t):
        a, b = phase(x, t), k * (y - centre[1])
        return amplitude(z) * (np.cos(a) * np.sin(b))

    return u, v


def wandering_eddies(count=40, area=700e3, seed=11, width=(60e3, 100e3), speed=(0.2, 0.4), decay=1500.0, coriolis=1.1e-4):
    """(u, v, zeta) of many eddies of either sense that wander about, divergence-free in the horizontal.

    Each has a Gaussian stream function; its width (m) is four times the radius of its strongest current (m/s). Currents
    fall to a quarter at depth over ``decay`` (m); zeta is in geostrophic balance with the surface.
    """
    rng = np.random.default_rng(seed)
    x0, y0 = rng.uniform(-area / 2, area / 2, (2, count))
    radius = rng.uniform(*width, count) / 4
    height = rng.uniform(*speed, count) * radius * np.exp(0.5) * rng.choice([-1.0, 1.0], count)
    drift_x, drift_y = rng.uniform(-0.05, 0.05, (2, count))

    def streams(x, y, t):
        for i in range(count):
            dx, dy = (x - x0[i] - drift_x[i] * t) / radius[i], (y - y0[i] - drift_y[i] * t) / radius[i]
            yield height[i] * np.exp(-0.5 * (dx**2 + dy**2)), dx / radius[i], dy / radius[i]

    def profile(z):
        return 0.25 + 0.75 * np.exp(z / decay)

    def u(x, y, z, t):
        return profile(z) * sum(psi * dy for psi, _, dy in streams(x, y, t))

    def v(x, y, z, t):
        return profile(z) * sum(-psi * dx for psi, dx, _ in streams(x, y, t))

    def zeta(x, y, t):
        return coriolis / 9.81 * sum(psi for psi, _, _ in streams(x, y, t))

    return u, v, zeta
