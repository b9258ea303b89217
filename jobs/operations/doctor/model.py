"""The registry, the model version that the feed's URI stands for now, whether it fits and may be loaded; it is not."""

import re
import shlex
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jobs.operations.doctor.result import Check
from schemas.errors import ContractError, RegistryError, StreamscoreError
from schemas.feed import Feed
from schemas.settings import Settings
from schemas.signature import assert_contract, output_type
from streamscore.registry.allow_list import assert_loadable
from streamscore.registry.manifest import wanted_manifest
from streamscore.registry.model_uri import STORE, ModelRef
from streamscore.registry.registry import Registry, open_registry, signature_of
from streamscore.registry.version_key import resolve_key
from streamscore.routing.followed import open_routes

SECONDS = 30.0  # MLflow's import takes 5 s on a cold disk, its two tries 6 s each
BAD = RegistryError.exit_code
FEW = 20  # models of routes that are looked at


def check_model(feed: Feed, settings: Settings, seconds: float = SECONDS) -> list[Check]:
    """Up to four checks, each only if the one before it is fine; in bounded time, whatever the server does.

    Of a routed feed the routes and their models.
    """
    registry, checks = open_registry(settings), list[Check]()
    uri = settings.model_uri or feed.model_uri
    where = registry.store.place if uri.startswith(STORE) else registry.registry_uri

    def look() -> None:
        try:
            checks.extend(_look_at_routes(feed, settings, registry) if feed.routing else _look(feed, uri, registry))
        except Exception as error:  # of MLflow or its plug-ins: a finding, not our end
            checks.append(Check("registry", False, f"{where}: {type(error).__name__}: {error}", _reach(registry), BAD))

    thread = threading.Thread(target=look, name="doctor-registry", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        return [Check("registry", False, f"no answer from {where} in {seconds:.0f} s", _reach(registry), BAD)]
    return checks


def _look_at_routes(feed: Feed, settings: Settings, registry: Registry) -> Iterator[Check]:
    """The table of routes, the registry, and the first models; one that fails is a warning unless all do."""
    try:
        table = open_routes(settings.routing).table
    except StreamscoreError as error:
        yield _failed("routes", error, "streamscore routes list")
        return
    place, uris = settings.routing.routes, table.models()
    if not uris:
        yield Check("routes", False, f"no route in {place} has a model, wanted one", "streamscore routes list", 2)
        return
    yield Check("routes", True, f"{place} version {table.version} has {len(uris)} models")
    failed: list[Check] = []
    for number, uri in enumerate(uris[:FEW], 1):
        found = list(_look(feed, uri, registry))
        if number == 1:
            yield found[0]
        if found[0].name == "registry" and not found[0].ok:
            return
        failed += [replace(check, found=f"{uri}: {check.found}") for check in found if not check.ok]
    tried = min(FEW, len(uris))
    yield from (replace(check, exit_code=check.exit_code if len(failed) >= tried else 0) for check in failed)
    yield Check("models", len(failed) < tried, f"{tried - len(failed)} of {tried} models of the routes can be used")


def _look(feed: Feed, uri: str, registry: Registry) -> Iterator[Check]:
    is_stored, train = uri.startswith(STORE), f"streamscore train {feed.name} --promote"
    where = registry.store.place if is_stored else registry.registry_uri
    for store in () if is_stored else (registry.tracking_uri, registry.registry_uri):
        database = _sqlite(store)
        if database and not database.exists():  # MLflow would make it
            yield Check("registry", False, f"no {database} yet, wanted a registry with {uri}", train, BAD)
            return
    try:
        ref = resolve_key(registry, uri, feed.name).ref if feed.routing else registry.resolve(uri, feed.name)
    except RegistryError as error:
        said = str(error).partition("\n")[0]
        if not said.startswith(f"no {uri} in "):
            yield Check("registry", False, said.rpartition("; ")[0] or said, _named(said) or _reach(registry), BAD)
            return
        yield Check("registry", True, where)
        yield Check("model", False, said.partition("; ")[0], _named(said) or train, BAD)
        return
    yield Check("registry", True, where)
    yield Check("model", True, f"{uri} is {ref.name} v{ref.version}")
    try:
        mlmodel = registry.mlmodel(ref)
    except (ContractError, RegistryError) as error:
        yield _failed("contract", error, train)
        return
    yield _contract(feed, ref, mlmodel, train)
    yield _safety(ref, mlmodel, registry)


def _contract(feed: Feed, ref: ModelRef, mlmodel: dict[str, Any], train: str) -> Check:
    try:
        asked = signature_of(mlmodel)
        assert_contract(feed, asked, ref.title, mlmodel.get("metadata"))
        output = output_type(asked, ref.title) if feed.kind == "rows" else None
    except ContractError as error:
        return _failed("contract", error, train)
    gives = f", predicts {output}" if output else ""
    return Check("contract", True, f"{ref.title} takes the {len(feed.features)} features of {feed.name}{gives}")


def _safety(ref: ModelRef, mlmodel: dict[str, Any], registry: Registry) -> Check:
    """By the tags and the `MLmodel` file alone; the files are held against the manifest when they are downloaded."""
    try:
        manifest = wanted_manifest(ref, registry.models)
        assert_loadable(mlmodel, ref.title, registry.models)
    except ContractError as error:
        return _failed("safety", error, f"streamscore models {shlex.quote(ref.name)}")
    listed = f"a manifest of its {len(manifest.files)} files" if manifest else "no manifest of its files"
    return Check("safety", True, f"{ref.title} may be loaded, and has {listed}")


def _failed(name: str, error: StreamscoreError, fix: str) -> Check:
    said = str(error).partition("\n")[0]
    return Check(name, False, said.rpartition("; ")[0] or said, _named(said) or fix, error.exit_code)


def _sqlite(uri: str) -> Path | None:
    return Path(uri.partition(":///")[2].split("?")[0]).absolute() if uri.startswith("sqlite:///") else None


def _named(message: str) -> str:
    """The first command that a message names, or the setting."""
    found = re.search(r"next: ((?:streamscore|mkdir) [^,;]+)|if you trust it, (write into .+)", message)
    return (found[1] or found[2]) if found else ""


def _reach(registry: Registry) -> str:
    """What makes the registry answer."""
    parts = urlsplit(registry.registry_uri)
    if parts.scheme in ("http", "https") and parts.hostname in ("localhost", "127.0.0.1", "::1"):
        return f"mlflow server --port {parts.port or 5000}"
    return "export MLFLOW_TRACKING_URI=http://HOST:5000"
