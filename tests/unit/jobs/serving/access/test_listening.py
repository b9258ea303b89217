"""Without keys only loopback is listened on."""

from typing import Any

import pytest

from jobs.serving.access.listening import assert_may_listen, is_loopback
from jobs.serving.access.new_key import new_key
from schemas.errors import SettingsError
from schemas.settings import Serving

WEB, ADMIN = new_key("web", ("*",))[1], new_key("admin", admin=True)[1]


@pytest.mark.parametrize(
    ("host", "only_here"),
    [
        ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("2130706433", True),
        ("0.0.0.0", False), ("", False), ("0", False), ("::", False), ("192.0.2.1", False),
        ("::ffff:192.0.2.1", False), ("no such host", False),
    ],
)  # fmt: skip
def test_an_address_that_other_machines_reach_is_no_loopback(host: str, only_here: bool) -> None:
    assert is_loopback(host) is only_here


@pytest.mark.parametrize(
    "settings",
    [{}, {"host": "::1"}, {"host": "0.0.0.0", "keys": (WEB,)}, {"keys": (WEB, ADMIN), "admin_port": 8001}],
)
def test_what_is_safe_may_start(settings: dict[str, Any]) -> None:
    assert_may_listen(Serving(**settings))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"host": "0.0.0.0"}, "serving.host is '0.0.0.0'"),
        ({"host": ""}, "serving.host is ''"),
        ({"admin_port": 8001}, "streamscore serve-key NAME --admin"),
        ({"admin_port": 8001, "keys": (WEB,)}, "none of serving.keys is an admin key"),
        ({"admin_port": 8000, "keys": (ADMIN,)}, "wanted two ports"),
    ],
)
def test_what_would_let_others_in_is_refused_in_one_line(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        assert_may_listen(Serving(**settings))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
