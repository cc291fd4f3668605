"""Pages of the reference, written anew whenever the manual is built: every command, and every public name of the packages."""

from __future__ import annotations

import importlib
import types
from pathlib import Path

from data.commands import ALIASES, COMMANDS, options_of, words
from data.help_page import COMMON, in_words
from data.option_rows import OptionRow, option_rows

#: Functions that stand behind modules which can be called.
CALLED = {"predict": "learning.predicting.predict_catchments"}
PACKAGES = ("data", "lagrangian", "learning", "evaluation")


def setup(app) -> dict:
    """Called by Sphinx."""
    app.connect("builder-inited", lambda app: write(Path(app.srcdir) / "reference"))
    return {"parallel_read_safe": True}


def write(folder: Path) -> None:
    """Write ``commands.md`` and a page for each package."""
    put(folder / "commands.md", commands_page())
    for package in PACKAGES:
        put(folder / f"{package}.md", package_page(package))


def put(path: Path, text: str) -> None:
    """Write a page where it has changed, so that Sphinx reads again only what is new."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def commands_page() -> str:
    """Every command with all its options."""
    lines = ["# Commands", "", "`catchment COMMAND --help` says the same on the terminal. Every command takes these:", ""]
    lines += [*table(COMMON), ""]
    for word in words():
        command = COMMANDS[word]
        lines += [f"## catchment {word}", "", command.about[0].upper() + command.about[1:] + "."]
        others = [alias for alias, of in ALIASES.items() if of == word]
        if others:
            lines += ["", f"Also called {', '.join(f'`{other}`' for other in others)}."]
        if not command.module:
            lines += [""]
            continue
        kind = options_of(command.module)
        lines += ["", f"The same as `python -m {command.module}{' --check' if word == 'check' else ''}`.", ""]
        examples = getattr(kind, "EXAMPLES", ())
        if examples:
            lines += ["```text", *examples, "```", ""]
        group = None
        for row in option_rows(kind):
            if row.group != group:
                group = row.group
                lines += ["", f"### {group} of `{word}`", "", "| option | meaning |", "|---|---|"]
            lines.append(f"| `{escaped(row.flag)}` {escaped(row.value)} | {about(row)} |")
        lines += [""]
    return "\n".join(lines) + "\n"


def about(row: OptionRow) -> str:
    """What an option is for, its default and its bounds, as a cell of a table."""
    default = in_words(row.default)
    notes = [f"default `{default}`" if default and "default" not in row.about else "", row.bounds]
    return escaped(row.about) + "".join(f"; {escaped(note)}" for note in notes if note)


def table(rows) -> list[str]:
    """Lines of a table of options and meanings."""
    return ["| option | meaning |", "|---|---|", *(f"| `{escaped(words)}` | {escaped(text)} |" for words, text in rows)]


def escaped(text: str) -> str:
    """Text that Markdown takes literally within a table."""
    for sign in "|<>*_$":
        text = text.replace(sign, "\\" + sign) if sign != "_" else text
    return text


def package_page(package: str) -> str:
    """Public names of a package, each from its docstring."""
    module = importlib.import_module(package)
    lines = [f"# `{package}`", "", (module.__doc__ or "").strip().split("\n\n")[0], ""]
    for name in module.__all__:
        target = getattr(module, name)
        if isinstance(target, types.ModuleType) and callable(target):
            # a command's module that is called as a function, learning.predict
            directive, path, more = "autofunction", CALLED[name], []
        elif isinstance(target, types.ModuleType):
            directive, path, more = "automodule", target.__name__, [":members:"]
        else:
            directive = "autoclass" if isinstance(target, type) else "autofunction"
            path, more = f"{target.__module__}.{target.__qualname__}", [":members:"] if directive == "autoclass" else []
        lines += [f"## {name}", "", f"`from {package} import {name}`", "", "```{eval-rst}", f".. {directive}:: {path}",
                  *(f"   {line}" for line in more), "```", ""]  # fmt: skip
    return "\n".join(lines) + "\n"
