"""A routing key → its route."""

import fnmatch
import timeit
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import SettingsError
from streamscore.routing.routes import RouteTable, Shadow, Trial, table_of

BOB = {"model": "store:/wine/^1", "canary": {"model": "store:/wine/^2", "percent": 5.0}}
SAID: dict[str, Any] = {
    "keys": {"alice": "wine_quality", "mallory": None, "bob": BOB},
    "patterns": {"eu-[0-9]*": "models:/wine_eu@production", "eu-*": "wine_rest", "*.test": None},
    "default": "models:/wine_quality/3",
}


def model_of(table: RouteTable, key: str) -> str | None:
    route = table.find(key)
    assert route is not None
    return route.model


@pytest.mark.parametrize(
    ("key", "model"),
    [
        ("alice", "wine_quality"),
        ("bob", "store:/wine/^1"),
        ("mallory", None),
        ("eu-1", "models:/wine_eu@production"),
        ("eu-x", "wine_rest"),
        ("eu-1.test", "models:/wine_eu@production"),  # the first pattern that fits
        ("a.test", None),
        ("ALICE", "models:/wine_quality/3"),  # keys have a case
        ("alice\n", "models:/wine_quality/3"),
        ("", "models:/wine_quality/3"),
    ],
)
def test_a_key_has_its_own_route_then_that_of_a_pattern_then_the_default(key: str, model: str | None) -> None:
    assert model_of(table_of(SAID, "routes"), key) == model


PATTERNS = st.lists(st.text("ab*?[]!", max_size=4), unique=True, max_size=6)


@given(PATTERNS, st.text("ab[]", max_size=4))
def test_the_first_pattern_that_fits_as_a_file_name_does_counts(patterns: list[str], key: str) -> None:
    table = table_of({"patterns": {pattern: f"m{number}" for number, pattern in enumerate(patterns)}}, "routes")
    wanted = next((f"m{n}" for n, pattern in enumerate(patterns) if fnmatch.fnmatchcase(key, pattern)), None)
    route = table.find(key)
    assert (route.model if route else None) == wanted


def test_many_patterns_cost_a_key_as_little_as_a_few() -> None:
    many = table_of({"patterns": {f"tenant-{number}-*": "m" for number in range(10_000)}}, "routes")
    few = table_of({"patterns": {f"tenant-{number}-*": "m" for number in range(10)}}, "routes")
    assert model_of(many, "tenant-9999-x") == "m"

    def seconds(table: RouteTable) -> float:
        return min(timeit.repeat(lambda: table.find("tenant-x"), number=200, repeat=5))

    assert seconds(many) < 20 * seconds(few)  # one after another, they take 1,000 times as long


def test_without_a_default_other_keys_have_no_route() -> None:
    assert table_of({"keys": {"a": "m"}}, "routes").find("b") is None
    assert table_of(None, "routes").find("b") is None


def test_a_route_keeps_its_other_keys() -> None:
    route = table_of(SAID, "routes").find("bob")
    assert route is not None and route.canary == Trial(model="store:/wine/^2", percent=5)
    assert route.to_json() == BOB


def test_a_trial_has_the_same_part_of_the_keys_at_each_time_and_more_of_them_with_more_percent() -> None:
    keys = [f"user-{number}" for number in range(10_000)]
    few = {key for key in keys if Trial(model="m", percent=5).has(key)}
    assert 400 < len(few) < 600
    assert few < {key for key in keys if Trial(model="m", percent=20).has(key)}
    assert few != {key for key in keys if Trial(model="other", percent=5).has(key)}
    assert all(Shadow(model="m").has(key) for key in keys)


def test_the_version_is_that_of_what_is_said() -> None:
    table = table_of(SAID, "routes")
    assert table.version == table_of(table.to_json(), "written again").version
    changed = SAID | {"default": "models:/wine_quality/4"}
    assert table.version != table_of(changed, "routes").version


def test_the_name_of_a_route_says_who_may_use_it() -> None:
    named = {"wine": "wine", "models:/wine@production": "wine", "store:/wine/^1": "wine", "runs:/1/m": "runs:/1/m"}
    for model, name in named.items():
        route = table_of({"default": model}, "routes").default
        assert route is not None and (route.name, route.is_name) == (name, model == "wine")


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"users": {"a": "m"}}, "unknown key 'users'"),
        ({"keys": {"a": {"modle": "m"}}}, "did you mean 'model'?"),
        ({"keys": {"a": {"canary": {}}}}, "keys.a.model"),
        ({"keys": {"a": "models:/"}}, "found 'models:/'"),
        ({"keys": {"a": "http://elsewhere/m"}}, "found 'http://elsewhere/m'"),
        ({"keys": {"a": ""}}, "wanted the name of a model"),
        ({"keys": {"a": 3}}, "keys.a"),
        ({"keys": {1001: "m"}}, "1001"),
        ({"keys": ["a"]}, "'keys'"),
        (["a"], "routes"),
    ],
)
def test_a_table_that_is_wrong_is_refused(said: Any, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        table_of(said, "conf/routes.yaml")
    assert str(caught.value).startswith("conf/routes.yaml: ")
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_key_has_its_candidate_before_its_model_by_the_hash_that_the_service_asks() -> None:
    canary = {"model": "models:/alpha/2", "percent": 30}
    table = table_of(
        {"keys": {"ann": {"model": None, "canary": canary}}, "default": {"model": "a", "canary": canary}}, "here"
    )
    route = table.default
    assert route and route.canary
    for key in map(str, range(100)):
        tried = ("models:/alpha/2",) if route.canary.has(key) else ()
        assert route.uris(key) == (*tried, "models:/a@production")
    assert table.keys["ann"].uris("ann") == ()  # who may use no model is tried with none


def test_the_models_of_a_table_are_told_once_each_those_of_most_keys_first() -> None:
    said = {"keys": {"ann": "c", "bob": "models:/a@production"}, "patterns": {"x*": "store:/b/^1"}, "default": "a"}
    table = table_of(said, "here")
    assert table.models() == ["models:/a@production", "store:/b/^1", "models:/c@production"]
    assert not table.has_shadows
    assert table_of({"default": {"model": "a", "shadow": {"model": "b"}}}, "here").has_shadows
    assert table_of({"keys": {"ann": None}}, "here").models() == []
