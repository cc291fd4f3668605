"""Places where long sediment-trap series stand, and the reading of the ``--site`` option."""

from __future__ import annotations

from dataclasses import dataclass

from data.errors import OptionError, need

#: No place is farther from the origin of a Cartesian grid, m.
MAX_METRES = 1e8


@dataclass(frozen=True)
class Site:
    """A mooring: name, longitude and latitude in degrees (or x and y in metres), and what it is."""

    name: str
    x: float
    y: float
    title: str = ""


#: Nominal positions of the long deep-trap series that the paper's introduction names.
SITES = {
    site.name: site
    for site in (
        Site("pap-so", -16.5, 49.0, "Porcupine Abyssal Plain Sustained Observatory, NE Atlantic"),
        Site("bats", -64.167, 31.667, "Bermuda Atlantic Time-series Study, Sargasso Sea"),
        Site("ofp", -64.25, 31.833, "Oceanic Flux Program, Sargasso Sea"),
        Site("station-m", -123.0, 34.833, "Station M, NE Pacific"),
        Site("dyfamed", 7.867, 43.417, "DYFAMED, Ligurian Sea"),
        Site("aloha", -158.0, 22.75, "Station ALOHA, North Pacific subtropical gyre"),
    )
}


def parse_site(text: str) -> Site:
    """A site-table name, or ``LON,LAT`` in degrees (``X,Y`` in metres on a Cartesian grid).

    Raises
    ------
    OptionError
        If the text is neither.

    >>> parse_site("PAP-SO").x, parse_site("-20.3,44.9").y
    (-16.5, 44.9)
    """
    if text.lower() in SITES:
        return SITES[text.lower()]
    parts = text.split(",")
    try:
        x, y = (float(part) for part in parts)
    except ValueError:
        raise OptionError(f"--site {text!r} is neither LON,LAT nor one of the known sites: {', '.join(SITES)}") from None
    finite = abs(x) < MAX_METRES and abs(y) < MAX_METRES
    need(finite, f"--site {text}: must be two numbers, LON,LAT in degrees (X,Y in metres on a Cartesian grid)")
    return Site(f"{x:g},{y:g}", x, y)
