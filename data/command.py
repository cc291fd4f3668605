"""The parts that all commands share: options from a typed dataclass and a TOML file, error lines, exit codes, provenance."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import functools
import importlib.metadata
import io
import json
import platform
import re
import shlex
import subprocess
import sys
import tomllib
import traceback
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import tyro
from threadpoolctl import threadpool_limits

from data import start
from data.bounds import check_bounds
from data.commands import ALIASES, COMMANDS, install_line, options_of, word_of, words
from data.errors import CatchmentError, OptionError, StoreError, cannot_write
from data.files import written_aside
from data.fingerprint import fingerprint
from data.help_page import COMMON_FLAGS, help_page
from data.option_rows import command_words, option_rows
from data.terminal import LogFile, clean, open_standard_streams, plain_streams

Config = TypeVar("Config")

#: Packages whose versions are written beside results.
RECORDED_PACKAGES = (
    "catchment-toolkit", "parcels", "numpy", "numba", "xarray", "zarr", "scipy", "torch", "pytorch-lightning", "netCDF4",
    "distributed", "pot",
)  # fmt: skip


#: Types of what the toolkit's JSON files hold under some names, in whichever of them.
JSON_TYPES: dict[str, Any] = {
    "configuration": dict, "identity": dict, "identity.options": dict, "identity.starts": list, "ocean": dict, "versions": dict,
    "files": (dict, list), "sources": list, "result": dict, "request": dict, "split": dict, "command_line": str, "blocks": list,
    "snapshots": int, "maps": int, "run_identity": str,
}  # fmt: skip


def run_command(
    kind: type[Config],
    main: Callable[[Config], Any] | None = None,
    *,
    prog: str,
    argv: Sequence[str] | None = None,
    load: Callable[[], Callable[[Config], Any]] | None = None,
) -> int:
    """Parse ``argv`` into ``kind``, call ``main``, and return the exit code of the contract.

    0 done; 2 bad input or options, with one line on stderr; 130 on Ctrl-C. ``--config FILE`` supplies defaults that the command
    line overrides; ``--quiet`` silences all but errors; ``--log-file FILE`` keeps what is said; ``--debug`` shows tracebacks.

    Parameters
    ----------
    kind : dataclass
        Its field docstrings are the help.
    main : callable
        Takes the options; what it returns is the exit code (None: 0).
    load : callable, optional
        Gives ``main`` where that is slow to import: it is called when the options are known to be right.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    open_standard_streams()
    log = LogFile()

    def act() -> int:
        common, arguments = _split_common(argv)
        config = parse(kind, arguments, prog=prog)
        log.open(common.log_file)
        log.write(f"{prog} {shlex.join(argv)}")
        command = main if load is None else load()
        start.imported()
        answers = getattr(config, "dry_run", False) or getattr(config, "check", False)  # what is asked for is no log
        # matrix products of numpy in one thread: with another number of them their last digits differ
        streams = plain_streams(log=log, quiet=common.quiet and not answers, stamped=not answers)
        with streams, threadpool_limits(1, user_api="blas"):
            code = int(cast(Any, command)(config) or 0)
            sys.stdout.flush()  # a full disk gives its error here, not while Python ends
            return code

    with log:
        return answered(prog, act, debug="--debug" in argv, log=log)


def answered(prog: str, act: Callable[[], int], *, debug: bool = False, log: LogFile | None = None) -> int:
    """The exit code of ``act()``; an error that the user can mend becomes a line on stderr and code 2 (Ctrl-C: 130)."""
    caught: BaseException
    try:
        return act()
    except CatchmentError as error:
        caught, line, code = error, one_line(error), 2
    except ModuleNotFoundError as error:
        line = install_line(error.name or "")
        if not line:
            raise
        caught, code = error, 2
    except KeyboardInterrupt as error:
        caught, line, code = error, "interrupted; what was finished is kept, the same command goes on from there", 130
    except OSError as error:
        caught, line, code = error, f"{one_line(error)}; what was finished is kept, the same command goes on from there", 2
    except MemoryError as error:
        caught, code = error, 2
        line = f"memory ran out ({one_line(error)}); what was finished is kept; ask for less, or use a larger machine"
    except RecursionError as error:
        caught, line, code = error, "a file is nested too deep to be read; replace it (--debug shows where)", 2
    if debug:
        traceback.print_exception(caught)
    with plain_streams(log=log):
        print(f"{prog}: {line}", file=sys.stderr)
    return code


@dataclasses.dataclass(frozen=True)
class _Common:
    """Options that every command has beside those of its dataclass."""

    quiet: bool = False
    log_file: str | None = None


def _split_common(argv: Sequence[str]) -> tuple[_Common, list[str]]:
    """Split the options that every command has from the other arguments (``--config`` is one of these)."""
    others_of_command: list[str] = []
    quiet, log_file = False, None
    arguments = iter(argv)
    for argument in arguments:
        if argument == "--quiet":
            quiet = True
        elif argument == "--log-file" or argument.startswith("--log-file="):
            log_file = argument.partition("=")[2] or next(arguments, None)
            if not log_file:
                raise OptionError("--log-file needs the path of a file")
        else:
            others_of_command.append(argument)
    return _Common(quiet, log_file), others_of_command


def one_line(error: BaseException) -> str:
    """The message of an exception on one line, its control characters as escapes."""
    return clean(" ".join(str(error).split())) or type(error).__name__


def parse(kind: type[Config], argv: Sequence[str], *, prog: str) -> Config:
    """Options from the command line over those of ``--config`` over the defaults.

    Raises
    ------
    OptionError
        For an unknown option or an impossible value, in either place.
    SystemExit
        After ``--help``.
    """
    argv = _join_negative_values([argument for argument in argv if argument != "--debug"])
    if "-h" in argv or "--help" in argv:
        with plain_streams():
            print(help_page(kind, prog), end="")
        raise SystemExit(0)
    default, argv = _with_config_file(kind, argv)
    captured = io.StringIO()
    try:
        with contextlib.redirect_stderr(captured), contextlib.redirect_stdout(captured):
            config = tyro.cli(kind, args=argv, prog=prog, default=default)
    except SystemExit as stop:
        if stop.code in (0, None):  # what was asked for, such as a shell's completion
            print(captured.getvalue(), end="")
            raise
        raise OptionError(_parser_message(captured.getvalue(), kind)) from stop
    check_bounds(config)
    return config


def _parser_message(text: str, kind: type) -> str:
    """The text of a boxed parser error, with an existing option proposed for each unknown option."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    plain = re.sub(r"[─-╿]+|-{5,}", " ", plain)
    plain = re.sub(r"\s+", " ", plain)
    plain = re.split(r"Argument helptext|For full helptext|Similar arguments:?|Perhaps you meant:?", plain)[0]
    plain = re.sub(r"^\s*(Parsing error|Value error|Invalid choice|Unrecognized options)\s+(?=\S)", "", plain).strip()
    meant: list[str] = []
    if "nrecognized" in plain:
        flags = [flag for row in option_rows(kind) for flag in row.flags] + list(COMMON_FLAGS)
        for word in re.findall(r"(?<![\w-])--[A-Za-z][\w-]*", plain):
            begun = [flag for flag in flags if flag.startswith(word.replace("_", "-"))]
            meant += begun[:2] or difflib.get_close_matches(word.replace("_", "-"), flags, 2, 0.65)
    suggestion = f"; perhaps you meant {' or '.join(dict.fromkeys(meant))}" if meant else ""
    return plain + suggestion + " (--help lists the options)"


def _join_negative_values(argv: Sequence[str]) -> list[str]:
    """``--site -16.5,49`` as ``--site=-16.5,49``: a value that begins with a minus sign must not look like an option."""
    joined: list[str] = []
    for argument in argv:
        if re.match(r"-[\d.]+,", argument) and joined and re.fullmatch(r"--[\w-]+", joined[-1]):
            joined[-1] += "=" + argument
        else:
            joined.append(argument)
    return joined


def _with_config_file(kind: type[Config], argv: list[str]) -> tuple[Config, list[str]]:
    remaining, path = [], None
    arguments = iter(argv)
    for argument in arguments:
        if argument == "--config":
            path = next(arguments, None)
            if path is None:
                raise OptionError("--config needs the path of a TOML file")
        elif argument.startswith("--config="):
            path = argument.split("=", 1)[1]
        else:
            remaining.append(argument)
    default = kind()
    if path is None:
        return default, remaining
    table = own_table(kind, _read_options(path), path)
    return dataclasses.replace(cast(Any, default), **_checked(kind, table, path)), remaining


def _read_options(path: str) -> dict:
    """Read the options in a TOML file, or the options in run.json or fit.json that made a result (``configuration``)."""
    try:
        text = Path(path).read_text()
        if not path.endswith(".json"):
            return tomllib.loads(text)
    except OSError as error:
        raise OptionError(f"--config {path}: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise OptionError(f"--config {path} is not valid TOML: {one_line(error)}") from None
    record = read_json(Path(path), ocean=(dict, str))  # metrics.json has the ocean's title
    if not isinstance(record.get("configuration"), dict):
        raise OptionError(f"--config {path}: holds no 'configuration', as the run.json or fit.json of results do")
    return {name: value for name, value in record["configuration"].items() if value is not None}


def own_table(kind: type, table: dict, path: str) -> dict:
    """The options of one command in a file of several: those of its own table over those outside of tables.

    A file without tables is one command's. In a file with tables, what stands outside of them goes to every command that has an
    option of that name.

    Raises
    ------
    OptionError
        A table is of no command, or an option outside of the tables is nobody's.
    """
    tables = {name: value for name, value in table.items() if isinstance(value, dict)}
    if not tables:
        return table
    word, known_words = word_of(kind), [name for name in words() if COMMANDS[name].module and name != "check"]
    for name in tables:
        if ALIASES.get(name, name).replace("_", "-") not in known_words:
            near = difflib.get_close_matches(name, known_words, 1)
            meant = f"perhaps you meant [{near[0]}]; " if near else ""
            names = ", ".join(known_words)
            raise OptionError(f"--config {path}: there is no command for the table [{name}]; {meant}known are {names}")
    of_command = {name for name in tables if ALIASES.get(name, name).replace("_", "-") == word}
    outside = {name: value for name, value in table.items() if name not in tables}
    kinds = [options_of(COMMANDS[name].module) for name in known_words]
    of_all = {field.name for options in kinds for field in dataclasses.fields(cast(Any, options))}
    for name in outside:
        if name.replace("-", "_") not in of_all:
            raise OptionError(f"--config {path}: {name!r} outside of the tables is no option of any command")
    fields = {field.name for field in dataclasses.fields(cast(Any, kind))}
    values = {name.replace("-", "_"): value for name, value in outside.items() if name.replace("-", "_") in fields}
    for name in of_command:
        values |= {key.replace("-", "_"): value for key, value in tables[name].items()}
    return values


def _checked(kind: type, table: dict, path: str) -> dict:
    """Values of a table as the dataclass wants them: names known, lists to tuples, numbers and paths converted."""
    hints = {field.name: hint for hint, field in _fields_with_hints(kind)}
    flags = command_words(kind)
    values = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        name = name if name in hints else flags.get(name, name)
        if name not in hints:
            near = difflib.get_close_matches(name, hints, 1)
            meant = f"perhaps you meant {near[0]}; " if near else ""
            raise OptionError(f"--config {path}: unknown option {key!r} ({meant}known: {', '.join(sorted(hints))})")
        values[name] = _convert(value, hints[name], f"--config {path}: {key}")
    return values


def _fields_with_hints(kind: type) -> list[tuple[Any, dataclasses.Field]]:
    hints = typing.get_type_hints(kind)
    return [(hints[field.name], field) for field in dataclasses.fields(cast(Any, kind))]


def _convert(value, hint, where):
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        items = value if isinstance(value, list) else [value]
        return tuple(_convert(item, arguments[0], where) for item in items)
    if origin is typing.Literal:
        if value not in arguments:
            raise OptionError(f"{where} = {value!r} must be one of {', '.join(map(str, arguments))}")
        return value
    if arguments:  # a union such as float | None
        *kinds, last = [argument for argument in arguments if argument is not type(None)]
        for argument in kinds:
            with contextlib.suppress(OptionError):
                return _convert(value, argument, where)
        return _convert(value, last, where)
    if hint is Path and isinstance(value, str):
        return Path(value)
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if hint is str and not isinstance(value, (list, dict)):
        return str(value)
    if isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    raise OptionError(f"{where} = {value!r} must be of type {getattr(hint, '__name__', hint)}")


def json_ready(value):
    """Dataclasses, tuples, paths and numpy values as JSON has them."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: json_ready(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): json_ready(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_ready(item) for item in value]
    if hasattr(value, "tolist"):
        return json_ready(value.tolist())
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    return str(value)


@functools.cache
def source_fingerprint() -> str:
    """A hash of the source that results depend on: tells one version of the toolkit from another, installed or not."""
    root = Path(__file__).resolve().parent.parent
    paths = [path for package in ("data", "lagrangian", "learning") for path in sorted(root.glob(f"{package}/**/*.py"))]
    return fingerprint(*(path.read_bytes() for path in paths))[:12]


def provenance(config) -> dict:
    """A record of the call: options, command line, versions, machine, git commit (None if unknown), source fingerprint."""
    return {
        "configuration": json_ready(config),
        "command_line": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "versions": dict(_versions()),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "git_commit": _git_commit(),
        "source": source_fingerprint(),
    }


@functools.cache
def _versions() -> dict[str, str]:
    """Of :data:`RECORDED_PACKAGES` that are installed, as this process found them first."""
    versions = {}
    for package in RECORDED_PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return versions


def _git_commit() -> str | None:
    folder = Path(__file__).resolve().parent.parent
    if not (folder / ".git").exists():
        return None
    try:
        result = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() or None


def write_file(path: Path, content: bytes) -> None:
    """Write a file under another name and rename it, so that the file is complete or absent; StoreError if that fails."""
    try:
        with written_aside(path) as aside:
            aside.write_bytes(content)
    except OSError as error:
        raise cannot_write(path, error, "free space or choose another --out") from None


def write_json(path: Path, content: dict) -> None:
    """:func:`write_file` of what :func:`json_ready` makes of ``content``."""
    write_file(path, (json.dumps(json_ready(content), indent=2) + "\n").encode())


def read_json(path: Path, **types: type | tuple[type, ...]) -> dict:
    """Read a JSON file that holds an object; StoreError with one line when it cannot be read.

    ``types``: of names that this file uses otherwise than :data:`JSON_TYPES` has them.
    """
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot read {path}: {one_line(error)}") from None
    except RecursionError:
        raise StoreError(f"cannot read {path}: it is nested too deep to be one of the toolkit's") from None
    if not isinstance(content, dict):
        raise StoreError(f"cannot read {path}: it holds {type(content).__name__} where the toolkit writes an object {{...}}")
    for name, kinds in (JSON_TYPES | types).items():
        value: Any = content
        present = True
        for key in name.split("."):
            present = present and isinstance(value, dict) and key in value
            value = value[key] if present else None
        if present and not isinstance(value, kinds):
            raise StoreError(f"cannot read {path}: its {name} is {type(value).__name__}, which the toolkit never writes there")
    return content
