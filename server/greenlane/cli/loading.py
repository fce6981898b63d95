"""Import MODULE and find APP in it, with errors that show the developer's own code and not ours.

Rule: see the package. Nothing here knows what is done with the application.
"""

import importlib
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, cast

from greenlane.cli.refusal import Refusal

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication


def load(target: str) -> "WSGIApplication":
    """Import the application that `target` names; the current directory is searched first.

    Raises:
        Refusal: there is no such module or application, or importing it fails.

    """
    module_name, colon, attribute = target.partition(":")
    if not all(part.isidentifier() for part in module_name.split(".")) or (colon and not attribute):
        raise Refusal(f"{target!r} is not MODULE:APP, such as myapp:app", exit_code=2)
    sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and f"{module_name}.".startswith(f"{error.name}."):
            raise Refusal(f"there is no module {error.name!r} here or installed", exit_code=2) from None
        _print_cause(error)
        raise Refusal(
            f"importing {module_name!r} failed: {type(error).__name__}: {error}", exit_code=1
        ) from None
    names = (attribute,) if colon else ("app", "application")
    for name in names:
        application = getattr(module, name, None)
        if callable(application):
            return cast("WSGIApplication", application)
        if application is not None:
            raise Refusal(f"{module_name}:{name} cannot be called: {application!r}", exit_code=2)
    raise Refusal(f"the module {module_name!r} has no {' or '.join(map(repr, names))}", exit_code=2)


def _print_cause(error: Exception) -> None:
    """Show the traceback from the developer's own code on, without ours and the import system's."""
    frames = error.__traceback__
    while frames is not None and _is_machinery(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    traceback.print_exception(type(error), error, frames)


def _is_machinery(filename: str) -> bool:
    return filename in (__file__, importlib.__file__) or filename.startswith("<frozen importlib")
