"""AppContext and RequestContext: what is current, from push to pop.

A context lives on the stacks of :mod:`greenlane.app.globals`. One greenlet serves
every request of a keep-alive connection, so a context that stayed behind would be
read by the *next* request. Hence the rules of this module: a pop checks first and
changes nothing when the context is not on top; every teardown function runs even
when one fails or the greenlet is being killed; the stacks are clean before any
error is raised; and a request takes off whatever was left on top of it.

Knows of an App its configuration and its lists of functions.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

from werkzeug.exceptions import HTTPException

from greenlane.app import routing
from greenlane.app.globals import Globals, app_stack, request_stack
from greenlane.app.lanes import (
    Depths,
    Errors,
    call_each,
    clear_above,
    contents,
    depths,
    lane_of,
    raise_first,
    take_off,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from greenlane.app.app import App
    from greenlane.app.sessions import SessionMixin
    from greenlane.app.wrappers import Response


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
        self._end(exc)

    def _end(self, exc: BaseException | None, escaping: BaseException | None = None) -> None:
        top, live = app_stack.top, request_stack.top
        if top is not self or not self._pushes:
            raise AssertionError(f"{self!r} cannot be popped: on top of its stack is {top!r}")
        if live is not None and len(contents(app_stack)) <= live.app_depth:
            raise AssertionError(f"{self!r} cannot be popped: {live!r} still stands on it")
        errors: Errors = []
        self.leave(exc, errors)
        if errors:
            raise_first(errors, self.app.logger, escaping)

    def leave(self, exc: BaseException | None, errors: Errors, teardown: bool = True) -> None:
        """Take this context off unasked, and add what goes wrong to ``errors``.

        For contexts themselves: everybody else calls :meth:`pop`, which checks.
        """
        self._pushes -= 1
        functions = self.app.teardown_appcontext_funcs
        if functions and teardown and not self._pushes:
            floor = depths()
            call_each(functions, exc, errors)
            clear_above(self, floor, exc, errors, teardown=False)
        take_off(app_stack, self, errors)
        counts.app_popped += 1

    def __enter__(self) -> "AppContext":
        self.push()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._end(exc, escaping=exc)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.app.name!r} at {id(self):#x}>"


class _Push(NamedTuple):
    """Where a request context was pushed: the lane, and how deep its stacks were then.

    The depths include the context itself and the application context that it uses.
    """

    lane: Hashable
    depths: Depths


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
        "_ending",
        "_pushes",
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
        self._pushes: list[_Push] = []
        self._ending = False  # the last push's teardown functions are running

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
        return self._pushes[-1].depths.apps

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
            RuntimeError: it is pushed in another lane. Nothing has changed then.
            Exception: whatever opening the session or a URL converter raises. The
                context *is* pushed then, so that the error can be handled with
                the request at hand: push inside ``try``, pop in ``finally``.

        """
        lane = lane_of(request_stack)
        if self._pushes and self._pushes[-1].lane is not lane:
            raise RuntimeError(f"{self!r} is pushed in another lane: a request belongs to one at a time")
        below = request_stack.top
        if below is not None and below.preserved:
            below.end()
            below = request_stack.top
        base = app_stack.top
        taken = below is not None and below is not self and below.app_depth == len(contents(app_stack))
        implicit = AppContext(self.app) if base is None or base.app is not self.app or taken else None
        if implicit is not None:
            implicit.push()
        self.implicit_app_contexts.append(implicit)
        self._pushes.append(_Push(lane, Depths(len(request_stack.push(self)), len(contents(app_stack)))))
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
        if top is not self:
            raise AssertionError(f"{self!r} cannot be popped: on top of its stack is {top!r}")
        if len(contents(app_stack)) > self.app_depth:
            raise AssertionError(f"{self!r} cannot be popped: {app_stack.top!r} was pushed after it")
        self.end(exc)

    def end(self, exc: BaseException | None = None, escaping: BaseException | None = None) -> None:
        """Pop this context with everything that was left on top of it.

        This ends the scope that pushed it, where refusing as :meth:`pop` does
        would leave the lane to the connection's next request. Does nothing when
        the context is not pushed any more, or is ending already.

        Args:
            exc: the error that ended the work, for the teardown functions.
            escaping: the error that is on its way to the caller, if one is. It is
                the first, so errors of teardown functions are logged and not raised.

        Raises:
            AssertionError: it was pushed in another lane, and nothing has changed; or
                something was left on top, and has been taken off.
            BaseException: the first error of a teardown function.

        """
        if not self._pushes or (self._ending and len(self._pushes) == 1):
            return
        if self._pushes[-1].lane is not lane_of(request_stack):
            raise AssertionError(
                f"{self!r} cannot be popped here: it is in another lane, "
                f"and on top of this one is {request_stack.top!r}"
            )
        errors: Errors = []
        self.leave(exc, errors)
        if errors:
            raise_first(errors, self.app.logger, escaping)

    def leave(self, exc: BaseException | None, errors: Errors, teardown: bool = True) -> None:
        """Leave the lane unasked, and add what goes wrong to ``errors``.

        For contexts themselves: everybody else calls :meth:`pop` or :meth:`end`.
        """
        floor = self._pushes[-1].depths
        # First, so that the teardown functions see this request and no other.
        clear_above(self, floor, exc, errors, teardown)
        if teardown and len(self._pushes) == 1:
            self._ending = True
            call_each((self._close_request, *self.app.teardown_request_funcs), exc, errors)
            clear_above(self, floor, exc, errors, teardown=False)
            self._ending = False
        take_off(request_stack, self, errors)
        self._pushes.pop()
        implicit = self.implicit_app_contexts.pop()
        counts.request_popped += 1
        if implicit is not None:
            implicit.leave(exc, errors, teardown)

    def _close_request(self, exc: BaseException | None) -> None:
        """Close the files that came with the request: the teardown function that every App has."""
        self.request.close()

    def __enter__(self) -> "RequestContext":
        before = len(self._pushes)
        try:
            self.push()
        except BaseException as error:
            # Python calls no __exit__ when __enter__ fails.
            if len(self._pushes) > before:
                self.end(error, escaping=error)
            raise
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.end(exc, escaping=exc)

    def __repr__(self) -> str:
        request = self.request
        return (
            f"<{type(self).__name__} {request.method} {request.path!r} of {self.app.name!r} at {id(self):#x}>"
        )
