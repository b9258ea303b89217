"""JSON values as nobody would send them on purpose."""

from typing import Any

from hypothesis import strategies as st

NUMBERS = [0, -1, 1.5, 2**31, 2**63, 2**64, -(2**70), 1e308, 5e-324, -0.0]


def json_values() -> st.SearchStrategy[Any]:
    """Any value, a few levels deep."""
    texts = st.text(max_size=20) | st.sampled_from(
        ["x", "inputs", "", "NaN", "2024-01-01", "\x00", "é\U0001f600", "\ud83d"]
    )
    leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
    leaves |= st.sampled_from(NUMBERS)
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
    )


@st.composite
def spoiled(draw: st.DrawFn, whole: Any) -> Any:
    """A value with another one somewhere in it, or without something, or with something more."""
    if isinstance(whole, dict) and whole and draw(st.booleans()):
        name = draw(st.sampled_from(sorted(whole)))
        what = draw(st.sampled_from(["inside", "away", "more"]))
        if what == "away":
            return {key: value for key, value in whole.items() if key != name}
        return whole | ({name: draw(spoiled(whole[name]))} if what == "inside" else {draw(st.text(max_size=9)): 1})
    if isinstance(whole, list) and whole and draw(st.booleans()):
        at = draw(st.integers(0, len(whole) - 1))
        return [*whole[:at], draw(spoiled(whole[at])), *whole[at + 1 :]]
    return draw(json_values())
