"""The report: numbers against a direct way to them, what it says of missing parts, and how a browser sees it."""

import json
import re
import shutil
import subprocess
import time

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr

from data.command import run_command
from evaluation import scores
from evaluation.report import ReportConfig, main
from evaluation.results import SHARES, SpeedRun, share_within
from lagrangian.binning import smooth_pdf
from learning.simulation import PARTS
from tests.learning.conftest import write_run


def reported(run, *options):
    return run_command(ReportConfig, main, prog="evaluation.report", argv=["--run", str(run), *options])


@pytest.fixture(scope="module")
def report(predicted_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    assert reported(predicted_run, "--out", str(out), "--resolution-experiments", "12") == 0
    return out


def test_every_file_of_the_contract_is_written(report):
    assert (report / "report.html").stat().st_size > 1e5
    assert {path.name for path in (report / "figures").glob("*.png")} >= {
        "figure_4.png",
        "calibration_w080.png",
        "figure_3_w300.png",
    }
    assert {path.name for path in (report / "tables").glob("*.csv")} >= {"scores.csv", "catchments.csv", "calibration.csv"}


def test_metrics_are_what_a_plain_loop_gives(report, predicted_run):
    entries = json.loads((report / "metrics.json").read_text())["scores"]
    keys = {"w", "model", "target", "split", "n", "bl_mean", "f_mean", "valid_percent"}
    assert all(keys <= set(entry) for entry in entries)
    assert {entry["model"] for entry in entries} == {"box100", "box200", "climatology", "sst-ssh"}
    assert {entry["split"] for entry in entries} == {"train", "validation", "test"}
    store = xr.open_zarr(predicted_run / "w080" / "pdf.zarr", consolidated=False)
    guess = xr.open_zarr(predicted_run / "w080" / "predictions" / "sst-ssh.zarr", consolidated=False)
    test = np.flatnonzero(guess["part"].values == PARTS.index("test"))
    bl, f = [], []
    for experiment in test:
        truth = smooth_pdf(store["counts"][experiment, 1].values / float(store["reached"][experiment, 1]))
        predicted = guess["pdf"][experiment, 1].values.astype(np.float64)
        bl.append(1 - np.sqrt(truth * predicted).sum())
        f.append(np.minimum(truth, predicted).sum())
    one = next(e for e in entries if (e["w"], e["model"], e["target"], e["split"]) == (80, "sst-ssh", "smoothed", "test"))
    assert one["n"] == test.size
    assert one["bl_mean"] == pytest.approx(np.mean(bl), abs=1e-6) and one["f_mean"] == pytest.approx(np.mean(f), abs=1e-6)
    assert one["valid_percent"] == pytest.approx(100 * np.mean(np.array(bl) < 0.3))
    assert one["bl_mean_low"] is None or one["bl_mean_low"] <= one["bl_mean"] <= one["bl_mean_high"]
    table = pd.read_csv(report / "tables" / "scores.csv")
    assert len(table) == len(entries)


def test_the_climatology_is_that_of_the_training_experiments(predicted_run):
    one = SpeedRun.open(predicted_run, 80.0)
    maps = one.baseline_maps()
    train = one.split == "train"
    truth = one.store["counts"][:, 1].values[train] / one.store["reached"][:, 1].values[train][:, None, None]
    expected = smooth_pdf(truth.mean(axis=0))
    np.testing.assert_allclose(maps["climatology"], expected / expected.sum(), atol=1e-7)
    assert not one.notes


def test_without_networks_the_report_gives_baselines_and_says_what_would_add_more(tmp_path, capsys):
    run = write_run(tmp_path / "run", periods=14, speeds=(80.0,))
    assert reported(run) == 0
    page = (run / "report" / "report.html").read_text()
    assert "learning.fit" in page and "learning.predict" in page
    entries = json.loads((run / "report" / "metrics.json").read_text())["scores"]
    assert {entry["split"] for entry in entries} == {"all"}
    assert {entry["model"] for entry in entries} == {"box100", "box200", "climatology"}
    assert "flatters it" in page or "flatter it" in page
    assert "Traceback" not in capsys.readouterr().err


def test_contours_of_the_truth_itself_hold_what_they_say():
    rng = np.random.default_rng(0)
    pdf = rng.gamma(0.5, size=(5, 400))
    pdf /= pdf.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(share_within(pdf, pdf), np.tile(SHARES, (5, 1)), atol=1e-9)
    # a prediction that says nothing: its contours are arbitrary cells
    uniform = np.full((1, 400), 1 / 400)
    np.testing.assert_allclose(share_within(uniform, uniform[:, ::-1]), [SHARES], atol=1e-9)
    # too sharp a prediction holds less than it says
    sharp = np.zeros((1, 400))
    sharp[0, :4] = 0.25
    assert (share_within(sharp, uniform) < 0.011).all()


def test_one_experiment_is_enough(tmp_path):
    run = write_run(tmp_path / "one", periods=1, side=1, speeds=(80.0,))
    assert reported(run) == 0
    entries = json.loads((run / "report" / "metrics.json").read_text())["scores"]
    assert entries[0]["n"] == 1 and entries[0]["bl_mean_low"] is None


def test_bad_runs_get_one_line(tmp_path, predicted_run, capsys):
    def refused(code, *words):
        error = capsys.readouterr().err.strip()
        assert code == 2 and len(error.splitlines()) == 1
        for word in words:
            assert word in error

    refused(reported(tmp_path / "nothing"), "no finished PDFs")
    empty = write_run(tmp_path / "empty", periods=2, empty=True, speeds=(80.0,))
    refused(reported(empty), "no particle reached")
    refused(reported(predicted_run, "--level", "555", "--out", str(tmp_path / "x")), "555", "1000, 200")
    other = write_run(tmp_path / "other", periods=9, speeds=(80.0,))
    shutil.copytree(predicted_run / "w080" / "predictions", other / "w080" / "predictions")
    refused(reported(other), "does not belong")


def test_predictions_that_do_not_sum_to_one_are_named_and_not_scored(tmp_path, predicted_run):
    run = shutil.copytree(predicted_run, tmp_path / "run")
    store = zarr.open_group(str(run / "w080" / "predictions" / "sst-ssh.zarr"), mode="r+", use_consolidated=False)
    wrong = np.flatnonzero(store["part"][:] == PARTS.index("test"))[:3]
    for experiment in wrong:
        store["pdf"][experiment] = 2 * store["pdf"][experiment]
    assert reported(run, "--resolution-experiments", "4") == 0
    page = (run / "report" / "report.html").read_text()
    assert "3 of 160 predictions of sst-ssh do not sum to 1" in page and "learning.predict --run" in page
    found = [entry for entry in json.loads((run / "report" / "metrics.json").read_text())["scores"] if entry["split"] == "test"]
    n = {(entry["w"], entry["model"]): entry["n"] for entry in found if entry["target"] == "smoothed"}
    assert n[80, "sst-ssh"] == n[300, "sst-ssh"] - 3 and n[80, "box200"] == n[300, "box200"]


def test_more_counted_than_reached_is_one_line(tmp_path, capsys):
    run = write_run(tmp_path / "run", periods=3, speeds=(80.0,))
    store = zarr.open_group(str(run / "w080" / "pdf.zarr"), mode="r+", use_consolidated=False)
    store["reached"][7] = store["reached"][7] - 100
    assert reported(run) == 2
    error = capsys.readouterr().err.strip()
    assert len(error.splitlines()) == 1 and "more particles than reached the level in experiment 7" in error


def test_scoring_ten_thousand_experiments_is_one_pass_of_arrays():
    """Side by side with a plain loop over experiments and bins; only the ratio is asserted, and it is far from its bound."""
    rng = np.random.default_rng(1)
    p, q = (rng.gamma(0.3, size=(300, 100, 100)).astype(np.float32) for _ in range(2))
    started = time.perf_counter()
    fast = scores.bhattacharyya_loss(p, q)
    whole = time.perf_counter() - started
    started = time.perf_counter()
    slow = [1 - sum(float(a) ** 0.5 * float(b) ** 0.5 for a, b in zip(p[n].flat, q[n].flat)) for n in range(3)]
    loop = (time.perf_counter() - started) * 100
    np.testing.assert_allclose(fast[:3], slow, rtol=1e-4)
    print(f"arrays are {loop / whole:.0f} times a loop")
    assert whole < loop


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CHECK = """<script>window.addEventListener('load', () => { const found = document.createElement('pre'); found.id = 'found';
found.textContent = JSON.stringify([...document.images].map(one => [one.id, one.complete, one.naturalWidth]));
document.body.appendChild(found); });</script></body>"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_browser_loads_every_figure_without_a_word_on_its_console(report, tmp_path):
    page = (report / "report.html").read_text()
    assert not re.search(r"(?:src|href)=[\"'](?!data:)", page), "the page refers to something outside itself"
    copy = tmp_path / "page.html"
    copy.write_text(page.replace("</body>", CHECK))
    done = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--enable-logging=stderr",
         f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=10000", "--dump-dom", f"file://{copy}"],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    found = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.S)
    assert found, done.stderr[-2000:]
    images = json.loads(found.group(1))
    assert len(images) >= 5 and all(complete and width > 100 for _, complete, width in images)
    assert "CONSOLE" not in done.stderr
