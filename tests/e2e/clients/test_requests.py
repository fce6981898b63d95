"""requests: the client of most Python programs, over plain connections and TLS."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

if TYPE_CHECKING:
    from tests.e2e.conftest import Process

TIMEOUT = 20.0


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """Without the proxies of the machine's environment."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


def _pieces() -> Iterator[bytes]:
    for number in range(200):
        yield b"%d" % number * 500


def test_a_session_keeps_its_connection(session: requests.Session, server: "Process") -> None:
    ports = set()
    for number in range(50):
        told = session.post(f"{server.where}/{number}", data=b"x" * number, timeout=TIMEOUT).json()
        assert (told["path"], told["length"]) == (f"/{number}", number)
        ports.add(told["port"])
    assert len(ports) == 1


def test_a_generator_is_sent_in_chunks(session: requests.Session, server: "Process") -> None:
    told = session.put(server.where, data=_pieces(), timeout=TIMEOUT).json()
    body = b"".join(_pieces())
    assert (told["length"], told["sha256"]) == (len(body), hashlib.sha256(body).hexdigest())


def test_a_stream_is_read_as_it_comes(session: requests.Session, server: "Process") -> None:
    with session.get(f"{server.where}/stream", stream=True, timeout=TIMEOUT) as reply:
        assert list(reply.iter_lines()) == [b"line %d" % number for number in range(1000)]


def test_tls_with_the_right_authority(session: requests.Session, secure: "Process", folder: Path) -> None:
    session.verify = str(folder / "authority.pem")
    ports = set()
    for _ in range(3):
        told = session.put(secure.where, data=_pieces(), timeout=TIMEOUT).json()
        assert (told["scheme"], told["length"]) == ("https", sum(map(len, _pieces())))
        ports.add(told["port"])
    assert len(ports) == 1


def test_tls_with_another_authority_is_refused_by_the_client(
    session: requests.Session, secure: "Process"
) -> None:
    with pytest.raises(requests.exceptions.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        session.get(secure.where, timeout=TIMEOUT)
