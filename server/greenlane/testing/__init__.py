"""For tests of programs that Greenlane serves: the test client.

May import anything of Greenlane but the demonstration and the command line.
"""

from greenlane.app.client import Client

__all__ = ["Client"]
