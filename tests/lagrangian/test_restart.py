"""What dies, and what is left of it: checkpoints, kills, full disks, lost inputs, damaged files, two commands at once."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import random
import shutil
import signal
from functools import partial
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import zarr

import data.chunks
import lagrangian.checkpoint
import lagrangian.run
from data.command import run_command
from data.errors import StoreError
from data.lock import FolderLock
from lagrangian import checkpoint
from lagrangian.campaign import Campaign, CohortResult
from lagrangian.cohorts import Cohort
from lagrangian.config import RunConfig
from lagrangian.experiments import design_experiments
from lagrangian.run import main
from lagrangian.stores import open_pdf
from tests.benchmarks.scaling import (
    SAMPLE,
    SMALL_RUN,
    all_pieces,
    contents,
    kill_at_random,
    unlike,
)
from tests.builders.small_sweep import SMALL, analytic_ocean


def command(out, *arguments):
    """The small run in this process; its exit code."""
    argv = [*SMALL_RUN, *map(str, arguments), "--out", str(out)]
    return run_command(RunConfig, main, prog="lagrangian.run", argv=argv)


def line(capsys):
    """The one line of a command that failed."""
    text = capsys.readouterr().err
    lines = [one for one in text.splitlines() if not one.startswith("backtracking:")]
    assert len(lines) == 1 and "Traceback" not in text, text
    return lines[0]


def leftovers(out: Path) -> list[Path]:
    return [path for path in out.rglob("*") if path.suffix in (".partial", ".aside", ".npz", ".lock", ".new")]


@pytest.fixture(scope="module")
def no_picture():
    patch = pytest.MonkeyPatch()
    patch.setattr("lagrangian.maps.draw_catchment", lambda *_: None)
    yield
    patch.undo()


@pytest.fixture(scope="module")
def finished(tmp_path_factory, no_picture):
    """The folder of the small run; another as its sweep left it, of which no store had its name; and what the sweep gave back."""
    out, swept = (tmp_path_factory.mktemp("restart") / name for name in ("reference", "swept"))
    real, given = lagrangian.run._sweep, []

    def sweep(*arguments):
        given.append(real(*arguments))
        shutil.copytree(out, swept)
        return given[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lagrangian.run._sweep", sweep)
        assert command(out) == 0
    assert not leftovers(out)
    return out, swept, given[0]


@pytest.fixture(scope="module")
def reference(finished):
    return contents(finished[0])


@pytest.fixture(scope="module")
def total(finished):
    return all_pieces(finished[0])


# -- the sweep -------------------------------------------------------------------------------------------------------


def swept(ocean, config, cohorts, **options) -> tuple[dict[Cohort, CohortResult], int]:
    results = {}
    design = design_experiments(config.design, ocean)
    keep = lambda result: results.update({result.cohort: result})
    campaign = Campaign(ocean, design, config.integration, cohorts=cohorts, on_result=keep, **options)
    return results, campaign.run()


def assert_same(one: CohortResult, two: CohortResult):
    assert one.crossings.tobytes() == two.crossings.tobytes()
    assert one.status.tobytes() == two.status.tobytes()
    assert (one.path is None and two.path is None) or one.path.tobytes() == two.path.tobytes()


@pytest.mark.parametrize("kernel", ["compiled", "parcels"])
def test_a_sweep_goes_on_from_any_of_its_states_to_the_same_bits(tmp_path, kernel):
    ocean = analytic_ocean(days=24 if kernel == "compiled" else 20, dx=16e3)
    config = dataclasses.replace(SMALL, kernel=kernel, trajectories=6.0 if kernel == "compiled" else 12.0, diffusivity=(30.0,))
    if kernel == "parcels":
        config = dataclasses.replace(config, diffusivity=(), dt=720.0, particles=1, positions=1, w=(300.0,), every=8.0)
    periods = range(design_experiments(config.design, ocean).n_periods)
    cohorts = [Cohort(period, w) for period in periods for w in config.w]
    states = []
    whole, _ = swept(ocean, config, cohorts, on_checkpoint=states.append, checkpoint_every=0)
    assert len(states) > 15 and all(state.flying for state in states)
    for state in states[:: max(1, len(states) // (4 if kernel == "compiled" else 1))]:
        path = tmp_path / "state.npz"
        checkpoint.save(path, "same", state)
        state = checkpoint.load(path, "same")
        ended = {cohort for cohort in cohorts if cohort not in state.flying and cohort.period >= state.flying[-1].period}
        left = [cohort for cohort in cohorts if cohort not in ended]
        first = []
        again, _ = swept(ocean, config, left, resume=state, progress=lambda done, total, steps, first=first: first.append(total))
        assert set(again) == set(left)
        assert first[0] <= state.index  # nothing above the checkpoint was read again
        for cohort, result in again.items():
            assert_same(result, whole[cohort])
    # cohorts that the state knows nothing of begin at their own time
    some, _ = swept(ocean, config, [state.flying[0], cohorts[-1]], resume=state)
    assert set(some) == {state.flying[0], cohorts[-1]}
    for cohort, result in some.items():
        assert_same(result, whole[cohort])


def test_where_a_sweep_begins_does_not_show_in_the_last_bit():
    """Each cohort alone begins its sweep at another snapshot, odd or even."""
    ocean = analytic_ocean(days=20, dx=16e3)
    config = dataclasses.replace(SMALL, every=1.5, collection=2.0, release_every=24.0, w=(300.0,))
    n = design_experiments(config.design, ocean).n_periods
    assert n >= 4
    cohorts = [Cohort(period, 300.0) for period in range(n)]
    whole, _ = swept(ocean, config, cohorts)
    for cohort in cohorts:
        alone, _ = swept(ocean, config, [cohort])
        assert_same(alone[cohort], whole[cohort])


def test_a_checkpoint_is_read_whole_or_not_at_all(tmp_path):
    ocean = analytic_ocean(days=20, dx=16e3)
    states = []
    swept(ocean, SMALL, [Cohort(0, 300.0)], on_checkpoint=states.append, checkpoint_every=0)
    path = tmp_path / "state.npz"
    checkpoint.save(path, "mine", states[2])
    assert checkpoint.load(path, "mine").index == states[2].index
    assert checkpoint.load(path, "another's") is None
    assert checkpoint.load(tmp_path / "absent.npz", "mine") is None
    content = path.read_bytes()
    for damage in (content[: len(content) // 2], content[:-1], b"", b"nonsense", _flipped(content)):
        path.write_bytes(damage)
        assert checkpoint.load(path, "mine") is None


def _flipped(content: bytes) -> bytes:
    """One bit in the middle of the largest array is wrong."""
    wrong = bytearray(content)
    wrong[len(wrong) // 2] ^= 4
    return bytes(wrong)


# -- the command -----------------------------------------------------------------------------------------------------


@pytest.mark.slow  # processes that are killed
@pytest.mark.parametrize("number", range(3))
def test_a_command_killed_at_a_random_moment_and_started_again_ends_with_the_same_bytes(
    number, reference, total, tmp_path, forked_run
):
    """kill -9 and Ctrl-C alone; kill -9 of a worker and of the command over it. (20 of them: tests.benchmarks.scaling kills.)"""
    rng = random.Random((36, 18, 15)[number])  # the first moments of these lie in the midst of the work
    out = tmp_path / "killed"
    workers = ["--workers", "2", "--block", "3"]
    plan = [[("SIGKILL", [])], [("SIGINT", []), ("SIGTERM", [])], [("worker", workers)]][number]
    for kind, extra in plan:
        print(kill_at_random([*SMALL_RUN, *extra], out, kind, rng, total, forked_run))
    assert command(out) == 0
    assert not unlike(contents(out), reference)
    assert not leftovers(out)


def interrupted_at(monkeypatch, out, windows: int):
    """A run that is cut off between two windows, having checkpointed each."""
    real, calls = lagrangian.checkpoint.save, []

    def save(path, identity, state):
        real(path, identity, state)
        calls.append(state.index)
        if len(calls) == windows:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("lagrangian.checkpoint.save", save)
        assert command(out) == 130
    return calls[-1]


@pytest.fixture(scope="module")
def cut_off(tmp_path_factory, no_picture):
    """A run that is cut off after 17 windows, and the snapshot that its checkpoint is of; tests take copies."""
    out = tmp_path_factory.mktemp("cut") / "cut"
    with pytest.MonkeyPatch.context() as patch:
        return out, interrupted_at(patch, out, 17)


@pytest.fixture
def cut(cut_off, tmp_path):
    """A copy of that run."""
    return shutil.copytree(cut_off[0], tmp_path / "cut")


def read_snapshots(monkeypatch):
    from data.croco import CrocoOcean

    real, read = CrocoOcean.snapshot, []
    monkeypatch.setattr(CrocoOcean, "snapshot", lambda self, index, *rest: (read.append(index), real(self, index, *rest))[1])
    return read


def test_what_was_in_flight_is_gone_on_with_and_nothing_read_twice(reference, cut, cut_off, monkeypatch):
    out, index = cut, cut_off[1]
    assert list((out / "checkpoints").glob("*.npz"))
    read = read_snapshots(monkeypatch)
    assert command(out) == 0
    # one after another, each once; the one that is read ahead when the last particle ends may be given up in time
    assert read == list(range(index, read[-1] - 1, -1)) and read[-1] in (0, 1)
    assert not unlike(contents(out), reference) and not leftovers(out)


def test_a_checkpoint_of_what_is_done_is_removed(cut, reference):
    out = cut
    (path,) = (out / "checkpoints").glob("*.npz")
    old = path.read_bytes()
    assert command(out) == 0
    path.parent.mkdir()
    path.write_bytes(old)
    assert command(out) == 0
    assert not leftovers(out) and not unlike(contents(out), reference)


def test_a_damaged_checkpoint_is_said_and_ignored(reference, cut, capsys):
    out = cut
    (path,) = (out / "checkpoints").glob("*.npz")
    path.write_bytes(path.read_bytes()[:5000])
    capsys.readouterr()
    assert command(out) == 0
    assert path.name in capsys.readouterr().out
    assert not unlike(contents(out), reference) and not leftovers(out)


def test_another_speed_joins_a_run_that_was_cut_off(reference, cut, monkeypatch):
    out = cut
    assert command(out, "--w", 500) == 0  # the checkpoint belongs to others, and stays
    assert list((out / "checkpoints").glob("*.npz"))
    read = read_snapshots(monkeypatch)
    assert command(out, "--w", 300) == 0  # a part of it
    assert command(out) == 0
    assert read
    found = contents(out)
    assert not unlike({name: value for name, value in found.items() if not name.startswith("w500")}, reference)
    assert not leftovers(out)


def test_a_second_command_on_a_folder_is_refused(tmp_path, capsys, no_picture):
    out = tmp_path / "busy"
    out.mkdir()
    with FolderLock(out):
        assert command(out) == 2
        text = line(capsys)
        assert f"process {os.getpid()}" in text and os.uname().nodename in text and str(out) in text
        assert sorted(path.name for path in out.iterdir()) == [".run.lock"]
    assert not list(out.iterdir())


def test_where_locks_do_not_work_the_file_says_who_holds_the_folder(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("data.system.fcntl.flock", no_locks)
    path = tmp_path / ".run.lock"
    with FolderLock(tmp_path), pytest.raises(Exception, match=f"process {os.getpid()}"), FolderLock(tmp_path):
        pass
    path.write_text(json.dumps({"pid": 2**22 + 1, "host": os.uname().nodename}))  # dead
    with FolderLock(tmp_path):
        pass
    path.write_text(json.dumps({"pid": 1, "host": "elsewhere"}))
    with pytest.raises(Exception, match="if it has died, remove"), FolderLock(tmp_path):
        pass


def test_sigterm_keeps_what_is_in_flight_at_the_next_window(reference, tmp_path, monkeypatch, forked_run):
    """As batch systems send it, some seconds before SIGKILL; long before the next checkpoint is due."""
    out = tmp_path / "told"
    change = (
        "import os, signal\nfrom data.croco import CrocoOcean\n"
        "real = CrocoOcean.snapshot\n"
        "def snapshot(self, index, *rest):\n"
        "    if index == 25: os.kill(os.getpid(), signal.SIGTERM)\n"
        "    return real(self, index, *rest)\n"
        "CrocoOcean.snapshot = snapshot\n"
    )
    assert forked_run.start([*SMALL_RUN, "--checkpoint", "1000"], out, change).wait(120) == -signal.SIGTERM
    (path,) = (out / "checkpoints").glob("*.npz")
    assert np.load(path)["particle_x"].size
    read = read_snapshots(monkeypatch)
    assert command(out) == 0
    assert max(read) <= 28
    assert not unlike(contents(out), reference) and not leftovers(out)


# -- what fails ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [30, 250])
def test_a_full_disk_ends_with_one_line_and_the_next_command_goes_on(after, reference, tmp_path, monkeypatch, capsys):
    """While stores are laid out, and while they are being filled."""
    out = tmp_path / "full"
    calls = []

    def counted(real, *arguments, **options):
        calls.append(1)
        if len(calls) > after:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*arguments, **options)

    with monkeypatch.context() as patch:
        for module, name in ((zarr.storage._local, "_put"), (data.chunks, "renamed")):
            patch.setattr(module, name, partial(counted, getattr(module, name)))
        assert command(out) == 2
    text = line(capsys)
    assert "No space left on device" in text and "free space" in text
    assert command(out) == 0
    assert not unlike(contents(out), reference) and not leftovers(out)


def test_a_full_disk_under_a_checkpoint_keeps_the_one_before(reference, tmp_path, monkeypatch, capsys):
    out = tmp_path / "full"
    real, calls = np.savez, []

    def savez(file, **arrays):
        calls.append(1)
        if len(calls) > 15:
            file.write(b"some of it")
            raise OSError(errno.ENOSPC, "No space left on device")
        real(file, **arrays)

    with monkeypatch.context() as patch:
        patch.setattr("lagrangian.checkpoint.np.savez", savez)
        assert command(out) == 2
    text = line(capsys)
    assert "No space left on device" in text and "free space" in text
    assert not list(out.rglob("*.aside")) and len(list(out.rglob("*.npz"))) == 1
    read = read_snapshots(monkeypatch)
    assert command(out) == 0
    assert max(read) < 45
    assert not unlike(contents(out), reference) and not leftovers(out)


def test_an_input_that_vanishes_midway_ends_with_one_line_and_a_checkpoint(reference, tmp_path, monkeypatch, capsys):
    from data.croco import CrocoOcean

    out = tmp_path / "gone"
    real = CrocoOcean.snapshot

    def snapshot(self, index, variables=()):
        if index == 25:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", "croco_his.nc")
        return real(self, index, variables)

    with monkeypatch.context() as patch:
        patch.setattr(CrocoOcean, "snapshot", snapshot)
        assert command(out, "--checkpoint", 1000) == 2
    text = line(capsys)
    assert "croco_his.nc" in text and "give the same command again" in text
    read = read_snapshots(monkeypatch)
    assert command(out) == 0
    assert max(read) == 26
    assert not unlike(contents(out), reference)


def after_the_sweep(monkeypatch, finished, out: Path, harm):
    """Exit code of the command where ``harm()`` is done between its sweep and its look at the stores.

    The stores are filled with what the sweep of ``finished`` left there.
    """
    _, swept, given = finished

    def sweep(*_):
        for store in swept.rglob("*.zarr.partial"):
            shutil.copytree(store, out / store.relative_to(swept), dirs_exist_ok=True)
        harm()
        return given

    with monkeypatch.context() as patch:
        patch.setattr("lagrangian.run._sweep", sweep)
        return command(out)


@pytest.mark.parametrize("chunk", ["w400/particles.zarr.partial/status/c/1/0",
                                   "fields.zarr.partial/ssh/c/3/0/0"])  # fmt: skip
def test_a_damaged_chunk_ends_with_one_line_and_is_made_again(chunk, finished, reference, tmp_path, monkeypatch, capsys):
    out = tmp_path / "damaged"
    path = out / chunk
    assert after_the_sweep(monkeypatch, finished, out, lambda: path.write_bytes(path.read_bytes()[:10])) == 2
    text = line(capsys)
    assert chunk.split(".partial")[0] in text and "damaged" in text
    assert command(out) == 0
    assert not unlike(contents(out), reference) and not leftovers(out)


def test_damaged_metadata_of_an_unfinished_store_gets_one_line_that_says_what_to_remove(cut, capsys, reference):
    out = cut
    store = out / "w300" / "particles.zarr.partial"
    (store / "x" / "zarr.json").write_text('{"zarr_form')
    capsys.readouterr()
    assert command(out) == 2
    text = line(capsys)
    assert str(store) in text and "remove it" in text
    shutil.rmtree(store)
    assert command(out) == 0
    assert not unlike(contents(out), reference)


def damage(path: Path, how: str) -> None:
    assert path.exists()
    if how == "lost":
        path.unlink()
    else:
        path.write_bytes(_flipped(path.read_bytes()))


@pytest.mark.parametrize(
    ("chunk", "how"),
    [
        ("w300/pdf.zarr.partial/counts/c/1/0/0/0", "lost"),
        ("w300/pdf.zarr.partial/counts/c/2/0/0/0", "flipped"),
        ("w400/particles.zarr.partial/x/c/1/0/0", "lost"),
        ("w400/particles.zarr.partial/x/c/0/0/0", "flipped"),
        ("w300/trajectories.zarr.partial/z/c/1/0", "lost"),
        ("fields.zarr.partial/u/c/2/0/0/0", "lost"),
        ("fields.zarr.partial/written/c/1", "flipped"),
    ],
)
def test_no_chunk_is_lost_or_wrong_by_a_bit_unnoticed(chunk, how, finished, reference, tmp_path, monkeypatch, capsys):
    out = tmp_path / "damaged"
    assert after_the_sweep(monkeypatch, finished, out, lambda: damage(out / chunk, how)) == 2
    text = line(capsys)
    assert chunk.split(".partial")[0] in text and "damaged or missing" in text
    assert command(out) == 0
    assert not unlike(contents(out), reference) and not leftovers(out)


def test_a_finished_store_that_is_damaged_later_is_named_and_made_whole(finished, reference, tmp_path, capsys):
    out = shutil.copytree(finished[0], tmp_path / "later")
    damage(out / "w300/pdf.zarr/counts/c/1/0/0/0", "flipped")
    with pytest.raises(StoreError, match=r"w300/pdf.zarr/counts/c/1/0/0/0 is damaged .* lagrangian.run"):
        open_pdf(out / "w300/pdf.zarr")["pdf"].values  # noqa: B018
    damage(out / "w300/particles.zarr/status/c/2/0", "lost")
    damage(out / "fields.zarr/ssh/c/3/0/0", "flipped")
    capsys.readouterr()
    assert command(out) == 0
    told = capsys.readouterr().out
    assert "2 of" in told and "fields.zarr" in told and told.count("made again") == 2
    assert not unlike(contents(out), reference) and not leftovers(out)


def test_files_that_changed_under_their_names_are_noticed(tmp_path, capsys, no_picture):
    """Copied elsewhere: a note. Other values: refused. Another version of the program: a note."""
    file, out = tmp_path / "croco_his.nc", tmp_path / "run"
    shutil.copy(SAMPLE, file)
    options = ["--ocean", file, "--w", 400, "--end", "2000-04-10"]
    assert command(out, "--ocean", file) == 0
    capsys.readouterr()
    os.utime(file, (1, 1))
    record = json.loads((out / "run.json").read_text())
    record["sources"] = ["of-before"]
    (out / "run.json").write_text(json.dumps(record))
    assert command(out, "--ocean", file) == 0
    told = capsys.readouterr().out
    assert "croco_his.nc: changed or copied" in told and "another version of the program (of-before" in told
    assert command(out, "--ocean", file) == 0
    told = capsys.readouterr().out
    assert "changed or copied" not in told and "another version" not in told
    new = tmp_path / "new.nc"
    shutil.copy(SAMPLE, new)
    new.chmod(0o644)
    with netCDF4.Dataset(new, "a") as dataset:
        middle = dataset["u"].shape[0] // 2
        dataset["u"][middle] = 0.5 * dataset["u"][middle]
    new.replace(file)
    assert command(out, "--ocean", file, "--w", 500) == 2
    text = line(capsys)
    assert "other values of u, v or zeta" in text and "another --out" in text
    assert not (out / "w500").exists()
    shutil.copy(SAMPLE, file)
    assert command(out, *options) == 2
    text = line(capsys)
    assert "collection periods were 3 from 2000-04-" in text and "now 1 from 2000-04-" in text
