"""How a request travels: a real server, a few requests, and what the storages hold at each step.

``make pictures`` runs this file, which writes what it saw into ``docs/``. Nothing
in it is made up: each row is a snapshot of the two stacks' ``__storage__``.

Must not import ``greenlane.cli``.
"""

import io
import re
import sys
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gevent
from gevent import socket
from gevent.event import Event
from gevent.server import StreamServer
from greenlet import getcurrent
from rich import box
from rich.console import Console
from rich.table import Table
from werkzeug.test import Client as ForeignClient
from werkzeug.wsgi import ClosingIterator

from greenlane.app import App, Response, app_stack, g, request, request_stack, stream_with_context
from greenlane.context import LocalStack
from greenlane.wsgi import Settings, WSGIServer

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

#: Seconds until a wait of the journey counts as failed.
PATIENCE = 10.0


@dataclass(frozen=True)
class Step:
    """A moment in the life of the first request.

    Attributes:
        moment: what happens.
        place: where in the program.
        requests: what the request stack's storage holds, by ident.
        apps: likewise, the application stack's.

    """

    moment: str
    place: str
    requests: str
    apps: str


class Journey:
    """The steps, as they happen, with idents named in the order in which they are met."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._idents: dict[Hashable, str] = {}

    def note(self, moment: str, place: str) -> None:
        """Take down what the storages hold now."""
        self.name(getcurrent())
        self.steps.append(Step(moment, place, self._shown(request_stack), self._shown(app_stack)))

    def name(self, ident: Hashable) -> str:
        """Return the name of ``ident``: A for the first one, and so on."""
        return self._idents.setdefault(ident, chr(ord("A") + len(self._idents)))

    def _shown(self, stack: LocalStack[Any]) -> str:
        lanes = (
            f"{self.name(ident)}: [{', '.join(_short(context) for context in values['stack'])}]"
            for ident, values in stack.__storage__.items()
        )
        return "{" + ", ".join(sorted(lanes)) + "}"


def _short(context: Any) -> str:
    """Return a context as it is shown: a request by its path, an application context by its g."""
    if hasattr(context, "request"):
        return str(context.request.path)
    return f"g={dict(context.g.__dict__)}"


def make_app(journey: Journey, other_is_there: Event) -> App:
    """Make the application that notes what happens to it.

    Args:
        journey: takes the notes.
        other_is_there: set by the second request; the first one waits for it.

    """
    app = App(__name__)
    first = "/ada"

    def note(moment: str, place: str) -> None:
        if request.path == first:
            journey.note(moment, place)

    @app.before_request
    def before() -> None:
        note("pushed, before any of our code", "before_request")

    @app.get("/<name>")
    def view(name: str) -> Any:
        g.user = name
        if name == "bob":
            journey.note("meanwhile: the view of a request on another connection", "view")
            other_is_there.set()
        if request.path != first:
            return name
        note("the view has written to g", "view")
        if not other_is_there.wait(PATIENCE):
            raise TimeoutError("the second request did not come")
        ForeignClient(app, Response).get("/nested/call")
        note("the nested request is over", "view")

        def body() -> Iterable[str]:
            note("a piece of the streamed body is made", "stream")
            yield name

        return stream_with_context(body())

    @app.get("/nested/<name>")
    def nested(name: str) -> str:
        g.user = name
        journey.note("a nested request to the same app", "view")
        return name

    @app.after_request
    def after(response: Response) -> Response:
        note("the response is finished, not sent", "after_request")
        return response

    @app.teardown_request
    def teardown_request(_error: BaseException | None) -> None:
        note("the request's last functions", "teardown_request")

    @app.teardown_appcontext
    def teardown_appcontext(_error: BaseException | None) -> None:
        if g.user == "ada":
            journey.note("the application context's last functions", "teardown_appcontext")

    app.wsgi_app = _watched(app.wsgi_app, journey, first)  # type: ignore[method-assign]
    return app


def _watched(
    wsgi_app: Callable[..., Iterable[bytes]], journey: Journey, first: str
) -> Callable[..., Iterable[bytes]]:
    """Note what is in the lanes outside of the application: before, between, and after."""

    def middleware(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/next":
            journey.note("the next request on this connection: an empty lane", "wsgi_app")
        if environ["PATH_INFO"] != first:
            return wsgi_app(environ, start_response)
        journey.note("the server calls the application", "wsgi_app")
        body = wsgi_app(environ, start_response)
        journey.note("the application returned; the body is still to come", "wsgi_app")
        return ClosingIterator(body, [lambda: journey.note("the server closed the body", "close()")])

    return middleware


def travel() -> list[Step]:
    """Send three requests on two connections to a real server; return the first one's steps.

    Raises:
        TimeoutError: an answer did not come.

    """
    journey, other_is_there = Journey(), Event()

    class Server(WSGIServer):
        def handle(self, sock: socket.socket, address: object) -> None:
            if not journey.steps:
                journey.note("a connection was accepted, and has a greenlet: A", "accept")
            super().handle(sock, address)

    app = make_app(journey, other_is_there)
    server = Server(("127.0.0.1", 0), app, settings=Settings(access_log="off"))
    server.start()
    try:
        with gevent.Timeout(PATIENCE, TimeoutError("the server did not answer")), _connect(server) as one:
            one.sendall(b"GET /ada HTTP/1.1\r\nHost: a\r\n\r\n")
            while not any(step.place == "view" for step in journey.steps):
                gevent.sleep(0.001)
            with _connect(server) as two:
                two.sendall(b"GET /bob HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                while two.recv(4096):
                    pass
            _read_until(one, b"0\r\n\r\n")
            one.sendall(b"GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            while one.recv(4096):
                pass
    finally:
        server.stop(timeout=1)
    return journey.steps


def _connect(server: StreamServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.server_port), timeout=PATIENCE)


def _read_until(sock: socket.socket, end: bytes) -> None:
    received = b""
    while not received.endswith(end):
        piece = sock.recv(4096)
        if not piece:
            raise TimeoutError("the connection ended early")
        received += piece


#: Between these two lines the document holds what was printed.
BEGIN, END = "<!-- printed by make pictures -->\n", "<!-- end -->\n"

COLUMNS = ("", "what happens", "in", "request_stack.__storage__", "app_stack.__storage__")


def as_markdown(steps: list[Step]) -> str:
    """Return the steps as a table for a document."""
    rows = [COLUMNS, ("--:", "---", "---", "---", "---")]
    rows += [
        (str(number), step.moment, f"`{step.place}`", f"`{step.requests}`", f"`{step.apps}`")
        for number, step in enumerate(steps, 1)
    ]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def as_svg(steps: list[Step]) -> str:
    """Return the steps as a picture that loads nothing from elsewhere."""
    table = Table(*COLUMNS, box=box.SIMPLE_HEAD, header_style="bold")
    for number, step in enumerate(steps, 1):
        here = [str(number), step.moment, step.place, step.requests, step.apps]
        table.add_row(*here, style="dim" if step.requests == step.apps == "{}" else "green")
    console = Console(
        record=True, width=170, file=io.StringIO(), color_system="truecolor", markup=False, highlight=False
    )
    console.print(table)
    svg = console.export_svg(title="how a request travels", unique_id="journey")
    return re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)


def with_table(document: str, table: str) -> str:
    """Return ``document`` with ``table`` between its two marks.

    Raises:
        ValueError: the marks are not there.

    """
    before, _, rest = document.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise ValueError(f"there is no {BEGIN.strip()} with {END.strip()} after it")
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def main(docs: Path) -> None:
    """Travel, and write the table and the picture into the folder ``docs``."""
    steps = travel()
    document = docs / "how-a-request-travels.md"
    document.write_text(with_table(document.read_text(), as_markdown(steps)))
    (docs / "images" / "journey.svg").write_text(as_svg(steps))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
