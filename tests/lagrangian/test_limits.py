"""Requests that no machine would end are refused before anything is made."""

from __future__ import annotations

import dataclasses

import pytest

from data.errors import OptionError
from lagrangian.config import DT_MINUTES
from lagrangian.design import LEAD_FACTOR
from lagrangian.experiments import design_experiments
from lagrangian.limits import MOST_STEPS, check_lattice, check_run, flying_bytes, particle_steps
from tests.builders.small_sweep import SMALL, analytic_ocean


@pytest.fixture(scope="module")
def small():
    ocean = analytic_ocean(days=120, dx=16e3)
    return SMALL, design_experiments(SMALL.design, ocean)


def test_particle_steps_are_particles_times_steps_of_the_way_up(small):
    config, design = small
    config = dataclasses.replace(config, w=(100.0, 200.0), dt=60.0)
    design = dataclasses.replace(design, design=config.design)
    days = LEAD_FACTOR * (config.trap_depth - min(config.levels)) * (1 / 100 + 1 / 200)
    assert particle_steps(design, config.integration) == pytest.approx(design.n_experiments * design.n_particles * 24 * days)


def test_a_run_of_the_paper_is_let_through_and_one_without_end_is_not(small):
    config, design = small
    check_run(design, config.integration)
    # the step, minutes, at which there are just so many
    at_most = DT_MINUTES * particle_steps(design, config.integration) / MOST_STEPS
    check_run(design, dataclasses.replace(config.integration, dt=1.01 * at_most))
    with pytest.raises(OptionError, match=r"about .* particle-steps, more than 1e\+14; give fewer"):
        check_run(design, dataclasses.replace(config.integration, dt=0.99 * at_most))


def test_more_particles_in_flight_than_memory_holds_are_refused(small, monkeypatch):
    config, design = small
    wanted = flying_bytes(design)
    monkeypatch.setattr("data.machine.memory_bytes", lambda: 0.99 * wanted)
    with pytest.raises(OptionError, match=r"GB of memory; this machine has .*; give fewer --positions"):
        check_run(design, config.integration)
    check_run(design, config.integration, shared=True)  # each worker holds a part
    monkeypatch.setattr("data.machine.memory_bytes", lambda: 1.01 * wanted)
    check_run(design, config.integration)
    # whole paths take more
    with pytest.raises(OptionError, match="GB of memory"):
        check_run(dataclasses.replace(design, design=dataclasses.replace(config.design, trajectories=1.0)), config.integration)


def test_a_lattice_of_traps_beyond_memory_is_refused_before_it_is_laid_out(monkeypatch):
    monkeypatch.setattr("data.machine.memory_bytes", lambda: 64e9)
    with pytest.raises(OptionError, match="1000 x 1000 --positions of 4096 --particles would take about"):
        check_lattice(dataclasses.replace(SMALL, positions=1000, particles=4096).design)
    check_lattice(SMALL.design)
