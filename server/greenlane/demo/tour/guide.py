"""Showing the tour: the code, what came of it, why, and at a chapter's end what was checked.

Everything is wrapped here, so that it fits 80 columns, or fewer on a narrower
terminal. Rich leaves out the colours where nobody would see them: in a pipe, in a
file, with NO_COLOR.
"""

import textwrap
from collections.abc import Iterable, Mapping
from typing import Final

from rich.console import Console
from rich.rule import Rule
from rich.syntax import Syntax
from rich.text import Text

from greenlane.demo.tour.chapter import Chapter
from greenlane.demo.tour.stage import Check, play

WIDTH: Final = 80
"""Columns, at most: longer lines are hard to read."""

MOST_LINES: Final = 20
"""Lines of a scene's output, at most: one that goes wrong may log any number."""

_INDENT: Final = "  "


class Guide:
    """Shows chapters on a console, and counts what did not hold.

    Args:
        console: where to.

    """

    def __init__(self, console: Console) -> None:
        console.width = min(console.width, WIDTH)
        self._console = console
        self._syntax = Syntax(
            "", "python", theme="ansi_dark", background_color="default"
        )

    def lead(self, chapters: Mapping[int, Chapter]) -> bool:
        """Show and run chapters, by their numbers, whatever comes of the others.

        Returns:
            Whether every check held.

        """
        checks: list[Check] = []
        failed: list[int] = []
        for number, chapter in chapters.items():
            made = self._lead_through(number, chapter)
            checks += made
            if not all(check.holds for check in made):
                failed.append(number)
        self._sum_up(checks, len(chapters), failed)
        return not failed

    def _lead_through(self, number: int, chapter: Chapter) -> list[Check]:
        heading = f"[bold]{number}. {chapter.title}[/bold]"
        self._console.print(Rule(heading, align="left"))
        self._say(chapter.introduction)
        path = chapter.module.replace(".", "/") + ".py"
        self._write([path, ""], _INDENT, "dim")
        checks: list[Check] = []
        for scene in chapter.scenes:
            for source in scene.sources:
                self._show_code(source)
            played = play(scene)
            output = played.output.splitlines()
            if len(output) > MOST_LINES:
                more = len(output) - MOST_LINES
                output[MOST_LINES:] = [f"... and {more} more lines"]
            self._write(output, f"{_INDENT}| ", "cyan")
            self._console.print()
            self._say(f"Why: {scene.why}")
            checks += played.checks
        for check in checks:
            self._show_check(check)
        self._console.print()
        return checks

    def _say(self, prose: str) -> None:
        for paragraph in prose.split("\n\n"):
            self._write([" ".join(paragraph.split())])
            self._console.print()

    def _show_code(self, source: str) -> None:
        code = self._syntax.highlight(textwrap.indent(source, _INDENT))
        code.rstrip()
        self._console.print(code)
        self._console.print()

    def _show_check(self, check: Check) -> None:
        if check.holds:
            word, style, told = "ok   ", "green", check.seen
            if check.rule:
                told += f" ({check.expected})"
        else:
            word, style = "WRONG", "bold red"
            told = f"expected {check.expected}, saw {check.seen}"
        line = f"{word}  {check.what}: {told}"
        self._write([line], _INDENT, style, hanging="       ")

    def _sum_up(
        self, checks: list[Check], chapters: int, failed: list[int]
    ) -> None:
        self._console.print(Rule())
        wrong = sum(not check.holds for check in checks)
        total = f"chapters: {chapters}, checks: {len(checks)}"
        if failed:
            where = ", ".join(map(str, failed))
            line = f"{total}, WRONG: {wrong}, in chapter {where}"
            self._write([line], style="bold red")
        else:
            self._write(
                [f"{total}; everything came out as expected"], style="green"
            )

    def _write(
        self,
        lines: Iterable[str],
        prefix: str = "",
        style: str = "",
        hanging: str = "",
    ) -> None:
        width = self._console.width - len(prefix)
        for line in lines:
            parts = textwrap.wrap(
                line,
                max(width, 20),
                subsequent_indent=hanging,
                replace_whitespace=False,
                break_on_hyphens=False,
            )
            for part in parts or [""]:
                text = Text(prefix + part, style)
                self._console.print(text, soft_wrap=True)
