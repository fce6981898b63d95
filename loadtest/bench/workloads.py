"""What is asked of every server, and what Greenlane is to reach.

Rule: a workload is one application, one request and what the reply must be; an aim is a ratio in one run.
Imports nothing of ours but the servers' names.
"""

from dataclasses import dataclass

from bench.servers import GREENLANE

UPLOAD_SIZE = 65_536
"""Bytes that `load.lua` sends for an upload, and that the application must count."""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One kind of request.

    Attributes:
        name: how the command line and the report call it.
        title: how a table calls it.
        app: the application, MODULE:NAME.
        path: the path that is loaded.
        load: what `load.lua` sends: ``get``, ``upload`` or ``echo``.
        keep_alive: whether connections are kept; without, each request asks for ``Connection: close``.
        peers_from: the workload whose figures the other servers have in this one, because they cannot run
            ``app``; "" for their own.

    """

    name: str
    title: str
    app: str
    path: str = "/"
    load: str = "get"
    keep_alive: bool = True
    peers_from: str = ""

    def measured(self, server: str) -> str:
        """Return the name of the workload that is measured for ``server``."""
        return self.peers_from if self.peers_from and server != GREENLANE else self.name


WORKLOADS = (
    Workload(name="hello", title="Hello, kept alive", app="bare:hello"),
    Workload(name="close", title="Hello, a connection for each request", app="bare:hello", keep_alive=False),
    Workload(name="json", title="10 kB of JSON", app="bare:document"),
    Workload(name="upload", title="An upload of 64 KiB", app="bare:upload", load="upload"),
    Workload(
        name="echo",
        title="Echo: our App, beside Flask on the others",
        app="echo_greenlane:app",
        path="/echo",
        load="echo",
        peers_from="flask",
    ),
    Workload(name="flask", title="Echo in Flask on all", app="echo_flask:app", path="/echo", load="echo"),
)

BY_NAME = {workload.name: workload for workload in WORKLOADS}


@dataclass(frozen=True)
class Aim:
    """How many times a peer's throughput Greenlane is to have."""

    workload: str
    peer: str
    floor: float
    goal: float


AIMS = (
    Aim("hello", "gunicorn-gevent", 3.5, 5.0),
    Aim("hello", "pywsgi-nodelay", 2.5, 4.0),
    Aim("hello", "granian", 0.6, 1.0),
    Aim("close", "gunicorn-gevent", 2.5, 3.0),
    Aim("echo", "gunicorn-gevent", 2.0, 4.0),
    Aim("flask", "gunicorn-gevent", 1.4, 2.0),
)

MEMORY_AIM = 20.0
"""KiB of resident memory that one request in flight may cost."""
