"""Hold: lets a request's teardown functions wait for whoever still needs the request.

The last to let go runs them, in whatever lane that is: the request's context and its
application context enter it, and leave it again. A context that is held and has
left its lane is on no stack, so nobody finds it there: not a middleware around the
App, and not the connection's next request.
"""

from typing import TYPE_CHECKING, Any

from greenlane.app.contexts import RequestContext
from greenlane.app.lanes import Errors

if TYPE_CHECKING:
    from greenlane.app.streaming import Stream


class Hold:
    """Makes the end of a request's context wait, until it is let go.

    Args:
        ctx: a context that is pushed.

    Raises:
        RuntimeError: it is not, or its teardown functions are running already.

    """

    __slots__ = ("_app_context", "_ctx")

    def __init__(self, ctx: RequestContext) -> None:
        if not ctx.pushed or ctx.ending:
            raise RuntimeError(f"{ctx!r} is ending: nothing can wait for it any more")
        self._ctx = ctx
        self._app_context = ctx.bound_app_context = ctx.app_context
        ctx.holds += 1
        # Also when it was there before the request: what is in g must last as long.
        self._app_context.holds += 1

    @property
    def thrown_away(self) -> "list[Stream[Any]] | None":
        """Where to put a stream that nobody refers to any more, while its request is still in its lane."""
        return self._ctx.thrown_away

    def copy(self) -> RequestContext:
        """Make a context for the same request that shares its ``g`` too."""
        copy = self._ctx.copy()
        copy.bound_app_context = self._app_context
        return copy

    def let_go(self, exc: BaseException | None, errors: Errors) -> None:
        """Let the request end; the last one to do so ends it here. To be called once.

        Args:
            exc: the error that ended the work, for the teardown functions.
            errors: where to add what goes wrong.

        """
        ctx = self._ctx
        last = ctx.holds == 1
        ends_here = last and not ctx.pushed
        if ends_here:
            ctx.enter()
        ctx.holds -= 1
        self._app_context.holds -= 1
        if last and ctx.original is None:  # a copy is for one scope, and a stream's is bound for good
            ctx.bound_app_context = None
        if ends_here:
            ctx.leave(exc, errors)
