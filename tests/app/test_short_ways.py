"""Requests and responses go shorter ways than Werkzeug's, and arrive where those lead."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request as WerkzeugRequest
from werkzeug.wrappers import Response as WerkzeugResponse

from greenlane import App, Request, Response
from greenlane.app.sessions import vary_on_cookie


class Whole(Response):
    """Goes Werkzeug's whole way."""

    def get_wsgi_headers(self, environ: Any) -> Any:
        return super().get_wsgi_headers(environ)


class Plain(Response):
    """Has other defaults."""

    default_mimetype = "text/plain"
    default_status = 202


class WholePlain(Plain):
    """Likewise, the whole way."""

    def iter_encoded(self) -> Any:
        return super().iter_encoded()


class Uncounted(Response):
    """Tells no length of its own accord."""

    automatically_set_content_length = False


class WholeUncounted(Uncounted):
    """Likewise, the whole way."""

    def close(self) -> None:
        super().close()


KINDS = [(Response, Whole), (Plain, WholePlain), (Uncounted, WholeUncounted)]
bodies = st.text(max_size=9) | st.binary(max_size=9) | st.none() | st.lists(st.binary(max_size=5), max_size=3)
headers = st.lists(
    st.tuples(
        st.sampled_from(["Vary", "X-A", "location", "Content-Location", "content-length", "Content-Type"]),
        st.sampled_from(["", "Cookie", "/caf\u00e9", "7", "text/html"]),
    ),
    max_size=3,
)
arguments = st.fixed_dictionaries(
    {},
    optional={
        "status": st.none() | st.sampled_from([200, "201 Made", 204, 304, 404]),
        "mimetype": st.none() | st.sampled_from(["application/json", "text/html", "image/png", ""]),
        "content_type": st.none() | st.sampled_from(["text/plain; charset=latin-1"]),
        "headers": st.none() | headers,
        "direct_passthrough": st.booleans(),
    },
)


def state(response: WerkzeugResponse) -> dict[str, Any]:
    return {**vars(response), "headers": list(response.headers)}


def sent(response: App | WerkzeugResponse, method: str) -> Any:
    head: list[Any] = []

    def start_response(*args: Any) -> Callable[[bytes], None]:
        head.append(args)
        return lambda _: None

    body = response(EnvironBuilder(method=method).get_environ(), start_response)
    try:
        data: Any = b"".join(body)
    except TypeError as error:  # text, passed through
        data = type(error)
    getattr(body, "close", lambda: None)()
    return head, data


@given(
    bodies,
    arguments,
    headers,
    st.sampled_from(["GET", "HEAD", "POST"]),
    st.sampled_from([None, 101, 204, 500]),
)
def test_a_response_is_what_werkzeug_makes_of_it(
    body: Any, kwargs: dict[str, Any], more: list[tuple[str, str]], method: str, code: int | None
) -> None:
    """B31: its state, its head and its body; also when it was changed on the way, and sent twice."""
    for kind, whole in KINDS:
        ours, theirs = kind(body, **kwargs), whole(body, **kwargs)
        assert state(ours) == state(theirs)
        for name, value in more:
            for response in ours, theirs:
                response.headers[name] = value
        if code is not None:
            ours.status_code = theirs.status_code = code
        closed: list[str] = []
        for response in (ours, theirs) if code == 500 else ():
            response.call_on_close(partial(closed.append, "closed"))
        for _ in range(2):
            assert sent(ours, method) == sent(theirs, method)
        assert {**state(ours), "_on_close": 0} == {**state(theirs), "_on_close": 0}
        assert closed in ([], ["closed"] * 4)


def test_responses_share_nothing() -> None:
    """B43: what one request does to its response shows on no other."""
    one, other = Response("one"), Response("other")
    one.headers["X-One"], one.status_code = "1", 404
    one.call_on_close(lambda: None)
    vars(one)["note"] = "mine"
    assert state(other) == state(Whole("other"))
    assert list(Response("third").headers) == list(Whole("third").headers)


def test_a_default_may_be_changed_later() -> None:
    """B31: a class's defaults are those of the moment."""

    class Late(Response):
        pass

    assert Late("a").mimetype == "text/html"
    Late.default_mimetype, Late.default_status = "text/csv", 201
    assert (Late("a").mimetype, Late("a").status) == ("text/csv", "201 CREATED")
    Late.default_mimetype = None  # type: ignore[assignment]
    assert Late("a").mimetype is None


def test_a_short_body_is_a_list_and_others_are_closed() -> None:
    """B31: a server sees that a list is all there is; what has to be closed is no list."""
    environ = EnvironBuilder().get_environ()
    start: Callable[..., Any] = lambda *_: None  # noqa: E731
    closed: list[str] = []
    assert Response("text")(environ, start) == [b"text"]
    response = Response("text")
    response.call_on_close(lambda: closed.append("closed"))
    body = response(environ, start)
    assert list(body) == [b"text"]
    body.close()  # type: ignore[attr-defined]
    assert closed == ["closed"]


@pytest.mark.parametrize("method", ["get_wsgi_headers", "get_app_iter", "iter_encoded", "set_data", "close"])
def test_a_subclass_that_replaces_a_step_is_asked(method: str) -> None:
    """B31: whichever step it is."""
    asked: list[str] = []

    def replaced(self: Response, *args: Any) -> Any:
        asked.append(method)
        return getattr(WerkzeugResponse, method)(self, *args)

    app = App("short")
    app.response_class = type("Replaced", (Response,), {method: replaced})
    app.add_url_rule("/", view_func=lambda: "text", endpoint="text")
    for times in 1, 2:
        assert sent(app, "GET")[1] == b"text"
        assert asked == [method] * times


@given(st.lists(st.sampled_from(["Cookie", "cookie", "*", "Accept, Cookie", "Accept", ""]), max_size=2))
def test_vary_is_added_as_werkzeug_adds_it(values: list[str]) -> None:
    """B42."""
    ours, theirs = Response(""), Response("")
    for value in values:
        ours.headers.add("vary", value)
        theirs.headers.add("vary", value)
    vary_on_cookie(ours)
    theirs.vary.add("Cookie")
    assert {value.lower() for value in ours.headers.getlist("Vary")} == {
        value.lower() for value in theirs.headers.getlist("Vary")
    }


@given(st.none() | st.text(alphabet=st.characters(max_codepoint=255)))
def test_cookies_are_those_that_werkzeug_finds(header: str | None) -> None:
    """B44: whatever the client sends."""
    environ = EnvironBuilder().get_environ()
    if header is not None:
        environ["HTTP_COOKIE"] = header
    ours, theirs = Request(environ).cookies, WerkzeugRequest(environ).cookies
    assert type(ours) is type(theirs)
    assert list(ours.items(multi=True)) == list(theirs.items(multi=True))
