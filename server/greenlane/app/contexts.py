"""AppContext and RequestContext: what is current, from push to pop.

A context lives on the stacks of :mod:`greenlane.app.globals`. One greenlet serves
every request of a keep-alive connection, so a context that stayed behind would be
read by the *next* request. Hence the rules of this module: a pop checks first and
changes nothing when the context is not on top; every teardown function runs even
when one fails or the greenlet is being killed; the stacks are clean before any
error is raised; and a request takes off whatever was left on top of it.

Knows of an App its configuration and its lists of functions.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from werkzeug.exceptions import HTTPException

from greenlane.app import routing
from greenlane.app.globals import Globals, app_stack, request_stack
from greenlane.context import LocalStack, get_ident

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from greenlane.app.app import App
    from greenlane.app.sessions import SessionMixin
    from greenlane.app.wrappers import Response

T = TypeVar("T")


@dataclass(slots=True)
class Counts:
    """Contexts pushed and popped since the process started. At idle, each pair is equal."""

    request_pushed: int = 0
    request_popped: int = 0
    app_pushed: int = 0
    app_popped: int = 0


counts = Counts()


class AppContext:
    """Makes an App current, with a ``g`` of its own.

    It may be pushed more than once: its teardown functions run at the last pop.
    """

    __slots__ = ("_pushes", "app", "g")

    def __init__(self, app: "App") -> None:
        self.app = app
        self.g = Globals(app.name)
        self._pushes = 0

    def push(self) -> None:
        """Put this context on top of the current lane's application stack."""
        app_stack.push(self)
        self._pushes += 1
        counts.app_pushed += 1

    def pop(self, exc: BaseException | None = None) -> None:
        """Take this context off the stack; at the last pop, run the teardown functions.

        Args:
            exc: the error that ended the work, for the teardown functions.

        Raises:
            AssertionError: it is not on top, or a request still stands on it.
                Nothing has changed then.
            BaseException: the first error of a teardown function, when all have
                run and the stack is clean.

        """
        self._end(exc, escaping=False)

    def _end(self, exc: BaseException | None, *, escaping: bool) -> None:
        top, live = app_stack.top, request_stack.top
        if top is not self or not self._pushes:
            raise AssertionError(f"{self!r} cannot be popped: on top of its stack is {top!r}")
        if live is not None and len(_lane(app_stack)) <= live.app_depth:
            raise AssertionError(f"{self!r} cannot be popped: {live!r} still stands on it")
        errors: list[BaseException] = []
        self.leave(exc, errors)
        _report(errors, self.app, escaping=escaping)

    def leave(self, exc: BaseException | None, errors: list[BaseException], teardown: bool = True) -> None:
        """Take this context off unasked, and add what goes wrong to ``errors``.

        For contexts themselves: everybody else calls :meth:`pop`, which checks.
        """
        self._pushes -= 1
        functions = self.app.teardown_appcontext_funcs
        if functions and teardown and not self._pushes:
            depths = len(_lane(request_stack)), len(_lane(app_stack))
            _call_each(functions, exc, errors)
            _clear_above(self, *depths, exc, errors, teardown=False)
        app_stack.pop()
        counts.app_popped += 1

    def __enter__(self) -> "AppContext":
        self.push()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._end(exc, escaping=exc is not None)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.app.name!r} at {id(self):#x}>"


class RequestContext:
    """One request in its lane: the request, its session, and the App that answers.

    Args:
        app: the App that answers.
        environ: the request, as a WSGI environment (PEP 3333).

    Attributes:
        url_adapter: matches and builds URLs for this request; None when the
            request does not allow one.
        opened_session: the session, without marking it as accessed; None until
            it has been opened.
        flashes: the messages shown to this request; None until they are looked at.
        after_request_functions: called once, in order, before those of the App.
        preserved: kept after its request has ended, for somebody to look at. The
            next push in the lane takes it off.
        implicit_app_contexts: one entry for each push: the application context
            that the push brought along, or None when it found one to use.

    """

    __slots__ = (
        "_depths",
        "after_request_functions",
        "app",
        "flashes",
        "implicit_app_contexts",
        "opened_session",
        "preserved",
        "request",
        "url_adapter",
    )

    def __init__(self, app: "App", environ: "WSGIEnvironment") -> None:
        self.app = app
        # Not populated: environ and request would refer to each other, and stay
        # in memory until the garbage collector comes by.
        self.request = app.request_class(environ, populate_request=False)
        self.request.max_content_length = app.config["MAX_CONTENT_LENGTH"]
        self.url_adapter = None
        try:
            self.url_adapter = routing.bind(app, environ)
        except HTTPException as error:
            self.request.routing_exception = error
        self.opened_session: SessionMixin | None = None
        self.flashes: list[tuple[str, str]] | None = None
        self.after_request_functions: list[Callable[[Response], Response]] = []
        self.preserved = False
        self.implicit_app_contexts: list[AppContext | None] = []
        # For each push, how deep the request and the application stack were then,
        # this context and the application context that it uses included.
        self._depths: list[tuple[int, int]] = []

    @property
    def session(self) -> "SessionMixin":
        """The session, marked as accessed: the reply depends on the cookie from here on.

        Raises:
            RuntimeError: it has not been opened, because the context was never
                pushed or because opening it failed.

        """
        if self.opened_session is None:
            raise RuntimeError("The session has not been opened.")
        self.opened_session.accessed = True
        return self.opened_session

    @property
    def app_depth(self) -> int:
        """How deep the application stack must stay while this context is pushed."""
        return self._depths[-1][1]

    def match_request(self) -> None:
        """Find the rule for the URL, or keep the reason why there is none for dispatch."""
        if self.url_adapter is None:
            return
        try:
            self.request.url_rule, self.request.view_args = self.url_adapter.match(return_rule=True)
        except HTTPException as error:
            self.request.routing_exception = error

    def push(self) -> None:
        """Enter the lane; the first time, open the session and match the URL.

        An application context comes along when the top one is missing, is another
        App's, or already belongs to a live request: a nested request to the same
        App has a ``g`` of its own.

        Raises:
            Exception: whatever opening the session or a URL converter raises. The
                context *is* pushed then, so that the error can be handled with
                the request at hand: push inside ``try``, pop in ``finally``.

        """
        below = request_stack.top
        if below is not None and below.preserved:
            below.end()
            below = request_stack.top
        base = app_stack.top
        taken = below is not None and below is not self and below.app_depth == len(_lane(app_stack))
        implicit = AppContext(self.app) if base is None or base.app is not self.app or taken else None
        if implicit is not None:
            implicit.push()
        self.implicit_app_contexts.append(implicit)
        self._depths.append((len(request_stack.push(self)), len(_lane(app_stack))))
        counts.request_pushed += 1

        if self.opened_session is None:
            interface = self.app.session_interface
            opened = interface.open_session(self.app, self.request)
            self.opened_session = interface.make_null_session(self.app) if opened is None else opened
            # After the session, because a URL converter may want to look at it.
            self.match_request()

    def pop(self, exc: BaseException | None = None) -> None:
        """Leave the lane: teardown functions, request stack, then the implicit application context.

        Args:
            exc: the error that ended the work, for the teardown functions.

        Raises:
            AssertionError: it is not on top. Nothing has changed then.
            BaseException: the first error of a teardown function, when all have
                run and the stacks are clean.

        """
        top = request_stack.top
        if top is not self or not self._depths:
            raise AssertionError(f"{self!r} cannot be popped: on top of its stack is {top!r}")
        self.end(exc)

    def end(self, exc: BaseException | None = None, *, escaping: bool = False) -> None:
        """Pop this context with everything that was left on top of it.

        This ends the scope that pushed it, where refusing as :meth:`pop` does
        would leave the lane to the connection's next request. Does nothing when
        the context is not pushed any more.

        Args:
            exc: the error that ended the work, for the teardown functions.
            escaping: ``exc`` is on its way to the caller. It stays the first
                error, so errors of teardown functions are logged and not raised.

        Raises:
            AssertionError: the lane is another one, and has not been changed; or
                a context was left on top, and has been taken off.
            BaseException: the first error of a teardown function.

        """
        if not self._depths:
            return
        lane, depth = _lane(request_stack), self._depths[-1][0]
        if len(lane) < depth or lane[depth - 1] is not self:
            raise AssertionError(f"{self!r} cannot be popped: on top of its stack is {request_stack.top!r}")
        errors: list[BaseException] = []
        self.leave(exc, errors)
        _report(errors, self.app, escaping=escaping)

    def leave(self, exc: BaseException | None, errors: list[BaseException], teardown: bool = True) -> None:
        """Leave the lane unasked, and add what goes wrong to ``errors``.

        For contexts themselves: everybody else calls :meth:`pop` or :meth:`end`.
        """
        depths = self._depths.pop()
        implicit = self.implicit_app_contexts.pop()
        # First, so that the teardown functions see this request and no other.
        _clear_above(self, *depths, exc, errors, teardown)
        if teardown and not self._depths:
            _call_each(self.app.teardown_request_funcs, exc, errors)
            _call(self.request.close, errors)
            _clear_above(self, *depths, exc, errors, teardown=False)
        request_stack.pop()
        counts.request_popped += 1
        if implicit is not None:
            implicit.leave(exc, errors, teardown)

    def __enter__(self) -> "RequestContext":
        try:
            self.push()
        except BaseException as error:
            # Python calls no __exit__ when __enter__ fails.
            self.end(error, escaping=True)
            raise
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.end(exc, escaping=exc is not None)

    def __repr__(self) -> str:
        request = self.request
        return (
            f"<{type(self).__name__} {request.method} {request.path!r} of {self.app.name!r} at {id(self):#x}>"
        )


def _lane(stack: LocalStack[T]) -> Sequence[T]:
    """Return what the current lane has on ``stack``, bottom first."""
    values = stack.__storage__.get(get_ident())
    return values["stack"] if values else ()


def _clear_above(
    context: AppContext | RequestContext,
    requests: int,
    apps: int,
    exc: BaseException | None,
    errors: list[BaseException],
    teardown: bool,
) -> None:
    """Take off what somebody left above these depths: an error each, but none stays.

    Args:
        context: whose scope ends here, for the message.
        requests: how deep the request stack may be.
        apps: how deep the application stack may be.
        exc: the error that ended the work, for the teardown functions.
        errors: where to add the errors.
        teardown: run the teardown functions of what was left. Not for what a
            teardown function itself has left: that might never end.

    """
    stacks: tuple[tuple[LocalStack[Any], int], ...] = ((request_stack, requests), (app_stack, apps))
    for stack, depth in stacks:
        while len(_lane(stack)) > depth:
            left: AppContext | RequestContext = _lane(stack)[-1]
            errors.append(AssertionError(f"{left!r} was left on top of {context!r}"))
            left.leave(exc, errors, teardown)


def _call(function: Callable[..., object], errors: list[BaseException], *args: object) -> None:
    try:
        function(*args)
    except BaseException as error:  # also GreenletExit and gevent.Timeout: the others must still run
        errors.append(error)


def _call_each(
    functions: Sequence[Callable[[BaseException | None], object]],
    exc: BaseException | None,
    errors: list[BaseException],
) -> None:
    """Call every teardown function, the last registered first, even when some fail."""
    for function in reversed(functions):
        _call(function, errors, exc)


def _report(errors: Iterable[BaseException], app: "App", *, escaping: bool) -> None:
    """Raise one of ``errors`` and log the others; log all when another error is on its way.

    One that is no Exception goes first: a killed greenlet must not carry on
    because a teardown function failed as well.
    """
    ranked = sorted(errors, key=lambda error: isinstance(error, Exception))
    for error in ranked if escaping else ranked[1:]:
        app.logger.error("A context did not end cleanly", exc_info=error)
    if ranked and not escaping:
        raise ranked[0]
