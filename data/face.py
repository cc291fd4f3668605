"""The public face of a package: a few names, each imported from its module at the name's first use.

numba, torch and cartopy take seconds to import; ``import lagrangian`` must not.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazy(package: str, names: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of a package whose public ``names`` come from the modules they map to.

    >>> find, _ = lazy("data", {"Site": "data.sites"})
    >>> find("Site").__name__
    'Site'
    >>> find("Sight")
    Traceback (most recent call last):
    AttributeError: the package 'data' has no public name 'Sight'; it has Site
    """

    def find(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"the package {package!r} has no public name {name!r}; it has {', '.join(sorted(names))}")
        try:
            module = importlib.import_module(names[name])
        except ModuleNotFoundError as error:
            from data.commands import install_line

            if line := install_line(error.name or ""):
                raise ImportError(f"{package}.{name}: {line}", name=error.name) from None
            raise
        return module if names[name] == f"{package}.{name}" else getattr(module, name)

    return find, lambda: sorted(names)
