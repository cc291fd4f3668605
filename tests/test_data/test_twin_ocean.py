"""The twin behind the Ocean interface, its record, and its files."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import data.twin.record
from data.croco import open_croco
from data.errors import OptionError, StoreError
from data.ocean import Ocean
from data.twin import __main__ as writer
from data.twin.defaults import F0, GRAVITY, SPACING, layer_centres
from data.twin.ocean import open_twin, vertical_weights
from data.twin.record import Record
from data.vertical import SCoordinate
from lagrangian.velocity import omega_by_continuity

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module", autouse=True)
def short_segments():
    """Two days a segment, and hardly any separation, so that the tests take seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data.twin.record, "SEGMENT_DAYS", 2)
        patch.setattr(data.twin.record, "SEPARATION_DAYS", 1)
        yield


@pytest.fixture(scope="module")
def ocean(cache, short_segments):
    return open_twin(3 / 365, folder=cache)


def test_the_shipped_state_is_small_and_moves_as_an_ocean_does():
    assert data.twin.record.SPUN_UP.stat().st_size < 1_000_000
    model = Record(0).model
    state = data.twin.record.initial_state(model, 0)
    u, v = model.velocity(model.streamfunction(state.q))
    speed = np.sqrt((u**2 + v**2).mean(axis=(1, 2)))
    assert (speed > 0.04).all() and (speed < 0.35).all()
    assert speed[0] > 2 * speed[3]


def test_it_is_an_ocean_and_its_flow_has_no_divergence(ocean):
    assert isinstance(ocean, Ocean)
    one = ocean.snapshot(1, {"temp"})
    ny, nx = ocean.grid.shape
    n = ocean.vertical.n
    assert one.u.shape == (n, ny, nx - 1) and one.v.shape == (n, ny - 1, nx) and one.temp.shape == (n, ny, nx)
    np.testing.assert_array_equal(one.u[:, 0], one.u[:, -1])
    np.testing.assert_array_equal(one.zeta[:, 0], one.zeta[:, -1])
    flat = np.zeros_like(one.zeta)
    omega = omega_by_continuity(one.u, one.v, flat, ocean.grid, ocean.vertical)
    assert np.abs(omega).max() < 2e-7  # float32 of 0.5 m/s over 8 km and 4800 m


def test_the_surface_alone_is_the_uppermost_level_of_the_whole(ocean):
    whole, top = ocean.snapshot(2, {"temp"}), ocean.surface(2, {"temp"})
    assert top.time == whole.time and top.temp.shape[0] == 1 and ocean.surface(2).temp is None
    np.testing.assert_array_equal(top.zeta, whole.zeta)
    for name in ("u", "v", "temp"):
        np.testing.assert_allclose(getattr(top, name)[0], getattr(whole, name)[-1], rtol=1e-6, atol=1e-7)
    assert np.abs(top.temp[0] - whole.temp[-2]).max() > 1e-3


def test_the_surface_flow_is_geostrophic(ocean):
    one = ocean.snapshot(1)
    p = ocean.record.model.parameters
    slope = (one.zeta[1:] - one.zeta[:-1]) / SPACING
    at_faces = -GRAVITY / F0 * 0.5 * (slope[:, 1:] + slope[:, :-1]) + p.mean_u[0]  # at psi points
    u = 0.5 * (one.u[-1, 1:] + one.u[-1, :-1])
    assert np.corrcoef(at_faces.ravel(), u.ravel())[0, 1] > 0.98


@pytest.mark.parametrize("layers", [20, 32, 80, 100])
def test_at_any_number_of_levels_each_has_the_velocity_of_its_own_depth(layers, ocean):
    ocean = dataclasses.replace(ocean, vertical=SCoordinate.from_stretching(layers, 5.0, 1.0, 250.0))
    psi, _ = ocean.record.day(1)
    one, mean_u = ocean.snapshot(1), ocean.record.model.parameters.mean_u
    depth = -ocean.vertical.z_rho(np.array(4800.0), np.array(0.0)).ravel()
    for j, i in ((3, 5), (20, 40), (31, 7)):
        of_layers = -(psi[:, j, i].astype(float) - psi[:, j - 1, i]) / SPACING + mean_u
        np.testing.assert_allclose(one.u[:, j, i], np.interp(depth, layer_centres(), of_layers), atol=1e-5)
        assert np.ptp(one.u[:, j, i]) > 1e-3


def test_vertical_weights_are_an_interpolation():
    depth = np.linspace(0, 4800, 50)
    weights = vertical_weights(depth)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    assert (weights >= 0).all()
    np.testing.assert_allclose(vertical_weights(np.array([150.0, 525.0])) @ np.arange(6), [0, 1])


def test_same_seed_same_bytes_and_another_seed_another_ocean(ocean, tmp_path):
    again, other = open_twin(3 / 365, folder=tmp_path), open_twin(3 / 365, seed=1, folder=tmp_path)
    for day in range(len(ocean.times)):
        np.testing.assert_array_equal(again.record.day(day)[0], ocean.record.day(day)[0])
    assert abs(np.corrcoef(other.record.day(0)[0][0].ravel(), ocean.record.day(0)[0][0].ravel())[0, 1]) < 0.3


DIGEST = """
import hashlib
from data.twin.record import Record, initial_state
model = Record(0).model
state = initial_state(model, 0)
for _ in range(40):
    model.step(state)
print(hashlib.sha256(state.q.tobytes() + state.tracer.tobytes()).hexdigest())
"""


def test_it_is_the_same_ocean_on_processors_with_fewer_instructions():
    def digest(**environment):
        command = [sys.executable, "-W", "ignore", "-c", DIGEST]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | environment, cwd=ROOT)
        return done.stdout.strip()

    here = digest()
    # numpy without AVX-512, then without AVX2 and fused multiply-add as well; BLAS of an old processor (no effect elsewhere)
    assert digest(NPY_DISABLE_CPU_FEATURES="X86_V4") == here
    assert digest(NPY_DISABLE_CPU_FEATURES="X86_V3,X86_V4", OPENBLAS_CORETYPE="Nehalem", OPENBLAS_NUM_THREADS="1") == here


def test_commands_that_need_one_record_at_once_compute_it_once(ocean, tmp_path):
    with ThreadPoolExecutor(3) as pool:
        records = [one.record for one in pool.map(lambda _: open_twin(3 / 365, folder=tmp_path), range(3))]
    for record in records:
        for day in range(len(ocean.times)):
            np.testing.assert_array_equal(record.day(day)[0], ocean.record.day(day)[0])


def test_a_record_cut_short_goes_on_to_the_same_bytes(ocean, tmp_path, monkeypatch):
    real, made = Record._save, []

    def die(path, write):
        if len(made) == 3:  # in the second segment, after its state
            raise KeyboardInterrupt
        made.append(path)
        real(path, write)

    monkeypatch.setattr(Record, "_save", staticmethod(die))
    with pytest.raises(KeyboardInterrupt):
        open_twin(3 / 365, folder=tmp_path)
    monkeypatch.setattr(Record, "_save", staticmethod(real))
    again = open_twin(3 / 365, folder=tmp_path)
    for day in range(len(ocean.times)):
        np.testing.assert_array_equal(again.record.day(day)[0], ocean.record.day(day)[0])


def whole_record(folder):
    """Bytes of the segments of a record of seed 0."""
    return [path.read_bytes() for path in sorted((folder / "v2-seed0").glob("days-*.npy"))]


DAMAGES = ("NaN bytes", "a flipped bit", "cut short", "NaN bytes, no checksum", "state lost", "state damaged")


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_is_noticed_and_computed_again_to_the_same_bytes(damage, ocean, cache, tmp_path, capsys):
    shutil.copytree(cache / "v2-seed0", tmp_path / "v2-seed0")
    good = whole_record(tmp_path)
    folder = tmp_path / "v2-seed0"
    first = folder / "days-0000.npy"
    days = 3 + 2 * damage.startswith("state")  # a lost state is missed where the record must grow
    if "NaN" in damage:
        first.write_bytes(first.read_bytes()[:-4000] + np.full(1000, np.nan, np.float32).tobytes())
        if "no checksum" in damage:
            (folder / "days-0000.sha256").unlink()
    elif damage == "a flipped bit":
        first.write_bytes(good[0][:70000] + bytes([good[0][70000] ^ 4]) + good[0][70001:])
    elif damage == "cut short":
        first.write_bytes(good[0][:-100])
    for state in folder.glob("state-*.npz"):
        if damage == "state lost":
            state.unlink()
        elif damage == "state damaged":
            state.write_bytes(state.read_bytes()[:2000] + bytes(64) + state.read_bytes()[2064:])
    again = open_twin(days / 365, folder=tmp_path)
    assert "is damaged or missing; the twin ocean is computed again" in capsys.readouterr().out
    assert whole_record(tmp_path)[: len(good)] == good
    np.testing.assert_array_equal(again.snapshot(1).u, ocean.snapshot(1).u)
    open_twin(days / 365, folder=tmp_path)
    assert capsys.readouterr().out == ""


def test_a_cache_of_an_earlier_version_is_taken_as_it_is_and_given_checksums(ocean, cache, tmp_path, capsys):
    folder = shutil.copytree(cache / "v2-seed0", tmp_path / "v2-seed0")
    marks = {path.name: path.read_text() for path in folder.glob("*.sha256")}
    for name in marks:
        (folder / name).unlink()
    stamps = {path.name: path.stat().st_mtime_ns for path in folder.glob("days-*.npy")}
    open_twin(3 / 365, folder=tmp_path)
    assert {path.name: path.read_text() for path in folder.glob("*.sha256")} == marks != {}
    assert {path.name: path.stat().st_mtime_ns for path in folder.glob("days-*.npy")} == stamps
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("layers", [20, 32, 80])
def test_its_croco_files_open_to_the_same_numbers(layers, ocean, tmp_path, monkeypatch):
    ocean = dataclasses.replace(ocean, vertical=SCoordinate.from_stretching(layers, 5.0, 1.0, 250.0))
    assert ocean.vertical.n == layers
    monkeypatch.setattr(writer, "open_twin", lambda *_, **__: ocean)
    monkeypatch.setattr(writer, "DAYS_PER_FILE", 2)
    assert writer.main(writer.TwinConfig(out=tmp_path / "files")) == 0
    files = open_croco(str(tmp_path / "files" / "croco_his.*.nc"))
    files.look()
    assert files.description["assumptions"] == []
    assert len(files.description["files"]) == 2
    np.testing.assert_array_equal(files.times, ocean.times)
    np.testing.assert_allclose(files.vertical.cs_w, ocean.vertical.cs_w)
    np.testing.assert_allclose(files.grid.pm, ocean.grid.pm)
    for day in (0, len(ocean.times) - 1):
        one, two = files.snapshot(day, {"temp"}), ocean.snapshot(day, {"temp"})
        for name in ("u", "v", "zeta", "temp"):
            np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    where = files.grid.locate(-16.5, 49.0)
    np.testing.assert_allclose(where, ocean.grid.locate(-16.5, 49.0), atol=1e-6)


def test_history_files_of_another_ocean_or_length_are_refused(ocean, tmp_path, monkeypatch):
    def write(days, seed=0, **options):
        one = dataclasses.replace(ocean, times=ocean.times[:days])
        if seed:
            one.record.seed = seed
        monkeypatch.setattr(writer, "open_twin", lambda *_, **__: one)
        try:
            return writer.main(writer.TwinConfig(out=tmp_path, **options))
        finally:
            one.record.seed = 0

    monkeypatch.setattr(writer, "DAYS_PER_FILE", 2)
    assert write(3) == 0
    first = (tmp_path / "croco_his.0000.nc").read_bytes()
    with pytest.raises(StoreError, match=r"croco_his.0000.nc is not of the twin ocean of --seed 4"):
        write(3, seed=4)
    assert write(4) == 0  # a longer record: its last file grows, the first is kept
    assert (tmp_path / "croco_his.0000.nc").read_bytes() == first
    np.testing.assert_array_equal(open_croco(str(tmp_path / "croco_his.*.nc")).times, ocean.times[:4])
    for shorter in (3, 2):
        with pytest.raises(StoreError, match=r"croco_his.0001.nc is of a longer record than --years"):
            write(shorter)


def test_impossible_lengths_and_seeds_are_refused(tmp_path):
    for years, seed in ((0, 0), (-1, 0), (5000, 0), (1, -1)):
        with pytest.raises(OptionError):
            open_twin(years, seed, folder=tmp_path)
