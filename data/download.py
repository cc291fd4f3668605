"""``python -m data.download``: satellite maps, or an ocean, around a site from the Copernicus Marine Service by its toolbox.

The toolbox (``copernicusmarine``, 2 or later) is an optional extra, imported only when something is fetched. One file for each
calendar year, of an ocean for each month; a file is complete or absent, so that the same command goes on where an interrupted
one was.
"""

from __future__ import annotations

import errno
import importlib
import logging
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import netCDF4
import numpy as np
import tyro

from data.bounds import bounds
from data.command import one_line, provenance, read_json, run_command, write_json
from data.errors import InputError, OptionError, StoreError, cannot_write, need
from data.files import make_folder, written_aside
from data.lock import FolderLock
from data.machine import in_words, need_disk
from data.progress import Progress
from data.sites import Site, parse_site
from data.sphere import EARTH_RADIUS_KM


@dataclass(frozen=True)
class Product:
    """A daily dataset of the Copernicus Marine Service.

    Attributes
    ----------
    title, dataset : str
        What it is, and its id.
    variables : tuple of str
        What is fetched.
    others : tuple of str
        Other ids of the same kind.
    surface : tuple of str
        Of variables with depths, those that are fetched at the surface alone, into files of their own.
    static : str
        Id of the dataset with the sea floor; with it, files are of a month each.
    later : str
        Id of the dataset that goes on where this one has ended.
    half_width : float
        Default of --half-width, km.
    folder : str
        Default of --out.
    first : int
        Year before which it holds nothing.
    """

    title: str
    dataset: str
    variables: tuple[str, ...]
    others: tuple[str, ...] = ()
    surface: tuple[str, ...] = ()
    static: str = ""
    later: str = ""
    half_width: float = 500.0
    folder: str = "runs/satellite"
    first: int = 1970


#: SEALEVEL_GLO_PHY_L4_MY_008_047 (0.25 degrees until November 2024, then 0.125; near real time: ..._NRT_008_046),
#: SST_GLO_SST_L4_REP_OBSERVATIONS_010_011, OCEANCOLOUR_GLO_BGC_L3_MY_009_107 and 103.
PRODUCTS = {
    "ssh": Product(
        "sea surface height, DUACS L4, reprocessed, 0.125 degrees",
        "cmems_obs-sl_glo_phy-ssh_my_allsat-l4-duacs-0.125deg_P1D",
        ("adt", "sla", "ugos", "vgos"),
        (
            "cmems_obs-sl_glo_phy-ssh_nrt_allsat-l4-duacs-0.125deg_P1D",
            "cmems_obs-sl_glo_phy-ssh_my_allsat-l4-duacs-0.25deg_P1D",
        ),
    ),
    "sst": Product(
        "sea surface temperature, OSTIA L4, reprocessed, 0.05 degrees",
        "METOFFICE-GLO-SST-L4-REP-OBS-SST",
        ("analysed_sst", "mask"),
        ("METOFFICE-GLO-SST-L4-NRT-OBS-SST-V2",),
    ),
    "chlorophyll": Product(
        "chlorophyll, GlobColour L3, reprocessed, 4 km",
        "cmems_obs-oc_glo_bgc-plankton_my_l3-multi-4km_P1D",
        ("CHL",),
        ("cmems_obs-oc_glo_bgc-plankton_nrt_l3-multi-4km_P1D",),
    ),
    "ocean": Product(
        "GLORYS12 reanalysis, 1/12 degree, 50 levels, daily means",
        "cmems_mod_glo_phy_my_0.083deg_P1D-m",
        ("uo", "vo", "zos"),
        surface=("thetao",),
        static="cmems_mod_glo_phy_my_0.083deg_static",
        later="cmems_mod_glo_phy_myint_0.083deg_P1D-m",
        half_width=520.0,
        folder="runs/ocean",
        first=1993,
    ),
}
#: Part of the static dataset that holds the sea floor, and the variables that are fetched from this part.
STATIC_PART, STATIC_VARIABLES = "bathy", ("deptho", "deptho_lev")
#: Depth that only the uppermost level of an ocean lies above, m.
SURFACE_M = 1.0
#: Points a degree and levels of the ocean, and bytes of a value as it comes.
OCEAN_PARTS, OCEAN_LEVELS, VALUE_BYTES = 12, 50, 4


@dataclass(frozen=True)
class DownloadConfig:
    """Fetch daily satellite maps around a site from the Copernicus Marine Service, a file a year; or an ocean, a file a month.

    Needs a free account (https://data.marine.copernicus.eu/register), the toolbox (pip install 'catchment-toolkit[download]') and
    'copernicusmarine login' once. Files that are there are kept; remove one to fetch it again.
    """

    EXAMPLES: ClassVar[tuple[str, ...]] = (
        "catchment download ocean --site ofp --start 2010-01-01 --end 2011-12-31 --dry-run",
        "catchment download ssh --site pap-so --start 2000-01-01 --end 2019-06-01",
    )

    product: tyro.conf.Positional[Literal["ssh", "sst", "chlorophyll", "ocean"]] = tyro.MISSING
    """Which maps: ssh (DUACS L4: adt, sla, ugos, vgos), sst (OSTIA L4: analysed_sst, mask), chlorophyll (GlobColour L3: CHL);
    or ocean (GLORYS12: uo, vo, zos, thetao at the surface, and the static file with the sea floor), for lagrangian.run."""
    site: str = "pap-so"
    """A name from the site table, or LON,LAT in degrees."""
    start: str = "2000-01-01"
    """First day, YYYY-MM-DD."""
    end: str = "2019-06-01"
    """Last day, YYYY-MM-DD (included)."""
    half_width: Annotated[float | None, *bounds(above=0, most=5000, unit="km")] = None
    """Half the side of the box around the site, km (default: 500, ocean 520). The networks' inputs reach 400 km from the trap."""
    dataset: str = ""
    """Another dataset id of the same kind, instead of the reprocessed one: near real time for recent dates."""
    out: Path | None = None
    """Folder of the files (default: runs/satellite, of an ocean runs/ocean)."""
    dry_run: bool = False
    """Print the requests as commands of the toolbox; nothing is fetched, and neither network nor toolbox is needed."""


@dataclass(frozen=True)
class Box:
    """Bounds in degrees; ``west`` lies within -180..180 and ``east`` follows it eastward, so that it may exceed 180."""

    west: float
    east: float
    south: float
    north: float


@dataclass(frozen=True)
class Request:
    """One file: days ``first`` to ``last`` of a dataset within a box (a part of it without times where ``part`` is given).

    ``deepest``: m, where only levels above are wanted; ``later``: the dataset that is asked where this one has ended.
    """

    dataset: str
    variables: tuple[str, ...]
    box: Box
    first: date
    last: date
    path: Path
    part: str = ""
    deepest: float | None = None
    later: str = ""

    @property
    def days(self) -> int:
        """Number of days that the file is to hold; 0 of one without times."""
        return 0 if self.part else (self.last - self.first).days + 1

    def arguments(self, path: Path | None = None) -> dict:
        """Keyword arguments of ``copernicusmarine.subset`` that write ``path`` (default: the request's own)."""
        path = path or self.path
        times = {"start_datetime": f"{self.first}T00:00:00", "end_datetime": f"{self.last}T23:59:59"}
        depths = {} if self.deepest is None else {"minimum_depth": 0.0, "maximum_depth": self.deepest}
        return {
            "dataset_id": self.dataset,
            **({"dataset_part": self.part} if self.part else {}),
            "variables": list(self.variables),
            "minimum_longitude": self.box.west,
            "maximum_longitude": self.box.east,
            "minimum_latitude": self.box.south,
            "maximum_latitude": self.box.north,
            **depths,
            **({} if self.part else times),
            "output_directory": str(path.parent),
            "output_filename": path.name,
            "netcdf_compression_level": 1,
            "overwrite": True,
        }

    def command(self) -> str:
        """The request as a command line of the Copernicus Marine toolbox."""
        words = ["copernicusmarine", "subset"]
        for name, value in self.arguments().items():
            option = "--" + ("variable" if name == "variables" else name).replace("_", "-")
            for item in value if isinstance(value, list) else [value]:
                words += [option] if item is True else [option, str(item)]
        return shlex.join(words)


def box_around(site: Site, half_width: float) -> Box:
    """Bounds (rounded outward to 0.001 degrees) of the square of half side ``half_width`` km centred on a site.

    Raises
    ------
    OptionError
        If the site is not given in degrees, or the square is empty, holds a pole or goes around the Earth.
    """
    need(-180 <= site.x <= 360 and -90 <= site.y <= 90, f"--site {site.name} is not LON,LAT in degrees")
    need(half_width > 0, f"--half-width {half_width:g} must be more than 0 km")
    reach = np.rad2deg(np.sqrt(2) * half_width / EARTH_RADIUS_KM)
    need(abs(site.y) + reach < 89, f"--half-width {half_width:g} km around {site.name} reaches a pole; choose a smaller one")
    from data.lonlat import square_bounds  # xarray takes long to import, and --help need not wait for it

    west, east, south, north = square_bounds((site.x, site.y), half_width)
    west, south = (np.floor(value * 1000) / 1000 for value in (west, south))
    east, north = (np.ceil(value * 1000) / 1000 for value in (east, north))
    turn = 360 * np.floor((west + 180) / 360)
    return Box(*(round(float(value), 3) for value in (west - turn, east - turn, south, north)))


def requests(config: DownloadConfig) -> list[Request]:
    """The requests of a configuration, one for each calendar year; of an ocean the static file, and two for each month.

    Raises
    ------
    OptionError
        For a date that is none, dates in the wrong order, and what :func:`box_around` and the site table refuse.
    """
    product, site = PRODUCTS[config.product], parse_site(config.site)
    first, last = (_day(name, getattr(config, name)) for name in ("start", "end"))
    for name, day in (("start", first), ("end", last)):
        need(
            product.first <= day.year <= 2100,
            f"--{name} {day}: must lie between {product.first}-01-01 and 2100-12-31: {_whose(product)} do",
        )
    need(first <= last, f"--start {first} is after --end {last}; exchange them")
    folder, box = _folder(config), box_around(site, config.half_width or product.half_width)
    dataset, later = config.dataset or product.dataset, "" if config.dataset else product.later
    out = []
    if product.static:
        path = folder / f"{config.product}_static_{_place(config)}.nc"
        out.append(Request(product.static, STATIC_VARIABLES, box, first, last, path, part=STATIC_PART))
    for begin, end in _spans(first, last, bool(product.static)):
        name = f"{begin:%Y%m%d}-{end:%Y%m%d}.nc"
        request = Request(dataset, product.variables, box, begin, end, folder / f"{_stem(config)}_{name}", later=later)
        out.append(request)
        if product.surface:
            path = folder / f"{_stem(config)}_{'-'.join(product.surface)}_{name}"
            out.append(replace(request, variables=product.surface, path=path, deepest=SURFACE_M))
    return out


def _folder(config: DownloadConfig) -> Path:
    """Where the files go: the product's folder unless the options name one."""
    return config.out or Path(PRODUCTS[config.product].folder)


def _whose(product: Product) -> str:
    return "satellites' maps" if product.first == 1970 else "its days"


def _spans(first: date, last: date, monthly: bool) -> list[tuple[date, date]]:
    """Days of each file: whole calendar years or months, cut at the ends."""
    out = []
    while first <= last:
        month = first.month if monthly else 12
        end = date(first.year + month // 12, month % 12 + 1, 1) - timedelta(days=1)
        out.append((first, min(end, last)))
        first = end + timedelta(days=1)
    return out


def ocean_bytes_a_day(box: Box, product: Product = PRODUCTS["ocean"]) -> float:
    """Bytes of one day of an ocean as it comes, uncompressed: three-dimensional velocities, and maps at the surface."""
    points = ((box.east - box.west) * OCEAN_PARTS + 1) * ((box.north - box.south) * OCEAN_PARTS + 1)
    layered = sum(name != "zos" for name in product.variables)
    return points * VALUE_BYTES * (OCEAN_LEVELS * layered + 1 + len(product.surface))


def _size_in_words(wanted: list[Request]) -> tuple[float, str]:
    """(bytes that missing files will take, basis of the estimate): existing files, or else the number of points."""
    timed = [request for request in wanted if request.days and request.deepest is None]
    present = [request for request in timed if request.path.exists()]
    days = sum(request.days for request in timed if not request.path.exists())
    if present:
        a_day = sum(request.path.stat().st_size for request in present) / sum(request.days for request in present)
        how = f"as the {len(present)} files that are there"
    else:
        a_day, how = ocean_bytes_a_day(timed[0].box), "uncompressed: less on disk, where files are compressed"
    return days * a_day, f"{days} days of {in_words(a_day)} ({how}): about {in_words(days * a_day)}"


def main(config: DownloadConfig) -> int:
    """Print the requests, or fetch the files that are not there."""
    wanted, folder = requests(config), _folder(config)
    need(not folder.exists() or folder.is_dir(), f"--out {folder} is a file; name a folder")
    product = PRODUCTS[config.product]
    if product.static:
        size, words = _size_in_words(wanted)
        print(f"# {words}" if config.dry_run else words, flush=True)
    if config.dry_run:
        if wanted[-1].later:
            print(f"# where {wanted[-1].dataset} has ended, {wanted[-1].later} is asked for the same")
        for request in wanted:
            print(f"# {request.path} is there and would be kept" if request.path.exists() else request.command())
        return 0
    missing = [request for request in wanted if not request.path.exists()]
    if product.static and missing:
        # files come compressed: a disk without room for half of the values is too small in any case
        need_disk(folder, size / 2, "this ocean", "give fewer days or a smaller --half-width, or free space")
    toolbox: Any = _toolbox() if missing else None
    make_folder(folder)
    with FolderLock(folder, f"download-{config.product}"):
        _same_request(config, wanted[-1])
        if missing:
            _check_login(toolbox)
        with Progress(f"fetching {config.product}", "file") as bar:
            for number, request in enumerate(missing):
                bar.update(number, len(missing), request.path.name)
                _fetch(toolbox.subset, request)
            bar.update(len(missing), len(missing))
    unchanged = len(wanted) - len(missing)
    print(f"{len(missing)} files fetched, {unchanged} kept: {folder}/{_stem(config)}_*.nc")
    if product.static:
        files = f"--ocean '{folder}/{_stem(config)}_*.nc' --grid {wanted[0].path}"
        print(f"python -m lagrangian.run {files} --site {config.site}")
    return 0


def _place(config: DownloadConfig) -> str:
    return parse_site(config.site).name.replace(",", "_")


def _stem(config: DownloadConfig) -> str:
    return f"{config.product}_{_place(config)}"


def _day(name: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise OptionError(f"--{name} {text!r} is not a day; give YYYY-MM-DD") from None


def _same_request(config: DownloadConfig, request: Request) -> None:
    """Write what the folder's files are of; refuse to add files of another dataset or box to them."""
    path = _folder(config) / f"{_stem(config)}.json"
    ours = {"dataset": request.dataset, "variables": list(PRODUCTS[config.product].variables), "box": vars(request.box)}
    if path.exists():
        theirs = read_json(path).get("request", {})
        for key, value in ours.items():
            if theirs.get(key) != value:
                raise StoreError(
                    f"{_folder(config)} holds {_stem(config)} files of another {key} ({theirs.get(key)}, now {value}); "
                    "choose another --out"
                )
    else:
        write_json(path, {**provenance(config), "request": ours})


# -- the toolbox -----------------------------------------------------------------------------------------------------
def _toolbox():
    """The module ``copernicusmarine``."""
    try:
        module = importlib.import_module("copernicusmarine")
    except ImportError as error:
        why = "is not installed" if getattr(error, "name", None) == "copernicusmarine" else f"cannot be used ({one_line(error)})"
        raise OptionError(
            f"the Copernicus Marine toolbox {why}: pip install 'catchment-toolkit[download]' "
            "(--dry-run prints the requests without it)"
        ) from None
    version = str(getattr(module, "__version__", "2"))
    need(not version.startswith(("0.", "1.")), f"copernicusmarine {version} is too old: pip install -U 'copernicusmarine>=2'")
    return module


def _check_login(toolbox) -> None:
    """Refuse before the toolbox would ask for a name and a password."""
    logger = logging.getLogger("copernicusmarine")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # it would tell in several lines what ours tells in one
    try:
        valid = toolbox.login(check_credentials_valid=True)
    except Exception as error:
        raise _refusal(error) from error
    finally:
        logger.setLevel(level)
    if not valid:
        raise _not_logged_in("no valid name and password are stored")


def _fetch(subset: Callable, request: Request) -> None:
    """Fetch one file aside, check it, and rename it."""
    logger = logging.getLogger("copernicusmarine")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with written_aside(request.path, ".nc") as aside:  # the toolbox wants the ending
            answer = subset(**request.arguments(aside), disable_progress_bar=True)
            if not aside.exists():
                # the toolbox returns nothing where its question for a password was not answered
                raise (
                    _not_logged_in("it asked for a name and a password")
                    if answer is None
                    else InputError(f"{request.path}: the toolbox wrote no file; give the same command again")
                )
            days = _checked(aside, request)
    except (InputError, OptionError):
        raise
    except Exception as error:
        if request.later and "CoordinatesOutOfDatasetBounds" in {kind.__name__ for kind in type(error).__mro__}:
            print(f"{request.path.name}: {request.dataset} has ended; it comes of {request.later}", file=sys.stderr)
            return _fetch(subset, replace(request, dataset=request.later, later=""))
        raise _refusal(error, request) from error
    finally:
        logger.setLevel(level)
    if days < request.days:
        print(f"{request.path}: {days} of {request.days} days; the dataset has no more there", file=sys.stderr)


def _checked(path: Path, request: Request) -> int:
    """Number of times in a file that has just come."""
    try:
        with netCDF4.Dataset(path) as file:
            lacking = [name for name in request.variables if name not in file.variables]
            days = file.dimensions["time"].size if "time" in file.dimensions else 0
    except OSError as error:
        raise InputError(
            f"{request.path}: the fetched file is no netCDF file ({one_line(error)}); give the same command again"
        ) from error
    if lacking or not (days or request.part):
        lack = f"no variable {', '.join(lacking)}" if lacking else "no day"
        raise InputError(f"{request.path}: the file of {request.dataset} has {lack}; check --dataset, --start and --end")
    return 0 if request.part else days


def _not_logged_in(why: str) -> OptionError:
    return OptionError(
        f"not logged in to the Copernicus Marine Service ({why}): give 'copernicusmarine login' once "
        "(a free account: https://data.marine.copernicus.eu/register)"
    )


def _refusal(error: Exception, request: Request | None = None) -> Exception:
    """Our line for an exception of the toolbox, told by the names of its classes so that none is imported."""
    names = {kind.__name__ for kind in type(error).__mro__}
    problem = f"{type(error).__name__}: {one_line(error)}" if str(error) else type(error).__name__
    where = f"{request.dataset}, {request.first} to {request.last}" if request else "Copernicus Marine Service"
    if names & {"CredentialsCannotBeNone", "InvalidUsernameOrPassword"}:
        return _not_logged_in(problem)
    if "CouldNotConnectToAuthenticationSystem" in names:
        return InputError(
            "auth.marine.copernicus.eu cannot be reached (CouldNotConnectToAuthenticationSystem); "
            "check the network and give the same command again; what was finished is kept"
        )
    if names & {"DatasetNotFound", "VariableDoesNotExistInTheDataset"}:
        kinds = [(product.dataset, *product.others) for product in PRODUCTS.values()]
        more = [name for names in kinds if request and request.dataset in names for name in names if name != request.dataset]
        listed = f" ({' or '.join(more)})" if more else ""
        return OptionError(f"{where}: {problem}; name another --dataset{listed}; 'copernicusmarine describe' lists them")
    if "CoordinatesOutOfDatasetBounds" in names:
        return OptionError(f"{where}: {problem}; choose other --start and --end, or another --dataset")
    if request and isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
        return cannot_write(request.path, error)
    return InputError(f"{where}: fetching failed ({problem}); what was finished is kept, the same command goes on from there")


if __name__ == "__main__":
    sys.exit(run_command(DownloadConfig, main, prog="data.download"))
