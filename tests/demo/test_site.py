"""The demonstration as a whole: what goes out with every reply, and what it says of its secret key."""

from typing import TYPE_CHECKING

import pytest

from greenlane.demo import create_demo

if TYPE_CHECKING:
    from tests.demo.conftest import ClosingClient


# What goes out with every reply


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/probe/",
        "/probe/nothing",
        "/race",
        "/source/shared-object/local",
        "/nowhere",
        "/static/style.css",
        "/static/js/main.js",
        "/static/lanes.svg",
    ],
)
def test_security_headers_go_out_with_all_that_the_app_answers(client: "ClosingClient", path: str) -> None:
    headers = client.get(path).headers
    (policy,) = headers.getlist("Content-Security-Policy")
    assert policy == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"


# Files


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("style.css", "text/css; charset=utf-8"),
        ("js/main.js", "text/javascript; charset=utf-8"),
        ("lanes.svg", "image/svg+xml; charset=utf-8"),
    ],
)
def test_files_are_served_as_what_they_are(client: "ClosingClient", file: str, kind: str) -> None:
    """A browser runs no module, and applies no style, of another kind: ``nosniff``."""
    response = client.get(f"/static/{file}")
    assert (response.status_code, response.content_type) == (200, kind)


def test_a_file_that_has_not_changed_is_not_sent_again(client: "ClosingClient") -> None:
    """But it is asked for: modules of two versions do not go together."""
    first = client.get("/static/js/main.js")
    assert first.cache_control.max_age in (None, 0)
    again = client.get("/static/js/main.js", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.get_data()) == (304, b"")


def test_the_styles_know_the_dark(client: "ClosingClient") -> None:
    assert "prefers-color-scheme: dark" in client.get("/static/style.css").get_data(as_text=True)


@pytest.mark.parametrize("path", ["../site.py", "..%2fsite.py", "js/../../site.py", "js", ""])
def test_no_other_file_is_served(client: "ClosingClient", path: str) -> None:
    assert client.get(f"/static/{path}").status_code == 404


# Making one


def test_without_a_secret_key_it_says_that_it_made_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("SECRET_KEY", raising=False)
    caplog.set_level("INFO")
    create_demo()
    assert "SECRET_KEY" in caplog.text


@pytest.mark.parametrize("given", [True, False])
def test_with_a_secret_key_it_says_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, given: bool
) -> None:
    monkeypatch.setenv("SECRET_KEY", "from the environment")
    create_demo(secret_key="given" if given else None)
    assert not caplog.text
