"""Bad inputs, evenly drawn from all that ``python -m tests.benchmarks bad-inputs`` tries: none ends badly."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.bad_inputs.cases import all_cases
from tests.bad_inputs.good import COMMANDS
from tests.bad_inputs.judge import Outcome

ROOT = Path(__file__).resolve().parents[2]


def test_there_are_hundreds_of_bad_inputs_for_every_command_and_no_two_are_alike():
    cases = all_cases()
    assert len({case.name for case in cases}) == len(cases) > 1000
    assert {case.command.name for case in cases} == {command.name for command in COMMANDS.values()}


@pytest.mark.parametrize(
    ("outcome", "told", "kind"),
    [
        (Outcome(2, "", "x: no such file\n", 0.1), None, "ok"),
        (Outcome(2, "", "working: 1/2 files, 3 s left\nx: no such file\n", 0.1), None, "ok"),
        (Outcome(2, "", "one\ntwo\n", 0.1), None, "lines"),
        (Outcome(2, "", "", 0.1), None, "lines"),
        (Outcome(2, "", "x: \x1b[2J\n", 0.1), None, "lines"),
        (Outcome(0, "done", "", 0.1), None, "silent"),
        (Outcome(0, "done", "", 0.1), "note", "silent"),
        (Outcome(0, "note: left out", "", 0.1), "note", "ok"),
        (Outcome(1, "", "Traceback (most recent call last):\n", 0.1), None, "traceback"),
        (Outcome(2, "", "Traceback (most recent call last):\nx: no\n", 0.1), None, "traceback"),
        (Outcome(-11, "", "", 0.1), "", "traceback"),
        (Outcome(None, "", "", 90.0), "", "hang"),
    ],
)
def test_the_judge_tells_the_classes_apart(outcome, told, kind):
    assert outcome.kind(told) == kind


@pytest.mark.slow  # inputs of every command are made, among them trained networks, and eighty commands run
def test_eighty_of_them_are_refused_or_told_in_one_line():
    # in a process of its own: what has begun threads must not be forked
    command = [sys.executable, "-m", "tests.benchmarks.bad_inputs", "--most", "80"]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    print(process.stdout, process.stderr)
    assert process.returncode == 0 and "80 bad inputs: 80 ok" in process.stdout
