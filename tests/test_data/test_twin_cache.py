"""The twin's cache: what is damaged there is never used, and told in one line."""

from __future__ import annotations

import errno

import numpy as np
import pytest

from data.errors import StoreError
from data.twin.ocean import open_twin
from data.twin.record import SEGMENT_DAYS, Record


@pytest.fixture
def cached(tmp_path):
    """A record of one segment, of a sea at rest."""
    record = Record(0, tmp_path)
    p = record.model.parameters
    record.folder.mkdir(parents=True)
    np.save(record._segment(0), np.zeros((SEGMENT_DAYS, p.layers + 1, p.n, p.n), np.float32))
    return record, tmp_path


def test_a_whole_segment_is_read(cached):
    ocean = open_twin(0.02, folder=cached[1])
    assert (ocean.record.day(3)[0] == 0).all()


@pytest.mark.parametrize("damage", ["empty", "half", "text", "other shape", "other type"])
def test_a_damaged_segment_is_cleared_and_told(cached, damage):
    record, folder = cached
    path = record._segment(0)
    content = path.read_bytes()
    if damage.startswith("other"):
        whole = np.load(path)
        np.save(path, whole[:, :3] if damage == "other shape" else whole.astype(np.float64))
    else:
        path.write_bytes({"empty": b"", "half": content[: len(content) // 2], "text": b"x" * 1000}[damage])
    with pytest.raises(StoreError, match="damaged and has been cleared; give the same command again"):
        open_twin(0.02, folder=folder)
    assert not path.exists()


def test_a_value_that_is_no_number_is_never_used(cached):
    record, folder = cached
    values = np.load(record._segment(0))
    values[2, 1, 5, 5] = np.nan
    np.save(record._segment(0), values)
    ocean = open_twin(0.02, folder=folder)
    with pytest.raises(StoreError, match="cleared"):
        ocean.record.day(2)


def test_a_damaged_state_is_as_a_lost_one(cached):
    record, folder = cached
    (record.folder / "state-0001.npz").write_bytes(b"x" * 100)
    with pytest.raises(StoreError, match="cleared"):
        open_twin(0.15, folder=folder)


def test_a_full_disk_and_a_record_that_it_would_not_hold_are_one_line(cached, monkeypatch):
    _, folder = cached
    with pytest.raises(StoreError, match=r"365001 days of the twin ocean would take about .* GB in .*; .* fewer --years"):
        monkeypatch.setattr("data.machine.shutil.disk_usage", lambda place: type("Usage", (), {"free": 1e10}))
        open_twin(1000.0, folder=folder)
    monkeypatch.undo()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Record, "_resume", full)
    with pytest.raises(StoreError, match="No space left on device; free space for the twin ocean"):
        open_twin(0.15, folder=folder)
