"""How much memory there is, and inputs that would never fit into it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

#: Where Linux tells the limit of a container, of both generations of control groups.
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def memory_of_machine() -> int | None:
    """Bytes of memory that this process can have at most: the machine's, or its container's; None where nothing tells."""
    found = []
    with contextlib.suppress(AttributeError, ValueError, OSError):
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for path in _LIMITS:
        try:
            found.append(int(path.read_text()))
        except (OSError, ValueError):
            continue
    return min(found, default=None)


def in_words(size: float) -> str:
    """A number of bytes for people: 21 kB, 6.4 GB."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.4g} TB"
