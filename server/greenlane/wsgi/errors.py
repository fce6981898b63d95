"""What can go wrong on the client's side of a connection.

Rule: neither of these is an error of the program, so neither is ever logged
with a traceback. Imports nothing of ours.
"""


class BadRequestError(Exception):
    """The client sent what is not a request, or one that is refused unread.

    Args:
        status: the status line to answer with, such as `400 Bad Request`.

    """

    def __init__(self, status: str = "400 Bad Request") -> None:
        super().__init__(status)
        self.status = status


class ClientGoneError(ConnectionError):
    """The client closed or reset the connection, or took nothing for too long."""
