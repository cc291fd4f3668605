"""The process from which runs are forked."""

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
