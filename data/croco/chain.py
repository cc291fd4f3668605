"""Files of one run whose clocks do not fit together: put one after another, or refused."""

from __future__ import annotations

import dataclasses

import numpy as np

from data.command import one_line
from data.croco.decode import decode_record
from data.croco.files import File
from data.doubles import compared, differ
from data.errors import InputError
from data.handles import Handles


def chained(handles: Handles, files: list[File], origin: np.datetime64, notes: list[str]) -> list[File]:
    """Put files one after another in the order given, where a file's clock begins before the one before it ends.

    A file whose first record is that of the last one before it begins there; one whose clock begins later than 0 is counted from
    the end of the file before; else its first record stands one interval after that.
    """
    out: list[File] = []
    for file in files:
        before = next((candidate for candidate in reversed(out) if candidate.times.size), None)
        if before is None or not file.times.size or file.times[0] > before.times[-1]:
            out.append(file)
            continue
        end = before.times[-1]
        step = _step(before) or _step(file)
        elapsed = np.timedelta64(0) if file.dated else file.times[0] - origin.astype("datetime64[ns]")
        if same_values(handles, (before, before.times.size - 1), (file, 0)):
            first, how = end, "its first record is the last one of the file before it"
        elif np.timedelta64(0) < elapsed <= 2 * (step or elapsed):
            first, how = end + elapsed, "its clock is counted from the end of the file before it"
        elif step is None:
            raise InputError(
                f"{file.path}: one record, and one in {before.path}: --chain-files cannot tell how far they are apart; give "
                "files with more records, or with dates"
            )
        else:
            first, how = end + step, "one interval after the file before it"
        times = file.times + (first - file.times[0])
        out.append(dataclasses.replace(file, times=times))
        notes.append(f"{file.path}: begins at {np.datetime_as_string(first, unit='s')} as --chain-files asks ({how})")
    return out


def _step(file):
    """The usual interval of a file's records, None of one record."""
    return np.median(np.diff(file.times)) if file.times.size > 1 else None


def check_doubles(handles: Handles, doubles: list[tuple[tuple[File, int], tuple[File, int]]]) -> None:
    """Refuse files that hold different values at several of the same instants: two runs, or clocks that begin anew.

    Parameters
    ----------
    handles : Handles
    doubles : list of ((File, record), (File, record))
        Records of equal instants; a single one for a pair of files is where one run begins and another ends.
    """
    pairs: dict[tuple[str, str], list] = {}
    for first, second in doubles:
        pairs.setdefault((first[0].path, second[0].path), []).append((first, second))
    for (path, other_path), doubled in pairs.items():
        if len(doubled) < 2:
            continue
        for k in compared(len(doubled)):
            if same_values(handles, *doubled[k]):
                continue
            instant = np.datetime_as_string(doubled[k][0][0].times[doubled[k][0][1]], unit="s")
            raise InputError(
                f"{other_path} and {path} hold {len(doubled)} of the same instants with different values (looked at: {instant}); "
                "if each file's clock begins anew, --chain-files puts them one after another in the order given; if they are two "
                "runs, give the files of one"
            )


def same_values(handles: Handles, one: tuple[File, int], other: tuple[File, int]) -> bool:
    """Whether two records hold the same zeta and velocities, but for rounding."""
    for name in ("zeta", "u"):
        a, b = (_values(handles, file, record, name) for file, record in (one, other))
        if differ(a, b):
            return False
    return True


def _values(handles, file, record, name):
    with handles.open(file.path, f"record {record}") as dataset:
        try:
            return decode_record(dataset.variables[name], record if file.record_dimension else Ellipsis)
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(f"{file.path}: variable {name} of record {record} cannot be read ({one_line(error)})") from error
