"""The paper's U-Net (section 2.2; method.md section 3), and the particle source that every network sees."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


def particle_source(n_levels: int, ny: int, nx: int) -> torch.Tensor:
    """(level, y, x) channels that mark the trap: 0.25 in the 4 central cells (of an odd size: 1 over those at the centre)."""
    source = torch.zeros(n_levels, ny, nx)
    rows, columns = (slice((n - 1) // 2, n // 2 + 1) for n in (ny, nx))
    source[:, rows, columns] = 1.0 / ((rows.stop - rows.start) * (columns.stop - columns.start))
    return source


def paper_block(c_in: int, c_out: int) -> nn.Sequential:
    """Conv-ReLU-BatchNorm-Conv-BatchNorm, 5 x 5 kernels with padding 2 and no bias."""
    return nn.Sequential(
        nn.Conv2d(c_in, c_out, 5, padding=2, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(c_out),
        nn.Conv2d(c_out, c_out, 5, padding=2, bias=False),
        nn.BatchNorm2d(c_out),
    )


class PaperUNet(nn.Module):
    """Three resolutions of 64, 128 and 256 channels; max-pooling down, transposed convolution up, skips by concatenation.

    Takes (n, n_channels, y, x) of any size from 4 x 4, returns maps (n, n_maps, y, x), whose positive part over its sum is the
    PDF. The particle source is appended here, so that callers never handle it.
    """

    def __init__(self, n_channels: int, n_maps: int, width: int = 64):
        super().__init__()
        self.n_maps = n_maps
        single, double, quadruple = width, 2 * width, 4 * width
        self.down1 = paper_block(n_channels + n_maps, single)
        self.down2 = paper_block(single, double)
        self.bottom = paper_block(double, quadruple)
        self.pool = nn.MaxPool2d(2)
        self.up2 = nn.ConvTranspose2d(quadruple, double, 2, stride=2)
        self.join2 = paper_block(2 * double, double)
        self.up1 = nn.ConvTranspose2d(double, single, 2, stride=2)
        self.join1 = paper_block(2 * single, single)
        self.out = nn.Conv2d(single, n_maps, 1)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        source = particle_source(self.n_maps, *inputs.shape[-2:]).to(inputs)
        first = self.down1(torch.cat([inputs, source.expand(inputs.shape[0], -1, -1, -1)], dim=1))
        second = self.down2(self.pool(first))
        deep = self.bottom(self.pool(second))
        second = self.join2(torch.cat([fitted(self.up2(deep), second), second], dim=1))
        first = self.join1(torch.cat([fitted(self.up1(second), first), first], dim=1))
        return self.out(first)


def start_from_zero(layer: nn.Module) -> None:
    """Set all weights of a layer to 0, so that an untrained network gives what is added to this layer's maps."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


def fitted(maps: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """``maps`` with zeros appended at the north and east where ``like`` has an odd point more."""
    dy, dx = like.shape[-2] - maps.shape[-2], like.shape[-1] - maps.shape[-1]
    return functional.pad(maps, (0, dx, 0, dy)) if dy or dx else maps
