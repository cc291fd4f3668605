"""Residuals of held-out days, the flow that the surface does not tell; members of an ensemble add them to the prediction.

A member takes the residual record from a random day on, in time and reflected at its ends, and moves it to a random place.
So it has the scales, the structure in depth and the life of the prediction's own errors. Errors are larger where the flow is
stronger, a little from place to place and fully from ocean to ocean: each residual is divided by the size that the predicted flow
lets expect, and a member multiplies it by the size expected where and when it puts it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from data.errors import InputError, StoreError
from learning.velocity.lattice import Lattice
from learning.weights import load_tensors, save_tensors

NAME = "residuals.safetensors"
FORMAT = "velocity-residuals-1"
#: Radius over which the energy of the predicted flow is averaged, km, and bounds of the size expected, of its mean.
RADIUS_KM, SIZE_BOUNDS = 80.0, (0.4, 2.5)
#: Size expected ~ (energy of the predicted flow over the whole lattice)^this: an ocean whose currents are twice as fast errs by
#: twice as much.
WHOLE_EXPONENT = 0.5
#: A spread that rounding leaves of one member.
NO_SPREAD = 1e-5
#: Long name of ``expected_bl`` in stores and files.
EXPECTED = "Bhattacharyya loss of pdf to expect of a prediction of this spread, fitted on validation experiments"


@dataclass(eq=False)
class Residuals:
    """The residual record of a network.

    Attributes
    ----------
    values : (time, depth, y, x) float32
        Truth less prediction, m2/s, divided by the size expected.
    every_days : float
        Between the days of the record.
    spacing_km : float
        Of the lattice.
    periodic : bool
    exponent : (depth,) float
        Size expected ~ (energy of the predicted flow about the place, over that of the whole lattice)^exponent; 0: the same
        everywhere.
    energy : (depth,) float
        Mean energy of the predicted flow, m2/s2: where it is this, the size is 1.
    whole_exponent : float
        Size expected ~ (energy of the predicted flow over the whole lattice)^this; ``exponent`` in records that do not tell it.
    amplitude : float
        By which members multiply, fitted on validation.
    expected : (float, float) or None
        a and b of a + b spread, the BL that a prediction has to expect (:func:`learning.velocity.calibrate.fit_expected`).
    """

    values: np.ndarray
    every_days: float
    spacing_km: float
    periodic: bool
    exponent: np.ndarray
    energy: np.ndarray
    amplitude: float = 1.0
    whole_exponent: float | None = WHOLE_EXPONENT
    about: dict = field(default_factory=dict)
    expected: tuple[float, float] | None = None

    @classmethod
    def of(
        cls, predicted: np.ndarray, psi: np.ndarray, lattice: Lattice, every_days: float, *, conditioned: bool = True
    ) -> Residuals:
        """Residuals from predictions and truth (time, depth, y, x) of held-out days, ``every_days`` apart.

        Raises
        ------
        InputError
            Fewer than two days.
        """
        if len(psi) < 2:
            raise InputError("residuals need two held-out days or more; give a longer record (--years)")
        difference = psi - predicted
        local = local_energy(predicted, lattice)
        mean = local.mean(axis=(0, 2, 3))
        exponent = np.zeros(mean.size)
        if conditioned:
            error = local_energy(difference, lattice)
            exponent = np.array([_slope(np.log(local[:, k]), np.log(error[:, k])) / 2 for k in range(mean.size)]).clip(0, 1)
        size = _size(local, mean, exponent, WHOLE_EXPONENT if conditioned else None)
        # of zero mean at each instant: only differences of a streamfunction mean anything, and sizes multiply it
        difference = difference - difference.mean(axis=(-2, -1), keepdims=True)
        return cls(
            (difference / size).astype(np.float32), float(every_days), lattice.frame.spacing_km, lattice.periodic, exponent, mean,
            whole_exponent=WHOLE_EXPONENT if conditioned else None,
        )  # fmt: skip

    def size(self, predicted: np.ndarray, lattice: Lattice) -> np.ndarray:
        """(depth, y, x) size expected of the residual of a prediction (depth, y, x)."""
        if not self.exponent.any() and not self.whole_exponent:
            return np.ones((predicted.shape[0], 1, 1), np.float32)
        return _size(local_energy(predicted, lattice), self.energy, self.exponent, self.whole_exponent).astype(np.float32)

    def member(self, seed: tuple[int, ...], lattice: Lattice) -> Callable[[float], np.ndarray]:
        """Residuals of a member, before their size: days from its first instant -> (depth, y, x) m2/s.

        Raises
        ------
        StoreError
            The record is of a lattice of another spacing.
        """
        if abs(self.spacing_km - lattice.frame.spacing_km) > 1e-6 * self.spacing_km:
            raise StoreError(
                f"residuals are of points {self.spacing_km:g} km apart, not {lattice.frame.spacing_km:g}; train anew"
            )
        rng = np.random.default_rng(seed)
        n, _, ny, nx = self.values.shape
        first = rng.uniform(0, 2 * (n - 1)) if n > 1 else 0.0
        rows, columns = (_places(rng, size, wanted, self.periodic) for size, wanted in zip((ny, nx), lattice.shape, strict=True))

        def residual(days: float) -> np.ndarray:
            place = _reflected(first + days / self.every_days, n - 1)
            low = min(int(place), n - 2)
            part = np.float32(place - low)
            two_days = self.values[low : low + 2][:, :, rows][:, :, :, columns]
            mean = (1 - part) * two_days[0] + part * two_days[1]
            # two days' mean has less energy than either day: the lost energy is restored
            return self.amplitude * _full(two_days, mean, part)

        return residual

    def expected_bl(self, spread: np.ndarray) -> np.ndarray:
        """float32 BL to expect of predictions of some spread, 0 to 1; NaN where it was not fitted, or for one member."""
        first, slope = self.expected or (np.nan, np.nan)
        spread = np.asarray(spread, np.float64)
        return np.where(spread > NO_SPREAD, np.clip(first + slope * spread, 0.0, 1.0), np.nan).astype(np.float32)

    def save(self, folder: Path, network: str) -> None:
        """Write the record beside its network, of which ``network`` is the checksum."""
        card = {"format": FORMAT, "network": network, "every_days": self.every_days, "spacing_km": self.spacing_km,
                "periodic": self.periodic, "exponent": list(map(float, self.exponent)), "energy": list(map(float, self.energy)),
                "amplitude": float(self.amplitude), "whole_exponent": self.whole_exponent, "about": self.about,
                "expected": self.expected}  # fmt: skip
        save_tensors(Path(folder) / NAME, {"values": torch.from_numpy(self.values)}, card)

    @classmethod
    def load(cls, folder: Path, network: str) -> Residuals:
        """Read the record of the networks with checksum ``network``.

        Raises
        ------
        StoreError
            It is missing, damaged, or of other networks.
        """
        path = Path(folder) / NAME
        if not path.exists():
            raise StoreError(
                f"{path} is missing: members need residuals; give learning.fit --method velocity again and it is made anew"
            )
        tensors, card = load_tensors(path)
        if card.get("format") != FORMAT or card.get("network") != network:
            raise StoreError(f"{path} is not of the networks beside it; remove it, and give learning.fit --method velocity again")
        return cls(tensors["values"].numpy(), card["every_days"], card["spacing_km"], card["periodic"],
                   np.array(card["exponent"]), np.array(card["energy"]), card["amplitude"], card.get("whole_exponent"),
                   card["about"], tuple(card["expected"]) if card.get("expected") else None)  # fmt: skip


def local_energy(psi: np.ndarray, lattice: Lattice, radius_km: float = RADIUS_KM) -> np.ndarray:
    """(..., y, x) kinetic energy of psi (..., y, x) averaged with a Gaussian about each point, m2/s2; never 0."""
    spacing = lattice.spacing
    mode = "wrap" if lattice.periodic else "nearest"
    if lattice.periodic:
        along = ((np.roll(psi, -1, axis) - np.roll(psi, 1, axis)) / (2 * spacing) for axis in (-2, -1))
    else:
        along = (np.gradient(psi, spacing, axis=axis) for axis in (-2, -1))
    speed = 0.5 * sum(slope**2 for slope in along)
    sigma = radius_km / lattice.frame.spacing_km
    return np.maximum(gaussian_filter(speed, [0] * (psi.ndim - 2) + [sigma, sigma], mode=mode), 1e-12)


def _size(local: np.ndarray, mean: np.ndarray, exponent: np.ndarray, whole_exponent: float | None) -> np.ndarray:
    mean, exponent = (np.asarray(coefficients)[:, None, None] for coefficients in (mean, exponent))
    if whole_exponent is None:
        return np.clip((local / mean) ** exponent, *SIZE_BOUNDS)
    whole = local.mean(axis=(-2, -1), keepdims=True)
    return np.clip((local / whole) ** exponent * (whole / mean) ** whole_exponent, *SIZE_BOUNDS)


def _slope(x: np.ndarray, y: np.ndarray) -> float:
    """Slope and intercept of the straight line through (x, y) by least squares."""
    x, y = x.ravel() - x.mean(), y.ravel() - y.mean()
    return float((x * y).sum() / max((x * x).sum(), 1e-30))


def _reflected(place: float, length: int) -> float:
    """``place`` folded into 0 ... length as between two mirrors."""
    if length == 0:
        return 0.0
    turned = place % (2 * length)
    return turned if turned <= length else 2 * length - turned


def _places(rng: np.random.Generator, n: int, wanted: int, periodic: bool) -> np.ndarray:
    """``wanted`` neighbouring places from a random one on: around a periodic record, else to and fro between its edges."""
    if periodic:
        return (rng.integers(n) + np.arange(wanted)) % n
    index = (rng.integers(2 * n) + np.arange(wanted)) % (2 * n)
    return np.where(index < n, index, 2 * n - 1 - index)


def _full(both: np.ndarray, mean: np.ndarray, part: np.float32) -> np.ndarray:
    """``mean`` (depth, y, x) of two days (day, depth, y, x) with the energy that they have ``part`` of the way to the second."""
    have = np.sqrt((mean**2).mean(axis=(-2, -1), keepdims=True))
    first, second = (both**2).mean(axis=(-2, -1), keepdims=True)
    want = np.sqrt((1 - part) * first + part * second)
    return (mean * np.divide(want, have, out=np.ones_like(have), where=have > 0)).astype(np.float32)
