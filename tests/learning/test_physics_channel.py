"""Networks of ``python -m tests.benchmarks.physics_channel``, which correct the PDF of learnt velocities."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from lagrangian.binning import smooth_pdf
from lagrangian.config import speed_folder
from learning.config import PRESETS
from learning.inputs import InputSpec
from learning.network import pdf_head
from learning.samples import RunSamples
from tests.benchmarks import physics_channel
from tests.benchmarks.physics_channel import VELOCITY, Corrected, Trial, amplitudes, products_of

SPEEDS = (80.0, 300.0)
SHIFT = 6


@pytest.fixture(scope="module")
def physics(run, tmp_path_factory) -> Path:
    """Predictions of the made-up run whose root is the smoothed truth, moved by six cells; their mean is flat."""
    folder = tmp_path_factory.mktemp("physics")
    for w in SPEEDS:
        with xr.open_zarr(run / speed_folder(w) / "pdf.zarr", consolidated=False) as store:
            counts, reached, start = store["counts"].values, store["reached"].values, store["collection_start"].values
        smoothed = smooth_pdf(counts / reached[:, :, None, None].astype(np.float32)).astype(np.float32)
        flat = np.full_like(smoothed, 1 / smoothed[0, 0].size)
        dims = ("experiment", "level", "y", "x")
        moved = xr.Dataset({"pdf_root": (dims, np.roll(smoothed, SHIFT, axis=-1)), "pdf": (dims, flat),
                            "collection_start": ("experiment", start)})  # fmt: skip
        moved.to_zarr(folder / speed_folder(w) / "predictions" / f"{VELOCITY}.zarr", consolidated=False)
    return folder


@pytest.fixture(scope="module")
def samples(run) -> RunSamples:
    return RunSamples.open(run, SPEEDS, InputSpec.of("sst-ssh"))


@pytest.mark.parametrize("seen", ["physics", "both"])
def test_a_network_that_has_learnt_nothing_gives_the_root_of_each_speed(samples, physics, seen):
    rows = np.array([0, 50])
    trial = Trial(samples, amplitudes(physics, SPEEDS, samples.start), rows, samples.normalisation(rows), seen)
    network = Corrected(PRESETS["quick"].architecture, samples.fields.spec, len(SPEEDS), samples.n_bins, seen)
    network.start_from(torch.rand(2, 1, 100, 100))
    inputs, targets = trial.__getitems__([0, 1])
    with torch.no_grad():
        pdf = pdf_head(network.eval()(inputs))[:, :, 0].numpy()
    assert np.abs(pdf - products_of(trial)["root"]).max() < 1e-3 * pdf.max()
    moved = smooth_pdf(targets[:, :, 0].numpy())
    assert np.abs(np.roll(moved, SHIFT, axis=-1) - pdf).max() < 1e-2 * pdf.max()


def test_a_network_of_maps_sees_no_product(samples, physics):
    rows = np.array([0, 50])
    arguments = rows, samples.normalisation(rows), "maps"
    known = amplitudes(physics, SPEEDS, samples.start)
    unknown = np.full_like(known, np.nan)
    one, other = (Trial(samples, array, *arguments).__getitems__([0, 1])[0] for array in (known, unknown))
    assert torch.equal(one, other) and one.shape[1] == samples.fields.spec.n_channels


def test_predictions_of_other_experiments_are_not_taken(samples, physics):
    with pytest.raises(SystemExit, match="its experiments are not those of the run"):
        amplitudes(physics, SPEEDS, samples.start[::-1])


def test_the_trial_tells_that_an_error_which_is_always_the_same_is_learnt(run, physics, capsys, monkeypatch):
    options = ["--run", run, "--physics", physics, "--other", run, "--other-physics", physics]
    options += ["--seen", "physics", "--members", 1, "--visits", 600]
    monkeypatch.setattr(sys, "argv", ["physics_channel", *map(str, options)])
    physics_channel.main()
    told = capsys.readouterr().out
    parts = told[told.index("\nvalidation:") :].split("experiments a speed")
    assert len(parts) == 4 and told.count("w = 300 m/d") == 3
    for part in parts[1:]:
        loss = {name: [float(value) for value in re.findall(rf"^  {name} .*  BL (\S+)", part, re.MULTILINE)]
                for name in ("root", "mean", "physics")}  # fmt: skip
        for k in range(2):
            assert loss["physics"][k] < 0.8 * loss["root"][k] < loss["mean"][k]
    assert re.search(r"root .*than root 0\.0000 \[0\.0000, 0\.0000\]", told)
