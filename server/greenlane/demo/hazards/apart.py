"""A variant in a server of its own: the same addresses and replies as in the demonstration, and nothing else.

For hazards that are about the server, or about how it was started. Must not import the
registry: whoever serves one hazard needs no other.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from werkzeug.exceptions import HTTPException, NotFound

from greenlane.demo.hazards.hazard import Cell, Variant
from greenlane.demo.pages import json_response, not_stored
from greenlane.demo.parameters import ParameterError
from greenlane.demo.probe import Kit, Turns
from greenlane.demo.switching import Switcher

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class Apart:
    """Answers for the variants of one hazard, below ``/hazards/<hazard>/``: a WSGI application.

    Args:
        hazard: its name.
        variants: what answers, by the name of the variant.

    """

    def __init__(self, hazard: str, variants: Mapping[str, type[Variant]]) -> None:
        self._in_flight = 0
        kit = Kit(Switcher(), Turns(), in_flight=lambda: self._in_flight)
        self._variants = {
            f"/hazards/{hazard}/{name}": variant(Cell(hazard, name, kit))
            for name, variant in variants.items()
        }

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
        """Answer a request; what is wrong with it is said in JSON."""
        self._in_flight += 1
        try:
            variant = self._variants.get(environ.get("PATH_INFO", ""))
            if variant is None:
                raise NotFound(f"There are {' and '.join(self._variants)}.")
            return variant(environ, start_response)
        except ParameterError as error:
            response = json_response({"error": str(error), "parameter": error.parameter}, status=400)
        except HTTPException as error:
            response = json_response({"error": error.description}, status=error.code or 500)
        finally:
            self._in_flight -= 1
        return not_stored(response)(environ, start_response)
