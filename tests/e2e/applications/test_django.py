"""A Django site on `greenlane run`: sessions at once, a guarded form, a stream and a file."""

import asyncio
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
import requests

if TYPE_CHECKING:
    from tests.e2e.conftest import Process, Run

TIMEOUT = 20.0
VISITORS = 40
VISITS = 5
FILM = bytes(range(256)) * 20_000
"""5 MB: several times what the kernel's buffers hold."""


@pytest.fixture(scope="module")
def server(launch: "Run", folder: Path) -> "Process":
    (folder / "film").write_bytes(FILM)
    # "django_app" alone means its "application".
    return launch("django_app", "--access-log", "off", cwd=folder, environ={"MEDIA_ROOT": str(folder)})


def test_visitors_at_once_have_their_own_session(server: "Process") -> None:
    async def visitor(number: int) -> None:
        async with httpx.AsyncClient(base_url=server.where, timeout=TIMEOUT, trust_env=False) as client:
            for visit in range(VISITS):
                nonce = f"{number}-{visit}"
                told = (await client.get(f"/view/{nonce}")).json()
                assert told == {"nonce": nonce, "session": nonce, "visits": visit + 1}

    async def all_at_once() -> None:
        await asyncio.gather(*map(visitor, range(VISITORS)))

    asyncio.run(all_at_once())


def test_a_form_with_its_token_is_taken(server: "Process", session: requests.Session) -> None:
    token = session.get(f"{server.where}/form", timeout=TIMEOUT).text
    assert session.cookies["csrftoken"]
    reply = session.post(
        f"{server.where}/form",
        data={"name": "Zoë", "csrfmiddlewaretoken": token},
        files={"file": ("film", FILM)},
        timeout=TIMEOUT,
    )
    assert (reply.status_code, reply.json()) == (200, {"name": "Zoë", "size": len(FILM)})


def test_a_form_without_its_token_is_refused(server: "Process", session: requests.Session) -> None:
    session.get(f"{server.where}/form", timeout=TIMEOUT)
    reply = session.post(f"{server.where}/form", data={"name": "Zoë"}, timeout=TIMEOUT)
    assert reply.status_code == 403


def test_a_stream(server: "Process", session: requests.Session) -> None:
    reply = session.get(f"{server.where}/stream", timeout=TIMEOUT)
    assert reply.text.splitlines() == [f"line {number}" for number in range(500)]


def test_a_file(server: "Process", session: requests.Session) -> None:
    for _ in range(3):
        reply = session.get(f"{server.where}/file", timeout=TIMEOUT)
        assert reply.headers["Content-Length"] == str(len(FILM))
        assert reply.headers["Content-Disposition"] == 'attachment; filename="film"'
        assert hashlib.sha256(reply.content).digest() == hashlib.sha256(FILM).digest()


def test_files_at_once(server: "Process") -> None:
    async def fetch(client: httpx.AsyncClient) -> None:
        assert (await client.get("/file")).content == FILM

    async def all_at_once() -> None:
        async with httpx.AsyncClient(base_url=server.where, timeout=TIMEOUT, trust_env=False) as client:
            await asyncio.gather(*(fetch(client) for _ in range(8)))

    asyncio.run(all_at_once())


def test_what_has_not_changed_has_no_body(server: "Process", session: requests.Session) -> None:
    first = session.get(f"{server.where}/unchanging", timeout=TIMEOUT)
    assert (first.status_code, first.text) == (200, "always the same")
    for _ in range(2):
        again = session.get(
            f"{server.where}/unchanging", headers={"If-None-Match": first.headers["ETag"]}, timeout=TIMEOUT
        )
        assert (again.status_code, again.content) == (304, b"")


def test_head_of_a_file(server: "Process", session: requests.Session) -> None:
    reply = session.head(f"{server.where}/file", timeout=TIMEOUT)
    assert (reply.status_code, reply.headers["Content-Length"], reply.content) == (200, str(len(FILM)), b"")


@pytest.mark.parametrize(("path", "status"), [("/broken", 500), ("/nowhere", 404)])
def test_errors_are_answers(server: "Process", session: requests.Session, path: str, status: int) -> None:
    reply = session.get(f"{server.where}{path}", timeout=TIMEOUT)
    assert reply.status_code == status
    assert "secret" not in reply.text
    assert "Traceback" not in reply.text
