"""The horizontal grid: where index coordinates (xi, eta) lie on Earth, how long a cell is, where the sea is.

Particles are moved in index coordinates: (xi, eta) = (i, j) at the rho point in column i and row j, u points at i + 1/2,
v points at j + 1/2. dxi/dt = u * pm and deta/dt = v * pn hold on any curvilinear or rotated grid, spherical or Cartesian.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from data.bilinear import bilinear, bilinear_each, cell_of
from data.errors import InputError
from data.sphere import east_north, lon_lat


class LandFilled(NamedTuple):
    """h (m), pm, pn (1/m), each (eta, xi): on land the depth of the shallowest sea point and typical (median) metrics."""

    h: np.ndarray
    pm: np.ndarray
    pn: np.ndarray


@dataclass(frozen=True, eq=False)
class HorizontalGrid:
    """A logically rectangular grid, staggered as Arakawa's C, or with velocities at rho points (A).

    Attributes
    ----------
    h : (eta, xi) float64
        Depth of the sea floor at rho points, m, positive down.
    pm, pn : (eta, xi) float64
        Inverse cell lengths along xi and eta at rho points, 1/m.
    x_rho, y_rho : (eta, xi) float64
        Longitude and latitude in degrees where ``spherical``, else metres.
    mask_rho : (eta, xi) bool
        True in the sea.
    angle : (eta, xi) float64
        Angle from east to the xi axis, radians, counter-clockwise.
    coriolis : (eta, xi) float64
        f, 1/s.
    spherical : bool
        Whether x_rho, y_rho are degrees.
    periodic : (bool, bool)
        Whether the domain repeats along xi, along eta. A periodic axis of n points has period n - 1: its last point is
        the image of its first. Positions are then never wrapped, only the lookup of velocities is.
    center : (lon, lat) or None
        For a Cartesian grid that stands for a place on Earth: the point whose local frame (km east, north) holds x_rho,
        y_rho. Its sites and outputs are then given in degrees.
    stagger : "C" or "A"
        Where u and v stand: on the faces of cells, half a cell from rho points, or at rho points.
    width_u, width_v : (eta, xi - 1), (eta - 1, xi) float64, optional
        Lengths of the faces that u and v pass through, m. Default: the harmonic means of 1 / pn, 1 / pm of the cells beside.
    """

    h: np.ndarray
    pm: np.ndarray
    pn: np.ndarray
    x_rho: np.ndarray
    y_rho: np.ndarray
    mask_rho: np.ndarray
    angle: np.ndarray
    coriolis: np.ndarray
    spherical: bool = True
    periodic: tuple[bool, bool] = (False, False)
    center: tuple[float, float] | None = None
    stagger: str = "C"
    width_u: np.ndarray | None = None
    width_v: np.ndarray | None = None

    def __post_init__(self):
        shape = np.shape(self.h)
        if len(shape) != 2 or min(shape) < 4:
            raise InputError(
                f"grid of {shape} rho points: a domain of at least 4 x 4 points is needed (is this a section or a single column?)"
            )
        for name in ("h", "pm", "pn", "x_rho", "y_rho", "angle", "coriolis", "mask_rho"):
            dtype = bool if name == "mask_rho" else np.float64
            value = np.ascontiguousarray(getattr(self, name), dtype=dtype)
            if value.shape != shape:
                raise InputError(f"grid: {name} has shape {value.shape}, h has {shape}; they must be equal")
            value.setflags(write=False)
            object.__setattr__(self, name, value)
        if self.stagger not in ("A", "C"):
            raise InputError(f"grid: stagger {self.stagger!r} is unknown; C (velocities on faces) and A (at rho points) exist")
        sea = self.mask_rho
        if not sea.any():
            raise InputError("grid: mask_rho marks every point as land")
        for name in ("h", "pm", "pn"):
            value = getattr(self, name)[sea]
            if not np.isfinite(value).all() or (value <= 0).any():
                raise InputError(f"grid: {name} must be finite and positive at every sea point")
        if not (np.isfinite(self.x_rho).all() and np.isfinite(self.y_rho).all()):
            raise InputError("grid: horizontal coordinates must be finite everywhere, on land too")

    @property
    def shape(self) -> tuple[int, int]:
        """(eta, xi) number of rho points."""
        return self.h.shape

    @property
    def face_offset(self) -> float:
        """Cells from a rho point to the u point after it along xi, and to the v point after it along eta: 1/2, or 0 (A-grid)."""
        return 0.5 if self.stagger == "C" else 0.0

    @property
    def shape_u(self) -> tuple[int, int]:
        """(eta, xi) number of u points."""
        return (self.shape[0], self.shape[1] - (self.stagger == "C"))

    @property
    def shape_v(self) -> tuple[int, int]:
        """(eta, xi) number of v points."""
        return (self.shape[0] - (self.stagger == "C"), self.shape[1])

    @property
    def degrees(self) -> bool:
        """Whether positions are given to users as longitude and latitude."""
        return self.spherical or self.center is not None

    @cached_property
    def land_filled(self) -> LandFilled:
        """h, pm, pn with finite, positive values on land too, so that cells that straddle the coast have them."""
        sea = self.mask_rho
        typical = {"h": self.h[sea].min(), "pm": np.median(self.pm[sea]), "pn": np.median(self.pn[sea])}
        filled = {name: np.where(sea, getattr(self, name), value) for name, value in typical.items()}
        for value in filled.values():
            value.setflags(write=False)
        return LandFilled(**filled)

    @cached_property
    def rotation(self) -> tuple[np.ndarray, np.ndarray]:
        """Cosine and sine of ``angle``, each (eta, xi)."""
        return np.cos(self.angle), np.sin(self.angle)

    @property
    def spacing_km(self) -> float:
        """Median cell length in the sea, km."""
        sea = self.mask_rho
        return float(np.median(np.concatenate([1 / self.pm[sea], 1 / self.pn[sea]])) / 1000)

    @property
    def period(self) -> tuple[int, int]:
        """Period in cells along (xi, eta); 0 where not periodic."""
        eta, xi = self.shape
        return (xi - 1 if self.periodic[0] else 0, eta - 1 if self.periodic[1] else 0)

    # -- index coordinates to positions ------------------------------------------------------------------------------
    def native_position(self, xi, eta):
        """(x, y) of index coordinates by bilinear interpolation: degrees where spherical, else metres.

        Beyond a periodic edge the domain is continued by its length.
        """
        xi, eta = np.asarray(xi, dtype=np.float64), np.asarray(eta, dtype=np.float64)
        px, py = self.period
        turns_x = np.floor(xi / px) if px else 0.0
        turns_y = np.floor(eta / py) if py else 0.0
        x, y = bilinear_each((self._unwrapped_x, self.y_rho), xi - turns_x * px, eta - turns_y * py)
        if px:
            x = x + turns_x * (self.x_rho[0, -1] - self.x_rho[0, 0])
            y = y + turns_x * (self.y_rho[0, -1] - self.y_rho[0, 0])
        if py:
            x = x + turns_y * (self.x_rho[-1, 0] - self.x_rho[0, 0])
            y = y + turns_y * (self.y_rho[-1, 0] - self.y_rho[0, 0])
        return x, y

    def position(self, xi, eta):
        """(lon, lat) in degrees, or (x, y) in metres on a grid without them, of index coordinates. NaN gives NaN."""
        return self.position_of_native(*self.native_position(xi, eta))

    def position_of_native(self, x, y):
        """What :meth:`position` gives of places that :meth:`native_position` has found."""
        if self.center is not None and not self.spherical:
            return lon_lat(x / 1000, y / 1000, *self.center)
        return x, y

    def offset(self, x, y, east_km, north_km):
        """The position (east, north) km from (x, y), positions as :meth:`position` gives them. Shapes broadcast."""
        if self.spherical:
            return lon_lat(east_km, north_km, x, y)
        if self.center is None:
            return x + 1000 * np.asarray(east_km), y + 1000 * np.asarray(north_km)
        east, north = east_north(x, y, *self.center)
        return lon_lat(east + east_km, north + north_km, *self.center)

    def displacement_km(self, xi, eta, xi0, eta0):
        """Kilometres east and north of (xi, eta) as seen from (xi0, eta0). Index coordinates, shapes broadcast."""
        return self.displacement_of_native(*self.native_position(xi, eta), *self.native_position(xi0, eta0))

    def displacement_of_native(self, x, y, x0, y0):
        """What :meth:`displacement_km` gives of places that :meth:`native_position` has found."""
        if self.spherical:
            return east_north(x, y, x0, y0)
        return (x - x0) / 1000, (y - y0) / 1000

    @cached_property
    def _unwrapped_x(self):
        """x_rho without a jump of 360 degrees at the date line."""
        if not self.spherical:
            return self.x_rho
        unwrapped = np.unwrap(np.unwrap(self.x_rho, axis=1, period=360), axis=0, period=360)
        return unwrapped - 360 * np.round((np.mean(unwrapped) - np.mean(self.x_rho)) / 360)

    # -- positions to index coordinates ------------------------------------------------------------------------------
    def locate(self, x, y):
        """Index coordinates (xi, eta) of positions given as :meth:`position` returns them.

        The bilinear map of each cell is inverted by Newton's method, seen from the target, so that the date line and
        rotated grids need no special care. Points outside the domain come back as NaN.
        """
        x, y = np.broadcast_arrays(np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64))
        shape = x.shape
        x, y = x.ravel(), y.ravel()
        if self.center is not None and not self.spherical:
            x, y = (1000 * value for value in east_north(x, y, *self.center))
        ny, nx = self.shape
        px, py = self.period
        turns_x, turns_y = np.zeros(x.shape), np.zeros(x.shape)
        if not self.spherical and (px or py):
            # bring the target into the first image; periodic axes run along x and y
            if px:
                length = self.x_rho[0, -1] - self.x_rho[0, 0]
                turns_x = np.floor((x - self.x_rho[0, 0]) / length)
                x = x - turns_x * length
            if py:
                length = self.y_rho[-1, 0] - self.y_rho[0, 0]
                turns_y = np.floor((y - self.y_rho[0, 0]) / length)
                y = y - turns_y * length
        _, nearest = self._tree.query(self._chart(x, y))
        eta, xi = (index.astype(np.float64) for index in np.unravel_index(nearest, self.shape))
        for _ in range(50):
            i, j, fx, fy = cell_of(xi, eta, self.shape)
            corners = [self._local(j + dj, i + di, x, y) for dj in (0, 1) for di in (0, 1)]
            (ax, ay), (bx, by), (cx, cy), (dx, dy) = corners
            east = (1 - fy) * ((1 - fx) * ax + fx * bx) + fy * ((1 - fx) * cx + fx * dx)
            north = (1 - fy) * ((1 - fx) * ay + fx * by) + fy * ((1 - fx) * cy + fx * dy)
            e_xi, n_xi = (1 - fy) * (bx - ax) + fy * (dx - cx), (1 - fy) * (by - ay) + fy * (dy - cy)
            e_eta, n_eta = (1 - fx) * (cx - ax) + fx * (dx - bx), (1 - fx) * (cy - ay) + fx * (dy - by)
            determinant = e_xi * n_eta - e_eta * n_xi
            step_xi = -(n_eta * east - e_eta * north) / determinant
            step_eta = -(e_xi * north - n_xi * east) / determinant
            step = np.maximum(np.hypot(step_xi, step_eta), 1e-300)
            limit = np.minimum(1.0, 2.0 / step)
            xi = np.clip(xi + limit * step_xi, -2.0, nx + 1.0)
            eta = np.clip(eta + limit * step_eta, -2.0, ny + 1.0)
            if np.all(step < 1e-11):
                break
        outside = (xi < -1e-9) | (xi > nx - 1 + 1e-9) | (eta < -1e-9) | (eta > ny - 1 + 1e-9)
        bad = outside | ~np.isfinite(xi) | ~np.isfinite(eta) | (step > 1e-6)
        xi = np.where(bad, np.nan, np.clip(xi, 0, nx - 1) + turns_x * px)
        eta = np.where(bad, np.nan, np.clip(eta, 0, ny - 1) + turns_y * py)
        return xi.reshape(shape), eta.reshape(shape)

    def _local(self, j, i, x, y):
        """Position of grid points relative to targets: degrees (longitude shortened by cos latitude) or metres."""
        if self.spherical:
            return (np.mod(self.x_rho[j, i] - x + 180, 360) - 180) * np.cos(np.deg2rad(y)), self.y_rho[j, i] - y
        return self.x_rho[j, i] - x, self.y_rho[j, i] - y

    def _chart(self, x, y):
        """Coordinates in which straight distance orders neighbours: the unit sphere, or the plane."""
        x, y = np.ravel(x), np.ravel(y)
        if not self.spherical:
            return np.stack([x, y], axis=1)
        lam, phi = np.deg2rad(x), np.deg2rad(y)
        return np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)], axis=1)

    @cached_property
    def _tree(self):
        return cKDTree(self._chart(self.x_rho, self.y_rho))

    # -- values and cells at index coordinates -----------------------------------------------------------------------
    def sample(self, field: np.ndarray, xi, eta):
        """Bilinear value of a rho-point field (eta, xi) at index coordinates; clamped at the edges, wrapped if periodic."""
        ny, nx = self.shape
        px, py = self.period
        xi, eta = np.asarray(xi, dtype=np.float64), np.asarray(eta, dtype=np.float64)
        xi = np.mod(xi, px) if px else np.clip(xi, 0, nx - 1)
        eta = np.mod(eta, py) if py else np.clip(eta, 0, ny - 1)
        return bilinear(field, xi, eta)

    def in_sea(self, xi, eta):
        """Whether the rho cell that holds the point is sea."""
        ny, nx = self.shape
        px, py = self.period
        i = np.round(np.asarray(xi)).astype(np.int64)
        j = np.round(np.asarray(eta)).astype(np.int64)
        i = np.mod(i, px) if px else np.clip(i, 0, nx - 1)
        j = np.mod(j, py) if py else np.clip(j, 0, ny - 1)
        return self.mask_rho[j, i]
