"""What the tests of several processes read, built by the first that asks for it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from data.lock import waiting_lock


def built_once(tmp_path_factory, name: str, build: Callable[[Path], object]) -> Path:
    """A folder of this test run, built once for all workers of pytest-xdist; who uses it must not change it.

    Parameters
    ----------
    name : str
        Of the folder.
    build : callable
        Fills the folder, which does not exist, at the path that it is given. Where it fails, the next process tries anew.
    """
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent  # that of all workers
    folder, done = root / "once" / name, root / "once" / f"{name}.done"
    folder.parent.mkdir(exist_ok=True)
    with waiting_lock(folder.parent, name):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            build(folder)
            done.touch()
    return folder
