"""POP, MITgcm and MOM6 in their own layouts: where each puts its velocities, metrics and masks is a table.

All are brought to the kernel's C-grid. POP's B-grid gives its faces the mean of their two corners, weighted by the corners'
widths, which is the flux that POP itself computes (Smith et al. 2010, The Parallel Ocean Program reference manual).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from data.errors import InputError
from data.grid import HorizontalGrid
from data.handles import Handles
from data.ocean import Preferences
from data.spherical_defaults import coriolis, metrics, rotation
from data.vertical import ZCoordinate
from data.zlevel.files import numbers
from data.zlevel.levels import checked_depths, interface_depths, wet_depth
from data.zlevel.names import LENGTHS, MODELS, Model
from data.zlevel.nemo import _cut
from data.zlevel.ocean import ZLevelOcean, on_kernel_points
from data.zlevel.places import Places, check_axes
from data.zlevel.series import gather


@dataclass(frozen=True)
class Table:
    """Names of the static variables of a model, each in order of preference.

    Attributes
    ----------
    longitude, latitude : of T points, two-dimensional or along one axis each
    centres : depths of layer centres (else the coordinate of u's levels)
    thickness : of layers, one value each
    count : number of wet levels of a column
    floor : depth of the sea floor
    open_share : of a T cell, of the face u passes, of the face v passes: 1 whole, 0 closed
    sea : 1 at T points in the sea
    dx, dy : lengths of T cells
    area : of T cells, m2
    width_u, width_v : lengths of the faces
    corner_dy, corner_dx : lengths that a B-grid weighs its corners by
    """

    longitude: tuple[str, ...]
    latitude: tuple[str, ...]
    centres: tuple[str, ...] = ()
    thickness: tuple[str, ...] = ()
    count: tuple[str, ...] = ()
    floor: tuple[str, ...] = ()
    open_share: tuple[str, str, str] | None = None
    sea: tuple[str, ...] = ()
    dx: tuple[str, ...] = ()
    dy: tuple[str, ...] = ()
    area: tuple[str, ...] = ()
    width_u: tuple[str, ...] = ()
    width_v: tuple[str, ...] = ()
    corner_dy: tuple[str, ...] = ()
    corner_dx: tuple[str, ...] = ()


TABLES = {
    "pop": Table(
        ("TLONG", "TLON"), ("TLAT",), centres=("z_t",), thickness=("dz",), count=("KMT",), floor=("HT",), dx=("DXT",),
        dy=("DYT",), area=("TAREA",), width_u=("HTE",), width_v=("HTN",), corner_dy=("DYU",), corner_dx=("DXU",),
    ),
    "mitgcm": Table(
        ("XC",), ("YC",), centres=("RC", "Z"), thickness=("drF",), floor=("Depth",), open_share=("hFacC", "hFacW", "hFacS"),
        dx=("dxF",), dy=("dyF",), area=("rA", "rAc"), width_u=("dyG",), width_v=("dxG",),
    ),
    "mom6": Table(
        ("geolon", "geolon_t"), ("geolat", "geolat_t"), centres=("z_l",), floor=("deptho", "depth_ocean"), sea=("wet",),
        dx=("dxt", "dxT"), dy=("dyt", "dyT"), area=("areacello", "area_t"), width_u=("dyCu", "dy_cu"), width_v=("dxCv", "dx_cv"),
    ),
}  # fmt: skip
#: Largest relative rounding error of a depth in single precision.
ROUNDED = 1e-5
#: Squares of lengths, and what multiplies them.
AREAS = {"cm2": 1e-4, "cm^2": 1e-4, "centimeter^2": 1e-4, "cm**2": 1e-4, "square centimeters": 1e-4}


class _Static:
    """Static variables of the grid file and of the files of the records after it, in m and m2, in the order of the files."""

    def __init__(self, files: Handles, paths: list[str]):
        self._files, self._paths = files, paths

    def find(self, names, shape: tuple[int, ...], spare: int = 0) -> np.ndarray | None:
        """The first variable of a shape, float64; along its last two axes it may be longer by ``spare`` (cut at its end)."""
        for name in names:
            for path in self._paths:
                with self._files.open(path) as dataset:
                    variable = dataset.variables.get(name)
                    if variable is None or variable.ndim < len(shape):
                        continue
                    values = numbers(variable)
                    unit = str(getattr(variable, "units", "")).lower()
                    values = values * AREAS.get(unit, LENGTHS.get(unit, 1.0) if unit != "1" else 1.0)
                sizes, lead = values.shape[-len(shape) :], values.shape[: -len(shape)]
                if any(size != 1 for size in lead) or not all(0 <= a - b <= spare for a, b in zip(sizes, shape, strict=True)):
                    continue
                return values.reshape(sizes)[tuple(slice(0, size) for size in shape)]
        return None

    def positions(self, table: Table) -> tuple[np.ndarray, np.ndarray] | None:
        """(longitude, latitude) of T points, both (eta, xi)."""
        for path in self._paths:
            with self._files.open(path) as dataset:
                pair = [next((n for n in names if n in dataset.variables), None) for names in (table.longitude, table.latitude)]
                if None in pair:
                    continue
                lon, lat = (np.squeeze(numbers(dataset.variables[name])) for name in pair if name is not None)
            if lon.ndim == lat.ndim == 1:
                lon, lat = np.meshgrid(lon, lat)
            if lon.ndim == 2 and lon.shape == lat.shape:
                return lon, lat
        return None


def weighted_corners(u, v, weights, stagger) -> tuple[np.ndarray, np.ndarray]:
    """Corners (n, eta, xi) to faces as the model's own fluxes have them; weights: of corners and faces for u and v, and where
    corners are dry (n, eta, xi): land is 0 there."""
    along_u, along_v, face_u, face_v, dry = weights
    u, v = (np.where(dry & np.isnan(field), np.float32(0), field) for field in (u, v))
    u, v = on_kernel_points(u * along_u, v * along_v, stagger)
    return (u / face_u).astype(np.float32), (v / face_v).astype(np.float32)


def open_table(family, files, names, grid, time_label, origin, allow_gaps, center, half_width_km) -> ZLevelOcean:
    """Open files of a model of the tables as one ocean; see :func:`data.zlevel.open.open_zlevel`."""
    from data.zlevel.open import described, note_unknown, timed

    model, table = MODELS[family], TABLES[family]
    notes: list[str] = []
    paths = [*([str(Path(grid).expanduser())] if grid is not None else []), *names]
    static = _Static(files, paths)
    positions = static.positions(table)
    if positions is None:
        raise InputError(
            f"{paths[0]}: no positions of {model.title}'s T points ({table.longitude[0]}, {table.latitude[0]}); give the file "
            "with the grid to --grid"
        )
    lon, lat = positions
    shape = lon.shape
    staggers = {}

    places = Places(table.longitude, table.latitude, {})

    def check(dataset, source, quantity) -> None:
        """All quantities fit the grid; velocities may have a face more than cells along their axis."""
        more = np.subtract(source.shape[-2:], shape)
        if ((more != 0) & (more != 1)).any() or (more.any() and model.stagger == "corner"):
            raise InputError(
                f"{source.path}: {source.name} has {source.shape[-2:]} points, the grid {shape}; cut both to the same points"
            )
        staggers[source.name] = bool(more.any())
        places.add(dataset, source, quantity)

    series = gather(files, names, model, origin, notes, check)
    source, _ = series["u"].owners[0]
    path, n = source.path, source.shape[0]
    bad = ~(np.isfinite(lon) & np.isfinite(lat))
    if bad.any():
        raise InputError(
            f"{paths[0]}: {np.count_nonzero(bad)} T points have no position; give a grid file whose positions are complete, on "
            "land too"
        )
    # with a face more than cells, the first is the one before the first cell
    with_more = staggers[source.name]
    if with_more != staggers[series["v"].owners[0][0].name]:
        raise InputError(f"{path}: u has a face more than cells and v has not, or the reverse; cut both alike")
    stagger = "left" if with_more else model.stagger
    places.check(lon, lat)
    if stagger != "corner":
        check_axes(source, series["v"].owners[0][0], lambda velocity: files.open(velocity.path), stagger)
    cut, around = _cut(lon, lat, center, half_width_km, notes)
    cut_static = cut.of_static
    centres, interfaces, upward = _levels(files, source, static, table, n)
    levels = slice(None) if upward else slice(None, None, -1)
    layers = interfaces[::-1]  # from the deepest up, as everything that follows
    order = lambda field: field if upward else field[::-1]

    def shared(name, spare=1):
        values = static.find((name,), (n, *shape), spare)
        return None if values is None else np.nan_to_num(cut_static(order(values)))

    wet, h, unknown = _water(static, table, shared, cut_static, layers, n, shape, paths[0], model, notes)
    sea = wet[-1]
    if not sea.any():
        raise InputError(f"{path}: every point is land")
    lon, lat = cut_static(lon), cut_static(lat)
    at = lambda name: None if (values := static.find(name, shape, 1)) is None else cut_static(values)
    horizontal = _horizontal(table, at, stagger, lon, lat, h, sea, around, notes, model)
    thickness = [None, None]
    if table.open_share is not None:
        whole = (layers[:-1] - layers[1:])[:, None, None]
        shares = [shared(name) for name in table.open_share[1:]]
        if shares[0] is not None and shares[1] is not None:
            thickness = [whole * share for share in on_kernel_points(shares[0], shares[1], stagger)]
    faces = {"u": wet[:, :, :-1] & wet[:, :, 1:], "v": wet[:, :-1] & wet[:, 1:], "rho": wet}
    for name, thick in zip("uv", thickness, strict=True):
        if thick is not None:
            faces[name] = faces[name] & (thick > 0)
    if table.sea:  # land is missing in such files, and so are cells that the floor leaves next to nothing of
        for name, owned in series.items():
            if name in ("u", "v", "temp"):
                water = owned.known_in_first(files, cut, levels)
                water = water if name == "temp" else dict(zip("uv", on_kernel_points(water, water, stagger), strict=True))[name]
                faces[name] = faces.get(name, wet) & water
    to_faces = None
    if stagger == "corner":
        down = layers[:, None, None]
        cells = None if _whole(wet, h, layers) else wet * np.maximum(np.minimum(down[:-1], h) - down[1:], 0.0)
        weights, thickness = _weights(at, table, horizontal, wet, cells, notes)
        to_faces = partial(weighted_corners, weights=weights, stagger=stagger)
        for name, at_faces in zip("uv", thickness, strict=True):
            if at_faces is not None:  # where both corners of a face are closed, so is the face between two wet cells
                faces[name] = faces[name] & (at_faces > 0)
    notes.append(f"{model.title}: velocities are taken along the axes of its own grid, levels as fixed")
    note_unknown(series, unknown, notes)
    times = timed(series, time_label, allow_gaps, notes)
    return ZLevelOcean(
        horizontal, ZCoordinate(-centres[::-1], -layers, False, *thickness), times, series,
        described(family, model, names, grid, notes, times, levels=n), Preferences(no_continuity=unknown), files=files, cut=cut,
        levels=levels, stagger=stagger, wet=faces, wall=1, to_faces=to_faces,
    )  # fmt: skip


def _levels(files, source, static: _Static, table: Table, n: int) -> tuple[np.ndarray, np.ndarray, bool]:
    """(depths of centres (n,), of interfaces (n + 1,), m, from the surface down; whether the file counts from the deepest up)."""
    depth = static.find((source.dimensions[0], *table.centres), (n,))
    if depth is None:
        raise InputError(f"{source.path}: no depths of the {n} levels ({source.dimensions[0]}); give the grid file with --grid")
    depth, upward = checked_depths(source.path, source.dimensions[0], depth)
    thickness = static.find(table.thickness, (n,))
    if thickness is None:
        return depth, interface_depths(depth), upward
    interfaces = np.concatenate([[0.0], np.cumsum(thickness[::-1] if upward else thickness)])
    if not ((interfaces[:-1] < depth) & (depth < interfaces[1:])).all():
        raise InputError(f"{source.path}: thicknesses of layers ({table.thickness[0]}) do not fit the depths of their centres")
    return depth, interfaces, upward


def _water(static, table, shared, cut_static, layers, n, shape, path, model: Model, notes):
    """(wet T cells (n, eta, xi) from the deepest up; depth of the sea floor (eta, xi), m; why the floor is unknown, or empty)."""
    count = static.find(table.count, shape)
    if count is not None:
        wet = np.arange(n)[::-1][:, None, None] < np.nan_to_num(cut_static(count))[None]
        whole = wet_depth(wet, layers)
        floor = static.find(table.floor, shape)
        if floor is None:
            notes.append(
                f"{model.title}: no depth of the sea floor ({table.floor[0]}) in the files, bottom cells are taken as whole; a "
                "run with partial bottom cells would be wrong next to its sea floor"
            )
            return wet, whole, ""
        floor, sea = np.nan_to_num(cut_static(floor)), wet.any(axis=0)
        above = np.append(layers, 0.0)[np.minimum(np.argmax(wet, axis=0) + 1, n)]  # top of the last wet cell
        outside = sea & ((floor <= above) | (floor > whole + ROUNDED * np.maximum(whole, 1.0)))
        if outside.any():
            eta, xi = np.argwhere(outside)[0]
            raise InputError(
                f"{path}: {table.floor[0]} is {floor[eta, xi]:g} m at (eta, xi) = ({eta}, {xi}), where {table.count[0]} puts the "
                f"sea floor between {above[eta, xi]:g} and {whole[eta, xi]:g} m; both must be of one grid"
            )
        return wet, np.where(sea, np.minimum(floor, whole), 0.0), ""
    share = shared(table.open_share[0]) if table.open_share else None
    if share is not None:
        h = ((layers[:-1] - layers[1:])[:, None, None] * share).sum(axis=0)
        return share > 0, h, ""
    floor = static.find(table.floor, shape)
    if floor is None:
        needed = ", ".join((*table.count, *(table.open_share or ())[:1], *table.floor))
        raise InputError(f"{path}: nothing tells land and sea floor of {model.title} ({needed}); give its grid file to --grid")
    floor = np.nan_to_num(cut_static(floor))
    sea = static.find(table.sea, shape)
    floor = np.where((floor > 0) & (True if sea is None else np.nan_to_num(cut_static(sea)) > 0.5), floor, 0.0)
    # a level is water where its top lies above the floor
    return layers[1:][:, None, None] < floor[None], np.minimum(floor, layers[0]), ""


def _horizontal(table, at, stagger, lon, lat, h, sea, around, notes, model) -> HorizontalGrid:
    dx, dy, area = at(table.dx), at(table.dy), at(table.area)
    pm, pn = metrics(lon, lat, True)
    if dx is not None and dy is not None:
        if area is not None:  # fluxes are shared out over the model's own area
            dy = area / np.where(dx > 0, dx, np.nan)
        with np.errstate(divide="ignore", invalid="ignore"):
            pm, pn = 1 / dx, 1 / dy
    else:
        notes.append(f"no {table.dx[0]}, {table.dy[0]} in the files: cell lengths are computed from the positions of T points")
    pm, pn = (np.where(np.isfinite(metric) & (metric > 0), metric, np.median(metric[sea])) for metric in (pm, pn))
    widths: dict[str, Any] = {}
    width_u, width_v = at(table.width_u), at(table.width_v)
    if width_u is not None and width_v is not None and dx is not None:
        inside = {"left": (np.s_[:, 1:], np.s_[1:])}.get(stagger, (np.s_[:, :-1], np.s_[:-1]))
        widths = {"width_u": np.ascontiguousarray(width_u[inside[0]]), "width_v": np.ascontiguousarray(width_v[inside[1]])}
    return HorizontalGrid(
        np.where(sea, h, h[sea].min()), pm, pn, lon, lat, sea, rotation(lon, lat, True), coriolis(lat), periodic=(around, False),
        **widths,
    )


def _whole(wet, h, layers) -> bool:
    """Whether every column ends at an interface: no partial cells."""
    return bool(np.allclose(h, wet_depth(wet, layers), rtol=ROUNDED, atol=1e-3))


def _weights(at, table, grid: HorizontalGrid, wet, cells, notes):
    """(weights of :func:`weighted_corners`, thickness of layers at u and v points or None where cells are whole).

    cells: thickness of T cells (n, eta, xi), m, 0 on land, or None. A corner is as thick as the thinnest of its four cells, as in
    POP (DZU of Smith et al. 2010), and a face takes the flux of its two corners.
    """
    along_u, along_v = at(table.corner_dy), at(table.corner_dx)
    dry = ~wet
    dry[:, :, :-1] |= ~wet[:, :, 1:]
    dry[:, :-1] |= dry[:, 1:]
    width_u, width_v = grid.width_u, grid.width_v
    if along_u is None or along_v is None or width_u is None:
        notes.append(f"no {table.corner_dy[0]}, {table.corner_dx[0]} in the files: the two corners of a face count alike")
        along_u = along_v = np.ones(grid.shape, np.float32)
        width_u = width_v = np.ones(1, np.float32)
    along_u, along_v = along_u.astype(np.float32), along_v.astype(np.float32)
    if cells is None:
        return (along_u, along_v, width_u, width_v, dry), (None, None)
    corners = cells.astype(np.float32)
    corners[:, :, :-1] = np.minimum(corners[:, :, :-1], corners[:, :, 1:])
    corners[:, :-1] = np.minimum(corners[:, :-1], corners[:, 1:])
    lengths = on_kernel_points(along_u[None], along_v[None], "corner")
    thickness = [part / length for part, length in zip(
        on_kernel_points(corners * along_u, corners * along_v, "corner"), lengths, strict=True)]  # fmt: skip
    through = [np.where(thick > 0, thick * width, np.inf) for thick, width in zip(thickness, (width_u, width_v), strict=True)]
    return (corners * along_u, corners * along_v, *through, dry), tuple(thickness)
