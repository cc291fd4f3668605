"""Completion of ``catchment`` in shells: scripts for bash, zsh and fish, made from the commands and their options."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence

from data.commands import COMMANDS, options_of, words
from data.help_page import COMMON_FLAGS
from data.option_rows import OptionRow, option_rows

SHELLS = ("bash", "zsh", "fish")


def completion(shell: str) -> str:
    """The completion script of a shell; the script's first lines tell how to install it."""
    table = {word: option_rows(options_of(COMMANDS[word].module)) for word in words() if COMMANDS[word].module}
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](table)


def _flags(rows: Sequence[OptionRow]) -> list[str]:
    return [flag for row in rows for flag in row.flags] + list(COMMON_FLAGS)


def _first_words() -> list[str]:
    return [*words(), "--help", "--version"]


def _after(word: str) -> str:
    """Arguments that may follow a command without options of its own."""
    return " ".join(SHELLS) if word == "completion" else " ".join(words())


def _bash(table: Mapping[str, Sequence[OptionRow]]) -> str:
    cases, values = [], []
    for word, rows in table.items():
        first = [choice for row in rows if row.positional for choice in row.choices]
        cases.append(f"    {word}) words={shlex.quote(' '.join([*first, *_flags(rows)]))} ;;")
        values += [
            f"    {word}:{row.flag}) words={shlex.quote(' '.join(row.choices))}; only=1 ;;"
            for row in rows if row.choices and not row.positional
        ]  # fmt: skip
    cases += [f"    {word}) words={shlex.quote(_after(word))} ;;" for word in words() if not COMMANDS[word].module]
    return f"""# bash: eval "$(catchment completion bash)", in ~/.bashrc for every shell
_catchment() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD-1]}}" words="" only=""
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W {shlex.quote(" ".join(_first_words()))} -- "$current")); return
  fi
  case "${{COMP_WORDS[1]}}" in
{chr(10).join(cases)}
  esac
  case "${{COMP_WORDS[1]}}:$previous" in
{chr(10).join(values)}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  if [ -z "$only" ] && [[ "$current" != -* ]]; then COMPREPLY+=($(compgen -f -- "$current")); fi
}}
complete -o filenames -F _catchment catchment
"""


def _zsh(table: Mapping[str, Sequence[OptionRow]]) -> str:
    def spec(row: OptionRow) -> list[str]:
        about = _short(row.about).replace("[", "(").replace("]", ")").replace(":", "\\:")
        if row.positional:
            return [f"1:{row.name}:({' '.join(row.choices)})"]
        if row.kind is bool:
            return [f"{flag}[{about}]" for flag in row.flags]
        action = f"({' '.join(row.choices)})" if row.choices else "_files"
        return [f"{row.flag}[{about}]:{row.name}:{action}"]

    cases = []
    common = [f"{flag}:file:_files" if value else flag for flag, value in COMMON_FLAGS.items()]
    for word, rows in table.items():
        specs = shlex.join([*(text for row in rows for text in spec(row)), *common, "*:file:_files"])
        cases.append(f"    {word}) _arguments {specs} ;;")
    cases += [f"    {word}) _values {word} {_after(word)} ;;" for word in words() if not COMMANDS[word].module]
    named = " ".join(shlex.quote(f"{word}:{COMMANDS[word].about}") for word in words())
    return f"""#compdef catchment
# zsh: eval "$(catchment completion zsh)" after compinit, in ~/.zshrc for every shell
_catchment() {{
  if (( CURRENT == 2 )); then
    local -a commands=({named})
    _describe command commands
    _arguments --help --version
    return
  fi
  local word="${{words[2]}}"
  shift words; (( CURRENT-- ))
  case "$word" in
{chr(10).join(cases)}
  esac
}}
compdef _catchment catchment
"""


def _fish(table: Mapping[str, Sequence[OptionRow]]) -> str:
    lines = ["# fish: catchment completion fish | source, in config.fish for every shell"]
    for word in words():
        lines.append(f"complete -c catchment -f -n __fish_use_subcommand -a {word} -d {shlex.quote(COMMANDS[word].about)}")
    lines.append("complete -c catchment -n __fish_use_subcommand -l version -l help")
    for word, rows in table.items():
        condition = f"complete -c catchment -n '__fish_seen_subcommand_from {word}'"
        for row in rows:
            about = shlex.quote(_short(row.about))
            if row.positional:
                lines.append(f"{condition} -a {shlex.quote(' '.join(row.choices))} -d {about}")
            for flag in row.flags:
                value = "" if row.kind is bool else f" -x -a {shlex.quote(' '.join(row.choices))}" if row.choices else " -r"
                lines.append(f"{condition} -l {flag[2:]}{value} -d {about}")
        lines += [f"{condition} -l {flag[2:]}{' -r' if value else ''}" for flag, value in COMMON_FLAGS.items()]
    for word in words():
        if not COMMANDS[word].module:
            lines.append(f"complete -c catchment -f -n '__fish_seen_subcommand_from {word}' -a {shlex.quote(_after(word))}")
    return "\n".join(lines) + "\n"


def _short(text: str) -> str:
    """The first sentence."""
    return re.split(r"(?<=[a-z)])[.;:](?:\s|$)", text)[0][:70].replace("'", "").rstrip(" .")
