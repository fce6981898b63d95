"""`greenlane tour`: the chapters that show why request data gets mixed up.

Rule: see the package. The chapters are imported when they are asked for: a
server needs none of them.
"""

import sys

import click

from greenlane.cli.refusal import Refusal


@click.command(short_help="See why request data gets mixed up, and what keeps it apart.")
@click.option(
    "--chapter", "numbers", type=int, multiple=True, metavar="N", help="Only this one; may be repeated."
)
@click.option("--list", "only_list", is_flag=True, help="List the chapters, and run none.")
def tour(numbers: tuple[int, ...], only_list: bool) -> None:
    """See why request data gets mixed up, and what keeps it apart.

    Each chapter shows a piece of code, runs it, and shows what came out and why. The exit
    code is 0 when everything came out as expected, 1 when something did not, and 130
    after Ctrl-C.
    """
    try:
        from greenlane.demo.tour import CHAPTERS, visit

        listed = "\n".join(f"{number:3}  {chapter.title}" for number, chapter in CHAPTERS.items())
        for number in numbers:
            if number not in CHAPTERS:
                raise click.UsageError(f"There is no chapter {number}. There are:\n{listed}")
        if only_list:
            click.echo(listed)
        else:
            sys.exit(visit({number: CHAPTERS[number] for number in sorted(set(numbers) or CHAPTERS)}))
    except KeyboardInterrupt:  # importing takes long enough to change one's mind
        sys.exit(130)
    except OSError as error:
        raise Refusal(f"cannot write: {error.strerror or error}", exit_code=1) from None
