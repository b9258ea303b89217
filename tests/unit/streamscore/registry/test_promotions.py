import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import GateError, RegistryError
from schemas.feed import Feed, load_feed
from streamscore.registry.promotions import PROMOTION, Promotion, promotions, version_before
from streamscore.registry.registry import ALIAS, PROMOTED_BY, STAGE, Registry

pytestmark = [pytest.mark.trains, pytest.mark.filterwarnings("ignore::FutureWarning")]  # stages are deprecated

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def done(previous: Any, version: str, rollback: bool = False, minute: int = 0) -> Promotion:
    return Promotion("homes", version, previous, "ada", NOON + timedelta(minutes=minute), rollback)


@pytest.fixture
def registry(homes_registry: Registry) -> Registry:
    """With nothing in Production and no history."""
    with homes_registry.connection.reaching() as client:
        for tag in client.get_registered_model("homes").tags:
            client.delete_registered_model_tag("homes", tag)
        client.delete_registered_model_alias("homes", ALIAS)
        for version in "1234":
            client.transition_model_version_stage("homes", version, "None")
    return homes_registry


def state(registry: Registry) -> tuple[Any, ...]:
    """The versions that have the alias, and those that have the stage."""
    found = registry.versions("homes")
    return [v.version for v in found if ALIAS in v.aliases], [v.version for v in found if v.stage == STAGE]


def test_a_promotion_is_read_back_from_its_tag_as_it_was() -> None:
    for one in (done(None, "1"), done("1", "2", rollback=True)):
        assert promotions("homes", dict([one.to_tag()])) == [one]


def test_promotions_come_in_the_order_of_their_times_and_what_is_no_promotion_is_passed_over() -> None:
    made = [done(None, "1"), done("1", "2", minute=1), done("2", "3", minute=11)]
    tags = dict(one.to_tag() for one in reversed(made)) | {"owner": "ada", PROMOTION + "x": "{}", PROMOTION: "["}
    assert promotions("homes", tags) == made


def test_two_promotions_in_the_same_moment_are_both_kept() -> None:
    assert len(dict(done("1", "2").to_tag() for _ in range(20))) == 20


@given(st.lists(st.sampled_from("1234"), min_size=1, max_size=8))
def test_rolling_back_again_and_again_leads_to_the_first_version_by_the_way_it_came(versions: Any) -> None:
    way = [v for i, v in enumerate(versions) if i == 0 or versions[i - 1] != v]
    history = [done(before, after) for before, after in zip([None, *versions], versions, strict=False)]
    current, back = versions[-1], []
    while (before := version_before(history, current, set("1234"))) is not None:
        history.append(done(current, before, rollback=True))
        back.append(before)
        current = before
    assert back == way[:-1][::-1]


def test_a_version_that_was_promoted_after_a_rollback_is_followed_by_what_was_there_then() -> None:
    history = [done(None, "1"), done("1", "2"), done("2", "1", rollback=True), done("1", "3")]
    assert version_before(history, "3", set("123")) == "1"


def test_what_another_tool_promoted_is_part_of_the_way() -> None:
    assert version_before([], "2", {"1", "2"}) is None
    assert version_before([done(None, "1")], "2", {"1", "2"}) == "1"
    assert version_before([done(None, "1"), done("3", "2")], "2", {"1", "2", "3"}) == "3"


def test_a_version_that_was_deleted_is_passed_over() -> None:
    assert version_before([done(None, "1"), done("1", "2"), done("2", "3")], "3", {"1", "3"}) == "1"


def test_rolling_back_sets_alias_and_stage_and_keeps_who_and_when(registry: Registry, homes: Feed) -> None:
    for version in "123":
        registry.promote("homes", version, homes, by="ada")
    back = registry.rollback("homes", homes, by="bob")
    assert (back.version, back.previous, back.by, back.rollback) == ("2", "3", "bob", True)
    assert state(registry) == (["2"], ["2"])
    assert registry.resolve("models:/homes/2").tags[PROMOTED_BY] == "bob"
    assert registry.rollback("homes", homes).version == "1"
    assert state(registry) == (["1"], ["1"])
    with pytest.raises(GateError, match=r"v1 is the first .* streamscore promote homes VERSION") as caught:
        registry.rollback("homes", homes)
    assert caught.value.exit_code == 3
    history = registry.history("homes")
    assert [(p.previous, p.version, p.rollback) for p in history] == [
        (None, "1", False),
        ("1", "2", False),
        ("2", "3", False),
        ("3", "2", True),
        ("2", "1", True),
    ]
    assert history[3] == back
    assert state(registry) == (["1"], ["1"])


def test_without_anything_in_production_there_is_no_way_back(registry: Registry, homes: Feed) -> None:
    with pytest.raises(GateError, match="none of its versions ever was"):
        registry.rollback("homes", homes)
    with pytest.raises(RegistryError, match="models there: 'homes'"):
        registry.rollback("nope", load_feed("wine_quality"))


def test_a_crash_before_the_history_was_written_leaves_the_way_back(registry: Registry, homes: Feed) -> None:
    registry.promote("homes", "1", homes)
    with registry.connection.reaching() as client:
        client.set_registered_model_alias("homes", ALIAS, "2")
    assert registry.rollback("homes", homes).version == "1"


def test_of_promotions_at_once_one_stands_and_the_history_has_all(
    registry: Registry, homes: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):  # what threads leave of each other's is undone
        monkeypatch.setenv(name, registry.registry_uri)
    failed, rounds = [], 3

    def promote(version: str) -> None:
        try:
            for _ in range(rounds):
                registry.promote("homes", version, homes, by=f"thread {version}")
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=promote, args=[version]) for version in "234"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    (alias,), (stage,) = state(registry)
    assert alias == stage
    made = registry.history("homes")
    assert sorted(p.by for p in made) == sorted(f"thread {v}" for v in "234" * rounds)
