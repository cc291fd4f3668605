"""A store is whole, or tells what is missing; whatever is lost of it is missed, and nothing else is made again."""

from __future__ import annotations

import gc
import itertools
import json
import random
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec

from data.chunks import EVERY_CHUNK, MAKERS, add_array, arrays_of, lost_chunk, mend_of, open_checked, put_chunk
from data.errors import StoreError
from data.resumable import MARKS, ResumableStore, differences, holds, identity_of

N, ROWS = 5, 3


def lay_out(path: Path, scale: float = 1.0) -> None:
    group = zarr.create_group(store=str(path), zarr_format=3)
    add_array(group, "a", (N * ROWS - 1, 4), (ROWS, 4), "float32", ("row", "column"), fill=np.nan)
    add_array(group, "b", (N * ROWS - 1,), (ROWS,), "uint16", ("row",), fill=0)
    add_array(group, "column", (4,), (4,), "float64", ("column",), data=scale * np.arange(4.0))


def values_of(number: int) -> dict[str, np.ndarray]:
    """Part 2 holds nothing but fill values."""
    rows = ROWS - (number == N - 1)
    a = np.full((rows, 4), np.nan) if number == 2 else np.arange(rows * 4).reshape(rows, 4) + 100.0 * number
    return {"a": a, "b": np.full(rows, 0 if number == 2 else number + 1)}


def opened(path: Path, identity=None, **options) -> ResumableStore:
    return ResumableStore(path, ("a", "b"), N, lay_out=lay_out, identity=identity or {"dt": 60}, **options)


def filled(path: Path, **options) -> ResumableStore:
    store = opened(path, **options)
    for number in store.missing():
        store.put(number, **values_of(number))
    assert store.close()
    return store


def files(path: Path) -> dict[str, bytes]:
    return {str(one.relative_to(path)): one.read_bytes() for one in sorted(path.rglob("*")) if one.is_file()}


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "one.zarr"
    filled(path)
    assert not list(path.parent.glob("*.*r.*")) and not (path / MARKS).exists()
    return files(path)


def test_a_store_tells_what_is_missing_goes_on_and_takes_its_name_when_all_is_in(tmp_path, expected):
    path = tmp_path / "one.zarr"
    store = opened(path)
    assert store.missing() == [0, 1, 2, 3, 4] and not store.whole and not path.exists()
    for number in (4, 1):
        store.put(number, **values_of(number))
    assert not store.close() and not path.exists() and holds(path, 4) and not holds(path, 0)
    store = opened(path)
    assert store.missing() == [0, 2, 3]
    for number in (3, 0, 2):
        assert not store.close()
        store.put(number, **values_of(number))
    assert store.close() and store.whole and files(path) == expected and holds(path, 0)
    assert opened(path).missing() == [] and opened(path).whole


def test_several_fill_one_store_and_whoever_closes_it_sees_what_all_have_put_in(tmp_path, expected):
    path = tmp_path / "one.zarr"
    with pytest.raises(StoreError, match="same folder on all machines"):
        ResumableStore(path, ("a", "b"), N)
    owner = opened(path)
    workers = [ResumableStore(path, ("a", "b"), N) for _ in range(2)]
    for number, worker in zip(range(N), itertools.cycle(workers), strict=False):
        worker.put(number, **values_of(number))
    assert owner.missing() == [0, 1, 2, 3, 4] and owner.close()
    assert files(path) == expected
    assert ResumableStore(path, ("a", "b"), N).missing() == []


@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_lost_or_flipped_at_any_moment_the_end_has_the_same_bytes_and_only_what_was_hit_is_made_again(
    seed, tmp_path, expected
):
    """Kills between any two parts; chunks, marks and whole stores deleted; bits flipped; in unfinished and finished stores."""
    rng = random.Random(seed)
    path = tmp_path / "one.zarr"
    hit, made = set(range(N)), []
    for _ in range(12):
        try:
            store = opened(path)
        except StoreError as error:  # what the line says works
            assert "remove it" in str(error)
            shutil.rmtree(path.with_name("one.zarr.partial"))
            hit, store = set(range(N)), opened(path)
        assert set(store.missing()) <= hit
        for number in store.missing()[: rng.choice([1, 2, N])]:
            store.put(number, **values_of(number))
            made.append(number)
            hit.discard(number)
        try:
            store.close()
        except StoreError as error:
            assert "give the same command again" in str(error)
        there = sorted(one for one in tmp_path.rglob("*") if one.is_file() and "c" in one.parts)
        what = rng.choice(["nothing", "chunk", "flip", "store"])
        if what == "store":
            shutil.rmtree(store.where)
            hit = set(range(N))
        elif what != "nothing" and there:
            one = rng.choice(there)
            if "column" not in one.parts:
                hit.add(int(one.parts[one.parts.index("c") + 1]))
            if what == "chunk":
                one.unlink()
            else:
                content = bytearray(one.read_bytes())
                content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
                one.write_bytes(content)
    for _ in range(2):
        store = opened(path)
        for number in store.missing():
            store.put(number, **values_of(number))
        try:
            assert store.close()
        except StoreError as error:
            assert "give the same command again" in str(error)
    assert files(path) == expected
    assert sorted(one.name for one in tmp_path.iterdir()) == ["one.zarr"]


@pytest.mark.parametrize("step", ["marks", "rename"])
def test_a_command_killed_while_it_makes_a_finished_store_unfinished_loses_nothing(step, tmp_path, expected, monkeypatch):
    path = tmp_path / "one.zarr"
    filled(path)
    (path / "b" / "c" / "3").unlink()
    with monkeypatch.context() as patch:
        if step == "marks":
            patch.setattr(ResumableStore, "_write_marks", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        else:
            patch.setattr("data.resumable.Path.rename", lambda self, to: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            opened(path)
    store = opened(path)
    assert store.missing() == [3] == store.damaged
    store.put(3, **values_of(3))
    assert store.close() and files(path) == expected


def test_a_store_of_other_options_is_refused_in_one_line_or_replaced_only_when_the_new_one_is_whole(tmp_path, expected):
    path = tmp_path / "one.zarr"
    filled(path)
    with pytest.raises(StoreError) as refusal:
        opened(path, {"dt": 30})
    assert str(path) in str(refusal.value) and "dt was 60, now 30" in str(refusal.value) and "\n" not in str(refusal.value)
    store = opened(path, {"dt": 30}, renew=True)
    assert store.renewed and store.missing() == [0, 1, 2, 3, 4] and files(path) == expected
    store.put(0, **values_of(0))
    store = opened(path, {"dt": 30}, renew=True)
    assert store.missing() == [1, 2, 3, 4] and files(path) == expected and not store.close()
    worker = ResumableStore(path, ("a", "b"), N, renew=True)
    for number in worker.missing():
        worker.put(number, **values_of(number))
    assert store.close() and identity_of(path) == {"dt": 30}
    assert {name: content for name, content in files(path).items() if "/c/" in name} == {
        name: content for name, content in expected.items() if "/c/" in name
    }


def test_an_unfinished_store_of_other_options_is_refused_or_begun_anew(tmp_path):
    path = tmp_path / "one.zarr"
    opened(path).put(0, **values_of(0))
    with pytest.raises(StoreError, match="dt was 60, now 30"):
        opened(path, {"dt": 30})
    assert opened(path).missing() == [1, 2, 3, 4]
    assert opened(path, {"dt": 30}, renew=True).missing() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("notes", "missing"),
    [({"blocks": [0, 3]}, [1, 2, 4]), ({"snapshots": 6}, [2, 3, 4]), ({"maps": 14}, []), ({"maps": 0}, [0, 1, 2, 3, 4])],
)
def test_the_notes_of_earlier_versions_are_read_once_more(notes, missing, tmp_path, expected):
    path = tmp_path / "one.zarr"
    store = opened(path)
    for number in set(range(N)) - set(missing):
        store.put(number, **values_of(number))
    shutil.rmtree(store.partial / MARKS)
    (store.partial / "done.json").write_text(json.dumps(notes))
    store = opened(path)
    assert store.missing() == missing
    for number in missing:
        store.put(number, **values_of(number))
    assert store.close() and files(path) == expected


def test_the_folder_of_marks_is_not_taken_for_an_array(tmp_path, caplog):
    """zarr looked for one there, in a task whose error came out on the terminal when the process ended."""
    store = opened(tmp_path / "one.zarr")
    store.put(0, **values_of(0))
    assert set(arrays_of(store.partial)) == {"a", "b", "column"}
    (store.partial / "a" / "zarr.json").write_text("{")
    for _ in range(5):  # the error of the array came first, now and then
        with pytest.raises(StoreError, match="damaged"):
            opened(tmp_path / "one.zarr")
    gc.collect()
    assert not [record for record in caplog.records if record.name == "asyncio"]


def test_an_unfinished_store_that_tells_nothing_is_laid_out_anew(tmp_path):
    path = tmp_path / "one.zarr"
    store = opened(path)
    store.put(0, **values_of(0))
    shutil.rmtree(store.partial / MARKS)
    assert opened(path).missing() == [0, 1, 2, 3, 4]


def test_a_finished_store_without_marks_of_what_it_is_made_of_is_vouched_for_by_who_opens_it(tmp_path):
    """As earlier versions wrote them; not where a store is made anew without asking."""
    path = tmp_path / "one.zarr"
    ResumableStore(path, ("a", "b"), N, lay_out=lay_out)
    for number in range(N):
        ResumableStore(path, ("a", "b"), N).put(number, **values_of(number))
    ResumableStore(path, ("a", "b"), N, lay_out=lay_out).close()
    assert identity_of(path) is None and opened(path).whole
    assert opened(path, renew=True).missing() == [0, 1, 2, 3, 4]


# -- reading ---------------------------------------------------------------------------------------------------------


def test_no_lost_chunk_is_read_as_a_fill_value(tmp_path):
    path = tmp_path / "pdf.zarr"
    filled(path)
    assert lost_chunk(path) is None
    dataset = open_checked(path, "pdf", ("a", "b"))
    assert np.isnan(dataset["a"].values[6:9]).all()  # a chunk of fill values is there
    for chunk in ("a/c/2/0", "b/c/4", "column/c/0"):
        content, dataset = (path / chunk).read_bytes(), open_checked(path, "pdf", ("a", "b"))
        (path / chunk).unlink()
        assert lost_chunk(path) == path / chunk
        with pytest.raises(StoreError, match=f"pdf.zarr/{chunk} is missing; give the lagrangian.run"):
            open_checked(path, "pdf", ("a", "b"))
        if "column" not in chunk:  # which xarray has in memory
            with pytest.raises(StoreError, match=f"pdf.zarr/{chunk} is missing; give the lagrangian.run"):
                dataset.load()
        (path / chunk).write_bytes(content)
    shutil.rmtree(path / "a" / "c")
    with pytest.raises(StoreError, match="is missing"):
        open_checked(path, "pdf", ("a", "b"))


def test_an_array_of_fill_values_that_an_earlier_version_left_out_still_reads_but_a_part_of_one_does_not(tmp_path):
    path = tmp_path / "dynamics.zarr"
    filled(path)
    group = zarr.open_group(str(path), mode="r+")
    shutil.rmtree(path / "a" / "c")
    with pytest.raises(StoreError, match=r"is missing; give the evaluation\.diagnostics"):
        open_checked(path, "dynamics", ("a", "b"))
    del group.attrs["every_chunk_is_written"]  # as it was then
    dataset = open_checked(path, "dynamics", ("a", "b"))
    assert np.isnan(dataset["a"].values).all() and dataset["b"].values.any()
    (path / "b" / "c" / "1").unlink()
    with pytest.raises(StoreError, match=r"dynamics\.zarr/b/c/1 is missing"):
        open_checked(path, "dynamics", ("a", "b"))


def test_stores_without_checksums_are_of_earlier_versions_or_others_and_still_read(tmp_path):
    group = zarr.create_group(store=str(tmp_path / "pdf.zarr"), zarr_format=3)
    array = group.create_array("a", shape=(4, 2), chunks=(2, 2), dtype="float32", fill_value=0, dimension_names=("row", "column"))
    array[2:] = 1.0
    assert open_checked(tmp_path / "pdf.zarr", "pdf", ("a",))["a"].values.sum() == 4


def test_every_store_names_the_command_that_makes_it():
    for name, maker in MAKERS.items():
        path = Path("run") / name / "sst-ssh.zarr" if name == "predictions" else Path("run") / name
        assert maker in mend_of(path / "a" / "c" / "0") and maker in mend_of(path)


def test_what_differs_is_named_as_options_are():
    old = {"options": {"fields_spacing": 40, "dt": 60}, "starts": list(range(100))}
    assert differences(old, {**old, "options": {"fields_spacing": 20, "dt": 60}}) == ["fields-spacing was 40, now 20"]
    (long,) = differences(old, {**old, "starts": []})
    assert long.startswith("starts was [0, 1, 2") and len(long) < 100 and differences(old, old) == []


def test_a_layout_that_is_damaged_is_not_mended_from_one_of_other_values(tmp_path):
    """Only what is damaged is put in again: what is whole stays as it is."""
    path = tmp_path / "one.zarr"
    filled(path)
    column = (path / "column" / "c" / "0").read_bytes()
    (path / "a" / "zarr.json").write_text("{")
    store = ResumableStore(path, ("a", "b"), N, lay_out=partial(lay_out, scale=2.0), identity={"dt": 60})
    assert store.missing() == [] and store.close()
    assert (path / "column" / "c" / "0").read_bytes() == column


def test_a_chunk_of_many_blocks_has_the_same_bytes_every_time(tmp_path):
    """Threads of the compressor, which zarr forbids it, would put its blocks in the order in which they are done."""
    group = zarr.create_group(store=str(tmp_path / "one.zarr"), zarr_format=3)
    values = np.random.default_rng(0).integers(0, 3, (36, 8, 100, 100)).astype(np.uint16) % 2
    found = set()
    for number in range(8):
        add_array(group, f"a{number}", values.shape, values.shape, "uint16", tuple("elyx"), data=values, fill=0)
        found.add((tmp_path / "one.zarr" / f"a{number}" / "c" / "0" / "0" / "0" / "0").read_bytes())
    assert len(found) == 1


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "uint16", "int64", "bool"])
@pytest.mark.parametrize("chunks", [(1, 3, 40), (2, 3, 40), (2, 3, 20)])
def test_a_chunk_has_the_bytes_that_zarr_writes(dtype, chunks, tmp_path):
    """One that is a file of its own, the last one of fewer rows, and chunks of which several lie side by side."""
    group = zarr.create_group(store=str(tmp_path / "one.zarr"), zarr_format=3)
    values = np.asfortranarray(np.random.default_rng(2).normal(scale=30, size=(5, 3, 40)).astype(dtype))
    for name in ("ours", "laid_out", "zarrs"):
        data = values if name == "laid_out" else None
        add_array(group, name, values.shape, chunks, dtype, ("part", "row", "column"), data=data, fill=0)
    rows = chunks[0]
    if chunks[2] == values.shape[2]:
        for number in range(-(-len(values) // rows)):
            put_chunk(group["ours"], number, values[number * rows : (number + 1) * rows])
    group["zarrs"].with_config(EVERY_CHUNK)[...] = values
    found = {name: files(tmp_path / "one.zarr" / name / "c") for name in ("ours", "laid_out", "zarrs")}
    assert found["laid_out"] == found["zarrs"] and len(found["zarrs"]) > 2
    assert found["ours"] == found["zarrs"] or chunks[2] < values.shape[2]
    for one in (group, zarr.create_group(store={}, zarr_format=3)):  # in files, and in memory
        add_array(one, "whole", values.shape, values.shape, dtype, ("part", "row", "column"), data=values, fill=0)
        add_array(one, "number", (), (), dtype, (), data=values[0, 0, 0], fill=0)
        np.testing.assert_array_equal(one["whole"][...], values)
        assert one["number"][...] == values[0, 0, 0]


@pytest.mark.parametrize(
    "dtype, values",
    [
        (">f4", np.arange(12.0).reshape(3, 4)),
        ("datetime64[s]", np.arange(12).reshape(3, 4).astype("datetime64[s]")),
        ("timedelta64[ns]", np.arange(12).reshape(3, 4).astype("timedelta64[ns]")),
        ("float32", 3.0),
    ],
)
@pytest.mark.filterwarnings("ignore:The data type:zarr.errors.UnstableSpecificationWarning")
def test_what_is_laid_out_reads_as_zarr_would_have_written_it(dtype, values, tmp_path):
    group = zarr.create_group(store=str(tmp_path / "one.zarr"), zarr_format=3)
    for name in ("ours", "zarrs"):
        rows = len(values) if np.ndim(values) else 1
        add_array(group, name, (3, 4), (rows, 4), dtype, ("row", "column"), data=values if name == "ours" else None)
    group["zarrs"].with_config(EVERY_CHUNK)[...] = values
    ours, zarrs = (files(tmp_path / "one.zarr" / name / "c") for name in ("ours", "zarrs"))
    assert ours == zarrs and zarrs
    np.testing.assert_array_equal(group["ours"][...], np.broadcast_to(values, (3, 4)))


@pytest.mark.parametrize("level, shuffle", [(5, "bitshuffle"), (3, "shuffle")])
def test_a_store_begun_with_another_packing_goes_on_with_that(level, shuffle, tmp_path):
    group = zarr.create_group(store=str(tmp_path / "one.zarr"), zarr_format=3)
    values = np.random.default_rng(2).normal(size=(2, 3000)).round(1).astype("float32")
    packing = [BloscCodec(cname="zstd", clevel=level, shuffle=shuffle), Crc32cCodec()]
    for name in ("ours", "zarrs"):
        group.create_array(name, shape=values.shape, chunks=(1, 3000), dtype="float32", compressors=packing, config=EVERY_CHUNK)
    for number in range(2):
        put_chunk(group["ours"], number, values[number : number + 1])
    group["zarrs"][...] = values
    ours, zarrs = (files(tmp_path / "one.zarr" / name / "c") for name in ("ours", "zarrs"))
    assert ours == zarrs and len(zarrs) == 2


def test_values_that_a_mask_hides_or_have_no_place_or_leave_chunks_empty_are_refused_and_so_is_a_read_only_array(tmp_path):
    group = zarr.create_group(store=str(tmp_path / "one.zarr"), zarr_format=3)
    add_array(group, "a", (3, 4), (2, 4), "float32", ("row", "column"), fill=0)
    before = files(tmp_path)
    for number, values in ((0, np.ma.masked_less(np.arange(8.0).reshape(2, 4), 3)), (2, np.ones((2, 4)))):
        with pytest.raises((ValueError, OSError)):
            put_chunk(group["a"], number, values)
    with pytest.raises(ValueError, match="read-only"):
        put_chunk(zarr.open_group(str(tmp_path / "one.zarr"), mode="r")["a"], 0, np.ones((2, 4)))
    assert files(tmp_path) == before
    with pytest.raises(ValueError, match="broadcast"):
        add_array(group, "b", (3, 4), (1, 4), "float32", ("row", "column"), data=np.ones((1, 4)))


def test_a_chunk_that_cannot_be_written_leaves_the_one_before_and_nothing_aside(tmp_path, monkeypatch):
    group = zarr.create_group(store=str(tmp_path / "one.zarr"), zarr_format=3)
    add_array(group, "a", (2, 4), (1, 4), "float32", ("row", "column"), fill=0)
    put_chunk(group["a"], 0, np.ones((1, 4)))
    before = files(tmp_path)

    def full(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("data.chunks.os.fsync", full)
    for number in (0, 1):
        with pytest.raises(OSError, match="No space left"):
            put_chunk(group["a"], number, np.full((1, 4), 2.0))
    assert files(tmp_path) == before
