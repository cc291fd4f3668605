"""What every score must be of any two PDFs: symmetric, bounded, 0 or 1 of a PDF with itself, blind to where its cells lie."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation import scores

DISTANCES = (scores.bhattacharyya_loss, scores.hellinger_distance, scores.jensen_shannon_distance)
PAIRS = (*DISTANCES, scores.bhattacharyya_coefficient, scores.overlap, scores.valid)


@st.composite
def pairs(draw, n=2, whole=False):
    """n PDFs (y, x) of one shape: with and without empty cells, equal and disjoint ones among them, part of the mass outside."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    made = []
    for _ in range(n):
        pdf = rng.gamma(draw(st.sampled_from([0.05, 0.5, 5.0])), size=shape)
        pdf[rng.random(shape) < draw(st.sampled_from([0.0, 0.5, 0.95]))] = 0.0
        pdf.flat[rng.integers(pdf.size)] += 1.0
        inside = 1.0 if whole else draw(st.sampled_from([1.0, 0.6, 0.01]))
        made.append(inside * pdf / pdf.sum())
    if draw(st.booleans()):
        made[1 % n] = made[0].copy()
    return made


@given(given_pair=pairs())
def test_scores_of_two_are_symmetric_and_keep_their_bounds(given_pair):
    p, q = given_pair
    for score in PAIRS:
        assert score(p, q) == score(q, p)
        assert -1e-12 <= score(p, q) <= 1 + 1e-12
    assert scores.jensen_shannon_distance(p, q) <= np.sqrt(np.log(2)) + 1e-12
    bc, f = scores.bhattacharyya_coefficient(p, q), scores.overlap(p, q)
    assert bc == pytest.approx(1 - scores.bhattacharyya_loss(p, q))
    # min(p, q) <= sqrt(p q), whose sum is bounded by the geometric and by the arithmetic mean of both masses
    assert f <= bc + 1e-12 and bc <= np.sqrt(p.sum() * q.sum()) + 1e-12 and f <= min(p.sum(), q.sum()) + 1e-12
    # H^2 = (mass of p + mass of q) / 2 - BC; 1 - F to Le Cam's inequality where all mass is inside
    h = scores.hellinger_distance(p, q)
    assert h**2 == pytest.approx((p.sum() + q.sum()) / 2 - bc, abs=1e-12)
    if p.sum() > 0.999 and q.sum() > 0.999:
        assert h**2 <= 1 - f + 1e-9 and 1 - f <= h * np.sqrt(2 - h**2) + 1e-9
    assert scores.valid(p, q) == (scores.bhattacharyya_loss(p, q) < 0.3)


@given(given_pair=pairs())
def test_a_pdf_with_itself_is_the_end_of_every_scale_and_mass_outside_counts_as_missed(given_pair):
    p, _ = given_pair
    assert scores.bhattacharyya_coefficient(p, p) == pytest.approx(p.sum()) == pytest.approx(scores.overlap(p, p))
    assert scores.bhattacharyya_loss(p, p) == pytest.approx(1 - p.sum(), abs=1e-12)
    assert scores.hellinger_distance(p, p) == 0 == scores.jensen_shannon_distance(p, p)


@given(three=pairs(n=3, whole=True))
def test_distances_obey_the_triangle(three):
    p, q, r = three
    for distance in (scores.hellinger_distance, scores.jensen_shannon_distance):
        assert distance(p, r) <= distance(p, q) + distance(q, r) + 1e-7


@given(given_pair=pairs(), seed=st.integers(0, 99))
def test_scores_do_not_know_where_cells_lie_and_other_shapes_are_the_same_cells(given_pair, seed):
    p, q = given_pair
    order = np.random.default_rng(seed).permutation(p.size)
    for score in PAIRS[:-1]:  # the last has a step, where rounding shows
        expected = pytest.approx(score(p, q), abs=1e-9)
        assert score(p.ravel()[order].reshape(p.shape), q.ravel()[order].reshape(p.shape)) == expected
        assert score(p[::-1], q[::-1]) == expected and score(p.T, q.T) == expected
        # an empty cell more is no cell more
        wide = [np.pad(one, ((0, 2), (1, 0))) for one in (p, q)]
        assert score(*wide) == expected
    assert scores.entropy(p.T) == pytest.approx(scores.entropy(p))


@given(given_pair=pairs())
def test_summing_cells_makes_pdfs_no_less_alike(given_pair):
    """Data processing: no score can tell coarse maps better than the maps that they were made of."""
    p, q = given_pair
    coarse = [np.add.reduceat(one, np.arange(0, one.shape[1], 2), axis=1) for one in (p, q)]
    for distance in DISTANCES:
        assert distance(*coarse) <= distance(p, q) + 1e-7
    assert scores.overlap(*coarse) >= scores.overlap(p, q) - 1e-12


@given(given_pair=pairs(whole=True))
def test_entropy_lies_between_one_cell_and_all_of_them(given_pair):
    p, q = given_pair
    assert -1e-12 <= scores.entropy(p) <= np.log((p > 0).sum()) + 1e-9
    # of a product of independent PDFs it is the sum
    assert scores.entropy(np.multiply.outer(p.ravel(), q.ravel())) == pytest.approx(scores.entropy(p) + scores.entropy(q))
    # mixing: concave, and the gap is the square of the Jensen-Shannon distance
    gap = scores.entropy(0.5 * (p + q)) - 0.5 * (scores.entropy(p) + scores.entropy(q))
    assert gap == pytest.approx(scores.jensen_shannon_distance(p, q) ** 2, abs=1e-12)


@given(given_pair=pairs(), shift=st.tuples(st.floats(-500, 500), st.floats(-500, 500)))
def test_the_mass_centre_moves_with_the_axes_lies_within_them_and_turns_with_the_map(given_pair, shift):
    p, _ = given_pair
    x, y = 8.0 * np.arange(p.shape[1]), 8.0 * np.arange(p.shape[0])
    east, north = scores.mass_centre(p, x=x, y=y)
    assert x[0] - 1e-9 <= east <= x[-1] + 1e-9 and y[0] - 1e-9 <= north <= y[-1] + 1e-9
    moved = scores.mass_centre(p, x=x + shift[0], y=y + shift[1])
    assert moved == (pytest.approx(east + shift[0], abs=1e-9), pytest.approx(north + shift[1], abs=1e-9))
    assert scores.mass_centre(p.T, x=y, y=x) == (pytest.approx(north), pytest.approx(east))
    assert scores.mass_centre_distance(p, x=x, y=y) == pytest.approx(np.hypot(east, north))
    assert scores.mass_centre(0.3 * p, x=x, y=y)[0] == pytest.approx(east)  # of the particles within the box


@settings(max_examples=30)
@given(given_pair=pairs())
def test_the_earth_movers_distance_is_a_distance_and_no_shorter_than_between_the_mass_centres(given_pair):
    pytest.importorskip("ot")
    p, q = given_pair
    x, y = 8.0 * np.arange(p.shape[1]), 8.0 * np.arange(p.shape[0])
    moved = scores.earth_movers_distance(p, q, x, y, cell_km=None)
    assert moved == pytest.approx(scores.earth_movers_distance(q, p, x, y, cell_km=None), abs=1e-7)
    assert scores.earth_movers_distance(p, 0.5 * p, x, y, cell_km=None) == pytest.approx(0, abs=1e-9)
    centres = [np.array(scores.mass_centre(one, x, y)) for one in (p, q)]
    assert np.hypot(*(centres[0] - centres[1])) - 1e-6 <= moved <= np.hypot(x[-1], y[-1]) + 1e-6


@given(seed=st.integers(0, 2**32), shape=st.tuples(st.integers(1, 4), st.integers(1, 4)), missing=st.booleans())
def test_averages_of_arrays_are_those_of_labelled_arrays_over_any_dimension(seed, shape, missing):
    rng = np.random.default_rng(seed)
    values, weights = rng.normal(size=shape), rng.random(shape) + 0.1
    if missing:
        values[rng.random(shape) < 0.4] = np.nan
    labelled = xr.DataArray(values, dims=("a", "b"))
    for dims in ("a", "b", "all"):
        numbers = dims if dims == "all" else "ab".index(dims)
        for weight in (None, weights):
            given_weight = None if weight is None else xr.DataArray(weight, dims=("a", "b"))
            found = scores.average(values, reduce_dims=numbers, weights=weight)
            np.testing.assert_allclose(found, scores.average(labelled, reduce_dims=dims, weights=given_weight), atol=1e-12)
            known = np.isfinite(values)
            if known.any() and dims == "all":
                assert np.nanmin(values) - 1e-12 <= found <= np.nanmax(values) + 1e-12
