"""Which types of a body are known."""

import pytest

from jobs.serving.requests.body import _media_type
from jobs.serving.requests.problems import RequestError


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("", ""),
        ("application/json", "application/json"),
        (" Application/JSON ; Charset=UTF-8", "application/json"),
        ('application/json;charset="utf-8"', "application/json"),
        ("text/csv; charset=utf-8; header=present", "text/csv"),
        ("text/csv; header=Present;charset=us-ascii;", "text/csv"),
    ],
)
def test_a_type_is_known_in_any_case_and_with_its_charset(header: str, kind: str) -> None:
    assert _media_type(header) == kind


@pytest.mark.parametrize(
    "header",
    [
        "application/json; charset=latin-1",
        "application/json; charset=",
        "application/json; something=something",
        "application/json; format=pandas-split",
        "application/json; header=present",
        "text/csv; header=absent",
        "application/json; charset=utf-8; charset*=utf-8''latin-1; x=y",
    ],
)
def test_another_charset_or_parameter_is_refused(header: str) -> None:
    with pytest.raises(RequestError) as refused:
        _media_type(header)
    assert refused.value.status == 415
