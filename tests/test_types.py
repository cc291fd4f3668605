"""Types: `make lint` has mypy go through all packages; here is said that none of their modules is left out."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("data", "lagrangian", "learning", "evaluation")


def test_mypy_goes_through_every_module():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]
    assert settings["files"] == ["catchment_toolkit.py", *PACKAGES]
    assert not {"overrides", "exclude", "ignore_errors"} & settings.keys()
    assert settings["disable_error_code"] == ["annotation-unchecked"]


def test_no_module_and_no_line_is_excused_without_naming_its_error():
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for number, line in enumerate(path.read_text().splitlines(), 1):
                excuse = re.search(r"#\s*(mypy:|type:\s*ignore)(.*)", line)
                assert not excuse or re.match(r"\[[a-z-]+\]", excuse[2]), f"{path}:{number}: name the error that is ignored"
