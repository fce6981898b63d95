"""Applications that fail, and clients that go away: what is answered, logged and closed."""

import errno
import io
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import gevent
import pytest
from gevent.event import Event

from greenlane.wsgi import WSGIServer

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from tests.wsgi.conftest import Answer, Client, Closing

    Serve = Callable[..., WSGIServer]
    Connect = Callable[[WSGIServer], Client]


def test_an_error_before_the_first_byte_is_a_500_that_tells_nothing(
    serve: "Serve", connect: "Connect", errors: io.StringIO
) -> None:
    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        start_response("200 OK", [("X-Secret", "1")])
        raise ValueError("the password is swordfish")

    client = connect(serve(app))
    for _ in range(2):  # the connection is whole, and goes on
        reply = client.get("/path?token=secret")
        assert (reply.status, reply.body) == (500, b"Internal Server Error")
        assert "x-secret" not in reply.headers
    assert "ValueError: the password is swordfish" in errors.getvalue()
    assert "GET '/path' failed" in errors.getvalue()
    assert "token" not in errors.getvalue()


def test_the_environment_is_the_applications_to_change(
    serve: "Serve", connect: "Connect", errors: io.StringIO
) -> None:
    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        environ.clear()
        raise ValueError("after clearing it")

    client = connect(serve(app))
    assert client.get("/path").status == 500
    assert client.get("/path").status == 500
    assert "GET '/path' failed" in errors.getvalue()


@pytest.mark.parametrize("error", [gevent.Timeout(1), SystemExit(3), KeyError("x")], ids=repr)
def test_whatever_is_raised_ends_only_its_own_request(
    serve: "Serve", connect: "Connect", error: BaseException
) -> None:
    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        raise error

    server = serve(app)
    assert connect(server).get().status == 500
    assert connect(server).get().status == 500


def test_an_error_after_the_first_byte_closes_the_connection(
    serve: "Serve", connect: "Connect", answer: "Answer", closing: "type[Closing]", errors: io.StringIO
) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"Hello"
        raise ValueError("too late")

    result = closing(chunks())
    client = connect(serve(answer(result)))
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    assert client.rest().endswith(b"\r\n\r\n5\r\nHello\r\n")  # without the last chunk: visibly cut off
    assert result.closed.is_set()
    assert "ValueError: too late" in errors.getvalue()


def test_an_error_of_the_applications_own_sockets_is_its_error(
    serve: "Serve", connect: "Connect", errors: io.StringIO
) -> None:
    """A reset by its database is not a client that went away."""

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        raise ConnectionResetError(errno.ECONNRESET, "database went away")

    assert connect(serve(app)).get().status == 500
    assert "database went away" in errors.getvalue()


@pytest.mark.parametrize("result", [b"bytes", "text", ["text"], [None], None, 42], ids=repr)
def test_what_is_no_iterable_of_bytes_is_a_500(
    serve: "Serve", connect: "Connect", answer: "Answer", result: Any
) -> None:
    assert connect(serve(answer(result))).get().status == 500


def test_no_start_response_is_a_500(serve: "Serve", connect: "Connect", errors: io.StringIO) -> None:
    assert connect(serve(lambda environ, start_response: [b"Hello"])).get().status == 500
    assert "did not call start_response" in errors.getvalue()


@pytest.mark.parametrize("promised", ["4", "6"])
def test_a_wrong_content_length_is_a_500_while_there_is_time(
    serve: "Serve", connect: "Connect", answer: "Answer", promised: str
) -> None:
    """Sent as it is, it would shift every later reply on the connection."""
    client = connect(serve(answer([b"Hello"], ("Content-Length", promised))))
    assert client.get().status == 500
    assert client.get().status == 500


@pytest.mark.parametrize(("promised", "sent"), [("4", b"Hell"), ("6", b"Hello")])
def test_a_wrong_content_length_found_late_closes_the_connection(
    serve: "Serve", connect: "Connect", answer: "Answer", promised: str, sent: bytes
) -> None:
    client = connect(serve(answer(iter([b"Hell", b"o"]), ("Content-Length", promised))))
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    assert client.rest().partition(b"\r\n\r\n")[2] == sent


def test_a_second_start_response_needs_exc_info(serve: "Serve", connect: "Connect") -> None:
    """PEP 3333, "The start_response() Callable"."""

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        start_response("200 OK", [])
        if environ["PATH_INFO"] == "/twice":
            start_response("201 Created", [])
        try:
            raise ValueError
        except ValueError:
            start_response("202 Accepted", [], sys.exc_info())
        return [b""]

    client = connect(serve(app))
    assert client.get("/twice").status == 500
    assert client.get("/").status == 202


def test_exc_info_is_raised_again_after_the_first_byte(
    serve: "Serve", connect: "Connect", errors: io.StringIO
) -> None:
    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"Hello"
        try:
            raise ValueError("in the middle")
        except ValueError:
            start_response("500 Oh", [], sys.exc_info())
        yield b"never sent"

    client = connect(serve(app)).send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    assert b"never sent" not in client.rest()
    assert "ValueError: in the middle" in errors.getvalue()


def test_an_error_in_close_is_logged_and_the_reply_stands(
    serve: "Serve", connect: "Connect", answer: "Answer", errors: io.StringIO
) -> None:
    class Failing:
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"Hello"])

        def close(self) -> None:
            raise ValueError("in close")

    client = connect(serve(answer(Failing())))
    assert client.get().body == b"Hello"
    assert client.get().body == b"Hello"
    assert "ValueError: in close" in errors.getvalue()


def test_an_error_that_cannot_be_logged_is_answered(
    serve: "Serve", connect: "Connect", errors: io.StringIO
) -> None:
    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        raise ValueError

    errors.close()  # writing raises, as to a pipe whose reader has gone
    client = connect(serve(app))
    assert client.get().status == 500
    assert client.get().status == 500


def test_an_error_that_is_its_own_cause_is_an_error_like_any_other(
    serve: "Serve", connect: "Connect", errors: io.StringIO
) -> None:
    """Whoever follows its causes to their end would never be done."""

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        with pytest.raises(OSError, match="a chunk's size"):
            environ["wsgi.input"].read()
        error = KeyError("mine")
        raise error from error

    client = connect(serve(app))
    client.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n")
    assert client.reply().status == 500
    assert "KeyError: 'mine'" in errors.getvalue()


# Clients that go away.


def test_a_client_that_goes_away_ends_its_response_quietly(
    serve: "Serve", connect: "Connect", answer: "Answer", closing: "type[Closing]", errors: io.StringIO
) -> None:
    gone = Event()

    def chunks() -> Iterator[bytes]:
        while True:
            yield b"x" * 100_000
            assert gone.wait(5)

    result = closing(chunks())
    client = connect(serve(answer(result))).send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    client.sock.recv(1)
    client.close()
    gone.set()
    assert result.closed.wait(5)
    assert errors.getvalue() == ""


def test_a_client_that_hangs_up_in_its_body_is_not_logged(
    serve: "Serve", connect: "Connect", errors: io.StringIO
) -> None:
    reading, done = Event(), Event()

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        reading.set()
        try:
            environ["wsgi.input"].read()
        finally:
            done.set()
        return []

    client = connect(serve(app)).send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nHe")
    assert reading.wait(5)
    client.close()
    assert done.wait(5)
    gevent.sleep(0)
    assert errors.getvalue() == ""
