"""A server that pretends, for what the demonstration never does: ``greenlane run pretending:application``.

It lists one hazard, and answers its cells by an echo, which is good or bad whatever is said of
the cell; or by an error, or never. Its metrics say that each request of one cell leaves something, and
that another one has left something long ago.
"""

import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from gevent.event import Event
from werkzeug.wrappers import Request, Response

from crosstalk.matrix.selftest import Echo

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

METRICS = """\
greenlane_requests_in_flight 0
greenlane_requests_in_flight_peak 1
greenlane_connections_accepted_total 1
greenlane_requests_total 1
greenlane_native_threads 1
greenlane_contexts_pushed_total{kind="request"} 3
greenlane_contexts_popped_total{kind="request"} 1
greenlane_contexts_pushed_total{kind="application"} 0
greenlane_contexts_popped_total{kind="application"} 0
greenlane_demo_left{hazard="pretence",strategy="leaking"} {left}
greenlane_demo_left{hazard="pretence",strategy="good"} 5
greenlane_demo_left{hazard="pretence",strategy="broken"} 0
"""


def describe(name: str, own_server: str | None = None) -> dict[str, object]:
    return {
        "name": name,
        "summary": "Nothing is as it is said to be.",
        "shows": "in what is read",
        "caught_as": ["cross-talk"],
        "exercise": {"name": "kept-alive", "fate": None, "share": 0.0},
        "alone": False,
        "own_server": own_server,
        "counts_left": own_server is None,
        "variants": {"broken": "is said to be, and is not", "fixed": "is said to be"},
        "strategies": dict.fromkeys(("good", "leaking", "refusing", "hanging"), "isolated")
        | {"bad": "cross-talk"},
        "not_applicable": {"absent": "it is not there"},
    }


HAZARDS = {"hazards": [describe("pretence"), describe("elsewhere", "desync")]}


def refuse(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    return Response("not today\n", 503)(environ, start_response)


def hang(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    Event().wait()
    return []


left: list[str] = []


def leak(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    left.append(environ["QUERY_STRING"])
    return Echo(bad=False)(environ, start_response)


CELLS: dict[str, Callable[..., Iterable[bytes]]] = {
    "good": Echo(bad=False),
    "bad": Echo(bad=True),
    "broken": Echo(bad=False),
    "leaking": leak,
    "refusing": refuse,
    "hanging": hang,
}


def application(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    path = Request(environ).path
    answer: WSGIApplication = CELLS.get(path.rpartition("/")[2], refuse)
    if path == "/hazards/":
        answer = Response(json.dumps(HAZARDS), content_type="application/json")
    elif path == "/metrics":
        answer = Response(METRICS.replace("{left}", str(len(left))), content_type="text/plain")
    return answer(environ, start_response)
