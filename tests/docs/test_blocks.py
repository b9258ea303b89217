import pytest

from tests.docs.blocks import Page, PageError, read_page

FENCE = "`" * 3


def page(*lines: str) -> Page:
    return read_page("\n".join(lines).replace("'''", FENCE))


def test_blocks_of_three_languages_are_run_and_others_only_shown() -> None:
    read = page("'''bash", "ls", "'''", "'''yaml", "a: 1", "'''", "'''sql", "SELECT 1", "'''", "'''", "shown", "'''")
    assert [(block.language, block.is_run) for block in read.blocks] == [
        ("bash", True),
        ("yaml", False),
        ("sql", True),
        ("", False),
    ]
    assert [block.code for block in read.run] == ["ls\n", "SELECT 1\n"]


def test_a_block_knows_the_line_of_its_first_line_of_code() -> None:
    assert [block.line for block in page("text", "", "'''python", "1", "'''").blocks] == [4]


def test_a_block_in_a_list_loses_its_indent() -> None:
    assert page("- so:", "  '''bash", "  if true; then", "    ls", "  fi", "  '''").blocks[0].code.startswith("if true")


def test_a_longer_fence_holds_shorter_ones() -> None:
    read = page("````text", "'''bash", "rm -r /", "'''", "````")
    assert [block.language for block in read.blocks] == ["text"]


def test_a_mark_with_a_reason_leaves_out_only_the_next_block() -> None:
    read = page("<!-- not run: needs a server -->", "", "'''bash", "a", "'''", "'''bash", "b", "'''")
    assert [block.reason for block in read.blocks] == ["needs a server", None]
    assert [block.code for block in read.run] == ["b\n"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["<!-- not run: -->", "'''bash", "a", "'''"], "line 1: 'not run' has no reason"),
        (["<!-- not run: x -->", "text", "'''bash", "a", "'''"], "line 2: 'not run' stands before no block"),
        (["'''bash", "a"], "line 1: this block is never closed"),
        (["'''sh", "a", "'''"], "line 1: write ```bash for ```sh"),
        (["<!-- runs in: somewhere -->"], "wanted one of fresh, trained, streamed"),
        (["'''bash", "a", "'''", "<!-- runs in: trained -->"], "before the first block"),
        (["<!-- runs in: trained -->", "<!-- runs in: trained -->"], "once"),
    ],
)
def test_a_page_that_cannot_be_run_says_where_and_why(lines: list[str], message: str) -> None:
    with pytest.raises(PageError) as raised:
        page(*lines)
    assert message in str(raised.value)


def test_a_page_starts_from_the_folder_that_it_names_else_from_a_new_one() -> None:
    assert page("text").start == "fresh"
    assert page("text", "<!-- runs in: streamed -->", "'''bash", "a", "'''").start == "streamed"


@pytest.mark.parametrize(
    ("lines", "spark", "slow"),
    [
        (["'''bash", "streamscore --version", "'''"], False, False),
        (["'''bash", "streamscore run wine_quality", "'''"], True, True),
        (["<!-- not run: never ends -->", "'''bash", "streamscore run wine_quality", "'''"], False, False),
        (["'''python", "start_session(settings, 'a')", "'''"], True, True),
        (["'''bash", "streamscore train wine_quality", "'''"], False, True),
        (["<!-- runs in: trained -->", "'''sql", "SELECT 1", "'''"], False, True),
        (["<!-- runs in: streamed -->", "'''sql", "SELECT 1", "'''"], True, True),
        (["<!-- runs in: streamed -->", "text"], False, False),
    ],
)
def test_a_page_that_needs_a_model_or_a_stream_is_slow(lines: list[str], spark: bool, slow: bool) -> None:
    assert (page(*lines).starts_spark, page(*lines).is_slow) == (spark, slow)
