"""One attempt to send a notice, as Standard Webhooks 1.0.0 has it: signed, no redirects, and an answer in any case."""

import base64
import binascii
import hashlib
import hmac
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from jobs.monitoring.alerts.outbox import Answer, Notice
from schemas.errors import SettingsError

SECONDS = 15.0  # for an answer
PREFIX = "whsec_"


def key_of(secret: str, name: str) -> bytes:
    """The key in a secret, `whsec_` and base64.

    Args:
        name: of the variable it was in; for the message, which never shows the secret.

    Raises:
        SettingsError: it is no such secret.
    """
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) < 16:
        msg = f"the variable {name} holds no secret, wanted whsec_ and at least 24 bytes in base64; set it"
        raise SettingsError(msg)
    return key


def signature(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """The header `webhook-signature`."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def send(notice: Notice, url: str, key: bytes) -> Answer:
    """Send a notice; whatever goes wrong is an answer. No answer names the URL, which may hold a token."""
    import requests

    body, now = notice.body.encode(), int(time.time())
    headers = {
        "content-type": "application/json",
        "user-agent": "streamscore",
        "webhook-id": notice.id,
        "webhook-timestamp": str(now),
        "webhook-signature": signature(key, notice.id, now, body),
    }
    try:
        with requests.post(
            url, data=body, headers=headers, timeout=SECONDS, allow_redirects=False, stream=True
        ) as answer:
            return Answer(answer.status_code, after=_seconds(answer.headers.get("retry-after")))
    except requests.RequestException as error:
        return Answer(0, f"no answer ({type(error).__name__})")


def _seconds(said: str | None) -> float | None:
    """What `Retry-After` says: seconds, or a time."""
    if said is None:
        return None
    try:
        return max(0.0, float(said))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(said) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
