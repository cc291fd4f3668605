"""The Lightning module of a training on binned PDFs."""

from __future__ import annotations

import math

import torch

from lagrangian.binning import VALID_BL
from learning.averaged_training import AveragedTraining
from learning.config import Preset
from learning.loss import root
from learning.network import CatchmentNetwork, pdf_head

#: Share of the steps over which the rate of the cycle rises.
RISE = 0.2


def learning_rate(preset: Preset, step: int, steps: int) -> float:
    """Rate of a step: constant, or a cycle of two half cosines."""
    if preset.schedule == "constant":
        return preset.lr
    rise = max(1.0, RISE * steps)
    if step < rise:
        return preset.lr * (0.04 + 0.96 * 0.5 * (1 - math.cos(math.pi * step / rise)))
    return preset.lr * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1.0, steps - rise)))


class CatchmentTraining(AveragedTraining):
    """Loss, optimiser, validation, and the best epoch for each speed, by BL at the level ``level``."""

    BEST = "best_bl"
    network: CatchmentNetwork

    def __init__(self, network: CatchmentNetwork, preset: Preset, level: int):
        super().__init__(network, preset.average, network.n_speeds)
        self.preset, self.level = preset, level
        self.steps_per_epoch = 1
        self.results: list[dict] = []
        self._scores: list[torch.Tensor] = []

    def start_from(self, climatology: torch.Tensor) -> None:
        """See :meth:`CatchmentNetwork.start_from`."""
        self.network.start_from(climatology)
        self.average_anew()

    def configure_optimizers(self):
        p = self.preset
        kind = torch.optim.AdamW if p.weight_decay else torch.optim.Adam
        return kind(self.network.parameters(), lr=p.lr, betas=p.betas, weight_decay=p.weight_decay)

    def rate(self, step: int) -> float:
        assert self.preset.epochs is not None
        return learning_rate(self.preset, step, self.steps_per_epoch * self.preset.epochs)

    def training_step(self, batch, batch_idx):
        inputs, amplitude = batch
        loss = self.network.loss(inputs, amplitude.float())
        return self.note_loss(loss, self.step // self.steps_per_epoch)

    def on_validation_epoch_start(self) -> None:
        self._scores = []
        super().on_validation_epoch_start()

    def validation_step(self, batch, batch_idx) -> None:
        inputs, *targets = batch
        # a sample after the other: what is made of one stays in the processor's cache
        samples = zip(self.network(inputs).float(), *targets, strict=True)
        self._scores.append(torch.stack([self._scored(*sample) for sample in samples]))

    def _scored(self, logits: torch.Tensor, amplitude: torch.Tensor, smoothed_root: torch.Tensor) -> torch.Tensor:
        """(speed, 3) loss, and BL and F at the level, of a sample (speed, level, y, x); its root is (speed, y, x)."""
        prediction = pdf_head(logits)
        prediction_root = root(prediction)
        loss = 1 - (amplitude * prediction_root).sum(dim=(-2, -1))
        bl = 1 - (smoothed_root * prediction_root[:, self.level]).sum(dim=(-2, -1))
        f = torch.minimum(smoothed_root.square(), prediction[:, self.level]).sum(dim=(-2, -1))
        return torch.stack([loss.mean(dim=1), bl, f], dim=-1)

    def on_validation_epoch_end(self) -> None:
        scores = torch.cat(self._scores)  # (experiment, speed, 3)
        if self.trainer.world_size > 1:
            gathered = self.all_gather(scores)
            assert isinstance(gathered, torch.Tensor)
            scores = gathered.flatten(0, 1)
        self.results = []
        for number in range(self.network.n_speeds):
            loss, bl, f = (float(value) for value in scores[:, number].double().mean(dim=0))
            valid = float(100 * (scores[:, number, 1] < VALID_BL).double().mean())
            self.results.append({"validation_loss": loss, "bl": bl, "f": f, "valid_percent": valid})
        self.keep_best([result["bl"] for result in self.results])

    def best_networks(self) -> list[CatchmentNetwork]:
        """The best network of each speed, on the CPU."""
        network = self.network.cpu()
        networks = []
        for number, best in enumerate(self.best):
            network.load_state_dict(best)
            networks.append(network.for_speed(number).eval())
        return networks
