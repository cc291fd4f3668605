"""``catchment``: one console script over all commands."""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import shutil
import sys
from collections.abc import Sequence
from typing import Any

from data import start
from data.commands import ALIASES, COMMANDS, OPTIONS, Command, leave_out_dask, missing_extra, options_of, words
from data.terminal import open_standard_streams

EXAMPLES = (
    "catchment run --w 80                  a year of the idealised ocean, and its catchments",
    "catchment check --ocean 'his.*.nc'    what a run on your files would cost",
    "catchment run --ocean 'his.*.nc' --grid grd.nc --site -20.3,44.9 --out runs/mine",
    "catchment print-config run > run.toml, then catchment run --config run.toml",
)
COMPLETION_HELP = """usage: catchment completion {bash,zsh,fish}

Print a script that completes commands and options; how it is installed stands in its first lines.
"""
CONFIG_HELP = """usage: catchment print-config [COMMAND [OPTIONS]]

Print a TOML file for --config: every option of COMMAND, or of all commands, with its meaning. OPTIONS
that are given stand in it; the others are commented out with their defaults.

Examples:
  catchment print-config > chain.toml
  catchment print-config run --w 80 300 --site ofp > run.toml
"""


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code of ``catchment …``."""
    start.begin(always=True)
    open_standard_streams()
    own_process = argv is None
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or argv[0] in ("-h", "--help", "help"):
        if argv[1:2] and argv[0] == "help":
            argv = [argv[1], "--help"]
        else:
            return _print(overview())
    if argv[0] in ("-V", "--version"):
        return _print(f"catchment {importlib.metadata.version('catchment-toolkit')}\n")
    word = ALIASES.get(argv[0], argv[0])
    if word not in words():
        return _refuse("catchment", _unknown(argv[0]))
    if not COMMANDS[word].module:
        return {"completion": _completion, "print-config": _print_config}[word](argv[1:])
    if own_process:
        leave_out_dask(COMMANDS[word].module)
    return _command(word, COMMANDS[word], argv[1:])


def overview() -> str:
    """The text of ``catchment --help``."""
    from data.help_page import WIDEST, entry

    width = min(WIDEST, shutil.get_terminal_size((WIDEST, 24)).columns)
    lines = ["usage: catchment [-h] [--version] COMMAND [OPTIONS]", "",
             "Where at the surface did the particles of a deep sediment trap come from?"]  # fmt: skip
    group = None
    for word in words():
        if COMMANDS[word].group != group:
            group = COMMANDS[word].group
            lines += ["", f"{group}:"]
        lines += entry(word, COMMANDS[word].about, width)
    lines += ["", "Examples:", *(f"  {example}" for example in EXAMPLES)]
    lines += ["", "catchment COMMAND --help lists its options; python -m lagrangian.run is catchment run, and so on."]
    return "\n".join(lines) + "\n"


def _command(word: str, command: Command, argv: list[str]) -> int:
    from data.command import run_command

    def load() -> Any:
        name = command.module if command.module != "data.twin" else "data.twin.__main__"
        return importlib.import_module(name).main

    if not {"-h", "--help"} & set(argv) and (line := missing_extra(command.module)):
        return _refuse(f"catchment {word}", line)
    arguments = ["--check", *argv] if word == "check" else argv
    return run_command(options_of(command.module), load=load, prog=f"catchment {word}", argv=arguments)


def _completion(argv: list[str]) -> int:
    from data.completion import SHELLS, completion

    if {"-h", "--help"} & set(argv):
        return _print(COMPLETION_HELP)
    if len(argv) != 1 or argv[0] not in SHELLS:
        return _refuse("catchment completion", f"{' '.join(argv) or 'no shell'}: must be one of {', '.join(SHELLS)}")
    return _print(completion(argv[0]))


def _print_config(argv: list[str]) -> int:
    from data.command import answered
    from data.print_config import config_text

    if {"-h", "--help"} & set(argv):
        return _print(CONFIG_HELP)
    if not argv:
        modules = dict.fromkeys(COMMANDS[word].module for word in words() if COMMANDS[word].module)
        return _print("\n".join(config_text(options_of(module), []) for module in modules))
    word = ALIASES.get(argv[0], argv[0])
    if word not in words() or not COMMANDS[word].module:
        return _refuse("catchment print-config", _unknown(argv[0]))
    kind = options_of(COMMANDS[word].module)
    return answered("catchment print-config", lambda: _print(config_text(kind, argv[1:])))


def _unknown(word: str) -> str:
    if word.startswith("-"):
        return f"{word} stands where a command belongs; give the command first, such as catchment run {word} (catchment --help)"
    near = difflib.get_close_matches(word, [*words(), *ALIASES, *OPTIONS], 2, 0.55)
    meant = f"perhaps you meant {' or '.join(near)}; " if near else ""
    return f"there is no command {word!r}; {meant}catchment --help lists them"


def _print(text: str) -> int:
    from data.command import answered

    def show() -> int:
        sys.stdout.write(text)
        sys.stdout.flush()
        return 0

    return answered("catchment", show)


def _refuse(prog: str, line: str) -> int:
    from data.terminal import plain_streams

    with plain_streams():
        print(f"{prog}: {line}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
