"""Any bytes in: every record is a row or a reject, once, and it does not matter how they were read."""

import contextlib
import csv
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.feed import Column, Dialect, Feed
from streamscore.landing.manifest import LandedFile
from streamscore.reading import blocks, parse, read, records, split
from streamscore.reading.convert import convert
from streamscore.reading.read import ReadOptions, read_chunks

HEADER = b"n,word\n"
FEED = Feed.model_validate(
    {
        "name": "test",
        "columns": [
            {"name": "n", "type": "double", "nullable": True},
            {"name": "word", "type": "string", "nullable": True},
        ],
    }
)
ESCAPING = FEED.model_copy(update={"csv": FEED.csv.model_copy(update={"escape": "\\"})})
COMMENTING = FEED.model_copy(update={"csv": FEED.csv.model_copy(update={"comment": "#"})})
FEEDS = st.sampled_from([FEED, FEED, ESCAPING, COMMENTING])

TOKENS = [
    *b'",\n\r\\',
    *["#", '#"', "\r\n", ",", ",", "\n", "\n", "1", "2.5", "-7", "x", " ", '"a"', '"a\nb"', '""', "é", "1,x\n"],
]
PIECES = [bytes([t]) if isinstance(t, int) else t.encode() for t in TOKENS] + [b"\xff", b"\0"]
BODIES = st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join)
CLEAN_LINES = st.lists(
    st.sampled_from(
        [
            rb'8,"a\"\\"' + b"\n",
            b"1,x\n",
            b"2,y\r\n",
            b'"3","z"\n',
            b'4,"a\nb"\r\n',
            b"\n",
            b"5\n",
            b"oh,x\n",
            b',""\n',
            b"6,w\r",
        ]
    ),
    max_size=40,
).map(b"".join)
ANY_BODY = st.one_of(BODIES, CLEAN_LINES)


# --- the oracle: what a record is, character by character ---


def oracle(body: bytes, feed: Feed = FEED) -> list[tuple[int, list[str] | None]]:
    """(line, fields) of every record; None for a quote that is never closed, and for text after a closing one.

    Bytes stand for characters.
    """
    text, at, line, found = body.decode("latin-1"), 0, 2, []
    while at < len(text):
        if text[at] in "\r\n":
            at, line = _after_line_end(text, at), line + 1
            continue
        if text[at] == feed.csv.comment:
            at = min(end for end in (text.find("\n", at), text.find("\r", at), len(text)) if end >= 0)
            at, line = _after_line_end(text, at), line + 1
            continue
        fields, end, is_stray = _fields(text, at, feed.csv.escape or "no escape")
        if fields is None:
            end = at
            while end < len(text) and text[end] not in "\r\n":
                end += 1
        found.append((line, None if is_stray else fields))
        line += _line_ends(text[at:end]) + 1
        at = _after_line_end(text, end)
    return found


def _after_line_end(text: str, at: int) -> int:
    return at + (2 if text[at : at + 2] == "\r\n" else 1)


def _line_ends(text: str) -> int:
    return len(text.replace("\r\n", "\n").replace("\r", "\n").split("\n")) - 1


def _fields(text: str, at: int, escape: str) -> tuple[list[str] | None, int, bool]:
    fields: list[str] = []
    is_stray = False
    while True:
        value = ""
        if text[at : at + 1] == '"':
            at += 1
            while text[at : at + 1] != '"' or text[at : at + 2] == '""':
                if at >= len(text):
                    return None, at, False
                is_pair = text[at : at + 2] in ('""', escape + '"', escape * 2)
                at += is_pair
                value += text[at]
                at += 1
            at += 1
            is_stray |= text[at : at + 1] not in ("", ",", "\r", "\n")
        while at < len(text) and text[at] not in ",\r\n":
            value += text[at]
            at += 1
        fields.append(value)
        if text[at : at + 1] != ",":
            return fields, at, is_stray
        at += 1


# --- reading, in all ways ---


@contextlib.contextmanager
def landed(*contents: bytes) -> Iterator[tuple[list[LandedFile], str]]:
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number, content in enumerate(contents):
            path = Path(folder) / f"{number}.csv"
            path.write_bytes(content)
            files.append(LandedFile(path.as_uri(), len(content), path.stat().st_mtime_ns))
        yield files, Path(folder).as_uri()


@contextlib.contextmanager
def patched(*, slow: bool = False, block: int = 0, longest: int = 0) -> Iterator[None]:
    """By hand from the first line on; blocks of that many bytes; records of that many bytes at most."""
    with contextlib.ExitStack() as stack:

        def change(module: Any, name: str, value: Any) -> None:
            stack.enter_context(patch.object(module, name, value))

        if slow:
            for module in (parse, blocks):
                change(module, "is_plain", lambda *_: False)
            change(blocks, "cut", lambda *_: None)
        if block:
            for module in (blocks, read):
                change(module, "BLOCK_BYTES", block)
        if longest:
            for module in (records, split, blocks):
                change(module, "MAX_RECORD", longest)
            change(split, "_KEPT", 4)
        yield


def read_all(contents: list[bytes], feed: Feed = FEED, **options: Any) -> list[dict[str, Any]]:
    """Rows and rejects, in the order of files and lines."""
    ways = {k: options.pop(k) for k in ("slow", "block", "longest") if k in options}
    seen: list[dict[str, Any]] = []
    with landed(*contents) as (files, landing), patched(**ways):
        for rows, rejects in read_chunks(files, feed, ReadOptions(landing, **options)):
            seen += rows.table.drop_columns(["landed_at"]).to_pylist()
            seen += rejects.drop_columns(["landed_at"]).to_pylist()
    return sorted(seen, key=lambda row: (row["source_file"], row["source_line"] or 0))


@settings(max_examples=400, deadline=None)
@given(ANY_BODY, FEEDS)
@example(b'1,"x', FEED)
@example(b'"\n"\n,', FEED)
@example(b"1,x\r", FEED)
@example(rb'1,"\"' + b"\n", ESCAPING)
def test_every_record_is_a_row_or_a_reject_once(body: Any, feed: Any) -> None:
    expected = oracle(body, feed)
    seen = read_all([HEADER + body], feed)
    assert [row["source_line"] for row in seen] == [line for line, _ in expected]
    for row, (_, fields) in zip(seen, expected, strict=True):
        reason = row.get("reason")
        if fields is None:
            assert reason == "unreadable"
        elif reason in (None, "bad_type"):
            assert len(fields) == 2
            text = fields[1].encode("latin-1").decode()
            assert reason or (row["word"] or "") == text
        else:
            ok = {"too_few_fields": len(fields) < 2, "too_many_fields": len(fields) > 2}
            assert ok.get(reason, reason in ("bad_encoding", "unreadable"))


@settings(max_examples=400, deadline=None)
@given(st.lists(ANY_BODY, min_size=1, max_size=4), FEEDS)
@example([b'1,"x\n', b'"2,"y"\n'], FEED)
@example([b"\xef\xbb\xbf1,x\n"], FEED)
def test_the_fast_and_the_slow_path_agree(bodies: Any, feed: Any) -> None:
    contents = [HEADER + body for body in bodies]
    assert read_all(contents, feed) == read_all(contents, feed, slow=True)


@settings(max_examples=300, deadline=None)
@given(ANY_BODY, st.integers(8, 60), FEEDS)
def test_the_size_of_blocks_changes_nothing(body: Any, block: Any, feed: Any) -> None:
    assert read_all([HEADER + body], feed, block=block) == read_all([HEADER + body], feed)


@settings(max_examples=200, deadline=None)
@given(ANY_BODY, st.integers(8, 60))
def test_the_size_of_blocks_changes_nothing_on_the_slow_path(body: Any, block: Any) -> None:
    assert read_all([HEADER + body], block=block, slow=True) == read_all([HEADER + body])


@settings(max_examples=300, deadline=None)
@given(ANY_BODY, st.integers(8, 60), st.integers(4, 30), FEEDS)
def test_a_bound_on_records_is_the_same_on_both_paths(body: Any, block: Any, longest: Any, feed: Any) -> None:
    seen = read_all([HEADER + body], feed, longest=longest)
    assert seen == read_all([HEADER + body], feed, longest=longest, slow=True)
    assert seen == read_all([HEADER + body], feed, longest=longest, block=block)


@settings(max_examples=200, deadline=None)
@given(st.lists(ANY_BODY, min_size=1, max_size=5), st.integers(1, 7))
def test_chunks_and_other_files_change_nothing(bodies: Any, chunk_rows: Any) -> None:
    contents = [HEADER + body for body in bodies]
    alone = [
        row | {"source_file": f"{number}.csv"} for number, content in enumerate(contents) for row in read_all([content])
    ]
    assert read_all(contents, chunk_rows=chunk_rows) == alone


@settings(max_examples=100, deadline=None)
@given(
    st.permutations(["a", "b", "c"]),
    st.lists(st.tuples(*[st.sampled_from(["1", " 2 ", "", "x", "1e3", '"3"', "nan"])] * 3), max_size=8),
)
def test_the_order_of_columns_changes_no_value(order: Any, rows: Any) -> None:
    feed = Feed.model_validate({"name": "test", "columns": [{"name": name, "type": "double"} for name in "abc"]})

    def text(names: list[str]) -> bytes:
        return "\n".join([",".join(names), *(",".join(row["abc".index(n)] for n in names) for row in rows)]).encode()

    def values(seen: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{k: str(v) for k, v in row.items() if k not in ("header", "raw")} for row in seen]

    assert values(read_all([text(list(order))], feed)) == values(read_all([text(["a", "b", "c"])], feed))


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet='n,word "\n\r\ufeffé', max_size=20), ANY_BODY)
def test_any_header_ends_as_rows_rejects_or_a_refused_file(head: Any, body: Any) -> None:
    seen = read_all([head.encode() + b"\n" + body])
    assert seen == read_all([head.encode() + b"\n" + body], slow=True)
    if any(row["source_line"] is None for row in seen):
        assert len(seen) == 1


@settings(max_examples=200, deadline=None)
@given(ANY_BODY, st.booleans(), FEEDS)
def test_a_refused_file_counts_its_records(body: Any, slow: Any, feed: Any) -> None:
    seen = read_all([b"other,names\n" + body], feed, slow=slow)
    is_binary = b"\0" in body
    wanted = ("unreadable", None) if is_binary else ("missing_column", len(oracle(body, feed)))
    assert [(row["reason"], row["rows"]) for row in seen] == [wanted]


# --- values ---

ODD_NUMBERS = (
    "+1 1e3 0x1f 1_000 1,5 NaN nan -inf Infinity -0 1.0 1. .5 2147483648 -2147483649 9223372036854775808 "
    "99999999999999999999 1e400 1e-400 １ 1d"
)
NUMBERS = st.one_of(
    st.sampled_from(["", " ", " 1", "1\t", *ODD_NUMBERS.split()]),
    st.text(alphabet="0123456789+-.eExXnaif _\t,", max_size=12),
    st.floats().map(repr),
    st.integers(-(2**70), 2**70).map(str),
)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(["int", "long", "float", "double"]), st.lists(NUMBERS, max_size=8), st.booleans())
def test_numbers_are_the_same_on_both_paths_and_beside_their_text(type_: Any, values: Any, as_text: Any) -> None:
    feed = Feed.model_validate(
        {"name": "test", "columns": [{"name": "v", "type": type_}, {"name": "w", "type": "string"}]}
    )
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([["v", "w"], *([value, "w"] for value in values)])
    content = text.getvalue().encode()
    texts = frozenset({"v"}) if as_text else frozenset()
    fast = read_all([content], feed, text_columns=texts)
    slow = read_all([content], feed, text_columns=texts, slow=True)
    assert repr(fast) == repr(slow)  # repr: NaN is not equal to itself, and -0 is equal to 0
    assert len(fast) == len(values)
    for row, value in zip(fast, values, strict=True):
        assert "reason" in row or not as_text or row["text:v"] == (value or None)


TIMES = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["2024-01-31", "2023-02-29", "1969-12-31", "0001-01-01", "2024-1-1", ""]),
    st.sampled_from(["", "T", " "]),
    st.sampled_from(["", "10", "10:00", "10:00:59", "23:59:59.5", "10:00:00.123456", "10:00:00.1234567", "24:00"]),
    st.sampled_from(["", "Z", "+02:00", "-0130", "+02", " ", "UTC", "-"]),
)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["timestamp", "date", "boolean", "double", "int"]),
    st.lists(st.one_of(TIMES, NUMBERS, st.sampled_from(["true", "TRUE", "no", "0", "1"]), st.none()), max_size=10),
)
def test_a_value_converts_the_same_whatever_stands_beside_it(type_: Any, values: Any) -> None:
    column = Column(name="v", type=type_)
    together = convert(pa.array(values, pa.string()), column, Dialect())
    alone = [convert(pa.array([value], pa.string()), column, Dialect()) for value in values]
    assert list(together.failed) == [at for at, one in enumerate(alone) if one.failed]
    assert repr(together.values.to_pylist()) == repr([one.values[0].as_py() for one in alone])
