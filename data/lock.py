"""One command at a time in an output folder: a lock that the kernel releases when its holder dies, however it dies."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from data import system
from data.errors import StoreError, cannot_write

#: Seconds between two attempts of a command that waits.
PATIENCE = 0.5


#: Seconds that a worker gives the lock file to show itself (network file systems remember for a while that it was not there).
SEEN_SECONDS = 60.0


class FolderBusy(StoreError):
    """Another command holds the folder."""


class CommandGone(StoreError):
    """The command that a worker works for no longer holds its folder."""


@dataclass(frozen=True)
class Claim:
    """That the command of one word holds a folder, as its workers on any host see it.

    Nothing can stop a task that has begun, so that a command that ends may leave workers at work, in a folder that belongs to
    the next. They ask before they write.
    """

    path: Path
    word: str

    def check(self) -> None:
        """See that the command still holds the folder.

        Raises
        ------
        CommandGone
            It has ended, and maybe another has begun.
        """
        if not self._holds():
            raise CommandGone(f"{self.path.parent} is no longer held by the command of this work; what was finished is kept")

    def wait(self) -> None:
        """:meth:`check`, with patience for a file system that shows the lock late."""
        until = time.monotonic() + SEEN_SECONDS
        while not self._holds() and self._word() is None and time.monotonic() < until:
            time.sleep(PATIENCE)
        self.check()

    def _holds(self) -> bool:
        return self._word() == self.word

    def _word(self) -> str | None:
        try:
            return json.loads(self.path.read_bytes()).get("word")
        except (FileNotFoundError, ValueError, AttributeError):
            return None
        except OSError:  # a network that hesitates is no reason to give up
            return self.word


class FolderLock:
    """Holds ``FOLDER/NAME.lock``; a context manager.

    The lock is one of the system's (flock; on Windows of a byte of the file), so that ``kill -9`` leaves none behind. The file
    names its holder (host, process id, since when, a word that no other command has): for the line of the command that is
    refused, for the holder's workers (:class:`Claim`), and for file systems without locks, where a holder on another host cannot
    be asked whether it still runs.

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
        self.word = uuid.uuid4().hex
        self._file: int | None = None

    @property
    def claim(self) -> Claim:
        """What workers check."""
        return Claim(self.path.resolve(), self.word)

    def __enter__(self) -> FolderLock:
        try:
            while True:
                # never through a symbolic link: in a folder that others write to, it could be of their making
                if not system.REFUSES_LINKS and self.path.is_symlink():
                    raise OSError(errno.ELOOP, "symbolic link")
                file = os.open(self.path, system.LOCK_FLAGS, 0o644)
                try:
                    self._take(file)
                    if not self._is_current(file):  # its holder removed it between our opening and our locking
                        os.close(file)
                        continue
                    system.write_start(file, json.dumps(_holder() | {"word": self.word}).encode())
                except BaseException:
                    os.close(file)
                    raise
                self._file = file
                return self
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise StoreError(f"{self.path} is a symbolic link, which a lock never is; remove it") from None
            raise cannot_write(self.path, error) from None

    def __exit__(self, *_) -> None:
        if self._file is not None:
            try:
                self.path.unlink()  # while it is still locked: who opened it before finds it replaced
            except OSError:  # Windows keeps a file that is open; an empty one is nobody's
                with contextlib.suppress(OSError):
                    os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None

    def _take(self, file: int) -> None:
        try:
            if not system.lock(file):
                self._judge(_read(file))
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
        with contextlib.suppress(ValueError, TypeError, OverflowError):
            if not system.lives(int(holder["pid"])):
                return
            raise self._refusal(holder, f"wait until it has ended; if it has died, remove {self.path}")

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
        held = os.fstat(file)
        return (there.st_ino, there.st_dev) == (held.st_ino, held.st_dev)


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
        content = json.loads(system.read_start(file, 4096))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
