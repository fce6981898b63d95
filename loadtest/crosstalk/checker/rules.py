"""The rules: each names one thing that can be wrong, and nothing but :data:`RULES` decides what is.

A rule sees what was read and the nonce that should have been, never which strategy it
was. Every rule has a test in which nothing else finds what it finds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from crosstalk.checker.evidence import rows
from crosstalk.checker.kinds import Check, Kind
from crosstalk.reply import Checkpoint, Fields, Reply

if TYPE_CHECKING:
    from crosstalk.checker.tally import Tally


def missing(_nonce: str, checkpoint: Checkpoint) -> bool:
    """There is nothing in any field, or reading raised an error."""
    return checkpoint.error is not None or all(value is None for value in checkpoint.read.values())


def torn(_nonce: str, checkpoint: Checkpoint) -> bool:
    """The fields differ, and reading them raised nothing."""
    return checkpoint.error is None and len(set(checkpoint.read.values())) > 1


def foreign(nonce: str, checkpoint: Checkpoint) -> bool:
    """The fields agree on one value, and it is not the own nonce."""
    values = set(checkpoint.read.values())
    return checkpoint.error is None and len(values) == 1 and not values <= {None, nonce}


def stale(reply: Reply) -> bool:
    """Something was in the lane before this request wrote: also its own nonce, which cannot be there."""
    return any(value is not None for value in reply.found.values())


def off_by_one(tally: "Tally") -> int:
    """On one channel, requests in a row each read what the one a fixed number before wrote.

    So it looks when a reply was left in a connection: from then on everybody who uses
    it gets the reply to somebody before.
    """
    return sum(len(row.nonces) for row in rows(tally.victims))


def lost_update(tally: "Tally") -> int:
    """What a request wrote, nobody ever read: not the request, which read another's instead, nor anyone else.

    At least as many: once there are thousands, a sample of them is looked at.
    """
    level = max(tally.overwritten.level, tally.read_by_others.level)
    return len(tally.overwritten.at(level) - tally.read_by_others.at(level))


@dataclass(frozen=True, slots=True)
class Rules:
    """All the rules, by what they look at.

    Attributes:
        checkpoint: at one reading of a request, with the nonce that it wrote.
        request: at one reply.
        cell: at what is kept of all the requests of a cell.

    """

    checkpoint: Mapping[Check, Callable[[str, Checkpoint], bool]]
    request: Mapping[Kind, Callable[[Reply], bool]]
    cell: Mapping[Kind, "Callable[[Tally], int]"]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all rules."""
        return tuple(each.value for each in (*self.checkpoint, *self.request, *self.cell))

    def without(self, name: str) -> "Rules":
        """Return the rules but the one of that name."""
        return replace(
            self,
            checkpoint={check: rule for check, rule in self.checkpoint.items() if check.value != name},
            request={kind: rule for kind, rule in self.request.items() if kind.value != name},
            cell={kind: rule for kind, rule in self.cell.items() if kind.value != name},
        )


RULES = Rules(
    checkpoint={Check.MISSING: missing, Check.TORN: torn, Check.FOREIGN: foreign},
    request={Kind.STALE: stale},
    cell={Kind.OFF_BY_ONE: off_by_one, Kind.LOST_UPDATE: lost_update},
)


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


def judge(nonce: str, reply: Reply, rules: Rules = RULES) -> Judgement:
    """Judge ``reply``, the answer to the request that wrote ``nonce``, by itself."""
    return Judgement(
        any(rule(reply) for rule in rules.request.values()),
        tuple([judge_checkpoint(nonce, checkpoint, rules) for checkpoint in reply.checkpoints]),
    )


def judge_checkpoint(nonce: str, checkpoint: Checkpoint, rules: Rules = RULES) -> Check:
    """Judge one checkpoint of the request that wrote ``nonce``."""
    if checkpoint.error is None:
        for value in checkpoint.read.values():
            if value != nonce:
                break
        else:
            # No rule calls a checkpoint wrong that read the own nonce throughout: most of millions do.
            if checkpoint.read:
                return Check.OWN
    for check, rule in rules.checkpoint.items():
        if rule(nonce, checkpoint):
            return check
    return Check.OWN


def foreign_values(nonce: str, fields: Fields) -> list[str]:
    """Return the nonces among ``fields`` that are not ``nonce``: whose data was read."""
    return [value for value in dict.fromkeys(fields.values()) if value is not None and value != nonce]
