"""Session cookies are itsdangerous's, to the letter: what is kept between two of them changes none."""

import hashlib
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from itsdangerous import BadData, BadSignature, URLSafeTimedSerializer

from greenlane.app import taggedjson
from greenlane.app.signing import session_serializer

SALT = "greenlane.session"

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.tuples(st.text(), st.integers()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
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
            session_serializer(keys, salt).loads(signed, max_age=60)
    assert session_serializer((b"key",), SALT).loads(signed, max_age=60) == {"user": "ada"}
    with pytest.raises(BadSignature):
        session_serializer(("key",), SALT).loads(signed, salt="another")


@pytest.mark.parametrize("age", [-5, -1, 0, 1, 59, 60, 61, 10_000_000_000])
def test_the_age_is_what_itsdangerous_makes_of_it(age: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """B42: too old, just not, and from the future."""
    ours, theirs = session_serializer(("key",), SALT), plain("key")
    now = 20_000_000_000
    monkeypatch.setattr(time, "time", lambda: now - age)
    signed = ours.dumps({"user": "ada"})
    assert signed == theirs.dumps({"user": "ada"}) or len(signed) > len(theirs.dumps({"user": "ada"}))
    monkeypatch.setattr(time, "time", lambda: now)
    assert verdict(ours, signed) == verdict(theirs, signed)


def verdict(serializer: URLSafeTimedSerializer, signed: str | bytes) -> Any:
    try:
        return serializer.loads(signed, max_age=60)
    except BadData as error:
        return type(error), str(error)


@given(
    st.binary(max_size=20),
    st.sampled_from([b"", b".", b"!", b"AAAAAAAAAAAAAAAAAAAA", b"Zg", b"\xff"]),
    st.booleans(),
)
def test_whatever_is_signed_is_judged_as_by_itsdangerous(payload: bytes, timestamp: bytes, dot: bool) -> None:
    """B42: with the right key and a timestamp that is none, or a payload that cannot be read."""
    ours, theirs = session_serializer(("key",), SALT), plain("key")
    value = payload + b"." * dot + timestamp
    signed = value + b"." + theirs.make_signer().get_signature(value)
    assert verdict(ours, signed) == verdict(theirs, signed)
    timed = theirs.make_signer().sign(payload)
    assert verdict(ours, timed) == verdict(theirs, timed)


@given(st.binary(max_size=60) | st.text(max_size=60))
def test_whatever_comes_is_judged_as_by_itsdangerous(garbage: str | bytes) -> None:
    """B42: and so is what nobody signed."""
    assert verdict(session_serializer(("key",), SALT), garbage) == verdict(plain("key"), garbage)
