"""httpbin on `greenlane run`: a well-known application made to ask a server for everything."""

import asyncio
import gzip
import hashlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import requests

if TYPE_CHECKING:
    from tests.e2e.conftest import Process, Run

TIMEOUT = 20.0


@pytest.fixture(scope="module")
def server(launch: "Run", folder: Path) -> "Process":
    return launch("httpbin:app", "--access-log", "off", cwd=folder)


class Bin:
    """A session with httpbin."""

    def __init__(self, session: requests.Session, where: str) -> None:
        self.session = session
        self.where = where

    def ask(self, path: str, method: str = "GET", **options: Any) -> requests.Response:
        return self.session.request(method, f"{self.where}{path}", timeout=TIMEOUT, **options)


@pytest.fixture
def httpbin(server: "Process", session: requests.Session) -> Bin:
    return Bin(session, server.where)


def test_arguments_and_headers(httpbin: Bin, server: "Process") -> None:
    told = httpbin.ask("/get?a=1&a=2&b=%20c%2F", headers={"X-Own": "yes, no"}).json()
    assert told["args"] == {"a": ["1", "2"], "b": " c/"}
    assert told["headers"]["X-Own"] == "yes, no"
    assert told["headers"]["Host"] == f"127.0.0.1:{server.port}"
    assert told["origin"] == "127.0.0.1"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_bodies(httpbin: Bin, method: str) -> None:
    path = f"/{method.lower()}"
    assert httpbin.ask(path, method, data={"name": "Zoë"}).json()["form"] == {"name": "Zoë"}
    assert httpbin.ask(path, method, json={"a": [1, None]}).json()["json"] == {"a": [1, None]}
    assert httpbin.ask(path, method, files={"f": b"file"}).json()["files"] == {"f": "file"}


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "TRACE"])
def test_any_method(httpbin: Bin, method: str) -> None:
    assert httpbin.ask("/anything/at/all", method).json()["method"] == method


@pytest.mark.parametrize("code", [200, 204, 205, 301, 304, 400, 401, 404, 418, 429, 500, 503])
def test_status_codes_and_the_connection_goes_on(httpbin: Bin, code: int) -> None:
    """A body where there may be none would be the next reply's beginning."""
    for _ in range(2):
        assert httpbin.ask(f"/status/{code}", allow_redirects=False).status_code == code
    assert httpbin.ask("/get?a=1").json()["args"] == {"a": "1"}


def test_a_stream_of_json(httpbin: Bin) -> None:
    lines = httpbin.ask("/stream/50").iter_lines()
    assert sum(1 for line in lines if line.startswith(b"{")) == 50


def test_bytes_with_a_seed_are_the_same_in_one_piece_and_streamed(httpbin: Bin) -> None:
    whole = httpbin.ask("/bytes/100000?seed=7").content
    streamed = httpbin.ask("/stream-bytes/100000?seed=7&chunk_size=1000").content
    assert len(whole) == 100_000
    assert hashlib.sha256(whole).digest() == hashlib.sha256(streamed).digest()


def test_a_range(httpbin: Bin) -> None:
    reply = httpbin.ask("/range/1000", headers={"Range": "bytes=26-51"})
    assert (reply.status_code, reply.text) == (206, "abcdefghijklmnopqrstuvwxyz")
    assert reply.headers["Content-Range"] == "bytes 26-51/1000"
    assert httpbin.ask("/range/1000", headers={"Range": "bytes=2000-"}).status_code == 416


@pytest.mark.parametrize("kind", ["redirect", "relative-redirect", "absolute-redirect"])
def test_redirects_lead_back_to_the_server(httpbin: Bin, server: "Process", kind: str) -> None:
    """An absolute one is made of the Host that the client sent."""
    reply = httpbin.ask(f"/{kind}/3")
    assert (reply.status_code, reply.url) == (200, f"{server.where}/get")
    assert len(reply.history) == 3


def test_cookies(httpbin: Bin) -> None:
    assert httpbin.ask("/cookies/set?a=1&b=two").json()["cookies"] == {"a": "1", "b": "two"}
    assert httpbin.ask("/cookies/delete?a").json()["cookies"] == {"b": "two"}


@pytest.mark.parametrize(("path", "told"), [("/gzip", "gzipped"), ("/deflate", "deflated")])
def test_compressed(httpbin: Bin, path: str, told: str) -> None:
    assert httpbin.ask(path).json()[told] is True


def test_compressed_bytes_are_sent_as_they_are(httpbin: Bin) -> None:
    with httpbin.ask("/gzip", stream=True) as reply:
        packed = reply.raw.read(decode_content=False)
    assert reply.headers["Content-Length"] == str(len(packed))
    assert b'"gzipped":true' in gzip.decompress(packed).replace(b" ", b"")


def test_authentication(httpbin: Bin) -> None:
    assert httpbin.ask("/basic-auth/user/word").status_code == 401
    assert httpbin.ask("/basic-auth/user/word", auth=("user", "word")).json()["user"] == "user"
    digest = requests.auth.HTTPDigestAuth("user", "word")
    assert httpbin.ask("/digest-auth/auth/user/word", auth=digest).status_code == 200


def test_conditional_requests(httpbin: Bin) -> None:
    assert httpbin.ask("/etag/own", headers={"If-None-Match": "own"}).status_code == 304
    assert httpbin.ask("/etag/own", headers={"If-Match": "other"}).status_code == 412
    assert httpbin.ask("/cache", headers={"If-None-Match": "any"}).status_code == 304


def test_a_picture(httpbin: Bin) -> None:
    reply = httpbin.ask("/image/png")
    assert reply.headers["Content-Type"] == "image/png"
    assert reply.content.startswith(b"\x89PNG")
    assert len(reply.content) == int(reply.headers["Content-Length"])


def test_text_that_is_not_ascii(httpbin: Bin) -> None:
    assert "STARGΛ̊TE" in httpbin.ask("/encoding/utf8").content.decode()


def test_delays_at_once_last_as_long_as_one(server: "Process") -> None:
    """Each waits a second by `time.sleep`, which is patched: a server of one at a time would need forty."""

    async def ask(client: httpx.AsyncClient, number: int) -> None:
        reply = await client.get(f"/delay/1?number={number}")
        assert reply.json()["args"] == {"number": str(number)}

    async def all_at_once() -> None:
        async with httpx.AsyncClient(base_url=server.where, timeout=TIMEOUT, trust_env=False) as client:
            await asyncio.gather(*(ask(client, number) for number in range(40)))

    begun = time.monotonic()
    asyncio.run(all_at_once())
    assert 1 <= time.monotonic() - begun < 20


def test_a_slow_drip(httpbin: Bin) -> None:
    assert httpbin.ask("/drip?duration=0.2&numbytes=5&delay=0").content == b"*****"
