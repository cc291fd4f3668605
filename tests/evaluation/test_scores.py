"""Scores against hand-worked values, invariances and scipy's own distances."""

import sys

import numpy as np
import pytest
import xarray as xr
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy as scipy_entropy
from scipy.stats import wasserstein_distance

from data.errors import CatchmentError
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


def test_probabilities_too_small_for_single_precision_count_nothing():
    p = random_pdfs().astype(np.float32)
    q = p[::-1, ::-1].copy()
    p[0, 0], q[0, 0] = np.nextafter(np.float32(0), np.float32(1)), 0.0  # half of the least number is 0
    for score in (scores.jensen_shannon_distance, scores.hellinger_distance, scores.bhattacharyya_loss, scores.overlap):
        assert float(score(p, q)) == pytest.approx(float(score(p.astype(float), q.astype(float))), rel=1e-5)


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


# -- the one signature -----------------------------------------------------------------------------------------------------

TWO = (
    scores.bhattacharyya_coefficient, scores.bhattacharyya_loss, scores.overlap, scores.valid, scores.hellinger_distance,
    scores.jensen_shannon_distance,
)  # fmt: skip
PLACE = {"x": np.arange(30.0) * 8, "y": np.arange(20.0) * 8}


@pytest.mark.parametrize("score", [*TWO, scores.entropy, scores.mass_centre_distance, scores.earth_movers_distance])
def test_every_score_averages_arrays_and_labelled_arrays_alike(score):
    maps = [random_pdfs(3, 2) for _ in range(1 if score in (scores.entropy, scores.mass_centre_distance) else 2)]
    maps[0][2, 1, 5, 5] = np.nan
    options = PLACE if score in (scores.mass_centre_distance, scores.earth_movers_distance) else {}
    weights = np.array([1.0, 3.0, 2.0])
    plain = score(*maps, **options)
    assert plain.shape == (3, 2) and np.isnan(plain[2, 1]) and np.isfinite(plain).sum() == 5
    by_hand = np.array([weights @ plain[:, 0] / 6, weights[:2] @ plain[:2, 1] / 4])
    labelled = [xr.DataArray(one, dims=("experiment", "level", "y", "x"), coords=PLACE) for one in maps]
    named = xr.DataArray(weights, dims="experiment")
    for how in ({"reduce_dims": 0}, {"preserve_dims": [-1]}):
        np.testing.assert_allclose(score(*maps, **options, **how, weights=weights[:, None]), by_hand)
    for how in ({"reduce_dims": "experiment"}, {"preserve_dims": "level"}):
        found = score(*labelled, **how, weights=named)
        assert found.dims == ("level",)
        np.testing.assert_allclose(found, by_hand)
    everything = np.nansum(weights[:, None] * plain) / 10
    assert score(*maps, **options, reduce_dims="all", weights=weights[:, None]) == pytest.approx(everything)
    assert float(score(*labelled, reduce_dims="all", weights=named.expand_dims(level=2))) == pytest.approx(everything)
    assert float(score(*labelled, reduce_dims="all")) == pytest.approx(np.nanmean(plain))


def test_an_average_of_nothing_is_nan_and_impossible_averages_are_refused():
    p = random_pdfs(2, 3)
    p[:, 1] = np.nan
    assert np.isnan(scores.entropy(p, reduce_dims=0)).tolist() == [False, True, False]
    for options, words in (
        ({"reduce_dims": 0, "preserve_dims": 1}, "not both"),
        ({"reduce_dims": 2}, "no dimension 2"),
        ({"reduce_dims": "level"}, "no dimension level"),
        ({"weights": np.ones(3)}, "give reduce_dims"),
        ({"reduce_dims": 1, "weights": [-1, 1, 1]}, "0 or greater"),
        ({"reduce_dims": 1, "weights": [np.nan, 1, 1]}, "0 or greater"),
    ):
        with pytest.raises(ValueError, match=words):
            scores.entropy(p, **options)
    with pytest.raises(TypeError, match="takes 2 PDFs"):
        scores.overlap(p)


def test_the_share_of_valid_pdfs_is_that_of_losses_below_the_bound():
    p = random_pdfs(40)
    part = np.linspace(0, 1, 40)[:, None, None]
    q = part * p + (1 - part) * random_pdfs(40)
    bl = scores.bhattacharyya_loss(p, q)
    assert 0 < (bl < 0.3).sum() < 40
    assert scores.valid_percent(bl) == pytest.approx(100 * (bl < 0.3).mean())
    assert scores.valid(p, q, reduce_dims="all") == pytest.approx((bl < 0.3).mean())
    assert scores.valid_percent([0.3, np.nextafter(0.3, 0)]) == 50  # the bound itself is not valid


# -- the earth mover's distance --------------------------------------------------------------------------------------------


def blob(east, north, width=50.0):
    x = bin_centres()
    one = np.exp(-((x[None, :] - east) ** 2 + (x[:, None] - north) ** 2) / (2 * width**2))
    return one / one.sum()


def test_moving_two_cells_costs_what_is_worked_by_hand():
    # half of the mass stays, half goes 3 cells east and 4 north: 0.5 x 5 cells of 8 km
    p, q = np.zeros((2, 5, 5))
    p[0, 0] = 1.0
    q[0, 0] = q[4, 3] = 0.5
    axis = 8.0 * np.arange(5)
    assert scores.earth_movers_distance(p, q, axis, axis, cell_km=None) == pytest.approx(20.0)
    assert scores.earth_movers_distance(p, p, axis, axis, cell_km=None) == 0.0
    # mass outside the box is left out, not missed
    assert scores.earth_movers_distance(0.5 * p, q, axis, axis, cell_km=None) == pytest.approx(20.0)


def test_a_blob_moved_by_d_km_is_d_km_away():
    for cell, (east, north) in ((40.0, (80.0, -120.0)), (40.0, (40.0, 0.0)), (16.0, (48.0, 16.0))):
        found = scores.earth_movers_distance(blob(0, 0), blob(east, north), cell_km=cell)
        assert found == pytest.approx(np.hypot(east, north), rel=1e-3)
    # given from north to south
    south = {"y": bin_centres()[::-1], "x": bin_centres()}
    turned = scores.earth_movers_distance(blob(0, 0)[::-1], blob(80.0, -120.0)[::-1], **south)
    assert turned == pytest.approx(np.hypot(80, 120), rel=1e-3)
    # not a whole number of cells
    assert scores.earth_movers_distance(blob(0, 0), blob(56.0, 24.0)) == pytest.approx(np.hypot(56, 24), rel=0.01)


def test_earth_movers_distances_are_symmetric_and_obey_the_triangle():
    p, q, r = random_pdfs(3, 4)
    place = {"x": np.arange(30.0) * 8, "y": np.arange(20.0) * 8}
    there, back, by, on = (scores.earth_movers_distance(*pair, **place) for pair in ((p, q), (q, p), (p, r), (r, q)))
    np.testing.assert_allclose(there, back, rtol=1e-9)
    assert (there <= by + on + 1e-9).all() and (there > 0).all()
    # no shorter than the way between the mass centres
    away = np.hypot(*(a - b for a, b in zip(scores.mass_centre(p, **place), scores.mass_centre(q, **place), strict=True)))
    assert (there >= away - 45.3).all()
    exact = scores.earth_movers_distance(p, q, **place, cell_km=None)
    assert (exact >= away - 1e-9).all()


def test_in_one_dimension_scipy_has_the_same_distance():
    x = 8.0 * np.arange(30)
    for p, q in zip(random_pdfs(5), random_pdfs(5), strict=True):
        p, q = p[:1] / p[:1].sum(), q[:1] / q[:1].sum()
        found = scores.earth_movers_distance(p, q, x, np.zeros(1), cell_km=None)
        assert found == pytest.approx(wasserstein_distance(x, x, p[0], q[0]))


def test_coarse_cells_change_the_distance_by_no_more_than_they_move_mass():
    place = {"x": np.arange(30.0) * 8, "y": np.arange(20.0) * 8}
    p, q = random_pdfs(4), random_pdfs(4)
    exact = scores.earth_movers_distance(p, q, **place, cell_km=None)
    for cell, n in ((16.0, 2), (40.0, 5)):
        coarse = scores.earth_movers_distance(p, q, **place, cell_km=cell)
        assert (np.abs(coarse - exact) <= 2 * (n - 1) * 8 / np.sqrt(2)).all()
    smooth = [scores.earth_movers_distance(blob(0, 0), blob(30, -50, 70.0), cell_km=cell) for cell in (16.0, 40.0)]
    assert smooth[0] == pytest.approx(smooth[1], abs=1.0)
    for cell in (12.0, 24.0):
        with pytest.raises(ValueError, match="do not tile"):
            scores.earth_movers_distance(blob(0, 0), blob(0, 0), cell_km=cell)


def test_mass_moved_of_nan_or_of_nothing_is_nan():
    p = np.stack([blob(0, 0)] * 3)
    p[0, 4, 4], p[1] = np.nan, 0.0
    assert np.isnan(scores.earth_movers_distance(p, blob(8, 0))).tolist() == [True, True, False]


def test_without_the_library_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ot", None)
    with pytest.raises(CatchmentError, match="pip install POT"):
        scores.earth_movers_distance(blob(0, 0), blob(8, 0))
