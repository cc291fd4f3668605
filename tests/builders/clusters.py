"""Schedulers that users start themselves."""

from __future__ import annotations

import contextlib


@contextlib.contextmanager
def plain_cluster(workers=2):
    """A scheduler as a user may start one by hand: without certificates."""
    from distributed import LocalCluster

    options = {"threads_per_worker": 1, "memory_limit": 0, "dashboard_address": "127.0.0.1:0", "silence_logs": 60}
    with LocalCluster(n_workers=workers, host="127.0.0.1", **options) as cluster:
        yield cluster
