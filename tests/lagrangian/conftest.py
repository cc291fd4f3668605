"""What tests of the runs share: the process from which runs are forked, and runs without maps."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.benchmarks.scaling import FORKED_WITHOUT_PICTURE
from tests.builders.forks import Forks, forks


@pytest.fixture(scope="session")
def forked_run() -> Iterator[Forks]:
    """``lagrangian.run`` without its picture in real processes, whose imports are done."""
    with forks(*FORKED_WITHOUT_PICTURE) as started:
        yield started


@pytest.fixture
def no_map(monkeypatch):
    """A run draws no map at its end, which takes as long as a small run."""
    monkeypatch.setattr("lagrangian.maps.draw_catchment", lambda *_: None)
