"""``python -m data.twin``: write the twin ocean as CROCO history files, or as satellites would show it."""

from __future__ import annotations

import sys
from pathlib import Path

import netCDF4
import numpy as np

from data.command import provenance, run_command, write_json
from data.errors import OptionError, StoreError, cannot_write
from data.files import written_aside
from data.lock import FolderLock
from data.ocean_names import twin_title
from data.progress import Progress
from data.spherical_defaults import rotation
from data.twin.chlorophyll import Chlorophyll
from data.twin.ocean import TwinOcean, open_twin
from data.twin.options import TwinConfig
from data.twin.products import write_products
from data.twin.record import VERSION

DAYS_PER_FILE = 30


def main(config: TwinConfig) -> int:
    """Compute what the cache lacks, then write one file for each 30 days; files that are there are kept."""
    with Progress("computing the twin ocean", "day") as bar:
        ocean = open_twin(config.years, config.seed, progress=bar.update)
    if config.out.exists() and not config.out.is_dir():
        raise OptionError(f"--out {config.out} is a file; name a folder")
    try:
        config.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(config.out, error) from None
    with FolderLock(config.out, "twin"):
        done = (_products if config.products else _history)(ocean, config)
        write_json(config.out / "twin.json", {**provenance(config), "ocean": ocean.description})
    print(done)
    return 0


def _history(ocean: TwinOcean, config: TwinConfig) -> str:
    """Write the history files that are not there yet. StoreError where the folder holds those of another ocean or length."""
    days = len(ocean.times)
    parts = [range(first, min(first + DAYS_PER_FILE, days)) for first in range(0, days, DAYS_PER_FILE)]
    paths = [config.out / f"croco_his.{number:04d}.nc" for number in range(len(parts))]
    # a last file of fewer days is written anew by a longer record
    missing = [k for k, path in enumerate(paths) if not path.exists() or _held(path, ocean) < len(parts[k])]
    beyond = sorted(set(config.out.glob("croco_his.*.nc")) - set(paths))
    longer = [path for path, part in zip(paths, parts, strict=True) if path.exists() and _held(path, ocean) > len(part)]
    for path in [*longer, *beyond]:
        raise StoreError(f"{path} is of a longer record than --years {config.years:g}; remove it, or choose another --out")
    with Progress("writing", "file") as bar:
        for done, number in enumerate(missing, 1):
            try:
                with written_aside(paths[number]) as aside:
                    _write(aside, ocean, parts[number])
            except (OSError, RuntimeError) as error:  # the netCDF library tells of a full disk by the latter
                raise cannot_write(paths[number], error if isinstance(error, OSError) else OSError(str(error))) from None
            bar.update(done, len(missing))
    return f"{days} days in {len(paths)} files: {config.out}/croco_his.*.nc"


def _held(path: Path, ocean: TwinOcean) -> int:
    """Days in a history file of this ocean; StoreError for one of another."""
    try:
        with netCDF4.Dataset(path) as file:
            marks, held = {name: file.getncattr(name) for name in file.ncattrs()}, len(file.dimensions["time"])
    except (OSError, KeyError):
        marks, held = {}, 0
    wanted = _marks(ocean)
    if any(marks.get(name) != value for name, value in wanted.items()):
        raise StoreError(f"{path} is not of the twin ocean of --seed {ocean.record.seed}; remove it, or choose another --out")
    return held


def _marks(ocean: TwinOcean) -> dict[str, int]:
    """Attributes that tell a twin ocean from others."""
    return {"ocean_seed": ocean.record.seed, "ocean_version": VERSION}


def _products(ocean: TwinOcean, config: TwinConfig) -> str:
    """Write the satellite-like maps that are not there yet."""
    with Progress("stirring chlorophyll", "day") as bar:
        chlorophyll = Chlorophyll.of(ocean, config.seed, bar.update)
    with Progress("writing", "map") as bar:
        paths = write_products(ocean, chlorophyll, config.out, seed=config.seed, cloud=config.clouds, truth=config.truth,
                               progress=bar.update)  # fmt: skip
    return f"{len(paths)} files: {config.out}/ssh_*.nc, sst_*.nc, chl_*.nc"


def _write(path: Path, ocean: TwinOcean, days: range) -> None:
    grid, s = ocean.grid, ocean.vertical
    ny, nx = grid.shape
    lon, lat = grid.position(*np.meshgrid(np.arange(nx), np.arange(ny)))
    with netCDF4.Dataset(path, "w") as file:
        file.title = f"{twin_title(ocean.record.seed).capitalize()} (quasi-geostrophic)"
        file.VertCoordType = "NEW"
        file.setncatts(_marks(ocean))
        for name, size in (("time", None), ("s_rho", s.n), ("s_w", s.n + 1), ("eta_rho", ny), ("xi_rho", nx), ("eta_v", ny - 1),
                           ("xi_u", nx - 1)):  # fmt: skip
            file.createDimension(name, size)

        def put(name, dims, values, dtype="f8", **attributes):
            variable = file.createVariable(name, dtype, dims)
            variable.setncatts(attributes)
            variable[...] = values

        rho = ("eta_rho", "xi_rho")
        put("spherical", (), np.array("T", "S1"), "S1")
        put("Vtransform", (), 2.0)
        put("hc", (), s.hc, units="meter")
        for name, dims, values in (("sc_r", "s_rho", s.s_rho), ("Cs_r", "s_rho", s.cs_rho), ("sc_w", "s_w", s.s_w),
                                   ("Cs_w", "s_w", s.cs_w)):  # fmt: skip
            put(name, (dims,), values)
        put("h", rho, grid.h, units="meter")
        put("f", rho, grid.coriolis, units="second-1")
        put("pm", rho, grid.pm, units="meter-1")
        put("pn", rho, grid.pn, units="meter-1")
        put("angle", rho, rotation(lon, lat, True), units="radians")
        put("mask_rho", rho, grid.mask_rho.astype("f8"))
        put("lon_rho", rho, lon, units="degree_east")
        put("lat_rho", rho, lat, units="degree_north")
        time = file.createVariable("time", "f8", ("time",))
        time.units = "seconds since 2000-01-01"
        stored = {}
        for name, dims, units in (
            ("zeta", rho, "meter"),
            ("u", ("s_rho", "eta_rho", "xi_u"), "meter second-1"),
            ("v", ("s_rho", "eta_v", "xi_rho"), "meter second-1"),
            ("temp", ("s_rho", *rho), "Celsius"),
        ):
            sizes = [len(file.dimensions[d]) for d in dims]
            stored[name] = file.createVariable(
                name, "f4", ("time", *dims), zlib=True, complevel=1, shuffle=True, chunksizes=(1, *sizes)
            )
            stored[name].units = units
        for record, day in enumerate(days):
            one = ocean.snapshot(day, {"temp"})
            time[record] = (ocean.times[day] - np.datetime64("2000-01-01")) / np.timedelta64(1, "s")
            for name, variable in stored.items():
                variable[record] = getattr(one, name)


if __name__ == "__main__":
    sys.exit(run_command(TwinConfig, main, prog="data.twin"))
