"""`streamscore follow`: rows as JSON lines, a cursor that outlives the process, and how it ends."""

import io
import json
import signal
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from structlog.testing import capture_logs

from jobs.cli import main
from jobs.monitoring import follow
from jobs.monitoring.cursor_file import CursorFile
from jobs.monitoring.follow import RowPrinter
from jobs.monitoring.json_lines import json_lines
from schemas.errors import StorageError
from streamscore.following.cursor import Cursor
from streamscore.following.follower import TableFollower
from tests.support.wait import until

ROOT = Path(__file__).parents[4]


def make(folder: Path, rows: int = 2, start: int = 0) -> Path:
    """Append to the predictions of wine_quality under a folder; gives the folder of its tables."""
    tables = folder / "wine_quality"
    names = [f"ä {n}.csv" for n in range(start, start + rows)]
    write_deltalake(tables / "predictions", pa.table({"source_file": names, "x": [0.5] * rows}), mode="append")
    return tables


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    with pytest.raises(SystemExit) as ended:
        main(["follow", "wine_quality", *arguments])
    assert not ended.value.code
    return [json.loads(line)["source_file"] for line in capsys.readouterr().out.splitlines()]


def test_every_value_becomes_json_that_everybody_reads() -> None:
    values: dict[str, Any] = {
        "text": pa.array(['ä "\u2028\n']),
        "nan": pa.array([float("nan")]),
        "inf": pa.array([[1.5, float("-inf")]]),
        "at": pa.array([datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)]),
        "day": pa.array([date(2026, 1, 2)]),
        "file": pa.array([{"path": "a", "size": 2**63 - 1}]),
        "exact": pa.array([Decimal("1.10")]),
        "bytes": pa.array([b"\x00\xff"]),
        "flag": pa.array([True]),
        "none": pa.array([None], pa.string()),
        "far": pa.array([3_093_527_980_800_000_000], pa.int64()).cast(pa.timestamp("us", tz="UTC")),
    }
    (line,) = json_lines(pa.table(values))
    assert "\n" not in line and "NaN" not in line and "Infinity" not in line and "ä" in line
    assert json.loads(line) == {
        "text": 'ä "\u2028\n',
        "nan": None,
        "inf": [1.5, None],
        "at": "2026-01-02T03:04:05.678901+00:00",
        "day": "2026-01-02",
        "file": {"path": "a", "size": 2**63 - 1},
        "exact": "1.10",
        "bytes": "00ff",
        "flag": True,
        "none": None,
        "far": json.loads(line)["far"],
    }
    assert isinstance(json.loads(line)["far"], str)


def test_once_prints_all_rows_or_those_from_a_version(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tables = str(make(tmp_path))
    make(tmp_path, 1, 2)
    assert printed(capsys, "--once", "--tables", tables) == ["ä 0.csv", "ä 1.csv", "ä 2.csv"]
    assert printed(capsys, "--once", "--from", "1", "--tables", tables) == ["ä 2.csv"]


def test_a_cursor_file_brings_each_row_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--once", "--cursor", f"{tmp_path}/new folder/c.json", "--tables", str(make(tmp_path)))
    assert printed(capsys, *arguments) == ["ä 0.csv", "ä 1.csv"]
    assert printed(capsys, *arguments) == []
    make(tmp_path, 1, 2)
    assert printed(capsys, *arguments, "--from", "0") == ["ä 2.csv"]  # for the first time only


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--once"], 5, "no table at {tables}/predictions yet; make it: streamscore run wine_quality"),
        (
            ["--once", "--table", "quarantin"],
            2,
            "feed wine_quality has no table 'quarantin', wanted one of predictions",
        ),
        (["--once", "--cursor", "{tables}"], 5, "--cursor {tables}: Is a directory, wanted a file to write"),
        (["--once", "--cursor", "{other}"], 2, "{other} holds no cursor, wanted what `follow` writes there"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str
) -> None:
    names = {"tables": str(tmp_path / "t"), "other": str(tmp_path / "other")}
    (tmp_path / "t").mkdir()
    (tmp_path / "other").write_text("no cursor")
    with pytest.raises(SystemExit) as ended:
        main(["follow", "wine_quality", "--tables", names["tables"], *(one.format(**names) for one in arguments)])
    assert ended.value.code == code
    assert said.format(**names) in capsys.readouterr().err


def test_storage_that_fails_is_said_once_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = str(make(tmp_path) / "predictions")
    follower, out = TableFollower(table, start=0), io.BytesIO()
    printer = RowPrinter(follower, out)
    monkeypatch.setattr(follow, "RETRY_SECONDS", 0.0)
    with capture_logs() as told:
        with monkeypatch.context() as patch:
            patch.setattr(follower, "_read_log", lambda _: exec("raise error", {"error": StorageError("store away")}))
            assert [printer._look() for _ in range(3)] == [0.0] * 3
        printer._look()
    assert [entry["event"] for entry in told] == ["storage failed, trying again"]
    assert out.getvalue().count(b"\n") == 2


def test_a_gap_is_in_the_log_and_not_among_the_rows(tmp_path: Path) -> None:
    table = make(tmp_path) / "predictions"
    next(table.glob("*.parquet")).unlink()
    out = io.BytesIO()
    with capture_logs() as told:
        RowPrinter(TableFollower(str(table), start=0), out).print_new()
    assert [(entry["event"], entry["reason"]) for entry in told] == [("gap", "vacuumed")]
    assert out.getvalue() == b""


def test_the_cursor_is_written_once_a_second_and_at_the_end(tmp_path: Path) -> None:
    file = CursorFile(tmp_path / "c.json")
    assert file.read() is None
    for version in range(5):
        file.write(Cursor("id", version))
    assert file.read() == Cursor("id", 0)
    file.write(Cursor("id", 4), now=True)
    assert file.read() == Cursor("id", 4)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_follows_until_it_is_interrupted_which_is_no_error(tmp_path: Path, number: int) -> None:
    tables, cursor = make(tmp_path, 1), tmp_path / "c.json"
    command = [sys.executable, "-m", "jobs.cli", "follow", "wine_quality", "--tables", str(tables)]
    with subprocess.Popen(
        [*command, "--cursor", str(cursor)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout and process.stderr
        assert json.loads(process.stdout.readline())["source_file"] == "ä 0.csv"
        make(tmp_path, 1, 1)
        assert json.loads(process.stdout.readline())["source_file"] == "ä 1.csv"
        until(lambda: json.loads(cursor.read_text())["version"] == 2)
        process.send_signal(number)
        assert (process.wait(30), process.stdout.read(), process.stderr.read()) == (0, b"", b"")


def test_a_reader_that_has_enough_is_no_error(tmp_path: Path) -> None:
    tables = make(tmp_path, 20_000)
    command = f"{sys.executable} -m jobs.cli follow wine_quality --once --tables {tables} | head -n 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)
