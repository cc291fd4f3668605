"""A small made-up run with predictions of real, barely trained networks."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.command import run_command
from learning.config import FitConfig
from learning.fit import main as fit
from learning.predict import PredictConfig
from learning.predict import main as predict
from tests.learning.conftest import write_run


@pytest.fixture(scope="session")
def predicted_run(tmp_path_factory) -> Path:
    """Forty periods at four positions, two speeds, two members of sst-ssh."""
    run = write_run(tmp_path_factory.mktemp("evaluation") / "run", periods=40)
    options = ["--width", "4", "--epochs", "2", "--members", "2", "--batch", "16", "--threads", "1"]
    assert run_command(FitConfig, fit, prog="learning.fit", argv=["--run", str(run), *options]) == 0
    assert run_command(PredictConfig, predict, prog="learning.predict", argv=["--run", str(run)]) == 0
    return run
