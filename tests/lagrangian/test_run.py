"""``python -m lagrangian.run`` as its users meet it: what it writes, goes on with, and refuses."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray as xr

import lagrangian.maps
import lagrangian.run
from data.command import parse, run_command
from data.errors import OptionError
from data.twin.ocean import S_COORDINATE, TwinOcean, twin_grid
from lagrangian.binning import count_crossings, smooth_pdf
from lagrangian.blocks import Block
from lagrangian.config import RunConfig, speed_folder
from lagrangian.effort import Effort
from lagrangian.experiments import design_experiments
from lagrangian.fields import open_fields
from lagrangian.run import BlockProgress, main
from lagrangian.stores import open_pdf, open_store

HERE = Path(__file__).resolve().parent.parent
SAMPLE = HERE / "data" / "croco_sample" / "croco_his.nc"
JET = HERE.parent.parent / "shared" / "data" / "croco" / "jet"
needs_jet = pytest.mark.skipif(not JET.exists(), reason=f"the jet files are not at {JET}")
BASE = [
    "--ocean",
    str(SAMPLE),
    "--site",
    "-21.25,44.9",
    "--w",
    "300",
    "--positions",
    "2",
    "--particles",
    "4",
    "--release-every",
    "24",
]


def command(*arguments, out):
    return run_command(RunConfig, main, prog="lagrangian.run", argv=[*BASE, *map(str, arguments), "--out", str(out)])


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of the stores under a run folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".zarr" in str(path.relative_to(folder))
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "sample"
    assert command("--every", 2, "--collection", 4, "--trajectories", 12, out=out) == 0
    return out


def test_the_stores_are_as_the_contract_says(whole):
    particles = open_store(whole / "w300" / "particles.zarr", "particles")
    assert particles["x"].dims == ("experiment", "particle", "level")
    assert particles["x"].dtype == np.float32
    assert particles["time"].dtype.kind == "M"
    assert particles["status"].dims == ("experiment", "particle")
    assert set(np.unique(particles["status"])) <= {0, 1, 2, 3}
    assert particles["level"].values.tolist() == [2500, 2000, 1500, 1000, 800, 600, 400, 200]
    reached = (particles["status"] == 0).values
    np.testing.assert_array_equal(np.isfinite(particles["x"].values[..., -1]), reached)
    np.testing.assert_array_equal(~np.isnat(particles["time"].values[..., -1]), reached)
    rise = (particles["release_time"] - particles["time"][..., -1]).values[reached] / np.timedelta64(1, "D")
    assert 8.5 < np.median(rise) < 10.5  # 2800 m at 300 m/d
    assert (
        (particles["release_time"] >= particles["collection_start"]) & (particles["release_time"] < particles["collection_end"])
    ).all()


def test_any_reader_finds_the_coordinates_that_the_contract_names(whole):
    where = {"collection_start", "collection_end", "position", "trap_lon", "trap_lat", "level"}
    with xr.open_zarr(whole / "w300" / "particles.zarr") as particles:
        assert where | {"release_time", "release_lon", "release_lat"} <= set(particles.coords)
        assert set(particles.data_vars) == {"x", "y", "lon", "lat", "time", "status"}
    with xr.open_zarr(whole / "w300" / "pdf.zarr") as store:
        assert where | {"x", "y"} <= set(store.coords) and set(store.data_vars) == {"counts", "reached"}
        assert store["counts"].trap_lon.dims == ("experiment",)


def test_displacements_are_those_of_the_crossings_from_the_release_points(whole):
    from pyproj import Geod

    particles = open_store(whole / "w300" / "particles.zarr", "particles")
    names = ("lon", "lat", "x", "y")
    lon, lat, x, y = (particles[name][..., -1].values.ravel() for name in names)
    lon0, lat0 = (particles[name].values.ravel() for name in ("release_lon", "release_lat"))
    good = np.isfinite(lon)
    azimuth, _, distance = Geod(a=6371315.0, b=6371315.0).inv(lon0[good], lat0[good], lon[good], lat[good])
    np.testing.assert_allclose(np.hypot(x, y)[good], distance / 1e3, atol=2e-3)
    np.testing.assert_allclose(x[good], distance / 1e3 * np.sin(np.deg2rad(azimuth)), atol=2e-3)


def test_the_pdf_is_the_histogram_of_the_particles(whole):
    particles, pdf = open_store(whole / "w300" / "particles.zarr", "particles"), open_pdf(whole / "w300" / "pdf.zarr")
    x, y = particles["x"].values, particles["y"].values
    edges = np.arange(-400.0, 401.0, 8.0)
    for experiment in (0, pdf.sizes["experiment"] - 1):
        for level in (0, 7):
            expected, *_ = np.histogram2d(y[experiment, :, level], x[experiment, :, level], bins=(edges, edges))
            np.testing.assert_array_equal(pdf["counts"][experiment, level], expected)
    np.testing.assert_array_equal(pdf["reached"], np.isfinite(x).sum(axis=1))
    assert pdf["counts"].dtype.kind == "u"
    inside = pdf["pdf"].sum(("y", "x")).values[pdf["reached"].values > 0]
    assert (inside <= 1 + 1e-12).all() and (inside > 0.9).all()
    assert np.isnan(pdf["pdf"].values[pdf["reached"].values == 0]).all()


def test_trajectories_read_like_those_of_parcels_and_end_at_the_crossing(whole):
    paths = xr.open_zarr(whole / "w300" / "trajectories.zarr")
    assert set(paths.dims) == {"trajectory", "obs"}
    assert {"lon", "lat", "z", "time"} <= set(paths.variables)
    np.testing.assert_allclose(paths["z"][:, 0], -3000.0)
    step = np.diff(paths["time"].values, axis=1)
    known = ~np.isnat(step)
    assert (step[known] == -np.timedelta64(12, "h")).all()
    particles = open_store(whole / "w300" / "particles.zarr", "particles")
    np.testing.assert_allclose(paths["lon"][:, 0], particles["release_lon"].values.ravel(), atol=1e-5)
    top = np.nanmax(paths["z"].values, axis=1)[(particles["status"] == 0).values.ravel()]
    assert (top < -200.0).all() and (top > -380.0).all()  # the last halt is less than 12 h (150 m) before the crossing


def test_fields_and_picture_and_record_are_there(whole):
    fields = open_fields(whole / "fields.zarr")
    assert fields["u"].dims == ("time", "depth", "y", "x")
    assert fields["depth"].values.tolist() == [0, 750, 1500, 2250]
    middle = fields.isel(x=slice(50, 60), y=slice(50, 60))
    assert np.isfinite(middle["ssh"]).all() and np.isfinite(middle["temp"]).all()
    assert np.isnan(fields["ssh"][0, 0, 0])  # the domain is smaller than the window
    assert (whole / "w300" / "catchment.png").stat().st_size > 50_000
    record = json.loads((whole / "run.json").read_text())
    assert record["configuration"]["w"] == [300.0]
    assert record["versions"]["parcels"] == "4.0.2"
    assert not list(whole.rglob("*.partial")) and not list(whole.rglob("progress.json"))


@pytest.mark.usefixtures("no_map")
def test_a_run_cut_short_goes_on_to_the_same_bytes(whole, tmp_path, monkeypatch):
    out = tmp_path / "cut"
    arguments = ("--every", 2, "--collection", 4, "--trajectories", 12)
    real, seen = lagrangian.run.SpeedResults.write, []

    def die_after_two(self, result, *rest):
        real(self, result, *rest)
        seen.append(result.cohort)
        if len(seen) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(lagrangian.run.SpeedResults, "write", die_after_two)
    assert command(*arguments, out=out) == 130
    assert (out / "w300" / "particles.zarr.partial").exists() and not (out / "w300" / "particles.zarr").exists()
    again = []
    monkeypatch.setattr(
        lagrangian.run.SpeedResults, "write", lambda self, result, *rest: (again.append(result.cohort), real(self, result, *rest))
    )
    assert command(*arguments, out=out) == 0
    assert not set(again) & set(seen)
    assert contents(out) == contents(whole)
    assert command(*arguments, out=out) == 0  # and a third time: nothing to do
    assert contents(out) == contents(whole)


@pytest.mark.usefixtures("no_map")
def test_another_speed_joins_the_folder_and_another_configuration_is_refused(whole, tmp_path, capsys):
    out = tmp_path / "joined"
    shutil.copytree(whole, out)
    arguments = ("--every", 2, "--collection", 4, "--trajectories", 12)
    assert command(*arguments, "--w", 400, out=out) == 0
    added = open_pdf(out / "w400" / "pdf.zarr")
    before = open_pdf(out / "w300" / "pdf.zarr")
    np.testing.assert_array_equal(added["collection_start"], before["collection_start"])
    assert contents(out / "w300") == contents(whole / "w300")
    capsys.readouterr()
    assert command(*arguments, "--spacing", 20, out=out) == 2
    line = capsys.readouterr().err
    assert "spacing was 36" in line and "--out" in line


def refused(capsys, out, *arguments, base=BASE):
    """The one line of a refused command."""
    argv = [*base, *map(str, arguments), "--out", str(out)]
    code = run_command(RunConfig, main, prog="lagrangian.run", argv=argv)
    text = capsys.readouterr().err
    assert code == 2, text
    lines = [line for line in text.splitlines() if not line.startswith("backtracking:")]  # progress of a slow machine
    assert len(lines) == 1 and text.endswith("\n") and "Traceback" not in text, text
    return lines[0] + "\n"


BAD_OPTIONS = [
    (["--w", "0"], "greater than 0"),
    (["--w", "-5"], "w"),
    (["--w", "fast"], "fast"),
    (["--time-origin", "now"], "write it as 2000-01-01"),
    (["--site", "0,95"], "latitude 95"),
    (["--levels", "-10"], "above the surface"),
    (["--levels", "3500"], "trap"),
    (["--trap-depth", "4200", "--levels", "200"], "sea floor"),
    (["--site", "10,60"], "outside"),
    (["--site", "nowhere"], "pap-so"),
    (["--particles", "35"], "square"),
    (["--dt", "0"], "--dt"),
    (["--start", "soon"], "--start"),
    (["--start", "1999-01-01"], "not within the record"),
    (["--end", "1999-01-01"], "--end"),
    (["--w", "80"], "shorter than one experiment"),
    (["--time-origin", "yesterday"], "yesterday"),
    (["--vertical-velocity", "file"], "neither w nor omega"),
    (["--unknown", "3"], "unknown"),
    (["--kernel", "magic"], "magic"),
    (["--ocean", "/no/such/file.nc"], "/no/such/file.nc"),
    (["--ocean", "no/such/*.nc"], "no/such/*.nc"),
    (["--grid", "/no/such/grid.nc"], "/no/such/grid.nc"),
    (["--config", "/no/such.toml"], "/no/such.toml"),
]


@pytest.mark.parametrize(("arguments", "word"), BAD_OPTIONS, ids=[" ".join(arguments) for arguments, _ in BAD_OPTIONS])
def test_bad_options_get_one_line_and_exit_2(arguments, word, tmp_path, capsys):
    assert word in refused(capsys, tmp_path / "out", *arguments)
    assert not (tmp_path / "out" / "w300").exists()


def altered(tmp_path, change) -> Path:
    """A copy of the sample after ``change(dataset)``."""
    path = tmp_path / "altered.nc"
    shutil.copy(SAMPLE, path)
    with netCDF4.Dataset(path, "a") as file:
        change(file)
    return path


def test_debug_shows_the_traceback_and_the_same_exit_code(tmp_path, capsys):
    assert command("--dt", -1, "--debug", out=tmp_path / "run") == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.usefixtures("no_map")
def test_periods_that_a_folder_lends_are_told(whole, tmp_path, capsys):
    out = shutil.copytree(whole, tmp_path / "run")
    start = ("--every", 2, "--collection", 4, "--trajectories", 12)
    assert command(*start, "--w", 400, out=out) == 0
    assert "periods of" in (told := capsys.readouterr().out) and "are taken again" in told


def test_damaged_files_get_one_line_and_exit_2(tmp_path, capsys):
    text = tmp_path / "notes.nc"
    text.write_text("not a netCDF file")
    assert "notes.nc" in refused(capsys, tmp_path / "a", "--ocean", text)
    short = tmp_path / "short.nc"
    short.write_bytes(SAMPLE.read_bytes()[:1_000_000])
    assert "short.nc" in refused(capsys, tmp_path / "b", "--ocean", short)
    no_u = altered(tmp_path, lambda file: file.renameVariable("u", "velocity"))
    assert " u" in refused(capsys, tmp_path / "c", "--ocean", no_u)

    def backwards(file):
        names = [name for name in ("time", "scrum_time") if name in file.variables]
        for name in names:
            file[name][:] = file[name][:][::-1]

    assert "time" in refused(capsys, tmp_path / "d", "--ocean", altered(tmp_path, backwards))

    def hole(file):
        file["u"].set_auto_maskandscale(False)
        attributes = file["u"].ncattrs()
        fill = file["u"].getncattr("_FillValue") if "_FillValue" in attributes else netCDF4.default_fillvals["i2"]
        file["u"][20, 5, 10, 12] = fill

    line = refused(capsys, tmp_path / "e", "--ocean", altered(tmp_path, hole))
    assert " u" in line and "20" in line


def test_a_trap_on_land_is_refused(tmp_path, capsys):
    def island(file):
        file["mask_rho"][17:22, 17:22] = 0

    line = refused(capsys, tmp_path / "a", "--ocean", altered(tmp_path, island), "--positions", 1)
    assert "land" in line


@pytest.mark.usefixtures("no_map")
def test_a_file_of_options_is_read_and_the_command_line_wins(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text(
        'w = [300, 400]\npositions = 1\nsite = "-21.25,44.9"\nrelease-every = 24\nparticles = 9\nkernel = "compiled"\n'
    )
    argv = ["--ocean", str(SAMPLE), "--config", str(path), "--particles", "1", "--out", str(tmp_path / "out")]
    assert run_command(RunConfig, main, prog="lagrangian.run", argv=argv) == 0
    record = json.loads((tmp_path / "out" / "run.json").read_text())["configuration"]
    assert record["w"] == [300.0, 400.0] and record["particles"] == 1
    path.write_text("wings = 2\n")
    assert run_command(RunConfig, main, prog="lagrangian.run", argv=argv) == 2


def test_the_command_itself_refuses_with_exit_2_and_no_traceback(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "lagrangian.run", "--ocean", "missing.nc", "--out", str(tmp_path / "x")],
        capture_output=True,
        text=True,
        cwd=HERE.parent,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "missing.nc" in done.stderr


@needs_jet
@pytest.mark.usefixtures("coarse_pictures")
def test_all_five_speeds_through_the_real_jet_and_every_particle_accounted_for(tmp_path, monkeypatch):
    """With the map of the slowest, from which most particles leave the domain."""
    draw = lagrangian.maps.draw_catchment
    monkeypatch.setattr(lagrangian.maps, "draw_catchment", lambda folder, file: folder.name == "w080" and draw(folder, file))
    argv = ["--ocean", str(JET / "croco_his.00060.nc"), str(JET / "croco_his.00000.nc"), "--grid", str(JET / "croco_grd.nc")]
    argv += ["--site", "-20.3,44.9", "--w", "80", "100", "150", "200", "300", "--positions", "3", "--particles", "16"]
    assert run_command(RunConfig, main, prog="lagrangian.run", argv=[*argv, "--out", str(tmp_path / "jet")]) == 0
    share = []
    for w in (80.0, 100.0, 150.0, 200.0, 300.0):
        folder = tmp_path / "jet" / speed_folder(w)
        particles, pdf = open_store(folder / "particles.zarr", "particles"), open_pdf(folder / "pdf.zarr")
        status = particles["status"].values
        assert status.size == particles.sizes["experiment"] * 320
        assert np.isin(status, [0, 1, 2, 3]).all()
        assert (pdf["reached"][:, -1].values == (status == 0).sum(axis=1)).all()
        share.append((status == 0).mean())
    assert (tmp_path / "jet" / "w080" / "catchment.png").exists()
    assert share[-1] > 0.99 and (np.diff(share) >= -0.01).all()


@needs_jet
@pytest.mark.usefixtures("no_map")
def test_compiled_and_parcels_kernels_agree_on_the_real_jet(tmp_path):
    argv = ["--ocean", str(JET / "croco_his.00000.nc"), str(JET / "croco_his.00060.nc"), "--grid", str(JET / "croco_grd.nc")]
    argv += ["--site", "-20.3,44.9", "--w", "100", "300", "--positions", "2", "--particles", "16", "--start", "2000-05-15"]
    # Parcels' own kernel takes the same time for few particles as for many, and twice as long for half the step
    argv += ["--end", "2000-05-15", "--collection", "2", "--every", "2", "--dt", "240"]
    kernels = ("compiled", "parcels")
    for kernel in kernels:
        out = ["--kernel", kernel, "--out", str(tmp_path / kernel)]
        assert run_command(RunConfig, main, prog="lagrangian.run", argv=[*argv, *out]) == 0
    for w, limit in ((100.0, 6.0), (300.0, 2.0)):
        one, two = (open_store(tmp_path / k / speed_folder(w) / "particles.zarr", "particles") for k in kernels)
        gap = np.hypot(one["x"] - two["x"], one["y"] - two["y"])[..., -1].values
        print(f"w = {w:g}: median gap at 200 m {np.nanmedian(gap):.2f} km")
        assert np.nanmedian(gap) < limit
        p, q = (open_pdf(tmp_path / k / speed_folder(w) / "pdf.zarr")["pdf"][:, -1].mean("experiment").values for k in kernels)
        p, q = (smooth_pdf(f) for f in (p, q))
        loss = 1 - np.sqrt(p * q).sum() / np.sqrt(p.sum() * q.sum())
        print(f"BL of the smoothed mean PDFs {loss:.5f}")
        assert loss < 0.02


def test_config_help_names_every_option_and_its_unit(capsys):
    with pytest.raises(SystemExit) as stop:
        run_command(RunConfig, main, prog="lagrangian.run", argv=["--help"])
    assert stop.value.code in (0, None)
    text = capsys.readouterr().out
    for field in dataclasses.fields(RunConfig):
        assert "--" + field.name.replace("_", "-") in text


def test_a_bin_holds_its_lower_edge_and_not_its_upper():
    x = np.array([[[-400.0], [399.99], [400.0], [0.0], [np.nan]]])
    y = np.array([[[-400.0], [0.0], [0.0], [-0.001], [0.0]]])
    counts, reached = count_crossings(x, y)
    assert reached.tolist() == [[4]]
    assert counts.sum() == 3
    assert counts[0, 0, 0, 0] == 1 and counts[0, 0, 50, 99] == 1 and counts[0, 0, 49, 50] == 1


def test_positions_all_over_a_periodic_domain_are_alike_and_evenly_spaced(tmp_path):
    """The twin's 1024 km: 6 x 6 traps about 171 km apart; the one at the edge sees across it."""
    times = np.datetime64("2000-01-01", "ns") + np.arange(60) * np.timedelta64(1, "D")
    ocean = TwinOcean(None, times, twin_grid(128), S_COORDINATE, frozenset({"temp"}), {})  # no flow is needed
    config = lagrangian.run._with_defaults_of(ocean, RunConfig(positions="domain", spacing=171.0))
    assert config.positions == 6 and config.spacing == pytest.approx(1024 / 6) and config.dt == 360.0
    table = tmp_path / "options.toml"
    table.write_text('positions = "domain"\nspacing = 171\n')
    read = parse(RunConfig, ["--config", str(table)], prog="lagrangian.run")
    assert read.positions == "domain" and parse(RunConfig, ["--positions", "4"], prog="x").positions == 4
    design = design_experiments(dataclasses.replace(config, start="2000-02-10", end="2000-02-10").design, ocean)
    assert design.n_positions == 36
    gaps = np.diff(np.unique(design.trap_offset_km[:, 0]))
    np.testing.assert_allclose(gaps, 1024 / 6)
    assert np.isfinite(design.release_xi).all()
    # a periodic ocean has an image of every place on Earth, but is not there
    with pytest.raises(OptionError, match=r"--site bats: -64\.17° lies outside the ocean's domain \(-2\d\.\d\d to -8\.\d\d°\)"):
        design_experiments(RunConfig(site="bats").design, ocean)


def test_positions_over_the_domain_of_files_are_refused(tmp_path, capsys):
    code = command("--positions", "domain", out=tmp_path)
    error = capsys.readouterr().err
    assert code == 2 and "periodic" in error and len(error.strip().splitlines()) == 1


@pytest.mark.usefixtures("no_map")
def test_the_record_tells_particle_days_those_of_the_paths_and_how_many_a_second_of_cpu(tmp_path, capsys):
    out = tmp_path / "run"
    assert command("--w", "400", "--collection", "2", "--dt", "60", out=out) == 0
    told = capsys.readouterr().out
    result = json.loads((out / "run.json").read_text())["result"]
    with open_store(out / "w400" / "particles.zarr", "particles") as store:
        status, released = store["status"].values, store["release_time"].values
        ended = store["time"].values[..., -1]  # at the last level
    assert (status == 0).all()
    followed = (released - ended) / np.timedelta64(1, "D")
    # each particle is followed to the end of the step in which it meets its last level
    assert followed.sum() <= result["particle_days"] <= followed.sum() + followed.size / 24
    assert result["particle_steps"] == pytest.approx(24 * result["particle_days"], abs=1)
    assert result["cpu_seconds"] > 0
    rate = result["particle_days_per_cpu_second"]
    assert rate == pytest.approx(result["particle_days"] / result["cpu_seconds"], rel=0.1)
    assert "particle-days per CPU-second" in told and "million particle-steps in" in told


def test_the_progress_line_tells_the_rate_of_all_blocks_together(monkeypatch):
    notes = []
    monkeypatch.setattr("lagrangian.run.Progress.update", lambda self, done, total, note="": notes.append((done, total, note)))
    with BlockProgress([Block("one", (), (), 2), Block("two", (), (), 3)]) as bar:
        bar.report("one", 1, Effort(1000, 2e6, 4.0))
        bar.report("two", 2, [500, 1e6, 1.0])  # as it comes from a worker
    assert [note[:2] for note in notes] == [(1, 5), (3, 5)]
    assert notes[0][2].endswith("0.500 M particle-days per CPU-second")
    assert notes[1][2].endswith("0.600 M particle-days per CPU-second") and "M particle-steps/s" in notes[1][2]
