"""What others add: a score, a network, an ocean, a site, predictions of their own, without editing the toolkit."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from data.command import read_json
from data.errors import CatchmentError, InputError, OptionError
from data.ocean import Ocean
from data.registry import SCORES, Registry, opened, registered_ocean
from evaluation.experiments import true_pdfs
from evaluation.results import Scored, SpeedRun, add_registered, registered_score
from lagrangian.binning import smooth_pdf
from learning.weights import load_network
from tests.builders.finished_run import complete
from tests.builders.forks import in_forks
from tests.builders.small_sweep import analytic_ocean

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "docs" / "examples" / "extend.py"
#: Runs a script as ``python SCRIPT …`` does, but for the pictures, which no test of it looks at.
COARSELY = """
import runpy, sys
import pytest
from tests.builders.pictures import draw_coarsely
draw_coarsely(pytest.MonkeyPatch())
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.slow  # a run, networks and a report, in a process of its own
def test_a_strangers_script_of_less_than_60_lines_adds_an_ocean_a_site_a_score_and_a_network(tmp_path):
    assert len(SCRIPT.read_text().splitlines()) < 60
    run = tmp_path / "run"
    command = [sys.executable, "-c", COARSELY, SCRIPT, run]
    made = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=tmp_path, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    assert read_json(run / "run.json")["ocean"]["kind"] == "gyres"
    store = xr.open_zarr(run / "w300" / "pdf.zarr", consolidated=False)
    np.testing.assert_allclose([store["trap_lon"][0], store["trap_lat"][0]], [-20, 45], atol=0.1)
    card = subprocess_card(run / "w300" / "models" / "sst-ssh" / "member-01.safetensors")
    assert card["architecture"]["kind"] == "thin"
    # the score of the table, by a second route: from the stores themselves
    entry = next(
        one for one in json.loads((run / "report" / "metrics.json").read_text())["scores"]
        if (one["model"], one["target"], one["split"]) == ("sst-ssh", "smoothed", "test")
    )  # fmt: skip
    speed = SpeedRun.open(run, 300.0)
    test = np.flatnonzero(speed.split == "test")
    truth = smooth_pdf(true_pdfs(speed.store, speed.level, slice(0, speed.split.size)))[test]
    guess = speed.predictions["sst-ssh"]["pdf"].values[test, speed.level]
    assert entry["hit_rate_mean"] == pytest.approx((truth * (guess > 1e-4)).sum(axis=(1, 2)).mean(), rel=1e-6)


def subprocess_card(path: Path) -> dict:
    """The card of a network of the stranger, by a command that knows it."""
    from learning.weights import load_tensors

    return load_tensors(path)[1]


def test_a_network_of_a_package_that_is_gone_is_named_in_one_line(predicted_run, tmp_path):
    from learning.weights import load_tensors, save_tensors

    source = predicted_run / "w080" / "models" / "sst-ssh" / "member-01.safetensors"
    tensors, card = load_tensors(source)
    card["architecture"]["kind"] = "departed"
    save_tensors(tmp_path / "member-01.safetensors", tensors, card)
    with pytest.raises(CatchmentError, match=r"member-01.*no network 'departed' is registered \(there are: paper, residual"):
        load_network(tmp_path / "member-01.safetensors")


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    """An installed package with entry points, one of which cannot be imported."""
    folder = tmp_path_factory.mktemp("package")
    (folder / "island.py").write_text(
        "from data.sites import Site\n"
        "trap = Site('atoll', -20.0, 45.0)\n"
        "def half(p, q):\n    return 0.5 * p.sum(axis=(1, 2))\n"
        "def no_ocean(argument):\n    return argument\n"
    )
    made = folder / "island-1.0.dist-info"
    made.mkdir()
    (made / "METADATA").write_text("Metadata-Version: 2.1\nName: island\nVersion: 1.0\n")
    (made / "entry_points.txt").write_text(
        "[catchment.sites]\natoll = island:trap\n[catchment.scores]\nhalf = island:half\n"
        "[catchment.oceans]\nword = island:no_ocean\nlost = island_of_yesterday:ocean\n"
    )
    return folder


#: Arguments of lagrangian.run, and words of the line that refuses them.
WRONG = [
    (["--ocean", "lost:x"], "ocean 'lost' (island_of_yesterday:ocean) cannot be imported: ModuleNotFoundError"),
    (["--ocean", "word:x"], "--ocean word:x: the ocean that its opener returns lacks grid, vertical, times"),
    (["--ocean", "word:x", "y.nc"], "--ocean takes either 'word:x' or files, not both"),
    (["--ocean", "nobody:x"], "nobody:x: no such file"),
    (["--site", "nowhere"], "is neither LON,LAT nor one of the known sites: pap-so, bats, ofp, "),
    (["--site", "nowhere"], ", sots, atoll"),
]
FOUND = """
import sys; from data.registry import SCORES, OCEANS; from data.sites import parse_site
assert OCEANS.names() == ['lost', 'word'] and 'island' not in sys.modules
site = parse_site('atoll'); print(site.x, site.y, SCORES.names(), SCORES.get('half').__module__)
"""
RUN = """
import runpy, sys
sys.argv = ["-m", *{words!r}]
del sys.modules["lagrangian.run"]
runpy.run_module("lagrangian.run", run_name="__main__", alter_sys=True)
"""


@pytest.fixture(scope="module")
def answers(package, tmp_path_factory):
    """What processes say to which the package is installed: FOUND, then the command with each of WRONG."""
    words = [[*options, "--out", str(tmp_path_factory.mktemp("wrong") / "run")] for options, _ in WRONG]
    path = os.pathsep.join([str(package), str(ROOT)])
    return in_forks("import lagrangian.run", [FOUND, *(RUN.format(words=one) for one in words)], cwd=ROOT,
                    env={**os.environ, "PYTHONPATH": path})  # fmt: skip


def test_entry_points_of_an_installed_package_are_found_and_imported_when_asked_for(answers):
    assert answers[0].stdout.split("\n")[0] == "-20.0 45.0 ['half'] island", answers[0].stderr


@pytest.mark.parametrize("number", range(len(WRONG)), ids=[" ".join(options) for options, _ in WRONG])
def test_what_a_package_does_wrong_is_one_line(answers, number):
    made, told = answers[1 + number], WRONG[number][1]
    assert made.returncode == 2 and told in made.stderr and made.stderr.count("\n") == 1, made.stderr


def test_names_that_are_taken_or_no_names_are_refused():
    registry = Registry("ocean", taken=("twin",))
    registry.register("mine", len)
    registry.register("mine", len)  # a module imported twice
    for name, thing in (("twin", len), ("mine", max), ("C", len), ("a b", len)):
        with pytest.raises(OptionError, match=name):
            registry.register(name, thing)
    with pytest.raises(OptionError, match=r"no ocean 'other' is registered \(there are: twin, mine\)"):
        registry.get("other")


def test_files_with_a_colon_in_their_names_are_no_registered_oceans():
    assert registered_ocean(("C:/data/his.nc",)) is None
    assert registered_ocean(("twin",)) is None


def test_an_opener_that_fails_is_told_and_a_good_one_gives_an_ocean():
    assert isinstance(opened("mine:", lambda argument: analytic_ocean(days=2, dx=32e3), ""), Ocean)
    with pytest.raises(InputError, match=r"--ocean mine:7: its opener fails: KeyError: '7'"):
        opened("mine:7", lambda argument: {}[argument], "7")


@pytest.fixture
def scores(monkeypatch):
    """Registered scores of one test."""
    monkeypatch.setattr(SCORES, "_registered", {})
    return SCORES


def test_a_score_that_fails_is_left_out_and_told_and_the_others_are_kept(predicted_run, scores):
    scores.register("good", lambda p, q: np.minimum(p, q).sum(axis=(1, 2)))
    scores.register("wide", lambda p, q: p - q)
    scores.register("wrong", lambda p, q: 1 / 0)
    scored = Scored.of(SpeedRun.open(predicted_run, 80.0))
    told = add_registered(scored, limit=5)
    assert len(told) == 2 and "score 'wide' gives shape (5, 100, 100)" in told[0]
    assert "score 'wrong' fails: ZeroDivisionError" in told[1]
    entry = next(one for one in scored.reported if one["model"] == "climatology")
    # no more than five experiments: near the mean F of all of them
    assert entry["good_mean"] == pytest.approx(entry["f_mean"], abs=0.15)
    assert not {"wide_mean", "wrong_mean"} & set(entry)
    p = np.full((2, 4, 4), 1 / 16)
    np.testing.assert_allclose(registered_score("good", p, p), 1)


def test_predictions_that_another_program_wrote_are_scored(predicted_run, tmp_path):
    """The true PDFs themselves, as a foreign predictions/NAME.zarr of the least contents: nothing could predict better."""
    run = complete(shutil.copytree(predicted_run, tmp_path / "run"))
    mine = SpeedRun.open(run, 80.0)
    n, levels = mine.store.sizes["experiment"], mine.store["level"].values
    counts = mine.store["counts"].values.astype(float)
    pdf = (counts / counts.sum(axis=(2, 3), keepdims=True)).astype(np.float32)
    part = mine.predictions["sst-ssh"]["part"].values
    xr.Dataset(
        {
            "pdf": (("experiment", "level", "y", "x"), pdf),
            "spread": (("experiment", "level"), np.zeros((n, levels.size), np.float32)),
            "part": ("experiment", part),
        },
        coords={"level": levels},
    ).to_zarr(run / "w080" / "predictions" / "oracle.zarr", consolidated=False)
    found = SpeedRun.open(run, 80.0).score().sel(target="raw")
    assert float(found["bl"].sel(model="oracle").max()) < 1e-3
    assert float(found["f"].sel(model="oracle").min()) > 0.999
    assert float(found["bl"].sel(model="sst-ssh").min()) > 0.01
