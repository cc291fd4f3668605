"""The fair table of ``python -m tests.benchmarks.velocity``: rows that lack a speed, pairs, parts of the experiments."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from lagrangian.binning import BINS
from lagrangian.design import Design
from lagrangian.integration import Integration
from learning.velocity.maps import MapSpec
from learning.velocity.model import VelocityModel
from learning.velocity.residuals import Residuals
from learning.velocity.runs import RunOptions
from tests.benchmarks.velocity import Row, Truth, constant, have_all_maps, informed_above, print_rows, velocities_of


def blob(rows: int, column: int) -> np.ndarray:
    """(rows, y, x) all mass in one place."""
    out = np.zeros((rows, BINS, BINS))
    out[:, 50, column] = 1.0
    return out


@pytest.fixture
def truth() -> Truth:
    pdf = {w: blob(4, 50) for w in (80.0, 120.0)}
    offset = np.array([[-85.0, 85.0], [85.0, 85.0], [256.0, 0.0], [0.0, -427.0]])
    return Truth(Path("run"), np.zeros(2), pdf, pdf, np.array([0, 0, 1, 1]), offset, np.arange(4), {}, False)


def test_a_model_without_a_speed_has_no_line_there_and_pairs_are_differences_of_bl(truth, capsys):
    half = 0.5 * (blob(4, 50) + blob(4, 20))
    rows = {
        "climatology-root": constant(truth, dict.fromkeys(truth.smoothed, blob(1, 20)[0])),
        "sst-ssh": Row({80.0: half}, {80.0: np.arange(4.0)}),
        "velocity, mean": Row(dict.fromkeys(truth.smoothed, blob(4, 50))),
    }
    print_rows(truth, rows)
    first, second = capsys.readouterr().out.split("w = 120")
    line = next(line for line in first.splitlines() if line.startswith("velocity"))
    # BL: of the same PDF 0, of one elsewhere 1, of one half of which is elsewhere 1 - sqrt(1/2)
    assert "valid 100 [100, 100]" in line and "BL 0.000" in line and "paired -1.000" in line
    assert f"than sst-ssh -{1 - 0.5**0.5:.3f}" in line
    assert "sst-ssh" not in second and "velocity, mean" in second and "than" not in second


def test_the_traps_near_the_site_are_a_part_of_the_experiments(truth):
    near = truth.part(truth.central())
    assert near.rows.tolist() == [0, 1] and near.smoothed[80.0].shape == (2, BINS, BINS) and near.block.tolist() == [0, 0]


def test_velocities_of_another_ocean_are_not_taken(tmp_path):
    for name, seed in (("one", 0), ("two", 1)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(json.dumps({"ocean": {"kind": "twin", "seed": seed, "years": 1.0}}))
    with pytest.raises(SystemExit, match="its ocean is not that of"):
        velocities_of(tmp_path / "one", tmp_path / "two")


def test_periods_without_earlier_maps_are_left_out_for_a_causal_model_alone(monkeypatch, capsys):
    # a record of 200 days: particles of 80 m/d are under way for 35 days, and a causal model wants SSH of 40 days before that
    times = np.datetime64("2000-01-01", "s") + np.arange(0, 201, 5) * np.timedelta64(86400, "s")
    starts = np.array(["2000-02-10", "2000-06-01"], "datetime64[s]")
    options = RunOptions(Design.at("pap-so", speeds=(80.0,)), Integration())
    monkeypatch.setattr("tests.benchmarks.velocity.run_options", lambda run: options)
    monkeypatch.setattr("tests.benchmarks.velocity.found_speeds", lambda run: [80.0])
    delayed, causal = (SimpleNamespace(spec=MapSpec.of("sst-ssh", causal=one)) for one in (False, True))
    assert have_all_maps(Path("run"), [delayed], times, starts).tolist() == [True, True]
    assert have_all_maps(Path("run"), [delayed, causal], times, starts).tolist() == [False, True]
    assert "1 of 2 periods are left out" in capsys.readouterr().out


def test_what_is_known_above_is_true_and_has_no_residuals(monkeypatch):
    depths = np.array([200.0, 2200.0, 3000.0])
    days = np.datetime64("2000-01-01", "s") + np.arange(3) * np.timedelta64(432000, "s")
    psi = np.arange(3.0, dtype=np.float32)[:, None, None, None] + np.zeros((3, 3, 4, 4), np.float32)
    residuals = Residuals(np.ones((2, 3, 4, 4), np.float32), 5.0, 16.0, True, np.zeros(3), np.ones(3), whole_exponent=None)
    lattice = SimpleNamespace(frame=SimpleNamespace(spacing_km=16.0))
    velocities = SimpleNamespace(times=days, lattice=lattice, anomaly=lambda flow: psi)
    model = VelocityModel([], {"depths": depths, "flow": np.zeros((3, 2))}, residuals, "none")
    monkeypatch.setattr(VelocityModel, "predict", lambda self, maps, instants, lattice: np.full((len(instants), 3, 4, 4), -1.0))
    informed, at = informed_above(model, SimpleNamespace(times=days), velocities, 2250.0)
    assert informed.residuals.values[:, :2].max() == 0 and informed.residuals.values[:, 2].min() == 1
    flow = at(days[1:])
    np.testing.assert_array_equal(flow[:, :2], psi[1:, :2])
    assert (flow[:, 2] == -1).all()
