"""Training, validation and test experiments: spans of time, with gaps that no information crosses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.errors import InputError
from data.times import DAY

#: Shares of the periods where a run is split in two (validation left; paper: 240 and 35 of 285) and in three.
WITH_TEST_RUN = (0.87, 0.13)
WITHOUT_TEST_RUN = (0.72, 0.11, 0.17)
NAMES = ("train", "validation", "test")
#: Parts of the networks' training record that experiments belong to; ``between``: in a gap; ``unseen``: of another run.
PARTS = (*NAMES, "between", "unseen")


@dataclass(frozen=True, eq=False)
class Split:
    """Numbers of the experiments of each part; ``test`` is empty where another run is the test."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    def dates(self, start: np.ndarray, end: np.ndarray) -> dict[str, list[str]]:
        """First collection start and last collection end of each part that is not empty."""
        parts = {name: getattr(self, name) for name in NAMES}
        return {name: [str(start[numbers].min()), str(end[numbers].max())] for name, numbers in parts.items() if numbers.size}


def gap_days(lags_days, start: np.ndarray, end: np.ndarray) -> float:
    """Days between the parts: the inputs' window and one collection period."""
    return float(max(lags_days) + (end - start).max() / DAY)


def split_by_time(start: np.ndarray, end: np.ndarray, usable: np.ndarray, gap: float, *, test: bool) -> Split:
    """Cut the record into training, validation and, with ``test``, test blocks.

    All positions of a period go to one part. Between the end of a part's last period and the start of the next part's first
    there are at least ``gap`` days; the periods within are left out.

    Parameters
    ----------
    start, end : (experiment,) datetime64[s]
        Collection periods.
    usable : (experiment,) bool
    gap : float
        Days, see :func:`gap_days`.
    test : bool
        Whether a test part is wanted.

    Raises
    ------
    InputError
        The record is too short for parts of at least one period each.
    """
    shares = WITHOUT_TEST_RUN if test else WITH_TEST_RUN
    starts = np.unique(start[usable])
    ends = np.array([end[usable & (start == begin)].max() for begin in starts])
    n_gap = _periods_within(starts, ends, gap)
    left = starts.size - n_gap * (len(shares) - 1)
    sizes = [max(1, round(share * left)) for share in shares[1:]]
    n_train = left - sum(sizes)
    if n_train < 1:
        need = n_gap * (len(shares) - 1) + len(shares)
        raise InputError(
            f"the record is too short to split: {starts.size} collection periods are usable, and {len(shares)} parts with gaps "
            f"of {gap:g} days need at least {need}; give a longer record (--years)" + ("" if not test else " or a --test-run")
        )
    parts, first = [], 0
    for size in (n_train, *sizes):
        parts.append(np.flatnonzero(usable & np.isin(start, starts[first : first + size])))
        first += size + n_gap
    if len(parts) == 2:
        parts.append(np.empty(0, np.int64))
    split = Split(*parts)
    check_no_leak(split, start, end, gap)
    return split


def _periods_within(starts: np.ndarray, ends: np.ndarray, gap: float) -> int:
    """Periods to leave out so that at least ``gap`` days lie between the neighbours on either side, anywhere in the record."""
    for number in range(starts.size):
        between = (starts[number + 1 :] - ends[: starts.size - number - 1]) / DAY
        if between.size == 0 or between.min() >= gap:
            return number
    return starts.size


def check_no_leak(split: Split, start: np.ndarray, end: np.ndarray, gap: float) -> None:
    """Refuse parts that share a period or come nearer to each other in time than ``gap`` days.

    Raises
    ------
    InputError
        Names the parts and the gap found.
    """
    parts = [(name, getattr(split, name)) for name in NAMES if getattr(split, name).size]
    for a, (name, rows_a) in enumerate(parts):
        for other_name, rows_b in parts[a + 1 :]:
            apart = max(
                (start[rows_b].min() - end[rows_a].max()) / DAY, (start[rows_a].min() - end[rows_b].max()) / DAY
            )  # negative where they overlap
            if apart < gap:
                raise InputError(
                    f"{name} and {other_name} experiments are {apart:g} days apart; {gap:g} are needed for them to share nothing"
                )
