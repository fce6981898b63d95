"""WSGI requests as functions of a program."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import gevent
import pytest
from werkzeug.wrappers import Request, Response

from greenlane import App, g
from greenlane import request as current_request
from greenlane.testing.interleave import UnsupportedError, explore, request

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


@Request.application
def echo(got: Request) -> Response:
    """Say what came, after letting the others go on."""
    gevent.sleep(0)
    body = got.get_data(as_text=True)
    gevent.sleep(0)
    return Response(f"{got.method} {got.full_path} {got.headers.get('X-Name')} {body}")


def test_each_request_gets_its_own_answer() -> None:
    def program() -> Any:
        first, second = yield [
            request(echo, "/a?x=1", headers={"X-Name": "ada"}),
            request(echo, "/b", method="POST", data="body", headers={"X-Name": "bob"}),
        ]
        assert (first.status_code, first.text) == (200, "GET /a?x=1 ada ")
        assert second.text == "POST /b? bob body"
        assert (first.request.path, second.request.path) == ("/a", "/b")

    assert explore(program).check().schedules == 20


def test_a_function_may_be_called_again_with_the_same_body_and_a_fresh_environ() -> None:
    environs: list[object] = []

    @Request.application
    def keeping(got: Request) -> Response:
        environs.append(got.environ)
        got.environ["left"] = got.environ.get("left", 0) + 1
        return Response(f"{got.form['name']} {got.environ['left']}")

    post = request(keeping, "/", method="POST", data={"name": "ada"})

    def program() -> Any:
        def twice() -> None:
            assert [post().text, post().text] == ["ada 1"] * 2

        (other, _nothing) = yield [post, twice]
        assert other.text == "ada 1"

    explore(program).check()
    assert len({id(environ) for environ in environs}) == len(environs)


def test_a_streamed_response_is_read_to_its_end_and_closed() -> None:
    class Chunks:
        """Three chunks, with a switch before each."""

        def __init__(self, log: list[str]) -> None:
            self.log = log

        def __iter__(self) -> Iterator[bytes]:
            for number in range(3):
                gevent.sleep(0)
                yield b"%d" % number

        def close(self) -> None:
            gevent.sleep(0)
            self.log.append("closed")

    def program() -> Any:
        log: list[str] = []

        def streaming(_environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
            start("200 OK", [("Content-Type", "text/plain")])
            return Chunks(log)

        first, second = yield [request(streaming), request(streaming)]
        assert first.text == second.text == "012"
        assert log == ["closed"] * 2

    # Five steps each.
    assert explore(program).check().schedules == 252


def test_an_app_that_raises_fails_with_the_name_of_its_request() -> None:
    def broken(_environ: "WSGIEnvironment", _start: "StartResponse") -> Iterable[bytes]:
        raise KeyError("broken")

    failure = explore([request(echo), request(broken, "/broken", method="PUT")]).failure
    assert failure is not None
    assert failure.problem.message == "PUT /broken raised KeyError: 'broken'"
    assert explore([request(broken)], expected=(KeyError,)).covered


def test_the_steps_of_requests_have_their_names() -> None:
    def program() -> Any:
        yield [request(echo, "/a"), request(echo, "/a"), request(echo, "/b")]
        raise AssertionError

    failure = explore(program).failure
    assert failure is not None
    assert {step.task for step in failure.trace} == {"GET /a-1", "GET /a-2", "GET /b"}
    places = {step.until.function for step in failure.trace if step.until is not None}
    assert places == {"echo"}


def test_an_app_that_reads_a_real_socket_is_refused() -> None:
    import socket

    @Request.application
    def real(_got: Request) -> Response:
        with socket.socket() as connection:
            return Response(str(connection.fileno()))

    with pytest.raises(UnsupportedError, match="a real socket"):
        explore([request(real)])


def test_requests_to_an_app_keep_apart_and_a_shared_object_does_not() -> None:
    """B43: request and g are one request's own in every order; a module's variable is not."""
    app = App("shop")
    shared: dict[str, str] = {}

    @app.get("/<name>")
    def view(name: str) -> str:
        g.name = shared["name"] = name
        gevent.sleep(0)
        assert current_request.view_args is not None
        return f"{g.name} {current_request.view_args['name']} {shared['name']}"

    def apart() -> Any:
        ada, bob = yield [request(app, "/ada"), request(app, "/bob")]
        assert [ada.text[:7], bob.text[:7]] == ["ada ada", "bob bob"]

    def mixed() -> Any:
        ada, bob = yield [request(app, "/ada"), request(app, "/bob")]
        assert [ada.text, bob.text] == ["ada ada ada", "bob bob bob"]

    assert explore(apart).check().schedules == 6
    failure = explore(mixed).failure
    assert failure is not None
    assert failure.problem.kind == "check"
