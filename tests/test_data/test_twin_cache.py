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


@pytest.fixture
def computed(monkeypatch):
    """Computing a segment writes ones, at once; which segments were computed."""
    numbers = []

    def compute(self, number, state, progress):
        numbers.append(number)
        p = self.model.parameters
        self.folder.mkdir(parents=True, exist_ok=True)
        np.save(self._segment(number), np.ones((SEGMENT_DAYS, p.layers + 1, p.n, p.n), np.float32))

    monkeypatch.setattr(Record, "_compute", compute)
    return numbers


@pytest.mark.parametrize("damage", ["empty", "half", "text", "other shape", "other type", "not a number"])
def test_a_damaged_segment_is_told_and_computed_again(cached, computed, damage, capsys):
    record, folder = cached
    path = record._segment(0)
    content = path.read_bytes()
    if damage == "not a number":
        values = np.load(path)
        values[2, 1, 5, 5] = np.nan
        np.save(path, values)
    elif damage.startswith("other"):
        whole = np.load(path)
        np.save(path, whole[:, :3] if damage == "other shape" else whole.astype(np.float64))
    else:
        path.write_bytes({"empty": b"", "half": content[: len(content) // 2], "text": b"x" * 1000}[damage])
    ocean = open_twin(0.02, folder=folder)
    assert "days-0000.npy is damaged or missing; the twin ocean is computed again" in capsys.readouterr().out
    assert computed == [0] and (ocean.record.day(3)[0] == 1).all()


def test_a_value_that_went_bad_while_the_record_is_open_is_never_used(cached):
    record, folder = cached
    ocean = open_twin(0.02, folder=folder)
    values = np.load(record._segment(0))
    values[2, 1, 5, 5] = np.nan
    np.save(record._segment(0), values)
    with pytest.raises(StoreError, match="was damaged and has been cleared; give the same command again"):
        ocean.record.day(2)


def test_a_damaged_state_is_as_a_lost_one(cached, computed, capsys):
    record, folder = cached
    (record.folder / "state-0001.npz").write_bytes(b"x" * 100)
    open_twin(0.15, folder=folder)
    assert "state-0001.npz is damaged or missing" in capsys.readouterr().out
    assert computed[0] == 0


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
