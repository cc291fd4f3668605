"""Writing netCDF files: complete or absent, with what CF asks of the encoding."""

from __future__ import annotations

import netCDF4
import numpy as np
import pytest
import xarray as xr

from data.errors import InputError, StoreError
from data.netcdf import open_dataset, write_dataset

TIMES = np.datetime64("2001-01-01T06:00:00", "ns") + np.arange(3) * np.timedelta64(86400 * 10**9, "ns")


@pytest.fixture
def dataset():
    values = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    values[1, 2, 3] = np.nan
    return xr.Dataset(
        {"pdf": (("time", "y", "x"), values), "flux": ("time", [1.0, np.nan, 3.0]), "flag": ("time", np.zeros(3, np.int8))},
        {"time": TIMES, "y": np.arange(4.0), "x": np.arange(5.0)},
    )


def test_values_and_times_come_back_and_fill_values_are_declared_where_cf_has_them(dataset, tmp_path):
    path = tmp_path / "new" / "one.nc"
    write_dataset(path, dataset)
    with xr.open_dataset(path) as back:
        xr.testing.assert_identical(back.load().drop_attrs(), dataset)
    with netCDF4.Dataset(path) as raw:
        assert raw["time"].dtype == np.float64 and raw["time"].units == "seconds since 1970-01-01"
        declared = {name for name in raw.variables if "_FillValue" in raw[name].ncattrs()}
        assert declared == {"pdf", "flux"}
        assert raw["pdf"].chunking() == [1, 4, 5] and raw["pdf"].filters()["zlib"]
    assert [one.name for one in path.parent.iterdir()] == ["one.nc"]


def test_a_file_that_cannot_be_written_leaves_the_old_one(dataset, tmp_path, monkeypatch):
    path = tmp_path / "one.nc"
    write_dataset(path, dataset)
    before = path.read_bytes()

    def full(self, aside, **_):
        aside.write_bytes(b"half of it")
        raise RuntimeError("NetCDF: HDF error")

    monkeypatch.setattr(xr.Dataset, "to_netcdf", full)
    with pytest.raises(StoreError, match=r"one\.nc: NetCDF: HDF error; free space"):
        write_dataset(path, dataset)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("scale_factor", "wide"),
        ("scale_factor", 0.0),
        ("scale_factor", np.nan),
        ("add_offset", "x"),
        ("add_offset", [1.0, 2.0]),
        ("valid_min", "low"),
        ("valid_range", 1.0),
    ],
)
def test_values_packed_with_what_is_no_number_are_refused(attribute, value, tmp_path):
    path = tmp_path / "packed.nc"
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("n", 3)
        file.createVariable("t", "i2", ("n",))[:] = 1
        file["t"].setncattr(attribute, value)
    words = rf"packed.nc: t cannot be decoded: attribute {attribute} of variable t is .* a finite number is needed"
    with pytest.raises(InputError, match=words):
        open_dataset(str(path))
