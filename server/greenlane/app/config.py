"""Config: the settings of an App, a dict with ways to fill it.

:data:`DEFAULTS` is the list of settings the App reads, with a reason beside each
default that needs one. Only names in capitals are settings. Imports nothing of ours.
"""

import json
import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from werkzeug.utils import import_string

DEFAULTS: Mapping[str, Any] = {
    "DEBUG": False,
    "TESTING": False,
    # None: an unhandled exception is raised to the caller when TESTING is on, and
    # otherwise answered with a 500. Debug mode is no reason to raise: whatever
    # serves the app might show the traceback to the client.
    "PROPAGATE_EXCEPTIONS": None,
    "SECRET_KEY": None,
    # Older keys that still verify a cookie, for changing SECRET_KEY without
    # ending every session.
    "SECRET_KEY_FALLBACKS": None,
    "PERMANENT_SESSION_LIFETIME": timedelta(days=31),
    "SESSION_COOKIE_NAME": "session",
    "SESSION_COOKIE_DOMAIN": None,
    "SESSION_COOKIE_PATH": None,  # None: APPLICATION_ROOT
    "SESSION_COOKIE_HTTPONLY": True,
    "SESSION_COOKIE_SECURE": False,
    "SESSION_COOKIE_PARTITIONED": False,
    # What browsers assume for a cookie without the attribute (RFC 6265bis,
    # section 5.6.7.1), said aloud because not all of them do.
    "SESSION_COOKIE_SAMESITE": "Lax",
    "SESSION_REFRESH_EACH_REQUEST": True,
    "MAX_CONTENT_LENGTH": None,
    "SERVER_NAME": None,
    "APPLICATION_ROOT": "/",
    "PREFERRED_URL_SCHEME": "http",
}


class Config(dict[str, Any]):
    """The settings of an App.

    ::

        app.config["SECRET_KEY"] = ...
        app.config.from_object("myproject.settings")
        app.config.from_prefixed_env()      # GREENLANE_SECRET_KEY=...
    """

    def from_mapping(self, mapping: Mapping[str, Any] | None = None, **kwargs: Any) -> bool:
        """Take the items whose names are in capitals, and pass over the others.

        Returns:
            True, as the classic method does.

        """
        for name, value in {**(mapping or {}), **kwargs}.items():
            if name.isupper():
                self[name] = value
        return True

    def from_object(self, obj: object | str) -> None:
        """Take the attributes of ``obj`` whose names are in capitals.

        Args:
            obj: a module, a class, any object, or the import name of one.

        Raises:
            ImportError: there is nothing by that import name.

        """
        if isinstance(obj, str):
            obj = import_string(obj)
        for name in dir(obj):
            if name.isupper():
                self[name] = getattr(obj, name)

    def from_prefixed_env(
        self, prefix: str = "GREENLANE", *, loads: Callable[[str], Any] = json.loads
    ) -> bool:
        """Take the environment variables that start with ``prefix`` and an underscore.

        Args:
            prefix: what the names start with.
            loads: reads a value; one it raises ValueError for is kept as text.

        ``GREENLANE_DB__HOST`` sets ``config["DB"]["HOST"]``: two underscores go
        one dict deeper.

        Returns:
            True, as the classic method does.

        """
        start = f"{prefix}_"
        for variable in sorted(name for name in os.environ if name.startswith(start)):
            try:
                value = loads(os.environ[variable])
            except ValueError:
                value = os.environ[variable]
            *parents, name = variable.removeprefix(start).split("__")
            target: dict[str, Any] = self
            for parent in parents:
                if not isinstance(target.get(parent), dict):
                    target[parent] = {}
                target = target[parent]
            target[name] = value
        return True

    def __repr__(self) -> str:
        # Names only: a config holds secrets, and reprs end up in logs.
        return f"<{type(self).__name__} {', '.join(sorted(self))}>"
