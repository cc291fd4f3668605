"""Short hashes: what tells one configuration, file or version from another in names and records."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

#: Packages of this project.
PACKAGES = ("data", "lagrangian", "learning", "evaluation")


def fingerprint(*parts) -> str:
    """First 16 hexadecimal digits of the SHA-256 of bytes (or contiguous arrays), one part after another."""
    return checksum(*parts)[:16]


def checksum(*parts) -> str:
    """The SHA-256 (64 hexadecimal digits) of bytes (or contiguous arrays), one part after another: tells damage."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def fingerprint_of_json(value) -> str:
    """:func:`fingerprint` of a value that JSON can hold; the order of keys does not count."""
    return fingerprint(json.dumps(value, sort_keys=True).encode())


def fingerprint_of_file(path: Path) -> str:
    """:func:`fingerprint` of a file's content."""
    return fingerprint(Path(path).read_bytes())
