"""The counts of crossings against counting by hand; the smoothing of PDFs against the heat equation's own steps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lagrangian.binning import BIN_KM, BINS, HALF_WIDTH_KM, SMOOTHING_KM, count_crossings, smooth_pdf

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


# -- counts ----------------------------------------------------------------------------------------------------------------
@st.composite
def crossings(draw):
    """x and y (experiment, particle, level), km: mostly within the box, some beyond, some missing in one or both."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = draw(st.tuples(st.integers(1, 3), st.integers(0, 40), st.integers(1, 3)))
    wide = draw(st.sampled_from([1.0, 100.0, 390.0, 900.0, 1e12]))
    x, y = rng.uniform(-wide, wide, (2, *shape))
    if draw(st.booleans()):  # on the edges of bins
        x, y = BIN_KM * np.round(x / BIN_KM), BIN_KM * np.round(y / BIN_KM)
    for axis in (x, y):
        axis[rng.random(shape) < draw(st.sampled_from([0.0, 0.3]))] = draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    kind = draw(st.sampled_from([np.float32, np.float64]))
    return x.astype(kind), y.astype(kind)


@given(places=crossings())
def test_counts_hold_every_particle_within_the_box_once_and_reached_all_that_have_a_place(places):
    x, y = places
    counts, reached = count_crossings(x, y)
    assert counts.shape == (x.shape[0], x.shape[2], BINS, BINS) and counts.dtype == reached.dtype == np.uint32
    edges = BIN_KM * np.arange(-BINS // 2, BINS // 2 + 1)
    for experiment, level in np.ndindex(reached.shape):
        one = [(a, b) for a, b in zip(x[experiment, :, level], y[experiment, :, level], strict=True)
               if np.isfinite(a) and np.isfinite(b)]  # fmt: skip
        assert reached[experiment, level] == len(one)
        inside = [(a, b) for a, b in one if -HALF_WIDTH_KM <= a < HALF_WIDTH_KM and -HALF_WIDTH_KM <= b < HALF_WIDTH_KM]
        expected = np.zeros((BINS, BINS), int)
        for a, b in inside:  # the bin whose lower edge is the last at or below
            expected[np.searchsorted(edges, b, "right") - 1, np.searchsorted(edges, a, "right") - 1] += 1
        np.testing.assert_array_equal(counts[experiment, level], expected)
        assert counts[experiment, level].sum() == len(inside) <= reached[experiment, level]


@given(places=crossings(), shift=st.tuples(st.integers(-60, 60), st.integers(-60, 60)), seed=st.integers(0, 99))
def test_a_shift_by_whole_bins_moves_the_counts_and_the_order_of_particles_does_not(places, shift, seed):
    x, y = (np.where(np.abs(one) < 1e6, one, np.nan).astype(np.float64) for one in places)
    x, y = (np.round(16 * one) / 16 for one in (x, y))  # so that the shift is exact
    counts, reached = count_crossings(x, y)
    moved, also = count_crossings(x + BIN_KM * shift[0], y + BIN_KM * shift[1])
    np.testing.assert_array_equal(also, reached)
    wide = np.pad(counts, ((0, 0), (0, 0), (60, 60), (60, 60)))
    rolled = np.roll(wide, (shift[1], shift[0]), (2, 3))[:, :, 60:-60, 60:-60]
    known = np.roll(np.pad(np.ones((BINS, BINS), bool), 60), (shift[1], shift[0]), (0, 1))[60:-60, 60:-60]
    np.testing.assert_array_equal(moved[:, :, known], rolled[:, :, known])  # what came in from outside is elsewhere
    order = np.random.default_rng(seed).permutation(x.shape[1])
    again, reached_again = count_crossings(x[:, order], y[:, order])
    np.testing.assert_array_equal(again, counts)
    np.testing.assert_array_equal(reached_again, reached)


@st.composite
def pdfs(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    pdf = rng.gamma(draw(st.sampled_from([0.02, 0.3, 5.0])), size=draw(st.tuples(st.integers(1, 40), st.integers(1, 40))))
    return pdf / max(pdf.sum(), 1e-300)


@given(pdf=pdfs(), factor=st.floats(0.0, 1e3))
def test_smoothing_keeps_mass_and_signs_and_commutes_with_mirrors_and_factors(pdf, factor):
    smooth = smooth_pdf(pdf)
    assert smooth.sum() == pytest.approx(pdf.sum(), abs=1e-12) and (smooth >= 0).all()
    assert smooth.max() <= pdf.max() + 1e-12 and smooth.min() >= min(pdf.min(), smooth.max()) - 1e-12
    for mirror in (np.s_[::-1], np.s_[:, ::-1]):
        np.testing.assert_allclose(smooth_pdf(pdf[mirror]), smooth[mirror], atol=1e-13)
    np.testing.assert_allclose(smooth_pdf(pdf.T), smooth.T, atol=1e-13)
    np.testing.assert_allclose(smooth_pdf(factor * pdf), factor * smooth, atol=1e-12 * max(factor, 1))
    # a mirror image beyond each edge is what a reflecting edge is
    doubled = np.block([[pdf, pdf[:, ::-1]], [pdf[::-1], pdf[::-1, ::-1]]])
    np.testing.assert_allclose(smooth_pdf(doubled)[: pdf.shape[0], : pdf.shape[1]], smooth, atol=1e-13)
