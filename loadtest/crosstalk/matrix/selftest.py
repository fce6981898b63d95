"""The echo: what the load generator is tried against, before anybody else is.

It answers as a probe does. The good one cannot mix up anything, since each request has its
data in a variable of its own: whoever sees cross-talk there has made it. The bad one has one
place for all: whoever sees none there is blind. Nothing here imports Locust, or ``greenlane``.
"""

import json
import random
import re
import time
from collections.abc import Iterable
from os import getpid
from socket import gethostname
from threading import get_native_id
from typing import TYPE_CHECKING, Any

import gevent
from werkzeug.wrappers import Request, Response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

MOST_HOPS = 64
LONGEST_PAUSE = 1000
"""In milliseconds."""

_PATH = re.compile(r"/(?:probe|hazards/(?P<hazard>[\w-]+))/(?P<strategy>[\w-]+)")
_FIELDS = ("first", "second")


class Echo:
    """Answers with the nonce that each request brings, read back after each wait: a WSGI application.

    Args:
        bad: keep all nonces in one place.

    """

    def __init__(self, *, bad: bool) -> None:
        self._everybodys: dict[str, str] | None = {} if bad else None
        self._last: object = None
        self._in_flight = 0

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a probe, at any address that one may have; what is wrong is said with status 400 or 404."""
        request = Request(environ)
        path = _PATH.fullmatch(request.path)
        self._in_flight += 1
        try:
            if path is None:
                response = Response("an echo answers below /probe/ and /hazards/<hazard>/\n", 404)
            else:
                document = self._answer(request) | {
                    name: value for name, value in path.groupdict().items() if value is not None
                }
                response = Response(json.dumps(document), content_type="application/json")
        except ValueError as error:
            response = Response(f"{error}\n", 400)
        finally:
            self._in_flight -= 1
        response.headers["Cache-Control"] = "no-store"
        return response(environ, start_response)

    def _answer(self, request: Request) -> dict[str, Any]:
        nonce = request.args.get("nonce")
        if not nonce:
            raise ValueError("nonce: is missing")
        hops, pause = _number(request, "hops", MOST_HOPS), _number(request, "pause", LONGEST_PAUSE) / 1000
        lane: dict[str, str] = {} if self._everybodys is None else self._everybodys
        began, found = _now(), _read(lane)
        wrote, checkpoints, in_flight = [], [], 0
        self._last = request
        for field in _FIELDS:
            gevent.sleep(_jitter(pause) / 2)
            lane[field] = nonce
            wrote.append(_now())
        for _ in range(hops):
            gevent.sleep(_jitter(pause))
            switched, self._last = self._last is not request, request
            in_flight = max(in_flight, self._in_flight)
            checkpoints.append(
                {
                    "after": "sleep",
                    "read": _read(lane),
                    "error": None,
                    "switches": int(switched),
                    "at": _now(),
                }
            )
        return {
            "found": found,
            "began": began,
            "wrote": wrote,
            "checkpoints": checkpoints,
            "greenlet": id(gevent.getcurrent()),
            "thread": get_native_id(),
            "pid": getpid(),
            "process": f"{gethostname()}/{getpid()}/echo",
            "in_flight": in_flight,
            "switches": sum(each["switches"] for each in checkpoints),
        }


def _read(lane: dict[str, str]) -> dict[str, str | None]:
    return {field: lane.get(field) for field in _FIELDS}


def _number(request: Request, name: str, most: int) -> int:
    text = request.args.get(name, "1")
    if not (text.isascii() and text.isdecimal()) or len(text) > 9 or int(text) > most:
        raise ValueError(f"{name}: must be a whole number up to {most}")
    return int(text)


def _jitter(pause: float) -> float:
    return pause * random.uniform(0.5, 1.5)  # noqa: S311 - varies waits, and hides nothing


def _now() -> float:
    return round(time.monotonic(), 6)
