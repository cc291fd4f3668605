"""The parts that all trainings share: the rate of each step, the validated running mean of the weights, an exact state."""

from __future__ import annotations

import logging
import warnings
from abc import abstractmethod
from typing import Any

import numpy as np
import pytorch_lightning as lightning
import torch

from data.errors import InputError

#: Moments of Adam that the next step depends on.
MOMENTS = ("step", "exp_avg", "exp_avg_sq")


def refuse_nan(loss: torch.Tensor, epoch: int) -> None:
    """InputError for a loss that is not a number."""
    if not torch.isfinite(loss):
        raise InputError(
            f"the training loss is {loss.item()} in epoch {epoch + 1}: training has diverged (a smaller --lr or --precision 32 "
            "mends it), or the fields hold infinite values"
        )


class AveragedTraining(lightning.LightningModule):
    """Optimiser, running mean of the weights, weights of the best epochs, the state that a killed training goes on from.

    A subclass has the loss, the validation and :meth:`rate`; it calls :meth:`keep_best` at the end of a validation.

    Parameters
    ----------
    network : nn.Module
    decay : float
        Of the running mean; 0: none is kept, and the weights themselves are validated.
    n_best : int
        How many best epochs are kept, one for each score.
    """

    #: Key of the best scores in a state's card.
    BEST = "best_scores"

    def __init__(self, network: torch.nn.Module, decay: float, n_best: int = 1):
        super().__init__()
        self.network, self.decay = network, decay
        self.average: dict[str, torch.Tensor] = {}
        self.average_anew()
        self.best: list[dict[str, torch.Tensor]] = [{} for _ in range(n_best)]
        self.best_scores = [float("inf")] * n_best
        self.step = 0
        self._restored: dict[str, torch.Tensor] | None = None
        self._losses: list[torch.Tensor] = []
        self._kept: dict[str, torch.Tensor] = {}

    @abstractmethod
    def rate(self, step: int) -> float:
        """Learning rate of a step."""

    def best_prefix(self, number: int) -> str:
        """Prefix of the names of a best epoch's weights in a state."""
        return f"best.{number}."

    def average_anew(self) -> None:
        """Let the running mean begin at the present weights."""
        self.average = self._weights() if self.decay else {}

    def _weights(self) -> dict[str, torch.Tensor]:
        return {name: value.detach().clone() for name, value in self.network.named_parameters()}

    # -- optimisation ------------------------------------------------------------------------------------------------
    def _optimiser(self) -> torch.optim.Optimizer:
        optimiser = self.optimizers()
        assert not isinstance(optimiser, list)
        return optimiser.optimizer

    def on_fit_start(self) -> None:
        """Give a restored state to the optimiser that the trainer has made."""
        self.average = {name: value.to(self.device) for name, value in self.average.items()}
        if self._restored is None:
            return
        optimiser = self._optimiser()
        for number, parameter in enumerate(self.network.parameters()):
            moments = {name: self._restored[f"{number}.{name}"] for name in MOMENTS}
            optimiser.state[parameter] = {
                name: value.clone() if name == "step" else value.to(parameter.device).clone() for name, value in moments.items()
            }
        self._restored = None

    def on_train_batch_start(self, batch, batch_idx) -> None:
        """Set the step's learning rate."""
        rate = self.rate(self.step)
        for group in self._optimiser().param_groups:
            group["lr"] = rate

    def on_train_batch_end(self, outputs, batch, batch_idx) -> None:
        """Bring the running mean forward; early steps count more, so that it soon forgets where it began."""
        self.step += 1
        decay = min(self.decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, parameter in self.network.named_parameters():
                if name in self.average:
                    self.average[name].lerp_(parameter, 1 - decay)

    def note_loss(self, loss: torch.Tensor, epoch: int) -> torch.Tensor:
        """Keep a batch's loss for :meth:`take_loss`; InputError if the loss is not a number."""
        refuse_nan(loss.detach(), epoch)
        self._losses.append(loss.detach())
        return loss

    def take_loss(self) -> float:
        """Mean training loss since the last call."""
        loss = float(torch.stack(self._losses).double().mean())
        self._losses = []
        return loss

    # -- validation --------------------------------------------------------------------------------------------------
    def on_validation_epoch_start(self) -> None:
        """Put the running mean of the weights in place of the weights, for validation and for keeping."""
        if self.average:
            self._kept = self._weights()
            self._put(self.average)

    def keep_best(self, scores: list[float]) -> None:
        """Keep the weights where a score, the smaller the better, is the best yet; then put the trained weights back."""
        for number, score in enumerate(scores):
            if score < self.best_scores[number]:
                self.best_scores[number] = score
                self.best[number] = {name: value.detach().cpu().clone() for name, value in self.network.state_dict().items()}
        if self.average:
            self._put(self._kept)

    def _put(self, values: dict[str, torch.Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self.network.named_parameters():
                parameter.copy_(values[name])

    # -- state -------------------------------------------------------------------------------------------------------
    def state_tensors(self) -> tuple[dict[str, torch.Tensor], dict]:
        """Everything that the next epoch depends on: tensors, and a card."""
        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {f"average.{name}": value for name, value in self.average.items()}
        for number, best in enumerate(self.best):
            tensors |= {f"{self.best_prefix(number)}{name}": value for name, value in best.items()}
        optimiser = self._optimiser()
        for number, parameter in enumerate(self.network.parameters()):
            moments = optimiser.state[parameter]
            tensors |= {f"optimiser.{number}.{name}": moments[name] for name in MOMENTS}
        return {name: value.clone() for name, value in tensors.items()}, {self.BEST: self.best_scores, "step": self.step}

    def restore(self, tensors: dict[str, torch.Tensor], card: dict) -> None:
        """Undo :meth:`state_tensors`; the optimiser's part waits for the trainer to make one."""

        def part(prefix):
            return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

        self.network.load_state_dict(part("network."))
        self.average = part("average.")
        self.best = [part(self.best_prefix(number)) for number in range(len(self.best))]
        self.best_scores = np.atleast_1d(card[self.BEST]).tolist()
        self.step = int(card["step"])
        self._restored = part("optimiser.")


class KeepState(lightning.Callback):
    """Writes the state after each epoch, and tells ``order``, which draws the batches, of the next."""

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


def fit(module: AveragedTraining, train, validation, progress, order, *, epochs: int, terminal: bool, **options: Any) -> None:
    """Train to the last epoch on Lightning, which writes no checkpoint of its own.

    ``options``: accelerator, devices, precision, logger of Lightning's Trainer.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
        trainer = lightning.Trainer(
            max_epochs=epochs - progress.epoch, enable_checkpointing=False, enable_model_summary=False,
            enable_progress_bar=terminal, num_sanity_val_steps=0, callbacks=[KeepState(progress, order)], **options,
        )  # fmt: skip
        trainer.fit(module, train, validation)
