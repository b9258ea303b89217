"""A notice is signed and sent as Standard Webhooks has it, and every outcome is an answer."""

import base64
import contextlib
import time

import pytest

from jobs.monitoring.alerts.outbox import Notice
from jobs.monitoring.alerts.webhook import key_of, send, signature
from schemas.errors import SettingsError
from tests.support.receiver import KEY, SECRET, WebhookReceiver

NOTICE = Notice("msg_1", "me", "e", '{"type": "alert.firing", "data": {"raw": "ä"}}', 0.0)


def test_the_signature_is_that_of_the_specifications_own_libraries() -> None:
    key = key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "SECRET")
    signed = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_receiver_gets_it_signed() -> None:
    with contextlib.closing(WebhookReceiver()) as receiver:
        assert send(NOTICE, receiver.url, key_of(SECRET, "SECRET")).status == 204
    assert receiver.got == [("msg_1", {"type": "alert.firing", "data": {"raw": "ä"}})]


@pytest.mark.parametrize(
    ("status", "headers", "after"),
    [
        (429, {"retry-after": "2"}, 2.0),
        (503, {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        (503, {"retry-after": "soon"}, None),
        (302, {"location": "/elsewhere"}, None),
        (410, {}, None),
    ],
)
def test_what_it_answers_is_told_and_no_redirect_is_followed(
    status: int, headers: dict[str, str], after: float | None
) -> None:
    with contextlib.closing(WebhookReceiver(lambda _: (status, headers))) as receiver:
        answer = send(NOTICE, receiver.url, KEY)
    assert (answer.status, answer.after, len(receiver.got)) == (status, after, 1)


def test_no_answer_is_one_too_and_does_not_name_the_url() -> None:
    receiver = WebhookReceiver()
    receiver.close()
    begun = time.monotonic()
    answer = send(NOTICE, receiver.url + "?token=geheim", KEY)
    assert (answer.status, answer.problem) == (0, "no answer (ConnectionError)")
    assert time.monotonic() - begun < 15


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_???", "whsec_" + base64.b64encode(b"short").decode()])
def test_what_is_no_secret_is_told_without_it(secret: str) -> None:
    with pytest.raises(SettingsError, match="the variable MINE holds no secret, wanted whsec_") as caught:
        key_of(secret, "MINE")
    assert secret not in str(caught.value) or secret in ("", "whsec_")
