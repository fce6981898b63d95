"""A load generator that mixes up its own users: what it says of a server is of itself.

Nothing of this is in the server. The load test tries its users against an echo of its own, which
cannot mix up anything, and against one that can do nothing else.
"""

from collections.abc import Mapping

from greenlane.demo.hazards.hazard import Exercise, Hazard, everywhere


class BlindGenerator(Hazard):
    """The question of who proves the prover."""

    name = "blind-generator"
    summary = (
        "The users of a load generator share state, so that it judges one user's reply by another's nonce."
    )
    shows = "cross-talk is reported of a server that has none"
    cause = (
        "The users of a load test run on greenlets as well, and what holds for request data holds for "
        "theirs: a nonce in a variable of the class is everybody's, and so is a cookie jar."
    )
    incidents = ("https://github.com/locustio/locust/issues/733",)
    caught_as = ("self-test",)
    exercise = Exercise("self-test")
    own_server = "self-test"
    not_applicable = everywhere("the state that is mixed up is the load test's")

    def variants(self) -> Mapping[str, str]:
        """Return who is tried against which echo: a generator is right when it clears one and catches one."""
        return {
            "broken": "Users that keep their nonce in a variable of their class, against an echo that holds.",
            "fixed": "The load test's own users, against the same echo: they must find nothing.",
            "known-bad": "The load test's own users, against an echo that mixes up all: they must find it.",
        }
