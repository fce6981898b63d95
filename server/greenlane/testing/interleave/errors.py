"""What the explorer raises: a race that it found, and a program that it cannot explore.

Imports nothing of the explorer.
"""


class InterleavingError(AssertionError):
    """Some order of the program fails; the message says which, and how to see it again."""


class UnsupportedError(RuntimeError):
    """The program does what the explorer does not control, so its orders would not be all orders.

    A real socket, a native thread, a child process, or waiting for something that
    belongs to another hub: none of them waits for the explorer's turn, and none of
    them comes the same way twice.
    """
