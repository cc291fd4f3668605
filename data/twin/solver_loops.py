"""The sums of :mod:`data.twin.solver` over spectral coefficients, each in one pass.

Coefficients are flattened to one axis: (layer, wave) complex, or (layer, part), their real and imaginary parts in turn. Every
sum has one order and no product has two factors with both real and imaginary parts: the same bits on every processor (see the
solver's docstring).
"""

from __future__ import annotations

import numpy as np

from data.compiled import njit

#: Numbers of a layer that are dealt with together: they stay in the processor's nearest cache.
BLOCK = 512


def parts(coefficients: np.ndarray) -> np.ndarray:
    """Complex coefficients (row, ...) as their real and imaginary parts in turn, (row, 2 wave) float64; the same memory."""
    return np.ascontiguousarray(coefficients, np.complex128).reshape(coefficients.shape[0], -1).view(np.float64)


@njit()
def mixed(matrix, fields, out):
    """``out`` (m, part): ``matrix`` (m, layer) times ``fields`` (layer, part), layer after layer."""
    for m in range(matrix.shape[0]):
        row = out[m]
        row[:] = 0.0
        for k in range(matrix.shape[1]):
            _add(matrix[m, k], fields[k], row)


@njit()
def _add(factor, field, row):
    """``factor`` times ``field`` to ``row``, all of them without gaps in memory."""
    for i in range(row.size):
        row[i] += factor * field[i]


@njit()
def inverted(modes, inverse_modes, inverse, q, psi):
    """``psi`` (layer, part) of ``q``: to vertical modes, times ``inverse`` (mode, part), and back."""
    layers, size = q.shape
    within = np.empty((layers, BLOCK))
    for start in range(0, size, BLOCK):
        stop = min(start + BLOCK, size)
        for m in range(layers):
            row, factors = within[m][: stop - start], inverse[m][start:stop]
            row[:] = 0.0
            for k in range(layers):
                _add(inverse_modes[m, k], q[k][start:stop], row)
            for i in range(row.size):
                row[i] *= factors[i]
        for m in range(layers):
            row = psi[m][start:stop]
            row[:] = 0.0
            for k in range(layers):
                _add(modes[m, k], within[k][: stop - start], row)


@njit()
def to_be_transformed(kx, ky, psi, q, topography, tracer, out):
    """``out`` (3 layers + 1, wave): u, v, q with that of the topography, and the tracer."""
    layers, waves = q.shape
    for k in range(layers):
        for i in range(waves):
            value = psi[k, i]
            out[k, i] = complex(ky[i] * value.imag, -(ky[i] * value.real))
            out[layers + k, i] = complex(-(kx[i] * value.imag), kx[i] * value.real)
            out[2 * layers + k, i] = q[k, i]
    for i in range(waves):
        out[3 * layers - 1, i] = q[layers - 1, i] + topography[i]
        out[3 * layers, i] = tracer[i]


@njit()
def tendencies(kx, ky, flux, psi, q, gradient, mean, friction, damping, topography, dq):
    """``dq`` (layer, wave) of the fluxes ``flux`` (2 (layers + 1), wave) of q, and of the linear terms.

    ``gradient`` and ``mean`` (layer, wave) are the imaginary parts of the advection of, and by, the mean flow.
    """
    layers, waves = q.shape
    for k in range(layers):
        for i in range(waves):
            p, own = psi[k, i], q[k, i]
            east, north = np.complex128(flux[k, i]), np.complex128(flux[layers + 1 + k, i])
            real = (-(gradient[k, i] * p.imag)) - (-(mean[k, i] * own.imag))
            imag = gradient[k, i] * p.real - mean[k, i] * own.real
            real += friction[k, i] * p.real - damping[i] * own.real
            imag += friction[k, i] * p.imag - damping[i] * own.imag
            real -= -(kx[i] * east.imag) + -(ky[i] * north.imag)
            imag -= kx[i] * east.real + ky[i] * north.real
            dq[k, i] = complex(real, imag)
    last = layers - 1
    for i in range(waves):
        value = dq[last, i]
        dq[last, i] = complex(
            value.real - (-(mean[last, i] * topography[i].imag)), value.imag - mean[last, i] * topography[i].real
        )


@njit()
def tracer_tendency(kx, ky, flux, psi, tracer, mean, gradient, rate, dt):
    """``dt`` (wave) of the tracer: its fluxes, the mean flow ``mean`` (wave), the background's ``gradient``, relaxation (1/s)."""
    layers = psi.shape[0]
    for i in range(psi.shape[1]):
        p, own = psi[0, i], tracer[i]
        east, north = np.complex128(flux[layers, i]), np.complex128(flux[2 * layers + 1, i])
        real = -(-(kx[i] * east.imag) + -(ky[i] * north.imag)) - (-(mean[i] * own.imag)) - (-(kx[i] * p.imag)) * gradient
        imag = -(kx[i] * east.real + ky[i] * north.real) - mean[i] * own.real - (kx[i] * p.real) * gradient
        dt[i] = complex(real - own.real * rate, imag - own.imag * rate)


@njit()
def stepped(target, first, second, third, weights, kept):
    """``target`` (layer, part) in place: three tendencies, the newest first, with their weights; then times ``kept`` (part)."""
    for k in range(target.shape[0]):
        row, a, b, c = target[k], first[k], second[k], third[k]
        for i in range(row.size):
            row[i] = (row[i] + weights[0] * a[i] + weights[1] * b[i] + weights[2] * c[i]) * kept[i]
