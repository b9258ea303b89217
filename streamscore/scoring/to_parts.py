"""Scoring the files of a micro-batch into Parquet parts: what driver and executors both do."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from streamscore.landing.manifest import LandedFile
from streamscore.models.row_model import Model
from streamscore.reading.fetch import opener
from streamscore.reading.landed import Open
from streamscore.reading.read import FileReject, FileRejectedError
from streamscore.scoring.score import Scored, score
from streamscore.tables.batch import ScoringTask
from streamscore.tables.parts import Parts, PartsWriter

Chunks = Callable[[Mapping[str, FileReject], Open], Iterator[Scored]]


def score_to_parts(files: Sequence[LandedFile], work: ScoringTask, model: Model) -> Parts:
    """Score files and write what comes out; in the tables it is only once it is committed."""

    def chunks(refused: Mapping[str, FileReject], open_landed: Open) -> Iterator[Scored]:
        return score(
            files,
            work.feed,
            model,
            work.landing,
            chunk_rows=work.chunk_rows,
            refused=refused,
            open_landed=open_landed,
        )

    return write_parts(files, work, chunks)


def write_parts(files: Sequence[LandedFile], work: ScoringTask, chunks: Chunks) -> Parts:
    """Write what files give; `chunks` is asked again, from the start, where one of them is refused in its middle."""
    refused: dict[str, FileReject] = {}
    while True:
        writer = PartsWriter(work)
        try:
            with opener(files, work.storage) as open_landed:
                for scored in chunks(refused, open_landed):
                    writer.add(scored.predictions, scored.rejects)
            return writer.finish()
        except FileRejectedError as error:
            writer.discard()
            refused[error.file.path] = error.refusal
        except BaseException:
            writer.discard()
            raise
