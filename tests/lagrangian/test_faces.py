"""The packages' public faces, and what a command imports before it answers --help."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from data import commands
from data.command import parse

PACKAGES = ("data", "lagrangian", "learning", "evaluation")
SLOW = ("torch", "numba", "matplotlib", "cartopy", "xarray", "pandas", "scipy", "parcels", "distributed")


def python(*arguments: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=300, **options)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_alone_imports_nothing_that_takes_long(package):
    done = python("-c", f"import {package}, sys; print([one for one in {(*SLOW, 'numpy')!r} if one in sys.modules])")
    assert done.returncode == 0 and done.stdout.strip() == "[]", done.stdout + done.stderr


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_there_has_a_docstring_and_is_typed(package):
    face = importlib.import_module(package)
    assert sorted(face.__all__) == dir(face) and (Path(face.__file__).parent / "py.typed").exists()
    for name in face.__all__:
        assert getattr(face, name).__doc__, name
        assert name in face.__doc__, name
    with pytest.raises(AttributeError, match=f"the package '{package}' has no public name 'nothing'; it has "):
        _ = face.nothing


def test_the_names_of_the_contract_are_public():
    done = python("-c", "from lagrangian import backtrack, open_pdf\nfrom data import open_ocean, Site\n"
                  "import learning.predict\nfrom learning import Ensemble, predict\n"
                  "from evaluation import scores, plot_catchment\n"
                  "print(callable(backtrack), callable(predict), scores.__name__, callable(plot_catchment))")  # fmt: skip
    assert done.stdout.split() == ["True", "True", "evaluation.scores", "True"], done.stderr


@pytest.mark.parametrize("command", commands.OPTIONS)
def test_help_is_answered_from_the_options_alone(command):
    done = python("-X", "importtime", "-m", command, "--help")
    assert done.returncode == 0 and done.stdout.startswith(f"usage: {command} [-h]")
    imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert "data.commands" in imported and not imported & set(SLOW)


@pytest.mark.parametrize("command", commands.OPTIONS)
def test_options_are_those_that_the_command_itself_parses(command, capsys, monkeypatch):
    kind = commands.options_of(command)
    module = importlib.import_module(command if command != "data.twin" else "data.twin.__main__")
    assert getattr(module, kind.__name__) is kind
    with pytest.raises(SystemExit):
        parse(kind, ["--help"], prog=command)
    assert "--config FILE.toml" in capsys.readouterr().out


def test_other_programs_that_import_the_packages_are_not_answered_for(tmp_path):
    (tmp_path / "theirs.py").write_text("import data, sys\nprint('theirs', sys.argv[1:])\n")
    root = str(Path(commands.__file__).parent.parent)
    done = python("-m", "theirs", "--help", cwd=tmp_path, env={"PYTHONPATH": f"{root}:{tmp_path}"})
    assert done.stdout.strip() == "theirs ['--help']", done.stderr
