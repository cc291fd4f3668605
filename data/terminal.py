"""What reaches the terminal: text without control characters, and no error where nobody reads any longer.

Names, attributes and messages of files can hold escape sequences that move the cursor, hide text or rename the window. All that a
command prints goes through :func:`plain_streams`, the one place that makes such characters visible instead.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
from collections.abc import Iterator
from typing import Any

#: Control characters but tab and line feed, line and paragraph separators, and what turns the direction of text around.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def clean(text: str) -> str:
    """Text whose control characters, and what stands for bytes of undecodable names, are written as escapes: ``\\x1b``."""
    text = _CONTROL.sub(lambda found: found.group().encode("unicode_escape").decode(), text)
    return text.encode("utf-8", "backslashreplace").decode()


class PlainStream:
    """A text stream that passes :func:`clean` text on to another, and lets a reader go who has closed the pipe."""

    def __init__(self, stream: Any):
        self._stream = stream
        self._encoding = getattr(stream, "encoding", None) or "utf-8"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write; a carriage return at the very beginning (a progress bar's) stays."""
        start = "\r" if text.startswith("\r") else ""
        plain = start + clean(text[len(start) :])
        with _nobody_reads(self._stream):
            self._stream.write(plain.encode(self._encoding, "backslashreplace").decode(self._encoding))
        return len(text)

    def writelines(self, lines) -> None:
        """:meth:`write` each."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush."""
        with _nobody_reads(self._stream):
            self._stream.flush()


@contextlib.contextmanager
def _nobody_reads(stream: Any) -> Iterator[None]:
    """Where the other end of a pipe was closed (``| head``): what is still to be written goes nowhere; the work goes on."""
    try:
        yield
    except BrokenPipeError:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


@contextlib.contextmanager
def plain_streams() -> Iterator[None]:
    """stdout and stderr as :class:`PlainStream`, for the time of a command."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (one if isinstance(one, PlainStream) else PlainStream(one) for one in before)
    try:
        yield
    finally:
        for one in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                one.flush()
        sys.stdout, sys.stderr = before


def open_standard_streams() -> None:
    """See that the first three file descriptors are open, on nothing where the caller closed them (``2>&-``).

    Else the next file that is opened would take the place, and messages would be written into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError as error:
            if error.errno == errno.EBADF:
                # the lowest free number is taken: those before are open
                os.open(os.devnull, os.O_RDWR)
    for name, mode in (("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115
