"""What all maps share: how far they reach, which contours they draw, where they say kilometres and where degrees."""

import numpy as np
import pytest
import xarray as xr
from cartopy.mpl.feature_artist import FeatureArtist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from data.coastline import SHORE, shows_cuts
from data.sphere import EARTH_RADIUS_KM
from lagrangian.binning import bin_centres
from lagrangian.chart import LAND, edges, map_axes, mass_contours, on_earth, view_km

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


def on_globe(x, y, center):
    """(lon, lat), degrees, of metres east and north of a centre: the sphere's azimuthal equidistant projection, inverted."""
    lon0, lat0 = np.radians(center)
    x, y = np.asarray(x), np.asarray(y)
    c, bearing = np.hypot(x, y) / (1e3 * EARTH_RADIUS_KM), np.arctan2(x, y)
    lat = np.arcsin(np.clip(np.sin(lat0) * np.cos(c) + np.cos(lat0) * np.sin(c) * np.cos(bearing), -1, 1))
    east = np.arctan2(np.sin(bearing) * np.sin(c) * np.cos(lat0), np.cos(c) - np.sin(lat0) * np.sin(lat))
    return np.degrees(lon0 + east), np.degrees(lat)


def apart(one, other):
    return np.abs((np.asarray(one) - other + 180) % 360 - 180)


def degrees(label):
    return float(label.rstrip("°NSEW")) * (-1 if label[-1] in "SW" else 1)


@pytest.mark.parametrize("center", [(-16.5, 0.0), (-16.5, 49.0), (179.0, -52.0), (0.0, 79.0), (30.0, 87.5), (10.0, -89.0)])
@pytest.mark.parametrize("half", [(400.0, 400.0), (900.0, 500.0), (60.0, 60.0)])
def test_lines_of_the_globe_are_meridians_and_parallels_and_labels_say_which(center, half):
    figure = Figure(figsize=(4, 4))
    FigureCanvasAgg(figure)
    axes = map_axes(figure, (1, 1, 1), center, half, coast=False)
    figure.canvas.draw()
    assert axes.get_xlim() == (-1e3 * half[0], 1e3 * half[0]) and axes.get_ylim() == (-1e3 * half[1], 1e3 * half[1])
    meridians, parallels = ([line.T for line in lines.get_segments()] for lines in axes.collections)
    assert len(meridians) >= 2 and len(parallels) >= 3
    for x, y in parallels:
        lat = on_globe(x, y, center)[1]
        assert np.ptp(lat) < 1e-6 and lat[0] == pytest.approx(np.round(lat[0], 2), abs=1e-6)
    for x, y in meridians:
        lon, lat = on_globe(x, y, center)
        away = np.abs(lat) < 89.999
        assert apart(lon[away], lon[away][0]).max() < 1e-6
    inside = 0
    for number, (x, y) in enumerate([*meridians, *parallels]):  # the middles of pieces in the map lie on their line, to 0.3 km
        shown = (np.abs(x[:-1]) < 1e3 * half[0]) & (np.abs(y[:-1]) < 1e3 * half[1])
        inside += shown.any()
        lon, lat = on_globe((x[:-1] + x[1:])[shown] / 2, (y[:-1] + y[1:])[shown] / 2, center)
        ends = on_globe(x, y, center)
        if number < len(meridians):
            off = apart(lon, ends[0][np.abs(ends[1]).argmin()]) * np.cos(np.radians(lat))
        else:
            off = np.abs(lat - ends[1][0])
        assert (EARTH_RADIUS_KM * np.radians(off) < 0.3).all()
    assert inside >= 5
    grid = on_globe(*np.meshgrid(*(1e3 * one * np.linspace(-1, 1, 101) for one in half)), center)[1]
    drawn = np.sort([on_globe(x[0], y[0], center)[1] for x, y in parallels])
    step = np.diff(drawn).max() + 0.01
    assert drawn[0] - grid.min() < step and grid.max() - drawn[-1] < step  # they reach all over the map
    for axis, across in ((axes.xaxis, 0), (axes.yaxis, 1)):
        labels = [label.get_text() for label in axis.get_ticklabels()]
        # about a pole, rings may leave an edge alone
        assert len(labels) >= 2 or abs(center[1]) > 75
        for at, label in zip(axis.get_ticklocs(), labels, strict=True):
            place = (at, -1e3 * half[1]) if axis is axes.xaxis else (-1e3 * half[0], at)
            assert apart(on_globe(*place, center)[across], degrees(label)) < 0.02, label
        boxes = [label.get_window_extent() for label in axis.get_ticklabels()]
        assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])


@pytest.mark.parametrize("center, half", [((-16.5, 49.0), (40.0, 400.0)), ((-16.5, -89.5), (40.0, 40.0))])
def test_labels_of_a_narrow_map_and_of_one_that_holds_a_pole_stand_apart(center, half):
    """Whose place is wider than the map, and whose labels are of the widest letters."""
    figure = Figure(figsize=(4, 4))
    FigureCanvasAgg(figure)
    axes = map_axes(figure, (1, 1, 1), center, half, coast=False)
    figure.canvas.draw()
    for axis in (axes.xaxis, axes.yaxis):
        boxes = [label.get_window_extent() for label in axis.get_ticklabels()]
        assert boxes and not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])


@pytest.mark.parametrize("sides", [("left",), ("bottom",)])
def test_a_side_without_labels_has_lines_of_the_globe_and_no_ticks(sides):
    axes = map_axes(Figure(), (1, 1, 1), (-16.5, 49.0), 400.0, coast=False, sides=sides)
    assert all(len(lines.get_segments()) >= 3 for lines in axes.collections)
    assert [axes.yaxis.get_visible(), axes.xaxis.get_visible()] == [side in sides for side in ("left", "bottom")]


@pytest.mark.parametrize(
    ("center", "half"), [((178.0, 66.5), 7e2), ((-179.0, -17.0), 4e2), ((0.0, -88.0), 15e2), ((-160.0, -79.0), 12e2)]
)
def test_the_coast_has_no_line_where_land_is_cut_at_180_degrees(center, half):
    """Chukotka, Fiji, Antarctica with the pole: polygons end there, land does not."""
    axes = map_axes(Figure(figsize=(4, 4)), (1, 1, 1), center, half, sides=())
    (shore,) = axes.lines
    lon, lat = on_globe(*shore.get_xydata().T, center)
    assert np.isfinite(lon).sum() > 60
    on_cut = (apart(lon, 180) < 1e-6) | (np.abs(lat) > 90 - 1e-6)
    assert not (on_cut[:-1] & on_cut[1:]).any()
    assert np.nanmax(np.hypot(*np.diff(shore.get_xydata(), axis=0).T)) < 28e3  # 0.25 degrees
    (land,) = (artist for artist in axes.get_children() if isinstance(artist, FeatureArtist))
    assert land._kwargs.get("edgecolor", land._feature.kwargs["edgecolor"]) == LAND  # which closes the cut


def test_away_from_the_cuts_edges_of_the_land_are_its_coast():
    axes = map_axes(Figure(figsize=(4, 4)), (1, 1, 1), (-16.5, 49.0), 9e2)
    (land,) = (artist for artist in axes.get_children() if isinstance(artist, FeatureArtist))
    assert not shows_cuts(axes) and land._feature.kwargs["edgecolor"] == SHORE


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
