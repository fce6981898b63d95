"""The steps of the trial: what is done with the containers, and what must come of it."""

# ruff: noqa: S603 - it runs programs by their names, and nobody else's words

import argparse
import json
import re
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from http.cookiejar import CookieJar
from typing import Any

from engine import Failed, Tools, say

PATIENCE = 90.0
"""Seconds that something may take to become so."""

ISOLATED, INCONCLUSIVE = 0, 13
"""Exit codes of `crosstalk prove`."""


class Stack:
    """The containers of docker-compose.yml under a project of their own.

    Args:
        tools: with the environment that the file reads.
        project: its name, and that of the image.
        files: the options that name the compose files.
        options: of the trial.

    """

    def __init__(self, tools: Tools, project: str, files: Sequence[str], options: argparse.Namespace) -> None:
        self.tools = tools
        self.options = options
        self.project = project
        self._compose = [*tools.compose(), "-p", project, *files]

    @property
    def site(self) -> str:
        """The balancer's address."""
        return f"http://127.0.0.1:{self.tools.environment['PORT']}"

    @property
    def locust(self) -> str:
        """The address of Locust's web UI."""
        return f"http://127.0.0.1:{self.tools.environment['LOCUST_PORT']}"

    def compose(self, *arguments: str) -> list[str]:
        """Return a command of compose."""
        return [*self._compose, *arguments]

    def up(self) -> None:
        """Build the image and start everything that no profile holds back."""
        scale = ["--scale", f"server={self.options.servers}", "--scale", f"worker={self.options.workers}"]
        began = time.monotonic()
        self.tools.run(*self.compose("build", "server"))
        say(f"built the image in {time.monotonic() - began:.0f} s")
        began = time.monotonic()
        self.tools.run(*self.compose("up", "-d", *scale))
        say(
            f"up after {time.monotonic() - began:.0f} s: {self.options.servers} servers behind the balancer,"
            f" PostgreSQL, Redis, Locust's master and {self.options.workers} workers"
        )

    def containers(self, service: str) -> list[str]:
        """Return the ids of a service's running containers."""
        return self.tools.run(*self.compose("ps", "-q", service)).split()

    def show_logs(self) -> None:
        """Print the end of what the containers said."""
        print(self.tools.run(*self.compose("logs", "--no-color", "--tail", "15"), check=False))  # noqa: T201

    def down(self) -> None:
        """Take everything down.

        Raises:
            Failed: something is left.

        """
        self.tools.run(*self.compose("--profile", "prove", "down", "--volumes", "--remove-orphans"))
        self.tools.run("docker", "image", "rm", "-f", self.project, check=False)
        mark = f"label=com.docker.compose.project={self.project}"
        left = [
            self.tools.run("docker", kind, "ls", *which, "-q", "--filter", mark).split()
            for kind, which in (("container", ["-a"]), ("network", []), ("volume", []))
        ]
        if any(left):
            raise Failed(f"left after down: {left}")
        say("taken down: no container, network or volume of it is left")


def wait_until(so: Callable[[], bool], what: str) -> None:
    """Ask again and again.

    Raises:
        Failed: it did not become so.

    """
    deadline = time.monotonic() + PATIENCE
    while not so():
        if time.monotonic() > deadline:
            raise Failed(f"not in {PATIENCE:.0f} s: {what}")
        time.sleep(0.25)


def get(address: str, form: dict[str, str] | None = None, jar: CookieJar | None = None) -> str:
    """Send a GET, or a POST with a form, by no proxy, and return the body."""
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(jar)
    )
    data = None if form is None else urllib.parse.urlencode(form).encode()
    with opener.open(address, data, timeout=30) as reply:
        body: bytes = reply.read()
    return body.decode()


def answers(address: str) -> bool:
    """Whether a GET of it is answered by a 200."""
    try:
        get(address)
    except OSError:
        return False
    return True


def check_places(stack: Stack) -> None:
    """Nothing is published beyond this machine, and the database not at all.

    Raises:
        Failed: something is.

    """
    shown = stack.tools.run(
        *("docker", "ps", "--filter", f"label=com.docker.compose.project={stack.project}"),
        *("--format", '{{.Label "com.docker.compose.service"}} {{.Ports}}'),
    )
    published = sorted(line for line in shown.splitlines() if "->" in line)
    if len(published) != 2 or any(
        not re.fullmatch(
            r"(balancer|locust) (\d+/tcp, |[\d-]+/tcp, )*127\.0\.0\.1:\d+->\d+/tcp(, [\d/-]+tcp)*", line
        )
        for line in published
    ):
        raise Failed(f"published: {published}")
    say(f"published: {'; '.join(published)}")


def check_processes(stack: Stack) -> None:
    """The balancer gives the requests to every server.

    Raises:
        Failed: it does not.

    """
    wait_until(lambda: answers(f"{stack.site}/healthz"), "the balancer has a server")
    seen: set[str] = set()

    def all_seen() -> bool:
        seen.update(re.findall(r'greenlane_process_info\{process="([^"]+)"\}', get(f"{stack.site}/metrics")))
        return bool(len(seen) >= stack.options.servers)

    wait_until(all_seen, "every server was given a request")
    say(f"{len(seen)} servers behind the balancer: {', '.join(sorted(seen))}")


def check_notes(stack: Stack) -> None:
    """A visitor's session and notes are the same on every server.

    Raises:
        Failed: they are not.

    """
    jar, address = CookieJar(), f"{stack.site}/notes.json"
    token = json.loads(get(address, jar=jar))["token"]
    get(address, {"text": "seen by every server", "token": token}, jar)
    for _ in range(4 * stack.options.servers):
        texts = [note["text"] for note in json.loads(get(address, jar=jar))["notes"]]
        if texts != ["seen by every server"]:
            raise Failed(f"a server shows other notes: {texts}")
    say("a visitor's session and note are the same on every server")


def _prove_command(stack: Stack) -> list[str]:
    options = stack.options
    return stack.compose(
        *("run", "--rm", "-T", "prove"),
        *("--users", str(options.users), "--duration", str(options.seconds)),
        *("--min-requests", str(options.users)),
    )


def prove(stack: Stack) -> None:
    """The proof across all servers says ISOLATED.

    Raises:
        Failed: it says something else.

    """
    done = subprocess.run(
        _prove_command(stack),
        env=stack.tools.environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    _show("docker compose run --rm prove", done.stdout, done.returncode)
    if done.returncode != ISOLATED or "verdict: ISOLATED" not in done.stdout:
        raise Failed(f"the proof exits with {done.returncode}\n{done.stderr[-2000:]}")


def prove_with_a_loss(stack: Stack) -> None:
    """A proof in which a server is killed says that requests failed, and of no cross-talk.

    Raises:
        Failed: it says something else.

    """
    running = subprocess.Popen(
        _prove_command(stack),
        env=stack.tools.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert running.stdout is not None  # noqa: S101 - it is a pipe
    lines: list[str] = []
    victim = ""
    for line in running.stdout:
        lines.append(line)
        if not victim and line.startswith("subjects:") and not line.startswith("subjects: 0%"):
            victim = stack.containers("server")[0]
            stack.tools.run("docker", "kill", "--signal", "KILL", victim)
            say(f"killed server {victim[:12]} in mid-run")
    code, text = running.wait(), "".join(lines)
    _show("docker compose run --rm prove, with a server killed in mid-run", text, code)
    if not victim:
        raise Failed("the proof was over before a server was killed")
    if code != INCONCLUSIVE or "verdict: INCONCLUSIVE" not in text or "failed" not in text:
        raise Failed(f"the proof exits with {code}")


def locust_run(stack: Stack) -> None:
    """Locust's master and workers, started by the web UI, say ISOLATED.

    Raises:
        Failed: they say something else.

    """
    wait_until(lambda: answers(stack.locust), "Locust's web UI")
    form = {"user_count": str(stack.options.users), "spawn_rate": str(stack.options.users // 4)}
    form |= {"run_time": f"{stack.options.seconds}s", "host": "http://balancer:8000"}
    wait_until(
        lambda: len(json.loads(get(f"{stack.locust}/stats/requests"))["workers"]) >= stack.options.workers,
        "every worker is with the master",
    )
    get(f"{stack.locust}/swarm", form)
    wait_until(lambda: bool(_state(stack)["final"]), "Locust's master has a verdict")
    state = _state(stack)
    _show(
        "Locust's master and workers",
        "\n".join([state["verdict"], *state["reasons"], f"workers: {state['workers']}"]),
        state["exit_code"],
    )
    if state["exit_code"] != ISOLATED:
        raise Failed("Locust's verdict is another")


def _state(stack: Stack) -> Any:
    return json.loads(get(f"{stack.locust}/cross-talk/state"))


def _show(title: str, text: str, code: int) -> None:
    print(f"\n$ {title}\n{text.rstrip()}\nexit code {code}\n", flush=True)  # noqa: T201
