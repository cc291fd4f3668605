"""Output to the terminal: text without control characters, and no error if the reader of a pipe is gone.

Names, attributes and messages of files can hold escape sequences that move the cursor, hide text or rename the window. All that a
command prints goes through :func:`plain_streams`, the one place that makes such characters visible instead.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
import time
from collections.abc import Iterator
from typing import Any

from data.errors import OptionError

#: Control characters but tab and line feed, line and paragraph separators, and what turns the direction of text around.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def clean(text: str) -> str:
    """Text whose control characters and undecodable bytes are written as escapes: ``\\x1b``."""
    text = _CONTROL.sub(lambda match: match.group().encode("unicode_escape").decode(), text)
    return text.encode("utf-8", "backslashreplace").decode()


class LogFile:
    """A file that lines are added to, each with its time; a context manager. Not open, it takes lines and keeps none."""

    def __init__(self) -> None:
        self._file: Any = None

    def open(self, path: str | None) -> None:
        """Open a file, its end; None: none. OptionError where it cannot be written."""
        if path is None:
            return
        try:
            self._file = open(path, "a", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
        except OSError as error:
            raise OptionError(f"--log-file {path}: {error.strerror or error}; name a file that can be written") from None

    def __enter__(self) -> LogFile:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None

    @property
    def is_open(self) -> bool:
        """Whether lines are kept."""
        return self._file is not None

    def write(self, line: str) -> None:
        """Add a line; a full disk is no reason to end the work."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.write(f"{now()} {clean(line)}\n")
                self._file.flush()


def now() -> str:
    """The time as lines of a log begin."""
    return time.strftime("%Y-%m-%d %H:%M:%S")


class PlainStream:
    """A text stream that passes :func:`clean` text on to another, and lets a reader go who has closed the pipe.

    Parameters
    ----------
    stream
    log : LogFile, optional
        Takes every line too, but for those that a progress bar draws over itself.
    quiet : bool
        Pass nothing on.
    stamped : bool
        Begin each line with its time.
    """

    def __init__(self, stream: Any, *, log: LogFile | None = None, quiet: bool = False, stamped: bool = False):
        self._stream = stream
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        self.log, self._quiet, self._stamped = log or LogFile(), quiet, stamped
        self._begun, self._fresh = "", True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write; a carriage return at the very beginning (a progress bar's) stays."""
        start = "\r" if text.startswith("\r") else ""
        plain = start + clean(text[len(start) :])
        if self.log.is_open and not start:
            *lines, self._begun = (self._begun + plain).split("\n")
            for line in lines:
                if line:
                    self.log.write(line)
        if self._quiet:
            return len(text)
        if self._stamped and not start:
            lines = plain.splitlines(keepends=True)
            plain = "".join(f"{now()} {line}" if (i or self._fresh) and line != "\n" else line for i, line in enumerate(lines))
            self._fresh = plain.endswith("\n") if plain else self._fresh
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
    """Drop further output if the other end of a pipe was closed (``| head``); the work goes on."""
    try:
        yield
    except BrokenPipeError:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


@contextlib.contextmanager
def plain_streams(*, log: LogFile | None = None, quiet: bool = False, stamped: bool = False) -> Iterator[None]:
    """stdout and stderr as :class:`PlainStream`, for the time of a command.

    ``stamped`` concerns a stream that is the process's own and no terminal (a file, a batch system's log): not what another
    program has put in its place.
    """
    before = sys.stdout, sys.stderr
    standard = {id(sys.__stdout__), id(sys.__stderr__)}

    def plain(stream: Any) -> Any:
        if isinstance(stream, PlainStream):
            return stream
        return PlainStream(stream, log=log, quiet=quiet, stamped=stamped and id(stream) in standard and not _is_terminal(stream))

    sys.stdout, sys.stderr = map(plain, before)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        sys.stdout, sys.stderr = before


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False


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
