"""A version of the store as one tar archive."""

import io
import tarfile
from pathlib import Path

import pytest

from jobs.serving.requests.problems import RequestError
from jobs.serving.routes import version_archive
from jobs.serving.routes.version_archive import pack, unpack

MIB = 2**20


def archive_of(path: Path, name: str, kind: bytes = tarfile.REGTYPE, data: bytes = b"") -> Path:
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.type, member.size, member.linkname = kind, len(data), "/etc/passwd"
        archive.addfile(member, io.BytesIO(data))
    return path


def test_what_is_packed_is_unpacked_as_it_was(tmp_path: Path) -> None:
    made = tmp_path / "made"
    for name in ("version.json", "model/MLmodel", "model/deep/er/file", "data/rows.csv"):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(name)
    found = unpack(pack(made, tmp_path / "v.tar"), tmp_path / "found", MIB)
    assert {p.relative_to(found): p.read_text() for p in found.rglob("*") if p.is_file()} == {
        p.relative_to(made): p.read_text() for p in made.rglob("*") if p.is_file()
    }


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("../outside", tarfile.REGTYPE),
        ("link", tarfile.SYMTYPE),
        ("link", tarfile.LNKTYPE),
        ("pipe", tarfile.FIFOTYPE),
        ("device", tarfile.CHRTYPE),
    ],
)
def test_what_is_no_file_inside_is_refused(name: str, kind: bytes, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(RequestError) as caught:
        unpack(archive_of(tmp_path / "v.tar", name, kind), tmp_path / "a" / "b", MIB)
    assert caught.value.status == 400
    assert not [path for path in (tmp_path / "a").rglob("*") if not path.is_dir()]


def test_an_absolute_name_is_one_inside(tmp_path: Path) -> None:
    found = unpack(archive_of(tmp_path / "v.tar", f"{tmp_path}/outside"), tmp_path / "found", MIB)
    assert not (tmp_path / "outside").exists()
    assert [path.name for path in found.rglob("*") if path.is_file()] == ["outside"]


def test_more_than_is_allowed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = archive_of(tmp_path / "v.tar", "model/MLmodel", data=bytes(2 * MIB))
    assert packed.stat().st_size < MIB / 8
    with pytest.raises(RequestError) as caught:
        unpack(packed, tmp_path / "found", MIB)
    assert caught.value.status == 413
    assert not (tmp_path / "found" / "model").exists()
    monkeypatch.setattr(version_archive, "MOST_FILES", 0)
    with pytest.raises(RequestError) as caught:
        unpack(packed, tmp_path / "again", 4 * MIB)
    assert caught.value.status == 413


@pytest.mark.parametrize("content", [b"", b"no tar", b"\x1f\x8b\x08\x00rubbish"])
def test_what_is_no_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "v.tar").write_bytes(content)
    with pytest.raises(RequestError) as caught:
        unpack(tmp_path / "v.tar", tmp_path / "found", MIB)
    assert caught.value.status == 400
