"""What all maps share: how far they reach, which contours they draw, where they say kilometres and where degrees."""

import numpy as np
import pytest
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lagrangian import chart
from lagrangian.binning import bin_centres
from lagrangian.chart import edges, map_axes, mass_contours, on_earth, view_km

X = bin_centres()


def gauss(x0: float, y0: float, width: float) -> np.ndarray:
    east, north = np.meshgrid(X, X)
    pdf = np.exp(-((east - x0) ** 2 + (north - y0) ** 2) / (2 * width**2))
    return pdf / pdf.sum()


def test_edges_of_cells_are_in_metres():
    assert edges(np.array([-4.0, 4.0]), 8.0).tolist() == [-8000.0, 0.0, 8000.0]


def test_a_view_holds_the_share_of_every_pdf_between_least_and_the_cells():
    pdfs = [gauss(0, 0, 20), gauss(-150, 0, 20)]
    half = view_km(X, X, pdfs, 8.0, share=0.98, least=100.0, margin=8.0)
    inside = np.maximum(np.abs(X)[None, :], np.abs(X)[:, None]) <= half
    assert all(pdf[inside].sum() >= 0.98 for pdf in pdfs) and half < 230
    assert view_km(X, X, [pdfs[0]], 8.0, share=0.98, least=100.0, margin=8.0) == 100.0
    assert view_km(X, X, [gauss(390, 0, 40)], 8.0, share=0.999, least=100.0, margin=80.0) == 400.0
    assert view_km(X, X, [np.zeros_like(pdfs[0])], 8.0, share=0.98, least=100.0, margin=8.0) == 100.0


@pytest.mark.parametrize("latitude", [0.0, -49.0, 69.9, 86.0])
def test_lines_of_the_globe_look_as_those_of_many_points(latitude, monkeypatch):
    def drawn():
        figure = Figure(figsize=(4, 4))
        canvas = FigureCanvasAgg(figure)
        map_axes(figure, (1, 1, 1), (-16.5, latitude), 400.0, coast=False)
        canvas.draw()
        return np.asarray(canvas.buffer_rgba()).astype(int)

    few = drawn()
    monkeypatch.setattr(chart, "LINE_POINTS", 100)
    assert abs(few - drawn()).max() <= 8 and few.min() < 200  # of 255


def test_contours_hold_their_shares_and_those_that_fall_together_are_drawn_once():
    axes = Figure().subplots()
    pdf = gauss(1.3, 2.1, 60)
    lines = mass_contours(axes, X, X, pdf)
    inside = [pdf[pdf >= level].sum() for level in lines.levels]
    np.testing.assert_allclose(inside, [0.75, 0.5, 0.25], atol=0.01)
    one_cell = np.zeros((100, 100))
    one_cell[50, 50], one_cell[50, 51] = 0.7, 0.3
    assert mass_contours(axes, X, X, one_cell).levels.tolist() == pytest.approx([0.3, 0.7])
    assert mass_contours(axes, X, X, np.zeros((100, 100))) is None


def test_an_ocean_without_a_place_on_earth_has_kilometres():
    assert on_earth(xr.DataArray(0.0, attrs={"units": "degrees_east"}), None)
    assert not on_earth(xr.DataArray(0.0, attrs={"units": "m"}), None)
    assert not on_earth(xr.DataArray(0.0, attrs={"units": "degrees_east"}), "idealised twin ocean, seed 0")
    axes = map_axes(Figure(), (1, 1, 1), (0.0, 0.0), 100.0, earth=False, about="site")
    assert axes.get_xlabel() == "km east of the site" and axes.get_ylim() == (-1e5, 1e5)
    axes = map_axes(Figure(), [0.1, 0.1, 0.5, 0.5], (-16.5, 49.0), (100.0, 50.0), sides=())
    assert hasattr(axes, "projection") and axes.get_xlim() == (-1e5, 1e5) and axes.get_ylim() == (-5e4, 5e4)
