"""copy_current_request_context: takes a request along into another greenlet or thread."""

from collections.abc import Callable
from functools import wraps
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from typing import ParamSpec, TypeVar

from greenlane.app.globals import live_request_context

P = ParamSpec("P")
T = TypeVar("T")


def copy_current_request_context(f: Callable[P, T]) -> Callable[P, T]:
    """Wrap a function so that it sees the current request wherever it is called.

    ::

        @copy_current_request_context
        def work():
            return request.path

        gevent.spawn(work)

    Each call has a context of its own, in the lane of the caller and gone when the
    call ends, also when it fails or is killed. So one wrapped function may run in
    many greenlets at once, and leaves a pool's worker clean for the next task.

    What a call shares with the request: ``request`` and ``session``, the objects
    themselves. What it does not: ``g``. Its application context is its own, and
    ends with the call, so that teardown_appcontext functions give back what the
    call took and nothing of the view's.

    The request stays the view's. It ends with its response, whether the call has
    ended or not: only then its teardown_request functions run and its uploaded
    files are closed, and what is written into the session afterwards is lost. Read
    the body before handing the request to a native thread: the connection belongs
    to the thread of the server.

    Args:
        f: any function that has done its work when it returns.

    Raises:
        RuntimeError: outside of a request.
        TypeError: ``f`` is a generator function or a coroutine function: calling
            one runs nothing, and what it returns would run without the request.

    """
    if isgeneratorfunction(f) or iscoroutinefunction(f) or isasyncgenfunction(f):
        raise TypeError(
            f"{f!r} runs only after its call has returned, when the request is gone again. Wrap a function "
            "that does all the work, or give the generator to stream_with_context()."
        )
    ctx = live_request_context()

    @wraps(f)
    def carried(*args: P.args, **kwargs: P.kwargs) -> T:
        with ctx.copy():
            return f(*args, **kwargs)

    return carried
