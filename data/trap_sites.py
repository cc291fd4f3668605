"""Chooses one trap of a table: compilations hold traps of many places and of several depths under one header."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from data.errors import InputError, OptionError
from data.sites import parse_site
from data.sphere import east_north

#: Rows whose depth is within so many metres of the wanted one belong to the trap: moorings are never at their nominal depth.
DEPTH_TOLERANCE = 250.0
#: Moorings of one site stand within so many km of each other, deployment after deployment.
SITE_KM = 100.0
#: Largest number of sites that an error line names.
SITES_NAMED = 12
DAY = pd.Timedelta(days=1)


def distance_km(lon, lat, lon0: float, lat0: float) -> np.ndarray:
    """Great-circle distance (km) of positions from one, all in degrees."""
    return np.hypot(*east_north(lon, lat, lon0, lat0))


def select_depth(
    depths: Iterable[float], wanted: float, *, tolerance: float = DEPTH_TOLERANCE, where: str = "the record"
) -> np.ndarray:
    """Whether depths (m, positive down) are within ``tolerance`` of the ``wanted`` depth: booleans of the same length.

    Raises
    ------
    InputError
        If none is; the line lists the depths that ``where`` holds.
    """
    depths = np.abs(np.asarray(list(depths), dtype=np.float64))
    near = np.abs(depths - wanted) <= tolerance
    if not near.any():
        levels, counts = np.unique(depths[np.isfinite(depths)], return_counts=True)
        listed = ", ".join(f"{value:g} m ({count} rows)" for value, count in zip(levels, counts)) or "no depth at all"
        raise InputError(
            f"{where}: no row within {tolerance:g} m of {wanted:g} m depth; it holds {listed}; choose one of these (--flux-depth)"
        )
    return near


def at_depth(cups: pd.DataFrame, wanted: float, where: str) -> tuple[np.ndarray, list[str]]:
    """Whether rows of ``cups`` (``depth``, ``open``, ``close``) are of the trap at ``wanted`` m; a note if two traps are near.

    Depths that differ by less than the tolerance are one trap, unless cups at different ones were open at the same time: then the
    rows at the nearest depth are taken.
    """
    near = select_depth(cups["depth"], wanted, where=where)
    rounded = cups["depth"].round(-1)
    if not together(cups[near], rounded[near]):
        return near, []
    nearest = float(cups["depth"][near].iloc[(cups["depth"][near] - wanted).abs().argmin()])
    listed = ", ".join(f"{value:g}" for value in sorted(cups["depth"][near].unique()))
    line = f"traps at {listed} m collected at the same time: that at {nearest:g} m is taken (--flux-depth)"
    return near & (rounded == round(nearest, -1)).to_numpy(), [line]


def choose_site(
    cups: pd.DataFrame, wanted: str | None, near: tuple[float, float] | None, where: str
) -> tuple[np.ndarray, list[str]]:
    """Whether each row belongs to the chosen trap, and notes on the choice.

    Parameters
    ----------
    cups : DataFrame
        ``site`` (text), ``latitude``, ``longitude`` (degrees, NaN where not told), ``open``, ``close``.
    wanted : str, optional
        A name in ``site``, a name of the site table, or LON,LAT.
    near : (lon, lat), optional
        Where the trap is known to stand: of several sites the one within 100 km is taken.

    Raises
    ------
    InputError, OptionError
        The table holds several sites and nothing tells which is meant; there is no such site.
    """
    everything = np.ones(len(cups), bool)
    lon, lat = (cups[name].ffill().bfill().to_numpy() for name in ("longitude", "latitude"))
    group = _groups(cups, lon, lat)
    labels = {number: _label(cups[group == number], lon, lat, group == number) for number in np.unique(group)}
    if wanted is not None:
        return _named(cups, wanted, lon, lat, labels, where), []
    placed = np.isfinite(lon) & np.isfinite(lat)
    if near is not None and placed.any():
        away = np.where(placed, distance_km(lon, lat, *near), np.inf)
        if len(labels) > 1 and away.min() <= SITE_KM:
            nearest = group == group[int(away.argmin())]
            line = f"of {len(labels)} sites that at the predictions' trap is taken: {labels[group[int(away.argmin())]]} (--site)"
            return nearest, [line]
        if len(labels) == 1 and away.min() > SITE_KM:
            return everything, [
                f"its trap stands at {_place(lon[0], lat[0])}, {away.min():.0f} km from that of the predictions, "
                f"{_place(*near)}: give the record of the trap, or predictions for it"
            ]
    if len(labels) > 1:
        named = list(labels.values())[:SITES_NAMED]
        more = f" and {len(labels) - SITES_NAMED} more" if len(labels) > SITES_NAMED else ""
        raise InputError(f"{where}: holds traps of {len(labels)} sites: {'; '.join(named)}{more}; choose one with --site")
    return everything, []


def _groups(cups: pd.DataFrame, lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """(row,) number of the site of each row: by position where told, else by name where names collected together."""
    placed = np.isfinite(lon) & np.isfinite(lat)
    group = np.zeros(len(cups), int)
    if placed.any():
        centres: list[tuple[float, float]] = []
        for place in dict.fromkeys(zip(lon[placed].tolist(), lat[placed].tolist(), strict=True)):
            away = [float(distance_km(*place, *centre)) for centre in centres]
            number = int(np.argmin(away)) if away and min(away) <= SITE_KM else len(centres)
            if number == len(centres):
                centres.append(place)
            group[placed & (lon == place[0]) & (lat == place[1])] = number
        return group
    names = cups["site"].replace("", np.nan).ffill().bfill().fillna("")
    return pd.factorize(names)[0] if together(cups, names) else group


def together(cups: pd.DataFrame, names: pd.Series) -> bool:
    """Whether cups of different names were open at the same time, for more than a day: no two deployments of one trap are."""
    if names.nunique() < 2:
        return False
    rows = cups.assign(name=names).dropna(subset=["open", "close"]).sort_values(["open", "close"])
    last: dict = {}
    for row in rows.itertuples():
        if any(name != row.name and close - row.open > DAY for name, close in last.items()):
            return True
        last[row.name] = max(row.close, last.get(row.name, row.close))
    return False


def _label(rows: pd.DataFrame, lon, lat, chosen: np.ndarray) -> str:
    """A site in words: its names, position and number of rows."""
    names = [name for name in rows["site"].unique() if name]
    parts = ["/".join(names[:3]) + (f" and {len(names) - 3} more names" if len(names) > 3 else "")] if names else []
    if np.isfinite(lon[chosen]).any() and np.isfinite(lat[chosen]).any():
        parts.append(_place(np.nanmedian(lon[chosen]), np.nanmedian(lat[chosen])))
    return f"{' at '.join(parts) or 'no name'} ({len(rows)} rows)"


def _place(lon: float, lat: float) -> str:
    return f"{lon:.4g},{lat:.4g}"


def _named(cups: pd.DataFrame, wanted: str, lon, lat, labels: dict, where: str) -> np.ndarray:
    same = (cups["site"].str.strip().str.lower() == wanted.strip().lower()).to_numpy()
    if same.any():
        return same
    sites = "; ".join(list(labels.values())[:SITES_NAMED])
    placed = np.isfinite(lon) & np.isfinite(lat)
    if not placed.any():
        names = ", ".join(repr(name) for name in cups["site"].unique() if name) or "no names of sites and no positions"
        raise OptionError(f"--site {wanted!r}: {where} holds {names}")
    try:
        place = parse_site(wanted)
    except OptionError:
        raise OptionError(f"--site {wanted!r}: {where} holds {sites}; give one of the names, or LON,LAT") from None
    away = np.where(placed, distance_km(lon, lat, place.x, place.y), np.inf)
    if not away.min() <= SITE_KM:
        raise OptionError(f"--site {wanted!r}: {where} holds no trap within {SITE_KM:g} km of it, but {sites}")
    group = _groups(cups, lon, lat)
    return group == group[int(away.argmin())]
