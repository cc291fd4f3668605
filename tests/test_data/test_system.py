"""What other operating systems lack: the toolkit's locks hold without it, or refuse in one line (its imports: test_imports)."""

from __future__ import annotations

import errno
import os
import platform
import subprocess
import sys
import types

import pytest

from data import system
from data.files import remove_strays, written_aside
from data.lock import FolderBusy, FolderLock


def held(folder):
    with FolderLock(folder):
        return True


@pytest.mark.parametrize("links", [True, False])
def test_without_any_lock_of_the_systems_the_holder_that_the_file_names_is_asked(tmp_path, monkeypatch, links):
    monkeypatch.setattr(system, "fcntl", None)
    monkeypatch.setattr(system, "msvcrt", None)
    monkeypatch.setattr(system, "REFUSES_LINKS", links)
    with FolderLock(tmp_path) as lock:
        lock.claim.check()
        with pytest.raises(FolderBusy, match=rf"in use by another command \(process {os.getpid()} on .*if it has died, remove"):
            held(tmp_path)
    assert held(tmp_path) and not list(tmp_path.iterdir())
    dead = subprocess.Popen(["true"])
    dead.wait()
    (tmp_path / ".run.lock").write_text(f'{{"pid": {dead.pid}, "host": "{os.uname().nodename}", "word": "x"}}')
    assert held(tmp_path)
    (tmp_path / ".run.lock").symlink_to(tmp_path / "victim")
    with pytest.raises(Exception, match="is a symbolic link"):
        held(tmp_path)


class Windows(types.ModuleType):
    """msvcrt's locks, of bytes: one process-wide set stands for the system's table."""

    LK_NBLCK = 2

    def __init__(self):
        super().__init__("msvcrt")
        self.locked = {}

    def locking(self, file, mode, size):
        there = os.fstat(file)
        place = (there.st_dev, there.st_ino, os.lseek(file, 0, os.SEEK_CUR))
        holder = self.locked.get(place)
        if holder is not None and holder != file and _is_open(holder):
            raise PermissionError(errno.EACCES, "Permission denied")
        self.locked[place] = file


def _is_open(file):
    try:
        os.fstat(file)
    except OSError:
        return False
    return True


def test_on_windows_a_byte_is_locked_that_nobody_reads_and_a_file_that_cannot_be_removed_is_emptied(tmp_path, monkeypatch):
    monkeypatch.setattr(system, "fcntl", None)
    monkeypatch.setattr(system, "msvcrt", Windows())
    monkeypatch.setattr("pathlib.Path.unlink", lambda self, **_: (_ for _ in ()).throw(PermissionError(errno.EACCES, "in use")))
    with FolderLock(tmp_path) as lock:
        lock.claim.check()
        with pytest.raises(FolderBusy, match="wait until it has ended"):
            held(tmp_path)
    assert (tmp_path / ".run.lock").read_bytes() == b""
    with pytest.raises(Exception, match="no longer held"):
        lock.claim.check()
    assert held(tmp_path)


def test_no_process_is_sent_a_signal_on_windows(tmp_path, monkeypatch):
    monkeypatch.setattr(system.sys, "platform", "win32")
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("on Windows signal 0 is Ctrl-C"))
    stray = tmp_path / f"a.txt.{os.uname().nodename}-4000000-12345678.aside"
    stray.touch()
    remove_strays(tmp_path)
    assert stray.exists()
    with written_aside(tmp_path / "b.txt") as aside:
        aside.write_text("b")
    assert (tmp_path / "b.txt").read_text() == "b"


KEEPING = """
import resource, sys
import numpy as np
from data.machine import keep_freed_memory
if sys.argv[1:]:
    keep_freed_memory(int(sys.argv[1]))
for _ in range(4):
    began = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    held = [np.full(30_000_000, 1, np.uint8) for _ in range(5)]
    del held
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - began)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux") or platform.libc_ver()[0] != "glibc", reason="glibc's own numbers")
def test_memory_of_freed_arrays_is_kept_for_the_next_ones():
    faults = [
        int(subprocess.run([sys.executable, "-c", KEEPING, *words], capture_output=True, text=True, check=True).stdout)
        for words in ((), (str(256 * 2**20),))
    ]
    assert faults[0] > 500 > 50 > faults[1]  # pieces of memory that the system gives anew, one to many pages each
