"""Layouts and faults that CROCO files of users have, made from the sample: each is read right, or refused or told by its name."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray as xr

from data.balance import surface_motion
from data.croco import open_croco
from data.errors import InputError
from data.oceans import OceanSource
from lagrangian.config import RunConfig
from lagrangian.design import Design
from lagrangian.oceans import open_for
from lagrangian.velocity import omega_by_continuity, vertical_velocity_from_omega

SAMPLE = Path(__file__).resolve().parents[1] / "data" / "croco_sample" / "croco_his.nc"
STATIC = ("h", "f", "pm", "pn", "lon_rho", "lat_rho", "angle", "mask_rho")
INDICES = ("xi_rho", "eta_rho", "xi_u", "eta_v")
CURVES = ("Cs_r", "Cs_w", "sc_r", "sc_w")


@pytest.fixture(scope="module")
def sample():
    """The first 12 records of the sample, as floats of 32 bits, times undecoded."""
    with xr.open_dataset(SAMPLE, decode_times=False) as dataset:
        loaded = dataset.isel(time=slice(0, 12)).load()
    for name in ("u", "v", "zeta", "temp"):
        loaded[name] = loaded[name].astype(np.float32)
    for name in loaded.variables:
        loaded[name].encoding = {}
    return loaded


@pytest.fixture(scope="module")
def short(sample):
    """Its first two records, as tests of attributes change them."""
    return sample.isel(time=slice(0, 2)).drop_vars("scrum_time")


@pytest.fixture(scope="module")
def first_half(sample):
    """Its first six records."""
    return sample.isel(time=slice(0, 6))


def write(dataset, path, **options):
    dataset.to_netcdf(path, unlimited_dims=[name for name in ("time", "ocean_time") if name in dataset.dims], **options)


@pytest.fixture(scope="module")
def written(sample, short, first_half, tmp_path_factory):
    """Files of the datasets that many tests save as they are."""
    folder = tmp_path_factory.mktemp("written")
    paths = {id(dataset): folder / f"{number}.nc" for number, dataset in enumerate((sample, short, first_half))}
    for dataset in (sample, short, first_half):
        write(dataset, paths[id(dataset)])
    return paths


@pytest.fixture
def save(written, tmp_path):
    """Function that writes a dataset under a name and returns its path."""

    def saved(dataset, name="his.nc", **options):
        path = tmp_path / name
        path.unlink(missing_ok=True)
        if id(dataset) in written and not options:
            shutil.copy(written[id(dataset)], path)
        else:
            write(dataset, path, **options)
        return str(path)

    return saved


def refusal(*paths, look=False, **options):
    """The line with which files are refused."""
    with pytest.raises(InputError) as caught:
        ocean = open_croco(list(paths), **options)
        if look:
            ocean.look()
        ocean.snapshot(0, tuple(ocean.variables))
    text = str(caught.value)
    assert "\n" not in text and str(paths[0]).rsplit("/", 1)[0] in text
    return text


def one_line_or_none(path):
    """A file is read, or refused in one line."""
    try:
        ocean = open_croco(path)
    except InputError as error:
        assert "\n" not in str(error)
        return
    try:
        ocean.snapshot(0, tuple(ocean.variables))
    except InputError as error:
        assert "\n" not in str(error)
    finally:
        ocean.close()


def assumptions(ocean):
    return " | ".join(ocean.description["assumptions"])


def assert_same_ocean(ocean, other, record=3, **tolerance):
    """Grid, levels and a record are equal."""
    tolerance = tolerance or {"rtol": 0, "atol": 0}
    for name in ("h", "pm", "pn", "x_rho", "y_rho", "angle", "coriolis", "mask_rho"):
        np.testing.assert_allclose(getattr(ocean.grid, name), getattr(other.grid, name), rtol=1e-6, atol=1e-9)
    for name in ("s_rho", "cs_rho", "s_w", "cs_w"):
        np.testing.assert_allclose(getattr(ocean.vertical, name), getattr(other.vertical, name), atol=1e-6)
    assert (ocean.vertical.hc, ocean.vertical.vtransform) == (other.vertical.hc, other.vertical.vtransform)
    one, two = ocean.snapshot(record, ("temp",)), other.snapshot(record, ("temp",))
    for name in ("u", "v", "zeta", "temp"):
        np.testing.assert_allclose(getattr(one, name), getattr(two, name), **tolerance)


def without_indices(dataset):
    return dataset.drop_vars([name for name in INDICES if name in dataset.variables])


# -- the cases -----------------------------------------------------------------------------------------------------


def test_the_sample_passes_every_look(sample, save):
    ocean = open_croco(save(sample))
    ocean.look()
    assert ocean.description["assumptions"] == ["times have no date (second): counted from 2000-01-01"]
    cut = open_croco(save(sample.isel(xi_rho=slice(1, 39), xi_u=slice(1, 38)), "cut.nc"))
    cut.look()
    assert len(cut.description["assumptions"]) == 1


@pytest.mark.parametrize("shift", [0, 2])
def test_u_one_column_off_is_refused_naming_the_mismatch(sample, save, shift):
    wrong = sample.isel(xi_rho=slice(1, 38), xi_u=slice(shift, shift + 36))
    text = refusal(save(wrong))
    assert "xi_u of u begins at" in text and "xi_rho of zeta" in text
    text = refusal(save(without_indices(wrong), "plain.nc"), look=True)
    assert "does not conserve mass" in text


@pytest.mark.parametrize("shift", [0, 2])
def test_v_one_row_off_is_refused_naming_the_mismatch(sample, save, shift):
    wrong = sample.isel(eta_rho=slice(1, 38), eta_v=slice(shift, shift + 36))
    text = refusal(save(wrong))
    assert "eta_v of v begins at" in text and "eta_rho of zeta" in text
    assert "does not conserve mass" in refusal(save(without_indices(wrong), "plain.nc"), look=True)


@pytest.mark.parametrize(("name", "along"), [("u", "eta"), ("v", "xi")])
@pytest.mark.parametrize("shift", [-1, 0, 1])
def test_a_velocity_off_along_its_other_axis_is_refused(sample, save, name, along, shift):
    """ROMS names every axis of u and v; between the rows of rho points u has no points."""
    axis = f"{along}_{name}"
    field = sample[name].rename({f"{along}_rho": axis}).drop_vars(axis, errors="ignore")
    path = save(sample.assign({name: field}).assign_coords({axis: sample[f"{along}_rho"].values + shift}))
    if shift:
        assert f"{axis} of {name} begins at" in refusal(path)
    else:
        open_croco(path)


@pytest.mark.parametrize(
    ("first_rho", "first_u", "good"), [(0, 0, True), (0, 1, True), (1, 1, True), (0, -1, False), (1, 3, False)]
)
def test_other_countings_of_indices_are_right_when_they_can_be(sample, save, first_rho, first_u, good):
    """Tools count u from 0 or 1 as well; only what no counting gives is refused."""
    counted = sample.assign_coords(xi_rho=first_rho + np.arange(39.0), xi_u=first_u + np.arange(38.0))
    path = save(counted)
    if good:
        open_croco(path)
    else:
        assert "xi_u of u begins" in refusal(path)


@pytest.mark.parametrize("point", ["u", "v"])
@pytest.mark.parametrize("cells", [-1, 0, 1])
def test_positions_of_u_and_v_must_lie_between_those_of_rho(sample, save, point, cells):
    axis, dims = (1, ("eta_rho", "xi_u")) if point == "u" else (0, ("eta_v", "xi_rho"))
    placed = without_indices(sample)
    for name in ("lon", "lat"):
        rho = sample[f"{name}_rho"].values
        before, after = np.take(rho, range(38), axis), np.take(rho, range(1, 39), axis)
        placed[f"{name}_{point}"] = (dims, (before + after) / 2 + cells * (after - before))
    path = save(placed)
    if cells:
        text = refusal(path)
        assert f"lon_{point} and lat_{point} lie {cells} cells along" in text
    else:
        open_croco(path)


def test_segments_from_second_zero_are_refused_and_chained(sample, save):
    whole = open_croco(save(sample, "whole.nc"))
    first, second = sample.isel(time=slice(0, 6)), sample.isel(time=slice(6, 12))
    first, second = (piece.drop_vars("scrum_time") for piece in (first, second))
    first, second = (piece.assign_coords(time=("time", piece.time.values - piece.time.values[0])) for piece in (first, second))
    # the order of numbers, not of letters
    paths = [save(first, "his.M2.nc"), save(second, "his.M10.nc")]
    text = refusal(*paths)
    assert "6 of the same instants with different values" in text and "--chain-files" in text
    for given in (paths, re.sub(r"M2", "M*", paths[0])):
        chained = open_croco(given, chain_files=True)
        np.testing.assert_array_equal(chained.times - chained.times[0], whole.times - whole.times[0])
        for k in range(12):
            np.testing.assert_array_equal(chained.snapshot(k).u, whole.snapshot(k).u)
        assert "as --chain-files asks (one interval after the file before it)" in assumptions(chained)
        assert chained.description["files"] == paths


def test_chained_segments_that_begin_with_the_last_record_share_it(sample, save):
    first, second = sample.isel(time=slice(0, 6)), sample.isel(time=slice(5, 12))
    first, second = (piece.drop_vars("scrum_time") for piece in (first, second))
    first, second = (piece.assign_coords(time=("time", piece.time.values - piece.time.values[0])) for piece in (first, second))
    ocean = open_croco([save(first, "a.nc"), save(second, "b.nc")], chain_files=True)
    assert len(ocean) == 12 and (np.diff(ocean.times) == np.timedelta64(12, "h")).all()


def test_chained_clocks_that_count_from_the_end_of_the_run_before(sample, save):
    """A run that writes no initial record: its first stands one interval after its second 0."""
    pieces = [sample.isel(time=slice(0, 6)), sample.isel(time=slice(6, 12))]
    pieces = [piece.drop_vars("scrum_time") for piece in pieces]
    pieces = [piece.assign_coords(time=("time", piece.time.values - piece.time.values[0] + 43_200.0)) for piece in pieces]
    ocean = open_croco([save(piece, f"{k}.nc") for k, piece in enumerate(pieces)], chain_files=True)
    assert len(ocean) == 12 and (np.diff(ocean.times) == np.timedelta64(12, "h")).all()


def test_a_chained_clock_that_begins_within_an_interval_is_counted_from_the_end_before(sample, save):
    """A restart in the middle of an interval: its first record stands 6 h after its second 0, not one interval."""
    pieces = [sample.isel(time=slice(0, 6)), sample.isel(time=slice(6, 12))]
    pieces = [piece.drop_vars("scrum_time") for piece in pieces]
    pieces = [piece.assign_coords(time=("time", piece.time.values - piece.time.values[0] + 21_600.0)) for piece in pieces]
    ocean = open_croco([save(piece, f"{k}.nc") for k, piece in enumerate(pieces)], chain_files=True)
    assert (np.diff(ocean.times) / np.timedelta64(1, "h")).tolist() == [12.0] * 5 + [6.0] + [12.0] * 5


def test_chaining_leaves_clocks_alone_that_go_on(sample, save):
    paths = [save(sample.isel(time=slice(0, 6)), "a.nc"), save(sample.isel(time=slice(6, 12)), "b.nc")]
    np.testing.assert_array_equal(open_croco(paths, chain_files=True).times, open_croco(paths).times)


def test_copies_of_one_file_are_no_two_runs(sample, save):
    paths = [save(sample, "a.nc"), save(sample, "copy of a.nc")]
    assert "12 instant(s) stand in two files" in assumptions(open_croco(paths))


@pytest.mark.parametrize("degrees", [5.0, 30.0, 200.0])
def test_angle_in_degrees_without_units_is_told_and_mended(sample, save, degrees):
    turned = sample.copy()
    turned["angle"] = (sample.angle.dims, np.full(sample.angle.shape, degrees), {"long_name": "angle between xi axis and east"})
    ocean = open_croco(save(turned))
    assert "angle in the files" in assumptions(ocean) and "computed from positions" in assumptions(ocean)
    np.testing.assert_allclose(ocean.grid.angle, open_croco(save(sample, "base.nc")).grid.angle, atol=2e-3)


def test_an_angle_of_another_direction_is_told(sample, save):
    for angle in (np.pi, -0.2):
        turned = sample.copy()
        turned["angle"] = (sample.angle.dims, np.full(sample.angle.shape, angle), {"units": "radians"})
        ocean = open_croco(save(turned, f"{angle:g}.nc"))
        assert "degrees off the direction of the xi axis" in assumptions(ocean)
        np.testing.assert_allclose(ocean.grid.angle, 0, atol=2e-3)


def ucla(sample, save, long_name="Time since 1998/03/05", **attrs):
    grid = sample.reset_coords()[list(STATIC)]
    grid.attrs = {"type": "ROMS grid"}
    history = sample[["u", "v", "zeta", "temp"]].reset_coords(drop=True)
    history = history.drop_vars([name for name in history.variables if name not in ("u", "v", "zeta", "temp")])
    seconds = sample.time.values - sample.time.values[0] + 7.5e8
    history["ocean_time"] = ("time", seconds, {"long_name": long_name, "units": "second", **attrs})
    history.attrs = {name: sample.attrs[name] for name in ("theta_s", "theta_b", "hc", "Cs_r", "Cs_w")}
    return save(history, "ucla_his.nc"), save(grid, "ucla_grd.nc")


def test_ucla_roms_is_read_as_the_same_ocean(sample, save):
    history, grid = ucla(sample, save)
    ocean = open_croco(history, grid=grid)
    assert_same_ocean(ocean, open_croco(save(sample)))
    assert "Cs_r is the curve of Vtransform 2" in assumptions(ocean)
    assert ocean.times[0] == np.datetime64("1998-03-05") + np.timedelta64(int(7.5e8), "s")
    assert "counted from 1998-03-05" in assumptions(ocean)


@pytest.mark.parametrize(
    ("long_name", "attrs"),
    [
        ("Time since 1998-03-05 00:00:00", {}),
        ("averaged time since 1998/3/5", {}),
        ("time since initialization", {"origin": "05-MAR-1998 00:00:00"}),
        ("time since initialization", {"time_origin": "1998-03-05"}),
        ("time", {"base_date": np.array([1998, 3, 5], "i4")}),
    ],
)
def test_dates_beside_the_units_are_found(sample, save, long_name, attrs):
    history, grid = ucla(sample, save, long_name, **attrs)
    assert open_croco(history, grid=grid).times[0] == np.datetime64("1998-03-05") + np.timedelta64(int(7.5e8), "s")


def test_a_name_without_a_date_gives_none(sample, save):
    history, grid = ucla(sample, save, "time since initialization")
    ocean = open_croco(history, grid=grid)
    assert "times have no date" in assumptions(ocean)


def test_the_transform_can_be_said_by_hand(sample, save):
    history, grid = ucla(sample, save)
    with netCDF4.Dataset(history, "a") as dataset:
        dataset.delncattr("theta_s")
        dataset.hc = np.float32(20.0)
    ocean = open_croco(history, grid=grid)
    assert ocean.vertical.vtransform == 1 and "--vtransform 2" in assumptions(ocean)
    assert open_croco(history, grid=grid, vtransform=2).vertical.vtransform == 2
    told = open_croco(save(sample), vtransform=1)
    assert told.vertical.vtransform == 1 and "the files say 2" in assumptions(told)
    config = RunConfig(ocean=(history,), grid=grid, vtransform=2)
    assert open_for(config.source, config.design).vertical.vtransform == 2


@pytest.mark.parametrize("bounds", [np.float32([-1, 0]), np.float64([-1, 0]), np.int16([-1, 0]), np.int16([-32767, 32767])])
@pytest.mark.parametrize("as_range", [False, True])
def test_packed_curves_with_a_valid_range_in_either_unit(sample, save, bounds, as_range):
    packed = sample.copy(deep=True)
    for name in ("Cs_r", "Cs_w"):
        packed[name].attrs |= {"valid_range": bounds} if as_range else {"valid_min": bounds[0], "valid_max": bounds[1]}
    encoding = {name: {"dtype": "i2", "scale_factor": 1 / 32767, "_FillValue": np.int16(-32768)} for name in ("Cs_r", "Cs_w")}
    with_attributes = open_croco(save(packed, encoding=encoding))
    assert "stretching" not in assumptions(with_attributes)
    base = open_croco(save(sample, "base.nc"))
    for name in ("cs_rho", "cs_w"):
        np.testing.assert_allclose(getattr(with_attributes.vertical, name), getattr(base.vertical, name), atol=2e-5)


def test_packed_velocities_with_a_valid_range_in_metres_per_second(sample, save):
    packed = sample.copy(deep=True)
    packed["u"].attrs |= {"valid_min": np.float32(-5), "valid_max": np.float32(5)}
    path = save(packed, encoding={"u": {"dtype": "i2", "scale_factor": 1 / 2048, "_FillValue": np.int16(-32768)}})
    np.testing.assert_allclose(open_croco(path).snapshot(2).u, sample.u.values[2], atol=1e-6)
    packed["u"].attrs |= {"valid_max": np.float32(0.1)}
    path = save(packed, "b.nc", encoding={"u": {"dtype": "i2", "scale_factor": 1 / 2048, "_FillValue": np.int16(-32768)}})
    assert "u is NaN or a fill value inside the sea" in refusal(path)


def test_records_far_apart_are_told(sample, save):
    ocean = open_croco(save(sample.isel(time=slice(None, None, 8))))
    assert "records are 4 days apart" in assumptions(ocean) and "paths and catchments differ" in assumptions(ocean)
    assert "days apart" not in assumptions(open_croco(save(sample.isel(time=slice(None, None, 2)), "daily.nc")))


@pytest.mark.parametrize("kept", [slice(0, 3), slice(21, 24), slice(0, 23)])
@pytest.mark.parametrize("interfaces", ["all", "cut", "none"])
def test_layers_cut_away_are_named(sample, save, kept, interfaces):
    cut = sample.isel(s_rho=kept)
    if interfaces == "cut":
        cut = cut.isel(s_w=slice(kept.start, kept.stop + 1))
    elif interfaces == "none":
        cut = cut.drop_dims("s_w")
        cut.attrs = {name: value for name, value in cut.attrs.items() if not name.startswith(("Cs_", "sc_"))}
    elif kept.stop == 24:
        cut.attrs = {}
    assert "cut in the vertical" in refusal(save(cut)) or "cut away" in refusal(save(cut, "b.nc"))


def test_one_tile_is_named_by_its_attribute(sample, save):
    tile = sample.isel(xi_rho=slice(0, 20), xi_u=slice(0, 20)).assign_attrs(partition=np.array([0, 4, 1, 1], "i4"))
    text = refusal(save(tile, "his.0.nc"))
    assert "one tile (number 0 of 4" in text and "join the tiles" in text
    whole = sample.isel(xi_rho=slice(0, 20), xi_u=slice(0, 19))
    assert "one tile" in refusal(save(whole.assign_attrs(partition=np.array([3, 4, 60, 61], "i4")), "his.3.nc"))
    open_croco(save(whole.assign_attrs(partition=np.array([0, 1, 1, 1], "i4")), "joined.nc"))


# -- units ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "unit", "to_file"),
    [
        ("u", "cm/s", lambda x: 100 * x),
        ("v", "centimeter second-1", lambda x: 100 * x),
        ("u", "m/day", lambda x: 86_400 * x),
        ("u", "cms-1", lambda x: 100 * x),
        ("v", "knots", lambda x: x * 3600 / 1852),
        ("zeta", "cm", lambda x: 100 * x),
        ("zeta", "mm", lambda x: 1000 * x),
        ("temp", "K", lambda x: x + 273.15),
        ("temp", "degrees Kelvin", lambda x: x + 273.15),
        ("temp", "degF", lambda x: 1.8 * x + 32),
        ("temp", "degrees Fahrenheit", lambda x: 1.8 * x + 32),
        ("temp", "degrees Celsius", lambda x: x),
        ("temp", "C", lambda x: x),
        ("h", "km", lambda x: x / 1000),
        ("h", "cm", lambda x: 100 * x),
        ("hc", "km", lambda x: x / 1000),
        ("pm", "km-1", lambda x: 1000 * x),
        ("f", "day-1", lambda x: 86_400 * x),
        ("lon_rho", "radian", np.deg2rad),
        ("u", "m s**-1", lambda x: x),
        ("u", "metres per second", lambda x: x),
    ],
)
def test_units_that_the_files_name_are_converted(sample, save, name, unit, to_file):
    other = sample.copy(deep=True)
    other[name] = (sample[name].dims, to_file(sample[name].values.astype("f8")), {"units": unit})
    if name == "lon_rho":
        other["lat_rho"] = (sample.lat_rho.dims, to_file(sample.lat_rho.values.astype("f8")), {"units": unit})
    ocean = open_croco(save(other))
    ocean.look()
    base = open_croco(save(sample, "base.nc"))
    tolerance = {"atol": 2e-5, "rtol": 2e-5}
    one, two = ocean.snapshot(3, ("temp",)), base.snapshot(3, ("temp",))
    for field in ("u", "v", "zeta", "temp"):
        np.testing.assert_allclose(getattr(one, field), getattr(two, field), **tolerance)
        assert getattr(one, field).dtype == np.float32 and getattr(one, field).flags.c_contiguous
    for field in ("h", "pm", "x_rho", "y_rho", "coriolis"):
        np.testing.assert_allclose(getattr(ocean.grid, field), getattr(base.grid, field), rtol=1e-6)
    assert abs(ocean.vertical.hc - base.vertical.hc) < 1e-3


def test_land_stays_zero_when_units_are_converted(sample, save):
    other = sample.copy(deep=True)
    other["mask_rho"][:3] = 0
    other["temp"] = (sample.temp.dims, sample.temp.values + 273.15, {"units": "kelvin"})
    assert (open_croco(save(other)).snapshot(0, ("temp",)).temp[:, :3] == 0).all()


def test_each_file_has_its_own_unit(sample, save):
    a, b = sample.isel(time=slice(0, 6)), sample.isel(time=slice(6, 12)).copy(deep=True)
    b["u"] = (b.u.dims, 100 * b.u.values, {"units": "cm/s"})
    ocean = open_croco([save(a, "a.nc"), save(b, "b.nc")])
    for k in range(12):
        np.testing.assert_allclose(ocean.snapshot(k).u, sample.u.values[k], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "unit"), [("u", "kg"), ("v", "Celsius"), ("zeta", "m/s"), ("zeta", "Pa"), ("h", "s"), ("u", "bananas"),
                       ("hc", "kelvin"),
                       ("u", "m-1"), ("h", "1")]
)  # fmt: skip
def test_units_of_another_kind_are_refused(sample, save, name, unit):
    other = sample.copy(deep=True)
    other[name].attrs["units"] = unit
    text = refusal(save(other))
    assert f"unit of {name}" in text and repr(unit) in text


def test_temperature_in_no_unit_of_temperature_is_not_used(sample, save):
    other = sample.copy(deep=True)
    other["temp"].attrs["units"] = "m"
    ocean = open_croco(save(other))
    assert ocean.variables == frozenset() and "temp is not used: " in assumptions(ocean)


def test_nothing_said_means_crocos_own_units(sample, save):
    bare = sample.copy(deep=True)
    for name in ("u", "v", "zeta", "temp", "h", "hc", "pm", "pn", "f", "angle", "lon_rho", "lat_rho"):
        bare[name].attrs.pop("units", None)
    assert_same_ocean(open_croco(save(bare)), open_croco(save(sample, "base.nc")))


# -- the order of axes ---------------------------------------------------------------------------------------------


def turned(dataset, order, names=("u", "v", "zeta")):
    """The dataset with variables stored in another order of axes; ``order``: of t, s, e (eta), x (xi)."""
    other = dataset.copy()
    for name in names:
        by_axis = {one[0]: one for one in dataset[name].dims}
        other[name] = dataset[name].transpose(*(by_axis[axis] for axis in order if axis in by_axis))
    return other


def renamed(dataset):
    """The dataset with dimensions of u, v and zeta whose names tell no axis, indices left out."""
    odd = {"s_rho": "p", "eta_rho": "q", "eta_v": "q1", "xi_rho": "r", "xi_u": "r1"}
    return without_indices(dataset).rename({name: odd[name] for name in odd if name in dataset.dims})


@pytest.mark.parametrize("order", ["tsxe", "texs", "txes", "tesx", "sext", "stex", "xest"])
def test_axes_in_another_order_are_refused_with_the_order_found_and_the_order_needed(sample, save, order):
    text = refusal(save(turned(sample, order)))
    names = {"t": "time", "s": "s_rho", "e": "eta_rho", "x": "xi_u"}
    assert f"the axes of u are in the order ({', '.join(names[axis] for axis in order)})" in text
    assert "(time, s_rho, eta_rho, xi_u) is needed" in text and "-a time,s_rho,eta_rho,xi_u" in text


@pytest.mark.parametrize(("order", "told"), [("tsxe", "(s, xi, eta)"), ("texs", "(eta, xi, s)"), ("txes", "(xi, eta, s)")])
def test_axes_whose_names_tell_nothing_are_known_by_their_sizes(sample, save, order, told):
    pieces = sample[["u", "v", "zeta"]].isel(eta_rho=slice(0, 30), eta_v=slice(0, 29))
    text = refusal(save(renamed(turned(pieces, order))))
    assert f"in the order {told}, and (s, eta, xi) is needed" in text


def test_one_variable_or_a_grid_file_with_turned_axes_is_refused_by_its_name(sample, save):
    assert "the axes of v are in the order (time, s_rho, xi_rho, eta_v)" in refusal(save(turned(sample, "tsxe", ("v",))))
    assert "the axes of h are in the order (xi_rho, eta_rho)" in refusal(save(turned(sample, "xe", ("h",))))
    narrow = sample.isel(eta_rho=slice(0, 30), eta_v=slice(0, 29))
    grid = save(turned(narrow[list(STATIC)], "xe", STATIC), "grid.nc")
    history = save(narrow.drop_vars([name for name in STATIC if name in narrow.variables]))
    assert "the axes of h are in the order (xi_rho, eta_rho)" in refusal(history, grid=grid)


def test_temperature_with_turned_axes_is_not_used_and_the_order_is_told(sample, save):
    ocean = open_croco(save(turned(sample, "texs", ("temp",))))
    assert "temp" not in ocean.variables
    assert "temp is not used: " in assumptions(ocean) and "(time, eta_rho, xi_rho, s_rho)" in assumptions(ocean)


# -- sizes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [("u", 1e9), ("u", -9999.0), ("v", -99.99), ("v", 999.0), ("zeta", 9999.0), ("zeta", -999.0), ("temp", 290.0),
     ("temp", -999.0)],
)  # fmt: skip
def test_values_that_no_sea_has_are_refused_where_they_stand(sample, save, name, value):
    wrong = sample.copy(deep=True)
    place = (2, 5, 7, 8) if name != "zeta" else (2, 7, 8)
    wrong[name][place] = value
    path = save(wrong)
    ocean = open_croco(path)
    ocean.snapshot(1, ("temp",))
    with pytest.raises(InputError) as caught:
        ocean.snapshot(2, ("temp",))
    text = str(caught.value)
    assert text.startswith(f"{path}: {name} is {value:.6g} in record 2") and "(eta, xi) = (7, 8)" in text and "no sea" in text
    assert "level 5" in text or name == "zeta"


@pytest.mark.parametrize("name", ["u", "v", "zeta", "temp"])
@pytest.mark.parametrize("everywhere", [False, True], ids=["at one point", "everywhere"])
def test_nan_in_one_record_is_refused_where_the_record_is_read(sample, save, name, everywhere):
    wrong = sample.copy(deep=True)
    place = (2, 5, 7, 8) if name != "zeta" else (2, 7, 8)
    wrong[name][2 if everywhere else place] = np.nan
    path = save(wrong)
    ocean = open_croco(path)
    ocean.snapshot(1, ("temp",))
    with pytest.raises(InputError, match=f"{name} is NaN or a fill value inside the sea, in record 2 "):
        ocean.snapshot(2, ("temp",))


@pytest.mark.parametrize(("name", "value"), [("h", 1e5), ("h", 32_767.0), ("hc", 1e9), ("hc", -5.0)])
def test_static_values_that_no_sea_has_are_refused(sample, save, name, value):
    wrong = sample.copy(deep=True)
    wrong[name][(4, 5) if name == "h" else ()] = value
    wrong.attrs.pop("hc")
    assert f"{name} is {value:.6g} m" in refusal(save(wrong))


@pytest.mark.parametrize("name", ["pm", "pn"])
@pytest.mark.parametrize("value", [0.0, -1e-4, 1e-9, 1.0, 1e9])
def test_a_metric_that_one_cell_cannot_have_is_refused_where_it_stands(sample, save, name, value):
    wrong = sample.copy(deep=True)
    wrong[name][4, 5] = value
    text = refusal(save(wrong))
    assert f"{name} is {value:.6g} m-1 at (eta, xi) = (4, 5)" in text and "at 1 points of the sea" in text


@pytest.mark.parametrize("value", [np.nan, 1e30])
def test_a_metric_with_gaps_is_not_called_absent(sample, save, value):
    wrong = sample.copy(deep=True)
    wrong["pm"][4, 5] = value
    (note,) = (note for note in open_croco(save(wrong)).description["assumptions"] if "distances between rho points" in note)
    assert note.startswith("pm and pn in the files cannot be used (missing values in the sea")
    ocean = open_croco(save(wrong.drop_vars(["pm", "pn"])))
    assert any(note.startswith("no pm, pn in the files") for note in ocean.description["assumptions"])


@pytest.mark.parametrize("name", ["f", "angle"])
def test_a_static_field_with_gaps_is_not_called_absent(sample, save, name):
    wrong = sample.copy(deep=True)
    wrong[name][4, 5] = np.nan
    text = assumptions(open_croco(save(wrong)))
    assert f"{name} in the files cannot be used (missing values in the sea" in text and f"no {name} in the files" not in text


def test_points_without_a_mask_are_told_to_be_land(sample, save):
    wrong = sample.copy(deep=True)
    wrong["mask_rho"][:2] = np.nan
    ocean = open_croco(save(wrong))
    assert not ocean.grid.mask_rho[:2].any() and ocean.grid.mask_rho[2:].all()
    unknown = 2 * wrong.sizes["xi_rho"]
    assert f"mask_rho is missing at {unknown} of {wrong.mask_rho.size} points: taken as land" in assumptions(ocean)


def test_undeclared_fill_values_on_land_are_no_fault(sample, save):
    wrong = sample.copy(deep=True)
    wrong["mask_rho"][:, :3] = 0
    wrong["u"][..., :3] = -9999.0
    wrong["zeta"][..., :3] = -9999.0
    wrong["h"][:, :3] = -9999.0
    assert (open_croco(save(wrong)).snapshot(2).u[..., :3] == 0).all()


# -- mass balance --------------------------------------------------------------------------------------------------


def test_surface_motion_is_that_of_a_closed_form(sample, save):
    """u = a x in a flat-bottomed sea of depth H: the surface sinks at a H, to the order of zeta."""
    flow = sample.copy(deep=True)
    flow["h"][:] = 1000.0
    width = 1 / float(sample.pm.mean())
    flow["pm"][:], flow["pn"][:] = 1 / width, 1 / width
    flow["lat_rho"][:] = np.linspace(-1.3, 1.3, 39)[:, None]
    flow["lon_rho"][:] = np.linspace(0, 2.6, 39)[None] * (width / 111e3 * 38 / 2.6)
    flow["lat_rho"][:] = np.linspace(-1, 1, 39)[:, None] * (width / 111e3 * 19)
    a = 1e-6
    flow["u"][:] = a * width * (np.arange(38) + 0.5 - 19)
    flow["v"][:], flow["zeta"][:] = 0, 0
    ocean = open_croco(save(flow))
    np.testing.assert_allclose(surface_motion(ocean, ocean.snapshot(0))[1:-1, 1:-1], -a * 1000, rtol=1e-4)
    assert np.isnan(surface_motion(ocean, ocean.snapshot(0))[0]).all()


def test_what_breaks_the_balance_is_refused(sample, save):
    east = sample.copy(deep=True)
    east["u"][:] = 0.3
    east["u"][..., ::2] += 0.2
    assert "does not conserve mass" in refusal(save(east, "alternating.nc"), look=True)
    floor = sample.copy(deep=True)
    floor["h"][:] = np.roll(sample.h.values, 6, axis=1)
    assert "does not conserve mass" in refusal(save(floor, "floor.nc"), look=True)
    back = sample.copy(deep=True)
    back["v"][:] = -sample.v.values
    assert "does not conserve mass" in refusal(save(back, "back.nc"), look=True)
    with pytest.raises(InputError, match="does not conserve mass"):
        open_for(RunConfig(ocean=(save(back, "command.nc"),)).source, Design())


def test_a_tide_and_a_river_conserve_mass(sample, save):
    """A tide of 2 m raises the whole sea by its flow; a river enters at one point."""
    tide = sample.copy(deep=True)
    hours = 12 * np.arange(12) + 1.0
    phase = 2 * np.pi * hours / 12.42
    zeta = 2 * np.sin(phase)
    rate = 2 * (2 * np.pi / (12.42 * 3600)) * np.cos(phase)
    x = (np.arange(38) + 0.5 - 19) / sample.pm.values[:, :-1].mean()
    tide["zeta"][:] = sample.zeta.values + zeta[:, None, None].astype("f4")
    tide["u"][:] = sample.u.values - (rate[:, None] * x / float(sample.h.mean()))[:, None, None, :].astype("f4")
    tide["u"][:, :, 20, 10] += 0.05
    ocean = open_croco(save(tide))
    ocean.look()
    assert "conserve" not in assumptions(ocean)


def test_metres_without_their_units_are_told(sample, save):
    """u in cm/s that stays below 20: sizes let it pass, the slope of the surface does not."""
    wrong = sample.copy(deep=True)
    for name in ("u", "v"):
        wrong[name][:] = 10 * sample[name].values
        wrong[name].attrs.pop("units")
    wrong["zeta"][:] = 0.03 * sample.zeta.values
    ocean = open_croco(save(wrong))
    ocean.look()
    assert "are u, v and zeta in m/s and m?" in assumptions(ocean)


def test_a_sea_that_stands_still_is_refused(sample, save):
    """As when the mask marks land by 1."""
    still = sample.copy(deep=True)
    still["u"][:], still["v"][:] = 0, 0
    assert "u and v are 0 everywhere" in refusal(save(still), look=True)


@pytest.mark.parametrize("name", ["u", "v"])
def test_a_record_without_velocities_is_refused_as_it_is_read(sample, save, name):
    """Chunks that were never written may read as 0; a run that begins at rest does so in its first record only."""
    gap = sample.copy(deep=True)
    gap[name][5] = 0
    ocean = open_croco(save(gap))
    ocean.snapshot(4)
    with pytest.raises(InputError, match=f"{name} is 0 everywhere in record 5"):
        ocean.snapshot(5)
    rest = sample.copy(deep=True)
    rest["u"][0], rest["v"][0] = 0, 0
    open_croco(save(rest, "rest.nc")).snapshot(0)
    flat = sample.copy(deep=True)
    flat["v"][:] = 0
    open_croco(save(flat, "flat.nc")).snapshot(3)


def test_a_surface_of_the_other_sign_or_zero_is_told(sample, save):
    wrong = sample.copy(deep=True)
    wrong["zeta"][:] = -sample.zeta.values
    ocean = open_croco(save(wrong))
    ocean.look()
    assert "goes against that in geostrophic balance with zeta (correlation -1.00)" in assumptions(ocean)
    wrong["zeta"][:] = sample.zeta.values + 30
    ocean = open_croco(save(wrong, "b.nc"))
    ocean.look()
    assert "zeta is 30 m on the mean" in assumptions(ocean)


def test_land_that_no_mask_marks_is_told(sample, save):
    land = sample.copy(deep=True)
    land["u"][..., :5], land["v"][..., :5] = 0, 0
    ocean = open_croco(save(land))
    ocean.look()
    assert "points of the sea nothing ever moves" in assumptions(ocean)


def test_times_in_another_unit_than_they_say_are_told(sample, save):
    days = sample.drop_vars("scrum_time")
    days = days.assign_coords(time=("time", days.time.values / 86_400, {"units": "second"}))
    assert "records are 0.5 seconds apart" in assumptions(open_croco(save(days)))


@pytest.mark.parametrize("name", ["lon_rho", "lat_rho", "both"])
def test_positions_turned_over_are_refused(sample, save, name):
    turned = sample.copy(deep=True)
    if name == "both":
        turned["lon_rho"], turned["lat_rho"] = sample["lat_rho"], sample["lon_rho"]
    else:
        turned[name] = (sample[name].dims, np.flip(sample[name].values, 1 if name == "lon_rho" else 0))
    assert "the wrong way round" in refusal(save(turned))


@pytest.mark.parametrize(("name", "value"), [("hc", 0.0), ("hc", 1000.0), ("Cs_w", None), ("theta_s", 7.0)])
def test_a_variable_and_an_attribute_that_contradict_are_refused(sample, save, name, value):
    both = sample.copy(deep=True)
    if name == "theta_s":
        both["theta_s"] = ((), value)
    else:
        both[name][...] = np.linspace(-1, 0, 25) if value is None else value
    assert f"variable and global attribute {name} differ" in refusal(save(both))


def test_two_transforms_in_one_file_are_refused_unless_the_user_says_which(sample, save):
    both = sample.copy(deep=True)
    both["Vtransform"][...] = 1
    path = save(both)
    text = refusal(path)
    assert "variable Vtransform says Vtransform 1" in text and "--vtransform 1 or 2" in text
    assert open_croco(path, vtransform=2).vertical.vtransform == 2


def test_layer_centres_outside_of_their_layers_are_refused(sample, save):
    mixed = sample.copy(deep=True)
    mixed["Cs_r"][...] = np.linspace(-0.98, -0.02, 24)
    mixed.attrs = {}
    assert "Cs_r does not lie between the interfaces" in refusal(save(mixed))


def with_w(sample, save, change, **attributes):
    """The sample with w as CROCO computes it, changed."""
    ocean = open_croco(save(sample, "without.nc"))
    values = np.empty(sample.temp.shape, "f4")
    for k in range(len(ocean)):
        one = ocean.snapshot(k)
        omega = omega_by_continuity(one.u, one.v, one.zeta, ocean.grid, ocean.vertical)
        values[k] = change(vertical_velocity_from_omega(one.u, one.v, one.zeta, omega, ocean.grid, ocean.vertical))
    new = sample.copy()
    new["w"] = (sample.temp.dims, values, attributes)
    return open_for(OceanSource((save(new, "with.nc"),)), Design(), vertical_velocity="file")


def test_vertical_velocity_of_the_files_must_be_that_of_their_flow(sample, save):
    ocean = with_w(sample, save, lambda w: w)
    assert len(ocean.description["assumptions"]) == 1
    ocean = with_w(sample, save, lambda w: 86_400 * w, units="m/day")
    assert len(ocean.description["assumptions"]) == 2 and "w is in 'm/day' in the files: converted" in assumptions(ocean)
    for change, words in (
        (lambda w: 86_400 * w, "w is in another unit"),
        (lambda w: w / 1000, "w is in another unit"),
        (lambda w: -w, "must be positive up"),
    ):
        with pytest.raises(InputError, match=words):
            with_w(sample, save, change)
    shuffled = with_w(sample, save, lambda w: np.random.default_rng(0).permutation(w, axis=1))
    assert "correlation" in assumptions(shuffled)


@pytest.mark.parametrize("what", ["levels", "all"])
def test_levels_from_the_surface_down_are_refused(sample, save, what):
    turned = sample.isel(s_rho=slice(None, None, -1)).drop_vars(["Cs_w", "sc_w", "s_w"])
    turned.attrs = {name: value for name, value in turned.attrs.items() if name in ("theta_s", "theta_b", "hc")}
    if what == "all":
        turned = turned.drop_vars(["Cs_r"])
    assert "from the surface down" in refusal(save(turned))


# -- every file's own grid and curves ------------------------------------------------------------------------------


@pytest.fixture
def pieces(first_half, sample):
    return first_half, sample.isel(time=slice(6, 12)).copy(deep=True)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("lon_rho", lambda x: x + 30),
        ("lat_rho", lambda x: x - 3),
        ("lon_rho", lambda x: x + 0.05),
        ("h", lambda x: x / 2),
        ("h", lambda x: np.where(x > np.median(x), x - 200, x)),
        ("pm", lambda x: 2 * x),
        ("mask_rho", lambda x: np.where(np.arange(39) < 2, 0, x)),
        ("angle", lambda x: x + 0.5),
        ("hc", lambda x: x + 50),
        ("Cs_r", lambda x: x * 0.9),
        ("Cs_w", lambda x: -((-x) ** 1.2)),
        ("Vtransform", lambda x: x - 1),
        ("xi_rho", lambda x: x + 1),
    ],
)
def test_a_second_file_of_another_grid_is_refused(pieces, save, name, change):
    first, second = pieces
    if name == "xi_rho":
        second = second.assign_coords(xi_rho=change(second.xi_rho.values), xi_u=change(second.xi_u.values))
    else:
        second[name] = (second[name].dims, change(second[name].values), second[name].attrs)
    second.attrs = {}
    text = refusal(save(second, "b.nc"), save(first, "a.nc"))
    assert "differs from that of" in text and name[:2] in text and "two grids" in text


def test_rounding_and_units_of_the_grid_may_differ_between_files(pieces, save):
    first, second = pieces
    second["h"] = (second.h.dims, np.round(second.h.values) / 1000, {"units": "km"})
    second["lon_rho"] = (second.lon_rho.dims, second.lon_rho.values + 360 + 1e-4, second.lon_rho.attrs)
    open_croco([save(first, "a.nc"), save(second, "b.nc")])


def test_a_second_file_without_grid_is_no_fault(pieces, save):
    first, second = pieces
    second = second.drop_vars([name for name in (*STATIC, *CURVES, *INDICES) if name in second.variables])
    assert len(open_croco([save(first, "a.nc"), save(second, "b.nc")])) == 12


def test_a_grid_file_elsewhere_is_refused_and_one_of_other_depth_told(sample, save):
    grid = sample.reset_coords()[list(STATIC)]
    path = save(sample)
    text = refusal(path, grid=save(grid.assign(lon_rho=grid.lon_rho + 30), "far.nc"))
    assert "far.nc: lon_rho differs from that of" in text
    ocean = open_croco(path, grid=save(grid.assign(h=grid.h + 100), "deep.nc"))
    assert "h of the grid file differs from that of" in assumptions(ocean)


# -- attributes and sizes that end in nothing ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["u", "zeta", "h", "lon_rho", "Cs_w", "time", "hc", "mask_rho"])
@pytest.mark.parametrize(
    ("attribute", "value"),
    [("scale_factor", "much"), ("scale_factor", np.inf), ("scale_factor", 0.0), ("add_offset", "none"), ("add_offset", np.nan),
     ("valid_min", "low"), ("valid_range", "wide"), ("valid_range", np.array([1.0, 2.0, 3.0])),
     ("scale_factor", np.array([1.0, 2.0]))],
)  # fmt: skip
def test_attributes_that_are_no_numbers_are_refused_in_one_line(short, save, name, attribute, value):
    path = save(short)
    with netCDF4.Dataset(path, "a") as dataset:
        dataset[name].setncattr(attribute, value)
    text = refusal(path)
    assert f"attribute {attribute} of variable {name}" in text and "number" in text


@pytest.mark.parametrize("attribute", ["_Unsigned", "missing_value", "units", "valid_min", "valid_max", "calendar", "long_name"])
@pytest.mark.parametrize("name", ["u", "h", "time", "hc"])
def test_odd_attributes_never_end_in_a_traceback(short, save, name, attribute):
    path = save(short)
    for value in (np.inf, -np.inf, np.nan, "text", "", np.array([1, 2, 3], "i4")):
        with netCDF4.Dataset(path, "a") as dataset:
            dataset[name].setncattr(attribute, value)
        one_line_or_none(path)


@pytest.mark.parametrize("name", ["hc", "theta_s", "Cs_r", "VertCoordType", "partition", "type"])
def test_odd_global_attributes_never_end_in_a_traceback(sample, save, name):
    path = save(sample.isel(time=slice(0, 2)).drop_vars(["hc", "Cs_r", "Vtransform", "sc_r", "sc_w"]))
    for value in (np.inf, np.nan, "text", "", np.array([1, 2, 3], "i4")):
        with netCDF4.Dataset(path, "a") as dataset:
            dataset.setncattr(name, value)
        one_line_or_none(path)


def declared(path, records, layers, eta, xi):
    """A file that declares much and holds nothing."""
    with netCDF4.Dataset(path, "w") as new:
        sizes = {"time": records, "s_rho": layers, "eta_rho": eta, "xi_rho": xi, "eta_v": eta - 1, "xi_u": xi - 1}
        for name, size in sizes.items():
            new.createDimension(name, size)
        time = new.createVariable("time", "f8", ("time",), chunksizes=(1,))
        time.units = "second"
        rho, chunk = ("eta_rho", "xi_rho"), (min(eta - 1, 1000), min(xi - 1, 1000))
        for name in ("h", "lon_rho", "lat_rho", "pm", "pn"):
            new.createVariable(name, "f8", rho, chunksizes=chunk)
        new.createVariable("zeta", "f4", ("time", *rho), chunksizes=(1, *chunk))
        new.createVariable("u", "f4", ("time", "s_rho", "eta_rho", "xi_u"), chunksizes=(1, 1, *chunk))
        new.createVariable("v", "f4", ("time", "s_rho", "eta_v", "xi_rho"), chunksizes=(1, 1, *chunk))
    return str(path)


@pytest.mark.parametrize(
    ("sizes", "words"),
    [((1, 5, 40_000, 40_000), "GB"), ((1, 2, 40_000, 40_000), "GB"), ((2_000_000_000, 2, 6, 6), "records"),
     ((1, 2, 6000, 6000), "kB"), ((4, 10**9, 6, 6), "TB")],
)  # fmt: skip
def test_a_small_file_that_declares_a_huge_grid_is_refused_before_it_is_read(tmp_path, monkeypatch, sizes, words):
    path = declared(tmp_path / "huge.nc", *sizes)
    assert Path(path).stat().st_size < 100_000
    monkeypatch.setattr("data.croco.statics.decoded", lambda *_: pytest.fail("was read"))
    text = refusal(path)
    assert words in text


def test_a_grid_beyond_the_memory_is_refused_with_both_numbers(sample, save, monkeypatch):
    monkeypatch.setattr("data.croco.extent.memory_bytes", lambda: 10**6)
    text = refusal(save(sample))
    assert "of memory, and this machine has 1 MB" in text
