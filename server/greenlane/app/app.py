"""App: what answers requests. Its ``wsgi_app`` is the life of a request on one screen.

The half that is set up before serving is in :mod:`greenlane.app.setup`, the rules
for what a view may return in :mod:`greenlane.app.responses`. Nothing here knows of
the server: an App is a WSGI application like any other (PEP 3333).
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

from werkzeug.exceptions import HTTPException, InternalServerError
from werkzeug.routing import RequestRedirect
from werkzeug.utils import redirect
from werkzeug.wrappers import Response as WerkzeugResponse

from greenlane.app import responses, routing
from greenlane.app.appcontext import AppContext
from greenlane.app.bodies import TidyBody
from greenlane.app.client import Client, EnvironBuilder
from greenlane.app.contexts import PRESERVE, RequestContext
from greenlane.app.sessions import SecureCookieSessionInterface, SessionInterface, vary_on_cookie
from greenlane.app.setup import AppRule, Setup
from greenlane.app.streaming import abandon_streams
from greenlane.app.wrappers import Request, Response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

T = TypeVar("T")


class App(Setup):
    """A WSGI application made of views, each of which sees only its own request.

    ::

        app = App(__name__)

        @app.get("/hello/<name>")
        def hello(name):
            return {"hello": name, "page": request.args.get("page", 1, type=int)}

    Attributes:
        request_class: makes the request objects.
        response_class: makes the response objects.
        session_interface: opens and saves sessions; signed cookies by default.
        test_client_class: makes the test clients.

    """

    request_class: type[Request] = Request
    response_class: type[Response] = Response
    session_interface: SessionInterface = SecureCookieSessionInterface()
    test_client_class: type[Client] = Client

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a request through :attr:`wsgi_app`, which middleware may have wrapped.

        ``app.wsgi_app = Middleware(app.wsgi_app)`` keeps ``app`` and its attributes at hand.
        """
        return self.wsgi_app(environ, start_response)

    def wsgi_app(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a request: this is its whole life.

        The push stands inside ``try`` and the pop in ``finally``, so that nothing
        stays for the connection's next request: not after an error, not after a
        kill (GreenletExit) or a timeout (gevent.Timeout), not when a hook fails.
        When a streamed body holds the context, it leaves the lane all the same, and
        only its teardown functions wait for the stream.
        """
        preserve = environ.pop(PRESERVE, None)
        ctx = self.request_context(environ)
        error: BaseException | None = None
        escaping: BaseException | None = None
        try:
            try:
                ctx.push()
                response = self.full_dispatch_request(ctx)
            except Exception as unhandled:
                error = unhandled
                abandon_streams(ctx, unhandled)
                response = self.handle_exception(ctx, unhandled)
            body = response(environ, start_response)
            # Not for a file, which servers know by its class and send by themselves.
            tidy = response.is_streamed and not response.direct_passthrough
            return TidyBody(body, self.logger) if tidy else body
        except BaseException as raised:
            error = escaping = raised
            abandon_streams(ctx, raised)
            raise
        finally:
            if preserve is not None:
                preserve(ctx)
            ctx.end(error, escaping)
            # This frame is in the errors' tracebacks: its variables would keep them, and with
            # them the request, until the collector comes.
            del error, escaping

    def full_dispatch_request(self, ctx: RequestContext) -> Response:
        """Run the hooks, the view and the error handlers, and finish the response."""
        self.got_first_request = True
        try:
            answer = self.preprocess_request()
            if answer is None:
                answer = self.dispatch_request(ctx)
        except Exception as error:
            # Here and not below: the answer may be the error itself, whose traceback refers
            # to this frame, so a local variable would keep the request until the collector comes.
            try:
                return self.finalize_request(ctx, self.handle_user_exception(error))
            finally:
                if error is ctx.request.routing_exception:
                    error.__traceback__ = None  # the request refers to it, and it to the request
        return self.finalize_request(ctx, answer)

    def preprocess_request(self) -> Any:
        """Call the before_request functions until one returns an answer."""
        for function in self.before_request_funcs:
            answer = function()
            if answer is not None:
                return answer
        return None

    def dispatch_request(self, ctx: RequestContext) -> Any:
        """Call the view, or raise why there is none."""
        request = ctx.request
        if request.routing_exception is not None:
            raise request.routing_exception
        rule = request.url_rule
        if rule is None:
            raise RuntimeError(f"{ctx!r} has not been matched: it was never pushed.")
        if request.method == "OPTIONS" and isinstance(rule, AppRule) and rule.automatic_options:
            return self.make_default_options_response(ctx)
        return self.view_functions[rule.endpoint](**(request.view_args or {}))

    def make_default_options_response(self, ctx: RequestContext) -> Response:
        """Answer OPTIONS with the methods that the URL allows."""
        response = self.response_class()
        if ctx.url_adapter is not None:
            response.allow.update(ctx.url_adapter.allowed_methods())
        return response

    def finalize_request(
        self, ctx: RequestContext, answer: Any, from_error_handler: bool = False
    ) -> Response:
        """Turn an answer into a response, and run what comes after the view.

        Args:
            ctx: the request's context.
            answer: what the view, a hook or an error handler returned.
            from_error_handler: log errors instead of raising them, because the
                response already reports one.

        """
        response = self.make_response(answer)
        try:
            response = self.process_response(ctx, response)
        except Exception:
            if not from_error_handler:
                raise
            self.logger.exception("Finishing the response to an error failed")
        if ctx.opened_session is not None and ctx.opened_session.accessed:
            # Here and not with the cookie: a reply depends on the cookie also when
            # the session was only read, or when a hook failed.
            vary_on_cookie(response)
        ctx.answered = True
        return response

    def process_response(self, ctx: RequestContext, response: Response) -> Response:
        """Call the after_request functions, then save the session, which they may have changed.

        Those of the request come before those of the App, which may add some more. Each
        is taken out first, so that the response to an error does not call it again.
        """
        own = ctx.after_request_functions
        if own or self.after_request_funcs:
            for function in chain(_taken(own), reversed(self.after_request_funcs), _taken(own)):
                response = function(response)
        session = ctx.opened_session
        if session is not None and not self.session_interface.is_null_session(session):
            self.session_interface.save_session(self, session, response)
        return response

    # Errors

    def handle_user_exception(self, error: Exception) -> Any:
        """Answer an exception of a hook or a view; raise it when nobody handles it."""
        if isinstance(error, HTTPException):
            return self.handle_http_exception(error)
        handler = self.find_error_handler(error)
        if handler is None:
            try:
                raise error
            finally:
                del error  # as in wsgi_app
        return handler(error)

    def handle_http_exception(self, error: HTTPException) -> Any:
        """Answer an HTTP error by its handler, or as it is."""
        # Neither a redirect to the canonical URL nor an abort(response) is an error.
        if error.code is None or isinstance(error, RequestRedirect):
            return error
        handler = self.find_error_handler(error)
        return error if handler is None else handler(error)

    def handle_exception(self, ctx: RequestContext, error: Exception) -> Response:
        """Answer an exception that nobody handled: log it, and show the client a plain 500.

        Raises:
            Exception: ``error`` itself, when PROPAGATE_EXCEPTIONS says so, or is None
                and the App is ``testing``.

        """
        propagate = self.config["PROPAGATE_EXCEPTIONS"]
        if self.testing if propagate is None else propagate:
            raise error
        self.log_exception(ctx, error)
        server_error = InternalServerError(original_exception=error)
        handler = self.find_error_handler(server_error)
        if handler is not None:
            try:
                return self.finalize_request(ctx, handler(server_error), from_error_handler=True)
            except Exception:
                self.logger.exception("The error handler for 500 failed")
        return self.finalize_request(ctx, server_error.get_response(), from_error_handler=True)

    def log_exception(self, ctx: RequestContext, error: BaseException) -> None:
        """Log an unhandled exception with its traceback, which only the log ever shows."""
        self.logger.error("Exception on %s [%s]", ctx.request.path, ctx.request.method, exc_info=error)

    # For views

    def make_response(self, value: Any) -> Response:
        """Turn what a view returned into a response.

        Args:
            value: str or bytes (the body), dict or list (JSON), an iterator (the body,
                streamed), a Response, any WSGI application, or a tuple of one of
                these: ``(body, status)``, ``(body, headers)`` or ``(body, status, headers)``.

        Raises:
            TypeError: it is None, or none of these.

        """
        return responses.make_response(self, value)

    def redirect(self, location: str, code: int = 302) -> WerkzeugResponse:
        """Make a response that sends the client to ``location``."""
        return redirect(location, code, self.response_class)

    def url_for(
        self,
        endpoint: str,
        *,
        _anchor: str | None = None,
        _method: str | None = None,
        _scheme: str | None = None,
        _external: bool | None = None,
        **values: Any,
    ) -> str:
        """Build the URL of an endpoint.

        Args:
            endpoint: its name.
            _anchor: goes behind a ``#``.
            _method: of several rules, take the one for this HTTP method.
            _scheme: of an external URL, instead of the request's.
            _external: with scheme and host. By default only outside of a request.
            values: for the variable parts; what is left over becomes the query.

        Raises:
            BuildError: no rule of the endpoint takes these values.
            RuntimeError: outside of a request, without the SERVER_NAME setting.
            ValueError: a scheme for a URL that is not external.

        """
        return routing.url_for(
            self,
            endpoint,
            anchor=_anchor,
            method=_method,
            scheme=_scheme,
            external=_external,
            values=values,
        )

    # Contexts

    def app_context(self) -> AppContext:
        """Make an application context: ``with app.app_context():`` makes this App current."""
        return AppContext(self)

    def request_context(self, environ: "WSGIEnvironment") -> RequestContext:
        """Make the context of a request that is given as a WSGI environment."""
        return RequestContext(self, environ)

    def test_request_context(self, *args: Any, **kwargs: Any) -> RequestContext:
        """Make the context of a request that never came; arguments as for werkzeug's EnvironBuilder."""
        builder = EnvironBuilder(self, *args, **kwargs)
        try:
            return self.request_context(builder.get_environ())
        finally:
            builder.close()

    def test_client(self, use_cookies: bool = True, **kwargs: Any) -> Client:
        """Make a client that calls this App in process, without a server."""
        return self.test_client_class(self, self.response_class, use_cookies=use_cookies, **kwargs)


def _taken(items: list[T]) -> Iterator[T]:
    """Take the items out one by one, also those that are added meanwhile."""
    while items:
        yield items.pop(0)
