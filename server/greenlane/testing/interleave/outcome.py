"""What comes of a run: its choices, and what went wrong."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from greenlane.testing.interleave.tasks import Place, Step

Kind: TypeAlias = Literal["exception", "check", "deadlock", "endless", "nondeterministic"]


@dataclass(frozen=True)
class Waiting:
    """A greenlet that waits, and where."""

    task: str
    place: Place | None


@dataclass(frozen=True)
class Parting:
    """Where two runs with the same choices went different ways.

    Attributes:
        number: the first step that differs, from 1.
        once: that step in one run; None when the run had ended.
        then: that step in the other.

    """

    number: int
    once: Step | None
    then: Step | None


@dataclass(frozen=True)
class Problem:
    """What went wrong in a run.

    Attributes:
        kind: ``exception`` ended a greenlet; a ``check`` of the program failed;
            ``deadlock``: nothing can go on, though not all functions have ended;
            ``endless``: it took too many steps; ``nondeterministic``: the same
            choices led elsewhere.
        message: one line that says it.
        error: the exception, if there is one.
        place: the innermost line of the program that it came from.
        waiting: who waits where, for a deadlock; who still ran, for an endless run.
        parting: where runs parted, for a program that is not deterministic, if it showed again.

    """

    kind: Kind
    message: str
    error: BaseException | None = None
    place: Place | None = None
    waiting: tuple[Waiting, ...] = ()
    parting: Parting | None = None

    def like(self, other: "Problem | None") -> bool:
        """Whether ``other`` is the same for a reader: the same kind, by the same kind of exception."""
        return other is not None and (self.kind, type(self.error)) == (other.kind, type(other.error))


@dataclass
class Outcome:
    """What one run was.

    Attributes:
        options: how many options each choice had.
        taken: which one was taken.
        chosen: whose code went on, by its number.
        switches_at: how many switches had happened before each choice.
        steps: how many steps the run took.
        switches: how often another greenlet went on than the one before.
        problem: what went wrong, or None.
        misfit: a choice was not on offer, and the run ended there.
        trace: the steps, when they were traced.

    """

    options: list[int] = field(default_factory=list)
    taken: list[int] = field(default_factory=list)
    chosen: list[int] = field(default_factory=list)
    switches_at: list[int] = field(default_factory=list)
    steps: int = 0
    switches: int = 0
    problem: Problem | None = None
    misfit: bool = False
    trace: tuple[Step, ...] = ()

    def same_as(self, other: "Outcome") -> bool:
        """Whether both runs went the same way and came to the same end."""
        if (self.options, self.taken, self.chosen, self.steps) != (
            other.options,
            other.taken,
            other.chosen,
            other.steps,
        ):
            return False
        if self.problem is None or other.problem is None:
            return self.problem is other.problem
        return self.problem.like(other.problem)
