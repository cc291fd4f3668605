"""Vertical velocity by continuity on the native grid, as ROMS and CROCO compute it.

W is the upward volume flux per unit area that the divergence of Hz u, Hz v leaves, counted from the sea floor; omega is W less
the motion of the s-surfaces themselves, which follow the free surface linearly: zero at both ends. The true vertical velocity is
W put on layer centres plus the slope of the s-surfaces times the horizontal velocity.

On z-levels the same holds with the thickness of each layer at the faces: the smaller of the two cells beside a face where the sea
floor cuts them (partial cells), or what the model itself gives. Velocities of an A-grid are put on faces for this sum alone.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from data.compiled import njit
from data.grid import HorizontalGrid
from data.vertical import SCoordinate, VerticalCoordinate, ZCoordinate

if TYPE_CHECKING:
    from data.shapes import Interfaces, Layers, Rho, U, V


def omega_by_continuity(u: U, v: V, zeta: Rho, grid: HorizontalGrid, vertical: VerticalCoordinate) -> Interfaces:
    """Velocity through the moving s-surfaces.

    Parameters
    ----------
    u : (s_rho, eta, xi - 1), v : (s_rho, eta - 1, xi), zeta : (eta, xi) float32
        m/s, m/s, m; 0 on land. On an A-grid u and v are (s_rho, eta, xi).

    Returns
    -------
    (s_w, eta, xi) float32
        omega, m/s, positive up; exactly 0 at the sea floor and the surface, and on land. At rho points on the edge of a domain
        that is not periodic, where a face is missing, the value of the nearest interior point.
    """
    flux = upward_flux(u, v, zeta, grid, vertical)
    if isinstance(vertical, ZCoordinate):
        h = _geometry(grid, vertical)[0]
        _less_surface_motion_on_levels(flux, h, vertical.w)
        _copy_edges(flux, grid.periodic, grid.mask_rho)
    else:
        _less_surface_motion(flux, zeta, *_geometry(grid, vertical))
    return flux


def vertical_velocity_from_omega(
    u: U, v: V, zeta: Rho, omega: Interfaces, grid: HorizontalGrid, vertical: VerticalCoordinate
) -> Layers:
    """True vertical velocity at rho points of layer centres, (s_rho, eta, xi) float32, m/s, positive up.

    Parameters as for :func:`omega_by_continuity`, and ``omega`` (s_w, eta, xi), m/s. The motion of the free surface, which
    omega leaves out, is taken from the divergence of the whole column, as CROCO does.
    """
    flux = upward_flux(u, v, zeta, grid, vertical)
    h = _geometry(grid, vertical)[0]
    w = np.empty(u.shape[:1] + zeta.shape, np.float32)
    z_w = vertical.z_w(h, zeta)
    surface = (z_w + h) / (zeta + h) * flux[-1]
    total = np.asarray(omega, np.float64) + surface
    z_r = vertical.z_rho(h, zeta)
    if isinstance(vertical, ZCoordinate):
        part = ((vertical.rho - vertical.w[:-1]) / np.diff(vertical.w))[:, None, None]
        w[:] = (1 - part) * total[:-1] + part * total[1:]
    else:
        w[:] = _to_centres(total, z_w, z_r)
    w += _slope(*on_faces(u, v, grid), z_r, grid)
    _copy_edges(w, grid.periodic, grid.mask_rho)
    return w * grid.mask_rho


def _to_centres(at_interfaces: np.ndarray, z_w: np.ndarray, z_r: np.ndarray) -> np.ndarray:
    """W at rho levels as CROCO interpolates it: cubic inside, one-sided at the ends."""
    n = z_r.shape[0]
    out = np.empty(z_r.shape)
    out[1 : n - 1] = 0.5625 * (at_interfaces[1 : n - 1] + at_interfaces[2:n]) - 0.0625 * (
        at_interfaces[: n - 2] + at_interfaces[3 : n + 1]
    )
    out[0] = -0.125 * at_interfaces[2] + 0.75 * at_interfaces[1] + 0.375 * at_interfaces[0]
    out[n - 1] = 0.375 * at_interfaces[n] + 0.75 * at_interfaces[n - 1] - 0.125 * at_interfaces[n - 2]
    return out


def _slope(u: np.ndarray, v: np.ndarray, z_r: np.ndarray, grid: HorizontalGrid) -> np.ndarray:
    """Slope of the s-surfaces times horizontal velocity, mean over the two faces along each axis."""
    out = np.zeros(z_r.shape)
    along_xi = u * (grid.pm[:, :-1] + grid.pm[:, 1:]) * (z_r[:, :, 1:] - z_r[:, :, :-1])
    along_eta = v * (grid.pn[:-1] + grid.pn[1:]) * (z_r[:, 1:] - z_r[:, :-1])
    out[:, :, :-1] += 0.25 * along_xi
    out[:, :, 1:] += 0.25 * along_xi
    out[:, :-1] += 0.25 * along_eta
    out[:, 1:] += 0.25 * along_eta
    if grid.periodic[0]:
        out[:, :, 0] += 0.25 * along_xi[:, :, -1]
        out[:, :, -1] = out[:, :, 0]
    if grid.periodic[1]:
        out[:, 0] += 0.25 * along_eta[:, -1]
        out[:, -1] = out[:, 0]
    return out


def on_faces(u: np.ndarray, v: np.ndarray, grid: HorizontalGrid) -> tuple[np.ndarray, np.ndarray]:
    """u (s_rho, eta, xi - 1) and v (s_rho, eta - 1, xi) on the faces of cells: means of the points beside on an A-grid."""
    if grid.stagger == "C":
        return u, v
    sea = grid.mask_rho
    return (
        0.5 * (u[:, :, 1:] + u[:, :, :-1]) * (sea[:, 1:] & sea[:, :-1]),
        0.5 * (v[:, 1:] + v[:, :-1]) * (sea[1:] & sea[:-1]),
    )


def _geometry(grid: HorizontalGrid, vertical: VerticalCoordinate):
    """Static arrays of the compiled functions; land has the depth and metrics of typical sea."""
    return grid.land_filled.h, vertical.a_w, vertical.c_w, float(vertical.hc), vertical.vtransform


def upward_flux(u: U, v: V, zeta: Rho, grid: HorizontalGrid, vertical: VerticalCoordinate) -> Interfaces:
    """W, the upward volume flux per unit area at interfaces, m/s: omega and the motion of the levels together.

    Parameters and shape as for :func:`omega_by_continuity`; the uppermost interface moves as the divergence of the column has it.
    """
    sea = grid.mask_rho
    _, pm, pn = grid.land_filled
    flux = np.zeros((vertical.n + 1, *grid.shape), np.float32)
    u, v, zeta = (np.ascontiguousarray(field, np.float32) for field in (u, v, zeta))
    width_u = 2 / (pn[:, :-1] + pn[:, 1:]) if grid.width_u is None else grid.width_u
    width_v = 2 / (pm[:-1] + pm[1:]) if grid.width_v is None else grid.width_v
    if isinstance(vertical, SCoordinate):
        faces = (pm, pn, width_u, width_v, sea, grid.periodic[0], grid.periodic[1])
        _continuity(u, v, zeta, *_geometry(grid, vertical), *faces, flux)
    else:
        stretch = vertical.stretch(_geometry(grid, vertical)[0], zeta.astype(np.float64))
        scale_u = 0.5 * (stretch[:, 1:] + stretch[:, :-1]) * width_u * (sea[:, 1:] & sea[:, :-1])
        scale_v = 0.5 * (stretch[1:] + stretch[:-1]) * width_v * (sea[1:] & sea[:-1])
        assert isinstance(vertical, ZCoordinate)
        thickness = face_thickness(grid, vertical)
        _continuity_on_levels(u, v, grid.stagger == "A", *thickness, scale_u, scale_v, pm * pn * sea, *grid.periodic, flux)
    _copy_edges(flux, grid.periodic, sea)
    return flux


@lru_cache(maxsize=4)
def face_thickness(grid: HorizontalGrid, vertical: ZCoordinate) -> tuple[np.ndarray, np.ndarray]:
    """Thickness of layers at rest at u and v faces, (n, eta, xi - 1) and (n, eta - 1, xi) float32, m.

    What the model gives, else that of the shallower column beside the face.
    """
    h = _geometry(grid, vertical)[0]
    beside = (np.minimum(h[:, 1:], h[:, :-1]), np.minimum(h[1:], h[:-1]))
    in_files = (vertical.thickness_u, vertical.thickness_v)
    faces = [
        vertical.layer_thickness(depth, np.zeros_like(depth)).astype(np.float32) if face is None else face
        for depth, face in zip(beside, in_files, strict=True)
    ]
    return faces[0], faces[1]


def _copy_edges(field: np.ndarray, periodic: tuple[bool, bool], sea: np.ndarray) -> None:
    """Nearest interior value into the outermost rho points of the sea where a face is missing; 0 into those on land."""
    if not periodic[1]:
        field[:, 0], field[:, -1] = field[:, 1] * sea[0], field[:, -2] * sea[-1]
    if not periodic[0]:
        field[:, :, 0], field[:, :, -1] = field[:, :, 1] * sea[:, 0], field[:, :, -2] * sea[:, -1]


@njit(nogil=True)
def _stretch(h, zeta, hc, vtransform):
    return (zeta + h) / (hc + h) if vtransform == 2 else 1.0 + zeta / h


@njit(nogil=True)
def _continuity(u, v, zeta, h, a_w, c_w, hc, vtransform, pm, pn, width_u, width_v, sea, periodic_xi, periodic_eta, flux):
    """W at interfaces, (s_w, eta, xi): the sum of the divergence of volume fluxes from the floor up."""
    n = u.shape[0]
    ny, nx = h.shape
    stretch = np.empty((ny, nx))
    for j in range(ny):
        for i in range(nx):
            stretch[j, i] = _stretch(h[j, i], zeta[j, i], hc, vtransform)
    j_first, j_last = (0, ny) if periodic_eta else (1, ny - 1)
    i_first, i_last = (0, nx) if periodic_xi else (1, nx - 1)
    # volume flux through the faces of one row, a level at a time: rows stay in cache
    through_u = np.empty(nx + 1)
    below = np.empty(nx)
    above = np.empty(nx)
    total = np.empty(nx)
    for j in range(j_first, j_last):
        j_down = j - 1 if j > 0 else ny - 2  # v face below row 0 of a periodic axis is the last one
        j_up = j if j < ny - 1 else 0
        total[:] = 0.0
        for k in range(n):
            da = a_w[k + 1] - a_w[k]
            dc = c_w[k + 1] - c_w[k]
            for i in range(nx - 1):
                left = stretch[j, i] * (da + h[j, i] * dc)
                right = stretch[j, i + 1] * (da + h[j, i + 1] * dc)
                through_u[i + 1] = 0.5 * (left + right) * u[k, j, i] * width_u[j, i]
            through_u[0] = through_u[nx - 1]
            through_u[nx] = through_u[1]
            for i in range(nx):
                low = stretch[j_down, i] * (da + h[j_down, i] * dc)
                high = stretch[j_down + 1, i] * (da + h[j_down + 1, i] * dc)
                below[i] = 0.5 * (low + high) * v[k, j_down, i] * width_v[j_down, i]
                low = stretch[j_up, i] * (da + h[j_up, i] * dc)
                high = stretch[j_up + 1, i] * (da + h[j_up + 1, i] * dc)
                above[i] = 0.5 * (low + high) * v[k, j_up, i] * width_v[j_up, i]
            for i in range(i_first, i_last):
                total[i] -= pm[j, i] * pn[j, i] * (through_u[i + 1] - through_u[i] + above[i] - below[i])
                if sea[j, i]:
                    flux[k + 1, j, i] = total[i]


@njit(nogil=True)
def _less_surface_motion(flux, zeta, h, a_w, c_w, hc, vtransform):
    """W to omega in place: less (z_w + h) / (zeta + h) times W at the surface."""
    n = flux.shape[0] - 1
    ny, nx = h.shape
    for j in range(ny):
        for k in range(1, n + 1):
            for i in range(nx):
                if k == n:
                    flux[k, j, i] = 0.0
                    continue
                depth = h[j, i]
                z = zeta[j, i] + _stretch(depth, zeta[j, i], hc, vtransform) * (a_w[k] + depth * c_w[k])
                flux[k, j, i] -= (z + depth) / (zeta[j, i] + depth) * flux[n, j, i]


@njit(nogil=True)
def _row_through_v(v, at_points, thickness, scale, k, j, out):
    """Volume flux through the faces between rows j and j + 1, into ``out`` (xi)."""
    if at_points:
        for i in range(out.size):
            out[i] = scale[j, i] * thickness[k, j, i] * (0.5 * (v[k, j, i] + v[k, j + 1, i]))
    else:
        for i in range(out.size):
            out[i] = scale[j, i] * thickness[k, j, i] * v[k, j, i]


@njit(nogil=True)
def _continuity_on_levels(u, v, at_points, thickness_u, thickness_v, scale_u, scale_v, per_area, periodic_xi, periodic_eta, flux):
    """W at interfaces of z-levels, (n + 1, eta, xi): the sum of the divergence of volume fluxes from the floor up.

    at_points: u and v stand at rho points; thickness_u, thickness_v: of layers at faces at rest, m; scale_u, scale_v: length
    times stretch of faces, m, 0 where closed; per_area: 1 / area of cells, 1/m2, 0 on land.
    """
    n = u.shape[0]
    ny, nx = per_area.shape
    j_first, j_last = (0, ny) if periodic_eta else (1, ny - 1)
    i_first, i_last = (0, nx) if periodic_xi else (1, nx - 1)
    through_u = np.empty(nx + 1)
    total = np.empty(nx)
    above = np.empty(nx)
    # what passes out of a row upward passes into the next: kept for each level
    below = np.empty((n, nx))
    for k in range(n):
        _row_through_v(v, at_points, thickness_v, scale_v, k, j_first - 1 if j_first > 0 else ny - 2, below[k])
    for j in range(j_first, j_last):
        j_up = j if j < ny - 1 else 0
        total[:] = 0.0
        for k in range(n):
            if at_points:
                for i in range(nx - 1):
                    through_u[i + 1] = scale_u[j, i] * thickness_u[k, j, i] * (0.5 * (u[k, j, i] + u[k, j, i + 1]))
            else:
                for i in range(nx - 1):
                    through_u[i + 1] = scale_u[j, i] * thickness_u[k, j, i] * u[k, j, i]
            through_u[0] = through_u[nx - 1]
            through_u[nx] = through_u[1]
            _row_through_v(v, at_points, thickness_v, scale_v, k, j_up, above)
            for i in range(i_first, i_last):
                total[i] -= per_area[j, i] * (through_u[i + 1] - through_u[i] + above[i] - below[k, i])
                flux[k + 1, j, i] = total[i]
            below[k, :] = above


@njit(nogil=True)
def _less_surface_motion_on_levels(flux, h, levels):
    """W to omega in place, 0 at and below the sea floor: less the share of the surface's motion, linear from floor to surface."""
    n = flux.shape[0] - 1
    ny, nx = h.shape
    for j in range(ny):
        for k in range(n):
            for i in range(nx):
                height = h[j, i] + levels[k]
                flux[k, j, i] = flux[k, j, i] - height / h[j, i] * flux[n, j, i] if height > 0.0 else 0.0
        for i in range(nx):
            flux[n, j, i] = 0.0
