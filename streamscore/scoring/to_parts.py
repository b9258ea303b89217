"""Scoring the files of a micro-batch into Parquet parts: what driver and executors both do."""

from collections.abc import Callable, Iterator, Sequence

from streamscore.landing.manifest import LandedFile
from streamscore.models.row_model import Model
from streamscore.reading.fetch import opener
from streamscore.reading.read import FileReject, FileRejectedError, ReadOptions
from streamscore.scoring.routed import MoreTextError, Router, score_routed
from streamscore.scoring.score import Scored, score
from streamscore.tables.batch import ScoringTask
from streamscore.tables.parts import Parts, PartsWriter

Chunks = Callable[[ReadOptions], Iterator[Scored]]


def score_to_parts(files: Sequence[LandedFile], work: ScoringTask, model: Model) -> Parts:
    """Score files and write what comes out; in the tables it is only once it is committed."""
    return write_parts(files, work, lambda options: score(files, work.feed, model, options))


def score_routed_to_parts(files: Sequence[LandedFile], work: ScoringTask, router: Router) -> Parts:
    """The same for a routed feed."""
    return write_parts(files, work, lambda options: score_routed(files, work.feed, router, options))


def write_parts(files: Sequence[LandedFile], work: ScoringTask, chunks: Chunks) -> Parts:
    """Write what files give; `chunks` is asked again, from the start, where one of them turns out bad."""
    refused: dict[str, FileReject] = {}
    while True:
        writer = PartsWriter(work)
        try:
            with opener(files, work.storage) as open_landed:
                options = ReadOptions(work.landing, work.chunk_rows, refused=refused, open_landed=open_landed)
                for scored in chunks(options):
                    writer.add(scored.predictions, scored.rejects, scored.truncated)
            return writer.finish()
        except MoreTextError:
            writer.discard()
        except FileRejectedError as error:
            writer.discard()
            refused[error.file.path] = error.refusal
        except BaseException:
            writer.discard()
            raise
