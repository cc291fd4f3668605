"""The run from which the tests of the networks learn."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.builders.made_up_run import write_run


@pytest.fixture(scope="session")
def run(tmp_path_factory) -> Path:
    """Thirty periods at four positions, two speeds."""
    return write_run(tmp_path_factory.mktemp("learning") / "run")
