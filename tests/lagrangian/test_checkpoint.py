"""Checkpoints of any state: read as they were written, or known as damaged."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lagrangian import checkpoint
from lagrangian.checkpoint import PARTICLE_VARIABLES, SweepState
from lagrangian.cohorts import Cohort

WHOLE = {"status", "next_level", "row", "uid"}


@st.composite
def states(draw):
    """Any numbers, NaN and infinities among them, in as many cohorts and particles as may be."""
    floats = st.floats(width=64)
    particles, rows, levels = draw(st.integers(0, 6)), draw(st.integers(0, 6)), draw(st.integers(1, 3))
    cohorts = draw(st.lists(st.builds(Cohort, st.integers(0, 10**6), st.floats(0.001, 1e5)), min_size=1, max_size=5))
    held = {
        name: draw(arrays.arrays(np.int64 if name in WHOLE else np.float64, particles,
                                 elements=st.integers(-(2**63), 2**63 - 1) if name in WHOLE else floats))
        for name in PARTICLE_VARIABLES
    }  # fmt: skip
    paths = draw(st.none() | arrays.arrays(np.float32, (rows, 2, 3), elements=st.floats(width=32)))
    return SweepState(
        draw(st.integers(0, 10**6)), draw(st.floats(allow_nan=False, allow_infinity=False)), cohorts,
        draw(st.lists(st.sampled_from(cohorts), max_size=4)), held,
        draw(arrays.arrays(np.float64, (rows, levels, 3), elements=floats)),
        draw(arrays.arrays(np.int32, rows, elements=st.integers(-1, 3))), paths,
    )  # fmt: skip


def assert_equal(one: SweepState, other: SweepState):
    assert (one.index, one.time, one.cohorts, one.flying) == (other.index, other.time, other.cohorts, other.flying)
    assert one.particles.keys() == other.particles.keys()
    pairs = [(one.particles[name], other.particles[name]) for name in one.particles]
    for a, b in [*pairs, (one.crossings, other.crossings), (one.status, other.status)]:
        assert a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    assert (one.paths is None) == (other.paths is None)
    assert one.paths is None or one.paths.tobytes() == other.paths.tobytes()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("checkpoint") / "state.npz"


@settings(max_examples=50)
@given(state=states(), identity=st.text(), other=st.text())
def test_a_state_comes_back_as_it_was_and_for_its_own_configuration_alone(state, identity, other, path):
    checkpoint.save(path, identity, state)
    assert_equal(checkpoint.load(path, identity), state)
    assert other == identity or checkpoint.load(path, other) is None
    assert not list(path.parent.glob("*.aside"))


@settings(suppress_health_check=[HealthCheck.data_too_large], max_examples=60)
@given(state=states(), data=st.data())
def test_a_damaged_file_is_refused_or_gives_the_very_state(state, data, path):
    """Some bytes of the format mean nothing: the state may survive their damage, but never change by any."""
    checkpoint.save(path, "mine", state)
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4)):
            content[place] ^= data.draw(st.integers(1, 255))
    else:
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    path.write_bytes(bytes(content))
    found = checkpoint.load(path, "mine")
    if found is not None:
        assert_equal(found, state)


SMALL_STATE = SweepState(
    3, 4.5, [Cohort(2, 80.0)], [Cohort(2, 80.0)], {name: np.arange(2.0) for name in PARTICLE_VARIABLES}, np.ones((2, 1, 3)),
    np.zeros(2, np.int32),
)  # fmt: skip


def test_a_flipped_bit_is_refused_or_means_nothing_and_is_never_another_error(path):
    checkpoint.save(path, "mine", SMALL_STATE)
    content, refused = path.read_bytes(), 0
    # the zip's directory, at the end, byte by byte; a sample of the rest
    directory = content.index(b"PK\x01\x02")
    places = [*range(0, directory, 23), *range(directory, len(content), 3)]
    for place in places:
        path.write_bytes(content[:place] + bytes([content[place] ^ (1 << place % 8)]) + content[place + 1 :])
        found = checkpoint.load(path, "mine")
        refused += found is None
        if found is not None:
            assert_equal(found, SMALL_STATE)
    assert refused > 0.3 * len(places)


def test_an_array_whose_header_asks_for_fewer_numbers_than_there_are_is_refused(path):
    """The rest of them is then never read, and with it no checksum."""
    many = dataclasses.replace(SMALL_STATE, particles={name: np.arange(5000.0) for name in PARTICLE_VARIABLES})
    checkpoint.save(path, "mine", many)
    content, header = path.read_bytes(), b"'shape': (5000,"
    places = [match.start() for match in re.finditer(re.escape(header), content)]
    assert len(places) == len(PARTICLE_VARIABLES)
    for place in places:
        path.write_bytes(content[:place] + b"'shape': (1000," + content[place + len(header) :])
        assert checkpoint.load(path, "mine") is None
