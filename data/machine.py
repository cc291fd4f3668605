"""What the machine has: memory and free disk, which requests are compared with before they are begun."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from data.errors import OptionError, StoreError

GB = 1e9


def memory_bytes() -> float:
    """Physical memory, bytes; infinite where the system does not tell."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return float("inf")


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
