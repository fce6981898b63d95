"""What can go wrong on the client's side of a connection.

Rule: none of these is an error of the program, so none is ever logged with a
traceback. Imports nothing of ours.
"""


class BadRequestError(Exception):
    """The client sent what is not a request, or one that is refused unread.

    Args:
        reason: what is wrong with it, for the log: it is never sent.
        status: the status line to answer with.

    Attributes:
        line: the request line, when that much is certain; else `-`.
        to_head: whether it is a HEAD request, which is answered without content.

    """

    line = b"-"
    to_head = False

    def __init__(self, reason: str, status: str = "400 Bad Request") -> None:
        super().__init__(reason)
        self.status = status


class ClientGoneError(ConnectionError):
    """The client closed or reset the connection, or took nothing for too long."""


class BadBodyError(OSError):
    """A request's body broke off, took too long, or is not framed as it must be.

    An `OSError`, since that is what applications expect of reading.

    Args:
        reason: what happened.
        status: what to answer, if the application does not.

    """

    def __init__(self, reason: str, status: str = "400 Bad Request") -> None:
        super().__init__(reason)
        self.status = status
