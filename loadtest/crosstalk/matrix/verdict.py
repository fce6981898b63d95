"""From outcomes to a matrix's verdict: whether each cell is what its server says that it is.

This is where it is known which variant is fixed. Pure: results in, words out.
"""

from crosstalk.checker import Finding, Outcome, Verdict
from crosstalk.matrix.results import CellResult, Results

_BY_OUTCOME = {
    Outcome.CROSS_TALK: Verdict.CROSS_TALK,
    Outcome.LEAK: Verdict.LEAK,
    Outcome.MISSING: Verdict.INCONCLUSIVE,
    Outcome.INCONCLUSIVE: Verdict.INCONCLUSIVE,
    Outcome.NO_OVERLAP: Verdict.INCONCLUSIVE,
    Outcome.ISOLATED: Verdict.ISOLATED,
}


def judge(results: Results) -> Finding:
    """Return the verdict on a matrix: that of its gravest surprise, ISOLATED when there is none."""
    order = list(Verdict)
    found = [(_verdict(cell), _say(cell)) for cell in results.cells.values() if cell.surprising]
    if not results.cells:
        found.append((Verdict.BLIND, "nothing was measured"))
    found += [
        (Verdict.BLIND, f"nothing broken was measured in {hazard}: what held there proves nothing")
        for hazard in dict.fromkeys(cell.hazard for cell in results.cells.values())
        if not any(cell.hazard == hazard and cell.must_be_caught for cell in results.cells.values())
    ]
    found += [
        (Verdict.INCONCLUSIVE, f"what was left when all was over is not known: {reason}")
        for reason in results.unknown
    ]
    found += [
        (Verdict.LEAK, f"{count:+,} {kind} contexts pushed and not popped when all was over")
        for kind, count in results.contexts.items()
    ]
    found += [
        (Verdict.LEAK, f"{count:,} entries left in {name!r} when all was over")
        for name, count in results.entries.items()
    ]
    if not found:
        return Finding(Verdict.ISOLATED, ())
    found.sort(key=lambda each: order.index(each[0]))
    return Finding(found[0][0], tuple(reason for _verdict, reason in found))


def _verdict(cell: CellResult) -> Verdict:
    """Return what one surprising cell makes of the matrix.

    One that has to hold makes it what it is itself. One that has to be caught and was not makes it
    blind, or inconclusive where nothing was shown at all.
    """
    verdict = _BY_OUTCOME[Outcome(cell.outcome)]
    return Verdict.BLIND if cell.must_be_caught and verdict is not Verdict.INCONCLUSIVE else verdict


def _say(cell: CellResult) -> str:
    return f"{cell.key} is {cell.outcome} and not {' or '.join(cell.expected)}: {'; '.join(cell.reasons)}"
