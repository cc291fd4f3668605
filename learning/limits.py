"""Estimates the cost of a training before it begins; a training that no machine could hold or finish is refused."""

from __future__ import annotations

import torch

from data.errors import OptionError
from data.machine import need_memory
from learning.network import CatchmentNetwork
from learning.plan import FitPlan

#: Most multiplications of a training: about a thousand times those of the paper's recipe on 5000 experiments (2.3e16).
MOST_OPERATIONS = 2e19
#: Copies of the weights while they are trained (gradients, two moments), and of a map at the finest resolution (activations).
WEIGHT_COPIES, MAP_COPIES = 4, 20
#: Multiplications of a step forward and back, of those forward.
BACK = 3


def parameters(plan: FitPlan) -> int:
    """Weights of one network."""
    with torch.device("meta"):
        samples = plan.samples
        network = CatchmentNetwork(plan.preset.architecture, samples.fields.spec, len(samples.speeds), len(samples.levels))
    return sum(weights.numel() for weights in network.parameters())


def check_training(plan: FitPlan) -> None:
    """Refuse a network that memory does not hold, or a training that does not end.

    Raises
    ------
    OptionError
        Names the number and the options that it comes from.
    """
    architecture, preset = plan.preset.architecture, plan.preset
    weights, cells = parameters(plan), (100 / architecture.coarsen) ** 2
    if preset.epochs:
        visits = float(preset.epochs) * plan.split.train.size * preset.members
        operations = BACK * visits * weights * cells / 4 ** (architecture.levels - 1)
        if operations > MOST_OPERATIONS:
            raise OptionError(
                f"--epochs {preset.epochs} of {preset.members} --members with {weights:.2g} weights are about {operations:.1g} "
                f"multiplications, more than {MOST_OPERATIONS:g}; give fewer --epochs or --members, or a smaller --width"
            )
    if plan.config.device == "cpu" or not torch.cuda.is_available():
        maps = float(min(preset.batch, plan.split.train.size)) * architecture.width * cells * MAP_COPIES
        need_memory(
            4 * (weights * WEIGHT_COPIES + maps),
            f"a network of --width {architecture.width} and a --batch of {preset.batch}",
            "give smaller ones",
        )
