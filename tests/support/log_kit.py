"""Log entries written by hand, as another writer of Delta tables puts them."""

import json
from pathlib import Path
from typing import Any

FEATURES = ["appendOnly", "invariants", "checkConstraints", "changeDataFeed", "generatedColumns"]


def log_of(table: Path | str) -> Path:
    return Path(table, "_delta_log")


def newest(table: Path | str) -> int:
    return max(int(path.stem) for path in log_of(table).glob("0*.json"))


def put_entry(table: Path | str, *actions: dict[str, Any]) -> int:
    """The next entry of a table's log; gives its version."""
    version = newest(table) + 1
    info = {"commitInfo": {"timestamp": 1, "operation": "BY HAND", "engineInfo": "another writer"}}
    lines = "".join(json.dumps(action) + "\n" for action in (info, *actions))
    (log_of(table) / f"{version:020}.json").write_text(lines)
    return version


def metadata_of(table: Path | str) -> dict[str, Any]:
    """The newest `metaData` action, to be changed and put again."""
    for version in range(newest(table), -1, -1):
        for line in (log_of(table) / f"{version:020}.json").read_text().splitlines():
            if found := json.loads(line).get("metaData"):
                return dict(found)
    raise AssertionError


def with_properties(table: Path | str, **properties: str) -> dict[str, Any]:
    """The `metaData` action with more properties; `__` is a dot in their names."""
    metadata = metadata_of(table)
    named = {name.replace("__", "."): value for name, value in properties.items()}
    return {"metaData": metadata | {"configuration": metadata["configuration"] | named}}


def with_column(table: Path | str, name: str, **changes: Any) -> dict[str, Any]:
    """The `metaData` action with a column changed, or a new one, a string, at the end."""
    metadata = metadata_of(table)
    schema = json.loads(metadata["schemaString"])
    if name not in [field["name"] for field in schema["fields"]]:
        schema["fields"].append({"name": name, "type": "string", "nullable": True, "metadata": {}})
    field = next(field for field in schema["fields"] if field["name"] == name)
    field |= changes
    return {"metaData": metadata | {"schemaString": json.dumps(schema)}}


def protocol(writer: int, *features: str, reader: int = 1) -> dict[str, Any]:
    """A `protocol` action; with features, that of a table which lists them."""
    action: dict[str, Any] = {"minReaderVersion": reader, "minWriterVersion": writer}
    if features:
        action |= {"writerFeatures": list(features)}
    if reader == 3:
        listed = {"columnMapping", "deletionVectors", "timestampNtz", "typeWidening", "v2Checkpoint", "variantType"}
        action |= {"readerFeatures": [name for name in features if name in listed]}
    return {"protocol": action}
