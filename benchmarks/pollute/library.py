"""Streamscore's own reading without a stream: files in, validated rows and rejects out."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.pollute.draft import Outcome
from benchmarks.pollute.judge import Found
from benchmarks.pollute.kinds import KINDS
from schemas.feed import Feed
from streamscore.landing.manifest import LandedFile, file_time
from streamscore.reading.read import ReadOptions, read_chunks
from streamscore.reading.validate import validate


def read_outcomes(outcomes: Sequence[Outcome]) -> Mapping[Path, Found]:
    """What the stream would make of each file that it takes, by path; all files of a feed are one micro-batch."""
    found: dict[Path, Found] = {}
    for kind in KINDS:
        mine = [outcome for outcome in outcomes if outcome.kind is kind and outcome.is_taken]
        feed = Feed.model_validate(kind.document())
        by_name = {outcome.source_file: Found(lines=[], refused=[]) for outcome in mine}
        files, landing = [], ""
        for outcome in mine:
            status = outcome.path.stat()
            files.append(LandedFile(outcome.path.as_uri(), status.st_size, file_time(status)))
            landing = outcome.path.parents[outcome.source_file.count("/")].as_uri()
        for rows, rejects in read_chunks(files, feed, ReadOptions(landing)):
            good, refused = validate(rows, feed)
            columns = [good.table[column.table_name].to_pylist() for column in feed.columns]
            for name, line, *values in zip(
                *(good.table[place].to_pylist() for place in ("source_file", "source_line")), *columns, strict=True
            ):
                by_name[name].rows.append(tuple(values))
                by_name[name].lines.append(line)  # type: ignore[union-attr]
            for reject in [*rejects.to_pylist(), *refused.to_pylist()]:
                said = (reject["source_line"], reject["reason"], reject["rows"])
                by_name[reject["source_file"]].refused.append(said)  # type: ignore[union-attr]
        found |= {outcome.path: by_name[outcome.source_file] for outcome in mine}
    return found
