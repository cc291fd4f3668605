"""Longitude-latitude-depth files: GLORYS, GLO12, IBI, HYCOM on depths, and whatever else has these three axes. An A-grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.axes import check_order
from data.errors import InputError
from data.grid import HorizontalGrid
from data.handles import Handles
from data.sphere import EARTH_RADIUS_KM
from data.spherical_defaults import coriolis
from data.units import depth_factor
from data.zlevel.files import Cut, decoded, numbers
from data.zlevel.levels import wet_depth
from data.zlevel.names import DEPTHS, LATITUDES, LONGITUDES

#: Rows nearer than this to a pole are left out: cells have no width there. Degrees of latitude.
POLAR = 89.9
#: A grid whose spacing varies by less than this share is even: coordinates in float32 are.
EVEN = 2e-3
#: Degrees within which coordinates are taken as fractions of a degree: float32 knows longitudes of 300 to 3e-5.
SNAP = 5e-5
#: A domain is cut if it reaches beyond the needed half-width by more than this factor.
SPARE = 1.1
#: How far a column may reach below the deepest level, share of the lowest layer's thickness.
BELOW = 0.5
FLOOR_NAMES = ("deptho", "bathymetry", "bottom_depth", "bathy", "depth_bottom", "sea_floor_depth")


@dataclass(frozen=True)
class Axes:
    """Names and values of the axes of a variable: longitudes, latitudes (degrees) and depths (None without)."""

    names: tuple[str | None, str, str]
    longitude: np.ndarray
    latitude: np.ndarray
    depth: np.ndarray | None
    positive: str = ""


def axes_of(path: str, dataset, name: str, dimensions: tuple[str, ...]) -> Axes:
    """The axes of a variable whose dimensions are (depth, latitude, longitude) or (latitude, longitude).

    Raises
    ------
    InputError
        It has other axes: two-dimensional positions, layers without depths, an unstructured mesh.
    """
    dimension_of: dict[str, str] = {}
    for dimension in dimensions:
        kind = _kind_of_axis(dataset, dimension)
        if kind:
            dimension_of[kind] = dimension
    expected = ("depth", "latitude", "longitude")[-len(dimensions) :]
    if tuple(dimension_of) == expected:
        values = {kind: numbers(dataset.variables[dimension]) for kind, dimension in dimension_of.items()}
        positive = str(getattr(dataset.variables[dimension_of["depth"]], "positive", "")) if "depth" in dimension_of else ""
        names = (dimension_of.get("depth"), dimension_of["latitude"], dimension_of["longitude"])
        return Axes(names, values["longitude"], values["latitude"], values.get("depth"), positive)
    if len(dimension_of) == len(dimensions):
        kinds = {"depth": "depth", "latitude": "y", "longitude": "x"}
        check_order(path, name, dimensions, [kinds[kind] for kind in dimension_of])
    if len(dimensions) == 3 and "depth" not in dimension_of:
        raise InputError(
            f"{path}: {name} stands on {dimensions[0]!r}, which has no depths in m (a model's own layers?); put the velocities "
            "on depth levels first"
        )
    raise InputError(
        f"{path}: {name} has dimensions {dimensions}; {expected} with one-dimensional coordinates are needed: put it on a grid "
        "of longitudes and latitudes first"
    )


def _kind_of_axis(dataset, dimension) -> str:
    variable = dataset.variables.get(dimension)
    if variable is None or variable.dimensions != (dimension,) or getattr(variable.dtype, "kind", "O") not in "fiu":
        return ""
    units = str(getattr(variable, "units", "")).lower()
    standard_name = str(getattr(variable, "standard_name", "")).lower()
    if standard_name in ("longitude", "latitude"):
        return standard_name
    if units.startswith(("degrees_east", "degree_east", "degreese")):
        return "longitude"
    if units.startswith(("degrees_north", "degree_north", "degreesn")):
        return "latitude"
    if units.startswith("degree"):
        return "longitude" if dimension in LONGITUDES else "latitude" if dimension in LATITUDES else ""
    length = units in ("m", "meter", "meters", "metre", "metres")
    if length and (standard_name == "depth" or hasattr(variable, "positive") or dimension.lower() in DEPTHS):
        return "depth"
    if not units and dimension.lower() in ("longitude", "lon"):
        return "longitude"
    if not units and dimension.lower() in ("latitude", "lat"):
        return "latitude"
    return "depth" if not units and dimension.lower() == "depth" else ""


def even(values: np.ndarray) -> np.ndarray:
    """Coordinates without the rounding of float32 where their spacing is even."""
    steps = np.diff(values)
    mean = (values[-1] - values[0]) / (values.size - 1)
    if np.abs(steps - mean).max() > EVEN * abs(mean):
        return values
    # spacings are fractions of a degree, and origins halves of them: 1/12 is meant where 0.083332 is found
    parts = np.round(1 / abs(mean))
    if parts >= 1 and abs(abs(mean) * parts - 1) < SNAP / (values.size * abs(mean)):
        mean = np.sign(mean) / parts
    first = float(np.mean(values - mean * np.arange(values.size)))
    if parts >= 1 and abs(np.round(first * 2 * parts) / (2 * parts) - first) < SNAP:
        first = np.round(first * 2 * parts) / (2 * parts)
    return first + mean * np.arange(values.size)


def cut_of(path: str, axes: Axes, center, half_width_km) -> tuple[Cut, np.ndarray, np.ndarray, bool, str]:
    """The used part of the grid: (cut, its longitudes, its latitudes, whether the part goes round the Earth, note).

    center: (longitude, latitude) or None; half_width_km: what is needed about it.
    """
    for kind, values in (("longitude", axes.longitude), ("latitude", axes.latitude)):
        if values.size < 4:
            raise InputError(f"{path}: {values.size} point(s) along {kind}; 4 x 4 or more are needed, a domain and not a column")
        if not np.isfinite(values).all():
            raise InputError(f"{path}: {kind} holds values that are not finite")
    lat = axes.latitude
    down = lat[0] > lat[-1]
    lat = lat[::-1] if down else lat
    lon = np.unwrap(axes.longitude, period=360)
    if lon[0] > lon[-1]:
        raise InputError(f"{path}: longitudes decrease; turn them so that they increase eastward")
    if (np.diff(lon) <= 0).any() or (np.diff(lat) <= 0).any():
        raise InputError(f"{path}: longitudes or latitudes are not in order")
    columns = lon.size
    turn = (lon[-1] - lon[0]) / (columns - 1)
    if lon[-1] - lon[0] > 360 - 0.5 * turn:  # the last columns repeat the first
        columns = int(np.searchsorted(lon, lon[0] + 360 - 0.5 * turn))
        lon = lon[:columns]
    around = abs(lon[-1] + turn - lon[0] - 360) < 0.5 * turn
    lon, lat = even(lon), even(lat)
    first, last = 0, lat.size
    rows = np.flatnonzero(np.abs(lat) < POLAR)
    first, last = rows[0], rows[-1] + 1
    start, count, note = 0, columns, ""
    if center is not None and np.isfinite(half_width_km):
        degree = np.deg2rad(1) * EARTH_RADIUS_KM
        north = half_width_km / degree
        east = north / max(np.cos(np.deg2rad(min(abs(center[1]) + north, 89.0))), 0.02)
        before = (last - first, columns)
        if lat[last - 1] - lat[first] > 2 * SPARE * north:
            inside = np.flatnonzero(np.abs(lat - center[1]) <= north + np.max(np.diff(lat)))
            if inside.size >= 4:
                first, last = max(first, inside[0]), min(last, inside[-1] + 1)
        if lon[-1] - lon[0] > 2 * SPARE * east:
            away = np.mod(lon - center[0] + 180, 360) - 180
            inside = np.flatnonzero(np.abs(away) <= east + turn)
            if inside.size >= 4:
                start = int(inside[np.argmin(away[inside])])
                count, around = inside.size, False
                if start + count > columns and not _goes_round(lon, turn):  # it would jump across what the file lacks
                    start, count = int(inside[0]), int(inside[-1] - inside[0] + 1)
        if (last - first, count) != before:
            note = (
                f"the domain is cut to {half_width_km:.0f} km about the site ({last - first} of {before[0]} rows, {count} of "
                f"{before[1]} columns)"
            )
    stop = start + count
    parts = [slice(start, min(stop, columns))]
    lon_cut = [lon[parts[0]]]
    if stop > columns:
        parts.append(slice(0, stop - columns))
        lon_cut.append(lon[parts[1]] + 360)
    if around:
        parts.append(slice(start, start + 1))
        lon_cut.append(lon[start : start + 1] + 360)
    lon = np.concatenate(lon_cut)
    lon = lon - 360 * np.round(0.5 * (lon[0] + lon[-1]) / 360)
    if down:
        n = lat.size
        rows_of_file = slice(n - 1 - first, None if last == n else n - 1 - last, -1)
    else:
        rows_of_file = slice(first, last)
    return Cut(rows_of_file, tuple(parts)), lon, lat[first:last], around, note


def _goes_round(lon, turn) -> bool:
    return abs(lon[-1] + turn - lon[0] - 360) < 0.5 * turn


def horizontal_grid(lon: np.ndarray, lat: np.ndarray, h: np.ndarray, sea: np.ndarray, around: bool) -> HorizontalGrid:
    """The A-grid of longitudes and latitudes, metrics in closed form on the sphere."""
    x, y = np.meshgrid(lon, lat)
    radius = 1000 * EARTH_RADIUS_KM
    pm = 1 / (radius * np.cos(np.deg2rad(y)) * np.deg2rad(np.gradient(lon))[None, :])
    pn = np.broadcast_to(1 / (radius * np.deg2rad(np.gradient(lat)))[:, None], x.shape)
    return HorizontalGrid(
        np.where(sea, h, h[sea].min() if sea.any() else 1.0), pm, pn, x, y, sea, np.zeros(x.shape), coriolis(y), stagger="A",
        periodic=(around, False),
    )  # fmt: skip


def sea_floor(files: Handles, paths: list[str], lon, lat, interfaces, wet, notes) -> tuple[np.ndarray, str]:
    """(depth of the sea floor (eta, xi), m; the reason why the floor is unknown, or empty).

    interfaces (n + 1,), wet (n, eta, xi): from the deepest level up. Looked for in ``paths``: ``deptho``, else the number of the
    last wet level, else a three-dimensional mask.
    """
    sea = wet[-1]
    by_levels = wet_depth(wet, interfaces)
    for path in paths:
        floor = _static_floor(files, path, lon, lat, interfaces, notes)
        if floor is None:
            continue
        unknown = sea & ~(floor > 0)
        if (unknown == sea).all():
            raise InputError(
                f"{path}: the depth of the sea floor is missing, or not above 0, wherever the velocities have sea; depths are "
                "needed positive down: turn their sign if these are heights"
            )
        if unknown.any():
            counts = f"{np.count_nonzero(unknown)} of {np.count_nonzero(sea)} sea points"
            notes.append(f"{path}: no depth at {counts}: that of the last wet level is taken")
        h = np.where(unknown, by_levels, floor)
        deepest = interfaces[0]
        if (h[sea] > deepest + BELOW * (deepest - interfaces[1])).any():
            return np.minimum(h, deepest), (
                f"the files end {deepest:.0f} m deep, above the sea floor (down to {h[sea].max():.0f} m): without it there is no "
                "vertical motion by continuity"
            )
        return np.minimum(h, deepest), ""
    return by_levels, (
        "the files do not tell the depth of the sea floor (a static file with deptho goes to --grid): without it there is no "
        "vertical motion by continuity"
    )


def _static_floor(files, path, lon, lat, interfaces, notes) -> np.ndarray | None:
    """The depth of the sea floor in one file at the points of the grid; None where it holds none."""
    with files.open(path) as dataset:
        variables = dataset.variables
        for name in variables:
            variable = variables[name]
            standard_name = str(getattr(variable, "standard_name", ""))
            is_floor = name.lower() in FLOOR_NAMES or standard_name.startswith("sea_floor_depth_below")
            levels = name.lower() == "deptho_lev"
            mask = name.lower() in ("mask", "tmask") and variable.ndim == 3
            if not (is_floor or levels or mask) or variable.ndim < 2:
                continue
            dimensions = variable.dimensions[-3:] if mask else variable.dimensions[-2:]
            axes = axes_of(path, dataset, name, dimensions)
            rows, columns = _places(path, "latitude", axes.latitude, lat, 0), _places(path, "longitude", axes.longitude, lon, 360)
            variable.set_auto_maskandscale(True)
            lead = (0,) * (variable.ndim - len(dimensions))
            value = decoded(variable[(*lead, ...)])
            if mask:
                wet = np.nan_to_num(value)[:, rows][:, :, columns] > 0.5
                count = wet.sum(axis=0)
            elif levels:
                count = np.nan_to_num(value[np.ix_(rows, columns)]).astype(int)
            else:
                factor = depth_factor(path, name, str(getattr(variable, "units", "")))
                return value[np.ix_(rows, columns)].astype(np.float64) * factor
            if count.max() > interfaces.size - 1:  # levels below the last of the files: deeper than they reach
                notes.append(f"{path}: {name} counts {count.max()} levels, the files hold {interfaces.size - 1}")
                within = interfaces[::-1][np.minimum(count, interfaces.size - 1)]
                return np.where(count > interfaces.size - 1, 2 * interfaces[0], within)
            return interfaces[::-1][count].astype(np.float64)
    return None


def _places(path, kind, held, wanted, period) -> np.ndarray:
    """Index of each wanted coordinate among those held, within a tenth of a cell."""
    distance = held[None, :] - wanted[:, None]
    if period:
        distance = np.mod(distance + period / 2, period) - period / 2
    nearest = np.argmin(np.abs(distance), axis=1)
    off = np.abs(distance[np.arange(wanted.size), nearest])
    if (off > 0.1 * np.abs(np.median(np.diff(wanted)))).any():
        raise InputError(
            f"{path}: {kind}s do not hold those of the velocities ({wanted[0]:g} to {wanted[-1]:g}); a static file of the same "
            "grid, that covers the domain, is needed"
        )
    return nearest
