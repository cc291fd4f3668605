"""Work shared among workers: the cut into blocks, the same bytes whoever did them, clusters, and what users are told."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from data import workers as cluster
from data.command import parse, run_command
from data.errors import InputError, OptionError
from data.lock import Claim, CommandGone, FolderLock
from lagrangian.blocks import READ_TWICE, _span, digest, periods_per_block, plan_blocks
from lagrangian.checkpoint import SweepState
from lagrangian.cohorts import Cohort
from lagrangian.config import RunConfig
from lagrangian.experiments import design_experiments
from lagrangian.run import main
from tests.benchmarks.scaling import SMALL_RUN, contents, unlike
from tests.builders.clusters import plain_cluster
from tests.builders.small_sweep import SMALL, analytic_ocean

#: What some batch systems want besides cores and memory.
MORE = {"htcondor": ["disk=1GB"], "oar": ["memory_per_core_property_name=memcore"]}


def command(out, *arguments):
    argv = [*SMALL_RUN, *map(str, arguments), "--out", str(out)]
    return run_command(RunConfig, main, prog="lagrangian.run", argv=argv)


@pytest.fixture(scope="module", autouse=True)
def no_picture():
    patch = pytest.MonkeyPatch()
    patch.setattr("lagrangian.maps.draw_catchment", lambda *_: None)
    yield
    patch.undo()


@pytest.fixture(scope="module")
def client():
    with plain_cluster() as made, cluster.open_client(scheduler=made.scheduler_address) as client:
        yield client


# -- the cut ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def long_run():
    ocean = analytic_ocean(days=300, dx=16e3)
    config = dataclasses.replace(SMALL, w=(80.0, 200.0), every=5.0)
    design = design_experiments(config.design, ocean)
    return ocean, config, design, [Cohort(period, w) for w in config.w for period in range(design.n_periods)]


@pytest.mark.parametrize("workers", [1, 2, 3, 8])
def test_blocks_hold_every_cohort_and_every_field_once(workers, long_run):
    ocean, _, design, cohorts = long_run
    fields = {index: number for number, index in enumerate(range(0, len(ocean.times), 10))}
    blocks = plan_blocks(cohorts, fields, {}, design, ocean, workers if workers > 1 else 0)
    assert sorted((c.period, c.w) for block in blocks for c in block.cohorts) == sorted((c.period, c.w) for c in cohorts)
    assert sorted(pair for block in blocks for pair in block.fields) == sorted(fields.items())
    assert len({block.name for block in blocks}) == len(blocks)
    assert len(blocks) == 1 if workers == 1 else len(blocks) >= workers
    for block in blocks:
        periods = sorted({cohort.period for cohort in block.cohorts})
        assert periods == list(range(periods[0], periods[-1] + 1))
        assert 0 < block.windows < len(ocean.times)


def test_a_block_reads_no_more_than_it_must_and_not_too_much_twice(long_run):
    _, config, _, _ = long_run
    ascent = config.design.ascent_days(80.0)
    assert ascent == pytest.approx(1.1 * 2800 / 80)
    for n, workers in ((1000, 4), (1000, 100), (100, 4)):
        size = periods_per_block(config.design, n, workers)
        twice = (ascent + config.collection) / (size * config.every)
        assert twice <= READ_TWICE or size == -(-n // workers)
    assert periods_per_block(config.design, 1000, 4) == 25  # ten blocks a worker
    assert periods_per_block(config.design, 1000, 4, 3) == 3


def test_a_block_that_goes_on_from_a_checkpoint_keeps_its_particles_and_leaves_the_rest_to_others(long_run):
    ocean, _, design, cohorts = long_run
    n = design.n_periods
    flying = [Cohort(n - 3, 80.0), Cohort(n - 4, 80.0), Cohort(n - 4, 200.0)]
    missing = [c for c in cohorts if c.period < n - 4 or c in flying]
    empty = {}
    state = SweepState(400, 0.0, cohorts, flying, empty, np.empty(0), np.empty(0))
    for workers in (1, 2):
        first, *others = plan_blocks(missing, {}, {"old": state}, design, ocean, workers if workers > 1 else 0)
        assert first.name == "old" and set(flying) <= set(first.cohorts)
        found = [c for block in (first, *others) for c in block.cohorts]
        assert sorted((c.period, c.w) for c in found) == sorted((c.period, c.w) for c in missing)
        assert bool(others) == (workers > 1)
        low, high = _span(first.cohorts, state, design, ocean)
        assert high == 400 and low < 400
    # a speed that the checkpoint knows nothing of is swept by itself, from the top
    added = [*missing, *(Cohort(period, 300.0) for period in range(n))]
    blocks = plan_blocks(added, {}, {"old": state}, design, ocean)
    assert len(blocks) == 2 and {c.w for c in blocks[1].cohorts} == {300.0}


def test_the_digest_knows_one_identity_from_another():
    assert digest({"a": 1, "b": (2, 3)}) == digest({"b": [2, 3], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})


# -- the same bytes --------------------------------------------------------------------------------------------------


def test_two_workers_write_the_same_bytes_as_one_sweep(client, tmp_path, capsys):
    assert command(tmp_path / "serial") == 0
    capsys.readouterr()
    address = client.scheduler.address
    assert command(tmp_path / "blocks", "--scheduler", address, "--block", 1) == 0
    text = capsys.readouterr().out
    assert "3 blocks for 2 workers" in text, text
    one, two = contents(tmp_path / "serial"), contents(tmp_path / "blocks")
    assert len(one) > 200 and not unlike(one, two)
    assert sorted(path.name for path in (tmp_path / "blocks").iterdir()) == ["fields.zarr", "run.json", "w300", "w400"]


def _double_or_fail(item, bad):
    cluster.report(item)
    if item == bad:
        raise InputError(f"item {item} is bad")
    return 2 * item


def test_tasks_come_back_with_reports_and_an_error_ends_them(client):
    heard = []
    results = dict(cluster.run_tasks(client, _double_or_fail, range(6), (None,), on_report=heard.append))
    assert results == {item: 2 * item for item in range(6)}
    until = time.monotonic() + 5
    while len(heard) < 6 and time.monotonic() < until:
        time.sleep(0.05)
    assert sorted(heard) == list(range(6))
    with pytest.raises(InputError, match="item 3 is bad"):
        list(cluster.run_tasks(client, _double_or_fail, range(6), (3,)))


def _die_once(item, folder):
    path = folder / str(item)
    if not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def test_a_task_that_lost_its_worker_is_done_again(client, tmp_path):
    assert sorted(result for _, result in cluster.run_tasks(client, _die_once, range(2), (tmp_path,))) == [0, 1]


def _report_slowly(item, word):
    for _ in range(10):
        cluster.report(word)
        time.sleep(0.02)


def test_two_commands_on_one_scheduler_hear_their_own_reports_alone(client):
    from distributed import Client

    heard = {"one": [], "two": []}

    def go(word):
        with Client(client.scheduler.address, set_as_default=False) as mine:
            list(cluster.run_tasks(mine, _report_slowly, range(2), (word,), on_report=heard[word].append))
            time.sleep(0.5)

    threads = [threading.Thread(target=go, args=(word,)) for word in heard]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert set(heard["one"]) == {"one"} and set(heard["two"]) == {"two"}


def _be_patient(seconds):
    """Of this process: how long it waits for a lock file to show itself; what it was."""
    import data.lock

    before, data.lock.SEEN_SECONDS = data.lock.SEEN_SECONDS, seconds
    return before


@pytest.fixture
def impatient(client):
    """Workers, and this process, that wait half a second for a lock instead of a minute."""
    here, there = _be_patient(0.5), client.run(_be_patient, 0.5)
    yield
    _be_patient(here)
    for worker, seconds in there.items():
        client.run(_be_patient, seconds, workers=[worker])


@pytest.mark.usefixtures("impatient")
def test_a_worker_gives_up_for_a_command_that_no_longer_holds_the_folder(client, tmp_path, monkeypatch):
    """Another command, of another --dt, has begun meanwhile, or none: no chunk and no mark is written for the old one."""
    from lagrangian.blocks import WorkerTask, for_workers, record_of, work
    from lagrangian.config import RunConfig
    from lagrangian.oceans import open_for
    from lagrangian.results import SpeedResults

    config = parse(RunConfig, [*SMALL_RUN, "--out", str(tmp_path / "run")], prog="x")
    ocean = open_for(config.source, config.design)
    design = design_experiments(config.design, ocean)
    config.out.mkdir()
    speeds = {w: SpeedResults.of(config.out, design, ocean, w) for w in config.w}
    (block,) = plan_blocks([c for s in speeds.values() for c in s.missing()], {}, {}, design, ocean)
    task = WorkerTask(config.source, config.integration.resolved(ocean), config.out, config.checkpoint)
    arguments = (for_workers(task, ocean), design, "word", record_of(ocean))
    with FolderLock(config.out) as lock:
        claim = lock.claim
        claim.check()
        real = Claim.check
        calls = []

        def check(self):  # the command ends when the block is under way
            calls.append(1)
            if len(calls) == 12:
                lock.path.write_text('{"word": "of another command"}')
            real(self)

        monkeypatch.setattr(Claim, "check", check)
        with pytest.raises(CommandGone, match="no longer held"):
            work(block, *arguments, claim)
    assert len(calls) == 12 and not list(config.out.glob("w*/*/parts_done/*"))
    with pytest.raises(CommandGone):
        work(block, *arguments, claim)  # the lock is gone
    with pytest.raises(CommandGone, match="no longer held"):  # as a task it is told, not tried again
        list(cluster.run_tasks(client, work, [block], (*arguments, Claim(claim.path, "another"))))
    assert not list(config.out.glob("w*/*/parts_done/*"))


def test_a_worker_opens_files_anew_for_another_command(tmp_path):
    from lagrangian.blocks import _ocean_of
    from lagrangian.config import RunConfig

    config = parse(RunConfig, [*SMALL_RUN], prog="x")
    of = (config.source, config.design, config.vertical_velocity)
    assert _ocean_of("one", *of) is _ocean_of("one", *of)
    assert _ocean_of("one", *of) is not _ocean_of("two", *of)


def test_one_worker_at_the_start_is_given_blocks_that_others_can_share(long_run):
    ocean, config, design, cohorts = long_run
    assert len(plan_blocks(cohorts, {}, {}, design, ocean)) == 1
    assert len(plan_blocks(cohorts, {}, {}, design, ocean, 1)) > 2
    assert periods_per_block(config.design, 1000, 1) == 100  # ten blocks
    assert periods_per_block(config.design, 1000, 1, 1) == 1


def test_a_block_that_fails_ends_the_command_with_its_line_and_the_next_goes_on(client, tmp_path, capsys):
    """The folder's stores are gone from under the workers: a block cannot be written."""
    out = tmp_path / "run"
    from lagrangian.results import SpeedResults

    real = SpeedResults.missing

    def missing(self):  # called when the stores are laid out, before the workers begin
        (self.folder / "pdf.zarr.partial" / "zarr.json").write_text("nonsense")
        return real(self)

    patch = pytest.MonkeyPatch()
    patch.setattr(SpeedResults, "missing", missing)
    assert command(out, "--scheduler", client.scheduler.address) == 2
    patch.undo()
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1 and "pdf.zarr.partial" in error[0] and "remove it" in error[0], error


# -- what users are told ---------------------------------------------------------------------------------------------


def refused(capsys, out, *arguments):
    assert command(out, *arguments) == 2
    text = capsys.readouterr().err
    assert text.count("\n") == 1 and "Traceback" not in text, text
    return text


def test_a_scheduler_that_does_not_answer_is_named(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(cluster, "ANSWER_SECONDS", 1)
    text = refused(capsys, tmp_path / "a", "--scheduler", "tcp://127.0.0.1:1")
    assert "tcp://127.0.0.1:1" in text and "dask scheduler" in text
    assert "nonsense" in refused(capsys, tmp_path / "b", "--scheduler", "nonsense://?")


def test_workers_that_cannot_do_the_work_are_named(tmp_path, capsys):
    """One without the toolkit, one with another version of it."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0", silence_logs=60) as made:
        for module, expected in (("sys.modules['lagrangian'] = None", "has no catchment toolkit"),
                                 ("import data.workers as c; c.SOURCE = 'old'", "another version")):  # fmt: skip
            code = f"import sys; {module}; from distributed.cli.dask_worker import main; main()"
            worker = subprocess.Popen(
                [sys.executable, "-c", code, made.scheduler_address, "--nthreads", "1", "--no-nanny", "--no-dashboard"],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            try:
                text = refused(capsys, tmp_path / "out", "--scheduler", made.scheduler_address)
            finally:
                worker.kill()
                worker.wait()
            assert expected in text and os.uname().nodename in text
            assert not list((tmp_path / "out").iterdir())  # nothing was laid out
            while made.scheduler_info["workers"]:
                time.sleep(0.05)


def test_that_no_worker_is_left_is_said(client, monkeypatch):
    monkeypatch.setattr(cluster, "WITHOUT_WORKERS_SECONDS", 0.6)
    said, ended = [], threading.Event()

    class Empty:
        def scheduler_info(self, n_workers):
            return {"workers": {}}

    thread = threading.Thread(target=cluster._watch, args=(Empty(), ended, said.append))
    thread.start()
    time.sleep(2)
    ended.set()
    thread.join()
    assert len(said) == 1 and "no worker" in said[0]


def test_a_batch_system_that_is_not_there_or_refuses_is_told(tmp_path, capsys, monkeypatch):
    options = ["--cluster", "slurm", "--cluster-options", "cores=2", "memory=4GB"]
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "no sbatch here" in refused(capsys, tmp_path / "out", *options)
    script = tmp_path / "sbatch"
    script.write_text("#!/bin/sh\necho 'sbatch: error: Invalid account or account/partition combination' >&2\nexit 1\n")
    script.chmod(0o755)
    text = refused(capsys, tmp_path / "out", *options)
    assert "sbatch refuses the job (sbatch: error: Invalid account" in text
    assert not list((tmp_path / "out").iterdir())


def test_an_error_on_another_machine_names_it(monkeypatch):
    def fail(item):
        raise InputError("no such file")

    assert "elsewhere" not in str(cluster._guarded("topic", os.uname().nodename, fail, 0))
    monkeypatch.setattr("data.workers.socket.gethostname", lambda: "elsewhere")
    error = cluster._guarded("topic", "here", fail, 0)
    assert isinstance(error, InputError) and str(error) == "no such file (on the worker elsewhere)"


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--workers", "0"], "--workers 0"),
        (["--block", "0"], "--block 0"),
        (["--checkpoint", "-1"], "--checkpoint -1"),
        (["--scheduler", "tcp://x:1", "--cluster", "slurm"], "contradict"),
        (["--cluster-options", "cores=2"], "--cluster slurm or pbs"),
        (["--cluster", "lsf"], "lsf"),
        (["--cluster", "slurm", "--cluster-options", "memory=4GB"], "cores"),
        (["--cluster", "slurm", "--cluster-options", "cores=2", "memory=4GB", "wings=2"], "wings"),
        (["--cluster", "slurm", "--cluster-options", "cores=x", "memory=4GB"], "cores=x"),
        (["--cluster", "pbs", "--cluster-options", "cores"], "KEY=VALUE"),
        (["--cluster", "pbs", "--cluster-options", "absent.toml"], "absent.toml"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_impossible_options_get_one_line(arguments, word, tmp_path, capsys):
    assert word in refused(capsys, tmp_path / "out", *arguments)


def test_without_dask_jobqueue_the_extra_is_named(tmp_path, capsys, monkeypatch):
    real = __import__("importlib.util").util.find_spec
    monkeypatch.setattr(
        "data.workers.importlib.util.find_spec", lambda name, *rest: None if name == "dask_jobqueue" else real(name, *rest)
    )
    text = refused(capsys, tmp_path, "--cluster", "slurm")
    assert "catchment-toolkit[cluster]" in text
    monkeypatch.setitem(sys.modules, "dask_jobqueue", None)
    with pytest.raises(OptionError, match=r"catchment-toolkit\[cluster\]"):
        cluster.batch_cluster("slurm")


def test_the_job_scripts_ask_for_what_was_given_and_take_one_task_at_a_time(tmp_path):
    table = tmp_path / "job.toml"
    table.write_text('cores = 4\nmemory = "8GB"\nwalltime = "2-00:00:00"\njob-script-prologue = ["module load python"]\n')
    with cluster.batch_cluster("slurm", [str(table), "queue=long", "processes=2"]) as made:
        script = made.job_script()
    for text in ("#SBATCH -p long", "--cpus-per-task=4", "-t 2-00:00:00", "module load python", "--nworkers 2"):
        assert text in script, script
    assert script.rstrip().endswith("--nthreads 1") or "--nthreads 1 " in script.split("distributed.cli.dask_worker")[1]
    more = tmp_path / "more.toml"
    more.write_text("scheduler-options = {port = 0}\ndeath-timeout = 600\n")
    options = ["cores=8", "memory=16GB", "walltime=24:00:00", "account=ocean", str(more)]
    with cluster.batch_cluster("pbs", options) as made:
        script = made.job_script()
    for text in ("#PBS -A ocean", "ncpus=8", "walltime=24:00:00", "--nthreads 1", "--death-timeout 600"):
        assert text in script, script
    for text in ("tls://", "--tls-ca-file", "--tls-cert", "--tls-key"):  # who has not the key is not answered
        assert text in script, script


@pytest.mark.parametrize("system", cluster.CLUSTERS)
def test_every_batch_systems_jobs_start_a_worker_that_no_file_of_the_users_leads_astray(system):
    with cluster.batch_cluster(system, ["cores=1", "memory=1GB", *MORE.get(system, [])]) as made:
        script = made.job_script()
    assert "export PYTHONSAFEPATH=1" in script and "distributed.cli.dask_worker" in script
    assert script.index("PYTHONSAFEPATH") < script.index("distributed.cli.dask_worker")


def test_ctrl_c_in_a_terminal_ends_all_workers_without_their_voices(tmp_path):
    code = (
        "import os, sys, time\nfrom data import workers as cluster\nfrom data.command import run_command\n"
        "from dataclasses import dataclass\nfrom numcodecs import blosc\n@dataclass(frozen=True)\nclass C:\n    x: int = 0\n"
        # the library makes a lock as it first compresses, of whose name Python would warn
        "def work(s):\n    blosc.compress(bytes(99), b'zstd', 3)\n    cluster.report('ready')\n    time.sleep(s)\n"
        "def main(c):\n    with cluster.open_client(workers=2) as client:\n"
        "        list(cluster.run_tasks(client, work, [60, 60], on_report=lambda text: print(text, flush=True)))\n"
        "if __name__ == '__main__': sys.exit(run_command(C, main, prog='x', argv=[]))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    assert process.stdout.readline().endswith(" ready\n")  # after the time, as in every line that goes to a pipe
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate()
    watchdog.cancel()
    assert process.returncode == 130
    assert errors.count("\n") == 1 and "interrupted" in errors, errors
