"""Where the server may be: behind a proxy, below a path, on IPv6, TLS or a Unix socket, one of several."""

import json
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from socket import AF_UNIX, create_server, has_ipv6, socket
from ssl import create_default_context
from typing import TYPE_CHECKING

import pytest
import trustme

if TYPE_CHECKING:
    from tests.e2e.conftest import Run, WaitUntil
    from tests.e2e.race.conftest import Fields, Visitor

TIMEOUT = 60.0
LOCAL = "shared-object/local"

MOUNTED = """
from werkzeug.exceptions import NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from greenlane.demo import create_demo

app = DispatcherMiddleware(NotFound(), {"/below": create_demo(secret_key="tests")})
"""


def test_behind_a_proxy_the_load_goes_to_the_server_itself(
    run: "Run", a_visitor: "type[Visitor]", quick: "Fields"
) -> None:
    """The proxy's name, scheme and prefix are the visitor's business: the load does not know of them."""
    forwarded = ("proto=1", "host=1", "prefix=1")
    options = [option for each in forwarded for option in ("--forwarded", each)]
    process = run("--trusted-proxy", "127.0.0.1", *options)
    headers = {
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "greenlane.test",
        "X-Forwarded-Prefix": "/below",
    }
    visitor = a_visitor.of(process, headers=headers)
    with visitor.starting(quick, scripts=False) as response:
        assert 'content="0; url=/below/#race"' in response.read().decode()
    assert 'data-verdict="ISOLATED"' in visitor.page()


@pytest.mark.skipif(not has_ipv6, reason="this system has no IPv6")
def test_below_a_path_and_at_an_address_of_ipv6(
    run: "Run", tmp_path: Path, a_visitor: "type[Visitor]", quick: "Fields"
) -> None:
    (tmp_path / "mounted.py").write_text(MOUNTED)
    process = run("mounted:app", "--host", "::1", "--port", "0")
    visitor = a_visitor(lambda: HTTPConnection("::1", process.port, timeout=TIMEOUT), prefix="/below")
    assert visitor.race(quick)[-1]["verdicts"][LOCAL]["verdict"] == "ISOLATED"


def test_over_tls_with_a_certificate_that_nobody_knows(
    run: "Run", tmp_path: Path, a_visitor: "type[Visitor]", quick: "Fields"
) -> None:
    authority = trustme.CA()
    leaf = authority.issue_cert("127.0.0.1")
    leaf.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    process = run("--certfile", "both.pem")
    context = create_default_context()
    authority.configure_trust(context)

    def connect() -> HTTPSConnection:
        return HTTPSConnection("127.0.0.1", process.port, timeout=TIMEOUT, context=context)

    assert a_visitor(connect).race(quick)[-1]["verdicts"][LOCAL]["verdict"] == "ISOLATED"


def test_on_a_unix_socket_alone(
    run: "Run", tmp_path: Path, a_visitor: "type[Visitor]", quick: "Fields"
) -> None:
    run("--unix", "s")

    def connect() -> HTTPConnection:
        connection = HTTPConnection("localhost")
        connection.sock = socket(AF_UNIX)
        connection.sock.connect(str(tmp_path / "s"))
        return connection

    assert a_visitor(connect).race(quick)[-1]["verdicts"][LOCAL]["verdict"] == "ISOLATED"


def test_where_two_processes_share_an_address_a_race_stays_in_the_one_that_was_asked(
    run: "Run", wait_until: "WaitUntil", a_visitor: "type[Visitor]", quick: "Fields"
) -> None:
    with create_server(("127.0.0.1", 0)) as listener:
        number = listener.fileno()
        shared = {"environ": {"SECRET_KEY": "tests"}, "pass_fds": (number,)}
        process, _other = (run("--fd", str(number), **shared) for _ in range(2))

        seen = set()

        def both_seen() -> bool:
            _status, reply = process.get("/probe/local?nonce=a", {"Connection": "close"})
            seen.add(json.loads(reply)["process"])
            return len(seen) == 2

        wait_until(both_seen, "both have served")
        lines = a_visitor.of(process).race(quick)
    raced = {line["process"] for line in lines if line["kind"] == "request"}
    assert len(raced) == 1
    assert raced < seen
    assert lines[-1]["verdicts"][LOCAL]["verdict"] == "ISOLATED"
