"""Satellite maps: sea surface height (DUACS L4), temperature (OSTIA, GHRSST L4) and chlorophyll (ocean colour L3, L4).

Files come in many layouts: producers', toolbox subsets', old archives'. Each opener returns the same form: dims
(time, lat, lon), all ascending, one variable of a known name and unit, read only when values are asked for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr

from data.composites import map_days, resolution
from data.errors import InputError
from data.lonlat import LonLatRegridder, around, on_frame
from data.map_file import LazyMaps, MapFile, reprocessing_rank
from data.netcdf import expand
from data.progress import Progress
from data.times import gaps

__all__ = ["LonLatRegridder", "around", "on_frame", "open_chlorophyll", "open_ssh", "open_sst", "time_notes"]

#: Factor and offset to the unit of the toolkit, by spelling; compared in lower case without spaces, dots and carets.
METRE = {"m": 1.0, "metre": 1.0, "meter": 1.0, "metres": 1.0, "meters": 1.0, "cm": 0.01, "mm": 0.001}
METRE_PER_SECOND = {name: 1.0 for name in ("m/s", "ms-1", "metre/second", "meter/second", "meters/second")} | {
    name: 0.01 for name in ("cm/s", "cms-1")
}
KELVIN = {"kelvin", "kelvins", "k", "degk", "degreekelvin", "degreeskelvin", "degree_kelvin", "degrees_kelvin"}
CELSIUS = {name: -273.15 for name in KELVIN} | {
    name: 0.0 for name in ("celsius", "c", "degc", "deg_c", "degreec", "degree_c", "degrees_c", "degreecelsius", "degreescelsius",
                           "degree_celsius", "degrees_celsius", "°c")
}  # fmt: skip
MG_PER_M3 = {name: 1.0 for name in ("mgm-3", "mg/m3", "mg/m**3", "mgm**-3", "milligramm-3", "milligram/m3", "milligramsm-3",
                                    "ug/l", "µg/l", "μg/l", "ugl-1", "µgl-1", "μgl-1", "mgchlm-3")} | {
    name: 1e6 for name in ("kgm-3", "kg/m3")
}  # fmt: skip
#: Bits of GHRSST's ``mask`` that hide the sea surface, by their meaning.
HIDDEN = ("land", "ice")
#: Least ``quality_level`` of GHRSST data that is used: 4 acceptable, 5 best (GDS 2.0, table 9-8).
LEAST_QUALITY = 4
#: Largest usual time between maps that counts as daily, days; the method asks for daily maps.
DAILY = 2.0
#: Number of gaps that notes tell one by one.
GAPS_TOLD = 3


@dataclass(frozen=True)
class _Kind:
    """A kind of satellite map: the variables and units that its opener looks for.

    ``names``: variables in order of preference; ``units``: factor, or offset where ``additive``; ``valid``: bounds beyond which
    a number is a fill value that no attribute declares, in the toolkit's unit; ``extras``: variables kept where all files hold
    them; ``flags``: variables that tell what to hide.
    """

    name: str
    title: str
    unit: str
    names: tuple[str, ...]
    units: dict[str, float]
    valid: tuple[float, float]
    additive: bool = False
    extras: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()


SSH = _Kind("ssh", "sea surface height", "m", ("adt", "sla"), METRE, (-50.0, 50.0), extras=("ugos", "vgos"))
SST = _Kind(
    "sst",
    "sea surface temperature",
    "degree_Celsius",
    ("analysed_sst", "sst", "sea_surface_temperature"),
    CELSIUS,
    (-5.0, 50.0),
    additive=True,
    flags=("mask", "quality_level"),
)
CHLOROPHYLL = _Kind("chlorophyll", "chlorophyll", "mg m-3", ("chl", "chlor_a", "chl1_mean", "chlorophyll"), MG_PER_M3, (0.0, 1e4))


def open_ssh(files: str | Path | Sequence[str | Path]) -> xr.Dataset:
    """Sea surface height from DUACS L4 files (reprocessed, near-real-time, toolbox subsets, old AVISO).

    Parameters
    ----------
    files : paths or glob patterns
        One or many, in any order. Where two hold the same time, the reprocessed one wins over the near-real-time one if names or
        attributes tell which is which, else the one given later (matches of a pattern are sorted by name).

    Returns
    -------
    Dataset with dims (time, lat, lon)
        ``ssh`` (m; attribute ``source_variable``: "adt", height above the geoid, or "sla", anomaly, where not all files hold adt)
        and, where all files hold them, ``ugos`` and ``vgos`` (m/s). time: datetime64[ns], strictly ascending; lat, lon: float64
        degrees, ascending; lon starts within -180..180. ``first_day`` and ``days`` (time): the days that a map stands for, more
        than one of a composite. Attributes ``files``, ``time_gaps`` and ``choices`` (lines of text, empty when none), and
        ``composites``, what tells the days where they are more than one.
        Lazy: only what is indexed is read,
        so cut first (:func:`around`); ``.chunk()`` gives dask arrays.

    Raises
    ------
    InputError
        If a file is missing, unreadable, of another kind or grid, or of unknown units.
    """
    return _open(files, SSH)


def open_sst(files: str | Path | Sequence[str | Path]) -> xr.Dataset:
    """Sea surface temperature ``sst`` (degree_Celsius) from OSTIA and other GHRSST L4 files, in kelvin or degrees Celsius.

    NaN where the file's ``mask`` flags land or ice, and where its ``quality_level`` is below 4. Otherwise as :func:`open_ssh`.
    """
    return _open(files, SST)


def open_chlorophyll(files: str | Path | Sequence[str | Path]) -> xr.Dataset:
    """Chlorophyll-a ``chlorophyll`` (mg m-3) from ocean-colour files, L3 (NaN under cloud) or L4; else as :func:`open_ssh`."""
    return _open(files, CHLOROPHYLL)


def _open(paths, kind) -> xr.Dataset:
    paths = [paths] if isinstance(paths, (str, Path)) else list(paths)
    if not paths:
        raise InputError(f"no file of {kind.title} is given")
    paths, files = expand(paths), []
    with Progress(f"looking into the files of {kind.title}", "file") as bar:
        for path in paths:
            files.append(MapFile(path, kind.names, kind.title))
            bar.update(len(files), len(paths))
    source = _common_variable(files, kind)
    names = {kind.name: source}
    names |= {name: name for name in kind.extras if all(name in file.variables for file in files)}
    _check_one_grid(files)
    times, places, choices = _merge(files)
    if not times.size:
        raise InputError(f"{files[0].path}: no records; the file is empty or was never finished")
    shape = (files[0].lat.size, files[0].lon.size)
    variables = {}
    for name, held in names.items():
        readers = [_reader(file, held, kind, main=name == kind.name) for file in files]
        lazy = xr.core.indexing.LazilyIndexedArray(LazyMaps(partial(_read, readers), places, shape))
        variables[name] = (("time", "lat", "lon"), lazy, _attributes(files[0], name, held, kind))
    coords = {
        "time": ("time", times, {"standard_name": "time"}),
        "lat": ("lat", files[0].lat, {"units": "degrees_north", "standard_name": "latitude"}),
        "lon": ("lon", files[0].lon, {"units": "degrees_east", "standard_name": "longitude"}),
    }
    first, length, why = map_days(times, *_told_days(files, places))
    coords["first_day"] = ("time", first.astype("datetime64[ns]"), {"long_name": "first day that the map stands for"})
    coords["days"] = ("time", length, {"long_name": "number of days that the map stands for"})
    about = {"files": [file.path for file in files], "time_gaps": time_gaps(times), "choices": choices}
    return xr.Dataset(variables, coords, about | {"composites": why or ""})


# -- variables -------------------------------------------------------------------------------------------------------
def _common_variable(files, kind) -> str:
    """The preferred variable that all files hold, in lower case."""
    for name in kind.names:
        if all(name in file.variables for file in files):
            return name
    first = next(name for name in kind.names if name in files[0].variables)
    lacking = next(file.path for file in files if first not in file.variables)
    raise InputError(
        f"{lacking}: no {first}, which {files[0].path} holds; give files that all hold {' or all hold '.join(kind.names)}"
    )


def _attributes(file, name, held, kind):
    original, attributes = file.variables[held]
    if name == kind.name:
        out = {"units": kind.unit, "long_name": kind.title, "source_variable": original}
    else:
        out = {"units": "m s-1", "long_name": str(attributes.get("long_name", name))}
    return out | {key: str(attributes[key]) for key in ("standard_name",) if key in attributes}


@dataclass(frozen=True)
class _Reader:
    """Values of one variable of one file in the toolkit's unit."""

    file: MapFile
    name: str
    scale: float
    offset: float
    valid: tuple[float, float]
    flags: tuple[str, ...]
    temperature: bool

    def __call__(self, records, rows, columns) -> np.ndarray:
        values, *flags = self.file.read((self.name, *self.flags), records, rows, columns)
        if (self.scale, self.offset) != (1.0, 0.0):
            # in double precision, so that packed kelvin loses nothing on the way to degrees Celsius
            values = np.asarray(values, np.float64) * self.scale + self.offset
        with np.errstate(invalid="ignore"):
            bad = (values < self.valid[0]) | (values > self.valid[1])  # what is missing is neither
        if self.temperature:
            self._check_unit(values, bad)
        for name, flag in zip(self.flags, flags):
            bad |= _hidden(name, flag, self.file.variables[name][1])
        return np.where(bad, np.nan, values) if bad.any() else values

    def _check_unit(self, values, bad) -> None:
        """InputError if a map's temperatures are impossible, and would be possible with kelvin and degrees Celsius exchanged."""
        finite = np.isfinite(values)
        if not finite.any() or not bad[finite].all():
            return
        middle = float(np.median(values[finite]))
        if any(self.valid[0] <= middle + shift <= self.valid[1] for shift in (273.15, -273.15)):
            unit = self.file.variables[self.name][1]["units"]
            raise InputError(
                f"{self.file.path}: {self.name} is about {middle - self.offset:.4g} and said to be in {unit}, which no sea "
                "surface is; correct its units attribute"
            )


def _read(readers, number, records, rows, columns):
    return readers[number](records, rows, columns)


def _reader(file, held, kind, *, main) -> _Reader:
    units, unit = (kind.units, kind.unit) if main else (METRE_PER_SECOND, "m s-1")
    unit_given = file.variables[held][1].get("units")
    number = units.get(re.sub(r"[\s.^]", "", str(unit_given)).lower()) if unit_given is not None else None
    if number is None:
        units_text = "no units" if unit_given is None else f"units {str(unit_given)!r}"
        raise InputError(f"{file.path}: {held} has {units_text}, which cannot be turned into {unit}; set its units attribute")
    flags = tuple(name for name in kind.flags if main and name in file.variables)
    for name in (held, *flags):
        file.check_dimensions(name)
    scale, offset = (1.0, number) if main and kind.additive else (number, 0.0)
    valid = kind.valid if main else (-100.0, 100.0)
    return _Reader(file, held, scale, offset, valid, flags, temperature=main and kind.additive)


def _hidden(name, values, attributes) -> np.ndarray:
    """Where flags say that a temperature is not to be used. Flags that a file leaves unset hide nothing."""
    if name == "quality_level":
        return np.nan_to_num(values) < LEAST_QUALITY
    meanings = str(attributes.get("flag_meanings", "")).replace(",", " ").lower().split()
    bitwise = "flag_masks" in attributes
    bits = np.atleast_1d(attributes.get("flag_masks", attributes.get("flag_values", [])))
    flags = np.nan_to_num(values).astype(np.int64)
    hidden = np.zeros(flags.shape, bool)
    for meaning, bit in zip(meanings, bits):
        if set(meaning.split("_")) & set(HIDDEN):
            hidden |= (flags & int(bit)) != 0 if bitwise else flags == int(bit)
    return hidden


def _told_days(files, places):
    """Bounds (time, 2), or None, and what the attributes of all files tell of how long their maps are of."""
    bounds = None
    if all(file.bounds is not None for file in files):
        bounds = np.array([files[number].bounds[record] for number, record in places])
    resolutions = [resolution(file.attrs) for file in files]
    return bounds, resolutions[0] if len({length and length[0] for length in resolutions}) == 1 else None


# -- records ---------------------------------------------------------------------------------------------------------
def _check_one_grid(files):
    for axis in ("lat", "lon"):
        first = getattr(files[0], axis)
        for file in files[1:]:
            values = getattr(file, axis)
            if values.shape != first.shape or np.abs(values - first).max() > 0.05 * np.diff(first).min():
                raise InputError(
                    f"{file.path}: {axis} of {values[0]:g} to {values[-1]:g} ({values.size} points), where {files[0].path} has "
                    f"{first[0]:g} to {first[-1]:g} ({first.size}); give files on one grid"
                )


def _merge(files):
    """Times in order, (time, 2) number of the file and the record used for each, and notes on the choices.

    Where two maps are of one instant, the one of the higher rank (:func:`~data.map_file.reprocessing_rank`) stands for it, of
    equal ranks the one of the file given later. The preliminary and the final map of a day may be dated at different hours: where
    no file holds two maps of a day, only those of the highest rank of each day are kept.
    """
    ranks = [reprocessing_rank(file.path, file.attrs) for file in files]
    best_maps: dict[np.datetime64, tuple[int, int, int]] = {}
    passed: dict[tuple[int, int], int] = {}
    equal: list[tuple[str, str]] = []

    def one_of(first, second):
        """The better of two (rank, file, record); the other is counted as passed over."""
        better, worse = (second, first) if second[0] >= first[0] else (first, second)
        if better[0] != worse[0]:
            passed[better[0], worse[0]] = passed.get((better[0], worse[0]), 0) + 1
        elif better[1] != worse[1]:
            equal.append((files[better[1]].path, files[worse[1]].path))
        return better

    for number, file in enumerate(files):
        for record, time in enumerate(file.times):
            candidate = ranks[number], number, record
            best_maps[time] = one_of(best_maps[time], candidate) if time in best_maps else candidate
    if len(set(ranks)) > 1 and all(np.unique(file.times.astype("datetime64[D]")).size == file.times.size for file in files):
        best: dict[np.datetime64, np.datetime64] = {}
        for time in sorted(best_maps):
            day = time.astype("datetime64[D]")
            rival = best.get(day)
            if rival is None or best_maps[rival][0] == best_maps[time][0]:
                best[day] = time
            else:
                better_map = one_of(best_maps[rival], best_maps[time])
                best[day], gone = (time, rival) if better_map == best_maps[time] else (rival, time)
                del best_maps[gone]
    times = np.array(sorted(best_maps), "datetime64[ns]")
    places = np.array([best_maps[time][1:] for time in times], np.int64).reshape(-1, 2)
    return times, places, _choices(passed, equal)


def _choices(passed: dict[tuple[int, int], int], equal: list[tuple[str, str]]) -> list[str]:
    """Notes on maps that were passed over, by rank; ``equal``: (file used, file passed over) of maps of equal rank."""
    words = {0: "near-real-time or preliminary", 1: "other", 2: "reprocessed or final"}
    lines = []
    for (better, worse), count in sorted(passed.items()):
        better_name = "final" if better == 1 else words[better]
        lines.append(f"{count} dates have {better_name} and {words[worse]} maps: the {better_name} ones are taken")
    if equal:
        better_name, left = equal[0]
        lines.append(
            f"{len(equal)} dates have two maps, and nothing tells which is final: those of the file given later are taken "
            f"({better_name}, not {left})"
        )
    return lines


def time_gaps(times: np.ndarray) -> list[str]:
    """Lines that tell where records are missing: see :func:`data.times.gaps`."""
    steps = np.diff(times)
    usual = np.median(steps.astype(np.int64)) if steps.size else 0
    lines = []
    for index in gaps(times):
        missing = round(steps[index].astype(np.int64) / usual) - 1
        lines.append(
            f"no maps between {_minute(times[index])} and {_minute(times[index + 1])}: about {missing} missing, "
            f"one every {usual / 86_400e9:g} days elsewhere"
        )
    return lines


def time_notes(dataset: xr.Dataset, name: str) -> list[str]:
    """Lines for the user on the times of a file's maps (``name``, such as "SST"): not daily, and where they have gaps."""
    notes, times, gaps = [], dataset["time"].values, dataset.attrs["time_gaps"]
    notes += [f"{name}: {line}" for line in dataset.attrs.get("choices", [])]
    if times.size > 1 and (usual := float(np.median(np.diff(times) / np.timedelta64(1, "D")))) > DAILY:
        notes.append(f"{name}: one map every {usual:g} days, where the method asks for daily ones")
    if "chlorophyll" in dataset and (why := dataset.attrs.get("composites")):
        low, high = int(dataset["days"].min()), int(dataset["days"].max())
        days = f"{low}" if low == high else f"{low} to {high}"
        notes.append(f"{name}: composites of {days} days, by {why}: each stands for its whole interval")
    notes += [f"{name}: {gap}" for gap in gaps[:GAPS_TOLD]]
    if len(gaps) > GAPS_TOLD:
        notes.append(f"{name}: {len(gaps) - GAPS_TOLD} more such gaps")
    return notes


def _minute(time):
    text = str(np.datetime_as_string(time, unit="m"))
    return text.removesuffix("T00:00")
