"""A version tried as `run` would take it, in a process that has only its files and the feed, before it is promoted."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pyarrow as pa

from jobs.operations.example_file import land_rows
from schemas.errors import ContractError, StreamscoreError
from schemas.feed import Feed
from schemas.model_inputs import inputs_of
from schemas.reasons import Reason
from schemas.settings import Routing, Settings
from streamscore.models.example import TEXT, example_rows
from streamscore.models.load import load_version
from streamscore.models.row_model import Model
from streamscore.reading.options import ReadOptions
from streamscore.registry.model_uri import uri_parts
from streamscore.registry.model_version import ModelVersion
from streamscore.registry.reader import ALIAS, STAGE
from streamscore.routing.followed import open_routes
from streamscore.scoring.score import score

COMMAND = ("-m", "jobs.cli", "try-version")
OURS = "streamscore: "  # how the command's own errors begin
OF_THE_MODEL = (Reason.MODEL_ERROR, Reason.BAD_PREDICTION)


class Trial:
    """A fresh process that imports what it needs while a version is downloaded, and is then told which files to try."""

    def __init__(self, feed: Feed, profile: str | None) -> None:
        """Start it; it finds the feed by its name, from the same folder."""
        self._process = subprocess.Popen(
            [sys.executable, *COMMAND, feed.name, *(["--profile", profile] if profile else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, path: Path, version: ModelVersion) -> list[str]:
        """Try the files of a version, once; what is worth knowing of one that `run` would take, a line each.

        Raises:
            ContractError: `run` would refuse it, with the words that it would have.
        """
        asked = json.dumps([str(path), version.name, version.version, version.run_id])
        out, err = self._process.communicate(f"{asked}\n")
        if self._process.returncode:
            ended = _ended(self._process.returncode, err)
            msg = f"model {version.title} is not promoted: the process that tried it {ended}; try it: {version.try_it}"
            raise ContractError(msg)
        found = json.loads(out.splitlines()[-1])
        if found["refused"]:
            raise ContractError(found["refused"])
        return list(found["notes"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """End it, if it still runs."""
        self._process.kill()
        self._process.communicate()


def _ended(code: int, err: str) -> str:
    """How a process ended, and what our own error says of it."""
    ours = [line.removeprefix(OURS) for line in err.splitlines() if line.startswith(OURS)]
    how = f"was killed by signal {-code}" if code < 0 else f"ended with {code}"
    return f"{how}: {ours[-1]}" if ours else how


def not_used(settings: Settings, name: str, feed: Feed) -> list[str]:
    """What to know if the feed's stream does not score by what is promoted of a model, in a line; else nothing."""
    if feed.routing:
        return not_routed(settings.routing, name, feed)
    return not_followed(settings.model_uri or feed.model_uri, name, feed)


def not_followed(uri: str, name: str, feed: Feed) -> list[str]:
    """What to know if a model URI does not stand for what is promoted of a model, in a line; else nothing.

    Args:
        uri: what the feed's stream follows.
    """
    of, alias, stage = uri_parts(uri) if uri.startswith("models:/") else ("", "", "")
    if of == name and (alias == ALIAS or stage.lower() == STAGE.lower()):
        return []
    return [
        f"feed {feed.name} follows {uri}, which this does not change; "
        f"to follow what is promoted of {name}, write into schemas/{feed.name}.yaml: model: models:/{name}@{ALIAS}"
    ]


def not_routed(routing: Routing, name: str, feed: Feed) -> list[str]:
    """The same of a routed feed: what to know if no route leads to what is promoted of a model."""
    try:
        uris = open_routes(routing).table.models()
    except StreamscoreError as error:
        return [f"the routes of feed {feed.name} cannot be read: {str(error).partition(chr(10))[0]}"]
    if any(not not_followed(uri, name, feed) for uri in uris):
        return []
    return [
        f"no route in {routing.routes} leads to what is promoted of {name}, so that feed {feed.name} does not use it; "
        f"add one: docs/routing.md"
    ]


def try_version(feed: Feed, asked: str) -> str:
    """What the process does: load a version, hold it against the feed, put a file through the stream; JSON in and out.

    Args:
        asked: what `Trial` wrote: the folder, and whose version it is.
    """
    path, *version = json.loads(asked)
    try:
        model = load_version(Path(path), feed, ModelVersion(*version))
        notes = list(_streamed(feed, model)) if isinstance(model, Model) else []
    except StreamscoreError as error:
        return json.dumps({"refused": str(error), "notes": []})
    return json.dumps({"refused": "", "notes": notes})


def _streamed(feed: Feed, model: Model) -> Iterator[str]:
    """What the model cannot predict of its example, as a file that landed; without an example of a made-up row.

    Raises:
        ContractError: it predicts no row of its example.
    """
    example = model.example()
    inputs = inputs_of(model.signature, model.identity.title, len(feed.features))
    rows = [] if example is None else _named(example_rows(example, feed, inputs), feed)
    with tempfile.TemporaryDirectory() as landing:
        file = land_rows(feed, rows or [{}], Path(landing))
        scored = list(score([file], feed, model, ReadOptions(Path(landing).as_uri(), chunk_rows=len(rows) + 1)))
    failed = [r for chunk in scored for r in chunk.rejects.to_pylist() if r["reason"] in OF_THE_MODEL]
    if not failed:
        return
    told = f"{failed[0]['reason']}, {failed[0]['detail']}"
    if rows and not sum(chunk.predictions.num_rows for chunk in scored):
        msg = (
            f"model {model.identity.title} predicts no row of its example in the stream of feed {feed.name}: {told}; "
            f"try it: {model.identity.try_it}"
        )
        raise ContractError(msg)
    which = f"{len(failed)} of {len(rows)} rows of its example" if rows else "a made-up row"
    yield f"the stream has no prediction for {which}: {told}"


def _named(rows: pa.Table, feed: Feed) -> list[dict[str, object]]:
    """Rows by the feed's names; where the model wants the text in the file, that."""
    there = [c for c in feed.features if c.table_name in rows.column_names]
    columns = {c.name: TEXT + c.name if TEXT + c.name in rows.column_names else c.table_name for c in there}
    return pa.table([rows[source] for source in columns.values()], list(columns)).to_pylist() if columns else []
