"""A trained model of velocities on disk and in use: networks with their cards, residuals, predictions of streamfunctions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from data.errors import StoreError
from data.fingerprint import fingerprint
from learning.folders import member_path
from learning.velocity.lattice import Lattice
from learning.velocity.maps import Maps, MapSpec
from learning.velocity.network import VelocityNetwork
from learning.velocity.residuals import Residuals
from learning.weights import load_tensors, save_tensors

FORMAT = "catchment-velocities-1"
#: Parts of a card in which all networks of a model must agree.
SHARED = ("maps", "map_scale", "scale", "flow", "depths", "spacing_km", "run", "split")
BATCH = 16


def velocity_folder(run: Path, inputs: str, kind: str = "residual") -> Path:
    """Where the networks of an input set are kept: no speed in the path, they serve any."""
    return Path(run) / "models" / f"velocity-{'' if kind == 'residual' else kind + '-'}{inputs}"


def checksum(tensors: dict[str, torch.Tensor]) -> str:
    """A hash of names, shapes and values."""
    parts: list[bytes] = []
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        parts += [f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode(), tensor.numpy().tobytes()]
    return fingerprint(*parts)


def save_velocity_network(path: Path, network: VelocityNetwork, card: dict) -> None:
    """Write the weights of a network with its card (all of :data:`SHARED`, and what else it should tell)."""
    tensors = network.state_dict()
    save_tensors(path, tensors, {"format": FORMAT, "architecture": network.settings, **card, "checksum": checksum(tensors)})


def load_velocity_network(path: Path) -> tuple[VelocityNetwork, dict]:
    """A network ready to predict, and its card.

    Raises
    ------
    StoreError
        It is absent, damaged, of another format, or its card and its weights do not fit together.
    """
    tensors, card = load_tensors(path)
    if card.get("format") != FORMAT:
        raise StoreError(f"{path} is of format {card.get('format')!r}; this version reads {FORMAT}")
    if card.get("checksum") != checksum(tensors):
        raise StoreError(f"{path} is damaged: its weights are not those that its card was written with")
    try:
        spec = MapSpec.from_card(card["maps"])
        network = VelocityNetwork.from_settings(card["architecture"])
        network.load_state_dict(tensors)
        n = len(card["depths"])
        if (network.n_channels, network.n_ssh, network.n_depths) != (spec.n_channels, spec.n_ssh, n):
            raise ValueError("another number of channels or depths")
        if np.shape(card["scale"]) != (n,) or np.shape(card["flow"]) != (n, 2) or set(card["map_scale"]) != set(spec.variables):
            raise ValueError("normalisation of another number of variables or depths")
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise StoreError(f"{path}: its card and its weights do not fit together ({str(error).splitlines()[0]})") from None
    return network.eval(), card


@dataclass(eq=False)
class VelocityModel:
    """Networks of one input set, and the residuals of their mean.

    Attributes
    ----------
    networks : list of VelocityNetwork
    card : dict
        The first network's.
    residuals : Residuals or None
        None where only the prediction itself is wanted.
    checksum : str
        Of all networks.
    """

    networks: list[VelocityNetwork]
    card: dict
    residuals: Residuals | None
    checksum: str

    @classmethod
    def load(cls, folder: Path, *, residuals: bool = True) -> VelocityModel:
        """All networks in a folder, with their residuals.

        Raises
        ------
        StoreError
            There are none, one is damaged, they do not belong together, or the residuals are missing.
        """
        paths = sorted(Path(folder).glob("member-*[0-9].safetensors"))
        if not paths:
            raise StoreError(
                f"{folder} holds no networks (member-NN.safetensors); run python -m learning.fit --method velocity first"
            )
        loaded = [load_velocity_network(path) for path in paths]
        card = loaded[0][1]
        for path, (_, card_of_member) in zip(paths, loaded, strict=True):
            differ = [name for name in SHARED if card_of_member.get(name) != card.get(name)]
            if differ:
                raise StoreError(f"{path} and {paths[0].name} do not belong together: {', '.join(differ)} differ")
        checksum = fingerprint("".join(member_card["checksum"] for _, member_card in loaded).encode())
        return cls([network for network, _ in loaded], card, Residuals.load(folder, checksum) if residuals else None, checksum)

    @property
    def depths(self) -> np.ndarray:
        """(depth,) m"""
        return np.array(self.card["depths"])

    @property
    def flow(self) -> np.ndarray:
        """(depth, 2) mean flow, m/s."""
        return np.array(self.card["flow"])

    @property
    def spec(self) -> MapSpec:
        return MapSpec.from_card(self.card["maps"])

    @property
    def known_residuals(self) -> Residuals:
        """The residuals; StoreError where the model was loaded without them."""
        if self.residuals is None:
            raise StoreError("the networks were loaded without their residuals, which members need")
        return self.residuals

    def check_lattice(self, lattice: Lattice) -> None:
        """StoreError where the maps' lattice is not the networks'."""
        if abs(lattice.frame.spacing_km - self.card["spacing_km"]) > 1e-6 * self.card["spacing_km"]:
            raise StoreError(
                f"the networks know points {self.card['spacing_km']:g} km apart, the maps' are {lattice.frame.spacing_km:g}; "
                "train networks on a run of this ocean"
            )

    @torch.no_grad()
    def predict(self, maps: Maps, instants: np.ndarray, lattice: Lattice) -> np.ndarray:
        """(instant, depth, y, x) float32 streamfunctions, m2/s: the mean of the networks.

        Raises
        ------
        InputError
            Maps are too far apart for an instant.
        """
        self.check_lattice(lattice)
        scale = torch.as_tensor(self.card["scale"], dtype=torch.float32)[:, None, None]
        out = np.empty((len(instants), self.depths.size, *lattice.shape), np.float32)
        for first in range(0, len(instants), BATCH):
            part = instants[first : first + BATCH]
            stacked = torch.from_numpy(np.stack([maps.stack(maps.instants(instant), self.card["map_scale"]) for instant in part]))
            total = sum(network(stacked, lattice.periodic) for network in self.networks) / len(self.networks)
            out[first : first + len(part)] = (total * scale).numpy()
        return out


def network_path(folder: Path, member: int) -> Path:
    """Weights of a network, numbered from 1."""
    return member_path(folder, member)
