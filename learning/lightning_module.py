"""The Lightning module of a training, and the callback that keeps its state."""

from __future__ import annotations

import math

import pytorch_lightning as lightning
import torch

from data.errors import InputError
from lagrangian.binning import VALID_BL
from learning.config import Preset
from learning.loss import RAW_WEIGHT, SMOOTHED_WEIGHT, HeatSmoothing, bhattacharyya_loss, training_loss
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


def validation_scores(prediction: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """BL and F of PDFs (..., y, x)."""
    return bhattacharyya_loss(target, prediction), torch.minimum(target, prediction).sum(dim=(-2, -1))


def refuse_nan(loss: torch.Tensor, epoch: int) -> None:
    """InputError for a loss that is not a number."""
    if not torch.isfinite(loss):
        raise InputError(
            f"the training loss is {loss.item()} in epoch {epoch + 1}: training has diverged (a smaller --lr or --precision 32 "
            "mends it), or the fields hold infinite values"
        )


class CatchmentTraining(lightning.LightningModule):
    """Loss, optimiser, running mean of the weights, validation, and the best epoch for each speed."""

    def __init__(self, network: CatchmentNetwork, preset: Preset, level: int):
        super().__init__()
        self.network, self.preset, self.level = network, preset, level
        self.smoothing = HeatSmoothing(*network.size)
        self.average = {name: one.detach().clone() for name, one in network.named_parameters()} if preset.average else {}
        self.best: list[dict[str, torch.Tensor]] = [{} for _ in range(network.n_speeds)]
        self.best_bl = [float("inf")] * network.n_speeds
        self.steps_per_epoch = 1
        self.step = 0
        self.results: list[dict] = []
        self._restored: dict[str, torch.Tensor] | None = None
        self._losses: list[torch.Tensor] = []
        self._scores: list[torch.Tensor] = []
        self._kept: dict[str, torch.Tensor] = {}

    def start_from(self, climatology: torch.Tensor) -> None:
        """See :meth:`CatchmentNetwork.start_from`."""
        self.network.start_from(climatology)
        if self.average:
            self.average = {name: one.detach().clone() for name, one in self.network.named_parameters()}

    # -- optimisation ------------------------------------------------------------------------------------------------
    def configure_optimizers(self):
        p = self.preset
        kind = torch.optim.AdamW if p.weight_decay else torch.optim.Adam
        return kind(self.network.parameters(), lr=p.lr, betas=p.betas, weight_decay=p.weight_decay)

    def on_fit_start(self) -> None:
        self.average = {name: one.to(self.device) for name, one in self.average.items()}
        if self._restored is None:
            return
        optimiser = self._optimiser()
        for number, parameter in enumerate(self.network.parameters()):
            moments = {name: self._restored[f"optimiser.{number}.{name}"] for name in ("step", "exp_avg", "exp_avg_sq")}
            optimiser.state[parameter] = {
                name: one.clone() if name == "step" else one.to(parameter.device).clone() for name, one in moments.items()
            }
        self._restored = None

    def _optimiser(self) -> torch.optim.Optimizer:
        optimiser = self.optimizers()
        assert not isinstance(optimiser, list)
        return optimiser.optimizer

    def on_train_batch_start(self, batch, batch_idx) -> None:
        assert self.preset.epochs is not None
        rate = learning_rate(self.preset, self.step, self.steps_per_epoch * self.preset.epochs)
        for group in self._optimiser().param_groups:
            group["lr"] = rate

    def training_step(self, batch, batch_idx):
        inputs, raw = batch
        with torch.no_grad():
            smoothed = self.smoothing(raw.float())
        loss = training_loss(self.network(inputs).float(), raw, smoothed)
        refuse_nan(loss.detach(), self.step // self.steps_per_epoch)
        self._losses.append(loss.detach())
        return loss

    def on_train_batch_end(self, outputs, batch, batch_idx) -> None:
        self.step += 1
        if not self.average:
            return
        decay = min(self.preset.average, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, parameter in self.network.named_parameters():
                self.average[name].lerp_(parameter, 1 - decay)

    # -- validation --------------------------------------------------------------------------------------------------
    def on_validation_epoch_start(self) -> None:
        self._scores = []
        if self.average:  # validated, and kept, is the running mean
            self._kept = {name: one.detach().clone() for name, one in self.network.named_parameters()}
            self._put(self.average)

    def _put(self, values: dict[str, torch.Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self.network.named_parameters():
                parameter.copy_(values[name])

    def validation_step(self, batch, batch_idx) -> None:
        inputs, raw = batch
        smoothed = self.smoothing(raw.float())
        prediction = pdf_head(self.network(inputs).float())
        loss = SMOOTHED_WEIGHT * bhattacharyya_loss(smoothed, prediction) + RAW_WEIGHT * bhattacharyya_loss(raw, prediction)
        bl, f = validation_scores(prediction[:, :, self.level], smoothed[:, :, self.level])
        self._scores.append(torch.stack([loss.mean(dim=2), bl, f], dim=-1))

    def on_validation_epoch_end(self) -> None:
        scores = torch.cat(self._scores)  # (experiment, speed, 3)
        if self.trainer.world_size > 1:
            gathered = self.all_gather(scores)
            assert isinstance(gathered, torch.Tensor)
            scores = gathered.flatten(0, 1)
        self.results = []
        for number in range(self.network.n_speeds):
            loss, bl, f = (float(one) for one in scores[:, number].double().mean(dim=0))
            valid = float(100 * (scores[:, number, 1] < VALID_BL).double().mean())
            self.results.append({"validation_loss": loss, "bl": bl, "f": f, "valid_percent": valid})
            if bl < self.best_bl[number]:
                self.best_bl[number] = bl
                self.best[number] = {name: one.detach().cpu().clone() for name, one in self.network.state_dict().items()}
        if self.average:
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
        for number, best in enumerate(self.best):
            tensors |= {f"best.{number}.{name}": one for name, one in best.items()}
        optimiser = self._optimiser()
        for number, parameter in enumerate(self.network.parameters()):
            moments = optimiser.state[parameter]
            tensors |= {f"optimiser.{number}.{name}": moments[name] for name in ("step", "exp_avg", "exp_avg_sq")}
        return {name: one.clone() for name, one in tensors.items()}, {"best_bl": self.best_bl, "step": self.step}

    def restore(self, tensors: dict[str, torch.Tensor], card: dict) -> None:
        """Undo :meth:`state_tensors`; the optimiser's part waits for the trainer to make one."""

        def part(prefix):
            return {name.removeprefix(prefix): one for name, one in tensors.items() if name.startswith(prefix)}

        self.network.load_state_dict(part("network."))
        self.average = part("average.")
        self.best = [part(f"best.{number}.") for number in range(self.network.n_speeds)]
        self.best_bl, self.step = list(card["best_bl"]), int(card["step"])
        self._restored = {f"optimiser.{name}": one for name, one in part("optimiser.").items()}

    def best_networks(self) -> list[CatchmentNetwork]:
        """For each speed its best network, on the CPU."""
        network = self.network.cpu()
        found = []
        for number, best in enumerate(self.best):
            network.load_state_dict(best)
            found.append(network.for_speed(number).eval())
        return found


class KeepState(lightning.Callback):
    """Writes the state after each epoch."""

    def __init__(self, progress, order):
        self.progress, self.order = progress, order

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        self.progress.check()

    def on_train_epoch_end(self, trainer, module) -> None:
        loss = module.take_loss()
        if trainer.is_global_zero:
            self.progress.epoch_done(loss, module.results)
        else:
            self.progress.epoch += 1
        self.order.epoch = self.progress.epoch
