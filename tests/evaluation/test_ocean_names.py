"""The twin is named on every picture and in every store, and has neither a coast nor a mooring's name."""

from __future__ import annotations

import json
import shutil

import pytest
import xarray as xr
from matplotlib.figure import Figure

import lagrangian.chart
from data.command import run_command, write_json
from data.ocean_names import IDEALISED, is_idealised, ocean_title, site_attribute, twin_title
from data.twin.ocean import open_twin
from evaluation.figures.canvas import name_ocean, new_figure
from evaluation.figures.catchments import figure_1, open_experiment
from evaluation.figures.film import Scene
from evaluation.page import Page
from evaluation.report import ReportConfig, main
from lagrangian.fields import open_fields
from lagrangian.maps import draw_catchment
from lagrangian.stores import open_store
from learning.folders import run_record

FILES = {"kind": "croco", "files": ["/data/his.0000.nc", "/data/his.0001.nc", "/data/his.0002.nc"]}


@pytest.fixture(scope="module")
def twin_run(whole_run, tmp_path_factory):
    """A complete run of one speed as earlier versions wrote it, whose run.json says that its ocean is the twin."""
    run = shutil.copytree(whole_run, tmp_path_factory.mktemp("twin") / "run", ignore=shutil.ignore_patterns("w300"))
    record = run_record(run)
    result = {"particles": {"w080": record["result"]["particles"]["w080"]}}
    write_json(run / "run.json", {**record, "result": result, "ocean": {"kind": "twin", "seed": 3}})
    return run


def test_oceans_are_named_by_their_description():
    assert ocean_title({"kind": "twin", "seed": 3}) == twin_title(3) == "idealised twin ocean, seed 3"
    assert ocean_title(FILES) == "CROCO/ROMS simulation, his.0000.nc and 2 more"
    assert ocean_title({**FILES, "files": FILES["files"][:1]}) == "CROCO/ROMS simulation, his.0000.nc"
    assert ocean_title({"title": "mine", **FILES}) == "mine" and ocean_title({}) == ""
    assert is_idealised("Idealised twin ocean (quasi-geostrophic)") and not is_idealised(ocean_title(FILES))
    assert not is_idealised(None)


def test_the_site_of_an_idealised_ocean_is_a_position():
    assert site_attribute(twin_title(0), "pap-so") == "-16.5,49" == site_attribute(twin_title(0), "PAP-SO")
    assert site_attribute(twin_title(0), "-16,48.5") == "-16,48.5"
    assert site_attribute(ocean_title(FILES), "pap-so") == "pap-so"


def test_stores_of_earlier_versions_are_read_as_of_the_ocean_that_their_run_names(twin_run, whole_run):
    for store in (open_store(twin_run / "w080" / "pdf.zarr", "pdf"), open_fields(twin_run / "fields.zarr")):
        assert store.attrs["source"] == "idealised twin ocean, seed 3"
    assert open_store(twin_run / "w080" / "pdf.zarr", "pdf").attrs["site"] == "-16.5,49"
    other = open_store(whole_run / "w080" / "pdf.zarr", "pdf").attrs
    assert "source" not in other and other["site"] == "pap-so"


def test_a_run_json_that_says_nothing_of_an_ocean_hinders_no_store(whole_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(whole_run / "w080", run / "w080")
    for text in ("[]", "{", '{"ocean": []}', '{"ocean": {}}'):
        (run / "run.json").write_text(text)
        assert "source" not in open_store(run / "w080" / "pdf.zarr", "pdf").attrs


def texts(figure) -> str:
    return " ".join(text.get_text() for text in figure.texts)


def test_maps_of_the_twin_name_it_and_have_no_coast(twin_run, whole_run, monkeypatch, tmp_path):
    drawn, saved = [], []
    land = lagrangian.chart.land_feature
    monkeypatch.setattr(lagrangian.chart, "land_feature", lambda **style: drawn.append(1) or land(**style))
    real = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: saved.append(texts(self)) or real(self, *a, **k))
    draw_catchment(twin_run / "w080", tmp_path / "twin.png")
    one = figure_1(twin_run, 80.0, 0)
    assert not drawn
    assert IDEALISED in saved[0] and IDEALISED in texts(one) and "PAP-SO" not in saved[0]
    assert IDEALISED in texts(Scene(open_experiment(twin_run, 80.0, 0)).figure)
    # the same of a sea: it has a coast, and is the site's
    draw_catchment(whole_run / "w080", tmp_path / "sea.png")
    assert drawn and "PAP-SO" in saved[1] and IDEALISED not in saved[1]


@pytest.mark.usefixtures("coarse_pictures")
def test_every_figure_of_a_report_names_the_ocean(twin_run, tmp_path, monkeypatch):
    named = {}
    keep = Page.figure

    def figure(self, section, name, caption, one):
        keep(self, section, name, caption, one)
        named[name] = texts(one)

    monkeypatch.setattr(Page, "figure", figure)
    options = ["--out", str(tmp_path / "report"), "--resolution-experiments", "2", "--emd-experiments", "2"]
    code = run_command(ReportConfig, main, prog="evaluation.report", argv=["--run", str(twin_run), *options])
    assert code == 0
    drawn = {f"figure_{number}" for number in ("1", "2", "3", "4", "5", "6", "a1", "a2", "b1")}
    assert {name.split("_w")[0] for name in named} == {*drawn, "calibration"}
    assert all(text.count("idealised twin ocean, seed 3") == 1 for text in named.values())
    page = (tmp_path / "report" / "report.html").read_text()
    assert "<h1>Catchments of run: idealised twin ocean, seed 3</h1>" in page
    assert json.loads((tmp_path / "report" / "metrics.json").read_text())["ocean"] == "idealised twin ocean, seed 3"


def test_a_figure_is_named_once_and_keeps_its_title():
    figure = new_figure(4, 3)
    figure.subplots()
    name_ocean(figure, "")
    assert figure.get_suptitle() == ""
    name_ocean(figure, "a sea")
    assert figure.get_suptitle() == "a sea"
    other = new_figure(4, 3)
    other.suptitle("Scores", fontsize=13)
    for _ in range(2):
        name_ocean(other, "a sea")
    assert other.get_suptitle() == "a sea\nScores" and other.texts[0].get_fontsize() == 13


def test_stores_of_a_run_on_the_twin_bear_its_name(tmp_path):
    from lagrangian.config import RunConfig
    from lagrangian.experiments import design_experiments
    from lagrangian.stores import create_particles, create_pdf, create_trajectories

    ocean = open_twin(0.2)
    config = RunConfig(w=(300.0,), particles=4, positions=1, out=tmp_path)
    design = design_experiments(config.design, ocean)
    for name, create in (("particles", create_particles), ("pdf", create_pdf)):
        create(tmp_path / name, design, ocean, 300.0)
    create_trajectories(tmp_path / "trajectories", design, ocean, 300.0, 5)
    for name in ("particles", "pdf", "trajectories"):
        with xr.open_zarr(tmp_path / name, consolidated=False) as store:
            assert store.attrs["source"] == "idealised twin ocean, seed 0" and store.attrs["site"] == "-16.5,49"
