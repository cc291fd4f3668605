"""The whole chain on a GLORYS-like ocean: twin files, backtracking, learning, prediction, report, by the same commands."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr

from data.command import run_command
from data.ocean_names import is_idealised
from data.twin import __main__ as twin
from data.twin import families
from evaluation.report import ReportConfig
from evaluation.report import main as report
from evaluation.satellite import SatelliteConfig
from evaluation.satellite import main as satellite
from evaluation.scores import bhattacharyya_loss
from lagrangian.config import RunConfig
from lagrangian.fields import open_fields
from lagrangian.run import main as backtrack
from learning.config import FitConfig
from learning.fit import main as fit
from learning.predict import PredictConfig
from learning.predict import main as predict
from tests.builders.pictures import draw_coarsely

DAYS = 165


def command(kind, main, *words):
    assert run_command(kind, main, prog="chain", argv=[str(word) for word in words]) == 0


@pytest.fixture(scope="module", autouse=True)
def coarse():
    """Pictures as of what looks at none."""
    with pytest.MonkeyPatch.context() as patch:
        draw_coarsely(patch)
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on the twin's files on a coarse grid and few levels, predicted by a barely trained network."""
    files, out = tmp_path_factory.mktemp("files"), tmp_path_factory.mktemp("run") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(families, "PARTS", 5)
        patch.setattr(families, "LEVELS", families.LEVELS[[0, 12, 20, 25, 29, 32, 35, 37, 39, 41, 43, 45, 47]])
        command(twin.TwinConfig, twin.main, "--as", "lonlat", "--years", DAYS / 365, "--out", files)
    command(RunConfig, backtrack, "--ocean", files / "twin_lonlat.*.nc", "--grid", files / "twin_static.nc", "--w", 300,
            "--positions", 1, "--particles", 16, "--release-every", 48, "--levels", 1000, 200, "--fields-spacing", 8,
            "--threads", 1, "--out", out)  # fmt: skip
    command(FitConfig, fit, "--run", out, "--method", "unet", "--inputs", "sst-ssh", "--width", 4, "--epochs", 1, "--members", 1,
            "--batch", 16, "--threads", 1)  # fmt: skip
    command(PredictConfig, predict, "--run", out, "--threads", 1)
    command(ReportConfig, report, "--run", out)
    return out


@pytest.fixture(scope="module")
def predictions(run, twin_maps, tmp_path_factory):
    """Catchments from satellite-like maps of the same ocean by the networks that learnt from the GLORYS-like files."""
    out = tmp_path_factory.mktemp("satellite")
    end = np.datetime64("2000-01-01") + DAYS
    command(PredictConfig, predict, "--run", run, "--ssh", twin_maps / "ssh_*.nc", "--sst", twin_maps / "sst_*.nc", "--end", end,
            "--threads", 1, "--out", out)  # fmt: skip
    command(SatelliteConfig, satellite, "--predictions", out, "--run", run)
    return out


def test_networks_of_such_an_ocean_predict_from_satellite_maps(predictions, run):
    with (
        xr.open_dataset(predictions / "catchment_w300.nc") as made,
        xr.open_zarr(run / "w300" / "predictions" / "sst-ssh.zarr", consolidated=False) as simulated,
    ):
        pdf = made["pdf"].values
        assert len(pdf) >= 8 and np.allclose(pdf.sum(axis=(1, 2)), 1.0, atol=1e-3)
        # the same ocean seen from above: the two mean catchments are closer than the sea's catchment is to a box of 200 km
        mean = simulated["pdf"].sel(level=200).mean("experiment", skipna=True).values
    assert bhattacharyya_loss(pdf.mean(0) / pdf.mean(0).sum(), mean / mean.sum()) < 0.1
    assert list((predictions / "figures").glob("*.png"))


def test_fields_hold_all_five_variables_of_the_networks_around_the_trap(run):
    fields = open_fields(run / "fields.zarr")
    near = (np.abs(fields["x"]) < 400) & (np.abs(fields["y"]) < 400)
    for name in ("temp", "u", "v", "vorticity_over_f", "ssh"):
        assert np.isfinite(fields[name].where(near, drop=True)).all(), name
    assert is_idealised(fields.attrs["source"])


def test_the_catchments_are_predicted_and_scored_as_those_of_any_ocean(run):
    with xr.open_zarr(run / "w300" / "predictions" / "sst-ssh.zarr", consolidated=False) as made:
        total = made["pdf"].sum(("x", "y"), skipna=False).values
    known = np.isfinite(total)  # not of the first periods, whose earlier maps lie before the record
    assert known.sum() >= 20 and known[4:].all() and np.allclose(total[known], 1.0, atol=1e-4)
    scores = json.loads((run / "report" / "metrics.json").read_text())["scores"]
    models = {one["model"] for one in scores}
    assert {"sst-ssh", "climatology", "box100"} <= models
    assert all(0 < one["bl_mean"] < 1 for one in scores)
    assert "idealised twin ocean" in (run / "report" / "report.html").read_text()
