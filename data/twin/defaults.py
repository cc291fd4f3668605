"""The twin's ocean: layers, stratification, mean flow and sea floor like those of the Porcupine Abyssal Plain."""

from __future__ import annotations

import numpy as np
from scipy import fft

from data.twin.solver import Parameters, rounded

LATITUDE = 49.0
F0 = 2 * 7.292115e-5 * np.sin(np.deg2rad(LATITUDE))
BETA = 1.50e-11
N_POINTS = 128
SPACING = 8000.0  # m
THICKNESS = (300.0, 450.0, 650.0, 900.0, 1100.0, 1400.0)  # m
#: N2 ~ exp(-z / 900 m) + 0.5 exp(-((z - 850) / 350)^2), scaled to a first deformation radius of 23 km.
REDUCED_GRAVITY = (0.00377, 0.00595, 0.00280, 0.00101, 0.00037)  # m s-2
MEAN_U, MEAN_V = 0.08, -0.034  # m/s at the top
BOTTOM_DRAG, DRAG = 1.8e-7, 5e-8  # 1/s
LARGE_SCALE_DAMPING = 4e-7  # 1/s
TOPOGRAPHY_RMS = 150.0  # m
TRACER_GRADIENT = -0.8e-5  # K/m
TRACER_RELAXATION = 60 * 86400.0  # s
GRAVITY = 9.81
TIME_STEP = 2400.0  # s; 36 a day


def layer_centres() -> np.ndarray:
    """(layer,) depth of the middle of each layer, m, positive down."""
    edges = np.concatenate([[0.0], np.cumsum(THICKNESS)])
    return 0.5 * (edges[1:] + edges[:-1])


def topography(seed: int, n: int = N_POINTS, spacing: float = SPACING) -> np.ndarray:
    """(n, n) random sea floor, m above its mean, of spectrum (1 + (K 120 km / 2 pi)^2)^-1.5 exp(-(K 35 km / 2 pi)^4)."""
    rng = np.random.default_rng([seed, 1])
    k = 2 * np.pi * np.hypot(fft.rfftfreq(n, spacing)[None, :], fft.fftfreq(n, spacing)[:, None])
    amplitude = (1 + (k * 120e3 / (2 * np.pi)) ** 2) ** -0.75 * np.exp(-0.5 * (k * 35e3 / (2 * np.pi)) ** 4)
    amplitude[0, 0] = 0.0
    height = fft.irfft2(fft.rfft2(rng.standard_normal((n, n))) * amplitude, s=(n, n))
    return rounded(TOPOGRAPHY_RMS * height / height.std())


def default_parameters(seed: int = 0, **changes) -> Parameters:
    """The twin's parameters; ``seed`` chooses the sea floor."""
    shape = 0.5 * (1 - np.tanh((layer_centres() - 650.0) / 450.0))
    shape = rounded((shape - shape[-1]) / (shape[0] - shape[-1]))
    values = dict(
        n=N_POINTS,
        length=N_POINTS * SPACING,
        thickness=THICKNESS,
        reduced_gravity=REDUCED_GRAVITY,
        f0=F0,
        beta=BETA,
        mean_u=MEAN_U * shape,
        mean_v=MEAN_V * shape,
        topography=topography(seed),
        bottom_drag=BOTTOM_DRAG,
        drag=DRAG,
        large_scale_damping=LARGE_SCALE_DAMPING,
        tracer_gradient=TRACER_GRADIENT,
        tracer_relaxation=TRACER_RELAXATION,
        dt=TIME_STEP,
        single=True,
    )
    return Parameters(**{**values, **changes})
