"""What a race looks like in a terminal: how far it is, and then a line for each cell, and why."""

from rich import box, progress
from rich.console import Console
from rich.table import Table
from rich.text import Text

from crosstalk.checker import Judgement, Kind, Probe, Verdict
from crosstalk.history import Request
from crosstalk.race.plan import Race
from crosstalk.race.run import run
from crosstalk.race.spectator import Result, Settings, Spectator
from crosstalk.race.verdict import Raced
from crosstalk.terminal import in_colour, widen

_SHOWN = (Kind.FOREIGN, Kind.TORN, Kind.STALE, Kind.MISSING)

_OTHERS = ("failed", "doomed", "in flight", "threads")


class Bars(Spectator):
    """A bar for each cell, on a terminal; nothing elsewhere, since a race is short."""

    def __init__(self, console: Console) -> None:
        self._bars = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TextColumn("{task.fields[bad]:,} with cross-talk"),
            progress.TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, progress.TaskID] = {}
        self._bad: dict[str, int] = {}

    def __enter__(self) -> "Bars":
        self._bars.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._bars.stop()

    def begin(self, settings: Settings, race: Race) -> None:
        """Draw the bars."""
        for entry in race.all:
            key = entry.cell.key
            self._bad[key] = 0
            self._tasks[key] = self._bars.add_task(key, total=entry.requests, bad=0)

    def request(self, request: Request, probe: Probe, judgement: Judgement | None) -> None:
        """Count a request."""
        self._bad[request.cell] += judgement is not None and judgement.cross_talk
        self._bars.update(self._tasks[request.cell], advance=1, bad=self._bad[request.cell])


def watch(settings: Settings) -> Verdict:
    """Race, show how far it is and what came of it, and return the verdict.

    Raises:
        CannotRun: there is no server, or it lists no hazards, or its metrics cannot be read.
        CannotRace: ``settings.cells`` cannot be raced.

    """
    with Bars(Console(stderr=True)) as bars:
        result = run(settings, bars)
    show(result, settings, Console())
    return result.verdict


def show(result: Result, settings: Settings, console: Console) -> None:
    """Print a line for each cell, and what its verdict rests on."""
    table = _table(result)
    widen(console, [table])
    console.print(table)
    for key, raced in result.raced.items():
        role = " (known to be broken)" if raced.entry.is_control else ""
        console.print(Text.assemble(f"{key}{role}: ", in_colour(raced.verdict)))
        for reason in raced.reasons:
            console.print(f"  {reason}", highlight=False, markup=False)
    console.print(f"{result.seconds:.1f} s of load, seed {settings.seed}", highlight=False)


def _table(result: Result) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("cell", no_wrap=True)
    for name in ("requests", "cross-talk", *(kind.value for kind in _SHOWN), *_OTHERS):
        table.add_column(name, justify="right", no_wrap=True)
    for key, raced in result.raced.items():
        table.add_row(Text(key), *(f"{number:,}" for number in _numbers(raced)))
    return table


def _numbers(raced: Raced) -> list[int]:
    tally = raced.tally
    return [
        tally.requests,
        tally.cross_talk,
        *(tally.met[kind] for kind in _SHOWN),
        tally.failed,
        tally.doomed,
        tally.peak_in_flight,
        len(tally.threads),
    ]
