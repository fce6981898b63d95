"""LocalProxy: an object that stands for whatever the current ident has bound."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from greenlane.context.datamodel import ForwardedAttribute, forward_data_model
from greenlane.context.local import Local

if TYPE_CHECKING:
    from greenlane.context.stack import LocalStack

T = TypeVar("T")


@forward_data_model
class LocalProxy(Generic[T]):
    """Forwards every operation to an object that is looked up anew each time.

    Args:
        local: where to look: a :class:`Local` (``name`` is required), a
            :class:`LocalStack` (its top), a ``ContextVar`` (its value), or a
            callable without arguments (what it returns).
        name: the attribute to look up on it. Required for a Local, as in the
            classic form; optional for the others.
        unbound_message: the text of the RuntimeError when nothing is bound.

    Raises:
        TypeError: ``local`` is none of these, or a Local without a name.
        RuntimeError: on use, when nothing is bound. ``bool()``, ``repr()``,
            ``dir()`` and ``isinstance()`` answer also then.

    Every special method of the data model is forwarded, by the table in
    :mod:`greenlane.context.datamodel`. ``copy`` and ``pickle`` take the real
    object, so that a proxy can be handed to other processes. An in-place operator
    whose target cannot change in place (``proxy += 1`` on an int) yields the plain
    new value and rebinds nothing; the classic proxy drops that value.
    ``__wrapped__`` exists only for a proxy of a plain callable, as in the classic form.
    """

    __slots__ = ("__weakref__", "__wrapped__", "_get_current_object")

    _get_current_object: Callable[[], T]

    # In the class body, since a class lets nobody assign these two later.
    __class__ = ForwardedAttribute("__class__", lambda owner: owner)
    __dict__ = ForwardedAttribute("__dict__")

    if TYPE_CHECKING:  # the table's rows that a type checker has to know of

        def __getattr__(self, name: str) -> Any: ...
        def __eq__(self, other: object) -> bool: ...
        def __hash__(self) -> int: ...

    @overload
    def __init__(
        self: "LocalProxy[Any]", local: Local, name: str | None = None, unbound_message: str | None = None
    ) -> None: ...
    @overload
    def __init__(
        self, local: "LocalStack[T]", name: str | None = None, unbound_message: str | None = None
    ) -> None: ...
    @overload
    def __init__(
        self,
        local: ContextVar[T] | Callable[[], T],
        name: str | None = None,
        unbound_message: str | None = None,
    ) -> None: ...
    def __init__(self, local: Any, name: str | None = None, unbound_message: str | None = None) -> None:
        lookup = _lookup(local, name, unbound_message)
        object.__setattr__(self, "_get_current_object", lookup)
        if not isinstance(local, Local | ContextVar) and not hasattr(local, "__release_local__"):
            object.__setattr__(self, "__wrapped__", local)


def _lookup(source: Any, name: str | None, message: str | None) -> Callable[[], Any]:
    """Choose how to look up; every choice raises RuntimeError when nothing is bound."""
    if isinstance(source, Local):
        if name is None:
            raise TypeError("a LocalProxy to a Local needs a name")
        return _of_local(source, name, message or f"no object bound to {name!r}")
    if isinstance(source, ContextVar):
        return _of_context_var(source, name, message or f"no object bound to {source.name!r}")
    if hasattr(source, "__release_local__"):
        return _of_stack(source, name, message or "no object bound: the stack is empty")
    if not callable(source):
        raise TypeError(f"cannot make a LocalProxy to {type(source).__name__!r}")
    if name is None:
        call: Callable[[], Any] = source
        return call
    return lambda: getattr(source(), name)


def _of_local(local: Local, name: str, message: str) -> Callable[[], Any]:
    def get_current_object() -> Any:
        try:
            return getattr(local, name)
        except AttributeError:
            raise RuntimeError(message) from None

    return get_current_object


def _of_stack(stack: "LocalStack[Any]", name: str | None, message: str) -> Callable[[], Any]:
    def get_current_object() -> Any:
        top = stack.top
        if top is None:
            raise RuntimeError(message)
        return top if name is None else getattr(top, name)

    return get_current_object


def _of_context_var(var: ContextVar[Any], name: str | None, message: str) -> Callable[[], Any]:
    def get_current_object() -> Any:
        try:
            value = var.get()
        except LookupError:
            raise RuntimeError(message) from None
        return value if name is None else getattr(value, name)

    return get_current_object
