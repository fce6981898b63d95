"""A Django site in one file: a view with a session, a form that CSRF guards, a stream, and a file."""

import os
from collections.abc import Iterator
from pathlib import Path

import django  # type: ignore[import-untyped]
import gevent
from django.conf import settings  # type: ignore[import-untyped]
from django.core.wsgi import get_wsgi_application  # type: ignore[import-untyped]
from django.http import (  # type: ignore[import-untyped]
    FileResponse,
    HttpRequest,
    HttpResponse,
    JsonResponse,
    StreamingHttpResponse,
)
from django.middleware.csrf import get_token  # type: ignore[import-untyped]
from django.urls import path  # type: ignore[import-untyped]

settings.configure(
    DEBUG=False,
    SECRET_KEY="of these tests, and long enough for the checks of Django",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.middleware.http.ConditionalGetMiddleware",
    ],
    # By the environment, so that the file is the test's.
    MEDIA_ROOT=os.environ.get("MEDIA_ROOT", ""),
)
django.setup()


def view(request: HttpRequest, nonce: str) -> JsonResponse:
    """The visits of one session, and the nonce after others have run."""
    request.session["visits"] = request.session.get("visits", 0) + 1
    request.session["nonce"] = nonce
    gevent.sleep(0.002)
    return JsonResponse(
        {"nonce": nonce, "session": request.session["nonce"], "visits": request.session["visits"]}
    )


def form(request: HttpRequest) -> HttpResponse:
    """A form, and what was entered in it."""
    if request.method == "POST":
        uploaded = request.FILES.get("file")
        size = uploaded.size if uploaded else 0
        return JsonResponse({"name": request.POST["name"], "size": size})
    return HttpResponse(get_token(request), content_type="text/plain")


def stream(request: HttpRequest) -> StreamingHttpResponse:
    """Five hundred lines."""

    def lines() -> Iterator[str]:
        for number in range(500):
            if number % 50 == 0:
                gevent.sleep(0.001)
            yield f"line {number}\n"

    return StreamingHttpResponse(lines(), content_type="text/plain")


def file(request: HttpRequest) -> FileResponse:
    """Goes through the server's `wsgi.file_wrapper`."""
    return FileResponse((Path(settings.MEDIA_ROOT) / "film").open("rb"), as_attachment=True)


def unchanging(request: HttpRequest) -> HttpResponse:
    """Has an ETag, by ConditionalGetMiddleware."""
    return HttpResponse("always the same", content_type="text/plain")


def broken(request: HttpRequest) -> HttpResponse:
    """Fail."""
    raise RuntimeError("a secret of the program")


urlpatterns = [
    path("view/<nonce>", view),
    path("form", form),
    path("stream", stream),
    path("file", file),
    path("unchanging", unchanging),
    path("broken", broken),
]

application = get_wsgi_application()
