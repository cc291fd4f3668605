"""A writer of tiny CROCO files, in all the forms in which such files come."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import netCDF4
import numpy as np

from data.vertical import SCoordinate

LEVELS, ETA, XI = 5, 6, 7
HC, THETA_S, THETA_B = 20.0, 5.0, 0.4
#: One land point inside the domain and one at its edge, (eta, xi).
LAND = ((2, 3), (0, 6))


@dataclass
class TinySea:
    """The content of a tiny file; tests change single pieces of it.

    Attributes
    ----------
    mask : (ETA, XI) bool
        True in the sea.
    h : (ETA, XI)
        m.
    """

    times: tuple[float, ...] = (0.0, 43_200.0, 86_400.0)
    seed: int = 0
    mask: np.ndarray = field(default_factory=lambda: sea_mask())

    def __post_init__(self):
        rng = np.random.default_rng(self.seed)
        n = len(self.times)
        self.h = 100 + 50 * np.random.default_rng(7).random((ETA, XI))
        self.u = rng.normal(size=(n, LEVELS, ETA, XI - 1)) * self.faces("u")
        self.v = rng.normal(size=(n, LEVELS, ETA - 1, XI)) * self.faces("v")
        self.zeta = rng.normal(size=(n, ETA, XI)) * self.mask
        self.w = 1e-3 * rng.normal(size=(n, LEVELS, ETA, XI)) * self.mask
        self.omega = 1e-3 * rng.normal(size=(n, LEVELS + 1, ETA, XI)) * self.mask
        self.temp = 4 + rng.random((n, LEVELS, ETA, XI)) * self.mask
        self.temp = self.temp * self.mask

    def faces(self, name):
        """True at the u or v points between two points of sea; at rho points for other names."""
        if name == "u":
            return self.mask[:, :-1] & self.mask[:, 1:]
        if name == "v":
            return self.mask[:-1] & self.mask[1:]
        return self.mask


def sea_mask():
    """(ETA, XI) bool with the points of LAND."""
    mask = np.ones((ETA, XI), dtype=bool)
    for point in LAND:
        mask[point] = False
    return mask


def write_croco(
    path: Path,
    sea: TinySea | None = None,
    *,
    time_name="time",
    time_units="second",
    calendar=None,
    levels="variables",
    vtransform=2,
    vtransform_as="variable",
    with_grid=True,
    positions="lonlat",
    extra=("w", "omega", "temp"),
    land=0.0,
    fill=None,
    packed=False,
    without=(),
    dims=("eta_rho", "xi_rho", "eta_rho", "xi_u", "eta_v", "xi_rho"),
    file_format="NETCDF4",
    storage=None,
    edit=None,
):
    """Write one file and return its path.

    Parameters
    ----------
    levels : "variables", "attributes", "theta" or None
        How the s-coordinate is given.
    positions : "lonlat", "1d", "plain" or "xy"
        How positions are given.
    land : float
        What u, v, zeta, ... hold on land.
    fill : float, optional
        Their _FillValue.
    edit : callable, optional
        Called with the open dataset before it is closed.
    """
    sea = sea or TinySea()
    storage = storage or {}
    with netCDF4.Dataset(path, "w", format=file_format) as new:
        new.set_fill_off()
        for name, size in (
            (time_name, None),
            ("s_rho", LEVELS),
            ("s_w", LEVELS + 1),
            ("eta_rho", ETA),
            ("xi_rho", XI),
            ("eta_v", ETA - 1),
            ("xi_u", XI - 1),
            ("eta_u", ETA),
            ("xi_v", XI),
        ):
            new.createDimension(name, size)
        new.type = "ROMS history file"
        _write_levels(new, levels, vtransform, vtransform_as, without)
        if with_grid:
            _write_grid(new, sea, positions, without)

        if time_name not in without:
            variable = new.createVariable(time_name, "f8", (time_name,))
            variable[:] = sea.times
            if time_units is not None:
                variable.units = time_units
            if calendar is not None:
                variable.calendar = calendar

        shapes = {
            "u": ("s_rho", dims[2], dims[3]),
            "v": ("s_rho", dims[4], dims[5]),
            "zeta": (dims[0], dims[1]),
            "w": ("s_rho", dims[0], dims[1]),
            "omega": ("s_w", dims[0], dims[1]),
            "temp": ("s_rho", dims[0], dims[1]),
        }
        for name in ("u", "v", "zeta", *extra):
            if name in without:
                continue
            values = np.where(sea.faces(name), getattr(sea, name), land)
            if packed:
                variable = new.createVariable(name, "i2", (time_name, *shapes[name]), fill_value=np.int16(-32768), **storage)
                variable.setncatts({"scale_factor": 2e-4, "add_offset": 0.5})
                values = np.ma.array(np.nan_to_num(values), mask=np.isnan(values))
            else:
                variable = new.createVariable(name, "f4", (time_name, *shapes[name]), fill_value=fill, **storage)
                variable.set_auto_mask(False)
            variable[:] = values
        if edit is not None:
            edit(new)
    return str(path)


def write_grid(path: Path, sea: TinySea | None = None, *, without=(), edit=None):
    """Write a grid file of the same domain and return its path."""
    with netCDF4.Dataset(path, "w") as new:
        new.createDimension("eta_rho", ETA)
        new.createDimension("xi_rho", XI)
        _write_grid(new, sea or TinySea(), "lonlat", without)
        if edit is not None:
            edit(new)
    return str(path)


def _write_levels(new, levels, vtransform, vtransform_as, without):
    coordinate = SCoordinate.from_stretching(LEVELS, THETA_S, THETA_B, HC, vtransform)
    values = {
        "sc_r": (coordinate.s_rho, "s_rho"),
        "Cs_r": (coordinate.cs_rho, "s_rho"),
        "sc_w": (coordinate.s_w, "s_w"),
        "Cs_w": (coordinate.cs_w, "s_w"),
    }
    for name, (value, dimension) in values.items():
        if name in without:
            continue
        if levels == "variables":
            new.createVariable(name, "f4", (dimension,))[:] = value
        elif levels == "attributes":
            new.setncattr(name, value.astype(np.float32))
    if levels == "variables" and "hc" not in without:
        new.createVariable("hc", "f4", ())[...] = HC
    elif levels is not None and "hc" not in without:
        new.setncattr("hc", np.float32(HC))
    if levels == "theta":
        new.setncatts({"theta_s": np.float32(THETA_S), "theta_b": np.float32(THETA_B)})
    if vtransform_as == "variable":
        new.createVariable("Vtransform", "f4", ())[...] = vtransform
    elif vtransform_as == "VertCoordType" and vtransform == 2:
        new.VertCoordType = "NEW"
    elif vtransform_as == "CPP-options" and vtransform == 2:
        new.setncattr("CPP-options", "REGIONAL MPI NEW_S_COORD SOLVE3D")


def _write_grid(new, sea, positions, without):
    rho = ("eta_rho", "xi_rho")
    lon, lat = np.meshgrid(-20 + 0.1 * np.arange(XI), 45 + 0.08 * np.arange(ETA))
    metre = 6371315.0 * np.pi / 180
    x, y = np.meshgrid(8000.0 * np.arange(XI), 9000.0 * np.arange(ETA))
    cartesian = positions == "xy"
    fields = {
        "h": sea.h,
        "pm": np.full((ETA, XI), 1 / 8000) if cartesian else 1 / (0.1 * metre * np.cos(np.deg2rad(lat))),
        "pn": np.full((ETA, XI), 1 / (9000 if cartesian else 0.08 * metre)),
        "f": np.full((ETA, XI), 1e-4),
        "angle": np.zeros((ETA, XI)),
        "mask_rho": sea.mask.astype(float),
    }
    if positions == "lonlat":
        fields |= {"lon_rho": lon, "lat_rho": lat}
    elif cartesian:
        fields |= {"x_rho": x, "y_rho": y}
    else:
        names = ("lon_rho", "lat_rho") if positions == "1d" else ("lon", "lat")
        new.createVariable(names[0], "f8", ("xi_rho",))[:] = lon[0]
        new.createVariable(names[1], "f8", ("eta_rho",))[:] = lat[:, 0]
    for name, value in fields.items():
        if name not in without:
            new.createVariable(name, "f8", rho)[:] = value
    if "spherical" not in without:
        new.createVariable("spherical", "S1", ())[...] = b"F" if cartesian else b"T"
