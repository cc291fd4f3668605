"""The CROCO reader: every form of the files, every trap in them, and the line for what is beyond help."""

from __future__ import annotations

import pickle
import re
import shutil
import threading
from pathlib import Path

import netCDF4
import numpy as np
import pytest

from data import spherical_defaults
from data.croco import OPEN_FILES, open_croco
from data.errors import InputError, OptionError
from data.ocean import Ocean
from data.vertical import SCoordinate

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED = REPOSITORY.parent / "shared" / "data" / "croco"
SAMPLE = REPOSITORY / "tests" / "data" / "croco_sample" / "croco_his.nc"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the real CROCO files (shared/data/croco) are not here")

DAY = np.timedelta64(1, "D")


def refusal(*args, error=InputError, **options):
    """The line with which opening is refused."""
    with pytest.raises(error) as caught:
        open_croco(*args, **options)
    return one_line(caught)


def one_line(caught):
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) > 20
    return text


def assumptions(ocean):
    return " | ".join(ocean.description["assumptions"])


def seconds(ocean):
    """Times as seconds after the default origin."""
    return (ocean.times - np.datetime64("2000-01-01")) / np.timedelta64(1, "s")


# -- what a plain file gives ---------------------------------------------------------------------------------


def test_is_an_ocean_with_the_values_of_the_file(croco_file, tiny_sea):
    sea = tiny_sea()
    ocean = open_croco(croco_file(sea=sea))
    assert isinstance(ocean, Ocean)
    assert ocean.variables == {"w", "omega", "temp"}
    assert len(ocean) == 3
    for index in range(3):
        snapshot = ocean.snapshot(index, ("w", "omega", "temp"))
        assert snapshot.time == ocean.times[index]
        for name in ("u", "v", "zeta", "w", "omega", "temp"):
            value = getattr(snapshot, name)
            assert value.dtype == np.float32 and value.flags.c_contiguous
            np.testing.assert_array_equal(value, getattr(sea, name)[index].astype(np.float32))
    np.testing.assert_array_equal(ocean.grid.h, sea.h)
    np.testing.assert_array_equal(ocean.grid.mask_rho, sea.mask)


def test_only_what_is_asked_for_is_read(croco_file):
    snapshot = open_croco(croco_file()).snapshot(0, ("temp",))
    assert snapshot.temp is not None
    assert snapshot.w is None and snapshot.omega is None


@pytest.mark.parametrize("vtransform", [1, 2])
def test_levels_end_at_floor_and_surface(croco_file, vtransform):
    ocean = open_croco(croco_file(vtransform=vtransform))
    zeta = ocean.snapshot(1).zeta.astype(np.float64)
    z_w = ocean.vertical.z_w(ocean.grid.h, zeta)
    np.testing.assert_allclose(z_w[0], -ocean.grid.h, rtol=1e-14)
    np.testing.assert_array_equal(z_w[-1], zeta)
    assert (np.diff(z_w, axis=0) > 0).all()


def test_description_is_complete(croco_file):
    path = croco_file()
    description = open_croco(path).description
    assert description == {
        "kind": "croco",
        "files": [path],
        "grid_file": None,
        "assumptions": ["times have no date (second): counted from 2000-01-01"],
        "vtransform": 2,
        "records": 3,
        "first": "2000-01-01T00:00:00",
        "last": "2000-01-02T00:00:00",
    }


def test_snapshot_out_of_range(croco_file):
    ocean = open_croco(croco_file())
    assert ocean.snapshot(-1).time == ocean.times[2]
    with pytest.raises(IndexError):
        ocean.snapshot(3)
    with pytest.raises(ValueError, match="salt"):
        ocean.snapshot(0, ("salt",))


def test_survives_pickling_and_closing(croco_file):
    ocean = open_croco(croco_file())
    copy = pickle.loads(pickle.dumps(ocean))
    ocean.close()
    np.testing.assert_array_equal(copy.snapshot(2).u, ocean.snapshot(2).u)


def test_threads_share_one_ocean(croco_file, tiny_sea):
    paths = [croco_file(f"{k}.nc", tiny_sea(times=(86_400.0 * k, 86_400.0 * k + 43_200), seed=k)) for k in range(OPEN_FILES + 2)]
    ocean = open_croco(paths)
    expected = [ocean.snapshot(index).u for index in range(len(ocean))]
    wrong = []

    def read(start):
        for step in range(60):
            index = (start + step) % len(ocean)
            if not np.array_equal(ocean.snapshot(index).u, expected[index]):
                wrong.append(index)

    threads = [threading.Thread(target=read, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(ocean._handles._open) <= OPEN_FILES


# -- several files -------------------------------------------------------------------------------------------


def test_files_in_any_order_and_patterns(croco_file, tiny_sea, tmp_path):
    a = croco_file("his.0.nc", tiny_sea(times=(0.0, 43_200.0), seed=1))
    b = croco_file("his.1.nc", tiny_sea(times=(86_400.0, 129_600.0), seed=2), with_grid=False)
    forward, backward, pattern = (
        open_croco([a, b]),
        open_croco([b, a]),
        open_croco(str(tmp_path / "his.*.nc")),
    )
    for ocean in (forward, backward, pattern):
        assert list(seconds(ocean)) == [0, 43_200, 86_400, 129_600]
        assert ocean.description["files"] == [a, b]
        assert [ocean.record(k) for k in range(4)] == [(a, 0), (a, 1), (b, 0), (b, 1)]
    np.testing.assert_array_equal(forward.snapshot(2).u, backward.snapshot(2).u)


def test_of_a_doubled_instant_the_later_file_counts(croco_file, tiny_sea):
    late = tiny_sea(times=(43_200.0, 86_400.0), seed=2)
    b = croco_file("b.nc", late)
    a = croco_file("a.nc", tiny_sea(times=(0.0, 43_200.0), seed=1))
    ocean = open_croco([b, a])
    assert list(seconds(ocean)) == [0, 43_200, 86_400]
    assert ocean.record(1) == (b, 0)
    np.testing.assert_array_equal(ocean.snapshot(1).u, late.u[0].astype(np.float32))
    assert "1 instant(s) stand in two files (first 2000-01-01T12:00:00)" in assumptions(ocean)


def test_interleaved_files_are_sorted(croco_file, tiny_sea):
    a = croco_file("a.nc", tiny_sea(times=(0.0, 86_400.0)))
    b = croco_file("b.nc", tiny_sea(times=(43_200.0, 129_600.0)))
    ocean = open_croco([a, b])
    assert [ocean.record(k) for k in range(4)] == [(a, 0), (b, 0), (a, 1), (b, 1)]
    assert (np.diff(ocean.times) > 0).all()


def test_the_same_file_named_twice_counts_once(croco_file, tmp_path):
    path = croco_file()
    ocean = open_croco([path, str(tmp_path / "*.nc")])
    assert ocean.description["files"] == [path]
    assert "two files" not in assumptions(ocean)


def test_a_file_without_records_is_passed_over(croco_file, tiny_sea):
    a = croco_file("a.nc", tiny_sea(times=()))
    b = croco_file("b.nc", with_grid=False)
    ocean = open_croco([a, b])
    assert len(ocean) == 3
    assert f"{a}: no records" in assumptions(ocean)
    assert "no records" in refusal(a)


def test_files_of_two_kinds_are_refused(croco_file):
    a = croco_file("his.nc")
    b = croco_file("avg.nc", edit=lambda new: new.setncattr("type", "ROMS averages file"))
    text = refusal([a, b])
    assert "average file" in text and "history file" in text
    assert len(open_croco(b)) == 3


def test_files_of_two_grids_are_refused(croco_file, tmp_path):
    a = croco_file("a.nc")
    with netCDF4.Dataset(a) as old, netCDF4.Dataset(tmp_path / "b.nc", "w") as new:
        for name, dimension in old.dimensions.items():
            new.createDimension(name, len(dimension) - (name in ("eta_rho", "eta_v")))
        for name in ("time", "u", "v", "zeta"):
            new.createVariable(name, "f8", old[name].dimensions)[...] = 0
        new["time"][:] = [0, 1, 2]
    assert "all files must share one grid" in refusal([a, str(tmp_path / "b.nc")])


def test_dated_and_undated_files_do_not_mix(croco_file):
    a = croco_file("a.nc", time_units="seconds since 2001-01-01")
    b = croco_file("b.nc", time_units="second")
    text = refusal([a, b])
    assert text.startswith(b) and "no date" in text


def test_variables_are_those_of_all_files(croco_file, tiny_sea):
    a = croco_file("a.nc")
    b = croco_file("b.nc", tiny_sea(times=(129_600.0,)), extra=("temp",))
    ocean = open_croco([a, b])
    assert ocean.variables == {"temp"}
    assert f"w is not used: {b} lacks it" in assumptions(ocean)
    with pytest.raises(InputError) as caught:
        ocean.snapshot(0, ("w",))
    assert "no usable variable w" in one_line(caught)


# -- time ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["time", "scrum_time", "ocean_time"])
@pytest.mark.parametrize(
    ("units", "dated"),
    [
        ("second", False),
        ("", False),
        (None, False),
        ("seconds since initialization", False),
        ("seconds since 0001-01-01 00:00:00", False),
        ("seconds since 2000-01-01", True),
        ("seconds since 2000-01-01T00:00:00Z", True),
    ],
)
def test_names_and_units_of_time(croco_file, name, units, dated):
    ocean = open_croco(croco_file(time_name=name, time_units=units))
    assert list(seconds(ocean)) == [0, 43_200, 86_400]
    assert ocean.times.dtype == "datetime64[ns]"
    assert bool(ocean.description["assumptions"]) != dated
    assert ("2000-01-01" in assumptions(ocean)) != dated


@pytest.mark.parametrize(
    ("units", "calendar", "times"),
    [
        ("days since 1999-12-31 12:00", "gregorian", (0.5, 1.0, 1.5)),
        ("hours since 2000-01-01 01:00 +01:00", "proleptic_gregorian", (0.0, 12.0, 24.0)),
        ("days since 1858-11-17", "standard", (51544.0, 51544.5, 51545.0)),
        (
            "seconds since 0001-01-01",
            "gregorian_proleptic",
            tuple(63082281600.0 + 43200 * k for k in range(3)),
        ),
        ("days", None, (0.0, 0.5, 1.0)),
        ("Hours", None, (0.0, 12.0, 24.0)),
        ("min", None, (0.0, 720.0, 1440.0)),
        ("hours since 0001-01-01", "noleap", (0.0, 12.0, 24.0)),
    ],
)
def test_units_and_calendars_of_time(croco_file, tiny_sea, units, calendar, times):
    ocean = open_croco(croco_file(sea=tiny_sea(times=times), time_units=units, calendar=calendar))
    assert list(seconds(ocean)) == [0, 43_200, 86_400]


def test_the_dated_of_two_time_variables_counts(croco_file):
    def edit(new):
        new.createVariable("ocean_time", "f8", ("time",))[:] = [1.0, 2.0, 3.0]
        new["ocean_time"].units = "days since 2010-01-01"

    ocean = open_croco(croco_file(edit=edit))
    assert ocean.times[0] == np.datetime64("2010-01-02")
    assert ocean.times[2] - ocean.times[0] == 2 * DAY


def test_time_origin(croco_file):
    path = croco_file()
    for origin in ("1993-01-01", np.datetime64("1993-01-01T00:00:00")):
        ocean = open_croco(path, time_origin=origin)
        assert ocean.times[0] == np.datetime64("1993-01-01")
        assert "1993-01-01" in assumptions(ocean)
    for origin in ("soon", "1993-13-01", "20000101", "NaT", "now", "today", ""):
        assert "--time-origin" in refusal(path, time_origin=origin, error=OptionError)


@pytest.mark.parametrize("calendar", ["360_day", "noleap", "julian", "none"])
def test_other_calendars_are_refused(croco_file, calendar):
    text = refusal(croco_file(time_units="days since 2000-01-01", calendar=calendar))
    assert calendar in text and "time" in text


@pytest.mark.parametrize(
    ("times", "words"),
    [
        ((0.0, 86_400.0, 43_200.0), "does not increase from record 1 (86400) to 2 (43200)"),
        ((0.0, 43_200.0, 43_200.0), "does not increase from record 1"),
        ((0.0, np.nan, 43_200.0), "NaN or a fill value in record 1"),
        ((0.0, 43_200.0, 9.969209968386869e36), "NaN or a fill value in record 2"),
        ((0.0, 43_200.0, 1e15), "beyond the years"),
    ],
)
def test_impossible_times_are_refused(croco_file, tiny_sea, times, words):
    path = croco_file(sea=tiny_sea(times=times))
    text = refusal(path)
    assert path in text and "time" in text and words in text


def test_holes_in_the_record_are_refused_or_told(croco_file, tiny_sea):
    hours = 3600.0 * np.array([0, 12, 24, 36, 72, 84, 96, 204])
    paths = [croco_file(name, sea=tiny_sea(times=tuple(part))) for name, part in (("a.nc", hours[:4]), ("b.nc", hours[4:]))]
    text = refusal(paths)
    assert "b.nc: no record between 2000-01-05T00:00 and 2000-01-09T12:00 (4.5 days, where 0.5 days are usual, and 1 more" in text
    assert "--allow-gaps" in text and "a.nc" not in text
    ocean = open_croco(paths, allow_gaps=True)
    assert any("interpolated in time across" in note for note in ocean.description["assumptions"])
    # the missing month of a series of files
    late = croco_file("d.nc", sea=tiny_sea(times=(6e5, 6.4e5)))
    text = refusal([croco_file("c.nc", sea=tiny_sea(times=tuple(hours[:4]))), late])
    assert "c.nc and " in text and "d.nc" in text
    # months are not all of one length
    months = 86_400.0 * np.cumsum([0, 31, 28, 31, 30, 31])
    notes = open_croco(croco_file("m.nc", sea=tiny_sea(times=tuple(months)))).description["assumptions"]
    assert not any("no record between" in note for note in notes)


@pytest.mark.parametrize("units", ["fortnights", "months since 2000-01-01", "seconds since 2000-99-01"])
def test_unreadable_units_of_time_are_refused(croco_file, units):
    text = refusal(croco_file(time_units=units))
    assert units in text and "cannot be read" in text


def test_no_time_variable(croco_file):
    assert "no time variable" in refusal(croco_file(without=("time",)))


def test_a_single_record_without_a_dimension_of_time(croco_file, tiny_sea, tmp_path):
    sea = tiny_sea()
    with netCDF4.Dataset(croco_file(sea=sea)) as old, netCDF4.Dataset(tmp_path / "one.nc", "w") as new:
        for name, dimension in old.dimensions.items():
            if name != "time":
                new.createDimension(name, len(dimension))
        for name, variable in old.variables.items():
            timed = variable.dimensions[:1] == ("time",)
            copy = new.createVariable(name, variable.dtype, variable.dimensions[1 if timed else 0 :])
            copy[...] = variable[1] if timed else variable[...]
        new["time"].units = "second"
    ocean = open_croco(tmp_path / "one.nc")
    assert list(seconds(ocean)) == [43_200]
    np.testing.assert_array_equal(ocean.snapshot(0).v, sea.v[1].astype(np.float32))


# -- s-coordinate --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vtransform", [1, 2])
@pytest.mark.parametrize("levels", ["variables", "attributes", "theta"])
@pytest.mark.parametrize("vtransform_as", ["variable", "VertCoordType", "CPP-options"])
def test_every_way_to_give_the_levels(croco_file, vtransform, levels, vtransform_as):
    path = croco_file(vtransform=vtransform, levels=levels, vtransform_as=vtransform_as)
    ocean = open_croco(path)
    expected = SCoordinate.from_stretching(5, 5.0, 0.4, 20.0, vtransform)
    assert ocean.vertical.vtransform == ocean.description["vtransform"] == vtransform
    assert ocean.vertical.hc == 20
    for name in ("s_rho", "cs_rho", "s_w", "cs_w"):
        np.testing.assert_allclose(getattr(ocean.vertical, name), getattr(expected, name), atol=1e-7)
    assert ("computed from theta_s" in assumptions(ocean)) == (levels == "theta")
    assert ("Vtransform 1" in assumptions(ocean)) == (vtransform == 1 and vtransform_as != "variable")


def test_an_index_is_no_level(croco_file):
    def edit(new):
        new.createVariable("s_rho", "f4", ("s_rho",))[:] = np.arange(1, 6)
        new.createVariable("s_w", "f4", ("s_w",))[:] = np.arange(6)

    ocean = open_croco(croco_file(levels="attributes", edit=edit))
    np.testing.assert_allclose(ocean.vertical.s_rho, [-0.9, -0.7, -0.5, -0.3, -0.1], atol=1e-7)


def test_levels_under_their_other_names(croco_file):
    def edit(new):
        new.createVariable("s_rho", "f8", ("s_rho",))[:] = np.arange(-0.9, 0, 0.2)
        new.createVariable("s_w", "f8", ("s_w",))[:] = np.linspace(-1, 0, 6)

    ocean = open_croco(croco_file(edit=edit, without=("sc_r", "sc_w")))
    np.testing.assert_allclose(ocean.vertical.s_w, np.linspace(-1, 0, 6), atol=1e-7)
    assert "s levels" not in assumptions(ocean)


def test_missing_s_is_spaced_evenly(croco_file):
    ocean = open_croco(croco_file(without=("sc_r", "sc_w")))
    np.testing.assert_allclose(ocean.vertical.s_w, np.linspace(-1, 0, 6), atol=1e-15)
    assert "spaced evenly" in assumptions(ocean)


def test_tcline_stands_for_hc(croco_file):
    def edit(new):
        new.Tcline = np.float32(300.0)

    assert open_croco(croco_file("a.nc", without=("hc",), edit=edit)).vertical.hc == 300
    # under the old transform the shallowest point is the limit
    old = open_croco(croco_file("b.nc", without=("hc",), edit=edit, vtransform=1))
    assert old.vertical.hc == old.grid.h[old.grid.mask_rho].min()
    assert "Tcline" in assumptions(old)


def test_roms_stretching(croco_file):
    def edit(number):
        return lambda new: new.createVariable("Vstretching", "i4", ()).__setitem__(Ellipsis, number)

    song = open_croco(croco_file("a.nc", levels="theta", edit=edit(1)))
    expected = SCoordinate.from_stretching(5, 5.0, 0.4, 20.0, 1)
    np.testing.assert_allclose(song.vertical.cs_rho, expected.cs_rho, atol=1e-6)
    assert song.vertical.vtransform == 2
    assert "Vstretching 3" in refusal(croco_file("b.nc", levels="theta", edit=edit(3)))
    assert "computed" not in assumptions(open_croco(croco_file("c.nc", edit=edit(3))))


def test_levels_that_cannot_be_known(croco_file):
    text = refusal(croco_file("a.nc", levels=None))
    assert "hc" in text and "a.nc" in text
    text = refusal(croco_file("b.nc", without=("Cs_r", "Cs_w")))
    assert "Cs_r and Cs_w" in text and "theta_s" in text
    assert "hc" in refusal(croco_file("c.nc", without=("hc",)))


def test_levels_may_come_from_the_grid_file(croco_file, grid_file):
    def edit(new):
        new.setncatts({"theta_s": 5.0, "theta_b": 0.4, "hc": 20.0, "VertCoordType": "NEW"})

    path = croco_file(levels=None, vtransform_as=None)
    ocean = open_croco(path, grid=grid_file(edit=edit))
    assert ocean.vertical.vtransform == 2 and ocean.vertical.hc == 20


def test_files_cut_in_the_vertical_are_refused(croco_file):
    def upper(new):
        new["Cs_w"][:] = np.linspace(-0.5, 0, 6)

    assert "cut in the vertical" in refusal(croco_file("a.nc", edit=upper))

    def longer(new):
        new.setncatts({name: np.linspace(-1, 0, size) for name, size in (("Cs_r", 9), ("Cs_w", 10))})
        new.setncatts({"theta_s": 5.0, "theta_b": 0.4, "hc": 20.0})

    assert "cut in the vertical" in refusal(croco_file("b.nc", levels=None, edit=longer))


def test_impossible_levels_are_refused(croco_file):
    def transform(new):
        new["Vtransform"][...] = 3

    assert "Vtransform 3" in refusal(croco_file("a.nc", edit=transform))

    def deep(new):
        new["hc"][...] = 4000

    assert "layers fold" in refusal(croco_file("b.nc", vtransform=1, edit=deep))


# -- horizontal grid -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("positions", ["lonlat", "1d", "plain"])
def test_positions_in_degrees(croco_file, positions):
    grid = open_croco(croco_file(positions=positions)).grid
    assert grid.spherical and grid.degrees
    np.testing.assert_allclose(grid.x_rho[3], -20 + 0.1 * np.arange(7))
    np.testing.assert_allclose(grid.y_rho[:, 3], 45 + 0.08 * np.arange(6))


def test_positions_in_metres(croco_file):
    ocean = open_croco(croco_file(positions="xy", without=("f", "angle")))
    grid = ocean.grid
    assert not grid.spherical
    assert grid.x_rho[0, 1] == 8000 and grid.y_rho[1, 0] == 9000
    assert (grid.coriolis == 0).all() and (grid.angle == 0).all()
    assert "no f" in assumptions(ocean) and "no angle" in assumptions(ocean)


def test_positions_in_kilometres(croco_file):
    def edit(new):
        for name in ("x_rho", "y_rho"):
            new[name][:] = new[name][:] / 1000
            new[name].units = "km"

    assert open_croco(croco_file(positions="xy", edit=edit)).grid.x_rho[0, 1] == 8000


@pytest.mark.parametrize("flag", ["T", "F", 1, 0, None, " "])
def test_spherical_flag(croco_file, flag):
    """A file with both kinds of positions: the flag tells; where it does not, degrees are used."""

    def edit(new):
        x, y = np.meshgrid(7800.0 * np.arange(7), 8900.0 * np.arange(6))
        new.createVariable("x_rho", "f8", ("eta_rho", "xi_rho"))[:] = x
        new.createVariable("y_rho", "f8", ("eta_rho", "xi_rho"))[:] = y
        if isinstance(flag, str):
            new.createVariable("spherical", "S1", ())[...] = flag.encode()
        elif flag is not None:
            new.createVariable("spherical", "i4", ())[...] = flag

    path = croco_file(edit=edit, without=("spherical",))
    assert open_croco(path).grid.spherical == (flag not in ("F", 0))
    assert open_croco(path, spherical=True).grid.spherical
    assert not open_croco(path, spherical=False).grid.spherical


def test_a_flag_that_contradicts_the_variables_is_passed_over(croco_file):
    def edit(new):
        new["spherical"][...] = b"F"

    path = croco_file(edit=edit)
    ocean = open_croco(path)
    assert ocean.grid.spherical and "spherical says metres" in assumptions(ocean)
    assert "x_rho and y_rho" in refusal(path, spherical=False)


def test_what_the_grid_leaves_out_is_computed(croco_file):
    full = open_croco(croco_file("a.nc")).grid
    ocean = open_croco(croco_file("b.nc", without=("pm", "pn", "angle", "f", "mask_rho")))
    grid = ocean.grid
    np.testing.assert_allclose(grid.pm, full.pm, rtol=1e-5)
    np.testing.assert_allclose(grid.pn, full.pn, rtol=1e-5)
    np.testing.assert_allclose(grid.angle, 0, atol=1e-5)
    np.testing.assert_allclose(grid.coriolis, 2 * 7.292115e-5 * np.sin(np.deg2rad(full.y_rho)))
    assert grid.mask_rho.all()
    for words in ("no pm, pn", "no angle", "no f", "no mask_rho"):
        assert words in assumptions(ocean)


def turned_by_30_degrees(new):
    """Put the rho points where a grid of the same cells lies whose xi axis points 30 degrees north of east."""
    from data.sphere import lon_lat

    km = 1e-3 / new["pm"][:].mean(), 1e-3 / new["pn"][:].mean()
    xi, eta = np.meshgrid(km[0] * np.arange(7), km[1] * np.arange(6))
    turn = np.pi / 6
    new["lon_rho"][:], new["lat_rho"][:] = lon_lat(
        xi * np.cos(turn) - eta * np.sin(turn), xi * np.sin(turn) + eta * np.cos(turn), -20.0, 45.0
    )
    new["pm"][:], new["pn"][:] = 1e-3 / km[0], 1e-3 / km[1]


def test_angle_in_degrees(croco_file):
    def edit(new):
        new["angle"][:] = 30.0
        new["angle"].units = "degrees"
        turned_by_30_degrees(new)

    np.testing.assert_allclose(open_croco(croco_file("a.nc", edit=edit)).grid.angle, np.pi / 6)

    def unlabelled(new):
        new["angle"][:] = 30.0

    ocean = open_croco(croco_file("b.nc", edit=unlabelled))
    np.testing.assert_allclose(ocean.grid.angle, 0, atol=1e-5)
    assert "exceeds 2 pi" in assumptions(ocean)


def test_grid_file_fills_in(croco_file, grid_file):
    path = croco_file(with_grid=False)
    assert "no variable h" in refusal(path) and "--grid" in refusal(path)
    grid = grid_file()
    ocean = open_croco(path, grid=grid)
    assert ocean.description["grid_file"] == grid
    np.testing.assert_array_equal(ocean.grid.h, open_croco(croco_file("whole.nc")).grid.h)


def test_history_wins_over_the_grid_file(croco_file, grid_file, tiny_sea):
    def edit(new):
        new["h"][:] = 500.0

    grid = grid_file(edit=edit)
    np.testing.assert_array_equal(open_croco(croco_file("a.nc"), grid=grid).grid.h, tiny_sea().h)

    def gap(new):
        new["h"][4, 4] = np.nan

    assert (open_croco(croco_file("b.nc", edit=gap), grid=grid).grid.h == 500).all()
    assert "missing values in the sea" in refusal(croco_file("c.nc", edit=gap))


def test_larger_grid_file_is_refused(croco_file, tmp_path):
    with netCDF4.Dataset(tmp_path / "big.nc", "w") as new:
        new.createDimension("eta_rho", 20)
        new.createDimension("xi_rho", 30)
        new.createVariable("h", "f8", ("eta_rho", "xi_rho"))[:] = 100
    text = refusal(croco_file(), grid=tmp_path / "big.nc")
    assert "(20, 30)" in text and "(6, 7)" in text and "big.nc" in text


def test_static_fields_repeated_along_time(croco_file, tmp_path):
    with netCDF4.Dataset(croco_file()) as old, netCDF4.Dataset(tmp_path / "joined.nc", "w") as new:
        for name, dimension in old.dimensions.items():
            new.createDimension(name, len(dimension))
        for name, variable in old.variables.items():
            timed = variable.dimensions[:1] == ("time",) or name == "spherical"
            dimensions = variable.dimensions if timed else ("time", *variable.dimensions)
            new.createVariable(name, variable.dtype, dimensions)[...] = variable[...]
        new["time"].units = "second"
    joined, plain = open_croco(tmp_path / "joined.nc"), open_croco(tmp_path / "his.nc")
    np.testing.assert_array_equal(joined.grid.h, plain.grid.h)
    np.testing.assert_array_equal(joined.vertical.cs_w, plain.vertical.cs_w)


def test_static_fields_missing_on_land(croco_file):
    def edit(new):
        for name in ("h", "pm", "pn", "f", "angle", "mask_rho"):
            new[name][2, 3] = np.nan

    grid = open_croco(croco_file("a.nc", edit=edit)).grid
    assert not grid.mask_rho[2, 3]
    for name in ("h", "pm", "pn", "coriolis", "angle"):
        assert np.isfinite(getattr(grid, name)).all()

    def nowhere(new):
        new["lon_rho"][2, 3] = 1e33

    assert "--grid" in refusal(croco_file("b.nc", edit=nowhere))


def test_positions_must_fit_the_metrics(croco_file):
    def thinned(new):
        new["pm"][:] = 2 * new["pm"][:]

    text = refusal(croco_file("a.nc", edit=thinned))
    assert "pm" in text and "0.5 times" in text

    def piled(new):
        new["lon_rho"][:] = 0

    assert "same position" in refusal(croco_file("b.nc", edit=piled))


def test_all_land_is_refused(croco_file):
    def edit(new):
        new["mask_rho"][:] = 0

    assert "every point as land" in refusal(croco_file(edit=edit))


@pytest.mark.parametrize("turn", [0.0, 0.4, -1.2, 3.0])
def test_metrics_and_angle_of_a_rotated_grid(turn):
    """A grid laid out in the local frame of its centre, over the date line."""
    from data.sphere import lon_lat

    xi, eta = np.meshgrid(np.arange(-4, 5), np.arange(-3, 4))
    east = 5 * xi * np.cos(turn) - 3 * eta * np.sin(turn)
    north = 5 * xi * np.sin(turn) + 3 * eta * np.cos(turn)
    lon, lat = lon_lat(east, north, 179.95, 40.0)
    lon = np.mod(lon + 180, 360) - 180
    pm, pn = spherical_defaults.metrics(lon, lat, True)
    np.testing.assert_allclose(pm, 1 / 5000, rtol=1e-5)
    np.testing.assert_allclose(pn, 1 / 3000, rtol=1e-5)
    angle = spherical_defaults.rotation(lon, lat, True)
    np.testing.assert_allclose(angle[3, 4], turn, atol=1e-6)
    # meridians converge: a straight line to the east turns south by sin(latitude) times the longitude passed
    convergence = np.deg2rad(np.mod(lon - 179.95 + 180, 360) - 180) * np.sin(np.deg2rad(40.0))
    np.testing.assert_allclose(np.angle(np.exp(1j * (angle - turn + convergence))), 0, atol=2e-5)
    flat = spherical_defaults.metrics(1000 * east, 1000 * north, False)
    np.testing.assert_allclose(flat[0], 1 / 5000, rtol=1e-12)
    np.testing.assert_allclose(spherical_defaults.rotation(1000 * east, 1000 * north, False), turn, atol=1e-12)


# -- values: land, fill, packing -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("land", "fill", "packed"),
    [
        (0.0, None, False),
        (np.nan, None, False),
        (np.nan, np.nan, False),
        (1e33, None, False),
        (1e20, 1e20, False),
        (-999.0, -999.0, False),
        (-999.0, None, False),
        (9.969209968386869e36, None, False),
        (0.0, 0.0, False),
        (0.0, None, True),
        (np.nan, None, True),
    ],
)
def test_land_becomes_zero(croco_file, tiny_sea, land, fill, packed):
    sea = tiny_sea()
    ocean = open_croco(croco_file(sea=sea, land=land, fill=fill, packed=packed))
    snapshot = ocean.snapshot(1, ("w", "omega", "temp"))
    for name in ("u", "v", "zeta", "w", "omega", "temp"):
        value = getattr(snapshot, name)
        assert (value[..., ~sea.faces(name)] == 0).all()
        atol = 2e-4 if packed else 1e-6
        np.testing.assert_allclose(value, getattr(sea, name)[1], atol=atol)
        assert value.dtype == np.float32 and value.flags.c_contiguous


def test_packed_values_are_those_of_the_library(croco_file):
    path = croco_file(packed=True, land=np.nan)
    snapshot = open_croco(path).snapshot(2, ("temp",))
    with netCDF4.Dataset(path) as plain:
        for name in ("u", "v", "zeta", "temp"):
            expected = np.ma.filled(plain[name][2], 0.0).astype(np.float32)
            np.testing.assert_array_equal(getattr(snapshot, name), expected)


@pytest.mark.parametrize("bad", [np.nan, 1e33, -999.0, np.inf])
@pytest.mark.parametrize(
    ("name", "place", "point"),
    [
        ("u", (1, 2, 3, 4), "level 2, at (eta, xi) = (3, 4) of the u points"),
        ("v", (1, 0, 4, 0), "level 0, at (eta, xi) = (4, 0) of the v points"),
        ("zeta", (1, 5, 1), "at (eta, xi) = (5, 1) of the rho points"),
        ("temp", (1, 4, 0, 0), "level 4, at (eta, xi) = (0, 0) of the rho points"),
    ],
)
def test_gaps_in_the_sea_are_refused(croco_file, tiny_sea, bad, name, place, point):
    def edit(new):
        new[name][place] = bad

    a = croco_file("a.nc", tiny_sea(times=(-1e5, -5e4)), fill=-999.0)
    b = croco_file("b.nc", edit=edit, fill=-999.0)
    ocean = open_croco([a, b])
    ocean.snapshot(2, ("temp",))
    with pytest.raises(InputError) as caught:
        ocean.snapshot(3, ("temp",))
    text = one_line(caught)
    assert text.startswith(f"{b}: {name} is NaN") and "record 1 (counted from 0)" in text and point in text


def test_land_without_a_mask_is_no_guess(croco_file):
    ocean = open_croco(croco_file(land=np.nan, without=("mask_rho",)))
    with pytest.raises(InputError) as caught:
        ocean.snapshot(0)
    text = one_line(caught)
    assert "no mask_rho" in text and "--grid" in text


def test_mask_from_the_grid_file_mends_it(croco_file, grid_file):
    path = croco_file(land=np.nan, without=("mask_rho",))
    assert np.isfinite(open_croco(path, grid=grid_file()).snapshot(0).u).all()


def test_packed_gap_in_the_sea_is_refused(croco_file):
    def edit(new):
        new["u"][0, 0, 5, 5] = np.ma.masked

    with pytest.raises(InputError, match="u is NaN or a fill value inside the sea"):
        open_croco(croco_file(packed=True, edit=edit)).snapshot(0)


# -- variables and shapes ------------------------------------------------------------------------------------


def test_chunks_over_several_records(croco_file, tiny_sea):
    sea = tiny_sea()

    def edit(new):
        dimensions = ("time", "s_rho", "eta_rho", "xi_rho")
        new.createVariable("temp", "f4", dimensions, zlib=True, chunksizes=(2, 3, 4, 4))[:] = sea.temp

    ocean = open_croco(croco_file(sea=sea, extra=(), edit=edit))
    for index in (2, 1, 0):
        np.testing.assert_array_equal(ocean.snapshot(index, ("temp",)).temp, sea.temp[index].astype(np.float32))


def test_roms_names_of_dimensions(croco_file, tiny_sea):
    sea = tiny_sea()
    dims = ("eta_rho", "xi_rho", "eta_u", "xi_u", "eta_v", "xi_v")
    snapshot = open_croco(croco_file(sea=sea, dims=dims, time_name="ocean_time")).snapshot(0)
    np.testing.assert_array_equal(snapshot.v, sea.v[0].astype(np.float32))


def test_w_may_stand_on_interfaces(croco_file, tiny_sea):
    sea = tiny_sea()

    def edit(new):
        new.createVariable("w", "f4", ("time", "s_w", "eta_rho", "xi_rho"))[:] = sea.omega

    ocean = open_croco(croco_file(sea=sea, extra=(), edit=edit))
    assert ocean.variables == {"w"}
    assert ocean.snapshot(0, ("w",)).w.shape == (6, 6, 7)


def test_omega_in_another_form_is_not_used(croco_file, tiny_sea):
    def layers(new):
        new.createVariable("omega", "f4", ("time", "s_rho", "eta_rho", "xi_rho"))[:] = 0

    ocean = open_croco(croco_file("a.nc", extra=(), edit=layers))
    assert ocean.variables == frozenset() and "omega is not used" in assumptions(ocean)

    def flux(new):
        new["omega"].units = "meter3 second-1"

    ocean = open_croco(croco_file("b.nc", edit=flux))
    assert ocean.variables == {"w", "temp"} and "volume flux" in assumptions(ocean)


@pytest.mark.parametrize("name", ["u", "v", "zeta"])
def test_missing_variables_are_refused(croco_file, name):
    path = croco_file(without=(name,))
    assert refusal(path).startswith(f"{path}: no variable {name}")


def test_a_grid_file_among_the_history_files(croco_file, grid_file):
    grid = grid_file()
    text = refusal([croco_file(), grid])
    assert text.startswith(grid) and "--grid" in text
    assert "no variable h" in refusal(croco_file("b.nc"), grid=croco_file("c.nc", with_grid=False))


def test_velocities_off_their_points_are_refused(croco_file):
    def edit(new):
        new.renameVariable("u", "u_face")
        new.createVariable("u", "f4", ("time", "s_rho", "eta_rho", "xi_rho"))[:] = 0

    assert "rho points" in refusal(croco_file(edit=edit))


def test_sections_are_refused(croco_file, tmp_path):
    with netCDF4.Dataset(croco_file()) as old, netCDF4.Dataset(tmp_path / "section.nc", "w") as new:
        for name, dimension in old.dimensions.items():
            new.createDimension(name, len(dimension))
        for name in ("u", "v", "zeta"):
            new.createVariable(name, "f8", old[name].dimensions[:-1])[...] = 0
    text = refusal(tmp_path / "section.nc")
    assert "section" in text and "section.nc" in text


# -- files that cannot be read -------------------------------------------------------------------------------


def test_paths_that_lead_nowhere(tmp_path):
    assert "his.*.nc: no file matches" in refusal(str(tmp_path / "his.*.nc"))
    assert "his.nc: no such file" in refusal(tmp_path / "his.nc")
    assert "is a folder" in refusal(tmp_path)
    assert "no file is given" in refusal([])


def test_missing_grid_file(croco_file, tmp_path):
    assert "nowhere.nc: no such file" in refusal(croco_file(), grid=tmp_path / "nowhere.nc")


@pytest.mark.parametrize("content", [b"", b"depth,flux\n1,2\n"])
def test_not_netcdf(tmp_path, content):
    (tmp_path / "a.nc").write_bytes(content)
    assert "a.nc: not a netCDF file" in refusal(tmp_path / "a.nc")


@pytest.mark.parametrize("file_format", ["NETCDF4", "NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA"])
@pytest.mark.parametrize("share", [0.3, 0.9, 0.99])
def test_truncated_files(croco_file, tmp_path, file_format, share):
    path = Path(croco_file(file_format=file_format))
    assert open_croco(path).snapshot(2).u.any()
    whole = path.read_bytes()
    short = tmp_path / "short.nc"
    short.write_bytes(whole[: int(share * len(whole))])
    text = refusal(short)
    assert "short.nc" in text and "truncated" in text


def test_damaged_record(croco_file):
    """Bytes are flipped ever farther from the end, until the damage falls on a record."""
    path = Path(croco_file(storage={"zlib": True, "fletcher32": True}))
    content = path.read_bytes()
    damaged = path.with_name("damaged.nc")
    lines = []
    for start in range(len(content) - 400, 0, -400):
        flipped = bytes(byte ^ 0x55 for byte in content[start : start + 400])
        damaged.write_bytes(content[:start] + flipped + content[start + 400 :])
        try:
            ocean = open_croco(damaged)
            for index in range(3):
                ocean.snapshot(index)
        except InputError as error:
            lines.append(str(error))
            if "of record" in lines[-1]:
                break
    assert re.fullmatch(rf"{damaged}: variable \w+ of record \d cannot be read \(.*\); .* copy it again, .*", lines[-1])
    assert all(str(damaged) in line and "\n" not in line for line in lines)


def test_file_removed_after_opening(croco_file):
    path = croco_file()
    ocean = open_croco(path)
    ocean.close()
    Path(path).unlink()
    with pytest.raises(InputError, match="no such file"):
        ocean.snapshot(0)


def test_names_with_brackets(croco_file, tmp_path):
    path = shutil.copy(croco_file(), tmp_path / "run[1].nc")
    assert len(open_croco(str(path))) == 3


# -- real files ----------------------------------------------------------------------------------------------


def plain_read(path, name, record):
    with netCDF4.Dataset(path) as plain:
        return np.ma.filled(plain[name][record], 0.0)


@needs_shared
@pytest.mark.parametrize("order", [1, -1])
def test_jet_in_either_order(order):
    paths = [SHARED / "jet" / f"croco_his.{k:05d}.nc" for k in (0, 60)]
    ocean = open_croco(paths[::order])
    assert len(ocean) == 120
    assert (np.diff(ocean.times) == np.timedelta64(12, "h")).all()
    assert ocean.times[0] == np.datetime64("2000-01-01") + 90 * DAY
    assert ocean.grid.spherical and ocean.grid.shape == (63, 63)
    assert ocean.variables == {"w", "temp"}
    for index, path, record in ((0, paths[0], 0), (59, paths[0], 59), (60, paths[1], 0), (119, paths[1], 59)):
        assert ocean.record(index) == (str(path), record)
        snapshot = ocean.snapshot(index, ("w", "temp"))
        for name in ("u", "v", "zeta", "w", "temp"):
            np.testing.assert_array_equal(getattr(snapshot, name), plain_read(path, name, record))


@needs_shared
def test_jet_second_file_needs_the_grid_file():
    path = SHARED / "jet" / "croco_his.00060.nc"
    assert "--grid" in refusal(path)
    ocean = open_croco(path, grid=SHARED / "jet" / "croco_grd.nc")
    whole = open_croco(str(SHARED / "jet" / "croco_his.*.nc"))
    for name in ("h", "pm", "pn", "x_rho", "y_rho", "angle", "coriolis"):
        np.testing.assert_allclose(getattr(ocean.grid, name), getattr(whole.grid, name), rtol=1e-6, atol=1e-12)
    for name in ("s_rho", "cs_rho", "s_w", "cs_w"):
        np.testing.assert_array_equal(getattr(ocean.vertical, name), getattr(whole.vertical, name))
    assert ocean.vertical.vtransform == 2
    assert "croco_grd.nc: no variable u" in refusal(str(SHARED / "jet" / "croco_*.nc"))


@needs_shared
def test_jet_metrics_follow_from_positions():
    grid = open_croco(SHARED / "jet" / "croco_his.00000.nc").grid
    pm, pn = spherical_defaults.metrics(grid.x_rho, grid.y_rho, True)
    np.testing.assert_allclose(pm, grid.pm, rtol=2e-4)
    np.testing.assert_allclose(pn, grid.pn, rtol=2e-4)
    np.testing.assert_allclose(spherical_defaults.rotation(grid.x_rho, grid.y_rho, True), 0, atol=1e-4)
    np.testing.assert_allclose(spherical_defaults.coriolis(grid.y_rho), grid.coriolis, rtol=1e-3)


@needs_shared
@pytest.mark.parametrize(("name", "vtransform", "records"), [("canyon_his", 2, 4), ("canyon_vtransform1_his", 1, 2)])
def test_canyon(name, vtransform, records):
    path = SHARED / "canyon" / f"{name}.nc"
    ocean = open_croco(path)
    assert len(ocean) == records and ocean.vertical.vtransform == vtransform
    assert not ocean.grid.spherical and (ocean.grid.angle == 0).all() and ocean.grid.mask_rho.all()
    snapshot = ocean.snapshot(1, ("omega",))
    np.testing.assert_array_equal(snapshot.omega, plain_read(path, "omega", 1))
    z_w = ocean.vertical.z_w(ocean.grid.h, snapshot.zeta)
    np.testing.assert_allclose(z_w[0], -ocean.grid.h, rtol=1e-14)
    np.testing.assert_array_equal(z_w[-1], snapshot.zeta)


@needs_shared
def test_jet_exact_holds_omega():
    path = SHARED / "jet_exact" / "croco_his.00000.nc"
    ocean = open_croco(path)
    assert ocean.variables == {"w", "omega", "temp"}
    omega = ocean.snapshot(1, ("omega",)).omega
    assert omega.shape == (25, 63, 63)
    np.testing.assert_array_equal(omega, plain_read(path, "omega", 1))


@needs_shared
def test_parcels_tutorial_file_has_one_record():
    ocean = open_croco(SHARED / "parcels_CROCO_idealized.nc")
    assert len(ocean) == 1 and ocean.vertical.vtransform == 1
    assert not ocean.grid.spherical
    snapshot = ocean.snapshot(0, ("w", "omega"))
    assert snapshot.w.shape == (10, 52, 62) and snapshot.omega.shape == (11, 52, 62)


@needs_shared
def test_real_section_is_refused():
    text = refusal(SHARED / "xoa_croco.south-africa.meridional.nc")
    assert "section" in text and "meridional.nc" in text


def test_sample_is_a_deep_sea():
    ocean = open_croco(SAMPLE)
    assert SAMPLE.stat().st_size < 5e6
    assert (ocean.times[-1] - ocean.times[0]) / DAY >= 24
    assert ocean.grid.h.min() > 3050
    assert ocean.grid.spherical and ocean.variables == {"temp"}
    snapshot = ocean.snapshot(0, ("temp",))
    assert 0.3 < np.abs(snapshot.u).max() < 2
    assert snapshot.temp.min() > 0 and snapshot.temp.max() < 20
    z_w = ocean.vertical.z_w(ocean.grid.h, snapshot.zeta)
    np.testing.assert_allclose(z_w[0], -ocean.grid.h, rtol=1e-14)


@needs_shared
def test_sample_is_the_run():
    sample, run = open_croco(SAMPLE), open_croco(SHARED / "jet" / "croco_his.00000.nc")
    eta, xi = (
        np.argmin(np.abs(values - value))
        for values, value in (
            (run.grid.y_rho[:, 0], sample.grid.y_rho[0, 0]),
            (run.grid.x_rho[0], sample.grid.x_rho[0, 0]),
        )
    )
    ny, nx = sample.grid.shape
    window = (slice(eta, eta + ny), slice(xi, xi + nx))
    for name in ("h", "pm", "pn", "x_rho", "y_rho", "coriolis"):
        np.testing.assert_array_equal(getattr(sample.grid, name), getattr(run.grid, name)[window])
    for name in ("s_rho", "cs_rho", "s_w", "cs_w"):
        np.testing.assert_array_equal(getattr(sample.vertical, name), getattr(run.vertical, name))
    cut, whole = sample.snapshot(30), run.snapshot(30)
    assert cut.time == whole.time
    np.testing.assert_array_equal(cut.zeta, whole.zeta[window])
    np.testing.assert_allclose(cut.u, whole.u[:, eta : eta + ny, xi : xi + nx - 1], atol=5e-4)
    np.testing.assert_allclose(cut.v, whole.v[:, eta : eta + ny - 1, xi : xi + nx], atol=5e-4)


def test_grid_is_validated_by_its_own_class(croco_file):
    """A grid that HorizontalGrid refuses is refused with the name of the file."""

    def edit(new):
        new["h"][1, 1] = -3.0

    path = croco_file(edit=edit)
    assert refusal(path).startswith(f"{path}: grid: h must be finite and positive")
