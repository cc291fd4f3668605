"""NEMO's own files: a C-grid whose u stands on the right face and v on the upper face of each T cell, U, V, W and T in files.

The mesh (mesh_mask, domain_cfg or coordinates) goes to ``--grid``: metrics, depths and masks. Land holds 0 in NEMO's files:
without a mask, land is where the first record holds 0 on all faces of a cell.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from data.errors import InputError
from data.grid import HorizontalGrid
from data.handles import Handles
from data.ocean import Preferences
from data.spherical_defaults import coriolis, metrics, rotation
from data.vertical import ZCoordinate
from data.zlevel.files import Cut, decoded, numbers
from data.zlevel.levels import checked_depths, interface_depths, wet_depth
from data.zlevel.names import NEMO
from data.zlevel.ocean import ZLevelOcean
from data.zlevel.places import Places
from data.zlevel.series import gather

#: Names of static variables in mesh files of NEMO 3 and 4, in order of preference.
LONGITUDE, LATITUDE = ("glamt", "nav_lon", "nav_lon_rho"), ("gphit", "nav_lat", "nav_lat_rho")
LEVEL_THICKNESS = {"t": ("e3t_0", "e3t"), "u": ("e3u_0", "e3u"), "v": ("e3v_0", "e3v")}
INTERFACES, CENTRES = ("gdepw_1d", "gdepw_0"), ("gdept_1d", "gdept_0", "nav_lev")
FLOOR_LEVELS = ("mbathy", "bottom_level")
FLOOR = ("bathy_metry", "Bathymetry", "bathymetry", "hdepw", "deptho")
#: Where nav_lon and nav_lat of a file of velocities may lie: on its own points, or (NEMO 3) on T points; shares of a cell.
OWN_POSITIONS = {"u": ((0.5, 0.0), (0.0, 0.0)), "v": ((0.0, 0.5), (0.0, 0.0))}
#: Thicknesses of the uppermost layer are the same within this share: rounding.
SAME_THICKNESS = 1e-6
#: Two columns of an ORCA grid are the same within this, degrees.
SAME = 1e-4


class _Mesh:
    """Static variables, looked up in the mesh file first and in the files of the records after it."""

    def __init__(self, files: Handles, paths: list[str], shape: tuple[int, int]):
        self._files, self._paths, self._shape = files, paths, shape

    def field(self, names, levels: int = 0) -> np.ndarray | None:
        """(eta, xi) or (levels, eta, xi) float64 in the order of the file; None where there is none of that shape."""
        shape = (levels, *self._shape) if levels else self._shape
        for path in self._paths:
            with self._files.open(path) as dataset:
                for name in names:
                    if name not in dataset.variables:
                        continue
                    variable = dataset.variables[name]
                    if variable.shape[-len(shape) :] != shape or any(size != 1 for size in variable.shape[: -len(shape)]):
                        continue
                    return numbers(variable).reshape(shape)
        return None

    def profile(self, names, n: int) -> np.ndarray | None:
        """(n,) values of a variable that depends on the level alone; None where there is none."""
        for path in self._paths:
            with self._files.open(path) as dataset:
                for name in names:
                    if name in dataset.variables and dataset.variables[name].size == n:
                        values = numbers(dataset.variables[name]).ravel()
                        if np.isfinite(values).all() and np.ptp(values) > 0:
                            return values
        return None


def open_nemo(files, names, grid, time_label, origin, allow_gaps, center, half_width_km) -> ZLevelOcean:
    """Open NEMO's files as one ocean; see :func:`data.zlevel.open.open_zlevel`."""
    from data.zlevel.open import described, note_unknown, timed

    notes: list[str] = []
    shapes: dict[str, tuple] = {}

    places = Places(LONGITUDE[1:2], LATITUDE[1:2], OWN_POSITIONS)

    def check(dataset, source, quantity) -> None:
        """All quantities in all files have the same points and levels."""
        same = shapes.setdefault("points", source.shape[-2:])
        layers = shapes.setdefault("layers", source.shape[:1]) if len(source.shape) == 3 else shapes.get("layers", ())
        if source.shape[-2:] != same or (len(source.shape) == 3 and source.shape[:1] != layers):
            raise InputError(
                f"{source.path}: {source.name} has {source.shape} points, the other files {(*layers, *same)}; one grid is needed"
            )
        places.add(dataset, source, quantity)

    series = gather(files, names, NEMO, origin, notes, check)
    source, record = series["u"].owners[0]
    n, (eta, xi) = source.shape[0], source.shape[-2:]
    shape = (eta, xi)
    path = source.path
    if min(shape) < 4:
        raise InputError(f"{path}: {shape} points; a domain of at least 4 x 4 points is needed, not a section or a column")
    static = [str(Path(grid).expanduser())] if grid is not None else []
    at_cells = [series[name].owners[0][0].path for name in ("zeta", "temp") if name in series]
    mesh = _Mesh(files, [*static, *at_cells, *names], shape)
    if static:
        _check_mesh(files, static[0], shape, path)
    lon, lat = mesh.field(LONGITUDE), mesh.field(LATITUDE)
    if lon is None or lat is None:
        raise InputError(
            f"{(static or [path])[0]}: no positions of T points (glamt and gphit, or nav_lon and nav_lat) of {shape} "
            "points; give the mesh_mask or coordinates file of the same points with --grid"
        )
    if static or at_cells:
        places.check(lon, lat)
    cut, around = _cut(lon, lat, center, half_width_km, notes)
    centres, interfaces, upward = _levels(files, source, mesh, n)
    levels = slice(None) if upward else slice(None, None, -1)

    def cut_static(field):
        return None if field is None else cut.of_static(field)

    def layered(field):
        return None if field is None else cut_static(field[::-1] if not upward else field)

    lon, lat = cut_static(lon), cut_static(lat)
    u = series["u"].owners[0][0].read(files, record, cut, levels)
    v = series["v"].owners[0][0].read(files, series["v"].owners[0][1], cut, levels)
    wet, by_mask, masked = _water(mesh, layered, cut_static, n, u, v)
    if not masked:
        notes.append("no tmask in the files: points where u and v are 0 at all faces of the cell are taken as land")
    sea = wet[-1]
    if not sea.any():
        raise InputError(f"{path}: every point is land")
    thickness = layered(mesh.field(LEVEL_THICKNESS["t"], n))
    if thickness is None and "temp" in series:
        source_t, record_t = series["temp"].owners[0]
        thickness = _with_record(files, source_t, record_t, LEVEL_THICKNESS["t"][1], cut, levels)
        if thickness is not None and "zeta" in series and _follows_surface(thickness[-1], wet[-1]):
            thickness = _at_rest(thickness, wet, _first_zeta(files, series, cut, levels))
    h, unknown = _sea_floor(mesh, cut_static, thickness, wet, interfaces[::-1], by_mask, notes)
    faces = {
        "u": (wet[:, :, :-1] & wet[:, :, 1:]) if (mask := layered(mesh.field(("umask",), n))) is None else mask[:, :, :-1] > 0.5,
        "v": (wet[:, :-1] & wet[:, 1:]) if (mask := layered(mesh.field(("vmask",), n))) is None else mask[:, :-1] > 0.5,
    }
    horizontal = _horizontal(mesh, cut_static, lon, lat, h, sea, around, notes)
    moves = "zeta" in series
    vertical = ZCoordinate(
        -centres[::-1], -interfaces[::-1], moves, *_face_thickness(files, mesh, layered, series, cut, levels, n, h, moves, faces)
    )
    note_unknown(series, unknown, notes)
    times = timed(series, time_label, allow_gaps, notes)
    return ZLevelOcean(
        horizontal, vertical, times, series, described("nemo", NEMO, names, grid, notes, times, levels=n),
        Preferences(no_continuity=unknown), files=files, cut=cut, levels=levels, stagger=NEMO.stagger,
        wet={**faces, "rho": wet}, wall=1,
    )  # fmt: skip


def _check_mesh(files, mesh_path, shape, path) -> None:
    """InputError where the mesh file has no field of the points of the records."""
    with files.open(mesh_path) as dataset:
        shapes = {variable.shape[-2:] for variable in dataset.variables.values() if variable.ndim > 1}
    if shape not in shapes:
        raise InputError(
            f"{mesh_path}: other points than {path} ({sorted(shapes)} and {shape}); cut the mesh file to the same points"
        )


def _levels(files, source, mesh, n) -> tuple[np.ndarray, np.ndarray, bool]:
    """(depths of centres (n,), of interfaces (n + 1,), m, from the surface down; whether the file counts from the deepest up)."""
    with files.open(source.path) as dataset:
        dimension = source.dimensions[0]
        variable = dataset.variables.get(dimension)
        depth = None if variable is None else numbers(variable)
        positive = "" if variable is None else str(getattr(variable, "positive", ""))
    if depth is None or depth.size != n:
        depth = mesh.profile(CENTRES, n)
    if depth is None:
        raise InputError(
            f"{source.path}: no depths of the {n} levels ({source.dimensions[0]}, gdept_1d); give the mesh_mask file with --grid"
        )
    depth, upward = checked_depths(source.path, source.dimensions[0], depth, positive)
    above = mesh.profile(INTERFACES, n)
    if above is None or abs(above[0]) > 1e-3 or not ((above < depth).all() and (above[1:] > depth[:-1]).all()):
        return depth, interface_depths(depth), upward
    thickness = mesh.profile(("e3t_1d",), n)
    lowest = above[-1] + (thickness[-1] if thickness is not None else 2 * (depth[-1] - above[-1]))
    return depth, np.concatenate([[0.0], above[1:], [max(lowest, depth[-1] + 0.1)]]), upward


def _water(mesh, layered, cut_static, n, u, v) -> tuple[np.ndarray, bool, bool]:
    """(wet T points (n, eta, xi) from the deepest level up; whether the floor is known by it; whether from a mask)."""
    mask = layered(mesh.field(("tmask",), n))
    if mask is not None:
        return mask > 0.5, True, True
    for names in FLOOR_LEVELS:
        count = cut_static(mesh.field((names,)))
        if count is not None:
            return np.arange(n)[::-1][:, None, None] < np.nan_to_num(count)[None], True, True
    moving_u, moving_v = np.nan_to_num(u) != 0, np.nan_to_num(v) != 0
    wet = moving_u | moving_v
    wet[:, :, 1:] |= moving_u[:, :, :-1]
    wet[:, 1:] |= moving_v[:, :-1]
    wet = np.logical_or.accumulate(wet, axis=0) & wet[-1]
    return wet, False, False


def _sea_floor(mesh, cut_static, thickness, wet, interfaces, by_mask, notes) -> tuple[np.ndarray, str]:
    """(depth of the sea floor (eta, xi), m; the reason why the floor is unknown, or empty)."""
    if thickness is not None and by_mask:
        return np.where(wet[-1], np.where(wet, np.nan_to_num(thickness), 0.0).sum(axis=0), 0.0), ""
    floor = cut_static(mesh.field(FLOOR))
    by_levels = wet_depth(wet, interfaces)
    if floor is not None:
        return np.minimum(np.where(floor > 0, floor, by_levels), interfaces[0]), ""
    if by_mask:
        notes.append("no e3t in the files: cells at the sea floor are taken as whole")
        return by_levels, ""
    return by_levels, (
        "the files do not tell the depth of the sea floor (NEMO's mesh_mask goes to --grid): without it there is no vertical "
        "motion by continuity"
    )


def _first_zeta(files, series, cut, levels) -> np.ndarray:
    """(eta, xi) height of the surface in the first record, m; 0 where it is not known."""
    source, record = series["zeta"].owners[0]
    return np.nan_to_num(source.read(files, record, cut, levels))


def _follows_surface(uppermost, wet) -> bool:
    """Whether the uppermost layer (eta, xi) is not the same everywhere in the water: with a linear free surface it is."""
    values = uppermost[wet & np.isfinite(uppermost)]
    return bool(values.size and np.ptp(values) > SAME_THICKNESS * np.abs(values).max())


def _at_rest(thickness, wet, zeta) -> np.ndarray:
    """Thickness (n, eta, xi) of T cells under a surface at ``zeta`` (eta, xi), as it is under a surface at 0."""
    together = np.where(wet, np.nan_to_num(thickness), 0.0).sum(axis=0)
    return thickness * np.where(together > 0, 1 - zeta / np.where(together > 0, together, 1.0), 1.0)


def _face_thickness(files, mesh, layered, series, cut, levels, n, h, moves, wet):
    """Thickness of layers at rest at u and v points, 0 behind walls; None where the files hold none."""
    thicknesses = []
    for quantity, axis, inside in (("u", 2, np.s_[:, :, :-1]), ("v", 1, np.s_[:, :-1])):
        static = layered(mesh.field(LEVEL_THICKNESS[quantity][:1], n))
        if static is None:
            source, record = series[quantity].owners[0]
            static = _with_record(files, source, record, LEVEL_THICKNESS[quantity][1], cut, levels)
            if static is not None and moves and _follows_surface(static[-1][inside[1:]], wet[quantity][-1]):
                zeta = _first_zeta(files, series, cut, levels) * (h > 0)
                stretch = 1 + zeta / np.where(h > 0, h, 1.0)
                last = np.zeros_like(np.take(stretch, [0], axis - 1))
                beside = np.concatenate([np.diff(stretch, axis=axis - 1) / 2, last], axis - 1)
                static = static / (stretch + beside)
        if static is None:
            static = layered(mesh.field(LEVEL_THICKNESS[quantity], n))
        thicknesses.append(None if static is None else np.where(wet[quantity], np.nan_to_num(static[inside]), 0.0))
    return thicknesses


def _with_record(files, source, record, name, cut, levels):
    """One record of a layered variable in the file of a velocity; None if the file has no such variable."""
    with files.open(source.path, name) as dataset:
        variable = dataset.variables.get(name)
        if variable is None or variable.shape[-3:] != source.shape or variable.ndim != 3 + source.in_time:
            return None
        variable.set_auto_maskandscale(True)
        return decoded(cut.of(variable, (record, levels) if source.in_time else (levels,)))


def _horizontal(mesh, cut_static, lon, lat, h, sea, around, notes) -> HorizontalGrid:
    """The C-grid; metrics from the mesh, else from positions."""
    e1t, e2t = cut_static(mesh.field(("e1t",))), cut_static(mesh.field(("e2t",)))
    widths: dict[str, Any] = {}
    for name, metric, inside in (("width_u", "e2u", np.s_[:, :-1]), ("width_v", "e1v", np.s_[:-1])):
        values = cut_static(mesh.field((metric,)))
        if values is not None and e1t is not None and e2t is not None:
            widths[name] = np.ascontiguousarray(values[inside])
    lon, lat = _positions(lon, lat)
    pm, pn = metrics(lon, lat, True)
    if e1t is not None and e2t is not None:
        with np.errstate(divide="ignore"):
            pm, pn = 1 / e1t, 1 / e2t
    else:
        notes.append("no e1t, e2t in the files: cell lengths are computed from the positions of T points")
    pm, pn = (np.where(np.isfinite(metric) & (metric > 0), metric, np.median(metric[sea])) for metric in (pm, pn))
    return HorizontalGrid(
        np.where(sea, h, h[sea].min()), pm, pn, lon, lat, sea, rotation(lon, lat, True), coriolis(lat), periodic=(around, False),
        **widths,
    )


def _positions(lon, lat) -> tuple[np.ndarray, np.ndarray]:
    """Positions with those of dropped processors (0, 0) continued from the rows and columns beside."""
    lost = ((lon == 0) & (lat == 0)) | ~np.isfinite(lon) | ~np.isfinite(lat)
    if not lost.any() or lost.all():
        return lon, lat
    from scipy.ndimage import distance_transform_edt

    east, north = np.cos(np.deg2rad(lon)), np.sin(np.deg2rad(lon))
    index = distance_transform_edt(lost, return_distances=False, return_indices=True)
    rows, columns = np.indices(lost.shape)
    step_x = np.median(np.diff(np.unwrap(lon, period=360, axis=1), axis=1)[~(lost[:, 1:] | lost[:, :-1])])
    step_y = np.median(np.diff(lat, axis=0)[~(lost[1:] | lost[:-1])])
    near_lon = np.rad2deg(np.arctan2(north, east))[tuple(index)]
    lon = np.where(lost, near_lon + step_x * (columns - index[1]), lon)
    lat = np.where(lost, np.clip(lat[tuple(index)] + step_y * (rows - index[0]), -89.9, 89.9), lat)
    return lon, lat


def _cut(lon, lat, center, half_width_km, notes) -> tuple[Cut, bool]:
    """The part of the grid that is used, and whether it goes round the Earth (ORCA, its repeated columns taken out)."""
    ny, nx = lon.shape
    valid = ~((lon == 0) & (lat == 0))
    repeats = np.abs(np.mod(lon[:, :2] - lon[:, -2:] + 180, 360) - 180).max(axis=1) < SAME
    repeats &= (np.abs(lat[:, :2] - lat[:, -2:]).max(axis=1) < SAME) & valid[:, :2].all(axis=1)
    around = nx > 8 and repeats.sum() > ny // 2
    columns = nx - 2 if around else nx
    first, last, start, count = 0, ny, 0, columns
    if center is not None and np.isfinite(half_width_km):
        from data.sphere import EARTH_RADIUS_KM

        away = np.deg2rad(np.mod(lon[:, :columns] - center[0] + 180, 360) - 180)
        angle = np.sin(np.deg2rad(lat[:, :columns])) * np.sin(np.deg2rad(center[1]))
        angle = angle + np.cos(np.deg2rad(lat[:, :columns])) * np.cos(np.deg2rad(center[1])) * np.cos(away)
        near = (EARTH_RADIUS_KM * np.arccos(np.clip(angle, -1, 1)) < 1.5 * half_width_km) & valid[:, :columns]
        rows, inside = np.flatnonzero(near.any(axis=1)), np.flatnonzero(near.any(axis=0))
        if near.any() and (rows.size < 0.8 * ny or inside.size < 0.8 * columns):
            first, last = rows[0], rows[-1] + 1
            gaps = np.diff(np.append(inside, inside[0] + columns))
            if around and inside.size < columns:
                start = int(inside[(int(np.argmax(gaps)) + 1) % inside.size])
                count = columns - int(gaps.max()) + 1
            else:
                start, count = int(inside[0]), int(inside[-1] - inside[0] + 1)
            notes.append(
                f"the domain is cut to {1.5 * half_width_km:.0f} km about the site ({last - first} of {ny} rows, {count} "
                f"of {nx} columns)"
            )
    stop = start + count
    parts = [slice(start, min(stop, columns))]
    if stop > columns:
        parts.append(slice(0, stop - columns))
    whole = around and count == columns
    if whole:
        parts.append(slice(start, start + 1))
    return Cut(slice(first, last), tuple(parts)), bool(whole)
