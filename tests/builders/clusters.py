"""Schedulers that users start themselves."""

from __future__ import annotations

import contextlib

from data.fork_server import START_METHOD, start_fork_server
from data.workers import WORKER_ENVIRON


@contextlib.contextmanager
def plain_cluster(workers=2):
    """A scheduler as a user may start one by hand: without certificates."""
    import dask
    from distributed import LocalCluster

    options = {"threads_per_worker": 1, "memory_limit": 0, "dashboard_address": "127.0.0.1:0", "silence_logs": 60}
    start_fork_server(WORKER_ENVIRON)  # sooner there than new processes, which import what they need
    with (
        dask.config.set({"distributed.worker.multiprocessing-method": START_METHOD}),
        LocalCluster(n_workers=workers, host="127.0.0.1", **options) as cluster,
    ):
        yield cluster
