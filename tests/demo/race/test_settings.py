"""What a race is asked for: good forms are read, and each bad field is refused with a reason."""

import pytest
from werkzeug.datastructures import ImmutableMultiDict

from greenlane.demo.hazards import HAZARDS
from greenlane.demo.hazards.hazard import Hazard
from greenlane.demo.parameters import ParameterError
from greenlane.demo.race.settings import DEFAULTS, LIMITS, Settings, choices
from greenlane.demo.strategies import STRATEGIES

OWN_SERVER = [hazard.name for hazard in HAZARDS if hazard.own_server is not None]
HERE = [hazard for hazard in HAZARDS if hazard.own_server is None]


def settings(**fields: str) -> Settings:
    return Settings.of(ImmutableMultiDict(DEFAULTS | fields))


def refusal(**fields: str) -> tuple[str, str]:
    with pytest.raises(ParameterError) as refused:
        settings(**fields)
    return refused.value.parameter, refused.value.reason


# Good forms


def test_what_the_page_holds_when_it_is_opened_can_be_raced() -> None:
    raced = settings()
    assert raced.hazard.name == "shared-object"
    assert raced.cells == ("shared-object/shared-object", "shared-object/local")
    assert (raced.requests, raced.at_once, raced.hops) == (200, 20, 3)


def test_every_field_is_read() -> None:
    raced = settings(
        hazard="keep-alive", strategy="fixed", beside="broken", requests=" 7 ", at_once="5", hops="2"
    )
    assert raced.cells == ("keep-alive/fixed", "keep-alive/broken")
    assert (raced.requests, raced.at_once, raced.hops) == (7, 5, 2)


def test_numbers_that_are_left_out_are_the_defaults() -> None:
    form = {"hazard": "shared-object", "strategy": "local"}
    raced = Settings.of(ImmutableMultiDict(form))
    assert (raced.requests, raced.at_once, raced.hops) == (200, 20, 3)
    assert raced.strategies == ("local",)


@pytest.mark.parametrize(
    ("beside", "strategies"), [("", ("local",)), ("local", ("local",)), ("context", ("local", "context"))]
)
def test_one_or_two_are_raced_and_none_beside_itself(beside: str, strategies: tuple[str, ...]) -> None:
    assert settings(strategy="local", beside=beside).strategies == strategies


def test_no_more_at_once_than_there_are() -> None:
    assert settings(requests="30", at_once="31").at_once == 30
    assert settings(requests="30", at_once="29").at_once == 29


@pytest.mark.parametrize("name", LIMITS)
def test_a_number_may_be_at_either_end(name: str) -> None:
    wide = {"requests": str(LIMITS["requests"])}
    assert getattr(settings(**(wide | {name: "1"})), name) == 1
    assert getattr(settings(**(wide | {name: str(LIMITS[name])})), name) == LIMITS[name]


# Bad fields


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "1e2", "ten", "²", "\u0661", "0x10", "9" * 5_000])
def test_what_is_no_number_is_refused(name: str, text: str) -> None:
    assert refusal(**{name: text}) == (name, f"must be a whole number from 1 to {LIMITS[name]:,}")


@pytest.mark.parametrize("name", LIMITS)
def test_a_number_beyond_the_bound_is_refused(name: str) -> None:
    assert refusal(**{name: str(LIMITS[name] + 1)}) == (
        name,
        f"must be a whole number from 1 to {LIMITS[name]:,}",
    )


@pytest.mark.parametrize("name", ["", "nothing", "Shared-Object", "shared-object/local"])
def test_an_unknown_hazard_is_refused(name: str) -> None:
    assert refusal(hazard=name) == ("hazard", f"there is no hazard {name!r}")


def test_a_form_without_anything_is_refused() -> None:
    with pytest.raises(ParameterError, match="there is no hazard ''"):
        Settings.of(ImmutableMultiDict())


@pytest.mark.parametrize("field", ["strategy", "beside"])
@pytest.mark.parametrize("name", ["nothing", "Local", "__class__", "situate"])
def test_an_unknown_strategy_is_refused(field: str, name: str) -> None:
    assert refusal(**{field: name}) == (field, f"there is no strategy {name!r}")


def test_no_strategy_is_refused() -> None:
    assert refusal(strategy="") == ("strategy", "there is no strategy ''")


@pytest.mark.parametrize("name", OWN_SERVER)
def test_what_needs_a_server_of_its_own_is_refused(name: str) -> None:
    assert refusal(hazard=name) == (
        "hazard",
        f"{name!r} needs a server of its own: see crosstalk matrix",
    )


def test_what_a_hazard_says_nothing_of_is_refused_with_the_reason() -> None:
    silent = [(hazard, *told) for hazard in HERE for told in hazard.not_applicable.items()]
    assert silent
    for hazard, name, reason in silent:
        told = refusal(hazard=hazard.name, strategy=name, beside="fixed")
        assert told == ("strategy", f"{hazard.name!r} says nothing of {name!r}: {reason}")


# What can be chosen


@pytest.mark.parametrize("hazard", HERE, ids=lambda hazard: str(hazard.name))
def test_what_is_offered_is_what_is_taken(hazard: Hazard) -> None:
    """The page disables what cannot be raced by the same list."""
    offered = choices(hazard)
    assert set(offered) == {strategy.name for strategy in STRATEGIES} | {"broken", "fixed"}
    for name, reason in offered.items():
        if reason is None:
            assert settings(hazard=hazard.name, strategy=name, beside="").strategies == (name,)
        else:
            assert refusal(hazard=hazard.name, strategy=name)[0] == "strategy"


def test_nothing_is_offered_of_what_needs_a_server_of_its_own() -> None:
    assert [choices(hazard) for hazard in HAZARDS if hazard.own_server is not None] == [{}] * len(OWN_SERVER)
