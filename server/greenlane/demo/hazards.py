"""The hazards of this demonstration: what breaks isolation, for whom, and how to see it.

Data for ``/probe/`` and the front page. Must not import the probe or the site.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Hazard:
    """A situation that breaks isolation for some strategies.

    Attributes:
        name: a word or two, with hyphens.
        summary: what happens.
        shows: where it shows in a probe's reply.
        broken: names of the strategies that fail in it.
        fixed: names of the strategies that hold in it.

    """

    name: str
    summary: str
    shows: str
    broken: tuple[str, ...]
    fixed: tuple[str, ...]


HAZARDS: Final = (
    Hazard(
        name="switching",
        summary="Another request runs between a write and the read that should return it.",
        shows="a checkpoint reads another request's nonce, or two different ones",
        broken=("shared-object", "native-thread-local", "thread-ident"),
        fixed=("local", "context", "gevent-local", "contextvar", "local-unreleased", "id-reused"),
    ),
    Hazard(
        name="keep-alive",
        summary="The greenlet of a kept-alive connection serves its next request, and nothing was released.",
        shows="found holds the nonce of the connection's previous request",
        broken=(
            "gevent-local",
            "contextvar",
            "local-unreleased",
            "id-reused",
            "shared-object",
            "native-thread-local",
            "thread-ident",
        ),
        fixed=("local", "context"),
    ),
    Hazard(
        name="ident-reuse",
        summary="A new greenlet gets the ident of a dead one, and with it the data left under that ident.",
        shows="found holds the nonce of a request on a connection that is long closed",
        broken=("id-reused", "thread-ident"),
        fixed=("local", "context", "gevent-local", "contextvar", "local-unreleased"),
    ),
)
