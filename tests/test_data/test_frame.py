"""The frame's regridding at the borders of what is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

import data.frame
from data.frame import Frame, Regridder, cut_window
from tests.builders.analytic import plane, sphere


@pytest.mark.parametrize("spacing", [8.0, 4.0, 2.0])
def test_the_lattice_is_symmetric_and_its_blocks_of_8_km_are_centred_on_the_points_of_a_window(spacing):
    frame = Frame.around((0.0, 0.0), 490.0, spacing)
    np.testing.assert_array_equal(frame.x, -frame.x[::-1])
    np.testing.assert_array_equal(np.abs(frame.x) % spacing, spacing / 2)
    east = np.broadcast_to(frame.x, frame.shape)
    np.testing.assert_allclose(cut_window(east, frame, 0.0, 0.0)[0], np.arange(-396, 397, 8), atol=1e-4)


@pytest.mark.parametrize("angle", [0.0, 0.4])
def test_a_straight_slope_is_exact_up_to_the_edge_of_the_domain(angle):
    grid = plane(60, 60, dx=8e3, angle=angle)
    frame = Frame.around((0.0, 0.0), 280.0, 8.0)
    got = Regridder(grid, frame)((3 * grid.x_rho - 2 * grid.y_rho) / 1e6)
    east, north = np.meshgrid(frame.x, frame.y)
    inside = np.isfinite(grid.locate(1e3 * east, 1e3 * north)[0])
    assert inside.any() and not inside.all()
    np.testing.assert_array_equal(np.isfinite(got), inside)
    np.testing.assert_allclose(got[inside], ((3 * east - 2 * north) / 1e3)[inside], atol=1e-6)


def test_positions_of_the_frame_are_seen_at_their_distance_on_every_kind_of_grid():
    for grid, center in (
        (sphere(), (-16.5, 49.0)),
        (plane(60, 50), (2e4, -3e4)),
        (plane(60, 50, center=(-16.5, 49.0)), (-16.5, 49.0)),
    ):
        frame = Frame.around(center, 100.0, 8.0)
        xi, eta = grid.locate(*frame.positions(grid))
        east, north = grid.displacement_km(xi, eta, *grid.locate(*center))
        np.testing.assert_allclose(east, np.broadcast_to(frame.x, frame.shape), atol=1e-2)
        np.testing.assert_allclose(north, np.broadcast_to(frame.y[:, None], frame.shape), atol=1e-2)


@pytest.mark.parametrize("land", [(1, 2), (0, 1), (0, 1, 2)])  # beside the seam, and on both sides of it
def test_where_the_seam_of_a_periodic_domain_lies_does_not_matter_even_beside_land(land):
    n, dx = 25, 8.0
    results = []
    for shift in (0, 12):
        mask = np.ones((n, n), bool)
        mask[:, np.array(land) + shift] = False  # near the seam, then far from it
        mask[:, -1] = mask[:, 0]
        grid = plane(n, n, dx=1e3 * dx, periodic=(True, False), mask=mask)
        wave = np.sin(2 * np.pi * (grid.x_rho / 1e3 - shift * dx) / ((n - 1) * dx))
        frame = Frame((1e3 * shift * dx, 0.0), 4.0, np.arange(-94.0, 96.0, 4.0), np.array([-4.0, 0.0, 4.0]))
        results.append(Regridder(grid, frame)(np.where(mask, wave, np.nan)))
    assert 0.75 < np.isfinite(results[0]).mean() < 1
    np.testing.assert_allclose(results[0], results[1], atol=1e-6)
    known = np.isfinite(results[0])
    true = np.broadcast_to(np.sin(2 * np.pi * frame.x / ((n - 1) * dx)), known.shape)
    np.testing.assert_allclose(results[0][known], true[known], atol=0.1)
    # far from zero, too: what stands for missing points in the spline is near what is known beside them
    np.testing.assert_allclose(Regridder(grid, frame)(np.where(mask, 100 + wave, np.nan))[known] - 100, true[known], atol=0.1)


@pytest.mark.parametrize("method", ["bicubic", "linear"])
@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.1, 0.0), (0.4, 0.0), (0.6, 0.0), (0.45, 0.3), (0.25, 0.75), (0.7, 0.85)])
def test_near_what_is_missing_a_point_is_the_mean_of_its_known_corners_where_they_hold_half_of_the_weight(method, shift):
    """A single column, a corner and scattered points of land; points of the frame stand (shift) of a cell from the grid's own."""
    mask = np.ones((30, 30), bool)
    mask[:, 20:] = mask[3:6, 4:8] = False
    mask[np.random.default_rng(6).integers(8, 28, 12), np.random.default_rng(7).integers(2, 18, 12)] = False
    frame = Frame.around((0.0, 0.0), 80.0, 8.0)
    # the grid's points stand at whole and a half cells from the middle, as the frame's do
    grid = plane(30, 30, dx=8e3, mask=mask, origin=(-8e3 * shift[0], -8e3 * shift[1]))
    field = np.random.default_rng(8).normal(size=grid.shape)
    got = Regridder(grid, frame, method=method)(field)
    near = ndimage.maximum_filter(~mask, size=3)
    seen = {True: 0, False: 0}
    for (row, column), value in np.ndenumerate(got):
        j, i = row + 5, column + 5
        weights = {(j, i): (1 - shift[0]) * (1 - shift[1]), (j, i + 1): shift[0] * (1 - shift[1]),
                   (j + 1, i): (1 - shift[0]) * shift[1], (j + 1, i + 1): shift[0] * shift[1]}  # fmt: skip
        if not near[j : j + 2, i : i + 2].any():
            continue
        known = sum(weight for place, weight in weights.items() if mask[place])
        if abs(known - 0.5) < 1e-6:
            continue  # decided by rounding
        seen[known > 0.5] += 1
        assert np.isfinite(value) == (known > 0.5), (row, column, known)
        if known > 0.5:
            mean = sum(weight * field[place] for place, weight in weights.items() if mask[place]) / known
            assert value == pytest.approx(mean, abs=1e-5)
    assert min(seen.values()) > 10


def test_corners_that_are_kept_give_every_next_field_the_bytes_of_corners_found_anew(monkeypatch):
    grid = sphere(nx=40, ny=36, dx=4e3)
    frame = Frame.around((-16.5, 49.0), 60.0, 8.0)
    rng = np.random.default_rng(3)
    fields = rng.normal(size=(3, *grid.shape))
    fields[rng.random(fields.shape) < 0.3] = np.nan
    keeping = Regridder(grid, frame, method="linear", partial=True)
    found = [keeping(field) for field in fields]
    monkeypatch.setattr(data.frame, "KEPT_SHIFTS", 0)
    for one, field in zip(found, fields, strict=True):
        np.testing.assert_array_equal(one, Regridder(grid, frame, method="linear", partial=True)(field))
        assert np.isfinite(one).any()


@pytest.mark.parametrize("method", ["bicubic", "linear"])
@pytest.mark.parametrize("partial", [True, False])
def test_samples_that_are_taken_at_once_have_the_bytes_of_samples_shift_by_shift(method, partial, monkeypatch):
    """Beyond the domain and near what is missing, too."""
    grid = sphere(nx=40, ny=36, dx=2e3)
    frame = Frame.around((-16.5, 49.0), 60.0, 8.0)
    rng = np.random.default_rng(5)
    field = np.where(rng.random(grid.shape) < 0.05, np.nan, rng.normal(size=grid.shape))
    together = Regridder(grid, frame, method=method, partial=partial)
    assert together.shifts == 16
    monkeypatch.setattr(data.frame, "AT_ONCE", 1)
    found = together(field)
    assert found.tobytes() == Regridder(grid, frame, method=method, partial=partial)(field).tobytes()
    assert np.isfinite(found).any() and np.isnan(found).any()


@pytest.mark.parametrize("periodic", [(False, False), (True, False)])
def test_fields_that_miss_the_same_points_in_turn_have_the_bytes_of_fields_alone(periodic, monkeypatch):
    """Land, points that some levels lack, all points, none; more kinds of them than are kept."""
    monkeypatch.setattr(data.frame, "KEPT_MASKS", 3)
    mask = np.ones((30, 30), bool)
    mask[4:9, 20:] = False
    mask[:, -1] = mask[:, 0]
    grid = plane(30, 30, dx=4e3, periodic=periodic, mask=mask)
    frame = Frame.around((0.0, 0.0), 70.0, 8.0)
    rng = np.random.default_rng(9)
    lacking = [rng.random(grid.shape) < share for share in (0.0, 0.05, 0.1, 0.2, 1.0)]
    lacking.append(lacking[2].copy())  # as many as another, elsewhere
    lacking[5][mask] = rng.permutation(lacking[2][mask])
    fields = [np.where(lacking[k], np.nan, rng.normal(size=grid.shape)) for k in (0, 1, 2, 0, 3, 4, 1, 2, 5, 3, 4, 0)]
    keeping = Regridder(grid, frame)
    found = [keeping(field) for field in fields]
    assert np.isfinite(found[0]).any() and not np.isfinite(found[5]).any()
    monkeypatch.setattr(data.frame, "KEPT_POINTS", 0)
    for one, field in zip(found, fields, strict=True):
        assert one.tobytes() == Regridder(grid, frame)(field).tobytes()


def test_what_is_kept_of_a_field_may_be_dropped_at_once():
    """As another thread drops it that has found what its own field needs."""

    class Dropping(dict):
        def __setitem__(self, name, value):
            self.clear()

    grid, frame = plane(30, 30, dx=4e3), Frame.around((0.0, 0.0), 40.0, 8.0)
    rng = np.random.default_rng(9)
    field = np.where(rng.random(grid.shape) < 0.1, np.nan, rng.normal(size=grid.shape))
    shared = Regridder(grid, frame)
    shared._masks = Dropping()
    assert shared(field).tobytes() == Regridder(grid, frame)(field).tobytes()
