"""Catchment files of the predictions, read and checked: one trap, one lattice, one speed a file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from data.command import one_line
from data.errors import InputError
from data.frame import Frame
from data.netcdf import expand
from data.ocean_names import IDEALISED, is_idealised
from evaluation.cross_correlation import Predictions
from lagrangian.design import TRAP_DEPTH
from lagrangian.pdf import EXPORT_M

#: Traps farther apart than this, degrees, are two.
SAME_PLACE = 1e-3
#: Traps farther apart than this in the vertical, m, are two.
SAME_DEPTH = 1.0
#: Bits of a prediction's flag (``learning.catchment_file.FLAGS``) by the names of --exclude-flags, and their meanings in words.
FLAG_BITS = {"outside": 1, "date": 2, "sst": 4, "unknown": 8}
FLAG_WORDS = {
    "outside": "as of inputs outside the training range", "date": "as of maps of another date", "sst": "as without SST",
    "unknown": "as of windows that are partly unknown",
}  # fmt: skip
ATTRIBUTES = ("sinking_speed_m_per_day", "trap_longitude", "trap_latitude")


@dataclass(frozen=True, eq=False)
class Catchments:
    """Predictions by speed (m/d), cells flattened, their frame (trap and km around it), and depths of trap and export, m."""

    frame: Frame
    trap_depth: float
    export_depth: float
    predictions: dict[float, Predictions]
    notes: list[str]

    @property
    def ascent(self) -> float:
        """From trap to export depth, m."""
        return self.trap_depth - self.export_depth


def read_catchments(patterns, exclude: tuple[str, ...] = ()) -> Catchments:
    """Catchment files (CF-1.8 netCDF: ``pdf`` (time, y, x), ``x``, ``y`` km, the attributes in ``ATTRIBUTES``).

    Predictions that are incomplete (NaN) or empty are left out, and said so; so are those with a flag that ``exclude`` names
    (of :data:`FLAG_BITS`). How many of the others are flagged is said.

    Raises
    ------
    InputError
        A file is not one, is of another trap or lattice than the first, of a speed that another has, or holds no prediction.
    """
    predictions, notes, first = {}, [], None
    sources: dict[float, str] = {}
    for path in expand(patterns):
        speed, trap, depths, x, y, times, pdf, flag = _read_catchment(path)
        if speed in sources:
            raise InputError(f"{path}: sinks at {speed:g} m/d as {sources[speed]} does; give one file a speed")
        if first is None:
            first = path, trap, x, y, depths
        elif np.abs(np.subtract(trap, first[1])).max() > SAME_PLACE:
            raise InputError(
                f"{path}: its trap is at {trap[0]:g}, {trap[1]:g}, that of {first[0]} at {first[1][0]:g}, {first[1][1]:g} (lon, "
                "lat); give files of one trap"
            )
        elif np.abs(np.subtract(depths, first[4])).max() > SAME_DEPTH:
            own, past = (f"{trap:g} m, its catchments at {export:g} m" for trap, export in (depths, first[4]))
            raise InputError(f"{path}: its trap stands at {own}, that of {first[0]} at {past}; give files of one trap and depth")
        elif not all(a.shape == b.shape and np.allclose(a, b, atol=1e-3) for a, b in ((x, first[2]), (y, first[3]))):
            raise InputError(f"{path}: x and y differ from those of {first[0]}; give files of one lattice")
        flat = pdf.reshape(len(pdf), -1)
        good = np.isfinite(flat).all(axis=1) & ~np.isnat(times)
        good[good] = flat[good].sum(axis=1) > 0
        complete = good.copy()
        for name, bit in FLAG_BITS.items():
            flagged = complete & (flag & bit > 0)
            if flagged.any():
                fate = "left out" if name in exclude else f"used (--exclude-flags {name} leaves them out)"
                notes.append(f"{path}: {int(flagged.sum())} of {good.size} predictions are flagged {FLAG_WORDS[name]}: {fate}")
            if name in exclude:
                good &= ~flagged
        if complete.any() and not good.any():
            raise InputError(f"{path}: all its predictions are flagged {' or '.join(exclude)}; exclude fewer (--exclude-flags)")
        if not good.any():
            raise InputError(f"{path}: none of its {len(good)} predictions is complete; predict again with complete SSH and SST")
        if not complete.all():
            notes.append(f"{path}: {int((~complete).sum())} of {good.size} predictions are incomplete or empty, and left out")
        order = np.flatnonzero(good)[np.argsort(times[good], kind="stable")]
        predictions[speed] = Predictions(speed, times[order].astype("datetime64[s]"), flat[order])
        sources[speed] = path
    assert first is not None  # expand finds a file or raises
    _, trap, x, y, (trap_depth, export_depth) = first
    return Catchments(Frame(trap, float(x[1] - x[0]), x, y), trap_depth, export_depth, dict(sorted(predictions.items())), notes)


def idealised_ocean(patterns) -> str:
    """The name of an idealised ocean of catchment files, for pictures; empty if the files are of the sea."""
    with xr.open_dataset(expand(patterns)[0]) as file:
        return IDEALISED if is_idealised(file.attrs.get("maps_source")) else ""


def _read_catchment(path: str):
    """(speed, (lon, lat), (depth of the trap, of export), x, y, times, pdf (time, y, x), flag (time,)) of one file."""
    try:
        with xr.open_dataset(path) as file:
            missing = [name for name in ("pdf", "x", "y", "time") if name not in file.variables]
            missing += [name for name in ATTRIBUTES if name not in file.attrs]
            if missing or set(file["pdf"].dims) != {"time", "y", "x"} or file["time"].dtype.kind != "M":
                problem = f"it lacks {', '.join(missing)}" if missing else "pdf must be (time, y, x), with a time in days"
                raise InputError(f"{path}: not a catchment file ({problem}); give what learning.predict --ssh --sst writes")
            speed, *trap = (float(np.asarray(file.attrs[name]).item()) for name in ATTRIBUTES)
            export = file["depth"].item() if "depth" in file.variables and file["depth"].ndim == 0 else EXPORT_M
            depths = float(np.asarray(file.attrs.get("trap_depth_m", TRAP_DEPTH)).item()), float(export)
            x, y = (file[name].values.astype(np.float64) for name in ("x", "y"))
            pdf = file["pdf"].transpose("time", "y", "x").values.astype(np.float32, copy=False)
            times = file["time"].values
            flag = np.zeros(times.size, np.int64)
            if "flag" in file and file["flag"].dims == ("time",):
                flag = np.nan_to_num(file["flag"].values).astype(np.int64)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"{path}: cannot be read as a catchment file ({one_line(error)}); give netCDF of learning.predict"
        ) from None
    steps = np.concatenate([np.diff(x), np.diff(y)])
    if not (len(pdf) and steps.size and np.allclose(steps, steps[0], rtol=1e-3) and steps[0] > 0):
        raise InputError(f"{path}: x and y must be an even lattice in km, ascending, and time not empty; predict again")
    if np.nanmin(pdf, initial=0.0) < 0 or not speed > 0:
        raise InputError(f"{path}: negative probabilities, or a sinking speed of {speed:g} m/d; predict again")
    return speed, tuple(trap), depths, x, y, times, pdf, flag
