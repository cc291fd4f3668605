"""What a product costs: the CROCO jet made into GLORYS-like files, against the jet itself (the whole table: benchmark zlevel)."""

from __future__ import annotations

import numpy as np
import pytest

from data.ocean import preferences_of
from data.zlevel.open import open_zlevel
from tests.builders import jet_product
from tests.builders.glorys import GLORYS

pytestmark = pytest.mark.skipif(not jet_product.JET.exists(), reason="../shared/data/croco/jet is absent")
#: Median km at 200 m of the same particles, sinking at 300 m/d, within 30 %.
EXPECTED = {"instants": 0.6, "noon": 0.8, "early": 4.5, "still": 1.0}


@pytest.fixture(scope="module")
def distances(tmp_path_factory):
    """Median distance, km, of each way to read the jet's products, at 300 m/d."""
    folder = tmp_path_factory.mktemp("jet")
    truth_ocean = jet_product.open_jet()
    n = len(truth_ocean.times)
    indices = range(n - 54, n)  # 9.3 days from each of five releases four days apart
    releases = truth_ocean.times[-4] - np.arange(5) * np.timedelta64(4, "D")
    product = jet_product.Product(truth_ocean, GLORYS)
    given = {"depth": GLORYS, "values": [product.values(index) for index in indices]}
    instants, static = jet_product.write_products(folder, indices, **given, name="instants.nc")
    midnight, _ = jet_product.write_products(folder, indices, **given, daily=True, label_hour=0, name="midnight.nc")
    oceans = {
        "instants": open_zlevel(instants, grid=static),
        "noon": open_zlevel(midnight, grid=static),
        "early": open_zlevel(midnight, grid=static, time_label="middle"),
        "still": open_zlevel(instants),
    }
    assert {name for name, ocean in oceans.items() if preferences_of(ocean).no_continuity} == {"still"}
    truth = jet_product.crossings(truth_ocean, 300.0, releases, energy=jet_product.ENERGY)
    assert np.isfinite(truth).mean() > 0.95
    return {
        name: jet_product.median_distance(jet_product.crossings(ocean, 300.0, releases), truth) for name, ocean in oceans.items()
    }


@pytest.mark.parametrize("kind", EXPECTED)
def test_a_product_of_the_jet_costs_what_is_known(distances, kind):
    assert distances[kind] < 1.3 * EXPECTED[kind]


def test_noon_is_better_than_midnight_and_continuity_better_than_none(distances):
    assert distances["instants"] < distances["noon"] < distances["early"] and distances["instants"] < 0.8 * distances["still"]
    assert distances["early"] > 0.7 * EXPECTED["early"]
