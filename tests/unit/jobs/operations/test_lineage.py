import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from rich.console import Console

from jobs.cli import main
from jobs.operations.lineage import show_lineage, trace
from jobs.operations.models import show_models
from schemas.errors import RegistryError, SettingsError
from schemas.feed import Feed
from schemas.settings import Settings
from schemas.tables import QUARANTINE_SCHEMA, predictions_schema
from streamscore.registry.provenance import feed_digest
from streamscore.registry.registry import Registry
from tests.support.present import present
from tests.support.register_kit import HOMES, REJECTED, a_candidate, registry_in
from training.registration.register import register

pytestmark = pytest.mark.trains

SOON = datetime.now(UTC) + timedelta(hours=1)  # after every promotion of these tests


@pytest.fixture(scope="module")
def promoted(homes: Feed, homes_registry: Registry) -> Any:
    """Version 1 is in Production, by ada; the second of these versions was rejected and promoted all the same."""
    rejected = register(homes, a_candidate(homes, REJECTED), homes_registry).version
    homes_registry.promote("homes", "2", homes, by="bob")
    homes_registry.promote("homes", "1", homes, by="ada")
    return rejected


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        landing=str(tmp_path / "in"), tables={"path": str(tmp_path / "tables")}, checkpoint=str(tmp_path / "checkpoint")
    )


def write(settings: Settings, table: str, schema: pa.Schema, *rows: Any) -> None:
    filled = [dict.fromkeys(schema.names) | row for row in rows]
    write_deltalake(f"{settings.tables.path}/{table}", pa.Table.from_pylist(filled, schema=schema), mode="append")


@pytest.fixture
def predict(settings: Settings, homes: Feed) -> Callable[..., None]:
    """A row of predictions; what is not given is of version 1."""

    def add(file: str = "a.csv", line: int = 2, prediction: float = 7.5, of_type: Any = None, **more: Any) -> None:
        values = {
            "prediction": prediction,
            "model_name": "homes",
            "model_version": "1",
            "model_run_id": "run-1",
            "batch_id": 3,
            "source_file": file,
            "source_line": line,
            "landed_at": SOON,
            "predicted_at": SOON,
        }
        write(settings, "predictions", predictions_schema(homes, of_type or pa.float64()), values | more)

    return add


@pytest.fixture
def reject(settings: Settings) -> Callable[..., None]:
    def add(file: str = "a.csv", line: int = 3, **more: Any) -> None:
        values = {"source_file": file, "source_line": line, "reason": "bad_type", "column": "size"}
        write(
            settings, "quarantine", QUARANTINE_SCHEMA, values | {"detail": "found 'x'", "quarantined_at": SOON} | more
        )

    return add


def shown(lineage: Any, as_json: bool = False) -> str:
    console: Any = Console(file=io.StringIO(), width=300)
    show_lineage(lineage, console, as_json)
    return console.file.getvalue()


def test_a_prediction_is_told_back_to_its_data(
    promoted: Any, homes: Feed, homes_registry: Registry, settings: Settings, predict: Callable[..., None]
) -> None:
    predict("a b'c.csv")
    found = trace(homes, settings, homes_registry, "a b'c.csv", 2)
    made, row = present(found.made_of), present(found.row)
    gate, promotion = present(made.gate), present(made.promoted)
    assert (row["prediction"], row["model_version"], row["batch_id"]) == (7.5, "1", 3)
    assert (made.data_source, made.data_digest, made.data_rows) == ("homes.csv", "d" * 64, 20)
    assert made.split["training"]["rows"] == 16
    assert made.feed_digest == found.feed_digest == feed_digest(homes)
    assert (gate.verdict, [check["name"] for check in gate.checks]) == ("passed", ["absolute rmse"])
    assert (promotion.by, promotion.previous) == ("ada", "2")
    text = shown(found)
    assert present(made.code_version) in text
    for said in ("7.5", "homes v1, run run-1", "20 rows, sha256 " + "d" * 64, "training 16 rows"):
        assert said in text
    assert "the same now" in text
    assert "ok   rmse is 0.1, wanted at most 0.2" in text
    assert "by ada at" in text
    told = json.loads(shown(found, as_json=True))
    assert (told["row"]["prediction"], told["made_of"]["promoted"]["by"]) == (7.5, "ada")


def test_the_promotion_is_the_last_before_the_row_was_predicted(
    promoted: Any, homes: Feed, homes_registry: Registry, settings: Settings, predict: Callable[..., None]
) -> None:
    first = next(done for done in reversed(homes_registry.history("homes")) if done.by == "bob")
    homes_registry.promote("homes", "2", homes, by="carl")
    predict(model_version="2", predicted_at=first.at + timedelta(milliseconds=1))
    predict(model_version="2", line=3)
    for line, by in ((2, "bob"), (3, "carl")):
        made = present(trace(homes, settings, homes_registry, "a.csv", line).made_of)
        assert present(made.promoted).by == by


def test_a_feed_that_was_changed_since_is_told(
    promoted: Any, homes: Feed, homes_registry: Registry, settings: Settings, predict: Callable[..., None]
) -> None:
    predict()
    now = homes.model_copy(update={"model": "models:/homes@candidate"})
    found = trace(now, settings, homes_registry, "a.csv", 2)
    assert present(found.made_of).feed_digest != found.feed_digest
    assert "the feed was changed since" in shown(found)


def test_a_rejected_version_that_predicts_is_told_with_the_reasons(
    promoted: Any, homes: Feed, homes_registry: Registry, settings: Settings, predict: Callable[..., None]
) -> None:
    predict(model_version=promoted)
    found = trace(homes, settings, homes_registry, "a.csv", 2)
    made = present(found.made_of)
    gate = present(made.gate)
    assert (gate.verdict, gate.reasons) == ("rejected", ("rmse is 0.3, wanted at most 0.2",))
    assert made.promoted is None
    assert "FAIL rmse is 0.3" in shown(found)


def test_what_another_tool_registered_says_what_is_not_recorded(
    homes: Feed, homes_registry: Registry, settings: Settings, predict: Callable[..., None]
) -> None:
    ref = homes_registry.resolve("models:/homes/1")
    predict(model_version=homes_registry.add_version("homes", ref.source.removeprefix("models:/"), ref.run_id, {}))
    predict(model_version="run-9", model_name="model", line=3)  # of runs:/run-9/model
    for line in (2, 3):
        found = trace(homes, settings, homes_registry, "a.csv", line)
        assert shown(found).count("not recorded") == 6


def test_a_struct_of_labels_and_probabilities_is_shown_whole(
    promoted: Any, homes: Feed, homes_registry: Registry, settings: Settings, predict: Callable[..., None]
) -> None:
    kind = pa.struct([("label", pa.string()), ("p", pa.float64())])
    predict(prediction={"label": "x", "p": 0.25}, of_type=kind)
    found = trace(homes, settings, homes_registry, "a.csv", 2)
    assert present(found.row)["prediction"] == {"label": "x", "p": 0.25}
    assert json.loads(found.to_json())["row"]["prediction"]["p"] == 0.25


def test_a_row_in_quarantine_is_told_with_its_reason(
    homes: Feed, homes_registry: Registry, settings: Settings, predict: Callable[..., None], reject: Callable[..., None]
) -> None:
    predict()
    reject()
    reject("whole.csv", None, reason="missing_column", column="kind", detail="found size")
    found = trace(homes, settings, homes_registry, "a.csv", 3)
    assert found.row is None
    assert "bad_type size found 'x'" in shown(found)
    assert json.loads(found.to_json())["reject"]["reason"] == "bad_type"
    assert present(trace(homes, settings, homes_registry, "whole.csv", 17).reject)["reason"] == "missing_column"
    assert trace(homes, settings, homes_registry, "a.csv", 2).row is not None


def test_a_row_that_is_nowhere_is_refused_with_what_is_near(
    homes: Feed, homes_registry: Registry, settings: Settings, predict: Callable[..., None]
) -> None:
    with pytest.raises(SettingsError, match="files like it: none"):
        trace(homes, settings, homes_registry, "a.csv", 2)
    predict("2026/monday.csv")
    predict("2026/monday.csv", line=9)
    with pytest.raises(SettingsError, match=r"no row for line 3 of '2026/monday.csv'.*on lines 2 to 9") as caught:
        trace(homes, settings, homes_registry, "2026/monday.csv", 3)
    assert caught.value.exit_code == 2
    with pytest.raises(SettingsError, match=r"files like it: 2026/monday\.csv; "):
        trace(homes, settings, homes_registry, "monday.csv", 2)


def test_with_the_registry_down_the_tables_still_tell(
    homes: Feed, settings: Settings, predict: Callable[..., None], tmp_path: Path
) -> None:
    predict()
    found = trace(homes, settings, registry_in(tmp_path / "no"), "a.csv", 2)
    assert isinstance(found.trouble, RegistryError)
    assert "homes v1, run run-1" in shown(found)
    assert "the registry does not tell" in shown(found)
    assert "no folder" in json.loads(found.to_json())["trouble"]


def test_the_command_prints_what_the_tables_know_and_ends_with_4(
    settings: Settings,
    predict: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    predict()
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "homes.yaml").write_text(HOMES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STREAMSCORE_REGISTRY__TRACKING_URI", f"sqlite:///{tmp_path}/no/mlflow.db")
    with pytest.raises(SystemExit) as ended:
        main(["lineage", "homes", "--file", "a.csv", "--line", "2", "--tables", settings.tables.path])
    said = capsys.readouterr()
    assert ended.value.code == 4
    assert "homes v1, run run-1" in said.out
    assert "no folder" in said.err and "\n" not in said.err.strip()


@pytest.mark.parametrize("given", [["homes"], ["homes", "1", "--rollback"]])
def test_promote_wants_a_version_or_the_way_back(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["promote", *given])
    assert ended.value.code == 2
    assert "wanted either a version or --rollback" in capsys.readouterr().err


def test_models_lists_versions_and_history(promoted: Any, homes_registry: Registry) -> None:
    console: Any = Console(file=io.StringIO(), width=200)
    history = homes_registry.history("homes")
    show_models(homes_registry.versions("homes"), history, console)
    text = console.file.getvalue()
    assert "rmse 0.1000" in text and "rejected" in text
    assert text.index("history") < text.index("v1", text.index("history"))
    newest_first = [line for line in text[text.index("history") :].splitlines() if " promoted " in line]
    assert len(newest_first) == len(history)
    assert history[-1].by in newest_first[0]
