"""Opening z-level files: which family they are of, and the ocean that they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from data.command import one_line
from data.croco.times import parse_origin
from data.errors import InputError
from data.handles import Handles
from data.netcdf import expand
from data.ocean import Preferences
from data.ocean_names import IDEALISED
from data.record_times import check_gaps
from data.vertical import ZCoordinate
from data.zlevel import lonlat
from data.zlevel.files import OPEN_FILES
from data.zlevel.levels import checked_depths, interface_depths
from data.zlevel.names import LONLAT, MODELS, NEMO, Model
from data.zlevel.ocean import ZLevelOcean
from data.zlevel.series import Series, Source, gather, named
from data.zlevel.times import instants, tell_of_tides

#: Dimensions that only terrain-following files have, those of unstructured meshes, and of NEMO's own files.
S_LEVELS = {"s_rho", "eta_rho", "xi_rho", "s_w", "eta_u", "xi_u"}
MESHES = {"nele", "node", "nodes", "ncells", "cell", "cells", "nod2", "nod2d", "elem", "nface", "nmesh2d_face"}
#: Dimensions by which models with a table are recognised, and dimensions of models that cannot be read.
TABLES = {
    "pop": {"nlon", "nlat"},
    "mitgcm": {"XG", "YG", "i_g", "j_g", "Xp1", "Yp1"},
    "mom6": {"xq", "yq"},
}
OTHERS = {"MOM 5": {"xu_ocean", "yu_ocean"}}
NEMO_LEVELS = {"depthu", "depthv", "depthw", "deptht", "nav_lev"}
#: Number of files of a long list that are opened to recognise the family.
LOOKED_AT = 20
#: Coordinates of two files are the same within this, degrees or metres.
SAME = 1e-3


def recognise(paths: Sequence[str]) -> str:
    """The family of files, a key of :data:`MODELS` or "croco", after their dimensions and variables; "croco" where in doubt.

    Raises
    ------
    InputError
        A family that cannot be read: unstructured meshes, layers of a model's own.
    """
    files, votes = Handles(OPEN_FILES), set()
    names = expand(paths)
    try:
        for path in [*names[:: max(1, len(names) // LOOKED_AT)], names[-1]]:
            with files.open(path) as dataset:
                votes.add(_family(path, dataset))
    finally:
        files.close()
    votes.discard("")
    for family in ("croco", *TABLES, "nemo", "lonlat"):
        if family in votes:
            return family
    return "croco"


def _family(path, dataset) -> str:
    dimensions = set(dataset.dimensions)
    if dimensions & S_LEVELS:
        return "croco"
    if {name.lower() for name in dimensions} & MESHES:
        raise InputError(f"{path}: an unstructured mesh; put the velocities on longitudes, latitudes and depth levels first")
    for title, tell in OTHERS.items():
        if dimensions & tell:
            raise InputError(
                f"{path}: a file of {title}'s own grid, which cannot be read yet; put the velocities on longitudes, latitudes "
                "and depth levels first"
            )
    for family, tell in TABLES.items():
        if dimensions & tell:
            return family
    models = (NEMO, LONLAT)
    u = next((name for model in models for quantity in "uv" if (name := named(dataset, quantity, model))), None)
    if u is None:
        zeta = named(dataset, "zeta", NEMO)
        return "nemo" if dimensions & NEMO_LEVELS and zeta is None and "nav_lon" in dataset.variables else ""
    spatial = dataset.variables[u].dimensions[-2:]
    positions = [name for name in dataset.variables if dataset.variables[name].dimensions == spatial]
    one_dimensional = all(name in dataset.variables and dataset.variables[name].ndim == 1 for name in spatial)
    if "nav_lon" in positions or (dimensions & NEMO_LEVELS and not one_dimensional):
        return "nemo"
    if one_dimensional:
        return "lonlat"
    levels = dataset.variables[u].dimensions[-3] if dataset.variables[u].ndim > 2 else ""
    level = dataset.variables.get(levels)
    counted = level is not None and str(getattr(level, "units", "")) not in ("m", "meter", "meters", "metre", "metres")
    if {"lon", "lat"} <= set(positions) and (level is None or counted):
        raise InputError(
            f"{path}: {u} stands on {levels!r}, which has no depths in m (layers of HYCOM's own?); put the velocities on depth "
            "levels, longitudes and latitudes first"
        )
    return ""


def open_zlevel(
    paths: str | Path | Sequence[str | Path],
    *,
    grid: str | Path | None = None,
    model: str = "auto",
    time_label: str = "auto",
    time_origin: np.datetime64 | str = "2000-01-01",
    allow_gaps: bool = False,
    center: tuple[float, float] | None = None,
    half_width_km: float = np.inf,
) -> ZLevelOcean:
    """Open files of an ocean on z-levels.

    Parameters
    ----------
    paths : path, glob pattern, or sequence of them
        The files, in any order; variables may be split over them.
    grid : path, optional
        Static file with the sea floor (``deptho``), or NEMO's mesh_mask.
    model : "auto", "lonlat", "nemo", "pop", "mitgcm" or "mom6"
    time_label : "auto", "start", "middle" or "end"
        Which instant of its interval the label of a record is; auto: see :mod:`data.zlevel.times`.
    time_origin : datetime64 or ISO date
        What the year 1 of a run without dates stands for.
    allow_gaps : bool
        Take a record with holes, and say so.
    center, half_width_km
        Site (degrees) and what is needed about it: larger domains are cut to it while they are read.

    Raises
    ------
    InputError
        Files that are missing, unreadable, not a domain, not on depths, or lack something that cannot be computed.
    OptionError
        If ``time_origin`` is not a date.
    """
    origin = parse_origin(time_origin)
    names = expand(paths)
    family = recognise(names) if model == "auto" else model
    if family not in MODELS:
        raise InputError(f"{names[0]}: these are {family} files, not an ocean on z-levels")
    files = Handles(OPEN_FILES)
    try:
        if family == "nemo":
            from data.zlevel.nemo import open_nemo

            ocean = open_nemo(files, names, grid, time_label, origin, allow_gaps, center, half_width_km)
        elif family in TABLES:
            from data.zlevel.tables import open_table

            ocean = open_table(family, files, names, grid, time_label, origin, allow_gaps, center, half_width_km)
        else:
            ocean = _open_lonlat(files, names, grid, time_label, origin, allow_gaps, center, half_width_km)
        with files.open(names[0]) as dataset:
            if hasattr(dataset, "ocean_seed"):
                ocean.description["title"] = f"{IDEALISED}, files of data.twin"
        return ocean
    except InputError as error:
        files.close()
        raise InputError(one_line(error)) from error


def timed(series: dict[str, Series], time_label: str, allow_gaps: bool, notes: list[str]) -> np.ndarray:
    """(n,) datetime64[ns]: instants of the records of u, which the other quantities share."""
    u = series["u"]
    kinds = set().union(*(series[name].kinds() for name in ("u", "v")))
    if {"instant", "mean"} <= kinds:
        path_of = {source.times.kind: source.path for name in "uv" for source, _ in series[name].owners}
        raise InputError(f"{path_of['instant']} holds instants, {path_of['mean']} means; give files of one kind")
    times = instants(u.labels, u.middles(), kinds, time_label, notes)
    if time_label == "auto":
        aligned = instants(series["v"].labels, series["v"].middles(), kinds, time_label, [])
        if not np.array_equal(times, aligned):
            raise InputError(
                f"{series['v'].owners[0][0].path}: time bounds of v are not those of u; u and v are needed at the same times"
            )
    tell_of_tides(times, kinds, notes)
    check_gaps(times, [source.path for source, _ in u.owners], allow_gaps, notes)
    times = np.ascontiguousarray(times)
    times.setflags(write=False)
    return times


def note_unknown(series: dict[str, Series], floor: str, notes: list[str]) -> None:
    """Note that the files lack sea surface height, and the reason ``floor`` why the sea floor is unknown, if there is one."""
    if "zeta" not in series:
        notes.append("no sea surface height in the files: taken as 0 (fields of ssh hold 0 too)")
    if floor:
        notes.append(floor)


def described(kind: str, model: Model, files: list[str], grid, notes: list[str], times: np.ndarray, **more) -> dict:
    """The description of an ocean for run.json."""
    return {
        "kind": kind,
        "model": model.title,
        "files": files,
        "grid_file": None if grid is None else str(grid),
        "assumptions": list(dict.fromkeys(notes)),
        "records": int(times.size),
        "first": str(np.datetime_as_string(times[0], unit="s")),
        "last": str(np.datetime_as_string(times[-1], unit="s")),
        **more,
    }


def _open_lonlat(files, names, grid, time_label, origin, allow_gaps, center, half_width_km) -> ZLevelOcean:
    notes: list[str] = []
    first: dict[str, lonlat.Axes] = {}

    def check(dataset, source: Source, quantity: str) -> None:
        """InputError if a quantity has other axes than the quantities before."""
        axes = lonlat.axes_of(source.path, dataset, source.name, source.dimensions)
        if axes.depth is not None and axes.depth.size == 1 and quantity == "temp":
            axes = replace(axes, depth=None)  # temperature at the surface alone, as data.download fetches it for the networks
        reference = first.setdefault("space", axes) if axes.depth is not None else first.get("space")
        if reference is None:
            late.append((source, axes))
            return
        _same_axes(source, axes, reference)

    late: list[tuple[Source, lonlat.Axes]] = []
    series = gather(files, names, LONLAT, origin, notes, check)
    axes = first["space"]
    for source, axes_late in late:
        _same_axes(source, axes_late, axes)
    path = series["u"].owners[0][0].path
    assert axes.names[0] is not None and axes.depth is not None  # velocities without depths were refused by gather
    depth, upward = checked_depths(path, axes.names[0], axes.depth, axes.positive)
    cut, lon, lat, around, note = lonlat.cut_of(path, axes, center, half_width_km)
    if note:
        notes.append(note)
    interfaces = interface_depths(depth)
    levels = slice(None) if upward else slice(None, None, -1)
    wet = np.logical_and(*(series[name].known_in_first(files, cut, levels) for name in ("u", "v")))
    # a hole in the water column is a hole of the data: the sea reaches from the surface to the last wet level
    wet = np.logical_or.accumulate(wet, axis=0) & wet[-1]
    if not wet.any():
        raise InputError(f"{path}: u and v are missing everywhere in the first record; there is no sea")
    static = [str(Path(grid).expanduser())] if grid is not None else []
    h, unknown = lonlat.sea_floor(files, [*static, *names], lon, lat, interfaces[::-1], wet, notes)
    if grid is not None and "do not tell" in unknown:
        raise InputError(f"{static[0]}: no depth of the sea floor (deptho, deptho_lev or mask) in this static file")
    if unknown:
        notes.append(unknown)
    if "zeta" not in series:
        notes.append("no sea surface height in the files: taken as 0 (fields of ssh hold 0 too)")
    if "temp" in series and series["temp"].owners[0][0].shape[0] == 1:
        notes.append("temperature is known at the surface alone: enough for the inputs sst-ssh and 5v-1l, not for 5v-4l")
    horizontal = lonlat.horizontal_grid(lon, lat, h, wet[-1], around)
    vertical = ZCoordinate(-depth[::-1], -interfaces[::-1])
    times = timed(series, time_label, allow_gaps, notes)
    return ZLevelOcean(
        horizontal, vertical, times, series, described("lonlat", LONLAT, names, grid, notes, times, levels=vertical.n),
        Preferences(no_continuity=unknown), files=files, cut=cut, levels=levels, stagger=LONLAT.stagger,
        wet={"u": wet, "v": wet, "rho": wet}, wall=None,
    )  # fmt: skip





def _same_axes(source: Source, axes: lonlat.Axes, reference: lonlat.Axes) -> None:
    pairs = [("longitudes", axes.longitude, reference.longitude), ("latitudes", axes.latitude, reference.latitude)]
    if axes.depth is not None and reference.depth is not None:
        pairs.append(("depths", axes.depth, reference.depth))
    for kind, mine, theirs in pairs:
        if mine.shape != theirs.shape or np.abs(mine - theirs).max() > SAME:
            raise InputError(
                f"{source.path}: {source.name} has other {kind} ({mine.size}: {mine[0]:g} to {mine[-1]:g}) than the other files "
                f"({theirs.size}: {theirs[0]:g} to {theirs[-1]:g}); all must share one grid"
            )
