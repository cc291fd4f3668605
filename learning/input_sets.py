"""The three input sets of the paper by name; light to import, for options."""

from __future__ import annotations

from typing import Literal

from lagrangian.config import LAGS_DAYS as LAGS_DAYS

#: Variables and depths (m; None: a field of the surface itself) of each input set (method.md section 3).
INPUT_SETS: dict[str, tuple[tuple[str, float | None], ...]] = {
    "sst-ssh": (("temp", 0.0), ("ssh", None)),
    "5v-1l": (("temp", 0.0), ("ssh", None), ("u", 0.0), ("v", 0.0), ("vorticity_over_f", 0.0)),
    "5v-4l": (
        ("ssh", None),
        *((name, depth) for name in ("temp", "u", "v", "vorticity_over_f") for depth in (0.0, 750.0, 1500.0, 2250.0)),
    ),
}
InputName = Literal["sst-ssh", "5v-1l", "5v-4l"]
#: These, and the set that networks of velocities alone can take.
AnyInputName = Literal["sst-ssh", "5v-1l", "5v-4l", "sst-ssh-bathymetry"]
#: The set that is learnt where none is asked for.
DEFAULT_INPUTS: InputName = "sst-ssh"
#: Effective resolution of satellite maps, km (paper section 2.2).
SSH_RESOLUTION_KM, SST_RESOLUTION_KM = 80.0, 28.0
Method = Literal["spline", "gaussian"]
