"""Predictions from satellite maps: what the networks are given, what is written, what is said."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from data.command import run_command
from data.sites import parse_site
from data.times import nearest
from learning.catchment_file import FLAGS, arrival
from learning.config import FitConfig
from learning.ensemble import Ensemble
from learning.fit import main as fit
from learning.network import CatchmentNetwork
from learning.predict import PredictConfig
from learning.predict import main as predict
from learning.satellite import notes_elsewhere, predict_together, predict_windows
from learning.satellite_inputs import adjusted, filled, satellite_windows
from tests.builders.made_up_run import write_run
from tests.builders.satellite_maps import DAYS, height, maps, temperature

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = write_run(tmp_path_factory.mktemp("satellite") / "run")
    options = ["--width", "4", "--epochs", "1", "--members", "2", "--batch", "16", "--threads", "1"]
    assert run_command(FitConfig, fit, prog="learning.fit", argv=["--run", str(folder), *options]) == 0
    return folder


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("maps")
    ssh = maps(folder / "ssh.nc", "adt", "m", height)
    return folder, ssh, maps(folder / "sst.nc", "analysed_sst", "kelvin", temperature)


def call(run, out, *options):
    return run_command(PredictConfig, predict, prog="learning.predict", argv=["--run", str(run), "--out", str(out), *options])


def test_one_file_a_speed_as_the_contract_has_it(run, files, tmp_path):
    _, ssh, sst = files
    assert call(run, tmp_path, "--ssh", ssh, "--sst", sst) == 0
    for w in (80, 300):
        with xr.open_dataset(tmp_path / f"catchment_w{w:03d}.nc") as one:
            # ends on day 40, 50 and 60 of the maps
            assert one["pdf"].shape == (3, 100, 100) and one["pdf"].dims == ("time", "y", "x")
            np.testing.assert_allclose(one["pdf"].sum(("y", "x")), 1, rtol=1e-5)
            end = np.datetime64("2010-02-10") + np.arange(0, 30, 10)
            np.testing.assert_array_equal(one["window_end"].values.astype("datetime64[D]"), end)
            back = 5 + 2800 / w
            days = (one["window_end"].values - one["time"].values) / np.timedelta64(86400 * 10**9, "ns")
            np.testing.assert_allclose(days, back, atol=1e-4)
            assert one.attrs["sinking_speed_m_per_day"] == w
            # the trap stands between the middle four cells
            assert float(one["lon"][49:51, 49:51].mean()) == pytest.approx(-16.5, abs=1e-3)
            assert float(one["lat"][49:51, 49:51].mean()) == pytest.approx(49.0, abs=1e-3)
            assert one["depth"] == 200
    assert not list(tmp_path.glob("*.aside"))


def test_the_files_pass_a_cf_checker(run, files, tmp_path):
    checker = Path(sys.executable).parent / "compliance-checker"
    if not checker.exists():
        pytest.skip("compliance-checker is not installed")
    _, ssh, sst = files
    assert call(run, tmp_path, "--ssh", ssh, "--sst", sst) == 0
    for name in ("catchment_w080.nc", "satellite_inputs.nc"):
        done = subprocess.run([checker, "--test=cf:1.8", str(tmp_path / name)], capture_output=True, text=True, timeout=300)
        assert "All tests passed" in done.stdout, done.stdout[-2000:]


def test_networks_get_maps_with_the_training_mean_of_ssh_and_temperature_as_it_is(run, files):
    _, ssh, sst = files
    ensemble = Ensemble.load(run / "w080" / "models" / "sst-ssh")
    windows = satellite_windows((ssh,), (sst,), ensemble.spec, "pap-so")
    values = adjusted(windows, ensemble.spec, ensemble.normalisation.mean)
    names = [name for name, _ in ensemble.spec.variables]
    level = names.index("ssh")
    assert values[:, level].mean() == pytest.approx(ensemble.normalisation.mean[level], abs=1e-5)
    # one constant for all maps: their differences stay
    np.testing.assert_allclose(np.diff(values[:, level], axis=0), np.diff(windows.values[:, level], axis=0), atol=1e-6)
    middle = values[0, names.index("temp"), 49:51, 49:51].mean()
    assert middle == pytest.approx(14.0, abs=0.01)


def test_the_same_arrays_by_hand_give_the_same_catchment(run, files):
    """From a bicubic spline on the whole map, and the five lags one by one."""
    _, ssh, sst = files
    ensemble = Ensemble.load(run / "w080" / "models" / "sst-ssh")
    windows = satellite_windows((ssh,), (sst,), ensemble.spec, "pap-so", start="2010-02-20", end="2010-02-20")
    found = predict_windows(ensemble, windows)
    values = adjusted(windows, ensemble.spec, ensemble.normalisation.mean)
    by_time = dict(zip(windows.times.astype("datetime64[D]").astype(str), values))
    lags = np.stack([by_time[str(np.datetime64("2010-02-20") - lag)] for lag in (0, 10, 20, 30, 40)])
    scaled = (lags - ensemble.normalisation.mean[:, None, None]) / ensemble.normalisation.std[:, None, None]
    pdf, spread = ensemble.predict(torch.as_tensor(scaled.reshape(1, -1, 100, 100)))
    np.testing.assert_allclose(found["pdf"].values[0], pdf[0, -1], atol=1e-7)
    np.testing.assert_allclose(found["spread"].values, spread[:, -1], atol=1e-6)


def test_speeds_of_one_body_are_predicted_together_at_the_export_level_alone(run, files, monkeypatch):
    """With one epoch both speeds keep the same weights but for their own; the catchments are those of each by itself."""
    _, ssh, sst = files
    ensembles = [Ensemble.load(run / name / "models" / "sst-ssh") for name in ("w080", "w300")]
    windows = satellite_windows((ssh,), (sst,), ensembles[0].spec, "pap-so")
    alone = [predict_windows(ensemble, windows) for ensemble in ensembles]
    bodies, heads = [], []
    body, head = CatchmentNetwork.features, CatchmentNetwork.predict_first_speed
    spied = {"features": lambda self, *given: bodies.append(self) or body(self, *given),
             "predict_first_speed": lambda self, *given: heads.append(given[2]) or head(self, *given)}  # fmt: skip
    for name, spy in spied.items():
        monkeypatch.setattr(CatchmentNetwork, name, spy)
    for one, together in zip(alone, predict_together(ensembles, windows), strict=True):
        xr.testing.assert_equal(one, together)
    assert len(bodies) == 2  # the members of one speed, whose maps both take
    assert heads == [ensembles[0].card["levels"].index(200.0)] * 4 * windows.ends.size  # two members each, a date at a time


def seasonal(day, lon, lat):
    """Height with a steric cycle of 5 cm."""
    return height(0, lon, lat) + 0.05 * np.cos(2 * np.pi * day / 365.25)


def test_the_ssh_of_a_date_is_the_same_whichever_others_are_asked_for(run, tmp_path):
    ssh = maps(tmp_path / "year.nc", "adt", "m", seasonal, days=range(366))
    ensemble = Ensemble.load(run / "w080" / "models" / "sst-ssh")
    level = [name for name, _ in ensemble.spec.variables].index("ssh")

    def given(**options):
        windows = satellite_windows((ssh,), (), ensemble.spec, "pap-so", **options)
        last = windows.instants[np.flatnonzero(windows.ends == np.datetime64("2010-02-10"))[0]]
        return windows, adjusted(windows, ensemble.spec, ensemble.normalisation.mean)[last, level]

    (alone, one), (year, many) = given(start="2010-02-10", end="2010-02-10"), given()
    np.testing.assert_allclose(one, many, atol=1e-6)
    # the season stays in: early February stands 5 cm above the mean of the year
    assert one.mean() == pytest.approx(ensemble.normalisation.mean[level] + 0.05, abs=0.006)
    assert alone.ssh_mean_of == "200 of the 366 maps from 2010-01-01 to 2011-01-01" and not alone.notes
    told, three = given(ssh_mean=year.ssh_mean + 0.1)
    np.testing.assert_allclose(three, one - 0.1, atol=1e-6)
    assert told.ssh_mean_of == "--ssh-mean"


def test_what_was_taken_off_ssh_is_written(run, files, tmp_path, capsys):
    folder, _, sst = files
    sla = maps(folder / "sla.nc", "sla", "m", height)
    assert call(run, tmp_path, "--ssh", sla, "--sst", sst, "--ssh-mean", "0.25") == 0
    assert "standing currents are missing" in capsys.readouterr().out
    with xr.open_dataset(tmp_path / "catchment_w080.nc") as one:
        assert one.attrs["ssh_mean_removed"] == 0.25 and one.attrs["ssh_source_variable"] == "sla"
    assert call(run, tmp_path, "--ssh", files[1], "--sst", sst) == 0
    assert "is of maps of 60 days" in capsys.readouterr().out
    with xr.open_dataset(tmp_path / "catchment_w080.nc") as one, xr.open_dataset(tmp_path / "satellite_inputs.nc") as two:
        assert one.attrs["ssh_source_variable"] == "adt"
        # the maps used lie evenly about the middle of all
        assert one.attrs["ssh_mean_removed"] == pytest.approx(float(two["ssh"].mean()), abs=1e-5)


@pytest.mark.parametrize("kind", ["SSH", "SST"])
def test_gaps_in_either_kind_of_map_are_told(run, files, tmp_path, capsys, kind):
    _, ssh, sst = files
    days = [day for day in range(DAYS) if not 2 <= day <= 6]
    if kind == "SSH":
        ssh = maps(tmp_path / "ssh.nc", "adt", "m", height, days=days)
    else:
        sst = maps(tmp_path / "sst.nc", "analysed_sst", "kelvin", temperature, days=days)
    assert call(run, tmp_path, "--ssh", ssh, "--sst", sst) == 0
    told = f"{kind}: no maps between 2010-01-02 and 2010-01-08: about 5 missing"
    assert f"note: {told}" in capsys.readouterr().out
    with xr.open_dataset(tmp_path / "catchment_w080.nc") as one:
        assert told in one.attrs["comment"]


def test_persist_reaches_fifty_days_and_says_how_far_it_went(run, files, tmp_path, capsys):
    _, ssh, sst = files
    # the maps end on 2 March: 11 April is 40 days later, 1 May 60
    options = ("--ssh", ssh, "--sst", sst, "--persist", "--every", "20", "--start", "2010-03-02", "--end", "2010-05-01")
    assert call(run, tmp_path, *options) == 0
    told = capsys.readouterr().out
    assert "1 of 4 dates left out: no map within 50 days" in told
    assert "2 of 3 dates use maps of other dates, up to 40 days away" in told
    with xr.open_dataset(tmp_path / "catchment_w080.nc") as one:
        assert ((one["flag"].values & 2) > 0).tolist() == [False, True, True]
    assert call(run, tmp_path, *options[:5], "--start", "2019-01-01", "--end", "2020-01-01") == 2
    error = one_line(capsys)
    assert "within 50 days" in error and "SSH is of 2010-01-01 to 2010-03-02" in error


def test_two_models_of_one_speed_are_refused(run, files, tmp_path, capsys):
    folder = str(run / "w080" / "models" / "sst-ssh")
    assert call(run, tmp_path, "--ssh", files[1], "--models", folder, f"{folder}/") == 2
    assert "both are of 80 m/d" in one_line(capsys)


def test_missing_maps_leave_dates_out_or_are_replaced_and_flagged(run, files, tmp_path):
    folder, _, sst = files
    days = [day for day in range(DAYS) if not 8 <= day <= 12]
    ssh = maps(folder / "gap.nc", "adt", "m", height, days=days)
    assert call(run, tmp_path / "a", "--ssh", ssh, "--sst", sst) == 0
    # the dates of days 40 and 50 need day 10, that of day 60 does not
    with xr.open_dataset(tmp_path / "a" / "catchment_w080.nc") as one:
        np.testing.assert_array_equal(one["window_end"].values.astype("datetime64[D]"), [np.datetime64("2010-03-02")])
        assert "left out" in one.attrs["comment"] and (one["flag"] & 2 == 0).all()
    assert call(run, tmp_path / "b", "--ssh", ssh, "--sst", sst, "--persist", "--start", "2010-02-10") == 0
    with xr.open_dataset(tmp_path / "b" / "catchment_w080.nc") as one:
        assert ((one["flag"].values & 2) > 0).tolist() == [True, True, False]


def test_without_sst_the_training_mean_stands_for_it_and_it_is_said(run, files, tmp_path, capsys):
    _, ssh, _ = files
    assert call(run, tmp_path, "--ssh", ssh) == 0
    assert "training mean" in capsys.readouterr().out
    with xr.open_dataset(tmp_path / "catchment_w080.nc") as one:
        assert (one["flag"].values & 4 > 0).all() and "no SST" in one.attrs["comment"]
        assert one["flag"].attrs["flag_meanings"].split() == list(FLAGS.values())


def test_inputs_beyond_the_training_range_are_flagged(run, files, monkeypatch):
    folder, ssh, _ = files
    hot = maps(folder / "hot.nc", "analysed_sst", "kelvin", lambda *where: temperature(*where) + 20)
    ensemble = Ensemble.load(run / "w080" / "models" / "sst-ssh")
    windows = satellite_windows((ssh,), (hot,), ensemble.spec, "pap-so")
    with monkeypatch.context() as patch:
        patch.setattr("learning.satellite.centring", lambda ensemble: False)  # as the paper's network
        one = predict_windows(ensemble, windows)
    # all of the temperature, which is half of the inputs
    assert (one["outside"].values >= 0.499).all()
    assert (one["flag"].values & 1 > 0).all()


def test_networks_that_centre_their_inputs_are_flagged_for_what_they_see(run, files, tmp_path, capsys):
    folder, ssh, _ = files
    ensemble = Ensemble.load(run / "w080" / "models" / "sst-ssh")
    spec, std = ensemble.spec, ensemble.normalisation.anomaly_std[[name for name, _ in ensemble.spec.variables].index("temp")]

    def found(value, name):
        path = maps(folder / f"{name}.nc", "analysed_sst", "kelvin", value)
        return path, predict_windows(ensemble, satellite_windows((ssh,), (path,), spec, "pap-so"))

    def calm(day, lon, lat):
        return 287.15 + float(std) * np.sin(3 * lon) * np.sin(3 * lat)

    _, flat = found(calm, "calm")
    hot, offset = found(lambda *where: calm(*where) + 20, "calm_and_hot")
    # what the networks take off changes neither the prediction nor its flag
    np.testing.assert_allclose(offset["pdf"], flat["pdf"], atol=1e-6)
    assert (flat["flag"].values & 1 == 0).all() and (offset["flag"].values & 1 == 0).all()
    # what they see does: the same mean, six times the contrast
    _, steep = found(lambda *where: 287.15 + 6 * (calm(*where) - 287.15), "steep")
    assert (steep["flag"].values & 1 > 0).all()
    assert call(run, tmp_path, "--ssh", ssh, "--sst", hot, "--ssh-mean", "0.4") == 0
    told = capsys.readouterr().out
    assert "degrees C from that of the training data as a whole" in told and "--ssh-mean changes nothing" in told


NEAR_LAND = "-5.5,48.4"


def test_mass_on_land_is_named_and_removed_if_asked(run, tmp_path, capsys):
    from data.coastline import on_land

    lon = np.arange(-25.0, 5, 0.5)
    ssh = maps(tmp_path / "ssh.nc", "adt", "m", height, lon=lon, hole=on_land)
    sst = maps(tmp_path / "sst.nc", "analysed_sst", "kelvin", temperature, lon=lon, hole=on_land)
    options = ("--ssh", ssh, "--sst", sst, "--site", NEAR_LAND)
    assert call(run, tmp_path / "kept", *options) == 0
    told = capsys.readouterr().out
    assert call(run, tmp_path / "removed", *options, "--no-land-mass") == 0
    assert "taken away, the rest brought to sum 1" in capsys.readouterr().out
    with xr.open_dataset(tmp_path / "kept" / "catchment_w080.nc") as kept:
        kept.load()
    with xr.open_dataset(tmp_path / "removed" / "catchment_w080.nc") as removed:
        removed.load()
    land = on_land(kept["lon"].values, kept["lat"].values)
    assert 0.05 < land.mean() < 0.5
    np.testing.assert_array_equal(kept["land"], land)
    mass = kept["pdf"].values[:, land].sum(axis=1)
    np.testing.assert_allclose(kept["mass_on_land"], mass, rtol=1e-3)
    np.testing.assert_array_equal(removed["mass_on_land"], kept["mass_on_land"])
    assert f"{100 * mass.mean():.2g} % of the predicted mass lies on land" in told
    assert "on land" in kept.attrs["comment"] and "of the window has no ssh (land, ice)" in told
    assert (removed["pdf"].values[:, land] == 0).all()
    sea = kept["pdf"].values[:, ~land]
    np.testing.assert_allclose(removed["pdf"].values[:, ~land], sea / sea.sum(axis=1, keepdims=True), rtol=1e-3, atol=1e-9)
    # and the networks of one site are used at another
    assert "the networks were trained at pap-so" in told and "those of a trap at" not in told


def test_networks_of_one_trap_say_at_which_depth_another_stands(run):
    ensemble = Ensemble.load(run / "w080" / "models" / "sst-ssh")
    lines = notes_elsewhere(ensemble, parse_site("dyfamed"))
    assert len(lines) == 2 and lines[1].endswith("as the networks learnt it; that of dyfamed stands at 1000 m")
    assert len(notes_elsewhere(ensemble, parse_site("estoc"))) == 1 and notes_elsewhere(ensemble, parse_site("pap-so")) == []


def test_no_land_is_found_in_the_open_ocean_and_all_where_all_is_land():
    from data.coastline import on_land

    assert not on_land(np.linspace(-30, -14, 9), np.full(9, 49.0)).any()
    assert on_land(np.array([2.3, 362.3, 25.0]), np.array([48.8, 48.8, 23.0])).all()


def test_unknown_cells_make_no_front_at_the_coast(run, files):
    """A network that takes off a window's mean gives the same, whatever constant is added to maps with a hole."""
    folder, ssh, _ = files
    ensemble = Ensemble.load(run / "w080" / "models" / "sst-ssh")

    def found(offset, name):
        path = maps(folder / f"{name}.nc", "analysed_sst", "kelvin", lambda *where: temperature(*where) + offset,
                    hole=lambda lon, lat: lon > -14)  # fmt: skip
        windows = satellite_windows((ssh,), (path,), ensemble.spec, "pap-so", start="2010-02-20", end="2010-02-20")
        return windows, predict_windows(ensemble, windows)["pdf"].values

    windows, here = found(0.0, "hole")
    _, there = found(5.0, "hole_and_warm")
    np.testing.assert_allclose(here, there, atol=1e-7)
    level = [name for name, _ in ensemble.spec.variables].index("temp")
    whole = filled(windows.values, ensemble.spec)[:, level]
    unknown = ~np.isfinite(windows.values[:, level])
    assert unknown.any() and np.isfinite(whole).all()
    centred = whole - whole.mean(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(centred[unknown], 0, atol=1e-4)


def test_land_in_the_window_is_flagged_and_too_much_of_it_refused(run, files, tmp_path, capsys):
    folder, _, sst = files
    some = maps(folder / "some.nc", "adt", "m", height, hole=lambda lon, lat: lon > -13)
    assert call(run, tmp_path / "some", "--ssh", some, "--sst", sst) == 0
    with xr.open_dataset(tmp_path / "some" / "catchment_w080.nc") as one:
        assert (one["flag"].values & 8 > 0).all() and np.isfinite(one["pdf"]).all()
    most = maps(folder / "most.nc", "adt", "m", height, hole=lambda lon, lat: lon > -19)
    assert call(run, tmp_path / "most", "--ssh", most, "--sst", sst) == 2
    assert "known" in one_line(capsys)


def one_line(capsys) -> str:
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("learning.predict:")]
    assert len(error) == 1
    return error[0]


def test_bad_input_is_one_line(run, files, tmp_path, capsys):
    folder, ssh, sst = files
    later = maps(folder / "later.nc", "analysed_sst", "kelvin", temperature, days=range(400, 430))
    narrow = maps(folder / "narrow.nc", "adt", "m", height, lon=np.arange(-18.0, -14, 0.5))
    cases = {
        "overlap in time": ("--ssh", ssh, "--sst", later),
        "reach over": ("--ssh", narrow, "--sst", sst),
        "adt": ("--ssh", sst, "--sst", sst),
        "--sst needs --ssh": ("--sst", sst),
        "not a date": ("--ssh", ssh, "--sst", sst, "--start", "yesterday"),
        "greater than 0": ("--ssh", ssh, "--sst", sst, "--every", "0"),
        "before the first possible": ("--ssh", ssh, "--sst", sst, "--end", "2009-01-01"),
        "--site": ("--ssh", ssh, "--sst", sst, "--site", "atlantis"),
        "--site ''": ("--ssh", ssh, "--sst", sst, "--site", ""),
        "--w 80: is given twice": ("--ssh", ssh, "--sst", sst, "--w", "80", "300", "80"),
        "--site needs --ssh": ("--site", "pap-so"),
        "--start needs --ssh": ("--start", "2010-01-01"),
        "--persist needs --ssh": ("--persist",),
        "--ssh-mean needs --ssh": ("--ssh-mean", "0"),
        "--no-land-mass needs --ssh": ("--no-land-mass",),
    }
    for word, options in cases.items():
        assert call(run, tmp_path, *options) == 2, word
        assert word in one_line(capsys), word
    assert not list(tmp_path.iterdir())
    empty = tmp_path / "empty"
    empty.mkdir()
    assert call(empty, tmp_path, "--ssh", ssh) == 2
    assert "no models" in one_line(capsys)


def test_networks_that_need_velocities_are_refused(run, files, tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    options = ["--width", "4", "--epochs", "1", "--members", "1", "--batch", "16", "--threads", "1", "--inputs", "5v-1l"]
    assert run_command(FitConfig, fit, prog="learning.fit", argv=["--run", str(folder), *options]) == 0
    assert call(folder, tmp_path, "--models", str(folder / "w080" / "models" / "5v-1l"), "--ssh", files[1]) == 2
    assert "no satellite sees" in one_line(capsys)


def test_the_map_for_an_instant_is_the_nearest_one_given():
    rng = np.random.default_rng(4)
    for _ in range(50):
        times = np.unique(rng.integers(0, 300, rng.integers(1, 30)))
        wanted = rng.integers(-50, 350, 20)
        first = np.datetime64("2005-01-01", "s")
        found = nearest(first + times * np.timedelta64(3600, "s"), first + wanted * np.timedelta64(3600, "s"))
        distance = np.abs(times[:, None] - wanted)
        np.testing.assert_array_equal(np.abs(times[found] - wanted), distance.min(axis=0))


def test_mean_arrival():
    end = np.array(["2010-03-01"], "datetime64[s]")
    np.testing.assert_array_equal(arrival(end, 80.0, 3000.0, 200.0, 10.0), end - np.timedelta64(40 * 86400, "s"))


def test_a_real_map_gives_a_catchment(run, tmp_path):
    path = SHARED / "ssh" / "nrt_global_allsat_phy_l4_20190223_20190226.nc"
    if not path.exists():
        pytest.skip(f"{path.name} is not here (../shared)")
    assert call(run, tmp_path, "--ssh", str(path), "--persist") == 0
    with xr.open_dataset(tmp_path / "catchment_w080.nc") as one:
        assert str(one["window_end"].values[0])[:10] == "2019-02-23"
        assert (one["flag"].values & 6 == 6).all()
