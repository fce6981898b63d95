"""The entry point: patch first, then everything else.

``python -m crosstalk`` and the console script run :mod:`crosstalk` and this file
before any other. Locust would patch too, but only when it is imported.
"""

from gevent import monkey


def main() -> None:
    """Patch the standard library for gevent, then run the command line."""
    monkey.patch_all()
    from crosstalk.cli import cli

    cli(prog_name="crosstalk")


if __name__ == "__main__":
    main()
