"""A model is trained on the text that the stream reads, in every dialect."""

import gzip
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import FeedError
from schemas.feed import Column, Feed
from training.data.read_csv import csv_names, read_csv

COLUMNS = [{"name": "n", "type": "long"}, {"name": "s", "type": "string"}]


def feed_of(**csv: Any) -> Feed:
    return Feed.model_validate({"name": "test", "csv": csv, "columns": COLUMNS})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "in.csv"


@pytest.mark.parametrize(
    ("csv", "content", "text"),
    [
        ({}, b'n,s\n1,"a ""b"" c"\n', 'a "b" c'),
        ({"escape": "\\"}, b'n,s\n1,"a \\"b\\" c"\n', 'a "b" c'),
        ({"escape": "\\"}, b"n,s\n1,C:\\temp\n", "C:\\temp"),
        ({"delimiter": "\u00a6"}, "n\u00a6s\n1\u00a6x\n".encode(), "x"),
        ({"encoding": "utf-16"}, "n,s\n1,\u00e9\n".encode("utf-16"), "\u00e9"),
        ({"header": "ignore_case"}, b"S , N,x\ny,1,z\n", "y"),
        ({}, b"\xef\xbb\xbf\n n ,s\r1,x\r", "x"),
    ],
)
def test_text_is_what_the_stream_reads(file: Path, csv: Any, content: bytes, text: str) -> None:
    file.write_bytes(content)
    feed = feed_of(**csv)
    for given in (file, content, gzip.compress(content)):
        assert read_csv(feed, "it", given, feed.columns).to_pylist() == [{"n": 1, "s": text}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"n,s\n1,x\n0x1f,y\n", "it does not hold what feed test declares: line 3: 'n': found '0x1f', wanted long"),
        (b'n,s\n1,"x"y\n', "line 2: found 'y' after a closing quote"),
        (b"n,s\n1\n", "line 2: found 1 field, wanted 2"),
        (b"n,s\n1,\xe9\n", "line 2: found bytes that are not utf-8"),
        (b"n,x\n1,y\n", "found 'n', 'x'; missing: 's'"),
    ],
)
def test_what_the_stream_refuses_is_told_with_its_line(content: bytes, message: str) -> None:
    with pytest.raises(FeedError) as caught:
        read_csv(feed_of(), "it", content, feed_of().columns)
    assert message in str(caught.value)


def test_rows_keep_their_order_and_columns_may_have_names_of_the_tables(file: Path) -> None:
    columns = [Column(name="source_line", type="long"), Column(name="s", type="double")]
    plain = "".join(f"x,{number},1\n" for number in range(20))
    file.write_text("source_file,source_line,s\n" + plain + 'x,20,1\n5" pipe,21,1\n')
    assert read_csv(feed_of(), "it", file, columns)["source_line"].to_pylist() == list(range(22))


def test_without_a_header_columns_are_found_by_place() -> None:
    feed = feed_of(header="none", skip_lines=1)
    assert read_csv(feed, "it", b"x\n1,a\n", [Column(name="s", type="string")]).to_pylist() == [{"s": "a"}]
    assert csv_names(feed, "it", b"x\n1,a\n") == ["n", "s"]


def test_names_are_those_of_the_header(file: Path) -> None:
    file.write_bytes(b'\n"a,b" , c\n')
    assert csv_names(feed_of(), "it", file) == ["a,b", "c"]
    with pytest.raises(FeedError, match="it is empty, wanted a header with n, s"):
        csv_names(feed_of(), "it", b"")
