"""``python -m data.twin``: write the twin ocean as files of CROCO, NEMO or GLORYS, or as satellites would show it."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import netCDF4

from data.command import provenance, run_command, write_json
from data.errors import OptionError, StoreError, cannot_write
from data.files import make_folder, written_aside
from data.lock import FolderLock
from data.progress import Progress
from data.twin.chlorophyll import Chlorophyll
from data.twin.families import FAMILIES, marks
from data.twin.ocean import TwinOcean, open_twin
from data.twin.options import TwinConfig
from data.twin.products import write_products

DAYS_PER_FILE = 30


def main(config: TwinConfig) -> int:
    """Compute what the cache lacks, then write one file for each 30 days; files that are there are kept."""
    with Progress("computing the twin ocean", "day") as bar:
        ocean = open_twin(config.years, config.seed, progress=bar.update)
    if config.out.exists() and not config.out.is_dir():
        raise OptionError(f"--out {config.out} is a file; name a folder")
    make_folder(config.out)
    with FolderLock(config.out, "twin"):
        written = (_products if config.products else _history)(ocean, config)
        write_json(config.out / "twin.json", {**provenance(config), "ocean": ocean.description})
    print(written)
    return 0


def _history(ocean: TwinOcean, config: TwinConfig) -> str:
    """Write the history files that are not there yet. StoreError where the folder holds those of another ocean or length."""
    family = FAMILIES[config.family]
    days = len(ocean.times)
    parts = [range(first, min(first + DAYS_PER_FILE, days)) for first in range(0, days, DAYS_PER_FILE)]
    files = {(stem, number): config.out / f"{stem}.{number:04d}.nc" for number in range(len(parts)) for stem in family.stems}
    # a last file of fewer days is written anew by a longer record
    missing = [key for key, path in files.items() if not path.exists() or _held(path, ocean) < len(parts[key[1]])]
    beyond = sorted({path for stem in family.stems for path in config.out.glob(f"{stem}.*.nc")} - set(files.values()))
    longer = [path for key, path in files.items() if path.exists() and _held(path, ocean) > len(parts[key[1]])]
    for path in [*longer, *beyond]:
        raise StoreError(f"{path} is of a longer record than --years {config.years:g}; remove it, or choose another --out")
    write = family.writer(ocean)
    jobs = [(files[key], partial(write, stem=key[0], days=parts[key[1]])) for key in missing]
    if family.static and not (static := config.out / family.static).exists():
        jobs.insert(0, (static, partial(write, stem="", days=range(0))))
    with Progress("writing", "file") as bar:
        for count, (path, job) in enumerate(jobs, 1):
            try:
                with written_aside(path) as aside:
                    job(aside)
            except (OSError, RuntimeError) as error:  # the netCDF library tells of a full disk by the latter
                raise cannot_write(path, error if isinstance(error, OSError) else OSError(str(error))) from None
            bar.update(count, len(jobs))
    pattern = f"{config.out}/{family.pattern}"
    beside = f" --grid {config.out}/{family.static}" if family.static else ""
    command = f"\npython -m lagrangian.run --ocean '{pattern}'{beside}" if beside else ""
    return f"{days} days in {len(files)} files: {pattern}{command}"


def _held(path: Path, ocean: TwinOcean) -> int:
    """Days in a history file of this ocean; StoreError for one of another."""
    try:
        with netCDF4.Dataset(path) as file:
            attributes, length = {name: file.getncattr(name) for name in file.ncattrs()}, len(file.dimensions["time"])
    except (OSError, KeyError):
        attributes, length = {}, 0
    expected = marks(ocean)
    if any(attributes.get(name) != value for name, value in expected.items()):
        raise StoreError(f"{path} is not of the twin ocean of --seed {ocean.record.seed}; remove it, or choose another --out")
    return length


def _products(ocean: TwinOcean, config: TwinConfig) -> str:
    """Write the satellite-like maps that are not there yet."""
    with Progress("stirring chlorophyll", "day") as bar:
        chlorophyll = Chlorophyll.of(ocean, config.seed, bar.update)
    with Progress("writing", "map") as bar:
        paths = write_products(ocean, chlorophyll, config.out, seed=config.seed, cloud=config.clouds, truth=config.truth,
                               progress=bar.update)  # fmt: skip
    return f"{len(paths)} files: {config.out}/ssh_*.nc, sst_*.nc, chl_*.nc, bathymetry.nc"


if __name__ == "__main__":
    sys.exit(run_command(TwinConfig, main, prog="data.twin"))
