"""Figures of experiments: what they print is what was computed, and particles stand where the stores say."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest
import xarray as xr
from matplotlib.collections import QuadMesh
from matplotlib.colors import to_rgb
from matplotlib.contour import ContourSet
from PIL import Image

from data.errors import InputError, OptionError, StoreError
from data.sphere import lon_lat
from evaluation import scores
from evaluation.figures import film
from evaluation.figures.catchments import _moments, density, figure_1, figure_2, figure_a1, figure_a2, open_experiment
from evaluation.figures.film import Paths, Scene, animate_experiment
from lagrangian.binning import bin_centres, smooth_pdf

pytestmark = pytest.mark.filterwarnings("ignore:Failed to open Zarr store")  # made-up stores are not consolidated

LEVELS = np.array([2000.0, 1000.0, 200.0])
TRAP = 3000.0
END = np.datetime64("2001-03-01T00:00:00", "ns")
DAY = np.timedelta64(86400, "s").astype("timedelta64[ns]")
UNIT = re.compile(r"\b(km|m|nats|unit|°C|m s⁻¹)\b|°C|m s⁻¹|%|dimensionless")


def write_particles(folder, *, degrees=True):
    """Two experiments of three particles, released a day apart, that rise 1000 m in ten days.

    Particle 0 drifts 10 km east between levels, particle 1 20 km north; particle 2 is lost after the first level.
    """
    step = np.array([1.0, 2.0, 3.0])
    x = np.stack([10 * step, 0 * step, 5 * step])
    y = np.stack([0 * step, 20 * step, 5 * step])
    release = END - np.arange(3) * DAY
    time = release[:, None] - (TRAP - LEVELS) / 100 * DAY
    x[2, 1:] = y[2, 1:] = np.nan
    time[2, 1:] = np.datetime64("NaT")
    dx, dy = np.array([-18.0, 18.0]), np.array([-18.0, 18.0])
    lon, lat = lon_lat(dx, dy, -16.5, 49.0) if degrees else (1e3 * dx, 1e3 * dy)
    units = ("degrees_east", "degrees_north") if degrees else ("m", "m")
    both = np.ones((2, 1, 1))
    dims = ("experiment", "particle", "level")
    xr.Dataset(
        {
            "x": (dims, (both * x).astype(np.float32)),
            "y": (dims, (both * y).astype(np.float32)),
            "lon": (dims, both * x, {"units": units[0]}),
            "lat": (dims, both * y, {"units": units[1]}),
            "time": (dims, np.stack([time, time])),
            "status": (dims[:2], np.array([[0, 0, 1]] * 2, np.int8)),
            "release_time": (dims[:2], np.stack([release, release])),
            "release_lon": (dims[:2], np.tile(lon[:, None], 3)),
            "release_lat": (dims[:2], np.tile(lat[:, None], 3)),
            "collection_start": ("experiment", np.full(2, END - 10 * DAY)),
            "collection_end": ("experiment", np.full(2, END)),
            "position": ("experiment", np.arange(2)),
            "trap_lon": ("experiment", lon, {"units": units[0]}),
            "trap_lat": ("experiment", lat, {"units": units[1]}),
            "trap_dx": ("experiment", dx),
            "trap_dy": ("experiment", dy),
        },
        coords={"level": LEVELS},
        attrs={"trap_depth_m": TRAP, "sinking_speed_m_per_day": 100.0, "site": "pap-so"},
    ).to_zarr(folder / "w100" / "particles.zarr", consolidated=False)


def write_fields(folder, *, degrees=True, depth=None):
    """A sea floor that slopes eastward over +-500 km, land in its north-eastern corner; or one of a single depth."""
    axis = np.arange(-490.0, 500.0, 20.0)
    x, y = np.meshgrid(axis, axis)
    h = np.where((x > 400) & (y > 400), np.nan, 2500.0 - 4 * x if depth is None else depth)
    lon, lat = lon_lat(x, y, -16.5, 49.0) if degrees else (1e3 * x, 1e3 * y)
    units = ("degrees_east", "degrees_north") if degrees else ("m", "m")
    empty = (("time", "depth", "y", "x"), np.zeros((1, 1, *h.shape), np.float32))
    xr.Dataset(
        {
            "h": (("y", "x"), h),
            "lon": (("y", "x"), lon, {"units": units[0]}),
            "lat": (("y", "x"), lat, {"units": units[1]}),
            "ssh": (("time", "y", "x"), np.zeros((1, *h.shape), np.float32)),
            **dict.fromkeys(("u", "v", "vorticity_over_f"), empty),
        },
        coords={"time": [END], "depth": [0.0], "x": axis, "y": axis},
        attrs={"frame_center": [-16.5, 49.0], "frame_spacing_km": 20.0},
    ).to_zarr(folder / "fields.zarr", consolidated=False)


@pytest.fixture(scope="module", params=[True, False], ids=["degrees", "metres"])
def any_run(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    write_particles(folder, degrees=request.param)
    write_fields(folder, degrees=request.param)
    return folder, request.param


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("film")
    write_particles(folder)
    return folder


def axis_labels(figure):
    """All labels of all axes, colour bars and vertical axes of 3-D views included."""
    labels = [getattr(axis, f"get_{way}label")() for axis in figure.axes for way in "xyz" if hasattr(axis, f"get_{way}label")]
    return [label for label in labels if label]


def nothing_cut_off(figure):
    figure.canvas.draw()
    width, height = figure.canvas.get_width_height()
    box = figure.get_tightbbox().transformed(figure.dpi_scale_trans)
    return box.x0 > -1 and box.y0 > -1 and box.x1 < width + 1 and box.y1 < height + 1


def test_figure_1_shows_each_trap_and_every_crossing(any_run):
    folder, degrees = any_run
    figure = figure_1(folder, 100.0, 1)
    chart = figure.axes[0]
    cloud = next(axis for axis in figure.axes if axis.name == "3d")
    traps, own = (line.get_xydata() for line in chart.get_lines()[:2])
    np.testing.assert_allclose(traps, [[-18e3, -18e3], [18e3, 18e3]])
    np.testing.assert_allclose(own, [[18e3, 18e3]])
    depths = np.concatenate([np.asarray(dots._offsets3d[2]) for dots in cloud.collections])
    assert sorted(depths) == [200, 200, 1000, 1000, 2000, 2000, 2000, 3000]
    bottom, top = cloud.get_zlim()
    assert bottom > TRAP > top == 0  # downwards
    labels = axis_labels(figure)
    assert len(labels) == (5 if degrees else 7)
    assert all(UNIT.search(label) for label in labels), labels
    assert nothing_cut_off(figure)
    # the sea floor is drawn as stored, missing where there is land
    floor = next(mesh for mesh in chart.collections if isinstance(mesh, QuadMesh))
    drawn = np.ma.filled(floor.get_array().reshape(50, 50).astype(float), np.nan)
    np.testing.assert_allclose(drawn[0], 2500.0 - 4 * np.arange(-490.0, 500.0, 20.0))
    assert np.isnan(drawn[-1, -1])
    # by colours over the range that it has
    assert (floor.norm.vmin, floor.norm.vmax) == (540.0, 4460.0)
    assert any(isinstance(one, ContourSet) for one in chart.collections)


@pytest.mark.parametrize("depth, words", [(4800.0, "flat sea floor, 4800 m"), (np.nan, "no sea floor known")])
def test_a_flat_sea_floor_is_said_in_words_and_has_no_scale(any_run, tmp_path, depth, words):
    folder, degrees = any_run
    shutil.copytree(folder / "w100", tmp_path / "w100")
    write_fields(tmp_path, degrees=degrees, depth=depth)
    figure = figure_1(tmp_path, 100.0, 0)
    assert figure.axes[0].get_title() == words
    assert not any(isinstance(one, QuadMesh | ContourSet) for one in figure.axes[0].collections)
    assert nothing_cut_off(figure)


def test_an_experiment_that_is_not_there_is_refused(any_run):
    folder, _ = any_run
    for experiment in (-1, 2):
        with pytest.raises(InputError, match="it holds 2"):
            figure_1(folder, 100.0, experiment)
    with pytest.raises(StoreError, match="does not exist"):
        figure_1(folder, 80.0, 0)


@pytest.fixture(scope="module")
def pdfs():
    """Two experiments: smoothed Gaussians of the truth and of two models."""
    x = bin_centres()

    def one(dx, dy, width):
        pdf = np.exp(-((x[None, :] - dx) ** 2 + (x[:, None] - dy) ** 2) / (2 * width**2))
        return smooth_pdf(pdf / pdf.sum())

    truth = np.stack([one(50, 0, 30), one(-80, 60, 40)])
    near, far = np.stack([one(40, 10, 35), one(-60, 60, 40)]), np.stack([one(200, 0, 40), one(0, -150, 40)])
    return x, truth, {"near": near, "far": far}


def test_figure_2_prints_the_scores_of_evaluation_scores(pdfs):
    x, truth, predictions = pdfs
    figure = figure_2(x, x, truth, predictions, ["first", "second"])
    panels = np.array(figure.axes[:6]).reshape(2, 3)
    assert [axis.get_title() for axis in panels[0]] == ["truth", "near", "far"]
    for row in range(2):
        assert not panels[row, 0].texts
        for column, name in enumerate(predictions, 1):
            words = panels[row, column].texts[0].get_text()
            bl, f = (float(number) for number in re.findall(r"[\d.]+", words))
            assert bl == pytest.approx(float(scores.bhattacharyya_loss(truth[row], predictions[name][row])), abs=0.005)
            assert f == pytest.approx(100 * float(scores.overlap(truth[row], predictions[name][row])), abs=0.5)
    assert scores.bhattacharyya_loss(truth[0], predictions["far"][0]) > 0.3  # the two models differ by what is printed
    assert scores.bhattacharyya_loss(truth[0], predictions["near"][0]) < 0.1


def test_figure_2_draws_all_pdfs_by_one_scale_with_boxes_and_units(pdfs):
    x, truth, predictions = pdfs
    figure = figure_2(x, x, truth, predictions, ["first", "second"])
    panels = figure.axes[:6]
    assert len(figure.axes) == 7  # and one colour bar
    images = [axis.images[0] for axis in panels]
    assert len({(image.norm.vmin, image.norm.vmax) for image in images}) == 1
    highest = 100 * max(truth.max(), *(one.max() for one in predictions.values()))
    assert images[0].norm.vmax == pytest.approx(highest)
    np.testing.assert_allclose(np.ravel(images[3].get_array()), 100 * truth[1].ravel())
    for axis in panels:
        assert [patch.get_width() for patch in axis.patches] == [96.0, 192.0]
        assert len(axis.images) == len(axis.collections) == 1  # the PDF and its contours
        # cells about their centres, north up
        np.testing.assert_allclose(axis.images[0].get_extent(), [x[0] - 4, x[-1] + 4, x[0] - 4, x[-1] + 4])
        assert axis.images[0].origin == "lower"
    labels = axis_labels(figure)
    assert len(labels) == 2 + 3 + 1
    assert all("km" in label for label in labels)
    assert "first" in labels[0] or "first" in " ".join(labels)
    assert nothing_cut_off(figure)


def test_the_contours_hold_the_shares_that_the_legend_says(pdfs):
    x, truth, predictions = pdfs
    axis = figure_2(x, x, truth, predictions, ["first", "second"]).axes[0]
    contours = axis.collections[0]
    for level, width, share in zip(contours.levels, contours.get_linewidths(), (0.75, 0.5, 0.25), strict=True):
        percent = 100 * truth[0]
        assert percent[percent >= level].sum() == pytest.approx(100 * share, abs=1.5)
        legend = {line.get_label(): line.get_linewidth() for line in axis.figure.legends[0].get_lines()}
        assert legend[f"holds {100 * share:g} %"] == width


def test_figure_2_says_where_there_is_nothing_and_refuses_what_does_not_fit(pdfs):
    x, truth, predictions = pdfs
    missing = truth.copy()
    missing[1] = np.nan
    panels = figure_2(x, x, missing, {"near": predictions["near"]}, ["first", "second"]).axes
    assert panels[2].texts[0].get_text() == "no particle"
    assert panels[3].texts[0].get_text() == "not scored"
    assert "BL" in panels[1].texts[0].get_text()
    with pytest.raises(ValueError, match="near"):
        figure_2(x, x, truth, {"near": predictions["near"][:1]}, ["first", "second"])
    with pytest.raises(ValueError, match="truth"):
        figure_2(x, x, truth, {}, ["only one title"])


def test_a_perfect_prediction_is_not_printed_below_zero(pdfs):
    x, truth, _ = pdfs
    truth = truth / truth.sum(axis=(1, 2), keepdims=True) * (1 + 1e-12)
    assert scores.bhattacharyya_loss(truth[0], truth[0]) < 0
    panel = figure_2(x, x, truth[:1], {"same": truth[:1]}, ["first"]).axes[1]
    assert panel.texts[0].get_text() == "BL 0.00\nF 100 %"


def test_densities_count_all_values():
    values = np.array([0.1, 0.2, 0.7, 5.0])
    np.testing.assert_allclose(density(values, np.array([0.0, 0.5, 1.0])), [1.0, 0.5])  # 2 / (4 * 0.5), 1 / (4 * 0.5)
    assert not density(np.empty(0), np.array([0.0, 1.0])).any()


def test_values_that_are_equal_but_for_rounding_have_no_spread():
    equal = 5.6789 + 2e-6 * np.array([-1.0, 0.0, 1.0])
    assert _moments("true", equal) == "true: mean 5.679, std 0.000"
    assert _moments("true", equal + 0.01 * np.array([-1.0, 0.0, 1.0])) == "true: mean 5.6789, std 0.0082"


def test_figure_a1_gives_means_and_spreads_of_both_sets():
    rng = np.random.default_rng(0)
    simulation = {"temp": rng.normal(14, 2, 5000), "ssh": rng.normal(0, 0.1, 5000), "u": np.full(10, 0.25)}
    other = {"temp": np.append(rng.normal(15, 1, 5000), np.nan), "ssh": rng.normal(0.05, 0.1, 5000)}
    figure = figure_a1({"twin": simulation, "satellite": other}, axis_labels={"ssh": "height, m"})
    assert len(figure.axes) == 3
    words = [[text.get_text() for text in axis.get_legend().get_texts()] for axis in figure.axes]
    assert words[2] == ["twin: mean 0.250, std 0.000"]
    for panel, name in zip(words, ("temp", "ssh"), strict=False):
        for text, label, source in zip(panel, ("twin", "satellite"), (simulation, other), strict=True):
            assert text.startswith(f"{label}: ")
            mean, std = (float(number) for number in re.findall(r"-?\d+\.\d+", text))
            assert mean == pytest.approx(np.nanmean(source[name]), abs=0.06 * np.nanstd(source[name]))
            assert std == pytest.approx(np.nanstd(source[name]), rel=0.06)
    assert [axis.get_xlabel() for axis in figure.axes] == ["temperature, °C", "height, m", "eastward velocity, m s⁻¹"]
    assert all(UNIT.search(label) for label in axis_labels(figure))
    for axis in figure.axes[:2]:
        for steps in axis.patches:
            heights, edges, _ = steps.get_data()
            assert (heights * np.diff(edges)).sum() == pytest.approx(1, abs=0.005)
    assert nothing_cut_off(figure)


def test_figure_a2_draws_a_line_for_the_truth_and_for_each_model():
    rng = np.random.default_rng(0)

    def shapes(centre, n):
        return xr.Dataset(
            {
                "mass_centre_distance": ("experiment", rng.gamma(4, centre / 4, n)),
                "entropy": ("experiment", rng.normal(6, 0.3, n)),
            }
        )

    predicted = {"sst-ssh": shapes(60, 300), "5v-4l": shapes(90, 200)}
    figure = figure_a2(shapes(100, 400), predicted, level=1000.0)
    assert [axis.get_xlabel() for axis in figure.axes] == ["mass centre at 1000 m from the trap, km", "entropy at 1000 m, nats"]
    for axis in figure.axes:
        names = [text.get_text().split(":")[0] for text in axis.get_legend().get_texts()]
        assert names == ["true", "sst-ssh", "5v-4l"]
        assert len({steps.get_linestyle() for steps in axis.patches}) == 3  # told apart without colour
    text = figure.axes[0].get_legend().get_texts()[1].get_text()
    mean = float(predicted["sst-ssh"]["mass_centre_distance"].mean())
    assert float(re.search(r"mean ([\d.]+)", text)[1]) == pytest.approx(mean, abs=1)
    assert nothing_cut_off(figure)


def test_particles_move_in_straight_lines_between_crossings(run):
    paths = Paths.of(open_experiment(run, 100.0, 0))
    days = np.array([0.0, 0.5, 1.0, 5.0, 10.0, 15.0, 28.0])
    place = paths.at(86400 * days)
    np.testing.assert_allclose(place[:, 0, 0], [0, 0.5, 1, 5, 10, 15, 30])  # 10 km in 10 days; 8 days to the last level
    np.testing.assert_allclose(place[3], [[5, 0, 2500], [0, 8, 2600], [1.5, 1.5, 2700]])  # released 0, 1 and 2 days before
    assert (place[0] == [0, 0, TRAP]).all()
    assert paths.duration == 86400 * (28 + 1)  # the lost particle left no crossing after 12 days


def test_a_lost_particle_vanishes_and_the_others_stay_at_their_crossings(run):
    paths = Paths.of(open_experiment(run, 100.0, 0))
    last = paths.at(np.array([paths.duration, paths.duration + 1e6]))
    np.testing.assert_allclose(last[:, 0], [[30, 0, 200]] * 2)
    np.testing.assert_allclose(last[:, 1], [[0, 60, 200]] * 2)
    assert np.isnan(last[:, 2]).all()


def test_levels_in_any_order_give_the_same_paths(run, tmp_path):
    store = xr.open_zarr(run / "w100" / "particles.zarr", consolidated=False).load()
    for name in store.variables:
        store[name].encoding.clear()
    store.isel(level=[1, 2, 0]).to_zarr(tmp_path / "w100" / "particles.zarr", consolidated=False)
    one, other = (Paths.of(open_experiment(folder, 100.0, 0)) for folder in (run, tmp_path))
    np.testing.assert_array_equal(one.position, other.position)
    np.testing.assert_array_equal(one.elapsed, other.elapsed)


def test_a_scene_shows_the_particles_the_date_and_units(run):
    scene = Scene(open_experiment(run, 100.0, 0))
    scene.show(scene.paths.duration)
    np.testing.assert_allclose(scene.above.get_offsets()[:2], [[30, 0], [0, 60]])
    np.testing.assert_allclose(scene.beside.get_offsets()[:2], [[30, 200], [60, 200]])
    assert scene.date.get_text() == "2001-01-31 00:00"  # 29 days before the first of March
    labels = axis_labels(scene.figure)
    assert len(labels) == 5
    assert all(UNIT.search(label) for label in labels)
    assert nothing_cut_off(scene.figure)


def pixels_at(image, axis, x, y):
    """(9, 3) colours, 0 to 1, of the 3 x 3 pixels about a point of ``axis`` in a frame of the film."""
    across, up = axis.transData.transform((x, y)) * film.DPI / axis.figure.dpi
    pixels = np.asarray(image.convert("RGB"), float)[::-1] / 255
    row, column = int(up), int(across)
    return pixels[row - 1 : row + 2, column - 1 : column + 2].reshape(9, 3)


def test_the_film_has_its_frames_and_ends_at_the_crossings(run, tmp_path):
    path = tmp_path / "film.gif"
    animate_experiment(run, 100.0, 0, path, fps=10, frames=7)
    assert [one.name for one in tmp_path.iterdir()] == ["film.gif"]  # nothing is left aside
    scene = Scene(open_experiment(run, 100.0, 0))
    plan = scene.above.axes
    with Image.open(path) as film:
        assert film.n_frames == 7
        assert film.info["duration"] == 100  # ms
        frames = []
        for number in (0, 6):
            film.seek(number)
            frames.append(film.convert("RGB"))
    first, last = frames
    shallow = np.array(scene.above.to_rgba([200.0])[0][:3])
    for x, y in ((30, 0), (0, 60)):
        assert np.abs(pixels_at(first, plan, x, y) - 1).max() < 0.25  # white or a grid line: no particle there yet
        assert np.abs(pixels_at(last, plan, x, y) - shallow).max(axis=1).min() < 0.2
    assert np.abs(pixels_at(last, plan, -30, -30) - 1).max() < 0.25
    assert np.abs(shallow - to_rgb("white")).max() > 0.5


def test_a_film_that_cannot_be_made_says_so(run, tmp_path):
    with pytest.raises(OptionError, match="at least 2"):
        animate_experiment(run, 100.0, 0, tmp_path / "film.gif", frames=1)
    with pytest.raises(InputError, match="it holds 2"):
        animate_experiment(run, 100.0, 2, tmp_path / "film.gif")
    with pytest.raises(StoreError, match="cannot write"):
        animate_experiment(run, 100.0, 0, tmp_path / "missing" / "film.gif", frames=2)
    (tmp_path / "taken.gif").mkdir()
    with pytest.raises(StoreError, match="cannot write"):
        animate_experiment(run, 100.0, 0, tmp_path / "taken.gif", frames=2)
    assert [one.name for one in tmp_path.iterdir()] == ["taken.gif"]


def test_an_experiment_without_crossings_makes_no_film(run, tmp_path):
    store = xr.open_zarr(run / "w100" / "particles.zarr", consolidated=False).load()
    for name in store.variables:
        store[name].encoding.clear()
    store["x"][:], store["y"][:] = np.nan, np.nan
    store["time"][:] = np.datetime64("NaT", "ns")
    store.to_zarr(tmp_path / "w100" / "particles.zarr", consolidated=False)
    with pytest.raises(InputError, match="nothing to show"):
        animate_experiment(tmp_path, 100.0, 0, tmp_path / "film.gif")
