"""Functions that differ between operating systems: locks, whether a process lives, reading at an offset, syncing a file.

Linux and macOS have ``fcntl``, Windows ``msvcrt``; where there is neither, nothing locks, and callers are told.
"""

from __future__ import annotations

import os
import sys
from typing import Any

try:
    import fcntl as _fcntl
except ImportError:  # Windows
    fcntl: Any = None
else:
    fcntl = _fcntl
try:
    import msvcrt as _msvcrt
except ImportError:  # all but Windows
    msvcrt: Any = None
else:
    msvcrt = _msvcrt

#: Flags with which a lock file is opened: never through a symbolic link, where the system can refuse that; bytes as they are.
LOCK_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
#: Whether the system itself refuses symbolic links.
REFUSES_LINKS = hasattr(os, "O_NOFOLLOW")
#: Offset of the locked byte on Windows, where locked bytes cannot be read: far beyond the end of a lock file.
LOCKED_BYTE = 2**30


def lock(file: int) -> bool:
    """Lock an open file for this process, without waiting: whether the system can lock at all.

    Raises
    ------
    BlockingIOError
        Another process holds it.
    OSError
        The file system cannot lock.
    """
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    if msvcrt is not None:
        os.lseek(file, LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except PermissionError as error:
            raise BlockingIOError(error.errno, "locked by another process") from None
        return True
    return False


def lives(pid: int) -> bool:
    """Whether a process of this machine runs; True where that cannot be told (on Windows signal 0 would be Ctrl-C)."""
    if sys.platform == "win32":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


def read_start(file: int, size: int) -> bytes:
    """The first bytes of an open file."""
    os.lseek(file, 0, os.SEEK_SET)
    return os.read(file, size)


def write_start(file: int, content: bytes) -> None:
    """Make ``content`` all that an open file holds."""
    os.ftruncate(file, 0)
    os.lseek(file, 0, os.SEEK_SET)
    os.write(file, content)


def open_for_disk(path: str | os.PathLike) -> int:
    """A descriptor of a file whose content is to be put on disk: Windows wants one that may write."""
    return os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0) if sys.platform == "win32" else os.O_RDONLY)
