"""The words of the checker: roles, judgements of a checkpoint, kinds of anomaly, outcomes, verdicts."""

from enum import Enum
from typing import Literal, TypeAlias

Role: TypeAlias = Literal["subject", "control", "observed", "variant"]


class Check(Enum):
    """The judgement of one checkpoint."""

    OWN = "own"
    """Every field holds the own nonce."""
    FOREIGN = "foreign"
    """The fields agree on somebody else's nonce."""
    TORN = "torn"
    """The fields differ."""
    MISSING = "missing"
    """There is nothing in any field, or reading raised an error."""


class Kind(Enum):
    """What can be wrong, in the order in which examples of it are told."""

    FOREIGN = "foreign"
    """A checkpoint read somebody else's nonce."""
    STALE = "stale"
    """A request found something before it had written."""
    TORN = "torn"
    """A checkpoint read fields that differ."""
    MISSING = "missing"
    """A checkpoint read nothing, or raised."""
    OFF_BY_ONE = "off-by-one"
    """On one channel, request after request reads what one a fixed number before it wrote."""
    LOST_UPDATE = "lost-update"
    """What a request wrote was overwritten, and nobody ever read it."""


class Outcome(Enum):
    """What came of one cell: the first that applies."""

    CROSS_TALK = "cross-talk"
    """A request met data that was not its own."""
    LEAK = "leak"
    """Entries or contexts were left at idle."""
    INCONCLUSIVE = "inconclusive"
    """Too few requests, failed requests, or something that is not known."""
    MISSING = "missing"
    """A check found nothing where the own nonce should be."""
    NO_OVERLAP = "no-overlap"
    """The requests ran one after another: nothing could have been mixed up."""
    ISOLATED = "isolated"
    """None of these."""


class Verdict(Enum):
    """The verdicts on a run in their order, each with its exit code."""

    CROSS_TALK = "CROSS-TALK"
    LEAK = "LEAK"
    BLIND = "BLIND"
    INCONCLUSIVE = "INCONCLUSIVE"
    ISOLATED = "ISOLATED"

    @property
    def exit_code(self) -> int:
        """What ``crosstalk prove`` exits with."""
        return {"ISOLATED": 0, "CROSS-TALK": 10, "LEAK": 11, "BLIND": 12, "INCONCLUSIVE": 13}[self.value]
