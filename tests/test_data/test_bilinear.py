"""One bilinear interpolation for positions, fields, frames and boxes."""

import numpy as np

from data.bilinear import bilinear, corners

Y, X = np.mgrid[0:5, 0:7].astype(float)


def test_a_field_that_is_bilinear_is_met_exactly_also_at_and_beyond_the_edges():
    rng = np.random.default_rng(1)
    x, y = rng.uniform(-1, 7, 50), rng.uniform(-1, 5, 50)
    field = 2 + 3 * X - Y + 0.5 * X * Y
    np.testing.assert_allclose(bilinear(field, x, y), 2 + 3 * x - y + 0.5 * x * y, rtol=1e-12, atol=1e-12)


def test_coordinates_that_are_no_numbers_give_none():
    found = bilinear(X, np.array([1.5, np.nan, 2.0]), np.array([1.0, 1.0, np.nan]))
    assert found[0] == 1.5 and np.isnan(found[1:]).all()


def test_weights_of_the_corners_sum_to_one_and_give_the_same_value():
    rng = np.random.default_rng(2)
    x, y, field = rng.uniform(0, 6, 50), rng.uniform(0, 4, 50), rng.normal(size=X.shape)
    found = list(corners(x, y, X.shape))
    np.testing.assert_allclose(sum(weight for *_, weight in found), 1.0)
    np.testing.assert_allclose(sum(weight * field[j, i] for j, i, weight in found), bilinear(field, x, y), atol=1e-12)
