"""Passwords in URIs: left out of what is shown, and written so that each reader of a URI finds the same end of them.

`urlsplit` ends a password at the first `/`, SQLAlchemy at the first `@`; people paste passwords that hold both.
"""

import re
from urllib.parse import quote, urlsplit

WEB = "http", "https"
MASK = "…"
# An address begins after the last `@`: whatever stands between is not shown, at the risk of hiding a harmless path.
_USER = re.compile(r"(?P<scheme>\w[\w+.-]*)://(?P<user>[^\s/:@]*)(?P<rest>:\S*)?@")
_NAMES = (
    r"password|passwd|pwd|passphrase|secret|token|sig|signature|credential|odbc_connect"
    r"|(?:api|access|account|private|secret|shared)[_-]?(?:access[_-]?)?key"
)
_HINTS = "pass", "pwd", "secret", "token", "key", "sig", "cred", "odbc", "auth"  # most texts have none: 1 us, not 60
# As an option of a URI, in a connection string, in the environment, in JSON, and in a header of a request.
_OPTION = re.compile(rf"(?i)((?<![^?&;,\s{{('\"])[\w.-]*(?:{_NAMES})['\"]?\s?[=:]\s?['\"]?)(?!//)[^\s&;'\"]+")
_HEADER = re.compile(r"(?i)(\bauthorization['\"]?\s?[:=]\s?['\"]?(?:\w+ )?)[^\s'\"]+")
_OUR_KEY = re.compile(
    r"streamscore_[\w-]{43}(?![\w-])"
)  # of the online service, as who pastes one in place of its hash


def without_passwords(text: str) -> str:
    """A text with the passwords of its URIs, and our own keys, left out."""
    if "streamscore_" in text:
        text = _OUR_KEY.sub(f"streamscore_{MASK}", text)
    lower = text.lower()
    if any(hint in lower for hint in _HINTS):
        text = _OPTION.sub(rf"\1{MASK}", text)
        text = _HEADER.sub(rf"\1{MASK}", text)
    return _USER.sub(_masked, text) if "://" in text and "@" in text else text


def with_encoded_password(uri: str) -> str:
    """A URI with what would end its password too early percent-encoded; any other URI as it is."""
    scheme, there, rest = uri.partition("://")
    place, question, options = rest.partition("?")
    if not there or "@" not in rest or (_is_plain(uri) and (scheme in WEB or "@" not in place)):
        return uri
    if "@" not in place:  # a password with a question mark
        place, question, options = rest, "", ""
    login, _, address = place.rpartition("@")
    user, colon, password = login.partition(":")
    if not colon or "/" in user:
        return uri
    return f"{scheme}://{user}:{quote(password, safe='%!$&*+,;=()~')}@{address}{question}{options}"


def _is_plain(uri: str) -> bool:
    """Whether there is no login in a URI by the rules: an `@` is in its path."""
    try:
        parts = urlsplit(uri)
        return "@" not in parts.netloc and (parts.port is not None or ":" not in parts.netloc)
    except ValueError:  # what should be a port is none
        return False


def _masked(found: re.Match[str]) -> str:
    scheme, user = found["scheme"], found["user"]
    if found["rest"]:
        return f"{scheme}://{user}:{MASK}@"
    return f"{scheme}://{MASK}@" if scheme.lower().rpartition("+")[2] in WEB and user else found[0]  # a token alone
