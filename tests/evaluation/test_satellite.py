"""Figures of satellite predictions, and the summary of the twin experiment."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from data.command import read_json, run_command, write_json
from data.errors import InputError
from data.netcdf import write_dataset
from data.sites import SITES
from evaluation import twin_experiment
from evaluation.satellite import SatelliteConfig, comparison, figure_map, main, training_span
from evaluation.twin_experiment import (
    DESIGN,
    PLANTED,
    TwinExperimentConfig,
    catchment_scores,
    planted_flux,
    planted_lag,
    summarise,
    true_catchments,
)
from lagrangian.binning import bin_centres
from learning.catchment_file import catchment_dataset
from learning.config import FitConfig
from learning.fit import main as fit
from learning.satellite_inputs import SatelliteWindows, write_inputs
from tests.builders.made_up_run import write_run

ENDS = np.datetime64("2001-03-01", "s") + 10 * np.arange(3) * np.timedelta64(86400, "s")


def catchments(w=80.0):
    """Three Gaussians."""
    x, y = np.meshgrid(bin_centres(), bin_centres())
    pdf = np.stack([np.exp(-0.5 * ((x - shift) ** 2 + y**2) / 60**2) for shift in (-50, 0, 50)])
    pdf /= pdf.sum(axis=(1, 2), keepdims=True)
    return catchment_dataset(SITES["pap-so"], w, ENDS, pdf.astype(np.float32))


@pytest.fixture
def folder(tmp_path):
    from learning.inputs import InputSpec

    for w in (80.0, 300.0):
        write_dataset(tmp_path / f"catchment_w{int(w):03d}.nc", catchments(w))
    values = np.random.default_rng(0).normal(0, 0.1, (3, 2, 100, 100)).astype(np.float32)
    windows = SatelliteWindows(
        SITES["pap-so"], ENDS, values, ENDS, np.zeros((3, 5), int), np.zeros(3, bool), 0.0, "", "adt", (), ()
    )  # fmt: skip
    write_inputs(tmp_path / "satellite_inputs.nc", windows, InputSpec.of("sst-ssh"))
    return tmp_path


def call(*options):
    return run_command(SatelliteConfig, main, prog="evaluation.satellite", argv=[str(one) for one in options])


def test_figures_are_drawn_with_and_without_a_run(folder, tmp_path_factory):
    assert call("--predictions", folder) == 0
    assert {path.name for path in (folder / "figures").glob("*.png")} == {"satellite_map.png"}
    run = write_run(tmp_path_factory.mktemp("run") / "run", periods=8)
    assert call("--predictions", folder, "--run", run, "--date", "2001-03-11") == 0
    names = {path.name for path in (folder / "figures").glob("*.png")}
    assert names == {"satellite_map.png", "figure_a1.png", "figure_a2_w080.png", "figure_a2_w300.png"}


def test_the_map_shows_the_prediction_of_the_date(folder):
    maps = xr.open_dataset(folder / "satellite_inputs.nc").load()
    one = catchments()
    for date, shift in (("2001-03-01", -50), ("2001-03-21", 50)):
        axes = figure_map(maps, {80.0: one}, date).axes[0]
        contour = next(item for item in axes.collections if type(item).__name__.endswith("ContourSet"))
        middle = np.concatenate([path.vertices for path in contour.get_paths()])[:, 0].mean()
        assert middle == pytest.approx(1e3 * shift, abs=6e3)


def test_the_map_tells_flags_and_speeds_that_it_has_no_colour_for(folder):
    maps = xr.open_dataset(folder / "satellite_inputs.nc").load()
    one = catchments()
    assert "flagged" not in figure_map(maps, {80.0: one}).get_suptitle()
    one["flag"][-1] = 2 | 4
    title = figure_map(maps[["ssh"]], {float(w): one for w in (80, 100, 150, 200, 300, 400)}).get_suptitle()
    assert "flagged: map of another date used, no SST given, training mean used" in title
    assert "not drawn: 400 m d⁻¹" in title
    # the flag is that of the date that is shown
    assert "flagged" not in figure_map(maps, {80.0: one}, "2001-03-01").get_suptitle()


def test_no_title_or_legend_of_the_map_is_cut_off_and_land_is_no_grey_of_it(folder):
    from matplotlib.colors import to_rgb

    from evaluation.figures.flux import LAND_ON_GREY, UNKNOWN_ON_GREY

    maps = xr.open_dataset(folder / "satellite_inputs.nc").load()
    maps["ssh"][:, :30, :30] = np.nan
    one = catchments()
    one["flag"][-1] = 15
    for some in (maps[["ssh"]], maps):
        figure = figure_map(some, {float(w): one for w in (80, 100, 150, 200, 300, 400)})
        figure.canvas.draw()
        width = figure.bbox.width
        for part in (figure._suptitle, *figure.legends):
            box = part.get_window_extent()
            assert box.x0 >= 0 and box.x1 <= width, part
        words = [text.get_text() for text in figure.legends[0].get_texts()]
        assert "land" in words and "no data" in words
    for colour in (LAND_ON_GREY, UNKNOWN_ON_GREY):
        assert np.ptp(to_rgb(colour)) > 0.1  # greys have no colour at all


@pytest.mark.parametrize("speeds", [1, 2, 5])
def test_figure_7_has_no_hole_at_the_end_of_a_row(speeds):
    from data.frame import Frame
    from evaluation.figures.flux import figure_7

    axis = (np.arange(20) - 9.5) * 8.0
    maps = np.ones((4, 20, 20)) / 400
    average = {80.0 + number: maps[0] for number in range(speeds)}
    figure = figure_7(Frame((-16.5, 49.0), 8.0, axis, axis), maps, maps, ["a"] * 4, average, lag=3, speed=80)
    figure.canvas.draw()
    for row in figure.subfigs:
        boxes = [axes.get_position() for axes in row.axes if axes.get_title()]
        middle = (min(box.x0 for box in boxes) + max(box.x1 for box in boxes)) / 2
        assert abs(middle - 0.5) < 0.1 and all(axes.axison for axes in row.axes)


@pytest.mark.parametrize("damage", ["cut", "text", "other"])
def test_damaged_inputs_are_one_line(folder, capsys, damage):
    path = folder / "satellite_inputs.nc"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:3000])
    elif damage == "text":
        path.write_text("no netCDF")
    else:
        path.unlink()
        xr.Dataset({"sst": ("time", np.ones(3))}).to_netcdf(path)
    assert call("--predictions", folder) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "satellite_inputs.nc is" in line and "learning.predict --ssh --sst again" in line


def test_training_is_the_training_part_of_the_record(folder, tmp_path):
    run = write_run(tmp_path / "run", periods=12, speeds=(80.0,))
    maps = xr.open_dataset(folder / "satellite_inputs.nc").load()

    def drawn():
        """Names, means and standard deviations in the legends."""
        axes = comparison(run, maps, {})["figure_a1"].axes
        return " ".join(text.get_text() for one in axes for text in one.get_legend().get_texts())

    assert training_span(run)[0] == "whole record of the run" and "whole record of the run" in drawn()
    fit = run / "w080" / "models" / "sst-ssh" / "fit.json"
    write_json(fit, {"split": {"train": ["2001-02-01", "2001-03-03"]}, "inputs": {"lags_days": [0, 10, 20, 30, 40]}})
    label, (first, last) = training_span(run)
    assert (label, str(first)[:10], str(last)[:10]) == ("training", "2000-12-23", "2001-03-03")
    words = drawn()
    assert "training" in words
    # maps are at the resolution that the networks learnt from
    coarse = {"lags_days": [0, 10, 20, 30, 40], "resolution_km": {"ssh": 400.0, "temp": 28.0}, "method": "gaussian"}
    record = read_json(fit)
    write_json(fit, {**record, "inputs": coarse})
    assert drawn() != words
    write_json(fit, record)
    # were the sea warmer after the training part, the figure would be the same
    fields = xr.open_zarr(run / "fields.zarr", consolidated=False).load()
    late = fields["time"].values > np.datetime64("2001-03-03")
    fields["temp"] = fields["temp"] + xr.DataArray(np.where(late, 50.0, 0.0), dims="time")
    fields.drop_encoding().to_zarr(run / "fields.zarr", mode="w", consolidated=False)
    assert late.any() and drawn() == words


def test_bad_input_is_one_line(folder, tmp_path_factory, capsys):
    empty = tmp_path_factory.mktemp("empty")
    for word, options in {
        "run python -m learning.predict": ("--predictions", empty),
        "the nearest of": ("--predictions", folder, "--date", "2009-01-01"),
        "not a date": ("--predictions", folder, "--date", "soon"),
        "does not exist": ("--predictions", folder, "--run", empty),
    }.items():
        assert call(*options) == 2
        error = capsys.readouterr().err.strip().splitlines()
        assert len(error) == 1 and word in error[0], error


class Uniform:
    """Chlorophyll that grows with time: days since 2001-01-01."""

    def sample(self, lon, lat, time):
        days = (time - np.datetime64("2001-01-01")) / np.timedelta64(86400 * 10**9, "ns")
        return np.where(np.isfinite(lon), days, np.nan)


def test_the_planted_flux_is_the_mean_over_the_particles_and_noise_is_what_is_said(monkeypatch, tmp_path):
    import evaluation.twin_experiment as module

    cups, particles = 200, 30
    start = np.datetime64("2001-02-01", "ns") + 10 * np.arange(cups) * np.timedelta64(86400 * 10**9, "ns")

    def store(path, kind):
        w = float(path.parent.name[1:])
        back = np.timedelta64(round(planted_lag(w) * 86400 * 10**9), "ns")
        time = np.broadcast_to((start - back)[:, None, None], (cups, particles, 1))
        ones = np.ones((cups, particles, 1))
        ones[0, : 2 * particles // 3] = np.nan  # most of the first cup's particles never came
        return xr.Dataset(
            {name: (("experiment", "particle", "level"), ones) for name in ("lon", "lat")}
            | {"time": (("experiment", "particle", "level"), time)},
            coords={"level": [200.0], "collection_start": ("experiment", start), "collection_end": ("experiment", start)},
        )

    monkeypatch.setattr(module, "open_store", store)
    clean = planted_flux(tmp_path, Uniform(), 0.0, 0)
    for name, (w, mean) in PLANTED.items():
        values = clean[name].to_numpy()
        assert np.isnan(values[0]) and np.nanmean(values) == pytest.approx(mean)
        days = (start - np.datetime64("2001-01-01")) / np.timedelta64(86400 * 10**9, "ns") - planted_lag(w)
        np.testing.assert_allclose(
            values[1:] / values[1], np.maximum(days[1:], 0) / days[1] if days[1] > 0 else values[1:] / values[1]
        )
    noisy = planted_flux(tmp_path, Uniform(), 0.3, 0)
    gap = (noisy["dry_weight"] - clean["dry_weight"]).to_numpy()[30:]
    assert np.nanstd(gap) == pytest.approx(0.3 * np.nanstd(clean["dry_weight"]), rel=0.15)


def test_true_catchments_are_the_run_s_pdfs(tmp_path):
    run = write_run(tmp_path / "run", periods=4, side=1)
    one = true_catchments(run, 80.0)
    assert one["pdf"].shape == (4, 100, 100)
    # smoothing keeps the sum but for what leaves the box
    np.testing.assert_allclose(one["pdf"].sum(("y", "x")), 1, atol=0.02)


def test_predictions_are_scored_against_the_truth_of_the_nearest_end(tmp_path):
    (tmp_path / "truth").mkdir()
    (tmp_path / "predicted").mkdir()
    one = catchments()
    write_dataset(tmp_path / "truth" / "catchment_w080.nc", one)
    # a day later, and one prediction more: each is compared with its own
    later = catchment_dataset(SITES["pap-so"], 80.0, ENDS[1:] + np.timedelta64(1, "D"), one["pdf"].values[1:])
    write_dataset(tmp_path / "predicted" / "catchment_w080.nc", later)
    scores = catchment_scores(tmp_path).set_index("catchment")
    assert scores.loc["predicted", "n"] == 2
    assert scores.loc["predicted", "bl_mean"] == pytest.approx(0, abs=1e-5) and scores.loc["predicted", "valid_percent"] == 100
    assert scores.loc["box100", "bl_mean"] > scores.loc["box200", "bl_mean"] > 0.05


def table(best, peak):
    """A correlation.csv with its largest catchment R² ``best`` at lag ``peak``."""
    rows = []
    for name in PLANTED:
        for lag in range(0, 60, 3):
            for catchment, top in (("catchment", best), ("box100", 0.3), ("box200", 0.4)):
                rows.append({"lag": lag, "variable": name, "period": "all", "catchment": catchment,
                             "r2": top - 0.001 * abs(lag - peak), "random_p90": 0.2, "n": 40})  # fmt: skip
    return pd.DataFrame(rows)


def test_the_summary_by_hand():
    one = summarise({"truth": table(0.8, 36), "predicted": table(0.6, 33)})
    assert (one["lag_truth"] == 36).all() and (one["lag_predicted"] == 33).all()
    np.testing.assert_allclose(one["kept"], 0.5)
    np.testing.assert_allclose(one.set_index("variable")["planted_lag"]["dry_weight"], 35.0)


def test_the_summary_passes_over_lags_without_r2_or_of_few_cups():
    true = table(0.8, 36)
    true.loc[(true["catchment"] == "catchment") & (true["lag"] > 48), "r2"] = np.nan
    true.loc[true["lag"] == 0, ["r2", "n"]] = 0.99, 3
    one = summarise({"truth": true, "predicted": table(0.6, 33)})
    assert (one["lag_truth"] == 36).all() and np.isfinite(one["kept"]).all()
    true["r2"] = np.nan
    with pytest.raises(InputError, match="dry_weight has an R² at no lag; the record is too short"):
        summarise({"truth": true})


def twin(*options):
    argv = [str(one) for one in options]
    return run_command(TwinExperimentConfig, twin_experiment.main, prog="evaluation.twin_experiment", argv=argv)


def test_bad_options_of_the_twin_experiment_are_one_line_before_anything_is_run(tmp_path, capsys):
    (tmp_path / "w080" / "models" / "sst-ssh").mkdir(parents=True)
    (tmp_path / "w080" / "models" / "sst-ssh" / "member-01.safetensors").touch()
    write_json(tmp_path / "run.json", {"configuration": {"ocean": ["twin"], "seed": 4}})
    out = tmp_path / "out"
    for word, options in {
        "--years 0.2: too few cups": ("--years", 0.2),
        "--noise -1": ("--noise", -1),
        "--draws 0": ("--draws", 0),
        "were trained on that ocean": ("--seed", 4),
        "holds no models of sst-ssh": ("--models", tmp_path / "other"),
        "for --method velocity": ("--method", "velocity"),
        "--inputs sst-ssh-bathymetry needs --method velocity": ("--inputs", "sst-ssh-bathymetry"),
    }.items():
        assert twin("--models", tmp_path, "--out", out, *options) == 2
        error = capsys.readouterr().err.strip().splitlines()
        assert len(error) == 1 and word in error[0], error
    # networks of velocities may have learnt from further oceans
    (tmp_path / "models" / "velocity-sst-ssh").mkdir(parents=True)
    (tmp_path / "models" / "velocity-sst-ssh" / "member-01.safetensors").touch()
    write_json(tmp_path / "models" / "velocity-sst-ssh" / "fit.json", {"more_seeds": [5, 6]})
    assert twin("--models", tmp_path, "--out", out, "--method", "velocity", "--seed", 6) == 2
    assert "were trained on that ocean" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.usefixtures("coarse_pictures")
@pytest.mark.slow  # half a year of an ocean and of its maps, simulated
def test_the_twin_experiment_finds_the_planted_lag_and_the_truth_beats_the_boxes(tmp_path, monkeypatch):
    """All of section 4 on half a year of the twin, few particles, one speed, networks that learnt next to nothing."""
    models = write_run(tmp_path / "models", speeds=(80.0,))
    options = ["--width", "4", "--epochs", "1", "--members", "2", "--batch", "16", "--threads", "1"]
    assert run_command(FitConfig, fit, prog="learning.fit", argv=["--run", str(models), *options]) == 0
    monkeypatch.setattr(twin_experiment, "SINKING_SPEEDS", (80.0,))
    monkeypatch.setattr(twin_experiment, "PLANTED", {name: (80.0, mean) for name, (_, mean) in PLANTED.items()})
    monkeypatch.setattr(twin_experiment, "DESIGN", {**DESIGN, "particles": 4, "levels": (200.0,)})
    out = tmp_path / "out"
    # of the ocean that other tests use, which is there already; these networks learnt from none
    assert twin("--models", models, "--seed", 0, "--years", 0.5, "--noise", 0, "--draws", 20, "--out", out) == 0
    assert read_json(out / "twin_experiment.json")["configuration"]["seed"] == 0
    found = pd.read_csv(out / "summary.csv").set_index("variable").loc["dry_weight"]
    assert abs(found["lag_truth"] - found["planted_lag"]) <= 3
    assert found["r2_truth"] > max(found["r2_box100"], found["r2_box200"], found["random_p90_truth"])
    scores = pd.read_csv(out / "scores.csv").set_index("catchment")
    assert scores["n"].nunique() == 1 and scores.loc["predicted", "n"] >= 10
