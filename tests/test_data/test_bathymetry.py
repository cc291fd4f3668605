"""The depth of the sea floor from files in the layouts of GEBCO, ETOPO and reanalyses."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from data.bathymetry import bathymetry_on
from data.errors import InputError
from data.frame import Frame
from data.sites import SITES

ETOPO5 = Path(__file__).parents[2] / "../shared/data/bathymetry/etopo5_NEatl_40-60N_30W-0.nc"
SITE = (-16.5, 49.0)
FRAME = Frame.around(SITE, 192.0, 16.0)


def plane(lon, lat):
    """Depth, m: a slope and a hill, smooth over many cells."""
    return 4000 + 20 * (lon + 16.5) - 50 * (lat - 49) + 300 * np.cos(lon) * np.cos(2 * lat)


def written(path, name="elevation", sign=-1, step=0.05, lon0=0.0, descending=False, axes=("lat", "lon"), depth=plane, **attrs):
    """A file of a region about the site."""
    lon, lat = np.arange(-21.0, -12, step), np.arange(45.5, 52.5, step)
    values = sign * depth(*np.meshgrid(lon, lat))
    places = dict(zip(axes, (lat, lon + lon0), strict=True))
    array = xr.DataArray(values.astype(np.float32), dims=axes, coords=places, attrs=attrs)
    dataset = array.to_dataset(name=name)
    (dataset.isel({axes[0]: slice(None, None, -1)}) if descending else dataset).to_netcdf(path)
    return path


def expected():
    """Of the plane, on the frame: the mean over each cell."""
    fine = Frame.around(SITE, 192.0, 2.0)
    from data.sphere import lon_lat

    values = plane(*lon_lat(*np.meshgrid(fine.x, fine.y), *SITE))
    return values.reshape(24, 8, 24, 8).mean((1, 3))


@pytest.mark.parametrize(
    "layout",
    [
        {},
        {"lon0": 360.0},
        {"descending": True},
        {"name": "deptho", "sign": 1, "axes": ("latitude", "longitude"), "units": "m"},
        {"name": "z", "sign": 1, "positive": "down", "axes": ("y", "x")},
        {"name": "deptho", "sign": 1e-3, "units": "km"},
    ],
    ids=["gebco", "lon_to_360", "from_the_north", "reanalysis", "positive_down", "kilometres"],
)
def test_every_layout_gives_the_same_depths(tmp_path, layout):
    found = bathymetry_on(written(tmp_path / "floor.nc", **layout), FRAME)
    np.testing.assert_allclose(found, expected(), atol=1.0)


def test_land_is_missing_and_a_coastal_cell_is_the_mean_of_its_sea(tmp_path):
    coast = written(tmp_path / "coast.nc", depth=lambda lon, lat: np.where(lon < -16.0, 1000.0, -200.0))
    found = bathymetry_on(coast, FRAME)
    assert np.isnan(found[:, -1]).all() and np.allclose(found[np.isfinite(found)], 1000.0)


@pytest.mark.skipif(not ETOPO5.exists(), reason="needs the shared files of bathymetry")
def test_etopo5_about_the_porcupine_abyssal_plain():
    site = SITES["pap-so"]
    found = bathymetry_on(ETOPO5, Frame.around((site.x, site.y), 448.0, 16.0))
    middle = found[27:29, 27:29]
    assert (np.abs(middle - 4750) < 200).all()  # 4670 m at the mooring
    assert np.isfinite(found).mean() > 0.95 and found[:, :10].mean() < found[20:36, 20:36].mean() < 5500


@pytest.mark.parametrize(
    ("layout", "text"),
    [
        ({"name": "salinity"}, "no depth of the sea floor"),
        ({"sign": 1}, "knows no sea there"),
        ({"units": "degC"}, "no depth in metres"),
        ({"units": "km"}, "deeper than any sea"),
        ({"axes": ("row", "column")}, "one latitude per row"),
    ],
    ids=["no_floor", "other_sign", "unit", "too_deep", "no_axes"],
)
def test_files_that_cannot_be_used_are_told_in_one_line(tmp_path, layout, text):
    path = written(tmp_path / "floor.nc", **layout)
    with pytest.raises(InputError, match=text) as error:
        bathymetry_on(path, FRAME)
    assert "floor.nc" in str(error.value) and "\n" not in str(error.value)


def test_files_that_are_missing_damaged_or_too_small_are_told(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        bathymetry_on(tmp_path / "none.nc", FRAME)
    whole = written(tmp_path / "whole.nc").read_bytes()
    (tmp_path / "cut.nc").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"cut\.nc"):
        bathymetry_on(tmp_path / "cut.nc", FRAME)
    with pytest.raises(InputError, match="not over all of the"):
        bathymetry_on(tmp_path / "whole.nc", Frame.around(SITE, 448.0, 16.0))
