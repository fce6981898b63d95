"""stream_with_context: a body that is made after the view returned, and still sees its request.

The context is on the stack only while a step of the generator runs: it enters
whichever lane asks for the next piece, and leaves it before the piece is handed
out. So it can be found neither by a middleware nor by the connection's next
request, whenever the client goes away. The request's teardown functions wait until
the stream is exhausted, closed, has failed, or is thrown away.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import Any, ParamSpec, TypeVar, overload
from weakref import WeakSet

from greenlet import greenlet

from greenlane.app.contexts import RequestContext
from greenlane.app.globals import live_request_context
from greenlane.app.holds import Hold
from greenlane.app.lanes import Errors, raise_first

P = ParamSpec("P")
T = TypeVar("T")

_END: Any = object()


class Stream(Iterator[T]):
    """What :func:`stream_with_context` returns: each of its steps runs in its request.

    Args:
        iterable: where the pieces come from.
        ctx: the request's context, which is current.

    """

    def __init__(self, iterable: Iterable[T], ctx: RequestContext) -> None:
        self._hold: Hold | None = None
        self._iterable = iterable
        self._iterator = iter(iterable)
        self._hold = Hold(ctx)
        # A context of its own: the request's may be in another lane at the time,
        # where the view goes on, or where a test looks at it.
        self._context = self._hold.copy()
        self._logger = ctx.app.logger
        self._hub = _find_hub()
        if ctx.streams is None:
            ctx.streams = WeakSet()
        ctx.streams.add(self)

    def __next__(self) -> T:
        """Run the generator to its next piece.

        Raises:
            RuntimeError: it is running already, in this greenlet or another.
            AssertionError: it left a context behind, which has been taken off.
            StopIteration: it is exhausted or closed.
            BaseException: the generator's own error. The stream is closed then.

        """
        if self._hold is None:
            raise StopIteration
        self._check_idle()
        try:
            item: T = self._step(lambda: next(self._iterator, _END))
        except BaseException as error:
            self._finish(error)
            raise
        if item is _END:
            self._finish()
            raise StopIteration
        return item

    def close(self) -> None:
        """Close the generator and let the request end. Does nothing the second time.

        Raises:
            RuntimeError: the generator is running. Nothing has changed then.
            BaseException: the first error of the generator's closing, or of a
                teardown function.

        """
        if self._hold is not None:
            self._check_idle()
            self._finish()

    def __del__(self) -> None:
        if self._hold is not None and not sys.is_finalizing():
            # Nothing is ended here. A garbage collection has lists on the C stack, so switching away
            # from the middle of one crashes the interpreter; and who waits here may be killed.
            thrown_away = self._hold.thrown_away
            if thrown_away is not None:
                thrown_away.append(self)
            else:
                _run_apart(self._finish_unseen, self._hub or _find_hub())

    def _check_idle(self) -> None:
        if self._context.pushed:
            raise RuntimeError(f"The stream of {self._context!r} is running: one greenlet at a time.")

    def _step(self, function: Callable[[], Any]) -> Any:
        """Call ``function`` in the request, and take off whatever it leaves in the lane."""
        self._context.enter()
        error: BaseException | None = None
        try:
            return function()
        except BaseException as raised:
            error = raised
            raise
        finally:
            self._context.end(error, escaping=error)

    def _finish(self, error: BaseException | None = None) -> None:
        """Close the generator, and let the request end; ``error`` is on its way to the caller."""
        hold, self._hold = self._hold, None
        if hold is None:
            return
        errors: Errors = []
        try:
            self._step(getattr(self._iterable, "close", lambda: None))
        except BaseException as raised:
            errors.append(raised)
        hold.let_go(error or next(iter(errors), None), errors)
        if errors:
            raise_first(errors, self._logger, error)

    def _finish_unseen(self) -> None:
        try:
            self._finish()
        except BaseException:
            self._logger.exception("A stream that nobody read did not end cleanly")


def _find_hub() -> Any:
    """Return gevent's hub of this native thread; None where there is none, or no gevent."""
    gevent_hubs = sys.modules.get("gevent._hub_local")
    return None if gevent_hubs is None else gevent_hubs.get_hub_if_exists()


def _run_apart(function: Callable[[], object], hub: Any) -> None:
    """Run ``function`` in a lane of its own: nobody knows whose this one is.

    With a hub, a little later and in its native thread: any thread's collector may have come by.
    """
    loop = None if hub is None else hub.loop
    if loop is None:  # also when the hub was destroyed
        greenlet(function).switch()
    elif hub is _find_hub():
        loop.run_callback(greenlet(function, hub).switch)
    else:  # a greenlet is made in the native thread in which it runs
        loop.run_callback_threadsafe(_run_apart, function, hub)


def abandon_streams(ctx: RequestContext, error: BaseException) -> None:
    """Close the streams of a request that failed: it has no response to send them in.

    What goes wrong is logged. A stream that is running in another greenlet goes on.

    Args:
        ctx: the request's context.
        error: why it failed.

    Raises:
        BaseException: what is no Exception, when all are closed: a kill goes on.

    """
    errors: Errors = []
    for stream in list(ctx.streams or ()):
        try:
            stream.close()
        except BaseException as raised:
            errors.append(raised)
    raise_first(errors, ctx.app.logger, error)


@overload
def stream_with_context(generator_or_function: Iterable[T]) -> Iterator[T]: ...


@overload
def stream_with_context(generator_or_function: Callable[P, Iterable[T]]) -> Callable[P, Iterator[T]]: ...


def stream_with_context(
    generator_or_function: Iterable[T] | Callable[P, Iterable[T]],
) -> Iterator[T] | Callable[P, Iterator[T]]:
    r"""Let a generator see its request until it is exhausted or closed.

    ::

        @app.get("/rows")
        def rows():
            def generate():
                for row in table(request.args["name"]):
                    yield f"{row}\n"

            return stream_with_context(generate())

    As a decorator it does so for every call of a generator function::

        @stream_with_context
        def generate():
            yield request.path

    The generator reads the view's ``request``, ``session`` and ``g``. What it
    writes into the session is lost, because the reply's head has left. It must not
    keep a context of its own pushed across a ``yield``.

    Close what you do not read to its end; servers do. A stream that is merely thrown
    away ends its request a little later. In a reference cycle, Python's collector
    closes the generator before the stream: its ``finally`` then runs in whatever
    lane the collector came by, and must not use ``request`` or ``g``.

    Args:
        generator_or_function: an iterable, or a function that returns one.

    Raises:
        RuntimeError: outside of a request, or while it ends. The decorated
            function raises that when it is called.
        TypeError: it is neither an iterable nor a function.

    """
    if isinstance(generator_or_function, Iterable):
        return Stream(generator_or_function, live_request_context())
    function = generator_or_function
    if not callable(function):
        raise TypeError(f"stream_with_context takes an iterable or a function, not {function!r}")

    @wraps(function)
    def stream(*args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        return Stream(function(*args, **kwargs), live_request_context())

    return stream
