"""LocalManager: releases when the response is closed."""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import gevent
import pytest
from gevent.event import Event

from greenlane.context import Local, LocalManager, LocalStack, get_ident

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


def start_response(status: str, headers: Any, exc_info: Any = None) -> Callable[[bytes], object]:
    return lambda data: None


def test_cleanup_releases_all_locals() -> None:
    """B28: those given as a list, and one appended later."""
    local, stack, later = Local(), LocalStack[int](), Local()
    manager = LocalManager([local, stack])
    manager.locals.append(later)
    local.x = later.x = 1
    stack.push(1)
    manager.cleanup()
    assert local.__storage__ == stack.__storage__ == later.__storage__ == {}
    assert repr(manager) == "<LocalManager of 3 locals>"


def test_one_local_or_none_may_be_given() -> None:
    """B28: the classic signature."""
    local, stack = Local(), LocalStack[int]()
    assert LocalManager().locals == []
    assert LocalManager(local).locals == [local]
    assert LocalManager(stack).locals == [stack]
    assert LocalManager(each for each in (local, stack)).locals == [local, stack]
    assert LocalManager().get_ident() is get_ident()


def test_an_ident_function_is_given_to_the_locals() -> None:
    """B28: as in the classic manager, and not to one that is appended later."""
    local, stack, later = Local(), LocalStack[int](), Local()
    manager = LocalManager([local, stack], ident_func=lambda: 7)
    manager.locals.append(later)
    assert manager.get_ident() == 7
    assert local.__ident_func__() == stack.__ident_func__() == 7
    assert later.__ident_func__ is get_ident


def test_every_local_is_released_even_when_one_release_fails() -> None:
    """B28: and the first error is told."""
    local = Local()

    class Broken(Local):
        def __release_local__(self) -> None:
            raise OSError("cannot release")

    manager = LocalManager([Broken(), local])
    local.x = 1
    with pytest.raises(OSError, match="cannot release"):
        manager.cleanup()
    assert local.__storage__ == {}


class Body:
    """A response iterable that notes what the local held when it was closed."""

    def __init__(self, local: Local) -> None:
        self.local = local
        self.at_close: object = None

    def __iter__(self) -> Iterator[bytes]:
        yield self.local.nonce.encode()

    def close(self) -> None:
        self.at_close = self.local.nonce


def test_the_middleware_releases_when_the_response_is_closed() -> None:
    """B28: not before: the body, and its own close, still see the lane."""
    local = Local()
    manager = LocalManager(local)
    body = Body(local)

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        local.nonce = "n"
        return body

    response = manager.make_middleware(app)({}, start_response)
    assert b"".join(response) == b"n"
    assert len(local.__storage__) == 1
    response.close()  # type: ignore[attr-defined]
    assert body.at_close == "n"
    assert local.__storage__ == {}


def test_the_middleware_releases_a_response_that_was_never_started() -> None:
    """B28: a server may close without iterating (HEAD, a client gone); plain lists have no close."""
    local = Local()

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        local.nonce = "n"
        return [b"body"]

    LocalManager(local).make_middleware(app)({}, start_response).close()  # type: ignore[attr-defined]
    assert local.__storage__ == {}


@pytest.mark.parametrize("error", [ValueError, gevent.GreenletExit, SystemExit])
def test_the_middleware_releases_when_the_app_raises_before_returning(error: type[BaseException]) -> None:
    """B28: no iterable exists then that anybody could close."""
    local = Local()

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        local.nonce = "n"
        raise error

    with pytest.raises(error):
        LocalManager(local).make_middleware(app)({}, start_response)
    assert local.__storage__ == {}


def test_the_middleware_releases_when_closing_the_body_fails() -> None:
    """B28."""
    local = Local()

    class Failing:
        def __iter__(self) -> Iterator[bytes]:
            return iter([b""])

        def close(self) -> None:
            raise OSError("cannot close")

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        local.nonce = "n"
        return Failing()

    response = LocalManager(local).make_middleware(app)({}, start_response)
    with pytest.raises(OSError, match="cannot close"):
        response.close()  # type: ignore[attr-defined]
    assert local.__storage__ == {}


def test_the_decorator_keeps_the_name() -> None:
    """B28."""
    local = Local()
    manager = LocalManager(local)

    @manager.middleware
    def application(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer."""
        local.nonce = "n"
        return []

    assert application.__name__ == "application"
    assert application.__doc__ == "Answer."
    application({}, start_response).close()  # type: ignore[attr-defined]
    assert local.__storage__ == {}


def test_a_raw_wsgi_app_reads_its_local_from_nested_functions() -> None:
    """B29: two requests overlap; each reads its own between the other's write and close."""
    local = Local()
    manager = LocalManager(local)
    written = {"/a": Event(), "/b": Event()}
    order: list[str] = []

    def path() -> bytes:
        request: dict[str, str] = local.request
        return request["PATH_INFO"].encode()

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        local.request = environ
        own = environ["PATH_INFO"]
        order.append(f"wrote {own}")
        written[own].set()
        written["/b" if own == "/a" else "/a"].wait()
        order.append(f"reads {own}")
        return [path()]

    def request(path: str) -> bytes:
        response = manager.make_middleware(app)({"PATH_INFO": path}, start_response)
        body = b"".join(response)
        response.close()  # type: ignore[attr-defined]
        assert not hasattr(local, "request")
        return body

    lanes = [gevent.spawn(request, "/a"), gevent.spawn(request, "/b")]
    gevent.joinall(lanes, raise_error=True)
    assert order[:2] == ["wrote /a", "wrote /b"], "they did not overlap"
    assert [lane.value for lane in lanes] == [b"/a", b"/b"]
    assert local.__storage__ == {}
