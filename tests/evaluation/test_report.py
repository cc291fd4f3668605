"""The report: numbers against a direct way to them, what it says of missing parts, and how a browser sees it."""

import json
import re
import shutil
import time
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr

import evaluation.report
from data.command import read_json, run_command, write_file, write_json
from data.progress import Progress
from evaluation import scores
from evaluation.experiments import climatologies
from evaluation.figures.catchments import figure_a2
from evaluation.report import ReportConfig, main
from evaluation.results import SHARES, SpeedRun, share_within
from lagrangian.binning import smooth_pdf
from learning.simulation import PARTS
from tests.builders.browser import AXE, CHROMIUM, asked, violations
from tests.builders.made_up_run import write_run


def reported(run, *options):
    return run_command(ReportConfig, main, prog="evaluation.report", argv=["--run", str(run), *options])


class Steps(Progress):
    """Keeps what the progress bar was told."""

    told: ClassVar[list[tuple[int, int, str]]] = []

    def update(self, done, total, note=""):
        self.told.append((done, total, note))


@pytest.fixture(scope="module")
def report(whole_run, tmp_path_factory):
    """The report of a run of which nothing is missing, where an earlier report and its owner had left files."""
    out = tmp_path_factory.mktemp("report")
    for name in ("figures/figure_9.png", "figures/mine.png"):
        write_file(out / name, b"old")
    write_json(out / "metrics.json", {"ocean": "a sea", "files": ["figures/figure_9.png", "../mine", "figures/figure_4.png"]})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation.report, "Progress", Steps)
        assert reported(whole_run, "--out", str(out), "--resolution-experiments", "4") == 0
    return out


def test_every_file_of_the_contract_is_written(report):
    assert (report / "report.html").stat().st_size > 1e5
    names = {path.name for path in (report / "figures").iterdir()}
    each = ("figure_1", "figure_2", "figure_3", "figure_5", "figure_6", "figure_a2", "calibration")
    drawn = {"figure_4", "figure_a1", "figure_b1", *(f"{name}_w{w}" for name in each for w in ("080", "300"))}
    assert names >= {f"{name}.{kind}" for name in drawn for kind in ("png", "pdf")}
    assert names >= {"catchment_w080.png", "experiment_w300.gif"}
    tables = {"scores", "catchments", "calibration", "spread", "correlations", "networks", "resolution_w080"}
    assert {path.stem for path in (report / "tables").glob("*.csv")} >= tables
    # what an earlier report left is gone, what is not its own stays
    assert "figure_9.png" not in names and "mine.png" in names
    files = read_json(report / "metrics.json", ocean=str)["files"]  # as the next report reads it
    assert all((report / name).is_file() for name in files) and len(files) == len(set(files)) > 40


def test_the_page_names_what_is_missing_and_nothing_else(report, whole_run):
    page = (report / "report.html").read_text()
    missing = re.findall(r'class="missing">([^<]*)', page)
    assert len(missing) == 2 and "3 blocks of 60 days" in missing[0]
    assert f"learning.fit --run {whole_run} --inputs 5v-1l 5v-4l, then" in missing[1]
    assert "python -m lagrangian.run --years 3 --positions 1 --w 100 150 200" in page
    links = set(re.findall(r'href="#([^"]*)"', page))
    assert links == set(re.findall(r'<h2 id="([^"]*)"', page)) and len(links) == 9
    assert "2001-02-01 to" in page  # the networks' training dates


def test_progress_is_told_through_every_part(report):
    done, total, notes = zip(*Steps.told)
    assert list(done) == sorted(done) and done[-1] == total[0] == (6 + 14) * 2 and len(set(total)) == 1
    assert set(notes) == {"scores", "distances", "catchments", "single experiments", "calibration", "resolution", "deep dynamics"}


def test_metrics_are_what_a_plain_loop_gives(report, whole_run):
    entries = json.loads((report / "metrics.json").read_text())["scores"]
    keys = {"w", "model", "target", "split", "n", "bl_mean", "f_mean", "valid_percent"}
    assert all(keys <= set(entry) for entry in entries)
    assert {entry["model"] for entry in entries} == {"box100", "box200", "climatology", "climatology-root", "sst-ssh"}
    assert {entry["split"] for entry in entries} == {"train", "validation", "test"}
    store = xr.open_zarr(whole_run / "w080" / "pdf.zarr", consolidated=False)
    guess = xr.open_zarr(whole_run / "w080" / "predictions" / "sst-ssh.zarr", consolidated=False)
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
    assert one["blocks"] == 3 and one["bl_mean_low"] < one["bl_mean"] < one["bl_mean_high"]
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


def test_predictions_of_earlier_versions_are_given_the_climatology_root_of_their_training_experiments(predicted_run, tmp_path):
    """Two routes: what fit kept, and what the report makes of pdf.zarr where the predictions hold none."""
    kept = SpeedRun.open(predicted_run, 80.0).baseline_maps()
    run = shutil.copytree(predicted_run, tmp_path / "run")
    shutil.rmtree(run / "w080" / "predictions" / "sst-ssh.zarr" / "climatology_root")
    metadata = run / "w080" / "predictions" / "sst-ssh.zarr" / "zarr.json"
    known = json.loads(metadata.read_text())
    known.pop("consolidated_metadata", None)
    metadata.write_text(json.dumps(known))
    one = SpeedRun.open(run, 80.0)
    assert "climatology_root" not in one.predictions["sst-ssh"]
    made = one.baseline_maps()
    np.testing.assert_allclose(made["climatology-root"], kept["climatology-root"], atol=1e-7)
    assert made["climatology-root"].sum() == pytest.approx(1, abs=1e-6) and not one.notes
    # the climatology by the same other route
    np.testing.assert_allclose(
        climatologies(one.store, one.level, one.split == "train")["climatology"], kept["climatology"], atol=1e-7
    )


def test_gains_are_claimed_over_the_better_baseline_only(report):
    entries = json.loads((report / "metrics.json").read_text())["scores"]
    baselines = ("box100", "box200", "climatology", "climatology-root")
    for one in (entry for entry in entries if entry["model"] == "sst-ssh"):
        others = {entry["model"]: entry["bl_mean"] for entry in entries if entry["model"] in baselines
                  and all(entry[name] == one[name] for name in ("w", "split", "target"))}  # fmt: skip
        assert len(others) == 4 and one["baseline"] == min(others, key=others.get)
        assert one["bl_less_baseline"] == pytest.approx(one["bl_mean"] - min(others.values()), abs=1e-9)
    assert all("bl_less_baseline" not in entry for entry in entries if entry["model"] in baselines)


@pytest.mark.usefixtures("coarse_pictures")
def test_a_damaged_speed_is_told_on_the_terminal_in_the_metrics_and_on_the_page(tmp_path, predicted_run, capsys):
    run = shutil.copytree(predicted_run, tmp_path / "run")
    counts = run / "w300" / "pdf.zarr" / "counts" / "c"
    for chunk in filter(Path.is_file, counts.rglob("*")):
        chunk.write_bytes(b"damaged")
    record = json.loads((run / "run.json").read_text())
    write_json(run / "run.json", {**record, "result": {"particles": {"w080": {}, "w200": {}, "w300": {}}}})
    options = ("--resolution-experiments", "0", "--emd-experiments", "0")
    assert reported(run, *options) == 2
    printed = capsys.readouterr()
    (line,) = [line for line in printed.err.splitlines() if "leaves out" in line]
    assert "2 speeds" in line and "w300" in line and "w200" in line and "give" in line
    found = json.loads((run / "report" / "metrics.json").read_text())
    assert len(found["left_out"]) == 2 and {entry["w"] for entry in found["scores"]} == {80.0}
    page = (run / "report" / "report.html").read_text()
    assert "w300" in page and "w200/pdf.zarr is absent" in page and (run / "report" / "figures" / "figure_4.png").exists()


@pytest.mark.usefixtures("coarse_pictures")
def test_without_networks_the_report_gives_baselines_and_says_what_would_add_more(tmp_path, capsys):
    run = write_run(tmp_path / "run", periods=14, speeds=(80.0,))
    assert reported(run) == 0
    page = (run / "report" / "report.html").read_text()
    assert "learning.fit" in page and "learning.predict" in page
    entries = json.loads((run / "report" / "metrics.json").read_text())["scores"]
    assert {entry["split"] for entry in entries} == {"all"}
    assert {entry["model"] for entry in entries} == {"box100", "box200", "climatology", "climatology-root"}
    assert "flatters it" in page or "flatter it" in page
    assert "Traceback" not in capsys.readouterr().err


def test_contours_of_the_truth_itself_hold_what_they_say():
    rng = np.random.default_rng(0)
    pdf = rng.gamma(0.5, size=(5, 400))
    pdf /= pdf.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(share_within(pdf, pdf), np.tile(SHARES, (5, 1)), atol=1e-9)
    # of a prediction that lies partly beyond the bins as well
    np.testing.assert_allclose(share_within(0.7 * pdf, pdf), np.tile(SHARES, (5, 1)), atol=1e-9)
    # a prediction that says nothing: its contours are arbitrary cells
    uniform = np.full((1, 400), 1 / 400)
    np.testing.assert_allclose(share_within(uniform, uniform[:, ::-1]), [SHARES], atol=1e-9)
    # too sharp a prediction holds less than it says
    sharp = np.zeros((1, 400))
    sharp[0, :4] = 0.25
    assert (share_within(sharp, uniform) < 0.011).all()


@pytest.mark.usefixtures("coarse_pictures")
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
    refused(reported(predicted_run, "--level", "555", "--out", str(tmp_path / "x")), "555", "1000, 200", "--level", "other speed")
    for options in (("--seed", "-1"), ("--emd-experiments", "-2"), ("--resolution-experiments", "-1"), ("--level", "-200"),
                    ("--depth-range", "2000", "1000")):  # fmt: skip
        refused(reported(predicted_run, *options, "--out", str(tmp_path / "x")), options[0], options[1])
    other = write_run(tmp_path / "other", periods=9, speeds=(80.0,))
    shutil.copytree(predicted_run / "w080" / "predictions", other / "w080" / "predictions")
    refused(reported(other), "does not belong")


def doubled(run, w, experiments):
    """Predictions of some experiments made to sum to 2."""
    store = zarr.open_group(str(run / f"w{w}" / "predictions" / "sst-ssh.zarr"), mode="r+", use_consolidated=False)
    pdf = store["pdf"][:]  # at once: a chunk holds many experiments
    pdf[list(experiments)] *= 2
    store["pdf"][:] = pdf


@pytest.mark.usefixtures("coarse_pictures")
def test_predictions_that_do_not_sum_to_one_are_named_and_not_scored(tmp_path, predicted_run):
    run = shutil.copytree(predicted_run, tmp_path / "run")
    test = np.flatnonzero(xr.open_zarr(run / "w080/predictions/sst-ssh.zarr", consolidated=False)["part"].values == 2)
    doubled(run, "080", test[:3])
    doubled(run, "300", range(90))
    assert reported(run, "--resolution-experiments", "4", "--emd-experiments", "4") == 0
    page = (run / "report" / "report.html").read_text()
    assert "3 of 90 predictions of sst-ssh do not sum to 1" in page and "learning.predict --run" in page
    found = [entry for entry in json.loads((run / "report" / "metrics.json").read_text())["scores"] if entry["split"] == "test"]
    n = {(entry["w"], entry["model"]): entry["n"] for entry in found if entry["target"] == "smoothed"}
    assert n[80, "sst-ssh"] == test.size - 3 and n[80, "box200"] == n[300, "box200"] == test.size
    # of those at 300 m/d none is left: no score, no calibration of 0 %, and no word of particles that did not arrive
    assert (300, "sst-ssh") not in n and "no prediction of sst-ssh at 300 m/d can be scored in the test split" in page
    table = pd.read_csv(run / "report" / "tables" / "calibration.csv")
    assert table["w"].unique() == [80] and (table["n"] == test.size - 3).all() and (table["within"] > 0).all()
    assert "has particles at" not in page
    assert (run / "report" / "figures" / "figure_2_w300.png").exists()
    # each reason is given once
    for line in set(re.findall(r'class="missing">([^<]*)', page)):
        assert page.count(f">{line}<") == 1 or line.startswith("Parts of this")


@pytest.mark.usefixtures("coarse_pictures")
def test_each_speed_is_reported_by_its_own_split_and_bad_ones_by_a_line(tmp_path, predicted_run, capsys, monkeypatch):
    run = shutil.copytree(predicted_run, tmp_path / "run")
    shutil.rmtree(run / "w080" / "predictions")
    shutil.copytree(run / "w300", run / "w300-old")
    shutil.copytree(run / "w300" / "pdf.zarr", run / "w100" / "pdf.zarr")
    shutil.copytree(run / "w300", run / "w200")
    zarr.open_group(str(run / "w100" / "pdf.zarr"), mode="r+", use_consolidated=False)["reached"][:, 0] = 0
    zarr.open_group(str(run / "w100" / "pdf.zarr"), mode="r+", use_consolidated=False)["counts"][:, 0] = 0
    zarr.open_group(str(run / "w200" / "predictions" / "sst-ssh.zarr"), mode="r+").attrs["identity"] = {"run": "another"}
    levels = []
    monkeypatch.setattr(evaluation.report, "figure_a2", lambda *two, level: levels.append(level) or figure_a2(*two, level=level))
    options = ("--level", "1000", "--resolution-experiments", "0", "--emd-experiments", "0")
    assert reported(run, *options) == 2  # two speeds are left out
    printed = capsys.readouterr()
    assert "Warning" not in printed.err
    (line,) = [line for line in printed.err.splitlines() if "leaves out" in line]
    assert "2 speeds" in line and "no experiment at 100 m/d has particles at 1000 m" in line and "does not belong" in line
    assert len(json.loads((run / "report" / "metrics.json").read_text())["left_out"]) == 2
    page = (run / "report" / "report.html").read_text()
    entries = json.loads((run / "report" / "metrics.json").read_text())["scores"]
    splits = {(80, "all"), (300, "test"), (300, "validation"), (300, "train")}
    assert {(entry["w"], entry["split"]) for entry in entries} == splits
    rows = [line.split()[:4] for line in printed.out.splitlines()]
    assert ["80.0", "box200", "all", "90"] in rows and ["300.0", "sst-ssh", "test", "14"] in rows
    assert "no experiment at 100 m/d has particles at 1000 m" in page and "does not belong" in page
    assert "no experiment at 80 m/d" not in page and "no predictions of sst-ssh at 80 m/d: python -m learning.predict" in page
    assert levels == [1000.0]


def test_more_counted_than_reached_is_one_line(tmp_path, capsys):
    run = write_run(tmp_path / "run", periods=3, speeds=(80.0,))
    store = zarr.open_group(str(run / "w080" / "pdf.zarr"), mode="r+", use_consolidated=False)
    store["reached"][7] = store["reached"][7] - 100
    assert reported(run) == 2
    error = capsys.readouterr().err.strip()
    assert len(error.splitlines()) == 1 and "more particles than reached the level in experiment 7" in error


def test_scoring_arrays_is_many_times_as_fast_as_a_loop():
    """Side by side with a plain loop over experiments and bins; the ratio is far from its bound (about 100)."""
    rng = np.random.default_rng(1)
    p, q = (rng.gamma(0.3, size=(300, 100, 100)).astype(np.float32) for _ in range(2))
    whole, loop = np.inf, np.inf
    for _ in range(3):
        started = time.process_time()
        fast = scores.bhattacharyya_loss(p, q)
        whole = min(whole, time.process_time() - started)
        started = time.process_time()
        slow = [1 - sum(float(a) ** 0.5 * float(b) ** 0.5 for a, b in zip(p[n].flat, q[n].flat)) for n in range(3)]
        loop = min(loop, (time.process_time() - started) * 100)
    np.testing.assert_allclose(fast[:3], slow, rtol=1e-4)
    assert loop / whole > 10


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_browser_loads_every_figure_without_a_word_on_its_console(report, tmp_path):
    page = (report / "report.html").read_text()
    assert not re.search(r"src=[\"'](?!data:)", page), "the page loads something from outside itself"
    links = re.findall(r"href=[\"']([^\"'#]+)", page)  # what is written beside it, and the paper
    assert links and all((report / link).is_file() or link.startswith("https://doi.org/10.") for link in links)
    images, log = asked(page, "return [...document.images].map(one => [one.id, one.complete, one.naturalWidth]);", tmp_path)
    assert len(images) == 3 + 2 * 9 and all(complete and width > 100 for _, complete, width in images)
    assert "CONSOLE" not in log


OPEN = "document.querySelectorAll('details').forEach(box => box.open = true);"
FILM = """const button = document.querySelector('button[aria-controls]'), film = document.getElementById(button.getAttribute(
'aria-controls')); const states = []; const note = () => states.push([film.src.slice(5, 14), button.textContent]);
note(); button.click(); note(); button.click(); note(); return states;"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_the_page_is_short_until_it_is_unfolded_fits_a_phone_and_its_film_can_be_stopped(report, tmp_path):
    page = (report / "report.html").read_text()
    shown, _ = asked(page, "return document.documentElement.scrollHeight;", tmp_path)
    whole, _ = asked(page, f"{OPEN} return document.documentElement.scrollHeight;", tmp_path)
    assert shown < 4500 < whole  # one speed alone took 13400 px
    for unfold in ("", OPEN):
        assert asked(page, f"{unfold} return document.documentElement.scrollWidth - innerWidth;", tmp_path, width=500)[0] <= 0
    states, _ = asked(page, OPEN + FILM, tmp_path)
    still, running = ["image/png", "Play the film"], ["image/gif", "Stop the film"]
    assert states == [still, running, still]
    target, _ = asked(page, "location.hash = '#deep-dynamics'; await new Promise(done => setTimeout(done, 200)); return "
                      "document.getElementById('deep-dynamics').closest('details').open;", tmp_path)  # fmt: skip
    assert target is True


@pytest.mark.skipif(CHROMIUM is None or not AXE.exists(), reason="no Chromium, or no axe-core in build/axe")
def test_axe_has_nothing_against_the_page_folded_or_not(report, tmp_path):
    page = (report / "report.html").read_text()
    assert violations(page, tmp_path) == [] and violations(page, tmp_path, before=OPEN, width=500) == []
    # it would have something against a picture without words
    assert violations(page.replace('<img alt="', '<img data-words="'), tmp_path, before=OPEN)


def test_the_first_screen_tells_what_was_asked_found_and_is_missing(report):
    page = (report / "report.html").read_text()
    first = re.sub(r"<[^>]+>", " ", page[page.index('<dl class="first">') : page.index("</header>")])
    for words in ("Where did the particles", "cross 200 m", "80 and 300 m/d", "is valid most often", "climatology", "read off"):
        assert words in first, words
    assert "2 things, each told in its section" in first
    table = page[page.index('aria-label="Main scores"') :]
    assert "(46)" in table and "(10)" in table  # the paper's sst-ssh and box200 at 80 m/d
