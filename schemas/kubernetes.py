"""Variables that Kubernetes puts into each container, for every Service of its namespace.

One that is named `streamscore`, or `streamscore-` and more, gives them our prefix. They are nobody's settings.
"""

import ipaddress
import re
from collections.abc import Callable
from urllib.parse import urlsplit

PROTOCOLS = "TCP", "UDP", "SCTP"
_NAME, _NUMBERED = "[A-Z0-9_]+", rf"PORT_\d+_(?:{'|'.join(PROTOCOLS)})"


def is_of_service(variable: str, value: str) -> bool:
    """Whether Kubernetes makes this variable, with such a value, for a Service."""
    return any(re.fullmatch(f"{_NAME}_{ending}", variable) and fits(value) for ending, fits in _FORMS.items())


def _is_address(value: str) -> bool:
    try:
        return bool(ipaddress.ip_address(value))
    except ValueError:
        return False


def _is_url(value: str) -> bool:
    url = urlsplit(value)
    address, _, port = url.netloc.rpartition(":")
    return url.scheme.upper() in PROTOCOLS and _is_address(address.strip("[]")) and port.isdigit()


_FORMS: dict[str, Callable[[str], bool]] = {
    "SERVICE_HOST": _is_address,
    "SERVICE_PORT(_[A-Z0-9_]+)?": str.isdigit,
    f"(PORT|{_NUMBERED})": _is_url,
    f"{_NUMBERED}_PROTO": lambda value: value.upper() in PROTOCOLS,
    f"{_NUMBERED}_PORT": str.isdigit,
    f"{_NUMBERED}_ADDR": _is_address,
}
