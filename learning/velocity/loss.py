"""The error of a flow as particles feel it: metres of the ascent times the error of velocity, squared."""

from __future__ import annotations

import torch


def differences(psi: torch.Tensor, periodic: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Differences along y and x of psi (..., y, x), around a periodic lattice or without the last."""
    if periodic:
        return psi.roll(-1, -2) - psi, psi.roll(-1, -1) - psi
    return psi.diff(dim=-2), psi.diff(dim=-1)


def displacement_error(
    predicted: torch.Tensor, psi: torch.Tensor, metres: torch.Tensor, spacing: float, periodic: bool
) -> torch.Tensor:
    """(n,) mean over the lattice of the sum over depths of (metres x velocity error)^2, m4/s2.

    A particle that sinks at w crosses ``metres`` (depth,) of water in metres / w: over w^2, this is the square of the
    displacement that the error of velocity at each depth leaves (m2).

    Parameters
    ----------
    predicted, psi : (n, depth, y, x)
        Streamfunctions, m2/s.
    spacing : float
        Of the lattice, m.
    """
    error = (predicted - psi) * (metres / spacing)[:, None, None]
    along_y, along_x = ((slope**2).sum(dim=1).mean(dim=(-2, -1)) for slope in differences(error, periodic))
    return along_y + along_x


def energy(psi: torch.Tensor, spacing: float, periodic: bool) -> torch.Tensor:
    """(n, depth) mean square of the velocity, m2/s2."""
    along_y, along_x = (((slope / spacing) ** 2).mean(dim=(-2, -1)) for slope in differences(psi, periodic))
    return along_y + along_x
