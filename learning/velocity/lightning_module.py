"""The Lightning module of a training of velocities."""

from __future__ import annotations

import torch

from learning.averaged_training import AveragedTraining
from learning.velocity.loss import displacement_error, energy
from learning.velocity.network import VelocityNetwork
from learning.velocity.schedule import Schedule, learning_rate


class VelocityTraining(AveragedTraining):
    """Loss, optimiser, running mean of the weights, validation, and the best epoch.

    Parameters
    ----------
    network : VelocityNetwork
    schedule : Schedule
    scale : (depth,) float
        m2/s, of the network's output.
    metres : (depth,) float
        See :func:`learning.velocity.loss.displacement_error`.
    unit : float
        Mean displacement error of no prediction at all, m4/s2: the loss is given as a share of it.
    spacing : float
        Of the lattice, m.
    periodic : bool
    """

    BEST = "best_loss"
    network: VelocityNetwork
    scale: torch.Tensor
    metres: torch.Tensor

    def __init__(self, network: VelocityNetwork, schedule: Schedule, scale, metres, unit: float, spacing: float, periodic: bool):
        super().__init__(network, schedule.average)
        self.schedule, self.unit, self.spacing, self.periodic = schedule, unit, spacing, periodic
        self.register_buffer("scale", torch.as_tensor(scale, dtype=torch.float32)[:, None, None], persistent=False)
        self.register_buffer("metres", torch.as_tensor(metres, dtype=torch.float32), persistent=False)
        self.results: dict = {}
        self._errors: list[tuple[torch.Tensor, ...]] = []

    def best_prefix(self, number: int) -> str:
        return "best."

    def configure_optimizers(self):
        s = self.schedule
        return torch.optim.AdamW(self.network.parameters(), lr=s.lr, betas=(0.9, 0.99), weight_decay=s.weight_decay)

    def rate(self, step: int) -> float:
        return learning_rate(self.schedule, step)

    def _error(self, maps: torch.Tensor, psi: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        predicted = self.network(maps, self.periodic).float() * self.scale
        return displacement_error(predicted, psi, self.metres, self.spacing, self.periodic) / self.unit, predicted

    def training_step(self, batch, batch_idx):
        return self.note_loss(self._error(*batch)[0].mean(), self.step // self.schedule.epoch_steps)

    def on_validation_epoch_start(self) -> None:
        self._errors = []
        super().on_validation_epoch_start()

    def validation_step(self, batch, batch_idx) -> None:
        maps, psi = batch
        error, predicted = self._error(maps, psi)
        self._errors.append(
            (error, energy(predicted - psi, self.spacing, self.periodic), energy(psi, self.spacing, self.periodic))
        )

    def on_validation_epoch_end(self) -> None:
        error, left, whole = (torch.cat(values).double() for values in zip(*self._errors, strict=True))
        loss = float(error.mean())
        self.results = {"validation_loss": loss, "explained": (1 - left.mean(dim=0) / whole.mean(dim=0)).tolist()}
        self.keep_best([loss])

    def best_network(self) -> VelocityNetwork:
        """The network of the best epoch, on the CPU, ready to predict."""
        network = self.network.cpu()
        network.load_state_dict(self.best[0])
        return network.eval()
