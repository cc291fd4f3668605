"""Short hashes have one form and one place."""

import hashlib
from pathlib import Path

import numpy as np

from data.fingerprint import fingerprint, fingerprint_of_file, fingerprint_of_json

ROOT = Path(__file__).resolve().parent.parent.parent


def test_a_fingerprint_is_the_first_16_digits_of_sha_256(tmp_path):
    expected = hashlib.sha256(b"one and two").hexdigest()[:16]
    assert fingerprint(b"one and two") == fingerprint(b"one ", b"and two") == expected
    (tmp_path / "file").write_bytes(b"one and two")
    assert fingerprint_of_file(tmp_path / "file") == expected
    values = np.arange(6.0)
    assert fingerprint(values) == fingerprint(values.tobytes())


def test_the_order_of_keys_does_not_count_and_values_do():
    assert fingerprint_of_json({"a": 1, "b": [2]}) == fingerprint_of_json({"b": [2], "a": 1})
    assert fingerprint_of_json({"a": 1}) != fingerprint_of_json({"a": 2})


def test_no_other_module_makes_its_own():
    packages = ("data", "lagrangian", "learning", "evaluation")
    found = [path.relative_to(ROOT) for name in packages for path in (ROOT / name).rglob("*.py") if "hashlib" in path.read_text()]
    assert [str(path) for path in found] == ["data/fingerprint.py"]
