"""Every benchmark of speed and size, one after the other: ``python -m tests.benchmarks [NAME ...]`` (``make bench``).

Each is a process of its own, so that none warms another; ``--list`` names them. Those of the method (convergence, diffusivity,
twin, networks) are commands of their own: they measure the science, not the machine.
"""

from __future__ import annotations

import subprocess
import sys
import time

#: Name and command of each.
BENCHMARKS = {
    "speed": ["speed"],
    "kernel": ["scaling", "kernel"],
    "profile": ["scaling", "profile", "jet"],
    "profile-twin": ["scaling", "profile", "twin"],
    "particles": ["scaling", "particles"],
    "record": ["scaling", "record"],
    "workers": ["scaling", "workers"],
    "members": ["scaling", "members"],
    "memory": ["scaling", "memory"],
    "estimate": ["scaling", "estimate"],
    "kills": ["scaling", "kills"],
    "losses": ["scaling", "losses"],
    "correlation": ["correlation"],
    "scores": ["scores"],
    "bad-inputs": ["bad_inputs"],
    "real-size": ["real_size"],
    "twin-cost": ["twin_cost"],
    "zlevel": ["zlevel"],
    "families": ["families"],
    "glorys-year": ["glorys_year"],
    "velocity": ["velocity"],
    "velocity-start": ["velocity_cost", "start"],
    "oceans": ["kernel"],
    "window": ["window"],
    "sweep-parts": ["sweep", "parts"],
    "sweep-threads": ["sweep", "threads"],
    "waiting": ["waiting"],
    "commands": ["commands"],
    "sizes": ["sizes", "fields"],
    "help": ["door", "help"],
    "check": ["door", "check"],
}


def main(names: list[str]) -> int:
    """Run the named benchmarks, or all. Returns how many failed."""
    if "--list" in names:
        print("\n".join(BENCHMARKS))
        return 0
    unknown = sorted(set(names) - set(BENCHMARKS))
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    failed = 0
    for name in names or BENCHMARKS:
        module, *arguments = BENCHMARKS[name]
        print(f"== {name}", flush=True)
        started = time.perf_counter()
        done = subprocess.run([sys.executable, "-m", f"tests.benchmarks.{module}", *arguments])
        failed += done.returncode != 0
        print(f"   {name}: {time.perf_counter() - started:.0f} s{'' if done.returncode == 0 else ', FAILED'}\n", flush=True)
    return min(1, failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
