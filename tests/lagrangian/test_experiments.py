"""Where a design stands in an ocean: its periods within the record, its traps within the sea."""

import dataclasses

import numpy as np
import pytest

from data.errors import InputError, OptionError
from lagrangian.design import Design
from lagrangian.experiments import design_experiments, spread_over_domain
from tests.builders.analytic import SHALLOW_TO_DEEP, AnalyticOcean, plane, zero

FIRST = np.datetime64("2001-01-01T06:00", "s")
DAY = np.timedelta64(86400, "s")


def ocean(days=80, grid=None):
    """A sea at rest of 80 x 60 cells of 8 km, snapshots twice a day."""
    times = (FIRST + np.arange(2 * days + 1) * (DAY // 2)).astype("datetime64[ns]")
    return AnalyticOcean(grid or plane(80, 60), SHALLOW_TO_DEEP, times, zero, zero, description={})


def at(**options):
    return Design.at("0,0", **{"positions": 1, "particles": 4, **options})


@pytest.mark.parametrize("speeds", [(80.0,), (300.0, 80.0), (150.0, 300.0)])
@pytest.mark.parametrize(("collection", "release_every"), [(10.0, 12.0), (5.0, 36.0)])
def test_periods_leave_room_for_the_slowest_ascent_and_end_with_the_record(speeds, collection, release_every):
    placed = design_experiments(at(speeds=speeds, collection=collection, release_every=release_every, every=3.0), ocean())
    lead = np.ceil(1.1 * 2800 / min(speeds))
    assert placed.starts[0] == FIRST + lead * DAY and set(np.diff(placed.starts)) == {3 * DAY}
    releases = int(collection * 24 / release_every)
    assert placed.n_releases == releases and placed.n_particles == 4 * releases
    last_release = (releases - 1) * np.timedelta64(round(release_every * 3600), "s")
    room = FIRST + 80 * DAY - (placed.starts[-1] + last_release)
    assert np.timedelta64(0, "s") <= room < 3 * DAY


def test_dates_that_are_given_count_and_must_lie_within_the_record():
    placed = design_experiments(at(start="2001-01-02", end="2001-01-31", every=10.0), ocean())
    assert placed.starts.astype("datetime64[D]").astype(str).tolist() == ["2001-01-02", "2001-01-12", "2001-01-22"]
    for options, words in (
        ({"start": "2000-12-31"}, "not within the record"),
        ({"start": "2001-03-20"}, "not within the record"),
        ({"end": "2001-01-31"}, "before the first possible period, 2001-02-09"),
    ):
        with pytest.raises(OptionError, match=words):
            design_experiments(at(**options), ocean())
    with pytest.raises(InputError, match=r"shorter than one experiment: at 80 m/d from 3000 m to 200 m, 48\.5 days"):
        design_experiments(at(), ocean(days=48))
    assert design_experiments(at(), ocean(days=49)).n_periods == 1


@pytest.mark.parametrize(("axis", "side"), [(0, -1), (0, 1), (1, -1), (1, 1)])
def test_traps_stand_half_a_cell_or_more_within_the_outermost_points(axis, side):
    reach = (np.array([79, 59]) / 2 * 8e3)[axis]
    for inside, fits in ((4100.0, True), (3900.0, False), (-3900.0, False)):
        place = [0.0, 0.0]
        place[axis] = side * (reach - inside)
        design = Design.at(f"{place[0]},{place[1]}", positions=1, particles=1)
        if fits:
            assert design_experiments(design, ocean()).n_positions == 1
            continue
        with pytest.raises(OptionError, match="outside the ocean's domain"):
            design_experiments(design, ocean())


def test_a_longitude_is_a_place_whichever_way_round_the_earth_it_is_counted():
    """On a periodic domain as well, where a site has one image within."""
    for periodic in ((True, True), (False, False)):
        sea = ocean(grid=plane(81, 61, periodic=periodic, center=(-16.5, 49.0)))
        west, east = (design_experiments(Design.at(f"{x},49", positions=2, particles=4), sea) for x in (-16.0, 344.0))
        np.testing.assert_allclose(east.release_xi, west.release_xi, rtol=1e-12)
        for outside in (-26.0, 334.0):
            with pytest.raises(OptionError, match="outside the ocean's domain"):
                design_experiments(Design.at(f"{outside},49", positions=1, particles=1), sea)


def test_traps_stand_in_the_sea_above_its_floor():
    mask = np.ones((60, 80), bool)
    mask[:, 44:] = False
    with pytest.raises(OptionError, match=r"\+54 km east, .* lies on land; .* fewer --positions"):
        design_experiments(at(positions=4), ocean(grid=plane(80, 60, mask=mask)))
    shallow = plane(80, 60, h=lambda x, y: np.where(y < -40e3, 2999.0, 4000.0))
    with pytest.raises(OptionError, match=r"the sea floor is at 2999 m, above --trap-depth 3000 m"):
        design_experiments(at(positions=4), ocean(grid=shallow))
    assert design_experiments(at(positions=2), ocean(grid=shallow)).n_positions == 4


def test_positions_all_over_a_domain_tile_its_shorter_side():
    grid = plane(81, 61, periodic=(True, True))  # 640 x 480 km
    spread = spread_over_domain(dataclasses.replace(at(), positions="domain", spacing=150.0), ocean(grid=grid))
    assert (spread.positions, spread.spacing) == (3, 160.0)
    placed = design_experiments(spread, ocean(grid=grid))
    assert placed.n_positions == 9 and set(placed.trap_offset_km[:, 0]) == {-160.0, 0.0, 160.0}
    with pytest.raises(OptionError, match="periodic in both directions"):
        spread_over_domain(dataclasses.replace(at(), positions="domain"), ocean())
