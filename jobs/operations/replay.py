"""`streamscore replay`: quarantined rows are landed again, once.

The rows of one header make one file, a refused file is copied. What is about to be landed is noted first, so that a
crash anywhere between the first rename and the last mark is finished by the next replay, whatever it is asked for.
"""

import difflib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from jobs.operations.look import Places, open_table, quoted, select
from jobs.operations.mark import Key, Marks, mark
from jobs.operations.original import Originals, was_landed
from jobs.streaming.reading.landed import is_utf8
from jobs.streaming.storage.folder import LocalFolder
from schemas.errors import SettingsError, StorageError, TryAgainError
from schemas.feed import Feed
from schemas.reasons import Reason
from schemas.settings import Settings
from schemas.tables import PREDICTIONS, QUARANTINE

PENDING = ".replay-pending.json"  # in the landing folder: file → keys of the rows in it
LOCK = ".replay.lock"
DIGEST = 20  # hexadecimal digits

# Of these rows quarantine does not hold the bytes, or a quote that they open would swallow the rows behind them.
NOT_FAITHFUL = (Reason.BAD_ENCODING, Reason.UNREADABLE)
COLUMNS = "source_file, source_line, rows, header, raw, reason, app_id, batch_id"


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows of quarantine: of any of these reasons, of this `source_file`, of this batch; null is any."""

    reasons: tuple[str, ...] = ()
    file: str | None = None
    batch_id: int | None = None


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay did: the files that it landed, and how many rows are in them, as far as they can be counted."""

    message: str
    files: tuple[str, ...] = ()
    rows: int = 0


@dataclass(slots=True)
class _Plan:
    """What is to be landed: file → its hidden twin, its rows' keys, their number. And what is not, with the reason."""

    hidden: dict[str, Path]
    marks: Marks
    rows: dict[str, int]
    left_out: list[str]


def replay_rows(feed: Feed, settings: Settings, selection: Selection) -> Replayed:
    """Land the chosen rows that were never landed again, under their own header, as `replay-<digest>.csv`.

    1. Finish what a crash left.  2. Choose: only rows whose micro-batch is done.  3. Write hidden files and note what
    is in them.  4. Rename those that were never landed.  5. Mark the rows with the name of their file.

    Raises:
        SettingsError: nothing is selected, or by a reason that there is not.
        StorageError: landing or quarantine cannot be written.
        TryAgainError: another replay is at work, or the stream always wrote first.
    """
    _assert_selects(feed, selection)
    places = Places.of(feed, settings)
    if not (places.tables / QUARANTINE / "_delta_log").is_dir():
        return Replayed(f"nothing to replay: no quarantine in {places.tables}; next: streamscore run {feed.name}")
    try:
        with _alone(places.landing):
            _finish(places)  # 1
            rows, waiting = _choose(places, selection)  # 2
            plan = _write(rows, feed, places)  # 3
            landed = _land(plan, places) if plan.hidden else []  # 4, 5
    except OSError as error:
        raise StorageError(
            f"cannot land in {places.landing}: {error.strerror or error}; look: streamscore doctor {feed.name}"
        ) from error
    if waiting:
        plan.left_out.append(
            f"{waiting:,} rows of a micro-batch that is not done; finish it: streamscore run {feed.name}"
        )
    return _replayed(feed, places, plan, landed)


def _assert_selects(feed: Feed, selection: Selection) -> None:
    if not selection.reasons and selection.file is None and selection.batch_id is None:
        raise SettingsError(
            f"replay {feed.name} of what? wanted --reason CODE, --file NAME or --batch ID; "
            f"what there is: streamscore status {feed.name}"
        )
    known = [reason.value for reason in Reason]
    for reason in selection.reasons:
        if reason not in known:
            near = difflib.get_close_matches(reason, known, 1)
            hint = f"did you mean '{near[0]}'? " if near else ""
            raise SettingsError(f"no reason '{reason}': {hint}reasons: {', '.join(known)}")


@contextmanager
def _alone(landing: Path) -> Iterator[None]:
    landing.mkdir(parents=True, exist_ok=True)
    with (landing / LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise TryAgainError(
                f"another replay is at work in {landing}; run the same again when it is done"
            ) from error
        yield


def _finish(places: Places) -> None:
    """Mark what an interrupted replay landed; what it did not land is free to be chosen again."""
    note = places.landing / PENDING
    if note.exists():
        noted = {name: [Key(*key) for key in keys] for name, keys in json.loads(note.read_text("utf-8")).items()}
        mark(places.tables / QUARANTINE, {name: keys for name, keys in noted.items() if was_landed(name, places)})
        note.unlink()


def _choose(places: Places, selection: Selection) -> tuple[list[dict[str, Any]], int]:
    """The rows to replay, in the order of their files, and the number of those whose micro-batch may run again.

    A micro-batch that is not in predictions replaces its rejects when it runs again: what was replayed of them would
    come twice.
    """
    wanted = ["replayed_as IS NULL"]
    if selection.reasons:
        wanted.append(f"reason IN ({', '.join(map(quoted, selection.reasons))})")
    if selection.file is not None:
        wanted.append(f"source_file = {quoted(selection.file)}")
    if selection.batch_id is not None:
        wanted.append(f"batch_id = {selection.batch_id}")
    quarantine, predictions = open_table(places.tables / QUARANTINE), open_table(places.tables / PREDICTIONS)
    sql = f"SELECT {COLUMNS} FROM t WHERE {' AND '.join(wanted)}"
    rows = select(quarantine, sql).to_pylist() if quarantine else []
    apps = {row["app_id"] for row in rows} if predictions else ()
    done = {app: predictions.transaction_version(app) for app in apps if app and predictions}
    ready = [row for row in rows if (newest := done.get(row["app_id"])) is not None and row["batch_id"] <= newest]
    ready.sort(key=lambda row: (row["source_file"], row["source_line"] or 0, row["batch_id"]))
    return ready, len(rows) - len(ready)


def _write(rows: Sequence[dict[str, Any]], feed: Feed, places: Places) -> _Plan:
    plan, originals = _Plan({}, {}, {}, []), Originals(places)
    by_header: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row["source_line"] is None:
            _copy_file(row, plan, places, originals)
        elif row["reason"] in NOT_FAITHFUL or row["header"] is None or row["raw"] is None:
            where = f"{row['source_file']} line {row['source_line']}"
            plan.left_out.append(f"{where} ({row['reason']}): its bytes are not in quarantine; take them from the file")
        else:
            by_header.setdefault(row["header"], []).append(row)
    for header, group in by_header.items():
        keys = [_key(row) for row in group]
        digest = hashlib.sha256(json.dumps([header, *keys], separators=(",", ":")).encode()).hexdigest()[:DIGEST]
        name = f"replay-{digest}.csv"
        encoding = "utf-8" if is_utf8(feed.csv.encoding) else feed.csv.encoding
        with (places.landing / f".{name}").open("w", encoding=encoding, newline="") as file:
            file.writelines(f"{line}\n" for line in (header, *(row["raw"] for row in group)))
            _make_durable(file)
        plan.hidden[name], plan.marks[name], plan.rows[name] = places.landing / f".{name}", keys, len(group)
    return plan


def _copy_file(row: dict[str, Any], plan: _Plan, places: Places, originals: Originals) -> None:
    """Plan to land a refused file again; the same content of the same path once, however often it was refused."""
    file = row["source_file"]
    original = originals.find(file, row["reason"])
    if isinstance(original, Path) and not os.access(original, os.R_OK):
        original = f"{original} cannot be read by this user; chmod it"
    if isinstance(original, str):
        plan.left_out.append(f"{file} ({row['reason']}): {original}")
        return
    hidden, digest = places.landing / ".replay-copy", hashlib.sha256(file.encode() + b"\n")
    with original.open("rb") as source, hidden.open("wb") as copy:
        while piece := source.read(1 << 20):
            digest.update(piece)
            copy.write(piece)
        _make_durable(copy)
    name = f"replay-{digest.hexdigest()[:DIGEST]}{'.csv.gz' if file.lower().endswith('.csv.gz') else '.csv'}"
    plan.hidden[name] = hidden.rename(places.landing / f".{name}")
    plan.marks.setdefault(name, []).append(_key(row))
    plan.rows[name] = row["rows"] or plan.rows.get(name, 0)


def _land(plan: _Plan, places: Places) -> list[str]:
    """Move the files into sight and mark their rows; the names of those that were not landed before."""
    LocalFolder(places.landing).write(PENDING, json.dumps(plan.marks).encode(), durable=True)
    landed = [name for name in plan.hidden if not was_landed(name, places)]
    for name, hidden in plan.hidden.items():
        if name in landed:
            hidden.rename(places.landing / name)
        else:
            hidden.unlink()
    _sync(places.landing)
    mark(places.tables / QUARANTINE, plan.marks)
    (places.landing / PENDING).unlink()
    return landed


def _key(row: dict[str, Any]) -> Key:
    return Key(row["source_file"], row["source_line"], row["app_id"], row["batch_id"])


def _make_durable(file: IO[Any]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _replayed(feed: Feed, places: Places, plan: _Plan, landed: list[str]) -> Replayed:
    count = sum(plan.rows[name] for name in landed)
    lines = []
    if landed:
        files = ", ".join(landed[:10]) + (f" and {len(landed) - 10:,} more" if len(landed) > 10 else "")
        lines.append(f"landed {count:,} rows again in {places.landing}: {files}; next: streamscore run {feed.name}")
    before = [name for name in plan.hidden if name not in landed]
    if before:
        lines.append(f"landed before, only marked now: {', '.join(before)}")
    if not plan.hidden:
        lines.append(
            "nothing to replay: no row of this selection that was not replayed" + " and can be" * bool(plan.left_out)
        )
    if plan.left_out:
        lines.append(f"left out, {len(plan.left_out):,}:")
        lines += [f"  {line}" for line in plan.left_out[:20]]
        lines += [f"  and {len(plan.left_out) - 20:,} more"] * (len(plan.left_out) > 20)
    return Replayed("\n".join(lines), tuple(landed), count)
