"""A story: which lanes have to be seen to understand what one request read, and what happened, in words.

Told from recorded events alone. Requests are named by their lanes, since what number one has in
the race is known only when its reply has been judged: whoever shows the words puts it in.

Must not import the site or the views.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from greenlane.demo.keeper import judge
from greenlane.demo.race.recorder import Lane, Recorder

#: Lanes of one story: the reader's, and those whose data it read in its two fields.
MOST_LANES: Final = 3

#: How readings look that nothing is wrong with.
_IN_ORDER: Final = ("clean", "own")

Words = tuple[str | Lane, ...]
"""A sentence or some, with a lane where the name of its request belongs."""


@dataclass(frozen=True)
class Story:
    """What one request met.

    Attributes:
        lanes: the reader's, and the others concerned.
        checkpoint: the number of the reading that it is about; 0 for the look before writing.
        words: what happened.

    """

    lanes: tuple[Lane, ...]
    checkpoint: int
    words: Words

    def as_document(self) -> dict[str, Any]:
        """Return it as the page gets it: a number among the words is the id of a lane."""
        return {
            "lanes": [lane.id for lane in self.lanes],
            "checkpoint": self.checkpoint,
            "words": [word.id if isinstance(word, Lane) else word for word in self.words],
        }


def tell(reader: Lane, judged: str, recorder: Recorder) -> Story:
    """Tell what a request met.

    Args:
        reader: its lane.
        judged: what it was judged, in DESIGN's words: the story is of the first reading that shows that.
        recorder: what others did.

    """
    readings = [event for event in reader.events if event[1] in ("began", "read")]
    looks = [_looks(event, reader.nonce) for event in readings]
    if judged not in looks:  # nobody has judged what it read: it was to end so, or its reply was lost
        judged = next((look for look in looks if look not in _IN_ORDER), "own")
    if judged in _IN_ORDER:
        return _own(reader, recorder)
    event = readings[looks.index(judged)]
    return _stale(reader, event, recorder) if judged == "stale" else _astray(reader, event, recorder)


def _looks(event: Any, nonce: str) -> str:
    """Return in which way a reading is not the own nonce. Whether it is is judged elsewhere."""
    if event[1] == "began":
        return "stale" if any(event[2].values()) else "clean"
    return "missing" if event[4] is not None else judge(event[3], nonce)


def _stale(reader: Lane, event: Any, recorder: Recorder) -> Story:
    at, _, found = event
    others = _writers(reader, found, at, recorder)
    words: list[str | Lane] = ["Before ", reader, " had written anything, it found"]
    if not others:
        words += [" a nonce in its lane that nobody in this race wrote."]
        return Story((reader,), 0, tuple(words))
    other = others[0]
    words += [" the nonce of ", other, f" in {reader.keeps or 'its lane'}."]
    ended = [moment for moment in other.at("ended") if moment <= at]
    if other.served_by == reader.served_by:
        words += [
            f" Both ran on {reader.greenlet}, one after the other, and nothing released it between them."
        ]
    elif not ended:
        words += [" That one was still at work."]
    elif other.greenlet == reader.greenlet:
        words += [f" That one's greenlet was gone, and the reader's has the same address, {reader.greenlet}:"]
        words += [" so it has the same id."]
    else:
        words += [f" That one had ended {_ms(at - ended[-1])} before, and nothing had released its data."]
    return Story((reader, *others), 0, tuple(words))


def _astray(reader: Lane, event: Any, recorder: Recorder) -> Story:
    at, _, number, read, error = event
    if not any(read.values()) and (releaser := _releaser(reader, at, recorder)) is not None:
        return _emptied(reader, event, releaser)
    others = _writers(reader, read, at, recorder)
    overwriter = _overwriter(reader, at, recorder)
    if overwriter is not None and overwriter not in others:
        others = (*others, overwriter)[: MOST_LANES - 1]
    words: list[str | Lane] = [*_until_read(reader, others, at)]
    words += [f" Back again at {_ms(at)}, ", reader]
    if error is not None:
        words += [f" met an error where its own nonce should be: {error}."]
    elif not any(read.values()):
        words += [" found nothing where its own nonce should be."]
    elif len(set(read.values())) > 1:
        words += [" read fields that do not belong together: ", *_torn(reader, read, others), "."]
    elif others:
        words += [" read the nonce of ", others[0], " as its own."]
    else:
        words += [" read a nonce that nobody in this race wrote."]
    return Story((reader, *others), number, tuple(words))


def _emptied(reader: Lane, event: Any, releaser: Lane) -> Story:
    at, number = event[0], event[2]
    moment = releaser.at("released", before=at)[0]
    words: list[str | Lane] = [*_beginning(reader, at)]
    words += [f" At {_ms(moment)} ", releaser, " ended, and released the same place."]
    words += [f" Back again at {_ms(at)}, ", reader, " found nothing where its own nonce should be."]
    return Story((reader, releaser), number, tuple(words))


def _own(reader: Lane, recorder: Recorder) -> Story:
    """Tell how a request came to read its own data although others wrote meanwhile, if they did."""
    wrote, reads = reader.at("wrote"), [event for event in reader.events if event[1] == "read"]
    if not wrote or not reads:
        return Story((reader,), 0, (reader, " ended before it could read anything back."))
    at, number = reads[-1][0], reads[-1][2]
    writers = [lane for lane in recorder.writers(reader.cell, wrote[-1], at) if lane is not reader]
    other = writers[-1] if writers else None
    words: list[str | Lane] = [*_beginning(reader, at)]
    if other is None:
        words += [f" Nobody else wrote until it read its own nonce, at {_ms(at)}: that shows nothing."]
        return Story((reader,), number, tuple(words))
    words += [" Meanwhile ", other, f" wrote its own{_where(reader, other)}. Back again at {_ms(at)}, "]
    words += [reader, " read its own nonce"]
    if reader.keeps == reader.greenlet:
        words += [": each greenlet's ident leads to a place of its own."]
    elif reader.keeps is not None and reader.keeps != other.keeps:
        words += [": each has a place of its own."]
    else:
        words += ["."]
    return Story((reader, other), number, tuple(words))


def _overwriter(reader: Lane, at: float, recorder: Recorder) -> Lane | None:
    """Return who was the first to write over what ``reader`` had written: from then on it was gone."""
    wrote = reader.at("wrote", before=at)
    if not wrote or reader.keeps is None:
        return None
    writers = recorder.writers(reader.cell, wrote[-1], at)
    return next((lane for lane in writers if lane is not reader and lane.keeps == reader.keeps), None)


def _releaser(reader: Lane, at: float, recorder: Recorder) -> Lane | None:
    """Return who emptied the place where ``reader`` had written: the first release after the last write."""
    wrote = reader.at("wrote", before=at)
    if not wrote or reader.keeps is None:
        return None
    writers = [lane for lane in recorder.writers(reader.cell, wrote[-1], at) if lane.keeps == reader.keeps]
    last = max((each for lane in writers for each in lane.at("wrote", before=at)), default=wrote[-1])
    releasers = recorder.releasers(reader.cell, last, at)
    return next((lane for lane in releasers if lane.keeps == reader.keeps), None)


def _until_read(reader: Lane, others: tuple[Lane, ...], at: float) -> Iterator[str | Lane]:
    """Tell who wrote when before a reading, in order: others may have come between the reader's writes."""
    acts = _last_writes(others, at)
    begun = min([at, *(moment for moment, _ in acts)])
    own = [(moment, reader) for moment, _ in _last_writes((reader,), at) if moment > begun]
    yield from _beginning(reader, begun)
    for moment, lane in sorted(acts + own, key=lambda act: act[0]):
        yield f" At {_ms(moment)} "
        yield lane
        yield " had written all of its nonce." if lane is reader else f" wrote its own{_where(reader, lane)}."


def _last_writes(lanes: tuple[Lane, ...], before: float) -> list[tuple[float, Lane]]:
    """Return when each of some lanes wrote last before a time."""
    written = [(lane, lane.at("wrote", before=before)) for lane in lanes]
    return [(moments[-1], lane) for lane, moments in written if moments]


def _beginning(reader: Lane, before: float) -> Iterator[str | Lane]:
    wrote = reader.at("wrote", before=before)
    if not wrote:
        yield reader
        yield " had written nothing yet."
        return
    yield "At "
    yield f"{_ms(wrote[-1])} "
    yield reader
    yield f" had {'written' if len(wrote) > 1 else 'begun to write'} its nonce{_into(reader)}"
    away = [moment for moment in reader.at("away", before=before) if moment >= wrote[-1]]
    yield f", and switched away at {_ms(away[0])}." if away else "."


def _torn(reader: Lane, read: Any, others: tuple[Lane, ...]) -> Iterator[str | Lane]:
    for place, (field, value) in enumerate(read.items()):
        yield f"{', ' if place else ''}{field} "
        lane = next((lane for lane in (reader, *others) if lane.nonce == value), None)
        if value is None:
            yield "is gone"
        elif lane is None:
            yield "is nobody's in this race"
        else:
            yield "is of "
            yield lane


def _writers(reader: Lane, read: Any, at: float, recorder: Recorder) -> tuple[Lane, ...]:
    """Return the lanes whose nonces are in a reading and are not the reader's."""
    values = [value for value in dict.fromkeys(read.values()) if value not in (None, reader.nonce)]
    lanes = [lane for value in values if (lane := recorder.writer(value, reader.keeps, at)) is not None]
    return tuple(lanes[: MOST_LANES - 1])


def _into(lane: Lane) -> str:
    return f" into {lane.keeps}" if lane.keeps is not None else ""


def _where(reader: Lane, other: Lane) -> str:
    """Say where the other one wrote, seen from the reader's place."""
    if other.keeps is None:
        return ""
    return " into the same place" if other.keeps == reader.keeps else f" into {other.keeps}"


def _ms(milliseconds: float) -> str:
    return f"{milliseconds:.2f} ms"
