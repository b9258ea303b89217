"""Object store, landing folder, tables, disk and clock; nothing is left behind by looking."""

import contextlib
import errno
import os
import shlex
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from inotify_simple import INotify, flags

from jobs.operations.doctor.checkpoint import check_checkpoint
from jobs.operations.doctor.result import Check
from jobs.operations.stream_state import open_table
from schemas.dialect import ENDINGS
from schemas.errors import ContractError, RecoveryError, StorageError
from schemas.feed import Feed
from schemas.tables import BATCHES, EVENTS, QUARANTINE, scored_table
from streamscore.landing.entries import PassOver
from streamscore.landing.listing import landed_files
from streamscore.landing.manifest import LandedFile
from streamscore.landing.troubles import printable
from streamscore.storage.folder import Folder, LocalFolder
from streamscore.storage.object_store import is_object_uri
from streamscore.storage.places import open_folder
from streamscore.storage.stream_paths import StreamPaths
from streamscore.tables.log_entry import puts_if_absent
from streamscore.tables.understood import assert_understood

FREE_BYTES = 2**30
AHEAD_SECONDS = 60
INOTIFY = Path("/proc/sys/fs/inotify")
BAD = StorageError.exit_code


def check_storage(feed: Feed, paths: StreamPaths) -> Iterator[Check]:
    """All of them; only the disk where the object store cannot be used."""
    if paths.is_in_store:
        yield (store := check_store(paths))
        if not store.ok:
            yield check_disk(paths)
            return
    yield check_landing(paths, feed.csv.endings)
    if not paths.landing.is_remote:
        yield check_inotify(Path(paths.landing.uri))
    yield check_tables(feed, paths)
    yield check_put_if_absent(feed, paths)
    yield check_checkpoint(feed, paths)
    yield check_disk(paths)
    yield check_clock(feed, paths)


def check_store(paths: StreamPaths) -> Check:
    """Whether the object store answers, and lets us list what is in it."""
    try:
        paths.assert_reachable()
    except StorageError as error:
        return _unusable("store", "", error)
    there = ", ".join(uri for uri in paths.uris.values() if is_object_uri(uri))
    return Check("store", True, f"{_endpoint(paths) or 'AWS S3'} answers for {there}")


def check_landing(paths: StreamPaths, endings: tuple[str, ...] = ENDINGS) -> Check:
    """Whether files can be found in it, and, where they are to be, cleaned up."""
    landing, passed = paths.landing, list[str]()
    exists = landing.is_remote or Path(landing.uri).exists()
    if not landing.is_remote and exists and not Path(landing.uri).is_dir():
        move = _shell("mv", landing.uri, f"{landing.uri}.old")
        return Check("landing", False, f"{landing.uri} is a file, wanted a folder", move, BAD)
    if not exists and paths.names_landing:
        return Check("landing", False, f"{landing.uri} is not there", _shell("mkdir", "-p", landing.uri), BAD)
    try:
        files = _landed(landing, endings, lambda path, why: passed.append(f"{printable(path)} {why}"))
        if paths.cleans or not exists:
            _write_probe(_existing_folder(landing))
    except (OSError, StorageError) as error:
        return _unusable("landing", landing.uri, error)
    found = f"{len(files):,} files" if exists else "not there yet, run makes it"
    found += f"; {len(passed):,} entries are passed over, such as {passed[0]}" if passed else ""
    return Check("landing", True, f"{landing.uri}, {found}")


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


def check_tables(feed: Feed, paths: StreamPaths) -> Check:
    """Whether the tables that are there can be read, and their folder written."""
    from deltalake.exceptions import DeltaError

    versions, name = [], scored_table(feed)
    elsewhere = ["--tables", f"{paths.tables}.new", "--checkpoint", f"{paths.checkpoint.uri}.new"]
    try:
        for name in (scored_table(feed), QUARANTINE, BATCHES, EVENTS):
            table = open_table(paths, name)
            versions += [f"{name} v{table.version()}"] if table is not None else []
            if table is not None:
                assert_understood(paths.table(name), table, replaces=name == QUARANTINE)
            _write_probe(_existing_folder(open_folder(paths.table(name), paths.storage)))
    except RecoveryError as error:
        again = ["--recover"] if "--recover" in str(error) else elsewhere
        found, fix = str(error).rpartition("; ")[0], _shell("streamscore", "run", feed.name, *again)
        return Check("tables", False, found, fix, BAD)
    except (OSError, StorageError) as error:
        return _unusable("tables", paths.table(name), error)
    except ContractError as error:
        found, _, fix = str(error).partition("; ")
        return Check("tables", False, found, fix, error.exit_code)
    except DeltaError as error:
        uri = paths.table(name)
        found = f"{uri}: {str(error).partition(chr(10))[0]}"
        if name in (BATCHES, EVENTS):  # made anew by the next run
            return Check("tables", False, found, _move(paths, uri, f"{uri}.damaged"), BAD)
        return Check("tables", False, found, _shell("streamscore", "run", feed.name, *elsewhere), BAD)
    return Check("tables", True, f"{paths.tables}, " + (", ".join(versions) or "not there yet, run makes them"))


def check_put_if_absent(feed: Feed, paths: StreamPaths) -> Check:
    """Whether of two commits of one version one fails; by hard links in a folder, by conditional PUT in a store."""
    folder = _existing_folder(open_folder(paths.tables, paths.storage))
    if puts_if_absent(folder):
        return Check("commits", True, f"put-if-absent works in {folder.uri}")
    lacking = "does not honour If-None-Match" if folder.is_remote else "has no hard links"
    fix = _shell("streamscore", "run", feed.name, "--tables", f"/var/tmp/streamscore/{feed.name}")
    found = f"{folder.uri} replaces a file where it should refuse to, or {lacking}: commits would be lost"
    return Check("commits", False, found, fix, BAD)


def check_disk(paths: StreamPaths) -> Check:
    """Whether there is space where the stream writes on this machine."""
    local = [Path(uri) for uri in paths.uris.values() if not is_object_uri(uri)]
    free, folder = min((shutil.disk_usage(path).free, path) for path in map(_existing, [*local, paths.scratch]))
    found = f"{free / 2**30:,.1f} GiB free in {folder}"
    if free > FREE_BYTES:
        return Check("disk", True, found)
    return Check(
        "disk", False, f"{found}, wanted more than 1 GiB", f"du -xh {shlex.quote(str(folder))} | sort -h | tail", BAD
    )


def check_clock(feed: Feed, paths: StreamPaths) -> Check:
    """Whether files that landed, and commits, are of the past; those of the future are still scored."""
    latest = time.time_ns() + AHEAD_SECONDS * 10**9
    ahead = []
    with contextlib.suppress(OSError):  # of a folder that cannot be looked into, which `landing` tells
        ahead = [file.path for file in _landed(paths.landing, feed.csv.endings) if file.modified > latest]
    log = Path(paths.table(scored_table(feed)), "_delta_log")  # of a table in a store there is none
    ahead += [str(path) for path in log.glob("*.json") if path.stat().st_mtime_ns > latest] if log.is_dir() else []
    if not ahead:
        return Check(
            "clock", True, f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime())} UTC, nothing is of the future"
        )
    found = f"{len(ahead):,} files are of the future, such as {ahead[0]}: this clock or their writer's is wrong"
    return Check("clock", False, found, "sudo timedatectl set-ntp true")


def _landed(
    landing: Folder,
    endings: tuple[str, ...],
    pass_over: PassOver = lambda path, why: None,  # noqa: ARG005
) -> list[LandedFile]:
    try:
        return list(landed_files(landing, pass_over, endings))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def _existing_folder(folder: Folder) -> Folder:
    """The same of a folder; in a bucket, each is there."""
    return folder.by_kind(local=lambda local: LocalFolder(_existing(local.path)), bucket=lambda bucket: bucket)


def _write_probe(folder: Folder) -> None:
    probe = f".doctor-{uuid.uuid4()}"
    folder.write(probe, b"")
    folder.delete(probe)


def _unusable(name: str, uri: str, error: OSError | StorageError) -> Check:
    said = str(error).partition("\n")[0]
    if isinstance(error, StorageError):
        found, _, fix = said.rpartition("; ")
        return Check(name, False, found, fix, BAD)
    if is_object_uri(uri):  # of `deltalake`, after boto3 got an answer
        return Check(name, False, f"{uri}: {said}", "hold storage.* against docs/settings.md, and look again", BAD)
    return Check(name, False, f"{error.filename or uri}: {error.strerror or said}", _grant(Path(uri)), BAD)


def _grant(path: Path) -> str:
    folder = _existing(path)
    ours = folder.stat().st_uid == os.geteuid()
    return _shell("chmod", "u+rwx", folder) if ours else _shell("sudo", "chown", str(os.geteuid()), folder)


def _move(paths: StreamPaths, uri: str, to: str) -> str:
    if not is_object_uri(uri):
        return _shell("mv", uri, to)
    endpoint = ("--endpoint-url", _endpoint(paths)) if _endpoint(paths) else ()
    return _shell("aws", *endpoint, "s3", "mv", "--recursive", uri, to)


def _endpoint(paths: StreamPaths) -> str:
    return paths.storage.endpoint if paths.storage else ""


def _shell(*words: str | Path) -> str:
    return shlex.join(str(word) for word in words)
