"""Members of an ensemble in one sweep: their particles go where a campaign of each would take them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from data.errors import InputError
from lagrangian.campaign import Campaign
from lagrangian.cohorts import Cohort
from lagrangian.design import Design
from lagrangian.integration import Integration
from learning.velocity.members import ensemble_catchments, member_design, placed_in
from learning.velocity.ocean import predicted_ocean
from learning.velocity.sweep import displacements
from tests.learning.test_velocity import DEPTHS, lattice, made_up, waves

STARTS = np.array(["2001-01-24T06:00", "2001-02-04"], "M8[s]")
DESIGN = Design(speeds=(150.0, 300.0), positions=2, spacing=100.0, collection=4.0, levels=(1000.0, 200.0))


def oceans(n: int, periodic: bool = True, land: bool = False) -> list:
    """Oceans of one grid whose flows differ."""
    where = lattice(64, periodic)
    velocities = made_up(12, where)
    sea = np.ones(where.shape, bool)
    sea[:20, 40:] = not land

    def ocean(number: int):
        more = waves(where, 10 + number, 12, 0.05)
        psi = velocities.psi + more
        return predicted_ocean(where, DEPTHS, velocities.times, lambda k: psi[k], np.full((3, 2), 0.02), sea=sea)

    return [lambda number=number: ocean(number) for number in range(n)]


def by_campaign(ocean, placed, integration) -> dict[Cohort, np.ndarray]:
    """The same of one ocean, by the campaign of lagrangian."""
    found = []
    cohorts = [Cohort(period, w) for period in range(placed.n_periods) for w in placed.speeds]
    Campaign(ocean, placed, integration, cohorts=cohorts, on_result=found.append).run()
    member = np.arange(placed.n_particles) % placed.n_members
    start = placed.release_xi[:, member, None], placed.release_eta[:, member, None]
    out = {}
    for one in found:
        xi, eta = (one.crossings[..., k].reshape(placed.n_positions, placed.n_particles, -1) for k in (0, 1))
        out[one.cohort] = np.stack(ocean.grid.displacement_km(xi, eta, *start), axis=-1)
    return out


def ready(made: list, diffusivity: float = 30.0):
    """A member's design in its grid, and the members' numerics."""
    placed = placed_in(member_design(DESIGN, particles=4, release_every=24.0), made[0](), STARTS)
    return placed, [Integration(dt=1440.0, diffusivity=(diffusivity,), threads=1, seed=7 + k) for k in range(len(made))]


@pytest.mark.parametrize(("periodic", "land"), [(True, False), (False, False), (False, True)])
def test_particles_of_a_member_go_where_a_campaign_of_it_takes_them(periodic, land):
    made = oceans(2, periodic, land)
    placed, integrations = ready(made)
    for ocean, integration, found in zip(made, integrations, displacements(made, placed, integrations), strict=True):
        expected = by_campaign(ocean(), placed, integration)
        assert set(found) == set(expected) == {Cohort(period, w) for period in (0, 1) for w in (150.0, 300.0)}
        for cohort, place in found.items():
            assert place.shape == (4, 16, 2, 2)
            assert np.array_equal(np.isnan(place), np.isnan(expected[cohort]))
            assert np.nanmax(np.abs(place - expected[cohort])) < 1e-4  # km: float32
            assert 5 < np.nanmax(np.abs(place)) < 500


def test_members_differ_and_any_number_of_threads_gives_the_same_bytes():
    made = oceans(3)
    placed, integrations = ready(made)
    once, again = (list(displacements(made, placed, integrations, threads)) for threads in (1, 3))
    for one, other in zip(once, again, strict=True):
        assert all(one[cohort].tobytes() == other[cohort].tobytes() for cohort in one)
    slow = Cohort(1, 150.0)
    assert np.abs(once[0][slow] - once[1][slow]).mean() > 1


def test_the_levels_that_are_wanted_are_those_of_all_levels():
    made = oceans(2)
    _, integrations = ready(made)
    design = member_design(DESIGN, particles=4, release_every=24.0)
    whole = list(ensemble_catchments(made, design, integrations, STARTS))
    last = list(ensemble_catchments(made, design, integrations, STARTS, np.array([1])))
    for one, other in zip(whole, last, strict=True):
        assert (one.period, one.w) == (other.period, other.w) and other.mean.shape[1] == 1
        assert np.array_equal(one.mean[:, 1], other.mean[:, 0])


def test_a_period_alone_has_the_particles_that_it_has_among_others():
    made = oceans(1)
    placed, integrations = ready(made)
    both = next(displacements(made, placed, integrations))
    alone = next(displacements(made, dataclasses.replace(placed, starts=STARTS[:1]), integrations))
    for w in (150.0, 300.0):
        assert both[Cohort(0, w)].tobytes() == alone[Cohort(0, w)].tobytes()


def test_a_release_after_the_last_instant_is_refused():
    made = oceans(1)
    placed, integrations = ready(made)
    late = dataclasses.replace(placed, starts=STARTS + np.timedelta64(90, "D"))
    with pytest.raises(InputError, match="after the last snapshot"):
        next(displacements(made, late, integrations))
