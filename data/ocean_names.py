"""Names of an ocean in stores (the attribute ``source``), on pictures and in the report; the twin's name says "idealised"."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from data.sites import SITES, parse_site

#: The twin's name. What bears it has no place on Earth: no coastline, and no site of that name.
IDEALISED = "idealised twin ocean"
#: Names of the kinds of files.
KINDS = {"croco": "CROCO/ROMS", "nemo": "NEMO", "lonlat": "longitude-latitude-depth", "pop": "POP", "mitgcm": "MITgcm",
         "mom6": "MOM6"}  # fmt: skip


def ocean_title(description: Mapping) -> str:
    """Name of an ocean from its description (:class:`data.ocean.Ocean`); empty where that says nothing."""
    if description.get("title"):
        return str(description["title"])
    kind = str(description.get("kind", ""))
    if kind == "twin":
        return twin_title(int(description.get("seed", 0)))
    files = [Path(str(name)).name for name in description.get("files", ())]
    if not files:
        return kind
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return f"{KINDS.get(kind, kind)} simulation, {files[0]}{more}".strip()


def twin_title(seed: int) -> str:
    """Name of a twin ocean; another seed is another ocean."""
    return f"{IDEALISED}, seed {seed}"


def is_idealised(source) -> bool:
    """Whether an attribute ``source`` names an ocean that has no place on Earth."""
    return IDEALISED in str(source or "").lower()


def site_attribute(source: str, site: str) -> str:
    """The attribute ``site`` of a store: that of an idealised ocean is a position, never the name of a mooring."""
    if not is_idealised(source) or site.lower() not in SITES:
        return site
    place = parse_site(site)
    return f"{place.x:g},{place.y:g}"


def with_source(attributes: dict, description: Mapping) -> dict:
    """Attributes of a store with ``source``, from the description of its run's ocean where an earlier version wrote the store."""
    if "source" in attributes:
        return attributes
    source = ocean_title(description)
    if not source:
        return attributes
    named = {**attributes, "source": source}
    if "site" in named:
        named["site"] = site_attribute(source, str(named["site"]))
    return named
