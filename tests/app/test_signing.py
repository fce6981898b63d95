"""Session cookies are itsdangerous's, to the letter: what is kept between two of them changes none."""

import hashlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from itsdangerous import BadSignature, URLSafeTimedSerializer

from greenlane.app import taggedjson
from greenlane.app.signing import session_serializer

SALT = "greenlane.session"

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.tuples(st.text(), st.integers()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def plain(*keys: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(
        list(keys),
        salt=SALT,
        serializer=taggedjson,
        signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
    )


@settings(deadline=None)
@given(st.dictionaries(st.text(), values), st.text(min_size=1), st.text(min_size=1))
def test_what_one_writes_the_other_reads(content: dict[str, Any], old: str, new: str) -> None:
    """B42: with the last key, and with one that was the last before."""
    ours, theirs = session_serializer((old, new), SALT), plain(old, new)
    assert theirs.loads(ours.dumps(content), max_age=60) == content
    assert ours.loads(theirs.dumps(content), max_age=60) == content
    assert ours.loads(plain(old).dumps(content), max_age=60) == content


@pytest.mark.parametrize("length", [0, 100, 230, 240, 250, 260, 1_000, 10_000])
def test_a_long_session_is_compressed(length: int) -> None:
    """B42: as itsdangerous does it; one that would gain little is left as it is."""
    ours, theirs = session_serializer(("key",), SALT), plain("key")
    content = {"text": "a" * length}
    signed = ours.dumps(content)
    assert theirs.loads(signed) == ours.loads(signed) == content
    assert signed.startswith(".") == (length >= 250)
    if length >= 250:
        assert signed.split(".")[1] == theirs.dumps(content).split(".")[1]


def test_every_secret_and_salt_has_a_key_of_its_own() -> None:
    """B42: what is derived once for a key is never taken for another's."""
    signed = session_serializer(("key",), SALT).dumps({"user": "ada"})
    for keys, salt in ((("another",), SALT), (("key",), "another"), (("key ",), SALT), ((b"KEY",), SALT)):
        with pytest.raises(BadSignature):
            session_serializer(keys, salt).loads(signed)
    assert session_serializer((b"key",), SALT).loads(signed) == {"user": "ada"}
    with pytest.raises(BadSignature):
        session_serializer(("key",), SALT).loads(signed, salt="another")
