"""Whether satellite maps on a trap's window can be what they say: maps that know little, never written maps, copies."""

from __future__ import annotations

import numpy as np

from data.errors import InputError

#: Least share of the window that a map must know; the rest (land, ice) is filled.
LEAST_KNOWN = 0.5
#: Values of a map that differ by no more than this, times their size, are one: rounding of single precision.
FLAT = 1e-5
TITLES = {"ssh": "SSH", "temp": "SST"}


def known_shares(maps: np.ndarray) -> np.ndarray:
    """(map,) share of the points of maps (map, y, x) that is known."""
    return np.isfinite(maps).mean(axis=(1, 2))


def sla_notes(source_variable: str) -> list[str]:
    """A note for the user where the files hold anomalies of sea surface height alone."""
    if source_variable.lower() != "sla":
        return []
    return ["SSH is sla, without mean dynamic topography: standing currents are missing from it; adt is wanted"]


def look_at_maps(name: str, times: np.ndarray, maps: np.ndarray) -> list[str]:
    """Notes on different maps (map, y, x) of a variable, ``ssh`` or ``temp``, in order of ``times``.

    Raises
    ------
    InputError
        A map has one value everywhere: no sea is so flat.
    """
    title = TITLES[name]
    low, high = (extreme.reduce(maps, axis=(1, 2)) for extreme in (np.fmin, np.fmax))  # NaN of a map that knows nothing
    flat = np.isfinite(low) & (high - low <= FLAT * np.maximum(1.0, np.abs(high)))
    if flat.any():
        first = int(np.argmax(flat))
        raise InputError(
            f"{title} map of {times[first]}: {low[first]:.6g} everywhere around the trap, and so on {np.count_nonzero(flat)} of "
            f"{flat.size} dates; the map was never written, or filled in: leave it out"
        )
    same = [k for k in range(1, len(maps)) if np.array_equal(maps[k], maps[k - 1], equal_nan=True) and np.isfinite(maps[k]).any()]
    if not same:
        return []
    return [
        f"{title}: {len(same)} of {len(maps)} maps are those of the date before them (first {times[same[0]]:.10}): are they "
        "copies, filled in?"
    ]
