"""What ``locust -f loadtest/notes.py`` loads: visitors who read exactly their own rows of a database.

Exits 0 when each reply was exactly its visitor's own rows and the requests overlapped, 10 when
somebody read another's row, 13 when nothing is proven. Needs a running server::

    make run
    locust -f loadtest/notes.py --headless -u 500 -r 250 -t 20s --host http://127.0.0.1:8000
"""

from crosstalk.visitors import NotesUser, install


class NotesVisitor(NotesUser):
    """A visitor with a session of its own."""

    abstract = False


install(NotesVisitor)
