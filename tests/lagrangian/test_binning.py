"""The smoothing of PDFs against the heat equation's own steps."""

import numpy as np
import pytest

from lagrangian.binning import BINS, SMOOTHING_KM, smooth_pdf

RNG = np.random.default_rng(5)


def stepped(pdf, steps=50, rate=0.1):
    """The explicit scheme, edges reflecting: no flux through them."""
    pdf = pdf.astype(np.float64)
    for _ in range(steps):
        wide = np.pad(pdf, [(0, 0)] * (pdf.ndim - 2) + [(1, 1), (1, 1)], mode="edge")
        centre = wide[..., 1:-1, 1:-1]
        around = wide[..., :-2, 1:-1] + wide[..., 2:, 1:-1] + wide[..., 1:-1, :-2] + wide[..., 1:-1, 2:]
        pdf = centre + rate * (around - 4 * centre)
    return pdf


@pytest.mark.parametrize("shape", [(BINS, BINS), (3, 2, 40, 56)])
def test_smoothing_is_fifty_steps_of_the_heat_equation(shape):
    pdf = RNG.poisson(0.05, shape).astype(np.float64)
    pdf /= pdf.sum(axis=(-2, -1), keepdims=True)
    smooth = smooth_pdf(pdf)
    np.testing.assert_allclose(smooth, stepped(pdf), atol=1e-15, rtol=1e-9)
    np.testing.assert_allclose(smooth.sum(axis=(-2, -1)), 1, rtol=1e-12)
    single = smooth_pdf(pdf.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, stepped(pdf), atol=2e-8)
    np.testing.assert_allclose(single.sum(axis=(-2, -1)), 1, rtol=1e-5)


def test_smoothing_of_a_point_is_a_gaussian_of_25_km():
    pdf = np.zeros((BINS, BINS))
    pdf[50, 40] = 1
    smooth = smooth_pdf(pdf)
    x = 8.0 * np.arange(BINS)
    for axis, centre in ((0, 40), (1, 50)):
        marginal = smooth.sum(axis=axis)
        assert marginal @ x == pytest.approx(8.0 * centre)
        assert np.sqrt(marginal @ (x - 8.0 * centre) ** 2) == pytest.approx(SMOOTHING_KM) == pytest.approx(25.298, abs=1e-3)
    assert (smooth >= 0).all()
