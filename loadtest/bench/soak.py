"""Minutes or hours of everything at once: ``python -m bench.soak --minutes N``, or `make soak`.

Good clients (kept alive, closing, pipelining, uploads, chunks, files, streams), bad ones (bytes changed),
dying ones (resets) and slow ones (drips, readers that do not read, silence) visit two processes of `greenlane
run`, one of them through TLS. Every ten seconds a line says what was done and what it costs. At the end it
idles, and judges:

- every good reply was right, byte for byte, and no bad visit lasted longer than the limits allow;
- resident memory is flat: a straight line through the second half of its samples rises by less than 4 MiB, or
  by less than 5 % of their mean, between the half's beginning and its end;
- at idle no entry is left in any Local, no request is in flight, and as many contexts were popped as pushed;
- as many descriptors are open as at the start; nothing stands in the error log; the servers end with 0.

With `--slow` it asks another question: whether a normal client notices 5,000 silent connections and 500 that
send a byte a second. Its median latency may double, and all of them must be gone when their time is over.

Rule: prints figures of this run alone. Needs the packages of the tests (certificates are made as it runs).
"""

from gevent import monkey

if __name__ == "__main__":
    monkey.patch_all()

import os
import random
import re
import resource
import ssl
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import linear_regression, median
from time import monotonic

import click
import gevent
import psutil
from gevent import socket
from gevent import ssl as gssl
from gevent.pool import Pool
from rich.console import Console

from bench import soak_clients as clients
from bench.processes import end, free_port
from bench.servers import APPS, ROOT

EVERY = 10.0
"""Seconds between two lines."""

LIMITS = {
    "keep-alive": 5,
    "head-timeout": 4,
    "body-timeout": 4,
    "write-timeout": 5,
    "min-rate": 500,
    "linger": 1,
}
"""The servers' limits: short, so that each is met many times a minute."""

_STARTING = 20.0
_IDLE = 30.0
"""Seconds until everything must be at rest, once the clients are gone."""

_MEMORY_SLACK = 4 * 2**20
_MEMORY_SHARE = 0.05

_METRIC = re.compile(r"^(\w+)(?:\{[^}]*\})? ([0-9.e+]+)$", re.MULTILINE)

console = Console(highlight=False)


@dataclass(frozen=True)
class Server:
    """A server process under observation."""

    process: "subprocess.Popen[bytes]"
    errors: Path
    target: clients.Target

    def ask(self, path: str) -> str:
        """Return what it answers on a connection of its own. Raises `Wrong`, `OSError`."""
        with self.target.line() as line:
            line.send(clients.get(path, "Connection: close"))
            status, body = line.reply()
        if status != 200:
            raise clients.Wrong(f"{path} is answered {status}")
        return body.decode()

    def metrics(self) -> Counter[str]:
        """Return its figures by name; those with labels are added up."""
        found: Counter[str] = Counter()
        for name, value in _METRIC.findall(self.ask("/metrics")):
            found[name] += int(float(value))
        return found

    def memory(self) -> int:
        """Return the resident memory in bytes."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def descriptors(self) -> int:
        """Return how many descriptors are open."""
        return int(psutil.Process(self.process.pid).num_fds())

    def descriptors_at_rest(self) -> int:
        """Return how many are open when nobody is connected: the fewest of half a second."""
        fewest = self.descriptors()
        for _ in range(10):
            gevent.sleep(0.05)
            fewest = min(fewest, self.descriptors())
        return fewest


@contextmanager
def serving(folder: Path, name: str, target: clients.Target, *options: str) -> Iterator[Server]:
    """Run `greenlane run` on the target's port until the block ends."""
    command = [sys.executable, "-m", "greenlane", "run", "soaked:application", "--ops", "--access-log", "off"]
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'server'}:{APPS}", "TMPDIR": str(folder)}
    log = folder / f"{name}.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(  # noqa: S603 - our own server
            [*command, "--port", str(target.port), *options],
            cwd=APPS,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )
    server = Server(process, log, target)
    try:
        deadline = monotonic() + _STARTING
        while True:
            try:
                target.file_checksum = int(server.ask("/checksum"))
                break
            except OSError:
                if monotonic() > deadline or process.poll() is not None:
                    raise click.ClickException(f"the server did not start: {log.read_text()}") from None
                gevent.sleep(0.05)
        yield server
    finally:
        end(process)


def secured(folder: Path) -> tuple[list[str], gssl.SSLContext]:
    """Make a certificate: the server's options, and a client's context that trusts it."""
    import trustme  # only here: `--help` works without the packages of the tests

    authority = trustme.CA()
    certificate = folder / "certificate.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    context = gssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    return ["--certfile", str(certificate)], context


@dataclass
class Tally:
    """What the clients did."""

    requests: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    stopping: bool = False

    def visit(self, name: str, make: Callable[[clients.Target], int], targets: list[clients.Target]) -> None:
        """Make one visit after another, until it is over."""
        while not self.stopping:
            target = random.choice(targets)  # noqa: S311 - no secret
            try:
                made = make(target)
            except clients.BROKEN as error:
                self.wrong.append(f"{name}: {type(error).__name__}: {error}")
                gevent.sleep(0.1)
            else:
                self.requests[name] += made  # added when nothing switches: others add to it meanwhile


@dataclass(frozen=True)
class Sample:
    """The servers at one moment, together."""

    seconds: float
    memory: int
    descriptors: int
    metrics: Counter[str]

    def unfinished(self) -> dict[str, int]:
        """Return what must be zero at idle and is not."""
        found = self.metrics
        open_contexts = found["greenlane_contexts_pushed_total"] - found["greenlane_contexts_popped_total"]
        told = {
            "entries": found["greenlane_local_entries"],
            "requests in flight": found["greenlane_requests_in_flight"],
            "contexts": open_contexts,
        }
        return {name: value for name, value in told.items() if value}


def sample(servers: list[Server], begun: float) -> Sample:
    """Look at all servers."""
    metrics: Counter[str] = Counter()
    for server in servers:
        metrics.update(server.metrics())
    return Sample(
        monotonic() - begun,
        sum(server.memory() for server in servers),
        sum(server.descriptors() for server in servers),
        metrics,
    )


def rise(samples: list[Sample]) -> tuple[float, float]:
    """Return by how many bytes memory rises over the second half, on a straight line, and how many it may."""
    half = samples[len(samples) // 2 :]
    if len(half) < 3:
        return 0.0, _MEMORY_SLACK
    times, sizes = [one.seconds for one in half], [one.memory for one in half]
    slope = linear_regression(times, sizes).slope
    return slope * (times[-1] - times[0]), max(_MEMORY_SLACK, _MEMORY_SHARE * sum(sizes) / len(sizes))


def show(now: Sample, tally: Tally) -> None:
    """Print a line."""
    done = " ".join(f"{name} {tally.requests[name]:,}" for name in clients.ALL)
    console.print(
        f"[bold]{now.seconds:5.0f} s[/]  {now.memory / 2**20:.1f} MiB  {now.descriptors} descriptors  "
        f"{now.metrics['greenlane_local_entries']} entries  {now.metrics['greenlane_greenlets']} greenlets  "
        f"{now.metrics['greenlane_connections_accepted_total']:,} connections  {len(tally.wrong)} wrong\n"
        f"         {done}",
        soft_wrap=True,
    )


def await_rest(servers: list[Server], begun: float, descriptors: int) -> Sample:
    """Wait until nothing is left of the clients, and return the last look."""
    deadline = monotonic() + _IDLE
    while True:
        now = sample(servers, begun)
        if (not now.unfinished() and now.descriptors <= descriptors) or monotonic() > deadline:
            return now
        gevent.sleep(0.2)


def soak(servers: list[Server], seconds: float) -> list[str]:
    """Let all clients visit for so long; what was found at fault."""
    tally, visitors, begun = Tally(), Pool(), monotonic()
    targets = [server.target for server in servers]
    at_rest = sum(server.descriptors_at_rest() for server in servers)
    for name, (make, many) in clients.ALL.items():
        for _ in range(many):
            visitors.spawn(tally.visit, name, make, targets)
    samples: list[Sample] = []
    with suppress(KeyboardInterrupt):  # Ctrl-C: judge what there is
        while monotonic() - begun < seconds and all(server.process.poll() is None for server in servers):
            gevent.sleep(min(EVERY, seconds))
            samples.append(sample(servers, begun))
            show(samples[-1], tally)
    tally.stopping = True
    visitors.join(timeout=2 * clients.PATIENCE)
    faults = [f"{len(visitors)} visits did not end"] if len(visitors) else []
    visitors.kill()
    last = await_rest(servers, begun, at_rest)
    console.print("at idle:")
    show(last, tally)
    rises, may = rise(samples)
    console.print(
        f"memory over the second half: {rises / 2**20:+.2f} MiB (may rise by {may / 2**20:.2f} MiB)"
    )
    faults += tally.wrong[:20]
    faults += [
        f"{name}: no visit was made" for name in (clients.GOOD | clients.BAD) if not tally.requests[name]
    ]
    faults += [f"at idle, {value} {name} are left" for name, value in last.unfinished().items()]
    if last.descriptors > at_rest:
        faults.append(f"at idle, {last.descriptors} descriptors; at the start, {at_rest}")
    if rises > may:
        faults.append("memory is not flat")
    return faults


def look_at_ends(servers: list[Server]) -> list[str]:
    """End the servers as an operator would; what they left in their logs."""
    faults = []
    for server in servers:
        server.process.terminate()
        try:
            code = server.process.wait(_IDLE)
        except subprocess.TimeoutExpired:
            faults.append("a server did not stop")
            continue
        if code:
            faults.append(f"a server ended with {code}")
        said = [
            line for line in server.errors.read_text().splitlines() if not line.startswith("greenlane: stop")
        ]
        faults += [f"in {server.errors.name}: {line}" for line in said[:20]]
    return faults


# --slow


def latency(target: clients.Target, seconds: float) -> float:
    """Return the median time of a request of a normal client, in milliseconds."""
    times, begun = [], monotonic()
    with target.line() as line:
        while monotonic() - begun < seconds:
            mine, sent = clients.nonce(), monotonic()
            line.send(clients.get(f"/echo?nonce={mine}"))
            clients.expect(line, mine.encode())
            times.append(monotonic() - sent)
            gevent.sleep(0.002)
    return median(times) * 1000


def slow(server: Server, silent: int, dripping: int, time: float) -> list[str]:
    """Compare a normal client's latency without and with the others; what was found at fault."""
    descriptors, before = server.descriptors_at_rest(), latency(server.target, 4)
    socks = [
        socket.create_connection(("127.0.0.1", server.target.port), 20) for _ in range(silent + dripping)
    ]
    opened = monotonic()

    def drip(sock: socket.socket) -> None:
        gevent.sleep(random.random())  # noqa: S311 - no secret
        with suppress(OSError):
            for byte in b"GET / HTTP/1.1\r\nX: " + b"y" * 1_000:
                sock.sendall(bytes([byte]))
                gevent.sleep(1)

    drips = [gevent.spawn(drip, sock) for sock in socks[:dripping]]
    gevent.sleep(1.5)
    held = server.descriptors() - descriptors
    during = latency(server.target, 4)
    still = server.descriptors() - descriptors
    while server.descriptors() > descriptors and monotonic() - opened < time + _IDLE:
        gevent.sleep(0.1)
    gone, left = monotonic() - opened, server.descriptors_at_rest() - descriptors
    after = latency(server.target, 4)
    gevent.killall(drips)
    for sock in socks:
        sock.close()
    console.print(f"{silent:,} silent and {dripping:,} dripping: {held:,} held, {still:,} after measuring")
    console.print(f"median latency: {before:.2f} ms before, {during:.2f} ms during, {after:.2f} ms after")
    console.print(f"{left} left {gone:.1f} s after they were opened; their time is {time:g} s")
    faults = [] if held == still == silent + dripping else ["not all were held while it was measured"]
    if during > 2 * min(before, after):
        faults.append("a normal client's median latency more than doubled")
    return faults + ([f"{left} connections are left"] if left else [])


@click.command(help=__doc__)
@click.option("--minutes", default=10.0, show_default=True, help="How long the clients visit.")
@click.option("--slow", "only_slow", is_flag=True, help="Measure what slow clients cost a normal one.")
@click.option("--silent", default=5_000, show_default=True, help="With --slow: silent connections.")
@click.option("--dripping", default=500, show_default=True, help="With --slow: connections that drip.")
def main(minutes: float, only_slow: bool, silent: int, dripping: int) -> None:
    """Run one of the two, and exit with 0 when nothing was found."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory() as made, ExitStack() as stack:
        folder = Path(made)
        if only_slow:
            time = 20.0
            limits = ["--keep-alive", f"{time:g}", "--head-timeout", f"{time:g}"]
            servers = [stack.enter_context(serving(folder, "plain", clients.Target(free_port()), *limits))]
            faults = slow(servers[0], silent, dripping, time)
        else:
            limits = [word for name, value in LIMITS.items() for word in (f"--{name}", str(value))]
            options, context = secured(folder)
            plain, tls = clients.Target(free_port()), clients.Target(free_port(), context)
            servers = [
                stack.enter_context(serving(folder, "plain", plain, *limits)),
                stack.enter_context(serving(folder, "tls", tls, *limits, *options)),
            ]
            try:
                faults = soak(servers, minutes * 60)
            except (*clients.BROKEN, psutil.Error) as error:
                faults = [f"a server does not answer any more: {error}"]
        faults += look_at_ends(servers)
    for fault in faults:
        console.print(f"[red]{fault}[/]", markup=True)
    console.print("nothing was found" if not faults else f"{len(faults)} faults")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
