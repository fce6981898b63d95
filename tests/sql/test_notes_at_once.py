"""Servers that start at once on one new database: each makes the table, and none fails."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from sqlalchemy import create_engine, text

from greenlane.demo.notes import NOTES, NoteStore
from greenlane.sql import SQLHelper

SERVERS = 8
ROUNDS = 5


def test_servers_that_start_at_once_make_one_table(postgres: str) -> None:
    helpers = [SQLHelper(postgres) for _ in range(SERVERS)]
    engine = create_engine(postgres.replace("postgresql://", "postgresql+psycopg://"))
    barrier = Barrier(SERVERS)

    def start(db: SQLHelper) -> None:
        barrier.wait(timeout=30)
        NoteStore(db).prepare()

    try:
        with ThreadPoolExecutor(SERVERS) as threads:
            for _ in range(ROUNDS):
                with engine.begin() as connection:
                    connection.execute(text(f"DROP TABLE IF EXISTS {NOTES.name}"))
                assert list(threads.map(start, helpers)) == [None] * SERVERS
        with engine.begin() as connection:
            connection.execute(text(f"DROP TABLE {NOTES.name}"))
    finally:
        engine.dispose()
        for db in helpers:
            db.close()
