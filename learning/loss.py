"""The training loss (method.md section 3): Bhattacharyya losses of raw and smoothed PDFs, mean over the levels."""

from __future__ import annotations

import torch
from torch import nn
from torch.autograd.function import once_differentiable

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


def root(values: torch.Tensor) -> torch.Tensor:
    """Square roots of numbers of 0 or more; those of zeros are 1e-19: the library takes ten times as long over a zero."""
    return values.clamp_min(torch.finfo(torch.float32).tiny).sqrt_()


def bhattacharyya_loss(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """1 - sum sqrt(p q) over the last two dimensions."""
    return 1 - root(p * q).sum(dim=(-2, -1))


def training_loss(logits: torch.Tensor, raw: torch.Tensor, smoothed: torch.Tensor) -> torch.Tensor:
    """0.8 BL(smoothed) + 0.2 BL(raw) of the PDFs exp(logits) / sum exp(logits), mean over samples, speeds and levels.

    With h = exp(logits / 2), sqrt(q) = h / sqrt(sum h^2), so that the loss is 1 - sum(a h) / sqrt(sum h^2) with
    a = 0.8 sqrt(smoothed) + 0.2 sqrt(raw): one exponential, and a gradient that is finite for empty bins. All (n, ..., y, x).
    """
    return _LossBySample.apply(logits, raw, smoothed)


class _LossBySample(torch.autograd.Function):
    """:func:`training_loss` and its gradient, a sample after the other: what is made of one stays in the processor's cache."""

    @staticmethod
    def forward(ctx, logits, raw, smoothed):
        gradient = torch.empty_like(logits)
        losses = logits.new_empty(logits.shape[:-2])
        for one, counted, smooth, slope, loss in zip(logits, raw, smoothed, gradient, losses, strict=True):
            amplitude = root(smooth).mul_(SMOOTHED_WEIGHT).add_(root(counted), alpha=RAW_WEIGHT)
            h = (one - one.amax(dim=(-2, -1), keepdim=True)).mul_(0.5).exp_()
            product, square = amplitude.mul_(h), h.square()
            overlap, total = (values.sum(dim=(-2, -1), keepdim=True) for values in (product, square))
            loss.copy_((1 - overlap / total.sqrt())[..., 0, 0])
            # d/dlogits = (h^2 sum(a h) / sum h^2 - a h) / (2 sqrt(sum h^2))
            torch.sub(square.mul_(overlap / total), product, out=slope).mul_(0.5 / (losses.numel() * total.sqrt()))
        ctx.save_for_backward(gradient)
        return losses.mean()

    @staticmethod
    @once_differentiable
    def backward(ctx, of_loss):
        (gradient,) = ctx.saved_tensors
        return gradient * of_loss, None, None
