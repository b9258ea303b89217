"""Statistics of files of any width, with few columns in memory."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from training.data import profile_files


def test_columns_are_read_together_as_far_as_memory_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = pa.table({f"c{number}": [float(number), 2.0, None] for number in range(10)})
    pq.write_table(table, tmp_path / "t.parquet")
    found = {}
    for values in (1, 9, 10**6):
        monkeypatch.setattr(profile_files, "VALUES", values)
        found[values] = profile_files.profile_files(tmp_path / "t.parquet")
    assert found[1] == found[9] == found[10**6]
    assert [column.name for column in found[1].columns] == table.column_names
    assert [column.min for column in found[1].columns] == [0.0, 1.0, *[2.0] * 8]
