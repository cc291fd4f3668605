"""Bad inputs of every command, one wrong thing in a right input each: how many end in a traceback, hang, or pass in silence.

    python -m tests.benchmarks.bad_inputs [--only WORD] [--most N] [--part K/N] [--show]

Prints the number of each class by command, and every input that was not taken well. Exit code 1 where there is one.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

from tests.bad_inputs import good
from tests.bad_inputs.cases import all_cases, every
from tests.bad_inputs.judge import CLASSES, judge_all


def main(argv: list[str]) -> int:
    """Judge all bad inputs, or those whose name holds a word."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="part of the names of those to run")
    parser.add_argument("--show", action="store_true", help="show what each command said")
    parser.add_argument("--most", type=int, help="so many, evenly drawn, without those that take long")
    parser.add_argument("--part", default="1/1", help="K/N: every Nth, from the Kth on")
    parser.add_argument("--inputs", type=Path, help="folder of right inputs that an earlier call has kept")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as scratch:
        inputs = options.inputs or Path(scratch) / "right"
        good.import_commands()
        if not inputs.exists():
            # in a process of its own: what has begun threads must not be forked
            maker = multiprocessing.get_context("fork").Process(target=good.make_inputs, args=(inputs,))
            maker.start()
            maker.join()
            if maker.exitcode:
                return 1
        part, parts = map(int, options.part.split("/"))
        cases = [case for case in all_cases() if options.only in case.name][part - 1 :: parts]
        cases = every(cases, options.most) if options.most else cases
        counts: dict[str, Counter] = {}
        started = time.monotonic()
        bad = 0
        for case, outcome, kind in judge_all(cases, inputs, Path(scratch) / "cases"):
            counts.setdefault(case.command.name, Counter())[kind] += 1
            bad += kind != "ok"
            if kind != "ok" or options.show:
                said = outcome.err[-1500:] if kind == "traceback" else " | ".join((outcome.err or outcome.out).splitlines()[-3:])
                print(f"{kind:9s} {case.name[:100]!r} (exit {outcome.code}, {outcome.seconds:.1f} s): {said}", flush=True)
        print(f"{'command':28s}" + "".join(f"{kind:>10s}" for kind in CLASSES))
        for name, counter in sorted(counts.items()):
            print(f"{name:28s}" + "".join(f"{counter[kind]:10d}" for kind in CLASSES))
        total = sum(counts.values(), Counter())
        print(f"{len(cases)} bad inputs: " + ", ".join(f"{total[kind]} {kind}" for kind in CLASSES))
        enough = sum(case.told is not None for case in cases)
        print(f"{time.monotonic() - started:.0f} s; for {enough} it is enough that the command tells")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
