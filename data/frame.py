"""The trap frame: a regular lattice in kilometres east and north of a site, and the way from a grid's fields to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
import scipy
from scipy.sparse import csr_array

from data.bilinear import corners
from data.errors import need

if TYPE_CHECKING:
    from data.shapes import Fields, Windows

#: Cells of the networks' inputs and of the PDFs, km (method.md sections 2 and 3).
WINDOW_SPACING_KM = 8.0
WINDOW_POINTS = 100
#: Points of a window, (y, x).
WINDOW_SHAPE = (WINDOW_POINTS, WINDOW_POINTS)
#: Half width of the window of the inputs and of the box of the PDFs, km.
HALF_WINDOW_KM = WINDOW_POINTS * WINDOW_SPACING_KM / 2


class Plane(Protocol):
    """The parts of a grid that a frame uses: of :class:`data.grid.HorizontalGrid`, or of a map's grid in degrees."""

    @property
    def mask_rho(self) -> np.ndarray: ...
    @property
    def periodic(self) -> tuple[bool, bool]: ...
    @property
    def period(self) -> tuple[int, int]: ...
    @property
    def spacing_km(self) -> float: ...
    def locate(self, x, y): ...
    def offset(self, x, y, east_km, north_km): ...


@dataclass(frozen=True, eq=False)
class Frame:
    """A lattice symmetric about its centre; lattice points are the middles of square cells that tile the plane.

    Attributes
    ----------
    center : (x, y)
        Longitude and latitude in degrees (metres on a Cartesian grid).
    spacing_km : float
    x, y : (nx,), (ny,) float64
        Coordinates of the points, km east and north of the centre.
    """

    center: tuple[float, float]
    spacing_km: float
    x: np.ndarray
    y: np.ndarray

    @classmethod
    def around(cls, center: tuple[float, float], half_width_km: float, spacing_km: float) -> Frame:
        """The square lattice of an even number of cells that covers at least +-half_width_km."""
        n = int(np.ceil(half_width_km / spacing_km - 1e-9))
        axis = (np.arange(-n, n) + 0.5) * spacing_km
        return cls((float(center[0]), float(center[1])), float(spacing_km), axis, axis.copy())

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx)"""
        return self.y.size, self.x.size

    def positions(self, grid: Plane, offset_x: float = 0.0, offset_y: float = 0.0):
        """Positions (y, x) of the points moved by an offset (km), as the grid gives positions."""
        east, north = np.meshgrid(self.x + offset_x, self.y + offset_y)
        return grid.offset(self.center[0], self.center[1], east, north)


#: Shifts of the samples within a cell up to which their weights are kept: 2 MB at the method's 100 x 100 cells and 4 shifts.
KEPT_SHIFTS = 16
#: Points by which a lattice is extended for its spline.
PAD = 12
#: Kinds of missing points of which what they need is kept (a model has one at each depth), and the most points of such a lattice:
#: 70 MB in all.
KEPT_MASKS, KEPT_POINTS = 16, 2**18
#: Samples that are taken at once: shifts of few points together, for calls would take longer than the samples.
AT_ONCE = 100_000


class Regridder:
    """Interpolates fields from rho points to the points of a frame; positions are found once for all fields.

    Where the grid is finer than the frame, each cell is the mean of m x m samples, m the ratio of the spacings. Samples are
    bicubic where all that is around them is known, else bilinear over what is known, and missing (NaN) where less than half of
    the weight is known or outside the domain.

    Parameters
    ----------
    method : "bicubic" or "linear"
        "linear": samples are bilinear everywhere.
    partial : bool
        Whether a cell with missing samples is the mean of the others, instead of missing.

    Attributes
    ----------
    shifts : int
        m x m, the samples of a cell.
    """

    def __init__(
        self,
        grid: Plane,
        frame: Frame,
        *,
        method: Literal["bicubic", "linear"] = "bicubic",
        partial: bool = False,
    ):
        need(method in ("bicubic", "linear"), f"regridding method {method!r} is unknown: give 'bicubic' or 'linear'")
        self.grid, self.frame = grid, frame
        self.method, self.partial = method, partial
        m = max(1, round(frame.spacing_km / grid.spacing_km))
        shifts = ((np.arange(m) + 0.5) / m - 0.5) * frame.spacing_km
        # all samples at once: where some lie outside the domain, the search takes as long for a few as for many
        sampled = [frame.positions(grid, dx, dy) for dy in shifts for dx in shifts]
        xi, eta = grid.locate(*(np.stack([position[axis] for position in sampled]) for axis in (0, 1)))
        px, py = grid.period
        self.shifts = m * m
        xi, eta = xi.reshape(self.shifts, -1), eta.reshape(self.shifts, -1)
        together = max(1, AT_ONCE // xi.shape[1])
        self._places = []
        for first in range(0, self.shifts, together):
            inside = np.isfinite(xi[first : first + together])
            x, y = (axis[first : first + together][inside] for axis in (xi, eta))
            self._places.append((inside, np.mod(x, px) if px else x, np.mod(y, py) if py else y))
        self._kept: dict[int, tuple[csr_array, np.ndarray]] = {}
        self._masks: dict[bytes, _Around] = {}

    def __call__(self, field: np.ndarray) -> np.ndarray:
        """(eta, xi) with NaN where missing -> (y, x) float32."""
        missing = ~(np.isfinite(field) & self.grid.mask_rho)
        filled = np.where(missing, 0.0, np.asarray(field, np.float64))
        sample = None if self.method == "linear" else self._bicubic(filled, missing)
        total = np.zeros(self.frame.x.size * self.frame.y.size)
        counts = np.zeros(total.size, np.int64)
        for number, (inside, x, y) in enumerate(self._places):
            values, known = self._linear(number, filled, missing) if sample is None else sample(x, y)
            if not inside.all():
                values, known = _placed(values, inside), _placed(known, inside)
            for one in values.reshape(inside.shape):  # (shift, point)
                total += one
            counts += known.reshape(inside.shape).sum(axis=0)
        enough = counts > 0 if self.partial else counts == self.shifts
        mean = np.where(enough, total / np.maximum(counts, 1), np.nan)
        return mean.reshape(self.frame.shape).astype(np.float32)

    def _linear(self, number: int, filled: np.ndarray, missing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Bilinear samples of some shifts, and which are known; weights are kept for the next field where shifts are few."""
        kept = self._kept.get(number)
        if kept is None:
            weights = _corner_weights(*self._places[number][1:], filled.shape)
            kept = weights, weights @ np.ones(filled.size)
            if self.shifts <= KEPT_SHIFTS:
                self._kept[number] = kept
        weights, whole = kept
        total = weights @ filled.ravel()
        return _mean_known(total, _known(weights, missing) if missing.any() else whole)

    def _bicubic(self, filled, missing):
        """Sampler (x, y) -> values of the cubic spline, or of bilinear interpolation near missing points, and which are known."""
        wrap_xi, wrap_eta = self.grid.periodic
        around = self._around(missing) if missing.any() else None
        filled_cubic = filled
        if around is not None and not missing.all():
            filled_cubic = _images(filled, PAD, wrap_xi, wrap_eta)[0][around.nearest][around.core]
        # a halo of the periodic image, or of the edge itself, so that one spline serves every domain
        padded = _halo(filled_cubic, PAD, wrap_xi, wrap_eta)
        coefficients = scipy.ndimage.spline_filter(padded, order=3, mode="mirror")

        def sample(x, y):
            values = scipy.ndimage.map_coordinates(coefficients, [y + PAD, x + PAD], order=3, prefilter=False, mode="mirror")
            known = np.ones(values.shape, bool)
            if around is not None:
                close, weights, weight = around.beside(x, y, missing, keep=len(self._places) == 1)
                values[close], known[close] = _mean_known(weights @ filled.ravel(), weight)
            return values, known

        return sample

    def _around(self, missing: np.ndarray) -> _Around:
        """What the next fields with the same missing points share with this one."""
        if missing.size > KEPT_POINTS:
            return _Around.of(missing, self.grid.periodic)
        name = missing.tobytes()
        around = self._masks.get(name)
        if around is None:  # threads may find one at once, or drop one that another has just found
            around = _Around.of(missing, self.grid.periodic)
            while len(self._masks) >= KEPT_MASKS:
                self._masks.pop(next(iter(list(self._masks))), None)
            self._masks[name] = around
        return around


@dataclass(eq=False)
class _Around:
    """Where points are missing, and what is done about it.

    Attributes
    ----------
    near : (eta, xi) bool
        Where the spline is not used.
    nearest : two (wide eta, wide xi) int arrays
        The nearest known point of each, on the lattice with its periodic images beside.
    core : two slices
        That cut the lattice out of the wide one.
    """

    near: np.ndarray
    nearest: tuple[np.ndarray, ...]
    core: tuple[slice, slice]
    _beside: tuple[np.ndarray, csr_array, np.ndarray] | None = None

    @classmethod
    def of(cls, missing: np.ndarray, periodic: tuple[bool, bool]) -> _Around:
        # with the periodic images beside, so that missing points across the seam count as near
        wide, core = _images(missing, PAD, *periodic)
        near = scipy.ndimage.maximum_filter(wide, size=5, mode="nearest")[core]
        return cls(near, _nearest_known(wide), core)

    def beside(self, x: np.ndarray, y: np.ndarray, missing: np.ndarray, *, keep: bool):
        """Which samples (x, y) lie near missing points; their bilinear weights, and the weight of their known corners.

        ``keep``: for the next field, whose samples are the same.
        """
        found = self._beside
        if found is None:
            close = self.near[np.rint(y).astype(int), np.rint(x).astype(int)]
            weights = _corner_weights(x[close], y[close], missing.shape)
            found = close, weights, _known(weights, missing)
            if keep:
                self._beside = found
        return found


def _halo(field: np.ndarray, pad: int, wrap_xi: bool, wrap_eta: bool) -> np.ndarray:
    """Extend by ``pad`` points: the periodic image (last point = first), else odd reflection, which keeps slopes."""
    for axis, wrap in ((0, wrap_eta), (1, wrap_xi)):
        n = field.shape[axis]
        width = min(pad, n - 1)
        if wrap:
            index = np.mod(np.arange(-pad, n + pad), n - 1)
            field = np.take(field, index, axis=axis)
        else:
            before, after = [(0, 0), (0, 0)], [(0, 0), (0, 0)]
            before[axis] = (width, width)
            after[axis] = (pad - width, pad - width)
            field = np.pad(np.pad(field, before, mode="reflect", reflect_type="odd"), after, mode="edge")
    return field


def _images(field: np.ndarray, pad: int, wrap_xi: bool, wrap_eta: bool) -> tuple[np.ndarray, tuple[slice, slice]]:
    """``field`` with ``pad`` points of its image on either side of each periodic axis, and slices that cut ``field`` out."""
    core = [slice(None), slice(None)]
    for axis, wrap in ((0, wrap_eta), (1, wrap_xi)):
        n = field.shape[axis]
        if wrap:
            field = np.take(field, np.mod(np.arange(-pad, n + pad), n - 1), axis=axis)
            core[axis] = slice(pad, pad + n)
    return field, (core[0], core[1])


def fill_nearest(field: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """(y, x) with the nearest known value where there is none; 0 where none is known."""
    return np.zeros_like(field) if missing.all() else field[_nearest_known(missing)]


def _nearest_known(missing: np.ndarray) -> tuple[np.ndarray, ...]:
    """(row, column) of the nearest known point of each."""
    return tuple(scipy.ndimage.distance_transform_edt(missing, return_distances=False, return_indices=True))


def _corner_weights(x: np.ndarray, y: np.ndarray, shape: tuple[int, int]) -> csr_array:
    """(sample, cell) bilinear weights of the corners about index coordinates (sample,)."""
    rows, columns, weights = (np.stack(parts, axis=1) for parts in zip(*corners(x, y, shape), strict=True))
    first = np.arange(0, weights.size + 1, weights.shape[1])
    cells = rows * shape[1] + columns
    if max(weights.size, shape[0] * shape[1]) < 2**31:  # half of the memory to go through
        cells, first = cells.astype(np.int32), first.astype(np.int32)
    return csr_array((weights.ravel(), cells.ravel(), first), shape=(x.size, shape[0] * shape[1]))


def _known(weights: csr_array, missing: np.ndarray) -> np.ndarray:
    """(sample,) weight of the corners that are known."""
    return weights @ (~missing).ravel().astype(np.float64)


def _mean_known(total: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean over the known corners, of their weighted sum and their weight, 0 where that is below a half; and where it is not."""
    known = weight >= 0.5
    return total / np.maximum(weight, 0.5) * known, known


def _placed(values: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """An array of zeros that holds ``values`` where ``inside``."""
    whole = np.zeros(inside.shape, values.dtype)
    whole[inside] = values
    return whole


def window_offsets() -> np.ndarray:
    """(100,) km from the trap of the points of an input window: -396, -388, ... 396."""
    return (np.arange(WINDOW_POINTS) - (WINDOW_POINTS - 1) / 2) * WINDOW_SPACING_KM


def cut_window(field: Fields, frame: Frame, offset_x: float, offset_y: float) -> Windows:
    """The 100 x 100 window of 8 km around a trap ``offset`` km east and north of the frame's centre.

    field: (..., y, x) on the frame, spacing a divisor of 8 km. Each point is the mean of the lattice cells of its 8 km square:
    exact where the offset is a multiple of the spacing, else cubic between lattice points. Missing where the frame ends or
    where a value is missing. Returns (..., 100, 100) float32.
    """
    fold = round(WINDOW_SPACING_KM / frame.spacing_km)
    inside = (np.arange(fold) + 0.5) * frame.spacing_km - WINDOW_SPACING_KM / 2
    points_x = ((window_offsets()[:, None] + inside).ravel() + offset_x - frame.x[0]) / frame.spacing_km
    points_y = ((window_offsets()[:, None] + inside).ravel() + offset_y - frame.y[0]) / frame.spacing_km
    flat = field.reshape(-1, *field.shape[-2:])
    rows, columns = (
        _weights(points, n).reshape(WINDOW_POINTS, fold, n).mean(axis=1)
        for points, n in ((points_y, frame.y.size), (points_x, frame.x.size))
    )
    if all(np.isfinite(values).all() for values in (rows, columns, flat)):
        out = np.einsum("iy,nyx,jx->nij", rows, flat, columns, optimize=True)
    else:
        out = _with_missing(rows, flat, columns)
    return out.reshape(*field.shape[:-2], WINDOW_POINTS, WINDOW_POINTS).astype(np.float32)


def _with_missing(rows: np.ndarray, flat: np.ndarray, columns: np.ndarray) -> np.ndarray:
    finite = np.isfinite(flat)
    outside = ~np.isfinite(rows).all(axis=1)[:, None] | ~np.isfinite(columns).all(axis=1)[None, :]
    rows, columns = np.nan_to_num(rows), np.nan_to_num(columns)
    values = np.einsum("iy,nyx,jx->nij", rows, np.where(finite, flat, 0.0), columns, optimize=True)
    gaps = np.einsum("iy,nyx,jx->nij", np.abs(rows), (~finite).astype(np.float64), np.abs(columns), optimize=True)
    return np.where((gaps > 1e-9) | outside, np.nan, values)


def cubic_kernels(f: np.ndarray) -> list[np.ndarray]:
    """Weights of the points at -1, 0, 1, 2 for places f past point 0 (Keys 1981, doi:10.1109/TASSP.1981.1163711, a = -1/2)."""
    return [
        -0.5 * f + f**2 - 0.5 * f**3,
        1 - 2.5 * f**2 + 1.5 * f**3,
        0.5 * f + 2 * f**2 - 1.5 * f**3,
        -0.5 * f**2 + 0.5 * f**3,
    ]


def _weights(points: np.ndarray, n: int) -> np.ndarray:
    """(points, n) cubic convolution weights; NaN rows outside."""
    matrix = np.zeros((points.size, n))
    base = np.floor(points + 1e-9).astype(int)
    f = np.clip(points - base, 0.0, 1.0)
    aligned = f < 1e-9
    kernels = cubic_kernels(f)
    for row in range(points.size):
        if aligned[row]:
            if 0 <= base[row] < n:
                matrix[row, base[row]] = 1.0
            else:
                matrix[row] = np.nan
            continue
        columns = base[row] + np.arange(-1, 3)
        if columns[1] < 0 or columns[2] > n - 1:
            matrix[row] = np.nan
            continue
        for column, kernel in zip(np.clip(columns, 0, n - 1), kernels, strict=True):
            matrix[row, column] += kernel[row]
    return matrix
