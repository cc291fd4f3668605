"""Eight lanes against numpy."""

from __future__ import annotations

import numpy as np
from numba import njit

from lagrangian.simd import LANES, bits, cell_sums, clip, column_sums, floor, get_row, kept, located, rows_at, set_row, where

RNG = np.random.default_rng(0)
OFFSETS = np.array([0, 3, 9, 17, 30, 4, 7, 11])


@njit
def _sums(field, cells, given, out):
    """Rows of ``given``: offsets, two fractions. Of ``out``: 4 of the columns, 14 of the cell, 8 of the rows."""
    offsets, fx, fy = get_row(given, 0), kept(get_row(given, 1)), kept(get_row(given, 2))
    columns = column_sums(located(field, 4, offsets), located(field, 4, offsets + 100), 37 * 4, fx, fy)
    records = cell_sums(located(cells, 8, 8 * offsets), 10 * 64, fx, fy)
    rows = rows_at(located(cells, 8, offsets))
    for k in range(4):
        set_row(out, k, columns[k])
    for k in range(14):
        set_row(out, 4 + k, records[k])
    for k in range(8):
        set_row(out, 18 + k, rows[k])


def bilinear(corners, fx, fy):
    v00, v01, v10, v11 = corners
    return (1 - fy) * ((1 - fx) * v00 + fx * v01) + fy * ((1 - fx) * v10 + fx * v11)


def test_sums_over_columns_and_cells_are_bilinear_in_every_lane():
    field, cells = RNG.normal(size=400).astype(np.float32), RNG.normal(size=(60, 8))
    given, out = np.stack([OFFSETS, *RNG.uniform(0, 1, (2, LANES))]), np.empty((26, LANES))
    _sums(field.ctypes.data, cells.ctypes.data, given.ctypes.data, out.ctypes.data)
    for lane, o in enumerate(OFFSETS):
        fx, fy = given[1:, lane]
        columns = [field[o + start : o + start + 4].astype(float) for start in (0, 100, 37, 137)]
        np.testing.assert_allclose(out[:4, lane], bilinear(columns, fx, fy), rtol=1e-12)
        v00, v01, v10, v11 = corners = [cells[o + start] for start in (0, 1, 10, 11)]
        np.testing.assert_allclose(out[4:12, lane], bilinear(corners, fx, fy), rtol=1e-12)
        np.testing.assert_allclose(out[12:15, lane], ((1 - fy) * (v01 - v00) + fy * (v11 - v10))[:3], rtol=1e-12)
        np.testing.assert_allclose(out[15:18, lane], ((1 - fx) * (v10 - v00) + fx * (v11 - v01))[:3], rtol=1e-12)
        np.testing.assert_array_equal(out[18:, lane], cells.ravel()[o : o + 8])


@njit
def _choices(given, out):
    x = get_row(given, 0)
    set_row(out, 0, where((x > 4) & ~(x >= 11) | (x < 1), floor(0.5 * x), -1.0))
    set_row(out, 1, clip(x, 2.5, 9))
    set_row(out, 2, 1.0 / (x + 1) - x * 2)
    return bits(x <= 4)


def test_choices_and_arithmetic_are_those_of_each_lane():
    x, out = OFFSETS.astype(float), np.empty((3, LANES))
    assert _choices(x.ctypes.data, out.ctypes.data) == sum(1 << lane for lane in range(LANES) if x[lane] <= 4)
    np.testing.assert_array_equal(out[0], np.where((x > 4) & ~(x >= 11) | (x < 1), np.floor(x / 2), -1.0))
    np.testing.assert_array_equal(out[1], np.clip(x, 2.5, 9.0))
    np.testing.assert_allclose(out[2], 1 / (x + 1) - 2 * x, rtol=1e-12)


def test_what_is_not_a_number_is_clipped_to_the_lower_bound():
    x, out = np.full(LANES, np.nan), np.empty((3, LANES))
    _choices(x.ctypes.data, out.ctypes.data)
    np.testing.assert_array_equal(out[1], 2.5)
