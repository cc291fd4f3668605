"""The list of modules whose types are not checked yet: it only shrinks."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
#: Modules on the list when it was begun. Whoever frees modules of errors lowers this number with the list.
MOST = 33


def excused() -> list[str]:
    """Modules whose errors pyproject.toml ignores."""
    overrides = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["overrides"]
    return [module for one in overrides if one.get("ignore_errors") for module in one["module"]]


def test_the_list_of_excused_modules_is_sorted_holds_files_and_does_not_grow():
    modules = excused()
    assert modules == sorted(set(modules)) and len(modules) <= MOST
    for module in modules:
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__init__.py").exists(), f"{module} is gone: take it off the list"


@pytest.mark.slow  # half a minute where nothing was checked before: mypy goes through NumPy, xarray and torch
def test_every_excused_module_still_has_errors(tmp_path):
    pytest.importorskip("mypy")
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]
    # what `make lint` or this test found of modules that have not changed since is taken, where the options are the same
    config, lint, cache = tmp_path / "mypy.ini", ROOT / ".mypy_cache", ROOT / ".mypy_cache" / "excused"
    config.write_text(
        f"[mypy]\nfiles = {', '.join(settings['files'])}\nignore_missing_imports = true\n"
        f"disable_error_code = {', '.join(settings['disable_error_code'])}\n"
    )
    if lint.exists() and not cache.exists():
        shutil.copytree(lint, tmp_path / "cache")
        shutil.move(tmp_path / "cache", cache)
    command = [sys.executable, "-m", "mypy", "--config-file", str(config), "--cache-dir", str(cache)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    paths = re.findall(r"^([\w/]+)\.py:\d+: error", found.stdout, re.M)
    with_errors = {path.replace("/", ".") for path in paths}
    assert with_errors, found.stdout + found.stderr
    free = sorted(set(excused()) - {module.removesuffix(".__init__") for module in with_errors})
    assert not free, f"free of type errors: take them off the list in pyproject.toml: {', '.join(free)}"
