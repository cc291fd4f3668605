"""Maps of one model, sinking speed and level, made small enough for a page, and facts about each map.

A map is put on cells of 16 km (2 x 2 bins; a smoothed catchment has no finer structure), and its square root on 254 steps from 0
to its own maximum, so that the thin parts of a catchment keep their shape.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from evaluation import scores
from lagrangian.pdf import BOXES_KM, SHARES, half_width_km, mass_levels, share_in_box

#: Steps of a map from 0 to its maximum, and the byte of a cell without a value.
STEPS, UNKNOWN = 254, 255
#: Bins (along an axis) that a cell of a page's map holds.
COARSE = 2
#: Share of the particles within the contour whose area is a fact of the map.
HALF = 0.5


@dataclass(eq=False)
class Layer:
    """Maps of one model, sinking speed and level.

    Attributes
    ----------
    model : str
    speed, level : float
        m/d; m, positive down.
    dates : (n,) datetime64
        Ascending. A single NaT: the layer has the same map for all dates.
    maps : (n, y, x) uint8
        sqrt(pdf / peak) in :data:`STEPS` steps; :data:`UNKNOWN` where there is no map.
    peak : (n,) float64
        Greatest probability of a cell; 0 where there is no map.
    contours : (n, share) float64
        Steps of ``maps`` whose contours hold :data:`lagrangian.pdf.SHARES`.
    facts : dict of name to (n,) array
        Facts about each map; NaN if a fact is unknown.
    """

    model: str
    speed: float
    level: float
    dates: np.ndarray
    maps: np.ndarray
    peak: np.ndarray
    contours: np.ndarray
    facts: dict[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def of(cls, model: str, speed: float, level: float, dates: np.ndarray, batches: Iterable[np.ndarray], x, y) -> Layer:
        """Make a layer of PDFs (n, y, x), NaN for dates without one, that come in batches of dates; x, y: bin centres in km."""
        parts = [(*small_maps(pdf), facts_of(pdf, x, y)) for pdf in batches]
        maps, peak, contours = (np.concatenate([part[k] for part in parts]) for k in range(3))
        facts = {name: np.concatenate([part[3][name] for part in parts]) for name in parts[0][3]}
        return cls(model, float(speed), float(level), np.asarray(dates), maps, peak, contours, facts)

    def thinned(self, step: int) -> Layer:
        """Every ``step``-th date."""
        if self.dates.size == 1:
            return self
        return self.of_dates(slice(None, None, step))

    def of_dates(self, rows: slice) -> Layer:
        """The layer of some of its dates."""
        per_date = {name: getattr(self, name)[rows] for name in ("dates", "maps", "peak", "contours")}
        return replace(self, **per_date, facts={name: values[rows] for name, values in self.facts.items()})


def coarse(pdf: np.ndarray) -> np.ndarray:
    """(n, y, x) sums over squares of :data:`COARSE` bins along each axis; ``pdf`` itself if the squares do not cover the bins.

    >>> coarse(np.ones((1, 4, 6))).tolist()
    [[[4.0, 4.0, 4.0], [4.0, 4.0, 4.0]]]
    """
    n, ny, nx = pdf.shape
    if ny % COARSE or nx % COARSE:
        return pdf
    return pdf.reshape(n, ny // COARSE, COARSE, nx // COARSE, COARSE).sum(axis=(2, 4))


def small_maps(pdf: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``maps``, ``peak`` and ``contours`` of PDFs (n, y, x): see :class:`Layer`."""
    cells = coarse(np.asarray(pdf, np.float64))
    present = np.isfinite(cells).all(axis=(1, 2))
    peak = np.where(present, np.where(present[:, None, None], cells, 0).max(axis=(1, 2)), 0.0)
    present &= peak > 0
    maps = np.full(cells.shape, UNKNOWN, np.uint8)
    maps[present] = np.rint(STEPS * np.sqrt(cells[present] / peak[present, None, None])).astype(np.uint8)
    contours = np.full((len(cells), len(SHARES)), np.nan)
    for row in np.flatnonzero(present):
        contours[row] = STEPS * np.sqrt(np.array(mass_levels(cells[row], SHARES)) / peak[row])
    return maps, np.where(present, peak, 0.0), contours


def facts_of(pdf: np.ndarray, x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """Facts about PDFs (n, y, x): mass centre (``east``, ``north``, km), shares in the boxes and of all particles
    (``box100``, ``box200``, ``within``), and the area of the densest bins that hold half (``area``, km2)."""
    pdf = np.asarray(pdf, np.float64)
    east, north = scores.mass_centre(pdf, x, y)
    facts = {"east": east, "north": north}
    for name, width in BOXES_KM.items():
        facts[name] = share_in_box(pdf, x, y, width)
    facts["within"] = pdf.sum(axis=(1, 2))
    descending = np.sort(pdf.reshape(len(pdf), -1), axis=1)[:, ::-1]
    mass_held = np.cumsum(descending, axis=1)
    bins = (mass_held < HALF * mass_held[:, -1:]).sum(axis=1) + 1.0
    facts["area"] = np.where(np.isfinite(east), bins * (x[1] - x[0]) * (y[1] - y[0]), np.nan)
    return facts


def reach(layers: Iterable[Layer], half_width: float) -> float:
    """Half the width, km in fifties, of the square that holds 99 % of the layers' maps, ``half_width`` at most."""
    means = [square(layer).mean(axis=0) for layer in layers if layer.peak.any()]
    if not means:
        return half_width
    total = np.sum(means, axis=0)
    y, x = ((np.arange(n) - (n - 1) / 2) / (n / 2) * half_width for n in total.shape)
    return float(min(max(50 * np.ceil(half_width_km(total, x, y, 0.99) / 50), 100), half_width))


def square(layer: Layer) -> np.ndarray:
    """(n, y, x) probabilities that the bytes of a layer encode; 0 where there is no map."""
    steps = np.where(layer.maps == UNKNOWN, 0, layer.maps) / STEPS
    return layer.peak[:, None, None] * steps**2
