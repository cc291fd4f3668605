"""Networks that learnt at one latitude see what SSH means at another: geostrophy, and the mirror of the other hemisphere."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import xarray as xr

from data.command import read_json, write_json
from data.errors import OptionError
from data.sites import Site, parse_site
from learning.ensemble import Ensemble
from learning.latitudes import Latitudes
from learning.satellite import predict_windows
from learning.satellite_inputs import satellite_windows
from tests.builders.satellite_maps import height, maps, temperature
from tests.learning.test_satellite import call
from tests.learning.test_satellite import run as unet_run  # noqa: F401 (a fixture)
from tests.learning.test_velocity_commands import even, predicted, quick, quiet, run, trained  # noqa: F401 (fixtures)

LON = np.arange(-26.0, -7, 0.5)
LAT = np.arange(43.0, 55.5, 0.5)


def test_the_factor_is_the_ratio_of_coriolis_parameters_and_of_one_place_it_is_one():
    home = parse_site("pap-so")
    for latitude in (49.0, 30.0, -47.0, -10.5):
        found = Latitudes.between(home, Site("there", 10.0, latitude))
        assert found.factor == pytest.approx(np.sin(np.deg2rad(49)) / np.sin(np.deg2rad(abs(latitude))))
        assert found.mirrored == (latitude < 0)
    assert Latitudes.between(home, home).factor == 1.0 and Latitudes.between(home, home).notes() == []
    plane = Latitudes.between(Site("box", 4e5, 3e5), home)  # metres of a Cartesian grid are no latitude
    assert plane.factor == 1.0 and not plane.mirrored and Latitudes.between(None, home).factor == 1.0


def test_near_the_equator_ssh_tells_no_currents():
    home, equator = parse_site("pap-so"), Site("there", 0.0, -2.0)
    for pair in ((home, equator), (equator, home)):
        with pytest.raises(OptionError, match=r"lies 2\.0 degrees from the equator, where currents do not follow"):
            Latitudes.between(*pair)
    assert Latitudes.between(equator, equator).factor == 1.0


def catchments(folder, name):
    with xr.open_dataset(folder / f"catchment_{name}.nc") as file:
        return file.load()


def both(folder, ssh, sst, days, *, mirrored=False, factor=1.0, coast=False):
    """Files of maps, as they are or as the other hemisphere has them."""
    lat = -LAT[::-1] if mirrored else LAT
    side = -1 if mirrored else 1
    folder.mkdir()
    where = {"days": days, "lon": LON, "lat": lat, "hole": (lambda x, y: side * y > 51.5 + 0.2 * (x + 16.5)) if coast else None}
    one = maps(folder / "ssh.nc", "adt", "m", lambda d, x, y: factor * ssh(d, x, side * y), **where)
    two = maps(folder / "sst.nc", "analysed_sst", "kelvin", lambda d, x, y: sst(d, x, side * y), **where)
    return ["--ssh", one, "--sst", two]


@pytest.mark.parametrize("coast", [False, True])
def test_an_ocean_of_the_other_hemisphere_has_the_mirrored_catchments(coast, trained, unet_run, tmp_path, capsys):  # noqa: F811
    """The same maps, seen in a mirror: by both kinds of networks, with open sea and with unknown maps towards the pole."""
    days = range(0, 130, 2)
    for mirrored, site in ((False, "-16.5,49"), (True, "-16.5,-49")):
        name = "south" if mirrored else "north"
        files = both(tmp_path / f"velocity-{name}", quiet, even, days, mirrored=mirrored, coast=coast)
        more = ["--site", site, "--every", "20", "--w", "300", "--trap-depth", "3000", "--out", str(tmp_path / name)]
        assert predicted(trained, *files, *more) == 0
        files = both(tmp_path / f"unet-{name}", height, temperature, range(61), mirrored=mirrored, coast=coast)
        assert call(unet_run, tmp_path / f"{name}-unet", *files, "--site", site) == 0
        told = capsys.readouterr().out
        assert ("maps, and the catchments back, are mirrored north to south" in told) == mirrored
        assert "SSH is multiplied by 1.00" in told or not mirrored
    for kind in ("", "-unet"):
        north, south = (catchments(tmp_path / f"{name}{kind}", "w300") for name in ("north", "south"))
        one, other = north["pdf"].values, south["pdf"].values
        apart = [np.abs(one - turned).sum(axis=(1, 2)).max() / 2 for turned in (other[:, ::-1], other)]
        assert apart[0] < 1e-4 and apart[1] > 0.05
        assert (south["lat"].values < -44).all()


def test_half_the_coriolis_parameter_makes_the_same_currents_of_half_the_slope(trained, tmp_path, monkeypatch):  # noqa: F811
    """Networks said to have learnt at 22.17 degrees, where f is half of that at 49, see SSH at 49 degrees doubled."""
    import learning.velocity.satellite as satellite

    days = range(0, 130, 2)
    halved = both(tmp_path / "halved", quiet, even, days, factor=2.0)
    whole = both(tmp_path / "whole", quiet, even, days)
    more = ["--site", "-16.5,49", "--every", "20", "--w", "300", "--trap-depth", "3000"]
    assert predicted(trained, *whole, *more, "--out", str(tmp_path / "home")) == 0
    assert predicted(trained, *halved, *more, "--out", str(tmp_path / "steep")) == 0
    made = Latitudes(float(np.rad2deg(np.arcsin(0.5 * np.sin(np.deg2rad(49))))), 49.0)
    assert made.factor == pytest.approx(0.5)
    monkeypatch.setattr(satellite.Latitudes, "between", lambda home, site: made)
    assert predicted(trained, *halved, *more, "--out", str(tmp_path / "scaled")) == 0
    home, steep, scaled = (catchments(tmp_path / name, "w300")["pdf"].values for name in ("home", "steep", "scaled"))
    assert np.abs(scaled - home).max() < 1e-4 * home.max() < np.abs(steep - home).max()


def test_networks_of_binned_pdfs_see_the_same_of_half_the_slope_as_well(unet_run, tmp_path):  # noqa: F811
    """As above: SSH at 49 degrees doubled, to networks whose card says that they learnt where f is half."""
    ensemble = Ensemble.load(unet_run / "w080" / "models" / "sst-ssh")

    def pdf(name, factor):
        files = both(tmp_path / name, height, temperature, range(61), factor=factor)
        windows = satellite_windows((files[1],), (files[3],), ensemble.spec, "-16.5,49", start="2010-02-20", end="2010-02-20")
        return predict_windows(ensemble, windows)["pdf"].values

    home, steep = pdf("whole", 1.0), pdf("doubled", 2.0)
    ensemble.card["site"] = f"0,{np.rad2deg(np.arcsin(0.5 * np.sin(np.deg2rad(49))))}"
    scaled = pdf("doubled-elsewhere", 2.0)
    # networks of one epoch hardly answer to SSH at all: their answer is nevertheless that at home
    assert np.abs(scaled - home).max() < 0.02 * np.abs(steep - home).max()


def test_simulations_elsewhere_are_told_of_or_refused(trained, tmp_path, capsys):  # noqa: F811
    """The networks of pap-so and a run elsewhere: told where f differs, refused in the other hemisphere."""
    home = parse_site("pap-so")
    assert Latitudes.between(home, Site("near", -16.0, 48.0)).of_simulation() == []
    (line,) = Latitudes.between(home, Site("there", 0.0, 20.0)).of_simulation()
    assert "the run lies at 20.0 degrees north, the networks learnt at 49.0" in line and "2.21 times as fast" in line
    south = shutil.copytree(trained, tmp_path / "south", ignore=shutil.ignore_patterns("models", "predictions"))
    record = read_json(south / "run.json")
    record["configuration"]["site"] = "-16.5,-49"
    write_json(south / "run.json", record)
    models = str(trained / "models" / "velocity-sst-ssh")
    assert predicted(south, "--models", models) == 2
    assert "in the other hemisphere, where the same SSH drives currents the other way round" in capsys.readouterr().err
