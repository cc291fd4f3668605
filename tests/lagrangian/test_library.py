"""The library under the commands: what notebooks do with an ocean, a design and a store."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import warnings
from datetime import datetime

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from data.errors import OptionError
from data.oceans import OceanSource
from data.sphere import east_north
from data.times import parse_date
from lagrangian.backtracking import backtrack
from lagrangian.campaign import Campaign
from lagrangian.config import RunConfig
from lagrangian.design import Design
from lagrangian.experiments import design_experiments
from lagrangian.integration import Integration
from lagrangian.record import recorded_design, recorded_integration, recorded_source, run_record
from lagrangian.results import SpeedResults
from lagrangian.run import main
from lagrangian.stores import FILLED, open_pdf, open_store
from tests.lagrangian.test_campaign import analytic_ocean

DESIGN = Design.at("0,0", speeds=(300, 200), levels=(2000, 1000, 200), particles=4, positions=2, release_every=48.0, every=5.0,
                   collection=5.0)  # fmt: skip
STILL = Integration(vertical_velocity="continuity", threads=1)


pytestmark = pytest.mark.usefixtures("no_map")


@pytest.fixture(scope="module")
def ocean():
    return analytic_ocean(dx=16e3)


@pytest.fixture(scope="module")
def folder(ocean, tmp_path_factory):
    """The same run as stores, filled as the command fills them."""
    out = tmp_path_factory.mktemp("library")
    placed = design_experiments(DESIGN, ocean)
    for w in DESIGN.speeds:
        speed = SpeedResults.of(out, placed, ocean, w)
        Campaign(ocean, placed, STILL, cohorts=speed.missing(), on_result=speed.write).run()
        speed.close()
    return out


@pytest.fixture(scope="module")
def found(ocean):
    return backtrack(ocean, DESIGN, STILL)


# -- in memory -----------------------------------------------------------------------------------------------------------


def test_in_memory_there_is_what_the_stores_hold_by_the_same_names(found, folder):
    names = {name: f"particle_{name}" for name in ("x", "y", "lon", "lat")}
    for w in DESIGN.speeds:
        one = found.sel(sinking_speed=w)
        pdf, particles = open_pdf(folder / f"w{w:03.0f}" / "pdf.zarr"), open_store(folder / f"w{w:03.0f}" / "particles.zarr",
                                                                                   "particles")  # fmt: skip
        for name in (*FILLED["pdf"], "pdf"):
            xr.testing.assert_identical(one[name].variable, pdf[name].load().variable)
        for name in FILLED["particles"]:
            here = one[names.get(name, name)]
            np.testing.assert_array_equal(here.values, particles[name].values)
            assert here.dims == particles[name].dims and here.dtype == particles[name].dtype
    assert set(pdf.coords) <= set(found.coords)
    assert found["sinking_speed"].values.tolist() == [300.0, 200.0] and found["sinking_speed"].attrs["units"] == "m d-1"


def test_what_is_in_memory_can_be_selected_grouped_and_written(found, tmp_path):
    mean = found["pdf"].sel(sinking_speed=300, level=200).groupby("position").mean()
    assert mean.sizes["position"] == 4 and mean.sum(("y", "x")).values == pytest.approx(1.0)
    with warnings.catch_warnings():  # of the netCDF library, about the byte order of some types
        warnings.simplefilter("ignore", UserWarning)
        found.to_netcdf(tmp_path / "found.nc", engine="netcdf4")
    with xr.open_dataset(tmp_path / "found.nc", engine="netcdf4") as again:
        np.testing.assert_array_equal(again["counts"].values, found["counts"].values)


def test_an_ocean_of_ones_own_can_be_handed_in():
    """Anything that satisfies the interface: here a class that knows the interface alone and hands on another's values."""

    class Mine:
        def __init__(self, other):
            self.grid, self.vertical, self.times = other.grid, other.vertical, other.times
            self.variables, self.description = frozenset(), {}
            self._other = other

        def snapshot(self, index, variables=()):
            return self._other.snapshot(index, variables)

    other = analytic_ocean(days=14, dx=16e3)
    few = dataclasses.replace(DESIGN, speeds=(300.0,), positions=1)
    xr.testing.assert_equal(backtrack(Mine(other), few, STILL), backtrack(other, few, STILL))


def test_what_memory_does_not_hold_and_paths_without_a_folder_are_refused(ocean, monkeypatch):
    with pytest.raises(OptionError, match="give out=, a run folder"):
        backtrack(ocean, dataclasses.replace(DESIGN, trajectories=12.0), STILL)
    monkeypatch.setattr("data.machine.memory_bytes", lambda: 1e6)
    with pytest.raises(OptionError, match=r"2 sinking speeds would take about .* give out="):
        backtrack(ocean, dataclasses.replace(DESIGN, particles=1, release_every=120.0), STILL)


# -- into stores ---------------------------------------------------------------------------------------------------------


def test_into_stores_it_is_the_command_s_run_and_the_command_goes_on_with_it(tmp_path, capsys, monkeypatch):
    """The twin: stores of the same bytes, and nothing left to do for the command of the same options."""
    monkeypatch.setattr("data.twin.record.SEPARATION_DAYS", 1)  # of another ocean, soon made; kept apart from the user's
    monkeypatch.setattr("data.twin.record.cache_folder", lambda: tmp_path / "twin")
    config = RunConfig(years=0.1, seed=1, w=(300.0,), particles=4, positions=1, release_every=48.0, levels=(1000.0, 200.0),
                       threads=1, out=tmp_path / "command")  # fmt: skip
    assert main(config) == 0
    made = backtrack(OceanSource(years=0.1, seed=1), config.design, Integration(threads=1), out=tmp_path / "function")
    one, other = ({str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.zarr/**/*") if path.is_file()}
                  for root in (tmp_path / "command", tmp_path / "function"))  # fmt: skip
    assert one == other and len(one) > 50
    assert made["pdf"].sel(sinking_speed=300, level=200).sum(("y", "x")).values == pytest.approx(1.0)
    capsys.readouterr()
    assert main(dataclasses.replace(config, out=tmp_path / "function")) == 0
    assert "periods to do" not in capsys.readouterr().out


def test_a_run_in_an_ocean_that_was_handed_in_says_so(ocean, tmp_path, found):
    made = backtrack(ocean, DESIGN, STILL, out=tmp_path)
    np.testing.assert_array_equal(made["counts"].values, found["counts"].values)
    np.testing.assert_array_equal(made["particle_lon"].values, found["particle_lon"].values)
    record = run_record(tmp_path)
    assert recorded_design(record) == dataclasses.replace(DESIGN, start=None)
    assert recorded_integration(record).threads == 1
    with pytest.raises(Exception, match="handed in by a program"):
        recorded_source(record)


# -- designs and numerics ------------------------------------------------------------------------------------------------


def test_a_design_is_checked_where_it_is_made():
    for options, words in (
        ({"speeds": 0}, "--w 0: must be greater than 0"),
        ({"speeds": (80, 80)}, "a sinking speed is given twice"),
        ({"levels": (3500,)}, "lies at or below the trap"),
        ({"particles": 5}, "must be a square number"),
        ({"positions": "everywhere"}, "give a whole number, or 'domain'"),
        ({"speeds": "85"}, "--w '85': must be a number"),
        ({"levels": "21"}, "--levels '21': must be a number"),
        ({"trap_depth": "2000"}, "--trap-depth '2000': must be a number of m"),
        ({"collection": np.timedelta64(10, "D")}, "--collection .*: must be a number, at least 0.01"),
        ({"every": np.float32(1e9)}, r"--every 1e\+09: must be at least 0.01 and at most 36500 days"),
        ({"particles": "36"}, "--particles '36': must be a number"),
        ({"depth": 2000}, "a design has no depth; it has collection, end, every, levels"),
    ):
        with pytest.raises(OptionError, match=words):
            Design.at("pap-so", **options)
    for numerics, words in (
        (Integration(dt=0.0), "--dt 0: must be at least 0.01"),
        (Integration(dt="60"), "--dt '60': must be a number, at least 0.01"),  # type: ignore[arg-type]
        (Integration(diffusivity=10.0), "--diffusivity 10.0: must be several numbers, a tuple"),  # type: ignore[arg-type]
        (Design(trap_depth="2000"), "--trap-depth '2000': must be a number"),  # type: ignore[arg-type]
        (Integration(kernel="euler"), "--kernel 'euler': must be one of compiled, parcels"),
        (Integration(diffusivity=(10.0, 1.0)), "depths must increase from 0 m"),
    ):
        with pytest.raises(OptionError, match=words):
            numerics.validate()


def test_the_options_of_the_command_are_a_design_an_integration_and_a_source():
    config = RunConfig(w=(100.0,), site="bats", dt=30.0, seed=4, years=2.0)
    assert config.design == Design(site="bats", speeds=(100.0,)) and config.integration == Integration(dt=30.0, seed=4)
    assert config.source == OceanSource(years=2.0, seed=4)


# -- stores in notebooks -------------------------------------------------------------------------------------------------


@pytest.fixture
def pdf(folder):
    return open_pdf(folder / "w300" / "pdf.zarr")


def test_where_with_drop_works_on_what_open_pdf_gives(pdf):
    late = pdf["collection_start"].values[-1]
    kept = pdf.where(pdf["collection_start"] >= late, drop=True)
    assert kept.sizes["experiment"] == 4 and (kept["collection_start"].values == late).all()
    assert pdf.where(pdf["position"] == 2, drop=True).sizes["experiment"] == pdf.sizes["experiment"] // 4
    near = pdf["pdf"].where(np.abs(pdf["x"]) < 50, drop=True)
    assert np.abs(near["x"]).max() < 50 and near.sizes["x"] == 12


def test_groupby_season_and_month_work_on_what_open_pdf_gives(pdf):
    seasons = pdf["pdf"].groupby("collection_start.season").mean()
    assert seasons["season"].values.tolist() == ["DJF"]
    np.testing.assert_allclose(seasons.sel(season="DJF").values, pdf["pdf"].mean("experiment").values)
    assert pdf["counts"].groupby("collection_start.month").sum().sizes["month"] == 1


def test_selection_by_date_works_on_what_open_pdf_gives(pdf):
    dated = pdf.set_index(experiment="collection_start")
    first, last = (str(pdf["collection_start"].values[k])[:10] for k in (0, -1))
    assert dated.sel(experiment=last).sizes["experiment"] == 4
    assert dated.sel(experiment=slice(first, last)).sizes["experiment"] == pdf.sizes["experiment"]


def test_coordinates_of_one_dimension_are_in_memory_and_pdfs_are_not(pdf):
    assert all(isinstance(pdf[name].variable._data, np.ndarray) or name in pdf.indexes for name in pdf.coords
               if pdf[name].ndim == 1)  # fmt: skip
    assert pdf["pdf"].chunks is not None and pdf["lon"].chunks is not None


def test_bins_have_positions_about_each_trap(pdf, tmp_path):
    """On a Cartesian grid metres; on a sphere the bins lie where their displacement leads from the trap."""
    one = pdf.isel(experiment=3)
    np.testing.assert_allclose(one["lon"].values, np.broadcast_to(one["trap_lon"].values + 1000 * one["x"].values, (100, 100)))
    assert one["lat"].attrs["units"] == "m"
    degrees = pdf.drop_vars(["lon", "lat"])
    for name, place in (("trap_lon", -16.5), ("trap_lat", 49.0)):
        degrees[name] = degrees[name] * 0 + place
        degrees[name].attrs["units"] = "degrees_east" if name == "trap_lon" else "degrees_north"
    from lagrangian.stores import with_bin_positions

    placed = with_bin_positions(degrees)
    east, north = east_north(placed["lon"].values[2], placed["lat"].values[2], -16.5, 49.0)
    np.testing.assert_allclose(east, np.broadcast_to(placed["x"].values, (100, 100)), atol=1e-6)
    np.testing.assert_allclose(north, np.broadcast_to(placed["y"].values[:, None], (100, 100)), atol=1e-6)
    # experiments of the same traps at another speed: nothing is computed to find that out
    again = with_bin_positions(degrees)
    assert again["lon"].variable._data.name == placed["lon"].variable._data.name


def test_snippets_of_the_library_run_without_a_command(tmp_path):
    """As a notebook has them, in a process of its own."""
    script = (
        "from data import open_ocean, Site\nfrom lagrangian import Design, Integration, backtrack, open_pdf\n"
        "found = backtrack(open_ocean('twin', years=0.15), Design.at(Site('here', -16.5, 49.0), speeds=300, positions=1,\n"
        "    particles=1, levels=[200], release_every=120), Integration(threads=1))\n"
        "print(dict(found.sizes))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "'sinking_speed': 1" in done.stdout and "'level': 1" in done.stdout


def test_a_design_takes_the_numbers_and_dates_of_any_library():
    plain = Design.at("pap-so", speeds=(150,), levels=(200,), trap_depth=2000, positions=3, start="2001-03-01T00:00:00")
    for speed, level, depth, n in (
        (np.int64(150), np.float32(200), np.float32(2000), np.int64(3)),
        (np.array([150]), np.array([200.0]), np.array(2000), 3),
        (xr.DataArray([150.0]), xr.DataArray(200), xr.DataArray(2000.0), np.int32(3)),
        (pd.Series([150]), [np.float64(200)], 2000.0, 3),
    ):
        made = Design.at("pap-so", speeds=speed, levels=level, trap_depth=depth, positions=n, start=plain.start)
        assert made == plain and type(made.positions) is int
    instants = (np.datetime64("2001-03-01"), pd.Timestamp("2001-03-01 01:00", tz="Europe/Paris"), "2001-03-01T02:00+02:00",
                datetime(2001, 3, 1), xr.DataArray(np.datetime64("2001-03-01", "ns")))  # fmt: skip
    for instant in instants:
        start = Design.at("pap-so", start=instant).start
        assert parse_date(start, "--start") == np.datetime64("2001-03-01")
    beginning = np.datetime64("1970-01-01", "ns")  # 0, and so false, to numpy
    for instant in (beginning, xr.DataArray(beginning)):
        assert parse_date(Design.at("pap-so", start=instant).start, "--start") == beginning
    with pytest.raises(OptionError, match=r"--site \(-16.5, 49.0\): must be text"):
        Design.at((-16.5, 49.0))


def test_a_design_at_a_long_series_stands_at_its_depth_as_the_command_does():
    from data.sites import SITES
    from lagrangian.config import RunConfig

    shallow = next(site for site in SITES.values() if site.trap_depths and site.trap_depths[0] < 2500)
    for site in (shallow.name, "pap-so", "-20.3,44.9", shallow):
        design = Design.at(site)
        command = RunConfig(site=site if isinstance(site, str) else site.name).at_site()
        assert (design.trap_depth, design.levels) == (command.trap_depth, command.levels)
    assert Design.at(shallow.name).trap_depth == shallow.trap_depths[0]
    assert Design.at(shallow.name, trap_depth=3000.0).trap_depth == 3000.0
