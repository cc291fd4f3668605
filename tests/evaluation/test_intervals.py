"""Intervals against the theory of independent blocks, and their width where experiments repeat each other."""

import warnings

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from evaluation.intervals import (
    block_bootstrap,
    block_bootstrap_correlation,
    block_of,
    correlation,
    correlation_of_sums,
    draw_blocks,
)


def test_the_interval_covers_the_true_mean_as_often_as_it_says():
    rng = np.random.default_rng(1)
    covered = 0
    trials = 300
    for trial in range(trials):
        blocks = np.repeat(np.arange(25), 8)
        values = np.repeat(rng.standard_normal(25), 8) + 0.1 * rng.standard_normal(200)  # experiments repeat their block
        low, high = block_bootstrap(values, blocks, draws=400, seed=trial)
        covered += low <= 0 <= high
    assert 0.88 < covered / trials < 0.98


def test_the_width_follows_the_number_of_blocks_and_not_of_experiments():
    rng = np.random.default_rng(2)
    by_block = rng.standard_normal(40)
    few = block_bootstrap(np.repeat(by_block, 2), np.repeat(np.arange(40), 2))
    many = block_bootstrap(np.repeat(by_block, 50), np.repeat(np.arange(40), 50))
    np.testing.assert_allclose(few, many, atol=1e-12)
    assert np.subtract(*few[::-1]) == pytest.approx(2 * 1.96 * by_block.std() / np.sqrt(40), rel=0.15)


def test_nan_are_left_out_and_shapes_kept():
    values = np.ones((12, 2, 3))
    values[3] = np.nan
    low, high = block_bootstrap(values, np.arange(12) // 3)
    assert low.shape == (2, 3) and (low == 1).all() and (high == 1).all()
    assert np.isnan(block_bootstrap(values, np.zeros(12))[0]).all()


def test_blocks_are_stretches_of_time():
    start = np.datetime64("2001-01-01") + np.array([0, 0, 59, 60, 125]) * np.timedelta64(1, "D")
    assert block_of(start).tolist() == [0, 0, 0, 1, 2]


def test_correlations_are_those_of_scipy_and_nan_pairs_are_left_out():
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((2, 90))
    y = y + x**3
    x[4], y[7] = np.nan, np.nan
    known = np.isfinite(x) & np.isfinite(y)
    blocks = np.arange(90) // 6
    for ranks, reference in ((False, pearsonr), (True, spearmanr)):
        middle, low, high, n = block_bootstrap_correlation(x, y, blocks, ranks=ranks)
        assert middle == pytest.approx(reference(x[known], y[known]).statistic) and n == 88
        assert low < middle < high
    assert np.isnan(block_bootstrap_correlation(np.ones(9), np.arange(9), np.arange(9))[0])
    assert np.isnan(block_bootstrap_correlation([1.0, 2.0], [1.0, 2.0], [0, 1])[:3]).all()
    middle, low, high, _ = block_bootstrap_correlation(x, y, np.zeros(90))
    assert np.isfinite(middle) and np.isnan([low, high]).all()


def test_correlation_leaves_nan_out_and_is_nan_of_what_does_not_vary():
    assert correlation([1, 2, 3, np.nan], [2, 4, 6, 0]) == pytest.approx(1.0)
    assert correlation([1, 2, 3, 4], [1, -1, -1, 1]) == pytest.approx(0.0)
    assert np.isnan(correlation([1, 1, 1], [1, 2, 3])) and np.isnan(correlation([1, 2], [1, 2]))


def test_the_correlation_of_resampled_blocks_is_that_of_their_pairs():
    """Whatever the mean of the resample, which is not that of all pairs."""
    rng = np.random.default_rng(5)
    x, block = rng.normal(3.0, 1.0, 60), np.repeat(np.arange(6), 10)
    y = x + rng.normal(-7.0, 1.0, 60)
    sums = np.stack([np.bincount(block, part) for part in (np.ones(60), x, y, x * x, y * y, x * y)])
    drawn = draw_blocks(6, 20, seed=0)
    for times, found in zip(drawn, correlation_of_sums(sums @ drawn.T), strict=True):
        rows = np.repeat(np.arange(60), times[block])
        assert found == pytest.approx(np.corrcoef(x[rows], y[rows])[0, 1])


def test_tied_values_share_their_rank():
    x, y = [1.0, 1.0, 1.0, 2.0, 3.0, 3.0], [0.1, 0.5, 0.3, 0.2, 0.9, 0.4]
    found = block_bootstrap_correlation(x, y, np.arange(6), ranks=True)[0]
    assert found == pytest.approx(spearmanr(x, y).statistic)


def test_draws_in_which_a_quantity_does_not_vary_do_not_count():
    """Of three blocks, two hold the same value: draws of these alone have no correlation, and no infinite one."""
    x, y = np.repeat([0.1, 0.1, 0.2], 5), np.random.default_rng(0).standard_normal(15)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for ranks in (False, True):
            middle, low, high, _ = block_bootstrap_correlation(x, y, np.repeat(np.arange(3), 5), ranks=ranks)
            assert -1 <= low <= middle <= high <= 1
        assert np.isnan(block_bootstrap_correlation(x[[0, 5, 10]], x[[0, 5, 10]], [0, 0, 1], draws=3)[1:3]).sum() in (0, 2)


def test_correlation_intervals_cover_as_often_as_they_say_and_know_repeated_experiments():
    rng = np.random.default_rng(4)
    covered, trials = 0, 300
    for trial in range(trials):
        x = rng.standard_normal(40)
        y = 0.6 * x + 0.8 * rng.standard_normal(40)
        _, low, high, _ = block_bootstrap_correlation(
            np.repeat(x, 9), np.repeat(y, 9), np.repeat(np.arange(40), 9), seed=trial, draws=400
        )
        covered += low <= 0.6 <= high
    assert 0.87 < covered / trials < 0.98


def test_blocks_without_data_give_no_interval_and_are_not_drawn():
    """Two blocks of which one holds nothing are one block: no interval, least of all one of no width."""
    values = np.array([1.0, 2.0, 3.0, np.nan, np.nan, np.nan])
    blocks = np.repeat([0, 1], 3)
    assert np.isnan(block_bootstrap(values, blocks)).all()
    # blocks that hold nothing change nothing: the interval is that of the others alone
    rng = np.random.default_rng(2)
    known, which = rng.standard_normal(40), np.arange(40) // 4
    alone = block_bootstrap(known, which)
    more = block_bootstrap(np.concatenate([np.full(20, np.nan), known]), np.concatenate([np.arange(20) + 100, which]))
    assert alone[0] < alone[1]
    np.testing.assert_allclose(more, alone, rtol=1e-12)
    # each quantity by its own blocks
    none = np.full(40, np.nan)
    columns = np.stack([np.concatenate(two) for two in ((known, known), (known, none), (none, none))], axis=1)
    columns[:, 2] = np.where(np.arange(80) < 4, 1.0, np.nan)
    low, high = block_bootstrap(columns, np.arange(80) // 4)
    np.testing.assert_allclose([low[1], high[1]], alone, rtol=1e-12)
    assert np.isfinite([low[0], high[0]]).all() and np.isnan([low[2], high[2]]).all()
