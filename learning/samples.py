"""Samples: for each experiment of a run, the input window around its trap and its PDFs, cut and counted when asked for.

Nothing is stored for each experiment. The regional fields of the run stand in memory once (at the effective resolution, as the
network shall see them), the PDFs as the list of bins that hold particles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from data.compiled import njit
from data.errors import InputError
from data.frame import WINDOW_POINTS, WINDOW_SPACING_KM, Frame, cubic_kernels, cut_window
from data.times import DAY, nearest
from lagrangian.config import LAGS_DAYS, speed_folder
from lagrangian.fields import open_fields
from lagrangian.stores import open_store
from learning.amplitudes import put_amplitudes
from learning.inputs import InputSpec, Normalisation, to_resolution

if TYPE_CHECKING:
    import torch

    from data.shapes import Channels, Instants

#: Largest distance in time at which a field stands for a wanted instant, days.
TIME_TOLERANCE_DAYS = 1.0
#: A note tells the share of unknown values in the fields if the share is at least this.
NOTED_UNKNOWN = 0.02


def instants_before(ends: np.ndarray, times: np.ndarray, lags_days: Sequence[float]) -> Instants:
    """(end, lag) number of the field of ``times`` at each lag before each end of a collection period; -1 where there is none."""
    instants = np.asarray(ends).astype("datetime64[s]")[:, None] - np.array(lags_days) * DAY
    if times.size == 0:
        return np.full(instants.shape, -1)
    number = nearest(times, instants)
    return np.where(abs(times[number] - instants) <= TIME_TOLERANCE_DAYS * DAY, number, -1)


@dataclass(eq=False)
class RegionalFields:
    """The fields of a run that a network's inputs are cut from.

    Attributes
    ----------
    spec : InputSpec
    frame : Frame
    times : (time,) datetime64[s]
    values : (time, variable, y, x) float32
        At the effective resolution; NaN where missing.
    unknown : float
        Share of the fields that the run does not know (land, or beyond its ocean's domain), for which their training mean stands.
    """

    spec: InputSpec
    frame: Frame
    times: np.ndarray
    values: np.ndarray
    unknown: float = 0.0

    @property
    def notes(self) -> list[str]:
        """Notes on the fields for the user."""
        if self.unknown < NOTED_UNKNOWN:
            return []
        return [
            f"{100 * self.unknown:.0f} % of the fields around the traps are not known (land, or beyond the ocean's domain); "
            "their training mean replaces them, which makes predictions less certain"
        ]

    @classmethod
    def read(cls, run: Path, spec: InputSpec) -> RegionalFields:
        """Read what ``spec`` needs of a run's fields.zarr.

        Raises
        ------
        StoreError
            There is no such store.
        InputError
            It lacks a variable or a depth, or knows nothing of a variable at some time.
        """
        path = Path(run) / "fields.zarr"
        dataset = open_fields(path)
        spacing = float(dataset.attrs["frame_spacing_km"])
        if not 0 < spacing <= WINDOW_SPACING_KM:
            raise InputError(
                f"{path}: its fields are {spacing:g} km apart, the networks' {WINDOW_SPACING_KM:g} km; give the run again, into "
                f"another --out, with --fields-spacing {WINDOW_SPACING_KM:g} or less"
            )
        frame = Frame(tuple(dataset.attrs["frame_center"]), spacing, dataset["x"].values, dataset["y"].values)
        times = dataset["time"].values.astype("datetime64[s]")
        # one lattice point more on every side, equal to its neighbour: the margin that cubic weights take at the edge
        values = np.empty((times.size, len(spec.variables), frame.shape[0] + 2, frame.shape[1] + 2), np.float32)
        unknown = 0
        for channel, (name, depth) in enumerate(spec.variables):
            field = _variable(dataset, path, name, depth)
            missing = np.isnan(field).mean(axis=(1, 2))
            if missing.size and (missing == 1).all():
                raise InputError(f"{path}: {name} holds no value{_at(depth)}: the sea is shallower there; choose other --inputs")
            if (missing == 1).any():
                when = str(times[missing == 1][0]).replace("T", " ")
                raise InputError(f"{path}: {name}{_at(depth)} of {when} holds no value; remove it and give the run again")
            unknown += missing.sum()
            field = to_resolution(field, spacing, spec.resolution_km.get(name, 0.0), spec.method)
            values[:, channel] = np.pad(field, ((0, 0), (1, 1), (1, 1)), mode="edge")
        wide = (np.concatenate([[axis[0] - spacing], axis, [axis[-1] + spacing]]) for axis in (frame.x, frame.y))
        share = float(unknown / max(1, times.size * len(spec.variables)))
        return cls(spec, Frame(frame.center, spacing, *wide), times, values, share)

    def instants(self, ends: np.ndarray) -> np.ndarray:
        """(experiment, lag) number of the field at each lag before each end of a collection period; -1 where there is none."""
        return instants_before(ends, self.times, self.spec.lags_days)

    def window(self, instants: Instants, dx: float, dy: float, normalise: Normalisation) -> Channels:
        """(lag * variable, 100, 100) float32, normalised, around a trap dx, dy km east and north of the site.

        As :func:`data.frame.cut_window` has it; where the spacing divides 8 km every point of the window has the same weights
        as every other, and the cut is a mean over a block of lattice points or a few weighted shifts.
        """
        block = WINDOW_SPACING_KM / self.frame.spacing_km
        taps = [_taps(offset, axis, round(block)) for offset, axis in ((dy, self.frame.y), (dx, self.frame.x))]
        along_y, along_x = taps
        if abs(block - round(block)) > 1e-9 or along_y is None or along_x is None:
            cut = normalise(cut_window(self.values[instants], self.frame, dx, dy))
            return cut.reshape(-1, WINDOW_POINTS, WINDOW_POINTS)
        out = np.empty((instants.size * self.values.shape[1], WINDOW_POINTS, WINDOW_POINTS), np.float32)
        _cut(self.values, instants, *along_y, *along_x, round(block), normalise.mean, normalise.std, out)
        return out


@njit(nogil=True, fastmath={"contract", "nsz", "reassoc"})
def _cut(values, instants, first_y, weights_y, first_x, weights_x, block, mean, std, out):
    """Windows of fields (time, variable, y, x) at some times, cut along y and x by shifted weights: (lag * variable, y, x).

    Each is given as (value - mean) / std of its variable, 0 where missing.
    """
    n_variables, points = values.shape[1], out.shape[-1]
    width = block * (points - 1) + weights_x.size
    strip = np.empty(width, np.float32)
    line = np.empty(points, np.float32)
    for lag in range(instants.size):
        for variable in range(n_variables):
            middle = mean[variable]
            scale = np.float32(1.0) / std[variable]
            for j in range(points):
                strip[:] = 0.0
                for m in range(weights_y.size):
                    row = values[instants[lag], variable, first_y + block * j + m, first_x : first_x + width]
                    weight = weights_y[m]
                    for i in range(width):
                        strip[i] += weight * row[i]
                line[:] = 0.0
                for m in range(weights_x.size):
                    weight = weights_x[m]
                    if block == 1:
                        part = strip[m : m + points]
                        for i in range(points):
                            line[i] += weight * part[i]
                    else:
                        for i in range(points):
                            line[i] += weight * strip[block * i + m]
                target = out[lag * n_variables + variable, j]
                for i in range(points):
                    value = (line[i] - middle) * scale
                    target[i] = value if value == value else np.float32(0.0)


def _taps(offset: float, axis: np.ndarray, block: int) -> tuple[int, np.ndarray] | None:
    """First lattice point and float32 weights by which one axis is cut; None where the window does not fit with its margin."""
    spacing = axis[1] - axis[0]
    place = (offset - WINDOW_SPACING_KM * WINDOW_POINTS / 2 - axis[0]) / spacing + 0.5  # of the first point within the window
    first = int(np.floor(place + 1e-6))
    f = max(place - first, 0.0)
    if f < 1e-5:
        kernel = np.ones(1)
    else:
        kernel = np.array(cubic_kernels(f))
        first -= 1
    weights = np.convolve(kernel, np.full(block, 1.0 / block))
    if first < 0 or first + weights.size + block * (WINDOW_POINTS - 1) > axis.size:
        return None
    return first, weights.astype(np.float32)


def _no_fields(lags: tuple[int, ...], instants: np.ndarray, times: np.ndarray) -> str:
    """The reason why no period (row of ``instants``) has fields (at ``times``) at all ``lags``, and the remedy, in words."""
    within = np.array(lags) * DAY <= np.ptp(times) if times.size else np.zeros(len(lags), bool)
    absent = within & ~(instants >= 0).any(axis=0)
    nowhere = [lag for lag, missing in zip(lags, absent, strict=True) if missing and lag not in LAGS_DAYS]
    stored = ", ".join(map(str, LAGS_DAYS))
    if nowhere:
        return (
            f"fields.zarr keeps the sea {stored} days before the end of each collection period, and holds none "
            f"{', '.join(map(str, nowhere))} days before any; choose --lags among {stored}"
        )
    return (
        f"no collection period has fields {', '.join(map(str, lags))} days before its end; the record is too short (a longer "
        "--years, or more files)"
    )


def _at(depth: float | None) -> str:
    return "" if depth is None else f" at {depth:g} m"


def _variable(dataset: xr.Dataset, path: Path, name: str, depth: float | None) -> np.ndarray:
    if name not in dataset:
        why = "the ocean of this run holds no temperature" if name == "temp" else "it is not a complete fields store"
        raise InputError(f"{path} has no variable {name}: {why}; choose other --inputs or a run on another ocean")
    if depth is None:
        return dataset[name].values
    depths = dataset["depth"].values
    matches = np.flatnonzero(np.isclose(depths, depth))
    if matches.size == 0:
        raise InputError(f"{path} holds no {name} at {depth:g} m (depths: {', '.join(f'{d:g}' for d in depths)} m)")
    return dataset[name][:, int(matches[0])].values


@dataclass(eq=False)
class SparsePdfs:
    """PDFs as the bins that hold particles.

    Attributes
    ----------
    first : (experiment, level + 1) int64
        Where the bins of each level begin in ``bins``; the last is their end.
    bins : (n,) uint16
        Number of the bin, x fastest.
    share : (n,) float32
        Its part of the particles that reached the level.
    n_bins : (y, x)
    known : (experiment, level) bool
        Whether any particle reached the level.
    """

    first: np.ndarray
    bins: np.ndarray
    share: np.ndarray
    n_bins: tuple[int, int]
    known: np.ndarray

    @classmethod
    def read(cls, store: xr.Dataset) -> SparsePdfs:
        """All levels of a pdf.zarr, a chunk at a time."""
        n, n_levels, ny, nx = store["counts"].shape
        if ny * nx > 2**16:
            raise InputError(f"PDFs of {ny} x {nx} bins are not known; {WINDOW_POINTS} x {WINDOW_POINTS} are")
        step = (store["counts"].encoding.get("chunks") or (36,))[0]
        reached = store["reached"].values.astype(np.float32)
        bins, share, number = [], [], np.zeros((n, n_levels), np.int64)
        for start in range(0, n, step):
            counts = store["counts"][start : start + step].values
            held = np.flatnonzero(counts.reshape(-1) != 0)
            row, cell = np.divmod(held, ny * nx)
            number[start : start + step] = np.bincount(row, minlength=counts.size // (ny * nx)).reshape(-1, n_levels)
            bins.append(cell.astype(np.uint16))
            share.append(counts.reshape(-1)[held] / reached[start : start + step].reshape(-1)[row])
        edges = np.concatenate([[0], np.cumsum(number)])
        first = np.concatenate([edges[:-1].reshape(n, n_levels), edges[n_levels::n_levels, None]], axis=1)
        empty = np.empty(0, np.float32)
        return cls(first, np.concatenate([*bins, empty.astype(np.uint16)]), np.concatenate([*share, empty]).astype(np.float32),
                   (ny, nx), reached > 0)  # fmt: skip

    def fill(self, out: np.ndarray, experiments: np.ndarray) -> None:
        """Put the PDFs into zeros (n, level, y, x)."""
        _add(out, np.arange(len(experiments)), self.first[experiments], self.bins, self.share)

    def put_amplitudes(self, out: np.ndarray, experiments: np.ndarray, levels: slice, smoothed: float, raw: float) -> None:
        """Put weighed roots of the smoothed and of the raw PDFs at some levels into (n, level, y, x) float32."""
        first = self.first[experiments, levels.start : levels.stop + 1]
        put_amplitudes(out, first, self.bins, self.share, smoothed, raw)

    def mean(self, experiments: np.ndarray) -> np.ndarray:
        """(level, y, x) float64 mean of the PDFs of some experiments, each counting alike."""
        out = np.zeros((1, self.known.shape[1], *self.n_bins))
        _add(out, np.zeros(len(experiments), np.int64), self.first[experiments], self.bins, self.share)
        return out[0] / len(experiments)


@njit(nogil=True)
def _add(out, rows, first, bins, share):
    """Add the PDFs whose bins begin at ``first`` (n, level + 1) to rows of ``out`` (row, level, y, x)."""
    nx = out.shape[-1]
    for number in range(rows.size):
        for level in range(out.shape[1]):
            for k in range(first[number, level], first[number, level + 1]):
                out[rows[number], level, bins[k] // nx, bins[k] % nx] += share[k]


@dataclass(eq=False)
class RunSamples:
    """The experiments of a run with their inputs and, at one or more sinking speeds, their PDFs.

    Indexed by arrays of experiment numbers (``batch``); an experiment is usable where all its fields exist and every level of
    every speed was reached by particles. ``stores`` (pdf.zarr of each speed) are read when :attr:`pdfs` are first asked for.
    """

    run: Path
    speeds: tuple[float, ...]
    levels: np.ndarray
    fields: RegionalFields
    stores: list[xr.Dataset]
    start: np.ndarray
    end: np.ndarray
    period: np.ndarray
    offset: np.ndarray
    instants: np.ndarray
    usable: np.ndarray
    attributes: dict

    @classmethod
    def open(cls, run: Path, speeds: tuple[float, ...], spec: InputSpec) -> RunSamples:
        """Read a run.

        Raises
        ------
        StoreError
            A store is absent or unfinished.
        InputError
            The speeds' experiments differ, a variable is missing, or no experiment is usable.
        """
        run = Path(run)
        stores = [open_store(run / speed_folder(w) / "pdf.zarr", "pdf") for w in speeds]
        base = stores[0]
        for w, of_speed in zip(speeds, stores, strict=True):
            if not np.array_equal(base["collection_start"].values, of_speed["collection_start"].values) or not np.array_equal(
                base["level"].values, of_speed["level"].values
            ):
                raise InputError(
                    f"{run}: the experiments at {speeds[0]:g} and {w:g} m/d differ; fit them in separate commands (--w {w:g})"
                )
        fields = RegionalFields.read(run, spec)
        offset = np.stack([base["trap_dx"].values, base["trap_dy"].values], axis=1)
        instants = fields.instants(base["collection_end"].values)
        reached = np.all([(store["reached"].values > 0).all(axis=1) for store in stores], axis=0)
        has_fields = (instants >= 0).all(axis=1)
        if not has_fields.any():
            raise InputError(f"{run}: {_no_fields(spec.lags_days, instants, fields.times)}")
        if not (reached & has_fields).any():
            raise InputError(f"{run}: no experiment has particles at every level; its PDFs are all zero (see run.json)")
        start, end = (base[name].values.astype("datetime64[s]") for name in ("collection_start", "collection_end"))
        return cls(run, tuple(speeds), base["level"].values, fields, stores, start, end, base["period"].values, offset, instants,
                   reached & has_fields, {**base.attrs})  # fmt: skip

    def __len__(self) -> int:
        return self.start.size

    @cached_property
    def pdfs(self) -> list[SparsePdfs]:
        """The PDFs of each speed, read once."""
        return [SparsePdfs.read(store) for store in self.stores]

    @property
    def n_bins(self) -> tuple[int, int]:
        """(y, x) bins of the PDFs."""
        ny, nx = self.stores[0]["counts"].shape[-2:]
        return ny, nx

    def inputs(self, experiments: np.ndarray, normalisation: Normalisation) -> torch.Tensor:
        """(n, lag * variable, 100, 100) float32, normalised."""
        import torch

        lags, variables = len(self.fields.spec.lags_days), len(self.fields.spec.variables)
        out = np.empty((len(experiments), lags * variables, WINDOW_POINTS, WINDOW_POINTS), np.float32)
        for row, experiment in enumerate(experiments):
            dx, dy = self.offset[experiment]
            out[row] = self.fields.window(self.instants[experiment], dx, dy, normalisation)
        return torch.from_numpy(out)

    def targets(self, experiments: np.ndarray) -> torch.Tensor:
        """(n, speed, level, y, x) float32 PDFs as counted."""
        import torch

        out = np.zeros((len(experiments), len(self.pdfs), self.levels.size, *self.n_bins), np.float32)
        for number, pdf in enumerate(self.pdfs):
            pdf.fill(out[:, number], experiments)
        return torch.from_numpy(out)

    def amplitudes(self, experiments: np.ndarray, smoothed: float, raw: float, level: int | None = None) -> torch.Tensor:
        """float32 ``smoothed * sqrt(smoothed PDF) + raw * sqrt(PDF as counted)``: (n, speed, level, y, x), or (n, speed, y, x) of
        the level with the number ``level``."""
        import torch

        levels = slice(0, self.levels.size) if level is None else slice(level, level + 1)
        out = np.empty((len(experiments), len(self.pdfs), levels.stop - levels.start, *self.n_bins), np.float32)
        for number, pdf in enumerate(self.pdfs):
            pdf.put_amplitudes(out[:, number], experiments, levels, smoothed, raw)
        return torch.from_numpy(out if level is None else out[:, :, 0])

    def normalisation(self, experiments: np.ndarray) -> Normalisation:
        """The normalisation of the fields that these experiments use, their margin left out."""
        return Normalisation.of(self.fields.values[np.unique(self.instants[experiments]), :, 1:-1, 1:-1])


class Samples:
    """Chosen experiments of a run as (inputs, targets) batches: a map-style dataset for a DataLoader."""

    def __init__(self, samples: RunSamples, experiments: np.ndarray, normalisation: Normalisation):
        self.samples, self.experiments, self.normalisation = samples, np.asarray(experiments), normalisation

    def __len__(self) -> int:
        return self.experiments.size

    def __getitem__(self, index: int):
        inputs, targets = self.__getitems__([index])
        return inputs[0], targets[0]

    def __getitems__(self, indices: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """A whole batch at once (what a DataLoader asks for)."""
        experiments = self.experiments[np.asarray(indices)]
        return self.samples.inputs(experiments, self.normalisation), self.samples.targets(experiments)
