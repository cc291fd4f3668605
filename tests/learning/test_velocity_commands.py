"""``learning.fit`` and ``learning.predict --method velocity`` on a small made-up run, and the report that scores them."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from data.chunks import open_checked
from data.command import read_json, run_command, write_json
from data.resumable import ResumableStore
from evaluation.options import SatelliteConfig
from evaluation.results import SpeedRun, metrics
from evaluation.satellite import main as draw
from learning.config import FitConfig
from learning.fit import main as fit
from learning.folders import run_identity
from learning.predict import PredictConfig
from learning.predict import main as predict
from learning.velocity import predict as prediction
from learning.velocity import targets
from learning.velocity.fit import Parts, effective
from learning.velocity.maps import MapSpec, have_maps
from learning.velocity.model import VelocityModel, velocity_folder
from learning.velocity.runs import Experiments
from learning.weights import load_tensors, save_tensors
from tests.builders.clusters import plain_cluster
from tests.builders.made_up_run import LEVELS, write_run
from tests.builders.satellite_maps import height, maps, temperature
from tests.learning.test_velocity import lattice, waves

DEPTHS = np.array([200.0, 1000.0, 3000.0])
DAY = np.timedelta64(86400, "s")
SMALL = ["--method", "velocity", "--inputs", "sst-ssh", "--width", "4", "--epochs", "1", "--batch", "2", "--threads", "1"]


def write_velocities(run: Path, hills: float | None = 100.0) -> None:
    """velocities.zarr of a made-up ocean, periodic over 1024 km, points 32 km apart, with hills of so many metres (None: without
    the sea floor, as an earlier version wrote it)."""
    where = lattice(32, spacing=32.0)
    base = waves(where, speed=0.05)[0]
    times = np.datetime64("2000-12-10", "s") + np.arange(90) * np.timedelta64(5 * 86400, "s")
    path = run / "velocities.zarr"
    ocean = SimpleNamespace(variables={"temp"}, description={"kind": "made up"})
    floor = None if hills is None else (4000 + hills * waves(where, 7)[0, 0] / waves(where, 7)[0, 0].std()).astype(np.float32)
    lay_out = partial(targets._lay_out, lattice=where, ocean=ocean, depths=DEPTHS, times=times, floor=floor)
    filled = (*targets.FILLED, "temp")
    store = ResumableStore(path, filled, times.size, lay_out=lay_out, identity={"run": {"run": run_identity(run)}})
    psi = np.stack([np.roll(base, k, axis=-1) for k in range(times.size)]).astype(np.float32)
    ssh = psi[:, 0] * 1e-5
    values = {"psi": psi, "flow": np.zeros((times.size, 3, 2)), "rotational": np.ones((times.size, 3)), "ssh": ssh,
              "temp": 14 + 2 * ssh, "u": ssh, "v": -ssh, "vorticity_over_f": ssh}  # fmt: skip
    for number in range(times.size):
        store.put(number, **{name: one[number : number + 1] for name, one in values.items()})
    assert store.close()


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Few members and periods to fit the amplitude on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("learning.velocity.fit.CALIBRATION_PERIODS", 1)
        patch.setattr("learning.velocity.fit.CALIBRATION_MEMBERS", 2)
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run of 30 periods at four positions whose ocean is known by its velocities alone."""
    folder = write_run(tmp_path_factory.mktemp("velocity") / "run")
    record = read_json(folder / "run.json")
    options = {"positions": 2, "spacing": 36.0, "levels": LEVELS.tolist(), "w": [80.0, 300.0]}
    record["configuration"] = {**options, "diffusivity": [30.0], "threads": 1}
    write_json(folder / "run.json", record)
    write_velocities(folder)
    return folder


@pytest.fixture(scope="module")
def trained(run) -> Path:
    """The same with networks."""
    assert run_command(FitConfig, fit, prog="learning.fit", argv=["--run", str(run), *SMALL]) == 0
    return run


def predicted(run: Path, *options: str) -> int:
    argv = ["--run", str(run), "--method", "velocity", "--members", "2", "--threads", "1", *options]
    return run_command(PredictConfig, predict, prog="learning.predict", argv=argv)


def test_fit_writes_networks_residuals_and_a_record(trained):
    folder = velocity_folder(trained, "sst-ssh")
    written = {path.name for path in folder.glob("*.*")}
    assert written >= {"member-01.safetensors", "residuals.safetensors", "fit.json", "history.csv"}
    record = read_json(folder / "fit.json")
    assert set(record["split"]) == {"train", "validation", "test"} and record["depths"] == DEPTHS.tolist()
    assert not list(folder.glob("*.state.safetensors"))


def test_fit_again_trains_nothing_and_other_options_are_refused(trained, capsys):
    weights = (velocity_folder(trained, "sst-ssh") / "member-01.safetensors").read_bytes()
    assert run_command(FitConfig, fit, prog="learning.fit", argv=["--run", str(trained), *SMALL]) == 0
    assert "is there already" in capsys.readouterr().out
    assert (velocity_folder(trained, "sst-ssh") / "member-01.safetensors").read_bytes() == weights
    assert run_command(FitConfig, fit, prog="learning.fit", argv=["--run", str(trained), *SMALL, "--seed", "3"]) == 2
    assert "trained otherwise (seed differ)" in capsys.readouterr().err


def test_predictions_are_scored_as_a_further_model(trained):
    assert predicted(trained) == 0
    path = trained / "w080" / "predictions" / "velocity-sst-ssh.zarr"
    store = open_checked(path, "predictions", ("pdf", "pdf_root", "spread", "part", "climatology_root"))
    pdf, root = (store[name].values for name in ("pdf", "pdf_root"))
    known = np.isfinite(pdf).all(axis=(1, 2, 3))
    assert 0 < known.sum() < known.size and not known[store["part"].values == 0].any()
    for one in (pdf, root):
        assert np.allclose(one[known].sum(axis=(2, 3)), 1, atol=2e-3)
    assert (store["spread"].values[known] >= 0).all()
    expected = store["expected_bl"].values
    assert ((expected[known] > 0) & (expected[known] < 1)).all() and np.isnan(expected[~known]).all()
    found = metrics(SpeedRun.open(trained, 80.0).score(), 80.0)
    models = {entry["model"] for entry in found if entry["split"] == "test" and entry["target"] == "smoothed"}
    assert models >= {"climatology", "climatology-root", "velocity-sst-ssh", "velocity-sst-ssh-root"}
    before = (path / "pdf" / "c" / "29" / "0" / "0" / "0").read_bytes()
    assert predicted(trained) == 0
    assert (path / "pdf" / "c" / "29" / "0" / "0" / "0").read_bytes() == before


def test_a_prediction_that_lost_a_period_is_made_whole(trained):
    assert predicted(trained) == 0
    path = trained / "w300" / "predictions" / "velocity-sst-ssh.zarr"
    chunk = path / "pdf" / "c" / "28" / "0" / "0" / "0"
    before = chunk.read_bytes()
    chunk.unlink()
    assert predicted(trained) == 0
    assert chunk.read_bytes() == before


def values_of(run: Path) -> dict[str, bytes]:
    """All chunks of the predictions of a run."""
    stores = sorted(run.glob("w*/predictions/velocity-sst-ssh.zarr"))
    return {
        str(path.relative_to(run)): path.read_bytes() for one in stores for path in sorted(one.glob("*/c/**/*")) if path.is_file()
    }


def test_a_command_that_is_killed_goes_on_to_the_same_bytes(trained, tmp_path, monkeypatch):
    whole, killed = (shutil.copytree(trained, tmp_path / name, ignore=shutil.ignore_patterns("predictions")) for name in "ab")
    monkeypatch.setattr(prediction, "PERIODS", 4)
    assert predicted(whole) == 0
    put, done = prediction.put, []

    def put_some(*arguments):
        if len(done) == 3:  # in the midst of a block
            raise KeyboardInterrupt
        done.append(arguments)
        put(*arguments)

    monkeypatch.setattr(prediction, "put", put_some)
    assert predicted(killed) == 130
    assert not list(killed.glob("w*/predictions/velocity-sst-ssh.zarr"))
    monkeypatch.setattr(prediction, "put", put)
    assert predicted(killed) == 0
    assert values_of(killed) == values_of(whole)


def test_workers_write_the_same_bytes(trained, tmp_path):
    alone, shared = (shutil.copytree(trained, tmp_path / name, ignore=shutil.ignore_patterns("predictions")) for name in "ab")
    assert predicted(alone) == 0
    with plain_cluster() as cluster:
        assert predicted(shared, "--scheduler", cluster.scheduler_address) == 0
    assert values_of(shared) == values_of(alone)


def test_a_speed_a_depth_and_a_cup_length_that_no_training_saw(trained, tmp_path):
    options = ["--w", "120", "--trap-depth", "2000", "--levels", "1000", "200", "--collection", "21", "--out", str(tmp_path)]
    assert predicted(trained, *options) == 0
    store = open_checked(tmp_path / "w120" / "predictions" / "velocity-sst-ssh.zarr", "predictions", ("pdf",))
    assert store.attrs["trap_depth_m"] == 2000
    days = (store["collection_end"].values - store["collection_start"].values) / np.timedelta64(1, "D")
    assert (days == 21).all() and np.isfinite(store["pdf"].values).any()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--trap-depth", "2000"], "--trap-depth: such catchments are not those of"),
        (["--trap-depth", "4000", "--out", "OUT"], "--trap-depth 4000: the networks know velocities down to 3000 m"),
        (["--levels", "100", "--out", "OUT"], "--levels 100: the networks know velocities from 200 m down"),
        (["--w", "-5"], "--w"),
        (["--ssh", "none.nc"], "none.nc"),
    ],
)
def test_what_cannot_be_predicted_is_refused_in_one_line(trained, tmp_path, capsys, options, text):
    assert predicted(trained, *(str(tmp_path) if one == "OUT" else one for one in options)) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("learning.predict:")]
    assert len(error) == 1 and text in error[0]


def test_residuals_that_are_missing_are_told_and_made_again(trained, tmp_path, capsys):
    path = velocity_folder(trained, "sst-ssh") / "residuals.safetensors"
    kept = path.read_bytes()
    path.unlink()
    assert predicted(trained) == 2
    assert "residuals.safetensors is missing: members need residuals" in capsys.readouterr().err
    assert run_command(FitConfig, fit, prog="learning.fit", argv=["--run", str(trained), *SMALL]) == 0
    assert path.read_bytes() == kept


def test_networks_of_another_grid_are_refused_in_one_line(trained, tmp_path, capsys):
    folder = shutil.copytree(velocity_folder(trained, "sst-ssh"), tmp_path / "velocity-sst-ssh")
    path = folder / "member-01.safetensors"
    tensors, card = load_tensors(path)
    save_tensors(path, tensors, {**card, "spacing_km": 16.0})
    assert predicted(trained, "--models", str(folder)) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("learning.predict:")]
    assert len(error) == 1 and "the networks know points 16 km apart, the maps' are 32; train networks on a run" in error[0]


def test_a_run_that_does_not_tell_its_ocean(trained, tmp_path, capsys):
    folder = write_run(tmp_path / "run", periods=24)
    assert run_command(FitConfig, fit, prog="learning.fit", argv=["--run", str(folder), *SMALL]) == 2
    assert f"{folder} does not tell its ocean (run.json), whose velocities" in capsys.readouterr().err
    assert not (folder / "velocities.zarr").exists()
    shutil.rmtree(folder / "w080")
    options = ["--members", "1", "--epochs", "1", "--width", "2", "--experiments", "8", "--threads", "1"]
    assert run_command(FitConfig, fit, prog="learning.fit", argv=["--run", str(folder), *options]) == 0
    assert "does not tell its ocean" in capsys.readouterr().out
    assert not (folder / "models").exists()


def quiet(day, lon, lat):
    """SSH as smooth as that of the made-up ocean."""
    return 0.5 + 0.2 * (height(day, lon, lat) - 0.5)


def even(day, lon, lat):
    """SST of hardly any gradient, as that of the made-up ocean."""
    return 287.15 + 0.05 * (temperature(day, lon, lat) - 287.15)


def test_catchments_of_satellite_maps(trained, tmp_path, capsys):
    days, lon = range(0, 130, 2), np.arange(-26.0, -7, 0.5)
    ssh = maps(tmp_path / "ssh.nc", "adt", "m", quiet, days=days, lon=lon)
    sst = maps(tmp_path / "sst.nc", "analysed_sst", "kelvin", even, days=days, lon=lon)
    out = tmp_path / "out"
    assert predicted(trained, "--ssh", ssh, "--sst", sst, "--site", "-16.5,49", "--out", str(out), "--every", "20") == 0
    with xr.open_dataset(out / "catchment_w300.nc") as found, xr.open_dataset(out / "catchment_w080.nc") as slow:
        for name in ("pdf", "pdf_root"):
            assert np.allclose(found[name].sum(("y", "x")), 1, atol=1e-4)
        assert (found["flag"] == 0).all() and (found["reached"] > 0.9).all() and (found["spread"] >= 0).all()
        assert ((found["expected_bl"] > 0) & (found["expected_bl"] < 1)).all()
        assert 0 <= float(found["outside"].max()) < 0.05
        assert found.attrs["source"].startswith("particles in velocities of 1 network")
        assert found.attrs["source"].endswith("; maps: satellite maps")  # the files do not tell theirs
        assert not found["land"].any() and (found["mass_on_land"] == 0).all()  # Ireland is farther than the box
        assert (slow["time"].values < found["time"].values).all()
    with xr.open_dataset(out / "satellite_inputs.nc") as given:
        assert given["ssh"].attrs["standard_name"] == "sea_surface_height_above_geoid"
        assert given["ssh"].dims == given["temp"].dims == ("time", "y", "x")
        for name, field, zero in (("ssh", quiet, 0.0), ("temp", even, 273.15)):
            day = (given["time"].values[3] - np.datetime64("2010-01-01")) / np.timedelta64(1, "D")
            true = field(2 * round(day / 2), given["lon"].values, given["lat"].values) - zero
            np.testing.assert_allclose(given[name].values[3], true, atol=0.02 * np.ptp(true))
    options = ["--predictions", str(out), "--out", str(tmp_path / "figures")]
    assert run_command(SatelliteConfig, draw, prog="evaluation.satellite", argv=options) == 0
    assert (tmp_path / "figures" / "satellite_map.png").stat().st_size > 20_000
    assert predicted(trained, "--ssh", ssh, "--site", "-16.5,49", "--out", str(out), "--every", "20", "--w", "120") == 0
    assert "no SST was given" in capsys.readouterr().out
    with xr.open_dataset(out / "catchment_w120.nc") as found:
        assert (found["flag"] == 4).all()


def test_maps_that_do_not_suffice_are_told_in_one_line(trained, tmp_path, capsys):
    ssh = maps(tmp_path / "ssh.nc", "adt", "m", height, days=[0, 100], lon=np.arange(-26.0, -7, 0.5))
    assert predicted(trained, "--ssh", ssh, "--site", "-16.5,49", "--out", str(tmp_path)) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("learning.predict:")]
    assert len(error) == 1 and "no date has maps throughout" in error[0]


def test_options_of_the_other_networks_are_left_to_them():
    shared = {"members": 7, "epochs": 3, "width": 8, "lr": 1e-4}
    assert effective(FitConfig(**shared)) == effective(FitConfig())
    n, schedule, architecture = effective(FitConfig(**shared, method=("velocity",)))
    assert (n, schedule.epochs, architecture.width, schedule.lr) == (7, 3, 8, 1e-4)


def test_a_causal_set_leaves_out_what_has_no_maps_of_the_days_before_and_says_so(trained, monkeypatch):
    """The first instants of a record have no map 40 days before them, nor within 20 days of that."""
    experiments = Experiments.open(trained)
    split, _ = experiments.split(test=True)
    first = experiments.start[split.train].min().astype("datetime64[s]")
    times = first + (np.arange(120) * 5 - 45) * DAY
    plain, causal = (MapSpec.of("sst-ssh", causal=causal) for causal in (False, True))
    assert have_maps(times, times[:6], causal).tolist() == [False] * 4 + [True] * 2 and have_maps(times, times[:6], plain).all()
    parts, wider = (Parts.of(times, experiments, split, spec) for spec in (causal, plain))
    assert times[parts.train[0]] == times[0] + 20 * DAY and times[wider.train[0]] < times[parts.train[0]]
    # and so do the first periods of another record that is predicted
    model = VelocityModel.load(velocity_folder(trained, "sst-ssh"))
    model.card["run"] = "another run"
    monkeypatch.setattr(prediction, "prepare", lambda run: SimpleNamespace(times=times))
    config = PredictConfig(run=trained, w=(80.0,))
    assert prediction.make_plan(config, model).wanted.all()
    model.card["maps"] = causal.card
    wanted = prediction.make_plan(config, model).wanted
    assert not wanted[0] and wanted[-1] and (np.diff(wanted.astype(int)) >= 0).all()
