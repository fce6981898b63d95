"""Local: an object whose attributes belong to the ident that set them."""

import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from greenlane.context.storage import LANE, IdentFunc, Storage, current_ident, get_ident

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from greenlane.context.proxy import LocalProxy

# Every live Local, for census(). The callback is the set's own discard.
_locals: set["weakref.ref[Local]"] = set()


class Local:
    """Attributes kept apart by ident: each greenlet reads only what it set itself.

    ::

        local = Local()
        local.user = "ada"      # this greenlet's
        local.user              # "ada" here, AttributeError in every other greenlet
        del local.user
        local("user")           # a LocalProxy to whatever "user" is here and now
        list(local)             # [(ident, {"user": ...}), ...] for all idents

    The ident is the current greenlet (in a plain thread, that thread's main
    greenlet), not the thread: under gevent one thread serves thousands of
    requests. An entry goes away when its greenlet does, with or without release;
    :mod:`greenlane.context.storage` tells how.

    It differs from the classic Local in three ways. ``__storage__`` is a live
    read-only view and no dict, because the data lives on the greenlets.
    Iterating yields copies taken at that moment, because other greenlets may
    write meanwhile. An ident whose last name is deleted has no entry left, where
    the classic one kept an empty dict. One limit: a value that refers to the
    Local itself keeps the Local alive as long as the greenlet lives.
    """

    __slots__ = ("__ident_func__", "__key__", "__storage__", "__weakref__")

    __ident_func__: IdentFunc
    __key__: int
    __storage__: Storage

    def __init__(self) -> None:
        # object's own __setattr__, because ours would look for __storage__.
        storage = Storage()
        object.__setattr__(self, "__ident_func__", get_ident)
        object.__setattr__(self, "__key__", storage.key)
        object.__setattr__(self, "__storage__", storage)
        _locals.add(weakref.ref(self, _locals.discard))

    def __iter__(self) -> "Iterator[tuple[Hashable, dict[str, Any]]]":
        """Iterate over ``(ident, values)`` of all idents, as a snapshot."""
        return iter([(ident, dict(values)) for ident, values in self.__storage__.items()])

    def __call__(self, name: str, *, unbound_message: str | None = None) -> "LocalProxy[Any]":
        """Return a proxy to the attribute ``name`` of whichever ident uses the proxy.

        Args:
            name: the attribute.
            unbound_message: the text of the RuntimeError where it is not set.

        """
        from greenlane.context.proxy import LocalProxy

        return LocalProxy(self, name, unbound_message)

    def __release_local__(self) -> None:
        """Drop everything that the current ident has set."""
        self.__storage__.release(current_ident(self.__ident_func__))

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} belongs to the greenlets of its process: it is not copied")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Let a subclass have attributes of its own: they come first, and the short way knows none."""
        super().__init_subclass__(**kwargs)
        if cls.__getattribute__ is Local.__getattribute__:
            cls.__getattribute__ = object.__getattribute__  # type: ignore[method-assign]

    # Reading and writing first take the short way, which works for a greenlet
    # that has used this Local before, and only then the whole one.

    def __getattribute__(self, name: str) -> Any:
        # With __getattr__ alone, Python 3.11 makes and drops an AttributeError for each name that is
        # not on the class: 714 ns a read, and 281 ns so.
        if name in _own_names:
            return object.__getattribute__(self, name)
        try:
            return _ident_func_of(self)().__dict__[LANE][_key_of(self)][name]
        except (KeyError, RuntimeError):
            raise AttributeError(name) from None  # which makes Python ask __getattr__

    def __getattr__(self, name: str) -> Any:
        values = self.__storage__.find(current_ident(self.__ident_func__))
        if values is not None and name in values:
            return values[name]
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r} here", name=name, obj=self)

    def __setattr__(self, name: str, value: Any) -> None:
        try:
            _ident_func_of(self)().__dict__[LANE][_key_of(self)][name] = value
        except (KeyError, AttributeError, RuntimeError):
            self.__storage__.own(current_ident(self.__ident_func__))[name] = value

    def __delattr__(self, name: str) -> None:
        values = self.__storage__.find(current_ident(self.__ident_func__))
        if values is None or name not in values:
            raise AttributeError(
                f"{type(self).__name__!r} has no attribute {name!r} here", name=name, obj=self
            )
        del values[name]


_own_names = frozenset(dir(Local))

# Its slots, read with no detour through __getattribute__.
_ident_func_of: "Callable[[Local], IdentFunc]" = vars(Local)["__ident_func__"].__get__
_key_of: "Callable[[Local], int]" = vars(Local)["__key__"].__get__


class Releasable(Protocol):
    """What release_local and LocalManager take: a Local, a LocalStack, or the like."""

    def __release_local__(self) -> None:
        """Drop everything that the current ident has set."""


def release_local(local: Releasable) -> None:
    """Drop what the current ident has set on ``local``, and nothing else.

    Releasing twice, or with nothing set, does nothing. Isolation does not depend
    on it between greenlets; between the requests of one keep-alive connection,
    which share a greenlet, it does.
    """
    local.__release_local__()


def census() -> dict[Local, int]:
    """Count the entries of every live Local: at idle, each count should be 0."""
    found = {}
    for reference in list(_locals):
        local = reference()
        if local is not None:
            found[local] = len(local.__storage__)
    return found
