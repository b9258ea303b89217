from pathlib import Path

from tests.docs.links import anchors, broken_links, links, long_lines, missing_paths, paths

PAGE = """# One page
See [two](two.md#the-other), ![image](images/a.png) and [`code`](#one-page-1).
`[no](link.md)` is code.

```text
[no](block.md)
```

## One page
## `predict_udf`, and *how*: 3 ways
<a id="named"></a>
"""


def test_links_are_found_in_prose_and_not_in_code() -> None:
    assert links(PAGE) == [(2, "two.md#the-other"), (2, "images/a.png"), (2, "#one-page-1")]


def test_anchors_are_those_of_a_forge() -> None:
    assert anchors(PAGE) == {"one-page", "one-page-1", "predict_udf-and-how-3-ways", "named"}


def test_a_link_to_no_file_or_no_heading_is_broken(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(PAGE + "[out](../..) [web](https://example.org/x) [mail](mailto:a@b.c)\n")
    (tmp_path / "two.md").write_text("# The others")
    assert broken_links(tmp_path / "page.md", tmp_path) == [
        "page.md:2 two.md#the-other",
        "page.md:2 images/a.png",
        "page.md:12 ../..",
    ]


def test_paths_are_what_stands_in_backticks_and_begins_with_a_folder_of_the_project() -> None:
    text = "`jobs/cli.py`, `var/tables`, `schemas/NAME.yaml`, `jobs/<feed>/a.py`, jobs/prose.py, `streamscore run`"
    assert list(paths(text, {"jobs", "schemas"})) == [(1, "jobs/cli.py")]


def test_a_path_that_is_not_there_is_missing_unless_it_is_a_feed_of_the_reader(tmp_path: Path) -> None:
    (tmp_path / "jobs" / "cli").mkdir(parents=True)
    (tmp_path / "jobs" / "cli" / "a.py").touch()
    (tmp_path / "page.md").write_text("`jobs/cli/`, `jobs/*/a.py`, `jobs/cli/a.py:main`, `jobs/b.py`, `conf/my.yaml`")
    assert missing_paths(tmp_path / "page.md", tmp_path, {"jobs", "conf"}) == ["page.md:1 jobs/b.py"]


def test_tables_code_and_lines_that_are_one_link_may_be_long() -> None:
    long = "x" * 141
    text = f"{long}\n| {long} |\n[{long}](a)\n<!-- {long} -->\n```\n{long}\n```\n{'x' * 140}\n"
    assert long_lines(text, 140) == [1]
