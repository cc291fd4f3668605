"""The identity of an ocean, which tells apart oceans of equal file names: grid, curves, and values of sampled records."""

from __future__ import annotations

import numpy as np

from data.command import one_line
from data.errors import InputError
from data.fingerprint import fingerprint
from data.ocean import Ocean

#: Records whose values are looked at, evenly over the whole record, first and last among them.
SAMPLE = 9
GRID = ("h", "pm", "pn", "x_rho", "y_rho", "mask_rho", "angle", "coriolis")


def values_of(ocean: Ocean) -> dict:
    """Hashes of the grid, of the vertical coordinate, and of u, v, zeta of a sample of records, by their numbers; JSON-ready."""
    vertical = ocean.vertical
    # whatever the kind of coordinate: where it puts its layers under a sea of usual depth, and under the deepest and shallowest
    h = ocean.grid.h[ocean.grid.mask_rho]
    layers = vertical.layer_thickness(np.array([h.min(), np.median(h), h.max()]), np.array([0.0, 0.5, -0.5]))
    return {
        "grid": _hash(*(getattr(ocean.grid, name) for name in GRID)),
        "curves": _hash(np.asarray(layers, dtype=np.float64)),
        "records": {str(index): _of_record(ocean, index) for index in sampled(len(ocean.times))},
    }


def sampled(n: int) -> list[int]:
    """Numbers of the records of the sample out of n; the middle one is among them."""
    return sorted({*np.unique(np.linspace(0, n - 1, SAMPLE).round().astype(int)).tolist(), n // 2})


def brought_forward(known: dict, now: dict, n: int) -> tuple[dict, bool]:
    """An identity that an earlier version wrote, in today's form, and whether it was one.

    Earlier versions looked at the record in the middle only. Where that one is the same, the rest is taken to be so.
    """
    values = known.get("values")
    if not isinstance(values, str) or not isinstance(now.get("values"), dict):
        return known, False
    same = values == now["values"]["records"].get(str(n // 2))
    return {**known, "values": now["values"] if same else {}}, True


def difference(recorded, now) -> str:
    """The difference of two results of :func:`values_of`, in words."""
    recorded = recorded if isinstance(recorded, dict) else {}
    if recorded and recorded.get("grid") != now["grid"]:
        return "files of the same names hold another grid (depth, positions, mask or metrics)"
    if recorded and recorded.get("curves") != now["curves"]:
        return "files of the same names hold another vertical coordinate"
    records, before = now["records"], recorded.get("records", {})
    wrong = [index for index in records if before.get(index) != records[index]]
    at = f"record {wrong[0]}" if recorded and wrong else "the middle of the record"
    return f"files of the same names hold other values of u, v or zeta in {at}"


def _of_record(ocean, index):
    try:
        snapshot = getattr(ocean, "sample", ocean.snapshot)(index)
    except (OSError, EOFError, ValueError) as error:
        raise InputError(f"record {index} (counted from 0) of the ocean cannot be read ({one_line(error)})") from error
    return _hash(snapshot.u, snapshot.v, snapshot.zeta)


def _hash(*arrays) -> str:
    return fingerprint(*(np.ascontiguousarray(array) for array in arrays))
