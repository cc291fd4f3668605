"""Chlorophyll on the twin ocean: blooms that grow, are stirred by the surface flow, and fade; a known truth for the flux methods.

The logarithm of chlorophyll over its background is carried by the flow, fades in :data:`FADE_DAYS` and grows in blooms, so that
chlorophyll is positive by construction. Advection is semi-Lagrangian: a midpoint path back in time, cubic interpolation. It is
not conservative: this is a tracer to test methods with, not a budget.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from data.sphere import east_north
from data.twin.defaults import SPACING
from data.twin.ocean import TwinOcean

#: Days in which an anomaly fades by e, and in which a bloom grows.
FADE_DAYS, GROWTH_DAYS = 20.0, 10.0
#: Steps of advection a day.
STEPS = 4
#: Blooms begun a day over the whole domain: mean, and share by which the season changes it; day of the year of most blooms.
BLOOMS, SEASONALITY, PEAK_DAY = 1.2, 0.8, 120.0
#: Radius (km) and growth (natural logarithm) of blooms: least and greatest.
RADIUS_KM, GROWTH = (40.0, 120.0), (0.7, 1.8)
#: Background, mg m-3: geometric mean, and natural logarithm of its seasonal and of its meridional amplitude.
BACKGROUND, SEASON_LOG, MERIDIONAL_LOG = 0.25, 0.5, 0.2


def season(day_of_year: float) -> float:
    """1 on the day of most blooms, -1 half a year later."""
    return float(np.cos(2 * np.pi * (day_of_year - PEAK_DAY) / 365.25))


def surface_velocity(ocean: TwinOcean, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Surface velocity (m/s) east and north at the rho points of one period: two (n, n) arrays."""
    snapshot = ocean.snapshot(index)
    u, v = snapshot.u[-1].astype(np.float64), snapshot.v[-1].astype(np.float64)
    # u[:, i] stands at i + 1/2, v[j] at j + 1/2; the last row and column repeat the first
    u, v = u[:-1], v[:, :-1]
    return 0.5 * (u + np.roll(u, 1, axis=1)), 0.5 * (v + np.roll(v, 1, axis=0))


def advect(field: np.ndarray, u: np.ndarray, v: np.ndarray, seconds: float) -> np.ndarray:
    """A periodic field (n, n) carried by a velocity (m/s, (n, n), cells of :data:`SPACING`) for some seconds."""
    rows, columns = np.indices(field.shape, dtype=np.float64)
    cells = seconds / SPACING
    middle = [rows - 0.5 * cells * v, columns - 0.5 * cells * u]
    u_middle, v_middle = (ndimage.map_coordinates(one, middle, order=1, mode="grid-wrap") for one in (u, v))
    return ndimage.map_coordinates(field, [rows - cells * v_middle, columns - cells * u_middle], order=3, mode="grid-wrap")


@dataclass(frozen=True)
class Bloom:
    """Growth over :data:`GROWTH_DAYS` from ``day`` on, about a point (cells), Gaussian of a radius (cells)."""

    day: float
    row: float
    column: float
    radius: float
    growth: float

    def rate(self, n: int) -> np.ndarray:
        """(n, n) growth of the logarithm, 1/d, on a periodic domain."""
        axis = np.arange(n)
        dy, dx = (np.mod(axis - one + n / 2, n) - n / 2 for one in (self.row, self.column))
        shape = np.exp(-0.5 * (dy / self.radius) ** 2)[:, None] * np.exp(-0.5 * (dx / self.radius) ** 2)[None, :]
        return self.growth / GROWTH_DAYS * shape


def blooms_of(days: int, first_day_of_year: float, n: int, seed: int) -> list[Bloom]:
    """The blooms of a record of some days; a longer record of the same seed begins with the same ones."""
    random = np.random.default_rng([seed, 7])
    blooms = []
    for day in range(days):
        expected = BLOOMS * (1 + SEASONALITY * season(first_day_of_year + day))
        for _ in range(random.poisson(expected)):
            radius = random.uniform(*RADIUS_KM) * 1000 / SPACING
            blooms.append(Bloom(day, *random.uniform(0, n, 2), radius, random.uniform(*GROWTH)))
    return blooms


@dataclass(frozen=True, eq=False)
class Chlorophyll:
    """Daily chlorophyll of a twin ocean.

    Attributes
    ----------
    ocean : TwinOcean
    values : (day, y, x) float32
        mg m-3 at the rho points of one period.
    """

    ocean: TwinOcean
    values: np.ndarray

    @classmethod
    def of(cls, ocean: TwinOcean, seed: int = 0, progress: Callable[[int, int], None] | None = None) -> Chlorophyll:
        """Compute it for the whole record of ``ocean``; the same seed gives the same chlorophyll."""
        n = ocean.grid.shape[0] - 1
        days = len(ocean.times)
        first = _day_of_year(ocean.times[0])
        blooms = blooms_of(days, first, n, seed)
        north = np.arange(n) / n * 2 * np.pi
        meridional = MERIDIONAL_LOG * np.sin(north)[:, None]
        anomaly = np.zeros((n, n))
        values = np.empty((days, n, n), np.float32)
        flow = surface_velocity(ocean, 0)
        for day in range(days):
            background = np.log(BACKGROUND) + SEASON_LOG * season(first + day) + meridional
            values[day] = np.exp(background + anomaly)
            if day == days - 1:
                break
            later = surface_velocity(ocean, day + 1)
            growing = [bloom.rate(n) for bloom in blooms if bloom.day <= day < bloom.day + GROWTH_DAYS]
            growth = np.sum(growing, axis=0) if growing else np.zeros((n, n))
            for step in range(STEPS):
                weight = (step + 0.5) / STEPS
                u, v = ((1 - weight) * a + weight * b for a, b in zip(flow, later, strict=True))
                anomaly = advect(anomaly, u, v, 86400 / STEPS)
                anomaly += (growth - anomaly / FADE_DAYS) / STEPS
            flow = later
            if progress is not None:
                progress(day + 1, days - 1)
        return cls(ocean, values)

    def sample(self, lon: np.ndarray, lat: np.ndarray, time: np.ndarray) -> np.ndarray:
        """Chlorophyll (mg m-3) at positions (degrees) and times of one shape; linear in space and time, NaN beyond the record."""
        lon, lat, time = np.broadcast_arrays(lon, lat, np.asarray(time).astype("datetime64[s]"))
        known = ~np.isnat(time) & np.isfinite(lon) & np.isfinite(lat)
        first = self.ocean.times[0].astype("datetime64[s]")
        out = np.full(lon.shape, np.nan)
        day = (time[known] - first) / np.timedelta64(86400, "s")
        rows, columns = cells(self.ocean, lon[known], lat[known])
        inside = (day >= 0) & (day <= len(self.values) - 1)
        low = np.clip(np.floor(day).astype(int), 0, len(self.values) - 2)
        found = np.full(day.shape, np.nan)
        for one in np.unique(low[inside]):
            here = inside & (low == one)
            at = [rows[here], columns[here]]
            before, after = (
                ndimage.map_coordinates(self.values[k].astype(np.float64), at, order=1, mode="grid-wrap") for k in (one, one + 1)
            )
            weight = day[here] - one
            found[here] = (1 - weight) * before + weight * after
        out[known] = found
        return out


def cells(ocean: TwinOcean, lon: np.ndarray, lat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row and column (fractional, of one period) of positions in degrees."""
    east, north = east_north(lon, lat, *ocean.grid.center)
    half = (ocean.grid.shape[0] - 1) / 2
    return north * 1000 / SPACING + half, east * 1000 / SPACING + half


def _day_of_year(time: np.datetime64) -> float:
    return float((time - time.astype("datetime64[Y]")) / np.timedelta64(1, "D"))
