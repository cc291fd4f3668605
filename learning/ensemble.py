"""An ensemble of networks: prediction from arrays, its spread, and whether the inputs look like those it was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from data.errors import InputError, OptionError, StoreError
from data.frame import WINDOW_SHAPE, WINDOW_SPACING_KM
from learning.inputs import InputSpec, Normalisation
from learning.loss import bhattacharyya_loss
from learning.network import CatchmentNetwork
from learning.weights import load_network

#: Parts of a card in which all members of an ensemble must agree.
SHARED = ("architecture", "inputs", "normalisation", "levels", "w", "run")
#: Fields further than both of these (root mean square) from the mean that the networks learnt from are of another variable or in
#: other units: training standard deviations, and in m, degrees Celsius, m/s and 1 what no sea differs from another.
FAR_STD = 10.0
FAR = {"ssh": 3.0, "temp": 25.0, "u": 2.0, "v": 2.0, "vorticity_over_f": 2.0}


@dataclass(eq=False)
class Ensemble:
    """Networks of one sinking speed and input set.

    Attributes
    ----------
    networks : list of CatchmentNetwork
    normalisation : Normalisation
    card : dict
        The first member's card.
    """

    networks: list[CatchmentNetwork]
    normalisation: Normalisation
    card: dict

    @classmethod
    def load(cls, folder: Path) -> Ensemble:
        """All members in a folder.

        Raises
        ------
        StoreError
            There are none, one is damaged, or they do not belong together.
        """
        paths = sorted(Path(folder).glob("member-*[0-9].safetensors"))
        if not paths:
            raise StoreError(f"{folder} holds no members (member-NN.safetensors); run python -m learning.fit first")
        loaded = [load_network(path) for path in paths]
        card = loaded[0][2]
        for path, (_, _, card_of_member) in zip(paths, loaded, strict=True):
            differ = [name for name in SHARED if card_of_member.get(name) != card.get(name)]
            if differ:
                raise StoreError(f"{path} and {paths[0].name} do not belong together: {', '.join(differ)} differ")
        return cls([network for network, _, _ in loaded], loaded[0][1], card)

    @property
    def spec(self) -> InputSpec:
        """The inputs that the networks take."""
        return self.networks[0].spec

    def to(self, device: str) -> Ensemble:
        """Move the networks to a torch device."""
        for network in self.networks:
            network.to(device)
        return self

    def has_body_of(self, other: Ensemble) -> bool:
        """Whether its members differ from those of ``other`` in the weights of their speed alone, and take the same inputs."""
        alike = ("inputs", "normalisation", "run")
        return (
            len(self.networks) == len(other.networks)
            and all(self.card.get(name) == other.card.get(name) for name in alike)
            and all(network.has_body_of(counterpart) for network, counterpart in zip(self.networks, other.networks, strict=True))
        )

    @torch.no_grad()
    def features(self, inputs: torch.Tensor | np.ndarray) -> list[torch.Tensor] | None:
        """What :meth:`predict` of every ensemble of the same body (:meth:`has_body_of`) makes of inputs first, a member each.

        None where the networks are of an architecture that has no such part.
        """
        inputs = self._moved(inputs)
        # the members' cards agree: what comes before the first weight is the same for all
        folded = self.networks[0].folded(inputs)
        return None if folded is None else [network.features(folded) for network in self.networks]

    def _moved(self, inputs: torch.Tensor | np.ndarray) -> torch.Tensor:
        """Inputs where the networks are."""
        return torch.as_tensor(inputs).to(next(self.networks[0].parameters()).device)

    @torch.no_grad()
    def predict(
        self, inputs: torch.Tensor | np.ndarray, level: int | None = None, features: list[torch.Tensor] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """PDFs from normalised inputs.

        Parameters
        ----------
        inputs : (n, lag * variable, y, x) float32
        level : int, optional
            Number of the one level that is wanted (the results then hold one); all levels by default.
        features : list of Tensor, optional
            :meth:`features` of these inputs, by this ensemble or one of the same body; made here by default.

        Returns
        -------
        pdf : (n, level, y, x) float32
            Median over the members in each cell, re-normalised to sum 1 (method.md section 3).
        spread : (n, level) float32
            Mean Bhattacharyya loss of the members against it: 0 where all agree (or there is but one), towards 1 where none do.
        """
        inputs = self._moved(inputs)
        body = features or self.features(inputs)
        if body is None or inputs.device.type != "cpu" or len(inputs) < 2:
            pdf, spread = self._combined(inputs, body, level)
        else:
            # a sample after the other: the maps of all members stay in the processor's cache
            rows = [slice(row, row + 1) for row in range(len(inputs))]
            samples = [self._combined(inputs[row], [maps[row] for maps in body], level) for row in rows]
            pdf, spread = (torch.cat(parts) for parts in zip(*samples, strict=True))
        return pdf.cpu().numpy(), spread.cpu().numpy()

    def _combined(
        self, inputs: torch.Tensor, body: list[torch.Tensor] | None, level: int | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What :meth:`predict` gives, of inputs and features (a member each) where the networks are."""
        members = [
            network.predict_first_speed(inputs, body[k] if body else None, level) for k, network in enumerate(self.networks)
        ]
        middle = median(members)
        middle = middle / middle.sum(dim=(-2, -1), keepdim=True)
        if len(members) == 1:
            spread = torch.zeros(middle.shape[:2])
        else:
            spread = torch.stack([bhattacharyya_loss(member, middle) for member in members]).mean(dim=0).clamp_min(0)
        return middle, spread

    def predict_fields(self, fields: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """:meth:`predict` from fields (n, lag, variable, y, x); see :meth:`normalised`."""
        return self.predict(self.normalised(fields))

    def normalised(self, fields: np.ndarray) -> np.ndarray:
        """(n, lag * variable, y, x) what :meth:`predict` takes, of fields (n, lag, variable, y, x) in the units of the simulation
        (m, degrees C, m/s, 1).

        Raises
        ------
        ValueError
            Another shape: lags, variables, or other than the 100 x 100 points of 8 km that the networks learnt from.
        InputError
            A variable holds infinite values, or lies so far from what the networks learnt from that it is another variable, or
            in other units (:data:`FAR_STD`, :data:`FAR`).
        """
        fields = np.asarray(fields, np.float32)
        shape = (len(self.spec.lags_days), len(self.spec.variables), *WINDOW_SHAPE)
        if fields.ndim != 5 or fields.shape[1:] != shape:
            lags, variables, ny, nx = shape
            raise ValueError(
                f"fields must be (n, {lags} lags, {variables} variables, {ny} y, {nx} x), points {WINDOW_SPACING_KM:g} km apart, "
                f"not {fields.shape}"
            )
        lags, variables = shape[:2]
        return self.normalisation(self._plausible(fields)).reshape(fields.shape[0], lags * variables, *fields.shape[-2:])

    def _plausible(self, fields: np.ndarray) -> np.ndarray:
        """The fields, as they are, where each variable can be what the networks take for it."""
        order = ", ".join(name for name, _ in self.spec.variables)
        for number, (name, _) in enumerate(self.spec.variables):
            values, mean, std = fields[:, :, number], self.normalisation.mean[number], self.normalisation.std[number]
            if np.isinf(values).any():
                raise InputError(f"{name} holds infinite values; NaN stands for what is not known")
            finite = values[np.isfinite(values)]
            away = float(np.sqrt(np.mean((finite - mean) ** 2, dtype=np.float64))) if finite.size else 0.0
            if away > max(FAR_STD * std, FAR[name]):
                raise InputError(
                    f"{name} lies {away:.3g} (root mean square) from the {mean:.3g} that the networks learnt from, "
                    f"{away / std:.0f} standard deviations: give the variables in the order {order}, in m, degrees Celsius, m/s "
                    "and 1"
                )
        return fields


def of_one_body(ensembles: Sequence[Ensemble]) -> list[list[int]]:
    """Numbers of the ensembles in groups that share their bodies (:meth:`Ensemble.has_body_of`), in the order given."""
    groups: list[list[int]] = []
    for number, ensemble in enumerate(ensembles):
        group = next((group for group in groups if ensemble.has_body_of(ensembles[group[0]])), None)
        if group is None:
            groups.append([number])
        else:
            group.append(number)
    return groups


def torch_device(name: str) -> str:
    """The torch device that ``auto``, ``cpu`` or ``gpu`` names on this machine."""
    return "cuda" if name == "gpu" or (name == "auto" and torch.cuda.is_available()) else "cpu"


def check_device(device: str) -> None:
    """OptionError where there is no such device."""
    if device == "gpu" and not torch.cuda.is_available():
        raise OptionError("--device gpu: PyTorch sees no GPU here; use --device auto")


def median(members: list[torch.Tensor]) -> torch.Tensor:
    """Median of equal tensors, element by element; the mean of the middle two of an even number.

    By a sorting network of whole tensors: sorting short lists one by one is what a library's median would spend its time on.
    On a CPU one row of the tensors after the other, so that they stay in the cache.
    """
    if members[0].device.type == "cpu" and members[0].dim() > 1:
        out = torch.empty_like(members[0])
        for row in range(out.shape[0]):
            out[row] = _median([member[row] for member in members])
        return out
    return _median(members)


def _median(members: list[torch.Tensor]) -> torch.Tensor:
    ordered = list(members)
    n = len(ordered)
    if n == 4:  # of two ordered pairs, the larger of the first and the smaller of the second are the middle two of all
        (low, high), (low2, high2) = ((torch.minimum(*pair), torch.maximum(*pair)) for pair in (members[:2], members[2:]))
        return torch.maximum(low, low2).add_(torch.minimum(high, high2)).mul_(0.5)
    for turn in range(n):
        for k in range(turn % 2, n - 1, 2):
            ordered[k], ordered[k + 1] = torch.minimum(ordered[k], ordered[k + 1]), torch.maximum(ordered[k], ordered[k + 1])
    return ordered[n // 2] if n % 2 else 0.5 * (ordered[n // 2 - 1] + ordered[n // 2])
