"""Satellite maps that cannot be what they say: never written, copies, unknown, anomalies without their mean."""

import numpy as np
import pytest

from data.errors import InputError
from data.frame import Frame
from learning.inputs import InputSpec
from learning.map_checks import look_at_maps
from learning.satellite_inputs import satellite_windows
from learning.velocity.lattice import Lattice
from learning.velocity.satellite import HALF_KM, read_series
from tests.builders.satellite_maps import DAYS, height, maps

SITE = (-16.5, 49.0)


def warmth(day, lon, lat):
    """Temperature, K, that changes from day to day."""
    return 287.0 + 0.2 * (lat - 49) + 0.1 * np.sin(lon + 0.1 * day)


def series(ssh, sst=()):
    """(series, notes) of what networks of velocities are given."""
    found = read_series((ssh,), tuple(sst), Lattice(Frame.around(SITE, HALF_KM, 16.0), False))
    return found, found.notes


def windows(ssh, sst=()):
    """(windows, notes) of what networks of PDFs are given."""
    found = satellite_windows((ssh,), tuple(sst), InputSpec.of("sst-ssh"), "pap-so")
    return found, found.notes


BOTH = pytest.mark.parametrize("read", [series, windows])


@BOTH
def test_good_maps_are_not_told_of(tmp_path, read):
    _, notes = read(maps(tmp_path / "h.nc", "adt", "m", height), [maps(tmp_path / "t.nc", "analysed_sst", "kelvin", warmth)])
    assert not [note for note in notes if "mean, " not in note], notes


@BOTH
def test_a_map_of_one_value_is_refused(tmp_path, read):
    ssh = maps(tmp_path / "h.nc", "adt", "m", lambda day, lon, lat: 0 * lon + 0.2 if day == 30 else height(day, lon, lat))
    with pytest.raises(InputError, match=r"SSH map of 2010-01-31.*: 0\.2 everywhere around the trap, and so on 1 of"):
        read(ssh)
    ssh = maps(tmp_path / "g.nc", "adt", "m", height)
    sst = maps(tmp_path / "t.nc", "analysed_sst", "K", lambda day, lon, lat: 0 * lon + 280.0)
    with pytest.raises(InputError, match=r"SST map of 2010-01-01.*: 6\.85 everywhere"):
        read(ssh, [sst])


@BOTH
def test_copies_and_anomalies_without_their_mean_are_told(tmp_path, read):
    _, notes = read(maps(tmp_path / "h.nc", "sla", "m", lambda day, lon, lat: height(min(day, 30), lon, lat)))
    assert any("maps are those of the date before them (first 2010-02-" in note for note in notes)
    assert any("sla, without mean dynamic topography" in note for note in notes)


def test_maps_of_other_dates_stand_for_a_map_that_knows_less_than_half_of_the_sea(tmp_path):
    whole, _ = series(maps(tmp_path / "h.nc", "adt", "m", height))
    clouded = lambda day, lon, lat: np.where((day == 30) & (lon > -20), np.nan, height(day, lon, lat))
    found, notes = series(maps(tmp_path / "c.nc", "adt", "m", clouded))
    assert len(found.times) == len(whole.times) - 1 == DAYS // 5
    kept = np.isin(whole.times, found.times)
    assert list(whole.times[~kept].astype(str)) == ["2010-01-31T00:00:00"]
    np.testing.assert_array_equal(found.maps["ssh"], whole.maps["ssh"][kept])
    assert any("SSH: 1 of 13 maps know less than half of the sea around the trap (first 2010-01-31)" in note for note in notes)
    with pytest.raises(InputError, match=r"SSH: only .* is known"):
        series(maps(tmp_path / "n.nc", "adt", "m", lambda day, lon, lat: np.where(lon > -20, np.nan, height(day, lon, lat))))


def test_what_is_filled_in_the_sea_is_told_and_land_is_not(tmp_path):
    _, notes = series(maps(tmp_path / "land.nc", "adt", "m", height, hole=lambda lon, lat: lon > -13))
    assert not any("unknown" in note for note in notes)
    ice = lambda day, lon, lat: np.where((day > 40) & (lat > 51), np.nan, height(day, lon, lat))
    _, notes = series(maps(tmp_path / "ice.nc", "adt", "m", ice))
    assert any("SSH: " in note and "% of the sea around the trap is unknown: nearest values replace it" in note for note in notes)


def test_unknown_points_are_no_value_of_a_flat_map():
    one = np.full((2, 3, 4), np.nan)
    one[0, 0] = [1.0, 2.0, 1.0, 1.0]
    assert look_at_maps("ssh", np.array(["2010-01-01", "2010-01-02"], "M8[D]"), one) == []
    one[1, 0, 0] = 5.0
    with pytest.raises(InputError, match="SSH map of 2010-01-02: 5 everywhere"):
        look_at_maps("ssh", np.array(["2010-01-01", "2010-01-02"], "M8[D]"), one)
