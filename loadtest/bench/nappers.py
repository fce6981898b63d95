"""Requests in flight that do not end: ``python -m bench.nappers PORT COUNT SECONDS``.

Opens COUNT connections, and on each asks for a nap of SECONDS again and again, until it is ended. The first
naps are shorter, each by another bit, so that there are requests of all ages at any time. Prints one line
when all of them are under way.

Rule: no address but that of the loopback network.
"""

import sys

import gevent
from gevent import socket

_RATE = 1_000
"""New connections a second."""


def nap(port: int, number: int, first: float, seconds: float) -> None:
    """Ask for one nap after the other on one connection; the first is shorter.

    Raises:
        ConnectionError: a reply was not the right one, or none.

    """
    with socket.create_connection(("127.0.0.1", port)) as connection:
        while True:
            nonce = f"nonce-{number}"
            path = f"/nap?nonce={nonce}&seconds={first:.3f}"
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            # So small a reply leaves in one piece.
            reply = connection.recv(4_096)
            if not (reply.startswith(b"HTTP/1.1 200 ") and reply.endswith(nonce.encode())):
                raise ConnectionError(f"not a reply to {path}: {reply!r}")
            first = seconds


def run(port: int, count: int, seconds: float) -> None:
    """Keep ``count`` requests in flight for ever.

    Raises:
        ConnectionError: see `nap`; no other is asked any more.

    """
    nappers = []
    for number in range(count):
        first = seconds * (1 + number % 100) / 100
        nappers.append(gevent.spawn(nap, port, number, first, seconds))
        if number % 10 == 9:
            gevent.sleep(10 / _RATE)
    sys.stdout.write("under way\n")
    sys.stdout.flush()
    gevent.joinall(nappers, raise_error=True)


if __name__ == "__main__":
    run(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
