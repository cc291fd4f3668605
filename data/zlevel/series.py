"""Series of records over files that are split by variable, by time, or both: each quantity's file and record at an instant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from data.axes import check_order
from data.doubles import compared, differ
from data.errors import InputError
from data.handles import Handles
from data.zlevel.files import Cut, decoded
from data.zlevel.names import LENGTHS, SPEEDS, STANDARD_NAMES, Model
from data.zlevel.times import FileTimes, read_times

#: Quantities that are looked for: u and v are required, the others optional.
QUANTITIES = ("u", "v", "zeta", "temp", "w")
WORDS = {
    "u": "eastward velocity",
    "v": "northward velocity",
    "zeta": "sea surface height",
    "temp": "temperature",
    "w": "upward velocity",
}


@dataclass(frozen=True)
class Source:
    """A quantity in a file: variable, shape, unit and times.

    Attributes
    ----------
    path, name : str
        File and variable.
    dimensions : tuple of str
        Of one record: (depth, y, x), or (y, x).
    in_time : bool
        Whether the variable has a time dimension, its first.
    shape : tuple of int
        Of one record.
    scale, offset : float
        To m/s, m, degrees Celsius.
    times : FileTimes
    """

    path: str
    name: str
    dimensions: tuple[str, ...]
    in_time: bool
    shape: tuple[int, ...]
    scale: float
    offset: float
    times: FileTimes

    def read(self, files: Handles, record: int, cut: Cut, levels: slice) -> np.ndarray:
        """A record, cut, from the deepest level up: (n, y, x) or (y, x) float32, NaN where values are missing."""
        with files.open(self.path, f"record {record} of {self.name}") as dataset:
            variable = dataset.variables[self.name]
            variable.set_auto_maskandscale(True)
            lead = (record,) if self.in_time else ()
            value = decoded(cut.of(variable, (*lead, levels) if len(self.shape) == 3 else lead))
        if self.scale != 1.0 or self.offset:
            value = value * np.float32(self.scale) + np.float32(self.offset)
        return value


def named(dataset, quantity: str, model: Model) -> str | None:
    """The variable of a file that holds a quantity: by name among those of its CF standard name, else by name."""
    candidates = [name for name in dataset.variables if dataset.variables[name].ndim >= (2 if quantity == "zeta" else 3)]
    for standard_name in STANDARD_NAMES[quantity]:
        matches = [name for name in candidates if str(getattr(dataset.variables[name], "standard_name", "")) == standard_name]
        # tides, Stokes drift and other parts have standard names of their own; of several the table's comes first
        matches.sort(key=lambda name: _rank(name, model.names[quantity]))
        if matches:
            return matches[0]
    return next((name for name in model.names[quantity] if name in candidates), None)


def _rank(name, names):
    return names.index(name) if name in names else len(names)


def sources_of(path: str, dataset, model: Model, origin: np.datetime64, notes: list[str]) -> dict[str, Source]:
    """All quantities of one file."""
    sources = {}
    for quantity in QUANTITIES:
        name = named(dataset, quantity, model)
        if name is None:
            continue
        variable = dataset.variables[name]
        check_order(path, name, variable.dimensions)
        space = 2 if quantity == "zeta" else 3
        over_time = variable.ndim == space and "since" in _units_of_axis(dataset, variable.dimensions[0])
        if variable.ndim not in (space, space + 1) or over_time:
            if quantity in ("u", "v"):
                raise InputError(
                    f"{path}: {name} has dimensions {variable.dimensions}; (time, depth, latitude, longitude) are needed: a "
                    "section or a single level is not a domain"
                )
            continue
        in_time = variable.ndim == space + 1
        scale, offset = _unit(path, quantity, name, variable)
        dimension = variable.dimensions[0] if in_time else None
        times = read_times(path, dataset, dimension, origin, str(getattr(variable, "cell_methods", "")), notes)
        if not in_time and times.labels.size != 1:
            continue
        lead = int(in_time)
        sources[quantity] = Source(
            path, name, variable.dimensions[lead:], in_time, variable.shape[lead:], scale, offset, times
        )
    return sources


def _units_of_axis(dataset, dimension) -> str:
    return str(getattr(dataset.variables.get(dimension), "units", ""))


def _unit(path, quantity, name, variable) -> tuple[float, float]:
    unit = str(getattr(variable, "units", "")).strip()
    if quantity == "temp":
        return 1.0, -273.15 if unit.lower() in ("k", "kelvin") else 0.0
    table = LENGTHS if quantity == "zeta" else SPEEDS
    factor = table.get(unit.lower())
    if factor is None:
        unit_needed = "m" if quantity == "zeta" else "m s-1"
        raise InputError(f"{path}: {name} has units {unit!r}; {WORDS[quantity]} is needed in {unit_needed}")
    return factor, 0.0


@dataclass(frozen=True)
class Series:
    """Records of one quantity in order of time: labels (n,), and (source, record) of each."""

    labels: np.ndarray
    owners: tuple[tuple[Source, int], ...]

    def known_in_first(self, files: Handles, cut: Cut, levels: slice) -> np.ndarray:
        """Where the first record holds values, bool as :meth:`Source.read`; readers take these points for water.

        Raises
        ------
        InputError
            The last record holds a value at a point where the first is missing, which is then a hole and not land.
        """
        (source, record), (last_source, last_record) = self.owners[0], self.owners[-1]
        present = np.isfinite(source.read(files, record, cut, levels))
        if len(self.owners) > 1:
            holes = ~present & np.isfinite(last_source.read(files, last_record, cut, levels))
            if holes.any():
                level, eta, xi = np.argwhere(holes.reshape(-1, *holes.shape[-2:]))[0]
                where = f"level {level} from the deepest up, " if holes.ndim == 3 else ""
                raise InputError(
                    f"{source.path}: {source.name} is NaN or a fill value in record {record} (counted from 0), {where}at "
                    f"(eta, xi) = ({eta}, {xi}), where the last record ({last_source.path}) holds a value; mend the record"
                )
        return present

    def middles(self) -> list:
        """Middle of the time bounds of each record, None where there are none."""
        return [None if source.times.middles is None else source.times.middles[k] for source, k in self.owners]

    def kinds(self) -> set[str]:
        """The kinds of records that the files tell (means or instants)."""
        return {source.times.kind for source, _ in self.owners}


def series_of(files: Handles, sources: list[Source], notes: list[str]) -> Series:
    """The series of a quantity from its sources; of records with equal labels, that of the file that begins later is used.

    Raises
    ------
    InputError
        Two files begin at the same instant and hold other values at several of the same instants.
    """
    sources = sorted((source for source in sources if source.times.labels.size), key=lambda source: source.times.labels[0])
    labels = np.concatenate([source.times.labels for source in sources])
    owners = [(source, k) for source in sources for k in range(source.times.labels.size)]
    order = np.argsort(labels, kind="stable")
    keep = np.append(np.diff(labels[order]) > np.timedelta64(0), True)
    if not keep.all():
        first = np.datetime_as_string(labels[order][~keep][0], unit="s")
        doubles = [(owners[order[k]], owners[order[k + 1]]) for k in np.flatnonzero(~keep)]
        other = " (values differ)" if _doubles_differ(files, doubles) else ""
        notes.append(
            f"{np.count_nonzero(~keep)} instant(s) of {sources[0].name} stand in two files (first {first}){other}: the record "
            "of the file that begins later is used"
        )
    return Series(labels[order][keep], tuple(owners[k] for k in order[keep]))


def _doubles_differ(files: Handles, doubles: list[tuple[tuple[Source, int], tuple[Source, int]]]) -> bool:
    """Whether files differ at the instants that they share; InputError where neither of them begins later."""
    pairs: dict[tuple[str, str], list] = {}
    for one, other in doubles:
        pairs.setdefault((one[0].path, other[0].path), []).append((one, other))
    whole, top = Cut(slice(None), (slice(None),)), slice(0, 1)
    found = False
    for (path, other_path), doubled in pairs.items():
        if path == other_path:
            continue
        for k in compared(len(doubled)):
            (one, record), (other, other_record) = doubled[k]
            if not differ(one.read(files, record, whole, top), other.read(files, other_record, whole, top)):
                continue
            if len(doubled) > 1 and one.times.labels[0] == other.times.labels[0]:
                raise InputError(
                    f"{other_path} and {path} begin at the same instant and hold other values of {one.name} at "
                    f"{np.datetime_as_string(one.times.labels[record], unit='s')}: two runs, members or products; give the files "
                    "of one"
                )
            found = True
    return found


def gather(files: Handles, paths: list[str], model: Model, origin, notes: list[str], check: Callable) -> dict[str, Series]:
    """The series of all quantities over all files; u and v must share their times; others are left out unless they share them.

    check(dataset, source, quantity): called with the open file of each source.

    Raises
    ------
    InputError
        u or v is nowhere, or at other times; sea surface height has holes.
    """
    by_quantity: dict[str, list[Source]] = {quantity: [] for quantity in QUANTITIES}
    for path in paths:
        with files.open(path) as dataset:
            for quantity, source in sources_of(path, dataset, model, origin, notes).items():
                check(dataset, source, quantity)
                by_quantity[quantity].append(source)
    for absent, partner in (("u", "v"), ("v", "u")):
        if not by_quantity[absent]:
            where = by_quantity[partner][0].path if by_quantity[partner] else paths[0]
            names = ", ".join(model.names[absent][:3])
            beside = f" beside {by_quantity[partner][0].name}" if by_quantity[partner] else ""
            raise InputError(f"{where}: no {WORDS[absent]} ({names}, ...){beside} in the files; name the files that hold it too")
    series = {quantity: series_of(files, sources, notes) for quantity, sources in by_quantity.items() if sources}
    u, v = series["u"], series["v"]
    if not np.array_equal(u.labels, v.labels):
        odd = np.setxor1d(u.labels, v.labels)[0]
        has = u if odd in u.labels else v
        source = has.owners[int(np.searchsorted(has.labels, odd))][0]
        raise InputError(
            f"{source.path}: {source.name} has a record at {np.datetime_as_string(odd, unit='s')}, the other velocity has none; "
            "u and v are needed at the same times"
        )
    for quantity in ("zeta", "temp", "w"):
        if quantity not in series:
            continue
        of_quantity = series[quantity]
        at = np.searchsorted(of_quantity.labels, u.labels)
        shared = at < of_quantity.labels.size
        shared[shared] = of_quantity.labels[at[shared]] == u.labels[shared]
        if shared.all():
            series[quantity] = Series(u.labels, tuple(of_quantity.owners[k] for k in at))
            continue
        lacking = f"{of_quantity.owners[0][0].name} has no record at {np.datetime_as_string(u.labels[~shared][0], unit='s')}"
        if quantity == "zeta":
            where = of_quantity.owners[0][0].path
            raise InputError(f"{where}: {lacking}, where u and v have; add the missing files, or leave this one out")
        notes.append(f"{WORDS[quantity]} is not used: {lacking}")
        del series[quantity]
    return series
