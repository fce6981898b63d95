"""A process's name: the same as long as it lives, in `/metrics` too, and no other process's."""

import os
import subprocess
import sys

from prometheus_client.parser import text_string_to_metric_families
from werkzeug.test import Client
from werkzeug.wrappers import Response

from greenlane.app import App
from greenlane.ops import Ops
from greenlane.ops.process import process_name

# In a process of its own, because one that may have threads should not fork. Each line is one write: the two
# processes speak at once.
FORKING = """
import os
from greenlane.ops.process import process_name

def say():
    os.write(1, f"{process_name()}\\n".encode())

say()
child = os.fork()
say()
if child:
    os.waitpid(child, 0)
    say()
"""


def test_the_name_stays_and_is_among_the_figures() -> None:
    text = Client(Ops(App("shop")), Response).get("/metrics").get_data(as_text=True)
    (info,) = (each for each in text_string_to_metric_families(text) if each.name == "greenlane_process_info")
    (sample,) = info.samples
    assert sample.labels == {"process": process_name()}
    assert f"/{os.getpid()}/" in process_name()


def test_a_fork_has_a_name_of_its_own() -> None:
    said = subprocess.run([sys.executable, "-c", FORKING], capture_output=True, text=True, check=True).stdout
    parent, *others = said.split()
    assert others.count(parent) == 2  # before the fork once, after it and at the end
    (child,) = set(others) - {parent}
    # Not by its number alone, which in a container is 1 for everybody.
    assert child.rpartition("/")[2] != parent.rpartition("/")[2]
