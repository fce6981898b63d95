"""The one error that ends a benchmark with a line for its user."""


class CannotRun(Exception):  # noqa: N818 - says what it is: something could not run
    """Something that a benchmark needs is not there, or did not answer right; the message is one line."""
