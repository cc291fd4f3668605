"""The shapes in signatures hold: calls of the functions at the seams are held against the types that they name."""

from __future__ import annotations

import inspect
import subprocess
import sys

import jaxtyping
import numpy as np
import pytest

import data.frame
import evaluation.scores
import lagrangian.binning
import lagrangian.velocity
import learning.samples
from data import shapes
from data.frame import Frame
from lagrangian.window import Window
from learning.inputs import InputSpec, Normalisation
from tests.builders.analytic import SHALLOW_TO_DEEP, plane, still_omega, zero


def held(function, *arguments):
    """Call a function; arguments and result are of the types in its signature, dimensions of one name being equal."""
    inner = inspect.unwrap(function)
    names = {**vars(inspect.getmodule(inner)), **vars(shapes)}
    kinds = {name: eval(kind, names) for name, kind in inner.__annotations__.items()}
    given = dict(zip(inspect.signature(inner).parameters, arguments))
    result = function(*arguments)
    parts = result if isinstance(result, tuple) else (result,)
    wanted = kinds["return"].__args__ if isinstance(result, tuple) else (kinds["return"],)
    with jaxtyping.jaxtyped("context"):
        for name, value in given.items():
            assert name not in kinds or isinstance(kinds[name], str) or isinstance(value, kinds[name]), name
        for kind, value in zip(wanted, parts, strict=True):
            assert isinstance(value, kind), (kind, value.shape, value.dtype)
    return result


@pytest.mark.parametrize("stagger", ["C", "A"])
def test_vertical_velocities(stagger):
    grid, n = plane(nx=9, ny=7, stagger=stagger), SHALLOW_TO_DEEP.n
    less = int(stagger == "C")
    u, v = np.zeros((n, 7, 9 - less), np.float32), np.zeros((n, 7 - less, 9), np.float32)
    arguments = u, v, np.zeros((7, 9), np.float32), grid, SHALLOW_TO_DEEP
    omega = held(lagrangian.velocity.omega_by_continuity, *arguments)
    held(lagrangian.velocity.upward_flux, *arguments)
    held(lagrangian.velocity.vertical_velocity_from_omega, *arguments[:3], omega, *arguments[3:])


def test_counts_and_pdfs():
    x = np.random.default_rng(0).normal(0, 50, (3, 20, 2)).astype(np.float32)
    counts, _ = held(lagrangian.binning.count_crossings, x, x)
    pdf = held(lagrangian.binning.smooth_pdf, counts / 20)
    held(lagrangian.binning.smooth_pdf, pdf[0])
    for name in ("bhattacharyya_coefficient", "bhattacharyya_loss", "overlap", "hellinger_distance", "jensen_shannon_distance"):
        held(getattr(evaluation.scores, name), pdf, pdf)
    held(evaluation.scores.entropy, pdf)


def test_particles():
    window = Window(plane(), SHALLOW_TO_DEEP, dt=600.0, levels=(1000.0, 200.0))
    for slot, time in enumerate((0.0, 86400.0)):
        window.load(still_omega(plane(), SHALLOW_TO_DEEP, zero, zero, t=time), slot)
    place, state, number = np.full(3, 8.0), np.zeros(3, np.int32), np.arange(3)
    moving = (place, place.copy(), np.full(3, -2000.0), np.zeros(3), np.full(3, 3600.0), np.full(3, 1e-3))
    held(Window.advance, window, *moving, state, state.copy(), number, number, np.zeros((3, 2, 3)), np.full(3, -1, np.int16))


def test_windows():
    axis = (np.arange(120) - 59.5) * 8.0
    frame = Frame((-16.5, 49.0), 8.0, axis, axis.copy())
    values = np.zeros((4, 2, 120, 120), np.float32)
    held(data.frame.cut_window, values, frame, 8.0, 0.0)
    spec = InputSpec.of("sst-ssh")
    fields = learning.samples.RegionalFields(spec, frame, np.zeros(4, "datetime64[s]"), values)
    normalise = Normalisation(np.zeros(2, np.float32), np.ones(2, np.float32))
    held(learning.samples.RegionalFields.window, fields, np.arange(4), 8.0, 0.0, normalise)


def test_an_array_of_another_shape_is_found():
    with pytest.raises(AssertionError):
        held(lagrangian.binning.smooth_pdf, np.ones((100, 100), np.int64))
    counts = lambda x, y: lagrangian.binning.count_crossings(x, y)
    counts.__annotations__ = {"x": "Displacements", "y": "Displacements", "return": "tuple[Reached, Counts]"}
    x = np.zeros((3, 20, 2))
    with pytest.raises(AssertionError, match="experiment level"):
        held(counts, x, x)


def test_commands_do_not_import_the_types_of_shapes():
    modules = "lagrangian.velocity, lagrangian.binning, learning.samples, evaluation.scores"
    code = f"import sys, {modules}; print('jaxtyping' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
