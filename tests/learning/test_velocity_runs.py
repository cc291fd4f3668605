"""Several simulations to learn velocities from, and the ready network that was made so."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from data.command import read_json, run_command, write_json
from data.errors import InputError, OptionError
from data.sites import parse_site
from learning.config import FitConfig
from learning.fit import main as fit
from learning.predict import PredictConfig
from learning.predict import main as predict
from learning.ready import FOLDER, MODELS, with_ready_network
from learning.velocity.joined import APART, joined
from learning.velocity.maps import Maps, MapSpec
from learning.velocity.model import VelocityModel
from learning.velocity.satellite import design_at
from learning.velocity.targets import Velocities
from tests.builders.satellite_maps import height, maps, temperature
from tests.learning.test_velocity_commands import SMALL, quick, run, write_velocities  # noqa: F401 (fixtures)


@pytest.fixture(scope="module")
def second(run, tmp_path_factory) -> Path:  # noqa: F811
    """Another simulation of the same extent and depths: the same files, another identity."""
    folder = tmp_path_factory.mktemp("second") / "run"
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns("models", "velocities.zarr"))
    record = read_json(folder / "run.json")
    record["identity"] = {**record.get("identity", {}), "of": "another simulation"}
    record["ocean"] = {**record.get("ocean", {}), "seed": 7}
    write_json(folder / "run.json", record)
    write_velocities(folder)
    return folder


def of(run: Path, *more: Path) -> list[str]:  # noqa: F811
    return ["--run", str(run), *SMALL, *(["--more-runs", *map(str, more)] if more else [])]


def test_no_map_of_one_record_stands_for_a_day_of_another(run, second):  # noqa: F811
    spec = MapSpec.of("sst-ssh")
    own, other = Velocities.open(run), Velocities.open(second)
    both, more = joined(own, [(second, other), (second, other)], spec)
    n = own.times.size
    assert both.times.size == 3 * n and both.times[n] - both.times[0] == APART
    assert more.size and (more >= n).all()
    maps_of_all = Maps.of(spec, both.times, both.surface, both.lattice.frame.spacing_km)
    for number in [*range(4, n - 4), *more]:
        for chosen in maps_of_all.instants(both.times[number]).values():
            assert (chosen // n == number // n).all()
    # days near the ends of a further record, whose maps would lie outside of it, are not learnt from
    assert (both.times[more] - both.times[n * (more // n)] >= np.timedelta64(20 * 86400, "s")).all()


def test_networks_of_two_runs_differ_from_those_of_one_and_go_on_to_the_same_weights(run, second, tmp_path):  # noqa: F811
    weights = []
    for name, more in (("one", ()), ("two", (second,)), ("again", (second,))):
        folder = tmp_path / name
        shutil.copytree(run, folder, ignore=shutil.ignore_patterns("models"))
        assert run_command(FitConfig, fit, prog="learning.fit", argv=of(folder, *more)) == 0
        model = VelocityModel.load(folder / "models" / "velocity-sst-ssh")
        weights.append(torch.cat([value.flatten() for value in model.networks[0].state_dict().values()]))
        record = read_json(folder / "models" / "velocity-sst-ssh" / "fit.json")
        assert len(record["more_runs"]) == len(more) and record["more_seeds"] == [7] * len(more)
    assert not torch.equal(weights[0], weights[1]) and torch.equal(weights[1], weights[2])


def test_runs_that_cannot_be_learnt_from_together_are_refused(run, second, tmp_path, capsys):  # noqa: F811
    velocities = Velocities.open(run)
    spec = MapSpec.of("sst-ssh")
    deeper = dataclasses.replace(velocities, depths=velocities.depths + 100)
    with pytest.raises(InputError, match=r"here has velocities at 300, 1100, 3100 m, not at 200, 1000, 3000 m"):
        joined(velocities, [(Path("here"), deeper)], spec)
    short = dataclasses.replace(velocities, times=velocities.times[:5], psi=velocities.psi[:5])
    with pytest.raises(InputError, match="shorter than the maps around one instant"):
        joined(velocities, [(Path("here"), short)], spec)
    folder = tmp_path / "run"
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns("models"))
    assert run_command(FitConfig, fit, prog="learning.fit", argv=of(folder, folder)) == 2
    assert "the same simulation is given already" in capsys.readouterr().err
    assert run_command(FitConfig, fit, prog="learning.fit", argv=of(folder)) == 0
    assert run_command(FitConfig, fit, prog="learning.fit", argv=of(folder, second)) == 2
    assert "more_runs" in capsys.readouterr().err


@pytest.mark.parametrize("inputs", MODELS)
def test_a_ready_network_is_whole_small_and_names_what_it_learnt_from(inputs):
    folder = MODELS[inputs]
    model = VelocityModel.load(folder)
    assert model.spec.name == inputs and model.residuals is not None and 0.5 < model.residuals.amplitude < 2
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 5_000_000
    seeds = read_json(folder / "fit.json")["ocean_seeds"]
    assert len(seeds) > 1 and not {0, 1} & set(seeds)  # those are what tables of scores are made on
    for path in (FOLDER / "run.json", folder / "fit.json"):
        assert "/work" not in path.read_text() and "/tmp" not in path.read_text()


def test_maps_are_answered_at_once_and_the_first_line_says_by_what(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    maps(tmp_path / "ssh.nc", "adt", "m", height, days=range(80))
    maps(tmp_path / "sst.nc", "analysed_sst", "kelvin", temperature, days=range(80))
    words = ["--ssh", "ssh.nc", "--sst", "sst.nc", "--w", "300", "--members", "2", "--threads", "1", "--out", "out"]
    assert run_command(PredictConfig, predict, prog="learning.predict", argv=words) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith("ready network: ") and "dates have inputs outside" in first and "idealised teacher" in first
    assert (tmp_path / "out" / "catchment_w300.nc").exists()
    # with a chart of the sea floor, by the one that knows what to do with it
    lon, lat = np.arange(-26.0, -7, 0.2), np.arange(43.0, 55, 0.2)
    depth = 4800 + 100 * np.cos(3 * lon) * np.cos(3 * lat)[:, None]
    hills = xr.DataArray(depth, dims=("lat", "lon"), coords={"lat": lat, "lon": lon})
    hills.to_dataset(name="deptho").to_netcdf(tmp_path / "floor.nc")
    assert run_command(PredictConfig, predict, prog="learning.predict", argv=[*words, "--bathymetry", "floor.nc"]) == 0
    assert capsys.readouterr().out.startswith("ready network: ")
    with xr.open_dataset(tmp_path / "out" / "catchment_w300.nc") as found:
        assert "velocity-sst-ssh-bathymetry" in found.attrs["source"]


def test_the_trap_stands_at_the_depth_of_the_site_that_is_asked_for_or_it_is_said():
    def at(site, **options):
        config = with_ready_network(PredictConfig(ssh=("ssh.nc",), site=site, **options))
        return design_at(config, parse_site(site), 3000.0)

    design, notes = at("dyfamed")
    assert (design.trap_depth, design.levels[-1]) == (1000.0, 200.0) and max(design.levels) < 1000
    assert notes == ["the trap stands at 1000 m, as that of dyfamed (--trap-depth chooses another)"]
    with pytest.raises(OptionError, match=r"--site k2: its trap stands at 4810 m, .* down to 3000 m; .* --trap-depth 3000"):
        at("k2")
    assert at("k2", trap_depth=3000.0)[0].trap_depth == 3000 and at("pap-so") == (at("pap-so")[0], [])
    design, notes = at("-30,40")
    assert design.trap_depth == 3000 and "as in the run that the networks learnt from" in notes[0]


def test_networks_of_ones_own_come_before_the_ready_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = PredictConfig(ssh=("ssh.nc",))
    assert with_ready_network(config).run == FOLDER and with_ready_network(config).out == Path("runs/demo")
    assert with_ready_network(PredictConfig()).run == Path("runs/demo")
    assert with_ready_network(dataclasses.replace(config, run=Path("runs/learn"))).run == Path("runs/learn")
    own = tmp_path / "runs" / "demo" / "w080" / "models" / "sst-ssh"
    own.mkdir(parents=True)
    (own / "member-01.safetensors").touch()
    assert with_ready_network(config).run == Path("runs/demo")
