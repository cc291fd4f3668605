"""Right inputs of every command, small enough that a command takes seconds: what bad inputs are made from."""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from data.command import run_command

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "tests" / "data" / "croco_sample" / "croco_his.nc"
DAYS = 121
#: Options of a small run of the sample, without its folder.
SWEEP = (
    "--ocean", "{}/his.nc", "--site", "-21.25,44.9", "--w", "400", "--positions", "1", "--particles", "4",
    "--release-every", "24", "--every", "6", "--collection", "3", "--fields-spacing", "40", "--threads", "1",
)  # fmt: skip
SMALL_NETWORK = ["--width", "4", "--epochs", "1", "--members", "1", "--batch", "16", "--threads", "1"]


@dataclass(frozen=True)
class Command:
    """A command: module, class of its options, and the arguments of a right call; ``{}`` stands for the folder of inputs."""

    name: str
    config: str
    arguments: tuple[str, ...]
    #: Inputs (in the folder) that the call reads or goes on from: copied for each bad input, since commands write beside them.
    inputs: tuple[str, ...] = ()

    def call(self, arguments: list[str]) -> int:
        """Run it in this process; the exit code."""
        module = importlib.import_module(f"{self.name}.__main__" if self.name == "data.twin" else self.name)
        try:
            return run_command(getattr(module, self.config), module.main, prog=self.name, argv=arguments)
        except SystemExit as stop:
            return stop.code or 0

    def options(self):
        """The dataclass of its options."""
        return getattr(importlib.import_module(f"{self.name}.__main__" if self.name == "data.twin" else self.name), self.config)


#: Commands by the name of a right call; several calls of one command where it has several kinds of input.
COMMANDS = {
    "run": Command("lagrangian.run", "RunConfig", (*SWEEP, "--out", "{}/sweep"), ("his.nc",)),
    "run-again": Command("lagrangian.run", "RunConfig", (*SWEEP, "--out", "{}/swept"), ("his.nc", "swept")),
    "fit": Command("learning.fit", "FitConfig", ("--run", "{}/bare", "--w", "80", *SMALL_NETWORK), ("bare",)),
    "predict": Command("learning.predict", "PredictConfig", ("--run", "{}/run", "--threads", "1"), ("run",)),
    "predict-satellite": Command(
        "learning.predict",
        "PredictConfig",
        ("--run", "{}/run", "--ssh", "{}/ssh.nc", "--sst", "{}/sst.nc", "--every", "20", "--threads", "1", "--out", "{}/new"),
        ("run", "ssh.nc", "sst.nc"),
    ),
    "report": Command(
        "evaluation.report",
        "ReportConfig",
        ("--run", "{}/run", "--resolution-experiments", "0", "--emd-experiments", "0"),
        ("run",),
    ),
    "diagnostics": Command(
        "evaluation.diagnostics", "DiagnosticsConfig", ("--run", "{}/swept", "--depths", "0", "1000"), ("swept", "his.nc")
    ),
    "correlation": Command(
        "evaluation.correlation",
        "CorrelationConfig",
        (
            "--predictions",
            "{}/satellite/catchment_w080.nc",
            "{}/satellite/catchment_w300.nc",
            "--chlorophyll",
            "{}/chl.nc",
            "--flux",
            "{}/flux.csv",
            "--lags",
            "0",
            "30",
            "10",
            "--draws",
            "5",
            "--exclude-years",
            "2009",
            "--out",
            "{}/new",
        ),
        ("satellite", "chl.nc", "flux.csv"),
    ),
    "satellite": Command(
        "evaluation.satellite", "SatelliteConfig", ("--predictions", "{}/satellite", "--run", "{}/run"), ("satellite", "run")
    ),
    "twin-experiment": Command(
        "evaluation.twin_experiment",
        "TwinExperimentConfig",
        ("--models", "{}/run", "--years", "0.5", "--draws", "2", "--out", "{}/new"),
        ("run",),
    ),
    "animation": Command("evaluation.animation", "AnimationConfig", ("--run", "{}/run", "--frames", "2"), ("run",)),
    "twin": Command("data.twin", "TwinConfig", ("--years", "0.02", "--out", "{}/new"), ("cache",)),
    "twin-products": Command("data.twin", "TwinConfig", ("--years", "0.02", "--products", "--out", "{}/new"), ("cache",)),
    "download": Command(
        "data.download", "DownloadConfig", ("ssh", "--start", "2001-01-01", "--end", "2001-01-05", "--out", "{}/new")
    ),
}
#: Calls that take too long to be made right: only those of their bad inputs that are refused at once are of use.
SLOW = ("twin-experiment",)


def import_commands() -> None:
    """Import what the commands need, and let nothing start threads: bad inputs run in forks of this process."""
    import torch

    torch.set_num_threads(1)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        for command in COMMANDS.values():
            command.call(["--no-such-option"])  # what reading options imports and keeps
    needed = ("lagrangian.maps", "pytorch_lightning", "learning.lightning_module", "learning.velocity")
    compiled = ("data.twin.chlorophyll", "data.twin.solver", "lagrangian.agrid", "learning.samples")  # their machine code is kept
    for name in (*needed, *compiled):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    sys.modules["data.twin.record"].SEGMENT_DAYS = 8  # what the twin's commands need, not a month
    gc.freeze()  # else each fork that looks for garbage there copies its memory


def make_inputs(folder: Path) -> Path:
    """Write the right inputs into a folder."""
    from tests.builders.finished_run import complete
    from tests.builders.made_up_run import write_run
    from tests.builders.pictures import draw_coarsely
    from tests.builders.satellite_maps import height, maps, temperature

    folder.mkdir(parents=True, exist_ok=True)
    import_commands()  # before the cache is another: machine code stays where it is
    draw_coarsely(pytest.MonkeyPatch())  # no command reads a picture
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        shutil.copy(SAMPLE, folder / "his.nc")
        code = COMMANDS["run"].call(filled(COMMANDS["run"], folder))
        (folder / "sweep").rename(folder / "swept")
        write_run(folder / "bare", periods=40, side=1, speeds=(80.0,))
        write_run(folder / "run", periods=40, side=1)
        for w in ("80", "300"):
            code = code or COMMANDS["fit"].call(["--run", str(folder / "run"), "--w", w, *SMALL_NETWORK])
        code = code or COMMANDS["predict"].call(["--run", str(folder / "run"), "--threads", "1"])
        complete(folder / "run")
        days = range(DAYS)
        maps(folder / "ssh.nc", "adt", "m", height, days=days)
        maps(folder / "sst.nc", "analysed_sst", "kelvin", temperature, days=days)
        maps(folder / "chl.nc", "CHL", "milligram m-3", lambda day, x, y: 0.3 + 0.1 * np.sin(x + day) * np.cos(y), days=days)
        out = ["--run", str(folder / "run"), "--threads", "1", "--out", str(folder / "satellite")]
        code = code or COMMANDS["predict"].call([*out, "--ssh", str(folder / "ssh.nc"), "--sst", str(folder / "sst.nc")])
        write_flux(folder / "flux.csv")
        code = code or COMMANDS["twin"].call(filled(COMMANDS["twin"], folder))
        shutil.rmtree(folder / "new", ignore_errors=True)
    if code:
        raise RuntimeError(f"the right inputs cannot be made: {output.getvalue()}")
    return folder


def write_flux(path: Path) -> None:
    """Six cups of ten days."""
    lines = ["open,close,dry_weight,poc,pic"]
    start = np.datetime64("2010-02-25")
    for cup in range(6):
        first, last = start + 10 * cup, start + 10 * (cup + 1)
        lines.append(f"{first},{last},{100 + 7 * cup % 5},{5 + 0.3 * cup},{6 - 0.2 * (cup % 3)}")
    path.write_text("\n".join(lines) + "\n")


def filled(command: Command, folder: Path) -> list[str]:
    """Arguments of the right call with inputs in ``folder``."""
    return [word.replace("{}", str(folder)) for word in command.arguments]


def stand_in_for_the_toolbox() -> None:
    """data.download without network."""
    from tests.test_data.test_download import StandIn

    sys.modules["copernicusmarine"] = StandIn()
