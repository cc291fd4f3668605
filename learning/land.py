"""The part of predicted catchments that lies on land: taken away where that is asked for, and told."""

from __future__ import annotations

import numpy as np

#: Share of a catchment on land that is not worth a line.
LEAST_ON_LAND = 1e-3


def without_land(pdf: np.ndarray, land: np.ndarray) -> np.ndarray:
    """PDFs (time, y, x) float32 without what lies on ``land`` (y, x, bool), of sum 1 again; NaN where all of one lies there."""
    pdf = np.where(land, 0, pdf)
    left = pdf.sum(axis=(1, 2), keepdims=True, dtype=np.float64)
    return np.where(left > 1e-6, pdf / np.maximum(left, 1e-6), np.nan).astype(np.float32)


def mass_on_land(pdf: np.ndarray, land: np.ndarray) -> np.ndarray:
    """(time,) float32 share of each PDF (time, y, x) that lies on ``land`` (y, x, bool)."""
    return pdf[:, land].sum(axis=1, dtype=np.float64).astype(np.float32)


def land_notes(mass: np.ndarray, w: float, removed: bool) -> list[str]:
    """A note on the probability (time,) that was predicted on land at speed ``w`` (m/d); none if the share is negligible."""
    if not mass.max(initial=0.0) > LEAST_ON_LAND:
        return []
    fate = "taken away, the rest brought to sum 1" if removed else "--no-land-mass takes it away"
    return [
        f"at {w:g} m/d {100 * mass.mean():.2g} % of the predicted mass lies on land (at most {100 * mass.max():.2g} %; "
        f"mass_on_land of the file): {fate}"
    ]
