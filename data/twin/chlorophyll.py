"""Chlorophyll on the twin ocean: blooms that grow, are stirred by the surface flow, and fade; a known truth for the flux methods.

dC/dt + div(u C) = blooms + (B(y, t) - C) / 20 d, with B a background that follows the season. Advection is in flux form with
velocities that have no divergence on the grid: it keeps the total to rounding, a uniform field uniform, and C positive.
Third-order upwind with the limiter of Koren (1993, in Vreugdenhil and Koren, Numerical methods for advection-diffusion
problems) and the Runge-Kutta steps of Shu and Osher (1988, doi:10.1016/0021-9991(88)90177-5).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from data.compiled import njit
from data.errors import need
from data.sphere import east_north
from data.times import DAY
from data.twin.defaults import SPACING
from data.twin.ocean import TwinOcean, vertical_weights

#: Days in which an excess over the background fades by e, and in which a bloom grows.
FADE_DAYS, GROWTH_DAYS = 20.0, 10.0
#: Sub-steps of velocity and sources a day; advection takes as many within each as it needs.
STEPS = 4
#: Greatest share of a cell (sides over all four faces) that may leave it in a stage of advection; 1/2 keeps C positive.
COURANT = 0.5
#: Blooms begun a day over the whole domain: mean, and share by which the season changes it; day of the year of most blooms. The
#: season is kept weaker than the North Atlantic's: where it explains everything, no catchment can be told from another.
BLOOMS, SEASONALITY, PEAK_DAY = 1.0, 0.4, 120.0
#: Radius (km, at which a bloom is 1/e of its centre) and concentration that it adds (mg m-3): least and greatest.
RADIUS_KM, STRENGTH = (40.0, 100.0), (0.5, 2.5)
#: Background, mg m-3: geometric mean, and natural logarithm of its seasonal and of its meridional amplitude (0.16 to 0.37).
BACKGROUND, SEASON_LOG, MERIDIONAL_LOG = 0.245, 0.25, 0.15


def season(day_of_year: float, peak: float = PEAK_DAY) -> float:
    """1 on the day ``peak`` of the year (by default that of most blooms), -1 half a year later."""
    return float(np.cos(2 * np.pi * (day_of_year - peak) / 365.25))


def day_of_year(time: np.datetime64) -> float:
    """Days since the year began."""
    return float((time - time.astype("datetime64[Y]")) / np.timedelta64(1, "D"))


def surface_velocity(ocean: TwinOcean, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Surface flow of day ``index``, m/s: u on the eastern and v on the northern faces of the cells, two (n, n) float64."""
    psi, _ = ocean.record.day(index)
    p = ocean.record.model.parameters
    weights = vertical_weights(np.zeros(1))[0]
    # psi lies at the north-eastern corners of the cells; in double precision the curl of psi has no divergence
    top = np.tensordot(weights, psi.astype(np.float64), axes=1)
    u = -(top - np.roll(top, 1, axis=0)) / SPACING + weights @ p.mean_u
    v = (top - np.roll(top, 1, axis=1)) / SPACING + weights @ p.mean_v
    return u, v


# -- advection -------------------------------------------------------------------------------------------------------
def advect(field: np.ndarray, u: np.ndarray, v: np.ndarray, seconds: float, spacing: float = SPACING) -> np.ndarray:
    """A periodic field carried by a steady velocity.

    Parameters
    ----------
    field : (n, m) float64
        Means over square cells; not changed.
    u, v : (n, m) float64
        Velocity on the eastern and on the northern faces, m/s.
    seconds : float
        How long; cut into as many steps as :data:`COURANT` asks for.
    spacing : float
        Side of a cell, m.
    """
    leaving = np.maximum(u, 0) - np.minimum(np.roll(u, 1, axis=1), 0) + np.maximum(v, 0) - np.minimum(np.roll(v, 1, axis=0), 0)
    steps = max(1, int(np.ceil(leaving.max() * seconds / spacing / COURANT)))
    scale = seconds / steps / spacing
    return _steps(np.ascontiguousarray(field, np.float64), u * scale, v * scale, steps)


@njit(nogil=True, error_model="numpy", forceinline=True)
def _limited(behind, here, ahead):
    """Value on the face between ``here`` and ``ahead``, the flow going from one to the other; never above 2 ``here``."""
    up, down = here - behind, ahead - here
    slope = min(2.0 * abs(down), (abs(up) + 2.0 * abs(down)) / 3.0, 2.0 * abs(up))
    half = 0.5 * slope if up * down > 0.0 else 0.0
    return here + half if down > 0.0 else here - half


@njit(nogil=True, error_model="numpy", forceinline=True)
def _across(flow, second_behind, behind, ahead, second_ahead, out):
    """What crosses faces whose neighbours are rows of cells; plain rows and no early end, so that it is done many at once."""
    for i in range(flow.size):
        forward = _limited(second_behind[i], behind[i], ahead[i])
        backward = _limited(second_ahead[i], ahead[i], behind[i])
        out[i] = flow[i] * (forward if flow[i] > 0.0 else backward)


@njit(nogil=True, error_model="numpy")
def _stage(c, u, v, east, north, out):
    """out = c + its change over one step; u and v in cells a step, east and north are working space.

    c and out have a row and a column before the domain and two behind it, which repeat it: those of c are written here.
    """
    n, m = u.shape
    for j in range(1, n + 1):
        c[j, 0], c[j, m + 1], c[j, m + 2] = c[j, m], c[j, 1], c[j, 1 + 1 % m]
    c[0], c[n + 1], c[n + 2] = c[n], c[1], c[1 + 1 % n]
    for j in range(n):
        row = c[j + 1]
        _across(u[j], row[:m], row[1 : m + 1], row[2 : m + 2], row[3 : m + 3], east[j, 1:])
        east[j, 0] = east[j, m]
        _across(v[j], c[j, 1 : m + 1], c[j + 1, 1 : m + 1], c[j + 2, 1 : m + 1], c[j + 3, 1 : m + 1], north[j + 1])
    north[0] = north[n]
    for j in range(n):
        for i in range(m):
            out[j + 1, i + 1] = c[j + 1, i + 1] - (east[j, i + 1] - east[j, i]) - (north[j + 1, i] - north[j, i])


@njit(nogil=True, error_model="numpy")
def _steps(field, u, v, count):
    """``count`` steps of third-order Runge-Kutta, made of forward steps only: what keeps C positive in one does in all."""
    n, m = field.shape
    c, first_stage, second_stage = np.zeros((n + 3, m + 3)), np.zeros((n + 3, m + 3)), np.zeros((n + 3, m + 3))
    c[1 : n + 1, 1 : m + 1] = field
    east, north = np.empty((n, m + 1)), np.empty((n + 1, m))
    for _ in range(count):
        _stage(c, u, v, east, north, first_stage)
        _stage(first_stage, u, v, east, north, second_stage)
        first_stage[:] = 0.75 * c + 0.25 * second_stage
        _stage(first_stage, u, v, east, north, second_stage)
        c[:] = (c + 2.0 * second_stage) / 3.0
    return c[1 : n + 1, 1 : m + 1].copy()


# -- sources ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Bloom:
    """Growth by ``strength`` (mg m-3) in :data:`GROWTH_DAYS` from ``day`` on, Gaussian; place and radius in cells."""

    day: int
    row: float
    column: float
    radius: float
    strength: float

    def rate(self, n: int) -> np.ndarray:
        """(n, n) growth on a periodic domain, mg m-3 d-1."""
        axis = np.arange(n)
        dy, dx = (np.mod(axis - centre + n / 2, n) - n / 2 for centre in (self.row, self.column))
        shape = np.exp(-((dy / self.radius) ** 2))[:, None] * np.exp(-((dx / self.radius) ** 2))[None, :]
        return self.strength / GROWTH_DAYS * shape


def blooms_of(days: int, first_day_of_year: float, n: int, seed: int) -> list[Bloom]:
    """The blooms of a record of some days; a longer record of the same seed begins with the same ones."""
    random = np.random.default_rng([seed, 7])
    blooms = []
    for day in range(days):
        expected = BLOOMS * (1 + SEASONALITY * season(first_day_of_year + day))
        for _ in range(random.poisson(expected)):
            radius = random.uniform(*RADIUS_KM) * 1000 / SPACING
            row, column = random.uniform(0, n, 2)
            blooms.append(Bloom(day, row, column, radius, random.uniform(*STRENGTH)))
    return blooms


def background(day_of_year: float, n: int) -> np.ndarray:
    """(n, 1) concentration without blooms, mg m-3: the season's, and a periodic change from south to north."""
    north = np.sin(2 * np.pi * np.arange(n) / n)[:, None]
    return BACKGROUND * np.exp(SEASON_LOG * season(day_of_year) + MERIDIONAL_LOG * north)


def daily(ocean: TwinOcean, days: int, seed: int = 0) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (day, (n, n) float32 mg m-3 at the rho points of one period) for the first ``days`` days, from the background on.

    Raises
    ------
    OptionError
        The ocean's record is shorter.
    """
    need(1 <= days <= len(ocean.times), f"days {days}: the twin ocean's record has 1 to {len(ocean.times)}")
    n = ocean.grid.shape[0] - 1
    first = day_of_year(ocean.times[0])
    blooms = blooms_of(days, first, n, seed)
    keep = np.exp(-1 / (STEPS * FADE_DAYS))
    values = background(first, n) * np.ones((n, n))
    later = surface_velocity(ocean, 0)
    for day in range(days):
        yield day, values.astype(np.float32)
        if day == days - 1:
            return
        flow, later = later, surface_velocity(ocean, day + 1)
        growth = np.zeros((n, n))
        for bloom in blooms:
            if bloom.day <= day < bloom.day + GROWTH_DAYS:
                growth += bloom.rate(n)
        for step in range(STEPS):
            weight = (step + 0.5) / STEPS
            u, v = ((1 - weight) * a + weight * b for a, b in zip(flow, later, strict=True))
            values = advect(values, u, v, 86400 / STEPS) + growth / STEPS
            mean_state = background(first + day + weight, n)
            values = mean_state + (values - mean_state) * keep


# -- the record ------------------------------------------------------------------------------------------------------
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
        n, days = ocean.grid.shape[0] - 1, len(ocean.times)
        values = np.empty((days, n, n), np.float32)
        for day, values[day] in daily(ocean, days, seed):
            if progress is not None:
                progress(day + 1, days)
        return cls(ocean, values)

    def sample(self, lon: np.ndarray, lat: np.ndarray, time: np.ndarray) -> np.ndarray:
        """Chlorophyll at any place and time, without noise or cloud.

        Parameters
        ----------
        lon, lat, time : arrays that broadcast
            Degrees, degrees, datetime64. The ocean repeats itself in space.

        Returns
        -------
        float64
            mg m-3, linear in space and time; NaN before the first day, after the last, and where anything is missing.
        """
        lon, lat, time = np.broadcast_arrays(lon, lat, np.asarray(time).astype("datetime64[s]"))
        placed = ~np.isnat(time) & np.isfinite(lon) & np.isfinite(lat)
        first = self.ocean.times[0].astype("datetime64[s]")
        out = np.full(lon.shape, np.nan)
        day = (time[placed] - first) / DAY
        rows, columns = cells(self.ocean, lon[placed], lat[placed])
        inside = (day >= 0) & (day <= len(self.values) - 1)
        low = np.clip(np.floor(day).astype(int), 0, len(self.values) - 2)
        values_at = np.full(day.shape, np.nan)
        for record in np.unique(low[inside]):
            now = inside & (low == record)
            at = [rows[now], columns[now]]
            before, after = (
                ndimage.map_coordinates(self.values[k].astype(np.float64), at, order=1, mode="grid-wrap")
                for k in (record, record + 1)
            )
            weight = day[now] - record
            values_at[now] = (1 - weight) * before + weight * after
        out[placed] = values_at
        return out


def cells(ocean: TwinOcean, lon: np.ndarray, lat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row and column (fractional, of one period, not wrapped) of positions in degrees."""
    east, north = east_north(lon, lat, *ocean.center)
    half = (ocean.grid.shape[0] - 1) / 2
    return north * 1000 / SPACING + half, east * 1000 / SPACING + half
