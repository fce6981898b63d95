"""``crosstalk``: the command line of the proof.

A command's module, named as what is done, is imported when that command is asked for: whoever
watches a race begin need not wait for what the others are made of.
"""

import sys
from importlib import import_module

import click

from crosstalk.interrupts import INTERRUPTED

COMMANDS = {
    "check": "crosstalk.checking",
    "matrix": "crosstalk.matrix.command",
    "prove": "crosstalk.proving",
    "race": "crosstalk.race.command",
}
"""Where each command is, under its own name."""


class _Commands(click.Group):
    """The commands, imported one by one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all names."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None when there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        try:
            command: click.Command = getattr(import_module(COMMANDS[cmd_name]), cmd_name)
        except KeyboardInterrupt:  # importing Locust takes long enough to change one's mind
            sys.exit(INTERRUPTED)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="greenlane", prog_name="crosstalk")
def cli() -> None:
    """Prove with Locust that a server's requests stay apart."""
