"""Whatever is done to a table, each of its rows comes once, or a gap says why not."""

import shutil
import tempfile
from collections import Counter
from pathlib import Path

from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.maintenance.clean import clean_log, vacuum
from jobs.maintenance.compact import Budget, compact
from streamscore.following.change import Gap
from streamscore.following.cursor import Cursor
from streamscore.following.follower import TableFollower
from streamscore.tables.commit import commit
from streamscore.tables.housekeeping import append_batch_rows
from streamscore.tables.tables import Tables
from streamscore.tables.writers import writer_of
from tests.support.tables_kit import a_batch, open_tables, parts_of

Row = tuple[str, int]

OPERATIONS = ["append", "append", "append", "compact", "checkpoint", "clean", "vacuum", "fold", "delete", "anew"]
LOOKS = ["poll", "poll", "poll one", "restart"]


class History:
    """A table that things are done to, and what somebody who follows it heard of them."""

    def __init__(self, folder: Path) -> None:
        self.tables = self._make(folder)
        self.born = 0  # how often the table was made
        self.number = 0
        self.added: dict[Row, tuple[int, int]] = {}  # which table, and in which version
        self.deleted: set[Row] = set()
        self.heard: Counter[Row] = Counter()
        self.gaps: list[tuple[int, Gap]] = []
        self.heard_of = 0  # the table that the follower is in
        self.cursor: Cursor | None = Cursor("", 0)
        self.follower = self._follower()
        self.poll()  # it has seen the table
        self.cursor = self.follower.cursor

    def _make(self, folder: Path) -> Tables:
        return open_tables(folder)

    def _follower(self) -> TableFollower:
        uri = self.tables.uri
        return TableFollower(uri("predictions"), start=self.cursor, batches=uri("batches"))

    def append(self) -> None:
        batch = a_batch(self.number % 3 + 3 * (self.number // 3), f"{self.number}.csv", app_id=f"app-{self.born}")
        done = commit(parts_of(self.tables, batch, 2, 0), batch, self.tables, writer_of(self.tables))
        self.added |= {(f"{self.number}.csv", line): (self.born, done.version) for line in (2, 3)}
        self.number += 1

    def compact(self) -> None:
        compact(self.tables.predictions, 2**27, Budget())

    def checkpoint(self) -> None:
        self.tables.predictions.refresh()
        self.tables.predictions.write_checkpoint()

    def clean(self) -> None:
        clean_log(self.tables.predictions, None, 0, dry_run=False)

    def vacuum(self) -> None:
        vacuum(self.tables.predictions, 0, dry_run=False)

    def fold(self) -> None:
        append_batch_rows(self.tables)

    def delete(self) -> None:
        """One row, which leaves the others of its file in a new one."""
        there = [row for row, (born, _) in self.added.items() if born == self.born and row not in self.deleted]
        if there:
            file, line = there[len(there) // 2]
            DeltaTable(self.tables.uri("predictions")).delete(f"source_file = '{file}' AND source_line = {line}")
            self.deleted.add((file, line))

    def anew(self) -> None:
        shutil.rmtree(self.tables.path)
        self.tables, self.born = self._make(Path(self.tables.path)), self.born + 1

    def poll(self, most: int = 1000) -> None:
        for change, _ in zip(self.follower.poll(), range(most), strict=False):
            rows = change.rows.select(["source_file", "source_line"]).to_pylist()
            self.heard.update((row["source_file"], row["source_line"]) for row in rows)
            self.cursor = change.cursor
            if change.gap and change.gap.reason == "made_anew":
                # of several that were made since, only the last one is ever seen
                self.gaps += [(born, change.gap) for born in range(self.heard_of, self.born)]
                self.heard_of = self.born
            elif change.gap:
                self.gaps.append((self.heard_of, change.gap))
            if most == 1:
                return

    def restart(self) -> None:
        self.follower = self._follower()

    def is_said(self, row: Row) -> bool:
        """Whether a gap explains that a row did not come."""
        born, version = self.added[row]
        for of_table, gap in self.gaps:
            if of_table == born and gap.reason == "made_anew":
                return True
            if of_table == born and gap.first <= version <= gap.last and version not in gap.bridged:
                return True
        return row in self.deleted


@settings(max_examples=40)
@given(st.lists(st.sampled_from(OPERATIONS + LOOKS), max_size=25))
def test_each_row_comes_once_or_a_gap_says_why_not(done: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        history = History(Path(folder, "kit"))
        for one in done:
            history.poll(1) if one == "poll one" else getattr(history, one)()
        history.poll()
        assert [row for row, times in history.heard.items() if times > 1] == []
        assert [row for row in history.added if row not in history.heard and not history.is_said(row)] == []
        there = history.tables.predictions.dataset().to_table(columns=["source_file", "source_line"])
        assert history.follower.is_there and there.num_rows >= 0
