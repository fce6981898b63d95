"""What an operator asks of a running server: `/metrics`, `/healthz` and `/live`.

Rule: middleware around any WSGI application: always on around the
demonstration, and opt-in for other applications (`--ops`), so that it never
shadows their routes. May import everything but `greenlane.testing`,
`greenlane.demo` and the command line.
"""

from greenlane.ops.middleware import Ops

__all__ = ["Ops"]
