"""A Docker engine for the trial: the commands, and an engine of its own where none runs.

Everything that an engine changes outside of its folder is put back: the firewall's
rules, forwarding, and network interfaces.
"""

# ruff: noqa: S603, S607 - it runs programs by their names, and nobody else's words

import contextlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

STARTING = 60.0
"""Seconds that an engine may take to start, or to stop."""

TABLES = {
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
}
"""The tables of the firewall that Docker writes into, with their own chains."""

FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")


class Failed(Exception):  # noqa: N818 - the word for it
    """Something was not as it must be; the message says what."""


def say(text: str) -> None:
    """Print a line at once, with the time."""
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)  # noqa: T201 - a program for a terminal


class Tools:
    """Runs docker and compose with an environment.

    Args:
        environment: what they get beside this process's.

    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = {**os.environ, **environment}

    def plus(self, environment: Mapping[str, str]) -> "Tools":
        """Return tools with more in their environment."""
        return Tools({**self.environment, **environment})

    def answers(self) -> bool:
        """Whether there is an engine."""
        done = subprocess.run(
            ["docker", "info"], env=self.environment, capture_output=True, check=False, timeout=STARTING
        )
        return done.returncode == 0 and b"Server Version" in done.stdout

    def compose(self) -> list[str]:
        """Return compose, of either generation.

        Raises:
            Failed: there is none.

        """
        plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
        if plugin.returncode == 0:
            return ["docker", "compose"]
        if shutil.which("docker-compose"):
            return ["docker-compose"]
        raise Failed("neither docker compose nor docker-compose is installed")

    def run(self, *command: str, timeout: float = 900, check: bool = True, cwd: Path | None = None) -> str:
        """Run a command and return its output.

        Raises:
            Failed: it failed, and ``check`` is true.

        """
        try:
            done = subprocess.run(
                command,
                env=self.environment,
                cwd=cwd,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Failed(f"{' '.join(command[:4])}: not done in {timeout:.0f} s") from None
        if check and done.returncode:
            raise Failed(f"{' '.join(command[:4])}: exit code {done.returncode}\n{done.stdout[-3000:]}")
        return done.stdout


@contextlib.contextmanager
def own_engine(folder: Path) -> Iterator[Tools]:
    """Run dockerd with everything it has in ``folder``, and put back what it changed elsewhere.

    Raises:
        Failed: it cannot be started here, or something of it is left.

    """
    if os.geteuid() != 0:
        raise Failed("no Docker engine answers, and only root may start one")
    missing = [name for name in ("dockerd", "iptables-save", "ip") if shutil.which(name) is None]
    if missing:
        raise Failed(f"no Docker engine answers, and {', '.join(missing)} is not installed to start one")
    tools = Tools({"DOCKER_HOST": f"unix://{folder}/docker.sock", "DOCKER_BUILDKIT": "0"})
    before = _surroundings(tools)
    log = folder / "dockerd.log"
    with log.open("w") as output:
        engine = subprocess.Popen(
            [
                *("dockerd", "--host", tools.environment["DOCKER_HOST"], "--pidfile", str(folder / "pid")),
                *("--data-root", str(folder / "data"), "--exec-root", str(folder / "exec")),
                # No bridge is needed but those of the project. It takes the best storage that there is.
                *("--bridge", "none"),
            ],
            stdout=output,
            stderr=output,
        )
    try:
        deadline = time.monotonic() + STARTING
        while not tools.answers():
            if engine.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"dockerd did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.2)
        say(f"an engine of its own runs: dockerd, process {engine.pid}, in {folder}")
        yield tools
    finally:
        _stop(engine)
        _put_back(tools, before)
        _unmount(folder)
    if (after := _surroundings(tools)) != before:
        raise Failed(f"the engine left something: {before} became {after}")
    say("the engine has ended, and left no interface, rule or mount")


def _stop(engine: "subprocess.Popen[bytes]") -> None:
    engine.terminate()
    try:
        engine.wait(STARTING)
    except subprocess.TimeoutExpired:
        engine.kill()
        engine.wait()


def _surroundings(tools: Tools) -> dict[str, str]:
    """Return what an engine changes of a machine: interfaces, forwarding, and the firewall's rules."""
    links = sorted(line.split(":")[1].strip() for line in tools.run("ip", "-o", "link").splitlines())
    return {"links": " ".join(links), "forwarding": FORWARDING.read_text().strip(), "rules": _rules(tools)}


def _rules(tools: Tools) -> str:
    """Return the firewall's rules as iptables-restore takes them, without empty tables."""
    saved = tools.run("iptables-save")
    lines = [re.sub(r" \[\d+:\d+\]$", "", line) for line in saved.splitlines() if line[:1] not in ("#", "")]
    tables = re.findall(r"^\*.*?^COMMIT$", "\n".join(lines), re.DOTALL | re.MULTILINE)
    return "\n".join(table for table in tables if re.search(r"^(-A|:\S+ (?!ACCEPT))", table, re.MULTILINE))


def _put_back(tools: Tools, before: Mapping[str, str]) -> None:
    kept = set(before["links"].split())
    for line in tools.run("ip", "-o", "link").splitlines():
        name = line.split(":")[1].strip()
        if name not in kept and name.startswith(("br-", "docker", "veth")):
            tools.run("ip", "link", "delete", name.partition("@")[0], check=False)
    empty = "".join(
        f"*{table}\n" + "".join(f":{chain} ACCEPT\n" for chain in chains) + "COMMIT\n"
        for table, chains in TABLES.items()
    )
    for rules in (empty, before["rules"] + "\n"):
        subprocess.run(["iptables-restore"], input=rules, text=True, check=False)
    FORWARDING.write_text(before["forwarding"] + "\n")


def _unmount(folder: Path) -> None:
    """Unmount what is mounted below ``folder``, the innermost first."""
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for mount in sorted((each for each in mounts if each.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", "--lazy", mount], check=False)
