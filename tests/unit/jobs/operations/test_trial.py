"""What `promote` tries before a version is in Production."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jobs.operations import trial as trial_module
from jobs.operations.trial import Trial, not_followed, not_routed, try_version
from schemas.errors import ContractError
from schemas.feed import Feed
from schemas.settings import Routing
from streamscore.registry.model_version import ModelVersion

VERSION = ModelVersion("small", "7", "run-1")
PAIR = pd.DataFrame({"a": [1.0, 2.0], "b": [1.0, 2.0]})


def tried(path: Path, feed: Feed) -> tuple[str, list[str]]:
    found = json.loads(try_version(feed, json.dumps([str(path), "small", "7", "run-1"])))
    return found["refused"], found["notes"]


def test_a_version_that_the_stream_takes_is_not_refused(save_model: Callable[..., Path], small_feed: Feed) -> None:
    assert tried(save_model("return model_input['a']", np.ones(1)), small_feed) == ("", [])
    assert tried(save_model("return model_input['a']", np.ones(1), example=False), small_feed) == ("", [])


def test_a_row_of_the_example_without_a_prediction_is_told(save_model: Callable[..., Path], small_feed: Feed) -> None:
    path = save_model("return model_input['a'].where(model_input['a'] < 2)", np.ones(2), inputs=PAIR)
    refused, (note,) = tried(path, small_feed)
    assert not refused
    assert note.startswith("the stream has no prediction for 1 of 2 rows of its example: bad_prediction, found None")


def test_a_version_that_predicts_no_row_of_its_example_is_refused(
    save_model: Callable[..., Path], small_feed: Feed
) -> None:
    refused, _ = tried(save_model("return model_input['a'] * np.nan", np.ones(1)), small_feed)
    assert refused.startswith("model small v7 predicts no row of its example in the stream of feed small: bad_predict")


def test_what_a_fresh_process_says_of_a_version_is_raised(
    save_model: Callable[..., Path], small_feed: Feed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("schemas").mkdir()
    Path("schemas/small.yaml").write_text(json.dumps(small_feed.model_dump(mode="json", exclude_defaults=True)))
    path = save_model("return model_input['a'] / 4", pd.Series([1], name="y"))
    with (
        Trial(small_feed, None) as trial,
        pytest.raises(ContractError, match="small v7 cannot predict its example for"),
    ):
        trial(path, VERSION)


@pytest.mark.parametrize(
    ("end", "says"),
    [
        ("sys.exit(7)", "ended with 7; try it"),
        ("os.kill(os.getpid(), 9)", "was killed by signal 9; try it"),
        ("print('streamscore: no space', file=sys.stderr); sys.exit(5)", "ended with 5: no space; try it"),
    ],
)
def test_a_version_that_ends_its_process_is_refused(
    small_feed: Feed, monkeypatch: pytest.MonkeyPatch, end: str, says: str
) -> None:
    monkeypatch.setattr(trial_module, "COMMAND", ("-c", f"import os, sys; print('noise', file=sys.stderr); {end}"))
    with Trial(small_feed, None) as trial, pytest.raises(ContractError, match=f"the process that tried it {says}"):
        trial(Path("model"), VERSION)


@pytest.mark.parametrize("uri", ["", "models:/small@production", "models:/small/PRODUCTION"])
def test_a_stream_that_follows_promotions_needs_no_note(small_feed: Feed, uri: str) -> None:
    assert not_followed(small_feed.model_copy(update={"model": uri}).model_uri, "small", small_feed) == []


@pytest.mark.parametrize(
    "uri", ["models:/small@champion", "models:/small/3", "models:/other@production", "store:/small/^1", "runs:/r/small"]
)
def test_a_stream_that_follows_something_else_is_told(small_feed: Feed, uri: str) -> None:
    (note,) = not_followed(uri, "small", small_feed)
    assert note.startswith(f"feed small follows {uri}, which this does not change; ")
    assert note.endswith("write into schemas/small.yaml: model: models:/small@production")


@pytest.mark.parametrize(
    ("routes", "notes"),
    [
        ("keys: {ann: small}", 0),
        ("patterns: {a*: {model: other, canary: {model: 'models:/small/Production', percent: 5}}}", 0),
        ("default: models:/small/3", 1),
        ("keys: 3", 1),
    ],
)
def test_a_routed_feed_is_told_where_no_route_leads_to_what_is_promoted(
    small_feed: Feed, tmp_path: Path, routes: str, notes: int
) -> None:
    (tmp_path / "routes.yaml").write_text(routes)
    assert len(not_routed(Routing(routes=str(tmp_path / "routes.yaml")), "small", small_feed)) == notes
