"""The demonstration with one line changed, served by ``greenlane run mutants:NAME``.

Each must turn the matrix or a proof red: what is taken out is what keeps requests apart, or looks at it.
"""

import inspect
import sys
import textwrap
from typing import Any

from greenlane.app import App
from greenlane.context import LocalManager
from greenlane.context.storage import Storage
from greenlane.demo import create_demo
from greenlane.demo.strategies import ContextOfRequest


def _mutate(owner: type, method: str, line: str, instead: str) -> None:
    """Compile a method anew with one line changed."""
    function = getattr(owner, method)
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(line) == 1, f"{owner.__name__}.{method} has no such line any more: {line}"
    names: dict[str, Any] = {}
    exec(source.replace(line, instead), sys.modules[owner.__module__].__dict__, names)
    setattr(owner, method, names[method])


def __getattr__(name: str) -> Any:
    # Made when it is asked for: making one breaks the others.
    if name == "no_release":
        _mutate(LocalManager, "cleanup", "_release_all(self.locals)", "pass")
    elif name == "no_pop":
        # As without `finally`: an error that escapes passes it by.
        _mutate(App, "wsgi_app", "ctx.end(error, escaping)", "escaping or ctx.end(error, escaping)")
    elif name == "no_death_callback":
        _mutate(Storage, "own", "rawlink(clear_lane)", "pass")
    elif name == "from_request":
        # Looks right in every reply, whatever is kept: the lane is asked only whether it holds anything.
        _mutate(ContextOfRequest, "read", "g.get(field)", 'g.get(field) and request.args["nonce"]')
    else:
        raise AttributeError(name)
    return create_demo(secret_key="tests")
