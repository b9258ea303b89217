"""One run and one logged model for one training, whatever becomes of MLflow's answers."""

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from streamscore.registry.registry import Registry
from streamscore.registry.repeat import created, delete_others, repeated

ATTEMPT = "streamscore.attempt"  # tag of a run: unique to one training, which knows its own run again by it


@contextmanager
def one_run(registry: Registry, experiment: str, name: str, tags: Mapping[str, str], mlflow: Any) -> Iterator[str]:
    """The id of a new run, active within it and ended after it; failed where something is raised.

    MLflow may carry out a request for a run twice, the second time while the training goes on: at the end only this run
    is there.
    """
    from mlflow.tracking.context.registry import resolve_tags

    attempt = uuid.uuid4().hex
    wanted = resolve_tags({**tags, ATTEMPT: attempt})
    with registry.connection.reaching() as client:

        def create() -> str:
            return str(client.create_run(experiment, tags=wanted, run_name=name).info.run_id)

        def there() -> list[str]:
            found = client.search_runs([experiment], f"tags.`{ATTEMPT}` = '{attempt}'", order_by=["start_time ASC"])
            return [str(run.info.run_id) for run in found]

        run_id = created(create, there)
        with repeated(lambda: mlflow.start_run(run_id=run_id)):
            yield run_id
        delete_others(run_id, there, client.delete_run)


def log_once(registry: Registry, experiment: str, run_id: str, log: Callable[[], Any]) -> str:
    """The id of the model that `log` logs to the active run, which has no other one then."""
    with registry.connection.reaching() as client:
        model_id = str(repeated(log).model_id)

        def there() -> list[str]:
            found = client.search_logged_models([experiment], filter_string=f"source_run_id = '{run_id}'")
            return [str(model.model_id) for model in found]

        delete_others(model_id, there, client.delete_logged_model)
        return model_id
