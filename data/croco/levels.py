"""The s-coordinate from variables, global attributes, or the parameters of its stretching."""

from __future__ import annotations

import numpy as np

from data.errors import InputError
from data.sizes import DEEPEST
from data.vertical import SCoordinate

#: Curves agree with their formula to this: files hold them in single precision, or packed.
CURVES_AGREE = 1e-3


def read_s_coordinate(statics, first, grid, notes, vtransform=None) -> SCoordinate:
    """The vertical coordinate from variables, global attributes, or the parameters of its stretching."""
    n = first.shape[0]
    vtransform = _vtransform(statics, first.path, n, grid, notes, vtransform)
    hc = _critical_depth(statics, vtransform, grid, notes)
    if hc is None:
        raise InputError(
            f"{first.path}: no hc or Tcline, as variable or global attribute; the vertical coordinate cannot "
            "be built: give a file that has it, or a grid file with it"
        )
    if not 0 <= hc <= DEEPEST:
        raise InputError(
            f"{first.path}: hc is {hc:.6g} m; the critical depth lies between 0 and {DEEPEST:g} m: mend hc, or give a grid file "
            "that has the run's own"
        )
    _check_number_of_layers(statics, first, n)
    curves = {
        "s_rho": _levels(statics, ("sc_r", "s_rho"), n),
        "cs_rho": _levels(statics, ("Cs_r", "Cs_rho"), n),
        "s_w": _levels(statics, ("sc_w", "s_w"), n + 1),
        "cs_w": _levels(statics, ("Cs_w",), n + 1),
    }
    # all models of the family space s evenly
    evenly = {"s_rho": (np.arange(-n, 0) + 0.5) / n, "s_w": np.arange(-n, 1) / n}
    present = {name: value for name, value in curves.items() if value is not None}
    if "cs_rho" not in present or "cs_w" not in present:
        computed = _stretching_curves(statics, first, n, hc, vtransform, notes)
        for name, value in present.items():
            if np.abs(value - computed[name]).max() > 1e-3:
                raise InputError(
                    f"{first.path}: the level curves given do not agree with those of theta_s and theta_b, "
                    "and Cs_r or Cs_w is missing; give a file that has both"
                )
        curves = {**computed, **present}
    elif len(present) < 4:
        notes.append("no s levels in the files: spaced evenly")
        curves = {**evenly, **present}
    for name in ("s_w", "cs_w"):
        ends = curves[name][[0, -1]]
        if np.abs(ends - [-1, 0]).max() > 1e-3:
            raise InputError(
                f"{first.path}: the interfaces run from {ends[0]:.4g} to {ends[1]:.4g} in {name} instead of "
                "-1 to 0; files cut in the vertical cannot be used"
            )
        # float32 files miss the ends by rounding; sea floor and surface must be met exactly
        curves[name] = np.concatenate([[-1.0], curves[name][1:-1], [0.0]])
    for centre, edge, files_name in (("s_rho", "s_w", "s_rho"), ("cs_rho", "cs_w", "Cs_r")):
        edges = curves[edge]
        if ((curves[centre] < edges[:-1] - 1e-6) | (curves[centre] > edges[1:] + 1e-6)).any():
            raise InputError(
                f"{first.path}: {files_name} does not lie between the interfaces of its layers; the curves are not of one run: "
                "give a file that has both"
            )
    try:
        coordinate = SCoordinate(**curves, hc=hc, vtransform=vtransform)
    except InputError as error:
        raise InputError(f"{first.path}: {error}") from error
    # in both transforms the sign of a layer's thickness is linear in h: its extremes tell for all columns
    for h in (grid.h[grid.mask_rho].min(), grid.h[grid.mask_rho].max()):
        if coordinate.layer_thickness(h, np.zeros(())).min() <= 0:
            raise InputError(
                f"{first.path}: layers fold where the sea is {h:.5g} m deep (Vtransform {vtransform}, hc "
                f"{hc:g} m); the s-coordinate parameters are not those of the run"
            )
    return coordinate


def _levels(statics, names, size):
    """The first values of that size that lie between -1 and 0: ``s_rho`` may as well be an index, 1 to n."""
    for value in statics.numbers(*names):
        if value.size == size and value.min() >= -1.0001 and value.max() <= 0.0001 and value.min() < 0:
            return np.clip(value, -1.0, 0.0)
    return None


def _check_number_of_layers(statics, first, n):
    """Refuse layers cut away: curves of another number, or levels that are not spaced as n layers are."""
    for names, size in ((("sc_r", "s_rho", "Cs_r"), n), (("sc_w", "s_w", "Cs_w"), n + 1)):
        for name in names:
            sizes = [value.size for value in statics.numbers(name) if value.size > 1]
            if sizes and size not in sizes:
                raise InputError(
                    f"{first.path}: u has {n} layers, but {name} is given for {sizes[0]} where {size} are needed: layers have "
                    "been cut away; files cut in the vertical cannot be used, give all layers"
                )
    s_rho = _levels(statics, ("sc_r", "s_rho"), n)
    if s_rho is not None and n > 1:
        step = np.diff(s_rho)
        if (step < 0).all():
            raise InputError(
                f"{first.path}: levels run from the surface down; CROCO counts them from the sea floor up: turn all variables "
                "over in the vertical (ncpdq -a -s_rho,-s_w)"
            )
        if np.abs(step - step[0]).max() < 1e-4 and abs(step[0] * n - 1) > 0.02:
            raise InputError(
                f"{first.path}: u has {n} layers, but s levels {step[0]:.4g} apart are those of {1 / step[0]:.0f}: layers have "
                "been cut away; files cut in the vertical cannot be used, give all layers"
            )


def _vtransform(statics, path, n, grid, notes, by_hand):
    """1 or 2: what the user says, else what the files say, else what their curves tell."""
    claims = _told_vtransform(statics)
    stated = next(iter(claims.values()), None)
    if by_hand is not None:
        if stated is not None and stated != by_hand:
            notes.append(f"the vertical transform is {by_hand} as --vtransform says; the files say {stated}")
        return by_hand
    if len(set(claims.values())) > 1:
        by = next(name for name, value in claims.items() if value != stated)
        raise InputError(
            f"{path}: {next(iter(claims))} says Vtransform {stated}, {by} says {claims[by]}; --vtransform 1 or 2 tells which "
            "one the run had"
        )
    if stated is not None:
        return stated
    theta_s, theta_b = statics.number("theta_s"), statics.number("theta_b")
    for kind in ("r", "w"):
        size = n + (kind == "w")
        curve = _levels(statics, (f"Cs_{kind}", *(("Cs_rho",) if kind == "r" else ())), size)
        if curve is None or theta_s is None or theta_b is None:
            continue
        fits = []
        for transform in (1, 2):
            try:
                candidate = SCoordinate.from_stretching(n, theta_s, theta_b, 1.0, transform)
            except (InputError, FloatingPointError):
                continue
            if np.abs((candidate.cs_rho if kind == "r" else candidate.cs_w) - curve).max() < CURVES_AGREE:
                fits.append(transform)
        if len(fits) == 1:
            notes.append(f"the files do not name their vertical transform: Cs_{kind} is the curve of Vtransform {fits[0]}")
            return fits[0]
    hc = statics.number("hc")
    shallowest = float(grid.h[grid.mask_rho].min())
    if hc is not None and hc > shallowest:
        notes.append(
            f"the files do not name their vertical transform: hc = {hc:g} m is more than the least depth ({shallowest:.4g} m), "
            "which only Vtransform 2 allows"
        )
        return 2
    notes.append(
        "the files do not name their vertical transform: taken as the old one (Vtransform 1); --vtransform 2 says otherwise"
    )
    return 1


def _told_vtransform(statics):
    """The transform by each source that names one: the variable, attributes of levels, VertCoordType; else the CPP options."""
    claims: dict[str, int] = {}
    number = statics.number("Vtransform")
    if number is not None and number > 0:
        claims["variable Vtransform"] = round(number)
    for name in ("sc_r", "s_rho", "s_w"):
        text = statics.text(name, "Vtransform")
        if text in ("1", "2"):
            claims[f"attribute Vtransform of {name}"] = int(text)
    for name in ("s_rho", "s_w"):
        standard_name = statics.text(name, "standard_name")
        if "ocean_s_coordinate_g" in standard_name:
            claims[f"standard_name of {name}"] = 2 if "ocean_s_coordinate_g2" in standard_name else 1
    for _, kind in statics.attribute("VertCoordType"):
        # SM09 is the same transform in another branch of the family
        claims["attribute VertCoordType"] = 2 if str(kind).strip().upper() in ("NEW", "SM09") else 1
        break
    if not claims:
        for name in ("CPP-options", "CPP_options"):
            for _, options in statics.attribute(name):
                if "NEW_S_COORD" in str(options).split():
                    claims[f"attribute {name}"] = 2
    return claims


def _critical_depth(statics, vtransform, grid, notes):
    hc = statics.number("hc")
    if hc is not None:
        return hc
    tcline = statics.number("Tcline")
    if tcline is None or vtransform == 2:
        return tcline
    # the old transform limits hc by the shallowest point of the whole model domain
    shallowest = float(grid.h[grid.mask_rho].min())
    notes.append(f"no hc in the files: the smaller of Tcline ({tcline:g} m) and the least depth ({shallowest:g} m)")
    return min(tcline, shallowest)


def _stretching_curves(statics, first, n, hc, vtransform, notes):
    """The curves of ROMS' Vstretching 1 (Song & Haidvogel) or 4 (CROCO's NEW_S_COORD)."""
    theta_s, theta_b = statics.number("theta_s"), statics.number("theta_b")
    if theta_s is None or theta_b is None:
        raise InputError(
            f"{first.path}: no s-coordinate parameters for {n} layers: neither Cs_r and Cs_w nor theta_s and "
            "theta_b, as variables or global attributes; give a file that has them, or a grid file with them"
        )
    for value in statics.numbers("Cs_r", "sc_r"):
        if value.size not in (1, n):
            raise InputError(
                f"{first.path}: u has {n} layers, but the s-coordinate is given for {value.size}; files cut "
                "in the vertical cannot be used"
            )
    number = statics.number("Vstretching")
    vstretching = {1: 1, 2: 4}.get(vtransform, 4) if number is None else round(number)
    if vstretching not in (1, 4):
        raise InputError(
            f"{first.path}: Vstretching {vstretching} cannot be computed here, and Cs_r and Cs_w are "
            "missing; give a file that has them"
        )
    notes.append(
        f"no stretching curves in the files: computed from theta_s = {theta_s:g}, theta_b = {theta_b:g} "
        f"(Vstretching {vstretching})"
    )
    if vstretching == 1 and theta_s == 0:
        s_rho, s_w = (np.arange(-n, 0) + 0.5) / n, np.arange(-n, 1) / n
        return {"s_rho": s_rho, "cs_rho": s_rho, "s_w": s_w, "cs_w": s_w}
    try:
        # the transform goes with the stretching here; the file's own is applied by the caller
        coordinate = SCoordinate.from_stretching(n, theta_s, theta_b, hc, 1 if vstretching == 1 else 2)
    except InputError as error:
        raise InputError(f"{first.path}: {error}") from error
    return {name: getattr(coordinate, name) for name in ("s_rho", "cs_rho", "s_w", "cs_w")}
