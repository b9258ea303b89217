"""Which tables are written to: those that ask nothing of a writer that ours does not do.

A table may have features in its protocol, and rules in its metadata: renamed columns, generated ones, constraints. Who
adds a file without a look at them breaks the table for its readers, mostly without an error. So only what is listed
here is written to, and the list is held against each protocol and each metadata entry.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from deltalake import DeltaTable

from schemas.errors import ContractError

READER_VERSION, WRITER_VERSION = 3, 7  # from these on a table lists its features

# In a legacy version, or listed: they ask nothing of who adds files unless a rule below is there too.
LEGACY_READER, LEGACY_WRITER = 2, 5
FEATURES = frozenset({"appendOnly", "invariants", "checkConstraints", "generatedColumns", "changeDataFeed"})
FEATURES |= {"timestampNtz"}

RULES = {
    "delta.generationExpression": "is generated",
    "delta.invariants": "has an invariant",
    "CURRENT_DEFAULT": "has a default",
    "__CHAR_VARCHAR_TYPE_STRING": "has a greatest length",
}


def assert_understood(uri: str, table: DeltaTable, *, replaces: bool = False) -> None:
    """Refuse to write to the table of a handle.

    Args:
        replaces: rows are not only added.

    Raises:
        ContractError: it asks more of a writer; names what.
    """
    refuse(uri, obstacle(table), replaces and appends_only(table.metadata().configuration))


def refuse(uri: str, found: str, only_added_to: bool) -> None:
    """Raise the ContractError of a table that is not written to; nothing to do where there is no obstacle."""
    found = found or ("has delta.appendOnly, and its rows are replaced at times" if only_added_to else "")
    if found:
        msg = f"{uri} {found}; take that away, or choose another folder for the tables: --tables DIR"
        raise ContractError(msg)


def obstacle(table: DeltaTable) -> str:
    """Why the table of a handle is not written to; empty if it is."""
    return next(filter(None, (obstacle_in(kind, action) for kind, action in actions_of(table))), "")


def actions_of(table: DeltaTable) -> Iterator[tuple[str, dict[str, Any]]]:
    """The `protocol` and the `metaData` that hold in the version of a handle, as Delta's log has them."""
    protocol, metadata = table.protocol(), table.metadata()
    yield (
        "protocol",
        {
            "minReaderVersion": protocol.min_reader_version,
            "minWriterVersion": protocol.min_writer_version,
            "readerFeatures": protocol.reader_features,
            "writerFeatures": protocol.writer_features,
        },
    )
    yield (
        "metaData",
        {
            "partitionColumns": metadata.partition_columns,
            "configuration": metadata.configuration,
            "schemaString": table.schema().to_json(),
        },
    )


def protocol_obstacle(protocol: Mapping[str, Any]) -> str:
    """The same of a `protocol` action of Delta's log."""
    reader, writer = protocol["minReaderVersion"], protocol["minWriterVersion"]
    listed: Collection[str] = {*(protocol.get("readerFeatures") or ()), *(protocol.get("writerFeatures") or ())}
    if unknown := sorted(set(listed) - FEATURES):
        return f"has the feature {', '.join(unknown)}, which streamscore does not write"
    if (reader > LEGACY_READER and reader != READER_VERSION) or (writer > LEGACY_WRITER and writer != WRITER_VERSION):
        return f"has protocol version {reader} for readers and {writer} for writers, which streamscore does not write"
    return ""


def metadata_obstacle(metadata: Mapping[str, Any]) -> str:
    """The same of a `metaData` action."""
    properties = metadata.get("configuration") or {}
    if columns := metadata.get("partitionColumns"):
        return f"is partitioned by {', '.join(columns)}, wanted no partitions"
    if (mode := properties.get("delta.columnMapping.mode", "none")) != "none":
        return f"has column mapping ({mode}), wanted columns under their own names"
    if rules := sorted(name.removeprefix("delta.constraints.") for name in properties if "delta.constraints." in name):
        return f"has the constraint {', '.join(rules)}, wanted none: a row that breaks it would end the stream"
    return next(_rules_of_columns(json.loads(metadata["schemaString"])), "")


def obstacle_in(kind: str, action: Mapping[str, Any]) -> str:
    """The same of one action of an entry; only `protocol` and `metaData` can be one."""
    if kind == "protocol":
        return protocol_obstacle(action)
    return metadata_obstacle(action) if kind == "metaData" else ""


def appends_only(properties: Mapping[str, Any]) -> bool:
    """Whether rows may only be added to a table; files may still be moved together."""
    return str(properties.get("delta.appendOnly", "false")).lower() == "true"


def _rules_of_columns(kind: Any, within: str = "") -> Iterator[str]:
    """What is asked of values, over the columns of a schema and what is nested in them."""
    if not isinstance(kind, dict):
        return
    for field in kind.get("fields", ()):
        name, metadata = within + field["name"], field.get("metadata") or {}
        if not field.get("nullable", True):
            yield f"has the column '{name}' as NOT NULL, wanted one that may be null: such a row would end the stream"
        for key in metadata:
            if key in RULES or key.startswith("delta."):
                what = RULES.get(key, "is an identity" if key.startswith("delta.identity.") else f"has {key}")
                yield f"has the column '{name}', which {what}, wanted one without rules"
        yield from _rules_of_columns(field["type"], f"{name}.")
    for nested in ("elementType", "keyType", "valueType"):
        yield from _rules_of_columns(kind.get(nested), f"{within}{nested}.")
