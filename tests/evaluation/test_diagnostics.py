"""Deep dynamics: binning, box means of flows known in closed form, averages worked by hand, the store, the figures."""

from __future__ import annotations

import dataclasses
import re
import shutil
import warnings

import numpy as np
import pytest
import xarray as xr
from scipy.stats import binned_statistic_2d

import evaluation.diagnostics as diagnostics
import evaluation.dynamics as dynamics_store
from data.command import read_json, run_command, write_json
from data.errors import InputError, StoreError
from evaluation.binned import binned_mean, spanning_edges
from evaluation.deep import deep_dynamics, deep_range, depth_mean, depth_weights, mean_crossing_time, profiles, time_means
from evaluation.diagnostics import DiagnosticsConfig
from evaluation.dynamics import dynamics_at_traps, open_dynamics, run_dynamics
from evaluation.figures.dynamics import figure_5, figure_6, figure_b1
from evaluation.options import DEPTHS
from lagrangian.campaign import Campaign
from lagrangian.config import RunConfig
from lagrangian.experiments import design_experiments
from lagrangian.record import recorded_design
from lagrangian.results import SpeedResults
from tests.builders.analytic import SHALLOW_TO_DEEP, AnalyticOcean, eddies, plane, sphere

RNG = np.random.default_rng(5)
DAY = np.timedelta64(1, "D")
TRAPS = np.array([[-18.0, -18.0], [18.0, -18.0], [0.0, 18.0]])


def ocean_of(grid, u, v, n=3):
    times = np.datetime64("2001-01-01", "ns") + np.arange(n) * np.timedelta64(12, "h")
    return AnalyticOcean(grid, SHALLOW_TO_DEEP, times, u, v, description={"kind": "analytic"})


# -- binning -------------------------------------------------------------------------------------------------------------


def test_binned_means_are_those_of_scipy_and_small_bins_are_blank():
    x, y, values = RNG.uniform(size=(3, 150))
    edges = np.linspace(0, 1, 7), np.linspace(0, 0.9, 5)
    mean, count = binned_mean(x, y, values, *edges)
    expected = binned_statistic_2d(x, y, values, "mean", edges).statistic.T
    number = binned_statistic_2d(x, y, values, "count", edges).statistic.T
    assert mean.shape == count.shape == (4, 6)
    np.testing.assert_array_equal(count, number)
    assert (number < 4).any() and (number >= 4).any()
    np.testing.assert_allclose(mean, np.where(number >= 4, expected, np.nan))
    np.testing.assert_allclose(binned_mean(x, y, values, *edges, minimum=1)[0], expected)


def test_samples_with_nan_are_left_out_and_no_samples_give_blank_bins():
    x, y = np.full((2, 5), 0.5)
    values = np.array([1.0, 2.0, 3.0, 4.0, np.nan])
    edges = [0.0, 1.0, 2.0], [0.0, 1.0]
    mean, count = binned_mean(x, y, values, *edges)
    np.testing.assert_array_equal(mean, [[2.5, np.nan]])
    np.testing.assert_array_equal(count, [[4, 0]])
    x[0] = np.nan
    assert np.isnan(binned_mean(x, y, values, *edges)[0]).all()
    mean, count = binned_mean([], [], [], *edges)
    assert np.isnan(mean).all() and count.sum() == 0
    with pytest.raises(ValueError, match="different lengths"):
        binned_mean(x, y, values[:3], *edges)


def test_edges_span_what_they_are_told():
    assert spanning_edges(np.arange(101.0), 4, tail=0)[[0, -1]].tolist() == [0, 100]
    assert spanning_edges([-3.0, 1.0], 4, tail=0, symmetric=True).tolist() == [-3, -1.5, 0, 1.5, 3]
    assert spanning_edges([2.0, 4.0], 2, tail=0, lower=0.0).tolist() == [0, 2, 4]
    for values in ([], [np.nan], [1.0, 1.0]):
        assert (np.diff(spanning_edges(values, 3)) > 0).all()


# -- box means of flows in closed form -------------------------------------------------------------------------------------


def test_a_uniform_flow_has_its_kinetic_energy_exactly_and_no_vorticity():
    # (0.3, 0.4) m/s: 0.125 m2/s2
    for periodic in (False, True):
        grid = plane(41, 41, periodic=(periodic, periodic))
        ocean = ocean_of(grid, lambda x, y, z, t: 0.3 + 0 * x + 0 * z, lambda x, y, z, t: 0.4 + 0 * x + 0 * z)
        # the last box lies astride the edge of the domain
        found = dynamics_at_traps(ocean, np.array([[0.0, 0.0], [150.0, -150.0]]), (0.0, 1000.0), 80.0, site=(0.0, 0.0))
        assert found["ke"].dims == ("time", "position", "depth") and found["ke"].shape == (3, 2, 2)
        np.testing.assert_allclose(found["ke"], 1250.0, rtol=1e-6)
        np.testing.assert_allclose(found["vorticity_over_f"], 0.0, atol=1e-7)


@pytest.mark.parametrize("angle", [0.0, 0.5])
def test_solid_rotation_has_its_vorticity_exactly_and_its_kinetic_energy_to_second_order(angle):
    turn = -4e-6
    grid = plane(61, 61, dx=4e3, angle=angle)
    cosine, sine = np.cos(angle), np.sin(angle)
    ocean = ocean_of(
        grid,
        lambda x, y, z, t: turn * (-cosine * y + sine * x) + 0 * z,
        lambda x, y, z, t: turn * (sine * y + cosine * x) + 0 * z,
        n=1,
    )
    found = dynamics_at_traps(ocean, TRAPS, (500.0, 2000.0), 80.0, site=(0.0, 0.0)).isel(time=0)
    zeta = 2 * turn / 1.1e-4
    np.testing.assert_allclose(found["vorticity_over_f"], zeta, rtol=1e-4)
    np.testing.assert_allclose(found["vorticity_over_f_abs"], -zeta, rtol=1e-4)
    np.testing.assert_allclose(found["vorticity_over_f_square"], zeta**2, rtol=1e-4)
    # mean of x^2 + y^2 over a square of width b about (a, c): a^2 + c^2 + b^2 / 6
    expected = 0.5e4 * turn**2 * 1e6 * ((TRAPS**2).sum(axis=1) + 80.0**2 / 6)
    np.testing.assert_allclose(found["ke"], np.repeat(expected[:, None], 2, axis=1), rtol=5e-3)


def test_boxes_on_a_sphere_lie_about_their_traps():
    grid = sphere(60, 50)
    # 1 mm/s eastward for every km east of the site
    ocean = ocean_of(grid, lambda x, y, z, t: 1e-3 * 111.195 * np.cos(np.deg2rad(y)) * (x + 16.5) + 0 * z, zero, n=1)
    traps = np.array([[40.0, 0.0], [-40.0, 30.0]])
    found = dynamics_at_traps(ocean, traps, (1000.0,), 80.0, site=(-16.5, 49.0))["ke"].values[0, :, 0]
    np.testing.assert_allclose(found, 0.5e4 * 1e-6 * (40.0**2 + 80.0**2 / 12), rtol=0.02)


def zero(x, y, z, t):
    """No flow."""
    return 0.0 * z + 0.0 * x


def test_land_and_depths_below_the_sea_floor_are_left_out():
    mask = np.ones((41, 41), bool)
    mask[:, 22:] = False
    grid = plane(41, 41, h=lambda x, y: np.where(y > 0, 4000.0, 1500.0), mask=mask)
    ocean = ocean_of(grid, zero, lambda x, y, z, t: 0.2 + 0 * x + 0 * z, n=1)
    found = dynamics_at_traps(ocean, [[-60.0, 0.0], [-60.0, -90.0], [110.0, 0.0]], (0.0, 2500.0), 80.0, site=(0.0, 0.0))
    ke = found["ke"].values[0]
    # open sea; nothing at 2500 m over the shallow half; land
    np.testing.assert_allclose(ke[0, 0], 200.0, rtol=1e-5)
    assert 150.0 < ke[0, 1] <= 200.001
    assert np.isfinite(ke[1, 0]) and np.isnan(ke[1, 1]) and np.isnan(ke[2]).all()


def test_only_the_rows_of_the_boxes_are_worked_out(monkeypatch):
    grid = plane(41, 61)
    ocean = ocean_of(grid, *eddies(), n=1)
    asked = []
    velocity = dynamics_store.horizontal_velocity
    monkeypatch.setattr(dynamics_store, "horizontal_velocity", lambda *words: asked.append(words[3]) or velocity(*words))
    found = dynamics_at_traps(ocean, [[0.0, 0.0], [0.0, 40.0]], (0.0, 500.0), 80.0, site=(0.0, 0.0))
    # boxes of 80 km about the middle row and five rows north of it, cells of 8 km
    assert np.flatnonzero(asked[0]).tolist() == list(range(25, 41))
    monkeypatch.setattr(dynamics_store, "horizontal_velocity", lambda *words: velocity(*words[:3]))
    xr.testing.assert_identical(found, dynamics_at_traps(ocean, [[0.0, 0.0], [0.0, 40.0]], (0.0, 500.0), 80.0, site=(0.0, 0.0)))


# -- averages worked by hand -----------------------------------------------------------------------------------------------


def test_depths_are_weighted_by_thickness():
    depths = np.array([0.0, 1000.0, 1500.0, 3000.0])
    np.testing.assert_allclose(depth_weights(depths, 1000.0, 3000.0), [0, 250, 1000, 750])
    # from 1250 (midway) to 1500 m: a quarter of the way down counts for the upper depth
    np.testing.assert_allclose(depth_weights(depths, 1250.0, 1500.0), [0, 62.5, 187.5, 0])
    assert depth_mean(np.array([9.0, 4.0, 2.0, 8.0]), depths, 1000.0, 3000.0) == pytest.approx((1000 + 2000 + 6000) / 2000)
    # 3000 m lies below the sea floor
    assert depth_mean(np.array([9.0, 4.0, 2.0, np.nan]), depths, 1000.0, 3000.0) == pytest.approx((1000 + 2000) / 1250)
    assert np.isnan(depth_mean(np.full(4, np.nan), depths, 1000.0, 3000.0))
    for low, high in ((-1.0, 100.0), (0.0, 3001.0), (500.0, 500.0)):
        with pytest.raises(InputError, match="do not span"):
            depth_weights(depths, low, high)


def test_time_means_hold_both_ends_and_fall_back_on_the_nearest_snapshot():
    start = np.datetime64("2001-01-01", "ns")
    times = start + np.arange(4) * DAY
    values = np.array([[1.0, 10.0], [2.0, 20.0], [4.0, np.nan], [8.0, 80.0]])
    first = start + np.array([1, 1, 0, 0, 0]) * DAY + np.array([0, 0, 2, 22, 0]) * np.timedelta64(1, "h")
    last = start + np.array([3, 3, 0, 0, 2]) * DAY + np.array([0, 0, 4, 23, 0]) * np.timedelta64(1, "h")
    first[4] = np.datetime64("NaT")
    got = time_means(values, times, np.array([0, 1, 0, 0, 0]), first, last)
    np.testing.assert_allclose(got, [14 / 3, 50.0, 1.0, 2.0, np.nan])


def test_a_snapshot_stands_for_no_time_further_than_the_next_one():
    start = np.datetime64("2001-01-01", "ns")
    times = start + np.arange(4) * DAY
    # 23 h, 25 h and ten years after the last snapshot; for a few hours each
    first = times[-1] + np.array([22, 24, 87660]) * np.timedelta64(1, "h")
    got = time_means(np.arange(4.0)[:, None], times, np.zeros(3, int), first, first + np.timedelta64(2, "h"))
    np.testing.assert_allclose(got, [3.0, np.nan, np.nan])
    assert np.isnan(time_means(np.ones((1, 1)), times[:1], np.zeros(1, int), first[:1], first[:1] + DAY)).all()


def test_the_deep_sea_ends_at_the_trap():
    assert deep_range(3000.0) == deep_range(4500.0) == (1000.0, 3000.0) and deep_range(1500.0) == (1000.0, 1500.0)
    with pytest.raises(InputError, match="--depth-range"):
        deep_range(1000.0)


def test_the_crossing_time_is_the_mean_over_the_particles_that_crossed():
    start = np.datetime64("2001-01-01", "ns")
    time = np.full((3, 4, 2), np.datetime64("NaT"), "datetime64[ns]")
    time[0, :, 1] = start + np.array([0, 1, 2, 5]) * DAY
    time[1, :2, 1] = start + np.array([10, 11]) * DAY
    store = xr.Dataset({"time": (("experiment", "particle", "level"), time)}, coords={"level": [2000.0, 1000.0]})
    got = mean_crossing_time(store)
    assert got[0] == start + 2 * DAY and got[1] == start + np.timedelta64(252, "h") and np.isnat(got[2])
    with pytest.raises(InputError, match="no crossings of 500 m"):
        mean_crossing_time(store, 500.0)


def test_profiles_are_the_mean_of_energy_and_the_spread_of_vorticity_about_its_mean():
    dims, shape = ("time", "position", "depth"), (2, 1, 1)
    values = {"ke": [10.0, 30.0], "vorticity_over_f": [0.1, -0.02], "vorticity_over_f_square": [0.05, 0.01]}
    found = profiles(xr.Dataset({name: (dims, np.reshape(two, shape)) for name, two in values.items()}))
    assert found["ke"].item() == 20.0
    assert found["vorticity_std"].item() == pytest.approx(np.sqrt(0.03 - 0.04**2))


# -- a run ---------------------------------------------------------------------------------------------------------------


def run_ocean():
    u, v = eddies(width=70e3, speed=0.15)
    return ocean_of(plane(61, 61, h=4500.0), u, v, n=60)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A small run through an analytic ocean, as lagrangian.run leaves it."""
    folder = tmp_path_factory.mktemp("dynamics")
    ocean = run_ocean()
    config = RunConfig(site="0,0", w=(300.0,), particles=4, positions=2, release_every=24.0, every=5.0, out=folder)
    design = design_experiments(config.design, ocean)
    speed = SpeedResults.of(folder, design, ocean, 300.0)
    Campaign(ocean, design, config.integration, cohorts=speed.missing(), on_result=speed.write).run()
    speed.close()
    write_json(folder / "run.json", {"configuration": config, "identity": {"starts": [str(one) for one in design.starts]}})
    assert recorded_design({"configuration": {"out": str(folder), "w": [300.0]}}).speeds == (300.0,)
    return folder


def files(path):
    return {str(one.relative_to(path)): one.read_bytes() for one in sorted(path.rglob("*")) if one.is_file()}


class Counting(AnalyticOcean):
    """Counts the snapshots that are read."""

    def snapshot(self, index, variables=()):
        READ.append(index)
        return super().snapshot(index, variables)


READ: list[int] = []


def counting_ocean():
    READ.clear()
    ocean = run_ocean()
    return Counting(**{field.name: getattr(ocean, field.name) for field in dataclasses.fields(ocean)})


def test_the_store_is_made_in_one_pass_reused_and_gone_on_with(run, monkeypatch, capsys):
    with pytest.raises(StoreError, match="does not exist; run python"):
        open_dynamics(run)
    whole = run_dynamics(run, ocean=counting_ocean())
    assert list(range(60)) == READ
    assert not list(run.glob("*.partial")) and (run / "dynamics.json").exists()
    READ.clear()
    monkeypatch.setattr(dynamics_store, "open_for", lambda *source, **options: pytest.fail("the ocean was opened again"))
    assert run_dynamics(run) == whole and READ == []
    assert run_command(DiagnosticsConfig, diagnostics.main, prog="evaluation.diagnostics", argv=["--run", str(run)]) == 0
    assert str(whole) in capsys.readouterr().out
    first = files(whole)
    # killed in the second chunk, begun anew: the first chunk is not read again, the bytes are the same
    whole.rename(run / "old.zarr")
    means = dynamics_store.snapshot_means

    def killed(ocean, index, *rest):
        if index == 40:
            raise KeyboardInterrupt
        return means(ocean, index, *rest)

    monkeypatch.setattr(dynamics_store, "snapshot_means", killed)
    with pytest.raises(KeyboardInterrupt):
        run_dynamics(run, ocean=counting_ocean())
    assert not whole.exists()
    monkeypatch.setattr(dynamics_store, "snapshot_means", means)
    run_dynamics(run, ocean=counting_ocean())
    assert list(range(dynamics_store.CHUNK, 60)) == READ
    assert files(whole) == first
    # other depths: made anew
    run_dynamics(run, depths=(0.0, 2000.0), ocean=counting_ocean())
    assert "made anew" in capsys.readouterr().out
    assert open_dynamics(run)["depth"].values.tolist() == [0.0, 2000.0] and len(READ) == 60
    run_dynamics(run, ocean=counting_ocean())


def test_a_lost_chunk_is_no_nan_and_it_alone_is_made_again(run, capsys):
    store = run_dynamics(run, ocean=run_ocean())
    first = files(store)
    (store / "ke" / "c" / "0" / "0" / "0").unlink()
    with pytest.raises(StoreError, match=r"dynamics.zarr/ke/c/0/0/0 is missing; give the evaluation.diagnostics"):
        open_dynamics(run)
    run_dynamics(run, ocean=counting_ocean())
    assert list(range(dynamics_store.CHUNK)) == READ and files(store) == first
    assert "1 of 2 chunks of snapshots are damaged or missing and are made again" in capsys.readouterr().out
    (store / "depth" / "c" / "0").unlink()
    run_dynamics(run, ocean=counting_ocean())
    assert READ == [] and files(store) == first


def test_the_deep_dynamics_of_a_run_are_plain_means_of_its_store(run):
    run_dynamics(run, ocean=run_ocean())
    deep, dynamics = deep_dynamics(run, 300.0), open_dynamics(run)
    assert dynamics["depth"].values.tolist() == list(DEPTHS)
    n = deep.sizes["experiment"]
    assert n > 4 and n % 4 == 0
    # 2000 m at 300 m/d and half a collection period
    days = (deep["collection_end"] - deep["crossing_start"]).values / DAY
    np.testing.assert_allclose(days, 2000 / 300 + 5.5, atol=0.1)
    for row in (0, n - 1):
        one = dynamics.isel(position=int(deep["position"][row])).sel(depth=slice(1000, 3000))
        one = one.sel(time=slice(deep["crossing_start"].values[row], deep["collection_end"].values[row]))
        weights = xr.DataArray([125, *[250] * 7, 125], dims="depth")
        for name in ("ke", "vorticity_over_f", "vorticity_over_f_abs"):
            expected = (one[name].astype(float).mean("time") * weights).sum().item() / 2000
            assert deep[name].values[row] == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert deep.attrs["depth_range_m"] == [1000.0, 3000.0]
    upper = deep_dynamics(run, 300.0, (1000.0, 1500.0))
    assert upper.attrs["depth_range_m"] == [1000.0, 1500.0] and (upper["ke"].values != deep["ke"].values).all()
    with pytest.raises(InputError, match="do not span"):
        deep_dynamics(run, 300.0, (1000.0, 3500.0))
    with pytest.raises(StoreError):
        deep_dynamics(run, 80.0)


def test_the_dynamics_of_another_run_are_refused(run, tmp_path):
    run_dynamics(run, ocean=run_ocean())
    other = shutil.copytree(run, tmp_path / "other")
    assert np.isfinite(deep_dynamics(other, 300.0)["ke"]).any()
    write_json(other / "run.json", {**read_json(other / "run.json"), "identity": {"starts": ["2011-01-01"]}})
    for call in (lambda: deep_dynamics(other, 300.0), lambda: open_dynamics(other)):
        with pytest.raises(StoreError, match="another run"):
            call()


def test_bad_options_and_folders_are_refused_in_one_line(tmp_path, capsys):
    for arguments in (["--run", str(tmp_path)], ["--box", "0"], ["--depths", "100", "50"]):
        assert run_command(DiagnosticsConfig, diagnostics.main, prog="evaluation.diagnostics", argv=arguments) == 2
        assert capsys.readouterr().err.count("\n") == 1


# -- figures -------------------------------------------------------------------------------------------------------------


def sizes_inside(figure):
    """Whether all that is drawn lies on the page."""
    figure.canvas.draw()
    box = figure.get_tightbbox(figure.canvas.get_renderer())
    width, height = figure.get_size_inches()
    return box.x0 > -0.01 and box.y0 > -0.01 and box.x1 < width + 0.01 and box.y1 < height + 0.01


@pytest.mark.parametrize("models", [1, 2, 5])
def test_figures_of_scores_are_drawn_whole_and_without_warnings(models, tmp_path):
    x, y = RNG.normal(6.3, 0.2, 400), RNG.gamma(4, 20, 400)
    bl = {f"model {number}": np.clip(y / 300 + RNG.normal(0, 0.05, 400), 0, 1) for number in range(models)}
    bl["model 0"][:7] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for figure in (figure_5(x, y, bl, title="w = 80 m d⁻¹"), figure_6((x - 6.3) / 8, y, bl)):
            assert sizes_inside(figure)
            figure.savefig(tmp_path / "figure.png")
            assert len(figure.axes) == models + 1
            titles = [axis.get_title() for axis in figure.axes[:models]]
            assert all(title.startswith(name) and "r(BL, " in title for title, name in zip(titles, bl, strict=True))


def test_figures_of_nothing_are_blank_not_broken():
    empty = np.full(3, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = figure_6(empty, empty, {"box200": empty}, depths=(1000.0, 1500.0))
        assert sizes_inside(figure)
    assert [text.get_text() for text in figure.axes[0].texts] == ["no bin has 4 experiments"]
    assert figure.axes[0].get_xlabel() == "ζ/f, 1000–1500 m"


def test_experiments_in_the_tails_are_counted_in_words():
    x = np.concatenate([np.full(300, 1.0), RNG.uniform(0.9, 1.1, 300), [50.0]])
    figure = figure_5(x, x, {"box200": x / 100})
    note = figure.get_suptitle()
    shown = int(np.isfinite(x).sum()) - int(re.search(r"(\d+) in the tails", note)[1])
    edges = spanning_edges(x), spanning_edges(x, lower=0.0)
    assert note.startswith("601 experiments") and shown == binned_mean(x, x, x, *edges)[1].sum() < 601
    assert not figure.axes[0].texts


def test_profiles_are_drawn_downward():
    found = xr.Dataset(
        {"ke": ("depth", [300.0, 80.0, 20.0]), "vorticity_std": ("depth", [0.2, 0.1, 0.04])}, coords={"depth": [0, 1000, 3000]}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = figure_b1(found, title="an ocean")
        assert sizes_inside(figure)
    assert "paper (PAP-SO)" in [line.get_label() for line in figure.axes[0].lines]
    bottom, top = figure.axes[0].get_ylim()
    assert bottom > 3000 and top == 0
