"""What is deleted from a run folder (stores, chunks, run.json): nothing finished is lost with it, nor read as zeros."""

from __future__ import annotations

import json
import random
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import zarr

from data.errors import StoreError
from data.resumable import identity_of
from evaluation.dynamics import trap_offsets
from lagrangian.fields import open_fields
from lagrangian.stores import open_pdf, open_store
from learning.folders import found_speeds, run_identity
from learning.inputs import InputSpec
from learning.samples import RunSamples
from tests.benchmarks.scaling import LOSSES, all_pieces, contents, finished, kill_and_lose, unlike
from tests.lagrangian.test_restart import command, damage, interrupted_at, leftovers, line, no_picture  # noqa: F401


@pytest.fixture(scope="module")
def whole(tmp_path_factory, no_picture):  # noqa: F811
    out = tmp_path_factory.mktemp("losses") / "whole"
    assert command(out) == 0
    return out


@pytest.fixture(scope="module")
def expected(whole):
    return contents(whole)


@pytest.fixture
def run(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


@pytest.fixture(scope="module")
def cut_off(tmp_path_factory, no_picture):  # noqa: F811
    """A run that is cut off after 30 windows; tests take copies."""
    out = tmp_path_factory.mktemp("cut") / "cut"
    with pytest.MonkeyPatch.context() as patch:
        interrupted_at(patch, out, 30)
    return out


@pytest.fixture
def cut(cut_off, tmp_path):
    return shutil.copytree(cut_off, tmp_path / "cut")


def test_three_kills_and_three_deletions_lose_nothing_that_was_finished(whole, tmp_path, forked_run, expected):
    """24 and 12 of them: tests.benchmarks.scaling losses."""
    out = tmp_path / "unlucky"
    rng = random.Random(7)
    said, kept = kill_and_lose(out, ["SIGKILL", "SIGTERM", "SIGINT"], list(LOSSES), rng, all_pieces(whole), forked_run)
    print(said)
    assert sum(one.startswith("lost") for one in said) == 3 and len(said) == 6
    assert not unlike(contents(out), expected) and not leftovers(out)
    now = finished(out)
    assert [path for path, stamp in kept.items() if now[path] != stamp] == []


@pytest.mark.parametrize("store", ["w300/particles.zarr", "w400/pdf.zarr", "w300/trajectories.zarr", "fields.zarr"])
def test_a_deleted_store_is_made_again_and_its_neighbours_are_not_touched(store, run, expected):
    shutil.rmtree(run / store)
    before = finished(run)
    assert command(run) == 0
    now = finished(run)
    assert {path: now[path] for path in before} == before
    assert not unlike(contents(run), expected) and not leftovers(run)


def test_a_store_that_was_deleted_while_a_run_is_cut_off_is_made_again(cut, expected):
    out = cut
    assert list((out / "checkpoints").glob("*.npz")) and any(out.glob("w300/pdf.zarr.partial/parts_done/*"))
    shutil.rmtree(out / "w300" / "particles.zarr.partial")
    assert command(out) == 0
    assert not unlike(contents(out), expected) and not leftovers(out)


def test_a_store_that_cannot_be_gone_on_with_is_removed_as_the_line_says_and_made_anew(cut, expected, capsys):
    out = cut
    store = out / "w300" / "pdf.zarr.partial"
    (store / "counts" / "zarr.json").write_text('{"zarr_form')
    others = sorted(out.glob("*/particles.zarr.partial/parts_done/*"))
    capsys.readouterr()
    assert command(out) == 2
    text = line(capsys)
    assert str(store) in text and "remove it" in text
    assert sorted(out.glob("*/particles.zarr.partial/parts_done/*")) == others and others
    shutil.rmtree(store)
    assert command(out) == 0
    assert not unlike(contents(out), expected) and not leftovers(out)


@pytest.mark.parametrize(
    "file",
    ["w300/pdf.zarr/level/c/0", "w300/pdf.zarr/trap_dx/c/0", "w300/particles.zarr/x/zarr.json", "w400/pdf.zarr/zarr.json",
     "fields.zarr/depth/c/0", "w300/trajectories.zarr/trajectory/c/1"],
)  # fmt: skip
@pytest.mark.parametrize("how", ["lost", "flipped"])
def test_lost_coordinates_and_metadata_of_a_finished_store_are_put_in_again(file, how, run, expected, capsys):
    if how == "flipped" and file.endswith("zarr.json"):
        (run / file).write_text('{"zarr_form')
    else:
        damage(run / file, how)
    store = next(path for path in (run / file).parents if path.suffix == ".zarr")
    before = {path: stamp for path, stamp in finished(run).items() if store not in path.parents}
    capsys.readouterr()
    assert command(run) == 0
    piece = (run / file).relative_to(store).parts[0]
    assert f"note: {store}: {piece}: metadata or coordinates are damaged or missing" in capsys.readouterr().out
    now = finished(run)
    assert {path: now[path] for path in before} == before
    assert not unlike(contents(run), expected) and not leftovers(run)


READERS = {
    "w300/pdf.zarr/counts/c/1/0/0/0": lambda run: open_pdf(run / "w300/pdf.zarr"),
    "w300/pdf.zarr/reached/c/1/0": lambda run: open_store(run / "w300/pdf.zarr", "pdf"),
    "w300/pdf.zarr/trap_dx/c/0": lambda run: trap_offsets(run),
    "w300/particles.zarr/time/c/2/0/0": lambda run: open_store(run / "w300/particles.zarr", "particles"),
    "w400/trajectories.zarr/z/c/0/0": lambda run: open_store(run / "w400/trajectories.zarr", "trajectories"),
    "fields.zarr/ssh/c/2/0/0": lambda run: open_fields(run / "fields.zarr"),
    "w400/pdf.zarr/collection_end/c/0": lambda run: RunSamples.open(run, (400.0,), InputSpec.of("sst-ssh")),
}


@pytest.mark.parametrize("chunk", READERS)
def test_a_lost_chunk_of_a_finished_store_is_refused_by_every_reader_and_the_mend_that_is_named_works(chunk, run, expected):
    damage(run / chunk, "lost")
    with pytest.raises(StoreError) as refusal:
        READERS[chunk](run)
    text = str(refusal.value)
    assert chunk in text and "is missing" in text and "lagrangian.run" in text and "\n" not in text
    assert command(run) == 0
    assert not unlike(contents(run), expected)


def test_a_chunk_that_is_lost_after_the_store_was_opened_is_no_zero(run):
    pdf, fields = open_pdf(run / "w300/pdf.zarr"), open_fields(run / "fields.zarr")
    damage(run / "w300/pdf.zarr/counts/c/1/0/0/0", "lost")
    damage(run / "fields.zarr/ssh/c/0/0/0", "lost")
    with pytest.raises(StoreError, match=r"w300/pdf.zarr/counts/c/1/0/0/0 is missing; .* lagrangian.run"):
        pdf["counts"].values  # noqa: B018
    with pytest.raises(StoreError, match=r"fields.zarr/ssh/c/0/0/0 is missing; .* lagrangian.run"):
        fields["ssh"].values  # noqa: B018


def test_a_speed_whose_pdfs_are_lost_is_not_passed_over(run, expected):
    assert found_speeds(run) == (300.0, 400.0)
    shutil.rmtree(run / "w300" / "pdf.zarr")
    with pytest.raises(StoreError, match=r"pdf.zarr does not exist, and .*w300/particles.zarr does: .* lagrangian.run again"):
        found_speeds(run)
    assert command(run) == 0
    assert found_speeds(run) == (300.0, 400.0) and not unlike(contents(run), expected)


# -- run.json --------------------------------------------------------------------------------------------------------


def test_without_run_json_the_same_command_goes_on_and_makes_it_anew(run, whole, capsys):
    identity = run_identity(run)
    (run / "run.json").unlink()
    assert run_identity(run) == identity
    before = finished(run)
    assert command(run) == 0
    assert "is made anew from what the stores tell" in capsys.readouterr().out
    assert finished(run) == before
    records = [json.loads((one / "run.json").read_text()) for one in (run, whole)]
    assert records[0]["identity"] == records[1]["identity"] == identity_of(run / "w300" / "pdf.zarr")


@pytest.mark.parametrize(
    ("options", "named"), [(["--site", "-21.2,44.9"], "site was -21.25,44.9, now -21.2,44.9"), (["--dt", "30"], "dt was")]
)
def test_without_run_json_other_options_are_refused_and_nothing_is_relabelled(options, named, run, capsys):
    (run / "run.json").unlink()
    shutil.rmtree(run / "w400")  # of which the other options would make their own
    before = finished(run)
    capsys.readouterr()
    assert command(run, *options) == 2
    text = line(capsys)
    assert named in text and "another --out" in text
    assert finished(run) == before and not (run / "w400").exists() and not (run / "run.json").exists()


def test_without_run_json_another_speed_takes_the_periods_of_the_stores(run, whole, capsys):
    (run / "run.json").unlink()
    assert command(run, "--w", 500) == 0
    told = capsys.readouterr().out
    assert "are taken again" in told
    np.testing.assert_array_equal(
        open_pdf(run / "w500/pdf.zarr")["collection_start"], open_pdf(whole / "w300/pdf.zarr")["collection_start"]
    )


def test_a_store_of_another_run_under_the_name_of_one_of_ours_is_refused(run, tmp_path, capsys):
    other = tmp_path / "other"
    assert command(other, "--w", 300, "--dt", 30) == 0
    shutil.rmtree(run / "w300" / "pdf.zarr")
    shutil.copytree(other / "w300" / "pdf.zarr", run / "w300" / "pdf.zarr")
    capsys.readouterr()
    assert command(run) == 2
    text = line(capsys)
    assert "w300/pdf.zarr" in text and "dt was 30.0, now" in text
    (run / "run.json").unlink()
    assert command(run) == 2
    assert "are of different runs" in line(capsys)


@pytest.mark.parametrize("content", ["[1, 2]", '{"identity": 3}', "{", '"text"'])
def test_a_run_json_that_is_no_record_gets_one_line_whose_advice_works(content, run, expected, capsys):
    (run / "run.json").write_text(content)
    assert command(run) == 2
    text = line(capsys)
    assert "run.json" in text and "remove it and give the same lagrangian.run again" in text
    (run / "run.json").unlink()
    assert command(run) == 0
    assert not unlike(contents(run), expected)


# -- stores of earlier versions --------------------------------------------------------------------------------------


def as_before(store: Path) -> None:
    """Take out of a store what earlier versions did not write: its marks and what it was made of."""
    shutil.rmtree(store / "parts_done", ignore_errors=True)
    group = zarr.open_group(str(store), mode="r+", use_consolidated=False)
    for name in ("identity", "every_chunk_is_written"):
        del group.attrs[name]


def test_an_unfinished_run_of_an_earlier_version_is_gone_on_with(cut, expected, monkeypatch):
    """Its marks lie in periods_done beside the stores, and in the array ``written`` of the fields."""
    out = cut
    for folder in out.glob("w*"):
        marks = folder / "periods_done"
        marks.mkdir()
        for number in (folder / "particles.zarr.partial" / "parts_done").iterdir():
            (marks / number.name).touch()
    in_before = {path.parent.name: len(list(path.iterdir())) for path in out.glob("w*/periods_done")}
    assert sum(in_before.values()) > 2
    for store in (*out.glob("w*/*.partial"), out / "fields.zarr.partial"):
        as_before(store)
    done = []
    real = lagrangian_results().write
    monkeypatch.setattr(lagrangian_results(), "write", lambda self, result: (done.append(result.cohort), real(self, result))[1])
    assert command(out) == 0
    total = 2 * len(json.loads((out / "run.json").read_text())["identity"]["starts"])
    assert len(done) == total - sum(in_before.values())
    ours, expected = contents(out), expected
    assert [name for name in unlike(ours, expected) if "/c/" in name] == []
    assert not leftovers(out) and not list(out.rglob("periods_done"))


def lagrangian_results():
    from lagrangian.results import SpeedResults

    return SpeedResults


def test_finished_stores_of_an_earlier_version_open_and_are_kept_and_refused_where_nothing_tells_what_they_are(run, capsys):
    for store in (*run.glob("w*/*.zarr"), run / "fields.zarr"):
        as_before(store)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            zarr.consolidate_metadata(str(store))
    before = finished(run)
    assert open_pdf(run / "w300/pdf.zarr")["counts"].values.any() and open_fields(run / "fields.zarr")["ssh"].size
    assert command(run) == 0
    assert finished(run) == before
    capsys.readouterr()
    (run / "run.json").unlink()
    assert command(run) == 2
    text = line(capsys)
    assert "run.json is gone" in text and "does not tell what it was made of" in text and "put run.json back" in text
    assert finished(run) == before
    with pytest.raises(StoreError, match=r"run.json is gone"):
        run_identity(run)
