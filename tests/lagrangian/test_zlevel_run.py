"""The whole command on z-level files: what it says, what it refuses, and that forms of the same file give the same bytes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import zarr

from data import open_ocean
from data.errors import InputError, OptionError
from data.oceans import OceanSource
from data.zlevel.levels import interface_depths
from lagrangian.config import RunConfig
from lagrangian.design import Design
from lagrangian.fields import open_fields
from lagrangian.oceans import open_for
from lagrangian.run import _options, main
from lagrangian.velocity import omega_by_continuity, vertical_velocity_from_omega
from tests.builders.zlevel_files import DAY, days, write_lonlat, write_nemo, write_static

MODELS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "models"
LON, LAT = -20 + np.arange(57) / 8, 45.5 + np.arange(57) / 8
DEPTH = np.array([5.0, 25.0, 60.0, 150.0, 300.0, 500.0, 750.0, 1000.0, 1500.0, 2250.0, 3250.0, 4250.0])
N = 40
FLOOR = 4600.0 - 300.0 * np.exp(-((LON[None, :] + 17) ** 2 + (LAT[:, None] - 49) ** 2))


def eddying(n=N):
    """Eddies that drift, weaker with depth, on the points of the file."""
    t = np.arange(n)[:, None, None, None]
    x, y = LON[None, None, None, :], LAT[None, None, :, None]
    decay = np.exp(-DEPTH / 1500.0)[None, :, None, None]
    # of the stream function cos(4 x) cos(5 y), x and y in degrees
    u = 0.2 * decay * np.cos(4 * (x - 0.01 * t)) * np.sin(5 * y)
    v = -0.2 * decay * np.sin(4 * (x - 0.01 * t)) * np.cos(5 * y) * 4 / 5 / np.cos(np.deg2rad(y))
    dry = DEPTH[:, None, None] > FLOOR
    out = {name: np.where(dry, np.nan, field).astype("f4") for name, field in (("u", u), ("v", v))}
    out["zeta"] = (0.1 * np.cos(4 * (LON[None, None, :] - 0.01 * t[:, 0])) * np.ones((n, LAT.size, 1))).astype("f4")
    out["temp"] = np.where(dry, np.nan, 4 + 10 * decay + 0 * u).astype("f4")
    return out


FIELDS = eddying()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A file and its static file."""
    made = tmp_path_factory.mktemp("product")
    write_lonlat(made / "noon.nc", LON, LAT, DEPTH, days("2001-03-01", N, 12), FIELDS)
    write_static(made / "static.nc", LON, LAT, FLOOR)
    return made


@pytest.fixture(scope="module", autouse=True)
def no_picture():
    """No map at the end, which takes as long as the run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lagrangian.maps.draw_catchment", lambda *_: None)
        yield


def config(folder, out, name="noon.nc", **options):
    """A small run."""
    options = {"grid": str(folder / "static.nc"), **options}
    options["ocean"] = options.get("ocean", (str(folder / name),))
    return RunConfig(**{"w": (100.0,), "positions": 1, "particles": 16, "collection": 4.0, "every": 4.0, "out": out,
                        "release_every": 48.0, "levels": (2000.0, 500.0, 200.0), "fields_spacing": 16.0, **options})  # fmt: skip


def stores(out):
    """All values of particles.zarr and fields.zarr."""
    found = {}
    for path in sorted([*out.glob("w*/particles.zarr"), out / "fields.zarr"]):
        group = zarr.open_group(str(path), mode="r")
        found.update({f"{path.name}/{name}": array[...] for name, array in group.arrays()})
    return found


@pytest.fixture(scope="module")
def noon(folder, tmp_path_factory):
    """The values of the stores of a run on the file."""
    out = tmp_path_factory.mktemp("noon")
    assert main(config(folder, out)) == 0
    return stores(out)


def test_a_run_on_such_files_writes_all_stores_and_names_the_ocean(folder, tmp_path, capsys):
    assert main(config(folder, tmp_path)) == 0
    told = capsys.readouterr().out
    assert "lonlat: 40 snapshots" in told and "sea floor" not in told
    made = stores(tmp_path)
    status = made["particles.zarr/status"]
    assert (status == 0).mean() > 0.95
    fields = open_fields(tmp_path / "fields.zarr")
    assert np.isfinite(fields["u"].isel(depth=0)).mean() > 0.5 and "temp" in fields
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["ocean"]["kind"] == "lonlat" and record["configuration"]["vertical_velocity"] == "continuity"


def test_without_the_floor_particles_sink_straight_and_a_note_says_so(folder, tmp_path, capsys):
    assert main(config(folder, tmp_path, grid=None)) == 0
    assert "note: the files do not tell the depth of the sea floor" in capsys.readouterr().out
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["configuration"]["vertical_velocity"] == "none"
    made = stores(tmp_path)
    gone = made["particles.zarr/release_time"][..., None] - made["particles.zarr/time"]
    expected = (3000.0 - np.array([2000.0, 500.0, 200.0])) / 100.0 * 86400.0
    reached = made["particles.zarr/status"] == 0
    np.testing.assert_allclose(gone[reached].astype(float), np.broadcast_to(expected, gone[reached].shape), atol=1.5)


def test_midnight_labels_and_noon_labels_with_bounds_give_the_same_crossings_to_the_byte(folder, noon, tmp_path):
    midnight = days("2001-03-01", N, 0)
    write_lonlat(folder / "midnight.nc", LON, LAT, DEPTH, midnight, FIELDS)
    bounds = np.stack([midnight, midnight + DAY], axis=1)
    write_lonlat(folder / "bounded.nc", LON, LAT, DEPTH, days("2001-03-01", N, 12), FIELDS, bounds=bounds, attributes={})
    write_lonlat(folder / "zero_bounded.nc", LON, LAT, DEPTH, midnight, FIELDS, bounds=bounds, attributes={})
    for name in ("midnight.nc", "bounded.nc", "zero_bounded.nc"):
        main(config(folder, tmp_path / name, name))
        found = stores(tmp_path / name)
        for store, values in noon.items():
            assert values.tobytes() == found[store].tobytes(), (name, store)


def test_all_orders_and_splits_give_the_same_crossings(folder, noon, tmp_path):
    times = days("2001-03-01", N, 12)
    write_lonlat(folder / "east.nc", LON + 360, LAT, DEPTH, times, FIELDS)
    write_lonlat(folder / "down.nc", LON, LAT, DEPTH, times, FIELDS, descending=("latitude", "depth"))
    for k, part in enumerate((slice(0, 18), slice(18, N))):
        for name in FIELDS:
            write_lonlat(folder / f"split_{name}{k}.nc", LON, LAT, DEPTH, times[part], {name: FIELDS[name][part]})
    for name in ("east.nc", "down.nc", "split_*.nc"):
        out = tmp_path / name.strip("*.nc")
        main(config(folder, out, ocean=(str(folder / name),)))
        for store, values in stores(out).items():
            np.testing.assert_array_equal(values, noon[store], err_msg=f"{name} {store}")


def test_packed_velocities_move_the_median_particle_by_less_than_100_m(folder, noon, tmp_path):
    write_lonlat(folder / "packed.nc", LON, LAT, DEPTH, days("2001-03-01", N, 12), FIELDS, packed=True)
    main(config(folder, tmp_path / "packed.nc", "packed.nc"))
    one, other = noon, stores(tmp_path / "packed.nc")
    away = np.hypot(*(one[f"particles.zarr/{axis}"] - other[f"particles.zarr/{axis}"] for axis in "xy"))
    assert 0 < np.nanmedian(away) < 0.1


def test_what_does_not_fit_the_run_is_refused_in_one_line(folder, tmp_path):
    cut = {name: field[:, :9] if field.ndim == 4 else field for name, field in FIELDS.items()}
    write_lonlat(folder / "cut.nc", LON, LAT, DEPTH[:9], days("2001-03-01", N, 12), cut)
    with pytest.raises(InputError, match=r"cut.nc: the levels end \d+ m deep, above the trap"):
        main(config(folder, tmp_path / "a", "cut.nc"))
    with pytest.raises(InputError, match="holds neither w nor omega"):
        main(config(folder, tmp_path / "b", vertical_velocity="file"))
    with pytest.raises(OptionError, match="time-label goes with files on z-levels"):
        main(dataclasses.replace(config(folder, tmp_path / "c", model="croco"), time_label="start"))
    with pytest.raises(InputError, match="no variable u; CROCO"):
        main(config(folder, tmp_path / "d", model="croco"))


def test_a_trap_below_the_last_level_is_told_of(folder, tmp_path, capsys):
    assert main(config(folder, tmp_path, trap_depth=4300.0, levels=(4000.0,))) == 0
    assert "1 of 1 traps lie below the model's last level there (4250 m)" in capsys.readouterr().out


def test_the_files_own_vertical_velocity_is_taken_on_request(folder, tmp_path):
    """5 m/d upward: a particle that sinks at 100 m/d comes from above at 95 m/d."""
    lifted = {**FIELDS, "w": np.where(np.isnan(FIELDS["u"]), np.nan, 5.0 / 86400.0).astype("f4")}
    write_lonlat(folder / "w.nc", LON, LAT, DEPTH, days("2001-03-01", N, 12), lifted)
    main(config(folder, tmp_path, "w.nc", vertical_velocity="file"))
    made = stores(tmp_path)
    gone = (made["particles.zarr/release_time"][..., None] - made["particles.zarr/time"]).astype(float) / 86400.0
    reached = made["particles.zarr/status"] == 0
    assert reached.mean() > 0.9
    np.testing.assert_allclose(gone[reached] * 95.0, np.broadcast_to([1000.0, 2500.0, 2800.0], gone[reached].shape), rtol=1e-3)


@pytest.fixture(scope="module")
def motion(folder):
    """w (time, depth, latitude, longitude) of the flow over the static file's floor, m/s, positive up; NaN on land."""
    with_floor = open_ocean(str(folder / "noon.nc"), grid=str(folder / "static.nc"))
    one = with_floor.snapshot(16)
    flow, where = (one.u, one.v, one.zeta), (with_floor.grid, with_floor.vertical)
    w = vertical_velocity_from_omega(*flow, omega_by_continuity(*flow, *where), *where)
    return np.where(np.isnan(FIELDS["u"]), np.nan, w[None, ::-1]).astype("f4")


@pytest.mark.parametrize(
    ("factor", "grid", "told"),
    [
        (1.0, "static.nc", None),
        (-1.0, "static.nc", "w goes against the vertical velocity by continuity .*positive up"),
        (3600.0, "static.nc", "w is in another unit"),
        (1e-3, "static.nc", "w is in another unit"),
        (1.0, None, None),
        (3600.0, None, "w is in another unit, .* --vertical-velocity none does without it"),
    ],
)
def test_the_files_own_vertical_velocity_must_be_that_of_their_flow(folder, motion, tmp_path, factor, grid, told):
    path = write_lonlat(tmp_path / "w.nc", LON, LAT, DEPTH, days("2001-03-01", N, 12), FIELDS | {"w": factor * motion})
    source = OceanSource((path,), grid=None if grid is None else str(folder / grid))
    open_for(source, Design(), vertical_velocity="continuity")
    if told is None:
        ocean = open_for(source, Design(), vertical_velocity="file")
        assert not any(" w is " in note for note in ocean.description["assumptions"])
        return
    with pytest.raises(InputError, match=told):
        open_for(source, Design(), vertical_velocity="file")


def test_velocities_that_are_exchanged_are_told(tmp_path):
    """Of eddies in geostrophic balance with their surface."""
    x, y = np.meshgrid(LON, LAT)
    height = 0.1 * np.cos(4 * x + 0.3) * np.cos(5 * y)
    per_slope = 9.81 / (2 * 7.292e-5 * np.sin(np.deg2rad(y))) / 111.2e3
    u, v = 0.5 * per_slope * np.cos(4 * x + 0.3) * np.sin(5 * y), -0.4 * per_slope * np.sin(4 * x + 0.3) * np.cos(5 * y)
    v = v / np.cos(np.deg2rad(y))
    decay = np.exp(-DEPTH / 1500.0)[None, :, None, None] * np.ones((4, 1, 1, 1))
    for first, second, told in ((u, v, False), (v, u, True)):
        fields = {"u": (decay * first).astype("f4"), "v": (decay * second).astype("f4")}
        fields["zeta"] = (height * np.ones((4, 1, 1))).astype("f4")
        path = write_lonlat(tmp_path / f"{told}.nc", LON, LAT, DEPTH, days("2001-03-01", 4, 12), fields)
        notes = open_for(OceanSource((path,)), Design()).description["assumptions"]
        assert any("are u and v exchanged" in note for note in notes) == told


@pytest.mark.skipif(not MODELS.exists(), reason="../shared/data/models is absent")
def test_ibi36_ends_above_a_trap_at_3000_m(tmp_path):
    options = {"grid": None, "site": "-9.8,43.9", "ocean": (str(MODELS / "ibi36" / "ibi-argo-7900573.nc"),)}
    with pytest.raises(InputError, match=r"the levels end 2\d\d\d m deep, above the trap"):
        main(config(MODELS, tmp_path, **options))


def test_options_that_came_later_count_only_where_they_are_given():
    """Runs that were begun before these options existed are gone on with."""
    plain = _options(RunConfig(), None)
    assert not {"model", "time_label"} & set(plain)
    assert _options(RunConfig(time_label="start"), None)["time_label"] == "start"


def flow(x, y, t):
    """u, v of :func:`eddying` at the surface, at positions in degrees."""
    u = 0.2 * np.cos(4 * (x - 0.01 * t)) * np.sin(5 * y)
    return u, -0.2 * np.sin(4 * (x - 0.01 * t)) * np.cos(5 * y) * 4 / 5 / np.cos(np.deg2rad(y))


def test_nemos_c_grid_and_the_a_grid_of_the_same_flow_lead_to_the_same_places(folder, noon, tmp_path):
    lon, lat = np.meshgrid(LON, LAT)
    edges = interface_depths(DEPTH)
    thickness = np.clip(np.minimum(edges[1:, None, None], FLOOR) - edges[:-1, None, None], 0, None)
    wet = thickness > 0
    t = np.arange(N)[:, None, None, None]
    decay = np.exp(-DEPTH / 1500.0)[None, :, None, None]
    half = 1 / 16
    u = decay * flow(lon + half, lat, t)[0] * (wet & np.roll(wet, -1, 2))
    v = decay * flow(lon, lat + half, t)[1] * (wet & np.roll(wet, -1, 1))
    fields = {"u": u, "v": v, "zeta": FIELDS["zeta"], "temp": np.where(wet, np.nan_to_num(FIELDS["temp"]), 0.0)}
    e2t = np.full(lon.shape, 6371e3 * np.deg2rad(1 / 8))
    statics = {"tmask": wet, "e1t": e2t * np.cos(np.deg2rad(lat)), "e2t": e2t, "gdepw_1d": edges[:-1], "e3t_0": thickness}
    paths, mesh = write_nemo(tmp_path, lon, lat, DEPTH, days("2001-03-01", N, 12), fields, mesh=statics)
    main(config(folder, tmp_path / "nemo", ocean=tuple(paths), grid=mesh))
    one, other = stores(tmp_path / "nemo"), noon
    assert (one["particles.zarr/status"] == 0).all()
    gone = np.hypot(other["particles.zarr/x"], other["particles.zarr/y"])
    away = np.hypot(*(one[f"particles.zarr/{axis}"] - other[f"particles.zarr/{axis}"] for axis in "xy"))
    assert np.median(away) < 0.05 * np.median(gone[..., -1])
    u_one, u_other = (found["fields.zarr/u"][:, 1] for found in (one, other))
    both = np.isfinite(u_one) & np.isfinite(u_other)
    # two faces an eighth of a degree apart average to 0.97 of a wave of 4 a degree; the lattice's rim extrapolates
    off = np.quantile(np.abs(u_one - u_other)[both], 0.9)
    assert both.mean() > 0.3 and off < 0.05 * np.nanmax(u_other)


def test_parcels_own_kernel_agrees_on_an_a_grid(folder, tmp_path):
    for kernel in ("compiled", "parcels"):
        options = {"w": (500.0,), "dt": 240.0, "particles": 9, "vertical_velocity": "none"}
        main(config(folder, tmp_path / kernel, kernel=kernel, start="2001-03-09", end="2001-03-09", **options))
    one, other = (stores(tmp_path / kernel) for kernel in ("compiled", "parcels"))
    assert (one["particles.zarr/status"] == 0).all() and (other["particles.zarr/status"] == 0).all()
    gone = np.hypot(one["particles.zarr/x"], one["particles.zarr/y"])[..., -1]
    away = np.hypot(*(one[f"particles.zarr/{axis}"] - other[f"particles.zarr/{axis}"] for axis in "xy"))
    assert np.median(away) < 0.02 * np.median(gone)


def test_temperature_at_the_surface_alone_as_it_is_downloaded_gives_the_fields_of_the_surface(folder, noon, tmp_path, capsys):
    flow = {name: FIELDS[name] for name in ("u", "v", "zeta")}
    write_lonlat(tmp_path / "ocean_a.nc", LON, LAT, DEPTH, days("2001-03-01", N, 12), flow)
    write_lonlat(tmp_path / "ocean_a_thetao.nc", LON, LAT, DEPTH[:1], days("2001-03-01", N, 12), {"temp": FIELDS["temp"][:, :1]})
    assert main(config(folder, tmp_path / "two", ocean=(str(tmp_path / "ocean_a*.nc"),))) == 0
    assert "temperature is known at the surface alone" in capsys.readouterr().out
    surface = stores(tmp_path / "two")
    for name, values in noon.items():
        if name == "fields.zarr/temp":
            assert np.array_equal(values[:, 0], surface[name][:, 0], equal_nan=True) and np.isnan(surface[name][:, 1:]).all()
        elif values.dtype.kind in "fiu":
            assert np.array_equal(values, surface[name], equal_nan=True), name
