"""The test client: requests to an App in the same process, without a server.

Knows the App by its interface only; :mod:`greenlane.testing` offers it to tests.
"""

from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import werkzeug.test
from werkzeug.test import TestResponse

from greenlane.app import jsoncodec
from greenlane.app.contexts import PRESERVE, RequestContext
from greenlane.app.globals import request_stack
from greenlane.app.holds import Hold
from greenlane.app.lanes import Errors, lane_of, raise_first

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment
    from werkzeug.datastructures import Headers

    from greenlane.app.app import App
    from greenlane.app.sessions import SessionMixin


class EnvironBuilder(werkzeug.test.EnvironBuilder):
    """Builds a WSGI environment, at the address that the settings of ``app`` give.

    Args:
        app: the App that is to answer.
        path: the path, or a whole URL, with the query if there is one.
        base_url: where the App is mounted, instead of PREFERRED_URL_SCHEME,
            SERVER_NAME (by default ``localhost``) and APPLICATION_ROOT.
        subdomain: goes before SERVER_NAME.
        url_scheme: instead of PREFERRED_URL_SCHEME.
        args: more positional arguments of Werkzeug's class.
        kwargs: its keyword arguments: ``method``, ``headers``, ``data``, ``json``, ...

    Raises:
        TypeError: a ``subdomain`` or ``url_scheme`` beside a ``base_url``, which has its own.

    """

    json_dumps = staticmethod(jsoncodec.dumps)

    def __init__(
        self,
        app: "App",
        path: str = "/",
        base_url: str | None = None,
        subdomain: str | None = None,
        url_scheme: str | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        if base_url is not None and (subdomain or url_scheme):
            raise TypeError("base_url has a host and a scheme: leave out subdomain and url_scheme.")
        if base_url is None:
            config = app.config
            scheme, host = url_scheme or config["PREFERRED_URL_SCHEME"], config["SERVER_NAME"] or "localhost"
            if subdomain:
                host = f"{subdomain}.{host}"
            if path.startswith(("http://", "https://")):
                scheme, host, *rest = urlsplit(path)
                path = urlunsplit(("", "", *rest))
            base_url = f"{scheme}://{host}/{config['APPLICATION_ROOT'].lstrip('/')}"
        super().__init__(path, base_url, *args, **kwargs)


class Client(werkzeug.test.Client):
    """A client with a cookie jar of its own.

    ::

        client = app.test_client()
        assert client.get("/hello/ada").json == {"hello": "ada"}

    In a block, the last request stays current, also when its view raised, so that a
    test can look at it::

        with client:
            client.get("/hello/ada")
            assert request.view_args == {"name": "ada"}

    Until when: the client's next request, the end of the block, or the next push in
    this greenlet (another client's request, say). Only then its teardown functions
    run. Requests that the client sends from other greenlets, or from inside a view that
    answers it, end with their response as always.

    Attributes:
        environ_base: what every request starts with, as WSGI names and values.

    """

    def __init__(self, application: "App", *args: Any, **kwargs: Any) -> None:
        super().__init__(application, *args, **kwargs)
        self.app = application
        self.environ_base: dict[str, Any] = {"REMOTE_ADDR": "127.0.0.1", "HTTP_USER_AGENT": "greenlane-test"}
        self._block_lane: Hashable = None  # of the `with` block, while there is one
        self._sending = False
        # From the App's end to ours. Several when a middleware asked the App several times.
        self._holds: list[tuple[RequestContext, Hold]] = []
        self._kept: RequestContext | None = None

    def open(
        self, *args: Any, buffered: bool = False, follow_redirects: bool = False, **kwargs: Any
    ) -> TestResponse:
        """Send a request and return the response.

        Args:
            args: those of :class:`EnvironBuilder` after the App, or a builder, an
                environment or a request that is ready to send.
            buffered: read the whole body before returning.
            follow_redirects: go on to where the response sends.
            kwargs: keyword arguments of :class:`EnvironBuilder`.

        """
        if not args or isinstance(args[0], str):
            kwargs["environ_base"] = {**self.environ_base, **(kwargs.get("environ_base") or {})}
            builder = EnvironBuilder(self.app, *args, **kwargs)
            try:
                args, kwargs = (builder.get_request(),), {}
            finally:
                builder.close()
        return super().open(*args, buffered=buffered, follow_redirects=follow_redirects, **kwargs)

    @contextmanager
    def session_transaction(self, *args: Any, **kwargs: Any) -> "Iterator[SessionMixin]":
        """Look into and change the session that the client's next request will have.

        ::

            with client.session_transaction() as session:
                session["user"] = "ada"

        Args:
            args: those of :meth:`App.test_request_context`, for sessions that depend
                on the request.
            kwargs: likewise.

        Raises:
            TypeError: the client keeps no cookies.
            RuntimeError: the App has no secret key.

        """
        if self._cookies is None:
            raise TypeError("This client keeps no cookies: make it with use_cookies=True.")
        app = self.app
        ctx = app.test_request_context(*args, **kwargs)
        self._add_cookies_to_wsgi(ctx.request.environ)
        with ctx:
            session = ctx.session
        if app.session_interface.is_null_session(session):
            raise RuntimeError("There is no session without a secret key: set app.secret_key.")
        yield session
        response = app.response_class()
        with ctx:
            app.session_interface.save_session(app, session, response)
        self._update_cookies_from_response(
            ctx.request.host.partition(":")[0], ctx.request.path, response.headers.getlist("Set-Cookie")
        )

    def run_wsgi_app(
        self, environ: "WSGIEnvironment", buffered: bool = False
    ) -> "tuple[Iterable[bytes], str, Headers]":
        """Call the App, each time when redirects are followed; in a block, keep the context.

        The App only holds it for us: no middleware may find it in the lane.
        """
        if self._sending or self._block_lane is not lane_of(request_stack):
            return super().run_wsgi_app(environ, buffered)
        self._end_kept()
        self._sending = True
        try:
            return super().run_wsgi_app({**environ, PRESERVE: self._hold_context}, buffered)
        finally:
            self._sending = False
            self._keep_last()

    def _hold_context(self, ctx: RequestContext) -> None:
        if ctx.pushed:  # not when the view popped it
            self._holds.append((ctx, Hold(ctx)))

    def _keep_last(self) -> None:
        holds, self._holds = self._holds, []
        if not holds:
            return
        *earlier, (ctx, last) = holds
        errors: Errors = []
        for _, hold in earlier:
            hold.let_go(None, errors)
        ctx.enter()
        ctx.preserved = True
        self._kept = ctx
        last.let_go(None, errors)  # it is pushed, so nothing ends here
        raise_first(errors, self.app.logger, escaping=None)

    def _end_kept(self, escaping: BaseException | None = None) -> None:
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.end(escaping=escaping)

    def __enter__(self) -> "Client":
        if self._block_lane is not None:
            raise RuntimeError("This client is in a with block already: use another client in a nested one.")
        self._block_lane = lane_of(request_stack)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        """End the request that was kept, if it has not ended by itself."""
        self._block_lane = None
        self._end_kept(escaping=exc)
