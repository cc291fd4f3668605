"""Whether the flow of an ocean conserves mass, and moves as fast as its surface slopes say: looked at in a few records."""

from __future__ import annotations

import numpy as np

from data.errors import InputError
from data.ocean import Ocean, Snapshot, preferences_of
from data.vertical import ZCoordinate

#: Shares of the record whose snapshots are looked at; a run's identity samples others.
LOOKED_AT = (0.1, 0.4, 0.9)
#: The free surface moves by its usual departure in this time at the fastest, s: a tide of twelve hours takes 7000 s.
SURFACE_TIME = 1800.0
#: Largest rounding of a velocity, m/s: files hold velocities in steps of up to a millimetre per second.
ROUNDING = 1e-3
#: Largest imbalance from averaging u and zeta separately, m/s.
FLOOR = 2e-5
#: A flow that misses the balance by this factor is refused; a flow that misses it by a smaller factor above 1 gets a note.
REFUSED = 3.0
#: Rows that are looked at together: a few layers' thicknesses in memory at a time.
ROWS = 64
#: Too few points to tell.
FEW = 16
#: A note tells of surface speeds this many times too fast or too slow for geostrophic balance (median over the deep sea).
FAR_FROM_GEOSTROPHY = 5.0
#: A note tells of a correlation of surface flow and geostrophic flow below this: zeta or the flow has the other sign.
AGAINST_GEOSTROPHY = -0.5
#: The same on points that u and v share, where one may stand for the other: their correlation is then next to 0.
APART_FROM_GEOSTROPHY = 0.2
#: A note tells of a mean height of the free surface beyond this, m: zeta and h are measured from different zeros.
FAR_FROM_ZERO = 5.0
#: A note tells of a larger share of sea points that never move: the mask is not the run's own.
STILL = 0.005
GRAVITY = 9.81


def surface_motion(ocean: Ocean, snapshot: Snapshot) -> np.ndarray:
    """Vertical velocity of the free surface by continuity: minus the divergence of the flow through whole columns.

    Parameters
    ----------
    ocean : Ocean
        On a C-grid.
    snapshot : Snapshot

    Returns
    -------
    (eta, xi) float64
        m/s, positive up; NaN where a face is missing (edge of the domain), where a point or its neighbour is land.
    """
    grid = ocean.grid
    ny, nx = grid.shape
    sea = grid.mask_rho
    on_levels = isinstance(ocean.vertical, ZCoordinate)
    along_xi, along_eta = _transports_on_levels(ocean, snapshot) if on_levels else _transports(ocean, snapshot)
    out = np.full((ny, nx), np.nan)
    inside = np.s_[1:-1, 1:-1]
    out[inside] = -(grid.pm * grid.pn)[inside] * (np.diff(along_xi, axis=1)[1:-1] + np.diff(along_eta, axis=0)[:, 1:-1])
    inside_sea = sea.copy()
    inside_sea[inside] &= sea[:-2, 1:-1] & sea[2:, 1:-1] & sea[1:-1, :-2] & sea[1:-1, 2:]
    return np.where(inside_sea, out, np.nan)


def _transports(ocean, snapshot) -> tuple[np.ndarray, np.ndarray]:
    """Through whole columns of faces of terrain-following levels, m3/s: (eta, xi - 1) along xi, (eta - 1, xi) along eta."""
    grid = ocean.grid
    ny, nx = grid.shape
    along_xi, along_eta = np.zeros((ny, nx - 1)), np.zeros((ny - 1, nx))
    h = grid.land_filled.h
    for first in range(0, ny, ROWS):
        rows = slice(first, min(first + ROWS + 1, ny))
        thickness = ocean.vertical.layer_thickness(h[rows], snapshot.zeta[rows])
        across = (thickness[:, :, 1:] + thickness[:, :, :-1]) / 2
        along_xi[rows] = (across * snapshot.u[:, rows]).sum(axis=0) * 2 / (grid.pn[rows, 1:] + grid.pn[rows, :-1])
        across = (thickness[:, 1:] + thickness[:, :-1]) / 2
        faces = slice(rows.start, rows.stop - 1)
        along_eta[faces] = (across * snapshot.v[:, faces]).sum(axis=0) * 2 / (grid.pm[rows][1:] + grid.pm[rows][:-1])
    return along_xi, along_eta


def _transports_on_levels(ocean, snapshot) -> tuple[np.ndarray, np.ndarray]:
    """As :func:`_transports`, of z-levels: through the faces' own thickness where files have it, else the shallower cell's."""
    grid, vertical = ocean.grid, ocean.vertical
    sea = grid.mask_rho
    h = np.where(sea, grid.h, grid.h[sea].min())
    stretch = vertical.stretch(h, np.asarray(snapshot.zeta, np.float64))
    transports = []
    along_xi = (snapshot.u, vertical.thickness_u, grid.width_u, grid.pn, 1)
    along_eta = (snapshot.v, vertical.thickness_v, grid.width_v, grid.pm, 0)
    for velocity, own_thickness, width, metric, axis in (along_xi, along_eta):
        lower, upper = (slice(None), slice(None, -1)), (slice(None), slice(1, None))
        before, after = (lower, upper) if axis else (lower[::-1], upper[::-1])
        least = np.minimum(h[before], h[after])
        thickness = vertical.layer_thickness(least, np.zeros_like(least)) if own_thickness is None else own_thickness
        width = 2 / (metric[before] + metric[after]) if width is None else width
        open_faces = (sea[before] & sea[after]) * 0.5 * (stretch[before] + stretch[after]) * width
        transports.append((thickness * velocity).sum(axis=0, dtype=np.float64) * open_faces)
    return transports[0], transports[1]


def look(ocean: Ocean) -> list[str]:
    """Look at the flow in a few records.

    On an A-grid, and where the sea floor is not known, the balance of mass is not looked at: it does not hold exactly there. On
    z-levels a flow that misses it is told and not refused: cells that the floor cuts may be known to the model alone.

    Returns
    -------
    list of str
        Notes for the user.

    Raises
    ------
    InputError
        If the flow does not conserve mass by far.
    """
    indices = sorted({int(share * len(ocean.times)) for share in LOOKED_AT})
    read = getattr(ocean, "sample", ocean.snapshot)
    balanced = ocean.grid.stagger == "C" and not preferences_of(ocean).no_continuity
    zeta, motion, speeds, fastest, still = [], [], [], 0.0, ocean.grid.mask_rho.copy()
    for index in indices:  # one at a time: snapshots may be large
        snapshot = read(index)
        zeta.append(snapshot.zeta)
        if balanced:
            motion.append(surface_motion(ocean, snapshot))
        speeds.append(_surface_speeds(ocean, snapshot))
        fastest = max(fastest, float(np.abs(snapshot.u).max()), float(np.abs(snapshot.v).max()))
        still &= _still(snapshot)
        del snapshot
    if fastest == 0:
        raise InputError(
            f"{_file(ocean, indices[0])}u and v are 0 everywhere in the sea in records {', '.join(map(str, indices))} (counted "
            "from 0 over all files): does mask_rho mark the sea by 1, and was the run written?"
        )
    notes = [*_mass(ocean, indices, np.stack(zeta), motion), *_speeds(speeds, shared=ocean.grid.stagger == "A")]
    mean = float(np.mean(np.stack(zeta)[:, ocean.grid.mask_rho]))
    if abs(mean) > FAR_FROM_ZERO:
        notes.append(f"zeta is {mean:.3g} m on the mean: depths are counted from z = 0, which may not be the surface of the sea")
    if np.count_nonzero(still) > STILL * np.count_nonzero(ocean.grid.mask_rho):
        notes.append(
            f"at {np.count_nonzero(still)} of {np.count_nonzero(ocean.grid.mask_rho)} points of the sea nothing ever moves: is "
            "this land that mask_rho does not mark?"
        )
    return notes


def _still(snapshot):
    """(eta, xi) bool: where no face of a rho point has any flow at any level."""
    u, v = (snapshot.u != 0).any(axis=0), (snapshot.v != 0).any(axis=0)
    if u.shape == v.shape:  # at rho points
        return ~(u | v)
    moving = np.zeros(snapshot.zeta.shape, bool)
    moving[:, :-1] |= u
    moving[:, 1:] |= u
    moving[:-1] |= v
    moving[1:] |= v
    return ~moving


def _file(ocean, index):
    """The file of a record and a colon, where the ocean has files."""
    return f"{ocean.record(index)[0]}: " if hasattr(ocean, "record") else ""


def _mass(ocean, indices, zeta, motions):
    """Notes on the mass balance. zeta, motions: (records, eta, xi)."""
    grid = ocean.grid
    departure = zeta - (zeta.mean(axis=0) if len(zeta) > 2 else zeta[:, grid.mask_rho].mean())
    size = float(np.sqrt(np.mean(departure[:, grid.mask_rho] ** 2)))
    for index, motion in zip(indices, motions):
        finite = np.isfinite(motion)
        if np.count_nonzero(finite) < FEW:
            return []
        # what a quarter of the points exceeds: rivers enter at few of them, and a fault may show in a part of the sea only
        excess = float(np.quantile(np.abs(motion[finite]), 0.75))
        width = np.maximum(grid.pm, grid.pn)
        rounding = ROUNDING * float(np.median((grid.h * width)[finite])) / np.sqrt(ocean.vertical.n)
        allowed = FLOOR + rounding + size / SURFACE_TIME
        if excess <= allowed:
            continue
        text = (
            f"{_file(ocean, index)}the flow does not conserve mass: at {str(ocean.times[index])[:16]} the surface would move at "
            f"{excess:.2g} m/s by continuity, where zeta and rounding allow {allowed:.2g} m/s"
        )
        if excess > REFUSED * allowed and not isinstance(ocean.vertical, ZCoordinate):
            raise InputError(
                f"{text}; u, v, zeta, h, pm, pn must be of one run and of the same points: not cut at different columns, put on "
                "other points, or turned to east and north"
            )
        return [f"{text}: catchments may be wrong"]
    return []


def _surface_speeds(ocean, snapshot):
    """(u, v, u and v in geostrophic balance with zeta) at interior points of the deep sea, m/s, along xi and eta."""
    grid = ocean.grid
    inside = np.s_[1:-1, 1:-1]
    deep = grid.mask_rho[inside] & (grid.h[inside] > 500) & (np.abs(grid.coriolis[inside]) > 3e-5)
    u, v, zeta = (np.asarray(value, np.float64) for value in (snapshot.u[-1], snapshot.v[-1], snapshot.zeta))
    if grid.stagger == "A":
        u, v = u[inside], v[inside]
    else:
        u, v = (u[1:-1, 1:] + u[1:-1, :-1]) / 2, (v[1:, 1:-1] + v[:-1, 1:-1]) / 2
    along_xi = (zeta[1:-1, 2:] - zeta[1:-1, :-2]) / 2 * grid.pm[inside]
    along_eta = (zeta[2:, 1:-1] - zeta[:-2, 1:-1]) / 2 * grid.pn[inside]
    per_slope = GRAVITY / grid.coriolis[inside][deep]
    return u[deep], v[deep], -per_slope * along_eta[deep], per_slope * along_xi[deep]


def _speeds(speeds, *, shared: bool):
    """Notes on surface speeds that do not follow from the slope of the surface; ``shared``: u and v stand at the same points."""
    u, v, u_balanced, v_balanced = (np.concatenate(values) for values in zip(*speeds))
    if u.size < FEW:
        return []
    flow, balanced = float(np.median(np.hypot(u, v))), float(np.median(np.hypot(u_balanced, v_balanced)))
    if flow < 1e-3 or balanced < 1e-6:
        return []
    sizes = np.sqrt(np.sum(u**2 + v**2) * np.sum(u_balanced**2 + v_balanced**2))
    together = float(np.sum(u * u_balanced + v * v_balanced) / sizes)
    if together < AGAINST_GEOSTROPHY:
        return [
            f"the surface flow goes against that in geostrophic balance with zeta (correlation {together:.2f}): has zeta, f or "
            "the flow the other sign?"
        ]
    if shared and together < APART_FROM_GEOSTROPHY:
        return [
            f"the surface flow has little to do with that in geostrophic balance with zeta (correlation {together:.2f}): are u "
            "and v exchanged, or along other axes than east and north?"
        ]
    if 1 / FAR_FROM_GEOSTROPHY < flow / balanced < FAR_FROM_GEOSTROPHY:
        return []
    return [
        f"surface speeds are {flow:.2g} m/s, where the slope of zeta goes with {balanced:.2g} m/s in geostrophic balance: are u, "
        "v and zeta in m/s and m?"
    ]
