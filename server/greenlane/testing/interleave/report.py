"""What a person reads: an exploration in words, with the steps of a failure."""

import linecache
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from greenlane.testing.interleave.outcome import Waiting
from greenlane.testing.interleave.tasks import Place, Step

if TYPE_CHECKING:
    from greenlane.testing.interleave.search import Exploration, Failure

#: Longer traces lose their middle.
MAX_STEPS = 60


def describe(exploration: "Exploration") -> str:
    """Return ``exploration`` in words: one line, and the failure if there is one."""
    orders = _count(exploration.schedules, "order")
    hold = "holds" if exploration.schedules == 1 else "hold"
    failure = exploration.failure
    if failure is not None:
        return "\n".join(_failure(failure, orders))
    if exploration.covered:
        return "The only order there is holds." if exploration.schedules == 1 else f"All {orders} hold."
    if exploration.estimate is not None:
        return f"{orders} {hold}, of about {exploration.estimate:,} (estimated); the rest was not run."
    return f"{orders} {hold}."


def _failure(failure: "Failure", orders: str) -> Iterator[str]:
    problem = failure.problem
    yield problem.message
    if problem.place is not None:
        yield f"  at {_with_source(problem.place)}"
    if problem.kind == "nondeterministic":
        yield f"  noticed after {orders}"
        if problem.parting is not None:
            yield f"  runs part at step {problem.parting.number}:"
            yield f"    once  {_parted(problem.parting.once)}"
            yield f"    then  {_parted(problem.parting.then)}"
        return
    yield f"  found after {orders}; replay({failure.schedule!r}) shows it again"
    size = "no order with fewer fails" if failure.fewest else "there may be an order with fewer"
    yield f"  {_count(failure.switches, 'switch', 'switches')} ({size}):"
    yield from _steps(failure.trace)
    for waiting in problem.waiting:
        yield f"  still there: {_waiting(waiting)}"


def _parted(step: Step | None) -> str:
    return "no more steps" if step is None else f"{step.task}  {_end(step)}"


def _end(step: Step) -> str:
    """Say how a step ended."""
    end = "ends" if step.until is None else f"to {_with_source(step.until)}"
    return f"thrown, {end}" if step.thrown else end


def _steps(trace: tuple[Step, ...]) -> Iterator[str]:
    """Yield a line a step, without what its greenlet did before it switched away."""
    merged = list(_merged(trace))
    width = max((len(step.task) for _number, step in merged), default=0)
    for place, (number, step) in enumerate(merged):
        if len(merged) > MAX_STEPS and MAX_STEPS // 2 <= place < len(merged) - MAX_STEPS // 2:
            if place == MAX_STEPS // 2:
                yield f"    ... {len(merged) - MAX_STEPS} more ..."
            continue
        yield f"    {number:>3}  {step.task:<{width}}  {_end(step)}"


def _merged(trace: tuple[Step, ...]) -> Iterator[tuple[int, Step]]:
    """Yield the last of consecutive steps of one greenlet: only the switches matter."""
    for number, step in enumerate(trace, 1):
        following = trace[number] if number < len(trace) else None
        if following is None or following.task != step.task or following.thrown:
            yield number, step


def _waiting(waiting: Waiting) -> str:
    where = "has not started" if waiting.place is None else f"at {_with_source(waiting.place)}"
    return f"{waiting.task} {where}"


def _with_source(place: Place) -> str:
    source = linecache.getline(place.file, place.line).strip()
    return f"{Path(place.file).name}:{place.line} in {place.function}" + (f": {source}" if source else "")


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
