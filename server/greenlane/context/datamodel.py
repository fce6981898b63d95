"""The Python data model as one table: what a proxy forwards, and how.

Implicit calls of special methods look at the type and never at
``__getattr__`` (data model, "Special method lookup"), so a proxy's class needs
each of them. :data:`DATA_MODEL` has a row a method; :func:`forward_data_model`
puts the rows on a class.

Attributes are the exception: ``__getattr__`` alone would do for them. But with it
Python 3.11 makes and drops an AttributeError for each name that is not on the
class, which is every one that matters, and that costs as much as the rest of the
look-up. So ``__getattribute__`` forwards, and leaves the class's own names to object.

Left out, because they speak of the proxy and not of what it stands for:
``__new__``, ``__init__``, ``__del__``, ``__getattr__``, ``__slots__``,
``__sizeof__``, ``__module__``; ``__get__``, ``__set__``, ``__delete__``,
``__set_name__`` (a proxy kept on a class is not a descriptor);
``__init_subclass__``, ``__class_getitem__``, ``__prepare__`` (they configure
classes); ``__missing__`` (only dict calls it, on itself); ``__getstate__``,
``__setstate__``, ``__getnewargs__`` and ``__reduce__`` (``__reduce_ex__``
already answers for the whole object).
"""

import copy
import math
import operator
import os
from collections.abc import Callable, Container, Mapping
from typing import Any, TypeAlias, TypeVar

Operation: TypeAlias = Callable[..., Any]
"""Takes the real object, then the special method's arguments."""

LookupOf: TypeAlias = Callable[[Any], Callable[[], Any]]
"""Takes a proxy, and returns the function that finds the real object: a slot, read with no detour."""

C = TypeVar("C", bound=type[Any])

_BINARY: Mapping[str, Operation] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "matmul": operator.matmul,
    "truediv": operator.truediv,
    "floordiv": operator.floordiv,
    "mod": operator.mod,
    "divmod": divmod,
    "pow": pow,
    "lshift": operator.lshift,
    "rshift": operator.rshift,
    "and": operator.and_,
    "xor": operator.xor,
    "or": operator.or_,
}

_IN_PLACE: Mapping[str, Operation] = {
    "iadd": operator.iadd,
    "isub": operator.isub,
    "imul": operator.imul,
    "imatmul": operator.imatmul,
    "itruediv": operator.itruediv,
    "ifloordiv": operator.ifloordiv,
    "imod": operator.imod,
    "ipow": operator.ipow,
    "ilshift": operator.ilshift,
    "irshift": operator.irshift,
    "iand": operator.iand,
    "ixor": operator.ixor,
    "ior": operator.ior,
}


def _special(name: str) -> Operation:
    """Call the special method ``name`` as the interpreter does: looked up on the type."""

    def operation(obj: Any, *args: Any) -> Any:
        method = getattr(type(obj), name, None)
        if method is None:
            raise TypeError(f"{type(obj).__name__!r} object has no {name}")
        return method(obj, *args)

    return operation


def _reflected(operation: Operation) -> Operation:
    return lambda obj, other, *modulo: operation(other, obj, *modulo)


DATA_MODEL: Mapping[str, Operation] = {
    # Conversions and representation
    "__repr__": repr,
    "__str__": str,
    "__bytes__": bytes,
    "__format__": format,
    "__bool__": bool,
    "__int__": int,
    "__float__": float,
    "__complex__": complex,
    "__index__": operator.index,
    "__fspath__": os.fspath,
    "__buffer__": lambda obj, _flags: memoryview(obj),  # called from Python 3.12 on (PEP 688)
    "__hash__": hash,
    "__dir__": dir,
    # Comparison
    "__lt__": operator.lt,
    "__le__": operator.le,
    "__eq__": operator.eq,
    "__ne__": operator.ne,
    "__gt__": operator.gt,
    "__ge__": operator.ge,
    # Attributes
    "__getattribute__": getattr,
    "__setattr__": setattr,
    "__delattr__": delattr,
    # Arithmetic
    "__neg__": operator.neg,
    "__pos__": operator.pos,
    "__abs__": abs,
    "__invert__": operator.invert,
    "__round__": round,
    "__trunc__": math.trunc,
    "__floor__": math.floor,
    "__ceil__": math.ceil,
    **{f"__{name}__": operation for name, operation in _BINARY.items()},
    **{f"__r{name}__": _reflected(operation) for name, operation in _BINARY.items()},
    # Containers and iteration
    "__len__": len,
    "__length_hint__": operator.length_hint,
    "__contains__": operator.contains,
    "__getitem__": operator.getitem,
    "__setitem__": operator.setitem,
    "__delitem__": operator.delitem,
    "__iter__": iter,
    "__next__": next,
    "__reversed__": reversed,
    # Calls, with statements, await
    "__call__": lambda obj, *args, **kwargs: obj(*args, **kwargs),
    "__enter__": _special("__enter__"),
    "__exit__": _special("__exit__"),
    "__await__": _special("__await__"),
    "__aiter__": aiter,
    "__anext__": anext,
    "__aenter__": _special("__aenter__"),
    "__aexit__": _special("__aexit__"),
    # Classes behind a proxy
    "__instancecheck__": lambda obj, instance: isinstance(instance, obj),
    "__subclasscheck__": lambda obj, subclass: issubclass(subclass, obj),
    "__mro_entries__": lambda obj, _bases: (obj,),
    # Copies and pickles are of the real object
    "__copy__": copy.copy,
    "__deepcopy__": copy.deepcopy,
    "__reduce_ex__": _special("__reduce_ex__"),
}


def _attribute_of_nothing(_proxy: object, name: str) -> None:
    if name == "__wrapped__":
        # inspect and doctest ask every object for it, with hasattr().
        raise AttributeError(name)
    raise  # the RuntimeError that is being handled


UNBOUND: Mapping[str, Operation] = {
    "__getattribute__": _attribute_of_nothing,
    "__repr__": lambda proxy: f"<{type(proxy).__name__} unbound>",
    "__bool__": lambda _proxy: False,
    "__dir__": lambda _proxy: [],
}
"""What a proxy answers for itself when nothing is bound; everything else raises."""


def _forwarded(name: str, operation: Operation, lookup_of: LookupOf) -> Operation:
    def method(self: Any, *args: Any) -> Any:
        return operation(lookup_of(self)(), *args)

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return operation(lookup_of(self)(), *args, **kwargs)

    chosen = call if name == "__call__" else method
    chosen.__name__ = name
    return chosen


def _forwarded_or_unbound(
    name: str, operation: Operation, unbound: Operation, lookup_of: LookupOf
) -> Operation:
    def method(self: Any, *args: Any) -> Any:
        try:
            obj = lookup_of(self)()
        except RuntimeError:
            return unbound(self, *args)
        return operation(obj, *args)

    method.__name__ = name
    return method


def _forwarded_attribute(cls: type[Any], own_names: Container[str], lookup_of: LookupOf) -> Operation:
    operation, unbound = DATA_MODEL["__getattribute__"], UNBOUND["__getattribute__"]

    def method(self: Any, name: str) -> Any:
        if name in own_names or type(self) is not cls:  # a subclass may have any
            try:
                return object.__getattribute__(self, name)
            except AttributeError:
                if name in own_names and name != "__wrapped__":  # a slot that only some proxies fill
                    raise
        try:
            obj = lookup_of(self)()
        except RuntimeError:
            return unbound(self, name)
        return operation(obj, name)

    method.__name__ = "__getattribute__"
    return method


def _forwarded_in_place(name: str, operation: Operation, lookup_of: LookupOf) -> Operation:
    def method(self: Any, other: Any) -> Any:
        obj = lookup_of(self)()
        result = operation(obj, other)
        # A list was changed in place, and the proxy still stands for it. An int
        # cannot be: the name that was assigned to gets the plain new value, which
        # returning the proxy would have thrown away.
        return self if result is obj else result

    method.__name__ = name
    return method


class ForwardedAttribute:
    """An attribute that every class has, so that ``__getattr__`` is never asked for it.

    Args:
        name: the attribute.
        unbound: what it is, given the class, while nothing is bound; by default
            RuntimeError says that nothing is. ``isinstance()`` and ``inspect`` ask
            every object for ``__class__`` and ``__doc__``, and should not fail.

    """

    def __init__(self, name: str, unbound: Operation | None = None) -> None:
        self._name = name
        self._unbound = unbound

    def __get__(self, proxy: Any, owner: type[Any]) -> Any:
        if proxy is None:
            return None if self._unbound is None else self._unbound(owner)
        try:
            # object's own look-up, because the proxy forwards every other one.
            obj = object.__getattribute__(proxy, "_get_current_object")()
        except RuntimeError:
            if self._unbound is None:
                raise
            return self._unbound(owner)
        return getattr(obj, self._name)

    def __set__(self, proxy: Any, value: object) -> None:
        setattr(object.__getattribute__(proxy, "_get_current_object")(), self._name, value)


def forward_data_model(cls: C) -> C:
    """Give ``cls`` every special method of the table, forwarded to what ``_get_current_object`` returns.

    Args:
        cls: a class with a slot of that name, for a function without arguments.

    """
    lookup_of = vars(cls)["_get_current_object"].__get__
    own_names = {name for base in cls.__mro__ for name in vars(base)}
    own_names.update(DATA_MODEL, (f"__{name}__" for name in _IN_PLACE))
    for name, operation in DATA_MODEL.items():
        unbound = UNBOUND.get(name)
        if name == "__getattribute__":
            setattr(cls, name, _forwarded_attribute(cls, own_names, lookup_of))
        elif unbound is None:
            setattr(cls, name, _forwarded(name, operation, lookup_of))
        else:
            setattr(cls, name, _forwarded_or_unbound(name, operation, unbound, lookup_of))
    for name, operation in _IN_PLACE.items():
        setattr(cls, f"__{name}__", _forwarded_in_place(f"__{name}__", operation, lookup_of))
    doc = cls.__doc__
    cls.__doc__ = ForwardedAttribute("__doc__", lambda _owner: doc)  # type: ignore[assignment]
    return cls
