"""The entry point: patch first, then everything else.

``python -m crosstalk`` and the console script run :mod:`crosstalk` and this file
before any other. Locust would patch too, but only when it is imported.
"""

import sys


def main() -> None:
    """Patch the standard library for gevent, then run the command line."""
    try:
        from gevent import monkey

        monkey.patch_all()
        from crosstalk.cli import cli
    except KeyboardInterrupt:  # patching takes long enough to change one's mind
        sys.exit(130)
    cli(prog_name="crosstalk")


if __name__ == "__main__":
    main()
