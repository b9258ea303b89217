"""A landed file's names: in manifests a URI, in the tables text; one for each file."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamscore.landing.manifest import EARLIEST, LATEST, file_time, landed_name, landed_path, local_file, source_file

LANDING = "file:///in"
# What can be in a name, most of all what looks like an escape.
PIECES = st.sampled_from([b"\\", b"\\x", b"x5c", b"\\xe9", b"\xe9", b"\xc3\xa9", b"a", b"/", b"\n", b" ", b"%2F", b"c"])
NAMES = st.lists(PIECES | st.binary(min_size=1, max_size=2).filter(lambda raw: b"\0" not in raw), max_size=8).map(
    lambda pieces: b"".join(pieces)
)


def source_of(name: bytes) -> str:
    return source_file(local_file(os.fsdecode(b"/in/" + name), os.stat("/")), LANDING)


@given(NAMES, NAMES)
def test_two_names_in_the_folder_are_two_names_in_the_tables(one: bytes, other: bytes) -> None:
    assert (source_of(one) == source_of(other)) == (one == other)


@given(NAMES)
def test_a_name_in_the_tables_leads_back_to_the_file(name: bytes) -> None:
    assert landed_name(source_of(name)) == name
    assert landed_path(source_of(name), LANDING) == local_file(os.fsdecode(b"/in/" + name), os.stat("/")).path


@pytest.mark.parametrize(
    ("name", "source"),
    [
        (b"a b.csv", "a b.csv"),
        ("ü/€.csv".encode(), "ü/€.csv"),
        (b"back\\slash.csv", "back\\slash.csv"),
        (b"\\xE9.csv", "\\xE9.csv"),
        (b"\xe9.csv", "\\xe9.csv"),  # as it always was
        (b"\\xe9.csv", "\\x5cxe9.csv"),
    ],
)
def test_names_that_need_no_escape_are_as_they_are(name: bytes, source: str) -> None:
    assert source_of(name) == source


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\\\0"), max_size=20))
def test_so_are_all_without_a_backslash(name: str) -> None:
    assert source_of(name.encode()) == name


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=10))
def test_the_uri_of_a_file_is_that_of_its_path(name: str) -> None:
    path = Path("/in", name.replace("/", "") or "a")
    assert local_file(str(path), os.stat("/")).path == path.as_uri()


def test_a_time_is_one_that_every_reader_of_tables_takes(tmp_path: Path) -> None:
    for second, kept in ((0, 0), (-3 * 10**9, EARLIEST), (10**10, LATEST)):
        os.utime(tmp_path, ns=(0, second * 10**9))
        if tmp_path.stat().st_mtime_ns == second * 10**9:  # else this file system does not know such times either
            assert file_time(tmp_path.stat()) == (kept if kept else second)
