"""NEMO's C-grid: the real GYRE, and small files made here."""

from __future__ import annotations

from pathlib import Path

import netCDF4
import numpy as np
import pytest

from data.errors import InputError
from data.ocean import preferences_of
from data.zlevel.levels import interface_depths
from data.zlevel.ocean import on_kernel_points
from data.zlevel.open import open_zlevel, recognise
from lagrangian.velocity import omega_by_continuity, upward_flux
from tests.builders.zlevel_files import days, write_nemo

MODELS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "models"
GYRE = MODELS / "nemo_gyre36"


@pytest.fixture
def gyre():
    """GYRE with its mesh."""
    if not GYRE.exists():
        pytest.skip("../shared/data/models is absent")
    return open_zlevel(sorted(str(path) for path in GYRE.glob("GYRE*.nc")), grid=GYRE / "mesh_mask.nc")


def test_gyre_is_recognised_and_read_with_its_walls(gyre):
    assert recognise([str(path) for path in GYRE.glob("GYRE*grid_*.nc")]) == "nemo"
    assert gyre.grid.shape == (12, 12) and gyre.vertical.n == 11 and gyre.grid.stagger == "C"
    assert gyre.variables == {"temp", "w"} and preferences_of(gyre).no_continuity == ""
    assert not gyre.grid.mask_rho[0].any() and gyre.grid.mask_rho[1:-1, 1:-1].all()
    turned = np.arctan2(1.0, np.cos(np.deg2rad(gyre.grid.y_rho[5, 5])))  # by 45 degrees on a plane of longitudes and latitudes
    assert np.abs(gyre.grid.angle[5, 5]) == pytest.approx(turned, abs=0.02)
    with netCDF4.Dataset(next(GYRE.glob("*grid_U.nc"))) as dataset:
        u = np.asarray(dataset["uoce"][0, 3])
    np.testing.assert_array_equal(gyre.snapshot(0).u[7, 2:9, 2:9], u[2:9, 2:9])


def test_omega_and_the_motion_of_the_surface_are_the_models_own_vertical_velocity(gyre):
    one = gyre.snapshot(0, {"w"})
    flux = upward_flux(one.u, one.v, one.zeta, gyre.grid, gyre.vertical)
    omega = omega_by_continuity(one.u, one.v, one.zeta, gyre.grid, gyre.vertical)
    h, levels = gyre.grid.h, np.maximum(gyre.vertical.w[:, None, None], -gyre.grid.h)
    together = omega + (levels + h) / h * flux[-1]
    inner = np.s_[1:, 1:-1, 1:-1]
    wet = gyre.vertical.layer_thickness(h, 0 * h)[:, 1:-1, 1:-1] > 0
    off = (together - one.w)[inner][wet]
    size = one.w[inner][wet]
    assert np.sqrt(np.mean(off**2)) < 1e-11 < 1e-3 * np.sqrt(np.mean(size**2))


@pytest.mark.parametrize(("stagger", "at_u", "at_v"), [
    ("centre", (0.0, 0.0), (0.0, 0.0)), ("right", (0.5, 0.0), (0.0, 0.5)), ("left", (-0.5, 0.0), (0.0, -0.5)),
    ("corner", (0.5, 0.5), (0.5, 0.5)),
])  # fmt: skip
def test_velocities_of_every_staggering_come_to_the_points_of_the_kernel(stagger, at_u, at_v):
    """A field that is linear in the index is exact at the faces (the first row and column of a B-grid have one corner only)."""
    y, x = np.indices((6, 8)).astype(float)
    linear = lambda x, y: (2 * x + 3 * y)[None]
    u, v = on_kernel_points(linear(x + at_u[0], y + at_u[1]), linear(x + at_v[0], y + at_v[1]), stagger)
    if stagger == "centre":
        np.testing.assert_array_equal(u, linear(x, y))
        np.testing.assert_array_equal(v, linear(x, y))
        return
    np.testing.assert_allclose(u[:, 1:], linear(x + 0.5, y)[:, 1:, :-1])
    np.testing.assert_allclose(v[:, :, 1:], linear(x, y + 0.5)[:, :-1, 1:])


DEPTH = np.array([5.0, 15.0, 30.0, 60.0, 120.0, 250.0, 500.0, 1000.0])
TIMES = days("2001-03-01", 3, 12)


def small(folder, *, nx=14, ny=11, mesh=True, orca=False, **options):
    """A small NEMO ocean: an island, a step in the floor, land 0. Returns (paths, mesh file, fields, wet)."""
    rng = np.random.default_rng(3)
    lon, lat = np.meshgrid(-20 + 0.5 * np.arange(nx), 45 + 0.4 * np.arange(ny))
    wet = np.ones((8, ny, nx), bool)
    wet[:, 5, 6] = False
    wet[6:, :, 9:] = False
    wet[:, 0] = wet[:, -1] = False
    if orca:
        nx_free = nx - 2
        lon = np.mod(73 + 360 / nx_free * np.arange(nx)[None] + np.zeros((ny, 1)) + 180, 360) - 180
        wet = wet[:, :, np.arange(nx) % nx_free]
    east, north = np.roll(wet, -1, 2), np.roll(wet, -1, 1)
    if orca:
        east[:, :, -1] = wet[:, :, 2]
    shape = (3, 8, ny, nx)
    fields = {name: rng.normal(0, 0.2, shape).astype("f4") for name in ("u", "v", "temp")}
    fields["zeta"] = rng.normal(0, 0.2, (3, ny, nx)).astype("f4")
    if orca:
        for name in fields:
            fields[name] = fields[name][..., np.arange(nx) % (nx - 2)]
    for name, mask in (("u", wet & east), ("v", wet & north), ("temp", wet)):
        fields[name][:, ~mask] = 0.0
    fields["zeta"][:, ~wet[0]] = 0.0
    statics = None
    if mesh:
        edges = interface_depths(DEPTH)
        thickness = np.broadcast_to(np.diff(edges)[:, None, None], wet.shape).copy()
        thickness[5, :, 9:] *= 0.6  # a partial cell at the floor of the shallow side
        e1t = 111.2e3 * 0.5 * np.cos(np.deg2rad(lat))
        statics = {"tmask": wet, "e1t": e1t, "e2t": np.full_like(e1t, 44.5e3), "gdepw_1d": edges[:-1], "e3t_0": thickness}
    paths, path = write_nemo(folder, lon, lat, DEPTH, TIMES, fields, mesh=statics, **options)
    return paths, path, fields, wet


def test_velocities_stand_on_the_right_and_upper_faces_and_the_floor_ends_in_partial_cells(tmp_path):
    paths, mesh, fields, wet = small(tmp_path)
    ocean = open_zlevel(paths, grid=mesh)
    assert ocean.description["kind"] == "nemo" and preferences_of(ocean).no_continuity == "" and ocean.vertical.moves
    one = ocean.snapshot(1, {"temp"})
    faces = (wet[:, :, :-1] & wet[:, :, 1:])[::-1]
    np.testing.assert_array_equal(one.u[faces], fields["u"][1, ::-1, :, :-1][faces])
    faces = (wet[:, :-1] & wet[:, 1:])[::-1]
    np.testing.assert_array_equal(one.v[faces], fields["v"][1, ::-1, :-1][faces])
    edges = interface_depths(DEPTH)
    assert ocean.grid.h[3, 3] == pytest.approx(edges[-1]) and ocean.grid.h[3, 11] == pytest.approx(
        edges[5] + 0.6 * (edges[6] - edges[5])
    )
    # below the last wet level of a face the value goes on for one level; behind the wall there is none
    assert (one.u[1, 3, 10] == one.u[2, 3, 10]) and one.u[0, 3, 10] == 0
    assert (ocean.times == TIMES).all() and ocean.variables == {"temp"}
    length = 111.2e3 * 0.5 * np.cos(np.deg2rad(ocean.grid.y_rho))
    np.testing.assert_allclose(ocean.grid.pm * length, 1.0, rtol=1e-6)
    np.testing.assert_allclose(ocean.grid.pn * 44.5e3, 1.0, rtol=1e-12)


def test_without_a_mesh_there_is_no_continuity_and_land_is_where_nothing_moves(tmp_path):
    paths, _, _, wet = small(tmp_path, mesh=False)
    ocean = open_zlevel(paths)
    assert "mesh_mask" in preferences_of(ocean).no_continuity
    assert any("no tmask" in note for note in ocean.description["assumptions"])
    np.testing.assert_array_equal(ocean.grid.mask_rho, wet[0])


def test_repeated_columns_of_orca_wrap_and_a_site_at_the_seam_lies_in_the_middle(tmp_path):
    paths, mesh, fields, _ = small(tmp_path, nx=38, orca=True)
    whole = open_zlevel(paths, grid=mesh)
    assert whole.grid.periodic == (True, False) and whole.grid.shape == (11, 37) and whole.grid.period == (36, 0)
    one = whole.snapshot(0)
    np.testing.assert_array_equal(one.zeta[:, 0], one.zeta[:, -1])
    np.testing.assert_array_equal(one.u[7, 3], fields["u"][0, 0, 3, :36])
    seam = open_zlevel(paths, grid=mesh, center=(73.0, 47.0), half_width_km=2500.0)
    assert seam.grid.periodic == (False, False) and any("cut to" in note for note in seam.description["assumptions"])
    lon, lat = np.array([65.0, 80.0]), np.array([46.0, 47.5])
    a, b = (ocean.grid.sample(ocean.snapshot(1).zeta, *ocean.grid.locate(lon, lat)) for ocean in (seam, whole))
    np.testing.assert_allclose(a, b, atol=1e-4)


@pytest.mark.parametrize("names", [("uo", "vo", "zos", "thetao"), ("uoce", "voce", "ssh", "toce")])
def test_all_generations_of_names_are_the_same_ocean(tmp_path, names):
    (tmp_path / "b").mkdir()
    old, mesh, _, _ = small(tmp_path)
    new, _, _, _ = small(tmp_path / "b", names=names)
    a, b = (open_zlevel(paths, grid=mesh).snapshot(2, {"temp"}) for paths in (old, new))
    for name in ("u", "v", "zeta", "temp"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_a_mesh_of_other_points_is_refused(tmp_path):
    (tmp_path / "b").mkdir()
    paths, _, _, _ = small(tmp_path, mesh=False)
    _, other, _, _ = small(tmp_path / "b", nx=13)
    with pytest.raises(InputError, match=r"mesh_mask\.nc.*other points"):
        open_zlevel(paths, grid=other)
    with pytest.raises(InputError, match="no northward velocity"):
        open_zlevel([paths[0], paths[2]])


@pytest.mark.parametrize(("file", "name"), [(0, "vozocrtx"), (1, "vomecrty")])
def test_a_record_without_velocities_is_refused_by_the_file_that_holds_it(tmp_path, file, name):
    paths, mesh, _, _ = small(tmp_path)
    with netCDF4.Dataset(paths[file], "a") as dataset:
        dataset[name][1] = 0.0
    with pytest.raises(InputError, match=rf"grid_{'UV'[file]}\.nc: {name} is 0 everywhere in record 1"):
        open_zlevel(paths, grid=mesh).snapshot(1)


def placed(path, lon, lat):
    """Other positions into a file of NEMO."""
    with netCDF4.Dataset(path, "a") as dataset:
        dataset["nav_lon"][:], dataset["nav_lat"][:] = lon, lat


def positions(mesh):
    """(lon, lat) of T points."""
    with netCDF4.Dataset(mesh) as dataset:
        return np.asarray(dataset["glamt"][0]), np.asarray(dataset["gphit"][0])


def test_files_may_hold_the_positions_of_their_own_points(tmp_path):
    paths, mesh, fields, wet = small(tmp_path)
    lon, lat = positions(mesh)
    placed(paths[0], lon + 0.25, lat)
    placed(paths[1], lon, lat + 0.2)
    for grid in (mesh, None):  # without a mesh, positions are those of the file of T points
        ocean = open_zlevel(paths, grid=grid)
        np.testing.assert_allclose(ocean.grid.x_rho, lon, atol=1e-5)
        np.testing.assert_allclose(ocean.grid.y_rho, lat, atol=1e-5)
    faces = (wet[:, :, :-1] & wet[:, :, 1:])[::-1]
    np.testing.assert_array_equal(ocean.snapshot(1).u[faces], fields["u"][1, ::-1, :, :-1][faces])


@pytest.mark.parametrize(
    ("number", "shift"),
    [(0, (-0.25, 0.0)), (0, (0.75, 0.0)), (0, (0.0, 0.4)), (1, (0.5, 0.2)), (1, (0.0, -0.2)), (2, (20.0, 0.0))],
)
@pytest.mark.parametrize("with_mesh", [True, False])
def test_every_file_must_hold_the_positions_of_the_grid(tmp_path, number, shift, with_mesh):
    paths, mesh, _, _ = small(tmp_path)
    lon, lat = positions(mesh)
    placed(paths[number], lon + shift[0], lat + shift[1])
    where = "UVT"[number] if with_mesh or number < 2 else "U"  # the file of T points is right where there is no mesh
    with pytest.raises(InputError, match=rf"grid_{where}\.nc: nav_lon and nav_lat lie .* cells along xi"):
        open_zlevel(paths, grid=mesh if with_mesh else None)


def test_a_mesh_of_the_same_size_elsewhere_is_refused(tmp_path):
    paths, mesh, _, _ = small(tmp_path)
    with netCDF4.Dataset(mesh, "a") as dataset:
        dataset["glamt"][:] = dataset["glamt"][:] + 2.0
    with pytest.raises(InputError, match="nav_lon and nav_lat lie -4 cells along xi"):
        open_zlevel(paths, grid=mesh)


@pytest.mark.parametrize("linear", [False, True], ids=["z*", "linear free surface"])
def test_thicknesses_that_follow_the_surface_are_brought_to_rest(tmp_path, linear):
    """e3t, e3u, e3v of the records are those of the moving levels: at rest they are those of a mesh."""
    (tmp_path / "b").mkdir()
    paths, mesh, fields, wet = small(tmp_path)
    with netCDF4.Dataset(mesh, "a") as dataset:
        at_rest = np.where(wet, dataset["e3t_0"][0], 0.0)
        dataset.renameVariable("e3t_0", "other")
    depth = at_rest.sum(0)
    fields["zeta"] *= 50  # metres: what is left out must show
    stretch = 1 + (0 if linear else 1) * fields["zeta"] / np.where(depth > 0, depth, 1.0)
    faces = {
        "U": np.minimum(at_rest, np.roll(at_rest, -1, 2)), "V": np.minimum(at_rest, np.roll(at_rest, -1, 1)), "T": at_rest
    }  # fmt: skip
    moved = {"U": (stretch + np.roll(stretch, -1, 2)) / 2, "V": (stretch + np.roll(stretch, -1, 1)) / 2, "T": stretch}
    for path, point in zip(paths, "UVT", strict=True):
        with netCDF4.Dataset(path, "a") as dataset:
            name = {"U": "vozocrtx", "V": "vomecrty", "T": "votemper"}[point]
            variable = dataset.createVariable(f"e3{point.lower()}", "f8", dataset[name].dimensions)
            variable[:] = faces[point][None] * moved[point][:, None]
            if point == "T":
                dataset["sossheig"][:] = fields["zeta"]
    ocean = open_zlevel(paths, grid=mesh)
    sea = wet[0]
    np.testing.assert_allclose(ocean.grid.h[sea], depth[sea], rtol=1e-6)
    for found, point, inside, open_faces in (
        (ocean.vertical.thickness_u, "U", np.s_[:, :, :-1], wet[:, :, :-1] & wet[:, :, 1:]),
        (ocean.vertical.thickness_v, "V", np.s_[:, :-1], wet[:, :-1] & wet[:, 1:]),
    ):
        expected = np.where(open_faces, faces[point][inside], 0.0)[::-1]
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
