"""The options of `greenlane run`: each limit has one, what they mean to a server, and what they refuse."""

import json
import re
import signal
import socket
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from greenlane.cli.limits import LIMITS
from greenlane.cli.run import run as command
from greenlane.wsgi import Settings

if TYPE_CHECKING:
    from tests.e2e.conftest import Fail, Process, Run

TIMEOUT = 20.0

APP = '''
"""Reads the whole body, and tells who is said to have sent it."""


def app(environ, start_response):
    told = [environ["REMOTE_ADDR"], environ["wsgi.url_scheme"], environ.get("HTTP_X_FORWARDED_FOR")]
    told.append(len(environ["wsgi.input"].read()))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [repr(told).encode()]
'''

FORWARDED = {"X-Forwarded-For": "1.1.1.1, 203.0.113.9", "X-Forwarded-Proto": "https"}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Path:
    """A folder with the module `told`."""
    (tmp_path / "told.py").write_text(APP)
    return tmp_path


def stop(process: "Process") -> str:
    """End it, and return all that it wrote to stderr: a request's line comes after its reply."""
    process.tell(signal.SIGTERM)
    assert process.exit_code() == 0
    return process.errors()


# The settings.


def test_every_setting_is_an_option_with_the_same_default() -> None:
    options = {option.name: option for option in command.params if isinstance(option, click.Option)}
    for field in fields(Settings):
        option = options[field.name]
        assert option.opts == ["--" + field.name.replace("_", "-")]
        if field.name != "access_log":  # it depends on what is served
            assert option.default == field.default, field.name


def test_every_option_says_what_it_is_for() -> None:
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, option.name


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--drain-timeout", "nan", "'nan' is not a number of seconds."),
        ("--drain-timeout", "-1", "'-1' is not a number of seconds."),
        ("--keep-alive", "0", "'0' is not a number of seconds, more than zero."),
        ("--head-timeout", "inf", "'inf' is not a number of seconds, more than zero."),
        ("--body-timeout", "soon", "'soon' is not a number of seconds, more than zero."),
        ("--max-connections", "0", "'0' is not a number from 1 up."),
        ("--max-connections", "none", "'none' is not a number from 1 up."),
        ("--max-connections-per-address", "few", "'few' is not a number from 1 up, or none."),
        ("--max-header-count", "1.5", "'1.5' is not a number from 1 up."),
        ("--max-body-size", "10X", "'10X' is not a size from 1 up, or none: bytes, or 64K, 10M, 1G."),
        ("--max-head-size", "-1", "'-1' is not a size from 1 up: bytes, or 64K, 10M, 1G."),
        ("--backlog", "9" * 30, f"'{'9' * 30}' is not a number from 1 up."),
        ("--access-log", "loud", "'loud' is not one of 'common', 'json', 'off'."),
    ],
)
def test_a_value_that_cannot_be_is_a_usage_error(fail: "Fail", option: str, value: str, message: str) -> None:
    done = fail("told", option, value)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"Invalid value for '{option}': {message}" in " ".join(done.stderr.split())


def test_a_body_beyond_its_limit_is_refused(run: "Run") -> None:
    process = run("told", "--max-body-size", "1K")

    def post(size: int) -> bytes:
        with socket.create_connection(("127.0.0.1", process.port), TIMEOUT) as sock:
            head = f"POST / HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: {size}\r\n\r\n"
            sock.sendall(head.encode() + b"x" * size)
            return b"".join(iter(lambda: sock.recv(65_536), b""))

    assert post(1024).startswith(b"HTTP/1.1 200 ")
    assert post(1025).startswith(b"HTTP/1.1 413 ")


def test_a_bound_can_be_taken_away(run: "Run") -> None:
    process = run("told", "--max-body-size", "none", "--max-requests-per-connection", "none")
    assert process.get()[0] == 200


# The access log.


def test_the_access_log_in_json(run: "Run") -> None:
    process = run("told", "--access-log", "json")
    process.get("/path?query=1")
    line, *_ = stop(process).splitlines()
    assert "/path?query=1" in json.dumps(json.loads(line))


def test_the_demonstration_has_no_access_log_unless_asked(run: "Run") -> None:
    silent, told = run(), run("--access-log", "common")
    assert silent.get()[0] == told.get()[0] == 200
    assert "GET" not in stop(silent)
    assert re.search(r'"GET / HTTP/1\.1" 200 ', stop(told))


# Proxies.


def test_nobody_is_believed_who_is_not_named(run: "Run") -> None:
    process = run("told", "--trusted-proxy", "192.0.2.7")
    assert process.get("/", FORWARDED)[1] == b"['127.0.0.1', 'http', None, 0]"


def test_a_named_proxy_is_believed(run: "Run") -> None:
    process = run("told", "--trusted-proxy", "192.0.2.7", "--trusted-proxy", "127.0.0.0/8")
    assert process.get("/", FORWARDED)[1] == b"['203.0.113.9', 'https', '203.0.113.9', 0]"
    assert stop(process).splitlines()[0].startswith("203.0.113.9 - - ["), "the log tells who was believed"


def test_what_it_sets_and_how_many_there_are_can_be_told(run: "Run") -> None:
    process = run("told", "--trusted-proxy", "127.0.0.1", "--forwarded", "for=2")
    assert process.get("/", FORWARDED)[1] == b"['1.1.1.1', 'http', '1.1.1.1, 203.0.113.9', 0]"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--trusted-proxy", "proxy"],
            "'proxy' is no address, no network such as 10.0.0.0/8",
        ),
        (["--trusted-proxy", "10.0.0.1/8"], "10.0.0.1/8 has host bits set"),
        (["--forwarded", "for"], "--forwarded needs --trusted-proxy."),
        (["--trusted-proxy", "unix", "--forwarded", "by"], "'by' is not NAME[=N]"),
        (["--trusted-proxy", "unix", "--forwarded", "for=-1"], "'for=-1' is not NAME[=N]"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_proxy_that_cannot_be_is_a_usage_error(fail: "Fail", arguments: list[str], message: str) -> None:
    done = fail("told", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in " ".join(done.stderr.split())


# What is written of them.


def test_every_option_and_its_default_is_in_the_documentation() -> None:
    text = (Path(__file__).parents[2] / "docs" / "server.md").read_text()
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.opts[0] in text, option.opts
    rows = dict(re.findall(r"^\| `(--[a-z-]+)` \| (\S+) \|", text, re.MULTILINE))
    for limit in LIMITS:
        default = getattr(Settings(), limit.field)
        shown = rows["--" + limit.field.replace("_", "-")]
        assert shown == ("none" if default is None else f"{default:g}" if default % 1 else str(int(default)))
