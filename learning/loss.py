"""The training loss (method.md section 3): Bhattacharyya losses of raw and smoothed PDFs, mean over the levels."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.autograd.function import once_differentiable

from lagrangian.binning import BINS, smoothing_operators
from learning.loss_kernel import TAPS, compiled_losses, taps

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


def target_amplitude(raw: torch.Tensor, smoothed: torch.Tensor) -> torch.Tensor:
    """0.8 sqrt(smoothed) + 0.2 sqrt(raw): what :func:`training_loss` compares with; all of one shape."""
    return root(smoothed).mul_(SMOOTHED_WEIGHT).add_(root(raw), alpha=RAW_WEIGHT)


def training_loss(logits: torch.Tensor, amplitude: torch.Tensor) -> torch.Tensor:
    """0.8 BL(smoothed) + 0.2 BL(raw) of the PDFs exp(logits) / sum exp(logits), mean over samples, speeds and levels.

    With h = exp(logits / 2), sqrt(q) = h / sqrt(sum h^2), so that the loss is 1 - sum(a h) / sqrt(sum h^2) with the amplitude
    a (:func:`target_amplitude`): one exponential, and a gradient that is finite for empty bins. Both (n, ..., y, x).
    """
    return _LossBySample.apply(logits, amplitude)


def raised_loss(
    maps: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor, prior: torch.Tensor, amplitude: torch.Tensor
) -> torch.Tensor:
    """:func:`training_loss` of logits ``rows @ maps @ columns.T + prior``, of which no more than a sample's are ever made.

    Parameters
    ----------
    maps : (n, m, b, a)
    rows : (y, b)
    columns : (x, a)
    prior : (m, y, x)
    amplitude : (n, m, y, x)
    """
    return _RaisedLoss.apply(maps, rows, columns, prior, amplitude)


def _losses_and_slope(logits: torch.Tensor, amplitude: torch.Tensor, share: float) -> torch.Tensor:
    """Losses (...,) of a sample (..., y, x); the logits become ``share`` of the gradient."""
    h = logits.sub_(logits.amax(dim=(-2, -1), keepdim=True)).mul_(0.5).exp_()
    product, square = amplitude * h, h.square_()
    overlap, total = (values.sum(dim=(-2, -1), keepdim=True) for values in (product, square))
    # d/dlogits = (h^2 sum(a h) / sum h^2 - a h) / (2 sqrt(sum h^2))
    square.mul_(overlap / total).sub_(product).mul_(0.5 * share / total.sqrt())
    return (1 - overlap / total.sqrt())[..., 0, 0]


class _LossBySample(torch.autograd.Function):
    """:func:`training_loss` and its gradient, a sample after the other: what is made of one stays in the processor's cache."""

    @staticmethod
    def forward(ctx, logits, amplitude):
        gradient = logits.clone()
        share = 1 / logits[..., 0, 0].numel()
        losses = [_losses_and_slope(*one, share) for one in zip(gradient, amplitude, strict=True)]
        ctx.save_for_backward(gradient)
        return torch.stack(losses).mean()

    @staticmethod
    @once_differentiable
    def backward(ctx, of_loss):
        (gradient,) = ctx.saved_tensors
        return gradient * of_loss, None


class _RaisedLoss(torch.autograd.Function):
    """:func:`raised_loss` and its gradients, in the precision of the prior."""

    @staticmethod
    def forward(ctx, maps, rows, columns, prior, amplitude):
        with torch.autocast(maps.device.type, enabled=False):
            raised = maps.to(prior.dtype) @ columns.T
            of_raised, of_prior, share = torch.zeros_like(raised), torch.zeros_like(prior), 1 / maps[..., 0, 0].numel()
            if maps.device.type == "cpu" and prior.dtype == torch.float32 and len(rows.T) >= TAPS:
                losses = _compiled_losses(raised, rows, prior, amplitude, share, of_raised, of_prior)
            else:
                losses = _losses_by_sample(raised, rows, prior, amplitude, share, of_raised, of_prior)
            of_maps = (of_raised @ columns).to(maps.dtype)
        ctx.save_for_backward(of_maps, of_prior)
        return losses.mean()

    @staticmethod
    @once_differentiable
    def backward(ctx, of_loss):
        of_maps, of_prior = ctx.saved_tensors
        return of_maps * of_loss, None, None, of_prior * of_loss, None


def _losses_by_sample(maps, rows, prior, amplitude, share: float, of_maps, of_prior) -> torch.Tensor:
    """Losses (n, m) of maps (n, m, b, x) that are raised along x already; the gradients are added to zeros."""
    losses, upward = [], rows.expand(len(prior), -1, -1)
    for one, target, slope in zip(maps, amplitude, of_maps, strict=True):
        logits = torch.baddbmm(prior, upward, one)
        losses.append(_losses_and_slope(logits, target, share))
        of_prior += logits
        torch.matmul(rows.T, logits, out=slope)
    return torch.stack(losses)


def _compiled_losses(maps, rows, prior, amplitude, share: float, of_maps, of_prior) -> torch.Tensor:
    """:func:`_losses_by_sample` by :mod:`learning.loss_kernel`."""
    given = (values.detach().contiguous().numpy() for values in (maps, prior, amplitude))
    of_each = compiled_losses(*given, *taps(rows.numpy()), np.float32(share), of_maps.numpy(), of_prior.numpy())
    return torch.from_numpy(of_each)
