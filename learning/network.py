"""Networks from fields to PDFs: what both have in common, and the toolkit's own network.

A network maps normalised inputs (n, channel, y, x) to logits (n, speed, level, y, x); their softmax over y and x is the PDF.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import asdict
from typing import cast

import torch
from torch import nn
from torch.nn import functional

from data.frame import WINDOW_SHAPE
from data.registry import NETWORKS
from learning.architecture import Architecture as Architecture
from learning.folding import fold
from learning.inputs import InputSpec
from learning.loss import raised_loss, training_loss
from learning.unet import PaperUNet, fitted, particle_source, start_from_zero

#: Variables of which a window's own mean is taken away by the toolkit's network: seasons and datums say nothing of currents.
CENTRED = ("temp", "ssh")
#: Variables that change sign in the mirror image of an ocean about a line of latitude, see :func:`mirrored`; u does not.
ODD_IN_MIRROR = ("temp", "ssh", "v", "vorticity_over_f")
#: Weights of the toolkit's network that belong to speeds and levels; all others are the same for all.
OF_SPEEDS = ("body.out.weight", "body.out.bias", "body.climatology")

#: Added inside the logarithm of the paper's head (SPARO: softmax of log(y + 1e-10) of the rectified maps).
HEAD_EPSILON = 1e-10


class ResidualUNet(nn.Module):
    """A U-Net of residual blocks on a coarse grid whose output corrects the climatology.

    Squares of ``coarsen`` x ``coarsen`` cells are folded into channels: satellite maps hold nothing finer, and the cost falls by
    that factor squared. The logits are raised to the full grid by cubic interpolation and added to those of a climatology,
    itself trained on from the mean PDF of the training experiments, so that an untrained network predicts the climatology.
    """

    def __init__(self, n_channels: int, n_maps: int, architecture: Architecture, centred: torch.Tensor, size: tuple[int, int]):
        super().__init__()
        a = architecture
        self.n_maps, self.coarsen = n_maps, a.coarsen
        widths = [a.width * 2**level for level in range(a.levels)]
        first = n_channels * a.coarsen**2 + 1
        self.down = nn.ModuleList(
            ResidualBlock(first if level == 0 else widths[level - 1], width, a.kernel) for level, width in enumerate(widths)
        )
        steps = range(a.levels - 1)
        self.up = nn.ModuleList(nn.ConvTranspose2d(widths[level + 1], widths[level], 2, stride=2) for level in steps)
        self.join = nn.ModuleList(ResidualBlock(2 * widths[level], widths[level], a.kernel) for level in steps)
        self.out = nn.Conv2d(a.width, n_maps, 1)
        start_from_zero(self.out)
        self.climatology = nn.Parameter(torch.zeros(n_maps, *size))
        self.centred: torch.Tensor
        self.register_buffer("centred", centred.to(torch.float32)[:, None, None])

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(self.folded(inputs)), inputs.shape[-2:])

    def folded(self, inputs: torch.Tensor) -> torch.Tensor:
        """Inputs (n, channel, y, x) centred, folded, with the particle source: no weight has a part in it.

        Channels lie last in memory, and so do those of all that is made of them: a processor convolves such maps in two thirds
        of the time.
        """
        side, (n, channels, ny, nx) = self.coarsen, inputs.shape
        offset = self.centred * inputs.mean(dim=(-2, -1), keepdim=True)
        shape = n, channels * side**2 + 1, -(-ny // side), -(-nx // side)
        out = torch.empty(shape, dtype=inputs.dtype, device=inputs.device, memory_format=torch.channels_last)
        if (ny % side, nx % side) != (0, 0):
            out.zero_()
        if inputs.device.type == "cpu" and inputs.dtype == torch.float32 and not inputs.requires_grad:
            fold(inputs.contiguous().numpy(), offset[:, :, 0, 0].numpy(), side, out.permute(0, 2, 3, 1).numpy())
        else:
            maps = functional.pad(inputs - offset, (0, -nx % side, 0, -ny % side))
            squares = maps.view(n, channels, shape[2], side, shape[3], side).permute(0, 1, 3, 5, 2, 4)
            out[:, :-1].view(n, channels, side, side, *shape[2:]).copy_(squares)  # pixel_unshuffle, into place
        out[:, -1] = 4.0 * particle_source(1, *shape[2:]).to(out)
        return out

    def features(self, maps: torch.Tensor) -> torch.Tensor:
        """(n, width, y, x) on the coarse grid, from what :meth:`folded` gives: what the maps of all speeds are made from."""
        skips = []
        for level, block in enumerate(self.down):
            maps = block(maps if level == 0 else functional.max_pool2d(maps, 2))
            skips.append(maps)
        for level in reversed(range(len(self.up))):
            maps = self.join[level](torch.cat([fitted(self.up[level](maps), skips[level]), skips[level]], dim=1))
        return maps

    def head(self, features: torch.Tensor, size: Sequence[int], wanted: slice = slice(None)) -> torch.Tensor:
        """(n, wanted maps, y, x) logits of a window of ``size`` points from :meth:`features`."""
        maps = self.out(features)[:, wanted].contiguous()
        rows, columns = self._raising(maps.shape[-2:], size, maps)
        return (rows @ maps @ columns.T).add_(self._prior(size)[wanted])

    def loss(self, inputs: torch.Tensor, amplitude: torch.Tensor) -> torch.Tensor:
        """:func:`learning.loss.training_loss` of inputs and of the amplitude (n, map, y, x) of their PDFs."""
        size = inputs.shape[-2:]
        maps = self.out(self.features(self.folded(inputs)))
        prior = self._prior(size)
        return raised_loss(maps, *self._raising(maps.shape[-2:], size, prior), prior, amplitude)

    def _raising(self, cells: Sequence[int], size: Sequence[int], like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Matrices (y, b), (x, a), of the kind of ``like``, that raise maps of (b, a) ``cells`` to a window of (y, x) points."""
        rows, columns = (_raise(n, n * self.coarsen)[:points].to(like) for n, points in zip(cells, size, strict=True))
        return rows, columns

    def _prior(self, size: Sequence[int]) -> torch.Tensor:
        """(map, y, x) logits of the climatology in a window of ``size`` points."""
        prior: torch.Tensor = self.climatology
        if prior.shape[-2:] != tuple(size):
            prior = functional.interpolate(prior[None], size=tuple(size), mode="bilinear", align_corners=False)[0]
        return prior


class ResidualBlock(nn.Module):
    """Two convolutions with batch normalisation; the input is added to their output."""

    def __init__(self, c_in: int, c_out: int, kernel: int):
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2, bias=False)
        self.norm1 = nn.BatchNorm2d(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, kernel, padding=kernel // 2, bias=False)
        self.norm2 = nn.BatchNorm2d(c_out)
        self.skip = nn.Conv2d(c_in, c_out, 1, bias=False) if c_in != c_out else nn.Identity()

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        change = self.norm2(self.conv2(functional.relu(self.norm1(self.conv1(maps)))))
        return functional.relu(change + self.skip(maps))


@functools.cache
def _raise(n: int, fine: int) -> torch.Tensor:
    """(fine, n) matrix of cubic interpolation from n cells to ``fine`` cells of the same stretch."""
    eye = torch.eye(n)[None, None]
    return functional.interpolate(eye, size=(fine, n), mode="bicubic", align_corners=False)[0, 0]


class CatchmentNetwork(nn.Module):
    """A network together with the facts that fix its inputs and outputs.

    Parameters
    ----------
    architecture : Architecture
    spec : InputSpec
    n_speeds, n_levels : int
    size : (int, int)
        (y, x) points of a window; other sizes work too, the climatology being stretched.
    """

    def __init__(self, architecture: Architecture, spec: InputSpec, n_speeds: int, n_levels: int, size=WINDOW_SHAPE):
        super().__init__()
        self.architecture, self.spec = architecture, spec
        self.n_speeds, self.n_levels, self.size = n_speeds, n_levels, tuple(size)
        n_maps = n_speeds * n_levels
        if architecture.kind == "paper":
            self.body: nn.Module = PaperUNet(spec.n_channels, n_maps, architecture.width)
        elif architecture.kind == "residual":
            centred = torch.tensor([name in CENTRED for name, _ in spec.variables] * len(spec.lags_days))
            self.body = ResidualUNet(spec.n_channels, n_maps, architecture, centred, size)
        else:
            self.body = NETWORKS.get(architecture.kind)(spec.n_channels, n_maps, architecture)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(n, channel, y, x) normalised -> logits (n, speed, level, y, x)."""
        maps = self.body(inputs)
        if self.architecture.kind == "paper":
            maps = (functional.relu(maps) + HEAD_EPSILON).log()
        return maps.view(inputs.shape[0], self.n_speeds, self.n_levels, *maps.shape[-2:])

    def loss(self, inputs: torch.Tensor, amplitude: torch.Tensor) -> torch.Tensor:
        """:func:`learning.loss.training_loss` of normalised inputs (n, channel, y, x) and of the amplitude
        (:func:`learning.loss.target_amplitude`, n, speed, level, y, x) of their PDFs."""
        if isinstance(self.body, ResidualUNet):
            return self.body.loss(inputs, amplitude.flatten(1, 2))
        return training_loss(self(inputs).float(), amplitude)

    def predict(self, inputs: torch.Tensor) -> torch.Tensor:
        """(n, channel, y, x) normalised -> PDFs (n, speed, level, y, x), each of sum 1."""
        return pdf_head(self(inputs))

    def folded(self, inputs: torch.Tensor) -> torch.Tensor | None:
        """What networks of the same architecture can share of :meth:`predict_first_speed`; None where that is nothing."""
        return self.body.folded(inputs) if isinstance(self.body, ResidualUNet) else None

    def features(self, folded: torch.Tensor) -> torch.Tensor:
        """What networks of the same body (:meth:`has_body_of`) can share, from :meth:`folded`."""
        return cast(ResidualUNet, self.body).features(folded)

    def has_body_of(self, other: CatchmentNetwork) -> bool:
        """Whether all weights but those of speeds and levels are those of ``other``: parts of one network (:meth:`for_speed`)."""
        if not isinstance(self.body, ResidualUNet) or (self.architecture, self.spec) != (other.architecture, other.spec):
            return False
        ours, theirs = self.state_dict(), other.state_dict()
        return all(torch.equal(ours[name], theirs[name]) for name in ours if name not in OF_SPEEDS)

    def predict_first_speed(
        self, inputs: torch.Tensor, features: torch.Tensor | None = None, level: int | None = None
    ) -> torch.Tensor:
        """PDFs (n, level, y, x) of the first speed, of all levels or, (n, 1, y, x), of one of them (its number).

        ``features``: :meth:`features` of this network or of one of the same body; made here where they are None.
        """
        numbers = slice(0, self.n_levels) if level is None else slice(level, level + 1)
        if isinstance(self.body, ResidualUNet):
            features = self.features(self.body.folded(inputs)) if features is None else features
            return pdf_head(self.body.head(features, inputs.shape[-2:], numbers))
        return pdf_head(self(inputs)[:, 0, numbers])

    def start_from(self, climatology: torch.Tensor) -> None:
        """Give the residual network the mean PDFs (speed, level, y, x) to begin with."""
        if self.architecture.kind == "residual":
            prior = cast(ResidualUNet, self.body).climatology
            with torch.no_grad():
                prior.copy_((climatology.flatten(0, 1) + 1e-7).log())

    def for_speed(self, number: int) -> CatchmentNetwork:
        """The network of one of its speeds alone; parameters are copied."""
        alone = CatchmentNetwork(self.architecture, self.spec, 1, self.n_levels, self.size)
        maps = slice(number * self.n_levels, (number + 1) * self.n_levels)
        state = dict(self.state_dict())
        if self.n_speeds > 1:
            if self.architecture.kind != "residual":
                raise ValueError(f"the {self.architecture.kind} network holds one sinking speed")
            for name in OF_SPEEDS:
                state[name] = state[name][maps]
        alone.load_state_dict(state)
        return alone

    @property
    def settings(self) -> dict:
        """What :meth:`__init__` needs beside the input spec, as plain values."""
        return {**asdict(self.architecture), "n_levels": self.n_levels}


def pdf_head(logits: torch.Tensor) -> torch.Tensor:
    """Softmax over the last two dimensions."""
    return logits.flatten(-2).softmax(dim=-1).view_as(logits)


def mirrored(inputs: torch.Tensor, spec: InputSpec) -> torch.Tensor:
    """Normalised inputs of the ocean's mirror image about a line of latitude.

    Quasi-geostrophic flow on a beta-plane is also a solution with y and the streamfunction reversed: the anomalies of SSH and of
    temperature, v and vorticity change sign, u keeps it, and a PDF is turned north to south.
    """
    signs = [-1.0 if name in ODD_IN_MIRROR else 1.0 for name, _ in spec.variables] * len(spec.lags_days)
    return inputs.flip(-2) * torch.tensor(signs, dtype=inputs.dtype, device=inputs.device)[:, None, None]
