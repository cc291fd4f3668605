"""A small made-up run with predictions of real, barely trained networks, and all that a report can be made of."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from data.command import run_command
from learning.config import FitConfig
from learning.fit import main as fit
from learning.predict import PredictConfig
from learning.predict import main as predict
from tests.builders.finished_run import complete
from tests.builders.made_up_run import write_run
from tests.builders.once import built_once


@pytest.fixture(scope="session")
def predicted_run(tmp_path_factory) -> Path:
    """Ninety periods at one position (14 of them, three blocks of 60 days, for testing), two speeds, two members of sst-ssh."""

    def build(folder):
        run = write_run(folder, periods=90, side=1)
        options = ["--width", "4", "--epochs", "2", "--members", "2", "--batch", "16", "--threads", "1"]
        assert run_command(FitConfig, fit, prog="learning.fit", argv=["--run", str(run), *options]) == 0
        assert run_command(PredictConfig, predict, prog="learning.predict", argv=["--run", str(run), "--threads", "1"]) == 0

    return built_once(tmp_path_factory, "predicted_run", build)


@pytest.fixture(scope="session")
def whole_run(predicted_run, tmp_path_factory) -> Path:
    """The same with particles, sea floor, coordinates, maps and deep dynamics: nothing is missing."""
    return built_once(tmp_path_factory, "whole_run", lambda folder: complete(shutil.copytree(predicted_run, folder)))
