"""``catchment``: one script over all commands."""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from data import commands, console
from data.command import parse, run_command
from data.commands import COMMANDS, options_of, words
from data.completion import SHELLS, completion
from data.errors import OptionError
from data.help_page import COMMON_FLAGS, help_page, said_of
from data.option_rows import OTHER, option_rows
from data.print_config import config_text
from tests.builders.forks import in_forks

WITH_OPTIONS = [word for word in words() if COMMANDS[word].module]
ROOT = str(Path(__file__).resolve().parents[2])
SLOW = ("torch", "numba", "matplotlib", "cartopy", "xarray", "pandas", "scipy", "parcels", "distributed")
#: Arguments without which a command's options cannot be parsed.
MUST = {"download": ["ssh"]}


def catchment(*arguments, **options):
    command = [sys.executable, "-m", "data.console", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, **options)


def said(capsys, *arguments):
    code = console.main(list(arguments))
    return code, *capsys.readouterr()


# -- commands ------------------------------------------------------------------------------------------------------------


def test_every_command_of_the_toolkit_has_a_word_and_every_word_a_module_that_has_a_main():
    assert {COMMANDS[word].module for word in WITH_OPTIONS} == set(commands.OPTIONS)
    contract = ["run", "fit", "predict", "report", "diagnostics", "satellite", "correlate", "twin", "download", "check"]
    assert set(contract) <= set(words())
    for word in WITH_OPTIONS:
        assert commands.word_of(options_of(COMMANDS[word].module)) in (word, "run")


def test_the_list_of_commands_names_all_of_them_and_the_version_is_the_packages(capsys):
    code, out, _ = said(capsys, "--help")
    assert code == 0 and out.startswith("usage: catchment [-h] [--version] COMMAND")
    for word in words():
        assert re.search(rf"^  {word} ", out, re.M)
    code, out, _ = said(capsys, "--version")
    assert code == 0 and re.fullmatch(r"catchment \d+\.\d+\.\d+\n", out)


@pytest.mark.parametrize(("word", "meant"), [("prdict", "predict"), ("explor", "explor"), ("lagrangian.run", "lagrangian.run")])
def test_a_misspelt_command_is_told_with_the_one_that_was_meant(word, meant, capsys):
    code, out, err = said(capsys, word)
    assert code == 2 and not out and err.count("\n") == 1 and "catchment --help" in err
    assert meant in err and (word == "explor" or f"perhaps you meant {meant}" in err)


def test_an_option_before_its_command_is_told_where_it_belongs(capsys):
    code, _, err = said(capsys, "--w", "80", "run")
    assert code == 2 and "give the command first, such as catchment run --w" in err and err.count("\n") == 1


@pytest.fixture(scope="module")
def helps():
    """What a process says that is asked for a command's help, by the command's word."""
    code = (
        "import sys, data.console as c\n"
        "try: c.main([{word!r}, '--help', '--config', '/nowhere.toml'])\n"
        "except SystemExit as stop: print(stop.code, [one for one in {slow!r} if one in sys.modules])"
    )
    scripts = [code.format(word=word, slow=SLOW) for word in WITH_OPTIONS]
    return dict(zip(WITH_OPTIONS, in_forks("import data.console", scripts), strict=True))


@pytest.mark.parametrize("word", WITH_OPTIONS)
def test_help_is_answered_without_slow_imports_whatever_else_is_given(word, helps):
    done = helps[word]
    assert done.stdout.startswith(f"usage: catchment {word} [-h]") and done.stdout.endswith("0 []\n"), done.stderr


def test_a_command_is_run_with_its_arguments_and_its_errors_bear_its_name(capsys, monkeypatch, tmp_path):
    code, _, err = said(capsys, "run", "--dt", "-1")
    assert code == 2 and err.startswith("catchment run: --dt -1: must be") and err.count("\n") == 1
    seen = []
    monkeypatch.setattr("data.download.main", lambda config: seen.append(config) or 0)
    assert said(capsys, "download", "ssh", "--site", "ofp")[0] == 0
    assert seen[0].product == "ssh" and seen[0].site == "ofp"


def test_what_an_extra_brings_is_named_where_it_is_missing(capsys, monkeypatch):
    monkeypatch.setattr(commands.importlib.util, "find_spec", lambda name: None)
    code, _, err = said(capsys, "fit")
    line = "torch is not installed, which this needs; pip install 'catchment-toolkit[learn]'"
    assert code == 2 and err == f"catchment fit: {line}\n"
    with pytest.raises(SystemExit):
        console.main(["fit", "--help"])


def test_a_users_own_modules_named_like_the_packages_do_not_stand_in_for_them(tmp_path):
    for name in ("data.py", "lagrangian.py", "learning.py", "evaluation.py"):
        (tmp_path / name).write_text("raise RuntimeError('mine')\n")
    script = tmp_path / "bin" / "catchment"
    script.parent.mkdir()
    # as pip writes it
    body = "import sys\nfrom catchment_toolkit import main\nif __name__ == '__main__':\n    sys.exit(main())\n"
    script.write_text(f"#!{sys.executable}\n{body}")
    script.chmod(0o755)
    # an empty entry, and one before the toolkit's own, are the folder too
    for paths in ([], [""], [str(tmp_path)]):
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join([*paths, ROOT])}
        command = [script, "run", "--dt", "-1"]
        done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60)
        assert done.returncode == 2 and done.stderr.startswith("catchment run: --dt -1: must be"), done.stderr


@pytest.mark.parametrize(
    ("word", "meant"),
    [("--trap_dept", "--trap-depth"), ("--quite", "--quiet"), ("--log-fiel", "--log-file"), ("--traj", "--trajectories"),
     ("--particle-spacng", "--particle-spacing")],
)  # fmt: skip
def test_a_misspelt_option_is_told_with_the_one_that_was_meant(word, meant, capsys):
    code, _, err = said(capsys, "run", word, "3")
    assert code == 2 and f"perhaps you meant {meant}" in err and err.count("\n") == 1


# -- help ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", WITH_OPTIONS)
def test_help_names_every_option_once_with_its_meaning_and_no_default_twice(word):
    kind = options_of(COMMANDS[word].module)
    rows = option_rows(kind)
    assert sorted(row.name for row in rows) == sorted(field.name for field in dataclasses.fields(kind))
    page = help_page(kind, f"catchment {word}", 100)
    assert max(map(len, page.splitlines())) < 131
    for row in rows:
        assert row.about.endswith((".", ")")), row.name
        assert said_of(row).count("default") <= 1 or row.about.count("default") > 1, said_of(row)
        if not row.positional:
            assert len(re.findall(rf"^  {row.flag}(?= |$)", page, re.M)) == 1, row.flag
            assert getattr(parse(kind, [*MUST.get(word, []), *_given(kind, row, word)], prog="x"), row.name) is not None
    for flag in COMMON_FLAGS:
        assert flag in page


def _given(kind, row, word):
    """A right use of an option, from its row alone."""
    if row.kind is bool:
        return [row.flags[1] if row.default else row.flag]
    if row.choices:
        return [row.flag, row.choices[-1]]
    if row.default not in (None, ()):
        return [row.flag, *map(str, row.default if isinstance(row.default, tuple) else [row.default])]
    value = "1" if row.kind in (int, float) else "words"
    for n in (1, 2, 3):  # a pair, such as of depths, is not told from a list
        try:
            parse(kind, [*MUST.get(word, []), row.flag, *[value] * n], prog="x")
        except OptionError:
            continue
        return [row.flag, *[value] * n]
    raise AssertionError(row)


@pytest.mark.parametrize("word", WITH_OPTIONS)
def test_every_example_of_the_help_is_right(word):
    kind = options_of(COMMANDS[word].module)
    assert getattr(kind, "EXAMPLES", ()), f"{kind.__name__} has no EXAMPLES, lines that begin with catchment {word}"
    for example in kind.EXAMPLES:
        program, command, *arguments = shlex.split(example)
        assert program == "catchment" and COMMANDS[command].module == COMMANDS[word].module
        parse(kind, [one for one in arguments if not one.endswith(".json") and one != "--config"], prog=example)


def test_options_that_are_many_stand_in_groups():
    for word in ("run", "fit", "predict", "correlate"):
        rows = option_rows(options_of(COMMANDS[word].module))
        assert len({row.group for row in rows}) > 3 and sum(row.group == OTHER for row in rows) < 4


# -- configuration -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", WITH_OPTIONS)
def test_a_printed_configuration_is_read_back_to_the_same_options(word, tmp_path):
    kind = options_of(COMMANDS[word].module)
    path = tmp_path / "printed.toml"
    path.write_text(config_text(kind))
    assert not any(isinstance(one, dict) and one for one in tomllib.loads(path.read_text()).values())
    assert parse(kind, [*MUST.get(word, []), "--config", str(path)], prog="x") == parse(kind, MUST.get(word, []), prog="x")
    given = list(MUST.get(word, []))
    for row in option_rows(kind):
        given += _given(kind, row, word) if not row.positional else []
    path.write_text(config_text(kind, given))
    assert parse(kind, ["--config", str(path)], prog="x") == parse(kind, given, prog="x")


def test_odd_words_survive_the_printed_configuration(tmp_path):
    kind = options_of("lagrangian.run")
    path = tmp_path / "odd.toml"
    given = ["--ocean", "a 'b' \"c\" \\ é\x7f.nc", "--site", "-20.3,44.9", "--trap-depth", "3000", "--positions", "domain"]
    path.write_text(config_text(kind, given))
    read = parse(kind, ["--config", str(path)], prog="x")
    assert read == parse(kind, given, prog="x") and type(read.trap_depth) is float


def test_one_file_serves_the_whole_chain_and_what_stands_outside_of_tables_all_commands(tmp_path):
    path = tmp_path / "chain.toml"
    tables = "[run]\nw = [80, 300]\nout = 'runs/a'\n[fit]\nrun = 'runs/a'\nseed = 8\n[correlate]\nseed = 9\n"
    path.write_text(f"seed = 7\nthreads = 1\n{tables}")
    modules = ("lagrangian.run", "learning.fit", "evaluation.report")
    run, fit, report = (parse(options_of(one), ["--config", str(path)], prog="x") for one in modules)
    assert run.w == (80.0, 300.0) and run.seed == 7 and run.threads == 1 and str(run.out) == "runs/a"
    assert fit.seed == 8 and str(fit.run) == "runs/a" and report.seed == 7
    for text, line in (("[rum]\nw = 80\n", "perhaps you meant .run."), ("sed = 3\n[run]\nw = 80\n", "no option of any command"),
                       ("[run]\nparticle = 4\n", "perhaps you meant particles")):  # fmt: skip
        path.write_text(text)
        with pytest.raises(OptionError, match=line):
            parse(options_of("lagrangian.run"), ["--config", str(path)], prog="x")


def test_all_tables_are_printed_at_once_and_make_one_file(capsys, tmp_path):
    code, out, _ = said(capsys, "print-config")
    assert code == 0 and set(tomllib.loads(out)) == set(WITH_OPTIONS) - {"check"}
    code, out, _ = said(capsys, "print-config", "run", "--w", "80", "300")
    assert code == 0 and tomllib.loads(out) == {"run": {"w": [80.0, 300.0]}}
    code, _, err = said(capsys, "print-config", "run", "--sed", "3")
    assert code == 2 and "--seed" in err and err.count("\n") == 1
    code, _, err = said(capsys, "print-config", "rum")
    assert code == 2 and "perhaps you meant run" in err


def test_a_record_of_results_repeats_them(tmp_path):
    from data.command import provenance, write_json

    kind = options_of("lagrangian.run")
    first = parse(kind, ["--w", "80", "300", "--site", "ofp", "--positions", "2", "--start", "2000-03-01"], prog="x")
    write_json(tmp_path / "run.json", provenance(first.at_site()))  # as a run writes it
    again = parse(kind, ["--config", str(tmp_path / "run.json")], prog="x")
    assert again.at_site() == first.at_site()
    with pytest.raises(OptionError, match="unknown option"):
        parse(options_of("learning.fit"), ["--config", str(tmp_path / "run.json")], prog="x")
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(OptionError, match="holds no 'configuration'"):
        parse(kind, ["--config", str(tmp_path / "other.json")], prog="x")


# -- what is said --------------------------------------------------------------------------------------------------------


def _speak(config):
    print("note: 3 files")
    print("a table\nof two lines")
    print("a warning", file=sys.stderr)


@dataclasses.dataclass(frozen=True)
class Spoken:
    """Says something."""

    dry_run: bool = False
    """Print what is asked for."""


STAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d "


def spoken(tmp_path, *arguments):
    code = (
        "import sys; from tests.test_data.test_console import Spoken, _speak; from data.command import run_command\n"
        f"sys.exit(run_command(Spoken, _speak, prog='spoken', argv={list(arguments)!r}))"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)


def test_lines_that_go_to_a_file_or_a_pipe_bear_the_time_and_answers_do_not(tmp_path, capsys):
    done = spoken(tmp_path)
    assert re.fullmatch(f"{STAMP}note: 3 files\n{STAMP}a table\n{STAMP}of two lines\n", done.stdout), done
    assert re.fullmatch(f"{STAMP}a warning\n", done.stderr)
    assert spoken(tmp_path, "--dry-run").stdout == "note: 3 files\na table\nof two lines\n"
    # nor what another program reads that calls the command
    assert run_command(Spoken, _speak, prog="spoken", argv=[]) == 0
    assert capsys.readouterr().out == "note: 3 files\na table\nof two lines\n"


def test_quiet_leaves_errors_and_a_log_file_keeps_everything(tmp_path):
    log = tmp_path / "log.txt"
    done = spoken(tmp_path, "--quiet", "--log-file", str(log))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    lines = log.read_text().splitlines()
    assert all(re.match(STAMP, line) for line in lines)
    said = ["note: 3 files", "a table", "of two lines", "a warning"]
    assert [line[20:] for line in lines] == [f"spoken --quiet --log-file {log}", *said]
    done = spoken(tmp_path, "--quiet", f"--log-file={log}", "--nothing")
    assert done.returncode == 2 and done.stderr.startswith("spoken: Unrecognized options")
    done = spoken(tmp_path, "--log-file", str(tmp_path / "nowhere" / "log"))
    assert done.returncode == 2 and "--log-file" in done.stderr and done.stderr.count("\n") == 1


def test_progress_is_kept_in_a_log_file_though_the_terminal_shows_a_bar(tmp_path, monkeypatch):
    from data.progress import Progress
    from data.terminal import LogFile, plain_streams

    clock = iter(range(0, 1000, 20))
    monkeypatch.setattr("data.progress.time.monotonic", lambda: float(next(clock)))
    log = LogFile()
    log.open(str(tmp_path / "log"))
    with log, plain_streams(log=log):
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
        with Progress("computing", "day") as bar:
            for done in (10, 30, 56):
                bar.update(done, 56)
    assert "computing: 30/56 days" in (tmp_path / "log").read_text()


# -- completion ----------------------------------------------------------------------------------------------------------


def test_every_shells_script_names_every_command_and_option(capsys):
    for shell in SHELLS:
        script = completion(shell)
        for word in words():
            assert word in script
        for row in option_rows(options_of("lagrangian.run")):
            assert (row.flag if shell != "fish" else f"-l {row.flag[2:]}") in script
    assert said(capsys, "completion", "bash")[1] == completion("bash")
    code, _, err = said(capsys, "completion", "tcsh")
    assert code == 2 and "must be one of bash, zsh, fish" in err


BASH = """
{script}
ask() {{ COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _catchment; printf '%s ' "${{COMPREPLY[@]}}"; echo; }}
ask catchment pre
ask catchment run --trap
ask catchment run --kernel ''
ask catchment download s
ask catchment completion f
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_bash_completes_commands_options_and_values(tmp_path):
    done = subprocess.run(["bash", "-c", BASH.format(script=completion("bash"))], cwd=tmp_path, capture_output=True, text=True)
    assert done.stderr == ""
    assert [set(line.split()) for line in done.stdout.splitlines()] == [
        {"predict"}, {"--trap-depth"}, {"compiled", "parcels"}, {"ssh", "sst"}, {"fish"},
    ]  # fmt: skip


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish")
def test_fish_completes_commands_options_and_values(tmp_path):
    (tmp_path / "catchment.fish").write_text(completion("fish"))
    asked = {"catchment pre": "predict", "catchment run --trap": "--trap-depth", "catchment run --kernel ": "parcels"}
    for line, meant in asked.items():
        ask = f"source {tmp_path}/catchment.fish; complete -C {shlex.quote(line)}"
        done = subprocess.run(["fish", "--no-config", "-c", ask], cwd=tmp_path, capture_output=True, text=True)
        assert meant in [one.split("\t")[0] for one in done.stdout.splitlines()], done


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh")
def test_zsh_reads_its_script(tmp_path):
    (tmp_path / "_catchment").write_text(completion("zsh"))
    ask = f"autoload -Uz compinit; compinit -u -d {tmp_path}/dump; source {tmp_path}/_catchment; print $_comps[catchment]"
    done = subprocess.run(["zsh", "-f", "-c", ask], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.strip() == "_catchment" and done.stderr == "", done
