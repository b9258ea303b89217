"""The page of a training run."""

import re
from collections.abc import Sequence
from typing import Any

import pytest

from training.evaluation.report import Section, html_report

SVG = '<?xml version="1.0"?>\n<!DOCTYPE svg>\n<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0"/></svg>'


def page(
    *rows: Any,
    columns: tuple[Any, ...] = ("name", "value"),
    passed: bool = True,
    pictures: Sequence[Any] = (),
    facts: Any = None,
) -> Any:
    return html_report("homes", passed, facts or {}, [Section("Table", "", columns, rows, pictures)])


def cells(text: str) -> Any:
    return re.findall(r"<td[^>]*>(.*?)</td>", text)


def test_the_page_needs_no_other_file() -> None:
    text = page(("a", 1.0), pictures=[SVG, SVG])
    assert text.count("<svg ") == 2
    assert "<?xml" not in text and "<!DOCTYPE svg" not in text
    assert not re.search(r"<(script|link|img|iframe)\b|\bsrc=|@import|url\(", text)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.5, "0.5000"),
        (0.123456, "0.1235"),
        (151.0, "151.0"),
        (1234.5, "1,234"),
        (236_234_333.4, "236,234,333"),
        (0.0, "0.000"),
        (3, "3"),
        (12_345, "12,345"),
        (None, "–"),
        (True, "passed"),
        (False, "failed"),
        (float("nan"), "nan"),
    ],
)
def test_numbers_of_a_column_have_their_digits_below_each_other(value: Any, shown: str) -> None:
    assert cells(page(("a", value)))[1] == shown


def test_names_and_values_of_the_data_are_text_and_no_markup() -> None:
    text = page(("<b>&", 1.0), facts={"data": "<script>alert(1)</script>"})
    assert "<script" not in text and "&lt;b&gt;&amp;" in text


def test_the_verdict_stands_at_the_top() -> None:
    assert "passed the gate" in page(("a", 1)) and "passed the gate" not in page(("a", 1), passed=False)
