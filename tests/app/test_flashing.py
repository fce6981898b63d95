"""flash and after_this_request: what a request keeps for its response, or for the next request."""

from typing import Any

import pytest

from greenlane import (
    App,
    Response,
    abort,
    after_this_request,
    copy_current_request_context,
    flash,
    get_flashed_messages,
    redirect,
    stream_with_context,
)


@pytest.fixture
def shop(app: App) -> App:
    """An App that flashes two messages and redirects to where they are shown."""

    @app.get("/buy")
    def buy() -> Any:
        flash("bought")
        flash("stock is low", "warning")
        return redirect("/basket")

    @app.get("/basket")
    def basket() -> Any:
        return [get_flashed_messages(), get_flashed_messages()]

    return app


def test_flash_survives_a_redirect_and_is_taken_once(shop: App) -> None:
    """B38: shown by the next request that asks, as often as it asks, and by none after it."""
    client, stranger = shop.test_client(), shop.test_client()
    assert client.get("/buy").status_code == 302
    assert stranger.get("/basket").json == [[], []]
    assert client.get("/basket").json == [["bought", "stock is low"]] * 2
    assert client.get("/basket").json == [[], []]


def test_flashes_stay_until_somebody_looks(shop: App) -> None:
    """B38: requests in between lose nothing, and messages add up."""
    shop.add_url_rule("/other", "other", lambda: "")
    client = shop.test_client()
    for path in "/buy", "/other", "/buy":
        client.get(path)
    assert client.get("/basket").json == [["bought", "stock is low"] * 2] * 2


def test_flashes_by_category(app: App) -> None:
    """B38: pairs, and only the categories that are asked for."""
    with app.test_request_context():
        flash("a")
        flash("b", "error")
        assert get_flashed_messages(with_categories=True) == [("message", "a"), ("error", "b")]
        assert get_flashed_messages(category_filter=["error"]) == ["b"]
        assert get_flashed_messages(with_categories=True, category_filter=("error", "x")) == [("error", "b")]
        with pytest.raises(TypeError, match=r'category_filter=\["error"\]'):
            get_flashed_messages(category_filter="error")
        flash("for the next request")
        assert get_flashed_messages() == ["a", "b"]


def test_flash_without_a_secret_key(app: App) -> None:
    """B38: asking for messages needs none, and keeping one says what is missing."""
    app.secret_key = None
    with app.test_request_context():
        assert get_flashed_messages() == []
        with pytest.raises(RuntimeError, match="secret key"):
            flash("x")


@pytest.mark.parametrize("use", [lambda: flash("x"), get_flashed_messages, lambda: after_this_request(abort)])
def test_outside_of_a_request(app: App, use: Any) -> None:
    """B38: RuntimeError in the form of B27, also where only an App is current."""
    with app.app_context(), pytest.raises(RuntimeError) as caught:
        use()
    lines = str(caught.value).splitlines()
    assert lines[0] == "Working outside of request context."
    assert "app.test_request_context(" in str(caught.value)


def adds(name: str) -> Any:
    def function(response: Response) -> Response:
        response.headers.add("X-Order", name)
        return response

    return function


def test_after_this_request_runs_once_and_in_order(app: App) -> None:
    """B38: in the order in which they were added, before the App's, for this request only."""
    app.after_request(adds("app"))

    @app.get("/<int:number>")
    def view(number: int) -> str:
        for name in ("first", "second")[:number]:
            assert after_this_request(function := adds(name)) is function
        return ""

    client = app.test_client()
    orders = [client.get(f"/{number}").headers.getlist("X-Order") for number in (2, 0, 1)]
    assert orders == [["first", "second", "app"], ["app"], ["first", "app"]]


def test_after_this_request_may_replace_the_response(app: App) -> None:
    """B38: what it returns is what is sent, and what the next function gets."""

    @app.get("/")
    def view() -> str:
        after_this_request(lambda response: Response(f"{response.get_data(as_text=True)} replaced"))
        after_this_request(adds("second"))
        return "view"

    response = app.test_client().get("/")
    assert (response.text, response.headers["X-Order"]) == ("view replaced", "second")


def test_after_this_request_within_such_a_function(app: App) -> None:
    """B38: one that another adds runs behind it; one of an after_request function runs behind all."""

    @app.after_request
    def last(response: Response) -> Response:
        after_this_request(adds("from app"))
        return adds("app")(response)  # type: ignore[no-any-return]

    @app.get("/")
    def view() -> str:
        @after_this_request
        def nesting(response: Response) -> Response:
            after_this_request(adds("nested"))
            return adds("nesting")(response)  # type: ignore[no-any-return]

        after_this_request(adds("second"))
        return ""

    order = app.test_client().get("/").headers.getlist("X-Order")
    assert order == ["nesting", "second", "nested", "app", "from app"]


@pytest.mark.parametrize("failing", ["view", "handled", "function"])
def test_after_this_request_and_errors(app: App, failing: str) -> None:
    """B38: the error response gets each function that has not run, its handler's too, and none twice."""
    app.testing = False
    app.logger.disabled = True

    def handler(error: Exception) -> tuple[str, int]:
        after_this_request(adds("handler"))
        return "sorry", 500

    app.register_error_handler(LookupError if failing == "handled" else 500, handler)

    def breaks(response: Response) -> Response:
        raise LookupError

    @app.get("/")
    def view() -> str:
        after_this_request(adds("before"))
        if failing == "function":
            after_this_request(breaks)
            after_this_request(adds("behind"))
            return ""
        raise LookupError

    response = app.test_client().get("/")
    app.logger.disabled = False
    assert response.text == "sorry"
    expected = ["behind", "handler"] if failing == "function" else ["before", "handler"]
    assert response.headers.getlist("X-Order") == expected


def test_after_this_request_too_late(app: App) -> None:
    """B38: where the response is finished, it raises instead of being forgotten."""
    texts: list[str] = []

    def too_late(exc: BaseException | None = None) -> str:
        with pytest.raises(
            RuntimeError, match=r"too late: the response of .*GET '/' .* is finished"
        ) as caught:
            after_this_request(adds("never"))
        texts.append(str(caught.value))
        return "x"

    app.teardown_request(too_late)

    @app.get("/")
    def view() -> Any:
        return stream_with_context(too_late() for _ in range(1))

    assert app.test_client().get("/").text == "x"
    assert len(texts) == 2


def test_a_copied_context_adds_to_the_request(app: App) -> None:
    """B38, B51: what a worker adds and flashes in time is the request's."""

    @app.get("/")
    def view() -> Any:
        flash("own")
        assert copy_current_request_context(get_flashed_messages)() == ["own"]
        copy_current_request_context(after_this_request)(adds("copy"))
        return get_flashed_messages()

    response = app.test_client().get("/")
    assert (response.json, response.headers["X-Order"]) == (["own"], "copy")
