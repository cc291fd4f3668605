"""What Parcels runs: the particle class, the FieldSets, and the two kernels.

Parcels keeps the particles, their clocks and states, releases and removes them; a kernel moves them through one window of two
snapshots. Particle variables: x, y are index coordinates (xi, eta) in cells, z is height in m, positive up; the clock t counts
seconds from the earlier snapshot of the window. The FieldSet's context holds ``table`` (:class:`CrossingTable`) and, for the
compiled kernel, ``window`` (:class:`lagrangian.window.Window`).
"""

from __future__ import annotations

import warnings

import numpy as np
import parcels
import xarray as xr
from parcels import ParticleSet, StatusCode, Variable, convert
from parcels._core.kernel import Kernel
from parcels._core.particle import get_default_particle

from lagrangian.advection import ACTIVE, GROUNDED, LEFT_DOMAIN, REACHED

#: Particle class of the campaign. Double precision: a cell of 8 km in float32 would resolve 0.5 m at column 1000.
SinkingParticle = get_default_particle(np.float64).add_variable(
    [
        Variable("sinking_speed", dtype=np.float64),  # m/s, positive downward
        Variable("status", dtype=np.int32, initial=ACTIVE),
        Variable("next_level", dtype=np.int32, initial=0),
        Variable("half_layer", dtype=np.int16, initial=-1),  # where the kernel looks first
        Variable("row", dtype=np.int64, initial=0),  # row of the table
        Variable("uid", dtype=np.int64, initial=0),  # identity for random numbers
    ]
)


class _Loop(Kernel):
    """Parcels' loop; positions and clocks are brought forward in the particle set's own arrays, not in copies of them."""

    def _position_update(self, particles, fieldset) -> None:
        """As that of Parcels does, which knows no more of a view than to copy it."""
        for name, change in (("x", "dx"), ("y", "dy"), ("z", "dz"), ("t", "dt")):
            _set_values(particles, name, _values(particles, name) + _values(particles, change))
        for change in ("dx", "dy", "dz"):
            _set_values(particles, change, 0.0)


class FlyingParticles(ParticleSet):
    """A ParticleSet that particles enter and leave at the cost of those alone, not of all that are under way.

    Variables are the first parts of longer arrays. The place of one that leaves is taken by one from the end: the order of
    particles means nothing.
    """

    def __init__(self, *arguments, **values):
        super().__init__(*arguments, **values)
        self._room: dict[str, np.ndarray] = {}
        self._loop: Kernel | None = None

    def fly(self, kernel, dt: float, stop: float) -> None:
        """Move all by one kernel to the clock reading ``stop``, s, by steps of ``dt``, s (signed).

        As ``execute`` does, by the same loop of Parcels, which however reads and checks the source of the kernel once and not
        each time: that takes a millisecond.
        """
        if self._loop is None or self._loop.fieldset is not self.fieldset or self._loop._kernels != [kernel]:
            self._loop = _Loop([kernel], self)
        self._data["dt"][:] = dt
        self._loop.execute(self, endtime=stop, dt=dt)

    def add(self, particles: ParticleSet) -> FlyingParticles:
        """Take in the particles of another set."""
        if len(particles):
            first = self._data["particle_id"].max() + 1 if len(self) else 0
            for name, rows in self._new_rows(len(particles)).items():
                rows[:] = particles._data[name] + (first if name == "particle_id" else 0)
        return self

    def release(self, n: int, **values) -> None:
        """Take in ``n`` particles as :func:`particle_set` makes them, without making a set: that takes a millisecond.

        values : (n,) arrays, or numbers, of some variables; the others are as at a release.
        """
        values["particle_id"] = (self._data["particle_id"].max() + 1 if len(self) else 0) + np.arange(n)
        initial = {variable.name: variable.initial for variable in self._pclass.variables}
        for name, rows in self._new_rows(n).items():
            value = values.get(name, initial.get(name, 0))
            if callable(value):
                raise ValueError(f"{name} of a released particle follows from another variable and must be given")
            rows[:] = value

    def _new_rows(self, n_new: int) -> dict[str, np.ndarray]:
        """Places at the end of each variable's array for new particles; what is in them is to be written."""
        n, places = len(self), {}
        for name, array in self._data.items():
            room = self._room.get(name)
            if room is None or array.base is not room or len(room) < n + n_new:
                room = np.empty((n + n_new + (n + n_new) // 2, *array.shape[1:]), array.dtype)
                room[:n] = array
                self._room[name] = room
            places[name] = room[n : n + n_new]
            self._data[name] = room[: n + n_new]
        return places

    def remove_indices(self, indices) -> None:
        """Let the particles at ``indices`` go."""
        stays = np.ones(len(self), bool)
        stays[indices] = False
        n_left = int(np.count_nonzero(stays))
        places, movers = np.flatnonzero(~stays[:n_left]), n_left + np.flatnonzero(stays[n_left:])
        for name, array in self._data.items():
            array[places] = array[movers]
            self._data[name] = array[:n_left]


class CrossingTable:
    """Crossings and statuses of the particles in flight; a particle's ``row`` is its place here.

    Attributes
    ----------
    crossings : (row, level, 3) float64
        xi, eta and time (s since 1970) of each crossing; NaN where there is none.
    status : (row,) int32
    window_start : float
        Time of the earlier snapshot of the present window, s since 1970: zero of the particles' clocks.
    steps : int
        Particle-steps made so far.
    particle_seconds : float
        Time that particles were followed for so far, all together, s.
    """

    def __init__(self, n_levels: int):
        self.crossings = np.empty((0, n_levels, 3))
        self.status = np.empty(0, np.int32)
        self.window_start = 0.0
        self.steps = 0
        self.particle_seconds = 0.0

    def grow(self, rows: int) -> None:
        """Add rows, empty."""
        self.crossings = np.concatenate([self.crossings, np.full((rows, *self.crossings.shape[1:]), np.nan)])
        self.status = np.concatenate([self.status, np.full(rows, ACTIVE, np.int32)])


def index_fieldset(fields: dict[str, np.ndarray], depth: np.ndarray, seconds: np.ndarray) -> parcels.FieldSet:
    """A Parcels FieldSet on an A-grid in index coordinates.

    Parameters
    ----------
    fields : dict of (time, depth, eta, xi) arrays
        U and V in cells/s, W in m/s positive up (Parcels turns it downward), or any scalar.
    depth : (depth,) float
        m, positive down, increasing.
    seconds : (time,) float
    """
    ny, nx = next(iter(fields.values())).shape[-2:]
    times = np.round(np.asarray(seconds) * 1e9).astype("timedelta64[ns]")
    coords = {
        "time": ("time", times, {"axis": "T", "standard_name": "time"}),
        "depth": ("depth", np.asarray(depth, dtype=np.float64), {"axis": "Z", "standard_name": "depth"}),
        "lat": ("lat", np.arange(ny, dtype=np.float64), {"axis": "Y", "standard_name": "latitude"}),
        "lon": ("lon", np.arange(nx, dtype=np.float64), {"axis": "X", "standard_name": "longitude"}),
    }
    dims = ("time", "depth", "lat", "lon")
    dataset = xr.Dataset({name: (dims, values) for name, values in fields.items()}, coords=coords)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        grid = convert.copernicusmarine_to_sgrid(fields={name: dataset[name] for name in fields})
        return parcels.FieldSet.from_sgrid_conventions(grid, mesh="flat")


def bathymetry_fieldset(h: np.ndarray) -> parcels.FieldSet:
    """The FieldSet of a compiled run: sea-floor depth h (eta, xi), m. Velocities come through its context instead."""
    return index_fieldset({"h": np.asarray(h, np.float32)[None, None]}, np.zeros(1), np.zeros(1))


def particle_set(fieldset, xi, eta, z, clock, sinking_speed, row, uid, status=None, next_level=None) -> FlyingParticles:
    """A set of :data:`SinkingParticle`; ``clock`` in s from the window's earlier snapshot.

    ``status`` and ``next_level`` (default: as at the release) for particles that have been under way.
    """
    known = {name: value for name, value in (("status", status), ("next_level", next_level)) if value is not None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return FlyingParticles(
            fieldset,
            pclass=SinkingParticle,
            x=xi,
            y=eta,
            z=z,
            t=np.round(clock * 1e9).astype("timedelta64[ns]"),
            sinking_speed=sinking_speed,
            row=row,
            uid=uid,
            **known,
        )


def clock_of(seconds: float) -> float:
    """A reading of a particle's clock, s, as :func:`particle_set` sets it: a whole number of nanoseconds."""
    return float(np.round(seconds * 1e9) / 1e9)


def _values(particles, name: str) -> np.ndarray:
    """A variable of a view's particles: the particle set's own array where the view is of all of them, else a copy.

    What a view itself gives is always a copy.
    """
    array, chosen = particles._data[name], particles._index
    return array if chosen.all() else array[chosen]


def _set_values(particles, name: str, values: np.ndarray | float) -> None:
    """Set a variable of a view's particles."""
    particles._data[name][slice(None) if particles._index.all() else particles._index] = values


def SinkingAdvectionRK4(particles, fieldset):
    """Sink and advect by ``particles.dt`` in the compiled kernel (:func:`lagrangian.advection.advance`)."""
    table = fieldset.table
    place = [_values(particles, name) for name in ("x", "y", "z")]
    moved = [array.copy() for array in place]
    status = _values(particles, "status")
    next_level = _values(particles, "next_level")
    half_layer = _values(particles, "half_layer")
    row = _values(particles, "row")
    table.steps += fieldset.window.advance(
        *moved,
        _values(particles, "t") + table.window_start,
        _values(particles, "dt"),
        _values(particles, "sinking_speed"),
        status,
        next_level,
        row,
        _values(particles, "uid"),
        table.crossings,
        half_layer,
    )
    table.particle_seconds = fieldset.window.particle_seconds
    for name, before, after in zip(("dx", "dy", "dz"), place, moved, strict=True):
        _set_values(particles, name, np.subtract(after, before, out=after))
    if status is not particles._data["status"]:  # copies
        particles.status = status
        particles.next_level = next_level
        particles.half_layer = half_layer
    ended = np.flatnonzero(status != ACTIVE)
    table.status[row[ended]] = status[ended]
    particles._data["state"][np.flatnonzero(particles._index)[ended]] = StatusCode.Delete


def ParcelsSinkingRK4(particles, fieldset):
    """Sink and advect by one step through Parcels' own linear interpolation of an A-grid at fixed depths."""
    t = np.array(particles.t)
    dt = np.array(particles.dt)
    x = np.array(particles.x)
    y = np.array(particles.y)
    depth = -np.array(particles.z)
    sink = np.array(particles.sinking_speed)
    u1, v1, w1 = fieldset.UVW[t, depth, y, x, particles]
    w1 = w1 + sink
    u2, v2, w2 = fieldset.UVW[t + 0.5 * dt, depth + 0.5 * dt * w1, y + 0.5 * dt * v1, x + 0.5 * dt * u1, particles]
    w2 = w2 + sink
    u3, v3, w3 = fieldset.UVW[t + 0.5 * dt, depth + 0.5 * dt * w2, y + 0.5 * dt * v2, x + 0.5 * dt * u2, particles]
    w3 = w3 + sink
    u4, v4, w4 = fieldset.UVW[t + dt, depth + dt * w3, y + dt * v3, x + dt * u3, particles]
    w4 = w4 + sink
    particles.dx = (u1 + 2 * u2 + 2 * u3 + u4) / 6 * dt
    particles.dy = (v1 + 2 * v2 + 2 * v3 + v4) / 6 * dt
    particles.dz = -(w1 + 2 * w2 + 2 * w3 + w4) / 6 * dt


def FindCrossings(particles, fieldset):
    """After :func:`ParcelsSinkingRK4`: record the levels crossed in the step (linear in the step), end particles, count steps."""
    table = fieldset.table
    levels = fieldset.level_heights
    row = np.array(particles.row)
    status = np.array(particles.status)
    next_level = np.array(particles.next_level)
    x = np.array(particles.x)
    y = np.array(particles.y)
    z = np.array(particles.z)
    dx = np.array(particles.dx)
    dy = np.array(particles.dy)
    dz = np.array(particles.dz)
    dt = np.array(particles.dt)
    lost = np.array(particles.state) >= StatusCode.Error
    for index in range(len(levels)):
        hit = (next_level == index) & (z + dz >= levels[index]) & ~lost
        safe = np.where(dz != 0, dz, 1.0)
        part = np.where(hit, np.clip((levels[index] - z) / safe, 0.0, 1.0), 0.0)
        time = table.window_start + np.array(particles.t) + part * dt
        found = np.stack([x + part * dx, y + part * dy, time], axis=-1)
        table.crossings[row[hit], index] = found[hit]
        next_level = np.where(hit, index + 1, next_level)
    ny, nx = fieldset.shape
    edge = fieldset.face_offset  # where the outermost velocities stand
    outside = (x + dx < edge) | (x + dx > nx - 1 - edge) | (y + dy < edge) | (y + dy > ny - 1 - edge) | lost
    status = np.where(outside, LEFT_DOMAIN, status)
    j = np.clip(np.round(y + dy).astype(int), 0, ny - 1)
    i = np.clip(np.round(x + dx).astype(int), 0, nx - 1)
    status = np.where((status == ACTIVE) & (~fieldset.sea[j, i] | (z + dz < -fieldset.depth[j, i])), GROUNDED, status)
    status = np.where(next_level == len(levels), REACHED, status)
    table.steps += int(np.count_nonzero(dt))
    table.particle_seconds += float(np.abs(dt).sum())
    particles.status = status
    particles.next_level = next_level
    table.status[row] = status
    particles.state = np.where(status == ACTIVE, np.array(particles.state), StatusCode.Delete)
