"""No false alarm: a million clean requests, and nothing found in any."""

from collections.abc import Callable, Iterator

from crosstalk.checker import Cell, Check, End, Header, Left, Probe, Record, Verdict, check
from crosstalk.reply import Checkpoint, Reply

MILLION = 1_000_000
NOWHERE = {"first": None, "second": None}


def requests(count: int, cell: str) -> Iterator[Probe]:
    """Yield requests as of 500 users on connections and greenlets that they share, all served at once."""
    for number in range(count):
        nonce = f"u{number % 500}-{number}-{number:016x}"
        read = {"first": nonce, "second": nonce}
        began = number / 1000
        reply = Reply(
            cell,
            NOWHERE,
            began,
            (began + 0.1, began + 0.2),
            (Checkpoint("sleep", read, None, 1, began + 0.3), Checkpoint("lock", read, None, 1, began + 0.4)),
            number % 100,
            1,
            1,
            "p1",
            500,
            2,
        )
        yield Probe(
            cell, None, cell, number % 500, nonce, number % 100, began, began + 0.5, None, None, reply
        )


def test_a_million_clean_requests_raise_no_alarm(probe: Callable[..., Probe]) -> None:
    cells = {"shared": Cell("control", 1), "local": Cell("subject", MILLION)}
    asked = 0

    def records() -> Iterator[Record]:
        nonlocal asked
        asked += 1
        yield Header(7, "", (), {}, cells)
        yield probe("s", "t", found="t", cell="shared", user=1)
        yield probe("t", "t", cell="shared", user=2)
        yield from requests(MILLION, "local")
        yield Left({}, {})
        yield End(MILLION + 2)

    checked = check(records)
    tally = checked.tallies["local"]
    assert checked.finding.verdict is Verdict.ISOLATED
    assert (tally.requests, tally.cross_talk, tally.checks) == (MILLION, 0, {Check.OWN: 2 * MILLION})
    assert not tally.anomalies()
    assert not tally.examples
    assert asked <= 2
