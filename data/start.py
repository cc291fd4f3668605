"""The first moments of a command, ``python -m PACKAGE.COMMAND``, before its imports, which take seconds."""

from __future__ import annotations

import gc
import os
import signal
import sys

from data.terminal import open_standard_streams

#: What is to be done when the imports of a command are.
_waiting: list = []


def begin(always: bool = False) -> None:
    """Prepare the process of a command: standard streams that are open, threads of sums that sleep while they wait, Ctrl-C during
    imports answered in one line, ``--help`` and the lack of an extra answered before them, and no search for garbage in them.

    Does nothing where the packages are imported by another program, unless ``always``.
    """
    if not always and sys.argv[:1] != ["-m"]:  # as it reads while python -m looks for the module
        return
    open_standard_streams()
    # read as PyTorch is imported: where other programs use the cores too, its threads spent most of their time waiting busily
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupted)
    if sys.argv[:1] == ["-m"]:
        from data.commands import answer_early

        if not answer_early():
            return  # a module of another program, which never tells that its imports are done
    if gc.isenabled():
        gc.disable()
        _waiting.append(gc.enable)


def imported() -> None:
    """The imports are done: Ctrl-C is a KeyboardInterrupt again, and garbage is sought, but not in what was imported."""
    if _waiting:
        gc.freeze()
        _waiting.pop()()
    if signal.getsignal(signal.SIGINT) is _interrupted:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _interrupted(*_) -> None:
    """End at once: an exception in the middle of an import comes out as pages of traceback."""
    os.write(2, b"interrupted before the command began\n")
    os._exit(130)
