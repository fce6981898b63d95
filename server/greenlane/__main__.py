"""The entry point of `greenlane` and `python -m greenlane`: patch first, then everything else.

Rule: nothing is imported here before gevent has replaced the standard
library's blocking parts. A module imported earlier may keep a native lock or
a native thread-local for ever, and then all greenlets of a thread share it.
"""


def main() -> None:
    """Patch the standard library and run the command line."""
    from gevent import monkey

    monkey.patch_all()

    from greenlane.cli import cli

    cli(prog_name="greenlane")


if __name__ == "__main__":
    main()
