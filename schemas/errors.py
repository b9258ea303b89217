"""Every error a user can meet.

    StreamscoreError              exit  http  trying again can help
    ├── SettingsError              2    400   no    a flag, a variable or a profile is wrong
    │   └── FeedError              2    404   no    a feed's file is missing or wrong
    ├── ContractError              3    409   no    feed and model do not fit
    │   └── ModelTooLargeError     3    507   no    a model does not fit into the memory for models
    ├── GateError                  3    409   no    a model is not good enough
    ├── RegistryError              4    503   yes   the registry or a model in it cannot be reached
    ├── StorageError               5    503   yes   landing, tables or checkpoint cannot be used
    │   └── RecoveryError          5    409   no    checkpoint and tables do not belong together
    └── TryAgainError             75    503   yes   somebody else is at work
        ├── ConflictError         75    409   yes   another driver owns this micro-batch
        └── NoRoomError           75    503   yes   all models in memory are in use

A message's first line says what, where, found and wanted, and the next command to run. No message shows a password.
"""

from schemas.passwords import without_passwords


class StreamscoreError(Exception):
    """The root; raise one of the others."""

    exit_code = 1
    http_status = 500
    can_retry = False

    def __init__(self, message: str) -> None:
        super().__init__(without_passwords(message))


class SettingsError(StreamscoreError):
    """A flag, an environment variable or a profile is wrong."""

    exit_code = 2
    http_status = 400


class FeedError(SettingsError):
    """A feed's file is missing or wrong."""

    http_status = 404


class ContractError(StreamscoreError):
    """Feed and model do not fit."""

    exit_code = 3
    http_status = 409


class ModelTooLargeError(ContractError):
    """A model does not fit into the memory for models, whatever else is freed."""

    http_status = 507


class GateError(StreamscoreError):
    """A model is not good enough."""

    exit_code = 3
    http_status = 409


class RegistryError(StreamscoreError):
    """The registry, or a model in it, cannot be reached."""

    exit_code = 4
    http_status = 503
    can_retry = True


class StorageError(StreamscoreError):
    """Landing, tables or checkpoint cannot be used."""

    exit_code = 5
    http_status = 503
    can_retry = True


class RecoveryError(StorageError):
    """Checkpoint and tables do not belong together."""

    http_status = 409
    can_retry = False


class TryAgainError(StreamscoreError):
    """Somebody else is at work; the same command will do later."""

    exit_code = 75
    http_status = 503
    can_retry = True


class ConflictError(TryAgainError):
    """Another driver owns this micro-batch."""

    http_status = 409


class NoRoomError(TryAgainError):
    """All models in memory are in use, or were loaded a moment ago.

    Attributes:
        retry_seconds: when it is worth to try again.
    """

    def __init__(self, message: str, retry_seconds: float) -> None:
        super().__init__(message)
        self.retry_seconds = retry_seconds
