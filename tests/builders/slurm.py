"""A Slurm of one machine, with its own munge, in a folder: for tests that submit real jobs."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "sinfo")
#: Where Debian keeps what only root runs.
PLACES = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
#: Seconds that the node may take to be ready.
READY_SECONDS = 60

CONF = """ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort={port}
SlurmdPort={slurmd_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
SchedulerParameters=batch_sched_delay=0,sched_min_interval=100000
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """Why there can be no Slurm here; empty where there can."""
    lacking = [name for name in PROGRAMS if shutil.which(name, path=PLACES) is None]
    if lacking:
        return f"no {', '.join(lacking)} (apt-get install slurm-wlm munge)"
    return "" if hasattr(os, "getuid") and os.getuid() == 0 else "only root can start slurmd"


def _port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def slurm(folder: Path) -> Iterator[dict[str, str]]:
    """Start munged, slurmctld and slurmd; gives the environment in which ``sbatch`` reaches them.

    Raises
    ------
    RuntimeError
        The node is not ready in :data:`READY_SECONDS`; the end of the logs is told.
    """
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    os.chmod(folder, 0o755)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    host = socket.gethostname().split(".")[0]
    conf = folder / "slurm.conf"
    port = _port()
    conf.write_text(CONF.format(host=host, folder=folder, port=port, slurmd_port=_port(), cpus=os.cpu_count(), memory=4000))
    (folder / "cgroup.conf").write_text("IgnoreSystemd=yes\n")
    environ = {**os.environ, "PATH": PLACES, "SLURM_CONF": str(conf)}
    socket_path = f"--socket={folder}/munge.socket"
    commands = [
        ["munged", "--foreground", "--force", f"--key-file={key}", socket_path, f"--pid-file={folder}/munge.pid",
         f"--log-file={folder}/munge.log", f"--seed-file={folder}/munge.seed", "--num-threads=1"],
        ["slurmctld", "-D", "-f", str(conf)],
        ["slurmd", "-D", "-f", str(conf), "-N", host],
    ]  # fmt: skip
    processes: list[subprocess.Popen] = []
    try:
        for command in commands:
            with open(folder / f"{command[0]}.out", "w") as out:
                options = {"stdout": out, "stderr": subprocess.STDOUT, "start_new_session": True}
                processes.append(subprocess.Popen(command, env=environ, **options))
            answers = {"munged": (folder / "munge.socket").exists, "slurmctld": lambda: _listens(port)}
            _wait_until(answers.get(command[0], lambda: _state(environ) == "idle"), command[0], processes, folder)
        yield environ
    finally:
        for daemon in reversed(processes):
            daemon.terminate()
        for daemon in reversed(processes):
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


def _wait_until(ready: Callable[[], bool], name: str, processes: list[subprocess.Popen], folder: Path) -> None:
    """Wait until the daemon ``name`` is ready: one that asks another before that waits for seconds before it asks again."""
    until = time.monotonic() + READY_SECONDS
    while not ready():
        if time.monotonic() > until or any(process.poll() is not None for process in processes):
            logs = "\n".join(f"{path.name}: {path.read_text()[-600:]}" for path in sorted(folder.glob("*.[ol][uo][tg]")))
            raise RuntimeError(f"{name} is not ready\n{logs}")
        time.sleep(0.05)


def _listens(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


def ended(job: str, environ: dict[str, str], seconds: float = 300.0) -> tuple[str, str]:
    """Wait until a job is over; its state and exit code. (``sbatch --wait`` asks again after 2, 4, 6, 8 and then 10 seconds.)

    Raises
    ------
    TimeoutError
        It is not over in so many seconds.
    """
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        told = subprocess.run(["scontrol", "--oneliner", "show", "job", job], env=environ, capture_output=True, text=True)
        state, code = (re.search(rf"\b{name}=(\S+)", told.stdout) for name in ("JobState", "ExitCode"))
        if state and code and state.group(1) not in ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING"):
            return state.group(1), code.group(1)
        time.sleep(0.2)
    raise TimeoutError(f"job {job} is not over after {seconds:g} s: {told.stdout or told.stderr}")


def _state(environ: dict[str, str]) -> str:
    """State of the node as sinfo tells it; empty where nobody answers."""
    try:
        answer = subprocess.run(["sinfo", "-h", "-o", "%t"], env=environ, capture_output=True, text=True, timeout=10)
    except subprocess.TimeoutExpired:
        return ""
    return answer.stdout.strip()
