"""The applications that are measured answer right, as WSGI has it."""

import importlib
import io
import json
import sys
from collections.abc import Callable
from http.cookies import SimpleCookie
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

from bench.apps import bare, echo_flask, echo_greenlane
from bench.servers import APPS
from bench.workloads import UPLOAD_SIZE, WORKLOADS


def ask(app: Any, path: str = "/", query: str = "", **environ: Any) -> tuple[str, dict[str, str], bytes]:
    """Send one request through the standard library's validator; return status, headers and body."""
    told: list[Any] = []
    body = environ.pop("body", b"")
    environ = {
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "CONTENT_LENGTH": str(len(body)),
        **environ,
    }
    environ["wsgi.input"] = io.BytesIO(body)
    setup_testing_defaults(environ)

    def start_response(
        status: str, headers: list[tuple[str, str]], _error: Any = None
    ) -> Callable[..., None]:
        told[:] = [status, dict(headers)]
        return lambda _data: None

    reply = validator(app)(environ, start_response)
    try:
        content = b"".join(reply)
    finally:
        reply.close()  # type: ignore[attr-defined]  # the validator's has one
    return told[0], told[1], content


def test_hello() -> None:
    status, headers, body = ask(bare.hello)
    assert (status, headers["Content-Length"], body) == ("200 OK", "13", b"Hello, World!")


def test_the_document_is_ten_kilobytes_of_json() -> None:
    _, headers, body = ask(bare.document)
    assert len(json.loads(body)) == 160
    assert 9_500 < len(body) < 10_500
    assert headers["Content-Length"] == str(len(body))


def test_an_upload_is_read_to_its_end() -> None:
    status, _, body = ask(bare.upload, REQUEST_METHOD="POST", body=b"x" * UPLOAD_SIZE)
    assert (status, body) == ("200 OK", str(UPLOAD_SIZE).encode())


def test_a_nap_is_counted_while_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[float, bytes]] = []
    monkeypatch.setattr(bare, "sleep", lambda seconds: seen.append((seconds, ask(bare.nap, "/held")[2])))
    assert ask(bare.nap, "/nap", "nonce=mine&seconds=1.5")[2] == b"mine"
    assert seen == [(1.5, b"1")]
    assert ask(bare.nap, "/held")[2] == b"0"
    assert ask(bare.nap)[2] == b"Hello, World!"


@pytest.mark.parametrize("app", [echo_flask.app, echo_greenlane.app], ids=["flask", "greenlane"])
def test_the_echo_returns_the_nonce_and_counts_in_its_session(app: Any) -> None:
    _, headers, body = ask(app, "/echo", "nonce=first")
    assert json.loads(body) == {"nonce": "first", "visits": 1}
    cookie = SimpleCookie(headers["Set-Cookie"])["session"]
    _, _, body = ask(app, "/echo", "nonce=second", HTTP_COOKIE=f"session={cookie.value}")
    assert json.loads(body) == {"nonce": "second", "visits": 2}


def test_each_workload_names_an_application_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(APPS))
    for workload in WORKLOADS:
        module, _, name = workload.app.partition(":")
        assert callable(getattr(importlib.import_module(module), name))
        sys.modules.pop(module)
