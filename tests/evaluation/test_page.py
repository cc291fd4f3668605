"""The report's page: what is missing is said once, and files of an earlier report are removed, no others."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from data.command import write_json
from data.errors import InputError, StoreError
from data.progress import Progress
from evaluation.figures.canvas import new_figure
from evaluation.page import Page


@pytest.fixture
def page(tmp_path):
    return Page(tmp_path / "out", Progress("report", "step"), 3)


def refuse(text):
    raise InputError(text)


def test_what_is_missing_is_said_once_and_referred_to(page):
    def two_speeds(section):
        for text in ("particles.zarr does not exist", "particles.zarr does not exist", "another thing"):
            with page.part(section):
                refuse(text)
        section.text.append("went on")

    page.section("First", two_speeds)
    page.section("Second", lambda section: refuse("particles.zarr does not exist"))
    page.section("Third", two_speeds)
    first, second, third = page.sections
    assert first.missing == ["particles.zarr does not exist", "another thing"] and first.text == ["went on"]
    assert second.missing == third.missing == ["Parts of this are left out for what is missing under “First”."]


def test_a_figure_is_drawn_once_for_each_of_its_two_files(page, monkeypatch):
    """Finding the places of its parts is to draw all of it: savefig does so before it draws."""
    drawn, real = [], Axes.draw
    monkeypatch.setattr(Axes, "draw", lambda self, renderer: drawn.append(type(renderer).__name__) or real(self, renderer))
    figure = new_figure(3, 2)
    figure.subplots().plot([0, 1], [0, 1])
    page.section("One", lambda section: page.figure(section, "new", "a figure", figure))
    assert len(drawn) == 2 and len(set(drawn)) == 2
    assert (page.folder / "figures/new.png").read_bytes() == page.sections[0].figures[0][2]
    assert (page.folder / "figures/new.pdf").read_bytes().startswith(b"%PDF")


def test_files_of_an_earlier_report_are_removed_and_no_others(page, tmp_path):
    names = ("figures/old.png", "figures/new.png", "figures/mine.png", "tables/new.csv")
    for path in (*(page.folder / name for name in names), tmp_path / "mine.txt"):
        path.write_bytes(b"old")
    assert page.earlier() == []
    recorded = ["figures/old.png", "figures/new.png", "figures/../../mine.txt", "../mine.txt", "report.html", "tables/gone.csv"]
    write_json(page.folder / "metrics.json", {"files": recorded})
    page.csv("new", pd.DataFrame({"a": [1]}))
    page.section("One", lambda section: page.figure(section, "new", "a figure", new_figure(2, 2)))
    assert page.written == ["tables/new.csv", "figures/new.pdf", "figures/new.png"]
    page.remove(page.earlier())
    left = {str(path.relative_to(page.folder)) for path in page.folder.rglob("*") if path.is_file()}
    assert left == {"figures/new.png", "figures/new.pdf", "figures/mine.png", "tables/new.csv", "metrics.json"}
    assert (tmp_path / "mine.txt").read_bytes() == b"old"
    (page.folder / "metrics.json").write_text("{")
    assert page.earlier() == []


def test_numbers_that_are_not_known_are_a_dash_and_text_is_escaped(page):
    table = pd.DataFrame({"a": [0.12345, np.nan, 1234.5], "b": ["<b>", "x", "y"]})
    page.section("A part & more", lambda section: page.table(section, "caption", table))
    text = page.write("title", {}).read_text()
    assert "<td>0.123</td>" in text and "<td>–</td>" in text and "<td>1234</td>" in text and "&lt;b&gt;" in text
    assert 'href="#a-part-more"' in text and 'id="a-part-more"' in text


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="--out"):
        Page(tmp_path / "file", Progress("report", "step"), 1)
