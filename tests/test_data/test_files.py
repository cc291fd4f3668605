"""Files that are complete or absent, whoever writes them at once and whatever dies meanwhile; and how many cores there are."""

import errno
import os
import socket
import subprocess
import threading

import pytest

from data.command import read_json, write_json
from data.cores import cores
from data.errors import StoreError, cannot_write
from data.files import remove_strays, written_aside
from data.lock import Claim, CommandGone, FolderLock


def test_many_write_one_file_at_once(tmp_path):
    path, failures = tmp_path / "fit.json", []

    def write(who):
        for number in range(200):
            try:
                write_json(path, {"who": who, "number": number, "filling": "x" * 5000})
            except StoreError as error:
                failures.append(error)

    threads = [threading.Thread(target=write, args=(who,)) for who in range(3)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert not failures
    assert read_json(path)["number"] == 199 and list(tmp_path.iterdir()) == [path]


def test_what_fails_leaves_the_file_before_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("before")
    with pytest.raises(KeyboardInterrupt), written_aside(path) as aside:
        aside.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]


def test_strays_of_dead_processes_go_and_those_of_living_ones_stay(tmp_path):
    dead = subprocess.Popen(["true"])
    dead.wait()
    host = socket.gethostname()
    names = {
        "dead": f"a.txt.{host}-{dead.pid}-12345678.aside",
        "alive": f"a.txt.{host}-{os.getpid()}-12345678.aside",
        "afar": f"a.txt.other-host-{dead.pid}-12345678.aside",
        "another": f"b.txt.{host}-{dead.pid}-12345678.aside",
    }
    for name in names.values():
        (tmp_path / name).touch()
    with written_aside(tmp_path / "a.txt") as aside:
        aside.touch()
    left = {path.name for path in tmp_path.iterdir()} - {"a.txt"}
    assert left == {names["alive"], names["afar"], names["another"]}
    remove_strays(tmp_path)
    assert not (tmp_path / names["another"]).exists() and (tmp_path / names["alive"]).exists()


@pytest.mark.parametrize(
    ("number", "mend"),
    [(errno.ENOSPC, "free space"), (errno.EACCES, "make it writable"), (errno.EROFS, "make it writable")],
)
def test_what_would_mend_it_depends_on_why_it_cannot_be_written(number, mend):
    text = str(cannot_write("out", OSError(number, os.strerror(number))))
    assert mend in text and ("free space" in text) == (mend == "free space")


def test_a_system_that_does_not_say_which_cores_are_ours(monkeypatch):
    assert cores() >= 1
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert cores() == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cores() == 1


def test_a_claim_holds_as_long_as_its_command_does(tmp_path, monkeypatch):
    monkeypatch.setattr("data.lock.SEEN_SECONDS", 0.2)
    monkeypatch.setattr("data.lock.PATIENCE", 0.01)
    with FolderLock(tmp_path) as lock:
        claim = lock.claim
        claim.check()
        late = Claim(tmp_path / ".late.lock", "late")
        thread = threading.Timer(0.05, lambda: late.path.write_text('{"word": "late"}'))
        thread.start()
        late.wait()  # a file system that shows it late
    with pytest.raises(CommandGone):
        claim.check()
    with FolderLock(tmp_path), pytest.raises(CommandGone):
        claim.wait()
