"""What catchment files of learnt velocities tell beside their PDFs."""

from types import SimpleNamespace

import numpy as np
import pytest

from data.sites import Site
from learning.catchment_file import FLAGS, catchment_dataset
from learning.velocity.catchment import NO_SST, OUTSIDE, UNKNOWN, flags, notes_of, outside_share, with_land
from learning.velocity.maps import Maps, MapSpec

COAST = Site("10 W, 52 N", -10.0, 52.0)


@pytest.fixture
def dataset():
    """Two dates off Ireland, uniform PDFs."""
    pdf = np.full((2, 100, 100), 1e-4, np.float32)
    ends = np.datetime64("2010-01-01", "s") + np.arange(2) * np.timedelta64(864000, "s")
    one = catchment_dataset(COAST, 80.0, ends, pdf)
    return one.assign(pdf_root=one["pdf"])


def test_mass_on_land_is_what_the_pdf_has_there_and_is_taken_from_both_products(dataset):
    kept, taken = (with_land(dataset, "satellite maps", remove=remove) for remove in (False, True))
    share = float(dataset["pdf"][0].where(kept["land"] == 1).sum())
    assert 0.1 < share < 0.6 and np.allclose(kept["mass_on_land"], share, atol=1e-5)
    assert kept["pdf"].equals(dataset["pdf"])
    for name in ("pdf", "pdf_root"):
        assert float(taken[name].where(taken["land"] == 1).sum()) == 0
        assert np.allclose(taken[name].sum(("y", "x")), 1, atol=1e-5)
    assert "taken away" in notes_of(taken, 80.0, removed=True)[0] and "--no-land-mass" in notes_of(kept, 80.0, removed=False)[0]


def test_an_idealised_ocean_has_no_land_wherever_its_maps_lie(dataset):
    found = with_land(dataset, "idealised twin ocean, seed 1", remove=True)
    assert not found["land"].any() and (found["mass_on_land"] == 0).all() and not notes_of(found, 80.0, removed=True)


def test_inputs_unlike_the_training_data_are_flagged():
    times = np.datetime64("2010-01-01", "s") + np.arange(30) * np.timedelta64(5 * 86400, "s")
    rng = np.random.default_rng(0)
    ssh = rng.standard_normal((30, 16, 16)).astype(np.float32)
    ssh[15:] *= 8
    maps = Maps.of(MapSpec("sst-ssh"), times, {"ssh": ssh, "temp": 0 * ssh}, 16.0)
    model = SimpleNamespace(card={"map_scale": {"ssh": 1.0, "temp": 1.0}})
    outside = outside_share(model, maps, times[[5, 25]])
    assert outside[0] < 0.01 < 0.05 < outside[1]
    assert flags(outside, has_sst=True, all_known=True).tolist() == [0, OUTSIDE]
    assert flags(outside, has_sst=False, all_known=False).tolist() == [NO_SST | UNKNOWN, OUTSIDE | NO_SST | UNKNOWN]
    assert {OUTSIDE, NO_SST, UNKNOWN} <= set(FLAGS)


def test_the_maps_that_download_fetches_reach_as_far_as_learnt_velocities_need():
    from data.download import PRODUCTS
    from data.twin.products import HALF_WIDTH_KM
    from learning.velocity.satellite import HALF_KM

    fetched = min(product.half_width for product in PRODUCTS.values())
    assert 400 + 40 <= HALF_KM <= min(fetched, HALF_WIDTH_KM)
    assert (2 * HALF_KM) % (16 * 2 * 4) == 0  # whole cells at the coarsest of three resolutions


def test_inputs_far_below_and_far_above_the_training_data_are_outside():
    seen = {0: np.array([-4.0, -2.9, 0.0, 2.9, 3.1]), 1: np.zeros(5)}
    maps = SimpleNamespace(instants=lambda instant: instant, stack=lambda number, scale: seen[number] / scale)
    model = SimpleNamespace(card={"map_scale": 1.0})
    np.testing.assert_allclose(outside_share(model, maps, [0, 1]), [0.4, 0.0])
