"""Velocities below the surface: what is learnt, the predicted ocean, its catchments, and what is refused."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import xarray as xr
from scipy.ndimage import gaussian_filter

from data.errors import CatchmentError, InputError, OptionError, StoreError
from data.frame import Frame
from data.grid import HorizontalGrid
from data.vertical import SCoordinate
from lagrangian.binning import smooth_pdf
from lagrangian.campaign import Campaign
from lagrangian.cohorts import Cohort
from lagrangian.config import RunConfig
from lagrangian.design import Design
from lagrangian.experiments import design_experiments
from lagrangian.integration import Integration
from learning.split import PARTS
from learning.velocity.calibrate import Choice, fit_expected, score_amplitude
from learning.velocity.ensemble import member_ocean, predict_catchments, within
from learning.velocity.fit import Parts
from learning.velocity.lattice import Lattice
from learning.velocity.loss import displacement_error
from learning.velocity.maps import REACH_DAYS, Maps, MapSpec, nearest_maps
from learning.velocity.members import Catchments, check_depths, combine, instants_needed, member_design
from learning.velocity.model import VelocityModel, load_velocity_network, save_velocity_network
from learning.velocity.network import VelocityArchitecture, VelocityNetwork
from learning.velocity.ocean import depth_coordinate, predicted_ocean
from learning.velocity.predict import make_plan
from learning.velocity.residuals import Residuals, _places, _reflected, local_energy
from learning.velocity.runs import Experiments, RunOptions
from learning.velocity.schedule import Schedule
from learning.velocity.targets import Velocities, depths_between, metres, write_velocities
from learning.velocity.training import VelocityTask, train_velocity
from tests.builders.analytic import AnalyticOcean

DEPTHS = np.array([200.0, 1000.0, 3000.0])
DAY = np.timedelta64(86400, "s")


def lattice(n=16, periodic=True, spacing=16.0) -> Lattice:
    axis = (np.arange(n) - (n - 1) / 2) * spacing
    return Lattice(Frame((-16.5, 49.0), spacing, axis, axis.copy()), periodic)


def waves(where: Lattice, seed=0, n=1, speed=0.2) -> np.ndarray:
    """(n, 3, y, x) random streamfunctions of long waves that fit the lattice, weaker with depth."""
    rng = np.random.default_rng(seed)
    ny, nx = where.shape
    y, x = np.meshgrid(np.arange(ny) * 2 * np.pi / ny, np.arange(nx) * 2 * np.pi / nx, indexing="ij")
    psi = np.zeros((n, 3, ny, nx))
    for one in psi:
        for _ in range(4):
            k, m = rng.integers(1, 3, 2)
            one += np.sin(k * x + m * y + rng.uniform(0, 2 * np.pi)) * np.array([1.0, 0.6, 0.3])[:, None, None]
    return (psi * speed * where.spacing * nx / 20).astype(np.float32)


def made_up(n_times=40, where: Lattice | None = None, seed=0) -> Velocities:
    """An ocean whose flow is geostrophic and moves with its SSH, five days between instants."""
    where = where or lattice()
    base = waves(where, seed)[0]
    psi = np.stack([np.roll(base, 2 * k, axis=-1) * (1 + 0.2 * np.sin(k)) for k in range(n_times)]).astype(np.float32)
    times = np.datetime64("2001-01-01", "s") + 5 * DAY * np.arange(n_times)
    ssh = psi[:, 0] * 1.1e-4 / 9.81
    surface = {"ssh": ssh, "temp": 10 + 5 * ssh}
    flow = np.tile(np.array([[0.05, -0.02], [0.02, 0.0], [0.0, 0.0]], np.float32), (n_times, 1, 1))
    return Velocities(where, DEPTHS, times, psi, flow, surface, np.ones((n_times, 3), np.float32), {})


def task_of(velocities: Velocities, path, *, epochs=3, kind="residual", causal=False, seed=0) -> VelocityTask:
    spec = MapSpec.of("sst-ssh", 32.0, 16.0, causal=causal)
    maps = Maps.of(spec, velocities.times, velocities.surface, velocities.lattice.frame.spacing_km)
    psi = velocities.anomaly(velocities.flow.mean(axis=0))
    schedule = Schedule(steps=4 * epochs, batch=2, epoch_steps=4)
    parts = (np.arange(10, 28), np.arange(30, 36))
    state = path / "state.safetensors"
    return VelocityTask(velocities, maps, psi, *parts, VelocityArchitecture(kind, width=4), schedule, seed, 1, state)


def model_of(velocities: Velocities, amplitude=1.0, **spec) -> VelocityModel:
    """A model of random weights, with residuals of random waves."""
    torch.manual_seed(0)
    chosen = MapSpec.of("sst-ssh", 32.0, 16.0, **spec)
    network = VelocityNetwork(VelocityArchitecture(width=4), chosen.n_channels, chosen.n_ssh, 3).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    card = {"maps": chosen.card, "map_scale": {"ssh": 0.1, "temp": 0.5}, "scale": [1e3, 1e3, 1e3], "flow": [[0.0, 0.0]] * 3,
            "depths": DEPTHS.tolist(), "spacing_km": velocities.lattice.frame.spacing_km, "run": "x", "split": {}}  # fmt: skip
    rest = waves(velocities.lattice, 3, 6)
    residuals = Residuals.of(np.zeros_like(rest) + waves(velocities.lattice, 5), rest, velocities.lattice, 5.0)
    residuals.amplitude = amplitude
    return VelocityModel([network], card, residuals, "word")


# -- the lattice -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("periodic", [True, False])
def test_velocities_of_a_streamfunction_give_it_back(periodic):
    where = lattice(periodic=periodic)
    psi = waves(where)[0, 0]
    found = where.streamfunction(*where.velocity(psi))
    assert np.abs(found - (psi - psi.mean())).max() < 1e-3 * np.abs(psi).max()


def test_the_streamfunction_of_a_uniform_flow_gives_it_back():
    lattice = Lattice(Frame.around((-16.5, 49.0), 64.0, 16.0), False)
    u, v = np.array([[0.3, -0.1], [0.0, 2.0]]), np.array([[-0.2, 0.4], [0.1, 0.0]])
    for found, given in zip(lattice.velocity(lattice.tilt(u, v)), (u, v), strict=True):
        np.testing.assert_allclose(found, np.broadcast_to(given[..., None, None], found.shape), atol=1e-12)


def test_a_flow_without_rotation_leaves_the_streamfunction_as_it_is():
    where = lattice()
    psi, phi = waves(where)[0, 0], waves(where, 7)[0, 0]
    u, v = where.velocity(psi)
    # the gradient of phi at the points of u (half a spacing north) and v (half a spacing east): phi stands at cells' centres
    u_potential, v_potential = (phi - np.roll(phi, 1, 1)) / where.spacing, (phi - np.roll(phi, 1, 0)) / where.spacing
    found = where.streamfunction(u + u_potential, v + v_potential)
    assert np.abs(found - (psi - psi.mean())).max() < 1e-3 * np.abs(psi).max()


def test_an_unknown_velocity_is_asked_for_nothing():
    where = lattice(periodic=False)
    psi = waves(where)[0, 0]
    u, v = (one.copy() for one in where.velocity(psi))
    u[3:5, 4:6] = np.nan
    v[8, 8] = np.nan
    found = where.streamfunction(u, v)
    assert np.abs(found - (psi - psi.mean())).max() < 0.05 * np.abs(psi).max()


@pytest.mark.parametrize("periodic", [True, False])
def test_the_finer_lattice_holds_the_points_of_the_coarse_one(periodic):
    where = lattice(periodic=periodic)
    psi = waves(where)[0, 0]
    fine = where.finer(psi, 2)
    assert np.allclose(fine[::2, ::2], psi, atol=1e-4 * np.abs(psi).max())


# -- the predicted ocean ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("periodic", [True, False])
def test_a_predicted_flow_has_no_divergence(periodic):
    where = lattice(periodic=periodic)
    psi = waves(where)[0] + 1e3 * np.random.default_rng(0).standard_normal((3, *where.shape)).astype(np.float32)
    ocean = predicted_ocean(where, DEPTHS, np.array(["2001-01-01", "2001-01-06"], "M8[s]"), lambda k: psi, np.full((3, 2), 0.1))
    snap = ocean.snapshot(0)
    u, v = snap.u.astype(np.float64), snap.v.astype(np.float64)
    divergence = np.diff(u, axis=2)[:, 1:-1] + np.diff(v, axis=1)[:, :, 1:-1]
    assert np.abs(divergence).max() < 1e-5 * np.abs(u).max()
    assert snap.u.shape == (3, ocean.grid.shape[0], ocean.grid.shape[1] - 1)


def test_nothing_flows_through_the_coast_of_a_predicted_ocean_and_the_sea_is_as_without():
    lattice = Lattice(Frame.around((-16.5, 49.0), 128.0, 16.0), False)
    field = np.random.default_rng(0).normal(size=(2, *lattice.shape)).astype(np.float32) * 1e3
    sea = np.ones(lattice.shape, bool)
    sea[:, :5] = sea[9, 9] = False
    options = (np.array([200.0, 3000.0]), np.array(["2001-01-01", "2001-02-01"], "M8[ns]"), lambda k: field, np.full((2, 2), 0.1))
    coast, open_sea = (predicted_ocean(lattice, *options, sea=given) for given in (sea, None))
    mask = coast.grid.mask_rho
    x, y = (np.rint((axis / 1000 - first) / 16).astype(int) for axis, first in
            ((coast.grid.x_rho, lattice.frame.x[0]), (coast.grid.y_rho, lattice.frame.y[0])))  # fmt: skip
    assert np.array_equal(mask, sea[y, x]) and 0.5 < mask.mean() < 0.8 and open_sea.grid.mask_rho.all()
    one, other = coast.snapshot(0), open_sea.snapshot(0)
    for found, free, wet in ((one.u, other.u, mask[:, 1:] & mask[:, :-1]), (one.v, other.v, mask[1:] & mask[:-1])):
        assert (found[:, ~wet] == 0).all() and np.array_equal(found[:, wet], free[:, wet]) and (free[:, ~wet] != 0).any()


def test_levels_of_the_predicted_ocean_stand_at_its_depths():
    s = depth_coordinate(DEPTHS)
    assert np.allclose(s.z_rho(np.array(1.25 * 3000.0), np.array(0.0)).ravel(), -DEPTHS[::-1])


def analytic_ocean() -> AnalyticOcean:
    """Eddies 200 km wide that drift, without divergence, over 30 days; 900 km on a side, in metres."""
    n, spacing = 113, 8000.0
    axis = (np.arange(n) - (n - 1) / 2) * spacing
    x, y = np.meshgrid(axis, axis)
    ones = np.ones(x.shape)
    metric = ones / spacing
    grid = HorizontalGrid(h=4000 * ones, pm=metric, pn=metric, x_rho=x, y_rho=y, mask_rho=ones > 0, angle=0 * ones,
                          coriolis=1e-4 * ones, spherical=False)  # fmt: skip
    k = 2 * np.pi / 400e3

    def profile(z):
        return 0.1 + 0.2 * np.exp(z / 1000.0)

    def u(x, y, z, t):
        return -profile(z) * np.cos(k * (x - 0.03 * t)) * np.sin(k * y)

    def v(x, y, z, t):
        return profile(z) * np.sin(k * (x - 0.03 * t)) * np.cos(k * y)

    times = np.datetime64("2001-01-01", "ns") + np.arange(31) * np.timedelta64(86400 * 10**9, "ns")
    return AnalyticOcean(grid, SCoordinate.from_stretching(30, 5.0, 1.0, 250.0), times, u, v, lambda x, y, t: 0 * x,
                         description={"kind": "analytic"})  # fmt: skip


def crossings(ocean, config, starts=None):
    """(particle, level, 2) km of the one cohort of a run."""
    design = design_experiments(config.design, ocean)
    if starts is not None:
        design = dataclasses.replace(design, starts=starts)
    found = []
    Campaign(ocean, design, config.integration, cohorts=[Cohort(0, config.w[0])], on_result=found.append).run()
    xi, eta = (found[0].crossings[..., k] for k in (0, 1))
    members = np.arange(design.n_particles) % design.n_members
    xi0, eta0 = design.release_xi[0, members, None], design.release_eta[0, members, None]
    return np.stack(ocean.grid.displacement_km(xi, eta, xi0, eta0), -1)


def test_a_prediction_that_is_the_truth_gives_the_oceans_own_catchment(tmp_path):
    truth = analytic_ocean()
    config = RunConfig(site="20000,-30000", w=(150.0,), positions=1, particles=4, dt=120.0, collection=2.0, threads=1,
                       start="2001-01-25", end="2001-01-25")  # fmt: skip
    write_velocities(tmp_path, truth, (20e3, -30e3), 400.0, depths_between(200, 3000, 12), {}, every=1.0, say=lambda text: None)
    found = Velocities.open(tmp_path)
    assert not found.lattice.periodic and found.rotational.min() > 0.99
    psi = found.anomaly(np.zeros((12, 2)))
    ocean = predicted_ocean(found.lattice, found.depths, found.times, lambda k: psi[k], np.zeros((12, 2)))
    one, other = crossings(truth, config), crossings(ocean, config)
    moved = np.hypot(*one[:, -1].T)
    assert moved.mean() > 30
    # face means over 16 km and 12 depths: a few per cent of the way
    assert np.hypot(*(one - other)[:, -1].T).max() < 0.05 * moved.mean()


# -- the loss --------------------------------------------------------------------------------------------------------
def test_the_loss_is_the_error_of_displacement():
    # 0.1 m/s of error at a depth that stands for 400 m, 0.2 m/s at one that stands for 1000 m: (40^2 + 200^2) m4/s2
    where = lattice(periodic=False)
    psi = np.zeros((1, 2, *where.shape))
    wrong = psi + where.tilt(np.array([0.1, 0.0]), np.array([0.0, 0.2]))
    error = displacement_error(torch.tensor(wrong), torch.tensor(psi), torch.tensor([400.0, 1000.0]), where.spacing, False)
    assert error.item() == pytest.approx(40**2 + 200**2)


def test_metres_of_the_depths_add_up_to_the_ascent():
    depths = depths_between(200.0, 3000.0)
    assert metres(depths).sum() == pytest.approx(2800.0) and depths[0] == 200 and depths[-1] == 3000
    assert metres(np.array([200.0, 1000.0, 3000.0])).tolist() == [400.0, 1400.0, 1000.0]


# -- maps ------------------------------------------------------------------------------------------------------------
def test_the_nearest_map_stands_for_one_that_is_missing():
    times = np.datetime64("2001-01-01", "s") + DAY * np.array([0, 10, 20, 40])
    assert nearest_maps(times, times[2], (-20, -4, 0, 5, 20), causal=False).tolist() == [0, 2, 2, 2, 3]
    assert nearest_maps(times, times[2], (-20, -4, 0), causal=True).tolist() == [0, 2, 2]
    assert nearest_maps(times, times[2] - DAY, (0,), causal=True).tolist() == [1]


def test_maps_too_far_apart_are_refused():
    times = np.datetime64("2001-01-01", "s") + DAY * np.array([0, 60])
    with pytest.raises(InputError, match=f"too far apart: none within {REACH_DAYS:g} days of 2001-01-31"):
        nearest_maps(times, times[0] + 30 * DAY, (0,), causal=False)
    with pytest.raises(InputError, match="up to the instant"):
        nearest_maps(times, times[1] - DAY, (0,), causal=True)


def test_the_flow_of_the_first_day_stands_for_the_days_just_before_the_record():
    known = np.datetime64("2001-01-01", "s") + DAY * np.arange(0, 100, 5)
    wanted = known[0] + DAY * np.array([-30, -9, 3, 97, 120])
    assert within(wanted, known).tolist() == [wanted[0], known[0], wanted[2], known[-1], wanted[4]]


def test_the_causal_variant_uses_no_later_map():
    velocities = made_up()
    for causal in (True, False):
        model = model_of(velocities, causal=causal)
        instant = velocities.times[20:21]
        changed = {name: one.copy() for name, one in velocities.surface.items()}
        for one in changed.values():
            one[21:] = np.random.default_rng(0).standard_normal(one[21:].shape)
        first, second = (
            model.predict(Maps.of(model.spec, velocities.times, surface, 16.0), instant, velocities.lattice)
            for surface in (velocities.surface, changed)
        )
        assert np.array_equal(first, second) == causal


def test_each_map_is_seen_without_its_own_mean():
    velocities = made_up()
    maps = Maps.of(MapSpec.of("sst-ssh", 32.0, 16.0), velocities.times, velocities.surface, 16.0)
    moved = Maps.of(maps.spec, maps.times, {"ssh": maps.values["ssh"] + 1.0, "temp": maps.values["temp"] - 4.0}, 16.0)
    scale = {"ssh": 1.0, "temp": 1.0}
    at = maps.instants(velocities.times[12])
    assert np.allclose(maps.stack(at, scale), moved.stack(at, scale), atol=1e-5)
    assert maps.stack(at, scale).shape == (maps.spec.n_channels, 8, 8)


@pytest.mark.parametrize("method", ["spline", "gaussian"])
def test_the_scale_of_maps_is_that_of_what_the_network_sees(method):
    velocities = made_up()
    spec = MapSpec.of("sst-ssh", 48.0, 48.0, method=method)
    maps = Maps.of(spec, velocities.times, velocities.surface, 16.0)
    stacks = np.stack([maps.stack(maps.instants(time), {"ssh": 1.0, "temp": 1.0}) for time in velocities.times[4:-4]])
    # temperature comes with all points of its cells, the first of its days being 10 days before the instant
    first = stacks[:, spec.n_ssh : spec.n_ssh + 4]
    assert maps.scale(np.arange(2, velocities.times.size - 6))["temp"] == pytest.approx(first.std(), rel=1e-5)


def test_the_network_is_the_same_everywhere_in_a_periodic_sea():
    velocities = made_up()
    model = model_of(velocities)
    maps = torch.randn(1, model.spec.n_channels, 8, 8)
    network = model.networks[0]
    with torch.no_grad():
        moved = network(maps.roll((4, 4), (-2, -1)), True)
        assert torch.allclose(moved, network(maps, True).roll((8, 8), (-2, -1)), atol=1e-5)
        assert network(torch.randn(1, model.spec.n_channels, 12, 20), False).shape == (1, 3, 24, 40)


# -- training --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["residual", "linear"])
def test_a_killed_training_goes_on_to_the_same_weights(tmp_path, kind):
    velocities = made_up()
    whole, rows = train_velocity(task_of(velocities, tmp_path, kind=kind), say=lambda text: None)
    (tmp_path / "again").mkdir()

    class Killed(Exception):
        pass

    asked = []

    def kill():
        asked.append(1)
        if len(asked) > 7:  # in the second of three epochs
            raise Killed

    task = task_of(velocities, tmp_path / "again", kind=kind)
    with pytest.raises(Killed):
        train_velocity(task, say=lambda text: None, check=kill)
    assert task.state.exists()
    resumed, again = train_velocity(task_of(velocities, tmp_path / "again", kind=kind), say=lambda text: None)
    for name, one in whole.state_dict().items():
        assert torch.equal(one, resumed.state_dict()[name]), name
    assert [row["validation_loss"] for row in rows] == [row["validation_loss"] for row in again]


def test_a_state_of_another_training_is_refused(tmp_path):
    velocities = made_up()
    train_velocity(task_of(velocities, tmp_path, epochs=1), say=lambda text: None)
    with pytest.raises(StoreError, match="belongs to another training"):
        train_velocity(task_of(velocities, tmp_path, epochs=1, seed=1), say=lambda text: None)


def test_training_learns_a_flow_that_follows_the_ssh(tmp_path):
    _, rows = train_velocity(task_of(made_up(), tmp_path, epochs=25), say=lambda text: None)
    assert rows[-1]["validation_loss"] < 0.5 < rows[0]["validation_loss"]


# -- residuals and members -------------------------------------------------------------------------------------------
def test_a_member_without_residuals_is_the_prediction():
    velocities = made_up()
    model = model_of(velocities, amplitude=0.0)
    psi, times = velocities.psi[:3], velocities.times[:3]
    size = [model.residuals.size(one, velocities.lattice) for one in psi]
    prediction = predicted_ocean(velocities.lattice, DEPTHS, times, lambda k: psi[k], np.zeros((3, 2)))
    plain, none = (member_ocean(prediction, size, one, (0, 1)) for one in (None, model.residuals))
    assert np.array_equal(plain.snapshot(1).u, none.snapshot(1).u)
    other = member_ocean(prediction, size, dataclasses.replace(model.residuals, amplitude=1.0), (0, 1))
    assert not np.allclose(plain.snapshot(1).u, other.snapshot(1).u)


@pytest.mark.parametrize("periodic", [True, False])
def test_residuals_keep_their_energy_wherever_they_are_put(periodic):
    where = lattice(periodic=periodic)
    rest = waves(where, 3, 8)
    residuals = Residuals.of(np.zeros_like(rest), rest, where, 5.0, conditioned=False)
    wanted = (rest - rest.mean(axis=(-2, -1), keepdims=True)).std(axis=(0, 2, 3))
    found = np.stack([residuals.member((0, member), where)(17.0 * member) for member in range(40)])
    assert np.allclose(found.std(axis=(0, 2, 3)), wanted, rtol=0.25)
    assert np.array_equal(residuals.member((0, 3), where)(12.0), residuals.member((0, 3), where)(12.0))


def test_residuals_of_days_of_different_energy_grow_without_a_jump_and_are_each_days_own_on_the_day():
    where = lattice()
    rest = waves(where, 3, 5) * np.array([1.0, 4.0, 0.5, 3.0, 1.0], np.float32)[:, None, None, None]
    residuals = Residuals.of(np.zeros_like(rest), rest, where, 5.0, conditioned=False)
    residual = residuals.member((0, 0), where)
    sizes = np.array([residual(days)[0].std() for days in np.arange(0.0, 40.0, 0.05)])
    days = residuals.values[:, 0].std(axis=(-2, -1))
    assert np.abs(np.diff(sizes)).max() < 0.05 * np.ptp(days)  # a day is 100 of these steps
    assert sizes.max() == pytest.approx(days.max(), rel=0.01) and sizes.min() > 0.99 * days.min()


def test_a_member_goes_to_and_fro_through_the_record_without_a_jump():
    """In time and in place: a jump would be a front that no ocean has."""
    instants = np.arange(0.0, 40.0, 0.25)
    places = np.array([_reflected(place, 5) for place in instants])
    assert np.abs(np.diff(places)).max() == 0.25 and places.min() == 0 and places.max() == 5
    assert (places[: 4 * 5] == instants[: 4 * 5]).all() and _reflected(7.0, 0) == 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        rows = _places(rng, 6, 20, False)  # a reflected edge stands twice
        assert np.abs(np.diff(rows)).max() <= 1 and set(rows) == set(range(6))
        around = _places(rng, 6, 20, True)
        assert set(np.diff(around)) == {1, -5} and set(around) == set(range(6))


def test_residuals_are_larger_where_the_prediction_is_stronger():
    where = lattice(32)
    east = 1.5 + 1.3 * np.cos(2 * np.pi * (np.arange(32) - 8) / 32)
    noise = np.random.default_rng(0).standard_normal((2, 12, 3, 32, 32))
    eddies = gaussian_filter(noise, (0, 0, 0, 1.5, 1.5), mode="wrap").astype(np.float32) * east.astype(np.float32) * 1e4
    predicted, rest = eddies[0], 0.3 * eddies[1]
    residuals = Residuals.of(predicted, predicted + rest, where, 5.0)
    assert (residuals.exponent > 0.2).all()
    size = residuals.size(predicted[0], where)
    assert (size[:, :, 6:10].mean(axis=(1, 2)) > 1.5 * size[:, :, 22:26].mean(axis=(1, 2))).all()


def test_an_error_in_proportion_to_the_flow_has_an_exponent_of_half():
    """Sizes are of velocities, energies of their squares."""
    where = lattice(32)
    predicted = waves(where, 1, 6)
    assert Residuals.of(predicted, 1.3 * predicted, where, 5.0).exponent == pytest.approx(np.full(3, 0.5), abs=1e-3)


def test_velocities_are_needed_from_the_slowest_ascent_on():
    design = Design.at("0,0", speeds=(80.0, 300.0), positions=1)
    starts = np.array(["2001-06-01", "2001-06-11"], "M8[s]")
    instants = instants_needed(starts, design, 5.0)
    assert instants[-1] == starts[1] + 10 * DAY and set(np.diff(instants)) == {5 * DAY}
    assert starts[0] - instants[0] >= design.ascent_days(80.0) * DAY + 5 * DAY > starts[0] - instants[1]


def test_an_ocean_of_faster_currents_has_residuals_as_much_larger():
    where = lattice(32)
    predicted = waves(where, 1, 6)
    residuals = Residuals.of(predicted, predicted + 0.3 * waves(where, 2, 6), where, 5.0)
    whole = local_energy(predicted[0], where).mean(axis=(1, 2))
    usual = predicted[0] * np.sqrt(residuals.energy / whole)[:, None, None]
    slow, fast = (residuals.size(times * usual, where) for times in (0.7, 1.4))
    inside = (slow > 0.41) & (fast < 2.49)  # sizes are kept between bounds
    assert inside.mean() > 0.5 and np.allclose(fast[inside], 2 * slow[inside], rtol=1e-4)


def test_each_member_of_each_seed_has_a_random_walk_of_its_own(monkeypatch):
    integrations = []
    monkeypatch.setattr(
        "learning.velocity.ensemble.ensemble_catchments", lambda oceans, design, given, *_: integrations.append(given) or iter(())
    )
    lattice = Lattice(Frame.around((-16.5, 49.0), 128.0, 16.0), False)
    model = SimpleNamespace(
        depths=np.array([200.0, 3000.0]), flow=np.zeros((2, 2)), residuals=SimpleNamespace(size=lambda *_: np.ones((2, 1, 1)))
    )
    still = lambda times: np.zeros((len(times), 2, *lattice.shape), np.float32)
    for seed in (0, 1, 2):
        given = Integration(diffusivity=(5.0,), seed=9)
        options = {"members": 4, "integration": given, "seed": seed, "predicted": still}
        assert not list(predict_catchments(model, None, lattice, Design(), np.array(["2001-01-01"], "M8[s]"), **options))
    walks = [one.seed for ensemble in integrations for one in ensemble]
    assert len(walks) == 12 == len(set(walks)) and all(one.diffusivity == (5.0,) for one in integrations[0])


def test_residuals_that_do_not_tell_how_they_follow_the_whole_ocean_are_used_as_they_were_made(tmp_path):
    where = lattice(16)
    predicted = waves(where, 1, 6)
    residuals = dataclasses.replace(Residuals.of(predicted, predicted + waves(where, 2, 6), where, 5.0), whole_exponent=None)
    residuals.save(tmp_path, "word")
    assert Residuals.load(tmp_path, "word").whole_exponent is None
    flow = 0.9 * predicted[0]
    expected = (local_energy(flow, where) / residuals.energy[:, None, None]) ** residuals.exponent[:, None, None]
    assert np.allclose(residuals.size(flow, where), np.clip(expected, 0.4, 2.5), rtol=1e-5)


def test_the_loss_to_expect_is_the_line_of_validation_at_the_amplitude_that_was_chosen(tmp_path):
    spread = np.linspace(0.1, 0.3, 20)
    choices = [Choice(amplitude, {}, {}, np.stack([spread, first + 0.5 * spread], axis=1))
               for amplitude, first in ((0.8, 0.02), (1.1, 0.05), (1.4, 0.09))]  # fmt: skip
    choices[1].pairs[3, 1] = np.nan  # an experiment without truth
    expected = fit_expected(choices, 1.2)
    assert expected == pytest.approx((0.05, 0.5))
    where = lattice(16)
    residuals = Residuals.of(waves(where, 1, 6), waves(where, 2, 6), where, 5.0)
    assert np.isnan(residuals.expected_bl(spread)).all()
    dataclasses.replace(residuals, expected=expected).save(tmp_path, "word")
    loaded = Residuals.load(tmp_path, "word")
    assert np.allclose(loaded.expected_bl(spread), 0.05 + 0.5 * spread)
    assert np.isnan(loaded.expected_bl(np.array([0.0, np.nan]))).all()  # one member has no spread


def test_the_amplitude_is_fitted_at_the_export_level(monkeypatch):
    """At 200 m, also where crossings of shallower levels are kept."""
    design = Design.at("0,0", speeds=80, positions=1, levels=(1000, 200, 100))
    start = np.array(["2001-01-01"], "M8[s]")
    known = SimpleNamespace(start=start, usable=np.ones(1, bool))
    counts = np.zeros((1, 3, 100, 100), np.uint32)
    for level in range(3):
        counts[0, level, 50, 20 + 20 * level] = 10
    reached = np.full((1, 3), 10)
    store = xr.Dataset({"counts": (("experiment", "level", "y", "x"), counts), "reached": (("experiment", "level"), reached)})
    asked = []

    def predicted(*arguments, levels, **options):
        asked.append(levels.tolist())
        pdf = smooth_pdf(counts[:, levels] / 10.0)
        yield Catchments(0, 80.0, pdf, pdf, np.zeros((1, 1)), np.ones((1, 1)))

    monkeypatch.setattr("learning.velocity.calibrate.predict_catchments", predicted)
    options = RunOptions(design, Integration())
    choice = score_amplitude(model_of(made_up()), None, None, options, start, {80.0: store}, known, 1.0, 1)
    assert asked == [[1]] and choice.bl[80.0] == pytest.approx(0, abs=1e-6)


def test_a_spread_that_tells_nothing_leaves_the_mean_loss_to_expect():
    falling = np.array([[0.1, 0.3], [0.2, 0.2], [0.3, 0.1]])
    for pairs, loss in ((falling, 0.2), (falling[:1], 0.3)):
        assert fit_expected([Choice(1.0, {}, {}, pairs)], 1.0) == pytest.approx((loss, 0.0))


def test_mean_and_root_of_two_members_by_hand():
    # all particles of one member in one bin, those of the other in another far off: halves, and their roots alike
    places = [np.full((1, 5, 1, 2), value, np.float32) for value in (-100.0, 100.0)]
    mean, root, spread, reached = combine(places)
    one, other = (np.zeros((100, 100)) for _ in range(2))
    one[37, 37], other[62, 62] = 1.0, 1.0
    whole = smooth_pdf(np.stack([one, other]))
    assert np.allclose(mean[0, 0], whole.mean(axis=0), atol=1e-6)
    assert np.allclose(root[0, 0], whole.mean(axis=0), atol=1e-4)
    assert spread[0, 0] == pytest.approx(1 - np.sqrt(0.5), abs=1e-3) and reached[0, 0] == 1
    assert mean[0, 0].sum() == pytest.approx(1, abs=1e-5)


def test_the_root_is_nearer_in_bl_than_the_mean():
    rng = np.random.default_rng(0)
    members = [rng.normal(rng.normal(0, 80, 2), 25, (1, 80, 1, 2)).astype(np.float32) for _ in range(30)]
    mean, root, _, _ = combine(members)
    pdfs = [combine([one])[0] for one in members]
    loss = [np.mean([1 - np.sqrt(pdf * guess).sum() for pdf in pdfs]) for guess in (mean, root)]
    assert loss[1] < loss[0]
    assert root.sum() == pytest.approx(1, abs=1e-4)


def test_members_that_agree_have_no_spread():
    rng = np.random.default_rng(0)
    for _ in range(20):
        alone = rng.normal(0, 60, (1, 50, 1, 2)).astype(np.float32)
        for members in ([alone], [alone, alone]):
            assert 0 <= combine(members)[2][0, 0] < 1e-5


def test_particles_that_never_reach_the_level_leave_no_catchment():
    mean, _, spread, reached = combine([np.full((1, 5, 2, 2), np.nan, np.float32)])
    assert np.isnan(mean).all() and np.isnan(spread).all() and (reached == 0).all()


# -- which days are learnt from, and which are predicted ------------------------------------------------------------
def sixty_periods() -> Experiments:
    start = np.datetime64("2001-01-01", "s") + 10 * DAY * np.arange(60)
    place = np.zeros((60, 2))
    return Experiments(start, start + 10 * DAY, np.arange(60), np.ones(60, bool), np.array([1000.0, 200.0]), place)


def test_no_map_that_is_learnt_from_lies_beyond_the_training_part_and_validation_keeps_to_its_own():
    known = sixty_periods()
    split, _ = known.split(test=True)
    times = known.start[0] + 5 * DAY * np.arange(-20, 130)
    for spec in (MapSpec.of("sst-ssh"), MapSpec.of("sst-ssh", causal=True)):
        parts = Parts.of(times, known, split, spec)
        last = max(0, *spec.ssh_days, *spec.other_days)
        assert times[parts.train].max() + last * DAY == known.end[split.train].max()
        assert times[parts.train].min() <= known.start[split.train].min()
        assert times[parts.validation].min() == known.start[split.validation].min() - 10 * DAY
        assert times[parts.validation].max() == known.end[split.validation].max()


def test_periods_that_were_learnt_from_are_not_predicted(monkeypatch):
    known = sixty_periods()
    split, _ = known.split(test=True)
    of_run = {"run_options": RunOptions(Design(), Integration()), "run_identity": "this", "found_speeds": (80.0,)}
    for name, value in of_run.items():
        monkeypatch.setattr(f"learning.velocity.predict.{name}", lambda run, value=value: value)
    monkeypatch.setattr("learning.velocity.predict.Experiments.open", lambda run: known)
    config = SimpleNamespace(run="run", out=None, w=(), trap_depth=None, levels=(), collection=None)
    dates = split.dates(known.start, known.end)
    for run, wanted in (("this", np.setdiff1d(np.arange(60), split.train)), ("another", np.arange(60))):
        plan = make_plan(config, SimpleNamespace(card={"run": run, "split": dates}, spec=MapSpec.of("sst-ssh")))
        assert np.flatnonzero(plan.wanted).tolist() == wanted.tolist()
        for name in ("validation", "test"):
            of_part = split.validation if name == "validation" else split.test
            expected = of_part if run == "this" else []
            assert np.flatnonzero(plan.part == PARTS.index(name)).tolist() == list(expected)


# -- what is refused -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("side", "fewer"), [(6, 2), (6, 3), (4, 4), (2, 4)])
def test_fewer_particles_of_a_member_stand_for_cells_that_tile_the_lattice_of_the_design(side, fewer):
    design = dataclasses.replace(Design(), particles=side**2, particle_spacing=2.0)
    found = member_design(design, particles=fewer**2, release_every=24.0)
    assert found.particles == fewer**2 and found.release_every == 24.0 and found.trajectories is None
    assert found.particle_spacing == pytest.approx((side - 1) * 2.0 / fewer if fewer < side else 2.0)


def test_depths_beyond_those_learnt_are_refused():
    for options, text in ((dict(trap_depth=4000.0, levels=(200.0,)), "--trap-depth 4000: .* down to 3000 m"),
                          (dict(trap_depth=3000.0, levels=(50.0,)), "--levels 50: .* from 200 m")):  # fmt: skip
        with pytest.raises(OptionError, match=text):
            check_depths(DEPTHS, **options)
    check_depths(DEPTHS, 2000.0, (1000.0, 200.0))


def saved(folder, velocities, member=1, **changes):
    model = model_of(velocities)
    save_velocity_network(folder / f"member-{member:02d}.safetensors", model.networks[0], {**model.card, **changes})
    return model


def test_models_that_cannot_be_used_are_refused_in_one_line(tmp_path):
    velocities = made_up()
    with pytest.raises(StoreError, match="holds no networks"):
        VelocityModel.load(tmp_path)
    model = saved(tmp_path, velocities)
    with pytest.raises(StoreError, match=r"residuals.safetensors is missing: members need residuals") as missing:
        VelocityModel.load(tmp_path)
    word = VelocityModel.load(tmp_path, residuals=False).checksum
    model.residuals.save(tmp_path, "another")
    with pytest.raises(StoreError, match="not of the networks beside it"):
        VelocityModel.load(tmp_path)
    model.residuals.save(tmp_path, word)
    loaded = VelocityModel.load(tmp_path)
    assert np.array_equal(loaded.residuals.values, model.residuals.values)
    coarse = dataclasses.replace(velocities, lattice=lattice(spacing=20.0))
    with pytest.raises(StoreError, match="points 16 km apart, the maps' are 20") as grid:
        loaded.check_lattice(coarse.lattice)
    with pytest.raises(StoreError, match="points 16 km apart, not 20"):
        loaded.residuals.member((0,), coarse.lattice)
    saved(tmp_path, velocities, 2, depths=[200.0, 1000.0, 2500.0])
    with pytest.raises(StoreError, match="do not belong together: depths differ"):
        VelocityModel.load(tmp_path)
    for error in (missing, grid):
        assert "\n" not in str(error.value) and isinstance(error.value, CatchmentError)


def test_a_card_that_does_not_fit_its_weights_is_refused(tmp_path):
    velocities = made_up()
    path = tmp_path / "member-01.safetensors"
    saved(tmp_path, velocities, depths=[200.0, 3000.0])
    with pytest.raises(StoreError, match="do not fit together"):
        load_velocity_network(path)
    saved(tmp_path, velocities)
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(StoreError, match="is damaged: its checksum is another"):
        load_velocity_network(path)


def test_an_ocean_without_temperature_says_so():
    velocities = made_up()
    with pytest.raises(StoreError, match="no maps of temp, which sst-ssh needs"):
        Maps.of(MapSpec.of("sst-ssh"), velocities.times, {"ssh": velocities.surface["ssh"]}, 16.0)
