"""The sweep: accounting, independence, the comparison kernel, and what memory holds."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from lagrangian.advection import GROUNDED, LEFT_DOMAIN, REACHED, RECORD_ENDED
from lagrangian.campaign import Campaign, Cohort
from lagrangian.experiments import design_experiments
from tests.builders.analytic import AnalyticOcean
from tests.builders.small_sweep import SMALL, analytic_ocean

DAY = np.timedelta64(86400, "s")


def run(ocean, config, cohorts=None, **options):
    """All results by (period, w), and the campaign."""
    design = design_experiments(config.design, ocean)
    cohorts = cohorts or [Cohort(p, w) for p in range(design.n_periods) for w in config.w]
    results = {}

    def keep(result):
        results[(result.cohort.period, result.cohort.w)] = result

    campaign = Campaign(ocean, design, config.integration, cohorts=cohorts, on_result=keep, **options)
    campaign.run()
    return results, campaign, design


@pytest.fixture(scope="module")
def whole():
    ocean = analytic_ocean()
    return ocean, *run(ocean, SMALL)


def test_every_released_particle_has_one_status_and_those_that_reached_have_all_crossings(whole):
    _, results, _, design = whole
    assert len(results) == 2 * design.n_periods
    for result in results.values():
        assert result.status.shape == (design.n_positions * design.n_particles,)
        assert np.isin(result.status, [REACHED, LEFT_DOMAIN, GROUNDED, RECORD_ENDED]).all()
        np.testing.assert_array_equal(np.isfinite(result.crossings[:, -1, 0]), result.status == REACHED)
        assert (np.diff(result.crossings[..., 2], axis=1) < 0).all()  # backward in time


def test_a_cohort_alone_is_bitwise_what_it_is_among_others(whole):
    ocean, results, _, _ = whole
    alone, _, _ = run(ocean, SMALL, [Cohort(1, 200.0)])
    np.testing.assert_array_equal(alone[(1, 200.0)].crossings, results[(1, 200.0)].crossings)
    np.testing.assert_array_equal(alone[(1, 200.0)].status, results[(1, 200.0)].status)


def test_each_snapshot_is_read_once_latest_first():
    ocean = analytic_ocean()
    read = []

    class Counting(AnalyticOcean):
        def snapshot(self, index, variables=()):
            read.append(index)
            return super().snapshot(index, variables)

    run(Counting(**{f.name: getattr(ocean, f.name) for f in dataclasses.fields(ocean)}), SMALL)
    assert read == sorted(set(read), reverse=True)
    assert len(read) <= len(ocean.times)


def test_memory_of_the_sweep_does_not_grow_with_the_record():
    rows = []
    for days in (50, 100):
        _, campaign, design = run(analytic_ocean(days=days, dx=16e3), SMALL)
        rows.append(campaign.table.status.size)
        assert not campaign.flying
    assert rows[0] == rows[1] < design.n_experiments * design.n_particles * 2


def test_particles_whose_record_ends_first_say_so():
    config = dataclasses.replace(SMALL, start="2001-01-02", end="2001-01-03", w=(80.0,))
    results, _, _ = run(analytic_ocean(days=12), config)
    (result,) = results.values()
    assert (result.status == RECORD_ENDED).all()
    assert np.isnan(result.crossings[:, -1]).all()


def test_release_at_the_first_instant_of_the_record_is_counted():
    config = dataclasses.replace(SMALL, start="2001-01-01", end="2001-01-01")
    results, _, design = run(analytic_ocean(days=12), config)
    assert sum(result.status.size for result in results.values()) == 2 * design.n_positions * design.n_particles


def test_whole_paths_begin_at_the_release_and_follow_the_clock():
    ocean = analytic_ocean()
    config = dataclasses.replace(SMALL, trajectories=6.0, w=(300.0,), dt=60.0)
    with_paths, _, design = run(ocean, config)
    without, _, _ = run(ocean, dataclasses.replace(config, trajectories=None))
    for key, result in with_paths.items():
        # dt divides 6 h, so halting there changes nothing
        np.testing.assert_allclose(result.crossings, without[key].crossings, atol=1e-9, rtol=1e-12)
        path = result.path.reshape(design.n_positions, design.n_particles, -1, 3)
        np.testing.assert_allclose(path[:, :, 0, 2], -3000.0)
        np.testing.assert_allclose(path[0, : design.n_members, 0, 0], design.release_xi[0], rtol=1e-6)
        rise = np.diff(path[..., 2], axis=2)
        np.testing.assert_allclose(rise[np.isfinite(rise)], 75.0, atol=1.0)  # 300 m/d for 6 h; no vertical flow over a flat floor


def parcels_gap(dx):
    ocean = analytic_ocean(days=16, dx=dx)
    config = dataclasses.replace(
        SMALL, w=(300.0,), start="2001-01-11", end="2001-01-11", positions=2, spacing=90.0, particles=9, dt=240.0
    )
    ends = []
    for kernel in ("compiled", "parcels"):
        results, _, _ = run(ocean, dataclasses.replace(config, kernel=kernel))
        (result,) = results.values()
        assert (result.status == REACHED).all()
        ends.append(dx * result.crossings[:, -1, :2])
    return np.median(np.hypot(*(ends[0] - ends[1]).T))


def test_parcels_own_interpolation_agrees_and_the_difference_falls_at_second_order_with_the_spacing():
    coarse, fine = parcels_gap(16e3), parcels_gap(8e3)
    print(f"median gap at 200 m: {coarse:.0f} m at 16 km, {fine:.0f} m at 8 km; order {np.log2(coarse / fine):.2f}")
    assert fine < 1000.0
    assert np.log2(coarse / fine) > 1.6
