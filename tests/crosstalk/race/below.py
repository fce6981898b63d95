"""The demonstration below a path: ``greenlane run below:application``."""

from werkzeug.exceptions import NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from greenlane.demo import create_demo

application = DispatcherMiddleware(NotFound(), {"/below": create_demo(secret_key="tests")})
