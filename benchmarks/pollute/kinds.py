"""The feeds whose files are polluted: three seed tables in nine dialects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

Columns = Sequence[Mapping[str, Any]]

ORDERS: Columns = (
    {"name": "id", "type": "long", "role": "key"},
    {"name": "ordered at", "type": "timestamp", "role": "time"},
    {"name": "weight", "type": "double", "min": 0, "max": 5000},
    {"name": "price", "type": "double"},
    {"name": "day", "type": "date", "role": "carry", "nullable": True},
    {"name": "pieces", "type": "int", "role": "carry", "nullable": True},
    {"name": "channel", "type": "string", "role": "carry", "allowed": ["web", "shop", "phone"]},
    {"name": "note", "type": "string", "role": "carry", "nullable": True},
    {"name": "paid", "type": "boolean", "role": "carry", "nullable": True},
    {"name": "score", "type": "float", "role": "carry", "nullable": True, "finite": False},
)
GERMAN: Columns = (
    {"name": "Nummer", "type": "long", "role": "key"},
    {"name": "Größe", "type": "double"},
    {"name": "Umsatz", "type": "double", "min": 0},
    {"name": "Stück", "type": "int", "role": "carry", "nullable": True},
    {"name": "Tag", "type": "date", "role": "carry", "format": "%d.%m.%Y"},
    {"name": "Zeit", "type": "timestamp", "role": "time", "format": "%d.%m.%Y %H:%M:%S", "zone": "Europe/Berlin"},
    {"name": "bezahlt", "type": "boolean", "role": "carry", "nullable": True},
    {"name": "Anmerkung", "type": "string", "role": "carry", "nullable": True},
)
WINE: Columns = (
    {"name": "bottle", "type": "long", "role": "key"},
    *(
        {"name": name, "type": "double", "min": 0}
        for name in (
            "fixed acidity,volatile acidity,citric acid,residual sugar,chlorides,free sulfur dioxide,"
            "total sulfur dioxide,density,pH,sulphates,alcohol"
        ).split(",")
    ),
    {"name": "quality", "type": "int", "role": "target", "nullable": True, "min": 0, "max": 10},
)


@dataclass(frozen=True, eq=False)
class Kind:
    """One feed.

    Attributes:
        table: which seed table its rows are from.
        csv: the `csv` block of the feed.
    """

    name: str
    table: str
    columns: Columns
    csv: Mapping[str, Any] = field(default_factory=dict)

    @property
    def delimiter(self) -> str:
        return str(self.csv.get("delimiter", ","))

    @property
    def quote(self) -> str:
        return str(self.csv.get("quote", '"'))

    @property
    def escape(self) -> str | None:
        return self.csv.get("escape")

    @property
    def comment(self) -> str | None:
        return self.csv.get("comment")

    @property
    def encoding(self) -> str:
        return str(self.csv.get("encoding", "utf-8"))

    @property
    def decimal(self) -> str:
        return str(self.csv.get("decimal", "."))

    @property
    def thousands(self) -> str | None:
        return self.csv.get("thousands")

    @property
    def nulls(self) -> Sequence[str]:
        return self.csv.get("null_values", ("",))

    @property
    def has_header(self) -> bool:
        return self.csv.get("header") != "none"

    @property
    def skip_lines(self) -> int:
        return int(self.csv.get("skip_lines", 0))

    @property
    def endings(self) -> Sequence[str]:
        return self.csv.get("endings", (".csv", ".csv.gz"))

    @cached_property
    def names(self) -> list[str]:
        return [column["name"] for column in self.columns]

    @cached_property
    def in_file(self) -> list[int]:
        """The columns that stand in the file, not in the names of its folders."""
        return [at for at, column in enumerate(self.columns) if column.get("source") != "folder"]

    def document(self) -> dict[str, Any]:
        """The feed as its YAML file says it."""
        columns = [dict(column) for column in self.columns]
        return {"name": self.name, "model": "models:/pollute@production", "csv": dict(self.csv), "columns": columns}


PACKED = [".csv", ".csv.gz", ".csv.bz2", ".csv.zst"]
BY_FOLDER: Columns = (*ORDERS, {"name": "dt", "type": "date", "role": "carry", "source": "folder"})

KINDS = (
    Kind("polluted_plain", "orders", ORDERS),
    Kind("polluted_wine", "wine", WINE),
    Kind(
        "polluted_german",
        "german",
        GERMAN,
        {
            "delimiter": ";",
            "decimal": ",",
            "thousands": ".",
            "encoding": "cp1252",
            "null_values": ["", "k.A."],
            "true_values": ["ja"],
            "false_values": ["nein"],
        },
    ),
    Kind(
        "polluted_tabs",
        "orders",
        ORDERS,
        {
            "delimiter": "\t",
            "endings": [".tsv", ".tsv.gz", ".txt"],
            "header": "ignore_case",
            "extra_columns": "ignore",
            "missing_columns": "null",
            "null_values": ["", "NULL"],
        },
    ),
    Kind("polluted_spark", "orders", ORDERS, {"delimiter": "|", "escape": "\\", "header": "none"}),
    Kind(
        "polluted_lab",
        "orders",
        ORDERS,
        {"comment": "#", "skip_lines": 2, "integers": "whole", "fractions": "truncate", "extra_columns": "ignore"},
    ),
    Kind("polluted_utf16", "german_words", GERMAN, {"delimiter": ";", "encoding": "utf-16"}),
    Kind("polluted_odd", "wine", WINE, {"delimiter": "^", "quote": "'", "encoding": "latin-1", "endings": PACKED}),
    Kind("polluted_folders", "orders", BY_FOLDER, {"endings": PACKED, "null_values": ["", "NA"]}),
)
