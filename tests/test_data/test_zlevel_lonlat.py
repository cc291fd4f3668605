"""Longitude-latitude-depth files: every form that users have gives the same ocean; what cannot be right is refused or told."""

from __future__ import annotations

import pickle
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray as xr

from data.errors import InputError
from data.ocean import Ocean, preferences_of
from data.zlevel.levels import interface_depths
from data.zlevel.open import open_zlevel, recognise
from tests.builders.zlevel_files import DAY, days, write_lonlat, write_static

MODELS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "models"
LON, LAT = -20 + np.arange(12) / 8, 45 + np.arange(10) / 8
DEPTH = np.array([5.0, 15.0, 30.0, 60.0, 120.0, 250.0, 500.0, 1000.0])
TIMES = days("2001-03-01", 4, 12)


def fields(seed=0, n=4, lon=LON, lat=LAT, floor=True):
    """Smooth velocities, sea level and temperature with a coast, an island and a slope; NaN on land."""
    rng = np.random.default_rng(seed)
    shape = (n, DEPTH.size, lat.size, lon.size)
    wet = np.ones(shape[1:], bool)
    wet[:, :, 0] = False  # coast
    wet[:, 4, 5] = False  # island
    if floor:
        wet[6:, :, 8:] = False
        wet[7:, :, 6:] = False
    out = {name: rng.normal(0, size, shape).astype("f4") for name, size in (("u", 0.2), ("v", 0.2), ("temp", 2.0), ("w", 1e-4))}
    out["temp"] += 12.0
    out["zeta"] = rng.normal(0, 0.3, (n, *shape[2:])).astype("f4")
    for name in out:
        out[name][:, ~(wet if out[name].ndim == 4 else wet[0])] = np.nan
    return out, wet


FIELDS, WET = fields()


@pytest.fixture
def base(tmp_path):
    """The plain file, opened."""
    return open_zlevel(write_lonlat(tmp_path / "base.nc", LON, LAT, DEPTH, TIMES, FIELDS))


def equal(one, other, tolerance=0.0):
    """The same grid, levels, times and snapshots."""
    for name in ("h", "pm", "pn", "x_rho", "y_rho", "mask_rho"):
        np.testing.assert_allclose(getattr(one.grid, name), getattr(other.grid, name), rtol=0, atol=1e-12)
    np.testing.assert_array_equal(one.vertical.w, other.vertical.w)
    np.testing.assert_array_equal(one.times, other.times)
    for k in range(len(other)):
        a, b = one.snapshot(k, {"temp"}), other.snapshot(k, {"temp"})
        for name in ("u", "v", "zeta", "temp"):
            np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=0, atol=tolerance * (10 if name == "temp" else 1))


def test_a_file_becomes_an_a_grid_ocean_with_its_values_at_their_points(base):
    assert isinstance(base, Ocean) and base.grid.stagger == "A" and base.variables == {"temp", "w"}
    one = base.snapshot(2, {"temp", "w"})
    wet = WET[::-1]
    assert one.u.shape == (8, 10, 12) == one.w.shape
    np.testing.assert_array_equal(one.u[wet], FIELDS["u"][2, ::-1][wet])
    np.testing.assert_array_equal(one.zeta[WET[0]], FIELDS["zeta"][2][WET[0]])
    assert not one.v[:, ~WET[0]].any() and np.isfinite(one.u).all()
    # below the last wet level its value goes on
    np.testing.assert_array_equal(one.u[0, :, 9][WET[0, :, 9]], FIELDS["u"][2, 5, :, 9][WET[0, :, 9]])
    np.testing.assert_allclose(base.grid.pn[WET[0]] * 6371.0e3 * np.deg2rad(1 / 8), 1.0, rtol=2e-3)
    np.testing.assert_allclose(base.grid.pn / base.grid.pm, np.cos(np.deg2rad(base.grid.y_rho)), rtol=1e-9)
    assert base.description["kind"] == "lonlat" and base.record(3) == (base.description["files"][0], 3)
    again = pickle.loads(pickle.dumps(base)).snapshot(2)
    np.testing.assert_array_equal(again.u, one.u)


def test_without_the_sea_floor_there_is_no_continuity_and_with_a_static_file_there_is(base, tmp_path):
    why = preferences_of(base).no_continuity
    assert "deptho" in why and why in base.description["assumptions"]
    deep = np.where(WET[0], 900.0 - 40 * np.arange(12), 0.0)
    wide = np.arange(-160, -140) / 8 + 0.5 - 1.0
    floor = np.full((10, 20), 777.0)
    at = np.flatnonzero(np.isin(np.round(wide * 8), np.round(LON * 8)))
    floor[:, at] = deep
    static = write_static(tmp_path / "static.nc", wide + 360, LAT, floor)
    ocean = open_zlevel(base.description["files"], grid=static)
    assert preferences_of(ocean).no_continuity == "" and not ocean.description["assumptions"]
    np.testing.assert_allclose(ocean.grid.h[WET[0]], deep[WET[0]], rtol=1e-6)
    levels = write_static(tmp_path / "levels.nc", LON, LAT, None, levels=WET.sum(0))
    mask = write_static(tmp_path / "mask.nc", LON, LAT, None, DEPTH, mask=WET)
    for path in (levels, mask):
        ocean = open_zlevel(base.description["files"], grid=path)
        assert preferences_of(ocean).no_continuity == ""
        np.testing.assert_allclose(ocean.grid.h, base.grid.h)


def test_interfaces_of_standard_depths_are_midpoints_and_the_lowest_layer_is_whole():
    np.testing.assert_array_equal(interface_depths(np.array([0.0, 10, 20, 50, 100, 200])), [0, 5, 15, 35, 75, 150, 250])


@pytest.mark.parametrize(("share", "known"), [(0.3, True), (0.7, False)])
def test_a_floor_below_the_files_is_known_within_half_of_their_lowest_layer(tmp_path, share, known):
    path = write_lonlat(tmp_path / "base.nc", LON, LAT, DEPTH, TIMES, fields(floor=False)[0])
    edges = interface_depths(DEPTH)
    deptho = np.where(WET[0], edges[-1] + share * (edges[-1] - edges[-2]), 0.0)
    ocean = open_zlevel(path, grid=write_static(tmp_path / "static.nc", LON, LAT, deptho))
    assert (preferences_of(ocean).no_continuity == "") == known
    assert ocean.grid.h.max() == pytest.approx(edges[-1])


@pytest.mark.parametrize(("unit", "factor"), [("km", 1e-3), ("cm", 100.0)])
def test_the_unit_of_the_sea_floor_counts(tmp_path, unit, factor):
    path = write_lonlat(tmp_path / "base.nc", LON, LAT, DEPTH, TIMES, FIELDS)
    deptho = np.where(WET[0], np.where(WET[7], 900.0, 400.0), 0.0)
    plain = write_static(tmp_path / "static.nc", LON, LAT, deptho)
    other = write_static(tmp_path / "other.nc", LON, LAT, deptho * factor)
    with netCDF4.Dataset(other, "a") as dataset:
        dataset["deptho"].units = unit
    a, b = (open_zlevel(path, grid=grid) for grid in (plain, other))
    np.testing.assert_allclose(a.grid.h, b.grid.h, rtol=1e-6)
    b.close()
    with netCDF4.Dataset(other, "a") as dataset:
        dataset["deptho"].units = "degC"
    with pytest.raises(InputError, match=r"other\.nc: deptho is no depth in metres"):
        open_zlevel(path, grid=other)


@pytest.mark.parametrize(("east", "north"), [(0.5, 0.0), (0.0, 0.5), (0.2, 0.0)])
def test_a_static_file_of_points_between_those_of_the_velocities_is_refused(tmp_path, east, north):
    path = write_lonlat(tmp_path / "base.nc", LON, LAT, DEPTH, TIMES, FIELDS)
    grid = write_static(tmp_path / "static.nc", LON + east / 8, LAT + north / 8, np.where(WET[0], 900.0, 0.0))
    with pytest.raises(InputError, match=r"static\.nc: (latitude|longitude)s do not hold those of the velocities"):
        open_zlevel(path, grid=grid)


@pytest.mark.parametrize("value", [-900.0, 0.0])
def test_a_sea_floor_that_is_no_depth_anywhere_is_refused(tmp_path, value):
    path = write_lonlat(tmp_path / "base.nc", LON, LAT, DEPTH, TIMES, FIELDS)
    grid = write_static(tmp_path / "static.nc", LON, LAT, np.where(WET[0], 900.0, 0.0))
    with netCDF4.Dataset(grid, "a") as dataset:
        dataset["deptho"][:] = np.where(WET[0], value, 50.0)
    with pytest.raises(InputError, match=r"static\.nc: the depth of the sea floor is missing, or not above 0"):
        open_zlevel(path, grid=grid)


def test_files_cut_in_depth_have_lost_their_floor_and_say_so(base, tmp_path):
    static = write_static(tmp_path / "static.nc", LON, LAT, np.where(WET[0], 4000.0, 0.0))
    ocean = open_zlevel(base.description["files"], grid=static)
    assert "above the sea floor (down to 4000 m)" in preferences_of(ocean).no_continuity


@pytest.mark.parametrize(
    "change",
    [
        {"descending": ("latitude",)},
        {"descending": ("depth",)},
        {"descending": ("latitude", "depth")},
        {"units": "seconds since 1970-01-01"},
        {"scale": {"u": ("cm/s", 100.0), "v": ("cm s-1", 100.0)}},
        {"axes": ("lon", "lat")},
        {"names": {"u": "water_u", "v": "water_v", "zeta": "surf_el", "temp": "water_temp", "w": "w"}},
        {"packed": True},
    ],
    ids=lambda change: "-".join(change),
)
def test_every_form_of_the_same_file_is_the_same_ocean(base, tmp_path, change):
    other = open_zlevel(write_lonlat(tmp_path / "other.nc", LON, LAT, DEPTH, TIMES, FIELDS, **change))
    equal(other, base, {"packed": 4e-4, "scale": 1e-7}.get(next(iter(change)), 0.0))


def test_longitudes_from_0_to_360_are_the_same_ocean(base, tmp_path):
    equal(open_zlevel(write_lonlat(tmp_path / "east.nc", LON + 360, LAT, DEPTH, TIMES, FIELDS)), base)


def test_coordinates_in_float32_are_read_as_the_fractions_of_a_degree_that_they_mean(tmp_path):
    lon, lat = -199 / 12 + np.arange(12) / 12, 583 / 12 + np.arange(10) / 12
    oceans = [open_zlevel(write_lonlat(tmp_path / f"{k}.nc", lon + 360 * k, lat, DEPTH, TIMES, FIELDS)) for k in (0, 1)]
    equal(*oceans)
    np.testing.assert_allclose(oceans[0].grid.x_rho[0], lon, rtol=0, atol=1e-9)
    uneven = np.cumsum(np.linspace(0.1, 0.2, 12))
    stretched = open_zlevel(write_lonlat(tmp_path / "u.nc", uneven, lat, DEPTH, TIMES, FIELDS, dtype="f8"))
    np.testing.assert_allclose(stretched.grid.x_rho[0], uneven)


def test_records_over_several_files_and_velocities_in_files_of_their_own_are_the_same_ocean(base, tmp_path):
    paths = []
    for k, part in enumerate((slice(2, 4), slice(0, 2))):
        for names in (("u",), ("v", "w"), ("zeta",), ("temp",)):
            held = {name: FIELDS[name][part] for name in names}
            paths.append(write_lonlat(tmp_path / f"{k}{names[0]}.nc", LON, LAT, DEPTH, TIMES[part], held))
    equal(open_zlevel(paths), base)
    equal(open_zlevel(str(tmp_path / "[01]*.nc")), base)
    doubled = open_zlevel([*paths, base.description["files"][0]])
    equal(doubled, base)
    assert any("stand in two files" in note for note in doubled.description["assumptions"])


def daily(tmp_path, hour, name="t.nc", **options):
    write = options.pop("write", {})
    return open_zlevel(write_lonlat(tmp_path / name, LON, LAT, DEPTH, days("2001-03-01", 4, hour), FIELDS, **write), **options)


def test_daily_means_labelled_at_midnight_are_moved_to_noon_and_it_is_said(tmp_path):
    for k, attributes in enumerate(
        [
            {"source": "MERCATOR GLORYS12V1"},
            {"title": "daily mean fields"},
            {"subset:datasetId": "cmems_mod_glo_phy_my_0.083deg_P1D-m"},
            {"field_type": "mean"},
            {"title": "daily mean fields", "comment": "of instantaneous values"},
        ]
    ):
        ocean = daily(tmp_path, 0, f"{k}.nc", write={"attributes": attributes})
        np.testing.assert_array_equal(ocean.times, days("2001-03-01", 4, 12).astype("datetime64[ns]"))
        assert any("moved by 12 h" in note for note in ocean.description["assumptions"])


def test_labels_that_are_right_already_stay(tmp_path):
    assert (daily(tmp_path, 12).times == days("2001-03-01", 4, 12)).all()
    plain = daily(tmp_path, 0, "plain.nc", write={"attributes": {}})
    assert (plain.times == days("2001-03-01", 4, 0)).all()
    assert any("do not say whether they are means" in note for note in plain.description["assumptions"])
    attributes = {"title": "Instantaneous fields", "source": "MERCATOR GLO12"}
    instants = daily(tmp_path, 0, "instants.nc", write={"attributes": attributes})
    assert (instants.times == days("2001-03-01", 4, 0)).all()
    assert any("instants 24 h apart" in note for note in instants.description["assumptions"])


def test_six_hourly_instants_stay_and_the_tide_is_told_of_and_three_hourly_ones_are_quiet(tmp_path):
    for hours, told in ((6, True), (3, False)):
        times = np.datetime64("2001-03-01", "s") + np.arange(4) * np.timedelta64(hours, "h")
        attributes = {"title": "Instantaneous fields for product GLOBAL_ANALYSISFORECAST_PHY_001_024", "source": "MERCATOR GLO12"}
        ocean = open_zlevel(write_lonlat(tmp_path / f"{hours}.nc", LON, LAT, DEPTH, times, FIELDS, attributes=attributes))
        assert (ocean.times == times).all()
        assert any("tide" in note for note in ocean.description["assumptions"]) == told


def test_bounds_win_over_labels_and_the_option_over_both(tmp_path):
    start = days("2001-03-01", 4, 0)
    bounds = np.stack([start, start + DAY], axis=1)
    noon = days("2001-03-01", 4, 12).astype("datetime64[ns]")
    for hour in (0, 12):
        write = {"bounds": bounds, "attributes": {}}
        np.testing.assert_array_equal(daily(tmp_path, hour, f"{hour}.nc", write=write).times, noon)
    for label, shift in (("start", 12), ("middle", 0), ("end", -12)):
        made = daily(tmp_path, 0, f"{label}.nc", write={"bounds": bounds}, time_label=label)
        np.testing.assert_array_equal(made.times, start + np.timedelta64(shift, "h"))


def test_means_without_bounds_say_what_their_labels_are_taken_for(tmp_path):
    five_days = TIMES[0] + np.arange(4) * 5 * DAY
    cases = [(five_days, "5-day mean", True), (five_days, "", False), (TIMES, "daily mean", False), (TIMES, "hourly", False)]
    for number, (times, title, told) in enumerate(cases):
        attributes = {"title": title, "cell_methods": "time: mean" if "mean" in title else ""}
        ocean = open_zlevel(write_lonlat(tmp_path / f"{number}.nc", LON, LAT, DEPTH, times, FIELDS, attributes=attributes))
        assert any("means of 120 h without time bounds" in note for note in ocean.description["assumptions"]) == told
        assert (ocean.times == times).all()
    moved = open_zlevel(tmp_path / "0.nc", time_label="start")
    assert (moved.times - five_days == 2.5 * np.timedelta64(24, "h").astype("m8[s]")).all()


def test_a_global_file_wraps_and_is_cut_about_the_site(tmp_path):
    lon = np.arange(0, 360, 4.0)
    lat = np.arange(-20, 21, 4.0)
    made, _ = fields(1, 2, lon, lat, floor=False)
    path = write_lonlat(tmp_path / "globe.nc", lon, lat, DEPTH, TIMES[:2], made)
    whole = open_zlevel(path)
    assert whole.grid.periodic == (True, False) and whole.grid.shape == (11, 91)
    one = whole.snapshot(0)
    np.testing.assert_array_equal(one.u[:, :, 0], one.u[:, :, -1])
    np.testing.assert_allclose(whole.grid.locate(359.0, 2.0), whole.grid.locate(-1.0, 2.0))
    cut = open_zlevel(path, center=(2.0, 0.0), half_width_km=1500.0)
    assert cut.grid.periodic == (False, False) and cut.grid.shape[1] < 12
    assert any("cut to 1500 km" in note for note in cut.description["assumptions"])
    xi, eta = cut.grid.locate(np.array([-10.0, 10.0]), np.array([4.0, -4.0]))
    xi0, eta0 = whole.grid.locate(np.array([-10.0, 10.0]), np.array([4.0, -4.0]))
    for k in (0, 7):
        np.testing.assert_allclose(
            cut.grid.sample(cut.snapshot(1).v[k], xi, eta), whole.grid.sample(whole.snapshot(1).v[k], xi0, eta0), atol=1e-7
        )


def _surface(dataset):
    variable = dataset.createVariable("uo", "f4", ("time", "latitude", "longitude"))
    variable.units, variable.standard_name = "m s-1", "eastward_sea_water_velocity"


REFUSED = {
    "a column": (lambda: {"lon": LON[:1], "fields": {k: f[..., :1] for k, f in FIELDS.items()}}, "not a column"),
    "u without v": (lambda: {"fields": {k: f for k, f in FIELDS.items() if k != "v"}}, "no northward velocity"),
    "v without u": (lambda: {"fields": {k: f for k, f in FIELDS.items() if k != "u"}}, "no eastward velocity"),
    "one level": (
        lambda: {"edit": lambda d: (d.renameVariable("uo", "x"), d["x"].delncattr("standard_name"), _surface(d))},
        "single level is not a domain",
    ),
    "odd unit": (lambda: {"scale": {"u": ("knots", 1.0)}}, "units 'knots'"),
    "a NaN time": (lambda: {"edit": lambda d: d["time"].__setitem__(2, np.nan)}, "NaN or a fill value in record 2"),
    "stuck time": (lambda: {"edit": lambda d: d["time"].__setitem__(2, d["time"][1])}, "does not increase"),
    "calendar": (lambda: {"edit": lambda d: d["time"].setncattr("calendar", "360_day")}, "calendar '360_day'"),
    "a hole": (lambda: {"edit": lambda d: d["uo"].__setitem__((2, 3, 6, 6), np.ma.masked)}, "NaN or a fill value inside the sea"),
    "layers": (
        lambda: {"edit": lambda d: d["depth"].setncatts({"units": "layer", "standard_name": "ocean_layer"})},
        "depth levels",
    ),
    "gap": (lambda: {"times": TIMES + np.array([0, 0, 0, 5]) * DAY}, "no record between"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_refused_in_one_line_that_names_the_file(case, tmp_path):
    make, told = REFUSED[case]
    options = {"lon": LON, "times": TIMES, "fields": FIELDS, **make()}
    edit = options.pop("edit", None)
    lon, times, held = (options.pop(name) for name in ("lon", "times", "fields"))
    path = write_lonlat(tmp_path / "bad.nc", lon, LAT, DEPTH, times, held, **options)
    if edit is not None:
        with netCDF4.Dataset(path, "a") as dataset:
            edit(dataset)
    with pytest.raises(InputError, match=told) as error:
        ocean = open_zlevel(path, model="lonlat")
        for k in range(len(ocean)):
            ocean.snapshot(k)
    assert "bad.nc" in str(error.value) and "\n" not in str(error.value)


PLAIN, UNTOLD = ("longitude", "latitude"), ("east", "north")


@pytest.mark.parametrize(
    ("order", "axes"),
    [((0, 1, 3, 2), PLAIN), ((0, 3, 2, 1), PLAIN), ((1, 0, 2, 3), PLAIN), ((3, 2, 1, 0), PLAIN), ((0, 1, 3, 2), UNTOLD),
     ((0, 3, 2, 1), UNTOLD)],
)  # fmt: skip
def test_axes_in_another_order_are_refused_with_the_order_found_and_the_order_needed(order, axes, tmp_path):
    names = ("time", "depth", axes[1], axes[0])
    path = write_lonlat(tmp_path / "plain.nc", LON, LAT, DEPTH, TIMES, FIELDS, axes=axes)
    with xr.open_dataset(path, decode_times=False) as dataset:
        turned = dataset.load().transpose(*(names[axis] for axis in order), ...)
    turned.to_netcdf(tmp_path / "turned.nc")
    first = 0 if axes == PLAIN else 1  # without names that tell it, the order of space is known from the coordinates' units
    found, needed = ", ".join(names[axis] for axis in order[first:]), ", ".join(names[first:])
    with pytest.raises(InputError) as error:
        open_zlevel(tmp_path / "turned.nc", model="lonlat")
    assert f"in the order ({found}), and ({needed}) is needed" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["uo", "vo", "thetao"])
@pytest.mark.parametrize("record", [0, 2])
def test_a_hole_at_the_surface_is_refused_in_the_first_record_too(name, record, tmp_path):
    path = write_lonlat(tmp_path / "hole.nc", LON, LAT, DEPTH, TIMES, FIELDS)
    with netCDF4.Dataset(path, "a") as dataset:
        dataset[name][record, 0, 6, 6] = np.ma.masked
    with pytest.raises(InputError, match=f"{name} is NaN or a fill value .*in record {record} .*\\(6, 6\\)"):
        ocean = open_zlevel(path, model="lonlat")
        ocean.snapshot(record, {"temp"})


def test_unequal_times_of_u_and_v_are_refused(tmp_path):
    u = write_lonlat(tmp_path / "u.nc", LON, LAT, DEPTH, TIMES, {"u": FIELDS["u"]})
    v = write_lonlat(tmp_path / "v.nc", LON, LAT, DEPTH, TIMES[:3], {"v": FIELDS["v"][:3]})
    with pytest.raises(InputError, match=r"u\.nc: uo has a record at 2001-03-04T12:00:00, the other velocity has none"):
        open_zlevel([u, v])
    late = write_lonlat(tmp_path / "v.nc", LON, LAT, DEPTH, TIMES + np.timedelta64(1, "h"), {"v": FIELDS["v"]})
    with pytest.raises(InputError, match="same times"):
        open_zlevel([u, late])


def test_files_on_other_points_are_refused(base, tmp_path):
    other = write_lonlat(tmp_path / "o.nc", LON + 0.5, LAT, DEPTH, TIMES + 4 * DAY, FIELDS)
    with pytest.raises(InputError, match="other longitudes"):
        open_zlevel([base.description["files"][0], other])
    static = write_static(tmp_path / "s.nc", LON[:6], LAT, np.full((10, 6), 3000.0))
    with pytest.raises(InputError, match="covers the domain"):
        open_zlevel(base.description["files"], grid=static)


def test_families_are_recognised(base, tmp_path):
    assert recognise(base.description["files"]) == "lonlat"
    sample = Path(__file__).resolve().parents[1] / "data" / "croco_sample" / "croco_his.nc"
    assert recognise([str(sample)]) == "croco"

    def of(dimension):
        path = tmp_path / f"{dimension}.nc"
        with netCDF4.Dataset(path, "w") as dataset:
            dataset.createDimension(dimension, 5)
        return [str(path)]

    for dimension, family in (("nlon", "pop"), ("i_g", "mitgcm"), ("xq", "mom6")):
        assert recognise(of(dimension)) == family
    for dimension, told in (("nele", "unstructured mesh"), ("xu_ocean", "MOM 5")):
        with pytest.raises(InputError, match=told):
            recognise(of(dimension))


@pytest.mark.skipif(not MODELS.exists(), reason="../shared/data/models is absent")
class TestRealFiles:
    """Pieces of real products."""

    def test_ibi36_is_read_with_its_packing_and_labels(self):
        ocean = open_zlevel(str(MODELS / "ibi36" / "ibi-argo-7900573.nc"))
        assert ocean.vertical.n == 40 and -2200 < ocean.vertical.w[0] < -1941 and ocean.grid.shape == (8, 13)
        assert [str(time)[:13] for time in ocean.times] == ["2022-02-06T12", "2022-02-07T12"]
        one = ocean.snapshot(0, {"temp"})
        assert np.abs(one.u).max() < 1 and 5 < one.temp[-1][ocean.grid.mask_rho].mean() < 20

    def test_a_column_and_layers_are_refused(self):
        with pytest.raises(InputError, match="not a column"):
            open_zlevel(str(MODELS / "glorys" / "virtualship_glo12_6hourly_column_0N0E_uv.nc"))
        with pytest.raises(InputError, match="depth levels"):
            open_zlevel([str(MODELS / "hycom_native" / f"hycom.gdp.{name}.nc") for name in "uvh"])


def opened(tmp_path, edit, **options):
    """The plain file after a change, opened."""
    path = write_lonlat(tmp_path / "edited.nc", LON, LAT, DEPTH, TIMES, FIELDS, **options)
    with netCDF4.Dataset(path, "a") as dataset:
        dataset.set_auto_mask(False)
        edit(dataset)
    return open_zlevel(path, model="lonlat")


@pytest.mark.parametrize(
    ("name", "value"), [("uo", 9999.0), ("vo", -999.0), ("zos", 9999.0), ("thetao", 285.0), ("wo", -32767.0)]
)
def test_values_that_no_sea_has_are_refused_where_they_stand(name, value, tmp_path):
    point = (2, 6, 6) if name == "zos" else (2, 3, 6, 6)
    ocean = opened(tmp_path, lambda d: d[name].__setitem__(point, value))
    ocean.snapshot(1, {"temp", "w"})
    where = rf"{'' if name == 'zos' else '60 m deep '}at \(eta, xi\) = \(6, 6\)"
    with pytest.raises(InputError, match=rf"edited\.nc: {name} is {value:.0f} in record 2 .*{where}; no sea"):
        ocean.snapshot(2, {"temp", "w"})


def test_a_fill_value_that_no_attribute_declares_is_not_taken_for_water(tmp_path):
    def fill(dataset):
        for name in ("uo", "vo", "zos"):
            values = dataset[name][:]
            dataset[name][:] = np.where(values > 1e10, -999.0, values)

    with pytest.raises(InputError, match=r"uo is -999 .*no attribute declares"):
        opened(tmp_path, fill).snapshot(0)


@pytest.mark.parametrize("name", ["uo", "vo"])
def test_a_record_without_velocities_is_refused_as_it_is_read(name, tmp_path):
    def still(dataset):
        dataset[name][2] = np.where(dataset[name][2] > 1e10, 9.96921e36, 0.0)

    ocean = opened(tmp_path, still)
    with pytest.raises(InputError, match=f"{name} is 0 everywhere in record 2"):
        ocean.snapshot(2)
    ocean.snapshot(3)


def test_a_hole_in_the_files_own_vertical_velocity_is_refused(tmp_path):
    ocean = opened(tmp_path, lambda d: d["wo"].__setitem__((1, 3, 6, 6), 9.96921e36))
    assert ocean.snapshot(0, {"w"}).w[-4, 6, 6] != 0
    with pytest.raises(InputError, match="wo is NaN or a fill value inside the sea, in record 1"):
        ocean.snapshot(1, {"w"})


def two_files(folder, change, first=0):
    """The plain file, and a file of its records from ``first`` on, after a change of u."""
    folder.mkdir()
    later = {name: values[first:] for name, values in FIELDS.items()}
    return [
        write_lonlat(folder / "a.nc", LON, LAT, DEPTH, TIMES, FIELDS),
        write_lonlat(folder / "b.nc", LON, LAT, DEPTH, TIMES[first:], later | {"u": change(later["u"])}),
    ]


@pytest.mark.parametrize("factor", [-1.0, 1.1])
@pytest.mark.parametrize("begun", [0, 1, 3])
def test_two_runs_of_the_same_days_are_refused(tmp_path, factor, begun):
    """Members of an ensemble may begin alike."""
    apart = np.where(np.arange(4) >= begun, factor, 1.0).astype("f4")[:, None, None, None]
    with pytest.raises(InputError, match=r"b\.nc and .*a\.nc begin at the same instant and hold other values of uo"):
        open_zlevel(two_files(tmp_path / "two", lambda u: apart * u))


def test_a_later_forecast_counts_and_its_other_values_are_told(base, tmp_path):
    ocean = open_zlevel(two_files(tmp_path / "later", lambda u: -u, first=2))
    assert any("2 instant(s) of uo" in note and "(values differ)" in note for note in ocean.description["assumptions"])
    np.testing.assert_array_equal(ocean.snapshot(3).u, -base.snapshot(3).u)
    np.testing.assert_array_equal(ocean.snapshot(1).u, base.snapshot(1).u)
    copies = open_zlevel(two_files(tmp_path / "copies", lambda u: u))
    assert not any("values differ" in note for note in copies.description["assumptions"])
    equal(copies, base)


def test_means_and_instants_are_not_one_record(tmp_path):
    paths = [
        write_lonlat(tmp_path / f"{name}.nc", LON, LAT, DEPTH, TIMES + hours, FIELDS, attributes={"title": title})
        for name, hours, title in (("a", 0, "daily mean fields"), ("b", np.timedelta64(6, "h"), "hourly instantaneous fields"))
    ]
    with pytest.raises(InputError, match=r"b\.nc holds instants, .*a\.nc means; give files of one kind"):
        open_zlevel(paths)


@pytest.mark.parametrize("unit", ["K", "kelvin", "Kelvin"])
def test_temperature_in_kelvin_comes_in_degrees_celsius(base, tmp_path, unit):
    warm = FIELDS | {"temp": FIELDS["temp"] + 273.15}
    path = write_lonlat(tmp_path / "kelvin.nc", LON, LAT, DEPTH, TIMES, warm, scale={"temp": (unit, 1.0)})
    found, expected = (ocean.snapshot(1, {"temp"}).temp for ocean in (open_zlevel(path), base))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_fill_values_too_large_for_any_sea_are_land_without_an_attribute(base, tmp_path):
    path = write_lonlat(tmp_path / "declared.nc", LON, LAT, DEPTH, TIMES, FIELDS)
    with xr.open_dataset(path, decode_times=False) as dataset:
        plain = dataset.load().fillna(1e20)
    for variable in plain.variables.values():
        variable.encoding.clear()
        variable.encoding["_FillValue"] = None
    plain.to_netcdf(tmp_path / "undeclared.nc")
    ocean = open_zlevel(tmp_path / "undeclared.nc")
    np.testing.assert_array_equal(ocean.grid.mask_rho, base.grid.mask_rho)
    equal(ocean, base)


@pytest.mark.parametrize("latitude", [0.0, 60.0, -70.0])
def test_a_cut_reaches_as_far_as_it_says_on_its_poleward_side_too(tmp_path, latitude):
    lon, lat = np.arange(-60.0, 61, 1.0), latitude + np.arange(-12.0, 13, 1.0)
    wide, _ = fields(n=1, lon=lon, lat=lat)
    path = write_lonlat(tmp_path / "wide.nc", lon, lat, DEPTH, TIMES[:1], wide)
    grid = open_zlevel(path, center=(0.0, latitude), half_width_km=700.0).grid
    assert grid.x_rho.shape[1] < 0.7 * lon.size
    way = np.linspace(0, 2 * np.pi, 73)
    xi, eta = grid.locate(*grid.offset(0.0, latitude, 700 * np.sin(way), 700 * np.cos(way)))
    assert np.isfinite(xi).all() and np.isfinite(eta).all()
