"""Networks of velocities that know the depth of the sea floor: ``--inputs sst-ssh-bathymetry``."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from data.bathymetry import bathymetry_on
from data.command import run_command
from data.frame import Frame
from data.ocean import sea_floor_of
from data.twin.chlorophyll import Chlorophyll
from data.twin.ocean import DEPTH, open_twin
from data.twin.products import write_products
from learning.config import FitConfig
from learning.fit import main as fit
from learning.latitudes import Latitudes
from learning.predict import PredictConfig
from learning.predict import main as predict
from learning.velocity.joined import joined
from learning.velocity.maps import FOLD, Maps, MapSpec
from learning.velocity.model import VelocityModel, velocity_folder
from learning.velocity.targets import Velocities, write_velocities
from tests.builders.analytic import SHALLOW_TO_DEEP, AnalyticOcean, plane
from tests.builders.satellite_maps import maps
from tests.learning.test_latitudes import both
from tests.learning.test_velocity import made_up
from tests.learning.test_velocity_commands import SMALL, even, quick, quiet, run  # noqa: F401 (fixtures)
from tests.learning.test_velocity_commands import write_velocities as write_made_up

BOTH = [word for word in SMALL if word not in ("--inputs", "sst-ssh")]
FLOOR = [*BOTH, "--inputs", "sst-ssh-bathymetry"]


def fitted(folder: Path, *options: str) -> int:
    return run_command(FitConfig, fit, prog="learning.fit", argv=["--run", str(folder), *(options or FLOOR)])


def predicted(folder: Path, *options: str) -> int:
    argv = ["--run", str(folder), "--members", "2", "--threads", "1", *options]
    return run_command(PredictConfig, predict, prog="learning.predict", argv=argv)


@pytest.fixture(scope="module")
def trained(run, tmp_path_factory) -> Path:  # noqa: F811
    """A run with networks that know the sea floor, and with others that do not."""
    folder = tmp_path_factory.mktemp("floor") / "run"
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns("models"))
    assert fitted(folder, *BOTH) == 0
    return folder


def test_the_floor_is_one_map_in_four_channels_without_its_mean():
    velocities = made_up()
    hills = 100 * np.random.default_rng(0).standard_normal(velocities.lattice.shape)
    velocities.surface["bathymetry"] = np.broadcast_to(4000 + hills, velocities.surface["ssh"].shape)
    spec, plain = (MapSpec.of(name, 32.0, 16.0) for name in ("sst-ssh-bathymetry", "sst-ssh"))
    assert spec.n_channels == plain.n_channels + FOLD**2 and spec.n_ssh == plain.n_ssh
    stacked = Maps.of(spec, velocities.times, velocities.surface, 16.0)
    scale = stacked.scale(np.arange(5))
    assert scale["bathymetry"] == pytest.approx(hills.std(), rel=1e-4)
    channels = stacked.stack(stacked.instants(velocities.times[10]), scale)
    assert channels.shape[0] == spec.n_channels
    np.testing.assert_allclose(channels[-4], ((hills - hills.mean()) / hills.std())[::2, ::2], atol=1e-4)
    # where the maps are moved, the floor is moved with them
    moved = stacked.stack(stacked.instants(velocities.times[10]), scale, (2, 4))
    np.testing.assert_allclose(moved[-4], np.roll(channels[-4], (1, 2), (0, 1)), atol=1e-5)


def test_every_record_keeps_its_own_floor():
    one, two = made_up(seed=0), made_up(seed=1)
    for velocities, depth in ((one, 3000.0), (two, 5000.0)):
        velocities.surface["bathymetry"] = np.full(velocities.surface["ssh"].shape, depth, np.float32)
    spec = MapSpec.of("sst-ssh-bathymetry", 32.0, 16.0)
    both, more = joined(one, [(Path("two"), two)], spec)
    stacked = Maps.of(spec, both.times, both.surface, 16.0)
    for number, depth in ((10, 3000.0), (int(more[0]), 5000.0)):
        chosen = stacked.instants(both.times[number])["bathymetry"]
        assert (stacked.values["bathymetry"][chosen] == depth).all()


def test_the_store_holds_the_floor_of_the_ocean(tmp_path):
    grid = plane(nx=60, ny=60, dx=8e3, h=lambda x, y: 4000 + 1e-3 * x - 2e-3 * y)
    times = np.datetime64("2000-01-01", "ns") + np.arange(3) * np.timedelta64(5 * 86400 * 10**9, "ns")
    still = {name: lambda x, y, z, t: 0.1 + 0 * (x + z) for name in ("u", "v")}
    ocean = AnalyticOcean(grid, SHALLOW_TO_DEEP, times, **still, description={"kind": "made up"})
    write_velocities(tmp_path, ocean, (0.0, 0.0), 150.0, [200.0, 3000.0], {}, say=lambda text: None)
    velocities = Velocities.open(tmp_path)
    frame = velocities.lattice.frame
    x, y = np.meshgrid(frame.x, frame.y)
    for floor in velocities.surface["bathymetry"]:
        np.testing.assert_allclose(floor, 4000 + x - 2 * y, atol=0.01)


def test_the_twins_hills_are_the_same_in_its_files_as_in_the_simulation(tmp_path):
    """The floor of the simulation, and that of a satellite user's file of it, on one frame: two ways to the same channel."""
    ocean = open_twin(0.02)
    assert np.ptp(ocean.grid.h) == 0 and abs(sea_floor_of(ocean).mean() - DEPTH) < 5  # particles pass over a flat floor
    height = ocean.record.model.parameters.topography
    assert np.corrcoef(height.ravel(), sea_floor_of(ocean)[:-1, :-1].ravel())[0, 1] < -0.9  # over a hill the sea is shallower
    written = write_products(ocean, Chlorophyll.of(ocean, 0), tmp_path, seed=0)[-1]
    assert written.name == "bathymetry.nc"
    site = ocean.grid.center
    write_velocities(tmp_path, ocean, site, 400.0, [200.0, 3000.0], {}, say=lambda text: None)
    velocities = Velocities.open(tmp_path)
    frame = velocities.lattice.frame
    inside = [np.flatnonzero(np.abs(axis) < 400) for axis in (frame.y, frame.x)]
    simulated = velocities.surface["bathymetry"][0][np.ix_(*inside)]
    charted = bathymetry_on(written, Frame(frame.center, frame.spacing_km, frame.x[inside[1]], frame.y[inside[0]]))
    assert simulated.std() > 50
    assert np.sqrt(np.mean((simulated - charted) ** 2)) < 0.03 * simulated.std()


def test_fit_and_predict_with_the_floor(trained):
    model = VelocityModel.load(velocity_folder(trained, "sst-ssh-bathymetry"))
    assert model.spec.variables == ("ssh", "temp", "bathymetry") and model.spec.resolution_km == {"ssh": 80.0, "temp": 28.0}
    assert predicted(trained, "--method", "velocity") == 0
    for name in ("velocity-sst-ssh", "velocity-sst-ssh-bathymetry"):
        assert (trained / "w080" / "predictions" / f"{name}.zarr").exists()


def test_maps_with_a_file_of_the_floor(trained, tmp_path, capsys):
    days, lon = range(0, 130, 2), np.arange(-26.0, -7, 0.5)
    ssh = maps(tmp_path / "ssh.nc", "adt", "m", quiet, days=days, lon=lon)
    sst = maps(tmp_path / "sst.nc", "analysed_sst", "kelvin", even, days=days, lon=lon)
    x, y = np.arange(-26.0, -7, 0.1), np.arange(43.0, 55, 0.1)
    given = ["--ssh", ssh, "--sst", sst, "--site", "-16.5,49", "--every", "40", "--w", "300"]
    found = []
    for name, height in (("one", np.cos(x)[None] * np.cos(y)[:, None]), ("two", np.sin(x)[None] * np.cos(y)[:, None])):
        floor = xr.DataArray(-4000 + 100 * height, dims=("lat", "lon"), coords={"lat": y, "lon": x}, name="elevation")
        floor.to_netcdf(tmp_path / f"{name}.nc")
        out = tmp_path / name
        with_floor = ["--method", "velocity", "--bathymetry", str(tmp_path / f"{name}.nc")]
        assert predicted(trained, *given, *with_floor, "--out", str(out)) == 0
        with xr.open_dataset(out / "catchment_w300.nc") as file:
            assert "velocity-sst-ssh-bathymetry" in file.attrs["source"]
            found.append(file["pdf"].values)
    assert np.abs(found[0] - found[1]).max() > 1e-5  # another floor, another catchment
    # without a file of the floor, the networks that need none
    assert predicted(trained, *given, "--method", "velocity", "--out", str(tmp_path / "plain")) == 0
    with xr.open_dataset(tmp_path / "plain" / "catchment_w300.nc") as file:
        assert "velocity-sst-ssh;" in file.attrs["source"]
    capsys.readouterr()
    models = {name: str(velocity_folder(trained, name)) for name in ("sst-ssh", "sst-ssh-bathymetry")}
    floor = str(tmp_path / "one.nc")
    for options, text in (
        (["--models", models["sst-ssh-bathymetry"]], "give --bathymetry"),
        (["--models", models["sst-ssh"], "--bathymetry", floor], "take no depth of the sea floor; leave it out"),
        (["--method", "unet", "--bathymetry", floor], "--bathymetry needs --method velocity"),
    ):
        assert predicted(trained, *given, *options, "--out", str(tmp_path / "no")) == 2
        error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("learning.predict:")]
        assert len(error) == 1 and text in error[0]


@pytest.mark.parametrize(
    ("hills", "text"), [(0.0, "is flat: its depth tells a network nothing"), (None, "velocities.zarr is of an earlier version")]
)
def test_a_floor_that_tells_nothing_is_refused(run, tmp_path, capsys, hills, text):  # noqa: F811
    folder = tmp_path / "run"
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns("models", "velocities.zarr"))
    write_made_up(folder, hills)
    assert fitted(folder) == 2
    assert text in capsys.readouterr().err
    assert fitted(folder, *BOTH) == 0  # what is learnt unless asked otherwise leaves it out
    assert [path.name for path in (folder / "models").iterdir()] == ["velocity-sst-ssh"]


def test_networks_of_binned_pdfs_take_no_floor(trained, capsys):
    assert fitted(trained, "--method", "unet", "--inputs", "sst-ssh-bathymetry") == 2
    assert "--method unet takes --inputs sst-ssh, 5v-1l, 5v-4l, not sst-ssh-bathymetry" in capsys.readouterr().err


def charted(path: Path, *, mirrored: bool = False, times: float = 1.0) -> str:
    """A chart of hills, as it is, in the mirror of the other hemisphere, or of hills so many times as high."""
    lon, lat = np.arange(-26.0, -7, 0.1), np.arange(43.0, 55.5, 0.1)
    depth = 4000 + 100 * np.cos(lon)[None] * np.sin(2 * lat)[:, None]
    depth = times * (depth[::-1] if mirrored else depth)
    place = {"lat": -lat[::-1] if mirrored else lat, "lon": lon}
    xr.DataArray(depth, dims=("lat", "lon"), coords=place).to_dataset(name="deptho").to_netcdf(path)
    return str(path)


def test_hills_of_the_other_hemisphere_are_mirrored_with_the_maps(trained, tmp_path):
    found = {}
    for name, seen, hills in (("north", False, False), ("south", True, True), ("wrong", True, False)):
        files = both(tmp_path / name, quiet, even, range(0, 130, 2), mirrored=seen)
        floor = charted(tmp_path / f"{name}.nc", mirrored=seen)
        if seen and not hills:  # the northern hills where the mirrored ones should be
            with xr.open_dataset(tmp_path / "north.nc") as chart:
                chart.load().assign_coords(lat=chart["lat"].values - 98.4).to_netcdf(tmp_path / "unturned.nc")
            floor = str(tmp_path / "unturned.nc")
        site = "-16.5,-49" if seen else "-16.5,49"
        out = tmp_path / f"{name}-out"
        given = [*files, "--method", "velocity", "--bathymetry", floor, "--site", site, "--every", "40", "--w", "300"]
        assert predicted(trained, *given, "--trap-depth", "3000", "--out", str(out)) == 0
        with xr.open_dataset(out / "catchment_w300.nc") as file:
            found[name] = file["pdf"].values
    assert np.abs(found["south"][:, ::-1] - found["north"]).sum(axis=(1, 2)).max() / 2 < 1e-4
    assert np.abs(found["wrong"][:, ::-1] - found["north"]).sum(axis=(1, 2)).max() / 2 > 1e-3


def test_half_the_coriolis_parameter_at_home_makes_the_same_of_hills_half_as_high(trained, tmp_path, monkeypatch, capsys):
    """Networks said to have learnt where f is half of that of the site: there the same turn takes hills twice as high."""
    import learning.velocity.satellite as satellite

    made = Latitudes(float(np.rad2deg(np.arcsin(0.5 * np.sin(np.deg2rad(49))))), 49.0)
    assert made.factor == pytest.approx(0.5)
    found = {}
    for name, factor in (("home", None), ("here", made.factor)):
        files = both(tmp_path / name, quiet, even, range(0, 130, 2), factor=1 / (factor or 1.0))
        floor = charted(tmp_path / f"{name}.nc", times=factor or 1.0)
        if factor:
            monkeypatch.setattr(satellite.Latitudes, "between", lambda home, site: made)
        given = [*files, "--method", "velocity", "--bathymetry", floor, "--site", "-16.5,49", "--every", "40", "--w", "300"]
        assert predicted(trained, *given, "--trap-depth", "3000", "--out", str(tmp_path / f"{name}-out")) == 0
        with xr.open_dataset(tmp_path / f"{name}-out" / "catchment_w300.nc") as file:
            found[name] = file["pdf"].values
    assert "depths of the sea floor are divided by it" in capsys.readouterr().out
    assert np.abs(found["here"] - found["home"]).max() < 1e-4 * found["home"].max()
