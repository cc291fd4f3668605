"""Maps of SSH that the benchmark of the learnt velocities makes worse."""

import dataclasses

import numpy as np
import pytest

from learning.velocity.maps import Maps, MapSpec
from tests.benchmarks.altimetry import Altimetry, degraded

SPACING_KM = 16.0


@pytest.fixture
def maps() -> Maps:
    times = np.datetime64("2000-01-01", "s") + np.arange(40) * np.timedelta64(5 * 86400, "s")
    x = 2 * np.pi * np.arange(64) / 64
    day = 5.0 * np.arange(40)
    wave = 0.1 * np.cos(4 * x)[None, None, :] * np.cos(2 * np.pi * day / 100)[:, None, None] + np.zeros((40, 64, 64))
    return Maps.of(MapSpec.of("sst-ssh"), times, {"ssh": wave, "temp": 0 * wave}, SPACING_KM)


def test_errors_of_noise_have_the_size_asked_for_and_are_new_in_every_map(maps):
    error = degraded(maps, Altimetry(noise=0.02), 5.0, True).values["ssh"] - maps.values["ssh"]
    assert error.std(axis=(1, 2)) == pytest.approx(np.full(40, 0.02), rel=1e-3)
    assert abs(np.corrcoef(error[3].ravel(), error[4].ravel())[0, 1]) < 0.3


def test_an_error_of_the_mean_is_the_same_in_every_map(maps):
    error = degraded(maps, Altimetry(mean=0.03), 5.0, True).values["ssh"] - maps.values["ssh"]
    assert error.std(axis=(1, 2)) == pytest.approx(np.full(40, 0.03), rel=1e-3)
    assert error == pytest.approx(np.broadcast_to(error[0], error.shape), abs=1e-6)


def test_smoothing_damps_a_wave_in_time_and_space_as_a_gaussian_does(maps):
    before = maps.values["ssh"][20].std()
    for altimetry, phase in ((Altimetry(days=7.0), 2 * np.pi * 7 / 100), (Altimetry(smooth_km=40.0), 4 * 2 * np.pi * 40 / 1024)):
        after = degraded(maps, altimetry, 5.0, True).values["ssh"][20].std()
        assert after / before == pytest.approx(np.exp(-0.5 * phase**2), rel=0.01)


def test_what_is_not_asked_for_changes_nothing(maps):
    same = degraded(maps, Altimetry(), 5.0, True)
    assert np.array_equal(same.values["ssh"], maps.values["ssh"]) and same.values["temp"] is maps.values["temp"]


def test_a_chart_is_wrong_in_the_same_way_at_all_times(maps):
    floor = np.broadcast_to(np.float32(4000), maps.values["ssh"].shape)
    known = dataclasses.replace(maps, values={**maps.values, "bathymetry": floor})
    found = degraded(known, Altimetry(chart=50.0), 5.0, True).values
    error = found["bathymetry"] - floor
    assert error.std(axis=(1, 2)) == pytest.approx(np.full(40, 50.0), rel=1e-3) and (error == error[0]).all()
    assert np.array_equal(found["ssh"], maps.values["ssh"])
