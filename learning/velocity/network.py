"""The network from surface maps to streamfunctions at depth: a residual U-Net and a linear term, both convolutions.

What comes out is a streamfunction at each depth, so that the flow is free of divergence whatever the weights are.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import nn
from torch.nn import functional

from learning.unet import fitted, start_from_zero
from learning.velocity.maps import FOLD


@dataclass(frozen=True)
class VelocityArchitecture:
    """Which network, and its sizes.

    Attributes
    ----------
    kind : str
        ``residual``, or ``linear``: the linear term alone, a regression.
    width, levels, kernel : int
        Channels at the finest resolution, resolutions, size of the kernels.
    linear_kernel : int
        Size of the kernel of the linear term of SSH, in cells of the network.
    """

    kind: str = "residual"
    width: int = 32
    levels: int = 3
    kernel: int = 3
    linear_kernel: int = 3


class Convolution(nn.Conv2d):
    """A convolution that continues its maps beyond the edge: around a periodic domain, else by the outermost value."""

    def forward(self, maps: torch.Tensor, periodic: bool) -> torch.Tensor:  # type: ignore[override]
        side = self.kernel_size[0] // 2
        if side:
            maps = functional.pad(maps, (side,) * 4, mode="circular" if periodic else "replicate")
        return functional.conv2d(maps, self.weight, self.bias)


class Block(nn.Module):
    """Two convolutions with batch normalisation; the input is added to their output."""

    def __init__(self, c_in: int, c_out: int, kernel: int):
        super().__init__()
        self.conv1, self.conv2 = Convolution(c_in, c_out, kernel, bias=False), Convolution(c_out, c_out, kernel, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(c_out), nn.BatchNorm2d(c_out)
        self.skip = nn.Conv2d(c_in, c_out, 1, bias=False) if c_in != c_out else nn.Identity()

    def forward(self, maps: torch.Tensor, periodic: bool) -> torch.Tensor:
        change = self.norm2(self.conv2(functional.relu(self.norm1(self.conv1(maps, periodic))), periodic))
        return functional.relu(change + self.skip(maps))


class VelocityNetwork(nn.Module):
    """Stacked maps (n, channel, y / 2, x / 2) -> streamfunction (n, depth, y, x) in units of its scale.

    Parameters
    ----------
    architecture : VelocityArchitecture
    n_channels, n_ssh : int
        Channels in all, and of SSH, which come first.
    n_depths : int
    """

    def __init__(self, architecture: VelocityArchitecture, n_channels: int, n_ssh: int, n_depths: int):
        super().__init__()
        a = self.architecture = architecture
        self.n_channels, self.n_ssh, self.n_depths = n_channels, n_ssh, n_depths
        n_maps = n_depths * FOLD**2
        self.linear = Convolution(n_ssh, n_maps, a.linear_kernel)
        start_from_zero(self.linear)
        if a.kind == "linear":
            return
        if a.kind != "residual":
            raise ValueError(f"no architecture {a.kind!r}; there are residual and linear")
        widths = [a.width * 2**level for level in range(a.levels)]
        self.down = nn.ModuleList(
            Block(n_channels if level == 0 else widths[level - 1], width, a.kernel) for level, width in enumerate(widths)
        )
        steps = range(a.levels - 1)
        self.up = nn.ModuleList(nn.ConvTranspose2d(widths[level + 1], widths[level], 2, stride=2) for level in steps)
        self.join = nn.ModuleList(Block(2 * widths[level], widths[level], a.kernel) for level in steps)
        self.out = nn.Conv2d(a.width, n_maps, 1)
        start_from_zero(self.out)

    def forward(self, maps: torch.Tensor, periodic: bool = True) -> torch.Tensor:
        out = self.linear(maps[:, : self.n_ssh], periodic)
        if self.architecture.kind == "residual":
            skips = []
            for level, block in enumerate(self.down):
                maps = block(maps if level == 0 else functional.max_pool2d(maps, 2), periodic)
                skips.append(maps)
            for level in reversed(range(len(self.up))):
                maps = self.join[level](torch.cat([fitted(self.up[level](maps), skips[level]), skips[level]], dim=1), periodic)
            out = out + self.out(maps)
        return functional.pixel_shuffle(out, FOLD)

    @property
    def settings(self) -> dict:
        """What :meth:`__init__` needs, as plain values."""
        sizes = {name: getattr(self, name) for name in ("n_channels", "n_ssh", "n_depths")}
        return {**asdict(self.architecture), **sizes}

    @classmethod
    def from_settings(cls, settings: dict) -> VelocityNetwork:
        """Undo :attr:`settings`."""
        settings = dict(settings)
        sizes = [int(settings.pop(name)) for name in ("n_channels", "n_ssh", "n_depths")]
        return cls(VelocityArchitecture(**settings), *sizes)
