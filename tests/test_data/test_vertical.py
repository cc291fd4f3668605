"""The vertical coordinate against its published formulas and the levels that CROCO writes."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from data.errors import InputError
from data.vertical import SCoordinate

CROCO = Path(__file__).resolve().parents[3] / "shared" / "data" / "croco"
needs_files = pytest.mark.skipif(not CROCO.exists(), reason=f"the CROCO files are not at {CROCO}")

layers, stretched, surfaces = st.integers(2, 50), st.floats(0.1, 8.0), st.floats(-3.0, 3.0)
new = st.builds(SCoordinate.from_stretching, layers, stretched, st.floats(0.0, 4.0), st.floats(0.0, 400.0), st.just(2))
old = st.builds(SCoordinate.from_stretching, layers, stretched, st.floats(0.0, 1.0), st.floats(0.0, 20.0), st.just(1))
either = st.one_of(new, old)
depths = st.floats(25.0, 7000.0)


@given(either, depths, surfaces)
def test_levels_run_from_floor_to_surface_upward_with_centres_between(s, h, zeta):
    z_w, z_rho = s.z_w(np.array(h), np.array(zeta)), s.z_rho(np.array(h), np.array(zeta))
    assert z_w.shape == (s.n + 1,) and z_rho.shape == (s.n,)
    assert z_w[0] == pytest.approx(-h, abs=1e-9 * h) and z_w[-1] == pytest.approx(zeta, abs=1e-12)
    assert (np.diff(z_w) > 0).all()
    assert (z_rho > z_w[:-1]).all() and (z_rho < z_w[1:]).all()


@given(either, st.lists(depths, min_size=6, max_size=6), surfaces)
def test_thicknesses_fill_the_column(s, h, zeta):
    h = np.array(h).reshape(2, 3)
    thickness = s.layer_thickness(h, np.full((2, 3), zeta))
    assert thickness.shape == (s.n, 2, 3) and (thickness > 0).all()
    np.testing.assert_allclose(thickness.sum(axis=0), h + zeta, rtol=1e-12)


@given(either, depths, surfaces, surfaces)
def test_the_free_surface_moves_each_level_in_proportion_to_its_height_over_the_floor(s, h, low, high):
    one, other = ((s.z_rho(np.array(h), np.array(zeta)) + h) / (h + zeta) for zeta in (low, high))
    np.testing.assert_allclose(one, other, rtol=1e-10)


@given(new, depths, surfaces)
def test_vtransform_2_is_the_published_formula(s, h, zeta):
    """z = zeta + (zeta + h) S with S = (hc s + h C) / (hc + h)."""
    for sigma, c, z in ((s.s_rho, s.cs_rho, s.z_rho), (s.s_w, s.cs_w, s.z_w)):
        expected = zeta + (zeta + h) * (s.hc * sigma + h * c) / (s.hc + h)
        np.testing.assert_allclose(z(np.array(h), np.array(zeta)), expected, rtol=1e-12, atol=1e-9)


@given(old, depths, surfaces)
def test_vtransform_1_is_the_published_formula(s, h, zeta):
    """z = S + zeta (1 + S / h) with S = hc s + (h - hc) C."""
    for sigma, c, z in ((s.s_rho, s.cs_rho, s.z_rho), (s.s_w, s.cs_w, s.z_w)):
        at_rest = s.hc * sigma + (h - s.hc) * c
        expected = at_rest + zeta * (1 + at_rest / h)
        np.testing.assert_allclose(z(np.array(h), np.array(zeta)), expected, rtol=1e-12, atol=1e-9)


@given(stretched, st.floats(0.0, 4.0))
def test_stretching_gathers_layers_at_the_surface_and_theta_b_at_the_floor(theta_s, theta_b):
    """Derivative of C: least at the surface; at the floor less with theta_b than without."""
    s, plain = (SCoordinate.from_stretching(40, theta_s, b, 100.0) for b in (theta_b, 0.0))
    slope, slope_plain = np.diff(s.cs_w), np.diff(plain.cs_w)
    assert slope[-1] < slope[:-1].min()
    assert slope[0] <= slope_plain[0] * (1 + 1e-9)


@needs_files
@pytest.mark.parametrize("n", [24])
def test_stretching_of_vtransform_2_is_that_of_croco(n):
    with xr.open_dataset(CROCO / "jet" / "croco_his.00000.nc", decode_times=False) as file:
        attributes, vtransform = file.attrs, int(file["Vtransform"])
    theta = float(attributes["theta_s"]), float(attributes["theta_b"]), float(attributes["hc"])
    assert (*theta, vtransform) == (6.0, 2.0, 250.0, 2)
    made = SCoordinate.from_stretching(n, *theta, vtransform)
    for name, ours in (("sc_r", made.s_rho), ("Cs_r", made.cs_rho), ("sc_w", made.s_w), ("Cs_w", made.cs_w)):
        np.testing.assert_allclose(ours, attributes[name], rtol=3e-7, atol=3e-8)


@needs_files
def test_stretching_of_vtransform_1_is_that_of_croco():
    with xr.open_dataset(CROCO / "canyon" / "canyon_vtransform1_his.nc", decode_times=False) as file:
        attributes = file.attrs
    theta = float(attributes["theta_s"]), float(attributes["theta_b"]), float(attributes["hc"])
    made = SCoordinate.from_stretching(len(attributes["sc_r"]), *theta, 1)
    for name, ours in (("sc_r", made.s_rho), ("Cs_r", made.cs_rho), ("sc_w", made.s_w), ("Cs_w", made.cs_w)):
        np.testing.assert_allclose(ours, attributes[name], rtol=3e-7, atol=3e-8)


def test_one_depth_and_a_field_of_surfaces_broadcast():
    s = SCoordinate.from_stretching(7, 5.0, 0.4, 100.0)
    zeta = np.linspace(-1, 1, 12).reshape(3, 4)
    z = s.z_rho(np.full((3, 4), 900.0), zeta)
    assert z.shape == (7, 3, 4)
    np.testing.assert_array_equal(z[:, 1, 2], s.z_rho(np.array(900.0), zeta[1, 2]))


def parts(**changes):
    good = SCoordinate.from_stretching(5, 5.0, 0.4, 10.0)
    return dict(s_rho=good.s_rho, cs_rho=good.cs_rho, s_w=good.s_w, cs_w=good.cs_w, hc=10.0) | changes


GOOD = parts()
BAD = {
    "levels from the surface down": parts(s_rho=GOOD["s_rho"][::-1], cs_rho=GOOD["cs_rho"][::-1]),
    "a level twice": parts(s_w=np.array([-1, -0.8, -0.6, -0.6, -0.2, 0])),
    "depths in metres": parts(s_w=GOOD["s_w"] * 4000),
    "above the surface": parts(cs_w=-GOOD["cs_w"][::-1]),
    "as many interfaces as centres": parts(s_w=GOOD["s_w"][1:], cs_w=GOOD["cs_w"][1:]),
    "curve of another length": parts(cs_rho=GOOD["cs_rho"][1:]),
    "one layer": parts(s_rho=[-0.5], cs_rho=[-0.5], s_w=[-1.0, 0.0], cs_w=[-1.0, 0.0]),
    "no layer": parts(s_rho=[], cs_rho=[], s_w=[0.0], cs_w=[0.0]),
    "not a number": parts(cs_w=np.where(np.arange(6) == 2, np.nan, GOOD["cs_w"])),
    "infinite": parts(s_rho=np.full(5, -np.inf)),
    "critical depth below nothing": parts(hc=-1.0),
    "critical depth unknown": parts(hc=np.nan),
    "a third transform": parts(vtransform=3),
}


@pytest.mark.parametrize("why", BAD)
def test_what_is_no_vertical_coordinate_is_refused_in_one_line(why):
    with pytest.raises(InputError) as error:
        SCoordinate(**BAD[why])
    assert "\n" not in str(error.value) and str(error.value).startswith("s-coordinate")


def test_a_coordinate_cannot_be_changed_afterwards():
    s = SCoordinate(**GOOD)
    with pytest.raises(FrozenInstanceError):
        s.hc = 20.0
    with pytest.raises(ValueError, match="read-only"):
        s.cs_w[0] = -0.5
