"""POP, MITgcm and MOM6 files, written here: the reader's fluxes are those of each model's own formula."""

from __future__ import annotations

import pickle

import netCDF4
import numpy as np
import pytest

from data.errors import InputError
from data.zlevel.open import open_zlevel, recognise
from lagrangian.velocity import upward_flux
from tests.builders.zlevel_files import days

NX, NY, N = 15, 12, 8
DZ = np.array([10.0, 15.0, 25.0, 50.0, 100.0, 200.0, 400.0, 700.0])
TOPS = np.concatenate([[0.0], np.cumsum(DZ)])
CENTRES = 0.5 * (TOPS[1:] + TOPS[:-1])
TIMES = days("2001-03-01", 2, 12)
LON, LAT = np.meshgrid(-20 + 0.5 * np.arange(NX), 45 + 0.4 * np.arange(NY))
INNER = np.s_[:, 2:-2, 2:-2]


def rng():
    return np.random.default_rng(5)


def lengths(names, sizes=None):
    """Lengths of about 40 km at each name, m, uneven; of other sizes where they are given."""
    made = rng()
    return {name: 4e4 * made.uniform(0.8, 1.2, (sizes or {}).get(name, (NY, NX))) for name in names}


def counts():
    """Wet levels of each column: a floor with steps, an island."""
    made = rng().integers(5, N + 1, (NY, NX))
    made[5, 6] = 0
    return made


class File:
    """A netCDF file that is being written."""

    def __init__(self, path, sizes, time="time"):
        self.file = netCDF4.Dataset(path, "w")
        for name, size in {time: len(TIMES), **sizes}.items():
            self.file.createDimension(name, size)
        clock = self.file.createVariable(time, "f8", (time,))
        clock.units = "days since 2000-01-01 00:00:00"
        clock[:] = netCDF4.date2num(TIMES.astype("datetime64[s]").astype(object), clock.units)
        self.time = time

    def put(self, name, dimensions, values, units="", fill=None):
        variable = self.file.createVariable(name, "f8", dimensions, fill_value=fill)
        variable.units = units
        variable[:] = np.ma.masked_invalid(values) if fill is not None else values

    def close(self):
        self.file.close()


def by_model(u_flux, v_flux, area):
    """Upward flux through the tops of layers, m/s, (n + 1, y, x) from the deepest up.

    u_flux, v_flux: transports (n, y, x) through the faces after each cell, m3/s, from the surface down.
    """
    out = np.zeros((N + 1, NY, NX))
    for k in range(N - 1, -1, -1):
        leaving = np.zeros((NY, NX))
        leaving[1:, 1:] = u_flux[k, 1:, 1:] - u_flux[k, 1:, :-1] + v_flux[k, 1:, 1:] - v_flux[k, :-1, 1:]
        out[N - k] = out[N - k - 1] - leaving / area
    return out


def compared(ocean, expected):
    """The reader's continuity beside the model's formula, over cells with all their faces."""
    one = ocean.snapshot(1)
    found = upward_flux(one.u, one.v, one.zeta, ocean.grid, ocean.vertical)
    sea = ocean.grid.mask_rho[2:-2, 2:-2]
    size = np.abs(expected[INNER][:, sea]).max()
    assert np.abs(found[INNER] - expected[INNER])[:, sea].max() < 2e-6 * size


# -- POP ---------------------------------------------------------------------------------------------------------------
def write_pop(path, floor=None, **spoiled):
    """(corners u, v (n, y, x) m/s with NaN on land, lengths m, area m2); floor: HT (y, x), m, where the file holds it."""
    made, kmt = rng(), counts()
    wet = np.arange(N)[:, None, None] < kmt
    corner = wet.copy()
    corner[:, :-1, :-1] &= wet[:, 1:, :-1] & wet[:, :-1, 1:] & wet[:, 1:, 1:]
    u, v = (np.where(corner, made.normal(0, 0.2, (N, NY, NX)), np.nan) for _ in range(2))
    held = lengths(("DXU", "DYU", "HTE", "HTN", "DXT", "DYT"))
    file = File(path, {"z_t": N, "nlat": NY, "nlon": NX})
    plane = ("nlat", "nlon")
    file.put("z_t", ("z_t",), 100 * CENTRES, "centimeters")
    file.put("dz", ("z_t",), 100 * DZ, "centimeters")
    file.put("KMT", plane, kmt)
    if floor is not None:
        file.put("HT", plane, 100 * floor, "centimeter")
    for name, values in (("TLONG", np.mod(LON, 360)), ("TLAT", LAT)):
        file.put(name, plane, values, "degrees")
    for name, values in held.items():
        file.put(name, plane, 100 * values, "centimeters")
    area = held["DXT"] * held["DYT"] * 1.01
    file.put("TAREA", plane, 1e4 * area, "centimeter^2")
    for name, values in (("UVEL", u), ("VVEL", v)):
        both = np.stack([0 * values, spoiled.get(name, values)])
        file.put(name, ("time", "z_t", *plane), 100 * both, "centimeter/s", fill=1e30)
    file.put("SSH", ("time", *plane), np.full((2, NY, NX), 30.0), "centimeter")
    file.close()
    return u, v, held, area


def test_the_corners_of_pop_give_its_own_fluxes_by_its_own_weights(tmp_path):
    u, v, held, area = write_pop(tmp_path / "pop.nc")
    u, v = np.nan_to_num(u), np.nan_to_num(v)
    u_flux, v_flux = np.zeros_like(u), np.zeros_like(v)
    along = u * held["DYU"]
    u_flux[:, 1:] = 0.5 * (along[:, 1:] + along[:, :-1]) * DZ[:, None, None]
    along = v * held["DXU"]
    v_flux[:, :, 1:] = 0.5 * (along[:, :, 1:] + along[:, :, :-1]) * DZ[:, None, None]
    assert recognise([str(tmp_path / "pop.nc")]) == "pop"
    ocean = open_zlevel(tmp_path / "pop.nc")
    assert any("bottom cells are taken as whole" in note for note in ocean.description["assumptions"])
    compared(ocean, by_model(u_flux, v_flux, area))
    one = ocean.snapshot(0)
    assert np.allclose(one.zeta[ocean.grid.mask_rho], 0.3) and not one.u.any()
    assert ocean.grid.h[3, 3] == pytest.approx(TOPS[counts()[3, 3]]) and not ocean.grid.mask_rho[5, 6]
    again = pickle.loads(pickle.dumps(ocean))
    assert np.array_equal(again.snapshot(1).u, ocean.snapshot(1).u)


@pytest.fixture
def cut_floor():
    """A sea floor (y, x), m, that cuts the last wet cell of most columns."""
    whole = np.append(TOPS, 0.0)[counts()]
    last = np.append(DZ, 0.0)[counts() - 1]
    return np.where(counts() > 0, whole - last * rng().uniform(0.0, 0.8, (NY, NX)), 0.0)


def test_partial_cells_of_pop_give_its_own_fluxes_through_corners_as_thick_as_their_thinnest_cell(tmp_path, cut_floor):
    u, v, held, area = write_pop(tmp_path / "pop.nc", floor=cut_floor)
    u, v = np.nan_to_num(u), np.nan_to_num(v)
    cells = np.clip(cut_floor - TOPS[:-1, None, None], 0.0, DZ[:, None, None])
    corners = np.zeros_like(cells)
    corners[:, :-1, :-1] = np.minimum.reduce([cells[:, :-1, :-1], cells[:, 1:, :-1], cells[:, :-1, 1:], cells[:, 1:, 1:]])
    u_flux, v_flux = np.zeros_like(u), np.zeros_like(v)
    along = u * held["DYU"] * corners
    u_flux[:, 1:] = 0.5 * (along[:, 1:] + along[:, :-1])
    along = v * held["DXU"] * corners
    v_flux[:, :, 1:] = 0.5 * (along[:, :, 1:] + along[:, :, :-1])
    ocean = open_zlevel(tmp_path / "pop.nc")
    assert not any("bottom cells" in note for note in ocean.description["assumptions"])
    assert ocean.grid.h[3, 3] == pytest.approx(cut_floor[3, 3])
    compared(ocean, by_model(u_flux, v_flux, area))
    again = pickle.loads(pickle.dumps(ocean))
    assert np.array_equal(again.snapshot(1).u, ocean.snapshot(1).u)


def test_a_floor_at_the_interfaces_changes_nothing_in_pop(tmp_path):
    write_pop(tmp_path / "with.nc", floor=np.append(TOPS, 0.0)[counts()])
    write_pop(tmp_path / "without.nc")
    told, untold = open_zlevel(tmp_path / "with.nc"), open_zlevel(tmp_path / "without.nc")
    assert np.array_equal(told.snapshot(1).u, untold.snapshot(1).u) and np.array_equal(told.snapshot(1).v, untold.snapshot(1).v)
    assert np.allclose(told.grid.h, untold.grid.h)


def test_a_floor_of_another_grid_is_refused(tmp_path, cut_floor):
    write_pop(tmp_path / "pop.nc", floor=np.roll(cut_floor, 3, axis=1))
    with pytest.raises(InputError, match=r"HT is .* m at .* where KMT puts the sea floor between .* both must be of one grid"):
        open_zlevel(tmp_path / "pop.nc")


def test_a_hole_in_the_water_of_pop_is_refused(tmp_path):
    u, *_ = write_pop(tmp_path / "pop.nc")
    broken = u.copy()
    inside = np.argwhere(np.isfinite(u[0, 2:-2, 2:-2]))[0] + 2
    broken[0, inside[0], inside[1]] = np.nan
    write_pop(tmp_path / "pop.nc", UVEL=broken)
    with pytest.raises(InputError, match="UVEL is NaN or a fill value inside the sea, in record 1"):
        open_zlevel(tmp_path / "pop.nc").snapshot(1)


# -- MITgcm ------------------------------------------------------------------------------------------------------------
def write_mitgcm(path, *, more=0):
    """(u, v at the faces before each cell, open shares, lengths, area); ``more`` faces than cells along each axis."""
    made, count = rng(), counts()
    share = np.where(np.arange(N)[:, None, None] < count, 1.0, 0.0)
    last = np.arange(N)[:, None, None] == count - 1
    share = np.where(last, made.uniform(0.2, 1.0, (NY, NX))[None], share)
    faces = {"W": (N, NY, NX + more), "S": (N, NY + more, NX)}
    shares = {name: np.zeros(shape) for name, shape in faces.items()}
    shares["W"][:, :, 1:NX] = np.minimum(share[:, :, 1:], share[:, :, :-1])
    shares["S"][:, 1:NY] = np.minimum(share[:, 1:], share[:, :-1])
    u = np.where(shares["W"] > 0, made.normal(0, 0.2, faces["W"]), 0.0)
    v = np.where(shares["S"] > 0, made.normal(0, 0.2, faces["S"]), 0.0)
    held = lengths(("dyG", "dxG", "dxF", "dyF"), {"dyG": (NY, NX + more), "dxG": (NY + more, NX)})
    x, y = ("Xp1", "Yp1") if more else ("XG", "YG")
    file = File(path, {"Z": N, "YC": NY, "XC": NX, x: NX + more, y: NY + more})
    file.put("Z", ("Z",), -CENTRES, "m")
    file.put("drF", ("Z",), DZ, "m")
    file.put("XC", ("XC",), LON[0], "degrees_east")
    file.put("YC", ("YC",), LAT[:, 0], "degrees_north")
    planes = {"hFacC": ("YC", "XC"), "hFacW": ("YC", x), "hFacS": (y, "XC")}
    for (name, plane), values in zip(planes.items(), (share, shares["W"], shares["S"]), strict=True):
        file.put(name, ("Z", *plane), values)
    for name, plane in (("dyG", ("YC", x)), ("dxG", (y, "XC")), ("dxF", ("YC", "XC")), ("dyF", ("YC", "XC"))):
        file.put(name, plane, held[name], "m")
    area = held["dxF"] * held["dyF"] * 0.98
    file.put("rA", ("YC", "XC"), area, "m2")
    file.put("UVEL", ("time", "Z", "YC", x), np.stack([0 * u, u]), "m/s")
    file.put("VVEL", ("time", "Z", y, "XC"), np.stack([0 * v, v]), "m/s")
    file.put("ETAN", ("time", "YC", "XC"), np.zeros((2, NY, NX)), "m")
    file.close()
    return u[:, :, :NX], v[:, :NY], share, shares, {name: values[:NY, :NX] for name, values in held.items()}, area


@pytest.mark.parametrize("more", [0, 1], ids=["as many faces as cells", "a face more"])
def test_mitgcm_with_partial_cells_gives_the_fluxes_of_its_shares_and_faces(tmp_path, more):
    u, v, share, shares, held, area = write_mitgcm(tmp_path / "mit.nc", more=more)
    before_u = u * held["dyG"] * shares["W"][:, :, :NX] * DZ[:, None, None]
    before_v = v * held["dxG"] * shares["S"][:, :NY] * DZ[:, None, None]
    after_u, after_v = np.zeros_like(before_u), np.zeros_like(before_v)
    after_u[:, :, :-1], after_v[:, :-1] = before_u[:, :, 1:], before_v[:, 1:]
    assert recognise([str(tmp_path / "mit.nc")]) == "mitgcm"
    ocean = open_zlevel(tmp_path / "mit.nc")
    compared(ocean, by_model(after_u, after_v, area))
    assert np.allclose(np.where(ocean.grid.mask_rho, ocean.grid.h, 0), (share * DZ[:, None, None]).sum(0), atol=1e-3)


# -- MOM6 --------------------------------------------------------------------------------------------------------------
def write_mom6(path, *, more=0):
    """(u, v after each cell with NaN on land, floor, lengths, area); symmetric files hold a face more, before the first cell."""
    made, count = rng(), counts()
    floor = np.where(count > 0, TOPS[count] - 0.4 * DZ[count - 1], 0.0)
    wet = np.arange(N)[:, None, None] < count
    u, v = (made.normal(0, 0.2, (N, NY, NX)) for _ in range(2))
    u[:, :, :-1][~(wet[:, :, :-1] & wet[:, :, 1:])] = np.nan
    v[:, :-1][~(wet[:, :-1] & wet[:, 1:])] = np.nan
    held = lengths(("dyCu", "dxCv", "dxt", "dyt"))
    area = held["dxt"] * held["dyt"] * 1.02

    def before(field, axis, fill):
        """With a face before the first cell where there is one more than cells."""
        return np.concatenate([np.full_like(np.take(field, [0], axis), fill), field], axis) if more else field

    file = File(path, {"z_l": N, "yh": NY, "xh": NX, "xq": NX + more, "yq": NY + more})
    file.put("z_l", ("z_l",), CENTRES, "meters")
    for name, values in (("geolon", LON), ("geolat", LAT)):
        file.put(name, ("yh", "xh"), values, "degrees")
    file.put("deptho", ("yh", "xh"), np.where(floor > 0, floor, np.nan), "m", fill=1e20)
    file.put("wet", ("yh", "xh"), (floor > 0).astype(float))
    for name, values in (("dxt", held["dxt"]), ("dyt", held["dyt"]), ("areacello", area)):
        file.put(name, ("yh", "xh"), values, "m")
    file.put("dyCu", ("yh", "xq"), before(held["dyCu"], 1, 1.0), "m")
    file.put("dxCv", ("yq", "xh"), before(held["dxCv"], 0, 1.0), "m")
    file.put("uo", ("time", "z_l", "yh", "xq"), np.stack([0 * before(u, 2, np.nan), before(u, 2, np.nan)]), "m s-1", fill=1e20)
    file.put("vo", ("time", "z_l", "yq", "xh"), np.stack([0 * before(v, 1, np.nan), before(v, 1, np.nan)]), "m s-1", fill=1e20)
    file.put("zos", ("time", "yh", "xh"), np.where(floor > 0, 0.1, np.nan) * np.ones((2, 1, 1)), "m", fill=1e20)
    file.close()
    return u, v, floor, held, area


@pytest.mark.parametrize("more", [0, 1], ids=["as many faces as cells", "symmetric"])
def test_mom6_on_depth_levels_gives_the_fluxes_through_its_faces_above_the_floor(tmp_path, more):
    u, v, floor, held, area = write_mom6(tmp_path / "mom.nc", more=more)
    assert recognise([str(tmp_path / "mom.nc")]) == "mom6"
    ocean = open_zlevel(tmp_path / "mom.nc")
    # interfaces are computed from the centres here: the files hold none
    tops = -ocean.vertical.w[::-1]
    thick = lambda h: np.clip(h[None] - tops[:-1, None, None], 0, np.diff(tops)[:, None, None])
    u_flux, v_flux = np.zeros_like(u), np.zeros_like(v)
    u_flux[:, :, :-1] = (np.nan_to_num(u) * held["dyCu"])[:, :, :-1] * thick(np.minimum(floor[:, 1:], floor[:, :-1]))
    v_flux[:, :-1] = (np.nan_to_num(v) * held["dxCv"])[:, :-1] * thick(np.minimum(floor[1:], floor[:-1]))
    compared(ocean, by_model(u_flux, v_flux, area))
    assert np.allclose(ocean.snapshot(0).zeta[ocean.grid.mask_rho], 0.1)


def test_a_hole_in_the_first_record_of_mom6_is_no_land(tmp_path):
    write_mom6(tmp_path / "mom.nc")
    with netCDF4.Dataset(tmp_path / "mom.nc", "a") as file:
        level, eta, xi = np.argwhere(~np.ma.getmaskarray(file["uo"][1]))[0]
        file["uo"][0, level, eta, xi] = np.ma.masked
    with pytest.raises(InputError, match=r"uo is NaN or a fill value in record 0 .*where the last record .* holds a value"):
        open_zlevel(tmp_path / "mom.nc")


# -- what is refused ---------------------------------------------------------------------------------------------------
def test_without_positions_masks_or_with_another_grid_one_line_says_what_helps(tmp_path):
    write_mitgcm(tmp_path / "mit.nc")
    with netCDF4.Dataset(tmp_path / "mit.nc", "a") as file:
        file.renameVariable("hFacC", "other")
    with pytest.raises(InputError, match=r"nothing tells land and sea floor of MITgcm \(hFacC, Depth\); give its grid file"):
        open_zlevel(tmp_path / "mit.nc")
    write_pop(tmp_path / "pop.nc")
    with netCDF4.Dataset(tmp_path / "pop.nc", "a") as file:
        file.renameVariable("TLONG", "other")
    with pytest.raises(InputError, match=r"no positions of POP's T points \(TLONG, TLAT\)"):
        open_zlevel(tmp_path / "pop.nc")
    write_pop(tmp_path / "pop.nc")
    with netCDF4.Dataset(tmp_path / "pop.nc", "a") as file:
        file["TLONG"][3, 3] = np.nan
    with pytest.raises(InputError, match="1 T points have no position"):
        open_zlevel(tmp_path / "pop.nc")


def test_mom_5_is_refused_with_what_helps(tmp_path):
    file = File(tmp_path / "mom5.nc", {"xu_ocean": 4, "yu_ocean": 4})
    file.close()
    with pytest.raises(InputError, match="MOM 5's own grid, which cannot be read yet; put the velocities on longitudes"):
        recognise([str(tmp_path / "mom5.nc")])


@pytest.mark.parametrize("more", [0, 1], ids=["as many faces as cells", "a face more"])
@pytest.mark.parametrize(("write", "side"), [(write_mitgcm, -0.5), (write_mom6, 0.5)], ids=["mitgcm", "mom6"])
@pytest.mark.parametrize("counted", [False, True], ids=["degrees", "indices"])
@pytest.mark.parametrize("axis", [0, 1], ids=["xi", "eta"])
@pytest.mark.parametrize("off", [0, 1, -1])
def test_faces_must_stand_on_the_side_of_their_cells_where_coordinates_tell(tmp_path, write, side, more, counted, axis, off):
    write(tmp_path / "model.nc", more=more)
    with netCDF4.Dataset(tmp_path / "model.nc", "a") as file:
        u, v = ("uo", "vo") if write is write_mom6 else ("UVEL", "VVEL")
        face = file[u].dimensions[-1] if axis == 0 else file[v].dimensions[-2]
        cell = file[v].dimensions[-1] if axis == 0 else file[u].dimensions[-2]
        side = 0.0 if counted else -0.5 if more else side
        for name, begin in ((face, side + off), (cell, 0.0)):
            variable = file.variables.get(name) or file.createVariable(name, "f8", (name,))
            variable[:] = (begin + np.arange(variable.size)) * (1 if counted else 0.25) + (7 if counted else 40.125)
    if not off:
        open_zlevel(tmp_path / "model.nc")
        return
    with pytest.raises(InputError, match=rf"model\.nc: {face} of \w+ begins {side + off:.3g} cells along {('xi', 'eta')[axis]}"):
        open_zlevel(tmp_path / "model.nc")


def test_a_second_file_of_pop_elsewhere_is_refused(tmp_path):
    for name in ("a.nc", "b.nc"):
        write_pop(tmp_path / name)
    with netCDF4.Dataset(tmp_path / "b.nc", "a") as file:
        file["time"][:] += 2
        file["TLONG"][:] += 1.5
    with pytest.raises(InputError, match=r"b\.nc: TLONG and TLAT lie 3 cells along xi"):
        open_zlevel([tmp_path / "a.nc", tmp_path / "b.nc"])
