"""The notes: whose rows a visitor sees, what is refused, and what stays bounded."""

import gc
import sqlite3
import tempfile
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from gevent.event import Event
from werkzeug.test import Client, TestResponse

from greenlane.demo import NoDatabase, create_demo, notes
from greenlane.ops import Ops


@pytest.fixture
def demo(tmp_path: Path) -> Ops:
    return create_demo(secret_key="for this test", database_url=f"sqlite:///{tmp_path / 'notes.db'}")


class Visitor:
    """Somebody with a browser of their own."""

    def __init__(self, demo: Ops) -> None:
        self.client = Client(demo)
        self.token = self.get()["token"]

    def get(self) -> Any:
        return self._json(self.client.get("/notes.json"))

    def add(self, text: str) -> Any:
        return self._json(self.post("/notes.json", text=text))

    def post(self, path: str, **fields: str) -> TestResponse:
        return self.client.post(path, data={"token": self.token} | fields, buffered=True)

    def texts(self) -> list[str]:
        return [note["text"] for note in self.get()["notes"]]

    @staticmethod
    def _json(response: TestResponse) -> Any:
        assert response.status_code == 200, response.get_data(as_text=True)
        document = response.get_json()
        response.close()
        return document


# Whose rows


def test_each_visitor_sees_their_own_notes(demo: Ops) -> None:
    """B50."""
    ann, ben = Visitor(demo), Visitor(demo)
    assert [note["text"] for note in ann.add("Ann's first")["notes"]] == ["Ann's first"]
    ben.add("Ben's")
    ann.add("Ann's second")
    assert (ann.texts(), ben.texts()) == (["Ann's second", "Ann's first"], ["Ben's"])


def read_while_others_write(demo: Ops, monkeypatch: pytest.MonkeyPatch, count: int = 8) -> list[Any]:
    """Let `count` visitors write, and read only when all have written; return what each read."""
    visitors = [Visitor(demo) for _ in range(count)]
    written, all_have = [], Event()

    def meet(_seconds: float) -> None:
        written.append(gevent.getcurrent())
        if len(written) == count:
            all_have.set()
        assert all_have.wait(10), f"only {len(written)} of {count} were in flight at once"

    monkeypatch.setattr(gevent, "sleep", meet)
    jobs = [gevent.spawn(visitor.add, f"note {number}") for number, visitor in enumerate(visitors)]
    gevent.joinall(jobs, timeout=20, raise_error=True)
    assert len(set(written)) == count
    return [job.get() for job in jobs]


def test_visitors_at_once_read_their_own(demo: Ops, monkeypatch: pytest.MonkeyPatch) -> None:
    """B50: all have written before any reads, each on a connection of its own."""
    replies = read_while_others_write(demo, monkeypatch)
    for number, reply in enumerate(replies):
        assert [note["text"] for note in reply["notes"]] == [f"note {number}"]
        assert reply["in_flight"] > 1
    assert any(reply["switches"] for reply in replies)


def test_a_shared_current_visitor_is_seen(demo: Ops, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof of the proof: with one `g` for all, everybody reads the last one's notes."""
    monkeypatch.setattr(notes, "g", SimpleNamespace())
    replies = read_while_others_write(demo, monkeypatch)
    wrong = [
        reply
        for number, reply in enumerate(replies)
        if [note["text"] for note in reply["notes"]] != [f"note {number}"]
    ]
    assert len(wrong) >= 7


def test_only_ones_own_notes_can_be_deleted(demo: Ops) -> None:
    ann, ben = Visitor(demo), Visitor(demo)
    [note] = ann.add("Ann's")["notes"]
    response = ben.post(f"/notes/{note['id']}/delete.json")
    assert (response.status_code, response.get_json()) == (404, {"error": "You have no such note."})
    assert ann.texts() == ["Ann's"]
    assert ann.post(f"/notes/{note['id']}/delete.json").get_json()["notes"] == []
    assert ann.texts() == []
    assert ann.post(f"/notes/{note['id']}/delete.json").status_code == 404


def test_reading_and_writing_use_one_connection(demo: Ops, monkeypatch: pytest.MonkeyPatch) -> None:
    """B50: kept over the switch, and given back at the end."""
    seen = []
    real = notes.NoteStore.of

    def of(store: notes.NoteStore, visitor: str) -> list[notes.Note]:
        seen.append((store._db.connection, store._db.engine.pool))
        return real(store, visitor)

    add = notes.NoteStore.add

    def note_connection(store: notes.NoteStore, visitor: str, text: str) -> None:
        seen.append((store._db.connection, store._db.engine.pool))
        add(store, visitor, text)

    visitor = Visitor(demo)
    monkeypatch.setattr(notes.NoteStore, "of", of)
    monkeypatch.setattr(notes.NoteStore, "add", note_connection)
    visitor.add("a note")
    [(written_on, pool), (read_on, _)] = seen
    assert written_on is read_on
    pool_now: Any = pool
    assert pool_now.checkedout() == 0


# What is refused


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "An empty note"),
        (" \t\n", "An empty note"),
        ("x" * 281, "at most 280 characters, and this one has 281"),
        ("a\x00b", "control characters"),
        ("a\x1b[31mb", "control characters"),
    ],
)
def test_a_text_that_is_none_is_refused(demo: Ops, text: str, says: str) -> None:
    visitor = Visitor(demo)
    response = visitor.post("/notes.json", text=text)
    assert response.status_code == 400
    assert says in response.get_json()["error"]
    assert visitor.texts() == []


@pytest.mark.parametrize(
    "text", ["x" * 280, "日本語 ✓ 🦎", "<b>&amp;'\"</b>", "'; DROP TABLE greenlane_notes; --"]
)
def test_any_text_is_kept_as_it_is(demo: Ops, text: str) -> None:
    visitor = Visitor(demo)
    visitor.add(text)
    assert visitor.texts() == [text]


@pytest.mark.parametrize("token", [None, "", "x", "✓"])
@pytest.mark.parametrize("path", ["/notes", "/notes/1/delete"])
def test_a_form_without_the_sessions_token_is_refused(demo: Ops, token: str | None, path: str) -> None:
    """Another site can send a form, but cannot know the token."""
    visitor = Visitor(demo)
    [note] = visitor.add("mine")["notes"]
    assert note["id"] == 1
    fields = {"text": "written by another site"} | ({} if token is None else {"token": token})
    response = visitor.client.post(path, data=fields)
    assert response.status_code == 403
    assert "Cookies must be allowed" in response.get_data(as_text=True)
    assert visitor.texts() == ["mine"]


def test_somebody_elses_token_is_refused(demo: Ops) -> None:
    ann, ben = Visitor(demo), Visitor(demo)
    ben.token = ann.token
    assert ben.post("/notes.json", text="x").status_code == 403


def test_the_sessions_cookie_is_not_sent_along_by_other_sites(demo: Ops) -> None:
    cookie = Client(demo).get("/notes").headers["Set-Cookie"]
    assert "SameSite=Lax" in cookie
    assert "HttpOnly" in cookie


@pytest.mark.parametrize(
    "path", ["/notes/x/delete", "/notes/2147483648/delete", "/notes/-1/delete", "/notes/"]
)
def test_an_address_that_is_none_is_not_found(demo: Ops, path: str) -> None:
    assert Visitor(demo).post(path).status_code == 404


def test_a_body_that_is_too_large_is_refused(demo: Ops) -> None:
    assert Visitor(demo).post("/notes.json", text="x" * 20_000).status_code == 413


# What stays bounded


def test_the_oldest_notes_make_room(demo: Ops, tmp_path: Path) -> None:
    ann, ben = Visitor(demo), Visitor(demo)
    ben.add("Ben's")
    for number in range(23):
        ann.add(f"note {number}")
    assert ann.texts() == [f"note {number}" for number in reversed(range(3, 23))]
    assert ben.texts() == ["Ben's"]
    with closing(sqlite3.connect(tmp_path / "notes.db")) as connection:
        assert connection.execute("SELECT count(*) FROM greenlane_notes").fetchone() == (21,)


def test_the_table_is_bounded_whoever_writes(demo: Ops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(notes.LIMITS, "total", 5)
    visitors = [Visitor(demo) for _ in range(8)]
    for number, visitor in enumerate(visitors):
        visitor.add(f"note {number}")
    assert [len(visitor.texts()) for visitor in visitors] == [0, 0, 0, 1, 1, 1, 1, 1]


# As a page


class Forms(HTMLParser):
    """The forms of a page, by action; fails on tags that are not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.forms: dict[str, dict[str, str | None]] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "form":
            self.fields = self.forms.setdefault(values["action"] or "", {})
        elif tag == "input":
            self.fields[values["name"] or ""] = values.get("value")


def test_with_a_browser(demo: Ops) -> None:
    """Write by the page's own form, be sent back to the page, and delete by its own form."""
    client = Client(demo)
    first = client.get("/notes")
    forms = Forms(first.get_data(as_text=True)).forms
    assert list(forms) == ["/notes"]
    assert "You have none yet." in first.get_data(as_text=True)
    assert first.headers["Cache-Control"] == "no-store"
    sent = client.post("/notes", data=forms["/notes"] | {"text": "<script>alert(1)</script>"})
    assert (sent.status_code, sent.headers["Location"]) == (303, "/notes")
    page = client.get("/notes").get_data(as_text=True)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script" not in page
    forms = Forms(page).forms
    assert list(forms) == ["/notes", "/notes/1/delete"]
    assert client.post("/notes/1/delete", data=forms["/notes/1/delete"]).status_code == 303
    assert "You have none yet." in client.get("/notes").get_data(as_text=True)


def test_below_a_prefix_its_addresses_keep_it(demo: Ops) -> None:
    client = Client(demo)
    below = {"base_url": "http://example.test/below/"}
    forms = Forms(client.get("/notes", **below).get_data(as_text=True)).forms
    assert list(forms) == ["/below/notes"]
    sent = client.post("/notes", data=forms["/below/notes"] | {"text": "a note"}, **below)
    assert sent.headers["Location"] == "/below/notes"


def test_json_for_those_who_accept_it(demo: Ops) -> None:
    client = Client(demo)
    for accept, kind in (
        ("application/json", "application/json"),
        ("text/html,*/*;q=0.8", "text/html; charset=utf-8"),
    ):
        assert client.get("/notes", headers={"Accept": accept}).content_type == kind
        assert client.post("/notes", headers={"Accept": accept}).content_type == kind


# The database


@pytest.mark.parametrize(("path", "kind"), [("/notes", "text/html"), ("/notes.json", "application/json")])
def test_a_database_that_fails_is_said_and_logged(
    demo: Ops, tmp_path: Path, caplog: pytest.LogCaptureFixture, path: str, kind: str
) -> None:
    """The client learns that it failed, the log why; neither repeats what the visitor wrote."""
    visitor = Visitor(demo)
    with closing(sqlite3.connect(tmp_path / "notes.db")) as connection:
        connection.execute("DROP TABLE greenlane_notes")
    response = visitor.post(path, text="my diary")
    text = response.get_data(as_text=True)
    assert (response.status_code, response.mimetype) == (503, kind)
    assert "The database does not answer" in text
    assert "greenlane_notes" not in text
    assert "no such table" in caplog.text
    assert "my diary" not in caplog.text
    assert visitor.client.get("/probe/").status_code == 200


def test_the_default_database_goes_with_its_demonstration(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    one, other = (create_demo(secret_key="for this test") for _ in range(2))
    assert len(list(tmp_path.glob("greenlane-*/notes.db"))) == 2
    first = Visitor(one)
    first.add("kept apart")
    assert Visitor(other).texts() == []
    del one, other, first
    gc.collect()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nonsense", "DATABASE_URL cannot be used: it is no database URL"),
        ("sqlite://", "name a file"),
        ("sqlite:////no/such/folder/notes.db", "unable to open database file"),
        ("postgres://user:secret@127.0.0.1:1/notes", "the database cannot be used: connection failed"),
    ],
)
def test_a_database_that_cannot_be_used_is_said_at_once(url: str, says: str) -> None:
    with pytest.raises(NoDatabase, match=says) as caught:
        create_demo(secret_key="for this test", database_url=url)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_table_of_another_shape_is_said_at_once(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "notes.db")) as connection:
        connection.execute("CREATE TABLE greenlane_notes (id INTEGER)")
    with pytest.raises(NoDatabase, match=r"no column|no such column"):
        create_demo(secret_key="for this test", database_url=f"sqlite:///{tmp_path / 'notes.db'}")
