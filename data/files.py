"""Files that are complete or absent: written aside under a name of their own, put on disk, renamed."""

from __future__ import annotations

import contextlib
import glob
import os
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

from data import system
from data.errors import cannot_write


@contextlib.contextmanager
def written_aside(path: Path, ending: str = "", *, make_folder: bool = True) -> Iterator[Path]:
    """Give a path beside ``path`` to write to; on leaving, the file written there is put on disk and renamed to ``path``.

    Several processes may write one name at once: each writes aside under a name of its own, the last to rename stays. Where the
    block raises, what it wrote is removed; what a killed process of this host left is removed by the next that writes the name.
    Nobody can foresee the name aside: one that could be foreseen could be planted, as a symbolic link, where others write too.

    Parameters
    ----------
    path : Path
        Of the file.
    ending : str
        Of the name aside, for libraries that go by it; a name with an ending is hidden, so that no pattern of finished files
        finds it.
    make_folder : bool
        Whether to make the file's folder where there is none.

    Raises
    ------
    OSError
        It cannot be written; what ``path`` held before stays.
    """
    path = Path(path)
    if make_folder:
        path.parent.mkdir(parents=True, exist_ok=True)
    remove_strays(path.parent, path.name)
    aside = path.with_name(f"{path.name}.{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}.aside")
    if ending:
        aside = path.with_name(f".{aside.name}{ending}")
    with renamed(aside, path):
        yield aside


@contextlib.contextmanager
def renamed(aside: Path, path: Path, *, durable: bool = True) -> Iterator[None]:
    """Rename what the block writes at ``aside`` to ``path``, once it is on disk if ``durable``; remove it if the block raises."""
    try:
        yield
        if durable:
            put_on_disk(aside)
        aside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        raise


def make_folder(path: Path) -> None:
    """Make the folder of the results if it is absent; StoreError if the folder cannot be made."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(f"into --out {path}", error, "choose another --out") from None


def put_on_disk(path: Path) -> None:
    """Wait until the content of a file would survive a power cut."""
    file = system.open_for_disk(path)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def remove_strays(folder: Path, name: str | None = None) -> None:
    """Remove what processes of this host, now dead, left half-written in ``folder`` (of ``name`` only, where given)."""
    start = f"{glob.escape(name)}." if name else "*."
    ours = f"{start}{glob.escape(socket.gethostname())}-*.aside"
    for path in (*folder.glob(ours), *folder.glob(f".{ours}.*")):
        pid = path.name.rpartition(".aside")[0].rsplit("-", 2)[1]
        if pid.isdigit() and not system.lives(int(pid)):
            with contextlib.suppress(OSError):
                path.unlink()
