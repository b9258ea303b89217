"""The API keys as the settings' file has them now."""

import structlog

from jobs.serving.access.keys import Keys
from schemas.errors import StreamscoreError
from schemas.settings import Settings, load_settings, profile_path
from streamscore.storage.changed_file import ChangedFile

log = structlog.get_logger()


class FollowedKeys:
    """Lets `keys` be those of `conf/<profile>.yaml`; a file that is wrong or not there changes nothing."""

    def __init__(self, keys: Keys, settings: Settings) -> None:
        self._keys, self._profile, self._known = keys, settings.profile, settings.serving.keys
        self._file, self._trouble = ChangedFile(profile_path(settings.profile)), ""

    def look(self) -> None:
        """Take up the keys of the file if it has changed; what is wrong with it is told once."""
        try:
            if not self._file.look():
                return
            keys = load_settings(self._profile).serving.keys
            if keys != self._known:
                self._keys.replace(keys)
                log.info("keys_changed", before=len(self._known), now=len(keys))
        except (StreamscoreError, OSError) as error:
            detail = str(error).splitlines()[0]
            if detail != self._trouble:
                log.warning("keys_refused", detail=detail)
            self._trouble = detail
            return
        self._known, self._trouble = keys, ""
        self._file.seen()
