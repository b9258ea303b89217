"""Landing folder, tables, checkpoint, disk and clock; nothing is left behind by looking."""

import errno
import json
import os
import shlex
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from inotify_simple import INotify, flags

from jobs.operations.checks.check import Check
from jobs.operations.look import Places, landed_files, open_table
from jobs.streaming.checkpoint import IDENTITY
from jobs.streaming.storage.folder import LocalFolder
from schemas.errors import StorageError
from schemas.feed import Feed
from schemas.tables import BATCHES, EVENTS, PREDICTIONS, QUARANTINE

APP_IDS = "streamscore.app_id"  # as in jobs.streaming.writing.tables
FREE_BYTES = 2**30
AHEAD_SECONDS = 60
INOTIFY = Path("/proc/sys/fs/inotify")
BAD = StorageError.exit_code


def check_storage(feed: Feed, places: Places) -> Iterator[Check]:
    """All of them."""
    yield check_landing(places.landing)
    yield check_inotify(places.landing)
    yield check_tables(feed, places)
    yield check_put_if_absent(feed, places.tables)
    yield check_checkpoint(feed, places)
    yield check_disk(places)
    yield check_clock(places)


def check_landing(landing: Path) -> Check:
    """Whether files can be found in it, and cleaned up."""
    if landing.exists() and not landing.is_dir():
        return Check(
            "landing", False, f"{landing} is a file, wanted a folder", _shell("mv", landing, f"{landing}.old"), BAD
        )
    try:
        names = sum(1 for _ in landed_files(LocalFolder(landing))) if landing.exists() else None
        _write_probe(_existing(landing))
    except OSError as error:
        return Check("landing", False, f"{error.filename or landing}: {error.strerror}", _grant(landing), BAD)
    return Check(
        "landing", True, f"{landing}, " + ("not there yet, run makes it" if names is None else f"{names:,} files")
    )


def check_inotify(landing: Path) -> Check:
    """Whether the system tells of new files; without, they are found by looking, a tenth of a second later."""
    if not INOTIFY.is_dir():
        return Check("inotify", True, "not on this system; new files are found by looking")
    limits = {name: int((INOTIFY / name).read_text()) for name in ("max_user_watches", "max_user_instances")}
    found = ", ".join(f"{name} {value:,}" for name, value in limits.items())
    try:
        with INotify() as inotify:
            inotify.add_watch(str(_existing(landing)), flags.CLOSE_WRITE | flags.ONLYDIR)
    except OSError as error:
        name = "max_user_watches" if error.errno == errno.ENOSPC else "max_user_instances"
        fix = f"sudo sysctl -w fs.inotify.{name}={4 * limits[name]}"
        return Check("inotify", False, f"{error.strerror} ({found}), so that new files are found by looking", fix)
    return Check("inotify", True, found)


def check_tables(feed: Feed, places: Places) -> Check:
    """Whether the tables that are there can be read, and their folder written."""
    from deltalake.exceptions import DeltaError

    versions, path = [], places.tables
    try:
        for name in (PREDICTIONS, QUARANTINE, BATCHES, EVENTS):
            path = places.tables / name
            table = open_table(path)
            versions += [f"{name} v{table.version()}"] if table is not None else []
            _write_probe(_existing(path))
    except OSError as error:
        return Check("tables", False, f"{error.filename or path}: {error.strerror or error}", _grant(path), BAD)
    except DeltaError as error:
        found = f"{path}: {str(error).partition(chr(10))[0]}"
        if path.name in (BATCHES, EVENTS):  # made anew by the next run
            return Check("tables", False, found, _shell("mv", path, f"{path}.damaged"), BAD)
        elsewhere = ("--tables", f"{places.tables}.new", "--checkpoint", f"{places.checkpoint}.new")
        return Check("tables", False, found, _shell("streamscore", "run", feed.name, *elsewhere), BAD)
    return Check("tables", True, f"{places.tables}, " + (", ".join(versions) or "not there yet, run makes them"))


def check_put_if_absent(feed: Feed, tables: Path) -> Check:
    """Whether of two commits of one version one fails: a hard link is how a folder says so."""
    folder = _existing(tables)
    probe, other = folder / f".doctor-{uuid.uuid4()}", folder / f".doctor-{uuid.uuid4()}"
    fix = _shell("streamscore", "run", feed.name, "--tables", f"/var/tmp/streamscore/{feed.name}")
    try:
        probe.touch()
        os.link(probe, other)
        os.link(probe, other)
    except FileExistsError:
        return Check("commits", True, f"put-if-absent works in {folder}")
    except OSError as error:
        return Check(
            "commits", False, f"no hard links in {folder} ({error.strerror}), wanted a file system with them", fix, BAD
        )
    finally:
        probe.unlink(missing_ok=True)
        other.unlink(missing_ok=True)
    return Check("commits", False, f"{folder} replaces a file where it should refuse to", fix, BAD)


def check_checkpoint(feed: Feed, places: Places) -> Check:
    """Whether it is this feed's, of this landing folder, and known to these tables."""
    folder, recover = places.checkpoint, f"streamscore run {feed.name} --recover"
    try:
        identity = json.loads((folder / IDENTITY).read_text("utf-8"))
        app_id, belongs = identity["app_id"], {"feed": identity["feed"], "landing": identity["landing"]}
    except FileNotFoundError:
        if _has_rows(places.tables):
            return Check("checkpoint", False, f"none in {folder}, and the tables have rows", recover, BAD)
        if (folder / "offsets").exists():
            return Check("checkpoint", False, f"{folder} has micro-batches and no {IDENTITY}", recover, BAD)
        return Check("checkpoint", True, f"{folder}, not there yet, run makes it")
    except (OSError, ValueError, KeyError, TypeError) as error:
        return Check("checkpoint", False, f"{folder / IDENTITY} is damaged: {error}", recover, BAD)
    wanted = {"feed": feed.name, "landing": places.landing.as_uri()}
    for key, value in wanted.items():
        if belongs[key] != value:
            fix = _shell("streamscore", "run", feed.name, "--checkpoint", f"{folder}.{feed.name}")
            return Check("checkpoint", False, f"{folder} belongs to {key} {belongs[key]}, wanted {value}", fix, BAD)
    if _has_rows(places.tables) and not _knows(places.tables, app_id):
        return Check("checkpoint", False, f"the tables have rows and do not know {app_id} of {folder}", recover, BAD)
    return Check("checkpoint", True, f"{folder}, {app_id}")


def check_disk(places: Places) -> Check:
    """Whether there is space where the stream writes."""
    folders = {_existing(folder) for folder in (places.landing, places.tables, places.checkpoint)}
    free, folder = min((shutil.disk_usage(folder).free, folder) for folder in folders)
    found = f"{free / 2**30:,.1f} GiB free in {folder}"
    if free > FREE_BYTES:
        return Check("disk", True, found)
    return Check(
        "disk", False, f"{found}, wanted more than 1 GiB", f"du -xh {shlex.quote(str(folder))} | sort -h | tail", BAD
    )


def check_clock(places: Places) -> Check:
    """Whether files that landed, and commits, are of the past; those of the future are still scored."""
    latest = time.time_ns() + AHEAD_SECONDS * 10**9
    ahead = (
        [f.local_path for f in landed_files(LocalFolder(places.landing)) if f.modified > latest]
        if places.landing.is_dir()
        else []
    )
    log = places.tables / PREDICTIONS / "_delta_log"
    ahead += [str(path) for path in log.glob("*.json") if path.stat().st_mtime_ns > latest] if log.is_dir() else []
    if not ahead:
        return Check(
            "clock", True, f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime())} UTC, nothing is of the future"
        )
    found = f"{len(ahead):,} files are of the future, such as {ahead[0]}: this clock or their writer's is wrong"
    return Check("clock", False, found, "sudo timedatectl set-ntp true")


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def _write_probe(folder: Path) -> None:
    probe = folder / f".doctor-{uuid.uuid4()}"
    try:
        probe.touch()
    finally:
        probe.unlink(missing_ok=True)


def _grant(path: Path) -> str:
    folder = _existing(path)
    ours = folder.stat().st_uid == os.geteuid()
    return _shell("chmod", "u+rwx", folder) if ours else _shell("sudo", "chown", str(os.geteuid()), folder)


def _has_rows(tables: Path) -> bool:
    found = [open_table(tables / name) for name in (PREDICTIONS, QUARANTINE)]
    return any(table.get_add_actions().num_rows > 0 for table in found if table is not None)


def _knows(tables: Path, app_id: str) -> bool:
    table = open_table(tables / PREDICTIONS)
    if table is None:
        return False
    known = table.metadata().configuration.get(APP_IDS, "").split(",")
    return app_id in known or table.transaction_version(app_id) is not None


def _shell(*words: str | Path) -> str:
    return shlex.join(str(word) for word in words)
