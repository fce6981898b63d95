"""A request's head: where it ends in the stream, and what it says.

Rule: this is the only module that knows httptools. llhttp, behind it, parses the
fields and is strict about them; what it lets through all the same is refused
here (the whole list is pinned by tests/wsgi/wire/test_llhttp.py). Whatever would let
two readers of one stream disagree about where a request ends must not pass: the
next request on the connection would be made of somebody else's bytes
(RFC 9112, 11.2). Must not know bodies, applications or responses.
"""

import math
import re
from typing import Any

import httptools

from greenlane.wsgi.errors import BadRequestError, ClientGoneError
from greenlane.wsgi.settings import Settings
from greenlane.wsgi.stream import AT_ONCE, Patience, Stream

END = b"\r\n\r\n"
_CR = 13

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
"""RFC 9110, 5.6.2."""

_REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") ([!-~]+) HTTP/([0-9])\.([0-9])")
"""RFC 9112, 3: single spaces, and a target of visible ASCII (RFC 3986, 2). llhttp takes several spaces,
RTSP/1.1 for HTTP/1.1, and no version at all for HTTP/0.9."""

_HOST = re.compile(
    r"(?:(?:\[[0-9A-Fa-f:.]+\]|\[v[0-9A-Fa-f]+\.[!$&-.0-;=A-Z_a-z~]+\]"
    r"|(?:[!$&-.0-9;=A-Z_a-z~]|%[0-9A-Fa-f]{2})+)(?::[0-9]*)?)?"
)
"""RFC 9110, 7.2, and RFC 3986, 3.2: a host without user information, and a port. Empty when there is none
to name, but a port alone names nobody (RFC 9110, 4.2.1)."""

_BEGINNING = re.compile(TOKEN)
_BARE_LF = re.compile(rb"(?<!\r)\n")

_PLAIN_METHODS = frozenset(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
"""Those that llhttp takes for nothing but methods: CONNECT ends HTTP for it, DESCRIBE begins RTSP."""

_MAX_EMPTY_LINES = 2
"""Before a request line. RFC 9112, 2.2: at least one, which old clients send behind a body."""

_REMEMBERED = 1_024
_MAX_REMEMBERED_LENGTH = 100
"""Names, hosts and request lines that are remembered as checked, and how long one may be: clients choose
them."""

_COMMON_NAMES = (
    b"Host Connection User-Agent Accept Accept-Encoding Accept-Language Cookie Content-Type Content-Length "
    b"Referer Origin Authorization Cache-Control If-None-Match If-Modified-Since Range Transfer-Encoding "
    b"Expect Upgrade X-Forwarded-For X-Forwarded-Proto X-Forwarded-Host X-Request-Id Priority"
).split()

_NO_FIELDS: dict[str, str] = {}

_keys: dict[bytes, str] = {}
_hosts: set[str] = set()
_lines: dict[bytes, tuple[str, str, bool]] = {}


def environ_key(name: bytes) -> str:
    """Return the environment's key for a field name that is a token (PEP 3333).

    Raises:
        BadRequestError: a name with an underscore. `X_User` and `X-User` have the
            same key, so a proxy that guards the one would let the other pass.

    """
    if b"_" in name:
        raise BadRequestError(f"the field name {name!r} has an underscore")
    text = name.decode("ascii").upper().replace("-", "_")
    return text if text in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{text}"


def _remember(name: bytes) -> str:
    key = environ_key(name)
    if len(_keys) < _REMEMBERED and len(name) <= _MAX_REMEMBERED_LENGTH:
        _keys[name] = key
    return key


for _name in _COMMON_NAMES:
    _keys[_name] = _keys[_name.lower()] = environ_key(_name)


class Head:
    """What a request's head says.

    Attributes:
        line: the request line, as it came.
        method: such as `GET`; any token, in its own case (RFC 9110, 9.1).
        target: the request target, as it came.
        http_1_1: false for an HTTP/1.0 client, which knows no chunks.
        fields: the header fields by their key in the environment; repeated ones
            are joined as RFC 9110, 5.3, has it.

    """

    __slots__ = ("fields", "http_1_1", "line", "method", "target")

    def __init__(self, line: bytes, method: str, target: str, http_1_1: bool, fields: dict[str, str]) -> None:
        self.line = line
        self.method = method
        self.target = target
        self.http_1_1 = http_1_1
        self.fields = fields


class HeadParser:
    """llhttp for one connection's heads, one after the other.

    Args:
        settings: the limits.

    """

    __slots__ = ("_complete", "_fields", "_last", "_parser", "_refusal", "_settings")

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._fields = _NO_FIELDS
        self._complete = self._last = False
        self._refusal: BadRequestError | None = None
        self._parser: Any = httptools.HttpRequestParser(self)

    def read(self, stream: Stream) -> Head:
        """Read one head from `stream`, whose first byte is pending, and leave what follows it there.

        Raises:
            BadRequestError: the client sent something else than a head.
            ClientGoneError: the stream ended before the head did.
            TimeoutError: it took too long.
            OSError: the connection broke.

        """
        data = stream.pending
        end = data.find(END)
        if end <= 0 or end > self._settings.max_head_size - len(END) or data[0] == _CR:
            data = self._read_slowly(stream)
            end = data.find(END)
        end += len(END)
        if end == len(data):
            stream.pending = b""
            return self.parse(data)
        stream.pending = data[end:]
        return self.parse(data[:end])

    def parse(self, data: bytes) -> Head:
        """Make a head of the bytes of one, from its request line to the empty line at its end.

        Raises:
            BadRequestError: they are not a head.

        """
        line = data[: data.find(b"\r\n")]
        known = _lines.get(line)
        if known is None or len(line) > self._settings.max_request_line:
            known = _check_line(line, self._settings.max_request_line)
        method, target, http_1_1 = known
        if method not in _PLAIN_METHODS:
            # llhttp knows a list of methods and any token is one; for the fields it makes no difference.
            data = b"POST" + data[len(method) :]
        fields = self.parse_fields(data)
        host = fields.get("HTTP_HOST")
        if host is None:
            if http_1_1:
                raise BadRequestError("there is no Host (RFC 9112, 3.2)")
        elif host not in _hosts:
            check_host(host)
        return Head(line, method, target, http_1_1, fields)

    def parse_fields(self, data: bytes) -> dict[str, str]:
        """Parse a head whose request line is in order.

        Raises:
            BadRequestError: there are too many fields, or one of them is none.

        """
        if data.count(b"\n") > self._settings.max_header_count + 2:
            raise BadRequestError("there are too many fields", "431 Request Header Fields Too Large")
        fields: dict[str, str] = {}
        self._fields = fields
        self._complete = False
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._renew()
            refusal, self._refusal = self._refusal, None
            if refusal is not None:
                raise refusal from None
            if not self._complete:
                reason = str(error)
                if reason == "Content-Length overflow":
                    raise BadRequestError(reason, "413 Content Too Large") from None
                raise BadRequestError(reason) from None
            # Complete and not taken: it would go on in another protocol, as CONNECT or Upgrade ask, or
            # does not know the coding of the body. Both are for `framing` to say.
        else:
            if self._last or "CONTENT_LENGTH" in fields or "HTTP_TRANSFER_ENCODING" in fields:
                self._renew()  # it waits for the end of the connection, or for a body, which it does not get
        if not self._complete:
            raise BadRequestError("llhttp sees no end of the head")
        self._fields = _NO_FIELDS  # or an idle connection would keep those of its last request
        return fields

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep one field: llhttp found one, and stripped it in front."""
        try:
            key = _keys.get(name) or _remember(name)
        except BadRequestError as error:
            self._refusal = error
            raise
        text = value.decode("latin-1").rstrip(" \t")
        earlier = self._fields.get(key)
        if earlier is not None:
            if key == "HTTP_HOST":
                self._refusal = BadRequestError("there is more than one Host (RFC 9112, 3.2)")
                raise self._refusal
            text = earlier + ("; " if key == "HTTP_COOKIE" else ", ") + text
        self._fields[key] = text

    def on_headers_complete(self) -> None:
        """Take note that llhttp saw the end of the head."""
        self._complete = True
        self._last = not self._parser.should_keep_alive()  # of the two it heeds Proxy-Connection too

    def close(self) -> None:
        """Let go of llhttp, which refers back to this: nothing is left to the collector."""
        self._parser = None

    def _renew(self) -> None:
        self._parser = httptools.HttpRequestParser(self)

    def _read_slowly(self, stream: Stream) -> bytes:
        """Read on until the end of a head that has not come in one piece, or cannot be one."""
        patience = Patience(self._settings.head_timeout, math.inf)
        data = bytearray(stream.pending)
        stream.pending = b""
        empty_lines = seen = 0
        while True:
            while empty_lines < _MAX_EMPTY_LINES and data.startswith(b"\r\n"):
                del data[:2]
                empty_lines += 1
            end = data.find(END, max(0, seen - 3))
            if end < 0:
                _check_begun(data, seen, self._settings)
            if (len(data) if end < 0 else end + len(END)) > self._settings.max_head_size:
                raise BadRequestError("the head is too large", "431 Request Header Fields Too Large")
            if end >= 0:
                return bytes(data)
            seen = len(data)
            more = stream.receive(1 if stream.sparing else AT_ONCE, patience)
            if not more:
                raise ClientGoneError("the client closed the connection before the end of the head")
            data += more


def _check_begun(data: bytearray, seen: int, settings: Settings) -> None:
    """Refuse at once what would be refused at the end, so that nobody waits for the rest of it.

    Args:
        data: the beginning of a head, of which `seen` bytes were looked at before.
        seen: see `data`.
        settings: the limits.

    """
    if data and not data.startswith(b"\r") and _BEGINNING.match(data) is None:
        raise BadRequestError("the request line is none (RFC 9112, 3)")
    if data.find(b"\n", 0, settings.max_request_line + 2) < 0 and len(data) > settings.max_request_line + 1:
        raise BadRequestError("the request line is too long", "414 URI Too Long")
    if _BARE_LF.search(data, seen) is not None:
        raise BadRequestError("a line ends in a bare LF (RFC 9112, 2.2)")


def _check_line(line: bytes, most: int) -> tuple[str, str, bool]:
    """Return a request line's method, its target, and whether it is HTTP/1.1.

    Raises:
        BadRequestError: it is none, too long (414), for a proxy (501), or of another version (505).

    """
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise BadRequestError("the request line is none (RFC 9112, 3)")
    if len(line) > most:
        raise BadRequestError("the request line is too long", "414 URI Too Long")
    method, target, major, minor = match.groups()
    if method == b"CONNECT":
        raise BadRequestError("CONNECT is for proxies (RFC 9110, 9.3.6)", "501 Not Implemented")
    if major != b"1" or minor > b"1":
        raise BadRequestError("the version is not HTTP/1.1 or 1.0", "505 HTTP Version Not Supported")
    known = method.decode("ascii"), target.decode("ascii"), minor == b"1"
    if len(_lines) < _REMEMBERED and len(line) <= _MAX_REMEMBERED_LENGTH:
        _lines[line] = known
    return known


def check_host(host: str) -> None:
    """Refuse what is no host with an optional port.

    Raises:
        BadRequestError: it is something else.

    """
    if _HOST.fullmatch(host) is None:
        raise BadRequestError("the Host is none (RFC 3986, 3.2)")
    if len(_hosts) < _REMEMBERED and len(host) <= _MAX_REMEMBERED_LENGTH:
        _hosts.add(host)
