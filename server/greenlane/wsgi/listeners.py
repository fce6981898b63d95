"""Listening sockets: made for a TCP address or a Unix path, or inherited from who started the process.

Rule: each function gives a socket of gevent's that listens, or raises one
error that says why it could not. Must not know the server, its settings or
the command line.
"""

import errno
import fcntl
import ipaddress
import os
import socket as native
import stat
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic

import gevent
from gevent import socket

_FIRST_OF_SYSTEMD = 3
"""SD_LISTEN_FDS_START of sd_listen_fds(3)."""

_FAMILIES = (native.AF_INET, native.AF_INET6, native.AF_UNIX)

_LOCK_WAIT = 5.0
"""Seconds to wait for another process that makes or removes a socket in the same folder."""

_CONNECT_WAIT = 2.0
"""Seconds to wait for an answer from who may listen on a path. A full queue means that somebody does."""


class CannotListenError(OSError):
    """There can be no listening socket; the message says why. `errno` is set where the system gave one."""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.errno = code


def listen_tcp(host: str, port: int, *, backlog: int) -> socket.socket:
    """Listen on a TCP address.

    `::` takes IPv4 too, where the system can: who asks for every address means
    all of them. Such a client's address reads `::ffff:192.0.2.1`. Any other
    address is of one family alone.

    Args:
        host: an IPv4 or IPv6 address; or a name, of which one address is taken, IPv4 before IPv6.
        port: 0 takes a free one.
        backlog: connections that the kernel holds until they are accepted.

    Raises:
        CannotListenError: the address is in use, not of this machine or not allowed.

    """
    try:
        family, address = _resolve(host, port)
        dual = host == "::" and native.has_dualstack_ipv6()
        made = native.create_server(address, family=family, backlog=backlog, dualstack_ipv6=dual)
    except CannotListenError:
        raise
    except OSError as error:
        raise CannotListenError(_tcp_fault(error, host, port), error.errno) from None
    return socket.socket(fileno=made.detach())


@contextmanager
def listening_unix(
    path: str | os.PathLike[str], *, mode: int = 0o660, backlog: int
) -> Iterator[socket.socket]:
    """Listen on a Unix socket's path, and remove it at the end.

    What is in the way is replaced only when it is a socket on which nobody
    listens, as a process leaves it that was killed. What is removed at the end
    is only this very socket: a successor may have put its own there.

    Args:
        path: at most some 100 bytes; its folder must exist.
        mode: the socket's permissions; to connect is to write. By default its owner and group may.
        backlog: connections that the kernel holds until they are accepted.

    Raises:
        CannotListenError: somebody listens there already, or it is something else than a socket,
            or the folder is missing or not to be written to.

    """
    place = Path(path)
    try:
        with _folder_locked(place.parent):
            _remove_stale(place)
            listener = _bind_unix(place, mode, backlog)
            ours = place.lstat()
    except CannotListenError:
        raise
    except OSError as error:
        reason = error.strerror or error
        raise CannotListenError(f"cannot listen on {place}: {reason}", error.errno) from None
    try:
        yield listener
    finally:
        listener.close()
        with suppress(OSError), _folder_locked(place.parent):
            left = place.lstat()
            if (left.st_dev, left.st_ino) == (ours.st_dev, ours.st_ino):
                place.unlink()


def inherited(descriptor: int) -> socket.socket:
    """Take over a descriptor that listens already.

    Raises:
        CannotListenError: it is not open, no stream socket, or does not listen.

    """
    try:
        # Without a family and a type Python asks the descriptor for both.
        given = native.socket(fileno=descriptor)
    except OSError as error:
        fault = {
            errno.EBADF: "is not open",
            errno.ENOTSOCK: "is not a socket",
        }.get(error.errno or 0, f"cannot be used: {error.strerror or error}")
        raise CannotListenError(f"descriptor {descriptor} {fault}", error.errno) from None
    fault = _not_listening(given)
    if fault:
        given.detach()  # it is not ours to close
        raise CannotListenError(f"descriptor {descriptor} {fault}", errno.EINVAL)
    given.set_inheritable(False)
    return socket.socket(given.family, given.type, given.proto, fileno=given.detach())


def activated(environ: MutableMapping[str, str] | None = None) -> socket.socket:
    """Take over the socket that systemd listens on for this process: sd_listen_fds(3).

    Its variables are taken out of the environment, so that no child takes them for its own.

    Args:
        environ: the process' environment by default.

    Raises:
        CannotListenError: the process was not started by a socket unit, or with several sockets.

    """
    variables = os.environ if environ is None else environ
    count = _sockets_passed(variables)
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        variables.pop(name, None)
    if count != 1:
        raise CannotListenError(
            f"systemd passed {count} sockets, and one is served"
            if count
            else "systemd passed no socket: LISTEN_FDS and LISTEN_PID do not name this process"
        )
    return inherited(_FIRST_OF_SYSTEMD)


def describe(listener: socket.socket, *, host: str | None = None, secure: bool = False) -> str:
    """Say where a listener can be reached: a URL, or `unix:` and a path.

    Args:
        listener: a socket that listens.
        host: the name to show in place of the address.
        secure: whether it is served with TLS.

    """
    address = listener.getsockname()
    if listener.family == native.AF_UNIX:
        return f"unix:{os.fsdecode(address)}" + (" (https)" if secure else "")
    shown = address[0] if host is None else host
    return f"http{'s' if secure else ''}://{f'[{shown}]' if ':' in shown else shown}:{address[1]}"


def is_local(listener: socket.socket) -> bool:
    """Whether only this machine can connect: to a Unix socket, or a loopback address."""
    if listener.family == native.AF_UNIX:
        return True
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback


def _resolve(host: str, port: int) -> tuple[int, tuple[str, int]]:
    """The family and address of `host`; a look-up, on a thread of gevent's, only for a name."""
    if host in ("", "*"):  # some systems resolve these, to anything
        raise CannotListenError(f"{host!r} is no address: every address is 0.0.0.0, or :: with IPv6")
    try:
        number = ipaddress.ip_address(host)
    except ValueError:
        found = socket.getaddrinfo(host, port, type=native.SOCK_STREAM, flags=native.AI_PASSIVE)
        # Clients that are told 127.0.0.1 are more than those that are told ::1.
        family, _, _, _, address = min(found, key=lambda each: each[0] != native.AF_INET)
        return family, address  # type: ignore[return-value]
    if number.version == 4:
        return native.AF_INET, (host, port)
    if "%" not in host:
        return native.AF_INET6, (host, port)
    # A link-local address is only whole with its interface's number.
    zoned = native.getaddrinfo(host, port, flags=native.AI_NUMERICHOST, type=native.SOCK_STREAM)
    return native.AF_INET6, zoned[0][4]  # type: ignore[return-value]


def _tcp_fault(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is in use on {host}"
    if error.errno == errno.EACCES:
        return f"port {port} needs privileges"
    # create_server() repeats the address in its message; a failed look-up has a code of its own kind.
    if error.errno is None or isinstance(error, native.gaierror):
        reason = error.strerror or str(error)
    else:
        reason = os.strerror(error.errno)
    return f"cannot listen on {host}, port {port}: {reason}"


def _bind_unix(place: Path, mode: int, backlog: int) -> socket.socket:
    listener = socket.socket(native.AF_UNIX, native.SOCK_STREAM)
    try:
        listener.bind(os.fspath(place))
        # Nobody can connect before it listens, so there is no moment with other permissions.
        place.chmod(mode)
        listener.listen(backlog)
    except BaseException:
        listener.close()
        raise
    return listener


def _remove_stale(place: Path) -> None:
    """Remove a socket on which nobody listens.

    Raises:
        CannotListenError: there is something else.

    """
    try:
        kind = place.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise CannotListenError(f"{place} exists and is not a socket: it stays as it is", errno.EEXIST)
    with socket.socket(native.AF_UNIX, native.SOCK_STREAM) as probe:
        probe.settimeout(_CONNECT_WAIT)
        try:
            probe.connect(os.fspath(place))
        except ConnectionRefusedError:
            place.unlink()
            return
        except TimeoutError:
            pass
    raise CannotListenError(f"somebody listens on {place} already", errno.EADDRINUSE)


@contextmanager
def _folder_locked(folder: Path) -> Iterator[None]:
    """Let no other process of ours make or remove a socket in `folder` meanwhile.

    Between seeing that nobody listens on a path and listening there oneself, another process
    may do the same, and one would then listen where nobody can reach it.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        deadline = monotonic() + _LOCK_WAIT
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if monotonic() > deadline:
                    raise CannotListenError(f"another process keeps the folder {folder} locked") from None
                gevent.sleep(0.01)
        yield
    finally:
        # Not by closing alone: gevent's os.close() waits for the loop's next turn.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _not_listening(given: native.socket) -> str:
    """What keeps a socket from being served, if anything."""
    if given.family not in _FAMILIES or given.type != native.SOCK_STREAM:
        return "is not a stream socket of TCP or Unix"
    if not given.getsockopt(native.SOL_SOCKET, native.SO_ACCEPTCONN):
        return "does not listen"
    return ""


def _sockets_passed(variables: Mapping[str, str]) -> int:
    if variables.get("LISTEN_PID") != str(os.getpid()):
        return 0
    try:
        return int(variables.get("LISTEN_FDS", ""))
    except ValueError:
        return 0
