"""The two stacks, the four proxies that read their tops, and the namespace behind ``g``.

There are two because an application may be current without a request: in a
script, in a shell, in a test. ``request`` and ``session`` read the request
stack, ``current_app`` and ``g`` the application stack. Both hold, for each
ident, only what that ident pushed.

Imports :mod:`greenlane.context` alone; the contexts import this module.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from greenlane.context import LocalProxy, LocalStack

if TYPE_CHECKING:
    from greenlane.app.app import App
    from greenlane.app.appcontext import AppContext
    from greenlane.app.contexts import RequestContext
    from greenlane.app.sessions import SessionMixin
    from greenlane.app.wrappers import Request

_MISSING: Any = object()

_NO_REQUEST = """Working outside of request context.

This needs an active request, and none has been pushed in the current greenlet.
In a test or a script, put the code into a block:

    with app.test_request_context("/path"):
        ...

A greenlet or thread that you start has no request: give it a function wrapped by
copy_current_request_context(), or read what it needs first and hand that over. A
generator that runs after the view needs stream_with_context()."""

_NO_APP = """Working outside of application context.

This needs to know the current application, and none has been pushed in the
current greenlet. Outside of a request, put the code into a block:

    with app.app_context():
        ..."""


class Globals:
    """The namespace behind ``g``: free for any use, gone with its application context."""

    __slots__ = ("__app_name", "__dict__")

    def __init__(self, app_name: str) -> None:
        self.__app_name = app_name

    if TYPE_CHECKING:  # any name may be set

        def __setattr__(self, name: str, value: Any) -> None: ...

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"g has no attribute {name!r}", name=name, obj=self)

    def get(self, name: str, default: Any = None) -> Any:
        """Return the attribute ``name``, or ``default`` when it is not set."""
        return self.__dict__.get(name, default)

    def pop(self, name: str, default: Any = _MISSING) -> Any:
        """Remove the attribute ``name`` and return it.

        Raises:
            KeyError: it is not set and no default was given.

        """
        if default is _MISSING:
            return self.__dict__.pop(name)
        return self.__dict__.pop(name, default)

    def setdefault(self, name: str, default: Any = None) -> Any:
        """Return the attribute ``name``, after setting it to ``default`` if it is not set."""
        return self.__dict__.setdefault(name, default)

    def __contains__(self, name: str) -> bool:
        return name in self.__dict__

    def __iter__(self) -> Iterator[str]:
        return iter(self.__dict__)

    def __repr__(self) -> str:
        return f"<greenlane.g of {self.__app_name!r}>"


request_stack: "LocalStack[RequestContext]" = LocalStack()
app_stack: "LocalStack[AppContext]" = LocalStack()

request = cast("Request", LocalProxy(request_stack, "request", unbound_message=_NO_REQUEST))
session = cast("SessionMixin", LocalProxy(request_stack, "session", unbound_message=_NO_REQUEST))
current_app = cast("App", LocalProxy(app_stack, "app", unbound_message=_NO_APP))
g = cast(Globals, LocalProxy(app_stack, "g", unbound_message=_NO_APP))


def live_request_context() -> "RequestContext":
    """Return the context of the current request.

    Raises:
        RuntimeError: there is none.

    """
    ctx = request_stack.top
    if ctx is None:
        raise RuntimeError(_NO_REQUEST)
    return ctx
