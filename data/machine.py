"""What the machine has: memory and free disk, which requests are compared with before they are begun."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from data.errors import OptionError, StoreError

GB = 1e9
#: Where Linux tells the limit of a container, of both generations of control groups.
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def memory_bytes() -> float:
    """Memory that this process can have at most, bytes: the machine's, or its container's; infinite where nothing tells."""
    found = [float("inf")]
    with contextlib.suppress(AttributeError, ValueError, OSError):
        found.append(float(os.sysconf("SC_PHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE"))
    for path in _LIMITS:
        with contextlib.suppress(OSError, ValueError):
            found.append(float(path.read_text()))
    return min(found)


def in_words(size: float) -> str:
    """A number of bytes for people: 21 kB, 6.4 GB."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.4g} TB"


def need_memory(wanted: float, what: str, mend: str) -> None:
    """OptionError where ``wanted`` bytes are more than the machine has."""
    there = memory_bytes()
    if wanted > there:
        raise OptionError(f"{what} would take about {wanted / GB:.3g} GB of memory; this machine has {there / GB:.3g} GB; {mend}")


def need_disk(folder: Path, wanted: float, what: str, mend: str) -> None:
    """StoreError where ``wanted`` bytes are more than is free on the disk of ``folder`` (which need not exist yet)."""
    place = next((one for one in (Path(folder), *Path(folder).absolute().parents) if one.exists()), None)
    try:
        free = shutil.disk_usage(place).free if place else wanted
    except OSError:  # a file system that does not tell
        return
    if wanted > free:
        raise StoreError(f"{what} would take about {wanted / GB:.3g} GB in {folder}; {free / GB:.3g} GB are free there; {mend}")
