"""The oracle: judges one reply against the one nonce that its request wrote.

It sees a nonce and what was read, nothing else: not which strategy it was, nor
whether that one is expected to hold.
"""

from dataclasses import dataclass
from enum import Enum

from crosstalk.reply import Checkpoint, Fields, Reply


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


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one reply shows.

    Attributes:
        stale: something was found in the lane before this request wrote.
        checks: one for each checkpoint, in order.

    """

    stale: bool
    checks: tuple[Check, ...]

    @property
    def cross_talk(self) -> bool:
        """Whether the request met data that was not its own: any check foreign or torn, or stale."""
        return self.stale or Check.FOREIGN in self.checks or Check.TORN in self.checks


def judge(nonce: str, reply: Reply) -> Judgement:
    """Judge ``reply``, the answer to the request that wrote ``nonce``."""
    return Judgement(
        stale=any(value is not None for value in reply.found.values()),
        checks=tuple(judge_checkpoint(nonce, checkpoint) for checkpoint in reply.checkpoints),
    )


def judge_checkpoint(nonce: str, checkpoint: Checkpoint) -> Check:
    """Judge one checkpoint of the request that wrote ``nonce``."""
    values = set(checkpoint.read.values())
    if checkpoint.error is not None or values <= {None}:
        return Check.MISSING
    if len(values) > 1:
        return Check.TORN
    return Check.OWN if values == {nonce} else Check.FOREIGN


def foreign_values(nonce: str, fields: Fields) -> list[str]:
    """Return the nonces among ``fields`` that are not ``nonce``: whose data was read."""
    return [value for value in dict.fromkeys(fields.values()) if value is not None and value != nonce]
