"""The entry point of `greenlane` and `python -m greenlane`: patch first, then everything else.

Rule: nothing is imported here before gevent has replaced the standard
library's blocking parts. A module imported earlier may keep a native lock or
a native thread-local for ever, and then all greenlets of a thread share it.
"""

import sys  # part of the interpreter: nothing to patch in it


def main() -> None:
    """Patch the standard library and run the command line."""
    try:
        from gevent import monkey

        monkey.patch_all()

        from greenlane.cli import cli
    except KeyboardInterrupt:  # importing takes long enough to change one's mind
        sys.exit(130)
    cli(prog_name="greenlane")


if __name__ == "__main__":
    main()
