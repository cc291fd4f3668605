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
#: Seconds that a worker waits for the lock file to appear (a network file system may tell a new file absent for a while).
SEEN_SECONDS = 60.0
#: Key of the holder's token in the lock file.
TOKEN_KEY = "word"


class FolderBusy(StoreError):
    """Another command holds the folder."""


class CommandGone(StoreError):
    """The command that a worker works for no longer holds its folder."""


@dataclass(frozen=True)
class Claim:
    """Proof, checkable from any host, that the command with this token still holds the folder lock.

    Nothing can stop a task that has begun. A command that ends may therefore leave workers at work in a folder that the next
    command holds, so workers check the claim before they write.

    Attributes
    ----------
    path : Path
        The lock file.
    token : str
        The token of the command that the workers work for.
    """

    path: Path
    token: str

    def check(self) -> None:
        """See that the command still holds the folder.

        Raises
        ------
        CommandGone
            The command has ended; another command may have begun.
        """
        if not self._holds():
            raise CommandGone(f"{self.path.parent} is no longer held by the command of this work; what was finished is kept")

    def wait(self) -> None:
        """:meth:`check`, with patience for a file system that shows the lock late."""
        until = time.monotonic() + SEEN_SECONDS
        while not self._holds() and self._token_in_file() is None and time.monotonic() < until:
            time.sleep(PATIENCE)
        self.check()

    def _holds(self) -> bool:
        return self._token_in_file() == self.token

    def _token_in_file(self) -> str | None:
        try:
            return json.loads(self.path.read_bytes()).get(TOKEN_KEY)
        except (FileNotFoundError, ValueError, AttributeError):
            return None
        except OSError:  # a network that hesitates is no reason to give up
            return self.token


class FolderLock:
    """Holds ``FOLDER/NAME.lock``; a context manager.

    The lock is one of the system's (flock; on Windows of a byte of the file), so that ``kill -9`` leaves none behind. The file
    names its holder (host, process id, begin, token): for the error line of a command that is refused, for the holder's
    workers (:class:`Claim`), and for file systems without locks, where a holder on another host may or may not still run.

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
        self.token = uuid.uuid4().hex
        self._file: int | None = None

    @property
    def claim(self) -> Claim:
        """The claim that this lock's workers check."""
        return Claim(self.path.resolve(), self.token)

    def __enter__(self) -> FolderLock:
        try:
            while True:
                # a symbolic link is never followed: in a folder that other users write to, the link could be theirs
                if not system.REFUSES_LINKS and self.path.is_symlink():
                    raise OSError(errno.ELOOP, "symbolic link")
                file = os.open(self.path, system.LOCK_FLAGS, 0o644)
                try:
                    self._take(file)
                    if not self._is_current(file):  # the holder removed the file between our opening and our locking
                        os.close(file)
                        continue
                    system.write_start(file, json.dumps(_holder() | {TOKEN_KEY: self.token}).encode())
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
                self.path.unlink()  # while the lock is held: a command that has opened the file finds that it was replaced
            except OSError:  # Windows keeps a file that is open; an empty lock file has no holder
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
        """On a file system without locks: refuse if the holder lives, or is on another host, where nobody can tell."""
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
            named = os.stat(self.path)
        except FileNotFoundError:
            return False
        locked = os.fstat(file)
        return (named.st_ino, named.st_dev) == (locked.st_ino, locked.st_dev)


@contextlib.contextmanager
def waiting_lock(folder: Path, name: str, *, meanwhile: Callable[[], object] = lambda: None) -> Iterator[None]:
    """:class:`FolderLock` of a folder that commands share: a command waits while another holds the folder.

    ``meanwhile`` is called between the attempts.
    """
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
    """The holder that the lock file names; empty if the file is empty or cannot be read."""
    try:
        content = json.loads(system.read_start(file, 4096))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
