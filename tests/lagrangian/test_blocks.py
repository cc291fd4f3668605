"""The cut of any run into blocks: whatever is missing, in flight and wanted of the fields, each is done once."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lagrangian.blocks import periods_per_block, plan_blocks
from lagrangian.checkpoint import SweepState
from lagrangian.cohorts import Cohort
from lagrangian.experiments import design_experiments
from tests.builders.small_sweep import SMALL, analytic_ocean

OCEAN = analytic_ocean(days=150, dx=16e3)
CONFIG = dataclasses.replace(SMALL, w=(80.0, 200.0), every=4.0)
DESIGN = design_experiments(CONFIG.design, OCEAN)
COHORTS = [Cohort(period, w) for w in CONFIG.w for period in range(DESIGN.n_periods)]


@st.composite
def runs(draw):
    """(missing, fields, states, length, workers): stores in any state of being filled."""
    missing = sorted(draw(st.sets(st.sampled_from(COHORTS))), key=lambda cohort: (cohort.w, cohort.period))
    snapshots = draw(st.sets(st.integers(0, len(OCEAN.times) - 1), max_size=12))
    fields = {index: number for number, index in enumerate(sorted(snapshots))}
    states = {}
    for number in range(draw(st.integers(0, 3))):
        flying = draw(st.lists(st.sampled_from(COHORTS), min_size=1, max_size=5, unique=True))
        given_to_it = sorted({*flying, *draw(st.sets(st.sampled_from(COHORTS), max_size=20))}, key=lambda c: (c.period, c.w))
        index = draw(st.integers(1, len(OCEAN.times) - 1))
        states[f"state-{number}"] = SweepState(index, 0.0, given_to_it, flying, {}, np.empty(0), np.empty(0))
    return missing, fields, states, draw(st.none() | st.integers(1, 6)), draw(st.just(0) | st.integers(2, 9))


@given(run=runs())
def test_every_cohort_and_every_field_is_in_one_block_latest_first(run):
    missing, fields, states, length, workers = run
    blocks = plan_blocks(missing, fields, states, DESIGN, OCEAN, workers, length)
    found = [cohort for block in blocks for cohort in block.cohorts]
    assert len(found) == len(set(found)) and set(found) == set(missing)
    pairs = [pair for block in blocks for pair in block.fields]
    assert sorted(pairs) == sorted(fields.items())
    assert len({block.name for block in blocks}) == len(blocks)
    assert all(block.cohorts or block.fields for block in blocks) and all(block.windows >= 0 for block in blocks)
    for block in blocks:
        order = [(-cohort.period, cohort.w) for cohort in block.cohorts]
        assert order == sorted(order)
    # those that go on from a checkpoint come first, with all that flies in it; the others follow, latest first, whole periods
    going_on = [block for block in blocks if block.name in states]
    assert blocks[: len(going_on)] == going_on
    taken = set()
    for name, state in states.items():
        ours = (set(state.flying) & set(missing)) - taken
        block = next((block for block in going_on if block.name == name), None)
        assert (block is not None) == bool(ours)
        if block is not None:
            assert ours <= set(block.cohorts) <= set(state.cohorts)
            taken |= set(block.cohorts)
    periods = [sorted({cohort.period for cohort in block.cohorts}) for block in blocks[len(going_on) :] if block.cohorts]
    for later, earlier in pairwise(periods):
        assert earlier[-1] < later[0]
    size = periods_per_block(CONFIG.design, len({cohort.period for cohort in missing}), workers, length)
    assert all(len(one) <= size for one in periods)
    assert all(len(one) == size for one in periods[:-1])  # only the earliest may be shorter


@given(n=st.integers(1, 3000), workers=st.integers(1, 200), block=st.none() | st.integers(1, 50))
def test_no_worker_is_without_a_block_while_periods_are_left(n, workers, block):
    workers = 0 if workers == 1 else workers  # one, and the work is done here
    size = periods_per_block(CONFIG.design, n, workers, block)
    assert size >= 1
    if block is not None:
        assert size == block
    elif workers > 1:
        assert size <= -(-n // workers)
    else:
        assert size == n
