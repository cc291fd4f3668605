"""The training loss (method.md section 3): Bhattacharyya losses of raw and smoothed PDFs, mean over the levels."""

from __future__ import annotations

import torch
from torch import nn

from lagrangian.binning import BINS, smoothing_operators

#: Weights of the BL against the smoothed and against the raw PDF (SPARO).
SMOOTHED_WEIGHT, RAW_WEIGHT = 0.8, 0.2


class HeatSmoothing(nn.Module):
    """:func:`lagrangian.binning.smooth_pdf` on tensors: (..., y, x) to the same, in single precision.

    Modes that the smoothing multiplies by less than 1e-8 are left out.
    """

    def __init__(self, ny: int = BINS, nx: int = BINS):
        super().__init__()
        self.ty: torch.Tensor
        self.tx: torch.Tensor
        self.factor: torch.Tensor
        ty, tx, factor = smoothing_operators(ny, nx)
        keep_y, keep_x = int((factor[:, 0] > 1e-8).sum()), int((factor[0] > 1e-8).sum())
        for name, array in (("ty", ty[:keep_y]), ("tx", tx[:keep_x]), ("factor", factor[:keep_y, :keep_x])):
            self.register_buffer(name, torch.tensor(array, dtype=torch.float32), persistent=False)

    def forward(self, pdf: torch.Tensor) -> torch.Tensor:
        modes = self.factor * (self.ty @ pdf @ self.tx.T)
        return (self.ty.T @ modes @ self.tx).clamp_min_(0)


def bhattacharyya_loss(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """1 - sum sqrt(p q) over the last two dimensions."""
    return 1 - (p * q).sqrt().sum(dim=(-2, -1))


def training_loss(logits: torch.Tensor, raw: torch.Tensor, smoothed: torch.Tensor) -> torch.Tensor:
    """0.8 BL(smoothed) + 0.2 BL(raw) of the PDFs exp(logits) / sum exp(logits), mean over samples, speeds and levels.

    With h = exp(logits / 2), sqrt(q) = h / sqrt(sum h^2), so that the loss is 1 - sum(a h) / sqrt(sum h^2) with
    a = 0.8 sqrt(smoothed) + 0.2 sqrt(raw): one exponential, and a gradient that is finite for empty bins. All (..., y, x).
    """
    # in place: to fill memory that is new costs as much as to compute what fills it
    amplitude = smoothed.sqrt().mul_(SMOOTHED_WEIGHT).add_(raw.sqrt().mul_(RAW_WEIGHT))
    root = (logits - logits.detach().amax(dim=(-2, -1), keepdim=True)).mul_(0.5).exp_()
    return (1 - (amplitude * root).sum(dim=(-2, -1)) / root.square().sum(dim=(-2, -1)).sqrt()).mean()
