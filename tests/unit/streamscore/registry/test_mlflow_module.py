"""MLflow's errors in one line."""

from streamscore.registry.mlflow_module import LENGTH, root_cause


def test_what_the_system_said_comes_before_pages_of_mlflows_words() -> None:
    said = f"The following failures occurred: {'x' * LENGTH}\n[Errno 28] No space left on device: '/a' ##### File b"
    assert root_cause(RuntimeError(said)) == "[Errno 28] No space left on device: '/a'"
    assert root_cause(RuntimeError("a\nshort one")) == "a short one"


def test_no_password_is_in_it() -> None:
    assert root_cause(RuntimeError("no http://a:b@c/d@host:1")) == "no http://a:…@host:1"
