"""Passwords in URIs: left out of what is shown, and written so that each reader of a URI finds the same end of them.

`urlsplit` ends a password at the first `/`, SQLAlchemy at the first `@`; people paste passwords that hold both.
"""

import re
from urllib.parse import quote, urlsplit

WEB = "http", "https"
MASK = "…"
_LOGIN = re.compile(r"(?P<scheme>\w[\w+.-]*)://(?P<user>[^\s/:@]*)(?P<mark>[:@])")
_NEXT = re.compile(r"[\s'\"(]\w[\w+.-]*:/")  # another URI, or a model's
_PORT = re.compile(r"\d{1,5}(?![\w@])")
_NAMES = (
    r"password|passwd|pwd|passphrase|secret|token|sig|signature|credential|odbc_connect"
    r"|(?:api|access|account|private|secret|shared)[_-]?(?:access[_-]?)?key"
)
_HINTS = "pass", "pwd", "secret", "token", "key", "sig", "cred", "odbc", "auth"  # most texts have none: 1 us, not 60
# As an option of a URI, in a connection string, in the environment, in JSON, and in a header of a request. What is in
# quotes or braces, or has its spaces escaped, may have spaces.
_OPTION = re.compile(
    rf"(?i)((?<![^?&;,\s{{('\"])[\w.-]*(?:{_NAMES})['\"]?\s?[=:]\s?)(?!//)"
    r"(?:(['\"])(?:\\.|(?!\2).)+|\{[^}\n]*(?=\})|['\"]?(?:\\.|[^\s&;'\"])+)"
)
_IN_CONNECTION = re.compile(r"(?i)(;\s?(?:password|passwd|pwd)\s?=\s?)[^\s;{'\"][^;\n]*")  # which a semicolon ends
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
        text = _IN_CONNECTION.sub(rf"\1{MASK}", text)
        text = _OPTION.sub(lambda found: f"{found[1]}{found[2] or ''}{MASK}", text)
        text = _HEADER.sub(rf"\1{MASK}", text)
    return _without_logins(text) if "://" in text and "@" in text else text


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


def _without_logins(text: str) -> str:
    """A text with each URI's password, and a token that is all of a web server's login, left out."""
    shown, done = "", 0
    for found in _LOGIN.finditer(text):
        if found.start() < done:  # in what is left out
            continue
        secret, end = found.end(), _end_of_password(text, found)
        if found["mark"] == "@":
            is_token = found["user"] and found["scheme"].lower().rpartition("+")[2] in WEB
            secret, end = found.start("user"), found.start("mark") if is_token else -1
        if end >= 0:
            shown, done = f"{shown}{text[done:secret]}{MASK}", end
    return shown + text[done:]


def _end_of_password(text: str, found: re.Match[str]) -> int:
    """Where the `@` is at which the address begins, after the colon of a login; -1 if there is no password.

    It is the last one of its word, and as a password may have spaces, of its line up to where another URI begins.
    Whatever stands between is not shown, at the risk of hiding harmless text.
    """
    begin = found.end()
    line = text.find("\n", begin)
    line = len(text) if line < 0 else line
    word = text[begin:line].split(maxsplit=1)[:1] or [""]
    if not text.startswith(word[0], begin):  # a colon before a space is the text's own
        return -1
    is_port = "@" not in word[0] and _PORT.match(word[0]) is not None
    if is_port and found["scheme"].lower().rpartition("+")[2] in WEB:
        return -1
    following = _NEXT.search(text, begin, line)
    within = following.start() if following else line
    end = max(text.rfind("@", begin, begin + len(word[0])), text.rfind("@", begin, within))
    return end if end >= 0 or is_port else text.rfind("@", begin, line)
