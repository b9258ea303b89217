"""`streamscore lineage`: what a prediction was made of, from its row back to the data its model learned from.

The tables tell the row and the model version, the registry the rest; without it the first half is still told.
"""

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobs.operations.stream_state import open_table, query, quoted
from schemas.errors import RegistryError, SettingsError, StorageError
from schemas.feed import Feed
from schemas.settings import Settings
from schemas.tables import QUARANTINE, scored_table
from streamscore.registry import provenance
from streamscore.registry.model_uri import ModelRef
from streamscore.registry.model_version import version_uri
from streamscore.registry.promotions import Promotion
from streamscore.registry.registry import PROMOTED_AT, PROMOTED_BY, Registry
from streamscore.registry.store.semantic import is_semantic
from streamscore.storage.stream_paths import StreamPaths

NOT_RECORDED = "not recorded"
REJECT_COLUMNS = 'reason, "column", detail, model_version, quarantined_at, replayed_as'
SHOWN_FILES = 3


@dataclass(frozen=True, slots=True)
class Gate:
    """What the gate said of a version; `checks` as in the run's `gate.json`."""

    verdict: str
    reasons: tuple[str, ...]
    checks: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class MadeOf:
    """What the registry knows of a version; null or empty where nothing was recorded.

    Attributes:
        split: how the data were split; `training` and `evaluation` hold the rows and the digest of each part.
        feed_digest: of the feed when the version was trained.
        promoted: into Production, the last time before the row was predicted.
    """

    code_version: str | None
    data_source: str | None
    data_digest: str | None
    data_rows: int | None
    split: Mapping[str, Any]
    feed_digest: str | None
    gate: Gate | None
    promoted: Promotion | None


@dataclass(frozen=True, slots=True)
class Lineage:
    """A data row of a landed file: its row in predictions, else in quarantine.

    Attributes:
        row: `prediction`, `model_name`, `model_version`, `model_run_id`, `batch_id`, `landed_at`, `predicted_at`.
        reject: of quarantine: `reason`, `column`, `detail`, `model_version`, `quarantined_at`, `replayed_as`.
        made_of: of the model version; None if `trouble` says why not.
        feed_digest: of the feed as it is now.
    """

    feed: str
    file: str
    line: int
    row: Mapping[str, Any] | None
    reject: Mapping[str, Any] | None
    made_of: MadeOf | None
    feed_digest: str
    trouble: RegistryError | None = None

    def to_json(self) -> str:
        """Its attributes; times in ISO 8601."""
        values = asdict(self) | {"trouble": None if self.trouble is None else str(self.trouble)}
        return json.dumps(values, default=_as_text, indent=2)


def trace(feed: Feed, settings: Settings, registry: Registry, file: str, line: int) -> Lineage:
    """The lineage of one data row.

    1. The row in predictions, or in quarantine.  2. What the registry tells of its model version.

    Args:
        file: as in `source_file`: relative to the landing folder.
        line: 1 = the first physical line of the file.

    Raises:
        SettingsError: neither table has the row; names files like it, or the lines that there are.
        StorageError: a table cannot be read.
    """
    from deltalake.exceptions import DeltaError

    paths = StreamPaths.of(feed, settings)
    paths.assert_reachable()
    now = provenance.feed_digest(feed)
    # 1
    try:
        row = _predicted(feed, paths, file, line)
        reject = None if row else _rejected(paths, file, line)
        if row is None and reject is None:
            raise _not_there(feed, paths, file, line)
    except (DeltaError, OSError) as error:
        said = str(error).partition("\n")[0]
        msg = f"cannot read {paths.tables}: {said}; look: streamscore doctor {feed.name}"
        raise StorageError(msg) from error
    if row is None:
        return Lineage(feed.name, file, line, None, reject, None, now)
    # 2
    try:
        return Lineage(feed.name, file, line, row, None, _made_of(row, registry), now)
    except RegistryError as error:
        return Lineage(feed.name, file, line, row, None, None, now, error)


def show_lineage(lineage: Lineage, console: Console, as_json: bool) -> None:
    """Print a lineage: a line for each thing, or one JSON object with the fields of `Lineage`."""
    if as_json:
        print(lineage.to_json(), file=console.file)
        return
    console.print(f"{lineage.feed}: {lineage.file}, line {lineage.line}", markup=False, soft_wrap=True)
    table = Table.grid("", "", padding=(0, 2))
    for name, value in _lines(lineage):
        table.add_row(name, Text(value))
    console.print(table)


def _predicted(feed: Feed, paths: StreamPaths, file: str, line: int) -> dict[str, Any] | None:
    """Of a series the forecasts of the next step, by column, stand for the prediction."""
    table = open_table(paths, scored_table(feed))
    if table is None:
        return None
    prediction, order = "prediction", ""
    if feed.kind == "series":
        forecasts = (f"'{c.table_name}', {c.table_name}_forecast" for c in feed.features)
        prediction, order = f"named_struct({', '.join(forecasts)}) AS prediction", " ORDER BY step LIMIT 1"
    columns = f"{prediction}, model_name, model_version, model_run_id, batch_id, landed_at, predicted_at"
    where = f"source_file = {quoted(file)} AND source_line = {line}"
    return next(iter(query(table, f"SELECT {columns} FROM t WHERE {where}{order}")), None)


def _rejected(paths: StreamPaths, file: str, line: int) -> dict[str, Any] | None:
    """The newest reject of the row, or of its whole file."""
    table = open_table(paths, QUARANTINE)
    if table is None:
        return None
    where = f"source_file = {quoted(file)} AND (source_line = {line} OR source_line IS NULL)"
    order = "ORDER BY source_line IS NULL, quarantined_at DESC LIMIT 1"
    return next(iter(query(table, f"SELECT {REJECT_COLUMNS} FROM t WHERE {where} {order}")), None)


def _not_there(feed: Feed, paths: StreamPaths, file: str, line: int) -> SettingsError:
    table = open_table(paths, scored_table(feed))
    lines = f"SELECT min(source_line) AS low, max(source_line) AS high FROM t WHERE source_file = {quoted(file)}"
    found = query(table, lines)[0] if table is not None else {"high": None}
    if found["high"] is not None:
        hint = f"its predicted rows are on lines {found['low']} to {found['high']}"
    else:
        names = [] if table is None else [r["f"] for r in query(table, "SELECT DISTINCT source_file AS f FROM t")]
        near = difflib.get_close_matches(file, names, SHOWN_FILES, cutoff=0.3)
        hint = f"files like it: {', '.join(near) or 'none'}"
    return SettingsError(
        f"no row for line {line} of '{file}' in {paths.tables}: {hint}; "
        f"wanted a source_file and a source_line as in the table; next: streamscore status {feed.name}"
    )


def _made_of(row: Mapping[str, Any], registry: Registry) -> MadeOf:
    name, version = row["model_name"], row["model_version"]
    if not version.isdigit() and not is_semantic(version):  # of a run or a model id: no version of a registered model
        return MadeOf(None, None, None, None, {}, None, None, None)
    ref = registry.resolve(version_uri(name, version))
    tags, rows = ref.tags, ref.tags.get(provenance.DATA_ROWS, "")
    return MadeOf(
        tags.get(provenance.CODE_VERSION),
        tags.get(provenance.DATA_SOURCE),
        tags.get(provenance.DATA_DIGEST),
        int(rows) if rows.isdigit() else None,
        json.loads(tags.get(provenance.SPLIT, "{}")),
        tags.get(provenance.FEED_DIGEST),
        _gate(ref, registry),
        _promoted(ref, registry, row["predicted_at"]),
    )


def _gate(ref: ModelRef, registry: Registry) -> Gate | None:
    if provenance.GATE not in ref.tags:
        return None
    report = registry.run_file(ref.run_id, provenance.GATE_FILE) if ref.run_id and not ref.is_stored else None
    reasons = ref.tags.get(provenance.GATE_REASONS, "").splitlines()
    return Gate(ref.tags[provenance.GATE], tuple(reasons), tuple(json.loads(report)["checks"]) if report else ())


def _promoted(ref: ModelRef, registry: Registry, predicted_at: datetime) -> Promotion | None:
    """From the history, else from the version's own tags; a version in a store is in nobody's Production."""
    if ref.is_stored:
        return None
    history = [p for p in registry.history(ref.name) if p.version == ref.version and p.at <= predicted_at]
    if history:
        return history[-1]
    if PROMOTED_AT not in ref.tags:
        return None
    at = datetime.fromisoformat(ref.tags[PROMOTED_AT])
    return Promotion(ref.name, ref.version, None, ref.tags.get(PROMOTED_BY, ""), at)


def _lines(lineage: Lineage) -> Iterator[tuple[str, str]]:
    if lineage.reject is not None:
        yield from _reject_lines(lineage.reject)
        return
    row = lineage.row or {}
    yield "prediction", f"{row['prediction']}"
    yield "predicted", f"{_moment(row['predicted_at'])}, batch {row['batch_id']}, landed {_moment(row['landed_at'])}"
    yield "model", f"{row['model_name']} v{row['model_version']}, run {row['model_run_id'] or NOT_RECORDED}"
    if (made := lineage.made_of) is None:
        yield "trained on", "the registry does not tell"
        return
    yield "code", made.code_version or NOT_RECORDED
    yield "data", made.data_source or NOT_RECORDED
    if made.data_digest:
        rows = f"{made.data_rows:,} rows, " if made.data_rows is not None else ""
        yield "", f"{rows}sha256 {made.data_digest}"
    yield "split", _split(made.split)
    yield "schema", _schema(made.feed_digest, lineage.feed_digest)
    yield from _gate_lines(made.gate)
    if made.promoted is None:
        yield "promoted", NOT_RECORDED
    else:
        before = f", before it v{made.promoted.previous}" if made.promoted.previous else ""
        how = " (rollback)" if made.promoted.rollback else ""
        yield "promoted", f"by {made.promoted.by} at {_moment(made.promoted.at)}{how}{before}"


def _reject_lines(reject: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "prediction", "none: it is in quarantine"
    yield "reason", " ".join(str(reject[key]) for key in ("reason", "column", "detail") if reject[key])
    yield "quarantined", _moment(reject["quarantined_at"])
    if reject["model_version"]:
        yield "model", f"v{reject['model_version']}"
    if reject["replayed_as"]:
        yield "landed again", reject["replayed_as"]


def _gate_lines(gate: Gate | None) -> Iterator[tuple[str, str]]:
    yield "gate", gate.verdict if gate else NOT_RECORDED
    for check in gate.checks if gate else ():
        yield "", f"{'ok  ' if check['passed'] else 'FAIL'} {check['detail']}"
    if gate and not gate.checks:
        yield from (("", reason) for reason in gate.reasons)


def _split(split: Mapping[str, Any]) -> str:
    if not split:
        return NOT_RECORDED
    parts = ", ".join(f"{name} {part['rows']:,} rows" for name, part in split.items() if isinstance(part, dict))
    how = f"by {split.get('by', '?')}{' of ' + split['column'] if split.get('column') else ''}"
    return f"{how}, seed {split.get('seed', '?')}: {parts}"


def _schema(then: str | None, now: str) -> str:
    if then is None:
        return NOT_RECORDED
    return f"{then[:12]}…, {'the same now' if then == now else f'now {now[:12]}…: the feed was changed since'}"


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _as_text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
