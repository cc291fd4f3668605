"""The commands on a small made-up run: same seed same weights, killed and resumed, predictions, refusals."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
import xarray as xr
import zarr
from safetensors.torch import load_file, save_file

from data.command import read_json, run_command
from data.errors import InputError, StoreError
from evaluation.results import SpeedRun
from lagrangian.binning import smooth_pdf
from learning import training
from learning.config import FitConfig
from learning.ensemble import Ensemble, median
from learning.fit import main as fit
from learning.inputs import InputSpec
from learning.predict import PredictConfig
from learning.predict import main as predict
from learning.samples import RunSamples
from learning.simulation import PARTS, shortened
from learning.weights import load_network, load_tensors, save_tensors
from tests.builders.made_up_run import write_run

SMALL = ["--width", "4", "--epochs", "3", "--members", "2", "--batch", "16", "--threads", "1"]


def fitted(run, *options):
    return run_command(FitConfig, fit, prog="learning.fit", argv=["--run", str(run), *SMALL, *options])


def copied(run, folder):
    """A run of its own."""
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns("models", "predictions"))
    return folder


@pytest.fixture(scope="module")
def trained(run, tmp_path_factory):
    folder = copied(run, tmp_path_factory.mktemp("fit") / "run")
    assert fitted(folder) == 0
    return folder


def weights(run, member=1, w=80, inputs="sst-ssh"):
    return load_file(run / f"w{w:03d}" / "models" / inputs / f"member-{member:02d}.safetensors")


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_what_is_written(trained):
    for w in (80, 300):
        folder = trained / f"w{w:03d}" / "models" / "sst-ssh"
        made = {path.name for path in folder.iterdir()}
        assert made == {"fit.json", "climatology.safetensors", "history.csv"} | {
            f"{kind}-{member:02d}.{end}" for member in (1, 2) for kind, end in (("history", "csv"), ("member", "safetensors"))
        }
        record = read_json(folder / "fit.json")
        assert record["configuration"]["width"] == 4 and set(record["split"]) == {"train", "validation", "test"}
        lines = (folder / "history.csv").read_text().splitlines()
        assert len(lines) == 1 + 2 * 3 and lines[0].startswith("member,epoch,w,train_loss")
        assert all(line.split(",")[2] == f"{w}.0" for line in lines[1:])
        network, normalisation, card = load_network(folder / "member-02.safetensors")
        assert card["w"] == w and card["member"] == 2 and card["levels"] == [1000.0, 200.0] and not network.training
        assert record["normalisation"]["mean"] == pytest.approx(normalisation.mean.tolist())
    assert not same(weights(trained, 1), weights(trained, 2))


def test_training_learns_what_the_fields_say(run, tmp_path):
    """The made-up PDFs follow the SSH: on experiments never seen the network beats the climatology that it begins with."""
    folder = copied(run, tmp_path / "learns")
    assert fitted(folder, "--epochs", "12", "--lr", "0.003", "--batch", "8", "--members", "1", "--w", "300", "--width", "16") == 0
    rows = np.genfromtxt(folder / "w300" / "models" / "sst-ssh" / "history-01.csv", delimiter=",", names=True)
    assert rows["train_loss"][-1] < 0.8 * rows["train_loss"][0]
    assert rows["bl_200"].min() < 0.8 * rows["bl_200"][0]


def test_same_seed_same_weights_and_members_can_run_apart(run, trained, tmp_path):
    apart = copied(run, tmp_path / "apart")
    assert fitted(apart, "--member", "2") == 0 and fitted(apart, "--member", "1") == 0
    for member in (1, 2):
        for w in (80, 300):
            assert same(weights(apart, member, w), weights(trained, member, w))
    other = copied(run, tmp_path / "other")
    assert fitted(other, "--member", "1", "--seed", "5") == 0
    assert not same(weights(other), weights(trained))


def test_a_killed_training_goes_on_to_the_same_weights(run, trained, tmp_path, monkeypatch):
    folder = copied(run, tmp_path / "killed")
    real = training.TrainingProgress.epoch_done

    def dying(self, *arguments):
        real(self, *arguments)
        if self.epoch == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(training.TrainingProgress, "epoch_done", dying)
    with pytest.raises(BaseException):  # noqa: B017  Lightning turns it into its own way of stopping
        assert fitted(folder, "--member", "1") == 130
        raise KeyboardInterrupt
    models = folder / "w080" / "models" / "sst-ssh"
    assert (models / "member-01.state.safetensors").exists() and not (models / "member-01.safetensors").exists()
    monkeypatch.undo()
    assert fitted(folder, "--member", "1") == 0
    assert not (models / "member-01.state.safetensors").exists()
    for w in (80, 300):
        assert same(weights(folder, 1, w), weights(trained, 1, w))
    mine, reference = (
        [line.rsplit(",", 1)[0] for line in (one / "w080/models/sst-ssh/history-01.csv").read_text().splitlines()]
        for one in (folder, trained)
    )
    assert mine == reference


def test_kill_9_between_epochs_goes_on_to_the_same_weights(run, trained, tmp_path):
    folder = copied(run, tmp_path / "kill9")
    code = (
        "import os, sys\nfrom learning import training\nreal = training.TrainingProgress.epoch_done\n"
        "def dying(self, *a):\n    real(self, *a)\n    os.kill(os.getpid(), 9)\n"
        "training.TrainingProgress.epoch_done = dying\n"
        "from data.command import run_command\nfrom learning.config import FitConfig\n"
        "from learning.fit import main\nrun_command(FitConfig, main, prog='learning.fit')"
    )
    argv = [sys.executable, "-c", code, "--run", str(folder), *SMALL, "--member", "1"]
    assert subprocess.run(argv, capture_output=True).returncode == -9
    assert fitted(folder, "--member", "1") == 0
    assert same(weights(folder), weights(trained))


def test_the_paper_s_recipe_trains_one_network_a_speed(run, tmp_path):
    folder = copied(run, tmp_path / "paper")
    options = ["--preset", "paper", "--members", "1", "--epochs", "1", "--width", "2", "--experiments", "16",
               "--inputs", "sst-ssh", "5v-1l", "5v-4l"]  # fmt: skip
    assert run_command(FitConfig, fit, prog="learning.fit", argv=["--run", str(folder), *options]) == 0
    for w in (80, 300):
        for inputs in ("sst-ssh", "5v-1l", "5v-4l"):
            card = load_tensors(folder / f"w{w:03d}" / "models" / inputs / "member-01.safetensors")[1]
            assert card["architecture"]["kind"] == "paper" and card["inputs"]["name"] == inputs


# -- prediction ----------------------------------------------------------------------------------------------------------
def test_predictions_are_the_median_of_the_members(trained):
    assert run_command(PredictConfig, predict, prog="learning.predict", argv=["--run", str(trained)]) == 0
    store = xr.open_zarr(trained / "w300" / "predictions" / "sst-ssh.zarr", consolidated=False)
    ensemble = Ensemble.load(trained / "w300" / "models" / "sst-ssh")
    samples = RunSamples.open(trained, (300.0,), InputSpec.of("sst-ssh"))
    chosen = np.array([0, 77])
    inputs = samples.inputs(chosen, ensemble.normalisation)
    with torch.no_grad():
        members = torch.stack([network.predict(inputs)[:, 0] for network in ensemble.networks]).numpy()
    expected = np.median(members, axis=0)
    expected /= expected.sum(axis=(-2, -1), keepdims=True)
    found = store["pdf"].values[chosen]
    np.testing.assert_allclose(found, expected, rtol=3e-4)
    np.testing.assert_allclose(store["pdf"].values.sum(axis=(-2, -1)), 1, rtol=1e-3)
    spread = 1 - np.sqrt(members * expected).sum(axis=(-2, -1))
    np.testing.assert_allclose(store["spread"].values[chosen], spread.mean(axis=0), atol=2e-6)
    part = store["part"].values
    dates = ensemble.card["split"]
    for name in ("train", "validation", "test"):
        assert str(samples.start[part == PARTS.index(name)].min()) == dates[name][0]


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 10])
def test_the_median_is_numpy_s(n):
    members = torch.rand(n, 7, 30, generator=torch.Generator().manual_seed(n))
    np.testing.assert_allclose(median(list(members)), np.median(members.numpy(), axis=0), rtol=1e-6)


def test_prediction_needs_no_target_and_takes_arrays(trained):
    ensemble = Ensemble.load(trained / "w080" / "models" / "sst-ssh")
    fields = np.random.default_rng(0).standard_normal((3, 5, 2, 100, 100)).astype(np.float32)
    fields[0, 0, 0, :5] = np.nan
    pdf, spread = ensemble.predict_fields(fields)
    assert pdf.shape == (3, 2, 100, 100) and spread.shape == (3, 2)
    np.testing.assert_allclose(pdf.sum(axis=(-2, -1)), 1, rtol=1e-5)
    with pytest.raises(ValueError, match="5 lags, 2 variables"):
        ensemble.predict_fields(fields[:, :4])


def test_fields_that_cannot_be_what_the_networks_learnt_from_are_refused(trained):
    ensemble = Ensemble.load(trained / "w080" / "models" / "sst-ssh")
    rng = np.random.default_rng(0)
    mean, std = (one[:, None, None] for one in (ensemble.normalisation.mean, ensemble.normalisation.std))
    right = (mean + std * rng.standard_normal((2, 5, 2, 100, 100))).astype(np.float32)
    assert np.isfinite(ensemble.predict_fields(right)[0]).all()
    order = [name for name, _ in ensemble.spec.variables]
    with pytest.raises(InputError, match=r"ssh lies .* in the order temp, ssh"):
        ensemble.predict_fields(right[:, :, ::-1])
    for name, change in (("temp", lambda x: x + 273.15), ("temp", lambda x: 32 + 1.8 * x), ("ssh", lambda x: 100 * x)):
        wrong = right.copy()
        wrong[:, :, order.index(name)] = change(wrong[:, :, order.index(name)])
        with pytest.raises(InputError, match=f"{name} lies"):
            ensemble.predict_fields(wrong)
    for points in (50, 99, 200):
        with pytest.raises(ValueError, match="100 y, 100 x"):
            ensemble.predict_fields(np.zeros((1, 5, 2, points, points), np.float32))
    right[0, 0, 0, 0, 0] = np.inf
    with pytest.raises(InputError, match="infinite"):
        ensemble.predict_fields(right)


def damaged_member(trained, folder, change=None, card=None):
    """A member's file with other tensors or another card, its checksum right."""
    path = trained / "w080" / "models" / "sst-ssh" / "member-01.safetensors"
    tensors, known = load_tensors(path)
    for name in tensors:
        tensors[name] = tensors[name].clone()
    if change:
        change(tensors)
    save_tensors(folder / path.name, tensors, {**known, **(card or {})})
    return folder / path.name


def test_weights_and_normalisations_that_are_no_numbers_are_refused_in_one_line(trained, tmp_path):
    load_network(damaged_member(trained, tmp_path))
    first = next(iter(load_tensors(trained / "w080/models/sst-ssh/member-01.safetensors")[0]))
    for value in (np.nan, np.inf):
        with pytest.raises(StoreError, match=f"{first} holds NaN or infinite weights") as found:
            load_network(damaged_member(trained, tmp_path, lambda some, value=value: some[first].view(-1)[:1].fill_(value)))
        assert len(str(found.value).splitlines()) == 1
    for mean, std in (([np.nan, 0], [1, 1]), ([14, 0], [0, 1]), ([14, 0], [1, np.inf]), ([1, 0], [-1, 1])):
        with pytest.raises(StoreError, match="normalisation"):
            load_network(damaged_member(trained, tmp_path, card={"normalisation": {"mean": mean, "std": std}}))


def test_a_flipped_bit_anywhere_in_a_member_is_noticed_and_older_files_are_read(trained, tmp_path):
    path = trained / "w080" / "models" / "sst-ssh" / "member-01.safetensors"
    good = path.read_bytes()
    aside = tmp_path / path.name
    head = int.from_bytes(good[:8], "little")
    places = np.random.default_rng(4).integers(8 + head, len(good), 20)
    for place in (*places, good.index(b"std") + 8, len(good) - 1):
        aside.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        with pytest.raises(StoreError) as found:
            load_network(aside)
        assert len(str(found.value).splitlines()) == 1
    # as earlier versions wrote them: no checksum, and the validation's names always of 200 m
    tensors, card = load_tensors(path)
    save_file(tensors, aside, {"card": json.dumps(card)})
    assert same(dict(load_network(aside)[0].state_dict()), dict(load_network(path)[0].state_dict()))


def test_the_validation_is_named_by_the_level_that_chose_the_epoch(run, trained, tmp_path, capsys):
    """Of levels 1000 and 100 m, 100 m is the export level, and nothing says 200."""
    folder = copied(run, tmp_path / "levels")
    for w in (80, 300):
        group = zarr.open_group(str(folder / f"w{w:03d}" / "pdf.zarr"), mode="r+", use_consolidated=False)
        group["level"][:] = [1000.0, 100.0]
    assert fitted(folder, "--member", "1") == 0
    told = capsys.readouterr().out
    assert "validation at 100 m" in told and "200 m" not in told
    models = folder / "w080" / "models" / "sst-ssh"
    assert set(load_tensors(models / "member-01.safetensors")[1]["validation"]) == {"bl_100", "f_100", "valid_percent_100"}
    assert "bl_100,f_100,valid_percent_100" in (models / "history.csv").read_text().splitlines()[0]
    assert same(weights(folder), weights(trained))  # the same level chooses, whatever it is called
    assert run_command(PredictConfig, predict, prog="learning.predict", argv=["--run", str(folder)]) == 0
    one = SpeedRun.open(folder, 80.0)
    assert one.export_m == 100.0
    with pytest.raises(InputError, match="no level of 200 m"):
        SpeedRun.open(folder, 80.0, 200.0)


def test_a_state_of_an_earlier_version_is_gone_on_with(run, trained, tmp_path, monkeypatch):
    """Rows of a state that name every level 200 are read as of the level that they are of."""
    folder = copied(run, tmp_path / "older")
    for w in (80, 300):
        zarr.open_group(str(folder / f"w{w:03d}" / "pdf.zarr"), mode="r+", use_consolidated=False)["level"][:] = [1000.0, 100.0]
    real = training.TrainingProgress.epoch_done

    def dying(self, *arguments):
        real(self, *arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(training.TrainingProgress, "epoch_done", dying)
    with pytest.raises(BaseException):  # noqa: B017
        assert fitted(folder, "--member", "1") == 130
        raise KeyboardInterrupt
    monkeypatch.undo()
    state = folder / "w080" / "models" / "sst-ssh" / "member-01.state.safetensors"
    tensors, card = load_tensors(state)
    card["rows"] = [{name.replace("_100", "_200"): value for name, value in row.items()} for row in card["rows"]]
    save_file(tensors, state, {"card": json.dumps(card)})
    assert fitted(folder, "--member", "1") == 0
    assert same(weights(folder), weights(trained))


def test_lags_that_the_fields_do_not_keep_are_named_with_those_that_they_do(run, tmp_path, capsys):
    folder = copied(run, tmp_path / "lags")
    assert fitted(folder, "--lags", "0", "15", "30") == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "15 days" in line and "0, 10, 20, 30, 40" in line and "--lags" in line and "too short" not in line


def test_an_interrupted_prediction_goes_on(trained, monkeypatch):
    argv = ["--run", str(trained), "--models", str(trained / "w080" / "models" / "sst-ssh")]
    store = trained / "w080" / "predictions" / "sst-ssh.zarr"
    assert run_command(PredictConfig, predict, prog="learning.predict", argv=argv) == 0
    whole = xr.open_zarr(store, consolidated=False)["pdf"].values
    shutil.rmtree(store)
    real = Ensemble.predict
    calls = []

    def dying(self, inputs, **options):
        calls.append(1)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        return real(self, inputs, **options)

    monkeypatch.setattr(Ensemble, "predict", dying)
    assert run_command(PredictConfig, predict, prog="learning.predict", argv=argv) == 2
    assert not store.exists()
    monkeypatch.undo()
    assert run_command(PredictConfig, predict, prog="learning.predict", argv=argv) == 0
    np.testing.assert_array_equal(xr.open_zarr(store, consolidated=False)["pdf"].values, whole)


def test_another_simulation_s_experiments_are_all_unseen(trained, tmp_path):
    other = write_run(tmp_path / "other", periods=8, seed=4)
    argv = ["--run", str(other), "--models", str(trained / "w080" / "models" / "sst-ssh")]
    assert run_command(PredictConfig, predict, prog="learning.predict", argv=argv) == 0
    store = xr.open_zarr(other / "w080" / "predictions" / "sst-ssh.zarr", consolidated=False)
    assert (store["part"].values == PARTS.index("unseen")).all()


def test_stored_predictions_keep_four_digits():
    values = np.array([1.0, 1e-9, 0.3333333, np.nan, 0.0], np.float32)
    short = shortened(values)
    np.testing.assert_allclose(short, values, rtol=1.3e-4)
    assert (np.nan_to_num(short).view(np.uint32) & 0x7FF == 0).all()
    many = np.random.default_rng(0).random(10_000).astype(np.float32)  # rounded, not cut off: sums stay what they were
    assert shortened(many).sum(dtype=float) == pytest.approx(many.sum(dtype=float), rel=1e-5)


# -- bad input -----------------------------------------------------------------------------------------------------------
def refused(capsys, code, *words):
    error = capsys.readouterr().err.strip()
    assert code == 2 and len(error.splitlines()) == 1 and "Traceback" not in error
    for word in words:
        assert word in error, error


def test_bad_options_get_one_line(run, trained, tmp_path, capsys):
    refused(capsys, fitted(run, "--w", "150"), "150", "lagrangian.run --w 150")
    refused(capsys, fitted(tmp_path / "nothing"), "no finished PDFs")
    refused(capsys, fitted(run, "--device", "gpu"), "no GPU") if not torch.cuda.is_available() else None
    refused(capsys, fitted(run, "--lr", "-1"), "--lr")
    refused(capsys, fitted(run, "--inputs", "6v"), "inputs")
    refused(capsys, fitted(run, "--member", "9"), "--member 9")
    refused(capsys, fitted(run, "--w", "80", "300", "80"), "--w 80: is given twice")
    refused(capsys, fitted(run, "--lags", "0", "10", "0"), "--lags 0: is given twice")
    refused(capsys, fitted(run, "--epochs", "100000", "--width", "1024", "--members", "1000"), "multiplications", "fewer")
    refused(capsys, fitted(run, "--test-run", str(run)), "--test-run", "same simulation")
    refused(capsys, fitted(run, "--test-run", str(tmp_path / "nothing")), "nothing holds no finished PDFs")
    refused(capsys, fitted(run, "--seed", "-1"), "--seed -1")
    refused(capsys, fitted(trained, "--seed", "9"), "trained otherwise")
    short = write_run(tmp_path / "short", periods=9)
    refused(capsys, fitted(short), "too short to split")


def test_training_that_diverges_stops_at_once(run, tmp_path, capsys):
    folder = copied(run, tmp_path / "diverge")
    refused(capsys, fitted(folder, "--lr", "1e30", "--member", "1"), "diverged", "--lr")


def test_a_full_disk_keeps_what_was_finished(run, trained, tmp_path, capsys, monkeypatch):
    folder = copied(run, tmp_path / "full")
    real = training.save_tensors
    calls = []

    def full(path, *arguments):
        calls.append(1)
        if len(calls) == 3:
            raise StoreError(f"cannot write {path}: No space left on device; free space and give the same command again")
        return real(path, *arguments)

    monkeypatch.setattr(training, "save_tensors", full)
    refused(capsys, fitted(folder, "--member", "1"), "No space left")
    monkeypatch.undo()
    assert fitted(folder, "--member", "1") == 0
    assert same(weights(folder), weights(trained))


def test_weights_that_do_not_fit_are_refused(trained, tmp_path):
    path = trained / "w080" / "models" / "sst-ssh" / "member-01.safetensors"
    cut = tmp_path / "cut" / "member-01.safetensors"
    cut.parent.mkdir()
    cut.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(StoreError, match="damaged"):
        Ensemble.load(cut.parent)
    tensors, card = load_tensors(path)
    for name, change, match in (
        ("format", {"format": "x"}, "format"),
        ("inputs", {"inputs": {**card["inputs"], "name": "5v-4l"}}, "do not fit"),
        ("levels", {"levels": [200.0]}, "do not fit"),
    ):
        other = tmp_path / name / "member-01.safetensors"
        save_tensors(other, tensors, {**card, **change})
        with pytest.raises(StoreError, match=match):
            load_network(other)
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    shutil.copy(path, mixed / "member-01.safetensors")
    shutil.copy(trained / "w300" / "models" / "sst-ssh" / "member-02.safetensors", mixed)
    with pytest.raises(StoreError, match="w differ"):
        Ensemble.load(mixed)
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "member-01.safetensors").write_text(json.dumps({"not": "weights"}))
    with pytest.raises(StoreError, match="damaged"):
        Ensemble.load(tmp_path / "text")


def test_the_climatology_is_the_smoothed_mean_of_the_training_experiments(trained):
    samples = RunSamples.open(trained, (300.0,), InputSpec.of("sst-ssh"))
    kept = load_file(trained / "w300" / "models" / "sst-ssh" / "climatology.safetensors")["pdf"].numpy()
    dates = read_json(trained / "w300" / "models" / "sst-ssh" / "fit.json")["split"]["train"]
    used = np.flatnonzero((samples.start >= np.datetime64(dates[0])) & (samples.end <= np.datetime64(dates[1])))
    np.testing.assert_allclose(kept, smooth_pdf(samples.targets(used).numpy()[:, 0].mean(axis=0)), atol=1e-7)
