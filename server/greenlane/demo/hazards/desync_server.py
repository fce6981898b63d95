"""``python -m greenlane.demo.hazards.desync_server broken``: serve one side of the hazard ``desync``.

A process of its own, ended by SIGTERM. It says where it serves, on a free port of loopback.
"""

import sys
from typing import Final

from greenlane.demo.hazards.desync import SERVERS

USAGE: Final = f"usage: python -m greenlane.demo.hazards.desync_server {'|'.join(SERVERS)}"


def main(arguments: list[str]) -> None:
    """Serve until the process is ended."""
    if len(arguments) != 1 or arguments[0] not in SERVERS:
        sys.exit(USAGE)
    server = SERVERS[arguments[0]]()
    server.start()
    sys.stdout.write(f"serving on http://127.0.0.1:{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
