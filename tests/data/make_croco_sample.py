"""Cut the small CROCO sample in croco_sample/ from the baroclinic jet run.

Velocities are packed as 16-bit integers. The rounding error of the transport through a cell face is carried
to the next layer up, so that vertical velocities rebuilt by continuity stay those of the run.

    python tests/data/make_croco_sample.py ../shared/data/croco/jet
"""

from __future__ import annotations

import argparse
from pathlib import Path

import netCDF4
import numpy as np

POINTS = 39  # rho points along each side
FIRST_ETA, FIRST_XI = 12, 2  # leaves out the seamount that rises above 3050 m
RECORDS = slice(0, 49)  # 12-hourly: 24 days
PRECISION = {"u": 2.0**-11, "v": 2.0**-11, "zeta": 2.0**-13, "temp": 2.0**-4}
STATIC = ("h", "f", "pm", "pn", "lon_rho", "lat_rho", "angle", "mask_rho")
LEVELS = ("spherical", "Vtransform", "s_rho", "s_w", "sc_r", "sc_w", "Cs_r", "Cs_w", "hc")
ATTRIBUTES = (
    "type",
    "title",
    "VertCoordType",
    "theta_s",
    "theta_b",
    "Tcline",
    "hc",
    "sc_w",
    "Cs_w",
    "sc_r",
    "Cs_r",
    "rho0",
)
THIN = 160.0  # m; the run itself is rounded to the step of u and v in layers thinner than about this


def main():
    """Write croco_sample/croco_his.nc beside this script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("jet", type=Path, help="folder that holds croco_his.00000.nc")
    source = parser.parse_args().jet / "croco_his.00000.nc"
    target = Path(__file__).parent / "croco_sample" / "croco_his.nc"
    target.parent.mkdir(exist_ok=True)
    with netCDF4.Dataset(source) as old, netCDF4.Dataset(target, "w", format="NETCDF4_CLASSIC") as new:
        write_sample(old, new)
    print(f"{target}: {target.stat().st_size / 2**20:.2f} MiB")


def write_sample(old, new):
    """Copy the subdomain from one open dataset to the other."""
    windows = {
        "eta_rho": slice(FIRST_ETA, FIRST_ETA + POINTS),
        "xi_rho": slice(FIRST_XI, FIRST_XI + POINTS),
        "eta_v": slice(FIRST_ETA, FIRST_ETA + POINTS - 1),
        "xi_u": slice(FIRST_XI, FIRST_XI + POINTS - 1),
        "time": RECORDS,
    }
    for name in ("time", "s_rho", "s_w", "eta_rho", "xi_rho", "eta_v", "xi_u"):
        length = len(range(len(old.dimensions[name]))[windows.get(name, slice(None))])
        new.createDimension(name, None if name == "time" else length)
    new.setncatts({name: old.getncattr(name) for name in ATTRIBUTES})
    new.history = (
        f"cut from {Path(old.filepath()).name} ({old.history}) to {POINTS} x {POINTS} rho points from eta "
        f"index {FIRST_ETA}, xi index {FIRST_XI} (0-based), first {RECORDS.stop} records; u, v, zeta, temp "
        "packed as 16-bit integers, the rounding error of u and v transports carried to the next level up"
    )
    for name in ("xi_rho", "eta_rho", "xi_u", "eta_v", *LEVELS, *STATIC, "time", "scrum_time"):
        copy(old, new, name, windows, zlib=name in STATIC, complevel=9, shuffle=True)

    h, s_w, cs_w, hc = (np.asarray(new[name][...], dtype=np.float64) for name in ("h", "s_w", "Cs_w", "hc"))
    shape = (-1, 1, 1)
    z_w = (hc * s_w.reshape(shape) + h * cs_w.reshape(shape)) * h / (hc + h)
    thickness = np.diff(z_w, axis=0)
    face = {
        "u": (thickness[:, :, 1:] + thickness[:, :, :-1]) / 2,
        "v": (thickness[:, 1:] + thickness[:, :-1]) / 2,
    }
    for name in ("u", "v", "zeta", "temp"):
        step = PRECISION[name]
        variable = copy_header(old, new, name, "i2", windows, zlib=True, complevel=9, shuffle=True, fill_value=np.int16(-32768))
        variable.setncatts({"scale_factor": np.float64(step), "add_offset": np.float64(0)})
        variable.set_auto_maskandscale(False)
        selection = tuple(windows.get(dimension, slice(None)) for dimension in old[name].dimensions)
        values = np.asarray(old[name][selection], dtype=np.float64)
        for k, field in enumerate(values):
            variable[k] = (carry_up(field, face[name], step) if name in face else np.round(field / step)).astype("i2")


def carry_up(field, thickness, step):
    """Integers (level, eta, xi) whose multiples of ``step`` keep the transport summed from the floor up."""
    out = np.empty(field.shape)
    carried = np.zeros(field.shape[1:])
    for level, layer in enumerate(thickness):
        wanted = field[level] + carried / layer
        out[level] = np.round(wanted / step)
        # the last remainder is given up where layers become thin, lest it grow there
        carried = np.where(layer > THIN, (wanted - step * out[level]) * layer, 0.0)
    return out


def copy_header(old, new, name, dtype, windows, **storage):
    """Create a variable with the dimensions and attributes of the old one."""
    source = old[name]
    if source.ndim == 4:
        lengths = [len(new.dimensions[dimension]) for dimension in source.dimensions[1:]]
        storage["chunksizes"] = (1, *lengths)
    variable = new.createVariable(name, dtype, source.dimensions, **storage)
    variable.setncatts({key: source.getncattr(key) for key in source.ncattrs() if key != "_FillValue"})
    return variable


def copy(old, new, name, windows, **storage):
    """Copy a variable as it is, cut to the subdomain."""
    source = old[name]
    selection = tuple(windows.get(dimension, slice(None)) for dimension in source.dimensions)
    variable = copy_header(old, new, name, source.dtype, windows, **(storage if source.ndim else {}))
    variable[...] = source[selection] if source.ndim else source[...]


if __name__ == "__main__":
    main()
