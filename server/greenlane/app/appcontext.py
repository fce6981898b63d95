"""AppContext: what makes an App current, with or without a request.

It follows the rules of :mod:`greenlane.app.contexts`, which brings one along with
each request. Knows of an App its name, its logger and its teardown functions, and
of requests only that one may stand on it.
"""

from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

from greenlane.app.globals import Globals, app_stack, request_stack
from greenlane.app.lanes import Errors, call_each, depths, raise_first, take_off

if TYPE_CHECKING:
    from greenlane.app.app import App


@dataclass(slots=True)
class Counts:
    """Contexts pushed and popped so far. At idle, each pair is equal."""

    request_pushed: int = 0
    request_popped: int = 0
    app_pushed: int = 0
    app_popped: int = 0

    @property
    def requests(self) -> int:
        """Request contexts that are pushed now."""
        return self.request_pushed - self.request_popped

    @property
    def apps(self) -> int:
        """Application contexts that are pushed now."""
        return self.app_pushed - self.app_popped


counts = Counts()
"""Those of the whole process; each App has its own besides."""


class AppContext:
    """Makes an App current, with a ``g`` of its own.

    It may be pushed more than once: its teardown functions run at the last pop.

    Attributes:
        app: the App.
        g: its namespace.
        holds: how many wait for it besides: see :mod:`greenlane.app.holds`. The
            teardown functions run when it is neither pushed nor held.

    """

    __slots__ = ("_pushes", "app", "g", "holds")

    def __init__(self, app: "App") -> None:
        self.app = app
        self.g = Globals(app.name)
        self.holds = 0
        self._pushes = 0

    def push(self) -> None:
        """Put this context on top of the current lane's application stack."""
        app_stack.push(self)
        self._pushes += 1
        counts.app_pushed += 1
        self.app.counts.app_pushed += 1

    def pop(self, exc: BaseException | None = None) -> None:
        """Take this context off the stack; at the last pop, run the teardown functions.

        Not while it is held: then they run when the last hold is let go.

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
        if live is not None and len(app_stack.contents()) <= live.app_depth:
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
        if functions and teardown and not self._pushes and not self.holds:
            call_each(functions, self, depths(), exc, errors)
        take_off(app_stack, self, errors)
        counts.app_popped += 1
        self.app.counts.app_popped += 1

    def __enter__(self) -> "AppContext":
        self.push()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._end(exc, escaping=exc)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.app.name!r} at {id(self):#x}>"
