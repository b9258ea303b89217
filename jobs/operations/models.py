"""`streamscore models`: the versions of a model, and how they came into Production."""

from rich.console import Console
from rich.table import Table

from streamscore.registry import provenance
from streamscore.registry.model_uri import VersionInfo
from streamscore.registry.promotions import Promotion
from streamscore.registry.registry import PROMOTED_AT, PROMOTED_BY

METRICS = ("rmse", "log_loss")


def show_models(versions: list[VersionInfo], history: list[Promotion], console: Console) -> None:
    """Print the versions, newest first, and below them the promotions, newest first, if there are any."""
    table = Table("version", "stage", "aliases", "created (UTC)", "held out", "gate", "promoted (UTC)")
    for v in versions:
        metric = next((f"{name} {v.metrics[name]:.4f}" for name in METRICS if name in v.metrics), "")
        stage = "" if v.stage == "None" else v.stage
        promoted = f"{v.tags[PROMOTED_AT][:16]} {v.tags.get(PROMOTED_BY, '')}" if PROMOTED_AT in v.tags else ""
        created = f"{v.created:%Y-%m-%d %H:%M}"
        said = gate_of(v), promoted.replace("T", " ")
        table.add_row(v.version, stage, ", ".join(v.aliases), created, metric, *said)
    console.print(table)
    if history:
        console.print(_of_history(history))


def gate_of(version: VersionInfo) -> str:
    """`passed`, `rejected`, `check failed`, `not checked` where that did not end, or nothing where no gate was."""
    gate, check = version.tags.get(provenance.GATE, ""), version.tags.get(provenance.CHECK)
    if gate == "passed" and check != "passed":
        return "check failed" if check == "failed" else "not checked"
    return gate


def _of_history(history: list[Promotion]) -> Table:
    table = Table("when (UTC)", "into Production", "before it", "by", "how", title="history", title_justify="left")
    for done in reversed(history):
        before = f"v{done.previous}" if done.previous else ""
        how = "rollback" if done.rollback else "promoted"
        table.add_row(f"{done.at:%Y-%m-%d %H:%M:%S}", f"v{done.version}", before, done.by, how)
    return table
