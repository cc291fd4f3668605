"""The twin's quasi-geostrophic solver as physics."""

from __future__ import annotations

import numpy as np
import pytest

from data.errors import InputError
from data.twin.defaults import default_parameters
from data.twin.solver import Model, Parameters, State, with_changes

DAY = 86400.0
IDEAL = dict(
    n=32,
    length=800e3,
    thickness=(500.0, 1000.0, 2500.0),
    reduced_gravity=(0.008, 0.005),
    f0=1.1e-4,
    beta=1.6e-11,
    mean_u=(0.0, 0.0, 0.0),
    mean_v=(0.0, 0.0, 0.0),
    filter_strength=0.0,
)


def random_state(model, speed=0.1, seed=0, peak=3.0):
    """A few large eddies in every layer, nothing near the smallest scales."""
    p = model.parameters
    rng = np.random.default_rng(seed)
    index = np.sqrt(model.k2) * p.length / (2 * np.pi)
    psi = model.transform(rng.standard_normal((p.layers, p.n, p.n))) * np.exp(-((index / peak) ** 2))
    u, v = model.velocity(psi)
    psi *= speed / np.sqrt((u**2 + v**2).mean())
    return model.from_streamfunction(model.physical(psi), rng.standard_normal((p.n, p.n)))


def run(model, state, seconds):
    for _ in range(round(seconds / model.parameters.dt)):
        model.step(state)
    return state


def plain_tendency(model, state):
    """The equations of the solver's docstring, one array operation after the other."""
    p = model.parameters
    topography = model.transform(p.f0 * p.topography / p.thickness[-1])
    k = 2 * np.pi / p.length
    nyquist = p.n // 2
    ikx = 1j * k * np.where(np.arange(nyquist + 1) == nyquist, 0, np.arange(nyquist + 1))[None, :]
    index = np.rint(np.fft.fftfreq(p.n, 1 / p.n))[:, None]
    iky = 1j * k * np.where(np.abs(index) == nyquist, 0, index)
    psi = model.streamfunction(state.q)
    total = state.q.copy()
    total[-1] += topography
    u, v, q, tracer = (model.physical(one) for one in (-iky * psi, ikx * psi, total, state.tracer))

    def flux(quantity, east, north):
        return ikx * model.transform(east * quantity) + iky * model.transform(north * quantity)

    qx, qy = (gradient[:, None, None] for gradient in p.mean_gradient())
    mean = p.mean_u[:, None, None] * ikx + p.mean_v[:, None, None] * iky
    drag = np.full((p.layers, 1, 1), p.drag)
    drag[-1] += p.bottom_drag
    scale = np.sqrt(model.k2) / k
    damping = p.large_scale_damping * np.exp(-((scale / p.large_scale_index) ** 4))
    dq = -flux(q, u, v) - mean * total + iky * psi * qx - ikx * psi * qy + drag * model.k2 * psi - damping * state.q
    dt = -flux(tracer, u[0], v[0]) - mean[0] * state.tracer - ikx * psi[0] * p.tracer_gradient
    return dq, dt - state.tracer / p.tracer_relaxation


@pytest.mark.parametrize("single", [False, True])
def test_tendencies_are_those_of_the_equations_written_out(single):
    """With every term at work, and a mean flow that crosses the topography."""
    p = with_changes(default_parameters(1), single=single, mean_v=np.linspace(0.02, 0.01, 6), tracer_relaxation=2e6, drag=1e-8)
    model = Model(p)
    state = random_state(model, peak=12.0)
    found, expected = model.tendency(state), plain_tendency(model, state)
    for one, other in zip(found, expected):
        error = np.abs(one - other).max(axis=(-2, -1)) / np.abs(other).max(axis=(-2, -1))
        assert (error < (2e-5 if single else 1e-7)).all(), error  # exponentials are rounded to single precision


def test_a_step_is_adams_bashforth_of_third_order_and_the_filter():
    model = Model(default_parameters(1))
    state = random_state(model, peak=12.0)
    for _ in range(3):
        model.step(state)
    before, dt, past = state.copy(), model.parameters.dt, list(state.past)
    slopes = [model.tendency(before), *past]
    model.step(state)
    index = np.sqrt(model.k2) * model.parameters.length / model.parameters.n
    kept = np.exp(-model.parameters.filter_strength * np.maximum(index - model.parameters.filter_start * np.pi, 0) ** 4)
    for number, (one, other) in enumerate(((before.q, state.q), (before.tracer, state.tracer))):
        expected = kept * (one + dt / 12 * (23 * slopes[0][number] - 16 * slopes[1][number] + 5 * slopes[2][number]))
        np.testing.assert_allclose(other, expected, atol=1e-7 * np.abs(expected).max(), rtol=0)
        assert np.abs(other - one).max() > 1e-4 * np.abs(one).max()


def test_a_state_made_of_views_is_stepped_too():
    model = Model(default_parameters())
    state = random_state(model)
    other = State(np.asfortranarray(state.q), np.asfortranarray(state.tracer))
    for number in range(5):
        model.step(state)
        model.step(other)
        if number == 3:  # when the past is complete
            other.q, other.tracer = np.asfortranarray(other.q), np.asfortranarray(other.tracer)
    np.testing.assert_array_equal(other.q, state.q)
    np.testing.assert_array_equal(other.tracer, state.tracer)


def test_inversion_round_trip():
    model = Model(default_parameters())
    state = random_state(model)
    again = model.vorticity_of(model.streamfunction(state.q))
    np.testing.assert_allclose(again, state.q, atol=1e-12 * np.abs(state.q).max())


def test_the_first_deformation_radius_is_23_km():
    values, *_ = default_parameters().modes()
    assert 1e-3 / np.sqrt(-values[1]) == pytest.approx(23.0, abs=0.2)
    assert values[0] == 0.0


def test_energy_and_enstrophy_are_kept_but_for_the_time_step_whose_error_falls_at_the_scheme_order():
    """Inviscid and unforced over topography. Without beta the potential enstrophy of every layer is kept too."""
    x = np.arange(64) / 64 * 2 * np.pi
    hill = 100 * np.cos(x)[None, :] * np.sin(x)[:, None]
    drift = []
    for dt in (7200.0, 3600.0):
        for beta in (1.6e-11, 0.0):
            model = Model(Parameters(**{**IDEAL, "n": 64, "beta": beta}, dt=dt, topography=hill))
            state = random_state(model, peak=1.5)
            before = np.append(model.enstrophy(state), model.energy(state))
            run(model, state, 10 * DAY)
            drift.append(np.abs(np.append(model.enstrophy(state), model.energy(state)) / before - 1))
    print(f"relative drift, enstrophy by layer and energy: {drift}")
    assert np.log2(drift[0][-1] / drift[2][-1]) > 2.7  # energy on the beta-plane
    assert drift[2][-1] < 1e-6
    assert (np.log2(drift[1] / drift[3]) > 2.7).all()
    assert (drift[3] < 1e-5).all()


@pytest.mark.parametrize("mode", [0, 1, 2])
def test_a_rossby_wave_travels_at_its_dispersion_speed_in_every_vertical_mode(mode):
    model = Model(Parameters(**IDEAL, dt=3600.0))
    p = model.parameters
    values, modes, _ = p.modes()
    kx, ky = 2 * (2 * np.pi / p.length), 1 * (2 * np.pi / p.length)
    speed = -p.beta / (kx**2 + ky**2 - values[mode])
    x = np.arange(p.n) * p.length / p.n
    wave = lambda t: np.cos(kx * (x[None, :] - speed * t) + ky * x[:, None])
    shape = modes[:, mode][:, None, None] / np.abs(modes[:, mode]).max()
    state = model.from_streamfunction(10.0 * shape * wave(0.0))
    run(model, state, 20 * DAY)
    np.testing.assert_allclose(model.physical(model.streamfunction(state.q)), 10.0 * shape * wave(20 * DAY), atol=0.02)


def test_a_small_perturbation_grows_at_the_eigenvalue_of_the_linear_problem():
    sheared = {**IDEAL, "mean_u": (0.3, 0.1, 0.0), "mean_v": (-0.02, 0.0, 0.0)}
    model = Model(Parameters(**sheared, dt=1800.0))
    kx, ky = 3 * 2 * np.pi / 800e3, -1 * 2 * np.pi / 800e3
    expected = model.growth_rates(kx, ky).imag.max()
    assert expected > 1 / (60 * DAY)
    p = model.parameters
    x = np.arange(p.n) * p.length / p.n
    wave = np.cos(kx * x[None, :] + ky * x[:, None])
    state = model.from_streamfunction(1e-3 * np.array([1.0, 0.5, 0.2])[:, None, None] * wave)
    run(model, state, 6 / expected)  # let the fastest mode win
    first = model.energy(state)
    run(model, state, 2 / expected)
    rate = 0.5 * np.log(model.energy(state) / first) / (round(2 / expected / p.dt) * p.dt)
    print(f"growth {rate * DAY:.4f} per day, linear theory {expected * DAY:.4f}")
    assert rate == pytest.approx(expected, rel=0.02)


def test_the_mean_of_the_tracer_stays_but_for_relaxation():
    model = Model(Parameters(**IDEAL, dt=1800.0))
    state = random_state(model)
    mean = state.tracer[0, 0]
    run(model, state, 5 * DAY)
    assert state.tracer[0, 0] == pytest.approx(mean, rel=1e-12)
    relaxing = Model(with_changes(model.parameters, tracer_relaxation=10 * DAY))
    state = random_state(relaxing)
    state.tracer[0, 0] = 1.0
    run(relaxing, state, 10 * DAY)
    assert state.tracer[0, 0].real == pytest.approx(np.exp(-1), rel=1e-5)


def test_a_state_gone_on_with_is_bitwise_the_one_never_stopped():
    model = Model(default_parameters(n=32, topography=None))
    whole = run(model, random_state(model), 2 * DAY)
    part = run(model, random_state(model), 1 * DAY).copy()
    rest = run(Model(model.parameters), part, 1 * DAY)
    np.testing.assert_array_equal(whole.q, rest.q)
    np.testing.assert_array_equal(whole.tracer, rest.tracer)


def test_the_mean_gradient_of_the_default_changes_sign_so_that_eddies_can_grow():
    _, gradient = default_parameters().mean_gradient()
    assert gradient.min() < 0 < gradient.max()


def test_impossible_parameters_are_refused():
    for change in (
        {"n": 31},
        {"thickness": (500.0, -1.0, 3.0)},
        {"mean_u": (0.0,)},
        {"dt": 0.0},
        {"topography": np.zeros((3, 3))},
    ):
        with pytest.raises(InputError):
            Parameters(**{**IDEAL, **change})
