"""The map: what its numbers say, and that it is drawn without a network."""

from __future__ import annotations

import socket

import numpy as np
import pytest
import xarray as xr
import zarr
from matplotlib.figure import Figure
from matplotlib.image import imread

from data.errors import StoreError
from lagrangian.binning import bin_centres
from lagrangian.campaign import Campaign
from lagrangian.config import RunConfig
from lagrangian.experiments import design_experiments
from lagrangian.maps import _ended, _heavier_on_the_right, _scale_bar, draw_catchment
from lagrangian.pdf import mass_levels, share_in_box, summarise
from lagrangian.results import SpeedResults
from tests.builders.analytic import SHALLOW_TO_DEEP, AnalyticOcean, eddies, plane, sphere


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


def test_the_scale_bar_stands_in_the_emptier_of_the_lower_corners():
    x = bin_centres()
    for east in (-60.0, 60.0):
        blob = np.exp(-((x[None, :] - east) ** 2 + (x[:, None] + 90.0) ** 2) / (2 * 20.0**2))
        axes = Figure().add_subplot()
        _scale_bar(axes, 120.0, left=_heavier_on_the_right(blob, x, x, 120.0))
        ((begin, end), height) = axes.lines[0].get_xdata(), axes.lines[0].get_ydata()
        assert end - begin == 1e5 and (height < -1e5).all()  # m
        assert np.sign(begin + end) == -np.sign(east) and -120e3 < begin < end < 120e3


def test_experiments_count_alike_and_mass_centres_hold_particles_beyond_the_bins():
    # experiment 0: four particles, one of them beyond the bins; experiment 1: one particle; experiment 2: none
    counts = np.zeros((3, 1, 2, 2), np.uint16)
    counts[0, 0] = [[2, 1], [0, 0]]
    counts[1, 0] = [[0, 0], [0, 1]]
    store = xr.Dataset(
        {"counts": (("experiment", "level", "y", "x"), counts), "reached": (("experiment", "level"), np.array([[4], [1], [0]]))}
    )
    nan = np.nan
    x = np.array([[-4, -4, 4, 1004], [4, nan, nan, nan], [nan] * 4], np.float32)[..., None]
    y = np.array([[-4, -4, -4, 12], [4, nan, nan, nan], [nan] * 4], np.float32)[..., None]
    dims = ("experiment", "particle", "level")
    for step in (None, 1, 2):
        if step:
            store["counts"].encoding["chunks"] = (step, 1, 2, 2)
        mean, centre = summarise(store, xr.Dataset({"x": (dims, x), "y": (dims, y)}), 0)
        np.testing.assert_allclose(mean, [[0.25, 0.125], [0.0, 0.5]])
        np.testing.assert_allclose(centre, [[250.0, 0.0], [4.0, 4.0], [nan, nan]])


def test_it_says_how_particles_ended_that_did_not_arrive():
    status = xr.Dataset({"status": (("experiment", "particle"), np.array([[0, 0, 1, 1], [0, 1, 3, 0]], np.int8))})
    assert _ended(status) == {"left the domain": 0.375, "record ended first": 0.125}
    assert _ended(status.isel(particle=slice(0, 1))) == {}


def results(tmp_path, grid, **options):
    """A small run through an analytic ocean, written; returns the folder of its speed."""
    times = np.datetime64("2001-01-01", "ns") + np.arange(50) * np.timedelta64(12, "h")
    ocean = AnalyticOcean(grid, SHALLOW_TO_DEEP, times, *eddies(), description={})
    site = "-16.5,49" if grid.degrees else "0,0"
    config = RunConfig(site=site, w=(300.0,), particles=9, positions=2, release_every=24.0, out=tmp_path, **options)
    design = design_experiments(config.design, ocean)
    speed = SpeedResults.of(tmp_path, design, ocean, 300.0)
    Campaign(ocean, design, config.integration, cohorts=speed.missing(), on_result=speed.write).run()
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
    (tmp_path / "catchment.png").mkdir()
    with pytest.raises(StoreError, match="cannot write"):
        draw_catchment(folder, tmp_path / "catchment.png")
    assert not list(tmp_path.glob(".*"))  # nothing is left aside
    counts = zarr.open_group(str(folder / "pdf.zarr"), mode="r+")["counts"].with_config({"write_empty_chunks": True})
    counts[...] = 0  # as if all crossed beyond the bins
    draw_catchment(folder, tmp_path / "beyond.png")
    assert (tmp_path / "beyond.png").stat().st_size > 5000
