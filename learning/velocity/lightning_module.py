"""The Lightning module of a training of velocities, and the callback that keeps its state."""

from __future__ import annotations

import pytorch_lightning as lightning
import torch

from learning.lightning_module import refuse_nan
from learning.velocity.loss import displacement_error, energy
from learning.velocity.network import VelocityNetwork
from learning.velocity.schedule import Schedule, learning_rate


class VelocityTraining(lightning.LightningModule):
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

    def __init__(self, network: VelocityNetwork, schedule: Schedule, scale, metres, unit: float, spacing: float, periodic: bool):
        super().__init__()
        self.network, self.schedule, self.unit, self.spacing, self.periodic = network, schedule, unit, spacing, periodic
        self.register_buffer("scale", torch.as_tensor(scale, dtype=torch.float32)[:, None, None], persistent=False)
        self.register_buffer("metres", torch.as_tensor(metres, dtype=torch.float32), persistent=False)
        self.average = {name: one.detach().clone() for name, one in network.named_parameters()}
        self.best: dict[str, torch.Tensor] = {}
        self.best_loss = float("inf")
        self.step = 0
        self.result: dict = {}
        self._restored: dict[str, torch.Tensor] | None = None
        self._losses: list[torch.Tensor] = []
        self._found: list[tuple[torch.Tensor, ...]] = []
        self._kept: dict[str, torch.Tensor] = {}

    # -- optimisation ------------------------------------------------------------------------------------------------
    def configure_optimizers(self):
        s = self.schedule
        return torch.optim.AdamW(self.network.parameters(), lr=s.lr, betas=(0.9, 0.99), weight_decay=s.weight_decay)

    def on_fit_start(self) -> None:
        self.average = {name: one.to(self.device) for name, one in self.average.items()}
        if self._restored is None:
            return
        optimiser = self._optimiser()
        for number, parameter in enumerate(self.network.parameters()):
            moments = {name: self._restored[f"{number}.{name}"] for name in ("step", "exp_avg", "exp_avg_sq")}
            optimiser.state[parameter] = {
                name: one.clone() if name == "step" else one.to(parameter.device).clone() for name, one in moments.items()
            }
        self._restored = None

    def _optimiser(self) -> torch.optim.Optimizer:
        return self.optimizers().optimizer

    def on_train_batch_start(self, batch, batch_idx) -> None:
        rate = learning_rate(self.schedule, self.step)
        for group in self._optimiser().param_groups:
            group["lr"] = rate

    def _error(self, maps: torch.Tensor, psi: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        predicted = self.network(maps, self.periodic).float() * self.scale
        return displacement_error(predicted, psi, self.metres, self.spacing, self.periodic) / self.unit, predicted

    def training_step(self, batch, batch_idx):
        loss = self._error(*batch)[0].mean()
        refuse_nan(loss.detach(), self.step // self.schedule.epoch_steps)
        self._losses.append(loss.detach())
        return loss

    def on_train_batch_end(self, outputs, batch, batch_idx) -> None:
        self.step += 1
        decay = min(self.schedule.average, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, parameter in self.network.named_parameters():
                self.average[name].lerp_(parameter, 1 - decay)

    # -- validation --------------------------------------------------------------------------------------------------
    def on_validation_epoch_start(self) -> None:
        self._found = []
        self._kept = {name: one.detach().clone() for name, one in self.network.named_parameters()}
        self._put(self.average)  # validated, and kept, is the running mean

    def _put(self, values: dict[str, torch.Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self.network.named_parameters():
                parameter.copy_(values[name])

    def validation_step(self, batch, batch_idx) -> None:
        maps, psi = batch
        error, predicted = self._error(maps, psi)
        self._found.append(
            (error, energy(predicted - psi, self.spacing, self.periodic), energy(psi, self.spacing, self.periodic))
        )

    def on_validation_epoch_end(self) -> None:
        error, left, whole = (torch.cat(one).double() for one in zip(*self._found, strict=True))
        loss = float(error.mean())
        self.result = {"validation_loss": loss, "explained": (1 - left.mean(dim=0) / whole.mean(dim=0)).tolist()}
        if loss < self.best_loss:
            self.best_loss = loss
            self.best = {name: one.detach().cpu().clone() for name, one in self.network.state_dict().items()}
        self._put(self._kept)

    def take_loss(self) -> float:
        """Mean training loss since the last call."""
        loss = float(torch.stack(self._losses).double().mean())
        self._losses = []
        return loss

    # -- state -------------------------------------------------------------------------------------------------------
    def state_tensors(self) -> tuple[dict[str, torch.Tensor], dict]:
        """Everything that the next epoch depends on."""
        tensors = {f"network.{name}": one for name, one in self.network.state_dict().items()}
        tensors |= {f"average.{name}": one for name, one in self.average.items()}
        tensors |= {f"best.{name}": one for name, one in self.best.items()}
        optimiser = self._optimiser()
        for number, parameter in enumerate(self.network.parameters()):
            moments = optimiser.state[parameter]
            tensors |= {f"optimiser.{number}.{name}": moments[name] for name in ("step", "exp_avg", "exp_avg_sq")}
        return {name: one.clone() for name, one in tensors.items()}, {"best_loss": self.best_loss, "step": self.step}

    def restore(self, tensors: dict[str, torch.Tensor], card: dict) -> None:
        """Undo :meth:`state_tensors`; the optimiser's part waits for the trainer to make one."""

        def part(prefix):
            return {name.removeprefix(prefix): one for name, one in tensors.items() if name.startswith(prefix)}

        self.network.load_state_dict(part("network."))
        self.average, self.best = part("average."), part("best.")
        self.best_loss, self.step = float(card["best_loss"]), int(card["step"])
        self._restored = part("optimiser.")

    def best_network(self) -> VelocityNetwork:
        """The network of the best epoch, on the CPU, ready to predict."""
        network = self.network.cpu()
        network.load_state_dict(self.best)
        return network.eval()


class KeepVelocityState(lightning.Callback):
    """Writes the state after each epoch."""

    def __init__(self, progress, batches):
        self.progress, self.batches = progress, batches

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        self.progress.check()

    def on_train_epoch_end(self, trainer, module) -> None:
        self.progress.epoch_done(module.take_loss(), module.result)
        self.batches.epoch = self.progress.epoch
