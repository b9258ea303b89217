"""Links, anchors and paths in the text of a Markdown page, as a forge shows it; blocks of code are left out."""

import re
from collections.abc import Collection, Iterator
from pathlib import Path

from tests.docs.blocks import prose

INLINE_CODE = re.compile(r"(`+)(?!`)(.+?)(?<!`)\1(?!`)")
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\[\]]*\])*\]\(\s*<?([^()\s<>]+)>?[^()]*\)")
REFERENCE = re.compile(r"\s*\[[^\]]+\]:\s*(\S+)")
HTML = re.compile(r"<(?:a|img|source)\s[^>]*?(?:href|src|srcset)=\"([^\"]+)\"")
HEADING = re.compile(r"#{1,6}\s+(.*?)\s*#*\s*")
NAMED = re.compile(r"<a\s[^>]*?(?:id|name)=\"([^\"]+)\"")
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
PLACEHOLDER = re.compile(r"[<>{}$…\s]|[A-Z]{3,}\.|\b(NAME|FEED|DIR|PATH|VERSION)\b")


def links(text: str) -> list[tuple[int, str]]:
    """Where the page's links lead, with their lines; those to other hosts too."""
    found = []
    for number, line in prose(text):
        shown = INLINE_CODE.sub("code", line)
        targets = [*LINK.findall(shown), *REFERENCE.findall(shown), *HTML.findall(shown)]
        found += [(number, target) for target in targets]
    return found


def anchors(text: str) -> set[str]:
    """The anchors that a forge gives the page's headings, and those that are named in HTML."""
    found, seen = set[str](), dict[str, int]()
    for _, line in prose(text):
        found |= set(NAMED.findall(line))
        if heading := HEADING.fullmatch(line):
            slug = _slug(heading[1])
            times = seen.get(slug, 0)
            seen[slug] = times + 1
            found.add(f"{slug}-{times}" if times else slug)
    return found


def broken_links(page: Path, root: Path) -> list[str]:
    """The links of a page that lead to no file, or to no heading of it, each as `file:line target`."""
    broken = []
    for number, target in links(page.read_text()):
        if ELSEWHERE.match(target):
            continue
        path, _, anchor = target.partition("#")
        to = (page.parent / path).resolve() if path else page
        wrong = not to.exists() or not to.is_relative_to(root)
        if not wrong and anchor and to.suffix == ".md":
            wrong = anchor not in anchors(to.read_text())
        if wrong:
            broken.append(f"{page.relative_to(root)}:{number} {target}")
    return broken


def paths(text: str, folders: Collection[str]) -> Iterator[tuple[int, str]]:
    """What stands in backticks and looks like a path of the project: it begins with one of its folders."""
    for number, line in prose(text):
        for _, code in INLINE_CODE.findall(line):
            first, slash, _ = code.partition("/")
            if slash and first in folders and not PLACEHOLDER.search(code):
                yield number, code


def missing_paths(page: Path, root: Path, folders: Collection[str]) -> list[str]:
    """The paths of a page that are not there, each as `file:line path`; a feed or a setting may be the reader's own."""
    return [
        f"{page.relative_to(root)}:{number} {path}"
        for number, path in paths(page.read_text(), folders)
        if not (path.startswith(("schemas/", "conf/")) and path.endswith(".yaml"))
        if not any(root.glob(path.partition(":")[0].rstrip("/")))
    ]


def long_lines(text: str, limit: int) -> list[int]:
    """The numbers of the lines of prose that are longer; tables, comments and lines that are one link may be."""
    return [
        number
        for number, line in prose(text)
        if len(line) > limit and not line.lstrip().startswith(("|", "<!--", "[", "![", "- ["))
    ]


def _slug(heading: str) -> str:
    shown = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").replace("*", "")
    return re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
