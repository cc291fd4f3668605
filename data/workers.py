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
import contextvars
import importlib.util
import logging
import multiprocessing
import shlex
import shutil
import site
import socket
import sys
import threading
import time
import tomllib
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from data.bounds import bounds
from data.command import one_line, source_fingerprint
from data.cores import cores
from data.errors import CatchmentError, InputError, OptionError, need
from data.fork_server import start_fork_server, start_method, without_interrupts, worker_environment
from data.machine import keep_freed_memory

#: Seconds that a scheduler may take to answer, and that its first worker may take to be there.
ANSWER_SECONDS, WORKER_SECONDS = 10, 60
#: How often a task may lose its worker, and how often the task is tried again after an unforeseen error.
ALLOWED_LOSSES, RETRIES = 5, 2
START_ATTEMPTS = 3
#: Environment of local workers. Threads that wait for others of their process sleep: where workers have more threads than there
#: are cores, waiting busily took as long again as working (``python -m tests.benchmarks members``).
WORKER_ENVIRON = {
    "OMP_NUM_THREADS": 1, "MKL_NUM_THREADS": 1, "OPENBLAS_NUM_THREADS": 1, "OMP_WAIT_POLICY": "PASSIVE",
}  # fmt: skip
#: Seconds without any worker after which that is said.
WITHOUT_WORKERS_SECONDS = 60.0
#: Fingerprint of the source that this process has imported.
SOURCE = source_fingerprint()
#: The extra of pyproject.toml that brings dask-jobqueue.
EXTRA = "catchment-toolkit[cluster]"


#: Batch systems that dask-jobqueue submits to, and its class for each.
System = Literal["slurm", "pbs", "sge", "lsf", "htcondor", "moab", "oar"]
CLUSTERS = {
    "slurm": "SLURMCluster", "pbs": "PBSCluster", "sge": "SGECluster", "lsf": "LSFCluster", "htcondor": "HTCondorCluster",
    "moab": "MoabCluster", "oar": "OARCluster",
}  # fmt: skip
#: Group of the options of workers in ``--help``.
WORKER_GROUP = {"Workers": ("workers", "scheduler", "cluster", "cluster_options")}


@dataclass(frozen=True)
class WorkerOptions:
    """Options of a command whose work Dask workers can share, with the same result."""

    workers: Annotated[int, *bounds(least=1, most=10_000)] = 1
    """Local processes, or jobs of --cluster, that share the work."""
    scheduler: str | None = None
    """Address of a running Dask scheduler, such as tls://HOST:8786, whose workers share the work. A tcp:// scheduler runs code
    for everyone who reaches it: use one only where that is you alone. For tls://, Dask's configuration names the certificates."""
    cluster: System | None = None
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
        need(not (self.scheduler and self.cluster), "--scheduler and --cluster contradict each other; give one")
        need(self.cluster or not self.cluster_options, "--cluster-options goes with --cluster slurm or pbs, or other systems")
        if self.cluster:
            installed = importlib.util.find_spec("dask_jobqueue") is not None
            need(installed, f"--cluster {self.cluster} needs dask-jobqueue: pip install '{EXTRA}'")

    def client(self, say: Callable[[str], None], folder: Path | None = None, modules: Sequence[str] = ()):
        """:func:`open_client` with these options; the workers must see ``folder`` and import ``modules``."""
        return open_client(
            self.workers, self.scheduler, self.cluster, self.cluster_options, say=say, folder=folder, modules=modules
        )

    def threads_each(self, threads: int) -> int:
        """``threads`` for one worker: where 0 and the workers are of this machine, its share of the cores."""
        if threads or self.scheduler or self.cluster:
            return threads
        return max(1, cores() // self.workers)


@contextlib.contextmanager
def open_client(
    workers: int = 1,
    scheduler: str | None = None,
    cluster: str | None = None,
    cluster_options: Sequence[str] = (),
    *,
    say: Callable[[str], None] = lambda text: None,
    folder: Path | None = None,
    modules: Sequence[str] = (),
) -> Iterator[Any]:
    """Give a Dask client with workers; on leaving, the workers that were started here are ended.

    Each worker takes one task at a time, in a process of its own. What is started here talks by TLS, with certificates made for
    this once, and serves no web pages: a Dask scheduler runs code for whoever reaches it, and others share the machine.

    Parameters
    ----------
    workers : int
        Local processes; or jobs, with ``cluster``.
    scheduler : str, optional
        Address of a running scheduler to use instead (its workers are not ended).
    cluster : str, optional
        Batch system to submit jobs to, of :data:`CLUSTERS`.
    cluster_options : sequence of str
        See :func:`job_options`.
    say : callable
        Told what is being waited for.
    folder : Path, optional
        Of the results, which workers must see.
    modules : sequence of str
        Modules that tasks import, beside those that this program has imported: local workers find them imported.

    Raises
    ------
    OptionError
        The scheduler does not answer or has no workers; its workers lack the toolkit, or have another version of it, or do not
        see the folder; dask-jobqueue is not installed or refuses its options; the batch system refuses the jobs.
    """
    import dask
    from distributed import Client

    settings = {
        "distributed.scheduler.allowed-failures": ALLOWED_LOSSES,
        "distributed.nanny.pre-spawn-environ": WORKER_ENVIRON,
        "distributed.worker.multiprocessing-method": start_method(),
        "distributed.admin.large-graph-warning-threshold": "1 TB",
        # tasks hold the memory that they need outside of Dask's sight, and for long: none of Dask's business
        "distributed.worker.memory.target": False,
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.pause": False,
        "distributed.worker.memory.terminate": False,
    }
    if scheduler is None:
        settings |= {"distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []}
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
            _check_workers(client, f"--scheduler {scheduler}", folder)
        else:
            if cluster is None:
                dask_cluster = stack.enter_context(_local_cluster(workers, modules))
            else:
                dask_cluster = stack.enter_context(batch_cluster(cluster, cluster_options, folder))
                stack.callback(_remove_keys, dask_cluster)
                _submit(dask_cluster, cluster, workers)
                dask_cluster.adapt(minimum_jobs=workers, maximum_jobs=workers)  # unlike scale(), it replaces jobs that ended
                say(f"{workers} jobs submitted to {cluster}; waiting for the first to start")
            client = stack.enter_context(Client(dask_cluster, set_as_default=False))
            dask_cluster.scheduler.http_server.stop()
            client.register_plugin(_without_pages())
            client.wait_for_workers(1)
            if cluster is not None:
                _check_workers(client, f"--cluster {cluster}", folder)
        yield client


def _remove_keys(dask_cluster) -> None:
    """Remove the files with which the jobs of a batch system's cluster show who they are."""
    for name in ("ca_file", "cert", "key"):
        with contextlib.suppress(AttributeError, OSError):
            getattr(dask_cluster, f"_job_{name}").close()  # temporary files: closed is removed


def _without_pages():
    """A plugin that ends the web server of every worker, including workers that replace dead workers."""
    from distributed import WorkerPlugin

    class WithoutPages(WorkerPlugin):
        name = "without-pages"

        def setup(self, worker) -> None:
            worker.http_server.stop()

    return WithoutPages()


def _submit(dask_cluster, kind: str, jobs: int) -> None:
    """Submit the first jobs of a batch system's cluster at once: later errors, in the cluster's thread, reach nobody."""
    from distributed import Status

    command = dask_cluster.job_cls.submit_command.split()[0]
    need(shutil.which(command), f"--cluster {kind}: there is no {command} here; give the command where jobs can be submitted")

    async def submit() -> None:
        dask_cluster.scale(jobs=jobs)
        await dask_cluster._correct_state()

    try:
        dask_cluster.sync(submit)
    except (RuntimeError, ValueError, OSError) as error:
        for job in dask_cluster._created:  # closing the cluster trips over jobs that never began
            job.status = Status.failed
        *_, answer = str(error).partition("stderr:") if "stderr:" in str(error) else ("", str(error))
        raise OptionError(
            f"--cluster {kind}: {command} refuses the job ({one_line(Exception(answer.strip()))}); see --cluster-options"
        ) from None


def _check_workers(client, what: str, folder: Path | None) -> None:
    """Refuse workers that lack the toolkit, this version of it, or the run's folder."""
    ours, path = (source_fingerprint(), sys.version_info[:2]), folder and str(folder.resolve())

    def look():  # without a name in a module, it goes to the workers by value, who may lack this package
        import os
        import socket
        import sys

        try:
            import lagrangian  # noqa: F401
            import learning  # noqa: F401
            from data.workers import SOURCE as source
        except ImportError:
            source = None
        return socket.gethostname(), (source, sys.version_info[:2]), path is None or os.path.isdir(path)

    for address, answer in client.run(look, on_error="return").items():
        if isinstance(answer, BaseException):
            raise OptionError(f"{what}: the worker at {address} does not answer ({one_line(answer)}); start it anew")
        host, theirs, sees = answer
        where = f"{what}: the worker at {address} on {host}"
        need(theirs[0], f"{where} has no catchment toolkit; start it in the environment that this command runs in")
        need(theirs == ours, f"{where} has another version of the toolkit or of Python; start it anew in this environment")
        need(sees, f"{where} does not see {path}; results must lie where all machines see them under one path")


def _local_cluster(workers: int, modules: Sequence[str]):
    from distributed import LocalCluster
    from distributed.security import Security

    options = {
        "threads_per_worker": 1,
        "processes": True,
        "worker_class": _nanny(modules),
        "env": worker_environment(),
        "host": "127.0.0.1",
        "dashboard_address": "127.0.0.1:0",
        "memory_limit": 0,
        "security": Security.temporary(),
        "protocol": "tls://",
    }
    # the thread that starts the workers, now and whenever one has died, begins within
    with without_interrupts():
        for attempt in range(START_ATTEMPTS):
            try:
                return LocalCluster(n_workers=workers, silence_logs=logging.CRITICAL + 1, **options)
            except (RuntimeError, OSError) as error:  # a worker died before it was there; afterwards it would be replaced
                if attempt == START_ATTEMPTS - 1:
                    raise InputError(
                        f"--workers {workers}: the worker processes do not start ({one_line(error)}); is memory left for them?"
                    ) from error


def _nanny(modules: Sequence[str]) -> type:
    """The class of what starts a worker, now and whenever one has died: its server may have died, too."""
    from distributed import Nanny

    class ForkingNanny(Nanny):
        async def instantiate(self):
            with contextlib.suppress(OSError):  # the start of the worker then fails, as Dask expects it to
                start_fork_server(WORKER_ENVIRON, modules)
            return await super().instantiate()

    return ForkingNanny


def batch_cluster(kind: str, options: Sequence[str] = (), folder: Path | None = None):
    """The dask-jobqueue cluster of a batch system, no job submitted yet; ``.job_script()`` shows what one would be.

    The workers' key lies in ``folder`` (default: the working folder) as long as the cluster lives, readable by the user alone.

    Raises
    ------
    OptionError
        dask-jobqueue is not installed, or an option is missing, unknown or impossible.
    """
    import dask

    try:
        import dask_jobqueue
    except ImportError:
        raise OptionError(f"--cluster {kind} needs dask-jobqueue: pip install '{EXTRA}'") from None
    cluster_class = getattr(dask_jobqueue, CLUSTERS[kind])
    values = job_options(options)
    for name in ("cores", "processes"):
        number = values.get(name, 1)
        need(isinstance(number, int) and number > 0, f"--cluster-options {name}={number}: must be a whole number, 1 or more")
    # one task at a time in each process, which then has the threads of its share of the job
    values["worker_extra_args"] = [*values.get("worker_extra_args", []), "--nthreads", "1"]
    values["job_script_prologue"] = [*_own_path(), *values.get("job_script_prologue", [])]
    values["scheduler_options"] = {"dashboard_address": "127.0.0.1:0", **values.get("scheduler_options", {})}
    usual = {"processes": 1, "death_timeout": 300, "silence_logs": logging.CRITICAL + 1, "security": True, "protocol": "tls://"}
    if dask.config.get(f"jobqueue.{kind}.shared-temp-directory", None) is None:
        usual["shared_temp_directory"] = str((folder or Path.cwd()).resolve())
    try:
        return cluster_class(**usual | values)
    except (TypeError, ValueError, RuntimeError, OSError) as error:
        raise OptionError(
            f"--cluster {kind}: {one_line(error)}; give --cluster-options such as cores=8 memory=16GB walltime=24:00:00"
        ) from None


def _own_path() -> list[str]:
    """Lines of a job's script that let its Python import this toolkit, and no file of that name in the folder of the command."""
    root = str(Path(__file__).resolve().parent.parent)
    paths = [] if root in site.getsitepackages() else [f"export PYTHONPATH={shlex.quote(root)}${{PYTHONPATH:+:$PYTHONPATH}}"]
    return ["export PYTHONSAFEPATH=1", *paths]


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
    say: Callable[[str], None] = lambda text: print(text, file=sys.stderr, flush=True),
) -> Iterator[tuple[Any, Any]]:
    """Call ``function(item, *arguments)`` for each item on the workers; yield (item, result) as they are done.

    The function may be called twice for an item, even at one time (a worker given up for lost may go on for a while). ``say`` is
    told when there has been no worker for a while.

    Raises
    ------
    CatchmentError
        A task raised it, its workers kept dying, or the scheduler is gone. Tasks not begun are cancelled.
    """
    from distributed import KilledWorker, as_completed

    items = list(items)
    topic = f"catchment-report-{command_token()}"  # of this call alone: others may use the same scheduler
    if on_report is not None:
        client.subscribe_topic(topic, lambda event: on_report(event[1]))
    host = socket.gethostname()
    # the arguments go with every task: data scattered to a worker would be lost with it
    futures = {
        client.submit(_guarded, topic, host, function, item, *arguments, pure=False, retries=RETRIES): item for item in items
    }
    waiting = set(futures)
    ended = threading.Event()
    threading.Thread(target=_watch, args=(client, ended, say), daemon=True).start()
    try:
        for future in as_completed(futures, loop=client.loop):
            try:
                result = future.result()
            except KilledWorker as error:
                raise InputError(
                    "a task lost its worker again and again; if memory ran out, fewer workers on a machine may do"
                ) from error
            except (concurrent.futures.CancelledError, TimeoutError) as error:
                raise InputError("the scheduler was lost; give the same command again") from error
            if isinstance(result, CatchmentError):
                raise result
            waiting.discard(future)
            yield futures[future], result
    finally:
        ended.set()
        if on_report is not None:
            with contextlib.suppress(Exception):
                client.unsubscribe_topic(topic)
        if waiting:
            with contextlib.suppress(Exception):
                client.cancel(list(waiting))


def _watch(client, ended: threading.Event, say: Callable[[str], None]) -> None:
    """Call ``say`` once for each time without a worker that lasts :data:`WITHOUT_WORKERS_SECONDS`."""
    since, noted = time.monotonic(), False
    while not ended.wait(WITHOUT_WORKERS_SECONDS / 6):
        try:
            workers = client.scheduler_info(n_workers=-1)["workers"]
        except Exception:  # the scheduler is gone, which the tasks will tell
            return
        if workers:
            since, noted = time.monotonic(), False
        elif not noted and time.monotonic() - since > WITHOUT_WORKERS_SECONDS and not ended.is_set():
            noted = True
            say(f"no worker has been there for {WITHOUT_WORKERS_SECONDS:.0f} s; the work goes on when one comes")


def command_token() -> str:
    """A unique token. Workers cache what they opened under the token, so that a later command never sees it."""
    return uuid.uuid4().hex


#: The topic that the reports of a worker's task are sent to.
_topic: contextvars.ContextVar[str | None] = contextvars.ContextVar("topic", default=None)


def _guarded(topic: str, home: str, function, item, *arguments):
    """Call ``function`` in the worker; an error that the user can mend is returned, so that the task is not tried again."""
    # Dask starts its workers with a low MALLOC_TRIM_THRESHOLD_: a quarter of the CPU time of a run went into asking anew
    # (``python -m tests.benchmarks.scaling workers``)
    keep_freed_memory()
    _make_locks_without_names()
    _topic.set(topic)
    try:
        return function(item, *arguments)
    except CatchmentError as error:
        host = socket.gethostname()
        return error if host == home else type(error)(f"{error} (on the worker {host})")


def _make_locks_without_names() -> None:
    """Have the locks that libraries make in a worker, as blosc does where it first compresses, bear no names.

    Names outlast a worker that is killed, as workers are where the command is interrupted, and Python would warn of each of them.
    """
    if multiprocessing.parent_process() is not None and "fork" in multiprocessing.get_all_start_methods():
        multiprocessing.set_start_method("fork", force=True)  # of locks: this process starts no other


def report(message: Any) -> None:
    """Send a small message from a task to ``on_report``; elsewhere nothing happens."""
    from distributed import get_worker

    topic = _topic.get()
    if topic is not None:
        with contextlib.suppress(ValueError):
            get_worker().log_event(topic, message)
