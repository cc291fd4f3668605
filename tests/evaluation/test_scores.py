"""Scores against hand-worked values, invariances and scipy's own distances."""

import numpy as np
import pytest
import xarray as xr
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy as scipy_entropy

from evaluation import scores
from lagrangian.binning import bin_centres

RNG = np.random.default_rng(3)


def random_pdfs(*shape):
    pdf = RNG.gamma(0.3, size=(*shape, 20, 30))
    return pdf / pdf.sum(axis=(-2, -1), keepdims=True)


def test_hand_worked_values():
    p = np.array([[0.5, 0.5], [0.0, 0.0]])
    q = np.array([[0.5, 0.0], [0.5, 0.0]])
    assert scores.bhattacharyya_coefficient(p, q) == pytest.approx(0.5)
    assert scores.bhattacharyya_loss(p, q) == pytest.approx(0.5)
    assert scores.overlap(p, q) == pytest.approx(0.5)
    assert scores.hellinger_distance(p, q) == pytest.approx(np.sqrt(0.5))
    # KL(p, m) = 0.5 ln 1 + 0.5 ln 2 for both
    assert scores.jensen_shannon_distance(p, q) == pytest.approx(np.sqrt(0.5 * np.log(2)))
    assert scores.entropy(p) == pytest.approx(np.log(2))
    east, north = scores.mass_centre(p, x=[-4.0, 4.0], y=[-4.0, 4.0])
    assert (east, north) == (pytest.approx(0.0), pytest.approx(-4.0))
    assert scores.mass_centre_distance(p, x=[-4.0, 4.0], y=[-4.0, 4.0]) == pytest.approx(4.0)


def test_equal_and_disjoint_pdfs_are_the_ends_of_every_scale():
    p = random_pdfs(7)
    left, right = p.copy(), p.copy()
    left[..., 15:] = 0
    right[..., :15] = 0
    left, right = (half / half.sum(axis=(-2, -1), keepdims=True) for half in (left, right))
    for distance in (scores.bhattacharyya_loss, scores.hellinger_distance, scores.jensen_shannon_distance):
        np.testing.assert_allclose(distance(p, p), 0, atol=2e-8)
    np.testing.assert_allclose(scores.overlap(p, p), 1)
    np.testing.assert_allclose(scores.bhattacharyya_loss(left, right), 1)
    np.testing.assert_allclose(scores.overlap(left, right), 0)
    np.testing.assert_allclose(scores.jensen_shannon_distance(left, right), np.sqrt(np.log(2)))


def test_symmetry_and_bounds_between_the_scores():
    p, q = random_pdfs(50), random_pdfs(50)
    for score in (scores.bhattacharyya_loss, scores.overlap, scores.hellinger_distance, scores.jensen_shannon_distance):
        np.testing.assert_array_equal(score(p, q), score(q, p))
    bl, f = scores.bhattacharyya_loss(p, q), scores.overlap(p, q)
    # Le Cam's inequalities: H^2 <= 1 - F <= H sqrt(2 - H^2)
    assert (bl <= 1 - f + 1e-12).all() and (1 - f <= np.sqrt(bl * (2 - bl)) + 1e-12).all()
    np.testing.assert_allclose(scores.hellinger_distance(p, q) ** 2, bl)


def test_agreement_with_scipy():
    p, q = random_pdfs(9), random_pdfs(9)
    flat = p.reshape(9, -1), q.reshape(9, -1)
    np.testing.assert_allclose(scores.jensen_shannon_distance(p, q), jensenshannon(*flat, axis=1))
    np.testing.assert_allclose(scores.entropy(p), scipy_entropy(flat[0], axis=1))


def test_two_gaussians_have_the_closed_form():
    """BC of two normal PDFs of equal width s, d apart: exp(-d^2 / 8 s^2)."""
    x = bin_centres()
    s, d = 60.0, 80.0
    one, two = (np.exp(-((x - c) ** 2 + x[:, None] ** 2) / (2 * s**2)) for c in (-d / 2, d / 2))
    one, two = one / one.sum(), two / two.sum()
    assert scores.bhattacharyya_coefficient(one, two) == pytest.approx(np.exp(-(d**2) / (8 * s**2)), rel=1e-6)
    assert scores.entropy(one) == pytest.approx(1 + np.log(2 * np.pi * (s / 8) ** 2), rel=1e-6)
    assert scores.mass_centre(two)[0] == pytest.approx(d / 2, rel=1e-4)


def test_labelled_arrays_are_matched_by_name():
    p, q = random_pdfs(4, 3), random_pdfs(3)
    a = xr.DataArray(p, dims=("experiment", "level", "y", "x"))
    b = xr.DataArray(q, dims=("level", "y", "x"), coords={"level": [3, 2, 1]})
    bl = scores.bhattacharyya_loss(b, a).transpose("experiment", "level")
    np.testing.assert_allclose(bl, scores.bhattacharyya_loss(p, q))
    assert bl["level"].values.tolist() == [3, 2, 1]
    turned = a.transpose("x", "experiment", "y", "level")
    np.testing.assert_allclose(scores.entropy(turned).transpose("experiment", "level"), scores.entropy(p))
    lazy = scores.overlap(a.chunk(experiment=2), b)
    assert lazy.chunks is not None
    np.testing.assert_allclose(lazy.compute().transpose("experiment", "level"), scores.overlap(p, q))


def test_nan_gives_nan_and_mass_outside_the_box_counts_as_missed():
    p = random_pdfs(2)
    p[1, 3, 3] = np.nan
    for score in (scores.entropy, scores.mass_centre_distance):
        found = score(p, **({} if score is scores.entropy else dict(x=np.arange(30), y=np.arange(20))))
        assert np.isfinite(found[0]) and np.isnan(found[1])
    assert np.isnan(scores.bhattacharyya_loss(p, p)[1]) and np.isnan(scores.jensen_shannon_distance(p, p)[1])
    half = 0.5 * p[0]
    assert scores.bhattacharyya_loss(half, half) == pytest.approx(0.5)
    assert scores.valid_percent(np.array([0.1, 0.5, np.nan, 0.2])) == pytest.approx(200 / 3)


def test_boxes_hold_the_cells_of_the_method():
    for name, cells in (("box100", 12), ("box200", 24)):
        box = scores.box_pdf(scores.BOXES_KM[name])
        assert (box > 0).sum() == cells**2 and box.sum() == pytest.approx(1)
        np.testing.assert_array_equal(box, box[::-1, ::-1].T)
        assert scores.entropy(box) == pytest.approx(2 * np.log(cells))
