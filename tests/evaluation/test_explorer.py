"""The explorer: its maps stand for the catchments that they were made of, and a browser shows them without a network."""

from __future__ import annotations

import base64
import gzip
import json
import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from data.command import run_command
from data.netcdf import write_dataset
from data.sites import SITES, Site
from evaluation import scores
from evaluation.cross_correlation import DailyMaps
from evaluation.explorer import main
from evaluation.explorer.beside import _page_maps, _within
from evaluation.explorer.layers import UNKNOWN, Layer, coarse, facts_of, reach, small_maps, square
from evaluation.explorer.sources import TRUTH, experiments_at, from_run
from evaluation.options import ExplorerConfig
from lagrangian.binning import bin_centres, smooth_pdf
from lagrangian.pdf import SHARES
from learning.catchment_file import catchment_dataset
from tests.builders.browser import CHROMIUM, asked
from tests.builders.satellite_maps import maps

AXIS = bin_centres()
DAY = np.timedelta64(86400, "s")
ENDS = np.datetime64("2010-02-12", "s") + 10 * np.arange(4) * DAY


def blobs(shifts, width=60.0) -> np.ndarray:
    """(n, y, x) float32 Gaussians about (shift, -shift / 2) km."""
    x, y = np.meshgrid(AXIS, AXIS)
    pdf = np.stack([np.exp(-0.5 * ((x - shift) ** 2 + (y + shift / 2) ** 2) / width**2) for shift in shifts])
    return (pdf / pdf.sum(axis=(1, 2), keepdims=True)).astype(np.float32)


def call(*options) -> int:
    return run_command(ExplorerConfig, main, prog="evaluation.explorer", argv=[str(one) for one in options])


def unpacked(path) -> tuple[dict, bytes]:
    """What the page's script is told, and the bytes of the maps."""
    packed = re.search(r'<script id="packed"[^>]*>(.*?)</script>', path.read_text(), re.S)
    raw = gzip.decompress(base64.b64decode(packed.group(1)))
    length = int.from_bytes(raw[:4], "little")
    return json.loads(raw[4 : 4 + length]), raw[4 + length :]


@pytest.fixture
def folder(tmp_path):
    """Catchment files of two models, two speeds each, in two folders."""
    for model, shift in (("first", 0), ("second", 40)):
        for w in (80.0, 300.0):
            pdf = blobs((shift - 120, shift - 40, shift + 40, shift + 120))
            flag = np.array([0, 1, 0, 4], np.int8)
            spread = np.float32([0.1, 0.2, 0.3, 0.4])
            found = catchment_dataset(SITES["pap-so"], w, ENDS, pdf, flag=flag, spread=spread, source="two networks, <b>")
            (tmp_path / model).mkdir(exist_ok=True)
            write_dataset(tmp_path / model / f"catchment_w{int(w):03d}.nc", found)
    return tmp_path


# -- maps --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("width", [15.0, 40.0, 90.0])
def test_the_bytes_of_a_map_stand_for_its_probabilities(width):
    pdf = blobs((-100, 0, 60), width)
    layer = Layer.of("a", 80, 200, ENDS[:3], [pdf[:2], pdf[2:]], AXIS, AXIS)
    cells, found = coarse(pdf.astype(float)), square(layer)
    # half a step of the square root, twice the root times that
    assert (np.abs(found - cells) <= 1.01 * layer.peak[:, None, None] / 254).all()
    np.testing.assert_allclose(found.sum(axis=(1, 2)), 1, atol=0.01)


@pytest.mark.parametrize("width", [40.0, 90.0])
def test_contours_hold_the_shares_that_they_are_said_to(width):
    pdf = blobs((-30, 50), width)
    small, peak, contours = small_maps(pdf)
    cells = coarse(pdf.astype(float))
    for row in range(2):
        held = [cells[row][small[row] >= level - 1e-6].sum() for level in contours[row]]
        greatest = peak[row] / cells[row].sum()
        assert all(abs(one - share) <= greatest + 0.03 for one, share in zip(held, SHARES, strict=True)), held
        assert (np.diff(contours[row]) < 0).all()


def test_a_map_that_is_not_known_or_empty_is_no_map():
    pdf = blobs((0, 0, 0))
    pdf[1], pdf[2] = np.nan, 0.0
    small, peak, contours = small_maps(pdf)
    assert peak[0] > 0 and peak[1] == peak[2] == 0
    assert (small[1:] == UNKNOWN).all() and np.isnan(contours[1:]).all()


def test_what_is_told_of_a_map_is_what_the_scores_say():
    pdf = blobs((-100, 60))
    facts = facts_of(pdf, AXIS, AXIS)
    np.testing.assert_allclose(np.stack([facts["east"], facts["north"]]), scores.mass_centre(pdf, AXIS, AXIS))
    box = scores.box_pdf(192.0, AXIS, AXIS)
    assert facts_of(box[None], AXIS, AXIS)["box200"] == pytest.approx(1)
    assert facts_of(box[None], AXIS, AXIS)["box100"] == pytest.approx(0.25)
    assert facts_of(box[None], AXIS, AXIS)["area"] == pytest.approx(192.0**2 / 2, abs=64)
    most = np.zeros((1, 100, 100))
    most[0, 50, 50], most[0, 0, :50] = 0.6, 0.4 / 50
    assert facts_of(most, AXIS, AXIS)["area"].tolist() == [64.0]
    # half of a Gaussian lies within sigma sqrt(2 ln 2) of its middle
    np.testing.assert_allclose(facts["area"], 2 * np.log(2) * np.pi * 60.0**2, rtol=0.01)


def test_chlorophyll_is_of_the_days_that_a_page_says():
    """Maps of ten days each; in a catchment of the date and five days on either side."""
    days = np.datetime64("2001-01-01") + np.arange(40).astype("m8[D]")
    maps = DailyMaps.of(days, [10.0 ** np.linspace(-2, 2, 40)[:, None] * np.ones(2500)], 2500)
    pages = _page_maps(maps, days, (50, 50))
    assert pages.days.tolist() == days[::10].tolist()
    means = (10.0 ** np.linspace(-2, 2, 40)).reshape(4, 10).mean(axis=1)
    low, high = np.log10([pages.low, pages.high])
    shown = low + (high - low) * pages.maps[:, 0, 0] / 254
    np.testing.assert_allclose(shown, np.clip(np.log10(means), low, high), atol=(high - low) / 254)
    layer = Layer.of("a model", 80.0, 200.0, days[20:21], [scores.box_pdf(96.0)[None]], AXIS, AXIS)
    expected = (10.0 ** np.linspace(-2, 2, 40))[15:26].mean()
    assert _within(layer, maps, np.timedelta64(5 * 86400, "s"))[0] == pytest.approx(expected)


def test_the_map_is_as_wide_as_the_catchments_ask_for():
    near = Layer.of("a", 80, 200, ENDS[:1], [blobs((0,), 20.0)], AXIS, AXIS)
    far = Layer.of("a", 80, 200, ENDS[:1], [blobs((250,), 60.0)], AXIS, AXIS)
    assert reach([near], 400.0) == 100 and reach([near, far], 400.0) >= 350


# -- a run -------------------------------------------------------------------------------------------------------------
def test_layers_of_a_run_are_its_simulation_and_its_models(whole_run):
    found = from_run(whole_run)
    assert {(one.model, one.speed, one.level) for one in found.layers} == {
        (model, w, level) for model in (TRUTH, "sst-ssh", "best constant PDF") for w in (80.0, 300.0) for level in (200.0, 1000.0)
    }
    with xr.open_zarr(whole_run / "w300" / "pdf.zarr", consolidated=False) as store:
        counts, reached = store["counts"][:, 1].values, store["reached"][:, 1].values
    truth = smooth_pdf(counts / reached[:, None, None].astype(float))
    with xr.open_zarr(whole_run / "w300" / "predictions" / "sst-ssh.zarr", consolidated=False) as store:
        guess = store["pdf"][:, 1].values
    layers = {(one.model, one.speed, one.level): one for one in found.layers}
    np.testing.assert_allclose(layers[TRUTH, 300, 200].facts["east"], scores.mass_centre(truth, AXIS, AXIS)[0], atol=1e-6)
    np.testing.assert_allclose(layers["sst-ssh", 300, 200].facts["bl"], scores.bhattacharyya_loss(truth, guess))
    assert any("trained on" in note for note in found.notes)


def test_the_position_nearest_to_the_site_is_shown_unless_another_is_chosen():
    dx, start = np.array([-18.0, 18.0, 90.0] * 2), np.repeat(ENDS[:2], 3)
    columns = {"position": [0, 1, 2] * 2, "trap_dx": dx, "trap_dy": 0 * dx, "collection_start": start[::-1]}
    store = xr.Dataset({name: ("experiment", values) for name, values in columns.items()})
    rows, position = experiments_at(store, None)
    assert position == 0 and rows.tolist() == [3, 0]
    assert experiments_at(store, 2)[0].tolist() == [5, 2]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--position", "7"], "--position 7: the run has the positions 0 to 0"),
        (["--levels", "300"], "--levels 300: the run keeps 200, 1000 m"),
        (["--predictions", "x.nc", "--levels", "200"], "--position and --levels are of a --run"),
        (["--predictions", "nothing.nc"], "nothing.nc: no such file"),
        (["--flux", "nothing.csv"], "nothing.csv"),
    ],
)
def test_what_is_not_there_is_one_line(whole_run, capsys, tmp_path, options, words):
    assert call("--run", whole_run, "--out", tmp_path, *options) == 2
    lines = capsys.readouterr().err.splitlines()
    progress = re.compile(r"reading [a-z ]+: \d+/\d+ [a-z]+(, .*)?")  # that a slow machine tells
    said = [line for line in lines if not progress.fullmatch(line)]
    assert len(said) == 1 and words in said[0]
    assert not (tmp_path / "explorer.html").exists()


def test_a_folder_without_catchments_is_one_line(tmp_path, capsys):
    assert call("--predictions", tmp_path) == 2
    assert "holds no catchment_w*.nc" in capsys.readouterr().err


# -- files -------------------------------------------------------------------------------------------------------------
def test_each_folder_of_catchment_files_is_a_model(folder, capsys):
    assert call("--predictions", folder) == 0
    told, raw = unpacked(folder / "explorer.html")
    shown = [(one["model"], one["speed"]) for one in told["layers"]]
    assert shown == [("first", 80), ("first", 300), ("second", 80), ("second", 300)]
    assert len(raw) == 4 * 4 * 2500
    first = told["layers"][0]
    assert first["facts"]["flag"] == [0, 1, 0, 4] and first["facts"]["spread"] == [0.1, 0.2, 0.3, 0.4]
    assert first["facts"]["east"] == pytest.approx([-120, -40, 40, 120], abs=0.5)
    # sinking 2800 m at 80 m/d and half of the collection lie between
    assert first["dates"][0] == pytest.approx((ENDS[0].astype(int) / 86400) - 40)
    page = (folder / "explorer.html").read_text()
    assert "networks, <b>" not in page and "two networks, &lt;b&gt;" in page
    said = capsys.readouterr().out
    assert "4 of 16 predictions are flagged" not in said and "8 of 16 predictions are flagged" in said
    assert "--exclude-flags" not in said


def test_the_same_catchments_make_the_same_bytes(folder, tmp_path):
    for out in ("a", "b"):
        assert call("--predictions", folder, "--out", tmp_path / out) == 0
    assert (tmp_path / "a" / "explorer.html").read_bytes() == (tmp_path / "b" / "explorer.html").read_bytes()


def test_a_page_too_large_shows_every_so_many_dates_and_says_so(tmp_path, capsys):
    noise = np.random.default_rng(0).random((150, 100, 100)).astype(np.float32)
    noise /= noise.sum(axis=(1, 2), keepdims=True)
    ends = ENDS[0] + 10 * np.arange(150) * DAY
    write_dataset(tmp_path / "catchment_w080.nc", catchment_dataset(SITES["pap-so"], 80.0, ends, noise))
    assert call("--predictions", tmp_path, "--size-mb", "0.3") == 0
    assert (tmp_path / "explorer.html").stat().st_size < 0.3e6
    assert re.search(r"one date in \d+ is shown", capsys.readouterr().out)
    dates = unpacked(tmp_path / "explorer.html")[0]["layers"][0]["dates"]
    assert 30 < len(dates) < 150 and np.ptp(np.diff(dates)) < 0.1


def test_land_is_there_near_a_coast_and_not_on_an_idealised_ocean(tmp_path):
    for name, source in (("coast", ""), ("twin", "idealised twin ocean, seed 0")):
        found = catchment_dataset(Site("-9,43", -9.0, 43.0), 80.0, ENDS, blobs((0, 0, 0, 0))).assign_attrs(maps_source=source)
        (tmp_path / name).mkdir()
        write_dataset(tmp_path / name / "catchment_w080.nc", found)
        assert call("--predictions", tmp_path / name) == 0
    told, raw = unpacked(tmp_path / "coast" / "explorer.html")
    land = np.frombuffer(raw[-10000:], np.uint8).reshape(told["land"])
    # Galicia lies to the east of its cape, the ocean to the west
    assert land[50, -10] == 1 and land[50, 10] == 0
    told, _ = unpacked(tmp_path / "twin" / "explorer.html")
    assert told["land"] is False and told["centre"] is None


def test_chlorophyll_in_the_catchment_is_the_mean_where_the_catchment_lies(folder):
    """Chlorophyll that grows eastward by a known slope: the mean is its value at the mass centre."""
    lon0, slope = SITES["pap-so"].x, 0.01
    files = maps(folder / "chl.nc", "CHL", "mg m-3", lambda day, lon, lat: 1.0 + slope * (lon - lon0) + 0 * lat)
    flux = pd.DataFrame({"open": ["2010-01-10", "2010-01-20"], "close": ["2010-01-20", "2010-01-30"], "poc": [3.5, 4.5]})
    flux.to_csv(folder / "flux.csv", index=False)
    assert call("--predictions", folder / "first", "--chlorophyll", files, "--flux", folder / "flux.csv") == 0
    told, raw = unpacked(folder / "first" / "explorer.html")
    fast = next(one for one in told["layers"] if one["speed"] == 300)
    east = np.array(fast["facts"]["east"])
    km_a_degree = 6371.315 * np.pi / 180 * np.cos(np.deg2rad(SITES["pap-so"].y))
    np.testing.assert_allclose(fast["facts"]["chlorophyll"], 1 + slope * east / km_a_degree, atol=5e-4)
    assert told["flux"]["values"] == {"poc": [3.5, 4.5]} and told["flux"]["close"][0] == told["flux"]["open"][1]
    n = sum(len(one["dates"]) for one in told["layers"]) + len(told["chlorophyll"]["days"])
    assert len(raw) == n * 2500


# -- the page ----------------------------------------------------------------------------------------------------------
CHECK = """
  for (let k = 0; k < 200 && !document.documentElement.dataset.ready; k++) await new Promise(done => setTimeout(done, 20));
  const $ = id => document.getElementById(id), said = () => $("status").textContent;
  const set = (id, value, kind) => { $(id).value = value; $(id).dispatchEvent(new Event(kind)); };
  const read = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const pixel = (east, north) => { const c = $("map-left"), w = Number($("width").value), n = c.width;
    read.drawImage(c, (east + w) / (2 * w) * n, n - (north + w) / (2 * w) * n, 1, 1, 0, 0, 1, 1);
    return [...read.getImageData(0, 0, 1, 1).data].slice(0, 3); };
  const out = { ready: document.documentElement.dataset.ready, first: said() };
  // black pixels of contours (and of the star's rim) in the northern and the southern half
  const black = half => { const c = $("map-left"), n = 200; read.canvas.width = n; read.canvas.height = n / 2;
    read.drawImage(c, 0, half * c.height / 2, c.width, c.height / 2, 0, 0, n, n / 2);
    const all = read.getImageData(0, 0, n, n / 2).data;
    return all.filter((v, k) => k % 4 === 0 && Math.max(v, all[k + 1], all[k + 2]) < 90).length; };
  $("boxes").click(); set("date", 0, "input"); out.north = [black(0), black(1)];
  set("date", 3, "input"); out.south = [black(0), black(1)];
  $("contours").click(); out.none = black(0) + black(1);
  set("date", 0, "input"); out.dark = pixel(-120, 60); out.light = pixel(90, -90);
  set("date", 3, "input"); out.last = said(); out.value = $("date").getAttribute("aria-valuetext"); out.moved = pixel(-120, 60);
  set("speed", 1, "input"); out.fast = said();
  set("east", -120, "input"); set("north", 60, "input"); out.point = $("point-out").textContent;
  set("right", "", "change"); out.alone = said(); out.hidden = $("right-figure").hidden;
  out.unlabelled = [...document.querySelectorAll("input, select")].filter(one => !one.labels.length).map(one => one.id);
  out.pictures = [...document.querySelectorAll("canvas, svg")].filter(one => !one.getAttribute("aria-label")).length;
  out.rows = [...$("facts").rows].map(row => [...row.cells].map(cell => cell.textContent));
  out.charts = $("charts").children.length; out.wide = document.documentElement.scrollWidth > innerWidth;
  return out;
"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("width", [1280, 500])
def test_a_browser_explores_the_page(folder, tmp_path, width):
    """A window of Chromium without a head is at least 500 px wide."""
    assert call("--predictions", folder) == 0
    page = (folder / "explorer.html").read_text()
    assert not re.search(r"""(?:src|href)=["'](?!data:|#|https://doi)""", page), "the page refers to something outside itself"
    told, log = asked(page, CHECK, tmp_path, width=width)
    assert "CONSOLE" not in log
    assert told["ready"] == "yes" and not told["wide"]
    assert "80 m/d, 200 m. first, 2010-01-03: centre 134 km" in told["first"] and "Beside it: second, 2010-01-03" in told["first"]
    assert sum(told["dark"]) < 300 < 740 < sum(told["light"]) and sum(told["moved"]) > 740
    # contours lie where the catchment does: north-west of the trap at first, south-east at last
    assert told["north"][0] > 2 * told["north"][1] and told["south"][1] > 2 * told["south"][0], (told["north"], told["south"])
    assert told["none"] < 0.8 * sum(told["south"]), (told["none"], told["south"])
    assert told["value"] == "2010-02-02" and "centre 134 km" in told["last"] and "south-east" in told["last"]
    assert told["fast"].startswith("300 m/d, 200 m. first, 2010-01-28") and "contour of 25 %" in told["point"]
    assert "°" in told["point"] and "N" in told["point"]
    assert told["hidden"] and "Beside it" not in told["alone"]
    assert told["unlabelled"] == [] and told["pictures"] == 0 and told["charts"] == 2
    # the date of the slow particles has no map of the fast ones: the nearest is shown, and its own numbers
    words = dict(row[:2] for row in told["rows"])
    assert words["date of the map"] == "2010-01-28" and words["spread of the members"] == "0.1" and words["to mind"] == "–"
