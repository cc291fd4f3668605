"""The examples in docstrings of public functions run, and give what they say."""

from __future__ import annotations

import doctest
import importlib

import pytest

MODULES = (
    "data.commands", "data.face", "data.oceans", "data.sites", "lagrangian.backtracking", "lagrangian.binning",
    "lagrangian.design", "lagrangian.integration", "lagrangian.pdf", "evaluation.plot", "evaluation.scores",
)  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_give_what_they_say(name):
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted > 0 and found.failed == 0
