"""Watches feeds in one process, and sends their notices."""

import difflib
import functools
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Sequence

import structlog

from jobs.monitoring.alerts.outbox import Answer, Notice
from jobs.monitoring.alerts.watch import FeedWatch
from jobs.monitoring.alerts.webhook import key_of, send
from jobs.operations.status import count_waiting
from schemas.alerts import Alerts, Receiver
from schemas.errors import SettingsError, StorageError
from schemas.feed import Feed
from schemas.settings import Settings
from streamscore.following.follow_table import LOCAL_SECONDS, REMOTE_SECONDS
from streamscore.storage.object_store import is_object_uri

log = structlog.get_logger()


def run(feeds: Sequence[Feed], alerts: Alerts, settings: Settings) -> None:
    """Watch until SIGTERM or Ctrl-C, which end it between two looks.

    Raises:
        StorageError: a table `alerts` cannot be made or read.
        TryAgainError: another watcher of one of the feeds is at work.
    """
    senders = dict(filter(None, map(_sender, alerts.receivers)))
    watches = [
        FeedWatch(feed, alerts, settings, senders, functools.partial(count_waiting, feed, settings)) for feed in feeds
    ]
    pause = REMOTE_SECONDS if is_object_uri(settings.tables.path) else LOCAL_SECONDS
    log.info("watching", feeds=[feed.name for feed in feeds], rules=len(alerts.rules), receivers=sorted(senders))
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    while not stopping.wait(pause):
        for watch in watches:
            watch.look()
    for watch in watches:
        watch.finish()


def send_test(name: str, alerts: Alerts) -> str:
    """Send a notice that says that it is a test; gives what came of it.

    Raises:
        SettingsError: no such receiver, or its secret is not there.
        StorageError: it did not take the notice.
    """
    known = {receiver.name: receiver for receiver in alerts.receivers}
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known) or 'none'}"
        msg = f"no receiver '{name}'; {hint}"
        raise SettingsError(msg)
    receiver, body = known[name], '{"type": "alert.test", "data": {"summary": "a test of streamscore"}}'
    notice = Notice(f"msg_{uuid.uuid4().hex}", name, "", body, time.time())
    answer = send(notice, receiver.url, _key(receiver))
    if not 200 <= answer.status < 300:
        msg = f"receiver '{name}' did not take a test: {answer.problem or f'it answered {answer.status}'}; see its url"
        raise StorageError(msg)
    return f"{name}: received ({answer.status})"


def _sender(receiver: Receiver) -> tuple[str, Callable[[Notice], Answer]] | None:
    """A receiver without its secret is said once; the others get their notices."""
    try:
        return receiver.name, functools.partial(send, url=receiver.url, key=_key(receiver))
    except SettingsError as error:
        log.error("receiver left out", receiver=receiver.name, error=str(error))
        return None


def _key(receiver: Receiver) -> bytes:
    return key_of(os.environ.get(receiver.secret_env, ""), receiver.secret_env)
