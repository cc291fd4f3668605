"""A doubly periodic multi-layer quasi-geostrophic model with a stirred surface-temperature anomaly.

Potential vorticity q and streamfunction psi of layer k (top first), f0 and beta constant (Vallis 2017, Atmospheric and Oceanic
Fluid Dynamics, section 5.3):

    q_k = laplacian(psi_k) + sum_m S_km psi_m + (f0 h_b / H_N where k = N)
    dq_k/dt = - (u_k + U_k) . grad q_k - u_k . grad Q_k + dissipation,      u = -dpsi/dy, v = dpsi/dx

with an imposed mean flow U_k(z), its mean gradient grad Q = (S V, beta - S U), bottom topography h_b, a rigid lid, bottom drag,
linear drag on all layers, damping of the largest scales and an exponential filter of the smallest. Pseudo-spectral in double
precision, third-order Adams-Bashforth. Arrays are (layer, y, x) or, in spectral space, (layer, ky, kx) of scipy's rfft2.

The flow is chaotic: one last bit changes all eddies within months. So that a seed is one ocean everywhere, what depends on the
processor is kept out: layers are mixed by a loop of our own (BLAS chooses its sums by processor), no product has two factors
with both real and imaginary parts (some processors round once where others round twice), and exponentials, whose last bit numpy
computes by processor, are rounded to single precision (:func:`rounded`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from scipy import fft

from data.errors import InputError
from data.twin import solver_loops as loops

#: Adams-Bashforth weights of the newest tendency, the last and the one before.
ADAMS_BASHFORTH = (23 / 12, -16 / 12, 5 / 12)


@dataclass(frozen=True, eq=False)
class Parameters:
    """Parameters of the quasi-geostrophic model.

    Attributes
    ----------
    n : int
        Points along each axis (even).
    length : float
        Side of the square domain, m.
    thickness : (layer,) float64
        m, top first.
    reduced_gravity : (layer - 1,) float64
        g' of each interface, m/s2.
    f0, beta : float
        1/s, 1/(m s).
    mean_u, mean_v : (layer,) float64
        Imposed mean flow, m/s; 0 in the last layer where there is topography.
    topography : (n, n) float64
        Height of the sea floor above its mean, m.
    bottom_drag, drag : float
        Linear drag on vorticity in the last layer and in all layers, 1/s.
    large_scale_damping, large_scale_index : float
        PV damping at rate damping * exp(-(k / index)^4), k the wavenumber in units of 2 pi / length; 1/s.
    filter_strength, filter_start : float
        Factor exp(-strength (K dx - start pi)^4) on each step where K dx > start pi; strength 0 for none.
    dt : float
        s.
    tracer_gradient : float
        Background gradient of surface temperature northward, K/m.
    tracer_relaxation : float
        Time of relaxation of its anomaly, s; infinite for none.
    single : bool
        Transform products in single precision: twice as fast; rounding (1e-7 of a field) is far below the truncation. The state
        and its stepping stay in double precision.
    """

    n: int
    length: float
    thickness: np.ndarray
    reduced_gravity: np.ndarray
    f0: float
    beta: float
    mean_u: np.ndarray
    mean_v: np.ndarray
    topography: np.ndarray | None = None
    bottom_drag: float = 0.0
    drag: float = 0.0
    large_scale_damping: float = 0.0
    large_scale_index: float = 3.0
    filter_strength: float = 23.6
    filter_start: float = 0.65
    dt: float = 1800.0
    tracer_gradient: float = 0.0
    tracer_relaxation: float = np.inf
    single: bool = False

    def __post_init__(self):
        for name in ("thickness", "reduced_gravity", "mean_u", "mean_v"):
            object.__setattr__(self, name, np.array(getattr(self, name), dtype=np.float64))
        layers = self.thickness.size
        if self.n < 8 or self.n % 2:
            raise InputError(f"twin: n = {self.n} must be even and at least 8")
        if (self.thickness <= 0).any() or (self.reduced_gravity <= 0).any():
            raise InputError("twin: layer thickness and reduced gravity must be positive")
        if self.reduced_gravity.size != layers - 1 or self.mean_u.size != layers or self.mean_v.size != layers:
            raise InputError(f"twin: {layers} layers need {layers - 1} reduced gravities and {layers} mean velocities")
        if self.dt <= 0 or self.length <= 0:
            raise InputError("twin: dt and length must be positive")
        if self.topography is not None and np.shape(self.topography) != (self.n, self.n):
            raise InputError(f"twin: topography must be ({self.n}, {self.n})")

    @property
    def layers(self) -> int:
        """Number of layers."""
        return self.thickness.size

    @property
    def stretching(self) -> np.ndarray:
        """(layer, layer) matrix S, 1/m2: q = laplacian(psi) + S psi."""
        n = self.layers
        s = np.zeros((n, n))
        for k in range(n - 1):
            coupling = self.f0**2 / self.reduced_gravity[k]
            s[k, k] -= coupling / self.thickness[k]
            s[k, k + 1] += coupling / self.thickness[k]
            s[k + 1, k + 1] -= coupling / self.thickness[k + 1]
            s[k + 1, k] += coupling / self.thickness[k + 1]
        return s

    def modes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Vertical modes: eigenvalues lambda (<= 0, barotropic first, 1/m2), modes (layer, mode), and their inverse.

        Deformation radii are 1 / sqrt(-lambda).
        """
        root = np.sqrt(self.thickness)
        symmetric = root[:, None] * self.stretching / root[None, :]
        values, vectors = np.linalg.eigh(0.5 * (symmetric + symmetric.T))
        order = np.argsort(-values)
        values, vectors = np.minimum(values[order], 0.0), vectors[:, order]
        values[0] = 0.0
        return values, vectors / root[:, None], vectors.T * root[None, :]

    def mean_gradient(self) -> tuple[np.ndarray, np.ndarray]:
        """(dQ/dx, dQ/dy) of the imposed flow, each (layer,), 1/(m s)."""
        return (self.stretching * self.mean_v).sum(axis=1), self.beta - (self.stretching * self.mean_u).sum(axis=1)


@dataclass
class State:
    """The state before a step: potential vorticity, tracer, and the last tendencies; all spectral.

    Attributes
    ----------
    q : (layer, ky, kx) complex128
        Potential vorticity without that of the topography.
    tracer : (ky, kx) complex128
        Surface-temperature anomaly, K.
    past : list of (q tendency, tracer tendency)
        Newest first, at most two.
    steps : int
    """

    q: np.ndarray
    tracer: np.ndarray
    past: list = field(default_factory=list)
    steps: int = 0

    def copy(self) -> State:
        """A state that shares nothing with this one."""
        return State(self.q.copy(), self.tracer.copy(), [(a.copy(), b.copy()) for a, b in self.past], self.steps)


class Model:
    """Steps a :class:`State` of given :class:`Parameters`."""

    def __init__(self, parameters: Parameters):
        p = self.parameters = parameters
        k = 2 * np.pi / p.length
        self.kx = k * np.arange(p.n // 2 + 1)[None, :]
        self.ky = k * fft.fftfreq(p.n, 1 / p.n)[:, None]
        self.k2 = self.kx**2 + self.ky**2
        # the derivative of the Nyquist wave is not defined: leave it out
        self._ikx = 1j * np.where(np.arange(p.n // 2 + 1) == p.n // 2, 0.0, self.kx)
        self._iky = 1j * np.where(np.abs(self.ky) >= k * p.n / 2 - 1e-12, 0.0, self.ky)
        values, self._modes, self._inverse_modes = p.modes()
        denominator = -self.k2[None] + values[:, None, None]
        denominator[0, 0, 0] = 1.0
        self._inverse = 1.0 / denominator
        self._inverse[0, 0, 0] = 0.0
        self._topography = np.zeros((p.n, p.n // 2 + 1), complex)
        if p.topography is not None:
            self._topography = self.transform(p.f0 * np.asarray(p.topography) / p.thickness[-1])
        index = np.sqrt(self.k2) / k
        self._damping = p.large_scale_damping * rounded(np.exp(-((index / p.large_scale_index) ** 4)))
        grid = np.sqrt(self.k2) * p.length / p.n
        excess = np.maximum(grid - p.filter_start * np.pi, 0.0)
        self._filter = rounded(np.exp(-p.filter_strength * excess**4))
        drag = np.full((p.layers, 1, 1), p.drag)
        drag[-1] += p.bottom_drag

        def flat(factors: np.ndarray, rows: int = p.layers) -> np.ndarray:
            return np.ascontiguousarray(np.broadcast_to(factors, (rows, p.n, p.n // 2 + 1))).reshape(rows, -1)

        # all that is linear: factors for q and psi, imaginary ones apart from real ones (see the module's docstring)
        self._flat_kx, self._flat_ky = (flat(factors.imag, 1)[0] for factors in (self._ikx, self._iky))
        self._mean_advection = flat((p.mean_u[:, None, None] * self._ikx + p.mean_v[:, None, None] * self._iky).imag)
        qx, qy = (gradient[:, None, None] for gradient in p.mean_gradient())
        self._gradient_advection = flat((self._iky * qx - self._ikx * qy).imag)
        self._friction = flat(drag * self.k2)
        self._inverse_parts = np.repeat(self._inverse.reshape(p.layers, -1), 2, axis=1)
        self._filter_parts = np.repeat(self._filter.ravel(), 2)

    # -- between spaces ----------------------------------------------------------------------------------------------
    @staticmethod
    def transform(field: np.ndarray) -> np.ndarray:
        """Physical (..., y, x) to spectral."""
        return fft.rfft2(field, norm="forward")

    def physical(self, field: np.ndarray) -> np.ndarray:
        """Spectral to physical (..., y, x)."""
        return fft.irfft2(field, s=(self.parameters.n,) * 2, norm="forward")

    def streamfunction(self, q: np.ndarray) -> np.ndarray:
        """Spectral psi of spectral q (its own, without topography); zero domain mean in the barotropic mode."""
        psi = np.empty(q.shape, complex)
        loops.inverted(self._modes, self._inverse_modes, self._inverse_parts, loops.parts(q), loops.parts(psi))
        return psi

    def vorticity_of(self, psi: np.ndarray) -> np.ndarray:
        """Spectral q of spectral psi: the inverse of :meth:`streamfunction`."""
        return -self.k2 * psi + mix_layers(self.parameters.stretching, psi)

    def from_streamfunction(self, psi: np.ndarray, tracer: np.ndarray | None = None) -> State:
        """A state at rest in its history from physical psi (layer, y, x), m2/s, and a tracer anomaly (y, x), K."""
        n = self.parameters.n
        return State(self.vorticity_of(self.transform(psi)), self.transform(np.zeros((n, n)) if tracer is None else tracer))

    def velocity(self, psi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Physical (u, v) of the eddies from spectral psi, m/s; the imposed mean flow is not in it."""
        return self.physical(-self._iky * psi), self.physical(self._ikx * psi)

    # -- the equations -----------------------------------------------------------------------------------------------
    def tendency(self, state: State) -> tuple[np.ndarray, np.ndarray]:
        """(dq/dt, dT/dt), spectral."""
        p = self.parameters
        n, half, waves = p.layers, p.layers + 1, state.tracer.shape
        q, tracer, topography = state.q.reshape(n, -1), state.tracer.ravel(), self._topography.ravel()
        psi = self.streamfunction(state.q).reshape(n, -1)
        spectral = np.empty((3 * n + 1, *waves), np.complex64 if p.single else np.complex128)
        loops.to_be_transformed(self._flat_kx, self._flat_ky, psi, q, topography, tracer, spectral.reshape(3 * n + 1, -1))
        fields = self.physical(spectral)
        products = np.empty((2 * half, *fields.shape[1:]), fields.dtype)
        for start, velocity in ((0, fields[:n]), (half, fields[n : 2 * n])):
            np.multiply(velocity, fields[2 * n : 3 * n], out=products[start : start + n])
            np.multiply(velocity[0], fields[-1], out=products[start + n])
        flux = self.transform(products).reshape(2 * half, -1)
        dq, dt = np.empty((n, *waves), complex), np.empty(waves, complex)
        loops.tendencies(
            self._flat_kx, self._flat_ky, flux, psi, q, self._gradient_advection, self._mean_advection, self._friction,
            self._damping.ravel(), topography, dq.reshape(n, -1),
        )  # fmt: skip
        loops.tracer_tendency(
            self._flat_kx, self._flat_ky, flux, psi, tracer, self._mean_advection[0], p.tracer_gradient,
            1.0 / p.tracer_relaxation, dt.ravel(),
        )  # fmt: skip
        return dq, dt

    def step(self, state: State) -> None:
        """Advance by one time step, in place: Adams-Bashforth, begun by two steps of fourth-order Runge-Kutta."""
        dt = self.parameters.dt
        # a step changes their memory, which must be theirs and without gaps
        state.q, state.tracer = (np.ascontiguousarray(one, np.complex128) for one in (state.q, state.tracer))
        newest = self.tendency(state)
        if len(state.past) < 2:
            change = self._runge_kutta(state, newest)
            state.q += change[0]
            state.tracer += change[1]
            state.q *= self._filter
            state.tracer *= self._filter
        else:
            weights = tuple(dt * weight for weight in ADAMS_BASHFORTH)
            for number, target in enumerate((state.q, state.tracer[None])):
                tendencies = (loops.parts(tendency[number].reshape(target.shape)) for tendency in (newest, *state.past))
                loops.stepped(loops.parts(target), *tendencies, weights, self._filter_parts)
        state.past = [newest, *state.past][:2]
        state.steps += 1

    def _runge_kutta(self, state: State, first) -> tuple[np.ndarray, np.ndarray]:
        """Change of (q, tracer) over one step."""
        dt = self.parameters.dt
        slopes = [first]
        for part in (0.5, 0.5, 1.0):
            last = slopes[-1]
            slopes.append(self.tendency(State(state.q + part * dt * last[0], state.tracer + part * dt * last[1])))
        a, b, c, d = slopes
        return tuple(dt / 6 * (a[k] + 2 * b[k] + 2 * c[k] + d[k]) for k in (0, 1))

    def energy(self, state: State) -> float:
        """Kinetic plus available potential energy per unit area over density, m3/s2 (eddies alone)."""
        p = self.parameters
        psi = self.streamfunction(state.q)
        return float(-0.5 * np.sum(p.thickness[:, None, None] * self._weight * np.real(np.conj(psi) * state.q)))

    def enstrophy(self, state: State) -> np.ndarray:
        """(layer,) mean of q^2 / 2, topography included, 1/s2."""
        total = state.q.copy()
        total[-1] += self._topography
        return 0.5 * np.sum(self._weight * np.abs(total) ** 2, axis=(1, 2))

    @property
    def _weight(self) -> np.ndarray:
        """How often each spectral coefficient of rfft2 counts in a sum over all wavenumbers."""
        weight = np.full(self.k2.shape, 2.0)
        weight[:, 0] = 1.0
        weight[:, -1] = 1.0
        return weight

    def growth_rates(self, kx: float, ky: float) -> np.ndarray:
        """Complex frequencies omega (layer,) of waves exp(i (kx x + ky y - omega t)) on the imposed flow, without friction
        or topography, 1/s; growth where the imaginary part is positive."""
        p = self.parameters
        k2 = kx**2 + ky**2
        inversion = np.linalg.inv(p.stretching - k2 * np.eye(p.layers))
        advect = np.diag(kx * p.mean_u + ky * p.mean_v)
        qx, qy = p.mean_gradient()
        gradient = np.diag(kx * qy - ky * qx)
        return np.linalg.eigvals(advect + gradient @ inversion)


def mix_layers(matrix: np.ndarray, fields: np.ndarray) -> np.ndarray:
    """(m, ...) complex128: ``matrix`` (m, layer) times ``fields`` (layer, ...), the same on every processor."""
    out = np.empty((matrix.shape[0], *fields.shape[1:]), complex)
    loops.mixed(np.ascontiguousarray(matrix), loops.parts(fields), loops.parts(out))
    return out


def rounded(values: np.ndarray) -> np.ndarray:
    """``values`` as float64 that single precision holds: computed to some last bits or others, they are the same."""
    return np.asarray(values, np.float32).astype(np.float64)


def with_changes(parameters: Parameters, **changes) -> Parameters:
    """These parameters with some changed."""
    return replace(parameters, **changes)
