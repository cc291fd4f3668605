"""The content of each file, and checks that all files are pieces of one simulation's record."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from data.axes import check_order
from data.croco.extent import check_all_layers, check_size, check_whole
from data.croco.shifts import check_indices
from data.croco.times import read_times
from data.croco.units import UNITS, conversion_of
from data.errors import InputError
from data.ocean import OPTIONAL_VARIABLES


@dataclass(frozen=True)
class File:
    """The content of one file, as its header tells it.

    Attributes
    ----------
    path : str
    names, attributes : frozenset of str
        Its variables and global attributes.
    record_dimension : str or None
        Dimension of time; None where the file holds one record without it.
    shape : (int, int, int)
        Layers, eta, xi of its rho points; layers 0 in a grid file.
    times : (n,) datetime64[ns]
        Strictly increasing.
    dated : bool
        Whether the file itself gives dates.
    content : str
        ``history``, ``average``, ``restart`` or empty where the file does not say.
    optional : frozenset of str
        Which optional variables it holds in a usable form.
    conversions : dict
        (factor, offset) to CROCO's own units, of the variables whose attribute says another.
    """

    path: str
    names: frozenset[str]
    attributes: frozenset[str]
    record_dimension: str | None
    shape: tuple[int, int, int]
    times: np.ndarray
    dated: bool = False
    content: str = ""
    optional: frozenset[str] = frozenset()
    conversions: dict[str, tuple[float, float]] = field(default_factory=dict)


def scan(handles, path, origin, notes, repeated) -> File:
    """Read what :class:`File` holds and check that the file has records of a domain."""
    with handles.open(path, "its header") as dataset:
        check_whole(path, dataset)
        variables = dataset.variables
        for name in ("u", "v", "zeta"):
            if name not in variables:
                grid_hint = " (a grid file goes to --grid)" if "h" in variables and "u" not in variables else ""
                raise InputError(
                    f"{path}: no variable {name}; CROCO history or average files with u, v and zeta are needed{grid_hint}"
                )
        u, zeta = variables["u"], variables["zeta"]
        _check_order(path, variables)
        dimension = _record_dimension(dataset)
        lead = 1 if dimension else 0
        if u.ndim != lead + 3 or zeta.ndim != lead + 2:
            raise InputError(
                f"{path}: u has dimensions {u.dimensions}, zeta {zeta.dimensions}; (time, s_rho, eta, xi) "
                "and (time, eta, xi) are needed: a section or a single level is not a domain"
            )
        shape = (u.shape[lead], *zeta.shape[lead:])
        if min(shape[1:]) < 4:
            raise InputError(
                f"{path}: grid of {shape[1:]} rho points; a domain of at least 4 x 4 points is needed, this "
                "is a section or a single column"
            )
        n, ny, nx = shape
        for name, expected in (("u", (n, ny, nx - 1)), ("v", (n, ny - 1, nx)), ("zeta", (ny, nx))):
            if variables[name].dimensions[:lead] != u.dimensions[:lead]:
                check_order(path, "u", u.dimensions)
                raise InputError(f"{path}: {name} does not share the time dimension {dimension} of u")
            if variables[name].shape[lead:] != expected:
                raise InputError(
                    f"{path}: {name} has shape {variables[name].shape[lead:]}, its points on the staggered grid "
                    f"of zeta {(ny, nx)} would have {expected}; velocities put on rho points, or cropped "
                    "otherwise than zeta, cannot be used"
                )
        check_size(path, dataset, shape, u.shape[0] if dimension else 1)
        check_all_layers(path, dataset, n)
        check_indices(path, dataset)
        repeated.compare(path, dataset, dimension)
        times, dated = read_times(path, dataset, dimension, origin, notes)
        text = str(getattr(dataset, "type", "")).lower()
        content = next((kind for kind in ("average", "restart", "history") if kind[:6] in text), "")
        optional = {name for name in OPTIONAL_VARIABLES if _usable(variables, name, shape, lead, path, notes)}
        rules = {name: conversion_of(path, variables[name], name) for name in ("u", "v", "zeta", *optional)}
        conversions = {name: rule for name, rule in rules.items() if rule is not None}
        notes.extend(
            f"{name} is in {variables[name].units!r} in the files: converted to {UNITS[name]}" for name in conversions
        )
        attributes = frozenset(dataset.ncattrs())
        return File(
            path, frozenset(variables), attributes, dimension, shape, times, dated, content, frozenset(optional), conversions
        )


def _check_order(path, held) -> None:
    """InputError if the axes of u, v or zeta have another order than (time, s, eta, xi), by their names or sizes."""
    u, v, zeta = held["u"], held["v"], held["zeta"]
    if _fits(u.shape, v.shape, zeta.shape, ("s", "eta", "xi")):
        return
    for name in ("u", "v", "zeta"):
        check_order(path, name, held[name].dimensions)
    for order in itertools.permutations(("s", "eta", "xi")):
        if _fits(u.shape, v.shape, zeta.shape, order):
            raise InputError(
                f"{path}: by their sizes {u.shape}, {v.shape} and {zeta.shape} the last axes of u, v and zeta are in the "
                f"order ({', '.join(order)}), and (s, eta, xi) is needed; turn them, with ncpdq for example"
            )


def _fits(u, v, zeta, order) -> bool:
    """Whether sizes of u, v, zeta (an axis of time may come first) are those of a staggered grid with this order of axes."""
    if min(len(u), len(v)) < 3 or len(zeta) < 2:
        return False
    at_u, at_v = dict(zip(order, u[-3:], strict=True)), dict(zip(order, v[-3:], strict=True))
    at_rho = dict(zip((axis for axis in order if axis != "s"), zeta[-2:], strict=True))
    return (
        at_u["s"] == at_v["s"]
        and (at_u["eta"], at_u["xi"]) == (at_rho["eta"], at_rho["xi"] - 1)
        and (at_v["eta"], at_v["xi"]) == (at_rho["eta"] - 1, at_rho["xi"])
    )


def _usable(held, name, shape, lead, path, notes):
    """Whether an optional variable has the shape and unit that :class:`~data.ocean.Snapshot` promises."""
    if name not in held:
        return False
    n, ny, nx = shape
    layers = {"w": (n, n + 1), "omega": (n + 1,), "temp": (n,)}[name]
    sizes = held[name].shape[lead:]
    if sizes not in [(levels, ny, nx) for levels in layers]:
        try:
            check_order(path, name, held[name].dimensions)
        except InputError as error:
            notes.append(f"{name} is not used: {error}")
            return False
        notes.append(f"{name} is not used: its shape {sizes} does not fit {n} layers of {(ny, nx)} rho points")
        return False
    unit = str(getattr(held[name], "units", "")).replace(" ", "")
    if unit.startswith(("m3", "m^3", "meter3", "metre3")):
        notes.append(f"{name} is not used: it is a volume flux ({held[name].units})")
        return False
    try:
        conversion_of(path, held[name], name)
    except InputError as error:
        notes.append(f"{name} is not used: {error}")
        return False
    return True


def _record_dimension(dataset):
    """Name of the time dimension, None for one record stored without it."""
    u, zeta = dataset.variables["u"], dataset.variables["zeta"]
    # a section without its thin dimension has three as well, but shares the first one with zeta
    alone = u.ndim == 3 and zeta.ndim == 2 and u.dimensions[0] != zeta.dimensions[0]
    return None if alone or not u.ndim else u.dimensions[0]


def check_one_kind(files):
    """Refuse files that are not pieces of one record."""
    first = files[0]
    for file in files[1:]:
        if file.shape != first.shape:
            raise InputError(
                f"{file.path}: {file.shape[0]} layers of {file.shape[1:]} rho points, but {first.path} has "
                f"{first.shape[0]} of {first.shape[1:]}; all files must share one grid"
            )
        if file.content and first.content and file.content != first.content:
            raise InputError(
                f"{file.path} is a {file.content} file, {first.path} a {first.content} file; give files of one kind only"
            )
    with_records = [file for file in files if file.times.size]
    undated = [file for file in with_records if not file.dated]
    if undated and len(undated) < len(with_records):
        dated = next(file for file in with_records if file.dated)
        raise InputError(
            f"{undated[0].path}: times have no date, while those of {dated.path} have; write the same units in all files"
        )


def optional_variables(files, notes):
    with_records = [file for file in files if file.times.size]
    common = frozenset.intersection(*(file.optional for file in with_records))
    for name in OPTIONAL_VARIABLES:
        lacking = [file.path for file in with_records if name not in file.optional]
        if lacking and len(lacking) < len(with_records):
            notes.append(f"{name} is not used: {lacking[0]} lacks it")
    return common


def scan_grid_file(handles, grid, first, notes, repeated) -> File:
    """The grid file as a last source of static variables; its shape must be that of the records."""
    path = str(Path(grid).expanduser())
    with handles.open(path, "its header") as dataset:
        if "h" not in dataset.variables:
            raise InputError(f"{path}: no variable h; a CROCO grid file is needed with --grid")
        shape = dataset.variables["h"].shape[-2:]
        if shape != first.shape[1:]:
            check_order(path, "h", dataset.variables["h"].dimensions)
            raise InputError(
                f"{path}: grid of {shape} rho points, but the records of {first.path} have "
                f"{first.shape[1:]}; cut the grid file to the same points"
            )
        repeated.compare(path, dataset, notes=notes)
        return File(
            path,
            frozenset(dataset.variables),
            frozenset(dataset.ncattrs()),
            None,
            (0, *shape),
            np.empty(0, "datetime64[ns]"),
        )
