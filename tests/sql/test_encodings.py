"""A database whose encoding says nothing: texts are UTF-8 all the same."""

from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, make_url, text

from greenlane.sql import SQLHelper


@pytest.fixture
def ascii_url(postgres: str) -> Iterator[str]:
    """A database in SQL_ASCII, which converts nothing and for which drivers give bytes."""
    url = make_url(postgres.replace("postgresql://", "postgresql+psycopg://"))
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("CREATE DATABASE bytes ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0"))
    yield url.set(database="bytes").render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.execute(text("DROP DATABASE bytes"))
    engine.dispose()


def test_texts_are_utf_8_where_the_database_does_not_say(ascii_url: str) -> None:
    db = SQLHelper(ascii_url)
    try:
        with db.engine.connect() as connection:
            assert connection.scalar(text("SELECT :it"), {"it": "caf\u00e9"}) == "caf\u00e9"
    finally:
        db.close()
