"""The export level, boxes and means of PDFs: each idea has one owner, and that owner is right."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data import frame
from evaluation import cross_correlation, scores
from lagrangian import binning, config, fields, pdf
from lagrangian.config import LEVELS
from learning import inputs


@pytest.mark.parametrize(
    ("levels", "expected"),
    [(LEVELS, 200.0), ((1000.0, 100.0), 100.0), ((1000.0, 200.0, 50.0), 200.0), ((500.0,), 500.0), ((100.0, 1000.0), 100.0)],
)
def test_the_export_level_is_that_of_200_m_or_else_the_shallowest(levels, expected):
    assert pdf.export_level(levels) == expected
    assert levels[pdf.export_number(levels)] == expected


def test_boxes_hold_the_share_that_their_uniform_pdf_overlaps():
    """Two routes to one number: the share of a PDF in a box, and the cells where the box's own PDF is not 0."""
    x = binning.bin_centres()
    some = np.random.default_rng(0).gamma(0.3, size=(100, 100))
    some /= some.sum()
    for name, width in pdf.BOXES_KM.items():
        inside = scores.box_pdf(width, x, x) > 0
        assert pdf.share_in_box(some, x, x, width) == pytest.approx(some[inside].sum(), rel=1e-12)
        assert inside.sum() == {"box100": 144, "box200": 576}[name]


def test_the_half_width_that_holds_a_share_is_of_a_square():
    x = binning.bin_centres()
    corner, side = np.zeros((2, 100, 100))
    corner[50 + 9, 50 - 10] = side[50, 50 + 9] = 1.0  # 76 km along both axes, and along one
    assert pdf.half_width_km(corner, x, x, 0.5) == pdf.half_width_km(side, x, x, 0.5) == 76.0
    both = 0.6 * corner + 0.4 * np.eye(100)[[50]].T * (x == 4.0)
    assert [pdf.half_width_km(both, x, x, share) for share in (0.3, 0.5)] == [4.0, 76.0]
    assert pdf.half_width_km(0 * corner, x, x, 0.5) == 0.0


def test_a_mean_in_batches_is_that_of_all_at_once_and_leaves_out_what_none_reached():
    rng = np.random.default_rng(1)
    pdfs = rng.gamma(0.5, size=(11, 2, 4, 5))
    pdfs[3, 0] = np.nan
    weights = rng.uniform(0.5, 2, (11, 2))
    for given_weights in (None, weights):
        mean = pdf.MeanPdf()
        for first in range(0, 11, 4):
            rows = slice(first, first + 4)
            mean.add(pdfs[rows], None if given_weights is None else weights[rows])
        for level in range(2):
            known = np.isfinite(pdfs[:, level, 0, 0])
            expected = np.average(pdfs[known, level], axis=0, weights=None if given_weights is None else weights[known, level])
            np.testing.assert_allclose(mean.value()[level], expected, rtol=1e-12)
    nothing = pdf.MeanPdf()
    nothing.add(np.full((3, 4, 5), np.nan))
    assert (nothing.value() == 0).all()


def test_the_constant_of_least_bl_by_hand():
    """P1 = (1, 0), P2 = (0.36, 0.64): mean roots (0.8, 0.4), squares (0.64, 0.16), made to sum 1: (0.8, 0.2)."""
    pdfs = np.array([[[1.0, 0.0]], [[0.36, 0.64]]])
    mean = pdf.MeanPdf()
    mean.add(np.sqrt(pdfs))
    np.testing.assert_allclose(pdf.constant_of_least_bl(mean.value()), [[0.8, 0.2]], rtol=1e-14)
    assert (pdf.constant_of_least_bl(np.zeros((2, 2))) == 0).all()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.integers(2, 7), st.floats(0.05, 2.0))
def test_no_constant_pdf_has_a_smaller_expected_bl(seed, n, shape):
    rng = np.random.default_rng(seed)

    def drawn(number):
        some = rng.gamma(shape, size=(number, 6, 6)) + 1e-12
        return some / some.sum(axis=(1, 2), keepdims=True)

    pdfs = drawn(n)
    best = pdf.constant_of_least_bl(np.sqrt(pdfs).mean(axis=0))
    assert best.sum() == pytest.approx(1)
    least = scores.bhattacharyya_loss(pdfs, best).mean()
    others = np.concatenate([drawn(30), pdfs, pdfs.mean(axis=0)[None]])
    # neighbours of the best as well: a minimum is flat, so that a small step must not gain anything
    others = np.concatenate([others, 0.99 * best + 0.01 * others])
    assert min(scores.bhattacharyya_loss(pdfs, one).mean() for one in others) >= least - 1e-12


def test_each_constant_of_the_method_has_one_owner():
    assert scores.BOXES_KM is pdf.BOXES_KM
    assert inputs.LAGS_DAYS is fields.LAGS_DAYS is config.LAGS_DAYS == (0, 10, 20, 30, 40)
    assert {cross_correlation.sinking_speed(lag) for lag in range(0, 110, 3)} == set(config.SINKING_SPEEDS)
    assert [cross_correlation.sinking_speed(lag) for lag in (11.9, 12, 18, 25, 34)] == [300, 200, 150, 100, 80]
    assert (binning.BINS, binning.BIN_KM) == (frame.WINDOW_POINTS, frame.WINDOW_SPACING_KM) == (100, 8.0)
    assert binning.HALF_WIDTH_KM == frame.HALF_WINDOW_KM == fields.HALF_WINDOW_KM == 400.0
