"""Work shared by the jobs of a real Slurm, of one machine."""

from __future__ import annotations

import contextlib
import subprocess

import pytest

from data.batch import program
from data.command import run_command
from lagrangian.config import RunConfig
from lagrangian.run import main
from tests.benchmarks.scaling import SMALL_RUN, contents, unlike
from tests.builders.slurm import ended, missing, slurm

# slow for jobs that are scheduled, and processes that import what they need
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(missing()), reason=f"no Slurm: {missing()}")]
COMMAND = [*program(), "run", *SMALL_RUN]


@pytest.fixture(scope="module")
def environ(tmp_path_factory):
    pytest.importorskip("dask_jobqueue")
    with contextlib.ExitStack() as stack:
        try:
            environ = stack.enter_context(slurm(tmp_path_factory.mktemp("slurm") / "slurm"))
        except RuntimeError as error:  # a container may forbid what slurmd needs
            pytest.skip(f"Slurm does not start here: {error}")
        yield environ


def run(folder, environ, *arguments):
    """In a folder of the user's whose own modules are called as the toolkit's packages are."""
    folder.mkdir(exist_ok=True)
    for name in ("data.py", "lagrangian.py"):
        (folder / name).write_text("raise RuntimeError('mine')\n")
    return subprocess.run([*COMMAND, *arguments], cwd=folder, env=environ, capture_output=True, text=True, timeout=300)


def test_two_jobs_of_slurm_write_the_same_bytes_as_one_process(environ, tmp_path, monkeypatch):
    monkeypatch.setattr("lagrangian.maps.draw_catchment", lambda *_: None)
    alone = tmp_path / "alone"
    speed = ["--w", "300"]
    assert run_command(RunConfig, main, prog="lagrangian.run", argv=[*SMALL_RUN, *speed, "--out", str(alone)]) == 0
    options = [*speed, "--cluster", "slurm", "--workers", "2", "--block", "1"]
    jobs = ["--cluster-options", "cores=1", "memory=1GB", "walltime=00:10:00"]
    shared = run(tmp_path / "work", environ, "--out", "shared", *options, *jobs)
    assert shared.returncode == 0, shared.stderr
    assert "2 jobs submitted to slurm" in shared.stdout and "blocks for 2 workers" in shared.stdout
    assert not unlike(contents(alone), contents(tmp_path / "work" / "shared"))


def test_the_script_of_a_check_is_a_job_that_slurm_takes_and_ends(environ, tmp_path):
    told = run(tmp_path / "work", environ, "--out", "batch", "--check", "--script", "slurm")
    assert told.returncode == 0, told.stderr
    (tmp_path / "work" / "job.sh").write_text(told.stdout)
    log = tmp_path / "work" / "log"
    given = subprocess.run(
        ["sbatch", "--parsable", "--output", str(log), "job.sh"], cwd=tmp_path / "work", env=environ, capture_output=True,
        text=True, timeout=300,
    )  # fmt: skip
    assert given.returncode == 0, given.stderr
    assert ended(given.stdout.strip(), environ) == ("COMPLETED", "0:0"), log.read_text()
    assert (tmp_path / "work" / "batch" / "w300" / "pdf.zarr").exists() and "map: batch/w400" in log.read_text()


def test_what_slurm_refuses_is_one_line(environ, tmp_path):
    done = run(tmp_path / "work", environ, "--out", "none", "--cluster", "slurm", "--cluster-options", "cores=1", "memory=9000GB")
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert "--cluster slurm: sbatch refuses the job" in done.stderr and "--cluster-options" in done.stderr
