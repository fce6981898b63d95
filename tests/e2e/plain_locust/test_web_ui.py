"""Plain Locust with its web UI, end to end: its form, and the tab that shows the proof as it goes."""

import csv
import io
import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

if TYPE_CHECKING:
    from tests.e2e.plain_locust.conftest import FreePort, Locust, Serve, Start

SUBJECTS = {"/probe/local", "/probe/context"}
CONTROLS = {"/probe/shared-object", "/probe/native-thread-local", "/probe/thread-ident", "/probe/id-reused"}
TIMEOUT = 60.0


class WebUI:
    """Locust with its web UI.

    Args:
        process: what it runs in.
        port: where it is.

    """

    def __init__(self, process: "Locust", port: int) -> None:
        self.process = process
        self.base = f"http://127.0.0.1:{port}"
        process.wait_for("Starting web interface")
        self.wait_until(self._answers)  # it says so a moment before it listens

    def _answers(self) -> bool:
        try:
            self.requests()
        except OSError:
            return False
        return True

    def start(self, host: str, **fields: object) -> None:
        """What the button does: the form has a field for each of the locustfile's options."""
        form = {"strategy": "", "seed": "", "user_count": 40, "spawn_rate": 40, "host": host} | fields
        assert json.loads(self.post("/swarm", **form))["success"]

    def post(self, path: str, **fields: object) -> bytes:
        with urlopen(f"{self.base}{path}", urlencode(fields).encode(), timeout=TIMEOUT) as reply:
            return bytes(reply.read())

    def get(self, path: str) -> Any:
        with urlopen(f"{self.base}{path}", timeout=TIMEOUT) as reply:
            return json.load(reply)

    def state(self) -> Any:
        return self.get("/cross-talk/state")

    def rows(self) -> dict[str, Any]:
        """The rows of the tab, by name, as the page asks for them."""
        (table,) = self.get("/stats/requests")["extended_stats"]
        assert table["key"] == "cross-talk"
        return {row["name"]: row for row in table["data"]}

    def requests(self) -> dict[str, tuple[int, int]]:
        """Requests and failures by name, so far."""
        with urlopen(f"{self.base}/stats/requests/csv", timeout=TIMEOUT) as reply:
            rows = list(csv.DictReader(io.TextIOWrapper(reply)))
        return {row["Name"]: (int(row["Request Count"]), int(row["Failure Count"])) for row in rows}

    def wait_until(self, so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + TIMEOUT
        while not so():
            assert time.monotonic() < deadline, self.process.log

    def run(self, host: str, *names: str, **fields: object) -> dict[str, tuple[int, int]]:
        """Run a test until it has made some requests, to each of ``names`` too, and return them."""
        self.start(host, **fields)
        self.wait_until(lambda: self.requests()["Aggregated"][0] >= 100)
        self.wait_until(lambda: {*names} <= {*self.requests()})
        self.post("/stop")
        return self.requests()


@pytest.fixture
def web_ui(start: "Start", free_port: "FreePort", short: tuple[str, ...]) -> Iterator[WebUI]:
    port = free_port()
    ui = WebUI(start("--web-host", "127.0.0.1", "--web-port", str(port), *short), port)
    yield ui
    ui.process.process.terminate()
    _code, log = ui.process.end()
    assert "Traceback" not in log


def greenlets(host: str) -> float:
    """How many the server has: one for each connection, besides some of its own."""
    with urlopen(f"{host}/metrics", timeout=TIMEOUT) as reply:
        found = re.search(r"^greenlane_greenlets (\S+)$", reply.read().decode(), re.MULTILINE)
    assert found
    return float(found.group(1))


def test_the_web_ui_runs_one_test_after_another(serve: "Serve", web_ui: WebUI, free_port: "FreePort") -> None:
    """Also with a slash behind the host; without a server none runs, and the next one is not spoiled."""
    host = serve()
    idle = greenlets(host)
    for address in (host, f"{host}/"):
        requests = web_ui.run(address, *SUBJECTS, *CONTROLS)
        web_ui.wait_until(lambda: greenlets(host) <= idle)  # no connection stays open after its test
        assert set(requests) == {*SUBJECTS, *CONTROLS, "Aggregated"}
        assert requests["Aggregated"][1] == 0
    web_ui.start(f"http://127.0.0.1:{free_port()}")
    web_ui.process.wait_for("no server answers")
    assert web_ui.requests() == {"Aggregated": (0, 0)}
    assert web_ui.run(host)["Aggregated"][1] == 0


def test_the_web_ui_takes_the_options_of_its_form(serve: "Serve", web_ui: WebUI) -> None:
    """They come as text."""
    host = serve()
    requests = web_ui.run(host, *CONTROLS, strategy="context", seed="7", min_requests="20")
    assert set(requests) == {"/probe/context", *CONTROLS, "Aggregated"}
    state = web_ui.state()
    assert (state["seed"], state["settings"]["min_requests"]) == (7, 20)
    web_ui.start(host, seed="x")
    web_ui.process.wait_for("'x' is no seed")
    assert web_ui.run(host, strategy="local, context", seed="")["Aggregated"][1] == 0


def test_the_tab_shows_the_run_as_it_goes_and_its_verdict(serve: "Serve", web_ui: WebUI) -> None:
    assert web_ui.state()["verdict"] is None
    web_ui.start(serve(), min_requests="20")
    web_ui.wait_until(lambda: web_ui.rows().get("local", {"requests": 0})["requests"] >= 20)
    rows = web_ui.rows()
    assert rows["(the whole run)"]["verdict"].endswith(", so far")
    assert rows["shared-object"]["role"] == "control"
    web_ui.wait_until(lambda: " read " in web_ui.rows()["shared-object"]["says"])
    web_ui.wait_until(lambda: all(web_ui.rows()[name.rpartition("/")[2]]["cross_talk"] for name in CONTROLS))
    web_ui.post("/stop")
    assert web_ui.rows()["(the whole run)"]["verdict"] == "ISOLATED"
    state = web_ui.state()
    assert (state["final"], state["verdict"], state["exit_code"]) == (True, "ISOLATED", 0)


def test_the_tab_shows_a_master_what_its_workers_count(
    serve: "Serve", start: "Start", free_port: "FreePort", short: tuple[str, ...]
) -> None:
    web_port, port = free_port(), str(free_port())
    master = start(
        *("--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", port),
        *("--web-host", "127.0.0.1", "--web-port", str(web_port), *short),
    )
    web_ui = WebUI(master, web_port)
    for _ in "ab":
        start("--worker", "--master-host", "127.0.0.1", "--master-port", port)
    master.wait_for("2 workers connected")
    web_ui.start(serve(), min_requests="20")
    web_ui.wait_until(lambda: web_ui.rows().get("local", {"requests": 0})["requests"] >= 20)
    assert [worker["gone"] for worker in web_ui.state()["workers"]] == [False, False]
    assert "2 workers" in web_ui.rows()["(the whole run)"]["says"]
    web_ui.wait_until(lambda: all(web_ui.rows()[name.rpartition("/")[2]]["cross_talk"] for name in CONTROLS))
    web_ui.post("/stop")
    state = web_ui.state()
    assert (state["final"], state["verdict"], state["reasons"][0][:5]) == (True, "ISOLATED", "local")
    assert [worker["final"] for worker in state["workers"]] == [True, True]
    # And again, with the same workers.
    assert web_ui.run(serve())["Aggregated"][1] == 0


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def _dump(address: str, profile: Path) -> str:
    """Return what a browser makes of a page."""
    return subprocess.run(
        [
            *(str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--no-proxy-server"),
            *(f"--user-data-dir={profile}", "--virtual-time-budget=8000", "--dump-dom", address),
        ],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=True,
    ).stdout


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_browser_shows_the_tab_and_takes_nothing_for_markup(
    serve: "Serve", web_ui: WebUI, tmp_path: Path
) -> None:
    web_ui.start(serve("locust_apps:markup"))
    web_ui.wait_until(lambda: "injected" in web_ui.rows().get("local", {"says": ""})["says"])
    doms = []

    def shown() -> bool:
        doms.append(_dump(f"{web_ui.base}/?tab=cross-talk", tmp_path))
        return "markup" in doms[-1] and "With cross-talk</" in doms[-1]

    web_ui.wait_until(shown)  # on a busy machine the browser may look before the page has its data
    dom = doms[-1]
    web_ui.post("/stop")
    assert re.search(r"<button[^>]*>(<[^>]*>)*Cross-talk", dom), dom[-3000:]
    assert "With cross-talk" in dom
    assert "&lt;b id=injected&gt;markup&lt;/b&gt;" in dom
    assert "<b id=" not in dom
