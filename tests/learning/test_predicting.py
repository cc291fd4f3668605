"""Prediction as a function: the same PDFs from arrays and from labelled fields."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

from data.errors import InputError
from lagrangian.binning import bin_centres
from learning import Ensemble, predict
from learning.architecture import Architecture
from learning.ensemble import of_one_body
from learning.inputs import InputSpec, Normalisation
from learning.network import CatchmentNetwork

SPEC = InputSpec.of("5v-1l", lags_days=(0, 20))


@pytest.fixture(scope="module")
def ensemble():
    torch.manual_seed(0)
    networks = [CatchmentNetwork(Architecture("residual", width=4, levels=2, coarsen=4, kernel=3), SPEC, 1, 2).eval()
                for _ in range(2)]  # fmt: skip
    n = len(SPEC.variables)
    return Ensemble(networks, Normalisation(np.zeros(n, np.float32), np.ones(n, np.float32)), {"levels": [1000, 200], "w": 80.0})


@pytest.fixture(scope="module")
def fields():
    """(2, lag, variable, y, x)."""
    return np.random.default_rng(0).standard_normal((2, 2, len(SPEC.variables), 100, 100)).astype(np.float32)


def labelled(fields: np.ndarray) -> xr.Dataset:
    """The same fields by name: lags in another order and one more, u at two depths, the samples called time."""
    dims = ("time", "lag", "y", "x")
    dataset = xr.Dataset(coords={"lag": [20, 10, 0], "time": np.array(["2001-01-01", "2001-02-01"], "M8[ns]")})
    for number, (name, _) in enumerate(SPEC.variables):
        one = fields[:, :, number]
        dataset[name] = dims, np.stack([one[:, 1], 9 + 0 * one[:, 0], one[:, 0]], axis=1)
    deep = xr.concat([dataset["u"] * 0 + 5, dataset["u"]], xr.DataArray([1000.0, 0.0], dims="depth", name="depth"))
    return dataset.drop_vars("u").assign(u=deep)


def test_arrays_and_labelled_fields_give_what_the_ensemble_gives(ensemble, fields):
    pdf, spread = ensemble.predict_fields(fields)
    for made, dim in ((predict(ensemble, fields), "sample"), (predict(ensemble, labelled(fields)), "time")):
        np.testing.assert_array_equal(made["pdf"].values, pdf)
        np.testing.assert_array_equal(made["spread"].values, spread)
        assert made["pdf"].dims == (dim, "level", "y", "x") and made["level"].values.tolist() == [1000.0, 200.0]
        assert made.attrs == {"sinking_speed_m_per_day": 80.0, "inputs": "5v-1l", "members": 2}
        np.testing.assert_allclose(made["pdf"].sum(("y", "x")), 1.0, rtol=1e-5)
    assert made["time"].values[1] == np.datetime64("2001-02-01") and made["x"].values[[0, -1]].tolist() == [-396.0, 396.0]


def test_one_sample_needs_no_dimension_of_its_own(ensemble, fields):
    one = predict(ensemble, labelled(fields).isel(time=1, drop=True))
    assert one.sizes["sample"] == 1
    np.testing.assert_array_equal(one["pdf"].values, predict(ensemble, fields[1:])["pdf"].values)


def test_what_the_fields_lack_is_said(ensemble, fields):
    whole = labelled(fields)
    for dataset, words in (
        (whole.drop_vars("ssh"), "the fields lack ssh; networks of 5v-1l take temp, ssh, u, v, vorticity_over_f"),
        (whole.isel(lag=[1, 2]), "the coordinate lag must hold 0, 20 days"),
        (whole.isel(depth=[0]), "u: the coordinate depth must hold 0 m"),
        (whole.expand_dims(member=2), "beside lag, depth, y and x; one counts samples"),
        (whole.assign(v=whole["v"].isel(time=0, drop=True)), "v has no dimension time"),
    ):
        with pytest.raises(InputError, match=words):
            predict(ensemble, dataset)


def test_the_order_of_axes_follows_their_names_and_coordinates(ensemble, fields):
    expected = predict(ensemble, fields)["pdf"].values
    axis = bin_centres()
    whole = labelled(fields).assign_coords(y=axis, x=axis)
    surface = whole.sel(depth=0.0, drop=True)
    for same in (
        whole.isel(y=slice(None, None, -1), x=slice(None, None, -1)),
        whole.transpose("x", "y", ...),
        surface.to_dataarray("variable"),
        surface.to_dataarray("variable").transpose("x", "lag", "variable", "time", "y"),
    ):
        np.testing.assert_array_equal(predict(ensemble, same)["pdf"].values, expected)
    for wrong, words in (
        (whole.assign_coords(x=axis / 8 * 5), "temp: points along x are 5 apart; the networks take points 8 km apart"),
        (whole.assign_coords(y=1000 * axis), "points along y are 8000 apart; .* y in km"),
        (xr.DataArray(fields, dims=("time", "lag", "variable", "x", "y")), "needs a dimension variable that names temp, ssh"),
    ):
        with pytest.raises(InputError, match=words):
            predict(ensemble, wrong)


def test_speeds_of_one_body_share_what_comes_before_their_own_weights(fields):
    torch.manual_seed(1)
    architecture = Architecture("residual", width=4, levels=2, coarsen=4, kernel=3)
    both = CatchmentNetwork(architecture, SPEC, 2, 2).eval()
    with torch.no_grad():
        both.body.out.weight.normal_()
        both.body.climatology.normal_()
    n = len(SPEC.variables)
    normalisation = Normalisation(np.zeros(n, np.float32), np.ones(n, np.float32))
    slow, fast = (
        Ensemble([both.for_speed(k).eval()], normalisation, {"levels": [1000, 200], "w": w}) for k, w in enumerate((80, 300))
    )
    assert of_one_body([slow, fast]) == [[0, 1]]
    inputs = fields.reshape(2, -1, 100, 100)
    shared, alone = fast.predict(inputs, features=slow.features(inputs)), fast.predict(inputs)
    for one, two in zip(shared, alone, strict=True):
        np.testing.assert_array_equal(one, two)
    with torch.no_grad():  # what is made a sample at a time is what is made of all at once, to the rounding of other sums
        whole = fast._combined(torch.as_tensor(inputs), fast.features(inputs), None)
    for one, two in zip(alone, whole, strict=True):
        np.testing.assert_allclose(one, two.numpy(), rtol=2e-6, atol=1e-9)
    assert np.abs(slow.predict(inputs)[0] - alone[0]).max() > 1e-4
    # training may have kept the weights of another epoch for one of them
    fast.networks[0].body.down[0].norm1.running_mean += 0.5
    assert of_one_body([slow, fast]) == [[0], [1]]
