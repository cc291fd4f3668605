"""The console script ``catchment``: finds the toolkit's own packages, whatever lies in the user's folder, and hands over.

Its packages have plain names (``data``, ``evaluation``). An empty entry of PYTHONPATH, as ``PYTHONPATH=$PYTHONPATH:/some/where``
makes where nothing was set, puts the working folder first, and a file ``data.py`` in it would be taken for the toolkit's.
"""

from __future__ import annotations

import os
import sys

PACKAGES = ("data", "lagrangian", "learning", "evaluation")


def main() -> int:
    """The exit code of ``catchment …``."""
    sys.path[:] = ordered(sys.path, os.path.dirname(os.path.realpath(__file__)))
    from data.console import main as console

    return console()


def ordered(paths: list[str], root: str) -> list[str]:
    """``paths`` with those last that hold modules called as the toolkit's packages are, which lie in ``root``."""
    clashing = [path for path in paths if os.path.realpath(path or ".") != root and _holds_packages(path)]
    return [path for path in paths if path not in clashing] + clashing


def _holds_packages(path: str) -> bool:
    names = [name for package in PACKAGES for name in (f"{package}.py", os.path.join(package, "__init__.py"))]
    return any(os.path.exists(os.path.join(path, name)) for name in names)


if __name__ == "__main__":
    sys.exit(main())
