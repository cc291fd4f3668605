"""Training in mixed precision, on a processor."""

import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from data.command import read_json, run_command
from learning import training
from learning.config import FitConfig
from learning.fit import main as fit

MODELS = "w300/models/sst-ssh"


def fitted(run, folder, *options):
    """Exit code of learning.fit in a copy of a run."""
    if not folder.exists():
        shutil.copytree(run, folder, ignore=shutil.ignore_patterns("models", "predictions"))
    small = ["--w", "300", "--width", "8", "--epochs", "8", "--members", "1", "--batch", "8", "--lr", "0.003", "--threads", "1"]
    return run_command(FitConfig, fit, prog="learning.fit", argv=["--run", str(folder), "--method", "unet", *small, *options])


def history(folder):
    return np.genfromtxt(folder / MODELS / "history-01.csv", delimiter=",", names=True)


@pytest.fixture(scope="module")
def mixed(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mixed") / "run"
    assert fitted(run, folder, "--precision", "bf16-mixed") == 0
    return folder


def test_it_learns_as_much_and_its_weights_are_kept_in_single_precision(run, mixed, tmp_path):
    assert fitted(run, tmp_path / "single") == 0
    one, other = history(tmp_path / "single"), history(mixed)
    assert other["train_loss"][-1] < 0.8 * other["train_loss"][0] and not np.array_equal(one["train_loss"], other["train_loss"])
    assert other["bl_200"].min() == pytest.approx(one["bl_200"].min(), abs=0.02)
    weights = load_file(mixed / MODELS / "member-01.safetensors")
    assert all(value.dtype == torch.float32 for value in weights.values() if value.is_floating_point())
    assert read_json(mixed / MODELS / "fit.json")["configuration"]["precision"] == "bf16-mixed"


def test_a_killed_training_goes_on_to_the_same_weights(run, mixed, tmp_path, monkeypatch):
    real = training.TrainingProgress.epoch_done

    def dying(self, *arguments):
        real(self, *arguments)
        if self.epoch == 3:
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(training.TrainingProgress, "epoch_done", dying)
        assert fitted(run, tmp_path / "run", "--precision", "bf16-mixed") == 2
    assert not (tmp_path / "run" / MODELS / "member-01.safetensors").exists()
    assert fitted(run, tmp_path / "run", "--precision", "bf16-mixed") == 0
    one, other = (load_file(folder / MODELS / "member-01.safetensors") for folder in (mixed, tmp_path / "run"))
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
