"""The tab "Cross-talk" of Locust's web UI, and the same as JSON under ``/cross-talk/state``.

By Locust's own extension points: ``extended_tabs`` and ``extended_tables`` among the
template's arguments, and ``extended_stats`` in what the page asks for every two seconds.
The page makes text of every cell, so that nothing a server says can be markup.
Is given Locust's web UI, and imports Locust for types alone.
"""

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from flask import Response, jsonify, request

if TYPE_CHECKING:
    from locust.web import WebUI

KEY = "cross-talk"

COLUMNS = {
    "name": "Strategy",
    "role": "Role",
    "requests": "Requests",
    "per_second": "Requests/s",
    "cross_talk": "With cross-talk",
    "rate": "Rate (95 %)",
    "failed": "Failed",
    "verdict": "Verdict",
    "says": "Why, or a witness",
}

State = Callable[[], dict[str, Any]]
"""Returns what is known of the run: :meth:`crosstalk.running.Run.state`, with ``workers``."""


def install(web_ui: "WebUI", state: State) -> None:
    """Add the tab to ``web_ui``."""
    web_ui.template_args["extended_tabs"] = [{"title": "Cross-talk", "key": KEY}]
    web_ui.template_args["extended_tables"] = [
        {"key": KEY, "structure": [{"key": key, "title": title} for key, title in COLUMNS.items()]}
    ]
    app: Any = web_ui.app
    base = getattr(web_ui.environment.parsed_options, "web_base_path", "") or ""

    def shown() -> Response:
        return jsonify(state())

    def extended(response: Response) -> Response:
        if request.path == f"{base}/stats/requests" and response.is_json:
            document = json.loads(response.get_data())
            document["extended_stats"] = [{"key": KEY, "data": list(rows(state()))}]
            response.set_data(json.dumps(document))
        return response

    app.add_url_rule(f"{base}/{KEY}/state", "cross_talk_state", web_ui.auth_required_if_enabled(shown))
    app.after_request(extended)


def rows(state: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the rows of the table: the run's, and then each strategy's."""
    seconds = state.get("seconds") or 0.0
    strategies = state.get("strategies", [])
    verdict = state.get("verdict")
    yield {
        "name": "(the whole run)",  # which the page sorts to the front
        "role": "",
        "requests": sum(each["requests"] for each in strategies),
        "per_second": _per_second(sum(each["requests"] for each in strategies), seconds),
        "cross_talk": sum(each["requests_with_cross_talk"] for each in strategies),
        "rate": "",
        "failed": sum(each["failed"] for each in strategies),
        "verdict": verdict if verdict is None or state["final"] else f"{verdict}, so far",
        "says": "; ".join([*state.get("reasons", []), *_workers(state.get("workers", []))]),
    }
    for each in strategies:
        yield {
            "name": each["name"],
            "role": each["role"],
            "requests": each["requests"],
            "per_second": _per_second(each["requests"], seconds),
            "cross_talk": each["requests_with_cross_talk"],
            "rate": _rate(each["statistics"]),
            "failed": each["failed"],
            "verdict": each["verdict"],
            "says": _witness(each["witness"]) or "; ".join(each["reasons"]),
        }


def _per_second(requests: int, seconds: float) -> str:
    return f"{requests / seconds:.1f}" if seconds else ""


def _rate(statistics: dict[str, Any] | None) -> str:
    if statistics is None:
        return ""
    lower, upper = statistics["interval"]
    return f"{statistics['rate']:.2%} ({lower:.2%} to {upper:.2%})"


def _workers(workers: list[dict[str, Any]]) -> list[str]:
    if not workers:
        return []
    gone = sum(each["gone"] and not each["final"] for each in workers)
    return [f"{len(workers)} workers" + (f", {gone} of them gone" if gone else "")]


def _witness(witness: dict[str, Any] | None) -> str:
    if witness is None:
        return ""
    reader, writer = witness["reader"], witness["writer"]
    where = f"at checkpoint {witness['checkpoint']}" if witness["checkpoint"] else "before writing"
    by = f"user {writer['user']}" if writer else "nobody known here"
    return (
        f"{witness['kind']}: user {reader['user']} ({reader['nonce']}) read {witness['value']} {where},"
        f" written by {by}"
    )
