"""Places where long sediment-trap series stand, and the reading of the ``--site`` option."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from data import registry
from data.errors import OptionError, need

#: No place is farther from the origin of a Cartesian grid, m.
MAX_METRES = 1e8


@dataclass(frozen=True)
class Site:
    """A mooring, or a place that a user gives.

    Attributes
    ----------
    name : str
    x, y : float
        Longitude and latitude in degrees, or x and y in metres.
    title : str
        What it is.
    trap_depths : tuple of float
        Nominal depths of its traps, m, positive down; the first is the default of ``--trap-depth``. Empty where traps drift.
    source : str
        Where position and depths are from.
    """

    name: str
    x: float
    y: float
    title: str = ""
    trap_depths: tuple[float, ...] = ()
    source: str = ""


#: Nominal positions and depths of long series of moored traps; the paper's introduction names the first of them.
SITES = {
    site.name: site
    for site in (
        Site(
            "pap-so", -16.5, 49.0, "Porcupine Abyssal Plain Sustained Observatory, NE Atlantic", (3000.0,),
            "Lampitt et al. 2001, Prog. Oceanogr. 50, 27-63; Hartman et al. 2021, doi:10.1016/j.pocean.2020.102508",
        ),
        Site(
            "bats", -64.167, 31.667, "Bermuda Atlantic Time-series Study, Sargasso Sea: traps drift (moored ones: ofp)", (),
            "BCO-DMO data set 894099: arrays at 150, 200 and 300 m that drift for 72 hours",
        ),
        Site(
            "ofp", -64.167, 31.833, "Oceanic Flux Program, Sargasso Sea", (3200.0, 1500.0, 500.0),
            "Conte and Weber 2014, doi:10.5670/oceanog.2014.17; BCO-DMO data set 704722",
        ),
        Site(
            "station-m", -123.0, 34.833, "Station M, NE Pacific: traps 600 and 50 m above the floor", (3500.0, 4050.0),
            "Smith et al. 2017, doi:10.5670/oceanog.2017.425; Smith et al. 2001 (600 and 50 m above 4100 m)",
        ),
        Site(
            "dyfamed", 7.867, 43.417, "DYFAMED, Ligurian Sea", (1000.0, 200.0),
            "Miquel et al. 2011, Prog. Oceanogr. 91, 461-481 (fixed depths since 1986); position: doi:10.1594/PANGAEA.759556",
        ),
        Site(
            "aloha", -158.0, 22.75, "Station ALOHA, North Pacific subtropical gyre", (4000.0,),
            "Karl et al. 2012, Predictable and efficient carbon sequestration in the North Pacific Ocean, PNAS 109, 1842-1849",
        ),
        Site(
            "k2", 160.0, 47.0, "Station K2, western subarctic Pacific", (4810.0, 500.0),
            "Honda and Kawakami 2014, doi:10.1002/2014GL060126; Honda 2020, doi:10.3389/feart.2020.00366",
        ),
        Site(
            "hausgarten", 4.0, 79.0, "HAUSGARTEN central station, Fram Strait", (2364.0, 1296.0, 196.0),
            "Lalande et al. 2016, doi:10.1594/PANGAEA.859549; position: doi:10.1594/PANGAEA.714845",
        ),
        Site(
            "cariaco", -64.67, 10.5, "CARIACO, Cariaco Basin: narrower than most models resolve", (1205.0, 807.0, 407.0, 226.0),
            "Thunell and Tappa, Sediment trap data from the CARIACO Ocean Time Series (1995-2010), PANGAEA",
        ),
        Site(
            "estoc", -15.5, 29.167, "ESTOC, Canary Islands", (3000.0, 1000.0, 700.0),
            "PLOCAN, sediment traps mooring (3000 and 1000 m since 1991); Neuer et al. 2002, doi:10.1594/PANGAEA.779549",
        ),
        Site(
            "sots", 142.0, -47.0, "Southern Ocean Time Series, south-west of Tasmania", (3800.0, 2000.0, 1000.0),
            "IMOS, SAZ sediment trap mooring; Trull et al. 2010, doi:10.1109/OCEANSSYD.2010.5603514",
        ),
    )
}  # fmt: skip
#: Other names of the same places.
ALIASES = {
    "pap": "pap-so", "papso": "pap-so", "stationm": "station-m", "station-aloha": "aloha", "hot": "aloha", "saz": "sots",
    "fram-strait": "hausgarten", "hg-iv": "hausgarten", "bermuda": "ofp",
}  # fmt: skip


def parse_site(text: str) -> Site:
    """A site-table name, or ``LON,LAT`` in degrees (``X,Y`` in metres on a Cartesian grid).

    Raises
    ------
    OptionError
        If the text is neither.

    >>> parse_site("PAP-SO").x, parse_site("-20.3,44.9").y
    (-16.5, 44.9)
    """
    need(isinstance(text, str), f"--site {text!r}: must be text, a name of the site table or 'LON,LAT'")
    if text.lower() in SITES:
        return SITES[text.lower()]
    if text.lower() in registry.SITES:
        return registry.SITES.get(text.lower())
    parts = text.split(",")
    try:
        x, y = (float(part) for part in parts)
    except ValueError:
        names = ", ".join([*SITES, *registry.SITES.names()])
        raise OptionError(f"--site {text!r} is neither LON,LAT nor one of the known sites{_meant(text)}: {names}") from None
    finite = abs(x) < MAX_METRES and abs(y) < MAX_METRES
    need(finite, f"--site {text}: must be two numbers, LON,LAT in degrees (X,Y in metres on a Cartesian grid)")
    return Site(f"{x:g},{y:g}", x, y)


def _meant(text: str) -> str:
    """Names of known sites close to a text, in brackets, for an error line; empty if there are none."""
    plain = text.lower().strip().replace(" ", "-").replace("_", "-")
    near = difflib.get_close_matches(plain, [*SITES, *registry.SITES.names(), *ALIASES], n=3, cutoff=0.6)
    names = list(dict.fromkeys(ALIASES.get(name, name) for name in near))
    words = [site.name for site in SITES.values() if len(plain) > 3 and plain.replace("-", " ") in site.title.lower()]
    names = list(dict.fromkeys([*names, *words]))[:3]
    return f" (perhaps {' or '.join(names)})" if names else ""
