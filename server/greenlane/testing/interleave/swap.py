"""Putting a function in place of another, wherever a module holds it, for one native thread.

Replacing an attribute of the ``time`` module alone would miss ``from time import
monotonic``. A class or a default argument that holds a function keeps it.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

from gevent.monkey import get_original

#: pytest leaves this module's frames out: they say nothing of the program.
__tracebackhide__ = True

native_ident: Callable[[], int] = get_original("threading", "get_ident")
"""Tells which native thread this is, in patched processes too."""

Swaps: TypeAlias = Mapping[Callable[..., Any], Callable[..., Any]]
"""What stands in, by what it stands in for."""

_OURS = __name__.rpartition(".")[0]


@contextmanager
def swapped(swaps: Swaps) -> Iterator[None]:
    """Let modules hold what stands in, for the current native thread; others get what they always got."""
    owner = native_ident()
    pairs = [(real, _for_thread(owner, standin, real)) for real, standin in swaps.items()]
    try:
        _replace(dict(pairs))
        yield
    finally:
        # Everywhere again, because a module imported meanwhile took what stands in.
        _replace({standin: real for real, standin in pairs})


def _replace(functions: Swaps) -> None:
    """Replace functions in all modules but the explorer's own."""
    # There are many values, and not all have a hash; few are of these types. (Nor does
    # id() do: each call of it is an audit event.)
    types = {type(function) for function in functions}
    for module in list(sys.modules.values()):
        names = getattr(module, "__dict__", None)
        if not isinstance(names, dict) or str(names.get("__name__")).startswith(_OURS):
            continue
        for name, value in list(names.items()):
            if type(value) in types and value in functions:
                names[name] = functions[value]


def _for_thread(owner: int, standin: Callable[..., Any], real: Callable[..., Any]) -> Callable[..., Any]:
    def function(*args: Any, **kwargs: Any) -> Any:
        return (standin if native_ident() == owner else real)(*args, **kwargs)

    return function
