"""The whole command on an analytic CROCO record of real shape, in small: closed forms at all numbers of layers and threads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import lagrangian.fields
import lagrangian.maps
from data.croco import open_croco
from lagrangian.config import RunConfig
from lagrangian.run import main
from lagrangian.stores import open_store
from lagrangian.velocity import omega_by_continuity, vertical_velocity_from_omega
from tests.benchmarks.real_size import crossings, record_files
from tests.benchmarks.real_size import main as real_size
from tests.benchmarks.record import AnalyticRecord, Comparison, compare

LAYERS = (20, 30, 32, 50, 75, 80, 100)
THREADS = (1, 2, 3)


@pytest.fixture(autouse=True)
def particles_alone(monkeypatch):
    """No map at the end, and fields of the near surroundings: both take longer than the runs of these tests."""
    monkeypatch.setattr(lagrangian.maps, "draw_catchment", lambda *arguments: None)
    monkeypatch.setattr(lagrangian.fields, "HALF_WINDOW_KM", 50.0)


def backtracked(record: AnalyticRecord, files: list[Path], out: Path, *, threads=1, vertical_velocity="continuity") -> Path:
    """The command on four traps of 32 particles at 300 m/d, about half of which pass over the sea mount."""
    spacing = 0.22 * record.half_width / 1e3
    config = RunConfig(
        ocean=tuple(map(str, files)), w=(300.0,), positions=2, spacing=spacing, particles=16, collection=1.0, every=1.0,
        release_every=12.0, threads=threads, vertical_velocity=vertical_velocity, fields_spacing=16.0, out=out,
    )  # fmt: skip
    assert main(config) == 0
    return out


def compared(record: AnalyticRecord, out: Path) -> Comparison:
    with open_store(out / "w300" / "particles.zarr", "particles") as particles:
        found = compare(record, particles)
    assert found.particles == 128 and 16 <= found.over_mount <= 112
    return found


def small(layers: int, vtransform: int = 2, *, points: int = 42, spacing: float = 3.5e3) -> AnalyticRecord:
    return AnalyticRecord(points, layers, spacing, 12.0, vtransform)


@pytest.mark.parametrize("layers", LAYERS)
def test_the_command_finds_the_closed_form_to_a_metre_with_the_same_bytes_on_every_number_of_threads(layers, tmp_path):
    record = small(layers)
    files = record.write(tmp_path / "record")
    assert len(files) == 3  # a sweep passes from file to file
    outs = [backtracked(record, files, tmp_path / f"threads-{threads}", threads=threads) for threads in THREADS]
    found = compared(record, outs[0])
    assert found.flat < 1.0 and found.late < 1.0 and found.mount < 150.0
    first, *others = (crossings(out) for out in outs)
    assert len(first) > 4
    for other in others:
        assert other == first


@pytest.mark.parametrize(
    ("layers", "vtransform", "vertical_velocity"),
    [(80, 1, "continuity"), (80, 1, "w"), (32, 1, "omega"), (80, 2, "w"), (80, 2, "omega")],
)
def test_both_transforms_and_all_vertical_velocities_find_the_closed_form(layers, vtransform, vertical_velocity, tmp_path):
    record = small(layers, vtransform)
    way = "continuity" if vertical_velocity == "continuity" else "file"
    files = record.write(tmp_path / "record", vertical=() if way == "continuity" else (vertical_velocity,))
    found = compared(record, backtracked(record, files, tmp_path / "out", vertical_velocity=way))
    assert found.flat < 1.0 and found.late < 1.0 and found.mount < 150.0


def test_over_the_sea_mount_the_error_falls_with_the_square_of_the_cell(tmp_path):
    error = []
    for points, spacing in ((36, 4e3), (71, 2e3)):
        record = small(30, points=points, spacing=spacing)
        files = record.write(tmp_path / f"record-{points}")
        error.append(compared(record, backtracked(record, files, tmp_path / f"out-{points}")).mount)
    print(f"largest error over the mount {error} m")
    assert error[0] / error[1] > 3.2 and error[1] < 50.0


@pytest.mark.parametrize("vtransform", [1, 2])
def test_the_record_is_a_sea_that_conserves_mass_and_whose_vertical_velocities_fit_each_other(vtransform, tmp_path):
    """Continuity, computed from the files, against the closed forms of omega and w that the files hold; W of a still surface."""
    scale = []
    for points, spacing in ((48, 4e3), (95, 2e3)):
        record = small(40, vtransform, points=points, spacing=spacing)
        ocean = open_croco([str(path) for path in record.write(tmp_path / str(points), vertical=("w", "omega"))])
        assert ocean.description["assumptions"] == [] and ocean.variables == {"w", "omega"}
        assert not ocean.grid.mask_rho.all() and ocean.grid.h[ocean.grid.mask_rho].min() < 0.95 * ocean.grid.h.max()
        one = ocean.snapshot(4, {"w", "omega"})
        omega = omega_by_continuity(one.u, one.v, one.zeta, ocean.grid, ocean.vertical)
        w = vertical_velocity_from_omega(one.u, one.v, one.zeta, omega, ocean.grid, ocean.vertical)
        assert np.abs(one.u).max() > 0.05
        scale.append([np.abs(omega - one.omega).max() / np.abs(one.omega).max(), np.abs(w - one.w).max() / np.abs(one.w).max()])
        transports = []
        for name, axis, metric in (("u", 2, ocean.grid.pn), ("v", 1, ocean.grid.pm)):
            thickness = ocean.vertical.layer_thickness(ocean.grid.h, one.zeta)
            low, high = (np.take(thickness, range(k, thickness.shape[axis] - 1 + k), axis) for k in (0, 1))
            wide = 2 / (np.take(metric, range(1, points), axis - 1) + np.take(metric, range(points - 1), axis - 1))
            transports.append((0.5 * (low + high) * getattr(one, name)).sum(axis=0) * wide)
        gain = np.diff(transports[0], axis=1)[1:-1] + np.diff(transports[1], axis=0)[:, 1:-1]
        rise = (gain * (ocean.grid.pm * ocean.grid.pn)[1:-1, 1:-1])[ocean.grid.mask_rho[1:-1, 1:-1]]
        assert np.abs(rise).max() < 1e-7  # m/s
        ocean.close()
    coarse, fine = np.array(scale)
    assert (coarse / fine > 2.0).all() and (fine < 0.1).all()


def test_the_benchmark_prints_its_table_and_finds_its_record_again(tmp_path, capsys):
    options = ["--points", "42", "--layers", "32", "--spacing", "3.5", "--days", "12", "--w", "300", "--collection", "1",
               "--release-every", "12", "--positions", "2", "--threads", "1", "--record", str(tmp_path / "record")]  # fmt: skip
    assert real_size(options) == 0
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("record/*.nc")}
    row = capsys.readouterr().out.splitlines()[-2].split(" | ")
    assert row[:3] == ["32", "threads 1", "300"] and float(row[4]) < 1.0 and float(row[7]) > 100 and len(row) == 11
    assert record_files(small(32), tmp_path / "record", ()) == sorted(before)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("record/*.nc")} == before
    record_files(small(20), tmp_path / "record", ())
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("record/*.nc")} != before
