"""`streamscore replay`: quarantined rows are landed again, once.

The rows of one header make one file, a refused file is copied. What is about to be landed is noted first, so that a
crash anywhere between the first file and the last mark is finished by the next replay, whatever it is asked for.
"""

import difflib
import functools
import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jobs.operations.replay.landing_files import LandingFiles, open_landing_files
from jobs.operations.replay.mark import Key, Marks, mark
from jobs.operations.replay.original import Originals, landed_before
from jobs.operations.stream_state import open_table, quoted, select
from schemas.errors import SettingsError, StorageError, TryAgainError
from schemas.feed import Dialect, Feed
from schemas.reasons import Reason
from schemas.settings import Settings
from schemas.tables import QUARANTINE, scored_table
from streamscore.reading.landed import is_utf8
from streamscore.reading.rejects import HEADER_KEPT
from streamscore.storage import lease
from streamscore.storage.folder import Folder
from streamscore.storage.stream_paths import StreamPaths

if TYPE_CHECKING:
    from deltalake import DeltaTable

PENDING = ".replay-pending.json"  # in the landing folder: file → keys of the rows in it
LOCK = ".replay"  # the folder of a lease, in the landing folder
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
    """What is to be landed: file → what lands it, its rows' keys, their number. And what is not, with the reason."""

    land: dict[str, Callable[[], None]] = field(default_factory=dict)
    marks: Marks = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


def replay_rows(feed: Feed, settings: Settings, selection: Selection) -> Replayed:
    """Land the chosen rows that were never landed again, under their own header, as `replay-<digest>.csv`.

    1. Finish what a crash left.  2. Choose: only rows whose micro-batch is done.  3. Note what is going to be landed.
    4. Land, whole, the files that were never landed.  5. Mark the rows with the name of their file.

    Raises:
        SettingsError: nothing is selected, or by a reason that there is not.
        StorageError: landing or quarantine cannot be written.
        TryAgainError: another replay is at work, or the stream always wrote first.
    """
    from deltalake.exceptions import DeltaError

    _assert_selects(feed, selection)
    paths = StreamPaths.of(feed, settings)
    paths.assert_reachable()
    try:
        if open_table(paths, QUARANTINE) is None:
            return Replayed(f"nothing to replay: no quarantine in {paths.tables}; next: streamscore run {feed.name}")
        landing_files = open_landing_files(paths.landing)
        with lease.alone(paths.landing.at(LOCK), feed.name, _another(paths.landing)) as lost:
            _finish(paths, landing_files)  # 1
            rows, waiting = _choose(paths, scored_table(feed), selection)  # 2
            plan = _plan(rows, feed, paths, landing_files)
            landed = _land(plan, paths, landing_files, lost) if plan.land else []  # 3, 4, 5
    except (DeltaError, OSError) as error:
        said = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        msg = f"cannot land in {paths.landing.uri}: {said}; look: streamscore doctor {feed.name}"
        raise StorageError(msg) from error
    if waiting:
        plan.left_out.append(
            f"{waiting:,} rows of a micro-batch that is not done; finish it: streamscore run {feed.name}"
        )
    return _replayed(feed, paths, plan, landed)


def _assert_selects(feed: Feed, selection: Selection) -> None:
    if not selection.reasons and selection.file is None and selection.batch_id is None:
        msg = (
            f"replay {feed.name} of what? wanted --reason CODE, --file NAME or --batch ID; "
            f"what there is: streamscore status {feed.name}"
        )
        raise SettingsError(msg)
    known = [reason.value for reason in Reason]
    for reason in selection.reasons:
        if reason not in known:
            near = difflib.get_close_matches(reason, known, 1)
            hint = f"did you mean '{near[0]}'? " if near else ""
            msg = f"no reason '{reason}': {hint}reasons: {', '.join(known)}"
            raise SettingsError(msg)


def _another(landing: Folder) -> TryAgainError:
    return TryAgainError(f"another replay is at work in {landing.uri}; run the same again when it is done")


def _finish(paths: StreamPaths, landing_files: LandingFiles) -> None:
    """Mark what an interrupted replay landed; what it did not land is free to be chosen again."""
    note = paths.landing.read(PENDING)
    if note is not None:
        noted = {name: [Key(*key) for key in keys] for name, keys in json.loads(note).items()}
        landed = landed_before(noted, paths, landing_files)
        mark(paths, {name: keys for name, keys in noted.items() if name in landed})
        paths.landing.delete(PENDING)


def _choose(paths: StreamPaths, scored: str, selection: Selection) -> tuple[list[dict[str, Any]], int]:
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
    quarantine, predictions = open_table(paths, QUARANTINE), open_table(paths, scored)
    sql = f"SELECT {COLUMNS} FROM t WHERE {' AND '.join(wanted)}"
    rows = _with_whole_headers(select(quarantine, sql).to_pylist(), quarantine) if quarantine else []
    apps = {row["app_id"] for row in rows} if predictions else ()
    done = {app: predictions.transaction_version(app) for app in apps if app and predictions}
    ready = [row for row in rows if (newest := done.get(row["app_id"])) is not None and row["batch_id"] <= newest]
    ready.sort(key=lambda row: (row["source_file"], row["source_line"] or 0, row["batch_id"]))
    return ready, len(rows) - len(ready)


def _with_whole_headers(rows: list[dict[str, Any]], quarantine: "DeltaTable") -> list[dict[str, Any]]:
    """The rows, each with its whole header: a long one is whole in few of its file's rows, chosen or not."""
    if not any(len(row["header"] or "") == HEADER_KEPT for row in rows):
        return rows
    keys = "source_file, app_id, batch_id"
    found = select(quarantine, f"SELECT DISTINCT {keys}, header FROM t WHERE character_length(header) > {HEADER_KEPT}")
    whole = {(r["source_file"], r["app_id"], r["batch_id"], r["header"][:HEADER_KEPT]): r for r in found.to_pylist()}
    cut = [(row["source_file"], row["app_id"], row["batch_id"], row["header"]) for row in rows]
    return [row | {"header": whole.get(key, row)["header"]} for row, key in zip(rows, cut, strict=True)]


def _plan(rows: Sequence[dict[str, Any]], feed: Feed, paths: StreamPaths, landing_files: LandingFiles) -> _Plan:
    plan, originals = _Plan(), Originals(paths, landing_files)
    by_header: dict[str, list[dict[str, Any]]] = {}
    in_folders = [column.name for column in feed.columns if column.source == "folder"]
    for row in rows:
        if in_folders:
            said = f"its folder says '{in_folders[0]}', and a replay lands in none; land the file again in its folder"
            plan.left_out.append(f"{row['source_file']} ({row['reason']}): {said}")
        elif row["source_line"] is None:
            _plan_file(row, plan, originals, landing_files, feed.csv)
        elif row["reason"] in NOT_FAITHFUL or row["header"] is None or row["raw"] is None:
            where = f"{row['source_file']} line {row['source_line']}"
            plan.left_out.append(f"{where} ({row['reason']}): its bytes are not in quarantine; take them from the file")
        else:
            by_header.setdefault(row["header"], []).append(row)
    encoding = "utf-8" if is_utf8(feed.csv.encoding) else feed.csv.encoding
    for header, group in by_header.items():
        keys = [_key(row) for row in group]
        digest = hashlib.sha256(json.dumps([header, *keys], separators=(",", ":")).encode()).hexdigest()[:DIGEST]
        above = [""] * feed.csv.skip_lines + [header] * (feed.csv.header != "none")
        name, lines = f"replay-{digest}{feed.csv.plain_ending}", [*above, *(row["raw"] for row in group)]
        plan.land[name] = functools.partial(_land_lines, paths.landing, name, lines, encoding)
        plan.marks[name], plan.rows[name] = keys, len(group)
    return plan


def _land_lines(landing: Folder, name: str, lines: Sequence[str], encoding: str) -> None:
    landing.write(name, "".join(f"{line}\n" for line in lines).encode(encoding), durable=True)


def _plan_file(
    row: dict[str, Any], plan: _Plan, originals: Originals, landing_files: LandingFiles, dialect: Dialect
) -> None:
    """Plan to land a refused file again; the same content of the same path once, however often it was refused."""
    file = row["source_file"]
    original = originals.find(file, row["reason"])
    if not isinstance(original, str):
        try:
            digest = landing_files.digest(original, file)[:DIGEST]
        except PermissionError:
            original = f"{original.local_path} cannot be read by this user; chmod it"
    if isinstance(original, str):
        plan.left_out.append(f"{file} ({row['reason']}): {original}")
        return
    name = f"replay-{digest}{dialect.ending_of(file) or dialect.plain_ending}"
    plan.land[name] = functools.partial(landing_files.copy, original, name)
    plan.marks.setdefault(name, []).append(_key(row))
    plan.rows[name] = row["rows"] or plan.rows.get(name, 0)


def _land(plan: _Plan, paths: StreamPaths, landing_files: LandingFiles, lost: threading.Event) -> list[str]:
    """Note, land, mark; the names of the files that were not landed before."""
    paths.landing.write(PENDING, json.dumps(plan.marks).encode(), durable=True)  # 3
    before = landed_before(plan.land, paths, landing_files)
    landed = [name for name in plan.land if name not in before]
    for name in landed:  # 4
        if lost.is_set():
            raise _another(paths.landing)
        plan.land[name]()
    landing_files.settle()
    mark(paths, plan.marks)  # 5
    paths.results[0].sync()  # the marks, before the note that repeats them after a crash is gone
    paths.landing.delete(PENDING)
    return landed


def _key(row: dict[str, Any]) -> Key:
    return Key(row["source_file"], row["source_line"], row["app_id"], row["batch_id"])


def _replayed(feed: Feed, paths: StreamPaths, plan: _Plan, landed: list[str]) -> Replayed:
    count = sum(plan.rows[name] for name in landed)
    lines = []
    if landed:
        files = ", ".join(landed[:10]) + (f" and {len(landed) - 10:,} more" if len(landed) > 10 else "")
        lines.append(f"landed {count:,} rows again in {paths.landing.uri}: {files}; next: streamscore run {feed.name}")
    before = [name for name in plan.land if name not in landed]
    if before:
        lines.append(f"landed before, only marked now: {', '.join(before)}")
    if not plan.land:
        lines.append(
            "nothing to replay: no row of this selection that was not replayed" + " and can be" * bool(plan.left_out)
        )
    if plan.left_out:
        lines.append(f"left out, {len(plan.left_out):,}:")
        lines += [f"  {line}" for line in plan.left_out[:20]]
        lines += [f"  and {len(plan.left_out) - 20:,} more"] * (len(plan.left_out) > 20)
    return Replayed("\n".join(lines), tuple(landed), count)
