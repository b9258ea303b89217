"""The model that is in Production: what a candidate is held against."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import structlog

from schemas.errors import ContractError
from schemas.feed import Feed
from schemas.signature import assert_contract
from streamscore.registry.model_uri import ModelRef
from streamscore.registry.pyfunc import Pyfunc, load_pyfunc
from streamscore.registry.registry import Registry
from streamscore.statistics.profiles import Profile, profiles_from_json
from streamscore.statistics.sketches import STATISTICS_FILE, ModelStatistics
from training.data.split import FITTED
from training.registration.register import model_name

log = structlog.get_logger()

PROFILE_FILE = "profile.json"


@dataclass(frozen=True, slots=True)
class Production:
    """The version in Production, loaded.

    Attributes:
        pyfunc: as the stream loads it.
        profile: of the rows that it was fitted on; None if its run has none, being another tool's.
        statistics: the baseline of its drift; None if its run has none, or a damaged one.
    """

    ref: ModelRef
    pyfunc: Pyfunc
    profile: Profile | None
    statistics: ModelStatistics | None = None


def load_production(feed: Feed, registry: Registry) -> Production | None:
    """The version that `promote` put into Production, verified; None if there is none, or none that may be loaded
    and fits the feed.

    Raises:
        RegistryError: the registry does not answer, or the files cannot be read: a candidate would go unjudged.
    """
    name = model_name(feed)
    version = registry.in_production(name)
    if version is None:
        return None
    ref = registry.resolve(f"models:/{name}/{version}", feed.name)
    with tempfile.TemporaryDirectory() as folder:
        try:
            pyfunc = load_pyfunc(registry.download(ref, Path(folder)))
            assert_contract(feed, pyfunc.metadata.signature, ref.title, pyfunc.metadata.metadata)
        except ContractError as error:
            log.warning("the candidate is not held against Production", model=ref.title, why=str(error))
            return None
    text = registry.run_file(ref.run_id, PROFILE_FILE)
    profile = profiles_from_json(text).get(FITTED) if text else None
    return Production(ref, pyfunc, profile, _statistics(registry.run_file(ref.run_id, STATISTICS_FILE), ref))


def _statistics(text: str | None, ref: ModelRef) -> ModelStatistics | None:
    try:
        return ModelStatistics.from_json(text, ref.title) if text else None
    except ContractError as error:
        log.warning("drift is not looked for by quantiles", model=ref.title, why=str(error))
        return None
