"""Figures of scores: what they draw is what they were given, and models and speeds are told apart without colour."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from evaluation.figures.canvas import LINES
from evaluation.figures.scores import figure_3, figure_4, figure_calibration, line_of, style_of


def entry(w, model, split, value):
    """An entry of metrics.json with an interval of 0.05 below and 0.1 above each value; none at 100 m/d."""
    numbers = {"bl_mean": value, "f_mean": value / 2, "valid_percent": 100 * value}
    wide = {"bl_mean": 1, "f_mean": 1, "valid_percent": 100}
    ends = {f"{name}_low": None if w == 100 else one - 0.05 * wide[name] for name, one in numbers.items()}
    ends |= {f"{name}_high": None if w == 100 else one + 0.1 * wide[name] for name, one in numbers.items()}
    return {"w": w, "model": model, "target": "smoothed", "split": split, "n": 7, **numbers, **ends}


def drawn_without_warnings(figure):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.canvas.draw()
    width, height = figure.canvas.get_width_height()
    box = figure.get_tightbbox().transformed(figure.dpi_scale_trans)
    return box.x0 > -1 and box.y0 > -1 and box.x1 < width + 1 and box.y1 < height + 1


@pytest.fixture(scope="module")
def fourth():
    metrics = [entry(w, model, "test" if w == 80 else "all", value + w / 1000)
               for w in (80.0, 100.0) for model, value in (("another", 0.1), ("sst-ssh", 0.2), ("box200", 0.5))]  # fmt: skip
    bl = {80.0: np.array([0.1, 0.4, np.nan]), 100.0: np.linspace(0.1, 0.6, 2000)}
    return figure_4(metrics, {w: ("sst-ssh", one, 1 - one) for w, one in bl.items()})


def test_figure_4_draws_every_model_at_every_speed_with_its_interval(fourth):
    assert drawn_without_warnings(fourth)
    for axis, scale, size in zip(fourth.axes, (1, 100, 50), (1, 100, 100), strict=False):
        lines = {bars.get_label(): bars for bars in axis.containers}
        assert list(lines) == ["box200", "sst-ssh", "another"]
        for name, value in (("box200", 0.5), ("sst-ssh", 0.2), ("another", 0.1)):
            line, _, (segments,) = lines[name].lines
            np.testing.assert_allclose(line.get_ydata(), [scale * (value + 0.08), scale * (value + 0.1)])
            low, high = segments.get_segments()[0][:, 1]
            assert (low, high) == pytest.approx((line.get_ydata()[0] - 0.05 * size, line.get_ydata()[0] + 0.1 * size))
            assert np.ptp(segments.get_segments()[1][:, 1]) == 0
        assert len({bars.lines[0].get_marker() for bars in axis.containers}) == 3
        assert [text.get_text() for text in axis.get_xticklabels()] == ["80", "100"]
    assert "80 m/d: 7 test, 100 m/d: 7 all" in fourth.get_suptitle()


def test_figure_4_names_the_model_whose_f_it_draws_and_few_dots_are_seen(fourth):
    few, many, fit, _ = fourth.axes[3].lines
    assert (few.get_label(), many.get_label()) == ("sst-ssh, 80 m d⁻¹", "sst-ssh, 100 m d⁻¹")
    np.testing.assert_allclose(few.get_xydata(), [[0.1, 90], [0.4, 60]])
    assert few.get_marker() != many.get_marker()
    assert [to_hex(line.get_color()).upper() for line in (few, many)] == [colour for colour, _ in LINES[:2]]
    assert few.get_markersize() >= 6 > many.get_markersize() >= 2.5
    assert np.interp(0.5, fit.get_xdata(), fit.get_ydata()) == pytest.approx(100 * (0.915 - 1.885 * 0.5 + 1.022 * 0.25), abs=0.01)


def test_figure_3_draws_both_variables_with_their_intervals():
    table = pd.DataFrame({"variable": ["ssh", "ssh", "temp"], "resolution_km": [200.0, 80.0, 28.0], "n": 12,
                          "valid_percent": [40.0, 60.0, 61.0], "valid_percent_low": [30.0, 55.0, np.nan],
                          "valid_percent_high": [45.0, 70.0, np.nan]})  # fmt: skip
    figure = figure_3(table, 80.0, {"ssh": 80.0, "temp": 28.0}, "validation")
    assert drawn_without_warnings(figure)
    ssh, sst = figure.axes[0].containers
    np.testing.assert_allclose(ssh.lines[0].get_xydata(), [[80, 60], [200, 40]])
    np.testing.assert_allclose(ssh.lines[2][0].get_segments()[1][:, 1], [30, 45])
    np.testing.assert_allclose(sst.lines[0].get_xydata(), [[28, 61]])
    assert ssh.lines[0].get_linestyle() != sst.lines[0].get_linestyle()
    assert "12 validation experiments" in figure.axes[0].get_title()
    dotted = [line.get_xdata()[0] for line in figure.axes[0].lines if line.get_linestyle() == ":"]
    assert dotted == [80.0, 28.0]


def test_calibration_draws_its_numbers_and_tiny_spreads_keep_their_ticks_apart_from_the_label():
    calibration = pd.DataFrame({"model": ["sst-ssh"] * 2 + ["5v-4l"] * 2, "contour": [25.0, 75.0] * 2,
                                "within": [20.0, 60.0, 24.0, 74.0], "within_low": [15.0, 50.0, None, None],
                                "within_high": [30.0, 65.0, None, None]})  # fmt: skip
    bl = np.array([0.2, 0.4, 0.1])
    spread = {"sst-ssh": (np.array([1e-7, 2e-6, np.nan]), bl), "5v-4l": (np.zeros(3), bl)}
    figure = figure_calibration(calibration, spread, {"sst-ssh": "0.40 [0.10, 0.70]", "5v-4l": "–"}, 80.0)
    assert drawn_without_warnings(figure)
    left, right = figure.axes
    one, other = left.containers
    np.testing.assert_allclose(one.lines[0].get_xydata(), [[25, 20], [75, 60]])
    np.testing.assert_allclose(one.lines[2][0].get_segments()[0][:, 1], [15, 30])
    np.testing.assert_allclose(other.lines[0].get_xydata(), [[25, 24], [75, 74]])
    dots = right.lines[:2]
    np.testing.assert_allclose(dots[0].get_xydata(), [[1e-7, 0.2], [2e-6, 0.4]])
    assert [line.get_label() for line in dots] == ["sst-ssh, rank correlation 0.40 [0.10, 0.70]", "5v-4l, rank correlation –"]
    assert len({line.get_marker() for line in dots}) == 2
    assert right.xaxis.get_offset_text().get_text() == ""


def test_every_model_of_the_manual_is_told_apart():
    models = ["box100", "box200", "climatology", "climatology-root", "sst-ssh", "5v-1l", "5v-4l"]
    models += [f"velocity-{inputs}{end}" for inputs in ("sst-ssh", "sst-ssh-bathymetry", "5v-1l") for end in ("", "-root")]
    lines = {tuple(sorted(line_of(model).items())) for model in models}
    assert len(lines) == len(models)
    assert style_of("velocity-sst-ssh-root") == style_of("velocity-sst-ssh") != style_of("unknown") == style_of("other")
