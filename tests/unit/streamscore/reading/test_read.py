"""Every way in which a file can be good or bad: it ends as rows, or as rejects that say what, where and why."""

import bz2
import codecs
import gzip
import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from schemas.errors import StorageError
from schemas.feed import Feed
from schemas.reasons import Reason
from schemas.tables import REJECTS_SCHEMA
from streamscore.landing.manifest import LandedFile
from streamscore.reading import blocks, landed, parse, read, records, split
from streamscore.reading.read import FileReject, FileRejectedError, ReadOptions, read_chunks

AB: list[dict[str, Any]] = [{"name": "a", "type": "double"}, {"name": "b", "type": "double"}]
WORDS = [{"name": "n", "type": "long"}, {"name": "word", "type": "string"}]


def feed_of(columns: list[dict[str, Any]], **csv: Any) -> Feed:
    return Feed.model_validate({"name": "test", "csv": csv, "columns": columns})


@dataclass
class Seen:
    """All chunks of a read, put together."""

    table: pa.Table
    rejects: list[dict[str, Any]]
    chunk_sizes: list[int]

    def __getitem__(self, column: str) -> list[Any]:
        return self.table[column].to_pylist()

    @property
    def reasons(self) -> list[str]:
        return [reject["reason"] for reject in self.rejects]


@pytest.fixture
def land(tmp_path: Path) -> Callable[..., LandedFile]:
    def land(content: bytes | str, name: str = "in.csv") -> LandedFile:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        status = path.stat()
        return LandedFile(path.as_uri(), status.st_size, status.st_mtime_ns)

    return land


@pytest.fixture
def see(tmp_path: Path) -> Callable[..., Seen]:
    def see(*files: LandedFile, feed: Feed | None = None, **options: Any) -> Seen:
        feed = feed or feed_of(AB)
        chunks = list(read_chunks(files, feed, ReadOptions(tmp_path.as_uri(), **options)))
        tables, rejects = [rows.table for rows, _ in chunks], [rejects for _, rejects in chunks]
        assert all(table.schema == REJECTS_SCHEMA for table in rejects)
        table = pa.concat_tables(tables) if tables else pa.table({})
        return Seen(table, [row for t in rejects for row in t.to_pylist()], [t.num_rows for t in tables])

    return see


@pytest.fixture
def see_text(land: Callable[..., LandedFile], see: Callable[..., Seen]) -> Callable[..., Seen]:
    return lambda content, name="in.csv", **options: see(land(content, name), **options)


# --- the header ---


def test_columns_are_found_by_name_whatever_their_order(see_text: Callable[..., Seen]) -> None:
    seen = see_text("b,a\n2,1\n")
    assert (seen["a"], seen["b"]) == ([1.0], [2.0])


def test_rows_carry_their_file_line_and_time(see_text: Callable[..., Seen], tmp_path: Path) -> None:
    seen = see_text("a,b\n1,2\n3,4\n", "sub dir/100% é.csv")
    assert seen["source_file"] == ["sub dir/100% é.csv"] * 2
    assert seen["source_line"] == [2, 3]
    modified = (tmp_path / "sub dir/100% é.csv").stat().st_mtime_ns
    assert seen.table["landed_at"].cast(pa.int64()).to_pylist() == [modified // 1000] * 2


def test_the_table_has_the_feed_s_schema_then_text_then_the_place(see_text: Callable[..., Seen]) -> None:
    feed = feed_of([{"name": "fixed acidity", "type": "int"}, {"name": "pH", "type": "double"}])
    seen = see_text("pH,fixed acidity\n 3.10,7\n", feed=feed, text_columns=frozenset({"pH"}))
    assert seen.table.schema.names == ["fixed_acidity", "ph", "text:pH", "source_file", "source_line", "landed_at"]
    assert seen.table.schema.field("fixed_acidity").metadata == {b"original_name": b"fixed acidity"}
    assert (seen["ph"], seen["text:pH"]) == ([3.1], [" 3.10"])


@pytest.mark.parametrize("header", ["a,b", " a ,\tb", '"a","b"', "\ufeffa,b", "\n\r\n  \na,b", '\ufeff"a" , b'])
def test_headers_are_trimmed_unquoted_and_freed_of_bom_and_blank_lines(
    see_text: Callable[..., Seen], header: str
) -> None:
    seen = see_text(f"{header}\n1,2\n")
    assert (seen["a"], seen["b"], seen.rejects) == ([1.0], [2.0], [])


def test_blank_lines_before_the_header_count_as_lines(see_text: Callable[..., Seen]) -> None:
    assert see_text("\n\na,b\n1,2\n")["source_line"] == [4]


def test_the_case_of_names_matters_only_if_the_feed_says_so(see_text: Callable[..., Seen]) -> None:
    assert see_text("A,B\n1,2\n", feed=feed_of(AB, header="ignore_case"))["a"] == [1.0]
    seen = see_text("A,B\n1,2\n", feed=feed_of(AB, header="exact"))
    assert seen.reasons == ["missing_column"]
    assert "ignore_case would find 'a', 'b'" in seen.rejects[0]["detail"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_header_may_have_line_breaks_in_quotes(see_text: Callable[..., Seen], end: str) -> None:
    feed = feed_of([*AB, {"name": "s\nmore", "type": "string"}])
    seen = see_text(f'a,"s{end}more","b"{end}1,x,2{end}y{end}', feed=feed)
    assert (seen["s_more"], seen["source_line"]) == (["x"], [3])
    assert [(r["reason"], r["source_line"]) for r in seen.rejects] == [("too_few_fields", 4)]
    refused = see_text(f'a,"s{end}more",b{end}1,x,2{end}')
    assert (refused.reasons, refused.rejects[0]["column"], refused.rejects[0]["rows"]) == (
        ["extra_column"],
        f"s{end}more",
        1,
    )


def test_names_are_equal_whether_composed_or_not(see_text: Callable[..., Seen]) -> None:
    for feed_s, file_s in (("caf\u00e9", "cafe\u0301"), ("cafe\u0301", "caf\u00e9")):
        feed = feed_of([{"name": feed_s, "type": "string"}])
        assert see_text(f"{file_s}\ne\u0301\n", feed=feed).table.column(0).to_pylist() == ["e\u0301"]


def test_without_a_header_columns_are_in_the_feed_s_order(see_text: Callable[..., Seen]) -> None:
    feed = feed_of(AB, header="none", skip_lines=1)
    seen = see_text("made by x\n\n1,2\n3\n", feed=feed)
    assert (seen["a"], seen["b"], seen["source_line"], seen.reasons) == ([1.0], [2.0], [3], ["too_few_fields"])
    assert see_text("made by x\n", feed=feed).rejects[0]["rows"] == 0


def test_without_a_header_a_first_row_of_tabs_or_spaces_is_a_row(see_text: Callable[..., Seen]) -> None:
    columns = [{"name": name, "type": "string", "nullable": True} for name in "ab"]
    tabs = feed_of(columns, header="none", delimiter="\t", comment="#")
    seen = see_text("# x\n\n\t\n \t\nx\ty\n", feed=tabs)
    assert (seen["a"], seen["source_line"], seen.rejects) == ([None, " ", "x"], [3, 4, 5], [])
    assert see_text("\t", feed=tabs)["a"] == [None]
    assert see_text(" \n", feed=feed_of(columns[:1], header="none"))["a"] == [" "]
    assert see_text(" \t\n\na\tb\nx\ty\n", feed=feed_of(columns, delimiter="\t"))["a"] == ["x"]


def test_lines_above_the_header_are_skipped_and_comments_are_no_rows(see_text: Callable[..., Seen]) -> None:
    feed = feed_of(WORDS, skip_lines=2, comment="#")
    seen = see_text('"made\nby",x\n# c\n\nn,word\n1,x\n#2,y\n 3,#z\n4,"a\n#b"\n#', feed=feed)
    assert (seen["n"], seen["word"], seen["source_line"]) == ([1, 3, 4], ["x", "#z", "a\n#b"], [6, 8, 9])
    assert seen.rejects == []
    assert see_text("\n\nx,y\n#1\n2\n", feed=feed).rejects[0]["rows"] == 1


def test_a_nullable_column_may_be_missing_if_the_feed_says_so(see_text: Callable[..., Seen]) -> None:
    columns = [*AB, {"name": "c", "type": "date", "nullable": True}]
    assert see_text("a,b\n1,2\n", feed=feed_of(columns)).reasons == ["missing_column"]
    seen = see_text("a,b\n1,2\n", feed=feed_of(columns, missing_columns="null"))
    assert (seen["c"], seen.rejects) == ([None], [])
    assert see_text("a,c\n1,2\n", feed=feed_of(columns, missing_columns="null")).rejects[0]["column"] == "b"


@pytest.mark.parametrize(
    ("header", "delimiter"),
    [
        *[
            ("a;b", ";"),
            ('"a"\t"b"', r"\t"),
            ("a|b|x,y", "|"),
            ('"a";"b"', ";"),
            ("a b", " "),
            ("b^a", "^"),
            ("a:b", ":"),
        ],
        *[("a\x01b", r"\u0001"), ("x;;a;b", ";"), ("a ; b ", ";")],
    ],
)
@pytest.mark.parametrize("more", [{}, {"header": "ignore_case"}, {"extra_columns": "ignore"}, {"encoding": "utf-16"}])
def test_a_file_with_another_delimiter_is_told_which(
    see_text: Callable[..., Seen], header: str, delimiter: str, more: dict[str, Any]
) -> None:
    def detail(header: str) -> str:
        content = f"{header}\n1;2\n".encode(more.get("encoding", "utf-8"))
        return str(see_text(content, feed=feed_of(AB, **more)).rejects[0]["detail"])

    assert f'(csv.delimiter: "{delimiter}" would find 2 of 2)' in detail(header)
    assert "csv.delimiter" not in detail("x;y")


@pytest.mark.parametrize(("row", "delimiter"), [("1;2", ";"), ('"1";"x;y"', ";"), ("1|2,5", None), ("1\t2", r"\t")])
@pytest.mark.parametrize("header", ["none", "exact"])
def test_a_row_with_another_delimiter_is_told_which(
    see_text: Callable[..., Seen], row: str, delimiter: str | None, header: str
) -> None:
    columns = [*WORDS, *([{"name": "x", "type": "string"}] if delimiter is None else [])]
    names = "" if header == "none" else ",".join(str(column["name"]) for column in columns) + "\n"
    for text in (f"{names}{row}\n", f'{names}{row}\n"'):  # by Arrow, and by hand
        seen = see_text(text, f"{len(text)}.csv", feed=feed_of(columns, header=header))
        detail = seen.rejects[0]["detail"]
        if row.startswith('"'):  # what follows the closing quote refuses it first
            assert seen.reasons[0] == "unreadable"
        elif delimiter is None:
            assert detail.endswith(f"wanted 3, as in the {'feed' if header == 'none' else 'header'}")
        else:
            assert detail.endswith(f'(csv.delimiter: "{delimiter}" would find 2)')


def test_a_file_without_any_of_the_columns_is_another_file_even_if_all_may_be_missing(
    see_text: Callable[..., Seen],
) -> None:
    columns = [column | {"nullable": True} for column in AB]
    feed = feed_of(columns, missing_columns="null", extra_columns="ignore")
    (reject,) = see_text("a;b\n1;2\n", feed=feed).rejects
    assert reject["reason"] == "missing_column" and '(csv.delimiter: ";" would find 2 of 2)' in reject["detail"]
    assert see_text("x\n1\n", feed=feed).reasons == ["missing_column"]
    assert see_text("b,x\n1,2\n", feed=feed)["b"] == [1]


@pytest.mark.parametrize("end", ["#", "# checked", '# a "quote', "#1,2", "#\r"])
@pytest.mark.parametrize("more", ["", '"3",4\n'])
def test_a_comment_may_end_a_file_without_a_line_end(see_text: Callable[..., Seen], end: str, more: str) -> None:
    seen = see_text(f"a,b\n1,2\n{more}{end}", feed=feed_of(AB, comment="#"))
    assert (len(seen["a"]), seen.rejects) == (1 + bool(more), [])


def test_a_column_may_be_in_the_names_of_folders(see: Callable[..., Seen], land: Callable[..., LandedFile]) -> None:
    folder = {"role": "carry", "source": "folder", "nullable": True}
    columns = [{"name": "dt", "type": "date"} | folder, *AB, {"name": "a place", "type": "string"} | folder]
    names = ["dt=2024-12-31/a%20place=x%3Dy/1.csv", "dt=2024-01-01/dt=2024-01-02/2.csv", "3.csv", "dt=soon/4.csv"]
    names.append("dt=__HIVE_DEFAULT_PARTITION__/5.csv")
    seen = see(*[land("b,a\n2,1\n", name) for name in names], feed=feed_of(columns), in_order=True)
    assert [str(day) for day in seen["dt"]] == ["2024-12-31", "2024-01-02", "None", "None"]
    assert (seen["a_place"], seen["a"]) == (["x=y", None, None, None], [1.0] * 4)
    assert [(r["reason"], r["column"], r["source_file"]) for r in seen.rejects] == [("bad_type", "dt", "dt=soon/4.csv")]
    seen = see(land("1,2\n3,4,5\n", "dt=2024-12-31/6.csv"), feed=feed_of(columns, header="none"))
    assert (seen["b"], seen.reasons) == ([2.0], ["too_many_fields"])


def test_a_missing_column_refuses_the_file_and_counts_its_rows(see_text: Callable[..., Seen]) -> None:
    seen = see_text('x,y\n1,2\n\n3,4\n"5\n6",7')
    assert seen.table.num_rows == 0
    reject = seen.rejects[0]
    assert (reject["reason"], reject["column"], reject["rows"]) == ("missing_column", "a", 3)
    assert (reject["source_line"], reject["header"], reject["raw"]) == (None, "x,y", None)
    assert reject["detail"] == "found 'x', 'y'; missing: 'a', 'b'"


def test_a_target_may_be_absent(see_text: Callable[..., Seen]) -> None:
    feed = feed_of([*AB, {"name": "y", "type": "int", "role": "target"}])
    seen = see_text("a,b\n1,2\n", feed=feed)
    assert (seen["y"], seen.rejects) == ([None], [])


@pytest.mark.parametrize(("header", "rule"), [("a,b,a", "exact"), ("a,b,A", "ignore_case"), ("a, a ,b", "exact")])
def test_a_duplicate_column_of_the_feed_refuses_the_file(see_text: Callable[..., Seen], header: str, rule: str) -> None:
    seen = see_text(f"{header}\n1,2,3\n", feed=feed_of(AB, header=rule))
    assert seen.reasons == ["duplicate_column"]
    assert seen.rejects[0]["column"] == "a"


def test_an_extra_column_is_refused_or_ignored_as_the_feed_says(see_text: Callable[..., Seen]) -> None:
    refused = see_text("a,x,b\n1,z,2\n", feed=feed_of(AB))
    assert (refused.reasons, refused.rejects[0]["column"]) == (["extra_column"], "x")
    ignored = see_text("a,x,b,x\n1,z,2,z\n", feed=feed_of(AB, extra_columns="ignore"))
    assert (ignored["b"], ignored.rejects) == ([2.0], [])


def test_files_with_different_headers_are_read_in_one_chunk(
    land: Callable[..., LandedFile], see: Callable[..., Seen]
) -> None:
    texts = ["a,b\n1,2\n", "b,a\n4,3\n", "a,b\n5,6\n", "A,b\n7,8\n"]
    seen = see(*[land(text, f"{i}.csv") for i, text in enumerate(texts)])
    rows = sorted(zip(seen["source_file"], seen["a"], seen["b"], strict=True))
    assert rows == [("0.csv", 1.0, 2.0), ("1.csv", 3.0, 4.0), ("2.csv", 5.0, 6.0)]
    assert (seen.reasons, seen.chunk_sizes) == (["missing_column"], [3])


# --- lines and quotes ---


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", [True, False])
def test_all_line_ends_are_read_the_same(see_text: Callable[..., Seen], end: str, last: bool) -> None:
    seen = see_text(end.join(["a,b", "1,2", "3,4"]) + end * last)
    assert (seen["a"], seen["source_line"], seen.rejects) == ([1.0, 3.0], [2, 3], [])


def test_empty_lines_are_no_rows_and_keep_their_numbers(see_text: Callable[..., Seen]) -> None:
    seen = see_text("a,b\n\n1,2\n\r\n3,4\n\n\n")
    assert (seen["source_line"], seen.rejects) == ([3, 5], [])


def test_quoted_newlines_belong_to_the_value_and_the_record_begins_on_its_first_line(
    see_text: Callable[..., Seen],
) -> None:
    seen = see_text('n,word\n1,"x\r\ny"\n2,"a ""b"", c"\n', feed=feed_of(WORDS))
    assert (seen["word"], seen["source_line"]) == (["x\r\ny", 'a "b", c'], [2, 4])


def test_a_refused_record_of_many_lines_keeps_them_all(see_text: Callable[..., Seen]) -> None:
    seen = see_text('n,word\n1,"x\ny",z\n2,w\n', feed=feed_of(WORDS))
    assert (seen.rejects[0]["raw"], seen.rejects[0]["source_line"], seen["source_line"]) == ('1,"x\ny",z', 2, [4])


def test_too_few_and_too_many_fields_cost_only_their_rows(see_text: Callable[..., Seen]) -> None:
    seen = see_text("a,b\n1\n1,2\n1,2,3\n")
    assert [(r["reason"], r["source_line"], r["raw"], r["rows"], r["header"]) for r in seen.rejects] == [
        ("too_few_fields", 2, "1", 1, "a,b"),
        ("too_many_fields", 4, "1,2,3", 1, "a,b"),
    ]
    assert seen.rejects[0]["detail"] == "found 1 field, wanted 2, as in the header"
    assert seen["source_line"] == [3]


@pytest.mark.parametrize("line", ['1,"2', '"1,2', '"1""'])
def test_a_quote_that_is_never_closed_costs_only_its_own_line(see_text: Callable[..., Seen], line: str) -> None:
    seen = see_text(f"a,b\n1,2\n{line}\n3,4\n5,6")
    assert [(r["reason"], r["source_line"], r["raw"]) for r in seen.rejects] == [("unreadable", 3, line)]
    assert seen["source_line"] == [2, 4, 5]


def test_an_unclosed_quote_on_the_last_line_is_refused(see_text: Callable[..., Seen]) -> None:
    seen = see_text('n,word\n1,"x\n', feed=feed_of(WORDS))
    assert (seen.table.num_rows, seen.reasons, seen.rejects[0]["raw"]) == (0, ["unreadable"], '1,"x')


def test_a_quote_in_one_file_does_not_reach_into_the_next(
    land: Callable[..., LandedFile], see: Callable[..., Seen]
) -> None:
    files = [land('n,word\n1,"x\n', "1.csv"), land('n,word\n2,y"\n', "2.csv"), land("n,word\n3,z\n", "3.csv")]
    seen = see(*files, feed=feed_of(WORDS))
    assert sorted(seen["word"]) == ['y"', "z"]
    assert [(r["reason"], r["source_file"]) for r in seen.rejects] == [("unreadable", "1.csv")]


def test_a_quote_inside_an_unquoted_value_is_a_character(see_text: Callable[..., Seen]) -> None:
    assert see_text('n,word\n1,5" pipe\n2,a"\n', feed=feed_of(WORDS))["word"] == ['5" pipe', 'a"']


@pytest.mark.parametrize("field", ['"a"b', '"a"b"', '"a" ', '"say \\"hi\\""', '"a\nb"c', '""x'])
def test_text_after_a_closing_quote_refuses_its_record_alone(see_text: Callable[..., Seen], field: str) -> None:
    seen = see_text(f'n,word\n1,x\n2,{field}\n3,"y"\n', feed=feed_of(WORDS))
    assert (seen["word"], seen.reasons) == (["x", "y"], ["unreadable"])
    assert (seen.rejects[0]["source_line"], seen.rejects[0]["raw"]) == (3, f"2,{field}")
    assert "after a closing quote" in seen.rejects[0]["detail"]


def test_a_header_with_text_after_a_closing_quote_refuses_the_file(see_text: Callable[..., Seen]) -> None:
    reject = see_text('"a"x,b\n1,2\n').rejects[0]
    assert (reject["reason"], reject["rows"]) == ("unreadable", 1)
    assert "found 'x' after a closing quote in the header line" in reject["detail"]


ESCAPED = r'''id,x,s
1,1,"say \"hi\""
2,2,"5\" pipe"
3,3,"a, \"b\", c"
4,4,"a,b\\"
5,5,C:\temp
6,6,"C:\temp"
7,7,"doubled "" too"
8,8,\"
9,9,"\\\"\\"
10,10,"two
lines\", ""one"""
'''
UNESCAPED = [
    'say "hi"', '5" pipe', 'a, "b", c', "a,b\\", "C:\\temp", "C:\\temp", 'doubled " too', '\\"', '\\"\\',
    'two\nlines", "one"',
]  # fmt: skip


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("more", ["", '11,11,"never closed\\"\n'])
def test_escapes_are_those_of_spark_s_csv_writer(see_text: Callable[..., Seen], end: str, more: str) -> None:
    columns = [{"name": "id", "type": "long"}, {"name": "x", "type": "double"}, {"name": "s", "type": "string"}]
    seen = see_text((ESCAPED + more).replace("\n", end), feed=feed_of(columns, escape="\\"))
    assert [text.replace("\r\n", "\n") for text in seen["s"]] == UNESCAPED
    assert (seen["source_line"], seen.reasons) == (list(range(2, 12)), ["unreadable"] * bool(more))


def test_without_the_feed_s_word_a_backslash_is_text_and_its_quote_refused(see_text: Callable[..., Seen]) -> None:
    columns = [{"name": "id", "type": "long"}, {"name": "x", "type": "double"}, {"name": "s", "type": "string"}]
    seen = see_text("".join(ESCAPED.splitlines(keepends=True)[:7]), feed=feed_of(columns))
    assert dict(zip(seen["id"], seen["s"], strict=True)) == {4: "a,b\\\\", 5: "C:\\temp", 6: "C:\\temp"}
    assert seen.reasons == ["unreadable"] * 3
    assert "set csv.escape" in seen.rejects[0]["detail"]


def test_other_delimiters_and_quotes_are_read(see_text: Callable[..., Seen]) -> None:
    assert see_text("n;word\n1;'a;b'\n", feed=feed_of(WORDS, delimiter=";", quote="'"))["word"] == ["a;b"]
    assert see_text("n¦word\n1¦«a¦b«\n", feed=feed_of(WORDS, delimiter="¦", quote="«"))["word"] == ["a¦b"]


def test_a_line_beyond_the_bound_is_refused_and_the_next_one_read(see_text: Callable[..., Seen]) -> None:
    seen = see_text(f"n,word\n1,{'x' * (1 << 20)}\n2,y\n", feed=feed_of(WORDS))
    assert (seen.reasons, seen["word"], len(seen.rejects[0]["raw"])) == (["unreadable"], ["y"], 10_000)


def test_a_long_field_within_the_bound_is_read(see_text: Callable[..., Seen]) -> None:
    for text in ("x" * 900_000, '"' + "x\n" * 300_000 + '"'):
        seen = see_text(f'n,word\n1,{text}\n2,5" pipe\n', feed=feed_of(WORDS))
        assert (seen.rejects, len(seen["word"][0])) == ([], len(text.strip('"')))


# --- values ---


def test_text_in_a_number_costs_only_its_row(see_text: Callable[..., Seen]) -> None:
    seen = see_text("a,b\n1,2\nabc,x\n3,4\n")
    reject = seen.rejects[0]
    assert (reject["reason"], reject["column"], reject["source_line"], reject["raw"]) == ("bad_type", "a", 3, "abc,x")
    assert reject["detail"] == "found 'abc', wanted double"
    assert (seen["source_line"], len(seen.rejects)) == ([2, 4], 1)


def test_one_reject_a_row_and_the_first_column_of_the_feed_is_to_blame(see_text: Callable[..., Seen]) -> None:
    assert [r["column"] for r in see_text("b,a\nx,y\n").rejects] == ["a"]


@pytest.mark.parametrize(
    ("type_", "text", "value"),
    [
        ("int", " 7", 7),
        ("int", "1.0", "bad"),
        ("int", "3000000000", "bad"),
        ("long", "3000000000", 3_000_000_000),
        ("long", "99999999999999999999", "bad"),
        ("double", "1e3", 1000.0),
        ("double", '"1,5"', "bad"),
        ("double", "1_000", "bad"),
        ("double", " ", "bad"),
        ("boolean", "True", True),
        ("boolean", "0", False),
        ("boolean", "yes", "bad"),
        ("date", "2024-02-29", "2024-02-29"),
        ("date", "2023-02-29", "bad"),
        ("timestamp", "2024-01-01", "2024-01-01 00:00:00+00:00"),
        ("timestamp", "2024-01-01 10:00", "2024-01-01 10:00:00+00:00"),
        ("timestamp", "2024-01-01T10:00:00.5Z", "2024-01-01 10:00:00.500000+00:00"),
        ("timestamp", "2024-01-01T10:00:00+02:00", "2024-01-01 08:00:00+00:00"),
        ("timestamp", "noon", "bad"),
        ("string", " x ", " x "),
    ],
)
def test_text_becomes_a_value_or_is_refused(
    see_text: Callable[..., Seen], type_: str, text: str, value: bool | float | str
) -> None:
    seen = see_text(f"v,w\n{text},1\n", feed=feed_of([{"name": "v", "type": type_}, {"name": "w", "type": "int"}]))
    if value == "bad":
        assert (seen.reasons, seen.rejects[0]["column"]) == (["bad_type"], "v")
    else:
        found = seen["v"][0]
        assert (str(found) if type_ in ("date", "timestamp") else found) == value


def test_timestamps_with_and_without_zone_stand_in_one_column(see_text: Callable[..., Seen]) -> None:
    feed = feed_of([{"name": "t", "type": "timestamp"}])
    seen = see_text("t\n2024-01-01T10:00:00\n2024-01-01T10:00:00+01:00\nx\n", feed=feed)
    assert [str(t) for t in seen["t"]] == ["2024-01-01 10:00:00+00:00", "2024-01-01 09:00:00+00:00"]


def test_the_dialect_s_null_values_and_no_others_are_null(see_text: Callable[..., Seen]) -> None:
    columns = [{"name": "v", "type": "double", "nullable": True}, {"name": "s", "type": "string", "nullable": True}]
    seen = see_text("v,s\nNA,NA\n1,\n,x\n", feed=feed_of(columns, null_values=["NA"]))
    assert (seen["v"], seen["s"], seen.reasons) == ([None, 1.0], [None, ""], ["bad_type"])


def test_quoted_null_values_are_null_too(see_text: Callable[..., Seen]) -> None:
    columns = [{"name": "v", "type": "double"}, {"name": "s", "type": "string"}]
    assert see_text('v,s\n"",""\n', feed=feed_of(columns)).table.select(["v", "s"]).to_pylist() == [
        {"v": None, "s": None}
    ]


def test_text_columns_keep_the_text_exactly_and_null_where_it_is_a_null_value(see_text: Callable[..., Seen]) -> None:
    texts = frozenset({"a"})
    seen = see_text("a,b\n 1.50 ,1\n,1\n007,1\nx,1\n", text_columns=texts)
    assert (seen["text:a"], seen["a"]) == ([" 1.50 ", None, "007"], [1.5, None, 7.0])
    assert seen.rejects[0]["detail"] == "found 'x', wanted double"


# --- encodings ---


def test_bytes_that_are_no_utf8_cost_only_their_line(see_text: Callable[..., Seen]) -> None:
    seen = see_text(b"n,word\n1,caf\xe9\n2,caf\xc3\xa9\n", feed=feed_of(WORDS))
    reject = seen.rejects[0]
    assert (reject["reason"], reject["source_line"], reject["raw"]) == ("bad_encoding", 2, "1,caf\\xe9")
    assert seen["word"] == ["café"]


def test_bad_bytes_in_an_ignored_column_cost_their_line_too(see_text: Callable[..., Seen]) -> None:
    seen = see_text(b"n,word,x\n1,a,\xe9\n2,b,c\n", feed=feed_of(WORDS, extra_columns="ignore"))
    assert (seen.reasons, seen["word"]) == (["bad_encoding"], ["b"])


def test_the_encoding_of_the_dialect_is_decoded(see_text: Callable[..., Seen]) -> None:
    seen = see_text("n,word\n1,café\n2,x\x81\n".encode("latin-1"), feed=feed_of(WORDS, encoding="cp1252"))
    assert (seen["word"], seen.rejects[0]["raw"], seen.reasons) == (["café"], "2,x\\x81", ["bad_encoding"])
    assert see_text("n,word\n1,é\n".encode("utf-16"), feed=feed_of(WORDS, encoding="utf-16"))["word"] == ["é"]


@pytest.mark.parametrize("bom", [codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE])
def test_utf16_is_named(see_text: Callable[..., Seen], bom: Any) -> None:
    seen = see_text(bom + "a,b\n".encode("utf-16-le"))
    assert (seen.reasons, seen.rejects[0]["rows"]) == (["bad_encoding"], None)
    assert "UTF-16" in seen.rejects[0]["detail"]


def test_a_header_that_is_no_utf8_refuses_the_file(see_text: Callable[..., Seen]) -> None:
    seen = see_text(b"a,b\xe9\n1,2\n")
    assert (seen.reasons, seen.rejects[0]["rows"]) == (["bad_encoding"], None)


@pytest.mark.parametrize("before", [0, 1, 3000])
def test_a_nul_costs_its_line_where_the_header_fits(see_text: Callable[..., Seen], before: int) -> None:
    seen = see_text(b"n,word\n" + b"1,x\n" * before + b"2,\0\n3,y\n\0\0", feed=feed_of(WORDS))
    lines = [(reject["source_line"], reject["rows"]) for reject in seen.rejects]
    assert (seen.reasons, lines) == (["unreadable"] * 2, [(before + 2, 1), (before + 4, 1)])
    assert seen.table.num_rows == before + 1


@pytest.mark.parametrize("content", [b"x,b\n1,2\n\0\n", b"a,b\0\n1,2\n", b"x" * 5000 + b"\0", b"a,\xff\n\0\n"])
def test_a_nul_makes_a_file_binary_where_the_header_does_not_fit(see_text: Callable[..., Seen], content: bytes) -> None:
    for seen in (see_text(content), see_text(content, "again.csv")):
        assert (seen.reasons, seen.rejects[0]["source_line"]) == (["unreadable"], None)
        assert "as in a binary file" in seen.rejects[0]["detail"]


def test_without_headers_a_nul_makes_a_file_binary_in_its_first_row(see_text: Callable[..., Seen]) -> None:
    feed = feed_of(WORDS, header="none")
    assert see_text(b"1,\0\n2,x\n", feed=feed).rejects[0]["source_line"] is None
    seen = see_text(b"1,x\n2,\0\n3,y\n", feed=feed)
    assert (seen["n"], seen.rejects[0]["source_line"]) == ([1, 3], 2)


# --- whole files ---


@pytest.mark.parametrize("content", ["", "\n", "\ufeff", " \n\r\n\r"])
def test_an_empty_file_is_unreadable_with_no_rows(see_text: Callable[..., Seen], content: str) -> None:
    reject = see_text(content).rejects[0]
    assert (reject["reason"], reject["rows"]) == ("unreadable", 0)
    assert reject["detail"] == "the file is empty: no header line"


def test_an_empty_file_is_one_whatever_was_read_before_it(
    see: Callable[..., Seen], land: Callable[..., LandedFile]
) -> None:
    feed = feed_of(AB, header="none")
    seen = see(land("\n1,2\n", "1.csv"), land("\n", "2.csv"), land("\n\n", "3.csv"), feed=feed)
    assert (seen["a"], seen.reasons) == ([1], ["unreadable"] * 2)


@pytest.mark.parametrize("content", ["a,b", "a,b\n", "a,b\r\n\r\n", "a,b\r"])
def test_a_file_of_a_header_only_is_fine_and_has_no_rows(see_text: Callable[..., Seen], content: str) -> None:
    seen = see_text(content)
    assert (seen.table.num_rows, seen.rejects) == (0, [])


def test_a_header_with_an_unclosed_quote_refuses_the_file(see_text: Callable[..., Seen]) -> None:
    assert see_text('a,"b\n1,2\n').reasons == ["unreadable"]


def test_a_binary_file_is_unreadable(see_text: Callable[..., Seen]) -> None:
    seen = see_text(bytes(range(256)) * 40)
    assert (seen.reasons, seen.rejects[0]["rows"]) == (["unreadable"], None)


def test_gzip_is_read_by_its_name(see_text: Callable[..., Seen]) -> None:
    assert see_text(gzip.compress(b"a,b\n1,2\n") + gzip.compress(b"3,4\n"), "in.csv.gz")["b"] == [2.0, 4.0]
    assert see_text(gzip.compress(b"a,b\n1,2\n"), "IN.CSV.GZ")["b"] == [2.0]


@pytest.mark.parametrize(
    "spoil", [lambda z: z[:-4], lambda z: z[:20], lambda z: z[:30] + b"xx" + z[32:], lambda z: b"a,b"]
)
def test_a_damaged_gzip_is_unreadable(see_text: Callable[..., Seen], spoil: Callable[..., Any]) -> None:
    whole = gzip.compress("".join(f"{i},{i * 7}\n" for i in range(99)).join(["a,b\n", ""]).encode())
    seen = see_text(spoil(whole), "in.csv.gz")
    assert (seen.table.num_rows, seen.reasons, seen.rejects[0]["rows"]) == (0, ["unreadable"], None)


def zstd(text: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as packed:
        packed.write(text)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(("ending", "pack"), [("bz2", bz2.compress), ("zst", zstd), ("gz", gzip.compress)])
def test_packed_files_are_read_by_their_names(see_text: Callable[..., Seen], ending: str, pack: Any) -> None:
    text = "".join(f"{number},{number * 7}\n" for number in range(50_000)).encode()
    packed = pack(b"a,b\n1,2\n")
    assert see_text(packed + pack(text), f"in.csv.{ending}").table.num_rows == 50_001
    assert see_text(packed, f"IN.CSV.{ending.upper()}")["b"] == [2.0]
    for spoilt in (packed[:-4], packed[:9], b"a,b\n1,2\n", packed[:-12] + b"spoilt" + packed[-6:]):
        seen = see_text(spoilt, f"in.csv.{ending}")
        assert (seen.table.num_rows, seen.reasons) == (0, ["unreadable"])


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_utf16_without_its_mark_is_bad_encoding(see_text: Callable[..., Seen], encoding: str) -> None:
    seen = see_text("a,b\n1,2\n".encode(f"{encoding}-le"), feed=feed_of(AB, encoding=encoding))
    assert seen.reasons == ["bad_encoding"]


def test_a_missing_file_is_one_reject(
    see: Callable[..., Seen], land: Callable[..., LandedFile], tmp_path: Path
) -> None:
    file = land("a,b\n1,2\n")
    os.unlink(tmp_path / "in.csv")
    assert [(r["reason"], r["rows"]) for r in see(file).rejects] == [("file_missing", None)]


def test_a_folder_in_place_of_a_file_is_unreadable(see: Callable[..., Seen], tmp_path: Path) -> None:
    (tmp_path / "x.csv").mkdir()
    status = (tmp_path / "x.csv").stat()
    seen = see(LandedFile((tmp_path / "x.csv").as_uri(), status.st_size, status.st_mtime_ns))
    assert seen.reasons == ["unreadable"]


def test_a_file_of_another_size_or_time_than_the_manifest_s_is_changed(
    see: Callable[..., Seen], land: Callable[..., LandedFile]
) -> None:
    file = land("a,b\n1,2\n")
    for other in (replace(file, size=7), replace(file, modified=1), replace(file, changed=True)):
        seen = see(other)
        assert (seen.table.num_rows, seen.reasons) == (0, ["file_changed"])
        assert (seen.rejects[0]["source_line"], seen.rejects[0]["rows"]) == (None, None)


def test_a_file_that_changes_while_it_is_read_is_changed(
    see: Callable[..., Seen], land: Callable[..., LandedFile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Growing(landed.LocalSource):
        def read(self, size: int) -> bytes:
            data = super().read(size)
            with (tmp_path / "in.csv").open("a") as file:
                file.write("3,4\n")
            return data

    file = land("a,b\n1,2\n")
    monkeypatch.setattr(landed, "LocalSource", Growing)
    seen = see(file)
    assert (seen.table.num_rows, seen.reasons, seen.rejects[0]["header"]) == (0, ["file_changed"], "a,b")


def test_storage_that_fails_is_an_error_and_no_reject(
    see: Callable[..., Seen], land: Callable[..., LandedFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(landed.LocalSource):
        def read(self, size: int) -> bytes:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(landed, "LocalSource", Failing)
    with pytest.raises(StorageError, match="Input/output error"):
        see(land("a,b\n1,2\n"))


def test_a_known_refusal_is_its_reject_and_the_file_is_not_opened(
    see: Callable[..., Seen], land: Callable[..., LandedFile], tmp_path: Path
) -> None:
    file, other = land("a,b\n1,2\n"), land("a,b\n3,4\n", "other.csv")
    os.unlink(tmp_path / "in.csv")
    refusal = FileReject(Reason.UNREADABLE, "told before", column="a", rows=4, header="a,b")
    seen = see(file, other, refused={file.path: refusal})
    assert (seen["a"], seen.reasons) == ([3.0], ["unreadable"])
    assert (seen.rejects[0]["rows"], seen.rejects[0]["column"], seen.rejects[0]["header"]) == (4, "a", "a,b")


# --- large files, many files ---


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (blocks, read):
        monkeypatch.setattr(module, "BLOCK_BYTES", 100)


def numbered(count: int, head: str = "a,b") -> str:
    return "\n".join([head, *(f"{i},{i * 2}" for i in range(count))]) + "\n"


def test_a_large_file_is_read_in_blocks_with_its_own_lines(see_text: Callable[..., Seen], small_blocks: None) -> None:
    seen = see_text(numbered(500))
    assert (seen["a"], seen["source_line"]) == (list(map(float, range(500))), list(range(2, 502)))
    assert max(seen.chunk_sizes) < 50


def test_a_large_file_is_cut_between_records_that_span_lines(see_text: Callable[..., Seen], small_blocks: None) -> None:
    words = [f'{i},"x\n{"y" * (i % 30)}\n"\n' for i in range(100)]
    seen = see_text("n,word\n" + "".join(words), feed=feed_of(WORDS))
    assert (seen["source_line"], seen.rejects) == (list(range(2, 302, 3)), [])


def test_a_large_file_with_a_stray_quote_is_split_by_hand(see_text: Callable[..., Seen], small_blocks: None) -> None:
    lines = [f"{i},{'5 inch' if i % 7 else chr(34) + 'a,b' + chr(34)}" for i in range(100)]
    lines[60] = '60,5" pipe'
    seen = see_text("\n".join(["n,word", *lines]), feed=feed_of(WORDS))
    assert (seen["n"], seen.rejects) == (list(range(100)), [])


def test_rejects_of_a_large_file_have_their_own_text(see_text: Callable[..., Seen], small_blocks: None) -> None:
    lines = [f"{i},{'x' if i % 9 == 0 else i}" for i in range(200)]
    seen = see_text("\n".join(["a,b", *lines]))
    assert [(r["source_line"], r["raw"]) for r in seen.rejects] == [(i + 2, f"{i},x") for i in range(0, 200, 9)]


def test_a_refused_large_file_is_counted_to_its_end(see_text: Callable[..., Seen], small_blocks: None) -> None:
    assert see_text(numbered(500, "x,y")).rejects[0]["rows"] == 500
    assert see_text(numbered(500, "x,y") + '1,"2\n3,4').rejects[0]["rows"] == 502


def test_a_file_that_turns_out_bad_after_rows_starts_the_batch_again(
    see: Callable[..., Seen], land: Callable[..., LandedFile], small_blocks: None
) -> None:
    whole = gzip.compress(numbered(50).encode())
    file, other = land(whole[:-6], "in.csv.gz"), land("a,b\n1,2\n", "other.csv")
    with pytest.raises(FileRejectedError) as caught:
        see(other, file)
    assert (caught.value.file, caught.value.refusal.reason) == (file, "unreadable")
    seen = see(other, file, refused={file.path: caught.value.refusal})
    assert (seen["a"], seen.reasons, seen.rejects[0]["header"]) == ([1.0], ["unreadable"], "a,b")


def test_a_file_refused_error_survives_pickling(land: Callable[..., LandedFile]) -> None:
    error = FileRejectedError(land(""), FileReject(Reason.UNREADABLE, "x"))
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.file, copy.refusal, str(copy)) == (error.file, error.refusal, str(error))


def test_chunks_span_small_files_and_split_large_ones(
    see: Callable[..., Seen], land: Callable[..., LandedFile]
) -> None:
    files = [land(numbered(30), f"{i}.csv") for i in range(10)]
    assert see(*files, chunk_rows=100).chunk_sizes == [90, 90, 90, 30]
    assert see(land(numbered(250), "large.csv"), chunk_rows=100).chunk_sizes == [84, 84, 82]


def test_one_bad_file_among_many_does_not_move_their_lines(
    see: Callable[..., Seen], land: Callable[..., LandedFile]
) -> None:
    texts = [numbered(3), 'a,b\n1,"2\n3,4\n', numbered(2), "a,b\n1\n5,6\n", b"a,b\n\xff,2\n7,8\n", "a,b\r1,2\r"]
    seen = see(*[land(text, f"{i}.csv") for i, text in enumerate(texts)])
    places = set(zip(seen["source_file"], seen["source_line"], strict=True))
    rejects = {(r["source_file"], r["source_line"]) for r in seen.rejects}
    assert rejects == {("1.csv", 2), ("3.csv", 2), ("4.csv", 2)}
    good = {0: [2, 3, 4], 1: [3], 2: [2, 3], 3: [3], 4: [3], 5: [2]}
    assert places == {(f"{i}.csv", line) for i, lines in good.items() for line in lines}


def test_no_files_make_no_chunks(see: Callable[..., Seen]) -> None:
    assert see().chunk_sizes == []


def test_rejects_come_even_where_no_row_is_good(see: Callable[..., Seen], land: Callable[..., LandedFile]) -> None:
    seen = see(*[land("x\n1\n", f"{i}.csv") for i in range(3)], chunk_rows=1)
    assert (seen.reasons, seen.table.num_rows) == (["missing_column"] * 3, 0)


def test_any_row_can_be_refused_later_with_its_text(land: Callable[..., LandedFile], tmp_path: Path) -> None:
    file = land('n,word\n1,"x\ny"\n\n2,caf\u00e9\n')
    [(rows, _)] = read_chunks([file], feed_of(WORDS), ReadOptions(tmp_path.as_uri()))
    later = rows.with_table(rows.table.slice(1)).reject([0], Reason.MODEL_ERROR, None, "the model raised")
    first = rows.reject([1, 0], Reason.MODEL_ERROR, ["n", "word"], ["p", "q"])
    assert later.to_pylist()[0] | {"landed_at": None} == {
        "source_file": "in.csv", "source_line": 5, "rows": 1, "header": "n,word", "raw": "2,café",
        "reason": "model_error", "column": None, "detail": "the model raised", "landed_at": None,
    }  # fmt: skip
    assert (first["raw"].to_pylist(), first["column"].to_pylist()) == (["2,café", '1,"x\ny"'], ["n", "word"])
    assert rows.reject([], Reason.MODEL_ERROR, None, "").num_rows == 0


def test_the_slow_path_is_not_taken_for_clean_quoted_text(
    see_text: Callable[..., Seen], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parse.Parser, "parse_by_hand", None)
    monkeypatch.setattr(blocks._Reader, "_split", None)
    seen = see_text('n,word\r\n"1","a ""b"""\r\n\r\n"2","c\nd"\r\n3\r\nx,y\r\n', feed=feed_of(WORDS))
    assert (seen["source_line"], seen.reasons) == ([2, 4], ["too_few_fields", "bad_type"])


def test_a_stray_quote_does_not_slow_the_rest_of_a_large_file(
    see_text: Callable[..., Seen], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (blocks, records, split):
        monkeypatch.setattr(module, "MAX_RECORD", 40)
    for module in (blocks, read):
        monkeypatch.setattr(module, "BLOCK_BYTES", 400)
    monkeypatch.setattr(blocks._Reader, "_split", None)
    by_hand: list[int] = []
    whole = parse.Parser.from_records

    def from_records(parser: Any, texts: Any) -> Any:
        by_hand.extend(line for text in texts for line in text.records)
        return whole(parser, texts)

    monkeypatch.setattr(parse.Parser, "from_records", from_records)
    lines = [f'{i},"word {i}"' for i in range(300)]
    lines[100] = '100,5" pipe'
    seen = see_text("\n".join(["n,word", *lines]), feed=feed_of(WORDS))
    assert (sorted(seen["n"]), seen.rejects) == (list(range(300)), [])
    assert 102 in by_hand and len(by_hand) < 100
