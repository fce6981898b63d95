"""What a reply must be, looked at before a server is loaded: a fast wrong answer is no answer.

Rule: what is checked here is checked for every server alike.
"""

import http.client
import json
import secrets
from concurrent.futures import ThreadPoolExecutor

from bench.refusal import CannotRun
from bench.workloads import UPLOAD_SIZE, Workload

_PATIENCE = 10.0
_AT_ONCE = 8
_BODY = b"0123456789abcdef" * (UPLOAD_SIZE // 16)


def check(port: int, workload: Workload) -> dict[str, str]:
    """Check a server's replies, and return the headers that its load is to send.

    Args:
        port: where it listens on 127.0.0.1.
        workload: what is asked.

    Raises:
        CannotRun: a reply is not what it must be.

    """
    try:
        if workload.load == "echo":
            return {"Cookie": _check_echo(port, workload.path)}
        if workload.load == "upload":
            status, _, body = _ask(port, "POST", workload.path, _BODY)
            right = body == str(UPLOAD_SIZE).encode()
        else:
            status, _, body = _ask(port, "GET", workload.path)
            right = len(json.loads(body)) == 160 if workload.name == "json" else body == b"Hello, World!"
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise CannotRun(f"no right reply: {type(error).__name__}: {error}") from error
    if status != 200 or not right:
        raise CannotRun(f"a wrong reply: {status} {body[:60]!r}")
    return {} if workload.keep_alive else {"Connection": "close"}


def _ask(
    port: int, method: str, path: str, body: bytes | None = None, cookie: str = ""
) -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
    try:
        connection.request(method, path, body, {"Cookie": cookie} if cookie else {})
        reply = connection.getresponse()
        return reply.status, reply.getheader("Set-Cookie", ""), reply.read()
    finally:
        connection.close()


def _check_echo(port: int, path: str) -> str:
    """Check that each nonce comes back, alone and among others, and return a session's cookie."""

    def visit(cookie: str) -> tuple[str, int]:
        nonce = secrets.token_hex(8)
        status, set_cookie, body = _ask(port, "GET", f"{path}?nonce={nonce}", cookie=cookie)
        told = json.loads(body) if status == 200 else {}
        if told.get("nonce") != nonce or not set_cookie:
            raise CannotRun(f"a wrong reply to nonce {nonce}: {status} {body[:60]!r}, cookie {set_cookie!r}")
        return set_cookie.partition(";")[0], int(told["visits"])

    cookie, first = visit("")
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        counts = [count for _, count in pool.map(visit, [cookie] * _AT_ONCE)]
    if first != 1 or set(counts) != {2}:
        raise CannotRun(f"the session does not count: {first}, then {counts}")
    return cookie
