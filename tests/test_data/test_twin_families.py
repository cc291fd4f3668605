"""The twin as files of three families: what the readers find in them is the twin, point by point."""

from __future__ import annotations

import shutil

import netCDF4
import numpy as np
import pytest

import data.twin.record
from data.croco import open_croco
from data.errors import StoreError
from data.ocean_names import is_idealised, ocean_title
from data.twin import __main__ as command
from data.twin.families import FAMILIES, LonLat
from data.twin.ocean import DEPTH, open_twin
from data.zlevel.open import open_zlevel
from lagrangian.velocity import omega_by_continuity

DAYS = 3


@pytest.fixture(scope="module")
def ocean(tmp_path_factory):
    """Three days on a record that takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data.twin.record, "SEGMENT_DAYS", DAYS)
        yield open_twin((DAYS - 1) / 365, folder=tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def folder(ocean, tmp_path_factory):
    """All three families in one folder, written as the command writes them."""
    out = tmp_path_factory.mktemp("families")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "open_twin", lambda *arguments, **options: ocean)
        for family in FAMILIES:
            assert command.main(command.TwinConfig(family=family, years=DAYS / 365, out=out)) == 0
    return out


@pytest.fixture(scope="module")
def opened(folder):
    return {
        "croco": open_croco(str(folder / "croco_his.*.nc")),
        "lonlat": open_zlevel(str(folder / "twin_lonlat.*.nc"), grid=str(folder / "twin_static.nc")),
        "nemo": open_zlevel(str(folder / "twin_grid_?.*.nc"), grid=str(folder / "twin_mesh_mask.nc")),
    }


def test_all_three_are_recognised_at_the_twins_instants_under_its_name(ocean, opened):
    for kind, one in opened.items():
        assert one.description["kind"] == kind and np.array_equal(one.times, ocean.times)
        assert is_idealised(ocean_title(one.description))
        assert np.allclose(one.grid.h, DEPTH) and one.preferences.no_continuity == "" if kind != "croco" else True


def test_nemo_files_hold_the_twins_own_velocities_at_their_depths(ocean, opened):
    one = opened["nemo"]
    found = one.snapshot(1, {"temp"})
    truth = ocean.at_depths(1, -one.vertical.rho[one.vertical.rho > -DEPTH])
    wet = one.vertical.n - truth.u.shape[0]
    assert wet == 3  # two levels below the sea floor, and the cut cell whose centre would lie below it
    # files hold depths in float32
    assert np.allclose(found.u[wet:, :-1], truth.u[:, :-1], atol=1e-6) and np.array_equal(found.zeta, truth.zeta)
    assert np.allclose(found.v[wet:, :, :-1], truth.v[:, :, :-1], atol=1e-6)
    assert np.allclose(found.temp[wet:], truth.temp, atol=1e-5)
    assert np.array_equal(found.u[2], found.u[3])  # the twin is at rest in its last layer's shear: constant below its middle


def test_a_flow_without_divergence_has_none_in_nemo_files_with_partial_cells(opened):
    one = opened["nemo"]
    snapshot = one.snapshot(1)
    w = omega_by_continuity(snapshot.u, snapshot.v, snapshot.zeta, one.grid, one.vertical)
    # rounding of float32 over 4800 m and 8 km; and what zeta's own motion through the thickness makes
    assert np.abs(w[:, 2:-2, 2:-2]).max() < 2e-6


def test_lonlat_files_hold_the_twin_turned_to_east_and_north(ocean, opened):
    one = opened["lonlat"]
    found = one.snapshot(1)
    top = ocean.at_depths(1, np.array([0.494]), False)
    # at the very places of the twin's u points, by the twin's own lookup: speeds agree, and so do directions
    lon, lat = np.meshgrid(one.grid.x_rho[0, 20:-20:9], one.grid.y_rho[15:-15:9, 0])
    column, row = ocean.grid.locate(lon, lat)
    padded = np.pad(top.u[0], ((0, 0), (1, 1)), mode="wrap")
    u = ocean.grid.sample(0.5 * (padded[:, 1:] + padded[:, :-1]), column, row)
    padded = np.pad(top.v[0], ((1, 1), (0, 0)), mode="wrap")
    v = ocean.grid.sample(0.5 * (padded[1:] + padded[:-1]), column, row)
    here = ocean.grid.position(column, row)
    there = ocean.grid.position(column + 0.5, row)
    turn = np.arctan2(there[1] - here[1], (there[0] - here[0]) * np.cos(np.deg2rad(here[1])))
    east, north = u * np.cos(turn) - v * np.sin(turn), u * np.sin(turn) + v * np.cos(turn)
    xi, eta = one.grid.locate(lon, lat)
    away = np.hypot(one.grid.sample(found.u[-1], xi, eta) - east, one.grid.sample(found.v[-1], xi, eta) - north)
    speed = np.hypot(east, north)
    assert np.median(away) < 0.03 * np.median(speed) and np.abs(turn).max() > 0.05


def test_interpolation_is_exact_for_cubic_fields_and_constants(ocean):
    product = LonLat(ocean)
    n = ocean.grid.shape[1] - 1
    x = np.arange(n) - n / 2
    field = np.broadcast_to((1e-4 * x**3 - 0.01 * x**2 + x)[None, :], (n, n))
    column, _ = ocean.grid.locate(*np.meshgrid(product.lon, product.lat))
    inside = (column > 2) & (column < n - 3)
    expected = 1e-4 * (column - n / 2) ** 3 - 0.01 * (column - n / 2) ** 2 + column - n / 2
    assert np.allclose(product.values(field, "rho")[inside], expected[inside], atol=2e-4)
    assert np.allclose(product.values(np.ones((n, n)), "u"), 1.0, atol=1e-5)


def test_a_finished_file_is_kept_and_a_folder_of_another_ocean_is_refused(ocean, folder, monkeypatch, tmp_path):
    monkeypatch.setattr(command, "open_twin", lambda *arguments, **options: ocean)
    path = folder / "twin_lonlat.0000.nc"
    before = path.stat().st_mtime_ns
    assert command.main(command.TwinConfig(family="lonlat", years=DAYS / 365, out=folder)) == 0
    assert path.stat().st_mtime_ns == before
    other = shutil.copy(path, tmp_path / path.name)
    with netCDF4.Dataset(other, "a") as file:
        file.ocean_seed = 9
    with pytest.raises(StoreError, match="is not of the twin ocean of --seed 0"):
        command.main(command.TwinConfig(family="lonlat", years=DAYS / 365, out=tmp_path))
