"""JSON that could be understood in two ways is refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.serving.requests.json_text import parse_json
from jobs.serving.requests.problems import RequestError

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES, st.booleans())
def test_what_json_can_say_is_read_as_it_is(value: object, ascii_only: bool) -> None:
    assert parse_json(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@pytest.mark.parametrize(
    "text",
    ['{"a": 1, "a": 2}', '[{"b": {"a": 1, "b": 2, "a": 1}}]', '{"a": 1, "\\u0061": 2}', '{"a": "x", "b": 1, "a": "x"}'],
)
def test_a_key_that_is_there_twice_is_refused(text: str) -> None:
    with pytest.raises(RequestError, match="twice in one object") as error:
        parse_json(text.encode())
    assert error.value.status == 400


@pytest.mark.parametrize("text", ["", "{", "NaN", '{"a": Infinity}', "[" * 100_000, b"\xff".decode("latin-1"), "[1,]"])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(RequestError) as error:
        parse_json(text.encode("latin-1"))
    assert error.value.status == 400


def test_escapes_and_depth_together_are_refused_not_followed() -> None:
    with pytest.raises(RequestError, match=r"deep|JSON"):
        parse_json(b'{"\\u0061":' * 1000 + b"1" + b"}" * 1000)


@pytest.mark.parametrize(
    "text",
    [
        b'{"a": [{"x": 1, "y": [[1, {"k": 1, "k": 2}]]}]}',
        b'{"a": [{"x": 1, "x": 2}, {"x": 1}]}',
        b'{"a": [{"x": 1}, {"x": {"x": 1, "y": 1, "x": 1}}]}',
        b'{"a": 1, "a": {"b": 1}}',
    ],
)
def test_a_key_that_is_there_twice_is_found_however_deep(text: bytes) -> None:
    with pytest.raises(RequestError, match="twice"):
        parse_json(text)
