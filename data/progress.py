"""A progress bar with rate and time left: tqdm on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time

from tqdm import tqdm

from data.terminal import LogFile, PlainStream


class Progress:
    """Progress over ``total`` units; a context manager.

    Parameters
    ----------
    title, unit : str
    every : float
        Seconds between plain lines when stderr is not a terminal; nothing is printed for what takes less than 2 s.
    """

    def __init__(self, title: str, unit: str, every: float = 15.0):
        self.title, self.unit, self.every = title, unit, every
        self._terminal = sys.stderr.isatty()
        self._log = sys.stderr.log if isinstance(sys.stderr, PlainStream) else LogFile()
        self._bar: tqdm | None = None

    def __enter__(self) -> Progress:
        self._started = self._printed = time.monotonic()
        self._first: tuple[float, int] | None = None
        return self

    def __exit__(self, *_) -> None:
        if self._bar is not None:
            self._bar.close()

    def update(self, done: int, total: int, note: str = "") -> None:
        """Say that ``done`` of ``total`` units are done; more than all (a last part that is longer than asked for) is all."""
        done = min(done, total)
        if self._terminal:
            if self._bar is None:
                self._bar = tqdm(total=total, desc=self.title, unit=self.unit, delay=2, file=sys.stderr)
            self._bar.total = total
            self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(done - self._bar.n)
            if not self._log.is_open:
                return
        now = time.monotonic()
        self._first = self._first or (now, done)
        if now - self._printed >= (2.0 if self._printed == self._started else self.every) and done:
            self._printed = now
            since, before = self._first  # time before the first update (compiling, opening files) is not part of the rate
            left = f", {(now - since) / (done - before) * (total - done):.0f} s left" if total > done > before else ""
            line = f"{self.title}: {done}/{total} {self.unit}s{left}" + (f", {note}" if note else "")
            if self._terminal:
                self._log.write(line)
            else:
                print(line, file=sys.stderr, flush=True)
