"""RequestContext: what is current while a request is answered, from push to pop.

A context lives on the stacks of :mod:`greenlane.app.globals`. One greenlet serves
every request of a keep-alive connection, so a context that stayed behind would be
read by the *next* request. Hence the rules of this module: a pop checks first and
changes nothing when the context is not on top; every teardown function runs even
when one fails or the greenlet is being killed; the stacks are clean before any
error is raised; and a request takes off whatever was left on top of it.

A request may be needed after its end: by its streamed body, or by a test that
looks at it. Such a context is *held* (:mod:`greenlane.app.holds`): it leaves the
lane like any other, and only its teardown functions wait.

Knows of an App its configuration and its lists of functions.
"""

from collections.abc import Callable, Hashable
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakSet

from werkzeug.exceptions import HTTPException

from greenlane.app import routing
from greenlane.app.appcontext import AppContext, counts
from greenlane.app.globals import app_stack, request_stack
from greenlane.app.lanes import (
    Errors,
    call_each,
    clear_above,
    lane_of,
    raise_first,
    take_off,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment
    from werkzeug.routing import MapAdapter

    from greenlane.app.app import App
    from greenlane.app.sessions import SessionMixin
    from greenlane.app.streaming import Stream
    from greenlane.app.wrappers import Response

PRESERVE = "greenlane.preserve"
"""The name in a WSGI environment under which the test client asks for the request's context: a function
that takes it. No client can send it, because what comes from the wire has other names (PEP 3333)."""


class _Push(NamedTuple):
    """Where a request context was pushed: the lane, how deep its stacks were then, and what it uses.

    The depths include the context itself and the application context that it uses,
    which is ``implicit`` when the push brought it along.
    """

    lane: Hashable
    requests: int
    apps: int
    app_context: AppContext
    implicit: AppContext | None


class RequestContext:
    """One request in its lane: the request, its session, and the App that answers.

    Args:
        app: the App that answers.
        environ: the request, as a WSGI environment (PEP 3333).
        original: the context that this one is to be a copy of; see :meth:`copy`.

    Attributes:
        opened_session: the session, without marking it as accessed; None until
            it has been opened.
        session_waits: it is opened when it is first used, if ever.
        flashes: the messages shown to this request; None until they are looked at.
        after_request_functions: called once, in order, before those of the App.
        answered: its response is finished, so no function can change it any more.
        original: the request's own context, when this is a copy; else None.
        preserved: kept after its request has ended, for somebody to look at. The
            next push in the lane takes it off.
        holds: how many wait for it with its teardown functions.
        bound_app_context: the application context to push along, when it must be a
            certain one: while it is held, and for the steps of a stream.
        ending: the last push's teardown functions are running.
        streams: those that were made in this request and are still referred to.
        thrown_away: those that nobody refers to any more, to be closed when this context
            leaves its lane; None when it is in none, or leaving.

    """

    __slots__ = (
        "_bound",
        "_error",
        "_pushes",
        "_url_adapter",
        "after_request_functions",
        "answered",
        "app",
        "bound_app_context",
        "ending",
        "flashes",
        "holds",
        "opened_session",
        "original",
        "preserved",
        "request",
        "session_waits",
        "streams",
        "thrown_away",
    )

    def __init__(
        self, app: "App", environ: "WSGIEnvironment", original: "RequestContext | None" = None
    ) -> None:
        self.app = app
        self.original = original
        if original is None:
            # Not populated: environ and request would refer to each other, and stay
            # in memory until the garbage collector comes by.
            self.request = app.request_class(environ, populate_request=False)
            self.request.max_content_length = app.config["MAX_CONTENT_LENGTH"]
            self.opened_session: SessionMixin | None = None
            self._url_adapter: MapAdapter | None = None
        else:
            self.request = original.request
            self.opened_session = original.opened_session
            self._url_adapter = original.url_adapter
        self._bound = original is not None
        self.session_waits = False
        self.flashes: list[tuple[str, str]] | None = None
        self.after_request_functions: list[Callable[[Response], Response]] = []
        self.answered = False
        self.preserved = False
        self.holds = 0
        self.bound_app_context: AppContext | None = None
        self.streams: WeakSet[Stream[Any]] | None = None
        self.thrown_away: list[Stream[Any]] | None = None
        self._pushes: list[_Push] = []
        self.ending = False
        self._error: BaseException | None = None  # what ended the request, while its teardown waits

    @property
    def session(self) -> "SessionMixin":
        """The session, marked as accessed: the reply depends on the cookie from here on.

        Raises:
            RuntimeError: it has not been opened, because the context was never
                pushed or because opening it failed.

        """
        session = self.opened_session
        if session is None:
            if not self.session_waits:
                raise RuntimeError("The session has not been opened.")
            session = self.open_session()
        session.accessed = True
        return session

    @property
    def url_adapter(self) -> "MapAdapter | None":
        """What matches and builds URLs for this request; None when the request does not allow one.

        Made when it is first asked for: most requests build no URL, and match from memory.
        """
        if not self._bound:
            self._bound = True
            try:
                self._url_adapter = routing.bind(self.app, self.request.environ)
            except HTTPException as error:
                self.request.routing_exception = _without_frames(error)
        return self._url_adapter

    @property
    def implicit_app_contexts(self) -> list[AppContext | None]:
        """For each push the application context that it brought along, or None when it found one to use."""
        return [push.implicit for push in self._pushes]

    @property
    def own(self) -> "RequestContext":
        """The request's own context: this one, or the one that this is a copy of."""
        return self if self.original is None else self.original

    @property
    def pushed(self) -> bool:
        """Whether it is in a lane."""
        return bool(self._pushes)

    @property
    def app_context(self) -> AppContext:
        """The application context that the request uses while this context is pushed."""
        return self._pushes[0].app_context

    @property
    def app_depth(self) -> int:
        """How deep the application stack must stay while this context is pushed."""
        return self._pushes[-1].apps

    def match_request(self) -> None:
        """Find the rule for the URL, or keep the reason why there is none for dispatch."""
        request, url_map = self.request, self.app.url_map
        match = url_map.recall(request.environ)
        if match is None:
            adapter = self.url_adapter
            if adapter is None:
                return
            try:
                match = adapter.match(return_rule=True)
            except HTTPException as error:
                request.routing_exception = _without_frames(error)
                return
            url_map.remember(request.environ, match)
        request.url_rule, request.view_args = match

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
        if self._pushes and self._pushes[-1].lane is not lane_of(request_stack):
            raise RuntimeError(f"{self!r} is pushed in another lane: a request belongs to one at a time")
        below = request_stack.top
        if below is not None and below.preserved:
            below.end()
        self.enter()
        if self.opened_session is None and self.original is None and not self.session_waits:
            self.session_waits = self.app.session_interface.may_wait(self.app, self.request)
            if not self.session_waits:
                self.open_session()
            # After the session, because a URL converter may want to look at it.
            self.match_request()

    def open_session(self) -> "SessionMixin":
        """Open the session, whether it waits or not. For contexts themselves."""
        interface = self.app.session_interface
        session = interface.open_session(self.app, self.request)
        if session is None:
            session = interface.make_null_session(self.app)
        self.opened_session = session
        return session

    def enter(self) -> None:
        """Enter the lane, and nothing else: no session is opened and no preserved context ends.

        For contexts themselves: everybody else calls :meth:`push`.
        """
        requests, apps = request_stack.contents(), app_stack.contents()
        below, depth = requests[-1] if requests else None, len(apps)
        taken = below is not None and below is not self and below.app_depth == depth
        implicit = self.bound_app_context
        used = implicit or (apps[-1] if apps else None)
        if used is None or (implicit is None and (used.app is not self.app or taken)):
            used = implicit = AppContext(self.app)
        if implicit is not None:
            implicit.push()
            depth += 1
        if not self._pushes:
            self.thrown_away = []
        lane = lane_of(request_stack)
        self._pushes.append(_Push(lane, len(request_stack.push(self)), depth, used, implicit))
        counts.request_pushed += 1
        self.app.counts.request_pushed += 1

    def copy(self) -> "RequestContext":
        """Make another context for this request, to be pushed in another lane.

        It shares request and session, and has an application context, so a ``g``,
        of its own. The request stays this context's: the copy closes no files and
        calls no teardown_request functions, for those must run once, and a copy may
        end before the request does, or after.
        """
        own = self.own
        if own.session_waits and own.opened_session is None:
            own.open_session()  # now, so that both have the same one
        return type(self)(self.app, self.request.environ, original=own)

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
        if len(app_stack.contents()) > self.app_depth:
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
        if not self._pushes or (self.ending and len(self._pushes) == 1):
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
        floor = self._pushes[-1]
        # First, so that the teardown functions see this request and no other.
        clear_above(self, floor, exc, errors, teardown)
        if len(self._pushes) == 1:
            self.preserved = False
            self._close_thrown_away(errors)
            exc = self._error or exc
            self._error = exc if self.holds else None
            if teardown and not self.holds and self.original is None:
                self.ending = True
                functions = (self._close_request, *self.app.teardown_request_funcs)
                call_each(functions, self, floor, exc, errors)
                self.ending = False
        take_off(request_stack, self, errors)
        implicit = self._pushes.pop().implicit
        counts.request_popped += 1
        self.app.counts.request_popped += 1
        if implicit is not None:
            implicit.leave(exc, errors, teardown)

    def _close_thrown_away(self, errors: Errors) -> None:
        streams, self.thrown_away = self.thrown_away, None
        for stream in streams or ():
            try:
                stream.close()
            except BaseException as error:
                errors.append(error)

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


def _without_frames(error: HTTPException) -> HTTPException:
    """Drop the tracebacks of an error that the request is to keep: their frames refer to the request."""
    error.__context__ = None
    return error.with_traceback(None)
