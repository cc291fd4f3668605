"""Weights on disk: a safetensors file for each network, with a card of the network's inputs, outputs and origin.

Nothing is ever unpickled. A file that is damaged, or of another kind, is refused in one line.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from data.errors import OptionError, StoreError, cannot_write
from data.files import written_aside
from data.fingerprint import checksum
from data.frame import WINDOW_SHAPE
from learning.inputs import INPUT_SETS, InputSpec, Normalisation
from learning.network import Architecture, CatchmentNetwork

FORMAT = "catchment-network-1"
#: Entry of a card: the checksum of the rest of the card and of the tensors.
CHECKSUM = "file_checksum"


def save_tensors(path: Path, tensors: dict[str, torch.Tensor], card: dict) -> None:
    """Write tensors, a card (JSON values) and a checksum of both aside, and rename.

    Raises
    ------
    StoreError
        The disk is full or cannot be written.
    """
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        with written_aside(path) as aside:
            # one entry: safetensors writes several in an order that changes from process to process
            marked = {**card, CHECKSUM: _checksum(json.dumps(card), whole)}
            save_file(whole, aside, {"card": json.dumps(marked)})
    except OSError as error:
        raise cannot_write(path, error) from None
    except SafetensorError as error:  # what it says of the system's error is text
        raise cannot_write(path, OSError(str(error).splitlines()[0])) from None


def _checksum(card: str, tensors: dict[str, torch.Tensor]) -> str:
    """Checksum of the card's text and of every tensor with its name, kind and shape: safetensors has no checksum."""
    parts: list = [card.encode()]
    for name, tensor in sorted(tensors.items()):
        parts += [f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode(), tensor.reshape(-1).view(torch.uint8).numpy()]
    return checksum(*parts)


def load_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict]:
    """Tensors and card of a file.

    Raises
    ------
    StoreError
        It is absent, damaged (its checksum is another; files of earlier versions have none), or has no card.
    """
    path = Path(path)
    if not path.exists():
        raise StoreError(f"{path} does not exist; run python -m learning.fit first")
    try:
        with safe_open(path, framework="pt") as file:
            card = json.loads((file.metadata() or {}).get("card", "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError, RecursionError) as error:
        raise StoreError(f"{path} is damaged or no safetensors file: {str(error).splitlines()[0]}") from None
    written = card.pop(CHECKSUM, None) if isinstance(card, dict) else None
    if written is not None and written != _checksum(json.dumps(card), tensors):
        raise StoreError(f"{path} is damaged: its checksum is another; remove it, and give the command that wrote it again")
    if not isinstance(card, dict):
        raise StoreError(f"{path} has no model card: it was not written by learning.fit")
    return tensors, card


def network_card(network: CatchmentNetwork, normalisation: Normalisation, **about) -> dict:
    """The card of a network: the facts needed to use the network, and ``about`` (levels, w, dates, scores, ...)."""
    return {
        "format": FORMAT,
        "architecture": network.settings,
        "inputs": asdict(network.spec),
        "channels": [f"{name}{'' if depth is None else f' {depth:g} m'}" for name, depth in network.spec.variables],
        "normalisation": {"mean": normalisation.mean.tolist(), "std": normalisation.std.tolist()},
        "anomaly_std": None if normalisation.anomaly_std is None else normalisation.anomaly_std.tolist(),
        **about,
    }


def save_network(path: Path, network: CatchmentNetwork, card: dict) -> None:
    """Write the weights of a network of one speed with its card."""
    save_tensors(path, network.state_dict(), card)


def load_network(path: Path) -> tuple[CatchmentNetwork, Normalisation, dict]:
    """A network ready to predict, the normalisation of its inputs, and its card.

    Raises
    ------
    StoreError
        See :func:`load_tensors`; or the card and the weights do not fit together, or hold what is no number.
    """
    tensors, card = load_tensors(path)
    if card.get("format") != FORMAT:
        raise StoreError(f"{path} is of format {card.get('format')!r}; this version reads {FORMAT}")
    try:
        inputs = card["inputs"]
        if inputs["name"] not in INPUT_SETS:
            raise ValueError(f"unknown inputs {inputs['name']!r}")
        spec = InputSpec(inputs["name"], tuple(inputs["lags_days"]), dict(inputs["resolution_km"]), inputs["method"])
        settings = dict(card["architecture"])
        n_levels = int(settings.pop("n_levels"))
        climatology = tensors.get("body.climatology")
        size = WINDOW_SHAPE if climatology is None else tuple(climatology.shape[-2:])
        network = CatchmentNetwork(Architecture(**settings), spec, 1, n_levels, size)
        network.load_state_dict(tensors)
        mean, std = (np.asarray(card["normalisation"][name], np.float32) for name in ("mean", "std"))
        if mean.shape != (len(spec.variables),) or std.shape != mean.shape:
            raise ValueError("normalisation of another number of variables")
        anomalies = card.get("anomaly_std")  # cards of older versions have none
        anomalies = None if anomalies is None else np.asarray(anomalies, np.float32)
        if anomalies is not None and anomalies.shape != mean.shape:
            raise ValueError("anomaly_std of another number of variables")
        if len(card["levels"]) != n_levels:
            raise ValueError("another number of levels")
        for name in ("w", "trap_depth_m", "collection_days"):
            if card.get(name) is not None and not np.isfinite(float(card[name])):
                raise ValueError(f"{name} is {card[name]}")
        if not isinstance(card.get("site", ""), str):
            raise ValueError(f"site is {card['site']}")
    except OptionError as error:  # a network of a package that is not installed
        raise StoreError(f"{path}: {error}") from None
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise StoreError(f"{path}: its card and its weights do not fit together ({str(error).splitlines()[0]})") from None
    mend = "the network can predict nothing; remove the file, and give learning.fit again"
    parts = [mean, std, *([] if anomalies is None else [anomalies])]
    if not (all(np.isfinite(part).all() for part in parts) and all((part > 0).all() for part in parts[1:])):
        raise StoreError(f"{path}: the normalisation holds NaN, infinite values or a standard deviation of 0 or less: {mend}")
    broken = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise StoreError(f"{path}: {broken[0]} holds NaN or infinite weights: {mend}")
    return network.eval(), Normalisation(mean, std, anomalies), card
