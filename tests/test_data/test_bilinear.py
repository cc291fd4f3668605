"""One bilinear interpolation for positions, fields, frames and boxes."""

import numpy as np

from data.bilinear import bilinear, bilinear_each, corners

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


def test_several_fields_of_a_lattice_give_what_each_gives_alone_whatever_their_layout_in_memory():
    rng = np.random.default_rng(3)
    x, y = rng.uniform(-1, 7, (4, 5)), rng.uniform(-1, 5, (4, 5))
    x[1, 2] = np.nan
    fields = rng.normal(size=X.shape), rng.normal(size=X.shape[::-1]).T, rng.normal(size=X.shape).astype(np.float32)
    for found, field in zip(bilinear_each(fields, x, y), fields, strict=True):
        np.testing.assert_array_equal(found, bilinear(field.copy(), x, y))
    assert np.isnan(found).sum() == 1
