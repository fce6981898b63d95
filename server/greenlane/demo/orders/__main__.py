"""``python -m greenlane.demo.orders PROGRAM`` prints the document of a program, and ends.

An exploration takes the place of its native thread's event loop, so it has a process of
its own.

Rule: nothing is imported here before gevent has replaced the standard library's blocking
parts: see :mod:`greenlane.__main__`.
"""

import sys  # part of the interpreter: nothing to patch in it


def main(arguments: list[str]) -> int:
    """Patch, and print the document of the program that is named; return 2 where there is none such."""
    from gevent import monkey

    monkey.patch_all()

    import signal

    from greenlane.demo.orders.process import LONGEST

    signal.alarm(LONGEST)  # who started it has given up by then, or has gone: do not go on for nobody

    from greenlane.demo.orders.document import document
    from greenlane.demo.orders.programs import PROGRAMS

    if len(arguments) != 1 or arguments[0] not in PROGRAMS:
        sys.stderr.write(f"usage: python -m greenlane.demo.orders {{{','.join(PROGRAMS)}}}\n")
        return 2
    sys.stdout.write(document(PROGRAMS[arguments[0]]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
