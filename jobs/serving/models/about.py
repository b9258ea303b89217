"""What is known of a version beside its files: where it stands, what was measured, and what it was trained on."""

import json
from dataclasses import asdict
from typing import Any

from schemas.errors import RegistryError
from streamscore.registry.model_uri import MANIFEST, NOT_THERE
from streamscore.registry.model_version import ModelVersion
from streamscore.registry.provenance import (
    DATA_DIGEST,
    DATA_ROWS,
    DATA_SOURCE,
    GATE,
    GATE_AGAINST,
    GATE_FILE,
    GATE_REASONS,
)
from streamscore.registry.registry import Registry
from streamscore.registry.store.model_store import find
from streamscore.registry.store.semantic import is_semantic
from streamscore.registry.store.stored_version import TrainingData

NOTHING: dict[str, Any] = {
    "stage": None,
    "aliases": [],
    "created": None,
    "metrics": {},
    "tags": {},
    "training_data": None,
    "gate": None,
}


def about(registry: Registry, model: ModelVersion) -> dict[str, Any]:
    """The keys of `NOTHING`; `registry` says whether the registry has answered, and has it.

    `gate` has the verdict, the version in Production that it was held against, why it was rejected, and the report.
    """
    try:
        found = _stored(registry, model) if is_semantic(model.version) else _registered(registry, model)
    except RegistryError as error:
        cause = error.__cause__
        is_gone = isinstance(cause, LookupError) or getattr(cause, "error_code", "") in NOT_THERE
        return NOTHING | {"registry": "has no such version any more" if is_gone else "does not answer"}
    return NOTHING | found | {"registry": "answered"}


def _stored(registry: Registry, model: ModelVersion) -> dict[str, Any]:
    stored = find(registry.store, model.name, model.version)
    return {
        "created": stored.created.isoformat(),
        "metrics": dict(stored.metrics),
        "tags": _shown(dict(stored.tags)),
        "training_data": asdict(stored.data) if stored.data != TrainingData() else _training_data(dict(stored.tags)),
        "gate": _gate(dict(stored.tags), None),
    }


def _registered(registry: Registry, model: ModelVersion) -> dict[str, Any]:
    if not model.version.isdigit():  # of a run: nothing else is known of it
        return {}
    version = registry.version(model.name, model.version)
    try:
        report = registry.run_file(version.run_id, GATE_FILE) if GATE in version.tags and version.run_id else None
    except RegistryError:  # the run was deleted, the version stayed
        report = None
    return {
        "stage": version.stage if version.stage != "None" else None,
        "aliases": list(version.aliases),
        "created": version.created.isoformat(),
        "metrics": version.metrics,
        "tags": _shown(version.tags),
        "training_data": _training_data(version.tags),
        "gate": _gate(version.tags, report),
    }


def _shown(tags: dict[str, str]) -> dict[str, str]:
    """All but those that list its files, which may be thousands."""
    return {tag: value for tag, value in sorted(tags.items()) if not tag.startswith(MANIFEST)}


def _training_data(tags: dict[str, str]) -> dict[str, Any] | None:
    if DATA_SOURCE not in tags:
        return None
    rows = tags.get(DATA_ROWS, "")
    return {
        "source": tags[DATA_SOURCE],
        "digest": tags.get(DATA_DIGEST, ""),
        "rows": int(rows) if rows.isdigit() else None,
    }


def _gate(tags: dict[str, str], report: str | None) -> dict[str, Any] | None:
    if GATE not in tags:
        return None
    return {
        "verdict": tags[GATE],
        "against": tags.get(GATE_AGAINST) or None,
        "reasons": tags.get(GATE_REASONS, "").splitlines(),
        "report": json.loads(report) if report else None,
    }
