"""TwinOcean: the twin as an Ocean, with C-grid velocities, temperature, and terrain-following levels over a flat floor.

Streamfunction values lie at psi points, so that u = -dpsi/dy and v = dpsi/dx, differences of neighbouring values, are free
of divergence on the grid to rounding. In the vertical psi is linear between the middles of the layers, constant above the
middle of the first layer and below the middle of the last. The free surface is f0 psi(0) / g. Motion is geostrophic: the
only vertical velocity is that of the free surface.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from data.errors import OptionError
from data.grid import HorizontalGrid
from data.ocean import Preferences, Snapshot
from data.ocean_names import twin_title
from data.sites import SITES
from data.times import DAY
from data.twin.defaults import BETA, F0, GRAVITY, LATITUDE, SPACING, layer_centres
from data.twin.record import Record
from data.vertical import SCoordinate

DEPTH = 4800.0  # m
FIRST_DAY = np.datetime64("2000-01-01", "ns")
S_COORDINATE = SCoordinate.from_stretching(20, 5.0, 1.0, 250.0)
#: Surface temperature: mean, amplitude of its seasonal cycle (degrees Celsius), warmest day of the year.
SST_MEAN, SST_AMPLITUDE, SST_WARMEST = 14.0, 3.0, 235.0
#: Thermal expansion that turns buoyancy into temperature, 1/K, and the depth over which surface temperature reaches down, m.
EXPANSION, SURFACE_SCALE = 2.0e-4, 60.0
#: Diffusivity of the motion that an 8 km model leaves out, m2/s (the default of a run on the twin).
DIFFUSIVITY = 70.0
#: Longest time step of a particle in this ocean, minutes (`python -m tests.benchmarks.convergence --ocean twin`).
DT_MINUTES = 360.0


def vertical_weights(depth: np.ndarray) -> np.ndarray:
    """(depth, layer) weights that give a quantity of the layers at depths (m, positive down)."""
    centres = layer_centres()
    return np.stack([np.interp(depth, centres, unit) for unit in np.eye(centres.size)], axis=1)


@dataclass(frozen=True, eq=False)
class TwinOcean:
    """A twin ocean of some years; see :class:`data.ocean.Ocean`. Made by :func:`open_twin`."""

    record: Record
    times: np.ndarray
    grid: HorizontalGrid
    vertical: SCoordinate
    variables: frozenset[str]
    description: dict
    diffusivity: float = DIFFUSIVITY
    dt_minutes: float = DT_MINUTES

    @property
    def preferences(self) -> Preferences:
        """Step and diffusivity that a run takes where its options leave them open."""
        return Preferences(self.dt_minutes, self.diffusivity)

    @property
    def center(self) -> tuple[float, float]:
        """Longitude and latitude of the domain's middle, degrees."""
        assert self.grid.center is not None
        return self.grid.center

    @property
    def sea_floor(self) -> np.ndarray:
        """(eta, xi) depth of the sea floor at rho points, m: its hills steer the currents; particles pass over a flat floor."""
        hills = self.record.model.parameters.topography
        assert hills is not None  # data.twin.defaults
        return DEPTH - _closed(_corners_to_centres(hills))

    def snapshot(self, index: int, variables: Collection[str] = ()) -> Snapshot:
        """Day ``index`` of the record."""
        return self.at_depths(index, self._depths(), "temp" in variables)

    def surface(self, index: int, variables: Collection[str] = ()) -> Snapshot:
        """Day ``index`` at the uppermost level alone: u, v and temp are (1, eta, xi)."""
        return self.at_depths(index, self._depths()[-1:], "temp" in variables)

    def _depths(self) -> np.ndarray:
        """Depths of the levels where the sea is at rest, m, from the floor up."""
        return -self.vertical.z_rho(np.array(DEPTH), np.array(0.0)).ravel()

    def at_depths(self, index: int, depth: np.ndarray, temperature: bool = True) -> Snapshot:
        """Day ``index`` at depths (m, positive down) in place of the levels: u, v and temp are (depth, eta, xi)."""
        psi, tracer = self.record.day(index)
        p = self.record.model.parameters
        weights = vertical_weights(depth).astype(np.float32)
        mean_u, mean_v = (weights @ flow.astype(np.float32) for flow in (p.mean_u, p.mean_v))
        # values at psi points i + 1/2, j + 1/2; row and column -1/2 are those of the periodic image
        at = np.tensordot(weights, psi, axes=1)
        wrapped = np.pad(at, ((0, 0), (1, 1), (1, 1)), mode="wrap")
        u = wrapped[:, :-1, 1:-1] - wrapped[:, 1:, 1:-1]
        v = wrapped[:, 1:-1, 1:] - wrapped[:, 1:-1, :-1]
        for velocity, mean in ((u, mean_u), (v, mean_v)):
            velocity /= np.float32(SPACING)
            velocity += mean[:, None, None]
        surface = np.tensordot(vertical_weights(np.zeros(1))[0], psi, axes=1)
        zeta = _closed(_corners_to_centres(surface)) * (F0 / GRAVITY)
        temp = self._temperature(index, psi, tracer, depth) if temperature else None
        u, v, zeta = (np.ascontiguousarray(array, dtype=np.float32) for array in (u, v, zeta))
        return Snapshot(self.times[index], u, v, zeta, temp=temp)

    def _temperature(self, index, psi, tracer, depth) -> np.ndarray:
        """Background, the anomaly that balances psi (f0 dpsi/dz = g alpha T'), and the stirred surface layer upon it."""
        y = self.grid.y_rho
        day = float((self.times[index] - self.times[index].astype("datetime64[Y]")) / np.timedelta64(1, "D"))
        season = SST_AMPLITUDE * np.cos(2 * np.pi * (day - SST_WARMEST) / 365.25)
        shape = np.exp(-depth / SURFACE_SCALE)[:, None, None]
        step = 50.0
        slope = (vertical_weights(np.maximum(depth - step, 0)) - vertical_weights(depth + step)) / (
            depth + step - np.maximum(depth - step, 0)
        )[:, None]
        balanced = F0 / (GRAVITY * EXPANSION) * np.tensordot(slope, psi, axes=1)
        balanced = _closed(np.stack([_corners_to_centres(level) for level in balanced]))
        background = 3.0 + 9.0 * np.exp(-depth / 900.0)[:, None, None]
        stirred = _closed(_corners_to_centres(tracer)) + self.record.model.parameters.tracer_gradient * y
        surface = SST_MEAN + season + stirred
        deep = background + balanced
        return np.ascontiguousarray(deep + shape * (surface - deep), dtype=np.float32)


def _corners_to_centres(field: np.ndarray) -> np.ndarray:
    """(n, n) at psi points to rho points of one period."""
    pair_sum = field + np.roll(field, 1, axis=0)
    return 0.25 * (pair_sum + np.roll(pair_sum, 1, axis=1))


def _closed(field: np.ndarray) -> np.ndarray:
    """A period (..., n, n) with its first row and column repeated at the end."""
    return np.pad(field, [(0, 0)] * (field.ndim - 2) + [(0, 1), (0, 1)], mode="wrap")


def twin_grid(n: int) -> HorizontalGrid:
    """The doubly periodic domain of n cells a side around PAP-SO, in metres, with the place of its centre."""
    axis = (np.arange(n + 1) - n / 2) * SPACING
    x, y = np.meshgrid(axis, axis)
    unity = np.ones(x.shape)
    site = SITES["pap-so"]
    return HorizontalGrid(
        h=DEPTH * unity,
        pm=unity / SPACING,
        pn=unity / SPACING,
        x_rho=x,
        y_rho=y,
        mask_rho=unity > 0,
        angle=0 * unity,
        coriolis=F0 + BETA * y,
        spherical=False,
        periodic=(True, True),
        center=(site.x, site.y),
    )


def open_twin(years: float = 1.0, seed: int = 0, *, folder=None, progress=None) -> TwinOcean:
    """The twin ocean, computed where the cache does not hold it yet.

    Parameters
    ----------
    years : float
        Length of the record (365 days each), daily snapshots from 2000-01-01.
    seed : int
        0 or more: another seed, another ocean of the same statistics.
    folder : Path, optional
        Cache (default: the user's).
    progress : callable, optional
        Called with (days done, days in all).

    Raises
    ------
    OptionError
        years or seed out of bounds.
    """
    if not 0 < years <= 1000:
        raise OptionError(f"--years {years:g}: must lie between 0 and 1000")
    if seed < 0:
        raise OptionError(f"--seed {seed}: must be 0 or more")
    days = max(2, round(365 * years)) + 1
    record = Record(seed, folder)
    record.ensure(days, progress)
    times = FIRST_DAY + np.arange(days) * DAY.astype("timedelta64[ns]")
    description = {
        "kind": "twin",
        "title": twin_title(seed),
        "seed": seed,
        "years": years,
        "latitude": LATITUDE,
        "assumptions": ["geostrophic motion: no vertical velocity but that of the free surface"],
    }
    grid = twin_grid(record.model.parameters.n)
    return TwinOcean(record, times, grid, S_COORDINATE, frozenset({"temp"}), description)
