"""The map of one catchment for notebooks."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from data.errors import InputError, OptionError
from evaluation import plot_catchment
from evaluation.scores import box_pdf
from lagrangian.binning import bin_centres

matplotlib.use("Agg")


def gaussian() -> xr.DataArray:
    x = bin_centres()
    pdf = np.exp(-((x[None, :] - 60) ** 2 + x[:, None] ** 2) / (2 * 30.0**2))
    coords = {"x": x, "y": x, "level": 200.0, "sinking_speed": 80.0}
    return xr.DataArray(pdf / pdf.sum(), dims=("y", "x"), coords=coords, name="pdf")


def axes_of(*arguments, **options):
    return plot_catchment(*arguments, Figure().add_subplot(), **options)


def test_contours_hold_the_shares_they_are_drawn_for():
    """Of a Gaussian the contour of a share p is the circle of radius sigma sqrt(-2 ln(1 - p))."""
    axes = axes_of(gaussian(), shares=(0.5,), boxes=False)
    (lines,) = [one for one in axes.collections if hasattr(one, "levels")]
    (path,) = [one for one in lines.get_paths() if len(one.vertices)]
    radius = np.hypot(path.vertices[:, 0] - 60, path.vertices[:, 1])
    np.testing.assert_allclose(radius, 30 * np.sqrt(2 * np.log(2)), rtol=0.05)
    assert axes.get_title() == "200 m, 80 m d⁻¹"


def test_the_cells_are_per_cent_and_the_map_reaches_as_far_as_the_particles():
    axes = axes_of(gaussian() * 7)
    assert axes.collections[0].get_array().sum() == pytest.approx(100)
    assert 60 + 60 < axes.get_xlim()[1] < 60 + 120
    assert axes_of(box_pdf(96.0), reach_km=150).get_xlim() == (-150, 150)


def test_an_array_a_dataset_and_a_map_of_length_one_dimensions_are_drawn_alike():
    one = gaussian()
    expected = axes_of(one).collections[0].get_array()
    for other in (one.values, one.values[None], one.expand_dims("experiment"), one.transpose("x", "y"), one.to_dataset()):
        np.testing.assert_allclose(axes_of(other).collections[0].get_array(), expected)


def test_the_place_of_the_particles_does_not_hang_on_how_the_map_is_labelled():
    one = gaussian().roll(y=-5).drop_vars(["x", "y"])
    lying = one.assign_coords(x=bin_centres(), y=bin_centres())
    for other in (one, lying, lying[::-1], lying[:, ::-1].T):
        axes = axes_of(other, shares=(0.5,), boxes=False)
        (lines,) = [one for one in axes.collections if hasattr(one, "levels")]
        (path,) = [one for one in lines.get_paths() if len(one.vertices)]
        assert path.vertices.mean(axis=0) == pytest.approx((60, -40), abs=2)


def test_shares_and_widths_that_are_none_are_refused():
    for options, words in (({"shares": (0.25, 50)}, "shares 50: must lie between 0 and 1"), ({"reach_km": -9}, "reach_km -9: ")):
        with pytest.raises(OptionError, match=words):
            axes_of(gaussian(), **options)


def test_more_than_one_map_and_an_empty_one_are_refused_with_what_would_mend_it():
    two = xr.concat([gaussian(), gaussian()], "experiment")
    with pytest.raises(InputError, match=r"choose one map or average over experiment, such as pdf.sel\(level=200\)"):
        axes_of(two)
    with pytest.raises(InputError, match="not an array of shape"):
        axes_of(np.ones((2, 100, 100)))
    with pytest.raises(InputError, match="holds no particle"):
        axes_of(gaussian() * np.nan)
    with pytest.raises(InputError, match="holds no pdf, only counts"):
        axes_of(gaussian().to_dataset(name="counts"))


def test_new_axes_are_made_where_none_are_given():
    import matplotlib.pyplot as plt

    axes = plot_catchment(gaussian(), smooth=True)
    assert axes.figure.number in plt.get_fignums()
    plt.close(axes.figure)
