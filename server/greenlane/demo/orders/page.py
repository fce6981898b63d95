"""The views of every order: the document that the page draws, and a table for those without scripts.

Must not import the explorer, which a process of its own has, or the site, which mounts these.
"""

import json
from collections.abc import Iterator
from typing import Any

from werkzeug.exceptions import NotFound, ServiceUnavailable
from werkzeug.wrappers import Response as BaseResponse

from greenlane.app import App, Response, request
from greenlane.demo.orders.process import Documents, NotComputed
from greenlane.demo.orders.programs import PROGRAMS
from greenlane.demo.pages import error_response, html_response, render


class OrdersPage:
    """The views of one demonstration.

    Args:
        documents: where the documents come from.

    """

    def __init__(self, documents: Documents | None = None) -> None:
        self._documents = documents or Documents()

    def mount(self, app: App) -> None:
        """Register the views on ``app``."""
        app.add_url_rule("/orders/<name>.json", "orders", lambda name: self._answer(name, self._as_json))
        app.add_url_rule("/orders/<name>", "orders_table", lambda name: self._answer(name, self._as_table))

    def _answer(self, name: str, view: Any) -> BaseResponse:
        if name not in PROGRAMS:
            error = NotFound(f"There is no program {name!r} to see every order of.")
            return error_response(error, programs=list(PROGRAMS))
        try:
            document = self._documents.of(name)
        except NotComputed as error:
            return error_response(ServiceUnavailable(str(error)))
        response: Response = view(document)
        # It changes with the program's version alone, which its tag tells.
        response.cache_control.no_cache = True
        response.add_etag()
        response.make_conditional(request.environ)
        return response

    def _as_json(self, document: bytes) -> Response:
        return Response(document, content_type="application/json")

    def _as_table(self, document: bytes) -> Response:
        whole = json.loads(document)
        rows = [strategy | {"failing": failing_order(whole, strategy)} for strategy in whole["strategies"]]
        page = render("orders_table.html", whole=whole, strategies=rows, programs=PROGRAMS.values())
        return html_response(page)


def failing_order(document: dict[str, Any], strategy: dict[str, Any]) -> list[str]:
    """Return, step by step, the first order that fails under a strategy; nothing where all hold.

    Args:
        document: see :mod:`greenlane.demo.orders.document`.
        strategy: one of its strategies.

    """
    results = strategy["results"]
    for order, (_, numbers) in zip(document["orders"], strategy["runs"], strict=True):
        of_requests = [results[number] for number in numbers]
        if any(judged != "own" for *_, judged in of_requests):
            return list(_in_words(document, order, of_requests))
    return []


def _in_words(document: dict[str, Any], order: str, results: list[Any]) -> Iterator[str]:
    steps = {nonce: iter(document["steps"]) for nonce in document["requests"]}
    begun = set()
    for nonce in order:
        found, read, judged, _ = results[document["requests"].index(nonce)]
        looked = "" if found is None or nonce in begun else f" finds {_found(found)},"
        begun.add(nonce)
        step = next(steps[nonce])
        if step == "read":
            yield f"{nonce}{looked} reads {_whose(read)}: {judged}"
        else:
            yield f"{nonce}{looked} {step.replace('write', 'writes', 1)}"


def _found(fields: str) -> str:
    """Return in words what a request found before it wrote, which is stale if it is anything."""
    found = _whose(fields)
    return found if found == "nothing" else f"{found}: stale"


def _whose(fields: str) -> str:
    """Return in words whose nonce lies in each field: ``b``, ``b and a``, ``nothing``."""
    named = ["nothing" if letter == "-" else letter for letter in fields]
    return " and ".join(dict.fromkeys(named))
