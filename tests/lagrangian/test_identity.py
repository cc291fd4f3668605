"""What a folder's run is known by: grid, curves and a sample of records, also in folders that earlier versions began."""

from __future__ import annotations

import json
import shutil

import netCDF4
import numpy as np
import pytest

from data.command import run_command
from data.croco import open_croco
from lagrangian.config import RunConfig
from lagrangian.identity import brought_forward, difference, sampled, values_of
from lagrangian.run import main
from tests.benchmarks.scaling import SAMPLE, contents, unlike

RUN = ["--w", "400", "--positions", "1", "--particles", "1", "--collection", "1", "--every", "4", "--release-every", "24",
       "--fields-spacing", "40"]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def no_picture():
    patch = pytest.MonkeyPatch()
    patch.setattr("lagrangian.maps.draw_catchment", lambda *_: None)
    yield
    patch.undo()


@pytest.fixture
def file(tmp_path):
    """A copy of the sample that can be changed."""
    path = tmp_path / "croco_his.nc"
    shutil.copy(SAMPLE, path)
    path.chmod(0o644)
    return path


def command(out, file, *arguments):
    argv = [*RUN, "--ocean", str(file), "--site=-20.3,44.9", *map(str, arguments), "--out", str(out)]
    return run_command(RunConfig, main, prog="lagrangian.run", argv=argv)


def refused(capsys) -> str:
    text = capsys.readouterr().err
    assert len(text.splitlines()) == 1 and "another --out" in text, text
    return text


def changed(file, change):
    """Replace the file by one in which ``change`` has been made."""
    new = file.with_name("new.nc")
    shutil.copy(file, new)
    with netCDF4.Dataset(new, "a") as dataset:
        dataset.set_auto_maskandscale(False)
        change(dataset)
    new.replace(file)


def reverse(dataset, but=()):
    """Let the sea flow backward in all records but some; a reversed flow conserves mass as well."""
    for name in ("u", "v"):
        values = dataset[name][:]
        turned = -values
        turned[list(but)] = values[list(but)]
        dataset[name][:] = turned


def test_the_sample_holds_first_middle_and_last():
    for n in (1, 2, 3, 10, 49, 120, 21_915):
        found = sampled(n)
        assert found[0] == 0 and found[-1] == n - 1 and n // 2 in found and len(found) <= 10
    assert sampled(5) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda new: reverse(new, but=[24]), "other values of u, v or zeta in record 0"),
        (lambda new: reverse(new, but=range(48)), "other values of u, v or zeta in record 48"),
        (lambda new: new["h"].__setitem__(slice(None), new["h"][:] - 10), "hold another grid"),
        (lambda new: new["lon_rho"].__setitem__(slice(None), new["lon_rho"][:] + 0.5), "hold another grid"),
        (lambda new: new["angle"].__setitem__(slice(None), new["angle"][:] + 0.01), "hold another grid"),
        (lambda new: (new["hc"].__setitem__((), 200.0), new.setncattr("hc", 200.0)), "hold another vertical coordinate"),
    ],
)
def test_what_differs_is_named(file, change, words):
    before = values_of(open_croco(file))
    assert values_of(open_croco(file)) == before
    changed(file, change)
    now = values_of(open_croco(file))
    assert now != before and words in difference(before, now)


def test_velocities_reversed_in_all_records_but_the_middle_one_are_noticed(file, tmp_path, capsys):
    out = tmp_path / "run"
    assert command(out, file) == 0
    kept = contents(out)
    changed(file, lambda new: reverse(new, but=[24]))
    capsys.readouterr()
    assert command(out, file, "--w", 500) == 2
    assert "other values of u, v or zeta" in refused(capsys)
    assert not unlike(contents(out), kept) and not (out / "w500").exists()


def test_a_grid_file_replaced_under_its_name_is_noticed(file, tmp_path, capsys):
    out, grid = tmp_path / "run", tmp_path / "grd.nc"
    with netCDF4.Dataset(file) as old, netCDF4.Dataset(grid, "w") as new:
        for name in ("eta_rho", "xi_rho"):
            new.createDimension(name, len(old.dimensions[name]))
        for name in ("h", "pm", "pn", "lon_rho", "lat_rho", "f", "angle", "mask_rho"):
            new.createVariable(name, "f8", ("eta_rho", "xi_rho"))[:] = old[name][:]
    with netCDF4.Dataset(file, "a") as history:
        history.renameVariable("h", "depth_of_before")
    assert command(out, file, "--grid", grid) == 0
    capsys.readouterr()
    assert command(out, file, "--grid", grid) == 0
    changed(grid, lambda new: new["h"].__setitem__(slice(None), new["h"][:] * 0.99))
    assert command(out, file, "--grid", grid) == 2
    assert "hold another grid" in refused(capsys)


def test_a_folder_of_an_earlier_version_is_gone_on_with_where_the_middle_record_is_the_same(file, tmp_path, capsys):
    out = tmp_path / "run"
    assert command(out, file) == 0
    record = json.loads((out / "run.json").read_text())
    # as earlier versions wrote it: a hash of u, v and zeta in mid-record
    record["identity"]["values"] = record["identity"]["values"]["records"]["24"]
    assert not {"chain_files", "vtransform"} & set(record["identity"]["options"])
    (out / "run.json").write_text(json.dumps(record))
    kept = contents(out)
    capsys.readouterr()
    assert command(out, file) == 0
    assert "looked at the values in mid-record only; they are the same" in capsys.readouterr().out
    assert not unlike(contents(out), kept)
    assert isinstance(json.loads((out / "run.json").read_text())["identity"]["values"], dict)
    record["identity"]["values"] = "0123456789abcdef"
    (out / "run.json").write_text(json.dumps(record))
    assert command(out, file) == 2
    assert "other values of u, v or zeta in the middle of the record" in refused(capsys)


def test_an_identity_of_today_is_left_as_it_is():
    now = {"values": {"grid": "a", "curves": "b", "records": {"0": "c", "1": "d"}}}
    assert brought_forward(now, now, 2) == (now, False)
    assert brought_forward({"values": "d"}, now, 2) == (now, True)
    assert brought_forward({"values": "c"}, now, 2)[0] != now
    twin = {"values": None}
    assert brought_forward(twin, twin, 2) == (twin, False)


def test_the_run_says_what_it_was_told_of_the_flow(file, tmp_path, capsys):
    """The command opens the ocean through the look at its flow, and run.json keeps what the look told."""
    changed(file, lambda new: new["u"].__setitem__(slice(None), np.roll(new["u"][:], 1, axis=-1)))
    assert command(tmp_path / "run", file) == 2
    text = capsys.readouterr().err
    assert "does not conserve mass" in text and len(text.splitlines()) == 1
    assert not (tmp_path / "run").exists()
