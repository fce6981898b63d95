"""What a process is: its name, its greenlets and its native threads.

Rule: asking must stay cheap with ten thousand greenlets, because the answer is
wanted while all of them run: no walk over the garbage collector's objects.
Needs gevent only; imports nothing of ours.
"""

import os
import resource
import secrets
import socket
import threading
import weakref
from pathlib import Path

from gevent import Greenlet

_started: "weakref.WeakSet[Greenlet[..., object]]" = weakref.WeakSet()

_names: dict[int, str] = {}


def process_name() -> str:
    """Return a name that no other process has, on this machine or elsewhere.

    Process ids do not do: in containers every server is process 1. A fork gets a name of its own.
    """
    pid = os.getpid()
    if pid not in _names:
        _names.clear()  # the parent's
        _names[pid] = f"{socket.gethostname()}/{pid}/{secrets.token_hex(4)}"
    return _names[pid]


def count_greenlets_from_now() -> None:
    """Begin to note each `gevent.Greenlet` that is started. Calling it again changes nothing."""
    Greenlet.add_spawn_callback(_started.add)


def living_greenlets() -> int:
    """How many greenlets are started, or waiting to, and not finished.

    Counted are gevent's own: one for each connection, and what an application
    spawns. Not counted: the hub, the main greenlet, raw ones
    (`gevent.spawn_raw`), and those started before `count_greenlets_from_now`.
    """
    return sum(not greenlet.dead for greenlet in _started)


def native_threads() -> int:
    """How many threads the operating system runs for this process."""
    try:
        return len(os.listdir("/proc/self/task"))  # noqa: PTH208 - no path objects for what is only counted
    except FileNotFoundError:
        # Not Linux: what Python knows of, without threads that belong to libraries. Under
        # monkey-patching these may be greenlets.
        return threading.active_count()


def resident_memory() -> int | None:
    """How many bytes of this process are in memory, as the kernel counts them; None where it has no /proc."""
    try:
        # proc_pid_stat(5): the name, in brackets, may itself hold blanks and brackets; behind it, field 24.
        pages = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()[21]
    except FileNotFoundError:
        return None
    return int(pages) * resource.getpagesize()
