"""The command line itself: bounds beside options, what reaches the terminal, and the first moments of a process."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest

from data.bounds import Bounds, bounds, check_bounds
from data.command import read_json, run_command
from data.errors import OptionError, StoreError
from data.lock import FolderLock
from data.progress import Progress
from data.terminal import PlainStream, clean

ROOT = Path(__file__).resolve().parents[2]
ENVIRON = {**os.environ, "PYTHONPATH": str(ROOT)}


@dataclass(frozen=True)
class Options:
    """Options of a made-up command."""

    dt: Annotated[float | None, *bounds(above=0, most=60, unit="minutes")] = None
    """Time step."""
    w: Annotated[tuple[float, ...], *bounds(least=1, below=10, unit="m/d")] = (2.0,)
    """Speeds."""
    seed: Annotated[int, *bounds(least=0, most=2**63 - 1)] = 0
    """Seed."""
    free: float = 0.0
    """Any number."""
    name: str = ""
    """Text."""


def called(capsys, *arguments, main=lambda config: 0):
    code = run_command(Options, main, prog="made.up", argv=list(arguments))
    return code, *capsys.readouterr()


# -- bounds --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--dt", "0"), "--dt 0: must be greater than 0 and at most 60 minutes"),
        (("--dt", "61"), "--dt 61: must be greater than 0 and at most 60 minutes"),
        (("--dt", "nan"), "--dt nan: must be a finite number, greater than 0 and at most 60 minutes"),
        (("--w", "2", "10"), "--w 10: must be at least 1 and less than 10 m/d"),
        (("--free", "inf"), "--free inf: must be a finite number"),
        (("--seed", str(2**63)), f"--seed {2**63}: must be a whole number of at most 64 bits"),
    ],
)
def test_a_number_out_of_bounds_is_told_with_its_option_value_bounds_and_unit(arguments, words, capsys, tmp_path):
    code, out, err = called(capsys, *arguments)
    assert code == 2 and out == "" and err.startswith(f"made.up: {words}") and err.count("\n") == 1
    # from a file it is the same
    table = tmp_path / "options.toml"
    values = [word for word in arguments[1:]]
    table.write_text(f"{arguments[0][2:]} = " + (f"[{', '.join(values)}]" if len(values) > 1 else values[0]) + "\n")
    if "63" not in arguments[1]:
        assert called(capsys, "--config", str(table))[0] == 2


def test_values_at_their_bounds_are_taken_and_shown_in_help(capsys):
    assert called(capsys, "--dt", "60", "--w", "1", "9.99", "--seed", str(2**63 - 1))[0] == 0
    with pytest.raises(SystemExit):
        run_command(Options, lambda config: 0, prog="made.up", argv=["--help"])
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "greater than 0 and at most 60 minutes" in text and "at least 1 and less than 10 m/d" in text
    with pytest.raises(OptionError, match="--dt"):
        check_bounds(Options(dt=-1.0))
    assert str(Bounds()) == ""


def test_every_number_of_every_command_has_bounds():
    import dataclasses
    import typing

    from tests.bad_inputs.good import COMMANDS

    for command in COMMANDS.values():
        hints = typing.get_type_hints(command.options(), include_extras=True)
        for field in dataclasses.fields(command.options()):
            if re.search(r"\b(int|float)\b", str(hints[field.name])):
                found = [one for one in getattr(hints[field.name], "__metadata__", ()) if isinstance(one, Bounds)]
                assert found and str(found[0]), f"{command.name} --{field.name}"


def test_a_misspelt_option_is_told_with_the_one_that_was_meant(capsys):
    code, _, err = called(capsys, "--sed", "3")
    assert code == 2 and "perhaps you meant --seed" in err and err.count("\n") == 1


def test_a_shells_completion_comes_out_on_stdout_and_is_no_error(capsys):
    with pytest.raises(SystemExit) as stop:
        run_command(Options, lambda config: 0, prog="made.up", argv=["--tyro-print-completion", "bash"])
    out, err = capsys.readouterr()
    assert stop.value.code in (0, None) and "completion" in out and err == ""


@pytest.mark.parametrize("ocean", [{"kind": "twin"}, "idealised twin ocean"])
def test_the_options_beside_any_result_can_be_given_again(ocean, capsys, tmp_path):
    """run.json describes its ocean, metrics.json names it."""
    path = tmp_path / "metrics.json"
    path.write_text(json.dumps({"configuration": {"dt": 3.0, "w": [4.0, 5.0]}, "ocean": ocean}))
    told = lambda config: print(config.dt, config.w)
    assert called(capsys, "--config", str(path), main=told) == (0, "3.0 (4.0, 5.0)\n", "")


# -- files ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    ["[]", "3", "null", '"x"', "[" * 200_000 + "]" * 200_000, "", '{"identity": []}', '{"identity": {"options": 3}}'],
)
def test_a_json_file_of_another_type_or_nested_too_deep_is_one_line(content, tmp_path):
    path = tmp_path / "run.json"
    path.write_text(content)
    with pytest.raises(StoreError, match=r"cannot read .*run\.json"):
        read_json(path)


def test_a_lock_is_never_written_through_a_planted_link(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / ".run.lock").symlink_to(victim)
    with pytest.raises(StoreError, match=r"\.run\.lock is a symbolic link"), FolderLock(tmp_path):
        pass
    assert victim.read_text() == "precious"


def test_what_is_written_aside_has_a_name_that_cannot_be_planted(tmp_path):
    import xarray as xr

    from data.netcdf import write_dataset

    victim = tmp_path / "victim"
    victim.write_text("precious")
    for name in ("a.nc.aside", ".a.nc.aside", ".a.nc"):
        (tmp_path / name).symlink_to(victim)
    write_dataset(tmp_path / "a.nc", xr.Dataset({"x": ("n", [1.0])}))
    assert victim.read_text() == "precious" and (tmp_path / "a.nc").is_file() and not (tmp_path / "a.nc").is_symlink()


# -- the terminal --------------------------------------------------------------------------------------------------------


def test_escape_sequences_of_names_do_not_reach_the_terminal(capsys):
    evil = "\x1b]0;owned\x07\x1b[2Jname\u202egnp\x9b1m"
    assert not set(clean(evil)) & set("\x1b\x07\x9b\u202e") and "name" in clean(evil)

    def main(config):
        print(f"note: {config.name}")
        raise StoreError(f"{config.name} is damaged")

    code, out, err = called(capsys, "--name", evil, main=main)
    assert code == 2 and "\\x1b]0;owned\\x07" in out and "\\x1b" in err
    assert not set(out + err) & set("\x1b\x07\x9b\u202e")
    assert called(capsys, "--no\x1b[31mpe")[2].count("\x1b") == 0


def test_a_name_that_is_no_text_is_printed_with_escapes(capsys):
    def main(config):
        print("a\udcffb")
        return 0

    assert called(capsys, main=main)[:2] == (0, "a\\udcffb\n")


def test_a_progress_bar_may_return_to_the_beginning_of_its_line():
    import io

    stream = io.StringIO()
    PlainStream(stream).write("\r 10%")
    PlainStream(stream).write("a\rb")
    assert stream.getvalue() == "\r 10%a\\rb"


def test_progress_never_tells_of_more_than_all_nor_of_less_than_no_time(capsys, monkeypatch):
    clock = iter(range(0, 1000, 20))
    monkeypatch.setattr("data.progress.time.monotonic", lambda: float(next(clock)))
    with Progress("computing", "day") as bar:
        for done in (10, 30, 58, 60):
            bar.update(done, 56)
    err = capsys.readouterr().err
    assert "58/56" not in err and "-" not in err and "56/56 days" in err


# -- processes -----------------------------------------------------------------------------------------------------------

TWIN = [sys.executable, "-m", "lagrangian.run", "--dt", "-1"]


def shell(line, cwd, **options):
    return subprocess.run(["sh", "-c", line], cwd=cwd, env=ENVIRON, capture_output=True, text=True, timeout=120, **options)


def test_a_users_own_data_py_does_not_stand_in_for_the_toolkits(tmp_path):
    for name in ("data.py", "learning.py", "random.py"):
        (tmp_path / name).write_text("raise RuntimeError('mine')\n")
    done = subprocess.run(TWIN, cwd=tmp_path, env=ENVIRON, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and done.stderr.startswith("lagrangian.run: --dt -1: must be at least 0.01 and")
    assert done.stderr.count("\n") == 1


def test_another_data_on_the_path_is_named_in_one_line(tmp_path):
    (tmp_path / "data.py").write_text("")
    environ = {**ENVIRON, "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    done = subprocess.run(TWIN, cwd="/", env=environ, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and str(tmp_path / "data.py") in done.stderr


def test_closed_streams_and_readers_that_go_are_no_error(tmp_path):
    command = f"{sys.executable} -m data.download ssh --dry-run --start 1970-01-01 --end 2100-01-01"
    for line in (f"{command} --site nowhere 2>&-", f"{command} --site nowhere >&- 2>&-", f"{command} --site nowhere <&- 2>&-"):
        done = shell(line, tmp_path)
        assert done.returncode == 2 and done.stderr == "", done
    done = shell(f"{command} | head -1", tmp_path)
    assert done.stdout.count("\n") == 1 and done.stderr == "", done
    done = shell(f"{command} > /dev/full", tmp_path)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "No space left" in done.stderr


def test_a_file_is_not_opened_in_the_place_of_a_closed_stderr(tmp_path):
    """Else what libraries say would be written into it."""
    code = (
        "import sys; sys.argv = ['-m']; import data; sys.argv = ['x']; f = open('victim', 'w'); import os; "
        "os.write(2, b'message'); f.write('content'); f.close()"
    )
    done = shell(f'{sys.executable} -c "{code}" 2>&-', tmp_path)
    assert done.returncode == 0 and (tmp_path / "victim").read_text() == "content"


@pytest.mark.parametrize("delay", [0.05, 0.2, 0.5, 1.0])
def test_ctrl_c_during_imports_is_one_line_and_130(delay, tmp_path):
    """From the first import of the toolkit to the last; a few hundredths of a second before it are Python's own."""
    code = "import sys; print('begun', flush=True); sys.argv = ['-m']; import lagrangian; import lagrangian.run; print('done')"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=ENVIRON,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    process.stdout.readline()
    time.sleep(0.3 + delay)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    if "done" in out:
        pytest.skip("the imports were done by then")
    assert process.returncode == 130 and err.count("\n") == 1 and "interrupted" in err


def test_nothing_of_a_file_name_moves_the_cursor_of_a_real_terminal(tmp_path):
    main, child = pty.openpty()
    command = [sys.executable, "-m", "data.download", "ssh", "--config", "\x1b[2J.toml"]
    done = subprocess.run(command, cwd=tmp_path, env=ENVIRON, stderr=child, stdout=child, timeout=120)
    said = os.read(main, 10_000)
    assert done.returncode == 2 and b"\x1b" not in said and b"\\x1b[2J.toml" in said
