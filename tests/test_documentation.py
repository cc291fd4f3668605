"""Commands in README and manual are commands that the toolkit has, with options that it takes."""

from __future__ import annotations

import dataclasses
import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data.command import parse
from data.commands import ALIASES, COMMANDS, OPTIONS, options_of
from data.console import main
from data.option_rows import arguments_of

ROOT = Path(__file__).parents[1]
BUILT = ("_build", "reference")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md",
         *sorted(page for page in (ROOT / "docs").rglob("*.md") if not set(BUILT) & set(page.parts))]  # fmt: skip
#: Options of every command, with and without a value.
COMMON = {"--config": 1, "--log-file": 1, "--quiet": 0, "--debug": 0}


def commands_in(page: Path) -> list[str]:
    """Every ``catchment …`` and ``python -m PACKAGE.MODULE …`` of a page's code, continued lines joined."""
    text = re.sub(r"\\\n\s*", " ", page.read_text())
    found = []
    fenced = False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        code = [line.strip()] if fenced or line.startswith("    ") else re.findall(r"`([^`]+)`", line)
        for piece in code:
            for part in re.split(r"\s&&\s|\s\|\s", piece):
                part = re.sub(r"\s+#.*$", "", part.strip())
                if re.match(r"(catchment [a-z][a-z-]+(\s|$))|(python -m (data|lagrangian|learning|evaluation)\.\w)", part):
                    found.append(part)
    return found


def checked(line: str) -> None:
    """Parse the command's options as the command does; raises what the command would say."""
    words = shlex.split(re.sub(r"\s>+\s\S+$", "", line))
    if words[0] == "catchment":
        word = ALIASES.get(words[1], words[1])
        assert word in COMMANDS, f"{line}: no such command"
        module, words = COMMANDS[word].module, words[2:]
        if word in ("print-config", "completion"):
            return
    else:
        module, words = words[2], words[3:]
    assert module in OPTIONS, f"{line}: no such command"
    options = []
    while words:
        first = words.pop(0)
        if first in COMMON:
            del words[: COMMON[first]]
        elif first != "…":
            options.append(first)
    if "--help" not in options:
        parse(options_of(module), options, prog=module)


CASES = sorted({(str(page.relative_to(ROOT)), line) for page in PAGES for line in commands_in(page)
                if not {"COMMAND", "DIR", "FILE", "…", "..."} & set(line.replace("[", " ").split()[:4])})  # fmt: skip


def test_the_pages_hold_commands():
    assert len(CASES) > 40
    assert {"README.md", "docs/index.md", "docs/tutorials/glorys.md", "docs/oceans.md"} <= {page for page, _ in CASES}


@pytest.mark.parametrize("page, line", CASES)
def test_every_command_of_readme_and_manual_is_taken(page, line):
    checked(line)


@pytest.mark.parametrize("line", ["catchment runs --w 80", "catchment run --speed 80", "python -m lagrangian.run --w eighty"])
def test_a_command_that_does_not_exist_is_found(line):
    with pytest.raises(Exception):  # noqa: B017 (whatever the command itself raises)
        checked(line)


#: What makes the README's chain small: fields by command, put in place of what the README gives.
SMALL = {
    "run": {"years": 0.6, "w": (150.0,), "positions": 2, "spacing": 36.0, "particles": 16, "release_every": 24.0, "threads": 1},
    "fit": {"method": ("unet",), "inputs": ("sst-ssh",), "members": 1, "epochs": 1, "width": 4, "threads": 1},
    "predict": {"threads": 1},
    "report": {"resolution_experiments": 0, "emd_experiments": 0},
    "correlate": {"draws": 5},
}


@pytest.mark.usefixtures("coarse_pictures")
@pytest.mark.slow  # seven months of an ocean, and six commands on it
def test_the_chain_of_the_readme_runs_command_after_command(twin_maps, tmp_path, monkeypatch):
    """Every command of "Learning, satellites, the flux record", as it stands but for its size, on the idealised ocean."""
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "README.md").read_text()
    part = text[text.index("## Learning, satellites") : text.index("Two kinds of network")]
    lines = [re.sub(r"\s+#.*$", "", line.strip()) for line in part.splitlines() if line.startswith("    catchment ")]
    assert [line.split()[1] for line in lines] == ["run", "fit", "predict", "report", "predict", "correlate"]
    Path("maps").mkdir()
    for path in twin_maps.glob("*.nc"):
        Path("maps", path.name.replace("chl_", "chlorophyll_")).symlink_to(path)
    opened = pd.date_range("2000-03-10", "2000-07-20", freq="7D")
    flux = pd.DataFrame({"open": opened, "close": opened + pd.Timedelta("7D"), "poc": 5 + np.sin(np.arange(len(opened)))})
    flux.to_csv("flux.csv", index=False)
    for line in lines:
        word, *given = shlex.split(line)[1:]
        kind = options_of(COMMANDS[word].module)
        config = dataclasses.replace(parse(kind, given, prog=word), **SMALL[word])
        console([word, *arguments_of(config)])
    for made in ("runs/learn/w150/catchment.png", "runs/learn/report/report.html", "runs/satellite/catchment_w150.nc"):
        assert Path(made).exists(), made
    assert list(Path(".").rglob("correlation.png"))


def console(words: list[str]) -> None:
    """``catchment WORDS`` in this process."""
    assert main(words) == 0, words
