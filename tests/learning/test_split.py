"""Splits of any record: periods of any distance and length, overlapping and dense, whatever of them is usable."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import InputError
from learning.split import WITH_TEST_RUN, WITHOUT_TEST_RUN, gap_days, split_by_time

DAY = np.timedelta64(86400, "s")
FIRST = np.datetime64("2001-01-01", "s")


@st.composite
def records(draw):
    """(start, end, usable): 1 to 3 positions, periods 1 to 40 days apart, each of a length of its own."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    periods, positions = draw(st.integers(1, 80)), draw(st.integers(1, 3))
    longest = draw(st.integers(1, 30))
    apart = rng.integers(1, draw(st.integers(1, 40)) + 1, periods)
    length = rng.integers(1, longest + 1, periods) if draw(st.booleans()) else np.full(periods, longest)
    start = np.repeat(FIRST + np.cumsum(apart) * DAY, positions)
    usable = rng.random(start.size) < draw(st.sampled_from([1.0, 0.8, 0.3]))
    order = rng.permutation(start.size) if draw(st.booleans()) else np.arange(start.size)
    return start[order], (start + np.repeat(length, positions) * DAY)[order], usable


def periods_of(start, end, usable) -> list[tuple]:
    """(start, end) of the usable periods, in order."""
    return [(one, max(end[usable & (start == one)])) for one in np.unique(start[usable])]


def fewest_left_out(periods, gap) -> int:
    """Periods between two parts, wherever the cut comes, found by trying all."""
    for n in range(len(periods)):
        cuts = range(1, len(periods) - n)
        if all((periods[cut + n][0] - max(end for _, end in periods[:cut])) / DAY >= gap for cut in cuts):
            return n
    return len(periods)


@settings(max_examples=200)
@given(record=records(), gap=st.integers(0, 80), test=st.booleans())
def test_any_split_keeps_the_gap_takes_whole_periods_and_leaves_out_no_more_than_it_must(record, gap, test):
    start, end, usable = record
    periods = periods_of(*record)
    shares = WITHOUT_TEST_RUN if test else WITH_TEST_RUN
    left_out = fewest_left_out(periods, gap) * (len(shares) - 1)
    try:
        split = split_by_time(start, end, usable, gap, test=test)
    except InputError as error:
        assert "too short to split" in str(error)
        # a part has its share of what is left, and one period at least
        left = len(periods) - left_out
        assert left - sum(max(1, round(share * left)) for share in shares[1:]) < 1
        return
    parts = [split.train, split.validation, *([split.test] if test else [])]
    assert test or split.test.size == 0
    assert all(part.size and usable[part].all() for part in parts)
    for one, other in combinations(parts, 2):
        apart = start[other][:, None] - end[one][None, :]
        assert (apart / DAY >= gap).all()
    for part in parts:  # all positions of a period, and all periods from the part's first to its last
        inside = usable & (start >= start[part].min()) & (start <= start[part].max())
        np.testing.assert_array_equal(np.sort(part), np.flatnonzero(inside))
    assert start[parts[0]].min() == periods[0][0] and start[parts[-1]].max() == periods[-1][0]
    numbers = {one: number for number, (one, _) in enumerate(periods)}
    for one, other in pairwise(parts):
        between = numbers[start[other].min()] - numbers[start[one].max()] - 1
        assert between == left_out // (len(shares) - 1)
    for part, share in zip(parts[1:], shares[1:], strict=True):
        assert np.unique(start[part]).size == max(1, round(share * (len(periods) - left_out)))


@pytest.mark.parametrize(("every", "length", "gap", "left_out"), [
    (10, 10, 50, 5), (10, 10, 51, 6), (1, 10, 50, 59), (1, 10, 49, 58), (3, 10, 50, 19), (3, 10, 51, 20), (7, 4, 44, 6),
    (7, 4, 46, 7), (25, 10, 50, 2), (25, 10, 65, 2), (25, 10, 66, 3), (60, 10, 50, 0), (60, 10, 51, 1),
])  # fmt: skip
def test_even_periods_leave_out_what_the_gap_takes(every, length, gap, left_out):
    """n periods are left out when the (n + 1)-th begins ``gap`` days after the end: (n + 1) every - length >= gap."""
    start = FIRST + np.arange(300) * every * DAY
    split = split_by_time(start, start + length * DAY, np.ones(300, bool), gap, test=True)
    for one, other in pairwise((split.train, split.validation, split.test)):
        assert other.min() - one.max() - 1 == left_out
    assert split.train[0] == 0 and split.test[-1] == 299


@given(record=records(), lags=st.lists(st.integers(0, 90), min_size=1, max_size=6))
def test_the_gap_is_the_window_of_the_inputs_and_the_longest_period(record, lags):
    """So that no instant of a later experiment's inputs lies within an earlier collection period or its own inputs' end."""
    start, end, usable = record
    gap = gap_days(lags, start, end)
    assert gap == max(lags) + max((b - a) / DAY for a, b in zip(start, end, strict=True))
    try:
        split = split_by_time(start, end, usable, gap, test=True)
    except InputError:
        return
    for one, other in combinations((split.train, split.validation, split.test), 2):
        first_input = (end[other] - max(lags) * DAY).min()
        assert first_input > end[one].max()
