"""One command at a time in an output folder: a lock that the kernel releases when its holder dies, however it dies."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from data.errors import StoreError, cannot_write

#: Seconds between two attempts of a command that waits.
PATIENCE = 0.5


class FolderBusy(StoreError):
    """Another command holds the folder."""


class FolderLock:
    """Holds ``FOLDER/NAME.lock``; a context manager.

    The lock is one of the kernel's (flock), so that ``kill -9`` leaves none behind. The file names its holder (host, process
    id, since when): for the line of the command that is refused, and for file systems without flock, where a holder on
    another host cannot be asked whether it still runs.

    Parameters
    ----------
    folder : Path
        Must exist.
    name : str
        Commands that may run side by side in one folder use different names.

    Raises
    ------
    FolderBusy
        Another process holds the lock.
    StoreError
        The file cannot be written.
    """

    def __init__(self, folder: Path, name: str = "run"):
        self.folder = Path(folder)
        self.path = self.folder / f".{name}.lock"
        self._file: int | None = None

    def __enter__(self) -> FolderLock:
        try:
            while True:
                file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
                try:
                    self._take(file)
                    if not self._is_current(file):  # its holder removed it between our opening and our locking
                        os.close(file)
                        continue
                    os.ftruncate(file, 0)
                    os.pwrite(file, json.dumps(_holder()).encode(), 0)
                except BaseException:
                    os.close(file)
                    raise
                self._file = file
                return self
        except OSError as error:
            raise cannot_write(self.path, error) from None

    def __exit__(self, *_) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self.path.unlink()  # while it is still locked: who opened it before finds it replaced
            os.close(self._file)
            self._file = None

    def _take(self, file: int) -> None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise self._refusal(_read(file), "wait until it has ended") from None
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL):
                raise
            self._judge(_read(file))

    def _judge(self, holder: dict) -> None:
        """Without flock: refuse a holder that lives, or that nobody here can tell is dead."""
        if not holder:
            return
        if holder.get("host") != socket.gethostname():
            raise self._refusal(holder, f"if it has died, remove {self.path}")
        with contextlib.suppress(ProcessLookupError, ValueError, TypeError):
            with contextlib.suppress(PermissionError):  # alive, and somebody else's
                os.kill(int(holder["pid"]), 0)
            raise self._refusal(holder, "wait until it has ended")

    def _refusal(self, holder: dict, mend: str) -> FolderBusy:
        who = "another command"
        if holder:
            who += f" (process {holder.get('pid')} on {holder.get('host')}, since {holder.get('since')})"
        return FolderBusy(f"{self.folder} is in use by {who}; {mend}, or choose another --out")

    def _is_current(self, file: int) -> bool:
        try:
            there = os.stat(self.path)
        except FileNotFoundError:
            return False
        ours = os.fstat(file)
        return (there.st_ino, there.st_dev) == (ours.st_ino, ours.st_dev)


@contextlib.contextmanager
def waiting_lock(folder: Path, name: str, *, meanwhile: Callable[[], object] = lambda: None) -> Iterator[None]:
    """:class:`FolderLock` for what commands share: one that finds it held waits, and calls ``meanwhile`` now and then."""
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(FolderLock(folder, name))
                break
            except FolderBusy:
                meanwhile()
                time.sleep(PATIENCE)
        yield


def _holder() -> dict:
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}


def _read(file: int) -> dict:
    """Who wrote the lock; empty where nobody has yet, or it cannot be read."""
    try:
        content = json.loads(os.pread(file, 4096, 0))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
