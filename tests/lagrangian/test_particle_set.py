"""Particles that enter and leave: the set against Parcels' own, whatever the sequence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from parcels import ParticleSet, StatusCode

from lagrangian.kernels import FlyingParticles, SinkingParticle, bathymetry_fieldset, clock_of, particle_set

FIELDSET = bathymetry_fieldset(np.full((4, 5), 4000.0))


def made(kind, first: int, n: int):
    """n particles whose values follow from their number."""
    numbers = np.arange(first, first + n)
    return kind(
        FIELDSET, pclass=SinkingParticle, x=numbers + 0.5, y=-1.0 * numbers, z=-10.0 * numbers,
        t=np.full(n, np.timedelta64(0, "ns")), uid=numbers, row=numbers + 7, next_level=numbers % 3,
    )  # fmt: skip


def contents(particles) -> dict[int, tuple]:
    """Values of each particle by its identity."""
    data = particles._data
    names = [name for name in data if name != "uid"]
    return {int(uid): tuple(np.ravel(data[name][k]).tolist() for name in names) for k, uid in enumerate(data["uid"])}


@given(st.lists(st.tuples(st.integers(1, 9), st.lists(st.integers(0, 60), max_size=12)), min_size=1, max_size=8))
def test_the_same_particles_are_there_as_in_parcels_own_set_after_any_additions_and_removals(sequence):
    mine, theirs, first = made(FlyingParticles, 0, 3), made(ParticleSet, 0, 3), 3
    for n_new, leaving in sequence:
        mine.add(made(FlyingParticles, first, n_new))
        theirs.add(made(ParticleSet, first, n_new))
        first += n_new
        gone = np.array([uid for uid in leaving if uid in set(theirs._data["uid"].tolist())][: len(theirs) - 1], int)
        for particles in (mine, theirs):
            particles.remove_indices(np.flatnonzero(np.isin(particles._data["uid"], gone)))
        assert contents(mine) == contents(theirs)
        assert len(set(mine._data["particle_id"].tolist())) == len(mine)


@pytest.mark.parametrize("leaving", [[], [0], [9], [0, 9], list(range(10)), [8, 9], [0, 1], [3, 7, 9]])
def test_who_stays_keeps_all_values_whichever_places_become_free(leaving):
    particles = made(FlyingParticles, 100, 10)
    before = contents(particles)
    particles.remove_indices(np.array(leaving, int))
    assert contents(particles) == {100 + k: before[100 + k] for k in range(10) if k not in leaving}


@pytest.mark.parametrize("before", [0, 1, 5])
def test_particles_released_into_a_set_are_those_that_a_set_of_their_own_would_hold(before):
    numbers = np.arange(40, 47)
    place = {"x": numbers + 0.5, "y": -1.0 * numbers, "z": -10.0 * numbers}
    rest = {"sinking_speed": numbers / 86400.0, "row": numbers, "uid": numbers}
    clock = 43200.0 / 7  # no whole number of nanoseconds
    mine, theirs = made(FlyingParticles, 0, before + 1), made(FlyingParticles, 0, before + 1)
    for particles in (mine, theirs):
        particles.remove_indices(np.array([before]))
    mine.release(numbers.size, t=clock_of(clock), **place, **rest)
    theirs.add(particle_set(FIELDSET, *place.values(), np.full(numbers.size, clock), *rest.values()))
    assert contents(mine) == contents(theirs)
    assert {name: array.dtype for name, array in mine._data.items()} == {name: a.dtype for name, a in theirs._data.items()}


def test_a_kernel_brings_places_and_clocks_forward_as_parcels_own_loop_does():
    def drift(particles, fieldset):
        particles.dx, particles.dy, particles.dz = 0.25, 0.001 * np.array(particles.x), 1 / 3
        particles.state = np.where(np.array(particles.uid) % 4 == 0, StatusCode.Delete, np.array(particles.state))

    mine, theirs = (made(FlyingParticles, 0, 9) for _ in range(2))
    for particles in (mine, theirs):
        particles._data["t"][:] = 600.0
    mine.fly(drift, -200.0, 0.0)
    theirs.execute([drift], dt=np.timedelta64(-200, "s"), runtime=600.0, verbose_progress=False)
    assert contents(mine) == contents(theirs) and len(mine) == 6
    np.testing.assert_array_equal(mine._data["t"], 0.0)
