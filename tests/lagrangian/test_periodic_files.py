"""CROCO files of periodic domains: read as periodic where their ends overlap, and particles go round as often as they must."""

from __future__ import annotations

import netCDF4
import numpy as np
import pytest

import lagrangian.fields
import lagrangian.maps
from data.croco import open_croco
from data.croco.periodic import PeriodicOcean, as_periodic
from data.errors import InputError, OptionError
from lagrangian.config import RunConfig
from lagrangian.oceans import open_for
from lagrangian.run import main
from lagrangian.stores import open_store
from lagrangian.velocity import omega_by_continuity

CELL, DEPTH, LAYERS, DAYS = 10e3, 2000.0, 8, 60
POINTS = 24  # of one period


def opened(config: RunConfig):
    """The ocean that a command of these options opens."""
    return open_for(config.source, config.design, vertical_velocity=config.vertical_velocity)


def write(path, *, along="xi", speed=0.3, spherical=False, spoiled=False, still=False):
    """A run that is periodic along an axis, two overlapping points at its ends: a uniform current along it, a wavy surface."""
    n, m = POINTS + 2, 20
    i, j = np.arange(n) - 0.5, np.arange(m) - 0.5
    x, y = np.meshgrid(i * CELL, j * CELL)
    phase = 2 * np.pi * np.mod(i - 0.5, POINTS) / POINTS
    zeta = np.broadcast_to(0.0 * phase if still else 0.02 * np.round(np.sin(phase), 12), (m, n)).copy()
    if spoiled:
        zeta[:, -1] += 1e-4
    u, v = np.full((LAYERS, m, n - 1), speed), np.zeros((LAYERS, m - 1, n))
    fields = {"zeta": zeta, "u": u, "v": v}
    if along == "eta":
        fields = {"zeta": zeta.T, "u": np.swapaxes(v, 1, 2), "v": np.swapaxes(u, 1, 2)}
        x, y, n, m = y.T, x.T, m, n
    with netCDF4.Dataset(path, "w") as file:
        sizes = {"time": None, "s_rho": LAYERS, "s_w": LAYERS + 1, "eta_rho": m, "xi_rho": n, "eta_v": m - 1, "xi_u": n - 1}
        for name, size in sizes.items():
            file.createDimension(name, size)
        rho = ("eta_rho", "xi_rho")

        def put(name, dims, values, **attributes):
            variable = file.createVariable(name, "f8", dims)
            variable.setncatts(attributes)
            variable[...] = values

        s_w = np.linspace(-1, 0, LAYERS + 1)
        s_rho = 0.5 * (s_w[1:] + s_w[:-1])
        for name, dims, values in (("sc_r", ("s_rho",), s_rho), ("Cs_r", ("s_rho",), s_rho), ("sc_w", ("s_w",), s_w),
                                   ("Cs_w", ("s_w",), s_w)):  # fmt: skip
            put(name, dims, values)
        put("Vtransform", (), 2.0)
        put("hc", (), 100.0, units="meter")
        for name, values in (("h", DEPTH), ("pm", 1 / CELL), ("pn", 1 / CELL), ("f", 1e-4), ("angle", 0.0), ("mask_rho", 1.0)):
            put(name, rho, np.full((m, n), values))
        if spherical:
            put("lon_rho", rho, -16.5 + x / 73e3)
            put("lat_rho", rho, 49 + y / 111e3)
        else:
            put("x_rho", rho, x)
            put("y_rho", rho, y)
        time = file.createVariable("time", "f8", ("time",))
        time.units = "seconds since 2000-01-01"
        time[:] = 86400.0 * np.arange(DAYS)
        for name, dims in (("zeta", rho), ("u", ("s_rho", "eta_rho", "xi_u")), ("v", ("s_rho", "eta_v", "xi_rho"))):
            variable = file.createVariable(name, "f4", ("time", *dims))
            variable[:] = np.broadcast_to(fields[name], (DAYS, *fields[name].shape))
    return str(path)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("channel")
    return {along: write(folder / f"{along}.nc", along=along) for along in ("xi", "eta")}


@pytest.mark.parametrize(("along", "periodic"), [("xi", (True, False)), ("eta", (False, True))])
def test_overlapping_ends_are_found_and_the_period_is_that_of_the_run(files, along, periodic):
    ocean = opened(RunConfig(ocean=(files[along],)))
    assert ocean.grid.periodic == periodic and max(ocean.grid.period) == POINTS
    assert f"read as periodic along {along}" in " ".join(ocean.description["assumptions"])
    one = ocean.snapshot(3)
    assert one.zeta.shape == ocean.grid.shape and one.u.shape[1:] == ocean.grid.shape_u and one.v.shape[1:] == ocean.grid.shape_v
    ends = (one.zeta[:, 0], one.zeta[:, -1]) if along == "xi" else (one.zeta[0], one.zeta[-1])
    assert np.array_equal(*ends)


@pytest.mark.parametrize("along", ["xi", "eta"])
def test_continuity_closes_over_the_ends(files, along):
    ocean = as_periodic(open_croco(files[along]))
    one = ocean.snapshot(0)
    w = omega_by_continuity(one.u, one.v, one.zeta, ocean.grid, ocean.vertical)
    # of a uniform current under a wavy surface, in closed form: the surface's own motion, which omega leaves out, is 0
    inner = np.swapaxes(w, 1, 2) if along == "eta" else w
    assert np.allclose(inner[:, 1:-1, 0], inner[:, 1:-1, -1], atol=1e-12) and np.abs(inner[:, 1:-1]).max() < 2e-7


@pytest.mark.parametrize("along", ["xi", "eta"])
def test_particles_go_round_as_often_as_they_must_in_closed_form(files, along, tmp_path, monkeypatch):
    monkeypatch.setattr(lagrangian.maps, "draw_catchment", lambda *arguments: None)
    monkeypatch.setattr(lagrangian.fields, "HALF_WINDOW_KM", 30.0)
    options = dict(site="100000,100000", w=(20.0,), trap_depth=900.0, levels=(200.0,), positions=1, particles=4, collection=2.0,
                   every=2.0, release_every=24.0, dt=120.0, threads=1)  # fmt: skip
    assert main(RunConfig(ocean=(files[along],), out=tmp_path / "one", **options)) == 0
    with open_store(tmp_path / "one" / "w020" / "particles.zarr", "particles") as store:
        assert (store["status"].values == 0).all()
        # 35 days at 0.3 m/s: 907.2 km, nearly four periods
        away = store["x" if along == "xi" else "y"].values[..., 0]
        days = (store["release_time"].values - store["time"].values[..., 0]) / np.timedelta64(1, "D")
    assert np.allclose(days, 35.0, atol=0.01) and np.allclose(away, -0.3 * 86.4 * days, rtol=1e-4)
    assert main(RunConfig(ocean=(files[along],), out=tmp_path / "two", periodic="no", **options)) == 0
    with open_store(tmp_path / "two" / "w020" / "particles.zarr", "particles") as store:
        assert (store["status"].values == 1).all()  # through the closed end


def test_ends_that_differ_by_a_tenth_of_a_millimetre_are_those_of_a_closed_domain(tmp_path):
    path = write(tmp_path / "spoiled.nc", spoiled=True)
    ocean = opened(RunConfig(ocean=(path,)))
    assert ocean.grid.periodic == (False, False) and not isinstance(ocean, PeriodicOcean)
    with pytest.raises(InputError, match=r"not periodic along xi: .* not the same water"):
        opened(RunConfig(ocean=(path,), periodic="xi"))


def test_water_that_is_the_same_everywhere_tells_nothing(tmp_path):
    assert opened(RunConfig(ocean=(write(tmp_path / "still.nc", still=True),))).grid.periodic == (False, False)


def test_equal_ends_on_a_small_part_of_the_earth_are_told_and_closed(tmp_path):
    path = write(tmp_path / "earth.nc", spherical=True)
    ocean = opened(RunConfig(ocean=(path,)))
    assert ocean.grid.periodic == (False, False)
    assert "positions neither lie in metres along it nor go round the Earth" in " ".join(ocean.description["assumptions"])


def test_the_option_goes_with_croco_files(tmp_path):
    from tests.lagrangian import test_zlevel_run as zlevel

    zlevel.write_lonlat(tmp_path / "a.nc", zlevel.LON, zlevel.LAT, zlevel.DEPTH, zlevel.days("2001-03-01", 2, 12),
                        {name: field[:2] for name, field in zlevel.FIELDS.items()})  # fmt: skip
    with pytest.raises(OptionError, match="--periodic goes with CROCO and ROMS files"):
        opened(RunConfig(ocean=(str(tmp_path / "a.nc"),), periodic="xi"))


def test_it_is_sent_to_workers_and_read_there(files):
    import pickle

    ocean = pickle.loads(pickle.dumps(as_periodic(open_croco(files["xi"]))))
    assert ocean.grid.periodic == (True, False) and ocean.snapshot(1).zeta.shape == ocean.grid.shape
