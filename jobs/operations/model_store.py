"""`streamscore store`: what is pushed, and the versions of a model store, told."""

import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from jobs.operations.models import METRICS
from streamscore.registry.registry import Registry
from streamscore.registry.store.model_store import ModelStore, stored_versions
from streamscore.registry.store.push import Pushed
from streamscore.registry.store.semantic import LATEST, Wanted
from streamscore.registry.store.stored_version import StoredVersion


@contextmanager
def source_of(registry: Registry, source: str, data: Path | None, keep_data: bool | None) -> Iterator[Pushed]:
    """The model that a URI or a folder is of, in a folder of its own; within the context.

    Args:
        source: a model URI, or the folder of an MLflow model.
        data: a file of training data.

    Raises:
        ContractError: a version is not as its manifest says, or may not be loaded.
        RegistryError: no such version, or no answer.
    """
    with tempfile.TemporaryDirectory() as temporary:
        if ":/" not in source:
            folder = Path(temporary, "model")
            if Path(source).is_dir():
                shutil.copytree(source, folder, symlinks=True)
            yield Pushed(folder, source, data=data, keep_data=keep_data)
            return
        ref = registry.resolve(source)
        folder = registry.download(ref, Path(temporary))
        yield Pushed(folder, ref.model.uri, ref.run_id, registry.metrics(ref), ref.tags, data, keep_data)


def show_store(store: ModelStore, name: str | None, console: Console) -> None:
    """Print the versions of a model, or the newest one of each, newest first."""
    everything = Wanted.parse(LATEST)
    if name is not None:
        console.print(_listed(stored_versions(store, name, everything)))
        return
    newest = (next(stored_versions(store, one, everything), None) for one in store.names())
    console.print(_listed(one for one in newest if one is not None))


def show_version(stored: StoredVersion, console: Console, *, as_json: bool) -> None:
    """Print all that a store knows of a version."""
    said = json.loads(stored.to_json())
    if as_json:
        print(json.dumps(said))
        return
    table = Table(show_header=False, box=None)
    for key, value in said.items():
        if key == "files":
            value = "\n".join(f"{name}, {size:,} bytes" for name, (_, size) in value.items())
        elif isinstance(value, dict):
            value = "\n".join(f"{inner}: {one}" for inner, one in value.items() if one not in ("", None))
        if key != "format" and value not in ("", None):
            table.add_row(key, str(value))
    console.print(table)


def _listed(versions: Iterable[StoredVersion]) -> Table:
    table = Table("model", "version", "pushed (UTC)", "by", "held out", "from", "training data")
    for one in versions:
        metric = next((f"{name} {one.metrics[name]:.4f}" for name in METRICS if name in one.metrics), "")
        data = f"{one.data.file} ({one.data.size:,} bytes)" if one.data.file else one.data.source
        table.add_row(
            one.name, str(one.version), f"{one.created:%Y-%m-%d %H:%M}", one.created_by, metric, one.origin, data
        )
    return table
