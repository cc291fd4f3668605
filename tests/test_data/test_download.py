"""The download command: exact requests, resuming, and one line for everything that can go wrong. No network, no toolbox."""

from __future__ import annotations

import errno
import json
import shlex
import sys
import types
from datetime import date
from pathlib import Path

import netCDF4
import numpy as np
import pytest

from data.command import run_command
from data.download import PRODUCTS, DownloadConfig, box_around, main, requests
from data.errors import OptionError
from data.satellite import open_ssh
from data.sites import SITES, parse_site
from data.sphere import east_north

THREE_YEARS = ("ssh", "--start", "2001-11-05", "--end", "2003-02-01")
NAMES = ["ssh_pap-so_20011105-20011231.nc", "ssh_pap-so_20020101-20021231.nc", "ssh_pap-so_20030101-20030201.nc"]


class ConnectionReset(OSError):
    """What a network failure looks like: an OSError without number."""


def named(name, base=Exception):
    """An exception class of the toolbox's name."""
    return type(name, (base,), {})


class StandIn(types.ModuleType):
    """A stand-in for the module copernicusmarine: records its calls and writes small netCDF files.

    Attributes
    ----------
    failures : dict
        Exceptions to raise instead of writing, by number of the call (from 0).
    """

    __version__ = "2.2.1"

    def __init__(self):
        super().__init__("copernicusmarine")
        self.calls, self.logins, self.failures, self.valid = [], [], {}, True
        self.write = self.write_file

    def login(self, **options):
        self.logins.append(options)
        if isinstance(self.valid, Exception):
            raise self.valid
        return self.valid

    def subset(self, **arguments):
        self.calls.append(arguments)
        path = f"{arguments['output_directory']}/{arguments['output_filename']}"
        failure = self.failures.get(len(self.calls) - 1)
        if failure is not None:
            with open(path, "wb") as file:
                file.write(b"half")
            raise failure
        return self.write(path, arguments)

    def write_file(self, path, arguments, days=None):
        whole = ("start_datetime", "1950-01-01"), ("end_datetime", "1950-01-01")  # of a static file
        first, last = (np.datetime64(arguments.get(name, without)[:10]) for name, without in whole)
        with netCDF4.Dataset(path, "w") as file:
            times = np.arange(first, last + 1)[:days]
            for name, values in (
                ("time", (times - np.datetime64("1950-01-01")).astype(float) * 24),
                ("latitude", np.linspace(arguments["minimum_latitude"], arguments["maximum_latitude"], 3)),
                ("longitude", np.linspace(arguments["minimum_longitude"], arguments["maximum_longitude"], 3)),
            ):
                file.createDimension(name, len(values))
                file.createVariable(name, "f8", (name,))[:] = values
            file["time"].units = "hours since 1950-01-01"
            for name in arguments["variables"]:
                variable = file.createVariable(name, "f4", ("time", "latitude", "longitude"))
                variable.units = "m" if name in ("adt", "sla") else "m s-1"
                variable[:] = 0.5
        return types.SimpleNamespace(file_path=path)


@pytest.fixture
def toolbox(monkeypatch):
    module = StandIn()
    monkeypatch.setitem(sys.modules, "copernicusmarine", module)
    return module


@pytest.fixture
def run(tmp_path, capfd):
    """Run the command into tmp_path/maps: (exit code, stdout, stderr)."""

    def call(*arguments):
        code = run_command(
            DownloadConfig, main, prog="data.download", argv=[*map(str, arguments), "--out", str(tmp_path / "maps")]
        )
        return (code, *capfd.readouterr())

    return call


def refusal(result):
    """The one line of a refused command."""
    code, out, err = result
    assert code == 2 and out == ""
    assert err.startswith("data.download: ") and err.count("\n") == 1
    return err


def files(tmp_path):
    """Everything under the folder, hidden files too."""
    folder = tmp_path / "maps"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


# -- requests ------------------------------------------------------------------------------------------------


def test_one_exact_request_a_year(run, toolbox, tmp_path):
    code, out, _ = run(*THREE_YEARS)
    assert code == 0
    assert "3 files fetched, 0 kept" in out
    assert files(tmp_path) == ["ssh_pap-so.json", *NAMES]
    assert [(c["start_datetime"], c["end_datetime"]) for c in toolbox.calls] == [
        ("2001-11-05T00:00:00", "2001-12-31T23:59:59"),
        ("2002-01-01T00:00:00", "2002-12-31T23:59:59"),
        ("2003-01-01T00:00:00", "2003-02-01T23:59:59"),
    ]
    first = toolbox.calls[0]
    assert first["dataset_id"] == "cmems_obs-sl_glo_phy-ssh_my_allsat-l4-duacs-0.125deg_P1D"
    assert first["variables"] == ["adt", "sla", "ugos", "vgos"]
    assert first["output_directory"] == str(tmp_path / "maps")
    assert first["overwrite"] is True


def test_what_comes_is_read_by_the_satellite_reader(run, toolbox, tmp_path):
    run(*THREE_YEARS)
    maps = open_ssh(str(tmp_path / "maps" / "ssh_pap-so_*.nc"))
    assert maps.time[0] == np.datetime64("2001-11-05") and maps.time[-1] == np.datetime64("2003-02-01")
    assert maps.sizes["time"] == 454 and not maps.time_gaps


def test_default_dates_are_the_papers():
    wanted = requests(DownloadConfig("sst"))
    assert len(wanted) == 20
    assert (wanted[0].first, wanted[-1].last) == (date(2000, 1, 1), date(2019, 6, 1))
    assert sum(request.days for request in wanted) == (date(2019, 6, 1) - date(2000, 1, 1)).days + 1


@pytest.mark.parametrize("product", PRODUCTS)
def test_another_dataset(product):
    wanted = requests(DownloadConfig(product, start="2024-01-01", end="2024-01-31", dataset="some-other-id"))
    (request,) = [one for one in wanted if one.days and one.deepest is None]
    assert request.dataset == "some-other-id"
    assert request.variables == PRODUCTS[product].variables


@pytest.mark.parametrize("name", SITES)
@pytest.mark.parametrize("half_width", [400.0, 500.0])
def test_box_holds_the_square_and_no_more(name, half_width):
    site = SITES[name]
    box = box_around(site, half_width)
    n = 801 if abs(site.y) < 60 else 3201  # boxes near a pole are wide, and their corners sharp
    bounds = (box.west, box.east), (box.south, box.north)
    axes = [np.linspace(low - 1, high + 1, n) for low, high in bounds]
    for number, (low, high) in enumerate(bounds):
        # whatever lies outside of a side, or within a tenth of a degree of it
        sides = [axis[(axis < low + 0.1) | (axis > high - 0.1)] if k == number else axis for k, axis in enumerate(axes)]
        points = np.meshgrid(*sides)
        found = points[number][np.all(np.abs(east_north(*points, site.x, site.y)) <= half_width, axis=0)]
        assert low <= found.min() <= low + 0.05
        assert high - 0.05 <= found.max() <= high


def test_box_at_the_equator_by_hand():
    # 111.2 km to the degree: pi / 180 * 6371.315 km
    box = box_around(parse_site("0,0"), 111.2)
    assert box.north == pytest.approx(1.0, abs=0.002) and box.south == -box.north
    assert box.east == pytest.approx(1.0, abs=0.002) and box.west == -box.east


@pytest.mark.parametrize("lon", [179.5, 180.5, 180.0, -179.9])
def test_box_across_the_antimeridian_goes_eastward(lon):
    box = box_around(parse_site(f"{lon},-40"), 500)
    assert -180 <= box.west < 180 < box.east
    assert (box.west + box.east) / 2 == pytest.approx(lon % 360, abs=0.001)


def test_longitude_0_to_360_is_the_same_box():
    assert box_around(parse_site("343.5,49"), 500) == box_around(SITES["pap-so"], 500)


# -- dry run -------------------------------------------------------------------------------------------------


def test_dry_run_prints_commands_without_toolbox(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "copernicusmarine", None)  # importing it fails
    code, out, err = run(*THREE_YEARS, "--dry-run")
    assert (code, err) == (0, "")
    lines = [shlex.split(line) for line in out.splitlines()]
    assert len(lines) == 3 and not files(tmp_path)
    assert all(line[:2] == ["copernicusmarine", "subset"] for line in lines)
    first = lines[0]
    assert [first[i + 1] for i, word in enumerate(first) if word == "--variable"] == ["adt", "sla", "ugos", "vgos"]
    assert first[first.index("--start-datetime") + 1] == "2001-11-05T00:00:00"
    assert first[first.index("--output-filename") + 1] == NAMES[0]
    assert "True" not in first


def test_dry_run_says_what_is_there(run, toolbox):
    run(*THREE_YEARS)
    code, out, _ = run(*THREE_YEARS, "--dry-run")
    assert code == 0 and out.count("is there and would be kept") == 3
    assert len(toolbox.calls) == 3


# -- resuming ------------------------------------------------------------------------------------------------


def test_failure_in_the_middle_keeps_and_resumes(run, toolbox, tmp_path):
    toolbox.failures[1] = ConnectionReset("connection reset\nby peer")
    line = refusal(run(*THREE_YEARS))
    assert "2002-01-01 to 2002-12-31" in line and "connection reset by peer" in line and "kept" in line
    assert files(tmp_path) == ["ssh_pap-so.json", NAMES[0]]
    before = (tmp_path / "maps" / NAMES[0]).stat()
    toolbox.failures.clear()
    code, out, _ = run(*THREE_YEARS)
    assert code == 0 and "2 files fetched, 1 kept" in out
    assert [c["start_datetime"][:4] for c in toolbox.calls] == ["2001", "2002", "2002", "2003"]
    after = (tmp_path / "maps" / NAMES[0]).stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)


def test_interrupted_leaves_no_half_file(run, toolbox, tmp_path):
    toolbox.failures[0] = KeyboardInterrupt()
    code, out, err = run(*THREE_YEARS)
    assert code == 130 and out == "" and "interrupted" in err
    assert files(tmp_path) == ["ssh_pap-so.json"]


def test_all_there_needs_no_toolbox(run, toolbox, monkeypatch):
    run(*THREE_YEARS)
    monkeypatch.setitem(sys.modules, "copernicusmarine", None)
    code, out, _ = run(*THREE_YEARS)
    assert code == 0 and "0 files fetched, 3 kept" in out


@pytest.mark.parametrize(("option", "value", "word"), [("--half-width", 450, "box"), ("--dataset", "x-nrt", "dataset")])
def test_files_of_another_request_are_not_mixed(run, toolbox, option, value, word):
    run(*THREE_YEARS)
    line = refusal(run("ssh", "--start", "2001-01-01", "--end", "2004-02-01", option, value))
    assert f"another {word}" in line and "--out" in line
    assert len(toolbox.calls) == 3


def test_later_years_are_added(run, toolbox):
    run(*THREE_YEARS)
    code, out, _ = run("ssh", "--start", "2001-11-05", "--end", "2004-02-01")
    assert code == 0 and "2 files fetched, 2 kept" in out


def test_record_of_what_was_asked(run, toolbox, tmp_path):
    run(*THREE_YEARS)
    record = json.loads((tmp_path / "maps" / "ssh_pap-so.json").read_text())
    assert record["request"]["dataset"] == PRODUCTS["ssh"].dataset
    assert record["configuration"]["end"] == "2003-02-01" and "versions" in record


# -- what comes ----------------------------------------------------------------------------------------------


def test_fewer_days_are_kept_and_said(run, toolbox, tmp_path):
    toolbox.write = lambda path, arguments: toolbox.write_file(path, arguments, days=10)
    code, _, err = run("ssh", "--start", "2001-12-01", "--end", "2001-12-31")
    assert code == 0
    assert "10 of 31 days" in err
    assert "ssh_pap-so_20011201-20011231.nc" in files(tmp_path)


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda box, path, a: box.write_file(path, a | {"variables": ["adt"]}), "no variable sla, ugos, vgos"),
        (lambda box, path, a: box.write_file(path, a, days=0), "no day"),
        (lambda box, path, a: Path(path).write_text("<html>busy</html>"), "no netCDF file"),
        (lambda box, path, a: types.SimpleNamespace(file_path="?"), "wrote no file"),
        (lambda box, path, a: None, "copernicusmarine login"),
    ],
)
def test_what_came_is_checked(run, toolbox, tmp_path, write, said):
    toolbox.write = lambda path, arguments: write(toolbox, path, arguments)
    assert said in refusal(run(*THREE_YEARS))
    assert files(tmp_path) == ["ssh_pap-so.json"]


# -- account, package, network -------------------------------------------------------------------------------


def test_not_logged_in_asks_nothing(run, toolbox):
    toolbox.valid = False
    line = refusal(run(*THREE_YEARS))
    assert "not logged in" in line and "copernicusmarine login" in line
    assert toolbox.logins == [{"check_credentials_valid": True}] and not toolbox.calls


@pytest.mark.parametrize("name", ["CredentialsCannotBeNone", "InvalidUsernameOrPassword"])
@pytest.mark.parametrize("base", [Exception, ValueError])
def test_refused_password_in_the_middle(run, toolbox, name, base):
    toolbox.failures[1] = named(name, base)("Learn how to recover")
    line = refusal(run(*THREE_YEARS))
    assert "not logged in" in line and name in line


@pytest.mark.parametrize("during", ["login", "subset"])
def test_no_authentication_system(run, toolbox, during):
    error = named("CouldNotConnectToAuthenticationSystem")()
    if during == "login":
        toolbox.valid = error
    else:
        toolbox.failures[0] = error
    assert "auth.marine.copernicus.eu cannot be reached" in refusal(run(*THREE_YEARS))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (named("DatasetNotFound")("Dataset is not found"), "ssh_nrt_allsat"),
        (named("VariableDoesNotExistInTheDataset")("The variable 'adt'"), "--dataset"),
        (named("CoordinatesOutOfDatasetBounds")("time out of bounds"), "--start and --end"),
        (OSError(errno.ENOSPC, "No space left on device"), "free space"),
        (RuntimeError(), "RuntimeError"),
    ],
)
def test_failures_of_the_toolbox(run, toolbox, tmp_path, error, said):
    toolbox.failures[0] = error
    assert said in refusal(run(*THREE_YEARS))
    assert files(tmp_path) == ["ssh_pap-so.json"]


def test_missing_package(run, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "copernicusmarine", None)
    assert "pip install 'catchment-toolkit[download]'" in refusal(run(*THREE_YEARS))
    assert not files(tmp_path)


def test_old_package(run, toolbox):
    toolbox.__version__ = "1.3.4"
    assert "copernicusmarine>=2" in refusal(run(*THREE_YEARS))
    assert not toolbox.calls


# -- options -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ssh", "--start", "2003-01-01", "--end", "2002-12-31"], "after --end"),
        (["ssh", "--start", "01/02/2003"], "--start '01/02/2003' is not a day"),
        (["ssh", "--end", "2003-02-30"], "--end '2003-02-30' is not a day"),
        (["ssh", "--site", "mars"], "pap-so, bats"),
        (["ssh", "--site", "500000,200000"], "LON,LAT in degrees"),
        (["ssh", "--site", "0,86"], "reaches a pole"),
        (["ssh", "--half-width", "0"], "--half-width 0"),
        (["ssh", "--half-width", "nan"], "--half-width nan"),
        (["salinity"], "salinity"),
        ([], "ssh,sst,chlorophyll"),
    ],
)
def test_bad_options(run, toolbox, tmp_path, arguments, said):
    assert said in refusal(run(*arguments))
    assert not toolbox.calls and not files(tmp_path)


def test_out_is_a_file(run, toolbox, tmp_path):
    (tmp_path / "maps").write_text("")
    assert "name a folder" in refusal(run(*THREE_YEARS))


def test_config_file(run, toolbox, tmp_path):
    path = tmp_path / "maps.toml"
    path.write_text('product = "sst"\nsite = "aloha"\nstart = 2010-01-01\nend = "2010-01-31"\nhalf-width = 450\n')
    assert run("--config", path)[0] == 0
    (call,) = toolbox.calls
    assert call["dataset_id"] == "METOFFICE-GLO-SST-L4-REP-OBS-SST" and call["variables"] == ["analysed_sst", "mask"]
    assert call["minimum_longitude"] < -158 < call["maximum_longitude"]
    assert call["end_datetime"].startswith("2010-01-31")
    assert "sst_aloha_20100101-20100131.nc" in files(tmp_path)


def test_negative_longitude_as_site(run, toolbox, tmp_path):
    assert run("chlorophyll", "--site", "-16.5,49", "--start", "2010-01-01", "--end", "2010-01-02")[0] == 0
    assert "chlorophyll_-16.5_49_20100101-20100102.nc" in files(tmp_path)


def test_box_refuses_metres():
    with pytest.raises(OptionError, match="degrees"):
        box_around(parse_site("1000,1000"), 500)


# -- an ocean ------------------------------------------------------------------------------------------------

OCEAN = ("ocean", "--start", "2021-05-20", "--end", "2021-07-03")
MONTHS = ("20210520-20210531", "20210601-20210630", "20210701-20210703")
OCEAN_NAMES = [f"ocean_pap-so_{part}{month}.nc" for month in MONTHS for part in ("", "thetao_")]


def test_an_ocean_comes_in_months_with_its_static_file_and_surface_temperature(run, toolbox, tmp_path):
    code, out, _ = run(*OCEAN)
    assert code == 0 and "7 files fetched, 0 kept" in out
    assert files(tmp_path) == sorted(["ocean_pap-so.json", "ocean_static_pap-so.nc", *OCEAN_NAMES])
    static, velocities, surface = toolbox.calls[:3]
    assert (static["dataset_id"], static["dataset_part"]) == ("cmems_mod_glo_phy_my_0.083deg_static", "bathy")
    assert static["variables"] == ["deptho", "deptho_lev"] and "start_datetime" not in static
    assert velocities["dataset_id"] == "cmems_mod_glo_phy_my_0.083deg_P1D-m" and velocities["variables"] == ["uo", "vo", "zos"]
    assert "maximum_depth" not in velocities  # to the sea floor, which continuity needs
    assert surface["variables"] == ["thetao"] and surface["maximum_depth"] == 1.0
    assert [call["start_datetime"][:10] for call in toolbox.calls[1::2]] == ["2021-05-20", "2021-06-01", "2021-07-01"]
    assert velocities["end_datetime"] == "2021-05-31T23:59:59"
    # the command that goes on is named, and its pattern leaves the static file out
    assert "--grid" in out.splitlines()[-1] and "ocean_pap-so_*.nc" in out.splitlines()[-1]


def test_its_size_is_said_before_anything_is_fetched(run, toolbox):
    code, out, _ = run(*OCEAN, "--dry-run")
    assert code == 0 and not toolbox.calls
    box = box_around(SITES["pap-so"], 520)
    points = ((box.east - box.west) * 12 + 1) * ((box.north - box.south) * 12 + 1)
    a_day = float(out.split("days of ")[1].split(" MB")[0]) * 1e6
    assert a_day == pytest.approx(points * (2 * 50 + 2) * 4, rel=0.01)  # two velocities on 50 levels and two maps, 4 bytes
    assert out.startswith("# 45 days of") and "myint" in out
    assert sum(line.startswith("copernicusmarine subset") for line in out.splitlines()) == 7


def test_where_files_are_there_their_size_is_the_measure(run, toolbox, tmp_path):
    run("ocean", "--start", "2021-05-20", "--end", "2021-05-31")
    size = (tmp_path / "maps" / OCEAN_NAMES[0]).stat().st_size / 12
    code, out, _ = run(*OCEAN, "--dry-run")
    assert code == 0 and out.startswith(f"# 33 days of {size:.3g} B (as the 1 files that are there)")


def test_months_after_the_reanalysis_come_of_its_continuation(run, toolbox, tmp_path):
    ended = named("CoordinatesOutOfDatasetBounds")("time out of bounds")
    fetch = toolbox.subset

    def subset(**arguments):
        if arguments["dataset_id"].endswith("my_0.083deg_P1D-m") and arguments["start_datetime"] >= "2021-07":
            toolbox.calls.append(arguments)
            raise ended
        return fetch(**arguments)

    toolbox.subset = subset
    code, _, err = run(*OCEAN)
    assert code == 0 and "has ended" in err
    last = [call["dataset_id"] for call in toolbox.calls if call.get("start_datetime", "") >= "2021-07"]
    assert last == ["cmems_mod_glo_phy_my_0.083deg_P1D-m", "cmems_mod_glo_phy_myint_0.083deg_P1D-m"] * 2
    assert files(tmp_path) == sorted(["ocean_pap-so.json", "ocean_static_pap-so.nc", *OCEAN_NAMES])
    toolbox.subset = fetch


def test_beyond_both_the_refusal_is_one_line(run, toolbox, tmp_path):
    toolbox.failures.update({number: named("CoordinatesOutOfDatasetBounds")("time out of bounds") for number in (1, 2)})
    code, _, err = run(*OCEAN)
    assert code == 2 and "choose other --start and --end" in err
    assert files(tmp_path) == ["ocean_pap-so.json", "ocean_static_pap-so.nc"]


def test_an_interrupted_ocean_goes_on_where_it_was(run, toolbox, tmp_path):
    toolbox.failures[3] = ConnectionReset("connection reset")
    assert run(*OCEAN)[0] == 2
    there = files(tmp_path)
    toolbox.failures.clear()
    code, out, _ = run(*OCEAN)
    assert code == 0 and "4 files fetched, 3 kept" in out and set(there) < set(files(tmp_path))


def test_an_ocean_begins_in_1993(run, toolbox):
    assert "between 1993-01-01" in refusal(run("ocean", "--start", "1992-12-31", "--end", "1993-01-31"))
