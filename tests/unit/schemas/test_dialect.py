"""A dialect that nothing can be read with is refused when the feed is loaded."""

from typing import Any

import pytest
from pydantic import ValidationError

from schemas.dialect import Dialect


@pytest.mark.parametrize(
    ("dialect", "message"),
    [
        ({"quote": ","}, "delimiter and quote are both ','"),
        ({"delimiter": ""}, "found '', wanted one character"),
        ({"delimiter": "||"}, "found '||', wanted one character"),
        ({"delimiter": "\\t"}, 'YAML reads \\ only in double quotes: "\\t"'),
        ({"delimiter": "\n"}, "no line end"),
        ({"quote": "\r"}, "no line end"),
        ({"quote": "\0"}, "no line end"),
        ({"delimiter": "e"}, "no letter and no digit"),
        ({"quote": "1"}, "no letter and no digit"),
        ({"quote": " "}, "no space"),
        ({"quote": None}, "quote"),
        ({"endings": []}, "endings"),
        ({"endings": ["csv"]}, "found 'csv', wanted the end of a name in lower case, as .tsv or .csv.zst"),
        ({"endings": [".CSV"]}, "in lower case"),
        ({"endings": ["/.csv"]}, "wanted the end of a name"),
        ({"endings": [".csv.gz"]}, "wanted one that is not packed too"),
        ({"comment": '"'}, "quote and comment are both"),
        ({"comment": "//"}, "found '//', wanted one character"),
        ({"comment": "x"}, "no letter and no digit"),
        ({"skip_lines": -1}, "skip_lines"),
        ({"skip_lines": True}, "skip_lines"),
        ({"decimal": ";"}, "decimal"),
        ({"decimal": ",", "thousands": ","}, "thousands is ',' beside decimal ','"),
        ({"thousands": "."}, "thousands is '.' beside decimal '.'"),
        ({"thousands": "-"}, "thousands is '-'"),
        ({"integers": "any"}, "integers"),
        ({"true_values": ["Yes"], "false_values": ["yes"]}, "'yes' is in true_values and in false_values"),
        ({"true_values": [True]}, "true_values"),
        ({"true_values": []}, "one at least in each"),
        ({"false_values": [" no"]}, "without spaces around them"),
        ({"false_values": ["NA"], "null_values": ["na"]}, "'na' is in null_values, which comes first"),
        ({"escape": '"'}, "doubled quotes need no csv.escape, take it out"),
        ({"escape": ","}, "delimiter and escape are both ','"),
        ({"escape": "\\\\"}, 'YAML reads \\ only in double quotes: "\\\\"'),
        ({"escape": "\t"}, "escape is '\\t', wanted a character that is no space"),
        ({"delimiter": "\u00a6", "encoding": "ascii"}, "encoding 'ascii'"),
        ({"null_values": [None]}, "null_values"),
        ({"null_values": [False]}, "null_values"),
        ({"null_values": "NA"}, "null_values"),
        *(
            ({"encoding": name}, f"found encoding {name!r}, wanted one of text")
            for name in "klingon rot13 hex zlib base64 bz2 quopri uu undefined idna punycode unicode_escape".split()
        ),
        ({"encoding": "a\0b"}, "encoding"),
        ({"encoding": 1252}, "encoding"),
    ],
)
def test_a_dialect_that_nothing_can_be_read_with_is_refused(dialect: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Dialect.model_validate(dialect)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "encoding",
    "utf-8 UTF8 utf-8-sig cp1252 utf-16 utf-16-le utf-32 utf-7 shift_jis gb18030 cp037 iso2022_jp hz ascii".split(),
)
def test_an_encoding_of_files_is_accepted(encoding: str) -> None:
    assert Dialect(encoding=encoding).encoding == encoding


@pytest.mark.parametrize("delimiter", ["\t", " ", "|", ";", "\x01", "\x1f", "\u00a6", "^"])
def test_other_delimiters_are_accepted(delimiter: str) -> None:
    assert Dialect(delimiter=delimiter).delimiter == delimiter


def test_zero_may_be_null_where_no_words_of_booleans_are_said() -> None:
    assert Dialect.model_validate({"null_values": ["", "0"]}).null_values == ("", "0")
