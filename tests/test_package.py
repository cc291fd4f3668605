"""What is published: the wheel and the source archive, and the command that a fresh environment gets from the wheel."""

from __future__ import annotations

import email
import os
import re
import site
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from data.commands import EXTRAS, NEEDS, OPTIONS
from tests.benchmarks.scaling import SMALL_RUN
from tests.builders.forks import in_forks

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("data", "lagrangian", "learning", "evaluation")
#: The small run at one of its speeds.
RUN = ["run", *(word for word in SMALL_RUN if word != "400")]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("dist")
    done = subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", folder], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.whl")), next(folder.glob("*.tar.gz"))


def tracked(*folders):
    """Files that git knows; where there is no git, those of the packages."""
    done = subprocess.run(["git", "ls-files", *folders], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("no git here")
    return set(done.stdout.split())


def test_the_wheel_holds_the_packages_and_nothing_else(built):
    with zipfile.ZipFile(built[0]) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        metadata = email.message_from_bytes(wheel.read(next(n for n in wheel.namelist() if n.endswith("/METADATA"))))
        entry_points = wheel.read(next(n for n in wheel.namelist() if n.endswith("entry_points.txt"))).decode()
    assert tracked(*PACKAGES) <= names and {name.partition("/")[0] for name in names} == {*PACKAGES, "catchment_toolkit.py"}
    assert "catchment = catchment_toolkit:main" in entry_points
    assert metadata["Author"] == "the catchment toolkit's developers" and metadata["License-Expression"] == "MIT"
    assert metadata["Project-URL"] == "Paper, https://doi.org/10.5194/bg-22-4309-2025"
    systems = {one.partition(" :: ")[2] for one in metadata.get_all("Classifier") if one.startswith("Operating System")}
    assert systems == {"POSIX :: Linux", "MacOS", "Microsoft :: Windows"}
    assert set(EXTRAS) | {"docs", "dev", "all"} == set(metadata.get_all("Provides-Extra"))


def test_the_source_archive_holds_what_tests_need_and_nothing_of_continuous_integration(built):
    with tarfile.open(built[1]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "CITATION.cff", "tests/test_package.py"} <= names
    assert tracked(*PACKAGES) <= names
    assert not [name for name in names if name.startswith((".ci", ".venv", "runs", ".git/"))]


@pytest.mark.slow  # the kernel is compiled anew where the toolkit lies at a new place
def test_the_wheel_in_a_fresh_environment_runs_outside_of_the_repository(built, tmp_path):
    """Its dependencies are those of this environment: a test needs no network."""
    done = subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    binary = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin")
    (packages,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    # appended, and not read for further paths: the toolkit that is being developed stays out
    lines = [one for one in sys.path if one in site.getsitepackages() or one.endswith("site-packages")]
    (packages / "dependencies.pth").write_text("\n".join(lines))
    environ = {**os.environ, "PYTHONPATH": ":/nowhere"}  # its empty entry is the folder of the user's
    install = [sys.executable, "-m", "pip", f"--python={binary / 'python'}", "install", "-q", "--no-deps", "--no-index", built[0]]
    done = subprocess.run(install, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    work = tmp_path / "work"
    work.mkdir()
    (work / "data.py").write_text("raise RuntimeError('mine')\n")

    def catchment(*arguments):
        command = [binary / "catchment", *arguments]
        return subprocess.run(command, cwd=work, env=environ, capture_output=True, text=True, timeout=600)

    assert catchment("--version").stdout == f"catchment {PROJECT['version']}\n"
    done = catchment(*RUN, "--workers", "2", "--block", "1", "--out", "out")
    assert done.returncode == 0, done.stderr
    assert "blocks for 2 workers" in done.stdout
    assert (work / "out" / "w300" / "catchment.png").stat().st_size > 10_000
    where = [binary / "python", "-I", "-c", "import data.console, lagrangian; print(data.__file__, lagrangian.__file__)"]
    found = subprocess.run(where, env=environ, capture_output=True, text=True).stdout.split()
    assert len(found) == 2 and all(one.startswith(str(packages)) for one in found)


def test_every_dependency_and_extra_is_pinned():
    pins = {re.split(r"[=\[]", line)[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line}
    extras = PROJECT["optional-dependencies"]
    asked = list(PROJECT["dependencies"])
    for name in ("learn", "distances", "cluster", "workbook", "docs", "dev"):
        asked += extras[name]
    names = {re.split(r"[\[<>=;~! ]", one)[0].lower() for one in asked} - {"catchment-toolkit"}
    assert not names - pins


def test_what_the_commands_call_an_extra_is_one_of_the_package():
    extras = PROJECT["optional-dependencies"]
    assert set(EXTRAS) <= set(extras) and set(NEEDS) <= set(OPTIONS) and set(NEEDS.values()) <= set(EXTRAS)
    core = {re.split(r"[<>=]", one)[0].lower().replace("-", "_") for one in PROJECT["dependencies"]}
    assert not core & {name for modules in EXTRAS.values() for name in modules} and "pot" not in core


HIDE = """
import importlib.abc, sys
class Hidden(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {hidden!r}:
            raise ModuleNotFoundError(f'No module named {{name!r}}', name=name)
sys.meta_path.insert(0, Hidden())
import importlib.util
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name.partition('.')[0] in {hidden!r} else real(name, *rest)
sys.argv = {argv!r}
"""


#: For commands whose pictures no test looks at.
COARSELY = "import pytest\nfrom tests.builders.pictures import draw_coarsely\ndraw_coarsely(pytest.MonkeyPatch())\n"


def without(extra, argv, rest):
    code = HIDE.format(hidden=tuple(module for one in extra.split() for module in EXTRAS[one]), argv=argv) + rest
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("command", NEEDS)
def test_a_command_without_its_extra_says_in_one_line_what_to_install(command):
    words = {"learning.fit": "fit", "learning.predict": "predict", "evaluation.twin_experiment": "twin-experiment"}
    done = without("learn", ["catchment", words[command]], "from data.console import main\nsys.exit(main())\n")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"catchment {words[command]}: torch is not installed")
    assert "pip install 'catchment-toolkit[learn]'" in done.stderr
    # python -m imports the module before its options are read
    start = f"sys.orig_argv = ['python', '-m', {command!r}]\nsys.argv = ['-m']\nimport {command.partition('.')[0]}\n"
    done = without("learn", ["-m"], start)
    assert done.returncode == 2 and done.stderr.startswith(f"{command}: torch is not installed") and done.stderr.count("\n") == 1


def test_a_name_of_the_library_without_its_extra_says_what_to_install():
    done = without("learn", ["x"], "from learning import Ensemble\n")
    assert done.returncode == 1 and "pip install 'catchment-toolkit[learn]'" in done.stderr.splitlines()[-1]


@pytest.mark.slow  # two commands in processes of their own
def test_a_run_is_made_and_reported_without_networks_and_distances(tmp_path):
    """The scores that need neither are there; what is left out is told."""
    hidden = (*EXTRAS["learn"], *EXTRAS["distances"])
    words = [[*RUN, "--out", str(tmp_path / "run")], ["report", "--run", str(tmp_path / "run")]]
    scripts = [f"import sys\nfrom data.console import main\nsys.exit(main({one!r}))" for one in words]
    imports = HIDE.format(hidden=hidden, argv=["catchment"]) + COARSELY + "import lagrangian.run, evaluation.report\n"
    for done in in_forks(imports, scripts):
        assert done.returncode == 0, done.stderr
    page = (tmp_path / "run" / "report" / "report.html").read_text()
    assert "catchment-toolkit[distances]" in page and "box200" in page
