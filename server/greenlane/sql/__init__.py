"""A database connection for each request: SQLHelper, a thin layer over SQLAlchemy Core.

A connection belongs to one application context, from its first query to the end
of its outermost block. This package needs SQLAlchemy and gevent, and of Greenlane the
app and the context package; psycopg is imported only for PostgreSQL, and has to
be imported after monkey-patching, or its queries block every greenlet.
"""

from greenlane.sql.helper import SQLHelper

__all__ = ["SQLHelper"]
