import hashlib
import io
import json
import os
import re
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from rich.console import Console

from jobs.operations.doctor import machine, model, storage
from jobs.operations.doctor.doctor import Check, examine, show
from jobs.operations.doctor.machine import check_jars, check_java, check_packages, check_python
from jobs.operations.doctor.model import check_model
from jobs.operations.doctor.storage import check_landing, check_storage
from schemas.feed import Column, load_feed
from schemas.feed_blocks import RowRouting
from schemas.settings import Settings, Storage
from streamscore.storage.folder import LocalFolder
from streamscore.storage.stream_paths import StreamPaths
from tests.support.fixture_types import Trained
from tests.support.wait import HANG_SECONDS

FEED = load_feed("wine_quality")
TRAIN = "streamscore train wine_quality --promote"
RECOVER = "streamscore run wine_quality --recover"


@dataclass
class Local:
    """A stream's folders on this machine."""

    landing: Path
    tables: Path
    checkpoint: Path

    def check(self) -> list[Any]:
        landing, checkpoint = LocalFolder(self.landing), LocalFolder(self.checkpoint)
        paths = StreamPaths(landing, str(self.tables), checkpoint, self.landing.parent / "scratch", Storage())
        return list(check_storage(FEED, paths))


@pytest.fixture
def places(tmp_path: Path) -> Local:
    return Local(tmp_path / "landing", tmp_path / "tables", tmp_path / "checkpoint")


def checked(places: Local) -> dict[str, Any]:
    return {check.name: check for check in places.check()}


def java(folder: Path, says: str, code: int = 0) -> Any:
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "java").write_text(f"#!/bin/sh\necho '{says}' >&2\nexit {code}\n")
    (folder / "bin" / "java").chmod(0o755)
    return folder


# --- machine


@pytest.mark.parametrize("said", ['openjdk version "17.0.15" 2025-04-15', 'java version "21" 2023-09-19 LTS'])
def test_java_17_and_21_are_fine(tmp_path: Path, said: str) -> None:
    home = java(tmp_path / "jdk", said)
    assert check_java({"JAVA_HOME": str(home)}).ok
    assert check_java({"PATH": str(home / "bin")}).ok


@pytest.mark.parametrize(
    ("said", "code"), [('version "1.8.0_392"', 0), ('version "25.0.1"', 0), ('version "17.0.1"', 1)]
)
def test_another_java_is_a_failure_that_says_which_binary(tmp_path: Path, said: str, code: int) -> None:
    home = java(tmp_path / "jdk", said, code)
    check = check_java({"JAVA_HOME": str(home), "PATH": ""})
    assert not check.ok and check.exit_code == 2
    assert f"{home}/bin/java (JAVA_HOME), wanted 17 or 21" in check.found and "17" in check.fix


def test_a_wrong_java_home_over_a_right_path_is_unset(tmp_path: Path) -> None:
    right = java(tmp_path / "right", 'version "17.0.1"')
    check = check_java({"JAVA_HOME": str(tmp_path / "none"), "PATH": f"{right}/bin:{os.environ['PATH']}"})
    assert (check.ok, check.fix) == (False, "unset JAVA_HOME")


def test_no_java_at_all_is_a_failure() -> None:
    assert check_java({"PATH": ""}).exit_code == 2


def test_this_python_and_its_packages_are_fine() -> None:
    assert check_python().ok
    check = check_packages()
    assert check.ok, check.found
    assert "pyspark 4.2.0, delta-spark 4.4.0, mlflow 3.17.2" in check.found


def test_packages_that_do_not_fit_each_other_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = machine.version  # type: ignore[attr-defined]  # its import
    monkeypatch.setattr(machine, "version", lambda name: "3.0.1" if name == "pandas" else real(name))
    check = check_packages()
    assert "pandas 3.0.1, wanted <3 by streamscore" in check.found and check.fix.endswith("setup")


def test_jars_are_held_against_their_digests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "PACKAGED", tmp_path / "conf")
    monkeypatch.setattr(machine, "project_jars", lambda **_: sorted((tmp_path / ".jars").glob("*.jar")))
    for folder in ("conf/jars", ".jars"):
        (tmp_path / folder).mkdir(parents=True)
    digest = hashlib.sha256(b"jar").hexdigest()
    (tmp_path / "conf/jars/SHA256SUMS").write_text(f"{digest}  delta.jar\n")
    (tmp_path / ".jars/other.jar").touch()
    assert "no delta.jar" in check_jars().found
    (tmp_path / ".jars/delta.jar").write_bytes(b"half a jar")
    assert "another file" in check_jars().found and check_jars().fix.startswith("rm -r")
    (tmp_path / ".jars/delta.jar").write_bytes(b"jar")
    assert check_jars().ok


# --- model


def test_a_registry_that_is_not_there_yet_is_not_made_by_looking(tmp_path: Path) -> None:
    settings = Settings(registry={"tracking_uri": f"sqlite:///{tmp_path}/mlflow.db"})
    (check,) = check_model(FEED, settings)
    assert (check.ok, check.fix, check.exit_code) == (False, TRAIN, 4)
    assert not (tmp_path / "mlflow.db").exists()


def test_a_server_that_does_not_answer_is_told_in_bounded_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = threading.Event()
    monkeypatch.setattr(model, "_look", lambda *_: iter([answers.wait(HANG_SECONDS)]))
    (check,) = check_model(FEED, Settings(registry={"tracking_uri": "http://user:secret@localhost:5005"}), seconds=0.1)
    assert not answers.is_set()  # it was told without an answer
    answers.set()
    assert (check.name, check.ok, check.fix) == ("registry", False, "mlflow server --port 5005")
    assert "secret" not in check.found


def test_a_server_that_is_down_is_a_registry_failure() -> None:
    (check,) = check_model(FEED, Settings(registry={"tracking_uri": "http://localhost:9"}))
    assert (check.name, check.ok, check.exit_code, check.fix) == ("registry", False, 4, "mlflow server --port 9")


def test_the_promoted_version_is_held_against_the_feed(trained: Trained) -> None:
    checks = check_model(FEED, Settings(registry={"tracking_uri": trained.uri}))
    assert [check.name for check in checks if check.ok] == ["registry", "model", "contract", "safety"]
    assert "wine_quality v" in checks[1].found and "predicts double" in checks[2].found
    assert re.search(r"may be loaded, and has a manifest of its \d+ files", checks[3].found)


def test_a_version_that_may_not_be_loaded_is_a_failure(trained: Trained) -> None:
    only_code = {"formats": ("code",)}
    safety = check_model(FEED, Settings(models=only_code, registry={"tracking_uri": trained.uri}))[-1]
    assert (safety.name, safety.ok, safety.exit_code, safety.fix) == (
        "safety",
        False,
        3,
        "write into conf/PROFILE.yaml: models: {formats: [code, skops]}",
    )
    assert "stored as 'skops', the setting models.formats allows code" in safety.found


def test_a_version_without_manifest_is_a_failure_where_one_is_required(trained: Trained) -> None:
    run_id = trained.registry.resolve("models:/wine_quality/1").run_id
    of_a_run: dict[str, Any] = {"model_uri": f"runs:/{run_id}/model", "registry": {"tracking_uri": trained.uri}}
    safety = check_model(FEED, Settings(**of_a_run))[-1]
    assert (safety.name, safety.ok, safety.exit_code) == ("safety", False, 3)
    assert check_model(FEED, Settings(**of_a_run, models={"manifest": "warn"}))[-1].found.endswith(
        "may be loaded, and has no manifest of its files"
    )


@pytest.mark.parametrize("name", ["wine_quality", "none"])
def test_a_version_that_is_not_there_is_a_failure_of_a_registry_that_answers(trained: Trained, name: str) -> None:
    registry, wanted = check_model(
        FEED, Settings(model_uri=f"models:/{name}/Staging", registry={"tracking_uri": trained.uri})
    )
    newest = trained.registry.versions("wine_quality")[0].version
    fix = TRAIN if name == "none" else f"streamscore promote wine_quality {newest}"
    assert registry.ok and not wanted.ok
    assert (wanted.name, wanted.fix, wanted.exit_code) == ("model", fix, 4)


def test_a_model_that_does_not_fit_the_feed_is_a_failure(trained: Trained) -> None:
    columns = [c.model_copy(update={"type": "string"}) if c.name == "pH" else c for c in FEED.columns]
    other = FEED.model_copy(update={"columns": tuple(columns)})
    contract = check_model(other, Settings(registry={"tracking_uri": trained.uri}))[2]
    assert (contract.name, contract.ok, contract.exit_code, contract.fix) == ("contract", False, 3, TRAIN)
    assert "'pH' is string in the feed and double in the model" in contract.found


@pytest.mark.parametrize(
    ("routes", "says"),
    [
        ("default: wine_quality", [("routes", 0), ("registry", 0), ("models", 0)]),
        ("{keys: {a: none}, default: wine_quality}", [("routes", 0), ("registry", 0), ("model", 0), ("models", 0)]),
        ("keys: {a: none}", [("routes", 0), ("registry", 0), ("model", 4), ("models", 0)]),
        ("keys: {a: null}", [("routes", 2)]),
        ("kees: {}", [("routes", 2)]),
    ],
)
def test_the_routes_of_a_routed_feed_are_looked_at_with_their_models(
    trained: Trained, tmp_path: Path, routes: str, says: list[tuple[str, int]]
) -> None:
    (tmp_path / "routes.yaml").write_text(routes)
    columns = [*FEED.columns, Column(name="customer", type="string", role="key")]
    routed = FEED.model_copy(update={"columns": tuple(columns), "routing": RowRouting(column="customer")})
    settings = Settings(routing={"routes": str(tmp_path / "routes.yaml")}, registry={"tracking_uri": trained.uri})
    checks = check_model(routed, settings)
    assert [(check.name, check.exit_code) for check in checks] == says
    if "default" in routes:
        assert checks[-1].ok and checks[-1].found == f"1 of {1 + ('none' in routes)} models of the routes can be used"


# --- storage


def test_what_is_not_there_yet_is_fine_and_stays_so(places: Local) -> None:
    assert [check.name for check in checked(places).values() if not check.ok] == []
    assert not places.landing.exists() and not places.tables.exists() and not places.checkpoint.exists()


def test_nothing_is_left_behind_by_looking(places: Local) -> None:
    places.landing.mkdir()
    write_deltalake(places.tables / "quarantine", pa.table({"a": [1]}))
    (places.checkpoint).mkdir()
    before = sorted(places.landing.parent.rglob("*"))
    places.check()
    assert sorted(places.landing.parent.rglob("*")) == before


def test_a_file_in_the_place_of_the_landing_folder_is_a_failure(places: Local) -> None:
    places.landing.write_text("")
    check = checked(places)["landing"]
    assert (check.ok, check.exit_code) == (False, 5)
    assert check.fix == f"mv {places.landing} {places.landing}.old"


def test_entries_that_are_passed_over_are_no_failure(places: Local) -> None:
    places.landing.mkdir()
    (places.landing / "passwd.csv").symlink_to("/etc/passwd")
    os.mkfifo(places.landing / "p.csv")
    (places.landing / "a.csv").write_text("x")
    check = checked(places)["landing"]
    assert check.ok and ", 1 files; 2 entries are passed over, such as" in check.found


def test_a_landing_folder_that_somebody_named_has_to_be_there(places: Local) -> None:
    paths = StreamPaths(
        LocalFolder(places.landing), str(places.tables), LocalFolder(places.checkpoint), places.landing.parent
    )
    check = check_landing(replace(paths, names_landing=True))
    assert (check.ok, check.fix) == (False, f"mkdir -p {places.landing}")
    assert check_landing(paths).ok


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_landing_folder_that_cannot_be_written_is_a_failure(places: Local) -> None:
    places.landing.mkdir(mode=0o500)
    assert checked(places)["landing"].fix == f"chmod u+rwx {places.landing}"


def test_a_folder_that_refuses_writing_is_a_failure(places: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: Any) -> None:
        raise PermissionError(13, "Permission denied", folder.uri)

    places.landing.mkdir()
    monkeypatch.setattr(storage, "_write_probe", refuse)
    checks = checked(places)
    assert checks["landing"].fix == f"chmod u+rwx {places.landing}"
    assert not checks["tables"].ok and checks["tables"].exit_code == 5


def test_too_few_watches_are_a_warning_with_a_larger_limit(places: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage.INotify, "add_watch", full)  # type: ignore[attr-defined]  # its import
    check = checked(places)["inotify"]
    assert (check.ok, check.exit_code) == (False, 0)
    assert check.fix.startswith("sudo sysctl -w fs.inotify.max_user_watches=")


def test_a_damaged_table_is_named(places: Local) -> None:
    write_deltalake(places.tables / "batches", pa.table({"a": [1]}))
    entry = places.tables / "batches" / "_delta_log" / f"{0:020}.json"
    fixes = {"{": "streamscore run wine_quality --recover"}
    fixes |= {"{}": f"mv {places.tables / 'batches'} {places.tables / 'batches.damaged'}"}
    for text, fix in fixes.items():
        entry.write_text(text)
        check = checked(places)["tables"]
        assert not check.ok and str(places.tables / "batches") in check.found
        assert check.fix == fix


def test_a_file_system_without_put_if_absent_is_a_failure(places: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", lambda *_: None)
    assert checked(places)["commits"].exit_code == 5

    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    assert "no hard links" in checked(places)["commits"].found


def checkpoint(places: Local, feed: str = "wine_quality", landing: Any = None, app_id: str = "app") -> None:
    places.checkpoint.mkdir(exist_ok=True)
    identity = {"app_id": app_id, "feed": feed, "landing": landing or places.landing.as_uri()}
    (places.checkpoint / "streamscore.json").write_text(json.dumps(identity))


def test_a_checkpoint_of_this_feed_that_the_tables_know_is_fine(places: Local) -> None:
    checkpoint(places)
    assert checked(places)["checkpoint"].ok
    write_deltalake(places.tables / "predictions", pa.table({"a": [1]}))
    known = {"streamscore.app_id": "app"}
    DeltaTable(places.tables / "predictions").alter.set_table_properties(known, raise_if_not_exists=False)
    assert checked(places)["checkpoint"].ok
    checkpoint(places, app_id="recovered")
    known = {"streamscore.app_id": "app,recovered"}
    DeltaTable(places.tables / "predictions").alter.set_table_properties(known, raise_if_not_exists=False)
    assert checked(places)["checkpoint"].ok


@pytest.mark.parametrize("other", [{"feed": "wine_quality_text"}, {"landing": "file:///elsewhere"}])
def test_a_checkpoint_of_another_feed_or_landing_folder_is_a_failure(places: Local, other: dict[str, str]) -> None:
    checkpoint(places, **other)
    check = checked(places)["checkpoint"]
    assert check.exit_code == 5 and "belongs to" in check.found
    assert check.fix == f"streamscore run wine_quality --checkpoint {places.checkpoint}.wine_quality"


def test_tables_with_rows_want_the_checkpoint_that_wrote_them(places: Local) -> None:
    write_deltalake(places.tables / "predictions", pa.table({"a": [1]}))
    assert checked(places)["checkpoint"].fix == RECOVER
    checkpoint(places)
    assert checked(places)["checkpoint"].fix == RECOVER


def test_a_checkpoint_that_lost_its_identity_is_a_failure(places: Local) -> None:
    (places.checkpoint / "offsets").mkdir(parents=True)
    (places.checkpoint / "offsets" / "0").touch()
    assert checked(places)["checkpoint"].fix == RECOVER
    (places.checkpoint / "streamscore.json").write_text('{"app_id"')
    assert "is damaged" in checked(places)["checkpoint"].found


def test_a_checkpoint_that_lost_files_is_a_failure(places: Local) -> None:
    checkpoint(places)
    (places.checkpoint / "commits").mkdir()
    (places.checkpoint / "commits" / "3").touch()
    commit = CommitProperties(app_transactions=[Transaction("app", 3)])
    write_deltalake(places.tables / "predictions", pa.table({"a": [1]}), commit_properties=commit)
    check = checked(places)["checkpoint"]
    assert (check.ok, check.exit_code, check.fix) == (False, 5, RECOVER)
    assert "is not whole: metadata is missing" in check.found


def test_a_full_disk_is_a_failure(places: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = storage.shutil.disk_usage(places.landing.parent)._replace(free=2**29)  # type: ignore[attr-defined]  # its import
    monkeypatch.setattr(storage.shutil, "disk_usage", lambda _: usage)  # type: ignore[attr-defined]  # its import
    check = checked(places)["disk"]
    assert check.exit_code == 5 and "0.5 GiB free" in check.found


def test_files_of_the_future_are_a_warning(places: Local) -> None:
    places.landing.mkdir()
    path = places.landing / "a.csv"
    path.touch()
    assert checked(places)["clock"].ok
    os.utime(path, (time.time() + 3600,) * 2)
    check = checked(places)["clock"]
    assert (check.ok, check.exit_code) == (False, 0) and str(path) in check.found


# --- shown


def test_a_line_a_check_and_under_a_failure_its_fix() -> None:
    console: Any = Console(file=io.StringIO(), width=40)
    failed = Check("landing", False, "[no] folder " + "x" * 60, "mkdir -p " + "y" * 60, 5)
    code = show([Check("java", True, "17"), failed, Check("model", False, "none", "train", 4)], console)
    assert code == 5
    assert console.file.getvalue().splitlines()[:3] == [
        "ok    java     17",
        f"FAIL  landing  {failed.found}",
        f"          fix: {failed.fix}",
    ]


def test_warnings_do_not_fail() -> None:
    console: Any = Console(file=io.StringIO())
    assert show([Check("java", True, "17"), Check("clock", False, "wrong", "set it")], console) == 0
    assert "warn  clock" in console.file.getvalue()


def test_everything_is_examined_and_every_failure_has_one_fix(tmp_path: Path) -> None:
    settings = Settings(
        landing=str(tmp_path / "in"),
        tables={"path": str(tmp_path / "tables")},
        checkpoint=str(tmp_path / "checkpoint"),
        registry={"tracking_uri": f"sqlite:///{tmp_path}/mlflow.db"},
    )
    checks = examine(FEED, settings)
    machine = "java python packages jars spark files memory temporary"
    stream = "registry landing inotify tables commits checkpoint disk clock service keys spool"
    assert [check.name for check in checks] == f"{machine} {stream}".split()
    assert all(bool(check.fix) != check.ok and "\n" not in check.fix for check in checks)
