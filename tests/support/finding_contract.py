"""What is found and cleaned up in a folder and in a bucket alike; an heir has a fixture `place`."""

import time
from abc import ABC, abstractmethod

import pytest

from schemas.settings import Storage
from streamscore.landing.archive import REFUSALS, Archive
from streamscore.landing.find import DiscoveryOptions, FileDiscovery
from streamscore.landing.manifest import BatchManifest, LandedFile, source_file
from streamscore.landing.take_up import take_up
from streamscore.reading.fetch import opener
from streamscore.storage.places import as_uri
from streamscore.storage.stream_paths import StreamPaths
from tests.support.finder_kit import AskedBySpark
from tests.support.wait import HANG_SECONDS

START = BatchManifest(0)


class LandingPlace(ABC):
    """Where files land, and finders of them, each as a new process makes it."""

    def __init__(self, paths: StreamPaths) -> None:
        self.paths = paths

    @abstractmethod
    def land(self, name: str, text: str = "x") -> object:
        """Put a file in the place of another."""

    @abstractmethod
    def names(self) -> list[str]:
        """Every file below the landing folder."""

    def finder(self, max_files: int = 10_000, clean: str = "off") -> FileDiscovery:
        return AskedBySpark(DiscoveryOptions(self.paths, max_files, 2**30, clean))

    def refuse(self, file: LandedFile) -> None:
        refusals = self.paths.checkpoint.open_journal(REFUSALS)
        Archive(self.paths.landing, "delete", refusals, ()).note_refused([file.path])

    def name_of(self, file: LandedFile) -> str:
        return source_file(file, as_uri(self.paths.landing.uri))

    def files_of(self, manifest: BatchManifest) -> list[str]:
        return [self.name_of(file) + ("!" if file.changed else "") for file in manifest.files]


def next_after(found: FileDiscovery, begun: BatchManifest, seconds: float = HANG_SECONDS) -> BatchManifest:
    """The next manifest; asks as long as there is none."""
    until = time.monotonic() + seconds
    while (manifest := found.after(begun, 10_000)) == begun and time.monotonic() < until:
        pass
    return manifest


class FindingContract:
    def test_names_may_be_anything_but_hidden(self, place: LandingPlace) -> None:
        wanted = [
            "a b.csv",
            "a+b.csv",
            "100%.csv",
            "a%20b.csv",
            "ü€.csv",
            "sub/deep/x y.csv",
            "D.CSV.GZ",
            "what?&=#.csv",
        ]
        hidden = [".a.csv", "_b.csv", "c.txt", "d.csv.tmp", "_archive/e.csv", ".x/f.csv", "sub/_y/g.csv"]
        for name in wanted + hidden:
            place.land(name, f"text of {name}")
        manifest = place.finder().after(START, 100)
        assert sorted(place.files_of(manifest)) == sorted(wanted)
        with opener(manifest.files, place.paths.storage or Storage()) as open_landed:
            for file in manifest.files:
                assert open_landed(file).read(1000).decode() == f"text of {place.name_of(file)}"

    def test_a_new_process_knows_what_the_old_one_found(self, place: LandingPlace) -> None:
        place.land("a.csv")
        first = place.finder().after(START, 100)
        assert place.finder().after(START, 100).digest == first.digest  # the crash came before Spark wrote it down
        place.land("b.csv")
        again = place.finder()
        second = again.after(first, 100)
        assert place.files_of(second) == ["b.csv"]
        again.after(second, 100)
        assert place.finder().after(second, 100) == second
        assert len(list(place.paths.checkpoint.open_journal("ledger").lines())) == 3
        assert place.files_of(place.finder().after(first, 100)) == ["b.csv"]  # its batch never was

    @pytest.mark.parametrize(
        ("clean", "left"),
        [("off", ["a b.csv"]), ("archive", ["_archive/a b.csv"]), ("delete", [])],
        ids=["off", "archive", "delete"],
    )
    def test_clean_modes_act_once_the_batch_is_done(self, place: LandingPlace, clean: str, left: list[str]) -> None:
        place.land("a b.csv")
        found = place.finder(clean=clean)
        first = found.after(START, 100)
        assert place.names() == ["a b.csv"]
        assert found.after(first, 100) == first
        assert place.names() == left
        assert place.finder(clean=clean).after(first, 100) == first

    @pytest.mark.parametrize(
        ("clean", "to"), [("archive", "_archive"), ("delete", "_refused")], ids=["archive", "delete"]
    )
    def test_content_that_changed_since_is_left_alone(self, place: LandingPlace, clean: str, to: str) -> None:
        place.land("sub/a.csv", "one")
        found = place.finder(clean=clean)
        first = found.after(START, 100)
        place.land("sub/a.csv", "two, longer")
        second = next_after(found, first)
        assert place.files_of(second) == ["sub/a.csv!"] and place.names() == ["sub/a.csv"]
        found.after(second, 100)
        assert place.names() == [f"{to}/sub/a.csv"]

    def test_other_content_of_an_archived_path_is_archived_beside_it(self, place: LandingPlace) -> None:
        found, begun = place.finder(clean="archive"), START
        for text in ("one", "two, longer", "three, longer still"):
            place.land("a.csv", text)
            begun = next_after(found, begun)
            found.after(begun, 100)
        assert place.names() == [f"_archive/a.csv{again}" for again in ("", ".again", ".again.again")]

    @pytest.mark.parametrize("before", ["off", "delete"])
    def test_delete_keeps_what_was_refused(self, place: LandingPlace, before: str) -> None:
        for name in ("good.csv", "refused.csv"):
            place.land(name)
        first = place.finder(clean=before).after(START, 100)
        place.refuse(next(file for file in first.files if "refused" in file.path))
        assert place.finder(clean="delete").after(first, 100) == first
        assert place.names() == ["_refused/refused.csv"]

    def test_what_was_archived_and_is_of_no_commit_lands_again(self, place: LandingPlace) -> None:
        for name in ("done.csv", "sub/lost.csv", "taken.csv"):
            place.land(name, f"text of {name}")
        found = place.finder(clean="archive")
        first = found.after(START, 100)
        found.after(first, 100)
        place.land("taken.csv", "new")
        done = [file for file in first.files if "done" in file.path]
        assert take_up(place.paths.landing, done) == (["sub/lost.csv"], ["taken.csv"])
        assert place.names() == ["_archive/done.csv", "_archive/taken.csv", "sub/lost.csv", "taken.csv"]
        assert place.paths.landing.read("sub/lost.csv") == b"text of sub/lost.csv"
        assert take_up(place.paths.landing, done) == ([], ["taken.csv"])
