"""Reads run.json, the description of a run folder; if the file is gone, the identities in the folder's stores replace it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from data.command import read_json
from data.errors import StoreError
from data.oceans import OceanSource
from data.resumable import differences, identity_of
from lagrangian.design import Design
from lagrangian.integration import Integration

#: Written in place of files in run.json if a program handed the ocean in.
HANDED_IN = ("handed in",)

_STORES = ("fields.zarr", "w*/particles.zarr", "w*/pdf.zarr", "w*/trajectories.zarr")


def run_record(run: Path) -> dict:
    """The content of run.json. If the file is absent: ``{"identity": ...}`` of the stores; {} without stores.

    Raises
    ------
    StoreError
        The file holds no record; or it is gone, and the stores do not tell, or tell different things.
    """
    path = Path(run) / "run.json"
    if path.exists():
        record = _read(path)
        if not isinstance(record, dict) or not isinstance(record.get("identity", {}), dict):
            raise StoreError(f"{path} holds no record of a run; {_MEND}")
        return record
    stores = [store for name in _STORES for end in ("", ".partial") for store in sorted(Path(run).glob(name + end))]
    if not stores:
        return {}
    identities = [identity_of(store) for store in stores]
    for store, identity in zip(stores, identities, strict=True):
        if identity is None:
            raise StoreError(
                f"{path} is gone, and {store} does not tell what it was made of (it is damaged, or of an earlier version): put "
                "run.json back, or remove that store, or choose another folder"
            )
        if identity != identities[0]:
            raise StoreError(
                f"{path} is gone, and {stores[0]} and {store} are of different runs "
                f"({'; '.join(differences(identities[0], identity))}): remove one of them, or choose another folder"
            )
    return {"identity": identities[0]}


_MEND = "remove it and give the same lagrangian.run again: it is made anew from what the stores tell"


def _read(path: Path):
    try:
        return read_json(path)
    except StoreError as error:
        raise StoreError(f"{error}; {_MEND}") from None


def recorded_design(record: dict) -> Design:
    """The design that a run.json tells of."""
    return _recorded(Design, record, speeds="w")


def recorded_integration(record: dict) -> Integration:
    """The numerics that a run.json tells of."""
    return _recorded(Integration, record)


def recorded_source(record: dict) -> OceanSource:
    """The ocean that a run.json tells of.

    Raises
    ------
    StoreError
        It was handed in by a program (:func:`lagrangian.backtrack`), which must do so again.
    """
    source = _recorded(OceanSource, record, files="ocean")
    if source.files == HANDED_IN:
        raise StoreError("the ocean of this run was handed in by a program, and cannot be opened again from run.json")
    return source


def _recorded(kind, record: dict, **names: str):
    """A dataclass from run.json's options of the same names (or as ``names`` says); absent options take their defaults."""
    options = record.get("configuration", {})
    values = {}
    for field in dataclasses.fields(kind):
        name = names.get(field.name, field.name)
        if name in options:
            value = options[name]
            values[field.name] = tuple(value) if isinstance(value, list) else value
    return kind(**values)
