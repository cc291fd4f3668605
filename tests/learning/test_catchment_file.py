"""The CF file of predicted catchments: its times and their bounds."""

import numpy as np
import pytest

from data.sites import SITES
from learning.catchment_file import arrival, catchment_dataset

DAY = np.timedelta64(86400, "s")


@pytest.mark.parametrize(("w", "collection", "trap_depth", "level"), [(80.0, 10.0, 3000.0, 200.0), (150.0, 21.0, 2000.0, 500.0)])
def test_times_are_those_of_the_particles_at_the_export_depth(w, collection, trap_depth, level):
    ends = np.array(["2010-02-10", "2010-02-20"], "datetime64[s]")
    place = {"trap_depth": trap_depth, "level": level, "collection_days": collection}
    found = catchment_dataset(SITES["pap-so"], w, ends, np.zeros((2, 100, 100), np.float32), **place)
    ascent = (trap_depth - level) / w
    # the first and the last particle that the cup caught left the export depth so long before the cup opened and closed
    first, last = found["time_bnds"].values.T
    for edge, instant in ((first, ends - np.timedelta64(round(86400 * collection), "s")), (last, ends)):
        np.testing.assert_allclose((instant - edge) / DAY, ascent, atol=1e-4)
    middle = found["time"].values
    np.testing.assert_allclose((middle - first) / DAY, collection / 2, atol=1e-4)
    np.testing.assert_allclose((last - middle) / DAY, collection / 2, atol=1e-4)
    assert np.array_equal(middle, arrival(ends, w, trap_depth, level, collection).astype("datetime64[ns]"))
    assert found["time"].attrs["bounds"] == "time_bnds" and found["depth"] == level and found.attrs["trap_depth_m"] == trap_depth
