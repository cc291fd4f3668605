"""run.json: what a run folder is of; where the file is gone, what the stores in the folder tell of it."""

from __future__ import annotations

from pathlib import Path

from data.command import read_json
from data.errors import StoreError
from data.resumable import differences, identity_of

_STORES = ("fields.zarr", "w*/particles.zarr", "w*/pdf.zarr", "w*/trajectories.zarr")


def run_record(run: Path) -> dict:
    """run.json of a run folder. Where it is absent: ``{"identity": ...}`` as the stores have it; {} where there are no stores.

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
