"""Who else on the machine gets an answer: from the workers' scheduler, and through names planted in a shared folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import psutil
import pytest

from data import workers as cluster
from tests.builders.clusters import plain_cluster

#: Tries to have each port run code (as a Dask client without certificates), and to be shown a page: prints who answered.
STRANGER = """
import asyncio, json, logging, os, sys, urllib.request
logging.disable(logging.CRITICAL)
from distributed import Client, LocalCluster
from distributed.core import connect
uid, ports = int(sys.argv[1]), [int(one) for one in sys.argv[2:]]
if uid:
    import cloudpickle, encodings.idna, html, tempfile
    # what is imported late must be readable: another user may not see this Python
    with LocalCluster(n_workers=1, processes=False, dashboard_address=None) as made, Client(made) as warm:
        warm.submit(abs, -1).result()
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)
    os.chdir("/")
found = {}
async def ask(address):
    comm = await connect(address, timeout=2)
    try:
        await comm.write({"op": "identity", "reply": True})
        return str(type(await asyncio.wait_for(comm.read(), 2)))
    finally:
        comm.abort()
for port in ports:
    answers = []
    for protocol in ("tcp", "tls"):
        try:
            answers.append(asyncio.run(asyncio.wait_for(ask(f"{protocol}://127.0.0.1:{port}"), 5)))
        except BaseException as error:
            pass
    try:
        answers.append(urllib.request.urlopen(f"http://127.0.0.1:{port}/info/main/workers.html", timeout=2).status)
    except urllib.error.HTTPError as error:
        answers.append(error.code)
    except Exception:
        pass
    found[port] = answers
try:
    with Client(f"tcp://127.0.0.1:{ports[0]}", timeout=2) as client:
        found["ran"] = client.submit(lambda: 6 * 7).result(timeout=10)
except Exception as error:
    found["ran"] = None
print(json.dumps(found))
"""


def open_ports(first: int) -> list[int]:
    """TCP ports that this process and its children listen on, ``first`` first."""
    us = psutil.Process()
    ports = {
        one.laddr.port
        for process in (us, *us.children(recursive=True))
        for one in process.net_connections(kind="tcp")
        if one.status == psutil.CONN_LISTEN
    }
    assert first in ports
    return [first, *sorted(ports - {first})]


def stranger(ports, uid):
    done = subprocess.run(
        [sys.executable, "-c", STRANGER, str(uid), *map(str, ports)], capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def port_of(address: str) -> int:
    return int(address.rsplit(":", 1)[1])


@pytest.fixture(params=["of the same user", "of another user"])
def uid(request):
    if request.param == "of the same user":
        return 0
    if os.geteuid() != 0:
        pytest.skip("only root can start a process of another user")
    return 65534


def test_the_workers_scheduler_answers_nobody_but_the_command_that_started_it(uid):
    with cluster.open_client(workers=2) as client:
        assert dict(cluster.run_tasks(client, abs, [-1, -2])) == {-1: 1, -2: 2}
        ports = open_ports(port_of(client.scheduler.address))
        found = stranger(ports, uid)
        assert len(ports) >= 5  # the scheduler's, two workers', their two keepers'
    assert found.pop("ran") is None
    assert not any(found.values()), found


def test_the_stranger_of_these_tests_runs_code_where_a_scheduler_lets_it(uid):
    with plain_cluster(1) as made:
        found = stranger(open_ports(port_of(made.scheduler_address))[:1], uid)  # the others keep it waiting, for 2 s each
    assert found.pop("ran") == 42
    assert any(found.values())


def test_no_port_is_open_beyond_this_machine():
    with cluster.open_client(workers=1):
        us = psutil.Process()
        places = {
            one.laddr.ip
            for process in (us, *us.children(recursive=True))
            for one in process.net_connections(kind="tcp")
            if one.status == psutil.CONN_LISTEN
        }
    assert places <= {"127.0.0.1", "::1"}
