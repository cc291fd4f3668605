"""numba's ``njit`` with a cache of machine code that is never older than the sources which the machine code is built from.

numba keys the cache of a function by the file that holds the function. A kernel is also built from the functions, intrinsics and
constants of the modules that its own module imports; a change there alone would leave the old machine code in use. Here the
cache lies in a folder that is named by a hash of all those sources, outside the installed package, which may be read-only. The
same sources at another place, such as a new environment's, find the machine code that is there.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numba
import platformdirs
from numba.core import caching, config, event

from data.fingerprint import PACKAGES
from data.fingerprint import fingerprint as short_hash

_IMPORT = re.compile(r"^\s*(?:from\s+([\w.]+)\s+import\s+(\([^)]*\)|[^\n#]*)|import\s+([\w., ]+))", re.MULTILINE)
#: Machine code that no process has loaded for this long is removed, s.
_KEEP = 30 * 86400.0
_LOCK = threading.Lock()
#: The folder of the packages, and numba's setting of the classes that say where machine code is kept (absent before numba 0.62).
_ROOT, _LOCATORS = Path(__file__).resolve().parents[1], "CACHE_LOCATOR_CLASSES"


def njit(**options):
    """Decorator: ``numba.njit(cache=True, **options)`` with the cache folder described above; uncached where none is writable."""

    def decorate(function):
        path = Path(function.__code__.co_filename).resolve()
        folder = _writable_folder(path)
        if folder is None:
            return numba.njit(**options)(function)
        settings = {"CACHE_DIR": str(folder)}
        if _ROOT in path.parents and hasattr(config, _LOCATORS):
            settings[_LOCATORS] = f"{__name__}.{_BySources.__name__}"
        with _LOCK:  # numba reads the settings when it decorates
            previous = {name: getattr(config, name) for name in settings}
            try:
                for name, value in settings.items():
                    setattr(config, name, value)
                return numba.njit(cache=True, **options)(function)
            finally:
                for name, value in previous.items():
                    setattr(config, name, value)

    return decorate


class Compiling(event.Listener):
    """Counts the CPU time, ``seconds``, in which threads compile what no cache holds; what is compiled within another, once."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._threads = threading.local()

    def on_start(self, event) -> None:
        """A function begins to be compiled, perhaps for the sake of another."""
        depth = getattr(self._threads, "depth", 0)
        self._threads.depth = depth + 1
        if depth == 0:
            self._threads.began = time.thread_time()

    def on_end(self, event) -> None:
        """It is compiled, or cannot be."""
        self._threads.depth -= 1
        if self._threads.depth == 0:
            self.seconds += time.thread_time() - self._threads.began


@contextlib.contextmanager
def compiling() -> Iterator[Compiling]:
    """Give a :class:`Compiling` that counts as long as the context lasts."""
    listener = Compiling()
    with event.install_listener("numba:compile", listener):
        yield listener


class _BySources(caching._CacheLocator):
    """Where numba keeps machine code of this project: in the folder that is named by the sources, whatever place these lie at."""

    def __init__(self, function, file):
        self._folder, self._line = config.CACHE_DIR, function.__code__.co_firstlineno
        self._py_file, self._lineno = file, self._line  # numba's warning of what it cannot keep names these

    @classmethod
    def from_function(cls, py_func, py_file):
        return cls(py_func, py_file)

    def get_cache_path(self):
        return self._folder

    def get_source_stamp(self):
        return os.path.basename(self._folder)

    def get_disambiguator(self):
        return str(self._line)


def sources_of(path: Path) -> list[Path]:
    """Files of a module of this project and of all modules of the project that it imports, directly or not; sorted."""
    root = path.parent
    while (root / "__init__.py").exists():
        root = root.parent
    sources, waiting = set(), [path]
    while waiting:
        file = waiting.pop()
        if file in sources:
            continue
        sources.add(file)
        for origin, names, plain in _IMPORT.findall(file.read_text(encoding="utf-8")):
            modules = [*re.findall(r"[\w.]+", plain), origin, *(f"{origin}.{name}" for name in re.findall(r"\w+", names))]
            for module in modules:
                # other libraries are known to numba's cache by their own versions or do not reach machine code
                if module.partition(".")[0] in PACKAGES:
                    base = root.joinpath(*module.split("."))
                    waiting += [source for source in (base.with_suffix(".py"), base / "__init__.py") if source.is_file()]
    return sorted(sources)


def fingerprint(path: Path) -> str:
    """Hash (16 hexadecimal digits) of the sources that machine code of the module at ``path`` is built from."""
    contents = [(source.name, source.read_bytes()) for source in sources_of(path)]
    return short_hash(*(f"{name} {len(content)}\n".encode() + content for name, content in contents))


@cache
def _writable_folder(path: Path) -> Path | None:
    """The cache folder of the module at ``path``; None where it cannot be made."""
    cache = os.environ.get("NUMBA_CACHE_DIR")
    base = Path(cache) / "catchment-toolkit" if cache else Path(platformdirs.user_cache_dir("catchment-toolkit")) / "compiled"
    folder = base / f"{path.stem}-{fingerprint(path)}"
    try:
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            _prune(base)
        os.utime(folder)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None


def _prune(base: Path) -> None:
    """Remove the folders of sources that no process has used for 30 days."""
    for folder in base.iterdir():
        try:
            if folder.is_dir() and time.time() - folder.stat().st_mtime > _KEEP:
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue
