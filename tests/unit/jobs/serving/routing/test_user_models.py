"""A user → the model that answers, with repositories that are a few lines each."""

import asyncio
from contextvars import copy_context
from typing import Any, cast

import pytest
from starlette.requests import Request

from jobs.serving.access.keys import Keys
from jobs.serving.access.new_key import new_key
from jobs.serving.requests.problems import RequestError
from jobs.serving.routing.repositories import Model
from jobs.serving.routing.user_models import UserModels
from streamscore.routing.routes import table_of

SAID = {
    "keys": {"alice": "wine", "bob": "store:/beer/^1", "mallory": None, "eve": "models:/water/7"},
    "patterns": {
        "trial-*": {"model": "wine", "canary": {"model": "models:/beer/3", "percent": 100}},
        "eu-*": "models:/wine@production",
    },
}


class Models:
    """Gives the URI that it was asked for as the model."""

    async def get(self, uri: str) -> Model:
        if uri.endswith("/7"):
            raise RequestError(404, "no such version")
        return cast("Model", uri)


USERS = UserModels(table_of(SAID, "routes"), Models(), lambda name: f"models:/{name}@production")


def answered(user: str, key: str = "", entry: Any = None) -> Any:
    """The URI of the model that answers a user, or the status of the refusal."""

    def inside() -> Any:
        Keys((entry,) if entry else ()).let_in(Request({"type": "http", "headers": [(b"x-api-key", key.encode())]}))
        try:
            return asyncio.run(USERS.get(user))
        except RequestError as error:
            return error.status

    return copy_context().run(inside)


@pytest.mark.parametrize(
    ("user", "found"),
    [
        ("alice", "models:/wine@production"),
        ("bob", "store:/beer/^1"),
        ("eu-7", "models:/wine@production"),
        ("mallory", 403),
        ("nobody", 404),
        ("eve", 404),
        ("", 404),
        ("eu-" + "x" * 300, 404),
        ("eu-\n", 404),
    ],
)
def test_a_user_is_answered_by_the_model_of_the_route(user: str, found: Any) -> None:
    assert answered(user) == found


def test_the_key_of_the_caller_has_to_be_for_user_and_model() -> None:
    wine = new_key("wine", ("wine",), ("alice", "bob"))
    assert answered("alice", *wine) == "models:/wine@production"
    assert answered("bob", *wine) == 403  # its model is beer
    assert answered("eu-1", *wine) == 403
    assert answered("nobody", *wine) == 403  # it does not learn who is known


def test_a_candidate_answers_only_who_may_ask_it() -> None:
    assert answered("trial-1") == "models:/beer/3"
    assert answered("trial-1", *new_key("both", ("wine", "beer"))) == "models:/beer/3"
    assert answered("trial-1", *new_key("wine", ("wine",))) == "models:/wine@production"
    assert answered("trial-1", *new_key("beer", ("beer",))) == 403
