"""``--check``: what is there, what a run will cost, and nothing written."""

from __future__ import annotations

import functools
import json
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

from data.batch import LEFT_OUT, Needs, batch_script
from data.command import parse, run_command
from data.machine import bytes_read, peak_memory
from lagrangian import check, estimate, maps
from lagrangian.config import RunConfig
from lagrangian.fields import FieldsPlan
from lagrangian.results import SpeedResults
from lagrangian.run import main
from lagrangian.window import Window
from tests.benchmarks.scaling import SAMPLE, SMALL_RUN, contents, unlike

UNITS = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}


def called(capsys, out, *arguments, options=SMALL_RUN):
    code = run_command(RunConfig, main, prog="lagrangian.run", argv=[*options, *arguments, "--out", str(out)])
    return code, *capsys.readouterr()


def rows(text):
    return {line[:11].strip(): line[11:] for line in text.splitlines()}


def size(words):
    number, unit = re.match(r"([\d.]+) (\w+)", words).groups()
    return float(number) * UNITS[unit]


@pytest.fixture
def quick(monkeypatch):
    """A check that measures a few windows and draws no map: for tests that ask for no cost."""
    monkeypatch.setattr(estimate, "WINDOWS", 4)
    monkeypatch.setattr("lagrangian.maps.draw_catchment", lambda *_: None)


@pytest.mark.usefixtures("no_map")
def test_a_check_tells_what_is_there_and_writes_nothing(capsys, tmp_path):
    code, out, err = called(capsys, tmp_path / "run", "--check")
    found = rows(out)
    assert code == 0 and not err and not list(tmp_path.iterdir())
    assert found["ocean"].startswith("croco: 49 snapshots, 2000-03-31 00:00 to 2000-04-24 00:00, every 12 hours; 1 files of 4.9")
    assert found["gaps"] == "none" and found["grid"].startswith("39 x 39 points of 7.88 km, 24 layers, 100 % sea")
    assert found["traps"].startswith("4 of 4 inside, 3000 m deep where the sea floor lies 3986 to 4061 m deep; 131 km")
    assert found["periods"].startswith("3, from 2000-04-11") and found["particles"].startswith("12 experiments of 12 at 300, 400")
    # 3 periods of 4 positions of 12 particles rise 2800 m, in steps of two hours
    steps = sum(3 * 4 * 12 * 2800 / w * 12 for w in (300, 400))
    assert float(found["steps"].split()[0]) == pytest.approx(steps / 1e6, rel=0.01)
    assert {"time", "memory", "disk"} <= set(found)
    if bytes_read() is not None:
        assert 1e6 < size(found["reads"]) < 2e7


def test_cpu_time_is_the_sum_of_what_a_run_does_once_of_windows_steps_and_stores(capsys, monkeypatch, tmp_path):
    """On a clock that moves by a known time in each piece of work, and nowhere else."""
    now = [100.0]  # imports took so long
    monkeypatch.setattr(estimate.time, "process_time", lambda: now[0])

    def takes(owner, name, seconds, count=lambda found: 1.0):
        real = getattr(owner, name)

        @functools.wraps(real)
        def timed(*arguments, **options):
            found = real(*arguments, **options)
            now[0] += seconds * count(found)
            return found

        monkeypatch.setattr(owner, name, timed)

    loaded = iter([5.0])  # with the first window
    takes(Window, "advance", 1.0, lambda steps: 0.25 + steps / 1000 + next(loaded, 0.0))
    takes(SpeedResults, "_lay_out", 2.0)  # three stores a speed
    takes(SpeedResults, "write", 3.0)
    takes(SpeedResults, "close", 7.0)
    takes(estimate, "damaged_parts", 0.5)  # of a period of a store
    takes(FieldsPlan, "write", 4.0)
    takes(FieldsPlan, "close", 0.125)
    monkeypatch.setattr(maps, "draw_catchment", lambda *_: None)
    takes(maps, "draw_catchment", 11.0)
    kept = []
    for owner, name in ((check, "cost_of"), (estimate, "_fields")):
        real = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *given, real=real, **options: _noted(kept, real(*given, **options)))
    assert called(capsys, tmp_path / "run", "--check")[0] == 0
    (_, snapshots, _), cost = kept
    periods, speeds, stores = 3, 2, 3
    expected = 100 + 5 + 0.25 * cost.windows + cost.steps / 1000
    expected += speeds * (2 * stores + 3 * periods + 7 + (periods - 1) * 0.5 * stores + 11)
    expected += 4 * len(snapshots) + 0.125 * len(snapshots) / 3  # closing looks through the snapshots, here 3 of one period
    assert cost.cpu_seconds == pytest.approx(expected, rel=1e-6)


def _noted(kept, found):
    kept.append(found)
    return found


@pytest.mark.slow  # memory is that of whole processes, which make the run and its maps
def test_disk_and_memory_are_within_a_fifth_of_those_of_the_run_and_cpu_time_is_not_far(tmp_path):
    measured = (
        "import sys, time; from data.command import run_command; from data.machine import peak_memory\n"
        "from lagrangian.config import RunConfig; from lagrangian.run import main\n"
        "code = run_command(RunConfig, main, prog='lagrangian.run', argv=sys.argv[1:])\n"
        "print('peak', peak_memory(), 'cpu', time.process_time()); sys.exit(code)"
    )
    options = [*SMALL_RUN, "--w", "300", "--particles", "36", "--release-every", "6", "--every", "2"]
    options += ["--out", str(tmp_path / "run")]
    told, done = (
        subprocess.run([sys.executable, "-c", measured, *options, *more], capture_output=True, text=True, timeout=600)
        for more in (["--check"], [])
    )
    assert told.returncode == 0 and done.returncode == 0, told.stderr + done.stderr
    found = rows(told.stdout)
    record = json.loads((tmp_path / "run" / "run.json").read_text())["result"]
    assert size(found["disk"]) == pytest.approx(estimate.size_of(tmp_path / "run"), rel=0.2)
    assert float(found["steps"].split()[0]) * 1e6 == pytest.approx(record["particle_steps"], rel=0.2)
    if (peak := re.search(r"peak (\d+)", done.stdout)) and peak_memory() is not None:
        assert size(found["memory"]) == pytest.approx(float(peak.group(1)), rel=0.2)
    hours = float(re.search(r"([\d.e-]+) CPU-hours", found["time"]).group(1))
    taken = float(re.search(r"cpu ([\d.]+)", done.stdout).group(1))
    assert 0.6 < 3600 * hours / taken < 1.6  # a fifth where nothing else uses the cores' caches (tests.benchmarks.door check)


@pytest.mark.usefixtures("quick")
def test_what_the_run_would_refuse_the_check_refuses_and_what_is_done_is_told(capsys, tmp_path):
    code, _, err = called(capsys, tmp_path / "run", "--check", "--trap-depth", "9000")
    assert code == 2 and err.count("\n") == 1 and not (tmp_path / "run").exists()
    assert called(capsys, tmp_path / "run")[0] == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")}
    code, out, _ = called(capsys, tmp_path / "run", "--check")
    assert code == 0 and rows(out)["done"].startswith("6 of 6") and rows(out)["work"].startswith("none")
    code, _, err = called(capsys, tmp_path / "run", "--check", "--particles", "9")
    assert code == 2 and "another configuration (particles was 4, now 9)" in err
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")} == before


@pytest.mark.usefixtures("quick")
def test_all_gaps_of_a_record_are_listed_and_end_with_code_2_unless_they_are_allowed(capsys, tmp_path):
    path = tmp_path / "his.nc"
    with xr.open_dataset(SAMPLE, decode_times=False) as sample:
        kept = sample.isel(time=np.setdiff1d(np.arange(sample.sizes["time"]), [10, 11, 12, 30, 31]))
        for variable in kept.variables.values():
            variable.encoding["zlib"] = False
        kept.to_netcdf(path)
    options = [str(path) if word == str(SAMPLE) else word for word in [*SMALL_RUN, "--w", "400"]]
    code, out, err = called(capsys, tmp_path / "run", "--check", options=options)
    assert code == 2 and rows(out)["gaps"] == "2: 2000-04-04 to 2000-04-06, 2000-04-14 to 2000-04-16"
    assert "--allow-gaps" in err and err.count("\n") == 1
    code, out, err = called(capsys, tmp_path / "run", "--check", "--allow-gaps", options=options)
    assert code == 0 and rows(out)["gaps"].startswith("2: ") and not err


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("system", ["slurm", "pbs"])
def test_the_script_is_one_that_a_shell_reads_and_gives_the_same_run(system, capsys, tmp_path):
    options = ["--site", "-21.25,44.9", "--w", "80", "300.5", "--positions", "domain", "--allow-gaps"]
    options += ["--ocean", "a b.nc", "c'd.nc"]
    config = parse(RunConfig, [*options, "--check", "--script", system, "--threads", "3"], prog="x")
    text = batch_script(system, config, "run", Needs(hours=1.6, memory=3.1e9, cores=3))
    mark = {"slurm": ("#SBATCH --time=03:22:00", "#SBATCH --mem=4G", "#SBATCH --cpus-per-task=3"),
            "pbs": ("#PBS -l walltime=03:22:00", "#PBS -l select=1:ncpus=3:mem=4gb")}[system]  # fmt: skip
    assert text.startswith("#!/bin/bash\n") and all(f"{line}\n" in text for line in mark)
    assert subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True).stderr == ""
    command = shlex.split(text.splitlines()[-1])
    arguments = command[command.index("run") + 1 :]
    again = parse(RunConfig, arguments, prog="x")
    assert all(getattr(again, name) == getattr(config, name) for name in RunConfig.__dataclass_fields__ if name not in LEFT_OUT)
    code, out, err = called(capsys, tmp_path / "run", "--check", "--script", system, "--w", "400")
    assert code == 0 and out.startswith("#!/bin/bash\n") and rows(err)["gaps"] == "none"


@pytest.mark.usefixtures("quick")
def test_a_run_is_repeated_from_its_record_with_the_same_bytes(capsys, tmp_path):
    assert called(capsys, tmp_path / "first", "--w", "400")[0] == 0
    assert called(capsys, tmp_path / "again", options=["--config", str(tmp_path / "first" / "run.json")])[0] == 0
    assert not unlike(contents(tmp_path / "first"), contents(tmp_path / "again"))
    # gone on with by its own record, the folder is finished
    code, out, _ = called(capsys, tmp_path / "first", "--check", options=["--config", str(tmp_path / "first" / "run.json")])
    assert code == 0 and rows(out)["done"].startswith("4 of 4")


def test_a_script_is_printed_with_a_check_alone(capsys, tmp_path):
    code, _, err = called(capsys, tmp_path / "run", "--script", "slurm")
    assert code == 2 and "--script slurm goes with --check" in err


def test_a_line_through_points_has_no_negative_part():
    x = np.array([1.0, 2.0, 3.0])
    assert estimate._line(x, 2 + 3 * x) == pytest.approx((2, 3))
    assert estimate._line(x, 3 - 0.5 * x)[1] == 0 and estimate._line(np.empty(0), np.empty(0)) == (0, 0)
