"""API keys: who is let in, and what a key is for."""

import json
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.requests import Request

from jobs.cli import main
from jobs.serving.access import keys as access
from jobs.serving.access.keys import Keys, assert_may_ask, assert_may_ask_for, caller, may_ask
from jobs.serving.access.new_key import entry_of, new_key
from jobs.serving.requests.problems import RequestError
from schemas.errors import SettingsError
from schemas.settings_online import Key

TODAY = datetime.now(UTC).date()
WEB, WEB_ENTRY = new_key("web", ("wine_*", "beer"), ("eu-*",))
ADMIN, ADMIN_ENTRY = new_key("admin", admin=True)
OLD, OLD_ENTRY = new_key("old", ("*",), expires=TODAY)
LAST, LAST_ENTRY = new_key("last day", ("*",), expires=TODAY + timedelta(days=1))
KEYS = Keys((WEB_ENTRY, ADMIN_ENTRY, OLD_ENTRY, LAST_ENTRY))


def request_with(**headers: str) -> Request:
    found = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return Request({"type": "http", "headers": found})


def let_in(request: Request, admin: bool = False) -> str:
    """The caller's name, in a context of its own, as each request has one."""

    def inside() -> str:
        (KEYS.let_in_admin if admin else KEYS.let_in)(request)
        return caller()

    return copy_context().run(inside)


def status_of(call: Any, *arguments: Any) -> int:
    with pytest.raises(RequestError) as caught:
        call(*arguments)
    assert not any(key in caught.value.detail for key in (WEB, ADMIN, OLD))
    return caught.value.status


@pytest.mark.parametrize(
    "headers",
    [{"authorization": f"Bearer {WEB}"}, {"authorization": f"bearer  {WEB} "}, {"x_api_key": WEB}],
)
def test_a_key_is_known_in_either_header(headers: dict[str, str]) -> None:
    assert let_in(request_with(**headers)) == "web"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": WEB},
        {"authorization": f"Basic {WEB}"},
        {"authorization": "Bearer "},
        {"x_api_key": WEB[:-1]},
        {"x_api_key": WEB.upper()},
        {"x_api_key": WEB_ENTRY.hash},  # who reads the settings has no key
        {"x_api_key": "\xff\x80"},
        {"x_api_key": OLD},
    ],
)
def test_without_a_valid_key_nobody_is_let_in(headers: dict[str, str]) -> None:
    assert status_of(let_in, request_with(**headers)) == 401
    assert status_of(let_in, request_with(**headers), True) == 401


def test_a_key_is_good_until_the_day_before_it_expires() -> None:
    assert let_in(request_with(x_api_key=LAST)) == "last day"


def test_only_an_admin_key_opens_the_admin_routes() -> None:
    assert let_in(request_with(x_api_key=ADMIN), True) == "admin"
    assert status_of(let_in, request_with(x_api_key=WEB), True) == 403
    assert status_of(Keys(()).let_in_admin, request_with()) == 401  # without any keys, nobody


def test_without_keys_everybody_may_ask() -> None:
    Keys(()).let_in(request_with())
    assert (caller(), may_ask("any")) == ("", True)
    assert_may_ask("any")
    assert_may_ask_for("anybody")


def test_a_key_is_for_the_models_and_users_of_its_patterns() -> None:
    def inside() -> None:
        KEYS.let_in(request_with(x_api_key=WEB))
        allowed = {name: may_ask(name) for name in ("wine_quality", "beer", "beers", "WINE_a", "wine", "")}
        assert [name for name, may in allowed.items() if may] == ["wine_quality", "beer"]
        assert_may_ask_for("eu-1")
        assert status_of(assert_may_ask, "beers") == 403
        assert status_of(assert_may_ask_for, "us-1") == 403

    copy_context().run(inside)
    assert access.caller() == ""


def test_a_key_and_its_entry() -> None:
    key, entry = new_key("web")
    assert len(key) > 43 and key not in entry_of(entry)
    assert Key(**json.loads(entry_of(WEB_ENTRY))) == WEB_ENTRY
    assert new_key("web")[0] != key


def test_the_same_key_twice_is_refused() -> None:
    with pytest.raises(SettingsError, match="'web' and 'copy' are the same key"):
        Keys((WEB_ENTRY, WEB_ENTRY.model_copy(update={"name": "copy"})))


def test_other_keys_take_the_place_of_the_first_ones_and_without_any_nobody_is_let_in() -> None:
    keys = Keys(())
    keys.let_in(request_with())
    keys.replace((WEB_ENTRY,))
    assert keys
    for key, is_in in ((WEB, True), (LAST, False), ("", False)):
        found = copy_context()
        if is_in:
            found.run(keys.let_in, request_with(x_api_key=key))
        else:
            assert status_of(keys.let_in, request_with(x_api_key=key)) == 401
    with pytest.raises(SettingsError):
        keys.replace((LAST_ENTRY, LAST_ENTRY))
    copy_context().run(keys.let_in, request_with(x_api_key=WEB))
    keys.replace(())
    assert keys
    assert status_of(keys.let_in, request_with(x_api_key=WEB)) == 401


def test_a_key_in_place_of_its_hash_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STREAMSCORE_SERVING__KEYS", json.dumps([{"name": "web", "hash": WEB}]))
    with pytest.raises(SystemExit):
        main(["serve", "--debug"])
    said = capsys.readouterr().err
    assert "streamscore serve-key NAME" in said
    assert WEB not in said
