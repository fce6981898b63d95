"""docs/hazards.md: made of the hazards themselves, of their source, and of what a load test measured.

``make pictures`` writes it. No sentence about a hazard stands here, and no code is
pasted: a document that tells the program twice is wrong about one of the two.

Must not import the site.
"""

import inspect
import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from greenlane.demo.hazards import HAZARDS
from greenlane.demo.hazards.hazard import Exercise, ExerciseName, Fate, Hazard, Outcome
from greenlane.demo.strategies import STRATEGIES

PAGE: Final = "hazards.md"

#: What ``crosstalk matrix --report`` has measured, if there is a copy beside the page.
MEASURED: Final = "matrix.json"

INTRODUCTION: Final = """\
# Every hazard, broken and fixed

<!-- Written by `make pictures`: change server/greenlane/demo/hazards, and run it. -->

Each of these ways to mix up requests' data has happened to somebody's service. Here each is mounted
twice: with the honest mistake, and without. `crosstalk matrix` sends Locust's users to both over real
sockets, gives each request a nonce of its own, and reads what comes back. It has to catch every broken
variant and to clear every fixed one, and whoever judges the replies is not told which is which.

    make run             # http://127.0.0.1:8000/hazards/ lists them
    crosstalk matrix     # with a server of its own; --host for one that runs

One at a time, most of them look well. This one shows itself to two requests in turn, of which the
second finds what the first has left:

    curl -s 'http://127.0.0.1:8000/hazards/keep-alive/broken?nonce={ada,bob}'

The nine strategies of the demonstration are tried in each situation as well: those that hold, and
those that fail in a way of their own.
"""

EXERCISES: Final[Mapping[ExerciseName, str]] = {
    "kept-alive": "GETs and POSTs over kept-alive connections, which users share",
    "fresh": "a new connection for each request",
    "stream": "streamed replies, read to their end, over kept-alive connections",
    "abandoned": "streamed replies, some of which are read to their first piece only",
    "pipelined": "several requests written at once, over raw sockets; replies are counted off in order",
    "cached": "visitors of the same few pages, through a caching proxy",
    "self-test": "the load test's own users, against an echo that holds, and one that mixes up all",
}

FATES: Final[Mapping[Fate, str]] = {
    "raise": "raise between write and read",
    "kill": "are ended by a time limit between write and read",
    "cancel": "are cancelled between send and receive",
    "abandon": "are deserted by their client",
}

WORDS: Final[Mapping[Outcome, str]] = {
    "cross-talk": "**cross-talk**",
    "leak": "**leak**",
    "missing": "*missing*",
    "no-overlap": "*no overlap*",
    "self-test": "a failed self-test",
}

HOLDS: Final = "holds"

#: What a load test may have seen besides. One that is in no table raises KeyError: it must not look well.
SEEN: Final[Mapping[str, str]] = {
    **{str(name): word for name, word in WORDS.items()},
    "isolated": HOLDS,
    "inconclusive": "*inconclusive*",
}

NOT_APPLICABLE: Final = "·"


def page(measured: Mapping[str, Any] | None) -> str:
    """Return the whole page.

    Args:
        measured: the document of a matrix; None where none was measured.

    """
    cells = {(cell["hazard"], cell["strategy"]): cell for cell in (measured or {}).get("cells", ())}
    parts = [INTRODUCTION, "## What the load test saw\n", *_seen(measured, cells)]
    parts += ["## Strategies by hazards\n", *_strategies(cells)]
    for hazard in HAZARDS:
        parts += _section(hazard)
    return "\n".join(parts)


def _seen(measured: Mapping[str, Any] | None, cells: Mapping[tuple[str, str], Any]) -> Iterator[str]:
    if measured is None:
        yield f"Nothing was measured yet: `crosstalk matrix --report` writes the {MEASURED} that is wanted.\n"
        return
    settings, environment = measured["settings"], measured["environment"]
    yield (
        f"Measured with Python {environment['python']} on {environment['cores']} cores: {settings['users']} "
        f"users on each cell, {settings['hops']} switches in each request. The rate is the share of the "
        "requests that met data which was not theirs. Where there were none, it is the rate that is ruled "
        "out with 95 % confidence.\n"
    )
    rows = []
    for hazard in HAZARDS:
        for variant, cell in [(each, cells.get((hazard.name, each))) for each in hazard.variants()]:
            if cell is not None:
                rows.append(
                    (
                        f"[{hazard.name}](#{hazard.name})",
                        variant,
                        SEEN[cell["outcome"]],
                        f"{cell['requests']:,}",
                        _rate(cell),
                        "" if cell["left"] is None else str(cell["left"]),
                    )
                )
    yield _table(("hazard", "variant", "outcome", "requests", "rate", "left at idle"), rows, right=3)


def _rate(cell: Mapping[str, Any]) -> str:
    if cell["cross_talk"]:
        return f"{cell['rate']:.1%}".replace("%", " %")
    if missing := cell["anomalies"].get("missing"):
        return f"nothing read in {missing:,}"
    if cell["outcome"] in ("inconclusive", "no-overlap") or cell["at_most"] is None:
        return "nothing proven"
    return f"none, under {cell['at_most']:.2%}".replace("%", " %")


def _strategies(cells: Mapping[tuple[str, str], Any]) -> Iterator[str]:
    least = min((cell["requests"] for cell in cells.values()), default=0)
    measured = f", as measured in {least:,} requests or more" if cells else ""
    yield (
        f"What each strategy shows in each situation{measured}: `{HOLDS}`, or how it breaks, or "
        f"`{NOT_APPLICABLE}` where the situation says nothing of it. Each hazard tells why.\n"
    )
    names = [strategy.name for strategy in STRATEGIES]
    rows = []
    for hazard in HAZARDS:
        if set(hazard.not_applicable) != set(names):
            outcomes = [_outcome(hazard, name, cells.get((hazard.name, name))) for name in names]
            rows.append((f"[{hazard.name}](#{hazard.name})", *outcomes))
    yield _table(("hazard", *names), rows)


def _outcome(hazard: Hazard, strategy: str, cell: Mapping[str, Any] | None) -> str:
    if strategy in hazard.not_applicable:
        return NOT_APPLICABLE
    if cell is not None:
        word = SEEN[cell["outcome"]]
        return f"{word} {_rate(cell)}" if cell["cross_talk"] else word
    return WORDS[hazard.breaks[strategy].outcome] if strategy in hazard.breaks else HOLDS


def _section(hazard: Hazard) -> Iterator[str]:
    yield f"## {hazard.name}\n"
    yield f"{hazard.summary}\n"
    yield f"**Cause.** {hazard.cause}\n"
    yield f"**Known from.** {'; '.join(map(_link, hazard.incidents))}.\n"
    yield f"**How it is met.** {_exercise(hazard.exercise)}{' It is loaded alone.' if hazard.alone else ''}\n"
    caught_as = " or ".join(WORDS[name] for name in hazard.caught_as)
    yield f"**How it shows.** {_sentence(hazard.shows)} Caught as {caught_as}.\n"
    yield from _code(hazard)
    yield from _reasons(hazard)


def _exercise(exercise: Exercise) -> str:
    text = _sentence(EXERCISES[exercise.name])
    if exercise.fate is not None:
        text += f" {exercise.share:.0%} of the requests {FATES[exercise.fate]}.".replace("%", " %")
    return text


def _code(hazard: Hazard) -> Iterator[str]:
    for name, what in hazard.variants().items():
        yield f"**{name.capitalize()}.** {what.replace('``', '`')}\n"
        variant = getattr(hazard, name, None)
        if variant is not None:
            yield f"```python\n{inspect.getsource(variant)}```\n"
    for shown in hazard.shown:
        yield f"```python\n{inspect.getsource(shown)}```\n"
    module = hazard.__module__.rpartition(".")[2]
    yield f"The whole of it: [{module}.py](../server/greenlane/demo/hazards/{module}.py).\n"


def _reasons(hazard: Hazard) -> Iterator[str]:
    broken = [
        ((WORDS[each.outcome], each.why), strategy.name)
        for strategy in STRATEGIES
        if (each := hazard.breaks.get(strategy.name)) is not None
    ]
    untried = [
        (("not applicable", why), strategy.name)
        for strategy in STRATEGIES
        if (why := hazard.not_applicable.get(strategy.name)) is not None
    ]
    rows = [
        (", ".join(f"`{name}`" for name in names) if len(names) < len(STRATEGIES) else "all", word, why)
        for (word, why), names in [*_grouped(broken), *_grouped(untried)]
    ]
    if rows:
        yield _table(("strategies", "", "because"), rows)


def _grouped(pairs: Iterable[tuple[tuple[str, str], str]]) -> Iterator[tuple[tuple[str, str], list[str]]]:
    for key, group in groupby(sorted(pairs, key=lambda pair: pair[0]), key=lambda pair: pair[0]):
        yield key, [name for _, name in group]


def _link(incident: str) -> str:
    """Link an address by the short name that people know it by."""
    if not incident.startswith("https://"):
        return incident
    parts = urlsplit(incident)
    path = [part for part in parts.path.split("/") if part]
    if parts.hostname == "github.com" and path[2] in ("issues", "pull"):
        name = f"{path[0]}/{path[1]}#{path[3]}"
    elif path[-1].startswith("CVE-"):
        name = path[-1]
    else:
        name = ": ".join(filter(None, (parts.hostname, parts.fragment)))
    return f"[{name}]({incident})"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]], right: int | None = None) -> str:
    """Return a table; the columns from ``right`` on hold numbers."""
    rule = ["---" if right is None or number < right else "--:" for number in range(len(head))]
    return "".join(f"| {' | '.join(row)} |\n" for row in (head, rule, *rows))


def write(docs: Path) -> None:
    """Write the page into the folder ``docs``.

    Raises:
        OSError: it cannot be written.
        ValueError: what was measured is no JSON.

    """
    (docs / PAGE).write_text(page(measured_in(docs)), encoding="utf-8")


def measured_in(docs: Path) -> dict[str, Any] | None:
    """Read what was measured, if anything was."""
    try:
        measured: dict[str, Any] = json.loads((docs / MEASURED).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return measured
