"""The map: what its numbers say, and that it is drawn without a network."""

from __future__ import annotations

import socket

import numpy as np
import pytest
from matplotlib.image import imread

from data.errors import StoreError
from lagrangian.binning import bin_centres
from lagrangian.campaign import Campaign
from lagrangian.config import RunConfig
from lagrangian.experiments import design_experiments
from lagrangian.maps import draw_catchment, mass_levels, share_in_box
from lagrangian.results import SpeedResults
from tests.lagrangian.analytic import SHALLOW_TO_DEEP, AnalyticOcean, eddies, plane, sphere


def test_contours_hold_the_share_they_say():
    pdf = np.array([[0.1, 0.2, 0.0], [0.4, 0.25, 0.05]])
    assert mass_levels(pdf, (0.25, 0.5, 0.9)) == [0.4, 0.25, 0.1]
    rng = np.random.default_rng(0)
    pdf = rng.gamma(0.3, size=(100, 100))
    for share, level in zip((0.25, 0.5, 0.75), mass_levels(pdf), strict=True):
        assert pdf[pdf >= level].sum() / pdf.sum() == pytest.approx(share, abs=2e-3)
    assert mass_levels(np.zeros((3, 3))) == []


def test_boxes_hold_twelve_and_twenty_four_cells():
    x = bin_centres()
    flat = np.full((100, 100), 1e-4)
    assert share_in_box(flat, x, x, 96.0) == pytest.approx(144e-4)
    assert share_in_box(flat, x, x, 192.0) == pytest.approx(576e-4)


def results(tmp_path, grid, **options):
    """A small run through an analytic ocean, written; returns the folder of its speed."""
    times = np.datetime64("2001-01-01", "ns") + np.arange(50) * np.timedelta64(12, "h")
    ocean = AnalyticOcean(grid, SHALLOW_TO_DEEP, times, *eddies(), description={})
    site = "-16.5,49" if grid.degrees else "0,0"
    config = RunConfig(site=site, w=(300.0,), particles=9, positions=2, release_every=24.0, out=tmp_path, **options)
    design = design_experiments(config, ocean)
    speed = SpeedResults.of(tmp_path, config, design, ocean, 300.0)
    Campaign(ocean, design, config, cohorts=speed.missing(), on_result=speed.write).run()
    speed.close()
    return speed.folder


@pytest.mark.parametrize(
    ("grid", "options"),
    [
        (sphere(90, 90), {}),
        (plane(90, 90), {}),
        (plane(90, 90, center=(-16.5, 49.0)), {"levels": (200.0,)}),
        (plane(90, 90), {"start": "2001-01-02", "end": "2001-01-02", "levels": (500.0, 100.0)}),  # none gets there
    ],
    ids=["sphere", "metres", "one level", "none reached"],
)
def test_a_map_is_drawn_without_asking_the_network(grid, options, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the map asked for a network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    folder = results(tmp_path, grid, **options)
    draw_catchment(folder, folder / "catchment.png")
    picture = imread(folder / "catchment.png")
    assert picture.shape[1] > 1500
    assert picture[..., :3].std() > 0.02


def test_a_map_that_cannot_be_written_or_has_no_stores_says_so(tmp_path):
    with pytest.raises(StoreError, match="does not exist"):
        draw_catchment(tmp_path, tmp_path / "catchment.png")
    folder = results(tmp_path, plane(90, 90))
    with pytest.raises(StoreError, match="cannot write"):
        draw_catchment(folder, tmp_path / "missing" / "catchment.png")
