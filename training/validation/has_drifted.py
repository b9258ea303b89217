"""Whether new data drifted from those of the Production model, by the verdict of `streamscore drift`."""

import structlog

from schemas.feed import Feed
from streamscore.statistics.sketches import ColumnSketch, sketches
from streamscore.statistics.verdict import compare
from training.data.training_data import Data
from training.evaluation.production import Production
from training.validation.findings import Findings

log = structlog.get_logger()


def has_drifted(feed: Feed, before: Production, fitted: Data, findings: Findings) -> bool:
    """Whether a feature did, all fitted rows taken as one window; or is new, gone, or of another kind.

    A version without quantiles is compared by what it has: the bins of its profile, as `findings` say; one that has
    neither is taken for drifted, because nothing speaks against it.
    """
    if before.statistics is None:
        if before.profile is None:
            log.info("no statistics with this version", model=before.ref.title)
            return True
        log.info("no quantiles with this version, only bins", model=before.ref.title)
        return bool(findings.of("drift"))
    compared = compare(before.statistics.features, feature_sketches(feed, fitted))
    for test in compared.drifted:
        log.info("drifted", column=test.column, check=test.check, effect=round(test.effect, 3), p=test.p_adjusted)
    for column, why in compared.changed.items():
        log.info("drifted", column=column, why=why)
    return bool(compared.drifted or compared.changed)


def feature_sketches(feed: Feed, data: Data) -> tuple[ColumnSketch, ...]:
    """The sketches of the features, under the names that they have in the tables."""
    names = {column.name: column.table_name for column in feed.features}
    found = ((names[name], values) for name, values in data.columns() if name in names)
    return tuple(made for name, values in found for made in sketches(name, values))
