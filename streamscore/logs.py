"""The log: one JSON line for each entry."""

import logging
import sys

import structlog
from structlog.typing import EventDict

from schemas.passwords import without_passwords


def configure_logging(*, debug: bool) -> None:
    """One JSON line an entry on standard error, times in UTC."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _without_passwords,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if debug else logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _without_passwords(_logger: object, _method: str, entry: EventDict) -> EventDict:
    return {key: without_passwords(value) if isinstance(value, str) else value for key, value in entry.items()}
