"""The window: two snapshots side by side in memory, laid out for the kernel, and the moves of particles between them."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from data.compiled import njit
from data.cores import cores
from data.grid import HorizontalGrid
from data.vertical import VerticalCoordinate
from lagrangian.advection import (
    LANES,
    MASK,
    OMEGA,
    PM,
    PN,
    RECORD,
    ROWS,
    W_AT_CENTRES,
    W_AT_INTERFACES,
    WAITING,
    ZETA0,
    H,
    advance,
    half_levels,
)

if TYPE_CHECKING:
    from data.shapes import Crossings, HalfLayers, Numbers, Particles, States

#: Cells on a side of a tile. Particles are taken tile by tile; the velocities of a few tiles fit a core's cache.
TILE = 4
#: Particles of more steps than these are taken together, whatever their number.
MOST_STEPS = 2**16 - 1


@dataclass(frozen=True)
class PreparedSnapshot:
    """Velocities of one instant as the kernel needs them: a snapshot whose vertical velocity is decided.

    Attributes
    ----------
    time : float
        Seconds since the campaign's epoch.
    u : (s, eta, xi - 1), v : (s, eta - 1, xi), zeta : (eta, xi) float32
        As in :class:`data.ocean.Snapshot`.
    vertical_velocity : (s or s + 1, eta, xi) float32
        omega, or true w, m/s, positive up.
    is_omega : bool
    """

    time: float
    u: np.ndarray
    v: np.ndarray
    zeta: np.ndarray
    vertical_velocity: np.ndarray
    is_omega: bool = True

    @property
    def mode(self) -> int:
        """How the kernel reads ``vertical_velocity``."""
        if self.is_omega:
            return OMEGA
        return W_AT_CENTRES if self.vertical_velocity.shape[0] == self.u.shape[0] else W_AT_INTERFACES


@dataclass(frozen=True)
class Diffusivity:
    """Horizontal diffusivity by depth range: kappa[i] (m2/s) holds from depth[i] (m, increasing, first 0) to depth[i + 1]."""

    depth: tuple[float, ...] = (0.0,)
    kappa: tuple[float, ...] = (0.0,)
    seed: int = 0


@njit(nogil=True)
def _pack(source, target, slot):
    """(s, eta, xi) into slot of (eta, xi, s, 2)."""
    n, ny, nx = source.shape
    for j in range(ny):
        for k in range(n):
            for i in range(nx):
                target[j, i, k, slot] = source[k, j, i]


def _zeros(shape, dtype) -> np.ndarray:
    """Zeros that begin at the beginning of a cache line."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    raw = np.zeros(size + 64, np.uint8)
    begin = -raw.ctypes.data % 64
    return raw[begin : begin + size].view(dtype).reshape(shape)


@njit(nogil=True, error_model="numpy")
def _tile(position, period, n):
    """Number of the tile that a position lies in, on an axis of n points."""
    if period > 0 and not 0.0 <= position < period:
        position = position - period * np.floor(position / period)
    # what is not a number is in the first tile
    return int(min(position, n) / TILE) if position > 0.0 else 0


@njit(nogil=True, error_model="numpy")
def _sorted_by(key, size, order, result):
    """``order`` in the order of its keys (0 ... size - 1), those of equal keys as they were, into ``result``."""
    begin = np.zeros(size + 1, np.int64)
    for p in range(key.size):
        begin[key[p] + 1] += 1
    for k in range(size):
        begin[k + 1] += begin[k]
    for q in range(order.size):
        p = order[q]
        result[begin[key[p]]] = p
        begin[key[p]] += 1


@njit(nogil=True, error_model="numpy")
def _in_order(xi, eta, duration, dt, px, py, ny, nx):
    """(p,) int64 order in which particles are taken: by number of steps, then by the tile they are in.

    Particles that go side by side in the kernel then take equally many steps and read the same part of memory.
    """
    n = xi.size
    across = nx // TILE + 1
    key = np.empty(n, np.int32)
    few, many = np.inf, 0.0
    for p in range(n):
        key[p] = _tile(eta[p], py, ny) * across + _tile(xi[p], px, nx)
        few, many = min(few, abs(duration[p])), max(many, abs(duration[p]))
    by_place = np.empty(n, np.int64)
    _sorted_by(key, across * (ny // TILE + 1), np.arange(n), by_place)
    fewest, most = (0, 0) if n == 0 else (int(min(few / dt, MOST_STEPS)), int(min(many / dt, MOST_STEPS)))
    if fewest == most:
        return by_place
    for p in range(n):
        key[p] = int(min(abs(duration[p]) / dt, MOST_STEPS)) - fewest
    by_steps = np.empty(n, np.int64)
    _sorted_by(key, most - fewest + 1, by_place, by_steps)
    return by_steps


class Window:
    """Two snapshots that bracket the particles, and the threads that advance them.

    Parameters
    ----------
    grid, vertical
        The ocean's geometry.
    dt : float
        Longest Runge-Kutta step, s.
    levels : sequence of float
        Depths of the crossings, m positive down, decreasing (met in this order on the way up); may be empty.
    diffusivity : Diffusivity
    threads : int
        Threads of the kernel; 0: one for each core this process may use.
    """

    def __init__(
        self,
        grid: HorizontalGrid,
        vertical: VerticalCoordinate,
        *,
        dt: float,
        levels=(),
        diffusivity: Diffusivity | None = None,
        threads: int = 0,
    ):
        self.grid, self.vertical, self.dt = grid, vertical, float(dt)
        self.levels = -np.asarray(levels, dtype=np.float64)
        self.diffusivity = diffusivity or Diffusivity()
        self.threads = threads or cores()
        self._pool = ThreadPoolExecutor(self.threads) if self.threads > 1 else None
        ny, nx = grid.shape
        n = vertical.n
        self._cells = _zeros((ny, nx, RECORD), np.float64)
        for name, index in (("h", H), ("pm", PM), ("pn", PN)):
            self._cells[..., index] = getattr(grid.land_filled, name)  # velocities on land are 0
        self._cells[..., MASK] = grid.mask_rho
        self._u = _zeros((*grid.shape_u, n, 2), np.float32)
        self._v = _zeros((*grid.shape_v, n, 2), np.float32)
        self._w = _zeros((ny, nx, n + 1, 2), np.float32)
        # held here because the kernel knows them by address
        self._halves = half_levels(vertical)
        self._kappa_depth = np.array(self.diffusivity.depth, dtype=np.float64)
        self._kappa = np.array(self.diffusivity.kappa, dtype=np.float64)
        self._slot_time = [np.nan, np.nan]
        self._mode = OMEGA
        #: Time that particles were followed for, all together, s.
        self.particle_seconds = 0.0

    def load(self, snapshot: PreparedSnapshot, slot: int | None = None) -> None:
        """Put a snapshot into ``slot`` (0 or 1; default: that of the one farther in time, or an empty one)."""
        if slot is None:
            distance = [np.inf if np.isnan(time) else abs(time - snapshot.time) for time in self._slot_time]
            slot = int(np.argmax(distance))
        if snapshot.mode != self._mode:
            self._mode = snapshot.mode
            self._w = _zeros((*self._w.shape[:2], snapshot.vertical_velocity.shape[0], 2), np.float32)
        jobs = [(snapshot.u, self._u), (snapshot.v, self._v), (snapshot.vertical_velocity, self._w)]
        if self._pool is None:
            for source, target in jobs:
                _pack(source, target, slot)
        else:
            list(self._pool.map(lambda job: _pack(job[0], job[1], slot), jobs))
        self._cells[..., ZETA0 + slot] = self.vertical.surface(snapshot.zeta)
        self._slot_time[slot] = snapshot.time

    @property
    def is_empty(self) -> bool:
        """Whether no snapshot has been loaded yet."""
        return bool(np.isnan(self._slot_time).all())

    @property
    def nbytes(self) -> int:
        """Memory held by the two packed snapshots, bytes."""
        return self._u.nbytes + self._v.nbytes + self._w.nbytes + self._cells.nbytes

    def advance(
        self,
        xi: Particles,
        eta: Particles,
        z: Particles,
        time: Particles,
        duration: Particles,
        sinking_speed: Particles,
        status: States,
        next_level: States,
        row: Numbers,
        uid: Numbers,
        crossings: Crossings,
        half_layer: HalfLayers | None = None,
    ) -> int:
        """Move particles in place between the two snapshots; see :func:`lagrangian.advection.advance`. Returns steps made."""
        n = xi.shape[0]
        s = self.vertical
        px, py = self.grid.period
        ny, nx = self.grid.shape
        order = _in_order(xi, eta, duration, self.dt, px, py, ny, nx)
        if half_layer is None:
            half_layer = np.full(n, -1, np.int16)
        # the kernel knows these by address: ``arrays`` holds them until it returns
        arrays = (self._u, self._v, self._w, self._cells, self._halves, self._kappa_depth, self._kappa)
        addresses = [array.ctypes.data for array in arrays]

        def part(start, stop):
            lane, waiting = np.zeros((ROWS, LANES)), np.zeros((WAITING // LANES, ROWS, LANES))
            return advance(
                start, stop, order, xi, eta, z, time, duration, sinking_speed, status, next_level, half_layer, row, uid,
                self.levels, crossings, self.dt, self._slot_time[0], self._slot_time[1],
                *addresses[:5], s.n, float(s.hc), s.vtransform, self._mode, ny, nx,
                self.grid.shape_v[0], self.grid.shape_u[1], self.grid.face_offset, px, py,
                *addresses[5:], self._kappa.size,
                self.diffusivity.seed, lane, waiting,
            )  # fmt: skip

        if self._pool is None or n < 2 * self.threads:
            return self._count([part(0, n)])
        # several parts a thread, so that a thread whose particles have ended does not idle
        edges = np.linspace(0, n, 8 * self.threads + 1).astype(int)
        return self._count(self._pool.map(lambda k: part(edges[k], edges[k + 1]), range(edges.size - 1)))

    def _count(self, parts) -> int:
        steps = 0
        for made, seconds in parts:
            steps += made
            self.particle_seconds += seconds
        return steps
