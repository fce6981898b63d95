"""The test client: requests to an App in the same process, without a server.

Knows the App by its interface only; :mod:`greenlane.testing` offers it to tests.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import werkzeug.test
from werkzeug.test import TestResponse

from greenlane.app import jsoncodec

if TYPE_CHECKING:
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

    Attributes:
        environ_base: what every request starts with, as WSGI names and values.

    """

    def __init__(self, application: "App", *args: Any, **kwargs: Any) -> None:
        super().__init__(application, *args, **kwargs)
        self.app = application
        self.environ_base: dict[str, Any] = {"REMOTE_ADDR": "127.0.0.1", "HTTP_USER_AGENT": "greenlane-test"}

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

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        """Nothing to end: each request has ended with its response."""
