"""The horizontal grid from what the files hold; the rest is computed from positions."""

from __future__ import annotations

import numpy as np

from data.errors import InputError
from data.grid import HorizontalGrid
from data.sizes import DEEPEST
from data.spherical_defaults import coriolis, metrics, rotation, tangents

POSITION_NAMES = {
    True: (("lon_rho", "lat_rho"), ("nav_lon_rho", "nav_lat_rho"), ("lon", "lat"), ("longitude", "latitude")),
    False: (("x_rho", "y_rho"), ("x", "y")),
}

#: The files' own angle counts where it fits the positions to this, radians (tools average it differently between points).
ANGLE_FITS = np.deg2rad(1.0)
#: Lengths of a cell by its metric and by positions differ by no more than this factor, wherever the sea is.
CELL_FITS = 10.0
#: A note tells of Coriolis parameters that differ by more than this, 1/s (a tenth of the value at 45 degrees).
F_FITS = 1e-5


def read_grid(statics, first, spherical, notes) -> HorizontalGrid:
    """The horizontal grid from what the files hold, the rest computed."""
    shape = first.shape[1:]
    mask = _field(statics, "mask_rho", shape)
    if mask is None:
        notes.append(f"{_unusable(statics, 'mask_rho')}: every point is taken as sea")
        sea = np.ones(shape, dtype=bool)
    else:
        sea = mask > 0.5
        if unknown := np.count_nonzero(np.isnan(mask)):
            notes.append(f"mask_rho is missing at {unknown} of {mask.size} points: taken as land")
    if not sea.any():
        raise InputError(f"{first.path}: mask_rho marks every point as land")

    h = _field(statics, "h", shape, sea)
    if h is None:
        raise InputError(_lacking(statics, "h", shape, first, "the depth of the sea floor"))
    if h[sea].max() > DEEPEST:
        eta, xi = np.unravel_index(np.argmax(np.where(sea, h, -np.inf)), shape)
        raise InputError(
            f"{first.path}: h is {h[eta, xi]:.6g} m at (eta, xi) = ({eta}, {xi}); no sea is deeper than {DEEPEST:g} m: it is a "
            "fill value that no attribute declares, or h is in another unit: set its attribute 'units', or mark the point as land"
        )
    spherical, x, y = _positions(statics, shape, first, spherical, notes)

    pm, pn = _field(statics, "pm", shape, sea), _field(statics, "pn", shape, sea)
    from_positions = metrics(x, y, spherical)
    if not all(np.isfinite(value[sea]).all() for value in from_positions):
        raise InputError(f"{first.path}: neighbouring rho points stand at the same position; give a grid file with --grid")
    along_xi, along_eta = tangents(x, y, spherical)
    turns = along_xi[0] * along_eta[1] - along_xi[1] * along_eta[0]
    if np.median(turns[sea]) < 0:
        raise InputError(
            f"{first.path}: rows and columns turn the wrong way round (eta lies to the right of xi): positions are turned over, "
            "or longitude and latitude are swapped; they must be those of the velocities' own order"
        )
    if pm is None or pn is None:
        notes.append(f"{_unusable(statics, 'pm', 'pn')}: computed from the distances between rho points")
        pm, pn = from_positions
    for name, value, expected in (("pm", pm, from_positions[0]), ("pn", pn, from_positions[1])):
        ratio = np.median(value[sea] / expected[sea])
        if not 2 / 3 < ratio < 3 / 2:
            raise InputError(
                f"{first.path}: cells of {name} are {1 / ratio:.3g} times as long as the distances between "
                "rho points; has the grid been thinned out, or are positions not in the unit they should be "
                "in?"
            )
        _check_cells(name, value, expected, sea, first.path)

    given_angle = _field(statics, "angle", shape, sea)
    if given_angle is None:
        notes.append(f"{_unusable(statics, 'angle')}: computed from positions")
    angle = _angle(given_angle, rotation(x, y, spherical), sea, notes)

    f = _field(statics, "f", shape, sea)
    if f is None and spherical:
        f = coriolis(y)
        notes.append(f"{_unusable(statics, 'f')}: computed from latitude")
    elif f is not None and spherical and np.median(np.abs(f[sea] - coriolis(y)[sea])) > F_FITS:
        notes.append(
            f"f in the files is {np.median(f[sea]):.3g} s-1, where the latitude gives {np.median(coriolis(y)[sea]):.3g} s-1: "
            "vorticity is divided by the files' own f"
        )
    elif f is None:
        f = np.zeros(shape)
        notes.append(f"{_unusable(statics, 'f')}, and there is no latitude: taken as 0")

    # land is never entered, but its values take part in averages that are then masked: keep them finite
    land_values = {
        "h": h[sea].min(),
        "pm": np.median(pm[sea]),
        "pn": np.median(pn[sea]),
        "angle": 0.0,
        "f": 0.0,
    }
    filled = {
        name: np.where(sea | np.isfinite(value), value, land_values[name])
        for name, value in (("h", h), ("pm", pm), ("pn", pn), ("angle", angle), ("f", f))
    }
    f = filled.pop("f")
    try:
        return HorizontalGrid(**filled, x_rho=x, y_rho=y, mask_rho=sea, coriolis=f, spherical=spherical)
    except InputError as error:
        raise InputError(f"{first.path}: {error}") from error


def _check_cells(name, value, expected, sea, path):
    """InputError for a cell in the sea that is far from as long as the distances between rho points say."""
    ratio = np.where(sea, value / expected, 1.0)
    off = ~((ratio > 1 / CELL_FITS) & (ratio < CELL_FITS))
    if off.any():
        eta, xi = np.argwhere(off)[0]
        raise InputError(
            f"{path}: {name} is {value[eta, xi]:.6g} m-1 at (eta, xi) = ({eta}, {xi}), where rho points stand "
            f"{1 / expected[eta, xi]:.3g} m apart, and so at {np.count_nonzero(off)} points of the sea: damaged, or a fill value "
            "that no attribute declares; mend it, or leave pm and pn out, and distances count"
        )


def _angle(given_angle, from_positions, sea, notes):
    """The angle of the xi axis, radians: the files' own where it fits the positions, which particles go by; else from these."""
    if given_angle is None:
        return from_positions

    def misfit(angle):
        """Radians by which a tenth of the sea is off at least."""
        return np.quantile(np.abs((angle[sea] - from_positions[sea] + np.pi) % (2 * np.pi) - np.pi), 0.9)

    off = misfit(given_angle)
    if off <= ANGLE_FITS:
        return given_angle
    largest = np.abs(given_angle[sea]).max()
    misfit_text = f"is {np.rad2deg(off):.3g} degrees off the direction of the xi axis"
    if largest > 2 * np.pi + 0.01:
        misfit_text = f"exceeds 2 pi radians and {misfit_text}"
    guess = "; it fits in degrees" if misfit(np.deg2rad(given_angle)) <= ANGLE_FITS else ""
    notes.append(f"angle in the files {misfit_text} that positions give{guess}: computed from positions instead")
    return from_positions


def _field(statics, name, shape, sea=None):
    """The first static field of the right shape without a gap in the sea; None where there is none."""
    for _, value in statics.variable(name):
        if value.ndim == 3 and value.shape[0] == 1:
            value = value[0]
        if value.shape == shape and (np.isfinite(value).any() if sea is None else np.isfinite(value[sea]).all()):
            return value
    return None


def _unusable(statics, *names):
    """The reason in words why a static field is computed: the files lack the field, or the field in the files is not usable."""
    present = [name for name in names if next(statics.variable(name), None) is not None]
    if not present:
        return f"no {', '.join(names)} in the files"
    return f"{' and '.join(present)} in the files cannot be used (missing values in the sea, or other points)"


def _lacking(statics, name, shape, first, meaning):
    """The line for a variable that no file holds in a usable form."""
    for path, value in statics.variable(name):
        if value.shape != shape:
            return f"{path}: {name} ({meaning}) has shape {value.shape}, the records {shape}; give a grid file"
        return f"{path}: {name} ({meaning}) has missing values in the sea; give a complete grid file with --grid"
    return f"{first.path}: no variable {name} ({meaning}) in the files; give the CROCO grid file with --grid"


def _positions(statics, shape, first, spherical, notes):
    """(spherical, x (eta, xi), y (eta, xi)) of rho points."""
    flag = _spherical_flag(statics)
    if spherical is None:
        order = (True, False) if flag is None or flag else (False, True)
    else:
        order = (bool(spherical),)
    for degrees in order:
        for x_name, y_name in POSITION_NAMES[degrees]:
            x = _coordinate(statics, x_name, shape, axis=1)
            y = _coordinate(statics, y_name, shape, axis=0)
            if x is None or y is None:
                continue
            if degrees and np.abs(y).max() > 90:
                raise InputError(f"{first.path}: {y_name} exceeds 90, it is no latitude in degrees")
            if flag is not None and degrees != flag and spherical is None:
                notes.append(
                    f"the variable spherical says {'degrees' if flag else 'metres'}, but only {x_name} and "
                    f"{y_name} are in the files: used"
                )
            return degrees, x, y
    needed = " or ".join(f"{POSITION_NAMES[degrees][0][0]} and {POSITION_NAMES[degrees][0][1]}" for degrees in order)
    raise InputError(
        f"{first.path}: no positions of rho points ({needed}) that are complete and fit {shape} points; give "
        "the CROCO grid file with --grid"
    )


def _spherical_flag(statics):
    """The value of the variable ``spherical``; None if the variable is absent or blank."""
    text = statics.text("spherical")[:1].upper()
    if text:
        return {"T": True, "1": True, "F": False, "0": False}.get(text)
    number = statics.number("spherical")
    return None if number is None else number != 0


def _coordinate(statics, name, shape, axis):
    """A position (eta, xi), spread if given along its own axis. Complete, on land too; else None."""
    for _, value in statics.variable(name):
        if value.ndim == 3 and value.shape[0] == 1:
            value = value[0]
        if value.ndim == 1 and value.size == shape[axis]:
            value = np.broadcast_to(value if axis == 1 else value[:, None], shape)
        if value.shape == shape and np.isfinite(value).all():
            return np.array(value)
    return None
