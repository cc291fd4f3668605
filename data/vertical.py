"""Vertical coordinates: terrain-following levels (CROCO, ROMS) and z-levels (NEMO, GLORYS, MITgcm) as validated value objects.

All have the form ``z = zeta + stretch(h, zeta) * (a + h * c)``. For z-levels c = 0, a is the height of the level at rest, and
the stretch is that of z* (Adcroft & Campin 2004, doi:10.1016/j.ocemod.2003.09.003), or zeta counts as 0 where levels are fixed.
Both transforms of terrain-following levels have the form ``z = zeta + stretch(h, zeta) * (a + h * cs)`` with level-dependent
constants ``a``, ``cs``
(method.md section 1; Shchepetkin & McWilliams 2005, doi:10.1016/j.ocemod.2004.08.002):

* Vtransform 2: ``a = hc * s``, ``stretch = (zeta + h) / (hc + h)``;
* Vtransform 1: ``a = hc * (s - cs)``, ``stretch = 1 + zeta / h``.

The advection kernel and the array functions here share this form, so that they cannot disagree. z is positive up, in metres.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from data.errors import InputError


@runtime_checkable
class VerticalCoordinate(Protocol):
    """Levels at z = surface(zeta) + stretch(h, zeta) (a + h c), m, positive up; counted from the sea floor to the surface.

    Attributes
    ----------
    n : int
        Number of layers.
    a_rho, c_rho : (n,) float64
        Constants of the transform at layer centres; ``a`` in m, ``c`` without unit.
    a_w, c_w : (n + 1,) float64
        The same at layer interfaces.
    hc, vtransform : float, int
        How compiled code computes the stretch: vtransform 2: (zeta + h) / (hc + h); 1: 1 + zeta / h.
    """

    # read-only here, so that frozen classes and their properties satisfy the interface
    @property
    def n(self) -> int: ...
    @property
    def hc(self) -> float: ...
    @property
    def vtransform(self) -> int: ...
    @property
    def a_rho(self) -> np.ndarray: ...
    @property
    def c_rho(self) -> np.ndarray: ...
    @property
    def a_w(self) -> np.ndarray: ...
    @property
    def c_w(self) -> np.ndarray: ...

    def surface(self, zeta):
        """The free surface as the levels know it, m: zeta, or 0 where levels do not move."""
        ...

    def stretch(self, h, zeta):
        """The factor that multiplies ``a + h * c``."""
        ...

    def z_rho(self, h, zeta):
        """Height of layer centres, m, positive up. h, zeta (...) -> (n, ...)."""
        ...

    def z_w(self, h, zeta):
        """Height of layer interfaces, m, positive up; never below the sea floor. h, zeta (...) -> (n + 1, ...)."""
        ...

    def layer_thickness(self, h, zeta):
        """Thickness of layers, m, 0 below the sea floor. h, zeta (...) -> (n, ...)."""
        ...


@dataclass(frozen=True, eq=False)
class SCoordinate:
    """Levels of a terrain-following grid, from the sea floor up.

    Attributes
    ----------
    s_rho, cs_rho : (n,) float64
        s and stretching curve C(s) at layer centres, increasing, within (-1, 0).
    s_w, cs_w : (n + 1,) float64
        The same at layer interfaces; first -1, last 0.
    hc : float
        Critical depth, m (>= 0; > 0 is customary).
    vtransform : int
        1 or 2.

    Raises
    ------
    InputError
        If shapes, order, range or Vtransform are impossible.
    """

    s_rho: np.ndarray
    cs_rho: np.ndarray
    s_w: np.ndarray
    cs_w: np.ndarray
    hc: float
    vtransform: int = 2

    def __post_init__(self):
        for name in ("s_rho", "cs_rho", "s_w", "cs_w"):
            value = np.ascontiguousarray(getattr(self, name), dtype=np.float64).ravel()
            value.setflags(write=False)
            object.__setattr__(self, name, value)
            if not np.isfinite(value).all():
                raise InputError(f"s-coordinate: {name} holds values that are not finite")
            if value.size and (value.min() < -1.0001 or value.max() > 0.0001):
                raise InputError(
                    f"s-coordinate: {name} runs from {value.min():g} to {value.max():g}; it must lie between -1 and 0"
                )
            if np.any(np.diff(value) <= 0):
                raise InputError(f"s-coordinate: {name} must increase from the sea floor to the surface")
        n = self.s_rho.size
        if n < 2 or self.cs_rho.size != n or self.s_w.size != n + 1 or self.cs_w.size != n + 1:
            raise InputError(
                f"s-coordinate: {n} s_rho, {self.cs_rho.size} Cs_r, {self.s_w.size} s_w and {self.cs_w.size} Cs_w levels "
                "do not fit together: n, n, n + 1 and n + 1 are needed, n >= 2"
            )
        if self.vtransform not in (1, 2):
            raise InputError(f"s-coordinate: Vtransform {self.vtransform} is unknown; CROCO and ROMS use 1 or 2")
        if not np.isfinite(self.hc) or self.hc < 0:
            raise InputError(f"s-coordinate: hc = {self.hc} m must be zero or more")

    @classmethod
    def from_stretching(cls, n: int, theta_s: float, theta_b: float, hc: float, vtransform: int = 2) -> SCoordinate:
        """The coordinate that CROCO builds from theta_s, theta_b, hc.

        Vtransform 2 uses the NEW_S_COORD stretching (Shchepetkin 2010), Vtransform 1 that of Song & Haidvogel (1994,
        doi:10.1006/jcph.1994.1189).
        """
        s_w = np.arange(-n, 1) / n
        s_rho = (np.arange(-n, 0) + 0.5) / n

        def stretching(s):
            if vtransform == 1:
                c = (1 - theta_b) * np.sinh(theta_s * s) / np.sinh(theta_s)
                return c + theta_b * (np.tanh(theta_s * (s + 0.5)) / (2 * np.tanh(0.5 * theta_s)) - 0.5)
            # both curves have a limit at 0, which their formulas do not reach in floating point
            c = (1 - np.cosh(theta_s * s)) / (np.cosh(theta_s) - 1) if theta_s > 1e-4 else -(s**2)
            return np.expm1(theta_b * c) / -np.expm1(-theta_b) if theta_b > 1e-8 else c

        return cls(s_rho, stretching(s_rho), s_w, stretching(s_w), hc, vtransform)

    @property
    def n(self) -> int:
        """Number of layers."""
        return self.s_rho.size

    @property
    def a_rho(self) -> np.ndarray:
        """(n,) the constant ``a`` of the transform at layer centres, m."""
        return self.hc * (self.s_rho if self.vtransform == 2 else self.s_rho - self.cs_rho)

    @property
    def a_w(self) -> np.ndarray:
        """(n + 1,) the constant ``a`` of the transform at interfaces, m."""
        return self.hc * (self.s_w if self.vtransform == 2 else self.s_w - self.cs_w)

    @property
    def c_rho(self) -> np.ndarray:
        """(n,) the constant ``c`` of the transform at layer centres."""
        return self.cs_rho

    @property
    def c_w(self) -> np.ndarray:
        """(n + 1,) the constant ``c`` of the transform at interfaces."""
        return self.cs_w

    def surface(self, zeta):
        """The free surface as the levels know it, m: zeta."""
        return zeta

    def stretch(self, h, zeta):
        """The factor that multiplies ``a + h * cs``; h and zeta in m, any equal shapes."""
        return (zeta + h) / (self.hc + h) if self.vtransform == 2 else 1 + zeta / h

    def z_rho(self, h: np.ndarray, zeta: np.ndarray) -> np.ndarray:
        """Height of layer centres, m, positive up. h, zeta (...) -> (n, ...)."""
        return self._z(self.a_rho, self.cs_rho, h, zeta)

    def z_w(self, h: np.ndarray, zeta: np.ndarray) -> np.ndarray:
        """Height of layer interfaces, m, positive up. h, zeta (...) -> (n + 1, ...)."""
        return self._z(self.a_w, self.cs_w, h, zeta)

    def layer_thickness(self, h: np.ndarray, zeta: np.ndarray) -> np.ndarray:
        """Thickness of layers (Hz), m. h, zeta (...) -> (n, ...)."""
        return np.diff(self.z_w(h, zeta), axis=0)

    def _z(self, a, cs, h, zeta):
        h = np.asarray(h, dtype=np.float64)
        zeta = np.asarray(zeta, dtype=np.float64)
        shape = (-1,) + (1,) * max(h.ndim, zeta.ndim)
        return zeta + self.stretch(h, zeta) * (a.reshape(shape) + h * cs.reshape(shape))


@dataclass(frozen=True, eq=False)
class ZCoordinate:
    """Levels at given heights, from the deepest up; a column ends where its sea floor is, within a layer too (partial cells).

    Attributes
    ----------
    rho : (n,) float64
        Heights of layer centres at rest, m, positive up, increasing, below 0.
    w : (n + 1,) float64
        Heights of layer interfaces at rest; the last is 0. Each centre lies between its two interfaces.
    moves : bool
        True: levels follow the free surface as in z* (``1 + zeta / h``). False: levels are fixed, zeta counts as 0.
    thickness_u, thickness_v : (n, eta, xi - 1), (n, eta - 1, xi) float32, optional
        Thickness of layers at the u and v points of a C-grid at rest, m. Default: the smaller of the two cells beside.

    Raises
    ------
    InputError
        If levels are not finite, not in order, or do not fit together.
    """

    rho: np.ndarray
    w: np.ndarray
    moves: bool = False
    thickness_u: np.ndarray | None = None
    thickness_v: np.ndarray | None = None

    def __post_init__(self):
        for name in ("rho", "w"):
            value = np.ascontiguousarray(getattr(self, name), dtype=np.float64).ravel()
            value.setflags(write=False)
            object.__setattr__(self, name, value)
            if not np.isfinite(value).all():
                raise InputError(f"z-levels: {name} holds values that are not finite")
            if np.any(np.diff(value) <= 0):
                raise InputError(f"z-levels: {name} must increase from the deepest level to the surface")
        n = self.rho.size
        if n < 2 or self.w.size != n + 1:
            raise InputError(f"z-levels: {n} centres and {self.w.size} interfaces do not fit together: n and n + 1 are needed")
        if self.w[-1] != 0 or np.any(self.rho <= self.w[:-1]) or np.any(self.rho >= self.w[1:]):
            raise InputError("z-levels: each centre must lie between its two interfaces, and the uppermost interface at 0 m")
        for name in ("thickness_u", "thickness_v"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=np.float32))

    @property
    def n(self) -> int:
        """Number of layers."""
        return self.rho.size

    @property
    def hc(self) -> float:
        """Critical depth, m: none."""
        return 0.0

    @property
    def vtransform(self) -> int:
        """The kind of stretch that compiled code uses: 1 + zeta / h."""
        return 1

    @property
    def a_rho(self) -> np.ndarray:
        """(n,) heights of layer centres at rest, m."""
        return self.rho

    @property
    def a_w(self) -> np.ndarray:
        """(n + 1,) heights of interfaces at rest, m."""
        return self.w

    @property
    def c_rho(self) -> np.ndarray:
        """(n,) zeros: levels do not follow the sea floor."""
        return np.zeros(self.n)

    @property
    def c_w(self) -> np.ndarray:
        """(n + 1,) zeros."""
        return np.zeros(self.n + 1)

    def surface(self, zeta):
        """The free surface as the levels know it, m: zeta, or 0 where levels are fixed."""
        return zeta if self.moves else np.zeros_like(zeta)

    def stretch(self, h, zeta):
        """The factor that multiplies ``a``; h and zeta in m, any equal shapes."""
        return 1 + self.surface(zeta) / h

    def z_rho(self, h: np.ndarray, zeta: np.ndarray) -> np.ndarray:
        """Height of layer centres, m, positive up, below the sea floor too. h, zeta (...) -> (n, ...)."""
        h, zeta, shape = self._arrays(h, zeta)
        return self.surface(zeta) + self.stretch(h, zeta) * self.rho.reshape(shape)

    def z_w(self, h: np.ndarray, zeta: np.ndarray) -> np.ndarray:
        """Height of layer interfaces, m, positive up; at the sea floor instead of below it. h, zeta (...) -> (n + 1, ...)."""
        h, zeta, shape = self._arrays(h, zeta)
        return self.surface(zeta) + self.stretch(h, zeta) * np.maximum(self.w.reshape(shape), -h)

    def layer_thickness(self, h: np.ndarray, zeta: np.ndarray) -> np.ndarray:
        """Thickness of layers, m, 0 below the sea floor. h, zeta (...) -> (n, ...)."""
        return np.diff(self.z_w(h, zeta), axis=0)

    def _arrays(self, h, zeta):
        h = np.asarray(h, dtype=np.float64)
        zeta = np.asarray(zeta, dtype=np.float64)
        return h, zeta, (-1,) + (1,) * max(h.ndim, zeta.ndim)
