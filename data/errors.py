"""The project's own exceptions. Their text is the one line that a user reads; commands turn them into exit code 2."""

from __future__ import annotations

import errno

#: Errors that free space does not mend.
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
#: Errors of a name: something else has it, or a file has that of a folder on the way.
_IN_THE_WAY = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY, errno.ELOOP)


class CatchmentError(Exception):
    """Base class of errors that the user can mend. The message tells the fault, its place and its remedy."""


class InputError(CatchmentError):
    """A file, variable or value in the input is missing, unreadable or impossible."""


class OptionError(CatchmentError):
    """An option of a command has an impossible value, or contradicts another."""


class StoreError(CatchmentError):
    """A result folder or store cannot be used: it belongs to another configuration, is damaged, or cannot be written."""


def need(condition, text: str) -> None:
    """Refuse an option: OptionError with ``text`` where the condition does not hold."""
    if not condition:
        raise OptionError(text)


def cannot_write(path, error: OSError, mend: str = "free space and give the same command again") -> StoreError:
    """StoreError for a file or store that could not be written; ``mend`` where neither permission nor a name is lacking."""
    if error.errno in _FORBIDDEN:
        mend = "make it writable for you, or choose another folder"
    elif error.errno in _IN_THE_WAY:
        mend = "remove or rename what is in the way, or choose another folder"
    elif error.errno == errno.ENAMETOOLONG:
        mend = "choose a shorter name"
    return StoreError(f"cannot write {path}: {error.strerror or error}; {mend}")
