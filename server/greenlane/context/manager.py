"""LocalManager: releases locals when a WSGI response is closed."""

from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, TypeAlias

from greenlane.context.local import Local, Releasable, release_local
from greenlane.context.stack import LocalStack
from greenlane.context.storage import IdentFunc, current_ident, get_ident

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

AnyLocal: TypeAlias = Local | LocalStack[Any]


class LocalManager:
    """Releases a list of locals at the end of each request.

    Args:
        locals: a Local or LocalStack, or an iterable of them. ``locals`` stays a
            list on the manager; more can be appended later.
        ident_func: when given, becomes the ident of every one of ``locals``. It
            is not given to those that are appended later, as in the classic
            manager: set theirs before.

    """

    def __init__(
        self,
        locals: AnyLocal | Iterable[AnyLocal] | None = None,  # noqa: A002 - the classic name
        ident_func: IdentFunc | None = None,
    ) -> None:
        if locals is None:
            self.locals: list[AnyLocal] = []
        elif isinstance(locals, Local | LocalStack):
            self.locals = [locals]
        else:
            self.locals = list(locals)
        self.ident_func: IdentFunc = get_ident if ident_func is None else ident_func
        if ident_func is not None:
            for local in self.locals:
                object.__setattr__(local, "__ident_func__", ident_func)

    def get_ident(self) -> Hashable:
        """Return the ident of the code that calls this."""
        return current_ident(self.ident_func)

    def cleanup(self) -> None:
        """Release every local for the current ident, all of them even when one fails.

        Raises:
            BaseException: the first error of a release, after the others were tried.

        """
        _release_all(self.locals)

    def make_middleware(self, app: "WSGIApplication") -> "WSGIApplication":
        """Wrap ``app`` so that the locals are released when its response is closed.

        PEP 3333 lets a server call ``close()`` only on an iterable that it was
        given. So they are also released here when ``app`` raises before it
        returns one: otherwise the next request on the connection would find them.
        """

        def application(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
            try:
                response = app(environ, start_response)
            except BaseException:
                self.cleanup()
                raise
            return _ReleasingResponse(response, self.cleanup)

        return application

    def middleware(self, func: "WSGIApplication") -> "WSGIApplication":
        """Like :meth:`make_middleware`, as a decorator that keeps ``func``'s name and docs."""
        return update_wrapper(self.make_middleware(func), func)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self.locals)} locals>"


def _release_all(locals: Iterable[Releasable]) -> None:  # noqa: A002 - the classic name
    first: BaseException | None = None
    for local in locals:
        try:
            release_local(local)
        except BaseException as error:
            first = first or error
    if first is not None:
        raise first


class _ReleasingResponse:
    """A response iterable that calls ``release`` when it is closed.

    Not a generator: closing one that was never started runs none of its code.
    """

    def __init__(self, response: Iterable[bytes], release: Callable[[], None]) -> None:
        self._response = response
        self._release = release

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._response)

    def close(self) -> None:
        try:
            close = getattr(self._response, "close", None)
            if close is not None:
                close()
        finally:
            self._release()
