"""Scores, networks, oceans and sites that other packages add without editing the toolkit, by entry point or decorator.

A package declares entry points, which every command and every worker finds::

    [project.entry-points."catchment.oceans"]
    gyre = "my_package:open_gyre"

A script registers the same objects before it calls a command or a function of the library::

    @register_ocean("gyre")
    def open_gyre(argument): ...

========= ==================== ================================================================================================
what      group                object
========= ==================== ================================================================================================
ocean     catchment.oceans     ``open(argument: str) -> data.ocean.Ocean``, for ``--ocean NAME:ARGUMENT``
score     catchment.scores     ``score(p, q) -> (n,)`` of true and predicted PDFs (n, y, x) that sum to 1 or less
network   catchment.networks   ``build(n_channels, n_maps, architecture) -> torch.nn.Module`` from normalised inputs
                               (n, n_channels, y, x) to logits (n, n_maps, y, x), for ``--architecture NAME``
site      catchment.sites      :class:`data.sites.Site`, for ``--site NAME``
========= ==================== ================================================================================================
"""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Callable
from typing import Any

from data.errors import CatchmentError, InputError, OptionError

#: Names are typed in options and become parts of file names and columns; one letter would be a drive of Windows.
NAME = re.compile(r"[a-z][a-z0-9_-]+")


class Registry:
    """Objects of one kind by name: those registered here, then those of entry points, which are imported when asked for.

    Parameters
    ----------
    kind : str
        What the objects are, in the singular; the group of entry points is ``catchment.<kind>s``.
    taken : collection of str
        Names that the toolkit itself uses.
    """

    def __init__(self, kind: str, taken: tuple[str, ...] = ()):
        self.kind, self.group, self.taken = kind, f"catchment.{kind}s", frozenset(taken)
        self._registered: dict[str, Any] = {}

    def register(self, name: str, thing: Any) -> None:
        """Keep ``thing`` under ``name``.

        Raises
        ------
        OptionError
            The name is no name (:data:`NAME`), is the toolkit's, or another object has it.
        """
        if not NAME.fullmatch(name):
            raise OptionError(f"{self.kind} {name!r}: give a name of two or more small letters, digits, - and _")
        if name in self.taken or self._registered.get(name, thing) is not thing:
            raise OptionError(f"{self.kind} {name!r} is there already: choose another name")
        self._registered[name] = thing

    def decorator(self, name: str) -> Callable[[Any], Any]:
        """The decorator ``@register(name)`` of a function or class."""

        def keep(thing):
            self.register(name, thing)
            return thing

        return keep

    def names(self) -> list[str]:
        """All names, sorted. Nothing is imported."""
        return sorted({*self._registered, *self._entry_points()})

    def __contains__(self, name: str) -> bool:
        # what can be no name, as a place in degrees, is not looked for among all installed packages
        return name in self._registered or (bool(NAME.fullmatch(name)) and name in self._entry_points())

    def get(self, name: str) -> Any:
        """The object of a name.

        Raises
        ------
        OptionError
            There is none of that name; or its package cannot be imported.
        """
        if name not in self._registered:
            entry = self._entry_points().get(name)
            if entry is None:
                names = ", ".join([*sorted(self.taken), *self.names()]) or "none"
                raise OptionError(f"no {self.kind} {name!r} is registered (there are: {names}); install the package that has it")
            try:
                self._registered[name] = entry.load()
            except CatchmentError:
                raise
            except Exception as error:  # whatever the module of another author raises
                line = (str(error).splitlines() or [""])[0]
                raise OptionError(
                    f"{self.kind} {name!r} ({entry.value}) cannot be imported: {type(error).__name__}: {line}; mend its package"
                ) from error
        return self._registered[name]

    def _entry_points(self) -> dict[str, importlib.metadata.EntryPoint]:
        entries = importlib.metadata.entry_points(group=self.group)
        return {entry.name: entry for entry in entries if NAME.fullmatch(entry.name) and entry.name not in self.taken}


OCEANS = Registry("ocean", taken=("twin",))
SCORES = Registry("score", taken=("bl", "f", "emd_km", "hellinger", "jensen_shannon"))
NETWORKS = Registry("network", taken=("paper", "residual"))
SITES = Registry("site")

register_ocean = OCEANS.decorator
register_score = SCORES.decorator
register_network = NETWORKS.decorator


def register_site(site) -> None:
    """Make a :class:`data.sites.Site` known by its name."""
    SITES.register(site.name, site)


def registered_ocean(option: tuple[str, ...]) -> tuple[Callable, str] | None:
    """Opener and argument where ``--ocean`` is ``NAME:ARGUMENT`` (or ``NAME:``) of a registered ocean; None for all else.

    Raises
    ------
    OptionError
        More is given beside it, or its package cannot be imported.
    """
    for word in option:
        name, colon, argument = word.partition(":")
        if colon and name in OCEANS:
            if len(option) > 1:
                raise OptionError(f"--ocean takes either {word!r} or files, not both")
            return OCEANS.get(name), argument
    return None


def opened(word: str, opener: Callable, argument: str):
    """The ocean of a registered opener; an error line names the parts of :class:`data.ocean.Ocean` that the ocean lacks.

    Raises
    ------
    InputError
        It fails, or gives no ocean.
    """
    try:
        ocean = opener(argument)
    except CatchmentError:
        raise
    except Exception as error:  # whatever the function of another author raises
        line = (str(error).splitlines() or [""])[0]
        raise InputError(f"--ocean {word}: its opener fails: {type(error).__name__}: {line}") from error
    lacking = [name for name in ("grid", "vertical", "times", "variables", "description", "snapshot") if not hasattr(ocean, name)]
    if lacking:
        raise InputError(f"--ocean {word}: the ocean that its opener returns lacks {', '.join(lacking)} of data.ocean.Ocean")
    return ocean
