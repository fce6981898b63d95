"""What the tests of the demonstration as a whole share: one of it, clients, and how its replies are read.

One test client in one greenlet stands for one kept-alive connection: the same
greenlet serves its requests one after another.
"""

from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from greenlane.demo import create_demo
from greenlane.demo.keeper import FIELDS
from greenlane.ops import Ops

Connection = Callable[..., list[Any]]
ReadBack = Callable[[Any], list[dict[str, str | None]]]
Entries = Callable[["ClosingClient", str], str]


class ClosingClient(Client):
    """Reads and closes every response, as a server does before the connection's next request."""

    def open(self, *args: Any, **options: Any) -> TestResponse:
        return super().open(*args, **{"buffered": True} | options)


@pytest.fixture
def demo() -> Ops:
    return create_demo(secret_key="for this test")


@pytest.fixture
def client(demo: Ops) -> ClosingClient:
    return ClosingClient(demo)


@pytest.fixture
def closing_client() -> type[ClosingClient]:
    """Clients with options of their own: `closing_client(demo, use_cookies=False)`."""
    return ClosingClient


@pytest.fixture
def connection() -> Connection:
    """Request addresses in turn, in one greenlet; return the documents: `connection(demo, *addresses)`."""

    def request(demo: Ops, *addresses: str) -> list[Any]:
        client = ClosingClient(demo)
        return [client.get(address).get_json() for address in addresses]

    return request


@pytest.fixture
def read_back() -> ReadBack:
    """What a probe's report says was read in each field, by checkpoint: `read_back(report)`."""

    def fields(report: Any) -> list[dict[str, str | None]]:
        return [
            {field: checkpoint["read"][field] for field in FIELDS} for checkpoint in report["checkpoints"]
        ]

    return fields


@pytest.fixture
def entries() -> Entries:
    """Read one sample of the metric that counts entries: `entries(client, name)`."""

    def sample(client: ClosingClient, name: str) -> str:
        metrics = client.get("/metrics").get_data(as_text=True)
        line = next(
            line
            for line in metrics.splitlines()
            if line.startswith(f'greenlane_local_entries{{local="{name}"}}')
        )
        return line.rpartition(" ")[2]

    return sample
