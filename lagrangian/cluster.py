"""Workers: local processes, those of a running Dask scheduler, or jobs of a batch system; and tasks handed to them.

Nothing here knows what a task does. Anything that is cut into independent, repeatable tasks may use it::

    with open_client(workers=4) as client:
        for item, result in run_tasks(client, function, items, arguments, on_report=show):
            ...

In a task, :func:`report` sends a message to ``on_report``. A task that was lost with its worker is done again elsewhere. A task
that raises a :class:`~data.errors.CatchmentError` ends all with that error.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import ctypes
import functools
import importlib.util
import logging
import os
import signal
import tomllib
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any, Literal

from data.command import one_line
from data.errors import CatchmentError, InputError, OptionError, need

#: Seconds that a scheduler may take to answer, and that its first worker may take to be there.
ANSWER_SECONDS, WORKER_SECONDS = 10, 60
#: Times that a task may lose its worker, and times that it is tried again after an unforeseen error.
ALLOWED_LOSSES, RETRIES = 5, 2
START_ATTEMPTS = 3
#: Environment of local workers. Threads that wait for others of their process sleep: where workers have more threads than there
#: are cores, waiting busily took as long again as working (``python -m tests.benchmarks members``).
WORKER_ENVIRON = {
    "OMP_NUM_THREADS": 1, "MKL_NUM_THREADS": 1, "OPENBLAS_NUM_THREADS": 1, "OMP_WAIT_POLICY": "PASSIVE",
}  # fmt: skip
#: Numbers of glibc's mallopt (malloc.h), and what they are set to in workers: the most that its own adjustment would come to.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, KEPT_BYTES = -1, -3, 32 * 2**20
TOPIC = "catchment-report"
#: What the extra of pyproject.toml that brings dask-jobqueue is called.
EXTRA = "catchment-toolkit[cluster]"


@dataclass(frozen=True)
class WorkerOptions:
    """Options of a command whose work Dask workers can share, with the same result."""

    workers: int = 1
    """Local processes, or jobs of --cluster, that share the work."""
    scheduler: str | None = None
    """Address of a running Dask scheduler, such as tcp://HOST:8786, whose workers share the work."""
    cluster: Literal["slurm", "pbs"] | None = None
    """Submit --workers jobs to this batch system through dask-jobqueue."""
    cluster_options: tuple[str, ...] = ()
    """Options of dask-jobqueue for one job: KEY=VALUE, such as cores=8 memory=16GB walltime=24:00:00, or a TOML file of them."""

    @property
    def distributed(self) -> bool:
        """Whether Dask workers do the work."""
        return bool(self.workers > 1 or self.scheduler or self.cluster)

    def validate_workers(self) -> None:
        """Check these options.

        Raises
        ------
        OptionError
            Names the option, its value and its bounds.
        """
        need(self.workers > 0, f"--workers {self.workers}: must be at least 1")
        need(not (self.scheduler and self.cluster), "--scheduler and --cluster contradict each other; give one")
        need(self.cluster or not self.cluster_options, "--cluster-options goes with --cluster slurm or pbs")
        if self.cluster:
            there = importlib.util.find_spec("dask_jobqueue") is not None
            need(there, f"--cluster {self.cluster} needs dask-jobqueue: pip install '{EXTRA}'")

    def client(self, say: Callable[[str], None]):
        """:func:`open_client` with these options."""
        return open_client(self.workers, self.scheduler, self.cluster, self.cluster_options, say=say)

    def threads_each(self, threads: int) -> int:
        """``threads`` for one worker: where 0 and the workers are of this machine, its share of the cores."""
        if threads or self.scheduler or self.cluster:
            return threads
        return max(1, len(os.sched_getaffinity(0)) // self.workers)


@contextlib.contextmanager
def open_client(
    workers: int = 1,
    scheduler: str | None = None,
    cluster: str | None = None,
    cluster_options: Sequence[str] = (),
    *,
    say: Callable[[str], None] = lambda text: None,
) -> Iterator[Any]:
    """A Dask client with workers; a context manager that ends what it started.

    Each worker takes one task at a time, in a process of its own.

    Parameters
    ----------
    workers : int
        Local processes; or jobs, with ``cluster``.
    scheduler : str, optional
        Address of a running scheduler to use instead (its workers are not ended).
    cluster : "slurm" or "pbs", optional
        Batch system to submit jobs to.
    cluster_options : sequence of str
        See :func:`job_options`.
    say : callable
        Told what is being waited for.

    Raises
    ------
    OptionError
        The scheduler does not answer or has no workers; dask-jobqueue is not installed or refuses its options.
    """
    import dask
    from distributed import Client

    settings = {
        "distributed.scheduler.allowed-failures": ALLOWED_LOSSES,
        "distributed.nanny.pre-spawn-environ": WORKER_ENVIRON,
        "distributed.admin.large-graph-warning-threshold": "1 TB",
        # tasks hold the memory that they need outside of Dask's sight, and for long: none of Dask's business
        "distributed.worker.memory.target": False,
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.pause": False,
        "distributed.worker.memory.terminate": False,
    }
    for name in ("distributed", "asyncio", "tornado.application"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    with dask.config.set(settings), contextlib.ExitStack() as stack:
        if scheduler is not None:
            try:
                client = stack.enter_context(Client(scheduler, timeout=ANSWER_SECONDS, set_as_default=False))
            except (OSError, ValueError, TypeError) as error:
                raise OptionError(
                    f"--scheduler {scheduler}: no scheduler answers there ({one_line(error)}); start one with dask scheduler"
                ) from None
            try:
                client.wait_for_workers(1, timeout=WORKER_SECONDS)
            except TimeoutError:
                raise OptionError(
                    f"--scheduler {scheduler}: has no workers; start some with dask worker {scheduler} --nthreads 1"
                ) from None
        else:
            if cluster is None:
                made = stack.enter_context(_local_cluster(workers))
            else:
                made = stack.enter_context(batch_cluster(cluster, cluster_options))
                made.adapt(minimum=workers, maximum=workers)  # unlike scale(), it replaces jobs that ended
                say(f"{workers} jobs submitted to {cluster}; waiting for the first to start")
            client = stack.enter_context(Client(made, set_as_default=False))
            client.wait_for_workers(1)
        yield client


def _local_cluster(workers: int):
    from distributed import LocalCluster

    # Ctrl-C reaches every process of the terminal, but is this one's to answer. The thread that starts the workers, now and
    # whenever one has died, inherits the block, and so do they; a Ctrl-C in these seconds is answered after them.
    resource_tracker.ensure_running()  # else its start, from that thread, would end the block
    signals = {signal.SIGINT}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    options = {
        "threads_per_worker": 1,
        "processes": True,
        "host": "127.0.0.1",
        "dashboard_address": "127.0.0.1:0",
        "memory_limit": 0,
    }
    try:
        for attempt in range(START_ATTEMPTS):
            try:
                return LocalCluster(n_workers=workers, silence_logs=logging.CRITICAL + 1, **options)
            except (RuntimeError, OSError) as error:  # a worker died before it was there; afterwards it would be replaced
                if attempt == START_ATTEMPTS - 1:
                    raise InputError(
                        f"--workers {workers}: the worker processes do not start ({one_line(error)}); is memory left for them?"
                    ) from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def batch_cluster(kind: str, options: Sequence[str] = ()):
    """The dask-jobqueue cluster of a batch system, no job submitted yet; ``.job_script()`` shows what one would be.

    Raises
    ------
    OptionError
        dask-jobqueue is not installed, or an option is missing, unknown or impossible.
    """
    try:
        import dask_jobqueue
    except ImportError:
        raise OptionError(f"--cluster {kind} needs dask-jobqueue: pip install '{EXTRA}'") from None
    classes = {"slurm": dask_jobqueue.SLURMCluster, "pbs": dask_jobqueue.PBSCluster}
    values = job_options(options)
    # one task at a time in each process, which then has the threads of its share of the job
    extra = [*values.pop("worker_extra_args", []), "--nthreads", "1"]
    try:
        return classes[kind](
            **{"processes": 1, **values},
            worker_extra_args=extra,
            death_timeout=values.pop("death_timeout", 300),
            scheduler_options={"dashboard_address": ":0", **values.pop("scheduler_options", {})},
            silence_logs=logging.CRITICAL + 1,
        )
    except (TypeError, ValueError, RuntimeError, OSError) as error:
        raise OptionError(
            f"--cluster {kind}: {one_line(error)}; give --cluster-options such as cores=8 memory=16GB walltime=24:00:00"
        ) from None


def job_options(options: Sequence[str]) -> dict[str, Any]:
    """Options of dask-jobqueue from ``KEY=VALUE`` words and TOML files (``*.toml``); later ones win.

    Raises
    ------
    OptionError
        A word is neither, or a file cannot be read.
    """
    values: dict[str, Any] = {}
    for word in options:
        key, equals, value = word.partition("=")
        if word.endswith(".toml") and not equals:
            try:
                table = tomllib.loads(Path(word).read_text())
            except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
                raise OptionError(f"--cluster-options {word}: {one_line(error)}") from None
            values |= {name.replace("-", "_"): item for name, item in table.items()}
        elif key and equals:
            values[key.replace("-", "_")] = int(value) if value.lstrip("-").isdigit() else value
        else:
            raise OptionError(f"--cluster-options {word}: must be KEY=VALUE or a TOML file")
    return values


def n_workers(client) -> int:
    """How many workers there are now."""
    return max(1, len(client.scheduler_info(n_workers=-1)["workers"]))


def run_tasks(
    client,
    function: Callable,
    items: Iterable[Any],
    arguments: Sequence[Any] = (),
    *,
    on_report: Callable[[Any], None] | None = None,
) -> Iterator[tuple[Any, Any]]:
    """Call ``function(item, *arguments)`` for each item on the workers; yield (item, result) as they are done.

    The function may be called twice for an item, even at one time (a worker given up for lost may go on for a while).

    Raises
    ------
    CatchmentError
        A task raised it, its workers kept dying, or the scheduler is gone. Tasks not begun are cancelled.
    """
    from distributed import KilledWorker, as_completed

    items = list(items)
    if on_report is not None:
        client.subscribe_topic(TOPIC, lambda event: on_report(event[1]))
    # the arguments go with every task: data scattered to a worker would be lost with it
    futures = {client.submit(_guarded, function, item, *arguments, pure=False, retries=RETRIES): item for item in items}
    waiting = set(futures)
    try:
        for future in as_completed(futures, loop=client.loop):
            try:
                result = future.result()
            except KilledWorker as error:
                raise InputError(
                    f"a task lost its worker {ALLOWED_LOSSES} times; if memory ran out, fewer --workers may do"
                ) from error
            except (concurrent.futures.CancelledError, TimeoutError) as error:
                raise InputError("the scheduler was lost; give the same command again") from error
            if isinstance(result, CatchmentError):
                raise result
            waiting.discard(future)
            yield futures[future], result
    finally:
        if on_report is not None:
            with contextlib.suppress(Exception):
                client.unsubscribe_topic(TOPIC)
        if waiting:
            with contextlib.suppress(Exception):
                client.cancel(list(waiting))


def command_word() -> str:
    """A word that no other command has: workers outlive commands, and keep what they have opened for the one that it names."""
    return uuid.uuid4().hex


def _guarded(function, item, *arguments):
    """In the worker: an error that the user can mend is a result, so that it is not tried again."""
    _keep_freed_memory()
    try:
        return function(item, *arguments)
    except CatchmentError as error:
        return error


@functools.cache
def _keep_freed_memory() -> None:
    """Let the C library reuse what was freed.

    Dask starts its workers with a low MALLOC_TRIM_THRESHOLD_, which gives the pages of every freed array back to the system and
    asks for them anew: a quarter of the CPU time of a run (``python -m tests.benchmarks.scaling workers``).
    """
    with contextlib.suppress(OSError, AttributeError):  # other C libraries have no such numbers
        library = ctypes.CDLL(None)
        library.mallopt(M_TRIM_THRESHOLD, 2 * KEPT_BYTES)
        library.mallopt(M_MMAP_THRESHOLD, KEPT_BYTES)


def report(message: Any) -> None:
    """In a task: send a small message to ``on_report``; does nothing elsewhere."""
    from distributed import get_worker

    with contextlib.suppress(ValueError):
        get_worker().log_event(TOPIC, message)
