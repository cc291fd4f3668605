"""An analytic CROCO record of real shape, and the closed form of the paths in it.

    python -m tests.benchmarks.record --out DIR [--points 256 --layers 80 --spacing 2 --days 25 --vtransform 2 --vertical w omega]

The sea lies on a spherical grid (a longitude-latitude grid about a pole of its own, turned against north, so that cells are
orthogonal and metrics are known), has a flat floor, a sea mount and a coast with a slope. A gyre turns in it: the transport
through a column has a stream function of the distance from the gyre's centre alone, and is spread over the column by a profile
that is linear in sigma = (z + h) / (h + zeta). Such a flow conserves mass in every column; water keeps its distance from the
centre and its sigma, whatever the floor below does. The free surface is in geostrophic balance with the mean gyre and does not
move. In time the gyre becomes stronger and weaker, linearly between the records.

Hence the closed forms, which share no code with the toolkit: particles stay on circles, where

    d theta / dt = amplitude(t) rate(distance) profile(sigma) / norm * (H + zeta) / (h + zeta)
    d sigma / dt = -sinking / (h + zeta)

and sinking is positive down. Over the flat floor h = H and the angle is the integral of a product of three polynomials in time.
The true vertical velocity is (sigma - 1) u . grad h, that through the s-surfaces -(h + zeta) d sigma_s / dh  u . grad h.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import netCDF4
import numpy as np

#: CROCO's Eradius, m; gravity, m/s2; Coriolis parameter of the balance of zeta, 1/s.
RADIUS, GRAVITY, CORIOLIS = 6371315.0, 9.81, 1.1e-4
#: Depth of the flat floor and height of the sea mount over it, m.
FLOOR, MOUNT = 4500.0, 1000.0
#: Mean angular velocity within the gyre, 1/s; difference of its profile between floor and surface; height of the sea at rest, m.
TURN, SHEAR, REST = 1.2e-6, 0.8, 0.1
#: Shares of half the domain's width: where the gyre turns as one body, and where it ends; distance and radius of the sea mount;
#: the places where the slope begins and where land does; the gyre's centre along xi and eta.
BODY, EDGE, MOUNT_AT, MOUNT_RADIUS, SLOPE, COAST, CENTRE = 0.5, 0.78, 0.3, 0.22, 0.82, 0.9, (0.03, -0.05)
ORIGIN = np.datetime64("2005-01-01T00:00:00", "s")


def unit(lon, lat) -> np.ndarray:
    """(..., 3) unit vector of a place in degrees."""
    lon, lat = np.deg2rad(np.asarray(lon, float)), np.deg2rad(np.asarray(lat, float))
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat) + 0 * lon], axis=-1)


def turned(place: np.ndarray, axis: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Unit vectors (..., 3) turned about ``axis`` by ``angle`` (radians, counter-clockwise as seen from above): Rodrigues."""
    cosine, sine = np.cos(angle)[..., None], np.sin(angle)[..., None]
    return place * cosine + cross(axis, place) * sine + axis * (place @ axis)[..., None] * (1 - cosine)


def cross(axis: np.ndarray, place: np.ndarray) -> np.ndarray:
    """:func:`numpy.cross` of (3,) and (..., 3), which takes longer to sort its arguments than to multiply these."""
    (a, b, c), (x, y, z) = axis, np.moveaxis(place, -1, 0)
    return np.stack([b * z - c * y, c * x - a * z, a * y - b * x], axis=-1)


def metres_between(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Great-circle distance of unit vectors, m."""
    return 2 * RADIUS * np.arcsin(np.clip(0.5 * np.linalg.norm(one - other, axis=-1), 0, 1))


@dataclass(frozen=True)
class AnalyticRecord:
    """The sea and its flow.

    Attributes
    ----------
    points : int
        Rho points along either side.
    layers : int
    spacing : float
        Length of a cell, m.
    days : float
        Length of the record; snapshots every half day.
    vtransform : int
    lon0, lat0 : float
        Middle of the domain, degrees.
    angle : float
        Of the xi axis from east there, radians.
    """

    points: int = 256
    layers: int = 80
    spacing: float = 2e3
    days: float = 25.0
    vtransform: int = 2
    lon0: float = -16.5
    lat0: float = 49.0
    angle: float = 0.4

    # -- the grid ----------------------------------------------------------------------------------------------------
    @property
    def half_width(self) -> float:
        """Half of the domain's side, m."""
        return self.spacing * (self.points - 1) / 2

    @cached_property
    def frame(self) -> np.ndarray:
        """(3, 3) unit vectors up, along xi and along eta in the middle of the domain."""
        lon, lat = np.deg2rad(self.lon0), np.deg2rad(self.lat0)
        up = unit(self.lon0, self.lat0)
        east = np.array([-np.sin(lon), np.cos(lon), 0.0])
        north = np.array([-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)])
        cosine, sine = np.cos(self.angle), np.sin(self.angle)
        return np.stack([up, cosine * east + sine * north, cosine * north - sine * east])

    def own_degrees(self, xi, eta) -> tuple[np.ndarray, np.ndarray]:
        """Longitude and latitude about the grid's own pole, radians, of index coordinates."""
        middle = (self.points - 1) / 2
        return (np.asarray(xi) - middle) * self.spacing / RADIUS, (np.asarray(eta) - middle) * self.spacing / RADIUS

    def place(self, xi, eta) -> np.ndarray:
        """(..., 3) unit vectors of index coordinates."""
        lam, phi = np.broadcast_arrays(*self.own_degrees(xi, eta))
        own = np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)], axis=-1)
        return own @ self.frame

    def at_metres(self, along: float, across: float) -> np.ndarray:
        """(3,) unit vector of the place so far along xi and eta from the middle."""
        middle = (self.points - 1) / 2
        return self.place(middle + along / self.spacing, middle + across / self.spacing)

    @cached_property
    def grid(self) -> dict[str, np.ndarray]:
        """Static fields by the names that CROCO gives them."""
        eta, xi = np.meshgrid(np.arange(self.points), np.arange(self.points), indexing="ij")
        place = self.place(xi, eta)
        lam, phi = self.own_degrees(xi, eta)
        lon, lat = np.arctan2(place[..., 1], place[..., 0]), np.arcsin(place[..., 2])
        along = np.stack([-np.sin(lam), np.cos(lam), 0 * lam], axis=-1) @ self.frame
        east = np.stack([-np.sin(lon), np.cos(lon), 0 * lon], axis=-1)
        north = np.stack([-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)], axis=-1)
        mask = self._coastal(place) < COAST
        return {
            "lon_rho": np.rad2deg(lon),
            "lat_rho": np.rad2deg(lat),
            "angle": np.arctan2((along * north).sum(-1), (along * east).sum(-1)),
            "pm": 1 / (self.spacing * np.cos(phi)),
            "pn": np.full(lam.shape, 1 / self.spacing),
            "f": 2 * 7.292115e-5 * np.sin(lat),
            "h": self.depth(place),
            "mask_rho": mask.astype(float),
        }

    def _coastal(self, place: np.ndarray) -> np.ndarray:
        """Distance along eta from the middle, as a share of half the width, less the waves of the coastline."""
        own = place @ self.frame.T
        along, across = (np.arctan2(own[..., 1], own[..., 0]), np.arcsin(own[..., 2]))
        return across * RADIUS / self.half_width - 0.04 * np.sin(9 * along * RADIUS / self.half_width)

    # -- depth and levels --------------------------------------------------------------------------------------------
    @cached_property
    def axis(self) -> np.ndarray:
        """(3,) unit vector of the gyre's centre."""
        return self.at_metres(CENTRE[0] * self.half_width, CENTRE[1] * self.half_width)

    @cached_property
    def mount(self) -> np.ndarray:
        """(3,) unit vector of the sea mount's middle: west-south-west of the gyre's centre along the grid's own axes."""
        reach = MOUNT_AT * self.half_width
        return self.at_metres(CENTRE[0] * self.half_width - 0.9 * reach, CENTRE[1] * self.half_width - 0.44 * reach)

    @property
    def mount_radius(self) -> float:
        """m."""
        return MOUNT_RADIUS * self.half_width

    def _nearness(self, place: np.ndarray) -> np.ndarray:
        """1 in the middle of the sea mount, 0 at its foot and beyond; falls like the square of the distance."""
        versine = 2 * np.sin(0.5 * self.mount_radius / RADIUS) ** 2
        return np.maximum(1 - (1 - place @ self.mount) / versine, 0.0)

    def depth(self, place: np.ndarray) -> np.ndarray:
        """h, m."""
        slope = np.clip((self._coastal(place) - SLOPE + 0.04) / (COAST - SLOPE + 0.04), 0, 1)
        return FLOOR - MOUNT * self._nearness(place) ** 3 - (FLOOR - 200.0) * slope**2 * (3 - 2 * slope)

    def depth_by_angle(self, place: np.ndarray) -> np.ndarray:
        """How h changes with the angle about the gyre's centre within the gyre, m a radian."""
        versine = 2 * np.sin(0.5 * self.mount_radius / RADIUS) ** 2
        return -3 * MOUNT * self._nearness(place) ** 2 * (cross(self.axis, place) @ self.mount) / versine

    @cached_property
    def curves(self) -> dict[str, np.ndarray]:
        """s and stretching curves of Shchepetkin (2010) or of Song & Haidvogel (1994), by the names that CROCO gives them."""
        s_w, s_r = np.arange(-self.layers, 1) / self.layers, (np.arange(-self.layers, 0) + 0.5) / self.layers
        return {"sc_w": s_w, "sc_r": s_r, "Cs_w": self._stretching(s_w), "Cs_r": self._stretching(s_r)}

    @property
    def parameters(self) -> tuple[float, float, float]:
        """theta_s, theta_b, hc (m)."""
        return (6.0, 2.0, 250.0) if self.vtransform == 2 else (5.0, 0.4, 50.0)

    def _stretching(self, s: np.ndarray) -> np.ndarray:
        a, b, _ = self.parameters
        if self.vtransform == 2:
            surface = (1 - np.cosh(a * s)) / (np.cosh(a) - 1)
            return (np.exp(b * surface) - 1) / (1 - np.exp(-b))
        return (1 - b) * np.sinh(a * s) / np.sinh(a) + b * (np.tanh(a * (s + 0.5)) / (2 * np.tanh(0.5 * a)) - 0.5)

    def sigma(self, kind: str, h: np.ndarray) -> np.ndarray:
        """(level, ...) height over the floor as a share of the column of layer centres ("r") or interfaces ("w")."""
        h = np.asarray(h, float)
        s, c = (self.curves[f"{name}_{kind}"].reshape(-1, *[1] * h.ndim) for name in ("sc", "Cs"))
        hc = self.parameters[2]
        return 1 + ((hc * s + h * c) / (hc + h) if self.vtransform == 2 else (hc * (s - c) + h * c) / h)

    # -- the flow ----------------------------------------------------------------------------------------------------
    @property
    def times(self) -> np.ndarray:
        """(record,) s from the first."""
        return 43200.0 * np.arange(round(2 * self.days) + 1)

    @property
    def amplitudes(self) -> np.ndarray:
        """(record,) strength of the gyre; linear between the records."""
        return 1 + 0.4 * np.sin(2 * np.pi * self.times / (9.7 * 86400))

    def _within(self, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rate as a share of :data:`TURN`, and its integral over 1 - cos(distance), both of the distance from the centre."""
        first, last = (2 * np.sin(0.5 * share * self.half_width / RADIUS) ** 2 for share in (BODY, EDGE))
        # 1 - cos of the distance, without the difference of two numbers near 1
        mu = 0.5 * ((place - self.axis) ** 2).sum(-1)
        s = np.clip((mu - first) / (last - first), 0, 1)
        share = np.where(mu < first, 1.0, 1 - s**2 * (3 - 2 * s))
        return share, np.where(mu < first, mu, first + (last - first) * (s - s**3 + 0.5 * s**4))

    def zeta(self, place: np.ndarray) -> np.ndarray:
        """Free surface, m."""
        return REST + CORIOLIS * TURN * RADIUS**2 / GRAVITY * self._within(place)[1]

    def transport(self, place: np.ndarray) -> np.ndarray:
        """Stream function of the transport through the column at amplitude 1, m3/s."""
        inside = self._within(place)[1]
        return TURN * RADIUS**2 * ((FLOOR + REST) * inside + 0.5 * CORIOLIS * TURN * RADIUS**2 / GRAVITY * inside**2)

    @staticmethod
    def profile(sigma: np.ndarray) -> np.ndarray:
        """Velocity over that of the mean column."""
        return 1 + SHEAR * (sigma - 0.5)

    def norm(self, h: np.ndarray) -> np.ndarray:
        """Mean of the profile over the layers as the model sums it, which differs from 1 by what layers are wide."""
        return (np.diff(self.sigma("w", h), axis=0) * self.profile(self.sigma("r", h))).sum(axis=0)

    def rate(self, place: np.ndarray, sigma: np.ndarray, h: np.ndarray, norm: np.ndarray) -> np.ndarray:
        """Angular velocity about the gyre's centre at amplitude 1, 1/s."""
        zeta = self.zeta(place)
        return TURN * self._within(place)[0] * (FLOOR + zeta) / (h + zeta) * self.profile(sigma) / norm

    def velocities(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """u (layer, eta, xi - 1), v (layer, eta - 1, xi), m/s, and zeta (eta, xi), m, at amplitude 1.

        Velocities are differences of the stream function between the corners of cells over the area of the face, so that no
        column gains or loses water.
        """
        n, grid = self.points, self.grid
        corners = self.transport(self.place(*np.meshgrid(np.arange(n + 1) - 0.5, np.arange(n + 1) - 0.5)))
        eta, xi = np.meshgrid(np.arange(n), np.arange(n), indexing="ij")
        zeta = self.zeta(self.place(xi, eta))
        column = grid["h"] + zeta
        heights = {kind: self.sigma(kind, grid["h"]) * column for kind in "rw"}
        u = self._faces(-np.diff(corners, axis=0)[:, 1:-1], grid["pn"], column, heights, 1)
        v = self._faces(np.diff(corners, axis=1)[1:-1], grid["pm"], column, heights, 0)
        return u, v, zeta

    def _faces(self, through, metric, column, heights, axis) -> np.ndarray:
        """Velocity through the faces along an axis, of the transport (m3/s) through each column of faces."""

        def mean(field, of):
            return 0.5 * (np.take(field, range(1, field.shape[of]), of) + np.take(field, range(field.shape[of] - 1), of))

        between = mean(column, axis)
        share = self.profile(mean(heights["r"], axis + 1) / between)
        share /= (np.diff(mean(heights["w"], axis + 1), axis=0) * share).sum(axis=0)
        return through * mean(metric, axis) * share

    def vertical_velocities(self) -> tuple[np.ndarray, np.ndarray]:
        """True w at layer centres and omega at interfaces, (level, eta, xi), m/s, at amplitude 1."""
        eta, xi = np.meshgrid(np.arange(self.points), np.arange(self.points), indexing="ij")
        place, h = self.place(xi, eta), self.grid["h"]
        uphill, norm, hc = self.depth_by_angle(place), self.norm(h), self.parameters[2]
        centre, face = self.sigma("r", h), self.sigma("w", h)
        w = (centre - 1) * self.rate(place, centre, h, norm) * uphill
        s, c = (self.curves[name].reshape(-1, 1, 1) for name in ("sc_w", "Cs_w"))
        by_depth = hc * (c - s) / ((hc + h) ** 2 if self.vtransform == 2 else h**2)
        omega = -(h + self.zeta(place)) * by_depth * self.rate(place, face, h, norm) * uphill
        omega[[0, -1]] = 0.0
        return w, omega

    # -- the files ---------------------------------------------------------------------------------------------------
    @property
    def bytes(self) -> int:
        """Of u, v and zeta."""
        n = self.points
        return 4 * self.times.size * (2 * self.layers * n * (n - 1) + n * n)

    def write(self, folder: Path, *, vertical: tuple[str, ...] = (), records_a_file: int = 10) -> list[Path]:
        """History files in ``folder``, with w and omega where ``vertical`` names them."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        u, v, zeta = self.velocities()
        fields = {"u": u, "v": v, **{name: one for name, one in zip(("w", "omega"), self.vertical_velocities(), strict=True)
                                     if name in vertical}}  # fmt: skip
        paths = []
        for first in range(0, self.times.size, records_a_file):
            numbers = range(first, min(first + records_a_file, self.times.size))
            paths.append(folder / f"croco_his.{first:05d}.nc")
            with netCDF4.Dataset(paths[-1], "w", format="NETCDF4") as new:
                self._write_header(new)
                for row, number in enumerate(numbers):
                    new["time"][row] = self.times[number]
                    new["zeta"][row] = zeta
                    for name, field in fields.items():
                        self._variable(new, name)[row] = (self.amplitudes[number] * field).astype(np.float32)
        return paths

    def _write_header(self, new: netCDF4.Dataset) -> None:
        n = self.points
        sizes = {"time": None, "s_rho": self.layers, "s_w": self.layers + 1, "eta_rho": n, "xi_rho": n, "eta_v": n - 1,
                 "xi_u": n - 1}  # fmt: skip
        for name, size in sizes.items():
            new.createDimension(name, size)
        theta_s, theta_b, hc = self.parameters
        new.setncatts({"type": "ROMS history file", "title": "analytic gyre over a flat floor, a sea mount and a coast",
                       "VertCoordType": "NEW" if self.vtransform == 2 else "OLD"})  # fmt: skip
        numbers = {"Vtransform": self.vtransform, "theta_s": theta_s, "theta_b": theta_b, "hc": hc, "Tcline": hc}
        for name, value in numbers.items():
            new.createVariable(name, "f8", ())[...] = value
        new["hc"].units = "meter"
        new.createVariable("spherical", "S1", ())[...] = b"T"
        for name, value in self.curves.items():
            new.createVariable(name, "f8", ("s_w" if name.endswith("_w") else "s_rho",))[:] = value
        units = {"lon_rho": "degree_east", "lat_rho": "degree_north", "angle": "radian", "pm": "meter-1", "pn": "meter-1",
                 "f": "second-1", "h": "meter"}  # fmt: skip
        for name, value in self.grid.items():
            variable = new.createVariable(name, "f8", ("eta_rho", "xi_rho"))
            variable[:] = value
            if name in units:
                variable.units = units[name]
        time = new.createVariable("time", "f8", ("time",))
        time.units = f"seconds since {str(ORIGIN).replace('T', ' ')}"
        self._variable(new, "zeta")

    @staticmethod
    def _variable(new: netCDF4.Dataset, name: str) -> netCDF4.Variable:
        """A variable of the flow, made where it is not there yet."""
        if name in new.variables:
            return new[name]
        shapes = {"u": ("s_rho", "eta_rho", "xi_u"), "v": ("s_rho", "eta_v", "xi_rho"), "zeta": ("eta_rho", "xi_rho"),
                  "w": ("s_rho", "eta_rho", "xi_rho"), "omega": ("s_w", "eta_rho", "xi_rho")}  # fmt: skip
        chunks = (1, *(len(new.dimensions[dimension]) for dimension in shapes[name]))
        variable = new.createVariable(name, "f4", ("time", *shapes[name]), chunksizes=chunks)
        variable.units = "meter" if name == "zeta" else "meter second-1"
        return variable

    # -- the paths ---------------------------------------------------------------------------------------------------
    def amplitude(self, time: np.ndarray) -> np.ndarray:
        """At any instant, s from the first record."""
        return np.interp(time, self.times, self.amplitudes)

    def over_flat_floor(self, release: np.ndarray, angle: np.ndarray) -> np.ndarray:
        """Whether the arcs from release places (..., 3) through ``angle`` stay two cells away from the sea mount."""
        near = np.cos((self.mount_radius + 2 * self.spacing) / RADIUS)
        return np.all([turned(release, self.axis, part * angle) @ self.mount < near for part in np.linspace(0, 1, 65)], axis=0)

    def flat_paths(self, release: np.ndarray, time: np.ndarray, depth: float, sinking: float, levels):
        """Angle about the centre (radians) and time (s) at which particles cross levels over a flat floor, (particle, level).

        Parameters
        ----------
        release : (particle, 3), time : (particle,)
            Unit vector and s from the first record.
        depth : float
            Of the release, m.
        sinking : float
            m/s.
        levels : sequence of float
            m.
        """
        zeta = self.zeta(release)
        crossed = time[:, None] - (depth - np.asarray(levels, float)) / sinking
        speed = TURN * self._within(release)[0] / self.norm(np.array(FLOOR))

        def rate(t):
            sigma = (FLOOR - depth + sinking * (time[:, None] - t)) / (FLOOR + zeta)[:, None]
            return self.amplitude(t) * speed[:, None] * self.profile(sigma)

        angle = np.zeros(crossed.shape)
        for first, last in zip(self.times[:-1], self.times[1:], strict=True):
            a, b = np.clip(crossed, first, last), np.clip(time[:, None], first, last)
            # quadratic in time within each interval: Simpson's rule is exact
            angle -= (b - a) / 6 * (rate(a) + 4 * rate(0.5 * (a + b)) + rate(b))
        return angle, crossed

    def paths(self, release: np.ndarray, time: np.ndarray, depth: float, sinking: float, levels, step: float = 1800.0):
        """As :meth:`flat_paths` over any floor, by Runge-Kutta steps of angle and sigma; NaN where the record ends first."""
        table_h = np.linspace(FLOOR - MOUNT, FLOOR, 801)
        table_norm = self.norm(table_h)
        zeta, levels = self.zeta(release), np.asarray(levels, float)
        angle, sigma = np.zeros(time.shape), (self.depth(release) - depth) / (self.depth(release) + zeta)
        found_angle, found_time = (np.full((time.size, levels.size), np.nan) for _ in range(2))

        def slope(tau, angle, sigma):
            place = turned(release, self.axis, angle)
            h = self.depth(place)
            turn = self.amplitude(time - tau) * self.rate(place, sigma, h, np.interp(h, table_h, table_norm))
            return -turn, sinking / (h + zeta), h

        tau, height = 0.0, np.full(time.shape, -depth)
        while tau < time.max() and np.isnan(found_time[tau < time]).any():
            a1, s1, _ = slope(tau, angle, sigma)
            a2, s2, _ = slope(tau + step / 2, angle + step / 2 * a1, sigma + step / 2 * s1)
            a3, s3, _ = slope(tau + step / 2, angle + step / 2 * a2, sigma + step / 2 * s2)
            a4, s4, _ = slope(tau + step, angle + step * a3, sigma + step * s3)
            new_angle = angle + step / 6 * (a1 + 2 * a2 + 2 * a3 + a4)
            sigma = sigma + step / 6 * (s1 + 2 * s2 + 2 * s3 + s4)
            depth_there = self.depth(turned(release, self.axis, new_angle))
            new_height = sigma * (depth_there + zeta) - depth_there
            for number, level in enumerate(levels):
                part = (-level - height) / (new_height - height)
                now = np.isnan(found_time[:, number]) & (new_height >= -level) & (time - tau - part * step >= 0)
                found_time[now, number] = (time - tau - part * step)[now]
                found_angle[now, number] = (angle + part * (new_angle - angle))[now]
            tau, angle, height = tau + step, new_angle, new_height
        return found_angle, found_time


@dataclass(frozen=True)
class Comparison:
    """A particles.zarr beside the closed form.

    Attributes
    ----------
    flat, mount : float
        Largest distance from the closed form, m, of particles whose way lies over the flat floor, and of the others.
    late : float
        Largest error of the time of a crossing over the flat floor, s.
    particles, over_mount : int
        All, and those of ``mount``.
    """

    flat: float
    mount: float
    late: float
    particles: int
    over_mount: int


def compare(record: AnalyticRecord, particles, *, with_mount: bool = True) -> Comparison:
    """An opened particles.zarr of a run on the record's files, all of whose particles must have reached the last level."""
    if not (particles["status"].values == 0).all():
        raise AssertionError("particles did not reach the last level")
    n_levels = particles.sizes["level"]
    levels, sinking = particles["level"].values, float(particles.attrs["sinking_speed_m_per_day"]) / 86400
    depth = float(particles.attrs["trap_depth_m"])
    release = unit(particles["release_lon"].values, particles["release_lat"].values).reshape(-1, 3)
    time = ((particles["release_time"].values - ORIGIN) / np.timedelta64(1, "s")).ravel()
    got = unit(particles["lon"].values, particles["lat"].values).reshape(-1, n_levels, 3)
    got_time = ((particles["time"].values - ORIGIN) / np.timedelta64(1, "s")).reshape(-1, n_levels)
    angle, crossed = record.flat_paths(release, time, depth, sinking, levels)
    # the last angle over the flat floor is farther than any over the sea mount needs: a margin decides who is where
    flat = record.over_flat_floor(release, 1.05 * angle[:, -1])
    late = np.abs(got_time - crossed)[flat].max()
    if with_mount and not flat.all():
        angle[~flat], crossed[~flat] = record.paths(release[~flat], time[~flat], depth, sinking, levels)
    wanted = turned(release[:, None], record.axis, angle)
    off = metres_between(got, wanted)
    off = np.maximum(off, _displacement_error(release, wanted, particles, n_levels))
    over_mount = off[~flat].max() if with_mount and not flat.all() else np.nan
    return Comparison(float(off[flat].max()), float(over_mount), float(late), time.size, int((~flat).sum()))


def _displacement_error(release, wanted, particles, n_levels) -> np.ndarray:
    """m between x, y of the store and true distance and direction (azimuth) of the closed form as seen from the release."""
    start = release[:, None]
    east = np.cross(np.array([0.0, 0.0, 1.0]), start)
    east /= np.linalg.norm(east, axis=-1, keepdims=True)
    north = np.cross(start, east)
    towards = np.stack([(wanted * east).sum(-1), (wanted * north).sum(-1)], axis=-1)
    length = np.linalg.norm(towards, axis=-1, keepdims=True)
    expected = metres_between(wanted, np.broadcast_to(start, wanted.shape))[..., None] * towards / np.where(length > 0, length, 1)
    got = 1e3 * np.stack([particles["x"].values, particles["y"].values], axis=-1).reshape(-1, n_levels, 2).astype(float)
    return np.linalg.norm(got - expected, axis=-1)


def main(arguments: list[str]) -> int:
    """Write the files that the options ask for."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.record", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the files")
    add_options(parser)
    options = parser.parse_args(arguments)
    record = of_options(options)
    paths = record.write(options.out, vertical=tuple(options.vertical))
    print(f"{len(paths)} files in {options.out}: {sum(path.stat().st_size for path in paths) / 2**30:.2f} GiB, {record}")
    return 0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Of the record's shape."""
    parser.add_argument("--points", type=int, default=256, help="rho points along either side")
    parser.add_argument("--layers", type=int, default=80)
    parser.add_argument("--spacing", type=float, default=2.0, help="length of a cell, km")
    parser.add_argument("--days", type=float, default=25.0, help="length of the record, snapshots every 12 hours")
    parser.add_argument("--vtransform", type=int, default=2, choices=(1, 2))
    parser.add_argument("--vertical", nargs="*", default=[], choices=("w", "omega"), help="vertical velocities in the files")


def of_options(options: argparse.Namespace) -> AnalyticRecord:
    """The record that parsed options ask for."""
    return AnalyticRecord(options.points, options.layers, 1e3 * options.spacing, options.days, options.vtransform)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
