"""Which network, and its sizes; light to import, for options."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """Which network, and its sizes.

    Attributes
    ----------
    kind : str
        ``paper`` (:class:`learning.unet.PaperUNet`), ``residual`` (:class:`ResidualUNet`), or the name of a registered network
        (:mod:`data.registry`), which learns each sinking speed alone.
    width : int
        Channels at the finest resolution.
    levels : int
        Resolutions; 3 in the paper.
    coarsen : int
        Cells on a side that the residual network folds into channels at its entrance.
    kernel : int
        Size of the residual network's kernels.
    """

    kind: str = "paper"
    width: int = 64
    levels: int = 3
    coarsen: int = 1
    kernel: int = 5
