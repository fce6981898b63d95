"""Setup: what is registered on an App before it answers its first request.

The App's other half, :mod:`greenlane.app.app`, reads what is collected here:
settings, routes, hooks and error handlers. Nothing here knows of requests.
"""

import logging
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from werkzeug.exceptions import HTTPException, default_exceptions
from werkzeug.routing import Rule

from greenlane.app.appcontext import Counts
from greenlane.app.config import DEFAULTS, Config
from greenlane.app.routing import AppMap

if TYPE_CHECKING:
    from greenlane.app.wrappers import Response

View: TypeAlias = Callable[..., Any]
BeforeRequest: TypeAlias = Callable[[], Any]
AfterRequest: TypeAlias = "Callable[[Response], Response]"
Teardown: TypeAlias = Callable[[BaseException | None], object]
ErrorHandler: TypeAlias = Callable[[Any], Any]

V = TypeVar("V", bound=View)
B = TypeVar("B", bound=BeforeRequest)
A = TypeVar("A", bound="AfterRequest")
T = TypeVar("T", bound=Teardown)
E = TypeVar("E", bound=ErrorHandler)


class Setup:
    """Collects settings, routes, hooks and error handlers.

    Args:
        import_name: usually ``__name__`` of the module that makes the App. It names
            the App in messages and its logger.

    Everything here may be used until the first request, and raises AssertionError
    afterwards: a route or a hook that is added then would reach only some requests.

    Attributes:
        counts: the contexts of this App that were pushed and popped.

    """

    def __init__(self, import_name: str) -> None:
        self.import_name = import_name
        self.name = import_name
        self.config = Config(DEFAULTS)
        self.url_map = AppMap()
        self.view_functions: dict[str, View] = {}
        self.before_request_funcs: list[BeforeRequest] = []
        self.after_request_funcs: list[AfterRequest] = []
        self.teardown_request_funcs: list[Teardown] = []
        self.teardown_appcontext_funcs: list[Teardown] = []
        # By status code, None for handlers of exception classes, then by class.
        self.error_handlers: dict[int | None, dict[type[Exception], ErrorHandler]] = {}
        self.got_first_request = False
        self.counts = Counts()

    # Settings

    @property
    def secret_key(self) -> str | bytes | None:
        """The SECRET_KEY setting: signs the session cookie."""
        key: str | bytes | None = self.config["SECRET_KEY"]
        return key

    @secret_key.setter
    def secret_key(self, value: str | bytes | None) -> None:
        self.config["SECRET_KEY"] = value

    @property
    def testing(self) -> bool:
        """The TESTING setting: unhandled exceptions are raised to the test client."""
        return bool(self.config["TESTING"])

    @testing.setter
    def testing(self, value: bool) -> None:
        self.config["TESTING"] = value

    @property
    def debug(self) -> bool:
        """The DEBUG setting, for the program's own use: no traceback reaches a client either way."""
        return bool(self.config["DEBUG"])

    @debug.setter
    def debug(self, value: bool) -> None:
        self.config["DEBUG"] = value

    @property
    def permanent_session_lifetime(self) -> timedelta:
        """The PERMANENT_SESSION_LIFETIME setting, which may also be a number of seconds."""
        value = self.config["PERMANENT_SESSION_LIFETIME"]
        return value if isinstance(value, timedelta) else timedelta(seconds=value)

    @permanent_session_lifetime.setter
    def permanent_session_lifetime(self, value: timedelta | int) -> None:
        self.config["PERMANENT_SESSION_LIFETIME"] = value

    @property
    def logger(self) -> logging.Logger:
        """The logger by the App's name. Unhandled exceptions go to it, with their tracebacks."""
        return logging.getLogger(self.name)

    # Routes

    def add_url_rule(
        self,
        rule: str,
        endpoint: str | None = None,
        view_func: View | None = None,
        provide_automatic_options: bool | None = None,
        *,
        methods: Iterable[str] | None = None,
        **options: Any,
    ) -> None:
        """Let ``view_func`` answer the URLs that match ``rule``.

        Args:
            rule: the path, with variable parts like ``<int:page>``.
            endpoint: the name for :func:`url_for`; by default the function's name.
            view_func: the function. It may be left out and put into
                ``view_functions`` later.
            provide_automatic_options: answer OPTIONS without the view; by default
                unless ``methods`` lists it.
            methods: the HTTP methods; by default GET. HEAD comes with GET.
            options: for :class:`werkzeug.routing.Rule` (``defaults``,
                ``strict_slashes``, ``host``, ...).

        Raises:
            AssertionError: the endpoint has another function already, or a request
                has been handled.
            TypeError: ``methods`` is a string, or neither an endpoint nor a
                function is given.

        """
        self._check_setup("add_url_rule")
        if isinstance(methods, str):
            raise TypeError(f'methods is a list of names: methods=["{methods}"]')
        if endpoint is None:
            if view_func is None:
                raise TypeError("add_url_rule needs an endpoint or a view_func")
            endpoint = view_func.__name__
        known = self.view_functions.get(endpoint)
        # Not by identity: a bound method is a new object each time.
        if view_func is not None and known is not None and known != view_func:
            raise AssertionError(
                f"The endpoint {endpoint!r} belongs to another view function ({known!r}): "
                "give one of them a name of its own with endpoint="
            )
        names = {"GET"} if methods is None else {name.upper() for name in methods}
        if provide_automatic_options is None:
            provide_automatic_options = "OPTIONS" not in names
        if provide_automatic_options:
            names.add("OPTIONS")
        url_rule = AppRule(rule, endpoint=endpoint, methods=names, **options)
        url_rule.automatic_options = provide_automatic_options
        self.url_map.add(url_rule)
        if view_func is not None:
            self.view_functions[endpoint] = view_func

    def route(self, rule: str, **options: Any) -> Callable[[V], V]:
        """Register the decorated view for ``rule``; options as for :meth:`add_url_rule`."""

        def decorator(view_func: V) -> V:
            self.add_url_rule(rule, view_func=view_func, **options)
            return view_func

        return decorator

    def get(self, rule: str, **options: Any) -> Callable[[V], V]:
        """Register the decorated view for GET (and HEAD)."""
        return self.route(rule, methods=["GET"], **options)

    def post(self, rule: str, **options: Any) -> Callable[[V], V]:
        """Register the decorated view for POST."""
        return self.route(rule, methods=["POST"], **options)

    def put(self, rule: str, **options: Any) -> Callable[[V], V]:
        """Register the decorated view for PUT."""
        return self.route(rule, methods=["PUT"], **options)

    def patch(self, rule: str, **options: Any) -> Callable[[V], V]:
        """Register the decorated view for PATCH."""
        return self.route(rule, methods=["PATCH"], **options)

    def delete(self, rule: str, **options: Any) -> Callable[[V], V]:
        """Register the decorated view for DELETE."""
        return self.route(rule, methods=["DELETE"], **options)

    # Hooks

    def before_request(self, function: B) -> B:
        """Call before each view. What it returns, unless None, is the answer instead."""
        self._check_setup("before_request")
        self.before_request_funcs.append(function)
        return function

    def after_request(self, function: A) -> A:
        """Call with each response, the last registered first; it returns the response to send."""
        self._check_setup("after_request")
        self.after_request_funcs.append(function)
        return function

    def teardown_request(self, function: T) -> T:
        """Call at the end of each request, whatever happened, with the unhandled error or None."""
        self._check_setup("teardown_request")
        self.teardown_request_funcs.append(function)
        return function

    def teardown_appcontext(self, function: T) -> T:
        """Call when an application context ends, with the unhandled error or None."""
        self._check_setup("teardown_appcontext")
        self.teardown_appcontext_funcs.append(function)
        return function

    # Error handlers

    def errorhandler(self, code_or_exception: int | type[Exception]) -> Callable[[E], E]:
        """Register the decorated function; see :meth:`register_error_handler`."""

        def decorator(function: E) -> E:
            self.register_error_handler(code_or_exception, function)
            return function

        return decorator

    def register_error_handler(
        self, code_or_exception: int | type[Exception], function: ErrorHandler
    ) -> None:
        """Let ``function`` answer errors of a status code or an exception class.

        It is called with the exception, and may return whatever a view may. A
        handler of a code goes before one of a class, and the nearest class before
        its bases. The handler of 500 also gets what nobody handled, as an
        InternalServerError whose ``original_exception`` is the error.

        Raises:
            ValueError: there is no HTTP error of this code.
            TypeError: it is neither a code nor a class of exceptions.

        """
        self._check_setup("register_error_handler")
        exception, code = _class_and_code(code_or_exception)
        self.error_handlers.setdefault(code, {})[exception] = function

    def find_error_handler(self, error: Exception) -> ErrorHandler | None:
        """Find the handler for ``error``: by its code, then by its class and their bases."""
        exception, code = _class_and_code(type(error))
        for key in (code, None) if code is not None else (None,):
            handlers = self.error_handlers.get(key)
            if handlers:
                for base in exception.__mro__:
                    if base in handlers:
                        return handlers[base]
        return None

    def _check_setup(self, method: str) -> None:
        if self.got_first_request:
            raise AssertionError(
                f"{method}() came too late: {self.name!r} has already handled its first request, and what "
                "is added now would reach only some of them. Register everything before serving."
            )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"


class AppRule(Rule):
    """A rule that knows whether the App answers OPTIONS for it."""

    automatic_options = True


def _class_and_code(code_or_exception: int | type[Exception]) -> tuple[type[Exception], int | None]:
    """Return the exception class, and its HTTP status code if it has one."""
    if isinstance(code_or_exception, int):
        if code_or_exception not in default_exceptions:
            raise ValueError(f"{code_or_exception} is not the code of an HTTP error: use one, or a class")
        exception: type[Exception] = default_exceptions[code_or_exception]
    elif isinstance(code_or_exception, type) and issubclass(code_or_exception, Exception):
        exception = code_or_exception
    else:
        raise TypeError(f"{code_or_exception!r} is neither a status code nor a class of exceptions")
    return exception, exception.code if issubclass(exception, HTTPException) else None
