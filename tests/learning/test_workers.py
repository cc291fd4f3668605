"""fit and predict among Dask workers: the same weights and predictions as alone, also when a worker dies."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import xarray as xr

from data.command import parse, run_command
from data.errors import StoreError
from data.lock import FolderLock
from data.workers import open_client
from evaluation.results import open_predictions
from learning import simulation
from learning.config import FitConfig
from learning.fit import main as fit
from learning.predict import PredictConfig
from learning.predict import main as predict
from tests.builders.clusters import plain_cluster
from tests.builders.made_up_run import write_run
from tests.builders.satellite_maps import height, maps, temperature

SMALL = ["--width", "4", "--epochs", "3", "--members", "2", "--batch", "16", "--threads", "1"]


def fitted(run, *options):
    return run_command(FitConfig, fit, prog="learning.fit", argv=["--run", str(run), *SMALL, *options])


def predicted(run, *options):
    return run_command(PredictConfig, predict, prog="learning.predict", argv=["--run", str(run), "--threads", "1", *options])


@pytest.fixture(scope="module")
def client():
    with plain_cluster() as made, open_client(scheduler=made.scheduler_address) as client:
        yield client


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    run = write_run(tmp_path_factory.mktemp("alone") / "run")
    assert fitted(run) == 0
    assert predicted(run) == 0
    return run


def bytes_of(run, pattern):
    return {str(path.relative_to(run)): path.read_bytes() for path in sorted(run.glob(pattern)) if path.is_file()}


def test_members_and_predictions_are_the_same_bytes(alone, client, tmp_path, capsys):
    run = shutil.copytree(alone, tmp_path / "run", ignore=shutil.ignore_patterns("models", "predictions"))
    address = client.scheduler.address
    assert fitted(run, "--scheduler", address) == 0
    told = capsys.readouterr().out
    assert "2 members for 2 workers" in told and "member 2 epoch 3/3" in told and "2 of 2 members" in told
    assert len(bytes_of(run, "w*/models/sst-ssh/member-*")) == 4
    assert bytes_of(run, "w*/models/sst-ssh/*.safetensors") == bytes_of(alone, "w*/models/sst-ssh/*.safetensors")
    lines = [(one / "w080/models/sst-ssh/history.csv").read_text().splitlines() for one in (run, alone)]
    # all but the seconds
    assert [line.rpartition(",")[0] for line in lines[0]] == [line.rpartition(",")[0] for line in lines[1]]
    assert predicted(run, "--scheduler", address) == 0
    assert len(bytes_of(run, "w*/predictions/sst-ssh.zarr/pdf/c/*/0/0/0")) == 8
    assert bytes_of(run, "w*/predictions/**/*") == {
        name: content for name, content in bytes_of(alone, "w*/predictions/**/*").items() if not name.endswith("sst-ssh.json")
    } | bytes_of(run, "w*/predictions/sst-ssh.json")


def test_a_member_that_lost_its_worker_is_gone_on_with(alone, client, tmp_path, capsys):
    run = shutil.copytree(alone, tmp_path / "run", ignore=shutil.ignore_patterns("models", "predictions"))
    killed = []

    def kill_the_first_that_kept_an_epoch():
        until = time.monotonic() + 120
        while not killed and time.monotonic() < until:
            if any(run.glob("w080/models/sst-ssh/*.state.safetensors")):
                os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
                killed.append(time.monotonic())
            time.sleep(0.01)

    thread = threading.Thread(target=kill_the_first_that_kept_an_epoch)
    thread.start()
    assert fitted(run, "--scheduler", client.scheduler.address) == 0
    thread.join()
    assert killed
    assert bytes_of(run, "w*/models/sst-ssh/*.safetensors") == bytes_of(alone, "w*/models/sst-ssh/*.safetensors")


def test_an_unfinished_prediction_goes_on_with_workers(alone, client, tmp_path, monkeypatch, capsys):
    run = shutil.copytree(alone, tmp_path / "run", ignore=shutil.ignore_patterns("predictions"))
    real, calls = simulation.predict_chunk, []

    def dying(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        return real(*arguments)

    monkeypatch.setattr(simulation, "predict_chunk", dying)
    assert predicted(run) == 2
    assert "No space left" in capsys.readouterr().err
    monkeypatch.undo()
    assert len(list(run.glob("w080/predictions/*.partial/parts_done/*"))) == 2
    assert predicted(run, "--scheduler", client.scheduler.address) == 0
    stores = [xr.open_zarr(one / "w080/predictions/sst-ssh.zarr", consolidated=False) for one in (run, alone)]
    np.testing.assert_array_equal(stores[0]["pdf"].values, stores[1]["pdf"].values)


def test_speeds_that_are_predicted_one_by_one_give_the_bytes_of_those_predicted_together(alone, tmp_path):
    run = shutil.copytree(alone, tmp_path / "run", ignore=shutil.ignore_patterns("predictions"))
    for w in ("w300", "w080"):
        assert predicted(run, "--models", str(run / w / "models/sst-ssh")) == 0
    stores = "w*/predictions/*.zarr/**/*"
    assert bytes_of(run, stores) == bytes_of(alone, stores) != {}


def test_a_prediction_that_is_damaged_is_made_again(alone, tmp_path, capsys, monkeypatch):
    """After it was finished, and while it is being filled."""
    run = shutil.copytree(alone, tmp_path / "run")
    whole = bytes_of(run, "w*/predictions/*.zarr/**/*")
    store = run / "w080/predictions/sst-ssh.zarr"
    (store / "spread/c/1/0").unlink()
    chunk = store / "pdf/c/2/0/0/0"
    chunk.write_bytes(chunk.read_bytes()[:-3])
    capsys.readouterr()
    assert predicted(run) == 0
    told = capsys.readouterr().out
    assert "2 chunks are damaged or missing" in told and "w300/predictions/sst-ssh.zarr is there already" in told
    assert bytes_of(run, "w*/predictions/*.zarr/**/*") == whole
    shutil.rmtree(store)
    real = simulation.predict_chunk

    def losing(block, *arguments):
        real(block, *arguments)
        if block == 1:
            (store.with_name("sst-ssh.zarr.partial") / "pdf/c/1/0/0/0").unlink()
        return block

    with monkeypatch.context() as patch:
        patch.setattr(simulation, "predict_chunk", losing)
        assert predicted(run) == 2
    assert "1 of 4 chunks are damaged or missing" in capsys.readouterr().err
    assert predicted(run) == 0
    assert bytes_of(run, "w*/predictions/*.zarr/**/*") == whole


def test_a_lost_chunk_of_a_prediction_is_refused_by_readers(alone, tmp_path):
    run = shutil.copytree(alone, tmp_path / "run")
    store = run / "w080/predictions/sst-ssh.zarr"
    assert open_predictions(store)["pdf"].size
    (store / "pdf/c/2/0/0/0").unlink()
    with pytest.raises(StoreError, match=r"sst-ssh.zarr/pdf/c/2/0/0/0 is missing; give the learning.predict that wrote it"):
        open_predictions(store)


def test_predictions_are_kept_where_run_json_is_gone_and_nothing_tells_what_the_run_is(alone, tmp_path, capsys):
    """They are not made anew as those of another run, nor called unseen."""
    run = shutil.copytree(alone, tmp_path / "run")
    (run / "run.json").unlink()
    before = bytes_of(run, "w*/predictions/**/*")
    capsys.readouterr()
    assert predicted(run) == 2
    assert "run.json is gone" in capsys.readouterr().err and bytes_of(run, "w*/predictions/**/*") == before


def test_a_member_whose_command_has_ended_is_not_trained_on(alone, tmp_path):
    from data.lock import CommandGone
    from learning.fit import effective_preset
    from learning.plan import train_task

    run = shutil.copytree(alone, tmp_path / "run", ignore=shutil.ignore_patterns("models", "predictions"))
    config = parse(FitConfig, ["--run", str(run), *SMALL], prog="x")
    folder = run / "w080/models/sst-ssh"
    folder.mkdir(parents=True)
    steps = []
    with FolderLock(folder, "member-01") as lock:
        claim = lock.claim

        def check(self):
            steps.append(1)
            if len(steps) == 5:  # in the second of the epoch's four steps and more
                lock.path.unlink()
            real(self)

        real = type(claim).check
        patch = pytest.MonkeyPatch()
        patch.setattr("data.lock.Claim.check", check)
        with pytest.raises(CommandGone):
            train_task(("sst-ssh", (80.0, 300.0), 1, claim), config, effective_preset(config), "word")
        patch.undo()
    assert len(steps) == 5 and not list(folder.glob("member*"))


def test_satellite_predictions_are_the_same(alone, client, tmp_path, monkeypatch):
    monkeypatch.setattr("learning.satellite.BATCH", 4)
    days = range(120)
    ssh = maps(tmp_path / "ssh.nc", "adt", "m", height, days=days)
    sst = maps(tmp_path / "sst.nc", "analysed_sst", "kelvin", temperature, days=days)
    for folder, options in (("one", []), ("two", ["--scheduler", client.scheduler.address])):
        assert predicted(alone, "--ssh", ssh, "--sst", sst, "--every", "8", "--out", str(tmp_path / folder), *options) == 0
    with xr.open_dataset(tmp_path / "one/catchment_w300.nc") as one, xr.open_dataset(tmp_path / "two/catchment_w300.nc") as two:
        assert one.sizes["time"] == 10  # three batches
        xr.testing.assert_identical(one.drop_attrs(), two.drop_attrs())


@pytest.mark.slow  # six processes that import what they need
def test_the_commands_themselves_start_workers(alone, tmp_path):
    """In processes of their own, as a user runs them: what workers call must be importable there. One worker would be none."""
    run = shutil.copytree(alone, tmp_path / "run", ignore=shutil.ignore_patterns("models", "predictions"))
    for command in (["learning.fit", *SMALL], ["learning.predict", "--threads", "1"]):
        done = subprocess.run(
            [sys.executable, "-m", command[0], "--run", str(run), *command[1:], "--workers", "2"], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert command[0] == "learning.predict" or "2 members for 2 workers" in done.stdout
        assert "Traceback" not in done.stderr and "Warning" not in done.stderr
    assert bytes_of(run, "w*/models/sst-ssh/*.safetensors") == bytes_of(alone, "w*/models/sst-ssh/*.safetensors")
    assert bytes_of(run, "w*/predictions/sst-ssh.zarr/**/*") == bytes_of(alone, "w*/predictions/sst-ssh.zarr/**/*")


def test_the_second_of_two_commands_is_refused(alone, capsys):
    folder = alone / "w080" / "models" / "sst-ssh"
    with FolderLock(folder, "member-02"):
        assert fitted(alone, "--member", "1") == 0  # another member of a job array
        assert fitted(alone) == 2
    assert "in use by another command" in capsys.readouterr().err
    shutil.rmtree(alone / "w300" / "predictions")
    (alone / "w300" / "predictions").mkdir()
    with FolderLock(alone / "w300" / "predictions", "sst-ssh"):
        assert predicted(alone) == 2
    assert "in use by another command" in capsys.readouterr().err


def test_worker_options_are_checked(alone, capsys):
    assert fitted(alone, "--workers", "0") == 2 and predicted(alone, "--cluster-options", "cores=1") == 2
    first, second = capsys.readouterr().err.splitlines()
    assert "--workers 0" in first and "--cluster slurm or pbs" in second
