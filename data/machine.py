"""Memory and free disk of the machine; commands compare their needs with these before work begins."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import shutil
import sys
from pathlib import Path

from data.errors import OptionError, StoreError

GB = 1e9
#: Where Linux tells the limit of a container, of both generations of control groups.
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
#: Parameters of glibc's mallopt (malloc.h), and the largest size of an array whose memory can be kept.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, KEPT_BYTES = -1, -3, 32 * 2**20


def memory_bytes() -> float:
    """Memory that this process can have at most, bytes: the machine's, or its container's; infinite where nothing tells."""
    limits = [float("inf")]
    with contextlib.suppress(AttributeError, ValueError, OSError):
        limits.append(float(os.sysconf("SC_PHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE"))
    for path in _LIMITS:
        with contextlib.suppress(OSError, ValueError):
            limits.append(float(path.read_text()))
    return min(limits)


def peak_memory() -> float | None:
    """Most memory that this process has had, bytes; None where the system does not tell."""
    with contextlib.suppress(OSError, StopIteration, ValueError, IndexError):  # Linux; getrusage tells of the parent too there
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * float(next(line for line in lines if line.startswith("VmHWM:")).split()[1])
    try:
        import resource
    except ImportError:  # Windows
        return None
    most = float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return most if sys.platform == "darwin" else 1024 * most


def bytes_read() -> int | None:
    """Bytes that this process has read from files so far; None where the system does not tell (all but Linux)."""
    try:
        lines = Path("/proc/self/io").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("rchar:")).split()[1])
    except (OSError, StopIteration, ValueError, IndexError):
        return None


def free_disk(folder: Path) -> float | None:
    """Bytes free on the disk of a folder, which need not exist yet; None where the file system does not tell."""
    place = next((path for path in (Path(folder), *Path(folder).absolute().parents) if path.exists()), None)
    try:
        return float(shutil.disk_usage(place).free) if place else None
    except OSError:
        return None


def in_words(size: float) -> str:
    """A number of bytes for people: 21 kB, 6.4 GB."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.4g} TB"


def need_memory(wanted: float, what: str, mend: str) -> None:
    """OptionError where ``wanted`` bytes are more than the machine has."""
    free = memory_bytes()
    if wanted > free:
        raise OptionError(f"{what} would take about {wanted / GB:.3g} GB of memory; this machine has {free / GB:.3g} GB; {mend}")


def need_disk(folder: Path, wanted: float, what: str, mend: str) -> None:
    """StoreError where ``wanted`` bytes are more than is free on the disk of ``folder`` (which need not exist yet)."""
    free = free_disk(folder)
    if free is None:
        return
    if wanted > free:
        raise StoreError(f"{what} would take about {wanted / GB:.3g} GB in {folder}; {free / GB:.3g} GB are free there; {mend}")


@functools.cache
def keep_freed_memory(most: int = 2 * KEPT_BYTES) -> None:
    """Let the C library keep the memory of freed arrays, ``most`` bytes, for the next ones; by default what it comes to itself.

    To get memory from the system costs as much as to compute the numbers that fill it.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):  # other C libraries have no such numbers
        library = ctypes.CDLL(None)
        library.mallopt(_M_TRIM_THRESHOLD, most)
        library.mallopt(_M_MMAP_THRESHOLD, KEPT_BYTES)
