"""The arena of a race: a demonstration of its own, served at an address of its own while the race runs.

The race finds nothing that others left, leaves nothing to them, and its figures are of its own
requests alone. The address is this process's, on loopback: whatever stands before this process
(a proxy, TLS, a Unix socket, other processes that share its address), the load meets this one and no other.

Must not import the site or the views.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from greenlane import wsgi
from greenlane.app import App
from greenlane.demo.probing import with_probes
from greenlane.demo.race.recorder import Recorder
from greenlane.demo.race.settings import Settings
from greenlane.ops import Ops

_SERVED: Final = wsgi.Settings(access_log="off")  # up to thousands of lines, which say nothing of visitors


class Arena:
    """The arena of one race.

    Args:
        settings: what is raced in it.
        recorder: is told what each of its requests does.
        demo: the demonstration: counts these requests too, and tells of the Locals that are raced.

    Attributes:
        ops: the figures of the arena alone.

    """

    def __init__(self, settings: Settings, recorder: Recorder, demo: Ops) -> None:
        app = App(__name__)
        # Its own contexts alone: somebody else's request may be in flight when the race ends.
        self.ops, hazards = with_probes(app, [settings.hazard], recorder, app.counts)
        self._locals = {name: hazards.local(settings.hazard.name, name) for name in settings.strategies}
        app.wsgi_app = demo.counting(app.wsgi_app)  # type: ignore[assignment]  # wrapping is what it is for
        self._app = recorder.following(self.ops)
        self._demo = demo

    @contextmanager
    def served(self) -> Iterator[str]:
        """Serve it as long as the block lasts, and yield its address. What is in flight then is cut off.

        Raises:
            OSError: there is no socket to be had.

        """
        listener = wsgi.WSGIServer(("127.0.0.1", 0), self._app, settings=_SERVED)
        with self._told(), self._demo.beside(listener):
            listener.start()
            try:
                yield f"http://127.0.0.1:{listener.server_port}"
            finally:
                listener.stop(timeout=0)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Have the demonstration tell how many entries there are in the Locals that are raced."""
        with ExitStack() as stack:
            for name, local in self._locals.items():
                if local is not None:
                    stack.enter_context(self._demo.watching(f"race/{name}", local))
            yield
